/* Records of unsettled rows, and rows of the application's tables.
 *
 * A record is looked at through the stable clock each time it is read (row_forget), so a
 * stable(mark) message is in force at once; the bytes are rewritten whenever the row is next
 * touched, or by the sweep. */
#include "node/record/record.h"

#include "node/record/filter.h"
#include "node/record/own.h"
#include "node/record/table.h"
#include "node/state/state.h"

#include <assert.h>

void query_bind_key(struct query *q, struct arena *a, struct row_key k, int i)
{
    struct value *v = arena_alloc(a, k.t->n_key * sizeof *v);
    query_fail(q, key_decode(k.key, k.len, v, k.t->n_key));
    query_bind_values(q, i, k.t->n_key, v);
}

enum err row_read(struct store *s, struct arena *a, struct row_key k, struct value **values)
{
    *values = NULL;
    if (!k.t->read_sql)
        return store_fail(s, ERR_SCHEMA, "table %s is not in this database", k.t->name);
    struct query q = DB_QUERY(s, k.t->read_sql);
    query_bind_key(&q, a, k, 1);
    if (query_next(&q))
        *values = query_values(&q, a, 0, k.t->n_columns);
    return query_end(&q);
}

static enum err taken_in_table(struct store *s, const struct unique_index *u, const struct value *v,
                               bool *taken)
{
    struct query q = query_of(s, u->blocker_sql, u->n, v);
    *taken = query_next(&q);
    return query_end(&q);
}

/* A dead birth may come back, and then contends with who stands with its value: that one has no
 * claim. */
static enum err birth_shares(struct store *s, struct arena *a, struct row_key k,
                             const struct birth *b, bool *shared)
{
    bool dead = !birth_alive(b, &k.t->rules);
    enum err e = ERR_OK;
    if (!dead && b->values && !claims_may_meet(s, a, k.t, b->values))
        return ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && !*shared && b->values && i < k.t->n_unique; i++) {
        bool claims = false;
        struct value *v;
        struct bytes folded;
        e = row_claim(s, a, k.t, i, b->values, &claims, &v, &folded);
        if (e == ERR_OK && claims)
            e = claims_elsewhere(s, k, i, folded, shared);
        if (e == ERR_OK && claims && dead && !*shared)
            e = taken_in_table(s, &k.t->unique[i], v, shared);
    }
    return e;
}

/* Whether a row on record shares a unique value with this one (the rank is then still needed). */
static enum err shares_unique(struct store *s, struct arena *a, struct row_key k,
                              const struct row *r, bool *shared)
{
    enum err e = ERR_OK;
    *shared = false;
    for (uint32_t b = 0; e == ERR_OK && b < r->n_births && !*shared; b++) {
        *shared = r->births[b].held != HOLD_NONE;
        if (!*shared)
            e = birth_shares(s, a, k, &r->births[b], shared);
    }
    return e;
}

/* ---- records ---- */

static enum err keep_names(struct store *s, struct arena *a, struct row_key k, struct forget *f)
{
    struct dot *names = NULL;
    bool any;
    enum err e = record_keeps_any(s, &any);
    if (e == ERR_OK && any)
        e = record_keep_names(s, a, k, &names, &f->n_keep);
    f->keep = names;
    return e;
}

enum err row_forgetting(struct store *s, struct arena *a, struct row_key k, struct forget *f)
{
    *f = (struct forget){.unique_columns = k.t->unique_columns,
                         .n_unique_columns = k.t->n_unique_columns,
                         .keep_rank =
                             k.t->n_unique > 0 && (state_of(s)->loading || row_any_claims(s))};
    enum err e = defer_stable(s, k.t->name, &f->stable);
    return e == ERR_OK ? keep_names(s, a, k, f) : e;
}

/* ---- the two parts of tonle_row */

static uint64_t swept_hash(uint32_t t, const void *key, size_t len)
{
    return hash_key(VALUE_HASH_SEED + t, key, len);
}

static enum err read_swept(struct store *s)
{
    struct hash_filter *f = &s->record->swept;
    struct query q = DB_QUERY(s, "SELECT t, k FROM tonle_row WHERE swept = 1");
    while (f->known && query_next(&q)) {
        struct bytes k = query_borrow(&q, 1);
        filter_add(f, swept_hash((uint32_t)query_i64(&q, 0), k.p, k.len));
    }
    return query_end(&q);
}

#define ASKED_FIRST 64 /* times the database, before all keys of the swept part are read */

/* Whether the record may be in the swept part: false is certain. */
static bool may_be_swept(struct store *s, struct row_key k)
{
    if (!filter_serves(s) || (!s->record->swept.known && ++s->record->swept.asked < ASKED_FIRST))
        return true;
    while (filter_open(s, &s->record->swept))
        if (read_swept(s) != ERR_OK)
            s->record->swept.full = true; /* in doubt the database is asked */
    return filter_has(&s->record->swept, swept_hash(k.t->t, k.key, k.len));
}

static enum err record_read(struct store *s, struct arena *a, struct row_key k, enum record_at at,
                            struct bytes *rec, bool *found)
{
    struct query q = DB_QUERY(s, "SELECT rec FROM tonle_row WHERE swept = ?1 AND t = ?2 AND k = ?3",
                              value_integer(at == RECORD_SWEPT), value_integer(k.t->t),
                              value_blob(k.key, k.len));
    *found = query_next(&q);
    if (*found)
        *rec = query_bytes(&q, a, 0);
    return query_end(&q);
}

enum err row_load(struct store *s, struct arena *a, struct row_key k, struct row *out,
                  enum record_at *at)
{
    struct bytes rec = {0};
    bool found = false;
    enum record_at where = RECORD_FRESH;
    *out = (struct row){0};
    enum err e = record_read(s, a, k, where, &rec, &found);
    if (e == ERR_OK && !found && may_be_swept(s, k))
        e = record_read(s, a, k, where = RECORD_SWEPT, &rec, &found);
    if (at)
        *at = found ? where : RECORD_NONE;
    if (e != ERR_OK || !found)
        return e;
    e = row_decode(a, out, &k.t->rules, rec.p, rec.len);
    if (e != ERR_OK)
        return store_fail(s, ERR_CORRUPT, "record of a row of %s is damaged", k.t->name);
    struct forget f;
    bool keeps;
    e = row_forgetting(s, a, k, &f);
    if (e == ERR_OK)
        e = record_keeps_any(s, &keeps);
    if (e != ERR_OK)
        return e;
    f.keep_references = state_of(s)->loading || keeps; /* whose names, row_save finds out */
    row_forget(a, out, &k.t->rules, &f);
    return ERR_OK;
}

enum err row_was_torn(struct store *s, struct arena *a, struct row_key k, enum record_at at,
                      bool *torn)
{
    struct bytes rec = {0};
    struct row r;
    bool found;
    *torn = false;
    enum err e = record_read(s, a, k, at, &rec, &found);
    if (e == ERR_OK && found)
        e = row_decode(a, &r, &k.t->rules, rec.p, rec.len);
    for (uint32_t i = 0; e == ERR_OK && found && i < r.n_births; i++)
        *torn = *torn || (r.births[i].held != HOLD_NONE && part_birth_torn(a, k.t, &r.births[i]));
    return e;
}

static enum err record_delete(struct store *s, struct row_key k, enum record_at at)
{
    return DB_RUN(s, "DELETE FROM tonle_row WHERE swept = ?1 AND t = ?2 AND k = ?3",
                  value_integer(at == RECORD_SWEPT), value_integer(k.t->t),
                  value_blob(k.key, k.len));
}

/* A record that is as it was is not written: a sweep meets the same open conflicts each time. */
static enum err record_write(struct store *s, struct row_key k, const struct row *r,
                             enum record_at at)
{
    struct buf *b = &s->record->scratch;
    buf_reset(b);
    row_encode(b, r, &k.t->rules);
    return DB_RUN(s,
                  at != RECORD_NONE ? "UPDATE tonle_row SET births = ?4, rec = ?5"
                                      " WHERE swept = ?1 AND t = ?2 AND k = ?3 AND rec <> ?5"
                                    : "INSERT OR REPLACE INTO tonle_row(swept, t, k, births, rec)"
                                      " VALUES(?1, ?2, ?3, ?4, ?5)",
                  value_integer(at == RECORD_SWEPT), value_integer(k.t->t),
                  value_blob(k.key, k.len), value_integer(r->n_births),
                  value_blob(b->data, b->len));
}

static bool stands(const struct row *r, const struct table_rules *rules)
{
    for (uint32_t i = 0; i < r->n_births; i++) {
        if (r->births[i].held == HOLD_NONE && birth_alive(&r->births[i], rules))
            return true;
    }
    return false;
}

static enum err save(struct store *s, struct arena *a, struct row_key k, struct row *r,
                     enum record_at at)
{
    assert(s->in_write);
    const bool recorded = at != RECORD_NONE;
    struct forget f;
    bool keeps = false;
    enum err e = row_forgetting(s, a, k, &f);
    /* while loading, the row that shares a value may not have come yet */
    if (e == ERR_OK && f.keep_rank && !state_of(s)->loading)
        e = shares_unique(s, a, k, r, &f.keep_rank);
    f.keep_references =
        state_of(s)->loading; /* the names of a parent may come with a later chunk */
    if (e == ERR_OK && !f.keep_references)
        e = record_keeps_any(s, &keeps);
    if (e == ERR_OK && keeps)
        e = refer_keep(s, a, k, r, &f);
    if (e != ERR_OK)
        return e;
    row_forget(a, r, &k.t->rules, &f);
    bool plain = r->n_births == 1 && r->births[0].held == HOLD_NONE &&
                 birth_alive(&r->births[0], &k.t->rules);
    if (!plain || (recorded && row_any_claims(s)))
        e = claims_save(s, a, k, r);
    if (e != ERR_OK)
        return e;
    if (row_is_settled(r) && recorded && k.t->n_local)
        e = local_drop(s, k);
    if (e != ERR_OK)
        return e;
    if (row_is_settled(r))
        return recorded ? record_delete(s, k, at) : ERR_OK;
    return record_write(s, k, r, at);
}

enum err row_save(struct store *s, struct arena *a, struct row_key k, struct row *r,
                  enum record_at at)
{
    enum err e = save(s, a, k, r, at);
    if (e != ERR_OK || at == RECORD_NONE || !row_covered(r, &state_of(s)->stable) ||
        !stands(r, &k.t->rules))
        return e;
    return record_came(s, k); /* it may have come in, and nothing in it will become stable */
}

enum err row_sweep(struct store *s, struct arena *a, struct row_key k, struct row *r,
                   enum record_at at)
{
    enum err e = save(s, a, k, r, at);
    if (e != ERR_OK || at != RECORD_FRESH || row_is_settled(r) ||
        !row_covered(r, &state_of(s)->stable))
        return e;
    e = DB_RUN(s, "UPDATE OR REPLACE tonle_row SET swept = 1 WHERE swept = 0 AND t = ?1 AND k = ?2",
               value_integer(k.t->t), value_blob(k.key, k.len));
    filter_add(&s->record->swept, swept_hash(k.t->t, k.key, k.len));
    return e;
}
