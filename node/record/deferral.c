#include "node/record/deferral.h"

#include "node/db/query.h"
#include "node/record/own.h"
#include "node/record/record.h"
#include "node/state/state.h"

#include <assert.h>
#include <string.h>

void deferral_forget(struct store *s)
{
    struct record *r = s->record;
    while (r->deferred) {
        struct deferral *next = r->deferred->next;
        clock_fini(&r->deferred->stable);
        mem_free(r->deferred);
        r->deferred = next;
    }
    r->deferred_known = false;
}

/* Another table waits from now on; `stable`: encoded. */
static enum err add(struct store *s, const char *table, uint64_t pos, struct bytes stable)
{
    struct deferral *d = mem_alloc(sizeof *d + strlen(table) + 1);
    struct cursor c = cursor_of(stable.p, stable.len);
    strcpy(d->table, table);
    d->pos = pos;
    d->next = s->record->deferred;
    s->record->deferred = d;
    return clock_decode(&c, &d->stable, stable.len) == ERR_OK
               ? ERR_OK
               : store_fail(s, ERR_CORRUPT, "the clock with which table %.64s waits is damaged",
                            table);
}

/* The tables that wait, each with the clock of its first changeset. */
static enum err read(struct store *s)
{
    if (s->record->deferred_known)
        return ERR_OK;
    struct arena a = {0};
    struct query q = DB_QUERY(s, "SELECT name, min(pos), stable FROM tonle_deferred"
                                 " GROUP BY name ORDER BY name");
    while (query_next(&q))
        query_fail(&q, add(s, query_text(&q, &a, 0), query_u64(&q, 1), query_borrow(&q, 2)));
    arena_fini(&a);
    enum err e = query_end(&q);
    if (e != ERR_OK) {
        deferral_forget(s); /* a part of the tables would say that the others do not wait */
        return e;
    }
    s->record->deferred_known = true;
    s->record->deferred_rev = state_version(s);
    return ERR_OK;
}

enum err deferral_list(struct store *s, struct deferral **out)
{
    enum err e = read(s);
    *out = e == ERR_OK ? s->record->deferred : NULL;
    return e;
}

enum err store_deferred_any(struct store *s, bool *any)
{
    int64_t there = 0;
    enum err e = db_number(s, "SELECT EXISTS(SELECT 1 FROM tonle_deferred)", &there);
    *any = there != 0;
    return e;
}

enum err deferral_published(struct store *s, bool *any)
{
    struct deferral *d;
    enum err e = schema_load(s);
    if (e == ERR_OK)
        e = deferral_list(s, &d);
    *any = false;
    for (; e == ERR_OK && d; d = d->next)
        *any = *any || schema_table(s, d->table);
    return e;
}

enum err deferral_find(struct store *s, const char *table, struct deferral **out)
{
    struct deferral *d;
    enum err e = deferral_list(s, &d);
    while (d && strcmp(d->table, table) != 0)
        d = d->next;
    *out = d;
    return e;
}

enum err deferral_note(struct store *s, const char *table, uint64_t pos)
{
    assert(s->in_write);
    struct buf stable = {0};
    bool waits;
    enum err e = defer_waits(s, table, &waits);
    clock_encode(&stable, &state_of(s)->stable);
    if (e == ERR_OK)
        e = DB_RUN(s, "INSERT OR IGNORE INTO tonle_deferred(name, pos, stable) VALUES(?1, ?2, ?3)",
                   value_text(table), value_u64(pos), value_blob(stable.data, stable.len));
    if (e == ERR_OK && !waits)
        e = add(s, table, pos, (struct bytes){stable.data, stable.len});
    buf_fini(&stable);
    return e;
}

enum err deferral_done(struct store *s, const char *table, uint64_t pos)
{
    assert(s->in_write);
    return DB_RUN(s, "DELETE FROM tonle_deferred WHERE name = ?1 AND pos = ?2", value_text(table),
                  value_u64(pos));
}

enum err defer_waits(struct store *s, const char *table, bool *waits)
{
    struct deferral *d;
    enum err e = deferral_find(s, table, &d);
    *waits = d;
    return e;
}

enum err defer_stable(struct store *s, const char *table, const struct clock **out)
{
    struct deferral *d;
    enum err e = deferral_find(s, table, &d);
    *out = d ? &d->stable : &state_of(s)->stable;
    return e;
}
