/* What the hub takes of a child, and an office in the middle of its parent, is what all have then;
 * and which child the hub is asked about. */
#include "tests/unit/node/gaps.h"

#include <string.h>

#define AT_ALL(sql, want)                                                                          \
    for (int i = 0; i < t->n; i++)                                                                 \
    assert_string_equal(net_text(&t->office[i], sql), want)
/* ---- which child */

static json_int_t changed(struct net *t, const char *line)
{
    json_t *j = gap_ask(t, HUB, line);
    json_int_t n = gap_number(j, "changed");
    json_decref(j);
    return n;
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(a_word_goes_to_the_child_that_was_seen),
        TEST_OF_TWO(another_child_clears_nothing),
        TEST_OF_THREE(a_child_that_is_not_here_is_named),
    };
    return check_run(tests);
}
