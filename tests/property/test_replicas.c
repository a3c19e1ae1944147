/* Full replicas in a random tree, against an oracle that knows every write ever made. */
#include "tests/property/replica.h"
#include "tests/property/tree.h"

#include <string.h>

#ifdef FEW_HISTORIES
#define HISTORIES 400
#else
#define HISTORIES 3000
#endif
#define CHANGESETS_MAX 200

struct replicas_world {
    uint64_t seed;
    struct gen g;
    struct arena arena;
    struct tree tree;
    struct rule_set set;
    struct replica office[OFFICES_MAX];
    struct told_change *all[CHANGESETS_MAX];
    size_t n_all;
    uint64_t serial;
};

static void deliver(void *context, int to, void *item)
{
    struct replicas_world *w = context;
    struct replica *o = &w->office[to];
    struct told_change *cs = item;
    if (clock_covers(&o->clock, cs->dot))
        return;
    CHECK(w->seed, clock_includes(&o->clock, &cs->context));
    replica_apply(o, cs, true);
    tree_append(&w->tree, to, cs);
}

static void step(struct replicas_world *w, uint64_t t)
{
    uint32_t p = gen_below(&w->g, 100);
    if (p < 40 && w->n_all < CHANGESETS_MAX) {
        int at = (int)gen_below(&w->g, (uint32_t)w->tree.n);
        struct told_change *cs = replica_write(&w->office[at], &w->g, t, &w->serial);
        if (!cs)
            return;
        w->all[w->n_all++] = cs;
        deliver(w, at, cs);
    } else if (p < 50) {
        tree_toggle_line(&w->tree, &w->g);
    } else if (p < 53) {
        tree_change_parent(&w->tree, &w->g);
    } else {
        tree_carry(&w->tree, &w->g, 4, deliver, w);
    }
}

static void run(struct replicas_world *w, uint64_t seed)
{
    w->seed = seed;
    w->g = gen_seeded(seed);
    tree_init(&w->tree, &w->g, 3, 7);
    uint64_t site[OFFICES_MAX];
    for (int i = 0; i < w->tree.n; i++)
        site[i] = gen_u64(&w->g);
    rules_random(&w->set, &w->g, site, (size_t)w->tree.n);
    for (int i = 0; i < w->tree.n; i++)
        replica_init(&w->office[i], &w->arena, &w->set.rules, site[i], gen_between(&w->g, -5, 5));
    int steps = gen_between(&w->g, 20, 120);
    for (int t = 0; t < steps; t++)
        step(w, (uint64_t)t);
    tree_heal(&w->tree, deliver, w);
}

static void finish(struct replicas_world *w)
{
    for (int i = 0; i < w->tree.n; i++)
        replica_fini(&w->office[i]);
    tree_fini(&w->tree);
    arena_fini(&w->arena);
}

static void put_conflicts(struct buf *b, struct conflict_list *list, uint64_t key)
{
    for (size_t i = 0; i < list->n; i++) {
        char id[33];
        conflict_id(id, "t", &key, sizeof key, "column", &list->c[i]);
        buf_printf(b, "%s shows %u of %u, column %u\n", id, list->c[i].shown, list->c[i].n,
                   list->c[i].column);
    }
}

/* Everything an office shows: what stands, what is held and why, what is open. */
static void describe(struct replicas_world *w, struct replica *o, struct buf *b)
{
    for (uint64_t k = 0; k < KEYS; k++) {
        struct conflict_list open = {0};
        for (uint32_t i = 0; i < o->row[k].n_births; i++) {
            const struct birth *birth = &o->row[k].births[i];
            buf_printf(b, "birth %llx held '%s' alive %d\n", (unsigned long long)birth->name.site,
                       hold_reason_name(birth->held), birth_alive(birth, &w->set.rules));
            for (uint32_t c = 0; c < COLUMNS; c++)
                value_encode(b, &birth->values[c]);
        }
        row_open_conflicts(&w->arena, &o->row[k], &w->set.rules, &open);
        put_conflicts(b, &open, k);
        row_encode(b, &o->row[k], &w->set.rules);
    }
}

static void check_replicas_agree(struct replicas_world *w)
{
    struct buf first = {0};
    describe(w, &w->office[0], &first);
    for (int i = 1; i < w->tree.n; i++) {
        struct buf other = {0};
        describe(w, &w->office[i], &other);
        CHECK(w->seed, other.len == first.len && memcmp(other.data, first.data, first.len) == 0);
        buf_fini(&other);
    }
    buf_fini(&first);
}

static bool find_value(const struct change *ch, uint32_t column, struct value *v)
{
    for (uint32_t c = 0; c < ch->n_cells; c++) {
        *v = ch->value[c];
        if (ch->column[c] == column)
            return true;
    }
    return false;
}

/* The value that a change wrote to one cell; false when it wrote none. */
static bool find_cell(struct replicas_world *w, const struct change *ch, uint32_t cell,
                      struct value *v)
{
    const struct cell_group *g = cell_group_of(&w->set.rules, cell);
    struct value member[COLUMNS];
    *v = value_integer(ch->kind != CHANGE_DELETE);
    if (cell == COLUMN_EXISTS)
        return true;
    if (!g)
        return find_value(ch, cell, v);
    for (uint32_t i = 0; i < g->n; i++)
        if (!find_value(ch, g->column[i], &member[i]))
            return false;
    *v = value_tuple(&w->arena, member, g->n);
    return true;
}

/* The version that a changeset wrote to one cell of one identity; false when it wrote none. */
static bool wrote(struct replicas_world *w, const struct told_change *cs, uint32_t key,
                  struct dot identity, uint32_t cell, struct version *v)
{
    for (uint32_t i = 0; i < cs->n; i++) {
        const struct edit *e = &cs->edit[i];
        *v = (struct version){.dot = cs->dot, .hlc = cs->hlc};
        if (e->key == key && dot_equal(e->identity, identity) &&
            find_cell(w, &e->ch, cell, &v->value))
            return true;
    }
    return false;
}

static bool is_overwritten(struct replicas_world *w, uint32_t key, struct dot identity,
                           uint32_t column, struct dot dot)
{
    struct version v;
    for (size_t i = 0; i < w->n_all; i++)
        if (clock_covers(&w->all[i]->context, dot) &&
            wrote(w, w->all[i], key, identity, column, &v))
            return true;
    return false;
}

static bool is_recorded(struct replicas_world *w, uint32_t key, uint32_t column,
                        const struct version *v)
{
    for (int i = 0; i < w->tree.n; i++) {
        const struct conflict_list *met = &w->office[i].met[key];
        for (size_t j = 0; j < met->n; j++)
            for (uint32_t s = 0; met->c[j].column == column && s < met->c[j].n; s++)
                if (value_alike(&met->c[j].v[s].value, &v->value))
                    return true;
    }
    return false;
}

static bool stands(const struct version *v, uint32_t n, const struct version *x)
{
    for (uint32_t i = 0; i < n; i++)
        if (dot_equal(v[i].dot, x->dot))
            return value_equal(&v[i].value, &x->value);
    return false;
}

static bool is_shown_alike(const struct version *v, uint32_t n, const struct version *x)
{
    for (uint32_t i = 0; i < n; i++)
        if (value_alike(&v[i].value, &x->value))
            return true;
    return false;
}

/* One cell against every write to it ever made: its versions are exactly those that no writer had
 * seen, or under `latest` the last one, the others being on record. */
static void check_cell(struct replicas_world *w, uint32_t key, const struct birth *b, uint32_t cell)
{
    uint32_t n;
    uint32_t expected = 0;
    const struct version *v = birth_cell(&w->arena, b, &w->set.rules, cell, &n);
    bool latest = policy_of(&w->set.rules, cell) == POLICY_LATEST;
    for (size_t i = 0; i < w->n_all; i++) {
        struct version x;
        if (!wrote(w, w->all[i], key, b->name, cell, &x))
            continue;
        if (is_overwritten(w, key, b->name, cell, x.dot)) {
            CHECK(w->seed, !stands(v, n, &x));
            continue;
        }
        expected++;
        if (!latest)
            CHECK(w->seed, stands(v, n, &x));
        else
            CHECK(w->seed, is_shown_alike(v, n, &x) || is_recorded(w, key, cell, &x));
        if (latest)
            CHECK(w->seed, version_order(&x, v) <= 0);
    }
    CHECK(w->seed, n == (latest ? 1 : expected));
}

/* The total of a sum is what all that was ever written to it adds up to; what is no integer is
 * there exactly until a later write has seen it. */
static void check_sum(struct replicas_world *w, uint32_t key, const struct birth *b,
                      uint32_t column)
{
    __int128 total = 0;
    bool counted = false;
    uint32_t others = 0;
    const struct cell *c = NULL;
    for (uint32_t i = 0; i < b->n_cells; i++)
        if (b->cells[i].column == column)
            c = &b->cells[i];
    for (size_t i = 0; i < w->n_all; i++) {
        struct version x;
        if (!wrote(w, w->all[i], key, b->name, column, &x))
            continue;
        if (value_is_count(&x.value)) {
            total += value_count(&x.value);
            counted |= x.value.type != VALUE_NULL;
        } else if (!is_overwritten(w, key, b->name, column, x.dot)) {
            CHECK(w->seed, c && stands(c->v, c->n, &x));
            others++;
        }
    }
    struct value expected = counted ? value_total(&w->arena, total) : value_null();
    CHECK(w->seed, value_equal(&b->values[column], &expected));
    CHECK(w->seed, others == (c ? c->n : 0));
}

static void check_against_all_writes(struct replicas_world *w)
{
    size_t births = 0;
    size_t born = 0;
    for (uint32_t k = 0; k < KEYS; k++) {
        const struct row *r = &w->office[0].row[k];
        for (uint32_t i = 0; i < r->n_births; i++) {
            for (uint32_t c = 0; c < COLUMNS; c++) {
                if (policy_of(&w->set.rules, c) == POLICY_SUM)
                    check_sum(w, k, &r->births[i], c);
                else if (cell_of(&w->set.rules, c) == c)
                    check_cell(w, k, &r->births[i], c);
            }
            check_cell(w, k, &r->births[i], COLUMN_EXISTS);
            births++;
        }
    }
    for (size_t i = 0; i < w->n_all; i++)
        for (uint32_t e = 0; e < w->all[i]->n; e++)
            born += w->all[i]->edit[e].ch.kind == CHANGE_BORN;
    CHECK(w->seed, births == born);
}

static const struct told_change *find_changeset(struct replicas_world *w, struct dot dot)
{
    for (size_t i = 0; i < w->n_all; i++)
        if (dot_equal(w->all[i]->dot, dot))
            return w->all[i];
    CHECK(w->seed, !"a side of a conflict was never written");
    return NULL;
}

/* No side of a reported conflict had seen another, and no two sides that differ are left out of it.
 */
static void check_exactness(struct replicas_world *w, const struct conflict *c)
{
    bool differ = false;
    for (uint32_t i = 0; i < c->n; i++) {
        for (uint32_t j = 0; j < c->n; j++) {
            const struct told_change *a = find_changeset(w, c->v[i].dot);
            CHECK(w->seed, i == j || !clock_covers(&a->context, c->v[j].dot));
            differ |= !value_alike(&c->v[i].value, &c->v[j].value);
        }
    }
    CHECK(w->seed, policy_of(&w->set.rules, c->column) != POLICY_SUM);
    CHECK(w->seed, differ && c->n >= 2 && c->shown < c->n);
    CHECK(w->seed, c->open == (policy_of(&w->set.rules, c->column) != POLICY_LATEST));
}

static size_t check_reports(struct replicas_world *w)
{
    size_t reported = 0;
    for (int i = 0; i < w->tree.n; i++)
        for (uint32_t k = 0; k < KEYS; k++)
            for (size_t j = 0; j < w->office[i].met[k].n; j++, reported++)
                if (w->office[i].met[k].c[j].column != COLUMN_BIRTH)
                    check_exactness(w, &w->office[i].met[k].c[j]);
    return reported;
}

/* After every line has healed all offices hold the same rows, held births, reasons and open
 * conflicts, to the byte of the record. */
static void replicas_converge(void **state)
{
    for (uint64_t seed = 0; seed < HISTORIES; seed++) {
        struct replicas_world w = {0};
        run(&w, seed);
        check_replicas_agree(&w);
        finish(&w);
    }
}

/* Every write stands, was overwritten by one that had seen it, or is in a conflict record with its
 * value; a conflict is reported only between writes that had not seen each other. */
static void nothing_is_lost_and_conflicts_are_exact(void **state)
{
    size_t reported = 0;
    for (uint64_t seed = 0; seed < HISTORIES; seed++) {
        struct replicas_world w = {0};
        run(&w, HISTORIES + seed);
        check_against_all_writes(&w);
        reported += check_reports(&w);
        finish(&w);
    }
    assert_true(reported > HISTORIES); /* the histories do meet conflicts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_converge),
        cmocka_unit_test(nothing_is_lost_and_conflicts_are_exact),
    };
    return check_run(tests);
}
