#include "node/record/table.h"

#include <assert.h>
#include <string.h>

/* Which of several it was cannot be asked of SQLite: all that could are named. */
char *part_ignored(struct store *s, struct arena *a, const struct table_schema *t)
{
    struct buf b = {0};
    struct query q = DB_QUERY(s,
                              "SELECT name FROM temp.sqlite_schema WHERE type = 'trigger'"
                              " AND tbl_name = ?1 COLLATE NOCASE AND sql LIKE '%IGNORE%'"
                              " ORDER BY name",
                              value_text(t->name));
    while (query_next(&q))
        buf_printf(&b, "%s%.64s", b.len ? " or " : "", query_borrow_text(&q, 0));
    bool named = query_end(&q) == ERR_OK && b.len > 0;
    struct buf text = {0};
    if (named)
        buf_printf(&text, "trigger %s of this office ignored it (RAISE(IGNORE))", buf_str(&b));
    else
        buf_printf(&text, "the statement changed no row of %.64s", t->name);
    char *out = arena_strdup(a, buf_str(&text));
    buf_fini(&b);
    buf_fini(&text);
    return out;
}

/* SQLite refused a statement on the row: whether our transaction went with it. */
static enum err refused(struct store *s, struct row_key k)
{
    char why[sizeof s->message];
    memcpy(why, s->message, sizeof why);
    return store_standing(s) == ERR_OK ? ERR_CONSTRAINT : raised_remember(s, k, why);
}

/* Runs a statement that writes the row, to its end. */
static enum err run_write(struct query *q, struct row_key k)
{
    struct store *s = q->s;
    assert(s->in_write);
    if (k.t->hub_only)
        units_changed(s);
    const char *raised = raised_before(s, k);
    if (raised)
        query_fail(q, store_fail(s, ERR_CONSTRAINT, "%s", raised));
    query_next(q);
    enum err e = query_end(q);
    if (e == ERR_CONSTRAINT && !raised)
        return refused(s, k);
    if (e != ERR_OK || db_changes(s) == 1)
        return e;
    struct arena scratch = {0};
    e = store_fail(s, ERR_CONSTRAINT, "%s", part_ignored(s, &scratch, k.t));
    arena_fini(&scratch);
    return e;
}

/* The row that these values are of. */
static enum err run_write_of(struct query *q, const struct table_schema *t,
                             const struct value *values)
{
    struct buf key = {0};
    schema_key_encode(t, values, &key);
    enum err e = run_write(q, (struct row_key){t, key.data, key.len});
    buf_fini(&key);
    return e;
}

enum err part_insert(struct store *s, const struct table_schema *t, const struct value *values)
{
    struct buf sql = {0};
    buf_printf(&sql, "INSERT OR ABORT INTO %s(%s) VALUES(?1", t->qname, t->column_list);
    for (uint32_t c = 1; c < t->n_columns; c++)
        buf_printf(&sql, ",?%u", c + 1);
    buf_printf(&sql, ")");
    struct query q = query_of(s, buf_str(&sql), t->n_columns, values);
    buf_fini(&sql);
    return run_write_of(&q, t, values);
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
    if (part_mask(t, old, values) == 0)
        return ERR_OK;
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
    struct query q = DB_QUERY(s, buf_str(&sql));
    buf_fini(&sql);
    arena_fini(&scratch);
    for (uint32_t k = 0; k < t->n_key; k++)
        query_bind(&q, (int)k + 1, old[t->key[k]]);
    n = (int)t->n_key;
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (!value_equal(&old[c], &values[c]))
            query_bind(&q, ++n, values[c]);
    return run_write_of(&q, t, old);
}

enum err part_delete(struct store *s, struct row_key k)
{
    struct arena scratch = {0};
    struct buf sql = {0};
    buf_printf(&sql, "DELETE FROM %s WHERE %s", k.t->qname, k.t->key_where);
    struct query q = DB_QUERY(s, buf_str(&sql));
    buf_fini(&sql);
    query_bind_key(&q, &scratch, k, 1);
    enum err e = run_write(&q, k);
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

bool part_birth_unknown(struct arena *a, const struct table_schema *t, const struct birth *b)
{
    return birth_show(a, b, t->key[0], &t->rules).value.type == VALUE_NULL;
}

bool part_birth_torn(struct arena *a, const struct table_schema *t, const struct birth *b)
{
    return birth_alive(b, &t->rules) && part_birth_unknown(a, t, b);
}
