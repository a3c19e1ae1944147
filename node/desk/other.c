/* What another charter would say of conflicts that were recorded under the one in force.
 *
 * The sides of a conflict are the versions of one cell. Under the other charter its columns may lie
 * in other cells:
 *
 *   each of these has only columns of ours    each is decided by its own rule; when they choose
 *                                             different sides the row would show a mixture
 *   one has further columns, or is a sum      unknown: what it would need was not recorded
 */
#include "node/desk/explain.h"

#include "node/check/check.h"
#include "node/desk/review.h"

#include <stdlib.h>
#include <string.h>

enum err explain_other(struct store *s, struct arena *a, const struct charter *other,
                       struct charter *out)
{
    struct finding *f = NULL;
    size_t n = 0;
    enum err e = store_schema_complete(s, a, other, out, &f, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(f[i].level, "fail") == 0)
            return store_fail(s, ERR_REFUSED, "that charter does not fit this database: %s: %s",
                              f[i].subject, f[i].text);
    return e;
}

bool explain_rules(struct store *s, struct arena *a, const struct charter *other,
                   const struct table_schema *t, struct table_rules *out)
{
    const struct charter_table *c = charter_table_named(other, t->name);
    if (c)
        schema_rules(s, a, t, c, out);
    return c;
}

/* ---- one conflict ---- */

struct members { /* the columns of one cell */
    uint32_t n;
    const uint32_t *column;
};

static struct members members_of(struct arena *a, const struct table_rules *rules, uint32_t cell)
{
    const struct cell_group *g = cell_group_of(rules, cell);
    if (g)
        return (struct members){g->n, g->column};
    return (struct members){1, arena_copy(a, &cell, sizeof cell)};
}

/* Place of a column in a cell, or -1. */
static int place_of(const struct members *m, uint32_t column)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->column[i] == column)
            return (int)i;
    return -1;
}

/* The side's version of a cell of the other charter; false where the side does not hold it. */
static bool version_of(const struct trial *y, const struct members *ours,
                       const struct members *theirs, const struct conflict_side *side,
                       struct version *out)
{
    struct value *all = arena_alloc(y->a, ours->n * sizeof *all);
    struct value *v = arena_alloc(y->a, theirs->n * sizeof *v);
    if (ours->n == 1)
        all[0] = side->value;
    else if (side->value.type != VALUE_TUPLE ||
             value_tuple_split(&side->value, all, ours->n) != ERR_OK)
        return false;
    for (uint32_t i = 0; i < theirs->n; i++) {
        int at = place_of(ours, theirs->column[i]);
        if (at < 0)
            return false;
        v[i] = all[at];
    }
    *out = (struct version){.dot = side->dot,
                            .hlc = side->at_hlc,
                            .value = theirs->n == 1 ? v[0] : value_tuple(y->a, v, theirs->n)};
    return true;
}

static size_t shown_side(const struct trial *y)
{
    size_t i = 0;
    while (i < y->n && !y->side[i].shown)
        i++;
    return i;
}

static void conclude(const struct trial *y, const struct version *v, size_t chosen,
                     struct trial_answer *out)
{
    size_t now = shown_side(y);
    bool same =
        y->cell == COLUMN_BIRTH ? chosen == now : value_alike(&v[chosen].value, &v[now].value);
    out->shown =
        out->verdict == EXPLAIN_NONE || out->shown == chosen ? (uint32_t)chosen : (uint32_t)y->n;
    if (!same || out->verdict == EXPLAIN_NONE)
        out->verdict = same ? EXPLAIN_SAME : EXPLAIN_OTHERWISE;
}

/* One cell of the other charter. */
static bool try_cell(const struct trial *y, const struct members *ours, uint32_t cell,
                     struct trial_answer *out)
{
    const struct table_rules *rules = y->rules;
    struct members theirs = members_of(y->a, rules, cell);
    struct version *v = arena_alloc(y->a, y->n * sizeof *v);
    if (policy_of(rules, cell) == POLICY_SUM)
        return false;
    for (size_t i = 0; i < y->n; i++)
        if (!version_of(y, ours, &theirs, &y->side[i], &v[i]))
            return false;
    bool scoped = rules->scope != 0 && rules->scope <= rules->n_columns && y->row;
    struct chooser c = {.policy = policy_shown(rules, cell),
                        .rank = rules->rank ? &rules->rank[cell] : NULL,
                        .units = rules->units,
                        .scope = scoped ? y->row[rules->scope - 1] : value_null()};
    out->review = out->review || policy_of(rules, cell) == POLICY_REVIEW;
    conclude(y, v, policy_choose(&c, v, y->n), out);
    return true;
}

static void try_row(const struct trial *y, struct trial_answer *out)
{
    struct version *v = arena_alloc(y->a, y->n * sizeof *v);
    struct chooser c = {.policy = POLICY_LATEST};
    for (size_t i = 0; i < y->n; i++)
        v[i] = (struct version){y->side[i].dot, y->side[i].at_hlc, y->side[i].value};
    if (y->cell == COLUMN_EXISTS) {
        c.policy = y->rules->delete_policy == DELETE_DELETE_WINS ? POLICY_MIN : POLICY_MAX;
        out->review = y->rules->delete_policy == DELETE_REVIEW;
    } else {
        c.policy = y->rules->birth_policy == BIRTH_LATEST ? POLICY_LATEST : POLICY_EARLIEST;
        out->review = y->rules->birth_policy == BIRTH_REVIEW;
    }
    conclude(y, v, policy_choose(&c, v, y->n), out);
}

struct trial_answer explain_try(const struct trial *y)
{
    static const struct trial_answer unknown = {.verdict = EXPLAIN_UNKNOWN};
    struct trial_answer out = {.verdict = EXPLAIN_NONE};
    if (y->n < 2)
        return out;
    if (shown_side(y) == y->n)
        return unknown;
    if (y->cell == COLUMN_EXISTS || y->cell == COLUMN_BIRTH) {
        try_row(y, &out);
        return out;
    }
    if (y->cell >= y->t->n_columns)
        return unknown;
    struct members ours = members_of(y->a, &y->t->rules, y->cell);
    for (uint32_t i = 0; i < ours.n; i++) {
        uint32_t cell = cell_of(y->rules, ours.column[i]);
        bool first = true; /* of our columns in that cell */
        for (uint32_t k = 0; k < i; k++)
            first = first && cell_of(y->rules, ours.column[k]) != cell;
        if (first && !try_cell(y, &ours, cell, &out))
            return unknown;
    }
    return out;
}

/* ---- the conflicts of a period ---- */

struct counting {
    struct store *s;
    struct arena *a;      /* of the answer */
    struct arena scratch; /* of one conflict */
    const struct charter *other;
    const struct explain_period *period;
    struct explain_count *list;
    size_t n, cap;
    enum err e;
};

static struct explain_count *count_of(struct counting *c, const struct conflict_record *r,
                                      const struct table_schema *t, uint32_t cell)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->list[i].table, r->table) == 0 && strcmp(c->list[i].cell, r->cell) == 0)
            return &c->list[i];
    struct table_rules rules;
    bool known = t && cell != CELL_UNKNOWN && explain_rules(c->s, c->a, c->other, t, &rules);
    struct explain_rule rule = {.policy = ""};
    if (known)
        rule = explain_rule_of(c->other, t, &rules, cell);
    c->list = arena_grow(c->a, c->list, c->n, &c->cap, sizeof *c->list);
    c->list[c->n] = (struct explain_count){.table = arena_strdup(c->a, r->table),
                                           .cell = arena_strdup(c->a, r->cell),
                                           .policy = arena_strdup(c->a, r->policy),
                                           .other = rule.policy};
    return &c->list[c->n++];
}

/* The row as it stands, where the other rules ask for its scope. */
static const struct value *row_of(struct counting *c, const struct table_schema *t,
                                  const struct table_rules *rules, const char *key_json)
{
    struct buf key = {0};
    struct value *row = NULL;
    bool owner = false;
    for (uint32_t i = 0; i < t->n_columns; i++)
        owner = owner || policy_shown(rules, i) == POLICY_OWNER;
    if (owner && rules->scope != 0)
        c->e = schema_key_parse(c->s, &c->scratch, t, key_json, &key);
    if (key.len > 0 && c->e == ERR_OK)
        c->e = row_read(c->s, &c->scratch, (struct row_key){t, key.data, key.len}, &row);
    buf_fini(&key);
    return row;
}

static void count_conflict(const struct conflict_record *r, void *user)
{
    struct counting *c = user;
    const struct explain_period *p = c->period;
    if (c->e != ERR_OK || r->opened_ms < p->since_ms ||
        (p->until_ms != 0 && r->opened_ms >= p->until_ms))
        return;
    const struct table_schema *t = schema_table(c->s, r->table);
    uint32_t cell = t ? list_cell(t, r->cell) : CELL_UNKNOWN;
    struct explain_count *count = count_of(c, r, t, cell);
    struct table_rules rules;
    struct trial_answer answer = {.verdict = EXPLAIN_UNKNOWN};
    arena_reset(&c->scratch);
    if (t && t->exists && cell != CELL_UNKNOWN &&
        explain_rules(c->s, &c->scratch, c->other, t, &rules)) {
        struct trial y = {.a = &c->scratch,
                          .t = t,
                          .rules = &rules,
                          .row = row_of(c, t, &rules, r->key_json),
                          .cell = cell,
                          .n = r->n_sides,
                          .side = r->sides};
        answer = explain_try(&y);
    }
    count->conflicts++;
    count->otherwise += answer.verdict == EXPLAIN_OTHERWISE;
    count->unknown += answer.verdict == EXPLAIN_UNKNOWN || answer.verdict == EXPLAIN_NONE;
    count->reviewed += answer.review && strcmp(r->policy, "review") != 0;
}

static int by_name(const void *x, const void *y)
{
    const struct explain_count *p = x, *q = y;
    int c = strcmp(p->table, q->table);
    return c != 0 ? c : strcmp(p->cell, q->cell);
}

enum err store_explain_conflicts(struct store *s, struct arena *a, const struct charter *other,
                                 const struct explain_period *period, struct explain_count **out,
                                 size_t *n)
{
    struct charter completed;
    struct counting c = {.s = s, .a = a, .other = &completed, .period = period};
    *n = 0;
    enum err e = schema_load(s);
    if (e == ERR_OK && period->table && !schema_table(s, period->table))
        return store_fail(s, ERR_NOT_FOUND, "table %.64s is not in the charter", period->table);
    if (e == ERR_OK)
        e = explain_other(s, a, other, &completed);
    if (e != ERR_OK)
        return e;
    struct conflict_filter f = {.table = period->table};
    e = store_conflict_each(s, &f, count_conflict, &c);
    if (e == ERR_OK)
        e = c.e;
    if (c.n > 1)
        qsort(c.list, c.n, sizeof *c.list, by_name);
    *out = c.list;
    *n = c.n;
    arena_fini(&c.scratch);
    return e;
}
