/* A world in which applications have BEFORE triggers that RAISE(IGNORE), at some offices, for some
 * rows: a statement succeeds and does nothing. While there is such a trigger, or a row is held that
 * one has ignored, whatever does not stand as the model says is held, so that nothing is lost
 * without a word. Some ignore while a row of a table of the application's own stands, which an
 * ordinary write takes away: the schema stays. In the end none ignores any more, nobody asks for
 * anything, and what was held comes in by itself: then every office is as if there had never been
 * one. */
#include "node/db/query.h"
#include "node/record/record.h"
#include "node/store/store.h"
#include "tests/lib/rooms.h"
#include "tests/sim/world.h"

#include <stdio.h>

#define SKIPS 4
#define MOST_MS 660000 /* between two tries of what only an office refuses, and some more */

void ignore_start(struct world *w)
{
    w->ignores.state = (w->seed + 17) * 0x9e3779b97f4a7c15ULL;
    world_later(w, WHAT_IGNORE, 0, 1000, 0);
}

/* It goes, or what it reads goes, and then it stands and ignores nothing. */
static void drop_skip(struct world *w, struct machine *m, unsigned n)
{
    char sql[64];
    if (m->skips_read & 1u << n)
        snprintf(sql, sizeof sql, "DELETE FROM app_stop WHERE n = %u", n);
    else
        snprintf(sql, sizeof sql, "DROP TRIGGER IF EXISTS skip%u", n);
    int rc = office_try(&m->o, sql);
    if (rc == SQLITE_OK)
        m->skips &= ~(1u << n);
    if (w->verbose)
        printf("%8llu %s: %s -> %d\n", (unsigned long long)w->now, m->o.name, sql, rc);
}

static void make_skip(struct world *w, struct machine *m, unsigned n)
{
    static const char *const event[] = {"INSERT", "UPDATE", "DELETE"};
    struct buf sql = {0};
    uint32_t what = draw_below(&w->ignores, 3), table = draw_below(&w->ignores, 3);
    unsigned id = draw_below(&w->ignores, 5);
    bool reads = draw_chance(&w->ignores, 500);
    buf_printf(&sql,
               "BEGIN IMMEDIATE; DROP TRIGGER IF EXISTS skip%u; CREATE TABLE IF NOT EXISTS"
               " app_stop(n INTEGER PRIMARY KEY); INSERT OR IGNORE INTO app_stop VALUES(%u);"
               " CREATE TRIGGER skip%u BEFORE %s ON ",
               n, n, n, event[what]);
    if (table == 0)
        buf_printf(&sql, "house WHEN %s.id = 'h%u'", what == 2 ? "old" : "new", id);
    else if (table == 1)
        buf_printf(&sql, "person WHEN %s.id = 'p%u'", what == 2 ? "old" : "new", id);
    else
        buf_printf(&sql, "receipt WHEN %s.number = %u", what == 2 ? "old" : "new", id);
    if (reads)
        buf_printf(&sql, " AND EXISTS(SELECT 1 FROM app_stop WHERE n = %u)", n);
    buf_printf(&sql, " BEGIN SELECT RAISE(IGNORE); END; COMMIT");
    m->skips |= 1u << n; /* also where it cannot be told */
    m->skips_read = reads ? m->skips_read | 1u << n : m->skips_read & ~(1u << n);
    int rc = office_try(&m->o, buf_str(&sql));
    if (rc != SQLITE_OK)
        office_try(&m->o, "ROLLBACK");
    w->skips += rc == SQLITE_OK;
    if (w->verbose)
        printf("%8llu %s: %s -> %d\n", (unsigned long long)w->now, m->o.name, buf_str(&sql), rc);
    buf_fini(&sql);
}

void ignore_turn(struct world *w)
{
    struct machine *m = &w->m[draw_below(&w->ignores, (uint32_t)w->n)];
    unsigned n = draw_below(&w->ignores, SKIPS);
    world_later(w, WHAT_IGNORE, 0, 300 + draw_below(&w->ignores, 2000), 0);
    if (!m->o.app || m->open_tx)
        return;
    if (m->skips & 1u << n)
        drop_skip(w, m, n);
    else
        make_skip(w, m, n);
    if (disk_failed(w->disk))
        world_power_off(w, m, true);
    world_later(w, WHAT_CHANGE, (int)(m - w->m), 1 + draw_below(&w->ignores, 30), 0);
}

void ignore_heal(struct world *w)
{
    for (int i = 0; i < w->n; i++) {
        for (unsigned n = 0; w->m[i].o.app && n < SKIPS; n++)
            if (w->m[i].skips & 1u << n)
                drop_skip(w, &w->m[i], n);
        world_later(w, WHAT_CHANGE, i, 5, 0);
    }
}

static int64_t held_locally(struct store *s)
{
    return database_number(s, "SELECT count(*) FROM tonle_held WHERE reason = 'local'");
}

bool ignore_doubt(struct machine *m)
{
    return m->skips != 0 || held_locally(m->watch) > 0;
}

/* ---- what does not stand is held */

static bool is_held(struct world *w, struct machine *m, const struct model_row *r)
{
    struct store *s = m->watch;
    struct query q = DB_QUERY(s, "SELECT 1 FROM tonle_held WHERE t = ?1 AND k = ?2",
                              value_u64(s->schema->tables[r->table].t), value_blob(r->key, r->len));
    bool found = query_next(&q);
    oracle_end(w, m, &q);
    return found;
}

static bool stands_so(struct machine *m, struct arena *a, const struct model_row *r)
{
    const struct table_schema *t = &m->watch->schema->tables[r->table];
    const struct model_birth *stands = NULL;
    struct value *now = NULL;
    for (uint32_t i = 0; i < r->n_births; i++)
        if (r->birth[i].alive && r->birth[i].held == HOLD_NONE)
            stands = &r->birth[i];
    if (row_read(m->watch, a, (struct row_key){t, r->key, r->len}, &now) != ERR_OK)
        return false;
    for (uint32_t i = 0; now && !stands && i < r->n_births; i++)
        if (r->birth[i]
                .alive) /* held for a row that is not here: it is here, and that is no loss */
            stands = &r->birth[i];
    bool same = !now == !stands;
    for (uint32_t i = 0; same && now && i < t->n_columns; i++)
        same = value_equal(&now[i], &stands->values[i]);
    return same;
}

void ignore_check(struct world *w, struct machine *m)
{
    struct arena a = {0};
    size_t n;
    (void)model_decide(&m->model, m->watch, &a, &n);
    w->checks++;
    for (size_t i = 0; w->broken[0] == '\0' && i < m->model.n_rows; i++) {
        const struct model_row *r = &m->model.row[i];
        const struct table_schema *t = &m->watch->schema->tables[r->table];
        if (!stands_so(m, &a, r) && !is_held(w, m, r))
            world_break(w, "8", "%s: %s %s does not stand as it should, and is not held", m->o.name,
                        t->name, schema_key_json(&a, t, r->key, r->len));
    }
    arena_fini(&a);
}

/* ---- it comes in by itself */

static void say_held(struct world *w, struct machine *m)
{
    struct query q = DB_QUERY(m->watch, "SELECT table_name || ' ' || key || ': ' || message"
                                        " FROM tonle_held WHERE reason = 'local'");
    if (query_next(&q))
        world_break(w, "8", "%s: still held, and no trigger ignores it: %s", m->o.name,
                    query_borrow_text(&q, 0));
    oracle_end(w, m, &q);
}

static bool any_held(struct world *w)
{
    bool any = false;
    for (int i = 0; i < w->n; i++)
        any = any || held_locally(w->m[i].o.store) > 0;
    return any;
}

void ignore_returns(struct world *w)
{
    ignore_heal(w); /* of who was off before */
    world_run(w, 3000);
    for (uint32_t ms = 0; ms < MOST_MS && w->broken[0] == '\0' && any_held(w); ms += 5000)
        world_run(w, 5000);
    for (int i = 0; i < w->n && w->broken[0] == '\0'; i++) {
        struct machine *m = &w->m[i];
        if (store_begin_read(m->watch) != ERR_OK || schema_load(m->watch) != ERR_OK)
            world_break(w, "1", "%s: %s", m->o.name, store_message(m->watch));
        else if (held_locally(m->watch) > 0)
            say_held(w, m);
        else
            oracle_tables(w, m);
        store_rollback(m->watch);
    }
}
