/* Columns that only this office has (DESIGN 3, "Capture"): when a row is taken out of the table
 * (held, or deleted while its record is kept) their values go to tonle_local, and return with the
 * INSERT that brings the same birth back. A birth that lost its name since takes what belongs to no
 * birth on record. */
#include "node/record/record.h"

#include "node/db/query.h"

#include <assert.h>
#include <string.h>

static enum err keep_column(struct store *s, struct arena *a, struct row_key k, struct dot birth,
                            const char *column)
{
    const struct table_schema *t = k.t;
    const struct value more[] = {value_u64(t->t), value_blob(k.key, k.len), value_u64(birth.site),
                                 value_u64(birth.seq), value_text(column)};
    struct buf b = {0};
    buf_printf(&b,
               "INSERT OR REPLACE INTO tonle_local(t, k, site, seq, c, v)"
               " SELECT ?%u, ?%u, ?%u, ?%u, ?%u, %s FROM %s WHERE %s",
               t->n_key + 1, t->n_key + 2, t->n_key + 3, t->n_key + 4, t->n_key + 5,
               schema_quote(a, column), t->qname, t->key_where);
    struct query q = query_of(s, buf_str(&b), 0, NULL);
    buf_fini(&b);
    query_bind_key(&q, a, k, 1);
    for (uint32_t i = 0; i < sizeof more / sizeof *more; i++)
        query_bind(&q, (int)(t->n_key + i) + 1, more[i]);
    while (query_next(&q))
        continue;
    return query_end(&q);
}

enum err local_keep(struct store *s, struct arena *a, struct row_key k, struct dot birth)
{
    enum err e = ERR_OK;
    assert(s->in_write);
    for (uint32_t i = 0; e == ERR_OK && i < k.t->n_local; i++)
        e = keep_column(s, a, k, birth, k.t->local[i]);
    return e;
}

static bool is_local(const struct table_schema *t, const char *column)
{
    for (uint32_t i = 0; i < t->n_local; i++) {
        if (strcmp(t->local[i], column) == 0)
            return true;
    }
    return false;
}

enum err local_read(struct store *s, struct arena *a, struct row_key k, struct local_values *out)
{
    *out = (struct local_values){0};
    if (k.t->n_local == 0)
        return ERR_OK;
    struct query q = DB_QUERY(s, "SELECT c, v, site, seq FROM tonle_local WHERE t = ?1 AND k = ?2",
                              value_u64(k.t->t), value_blob(k.key, k.len));
    while (query_next(&q)) {
        struct local_value v = {
            query_text(&q, a, 0), query_value(&q, a, 1), {query_u64(&q, 2), query_u64(&q, 3)}};
        if (!is_local(k.t, v.column))
            continue;
        out->at = arena_grow(a, out->at, out->n, &out->cap, sizeof *out->at);
        out->at[out->n++] = v;
    }
    return query_end(&q);
}

enum err local_drop(struct store *s, struct row_key k)
{
    assert(s->in_write);
    return DB_RUN(s, "DELETE FROM tonle_local WHERE t = ?1 AND k = ?2", value_u64(k.t->t),
                  value_blob(k.key, k.len));
}
