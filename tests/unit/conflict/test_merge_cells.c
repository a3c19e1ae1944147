/* Merging groups, sums, and rows under every delete and birth policy. */
#include "conflict/merge.h"
#include "tests/lib/check.h"

enum { KEY, FIRST, LEAD, COUNT, SCOPE, STATE, PLAIN, COLUMNS };
static const uint32_t members[] = {LEAD, FIRST};
static const struct cell_group group = {.name = "name", .n = 2, .column = members};
static const struct cell_group *const groups[COLUMNS] = {[FIRST] = &group, [LEAD] = &group};
static const uint8_t policies[COLUMNS] = {
    [FIRST] = POLICY_MAX,
    [LEAD] = POLICY_MAX,
    [COUNT] = POLICY_SUM,
    [STATE] = POLICY_OWNER,
};
static const struct site_unit unit[] = {{1, "KH-1"}, {2, "KH-2"}};
static const struct unit_list units = {.n = 2, .site = unit};

struct cells_desk { /* one row, and what merging needs */
    struct arena arena;
    struct table_rules rules;
    struct row row;
    struct value settled[COLUMNS];
    struct clock stable;
    struct forget forget;
    struct conflict_list met;
};

static int start(void **state)
{
    struct cells_desk *d = mem_alloc(sizeof *d);
    d->rules = (struct table_rules){.n_columns = COLUMNS,
                                    .policy = policies,
                                    .group = groups,
                                    .scope = SCOPE + 1,
                                    .units = &units};
    d->settled[FIRST] = value_text("given");
    d->settled[LEAD] = value_text("family");
    d->settled[SCOPE] = value_text("KH-1");
    d->forget.stable = &d->stable;
    row_from_settled(&d->arena, &d->row, d->settled);
    *state = d;
    return 0;
}

static int stop(void **state)
{
    struct cells_desk *d = *state;
    clock_fini(&d->stable);
    arena_fini(&d->arena);
    mem_free(d);
    return 0;
}

static const struct dot unnamed = {0, 0};

/* A change by its own site; `seen` bits are the sites it has seen, of seq 1. */
struct cell_says {
    uint64_t site;
    enum change_kind kind;
    unsigned seen;
    uint32_t n;
    uint32_t column[3];
    struct value value[3];
    struct dot birth;
    uint64_t hlc; /* 0: by its site */
};

static struct merge_result merge(struct cells_desk *d, const struct cell_says *s)
{
    struct clock context = {0};
    struct change ch = {.dot = {s->site, 1},
                        .hlc = s->hlc ? s->hlc : 100 + s->site,
                        .context = &context,
                        .kind = s->kind,
                        .birth = s->kind == CHANGE_BORN ? (struct dot){s->site, 1} : s->birth,
                        .n_cells = s->n,
                        .column = arena_copy(&d->arena, s->column, sizeof s->column),
                        .value = arena_copy(&d->arena, s->value, sizeof s->value)};
    for (uint64_t i = 0; i < 32; i++)
        if (s->seen >> i & 1)
            clock_set(&context, i, 1);
    struct merge_result m = merge_change(&d->arena, &d->row, &d->rules, &ch, &d->forget, &d->met);
    clock_fini(&context);
    return m;
}

static size_t count_open(struct cells_desk *d)
{
    struct conflict_list open = {0};
    row_open_conflicts(&d->arena, &d->row, &d->rules, &open);
    return open.n;
}

static struct value wide(struct cells_desk *d, __int128 n)
{
    return value_wide(&d->arena, n);
}

/* Two people's names meet as two whole names: one of them stands, in all its columns, and the
 * conflict is one of the group. */
static void groups_meet_whole(void **state)
{
    struct cells_desk *d = *state;
    const struct cell_says a = {
        3, CHANGE_UPDATE, 0, 2, {FIRST, LEAD}, {value_text("z"), value_text("a")}, unnamed, 0};
    const struct cell_says b = {
        4, CHANGE_UPDATE, 0, 2, {FIRST, LEAD}, {value_text("a"), value_text("b")}, unnamed, 0};
    merge(d, &a);
    struct merge_result m = merge(d, &b);
    assert_memory_equal(m.birth->values[FIRST].u.p, "a", 1);
    assert_memory_equal(m.birth->values[LEAD].u.p, "b", 1);
    assert_int_equal(d->met.n, 1);
    assert_int_equal(d->met.c[0].column, FIRST);
    assert_int_equal(d->met.c[0].v[0].value.type, VALUE_TUPLE);
    assert_int_equal(d->met.c[0].shown, 1);
    assert_int_equal(count_open(d), 1);
    const struct cell_says settle = {5,
                                     CHANGE_UPDATE,
                                     1 << 3 | 1 << 4,
                                     2,
                                     {FIRST, LEAD},
                                     {value_text("x"), value_text("y")},
                                     unnamed,
                                     0};
    m = merge(d, &settle);
    assert_memory_equal(m.birth->values[FIRST].u.p, "x", 1);
    assert_int_equal(d->met.n, 1);
    assert_int_equal(count_open(d), 0);
}

/* A group's change that lacks a member is completed with what is shown, whichever member it is. */
static void a_missing_member_is_what_is_shown(void **state)
{
    struct cells_desk *d = *state;
    const struct cell_says lead = {3, CHANGE_UPDATE, 0, 1, {LEAD}, {value_text("new")}, unnamed, 0};
    const struct cell_says first = {4,       CHANGE_UPDATE,       1 << 3,  1,
                                    {FIRST}, {value_text("old")}, unnamed, 0};
    struct merge_result m = merge(d, &lead);
    assert_memory_equal(m.birth->values[FIRST].u.p, "given", 5);
    assert_memory_equal(m.birth->values[LEAD].u.p, "new", 3);
    m = merge(d, &first);
    assert_memory_equal(m.birth->values[FIRST].u.p, "old", 3);
    assert_memory_equal(m.birth->values[LEAD].u.p, "new", 3);
    assert_int_equal(d->met.n, 0);
}

/* Where the values of a row are not known, a group is made of what the change has; a column before
 * it in the change is its own. */
static void a_group_is_merged_where_nothing_is_known(void **state)
{
    struct cells_desk *d = *state;
    const struct cell_says s = {3,
                                CHANGE_UPDATE,
                                0,
                                3,
                                {KEY, FIRST, LEAD},
                                {value_integer(1), value_text("a"), value_text("b")},
                                unnamed,
                                0};
    row_from_settled(&d->arena, &d->row, NULL);
    struct merge_result m = merge(d, &s);
    assert_null(m.birth->values);
    assert_int_equal(m.birth->n_cells, 3);
    struct value *shown = birth_shown(&d->arena, m.birth, &d->rules);
    assert_int_equal(shown[KEY].u.i, 1);
    assert_memory_equal(shown[FIRST].u.p, "a", 1);
    assert_memory_equal(shown[LEAD].u.p, "b", 1);
}

/* The decision table of a sum on top of merge.c: total and other values, after two changes of which
 * the second may have seen the first. */
static void sums_add_up_and_keep_what_is_no_number(void **state)
{
    struct cells_desk *setting = *state;
    struct value text = value_text("many");
    struct value real = value_real(0.5);
    const struct {
        struct value before;
        struct value a;
        struct value b;
        bool b_saw_a;
        struct value total;
        uint32_t others;
    } table[] = {
        {value_null(), wide(setting, 0), value_null(), true, value_integer(0), 0},
        {value_null(), wide(setting, 5), wide(setting, -7), false, value_integer(-2), 0},
        {value_null(), wide(setting, 5), wide(setting, -7), true, value_integer(-2), 0},
        {value_integer(1), wide(setting, 5), text, false, value_integer(6), 1},
        {value_integer(1), wide(setting, 5), text, true, value_integer(6), 1},
        {value_integer(1), text, wide(setting, 5), false, value_integer(6), 1},
        {value_integer(1), text, wide(setting, 5), true, value_integer(6), 0},
        {value_integer(1), text, real, false, value_integer(1), 2},
        {value_integer(1), text, real, true, value_integer(1), 1},
        {text, wide(setting, 5), wide(setting, 1), false, value_integer(6), 0},
        {value_integer(INT64_MAX), wide(setting, 1), wide(setting, 2), false,
         value_total(&setting->arena, (__int128)INT64_MAX + 3), 0},
        {value_integer(INT64_MAX), wide(setting, 1), wide(setting, -1), false,
         value_integer(INT64_MAX), 0},
        {value_integer(0), wide(setting, WIDE_MAX - 1), wide(setting, 2), false,
         wide(setting, 1 - WIDE_MAX), 0},
        {value_integer(0), wide(setting, 2), wide(setting, WIDE_MAX - 1), false,
         wide(setting, 1 - WIDE_MAX), 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct cells_desk *d = setting;
        d->settled[COUNT] = table[i].before;
        row_from_settled(&d->arena, &d->row, d->settled);
        const struct cell_says a = {3, CHANGE_UPDATE, 0, 1, {COUNT}, {table[i].a}, unnamed, 0};
        const struct cell_says b = {
            4, CHANGE_UPDATE, table[i].b_saw_a ? 1 << 3 : 0, 1, {COUNT}, {table[i].b}, unnamed, 0};
        merge(d, &a);
        struct merge_result m = merge(d, &b);
        assert_true(value_equal(&m.birth->values[COUNT], &table[i].total));
        uint32_t others = 0;
        for (uint32_t c = 0; c < m.birth->n_cells; c++)
            others += m.birth->cells[c].column == COUNT ? m.birth->cells[c].n : 0;
        assert_int_equal(others, table[i].others);
        assert_int_equal(d->met.n, 0);
        assert_int_equal(count_open(d), 0);
        assert_true(value_equal(&d->settled[COUNT], &table[i].before));
    }
}

/* What a birth brings into a sum: a number, also a wide one, is the total; anything else is kept
 * beside a NULL. */
static void births_begin_sums(void **state)
{
    struct cells_desk *d = *state;
    const struct {
        struct value v;
        struct value total;
        uint32_t others;
    } table[] = {
        {value_null(), value_null(), 0},
        {value_integer(7), value_integer(7), 0},
        {wide(d, 7), value_integer(7), 0},
        {wide(d, (__int128)1 << 70), wide(d, (__int128)1 << 70), 0},
        {value_text("many"), value_null(), 1},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct cell_says born = {5, CHANGE_BORN, 0, 1, {COUNT}, {table[i].v}, unnamed, 0};
        d->row = (struct row){0};
        struct merge_result m = merge(d, &born);
        assert_true(value_equal(&m.birth->values[COUNT], &table[i].total));
        assert_int_equal(m.birth->n_cells, table[i].others);
    }
}

/* A delta counts once, also onto a dead row, also from the delete itself, and also where nobody
 * knew the values of the dead. */
static void deltas_count_once_and_onto_the_dead(void **state)
{
    struct cells_desk *d = *state;
    const struct cell_says gone = {3, CHANGE_DELETE, 0, 1, {COUNT}, {wide(d, 4)}, unnamed, 0};
    const struct cell_says more = {4, CHANGE_DELETE, 0, 1, {COUNT}, {wide(d, 10)}, unnamed, 0};
    const struct cell_says back = {5, CHANGE_UPDATE, 0, 1, {COUNT}, {wide(d, 100)}, unnamed, 0};
    merge(d, &gone);
    merge(d, &more);
    struct merge_result m = merge(d, &more);
    assert_false(m.applied);
    assert_false(birth_alive(m.birth, &d->rules));
    assert_int_equal(m.birth->values[COUNT].u.i, 14);
    m = merge(d, &back);
    assert_true(birth_alive(m.birth, &d->rules));
    assert_int_equal(m.birth->values[COUNT].u.i, 114);
    row_from_settled(&d->arena, &d->row, NULL);
    m = merge(d, &gone);
    assert_int_equal(m.birth->values[COUNT].u.i, 4);
    assert_int_equal(m.birth->values[LEAD].type, VALUE_NULL);
}

/* What only a sum or a group has on the way becomes something a table can hold, when another
 * office's charter sends it for a plain column. Columns beyond the rules' are passed over. */
static void strangers_become_plain_values(void **state)
{
    struct cells_desk *d = *state;
    struct value pair[] = {value_integer(1), value_integer(2)};
    struct value tuple = value_tuple(&d->arena, pair, 2);
    const struct {
        struct value v;
        struct value stands;
    } table[] = {
        {wide(d, -3), value_integer(-3)},
        {wide(d, (__int128)1 << 64), value_text("18446744073709551616")},
        {tuple, value_bytes(VALUE_BLOB, tuple.u.p, tuple.len)},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct cell_says s = {
            10 + i, CHANGE_UPDATE, 0xfff, 2, {PLAIN, COLUMNS}, {table[i].v, table[i].v}, unnamed,
            0};
        const struct cell_says born = {
            20 + i, CHANGE_BORN, 0xfff, 2, {PLAIN, COLUMNS}, {table[i].v, table[i].v}, unnamed, 0};
        struct merge_result m = merge(d, &s);
        assert_true(value_equal(&m.birth->values[PLAIN], &table[i].stands));
        m = merge(d, &born);
        assert_true(value_equal(&m.birth->values[PLAIN], &table[i].stands));
    }
    const struct cell_says sum = {9, CHANGE_UPDATE, 0, 1, {COUNT}, {tuple}, unnamed, 0};
    struct merge_result m = merge(d, &sum);
    assert_int_equal(birth_show(&d->arena, m.birth, COUNT, &d->rules).dot.site, 9);
}

/* Texts that people cannot tell apart are no conflict, under any policy; what was written stays. */
static void alike_texts_are_no_conflict(void **state)
{
    struct cells_desk *d = *state;
    const struct cell_says a = {
        3,
        CHANGE_UPDATE,
        0,
        3,
        {FIRST, LEAD, PLAIN},
        {value_text("\u1780\u17b6"), value_text("\u00e9"), value_text("\u1780")},
        unnamed,
        0};
    const struct cell_says b = {
        4,
        CHANGE_UPDATE,
        0,
        3,
        {FIRST, LEAD, PLAIN},
        {value_text("\u1780\u200b\u17b6"), value_text("e\u0301"), value_text("\u1780\u200c")},
        unnamed,
        0};
    merge(d, &a);
    struct merge_result m = merge(d, &b);
    assert_int_equal(d->met.n, 0);
    assert_int_equal(count_open(d), 0);
    assert_int_equal(m.birth->values[PLAIN].len, 6);
}

/* When a change moves the row to another scope, `owner` decides anew, in the values and in what is
 * told about the conflict. */
static void a_row_that_moves_has_another_owner(void **state)
{
    struct cells_desk *d = *state;
    const struct cell_says one = {1,       CHANGE_UPDATE,        0,       1,
                                  {STATE}, {value_text("of 1")}, unnamed, 0};
    const struct cell_says two = {2,       CHANGE_UPDATE,        0,       1,
                                  {STATE}, {value_text("of 2")}, unnamed, 0};
    const struct cell_says move = {3,       CHANGE_UPDATE,        1 << 1 | 1 << 2, 1,
                                   {SCOPE}, {value_text("KH-2")}, unnamed,         0};
    const struct cell_says both = {
        3, CHANGE_UPDATE, 0, 2, {SCOPE, STATE}, {value_text("KH-2"), value_text("of 3")}, unnamed,
        0};
    merge(d, &one);
    struct merge_result m = merge(d, &two);
    assert_memory_equal(m.birth->values[STATE].u.p, "of 1", 4);
    assert_int_equal(d->met.c[0].v[d->met.c[0].shown].dot.site, 1);
    m = merge(d, &move);
    assert_memory_equal(m.birth->values[STATE].u.p, "of 2", 4);
    row_from_settled(&d->arena, &d->row, d->settled);
    merge(d, &one);
    merge(d, &two);
    d->met.n = 0;
    m = merge(d, &both);
    assert_memory_equal(m.birth->values[STATE].u.p, "of 2", 4);
    assert_int_equal(d->met.n, 1);
    assert_int_equal(d->met.c[0].v[d->met.c[0].shown].dot.site, 2);
}

/* A delete beside a change, under each policy and in both orders: who lives, what is open, and a
 * decision that has seen both ends it. What lost is kept whole on the dead row. */
static void delete_policies_decide_and_stay_open(void **state)
{
    static const bool alive[DELETE_COUNT] = {
        [DELETE_UPDATE_WINS] = true, [DELETE_DELETE_WINS] = false, [DELETE_REVIEW] = true};
    struct cells_desk *d = *state;
    const struct cell_says gone = {3, CHANGE_DELETE, 0, 0, {0}, {{0}}, unnamed, 0};
    const struct cell_says kept = {4,       CHANGE_UPDATE,         0,       1,
                                   {PLAIN}, {value_text("lost?")}, unnamed, 0};
    const struct cell_says again = {6, CHANGE_UPDATE, 1 << 3 | 1 << 4, 0, {0}, {{0}}, unnamed, 0};
    const struct cell_says really = {
        7, CHANGE_DELETE, 1 << 3 | 1 << 4 | 1 << 6, 0, {0}, {{0}}, unnamed, 0};
    for (int i = 0; i < 2 * DELETE_COUNT; i++) {
        d->rules.delete_policy = (enum delete_policy)(i / 2);
        row_from_settled(&d->arena, &d->row, d->settled);
        d->met.n = 0;
        merge(d, i % 2 ? &gone : &kept);
        struct merge_result m = merge(d, i % 2 ? &kept : &gone);
        assert_int_equal(birth_alive(m.birth, &d->rules), alive[i / 2]);
        assert_memory_equal(m.birth->values[PLAIN].u.p, "lost?", 5);
        assert_int_equal(d->met.n, 1);
        assert_int_equal(d->met.c[0].column, COLUMN_EXISTS);
        assert_true(d->met.c[0].open);
        assert_int_equal(d->met.c[0].v[d->met.c[0].shown].value.u.i, alive[i / 2]);
        assert_int_equal(count_open(d), 1);
        m = merge(d, &again);
        assert_true(birth_alive(m.birth, &d->rules));
        assert_int_equal(count_open(d), 0);
        m = merge(d, &really);
        assert_false(birth_alive(m.birth, &d->rules));
        assert_int_equal(count_open(d), 0);
    }
}

/* Of a dead row only its existence can be in conflict. */
static void the_dead_have_no_other_conflict(void **state)
{
    struct cells_desk *d = *state;
    const struct cell_says a = {3, CHANGE_UPDATE, 0, 1, {STATE}, {value_text("a")}, unnamed, 0};
    const struct cell_says b = {4, CHANGE_UPDATE, 0, 1, {STATE}, {value_text("b")}, unnamed, 0};
    const struct cell_says gone = {5, CHANGE_DELETE, 1 << 3, 0, {0}, {{0}}, unnamed, 0};
    d->rules.delete_policy = DELETE_DELETE_WINS;
    merge(d, &a);
    merge(d, &b);
    assert_int_equal(count_open(d), 1);
    merge(d, &gone);
    struct conflict_list open = {0};
    row_open_conflicts(&d->arena, &d->row, &d->rules, &open);
    assert_int_equal(open.n, 1);
    assert_int_equal(open.c[0].column, COLUMN_EXISTS);
}

/* Which of three living births of one key is in force, under each policy; the conflict is open, and
 * has one identity whether or not the earliest has lost its name. */
static void birth_policies_choose_and_keep_the_identity(void **state)
{
    static const uint64_t in_force[BIRTH_COUNT] = {
        [BIRTH_FIRST] = 12, [BIRTH_LATEST] = 9, [BIRTH_REVIEW] = 12};
    struct cells_desk *d = *state;
    char first[33] = "";
    for (int i = 0; i < 2 * BIRTH_COUNT; i++) {
        d->rules.birth_policy = (enum birth_policy)(i / 2);
        d->row = (struct row){0};
        d->met.n = 0;
        for (uint64_t site = 12; site >= 9; site -= site == 12 ? 2 : 1) {
            const struct cell_says born = {
                .site = site, .kind = CHANGE_BORN, .hlc = 200 - site /* the last site is first */};
            merge(d, &born);
        }
        if (i % 2) {
            d->row.births[0].name = unnamed;
            d->row.births[0].hlc = 0;
        }
        struct conflict_list open = {0};
        row_open_conflicts(&d->arena, &d->row, &d->rules, &open);
        assert_int_equal(open.n, 1);
        const struct conflict *c = &open.c[0];
        assert_int_equal(c->column, COLUMN_BIRTH);
        assert_int_equal(c->n, 3);
        assert_true(c->open && d->met.c[d->met.n - 1].open);
        uint64_t shown = c->v[c->shown].dot.site;
        assert_int_equal(shown, i % 2 && in_force[i / 2] == 12 ? 0 : in_force[i / 2]);
        char id[33];
        conflict_id(id, "t", "k", 1, "birth", c);
        if (i == 0)
            conflict_id(first, "t", "k", 1, "birth", c);
        assert_string_equal(id, first);
    }
}

/* One changeset changes two births of a key, another one too: two conflicts of the same sides, open
 * or closed, that each have an identity of their own. */
static void one_changeset_may_meet_another_in_two_births(void **state)
{
    struct cells_desk *d = *state;
    const struct cell_says first = {.site = 3, .kind = CHANGE_BORN};
    const struct cell_says second = {.site = 4, .kind = CHANGE_BORN};
    d->row = (struct row){0};
    merge(d, &first);
    merge(d, &second);
    for (uint64_t site = 5; site <= 6; site++) {
        for (uint64_t birth = 3; birth <= 4; birth++) {
            const struct cell_says s = {
                site,
                CHANGE_UPDATE,
                1 << 3 | 1 << 4,
                2,
                {STATE, PLAIN},
                {value_integer((int64_t)site), value_integer((int64_t)site)},
                {birth, 1},
                0};
            d->met.n = site == 5 ? 0 : d->met.n;
            merge(d, &s);
        }
    }
    struct conflict_list open = {0};
    row_open_conflicts(&d->arena, &d->row, &d->rules, &open);
    char id[2][33];
    size_t closed = 0;
    assert_int_equal(open.n, 3); /* and the two births */
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(open.c[i].column, STATE);
        conflict_id(id[i], "t", "k", 1, "state", &open.c[i]);
    }
    assert_string_not_equal(id[0], id[1]);
    d->row.births[0].name = unnamed;
    d->row.births[0].hlc = 0;
    open.n = 0;
    row_open_conflicts(&d->arena, &d->row, &d->rules, &open);
    char again[33];
    conflict_id(again, "t", "k", 1, "state", &open.c[0]);
    assert_string_equal(again, id[0]);
    for (size_t i = 0; i < d->met.n; i++)
        if (d->met.c[i].column == PLAIN && !d->met.c[i].open)
            conflict_id(id[closed++ & 1], "t", "k", 1, "plain", &d->met.c[i]);
    assert_int_equal(closed, 2);
    assert_string_not_equal(id[0], id[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(groups_meet_whole),
        TEST(a_missing_member_is_what_is_shown),
        TEST(a_group_is_merged_where_nothing_is_known),
        TEST(sums_add_up_and_keep_what_is_no_number),
        TEST(births_begin_sums),
        TEST(deltas_count_once_and_onto_the_dead),
        TEST(strangers_become_plain_values),
        TEST(alike_texts_are_no_conflict),
        TEST(a_row_that_moves_has_another_owner),
        TEST(delete_policies_decide_and_stay_open),
        TEST(the_dead_have_no_other_conflict),
        TEST(one_changeset_may_meet_another_in_two_births),
        TEST(birth_policies_choose_and_keep_the_identity),
    };
    return check_run(tests);
}
