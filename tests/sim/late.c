/* An office that comes later: somebody types `tonle join` there, and again when it came to nothing.
 * A node that joins (node/core/join.h) enrols at its parent, fetches chunk after chunk while
 * everybody goes on working, and loads all of it in one transaction; it and its parent may die at
 * any time meanwhile, and then its database must be as it was before. What it keeps lies on a slow
 * disk, so that much happens between two chunks.
 *
 * Journals do not hold what came with the load, so the model of such an office begins with what its
 * parent's was made of when it read the first chunk. When the registry changed while it was
 * fetched, all of it is fetched again, and the first chunk is another. */
#include "tests/lib/rooms.h"
#include "tests/sim/world.h"

#include "conflict/value.h"
#include "protocol/codec.h"
#include "protocol/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void drop(struct changesets *list)
{
    for (size_t i = 0; i < list->n; i++)
        mem_free((void *)list->at[i].p);
    mem_free(list->at);
    *list = (struct changesets){0};
}

static void keep(struct changesets *list, struct bytes b)
{
    list->at = mem_grow(list->at, list->n, &list->cap, sizeof *list->at);
    list->at[list->n++] = (struct bytes){mem_copy(b.p, b.len), b.len};
}

void late_fini(struct machine *m)
{
    drop(&m->base);
    drop(&m->late.sent);
    buf_fini(&m->late.kept);
}

/* ---- what the model begins with */

/* All that the parent's is made of, whenever it sends a chunk that may become the first. */
void late_chunk_sent(struct machine *parent, struct machine *m)
{
    if (!m->joining || !m->late.first_due)
        return;
    drop(&m->late.sent);
    for (size_t i = 0; i < parent->base.n; i++)
        keep(&m->late.sent, parent->base.at[i]);
    struct query q =
        DB_QUERY(parent->o.store, "SELECT bytes FROM tonle_journal WHERE kind = 1 ORDER BY pos");
    while (query_next(&q))
        keep(&m->late.sent, query_borrow(&q, 0));
    (void)query_end(&q); /* an error: the parent is dying */
}

/* The first chunk is kept, perhaps not the last one sent: its clock says what it had seen. */
static void take_base(struct world *w, struct machine *m, const struct clock *seen)
{
    struct arena a = {0};
    drop(&m->base);
    for (size_t i = 0; i < m->late.sent.n && w->broken[0] == '\0'; i++) {
        struct bytes b = m->late.sent.at[i];
        struct changeset cs;
        if (seal_peek(&a, b.p, b.len, &cs) == ERR_OK && clock_get(seen, cs.dot.site) >= cs.dot.seq)
            keep(&m->base, b);
    }
    drop(&m->late.sent);
    arena_fini(&a);
}

/* Behind the last of the internal tables the first one may come again. */
static void chunk_kept(struct world *w, struct machine *m, struct bytes raw)
{
    struct arena a = {0};
    struct message msg;
    struct bytes body, signature;
    const struct load_chunk *c = &msg.u.load_chunk;
    if (codec_decode(&a, raw.p, raw.len, &msg, &body, &signature) != ERR_OK) {
        world_break(w, "3", "%s keeps a chunk that cannot be read", m->o.name);
    } else {
        if (m->late.first_due && strcmp(c->table, schema_internal[0]) == 0)
            take_base(w, m, &c->clock);
        m->late.first_due = c->end && strcmp(c->table, schema_internal[INTERNAL_TABLES - 1]) == 0;
    }
    arena_fini(&a);
    buf_put(&m->late.kept, raw.p, raw.len);
}

/* ---- the database, before and between */

/* Of every table and its rows; false when it cannot be read. */
static bool contents(struct machine *m, uint64_t *hash)
{
    sqlite3_stmt *list = NULL, *q;
    *hash = VALUE_HASH_SEED;
    bool good = sqlite3_prepare_v2(m->o.app,
                                   "SELECT sql, 'SELECT * FROM \"' || name || '\"' FROM"
                                   " sqlite_schema WHERE type = 'table'",
                                   -1, &list, NULL) == SQLITE_OK;
    int rc = SQLITE_DONE;
    while (good && (rc = sqlite3_step(list)) == SQLITE_ROW) {
        const char *sql = (const char *)sqlite3_column_text(list, 0);
        *hash = bytes_hash(*hash, sql ? sql : "", sql ? strlen(sql) : 0);
        good = sqlite3_prepare_v2(m->o.app, (const char *)sqlite3_column_text(list, 1), -1, &q,
                                  NULL) == SQLITE_OK;
        while (good && (rc = sqlite3_step(q)) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(q); i++) {
                const void *p = sqlite3_column_blob(q, i);
                *hash = bytes_hash(*hash, p ? p : "", (size_t)sqlite3_column_bytes(q, i));
            }
        }
        good = good && rc == SQLITE_DONE;
        sqlite3_finalize(q);
    }
    sqlite3_finalize(list);
    return good && rc == SQLITE_DONE;
}

/* The database may be new, or have been in use alone. */
static void prepare(struct world *w, struct machine *m)
{
    m->late.mode = LOAD_EMPTY;
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
        m->late.mode = world_chance(w, 500) ? LOAD_ADOPT : LOAD_REPLACE;
    }
    if (m->late.mode == LOAD_REPLACE && !w->schema.fixed)
        office_sql(&m->o, "DELETE FROM app_count");
    if (!contents(m, &m->late.before))
        world_break(w, "1", "%s: %s", m->o.name, sqlite3_errmsg(m->o.app));
    app_close(m);
    m->late.prepared = true;
}

enum found { FOUND_JOINED, FOUND_AS_IT_WAS, FOUND_DYING };

/* After a join that did not say that it was done. */
static enum found look(struct world *w, struct machine *m)
{
    uint64_t hash;
    office_open_app(&m->o);
    bool readable = contents(m, &hash), joined = false;
    if (readable && hash != m->late.before)
        joined = strcmp(office_one(&m->o, "SELECT count(*) FROM sqlite_schema WHERE name ="
                                          " 'tonle_meta'"),
                        "1") == 0;
    if (!readable && !disk_failed(w->disk))
        world_break(w, "1", "%s: %s", m->o.name, sqlite3_errmsg(m->o.app));
    app_close(m);
    if (readable && hash != m->late.before && !joined)
        world_break(w, "2", "%s: a join that was interrupted changed the database", m->o.name);
    if (joined && !m->late.settled)
        world_break(w, "2", "%s has joined, but its directory was not written", m->o.name);
    return !readable ? FOUND_DYING : joined ? FOUND_JOINED : FOUND_AS_IT_WAS;
}

/* ---- the command */

static void run_node(struct world *w, struct machine *m)
{
    struct office *o = &m->o, *hub = &w->m[0].o;
    struct late *j = &m->late;
    j->invitation = (struct invitation){.federation = "00112233445566778899aabbccddeeff",
                                        .federation_name = "test",
                                        .node = o->name,
                                        .unit = o->unit,
                                        .parent = o->parent,
                                        .listen = "",
                                        .hub_node = hub->name,
                                        .hub_site = hub->site};
    office_invite_secret(o, j->invitation.enrol_secret);
    memcpy(j->invitation.hub_sign_key, hub->key, SIGN_PUBLIC_BYTES);
    memcpy(j->keys.sign_key, o->key, SIGN_PUBLIC_BYTES);
    memcpy(j->keys.curve_key, o->key, CURVE_KEY_BYTES);
    struct join_options options = {.invitation = &j->invitation,
                                   .keys = &j->keys,
                                   .incarnation = OFFICE_INCARNATION,
                                   .listen = "",
                                   .software = "sim",
                                   .run = world_random(w),
                                   .mode = j->mode,
                                   .store = {.path = o->path, .vfs = o->vfs},
                                   .chunk_rows = 1 + world_below(w, 6),
                                   .again_ms = 700};
    m->node = node_join(&options);
    m->joining = true;
    j->settled = false;
    j->first_due = true;
    buf_reset(&j->kept);
    world_step(w, m, &(struct event){.kind = EVENT_START});
}

void late_start(struct world *w, struct machine *m)
{
    enum found found = FOUND_AS_IT_WAS;
    if (m->alive || m->joining || m->late.joined)
        return;
    if (m->late.prepared)
        found = look(w, m);
    else
        prepare(w, m);
    if (found == FOUND_AS_IT_WAS && w->broken[0] == '\0')
        run_node(w, m);
    if (found == FOUND_JOINED) {
        m->late.joined = true;
        w->joins++;
        world_later(w, WHAT_START, (int)(m - w->m), 1 + world_below(w, 500), 0);
    }
    if (found == FOUND_DYING) {
        disk_crash(w->disk, m->o.path);
        world_later(w, WHAT_JOIN, (int)(m - w->m), 1000, 0);
    }
}

/* What the operator is told to try again. */
static bool is_temporary(const struct join_report *r)
{
    switch (r->outcome) {
    case JOIN_STOPPED:
    case JOIN_NOT_REACHED:
    case JOIN_NOT_ANSWERED:
    case JOIN_NOT_ADMITTED:
    case JOIN_NO_CHARTER:
    case JOIN_NOT_SETTLED:
    case JOIN_KEY_REFUSED: /* the parent's database may have been locked when it looked */
        return true;
    case JOIN_FETCH_FAILED:
        return r->error == ERR_BUSY || r->error == ERR_FULL || r->error == ERR_REFUSED;
    case JOIN_LOOK_FAILED:
    case JOIN_LOAD_FAILED:
        return r->error == ERR_BUSY;
    default:
        return false;
    }
}

void late_over(struct world *w, struct machine *m)
{
    const struct join_report *r = node_join_report(m->node);
    if (w->verbose)
        printf("%8llu %s: join ended: %d %s %s\n", (unsigned long long)w->now, m->o.name,
               r->outcome, err_name(r->error), r->text);
    if (disk_failed(w->disk)) {
        world_power_off(w, m, true);
        return;
    }
    if (r->outcome != JOIN_DONE && !is_temporary(r))
        world_break(w, "3", "%s cannot join: %d: %s: %s", m->o.name, r->outcome, err_name(r->error),
                    r->text);
    if (r->outcome == JOIN_DONE && !m->late.settled)
        world_break(w, "3", "%s has joined without its directory", m->o.name);
    m->joining = false;
    m->link = 0;
    m->timer++;
    node_free(m->node);
    m->node = NULL;
    world_later(w, WHAT_JOIN, (int)(m - w->m), 1000 + world_below(w, 2000), 0);
}

/* ---- its driver */

void late_ask(struct world *w, struct machine *m, const struct action *a)
{
    struct late *j = &m->late;
    uint64_t delay = 1 + world_below(w, a->kind == ACTION_KEEP ? 150 : 8);
    j->error = ERR_OK;
    j->offset = j->len = 0;
    if (a->kind == ACTION_KEEP)
        chunk_kept(w, m, a->bytes);
    if (a->kind == ACTION_RECALL) {
        j->offset = a->offset;
        j->len = a->len;
    }
    if (a->kind == ACTION_KEEP && !w->healing && world_chance(w, 2))
        j->error = ERR_FULL;
    if (a->kind == ACTION_SETTLE && !w->healing && world_chance(w, 50))
        j->error = ERR_IO;
    j->settled = a->kind == ACTION_SETTLE && j->error == ERR_OK;
    world_later(w, WHAT_DONE, (int)(m - w->m), delay, ++j->asked);
}

void late_answer(struct world *w, struct machine *m, uint64_t asked)
{
    struct late *j = &m->late;
    struct machine *parent = &w->m[m->parent];
    if (!m->joining || asked != j->asked)
        return;
    if (!w->healing && world_chance(w, 15)) {
        w->join_crashes++;
        world_power_off(w, m, world_chance(w, 700));
        return;
    }
    if (!w->healing && world_chance(w, 8)) {
        w->join_crashes += parent->alive;
        world_power_off(w, parent, world_chance(w, 700));
    }
    world_step(w, m,
               &(struct event){.kind = EVENT_DONE,
                               .error = j->error,
                               .bytes = j->kept.data + j->offset,
                               .len = j->len});
}

bool late_let_in(struct world *w, struct machine *m)
{
    struct machine *parent = &w->m[m->parent];
    uint8_t invite[CURVE_KEY_BYTES];
    office_enrol_key(&m->o, invite);
    if (node_authorise(parent->node, m->late.invited ? invite : m->o.key, world_wall_ms(w, parent),
                       m->late.user_id))
        return true;
    world_step(w, m, &(struct event){.kind = EVENT_REFUSED});
    return false;
}
