/* Claims: the unique values and the references of births that do not stand (tonle_claim), and the
 * rows that held ones wait for (tonle_held.bt, bk).
 *
 * Every row that is written asks whether somebody claims what it has; nearly always nobody does. So
 * a set of hashes answers first (filter.c): of claims (table, index, value), of rows with
 * claims, of rows that are waited for, and of rows that have held births.
 */
#include "node/record/record.h"

#include "node/record/filter.h"
#include "node/record/own.h"

#include <assert.h>
#include <string.h>

#define CLAIM_OF_ROW 1
#define WAITED_FOR 2
#define HELD_AT 3

static uint64_t claim_hash(uint32_t t, int64_t idx, struct bytes v)
{
    return hash_key(VALUE_HASH_SEED ^ ((uint64_t)t << 32) ^ (uint64_t)(idx + 3), v.p, v.len);
}

static uint64_t row_hash(unsigned what, uint32_t t, const void *key, size_t len)
{
    return hash_key(~VALUE_HASH_SEED ^ ((uint64_t)t << 8) ^ what, key, len);
}

static enum err read_claims(struct store *s, struct arena *a)
{
    struct hash_filter *f = &s->record->claims;
    struct query q = DB_QUERY(s, "SELECT t, idx, v, k FROM tonle_claim");
    for (; f->known && query_next(&q); arena_reset(a)) {
        uint32_t t = (uint32_t)query_i64(&q, 0);
        struct bytes k = query_bytes(&q, a, 3);
        filter_add(f, claim_hash(t, query_i64(&q, 1), query_bytes(&q, a, 2)));
        filter_add(f, row_hash(CLAIM_OF_ROW, t, k.p, k.len));
    }
    return query_end(&q);
}

static enum err read_waiting(struct store *s, struct arena *a)
{
    struct hash_filter *f = &s->record->claims;
    struct query q = DB_QUERY(s, "SELECT bt, bk, t, k FROM tonle_held"
                                 " WHERE t > 0 AND reason NOT IN ('schema', 'limit')");
    for (; f->known && query_next(&q); arena_reset(a)) {
        struct bytes k = query_bytes(&q, a, 1), at = query_bytes(&q, a, 3);
        uint32_t t = (uint32_t)query_i64(&q, 0);
        if (t)
            filter_add(f, row_hash(WAITED_FOR, t, k.p, k.len));
        filter_add(f, row_hash(HELD_AT, (uint32_t)query_i64(&q, 2), at.p, at.len));
    }
    return query_end(&q);
}

/* An error while it is read leaves it full: whoever asks the database will see the error. */
static void filter_read(struct store *s)
{
    struct arena a = {0};
    while (filter_open(s, &s->record->claims))
        if (read_claims(s, &a) != ERR_OK || read_waiting(s, &a) != ERR_OK)
            s->record->claims.full = true;
    arena_fini(&a);
}

static bool may(struct store *s, uint64_t h)
{
    if (!filter_serves(s))
        return true;
    filter_read(s);
    return filter_has(&s->record->claims, h);
}

bool row_any_claims(struct store *s)
{
    if (!filter_serves(s))
        return true;
    filter_read(s);
    return s->record->claims.n > 0 || s->record->claims.full;
}

bool claims_may(struct store *s, const struct table_schema *t, int64_t idx, struct bytes v)
{
    return may(s, claim_hash(t->t, idx, v));
}

bool claims_may_block(struct store *s, struct row_key k)
{
    return may(s, row_hash(WAITED_FOR, k.t->t, k.key, k.len));
}

void claims_note_blocker(struct store *s, uint32_t t, struct bytes key)
{
    filter_add(&s->record->claims, row_hash(WAITED_FOR, t, key.p, key.len));
}

bool claims_may_hold(struct store *s, struct row_key k)
{
    return may(s, row_hash(HELD_AT, k.t->t, k.key, k.len));
}

void claims_note_held(struct store *s, struct row_key k)
{
    filter_add(&s->record->claims, row_hash(HELD_AT, k.t->t, k.key, k.len));
}

/* ---- what a row claims ---- */

/* Text as the collation sees it: NOCASE folds ASCII, RTRIM drops trailing spaces. */
static struct value fold(struct arena *a, const struct value *v, const char *collation)
{
    if (v->type != VALUE_TEXT)
        return *v;
    struct value out = *v;
    if (strcmp(collation, "RTRIM") == 0) {
        while (out.len > 0 && ((const char *)out.u.p)[out.len - 1] == ' ')
            out.len--;
    } else if (strcmp(collation, "NOCASE") == 0) {
        char *p = arena_copy(a, v->u.p, v->len);
        for (uint32_t i = 0; i < v->len; i++)
            p[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
        out.u.p = p;
    }
    return out;
}

/* False with a NULL: it clashes with nothing. */
static bool fold_claim(struct arena *a, const struct unique_index *u, const struct value *v,
                       struct bytes *folded)
{
    struct buf b = {0};
    bool whole = true;
    for (uint32_t c = 0; whole && c < u->n; c++) {
        struct value f = fold(a, &v[c], u->collation[c]);
        whole = f.type != VALUE_NULL;
        key_encode(&b, &f, 1);
    }
    if (whole)
        *folded = (struct bytes){arena_copy(a, b.data, b.len), b.len};
    buf_fini(&b);
    return whole;
}

/* Columns alone need no SQL. */
static bool plain_claim(struct arena *a, const struct unique_index *u, const struct value *columns,
                        struct value **v, struct bytes *folded)
{
    *v = arena_alloc(a, u->n * sizeof **v);
    for (uint32_t c = 0; c < u->n; c++) {
        (*v)[c] = columns[u->part_column[c]];
        if ((*v)[c].type == VALUE_NULL)
            return false;
    }
    return fold_claim(a, u, *v, folded);
}

enum err row_claim(struct store *s, struct arena *a, const struct table_schema *t, uint32_t i,
                   const struct value *columns, bool *claims, struct value **v,
                   struct bytes *folded)
{
    const struct unique_index *u = &t->unique[i];
    *claims = false;
    if (u->part_column) {
        *claims = plain_claim(a, u, columns, v, folded);
        return ERR_OK;
    }
    struct query q = query_of(s, u->claim_sql, t->n_columns, columns);
    bool row = query_next(&q);
    if (row)
        *v = query_values(&q, a, 0, u->n);
    enum err e = query_end(&q);
    *claims = row && fold_claim(a, u, *v, folded);
    return e;
}

/* '12' as 12: the columns of a reference may differ in affinity, and SQLite compares by the
 * parent's. Too much is found this way, never too little: whoever comes in is checked against the
 * table. */
static struct value as_number(struct value v)
{
    const char *p = v.u.p;
    int64_t n = 0;
    if (v.type != VALUE_TEXT || v.len == 0 || v.len > 18)
        return v;
    for (uint32_t i = p[0] == '-' && v.len > 1; i < v.len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return v;
        n = n * 10 + (p[i] - '0');
    }
    return value_integer(p[0] == '-' ? -n : n);
}

bool row_reference(struct arena *a, const struct foreign_key *fk, bool of_child,
                   const struct value *columns, struct value **v, struct bytes *folded)
{
    *v = arena_alloc(a, fk->n * sizeof **v);
    for (uint32_t i = 0; i < fk->n; i++) {
        (*v)[i] = columns[of_child ? fk->child_column[i] : fk->parent_column[i]];
        if ((*v)[i].type == VALUE_NULL)
            return false;
    }
    struct buf b = {0};
    for (uint32_t i = 0; i < fk->n; i++) {
        struct value f = as_number(fold(a, &(*v)[i], fk->collation[i]));
        key_encode(&b, &f, 1);
    }
    *folded = (struct bytes){arena_copy(a, b.data, b.len), b.len};
    buf_fini(&b);
    return true;
}

bool claims_may_meet(struct store *s, struct arena *a, const struct table_schema *t,
                     const struct value *columns)
{
    struct buf *b = &s->record->claim_key;
    for (uint32_t i = 0; i < t->n_unique; i++) {
        const struct unique_index *u = &t->unique[i];
        bool whole = true;
        if (!u->part_column)
            return row_any_claims(s);
        buf_reset(b);
        for (uint32_t c = 0; whole && c < u->n; c++) {
            struct value v = fold(a, &columns[u->part_column[c]], u->collation[c]);
            whole = v.type != VALUE_NULL;
            key_encode(b, &v, 1);
        }
        if (whole && claims_may(s, t, i, (struct bytes){b->data, b->len}))
            return true;
    }
    return false;
}

/* ---- claims on record ---- */

static enum err claim_put(struct store *s, struct row_key k, int64_t idx, struct bytes v,
                          struct dot birth)
{
    enum err e = DB_RUN(s,
                        "INSERT OR IGNORE INTO tonle_claim(t, idx, v, k, site, seq)"
                        " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                        value_integer(k.t->t), value_integer(idx), value_blob(v.p, v.len),
                        value_blob(k.key, k.len), value_u64(birth.site), value_u64(birth.seq));
    filter_add(&s->record->claims, claim_hash(k.t->t, idx, v));
    filter_add(&s->record->claims, row_hash(CLAIM_OF_ROW, k.t->t, k.key, k.len));
    return e;
}

static enum err claims_of_birth(struct store *s, struct arena *a, struct row_key k,
                                const struct birth *b)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < k.t->n_unique; i++) {
        bool claims = false;
        struct value *v;
        struct bytes folded;
        e = row_claim(s, a, k.t, i, b->values, &claims, &v, &folded);
        if (e == ERR_OK && claims)
            e = claim_put(s, k, i, folded, b->name);
    }
    for (uint32_t i = 0; e == ERR_OK && b->held == HOLD_PARENT && i < s->schema->n_fks; i++) {
        struct value *v;
        struct bytes folded;
        if (&s->schema->tables[s->schema->fks[i].child] == k.t &&
            row_reference(a, &s->schema->fks[i], true, b->values, &v, &folded))
            e = claim_put(s, k, CLAIM_REFERENCE + i, folded, b->name);
    }
    return e;
}

/* Births that do not stand claim their unique values: the held ones because they may come in, the
 * dead ones because the ranks of rows that share a value with them are still needed. */
enum err claims_save(struct store *s, struct arena *a, struct row_key k, const struct row *r)
{
    assert(s->in_write);
    enum err e = ERR_OK;
    if (may(s, row_hash(CLAIM_OF_ROW, k.t->t, k.key, k.len)))
        e = DB_RUN(s, "DELETE FROM tonle_claim WHERE t = ?1 AND k = ?2", value_integer(k.t->t),
                   value_blob(k.key, k.len));
    for (uint32_t i = 0; e == ERR_OK && i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        if (b->values && (b->held != HOLD_NONE || !birth_alive(b, &k.t->rules)))
            e = claims_of_birth(s, a, k, b);
    }
    return e;
}

enum err claims_elsewhere(struct store *s, struct row_key k, uint32_t i, struct bytes v,
                          bool *other)
{
    *other = false;
    if (!claims_may(s, k.t, i, v))
        return ERR_OK;
    struct query q = DB_QUERY(s,
                              "SELECT 1 FROM tonle_claim WHERE t = ?1 AND idx = ?2 AND v = ?3"
                              " AND k <> ?4 LIMIT 1",
                              value_integer(k.t->t), value_integer(i), value_blob(v.p, v.len),
                              value_blob(k.key, k.len));
    *other = query_next(&q);
    return query_end(&q);
}
