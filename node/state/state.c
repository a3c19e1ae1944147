/* Identity, counters and clocks: rows of tonle_meta, tonle_clock and tonle_stable, kept in
 * memory.
 *
 * `rev` in tonle_meta goes up with every transaction of Tonle's own, whichever process made it: an
 * application's commit moves data_version but not rev, and costs us one point query. */
#include "node/state/state.h"

#include "node/db/ddl.h"
#include "node/db/objects.h"
#include "node/db/query.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct state {
    bool ready;             /* the tonle_* tables are here */
    bool made;              /* in the transaction that is open */
    struct objects objects; /* of ours, when it was looked last; made since: WHOLE */
    struct store_identity identity;
    struct store_state now;
    int64_t version;    /* tonle_meta `rev` at which `now` was read; -1: read again */
    uint64_t rev_seen;  /* the newest one ever read: a smaller one means an older file */
    bool went_back;     /* that was seen */
    uint64_t changes;   /* of it in memory, as far as others than a count made them */
    bool counts_stale;  /* held and conflicts_open are counted when asked for */
    struct arena arena; /* of the identity */
};

void state_open(struct store *s)
{
    s->state = mem_alloc(sizeof *s->state);
    s->state->version = -1;
}

void state_found(struct store *s, const struct objects *o)
{
    s->state->ready = o->state == OBJECTS_WHOLE;
    s->state->objects = *o;
}

void state_gone(struct store *s, const struct objects *o)
{
    s->state->objects = *o;
    if (o->state == OBJECTS_NONE)
        s->state->objects.state = OBJECTS_SKELETON;
}

void state_close(struct store *s)
{
    struct state *st = s->state;
    if (!st)
        return;
    clock_fini(&st->now.clock);
    clock_fini(&st->now.stable);
    arena_fini(&st->arena);
    mem_free(st);
    s->state = NULL;
}

void state_forget(struct store *s)
{
    s->state->version = -1;
}

uint64_t state_mark(const struct store *s)
{
    return s->state->changes;
}

void state_back(struct store *s, uint64_t mark)
{
    s->state->counts_stale = true;
    if (s->state->changes != mark)
        state_forget(s);
}

/* What follows changes the state in memory. */
static void changing(struct store *s)
{
    assert(s->in_write);
    s->state->changes++;
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

void state_rolled_back(struct store *s)
{
    if (s->state->made)
        s->state->ready = false;
    s->state->made = false;
}

void state_committed(struct store *s)
{
    if (s->state->made)
        s->state->objects.state = OBJECTS_WHOLE;
    s->state->made = false;
}

void state_counts_changed(struct store *s)
{
    s->state->counts_stale = true;
}

enum err store_meta_get(struct store *s, struct arena *a, const char *key, struct bytes *value)
{
    *value = (struct bytes){0};
    struct query q = DB_QUERY(s, "SELECT v FROM tonle_meta WHERE k = ?1", value_text(key));
    bool row = query_next(&q);
    if (row)
        *value = query_bytes(&q, a, 0);
    enum err e = query_end(&q);
    return e == ERR_OK && !row ? ERR_NOT_FOUND : e;
}

#define SET_META "INSERT OR REPLACE INTO tonle_meta(k, v) VALUES(?1, ?2)"

enum err store_meta_set(struct store *s, const char *key, const void *p, size_t len)
{
    assert(s->in_write);
    return DB_RUN(s, SET_META, value_text(key), value_blob(p, len));
}

enum err store_meta_u64(struct store *s, const char *key, uint64_t otherwise, uint64_t *v)
{
    *v = otherwise;
    struct query q = DB_QUERY(s, "SELECT v FROM tonle_meta WHERE k = ?1", value_text(key));
    if (query_next(&q))
        *v = query_u64(&q, 0);
    return query_end(&q);
}

enum err store_meta_set_u64(struct store *s, const char *key, uint64_t v)
{
    assert(s->in_write);
    return DB_RUN(s, SET_META, value_text(key), value_u64(v));
}

enum err store_meta_drop(struct store *s, const char *key)
{
    assert(s->in_write);
    return DB_RUN(s, "DELETE FROM tonle_meta WHERE k = ?1", value_text(key));
}

/* "" where there is no such value. */
static enum err meta_text(struct store *s, struct arena *a, const char *key, const char **text)
{
    struct bytes b;
    enum err e = store_meta_get(s, a, key, &b);
    char *copy = arena_alloc(a, b.len + 1);
    if (b.len)
        memcpy(copy, b.p, b.len);
    *text = copy;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* Unchanged where there is none of this length. */
static enum err meta_bytes(struct store *s, struct arena *a, const char *key, uint8_t *out,
                           size_t len)
{
    struct bytes b;
    enum err e = store_meta_get(s, a, key, &b);
    if (e == ERR_OK && b.len == len)
        memcpy(out, b.p, len);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err set_text(struct store *s, const char *key, const char *text)
{
    return store_meta_set(s, key, text, strlen(text));
}

static enum err read_clock(struct store *s, const char *sql, struct clock *c)
{
    clock_reset(c);
    struct query q = DB_QUERY(s, sql);
    while (query_next(&q))
        clock_set(c, query_u64(&q, 0), query_u64(&q, 1));
    return query_end(&q);
}

static enum err read_identity(struct store *s, struct arena *a, struct store_identity *id)
{
    const struct {
        const char *key, **text;
    } texts[] = {{"federation", &id->federation},
                 {"federation_name", &id->federation_name},
                 {"node", &id->node},
                 {"unit", &id->unit},
                 {"parent", &id->parent},
                 {"hub", &id->hub}};
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < sizeof texts / sizeof texts[0]; i++)
        e = meta_text(s, a, texts[i].key, texts[i].text);
    if (e == ERR_OK)
        e = store_meta_u64(s, "hub_site", 0, &id->hub_site);
    if (e == ERR_OK)
        e = store_meta_u64(s, "site", 0, &id->site);
    return e == ERR_OK ? meta_bytes(s, a, "hub_sign_key", id->hub_sign_key, SIGN_PUBLIC_BYTES) : e;
}

static enum err read_counts(struct store *s)
{
    int64_t held, open;
    enum err e = db_number(s, "SELECT count(*) FROM tonle_held", &held);
    if (e == ERR_OK)
        e = db_number(s, "SELECT count(*) FROM tonle_conflict WHERE state = 'open'", &open);
    if (e != ERR_OK)
        return e;
    s->state->now.held = (uint64_t)held;
    s->state->now.conflicts_open = (uint64_t)open;
    s->state->counts_stale = false;
    return ERR_OK;
}

/* The highest position that was ever given: items may be gone from the end of the journal. */
#define LAST_POS                                                                                   \
    "SELECT max(coalesce((SELECT v FROM tonle_meta WHERE k = 'journal_pos'), 0),"                  \
    " coalesce((SELECT max(pos) FROM tonle_journal), 0))"

static enum err read_values(struct store *s, struct arena *a, struct store_state *st)
{
    const struct {
        const char *key;
        uint64_t *v;
    } numbers[] = {{"seq", &st->seq},
                   {"hlc", &st->hlc},
                   {"charter_version", &st->charter_version},
                   {"schema_version", &st->schema_version}};
    uint64_t load_pos = 0;
    int64_t pos = 0;
    enum err e = store_meta_u64(s, "load_pos", 0, &load_pos);
    for (size_t i = 0; e == ERR_OK && i < sizeof numbers / sizeof numbers[0]; i++)
        e = store_meta_u64(s, numbers[i].key, 0, numbers[i].v);
    if (e == ERR_OK)
        e = meta_bytes(s, a, "chain", st->chain, HASH_BYTES);
    if (e == ERR_OK)
        e = db_number(s, LAST_POS, &pos);
    if (e == ERR_OK)
        e = read_clock(s, "SELECT site, seq FROM tonle_clock", &st->clock);
    if (e == ERR_OK)
        e = read_clock(s, "SELECT site, seq FROM tonle_stable", &st->stable);
    st->loading = load_pos != 0;
    st->journal_pos = (uint64_t)pos;
    return e;
}

static bool same_identity(const struct store_identity *a, const struct store_identity *b)
{
    return a->federation && strcmp(a->federation, b->federation) == 0 &&
           strcmp(a->federation_name, b->federation_name) == 0 && strcmp(a->node, b->node) == 0 &&
           strcmp(a->unit, b->unit) == 0 && strcmp(a->parent, b->parent) == 0 &&
           strcmp(a->hub, b->hub) == 0 && a->hub_site == b->hub_site && a->site == b->site &&
           memcmp(a->hub_sign_key, b->hub_sign_key, SIGN_PUBLIC_BYTES) == 0;
}

/* Its strings stay where they are: it is fixed but for a file that was exchanged. */
static void take_identity(struct state *st, struct arena *a, const struct store_identity *id)
{
    if (same_identity(&st->identity, id)) {
        arena_fini(a);
        return;
    }
    arena_fini(&st->arena);
    st->arena = *a;
    st->identity = *id;
}

static void take_values(struct state *st, struct store_state *now)
{
    struct store_state was = st->now;
    clock_copy(&was.clock, &now->clock);
    clock_copy(&was.stable, &now->stable);
    clock_fini(&now->clock);
    clock_fini(&now->stable);
    st->now = *now;
    st->now.clock = was.clock;
    st->now.stable = was.stable;
    st->now.held = was.held;
    st->now.conflicts_open = was.conflicts_open;
}

/* All of it or nothing: what was known before an error stays. */
static enum err read_state(struct store *s, uint64_t rev)
{
    struct state *st = s->state;
    struct store_state now = {0};
    struct store_identity id = {0};
    struct arena a = {0};
    st->changes++;
    enum err e = read_identity(s, &a, &id);
    if (e == ERR_OK)
        e = read_values(s, &a, &now);
    if (e != ERR_OK) {
        clock_fini(&now.clock);
        clock_fini(&now.stable);
        arena_fini(&a);
        return e;
    }
    take_identity(st, &a, &id);
    take_values(st, &now);
    st->counts_stale = true;
    st->went_back = st->went_back || rev < st->rev_seen;
    st->rev_seen = rev;
    st->version = (int64_t)rev;
    return ERR_OK;
}

/* Unchanged where the database is locked: what was last known is true, and zeros would say that
 * this office has lost everything. Outside a transaction the values come from one snapshot of their
 * own. */
enum err state_refresh(struct store *s)
{
    uint64_t rev = 0;
    bool own = false;
    if (s->state->version > (int64_t)s->state->rev_seen)
        s->state->rev_seen = (uint64_t)s->state->version; /* of our last commit */
    enum err e = store_meta_u64(s, "rev", 0, &rev);
    if (e != ERR_OK || (s->state->version >= 0 && (int64_t)rev == s->state->version))
        return e;
    e = db_snapshot_begin(s, &own);
    if (e == ERR_OK)
        e = store_meta_u64(s, "rev", 0, &rev);
    if (e == ERR_OK)
        e = read_state(s, rev);
    return db_snapshot_end(s, own, e);
}

/* Called by store_commit while the transaction is still open, when it changed anything. */
enum err state_commit(struct store *s)
{
    assert(s->in_write);
    uint64_t rev;
    enum err e = store_meta_u64(s, "rev", 0, &rev);
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "rev", ++rev);
    if (e == ERR_OK && s->state->version >= 0)
        s->state->version = (int64_t)rev;
    return e;
}

enum err store_state_look(struct store *s)
{
    bool stale = (!s->in_write && !s->in_read) || s->state->version < 0;
    if (!s->state->ready)
        return ERR_OK;
    enum err e = stale ? state_refresh(s) : ERR_OK;
    if (e != ERR_OK)
        s->state->version = -1;
    return s->state->counts_stale && e == ERR_OK ? read_counts(s) : e;
}

const struct store_state *store_state_get(struct store *s)
{
    (void)store_state_look(s);
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

const char *store_missing(const struct store *s)
{
    const struct objects *o = &s->state->objects;
    bool some = o->state == OBJECTS_SKELETON || o->state == OBJECTS_BROKEN;
    return some ? o->missing : NULL;
}

enum err store_set_hlc(struct store *s, uint64_t hlc)
{
    changing(s);
    if (hlc <= s->state->now.hlc)
        return ERR_OK;
    s->state->now.hlc = hlc;
    return store_meta_set_u64(s, "hlc", hlc);
}

bool store_remains(const struct store *s)
{
    return s->state->objects.state == OBJECTS_BROKEN;
}

/* What is nobody's just goes. */
static enum err clear_skeleton(struct store *s)
{
    struct objects found;
    struct objects_dropped n;
    enum err e = objects_look(s, &found);
    return e == ERR_OK && found.state == OBJECTS_SKELETON ? objects_drop(s, &n) : e;
}

enum err store_clear(struct store *s)
{
    struct objects_dropped n;
    assert(!s->state->ready);
    return objects_drop(s, &n);
}

/* What an earlier life of this file left behind would be taken for this one's. */
static enum err no_remains(struct store *s)
{
    struct query q = DB_QUERY(s, "SELECT count(*), min(name) FROM sqlite_schema"
                                 " WHERE name LIKE 'tonle\\_%' ESCAPE '\\'");
    int64_t n = query_next(&q) ? query_i64(&q, 0) : 0;
    char name[64] = "";
    if (n > 0)
        snprintf(name, sizeof name, "%s", query_borrow_text(&q, 1));
    enum err e = query_end(&q);
    if (e != ERR_OK || n == 0)
        return e;
    return store_fail(
        s, ERR_EXISTS,
        "%lld objects of an earlier Tonle are in it (%s first): `tonle join --mode adopt` puts a "
        "copy of the file aside and removes what is left of it; or put the application's tables "
        "alone into a new file (sqlite3 OLD.db \".dump TABLE...\" | sqlite3 NEW.db) and give that "
        "with --db",
        (long long)n, name);
}

enum err store_lower_hlc(struct store *s, uint64_t hlc)
{
    changing(s);
    s->state->now.hlc = hlc;
    return store_meta_set_u64(s, "hlc", hlc);
}

enum err store_create(struct store *s, const struct store_identity *id)
{
    changing(s);
    if (s->state->ready)
        return store_fail(s, ERR_EXISTS, "this database already belongs to a Tonle node");
    enum err e = clear_skeleton(s);
    if (e == ERR_OK)
        e = no_remains(s);
    if (e == ERR_OK)
        e = store_exec(s, store_ddl);
    s->state->ready = s->state->made = e == ERR_OK;
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
    assert(d.seq > clock_get(&s->state->now.clock, d.site));
    changing(s);
    clock_raise(&s->state->now.clock, d.site, d.seq);
    return DB_RUN(s, "INSERT OR REPLACE INTO tonle_clock(site, seq, hlc, hash) VALUES(?1,?2,?3,?4)",
                  value_u64(d.site), value_u64(d.seq), value_u64(hlc),
                  value_blob(hash, HASH_BYTES));
}

enum err state_sealed(struct store *s, uint64_t seq, const uint8_t hash[HASH_BYTES])
{
    assert(seq == s->state->now.seq + 1);
    changing(s);
    s->state->now.seq = seq;
    memcpy(s->state->now.chain, hash, HASH_BYTES);
    enum err e = store_meta_set_u64(s, "seq", seq);
    return e == ERR_OK ? store_meta_set(s, "chain", hash, HASH_BYTES) : e;
}

enum err state_set_charter(struct store *s, uint64_t version, uint64_t schema_version)
{
    changing(s);
    s->state->now.charter_version = version;
    s->state->now.schema_version = schema_version;
    enum err e = store_meta_set_u64(s, "charter_version", version);
    return e == ERR_OK ? store_meta_set_u64(s, "schema_version", schema_version) : e;
}

void state_set_loading(struct store *s, bool loading)
{
    changing(s);
    s->state->now.loading = loading;
}

enum err state_next_journal_pos(struct store *s, uint64_t *pos)
{
    int64_t last = 0;
    changing(s);
    enum err e = db_number(s, LAST_POS, &last);
    *pos = (uint64_t)last + 1;
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "journal_pos", *pos);
    if (e == ERR_OK)
        s->state->now.journal_pos = *pos;
    return e;
}

enum err state_raise_stable(struct store *s, const struct clock *c)
{
    changing(s);
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < c->n; i++) {
        if (clock_get(&s->state->now.stable, c->entry[i].site) >= c->entry[i].seq)
            continue;
        e = DB_RUN(s, "INSERT OR REPLACE INTO tonle_stable(site, seq) VALUES(?1, ?2)",
                   value_u64(c->entry[i].site), value_u64(c->entry[i].seq));
    }
    clock_join(&s->state->now.stable, c);
    return e;
}

/* ---- what a load brings */

/* ?1 the site, ?2 the seq, ?3 (with hash) the one that nobody knows. */
static enum err put_clock(struct store *s, const char *sql, const struct clock *c, bool hash)
{
    static const uint8_t unknown[HASH_BYTES];
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < c->n; i++) {
        const struct value v[] = {value_u64(c->entry[i].site), value_u64(c->entry[i].seq),
                                  value_blob(unknown, sizeof unknown)};
        e = query_run(s, sql, hash ? 3 : 2, v);
    }
    return e;
}

enum err state_take_clocks(struct store *s, const struct clock *clock, const struct clock *stable)
{
    changing(s);
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
    clock_join(&s->state->now.clock, clock);
    clock_join(&s->state->now.stable, stable);
    return e;
}
