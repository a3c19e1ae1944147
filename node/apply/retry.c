/* Deciding again what was decided before: one held row, all of them, what a cut log left alone, or,
 * when the first load has ended, every row that refers to another. */
#include "node/apply/apply.h"

#include "node/apply/work.h"
#include "node/capture/capture.h"
#include "node/db/sqlite.h"
#include "node/state/state.h"

static enum err finish(struct work *w, uint32_t *released)
{
    struct apply_report report = {0};
    w->report = &report;
    enum err e = work_finish(w);
    *released = report.released;
    return e;
}

enum err store_held_retry(struct store *s, struct arena *a, const char *id, uint64_t now_ms,
                          uint32_t *released)
{
    struct work w;
    *released = 0;
    enum err e = capture_temp_triggers(s);
    if (e != ERR_OK)
        return e;
    if (store_capture_pending(s))
        return store_fail(
            s, ERR_BUSY,
            "changes of this office are not sealed yet: try again in a moment; if the "
            "node does not run, start it first (`tonle run`)");
    work_init(&w, s, a);
    w.now_ms = now_ms;
    w.hlc = state_of(s)->hlc;
    sqlite3_stmt *q = store_stmt(s, id ? "SELECT t, k FROM tonle_held WHERE id = ?1"
                                       : "SELECT t, k FROM tonle_held");
    if (!q)
        return ERR_SCHEMA;
    if (id)
        store_bind_text(q, 1, id);
    bool row = true, any = false;
    while (e == ERR_OK && row) {
        e = store_step(s, q, &row);
        if (e != ERR_OK || !row)
            break;
        any = true;
        struct table_schema *t = schema_by_number(s, (uint32_t)sqlite3_column_int(q, 0));
        struct bytes key = store_column_bytes(a, q, 1);
        if (t && t->exists) {
            struct work_row *r = work_get(&w, t, key.p, key.len);
            r->retry = r->slow = r->touched = true;
        }
    }
    for (size_t i = 0; e == ERR_OK && i < w.n; i++)
        e = work_load(&w, w.row[i]);
    if (e == ERR_OK && id && !any)
        return store_fail(s, ERR_NOT_FOUND, "no held row has the id %s; see: tonle held list", id);
    return e == ERR_OK ? finish(&w, released) : e;
}

/* What only this office refuses may have waited for one of the row's unique values. */
static enum err add_local(struct work *w, const struct table_schema *t)
{
    sqlite3_stmt *q = store_stmt(w->s, "SELECT k FROM tonle_held WHERE t = ?1 AND reason ="
                                       " 'local'");
    enum err e = q ? ERR_OK : ERR_SCHEMA;
    if (q)
        sqlite3_bind_int64(q, 1, t->t);
    for (bool row = true; e == ERR_OK && row;) {
        e = store_step(w->s, q, &row);
        if (e != ERR_OK || !row)
            break;
        struct bytes key = store_column_bytes(w->a, q, 0);
        (void)work_get(w, t, key.p, key.len);
    }
    return e;
}

enum err retry_row(struct store *s, struct row_key k, uint64_t now_ms)
{
    struct arena a = {0};
    struct work w;
    uint32_t released;
    enum err e = capture_temp_triggers(s);
    work_init(&w, s, &a);
    w.now_ms = now_ms;
    w.hlc = state_of(s)->hlc;
    w.part = true; /* what is captured and not sealed yet is left alone */
    (void)work_get(&w, k.t, k.key, k.len);
    if (e == ERR_OK)
        e = add_local(&w, k.t);
    for (size_t i = 0; e == ERR_OK && i < w.n; i++) {
        struct work_row *r = w.row[i];
        e = work_load(&w, r);
        r->retry = r->slow = r->touched = r->row.n_births > 0;
    }
    if (e == ERR_OK)
        e = finish(&w, &released);
    arena_fini(&a);
    return e;
}

/* ---- left alone, because it was captured and not sealed yet */

enum err again_note(struct store *s, struct row_key k)
{
    sqlite3_stmt *q = store_stmt(s, "INSERT OR IGNORE INTO tonle_again(t, k) VALUES(?1, ?2)");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, k.t->t);
    store_bind_blob(q, 2, k.key, k.len);
    return store_run(s, q);
}

/* Loads each row; one that stands is looked at by pass 4, too. */
static enum err find_noted(struct store *s, struct work *w, bool *any)
{
    sqlite3_stmt *q = store_stmt(s, "SELECT t, k FROM tonle_again");
    enum err e = q ? ERR_OK : ERR_SCHEMA;
    for (bool row = true; e == ERR_OK && row;) {
        e = store_step(s, q, &row);
        if (e != ERR_OK || !row)
            break;
        struct table_schema *t = schema_by_number(s, (uint32_t)sqlite3_column_int64(q, 0));
        struct bytes key = store_column_bytes(w->a, q, 1);
        *any = true;
        if (t && t->exists)
            (void)work_get(w, t, key.p, key.len);
    }
    for (size_t i = 0; e == ERR_OK && i < w->n; i++) {
        struct work_row *r = w->row[i];
        e = work_load(w, r);
        r->retry = r->slow = r->touched = r->row.n_births > 0;
        r->fk_new = r->now;
    }
    return e;
}

enum err again_decide(struct store *s, uint64_t now_ms)
{
    struct arena a = {0};
    struct work w;
    uint32_t released;
    bool any = false;
    work_init(&w, s, &a);
    w.now_ms = now_ms;
    w.hlc = state_of(s)->hlc;
    enum err e = find_noted(s, &w, &any);
    if (e == ERR_OK && any)
        e = store_exec(s, "DELETE FROM tonle_again");
    if (e == ERR_OK && any)
        e = capture_temp_triggers(s);
    if (e == ERR_OK && any)
        e = finish(&w, &released);
    arena_fini(&a);
    return e;
}

/* Keys at which a birth is held: who means it is held, too, whoever stands there. */
static enum err held_parents(struct work *w)
{
    sqlite3_stmt *q = store_stmt(w->s, "SELECT DISTINCT t, k FROM tonle_held WHERE t > 0");
    enum err e = q ? ERR_OK : ERR_SCHEMA;
    for (bool row = true; e == ERR_OK && row;) {
        e = store_step(w->s, q, &row);
        if (e != ERR_OK || !row)
            break;
        const struct table_schema *t = schema_by_number(w->s, (uint32_t)sqlite3_column_int(q, 0));
        struct bytes key = store_column_bytes(w->a, q, 1);
        if (t && t->exists)
            work_get(w, t, key.p, key.len)->others_moved = true;
    }
    for (size_t i = 0; e == ERR_OK && i < w->n; i++)
        e = work_load(w, w->row[i]);
    return e;
}

enum err load_parents(struct store *s, struct arena *a)
{
    struct work w;
    uint32_t released = 0;
    enum err e = capture_temp_triggers(s);
    if (e != ERR_OK)
        return e;
    work_init(&w, s, a);
    w.check_parents = true;
    w.hlc = state_of(s)->hlc;
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_fks; i++) {
        if (s->schema->tables[s->schema->fks[i].child].exists &&
            s->schema->tables[s->schema->fks[i].parent].exists)
            e = work_orphans(&w, &s->schema->fks[i]);
    }
    if (e == ERR_OK)
        e = held_parents(&w);
    return e == ERR_OK ? finish(&w, &released) : e;
}

enum err store_collect_done(struct store *s, uint64_t now_ms)
{
    enum err e = collect_consumed(s, now_ms, retry_row);
    return e == ERR_OK && !store_capture_pending(s) ? again_decide(s, now_ms) : e;
}
