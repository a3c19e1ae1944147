/* Every causal order of delivery of a few changes to one row ends in the same row, to the byte of
 * its record, with the same open conflicts and totals. */
#include "conflict/merge.h"
#include "tests/property/rules.h"

#include <string.h>

#define CHANGES_MAX 5
#define RANDOM_SETS 3000
#define RULE_SETS 60

struct write { /* a change by its own site, seq 1 */
    enum change_kind kind;
    int birth;     /* index of the BORN it means; -1: the row that stood before */
    unsigned seen; /* bits: the writes in its context */
    uint64_t hlc;
    unsigned columns; /* bits */
    int64_t value;    /* of all its columns; of a sum: its delta */
};

struct order_set {
    const char *name;
    size_t n;
    struct write w[CHANGES_MAX];
};

#define ALL ((1u << COLUMNS) - 1)

static const struct order_set fixed[] = {
    {"two updates of all columns",
     2,
     {{CHANGE_UPDATE, -1, 0, 10, ALL, 1}, {CHANGE_UPDATE, -1, 0, 11, ALL, 2}}},
    {"three, two of them equal",
     3,
     {{CHANGE_UPDATE, -1, 0, 12, ALL, 1},
      {CHANGE_UPDATE, -1, 0, 11, ALL, 2},
      {CHANGE_UPDATE, -1, 0, 10, ALL, 1}}},
    {"delete beside update, then a write that saw both",
     3,
     {{CHANGE_DELETE, -1, 0, 10, 0, 0},
      {CHANGE_UPDATE, -1, 0, 11, 1, 5},
      {CHANGE_UPDATE, -1, 3, 12, 2, 6}}},
    {"delete beside update beside delete that saw the update",
     3,
     {{CHANGE_DELETE, -1, 0, 10, 0, 0},
      {CHANGE_UPDATE, -1, 0, 11, 1, 5},
      {CHANGE_DELETE, -1, 2, 12, 4, 6}}},
    {"two deletes that carry values",
     2,
     {{CHANGE_DELETE, -1, 0, 10, 6, 1}, {CHANGE_DELETE, -1, 0, 11, 6, 2}}},
    {"two births, one changed, one deleted",
     4,
     {{CHANGE_BORN, 0, 0, 10, ALL, 1},
      {CHANGE_BORN, 1, 0, 9, ALL, 2},
      {CHANGE_UPDATE, 0, 1, 11, 2, 3},
      {CHANGE_DELETE, 1, 2, 12, 0, 0}}},
    {"a birth beside the row that stood, deleted by one who saw both",
     3,
     {{CHANGE_BORN, 0, 0, 10, ALL, 1},
      {CHANGE_UPDATE, -1, 0, 11, ALL, 7},
      {CHANGE_DELETE, -1, 3, 12, 0, 0}}},
    {"three births at one time",
     3,
     {{CHANGE_BORN, 0, 0, 10, ALL, 1},
      {CHANGE_BORN, 1, 0, 10, ALL, 1},
      {CHANGE_BORN, 2, 0, 10, ALL, 3}}},
    {"born, deleted, revived by an update that did not see the delete",
     4,
     {{CHANGE_BORN, 0, 0, 10, ALL, 1},
      {CHANGE_DELETE, 0, 1, 11, 0, 0},
      {CHANGE_UPDATE, 0, 1, 12, 4, 9},
      {CHANGE_BORN, 3, 3, 13, ALL, 4}}},
    {"a chain beside a chain",
     5,
     {{CHANGE_UPDATE, -1, 0, 10, 5, 1},
      {CHANGE_UPDATE, -1, 1, 14, 7, 2},
      {CHANGE_UPDATE, -1, 0, 11, 6, 3},
      {CHANGE_UPDATE, -1, 4, 12, 3, 2},
      {CHANGE_UPDATE, -1, 5, 13, 15, 8}}},
};

struct order_play {
    const struct order_set *set;
    uint64_t id; /* seed, or index of the fixed set */
    struct rule_set rule_set;
    const struct table_rules *rules;
    struct arena arena;
    struct change ch[CHANGES_MAX];
    struct clock context[CHANGES_MAX];
    struct value value[COLUMNS];
    struct buf first; /* what the first order ended in */
    size_t orders;
};

static struct dot dot_of(int i)
{
    return i < 0 ? (struct dot){0} : (struct dot){(uint64_t)(97 - 7 * i), 1};
}

/* Few values, so that they meet: integers, texts of which two are alike, and units for the scope.
 * Of a sum a delta, once in a while what is no integer. */
static struct value value_of(struct order_play *p, const struct write *w, uint32_t column)
{
    static const char *const alike[] = {"\u1780", "\u1780\u200b", "k"};
    static const char *const scope[] = {"KH-1", "KH-2", "KH"};
    bool sum = policy_of(p->rules, column) == POLICY_SUM;
    if (sum && w->value == 9)
        return value_text("nine");
    if (sum && w->kind != CHANGE_BORN)
        return value_wide(&p->arena, (__int128)w->value << (8 * column));
    if (column == C_SCOPE)
        return value_text(scope[w->value % 3]);
    if (column == C_TWO || column == C_FOUR)
        return value_text(alike[w->value % 3]);
    return value_integer(w->value);
}

static void make_change(struct order_play *p, size_t i)
{
    const struct write *w = &p->set->w[i];
    uint32_t *column = arena_alloc(&p->arena, COLUMNS * sizeof *column);
    struct value *value = arena_alloc(&p->arena, COLUMNS * sizeof *value);
    struct change *ch = &p->ch[i];
    *ch = (struct change){.dot = dot_of((int)i), .hlc = w->hlc, .kind = w->kind};
    ch->birth = dot_of(w->birth);
    ch->context = &p->context[i];
    for (uint32_t c = 0; c < COLUMNS; c++) {
        if (!(rules_whole_groups(p->rules, w->columns) >> c & 1))
            continue;
        column[ch->n_cells] = c;
        value[ch->n_cells++] = value_of(p, w, c);
    }
    ch->column = column;
    ch->value = value;
    for (size_t j = 0; j < p->set->n; j++)
        if (w->seen >> j & 1)
            clock_set(&p->context[i], dot_of((int)j).site, 1);
}

static void put_open(struct order_play *p, struct buf *b, const struct row *r)
{
    struct conflict_list open = {0};
    row_open_conflicts(&p->arena, r, p->rules, &open);
    for (size_t i = 0; i < open.n; i++) {
        char id[33];
        conflict_id(id, "t", "k", 1, "c", &open.c[i]);
        buf_printf(b, "%u %s shows %u\n", open.c[i].column, id, open.c[i].shown);
    }
}

/* Holds are decided outside of merging: here the first living birth stands. */
static void put_row(const struct order_play *p, struct buf *b, struct row *r)
{
    bool taken = false;
    for (uint32_t i = 0; i < r->n_births; i++) {
        struct birth *x = &r->births[i];
        bool alive = birth_alive(x, p->rules);
        x->held = alive && taken ? HOLD_BIRTH : HOLD_NONE;
        taken |= alive;
        for (uint32_t c = 0; c < COLUMNS; c++)
            value_encode(b, &x->values[c]);
    }
    row_encode(b, r, p->rules);
}

/* Merges a change, and once more: the second time nothing happens and nothing is reported. */
static void merge_twice(struct order_play *p, struct row *r, const struct change *ch)
{
    struct clock stable = {0};
    struct forget forget = {.stable = &stable};
    struct conflict_list met = {0};
    struct buf once = {0};
    struct buf twice = {0};
    struct merge_result m = merge_change(&p->arena, r, p->rules, ch, &forget, &met);
    CHECK(p->id, m.applied && !m.orphan && m.birth);
    size_t reported = met.n;
    row_encode(&once, r, p->rules);
    m = merge_change(&p->arena, r, p->rules, ch, &forget, &met);
    CHECK(p->id, !m.applied && !m.orphan && met.n == reported);
    row_encode(&twice, r, p->rules);
    CHECK(p->id, once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    buf_fini(&once);
    buf_fini(&twice);
}

/* The totals of a birth are what was ever written to them. */
static void check_totals(struct order_play *p, const struct birth *b)
{
    for (uint32_t c = 0; c < COLUMNS; c++) {
        __int128 total = 0;
        bool counted = dot_is_none(b->name); /* the row that stood has 0 */
        for (size_t i = 0; policy_of(p->rules, c) == POLICY_SUM && i < p->set->n; i++) {
            const struct change *ch = &p->ch[i];
            for (uint32_t j = 0; dot_equal(ch->birth, b->name) && j < ch->n_cells; j++) {
                if (ch->column[j] != c || !value_is_count(&ch->value[j]))
                    continue;
                total += value_count(&ch->value[j]);
                counted = true;
            }
        }
        struct value expected = counted ? value_total(&p->arena, total) : value_null();
        if (policy_of(p->rules, c) == POLICY_SUM)
            CHECK(p->id, value_equal(&b->values[c], &expected));
    }
}

static void play_order(struct order_play *p, const size_t *order)
{
    struct row r;
    struct buf end = {0};
    row_from_settled(&p->arena, &r, p->value);
    for (size_t i = 0; i < p->set->n; i++)
        merge_twice(p, &r, &p->ch[order[i]]);
    put_row(p, &end, &r);
    for (uint32_t i = 0; i < r.n_births; i++)
        check_totals(p, &r.births[i]);
    put_open(p, &end, &r);
    if (p->orders++ == 0)
        buf_put(&p->first, end.data, end.len);
    if (end.len != p->first.len || memcmp(end.data, p->first.data, end.len) != 0)
        fail_msg("'%s' (%llu): order %zu ends in another row", p->set->name,
                 (unsigned long long)p->id, p->orders);
    buf_fini(&end);
}

static void every_order(struct order_play *p, size_t *order, size_t n, unsigned done)
{
    if (n == p->set->n) {
        play_order(p, order);
        return;
    }
    for (size_t i = 0; i < p->set->n; i++) {
        if (done >> i & 1 || (p->set->w[i].seen & ~done))
            continue;
        CHECK(p->id, n < CHANGES_MAX); /* tells gcc -O3 what the sets promise */
        order[n] = i;
        every_order(p, order, n + 1, done | 1u << i);
    }
}

static size_t play_set(const struct order_set *set, uint64_t id, struct gen *g)
{
    struct order_play p = {.set = set, .id = id};
    size_t order[CHANGES_MAX];
    uint64_t site[CHANGES_MAX];
    for (int i = 0; i < CHANGES_MAX; i++)
        site[i] = dot_of(i).site;
    rules_random(&p.rule_set, g, site, CHANGES_MAX);
    p.rules = &p.rule_set.rules;
    for (uint32_t c = 0; c < COLUMNS; c++)
        p.value[c] = value_integer(0);
    for (size_t i = 0; i < set->n; i++)
        make_change(&p, i);
    every_order(&p, order, 0, 0);
    CHECK(id, p.orders >= 1);
    for (size_t i = 0; i < set->n; i++)
        clock_fini(&p.context[i]);
    buf_fini(&p.first);
    arena_fini(&p.arena);
    return p.orders;
}

/* Small sets chosen by hand: equal values, deletes, several births, a revival, two chains; each
 * under many rules. */
static void every_order_of_chosen_changes_ends_the_same(void **state)
{
    size_t orders = 0;
    struct gen g = gen_seeded(1);
    for (int round = 0; round < RULE_SETS; round++)
        for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
            orders += play_set(&fixed[i], i, &g);
    assert_int_equal(orders, RULE_SETS * (2 + 6 + 2 + 3 + 2 + 6 + 2 + 6 + 3 + 16));
}

static void random_set(struct gen *g, struct order_set *s)
{
    *s = (struct order_set){.name = "random", .n = 3 + gen_below(g, 3)};
    for (size_t i = 0; i < s->n; i++) {
        struct write *w = &s->w[i];
        for (size_t j = 0; j < i; j++)
            if (gen_percent(g, 35))
                w->seen |= 1u << j | s->w[j].seen;
        w->hlc = 1 + gen_below(g, 3);
        for (size_t j = 0; j < i; j++)
            if (w->seen >> j & 1 && s->w[j].hlc >= w->hlc)
                w->hlc = s->w[j].hlc + 1;
        w->value = gen_percent(g, 5) ? 9 : gen_below(g, 3);
        w->columns = gen_below(g, ALL + 1);
        w->birth = -1;
        w->kind = gen_percent(g, 30) ? CHANGE_DELETE : CHANGE_UPDATE;
        size_t j = gen_below(g, CHANGES_MAX);
        if (j < i && w->seen >> j & 1)
            w->birth = s->w[j].birth;
        if (gen_percent(g, 25)) {
            w->kind = CHANGE_BORN;
            w->birth = (int)i;
            w->columns = ALL;
        }
    }
}

/* The same for random sets of three to five changes, closed under causality. */
static void every_order_of_random_changes_ends_the_same(void **state)
{
    size_t orders = 0;
    for (uint64_t seed = 0; seed < RANDOM_SETS; seed++) {
        struct gen g = gen_seeded(seed);
        struct order_set s;
        random_set(&g, &s);
        orders += play_set(&s, seed, &g);
    }
    assert_true(orders > 4 * RANDOM_SETS); /* most sets have concurrent changes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_of_chosen_changes_ends_the_same),
        cmocka_unit_test(every_order_of_random_changes_ends_the_same),
    };
    return check_run(tests);
}
