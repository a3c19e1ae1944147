/* The registry of nodes and the charter: replicated tables like any other, but written by the hub
 * alone. A row is written only where it differs and is noted in the capture log, so that it travels
 * with the next seal and an unchanged row makes no traffic. */
#include "node/journal/registry.h"

#include "node/db/sqlite.h"
#include "node/file/hex.h"

#include <assert.h>
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

static enum err node_from(struct store *s, struct arena *a, sqlite3_stmt *q, struct node_record *r)
{
    *r = (struct node_record){.name = store_column_text(a, q, 0),
                              .unit = store_column_text(a, q, 1),
                              .parent = store_column_text(a, q, 2),
                              .listen = store_column_text(a, q, 3),
                              .enrol_expires_ms = store_column_u64(q, 9),
                              .reads = store_column_text(a, q, 10),
                              .joined_ms = store_column_u64(q, 11)};
    const char *state = store_column_text(a, q, 4);
    for (int i = NODE_INVITED; i <= NODE_RETIRED; i++)
        if (strcmp(state, state_name[i]) == 0)
            r->state = (enum node_state)i;
    if (r->state == 0)
        return store_fail(s, ERR_CORRUPT, "tonle_node: %s has the unknown state '%s'", r->name,
                          state);
    uint8_t site[8];
    if (!hex_bytes(store_column_text(a, q, 5), site, sizeof site))
        return store_fail(s, ERR_CORRUPT, "tonle_node: the site of %s is not 16 hex digits",
                          r->name);
    for (size_t i = 0; i < sizeof site; i++)
        r->site = r->site << 8 | site[i];
    enum err e = node_key(s, r, "CURVE key", store_column_text(a, q, 6), r->curve_key);
    if (e == ERR_OK)
        e = node_key(s, r, "signing key", store_column_text(a, q, 7), r->sign_key);
    if (e == ERR_OK)
        e = node_key(s, r, "invitation key", store_column_text(a, q, 8), r->enrol_key);
    return e;
}

enum err store_node_get(struct store *s, struct arena *a, const char *name, struct node_record *out)
{
    sqlite3_stmt *q = store_stmt(s, NODE_SQL " WHERE n.name = ?1");
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, name);
    bool row;
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK)
        return e;
    if (!row)
        return store_fail(s, ERR_NOT_FOUND, "no node is named %s", name);
    e = node_from(s, a, q, out);
    sqlite3_reset(q);
    return e;
}

enum err store_node_list(struct store *s, struct arena *a, struct node_record **out, size_t *n)
{
    sqlite3_stmt *q = store_stmt(s, NODE_SQL " ORDER BY n.unit, n.name");
    if (!q)
        return part_stmt_error(s);
    struct node_record *list = NULL;
    size_t count = 0, cap = 0;
    enum err e;
    bool row;
    while ((e = store_step(s, q, &row)) == ERR_OK && row) {
        list = mem_grow(list, count, &cap, sizeof *list);
        e = node_from(s, a, q, &list[count++]);
        if (e != ERR_OK)
            break;
    }
    sqlite3_reset(q);
    *out = arena_copy(a, list, count * sizeof *list);
    *n = count;
    mem_free(list);
    return e;
}

enum err store_charter_get(struct store *s, struct arena *a, struct charter_record *out)
{
    sqlite3_stmt *q = store_stmt(s, "SELECT version, schema_version, yaml, compiled, published_ms"
                                    " FROM tonle_charter ORDER BY version DESC LIMIT 1");
    if (!q)
        return part_stmt_error(s);
    bool row;
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK)
        return e;
    if (!row)
        return store_fail(s, ERR_NOT_FOUND,
                          "no charter has been published or has arrived here yet");
    unsigned long long version = 0;
    int used = 0;
    const char *text = store_column_text(a, q, 0);
    if (sscanf(text, "%llu%n", &version, &used) != 1 || text[used] != '\0')
        e = store_fail(s, ERR_CORRUPT, "tonle_charter: '%s' is not a version", text);
    *out = (struct charter_record){.version = version,
                                   .schema_version = store_column_u64(q, 1),
                                   .yaml = store_column_text(a, q, 2),
                                   .compiled = store_column_text(a, q, 3),
                                   .published_ms = store_column_u64(q, 4)};
    sqlite3_reset(q);
    return e;
}

enum err store_freshness(struct store *s, struct arena *a, struct freshness **out, size_t *n)
{
    sqlite3_stmt *q =
        store_stmt(s, "SELECT f.node, f.unit, coalesce(s.number, 0), f.seq, f.as_of_ms"
                      " FROM tonle_freshness f LEFT JOIN tonle_site s ON s.site = f.site"
                      " ORDER BY f.unit, f.node");
    if (!q)
        return part_stmt_error(s);
    struct freshness *list = NULL;
    size_t count = 0, cap = 0;
    enum err e;
    bool row;
    while ((e = store_step(s, q, &row)) == ERR_OK && row) {
        list = mem_grow(list, count, &cap, sizeof *list);
        list[count++] = (struct freshness){.node = store_column_text(a, q, 0),
                                           .unit = store_column_text(a, q, 1),
                                           .site = store_column_u64(q, 2),
                                           .seq = store_column_u64(q, 3),
                                           .as_of_ms = store_column_u64(q, 4)};
    }
    *out = arena_copy(a, list, count * sizeof *list);
    *n = count;
    mem_free(list);
    return e;
}
