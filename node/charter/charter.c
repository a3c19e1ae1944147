/* What a charter says of one table, one column, one group. */
#include "node/charter/charter.h"

#include "node/charter/check.h"

#include <string.h>
#include <strings.h>

bool charter_same_name(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

const struct charter_table *charter_table_named(const struct charter *c, const char *name)
{
    for (unsigned i = 0; c && i < c->n_tables; i++)
        if (charter_same_name(c->tables[i].name, name))
            return &c->tables[i];
    return NULL;
}

const struct charter_column *charter_column_named(const struct charter_table *t, const char *name)
{
    for (unsigned i = 0; i < t->n_columns; i++)
        if (charter_same_name(t->columns[i].name, name))
            return &t->columns[i];
    return NULL;
}

const struct charter_group *charter_group_of(const struct charter_table *t, const char *column)
{
    for (unsigned g = 0; g < t->n_groups; g++)
        for (unsigned i = 0; i < t->groups[g].n_columns; i++)
            if (charter_same_name(t->groups[g].columns[i], column))
                return &t->groups[g];
    return NULL;
}

const struct charter_rule *charter_rule_of(const struct charter_table *t, const char *column)
{
    const struct charter_group *g = charter_group_of(t, column);
    const struct charter_column *c = g ? NULL : charter_column_named(t, column);
    return g ? &g->rule : c ? &c->rule : &t->rule;
}

bool charter_keys_blocks(const struct charter_table *t)
{
    return t->keys && strcmp(t->keys, "blocks") == 0;
}

struct block_plan charter_block_plan(const struct charter *c)
{
    return (struct block_plan){(uint32_t)c->key_blocks.count, (uint32_t)c->key_blocks.size};
}

const char *charter_table_policy(const struct charter *c, const struct charter_table *t)
{
    if (t->rule.policy)
        return t->rule.policy;
    return c->defaults.policy ? c->defaults.policy : "latest";
}

/* ---- what is left out */

static void fill_word(const char **word, const char *inherited, const char *otherwise)
{
    if (!*word)
        *word = inherited ? inherited : otherwise;
}

static void fill_rule(struct charter_rule *r, const struct charter_rule *table)
{
    fill_word(&r->policy, table->policy, NULL);
    fill_word(&r->fallback, table->fallback, "latest");
    if (strcmp(r->policy, "review") != 0)
        r->fallback = NULL;
    if (r->n_rank == 0) {
        r->rank = table->rank;
        r->n_rank = table->n_rank;
    }
}

void charter_fill(struct charter *c)
{
    fill_word(&c->review_by, NULL, "owner");
    if (c->key_blocks.count == 0)
        c->key_blocks.count = BLOCK_COUNT_DEFAULT;
    if (c->key_blocks.size == 0)
        c->key_blocks.size = BLOCK_SIZE_DEFAULT;
    for (unsigned i = 0; i < c->n_tables; i++) {
        struct charter_table *t = &c->tables[i];
        const struct charter_rule given = {.policy = charter_table_policy(c, t)};
        fill_word(&t->read, NULL, "above");
        fill_word(&t->write, c->defaults.write, "any");
        fill_word(&t->delete_policy, c->defaults.delete_policy, "update-wins");
        fill_word(&t->birth, c->defaults.birth, "first");
        fill_rule(&t->rule, &given);
        for (unsigned k = 0; k < t->n_columns; k++)
            fill_rule(&t->columns[k].rule, &t->rule);
        for (unsigned k = 0; k < t->n_groups; k++)
            fill_rule(&t->groups[k].rule, &t->rule);
    }
}
