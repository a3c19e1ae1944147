/* A birth gets another key: it goes from the old one and is born again at the new one.
 *
 * Its children go with it: what they refer by is written anew in the same changeset, and so names
 * the birth there. Only those that this office knows; one that is still under way belongs to
 * whoever stands at the old key when it comes. They are among the rows whose record has references,
 * and the rows held for this key: one that stands and names nobody means who stands. */
#include "node/desk/review.h"

#include "conflict/twin.h"
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/journal/journal.h"

#include <assert.h>
#include <string.h>

/* ---- the children */

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
    struct query q = DB_QUERY(
        r->s,
        "SELECT k FROM tonle_row WHERE swept IN (0, 1) AND t = ?1 AND substr(rec, 1, 1) = ?2"
        " UNION SELECT k FROM tonle_claim WHERE t = ?1 AND idx = ?3 AND v = ?4",
        value_integer(r->s->schema->tables[fk->child].t), value_blob(&format, 1),
        value_integer(CLAIM_REFERENCE + f), value_blob(folded.p, folded.len));
    while (query_next(&q)) {
        out->key = arena_grow(r->a, out->key, out->n, &out->cap, sizeof *out->key);
        out->key[out->n++] = query_bytes(&q, r->a, 0);
    }
    return query_end(&q);
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

/* While the child is as it was born, its twins tell whose it is as well as itself. */
static bool any_belongs(const struct reviewed *r, const struct birth *b,
                        const struct foreign_key *fk, const struct reviewed *child,
                        const struct birth *c)
{
    const struct birth **twin_of = row_twins(r->a, &child->row, &child->k.t->rules);
    bool any = belongs(r, b, fk, c, review_values(child, c));
    for (uint32_t i = 0; twin_of && !c->touched && i < child->row.n_births; i++)
        any |= twin_of[i] == c && belongs(r, b, fk, &child->row.births[i], review_values(child, c));
    return any;
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
        if (!birth_alive(c, &t->rules) || (same && dot_equal(c->name, b->name)) ||
            row_twin_of(r->a, &child.row, &t->rules, c))
            continue;
        if (any_belongs(r, b, fk, &child, c))
            e = move(r, fk, values, &child, c);
    }
    return e;
}

static enum err take_children(const struct reviewed *r, const struct birth *b, struct value *values)
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

/* ---- the row */

/* Whether a row stands, is held, or is about to be born at this key. */
static enum err key_taken(struct store *s, struct arena *a, struct row_key k, bool *taken)
{
    struct reviewed r;
    enum err e = review_row(s, a, k, &r);
    *taken = false;
    for (uint32_t i = 0; e == ERR_OK && i < r.row.n_births; i++)
        *taken = *taken || birth_alive(&r.row.births[i], &k.t->rules);
    return e == ERR_OK && !*taken ? todo_has_birth(s, k, taken) : e;
}

static struct row_key key_of(struct arena *a, const struct table_schema *t,
                             const struct value *values)
{
    struct buf b = {0};
    schema_key_encode(t, values, &b);
    struct row_key k = {t, arena_copy(a, b.data, b.len), b.len};
    buf_fini(&b);
    return k;
}

enum err review_rename(const struct reviewed *r, const struct birth *b, const struct value *values)
{
    assert(r->s->in_write && birth_alive(b, &r->k.t->rules));
    const struct table_schema *t = r->k.t;
    struct row_key to = key_of(r->a, t, values);
    bool taken;
    for (uint32_t i = 0; i < t->n_key; i++)
        if (values[t->key[i]].type == VALUE_NULL)
            return store_fail(r->s, ERR_USAGE, "%s is of the key: it cannot be NULL",
                              t->column[t->key[i]]);
    enum err e = key_taken(r->s, r->a, to, &taken);
    if (e == ERR_OK && taken)
        e = store_fail(r->s, ERR_EXISTS,
                       "the key %.100s is taken in %.64s already: give another with --set",
                       schema_key_json(r->a, t, to.key, to.len), t->name);
    struct value *born = arena_copy(r->a, values, t->n_columns * sizeof *born);
    if (e == ERR_OK)
        e = review_delete(r, b);
    if (e == ERR_OK)
        e = take_children(r, b, born);
    return e == ERR_OK ? review_queue_birth(r, to, born) : e;
}

static const char *writer_unit(const struct reviewed *r, const struct birth *b)
{
    struct site_record site;
    if (b->name.site == 0 || store_site_get(r->s, r->a, b->name.site, &site) != ERR_OK)
        return "";
    return site.unit;
}

enum err review_free_key(const struct reviewed *r, const struct birth *b, struct value *values)
{
    const struct table_schema *t = r->k.t;
    uint32_t c = UINT32_MAX;
    bool taken = true;
    enum err e = ERR_OK;
    for (uint32_t i = 0; i < t->n_key; i++)
        if (values[t->key[i]].type == VALUE_TEXT)
            c = t->key[i];
    if (c == UINT32_MAX)
        return store_fail(r->s, ERR_USAGE,
                          "the key of %.64s has no text that could be made another: say it with "
                          "--keep-both --set %.64s=VALUE",
                          t->name, t->column[t->key[t->n_key - 1]]);
    const struct value old = values[c];
    const char *unit = writer_unit(r, b);
    for (unsigned n = unit[0] != '\0' ? 1 : 2; e == ERR_OK && taken; n++) {
        struct buf text = {0};
        buf_put(&text, old.u.p, old.len);
        if (n == 1)
            buf_printf(&text, "-%s", unit);
        else
            buf_printf(&text, "-%u", n);
        values[c] = value_text(arena_strdup(r->a, buf_str(&text)));
        buf_fini(&text);
        e = key_taken(r->s, r->a, key_of(r->a, t, values), &taken);
    }
    return e;
}
