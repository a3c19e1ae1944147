/* What each write to a row had seen of the others, and which it met.
 *
 * Write e has seen write f exactly when e's context covers f's dot (DESIGN 4). Two writes that have
 * not seen each other met:
 *
 *   both are births                              in "birth", unless they are twins
 *   of one identity, one of them a delete        in "exists"
 *   of one identity, with different values of    in that cell (column or group); a sum's deltas
 *   one cell                                     never meet
 *
 * Which goes before is what the charter in force says of the two alone; every policy is an order,
 * so it says the same of them among others. Told is, of each cell and each side, only the newest
 * write: those that it had seen are not siblings of its any more.
 */
#include "node/desk/history.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct relation {
    struct row_writes *h;
    struct value scope;
    const struct row_write **by_dot; /* all of h->w, by (site, seq) */
    const struct row_write *e;
    uint32_t cell;
    size_t n, cap; /* of the cell */
    const struct row_write **met;
    size_t met_cap; /* of e->x.met */
};

static bool saw(const struct row_write *w, const struct row_write *other)
{
    return clock_covers(&w->context, other->x.dot);
}

/* A write without a name means the identity whose name was forgotten: it may be the other's. */
static bool same_identity(const struct row_write *a, const struct row_write *b)
{
    return dot_is_none(a->x.birth) || dot_is_none(b->x.birth) || dot_equal(a->x.birth, b->x.birth);
}

static const struct value *value_of(const struct row_write *w, uint32_t column)
{
    for (uint32_t i = 0; i < w->x.n_cells; i++)
        if (w->column[i] == column)
            return &w->x.values[i];
    return NULL;
}

/* The version of a cell that a write made; of a group's member that it does not know: NULL. */
static bool version_of(const struct relation *r, const struct row_write *w, struct version *out)
{
    const struct table_rules *rules = &r->h->t->rules;
    bool any = false;
    *out = (struct version){.dot = w->x.dot, .hlc = w->x.hlc};
    if (!cell_is_group(rules, r->cell)) {
        const struct value *v = value_of(w, r->cell);
        out->value = v ? *v : value_null();
        return v;
    }
    struct value *values = arena_alloc(r->h->a, rules->n_columns * sizeof *values);
    for (uint32_t i = 0; i < w->x.n_cells; i++) {
        if (w->column[i] == UINT32_MAX || cell_of(rules, w->column[i]) != r->cell)
            continue;
        any = true;
        values[w->column[i]] = w->x.values[i];
    }
    out->value = cell_gather(r->h->a, rules, r->cell, values);
    return any;
}

static bool born_alike(const struct relation *r, const struct row_write *e,
                       const struct row_write *f)
{
    const struct table_rules *rules = &r->h->t->rules;
    for (uint32_t c = 0; c < rules->n_columns; c++) {
        const struct value *x = value_of(e, c), *y = value_of(f, c);
        if (!x != !y || (x && !value_equal(x, y)))
            return false;
        if (x && cell_is_sum(rules, c) && !(value_is_count(x) && value_count(x) == 0))
            return false;
    }
    return true;
}

/* Whether somebody who had not heard of the other birth changed this one. */
static bool changed_apart(const struct relation *r, const struct row_write *birth,
                          const struct row_write *other)
{
    for (size_t i = 0; i < r->h->n; i++) {
        const struct row_write *w = &r->h->w[i];
        if (w->x.kind != CHANGE_BORN && dot_equal(w->x.birth, birth->x.dot) && !saw(w, other))
            return true;
    }
    return false;
}

/* Equal births are one record to people (conflict/twin.h), unless each was changed for itself. */
static bool are_twins(const struct relation *r, const struct row_write *e,
                      const struct row_write *f)
{
    return born_alike(r, e, f) && !(changed_apart(r, e, f) && changed_apart(r, f, e));
}

static bool meet_in_cell(const struct relation *r, const struct row_write *f)
{
    bool births = r->e->x.kind == CHANGE_BORN && f->x.kind == CHANGE_BORN;
    if (r->cell == COLUMN_BIRTH || births)
        return births && r->cell == COLUMN_BIRTH && !are_twins(r, r->e, f);
    if (r->e->x.kind == CHANGE_BORN || f->x.kind == CHANGE_BORN || !same_identity(r->e, f))
        return false;
    if (r->cell == COLUMN_EXISTS)
        return (r->e->x.kind == CHANGE_DELETE) != (f->x.kind == CHANGE_DELETE);
    struct version mine, other;
    return version_of(r, r->e, &mine) && version_of(r, f, &other) &&
           !value_alike(&mine.value, &other.value);
}

static bool cell_wins(const struct relation *r, const struct row_write *f, const char **policy)
{
    const struct table_rules *rules = &r->h->t->rules;
    struct version v[2];
    struct chooser c = {.policy = policy_shown(rules, r->cell),
                        .rank = rules->rank ? &rules->rank[r->cell] : NULL,
                        .units = rules->units,
                        .scope = r->scope};
    bool review = policy_of(rules, r->cell) == POLICY_REVIEW;
    struct buf words = {0};
    buf_printf(&words, review ? "review (%s until somebody decides)" : "%s", policy_name(c.policy));
    *policy = arena_strdup(r->h->a, buf_str(&words));
    buf_fini(&words);
    return version_of(r, r->e, &v[0]) && version_of(r, f, &v[1]) && policy_choose(&c, v, 2) == 0;
}

static bool is_first(const struct history_entry *x, const struct history_entry *other)
{
    struct version mine = {.dot = x->dot, .hlc = x->hlc};
    struct version its = {.dot = other->dot, .hlc = other->hlc};
    return version_order(&mine, &its) < 0;
}

/* Whether r->e goes before f, and by which rule. */
static bool wins(const struct relation *r, const struct row_write *f, const char **policy)
{
    const struct table_rules *rules = &r->h->t->rules;
    if (r->cell == COLUMN_EXISTS) {
        bool deletes = r->e->x.kind == CHANGE_DELETE;
        *policy = rules->delete_policy == DELETE_REVIEW
                      ? "review (the row stands until somebody decides)"
                      : delete_policy_name(rules->delete_policy);
        return deletes == (rules->delete_policy == DELETE_DELETE_WINS);
    }
    if (r->cell != COLUMN_BIRTH)
        return cell_wins(r, f, policy);
    *policy = rules->birth_policy == BIRTH_REVIEW
                  ? "review (the first stands until somebody decides)"
                  : birth_policy_name(rules->birth_policy);
    return is_first(&r->e->x, &f->x) == (rules->birth_policy != BIRTH_LATEST);
}

/* The run of one site in by_dot that begins at `from`. *unseen: its first that e's context does not
 * cover; returns the end. */
static size_t run_of(const struct relation *r, size_t from, size_t *unseen)
{
    uint64_t site = r->by_dot[from]->x.dot.site;
    uint64_t seen = clock_get(&r->e->context, site);
    size_t end = from;
    while (end < r->h->n && r->by_dot[end]->x.dot.site == site)
        end++;
    size_t low = from, high = end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->by_dot[middle]->x.dot.seq <= seen)
            low = middle + 1;
        else
            high = middle;
    }
    *unseen = low;
    return end;
}

/* The newest write of a site that meets e in the cell, of those that e had not seen. Each has seen
 * the ones before it; the first that has seen e ends the search. */
static const struct row_write *newest_met(const struct relation *r, size_t unseen, size_t end)
{
    const struct row_write *last = NULL;
    for (size_t i = unseen; i < end && !saw(r->by_dot[i], r->e); i++)
        if (!dot_equal(r->by_dot[i]->x.dot, r->e->x.dot) && meet_in_cell(r, r->by_dot[i]))
            last = r->by_dot[i];
    return last;
}

static void meet_cell(struct relation *r, struct history_entry *x, uint32_t cell)
{
    r->cell = cell;
    r->n = 0;
    for (size_t i = 0, end, unseen; i < r->h->n; i = end) {
        end = run_of(r, i, &unseen);
        const struct row_write *last = newest_met(r, unseen, end);
        if (!last)
            continue;
        r->met = arena_grow(r->h->a, r->met, r->n, &r->cap, sizeof *r->met);
        r->met[r->n++] = last;
    }
    for (size_t i = 0; i < r->n; i++) {
        bool passed = false;
        for (size_t j = 0; j < r->n; j++)
            passed = passed || (j != i && saw(r->met[j], r->met[i]));
        if (passed)
            continue;
        struct history_met m = {.cell = arena_strdup(r->h->a, schema_cell_name(r->h->t, cell)),
                                .office = r->met[i]->x.office,
                                .dot = r->met[i]->x.dot};
        m.won = wins(r, r->met[i], &m.policy);
        x->met = arena_grow(r->h->a, x->met, x->n_met, &r->met_cap, sizeof *x->met);
        x->met[x->n_met++] = m;
        x->beside = x->beside || (cell == COLUMN_BIRTH && !is_first(x, &r->met[i]->x));
    }
}

static void meet(struct relation *r, struct row_write *w)
{
    const struct table_schema *t = r->h->t;
    r->met_cap = 0;
    if (w->x.kind == CHANGE_BORN) {
        meet_cell(r, &w->x, COLUMN_BIRTH);
        return;
    }
    meet_cell(r, &w->x, COLUMN_EXISTS);
    for (uint32_t c = 0; c < t->n_columns; c++) {
        if (cell_of(&t->rules, c) != c || policy_of(&t->rules, c) == POLICY_SUM)
            continue;
        struct version ignored;
        r->cell = c;
        if (version_of(r, w, &ignored))
            meet_cell(r, &w->x, c);
    }
}

/* Of each site the newest write that w had seen; but not what another of these had seen. */
static void see(struct relation *r, struct row_write *w)
{
    struct row_writes *h = r->h;
    const struct row_write **newest = NULL;
    size_t n = 0, cap = 0, seen_cap = 0;
    for (size_t i = 0, end, unseen; i < h->n; i = end) {
        end = run_of(r, i, &unseen);
        if (unseen == i)
            continue;
        newest = arena_grow(h->a, newest, n, &cap, sizeof *newest);
        newest[n++] = r->by_dot[unseen - 1];
    }
    for (size_t i = 0; i < n; i++) {
        bool passed = false;
        for (size_t j = 0; j < n; j++)
            passed = passed || (j != i && saw(newest[j], newest[i]));
        if (passed)
            continue;
        w->x.seen = arena_grow(h->a, w->x.seen, w->x.n_seen, &seen_cap, sizeof *w->x.seen);
        w->x.seen[w->x.n_seen++] =
            (struct history_seen){newest[i]->x.office, newest[i]->x.dot, newest[i]->x.hlc};
    }
    w->x.again = w->x.kind == CHANGE_BORN && n > 0;
}

static int by_dot(const void *x, const void *y)
{
    const struct row_write *const *p = x, *const *q = y;
    return dot_compare((*p)->x.dot, (*q)->x.dot);
}

void history_relate(struct row_writes *h, struct value scope)
{
    for (size_t i = 1; i < h->n; i++)
        assert(h->w[i - 1].x.hlc <= h->w[i].x.hlc);
    struct relation r = {.h = h, .scope = scope};
    r.by_dot = arena_alloc(h->a, (h->n + 1) * sizeof *r.by_dot);
    for (size_t i = 0; i < h->n; i++)
        r.by_dot[i] = &h->w[i];
    if (h->n > 0)
        qsort(r.by_dot, h->n, sizeof *r.by_dot, by_dot);
    for (size_t i = 0; i < h->n; i++) {
        r.e = &h->w[i];
        see(&r, &h->w[i]);
        meet(&r, &h->w[i]);
    }
}
