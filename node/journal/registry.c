/* The registry of nodes and the charter: replicated tables like any other, but written by the hub
 * alone. A row is written only where it differs and is noted in the capture log, so that it travels
 * with the next seal and an unchanged row makes no traffic. */
#include "node/record/table.h"

#include "protocol/limits.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PUT_CELLS 12

struct put_cell { /* a column by name, because the published order is the schema's matter */
    const char *column;
    struct value value;
};

static const char *const state_name[] = {
    [NODE_INVITED] = "invited", [NODE_ACTIVE] = "active", [NODE_RETIRED] = "retired"};

static enum err only_at_hub(struct store *s)
{
    const struct store_identity *id = store_identity_get(s);
    if (!id || strcmp(id->node, id->hub) != 0)
        return store_fail(
            s, ERR_STATE,
            "the registry and the charter are written at the hub%s%s only: run the command there",
            !id ? "" : " ", !id ? "" : id->hub);
    return ERR_OK;
}

/* Puts the cells in the table's column order; every replicated column must be given. */
static enum err arrange(struct store *s, const struct table_schema *t, const struct put_cell *cell,
                        size_t n, struct value *values)
{
    bool given[PUT_CELLS] = {false};
    assert(t->n_columns <= PUT_CELLS);
    for (size_t i = 0; i < n; i++) {
        uint32_t c = schema_column(t, cell[i].column);
        if (c == UINT32_MAX)
            return store_fail(s, ERR_SCHEMA, "%s has no column %s", t->name, cell[i].column);
        values[c] = cell[i].value;
        given[c] = true;
    }
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (!given[c])
            return store_fail(s, ERR_SCHEMA, "%s: column %s is unknown to this program", t->name,
                              t->column[c]);
    return ERR_OK;
}

static enum err put(struct store *s, struct arena *a, const char *table,
                    const struct put_cell *cell, size_t n)
{
    const struct table_schema *t = schema_table(s, table);
    if (!t)
        return store_fail(s, ERR_SCHEMA, "table %s is missing", table);
    struct value values[PUT_CELLS];
    enum err e = arrange(s, t, cell, n, values);
    if (e != ERR_OK)
        return e;
    struct buf key = {0};
    schema_key_encode(t, values, &key);
    struct value *old = NULL;
    e = row_read(s, a, (struct row_key){t, key.data, key.len}, &old);
    if (e == ERR_OK && !old) {
        e = part_insert(s, t, values);
        if (e == ERR_OK)
            e = capture_note(s, t, CHANGE_BORN, 0, values);
    } else if (e == ERR_OK && part_mask(t, old, values) != 0) {
        e = part_update(s, t, old, values);
        if (e == ERR_OK)
            e = capture_note(s, t, CHANGE_UPDATE, part_mask(t, old, values), values);
    }
    buf_fini(&key);
    return e;
}

enum err store_node_put(struct store *s, const struct node_record *r)
{
    assert(s->in_write && r->state >= NODE_INVITED && r->state <= NODE_RETIRED);
    enum err e = only_at_hub(s);
    if (e == ERR_OK)
        e = schema_load(s);
    if (e != ERR_OK)
        return e;
    struct arena a = {0};
    char site[17] = "";
    if (r->site != 0)
        snprintf(site, sizeof site, "%016llx", (unsigned long long)r->site);
    const struct put_cell node[] = {
        {"name", value_text(r->name)},
        {"unit", value_text(r->unit)},
        {"parent", value_text(r->parent)},
        {"listen", value_text(r->listen)},
        {"state", value_text(state_name[r->state])},
        {"site", value_text(site)},
        {"curve_key", value_text(part_hex(&a, r->curve_key, sizeof r->curve_key))},
        {"enrol_key", value_text(part_hex(&a, r->enrol_key, sizeof r->enrol_key))},
        {"enrol_expires_ms", value_integer((int64_t)r->enrol_expires_ms)},
        {"reads", value_text(r->reads)},
        {"joined_ms", value_integer((int64_t)r->joined_ms)},
    };
    e = put(s, &a, "tonle_node", node, sizeof node / sizeof node[0]);
    if (e == ERR_OK && r->site != 0) {
        const struct put_cell row[] = {
            {"site", value_text(site)},
            {"number", value_integer((int64_t)r->site)},
            {"node", value_text(r->name)},
            {"sign_key", value_text(part_hex(&a, r->sign_key, sizeof r->sign_key))},
        };
        e = put(s, &a, "tonle_site", row, sizeof row / sizeof row[0]);
    }
    arena_fini(&a);
    return e;
}

#define NODE_SQL                                                                                   \
    "SELECT n.name, n.unit, n.parent, n.listen, n.state, n.site, n.curve_key,"                     \
    " coalesce(s.sign_key, ''), n.enrol_key, n.enrol_expires_ms, n.reads, n.joined_ms"             \
    " FROM tonle_node n LEFT JOIN tonle_site s ON s.site = n.site"

static enum err node_key(struct store *s, const struct node_record *r, const char *what,
                         const char *text, uint8_t *out)
{
    _Static_assert(CURVE_KEY_BYTES == SIGN_PUBLIC_BYTES, "one length for all keys");
    if (part_unhex(text, out, CURVE_KEY_BYTES))
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
    if (!part_unhex(store_column_text(a, q, 5), site, sizeof site))
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

enum err store_charter_put(struct store *s, const struct charter_record *r)
{
    assert(s->in_write);
    enum err e = only_at_hub(s);
    if (e == ERR_OK)
        e = schema_load(s);
    if (e != ERR_OK)
        return e;
    /* Padded, so that the order of the text is the order of the versions. */
    char version[24];
    snprintf(version, sizeof version, "%010llu", (unsigned long long)r->version);
    const struct put_cell cell[] = {
        {"version", value_text(version)},
        {"schema_version", value_integer((int64_t)r->schema_version)},
        {"yaml", value_text(r->yaml)},
        {"compiled", value_text(r->compiled)},
        {"published_ms", value_integer((int64_t)r->published_ms)},
    };
    struct arena a = {0};
    e = put(s, &a, "tonle_charter", cell, sizeof cell / sizeof cell[0]);
    arena_fini(&a);
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
