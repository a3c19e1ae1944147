/* DESIGN 4, "Policies", word by word. */
#include "tests/sim/model.h"

#include <stdio.h>
#include <string.h>

int model_order(uint64_t hlc_a, struct dot a, uint64_t hlc_b, struct dot b)
{
    if (hlc_a != hlc_b)
        return hlc_a < hlc_b ? -1 : 1;
    if (a.site != b.site)
        return a.site < b.site ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}

static const char *unit(const struct model *m, uint64_t site)
{
    for (size_t i = 0; m->units && i < m->units->n; i++) {
        if (m->units->site[i].site == site)
            return m->units->site[i].unit;
    }
    return NULL;
}

/* How near the unit is to the scope: the longer the better; -1: it does not cover it. */
static int owns(const char *u, const struct value *scope)
{
    size_t n = u ? strlen(u) : 0;
    if (!u ||
        (n > 0 && (scope->type != VALUE_TEXT || scope->len < n || memcmp(scope->u.p, u, n) != 0)))
        return -1;
    return (int)n;
}

static int place_in_list(const struct rank_list *list, const struct value *v)
{
    char text[32] = "";
    size_t n = 0;
    if (v->type == VALUE_INTEGER)
        n = (size_t)snprintf(text, sizeof text, "%lld", (long long)v->u.i);
    else if (v->type != VALUE_TEXT)
        return -1;
    const void *p = v->type == VALUE_TEXT ? v->u.p : text;
    n = v->type == VALUE_TEXT ? v->len : n;
    for (uint32_t i = 0; i < list->n; i++) {
        if (strlen(list->text[i]) == n && memcmp(list->text[i], p, n) == 0)
            return (int)i;
    }
    return -1;
}

static int by_value(const struct model_version *a, const struct model_version *b, uint32_t width)
{
    int c = 0;
    for (uint32_t i = 0; c == 0 && i < width; i++)
        c = value_compare(&a->value[i], &b->value[i]);
    return c;
}

/* Above 0: `a` comes before `b`, whatever their times. */
static int prefer(const struct model *m, enum policy p, const struct rank_list *list,
                  const struct value *scope, const struct model_version *a,
                  const struct model_version *b, uint32_t width)
{
    const char *ua = unit(m, a->dot.site), *ub = unit(m, b->dot.site);
    switch (p) {
    case POLICY_EARLIEST:
        return model_order(b->hlc, b->dot, a->hlc, a->dot);
    case POLICY_MAX:
        return by_value(a, b, width);
    case POLICY_MIN:
        return by_value(b, a, width);
    case POLICY_OWNER:
        return owns(ua, scope) - owns(ub, scope);
    case POLICY_NATIONAL:
        return (ub ? (int)strlen(ub) : 1000) - (ua ? (int)strlen(ua) : 1000);
    case POLICY_LOCAL:
        return (ua ? (int)strlen(ua) : -1) - (ub ? (int)strlen(ub) : -1);
    case POLICY_RANK:
        return place_in_list(list, &a->value[0]) - place_in_list(list, &b->value[0]);
    default:
        return 0;
    }
}

uint32_t model_choose(const struct model *m, const struct table_rules *rules,
                      const struct model_cell *c, const struct value *scope)
{
    enum policy p = POLICY_MAX; /* of existence: delete-wins is min, the others max */
    const struct rank_list *list = NULL;
    uint32_t best = 0;
    if (c->column == COLUMN_EXISTS && rules->delete_policy == DELETE_DELETE_WINS)
        p = POLICY_MIN;
    if (c->column != COLUMN_EXISTS) {
        p = rules->policy[c->column];
        list = rules->rank ? &rules->rank[c->column] : NULL;
        if (p == POLICY_REVIEW)
            p = rules->fallback ? rules->fallback[c->column] : POLICY_LATEST;
    }
    for (uint32_t i = 1; i < c->n; i++) {
        const struct model_version *a = &c->v[i], *b = &c->v[best];
        int order = prefer(m, p, list, scope, a, b, c->width);
        if (order > 0 || (order == 0 && model_order(a->hlc, a->dot, b->hlc, b->dot) > 0))
            best = i;
    }
    return best;
}
