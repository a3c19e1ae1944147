#include "node/load/slice.h"

#include "node/db/sqlite.h"
#include "node/record/bind.h"

#include <string.h>

enum err part_same_columns(struct store *s, const struct table_schema *t,
                           const struct load_chunk *chunk)
{
    bool same = chunk->n_columns == t->n_columns;
    for (uint32_t i = 0; same && i < t->n_columns; i++)
        same = strcmp(chunk->columns[i], t->column[i]) == 0;
    return same ? ERR_OK
                : store_fail(s, ERR_SCHEMA,
                             "table %s has other columns at the sender than the charter here names",
                             t->name);
}

static void slice_sql(struct buf *sql, const struct key_range *want, bool after, bool upto)
{
    const struct table_schema *t = want->t;
    struct arena scratch = {0};
    uint32_t p = 1;
    buf_printf(sql, "SELECT %s FROM %s WHERE 1", t->column_list, t->qname);
    for (int side = 0; side < 2; side++) {
        if (side == 0 ? !after : !upto)
            continue;
        buf_printf(sql, " AND (%s) %s (?%u", t->key_order, side == 0 ? ">" : "<=", p++);
        for (uint32_t k = 1; k < t->n_key; k++)
            buf_printf(sql, ",?%u", p++);
        buf_printf(sql, ")");
    }
    for (uint32_t k = 0; k < t->n_key; k++) /* a TEXT PRIMARY KEY accepts NULL: no key of ours */
        buf_printf(sql, " AND %s IS NOT NULL", schema_quote(&scratch, t->column[t->key[k]]));
    buf_printf(sql, " ORDER BY %s LIMIT ?%u", t->key_order, p);
    arena_fini(&scratch);
}

static bool is_records_key(struct bytes key)
{
    return key.len > 0 && key.p[0] == PART_RECORDS;
}

static enum err slice_start(struct store *s, struct arena *a, const struct key_range *want,
                            sqlite3_stmt **q)
{
    bool after = want->after.len > 0;
    bool upto = want->upto.len > 0 && !is_records_key(want->upto);
    struct buf sql = {0};
    slice_sql(&sql, want, after, upto);
    *q = store_stmt(s, buf_str(&sql));
    buf_fini(&sql);
    if (!*q)
        return part_stmt_error(s);
    int p = 1;
    enum err e = ERR_OK;
    if (after)
        e = row_bind_key(a, *q, (struct row_key){want->t, want->after.p, want->after.len}, p);
    p += after ? (int)want->t->n_key : 0;
    if (e == ERR_OK && upto)
        e = row_bind_key(a, *q, (struct row_key){want->t, want->upto.p, want->upto.len}, p);
    p += upto ? (int)want->t->n_key : 0;
    if (e != ERR_OK)
        return store_fail(s, e, "%s: these bytes are not a key of the table", want->t->name);
    sqlite3_bind_int64(*q, p, (sqlite3_int64)want->max_rows);
    return ERR_OK;
}

enum err part_slice(struct store *s, struct arena *a, const struct key_range *want,
                    struct slice_rows *out)
{
    const struct table_schema *t = want->t;
    *out = (struct slice_rows){.end = true};
    if (is_records_key(want->after))
        return ERR_OK;
    sqlite3_stmt *q;
    enum err e = slice_start(s, a, want, &q);
    if (e != ERR_OK)
        return e;
    out->row = arena_alloc(a, want->max_rows * sizeof *out->row);
    out->key = arena_alloc(a, want->max_rows * sizeof *out->key);
    struct buf key = {0};
    size_t start = a->used_bytes;
    bool row = true, full = false;
    while (!full && (e = store_step(s, q, &row)) == ERR_OK && row) {
        struct value *v = arena_alloc(a, t->n_columns * sizeof *v);
        for (uint32_t c = 0; c < t->n_columns; c++)
            v[c] = store_column(a, q, (int)c);
        buf_reset(&key);
        schema_key_encode(t, v, &key);
        out->row[out->n] = v;
        out->key[out->n++] = (struct bytes){arena_copy(a, key.data, key.len), key.len};
        full = out->n == want->max_rows || a->used_bytes - start > want->max_bytes;
    }
    sqlite3_reset(q);
    buf_fini(&key);
    out->end = !full;
    return e;
}
