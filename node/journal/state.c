/* Identity, counters and clocks: rows of tonle_meta, tonle_clock and tonle_stable, cached in
 * s->state.
 *
 * `rev` in tonle_meta goes up with every transaction of Tonle's own, whichever process made it: an
 * application's commit moves data_version but not rev, and costs us one point query. */
#include "node/db/store_int.h"

#include <stdio.h>
#include <string.h>

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
    struct arena *a = &s->identity_arena;
    arena_reset(a);
    struct store_identity *id = &s->identity;
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
    s->state.held = (uint64_t)held;
    s->state.conflicts_open = (uint64_t)open;
    s->counts_stale = false;
    return ERR_OK;
}

static enum err read_state(struct store *s, uint64_t rev)
{
    struct store_state *st = &s->state;
    struct bytes chain;
    arena_reset(&s->state_arena);
    st->seq = store_meta_u64(s, "seq", 0);
    st->hlc = store_meta_u64(s, "hlc", 0);
    st->charter_version = store_meta_u64(s, "charter_version", 0);
    st->schema_version = store_meta_u64(s, "schema_version", 0);
    st->loading = store_meta_u64(s, "load_pos", 0) != 0;
    memset(st->chain, 0, sizeof st->chain);
    if (store_meta_get(s, &s->state_arena, "chain", &chain) == ERR_OK && chain.len == HASH_BYTES)
        memcpy(st->chain, chain.p, HASH_BYTES);
    int64_t pos = store_pragma(s, "SELECT coalesce(max(pos), 0) FROM tonle_journal");
    st->journal_pos = pos > 0 ? (uint64_t)pos : 0;
    enum err e = read_clock(s, "SELECT site, seq FROM tonle_clock", &st->clock);
    if (e == ERR_OK)
        e = read_clock(s, "SELECT site, seq FROM tonle_stable", &st->stable);
    if (e != ERR_OK)
        return e;
    read_identity(s);
    s->counts_stale = true;
    s->went_back = s->went_back || rev < s->rev_seen;
    s->rev_seen = rev;
    s->state_version = (int64_t)rev;
    return ERR_OK;
}

/* Unchanged where the database is locked: what was last known is true, and zeros would say that
 * this office has lost everything. Outside a transaction the values come from one snapshot of their
 * own. */
enum err state_refresh(struct store *s)
{
    uint64_t rev = 0;
    bool own = !s->in_write && !s->in_read;
    if (s->state_version > (int64_t)s->rev_seen)
        s->rev_seen = (uint64_t)s->state_version; /* of our last commit */
    enum err e = read_u64(s, "rev", &rev);
    if (e != ERR_OK || (s->state_version >= 0 && (int64_t)rev == s->state_version))
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

bool store_moved(struct store *s)
{
    int moved = 0;
    int rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (rc == SQLITE_OK && moved)
        (void)store_fail(
            s, ERR_IO,
            "%.300s was moved, removed or replaced by another file while the node ran: "
            "put the right file back (with its -wal file), then start the node again",
            s->options.path);
    else if (s->went_back)
        (void)store_fail(s, ERR_IO,
                         "%.300s was overwritten with an older copy while the node ran: stop "
                         "everything that uses it and put the right file back",
                         s->options.path);
    return (rc == SQLITE_OK && moved) || s->went_back;
}

/* Called by store_commit while the transaction is still open, when it changed anything. */
enum err state_commit(struct store *s)
{
    uint64_t rev = store_meta_u64(s, "rev", 0) + 1;
    enum err e = store_meta_set_u64(s, "rev", rev);
    if (e == ERR_OK && s->state_version >= 0)
        s->state_version = (int64_t)rev;
    return e;
}

const struct store_state *store_state_get(struct store *s)
{
    bool stale = (!s->in_write && !s->in_read) || s->state_version < 0;
    if (s->ready && stale && state_refresh(s) != ERR_OK)
        s->state_version = -1;
    if (s->ready && s->counts_stale && read_counts(s) != ERR_OK)
        s->counts_stale = true;
    return &s->state;
}

const struct store_identity *store_identity_get(struct store *s)
{
    if (!s->ready)
        return NULL;
    (void)store_state_get(s);
    return &s->identity;
}

bool store_is_ready(struct store *s)
{
    return s->ready;
}

enum err store_set_hlc(struct store *s, uint64_t hlc)
{
    if (hlc <= s->state.hlc)
        return ERR_OK;
    s->state.hlc = hlc;
    return store_meta_set_u64(s, "hlc", hlc);
}

enum err store_create(struct store *s, const struct store_identity *id)
{
    if (s->ready)
        return store_fail(s, ERR_EXISTS, "this database already belongs to a Tonle node");
    enum err e = store_exec(s, store_ddl);
    s->ready = e == ERR_OK;
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
        s->state_version = -1;
        e = state_refresh(s);
    }
    return e;
}
