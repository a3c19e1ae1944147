/* The children of a held birth go with it to its new key: what they refer by is written anew in the
 * same changeset, and so names the birth there. Only those that this office knows; one that is
 * still under way belongs to whoever stands at the old key when it comes.
 *
 * They are among the rows whose record has references, and the rows held for this key: one that
 * stands and names nobody means who stands. */
#include "node/desk/review.h"

#include "node/db/sqlite.h"

#include <string.h>

struct key_list {
    struct bytes *key;
    size_t n, cap;
};

static enum err candidates(const struct reviewed *r, uint32_t f, const struct value *old,
                           struct key_list *out)
{
    const struct foreign_key *fk = &r->s->schema->fks[f];
    const uint8_t format = ROW_HAS_REFERENCES;
    struct value *v;
    struct bytes folded;
    if (!row_reference(r->a, fk, false, old, &v, &folded))
        return ERR_OK;
    sqlite3_stmt *q = store_stmt(
        r->s, "SELECT k FROM tonle_row WHERE swept IN (0, 1) AND t = ?1 AND substr(rec, 1, 1) = ?2"
              " UNION SELECT k FROM tonle_claim WHERE t = ?1 AND idx = ?3 AND v = ?4");
    if (!q)
        return part_stmt_error(r->s);
    sqlite3_bind_int64(q, 1, r->s->schema->tables[fk->child].t);
    store_bind_blob(q, 2, &format, 1);
    sqlite3_bind_int64(q, 3, CLAIM_REFERENCE + f);
    store_bind_blob(q, 4, folded.p, folded.len);
    enum err e = ERR_OK;
    for (bool row = true; e == ERR_OK && row;) {
        e = store_step(r->s, q, &row);
        if (e != ERR_OK || !row)
            break;
        out->key = arena_grow(r->a, out->key, out->n, &out->cap, sizeof *out->key);
        out->key[out->n++] = store_column_bytes(r->a, q, 0);
    }
    return e;
}

static bool belongs(const struct reviewed *r, const struct birth *b, const struct foreign_key *fk,
                    const struct birth *child, const struct value *values)
{
    struct row_key k;
    if (!refer_key(r->a, fk, r->k.t, values, &k) || k.len != r->k.len ||
        memcmp(k.key, r->k.key, k.len) != 0)
        return false;
    return refer_find(r->s, r->a, fk, child, &r->row) == b;
}

/* Writes the new key into the child's columns; *own: some are of the child's own key. */
static void refer_to(const struct reviewed *r, const struct foreign_key *fk,
                     const struct value *values, const struct table_schema *child,
                     struct typed *out, bool *own)
{
    *own = false;
    for (uint32_t i = 0; i < fk->n; i++) {
        out->given[fk->key_column[i]] = true;
        out->value[fk->key_column[i]] = values[r->k.t->key[i]];
        for (uint32_t k = 0; k < child->n_key; k++)
            *own = *own || child->key[k] == fk->key_column[i];
    }
}

static enum err move(const struct reviewed *r, const struct foreign_key *fk,
                     const struct value *values, const struct reviewed *child,
                     const struct birth *b)
{
    const struct table_schema *t = child->k.t;
    struct typed columns = {.given = arena_alloc(r->a, t->n_columns + 1),
                            .value = review_values(child, b)};
    bool own;
    refer_to(r, fk, values, t, &columns, &own);
    return own ? review_rename(child, b, columns.value) : review_update(child, b, &columns);
}

static enum err move_of_row(const struct reviewed *r, const struct birth *b,
                            const struct foreign_key *fk, const struct value *values,
                            struct bytes key)
{
    const struct table_schema *t = &r->s->schema->tables[fk->child];
    struct reviewed child;
    enum err e = review_row(r->s, r->a, (struct row_key){t, key.p, key.len}, &child);
    bool same = t == r->k.t && key.len == r->k.len && memcmp(key.p, r->k.key, key.len) == 0;
    for (uint32_t i = 0; e == ERR_OK && i < child.row.n_births; i++) {
        const struct birth *c = &child.row.births[i];
        if (!birth_alive(c, &t->rules) || (same && dot_equal(c->name, b->name)))
            continue;
        if (belongs(r, b, fk, c, review_values(&child, c)))
            e = move(r, fk, values, &child, c);
    }
    return e;
}

enum err review_children(const struct reviewed *r, const struct birth *b, struct value *values)
{
    const struct value *old = review_values(r, b);
    enum err e = ERR_OK;
    for (uint32_t f = 0; e == ERR_OK && f < r->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &r->s->schema->fks[f];
        struct key_list found = {0};
        if (&r->s->schema->tables[fk->parent] != r->k.t || !fk->key_column)
            continue;
        bool own = &r->s->schema->tables[fk->child] == r->k.t && belongs(r, b, fk, b, old);
        for (uint32_t i = 0; own && i < fk->n; i++) /* it refers to itself */
            values[fk->key_column[i]] = values[r->k.t->key[i]];
        e = candidates(r, f, old, &found);
        for (size_t i = 0; e == ERR_OK && i < found.n; i++)
            e = move_of_row(r, b, fk, values, found.key[i]);
    }
    return e;
}
