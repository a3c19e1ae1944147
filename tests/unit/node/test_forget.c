/* Marks, answers, stable: what every office has is forgotten, and nothing before (DESIGN 4). */
#include "tests/lib/rooms.h"
#include "tests/unit/node/fixture.h"

#include <stdio.h>
#include <string.h>

#define RECORDS "SELECT count(*) FROM tonle_row"
#define POSITIONS "SELECT coalesce(max(pos), 0) FROM tonle_journal"

/* When all offices have answered a mark, no metadata is left anywhere, tombstones included. */
static void what_all_have_is_forgotten(void **state)
{
    struct net *t = *state;
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('a','x'),('b','x')");
    net_sql(t, HUB, "INSERT INTO note VALUES('c','x')");
    assert_true(net_settle(t, 10000));
    net_sql(t, PROVINCE, "DELETE FROM note WHERE id='a'; UPDATE note SET text='y' WHERE id='b'");
    assert_true(net_settle(t, 10000));
    for (int i = 0; i < 3; i++)
        assert_true(net_until(t, &t->office[i], RECORDS, "0", 20000));
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note"), "2");
    assert_int_equal(clock_compare(&store_state_get(DISTRICT->store)->stable,
                                   &store_state_get(HUB->store)->clock),
                     CLOCK_EQUAL);
}

/* With nothing to do nothing is sent, sealed or written, however long it lasts. */
static void a_quiet_federation_stays_quiet(void **state)
{
    struct net *t = *state;
    net_run(t, 200000);
    char hub[32], district[32];
    snprintf(hub, sizeof hub, "%s", net_text(HUB, POSITIONS));
    snprintf(district, sizeof district, "%s", net_text(DISTRICT, POSITIONS));
    net_run(t, 600000);
    assert_string_equal(net_text(HUB, POSITIONS), hub);
    assert_string_equal(net_text(DISTRICT, POSITIONS), district);
}

/* While one office is away nothing new becomes stable, and the marks kept for it are few; when it
 * is back all is forgotten. */
static void an_absent_office_delays_forgetting(void **state)
{
    struct net *t = *state;
    net_run(t, 10000);
    net_cut(t, DISTRICT);
    for (int i = 0; i < 40; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "INSERT INTO note VALUES('n%d','x')", i);
        net_sql(t, HUB, sql);
        net_run(t, 61000);
    }
    assert_string_equal(net_text(HUB, RECORDS), "40");
    assert_string_equal(net_text(PROVINCE, RECORDS), "40");
    net_mend(t, DISTRICT);
    assert_true(net_settle(t, 30000));
    for (int i = 0; i < 3; i++)
        assert_true(net_until(t, &t->office[i], RECORDS, "0", 130000));
    assert_string_equal(net_text(DISTRICT, "SELECT count(*) FROM note"), "40");
}

/* Retiring the absent office lets the others forget without it. */
static void a_retired_office_is_not_waited_for(void **state)
{
    struct net *t = *state;
    net_run(t, 10000);
    net_cut(t, DISTRICT);
    net_sql(t, HUB, "INSERT INTO note VALUES('n','x')");
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, "SELECT count(*) > 0 FROM tonle_row"), "1");
    net_retire(t, "district");
    assert_true(net_until(t, HUB, RECORDS, "0", 20000));
    assert_true(net_until(t, PROVINCE, RECORDS, "0", 20000));
}

/* The hub's memory of marks and answers is in its database: a hub that dies in between goes on. */
static void a_hub_that_dies_between_mark_and_answer_goes_on(void **state)
{
    struct net *t = *state;
    net_run(t, 10000);
    net_cut(t, DISTRICT);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n','x')");
    net_run(t, 3000);
    assert_string_equal(net_text(HUB, RECORDS), "1");
    net_crash(t, HUB);
    net_boot(t, HUB);
    net_run(t, 3000);
    net_crash(t, HUB);
    net_mend(t, DISTRICT);
    net_run(t, 5000);
    net_boot(t, HUB);
    for (int i = 0; i < 3; i++)
        assert_true(net_until(t, &t->office[i], RECORDS, "0", 60000));
}

/* What waits at the hub for its table is not on record there, so that the hub cannot say whose
 * names are needed: nothing becomes stable until it has been merged, though the gap is given up. */
static void a_hub_whose_table_is_away_declares_nothing_stable(void **state)
{
    struct net *t = *state;
    net_run(t, 10000);
    net_sql(t, HUB, "ALTER TABLE note RENAME TO away");
    net_run(t, 1000);
    net_sql(t, HUB, "UPDATE tonle_gap SET found_ms = found_ms - 3700000");
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('n','x')");
    net_run(t, 200000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM tonle_deferred"), "1");
    assert_string_equal(net_text(DISTRICT, RECORDS), "1");
    net_sql(t, HUB, "ALTER TABLE away RENAME TO note");
    net_run(t, 10000);
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('m','x')");
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note"), "2");
    for (int i = 0; i < 3; i++)
        assert_true(net_until(t, &t->office[i], RECORDS, "0", 200000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_THREE(what_all_have_is_forgotten),
        TEST_OF_THREE(a_quiet_federation_stays_quiet),
        TEST_OF_THREE(an_absent_office_delays_forgetting),
        TEST_OF_THREE(a_retired_office_is_not_waited_for),
        TEST_OF_THREE(a_hub_that_dies_between_mark_and_answer_goes_on),
        TEST_OF_THREE(a_hub_whose_table_is_away_declares_nothing_stable),
    };
    return check_run(tests);
}
