/* Deciding again what was decided before: one held row, all of them, what a cut log left alone, or,
 * when the first load has ended or a charter has come, every row that refers to another. */
#include "node/apply/apply.h"

#include "node/apply/work.h"
#include "node/capture/capture.h"
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

/* Loads every row; what has a birth on record is decided anew, whatever was said of it. */
static enum err load_all(struct work *w)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < w->n; i++) {
        struct work_row *r = w->row[i];
        e = work_load(w, r);
        r->retry = r->slow = r->touched = r->row.n_births > 0;
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
    (void)work_get(&w, k.t, k.key, k.len);
    if (e == ERR_OK)
        e = meet(&w,
                 DB_QUERY(s, "SELECT t, k FROM tonle_held WHERE t = ?1 AND reason = 'local'",
                          value_u64(k.t->t)),
                 &any);
    if (e == ERR_OK)
        e = load_all(&w);
    if (e == ERR_OK)
        e = finish(&w, &released);
    arena_fini(&a);
    return e;
}

/* A row that stands is looked at by pass 4, too. */
enum err again_decide(struct store *s, uint64_t now_ms)
{
    struct arena a = {0};
    struct work w;
    uint32_t released;
    bool any = false;
    begin(&w, s, &a, now_ms);
    enum err e = meet(&w, DB_QUERY(s, "SELECT t, k FROM tonle_again"), &any);
    if (e == ERR_OK)
        e = load_all(&w);
    for (size_t i = 0; e == ERR_OK && i < w.n; i++)
        w.row[i]->fk_new = w.row[i]->now;
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

enum err load_parents(struct store *s, struct arena *a)
{
    struct work w;
    uint32_t released = 0;
    enum err e = capture_temp_triggers(s);
    if (e != ERR_OK)
        return e;
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
    enum err e = load_parents(s, a);
    begin(&w, s, a, 0);
    if (e == ERR_OK)
        e = meet(&w, DB_QUERY(s, "SELECT t, k FROM tonle_held WHERE reason = 'parent'"), &any);
    if (e == ERR_OK)
        e = load_all(&w);
    return e == ERR_OK ? finish(&w, &released) : e;
}

/* A row that cannot be held keeps nothing else waiting: why is on record for a person. */
enum err charter_parents(struct store *s, struct arena *a)
{
    uint64_t due;
    enum err e = store_meta_u64(s, META_PARENTS_DUE, 0, &due);
    if (e != ERR_OK || due == 0 || state_of(s)->loading)
        return e; /* a load's end does the same */
    e = store_meta_drop(s, META_PARENTS_DUE);
    if (e == ERR_OK)
        e = store_meta_drop(s, META_PARENTS_REFUSED);
    if (e == ERR_OK)
        e = store_try_begin(s);
    if (e != ERR_OK)
        return e;
    e = parents_anew(s, a);
    if (!store_try_refused(e))
        return e == ERR_OK ? store_try_keep(s) : e;
    e = store_try_undo(s);
    const char *why = store_message(s);
    return e == ERR_OK ? store_meta_set(s, META_PARENTS_REFUSED, why, strlen(why)) : e;
}

enum err store_parents_again(struct store *s)
{
    enum err e = store_meta_drop(s, META_PARENTS_REFUSED);
    return e == ERR_OK ? store_meta_set_u64(s, META_PARENTS_DUE, 1) : e;
}
