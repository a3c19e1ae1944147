/* The journal, the neighbours, the sites.
 *
 * Which items are for a peer is a filter on (kind, source): up go changesets and answers that did
 * not come from the parent, down go changesets, marks and stables that did not come from that
 * child. The next item is mostly the next position, so a few positions are looked at first; behind
 * them may lie a long run of one neighbour's items (a province that comes back after weeks), and
 * that is jumped over through the index on (source, kind): one seek for each source and kind,
 * whatever the length of the run. */
#include "node/journal/journal.h"

#include "node/db/sqlite.h"
#include "node/file/hex.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NEAR_ROWS 32

/* The distinct sources, by seeks (the neighbours are few, the items many). */
#define WITH_SOURCES                                                                               \
    "WITH RECURSIVE src(x) AS (SELECT min(source) FROM tonle_journal UNION ALL"                    \
    " SELECT (SELECT min(source) FROM tonle_journal WHERE source > src.x) FROM src"                \
    " WHERE src.x IS NOT NULL) "
#define KINDS_UP "(VALUES(1),(3))"
#define KINDS_DOWN "(VALUES(1),(2),(4))"
#define EDGE(which, kinds)                                                                         \
    WITH_SOURCES "SELECT " which "(p) FROM (SELECT (SELECT " which "(pos) FROM tonle_journal j"    \
                 " WHERE j.source = src.x AND j.kind = k.column1 AND j.pos > ?2) AS p"             \
                 " FROM src CROSS JOIN " kinds " AS k WHERE src.x <> ?1)"
/* j.hlc is that of the row with min(pos): lang_select.html, section 2.5, "bare columns". */
#define BACKLOG(kinds)                                                                             \
    WITH_SOURCES                                                                                   \
    "SELECT count(*), coalesce(sum(j.kind = 1), 0), coalesce(sum(length(j.bytes)), 0),"            \
    " min(j.pos), j.hlc FROM src CROSS JOIN " kinds " AS k CROSS JOIN tonle_journal j"             \
    " WHERE src.x <> ?1 AND j.source = src.x AND j.kind = k.column1 AND j.pos > ?2"

static const char *const first_sql[] = {
    [LINK_UP] = EDGE("min", KINDS_UP), [LINK_DOWN] = EDGE("min", KINDS_DOWN)};
static const char *const last_sql[] = {
    [LINK_UP] = EDGE("max", KINDS_UP), [LINK_DOWN] = EDGE("max", KINDS_DOWN)};
static const char *const backlog_sql[] = {
    [LINK_UP] = BACKLOG(KINDS_UP), [LINK_DOWN] = BACKLOG(KINDS_DOWN)};

enum err store_journal_append(struct store *s, enum item_kind kind, const char *source,
                              struct dot dot, uint64_t hlc, struct bytes bytes, uint64_t *pos)
{
    assert(s->in_write);
    sqlite3_stmt *q = store_stmt(s, "INSERT INTO tonle_journal(kind, source, site, seq, hlc, bytes)"
                                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
    if (!q)
        return part_stmt_error(s);
    store_bind_u64(q, 1, kind);
    store_bind_text(q, 2, source);
    store_bind_u64(q, 3, dot.site);
    store_bind_u64(q, 4, dot.seq);
    store_bind_u64(q, 5, hlc);
    store_bind_blob(q, 6, bytes.p, bytes.len);
    enum err e = store_run(s, q);
    if (e != ERR_OK)
        return e;
    *pos = (uint64_t)sqlite3_last_insert_rowid(s->db);
    state_set_journal_pos(s, *pos);
    return ERR_OK;
}

/* The neighbour whose items do not go back to it; NULL: there is nobody in that direction. */
static const char *foreign(struct store *s, enum direction dir, const char *peer)
{
    if (dir == LINK_DOWN)
        return peer;
    const struct store_identity *id = store_identity_get(s);
    return !id || id->parent[0] == '\0' ? NULL : id->parent;
}

static bool travels(enum direction dir, int64_t kind)
{
    return kind == ITEM_CHANGESET ||
           (dir == LINK_UP ? kind == ITEM_ANSWER : kind == ITEM_MARK || kind == ITEM_STABLE);
}

/* Looks at the next few positions: *pos is the first that travels, or 0; *end: there are no others.
 */
static enum err look_near(struct store *s, enum direction dir, const char *not_from, uint64_t after,
                          uint64_t *pos, bool *end)
{
    *pos = 0;
    *end = false;
    sqlite3_stmt *q = store_stmt(
        s, "SELECT pos, kind, source FROM tonle_journal WHERE pos > ?1 ORDER BY pos LIMIT ?2");
    if (!q)
        return part_stmt_error(s);
    store_bind_u64(q, 1, after);
    store_bind_u64(q, 2, NEAR_ROWS);
    for (int seen = 0;; seen++) {
        bool row;
        enum err e = store_step(s, q, &row);
        if (e != ERR_OK)
            return e;
        if (!row) {
            *end = seen < NEAR_ROWS;
            break;
        }
        const char *source = (const char *)sqlite3_column_text(q, 2);
        if (travels(dir, sqlite3_column_int64(q, 1)) && source && strcmp(source, not_from) != 0) {
            *pos = store_column_u64(q, 0);
            break;
        }
    }
    sqlite3_reset(q);
    return ERR_OK;
}

/* The first or last position after `after` that travels, by seeks; 0 when there is none. */
static enum err seek_edge(struct store *s, const char *sql, const char *not_from, uint64_t after,
                          uint64_t *pos)
{
    sqlite3_stmt *q = store_stmt(s, sql);
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, not_from);
    store_bind_u64(q, 2, after);
    bool row;
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK)
        return e;
    *pos = row ? store_column_u64(q, 0) : 0;
    sqlite3_reset(q);
    return ERR_OK;
}

static enum err read_item(struct store *s, struct arena *a, sqlite3_stmt *q, struct item *out)
{
    bool row;
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK)
        return e;
    if (!row)
        return ERR_NOT_FOUND;
    out->pos = store_column_u64(q, 0);
    out->kind = (enum item_kind)sqlite3_column_int(q, 1);
    out->source = store_column_text(a, q, 2);
    out->dot = (struct dot){store_column_u64(q, 3), store_column_u64(q, 4)};
    out->hlc = store_column_u64(q, 5);
    out->bytes = store_column_bytes(a, q, 6);
    sqlite3_reset(q);
    return ERR_OK;
}

enum err store_journal_next(struct store *s, struct arena *a, enum direction dir, const char *peer,
                            uint64_t after, struct item *out)
{
    const char *not_from = foreign(s, dir, peer);
    if (!not_from)
        return ERR_NOT_FOUND;
    uint64_t pos;
    bool end;
    enum err e = look_near(s, dir, not_from, after, &pos, &end);
    if (e == ERR_OK && pos == 0 && !end)
        e = seek_edge(s, first_sql[dir], not_from, after, &pos);
    if (e != ERR_OK)
        return e;
    if (pos == 0)
        return ERR_NOT_FOUND;
    sqlite3_stmt *q = store_stmt(
        s, "SELECT pos, kind, source, site, seq, hlc, bytes FROM tonle_journal WHERE pos = ?1");
    if (!q)
        return part_stmt_error(s);
    store_bind_u64(q, 1, pos);
    return read_item(s, a, q, out);
}

enum err store_journal_backlog(struct store *s, enum direction dir, const char *peer,
                               uint64_t after, struct backlog *out)
{
    *out = (struct backlog){0};
    const char *not_from = foreign(s, dir, peer);
    if (!not_from)
        return ERR_OK;
    enum err e = seek_edge(s, last_sql[dir], not_from, 0, &out->tail_pos);
    if (e != ERR_OK || out->tail_pos <= after)
        return e;
    sqlite3_stmt *q = store_stmt(s, backlog_sql[dir]);
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, not_from);
    store_bind_u64(q, 2, after);
    bool row;
    e = store_step(s, q, &row);
    if (e != ERR_OK)
        return e;
    if (row) {
        out->items = store_column_u64(q, 0);
        out->changesets = store_column_u64(q, 1);
        out->bytes = store_column_u64(q, 2);
        out->oldest_hlc = store_column_u64(q, 4);
    }
    sqlite3_reset(q);
    return ERR_OK;
}

enum err store_journal_find(struct store *s, struct arena *a, struct dot dot, struct item *out)
{
    sqlite3_stmt *q =
        store_stmt(s, "SELECT pos, kind, source, site, seq, hlc, bytes FROM tonle_journal"
                      " WHERE kind = 1 AND site = ?1 AND seq = ?2");
    if (!q)
        return part_stmt_error(s);
    store_bind_u64(q, 1, dot.site);
    store_bind_u64(q, 2, dot.seq);
    return read_item(s, a, q, out);
}

enum err store_peer_get(struct store *s, const char *node, struct peer_record *out)
{
    *out = (struct peer_record){0};
    sqlite3_stmt *q =
        store_stmt(s, "SELECT received_pos, acked_pos, contact_ms FROM tonle_peer WHERE node = ?1");
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, node);
    bool row;
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK || !row)
        return e;
    *out = (struct peer_record){store_column_u64(q, 0), store_column_u64(q, 1),
                                store_column_u64(q, 2)};
    sqlite3_reset(q);
    return ERR_OK;
}

/* Both are set as told, also downwards: a neighbour that took a new site has a new journal. */
enum err journal_peer_received(struct store *s, const char *node, uint64_t pos)
{
    assert(s->in_write);
    sqlite3_stmt *q = store_stmt(s, "INSERT INTO tonle_peer(node, received_pos) VALUES(?1, ?2)"
                                    " ON CONFLICT(node) DO UPDATE SET received_pos = ?2");
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, node);
    store_bind_u64(q, 2, pos);
    return store_run(s, q);
}

enum err store_peer_acked(struct store *s, const char *node, uint64_t pos, uint64_t contact_ms)
{
    assert(s->in_write);
    sqlite3_stmt *q =
        store_stmt(s, "INSERT INTO tonle_peer(node, acked_pos, contact_ms) VALUES(?1, ?2, ?3)"
                      " ON CONFLICT(node) DO UPDATE SET acked_pos = ?2, contact_ms = ?3");
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, node);
    store_bind_u64(q, 2, pos);
    store_bind_u64(q, 3, contact_ms);
    return store_run(s, q);
}

#define SITE_SQL                                                                                   \
    "SELECT s.number, s.node, coalesce(n.unit, ''), s.sign_key, coalesce(c.seq, 0), c.hash,"       \
    " coalesce(c.hlc, 0) FROM tonle_site s LEFT JOIN tonle_node n ON n.name = s.node"              \
    " LEFT JOIN tonle_clock c ON c.site = s.number"

static enum err site_from(struct store *s, struct arena *a, sqlite3_stmt *q, struct site_record *r)
{
    *r = (struct site_record){.site = store_column_u64(q, 0),
                              .node = store_column_text(a, q, 1),
                              .unit = store_column_text(a, q, 2),
                              .seq = store_column_u64(q, 4),
                              .hlc = store_column_u64(q, 6)};
    if (!hex_bytes(store_column_text(a, q, 3), r->sign_key, sizeof r->sign_key))
        return store_fail(s, ERR_CORRUPT,
                          "tonle_site: the signing key of site %016llx is not %zu hex digits",
                          (unsigned long long)r->site, 2 * sizeof r->sign_key);
    struct bytes hash = store_column_bytes(a, q, 5);
    if (hash.len == HASH_BYTES)
        memcpy(r->chain, hash.p, HASH_BYTES);
    return ERR_OK;
}

enum err store_site_get(struct store *s, struct arena *a, uint64_t site, struct site_record *out)
{
    sqlite3_stmt *q = store_stmt(s, SITE_SQL " WHERE s.site = ?1");
    if (!q)
        return part_stmt_error(s);
    char name[17];
    snprintf(name, sizeof name, "%016llx", (unsigned long long)site);
    store_bind_text(q, 1, name);
    bool row;
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK)
        return e;
    if (!row)
        return store_fail(s, ERR_NOT_FOUND, "site %s is not in the registry", name);
    e = site_from(s, a, q, out);
    sqlite3_reset(q);
    return e;
}
