/* What the hub takes of a child, and an office in the middle of its parent, is what all have then;
 * and which child the hub is asked about. */
#include "tests/unit/node/gaps.h"

#include <stdio.h>
#include <string.h>

#define AT_ALL(sql, want)                                                                          \
    for (int i = 0; i < t->n; i++)                                                                 \
    assert_string_equal(net_text(&t->office[i], sql), want)
#define AT_ALL_BUT_PROVINCE(sql, want)                                                             \
    for (int i = 0; i < t->n; i++)                                                                 \
        if (i != 1)                                                                                \
    assert_string_equal(net_text(&t->office[i], sql), want)

static const char at_province[] = "there, tonle verify --repair --take here";

/* The hub's word on what differs from this child. */
static json_t *take_of(struct net *t, const char *child)
{
    char line[200];
    snprintf(line, sizeof line, "{\"do\":\"verify_local\",\"take\":\"there\",\"office\":\"%s\"}",
             child);
    return gap_ask(t, HUB, line);
}

static json_int_t changed(struct net *t, const char *line)
{
    json_t *j = gap_ask(t, HUB, line);
    json_int_t n = gap_number(j, "changed");
    json_decref(j);
    return n;
}

/* Of the first row of an answer that stays. */
static const char *why_of(const json_t *answer)
{
    const char *why = json_string_value(
        json_object_get(json_array_get(json_object_get(answer, "rows"), 0), "why"));
    return why ? why : "";
}

/* What the hub takes from a child others may not have: it is the hub's from then on. What no change
 * could say to the others stays, and it is told where it can be said. */
static void what_the_hub_takes_is_everybodys(void **state)
{
    static const char rows[] = "SELECT group_concat(id || text, ' ') FROM (SELECT * FROM note WHERE"
                               " id IN ('k', 'n00003', 'n00005') ORDER BY id)";
    struct net *t = *state;
    net_grow(t, "other", "13", "hub");
    gap_start_with(t, ROWS(20));
    gap_behind(PROVINCE, "UPDATE note SET text = 'flipped' WHERE id = 'n00003';"
                         "DELETE FROM note WHERE id = 'n00005';"
                         "INSERT INTO note VALUES('k', 'stray')");
    json_t *j = take_of(t, "province");
    assert_int_equal(gap_number(j, "settled"), 2);
    assert_int_equal(gap_number(j, "deleted"), 1);
    assert_non_null(strstr(why_of(j), at_province));
    json_decref(j);
    net_run(t, 5000);
    assert_string_equal(gap_of(t, HUB), "note differs 0 0 1 behind");
    assert_string_equal(net_text(HUB, rows), "n00003flipped");
    gap_take(t, PROVINCE, "\"here\"");
    net_run(t, 5000);
    json_decref(gap_ask(t, HUB, "{\"do\":\"verify_local\",\"office\":\"province\"}"));
    assert_true(net_settle(t, 10000));
    AT_ALL("SELECT count(*) FROM tonle_held", "0");
    AT_ALL(rows, "kstray n00003flipped");
}

/* Of two rows at one key the child shows its own, and the hub has heard of the other alone. */
static void other_rows(struct net *t, unsigned ms)
{
    gap_start_with(t, ROWS(20));
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray')");
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'hub')");
    net_run(t, ms);
    json_t *j = take_of(t, "province");
    assert_int_equal(gap_number(j, "settled"), 0);
    assert_non_null(strstr(why_of(j), at_province));
    json_decref(j);
    AT_ALL_BUT_PROVINCE("SELECT text FROM note WHERE id = 'k'", "hub");
    gap_take(t, PROVINCE, "\"here\"");
    net_run(t, 5000);
    AT_ALL("SELECT count(*) FROM tonle_conflict WHERE state = 'open'", "1");
    AT_ALL("SELECT text FROM note WHERE id = 'k'", "hub");
}

static void the_hub_takes_no_row_for_another(void **state)
{
    other_rows(*state, 5000);
}

static void nor_for_one_whose_name_it_has_forgotten(void **state)
{
    other_rows(*state, 130000);
}

/* A row that the hub itself has lost is everybody's, and comes back from a child. */
static void what_the_hub_has_lost_comes_back(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_run(t, 130000); /* of the one there is no record any more */
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'x')");
    net_run(t, 1000);
    gap_while_off(t, HUB, REBUILD("DELETE FROM note_new WHERE id IN ('n00005', 'k');"));
    gap_settled(t, HUB, "note differs 0 0 2 behind");
    assert_int_equal(gap_take(t, HUB, "\"there\""), 2);
    assert_true(net_settle(t, 10000));
    for (int i = 0; i < 3; i++) {
        assert_string_equal(gap_of(t, &t->office[i]), "none synced");
        assert_string_equal(net_text(&t->office[i], "SELECT count(*) FROM note"), "21");
    }
}

/* But which rows were lost the hub cannot know: what is taken as one stays a question until every
 * other child has been compared, also behind a restart. */
static void what_was_taken_for_a_lost_row_is_asked_of_all(void **state)
{
    static const char all_rows[] = "SELECT count(*) FROM note";
    struct net *t = *state;
    struct net_office *other = net_grow(t, "other", "13", "hub");
    gap_start_with(t, ROWS(20));
    net_run(t, 130000);
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray')");
    gap_while_off(t, HUB, REBUILD("DELETE FROM note_new WHERE id = 'n00005';"));
    net_run(t, 30000);
    json_decref(take_of(t, "province"));
    assert_string_equal(net_text(HUB, all_rows), "21");
    net_crash(t, HUB);
    net_boot(t, HUB);
    net_run(t, 20000);
    json_decref(gap_ask(t, HUB, "{\"do\":\"verify_local\",\"office\":\"province\"}"));
    assert_string_equal(gap_of(t, HUB), "note differs 0 0 0 behind");
    assert_non_null(
        strstr(net_ask(t, HUB, "{\"do\":\"status\"}"), "has to be compared with other"));
    json_decref(gap_ask(t, HUB, "{\"do\":\"verify_local\",\"office\":\"other\"}"));
    assert_string_equal(gap_of(t, HUB), "note differs 0 1 0 behind");
    assert_int_equal(gap_take(t, other, "\"there\""), 1);
    assert_int_equal(changed(t, "{\"do\":\"verify_local\",\"office\":\"other\"}"), 0);
    assert_string_equal(gap_of(t, HUB), "none synced");
    assert_string_equal(net_text(other, all_rows), "21");
}

/* What an office in the middle takes of its parent is what the offices below have then, who may
 * have taken what it had. */
static void what_the_middle_takes_is_news_below(void **state)
{
    static const char rows[] = "SELECT group_concat(id || text, ' ') FROM (SELECT * FROM note WHERE"
                               " id IN ('k', 'n00003') ORDER BY id)";
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray');"
                         "UPDATE note SET text = 'flipped' WHERE id = 'n00003'");
    assert_int_equal(gap_take(t, DISTRICT, "\"there\""), 2);
    assert_string_equal(net_text(DISTRICT, rows), "kstray n00003flipped");
    assert_int_equal(gap_take(t, PROVINCE, "\"there\""), 2);
    assert_true(net_settle(t, 10000));
    for (int i = 0; i < 3; i++) {
        assert_string_equal(net_text(&t->office[i], rows), "n00003x");
        assert_string_equal(net_text(&t->office[i], "SELECT count(*) FROM tonle_conflict"), "0");
        assert_string_equal(gap_of(t, &t->office[i]), "none synced");
        assert_null(strstr(net_ask(t, &t->office[i], "{\"do\":\"status\"}"), "\"astray\""));
    }
}

/* ---- which child */

static void flip_beside_another(struct net *t)
{
    assert_non_null(net_grow(t, "other", "13", "hub"));
    gap_start_with(t, ROWS(20));
    gap_behind(PROVINCE, "UPDATE note SET text = 'flipped' WHERE id = 'n00003'");
}

/* A word goes to whom the person was shown last. */
static void a_word_goes_to_the_child_that_was_seen(void **state)
{
    struct net *t = *state;
    flip_beside_another(t);
    changed(t, "{\"do\":\"verify_local\",\"office\":\"province\"}");
    changed(t, "{\"do\":\"verify_local\",\"office\":\"other\"}");
    changed(t, "{\"do\":\"verify_local\",\"office\":\"province\"}");
    assert_int_equal(gap_take(t, HUB, "\"there\""), 1);
    assert_true(net_settle(t, 10000));
    AT_ALL("SELECT text FROM note WHERE id = 'n00003'", "flipped");
    AT_ALL("SELECT count(*) FROM tonle_gap", "0");
}

/* And what differs from one is not forgotten because another is alike. */
static void another_child_clears_nothing(void **state)
{
    struct net *t = *state;
    flip_beside_another(t);
    assert_int_equal(changed(t, "{\"do\":\"verify_local\",\"office\":\"province\"}"), 1);
    assert_int_equal(changed(t, "{\"do\":\"verify_local\",\"office\":\"other\"}"), 0);
    assert_string_equal(gap_of(t, HUB), "note differs 1 0 0 behind");
    assert_non_null(
        strstr(net_ask(t, HUB, "{\"do\":\"status\"}"), "differ from those at province and wait"));
    net_crash(t, HUB);
    net_boot(t, HUB);
    net_run(t, 20000);
    assert_int_equal(changed(t, "{\"do\":\"verify_local\",\"office\":\"other\"}"), 0);
    assert_string_equal(gap_of(t, HUB), "note differs 1 0 0 behind");
    gap_behind(PROVINCE, "UPDATE note SET text = 'x' WHERE id = 'n00003'");
    assert_int_equal(changed(t, "{\"do\":\"verify_local\",\"office\":\"province\"}"), 0);
    gap_settled(t, HUB, "none synced");
}

/* Behind a restart nobody has been shown anything, and to whom the one line that is up leads is no
 * answer: the registry has two. */
static void a_word_goes_to_no_child_by_chance(void **state)
{
    static const char take[] = "{\"do\":\"verify_local\",\"take\":\"there\"}";
    struct net *t = *state;
    flip_beside_another(t);
    changed(t, "{\"do\":\"verify_local\",\"office\":\"province\"}");
    net_cut(t, PROVINCE);
    net_run(t, 1000);
    gap_behind(&t->office[2], "UPDATE note SET text = 'other' WHERE id = 'n00007'");
    net_crash(t, HUB);
    net_boot(t, HUB);
    net_run(t, 20000);
    assert_non_null(strstr(net_ask(t, HUB, take), "several offices are below"));
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE text = 'x'"), "20");
    net_mend(t, PROVINCE);
    net_run(t, 5000);
    assert_int_equal(changed(t, "{\"do\":\"verify_local\",\"office\":\"province\"}"), 1);
    assert_int_equal(gap_take(t, HUB, "\"there\""), 1);
}

static void a_child_that_is_not_here_is_named(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(2));
    assert_non_null(strstr(net_ask(t, HUB, "{\"do\":\"verify_local\",\"office\":\"nowhere\"}"),
                           "no office below"));
    assert_non_null(
        strstr(net_ask(t, PROVINCE, "{\"do\":\"verify_local\",\"office\":\"district\"}"),
               "the hub alone"));
}

/* Why a row was not taken from one child is not why the same row of another differs. */
static void a_reason_is_that_of_its_neighbour(void **state)
{
    struct net *t = *state;
    struct net_office *other = net_grow(t, "other", "13", "hub");
    gap_start_with(t, ROWS(20));
    net_run(t, 130000);
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray')");
    gap_behind(other, "INSERT INTO note VALUES('k', 'another')");
    json_t *taken = take_of(t, "province");
    assert_non_null(strstr(why_of(taken), at_province));
    json_t *seen = gap_ask(t, HUB, "{\"do\":\"verify_local\",\"office\":\"other\"}");
    assert_string_equal(why_of(seen), "");
    json_decref(taken);
    json_decref(seen);
}

/* Whoever is retired can be compared with no more: the table waits for who is left. */
static void who_is_retired_keeps_nothing_waiting(void **state)
{
    struct net *t = *state;
    net_grow(t, "other", "13", "hub");
    gap_start_with(t, ROWS(20));
    net_run(t, 130000);
    gap_while_off(t, HUB, REBUILD("DELETE FROM note_new WHERE id = 'n00005';"));
    net_run(t, 30000);
    net_crash(t, &t->office[2]);
    json_decref(take_of(t, "province"));
    json_decref(gap_ask(t, HUB, "{\"do\":\"verify_local\",\"office\":\"province\"}"));
    assert_string_equal(net_text(HUB, "SELECT differs_from FROM tonle_gap"), "/other/");
    net_run(t, 5000);
    net_retire(t, "other");
    net_run(t, 40000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM tonle_gap"), "0");
}

/* What has changed by itself at the hub differs from everybody, also from who was not asked yet. */
static void what_differs_outlives_who_is_retired(void **state)
{
    struct net *t = *state;
    assert_non_null(net_grow(t, "other", "13", "hub"));
    gap_start_with(t, ROWS(20));
    gap_behind(HUB, "UPDATE note SET text = 'flipped' WHERE id = 'n00003'");
    assert_int_equal(changed(t, "{\"do\":\"verify_local\",\"office\":\"other\"}"), 1);
    assert_string_equal(net_text(HUB, "SELECT differs_from FROM tonle_gap"), "/other/");
    net_crash(t, &t->office[2]);
    net_retire(t, "other");
    net_run(t, 40000);
    assert_string_equal(net_text(HUB, "SELECT state || differs_from FROM tonle_gap"),
                        "2/province/");
}

/* And marks were answered while it waited: nothing is published any more as of the gap's
 * beginning. */
static void what_waited_is_not_published_by_itself(void **state)
{
    struct net *t = *state;
    net_grow(t, "other", "13", "hub");
    gap_start_with(t, ROWS(20));
    net_run(t, 130000);
    net_cut(t, PROVINCE);
    net_run(t, 1000);
    gap_while_off(t, HUB, REBUILD("DELETE FROM note_new WHERE id = 'n00005';"));
    net_run(t, 30000);
    assert_string_equal(net_text(HUB, "SELECT state || differs_from FROM tonle_gap"), "2/other/");
    net_crash(t, &t->office[2]);
    net_retire(t, "other");
    net_run(t, 5000);
    assert_string_equal(net_text(HUB, "SELECT state || differs_from || hex(clock) FROM tonle_gap"),
                        "1/");
    net_mend(t, PROVINCE);
    net_run(t, 60000);
    assert_string_equal(gap_of(t, HUB), "note differs 0 0 1 behind");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(who_is_retired_keeps_nothing_waiting),
        TEST_OF_TWO(what_differs_outlives_who_is_retired),
        TEST_OF_TWO(what_waited_is_not_published_by_itself),
        TEST_OF_TWO(a_reason_is_that_of_its_neighbour),
        TEST_OF_THREE(what_the_hub_takes_is_everybodys),
        TEST_OF_THREE(the_hub_takes_no_row_for_another),
        TEST_OF_THREE(nor_for_one_whose_name_it_has_forgotten),
        TEST_OF_THREE(what_the_hub_has_lost_comes_back),
        TEST_OF_TWO(what_was_taken_for_a_lost_row_is_asked_of_all),
        TEST_OF_THREE(what_the_middle_takes_is_news_below),
        TEST_OF_TWO(a_word_goes_to_the_child_that_was_seen),
        TEST_OF_TWO(another_child_clears_nothing),
        TEST_OF_TWO(a_word_goes_to_no_child_by_chance),
        TEST_OF_THREE(a_child_that_is_not_here_is_named),
    };
    return check_run(tests);
}
