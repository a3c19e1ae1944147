#include "conflict/policy.h"
#include "tests/lib/check.h"

/* The offices: 1 the hub, 12 and 13 provinces, 21 and 22 both district 1201 (an office and its
 * successor), 31 a commune; 99 is not registered. */
static const struct site_unit offices[] = {{1, ""},      {12, "12"},   {13, "13"},
                                           {21, "1201"}, {22, "1201"}, {31, "120104"}};
static const struct unit_list registry = {sizeof offices / sizeof *offices, offices};

static const char *const states[] = {"active", "7", "suspended", "-3", "ស្លាប់"};
static const struct rank_list ranking = {sizeof states / sizeof *states, states};

static struct version make_version(uint64_t hlc, uint64_t site, struct value v)
{
    return (struct version){.dot = {site, 1}, .hlc = hlc, .value = v};
}

static struct version by(uint64_t hlc, uint64_t site)
{
    return make_version(hlc, site, value_integer((int64_t)(hlc * 100 + site)));
}

#define VERSIONS 4

struct policy_case {
    enum policy policy;
    const char *scope;          /* NULL: the nation */
    struct version v[VERSIONS]; /* the first must win */
    size_t n;
    const struct unit_list *units;
    const struct rank_list *rank;
};

static size_t chosen(const struct policy_case *c, const struct version *v)
{
    struct chooser chooser = {.policy = c->policy, .rank = c->rank, .units = c->units};
    if (c->scope)
        chooser.scope = value_text(c->scope);
    return policy_choose(&chooser, v, c->n);
}

static bool same_version(const struct version *a, const struct version *b)
{
    return version_order(a, b) == 0 && value_equal(&a->value, &b->value);
}

/* Every order of the versions (Heap's algorithm) has the same winner. */
static void check_orders(const struct policy_case *c, struct version *v, size_t k, size_t *orders)
{
    if (k <= 1) {
        assert_true(same_version(&v[chosen(c, v)], &c->v[0]));
        ++*orders;
        return;
    }
    for (size_t i = 0; i < k; i++) {
        check_orders(c, v, k - 1, orders);
        size_t j = k % 2 ? 0 : i;
        struct version swap = v[j];
        v[j] = v[k - 1];
        v[k - 1] = swap;
    }
}

static void check_cases(const struct policy_case *c, size_t n)
{
    static const size_t factorial[VERSIONS + 1] = {1, 1, 2, 6, 24};
    for (size_t i = 0; i < n; i++) {
        struct version v[VERSIONS];
        size_t orders = 0;
        for (size_t j = 0; j < c[i].n; j++)
            v[j] = c[i].v[j];
        check_orders(&c[i], v, c[i].n, &orders);
        assert_int_equal(orders, factorial[c[i].n]);
    }
}
#define CHECK_CASES(table) check_cases(table, sizeof table / sizeof *table)

/* latest and earliest look at (hlc, site, seq) and nothing else; a stable version is the earliest.
 */
static void time_decides_under_latest_and_earliest(void **state)
{
    const struct version stable = {.value = value_integer(4)};
    const struct version second = {.dot = {9, 2}, .hlc = 5};
    const struct version first = {.dot = {9, 1}, .hlc = 5};
    const struct policy_case table[] = {
        {POLICY_LATEST, NULL, {by(1, 9)}, 1, NULL, NULL},
        {POLICY_LATEST, NULL, {by(3, 1), by(2, 9), by(2, 3), stable}, 4, NULL, NULL},
        {POLICY_LATEST, NULL, {by(2, 9), by(2, 3), by(2, 1)}, 3, NULL, NULL},
        {POLICY_LATEST, NULL, {second, first}, 2, NULL, NULL},
        {POLICY_EARLIEST, NULL, {stable, by(2, 1), by(2, 2), by(3, 1)}, 4, NULL, NULL},
        {POLICY_EARLIEST, NULL, {by(2, 1), by(2, 2), by(3, 1)}, 3, NULL, NULL},
        {POLICY_EARLIEST, NULL, {first, second}, 2, NULL, NULL},
    };
    CHECK_CASES(table);
}

/* max and min follow SQLite's order over all types; equal values: the latest, under both. */
static void values_decide_under_max_and_min(void **state)
{
    const struct version five = make_version(1, 9, value_integer(5));
    const struct version five_later = make_version(2, 2, value_integer(5));
    const struct version real = make_version(7, 1, value_real(4.5));
    const struct version text = make_version(1, 1, value_text("a"));
    const struct version blob = make_version(0, 3, value_bytes(VALUE_BLOB, "a", 1));
    const struct version null = make_version(9, 4, value_null());
    const struct policy_case table[] = {
        {POLICY_MAX, NULL, {five_later, five, real, null}, 4, NULL, NULL},
        {POLICY_MAX, NULL, {blob, text, five, null}, 4, NULL, NULL},
        {POLICY_MIN, NULL, {null, real, five, text}, 4, NULL, NULL},
        {POLICY_MIN, NULL, {five_later, five, text, blob}, 4, NULL, NULL},
    };
    CHECK_CASES(table);
}

/* Of a group the first members are compared, then the second ones: numbers as numbers, although
 * their bytes are ordered otherwise. */
static void groups_are_compared_member_by_member(void **state)
{
    struct arena a = {0};
    const struct value low[] = {value_integer(-90), value_text("z")};
    const struct value middle[] = {value_integer(10), value_text("a")};
    const struct value high[] = {value_integer(10), value_text("b")};
    const struct version v_low = make_version(9, 1, value_tuple(&a, low, 2));
    const struct version v_middle = make_version(8, 1, value_tuple(&a, middle, 2));
    const struct version v_high = make_version(1, 1, value_tuple(&a, high, 2));
    const struct version v_high_later = make_version(2, 1, value_tuple(&a, high, 2));
    const struct policy_case table[] = {
        {POLICY_MAX, NULL, {v_high_later, v_high, v_middle, v_low}, 4, NULL, NULL},
        {POLICY_MIN, NULL, {v_low, v_middle, v_high}, 3, NULL, NULL},
        {POLICY_LATEST, NULL, {v_low, v_middle, v_high}, 3, NULL, NULL},
    };
    CHECK_CASES(table);
    arena_fini(&a);
}

/* owner: the office of the scope, else the nearest above it; a unit beside or below it counts as
 * little as no unit, and then the latest wins. */
static void the_owner_is_the_nearest_office_above_the_scope(void **state)
{
    const struct unit_list *u = &registry;
    const struct policy_case table[] = {
        {POLICY_OWNER, "120104", {by(1, 31), by(2, 21), by(3, 12), by(4, 1)}, 4, u, NULL},
        {POLICY_OWNER, "120104", {by(1, 21), by(3, 12), by(4, 1), by(9, 99)}, 4, u, NULL},
        {POLICY_OWNER, "120104", {by(1, 12), by(4, 1), by(9, 13)}, 3, u, NULL},
        {POLICY_OWNER, "1201", {by(1, 21), by(9, 31), by(8, 12)}, 3, u, NULL},
        {POLICY_OWNER, "1202", {by(1, 12), by(9, 21), by(8, 31), by(7, 1)}, 4, u, NULL},
        {POLICY_OWNER, "1201", {by(2, 22), by(1, 22), by(1, 21)}, 3, u, NULL},
        {POLICY_OWNER, "1201", {by(1, 22), by(1, 21)}, 2, u, NULL},
        {POLICY_OWNER, "25", {by(1, 1), by(5, 12), by(6, 99)}, 3, u, NULL},
        {POLICY_OWNER, "25", {by(6, 99), by(5, 12), by(3, 31)}, 3, u, NULL},
        {POLICY_OWNER, "25", {by(6, 12), by(5, 99)}, 2, u, NULL},
        {POLICY_OWNER, NULL, {by(1, 1), by(5, 12), by(6, 99)}, 3, u, NULL},
        {POLICY_OWNER, "", {by(1, 1), by(5, 12), by(6, 99)}, 3, u, NULL},
        {POLICY_OWNER, "12", {by(6, 1), by(5, 12)}, 2, NULL, NULL},
    };
    CHECK_CASES(table);
}

/* A scope column may hold the code as an INTEGER; what is neither text nor integer is the nation.
 */
static void a_scope_may_be_a_number(void **state)
{
    const struct version v[] = {by(9, 13), by(3, 12), by(4, 1)};
    struct chooser c = {.policy = POLICY_OWNER, .units = &registry};
    c.scope = value_integer(1203);
    assert_int_equal(policy_choose(&c, v, 3), 1);
    c.scope = value_integer(-12);
    assert_int_equal(policy_choose(&c, v, 3), 2);
    c.scope = value_real(12);
    assert_int_equal(policy_choose(&c, v, 3), 2);
    c.scope = value_bytes(VALUE_BLOB, "12", 2);
    assert_int_equal(policy_choose(&c, v, 3), 2);
}

/* national: the shortest unit; local: the longest; equal lengths, also of different units: the
 * latest; a site without a unit loses to every other under both. */
static void the_level_decides_under_national_and_local(void **state)
{
    const struct unit_list *u = &registry;
    const struct policy_case table[] = {
        {POLICY_NATIONAL, "1201", {by(1, 1), by(2, 12), by(3, 21), by(9, 99)}, 4, u, NULL},
        {POLICY_NATIONAL, "1201", {by(3, 13), by(2, 12), by(9, 31), by(9, 99)}, 4, u, NULL},
        {POLICY_NATIONAL, NULL, {by(1, 31), by(9, 99)}, 2, u, NULL},
        {POLICY_NATIONAL, NULL, {by(5, 99), by(4, 98)}, 2, u, NULL},
        {POLICY_LOCAL, "13", {by(1, 31), by(2, 21), by(3, 12), by(9, 99)}, 4, u, NULL},
        {POLICY_LOCAL, NULL, {by(3, 21), by(2, 22), by(9, 12), by(9, 1)}, 4, u, NULL},
        {POLICY_LOCAL, NULL, {by(1, 1), by(9, 99)}, 2, u, NULL},
        {POLICY_LOCAL, NULL, {by(5, 1), by(4, 31)}, 2, NULL, NULL},
    };
    CHECK_CASES(table);
}

/* rank: the value that is last in the list, whatever the time; unlisted values lose to every listed
 * one, and among themselves the latest wins. An INTEGER is found by its digits, a REAL never; text
 * is found when it looks the same. */
static void the_list_decides_under_rank(void **state)
{
    const struct version active = make_version(9, 1, value_text("active"));
    const struct version suspended = make_version(2, 1, value_text("suspended"));
    const struct version seven = make_version(3, 1, value_integer(7));
    const struct version seven_text = make_version(4, 1, value_text("7"));
    const struct version minus = make_version(1, 1, value_integer(-3));
    const struct version dead = make_version(1, 2, value_text("ស្លា\xe2\x80\x8bប់"));
    const struct version unlisted = make_version(10, 1, value_text("ACTIVE"));
    const struct version null = make_version(11, 1, value_null());
    const struct version real = make_version(12, 1, value_real(7));
    const struct rank_list *r = &ranking;
    const struct policy_case table[] = {
        {POLICY_RANK, NULL, {suspended, seven, active, unlisted}, 4, NULL, r},
        {POLICY_RANK, NULL, {minus, suspended, seven_text, null}, 4, NULL, r},
        {POLICY_RANK, NULL, {dead, minus, active}, 3, NULL, r},
        {POLICY_RANK, NULL, {seven_text, seven, active, real}, 4, NULL, r},
        {POLICY_RANK, NULL, {active, unlisted, null, real}, 4, NULL, r},
        {POLICY_RANK, NULL, {real, null, unlisted}, 3, NULL, r},
        {POLICY_RANK, NULL, {seven, suspended}, 2, NULL, NULL},
    };
    CHECK_CASES(table);
}

/* Every 64-bit integer has its own decimal text, also the least and the greatest. */
static void the_ends_of_the_integers_are_ranked(void **state)
{
    static const char *const ends[] = {"-9223372036854775808", "0", "9223372036854775807"};
    static const struct rank_list list = {3, ends};
    const struct policy_case table[] = {
        {POLICY_RANK,
         NULL,
         {make_version(1, 1, value_integer(INT64_MAX)), make_version(2, 1, value_integer(0)),
          make_version(3, 1, value_integer(INT64_MIN)), make_version(4, 1, value_integer(1))},
         4,
         NULL,
         &list},
    };
    CHECK_CASES(table);
}

/* Of a group the first member is looked up in the list, the others are not. */
static void the_first_member_of_a_group_is_ranked(void **state)
{
    struct arena a = {0};
    const struct value one[] = {value_text("suspended"), value_text("2020")};
    const struct value two[] = {value_text("active"), value_text("suspended")};
    const struct version high = make_version(1, 1, value_tuple(&a, one, 2));
    const struct version low = make_version(2, 1, value_tuple(&a, two, 2));
    const struct version none = make_version(3, 1, value_tuple(&a, NULL, 0));
    const struct policy_case table[] = {{POLICY_RANK, NULL, {high, low, none}, 3, NULL, &ranking}};
    CHECK_CASES(table);
    arena_fini(&a);
}

/* A unit is found for each registered site and for no other; without a registry for none. */
static void units_are_found_by_site(void **state)
{
    static const struct unit_list nobody = {0, NULL};
    for (size_t n = 0; n <= registry.n; n++) {
        const struct unit_list part = {n, offices};
        for (uint64_t site = 0; site < 100; site++) {
            const char *wanted = NULL;
            for (size_t i = 0; i < n; i++)
                if (offices[i].site == site)
                    wanted = offices[i].unit;
            assert_ptr_equal(unit_of(&part, site), wanted);
        }
    }
    assert_null(unit_of(&nobody, 1));
    assert_null(unit_of(NULL, 1));
}

/* The columns of a group are one cell, numbered by the lowest, whatever the charter's order; every
 * other column is a cell of its own. */
static void a_group_is_one_cell(void **state)
{
    static const uint32_t column[] = {3, 1, 4};
    static const struct cell_group name = {"name", 3, column};
    static const struct cell_group *const group[5] = {NULL, &name, NULL, &name, &name};
    static const uint8_t policy[5] = {0};
    const struct table_rules rules = {.n_columns = 5, .policy = policy, .group = group};
    const struct table_rules plain = {.n_columns = 5, .policy = policy};
    static const uint32_t wanted[] = {0, 1, 2, 1, 1, 5};
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(cell_of(&rules, i), wanted[i]);
        assert_int_equal(cell_of(&plain, i), i);
        assert_null(cell_group_of(&plain, i));
    }
    assert_ptr_equal(cell_group_of(&rules, 1), &name);
    assert_null(cell_group_of(&rules, 2));
    assert_null(cell_group_of(&rules, 5));
    assert_int_equal(cell_of(&rules, COLUMN_EXISTS), COLUMN_EXISTS);
    assert_null(cell_group_of(&rules, COLUMN_EXISTS));
}

/* A column has its own policy, one that is unknown is `latest`; under review the fallback shows,
 * and without one `latest`. */
static void cells_have_the_policies_of_the_rules(void **state)
{
    static const uint8_t policy[] = {POLICY_MIN, POLICY_REVIEW, POLICY_SUM};
    static const uint8_t fallback[] = {POLICY_LATEST, POLICY_RANK, POLICY_LATEST};
    const struct table_rules rules = {.n_columns = 3, .policy = policy, .fallback = fallback};
    const struct table_rules bare = {.n_columns = 3, .policy = policy};
    assert_int_equal(policy_of(&rules, 0), POLICY_MIN);
    assert_int_equal(policy_shown(&rules, 0), POLICY_MIN);
    assert_int_equal(policy_of(&rules, 1), POLICY_REVIEW);
    assert_int_equal(policy_shown(&rules, 1), POLICY_RANK);
    assert_int_equal(policy_shown(&bare, 1), POLICY_LATEST);
    assert_int_equal(policy_shown(&rules, 2), POLICY_SUM);
    assert_int_equal(policy_of(&rules, 3), POLICY_LATEST);
    assert_int_equal(policy_shown(&rules, 3), POLICY_LATEST);
}

/* The existence cell goes by the delete policy; under review the row stays until a person decides.
 */
static void existence_goes_by_the_delete_policy(void **state)
{
    static const struct {
        enum delete_policy delete_policy;
        enum policy of;
        enum policy shown;
    } table[] = {{DELETE_UPDATE_WINS, POLICY_MAX, POLICY_MAX},
                 {DELETE_DELETE_WINS, POLICY_MIN, POLICY_MIN},
                 {DELETE_REVIEW, POLICY_REVIEW, POLICY_MAX}};
    assert_int_equal(sizeof table / sizeof *table, DELETE_COUNT);
    for (size_t i = 0; i < DELETE_COUNT; i++) {
        const struct table_rules rules = {.delete_policy = table[i].delete_policy};
        assert_int_equal(policy_of(&rules, COLUMN_EXISTS), table[i].of);
        assert_int_equal(policy_shown(&rules, COLUMN_EXISTS), table[i].shown);
    }
}

/* Every name is parsed to what it names, and nothing else is parsed. */
static void names_are_parsed_back(void **state)
{
    static const char *const unknown[] = {"", "Latest", "update_wins", "unknown", "lates"};
    enum policy p = POLICY_COUNT;
    enum delete_policy d = DELETE_COUNT;
    enum birth_policy b = BIRTH_COUNT;
    for (int i = 0; i < POLICY_COUNT; i++) {
        assert_ok(policy_parse(policy_name((enum policy)i), &p));
        assert_int_equal(p, i);
    }
    for (int i = 0; i < DELETE_COUNT; i++) {
        assert_ok(delete_policy_parse(delete_policy_name((enum delete_policy)i), &d));
        assert_int_equal(d, i);
    }
    for (int i = 0; i < BIRTH_COUNT; i++) {
        assert_ok(birth_policy_parse(birth_policy_name((enum birth_policy)i), &b));
        assert_int_equal(b, i);
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_err(policy_parse(unknown[i], &p), ERR_NOT_FOUND);
        assert_err(delete_policy_parse(unknown[i], &d), ERR_NOT_FOUND);
        assert_err(birth_policy_parse(unknown[i], &b), ERR_NOT_FOUND);
    }
    assert_string_equal(policy_name(POLICY_COUNT), "unknown");
    assert_string_equal(delete_policy_name(DELETE_COUNT), "unknown");
    assert_string_equal(birth_policy_name(BIRTH_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_decides_under_latest_and_earliest),
        cmocka_unit_test(values_decide_under_max_and_min),
        cmocka_unit_test(groups_are_compared_member_by_member),
        cmocka_unit_test(the_owner_is_the_nearest_office_above_the_scope),
        cmocka_unit_test(a_scope_may_be_a_number),
        cmocka_unit_test(the_level_decides_under_national_and_local),
        cmocka_unit_test(the_list_decides_under_rank),
        cmocka_unit_test(the_ends_of_the_integers_are_ranked),
        cmocka_unit_test(the_first_member_of_a_group_is_ranked),
        cmocka_unit_test(units_are_found_by_site),
        cmocka_unit_test(a_group_is_one_cell),
        cmocka_unit_test(cells_have_the_policies_of_the_rules),
        cmocka_unit_test(existence_goes_by_the_delete_policy),
        cmocka_unit_test(names_are_parsed_back),
    };
    return check_run(tests);
}
