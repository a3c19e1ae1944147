/* Who wins among siblings:
 *
 *   policy     winner                    among equal values
 *   latest     highest (hlc, site, seq)  -
 *   earliest   lowest (hlc, site, seq)   -
 *   max        highest value             highest (hlc, site, seq)
 *   min        lowest value              highest (hlc, site, seq)
 *
 *   cell                          policy
 *   a replicated column           the charter's
 *   existence, update-wins        max (alive = 1 is above dead = 0)
 *
 * (hlc, site, seq) is total because no two versions of a cell share a dot, so every row of the
 * table has exactly one winner whatever the order of the versions.
 */
#include "conflict/policy.h"

#include <string.h>

static const char *const name_of[POLICY_COUNT] = {
    [POLICY_LATEST] = "latest",
    [POLICY_EARLIEST] = "earliest",
    [POLICY_MAX] = "max",
    [POLICY_MIN] = "min",
};

int version_order(const struct version *a, const struct version *b)
{
    if (a->hlc != b->hlc)
        return a->hlc < b->hlc ? -1 : 1;
    return dot_compare(a->dot, b->dot);
}

static bool beats(enum policy p, const struct version *a, const struct version *b)
{
    int time = version_order(a, b);
    int value = p == POLICY_MAX || p == POLICY_MIN ? value_compare(&a->value, &b->value) : 0;
    if (value)
        return p == POLICY_MAX ? value > 0 : value < 0;
    return p == POLICY_EARLIEST ? time < 0 : time > 0;
}

size_t policy_choose(enum policy p, const struct version *v, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (beats(p, &v[i], &v[best]))
            best = i;
    return best;
}

enum policy policy_of(const struct table_rules *rules, uint32_t column)
{
    if (column == COLUMN_EXISTS)
        return POLICY_MAX;
    return column < rules->n_columns ? (enum policy)rules->policy[column] : POLICY_LATEST;
}

const char *policy_name(enum policy p)
{
    return (unsigned)p < POLICY_COUNT ? name_of[p] : "unknown";
}

enum err policy_parse(const char *name, enum policy *p)
{
    for (int i = 0; i < POLICY_COUNT; i++) {
        if (strcmp(name, name_of[i]) == 0) {
            *p = (enum policy)i;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}
