/* Merging, holding and releasing over real databases: changesets are carried by hand between
 * offices. */
#include "node/capture/capture.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <string.h>

static const char schema[] =
    "CREATE TABLE household(id TEXT PRIMARY KEY NOT NULL, book_no TEXT UNIQUE, village TEXT) "
    "WITHOUT ROWID;"
    "CREATE TABLE resident(id TEXT PRIMARY KEY NOT NULL, household_id TEXT REFERENCES "
    "household(id),"
    " ident TEXT UNIQUE, name TEXT NOT NULL, phone TEXT, age INTEGER CHECK(age >= 0), points "
    "INTEGER,"
    " low INTEGER, first TEXT, mother TEXT REFERENCES resident(id));"
    "CREATE TABLE receipt(series TEXT NOT NULL, number INTEGER NOT NULL, note TEXT,"
    " PRIMARY KEY(series, number)) WITHOUT ROWID;"
    "CREATE TABLE span(id TEXT PRIMARY KEY NOT NULL, lo INTEGER, hi INTEGER, CHECK(lo <= hi));"
    "CREATE TABLE local_log(t TEXT);"
    "CREATE TRIGGER resident_seen AFTER INSERT ON resident BEGIN INSERT INTO local_log "
    "VALUES(NEW.id); END;"
    "CREATE TRIGGER receipt_touch AFTER INSERT ON receipt WHEN NEW.note = 'touch' BEGIN"
    " UPDATE household SET village = 'touched' WHERE id = 'h1'; END;";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
    "{\"name\":\"household\",\"columns\":[]},"
    "{\"name\":\"resident\",\"columns\":[{\"name\":\"points\",\"policy\":\"max\"},"
    "{\"name\":\"low\",\"policy\":\"min\"},{\"name\":\"first\",\"policy\":\"earliest\"}]},"
    "{\"name\":\"span\",\"columns\":[]},{\"name\":\"receipt\",\"columns\":[]}]}";
static const char tables[] = "household resident receipt span";

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, false);
}

static void equal(void **state)
{
    federation_sync(*state);
    federation_assert_equal(*state, tables);
}

/* What one office writes with plain SQL stands at every other office. */
static void a_write_reaches_every_office(void **state)
{
    office_sql(A, "INSERT INTO household VALUES('h1','b1','Prek Leap');"
                  "INSERT INTO resident(id,household_id,name,age) VALUES('r1','h1','Sok',30)");
    equal(state);
    assert_string_equal(office_one(B, "SELECT name FROM resident WHERE id='r1'"), "Sok");
    office_sql(B, "UPDATE resident SET phone='012' WHERE id='r1'");
    equal(state);
    assert_string_equal(office_one(A, "SELECT phone FROM resident"), "012");
    office_sql(A, "DELETE FROM resident WHERE id='r1'");
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM resident"), "0");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_conflict"), "0");
}

/* Concurrent edits of different columns both survive, and no conflict is recorded. */
static void different_columns_merge_silently(void **state)
{
    office_sql(A, "INSERT INTO resident(id,name,age) VALUES('r1','Sok',30)");
    equal(state);
    office_sql(A, "UPDATE resident SET phone='1' WHERE id='r1'");
    office_sql(B, "UPDATE resident SET age=31 WHERE id='r1'");
    equal(state);
    assert_string_equal(office_one(A, "SELECT phone||age FROM resident"), "131");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_conflict"), "0");
}

/* Concurrent edits of one column: the latest stands, both values are recorded; equal values are
 * none. */
static void one_column_is_a_recorded_conflict(void **state)
{
    office_sql(A, "INSERT INTO resident(id,name,age) VALUES('r1','Sok',30)");
    equal(state);
    office_sql(A, "UPDATE resident SET name='Sok A' WHERE id='r1'");
    B->now_ms += 5000;
    office_sql(B, "UPDATE resident SET name='Sok B' WHERE id='r1'");
    equal(state);
    assert_string_equal(office_one(A, "SELECT name FROM resident"), "Sok B");
    assert_string_equal(office_one(A, "SELECT state||cell||policy FROM tonle_conflict"),
                        "autonamelatest");
    assert_string_equal(
        office_one(A, "SELECT group_concat(value) FROM (SELECT value FROM tonle_conflict_side"
                      " ORDER BY value)"),
        "Sok A,Sok B");
    office_sql(A, "UPDATE resident SET phone='7' WHERE id='r1'");
    office_sql(B, "UPDATE resident SET phone='7' WHERE id='r1'");
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_conflict"), "1");
}

/* max, min and earliest show their value and stay open until a later write has seen both sides. */
static void other_policies_stay_open_until_seen(void **state)
{
    office_sql(A, "INSERT INTO resident(id,name,points,low,first) VALUES('r1','Sok',5,5,'x')");
    equal(state);
    office_sql(A, "UPDATE resident SET points=9, low=3, first='A' WHERE id='r1'");
    B->now_ms += 5000;
    office_sql(B, "UPDATE resident SET points=7, low=4, first='B' WHERE id='r1'");
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT points||low||first FROM resident"), "93A");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_conflict WHERE state='open'"),
                        "3");
    office_sql(HUB, "UPDATE resident SET points=8, low=8, first='C' WHERE id='r1'");
    equal(state);
    assert_string_equal(office_one(A, "SELECT points||low||first FROM resident"), "88C");
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_conflict WHERE state='resolved'"),
                        "3");
}

/* An update beats a concurrent delete, with all its columns; the conflict is recorded. */
static void update_beats_delete(void **state)
{
    office_sql(A, "INSERT INTO resident(id,name,age,phone) VALUES('r1','Sok',30,'012')");
    equal(state);
    office_sql(A, "UPDATE resident SET age=33 WHERE id='r1'; DELETE FROM resident WHERE id='r1'");
    office_sql(B, "UPDATE resident SET name='Sok B' WHERE id='r1'");
    equal(state);
    assert_string_equal(office_one(A, "SELECT name||age||phone FROM resident"), "Sok B33012");
    assert_string_equal(office_one(HUB, "SELECT cell||state FROM tonle_conflict"), "existsopen");
}

/* Two births of one key are two identities: the earlier stands, the other is held whole, nothing
 * mixed. */
static void two_births_of_one_key(void **state)
{
    office_sql(A, "INSERT INTO receipt VALUES('S',1,'from A')");
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO receipt VALUES('S',1,'from B')");
    equal(state);
    assert_string_equal(office_one(B, "SELECT note FROM receipt"), "from A");
    assert_string_equal(office_one(B, "SELECT reason||office FROM tonle_held"), "birthoffice2");
    assert_string_equal(office_one(HUB, "SELECT cell||state FROM tonle_conflict"), "birthopen");
    office_sql(A, "DELETE FROM receipt");
    equal(state);
    assert_string_equal(office_one(A, "SELECT note FROM receipt"), "from B");
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_held"), "0");
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_conflict WHERE state='open'"),
                        "0");
}

/* A later claim to a unique number is held everywhere, and comes in when the number is free. */
static void unique_clash_holds_the_later_claim(void **state)
{
    office_sql(A, "INSERT INTO resident(id,ident,name) VALUES('r1','X','A')");
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO resident(id,ident,name) VALUES('r2','X','B')");
    equal(state);
    assert_string_equal(office_one(B, "SELECT id FROM resident"), "r1");
    assert_string_equal(office_one(B, "SELECT reason||blocked_by FROM tonle_held"), "unique\"r1\"");
    office_sql(HUB, "UPDATE resident SET ident='Y' WHERE id='r1'");
    equal(state);
    assert_string_equal(
        office_one(A, "SELECT group_concat(id||ident) FROM (SELECT * FROM resident ORDER BY id)"),
        "r1Y,r2X");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_held"), "0");
}

/* Two rows may exchange their unique values in one transaction. */
static void unique_values_change_hands(void **state)
{
    office_sql(
        A,
        "INSERT INTO resident(id,ident,name) VALUES('r1','X','A'),('r2','Y','B'),('r3','Z','C')");
    equal(state);
    office_sql(A,
               "BEGIN; UPDATE resident SET ident=NULL; UPDATE resident SET ident='Y' WHERE id='r1';"
               "UPDATE resident SET ident='Z' WHERE id='r2'; UPDATE resident SET ident='X' WHERE "
               "id='r3'; COMMIT");
    equal(state);
    assert_string_equal(
        office_one(B, "SELECT group_concat(id||ident) FROM (SELECT * FROM resident ORDER BY id)"),
        "r1Y,r2Z,r3X");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "0");
}

/* A child whose parent was deleted elsewhere is held, in chains, and comes back with the parent. */
static void missing_parent_holds_a_chain(void **state)
{
    office_sql(A, "INSERT INTO household VALUES('h1','b1','v')");
    equal(state);
    office_sql(A, "DELETE FROM household WHERE id='h1'");
    office_sql(B, "INSERT INTO resident(id,household_id,name) VALUES('r1','h1','mother');"
                  "INSERT INTO resident(id,mother,name) VALUES('r2','r1','child')");
    equal(state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM resident"), "0");
    assert_string_equal(office_one(A, "SELECT group_concat(reason) FROM tonle_held"),
                        "parent,parent");
    office_sql(HUB, "INSERT INTO household VALUES('h1','b1','again')");
    equal(state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM resident"), "2");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "0");
}

/* A row that is captured and not sealed yet stays as the application left it when the part of the
 * log sealed before it takes its parent away, or makes its unique value another's: it is not lost.
 */
static void a_cut_log_loses_nothing(void **state)
{
    office_sql(A, "INSERT INTO household VALUES('h1','b1','Prek Leap');"
                  "INSERT INTO resident(id, ident, name) VALUES('r1','1','Sok');");
    equal(state);
    office_sql(B, "INSERT INTO resident(id, ident, name) VALUES('r0','2','Dara')");
    office_sql(
        A, "DELETE FROM household WHERE id='h1'; UPDATE resident SET name='Sok S.' WHERE id='r1';"
           "INSERT INTO resident(id, household_id, ident, name) VALUES('r2','h1','2','Chan')");
    while (office_seal_part(A, 1))
        ;
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT group_concat(key || reason) FROM tonle_held"),
                        "\"r2\"unique");
    assert_string_equal(
        office_one(HUB, "SELECT group_concat(name) FROM (SELECT name FROM resident ORDER BY 1)"),
        "Dara,Sok S.");
    office_sql(
        B, "INSERT INTO household VALUES('h1','b1','again'); DELETE FROM resident WHERE id='r0'");
    equal(state);
    assert_string_equal(office_one(B, "SELECT name FROM resident WHERE id='r2'"), "Chan");
}

/* What was left alone because it was captured and not sealed yet is decided in the end, also where
 * the rest of the log comes to nothing: a row whose unique value was freed, a child whose parent
 * came, one whose parent went. */
static void what_a_cut_log_left_alone_is_decided(void **state)
{
    office_sql(A, "INSERT INTO household VALUES('h1','b1','v'),('h2','b2','v');"
                  "INSERT INTO resident(id, name, household_id) VALUES('r3','x','h2')");
    equal(state);
    office_sql(A, "DELETE FROM household WHERE id='h1'");
    office_sql(B, "INSERT INTO resident(id, name, ident) VALUES('r0','x','2')");
    equal(state);
    office_sql(A, "INSERT INTO resident(id, name, ident) VALUES('r4','x','3')");
    office_sql(B, "INSERT INTO resident(id, name, household_id) VALUES('r2','x','h1');"
                  "INSERT INTO resident(id, name, ident) VALUES('r1','x','3')");
    equal(state);
    assert_string_equal(office_one(A, "SELECT group_concat(key || reason) FROM"
                                      " (SELECT * FROM tonle_held ORDER BY key)"),
                        "\"r2\"parent,\"r4\"unique");
    office_sql(
        A, "INSERT INTO household VALUES('h1','b1','again'); DELETE FROM household WHERE id='h2';"
           "DELETE FROM resident WHERE id='r1';"
           "INSERT INTO resident(id, name) VALUES('r2','x'),('r4','x');"
           "DELETE FROM resident WHERE id IN ('r2','r4');"
           "CREATE TEMP TABLE t AS SELECT * FROM resident WHERE id='r3';"
           "DELETE FROM resident WHERE id='r3'; INSERT INTO resident SELECT * FROM t");
    while (office_seal_part(A, 1) || store_capture_pending(A->store))
        ;
    assert_string_equal(office_one(A, "SELECT group_concat(key || reason) FROM tonle_held"),
                        "\"r3\"parent");
    assert_string_equal(
        office_one(A, "SELECT group_concat(id) FROM (SELECT id FROM resident ORDER BY id)"),
        "r0,r2,r4");
    equal(state);
}

/* Rows that refer to one another in a cycle stand. */
static void a_cycle_of_references_stands(void **state)
{
    office_sql(A, "INSERT INTO resident(id,mother,name) VALUES('r1','r2','x'),('r2','r1','y')");
    equal(state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM resident"), "2");
}

/* A row that fails a CHECK (its application had turned that off) is held wherever the CHECK is in
 * force; the rest of its changeset and what follows go on, and its next right value brings it in.
 */
static void a_failed_check_stops_nothing(void **state)
{
    office_sql(A, "INSERT INTO span VALUES('s1',1,9),('s2',1,9)");
    equal(state);
    office_sql(B, "PRAGMA ignore_check_constraints=ON; UPDATE span SET lo=5, hi=3 WHERE id='s1';"
                  "INSERT INTO span VALUES('s3',0,0)");
    office_sql(A, "UPDATE span SET hi=3 WHERE id='s2'");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT group_concat(id) FROM span"), "s2,s3");
    assert_string_equal(office_one(A, "SELECT reason FROM tonle_held"), "check");
    assert_non_null(strstr(office_one(HUB, "SELECT message FROM tonle_held"), "CHECK"));
    office_sql(B, "UPDATE span SET hi=5 WHERE id='s1'");
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_held"), "0");
}

/* Applying a changeset twice changes nothing; a gap and a missing context are refused. */
static void delivery_is_idempotent_and_ordered(void **state)
{
    struct apply_report report;
    office_sql(A, "INSERT INTO receipt VALUES('S',1,'one')");
    office_seal(A);
    office_sql(A, "UPDATE receipt SET note='two'");
    office_seal(A);
    assert_err(office_take(HUB, A, (struct dot){A->site, 2}, &report), ERR_GAP);
    assert_ok(office_take(HUB, A, (struct dot){A->site, 1}, &report));
    assert_false(report.already);
    assert_ok(office_take(HUB, A, (struct dot){A->site, 1}, &report));
    assert_true(report.already);
    office_sql(HUB, "UPDATE receipt SET note='three'");
    office_seal(HUB);
    assert_err(office_take(B, HUB, (struct dot){HUB->site, 1}, &report), ERR_CAUSAL);
    equal(state);
}

/* Nothing remote is applied while a local write waits for its seal: its context would say that the
 * writer had seen what it had not. */
static void nothing_remote_goes_ahead_of_local_writes(void **state)
{
    struct apply_report report;
    office_sql(A, "INSERT INTO receipt VALUES('S',1,'from A')");
    office_seal(A);
    office_sql(B, "INSERT INTO receipt VALUES('S',2,'from B')");
    assert_err(office_take(B, A, (struct dot){A->site, 1}, &report), ERR_STATE);
    office_seal(B);
    assert_ok(office_take(B, A, (struct dot){A->site, 1}, &report));
    equal(state);
}

/* The application's local triggers run on applied rows; those that write replicated tables do not.
 */
static void only_local_triggers_run_on_applied_rows(void **state)
{
    office_sql(A, "INSERT INTO household VALUES('h1','b','v'); INSERT INTO resident(id,name) "
                  "VALUES('r1','x');"
                  "INSERT INTO receipt VALUES('S',1,'touch')");
    office_seal(A);
    office_sql(A, "UPDATE household SET village='later' WHERE id='h1'");
    equal(state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM local_log"), "1");
    assert_string_equal(office_one(B, "SELECT village FROM household"), "later");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_conflict"), "0");
}

/* A trigger of this office alone that refuses a row holds it here only, with the trigger's words.
 */
static void a_local_refusal_is_held_locally(void **state)
{
    office_sql(B, "CREATE TRIGGER no13 BEFORE INSERT ON resident WHEN NEW.age=13 BEGIN SELECT "
                  "RAISE(ABORT,'not 13'); END");
    assert_committed(B->store, store_capture_install(B->store));
    office_sql(A, "INSERT INTO resident(id,name,age) VALUES('r1','x',13),('r2','y',14)");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM resident"), "r2");
    assert_string_equal(office_one(B, "SELECT reason||message FROM tonle_held"), "localnot 13");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM resident"), "2");
    office_sql(B, "DROP TRIGGER no13");
    uint32_t released = 0;
    assert_ok(store_begin(B->store));
    assert_ok(store_capture_install(B->store));
    assert_ok(store_held_retry(B->store, &B->arena, NULL, 1, &released));
    assert_ok(store_commit(B->store));
    assert_int_equal(released, 1);
    equal(state);
}

/* RAISE(ROLLBACK) ends our transaction: done again, that row is held here and the rest is applied.
 */
static void a_trigger_that_rolls_back_stops_nothing(void **state)
{
    struct apply_report report;
    office_sql(B, "CREATE TRIGGER no13 AFTER INSERT ON resident WHEN NEW.age=13 BEGIN SELECT "
                  "RAISE(ROLLBACK,'never'); END");
    assert_committed(B->store, store_capture_install(B->store));
    office_sql(A,
               "INSERT INTO resident(id,name,age) VALUES('r0','w',12),('r1','x',13),('r2','y',14);"
               "UPDATE resident SET ident='13' WHERE id='r1'");
    assert_true(office_seal(A));
    assert_err(office_take(B, A, (struct dot){A->site, 1}, &report), ERR_BUSY);
    assert_string_equal(office_one(B, "SELECT count(*) FROM resident"), "0");
    assert_ok(office_take(B, A, (struct dot){A->site, 1}, &report));
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM resident"), "r0,r2");
    assert_string_equal(office_one(B, "SELECT reason||message FROM tonle_held"), "localnever");
    /* what decides it again by itself does not try it for ever; another schema is another chance */
    office_sql(B, "UPDATE resident SET ident='13' WHERE id='r2'; INSERT INTO resident(id,name)"
                  " VALUES('r1','t'); DELETE FROM resident WHERE id='r1'");
    while (office_seal_part(B, 1) || store_capture_pending(B->store))
        ;
    assert_string_equal(office_one(B, "SELECT key FROM tonle_held WHERE reason='local'"), "\"r1\"");
    office_sql(B, "DROP TRIGGER no13");
    uint32_t released = 0;
    assert_committed(B->store, store_held_retry(B->store, &B->arena, NULL, 1, &released));
    assert_string_equal(office_one(B, "SELECT ident FROM resident WHERE id='r1'"), "13");
}

/* The same of a row that is to go: it goes, as past any other trigger that would keep it. */
static void a_trigger_that_rolls_back_keeps_no_dead_row(void **state)
{
    struct apply_report report;
    office_sql(A, "INSERT INTO resident(id,name) VALUES('r1','x'),('r2','y')");
    equal(state);
    office_sql(B, "CREATE TRIGGER stay BEFORE DELETE ON resident BEGIN"
                  " SELECT RAISE(ROLLBACK,'never'); END");
    assert_committed(B->store, store_capture_install(B->store));
    office_sql(A, "DELETE FROM resident WHERE id='r1'");
    assert_true(office_seal(A));
    struct dot gone = {A->site, store_state_get(A->store)->seq};
    assert_err(office_take(B, A, gone, &report), ERR_BUSY);
    assert_ok(office_take(B, A, gone, &report));
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM resident"), "r2");
}

/* Once everything is stable no record is left of a settled row, and later changes still merge. */
static void stability_leaves_nothing_behind(void **state)
{
    office_sql(A, "INSERT INTO resident(id,name,age) VALUES('r1','x',1),('r2','y',2); DELETE FROM "
                  "resident WHERE id='r2'");
    office_sql(B, "INSERT INTO receipt VALUES('S',1,'n')");
    equal(state);
    for (int i = 0; i < FEDERATION->n; i++) {
        struct office *o = OFFICE(i);
        struct clock clock = {0};
        clock_copy(&clock, &store_state_get(o->store)->clock);
        office_pass_stable(o, &clock, 1);
        assert_string_equal(office_one(o, "SELECT count(*) FROM tonle_row"), "0");
        clock_fini(&clock);
    }
    office_sql(A, "UPDATE resident SET name='A' WHERE id='r1'");
    office_sql(B, "UPDATE resident SET age=9 WHERE id='r1'; INSERT OR REPLACE INTO receipt "
                  "VALUES('S',1,'new')");
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT name||age FROM resident"), "A9");
    assert_string_equal(office_one(HUB, "SELECT note FROM receipt"), "new");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_conflict"), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_write_reaches_every_office),
        FEDERATION_TEST(different_columns_merge_silently),
        FEDERATION_TEST(one_column_is_a_recorded_conflict),
        FEDERATION_TEST(other_policies_stay_open_until_seen),
        FEDERATION_TEST(update_beats_delete),
        FEDERATION_TEST(two_births_of_one_key),
        FEDERATION_TEST(unique_clash_holds_the_later_claim),
        FEDERATION_TEST(unique_values_change_hands),
        FEDERATION_TEST(missing_parent_holds_a_chain),
        FEDERATION_TEST(a_cut_log_loses_nothing),
        FEDERATION_TEST(what_a_cut_log_left_alone_is_decided),
        FEDERATION_TEST(a_cycle_of_references_stands),
        FEDERATION_TEST(a_failed_check_stops_nothing),
        FEDERATION_TEST(delivery_is_idempotent_and_ordered),
        FEDERATION_TEST(nothing_remote_goes_ahead_of_local_writes),
        FEDERATION_TEST(only_local_triggers_run_on_applied_rows),
        FEDERATION_TEST(a_local_refusal_is_held_locally),
        FEDERATION_TEST(a_trigger_that_rolls_back_stops_nothing),
        FEDERATION_TEST(a_trigger_that_rolls_back_keeps_no_dead_row),
        FEDERATION_TEST(stability_leaves_nothing_behind),
    };
    return check_run(tests);
}
