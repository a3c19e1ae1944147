/* Columns that only this office has: what was kept of them when the row was taken out of its table
 * (record/local.c) returns with the INSERT that brings the same birth back. A birth that lost its
 * name since takes what belongs to no birth on record. */
#include "node/apply/work.h"

#include "node/db/sqlite.h"

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
