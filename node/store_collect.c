#include "node/store_capture.h"

#include "protocol/limits.h"

#include <stdlib.h>
#include <string.h>

/* The net effect of the capture logs.
 *
 * First pass over a log, in order: one entry a key, with what its events say of the time before. Second
 * pass: the row as it stands now, and the decision:
 *
 *   existed before   stands now
 *   no               yes          CHANGE_BORN, all columns
 *   no               no           nothing
 *   yes              yes          CHANGE_UPDATE of U and of the columns in which `first` differs from now
 *   yes              no           CHANGE_DELETE; cells: U and the columns in which `last` differs from `first`
 *
 * existed: the first event is not an insert. U: union of the masks of the updates before the first event
 * that carries the whole row (a delete or a candidate; `first`); `last` is the last such event. A column
 * outside U has in `first` the value from before the window, so after `first` no mask is needed.
 *
 * All events of a key are consumed together, or none: a key is never half sealed. */

struct entry {
    const uint8_t *key;
    uint32_t key_len;
    bool existed;
    bool taken;
    int64_t first_full, last_full; /* log rowids; 0: none */
    uint64_t before[MASK_WORDS];   /* U */
};

struct event {
    int64_t rowid;
    uint32_t entry;
};

struct table_work {
    uint32_t table; /* index into s->tables */
    uint32_t n_entries;
    size_t entries_cap;
    struct entry *entries;
    uint32_t n_events;
    size_t events_cap;
    struct event *events;
    bool left;      /* some events were not read: their keys wait */
    uint32_t *slots;
    uint32_t n_slots;
};

struct collected {
    uint32_t n;
    struct table_work *work;   /* one a log that was read */
    uint64_t oversize;         /* rows left out for their size */
    uint32_t n_tables;
    uint32_t *n_rows;
    const struct value ***old; /* [table][row], in the caller's arena */
    struct arena arena;        /* keys */
};

void collected_free(struct collected *c)
{
    for (uint32_t i = 0; c && i < c->n; i++) {
        mem_free(c->work[i].entries);
        mem_free(c->work[i].events);
        mem_free(c->work[i].slots);
    }
    if (c) {
        mem_free(c->work);
        arena_fini(&c->arena);
    }
    mem_free(c);
}

/* ---- first pass ---- */

static void grow_slots(struct table_work *w)
{
    uint32_t n = w->n_slots ? w->n_slots * 2 : 1024;
    mem_free(w->slots);
    w->slots = mem_alloc(n * sizeof *w->slots);
    w->n_slots = n;
    for (uint32_t i = 0; i < w->n_entries; i++) {
        const struct entry *e = &w->entries[i];
        uint64_t h = bytes_hash(VALUE_HASH_SEED, e->key, e->key_len);
        uint32_t at = (uint32_t)(h ^ h >> 32) & (n - 1);
        while (w->slots[at])
            at = (at + 1) & (n - 1);
        w->slots[at] = i + 1;
    }
}

/* The entry of a key; a new one when `may_add`, else NULL. */
static struct entry *find_entry(struct collected *c, struct table_work *w, const struct buf *key,
                                bool may_add)
{
    if (w->n_entries * 2 >= w->n_slots)
        grow_slots(w);
    uint64_t h = bytes_hash(VALUE_HASH_SEED, key->data, key->len);
    uint32_t at = (uint32_t)(h ^ h >> 32) & (w->n_slots - 1);
    for (; w->slots[at]; at = (at + 1) & (w->n_slots - 1)) {
        struct entry *e = &w->entries[w->slots[at] - 1];
        if (e->key_len == key->len && memcmp(e->key, key->data, key->len) == 0)
            return e;
    }
    if (!may_add)
        return NULL;
    w->entries = mem_grow(w->entries, w->n_entries, &w->entries_cap, sizeof *w->entries);
    struct entry *e = &w->entries[w->n_entries++];
    *e = (struct entry){.key = arena_copy(&c->arena, key->data, key->len), .key_len = (uint32_t)key->len};
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

static void note_event(struct entry *e, sqlite3_stmt *q, const struct table_schema *t, bool new)
{
    int op = sqlite3_column_int(q, 1);
    if (new)
        e->existed = op != OP_INSERT;
    if (op == OP_DELETE || op == OP_CANDIDATE) {
        e->last_full = sqlite3_column_int64(q, 0);
        e->first_full = e->first_full ? e->first_full : e->last_full;
    }
    for (uint32_t w = 0; op == OP_UPDATE && w < capture_words(t); w++) {
        if (!e->first_full)
            e->before[w] |= (uint64_t)sqlite3_column_int64(q, 2 + (int)t->n_key + (int)w);
    }
}

static char *scan_sql(struct arena *a, const struct table_schema *t)
{
    struct buf b = {0};
    buf_printf(&b, "SELECT rowid,\"op\"");
    for (uint32_t i = 0; i < t->n_key; i++) {
        struct buf name = {0};
        buf_printf(&name, "k_%s", t->column[t->key[i]]);
        buf_printf(&b, ",%s", schema_quote(a, buf_str(&name)));
        buf_fini(&name);
    }
    for (uint32_t w = 0; w < capture_words(t); w++)
        buf_printf(&b, ",\"m%u\"", w);
    buf_printf(&b, " FROM main.tonle_log_%u ORDER BY rowid", t->t);
    return sql_take(a, &b);
}

/* Reads a log; once there are max_keys keys, only further events of these. */
static enum err scan_log(struct store *s, struct collected *c, struct table_work *w, uint32_t max_keys)
{
    const struct table_schema *t = &s->tables[w->table];
    struct arena a = {0};
    struct buf key = {0};
    sqlite3_stmt *q = store_stmt(s, scan_sql(&a, t));
    enum err e = ERR_OK;
    for (bool row = true; row;) {
        e = store_step(s, q, &row);
        if (e != ERR_OK || !row)
            break;
        uint32_t before = w->n_entries;
        struct entry *entry = NULL;
        bool known = key_of(q, 2, t->n_key, &key);
        if (known)
            entry = find_entry(c, w, &key, before < max_keys);
        if (known && !entry) {
            w->left = true;
            continue;
        }
        if (entry)
            note_event(entry, q, t, w->n_entries > before);
        w->events = mem_grow(w->events, w->n_events, &w->events_cap, sizeof *w->events);
        w->events[w->n_events++] = (struct event){
            sqlite3_column_int64(q, 0), entry ? (uint32_t)(entry - w->entries) : UINT32_MAX};
    }
    buf_fini(&key);
    arena_fini(&a);
    return e;
}

/* ---- second pass ---- */

struct output {
    struct store *s;
    struct arena *a;
    struct collected *c;
    uint64_t bytes, max_bytes;
    uint32_t rows, max_rows;
    char *full_sql; /* the old row of a log row */
    struct table_changes *table;
    size_t rows_cap, old_cap;
    struct row_change *row;      /* heap while growing */
    const struct value **old;
};

static uint64_t value_bytes_used(const struct value *v)
{
    return 9 + (v->type == VALUE_TEXT || v->type == VALUE_BLOB ? (uint64_t)v->len : 0);
}

static enum err read_values(struct output *o, sqlite3_stmt *q, uint32_t n, struct value **out)
{
    bool row = false;
    enum err e = store_step(o->s, q, &row);
    *out = NULL;
    if (e != ERR_OK || !row)
        return e;
    *out = arena_alloc(o->a, n * sizeof **out);
    for (uint32_t i = 0; i < n; i++)
        (*out)[i] = store_column(o->a, q, (int)i);
    sqlite3_reset(q);
    return ERR_OK;
}

static enum err read_now(struct output *o, const struct table_schema *t, const struct value *key,
                         struct value **out)
{
    sqlite3_stmt *q = store_stmt(o->s, t->read_sql);
    if (!q)
        return ERR_SCHEMA;
    for (uint32_t i = 0; i < t->n_key; i++)
        store_bind(q, (int)i + 1, &key[i]);
    return read_values(o, q, t->n_columns, out);
}

static enum err read_full(struct output *o, const struct table_schema *t, int64_t rowid, struct value **out)
{
    *out = NULL;
    if (!rowid)
        return ERR_OK;
    sqlite3_stmt *q = store_stmt(o->s, o->full_sql);
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, rowid);
    return read_values(o, q, t->n_columns, out);
}

static bool masked(const uint64_t *mask, uint32_t column)
{
    return mask[column / MASK_BITS] >> (column % MASK_BITS) & 1;
}

/* Cells: the columns in U or that differ between `first` and `then`, with their values in `then`. */
static void put_cells(struct output *o, struct row_change *r, const struct entry *e,
                      const struct value *first, const struct value *then)
{
    uint32_t n = o->table->n_columns;
    uint32_t *column = arena_alloc(o->a, n * sizeof *column);
    struct value *value = arena_alloc(o->a, n * sizeof *value);
    for (uint32_t i = 0; then && i < n; i++) {
        bool all = r->kind == CHANGE_BORN;
        if (!all && !masked(e->before, i) && (!first || value_equal(&first[i], &then[i])))
            continue;
        column[r->n_cells] = i;
        value[r->n_cells++] = then[i];
    }
    r->column = column;
    r->value = value;
}

static bool fits(const struct output *o, const struct row_change *r, uint64_t *bytes)
{
    *bytes = 16;
    for (uint32_t i = 0; i < r->n_cells; i++) {
        *bytes += value_bytes_used(&r->value[i]);
        if (value_bytes_used(&r->value[i]) > LIMIT_VALUE_BYTES)
            return false;
    }
    for (uint32_t i = 0; i < o->table->n_key; i++)
        *bytes += value_bytes_used(&r->key[i]);
    return *bytes <= LIMIT_ROW_BYTES;
}

static void put_row(struct output *o, struct row_change *r, const struct value *old)
{
    uint64_t bytes;
    bool ok = fits(o, r, &bytes);
    if (!ok && r->kind == CHANGE_DELETE) { /* the delete itself always fits */
        r->n_cells = 0;
        ok = fits(o, r, &bytes);
    }
    if (!ok) {
        o->c->oversize++;
        return;
    }
    o->row = mem_grow(o->row, o->table->n_rows, &o->rows_cap, sizeof *o->row);
    o->old = mem_grow(o->old, o->table->n_rows, &o->old_cap, sizeof *o->old);
    o->row[o->table->n_rows] = *r;
    o->old[o->table->n_rows++] = old;
    o->bytes += bytes;
    o->rows++;
}

static enum err decide(struct output *o, const struct table_schema *t, const struct entry *e)
{
    struct value *key = arena_alloc(o->a, t->n_key * sizeof *key), *now, *first = NULL, *last = NULL;
    if (e->key_len > LIMIT_KEY_BYTES) {
        o->c->oversize++;
        return ERR_OK;
    }
    const uint8_t *bytes = arena_copy(o->a, e->key, e->key_len);
    enum err err = key_decode(bytes, e->key_len, key, t->n_key);
    if (err == ERR_OK)
        err = read_now(o, t, key, &now);
    if (err != ERR_OK || (!e->existed && !now))
        return err;
    struct row_change r = {.kind = now ? CHANGE_UPDATE : CHANGE_DELETE, .key = key};
    if (e->existed)
        err = read_full(o, t, e->first_full, &first);
    if (err == ERR_OK && r.kind == CHANGE_DELETE)
        err = read_full(o, t, e->last_full, &last);
    if (err != ERR_OK)
        return err;
    if (!e->existed)
        r.kind = CHANGE_BORN;
    put_cells(o, &r, e, first, now ? now : last);
    if (r.kind != CHANGE_UPDATE || r.n_cells > 0)
        put_row(o, &r, last);
    return ERR_OK;
}

static char *full_sql(struct arena *a, const struct table_schema *t)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < t->n_columns; i++) {
        struct buf name = {0};
        buf_printf(&name, "o_%s", t->column[i]);
        buf_printf(&b, "%s%s", i ? "," : "SELECT ", schema_quote(a, buf_str(&name)));
        buf_fini(&name);
    }
    buf_printf(&b, " FROM main.tonle_log_%u WHERE rowid = ?1", t->t);
    return sql_take(a, &b);
}

static void describe_table(struct output *o, const struct table_schema *t, struct table_changes *out)
{
    *out = (struct table_changes){.table = arena_strdup(o->a, t->name),
                                  .n_columns = t->n_columns,
                                  .n_key = t->n_key,
                                  .key = arena_copy(o->a, t->key, t->n_key * sizeof *t->key)};
    out->columns = arena_alloc(o->a, t->n_columns * sizeof *out->columns);
    for (uint32_t i = 0; i < t->n_columns; i++)
        out->columns[i] = arena_strdup(o->a, t->column[i]);
}

/* Decides the entries of one log until a limit; *stopped when some are left. */
static enum err emit_table(struct output *o, struct table_work *w, bool *stopped)
{
    const struct table_schema *t = &o->s->tables[w->table];
    enum err e = ERR_OK;
    o->full_sql = full_sql(o->a, t);
    o->row = NULL;
    o->old = NULL;
    o->rows_cap = o->old_cap = 0;
    for (uint32_t i = 0; e == ERR_OK && i < w->n_entries && !*stopped; i++) {
        if (o->rows >= o->max_rows || (o->rows > 0 && o->bytes >= o->max_bytes)) {
            *stopped = true;
            break;
        }
        e = decide(o, t, &w->entries[i]);
        w->entries[i].taken = e == ERR_OK;
    }
    uint32_t n = o->table->n_rows;
    o->table->rows = arena_copy(o->a, o->row, n * sizeof *o->row);
    o->c->old[o->c->n_tables] = arena_copy(o->a, o->old, n * sizeof *o->old);
    o->c->n_rows[o->c->n_tables] = n;
    mem_free(o->row);
    mem_free(o->old);
    return e;
}

/* ---- the call ---- */

struct order {
    uint32_t depth, table;
};

static int order_compare(const void *x, const void *y)
{
    const struct order *a = x, *b = y;
    if (a->depth != b->depth)
        return a->depth < b->depth ? -1 : 1;
    return a->table < b->table ? -1 : a->table > b->table;
}

/* The published tables with a log, parents first. */
static uint32_t parents_first(struct store *s, const struct capture_state *st, struct order *order)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_tables; i++) {
        if (st->has_log[i])
            order[n++] = (struct order){s->tables[i].depth, i};
    }
    qsort(order, n, sizeof *order, order_compare);
    return n;
}

static enum err collect_tables(struct output *o, const struct order *order, uint32_t n,
                               struct segment *segment, bool *stopped)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < n && !*stopped; i++) {
        struct table_work *w = &o->c->work[o->c->n++];
        *w = (struct table_work){.table = order[i].table};
        /* one key more than can be sent, so that a full house is told from a cut */
        e = scan_log(o->s, o->c, w, o->max_rows - o->rows + 1);
        if (e != ERR_OK || w->n_entries == 0)
            continue;
        o->table = &segment->tables[segment->n_tables];
        describe_table(o, &o->s->tables[w->table], o->table);
        e = emit_table(o, w, stopped);
        *stopped = *stopped || w->left;
        if (o->table->n_rows > 0) {
            segment->n_tables++;
            o->c->n_tables++;
        }
    }
    return e;
}

enum err store_collect(struct store *s, struct arena *a, uint32_t max_rows, uint64_t max_bytes,
                       struct changeset *cs, bool *cut)
{
    struct capture_state *st;
    *cut = false;
    enum err e = capture_logs(s, &st);
    if (e != ERR_OK)
        return e;
    collected_free(st->collected);
    struct collected *c = st->collected = mem_alloc(sizeof *c);
    c->work = mem_alloc(s->n_tables * sizeof *c->work);
    c->old = arena_alloc(a, s->n_tables * sizeof *c->old);
    c->n_rows = arena_alloc(a, s->n_tables * sizeof *c->n_rows);
    struct order *order = arena_alloc(a, s->n_tables * sizeof *order);
    uint32_t n = parents_first(s, st, order);
    struct segment *segment = arena_alloc(a, sizeof *segment);
    segment->scope = "";
    segment->tables = arena_alloc(a, n * sizeof *segment->tables);
    struct output o = {.s = s, .a = a, .c = c, .max_rows = max_rows, .max_bytes = max_bytes};
    e = collect_tables(&o, order, n, segment, cut);
    cs->n_segments = 1;
    cs->segments = segment;
    if (e != ERR_OK)
        return e;
    cs->cut = *cut;
    return o.rows ? ERR_OK : ERR_NOT_FOUND;
}

const struct value *collect_old_values(struct store *s, uint32_t table_index, uint32_t row_index)
{
    struct capture_state *st = s->collected;
    struct collected *c = st ? st->collected : NULL;
    if (!c || table_index >= c->n_tables || row_index >= c->n_rows[table_index])
        return NULL;
    return c->old[table_index][row_index];
}

/* ---- what was consumed goes ---- */

static bool consumed(const struct table_work *w, uint32_t event)
{
    uint32_t entry = w->events[event].entry;
    return entry == UINT32_MAX || w->entries[entry].taken;
}

static enum err delete_range(struct store *s, const char *sql, int64_t from, int64_t to)
{
    sqlite3_stmt *q = store_stmt(s, sql);
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, from);
    sqlite3_bind_int64(q, 2, to);
    return store_run(s, q);
}

static enum err delete_consumed(struct store *s, const struct table_work *w)
{
    struct buf b = {0};
    bool all = !w->left;
    enum err e = ERR_OK;
    for (uint32_t i = 0; all && i < w->n_events; i++)
        all = consumed(w, i);
    buf_printf(&b, "DELETE FROM main.tonle_log_%u", s->tables[w->table].t);
    if (all) {
        e = w->n_events ? store_run(s, store_stmt(s, buf_str(&b))) : ERR_OK;
        buf_fini(&b);
        return e;
    }
    buf_printf(&b, " WHERE rowid BETWEEN ?1 AND ?2");
    for (uint32_t i = 0; e == ERR_OK && i < w->n_events; i++) {
        if (!consumed(w, i))
            continue;
        uint32_t end = i; /* neighbours in the log go in one statement */
        while (end + 1 < w->n_events && consumed(w, end + 1) &&
               w->events[end + 1].rowid == w->events[end].rowid + 1)
            end++;
        e = delete_range(s, buf_str(&b), w->events[i].rowid, w->events[end].rowid);
        i = end;
    }
    buf_fini(&b);
    return e;
}

enum err store_collect_done(struct store *s)
{
    struct capture_state *st = capture_state(s);
    struct collected *c = st->collected;
    enum err e = ERR_OK;
    for (uint32_t i = 0; c && e == ERR_OK && i < c->n; i++)
        e = delete_consumed(s, &c->work[i]);
    if (c && e == ERR_OK && c->oversize)
        e = store_meta_set_u64(s, "oversize", store_meta_u64(s, "oversize", 0) + c->oversize);
    collected_free(c);
    st->collected = NULL;
    return e;
}
