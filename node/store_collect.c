#include "node/store_collect.h"

#include "protocol/limits.h"

#include <stdlib.h>
#include <string.h>

/* The net effect of the capture logs.
 *
 * First pass over a log, in order: one entry a key, with what its events say of the time before.
 * Second pass: the row as it stands now, and the decision:
 *
 *   existed before   stands now
 *   no               yes          CHANGE_BORN, all columns
 *   no               no           nothing
 *   yes              yes          CHANGE_UPDATE of U and of the columns in which `first` differs
 * from now yes              no           CHANGE_DELETE; cells: U and the columns in which `last`
 * differs from `first`
 *
 * existed: the first event is not an insert. U: union of the masks of the updates before the first
 * event that carries the whole row (a delete or a candidate; `first`); `last` is the last such
 * event. A column outside U has in `first` the value from before the window, so after `first` no
 * mask is needed.
 *
 * All events of a key are consumed together, or none: a key is never half sealed. */

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
    struct row_change *row; /* heap while growing */
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

static enum err read_full(struct output *o, const struct table_schema *t, int64_t rowid,
                          struct value **out)
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

/* Cells: the columns in U or that differ between `first` and `then`, with their values in `then`.
 */
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
    struct value *key = arena_alloc(o->a, t->n_key * sizeof *key), *now, *first = NULL,
                 *last = NULL;
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
    for (uint32_t i = 0; i < t->n_columns; i++)
        buf_printf(&b, "%s%s", i ? "," : "SELECT ", capture_name(a, "o_", t->column[i]));
    buf_printf(&b, " FROM main.tonle_log_%u WHERE rowid = ?1", t->t);
    return sql_take(a, &b);
}

static void describe_table(struct output *o, const struct table_schema *t,
                           struct table_changes *out)
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
        e = collect_scan(o->s, o->c, w, o->max_rows - o->rows + 1);
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

/* An index made in this transaction changes the schema version; what is remembered of it is not
 * trusted before the commit. */
static enum err index_big_logs(struct store *s, struct capture_state *st)
{
    bool any = false;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < s->n_tables; i++) {
        bool made = false;
        if (st->has_log[i])
            e = collect_index_big(s, i, &made);
        any = any || made;
    }
    if (e != ERR_OK || !any)
        return e;
    e = capture_logs(s, &st);
    st->installed = s->schema_cookie;
    st->installed_rev = s->state_version;
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
    e = index_big_logs(s, st);
    if (e != ERR_OK)
        return e;
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
        return e == ERR_OK ? collect_index_drop(s, s->tables[w->table].t) : e;
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
