/* A row that was entered while capture was away has no name, and stands beside a birth of others
 * that may lose its own: neither is ever taken for the other. */
#include "tests/unit/node/gaps.h"

#include "node/desk/desk.h"
#include "node/state/state.h"
#include "node/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char held[] = "SELECT ifnull(group_concat(key || reason || office, ' '), '-') FROM"
                           " (SELECT * FROM tonle_held ORDER BY key)";
static const char text_of_k[] = "SELECT ifnull(group_concat(text), '-') FROM note WHERE id = 'k'";
static const char open_ones[] = "SELECT count(*) FROM tonle_conflict WHERE state = 'open'";

#define AT_ALL(sql, want)                                                                          \
    for (int i = 0; i < t->n; i++)                                                                 \
    assert_string_equal(net_text(&t->office[i], sql), want)

/* 'k' was entered behind capture at the province, and by an application at the hub. All but the
 * province have forgotten the name of the hub's, and show it. */
static void hub_shows(struct net *t, const char *text)
{
    for (int i = 0; i < t->n; i++)
        if (i != 1)
            assert_string_equal(net_text(&t->office[i], text_of_k), text);
}

static void enter_both(struct net *t, bool known)
{
    gap_start_with(t, ROWS(20));
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray')");
    if (known) {
        json_t *j = gap_ask(t, PROVINCE, "{\"do\":\"verify_local\"}");
        assert_int_equal(gap_number(j, "new"), 1);
        json_decref(j);
    }
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'hub')");
    net_run(t, 130000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM tonle_row"), "0");
    assert_string_equal(net_text(PROVINCE, text_of_k), "stray");
    assert_string_equal(net_text(PROVINCE, held), "\"k\"birthhub");
}

/* ---- what is done to it here */

static void deleted(struct net *t, bool known)
{
    enter_both(t, known);
    net_sql(t, PROVINCE, "DELETE FROM note WHERE id = 'k'");
    net_run(t, 10000);
    AT_ALL(text_of_k, "hub"); /* nothing is in its way any more */
    AT_ALL(held, "-");
    AT_ALL(open_ones, "0");
    net_sql(t, PROVINCE, "UPDATE note SET text = 'all' WHERE id = 'k'");
    net_run(t, 10000);
    AT_ALL(text_of_k, "all");
}

static void its_delete_deletes_no_row_of_others(void **state)
{
    deleted(*state, true);
}

static void nor_where_nobody_knows_of_a_gap(void **state)
{
    deleted(*state, false);
}

static void updated(struct net *t, bool known)
{
    enter_both(t, known);
    net_sql(t, PROVINCE, "UPDATE note SET text = 'moved' WHERE id = 'k'");
    net_run(t, 10000);
    hub_shows(t, "hub");
    assert_string_equal(net_text(PROVINCE, text_of_k), "moved");
    assert_string_equal(net_text(PROVINCE, held), "\"k\"birthhub");
    gap_take(t, PROVINCE, "\"here\"");
    net_run(t, 20000);
    AT_ALL(text_of_k, "hub"); /* the earlier one; the other is held, and a person is asked */
    AT_ALL(held, "\"k\"birthprovince");
    AT_ALL(open_ones, "1");
    AT_ALL("SELECT count(*) FROM tonle_side WHERE detail LIKE '%moved%'", "1");
}

static void its_change_changes_no_row_of_others(void **state)
{
    updated(*state, true);
}

static void nor_by_a_change_where_nobody_knows_of_a_gap(void **state)
{
    updated(*state, false);
}

/* A migration of more than a hundred rows waits for a person, and a clerk goes on. */
static void a_clerk_goes_on_while_a_person_is_waited_for(void **state)
{
    struct net *t = *state;
    net_sql(t, HUB,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 101)"
            " INSERT INTO note SELECT printf('c%03d', i), 'hub' FROM n");
    gap_while_off(t, PROVINCE,
                  REBUILD("DELETE FROM note_new;"
                          " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i <"
                          " 101) INSERT INTO note_new SELECT printf('c%03d', i), 'prov' FROM n;"));
    gap_settled(t, PROVINCE, "note differs 0 101 0 behind");
    net_run(t, 130000);
    net_sql(t, PROVINCE, "UPDATE note SET text = 'prov, moved' WHERE id = 'c001'");
    net_sql(t, PROVINCE, "DELETE FROM note WHERE id = 'c002'");
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, "SELECT count(*) || sum(text = 'hub') FROM note"), "101101");
    assert_string_equal(net_text(PROVINCE, "SELECT text FROM note WHERE id = 'c002'"), "hub");
}

/* The hub has forgotten, and the province, whose line was down, has not heard. */
static void forgotten_while_the_line_was_down(void **state)
{
    struct net *t = *state;
    struct net_office *other = net_grow(t, "other", "13", "hub");
    gap_start_with(t, ROWS(20));
    net_run(t, 130000);
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray')");
    json_decref(gap_ask(t, PROVINCE, "{\"do\":\"verify_local\"}"));
    net_cut(t, other);
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'hub')");
    net_run(t, 130000); /* the province answers, the other one does not */
    net_cut(t, PROVINCE);
    net_run(t, 1000);
    net_mend(t, other);
    net_run(t, 130000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM tonle_row"), "0");
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM tonle_row"), "1");
    assert_false(clock_includes(&store_state_get(PROVINCE->store)->stable,
                                &store_state_get(HUB->store)->stable));
    net_sql(t, PROVINCE, "UPDATE note SET text = 'moved' WHERE id = 'k'");
    net_run(t, 2000);
    net_mend(t, PROVINCE);
    net_run(t, 20000);
    hub_shows(t, "hub");
    assert_string_equal(net_text(PROVINCE, text_of_k), "moved");
}

/* ---- what others do to theirs */

static void others_change_theirs(void **state)
{
    struct net *t = *state;
    enter_both(t, true);
    net_sql(t, HUB, "UPDATE note SET text = 'hub2' WHERE id = 'k'");
    net_run(t, 5000);
    assert_string_equal(net_text(PROVINCE, text_of_k), "stray");
    assert_string_equal(net_text(PROVINCE, held), "\"k\"birthhub");
    gap_take(t, PROVINCE, "\"here\"");
    net_run(t, 20000);
    AT_ALL(text_of_k, "hub2");
    AT_ALL(held, "\"k\"birthprovince");
    AT_ALL(
        "SELECT group_concat(detail, ' ') FROM (SELECT detail FROM tonle_conflict JOIN tonle_side"
        " USING(n) WHERE state = 'open' ORDER BY detail)",
        "{\"id\":\"k\",\"text\":\"hub2\"} {\"id\":\"k\",\"text\":\"stray\"}");
}

static void others_delete_theirs(void **state)
{
    struct net *t = *state;
    enter_both(t, true);
    net_sql(t, HUB, "DELETE FROM note WHERE id = 'k'");
    net_run(t, 5000);
    hub_shows(t, "-");
    assert_string_equal(net_text(PROVINCE, text_of_k), "stray");
    assert_string_equal(net_text(PROVINCE, held), "-");
    gap_take(t, PROVINCE, "\"here\"");
    net_run(t, 130000);
    AT_ALL(text_of_k, "stray"); /* a birth of the province's; nobody's deleted row came back */
    AT_ALL(held, "-");
}

/* ---- equal births of others are one, and their names go together */

static void others_delete_twins(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray')");
    net_cut(t, DISTRICT);
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'same')");
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('k', 'same')");
    net_run(t, 1000);
    net_mend(t, DISTRICT);
    net_run(t, 200000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM tonle_row"), "0");
    assert_string_equal(net_text(PROVINCE, "SELECT births FROM tonle_row"), "2");
    net_sql(t, HUB, "DELETE FROM note WHERE id = 'k'");
    net_run(t, 200000);
    hub_shows(t, "-");
    assert_string_equal(net_text(PROVINCE, text_of_k), "stray");
    assert_string_equal(net_text(PROVINCE, held), "-");
}

/* ---- a row of everybody's stands beside a birth that is held, and is changed as ever */

/* The province deletes n00003 to the one named in a gap and enters them anew: everybody else has
 * them twice. Nothing of that is stable while the line of `away` is down. */
static struct net_office *enter_many_twice(struct net *t, const char *last)
{
    char gone[120], again[120];
    struct net_office *other = net_grow(t, "other", "13", "hub");
    struct net_office *away = net_grow(t, "away", "14", "hub");
    gap_start_with(t, ROWS(20));
    net_run(t, 130000);
    snprintf(gone, sizeof gone, "DELETE FROM note WHERE id BETWEEN 'n00003' AND '%s'", last);
    snprintf(again, sizeof again,
             "INSERT INTO note SELECT id, 'again' FROM kept WHERE id BETWEEN 'n00003' AND '%s'",
             last);
    gap_behind(PROVINCE, "CREATE TABLE kept AS SELECT * FROM note");
    gap_behind(PROVINCE, gone);
    gap_while_off(t, PROVINCE, REBUILD(""));
    net_run(t, 10000);
    net_cut(t, away);
    net_sql(t, PROVINCE, again);
    net_run(t, 3000);
    assert_string_equal(net_text(other, "SELECT births FROM tonle_row"), "2");
    return other;
}

static struct net_office *enter_twice(struct net *t)
{
    struct net_office *other = enter_many_twice(t, "n00003");
    assert_string_equal(net_text(other, held), "\"n00003\"birthprovince");
    return other;
}

static void a_settled_row_is_changed_as_ever(void **state)
{
    struct net *t = *state;
    struct net_office *other = enter_twice(t);
    net_sql(t, other, "UPDATE note SET text = 'changed' WHERE id = 'n00003'");
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, "SELECT text FROM note WHERE id='n00003'"), "changed");
    net_mend(t, &t->office[3]);
    net_run(t, 130000); /* the name of the other is kept now */
    assert_string_equal(net_text(other, "SELECT count(*) FROM tonle_keep"), "1");
    net_sql(t, other, "DELETE FROM note WHERE id = 'n00003'");
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, "SELECT text FROM note WHERE id='n00003'"), "again");
}

/* Also in a gap: what the comparison tells to be ours is. */
static void what_was_compared_is_sealed(void **state)
{
    struct net *t = *state;
    struct net_office *other = enter_twice(t);
    gap_while_off(t, other, REBUILD("UPDATE note_new SET text = 'changed' WHERE id='n00003';"));
    gap_settled(t, other, "none synced");
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, "SELECT text FROM note WHERE id='n00003'"), "changed");
    assert_string_equal(net_text(other, held), "\"n00003\"birthprovince");
}

/* All of it, however many changesets it takes: what a person publishes, too. */
static void what_was_compared_is_sealed_to_its_end(void **state)
{
    struct net *t = *state;
    struct net_office *other = enter_many_twice(t, "n00009");
    net_halt(t, other);
    other->seal_rows = 2;
    net_boot(t, other);
    net_run(t, 5000);
    gap_behind(other, "UPDATE note SET text = 'changed' WHERE id BETWEEN 'n00003' AND 'n00009'");
    json_t *j = gap_ask(t, other, "{\"do\":\"verify_local\"}");
    assert_int_equal(gap_number(j, "changed"), 7);
    json_decref(j);
    assert_int_equal(gap_take(t, other, "\"here\""), 7);
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE text = 'changed'"), "7");
    gap_settled(t, other, "none synced");
}

struct between {
    struct net_office *o;
    int after; /* transactions more */
};

/* An application between what a step has found and its transaction: at the last that the store asks
 * before it takes the marks. */
static int write_between(unsigned type, void *between, void *stmt, void *text)
{
    struct between *b = between;
    (void)type, (void)stmt;
    if (strcmp(text, "PRAGMA main.journal_mode") == 0 && b->after-- == 0)
        assert_int_equal(sqlite3_exec(b->o->app,
                                      "UPDATE note SET text = text || '.' WHERE id = 'n00003'",
                                      NULL, NULL, NULL),
                         SQLITE_OK);
    return 0;
}

/* Also right before the transaction in which the end of a comparison is noted: that one has not
 * seen it, and another begins. */
static void what_is_written_while_it_is_compared_is_sealed(void **state)
{
    struct net *t = *state;
    char want[12];
    struct net_office *other = enter_twice(t);
    int n = 0;
    for (bool any = true; any; n++) {
        struct between b = {other, n};
        gap_while_off(t, other, REBUILD(""));
        sqlite3_trace_v2(other->store->db, SQLITE_TRACE_STMT, write_between, &b);
        net_run(t, 5000);
        sqlite3_trace_v2(other->store->db, 0, NULL, NULL);
        any = b.after < 0;
        gap_settled(t, other, "none synced");
        snprintf(want, sizeof want, "x%.*s", n + any, ".........");
        assert_string_equal(net_text(HUB, "SELECT text FROM note WHERE id = 'n00003'"), want);
    }
    assert_in_range(n, 3, 8);
}

/* ---- the review desk */

/* Any office decides. */
static void let_all_decide(struct net *t)
{
    for (int i = 0; i < t->n; i++)
        gap_while_off(
            t, &t->office[i],
            "UPDATE tonle_charter SET compiled = json_set(compiled, '$.review_by', 'any')");
}

static void refused(struct store *s, enum err e)
{
    assert_err(e, ERR_STATE);
    assert_non_null(strstr(store_message(s), "tonle verify --repair"));
    store_rollback(s);
}

static void resolve(struct net *t, enum resolution how, struct dot take)
{
    struct arena a = {0};
    const char *decision;
    struct store *s = PROVINCE->store;
    struct review review = {.by = "me", .reason = "because"};
    char id[40];
    snprintf(id, sizeof id, "%s",
             net_text(PROVINCE, "SELECT id FROM tonle_conflict WHERE state = 'open'"));
    assert_ok(store_begin(s));
    refused(s, store_conflict_resolve(s, &a, id, how, take, &review, &decision));
    arena_fini(&a);
}

static void settle(struct net *t, enum held_action action, bool with_set)
{
    struct arena a = {0};
    struct held_settled out;
    struct store *s = PROVINCE->store;
    struct assignment set = {"text", "other", false};
    struct review review = {.by = "me", .reason = "because", .set = &set, .n_set = with_set};
    char id[40];
    snprintf(id, sizeof id, "%s", net_text(PROVINCE, "SELECT id FROM tonle_held"));
    assert_ok(store_begin(s));
    refused(s, store_held_settle(s, &a, id, action, &review, &out));
    arena_fini(&a);
}

/* Whichever of the two is decided about, others would take it for theirs. */
static void nothing_is_decided_before_a_comparison(void **state)
{
    struct net *t = *state;
    let_all_decide(t);
    enter_both(t, true);
    uint64_t seq =
        strtoull(net_text(PROVINCE, "SELECT seq FROM tonle_side WHERE site <> 0"), NULL, 10);
    resolve(t, RESOLVE_TAKE, (struct dot){HUB->site, seq});
    resolve(t, RESOLVE_TAKE, (struct dot){0, 0});
    resolve(t, RESOLVE_SHOWN, (struct dot){0});
    resolve(t, RESOLVE_BOTH, (struct dot){0});
    settle(t, HELD_MERGE, false);
    settle(t, HELD_SET, true);
    settle(t, HELD_DROP, false);
    net_run(t, 10000);
    hub_shows(t, "hub");
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM tonle_todo"), "0");
    gap_take(t, PROVINCE, "\"here\"");
    net_run(t, 20000);
    AT_ALL(open_ones, "1"); /* that one can be decided */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_THREE(its_delete_deletes_no_row_of_others),
        TEST_OF_THREE(nor_where_nobody_knows_of_a_gap),
        TEST_OF_THREE(its_change_changes_no_row_of_others),
        TEST_OF_THREE(nor_by_a_change_where_nobody_knows_of_a_gap),
        TEST_OF_TWO(a_clerk_goes_on_while_a_person_is_waited_for),
        TEST_OF_TWO(forgotten_while_the_line_was_down),
        TEST_OF_THREE(others_change_theirs),
        TEST_OF_THREE(others_delete_theirs),
        TEST_OF_THREE(others_delete_twins),
        TEST_OF_TWO(a_settled_row_is_changed_as_ever),
        TEST_OF_TWO(what_was_compared_is_sealed),
        TEST_OF_TWO(what_was_compared_is_sealed_to_its_end),
        TEST_OF_TWO(what_is_written_while_it_is_compared_is_sealed),
        TEST_OF_THREE(nothing_is_decided_before_a_comparison),
    };
    return check_run(tests);
}
