#include "node/store_part.h"

#include <string.h>

enum err part_stmt_error(struct store *s)
{
    return store_error(s, sqlite3_extended_errcode(s->db));
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
    if (q == NULL)
        return part_stmt_error(s);
    for (uint32_t c = 0; c < t->n_columns; c++)
        store_bind(q, (int)c + 1, &values[c]);
    return store_run(s, q);
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
                       schema_quote(&scratch, t->column[c]), n + 1), n++;
    buf_printf(&sql, " WHERE %s", t->key_where);
    sqlite3_stmt *q = n == (int)t->n_key ? NULL : store_stmt(s, buf_str(&sql));
    buf_fini(&sql);
    arena_fini(&scratch);
    if (n == (int)t->n_key)
        return ERR_OK;
    if (q == NULL)
        return part_stmt_error(s);
    for (uint32_t k = 0; k < t->n_key; k++)
        store_bind(q, (int)k + 1, &old[t->key[k]]);
    n = (int)t->n_key;
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (!value_equal(&old[c], &values[c]))
            store_bind(q, ++n, &values[c]);
    return store_run(s, q);
}

enum err part_delete(struct store *s, struct row_key k)
{
    struct arena scratch = {0};
    struct buf sql = {0};
    buf_printf(&sql, "DELETE FROM %s WHERE %s", k.t->qname, k.t->key_where);
    sqlite3_stmt *q = store_stmt(s, buf_str(&sql));
    buf_fini(&sql);
    enum err e = q == NULL ? part_stmt_error(s) : row_bind_key(&scratch, q, k, 1);
    if (e == ERR_OK)
        e = store_run(s, q);
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
