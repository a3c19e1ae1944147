/* Rows compared: what was written behind capture's back is found, and sealed or taken back. */
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, body TEXT, mark TEXT UNIQUE)";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"note\",\"columns\":[]}]}";

static int start(void **state)
{
    return federation_set_up(state, 2, schema, charter, true);
}

static void rows(void **state)
{
    office_sql(HUB,
               "INSERT INTO note VALUES('a','1','ma'),('b','2','mb'),('c','3','mc'),('d','4','md'),"
               "('e','5','me')");
    federation_sync(*state);
}

/* Writes as a tool with triggers off does. */
static void behind_capture(struct office *o, const char *sql)
{
    int on = 0;
    sqlite3_db_config(o->app, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &on);
    office_sql(o, sql);
    sqlite3_db_config(o->app, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, &on);
}

/* All escapes over chunks of this size, as "C:a N:x D:b". With `settle` they are settled as well.
 */
static const char *scan(void **state, uint32_t max_rows, bool settle, bool take_parent)
{
    static char out[512];
    struct office *hub = HUB, *o = A;
    struct load_request r = {.table = "note", .max_rows = max_rows};
    struct load_chunk chunk = {0};
    struct arena a = {0};
    out[0] = '\0';
    if (settle)
        assert_ok(store_begin(o->store));
    while (!chunk.end) {
        struct escape *e;
        size_t n;
        assert_ok(store_chunk_read(hub->store, &a, &r, o->name, &chunk));
        assert_ok(store_chunk_compare(o->store, &a, &chunk, r.after, &e, &n));
        for (size_t i = 0; i < n; i++) {
            struct value key;
            assert_ok(key_decode(e[i].key.p, e[i].key.len, &key, 1));
            snprintf(out + strlen(out), sizeof out - strlen(out), "%c:%.*s ", "?CND"[e[i].kind],
                     (int)key.len, (const char *)key.u.p);
            if (settle)
                assert_ok(store_escape_settle(o->store, &a, &chunk, &e[i],
                                              take_parent ? ESCAPE_TAKE_THERE : ESCAPE_TAKE_HERE));
        }
        r.after = chunk.last_key;
    }
    if (settle)
        assert_ok(store_commit(o->store));
    arena_fini(&a);
    return out;
}

/* Equal rows have no escapes, whatever the size of the chunks. */
static void equal_rows_have_no_escapes(void **state)
{
    rows(state);
    for (uint32_t size = 1; size < 8; size++)
        assert_string_equal(scan(state, size, false, false), "");
}

/* A changed, a new and a deleted row are each found once, before, between and behind the parent's
 * keys. */
static void every_escape_is_found_once(void **state)
{
    rows(state);
    behind_capture(
        A, "UPDATE note SET body='x' WHERE id='c'; DELETE FROM note WHERE id IN ('b','e');"
           "INSERT INTO note VALUES('A','first','m1'),('cc','middle','m2'),('z','last','m3')");
    assert_string_equal(scan(state, 50, false, false), "N:A C:c N:cc N:z D:b D:e ");
    for (uint32_t size = 1; size < 6; size++)
        assert_int_equal(strlen(scan(state, size, false, false)),
                         strlen("N:A C:c N:cc N:z D:b D:e "));
    assert_false(store_capture_pending(A->store));
}

static struct table_digest digest_at(struct office *o, struct digest_request r)
{
    struct arena a = {0};
    struct table_digest sum = {0};
    while (r.after.part != DIGEST_AT_END) {
        struct digest_reply slice;
        assert_ok(store_digest_slice(o->store, &a, &r, &slice));
        assert_int_equal(slice.n_leave, r.n_leave);
        digest_sum(&sum, &slice.sum);
        r.after = slice.last;
    }
    arena_fini(&a);
    return sum;
}

/* Of `note`, as `verify` at one office asks the other. */
static bool same_digest(struct office *asks, struct office *answers)
{
    struct arena a = {0};
    struct digest_request r = {
        .table = "note", .after = {.part = DIGEST_AT_ROWS}, .upto = {.part = DIGEST_AT_END}};
    assert_ok(store_digest_leave(asks->store, &a, &r));
    assert_ok(store_digest_leave(answers->store, &a, &r));
    struct table_digest here = digest_at(asks, r), there = digest_at(answers, r);
    arena_fini(&a);
    return here.rows == there.rows && memcmp(here.digest, there.digest, HASH_BYTES) == 0;
}

/* What the office itself lists as staying here for its size is no difference: a row that nobody
 * else has, and columns of one that all have; what else differs in such a row is one. */
static void what_stays_here_is_no_escape(void **state)
{
    struct arena a = {0};
    struct table_digest *d[2];
    uint32_t n;
    rows(state);
    office_sql(A, "INSERT INTO note VALUES('big', zeroblob(9000000), 'mbig')");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT reason FROM tonle_held"), "limit");
    assert_string_equal(scan(state, 50, false, false), "");
    for (int i = 0; i < 2; i++)
        assert_ok(store_digest((i ? A : HUB)->store, &a, &d[i], &n));
    assert_string_equal(d[0][5].table, "note");
    assert_int_equal(d[1][5].rows, 5);
    assert_memory_equal(d[0][5].digest, d[1][5].digest, HASH_BYTES);
    office_sql(A, "UPDATE note SET body = zeroblob(9000000) WHERE id = 'c'");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_held"), "2");
    assert_string_equal(scan(state, 2, false, false), "");
    assert_true(same_digest(A, HUB) && same_digest(HUB, A));
    behind_capture(A, "UPDATE note SET mark = 'other' WHERE id = 'c'");
    assert_false(same_digest(A, HUB));
    assert_string_equal(scan(state, 2, false, false), "C:c ");
    arena_fini(&a);
}

/* Settled, they are sealed like any write: the differing column alone, and the parent follows. */
static void settled_escapes_travel_like_writes(void **state)
{
    struct arena a = {0};
    struct history h;
    rows(state);
    behind_capture(A, "UPDATE note SET body='x' WHERE id='c'; DELETE FROM note WHERE id='b';"
                      "INSERT INTO note VALUES('z','last','m3')");
    scan(state, 2, true, false);
    federation_sync(*state);
    federation_assert_equal(*state, "note");
    assert_string_equal(
        office_one(HUB, "SELECT group_concat(id||body) FROM (SELECT * FROM note ORDER BY id)"),
        "a1,cx,d4,e5,zlast");
    assert_ok(store_history(A->store, &a, "note", "\"c\"", &h));
    assert_int_equal(h.n, 2);
    assert_int_equal(h.entry[1].n_cells, 1);
    assert_string_equal(h.entry[1].columns[0], "body");
    assert_string_equal(scan(state, 3, false, false), "");
    arena_fini(&a);
}

/* Or the parent's rows are written back, and nothing is captured. */
static void the_parents_rows_can_be_taken_back(void **state)
{
    rows(state);
    behind_capture(A, "UPDATE note SET body='x' WHERE id='c'; DELETE FROM note WHERE id='b';"
                      "INSERT INTO note VALUES('z','last','m3')");
    scan(state, 50, true, true);
    assert_false(store_capture_pending(A->store));
    federation_assert_equal(*state, "note");
    assert_string_equal(
        office_one(A, "SELECT group_concat(id||body) FROM (SELECT * FROM note ORDER BY id)"),
        "a1,b2,c3,d4,e5");
}

/* A held row is no escape, at neither end; entered behind capture it is, though everybody has
 * it. */
static void held_rows_are_no_escapes(void **state)
{
    office_sql(A, "INSERT INTO note VALUES('a','1','same')");
    HUB->now_ms += 5000;
    office_sql(HUB, "INSERT INTO note VALUES('b','2','same')");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_held"), "1");
    assert_string_equal(scan(state, 1, false, false), "");
    behind_capture(A, "UPDATE note SET mark = 'free'; INSERT INTO note VALUES('b','2','same')");
    assert_string_equal(scan(state, 50, true, false), "C:a N:b ");
    federation_sync(*state);
    assert_everywhere("SELECT group_concat(id || mark) FROM (SELECT * FROM note ORDER BY id)",
                      "afree,bsame");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
    assert_everywhere("SELECT count(*) FROM tonle_conflict WHERE cell = 'birth'", "0");
}

/* A row that only this office's own trigger refuses is held here: no escape, and no other digest.
 */
static void a_row_held_here_alone_is_no_escape(void **state)
{
    struct arena a = {0};
    struct table_digest *d[2];
    uint32_t n;
    office_sql(A, "CREATE TRIGGER no_b BEFORE INSERT ON note WHEN NEW.id = 'b' BEGIN"
                  " SELECT RAISE(ABORT, 'not here'); END");
    assert_committed(A->store, store_capture_install(A->store));
    rows(state);
    assert_string_equal(office_one(A, "SELECT key || reason FROM tonle_held"), "\"b\"local");
    assert_string_equal(scan(state, 50, false, false), "");
    for (int i = 0; i < 2; i++)
        assert_ok(store_digest((i ? A : HUB)->store, &a, &d[i], &n));
    assert_string_equal(d[0][5].table, "note");
    assert_int_equal(d[1][5].rows, 5);
    assert_int_equal(d[1][5].held, 0);
    assert_memory_equal(d[0][5].digest, d[1][5].digest, HASH_BYTES);
    arena_fini(&a);
}

static const char held[] =
    "SELECT ifnull(group_concat(key || reason, ' '), '-') FROM (SELECT * FROM"
    " tonle_held ORDER BY key)";

/* What an application did to a row that only its office knows is nobody's when the row is born. */
static void a_row_that_only_we_know_is_new(void **state)
{
    rows(state);
    behind_capture(A, "INSERT INTO note VALUES('z','last','m3')");
    office_sql(A, "UPDATE note SET body = 'changed' WHERE id = 'z'");
    federation_sync(*state);
    assert_string_equal(scan(state, 50, true, false), "N:z ");
    federation_sync(*state);
    assert_everywhere(held, "-");
    assert_everywhere("SELECT body FROM note WHERE id = 'z'", "changed");
    assert_everywhere("SELECT max(births) FROM tonle_row", "1");
    assert_string_equal(scan(state, 50, false, false), "");
}

/* Whose key it is there keeps it; what stands here is a birth beside it. */
static void a_row_of_ours_at_a_key_of_others(void **state)
{
    rows(state);
    behind_capture(A, "INSERT INTO note VALUES('z','ours','m3')");
    office_sql(A, "UPDATE note SET mark = 'm4' WHERE id = 'z'");
    office_seal(A);
    office_sql(HUB, "INSERT INTO note VALUES('z','theirs','m5')");
    federation_sync(*state);
    assert_string_equal(scan(state, 50, true, false), "N:z ");
    federation_sync(*state);
    federation_assert_equal(*state, "note");
    assert_everywhere("SELECT body FROM note WHERE id = 'z'", "theirs");
    assert_everywhere(held, "\"z\"birth");
}

/* What was written behind capture before the row was held. */
static void hold_other_values(void **state)
{
    A->now_ms += 5000;
    office_sql(A, "INSERT INTO note VALUES('b','2','same')");
    office_seal(A);
    behind_capture(A, "UPDATE note SET body = 'behind'");
    office_sql(HUB, "INSERT INTO note VALUES('a','1','same')");
    federation_sync(*state);
    assert_everywhere(held, "\"b\"unique");
}

static void a_held_row_has_other_values(void **state)
{
    hold_other_values(state);
    assert_string_equal(scan(state, 50, true, false), "C:b ");
    federation_sync(*state);
    assert_string_equal(scan(state, 50, false, false), "");
    office_sql(HUB, "DELETE FROM note WHERE id = 'a'");
    federation_sync(*state);
    assert_everywhere("SELECT id || body FROM note", "bbehind");
}

static void a_held_row_is_taken_back(void **state)
{
    hold_other_values(state);
    scan(state, 50, true, true);
    assert_false(store_capture_pending(A->store));
    office_sql(HUB, "DELETE FROM note WHERE id = 'a'");
    federation_sync(*state);
    assert_everywhere("SELECT id || body FROM note", "b2");
}

/* A row that has no record was deleted behind capture, and entered anew: who did knows of one
 * birth, everybody else of two. */
static void bear_again(void **state)
{
    rows(state);
    federation_settle(*state);
    behind_capture(A, "DELETE FROM note WHERE id = 'd'");
    office_sql(A, "INSERT INTO note VALUES('d','again','m3')");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, held), "\"d\"birth");
    assert_string_equal(office_one(A, held), "-");
    assert_string_equal(scan(state, 50, false, false), "D:d ");
}

static void who_was_deleted_and_born_again_is_deleted(void **state)
{
    bear_again(state);
    scan(state, 50, true, false);
    federation_sync(*state);
    assert_everywhere(held, "-");
    assert_everywhere("SELECT body FROM note WHERE id = 'd'", "again");
    assert_string_equal(scan(state, 50, false, false), "");
}

static void who_was_deleted_and_born_again_is_back(void **state)
{
    bear_again(state);
    scan(state, 50, true, true);
    assert_false(store_capture_pending(A->store));
    assert_everywhere(held, "\"d\"birth");
    assert_everywhere("SELECT body FROM note WHERE id = 'd'", "4");
    assert_string_equal(scan(state, 50, false, false), "");
    federation_assert_equal(*state, "note");
}

/* A part of a transaction that is taken back leaves nothing, in memory either. */
static void a_part_is_taken_back(void **state)
{
    struct store *s = A->store;
    rows(state);
    assert_ok(store_begin(s));
    uint64_t hlc = state_of(s)->hlc, pos = state_of(s)->journal_pos;
    assert_ok(store_meta_set_u64(s, "before", 7));
    assert_ok(store_try_begin(s));
    assert_ok(store_set_hlc(s, hlc + 5));
    state_set_journal_pos(s, pos + 1);
    assert_ok(store_exec(s, "DELETE FROM note"));
    assert_err(store_fail(s, ERR_LIMIT, "too large"), ERR_LIMIT);
    assert_ok(store_try_undo(s));
    assert_string_equal(store_message(s), "too large");
    assert_int_equal(state_of(s)->hlc, hlc);
    assert_int_equal(state_of(s)->journal_pos, pos);
    assert_ok(store_try_begin(s));
    assert_ok(store_exec(s, "DELETE FROM note WHERE id = 'a'"));
    assert_ok(store_try_keep(s));
    assert_ok(store_commit(s));
    uint64_t before;
    assert_ok(store_meta_u64(s, "before", 0, &before));
    assert_int_equal(before, 7);
    assert_int_equal(store_state_get(s)->hlc, hlc);
    int64_t n;
    assert_ok(db_number(s, "SELECT count(*) FROM note", &n));
    assert_int_equal(n, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_part_is_taken_back),
        FEDERATION_TEST(equal_rows_have_no_escapes),
        FEDERATION_TEST(every_escape_is_found_once),
        FEDERATION_TEST(what_stays_here_is_no_escape),
        FEDERATION_TEST(settled_escapes_travel_like_writes),
        FEDERATION_TEST(the_parents_rows_can_be_taken_back),
        FEDERATION_TEST(held_rows_are_no_escapes),
        FEDERATION_TEST(a_row_held_here_alone_is_no_escape),
        FEDERATION_TEST(a_row_that_only_we_know_is_new),
        FEDERATION_TEST(a_row_of_ours_at_a_key_of_others),
        FEDERATION_TEST(a_held_row_has_other_values),
        FEDERATION_TEST(a_held_row_is_taken_back),
        FEDERATION_TEST(who_was_deleted_and_born_again_is_deleted),
        FEDERATION_TEST(who_was_deleted_and_born_again_is_back),
    };
    return check_run(tests);
}
