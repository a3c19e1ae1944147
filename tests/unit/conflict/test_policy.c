#include "conflict/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct version version(uint64_t hlc, uint64_t site, struct value v)
{
    return (struct version){.dot = {site, 1}, .hlc = hlc, .value = v};
}

/* The table on top of policy.c, case by case, in both orders of the versions. */
static void every_policy_has_its_winner(void **state)
{
    const struct version early = version(1, 9, value_integer(5));
    const struct version late = version(2, 1, value_integer(3));
    const struct version late_equal = version(2, 2, value_integer(5));
    const struct version text = version(1, 1, value_text("a"));
    const struct version stable = {.value = value_integer(4)};
    const struct {
        enum policy p;
        struct version winner;
        struct version loser;
    } table[] = {
        {POLICY_LATEST, late, early},        {POLICY_LATEST, late_equal, late},
        {POLICY_LATEST, early, stable},      {POLICY_EARLIEST, early, late},
        {POLICY_EARLIEST, late, late_equal}, {POLICY_EARLIEST, stable, early},
        {POLICY_MAX, early, late},           {POLICY_MAX, late_equal, early},
        {POLICY_MAX, text, early},           {POLICY_MAX, stable, late},
        {POLICY_MIN, late, early},           {POLICY_MIN, late_equal, early},
        {POLICY_MIN, early, text},           {POLICY_MIN, stable, early},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct version v[2] = {table[i].winner, table[i].loser};
        assert_int_equal(policy_choose(table[i].p, v, 2), 0);
        assert_int_equal(policy_choose(table[i].p, v, 1), 0);
        v[0] = table[i].loser;
        v[1] = table[i].winner;
        assert_int_equal(policy_choose(table[i].p, v, 2), 1);
    }
}

/* The existence cell is `max`; a column has its own policy; one that is unknown is `latest`. */
static void cells_have_the_policies_of_the_rules(void **state)
{
    static const uint8_t policy[] = {POLICY_MIN, POLICY_EARLIEST};
    const struct table_rules rules = {.n_columns = 2, .policy = policy};
    (void)state;
    assert_int_equal(policy_of(&rules, 0), POLICY_MIN);
    assert_int_equal(policy_of(&rules, 1), POLICY_EARLIEST);
    assert_int_equal(policy_of(&rules, 2), POLICY_LATEST);
    assert_int_equal(policy_of(&rules, COLUMN_EXISTS), POLICY_MAX);
}

/* A policy's name is parsed to that policy, and nothing else is. */
static void names_are_parsed_back(void **state)
{
    enum policy p = POLICY_COUNT;
    (void)state;
    for (int i = 0; i < POLICY_COUNT; i++) {
        assert_int_equal(policy_parse(policy_name((enum policy)i), &p), ERR_OK);
        assert_int_equal(p, i);
    }
    assert_int_equal(policy_parse("Latest", &p), ERR_NOT_FOUND);
    assert_int_equal(policy_parse("", &p), ERR_NOT_FOUND);
    assert_string_equal(policy_name(POLICY_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_policy_has_its_winner),
        cmocka_unit_test(cells_have_the_policies_of_the_rules),
        cmocka_unit_test(names_are_parsed_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
