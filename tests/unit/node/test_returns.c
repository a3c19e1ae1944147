/* A row that this office alone refuses is tried again by itself, when what refuses it may be
 * another. */
#include "node/apply/apply.h"
#include "node/record/table.h"
#include "tests/unit/node/gaps.h"

#include <stdio.h>

static const char held[] = "SELECT ifnull(group_concat(key || reason), '-') FROM"
                           " (SELECT * FROM tonle_held ORDER BY key)";
static const char notes[] =
    "SELECT ifnull(group_concat(id), '-') FROM (SELECT id FROM note ORDER BY id)";

/* The trigger writes what it has seen beside the table, and lets nothing pass while shut. */
static void shut(struct net *t)
{
    net_sql(t, PROVINCE,
            "CREATE TABLE local_shut(why TEXT); INSERT INTO local_shut VALUES('stock');"
            "CREATE TABLE local_seen(id TEXT);"
            "CREATE TRIGGER door BEFORE INSERT ON note WHEN EXISTS(SELECT 1 FROM local_shut) BEGIN"
            " INSERT INTO local_seen VALUES(new.id); SELECT RAISE(IGNORE); END");
    assert_true(net_settle(t, 10000));
    net_sql(t, HUB, "INSERT INTO note VALUES('1', 'a'), ('2', 'b')");
    assert_true(net_until(t, PROVINCE, held, "\"1\"local,\"2\"local", 10000));
}

static void it_returns_without_the_trigger(void **state)
{
    struct net *t = *state;
    shut(t);
    net_sql(t, PROVINCE, "DROP TRIGGER door");
    assert_true(net_until(t, PROVINCE, notes, "1,2", 5000));
    assert_string_equal(net_text(PROVINCE, held), "-");
}

/* Also where that was done while the node did not run. */
static void it_returns_at_a_start(void **state)
{
    struct net *t = *state;
    shut(t);
    net_halt(t, PROVINCE);
    net_sql(t, PROVINCE, "DROP TRIGGER door");
    net_boot(t, PROVINCE);
    assert_true(net_until(t, PROVINCE, notes, "1,2", 5000));
}

/* What the trigger reads may have changed: looked at when somebody has written, ever more seldom
 * while they go on, and a row that still cannot come in leaves nothing behind. */
static void it_returns_when_the_trigger_lets_it(void **state)
{
    struct net *t = *state;
    char seen[16];
    shut(t);
    snprintf(seen, sizeof seen, "%s", net_text(PROVINCE, "SELECT count(*) FROM local_seen"));
    for (int i = 0; i < 30; i++) {
        net_sql(t, PROVINCE, "INSERT INTO local_shut VALUES('more')");
        net_run(t, 20000);
    }
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM local_seen"), seen);
    assert_string_equal(net_text(PROVINCE, held), "\"1\"local,\"2\"local");
    net_sql(t, PROVINCE, "DELETE FROM local_shut");
    assert_true(net_until(t, PROVINCE, notes, "1,2", 601000));
    assert_string_equal(net_text(PROVINCE, held), "-");
}

/* A trigger that rolls back for one row keeps no other out; of what it rolls back are the copies of
 * the triggers that the node has made. */
static void each_row_is_tried_for_itself(void **state)
{
    struct net *t = *state;
    shut(t);
    net_sql(t, PROVINCE,
            "DROP TRIGGER door; CREATE TRIGGER one BEFORE INSERT ON note WHEN new.id = '1' BEGIN"
            " SELECT RAISE(ROLLBACK, 'not this'); END");
    assert_true(net_until(t, PROVINCE, notes, "2", 10000));
    assert_string_equal(net_text(PROVINCE, held), "\"1\"local");
}

/* A row that got in while capture was away was in its way, and goes when it is compared: no
 * application has written then. */
static void return_when_a_gap_ends(struct net *t, const char *sql, const char *reason)
{
    net_sql(t, PROVINCE, sql);
    assert_true(net_settle(t, 10000));
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'a')");
    net_sql(t, HUB, "INSERT INTO note VALUES('1', 'a')");
    assert_true(net_until(t, PROVINCE, held, reason, 10000));
    net_run(t, 1000);
    assert_int_equal(gap_take(t, PROVINCE, "\"there\""), 1);
    assert_true(net_until(t, PROVINCE, notes, "1", 2000));
    assert_string_equal(net_text(PROVINCE, held), "-");
}

static void it_returns_when_a_gap_ends(void **state)
{
    return_when_a_gap_ends(*state,
                           "CREATE TRIGGER door BEFORE INSERT ON note WHEN EXISTS(SELECT 1 FROM"
                           " note WHERE text = new.text) BEGIN SELECT RAISE(ABORT, 'twice'); END",
                           "\"1\"local");
}

/* Also where the value is what all offices contend for. */
static void who_was_later_returns_when_a_gap_ends(void **state)
{
    return_when_a_gap_ends(*state, "CREATE UNIQUE INDEX local_one ON note(text)", "\"1\"unique");
}

/* Nor is it left out for good where the trigger rolls back for what it reads: all that it was asked
 * of are asked of again, some at a time. */
static void it_returns_when_the_trigger_rolls_nothing_back(void **state)
{
    struct net *t = *state;
    net_sql(t, PROVINCE,
            "CREATE TABLE local_shut(why TEXT); INSERT INTO local_shut VALUES('stock');"
            "CREATE TRIGGER door BEFORE INSERT ON note WHEN EXISTS(SELECT 1 FROM local_shut) BEGIN"
            " SELECT RAISE(ROLLBACK, 'shut'); END");
    assert_true(net_settle(t, 10000));
    net_sql(t, HUB, ROWS(50));
    const char *waiting = "SELECT count(*) FROM tonle_held WHERE reason = 'local'";
    assert_true(net_until(t, PROVINCE, waiting, "50", 60000));
    net_run(t, 60000);
    assert_string_equal(net_text(PROVINCE, waiting), "50");
    net_sql(t, PROVINCE, "DELETE FROM local_shut");
    assert_true(net_until(t, PROVINCE, waiting, "0", 60000));
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "50");
}

/* Each costs a transaction, which the applications wait for: so not all of them at once, and each
 * once for what was written. */
static void only_some_are_asked_of_at_once(void **state)
{
    struct net *t = *state;
    struct store *s = PROVINCE->store;
    assert_ok(store_begin(s));
    assert_ok(schema_load(s));
    const struct table_schema *note = schema_table(s, "note");
    for (uint8_t i = 0; i < 50; i++)
        assert_err(raised_remember(s, (struct row_key){note, &i, 1}, "shut"), ERR_BUSY);
    int left[4] = {0};
    for (int look = 0; look < 4; look++) {
        bool more = store_raised_again(s, look == 0);
        assert_int_equal(more, look < 2);
        for (uint8_t i = 0; i < 50; i++)
            left[look] += !!raised_before(s, (struct row_key){note, &i, 1});
    }
    store_rollback(s);
    assert_int_equal(left[0], 30); /* of the first that were tried */
    assert_int_equal(left[1], 10);
    assert_int_equal(left[2], 0);
    assert_int_equal(left[3], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(it_returns_without_the_trigger),
        TEST_OF_TWO(it_returns_at_a_start),
        TEST_OF_TWO(it_returns_when_the_trigger_lets_it),
        TEST_OF_TWO(each_row_is_tried_for_itself),
        TEST_OF_TWO(it_returns_when_a_gap_ends),
        TEST_OF_TWO(who_was_later_returns_when_a_gap_ends),
        TEST_OF_TWO(it_returns_when_the_trigger_rolls_nothing_back),
        TEST_OF_TWO(only_some_are_asked_of_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
