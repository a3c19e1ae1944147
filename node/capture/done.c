/* The changeset is in the journal: what it consumed goes, what it could not take stays known. */
#include "node/capture/capture.h"
#include "node/capture/collect.h"
#include "node/db/sqlite.h"

#include <stdio.h>

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
    buf_printf(&b, "DELETE FROM main.tonle_log_%u", s->schema->tables[w->table].t);
    if (all) {
        e = w->n_events ? store_run(s, store_stmt(s, buf_str(&b))) : ERR_OK;
        buf_fini(&b);
        return e == ERR_OK ? collect_index_drop(s, s->schema->tables[w->table].t) : e;
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

/* Rows that went whole are no longer kept back; those of which something stays are. */
static enum err save_limits(struct store *s, const struct collected *c, uint64_t now_ms)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; c->any_limits && i < c->n; i++) {
        const struct table_work *w = &c->work[i];
        for (uint32_t k = 0; e == ERR_OK && k < w->n_entries; k++) {
            struct log_entry *x = &w->entries[k];
            if (x->taken && !x->limited)
                e = limit_drop(s, &s->schema->tables[w->table], (struct bytes){x->key, x->key_len},
                               &x->freed);
        }
    }
    for (size_t i = 0; e == ERR_OK && i < c->n_limits; i++)
        e = limit_put(s, &c->limits[i], now_ms);
    return e;
}

/* Rows that only we had and that are gone: what others have under their keys may come in. */
static enum err tell_freed(struct store *s, const struct collected *c, uint64_t now_ms,
                           collect_freed_fn *freed)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; c->any_limits && i < c->n; i++) {
        const struct table_work *w = &c->work[i];
        for (uint32_t k = 0; e == ERR_OK && k < w->n_entries; k++) {
            const struct log_entry *x = &w->entries[k];
            if (x->freed && !x->born)
                e = freed(s, (struct row_key){&s->schema->tables[w->table], x->key, x->key_len},
                          now_ms);
        }
    }
    return e;
}

enum err collect_consumed(struct store *s, uint64_t now_ms, collect_freed_fn *freed)
{
    struct collected *c = s->capture->collected;
    enum err e = c ? save_limits(s, c, now_ms) : ERR_OK;
    for (uint32_t i = 0; c && e == ERR_OK && i < c->n; i++)
        e = delete_consumed(s, &c->work[i]);
    if (c && e == ERR_OK)
        e = todo_done(s, &c->todo);
    if (c && e == ERR_OK)
        e = tell_freed(s, c, now_ms, freed);
    collected_free(c);
    s->capture->collected = NULL;
    return e;
}

enum err capture_discard(struct store *s, const struct table_schema *t)
{
    char sql[128];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM sqlite_schema WHERE name = 'tonle_log_%u' AND type = 'table'",
             t->t);
    if (store_pragma(s, sql) != 1)
        return ERR_OK;
    snprintf(sql, sizeof sql, "DELETE FROM tonle_log_%u", t->t);
    return store_exec(s, sql);
}
