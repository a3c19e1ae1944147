/* The rows that mean a birth, and go with it where a decision gives it another key or merges it
 * into the row in its way.
 *
 *   a foreign key that refers to          a row hangs on the birth when
 *   the parent's whole key                it refers to its key and means it (record/refer.c)
 *   other columns of the parent, which    it refers to its values, and no row that stands has them
 *   are unique
 *
 * What such a row refers by is written anew, in the same changeset. Where that is of its own key it
 * is born again, and the rows that mean it follow in turn; all that is found is decided before
 * anything is queued, because a row may be met by several ways. Only rows that this office knows:
 * those whose record has references, those that are held, and, where nobody stands at the parent's
 * key, those in the table. One that is still under way belongs to whoever stands at the old key
 * when it comes. */
#include "node/desk/children.h"

#include "conflict/twin.h"
#include "node/db/query.h"

#include <stdio.h>
#include <string.h>

struct key_list {
    struct bytes *key;
    size_t n, cap;
};

static void add_key(struct arena *a, struct key_list *l, struct bytes key)
{
    l->key = arena_grow(a, l->key, l->n, &l->cap, sizeof *l->key);
    l->key[l->n++] = key;
}

/* The keys of the rows in the child's table that refer to the values v. */
static enum err in_table(const struct reviewed *r, const struct foreign_key *fk,
                         const struct value *v, struct key_list *out)
{
    uint32_t n = r->s->schema->tables[fk->child].n_key;
    struct query q = query_of(r->s, fk->children_sql, fk->n, v);
    struct buf key = {0};
    while (query_next(&q)) {
        struct value *k = query_values(&q, r->a, 0, n);
        buf_reset(&key);
        key_encode(&key, k, n);
        add_key(r->a, out, (struct bytes){arena_copy(r->a, key.data, key.len), key.len});
    }
    buf_fini(&key);
    return query_end(&q);
}

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
        " UNION SELECT k FROM tonle_claim WHERE t = ?1 AND idx = ?3 AND v = ?4"
        " UNION SELECT k FROM tonle_held WHERE t = ?1"
        " AND reason IN ('birth', 'check', 'unique', 'local')",
        value_integer(r->s->schema->tables[fk->child].t), value_blob(&format, 1),
        value_integer(CLAIM_REFERENCE + f), value_blob(folded.p, folded.len));
    while (query_next(&q))
        add_key(r->a, out, query_bytes(&q, r->a, 0));
    enum err e = query_end(&q);
    return e == ERR_OK && !r->stand ? in_table(r, fk, v, out) : e;
}

/* ---- who hangs on whom */

static bool same_key(struct row_key x, struct row_key y)
{
    return x.t == y.t && x.len == y.len && memcmp(x.key, y.key, x.len) == 0;
}

/* By values that are not the parent's key. */
static enum err means_values(const struct reviewed *r, const struct value *old,
                             const struct foreign_key *fk, const struct value *values, bool *yes)
{
    struct value *v, *mine;
    struct bytes folded, wanted;
    *yes = false;
    if (!row_reference(r->a, fk, true, values, &v, &folded) ||
        !row_reference(r->a, fk, false, old, &mine, &wanted) || folded.len != wanted.len ||
        memcmp(folded.p, wanted.p, folded.len) != 0)
        return ERR_OK;
    struct query q = query_of(r->s, fk->parent_sql, fk->n, v);
    *yes = !query_next(&q);
    return query_end(&q);
}

/* The parent is the row r with its birth b, whose values were `old`. */
static enum err means(const struct follower *parent, const struct foreign_key *fk,
                      const struct birth *child, const struct value *values, bool *yes)
{
    const struct reviewed *r = &parent->row;
    struct row_key k;
    *yes = false;
    if (!fk->key_column)
        return means_values(r, parent->old, fk, values, yes);
    if (refer_key(r->a, fk, r->k.t, values, &k) && same_key(k, r->k))
        *yes = refer_find(r->s, r->a, fk, child, &r->row) == parent->birth;
    return ERR_OK;
}

static struct follower *known(const struct followers *l, struct row_key k, struct dot birth)
{
    for (size_t i = 0; i < l->n; i++)
        if (same_key(l->at[i]->row.k, k) && dot_equal(l->at[i]->birth->name, birth))
            return l->at[i];
    return NULL;
}

static struct follower *add(struct followers *l, const struct reviewed *row, struct birth *b)
{
    struct follower *f = known(l, row->k, b->name);
    uint32_t n = row->k.t->n_columns + 1;
    if (f)
        return f;
    f = arena_alloc(row->a, sizeof *f);
    f->row = *row;
    f->birth = b;
    f->old = review_values(row, b);
    f->columns.given = arena_alloc(row->a, n);
    f->columns.value = arena_copy(row->a, f->old, row->k.t->n_columns * sizeof *f->old);
    l->at = arena_grow(row->a, l->at, l->n, &l->cap, sizeof(struct follower *));
    l->at[l->n++] = f;
    return f;
}

/* What the row refers by becomes what the parent's row has now. */
static void refer_to(struct follower *f, const struct foreign_key *fk, const struct value *to)
{
    for (uint32_t i = 0; i < fk->n; i++) {
        uint32_t c = fk->child_column[i];
        const struct value *v = &to[fk->parent_column[i]];
        f->done = f->done && f->columns.given[c] && value_equal(&f->columns.value[c], v);
        f->columns.given[c] = true;
        f->columns.value[c] = *v;
    }
}

static bool changes(const struct foreign_key *fk, const struct follower *parent)
{
    /* the same key, too: another birth is meant */
    bool other = fk->key_column || !parent->into;
    for (uint32_t i = 0; !other && i < fk->n; i++)
        other =
            !value_equal(&parent->old[fk->parent_column[i]], &parent->into[fk->parent_column[i]]);
    return other;
}

/* While the child is as it was born, its twins tell whose it is as well as itself. */
static enum err any_means(const struct follower *parent, const struct foreign_key *fk,
                          const struct reviewed *child, const struct birth *c, bool *yes)
{
    const struct reviewed *r = &parent->row;
    const struct birth **twin_of = row_twins(r->a, &child->row, &child->k.t->rules);
    enum err e = means(parent, fk, c, review_values(child, c), yes);
    for (uint32_t i = 0; e == ERR_OK && twin_of && !c->touched && i < child->row.n_births; i++) {
        bool also = false;
        const struct birth *twin = &child->row.births[i];
        if (twin_of[i] == c)
            e = means(parent, fk, twin, review_values(child, twin), &also);
        *yes = *yes || also;
    }
    return e;
}

static enum err find_children(struct followers *l, struct follower *parent,
                              const struct foreign_key *fk, struct bytes key)
{
    const struct reviewed *r = &parent->row;
    struct reviewed child;
    struct row_key k = {&r->s->schema->tables[fk->child], key.p, key.len};
    enum err e = review_row(r->s, r->a, k, &child);
    for (uint32_t i = 0; e == ERR_OK && i < child.row.n_births; i++) {
        struct birth *c = &child.row.births[i];
        bool yes = false;
        if (birth_alive(c, &k.t->rules) && !row_twin_of(r->a, &child.row, &k.t->rules, c))
            e = any_means(parent, fk, &child, c, &yes);
        if (e != ERR_OK || !yes)
            continue;
        struct follower *f = add(l, &child, c);
        if (parent->into)
            refer_to(f, fk, parent->into);
    }
    return e;
}

static enum err follow(struct followers *l, struct follower *parent)
{
    const struct reviewed *r = &parent->row;
    enum err e = ERR_OK;
    for (uint32_t f = 0; e == ERR_OK && f < r->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &r->s->schema->fks[f];
        struct key_list found = {0};
        if (&r->s->schema->tables[fk->parent] != r->k.t || !changes(fk, parent) ||
            !r->s->schema->tables[fk->child].exists)
            continue;
        e = candidates(r, f, parent->old, &found);
        for (size_t i = 0; e == ERR_OK && i < found.n; i++)
            e = find_children(l, parent, fk, found.key[i]);
    }
    return e;
}

static bool key_moves(const struct follower *f)
{
    return review_key_changes(f->row.k.t, &f->columns, f->old);
}

enum err children_find(const struct reviewed *r, struct birth *b, const struct value *into,
                       struct followers *out)
{
    *out = (struct followers){0};
    struct follower *root = add(out, r, b);
    root->into = into;
    enum err e = follow(out, root);
    root->done = true;
    /* who joins stands behind; who is met again by another way is looked at again */
    for (bool more = true; e == ERR_OK && more;) {
        more = false;
        for (size_t i = 1; e == ERR_OK && i < out->n; i++) {
            struct follower *f = out->at[i];
            if (f->done)
                continue;
            f->done = more = true;
            f->into = f->columns.value;
            if (key_moves(f))
                e = follow(out, f);
        }
    }
    return e;
}

/* ---- writing it */

static enum err taken(const struct follower *f, struct row_key to)
{
    struct store *s = f->row.s;
    struct arena *a = f->row.a;
    const struct table_schema *t = f->row.k.t;
    const char *id = "ID";
    struct query q = DB_QUERY(s, "SELECT id FROM tonle_held WHERE t = ?1 AND k = ?2",
                              value_integer(t->t), value_blob(f->row.k.key, f->row.k.len));
    if (query_next(&q))
        id = query_text(&q, a, 0);
    enum err e = query_end(&q);
    return e != ERR_OK
               ? e
               : store_fail(s, ERR_EXISTS,
                            "%.100s of %.64s belongs to this row and would get the key %.100s, "
                            "which is taken: give it another first, `tonle held set %.40s "
                            "COL=VALUE`",
                            schema_key_json(a, t, f->row.k.key, f->row.k.len), t->name,
                            schema_key_json(a, t, to.key, to.len), id);
}

static enum err move(const struct follower *f)
{
    const struct table_schema *t = f->row.k.t;
    bool moves = key_moves(f), free = true, any = false;
    struct row_key to = review_key_of(f->row.a, t, f->columns.value);
    enum err e = review_sealed(&f->row);
    if (e == ERR_OK && moves)
        e = review_key_free(f->row.s, f->row.a, to, &free);
    if (e == ERR_OK && !free)
        return taken(f, to);
    if (e == ERR_OK && moves) {
        e = review_delete(&f->row, f->birth);
        return e == ERR_OK ? review_queue_birth(&f->row, to, f->columns.value) : e;
    }
    for (uint32_t c = 0; c < t->n_columns; c++)
        any = any || (f->columns.given[c] && !schema_is_key(t, c));
    return e == ERR_OK && any ? review_update(&f->row, f->birth, &f->columns) : e;
}

enum err children_move(const struct followers *l)
{
    enum err e = ERR_OK;
    for (size_t i = 1; e == ERR_OK && i < l->n; i++)
        e = move(l->at[i]);
    return e;
}

const char *children_words(struct arena *a, const struct followers *l)
{
    struct buf b = {0};
    for (size_t i = 1; i < l->n; i++) {
        const struct table_schema *t = l->at[i]->row.k.t;
        size_t n = 0;
        bool first = true;
        for (size_t k = 1; k < l->n; k++) {
            n += l->at[k]->row.k.t == t;
            first = first && (k >= i || l->at[k]->row.k.t != t);
        }
        if (first)
            buf_printf(&b, "%s%zu of %.64s", b.len > 0 ? ", " : "", n, t->name);
    }
    const char *words = arena_strdup(a, buf_str(&b));
    buf_fini(&b);
    return words;
}
