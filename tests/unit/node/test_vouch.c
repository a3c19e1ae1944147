/* What a parent vouches for: what no honest office can have sealed is refused at the first office
 * above it, and what is odd only is taken and told (core/vouch.c). */
#include "conflict/hlc.h"
#include "node/state/state.h"
#include "tests/unit/node/gaps.h"

#include <stdio.h>
#include <string.h>

static uint64_t right_time(const struct net *t)
{
    return hlc_make(1700000000000ULL + t->now_ms + 1000, 0);
}

/* The district has sent something that no honest office can: its parent refuses it and names it,
 * and neither has it. */
static void assert_suspect(struct net *t, const char *why)
{
    net_run(t, 10000);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note WHERE text = 'forged'"), "0");
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE text = 'forged'"), "0");
    assert_non_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), why));
}

static void two_rows(struct net *t)
{
    net_sql(t, HUB, "INSERT INTO note VALUES('h','x')");
    assert_true(net_settle(t, 20000));
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('d','x')");
    assert_true(net_settle(t, 20000));
}

/* `latest` drops what loses at once: two honest offices that met a stamp from before what it had
 * seen in another order would differ for good. */
static void a_stamp_from_before_what_it_saw_is_refused(void **state)
{
    struct net *t = *state;
    two_rows(t);
    net_forge(t, DISTRICT, NULL, hlc_make(1700000000000ULL, 0), "n");
    assert_suspect(t, "suspect: changeset 2 of district is stamped before what it was based on");
}

/* Also where that is stable, and some minutes ahead of the parent's clock: only what was far ahead
 * may have been taken back. */
static void nor_what_is_stable_and_a_little_ahead(void **state)
{
    struct net *t = *state;
    char sql[200];
    snprintf(sql, sizeof sql,
             "UPDATE tonle_meta SET v = %llu WHERE k = 'hlc';"
             "UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'",
             (unsigned long long)hlc_make(1700000000000ULL + t->now_ms + 250000, 0));
    net_sql(t, HUB, sql);
    net_run(t, 1000);
    net_sql(t, HUB, "INSERT INTO note VALUES('h','x')");
    assert_true(net_settle(t, 20000));
    net_run(t, 60000);
    struct dot last = {HUB->site, store_state_get(HUB->store)->seq};
    assert_true(clock_covers(&store_state_get(PROVINCE->store)->stable, last));
    net_forge(t, DISTRICT, NULL, right_time(t), "n");
    assert_suspect(t, "of district is stamped before what it was based on");
}

static void a_context_has_its_own_changesets(void **state)
{
    struct net *t = *state;
    struct clock context = {0};
    two_rows(t);
    clock_copy(&context, &store_state_get(DISTRICT->store)->clock);
    clock_set(&context, DISTRICT->site, 0);
    net_forge(t, DISTRICT, &context, right_time(t), "n");
    assert_suspect(t, "suspect: changeset 2 of district is not based on the one before it");
    clock_fini(&context);
}

/* Who has forgotten the names of a row takes a birth that nobody made for the one that lost its
 * name, or for none, and who has not, for nobody. */
static void a_birth_that_nobody_made_is_not_changed(void **state)
{
    struct net *t = *state;
    two_rows(t);
    net_forge_change(t, DISTRICT, NULL, right_time(t), CHANGE_UPDATE, (struct dot){HUB->site, 1000},
                     "d");
    assert_suspect(t, "which nobody has entered so");
}

static void a_birth_of_another_row_is_not_changed(void **state)
{
    struct net *t = *state;
    two_rows(t);
    net_forge_change(t, DISTRICT, NULL, right_time(t), CHANGE_UPDATE,
                     (struct dot){HUB->site, store_state_get(HUB->store)->seq}, "nowhere");
    assert_suspect(t, "which nobody has entered so");
}

static void its_own_changeset_bears_what_it_names(void **state)
{
    struct net *t = *state;
    two_rows(t);
    net_forge_change(t, DISTRICT, NULL, right_time(t), CHANGE_UPDATE,
                     (struct dot){DISTRICT->site, store_state_get(DISTRICT->store)->seq + 1},
                     "nowhere");
    assert_suspect(t, "which nobody has entered so");
}

/* What it had seen deleted is on record at one office and forgotten at the next. */
static void what_was_seen_deleted_is_not_changed(void **state)
{
    struct net *t = *state;
    two_rows(t);
    uint64_t bore = store_state_get(DISTRICT->store)->seq;
    net_sql(t, DISTRICT, "DELETE FROM note WHERE id = 'd'");
    assert_true(net_settle(t, 20000));
    net_forge_change(t, DISTRICT, NULL, right_time(t), CHANGE_UPDATE,
                     (struct dot){DISTRICT->site, bore}, "d");
    assert_suspect(t, "which it had seen deleted");
}

/* The journal begins behind the first load: what a changeset from before it bore is not known, and
 * an office may have kept a row of it that is lost here. */
static void what_came_with_a_load_may_have_been_entered(void **state)
{
    struct net *t = *state;
    two_rows(t);
    net_forge_change(t, DISTRICT, NULL, right_time(t), CHANGE_UPDATE, (struct dot){HUB->site, 1},
                     "nowhere");
    net_run(t, 10000);
    assert_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "suspect"));
    assert_non_null(strstr(PROVINCE->log, "event=rows-astray"));
}

/* However many names are of a changeset that nobody here has: looking for them costs next to
 * nothing, and what is behind them is looked at all the same. */
static void many_names_hide_none(void **state)
{
    struct net *t = *state;
    struct forged_change c[101];
    char id[101][8];
    two_rows(t);
    for (int i = 0; i < 101; i++) {
        snprintf(id[i], sizeof id[i], "n%03d", i);
        c[i] = (struct forged_change){CHANGE_UPDATE, {HUB->site, 1}, id[i]};
    }
    c[100].birth = (struct dot){DISTRICT->site, store_state_get(DISTRICT->store)->seq};
    net_forge_changes(t, DISTRICT, NULL, right_time(t), c, 101);
    assert_suspect(t, "which nobody has entered so");
}

/* Of large ones a few are read, and the rest is not known: an office may have kept what was lost
 * here. */
static void a_few_megabytes_are_read_again(void **state)
{
    struct net *t = *state;
    two_rows(t);
    for (int i = 0; i < 4; i++) {
        char sql[200];
        snprintf(sql, sizeof sql,
                 "INSERT INTO note VALUES('b%d', replace(hex(zeroblob(300000)), '00', '%dabc'))", i,
                 i);
        net_sql(t, DISTRICT, sql);
        assert_true(net_settle(t, 20000));
    }
    uint64_t seq = store_state_get(DISTRICT->store)->seq;
    net_run(t, 120000); /* nothing is on record any more */
    gap_behind(PROVINCE, "DELETE FROM note WHERE id LIKE 'b%'");
    struct forged_change c[] = {{CHANGE_UPDATE, {DISTRICT->site, seq - 3}, "b0"},
                                {CHANGE_UPDATE, {DISTRICT->site, seq - 2}, "b1"},
                                {CHANGE_UPDATE, {DISTRICT->site, seq - 1}, "b2"},
                                {CHANGE_UPDATE, {DISTRICT->site, seq}, "b3"},
                                {CHANGE_UPDATE, {DISTRICT->site, seq}, "nowhere"}};
    net_forge_changes(t, DISTRICT, NULL, right_time(t), c, 5);
    net_run(t, 10000);
    assert_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "suspect"));
    assert_non_null(strstr(PROVINCE->log, "event=rows-astray"));
}

/* ---- what may be an honest office's */

/* The office has written to the row: nobody is cut off, what it writes later arrives, and where the
 * row is not here that is said until somebody has looked. */
static void assert_astray(struct net *t, struct net_office *writer, struct net_office *at)
{
    const char *row = "astray\",\"subject\"";
    net_sql(t, writer, "INSERT INTO note VALUES('later', 'x')");
    assert_true(net_settle(t, 60000) ||
                net_until(t, at, "SELECT count(*) FROM note WHERE id = 'later'", "1", 1));
    for (int i = 0; i < t->n; i++) {
        struct net_office *o = &t->office[i];
        assert_string_equal(net_text(o, "SELECT text FROM note WHERE id = 'later'"), "x");
        assert_int_equal(!!strstr(net_ask(t, o, "{\"do\":\"status\"}"), row), o == at);
    }
    assert_non_null(strstr(at->log, "event=rows-astray"));
    json_decref(gap_ask(t, at, "{\"do\":\"verify_local\"}"));
    assert_null(strstr(net_ask(t, at, "{\"do\":\"status\"}"), row));
}

/* A migration that escaped capture took a row out at the parent: an office below goes on with it,
 * and whoever has the row has what it wrote. */
static void lose_a_row(struct net *t, struct net_office *parent, struct net_office *writer,
                       struct net_office *third)
{
    gap_start_with(t, ROWS(20));
    net_run(t, 120000);
    gap_while_off(t, parent, REBUILD("DELETE FROM note_new WHERE id='n00003';"));
    net_run(t, 30000);
    net_sql(t, writer, "UPDATE note SET text = 'edit' WHERE id = 'n00003'");
    net_run(t, 30000);
    assert_string_equal(net_text(third, "SELECT text FROM note WHERE id = 'n00003'"), "edit");
}

static void a_parent_that_lost_a_row_cuts_nobody_off(void **state)
{
    struct net *t = *state;
    lose_a_row(t, PROVINCE, DISTRICT, HUB);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note WHERE id = 'n00003'"), "0");
    assert_astray(t, DISTRICT, PROVINCE);
}

static void a_hub_that_lost_a_row_cuts_nobody_off(void **state)
{
    struct net *t = *state;
    lose_a_row(t, HUB, PROVINCE, DISTRICT);
    assert_astray(t, PROVINCE, HUB);
}

/* Of a settled row nothing is on record, nor of one that got in behind capture's back: an office
 * cannot tell the one from the other when it is written to. */
static void a_row_that_got_in_unseen_cuts_nobody_off(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray')");
    net_sql(t, PROVINCE, "UPDATE note SET text = 'edit' WHERE id = 'k'");
    net_run(t, 30000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE id = 'k'"), "0");
    assert_astray(t, PROVINCE, HUB);
}

/* It can where another row of that key is on record: it does not send it, and says that capture was
 * away. */
static void what_is_done_to_a_row_of_nobodys_is_not_sealed(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_sql(t, PROVINCE, "DELETE FROM note WHERE id = 'n00003'");
    net_run(t, 200);
    gap_behind(PROVINCE, "INSERT INTO note VALUES('n00003', 'stray')");
    uint64_t seq = store_state_get(PROVINCE->store)->seq;
    net_sql(t, PROVINCE, "UPDATE note SET text = 'edit' WHERE id = 'n00003'");
    net_run(t, 30000);
    assert_int_equal(store_state_get(PROVINCE->store)->seq, seq);
    assert_string_equal(gap_of(t, PROVINCE), "note differs 0 1 0 behind");
    assert_null(strstr(HUB->log, "event=rows-astray"));
    assert_int_equal(gap_take(t, PROVINCE, "\"here\""), 1);
    gap_settled(t, PROVINCE, "none synced");
    assert_string_equal(net_text(HUB, "SELECT text FROM note WHERE id = 'n00003'"), "edit");
}

/* ---- equal births */

/* The hub and the district enter the same row; both have both. */
static void equal_births(struct net *t)
{
    two_rows(t);
    net_cut(t, DISTRICT);
    net_sql(t, HUB, "INSERT INTO note VALUES('e','x')");
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('e','x')");
    net_run(t, 300);
    net_mend(t, DISTRICT);
    assert_true(net_settle(t, 20000));
}

/* Where the names are forgotten it deletes the row, elsewhere only the one: that is told. */
static void one_of_two_equal_births_is_not_deleted_alone(void **state)
{
    struct net *t = *state;
    equal_births(t);
    net_forge_change(t, DISTRICT, NULL, right_time(t), CHANGE_DELETE,
                     (struct dot){HUB->site, store_state_get(HUB->store)->seq}, "e");
    net_run(t, 3000);
    assert_non_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"),
                           "\\\"e\\\", and not its equal, which it had seen"));
    assert_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "suspect"));
}

static void nobody_says_so_of_who_deletes_both(void **state)
{
    struct net *t = *state;
    equal_births(t);
    net_sql(t, DISTRICT, "DELETE FROM note WHERE id = 'e'");
    assert_true(net_settle(t, 20000));
    for (int i = 0; i < t->n; i++)
        assert_null(strstr(t->office[i].log, "event=rows-astray"));
}

/* Nor of who has changed the other: it is another row then. */
static void nor_of_who_deletes_one_that_was_another_by_then(void **state)
{
    struct net *t = *state;
    equal_births(t);
    uint64_t of_hub = store_state_get(HUB->store)->seq, own = store_state_get(DISTRICT->store)->seq;
    struct forged_change c[] = {{CHANGE_UPDATE, {DISTRICT->site, own}, "e"},
                                {CHANGE_DELETE, {HUB->site, of_hub}, "e"}};
    net_forge_changes(t, DISTRICT, NULL, right_time(t), c, 2);
    net_run(t, 3000);
    assert_null(strstr(PROVINCE->log, "event=rows-astray"));
}

static const uint64_t day = 86400000;

/* The hub's clock is 40 days ahead for a while, until all have passed it and taken it back. */
static void jump_ahead(struct net *t)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "UPDATE tonle_meta SET v = %llu WHERE k = 'hlc';"
             "UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'",
             (unsigned long long)hlc_make(1700000000000ULL + t->now_ms + 40 * day, 0));
    net_sql(t, HUB, sql);
    net_run(t, 1000);
    net_sql(t, HUB, "INSERT INTO note VALUES('n','x')");
    assert_true(net_settle(t, 20000));
    net_run(t, 180000);
    for (int i = 0; i < t->n; i++)
        assert_non_null(strstr(t->office[i].log, "event=time-taken-back"));
}

static void pass_days(struct net *t, uint64_t days)
{
    for (int i = 0; i < t->n; i++)
        net_crash(t, &t->office[i]);
    t->now_ms += days * day;
    for (int i = 0; i < t->n; i++)
        net_boot(t, &t->office[i]);
}

/* A time of next month was taken back. It is on record where it was stamped, and comes to be one
 * that may have been: who stamps rightly has seen it. */
static void a_time_that_was_taken_back_is_no_measure(void **state)
{
    struct net *t = *state;
    jump_ahead(t);
    pass_days(t, 20);
    assert_true(net_settle(t, 60000));
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('later','x')");
    assert_true(net_settle(t, 60000));
    assert_null(strstr(PROVINCE->log, "suspect"));
}

/* Nor when its day has come, for what was written before: an office that was away is as honest. */
static void a_time_that_has_come_is_no_measure_of_before(void **state)
{
    struct net *t = *state;
    jump_ahead(t);
    net_cut(t, DISTRICT);
    net_run(t, 2000);
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('later','x')");
    net_run(t, 5000);
    pass_days(t, 41);
    net_mend(t, DISTRICT);
    assert_true(net_settle(t, 60000));
    assert_string_equal(net_text(HUB, "SELECT text FROM note WHERE id = 'later'"), "x");
    assert_null(strstr(PROVINCE->log, "suspect"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_THREE(a_stamp_from_before_what_it_saw_is_refused),
        TEST_OF_THREE(nor_what_is_stable_and_a_little_ahead),
        TEST_OF_THREE(a_context_has_its_own_changesets),
        TEST_OF_THREE(a_birth_that_nobody_made_is_not_changed),
        TEST_OF_THREE(a_birth_of_another_row_is_not_changed),
        TEST_OF_THREE(its_own_changeset_bears_what_it_names),
        TEST_OF_THREE(what_was_seen_deleted_is_not_changed),
        TEST_OF_THREE(what_came_with_a_load_may_have_been_entered),
        TEST_OF_THREE(many_names_hide_none),
        TEST_OF_THREE(a_few_megabytes_are_read_again),
        TEST_OF_THREE(a_parent_that_lost_a_row_cuts_nobody_off),
        TEST_OF_THREE(a_hub_that_lost_a_row_cuts_nobody_off),
        TEST_OF_TWO(a_row_that_got_in_unseen_cuts_nobody_off),
        TEST_OF_TWO(what_is_done_to_a_row_of_nobodys_is_not_sealed),
        TEST_OF_THREE(one_of_two_equal_births_is_not_deleted_alone),
        TEST_OF_THREE(nobody_says_so_of_who_deletes_both),
        TEST_OF_THREE(nor_of_who_deletes_one_that_was_another_by_then),
        TEST_OF_THREE(a_time_that_was_taken_back_is_no_measure),
        TEST_OF_THREE(a_time_that_has_come_is_no_measure_of_before),
    };
    return check_run(tests);
}
