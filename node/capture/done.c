/* The changeset is in the journal: what it consumed goes, what it could not take stays known. */
#include "node/capture/capture.h"
#include "node/capture/collect.h"
#include "node/capture/gap.h"
#include "node/db/query.h"

#include <assert.h>

static bool consumed(const struct table_work *w, uint32_t event)
{
    return w->entries[w->events[event].entry].taken;
}

static bool all_consumed(const struct table_work *w)
{
    bool all = !w->left;
    for (uint32_t i = 0; all && i < w->n_events; i++)
        all = consumed(w, i);
    return all;
}

/* Neighbours in the log go in one statement. */
static enum err delete_pieces(struct store *s, const struct table_work *w, const char *sql)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < w->n_events; i++) {
        if (!consumed(w, i))
            continue;
        uint32_t end = i;
        while (end + 1 < w->n_events && consumed(w, end + 1) &&
               w->events[end + 1].rowid == w->events[end].rowid + 1)
            end++;
        e = DB_RUN(s, sql, value_integer(w->events[i].rowid), value_integer(w->events[end].rowid));
        i = end;
    }
    return e;
}

static enum err delete_consumed(struct store *s, const struct table_work *w)
{
    struct buf b = {0};
    uint32_t t = s->schema->tables[w->table].t;
    bool all = all_consumed(w);
    enum err e = ERR_OK;
    buf_printf(&b, "DELETE FROM main.tonle_log_%u%s", t,
               all ? "" : " WHERE rowid BETWEEN ?1 AND ?2");
    if (!all)
        e = delete_pieces(s, w, buf_str(&b));
    else if (w->n_events)
        e = DB_RUN(s, buf_str(&b));
    buf_fini(&b);
    return e == ERR_OK && all ? collect_index_drop(s, t) : e;
}

static void note(struct collected *c, struct limit_note n)
{
    c->notes = arena_grow(&c->arena, c->notes, c->n_notes, &c->notes_cap, sizeof *c->notes);
    c->notes[c->n_notes++] = n;
}

/* Rows that went whole are no longer kept back; those of which something stays are; and those that
 * nobody else knew, and that are gone, are in nobody's way. */
static enum err save_limits(struct store *s, struct collected *c)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct table_work *w = &c->work[i];
        for (uint32_t k = 0; e == ERR_OK && k < w->n_entries; k++) {
            const struct log_entry *x = &w->entries[k];
            struct row_key key = {&s->schema->tables[w->table], x->key, x->key_len};
            bool any = false;
            if (c->any_limits && x->taken && !x->limited)
                e = limit_drop(s, key, &any);
            if (any || x->entered)
                note(c, (struct limit_note){.t = key.t->t,
                                            .key = {x->key, x->key_len},
                                            .gone = any,
                                            .found = x->found,
                                            .entered = x->entered});
        }
    }
    for (size_t i = 0; e == ERR_OK && i < c->n_limits; i++) {
        const struct limit *l = &c->limits[i];
        e = limit_put(s, l);
        note(c, (struct limit_note){.t = s->schema->tables[l->table].t,
                                    .key = l->key,
                                    .message = l->message,
                                    .found = l->found,
                                    .lost = l->row});
    }
    return e;
}

enum err collect_consumed(struct store *s, struct collected *c)
{
    assert(s->in_write && !c->done);
    c->done = true;
    enum err e = save_limits(s, c);
    for (uint32_t i = 0; e == ERR_OK && i < c->n; i++) {
        const struct table_schema *t = &s->schema->tables[c->work[i].table];
        e = delete_consumed(s, &c->work[i]);
        if (e == ERR_OK && c->work[i].nobodys)
            e = gap_suspect(s, t->t, t->name);
    }
    return e == ERR_OK ? todo_done(s, &c->todo) : e;
}

const struct limit_note *collected_notes(const struct collected *c, size_t *n)
{
    assert(c->done);
    *n = c->n_notes;
    return c->notes;
}
