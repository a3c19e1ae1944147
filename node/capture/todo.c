/* tonle_todo: changes for the next seal that no statement of an application can express. An entry
 * is one birth of one row; cells: varint n, then for each the column's number as a varint and
 * value_encode of its absolute value. store_collect turns entries into row changes, which sees all
 * that has been applied here, and store_collect_done deletes them. */
#include "node/capture/collect.h"

#include "node/capture/capture.h"
#include "node/db/sqlite.h"
#include "protocol/limits.h"

#include <stdlib.h>
#include <string.h>

static uint64_t cell_bytes(const struct value *v)
{
    return v->type >= VALUE_TEXT ? v->len : 0;
}

/* What no changeset could carry is refused here, where somebody hears it. */
static enum err sendable(struct store *s, struct row_key k, enum change_kind kind, uint32_t n_cells,
                         const uint32_t *column, const struct value *value)
{
    uint64_t bytes = 16 + k.len + 9 * (uint64_t)k.t->n_key; /* as store_collect counts */
    if (k.len > LIMIT_KEY_BYTES)
        return store_fail(s, ERR_LIMIT, "the key has %zu bytes, at most %u can be sent", k.len,
                          LIMIT_KEY_BYTES);
    for (uint32_t i = 0; i < n_cells; i++) {
        const char *name = k.t->column[column[i]];
        bytes += 9 + cell_bytes(&value[i]);
        if (cell_bytes(&value[i]) > LIMIT_VALUE_BYTES)
            return store_fail(s, ERR_LIMIT, "%s has %u bytes, at most %u can be sent", name,
                              value[i].len, LIMIT_VALUE_BYTES);
        if (kind == CHANGE_BORN && value[i].type == VALUE_WIDE)
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

enum err todo_put(struct store *s, struct row_key k, struct dot birth, enum change_kind kind,
                  uint32_t n_cells, const uint32_t *column, const struct value *value)
{
    enum err e = sendable(s, k, kind, n_cells, column, value);
    if (e != ERR_OK)
        return e;
    struct buf cells = {0};
    buf_put_varint(&cells, n_cells);
    for (uint32_t i = 0; i < n_cells; i++) {
        buf_put_varint(&cells, column[i]);
        value_encode(&cells, &value[i]);
    }
    sqlite3_stmt *q = store_stmt(s, "INSERT INTO tonle_todo(t, k, site, seq, kind, cells)"
                                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
    if (q) {
        sqlite3_bind_int64(q, 1, k.t->t);
        store_bind_blob(q, 2, k.key, k.len);
        store_bind_u64(q, 3, birth.site);
        store_bind_u64(q, 4, birth.seq);
        sqlite3_bind_int(q, 5, (int)kind);
        store_bind_blob(q, 6, cells.data, cells.len);
    }
    e = q ? store_run(s, q) : ERR_SCHEMA;
    buf_fini(&cells);
    return e;
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

static enum err read_entry(struct store *s, struct arena *a, sqlite3_stmt *q, struct todo *x)
{
    const struct table_schema *t = schema_by_number(s, (uint32_t)sqlite3_column_int64(q, 1));
    *x = (struct todo){.n = sqlite3_column_int64(q, 0),
                       .table = t ? (uint32_t)(t - s->schema->tables) : UINT32_MAX,
                       .key = store_column_bytes(a, q, 2),
                       .birth = {store_column_u64(q, 3), store_column_u64(q, 4)},
                       .kind = (enum change_kind)sqlite3_column_int(q, 5)};
    enum err e = read_cells(a, store_column_bytes(a, q, 6), x);
    return e == ERR_OK ? e : store_fail(s, e, "tonle_todo holds an entry that is none");
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
    enum err e = ERR_OK;
    *out = (struct todo_list){0};
    sqlite3_stmt *q =
        store_stmt(s, "SELECT n, t, k, site, seq, kind, cells FROM tonle_todo ORDER BY n LIMIT ?1");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, (int64_t)max + 1);
    for (bool row = true; e == ERR_OK && row;) {
        e = store_step(s, q, &row);
        if (e != ERR_OK || !row)
            break;
        out->more = out->n == max;
        if (out->more) {
            sqlite3_reset(q);
            break;
        }
        out->entry = arena_grow(a, out->entry, out->n, &cap, sizeof *out->entry);
        e = read_entry(s, a, q, &out->entry[out->n++]);
    }
    if (out->n)
        qsort(out->entry, out->n, sizeof *out->entry, by_table_and_key);
    return e;
}

enum err todo_done(struct store *s, const struct todo_list *l)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < l->n; i++) {
        if (!l->entry[i].taken)
            continue;
        sqlite3_stmt *q = store_stmt(s, "DELETE FROM tonle_todo WHERE n = ?1");
        if (!q)
            return ERR_SCHEMA;
        sqlite3_bind_int64(q, 1, l->entry[i].n);
        e = store_run(s, q);
    }
    return e;
}
