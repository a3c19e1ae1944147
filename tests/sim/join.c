/* An office that comes later: the hub enrols it, its parent gives it chunk after chunk while
 * everybody goes on working, then all of them are loaded in one transaction and the node starts (as
 * `tonle join` does). Journals do not hold what came with the load, so the model of such an office
 * begins with its parent's. */
#include "conflict/err.h"
#include "tests/lib/rooms.h"
#include "tests/sim/world.h"

#include "protocol/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum stage { STAGE_ENROL, STAGE_WAIT, STAGE_FETCH, STAGE_LOAD };

static void keep(struct bytes **list, size_t *n, struct bytes b)
{
    *list = realloc(*list, (*n + 1) * sizeof **list);
    if (!*list)
        abort();
    (*list)[(*n)++] = (struct bytes){mem_copy(b.p, b.len), b.len};
}

void join_fini(struct machine *m)
{
    for (size_t i = 0; i < m->n_chunks; i++)
        mem_free((void *)m->chunk[i].p);
    for (size_t i = 0; i < m->n_base; i++)
        mem_free((void *)m->base[i].p);
    buf_fini(&m->join_after);
    free(m->chunk);
    free(m->base);
}

static bool enrol_office(struct world *w, struct machine *m)
{
    struct store *hub = w->m[0].o.store;
    if (!w->m[0].alive || store_begin(hub) != ERR_OK)
        return false;
    struct node_record r = {.name = m->o.name,
                            .unit = m->o.unit,
                            .parent = m->o.parent,
                            .listen = "",
                            .state = NODE_ACTIVE,
                            .site = m->o.site,
                            .reads = ""};
    memcpy(r.sign_key, m->o.key, sizeof r.sign_key);
    memcpy(r.curve_key, m->o.key, sizeof r.curve_key);
    if (store_node_put(hub, &r) == ERR_OK && store_commit(hub) == ERR_OK)
        return true;
    store_rollback(hub);
    return false;
}

static bool known_at_parent(struct world *w, struct machine *m)
{
    struct machine *parent = &w->m[m->parent];
    struct node_record r;
    struct arena a = {0};
    bool known = parent->alive && store_node_get(parent->o.store, &a, m->o.name, &r) == ERR_OK &&
                 r.state == NODE_ACTIVE;
    arena_fini(&a);
    return known;
}

/* Everything the parent's model is made of, when the first chunk is read. */
static void take_base(struct machine *m, struct machine *parent)
{
    struct arena a = {0};
    bool row = true;
    for (size_t i = 0; i < parent->n_base; i++)
        keep(&m->base, &m->n_base, parent->base[i]);
    sqlite3_stmt *q =
        store_stmt(parent->o.store, "SELECT bytes FROM tonle_journal WHERE kind = 1 ORDER BY pos");
    while (store_step(parent->o.store, q, &row) == ERR_OK && row) {
        keep(&m->base, &m->n_base, store_column_bytes(&a, q, 0));
        arena_reset(&a);
    }
    arena_fini(&a);
}

/* The registry first; NULL after the last. */
static const char *table_name(const struct world *w, uint32_t i)
{
    static const char *const first[] = {"tonle_node", "tonle_site", "tonle_charter",
                                        "tonle_decision"};
    static const char *const fixed[] = {"house", "person", "receipt"};
    if (i < INTERNAL_TABLES)
        return first[i];
    i -= INTERNAL_TABLES;
    if (w->schema.fixed)
        return i < 3 ? fixed[i] : NULL;
    return i < (uint32_t)w->schema.n ? w->schema.table[i].name : NULL;
}

static bool fetch(struct world *w, struct machine *m)
{
    struct machine *parent = &w->m[m->parent];
    struct store *s = parent->o.store;
    struct arena a = {0};
    struct message msg = {.type = MESSAGE_LOAD_CHUNK};
    struct load_request ask = {.table = table_name(w, m->join_table),
                               .after = {m->join_after.data, m->join_after.len},
                               .max_rows = 1 + world_below(w, 6)};
    if (!parent->alive || store_begin_read(s) != ERR_OK)
        return false;
    bool done = !store_capture_pending(s) && !store_state_get(s)->loading;
    if (done && store_chunk_read(s, &a, &ask, m->o.name, &msg.u.load_chunk) != ERR_OK) {
        world_break(w, "3", "%s: no chunk of %s: %s", parent->o.name, ask.table, store_message(s));
        done = false;
    }
    if (done) {
        struct buf b = {0};
        const struct load_chunk *c = &msg.u.load_chunk;
        if (m->n_chunks == 0)
            take_base(m, parent);
        codec_encode(&msg, NULL, &b);
        keep(&m->chunk, &m->n_chunks, (struct bytes){b.data, b.len});
        buf_fini(&b);
        buf_reset(&m->join_after);
        if (!c->end)
            buf_put(&m->join_after, c->last_key.p, c->last_key.len);
        m->join_table += c->end;
        if (!table_name(w, m->join_table))
            m->join_stage = STAGE_LOAD;
    }
    if (store_commit(s) != ERR_OK)
        store_rollback(s);
    arena_fini(&a);
    return done;
}

static enum err load(struct machine *m, const struct machine *hub, enum load_mode mode)
{
    struct store *s = m->o.store;
    struct store_identity id = office_store_identity(&m->o, &hub->o);
    struct arena a = {0};
    struct load_report report;
    uint64_t pos = 0;
    uint32_t created;
    bool made = false;
    enum err e = store_begin(s);
    if (e == ERR_OK)
        e = store_create(s, &id);
    if (e == ERR_OK)
        e = store_load_begin(s, mode);
    for (size_t i = 0; e == ERR_OK && i < m->n_chunks; i++) {
        struct message msg;
        struct bytes body, signature;
        arena_reset(&a);
        e = codec_decode(&a, m->chunk[i].p, m->chunk[i].len, &msg, &body, &signature);
        if (e == ERR_OK && i == 0)
            pos = msg.u.load_chunk.pos;
        if (e == ERR_OK && !made && strncmp(msg.u.load_chunk.table, "tonle_", 6) != 0) {
            made = true;
            e = store_schema_create_missing(s, &created);
            if (e == ERR_OK)
                e = store_capture_install(s);
        }
        if (e == ERR_OK)
            e = store_load_chunk(s, &a, &msg.u.load_chunk);
    }
    if (e == ERR_OK)
        e = store_load_end(s, &a, &report);
    if (e == ERR_OK)
        e = store_peer_received(s, m->o.parent, pos);
    if (e == ERR_OK)
        e = store_commit(s);
    arena_fini(&a);
    return e;
}

/* The database may be new, or have been in use alone. */
static void found(struct world *w, struct machine *m)
{
    enum load_mode mode = LOAD_EMPTY;
    office_open_app(&m->o);
    if (w->profile.wal)
        office_sql(&m->o, "PRAGMA journal_mode=WAL");
    if (world_chance(w, 600)) {
        office_sql(&m->o, w->schema.sql);
        ledger_open(w, m);
        for (int i = 0; i < 4; i++)
            app_write(w, m);
        if (m->open_tx)
            office_sql(&m->o, "COMMIT");
        m->open_tx = false;
        mode = world_chance(w, 500) ? LOAD_ADOPT : LOAD_REPLACE;
    }
    if (mode == LOAD_REPLACE && !w->schema.fixed)
        office_sql(&m->o, "DELETE FROM app_count");
    app_close(m);
    office_open_store(&m->o, false);
    enum err e = load(m, &w->m[0], mode);
    if (e != ERR_OK)
        world_break(w, "3", "%s cannot join: %s: %s", m->o.name, err_name(e),
                    store_message(m->o.store));
    store_close(m->o.store);
    m->o.store = NULL;
    w->joins++;
    if (e == ERR_OK)
        world_later(w, WHAT_START, (int)(m - w->m), 1 + world_below(w, 500), 0);
}

void join_step(struct world *w, struct machine *m)
{
    bool moved = false;
    switch ((enum stage)m->join_stage) {
    case STAGE_ENROL:
        moved = enrol_office(w, m);
        m->join_stage = moved ? STAGE_WAIT : STAGE_ENROL;
        break;
    case STAGE_WAIT:
        moved = known_at_parent(w, m);
        m->join_stage = moved ? STAGE_FETCH : STAGE_WAIT;
        break;
    case STAGE_FETCH:
        moved = fetch(w, m);
        break;
    case STAGE_LOAD:
        found(w, m);
        return;
    }
    if (w->m[0].alive)
        world_later(w, WHAT_CHANGE, 0, 1, 0);
    if (m->parent > 0)
        world_later(w, WHAT_CHANGE, m->parent, 1, 0);
    world_later(w, WHAT_JOIN, (int)(m - w->m),
                moved ? 1 + world_below(w, 150) : 50 + world_below(w, 200), 0);
}
