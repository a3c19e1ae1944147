/* Rows of a table that does not fit here (DESIGN 6: offices upgrade over months): the table is
 * published, and is not in this database, or not with all its columns.
 *
 * The changeset is in the journal whole and travels on; tonle_deferred notes that its rows of that
 * table wait, with the stable clock of that moment, and tonle_held shows each row. When the table
 * fits, its changesets are merged in journal order, a slice at a time; whatever comes for it
 * meanwhile waits behind them. Three things make the outcome the same as everywhere else:
 *
 *   - records of that table are looked at through the stable clock that was in force when the
 *     change came, not today's: or what it is concurrent with would be forgotten (row_forgetting)
 *   - what was sealed here meanwhile has seen it (store_apply_rows.c, leave_out_seen)
 *   - when the last one is merged, all references are looked at again: while the table was not
 *     here, nothing could lack a parent in it
 */
#include "node/apply/applying.h"

#include "conflict/hlc.h"
#include "node/capture/capture.h"
#include "node/db/sqlite.h"
#include "node/journal/open.h"
#include "node/record/deferral.h"
#include "node/state/state.h"

#include <stdio.h>
#include <string.h>

/* ---- noting ---- */

static const char *why(struct store *s, struct arena *a, const char *table)
{
    const struct table_schema *t = schema_table(s, table);
    struct buf m = {0};
    if (!t)
        buf_printf(&m, "the charter in force here does not publish a table %s", table);
    else if (t->exists)
        buf_printf(&m, "earlier changes of table %s are still being merged", table);
    else
        buf_printf(&m,
                   "table %s is not in this database with all columns that the charter publishes:"
                   " the row comes in when they are made (tonle charter show names them)",
                   table);
    char *text = arena_strdup(a, buf_str(&m));
    buf_fini(&m);
    return text;
}

/* One entry a row, whatever the number of its changes. The table may have no number yet: 0, and its
 * name before the key. */
static enum err show_held(struct applying *ap, const struct table_changes *tc,
                          const struct row_change *rc, const char *text)
{
    struct work *w = &ap->w;
    sqlite3_stmt *q =
        store_stmt(w->s, "INSERT OR IGNORE INTO tonle_held(id, table_name, key, reason, message,"
                         " office, since_ms, blocked_by, t, k, site, seq, bt, bk)"
                         " VALUES(?1, ?2, ?3, 'schema', ?4, ?5, ?6, '', 0, ?7, 0, 0, 0, x'')");
    if (!q)
        return part_stmt_error(w->s);
    struct buf key = {0};
    buf_put(&key, tc->table, strlen(tc->table) + 1);
    key_encode(&key, rc->key, tc->n_key);
    char id[17];
    snprintf(id, sizeof id, "%016llx",
             (unsigned long long)bytes_hash(~VALUE_HASH_SEED, key.data, key.len));
    store_bind_text(q, 1, id);
    store_bind_text(q, 2, tc->table);
    store_bind_text(q, 3, schema_values_json(w->a, rc->key, tc->n_key));
    store_bind_text(q, 4, text);
    store_bind_text(q, 5, work_site(w, ap->cs->dot.site)->node);
    store_bind_u64(q, 6, w->now_ms);
    store_bind_blob(q, 7, arena_copy(w->a, key.data, key.len), key.len);
    buf_fini(&key);
    enum err e = store_run(w->s, q);
    state_counts_changed(w->s);
    w->report->held += e == ERR_OK && sqlite3_changes(w->s->db) > 0;
    return e;
}

enum err defer_note(struct applying *ap, const struct table_changes *tc, uint64_t pos)
{
    struct store *s = ap->w.s;
    enum err e = deferral_note(s, tc->table, pos);
    const char *text = why(s, ap->w.a, tc->table);
    for (uint32_t i = 0; e == ERR_OK && i < tc->n_rows; i++)
        e = show_held(ap, tc, &tc->rows[i], text);
    ap->w.report->deferred += tc->n_rows;
    return e;
}

/* ---- replaying ---- */

struct waiting { /* the first changeset that waits for a table */
    uint64_t pos, own_seq;
    struct bytes stable, bytes;
    struct dot dot;
};

static enum err first_waiting(struct store *s, struct arena *a, const char *table,
                              struct waiting *out, bool *any)
{
    sqlite3_stmt *q =
        store_stmt(s, "SELECT d.pos, d.stable, j.bytes, j.site, j.seq,"
                      " (SELECT coalesce(max(o.seq), 0) FROM tonle_journal o"
                      " WHERE o.source = '' AND o.kind = 1 AND o.site = ?2 AND o.pos < d.pos)"
                      " FROM tonle_deferred d JOIN tonle_journal j ON j.pos = d.pos"
                      " WHERE d.name = ?1 ORDER BY d.pos LIMIT 1");
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, table);
    store_bind_u64(q, 2, identity_of(s)->site);
    enum err e = store_step(s, q, any);
    if (e != ERR_OK || !*any)
        return e;
    *out = (struct waiting){.pos = store_column_u64(q, 0),
                            .own_seq = store_column_u64(q, 5),
                            .stable = store_column_bytes(a, q, 1),
                            .bytes = store_column_bytes(a, q, 2),
                            .dot = {store_column_u64(q, 3), store_column_u64(q, 4)}};
    sqlite3_reset(q);
    return ERR_OK;
}

static enum err merge_one(struct store *s, struct arena *a, const char *table,
                          const struct waiting *wait, uint32_t *rows)
{
    struct changeset cs = {0};
    struct opener opener = {0};
    struct item item = {.pos = wait->pos, .dot = wait->dot, .bytes = wait->bytes};
    struct apply_report report = {0};
    enum err e = part_open(s, &opener, a, &item, &cs);
    part_opener_fini(&opener);
    struct applying ap = {.cs = &cs, .replay = true, .own_seq = wait->own_seq};
    work_init(&ap.w, s, a);
    ap.w.dot = cs.dot;
    ap.w.hlc = cs.hlc;
    ap.w.now_ms = hlc_ms(state_of(s)->hlc);
    ap.w.report = &report;
    if (e == ERR_OK)
        e = apply_rows(&ap, table);
    if (e == ERR_OK)
        e = work_finish(&ap.w);
    *rows += report.rows;
    return e;
}

static enum err all_done(struct store *s, struct arena *a, const char *table)
{
    sqlite3_stmt *q = store_stmt(s, "DELETE FROM tonle_held WHERE t = 0 AND table_name = ?1"
                                    " AND reason = 'schema'");
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, table);
    enum err e = store_run(s, q);
    state_counts_changed(s);
    deferral_forget(s);
    return e == ERR_OK && !state_of(s)->loading ? load_parents(s, a) : e;
}

static enum err replay_table(struct store *s, const char *table, uint32_t max_rows, uint32_t *rows)
{
    struct arena a = {0};
    enum err e = ERR_OK;
    bool any = true;
    while (e == ERR_OK && any && *rows < max_rows) {
        struct waiting wait = {0};
        arena_reset(&a);
        e = first_waiting(s, &a, table, &wait, &any);
        if (e != ERR_OK || !any)
            break;
        struct cursor c = cursor_of(wait.stable.p, wait.stable.len);
        clock_reset(&deferral_find(s, table)->stable);
        e = clock_decode(&c, &deferral_find(s, table)->stable, wait.stable.len);
        if (e == ERR_OK)
            e = merge_one(s, &a, table, &wait, rows);
        if (e == ERR_OK)
            e = deferral_done(s, table, wait.pos);
    }
    if (e == ERR_OK && !any)
        e = all_done(s, &a, table);
    arena_fini(&a);
    return e;
}

/* A table that waits and fits. */
static const char *next_fitting(struct store *s, struct arena *a)
{
    struct deferral *d;
    if (deferral_list(s, &d) != ERR_OK)
        return NULL;
    for (; d; d = d->next) {
        const struct table_schema *t = schema_table(s, d->table);
        if (t && t->exists && t->t)
            return arena_strdup(a, d->table);
    }
    return NULL;
}

enum err defer_replay(struct store *s, struct arena *a, uint32_t max_rows, bool *more)
{
    uint32_t rows = 0;
    const char *table;
    struct deferral *waiting;
    enum err e = deferral_list(s, &waiting);
    *more = false;
    if (e != ERR_OK || !waiting || store_capture_pending(s))
        return e;
    e = capture_temp_triggers(s);
    while (e == ERR_OK && rows < max_rows && (table = next_fitting(s, a)))
        e = replay_table(s, table, max_rows, &rows);
    *more = e == ERR_OK && next_fitting(s, a);
    return e;
}
