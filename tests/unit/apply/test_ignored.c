/* A statement that succeeds without effect: a BEFORE trigger of this office with RAISE(IGNORE).
 * Whatever is to be written, the row stands or is held with the trigger's name. */
#include "node/capture/capture.h"
#include "node/load/load.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] = "CREATE TABLE d(id TEXT PRIMARY KEY NOT NULL, v TEXT);"
                             "CREATE TABLE c(id TEXT PRIMARY KEY NOT NULL, d REFERENCES d(id));";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"d\",\"columns\":[]},{\"name\":\"c\",\"columns\":[]}]}";
static const char *const order[] = {"tonle_node",     "tonle_site", "tonle_charter",
                                    "tonle_decision", "d",          "c"};
#define HELD "SELECT group_concat(key || ' ' || reason || ' ' || message, '; ') FROM tonle_held"
#define SKIPPED "local trigger skip of this office ignored it (RAISE(IGNORE))"

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, true);
}

/* Behind it the node knows the office's new schema. */
static void schema_is(struct office *o, const char *sql)
{
    office_sql(o, sql);
    assert_committed(o->store, store_capture_install(o->store));
}

static void released(struct office *o, uint32_t want)
{
    uint32_t n = 0;
    assert_committed(o->store, store_held_retry(o->store, &o->arena, NULL, 1, &n));
    assert_int_equal(n, want);
}

static void an_ignored_insert_is_held(void **state)
{
    schema_is(B, "CREATE TRIGGER skip BEFORE INSERT ON d WHEN new.v = 'x'"
                 " BEGIN SELECT RAISE(IGNORE); END");
    office_sql(A, "INSERT INTO d VALUES('1','x'),('2','y')");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM d"), "2");
    assert_string_equal(office_one(B, HELD), "\"1\" " SKIPPED);
    office_sql(A, "UPDATE d SET v = 'z' WHERE id = '1'"); /* which the trigger lets pass */
    federation_sync(*state);
    assert_everywhere("SELECT group_concat(id || v) FROM (SELECT * FROM d ORDER BY id)", "1z,2y");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
}

static void what_was_ignored_comes_in_without_the_trigger(void **state)
{
    schema_is(B, "CREATE TRIGGER skip BEFORE INSERT ON d BEGIN SELECT RAISE(IGNORE); END");
    office_sql(A, "INSERT INTO d VALUES('1','x')");
    federation_sync(*state);
    assert_string_equal(office_one(B, HELD), "\"1\" " SKIPPED);
    released(B, 0);
    schema_is(B, "DROP TRIGGER skip");
    released(B, 1);
    assert_everywhere("SELECT id || v FROM d", "1x");
}

/* One pass of at most so many rows a transaction; in how many. */
static int try_again(struct office *o, uint32_t max_rows)
{
    int slices = 0;
    assert_true(store_local_again(o->store));
    for (bool more = true; more; slices++) {
        more = false;
        MUST(o->store, store_begin(o->store));
        MUST(o->store, store_sweep(o->store, &o->arena, max_rows, &more));
        MUST(o->store, store_commit(o->store));
    }
    return slices;
}

/* A pass goes through them in slices, also through those that stay. */
static void what_was_ignored_comes_in_by_slices(void **state)
{
    schema_is(B, "CREATE TRIGGER skip BEFORE INSERT ON d BEGIN SELECT RAISE(IGNORE); END");
    office_sql(A, "INSERT INTO d VALUES('1','x'),('2','y'),('3','z')");
    federation_sync(*state);
    assert_int_equal(try_again(B, 2), 2);
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "3");
    schema_is(B, "DROP TRIGGER skip");
    assert_int_equal(try_again(B, 2), 2);
    assert_false(store_local_again(B->store));
    assert_everywhere("SELECT group_concat(id) FROM (SELECT id FROM d ORDER BY id)", "1,2,3");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
}

/* Who stands here has the value that the held row has everywhere else. */
static void what_was_ignored_comes_in_for_who_took_its_value(void **state)
{
    for (int i = 0; i < 3; i++)
        schema_is(OFFICE(i), "CREATE UNIQUE INDEX one ON d(v)");
    schema_is(B, "CREATE TRIGGER skip BEFORE INSERT ON d WHEN new.id = '1'"
                 " BEGIN SELECT RAISE(IGNORE); END");
    office_sql(A, "INSERT INTO d VALUES('1','x')");
    office_seal(A);
    B->now_ms += 1000;
    office_sql(B, "INSERT INTO d VALUES('2','x')");
    federation_sync(*state);
    assert_string_equal(office_one(B, HELD), "\"1\" " SKIPPED);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM d"), "2");
    schema_is(B, "DROP TRIGGER skip");
    assert_int_equal(try_again(B, 100), 1);
    assert_everywhere("SELECT group_concat(id) FROM d", "1");
    assert_everywhere("SELECT group_concat(key || reason) FROM tonle_held", "\"2\"unique");
}

/* Its parent came while the trigger was there: from then on it waits for the trigger, not for a
 * parent. */
static void a_child_that_is_ignored_is_held_for_that(void **state)
{
    office_sql(A, "INSERT INTO c VALUES('x','1')");
    federation_sync(*state);
    assert_everywhere("SELECT key || reason FROM tonle_held", "\"x\"parent");
    schema_is(B, "CREATE TRIGGER skip BEFORE INSERT ON c BEGIN SELECT RAISE(IGNORE); END");
    office_sql(A, "INSERT INTO d VALUES('1','a')");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT id FROM c"), "x");
    assert_string_equal(office_one(B, HELD), "\"x\" " SKIPPED);
    schema_is(B, "DROP TRIGGER skip");
    assert_int_equal(try_again(B, 100), 1);
    assert_everywhere("SELECT id FROM c", "x");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
}

/* The row is taken out and tried as a new one, as where the trigger raises; what no trigger lets
 * in is held. */
static void an_ignored_update_is_held(void **state)
{
    office_sql(A, "INSERT INTO d VALUES('1','a'),('2','b'),('3','c')");
    federation_sync(*state);
    schema_is(B, "CREATE TRIGGER skip BEFORE UPDATE ON d WHEN new.v LIKE 'x%'"
                 " BEGIN SELECT RAISE(IGNORE); END");
    office_sql(A, "UPDATE d SET v = 'x' WHERE id = '1'; UPDATE d SET v = 'y' WHERE id = '2'");
    federation_sync(*state);
    assert_everywhere("SELECT group_concat(id || v) FROM (SELECT * FROM d ORDER BY id)",
                      "1x,2y,3c");
    schema_is(B, "DROP TRIGGER skip; CREATE TRIGGER skip BEFORE INSERT ON d WHEN new.v = 'z'"
                 " BEGIN SELECT RAISE(IGNORE); END; CREATE TRIGGER change BEFORE UPDATE ON d"
                 " WHEN new.v = 'z' BEGIN SELECT RAISE(IGNORE); END");
    office_sql(A, "UPDATE d SET v = 'z' WHERE id = '3'");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM d"), "1,2");
    assert_string_equal(
        office_one(B, "SELECT key || reason || message FROM tonle_held"),
        "\"3\"localtrigger change or skip of this office ignored it (RAISE(IGNORE))");
    schema_is(B, "DROP TRIGGER skip; DROP TRIGGER change");
    released(B, 1);
    assert_everywhere("SELECT group_concat(id || v) FROM (SELECT * FROM d ORDER BY id)",
                      "1x,2y,3z");
}

/* What is dead goes, whatever an office's triggers say. */
static void an_ignored_delete_is_done(void **state)
{
    office_sql(A, "INSERT INTO d VALUES('1','a'),('2','b')");
    federation_sync(*state);
    schema_is(B, "CREATE TRIGGER skip BEFORE DELETE ON d BEGIN SELECT RAISE(IGNORE); END");
    office_sql(A, "DELETE FROM d WHERE id = '1'");
    federation_sync(*state);
    assert_everywhere("SELECT group_concat(id) FROM d", "2");
    assert_int_equal(office_try(B, "DELETE FROM d"), SQLITE_OK);
    assert_string_equal(office_one(B, "SELECT count(*) FROM d"), "1"); /* the trigger is there */
}

/* Which of several triggers it was nobody can say. */
static void all_that_could_be_are_named(void **state)
{
    schema_is(B, "CREATE TRIGGER odd BEFORE INSERT ON d WHEN new.v = 'x' BEGIN"
                 " SELECT RAISE(IGNORE); END; CREATE TRIGGER even BEFORE INSERT ON d"
                 " WHEN new.v = 'y' BEGIN SELECT RAISE(IGNORE); END");
    office_sql(A, "INSERT INTO d VALUES('1','x')");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT message FROM tonle_held"),
                        "trigger even or odd of this office ignored it (RAISE(IGNORE))");
}

static struct load_report load(void **state, enum load_mode mode)
{
    struct load_report report;
    uint64_t pos = store_state_get(HUB->store)->journal_pos;
    assert_ok(store_begin(B->store));
    assert_ok(store_load_begin(B->store, mode));
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        struct load_request request = {.table = order[i], .max_rows = 2};
        struct load_chunk chunk = {0};
        while (!chunk.end) {
            assert_ok(store_chunk_read(HUB->store, &HUB->arena, &request, B->name, &chunk));
            assert_ok(store_load_chunk(B->store, &HUB->arena, &chunk));
            request.after = chunk.last_key;
        }
    }
    assert_ok(store_load_end(B->store, &B->arena, &report));
    assert_ok(store_peer_received(B->store, "hub", pos));
    assert_ok(store_commit(B->store));
    return report;
}

static void seed_hub(void **state)
{
    FEDERATION->n = 2;
    office_sql(A, "INSERT INTO d VALUES('1','x'),('2','y'),('3','x')");
    federation_sync(*state);
    FEDERATION->n = 3;
}

static void a_first_load_holds_what_is_ignored(void **state)
{
    seed_hub(state);
    schema_is(B, "CREATE TRIGGER skip BEFORE INSERT ON d WHEN new.v = 'x'"
                 " BEGIN SELECT RAISE(IGNORE); END");
    load(state, LOAD_EMPTY);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM d"), "2");
    assert_string_equal(office_one(B, HELD), "\"1\" " SKIPPED "; \"3\" " SKIPPED);
}

/* What was here before goes also where a trigger keeps every row. */
static void a_load_that_replaces_leaves_no_old_row(void **state)
{
    seed_hub(state);
    office_sql(B, "INSERT INTO d VALUES('old','o')");
    schema_is(B, "CREATE TRIGGER skip BEFORE DELETE ON d BEGIN SELECT RAISE(IGNORE); END;"
                 "CREATE TRIGGER never BEFORE DELETE ON d BEGIN SELECT RAISE(ABORT, 'no'); END");
    load(state, LOAD_REPLACE);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM (SELECT id FROM d ORDER BY 1)"),
                        "1,2,3");
    office_sql(A,
               "DELETE FROM d WHERE id = '1'"); /* the copies of the triggers are back, unheard */
    federation_sync(*state);
    assert_everywhere("SELECT group_concat(id) FROM (SELECT id FROM d ORDER BY 1)", "2,3");
}

/* A row of the office that the federation lacks, and a column that only it has. */
static void an_adoption_keeps_aside_what_is_ignored(void **state)
{
    seed_hub(state);
    schema_is(B, "ALTER TABLE d ADD COLUMN note TEXT");
    office_sql(B, "INSERT INTO d VALUES('2','y','mine'),('new','n','also mine')");
    schema_is(B, "CREATE TRIGGER skip BEFORE UPDATE ON d BEGIN SELECT RAISE(IGNORE); END;"
                 "CREATE TRIGGER skip_new BEFORE INSERT ON d WHEN new.v = 'n'"
                 " BEGIN SELECT RAISE(IGNORE); END");
    load(state, LOAD_ADOPT);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM (SELECT id FROM d ORDER BY 1)"),
                        "1,2,3");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held WHERE reason = 'local' AND"
                                      " message LIKE 'trigger skip or skip_new of this office%'"),
                        "2");
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT group_concat(id || note) FROM (SELECT * FROM tonle_adopt_%s ORDER BY id)",
             office_one(B, "SELECT t FROM tonle_table WHERE name = 'd'"));
    assert_string_equal(office_one(B, sql), "2mine,newalso mine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(an_ignored_insert_is_held),
        FEDERATION_TEST(what_was_ignored_comes_in_without_the_trigger),
        FEDERATION_TEST(what_was_ignored_comes_in_by_slices),
        FEDERATION_TEST(what_was_ignored_comes_in_for_who_took_its_value),
        FEDERATION_TEST(a_child_that_is_ignored_is_held_for_that),
        FEDERATION_TEST(an_ignored_update_is_held),
        FEDERATION_TEST(an_ignored_delete_is_done),
        FEDERATION_TEST(all_that_could_be_are_named),
        FEDERATION_TEST(a_first_load_holds_what_is_ignored),
        FEDERATION_TEST(a_load_that_replaces_leaves_no_old_row),
        FEDERATION_TEST(an_adoption_keeps_aside_what_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
