/* Pass 4: rows whose parent does not stand are held, until nothing changes.
 *
 * The answer is the greatest fixpoint (a cycle of references stands), so whatever may come in is
 * put in first, with its own children in turn, and then what lacks a parent goes out, with its
 * children in turn. A row held here keeps its claims to unique values (pass 3 does not look at
 * parents).
 *
 * A child that means a birth which is held does not stand either, though another birth of the
 * parent's key does (store_refer.c):
 *
 *   the birth it means            the child
 *   stands                        stands
 *   is held                       is held
 */
#include "node/apply/work.h"

#include "node/db/sqlite.h"

#include <string.h>

static bool is_child(const struct work *w, const struct foreign_key *fk, const struct work_row *r)
{
    return &w->s->schema->tables[fk->child] == r->k.t;
}

static bool is_parent(const struct work *w, const struct foreign_key *fk, const struct work_row *r)
{
    return &w->s->schema->tables[fk->parent] == r->k.t;
}

static enum err collect_keys(struct work *w, sqlite3_stmt *q, const struct table_schema *t,
                             bool encoded, struct bytes **out, size_t *n)
{
    size_t cap = 0;
    bool row = true;
    enum err e = ERR_OK;
    *out = NULL;
    *n = 0;
    while (e == ERR_OK && row) {
        e = store_step(w->s, q, &row);
        if (e != ERR_OK || !row)
            break;
        *out = arena_grow(w->a, *out, *n, &cap, sizeof **out);
        if (encoded) {
            (*out)[(*n)++] = store_column_bytes(w->a, q, 0);
            continue;
        }
        struct value *key = arena_alloc(w->a, t->n_key * sizeof *key);
        for (uint32_t i = 0; i < t->n_key; i++)
            key[i] = store_column(w->a, q, (int)i);
        struct buf b = {0};
        key_encode(&b, key, t->n_key);
        (*out)[(*n)++] = (struct bytes){arena_copy(w->a, b.data, b.len), b.len};
        buf_fini(&b);
    }
    return e;
}

static enum err given(struct work *w, const struct foreign_key *fk, const struct value *v,
                      bool *yes)
{
    sqlite3_stmt *q = store_stmt(w->s, fk->parent_sql);
    if (!q)
        return ERR_SCHEMA;
    for (uint32_t i = 0; i < fk->n; i++)
        store_bind(q, (int)i + 1, &v[i]);
    enum err e = store_step(w->s, q, yes);
    if (*yes)
        sqlite3_reset(q);
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
            b->held = HOLD_NONE;
            r->in_table = b->name;
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
        struct bytes folded, *key;
        size_t n;
        if (!is_parent(w, fk, r) || !row_reference(w->a, fk, false, r->now, &v, &folded))
            continue;
        const struct table_schema *child = &w->s->schema->tables[fk->child];
        sqlite3_stmt *q =
            store_stmt(w->s, "SELECT k FROM tonle_claim WHERE t = ?1 AND idx = ?2 AND v = ?3");
        if (!q)
            return ERR_SCHEMA;
        sqlite3_bind_int64(q, 1, child->t);
        sqlite3_bind_int64(q, 2, CLAIM_REFERENCE + f);
        store_bind_blob(q, 3, folded.p, folded.len);
        e = collect_keys(w, q, child, true, &key, &n);
        for (size_t i = 0; e == ERR_OK && i < n; i++) {
            struct work_row *c = work_get(w, child, key[i].p, key[i].len);
            e = work_load(w, c);
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
            if (!r->now || !(r->fk_new || r->others_moved) || r->let_done)
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
    b->held = HOLD_PARENT;
    return work_take(w, r);
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
    if (e != ERR_OK || !parent || work_others(parent) == 0)
        return e;
    out->birth = refer_find(w->s, w->a, fk, b, &parent->row);
    out->row = parent;
    if (out->birth && out->birth->held == HOLD_NONE)
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
        bool yes = false;
        if (!is_child(w, fk, r) || !row_reference(w->a, fk, true, r->now, &v, &folded))
            continue;
        struct meant_parent meant = {0};
        e = given(w, fk, v, &yes);
        if (e == ERR_OK && yes)
            e = find_meant(w, r, fk, &meant);
        if (e == ERR_OK && (!yes || meant.birth))
            e = hold_for_parent(w, r, fk, yes ? &meant : NULL);
    }
    return e;
}

/* The keys of the rows in the table that refer to these values. */
static enum err children_of(struct work *w, const struct foreign_key *fk, const struct value *v,
                            struct bytes **key, size_t *n)
{
    sqlite3_stmt *q = store_stmt(w->s, fk->children_sql);
    if (!q)
        return ERR_SCHEMA;
    for (uint32_t i = 0; i < fk->n; i++)
        store_bind(q, (int)i + 1, &v[i]);
    return collect_keys(w, q, &w->s->schema->tables[fk->child], false, key, n);
}

/* The rows that refer to these values of r, which may not stand any more. */
static enum err check_children(struct work *w, struct work_row *r, const struct value *values)
{
    enum err e = ERR_OK;
    for (uint32_t f = 0; e == ERR_OK && values && f < w->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &w->s->schema->fks[f];
        struct value *v;
        struct bytes folded, *key;
        size_t n;
        bool yes = false;
        if (!is_parent(w, fk, r) || !row_reference(w->a, fk, false, values, &v, &folded))
            continue;
        e = given(w, fk, v, &yes);
        if (e != ERR_OK || yes)
            continue;
        const struct table_schema *child = &w->s->schema->tables[fk->child];
        e = children_of(w, fk, v, &key, &n);
        for (size_t i = 0; e == ERR_OK && i < n; i++) {
            struct work_row *c = work_get(w, child, key[i].p, key[i].len);
            e = work_load(w, c);
            if (e == ERR_OK)
                e = hold_for_parent(w, c, fk, NULL);
        }
    }
    return e;
}

enum err work_orphans(struct work *w, const struct foreign_key *fk)
{
    const struct table_schema *child = &w->s->schema->tables[fk->child];
    sqlite3_stmt *q = store_stmt(w->s, fk->orphans_sql);
    struct bytes *key;
    size_t n;
    if (!q)
        return ERR_SCHEMA;
    enum err e = collect_keys(w, q, child, false, &key, &n);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        struct work_row *c = work_get(w, child, key[i].p, key[i].len);
        e = work_load(w, c);
        c->fk_new = true;
    }
    return e;
}

/* Other births of r's key are held than before: its children are looked at again. */
static enum err look_again(struct work *w, struct work_row *r)
{
    enum err e = ERR_OK;
    for (uint32_t f = 0; e == ERR_OK && f < w->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &w->s->schema->fks[f];
        const struct table_schema *child = &w->s->schema->tables[fk->child];
        struct value *v;
        struct bytes folded, *key;
        size_t n;
        if (!fk->key_column || !is_parent(w, fk, r) ||
            !row_reference(w->a, fk, false, r->now, &v, &folded))
            continue;
        e = children_of(w, fk, v, &key, &n);
        for (size_t i = 0; e == ERR_OK && i < n; i++) {
            struct work_row *c = work_get(w, child, key[i].p, key[i].len);
            e = work_load(w, c);
            c->fk_new = true;
        }
    }
    return e;
}

enum err work_parents(struct work *w)
{
    if (w->s->schema->n_fks == 0)
        return ERR_OK;
    enum err e = ERR_OK;
    for (size_t i = 0; i < w->n; i++)
        w->row[i]->others_moved |= w->row[i]->loaded && work_others(w->row[i]) != w->row[i]->others;
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
    bool more = true;
    while (e == ERR_OK && more) {
        more = false;
        for (size_t i = 0; e == ERR_OK && i < w->n; i++) {
            struct work_row *r = w->row[i];
            if (r->fk_new) {
                r->fk_new = false;
                more = true;
                e = check_parents(w, r);
            }
            if (e == ERR_OK && r->fk_gone) {
                r->fk_gone = false;
                more = true;
                e = check_children(w, r, r->before);
                if (e == ERR_OK &&
                    r->taken != r->before) /* it came and went: others may have relied on it */
                    e = check_children(w, r, r->taken);
            }
        }
    }
    return e;
}
