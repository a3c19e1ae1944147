#include "node/record/table.h"

#include "node/db/sqlite.h"
#include "node/record/bind.h"

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

struct value *part_birth_values(struct arena *a, const struct table_schema *t,
                                const struct birth *b)
{
    struct value *v = arena_alloc(a, t->n_columns * sizeof *v);
    for (uint32_t c = 0; c < t->n_columns; c++)
        v[c] = birth_show(a, b, c, &t->rules).value;
    return v;
}
