/* Fetching: one request at a time, under its number. It is asked again on every new connection, and
 * when nothing came for a while; a chunk with an older number is only a sign of life. Each chunk is
 * kept as it came, with the clock it was read at, before the next is asked for. */
#include "node/core/joining.h"

#include "node/charter/charter.h"
#include "node/file/hex.h"
#include "node/record/record.h"
#include "node/schema/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A chunk may be 24 MB on a slow line: asked again too early, it comes twice. */
#define JOIN_AGAIN_MS 15000u

/* The first chunks of every load are the tables of our own. */
void join_fetch_begin(struct joining *j)
{
    j->fetch.table = arena_copy(&j->arena, schema_internal, sizeof schema_internal);
    j->fetch.n_tables = INTERNAL_TABLES;
    j->fetch.internal = true;
    j->report.table = schema_internal[0];
    j->registry.site_text = "";
}

void join_fetch_failed(struct node *n, enum err e)
{
    join_end(n, JOIN_FETCH_FAILED, e, NULL);
}

void join_fetch_nonsense(struct node *n, enum err e)
{
    if (n->join->state == JOIN_FETCH)
        join_fetch_failed(n, e);
}

void join_fetch_ask(struct node *n)
{
    struct joining *j = n->join;
    struct message m = {.type = MESSAGE_LOAD_REQUEST};
    m.u.load_request =
        (struct load_request){.request = j->fetch.request,
                              .table = j->report.table,
                              .after = {j->fetch.after.data, j->fetch.after.len},
                              .max_rows = j->o.chunk_rows ? j->o.chunk_rows : LIMIT_CHUNK_ROWS};
    node_send(n, &(struct route){0}, &m);
    j->fetch.again_ms = n->mono_ms + (j->o.again_ms ? j->o.again_ms : JOIN_AGAIN_MS);
}

static void ask_next(struct node *n)
{
    struct joining *j = n->join;
    j->fetch.request++;
    j->until_ms = n->mono_ms + JOIN_REACH_MS;
    if (j->connected)
        join_fetch_ask(n);
}

/* ---- the registry, as it comes */

static const struct value *chunk_value(const struct load_chunk *chunk, const struct row_state *row,
                                       const char *column)
{
    static const struct value null = {0};
    for (uint32_t i = 0; i < chunk->n_columns && i < row->n_values; i++)
        if (strcmp(chunk->columns[i], column) == 0)
            return &row->values[i];
    return &null;
}

static const char *chunk_text(struct joining *j, const struct load_chunk *chunk,
                              const struct row_state *row, const char *column)
{
    const struct value *v = chunk_value(chunk, row, column);
    char number[24];
    if (v->type == VALUE_INTEGER) {
        snprintf(number, sizeof number, "%lld", (long long)v->u.i);
        return arena_strdup(&j->arena, number);
    }
    if (v->type != VALUE_TEXT)
        return "";
    char *text = arena_alloc(&j->arena, v->len + 1);
    if (v->len > 0)
        memcpy(text, v->u.p, v->len);
    return text;
}

static bool is_hex_of(const char *hex, const uint8_t *p, size_t n)
{
    uint8_t bytes[SIGN_PUBLIC_BYTES];
    return n <= sizeof bytes && hex_bytes(hex, bytes, n) && memcmp(bytes, p, n) == 0;
}

static void read_node(struct joining *j, const struct load_chunk *chunk,
                      const struct row_state *row)
{
    if (strcmp(chunk_text(j, chunk, row, "name"), j->o.invitation->node) != 0)
        return;
    j->registry.site_text = chunk_text(j, chunk, row, "site");
    j->registry.site = strtoull(j->registry.site_text, NULL, 16);
    j->report.listen = chunk_text(j, chunk, row, "listen");
}

static void read_site(struct joining *j, const struct load_chunk *chunk,
                      const struct row_state *row)
{
    const char *site = chunk_text(j, chunk, row, "site"),
               *key = chunk_text(j, chunk, row, "sign_key");
    const struct invitation *inv = j->o.invitation;
    if (strcmp(site, j->registry.site_text) == 0)
        j->registry.own_key = is_hex_of(key, j->o.keys->sign_key, SIGN_PUBLIC_BYTES);
    if (strtoull(site, NULL, 16) == inv->hub_site)
        j->registry.hub_key = is_hex_of(key, inv->hub_sign_key, SIGN_PUBLIC_BYTES);
}

static void read_charter(struct joining *j, const struct load_chunk *chunk,
                         const struct row_state *row)
{
    uint64_t version = strtoull(chunk_text(j, chunk, row, "version"), NULL, 10);
    if (version < j->registry.version)
        return;
    j->registry.version = version;
    j->registry.compiled = chunk_text(j, chunk, row, "compiled");
}

static void read_registry(struct joining *j, const struct load_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->n_states; i++) {
        if (strcmp(chunk->table, "tonle_node") == 0)
            read_node(j, chunk, &chunk->states[i]);
        else if (strcmp(chunk->table, "tonle_site") == 0)
            read_site(j, chunk, &chunk->states[i]);
        else if (strcmp(chunk->table, "tonle_charter") == 0)
            read_charter(j, chunk, &chunk->states[i]);
    }
}

static void check_registry(struct node *n)
{
    struct joining *j = n->join;
    j->fetch.n_internal = j->fetch.n_kept;
    if (!j->registry.hub_key)
        join_end(n, JOIN_OTHER_REGISTRY, ERR_REFUSED, NULL);
    else if (!j->registry.own_key)
        join_end(n, JOIN_OTHER_KEYS, ERR_REFUSED, NULL);
    else if (!j->registry.compiled)
        join_end(n, JOIN_NO_CHARTER, ERR_BUSY, NULL);
    else
        join_load_look(n);
}

/* ---- chunks */

static void begin_table(struct node *n)
{
    struct joining *j = n->join;
    j->report.table = j->fetch.table[j->fetch.at];
    j->report.table_rows = 0;
    ask_next(n);
}

static void tables_end(struct node *n)
{
    if (n->join->fetch.internal)
        check_registry(n);
    else
        join_load_begin(n);
}

void join_fetch_published(struct node *n)
{
    struct joining *j = n->join;
    const char *published = j->registry.compiled;
    struct charter charter;
    char msg[CHARTER_MSG_BYTES];
    enum err e = charter_read(&j->arena, published, strlen(published), &charter, msg);
    if (e != ERR_OK) {
        join_end(n, JOIN_BAD_CHARTER, e, msg);
        return;
    }
    j->fetch.table = arena_alloc(&j->arena, (charter.n_tables + 1) * sizeof *j->fetch.table);
    j->fetch.n_tables = charter.n_tables;
    j->fetch.at = 0;
    j->fetch.internal = false;
    j->report.rows = 0;
    for (unsigned i = 0; i < charter.n_tables; i++)
        j->fetch.table[i] = charter.tables[i].name;
    if (j->fetch.n_tables > 0)
        begin_table(n);
    else
        tables_end(n);
}

/* Whether the parent is further in the table than it was asked behind, or it would be fetched for
 * ever. Its rows come in the database's own order of keys, which is not that of their bytes; behind
 * them all come the records, in that of their bytes. */
static bool is_further(struct bytes last, const struct buf *after)
{
    size_t common = last.len < after->len ? last.len : after->len;
    int order = common > 0 ? memcmp(last.p, after->data, common) : 0;
    if (order == 0)
        order = (last.len > after->len) - (last.len < after->len);
    bool among_records = after->len > 0 && after->data[0] == PART_RECORDS;
    return among_records ? order > 0 : order != 0; /* PART_RECORDS is the greatest first byte */
}

/* What makes no sense as the answer to the last request. */
static bool is_nonsense(const struct joining *j, const struct load_chunk *c)
{
    return strcmp(c->table, j->report.table) != 0 ||
           (!c->end && (c->last_key.len == 0 || !is_further(c->last_key, &j->fetch.after)));
}

void join_fetch_chunk(struct node *n, const struct message *m, struct bytes raw)
{
    struct joining *j = n->join;
    const struct load_chunk *c = &m->u.load_chunk;
    if (m->type == MESSAGE_REFUSAL && j->state == JOIN_FETCH)
        join_fetch_failed(n, ERR_BUSY);
    if (m->type != MESSAGE_LOAD_CHUNK)
        return;
    if (j->waits || c->request != j->fetch.request) { /* it comes twice, from a request repeated */
        if (j->state == JOIN_FETCH)
            j->until_ms = n->mono_ms + JOIN_REACH_MS;
        return;
    }
    if (is_nonsense(j, c)) {
        join_fetch_nonsense(n, ERR_MALFORMED);
        return;
    }
    if (j->state != JOIN_FETCH)
        join_move(j, JOIN_FETCH);
    if (j->fetch.n_kept == 0)
        j->fetch.pos = c->pos;
    if (j->fetch.internal)
        read_registry(j, c);
    j->fetch.end = c->end;
    j->fetch.rows = c->rows;
    buf_reset(&j->fetch.after);
    if (!c->end)
        buf_put(&j->fetch.after, c->last_key.p, c->last_key.len);
    join_ask_driver(n, ACTION_KEEP)->bytes =
        (struct bytes){arena_copy(&n->arena, raw.p, raw.len), raw.len};
    j->fetch.kept =
        mem_grow(j->fetch.kept, j->fetch.n_kept, &j->fetch.cap_kept, sizeof *j->fetch.kept);
    j->fetch.kept[j->fetch.n_kept++] = (struct kept_chunk){j->fetch.kept_bytes, raw.len};
    j->fetch.kept_bytes += raw.len;
}

void join_fetch_kept(struct node *n, enum err error)
{
    struct joining *j = n->join;
    if (error != ERR_OK) {
        join_fetch_failed(n, error == ERR_FULL ? ERR_FULL : ERR_IO);
        return;
    }
    j->report.table_rows += j->fetch.rows;
    j->report.rows += j->fetch.rows;
    node_action(n, ACTION_PROGRESS);
    if (!j->fetch.end)
        ask_next(n);
    else if (++j->fetch.at < j->fetch.n_tables)
        begin_table(n);
    else
        tables_end(n);
}
