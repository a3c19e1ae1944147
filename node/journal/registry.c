/* The registry of nodes and the charter, read: replicated tables like any other, but written by the
 * hub alone (capture/publish.c). What a row holds is checked where it is turned into a struct. */
#include "node/journal/registry.h"

#include "node/db/query.h"
#include "node/file/hex.h"

#include <stdio.h>
#include <string.h>

static const char *const state_name[] = {
    [NODE_INVITED] = "invited", [NODE_ACTIVE] = "active", [NODE_RETIRED] = "retired"};

const char *node_state_name(enum node_state state)
{
    return state_name[state];
}

#define NODE_SQL                                                                                   \
    "SELECT n.name, n.unit, n.parent, n.listen, n.state, n.site, n.curve_key,"                     \
    " coalesce(s.sign_key, ''), n.enrol_key, n.enrol_expires_ms, n.reads, n.joined_ms"             \
    " FROM tonle_node n LEFT JOIN tonle_site s ON s.site = n.site"

static enum err node_key(struct store *s, const struct node_record *r, const char *what,
                         const char *text, uint8_t *out)
{
    _Static_assert(CURVE_KEY_BYTES == SIGN_PUBLIC_BYTES, "one length for all keys");
    if (hex_bytes(text, out, CURVE_KEY_BYTES))
        return ERR_OK;
    return store_fail(s, ERR_CORRUPT, "tonle_node: the %s of %s is not %d hex digits", what,
                      r->name, 2 * CURVE_KEY_BYTES);
}

static enum err node_from(const struct query *q, struct arena *a, struct node_record *r)
{
    struct store *s = q->s;
    *r = (struct node_record){.name = query_text(q, a, 0),
                              .unit = query_text(q, a, 1),
                              .parent = query_text(q, a, 2),
                              .listen = query_text(q, a, 3),
                              .enrol_expires_ms = query_u64(q, 9),
                              .reads = query_text(q, a, 10),
                              .joined_ms = query_u64(q, 11)};
    const char *state = query_text(q, a, 4);
    for (int i = NODE_INVITED; i <= NODE_RETIRED; i++)
        if (strcmp(state, state_name[i]) == 0)
            r->state = (enum node_state)i;
    if (r->state == 0)
        return store_fail(s, ERR_CORRUPT, "tonle_node: %s has the unknown state '%s'", r->name,
                          state);
    uint8_t site[8];
    if (!hex_bytes(query_text(q, a, 5), site, sizeof site))
        return store_fail(s, ERR_CORRUPT, "tonle_node: the site of %s is not 16 hex digits",
                          r->name);
    for (size_t i = 0; i < sizeof site; i++)
        r->site = r->site << 8 | site[i];
    enum err e = node_key(s, r, "CURVE key", query_text(q, a, 6), r->curve_key);
    if (e == ERR_OK)
        e = node_key(s, r, "signing key", query_text(q, a, 7), r->sign_key);
    if (e == ERR_OK)
        e = node_key(s, r, "invitation key", query_text(q, a, 8), r->enrol_key);
    return e;
}

enum err store_node_get(struct store *s, struct arena *a, const char *name, struct node_record *out)
{
    struct query q = DB_QUERY(s, NODE_SQL " WHERE n.name = ?1", value_text(name));
    if (query_next(&q))
        query_fail(&q, node_from(&q, a, out));
    else if (q.e == ERR_OK)
        query_fail(&q, store_fail(s, ERR_NOT_FOUND, "no node is named %s", name));
    return query_end(&q);
}

enum err store_node_list(struct store *s, struct arena *a, struct node_record **out, size_t *n)
{
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    struct query q = DB_QUERY(s, NODE_SQL " ORDER BY n.unit, n.name");
    while (query_next(&q)) {
        *out = arena_grow(a, *out, *n, &cap, sizeof **out);
        query_fail(&q, node_from(&q, a, &(*out)[(*n)++]));
    }
    return query_end(&q);
}

enum err store_keys_taken(struct store *s, const char *node,
                          const uint8_t curve_key[CURVE_KEY_BYTES],
                          const uint8_t sign_key[SIGN_PUBLIC_BYTES], bool *taken)
{
    struct arena a = {0};
    struct query q =
        DB_QUERY(s,
                 "SELECT 1 FROM tonle_node"
                 " WHERE name <> ?1 AND ?2 IN (curve_key, enrol_key)"
                 " UNION ALL SELECT 1 FROM tonle_site"
                 " WHERE node <> ?1 AND sign_key = ?3",
                 value_text(node), value_text(hex_text(&a, curve_key, CURVE_KEY_BYTES)),
                 value_text(hex_text(&a, sign_key, SIGN_PUBLIC_BYTES)));
    *taken = query_next(&q);
    enum err e = query_end(&q);
    arena_fini(&a);
    return e;
}

static enum err charter_from(const struct query *q, struct arena *a, struct charter_record *out)
{
    unsigned long long version = 0;
    int used = 0;
    const char *text = query_text(q, a, 0);
    if (sscanf(text, "%llu%n", &version, &used) != 1 || text[used] != '\0')
        return store_fail(q->s, ERR_CORRUPT, "tonle_charter: '%s' is not a version", text);
    *out = (struct charter_record){.version = version,
                                   .schema_version = query_u64(q, 1),
                                   .yaml = query_text(q, a, 2),
                                   .compiled = query_text(q, a, 3),
                                   .published_ms = query_u64(q, 4)};
    return ERR_OK;
}

enum err store_charter_get(struct store *s, struct arena *a, struct charter_record *out)
{
    struct query q = DB_QUERY(s, "SELECT version, schema_version, yaml, compiled, published_ms"
                                 " FROM tonle_charter ORDER BY version DESC LIMIT 1");
    if (query_next(&q))
        query_fail(&q, charter_from(&q, a, out));
    else if (q.e == ERR_OK)
        query_fail(&q, store_fail(s, ERR_NOT_FOUND,
                                  "no charter has been published or has arrived here yet"));
    return query_end(&q);
}

enum err store_freshness(struct store *s, struct arena *a, struct freshness **out, size_t *n)
{
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    struct query q = DB_QUERY(s, "SELECT f.node, f.unit, coalesce(s.number, 0), f.seq, f.as_of_ms,"
                                 " f.heard_up_to_ms"
                                 " FROM tonle_freshness f LEFT JOIN tonle_site s ON s.site = f.site"
                                 " ORDER BY f.unit, f.node");
    while (query_next(&q)) {
        *out = arena_grow(a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = (struct freshness){.node = query_text(&q, a, 0),
                                            .unit = query_text(&q, a, 1),
                                            .site = query_u64(&q, 2),
                                            .seq = query_u64(&q, 3),
                                            .as_of_ms = query_u64(&q, 4),
                                            .heard_up_to_ms = query_u64(&q, 5)};
    }
    return query_end(&q);
}
