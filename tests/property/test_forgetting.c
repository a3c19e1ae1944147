/* Forgetting: every office has a twin that never forgets anything, and both must always show the
 * same.
 *
 * With marks (the hub's clock goes down, every office answers behind all it sealed before, then the
 * hub says "stable") they do. With acknowledgements as the measure of stability they do not,
 * because an acknowledgement overtakes changes that still wait: the control that shows the
 * comparison can fail. Nor do they when somebody revives a row whose delete everybody agreed on.
 */
#include "tests/property/replica.h"
#include "tests/property/tree.h"

#include <string.h>

#ifdef FEW_HISTORIES
#define HISTORIES 100
#else
#define HISTORIES 600
#endif
#define MARKS_MAX 64
#define CALM_WRITES 60 /* each seen by everybody before the next: most conflicts get settled */

enum stream_item_kind { ITEM_WRITE, ITEM_MARK, ITEM_PASSED, ITEM_STABLE };
enum stability { BY_MARKS, BY_ACKS, BY_MARKS_REVIVING };

struct link_item {
    enum stream_item_kind kind;
    struct told_change *cs;
    size_t mark;
    int office; /* ITEM_PASSED: who */
    struct names keep[KEYS];
};

struct stream_mark {
    struct clock clock;
    uint32_t passed; /* a bit for each office */
    bool stable;
};

struct forgetting_world {
    uint64_t seed;
    struct gen g;
    struct arena arena;
    struct tree tree;
    struct rule_set set;
    struct replica thin[OFFICES_MAX]; /* forgets */
    struct replica full[OFFICES_MAX];
    struct stream_mark mark[MARKS_MAX];
    size_t n_marks;
    size_t n_stable;
    uint64_t seen_mark[OFFICES_MAX]; /* a bit for each mark */
    uint64_t seen_stable[OFFICES_MAX];
    uint64_t seen_passed[OFFICES_MAX][OFFICES_MAX];
    uint64_t serial;
    bool differs;
};

static void put(struct forgetting_world *w, int at, struct link_item *it);

static struct link_item *new_item(struct forgetting_world *w, enum stream_item_kind kind,
                                  size_t mark, int office)
{
    struct link_item *it = arena_alloc(&w->arena, sizeof *it);
    it->kind = kind;
    it->mark = mark;
    it->office = office;
    return it;
}

/* The hub has heard that `office` passed `mark`. */
static void hub_count(struct forgetting_world *w, const struct link_item *answer)
{
    struct stream_mark *m = &w->mark[answer->mark];
    m->passed |= 1u << answer->office;
    if (m->stable || m->passed != (1u << w->tree.n) - 1)
        return;
    m->stable = true;
    w->n_stable++;
    struct link_item *it = new_item(w, ITEM_STABLE, answer->mark, 0);
    replica_forget(&w->thin[0], &m->clock, NULL, true);
    memcpy(it->keep, w->thin[0].keep, sizeof it->keep);
    w->seen_stable[0] |= UINT64_C(1) << answer->mark;
    tree_append(&w->tree, 0, it);
}

static bool first_time(uint64_t *seen, size_t mark)
{
    bool first = !(*seen >> mark & 1);
    *seen |= UINT64_C(1) << mark;
    return first;
}

static void put_write(struct forgetting_world *w, int at, struct link_item *it)
{
    if (clock_covers(&w->full[at].clock, it->cs->dot))
        return;
    CHECK(w->seed, clock_includes(&w->full[at].clock, &it->cs->context));
    replica_apply(&w->full[at], it->cs, true);
    replica_apply(&w->thin[at], it->cs, false);
    tree_append(&w->tree, at, it);
}

static void put(struct forgetting_world *w, int at, struct link_item *it)
{
    if (it->kind == ITEM_WRITE) {
        put_write(w, at, it);
    } else if (it->kind == ITEM_MARK && first_time(&w->seen_mark[at], it->mark)) {
        tree_append(&w->tree, at, it);
        put(w, at, new_item(w, ITEM_PASSED, it->mark, at));
    } else if (it->kind == ITEM_PASSED && first_time(&w->seen_passed[at][it->office], it->mark)) {
        tree_append(&w->tree, at, it);
        if (at == 0)
            hub_count(w, it);
    } else if (it->kind == ITEM_STABLE && first_time(&w->seen_stable[at], it->mark)) {
        tree_append(&w->tree, at, it);
        replica_forget(&w->thin[at], &w->mark[it->mark].clock, it->keep, false);
    }
}

static void deliver(void *context, int to, void *item)
{
    put(context, to, item);
}

static void send_mark(struct forgetting_world *w)
{
    if (w->n_marks == MARKS_MAX)
        return;
    clock_copy(&w->mark[w->n_marks].clock, &w->full[0].clock);
    put(w, 0, new_item(w, ITEM_MARK, w->n_marks++, 0));
}

/* What everybody has acknowledged, known to everybody at once. */
static void forget_acknowledged(struct forgetting_world *w)
{
    struct clock least = {0};
    for (int s = 0; s < w->tree.n; s++) {
        uint64_t low = UINT64_MAX;
        for (int i = 0; i < w->tree.n; i++) {
            uint64_t seq = clock_get(&w->full[i].clock, w->full[s].site);
            low = seq < low ? seq : low;
        }
        clock_set(&least, w->full[s].site, low);
    }
    replica_forget(&w->thin[0], &least, NULL, true);
    for (int i = 1; i < w->tree.n; i++)
        replica_forget(&w->thin[i], &least, w->thin[0].keep, false);
    clock_fini(&least);
}

static void local_write(struct forgetting_world *w, uint64_t t)
{
    int at = (int)gen_below(&w->g, (uint32_t)w->tree.n);
    struct link_item *it = new_item(w, ITEM_WRITE, 0, at);
    it->cs = replica_write(&w->thin[at], &w->g, t, &w->serial);
    if (!it->cs)
        return;
    for (uint32_t i = 0; i < it->cs->n; i++) {
        struct edit *e = &it->cs->edit[i];
        const struct birth *meant = row_standing(&w->full[at].row[e->key], &w->set.rules);
        if (dot_is_none(e->ch.birth) && meant) /* only what stands is ever changed without a name */
            e->identity = meant->name;
    }
    put(w, at, it);
}

static bool same_shown(const struct replica *a, const struct replica *b)
{
    for (uint32_t k = 0; k < KEYS; k++) {
        const struct birth *x = row_standing(&a->row[k], a->rules);
        const struct birth *y = row_standing(&b->row[k], b->rules);
        if (!x != !y)
            return false;
        for (uint32_t c = 0; x && c < COLUMNS; c++)
            if (!value_equal(&x->values[c], &y->values[c]))
                return false;
    }
    return true;
}

static void put_open(struct buf *b, const struct replica *o)
{
    for (uint64_t k = 0; k < KEYS; k++) {
        struct conflict_list open = {0};
        row_open_conflicts(o->arena, &o->row[k], o->rules, &open);
        for (size_t i = 0; i < open.n; i++) {
            char id[33];
            conflict_id(id, "t", &k, sizeof k, "c", &open.c[i]);
            value_encode(b, &open.c[i].v[open.c[i].shown].value);
            buf_printf(b, " %u %s\n", open.c[i].column, id);
        }
    }
}

static bool same_open(const struct replica *a, const struct replica *b)
{
    struct buf x = {0};
    struct buf y = {0};
    put_open(&x, a);
    put_open(&y, b);
    bool same = x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
    buf_fini(&x);
    buf_fini(&y);
    return same;
}

static void step(struct forgetting_world *w, uint64_t t, enum stability by)
{
    uint32_t p = gen_below(&w->g, 100);
    if (p < 25)
        local_write(w, t);
    else if (p < 31 && by != BY_ACKS)
        send_mark(w);
    else if (p < 31)
        forget_acknowledged(w);
    else if (p < 33)
        tree_toggle_line(&w->tree, &w->g);
    else if (p < 34)
        tree_change_parent(&w->tree, &w->g);
    else
        tree_carry(&w->tree, &w->g, 9, deliver, w);
    for (int i = 0; i < w->tree.n; i++)
        w->differs |= !same_shown(&w->thin[i], &w->full[i]) || !same_open(&w->thin[i], &w->full[i]);
}

static void start(struct forgetting_world *w, uint64_t seed)
{
    w->seed = seed;
    w->g = gen_seeded(seed);
    tree_init(&w->tree, &w->g, 3, 6);
    uint64_t site[OFFICES_MAX];
    for (int i = 0; i < w->tree.n; i++)
        site[i] = gen_u64(&w->g);
    rules_random(&w->set, &w->g, site, (size_t)w->tree.n);
    for (int i = 0; i < w->tree.n; i++) {
        int skew = gen_between(&w->g, -5, 5);
        replica_init(&w->thin[i], &w->arena, &w->set.rules, site[i], skew);
        replica_init(&w->full[i], &w->arena, &w->set.rules, site[i], skew);
    }
}

static void run(struct forgetting_world *w, uint64_t seed, enum stability by)
{
    start(w, seed);
    for (int i = 0; i < w->tree.n; i++)
        w->thin[i].revives = by == BY_MARKS_REVIVING;
    int steps = gen_between(&w->g, 150, 400);
    for (int t = 0; t < steps && !w->differs; t++)
        step(w, (uint64_t)t, by);
}

static void finish(struct forgetting_world *w)
{
    for (int i = 0; i < w->tree.n; i++) {
        replica_fini(&w->thin[i]);
        replica_fini(&w->full[i]);
    }
    for (size_t m = 0; m < w->n_marks; m++)
        clock_fini(&w->mark[m].clock);
    tree_fini(&w->tree);
    arena_fini(&w->arena);
}

/* An office that forgets what marks make stable shows at every moment what its twin shows, and has
 * the same conflicts open. */
static void forgetting_by_marks_changes_nothing_shown(void **state)
{
    size_t stable = 0;
    for (uint64_t seed = 0; seed < HISTORIES; seed++) {
        struct forgetting_world w = {0};
        run(&w, seed, BY_MARKS);
        CHECK(seed, !w.differs);
        stable += w.n_stable;
        finish(&w);
    }
    assert_true(stable > HISTORIES); /* the histories do forget */
}

/* The control: stability computed from acknowledgements makes some twin differ. */
static void forgetting_by_acknowledgements_diverges(void **state)
{
    size_t diverged = 0;
    for (uint64_t seed = 0; seed < HISTORIES && !diverged; seed++) {
        struct forgetting_world w = {0};
        run(&w, seed, BY_ACKS);
        diverged += w.differs;
        finish(&w);
    }
    assert_true(diverged > 0);
}

/* The control for what a decision may do: a change that has seen a delete, and revives what was
 * deleted, is not concurrent with it, so nobody waits for it; whoever forgot the row has nothing to
 * revive. To have such a row again is a new birth. */
static void reviving_an_agreed_delete_diverges(void **state)
{
    size_t diverged = 0;
    for (uint64_t seed = 0; seed < HISTORIES && !diverged; seed++) {
        struct forgetting_world w = {0};
        run(&w, seed, BY_MARKS_REVIVING);
        diverged += w.differs;
        finish(&w);
    }
    assert_true(diverged > 0);
}

/* Another row may have one of this row's unique numbers, so its ranks stay. */
static bool is_ranked(struct forgetting_world *w, const struct row *r)
{
    uint32_t n;
    uint32_t cell = cell_of(&w->set.rules, C_UNIQUE);
    for (uint32_t i = 0; i < r->n_births; i++) {
        birth_cell(&w->arena, &r->births[i], &w->set.rules, cell, &n);
        if (n > 1 || r->births[i].values[C_UNIQUE].type == VALUE_INTEGER)
            return true;
    }
    return false;
}

/* A cell has a reason to stay: values that are not one, or what is no integer in a sum. */
static bool cell_may_stay(struct forgetting_world *w, const struct cell *c)
{
    bool differ = policy_of(&w->set.rules, c->column) == POLICY_SUM;
    for (uint32_t i = 1; i < c->n; i++)
        differ |= !value_equal(&c->v[i].value, &c->v[0].value);
    return differ;
}

/* Whether a row, after everything was heard by everybody, has a reason to be on record; and nothing
 * of it is there without one. */
static bool may_stay(struct forgetting_world *w, const struct row *r)
{
    bool ranked = is_ranked(w, r);
    bool stays = r->n_births > 1 || (ranked && !dot_is_none(r->births[0].base));
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        stays |= b->held != HOLD_NONE || b->n_cells > 0;
        CHECK(w->seed, b->n_cells || birth_alive(b, &w->set.rules));
        for (uint32_t c = 0; c < b->n_cells; c++) {
            bool unique = b->cells[c].column == cell_of(&w->set.rules, C_UNIQUE);
            CHECK(w->seed, (ranked && unique) || cell_may_stay(w, &b->cells[c]));
        }
    }
    return stays;
}

/* When everything has arrived and marks have gone round, nothing is kept about a row that has
 * neither an open conflict nor a rival. */
static void nothing_settled_is_kept(void **state)
{
    size_t settled = 0;
    for (uint64_t seed = 0; seed < HISTORIES / 4; seed++) {
        struct forgetting_world w = {0};
        run(&w, seed, BY_MARKS);
        for (uint64_t t = 0; t < CALM_WRITES; t++) {
            tree_heal(&w.tree, deliver, &w);
            local_write(&w, 400 + t);
        }
        for (int round = 0; round < 3; round++) {
            tree_heal(&w.tree, deliver, &w);
            send_mark(&w);
        }
        tree_heal(&w.tree, deliver, &w);
        for (int i = 0; i < w.tree.n; i++) {
            CHECK(seed, same_shown(&w.thin[i], &w.full[i]));
            for (uint32_t k = 0; k < KEYS; k++) {
                bool gone = row_is_settled(&w.thin[i].row[k]);
                settled += gone;
                CHECK(seed, gone || may_stay(&w, &w.thin[i].row[k]));
            }
        }
        finish(&w);
    }
    assert_true(settled > HISTORIES / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forgetting_by_marks_changes_nothing_shown),
        cmocka_unit_test(forgetting_by_acknowledgements_diverges),
        cmocka_unit_test(reviving_an_agreed_delete_diverges),
        cmocka_unit_test(nothing_settled_is_kept),
    };
    return check_run(tests);
}
