/* Held rows: every way to be held, the words, who stands in the way, and coming back by itself. */
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE house(id TEXT PRIMARY KEY NOT NULL, block TEXT REFERENCES block(id));"
    "CREATE TABLE block(id TEXT PRIMARY KEY NOT NULL, note TEXT);"
    "CREATE TABLE member(id TEXT PRIMARY KEY NOT NULL, house TEXT REFERENCES house(id),"
    " boss TEXT REFERENCES member(id), one TEXT UNIQUE, x TEXT, y INTEGER, mail TEXT COLLATE NOCASE"
    " UNIQUE, card TEXT, live INTEGER, UNIQUE(x, y));"
    "CREATE UNIQUE INDEX member_card ON member(lower(card)) WHERE live = 1;"
    "CREATE TABLE ring(id TEXT PRIMARY KEY NOT NULL, next TEXT REFERENCES ring(id), note TEXT);";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
    "{\"name\":\"house\",\"columns\":[]},{\"name\":\"block\",\"columns\":[]},"
    "{\"name\":\"member\",\"columns\":[]},{\"name\":\"ring\",\"columns\":[]}]}";
static const char tables[] = "house block member ring";

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, false);
}

static void equal(void **state)
{
    federation_sync(*state);
    federation_assert_equal(*state, tables);
}

/* One clash: the later row is held with the key, office and time of the earlier, the rest of its
 * changeset stands, and it comes in when the earlier goes. */
static void clash(void **state, const char *earlier, const char *later)
{
    char sql[300];
    office_sql(A, earlier);
    office_seal(A);
    B->now_ms = A->now_ms + 5000;
    snprintf(sql, sizeof sql, "%s; INSERT INTO block VALUES('beside', 'x')", later);
    office_sql(B, sql);
    equal(state);
    assert_everywhere("SELECT group_concat(id) FROM member", "m1");
    assert_everywhere(
        "SELECT reason || key || blocked_table || blocked_by || blocked_office || office FROM"
        " tonle_held",
        "unique\"m2\"member\"m1\"office1office2");
    assert_everywhere("SELECT message FROM tonle_held",
                      "an earlier row of member has the same unique value");
    assert_string_equal(office_one(HUB, "SELECT blocked_ms = (SELECT hlc >> 16 FROM tonle_clock c"
                                        " JOIN tonle_site s ON s.number = c.site WHERE s.node ="
                                        " 'office1') FROM tonle_held"),
                        "1");
    assert_everywhere("SELECT id FROM block", "beside");
    office_sql(HUB, "DELETE FROM member WHERE id='m1'");
    equal(state);
    assert_everywhere("SELECT group_concat(id) FROM member", "m2");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
}

/* A single unique column. */
static void a_unique_value_is_held(void **state)
{
    clash(state, "INSERT INTO member(id,one) VALUES('m1','X')",
          "INSERT INTO member(id,one) VALUES('m2','X')");
}

/* Several columns together. */
static void a_composite_unique_value_is_held(void **state)
{
    clash(state, "INSERT INTO member(id,x,y) VALUES('m1','X',1)",
          "INSERT INTO member(id,x,y) VALUES('m2','X',1)");
}

/* A column whose collation folds letters. */
static void a_unique_value_in_another_case_is_held(void **state)
{
    clash(state, "INSERT INTO member(id,mail) VALUES('m1','Sok@x')",
          "INSERT INTO member(id,mail) VALUES('m2','sOK@X')");
}

/* An expression, for the rows that a partial index looks at. */
static void a_partial_expression_is_held(void **state)
{
    clash(state, "INSERT INTO member(id,card,live) VALUES('m1','C1',1)",
          "INSERT INTO member(id,card,live) VALUES('m2','c1',1)");
}

/* A held row outside the partial index's predicate is no claim: it comes in by that change. */
static void a_row_outside_the_predicate_does_not_clash(void **state)
{
    office_sql(A, "INSERT INTO member(id,card,live) VALUES('m1','C1',1)");
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO member(id,card,live) VALUES('m2','c1',1)");
    office_seal(B);
    office_sql(B, "UPDATE member SET live = 0 WHERE id='m2'");
    equal(state);
    assert_everywhere("SELECT count(*) FROM member", "2");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
}

/* A chain of holds over unique values comes in at once, in one transaction, when its head goes. */
static void a_chain_of_claims_comes_in_at_once(void **state)
{
    office_sql(A, "INSERT INTO member(id,one) VALUES('m1','X')");
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO member(id,one,mail) VALUES('m2','X','q')");
    equal(state);
    office_sql(HUB, "INSERT INTO member(id,boss) VALUES('m4','m2'),('m5','m4')");
    equal(state);
    assert_everywhere(
        "SELECT group_concat(key || reason) FROM (SELECT * FROM tonle_held ORDER BY key)",
        "\"m2\"unique,\"m4\"parent,\"m5\"parent");
    assert_everywhere(
        "SELECT message || blocked_table || blocked_by || blocked_office FROM tonle_held"
        " WHERE key = '\"m4\"'",
        "the row of member it refers to is held itselfmember\"m2\"office2");
    office_sql(A, "UPDATE member SET one = 'Y' WHERE id='m1'");
    office_seal(A);
    office_pull(B, A);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM (SELECT id FROM member ORDER BY"
                                      " id)"),
                        "m1,m2,m4,m5");
    equal(state);
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
}

/* A row that waits for its parent keeps its claim: who comes later with the same number waits for
 * it, though it does not stand. */
static void who_waits_keeps_its_claim(void **state)
{
    office_sql(A, "INSERT INTO member(id,house,one) VALUES('m1','none','X')");
    equal(state);
    assert_everywhere("SELECT message || blocked_table || blocked_by || blocked_office ||"
                      " ifnull(blocked_ms, 'never') FROM tonle_held",
                      "the row of house it refers to does not stand herehouse\"none\"never");
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO member(id,one) VALUES('m2','X')");
    equal(state);
    assert_everywhere("SELECT count(*) FROM member", "0");
    assert_everywhere("SELECT reason || blocked_by FROM tonle_held WHERE key = '\"m2\"'",
                      "unique\"m1\"");
    office_sql(A, "INSERT INTO house VALUES('none',NULL)");
    equal(state);
    assert_everywhere("SELECT id FROM member", "m1");
}

/* A parent deleted at one office while another adds a child: the child is held, never deleted, says
 * who deleted the parent and when, and comes back with it; three tables deep. */
static void a_deleted_parent_is_shown(void **state)
{
    office_sql(A, "INSERT INTO block VALUES('b','x'); INSERT INTO house VALUES('h','b')");
    equal(state);
    office_sql(A, "DELETE FROM block");
    office_seal(A);
    office_sql(B, "INSERT INTO member(id,house) VALUES('m','h'); UPDATE house SET block = 'b'");
    equal(state);
    assert_everywhere(
        "SELECT group_concat(table_name || reason || message || blocked_by ||"
        " blocked_office, '|') FROM (SELECT * FROM tonle_held ORDER BY table_name)",
        "houseparentthe row of block it refers to was deleted\"b\"office1|memberparentthe row"
        " of house it refers to is held itself\"h\"office1");
    assert_everywhere("SELECT blocked_ms > 0 FROM tonle_held WHERE table_name = 'house'", "1");
    office_sql(HUB, "INSERT INTO block VALUES('b','again')");
    equal(state);
    assert_everywhere("SELECT (SELECT id FROM member) || (SELECT id FROM house)", "mh");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
}

/* Parents may come behind their children in one changeset; a cycle of references stands, and falls
 * as a whole. */
static void cycles_stand_and_fall_together(void **state)
{
    office_sql(A, "INSERT INTO ring VALUES('a','b','1'),('b','c','2'),('c','a','3'),('s','s','4')");
    equal(state);
    assert_everywhere("SELECT count(*) FROM ring", "4");
    office_sql(A, "DELETE FROM ring WHERE id='b'");
    equal(state);
    assert_everywhere("SELECT group_concat(id) FROM ring", "s");
    assert_everywhere(
        "SELECT group_concat(key || reason) FROM (SELECT * FROM tonle_held ORDER BY key)",
        "\"a\"parent,\"c\"parent");
    office_sql(B, "INSERT INTO ring VALUES('b','c','again')");
    equal(state);
    assert_everywhere("SELECT count(*) FROM ring", "4");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
}

/* A trigger of one office that raises holds the row there, with its words, and the rest goes on; a
 * retry takes it when the trigger is gone. */
static void a_trigger_that_raises_is_told_in_its_words(void **state)
{
    uint32_t released;
    office_sql(B, "CREATE TRIGGER no_q BEFORE INSERT ON block WHEN NEW.note = 'q' BEGIN"
                  " SELECT RAISE(ABORT, 'q is not allowed here'); END");
    office_sql(A, "INSERT INTO block VALUES('b1','q'),('b2','fine')");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT reason || message FROM tonle_held"),
                        "localq is not allowed here");
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM block"), "b2");
    office_sql(B, "DROP TRIGGER no_q");
    assert_committed(B->store, store_held_retry(B->store, &B->arena, NULL, B->now_ms, &released));
    assert_int_equal(released, 1);
    equal(state);
}

/* A held row stays right under a claim of another connection's transaction, and after a rollback:
 * what is known of claims in memory is read again. */
static void claims_of_others_are_seen(void **state)
{
    struct store *other;
    struct apply_report report;
    char msg[256];
    struct store_options options = {.path = HUB->path, .busy_ms = 2000};
    office_sql(A, "INSERT INTO member(id,one) VALUES('m1','X')");
    office_seal(A);
    office_pull(HUB, A);
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO member(id,one) VALUES('m2','X')");
    office_seal(B);
    struct office carrier = *HUB; /* another process beside the hub's node */
    assert_ok(store_open(&other, &options, msg));
    carrier.store = other;
    assert_ok(office_take(&carrier, B, (struct dot){B->site, 1}, &report));
    store_close(other);
    assert_string_equal(office_one(HUB, "SELECT key FROM tonle_held"), "\"m2\"");
    office_sql(A, "UPDATE member SET one = 'Y'");
    office_seal(A);
    office_pull(HUB, A); /* by the node, which was told of no claim */
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM member"), "2");
    equal(state);
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
}

static const char *record_of_m1(struct office *o)
{
    return office_one(o, "SELECT hex(rec) FROM tonle_row WHERE instr(k, 'm1') > 0");
}

/* What the application has done to a row and nobody has sealed yet is not what its record is about:
 * the rank by which m1 stands before m2 is not forgotten because m1 is not in the table. */
static void a_sweep_waits_for_the_seal(void **state)
{
    bool more;
    char before[2000];
    struct clock clock = {0};
    office_sql(A, "INSERT INTO member(id, one) VALUES('m1', 'k')");
    office_seal(A);
    B->now_ms = A->now_ms + 5000;
    office_sql(B, "INSERT INTO member(id, one) VALUES('m2', 'k')");
    equal(state);
    federation_settle(*state);
    snprintf(before, sizeof before, "%s", record_of_m1(A));
    assert_true(strlen(before) > 0);
    office_sql(A, "DELETE FROM member WHERE id = 'm1'");
    clock_copy(&clock, &store_state_get(A->store)->clock);
    assert_ok(store_begin(A->store));
    assert_ok(
        store_set_stable(A->store, &A->arena, &(struct stable){.mark_id = 9, .clock = clock}));
    assert_err(store_sweep(A->store, &A->arena, 100, &more), ERR_STATE);
    assert_ok(store_commit(A->store));
    assert_string_equal(record_of_m1(A), before);
    clock_fini(&clock);
    office_sql(HUB, "UPDATE member SET x = 'seen by nobody else' WHERE id = 'm1'");
    equal(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_unique_value_is_held),
        FEDERATION_TEST(a_composite_unique_value_is_held),
        FEDERATION_TEST(a_unique_value_in_another_case_is_held),
        FEDERATION_TEST(a_partial_expression_is_held),
        FEDERATION_TEST(a_row_outside_the_predicate_does_not_clash),
        FEDERATION_TEST(a_chain_of_claims_comes_in_at_once),
        FEDERATION_TEST(who_waits_keeps_its_claim),
        FEDERATION_TEST(a_deleted_parent_is_shown),
        FEDERATION_TEST(cycles_stand_and_fall_together),
        FEDERATION_TEST(a_trigger_that_raises_is_told_in_its_words),
        FEDERATION_TEST(claims_of_others_are_seen),
        FEDERATION_TEST(a_sweep_waits_for_the_seal),
    };
    return check_run(tests);
}
