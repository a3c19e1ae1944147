/* What a comparison reads at once, however much is held. */
#include "tests/unit/store/compared.h"

#include "node/capture/capture.h"
#include "node/load/slice.h"
#include "node/schema/schema.h"
#include "protocol/limits.h"
#include "tests/lib/rooms.h"

#include <stdio.h>
#include <string.h>

static int on_step(void *count)
{
    ++*(int *)count;
    return 0;
}

/* `n` remarks whose note nobody has, with keys of `length` characters. */
static void hold_remarks(void **state, int from, int n, int length)
{
    char sql[300];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i+1 FROM n WHERE i < %d)"
             " INSERT INTO remark SELECT printf('%%0%dd', i), 'none' FROM n",
             from + 1, from + n, length);
    office_sql(A, sql);
    federation_sync(*state);
}

/* Digests of all ranges; how many there are, and the most steps of SQLite's that one took. */
static int digests(void **state, struct load_chunk *last, int *most)
{
    int ranges = 0;
    struct load_request r = {.table = "remark", .max_rows = 1000, .digest_only = true};
    *most = 0;
    do {
        int steps = 0;
        sqlite3_progress_handler(HUB->store->db, 1, on_step, &steps);
        assert_ok(store_chunk_read(HUB->store, &HUB->arena, &r, "a", last));
        sqlite3_progress_handler(HUB->store->db, 0, NULL, NULL);
        *most = steps > *most ? steps : *most;
        r.after = last->last_key;
        ranges++;
    } while (!last->end);
    return ranges;
}

/* What is held between two rows that stand is read in ranges, each of which costs the same however
 * much is held in all. */
static void what_is_held_is_read_in_ranges(void **state)
{
    int few, many;
    struct load_chunk last;
    hold_remarks(state, 0, 600, 8);
    assert_in_range(digests(state, &last, &few), 2, 5);
    hold_remarks(state, 600, 1200, 8);
    assert_in_range(digests(state, &last, &many), 6, 9);
    assert_in_range(many, 1, few + few / 20);
}

/* Also where the keys alone are more than a chunk may take: all of them are in the digests. */
static void all_that_is_held_is_in_a_digest(void **state)
{
    static const uint8_t none[HASH_BYTES];
    struct load_chunk chunk = {0};
    struct load_request r = {.table = "remark", .digest_only = true};
    hold_remarks(state, 0, 600, 7500);
    while (!chunk.end) {
        assert_ok(store_chunk_read(HUB->store, &HUB->arena, &r, "a", &chunk));
        assert_memory_not_equal(chunk.digest, none, HASH_BYTES);
        r.after = chunk.last_key;
    }
    r = (struct load_request){.table = "remark", .upto = {(const uint8_t[]){PART_RECORDS}, 1}};
    uint32_t states = 0;
    for (chunk.end = false; !chunk.end; r.after = chunk.last_key) {
        assert_ok(store_chunk_read(HUB->store, &HUB->arena, &r, "a", &chunk));
        states += chunk.n_states;
    }
    assert_int_equal(states, 600);
}

/* What is settled in slices is so in the order of the table, as its ranges are. */
static void what_differs_has_its_place(void **state)
{
    struct escape *e;
    size_t n;
    struct load_chunk chunk;
    struct load_request r = {.table = "note", .upto = {(const uint8_t[]){PART_RECORDS}, 1}};
    office_behind(A, "INSERT INTO note(id) VALUES('b'), ('aa')");
    assert_ok(store_chunk_read(HUB->store, &HUB->arena, &r, "a", &chunk));
    assert_ok(store_begin_read(A->store));
    assert_ok(store_chunk_compare(A->store, &A->arena, &chunk, r.after, &e, &n));
    store_rollback(A->store);
    assert_int_equal(n, 2);
    bool first = e[0].key.len > e[1].key.len; /* 'aa' */
    assert_true(memcmp(e[!first].place.p, e[first].place.p, 3) < 0);
}

/* Of a table that is not here nothing is said. */
static void nothing_is_told_of_no_table(void **state)
{
    struct escape_rows rows;
    struct escape none = {.key = {(const uint8_t *)"", 0}};
    assert_err(
        store_escape_rows(A->store, &A->arena, &(struct load_chunk){.table = "no"}, &none, &rows),
        ERR_NOT_FOUND);
    assert_null(rows.t);
    assert_null(rows.here);
}

static const char schema[] =
    "CREATE TABLE kinds(k NOT NULL PRIMARY KEY, x TEXT);"
    "CREATE TABLE cases(k TEXT NOT NULL COLLATE NOCASE, m TEXT NOT NULL COLLATE RTRIM, x TEXT,"
    " PRIMARY KEY(k, m));"
    "CREATE TABLE turned(k TEXT NOT NULL, m TEXT NOT NULL COLLATE NOCASE, x TEXT,"
    " PRIMARY KEY(k COLLATE NOCASE, m COLLATE BINARY))";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"kinds\",\"columns\":[]},"
                              "{\"name\":\"cases\",\"columns\":[]},"
                              "{\"name\":\"turned\",\"columns\":[]}]}";

static int start_orders(void **state)
{
    return federation_set_up(state, 1, schema, charter, true);
}

/* However small the ranges are, each row is in one. */
static void assert_all_in_ranges(struct office *o, const struct table_schema *t, uint32_t n)
{
    struct key_range one = {.t = t, .max_rows = 1, .max_bytes = 1 << 20};
    struct slice_rows rows = {.end = false};
    uint32_t found = 0;
    for (; !rows.end && found <= n; one.after = rows.n > 0 ? rows.key[rows.n - 1] : one.after) {
        assert_ok(part_slice(o->store, &o->arena, &one, &rows));
        found += rows.n;
    }
    assert_int_equal(found, n);
}

/* Each row's place is behind that of the row before it. */
static void assert_in_order(struct office *o, const char *table)
{
    struct slice_rows rows;
    struct buf before = {0}, place = {0};
    assert_ok(store_begin_read(o->store));
    assert_ok(schema_load(o->store));
    const struct table_schema *t = schema_table(o->store, table);
    struct key_range all = {.t = t, .max_rows = 1000, .max_bytes = 1 << 20};
    assert_ok(part_slice(o->store, &o->arena, &all, &rows));
    assert_in_range(rows.n, 10, 999);
    for (uint32_t i = 0; i < rows.n; i++) {
        assert_true(schema_key_order(t, rows.key[i], &place));
        size_t n = before.len < place.len ? before.len : place.len;
        int c = n > 0 ? memcmp(before.data, place.data, n) : 0;
        assert_true(i == 0 || c < 0 || (c == 0 && before.len < place.len));
        buf_reset(&before);
        buf_put(&before, place.data, place.len);
    }
    assert_all_in_ranges(o, t, rows.n);
    store_rollback(o->store);
    buf_fini(&before);
    buf_fini(&place);
}

/* The place of a key is the one that SQLite gives the row. */
static void a_place_is_that_of_the_row(void **state)
{
    office_sql(
        HUB,
        "INSERT INTO kinds(k) VALUES(0), (1), (-1), (127), (128), (-300), (0.5), (-0.5), (-1.5),"
        "(1e19), (-1e19), (1e300), (-1e300), (9e999), (-9e999), (1e-300), (-1e-300),"
        "(9223372036854775807), (-9223372036854775807 - 1), (9223372036854774784),"
        "(4503599627370495.5), (4503599627370496), (4503599627370495), (-4503599627370495.5),"
        "(''), ('a'), ('A'), ('aa'), ('a' || char(0)), ('a' || char(0, 0)), ('a' || char(1)),"
        "('a' || char(255)), (x''), (x'00'), (x'0000'), (x'0001'), (x'00ff'), (x'ff')");
    assert_in_order(HUB, "kinds");
    office_sql(
        HUB, "INSERT INTO cases(k, m) VALUES('a', ''), ('B', ''), ('c', ''), ('_', ''), ('Z', ''),"
             "('[', ''), ('a', 'x'), ('A', 'x y'), ('a', 'x' || char(1)), ('aB', ''), ('Ac', ''),"
             "('q', ''), ('q' || char(0) || 'zz', ''), ('Q' || char(0) || 'bbb', '')");
    assert_in_order(HUB, "cases");
    office_sql(HUB, "INSERT INTO turned(k, m) VALUES('a', ''), ('B', ''), ('c', ''), ('_', ''),"
                    "('Z', ''), ('[', ''), ('d', 'x'), ('d', 'X'), ('d', 'Y'), ('d', 'z')");
    assert_in_order(HUB, "turned");
}

static const char alike_schema[] =
    "CREATE TABLE parent(id TEXT PRIMARY KEY NOT NULL);"
    "CREATE TABLE child(k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, p TEXT REFERENCES parent(id))";
static const char alike_charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                                    "{\"name\":\"parent\",\"columns\":[]},"
                                    "{\"name\":\"child\",\"columns\":[]}]}";

static int start_alike(void **state)
{
    return federation_set_up(state, 2, alike_schema, alike_charter, true);
}

/* An office holds more rows under keys that are one to our table than a chunk has room for. */
static void what_is_one_to_the_table_has_its_bound(void **state)
{
    office_behind(A, "DROP TABLE child; CREATE TABLE child(k TEXT NOT NULL PRIMARY KEY,"
                     " p TEXT REFERENCES parent(id))");
    assert_ok(store_begin(A->store));
    assert_ok(store_capture_install(A->store));
    assert_ok(store_commit(A->store));
    struct buf sql = {0};
    buf_printf(&sql,
               "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < 8191),"
               " w(i, at, k) AS (SELECT i, 0, '' FROM n UNION ALL SELECT i, at + 1, k ||"
               " substr('aA', 1 + ((i >> at) & 1), 1) FROM w WHERE at < 13)"
               " INSERT INTO child SELECT k, 'none' FROM w WHERE at = 13 LIMIT %u",
               LIMIT_CHUNK_ROWS + 1);
    office_sql(A, buf_str(&sql));
    buf_fini(&sql);
    federation_sync(*state);
    struct load_chunk c;
    struct load_request r = {.table = "child", .upto = {(const uint8_t[]){PART_RECORDS}, 1}};
    assert_err(store_chunk_read(HUB->store, &HUB->arena, &r, "a", &c), ERR_LIMIT);
    r.digest_only = true;
    assert_ok(store_chunk_read(HUB->store, &HUB->arena, &r, "a", &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(what_is_held_is_read_in_ranges),
        FEDERATION_TEST(all_that_is_held_is_in_a_digest),
        FEDERATION_TEST(what_differs_has_its_place),
        FEDERATION_TEST(nothing_is_told_of_no_table),
        cmocka_unit_test_setup_teardown(a_place_is_that_of_the_row, start_orders,
                                        federation_tear_down),
        cmocka_unit_test_setup_teardown(what_is_one_to_the_table_has_its_bound, start_alike,
                                        federation_tear_down),
    };
    return check_run(tests);
}
