/* Cells that are not one plain column: groups, sums, and what the scope decides. */
#include "conflict/row.h"
#include "tests/lib/check.h"

enum { KEY, FIRST, LEAD, COUNT, SCOPE, STATE, ALONE, COLUMNS };
static const uint32_t members[] = {LEAD, FIRST};
static const struct cell_group group = {.name = "name", .n = 2, .column = members};
static const struct cell_group *const groups[COLUMNS] = {[FIRST] = &group, [LEAD] = &group};
static const uint8_t policies[COLUMNS] = {
    [FIRST] = POLICY_MAX,    [LEAD] = POLICY_MAX,   [COUNT] = POLICY_SUM,
    [SCOPE] = POLICY_LATEST, [STATE] = POLICY_RANK, [ALONE] = POLICY_REVIEW,
};
static const uint8_t fallback[COLUMNS] = {[ALONE] = POLICY_OWNER};
static const char *const states[] = {"open", "shut"};
static const struct rank_list ranks[COLUMNS] = {[STATE] = {.n = 2, .text = states}};
static const struct site_unit unit[] = {{1, "KH"}, {2, "KH-1"}, {3, "KH-2"}};
static const struct unit_list units = {.n = 3, .site = unit};
static const struct table_rules rules = {.n_columns = COLUMNS,
                                         .policy = policies,
                                         .fallback = fallback,
                                         .rank = ranks,
                                         .group = groups,
                                         .scope = SCOPE + 1,
                                         .units = &units};

static int start(void **state)
{
    *state = mem_alloc(sizeof(struct arena));
    return 0;
}

static int stop(void **state)
{
    arena_fini(*state);
    mem_free(*state);
    return 0;
}

static struct version by_site(uint64_t site, struct value v)
{
    return (struct version){.dot = {site, 1}, .hlc = 10 * site, .value = v};
}

static struct value name(struct arena *a, const char *lead, const char *first)
{
    const struct value v[] = {value_text(lead), value_text(first)};
    return value_tuple(a, v, 2);
}

static struct birth *make_birth(struct arena *a)
{
    struct birth *b = arena_alloc(a, sizeof *b);
    b->values = arena_alloc(a, COLUMNS * sizeof *b->values);
    b->values[FIRST] = value_text("given");
    b->values[LEAD] = value_text("family");
    b->values[COUNT] = value_integer(5);
    b->values[SCOPE] = value_text("KH-1-7");
    return b;
}

/* A group without an entry has one version, the tuple of its columns in the charter's order;
 * without values, one of as many NULLs. */
static void a_group_is_made_of_its_columns(void **state)
{
    uint32_t n;
    struct birth *b = make_birth(*state);
    const struct version *v = birth_cell(*state, b, &rules, FIRST, &n);
    struct value expected = name(*state, "family", "given");
    assert_int_equal(n, 1);
    assert_true(value_equal(&v->value, &expected));
    b->values = NULL;
    v = birth_cell(*state, b, &rules, FIRST, &n);
    struct value part[2];
    assert_ok(value_tuple_split(&v->value, part, 2));
    assert_int_equal(part[0].type, VALUE_NULL);
    assert_int_equal(part[1].type, VALUE_NULL);
}

/* What is shown of a group's column is its member of the one tuple that wins, never a mixture. */
static void a_group_is_shown_whole(void **state)
{
    struct birth *b = make_birth(*state);
    const struct version v[] = {by_site(1, name(*state, "b", "a")),
                                by_site(2, name(*state, "a", "z"))};
    birth_set_cell(*state, b, FIRST, v, 2);
    struct value *shown = birth_shown(*state, b, &rules);
    struct version lead = birth_show(*state, b, LEAD, &rules);
    struct version first = birth_show(*state, b, FIRST, &rules);
    assert_memory_equal(lead.value.u.p, "b", 1);
    assert_memory_equal(first.value.u.p, "a", 1);
    assert_int_equal(lead.dot.site, 1);
    assert_int_equal(first.dot.site, 1);
    assert_true(value_equal(&shown[LEAD], &lead.value));
    assert_true(value_equal(&shown[FIRST], &first.value));
    assert_int_equal(shown[COUNT].u.i, 5);
}

/* Every column as shown, also where nothing is known but what the cells say. */
static void what_is_not_known_is_shown_as_null(void **state)
{
    struct birth *b = make_birth(*state);
    struct version v = by_site(1, name(*state, "b", "a"));
    struct version gone = by_site(1, value_integer(0));
    b->values = NULL;
    birth_set_cell(*state, b, FIRST, &v, 1);
    birth_set_cell(*state, b, COLUMN_EXISTS, &gone, 1);
    struct value *shown = birth_shown(*state, b, &rules);
    assert_memory_equal(shown[FIRST].u.p, "a", 1);
    assert_int_equal(shown[SCOPE].type, VALUE_NULL);
    assert_int_equal(birth_show(*state, b, COUNT, &rules).value.type, VALUE_NULL);
    uint32_t column;
    struct value bad;
    assert_true(birth_sums_stand(b, &rules, &column, &bad));
}

/* The owner of the row's scope, as it is shown, decides under `owner`; the list under `rank`; a
 * lone version needs nobody. */
static void scope_and_list_choose(void **state)
{
    const struct {
        const char *scope;
        size_t wins;
    } table[] = {{"KH-1-7", 1}, {"KH-2", 2}, {"KH-3", 0}, {"", 2}, {NULL, 2}};
    const struct version v[] = {by_site(1, value_null()), by_site(2, value_null()),
                                by_site(3, value_null())};
    struct birth *b = make_birth(*state);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        b->values[SCOPE] = table[i].scope ? value_text(table[i].scope) : value_null();
        assert_int_equal(birth_choose(*state, b, &rules, ALONE, v, 3), table[i].wins);
        assert_int_equal(birth_choose(*state, b, &rules, ALONE, v, 1), 0);
    }
    const struct version s[] = {by_site(1, value_text("shut")), by_site(2, value_text("open"))};
    assert_int_equal(birth_choose(*state, b, &rules, STATE, s, 2), 0);
}

/* Rules that would let the scope decide about itself end, and choose as without a scope. */
static void a_scope_does_not_decide_about_itself(void **state)
{
    uint8_t own[COLUMNS] = {[SCOPE] = POLICY_OWNER};
    struct table_rules odd = rules;
    struct birth *b = make_birth(*state);
    const struct version v[] = {by_site(2, value_text("KH-2")), by_site(3, value_text("KH-1"))};
    odd.policy = own;
    odd.group = NULL;
    assert_int_equal(birth_choose(*state, b, &odd, SCOPE, v, 2), 1);
    odd.scope = 0;
    assert_int_equal(birth_choose(*state, b, &odd, SCOPE, v, 2), 1);
    own[STATE] = POLICY_RANK;
    odd.rank = NULL; /* no list: nothing is listed, the latest wins */
    assert_int_equal(birth_choose(*state, b, &odd, STATE, v, 2), 1);
}

/* Values from the table reach groups of one version, and neither sums' cells nor siblings. */
static void values_from_the_table_reach_lone_versions(void **state)
{
    struct birth *b = make_birth(*state);
    struct value table[COLUMNS] = {[FIRST] = value_text("new"), [LEAD] = value_text("name")};
    struct version v = by_site(1, name(*state, "", ""));
    struct version other = by_site(2, value_text("many"));
    birth_set_cell(*state, b, FIRST, &v, 1);
    birth_set_cell(*state, b, COUNT, &other, 1);
    birth_set_values(*state, b, &rules, table);
    struct value expected = name(*state, "name", "new");
    uint32_t n;
    assert_true(value_equal(&birth_cell(*state, b, &rules, FIRST, &n)->value, &expected));
    assert_int_equal(birth_cell(*state, b, &rules, COUNT, &n)->value.type, VALUE_TEXT);
}

/* A birth stands only with sums that are integers of 64 bits, or NULL; the first column that is not
 * is named with what it holds. A sum shows its total, with the time of the last thing written there
 * that is none. */
static void sums_must_be_numbers_to_stand(void **state)
{
    struct birth *b = make_birth(*state);
    const struct {
        struct value total;
        bool stands;
    } table[] = {
        {value_null(), true},
        {value_integer(INT64_MIN), true},
        {value_total(*state, (__int128)INT64_MAX + 1), false},
        {value_text("left from before"), false},
        {value_real(1), false},
    };
    uint32_t column = 99;
    struct value bad;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        b->values[COUNT] = table[i].total;
        assert_int_equal(birth_sums_stand(b, &rules, &column, &bad), table[i].stands);
        assert_true(table[i].stands || (column == COUNT && value_equal(&bad, &table[i].total)));
    }
    const struct version v[] = {by_site(2, value_text("few")), by_site(1, value_text("many"))};
    b->values[COUNT] = value_integer(5);
    b->base = (struct dot){9, 9};
    assert_int_equal(birth_show(*state, b, COUNT, &rules).dot.site, 9);
    birth_set_cell(*state, b, COUNT, v, 2);
    assert_false(birth_sums_stand(b, &rules, &column, &bad));
    assert_memory_equal(bad.u.p, "few", 3);
    assert_int_equal(birth_show(*state, b, COUNT, &rules).value.u.i, 5);
    assert_int_equal(birth_show(*state, b, COUNT, &rules).dot.site, 2);
    birth_set_cell(*state, b, COUNT, NULL, 0);
    assert_int_equal(b->n_cells, 0);
    assert_true(birth_sums_stand(b, &rules, &column, &bad));
}

/* Which cells forgetting drops when everything is stable: one value, or several that people would
 * not tell apart; a unit that chooses between them may change, so then they must be identical. */
static void forgetting_asks_what_people_see(void **state)
{
    const struct value plain = value_text("\u1780\u17b6");
    const struct value unseen = value_text("\u1780\u200b\u17b6");
    const struct value other = value_text("\u1780");
    const struct {
        uint32_t cell;
        struct value v[2];
        bool stays;
    } table[] = {
        {STATE, {plain, plain}, false},
        {STATE, {plain, unseen}, false},
        {STATE, {plain, other}, true},
        {ALONE, {plain, plain}, false},
        {ALONE, {plain, unseen}, true},
        {FIRST, {name(*state, "a", "b"), name(*state, "a\u200d", "b")}, false},
        {FIRST, {name(*state, "a", "b"), name(*state, "b", "a")}, true},
        {COUNT, {other, other}, true},
    };
    struct clock stable = {0};
    clock_set(&stable, 1, 1);
    clock_set(&stable, 2, 1);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct birth *b = make_birth(*state);
        struct row r = {.n_births = 1, .births = b};
        const struct version v[] = {by_site(1, table[i].v[0]), by_site(2, table[i].v[1])};
        const struct forget f = {.stable = &stable};
        birth_set_cell(*state, b, table[i].cell, v, 2);
        row_forget(*state, &r, &rules, &f);
        assert_int_equal(r.births->n_cells, table[i].stays);
    }
    clock_fini(&stable);
}

/* What stands in no table is nowhere else: a held birth of which only the cells tell something
 * keeps what they showed. Of what stands the table has it. */
static void what_a_held_birth_shows_stays_with_it(void **state)
{
    static const enum hold_reason held[] = {HOLD_CHECK, HOLD_NONE};
    const struct version v[] = {by_site(1, value_text("KH-2")), by_site(2, name(*state, "f", "g"))};
    struct clock stable = {0};
    const struct forget f = {.stable = &stable};
    clock_set(&stable, 1, 1);
    clock_set(&stable, 2, 1);
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        struct birth *b = make_birth(*state);
        struct row r = {.n_births = 1, .births = b};
        b->values = NULL;
        b->held = held[i];
        birth_set_cell(*state, b, SCOPE, &v[0], 1);
        birth_set_cell(*state, b, FIRST, &v[1], 1);
        row_forget(*state, &r, &rules, &f);
        assert_int_equal(r.births->n_cells, 0);
        assert_true(!r.births->values == (held[i] == HOLD_NONE));
        struct value *shown = birth_shown(*state, r.births, &rules);
        assert_int_equal(shown[SCOPE].type, held[i] ? VALUE_TEXT : VALUE_NULL);
        assert_int_equal(shown[LEAD].type, held[i] ? VALUE_TEXT : VALUE_NULL);
        assert_int_equal(shown[KEY].type, VALUE_NULL);
    }
    clock_fini(&stable);
}

/* A unique column in a group ranks by the group's cell, and keeps it while ranks are kept. */
static void a_group_ranks_for_its_columns(void **state)
{
    static const uint32_t unique[] = {LEAD};
    struct birth *b = make_birth(*state);
    struct row r = {.n_births = 1, .births = b};
    struct version v = by_site(1, name(*state, "", ""));
    struct clock stable = {0};
    const struct forget f = {
        .stable = &stable, .keep_rank = true, .unique_columns = unique, .n_unique_columns = 1};
    birth_set_cell(*state, b, FIRST, &v, 1);
    clock_set(&stable, 1, 1);
    row_forget(*state, &r, &rules, &f);
    assert_int_equal(r.births->n_cells, 1);
    assert_int_equal(birth_rank(r.births, &rules, unique, 1).dot.site, 1);
    clock_fini(&stable);
}

/* Which siblings of existence are a living row, under each delete policy. */
static void delete_policies_say_who_lives(void **state)
{
    const struct {
        enum delete_policy p;
        int64_t v[2];
        bool alive;
    } table[] = {
        {DELETE_UPDATE_WINS, {1, 0}, true},  {DELETE_UPDATE_WINS, {0, 0}, false},
        {DELETE_DELETE_WINS, {0, 1}, false}, {DELETE_DELETE_WINS, {1, 1}, true},
        {DELETE_REVIEW, {0, 1}, true},       {DELETE_REVIEW, {0, 0}, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct table_rules mine = rules;
        struct birth *b = make_birth(*state);
        struct row r = {.n_births = 1, .births = b};
        const struct version v[] = {by_site(1, value_integer(table[i].v[0])),
                                    by_site(2, value_integer(table[i].v[1]))};
        mine.delete_policy = table[i].p;
        birth_set_cell(*state, b, COLUMN_EXISTS, v, 2);
        assert_int_equal(birth_alive(b, &mine), table[i].alive);
        assert_int_equal(row_standing(&r, &mine) == b, table[i].alive);
    }
}

/* A dead birth stays while its delete is in conflict, and goes when that is settled and stable. */
static void a_delete_in_conflict_is_not_forgotten(void **state)
{
    struct table_rules mine = rules;
    struct birth *b = make_birth(*state);
    struct row r = {.n_births = 1, .births = b};
    const struct version v[] = {by_site(1, value_integer(0)), by_site(2, value_integer(1))};
    struct clock stable = {0};
    const struct forget f = {.stable = &stable};
    mine.delete_policy = DELETE_DELETE_WINS;
    clock_set(&stable, 1, 1);
    clock_set(&stable, 2, 1);
    birth_set_cell(*state, b, COLUMN_EXISTS, v, 2);
    row_forget(*state, &r, &mine, &f);
    assert_int_equal(r.n_births, 1);
    birth_set_cell(*state, b, COLUMN_EXISTS, v, 1);
    row_forget(*state, &r, &mine, &f);
    assert_int_equal(r.n_births, 0);
    clock_fini(&stable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_group_is_made_of_its_columns),
        TEST(a_group_is_shown_whole),
        TEST(what_is_not_known_is_shown_as_null),
        TEST(scope_and_list_choose),
        TEST(a_scope_does_not_decide_about_itself),
        TEST(values_from_the_table_reach_lone_versions),
        TEST(sums_must_be_numbers_to_stand),
        TEST(forgetting_asks_what_people_see),
        TEST(what_a_held_birth_shows_stays_with_it),
        TEST(a_group_ranks_for_its_columns),
        TEST(delete_policies_say_who_lives),
        TEST(a_delete_in_conflict_is_not_forgotten),
    };
    return check_run(tests);
}
