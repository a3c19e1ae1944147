/* Whom a change meant that names nobody, where rows may have been entered while capture was away
 * (struct model_meant). */
#include "tests/sim/model.h"

#include "node/state/state.h"

uint64_t model_row_hash(uint32_t t, const void *key, size_t len)
{
    return bytes_hash(bytes_hash(VALUE_HASH_SEED, &t, sizeof t), key, len);
}

/* Whether the writer told that the birth was held when its application wrote: then what it wrote
 * went into another row. */
static bool was_held(const struct model_meant *l, const struct change *ch, uint64_t row,
                     uint64_t written)
{
    bool held = false;
    uint64_t last = 0;
    for (size_t i = 0; i < l->n_told; i++) {
        const struct model_told *x = &l->told[i];
        if (x->site != ch->dot.site || x->after >= written || x->after < last)
            continue;
        held = x->after == last && held;
        last = x->after;
        held = held || (x->row == row && (dot_equal(x->birth, ch->birth) || dot_is_none(x->birth)));
    }
    return held;
}

static const struct model_unnamed *told_of(const struct model *m, const struct change *ch,
                                           uint64_t row)
{
    const struct model_meant *l = m->meant;
    for (size_t i = 0; l && i < l->n; i++)
        if (dot_equal(l->at[i].dot, ch->dot) && l->at[i].row == row)
            return &l->at[i];
    return NULL;
}

/* A comparison publishes with the context of its gap's beginning what was done to the row that
 * stands now: so whom it means its writer's whole journal tells, and not its context. */
void model_resolve_told(const struct model *m, struct model_row *r, const struct table_schema *t)
{
    struct change *ch = &r->change[r->n - 1].ch;
    if (!m->meant || ch->kind == CHANGE_BORN || !dot_is_none(ch->birth))
        return;
    const struct model_unnamed *told = told_of(m, ch, model_row_hash(t->t, r->key, r->len));
    if (told)
        ch->birth = told->birth;
    else if (ch->dot.site == m->site)
        ch->birth = model_meant_by(m, r, t, NULL);
}

/* What the writer alone has: others have nobody under this key, or a birth with a name; or they
 * have one that has lost its name, and that did not stand at the writer's. */
bool model_is_nobodys(const struct model *m, struct store *s, const struct model_row *r,
                      const struct table_changes *tc, const struct row_change *rc,
                      const struct change *ch)
{
    struct model_meant *l = m->meant;
    if (!l || rc->kind == CHANGE_BORN || !dot_is_none(rc->birth))
        return false;
    uint64_t row = model_row_hash(s->schema->tables[r->table].t, r->key, r->len);
    const struct model_unnamed *told = told_of(m, ch, row);
    if (told)
        return told->nobody;
    bool nobody = dot_is_none(ch->birth);
    if (ch->dot.site == m->site) {
        nobody = nobody || !clock_covers(&store_state_get(s)->stable, ch->birth) ||
                 was_held(l, ch, row, stray_captured(s, tc, rc));
        l->at = mem_grow(l->at, l->n, &l->cap, sizeof *l->at);
        l->at[l->n++] = (struct model_unnamed){ch->dot, row, ch->birth, nobody};
    }
    return nobody;
}

/* ---- whom an office told to be held ---- */

void model_told_begin(struct model_meant *l, uint64_t site, uint64_t after)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->n_told; i++)
        if (l->told[i].site != site || l->told[i].after < after) /* not what was rolled back */
            l->told[kept++] = l->told[i];
    l->n_told = kept;
}

void model_told_add(struct model_meant *l, const struct model_told *told)
{
    l->told = mem_grow(l->told, l->n_told, &l->cap_told, sizeof *l->told);
    l->told[l->n_told++] = *told;
}
