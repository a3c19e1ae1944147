#include "tests/property/rules.h"

#include <stdlib.h>

static const char *const ranks[] = {"10", "\u1780", "late"};
static const char *const units[] = {"", "KH", "KH-1", "KH-2"};
static const uint32_t pair[] = {C_TWO, C_ONE};
static const uint32_t more[] = {C_FOUR, C_UNIQUE};

static enum policy random_policy(struct gen *g, bool fallback)
{
    static const enum policy all[] = {POLICY_LATEST, POLICY_EARLIEST, POLICY_MAX,
                                      POLICY_MIN,    POLICY_OWNER,    POLICY_NATIONAL,
                                      POLICY_LOCAL,  POLICY_RANK,     POLICY_REVIEW};
    return all[gen_below(g, sizeof all / sizeof *all - fallback)];
}

static void random_columns(struct rule_set *s, struct gen *g)
{
    for (uint32_t c = C_ONE; c < COLUMNS; c++) {
        s->policy[c] = (uint8_t)random_policy(g, false);
        s->fallback[c] = (uint8_t)random_policy(g, true);
        s->rank[c] = (struct rank_list){.n = 3, .text = ranks};
    }
    s->policy[C_SUM] = POLICY_SUM;
    if (gen_percent(g, 30))
        s->policy[C_THREE] = POLICY_SUM;
    /* The scope decides about `owner`, so it cannot be decided by it. */
    if (s->policy[C_SCOPE] == POLICY_OWNER || s->policy[C_SCOPE] == POLICY_REVIEW)
        s->policy[C_SCOPE] = POLICY_LATEST;
}

static void join(struct rule_set *s, struct cell_group *g, const char *name, const uint32_t *column)
{
    *g = (struct cell_group){.name = name, .n = 2, .column = column};
    for (uint32_t i = 0; i < g->n; i++) {
        s->group[column[i]] = g;
        s->policy[column[i]] = s->policy[column[0]];
        s->fallback[column[i]] = s->fallback[column[0]];
    }
}

static int by_site(const void *a, const void *b)
{
    const struct site_unit *x = a;
    const struct site_unit *y = b;
    return (x->site > y->site) - (x->site < y->site);
}

static void random_units(struct rule_set *s, struct gen *g, const uint64_t *site, size_t n_sites)
{
    s->units = (struct unit_list){.site = s->unit};
    for (size_t i = 0; i < n_sites; i++)
        if (gen_percent(g, 80))
            s->unit[s->units.n++] = (struct site_unit){site[i], units[gen_below(g, 4)]};
    qsort(s->unit, s->units.n, sizeof *s->unit, by_site);
}

void rules_random(struct rule_set *s, struct gen *g, const uint64_t *site, size_t n_sites)
{
    static const uint8_t plain[] = {POLICY_LATEST, POLICY_LATEST, POLICY_EARLIEST,
                                    POLICY_MAX,    POLICY_MIN,    POLICY_SUM,
                                    POLICY_LATEST, POLICY_LATEST, POLICY_LATEST};
    *s = (struct rule_set){.rules = {.n_columns = COLUMNS, .policy = plain}};
    s->rules.delete_policy = (enum delete_policy)gen_below(g, DELETE_COUNT);
    s->rules.birth_policy = (enum birth_policy)gen_below(g, BIRTH_COUNT);
    if (gen_percent(g, 25))
        return;
    random_columns(s, g);
    if (gen_percent(g, 60))
        join(s, &s->pair, "pair", pair);
    if (gen_percent(g, 40))
        join(s, &s->more, "more", more);
    random_units(s, g, site, n_sites);
    s->rules.policy = s->policy;
    s->rules.fallback = s->fallback;
    s->rules.rank = s->rank;
    s->rules.group = s->group;
    s->rules.scope = gen_percent(g, 70) ? C_SCOPE + 1 : 0;
    s->rules.units = &s->units;
}

uint32_t rules_whole_groups(const struct table_rules *rules, uint32_t mask)
{
    for (uint32_t c = 0; c < COLUMNS; c++) {
        const struct cell_group *g = cell_group_of(rules, c);
        for (uint32_t i = 0; g && mask >> c & 1 && i < g->n; i++)
            mask |= 1u << g->column[i];
    }
    return mask;
}

struct value rules_value(struct gen *g, uint32_t column, uint64_t *serial)
{
    static const char *const often[] = {"10",     "late",   "\u1780\u17b6", "\u1780\u200b\u17b6",
                                        "\u00e9", "e\u0301"};
    if (column == C_SCOPE)
        return value_text(units[gen_below(g, 4)]);
    if (gen_percent(g, 60))
        return value_integer((int64_t)gen_below(g, 8) << 32 | (int64_t)++ * serial);
    uint32_t which = gen_below(g, 8);
    return which < 6 ? value_text(often[which]) : which == 6 ? value_null() : value_integer(10);
}

struct value rules_delta(struct arena *a, struct gen *g)
{
    uint32_t p = gen_below(g, 100);
    if (p < 4)
        return value_text("seven");
    if (p < 6)
        return value_real(7.5);
    __int128 n = gen_between(g, -9, 9);
    if (p < 12)
        n *= (__int128)1 << gen_between(g, 55, 64);
    return value_wide(a, n);
}
