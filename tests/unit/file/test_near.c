/* What was probably meant. */
#include "node/file/near.h"
#include "tests/lib/check.h"

#include <string.h>

/* A byte changed, added or left out is one step, and so are two neighbours swapped; case is
 * none. */
static void steps_are_counted(void **state)
{
    assert_int_equal(near_distance("policy", "policy"), 0);
    assert_int_equal(near_distance("Policy", "pOLICY"), 0);
    assert_int_equal(near_distance("policy", "polity"), 1);
    assert_int_equal(near_distance("polcy", "policy"), 1);
    assert_int_equal(near_distance("policyy", "policy"), 1);
    assert_int_equal(near_distance("poilcy", "policy"), 1);
    assert_int_equal(near_distance("", "abc"), 3);
    assert_int_equal(near_distance("abc", ""), 3);
    assert_int_equal(near_distance("kitten", "sitting"), 3);
}

/* The longest word that is compared, and one longer, which is far from everything. */
static void long_words_are_far(void **state)
{
    char longest[NEAR_MAX_BYTES + 2];
    memset(longest, 'a', sizeof longest);
    longest[NEAR_MAX_BYTES] = '\0';
    assert_int_equal(near_distance(longest, longest), 0);
    assert_int_equal(near_distance(longest, ""), NEAR_MAX_BYTES);
    longest[NEAR_MAX_BYTES] = 'a';
    longest[NEAR_MAX_BYTES + 1] = '\0';
    assert_int_equal(near_distance(longest, longest), NEAR_NEVER);
}

/* The nearest of a list, when it is near: two steps at most, one for a short word. */
static void the_nearest_word_is_found(void **state)
{
    static const char *const list[] = {"max", "latest", "earliest", NULL};
    assert_string_equal(near_word("lastest", list), "latest");
    assert_string_equal(near_word("LATEST", list), "latest");
    assert_string_equal(near_word("mx", list), "max");
    assert_null(near_word("m", list));
    assert_null(near_word("newest", list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_counted),
        cmocka_unit_test(long_words_are_far),
        cmocka_unit_test(the_nearest_word_is_found),
    };
    return check_run(tests);
}
