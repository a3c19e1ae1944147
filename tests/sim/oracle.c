/* After every step of a node: the journal is read on, and the promises that each of its items can
 * break are looked at. When the capture log is empty, the office must look exactly as the model of
 * its own journal does (tables.c). */
#include "tests/lib/rooms.h"
#include "tests/sim/world.h"

#include "protocol/seal.h"

#include <stdio.h>
#include <string.h>

#define FULL_STEPS 25 /* the tables are compared at least so often */

static void broken(struct world *w, const struct machine *m, const char *promise, const char *what)
{
    world_break(w, promise, "%s: %s", m->o.name, what);
}

void oracle_end(struct world *w, struct machine *m, struct query *q)
{
    if (query_end(q) != ERR_OK)
        broken(w, m, "1", store_message(m->watch));
}

static void forget_deferred(struct machine *m)
{
    for (size_t i = 0; i < m->n_deferred; i++)
        mem_free((void *)m->deferred[i].p);
    m->n_deferred = 0;
    clock_reset(&m->merged);
}

void oracle_start(struct world *w, struct machine *m)
{
    char msg[256];
    struct store_options o = {.path = m->o.path, .vfs = m->o.vfs, .read_only = true};
    if (store_open(&m->watch, &o, msg) != ERR_OK)
        broken(w, m, "1", msg);
    model_fini(&m->model);
    clock_reset(&m->clock);
    forget_deferred(m);
    memset(m->chain, 0, sizeof m->chain);
    m->model_pos = m->model_checked = 0;
    m->base_read = false;
    m->model.late = m->base.n > 0;
    m->restarted = true;
}

void oracle_stop(struct machine *m)
{
    store_close(m->watch);
    m->watch = NULL;
    model_fini(&m->model);
    clock_fini(&m->clock);
    forget_deferred(m);
    clock_fini(&m->merged);
    mem_free(m->deferred);
    m->deferred = NULL;
    m->cap_deferred = 0;
}

void oracle_sent(struct world *w, struct machine *from, struct machine *to,
                 const struct message *msg)
{
    uint64_t *acked = &from->acked[to - w->m];
    uint64_t said = 0;
    if (from == &w->m[w->n])
        return;
    if (msg->type == MESSAGE_ACK)
        said = msg->u.ack.pos;
    else if (msg->type == MESSAGE_HELLO || msg->type == MESSAGE_WELCOME)
        said = msg->u.hello.received_pos;
    *acked = said > *acked ? said : *acked;
    if (msg->type == MESSAGE_LOAD_CHUNK)
        late_chunk_sent(from, to);
    if (msg->type == MESSAGE_ITEM && msg->u.item.pos > from->told)
        from->told = msg->u.item.pos;
}

/* ---- the journal */

static void print_changeset(struct world *w, struct machine *m, struct arena *a,
                            const struct changeset *cs)
{
    printf("%8llu %s: sealed %llu%s:", (unsigned long long)w->now, m->o.name,
           (unsigned long long)cs->dot.seq, cs->cut ? " (cut)" : "");
    for (uint32_t i = 0; i < cs->segments[0].n_tables; i++) {
        const struct table_changes *tc = &cs->segments[0].tables[i];
        const struct table_schema *t = schema_table(m->watch, tc->table);
        for (uint32_t j = 0; t && j < tc->n_rows; j++) {
            struct buf key = {0};
            key_encode(&key, tc->rows[j].key, tc->n_key);
            printf(" %s %s %s", (const char *[]){"", "born", "update", "delete"}[tc->rows[j].kind],
                   tc->table, schema_key_json(a, t, key.data, key.len));
            buf_fini(&key);
        }
    }
    printf("\n");
}

/* What this office seals is what its applications did. */
static void check_own(struct world *w, struct machine *m, const struct changeset *cs)
{
    for (uint32_t g = 0; g < cs->n_segments; g++) {
        for (uint32_t i = 0; i < cs->segments[g].n_tables; i++) {
            const struct table_changes *tc = &cs->segments[g].tables[i];
            for (uint32_t j = 0; j < tc->n_rows; j++) {
                ledger_check(w, m, tc, &tc->rows[j]);
                if (w->schema.fixed && !w->profile.gaps) /* strays.c asks the same */
                    wrote_check(w, m, tc, &tc->rows[j]);
            }
        }
    }
}

/* Merged in causal order: an office that still loads seals on top of row states whose changesets
 * its journal does not hold yet. */
static bool merge_changeset(struct world *w, struct machine *m, const struct changeset *cs)
{
    char why[256] = "";
    if (!clock_includes(&m->merged, &cs->context) ||
        cs->dot.seq != clock_get(&m->merged, cs->dot.site) + 1)
        return false;
    if (w->broken[0] == '\0' && !model_apply(&m->model, m->watch, cs, why))
        broken(w, m, "6", why);
    clock_raise(&m->merged, cs->dot.site, cs->dot.seq);
    return true;
}

static void merge_deferred(struct world *w, struct machine *m, struct arena *a)
{
    for (size_t i = 0; i < m->n_deferred;) {
        struct changeset cs;
        uint8_t hash[HASH_BYTES];
        struct bytes b = m->deferred[i];
        if (seal_peek(a, b.p, b.len, &cs) != ERR_OK ||
            seal_open(a, b.p, b.len, w->m[world_office_of(w, cs.dot.site)].o.key, &cs, hash) !=
                ERR_OK ||
            !merge_changeset(w, m, &cs)) {
            i++;
            continue;
        }
        mem_free((void *)b.p);
        memmove(&m->deferred[i], &m->deferred[i + 1], (--m->n_deferred - i) * sizeof *m->deferred);
        i = 0;
    }
}

static void read_changeset(struct world *w, struct machine *m, struct arena *a, struct bytes b)
{
    struct changeset cs;
    uint8_t hash[HASH_BYTES];
    if (seal_peek(a, b.p, b.len, &cs) != ERR_OK || world_office_of(w, cs.dot.site) < 0) {
        broken(w, m, "11", "a changeset of the journal cannot be read");
        return;
    }
    int office = world_office_of(w, cs.dot.site);
    if (seal_open(a, b.p, b.len, w->m[office].o.key, &cs, hash) != ERR_OK) {
        broken(w, m, "9", "a changeset of the journal cannot be opened");
        return;
    }
    if (cs.dot.seq != clock_get(&m->clock, cs.dot.site) + 1)
        world_break(w, "2", "%s: changeset %llu of %s follows %llu in the journal", m->o.name,
                    (unsigned long long)cs.dot.seq, w->m[office].o.name,
                    (unsigned long long)clock_get(&m->clock, cs.dot.site));
    if (w->profile.clocks)
        clocks_check(w, m, &cs);
    if (memcmp(cs.previous, m->chain[office], HASH_BYTES) != 0)
        broken(w, m, "11", "a changeset does not follow the one before it");
    /* DESIGN 8: sealed while it loaded, here or at the parent whose journal we began with */
    bool on_load = m->base.n > 0 && (cs.dot.site == m->o.site || !m->base_read);
    if (!on_load && !clock_includes(&m->clock, &cs.context))
        broken(w, m, "4", "a changeset stands in the journal before what it builds on");
    memcpy(m->chain[office], hash, HASH_BYTES);
    clock_raise(&m->clock, cs.dot.site, cs.dot.seq);
    if (w->verbose && cs.dot.site == m->o.site && cs.n_segments > 0)
        print_changeset(w, m, a, &cs);
    if (cs.dot.site == m->o.site)
        check_own(w, m, &cs);
    w->parts += cs.cut && cs.dot.site == m->o.site;
    if (merge_changeset(w, m, &cs)) {
        merge_deferred(w, m, a);
        return;
    }
    m->deferred = mem_grow(m->deferred, m->n_deferred, &m->cap_deferred, sizeof *m->deferred);
    m->deferred[m->n_deferred++] = (struct bytes){mem_copy(b.p, b.len), b.len};
}

static void read_journal(struct world *w, struct machine *m)
{
    struct arena a = {0};
    for (size_t i = 0; !m->base_read && w->broken[0] == '\0' && i < m->base.n; i++)
        read_changeset(w, m, &a, m->base.at[i]);
    m->base_read = true;
    struct query q =
        DB_QUERY(m->watch, "SELECT pos, kind, bytes FROM tonle_journal WHERE pos > ?1 ORDER BY pos",
                 value_u64(m->model_pos));
    while (w->broken[0] == '\0' && query_next(&q)) {
        m->model_pos = query_u64(&q, 0);
        if (query_u64(&q, 1) == ITEM_CHANGESET)
            read_changeset(w, m, &a, query_bytes(&q, &a, 2));
        arena_reset(&a);
    }
    oracle_end(w, m, &q);
    arena_fini(&a);
}

/* ---- counters that change with the journal */

static void check_state(struct world *w, struct machine *m)
{
    const struct store_state *st = store_state_get(m->watch);
    if (clock_compare(&m->clock, &st->clock) != CLOCK_EQUAL)
        broken(w, m, "2", "the clock is not that of the journal");
    if (clock_get(&st->clock, m->o.site) != st->seq)
        broken(w, m, "11", "the own seq is not that of the clock");
    if (st->seq > 0 && memcmp(st->chain, m->chain[m - w->m], HASH_BYTES) != 0)
        broken(w, m, "11", "the chain hash is not that of the journal");
    if (!clock_includes(&st->clock, &st->stable))
        broken(w, m, "4", "the stable clock is ahead of the clock");
    if (m->told > m->model_pos)
        world_break(w, "2", "%s: sent position %llu, its journal ends at %llu", m->o.name,
                    (unsigned long long)m->told, (unsigned long long)m->model_pos);
    for (int i = 0; i < w->n; i++) {
        struct peer_record p;
        if (m->acked[i] == 0)
            continue;
        if (store_peer_get(m->watch, w->m[i].o.name, &p) != ERR_OK)
            broken(w, m, "1", store_message(m->watch));
        else if (p.received_pos < m->acked[i])
            world_break(w, "2", "%s: acknowledged position %llu of %s, has %llu", m->o.name,
                        (unsigned long long)m->acked[i], w->m[i].o.name,
                        (unsigned long long)p.received_pos);
    }
}

void oracle_step(struct world *w, struct machine *m)
{
    if (w->broken[0] != '\0' || !m->watch)
        return;
    if (store_begin_read(m->watch) != ERR_OK) {
        store_rollback(m->watch);
        return; /* the application is committing */
    }
    enum err e = schema_load(m->watch);
    if (e != ERR_OK)
        broken(w, m, "1", store_message(m->watch));
    if (w->watch.table)
        oracle_watch(w, m);
    read_journal(w, m);
    if (w->broken[0] == '\0')
        check_state(w, m);
    bool due = m->restarted || m->steps % FULL_STEPS == 0 || m->model_pos != m->model_checked;
    if (w->broken[0] == '\0' && due && !store_capture_pending(m->watch) &&
        !store_state_get(m->watch)->loading && m->n_deferred == 0 && !w->taken &&
        !(w->profile.gaps && (stray_doubt(m) || stray_kept_out(m)))) {
        if (w->profile.ignores && ignore_doubt(m))
            ignore_check(w, m);
        else
            oracle_tables(w, m);
        m->model_checked = m->model_pos;
        m->restarted = false;
    }
    if (store_commit(m->watch) != ERR_OK)
        store_rollback(m->watch);
}
