/* What meets one row: the rule of each of its cells and where the charter says it, the versions
 * that the rule decides between, why the row is held, whose it is; and what another charter would
 * put in force. */
#include "node/desk/explain.h"

#include "node/db/query.h"
#include "node/desk/review.h"
#include "node/journal/journal.h"

#include <stdlib.h>
#include <string.h>

struct explain {
    struct store *s;
    struct arena *a;
    struct reviewed row;
    const struct birth
        *birth; /* the one told about: it stands, or lives, or is the first; or NULL */
    const struct value *shown;     /* its columns, or NULL */
    const struct charter *charter; /* the one in force, or NULL */
    const struct charter *other;   /* completed; NULL: none is asked about */
    struct table_rules other_rules;
    struct conflict_record *conflicts; /* recorded of this row, newest first */
    size_t n_conflicts;
    struct explanation *out;
};

/* ---- the row ---- */

static enum err find_ids(struct explain *x, const char *sql, const char ***out, size_t *n)
{
    struct query q =
        DB_QUERY(x->s, sql, value_integer(x->row.k.t->t), value_blob(x->row.k.key, x->row.k.len));
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    while (query_next(&q)) {
        *out = arena_grow(x->a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = query_text(&q, x->a, 0);
    }
    return query_end(&q);
}

static enum err read_records(struct explain *x)
{
    const char **id;
    size_t n;
    enum err e =
        find_ids(x, "SELECT id FROM tonle_held WHERE t = ?1 AND k = ?2 ORDER BY id", &id, &n);
    x->out->held = arena_alloc(x->a, (n + 1) * sizeof *x->out->held);
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        e = store_held_get(x->s, x->a, id[i], &x->out->held[x->out->n_held++]);
    if (e == ERR_OK)
        e = find_ids(x,
                     "SELECT id FROM tonle_conflict WHERE t = ?1 AND k = ?2"
                     " AND state IN ('open', 'auto') ORDER BY opened_ms DESC, id",
                     &id, &n);
    x->conflicts = arena_alloc(x->a, (n + 1) * sizeof *x->conflicts);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        struct conflict_place ignored;
        e = list_conflict(x->s, x->a, id[i], &x->conflicts[x->n_conflicts++], &ignored);
    }
    return e;
}

static void choose_birth(struct explain *x)
{
    const struct row *r = &x->row.row;
    const struct table_rules *rules = &x->row.k.t->rules;
    x->birth = row_standing(r, rules);
    for (uint32_t i = 0; !x->birth && i < r->n_births; i++)
        if (birth_alive(&r->births[i], rules) && r->births[i].held != HOLD_TWIN)
            x->birth = &r->births[i];
    if (!x->birth && r->n_births > 0)
        x->birth = &r->births[0];
    x->shown = x->birth ? review_values(&x->row, x->birth) : x->row.stand;
    if (x->row.stand)
        x->out->state = "stands";
    else if (!x->birth)
        x->out->state = "gone";
    else
        x->out->state = birth_alive(x->birth, rules) ? "held" : "deleted";
}

/* ---- its cells ---- */

static enum err side_of(struct explain *x, const struct version *v, bool shown,
                        struct conflict_side *out)
{
    struct site_record site = {.node = "", .unit = ""};
    enum err e = dot_is_none(v->dot) ? ERR_OK : store_site_get(x->s, x->a, v->dot.site, &site);
    *out = (struct conflict_side){.office = site.node,
                                  .unit = site.unit,
                                  .at_hlc = v->hlc,
                                  .dot = v->dot,
                                  .value = value_copy(x->a, &v->value),
                                  .shown = shown};
    return e;
}

static enum err siblings(struct explain *x, uint32_t cell, struct explain_cell *out)
{
    const struct table_rules *rules = &x->row.k.t->rules;
    uint32_t n = 0;
    if (cell == COLUMN_BIRTH || !x->birth || policy_of(rules, cell) == POLICY_SUM)
        return ERR_OK;
    const struct version *v = birth_cell(x->a, x->birth, rules, cell, &n);
    if (n < 2)
        return ERR_OK;
    size_t shown = birth_choose(x->a, x->birth, rules, cell, v, n);
    out->sides = arena_alloc(x->a, n * sizeof *out->sides);
    out->n_sides = n;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < n; i++)
        e = side_of(x, &v[i], i == shown, &out->sides[i]);
    return e;
}

/* Whether what the conflict put in force still stands in the cell. */
static bool still_stands(const struct explain *x, uint32_t cell, const struct conflict_record *c)
{
    const struct conflict_side *shown = NULL;
    for (size_t i = 0; i < c->n_sides; i++)
        if (c->sides[i].shown)
            shown = &c->sides[i];
    if (cell == COLUMN_BIRTH || strcmp(c->state, "open") == 0)
        return strcmp(c->state, "open") == 0;
    if (!shown || !x->shown)
        return false;
    if (cell == COLUMN_EXISTS)
        return shown->value.type == VALUE_INTEGER &&
               (shown->value.u.i != 0) == (strcmp(x->out->state, "deleted") != 0);
    struct value now = cell_gather(x->a, &x->row.k.t->rules, cell, x->shown);
    return value_alike(&now, &shown->value);
}

/* The sides that the rule decided between: on record of the row, else of the newest conflict whose
 * outcome is what stands. */
static enum err find_sides(struct explain *x, uint32_t cell, struct explain_cell *out)
{
    enum err e = siblings(x, cell, out);
    out->conflict = "";
    for (size_t i = 0; e == ERR_OK && i < x->n_conflicts; i++) {
        const struct conflict_record *c = &x->conflicts[i];
        if (strcmp(c->cell, out->cell) != 0)
            continue;
        bool open = strcmp(c->state, "open") == 0;
        if (out->n_sides == 0 && still_stands(x, cell, c)) {
            out->n_sides = c->n_sides;
            out->sides = c->sides;
            out->conflict = c->id;
        } else if (open && out->conflict[0] == '\0') {
            out->conflict = c->id;
        }
    }
    return e;
}

static enum err add_cell(struct explain *x, uint32_t cell)
{
    const struct table_schema *t = x->row.k.t;
    bool column = cell < t->n_columns;
    const struct cell_group *g = column ? cell_group_of(&t->rules, cell) : NULL;
    struct explain_cell *out = &x->out->cells[x->out->n_cells++];
    out->cell = cell == COLUMN_EXISTS  ? "exists"
                : cell == COLUMN_BIRTH ? "birth"
                                       : arena_strdup(x->a, g ? g->name : t->column[cell]);
    if (g) {
        const char **names = arena_alloc(x->a, g->n * sizeof *names);
        for (uint32_t i = 0; i < g->n; i++)
            names[i] = arena_strdup(x->a, t->column[g->column[i]]);
        const struct charter_table *table = charter_table_named(x->charter, t->name);
        const struct charter_group *entry = table ? charter_group_of(table, names[0]) : NULL;
        out->members = names;
        out->n_members = g->n;
        out->implied = entry && entry->implied;
    }
    out->rule = explain_rule_of(x->charter, t, &t->rules, cell);
    enum err e = find_sides(x, cell, out);
    if (e != ERR_OK || !x->other)
        return e;
    uint32_t there = column ? cell_of(&x->other_rules, cell) : cell;
    out->other = explain_rule_of(x->other, t, &x->other_rules, there);
    struct trial y = {.a = x->a,
                      .t = t,
                      .rules = &x->other_rules,
                      .row = x->shown,
                      .cell = cell,
                      .n = out->n_sides,
                      .side = out->sides};
    struct trial_answer answer = explain_try(&y);
    out->verdict = answer.verdict;
    out->other_shown = answer.shown;
    return ERR_OK;
}

static enum err add_cells(struct explain *x)
{
    const struct table_schema *t = x->row.k.t;
    x->out->cells = arena_alloc(x->a, (t->n_columns + 2) * sizeof *x->out->cells);
    enum err e = add_cell(x, COLUMN_EXISTS);
    if (e == ERR_OK)
        e = add_cell(x, COLUMN_BIRTH);
    for (uint32_t c = 0; e == ERR_OK && c < t->n_columns; c++)
        if (cell_of(&t->rules, c) == c && !schema_is_key(t, c))
            e = add_cell(x, c);
    return e;
}

static enum err tell(struct explain *x)
{
    const struct table_schema *t = x->row.k.t;
    enum err e = review_row(x->s, x->a, x->row.k, &x->row);
    if (e != ERR_OK)
        return e;
    choose_birth(x);
    e = read_records(x);
    if (e != ERR_OK)
        return e;
    if (strcmp(x->out->state, "gone") == 0 && x->out->n_held == 0)
        return store_fail(x->s, ERR_NOT_FOUND,
                          "%.64s has no row %.200s: `tonle history` tells whether there was one",
                          t->name, x->out->key_json);
    e = review_owner(x->s, x->a, t, x->shown, &x->out->scope, &x->out->office);
    return e == ERR_OK ? add_cells(x) : e;
}

enum err store_explain(struct store *s, struct arena *a, const char *table, const char *key_json,
                       const struct charter *other, struct explanation *out)
{
    *out = (struct explanation){0};
    struct charter completed;
    struct explain x = {.s = s, .a = a, .out = out, .other = other ? &completed : NULL};
    enum err e = schema_load(s);
    const struct table_schema *t = e == ERR_OK ? schema_table(s, table) : NULL;
    if (e == ERR_OK && !t)
        return store_fail(s, ERR_NOT_FOUND,
                          "there is no replicated table %.64s: `tonle charter show` names them",
                          table);
    if (e == ERR_OK && !t->exists)
        return store_fail(s, ERR_NOT_FOUND,
                          "table %.64s is not here as the charter has it: see `tonle doctor`",
                          table);
    struct buf key = {0};
    if (e == ERR_OK)
        e = schema_key_parse(s, a, t, key_json, &key);
    if (e == ERR_OK && other)
        e = explain_other(s, a, other, &completed);
    if (e == ERR_OK)
        t = schema_table(s, table); /* the check may have read the schema again */
    if (e == ERR_OK && other && !explain_rules(s, a, x.other, t, &x.other_rules))
        e = store_fail(s, ERR_REFUSED, "that charter does not name the table %.64s", t->name);
    if (e == ERR_OK)
        e = schema_charter(s, a, &x.charter);
    if (e == ERR_OK) {
        x.row.k = (struct row_key){t, arena_copy(a, key.data, key.len), key.len};
        out->table = arena_strdup(a, t->name);
        out->key_json = schema_key_json(a, t, x.row.k.key, x.row.k.len);
        e = tell(&x);
    }
    buf_fini(&key);
    return e;
}
