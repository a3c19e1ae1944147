/* What was applied before comes again (promise 10); and the negative controls: a world in which one
 * rule is broken, which the oracle must find. */
#include "tests/lib/rooms.h"
#include "tests/sim/world.h"

#include "protocol/codec.h"
#include "protocol/seal.h"

#include <stdio.h>
#include <string.h>

/* What this query finds, hashed on from h; 0 when it fails. */
static uint64_t found_rows(struct store *s, struct arena *a, const char *sql, uint64_t h)
{
    struct buf bytes = {0};
    struct query q = DB_QUERY(s, sql);
    while (query_next(&q)) {
        for (int c = 0; c < sqlite3_column_count(q.stmt); c++) {
            struct value v = query_value(&q, a, c);
            buf_reset(&bytes);
            value_encode(&bytes, &v);
            h = bytes_hash(h, bytes.data, bytes.len);
        }
    }
    buf_fini(&bytes);
    return query_end(&q) == ERR_OK ? h : 0;
}

/* Everything in the database but the counters of transactions and the positions of the links; 0
 * when it cannot be read. */
static uint64_t contents(struct store *s)
{
    struct arena a = {0};
    const char *name[256];
    size_t n = 0;
    uint64_t h = VALUE_HASH_SEED;
    struct query q = DB_QUERY(
        s, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
           " AND name <> 'tonle_peer'"
           " ORDER BY name");
    while (n < 256 && query_next(&q))
        name[n++] = query_text(&q, &a, 0);
    if (query_end(&q) != ERR_OK)
        h = 0;
    for (size_t i = 0; h && i < n; i++) {
        struct buf sql = {0};
        buf_printf(&sql, "SELECT * FROM main.%s%s", schema_quote(&a, name[i]),
                   strcmp(name[i], "tonle_meta") == 0 ? " WHERE k <> 'rev'" : "");
        h = found_rows(s, &a, buf_str(&sql), h);
        buf_fini(&sql);
    }
    arena_fini(&a);
    return h;
}

/* A changeset of a neighbour's journal that is here already. */
static bool pick(struct world *w, struct machine *m, struct arena *a, struct machine **from,
                 struct item *item)
{
    const struct clock *clock = &store_state_get(m->o.store)->clock;
    *from = &w->m[m->parent >= 0 ? m->parent : (int)world_below(w, (uint32_t)w->n)];
    if (*from == m || !(*from)->alive || clock->n == 0)
        return false;
    struct clock_entry x = clock->entry[world_below(w, (uint32_t)clock->n)];
    struct dot d = {x.site, 1 + world_random(w) % x.seq};
    return store_journal_find((*from)->o.store, a, d, item) == ERR_OK;
}

void again_apply(struct world *w, struct machine *m)
{
    struct arena a = {0};
    struct machine *from;
    struct item item;
    struct changeset cs;
    struct apply_report report;
    uint8_t hash[HASH_BYTES];
    struct peer_record peer;
    bool found = m->alive && pick(w, m, &a, &from, &item);
    if (found && store_begin(m->o.store) == ERR_OK) {
        struct site_record site;
        uint64_t before = contents(m->o.store);
        enum err e = store_site_get(m->o.store, &a, item.dot.site, &site);
        if (e == ERR_OK)
            e = seal_open(&a, item.bytes.p, item.bytes.len, site.sign_key, &cs, hash);
        if (e == ERR_OK)
            e = store_peer_get(m->o.store, from->o.name, &peer);
        struct apply_input in = {.cs = &cs,
                                 .bytes = item.bytes,
                                 .hash = hash,
                                 .source = from->o.name,
                                 .link_pos = peer.received_pos,
                                 .now_ms = item.hlc >> 16};
        if (e == ERR_OK)
            e = store_apply(m->o.store, &a, &in, &report);
        bool power = !disk_failed(w->disk); /* a fault that was drawn for it comes in here, too */
        if (e != ERR_OK && power)
            world_break(w, "10", "%s: a changeset that came again: %s: %s", m->o.name, err_name(e),
                        store_message(m->o.store));
        else if (power && contents(m->o.store) != before)
            world_break(w, "10", "%s: a changeset that came again changed something", m->o.name);
        w->repeats++;
    }
    if (found)
        store_rollback(m->o.store);
    arena_fini(&a);
}

/* ---- negative controls */

/* An acknowledgement that leaves before the commit: the power goes in between. */
static void ack_early(struct world *w, struct machine *m, struct machine *from,
                      const struct item_message *item)
{
    struct message ack = {.type = MESSAGE_ACK};
    ack.u.ack = (struct ack){item->session, item->pos, UINT64_MAX};
    oracle_sent(w, m, from, &ack);
    world_power_off(w, m, true);
}

/* A changeset from elsewhere, without looking at what it builds on. */
static void apply_early(struct world *w, struct machine *m)
{
    struct arena a = {0};
    struct machine *from = &w->m[world_below(w, (uint32_t)w->n)];
    const struct clock *clock = &store_state_get(m->o.store)->clock;
    struct item item;
    struct changeset cs;
    uint8_t hash[HASH_BYTES];
    struct apply_report report;
    struct dot d = {from->o.site, clock_get(clock, from->o.site) + 1};
    if (from != m && from->alive && !store_capture_pending(m->o.store) &&
        store_begin(m->o.store) == ERR_OK) {
        enum err e = store_journal_find(from->o.store, &a, d, &item);
        if (e == ERR_OK)
            e = seal_open(&a, item.bytes.p, item.bytes.len, from->o.key, &cs, hash);
        if (e == ERR_OK) {
            struct apply_input in = {.cs = &cs,
                                     .bytes = item.bytes,
                                     .hash = hash,
                                     .source = "elsewhere",
                                     .now_ms = item.hlc >> 16};
            cs.context = (struct clock){0};
            e = store_apply(m->o.store, &a, &in, &report);
        }
        if (e != ERR_OK || store_commit(m->o.store) != ERR_OK)
            store_rollback(m->o.store);
    }
    arena_fini(&a);
}

/* What is applied here is called stable, although others have not seen it. */
static void forget_early(struct machine *m)
{
    struct arena a = {0};
    struct stable st = {0};
    if (store_begin(m->o.store) == ERR_OK) {
        const struct store_state *state = store_state_get(m->o.store);
        st.hlc = state->hlc;
        clock_copy(&st.clock, &state->clock);
        if (store_set_stable(m->o.store, &a, &st) != ERR_OK || store_commit(m->o.store) != ERR_OK)
            store_rollback(m->o.store);
    }
    clock_fini(&st.clock);
    arena_fini(&a);
}

/* What it stamps from now on is from in ten years. */
static void know_future(struct machine *m)
{
    struct store *s = m->o.store;
    uint64_t years = UINT64_C(315360000000) << 16;
    if (store_begin(s) == ERR_OK &&
        (store_set_hlc(s, store_state_get(s)->hlc + years) != ERR_OK || store_commit(s) != ERR_OK))
        store_rollback(s);
}

/* One row of a drawn table that a query of `tonle_row` or `tonle_held` names. */
static bool pick_row(struct store *s, struct arena *a, const char *sql, struct row_key *k)
{
    struct query q = DB_QUERY(s, sql);
    bool found = query_next(&q);
    if (found) {
        struct bytes key = query_bytes(&q, a, 1);
        *k = (struct row_key){schema_by_number(s, (uint32_t)query_u64(&q, 0)), key.p, key.len};
    }
    return query_end(&q) == ERR_OK && found && k->t && !k->t->internal;
}

/* What was counted is counted again. */
static bool count_twice(struct world *w, struct store *s)
{
    char sql[256];
    for (int i = 0; i < w->schema.n; i++) {
        const struct drawn_table *t = &w->schema.table[i];
        for (int c = t->n_key; c < t->n_columns; c++) {
            if (t->column[c].domain != DOMAIN_COUNT)
                continue;
            snprintf(sql, sizeof sql, "UPDATE main.%s SET %s = %s + 1 WHERE %s > 0", t->name,
                     t->column[c].name, t->column[c].name, t->column[c].name);
            return store_exec(s, sql) == ERR_OK;
        }
    }
    return false;
}

/* Of the siblings of a cell only the one that is shown stays on record. */
static bool forget_losers(struct store *s, struct arena *a)
{
    struct row_key k;
    struct row r;
    enum record_at at;
    bool changed = false;
    struct value *now = NULL;
    if (!pick_row(s, a, "SELECT t, k FROM tonle_conflict WHERE state = 'open' ORDER BY id", &k) ||
        row_load(s, a, k, &r, &at) != ERR_OK || row_read(s, a, k, &now) != ERR_OK)
        return false;
    for (uint32_t i = 0; i < r.n_births; i++) {
        struct birth *b = &r.births[i];
        if (now && b == row_standing(&r, &k.t->rules))
            birth_set_values(a, b, &k.t->rules, now);
        for (uint32_t j = 0; j < b->n_cells; j++) {
            struct cell *c = &b->cells[j];
            if (c->n < 2 || c->column == COLUMN_EXISTS)
                continue;
            c->v[0] = c->v[birth_choose(a, b, &k.t->rules, c->column, c->v, c->n)];
            c->n = 1;
            changed = true;
        }
    }
    return changed && row_save(s, a, k, &r, at) == ERR_OK;
}

/* A row comes in although its parent is held. */
static bool let_child_in(struct store *s, struct arena *a)
{
    struct row_key k;
    struct row r;
    struct buf sql = {0};
    if (!pick_row(s, a, "SELECT t, k FROM tonle_held WHERE reason = 'parent' ORDER BY id", &k) ||
        row_load(s, a, k, &r, NULL) != ERR_OK)
        return false;
    const struct birth *held = NULL;
    for (uint32_t i = 0; i < r.n_births; i++) {
        if (r.births[i].held == HOLD_PARENT)
            held = &r.births[i];
    }
    if (!held)
        return false;
    buf_printf(&sql, "INSERT INTO %s(%s) VALUES(?1", k.t->qname, k.t->column_list);
    for (uint32_t i = 1; i < k.t->n_columns; i++)
        buf_printf(&sql, ", ?%u", i + 1);
    buf_printf(&sql, ")");
    enum err e = query_run(s, buf_str(&sql), k.t->n_columns, birth_shown(a, held, &k.t->rules));
    buf_fini(&sql);
    return e == ERR_OK;
}

static void breach_rows(struct world *w, struct machine *m)
{
    struct arena a = {0};
    bool done = false;
    if (store_capture_pending(m->o.store) || store_begin(m->o.store) != ERR_OK)
        return;
    if (schema_load(m->o.store) != ERR_OK)
        done = false;
    else if (w->breach == BREACH_TWICE)
        done = count_twice(w, m->o.store);
    else if (w->breach == BREACH_LOSERS)
        done = forget_losers(m->o.store, &a);
    else
        done = let_child_in(m->o.store, &a);
    if (!done || store_commit(m->o.store) != ERR_OK)
        store_rollback(m->o.store);
    arena_fini(&a);
}

void breach_packet(struct world *w, struct machine *m, struct machine *from,
                   const struct message *msg)
{
    if (w->breach == BREACH_ACKS && msg->type == MESSAGE_ITEM && m->alive && world_chance(w, 20))
        ack_early(w, m, from, &msg->u.item);
}

static void breach_gaps(struct world *w, struct machine *m)
{
    static const char *const sql[] = {
        "DELETE FROM tonle_gap",
        "DELETE FROM tonle_conflict WHERE state = 'auto' AND cell <> 'birth' AND id IN"
        " (SELECT conflict FROM tonle_conflict_side WHERE seq = 0 AND site <> 0)"};
    if (store_begin(m->o.store) != ERR_OK)
        return;
    if (store_exec(m->o.store, sql[w->breach == BREACH_FOUND]) != ERR_OK ||
        store_commit(m->o.store) != ERR_OK)
        store_rollback(m->o.store);
}

void breach_step(struct world *w, struct machine *m)
{
    if (w->breach == BREACH_CONTEXT && world_chance(w, 20))
        apply_early(w, m);
    if (w->breach == BREACH_FORGET && world_chance(w, 20))
        forget_early(m);
    if (w->breach == BREACH_GAPS || w->breach == BREACH_FOUND) {
        breach_gaps(w, m);
        return;
    }
    if (w->breach == BREACH_WROTE && world_chance(w, 20) && m->o.app && !m->open_tx) {
        sqlite3 *other = database_app(m->o.path, m->o.vfs, 0);
        (void)sqlite3_exec(other, "UPDATE person SET a='nobody'", NULL, NULL, NULL);
        sqlite3_close(other);
    }
    if (w->breach == BREACH_IGNORED && world_chance(w, 200) && store_begin(m->o.store) == ERR_OK &&
        (store_exec(m->o.store, "DELETE FROM tonle_held WHERE reason = 'local'") != ERR_OK ||
         store_commit(m->o.store) != ERR_OK))
        store_rollback(m->o.store);
    if (w->breach == BREACH_TIME && world_chance(w, 5))
        know_future(m);
    if (w->breach >= BREACH_TWICE && w->breach <= BREACH_CHILDREN && world_chance(w, 20))
        breach_rows(w, m);
}
