/* The registry of nodes and the charter: replicated tables like any other, but written by the hub
 * alone. A row is written only where it differs and is noted in the capture log, so that it travels
 * with the next seal and an unchanged row makes no traffic. */
#include "node/capture/publish.h"

#include "node/capture/capture.h"
#include "node/capture/log.h"
#include "node/db/query.h"
#include "node/file/hex.h"
#include "node/journal/attest.h"
#include "node/record/table.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PUT_CELLS 12

struct put_cell { /* a column by name, because the published order is the schema's matter */
    const char *column;
    struct value value;
};

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

/* The site's number among the blocks of integer keys: the one it has, or one that nobody ever had.
 * -1: all are given. What the registry says and the plan does not know counts for nobody's. */
static enum err block_of(struct store *s, struct arena *a, const char *site, int64_t *block)
{
    struct block_plan plan = s->schema->plan;
    uint32_t n = 0, *given = NULL;
    size_t cap = 0;
    bool known = false;
    struct query q = DB_QUERY(s, "SELECT block, site = ?1 FROM main.tonle_site ORDER BY block",
                              value_text(site));
    while (query_next(&q)) {
        int64_t b = query_i64(&q, 0);
        if (query_i64(&q, 1)) {
            known = true;
            *block = b;
        }
        if (b < 0 || b >= plan.count || (n > 0 && given[n - 1] == b))
            continue;
        given = arena_grow(a, given, n, &cap, sizeof *given);
        given[n++] = (uint32_t)b;
    }
    enum err e = query_end(&q);
    if (e != ERR_OK || known)
        return e;
    uint32_t next = block_number(plan, given, n);
    *block = next < plan.count ? (int64_t)next : -1;
    return ERR_OK;
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
        {"state", value_text(node_state_name(r->state))},
        {"site", value_text(site)},
        {"curve_key", value_text(hex_text(&a, r->curve_key, sizeof r->curve_key))},
        {"enrol_key", value_text(hex_text(&a, r->enrol_key, sizeof r->enrol_key))},
        {"enrol_expires_ms", value_integer((int64_t)r->enrol_expires_ms)},
        {"reads", value_text(r->reads)},
        {"joined_ms", value_integer((int64_t)r->joined_ms)},
    };
    int64_t block = -1;
    e = put(s, &a, "tonle_node", node, sizeof node / sizeof node[0]);
    if (e == ERR_OK && r->site != 0)
        e = block_of(s, &a, site, &block);
    if (e == ERR_OK && r->site != 0) {
        const struct put_cell row[] = {
            {"site", value_text(site)},
            {"number", value_integer((int64_t)r->site)},
            {"node", value_text(r->name)},
            {"sign_key", value_text(hex_text(&a, r->sign_key, sizeof r->sign_key))},
            {"block", value_integer(block)},
        };
        e = put(s, &a, "tonle_site", row, sizeof row / sizeof row[0]);
    }
    arena_fini(&a);
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
        {"seq", value_u64(store_state_get(s)->seq + 1)}, /* number_charters says it exactly */
    };
    struct arena a = {0};
    e = put(s, &a, "tonle_charter", cell, sizeof cell / sizeof cell[0]);
    arena_fini(&a);
    return e;
}

/* ---- what the hub vouches for */

static enum err is_captured(struct store *s, bool *yes)
{
    struct capture *c;
    enum err e = capture_logs(s, &c);
    *yes = false;
    for (int i = 0; e == ERR_OK && !*yes && i < ATTEST_SUMS; i++) {
        const struct table_schema *t = schema_table(s, attest_table[i]);
        char sql[80];
        int64_t any = 0;
        snprintf(sql, sizeof sql, "SELECT EXISTS(SELECT 1 FROM main.tonle_log_%u)", t ? t->t : 0);
        if (t && c->has_log[t - s->schema->tables])
            e = db_number(s, sql, &any);
        *yes = any != 0;
    }
    return e;
}

static enum err put_attest(struct store *s, struct arena *a, const struct attest *at)
{
    const struct put_cell cell[] = {
        {"name", value_text(ATTEST_KEY)},
        {"number", value_integer((int64_t)at->number)},
        {attest_sum[0], value_text(hex_text(a, at->sum[0], HASH_BYTES))},
        {attest_sum[1], value_text(hex_text(a, at->sum[1], HASH_BYTES))},
        {attest_sum[2], value_text(hex_text(a, at->sum[2], HASH_BYTES))},
        {"signature", value_text(hex_text(a, at->signature, SIGNATURE_BYTES))},
    };
    _Static_assert(ATTEST_SUMS == 3, "a cell for each sum");
    return put(s, a, ATTEST_TABLE, cell, sizeof cell / sizeof cell[0]);
}

/* Which of the hub's changesets a charter comes with says whom it counts for (apply/ruling.h), and
 * is known by the seal alone: the log may be longer than one changeset. Whatever is not sealed yet
 * has the next number, until the seal that takes it. */
static enum err number_charters(struct store *s)
{
    const struct table_schema *t = schema_table(s, "tonle_charter");
    struct capture *c;
    char sql[160];
    enum err e = capture_logs(s, &c);
    if (e != ERR_OK || !t || !c->has_log[t - s->schema->tables])
        return e;
    snprintf(sql, sizeof sql,
             "UPDATE main.tonle_charter SET seq = ?1 WHERE version IN"
             " (SELECT k_version FROM main.tonle_log_%u)",
             t->t);
    return DB_RUN(s, sql, value_u64(store_state_get(s)->seq + 1));
}

enum err store_registry_attest(struct store *s, const uint8_t secret[SIGN_SECRET_BYTES])
{
    assert(s->in_write);
    bool captured;
    enum err e = is_captured(s, &captured);
    if (e == ERR_OK && captured)
        e = number_charters(s);
    if (e != ERR_OK || !captured)
        return e;
    struct arena a = {0};
    struct attest at;
    e = attest_read(s, &a, &at);
    e = e == ERR_NOT_FOUND ? ERR_OK : e;
    at.number++;
    for (int i = 0; e == ERR_OK && i < ATTEST_SUMS; i++)
        e = attest_sum_here(s, &a, attest_table[i], at.sum[i]);
    if (e == ERR_OK) {
        attest_sign(&at, store_identity_get(s)->federation, secret);
        e = put_attest(s, &a, &at);
    }
    arena_fini(&a);
    return e;
}
