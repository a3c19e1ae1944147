/* Columns that only this office has (DESIGN 3, "Capture"): when a row is taken out of the table
 * (held, or deleted while its record is kept) their values go to tonle_local, and return with the
 * INSERT that brings the same birth back. A birth that lost its name since takes what belongs to no
 * birth on record. */
#include "node/apply/work.h"

#include "node/db/sqlite.h"
#include "node/record/bind.h"

#include <string.h>

static enum err count_of(struct work *w, const struct work_row *r, bool *any)
{
    sqlite3_stmt *q = store_stmt(w->s, "SELECT 1 FROM tonle_local WHERE t = ?1 AND k = ?2 LIMIT 1");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, r->k.t->t);
    store_bind_blob(q, 2, r->k.key, r->k.len);
    enum err e = store_step(w->s, q, any);
    if (*any)
        sqlite3_reset(q);
    return e;
}

static enum err keep_column(struct work *w, const struct work_row *r, const char *column)
{
    const struct table_schema *t = r->k.t;
    struct buf b = {0};
    buf_printf(&b,
               "INSERT OR REPLACE INTO tonle_local(t, k, site, seq, c, v)"
               " SELECT ?%u, ?%u, ?%u, ?%u, ?%u, %s FROM %s WHERE %s",
               t->n_key + 1, t->n_key + 2, t->n_key + 3, t->n_key + 4, t->n_key + 5,
               schema_quote(w->a, column), t->qname, t->key_where);
    sqlite3_stmt *q = store_stmt(w->s, buf_str(&b));
    buf_fini(&b);
    if (!q)
        return ERR_SCHEMA;
    enum err e = row_bind_key(w->a, q, r->k, 1);
    int at = (int)t->n_key;
    sqlite3_bind_int64(q, at + 1, t->t);
    store_bind_blob(q, at + 2, r->k.key, r->k.len);
    store_bind_u64(q, at + 3, r->in_table.site);
    store_bind_u64(q, at + 4, r->in_table.seq);
    store_bind_text(q, at + 5, column);
    return e == ERR_OK ? store_run(w->s, q) : e;
}

enum err local_keep(struct work *w, const struct work_row *r)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < r->k.t->n_local; i++)
        e = keep_column(w, r, r->k.t->local[i]);
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

enum err local_find(struct work *w, const struct work_row *r, const struct birth *b,
                    struct local_values *out)
{
    const struct table_schema *t = r->k.t;
    bool any = false;
    *out = (struct local_values){0};
    enum err e = t->n_local ? count_of(w, r, &any) : ERR_OK;
    if (e != ERR_OK || !any)
        return e;
    sqlite3_stmt *q =
        store_stmt(w->s, "SELECT c, v, site, seq FROM tonle_local WHERE t = ?1 AND k = ?2");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, t->t);
    store_bind_blob(q, 2, r->k.key, r->k.len);
    out->column = arena_alloc(w->a, t->n_local * sizeof *out->column);
    out->value = arena_alloc(w->a, t->n_local * sizeof *out->value);
    for (bool row = true; e == ERR_OK && row;) {
        e = store_step(w->s, q, &row);
        if (e != ERR_OK || !row)
            break;
        struct dot of = {store_column_u64(q, 2), store_column_u64(q, 3)};
        const char *column = store_column_text(w->a, q, 0);
        bool mine =
            dot_equal(of, b->name) || (dot_is_none(b->name) && !row_find_birth(&r->row, of));
        if (!mine || !is_local(t, column) || out->n == t->n_local)
            continue;
        out->column[out->n] = column;
        out->value[out->n++] = store_column(w->a, q, 1);
    }
    return e;
}
