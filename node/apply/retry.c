/* Deciding again what was decided before: one held row, all of them, what a cut log left alone, or,
 * when the first load has ended or a charter has come, every row that refers to another. */
#include "node/apply/apply.h"

#include "conflict/hlc.h"
#include "node/apply/work.h"
#include "node/capture/capture.h"
#include "node/record/table.h"
#include "node/state/state.h"

#include <assert.h>
#include <string.h>

/* A work that nothing new has caused. */
static void begin(struct work *w, struct store *s, struct arena *a, uint64_t now_ms)
{
    assert(s->in_write);
    work_init(w, s, a);
    w->now_ms = now_ms;
    w->hlc = state_of(s)->hlc;
}

static enum err finish(struct work *w, uint32_t *released)
{
    struct apply_report report = {0};
    w->report = &report;
    enum err e = work_finish(w);
    *released = report.released;
    return e;
}

/* The rows that a query names (number of the table, key), where their table is here. */
static enum err meet(struct work *w, struct query q, bool *any)
{
    *any = false;
    while (query_next(&q)) {
        const struct table_schema *t = schema_by_number(w->s, (uint32_t)query_u64(&q, 0));
        struct bytes key = query_borrow(&q, 1);
        *any = true;
        if (t && t->exists)
            (void)work_get(w, t, key.p, key.len);
    }
    return query_end(&q);
}

/* Loads every row; what has a birth on record is decided anew, whatever was said of it. What stands
 * is looked at by pass 4, too, and so are the rows that wait for it. */
static enum err load_all(struct work *w)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < w->n; i++) {
        struct work_row *r = w->row[i];
        e = work_load(w, r);
        r->retry = r->slow = r->touched = r->row.n_births > 0;
        r->fk_new = r->now;
    }
    return e;
}

enum err store_held_retry(struct store *s, struct arena *a, const char *id, uint64_t now_ms,
                          uint32_t *released)
{
    struct work w;
    bool any = false;
    *released = 0;
    enum err e = capture_temp_triggers(s);
    if (e != ERR_OK)
        return e;
    if (store_capture_pending(s))
        return store_fail(
            s, ERR_BUSY,
            "changes of this office are not sealed yet: try again in a moment; if the "
            "node does not run, start it first (`tonle run`)");
    begin(&w, s, a, now_ms);
    e = meet(&w,
             id ? DB_QUERY(s, "SELECT t, k FROM tonle_held WHERE id = ?1", value_text(id))
                : DB_QUERY(s, "SELECT t, k FROM tonle_held"),
             &any);
    if (e == ERR_OK)
        e = load_all(&w);
    if (e == ERR_OK && id && !any)
        return store_fail(s, ERR_NOT_FOUND, "no held row has the id %s; see: tonle held list", id);
    return e == ERR_OK ? finish(&w, released) : e;
}

/* What this office alone refuses in the table may have waited for one of the row's unique
 * values. */
enum err retry_row(struct store *s, struct row_key k, uint64_t now_ms)
{
    struct arena a = {0};
    struct work w;
    uint32_t released;
    bool any;
    enum err e = capture_temp_triggers(s);
    begin(&w, s, &a, now_ms);
    w.part = true;
    struct work_row *r = work_get(&w, k.t, k.key, k.len);
    if (e == ERR_OK)
        e = meet(&w,
                 DB_QUERY(s, "SELECT t, k FROM tonle_held WHERE t = ?1 AND reason = 'local'",
                          value_u64(k.t->t)),
                 &any);
    if (e == ERR_OK)
        e = load_all(&w);
    r->siblings = true; /* what has gone may have been a side of an open conflict */
    r->no_siblings = false;
    if (e == ERR_OK)
        e = finish(&w, &released);
    arena_fini(&a);
    return e;
}

/* ---- what this office alone refuses ---- */

bool store_raised_again(struct store *s, bool wrote)
{
    return raised_again(s, wrote);
}

bool store_local_again(struct store *s)
{
    struct local_pass *p = &s->apply->local;
    int64_t any = 0;
    enum err e =
        store_is_ready(s) && !state_of(s)->loading
            ? db_number(s, "SELECT EXISTS(SELECT 1 FROM tonle_held WHERE reason = 'local')", &any)
            : ERR_OK;
    p->due = e == ERR_OK && any;
    p->t = 0;
    buf_reset(&p->key);
    return p->due;
}

/* What lost its key here (capture/nokey.c) is another: it stands, as the application left it.
 * *next: where the pass is behind these; not due when there are no more. */
static enum err next_refused(struct work *w, uint32_t max_rows, struct local_pass *next)
{
    const struct local_pass *p = &w->s->apply->local;
    uint32_t n = 0;
    struct query q =
        DB_QUERY(w->s,
                 "SELECT t, k FROM tonle_held h WHERE (t, k) > (?1, ?2) AND reason = 'local'"
                 " AND NOT EXISTS(SELECT 1 FROM tonle_limit l WHERE l.t = h.t AND l.k = h.k)"
                 " ORDER BY t, k LIMIT ?3",
                 value_u64(p->t), value_blob(p->key.data, p->key.len), value_u64(max_rows));
    for (; query_next(&q); n++) {
        next->t = (uint32_t)query_u64(&q, 0);
        struct bytes key = query_borrow(&q, 1);
        const struct table_schema *t = schema_by_number(w->s, next->t);
        buf_reset(&next->key);
        buf_put(&next->key, key.p, key.len);
        if (t && t->exists)
            (void)work_get(w, t, key.p, key.len);
    }
    next->due = n == max_rows;
    return query_end(&q);
}

/* Only whom this office alone does not refuse any more is decided again. */
static enum err try_refused(struct work *w, struct work_row *r)
{
    enum err e = work_load(w, r);
    for (uint32_t i = 0; e == ERR_OK && !r->now && !r->retry && i < r->row.n_births; i++) {
        if (r->row.births[i].held == HOLD_LOCAL)
            e = work_may_come_in(w, r, &r->row.births[i], &r->retry);
    }
    r->slow = r->touched = r->retry;
    return e;
}

/* One that cannot be decided keeps nothing else waiting. */
static enum err let_refused_in(struct work *w)
{
    uint32_t released;
    enum err e = store_try_begin(w->s);
    if (e != ERR_OK)
        return e;
    e = finish(w, &released);
    if (store_try_refused(e))
        return store_try_undo(w->s);
    return e == ERR_OK ? store_try_keep(w->s) : e;
}

enum err local_sweep(struct store *s, struct arena *a, uint32_t max_rows, bool *more)
{
    struct local_pass *p = &s->apply->local, next = {0};
    struct work w;
    bool any = false;
    if (!p->due)
        return ERR_OK;
    enum err e = capture_temp_triggers(s);
    begin(&w, s, a, hlc_ms(state_of(s)->hlc));
    if (e == ERR_OK)
        e = next_refused(&w, max_rows, &next);
    for (size_t i = 0, n = w.n; e == ERR_OK && i < n; i++) {
        e = try_refused(&w, w.row[i]);
        any |= w.row[i]->retry;
    }
    if (e == ERR_OK && any)
        e = let_refused_in(&w);
    if (e == ERR_OK) {
        struct local_pass was = *p;
        *p = next;
        next = was;
        *more = p->due;
    }
    buf_fini(&next.key);
    return e;
}

enum err retry_children(struct store *s, const struct limit_note *note, size_t n, uint64_t now_ms)
{
    struct arena a = {0};
    struct work w;
    uint32_t released;
    bool any = false;
    enum err e = capture_temp_triggers(s);
    begin(&w, s, &a, now_ms);
    w.part = true;
    for (uint32_t f = 0; f < s->schema->n_fks; f++) {
        const struct table_schema *parent = &s->schema->tables[s->schema->fks[f].parent];
        for (size_t i = 0; i < n; i++)
            w.seek_orphans[f] |= (note[i].gone || note[i].entered) && note[i].t == parent->t;
        any |= w.seek_orphans[f];
    }
    if (e == ERR_OK && any)
        e = finish(&w, &released);
    arena_fini(&a);
    return e;
}

static enum err decide_noted(struct store *s, struct arena *a, uint64_t now_ms)
{
    struct work w;
    uint32_t released;
    bool any;
    enum err e = capture_temp_triggers(s);
    begin(&w, s, a, now_ms);
    if (e == ERR_OK)
        e = meet(&w, DB_QUERY(s, "SELECT t, k FROM tonle_again WHERE stands = 0"), &any);
    if (e == ERR_OK)
        e = load_all(&w);
    if (e == ERR_OK)
        e = meet(&w, DB_QUERY(s, "SELECT t, k FROM tonle_again WHERE stands = 1"), &any);
    for (size_t i = 0; e == ERR_OK && i < w.n; i++) {
        e = work_load(&w, w.row[i]);
        w.row[i]->fk_new = w.row[i]->now;
    }
    if (e == ERR_OK)
        e = store_exec(s, "DELETE FROM tonle_again");
    return e == ERR_OK ? finish(&w, &released) : e;
}

enum err again_decide(struct store *s, uint64_t now_ms)
{
    struct arena a = {0};
    int64_t any = 0;
    enum err e = db_number(s, "SELECT EXISTS(SELECT 1 FROM tonle_again)", &any);
    if (e == ERR_OK && any)
        e = decide_noted(s, &a, now_ms);
    arena_fini(&a);
    return e;
}

/* Keys at which a birth is held: who means it is held, too, whoever stands there. */
static enum err held_parents(struct work *w)
{
    struct query q = DB_QUERY(w->s, "SELECT DISTINCT t, k FROM tonle_held WHERE t > 0");
    while (query_next(&q)) {
        const struct table_schema *t = schema_by_number(w->s, (uint32_t)query_u64(&q, 0));
        struct bytes key = query_borrow(&q, 1);
        if (t && t->exists)
            work_get(w, t, key.p, key.len)->others_moved = true;
    }
    enum err e = query_end(&q);
    for (size_t i = 0; e == ERR_OK && i < w->n; i++)
        e = work_load(w, w->row[i]);
    return e;
}

static enum err hold_orphans(struct store *s, struct arena *a)
{
    struct work w;
    uint32_t released = 0;
    enum err e = ERR_OK;
    begin(&w, s, a, 0);
    w.check_parents = true;
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_fks; i++) {
        if (s->schema->tables[s->schema->fks[i].child].exists &&
            s->schema->tables[s->schema->fks[i].parent].exists)
            e = work_orphans(&w, &s->schema->fks[i]);
    }
    if (e == ERR_OK)
        e = held_parents(&w);
    return e == ERR_OK ? finish(&w, &released) : e;
}

static enum err parents_anew(struct store *s, struct arena *a)
{
    struct work w;
    uint32_t released;
    bool any;
    enum err e = hold_orphans(s, a);
    begin(&w, s, a, 0);
    if (e == ERR_OK)
        e = meet(&w, DB_QUERY(s, "SELECT t, k FROM tonle_held WHERE reason = 'parent'"), &any);
    if (e == ERR_OK)
        e = load_all(&w);
    return e == ERR_OK ? finish(&w, &released) : e;
}

/* A row that cannot be held keeps nothing else waiting: why is on record for a person. */
static enum err try_parents(struct store *s, struct arena *a,
                            enum err (*decide)(struct store *s, struct arena *a))
{
    enum err e = capture_temp_triggers(s);
    if (e == ERR_OK)
        e = store_try_begin(s);
    if (e != ERR_OK)
        return e;
    e = decide(s, a);
    if (!store_try_refused(e))
        return e == ERR_OK ? store_try_keep(s) : e;
    e = store_try_undo(s);
    const char *why = store_message(s);
    return e == ERR_OK ? store_meta_set(s, META_PARENTS_REFUSED, why, strlen(why)) : e;
}

enum err load_parents(struct store *s, struct arena *a)
{
    return try_parents(s, a, hold_orphans);
}

enum err charter_parents(struct store *s, struct arena *a)
{
    uint64_t due;
    enum err e = store_meta_u64(s, META_PARENTS_DUE, 0, &due);
    if (e != ERR_OK || due == 0 || state_of(s)->loading)
        return e; /* a load's end does the same */
    e = store_meta_drop(s, META_PARENTS_DUE);
    if (e == ERR_OK)
        e = store_meta_drop(s, META_PARENTS_REFUSED);
    return e == ERR_OK ? try_parents(s, a, parents_anew) : e;
}

enum err store_parents_again(struct store *s)
{
    enum err e = store_meta_drop(s, META_PARENTS_REFUSED);
    return e == ERR_OK ? store_meta_set_u64(s, META_PARENTS_DUE, 1) : e;
}
