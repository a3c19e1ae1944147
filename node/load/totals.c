/* Columns that count up, in rows that differ: what travels is what was added, never the total. */
#include "node/load/slice.h"

enum err totals_none(struct store *s, const struct table_schema *t, const struct value *here)
{
    for (uint32_t i = 0; i < t->n_columns; i++)
        if (t->policy[i] == POLICY_SUM && here[i].type != VALUE_NULL)
            return store_fail(s, ERR_REFUSED,
                              "%.64s counts up, and no change can tell its total to an office that"
                              " has lost the row: there, tonle verify --repair --take there",
                              t->column[i]);
    return ERR_OK;
}

enum err totals_same(struct store *s, const struct table_schema *t, const struct value *here,
                     const struct value *there)
{
    for (uint32_t i = 0; i < t->n_columns; i++)
        if (t->policy[i] == POLICY_SUM && !value_equal(&here[i], &there[i]))
            return store_fail(s, ERR_REFUSED,
                              "%.64s counts up, and what was added to it is sent by that office:"
                              " there, tonle verify --repair --take here",
                              t->column[i]);
    return ERR_OK;
}
