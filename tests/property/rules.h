/* rules.h - random rules of one small table: every policy, groups of columns, sums, delete and
 * birth policies, units; and random values for its columns. */
#ifndef TESTS_PROPERTY_RULES_H
#define TESTS_PROPERTY_RULES_H

#include "conflict/policy.h"
#include "tests/property/gen.h"

enum { C_KEY, C_ONE, C_TWO, C_THREE, C_FOUR, C_SUM, C_UNIQUE, C_PARENT, C_SCOPE, COLUMNS };
#define SITES_MAX 8

struct rule_set {
    struct table_rules rules; /* points into the rest: not to be copied */
    uint8_t policy[COLUMNS];
    uint8_t fallback[COLUMNS];
    struct rank_list rank[COLUMNS];
    struct cell_group pair; /* C_TWO, C_ONE */
    struct cell_group more; /* C_FOUR, C_UNIQUE */
    const struct cell_group *group[COLUMNS];
    struct site_unit unit[SITES_MAX];
    struct unit_list units;
};

/* Every fourth has nothing but single columns of the plain policies, as rules begin with {0}. The
 * sites need not be sorted; some are left without a unit. */
void rules_random(struct rule_set *s, struct gen *g, const uint64_t *site, size_t n_sites);

/* `mask` of columns with every group that it touches made whole. */
uint32_t rules_whole_groups(const struct table_rules *rules, uint32_t mask);

/* A value as an application writes it; `serial` makes most of them unlike any other, the others
 * come from a few that meet often, some of them alike but not equal. */
struct value rules_value(struct gen *g, uint32_t column, uint64_t *serial);

/* What a changeset carries of a sum that an application changed: a delta, sometimes a huge one, or
 * what is no integer. */
struct value rules_delta(struct arena *a, struct gen *g);

#endif
