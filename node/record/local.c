/* Columns that only this office has (DESIGN 3, "Capture"): when a row is taken out of the table
 * (held, or deleted while its record is kept) their values go to tonle_local, by the birth that
 * stood. apply/local.c brings them back. */
#include "node/record/record.h"

#include "node/db/query.h"

#include <assert.h>

static enum err keep_column(struct store *s, struct arena *a, struct row_key k, struct dot birth,
                            const char *column)
{
    const struct table_schema *t = k.t;
    int at = (int)t->n_key;
    struct buf sql = {0};
    buf_printf(&sql,
               "INSERT OR REPLACE INTO tonle_local(t, k, site, seq, c, v)"
               " SELECT ?%d, ?%d, ?%d, ?%d, ?%d, %s FROM %s WHERE %s",
               at + 1, at + 2, at + 3, at + 4, at + 5, schema_quote(a, column), t->qname,
               t->key_where);
    struct query q = DB_QUERY(s, buf_str(&sql));
    buf_fini(&sql);
    query_bind_key(&q, a, k, 1);
    query_bind(&q, at + 1, value_integer(t->t));
    query_bind(&q, at + 2, value_blob(k.key, k.len));
    query_bind(&q, at + 3, value_u64(birth.site));
    query_bind(&q, at + 4, value_u64(birth.seq));
    query_bind(&q, at + 5, value_text(column));
    query_next(&q);
    return query_end(&q);
}

enum err local_keep(struct store *s, struct arena *a, struct row_key k, struct dot birth)
{
    assert(s->in_write);
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < k.t->n_local; i++)
        e = keep_column(s, a, k, birth, k.t->local[i]);
    return e;
}

enum err local_drop(struct store *s, struct row_key k)
{
    assert(s->in_write);
    return DB_RUN(s, "DELETE FROM tonle_local WHERE t = ?1 AND k = ?2", value_integer(k.t->t),
                  value_blob(k.key, k.len));
}
