/* What was collected, sealed and carried to three offices: sums, queued changes, values too large.
 */
#include "node/capture/capture.h"
#include "node/load/load.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] = "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, s INTEGER, a, b, r);";
static const char charter[] =
    "{\"federation\":\"x\",\"schema_version\":1,\"tables\":[{\"name\":\"t\",\"columns\":["
    "{\"name\":\"s\",\"policy\":\"sum\"},{\"name\":\"r\",\"policy\":\"review\"}],"
    "\"groups\":[{\"name\":\"g\",\"columns\":[\"a\",\"b\"],\"policy\":\"latest\"}]}]}";
#define ROW "SELECT s||'|'||a||'|'||b||'|'||r FROM t WHERE id='x'"

static int start(void **state)
{
    federation_set_up(state, 3, schema, charter, false);
    federation_sync(*state);
    office_sql(A, "INSERT INTO t VALUES('x',10,1,2,'r')");
    federation_sync(*state);
    return 0;
}

static void everywhere(void **state, const char *sql, const char *expected)
{
    federation_sync(*state);
    federation_assert_equal(*state, "t");
    assert_everywhere(sql, expected);
}

/* A change as `resolve` or `held` queues it; the values by column names, in the table's order. */
static void queue(struct office *o, const char *id, struct dot birth, enum change_kind kind,
                  uint32_t n, const char *const *name, const struct value *value)
{
    struct buf key = {0};
    struct value id_value = value_text(id);
    uint32_t column[8];
    key_encode(&key, &id_value, 1);
    assert_ok(store_begin(o->store));
    assert_ok(schema_load(o->store));
    struct row_key k = {schema_table(o->store, "t"), key.data, key.len};
    for (uint32_t i = 0; i < n; i++)
        column[i] = schema_column(k.t, name[i]);
    assert_ok(todo_put(
        o->store, k,
        &(struct todo_change){
            .kind = kind, .birth = birth, .n_cells = n, .column = column, .value = value}));
    assert_ok(store_commit(o->store));
    buf_fini(&key);
}

static struct dot held_birth(struct office *o)
{
    const char *text = office_one(o, "SELECT site||' '||seq FROM tonle_held");
    char *end;
    long long site = strtoll(text, &end, 10);
    return (struct dot){(uint64_t)site, strtoull(end, NULL, 10)};
}

/* Deltas of all offices add up, whoever sets the total meanwhile, and NULL becomes 0. */
static void deltas_add_up_everywhere(void **state)
{
    const char *sum = "SELECT s FROM t";
    office_sql(A, "UPDATE t SET s=s+5");
    office_sql(B, "INSERT INTO t VALUES('x',7,1,2,'r') ON CONFLICT DO UPDATE SET s=s+excluded.s");
    everywhere(state, sum, "22");
    office_sql(A, "REPLACE INTO t VALUES('x',100,1,2,'r')");
    office_sql(B, "UPDATE t SET s=s+1");
    office_sql(HUB, "UPDATE t SET s=s-3");
    everywhere(state, sum, "98");
    office_sql(A, "UPDATE t SET s=NULL");
    everywhere(state, sum, "0");
}

/* A decision joins what the application wrote to the row meanwhile: both stand, the sum is counted
 * once, the conflict is closed. */
static void a_decision_and_a_write_are_one_change(void **state)
{
    const char *r[] = {"r"};
    struct value decided = value_text("decided");
    office_sql(A, "UPDATE t SET r='one', s=s+1");
    office_sql(B, "UPDATE t SET r='two', s=s+2");
    everywhere(state, "SELECT count(*) FROM tonle_conflict WHERE state='open'", "1");
    queue(A, "x", (struct dot){A->site, 1}, CHANGE_UPDATE, 1, r, &decided);
    office_sql(A, "UPDATE t SET s=s+10, a='app'");
    everywhere(state, ROW, "23|app|2|decided");
    everywhere(state, "SELECT count(*) FROM tonle_conflict WHERE state='open'", "0");
}

/* A held birth is given another total by name, and stands again with what others added. */
static void a_held_sum_is_set(void **state)
{
    const char *s[] = {"s"};
    struct value total = value_integer(500);
    office_sql(A, "UPDATE t SET s='abc'");
    office_sql(B, "UPDATE t SET s=s+100");
    everywhere(state, "SELECT count(*) FROM t", "0");
    queue(B, "x", held_birth(B), CHANGE_UPDATE, 1, s, &total);
    everywhere(state, "SELECT s FROM t", "500");
}

/* A held birth is moved to another key in one changeset: nothing of either is lost. */
static void a_held_birth_is_renamed(void **state)
{
    const char *all[] = {"id", "s", "a", "b", "r"};
    office_sql(A, "INSERT INTO t VALUES('y',1,1,1,'of A')");
    office_sql(B, "INSERT INTO t VALUES('y',2,2,2,'of B')");
    everywhere(state, "SELECT count(*) FROM tonle_held", "1");
    const char *loser =
        strcmp(office_one(A, "SELECT r FROM t WHERE id='y'"), "of A") ? "of A" : "of B";
    int64_t v = loser[3] == 'A' ? 1 : 2;
    struct value values[] = {value_text("z"), value_integer(v), value_integer(v), value_integer(v),
                             value_text(loser)};
    uint64_t seq = store_state_get(HUB->store)->seq;
    queue(HUB, "y", held_birth(A), CHANGE_DELETE, 0, NULL, NULL);
    queue(HUB, "z", (struct dot){0, 0}, CHANGE_BORN, 5, all, values);
    everywhere(state, "SELECT r FROM t WHERE id='z'", loser);
    everywhere(state, "SELECT count(*) FROM tonle_held", "0");
    everywhere(state, "SELECT count(DISTINCT r) FROM t WHERE id<>'x'", "2");
    assert_int_equal(store_state_get(HUB->store)->seq, seq + 1);
}

/* While a value of ours is too large, the row's other changes go on in both directions, and it is
 * shown as held until it fits. */
static void a_value_too_large_delays_nothing_else(void **state)
{
    office_sql(A, "UPDATE t SET a=zeroblob(9000000), s=s+1");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT s||a FROM t"), "111");
    office_sql(B, "UPDATE t SET s=s+1, r='of B'");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT s||r||length(a) FROM t"), "12of B9000000");
    assert_string_equal(office_one(A, "SELECT reason||key FROM tonle_held"), "limit\"x\"");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "0");
    office_sql(A, "UPDATE t SET a=3");
    everywhere(state, ROW, "12|3|2|of B");
    everywhere(state, "SELECT count(*) FROM tonle_held", "0");
}

/* A decision that only says that the row lives goes out although all that the application wrote
 * beside it is too large. */
static void a_decision_is_not_left_out(void **state)
{
    office_sql(A, "UPDATE t SET r=zeroblob(9000000) WHERE id='x'");
    queue(A, "x", (struct dot){A->site, 1}, CHANGE_UPDATE, 0, NULL, NULL);
    assert_true(office_seal(A));
    assert_false(store_capture_pending(A->store));
}

/* A row that only we have is no birth to anybody: another office's under its key is not the later
 * one of two, but waits here, with its changes, and both holds are shown side by side. Made
 * smaller, ours is a birth like others, everywhere; gone, it leaves its place. */
static void holds_of_one_key_do_not_mix(void **state)
{
    office_sql(A, "INSERT INTO t VALUES('w',1,zeroblob(9000000),1,'of A')");
    federation_sync(*state);
    office_sql(B, "INSERT INTO t VALUES('w',2,2,2,'of B')");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT group_concat(reason) FROM (SELECT reason FROM "
                                      "tonle_held WHERE key='\"w\"' ORDER BY 1)"),
                        "limit,local");
    office_sql(B, "UPDATE t SET a=3 WHERE id='w'");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT length(a) FROM t WHERE id='w'"), "9000000");
    office_sql(A, "UPDATE t SET a='small' WHERE id='w'");
    everywhere(state, "SELECT s||a||b||r FROM t WHERE id='w'", "232of B");
    assert_string_equal(office_one(A, "SELECT reason FROM tonle_held WHERE key='\"w\"'"), "birth");
    office_sql(A, "INSERT INTO t VALUES('v',1,zeroblob(9000000),1,'of A')");
    federation_sync(*state);
    office_sql(B, "INSERT INTO t VALUES('v',2,2,2,'of B')");
    federation_sync(*state);
    office_sql(A, "DELETE FROM t WHERE id='v'");
    everywhere(state, "SELECT s||a||b||r FROM t WHERE id='v'", "222of B");
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_held WHERE key='\"v\"'"), "0");
}

/* SQLite keeps -0.0 in a column without affinity and says that it is 0.0: so do the cells, whoever
 * wrote which, and the digests. */
static void minus_zero_is_zero(void **state)
{
    struct arena a = {0};
    struct table_digest *one, *other;
    uint32_t n;
    office_sql(A, "UPDATE t SET a = -0.0, r = -0.0");
    office_sql(B, "UPDATE t SET a = 0.0, r = 0.0");
    everywhere(state, "SELECT typeof(a) || (a = 0.0) || a || typeof(r) || r FROM t",
               "real10.0real0.0");
    assert_everywhere("SELECT count(*) FROM tonle_conflict WHERE state = 'open'", "0");
    office_sql(A, "UPDATE t SET r = 0.0"); /* nothing changes */
    assert_false(store_capture_pending(A->store));
    for (int i = 1; i < 3; i++) {
        assert_ok(store_digest(HUB->store, &a, &one, &n));
        assert_ok(store_digest(OFFICE(i)->store, &a, &other, &n));
        for (uint32_t k = 0; k < n; k++)
            if (strcmp(one[k].table, "t") == 0)
                assert_memory_equal(one[k].digest, other[k].digest, sizeof one[k].digest);
    }
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(deltas_add_up_everywhere),
        FEDERATION_TEST(a_decision_and_a_write_are_one_change),
        FEDERATION_TEST(a_held_sum_is_set),
        FEDERATION_TEST(a_held_birth_is_renamed),
        FEDERATION_TEST(a_decision_is_not_left_out),
        FEDERATION_TEST(holds_of_one_key_do_not_mix),
        FEDERATION_TEST(a_value_too_large_delays_nothing_else),
        FEDERATION_TEST(minus_zero_is_zero),
    };
    return check_run(tests);
}
