/* Fetching: one request at a time, under its number. It is asked again on every new connection, and
 * when nothing came for a while; a chunk with an older number is only a sign of life. Each chunk is
 * kept as it came, with the clock it was read at, before the next is asked for. */
#include "node/core/joining.h"

#include "node/charter/charter.h"
#include "node/record/record.h"
#include "node/schema/schema.h"

#include <string.h>

/* A chunk may be 24 MB on a slow line: asked again too early, it comes twice. */
#define JOIN_AGAIN_MS 15000u

/* The first chunks of every load are the tables of our own. */
void join_fetch_begin(struct joining *j)
{
    j->fetch.table = arena_copy(&j->arena, schema_internal, sizeof schema_internal);
    j->fetch.n_tables = INTERNAL_TABLES;
    j->fetch.internal = true;
    j->fetch.at = 0;
    j->fetch.n_kept = 0;
    j->report.table = schema_internal[0];
    join_registry_begin(j);
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

/* ---- chunks */

static void begin_table(struct node *n)
{
    struct joining *j = n->join;
    j->report.table = j->fetch.table[j->fetch.at];
    j->report.table_rows = 0;
    ask_next(n);
}

void join_fetch_again(struct node *n)
{
    join_fetch_begin(n->join);
    begin_table(n);
}

static void tables_end(struct node *n)
{
    if (n->join->fetch.internal)
        join_registry_check(n);
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
    if (j->fetch.internal && !join_registry_read(j, c)) {
        join_fetch_failed(n, ERR_LIMIT);
        return;
    }
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
