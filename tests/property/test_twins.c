/* Equal births are no conflict (conflict/twin.h): offices in random trees that write, forget and
 * hang children on parents, against an oracle that never forgets; and small histories in every
 * causal order. Three wrong rules must be found out: the comparison can fail.
 *
 *   property_twins [HISTORIES [SMALL]]   more of both than the check runs
 */
#include "tests/property/tree.h"
#include "tests/property/twins.h"

#include <string.h>

#ifdef FEW_HISTORIES
#define HISTORIES 100
#define SMALL 20
#else
#define HISTORIES 400
#define SMALL 60
#endif
#define MARKS_MAX 64
#define ALL_MAX 400
#define SMALL_MAX 6

static uint64_t histories = HISTORIES, small_histories = SMALL;

enum twin_item_kind { TWIN_ITEM_WRITE, TWIN_ITEM_MARK, TWIN_ITEM_PASSED, TWIN_ITEM_STABLE };
struct twin_item {
    enum twin_item_kind kind;
    struct twin_changeset *cs;
    size_t mark;
    int office; /* TWIN_ITEM_PASSED: who */
    struct twin_names keep[TWIN_ROWS];
};
struct twin_mark {
    struct clock clock;
    uint32_t passed; /* a bit for each office */
    bool stable;
};
struct twin_world {
    uint64_t seed;
    struct gen g;
    struct arena arena, scratch;
    struct table_rules rules;
    struct tree tree;
    struct twin_office office[OFFICES_MAX];
    struct twin_changeset *all[ALL_MAX];
    size_t n_all;
    struct twin_mark mark[MARKS_MAX];
    size_t n_marks, n_stable;
    uint64_t seen_mark[OFFICES_MAX], seen_stable[OFFICES_MAX]; /* a bit for each mark */
    uint64_t seen_passed[OFFICES_MAX][OFFICES_MAX];
    size_t twins, absorbed; /* met on the way: the histories are about them */
    const char *broken;
};

static void break_world(struct twin_world *w, const char *why)
{
    w->broken = w->broken ? w->broken : why;
}

/* The office shows what the declaration says of all that has come to it. */
static void check_office(struct twin_world *w, struct twin_office *o)
{
    struct buf told = {0}, should = {0};
    arena_reset(&w->scratch);
    if (o->broken)
        break_world(w, o->broken);
    if (w->broken)
        return;
    twin_office_tells(o, &told);
    twin_oracle_tells(&w->scratch, &w->rules, w->all, w->n_all, &o->clock, &should);
    if (told.len != should.len || (told.len && memcmp(told.data, should.data, told.len) != 0))
        break_world(w, "an office does not show what was written");
    if (w->broken && w->office[0].variant == TWIN_RULE)
        print_message("shown:\n%swritten:\n%s", buf_str(&told), buf_str(&should));
    buf_fini(&told);
    buf_fini(&should);
}

static void count_twins(struct twin_world *w, const struct twin_office *o)
{
    for (uint32_t k = 0; k < TWIN_ROWS; k++)
        for (uint32_t i = 0; i < o->row[k].n_births; i++)
            w->twins += o->row[k].births[i].held == HOLD_TWIN;
}

/* ---- the tree */

static void put(struct twin_world *w, int at, struct twin_item *it);

static struct twin_item *new_item(struct twin_world *w, enum twin_item_kind kind, size_t mark,
                                  int office)
{
    struct twin_item *it = arena_alloc(&w->arena, sizeof *it);
    it->kind = kind;
    it->mark = mark;
    it->office = office;
    return it;
}

static void pass_stable(struct twin_world *w, int at, size_t mark, const struct twin_names *keep)
{
    uint32_t had[TWIN_ROWS];
    for (uint32_t k = 0; k < TWIN_ROWS; k++)
        had[k] = w->office[at].unnamed[k].n;
    twin_forget(&w->office[at], &w->mark[mark].clock, keep);
    for (uint32_t k = 0; k < TWIN_ROWS; k++)
        w->absorbed += had[k] < 2 && w->office[at].unnamed[k].n > 1;
    check_office(w, &w->office[at]);
}

static void hub_count(struct twin_world *w, const struct twin_item *answer)
{
    struct twin_mark *m = &w->mark[answer->mark];
    m->passed |= 1u << answer->office;
    if (m->stable || m->passed != (1u << w->tree.n) - 1)
        return;
    m->stable = true;
    w->n_stable++;
    struct twin_item *it = new_item(w, TWIN_ITEM_STABLE, answer->mark, 0);
    pass_stable(w, 0, answer->mark, NULL);
    memcpy(it->keep, w->office[0].keep, sizeof it->keep);
    w->seen_stable[0] |= UINT64_C(1) << answer->mark;
    tree_append(&w->tree, 0, it);
}

static bool first_time(uint64_t *seen, size_t mark)
{
    bool first = !(*seen >> mark & 1);
    *seen |= UINT64_C(1) << mark;
    return first;
}

static void put_write(struct twin_world *w, int at, struct twin_item *it)
{
    struct twin_office *o = &w->office[at];
    if (clock_covers(&o->clock, it->cs->dot))
        return;
    CHECK(w->seed, clock_includes(&o->clock, &it->cs->context));
    twin_apply(o, it->cs);
    count_twins(w, o);
    tree_append(&w->tree, at, it);
}

static void put(struct twin_world *w, int at, struct twin_item *it)
{
    if (w->broken || w->office[at].broken) {
        break_world(w, w->office[at].broken);
    } else if (it->kind == TWIN_ITEM_WRITE) {
        put_write(w, at, it);
    } else if (it->kind == TWIN_ITEM_MARK && first_time(&w->seen_mark[at], it->mark)) {
        tree_append(&w->tree, at, it);
        put(w, at, new_item(w, TWIN_ITEM_PASSED, it->mark, at));
    } else if (it->kind == TWIN_ITEM_PASSED &&
               first_time(&w->seen_passed[at][it->office], it->mark)) {
        tree_append(&w->tree, at, it);
        if (at == 0)
            hub_count(w, it);
    } else if (it->kind == TWIN_ITEM_STABLE && first_time(&w->seen_stable[at], it->mark)) {
        tree_append(&w->tree, at, it);
        pass_stable(w, at, it->mark, it->keep);
    }
}

static void deliver(void *context, int to, void *item)
{
    put(context, to, item);
}

static void send_mark(struct twin_world *w)
{
    if (w->n_marks == MARKS_MAX)
        return;
    clock_copy(&w->mark[w->n_marks].clock, &w->office[0].clock);
    put(w, 0, new_item(w, TWIN_ITEM_MARK, w->n_marks++, 0));
}

/* Whether the change deletes the only birth that anybody would miss. */
static bool deletes_all(struct twin_world *w, const struct twin_office *o,
                        const struct twin_edit *e)
{
    uint32_t n = 0;
    bool named = false;
    const struct row *r = &o->row[e->row];
    for (uint32_t i = 0; i < r->n_births; i++) {
        if (!birth_alive(&r->births[i], &w->rules) || r->births[i].held == HOLD_TWIN)
            continue;
        n++;
        named |= dot_equal(r->births[i].name, e->ch.birth);
    }
    return e->ch.kind == CHANGE_DELETE && named && n == 1;
}

static void local_write(struct twin_world *w, uint64_t t, int at)
{
    struct twin_office *o = &w->office[at];
    bool alone[TWIN_ROWS] = {false};
    if (w->n_all == ALL_MAX)
        return;
    struct twin_item *it = new_item(w, TWIN_ITEM_WRITE, 0, at);
    it->cs = twin_write(o, &w->g, t);
    if (!it->cs)
        return;
    for (uint32_t i = 0; i < it->cs->n; i++)
        alone[it->cs->edit[i].row] |= deletes_all(w, o, &it->cs->edit[i]);
    w->all[w->n_all++] = it->cs;
    put(w, at, it);
    for (uint32_t k = 0; k < TWIN_ROWS; k++)
        for (uint32_t i = 0; alone[k] && i < o->row[k].n_births; i++)
            if (birth_alive(&o->row[k].births[i], &w->rules))
                break_world(w, "what was deleted comes back");
}

static void step(struct twin_world *w, uint64_t t)
{
    uint32_t p = gen_below(&w->g, 100);
    if (p < 25)
        local_write(w, t, (int)gen_below(&w->g, (uint32_t)w->tree.n));
    else if (p < 31)
        send_mark(w);
    else if (p < 33)
        tree_toggle_line(&w->tree, &w->g);
    else if (p < 34)
        tree_change_parent(&w->tree, &w->g);
    else if (p < 35)
        tree_heal(&w->tree, deliver, w);
    else if (p < 38)
        check_office(w, &w->office[gen_below(&w->g, (uint32_t)w->tree.n)]);
    else
        tree_carry(&w->tree, &w->g, 9, deliver, w);
}

/* What is left of a row that has one birth, when everybody has heard of everything. */
static void check_settled(struct twin_world *w, const struct twin_office *o)
{
    bool contested = false;
    for (uint32_t k = 0; k < TWIN_ROWS; k++) {
        const struct row *r = &o->row[k];
        bool named = r->n_births == 1 && !dot_is_none(r->births[0].name);
        bool twin = false;
        for (uint32_t i = 0; i < r->n_births; i++)
            twin |= r->births[i].held == HOLD_TWIN;
        if (named)
            break_world(w, "the only birth of a key keeps its name");
        /* a child's, as long as its twins mean parents that are told apart still */
        if (twin && r->n_births == 2 && (!contested || k < TWIN_CHILD))
            break_world(w, "a twin stays on record");
        contested |= r->n_births > 1;
    }
}

/* Each write is seen by everybody before the next: most conflicts get settled, and what is deleted
 * is entered anew at several offices at once. */
static void calm_down(struct twin_world *w)
{
    for (uint64_t t = 0; t < 30 && !w->broken; t++) {
        for (int i = 0; i < w->tree.n; i++)
            if (gen_percent(&w->g, 25))
                local_write(w, 1000 + t, i);
        if (t % 3 == 0)
            send_mark(w);
        tree_heal(&w->tree, deliver, w);
    }
}

static void settle(struct twin_world *w)
{
    if (gen_percent(&w->g, 50))
        calm_down(w);
    tree_heal(&w->tree, deliver, w);
    for (int i = 0; i < w->tree.n; i++)
        check_office(w, &w->office[i]);
    for (int round = 0; round < 4 && !w->broken; round++) {
        send_mark(w);
        tree_heal(&w->tree, deliver, w);
    }
    for (int i = 0; i < w->tree.n && !w->broken; i++) {
        check_office(w, &w->office[i]);
        if (w->n_marks < MARKS_MAX)
            check_settled(w, &w->office[i]);
    }
}

static void run(struct twin_world *w, uint64_t seed, enum twin_variant variant)
{
    static const int skews[5] = {0, 0, -5, 5, 30};
    *w = (struct twin_world){.seed = seed, .g = gen_seeded(seed)};
    tree_init(&w->tree, &w->g, 3, 6);
    twin_rules(&w->rules, &w->g);
    uint32_t unlike = 12 * gen_below(&w->g, 3), deletes = 10 + 10 * gen_below(&w->g, 4);
    for (int i = 0; i < w->tree.n; i++) {
        twin_office_init(&w->office[i], &w->arena, &w->rules, (uint64_t)i + 1,
                         skews[gen_below(&w->g, 5)]);
        w->office[i].variant = variant;
        w->office[i].unlike = unlike;
        w->office[i].deletes = deletes;
    }
    for (int i = 0; i < 2 * w->tree.n; i++) /* what each enters by itself at first */
        local_write(w, 0, i % w->tree.n);
    int steps = gen_between(&w->g, 30, 260);
    for (int t = 0; t < steps && !w->broken; t++)
        step(w, (uint64_t)t);
    if (!w->broken)
        settle(w);
}

static void finish(struct twin_world *w)
{
    for (int i = 0; i < w->tree.n; i++)
        twin_office_fini(&w->office[i]);
    for (size_t m = 0; m < w->n_marks; m++)
        clock_fini(&w->mark[m].clock);
    tree_fini(&w->tree);
    arena_fini(&w->arena);
    arena_fini(&w->scratch);
}

static void equal_births_are_no_conflict(void **state)
{
    size_t twins = 0, absorbed = 0, stable = 0, changesets = 0;
    for (uint64_t seed = 0; seed < histories; seed++) {
        static struct twin_world w;
        run(&w, seed, TWIN_RULE);
        if (w.broken)
            fail_msg("seed %llu: %s", (unsigned long long)seed, w.broken);
        twins += w.twins;
        absorbed += w.absorbed;
        stable += w.n_stable;
        changesets += w.n_all;
        finish(&w);
    }
    print_message("%llu histories, %zu changesets, %zu marks stable, %zu twins, %zu absorbed\n",
                  (unsigned long long)histories, changesets, stable, twins, absorbed);
    assert_true(twins > histories && absorbed > histories / 2 && stable > histories);
}

/* Runs until the wrong rule is found out. */
static void is_found_out(enum twin_variant variant)
{
    bool found = false;
    uint64_t seed = 0;
    for (; seed < 3000 && !found; seed++) {
        static struct twin_world w;
        run(&w, seed, variant);
        found = w.broken;
        if (found)
            print_message("seed %llu: %s\n", (unsigned long long)seed, w.broken);
        finish(&w);
    }
    assert_true(found);
}

static void a_delete_of_one_name_is_found_out(void **state)
{
    is_found_out(TWIN_DELETES_ONE);
}

static void absorbing_too_soon_is_found_out(void **state)
{
    is_found_out(TWIN_ABSORBS_SOON);
}

static void forgetting_what_was_seen_is_found_out(void **state)
{
    is_found_out(TWIN_FORGETS_SEEN);
}

/* ---- small histories, every causal order */

struct small_history {
    struct arena arena, scratch;
    struct table_rules rules;
    struct twin_changeset *all[SMALL_MAX];
    size_t n, order[SMALL_MAX], orders;
    bool used[SMALL_MAX];
    struct buf first; /* what the first order left */
    const char *broken;
};

static bool may_come(const struct twin_office *o, const struct twin_changeset *cs)
{
    return !clock_covers(&o->clock, cs->dot) && clock_includes(&o->clock, &cs->context);
}

static void write_small(struct small_history *h, struct gen *g)
{
    struct twin_office office[4];
    int n = gen_between(g, 2, 4);
    size_t wanted = (size_t)gen_between(g, 3, SMALL_MAX);
    twin_rules(&h->rules, g);
    for (int i = 0; i < n; i++)
        twin_office_init(&office[i], &h->arena, &h->rules, (uint64_t)i + 1, gen_between(g, -5, 5));
    for (uint64_t t = 0; t < 60 && h->n < wanted; t++) {
        struct twin_office *o = &office[gen_below(g, (uint32_t)n)];
        if (gen_percent(g, 55)) {
            struct twin_changeset *cs = twin_write(o, g, t);
            if (cs)
                twin_apply(o, h->all[h->n++] = cs);
            continue;
        }
        for (size_t i = 0; i < h->n; i++)
            if (may_come(o, h->all[i]) && gen_percent(g, 70))
                twin_apply(o, h->all[i]);
    }
    for (int i = 0; i < n; i++)
        twin_office_fini(&office[i]);
}

static void put_state(const struct twin_office *o, struct buf *out)
{
    twin_office_tells(o, out);
    for (uint32_t k = 0; k < TWIN_ROWS; k++)
        row_encode(out, &o->row[k], o->rules);
}

static void try_order(struct small_history *h)
{
    struct twin_office o;
    struct buf state = {0}, should = {0};
    arena_reset(&h->scratch);
    twin_office_init(&o, &h->scratch, &h->rules, 99, 0);
    for (size_t i = 0; i < h->n; i++)
        twin_apply(&o, h->all[h->order[i]]);
    h->broken = o.broken;
    twin_oracle_tells(&h->scratch, &h->rules, h->all, h->n, &o.clock, &should);
    twin_office_tells(&o, &state);
    if (!h->broken && (state.len != should.len ||
                       (should.len && memcmp(state.data, should.data, should.len) != 0)))
        h->broken = "an order does not show what was written";
    if (h->broken)
        print_message("shown:\n%swritten:\n%s", buf_str(&state), buf_str(&should));
    buf_reset(&state);
    put_state(&o, &state);
    if (h->orders++ == 0)
        buf_put(&h->first, state.data, state.len);
    else if (!h->broken &&
             (state.len != h->first.len || memcmp(state.data, h->first.data, state.len) != 0))
        h->broken = "two orders leave two states";
    buf_fini(&state);
    buf_fini(&should);
    twin_office_fini(&o);
}

static void try_from(struct small_history *h, size_t done, struct clock *clock)
{
    struct clock next = {0};
    if (done == h->n)
        try_order(h);
    for (size_t i = 0; i < h->n && done < h->n && !h->broken; i++) {
        if (h->used[i] || !clock_includes(clock, &h->all[i]->context))
            continue;
        h->used[i] = true;
        h->order[done] = i;
        clock_copy(&next, clock);
        clock_raise(&next, h->all[i]->dot.site, h->all[i]->dot.seq);
        try_from(h, done + 1, &next);
        h->used[i] = false;
    }
    clock_fini(&next);
}

static void every_order_leaves_one_state(void **state)
{
    size_t orders = 0;
    for (uint64_t seed = 0; seed < small_histories; seed++) {
        struct small_history h = {0};
        struct gen g = gen_seeded(1000000 + seed);
        struct clock nothing = {0};
        write_small(&h, &g);
        try_from(&h, 0, &nothing);
        if (h.broken)
            fail_msg("small %llu: %s", (unsigned long long)seed, h.broken);
        orders += h.orders;
        buf_fini(&h.first);
        arena_fini(&h.arena);
        arena_fini(&h.scratch);
    }
    print_message("%llu small histories, %zu orders\n", (unsigned long long)small_histories,
                  orders);
    assert_true(orders > small_histories);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_births_are_no_conflict),
        cmocka_unit_test(every_order_leaves_one_state),
        cmocka_unit_test(a_delete_of_one_name_is_found_out),
        cmocka_unit_test(absorbing_too_soon_is_found_out),
        cmocka_unit_test(forgetting_what_was_seen_is_found_out),
    };
    if (argc > 1)
        histories = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        small_histories = strtoull(argv[2], NULL, 10);
    return check_run(tests);
}
