/* Rows of a table that does not fit at one office: they wait there, and the outcome is the same as
 * where they never waited. */
#include "node/capture/capture.h"
#include "node/capture/publish.h"
#include "node/record/deferral.h"
#include "node/record/record.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE house(id TEXT PRIMARY KEY NOT NULL, village TEXT);"
    "CREATE TABLE visit(id TEXT PRIMARY KEY NOT NULL, house TEXT REFERENCES house(id), note TEXT,"
    " points INTEGER, ticket TEXT UNIQUE);";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
    "{\"name\":\"house\",\"columns\":[]},"
    "{\"name\":\"visit\",\"columns\":[{\"name\":\"points\",\"policy\":\"max\"}]}]}";
static const char tables[] = "house visit";

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, false);
}

/* The office's node notices that its schema is another. */
static void notice(struct office *o, const char *ddl)
{
    office_sql(o, ddl);
    assert_committed(o->store, store_capture_install(o->store));
}

static void sweep(struct office *o)
{
    bool more = true;
    while (more) {
        assert_committed(o->store, store_sweep(o->store, &o->arena, 500, &more));
    }
}

static void rest_equal(void **state)
{
    sweep(B);
    federation_sync(*state);
    federation_assert_equal(*state, tables);
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_deferred"), "0");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held WHERE reason = 'schema'"),
                        "0");
}

/* What no charter ever published is one entry of whoever sends it, however much it is; when a
 * charter publishes it, it comes in. */
static void tables_of_nobody_are_one_entry(void **state)
{
    static const char entry[] = "SELECT group_concat(table_name || key || reason || office) FROM"
                                " tonle_held";
    bool any = true;
    office_sql(B, "UPDATE tonle_charter SET compiled = replace(replace(compiled, '"
                  "\"visit\"', '\"other\"'), '\"house\"', '\"else\"');"
                  "DELETE FROM tonle_table WHERE name IN ('visit', 'house')");
    notice(B, "ALTER TABLE visit RENAME TO visit_away; ALTER TABLE house RENAME TO house_away");
    office_sql(A, "INSERT INTO house VALUES('h1','Prek Leap')");
    federation_sync(*state);
    office_sql(A, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 500)"
                  " INSERT INTO visit(id, house) SELECT 'v' || i, 'h1' FROM n");
    federation_sync(*state);
    assert_string_equal(office_one(B, entry), "house[]schemaoffice1");
    assert_ok(deferral_published(B->store, &any));
    assert_false(any); /* forgetting waits for nobody's tables */
    office_sql(B, "UPDATE tonle_charter SET compiled = replace(compiled, '"
                  "\"else\"', '\"house\"')");
    notice(B, "ALTER TABLE house_away RENAME TO house");
    sweep(B);
    assert_string_equal(office_one(B, "SELECT village FROM house"), "Prek Leap");
    assert_string_equal(office_one(B, entry), "visit[]schemaoffice1"); /* what waits still */
    office_sql(B, "UPDATE tonle_charter SET compiled = replace(compiled, '"
                  "\"other\"', '\"visit\"')");
    notice(B, "ALTER TABLE visit_away RENAME TO visit");
    rest_equal(state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM visit"), "500");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "0");
}

/* A table that refers to one that no charter publishes comes in all the same, and is held for no
 * parent: what is in a table of this office alone is its own matter. When that table is published,
 * the references are looked at. */
static void a_child_comes_in_before_its_parents_table(void **state)
{
    static const char held[] = "SELECT group_concat(table_name || key || reason) FROM tonle_held";
    office_sql(B, "UPDATE tonle_charter SET compiled = json_set(compiled, '$.tables[0].name',"
                  " 'else', '$.tables[1].name', 'other');"
                  "DELETE FROM tonle_table WHERE name IN ('visit', 'house')");
    notice(B, "ALTER TABLE visit RENAME TO visit_away; ALTER TABLE house RENAME TO house_away");
    office_sql(A, "INSERT INTO house VALUES('h1','Prek Leap')");
    office_sql(A, "INSERT INTO visit(id, house) VALUES('v1', 'h1'), ('v2', 'nowhere')");
    federation_sync(*state);
    office_sql(B, "UPDATE tonle_charter SET compiled = json_set(compiled, '$.tables[1].name',"
                  " 'visit')");
    notice(B, "ALTER TABLE visit_away RENAME TO visit");
    sweep(B);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM visit"), "v1,v2");
    assert_string_equal(office_one(B, held), "house[]schema");
    office_sql(B, "UPDATE tonle_charter SET compiled = json_set(compiled, '$.tables[0].name',"
                  " 'house')");
    notice(B, "ALTER TABLE house_away RENAME TO house");
    rest_equal(state);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM visit"), "v1");
    assert_string_equal(office_one(B, held), "visit\"v2\"parent");
}

static void publish(void **state, uint64_t version, const char *house)
{
    struct charter_record c = {.version = version, .schema_version = 1, .yaml = ""};
    char sql[160];
    snprintf(sql, sizeof sql,
             "SELECT json_set(compiled, '$.tables[0].name', '%s') FROM tonle_charter"
             " ORDER BY version DESC LIMIT 1",
             house);
    struct arena a = {0};
    c.compiled = arena_strdup(&a, office_one(HUB, sql));
    assert_committed(HUB->store, store_charter_put(HUB->store, &c));
    assert_true(office_seal(HUB));
    arena_fini(&a);
}

/* A charter that publishes a table no longer holds no row for a parent in it, and one that
 * publishes it again does, whoever had heard of what when the rows came. */
static void a_charter_looks_at_references_again(void **state)
{
    static const char shown[] = "SELECT (SELECT group_concat(id) FROM visit) || ' held ' ||"
                                " (SELECT count(*) FROM tonle_held)";
    const char *now[] = {"v1,v2 held 0", "v1 held 1"};
    office_sql(A, "INSERT INTO house VALUES('h1','Prek Leap');"
                  "INSERT INTO visit(id, house) VALUES('v1', 'h1'), ('v2', 'nowhere')");
    rest_equal(state);
    assert_string_equal(office_one(B, shown), "v1 held 1");
    for (uint64_t i = 0; i < 2; i++) {
        publish(state, 2 + i, i == 0 ? "else" : "house");
        federation_sync(*state);
        for (int o = 0; o < 3; o++) {
            notice(OFFICE(o), "");
            sweep(OFFICE(o));
            assert_string_equal(office_one(OFFICE(o), shown), now[i]);
        }
    }
    rest_equal(state);
}

/* Everything is stable: no change to come is concurrent with what the hub has. */
static void all_stable(void **state)
{
    struct stable st = {.hlc = store_state_get(HUB->store)->hlc};
    clock_copy(&st.clock, &store_state_get(HUB->store)->clock);
    for (int i = 0; i < FEDERATION->n; i++) {
        struct office *o = OFFICE(i);
        assert_committed(o->store, store_set_stable(o->store, &o->arena, &st));
        sweep(o);
    }
    clock_fini(&st.clock);
}

/* Rows of a table that is not made yet are shown as held, one each, the rest of their changesets
 * stands; when the table is made they are there as their last change left them. */
static void a_table_made_later_gets_its_rows(void **state)
{
    notice(B, "DROP TABLE visit");
    office_sql(A,
               "INSERT INTO house VALUES('h1','Prek Leap');"
               "INSERT INTO visit(id,house,note) VALUES('v1','h1','first'),('v2','h1','second')");
    federation_sync(*state);
    office_sql(HUB, "UPDATE visit SET note = 'changed' WHERE id = 'v1'");
    federation_sync(*state);
    office_sql(A, "DELETE FROM visit WHERE id = 'v2'; INSERT INTO visit(id) VALUES('v3')");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT village FROM house"), "Prek Leap");
    assert_string_equal(
        office_one(B, "SELECT group_concat(table_name || key || reason || office) FROM"
                      " (SELECT * FROM tonle_held ORDER BY key)"),
        "visit\"v1\"schemaoffice1,visit\"v2\"schemaoffice1,visit\"v3\"schemaoffice1");
    assert_non_null(strstr(office_one(B, "SELECT message FROM tonle_held"),
                           "table visit is not in this database"));
    notice(B, "CREATE TABLE visit(id TEXT PRIMARY KEY NOT NULL, house TEXT REFERENCES house(id),"
              " note TEXT, points INTEGER, ticket TEXT UNIQUE)");
    rest_equal(state);
    assert_string_equal(office_one(B, "SELECT group_concat(id || coalesce(note,'')) FROM"
                                      " (SELECT * FROM visit ORDER BY id)"),
                        "v1changed,v3");
}

/* A published column that is not there yet makes its table wait as a whole, and nothing of it is
 * lost. */
static void a_column_made_later_has_its_values(void **state)
{
    notice(B, "DROP TABLE visit; CREATE TABLE visit(id TEXT PRIMARY KEY NOT NULL, house TEXT,"
              " points INTEGER, ticket TEXT UNIQUE)");
    office_sql(A, "INSERT INTO visit(id,note,points) VALUES('v1','kept',1)");
    federation_sync(*state);
    office_sql(HUB, "UPDATE visit SET points = 5 WHERE id = 'v1'");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM visit"), "0");
    notice(B, "ALTER TABLE visit ADD COLUMN note TEXT");
    sweep(B);
    assert_string_equal(office_one(B, "SELECT note || points FROM visit"), "kept5");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "0");
}

/* What was concurrent stays concurrent while it waits, also when everything has become stable
 * meanwhile: the later write wins, whoever heard of it later. */
static void what_waits_is_not_forgotten_early(void **state)
{
    office_sql(A, "INSERT INTO visit(id,note) VALUES('v1','old')");
    federation_sync(*state);
    office_sql(A, "UPDATE visit SET note = 'of A' WHERE id = 'v1'");
    office_seal(A);
    B->now_ms += 60000;
    office_sql(B, "UPDATE visit SET note = 'of B' WHERE id = 'v1'");
    office_seal(B);
    notice(B, "ALTER TABLE visit RENAME TO away");
    federation_sync(*state);
    all_stable(state);
    assert_string_equal(office_one(HUB, "SELECT note FROM visit"), "of B");
    notice(B, "ALTER TABLE away RENAME TO visit");
    rest_equal(state);
    assert_string_equal(office_one(B, "SELECT note FROM visit"), "of B");
}

/* What an office writes before it has merged what waits was sealed with that in its clock: it wins
 * here as it does everywhere else, and no conflict is open. */
static void own_writes_meanwhile_have_seen_what_waits(void **state)
{
    office_sql(A, "INSERT INTO visit(id,points,note) VALUES('v1',1,'a'),('v2',1,'b'),('v3',1,'c')");
    federation_sync(*state);
    notice(B, "ALTER TABLE visit RENAME TO away");
    office_sql(A, "UPDATE visit SET points = 9, note = 'of A' WHERE id = 'v1';"
                  "DELETE FROM visit WHERE id = 'v2'; UPDATE visit SET points = 9 WHERE id = 'v3'");
    federation_sync(*state);
    notice(B, "ALTER TABLE away RENAME TO visit");
    office_sql(B, "UPDATE visit SET points = 3 WHERE id = 'v1';"
                  "UPDATE visit SET points = 4 WHERE id = 'v2'; DELETE FROM visit WHERE id = 'v3'");
    office_seal(B);
    rest_equal(state);
    assert_string_equal(office_one(B, "SELECT group_concat(id || points || note) FROM"
                                      " (SELECT * FROM visit ORDER BY id)"),
                        "v13of A,v24b");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_conflict WHERE state = 'open'"),
                        "0");
}

/* Concurrent writes of others that waited are the conflict they are elsewhere. */
static void conflicts_that_waited_are_shown(void **state)
{
    office_sql(A, "INSERT INTO visit(id,points) VALUES('v1',1)");
    federation_sync(*state);
    notice(B, "ALTER TABLE visit RENAME TO away");
    office_sql(A, "UPDATE visit SET points = 7 WHERE id = 'v1'");
    office_sql(HUB, "UPDATE visit SET points = 6 WHERE id = 'v1'");
    federation_sync(*state);
    office_sql(A, "INSERT INTO visit(id,ticket) VALUES('v2','T')");
    HUB->now_ms += 9000;
    office_sql(HUB, "INSERT INTO visit(id,ticket) VALUES('v3','T')");
    federation_sync(*state);
    notice(B, "ALTER TABLE away RENAME TO visit");
    rest_equal(state);
    assert_string_equal(
        office_one(B, "SELECT cell || policy FROM tonle_conflict WHERE state='open'"), "pointsmax");
    assert_string_equal(office_one(B, "SELECT key || reason || blocked_by FROM tonle_held"),
                        "\"v3\"unique\"v2\"");
}

/* What comes while others of its table still wait is merged behind them, not before. */
static void later_changes_wait_behind(void **state)
{
    notice(B, "ALTER TABLE visit RENAME TO away");
    for (int i = 0; i < 3; i++) {
        office_sql(A, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                      " WHERE i < 400) INSERT INTO visit(id,note) SELECT"
                      " 'v' || i || '.' || (SELECT count(*) FROM visit), 'born' FROM n");
        federation_sync(*state);
    }
    notice(B, "ALTER TABLE away RENAME TO visit");
    office_sql(A, "UPDATE visit SET note = 'last'");
    office_seal(A);
    office_pull(B, A);
    assert_string_not_equal(office_one(B, "SELECT count(*) FROM tonle_deferred"), "0");
    assert_string_equal(office_one(B, "SELECT count(*) FROM visit WHERE note = 'last'"), "0");
    rest_equal(state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM visit WHERE note = 'last'"), "1200");
}

/* While the parent's table is not there, its children stand; once it is, those without a parent are
 * held as everywhere. */
static void references_are_looked_at_again(void **state)
{
    notice(B, "ALTER TABLE house RENAME TO away");
    office_sql(A, "INSERT INTO visit(id,house) VALUES('v1','none'),('v2','h2');"
                  "INSERT INTO house VALUES('h2','x')");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT id FROM visit"), "v2");
    assert_string_equal(office_one(B, "SELECT count(*) FROM visit"), "2");
    notice(B, "ALTER TABLE away RENAME TO house");
    rest_equal(state);
    assert_string_equal(office_one(B, "SELECT key || reason FROM tonle_held"), "\"v1\"parent");
}

/* The same where the child's table still names the one that is missing: nothing stops. */
static void a_reference_to_a_missing_table_stops_nothing(void **state)
{
    notice(B, "PRAGMA legacy_alter_table = ON; ALTER TABLE house RENAME TO away");
    office_sql(A, "INSERT INTO visit(id,house) VALUES('v1','none'),('v2','h2');"
                  "INSERT INTO house VALUES('h2','x')");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM visit"), "2");
    office_sql(B, "UPDATE visit SET note = 'seen' WHERE id = 'v2'");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT note FROM visit"), "seen");
    notice(B, "ALTER TABLE away RENAME TO house");
    rest_equal(state);
    assert_string_equal(office_one(B, "SELECT key || reason FROM tonle_held"), "\"v1\"parent");
}

/* A changeset that waits and is not in the journal any more ends the sweep with its position. */
static void a_lost_changeset_is_named(void **state)
{
    bool more;
    char where[64];
    notice(B, "ALTER TABLE visit RENAME TO away");
    office_sql(A, "INSERT INTO visit(id) VALUES('v1')");
    federation_sync(*state);
    snprintf(where, sizeof where, "at position %s of the journal",
             office_one(B, "SELECT pos FROM tonle_deferred"));
    notice(B, "ALTER TABLE away RENAME TO visit");
    MUST(B->store, store_begin(B->store));
    MUST(B->store, store_exec(B->store, "DELETE FROM tonle_journal"
                                        " WHERE pos IN (SELECT pos FROM tonle_deferred)"));
    assert_err(store_sweep(B->store, &B->arena, 500, &more), ERR_CORRUPT);
    assert_non_null(strstr(store_message(B->store), where));
    store_rollback(B->store);
}

static void publish_to_all(void **state, uint64_t version, const char *house)
{
    publish(state, version, house);
    federation_sync(*state);
    for (int o = 0; o < 3; o++) {
        notice(OFFICE(o), "");
        sweep(OFFICE(o));
    }
}

/* A charter's references that something here keeps from being held to: it is told, nothing of it is
 * done, and the sweep goes on; once more when somebody has seen to it. */
static void who_cannot_be_held_stops_no_sweep(void **state)
{
    static const char refused[] =
        "SELECT count(*) || coalesce(max(CAST(v AS TEXT) LIKE '%CHECK%v2%'"
        "), '') FROM tonle_meta WHERE k = 'parents_refused'";
    publish_to_all(state, 2, "else");
    office_sql(A, "INSERT INTO visit(id,house) VALUES('v1','none'),('v2','none')");
    federation_sync(*state);
    office_sql(B, "ALTER TABLE tonle_held ADD COLUMN x CHECK(key NOT LIKE '%v2%')");
    publish_to_all(state, 3, "house");
    assert_string_equal(office_one(B, refused), "11");
    assert_string_equal(office_one(B, "SELECT count(*) FROM visit"), "2");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_meta WHERE k = 'parents_due'"),
                        "0");
    office_sql(B, "ALTER TABLE tonle_held DROP COLUMN x");
    assert_committed(B->store, store_parents_again(B->store));
    rest_equal(state);
    assert_string_equal(office_one(B, refused), "0");
    assert_string_equal(office_one(B, "SELECT count(*) FROM visit"), "0");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "2");
}

/* The same where a table is back: neither a sweep nor what others send waits for it. */
static void a_table_that_is_back_stops_nothing(void **state)
{
    static const char refused[] =
        "SELECT CAST(v AS TEXT) LIKE '%CHECK%v2%' FROM tonle_meta WHERE k = 'parents_refused'";
    struct apply_report report;
    bool more;
    notice(B, "ALTER TABLE house RENAME TO house_away");
    office_sql(A, "INSERT INTO house VALUES('h1','Prek Leap');"
                  "INSERT INTO visit(id,house) VALUES('v1','h1'),('v2','none')");
    federation_sync(*state);
    office_sql(B, "ALTER TABLE tonle_held ADD COLUMN x CHECK(key NOT LIKE '%v2%')");
    notice(B, "ALTER TABLE house_away RENAME TO house");
    office_sql(A, "INSERT INTO house VALUES('h2','other')");
    assert_true(office_seal(A));
    struct dot innocent = {A->site, store_state_get(A->store)->seq};
    assert_ok(office_take(B, A, innocent, &report));
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM house"), "h1,h2");
    assert_string_equal(office_one(B, refused), "1");
    assert_committed(B->store, store_sweep(B->store, &B->arena, 500, &more));
    office_sql(B, "ALTER TABLE tonle_held DROP COLUMN x");
    assert_committed(B->store, store_parents_again(B->store));
    rest_equal(state);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM visit"), "v1");
}

static void set_stable(struct store *s, const char *table, const char *expression)
{
    char sql[200];
    snprintf(sql, sizeof sql, "UPDATE tonle_deferred SET stable = %s WHERE name = '%s'", expression,
             table);
    MUST(s, store_exec(s, sql));
}

/* Where one table's clock cannot be read, that is an error and not "none waits", as often as it is
 * asked, and nothing of the first reading is left when it can be read again. */
static void an_error_is_not_taken_for_none(void **state)
{
    struct store *s = B->store;
    struct deferral *d;
    bool waits;
    notice(B, "ALTER TABLE visit RENAME TO away; ALTER TABLE house RENAME TO gone");
    office_sql(A, "INSERT INTO house(id) VALUES('h1'); INSERT INTO visit(id) VALUES('v1')");
    federation_sync(*state);
    MUST(s, store_begin(s));
    deferral_forget(s);
    set_stable(s, "visit", "x'ff'");
    for (int i = 0; i < 2; i++)
        assert_err(defer_waits(s, "house", &waits), ERR_CORRUPT);
    set_stable(s, "visit", "(SELECT stable FROM tonle_deferred WHERE name = 'house')");
    MUST(s, deferral_list(s, &d));
    assert_true(d && d->next && !d->next->next);
    store_rollback(s);
}

/* The same behind a table that has come in. */
static void a_table_that_cannot_be_read_ends_the_sweep(void **state)
{
    struct store *s = B->store;
    bool waits, more;
    notice(B, "ALTER TABLE visit RENAME TO away; ALTER TABLE house RENAME TO gone");
    office_sql(A, "INSERT INTO house(id) VALUES('h1'); INSERT INTO visit(id) VALUES('v1')");
    federation_sync(*state);
    notice(B, "ALTER TABLE gone RENAME TO house");
    MUST(s, store_begin(s));
    MUST(s, defer_waits(s, "visit", &waits));
    assert_true(waits);
    set_stable(s, "visit", "x'ff'");
    assert_err(store_sweep(s, &B->arena, 500, &more), ERR_CORRUPT);
    store_rollback(s);
}

static void sealed(struct office *o, const char *sql)
{
    o->now_ms += 1000;
    office_sql(o, sql);
    assert_true(office_seal(o));
}

/* A birth that was sealed beside one that waits has seen it: it is no twin of it, here as
 * elsewhere. */
static void an_own_birth_has_seen_what_waits(void **state)
{
    notice(B, "ALTER TABLE visit RENAME TO away");
    sealed(A, "INSERT INTO visit(id,note) VALUES('v1','same'),('v2','same')");
    federation_sync(*state);
    notice(B, "ALTER TABLE away RENAME TO visit");
    sealed(B, "INSERT INTO visit(id,note) VALUES('v1','same')");
    sealed(HUB, "DELETE FROM visit WHERE id = 'v2'");
    sealed(A, "INSERT INTO visit(id,note) VALUES('v3','same')");
    sealed(B, "INSERT INTO visit(id,note) VALUES('v3','same')"); /* this one has not */
    rest_equal(state);
    assert_everywhere("SELECT group_concat(key || reason) FROM tonle_held", "\"v1\"birth");
    assert_everywhere("SELECT group_concat(key) FROM tonle_conflict WHERE state = 'open'",
                      "\"v1\"");
}

/* All offices pass a mark, with the names that the hub keeps. */
static void pass(void **state, const struct clock *clock)
{
    struct arena a = {0};
    struct stable st = {.hlc = store_state_get(HUB->store)->hlc, .clock = *clock};
    assert_ok(store_begin_read(HUB->store));
    assert_ok(store_keep_list(HUB->store, &a, clock, &st.keep, &st.n_keep));
    assert_ok(store_commit(HUB->store));
    for (int i = 0; i < FEDERATION->n; i++) {
        assert_committed(OFFICE(i)->store, store_set_stable(OFFICE(i)->store, &a, &st));
        sweep(OFFICE(i));
    }
    arena_fini(&a);
}

/* Two equal births, each with a change that had not seen the other: while they wait, the hub lists
 * their names no longer, because one of them is gone. They are looked at with the names that were
 * kept when they came. */
static void names_that_were_kept_are_kept_for_what_waits(void **state)
{
    struct clock born = {0};
    sealed(A, "INSERT INTO visit(id,note) VALUES('v1','same')");
    HUB->now_ms += 5000;
    sealed(HUB, "INSERT INTO visit(id,note) VALUES('v1','same')");
    clock_copy(&born, &store_state_get(HUB->store)->clock);
    office_pull(A, HUB);
    sealed(HUB, "UPDATE visit SET note = 'of HUB'");
    office_pull(HUB, A);
    office_pull(B, HUB);
    clock_join(&born, &store_state_get(A->store)->clock);
    pass(state, &born);
    notice(B, "ALTER TABLE visit RENAME TO away");
    sealed(A, "UPDATE visit SET note = 'of A'");
    federation_sync(*state);
    sealed(A, "DELETE FROM visit");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT note FROM visit"), "of HUB");
    pass(state, &store_state_get(HUB->store)->clock);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_row"), "0");
    notice(B, "ALTER TABLE away RENAME TO visit");
    rest_equal(state);
    assert_everywhere("SELECT note FROM visit", "of HUB");
    sealed(B, "DELETE FROM visit");
    rest_equal(state);
    assert_everywhere("SELECT count(*) FROM visit", "0");
    pass(state, &store_state_get(HUB->store)->clock);
    assert_everywhere("SELECT count(*) FROM tonle_keep", "0");
    clock_fini(&born);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_table_made_later_gets_its_rows),
        FEDERATION_TEST(a_column_made_later_has_its_values),
        FEDERATION_TEST(a_child_comes_in_before_its_parents_table),
        FEDERATION_TEST(a_charter_looks_at_references_again),
        FEDERATION_TEST(tables_of_nobody_are_one_entry),
        FEDERATION_TEST(what_waits_is_not_forgotten_early),
        FEDERATION_TEST(own_writes_meanwhile_have_seen_what_waits),
        FEDERATION_TEST(conflicts_that_waited_are_shown),
        FEDERATION_TEST(later_changes_wait_behind),
        FEDERATION_TEST(references_are_looked_at_again),
        FEDERATION_TEST(a_reference_to_a_missing_table_stops_nothing),
        FEDERATION_TEST(a_lost_changeset_is_named),
        FEDERATION_TEST(who_cannot_be_held_stops_no_sweep),
        FEDERATION_TEST(a_table_that_is_back_stops_nothing),
        FEDERATION_TEST(an_error_is_not_taken_for_none),
        FEDERATION_TEST(a_table_that_cannot_be_read_ends_the_sweep),
        FEDERATION_TEST(an_own_birth_has_seen_what_waits),
        FEDERATION_TEST(names_that_were_kept_are_kept_for_what_waits),
    };
    return check_run(tests);
}
