/* Tools of the application that drop what they do not know: its own writes go on, and the node says
 * that it cannot. */
#include "tests/unit/node/fixture.h"

#include <string.h>

#define TRIGGERS                                                                                   \
    "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'tonle\\_%' ESCAPE "  \
    "'\\'"
#define WRITE "INSERT INTO note VALUES('behind', 'without capture')"

static void until_fatal(struct net *t)
{
    for (int i = 0; i < 100 && !PROVINCE->fatal; i++)
        net_run(t, 100);
    assert_true(PROVINCE->fatal);
    assert_non_null(strstr(PROVINCE->log, "event=tables-gone"));
    assert_false(HUB->fatal);
}

/* Whichever of them is dropped: the triggers go with it, in one transaction, and the application
 * writes on. Nothing of it is sent, and no row of others is touched. */
static void the_application_goes_on(void **state)
{
    static const char *const dropped[] = {
        "DROP TABLE tonle_meta",
        "DROP TABLE tonle_journal",
        "DELETE FROM tonle_meta", /* and all else, as of a schema that is loaded anew */
        "DROP TABLE tonle_log_6; DROP TABLE tonle_table",
    };
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++) {
        struct net *t = *state;
        net_sql(t, HUB, "INSERT INTO note VALUES('1', 'a')");
        assert_true(net_settle(t, 10000));
        net_sql(t, PROVINCE, dropped[i]);
        if (i == 2)
            net_sql(t, PROVINCE, "DROP TABLE tonle_clock");
        until_fatal(t);
        assert_string_equal(net_text(PROVINCE, TRIGGERS), "0");
        net_sql(t, PROVINCE, WRITE);
        net_run(t, 5000);
        assert_string_equal(net_text(HUB, "SELECT count(*) FROM note"), "1");
        assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "2");
        net_tear_down(state);
        net_set_up_two(state);
    }
}

/* While another program holds the lock the triggers stay, and the node says so all the same. */
static void a_locked_database_keeps_its_triggers(void **state)
{
    struct net *t = *state;
    net_sql(t, PROVINCE, "DROP TABLE tonle_meta; BEGIN IMMEDIATE; CREATE TABLE other(a)");
    until_fatal(t);
    net_sql(t, PROVINCE, "COMMIT");
    assert_string_not_equal(net_text(PROVINCE, TRIGGERS), "0");
    assert_non_null(strstr(PROVINCE->log, "error=busy"));
}

/* A log alone is made again by the node, as a trigger is: what was not captured is compared. */
static void a_log_is_put_back(void **state)
{
    struct net *t = *state;
    net_sql(t, PROVINCE, "DROP TABLE tonle_log_6");
    net_run(t, 1000);
    net_sql(t, PROVINCE, WRITE);
    assert_true(net_settle(t, 20000));
    assert_false(PROVINCE->fatal);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note"), "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(the_application_goes_on),
        TEST_OF_TWO(a_locked_database_keeps_its_triggers),
        TEST_OF_TWO(a_log_is_put_back),
    };
    return check_run(tests);
}
