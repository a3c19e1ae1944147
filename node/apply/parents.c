/* Pass 4: rows whose parent does not stand are held, until nothing changes.
 *
 * The answer is the greatest fixpoint (a cycle of references stands), so whatever may come in is
 * put in first, with its own children in turn, and then what lacks a parent goes out, with its
 * children in turn. A row held here keeps its claims to unique values (pass 3 does not look at
 * parents).
 *
 * A child that means a birth which is held does not stand either, though another birth of the
 * parent's key does (record/refer.c):
 *
 *   the birth it means            the child
 *   stands                        stands
 *   is held                       is held, but while it is as it was born: stands where a twin of
 *                                 its own means a parent that stands
 */
#include "node/apply/work.h"

#include "conflict/twin.h"
#include "node/db/query.h"

#include <string.h>

static bool is_child(const struct work *w, const struct foreign_key *fk, const struct work_row *r)
{
    return &w->s->schema->tables[fk->child] == r->k.t;
}

static bool is_parent(const struct work *w, const struct foreign_key *fk, const struct work_row *r)
{
    return &w->s->schema->tables[fk->parent] == r->k.t;
}

struct giver {
    bool yes;
    bool unsealed; /* by a row that is captured and not sealed yet: it may still come to nothing */
};

/* Whether the values v are given by a row in the parent's table. */
static enum err find_giver(struct work *w, const struct foreign_key *fk, const struct value *v,
                           struct giver *out)
{
    const struct table_schema *t = &w->s->schema->tables[fk->parent];
    struct bytes key = {0};
    struct query q = query_of(w->s, fk->parent_sql, fk->n, v);
    *out = (struct giver){.yes = query_next(&q)};
    if (out->yes && w->part)
        key = work_key_at(w, &q, t);
    enum err e = query_end(&q);
    return e == ERR_OK && key.p ? work_captured(w, t, key, &out->unsealed) : e;
}

/* The keys that a query finds in the child's table. */
static enum err child_keys(struct work *w, const struct foreign_key *fk, struct query q,
                           struct work_keys *out)
{
    *out = (struct work_keys){0};
    while (query_next(&q))
        work_keys_add(w->a, out, work_key_at(w, &q, &w->s->schema->tables[fk->child]));
    return query_end(&q);
}

static enum err load_child(struct work *w, const struct foreign_key *fk, struct bytes key,
                           struct work_row **out)
{
    *out = work_get(w, &w->s->schema->tables[fk->child], key.p, key.len);
    return work_load(w, *out);
}

/* Pass 4 looks at these rows of the child's table. */
static enum err queue_children(struct work *w, const struct foreign_key *fk,
                               const struct work_keys *list)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < list->n; i++) {
        struct work_row *c;
        e = load_child(w, fk, list->key[i], &c);
        c->fk_new = true;
    }
    return e;
}

/* ---- coming in ---- */

static enum err let_in(struct work *w, struct work_row *r)
{
    bool unsealed = false; /* its key was written here since: decided when that is sealed */
    enum err seen = work_unsealed(w, r, &unsealed);
    if (seen != ERR_OK || unsealed)
        return seen;
    for (uint32_t i = 0; i < r->row.n_births; i++) {
        struct birth *b = &r->row.births[i];
        if (b->held != HOLD_PARENT || r->now)
            continue;
        enum row_put result;
        char *message = NULL;
        enum err e = work_put(w, r, b, &result, &message);
        if (e != ERR_OK)
            return e;
        if (result == PUT_OK) {
            work_hold(b, HOLD_NONE);
            r->in_table = b->name;
        } else if (result == PUT_LOCAL) { /* its parent is here: it is this office that refuses */
            work_hold(b, HOLD_LOCAL);
            r->message[0] = message;
            r->touched = true;
        } else
            r->message[1] = message;
        return ERR_OK;
    }
    return ERR_OK;
}

/* The rows that were held because this row was not there. */
static enum err let_children_in(struct work *w, struct work_row *r)
{
    enum err e = ERR_OK;
    for (uint32_t f = 0; e == ERR_OK && f < w->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &w->s->schema->fks[f];
        struct value *v;
        struct bytes folded;
        struct work_keys waiting;
        if (!is_parent(w, fk, r) || !row_reference(w->a, fk, false, r->now, &v, &folded))
            continue;
        e = work_claimants(w, &w->s->schema->tables[fk->child], CLAIM_REFERENCE + f, folded,
                           &waiting);
        for (size_t i = 0; e == ERR_OK && i < waiting.n; i++) {
            struct work_row *c;
            e = load_child(w, fk, waiting.key[i], &c);
            if (e == ERR_OK)
                e = let_in(w, c);
        }
    }
    return e;
}

static enum err come_in(struct work *w)
{
    enum err e = ERR_OK;
    bool more = row_any_claims(w->s);
    while (e == ERR_OK &&
           more) { /* a row let in may stand before the one that let it in: go round */
        more = false;
        for (size_t i = 0; e == ERR_OK && i < w->n; i++) {
            struct work_row *r = w->row[i];
            if (!r->now || !r->fk_new || r->let_done)
                continue;
            r->let_done = more = true;
            e = let_children_in(w, r);
        }
    }
    return e;
}

/* ---- going out ---- */

struct meant_parent { /* the held birth that a child means */
    struct work_row *row;
    const struct birth *birth;
};

/* `meant`: of another birth that is held; NULL: nobody stands. */
static enum err hold_for_parent(struct work *w, struct work_row *r, const struct foreign_key *fk,
                                const struct meant_parent *meant)
{
    struct birth *b = row_standing(&r->row, &r->k.t->rules);
    bool unsealed = false;
    enum err e = work_unsealed(w, r, &unsealed);
    if (e != ERR_OK || unsealed || !b || !r->now)
        return e;
    struct value *v;
    struct bytes folded;
    if (meant)
        e = held_for_birth(w, r, meant->row, meant->birth);
    else if (row_reference(w->a, fk, true, r->now, &v, &folded))
        e = held_for_parent(w, r, fk, v);
    if (e != ERR_OK)
        return e;
    b->values = r->taken = r->now;
    work_hold(b, HOLD_PARENT);
    return work_take(w, r);
}

static bool is_held(const struct birth *b)
{
    return b && b->held != HOLD_NONE;
}

/* Two offices entered the same child of parents that are not the same: it belongs to either. */
static bool twin_means_standing(struct work *w, const struct work_row *r,
                                const struct foreign_key *fk, const struct birth *b,
                                const struct work_row *parent)
{
    const struct birth **twin_of = b->touched ? NULL : row_twins(w->a, &r->row, &r->k.t->rules);
    for (uint32_t i = 0; twin_of && i < r->row.n_births; i++)
        if (twin_of[i] == b &&
            !is_held(refer_find(w->s, w->a, fk, &r->row.births[i], &parent->row)))
            return true;
    return false;
}

/* Somebody stands at the parent's key: whether the child means another birth, which is held. Hardly
 * any key has one. */
static enum err find_meant(struct work *w, struct work_row *r, const struct foreign_key *fk,
                           struct meant_parent *out)
{
    struct row_key k;
    const struct birth *b = row_standing(&r->row, &r->k.t->rules);
    *out = (struct meant_parent){0};
    if (!b || !fk->key_column ||
        !refer_key(w->a, fk, &w->s->schema->tables[fk->parent], r->now, &k))
        return ERR_OK;
    struct work_row *parent = work_find(w, k.t, k.key, k.len);
    if (!parent && claims_may_hold(w->s, k))
        parent = work_get(w, k.t, k.key, k.len);
    enum err e = parent ? work_load(w, parent) : ERR_OK;
    if (e != ERR_OK || !parent || work_others(w, parent) == 0)
        return e;
    out->birth = refer_find(w->s, w->a, fk, b, &parent->row);
    out->row = parent;
    if (!is_held(out->birth) || twin_means_standing(w, r, fk, b, parent))
        out->birth = NULL;
    return e;
}

static enum err check_parents(struct work *w, struct work_row *r)
{
    enum err e = ERR_OK;
    for (uint32_t f = 0; e == ERR_OK && r->now && f < w->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &w->s->schema->fks[f];
        struct value *v;
        struct bytes folded;
        struct giver giver;
        if (!is_child(w, fk, r) || !row_reference(w->a, fk, true, r->now, &v, &folded))
            continue;
        struct meant_parent meant = {0};
        e = find_giver(w, fk, v, &giver);
        if (e == ERR_OK && giver.yes)
            e = find_meant(w, r, fk, &meant);
        if (e == ERR_OK && (!giver.yes || meant.birth))
            e = hold_for_parent(w, r, fk, giver.yes ? &meant : NULL);
        else if (e == ERR_OK && giver.unsealed)
            e = again_for_parent(w->s, r->k);
    }
    return e;
}

/* The keys of the rows in the table that refer to these values. */
static enum err children_of(struct work *w, const struct foreign_key *fk, const struct value *v,
                            struct work_keys *out)
{
    return child_keys(w, fk, query_of(w->s, fk->children_sql, fk->n, v), out);
}

/* The rows that refer to the values v, which a row does not give any more. */
static enum err check_referring(struct work *w, const struct foreign_key *fk, const struct value *v)
{
    struct giver giver;
    struct work_keys children;
    enum err e = find_giver(w, fk, v, &giver);
    if (e != ERR_OK || (giver.yes && !giver.unsealed))
        return e;
    e = children_of(w, fk, v, &children);
    for (size_t i = 0; e == ERR_OK && i < children.n; i++) {
        struct work_row *c;
        e = load_child(w, fk, children.key[i], &c);
        if (e == ERR_OK)
            e = giver.yes ? again_for_parent(w->s, c->k) : hold_for_parent(w, c, fk, NULL);
    }
    return e;
}

/* The rows that refer to these values of r, which may not stand any more. */
static enum err check_children(struct work *w, struct work_row *r, const struct value *values)
{
    enum err e = ERR_OK;
    if (!values || values == r->now)
        return ERR_OK;
    for (uint32_t f = 0; e == ERR_OK && f < w->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &w->s->schema->fks[f];
        struct value *v;
        struct bytes folded;
        if (is_parent(w, fk, r) && row_reference(w->a, fk, false, values, &v, &folded))
            e = check_referring(w, fk, v);
    }
    return e;
}

enum err work_orphans(struct work *w, const struct foreign_key *fk)
{
    struct work_keys orphans;
    enum err e = child_keys(w, fk, query_of(w->s, fk->orphans_sql, 0, NULL), &orphans);
    return e == ERR_OK ? queue_children(w, fk, &orphans) : e;
}

/* Other births of r's key are held than before: its children are looked at again. */
static enum err look_again(struct work *w, struct work_row *r)
{
    enum err e = ERR_OK;
    for (uint32_t f = 0; e == ERR_OK && f < w->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &w->s->schema->fks[f];
        struct value *v;
        struct bytes folded;
        struct work_keys children;
        if (!fk->key_column || !is_parent(w, fk, r) ||
            !row_reference(w->a, fk, false, r->now, &v, &folded))
            continue;
        e = children_of(w, fk, v, &children);
        if (e == ERR_OK)
            e = queue_children(w, fk, &children);
    }
    return e;
}

/* What became queued: the row itself, which may lack a parent, and the rows that relied on it. */
static enum err check_queued(struct work *w, struct work_row *r, bool *any)
{
    enum err e = ERR_OK;
    *any = *any || r->fk_new || r->fk_gone;
    if (r->fk_new) {
        r->fk_new = false;
        e = check_parents(w, r);
    }
    if (e == ERR_OK && r->fk_gone) {
        r->fk_gone = false;
        e = check_children(w, r, r->before);
        if (e == ERR_OK &&
            r->taken != r->before) /* it came and went: others may have relied on it */
            e = check_children(w, r, r->taken);
    }
    return e;
}

enum err work_parents(struct work *w)
{
    if (w->s->schema->n_fks == 0)
        return ERR_OK;
    enum err e = ERR_OK;
    for (size_t i = 0; i < w->n; i++)
        w->row[i]->others_moved |=
            w->row[i]->loaded && work_others(w, w->row[i]) != w->row[i]->others;
    for (size_t i = 0; e == ERR_OK && i < w->n; i++) {
        if (w->row[i]->retry)
            e = let_in(w, w->row[i]);
    }
    if (e == ERR_OK)
        e = come_in(w);
    for (uint32_t f = 0; e == ERR_OK && f < w->s->schema->n_fks; f++) {
        if (w->seek_orphans[f])
            e = work_orphans(w, &w->s->schema->fks[f]);
    }
    for (size_t i = 0; e == ERR_OK && i < w->n; i++) {
        if (w->row[i]->others_moved && w->row[i]->now)
            e = look_again(w, w->row[i]);
    }
    for (bool more = true; e == ERR_OK && more;) {
        more = false;
        for (size_t i = 0; e == ERR_OK && i < w->n; i++)
            e = check_queued(w, w->row[i], &more);
    }
    return e;
}
