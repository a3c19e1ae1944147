/* The charter's words about a table as conflict/ wants them: one entry a column, absent arrays
 * where nothing says anything special. */
#include "node/schema/rules.h"

#include "node/schema/own.h"

#include <assert.h>

/* The words of a charter that was read are known: charter_check has seen to it. */
static enum policy policy_said(const char *word)
{
    enum policy policy = POLICY_LATEST;
    bool known = policy_parse(word, &policy) == ERR_OK;
    assert(known);
    return policy;
}

static void fill_columns(struct arena *a, const struct table_schema *t,
                         const struct charter_table *c, struct table_rules *out)
{
    uint8_t *policy = arena_alloc(a, t->n_columns), *fallback = arena_alloc(a, t->n_columns);
    struct rank_list *rank = arena_alloc(a, t->n_columns * sizeof *rank);
    bool review = false, ranked = false;
    for (uint32_t i = 0; c && i < t->n_columns; i++) {
        const struct charter_rule *r = charter_rule_of(c, t->column[i]);
        policy[i] = (uint8_t)policy_said(r->policy);
        fallback[i] = (uint8_t)(r->fallback ? policy_said(r->fallback) : POLICY_LATEST);
        rank[i] = (struct rank_list){r->n_rank, r->rank};
        review = review || policy[i] == POLICY_REVIEW;
        ranked = ranked || r->n_rank > 0;
    }
    out->policy = policy;
    out->fallback = review ? fallback : NULL;
    out->rank = ranked ? rank : NULL;
}

static void fill_whole_row(const struct charter_table *c, struct table_rules *out)
{
    bool known = delete_policy_parse(c->delete_policy, &out->delete_policy) == ERR_OK &&
                 birth_policy_parse(c->birth, &out->birth_policy) == ERR_OK;
    assert(known);
}

/* The columns of a group that are here and can change; fewer than two make none. */
static const struct cell_group *group_here(struct arena *a, const struct table_schema *t,
                                           const struct charter_group *from)
{
    struct cell_group *g = arena_alloc(a, sizeof *g);
    uint32_t *column = arena_alloc(a, from->n_columns * sizeof *column);
    g->name = from->name;
    g->column = column;
    for (uint32_t i = 0; i < from->n_columns; i++) {
        uint32_t c = schema_column_named(t, from->columns[i]);
        if (c != UINT32_MAX && !schema_is_key(t, c))
            column[g->n++] = c;
    }
    return g->n >= 2 ? g : NULL;
}

static void fill_groups(struct arena *a, const struct table_schema *t,
                        const struct charter_table *c, struct table_rules *out)
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
                  const struct charter_table *c, struct table_rules *out)
{
    *out = (struct table_rules){.n_columns = t->n_columns, .units = &own_of(s)->units};
    fill_columns(a, t, c, out);
    if (!c)
        return;
    fill_groups(a, t, c, out);
    fill_whole_row(c, out);
    if (c->scope.column) /* UINT32_MAX + 1: a column that is not here names no unit */
        out->scope = schema_column_named(t, c->scope.column) + 1;
}
