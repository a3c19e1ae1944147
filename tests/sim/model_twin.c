/* DESIGN 4, "Equal births", word by word: by the values that the changesets carry, over all births
 * ever made, as somebody sees them who knows what `seen` covers. */
#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>

static const struct clock *context_of(const struct model *m, const struct model_change *c)
{
    return &m->changeset[c->changeset].context;
}

static bool born_equal(const struct model_change *x, const struct model_change *y,
                       const struct table_rules *rules)
{
    for (uint32_t i = 0; i < x->ch.n_cells; i++) {
        uint32_t k = 0;
        while (k < y->ch.n_cells && y->ch.column[k] != x->ch.column[i])
            k++;
        if (k == y->ch.n_cells || !value_equal(&x->ch.value[i], &y->ch.value[k]))
            return false;
        if (rules->policy[x->ch.column[i]] == POLICY_SUM &&
            !(value_is_count(&x->ch.value[i]) && value_count(&x->ch.value[i]) == 0))
            return false;
    }
    return x->ch.n_cells == y->ch.n_cells;
}

static bool is_touched(const struct model_row *r, struct dot birth, const struct clock *seen)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct change *ch = &r->change[i].ch;
        if (ch->kind != CHANGE_BORN && dot_equal(ch->birth, birth) &&
            (!seen || clock_covers(seen, ch->dot)))
            return true;
    }
    return false;
}

static int by_age(const void *p, const void *q)
{
    const struct model_kin *x = p, *y = q;
    return model_order(x->born->ch.hlc, x->born->ch.dot, y->born->ch.hlc, y->born->ch.dot);
}

static bool have_met(const struct model *m, const struct model_kin *x, const struct model_kin *y)
{
    return clock_covers(context_of(m, x->born), y->born->ch.dot) ||
           clock_covers(context_of(m, y->born), x->born->ch.dot);
}

static void find_twin(const struct model *m, const struct table_rules *rules, struct model_kin *kin,
                      uint32_t n, uint32_t at)
{
    struct model_kin *b = &kin[at];
    for (int touched = 1; touched >= 0; touched--) {
        for (uint32_t i = 0; i < n && b->alive && !b->touched && !b->twin_of; i++) {
            const struct model_kin *x = &kin[i];
            if (x->alive && x->touched == touched && !x->twin_of && (touched || i < at) &&
                born_equal(x->born, b->born, rules) && !have_met(m, x, b))
                b->twin_of = x->born;
        }
    }
}

uint32_t model_kinship(const struct model *m, const struct model_row *r, struct arena *a,
                       const struct table_rules *rules, const struct clock *seen,
                       struct model_kin **out)
{
    struct model_kin *kin = arena_alloc(a, (r->n + 1) * sizeof *kin);
    uint32_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct change *ch = &r->change[i].ch;
        if (ch->kind == CHANGE_BORN && (!seen || clock_covers(seen, ch->dot)))
            kin[n++] = (struct model_kin){.born = &r->change[i]};
    }
    if (n > 1)
        qsort(kin, n, sizeof *kin, by_age);
    for (uint32_t i = 0; n > 1 && i < n; i++) {
        kin[i].alive = model_lives(m, r, a, rules, kin[i].born->ch.dot, seen);
        kin[i].touched = is_touched(r, kin[i].born->ch.dot, seen);
    }
    for (uint32_t i = 0; n > 1 && i < n; i++)
        find_twin(m, rules, kin, n, i);
    *out = kin;
    return n;
}
