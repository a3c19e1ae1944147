#include "node/load/slice.h"

#include "node/db/query.h"
#include "protocol/limits.h"

#include <assert.h>
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

/* Behind the first key that is bound from parameter p on, and not behind the second; the number of
 * the next parameter. */
static uint32_t bounds_sql(struct buf *sql, const struct table_schema *t, bool after, bool upto,
                           uint32_t p)
{
    for (int side = 0; side < 2; side++) {
        if (side == 0 ? !after : !upto)
            continue;
        buf_printf(sql, " AND (%s) %s (?%u", t->key_order, side == 0 ? ">" : "<=", p++);
        for (uint32_t k = 1; k < t->n_key; k++)
            buf_printf(sql, ",?%u", p++);
        buf_printf(sql, ")");
    }
    return p;
}

static void slice_sql(struct buf *sql, const struct key_range *want, bool after, bool upto)
{
    const struct table_schema *t = want->t;
    struct arena scratch = {0};
    buf_printf(sql, "SELECT %s FROM %s WHERE 1", t->column_list, t->qname);
    uint32_t p = bounds_sql(sql, t, after, upto, 1);
    for (uint32_t k = 0; k < t->n_key; k++) /* a TEXT PRIMARY KEY accepts NULL: no key of ours */
        buf_printf(sql, " AND %s IS NOT NULL", schema_quote(&scratch, t->column[t->key[k]]));
    buf_printf(sql, " ORDER BY %s LIMIT ?%u", t->key_order, p);
    arena_fini(&scratch);
}

bool part_is_records_key(struct bytes key)
{
    return key.len > 0 && key.p[0] == PART_RECORDS;
}

static struct query slice_start(struct store *s, struct arena *a, const struct key_range *want)
{
    const struct table_schema *t = want->t;
    bool after = want->after.len > 0;
    bool upto = want->upto.len > 0 && !part_is_records_key(want->upto);
    struct buf sql = {0};
    slice_sql(&sql, want, after, upto);
    struct query q = DB_QUERY(s, buf_str(&sql));
    buf_fini(&sql);
    bool made = q.e == ERR_OK;
    int p = 1;
    if (after)
        query_bind_key(&q, a, (struct row_key){t, want->after.p, want->after.len}, p);
    p += after ? (int)t->n_key : 0;
    if (upto)
        query_bind_key(&q, a, (struct row_key){t, want->upto.p, want->upto.len}, p);
    p += upto ? (int)t->n_key : 0;
    if (made && q.e != ERR_OK)
        (void)store_fail(s, q.e, "%s: these bytes are not a key of the table", t->name);
    query_bind(&q, p, value_integer(want->max_rows));
    return q;
}

enum err part_slice(struct store *s, struct arena *a, const struct key_range *want,
                    struct slice_rows *out)
{
    const struct table_schema *t = want->t;
    *out = (struct slice_rows){.end = true};
    if (part_is_records_key(want->after))
        return ERR_OK;
    assert(want->max_rows > 0);
    struct query q = slice_start(s, a, want);
    out->row = arena_alloc(a, want->max_rows * sizeof *out->row);
    out->key = arena_alloc(a, want->max_rows * sizeof *out->key);
    struct buf key = {0};
    size_t start = a->used_bytes;
    bool full = false;
    while (!full && query_next(&q)) {
        struct value *v = query_values(&q, a, 0, t->n_columns);
        buf_reset(&key);
        schema_key_encode(t, v, &key);
        out->row[out->n] = v;
        out->key[out->n++] = (struct bytes){arena_copy(a, key.data, key.len), key.len};
        full = out->n == want->max_rows || a->used_bytes - start > want->max_bytes;
    }
    buf_fini(&key);
    out->end = !full;
    return query_end(&q);
}

/* A key's place; of an empty one, or one that is none, what is here for it. */
static struct value place(struct arena *a, const struct table_schema *t, struct bytes key,
                          uint8_t otherwise)
{
    struct buf b = {0};
    if (!schema_key_order(t, key, &b) && otherwise)
        buf_put_u8(&b, otherwise);
    struct value v = value_blob(arena_copy(a, b.data, b.len), b.len);
    buf_fini(&b);
    return v;
}

enum err part_held(struct store *s, struct arena *a, const struct key_range *want,
                   struct held_keys *out)
{
    bool upto = want->upto.len > 0 && !part_is_records_key(want->upto);
    struct bytes last = upto ? want->upto : (struct bytes){0}, at = {0};
    size_t cap = 0;
    *out = (struct held_keys){0};
    if (part_is_records_key(want->after))
        return ERR_OK;
    struct query q = DB_QUERY(s,
                              "SELECT DISTINCT o, k FROM tonle_held WHERE t = ?1 AND o > ?2"
                              " AND o <= ?3 ORDER BY o, k",
                              value_integer(want->t->t), place(a, want->t, want->after, 0),
                              place(a, want->t, last, 0xff));
    while (!out->full && query_next(&q)) {
        struct bytes o = query_borrow(&q, 0);
        bool same = o.len == at.len && memcmp(o.p, at.p, o.len) == 0;
        out->full = out->n >= want->max_rows && !same;
        if (out->full)
            break;
        at = same ? at : query_bytes(&q, a, 0);
        out->key = arena_grow(a, out->key, out->n, &cap, sizeof *out->key);
        out->key[out->n++] = query_bytes(&q, a, 1);
    }
    return query_end(&q);
}

bool part_is_behind(struct arena *a, const struct table_schema *t, struct bytes key,
                    struct bytes other)
{
    struct value x = place(a, t, key, 0), y = place(a, t, other, 0);
    int order = memcmp(x.u.p, y.u.p, x.len < y.len ? x.len : y.len);
    return order != 0 ? order > 0 : x.len > y.len;
}
