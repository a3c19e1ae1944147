#include "node/record/table.h"

#include <string.h>

/* Runs a statement that writes a row of t. */
static enum err run_write(struct store *s, const struct table_schema *t, sqlite3_stmt *q)
{
    if (t->hub_only)
        units_changed(s);
    return store_run(s, q);
}

enum err part_insert(struct store *s, const struct table_schema *t, const struct value *values)
{
    struct buf sql = {0};
    buf_printf(&sql, "INSERT OR ABORT INTO %s(%s) VALUES(?1", t->qname, t->column_list);
    for (uint32_t c = 1; c < t->n_columns; c++)
        buf_printf(&sql, ",?%u", c + 1);
    buf_printf(&sql, ")");
    sqlite3_stmt *q = store_stmt(s, buf_str(&sql));
    buf_fini(&sql);
    if (!q)
        return part_stmt_error(s);
    for (uint32_t c = 0; c < t->n_columns; c++)
        store_bind(q, (int)c + 1, &values[c]);
    return run_write(s, t, q);
}

uint64_t part_mask(const struct table_schema *t, const struct value *old,
                   const struct value *values)
{
    uint64_t mask = 0;
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (!value_equal(&old[c], &values[c]))
            mask |= (uint64_t)1 << (c < 63 ? c : 63);
    return mask;
}

enum err part_update(struct store *s, const struct table_schema *t, const struct value *old,
                     const struct value *values)
{
    struct arena scratch = {0};
    struct buf sql = {0};
    int n = (int)t->n_key;
    buf_printf(&sql, "UPDATE OR ABORT %s SET ", t->qname);
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (!value_equal(&old[c], &values[c]))
            buf_printf(&sql, "%s%s = ?%d", n == (int)t->n_key ? "" : ", ",
                       schema_quote(&scratch, t->column[c]), n + 1),
                n++;
    buf_printf(&sql, " WHERE %s", t->key_where);
    sqlite3_stmt *q = n == (int)t->n_key ? NULL : store_stmt(s, buf_str(&sql));
    buf_fini(&sql);
    arena_fini(&scratch);
    if (n == (int)t->n_key)
        return ERR_OK;
    if (!q)
        return part_stmt_error(s);
    for (uint32_t k = 0; k < t->n_key; k++)
        store_bind(q, (int)k + 1, &old[t->key[k]]);
    n = (int)t->n_key;
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (!value_equal(&old[c], &values[c]))
            store_bind(q, ++n, &values[c]);
    return run_write(s, t, q);
}

enum err part_delete(struct store *s, struct row_key k)
{
    struct arena scratch = {0};
    struct buf sql = {0};
    buf_printf(&sql, "DELETE FROM %s WHERE %s", k.t->qname, k.t->key_where);
    sqlite3_stmt *q = store_stmt(s, buf_str(&sql));
    buf_fini(&sql);
    enum err e = !q ? part_stmt_error(s) : row_bind_key(&scratch, q, k, 1);
    if (e == ERR_OK)
        e = run_write(s, k.t, q);
    arena_fini(&scratch);
    return e;
}

const char *part_hex(struct arena *a, const uint8_t *p, size_t n)
{
    static const char digit[] = "0123456789abcdef";
    char *out = arena_alloc(a, 2 * n + 1);
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[p[i] >> 4];
        out[2 * i + 1] = digit[p[i] & 15];
        any |= p[i] != 0;
    }
    if (!any)
        out[0] = '\0';
    return out;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool part_unhex(const char *text, uint8_t *out, size_t n)
{
    memset(out, 0, n);
    if (text[0] == '\0')
        return true;
    if (strlen(text) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

struct value *part_birth_values(struct arena *a, const struct table_schema *t,
                                const struct birth *b)
{
    struct value *v = arena_alloc(a, t->n_columns * sizeof *v);
    for (uint32_t c = 0; c < t->n_columns; c++)
        v[c] = birth_show(a, b, c, &t->rules).value;
    return v;
}

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

/* ---- slices */

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
