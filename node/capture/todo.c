/* tonle_todo: changes for the next seal that no statement of an application can express. An entry
 * is one birth of one row; cells: varint n, then for each the column's number as a varint and
 * value_encode of its absolute value. store_collect turns entries into row changes, which sees all
 * that has been applied here, and store_collect_done deletes them. */
#include "node/capture/collect.h"

#include "conflict/twin.h"
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "protocol/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint64_t cell_bytes(const struct value *v)
{
    return v->type >= VALUE_TEXT ? v->len : 0;
}

/* What no changeset could carry is refused here, where somebody hears it. */
static enum err sendable(struct store *s, struct row_key k, const struct todo_change *c)
{
    uint64_t bytes = 16 + k.len + 9 * (uint64_t)k.t->n_key; /* as store_collect counts */
    if (k.len > LIMIT_KEY_BYTES)
        return store_fail(s, ERR_LIMIT, "the key has %zu bytes, at most %u can be sent", k.len,
                          LIMIT_KEY_BYTES);
    for (uint32_t i = 0; i < c->n_cells; i++) {
        const char *name = k.t->column[c->column[i]];
        const struct value *v = &c->value[i];
        bytes += 9 + cell_bytes(v);
        if (cell_bytes(v) > LIMIT_VALUE_BYTES)
            return store_fail(s, ERR_LIMIT, "%s has %u bytes, at most %u can be sent", name, v->len,
                              LIMIT_VALUE_BYTES);
        if (c->kind == CHANGE_BORN && v->type == VALUE_WIDE)
            return store_fail(s, ERR_REFUSED,
                              "the sum of %s is beyond what a database integer holds: give it a"
                              " value with --set %s=N",
                              name, name);
    }
    if (bytes > LIMIT_ROW_BYTES)
        return store_fail(s, ERR_LIMIT, "the values have %llu bytes, at most %u can be sent",
                          (unsigned long long)bytes, LIMIT_ROW_BYTES);
    return ERR_OK;
}

enum err todo_put(struct store *s, struct row_key k, const struct todo_change *c)
{
    assert(s->in_write && k.len > 0);
    assert(c->kind != CHANGE_BORN || (c->n_cells == k.t->n_columns && dot_is_none(c->birth)));
    for (uint32_t i = 1; i < c->n_cells; i++)
        assert(c->column[i - 1] < c->column[i]);
    enum err e = sendable(s, k, c);
    if (e != ERR_OK)
        return e;
    struct buf cells = {0};
    buf_put_varint(&cells, c->n_cells);
    for (uint32_t i = 0; i < c->n_cells; i++) {
        buf_put_varint(&cells, c->column[i]);
        value_encode(&cells, &c->value[i]);
    }
    e = DB_RUN(s,
               "INSERT INTO tonle_todo(t, k, site, seq, kind, cells)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
               value_integer(k.t->t), value_blob(k.key, k.len), value_u64(c->birth.site),
               value_u64(c->birth.seq), value_integer(c->kind), value_blob(cells.data, cells.len));
    buf_fini(&cells);
    return e;
}

enum err todo_put_delete(struct store *s, struct arena *a, struct row_key k, const struct row *r,
                         const struct birth *b)
{
    const struct birth **twin_of = row_twins(a, r, &k.t->rules);
    struct todo_change gone = {.kind = CHANGE_DELETE, .birth = b->name};
    enum err e = todo_put(s, k, &gone);
    for (uint32_t i = 0; e == ERR_OK && twin_of && i < r->n_births; i++) {
        gone.birth = r->births[i].name;
        if (twin_of[i] == b)
            e = todo_put(s, k, &gone);
    }
    return e;
}

enum err todo_has_birth(struct store *s, struct row_key k, bool *yes)
{
    struct query q =
        DB_QUERY(s, "SELECT 1 FROM tonle_todo WHERE t = ?1 AND k = ?2 AND kind = ?3",
                 value_integer(k.t->t), value_blob(k.key, k.len), value_integer(CHANGE_BORN));
    *yes = query_next(&q);
    return query_end(&q);
}

enum err todo_has(struct store *s, struct row_key k, bool *yes)
{
    struct query q = DB_QUERY(s, "SELECT 1 FROM tonle_todo WHERE t = ?1 AND k = ?2",
                              value_integer(k.t->t), value_blob(k.key, k.len));
    *yes = query_next(&q);
    return query_end(&q);
}

/* ---- reading */

static enum err read_cells(struct arena *a, struct bytes b, struct todo *x)
{
    struct cursor c = cursor_of(b.p, b.len);
    uint64_t n = cursor_varint(&c);
    if (c.failed || n > LIMIT_COLUMNS)
        return ERR_CORRUPT;
    x->column = arena_alloc(a, n * sizeof *x->column);
    x->value = arena_alloc(a, n * sizeof *x->value);
    for (; x->n_cells < n; x->n_cells++) {
        x->column[x->n_cells] = (uint32_t)cursor_varint(&c);
        if (c.failed || value_decode(&c, &x->value[x->n_cells]) != ERR_OK)
            return ERR_CORRUPT;
    }
    return c.left ? ERR_CORRUPT : ERR_OK;
}

static enum err read_entry(struct arena *a, const struct query *q, struct todo *x)
{
    const struct table_schema *t = schema_by_number(q->s, (uint32_t)query_i64(q, 1));
    *x = (struct todo){.n = query_i64(q, 0),
                       .table = t ? (uint32_t)(t - q->s->schema->tables) : UINT32_MAX,
                       .key = query_bytes(q, a, 2),
                       .birth = {query_u64(q, 3), query_u64(q, 4)},
                       .kind = (enum change_kind)query_i64(q, 5)};
    enum err e = read_cells(a, query_bytes(q, a, 6), x);
    return e == ERR_OK ? e : store_fail(q->s, e, "tonle_todo holds an entry that is none");
}

static int by_table_and_key(const void *x, const void *y)
{
    const struct todo *a = x, *b = y;
    if (a->table != b->table)
        return a->table < b->table ? -1 : 1;
    int order = todo_key_compare(a->key, b->key);
    return order ? order : a->n < b->n ? -1 : a->n > b->n;
}

int todo_key_compare(struct bytes a, struct bytes b)
{
    int order = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
    return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

enum err todo_read(struct store *s, struct arena *a, uint32_t max, struct todo_list *out)
{
    size_t cap = 0;
    *out = (struct todo_list){0};
    struct query q =
        DB_QUERY(s, "SELECT n, t, k, site, seq, kind, cells FROM tonle_todo ORDER BY n LIMIT ?1",
                 value_integer((int64_t)max + 1));
    while (!out->more && query_next(&q)) {
        out->more = out->n == max;
        if (out->more)
            continue;
        out->entry = arena_grow(a, out->entry, out->n, &cap, sizeof *out->entry);
        query_fail(&q, read_entry(a, &q, &out->entry[out->n++]));
    }
    if (out->n)
        qsort(out->entry, out->n, sizeof *out->entry, by_table_and_key);
    return query_end(&q);
}

enum err todo_done(struct store *s, const struct todo_list *l)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < l->n; i++) {
        if (l->entry[i].taken)
            e = DB_RUN(s, "DELETE FROM tonle_todo WHERE n = ?1", value_integer(l->entry[i].n));
    }
    return e;
}
