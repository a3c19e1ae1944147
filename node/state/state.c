/* Identity, counters and clocks: rows of tonle_meta, tonle_clock and tonle_stable, kept in
 * memory.
 *
 * `rev` in tonle_meta goes up with every transaction of Tonle's own, whichever process made it: an
 * application's commit moves data_version but not rev, and costs us one point query. */
#include "node/state/state.h"

#include "node/db/ddl.h"
#include "node/db/sqlite.h"

#include <stdio.h>
#include <string.h>

struct state {
    bool ready; /* the tonle_* tables are here */
    struct store_identity identity;
    struct store_state now;
    int64_t version;   /* tonle_meta `rev` at which `now` was read; -1: read again */
    uint64_t rev_seen; /* the newest one ever read: a smaller one means an older file */
    bool went_back;    /* that was seen */
    bool counts_stale; /* held and conflicts_open are counted when asked for */
    struct arena identity_arena, arena;
};

void state_open(struct store *s, bool ready)
{
    s->state = mem_alloc(sizeof *s->state);
    s->state->version = -1;
    s->state->ready = ready;
}

void state_close(struct store *s)
{
    struct state *st = s->state;
    if (!st)
        return;
    clock_fini(&st->now.clock);
    clock_fini(&st->now.stable);
    arena_fini(&st->identity_arena);
    arena_fini(&st->arena);
    mem_free(st);
    s->state = NULL;
}

void state_forget(struct store *s)
{
    s->state->version = -1;
}

const struct store_state *state_of(const struct store *s)
{
    return &s->state->now;
}

const struct store_identity *identity_of(const struct store *s)
{
    return &s->state->identity;
}

int64_t state_version(const struct store *s)
{
    return s->state->version;
}

bool state_went_back(const struct store *s)
{
    return s->state->went_back;
}

void state_set_ready(struct store *s, bool ready)
{
    s->state->ready = ready;
}

void state_counts_changed(struct store *s)
{
    s->state->counts_stale = true;
}

enum err store_meta_get(struct store *s, struct arena *a, const char *key, struct bytes *value)
{
    *value = (struct bytes){0};
    bool row = false;
    sqlite3_stmt *q = store_stmt(s, "SELECT v FROM tonle_meta WHERE k = ?1");
    if (q)
        store_bind_text(q, 1, key);
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK)
        return e;
    if (!row)
        return ERR_NOT_FOUND;
    *value = store_column_bytes(a, q, 0);
    sqlite3_reset(q);
    return ERR_OK;
}

enum err store_meta_set(struct store *s, const char *key, const void *p, size_t len)
{
    sqlite3_stmt *q = store_stmt(s, "INSERT OR REPLACE INTO tonle_meta(k, v) VALUES(?1, ?2)");
    if (!q)
        return ERR_SCHEMA;
    store_bind_text(q, 1, key);
    store_bind_blob(q, 2, p, len);
    return store_run(s, q);
}

/* *v is left as it was where there is no such value. */
static enum err read_u64(struct store *s, const char *key, uint64_t *v)
{
    bool row = false;
    sqlite3_stmt *q = store_stmt(s, "SELECT v FROM tonle_meta WHERE k = ?1");
    if (q)
        store_bind_text(q, 1, key);
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK || !row)
        return e;
    *v = store_column_u64(q, 0);
    sqlite3_reset(q);
    return ERR_OK;
}

uint64_t store_meta_u64(struct store *s, const char *key, uint64_t otherwise)
{
    uint64_t v = otherwise;
    return read_u64(s, key, &v) == ERR_OK ? v : otherwise;
}

enum err store_meta_set_u64(struct store *s, const char *key, uint64_t v)
{
    sqlite3_stmt *q = store_stmt(s, "INSERT OR REPLACE INTO tonle_meta(k, v) VALUES(?1, ?2)");
    if (!q)
        return ERR_SCHEMA;
    store_bind_text(q, 1, key);
    store_bind_u64(q, 2, v);
    return store_run(s, q);
}

static const char *meta_text(struct store *s, struct arena *a, const char *key)
{
    struct bytes b;
    if (store_meta_get(s, a, key, &b) != ERR_OK)
        return "";
    char *text = arena_alloc(a, b.len + 1);
    if (b.len)
        memcpy(text, b.p, b.len);
    return text;
}

static enum err set_text(struct store *s, const char *key, const char *text)
{
    return store_meta_set(s, key, text, strlen(text));
}

static enum err read_clock(struct store *s, const char *sql, struct clock *c)
{
    clock_reset(c);
    sqlite3_stmt *q = store_stmt(s, sql);
    bool row = true;
    while (row) {
        enum err e = store_step(s, q, &row);
        if (e != ERR_OK)
            return e;
        if (row)
            clock_set(c, store_column_u64(q, 0), store_column_u64(q, 1));
    }
    return ERR_OK;
}

static void read_identity(struct store *s)
{
    struct arena *a = &s->state->identity_arena;
    arena_reset(a);
    struct store_identity *id = &s->state->identity;
    id->federation = meta_text(s, a, "federation");
    id->federation_name = meta_text(s, a, "federation_name");
    id->node = meta_text(s, a, "node");
    id->unit = meta_text(s, a, "unit");
    id->parent = meta_text(s, a, "parent");
    id->hub = meta_text(s, a, "hub");
    id->hub_site = store_meta_u64(s, "hub_site", 0);
    id->site = store_meta_u64(s, "site", 0);
    struct bytes key;
    if (store_meta_get(s, a, "hub_sign_key", &key) == ERR_OK && key.len == SIGN_PUBLIC_BYTES)
        memcpy(id->hub_sign_key, key.p, key.len);
}

static enum err read_counts(struct store *s)
{
    int64_t held = store_pragma(s, "SELECT count(*) FROM tonle_held");
    int64_t open = store_pragma(s, "SELECT count(*) FROM tonle_conflict WHERE state = 'open'");
    if (held < 0 || open < 0)
        return ERR_CORRUPT;
    s->state->now.held = (uint64_t)held;
    s->state->now.conflicts_open = (uint64_t)open;
    s->state->counts_stale = false;
    return ERR_OK;
}

static enum err read_state(struct store *s, uint64_t rev)
{
    struct store_state *st = &s->state->now;
    struct bytes chain;
    arena_reset(&s->state->arena);
    st->seq = store_meta_u64(s, "seq", 0);
    st->hlc = store_meta_u64(s, "hlc", 0);
    st->charter_version = store_meta_u64(s, "charter_version", 0);
    st->schema_version = store_meta_u64(s, "schema_version", 0);
    st->loading = store_meta_u64(s, "load_pos", 0) != 0;
    memset(st->chain, 0, sizeof st->chain);
    if (store_meta_get(s, &s->state->arena, "chain", &chain) == ERR_OK && chain.len == HASH_BYTES)
        memcpy(st->chain, chain.p, HASH_BYTES);
    int64_t pos = store_pragma(s, "SELECT coalesce(max(pos), 0) FROM tonle_journal");
    st->journal_pos = pos > 0 ? (uint64_t)pos : 0;
    enum err e = read_clock(s, "SELECT site, seq FROM tonle_clock", &st->clock);
    if (e == ERR_OK)
        e = read_clock(s, "SELECT site, seq FROM tonle_stable", &st->stable);
    if (e != ERR_OK)
        return e;
    read_identity(s);
    s->state->counts_stale = true;
    s->state->went_back = s->state->went_back || rev < s->state->rev_seen;
    s->state->rev_seen = rev;
    s->state->version = (int64_t)rev;
    return ERR_OK;
}

/* Unchanged where the database is locked: what was last known is true, and zeros would say that
 * this office has lost everything. Outside a transaction the values come from one snapshot of their
 * own. */
enum err state_refresh(struct store *s)
{
    uint64_t rev = 0;
    bool own = !s->in_write && !s->in_read;
    if (s->state->version > (int64_t)s->state->rev_seen)
        s->state->rev_seen = (uint64_t)s->state->version; /* of our last commit */
    enum err e = read_u64(s, "rev", &rev);
    if (e != ERR_OK || (s->state->version >= 0 && (int64_t)rev == s->state->version))
        return e;
    if (own)
        e = store_exec(s, "BEGIN");
    if (e == ERR_OK)
        e = read_u64(s, "rev", &rev);
    if (e == ERR_OK)
        e = read_state(s, rev);
    if (own && !sqlite3_get_autocommit(s->db) && store_exec(s, "COMMIT") != ERR_OK)
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return e;
}

/* Called by store_commit while the transaction is still open, when it changed anything. */
enum err state_commit(struct store *s)
{
    uint64_t rev = store_meta_u64(s, "rev", 0) + 1;
    enum err e = store_meta_set_u64(s, "rev", rev);
    if (e == ERR_OK && s->state->version >= 0)
        s->state->version = (int64_t)rev;
    return e;
}

const struct store_state *store_state_get(struct store *s)
{
    bool stale = (!s->in_write && !s->in_read) || s->state->version < 0;
    if (s->state->ready && stale && state_refresh(s) != ERR_OK)
        s->state->version = -1;
    if (s->state->ready && s->state->counts_stale && read_counts(s) != ERR_OK)
        s->state->counts_stale = true;
    return &s->state->now;
}

const struct store_identity *store_identity_get(struct store *s)
{
    if (!s->state->ready)
        return NULL;
    (void)store_state_get(s);
    return &s->state->identity;
}

bool store_is_ready(struct store *s)
{
    return s->state->ready;
}

enum err store_set_hlc(struct store *s, uint64_t hlc)
{
    if (hlc <= s->state->now.hlc)
        return ERR_OK;
    s->state->now.hlc = hlc;
    return store_meta_set_u64(s, "hlc", hlc);
}

enum err store_create(struct store *s, const struct store_identity *id)
{
    if (s->state->ready)
        return store_fail(s, ERR_EXISTS, "this database already belongs to a Tonle node");
    enum err e = store_exec(s, store_ddl);
    s->state->ready = e == ERR_OK;
    if (e == ERR_OK)
        e = set_text(s, "federation", id->federation);
    if (e == ERR_OK)
        e = set_text(s, "federation_name", id->federation_name);
    if (e == ERR_OK)
        e = set_text(s, "node", id->node);
    if (e == ERR_OK)
        e = set_text(s, "unit", id->unit);
    if (e == ERR_OK)
        e = set_text(s, "parent", id->parent);
    if (e == ERR_OK)
        e = set_text(s, "hub", id->hub);
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "hub_site", id->hub_site);
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "site", id->site);
    if (e == ERR_OK)
        e = store_meta_set(s, "hub_sign_key", id->hub_sign_key, SIGN_PUBLIC_BYTES);
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "ddl", DDL_VERSION);
    if (e == ERR_OK) {
        s->state->version = -1;
        e = state_refresh(s);
    }
    return e;
}

/* ---- what a changeset changes */

enum err state_advance(struct store *s, struct dot d, uint64_t hlc, const uint8_t hash[HASH_BYTES])
{
    sqlite3_stmt *q = store_stmt(
        s, "INSERT OR REPLACE INTO tonle_clock(site, seq, hlc, hash) VALUES(?1,?2,?3,?4)");
    if (!q)
        return part_stmt_error(s);
    store_bind_u64(q, 1, d.site);
    store_bind_u64(q, 2, d.seq);
    store_bind_u64(q, 3, hlc);
    store_bind_blob(q, 4, hash, HASH_BYTES);
    enum err e = store_run(s, q);
    clock_raise(&s->state->now.clock, d.site, d.seq);
    return e;
}

enum err state_sealed(struct store *s, uint64_t seq, const uint8_t hash[HASH_BYTES])
{
    s->state->now.seq = seq;
    memcpy(s->state->now.chain, hash, HASH_BYTES);
    enum err e = store_meta_set_u64(s, "seq", seq);
    return e == ERR_OK ? store_meta_set(s, "chain", hash, HASH_BYTES) : e;
}

enum err state_set_charter(struct store *s, uint64_t version, uint64_t schema_version)
{
    s->state->now.charter_version = version;
    s->state->now.schema_version = schema_version;
    enum err e = store_meta_set_u64(s, "charter_version", version);
    return e == ERR_OK ? store_meta_set_u64(s, "schema_version", schema_version) : e;
}

void state_set_loading(struct store *s, bool loading)
{
    s->state->now.loading = loading;
}

void state_set_journal_pos(struct store *s, uint64_t pos)
{
    s->state->now.journal_pos = pos;
}

enum err state_raise_stable(struct store *s, const struct clock *c)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < c->n; i++) {
        if (clock_get(&s->state->now.stable, c->entry[i].site) >= c->entry[i].seq)
            continue;
        sqlite3_stmt *q =
            store_stmt(s, "INSERT OR REPLACE INTO tonle_stable(site, seq) VALUES(?1, ?2)");
        if (!q)
            return part_stmt_error(s);
        store_bind_u64(q, 1, c->entry[i].site);
        store_bind_u64(q, 2, c->entry[i].seq);
        e = store_run(s, q);
    }
    clock_join(&s->state->now.stable, c);
    return e;
}

/* ---- what a load brings */

static enum err put_clock(struct store *s, const char *sql, const struct clock *c, bool hash)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < c->n; i++) {
        sqlite3_stmt *q = store_stmt(s, sql);
        if (!q)
            return part_stmt_error(s);
        store_bind_u64(q, 1, c->entry[i].site);
        store_bind_u64(q, 2, c->entry[i].seq);
        static const uint8_t unknown[HASH_BYTES];
        if (hash)
            store_bind_blob(q, 3, unknown, sizeof unknown);
        e = store_run(s, q);
    }
    return e;
}

enum err state_take_clocks(struct store *s, const struct clock *clock, const struct clock *stable,
                           uint64_t hlc)
{
    enum err e = put_clock(s,
                           "INSERT INTO tonle_clock(site, seq, hlc, hash) VALUES(?1, ?2, 0, ?3)"
                           " ON CONFLICT(site) DO UPDATE SET seq = ?2, hlc = 0, hash = ?3"
                           " WHERE seq < ?2",
                           clock, true);
    if (e == ERR_OK)
        e = put_clock(s,
                      "INSERT INTO tonle_stable(site, seq) VALUES(?1, ?2)"
                      " ON CONFLICT(site) DO UPDATE SET seq = max(seq, ?2)",
                      stable, false);
    if (e == ERR_OK)
        e = store_set_hlc(s, hlc);
    clock_join(&s->state->now.clock, clock);
    clock_join(&s->state->now.stable, stable);
    return e;
}
