#include "tests/sim/world.h"

#include "protocol/codec.h"
#include "protocol/seal.h"

#include <string.h>

/* What was applied before comes again (promise 10); and the negative controls: a world in which one
 * rule is broken, which the oracle must find. */

/* Everything in the database but the counters of transactions and the positions of the links. */
static uint64_t contents(struct store *s)
{
    struct arena a = {0};
    const char *name[256];
    size_t n = 0;
    bool row = true;
    uint64_t h = VALUE_HASH_SEED;
    struct buf bytes = {0};
    sqlite3_stmt *q = store_stmt(
        s, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
           " AND name <> 'tonle_peer'"
           " ORDER BY name");
    while (store_step(s, q, &row) == ERR_OK && row && n < 256)
        name[n++] = store_column_text(&a, q, 0);
    for (size_t i = 0; i < n; i++) {
        struct buf sql = {0};
        sqlite3_stmt *all = NULL;
        buf_printf(&sql, "SELECT * FROM main.%s%s", schema_quote(&a, name[i]),
                   strcmp(name[i], "tonle_meta") == 0 ? " WHERE k NOT IN ('rev', 'pin')" : "");
        if (sqlite3_prepare_v2(s->db, buf_str(&sql), -1, &all, NULL) != SQLITE_OK)
            h = 0;
        while (h && sqlite3_step(all) == SQLITE_ROW) {
            for (int c = 0; c < sqlite3_column_count(all); c++) {
                struct value v = store_column(&a, all, c);
                buf_reset(&bytes);
                value_encode(&bytes, &v);
                h = bytes_hash(h, bytes.data, bytes.len);
            }
        }
        sqlite3_finalize(all);
        buf_fini(&sql);
    }
    buf_fini(&bytes);
    arena_fini(&a);
    return h;
}

/* A changeset of a neighbour's journal that is here already. */
static bool pick(struct world *w, struct machine *m, struct arena *a, struct machine **from,
                 struct item *item)
{
    const struct clock *clock = &store_state(m->o.store)->clock;
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
        struct apply_input in = {&cs,          item.bytes,        hash,
                                 from->o.name, peer.received_pos, item.hlc >> 16};
        if (e == ERR_OK)
            e = store_apply(m->o.store, &a, &in, &report);
        if (e != ERR_OK)
            world_break(w, "10", "%s: a changeset that came again: %s: %s", m->o.name, err_name(e),
                        store_message(m->o.store));
        else if (contents(m->o.store) != before)
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
    const struct clock *clock = &store_state(m->o.store)->clock;
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
            struct apply_input in = {&cs, item.bytes, hash, "elsewhere", 0, item.hlc >> 16};
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
        const struct store_state *state = store_state(m->o.store);
        st.hlc = state->hlc;
        clock_copy(&st.clock, &state->clock);
        if (store_set_stable(m->o.store, &a, &st) != ERR_OK || store_commit(m->o.store) != ERR_OK)
            store_rollback(m->o.store);
    }
    clock_fini(&st.clock);
    arena_fini(&a);
}

void breach_packet(struct world *w, struct machine *m, struct machine *from,
                   const struct message *msg)
{
    if (w->breach == BREACH_ACKS && msg->type == MESSAGE_ITEM && m->alive && world_chance(w, 20))
        ack_early(w, m, from, &msg->u.item);
}

void breach_step(struct world *w, struct machine *m)
{
    if (w->breach == BREACH_CONTEXT && world_chance(w, 20))
        apply_early(w, m);
    if (w->breach == BREACH_FORGET && world_chance(w, 20))
        forget_early(m);
}
