/* First pass over a log: one entry a key.
 *
 * A log of ordinary size is read to its end. A big one (a node that was stopped, one statement over
 * a million rows) would be read to its end for every piece of it that is sealed: it gets an index
 * on its key once, then its beginning is read, and what else it holds of the same keys is found
 * through the index. The index costs the application a little until the log is empty again. */
#include "node/capture/collect.h"

#include "node/db/query.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static struct log_entry *find(const struct table_work *w, uint64_t hash, const uint8_t *key,
                              size_t len)
{
    struct map_search at = map_seek(&w->by_key, hash);
    while (map_next(&w->by_key, &at)) {
        struct log_entry *e = &w->entries[at.number];
        if (e->key_len == len && memcmp(e->key, key, len) == 0)
            return e;
    }
    return NULL;
}

struct log_entry *collect_entry(const struct table_work *w, const uint8_t *key, size_t len)
{
    return find(w, hash_key(VALUE_HASH_SEED, key, len), key, len);
}

/* The entry of a key; a new one when `may_add`, else NULL. */
static struct log_entry *find_entry(struct collected *c, struct table_work *w,
                                    const struct buf *key, bool may_add)
{
    uint64_t hash = hash_key(VALUE_HASH_SEED, key->data, key->len);
    struct log_entry *e = find(w, hash, key->data, key->len);
    if (e || !may_add)
        return e;
    map_put(&w->by_key, hash, w->n_entries);
    w->entries = mem_grow(w->entries, w->n_entries, &w->entries_cap, sizeof *w->entries);
    e = &w->entries[w->n_entries++];
    *e = (struct log_entry){.key = arena_copy(&c->arena, key->data, key->len),
                            .key_len = (uint32_t)key->len};
    return e;
}

/* The event's key as bytes. False with a NULL: no identity. */
static bool key_of(const struct query *q, struct arena *scratch, uint32_t n, struct buf *key)
{
    bool whole = true;
    buf_reset(key);
    for (uint32_t i = 0; i < n; i++) {
        struct value v = query_value(q, scratch, 2 + (int)i);
        whole = whole && v.type != VALUE_NULL;
        key_encode(key, &v, 1);
    }
    return whole;
}

static void note_event(struct log_entry *e, const struct query *q, const struct table_schema *t,
                       bool new)
{
    int64_t rowid = query_i64(q, 0), op = query_i64(q, 1);
    assert(!e->last_full || rowid > e->last_full); /* in the order of the log */
    if (new)
        e->existed = op != OP_INSERT;
    /* An application's trigger that runs ahead of ours and writes the new row once more is in the
     * log before the insert. Where there was a row, the insert put it aside: a candidate. */
    if (op == OP_INSERT && !e->first_full)
        e->existed = false;
    if (op != OP_UPDATE && op != OP_SUMS && op != OP_CANDIDATE)
        e->moved = op == OP_MOVED ? rowid : 0;
    if (op == OP_DELETE || op == OP_CANDIDATE || op == OP_MOVED) {
        e->last_full = rowid;
        e->first_full = e->first_full ? e->first_full : rowid;
    }
    if (op == OP_DELETE || op == OP_CANDIDATE || op == OP_MOVED || op == OP_SUMS)
        e->first_sums = e->first_sums ? e->first_sums : rowid;
    for (uint32_t w = 0; op == OP_UPDATE && w < capture_words(t); w++) {
        if (!e->first_full)
            e->before[w] |= query_u64(q, 2 + (int)t->n_key + (int)w);
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

/* Events of one key behind a place in the log; the keys there have neither affinity nor
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
    struct arena a = {0}, scratch = {0};
    struct buf key = {0};
    struct query q = DB_QUERY(s, scan_sql(&a, t));
    bool full = false;
    while (!full && query_next(&q)) {
        uint32_t before = w->n_entries;
        struct log_entry *entry = NULL;
        arena_reset(&scratch);
        bool whole = key_of(&q, &scratch, t->n_key, &key);
        entry = find_entry(c, w, &key, before < max_keys);
        if (!entry) {
            w->left = true;
            full = indexed;
            continue;
        }
        entry->no_key = !whole;
        note_event(entry, &q, t, w->n_entries > before);
        *last = query_i64(&q, 0);
        add_event(w, *last, (uint32_t)(entry - w->entries));
    }
    buf_fini(&key);
    arena_fini(&scratch);
    arena_fini(&a);
    return query_end(&q);
}

/* What stands behind `last` of the keys already found. */
static enum err scan_rest(struct store *s, struct table_work *w, int64_t last)
{
    const struct table_schema *t = &s->schema->tables[w->table];
    struct arena a = {0};
    struct value *v = arena_alloc(&a, (1 + t->n_key) * sizeof *v);
    const char *sql = more_sql(&a, t);
    enum err e = ERR_OK;
    v[0] = value_integer(last);
    for (uint32_t i = 0; e == ERR_OK && i < w->n_entries; i++) {
        struct log_entry *entry = &w->entries[i];
        if (entry->no_key) /* it is looked at again when these are read */
            continue;
        e = key_decode(entry->key, entry->key_len, v + 1, t->n_key);
        if (e != ERR_OK)
            break;
        struct query q = query_of(s, sql, 1 + t->n_key, v);
        while (query_next(&q)) {
            note_event(entry, &q, t, false);
            add_event(w, query_i64(&q, 0), i);
        }
        e = query_end(&q);
    }
    arena_fini(&a);
    return e;
}

/* ---- the index of a big log ---- */

enum err collect_has_index(struct store *s, uint32_t t, bool *yes)
{
    char name[32];
    snprintf(name, sizeof name, "tonle_lkey_%u", t);
    struct query q = DB_QUERY(
        s, "SELECT 1 FROM main.sqlite_schema WHERE type = 'index' AND name = ?1", value_text(name));
    *yes = query_next(&q);
    return query_end(&q);
}

/* *rows: as far as rowids tell. */
static enum err log_length(struct store *s, uint32_t t, int64_t *rows)
{
    struct buf b = {0};
    buf_printf(
        &b, "SELECT (SELECT max(rowid) FROM tonle_log_%u) - (SELECT min(rowid) FROM tonle_log_%u)",
        t, t);
    struct query q = DB_QUERY(s, buf_str(&b));
    *rows = query_next(&q) ? query_i64(&q, 0) : 0;
    buf_fini(&b);
    return query_end(&q);
}

static enum err make_index(struct store *s, const struct table_schema *t)
{
    struct arena a = {0};
    struct buf b = {0};
    buf_printf(&b, "CREATE INDEX tonle_lkey_%u ON tonle_log_%u(", t->t, t->t);
    for (uint32_t i = 0; i < t->n_key; i++)
        buf_printf(&b, "%s%s", i ? "," : "", capture_name(&a, "k_", t->column[t->key[i]]));
    buf_printf(&b, ")");
    enum err e = store_exec(s, buf_str(&b));
    buf_fini(&b);
    arena_fini(&a);
    return e;
}

enum err collect_index_big(struct store *s, const struct table_schema *t, bool *made)
{
    int64_t rows;
    bool has = true;
    *made = false;
    enum err e = log_length(s, t->t, &rows);
    if (e == ERR_OK && rows > BIG_LOG)
        e = collect_has_index(s, t->t, &has);
    if (e != ERR_OK || has)
        return e;
    *made = true;
    return make_index(s, t);
}

enum err collect_index_drop(struct store *s, uint32_t t)
{
    char sql[64];
    bool has;
    snprintf(sql, sizeof sql, "DROP INDEX IF EXISTS main.tonle_lkey_%u", t);
    enum err e = collect_has_index(s, t, &has);
    return e == ERR_OK && has ? store_exec(s, sql) : e;
}

enum err collect_scan(struct store *s, struct collected *c, struct table_work *w, uint32_t max_keys)
{
    int64_t last = 0;
    bool indexed;
    enum err e = collect_has_index(s, s->schema->tables[w->table].t, &indexed);
    if (e == ERR_OK)
        e = scan_front(s, c, w, max_keys, indexed, &last);
    return e == ERR_OK && w->left && indexed ? scan_rest(s, w, last) : e;
}
