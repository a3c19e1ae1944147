/* The births that keep their names after they are stable: the list of the last stable(mark), or of
 * the chunks of a load (tonle_keep). Mostly there is none: one question a transaction tells.
 *
 * The rows of a table that changesets wait for are looked at through the stable clock under which
 * the first of those came (record/deferral.h), and so with the names that were kept then: with
 * today's list a birth would have lost its name there before the changes that still name it.
 *
 * And the rows that came in meanwhile without anything to become stable (tonle_came). */
#include "node/record/record.h"

#include "node/db/query.h"
#include "node/record/deferral.h"
#include "node/record/own.h"
#include "node/state/state.h"

#include <assert.h>

enum err record_keeps_any(struct store *s, bool *any)
{
    struct record *r = s->record;
    int64_t there = 0;
    enum err e =
        r->keep_known ? ERR_OK : db_number(s, "SELECT EXISTS(SELECT 1 FROM tonle_keep)", &there);
    if (e == ERR_OK && !r->keep_known) {
        r->keep_any = there;
        r->keep_known = true;
    }
    *any = e == ERR_OK && r->keep_any;
    return e;
}

enum err record_keep_clear(struct store *s)
{
    assert(s->in_write);
    s->record->keep_known = false;
    enum err e =
        store_exec(s, "DELETE FROM tonle_keep WHERE t NOT IN (SELECT t.t FROM tonle_table t"
                      " JOIN tonle_deferred d ON d.name = t.name)");
    if (e != ERR_OK)
        return e;
    return DB_RUN(s, "UPDATE tonle_keep SET until = ?1 WHERE until IS NULL",
                  value_u64(state_of(s)->journal_pos));
}

enum err record_keep_add(struct store *s, struct row_key k, struct dot birth)
{
    assert(s->in_write);
    s->record->keep_known = false;
    return DB_RUN(s, "INSERT OR REPLACE INTO tonle_keep(t, k, site, seq) VALUES(?1, ?2, ?3, ?4)",
                  value_integer(k.t->t), value_blob(k.key, k.len), value_u64(birth.site),
                  value_u64(birth.seq));
}

enum err record_keep_names(struct store *s, struct arena *a, struct row_key k, struct dot **names,
                           size_t *n)
{
    size_t cap = 0;
    struct deferral *waits;
    *names = NULL;
    *n = 0;
    enum err e = deferral_find(s, k.t->name, &waits);
    if (e != ERR_OK)
        return e;
    struct query q = DB_QUERY(s,
                              "SELECT site, seq FROM tonle_keep WHERE t = ?1 AND k = ?2"
                              " AND (until IS NULL OR until >= ?3)",
                              value_integer(k.t->t), value_blob(k.key, k.len),
                              value_u64(waits ? waits->pos : INT64_MAX));
    while (query_next(&q)) {
        *names = arena_grow(a, *names, *n, &cap, sizeof **names);
        (*names)[(*n)++] = (struct dot){query_u64(&q, 0), query_u64(&q, 1)};
    }
    return query_end(&q);
}

/* ---- tonle_came */

enum err record_came(struct store *s, struct row_key k)
{
    assert(s->in_write);
    return DB_RUN(s, "INSERT OR IGNORE INTO tonle_came(t, k) VALUES(?1, ?2)", value_integer(k.t->t),
                  value_blob(k.key, k.len));
}

enum err record_came_clear(struct store *s)
{
    assert(s->in_write);
    return store_exec(s, "DELETE FROM tonle_came");
}
