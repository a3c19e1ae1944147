/* The journal, the neighbours, the sites.
 *
 * Which items are for a peer is a filter on (kind, source): up go changesets and answers that did
 * not come from the parent, down go changesets, marks and stables that did not come from that
 * child. The next item is mostly the next position, so a few positions are looked at first; behind
 * them may lie a long run of one neighbour's items (a province that comes back after weeks), and
 * that is jumped over through the index on (source, kind): one seek for each source and kind,
 * whatever the length of the run. */
#include "node/journal/journal.h"

#include "node/db/query.h"
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
    assert(kind == ITEM_CHANGESET ? !dot_is_none(dot) : dot.site == 0);
    enum err e = state_next_journal_pos(s, pos);
    if (e != ERR_OK)
        return e;
    return DB_RUN(s,
                  "INSERT INTO tonle_journal(pos, kind, source, site, seq, hlc, bytes)"
                  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                  value_u64(*pos), value_u64(kind), value_text(source), value_u64(dot.site),
                  value_u64(dot.seq), value_u64(hlc), value_blob(bytes.p, bytes.len));
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
    int seen = 0;
    struct query q = DB_QUERY(
        s, "SELECT pos, kind, source FROM tonle_journal WHERE pos > ?1 ORDER BY pos LIMIT ?2",
        value_u64(after), value_u64(NEAR_ROWS));
    *pos = 0;
    for (; *pos == 0 && query_next(&q); seen++) {
        struct bytes source = query_borrow(&q, 2);
        bool theirs = source.len == strlen(not_from) && memcmp(source.p, not_from, source.len) == 0;
        if (travels(dir, query_i64(&q, 1)) && !theirs)
            *pos = query_u64(&q, 0);
    }
    *end = *pos == 0 && seen < NEAR_ROWS;
    return query_end(&q);
}

/* The first or last position after `after` that travels, by seeks; 0 when there is none. */
static enum err seek_edge(struct store *s, const char *sql, const char *not_from, uint64_t after,
                          uint64_t *pos)
{
    struct query q = DB_QUERY(s, sql, value_text(not_from), value_u64(after));
    *pos = query_next(&q) ? query_u64(&q, 0) : 0;
    return query_end(&q);
}

#define ITEM_SQL "SELECT pos, kind, source, site, seq, hlc, bytes FROM tonle_journal"

/* The one row of an ITEM_SQL. */
static enum err read_item(struct query q, struct arena *a, struct item *out)
{
    bool row = query_next(&q);
    if (row)
        *out = (struct item){.pos = query_u64(&q, 0),
                             .kind = (enum item_kind)query_i64(&q, 1),
                             .source = query_text(&q, a, 2),
                             .dot = {query_u64(&q, 3), query_u64(&q, 4)},
                             .hlc = query_u64(&q, 5),
                             .bytes = query_bytes(&q, a, 6)};
    enum err e = query_end(&q);
    return e == ERR_OK && !row ? ERR_NOT_FOUND : e;
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
    return read_item(DB_QUERY(s, ITEM_SQL " WHERE pos = ?1", value_u64(pos)), a, out);
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
    struct query q = DB_QUERY(s, backlog_sql[dir], value_text(not_from), value_u64(after));
    if (query_next(&q)) {
        out->items = query_u64(&q, 0);
        out->changesets = query_u64(&q, 1);
        out->bytes = query_u64(&q, 2);
        out->oldest_hlc = query_u64(&q, 4);
    }
    return query_end(&q);
}

enum err store_journal_mark(struct store *s, struct arena *a, uint64_t id, struct bytes *mark)
{
    struct query q = DB_QUERY(
        s, "SELECT bytes FROM tonle_journal WHERE kind = 2 AND seq = ?1 ORDER BY pos DESC LIMIT 1",
        value_u64(id));
    bool row = query_next(&q);
    if (row)
        *mark = query_bytes(&q, a, 0);
    enum err e = query_end(&q);
    return e == ERR_OK && !row ? ERR_NOT_FOUND : e;
}

enum err store_journal_last_mark(struct store *s, uint64_t *id)
{
    *id = 0;
    struct query q = DB_QUERY(s, "SELECT seq FROM tonle_journal WHERE kind = 2"
                                 " ORDER BY seq DESC LIMIT 1");
    if (query_next(&q))
        *id = query_u64(&q, 0);
    return query_end(&q);
}

enum err store_journal_find(struct store *s, struct arena *a, struct dot dot, struct item *out)
{
    return read_item(DB_QUERY(s, ITEM_SQL " WHERE kind = 1 AND site = ?1 AND seq = ?2",
                              value_u64(dot.site), value_u64(dot.seq)),
                     a, out);
}

enum err store_journal_later(struct store *s, const struct later_look *look, struct dot *later)
{
    enum err e = ERR_OK;
    const struct clock *stable = &state_of(s)->stable;
    *later = (struct dot){0};
    for (size_t i = 0; e == ERR_OK && dot_is_none(*later) && i < look->seen->n; i++) {
        struct dot d = {look->seen->entry[i].site, look->seen->entry[i].seq};
        uint64_t most = clock_covers(stable, d) ? look->now : look->most;
        if (clock_covers(look->known, d))
            continue;
        struct query q = DB_QUERY(
            s,
            "SELECT hlc FROM tonle_clock WHERE site = ?1 AND seq = ?2"
            " UNION ALL SELECT hlc FROM tonle_journal WHERE kind = 1 AND site = ?1 AND seq = ?2"
            " LIMIT 1",
            value_u64(d.site), value_u64(d.seq));
        if (query_next(&q) && query_u64(&q, 0) >= look->from && query_u64(&q, 0) <= most)
            *later = d;
        e = query_end(&q);
    }
    return e;
}

enum err store_peer_get(struct store *s, const char *node, struct peer_record *out)
{
    *out = (struct peer_record){0};
    struct query q =
        DB_QUERY(s, "SELECT received_pos, acked_pos, contact_ms FROM tonle_peer WHERE node = ?1",
                 value_text(node));
    if (query_next(&q))
        *out = (struct peer_record){query_u64(&q, 0), query_u64(&q, 1), query_u64(&q, 2)};
    return query_end(&q);
}

/* Both are set as told, also downwards: a neighbour that took a new site has a new journal. */
enum err journal_peer_received(struct store *s, const char *node, uint64_t pos)
{
    assert(s->in_write);
    return DB_RUN(s,
                  "INSERT INTO tonle_peer(node, received_pos) VALUES(?1, ?2)"
                  " ON CONFLICT(node) DO UPDATE SET received_pos = ?2",
                  value_text(node), value_u64(pos));
}

enum err store_peer_acked(struct store *s, const char *node, uint64_t pos, uint64_t contact_ms)
{
    assert(s->in_write);
    return DB_RUN(s,
                  "INSERT INTO tonle_peer(node, acked_pos, contact_ms) VALUES(?1, ?2, ?3)"
                  " ON CONFLICT(node) DO UPDATE SET acked_pos = ?2, contact_ms = ?3",
                  value_text(node), value_u64(pos), value_u64(contact_ms));
}

#define SITE_SQL                                                                                   \
    "SELECT s.number, s.node, coalesce(n.unit, ''), s.sign_key, coalesce(c.seq, 0), c.hash,"       \
    " coalesce(c.hlc, 0) FROM tonle_site s LEFT JOIN tonle_node n ON n.name = s.node"              \
    " LEFT JOIN tonle_clock c ON c.site = s.number"

static enum err site_from(const struct query *q, struct arena *a, struct site_record *r)
{
    *r = (struct site_record){.site = query_u64(q, 0),
                              .node = query_text(q, a, 1),
                              .unit = query_text(q, a, 2),
                              .seq = query_u64(q, 4),
                              .hlc = query_u64(q, 6)};
    if (!hex_bytes(query_text(q, a, 3), r->sign_key, sizeof r->sign_key))
        return store_fail(q->s, ERR_CORRUPT,
                          "tonle_site: the signing key of site %016llx is not %zu hex digits",
                          (unsigned long long)r->site, 2 * sizeof r->sign_key);
    struct bytes hash = query_borrow(q, 5);
    if (hash.len == HASH_BYTES)
        memcpy(r->chain, hash.p, HASH_BYTES);
    return ERR_OK;
}

enum err store_site_get(struct store *s, struct arena *a, uint64_t site, struct site_record *out)
{
    char name[17];
    snprintf(name, sizeof name, "%016llx", (unsigned long long)site);
    struct query q = DB_QUERY(s, SITE_SQL " WHERE s.site = ?1", value_text(name));
    if (query_next(&q))
        query_fail(&q, site_from(&q, a, out));
    else if (q.e == ERR_OK)
        query_fail(&q, store_fail(s, ERR_NOT_FOUND, "site %s is not in the registry", name));
    return query_end(&q);
}
