/* First pass over a log: one entry a key.
 *
 * A log of ordinary size is read to its end. A big one (a node that was stopped, one statement over
 * a million rows) would be read to its end for every piece of it that is sealed: it gets an index
 * on its key once, then its beginning is read, and what else it holds of the same keys is found
 * through the index. The index costs the application a little until the log is empty again. */
#include "node/capture/collect.h"

#include "node/db/sqlite.h"

#include <stdio.h>
#include <string.h>

static void grow_slots(struct table_work *w)
{
    uint32_t n = w->n_slots ? w->n_slots * 2 : 1024;
    mem_free(w->slots);
    w->slots = mem_alloc(n * sizeof *w->slots);
    w->n_slots = n;
    for (uint32_t i = 0; i < w->n_entries; i++) {
        const struct log_entry *e = &w->entries[i];
        uint64_t h = hash_key(VALUE_HASH_SEED, e->key, e->key_len);
        uint32_t at = (uint32_t)h & (n - 1);
        while (w->slots[at])
            at = (at + 1) & (n - 1);
        w->slots[at] = i + 1;
    }
}

/* Where the key is, or would be. */
static uint32_t slot_of(const struct table_work *w, const uint8_t *key, size_t len)
{
    uint64_t h = hash_key(VALUE_HASH_SEED, key, len);
    uint32_t at = (uint32_t)h & (w->n_slots - 1);
    for (; w->slots[at]; at = (at + 1) & (w->n_slots - 1)) {
        const struct log_entry *e = &w->entries[w->slots[at] - 1];
        if (e->key_len == len && memcmp(e->key, key, len) == 0)
            break;
    }
    return at;
}

struct log_entry *collect_entry(const struct table_work *w, const uint8_t *key, size_t len)
{
    uint32_t at = w->n_slots ? slot_of(w, key, len) : 0;
    return w->n_slots && w->slots[at] ? &w->entries[w->slots[at] - 1] : NULL;
}

/* The entry of a key; a new one when `may_add`, else NULL. */
static struct log_entry *find_entry(struct collected *c, struct table_work *w,
                                    const struct buf *key, bool may_add)
{
    if (w->n_entries * 2 >= w->n_slots)
        grow_slots(w);
    uint32_t at = slot_of(w, key->data, key->len);
    if (w->slots[at] || !may_add)
        return w->slots[at] ? &w->entries[w->slots[at] - 1] : NULL;
    w->entries = mem_grow(w->entries, w->n_entries, &w->entries_cap, sizeof *w->entries);
    struct log_entry *e = &w->entries[w->n_entries++];
    *e = (struct log_entry){.key = arena_copy(&c->arena, key->data, key->len),
                            .key_len = (uint32_t)key->len};
    w->slots[at] = w->n_entries;
    return e;
}

/* Key bytes straight from the statement's columns. False with a NULL: no identity. */
static bool key_of(sqlite3_stmt *q, int first, uint32_t n, struct buf *key)
{
    buf_reset(key);
    for (uint32_t i = 0; i < n; i++) {
        int column = first + (int)i;
        struct value v;
        switch (sqlite3_column_type(q, column)) {
        case SQLITE_INTEGER:
            v = value_integer(sqlite3_column_int64(q, column));
            break;
        case SQLITE_FLOAT:
            v = value_real(sqlite3_column_double(q, column));
            break;
        case SQLITE_TEXT:
            v = value_bytes(VALUE_TEXT, sqlite3_column_text(q, column), 0);
            v.len = (uint32_t)sqlite3_column_bytes(q, column);
            break;
        case SQLITE_BLOB:
            v = value_bytes(VALUE_BLOB, sqlite3_column_blob(q, column), 0);
            v.len = (uint32_t)sqlite3_column_bytes(q, column);
            break;
        default:
            return false;
        }
        key_encode(key, &v, 1);
    }
    return true;
}

static void note_event(struct log_entry *e, sqlite3_stmt *q, const struct table_schema *t, bool new)
{
    int op = sqlite3_column_int(q, 1);
    int64_t rowid = sqlite3_column_int64(q, 0);
    if (new)
        e->existed = op != OP_INSERT;
    /* An application's trigger that runs ahead of ours and writes the new row once more is in the
     * log before the insert. Where there was a row, the insert put it aside: a candidate. */
    if (op == OP_INSERT && !e->first_full)
        e->existed = false;
    if (op == OP_DELETE || op == OP_CANDIDATE) {
        e->last_full = rowid;
        e->first_full = e->first_full ? e->first_full : rowid;
    }
    if (op == OP_DELETE || op == OP_CANDIDATE || op == OP_SUMS)
        e->first_sums = e->first_sums ? e->first_sums : rowid;
    for (uint32_t w = 0; op == OP_UPDATE && w < capture_words(t); w++) {
        if (!e->first_full)
            e->before[w] |= (uint64_t)sqlite3_column_int64(q, 2 + (int)t->n_key + (int)w);
    }
}

/* ---- statements ---- */

static void put_columns(struct buf *b, struct arena *a, const struct table_schema *t)
{
    buf_printf(b, "SELECT rowid,\"op\"");
    for (uint32_t i = 0; i < t->n_key; i++)
        buf_printf(b, ",%s", capture_name(a, "k_", t->column[t->key[i]]));
    for (uint32_t w = 0; w < capture_words(t); w++)
        buf_printf(b, ",\"m%u\"", w);
    buf_printf(b, " FROM main.tonle_log_%u", t->t);
}

static char *scan_sql(struct arena *a, const struct table_schema *t)
{
    struct buf b = {0};
    put_columns(&b, a, t);
    buf_printf(&b, " ORDER BY rowid");
    return sql_take(a, &b);
}

/* Events of one key behind a place in the log; the log's columns have neither affinity nor
 * collation. */
static char *more_sql(struct arena *a, const struct table_schema *t)
{
    struct buf b = {0};
    put_columns(&b, a, t);
    buf_printf(&b, " WHERE rowid > ?1");
    for (uint32_t i = 0; i < t->n_key; i++)
        buf_printf(&b, " AND %s = ?%u", capture_name(a, "k_", t->column[t->key[i]]), i + 2);
    buf_printf(&b, " ORDER BY rowid");
    return sql_take(a, &b);
}

/* ---- reading ---- */

static void add_event(struct table_work *w, int64_t rowid, uint32_t entry)
{
    w->events = mem_grow(w->events, w->n_events, &w->events_cap, sizeof *w->events);
    w->events[w->n_events++] = (struct log_event){rowid, entry};
}

/* From the beginning. With `indexed` it stops at the first key too many; *last is where. */
static enum err scan_front(struct store *s, struct collected *c, struct table_work *w,
                           uint32_t max_keys, bool indexed, int64_t *last)
{
    const struct table_schema *t = &s->schema->tables[w->table];
    struct arena a = {0};
    struct buf key = {0};
    sqlite3_stmt *q = store_stmt(s, scan_sql(&a, t));
    enum err e = ERR_OK;
    for (bool row = true; row;) {
        e = store_step(s, q, &row);
        if (e != ERR_OK || !row)
            break;
        uint32_t before = w->n_entries;
        struct log_entry *entry = NULL;
        bool known = key_of(q, 2, t->n_key, &key);
        if (known)
            entry = find_entry(c, w, &key, before < max_keys);
        if (known && !entry) {
            w->left = true;
            if (!indexed)
                continue;
            sqlite3_reset(q);
            break;
        }
        if (entry)
            note_event(entry, q, t, w->n_entries > before);
        *last = sqlite3_column_int64(q, 0);
        add_event(w, *last, entry ? (uint32_t)(entry - w->entries) : UINT32_MAX);
    }
    buf_fini(&key);
    arena_fini(&a);
    return e;
}

/* What stands behind `last` of the keys already found. */
static enum err scan_rest(struct store *s, struct table_work *w, int64_t last)
{
    const struct table_schema *t = &s->schema->tables[w->table];
    struct arena a = {0};
    struct value *key = arena_alloc(&a, t->n_key * sizeof *key);
    sqlite3_stmt *q = store_stmt(s, more_sql(&a, t));
    enum err e = q ? ERR_OK : ERR_SCHEMA;
    for (uint32_t i = 0; e == ERR_OK && i < w->n_entries; i++) {
        struct log_entry *entry = &w->entries[i];
        e = key_decode(entry->key, entry->key_len, key, t->n_key);
        if (e != ERR_OK)
            break;
        sqlite3_bind_int64(q, 1, last);
        for (uint32_t k = 0; k < t->n_key; k++)
            store_bind(q, (int)k + 2, &key[k]);
        for (bool row = true; row;) {
            e = store_step(s, q, &row);
            if (e != ERR_OK || !row)
                break;
            note_event(entry, q, t, false);
            add_event(w, sqlite3_column_int64(q, 0), i);
        }
    }
    arena_fini(&a);
    return e;
}

/* ---- the index of a big log ---- */

static bool has_index(struct store *s, uint32_t t)
{
    bool row = false;
    char name[32];
    snprintf(name, sizeof name, "tonle_lkey_%u", t);
    sqlite3_stmt *q =
        store_stmt(s, "SELECT 1 FROM main.sqlite_schema WHERE type = 'index' AND name = ?1");
    if (q)
        store_bind_text(q, 1, name);
    enum err e = store_step(s, q, &row);
    if (row)
        sqlite3_reset(q);
    return e == ERR_OK && row;
}

enum err collect_index_big(struct store *s, uint32_t table, bool *made)
{
    const struct table_schema *t = &s->schema->tables[table];
    struct arena a = {0};
    struct buf b = {0};
    buf_printf(
        &b, "SELECT (SELECT max(rowid) FROM tonle_log_%u) - (SELECT min(rowid) FROM tonle_log_%u)",
        t->t, t->t);
    *made = store_pragma(s, buf_str(&b)) > BIG_LOG && !has_index(s, t->t);
    buf_reset(&b);
    buf_printf(&b, "CREATE INDEX tonle_lkey_%u ON tonle_log_%u(", t->t, t->t);
    for (uint32_t i = 0; i < t->n_key; i++)
        buf_printf(&b, "%s%s", i ? "," : "", capture_name(&a, "k_", t->column[t->key[i]]));
    buf_printf(&b, ")");
    enum err e = *made ? store_exec(s, buf_str(&b)) : ERR_OK;
    buf_fini(&b);
    arena_fini(&a);
    return e;
}

enum err collect_index_drop(struct store *s, uint32_t t)
{
    char sql[64];
    snprintf(sql, sizeof sql, "DROP INDEX IF EXISTS main.tonle_lkey_%u", t);
    return has_index(s, t) ? store_exec(s, sql) : ERR_OK;
}

enum err collect_scan(struct store *s, struct collected *c, struct table_work *w, uint32_t max_keys)
{
    int64_t last = 0;
    bool indexed = has_index(s, s->schema->tables[w->table].t);
    enum err e = scan_front(s, c, w, max_keys, indexed, &last);
    return e == ERR_OK && w->left && indexed ? scan_rest(s, w, last) : e;
}
