/* Wrong clocks (DESIGN 4): one moves nobody's time but its own, nothing is lost by it, and it is
 * shown. Three offices in a row: hub, province, district. */
#include "conflict/hlc.h"
#include "node/state/state.h"
#include "tests/unit/node/fixture.h"

#include <stdio.h>
#include <string.h>

#define MINUTE INT64_C(60000)
#define DAY (24 * 60 * MINUTE)
#define YEARS(n) ((n)*INT64_C(31557600000))
#define STATUS "{\"do\":\"status\"}"

/* How far the office's hybrid time is ahead of the time that it is. */
static int64_t ahead(struct net *t, struct net_office *o)
{
    return (int64_t)(hlc_ms(store_state_get(o->store)->hlc) - 1700000000000ULL - t->now_ms);
}

static void assert_says(struct net *t, struct net_office *o, const char *text)
{
    if (!strstr(net_ask(t, o, STATUS), text))
        fail_msg("%s does not say \"%s\": %s", o->name, text, o->reply);
}

/* Off the line, and started again with this error of its clock. */
static void restart_alone(struct net *t, struct net_office *o, int64_t error_ms)
{
    net_halt(t, o);
    net_cut(t, o);
    o->clock_error_ms = error_ms;
    net_boot(t, o);
    net_run(t, 5000);
}

/* What is sealed before the parent was heard is the main case: years ahead are not believed, and
 * all three see whose clock it is. */
static void years_ahead_are_not_believed(void **state)
{
    struct net *t = *state;
    restart_alone(t, DISTRICT, YEARS(20));
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('n','from the district')");
    net_run(t, 5000);
    assert_string_equal(net_text(DISTRICT, "SELECT count(*) FROM tonle_log_1"), "0");
    assert_in_range(ahead(t, DISTRICT) + MINUTE, 0, 2 * MINUTE);
    assert_says(t, DISTRICT, "is not believed until the parent has told the time");
    net_mend(t, DISTRICT);
    assert_true(net_settle(t, 20000));
    net_sql(t, HUB, "UPDATE note SET text = 'later'");
    assert_true(net_settle(t, 20000));
    net_run(t, 10000);
    assert_string_equal(net_text(DISTRICT, "SELECT text FROM note"), "later");
    assert_in_range(ahead(t, HUB) + MINUTE, 0, 2 * MINUTE);
    struct net_office *all[] = {DISTRICT, PROVINCE, HUB};
    for (int i = 0; i < 3; i++) {
        assert_says(t, all[i], "years ahead of the federation's");
        assert_says(t, all[i], "\"subject\":\"district\"");
    }
}

/* A clock that somebody sets while the node runs. */
static void a_jump_while_it_runs_is_not_believed(void **state)
{
    struct net *t = *state;
    net_cut(t, PROVINCE);
    net_run(t, 5000);
    PROVINCE->clock_error_ms = 20 * MINUTE;
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n','x')");
    net_run(t, 5000);
    assert_in_range(ahead(t, PROVINCE) + MINUTE, 0, 2 * MINUTE);
    assert_non_null(strstr(PROVINCE->log, "event=wall-clock-not-believed"));
    PROVINCE->clock_error_ms = -YEARS(1);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('m','x')");
    net_run(t, 5000);
    assert_in_range(ahead(t, PROVINCE) + MINUTE, 0, 2 * MINUTE);
    net_mend(t, PROVINCE);
    assert_true(net_settle(t, 20000));
}

/* Twenty minutes at a start without a line cannot be told from the truth. What was stamped then
 * waits at the office for its time to come; everything else goes on, and all three say so. */
static void what_a_wrong_clock_stamped_waits_for_its_time(void **state)
{
    struct net *t = *state;
    restart_alone(t, DISTRICT, 20 * MINUTE);
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('n','ahead')");
    net_run(t, 5000);
    assert_true(ahead(t, DISTRICT) > 19 * MINUTE);
    net_mend(t, DISTRICT);
    net_run(t, 10000);
    net_sql(t, HUB, "INSERT INTO note VALUES('h','from the hub')");
    assert_true(net_until(t, DISTRICT, "SELECT count(*) FROM note", "2", 20000));
    net_run(t, 10000);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "1");
    assert_says(t, DISTRICT, "suspect: clock");
    assert_says(t, PROVINCE, "suspect: clock");
    assert_says(t, HUB, "19 minutes ahead");
    assert_says(t, DISTRICT, "\"synced\":false");
    assert_int_equal(DISTRICT->sent_refusals + PROVINCE->sent_refusals, 0);
    assert_false(net_until(t, HUB, "SELECT count(*) FROM note", "2", 12 * MINUTE));
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "2", 8 * MINUTE));
    assert_true(net_settle(t, 20000));
    assert_null(strstr(net_ask(t, DISTRICT, STATUS), "suspect"));
}

/* An office that sends it all the same is refused by its parent, and what it stamped moves nobody:
 * not the value that all others would lose against for ever, nor anybody's time. */
static void a_stamp_of_the_future_is_refused_by_the_parent(void **state)
{
    struct net *t = *state;
    net_forge(t, PROVINCE, NULL, UINT64_MAX, "forged");
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note"), "0");
    assert_in_range(ahead(t, HUB) + MINUTE, 0, 2 * MINUTE);
    assert_says(t, HUB, "the clock was ahead when it was stamped");
    assert_says(t, PROVINCE, "frees nothing that is stamped");
}

/* What a province lets in that has not heard the time, its own clock being wrong too, its parent
 * does not take. */
static void what_a_parent_in_doubt_lets_in_moves_nobody(void **state)
{
    struct net *t = *state;
    uint64_t soon = hlc_make(1700000000000ULL + t->now_ms + 20 * DAY, 0);
    restart_alone(t, PROVINCE, 20 * DAY);
    net_forge(t, DISTRICT, NULL, soon, "forged");
    assert_true(net_until(t, PROVINCE, "SELECT count(*) FROM note", "1", 20000));
    net_mend(t, PROVINCE);
    net_run(t, 30000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note"), "0");
    assert_in_range(ahead(t, HUB) + MINUTE, 0, 10 * MINUTE);
    assert_says(t, PROVINCE, "it goes up at 2023-12-0");
}

/* A clock that gains a little at each of three starts without a line: every time by less than the
 * skew, but no parent follows it further than twice that; and whoever takes what it stamped stamps
 * what is written over it later, or `latest` would not be the same everywhere. */
static void what_creeps_is_followed_by_whoever_takes_it(void **state)
{
    struct net *t = *state;
    net_sql(t, HUB, "INSERT INTO note VALUES('r','start'),('s','start')");
    net_grow(t, "other", "13", "hub");
    net_grow(t, "fifth", "14", "hub");
    net_grow(t, "sixth", "15", "hub");
    struct net_office *other = &t->office[3];
    assert_true(net_settle(t, 20000));
    net_cut(t, other);
    restart_alone(t, PROVINCE, 4 * MINUTE + 30000);
    net_sql(t, PROVINCE, "UPDATE note SET text = 'a' WHERE id = 's'");
    net_run(t, 5000);
    restart_alone(t, PROVINCE, 9 * MINUTE);
    net_sql(t, PROVINCE, "UPDATE note SET text = 'b' WHERE id = 's'");
    net_run(t, 5000);
    restart_alone(t, PROVINCE, 13 * MINUTE + 30000);
    net_sql(t, PROVINCE, "UPDATE note SET text = 'crept' WHERE id = 'r'");
    net_run(t, 5000);
    net_mend(t, PROVINCE);
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'r'", "crept", 6 * MINUTE));
    assert_in_range(ahead(t, HUB), 0, 10 * MINUTE);
    net_sql(t, HUB, "UPDATE note SET text = 'over it' WHERE id = 'r'");
    net_run(t, 11 * MINUTE);
    net_sql(t, other, "UPDATE note SET text = 'last' WHERE id = 'r'");
    net_run(t, 5000);
    net_mend(t, other);
    assert_true(net_settle(t, 60000));
    struct net_office *all[] = {HUB, PROVINCE, DISTRICT, other};
    for (int i = 0; i < 4; i++)
        assert_string_equal(net_text(all[i], "SELECT text FROM note WHERE id = 'r'"), "last");
}

/* A province that was not told the time since its start has a clock that is right: a district's
 * that is wrong by weeks does not become its time, and stops nothing of its own. */
static void a_province_in_doubt_is_not_stopped_by_a_district(void **state)
{
    struct net *t = *state;
    net_cut(t, PROVINCE);
    net_halt(t, PROVINCE);
    net_boot(t, PROVINCE);
    restart_alone(t, DISTRICT, 20 * DAY);
    net_mend(t, DISTRICT);
    net_run(t, 5000);
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('d','stamped ahead')");
    net_run(t, 10000);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "0");
    net_mend(t, PROVINCE);
    net_run(t, 10000);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('p','x')");
    assert_true(net_until(t, HUB, "SELECT id FROM note", "p", 20000));
    assert_true(net_until(t, DISTRICT, "SELECT count(*) FROM note", "2", 20000));
    assert_in_range(ahead(t, PROVINCE) + MINUTE, 0, 2 * MINUTE);
    assert_says(t, DISTRICT, "goes up at 2023-12-0");
}

/* What an older version took over as the time is taken back, as soon as children agree and have all
 * that is stamped so. */
static void a_stored_time_that_cannot_be_is_taken_back(void **state)
{
    struct net *t = *state;
    net_sql(t, HUB,
            "UPDATE tonle_meta SET v = -1 WHERE k = 'hlc';"
            "UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'");
    net_run(t, 1000);
    net_sql(t, HUB, "INSERT INTO note VALUES('n','x')");
    assert_true(net_settle(t, 20000));
    net_run(t, 3 * MINUTE);
    assert_in_range(ahead(t, HUB), 0, 6 * MINUTE);
    assert_non_null(strstr(HUB->log, "event=time-taken-back"));
}

static void remember_years_ahead(struct net *t, struct net_office *o)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "UPDATE tonle_meta SET v = %llu WHERE k = 'hlc';"
             "UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'",
             (unsigned long long)hlc_make(1700000000000ULL + (uint64_t)YEARS(10), 0));
    net_sql(t, o, sql);
}

/* While something is on the way that has not seen what was stamped years ahead, nobody stamps below
 * that: the last of three values that one office has seen one after the other would be the earlier
 * one beside it, and the offices would show different ones for good, by the order of arrival. */
static void a_time_is_taken_back_when_all_have_passed_it(void **state)
{
    struct net *t = *state;
    struct net_office *other = net_grow(t, "other", "13", "hub");
    net_sql(t, HUB, "INSERT INTO note VALUES('r','start')");
    assert_true(net_settle(t, 20000));
    net_cut(t, PROVINCE);
    net_cut(t, other);
    net_run(t, 20000);
    remember_years_ahead(t, HUB); /* in doubt, without a child */
    net_sql(t, HUB, "UPDATE note SET text = 'years ahead'");
    net_run(t, 5000);
    net_mend(t, PROVINCE);
    assert_true(net_until(t, PROVINCE, "SELECT text FROM note", "years ahead", 20000));
    net_run(t, 5000);
    net_cut(t, PROVINCE);
    net_sql(t, PROVINCE, "UPDATE note SET text = 'over it'");
    net_run(t, 10 * MINUTE);
    assert_says(t, HUB, "the time on record here is 2033-");
    assert_says(t, HUB, "it waits for ");
    assert_says(t, PROVINCE, "tonle status at the hub names the office");
    net_sql(t, other, "UPDATE note SET text = 'beside it'");
    net_run(t, 10000);
    net_mend(t, other);
    assert_true(net_until(t, other, "SELECT text FROM note", "years ahead", 20000));
    net_mend(t, PROVINCE);
    assert_true(net_settle(t, 60000));
    struct net_office *all[] = {HUB, PROVINCE, DISTRICT, other};
    for (int i = 0; i < 4; i++)
        if (strcmp(net_text(all[i], "SELECT text FROM note"), "over it") != 0)
            fail_msg("the hub has %s, %s %s", net_text(HUB, "SELECT text FROM note"), all[i]->name,
                     net_text(all[i], "SELECT text FROM note"));
    net_run(t, 10 * MINUTE);
    for (int i = 0; i < 4; i++)
        assert_in_range(ahead(t, all[i]) + 20 * MINUTE, 0, 40 * MINUTE);
    assert_null(strstr(net_ask(t, HUB, STATUS), "the time on record"));
}

/* One office that is away for weeks keeps it, and is named. */
static void who_keeps_a_time_from_being_taken_back_is_named(void **state)
{
    struct net *t = *state;
    net_grow(t, "other", "13", "hub");
    assert_true(net_settle(t, 20000));
    net_run(t, 3 * MINUTE);
    net_cut(t, net_find(t, "other"));
    net_sql(t, HUB, "INSERT INTO note VALUES('n','x')");
    net_run(t, 5000);
    remember_years_ahead(t, HUB);
    net_sql(t, HUB, "UPDATE note SET text = 'years ahead'");
    net_run(t, 10 * MINUTE);
    assert_says(t, HUB, "it waits for other");
    assert_says(t, HUB, "see that other runs and has a line");
    net_mend(t, net_find(t, "other"));
    assert_true(net_settle(t, 20000));
    net_run(t, 10 * MINUTE);
    assert_in_range(ahead(t, HUB) + 20 * MINUTE, 0, 40 * MINUTE);
    assert_null(strstr(net_ask(t, HUB, STATUS), "the time on record"));
}

/* A hub whose clock most offices contradict says so, and refuses nothing for it. */
static void a_hub_that_is_outvoted_says_so(void **state)
{
    struct net *t = *state;
    net_grow(t, "other", "13", "hub");
    net_halt(t, HUB);
    HUB->clock_error_ms = -YEARS(1);
    net_boot(t, HUB);
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('n','x')");
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "1", 20000));
    net_run(t, 10000);
    assert_says(t, HUB, "contradicts that of most offices below");
    assert_true(net_settle(t, 20000));
}

/* In doubt, a hub takes a month more than it knew when the doubt began, and not a month more with
 * every changeset that it takes; nor is a restart a new doubt. */
static void a_hub_in_doubt_takes_one_month(void **state)
{
    struct net *t = *state;
    struct net_office *other = net_grow(t, "other", "13", "hub");
    assert_true(net_settle(t, 20000));
    uint64_t now = 1700000000000ULL + t->now_ms;
    net_halt(t, HUB);
    HUB->clock_error_ms = -YEARS(1);
    net_boot(t, HUB);
    net_run(t, 10000);
    assert_says(t, HUB, "contradicts that of most offices below");
    net_forge(t, PROVINCE, NULL, hlc_make(now + 20 * DAY, 0), "first");
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "1", 20000));
    net_forge(t, other, NULL, hlc_make(now + 45 * DAY, 0), "second");
    net_run(t, 20000);
    net_halt(t, HUB);
    net_boot(t, HUB);
    net_run(t, 60000);
    assert_string_equal(net_text(HUB, "SELECT group_concat(id) FROM note"), "first");
    assert_in_range(ahead(t, HUB), 0, 21 * DAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_THREE(years_ahead_are_not_believed),
        TEST_OF_THREE(a_jump_while_it_runs_is_not_believed),
        TEST_OF_THREE(what_a_wrong_clock_stamped_waits_for_its_time),
        TEST_OF_THREE(a_stamp_of_the_future_is_refused_by_the_parent),
        TEST_OF_THREE(what_a_parent_in_doubt_lets_in_moves_nobody),
        TEST_OF_THREE(what_creeps_is_followed_by_whoever_takes_it),
        TEST_OF_THREE(a_province_in_doubt_is_not_stopped_by_a_district),
        TEST_OF_THREE(a_stored_time_that_cannot_be_is_taken_back),
        TEST_OF_THREE(a_time_is_taken_back_when_all_have_passed_it),
        TEST_OF_THREE(who_keeps_a_time_from_being_taken_back_is_named),
        TEST_OF_THREE(a_hub_that_is_outvoted_says_so),
        TEST_OF_THREE(a_hub_in_doubt_takes_one_month),
    };
    return check_run(tests);
}
