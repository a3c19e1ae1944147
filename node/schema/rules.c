/* The charter's words about a table as conflict/ wants them: one entry a column, absent arrays
 * where nothing says anything special. */
#include "node/schema/rules.h"

#include "node/db/sqlite.h"
#include "node/schema/own.h"

static bool is_key(const struct table_schema *t, uint32_t column)
{
    for (uint32_t i = 0; i < t->n_key; i++) {
        if (t->key[i] == column)
            return true;
    }
    return false;
}

static uint32_t column_named(const struct table_schema *t, const char *name)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (sqlite3_stricmp(t->column[i], name) == 0)
            return i;
    }
    return UINT32_MAX;
}

static void fill_columns(struct arena *a, const struct table_schema *t,
                         const struct table_charter *c, struct table_rules *out)
{
    uint8_t *policy = arena_alloc(a, t->n_columns), *fallback = arena_alloc(a, t->n_columns);
    struct rank_list *rank = arena_alloc(a, t->n_columns * sizeof *rank);
    bool review = false, ranked = false;
    for (uint32_t i = 0; c && i < t->n_columns; i++) {
        const struct column_rule *r = charter_rule(c, t->column[i]);
        policy[i] = (uint8_t)r->policy;
        fallback[i] = (uint8_t)r->fallback;
        rank[i] = r->rank;
        review = review || r->policy == POLICY_REVIEW;
        ranked = ranked || r->rank.n > 0;
    }
    out->policy = policy;
    out->fallback = review ? fallback : NULL;
    out->rank = ranked ? rank : NULL;
}

/* The columns of a group that are here and can change; fewer than two make none. */
static const struct cell_group *group_here(struct arena *a, const struct table_schema *t,
                                           const struct charter_cells *from)
{
    struct cell_group *g = arena_alloc(a, sizeof *g);
    uint32_t *column = arena_alloc(a, from->n * sizeof *column);
    g->name = from->name;
    g->column = column;
    for (uint32_t i = 0; i < from->n; i++) {
        uint32_t c = column_named(t, from->column[i]);
        if (c != UINT32_MAX && !is_key(t, c))
            column[g->n++] = c;
    }
    return g->n >= 2 ? g : NULL;
}

static void fill_groups(struct arena *a, const struct table_schema *t,
                        const struct table_charter *c, struct table_rules *out)
{
    if (c->n_groups == 0)
        return;
    const struct cell_group **group = arena_alloc(a, t->n_columns * sizeof *group);
    for (uint32_t i = 0; i < c->n_groups; i++) {
        const struct cell_group *g = group_here(a, t, &c->groups[i]);
        for (uint32_t k = 0; g && k < g->n; k++)
            group[g->column[k]] = g;
    }
    out->group = group;
}

void schema_rules(struct store *s, struct arena *a, const struct table_schema *t,
                  const struct table_charter *c, struct table_rules *out)
{
    *out = (struct table_rules){.n_columns = t->n_columns, .units = &own_of(s)->units};
    fill_columns(a, t, c, out);
    if (!c)
        return;
    fill_groups(a, t, c, out);
    out->delete_policy = c->delete_policy;
    out->birth_policy = c->birth_policy;
    if (c->scope) /* UINT32_MAX + 1: a column that is not here names no unit */
        out->scope = column_named(t, c->scope) + 1;
}
