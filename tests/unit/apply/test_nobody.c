/* A row that was entered while capture was away is nobody's until its table is compared: what is
 * done to it meanwhile is done to no row of others that has the same key. */
#include "node/capture/capture.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

static const char schema[] = "CREATE TABLE t(id TEXT PRIMARY KEY, v TEXT, u TEXT UNIQUE)";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"t\",\"columns\":[]}]}";

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, false);
}

static const char held[] =
    "SELECT ifnull(group_concat(key || reason, ' '), '-') FROM (SELECT * FROM tonle_held"
    " ORDER BY key)";

/* Without triggers, which are put back then. */
static void in_a_gap(struct office *o, const char *sql)
{
    office_sql(o, "DROP TRIGGER tonle_ins_6; DROP TRIGGER tonle_upd_6; DROP TRIGGER tonle_del_6");
    office_sql(o, sql);
    assert_committed(o->store, store_capture_install(o->store));
    assert_string_equal(office_one(o, "SELECT state FROM tonle_gap"), "1");
}

/* Two took one number, and everybody has seen which is held. */
static void hold_one(void **state)
{
    HUB->now_ms += 1000;
    office_sql(HUB, "INSERT INTO t VALUES('held','hub','number')");
    office_sql(A, "INSERT INTO t VALUES('stands','a','number')");
    federation_sync(*state);
    federation_settle(*state);
    assert_string_equal(office_one(A, held), "\"held\"unique");
}

static void a_delete_of_it_deletes_no_row_of_others(void **state)
{
    hold_one(state);
    in_a_gap(A, "INSERT INTO t VALUES('held','entered','other')");
    office_sql(A, "DELETE FROM t WHERE id = 'held'");
    federation_sync(*state);
    assert_everywhere(held, "\"held\"unique");
}

static void a_change_of_it_changes_no_row_of_others(void **state)
{
    hold_one(state);
    in_a_gap(A, "INSERT INTO t VALUES('held','entered','other')");
    office_sql(A, "UPDATE t SET v = 'changed' WHERE id = 'held'");
    federation_sync(*state);
    assert_everywhere(held, "\"held\"unique");
    office_sql(HUB, "DELETE FROM t WHERE id = 'stands'");
    office_seal(HUB);
    assert_string_equal(office_one(HUB, "SELECT v FROM t WHERE id = 'held'"), "hub");
}

/* Of a row that others have all is sent, as ever. */
static void a_row_of_others_is_changed_as_ever(void **state)
{
    hold_one(state);
    in_a_gap(A, "UPDATE t SET v = 'in the gap' WHERE id = 'stands'");
    office_sql(A, "UPDATE t SET u = 'free' WHERE id = 'stands'");
    federation_sync(*state);
    assert_everywhere(held, "-");
    assert_everywhere("SELECT u FROM t WHERE id = 'stands'", "free");
}

static const char found[] = "SELECT cell || state || coalesce(detail, value) || office FROM"
                            " tonle_conflict JOIN tonle_side USING(n) WHERE seq = 0 AND site <> 0"
                            " AND key = '\"held\"'";

/* It is not taken for the row that is held under its key, whose name is forgotten. */
static void it_is_kept_when_who_was_held_comes_in(void **state)
{
    hold_one(state);
    in_a_gap(A, "INSERT INTO t VALUES('held','entered','other')");
    office_sql(HUB, "DELETE FROM t WHERE id = 'stands'");
    federation_sync(*state);
    assert_everywhere("SELECT v FROM t", "hub");
    assert_string_equal(office_one(A, found),
                        "existsauto{\"id\":\"held\",\"v\":\"entered\",\"u\":\"other\"}office1");
}

/* It was there first, and who came for its key is held beside it; everybody else has that row
 * alone, and forgets its name. */
static void enter_first(void **state)
{
    in_a_gap(A, "INSERT INTO t VALUES('key','entered','other')");
    office_sql(HUB, "INSERT INTO t VALUES('key','hub','number')");
    federation_sync(*state);
    assert_string_equal(office_one(A, held), "\"key\"birth");
    federation_pass_mark(*state, 3, NULL);
}

static void who_was_first_is_deleted_alone(void **state)
{
    enter_first(state);
    office_sql(A, "DELETE FROM t");
    federation_sync(*state);
    assert_everywhere("SELECT v FROM t", "hub");
    assert_everywhere(held, "-");
    assert_everywhere("SELECT count(*) FROM tonle_conflict WHERE state = 'open'", "0");
}

/* Also where nobody has forgotten anything. */
static void who_was_held_for_it_comes_in(void **state)
{
    in_a_gap(A, "INSERT INTO t VALUES('key','entered','other')");
    office_sql(HUB, "INSERT INTO t VALUES('key','hub','number')");
    federation_sync(*state);
    office_sql(A, "DELETE FROM t");
    federation_sync(*state);
    assert_everywhere("SELECT v FROM t", "hub");
    assert_everywhere(held, "-");
    assert_everywhere("SELECT count(*) FROM tonle_conflict WHERE state = 'open'", "0");
}

static void who_was_first_is_changed_alone(void **state)
{
    enter_first(state);
    office_sql(A, "UPDATE t SET v = 'changed'");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT v FROM t"), "hub");
}

/* All have both, and know it. */
static void who_was_first_everywhere_is_changed_as_ever(void **state)
{
    office_sql(HUB, "INSERT INTO t VALUES('key','hub','number')");
    office_sql(B, "INSERT INTO t VALUES('key','b','other')");
    federation_sync(*state);
    federation_pass_mark(*state, 3, NULL);
    in_a_gap(A, "SELECT 1");
    office_sql(A, "UPDATE t SET v = 'changed'");
    federation_sync(*state);
    assert_everywhere("SELECT v FROM t", "changed");
}

/* Changed in the gap, and held before anybody compared it: what another office does to it then is
 * done to what it was not. */
static void change_and_hold(void **state)
{
    A->now_ms += 5000;
    office_sql(A, "INSERT INTO t VALUES('held','a','number')");
    office_seal(A);
    office_pull(B, A);
    in_a_gap(A, "UPDATE t SET v = 'entered'");
    office_sql(HUB, "INSERT INTO t VALUES('stands','hub','number')");
    office_seal(HUB);
    office_pull(A, HUB);
    assert_string_equal(office_one(A, held), "\"held\"unique");
}

static void what_it_was_is_kept_when_it_is_deleted(void **state)
{
    change_and_hold(state);
    office_sql(B, "DELETE FROM t WHERE id = 'held'");
    office_seal(B);
    office_pull(A, B);
    assert_string_equal(office_one(A, found), "existsauto{\"id\":\"held\",\"v\":\"entered\",\"u\":"
                                              "\"number\"}office1");
}

static void what_it_was_is_kept_when_it_is_changed(void **state)
{
    change_and_hold(state);
    office_sql(B, "UPDATE t SET v = 'b' WHERE id = 'held'");
    office_seal(B);
    office_pull(A, B);
    assert_string_equal(office_one(A, found), "vautoenteredoffice1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_delete_of_it_deletes_no_row_of_others),
        FEDERATION_TEST(a_change_of_it_changes_no_row_of_others),
        FEDERATION_TEST(a_row_of_others_is_changed_as_ever),
        FEDERATION_TEST(it_is_kept_when_who_was_held_comes_in),
        FEDERATION_TEST(who_was_first_is_deleted_alone),
        FEDERATION_TEST(who_was_first_is_changed_alone),
        FEDERATION_TEST(who_was_held_for_it_comes_in),
        FEDERATION_TEST(who_was_first_everywhere_is_changed_as_ever),
        FEDERATION_TEST(what_it_was_is_kept_when_it_is_deleted),
        FEDERATION_TEST(what_it_was_is_kept_when_it_is_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
