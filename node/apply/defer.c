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
 *   - what was sealed here meanwhile has seen it (rows.c, leave_out_seen)
 *   - when the last one is merged, all references are looked at again: while the table was not
 *     here, nothing could lack a parent in it
 */
#include "node/apply/applying.h"

#include "conflict/hlc.h"
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/journal/open.h"
#include "node/record/deferral.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- noting ---- */

static const char *why(struct store *s, struct arena *a, const char *table)
{
    const struct table_schema *t = schema_table(s, table);
    struct buf m = {0};
    if (!t)
        buf_printf(&m,
                   "no charter that came here publishes a table %s: its rows, and those of other"
                   " such tables, wait until one does",
                   table);
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
    struct buf key = {0};
    buf_put(&key, tc->table, strlen(tc->table) + 1);
    key_encode(&key, rc->key, tc->n_key);
    char id[17];
    snprintf(id, sizeof id, "%016llx",
             (unsigned long long)bytes_hash(~VALUE_HASH_SEED, key.data, key.len));
    enum err e = DB_RUN(w->s,
                        "INSERT OR IGNORE INTO tonle_held(id, table_name, key, reason, message,"
                        " office, since_ms, blocked_by, t, k, site, seq, bt, bk)"
                        " VALUES(?1, ?2, ?3, 'schema', ?4, ?5, ?6, '', 0, ?7, 0, 0, 0, x'')",
                        value_text(id), value_text(tc->table),
                        value_text(schema_values_json(w->a, rc->key, tc->n_key)), value_text(text),
                        value_text(work_site(w, ap->cs->dot.site)->node), value_u64(w->now_ms),
                        value_blob(key.data, key.len));
    buf_fini(&key);
    state_counts_changed(w->s);
    w->report->held += e == ERR_OK && db_changes(w->s) > 0;
    return e;
}

/* Nobody published it: whoever sends such rows, and however many, makes one entry an office. */
static enum err show_unpublished(struct applying *ap, const struct table_changes *tc,
                                 const char *text)
{
    char id[17];
    uint64_t site = ap->cs->dot.site;
    snprintf(id, sizeof id, "%016llx",
             (unsigned long long)bytes_hash(~VALUE_HASH_SEED, &site, sizeof site));
    enum err e = DB_RUN(ap->w.s,
                        "INSERT OR IGNORE INTO tonle_held(id, table_name, key, reason, message,"
                        " office, since_ms, blocked_by, t, k, site, seq, bt, bk)"
                        " VALUES(?1, ?2, '[]', 'schema', ?3, ?4, ?5, '', 0, x'', 0, 0, 0, x'')",
                        value_text(id), value_text(tc->table), value_text(text),
                        value_text(work_site(&ap->w, site)->node), value_u64(ap->w.now_ms));
    state_counts_changed(ap->w.s);
    ap->w.report->held += e == ERR_OK && db_changes(ap->w.s) > 0;
    return e;
}

enum err defer_note(struct applying *ap, const struct table_changes *tc, uint64_t pos)
{
    struct store *s = ap->w.s;
    uint32_t number = 0;
    enum err e = deferral_note(s, tc->table, pos);
    const char *text = why(s, ap->w.a, tc->table);
    if (e == ERR_OK)
        e = schema_number(s, tc->table, &number);
    bool published = number != 0 || schema_table(s, tc->table);
    if (e == ERR_OK && !published)
        e = show_unpublished(ap, tc, text);
    for (uint32_t i = 0; e == ERR_OK && published && i < tc->n_rows; i++)
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
    struct query q =
        DB_QUERY(s,
                 "SELECT d.pos, d.stable, j.bytes, j.site, j.seq, j.pos IS NULL,"
                 " (SELECT coalesce(max(o.seq), 0) FROM tonle_journal o"
                 " WHERE o.source = '' AND o.kind = 1 AND o.site = ?2 AND o.pos < d.pos)"
                 " FROM tonle_deferred d LEFT JOIN tonle_journal j ON j.pos = d.pos"
                 " WHERE d.name = ?1 ORDER BY d.pos LIMIT 1",
                 value_text(table), value_u64(identity_of(s)->site));
    *any = query_next(&q);
    if (*any)
        *out = (struct waiting){.pos = query_u64(&q, 0),
                                .own_seq = query_u64(&q, 6),
                                .stable = query_bytes(&q, a, 1),
                                .bytes = query_bytes(&q, a, 2),
                                .dot = {query_u64(&q, 3), query_u64(&q, 4)}};
    bool lost = *any && query_i64(&q, 5) != 0;
    enum err e = query_end(&q);
    if (e == ERR_OK && lost)
        return store_fail(s, ERR_CORRUPT,
                          "changes of table %.64s wait at position %llu of the journal, which has"
                          " nothing there",
                          table, (unsigned long long)out->pos);
    return e;
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
    if (e == ERR_OK)
        e = apply_note_refused(&ap);
    *rows += report.rows;
    return e;
}

static enum err all_done(struct store *s, struct arena *a, const char *table)
{
    enum err e = DB_RUN(s,
                        "DELETE FROM tonle_held WHERE t = 0 AND table_name = ?1"
                        " AND reason = 'schema' AND key <> '[]'",
                        value_text(table));
    if (e == ERR_OK) /* an office's entry for all such tables: of the next one, or gone */
        e = DB_RUN(s,
                   "UPDATE tonle_held SET table_name = (SELECT min(name) FROM tonle_deferred"
                   " WHERE name NOT IN (SELECT name FROM tonle_table))"
                   " WHERE t = 0 AND key = '[]' AND table_name = ?1"
                   " AND EXISTS(SELECT 1 FROM tonle_deferred"
                   " WHERE name NOT IN (SELECT name FROM tonle_table))",
                   value_text(table));
    if (e == ERR_OK)
        e = DB_RUN(s, "DELETE FROM tonle_held WHERE t = 0 AND key = '[]' AND table_name = ?1",
                   value_text(table));
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
        struct deferral *d;
        e = deferral_find(s, table, &d);
        if (e != ERR_OK)
            break;
        assert(d); /* it waits: tonle_deferred says so */
        d->pos = wait.pos;
        clock_reset(&d->stable);
        e = clock_decode(&c, &d->stable, wait.stable.len);
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

/* A table that waits and fits; NULL: none. */
static enum err next_fitting(struct store *s, struct arena *a, const char **table)
{
    struct deferral *d;
    *table = NULL;
    enum err e = deferral_list(s, &d);
    for (; d && !*table; d = d->next) {
        const struct table_schema *t = schema_table(s, d->table);
        if (t && t->exists && t->t)
            *table = arena_strdup(a, d->table);
    }
    return e;
}

enum err defer_replay(struct store *s, struct arena *a, uint32_t max_rows, bool *more)
{
    uint32_t rows = 0;
    const char *table = NULL;
    struct deferral *waiting;
    enum err e = deferral_list(s, &waiting);
    *more = false;
    assert(s->in_write);
    if (e != ERR_OK || !waiting || store_capture_pending(s))
        return e;
    e = capture_temp_triggers(s);
    if (e == ERR_OK)
        e = next_fitting(s, a, &table);
    while (e == ERR_OK && table && rows < max_rows) {
        e = replay_table(s, table, max_rows, &rows);
        if (e == ERR_OK)
            e = next_fitting(s, a, &table);
    }
    *more = e == ERR_OK && table;
    return e;
}
