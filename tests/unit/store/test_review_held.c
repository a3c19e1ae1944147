/* The review desk: held rows that a person settles, and who may decide what. */
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/lists.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE house(id TEXT PRIMARY KEY NOT NULL, commune TEXT NOT NULL, village TEXT) WITHOUT "
    "ROWID;"
    "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, ident TEXT UNIQUE, name TEXT, phone TEXT, "
    "age INTEGER CHECK(age < 200), house TEXT REFERENCES house(id)) WITHOUT ROWID;";
#define TABLES                                                                                     \
    "\"tables\":[{\"name\":\"house\",\"scope\":{\"column\":\"commune\"},\"policy\":\"max\"},"      \
    "{\"name\":\"person\",\"scope\":{\"follow\":\"house\"},\"policy\":\"max\"}]}"
static const char tables[] = "house person tonle_decision";

static struct arena kept;

static int begin(void **state, const char *charter)
{
    return federation_set_up(state, 3, schema, charter, false);
}

static int start(void **state)
{
    return begin(state,
                 "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"any\"," TABLES);
}

static int start_owner(void **state)
{
    return begin(state, "{\"federation\":\"test\",\"schema_version\":1," TABLES);
}

static int start_national(void **state)
{
    return begin(
        state, "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"national\"," TABLES);
}

static int start_unit(void **state)
{
    return begin(state,
                 "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"12\"," TABLES);
}

static int stop(void **state)
{
    federation_stop(*state);
    arena_fini(&kept);
    return 0;
}

static enum err settle(struct office *o, const char *id, enum held_action action,
                       const struct assignment *set, size_t n)
{
    struct held_settled settled;
    struct review review = {
        .by = "sok", .reason = "the paper", .now_ms = o->now_ms, .set = set, .n_set = n};
    assert_ok(store_begin(o->store));
    enum err e = store_held_settle(o->store, &kept, id, action, &review, &settled);
    return office_end(o, e);
}

static void settle_must(struct office *o, const char *id, enum held_action action,
                        const struct assignment *set, size_t n)
{
    enum err e = settle(o, id, action, set, n);
    assert_store_ok(o->store, e);
}

static const char *held_one(struct office *o, const char *reason)
{
    size_t n;
    struct held_record *list = lists_held(o->store, &kept, &n);
    assert_int_equal(n, 1);
    assert_string_equal(list[0].reason, reason);
    return list[0].id;
}

static void none_held(void **state)
{
    for (int i = 0; i < 3; i++)
        assert_string_equal(office_one(OFFICE(i), "SELECT count(*) FROM tonle_held"), "0");
    federation_assert_equal(*state, tables);
}

/* Two people entered with one number; the second is held. */
static void clash(void **state)
{
    office_sql(A, "INSERT INTO person VALUES('p1','i1','Sok',NULL,NULL,NULL)");
    B->now_ms += 1000;
    office_sql(B, "INSERT INTO person VALUES('p2','i1','Som','012',30,NULL)");
    federation_sync(*state);
}

/* A held row gets another value, at an office that did not write it, and stands everywhere. */
static void a_held_row_gets_the_right_value(void **state)
{
    struct assignment set = {"ident", "i2", false};
    clash(state);
    settle_must(A, held_one(A, "unique"), HELD_SET, &set, 1);
    federation_sync(*state);
    assert_string_equal(
        office_one(HUB, "SELECT ident || name || phone FROM person WHERE id = 'p2'"), "i2Som012");
    none_held(state);
}

/* A change of key is a rename: the birth goes from its key and stands at the other with all its
 * values; a key that is taken is refused, and nothing is queued. */
static void a_held_birth_is_renamed(void **state)
{
    struct assignment set[] = {{"id", "p1", false}, {"name", "Som the second", false}};
    office_sql(A, "INSERT INTO person VALUES('p1',NULL,'Sok',NULL,NULL,NULL)");
    B->now_ms += 1000;
    office_sql(B, "INSERT INTO person VALUES('p1',NULL,'Som','012',30,NULL); INSERT INTO person "
                  "VALUES('p9',NULL,'x',NULL,NULL,NULL)");
    federation_sync(*state);
    const char *id = held_one(HUB, "birth");
    set[0].text = "p9";
    assert_err(settle(HUB, id, HELD_SET, set, 2), ERR_EXISTS);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_todo"), "0");
    set[0].text = "p3";
    settle_must(HUB, id, HELD_SET, set, 2);
    assert_err(settle(HUB, id, HELD_SET, set, 2), ERR_EXISTS); /* it is queued already */
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT name || phone || age FROM person WHERE id = 'p3'"),
                        "Som the second01230");
    assert_string_equal(office_one(B, "SELECT name FROM person WHERE id = 'p1'"), "Sok");
    none_held(state);
}

/* Merged into the row in its way: that one keeps what it has and takes what it lacks; --set says
 * otherwise; the held row is gone. */
static void a_held_row_is_merged_into_the_one_in_its_way(void **state)
{
    struct assignment set = {"name", "Sok Som", false};
    clash(state);
    office_sql(B, "UPDATE person SET name = 'an application' WHERE id = 'p1'"); /* would stand */
    assert_err(settle(B, held_one(B, "unique"), HELD_MERGE, &set, 1), ERR_BUSY);
    federation_sync(*state);
    settle_must(B, held_one(B, "unique"), HELD_MERGE, &set, 1);
    federation_sync(*state);
    assert_string_equal(
        office_one(HUB, "SELECT group_concat(id || ident || name || phone || age) FROM person"),
        "p1i1Sok Som01230");
    none_held(state);
}

/* The same with two births of one key. */
static void a_held_birth_is_merged(void **state)
{
    office_sql(A, "INSERT INTO person VALUES('p1',NULL,'Sok',NULL,7,NULL)");
    B->now_ms += 1000;
    office_sql(B, "INSERT INTO person VALUES('p1','i5','Som','012',30,NULL)");
    federation_sync(*state);
    settle_must(A, held_one(A, "birth"), HELD_MERGE, NULL, 0);
    federation_sync(*state);
    assert_string_equal(
        office_one(HUB, "SELECT group_concat(id || ident || name || phone || age) FROM person"),
        "p1i5Sok0127");
    none_held(state);
}

/* A dropped row is gone everywhere, what stands is not touched, and the decision says who and why.
 */
static void a_held_row_is_dropped(void **state)
{
    clash(state);
    settle_must(HUB, held_one(HUB, "unique"), HELD_DROP, NULL, 0);
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM person"), "p1");
    assert_string_equal(
        office_one(A, "SELECT subject || cell || key || choice || operator || office || reason "
                      "FROM tonle_decision"),
        "heldunique\"p2\"droppedsokhubthe paper");
    none_held(state);
}

/* Nothing is merged where no row is in the way, and what no decision can help says what does. */
static void a_senseless_settlement_is_refused(void **state)
{
    office_sql(A, "INSERT INTO house VALUES('h1','12','v')");
    federation_sync(*state);
    office_sql(A, "DELETE FROM house");
    office_sql(B, "INSERT INTO person VALUES('p1',NULL,'Sok',NULL,NULL,'h1')");
    federation_sync(*state);
    const char *id = held_one(A, "parent");
    assert_err(settle(A, id, HELD_MERGE, NULL, 0), ERR_STATE);
    assert_err(settle(A, "0123456789abcdef", HELD_DROP, NULL, 0), ERR_NOT_FOUND);
    office_sql(A, "UPDATE tonle_held SET reason = 'schema'");
    assert_err(settle(A, id, HELD_DROP, NULL, 0), ERR_STATE);
    assert_non_null(strstr(store_message(A->store), "tonle held retry"));
    office_sql(A, "UPDATE tonle_held SET reason = 'parent'");
    struct assignment set = {"house", "null", true};
    settle_must(A, id, HELD_SET, &set, 1);
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM person"), "1");
    none_held(state);
}

/* review_by owner: the enrolled office with the longest unit over the row's scope, also where the
 * row follows another; whose write is held may settle it all the same. */
static void the_owner_decides(void **state)
{
    office_sql(HUB, "UPDATE tonle_node SET unit = '13' WHERE name = 'office2'");
    office_sql(A, "UPDATE tonle_node SET unit = '13' WHERE name = 'office2'");
    office_sql(B, "UPDATE tonle_node SET unit = '13' WHERE name = 'office2';"
                  "UPDATE tonle_meta SET v = '13' WHERE k = 'unit';"
                  "UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'");
    office_sql(HUB, "INSERT INTO house VALUES('h1','1201','v'),('h2','99','v'); INSERT INTO person "
                    "VALUES('p1','i1','Sok',NULL,NULL,'h1')");
    federation_sync(*state);
    A->now_ms += 1000;
    office_sql(A, "UPDATE house SET village = 'a'; UPDATE person SET name = 'a'");
    office_sql(B, "UPDATE house SET village = 'b'; UPDATE person SET name = 'b'");
    federation_sync(*state);
    static const struct {
        const char *table, *key;
        int who; /* the office that may */
    } table[] = {{"house", "\"h1\"", 1}, {"house", "\"h2\"", 0}, {"person", "\"p1\"", 1}};
    size_t n;
    struct conflict_record *list = lists_conflicts(HUB->store, &kept, true, &n);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 3; k++)
            for (int o = 0; o < 3; o++) {
                if (strcmp(table[k].table, list[i].table) != 0 ||
                    strcmp(table[k].key, list[i].key_json) != 0)
                    continue;
                struct store *s = OFFICE(o)->store;
                assert_int_equal(store_conflict_may(s, &kept, list[i].id),
                                 o == table[k].who ? ERR_OK : ERR_REFUSED);
            }
}

static void rights_are(void **state, enum err hub, enum err a, enum err b)
{
    clash(state);
    const char *id = held_one(HUB, "unique");
    assert_int_equal(settle(HUB, id, HELD_DROP, NULL, 0), hub);
    assert_int_equal(settle(A, id, HELD_DROP, NULL, 0), a);
    assert_int_equal(settle(B, id, HELD_DROP, NULL, 0), b);
    if (a == ERR_REFUSED)
        assert_string_equal(office_one(A, "SELECT (SELECT count(*) FROM tonle_todo) || (SELECT "
                                          "count(*) FROM tonle_decision)"),
                            "00");
}

/* review_by national: the nation's office, and whose write it is (office2). */
static void the_nation_decides(void **state)
{
    rights_are(state, ERR_OK, ERR_REFUSED, ERR_OK);
}

/* review_by a unit: an office of that unit. */
static void a_unit_decides(void **state)
{
    rights_are(state, ERR_REFUSED, ERR_OK, ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_held_row_gets_the_right_value),
        TEST(a_held_birth_is_renamed),
        TEST(a_held_row_is_merged_into_the_one_in_its_way),
        TEST(a_held_birth_is_merged),
        TEST(a_held_row_is_dropped),
        TEST(a_senseless_settlement_is_refused),
        cmocka_unit_test_setup_teardown(the_owner_decides, start_owner, stop),
        cmocka_unit_test_setup_teardown(the_nation_decides, start_national, stop),
        cmocka_unit_test_setup_teardown(a_unit_decides, start_unit, stop),
    };
    return check_run(tests);
}
