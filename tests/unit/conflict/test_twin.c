/* Equal births: which of a key are twins, who is meant by a name, and what is left of them. */
#include "conflict/merge.h"
#include "conflict/twin.h"
#include "tests/lib/check.h"

#include <string.h>

static const uint8_t policies[2] = {POLICY_LATEST, POLICY_SUM};
static const struct table_rules rules = {.n_columns = 2, .policy = policies};
static const uint32_t columns[2] = {0, 1};
static const struct clock nothing;

struct twins { /* one row, and what was written to it */
    struct arena a;
    struct row row;
    struct conflict_list met;
};

static int start(void **state)
{
    *state = mem_alloc(sizeof(struct twins));
    return 0;
}

static int stop(void **state)
{
    struct twins *x = *state;
    arena_fini(&x->a);
    mem_free(x);
    return 0;
}

/* A writer's context: of up to two sites, by site. */
static const struct clock *saw(struct twins *x, struct dot one, struct dot two)
{
    struct clock *c = arena_alloc(&x->a, sizeof *c);
    c->entry = arena_alloc(&x->a, 2 * sizeof *c->entry);
    if (one.seq)
        c->entry[c->n++] = (struct clock_entry){one.site, one.seq};
    if (two.seq)
        c->entry[c->n++] = (struct clock_entry){two.site, two.seq};
    return c;
}

static void merge(struct twins *x, struct change *ch)
{
    const struct forget f = {.stable = &nothing};
    struct merge_result m = merge_change(&x->a, &x->row, &rules, ch, &f, &x->met);
    assert_true(m.applied);
}

static void bear(struct twins *x, struct dot dot, int64_t v, int64_t count,
                 const struct clock *context)
{
    struct value *value = arena_alloc(&x->a, 2 * sizeof *value);
    uint8_t *born = arena_alloc(&x->a, BORN_BYTES);
    value[0] = value_integer(v);
    value[1] = value_integer(count);
    birth_hash(born, 1, 2, columns, value);
    merge(x, &(struct change){.dot = dot,
                              .hlc = dot.site,
                              .context = context,
                              .kind = CHANGE_BORN,
                              .birth = dot,
                              .n_cells = 2,
                              .column = columns,
                              .value = value,
                              .born = born});
}

static void set(struct twins *x, struct dot dot, struct dot birth, int64_t v,
                const struct clock *context)
{
    struct value *value = arena_alloc(&x->a, sizeof *value);
    *value = value_integer(v);
    merge(x, &(struct change){.dot = dot,
                              .hlc = 100 + dot.seq,
                              .context = context,
                              .kind = CHANGE_UPDATE,
                              .birth = birth,
                              .n_cells = 1,
                              .column = columns,
                              .value = value});
}

static void delete (struct twins *x, struct dot dot, struct dot birth, const struct clock *context)
{
    merge(x, &(struct change){.dot = dot,
                              .hlc = 100 + dot.seq,
                              .context = context,
                              .kind = CHANGE_DELETE,
                              .birth = birth});
}

#define DOT(site, seq) ((struct dot){site, seq})
#define NONE DOT(0, 0)

/* The site of the birth that the birth of this site is a twin of; 0: it is none. */
static uint64_t twin_of(struct twins *x, uint64_t site)
{
    for (uint32_t i = 0; i < x->row.n_births; i++) {
        const struct birth *b = &x->row.births[i];
        const struct birth *twin =
            b->name.site == site ? row_twin_of(&x->a, &x->row, &rules, b) : NULL;
        if (twin)
            return twin->name.site;
    }
    return 0;
}

static size_t births_open(struct twins *x)
{
    struct conflict_list open = {0};
    row_open_conflicts(&x->a, &x->row, &rules, &open);
    return open.n;
}

static void the_hash_is_of_all_that_is_carried(void **state)
{
    const struct value v[][2] = {{value_integer(1), value_null()}, {value_real(1), value_null()},
                                 {value_text("1"), value_null()},  {value_null(), value_integer(1)},
                                 {value_text(""), value_null()},   {value_null(), value_null()}};
    enum { N = sizeof v / sizeof *v };
    uint8_t hash[N + 2][BORN_BYTES];
    for (int i = 0; i < N; i++)
        birth_hash(hash[i], 1, 2, columns, v[i]);
    birth_hash(hash[N], 2, 2, columns, v[0]);
    birth_hash(hash[N + 1], 1, 1, columns, v[0]);
    for (int i = 0; i < N + 2; i++)
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(hash[i], hash[j], BORN_BYTES);
}

static void the_first_stands_for_all_until_one_is_touched(void **state)
{
    struct twins *x = *state;
    for (uint64_t site = 1; site < 5; site++)
        bear(x, DOT(site, 1), site == 3, 0, &nothing);
    assert_int_equal(twin_of(x, 1), 0);
    assert_int_equal(twin_of(x, 2), 1);
    assert_int_equal(twin_of(x, 3), 0); /* it has another value */
    assert_int_equal(twin_of(x, 4), 1);
    assert_int_equal(births_open(x), 1);
    set(x, DOT(4, 2), DOT(4, 1), 7, saw(x, DOT(4, 1), NONE));
    assert_int_equal(twin_of(x, 1), 4);
    assert_int_equal(twin_of(x, 4), 0);
    assert_int_equal(row_meant(&x->a, &x->row, &rules, DOT(2, 1))->name.site, 4);
    assert_int_equal(row_meant(&x->a, &x->row, &rules, NONE)->name.site, 3);
    delete (x, DOT(4, 3), DOT(4, 1), saw(x, DOT(4, 2), NONE));
    assert_int_equal(twin_of(x, 2), 1);
    assert_int_equal(row_meant(&x->a, &x->row, &rules, DOT(4, 1))->name.site, 1);
}

static void who_was_seen_and_who_counts_is_no_twin(void **state)
{
    struct twins *x = *state;
    bear(x, DOT(1, 1), 0, 0, &nothing);
    bear(x, DOT(2, 1), 0, 0, saw(x, DOT(1, 1), NONE));
    assert_int_equal(twin_of(x, 2), 0);
    bear(x, DOT(3, 1), 0, 1, &nothing);
    bear(x, DOT(4, 1), 0, 1, &nothing);
    assert_int_equal(twin_of(x, 3) + twin_of(x, 4), 0);
    assert_int_equal(births_open(x), 1);
    bear(x, DOT(5, 1), 0, 0, saw(x, DOT(1, 1), NONE));
    assert_int_equal(twin_of(x, 5), 2); /* the first that it has not met */
}

/* Passes stable for what these two sites had written. */
static void pass(struct twins *x, struct dot one, struct dot two)
{
    struct forget f = {.stable = saw(x, one, two)};
    row_forget(&x->a, &x->row, &rules, &f);
}

static void twins_become_one(void **state)
{
    struct twins *x = *state;
    bear(x, DOT(1, 1), 0, 0, &nothing);
    bear(x, DOT(2, 1), 0, 0, &nothing);
    assert_false(row_is_one(&x->a, &x->row, &rules, saw(x, DOT(1, 1), NONE)));
    assert_true(row_is_one(&x->a, &x->row, &rules, saw(x, DOT(1, 1), DOT(2, 1))));
    set(x, DOT(2, 2), DOT(2, 1), 7, saw(x, DOT(2, 1), NONE));
    assert_false(row_is_one(&x->a, &x->row, &rules, saw(x, DOT(1, 1), DOT(2, 1))));
    assert_true(row_is_one(&x->a, &x->row, &rules, saw(x, DOT(1, 1), DOT(2, 2))));
    x->row.births[0].held = HOLD_TWIN;
    x->row.births[1].held = HOLD_NONE;
    pass(x, DOT(1, 1), DOT(2, 2));
    assert_true(row_is_settled(&x->row));
    assert_int_equal(x->row.births->values[0].u.i, 7);
}

/* Both were deleted by somebody who had seen them, behind what is stable: what is left is the one
 * that had been changed, because a change that had not seen the delete may bring it back. */
static void the_one_that_was_changed_is_left_though_all_are_dead(void **state)
{
    struct twins *x = *state;
    bear(x, DOT(1, 1), 0, 0, &nothing);
    bear(x, DOT(2, 1), 0, 0, &nothing);
    set(x, DOT(2, 2), DOT(2, 1), 7, saw(x, DOT(2, 1), NONE));
    delete (x, DOT(1, 2), DOT(2, 1), saw(x, DOT(1, 1), DOT(2, 2)));
    delete (x, DOT(1, 2), DOT(1, 1), saw(x, DOT(1, 1), DOT(2, 2)));
    pass(x, DOT(1, 1), DOT(2, 2));
    assert_int_equal(x->row.n_births, 1);
    assert_true(dot_is_none(x->row.births->name));
    assert_int_equal(x->row.births->values[0].u.i, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_hash_is_of_all_that_is_carried),
        TEST(the_first_stands_for_all_until_one_is_touched),
        TEST(who_was_seen_and_who_counts_is_no_twin),
        TEST(twins_become_one),
        TEST(the_one_that_was_changed_is_left_though_all_are_dead),
    };
    return check_run(tests);
}
