/* What operators and verification read: digests, held rows, conflicts, copies. */
#include "node/capture/capture.h"
#include "node/db/copy.h"
#include "node/db/query.h"
#include "node/load/load.h"
#include "node/load/slice.h"
#include "node/schema/schema.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/lists.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char schema[] = "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, ident TEXT UNIQUE, "
                             "name TEXT NOT NULL, points INTEGER);"
                             "CREATE TABLE receipt(series TEXT NOT NULL, number INTEGER NOT NULL, "
                             "note, PRIMARY KEY(series, number))"
                             " WITHOUT ROWID;";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
    "{\"name\":\"person\",\"columns\":[{\"name\":\"points\",\"policy\":\"max\"}]},"
    "{\"name\":\"receipt\",\"columns\":[]}]}";

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, false);
}

static struct table_digest digest(struct office *o, const char *table)
{
    struct arena a = {0};
    struct table_digest *d, found = {0};
    uint32_t n;
    assert_ok(store_digest(o->store, &a, &d, &n));
    assert_int_equal(n, 7);
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(d[i].table, table) == 0)
            found = d[i];
    found.table = NULL;
    arena_fini(&a);
    return found;
}

static bool same_digest(struct office *x, struct office *y, const char *table)
{
    struct table_digest p = digest(x, table), q = digest(y, table);
    return memcmp(&p, &q, sizeof p) == 0;
}

/* Two concurrent names, a unique clash, an open conflict about points. */
static void quarrel(void **state)
{
    office_sql(HUB, "INSERT INTO person VALUES('p1','i1','Sok',1)");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET name='Sok A', points=5 WHERE id='p1';"
                  "INSERT INTO person VALUES('p2','i9','first',0)");
    B->now_ms += 5000;
    office_sql(B, "UPDATE person SET name='Sok B', points=4 WHERE id='p1';"
                  "INSERT INTO person VALUES('p3','i9','second',0)");
    federation_sync(*state);
}

/* Offices that hold the same rows, held rows and conflicts have the same digest, whatever order it
 * came in; the parts are counted. */
static void equal_offices_have_equal_digests(void **state)
{
    quarrel(state);
    assert_true(same_digest(HUB, A, "person") && same_digest(A, B, "person"));
    assert_true(same_digest(HUB, B, "tonle_node") && same_digest(HUB, B, "receipt"));
    struct table_digest d = digest(A, "person");
    assert_int_equal(d.rows, 2);
    assert_int_equal(d.held, 1);
    assert_int_equal(d.conflicts, 1);
}

/* Every difference shows: one value, its type alone, one row, values changed over between two rows.
 */
static void any_difference_changes_the_digest(void **state)
{
    static const char *const change[] = {
        "UPDATE receipt SET note = 'x' WHERE number = 1",
        "UPDATE receipt SET note = 7.0 WHERE number = 2",
        "UPDATE receipt SET note = NULL WHERE number = 3",
        "DELETE FROM receipt WHERE number = 4",
        "INSERT INTO receipt VALUES('S', 5, '')",
        "UPDATE receipt SET note = CASE number WHEN 1 THEN 7 ELSE 'a' END WHERE number IN (1, 2)",
    };
    office_sql(HUB, "INSERT INTO receipt VALUES('S',1,'a'),('S',2,7),('S',3,''),('S',4,x'00')");
    federation_sync(*state);
    struct table_digest before = digest(A, "receipt");
    for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
        office_sql(A, "BEGIN");
        office_sql(A, change[i]);
        office_sql(A, "COMMIT");
        struct table_digest d = digest(A, "receipt");
        assert_memory_not_equal(d.digest, before.digest, sizeof d.digest);
        office_sql(A, "DELETE FROM receipt;"
                      "INSERT INTO receipt VALUES('S',4,x'00'),('S',3,''),('S',2,7),('S',1,'a')");
        d = digest(A, "receipt");
        assert_memory_equal(d.digest, before.digest, sizeof d.digest);
    }
}

/* A held row's values count: only a held name differs. */
static void a_held_row_counts_in_the_digest(void **state)
{
    quarrel(state);
    struct table_digest before = digest(A, "person");
    office_sql(B, "INSERT INTO receipt VALUES('touch', 1, 1)");
    federation_sync(*state);
    struct table_digest same = digest(A, "person");
    assert_memory_equal(same.digest, before.digest, sizeof before.digest);
    office_sql(A, "DELETE FROM tonle_held");
    struct table_digest d = digest(A, "person");
    assert_int_equal(d.held, 0);
    assert_memory_not_equal(d.digest, before.digest, sizeof d.digest);
}

/* The same values count differently for a row that stands and for one that is held. */
static void standing_and_held_are_different_digests(void **state)
{
    uint8_t digest[2][HASH_BYTES] = {{0}, {0}};
    struct value v[3] = {value_text("S"), value_integer(1), value_null()};
    assert_ok(schema_load(HUB->store));
    const struct table_schema *t = schema_table(HUB->store, "receipt");
    digest_add(digest[0], t, DIGEST_STANDS, v);
    digest_add(digest[1], t, DIGEST_HELD, v);
    assert_memory_not_equal(digest[0], digest[1], HASH_BYTES);
}

/* More rows than a slice: a digest is the same as the sum of what a chunk reader sees, and the
 * database can be written between the slices (rollback journal). */
static void a_digest_goes_in_slices(void **state)
{
    struct arena a = {0};
    struct load_chunk c;
    struct load_request r = {.table = "receipt", .max_rows = 5000, .digest_only = true};
    office_sql(HUB,
               "INSERT INTO receipt WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
               " WHERE i < 1700) SELECT 's' || (i % 7), i, i FROM n");
    while (office_seal(HUB))
        ;
    struct table_digest d = digest(HUB, "receipt");
    assert_int_equal(d.rows, 1700);
    assert_ok(store_chunk_read(HUB->store, &a, &r, "x", &c));
    assert_int_equal(c.rows, 1700);
    assert_memory_equal(c.digest, d.digest, sizeof d.digest);
    office_sql(HUB, "DELETE FROM receipt WHERE number = 1"); /* no read of ours is left open */
    arena_fini(&a);
}

/* A held row is listed with its reason, whose it is and what blocks it; shown with all its values.
 */
static void held_rows_are_listed_and_shown(void **state)
{
    struct arena a = {0};
    struct held_record *list, one;
    size_t n;
    quarrel(state);
    list = lists_held(HUB->store, &a, &n);
    assert_int_equal(n, 1);
    assert_string_equal(list[0].table, "person");
    assert_string_equal(list[0].reason, "unique");
    assert_int_equal(list[0].n_columns, 0);
    char prefix[9] = "";
    memcpy(prefix, list[0].id, 8);
    assert_ok(store_held_get(HUB->store, &a, prefix, &one));
    assert_string_equal(one.id, list[0].id);
    bool second = strcmp(one.key_json, "\"p3\"") == 0;
    assert_string_equal(one.blocked_by, second ? "\"p2\"" : "\"p3\"");
    assert_string_equal(one.office, second ? "office2" : "office1");
    assert_int_equal(one.n_columns, 4);
    assert_string_equal(one.columns[2], "name");
    assert_int_equal(one.values[2].len, second ? 6 : 5);
    assert_memory_equal(one.values[2].u.p, second ? "second" : "first", one.values[2].len);
    arena_fini(&a);
}

/* Ids may be shortened, but not to nothing, to another alphabet, or to what two of them begin with.
 */
static void ids_are_unique_beginnings(void **state)
{
    struct arena a = {0};
    struct held_record one;
    office_sql(
        A, "INSERT INTO tonle_held(id,table_name,key,reason,message,office,since_ms,blocked_by,t,k,"
           "site,seq,bt,bk) VALUES"
           "('abcd0001','person','\"x\"','check','m','o',1,'',0,x'01',1,1,0,x''),"
           "('abcd0002','person','\"x\"','check','m','o',1,'',0,x'02',1,1,0,x''),"
           "('abcd00021','person','\"x\"','check','m','o',1,'',0,x'03',1,1,0,x'')");
    assert_err(store_held_get(A->store, &a, "abcd", &one), ERR_USAGE);
    assert_non_null(strstr(store_message(A->store), "more digits"));
    assert_ok(store_held_get(A->store, &a, "abcd0001", &one));
    assert_ok(store_held_get(A->store, &a, "ABCD0001", &one));
    assert_ok(store_held_get(A->store, &a, "abcd0002", &one)); /* exact beats longer */
    assert_string_equal(one.id, "abcd0002");
    assert_err(store_held_get(A->store, &a, "abc", &one), ERR_USAGE);
    assert_err(store_held_get(A->store, &a, "abc%", &one), ERR_USAGE);
    assert_err(store_held_get(A->store, &a, "", &one), ERR_USAGE);
    assert_err(store_held_get(A->store, &a, "abce", &one), ERR_NOT_FOUND);
    arena_fini(&a);
}

/* Conflicts are listed with every side: office, time, value, which one shows; `open` filters. */
static void conflicts_carry_every_side(void **state)
{
    struct arena a = {0};
    struct conflict_record *list;
    size_t n;
    quarrel(state);
    list = lists_conflicts(HUB->store, &a, true, &n);
    assert_int_equal(n, 1);
    assert_string_equal(list[0].cell, "points");
    assert_string_equal(list[0].policy, "max");
    assert_string_equal(list[0].key_json, "\"p1\"");
    assert_int_equal(list[0].n_sides, 2);
    assert_true(dot_compare(list[0].sides[0].dot, list[0].sides[1].dot) < 0);
    for (size_t i = 0; i < 2; i++) {
        const struct conflict_side *side = &list[0].sides[i];
        bool of_a = side->dot.site == A->site;
        assert_string_equal(side->office, of_a ? "office1" : "office2");
        assert_string_equal(side->unit, "12");
        assert_int_equal(side->value.u.i, of_a ? 5 : 4);
        assert_int_equal(side->shown, of_a);
        assert_true(side->at_hlc > 0);
    }
    list = lists_conflicts(HUB->store, &a, false, &n);
    assert_true(n >= 2);
    office_sql(HUB, "UPDATE tonle_conflict SET state = 'superseded' WHERE cell = 'points'");
    list = lists_conflicts(HUB->store, &a, false, &n);
    for (size_t i = 0; i < n; i++)
        assert_string_not_equal(list[i].cell, "points");
    arena_fini(&a);
}

/* What stood before is the latest write that both sides had seen; gone from the journal, it is not
 * known. */
static void what_stood_before_is_what_both_had_seen(void **state)
{
    struct arena a = {0};
    struct conflict_record *list, one;
    struct conflict_more more;
    size_t n;
    office_sql(HUB, "INSERT INTO person VALUES('p1','i1','Sok',0)");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET points = 2 WHERE id='p1'");
    federation_sync(*state);
    office_sql(B, "UPDATE person SET name = 'unrelated' WHERE id='p1'; INSERT INTO person "
                  "VALUES('p2','i2','x',77)");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET points = 3 WHERE id='p1'");
    office_sql(B, "UPDATE person SET points = 1 WHERE id='p1'");
    assert_true(office_seal(A) && office_seal(B)); /* each seen by its own side only */
    office_sql(A, "UPDATE person SET points = 5 WHERE id='p1'");
    office_sql(B, "UPDATE person SET points = 4 WHERE id='p1'");
    federation_sync(*state);
    list = lists_conflicts(HUB->store, &a, true, &n);
    assert_int_equal(n, 1);
    assert_ok(store_conflict_get(HUB->store, &a, list[0].id, &one, &more));
    assert_int_equal(one.n_sides, 2);
    assert_true(more.has_before);
    assert_string_equal(more.before.office, "office1");
    assert_int_equal(more.before.value.u.i, 2);
    assert_err(store_conflict_get(HUB->store, &a, "0000", &one, &more), ERR_NOT_FOUND);
    office_sql(HUB, "DELETE FROM tonle_journal");
    assert_ok(store_conflict_get(HUB->store, &a, list[0].id, &one, &more));
    assert_false(more.has_before);
    arena_fini(&a);
}

/* Before a delete beside an update stood the row, as all had seen it: also where it was entered a
 * moment ago, and by one of the two. */
static void before_a_delete_stood_the_row(void **state)
{
    struct arena a = {0};
    struct conflict_record *list, one;
    struct conflict_more more;
    size_t n;
    office_sql(A, "INSERT INTO person VALUES('p1','i1','Sok',0)");
    federation_sync(*state);
    office_sql(B, "UPDATE person SET name = 'Dara' WHERE id='p1'");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET name = 'Chan' WHERE id='p1'");
    office_sql(B, "DELETE FROM person WHERE id='p1'");
    federation_sync(*state);
    struct office *offices[] = {HUB, A, B};
    for (size_t i = 0; i < 3; i++) {
        list = lists_conflicts(offices[i]->store, &a, true, &n);
        assert_int_equal(n, 1);
        assert_string_equal(list[0].cell, "exists");
        assert_ok(store_conflict_get(offices[i]->store, &a, list[0].id, &one, &more));
        assert_true(more.has_before);
        assert_string_equal(more.before.office, "office2");
        assert_int_equal(more.before.value.u.i, 1);
        assert_non_null(strstr(more.before.detail, "\"Dara\""));
    }
    arena_fini(&a);
}

/* Nothing is closed before it was opened: what comes late may carry an earlier time than what it
 * meets, whether the rule decides at once, or a further side takes a conflict over. */
static void nothing_is_closed_before_it_was_opened(void **state)
{
    static const char early[] = "SELECT count(*) FROM tonle_conflict WHERE closed_ms < opened_ms";
    office_sql(HUB, "INSERT INTO person VALUES('p1','i1','Sok',0)");
    federation_sync(*state);
    A->now_ms += 3600000;
    office_sql(A, "UPDATE person SET name = 'late', points = 1 WHERE id='p1'");
    assert_true(office_seal(A));
    office_sql(HUB, "UPDATE person SET name = 'early', points = 2 WHERE id='p1'");
    office_sql(B, "UPDATE person SET name = 'earlier', points = 3 WHERE id='p1'");
    federation_sync(*state);
    struct office *offices[] = {HUB, A, B};
    for (size_t i = 0; i < 3; i++) {
        assert_string_not_equal(
            office_one(offices[i], "SELECT count(*) FROM tonle_conflict WHERE closed_ms > 0"), "0");
        assert_string_equal(office_one(offices[i], early), "0");
    }
}

/* A copy holds everything and is a sound database; an existing file, even an empty one, is not
 * touched. */
static void a_copy_is_whole_and_overwrites_nothing(void **state)
{
    char path[600], check[800];
    quarrel(state);
    snprintf(path, sizeof path, "%s/copy.db", FEDERATION->dir);
    assert_ok(store_begin_read(A->store));
    assert_err(store_copy(A->store, path), ERR_STATE);
    assert_ok(store_commit(A->store));
    FILE *empty = fopen(path, "w");
    fclose(empty);
    assert_err(store_copy(A->store, path), ERR_EXISTS);
    unlink(path);
    assert_int_equal(chmod(A->store->options.path, 0640), 0);
    assert_ok(store_copy(A->store, path));
    struct stat copy; /* what others may not read they may not read in the copy */
    assert_int_equal(stat(path, &copy), 0);
    assert_int_equal(copy.st_mode & 0777, 0640);
    snprintf(check, sizeof check, "ATTACH '%s' AS copy", path);
    office_sql(A, check);
    assert_string_equal(office_one(A, "PRAGMA copy.integrity_check"), "ok");
    assert_string_equal(office_one(A, "SELECT count(*) FROM copy.tonle_journal"),
                        office_one(A, "SELECT count(*) FROM main.tonle_journal"));
    assert_string_equal(office_one(A, "SELECT group_concat(name) FROM copy.person"),
                        office_one(A, "SELECT group_concat(name) FROM main.person"));
    office_sql(A, "DETACH copy");
    unlink(path);
    snprintf(path, sizeof path, "%s/missing/copy.db", FEDERATION->dir);
    assert_int_not_equal(store_copy(A->store, path), ERR_OK);
}

/* While the application holds the database for itself every reading says so, and none guesses: a
 * schema that fits, a log that is empty. */
static void a_locked_database_is_busy(void **state)
{
    struct store *s = A->store, *other;
    char msg[256];
    struct store_options o = {.path = A->path, .read_only = true};
    int64_t n;
    office_sql(A, "BEGIN EXCLUSIVE");
    assert_err(schema_load(s), ERR_BUSY);
    assert_err(store_begin_read(s), ERR_BUSY);
    assert_err(db_number(s, "SELECT count(*) FROM tonle_held", &n), ERR_BUSY);
    assert_true(store_capture_pending(s));
    assert_true(store_changed(s));
    assert_err(store_open(&other, &o, msg), ERR_BUSY);
    office_sql(A, "COMMIT");
    assert_ok(schema_load(s));
    assert_false(store_capture_pending(s));
    assert_err(db_number(s, "SELECT 1 WHERE 0", &n), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(equal_offices_have_equal_digests),
        FEDERATION_TEST(any_difference_changes_the_digest),
        FEDERATION_TEST(a_held_row_counts_in_the_digest),
        FEDERATION_TEST(standing_and_held_are_different_digests),
        FEDERATION_TEST(a_digest_goes_in_slices),
        FEDERATION_TEST(held_rows_are_listed_and_shown),
        FEDERATION_TEST(ids_are_unique_beginnings),
        FEDERATION_TEST(conflicts_carry_every_side),
        FEDERATION_TEST(what_stood_before_is_what_both_had_seen),
        FEDERATION_TEST(before_a_delete_stood_the_row),
        FEDERATION_TEST(nothing_is_closed_before_it_was_opened),
        FEDERATION_TEST(a_copy_is_whole_and_overwrites_nothing),
        FEDERATION_TEST(a_locked_database_is_busy),
    };
    return check_run(tests);
}
