/* verify: the digests of all tables, compared with the parent's (DESIGN 8), table by table and
 * slice by slice (load/digest.c). It tells which tables differ; scan.c finds the rows.
 *
 * One request is under way. The parent's answer says how far its slice goes; ours of the same range
 * says something only when both were read at one clock, otherwise the slice is asked for again.
 * Where more stands here than one read may take, the slice is asked for again up to there.
 *
 * A table is equal when the sums of its slices are. Slices of different clocks are compared each at
 * its own, so that writes in between do not matter, but for a birth that is held at one side alone:
 * it counts in another slice there (load/digest.c), and may change between the two. So a table that
 * differs although the clock has moved since its first slice is begun again, a few times. */
#include "node/core/internal.h"

#include "node/load/load.h"
#include "node/schema/schema.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define VERIFY_MS 10000u /* how long it waits for equal clocks, each slice */
#define ANSWER_MS 5000u  /* then a request is repeated */
#define MAX_TRIES 3u     /* of a table, and of the whole when the charter changes */

struct open_verify {
    uint64_t request_id;
    uint64_t id; /* of the message that is awaited; 0: none */
    uint64_t again_ms, give_up_ms;
    struct arena arena; /* tables */
    const char **table;
    size_t n_tables, at;
    uint64_t charter_version;    /* whose tables they are */
    unsigned begun, begun_table; /* how often */
    json_t *tables;              /* what is answered */
    bool equal;
    /* the table in hand */
    struct table_digest here, there;
    bool is_here, is_there;
    struct clock first; /* of its first slice */
    bool moved;         /* the clock, since then */
    struct digest_position after, upto;
    struct buf after_key, upto_key;
};

void verify_fini(struct node *n)
{
    struct open_verify *v = n->verify;
    n->verify = NULL;
    if (!v)
        return;
    json_decref(v->tables);
    clock_fini(&v->first);
    buf_fini(&v->after_key);
    buf_fini(&v->upto_key);
    arena_fini(&v->arena);
    mem_free(v);
}

static bool has_parent(struct node *n, uint64_t id)
{
    if (!n->parent)
        request_error(n, id, "the hub has no parent to compare with", "run it at an office below");
    else if (!peer_open(n->parent))
        request_error(n, id, "the line to the parent is down",
                      "try again when tonle status shows it connected");
    else
        return true;
    return false;
}

static void ask_digest(struct node *n, struct open_verify *v)
{
    struct message m = {.type = MESSAGE_DIGEST_REQUEST};
    v->again_ms = n->mono_ms + ANSWER_MS;
    m.u.digest_request = (struct digest_request){.request = node_random(n),
                                                 .table = v->table[v->at],
                                                 .max_rows = LIMIT_DIGEST_ROWS,
                                                 .after = v->after,
                                                 .upto = v->upto};
    if (store_digest_leave(n->store, &n->arena, &m.u.digest_request) != ERR_OK)
        return; /* again then */
    v->id = m.u.digest_request.request;
    node_send(n, &n->parent->route, &m);
}

static void set_position(struct digest_position *p, struct buf *key,
                         const struct digest_position *to)
{
    buf_reset(key);
    buf_put(key, to->key.p, to->key.len);
    *p = (struct digest_position){to->part, {key->data, key->len}};
}

/* The next slice: from `after` on, as far as the parent goes. */
static void ask_slice(struct node *n, struct open_verify *v, const struct digest_position *after)
{
    set_position(&v->after, &v->after_key, after);
    v->upto = (struct digest_position){.part = DIGEST_AT_END};
    v->give_up_ms = n->mono_ms + VERIFY_MS;
    ask_digest(n, v);
}

static void begin_table(struct node *n, struct open_verify *v)
{
    v->here = v->there = (struct table_digest){0};
    v->is_here = v->is_there = v->moved = false;
    clock_reset(&v->first);
    v->begun_table++;
    ask_slice(n, v, &(struct digest_position){.part = DIGEST_AT_ROWS});
}

/* Of the charter that is in force here now. */
static enum err begin_tables(struct node *n, struct open_verify *v)
{
    enum err e = schema_load(n->store);
    if (e != ERR_OK)
        return e;
    arena_reset(&v->arena);
    v->n_tables = n->store->schema->n_tables;
    v->table = arena_alloc(&v->arena, v->n_tables * sizeof *v->table);
    for (size_t i = 0; i < v->n_tables; i++)
        v->table[i] = arena_strdup(&v->arena, n->store->schema->tables[i].name);
    v->charter_version = n->charter_version;
    json_array_clear(v->tables);
    v->equal = true;
    v->at = 0;
    v->begun++;
    begin_table(n, v);
    return ERR_OK;
}

void verify_start(struct node *n, uint64_t request_id)
{
    if (!has_parent(n, request_id))
        return;
    if (n->verify) {
        request_error(n, request_id, "a comparison is running already", "try again in a moment");
        return;
    }
    n->verify = mem_alloc(sizeof *n->verify);
    n->verify->request_id = request_id;
    n->verify->tables = json_array();
    enum err begun = store_begin_read(n->store), e = begun;
    if (e == ERR_OK)
        e = begin_tables(n, n->verify);
    scan_end_read(n, begun);
    if (e == ERR_OK)
        return;
    request_error(n, request_id, store_message(n->store), "try again in a moment");
    verify_fini(n);
}

static void verify_answer(struct node *n, struct open_verify *v, bool clock_equal)
{
    json_t *o = json_pack("{s:b, s:b, s:b, s:O}", "ok", 1, "equal", v->equal && clock_equal,
                          "clock_equal", clock_equal, "tables", v->tables);
    char *text = json_dumps(o, JSON_COMPACT);
    request_reply(n, v->request_id, text);
    free(text);
    json_decref(o);
    verify_fini(n);
}

static bool table_equal(const struct open_verify *v)
{
    return v->is_here && v->is_there && v->here.rows == v->there.rows &&
           memcmp(v->here.digest, v->there.digest, HASH_BYTES) == 0;
}

static void add_table(struct open_verify *v)
{
    bool equal = table_equal(v);
    const struct table_digest *here = &v->here, *there = &v->there;
    v->equal = v->equal && equal;
    json_array_append_new(
        v->tables, json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "table", v->table[v->at],
                             "equal", equal, "rows", (json_int_t)here->rows, "parent_rows",
                             (json_int_t)there->rows, "held", (json_int_t)here->held, "parent_held",
                             (json_int_t)there->held, "conflicts", (json_int_t)here->conflicts,
                             "parent_conflicts", (json_int_t)there->conflicts));
}

static enum err end_table(struct node *n, struct open_verify *v)
{
    if (table_equal(v) || !v->moved || v->begun_table >= MAX_TRIES) {
        if (v->is_here || v->is_there)
            add_table(v);
        v->begun_table = 0;
        v->at++;
    }
    if (v->at < v->n_tables) {
        begin_table(n, v);
        return ERR_OK;
    }
    if (v->charter_version != n->charter_version && v->begun < MAX_TRIES)
        return begin_tables(n, v);
    verify_answer(n, v, v->charter_version == n->charter_version);
    return ERR_OK;
}

static bool same_position(const struct digest_position *a, const struct digest_position *b)
{
    return a->part == b->part && a->key.len == b->key.len &&
           (a->key.len == 0 || memcmp(a->key.p, b->key.p, a->key.len) == 0);
}

/* Both were read at our clock. */
static enum err take_slice(struct node *n, struct open_verify *v, const struct digest_reply *there)
{
    const struct clock *clock = &store_state_get(n->store)->clock;
    struct digest_reply here;
    struct digest_request r = {.table = v->table[v->at],
                               .max_rows = LIMIT_DIGEST_ROWS,
                               .after = v->after,
                               .upto = there->last,
                               .leave = there->leave,
                               .n_leave = there->n_leave};
    if (same_position(&v->after, &there->last))
        return ERR_MALFORMED;
    enum err e = store_digest_slice(n->store, &n->arena, &r, &here);
    if (e != ERR_OK)
        return e;
    if (!same_position(&here.last, &there->last)) {
        set_position(&v->upto, &v->upto_key, &here.last);
        ask_digest(n, v);
        return ERR_OK;
    }
    if (v->first.n == 0)
        clock_copy(&v->first, clock);
    v->moved = v->moved || clock_compare(&v->first, clock) != CLOCK_EQUAL;
    v->is_here = here.exists;
    v->is_there = there->exists;
    digest_sum(&v->here, &here.sum);
    digest_sum(&v->there, &there->sum);
    if (there->last.part == DIGEST_AT_END)
        return end_table(n, v);
    ask_slice(n, v, &there->last);
    return ERR_OK;
}

static void take_reply(struct node *n, struct open_verify *v, const struct digest_reply *r)
{
    enum err begun = store_begin_read(n->store), e = begun;
    bool same = e == ERR_OK && scan_at_our_clock(n, &r->clock);
    v->again_ms = n->mono_ms + node_jitter(n, 200);
    if (same)
        e = take_slice(n, v, r);
    else if (e == ERR_OK && n->mono_ms >= v->give_up_ms)
        verify_answer(n, v, false);
    scan_end_read(n, begun);
    if (e == ERR_OK || e == ERR_BUSY || node_check(n, e, "the tables cannot be read"))
        return;
    request_error(n, v->request_id,
                  e == ERR_MALFORMED ? "the parent's answer cannot be read"
                                     : store_message(n->store),
                  "tonle verify --local compares row by row");
    verify_fini(n);
}

void verify_reply(struct node *n, const struct digest_reply *r)
{
    struct open_verify *v = n->verify;
    if (!v || v->id == 0 || r->request != v->id || strcmp(r->sum.table, v->table[v->at]) != 0)
        return;
    v->id = 0;
    take_reply(n, v, r);
}

void verify_timers(struct node *n)
{
    struct open_verify *v = n->verify;
    if (!v)
        return;
    if (!peer_open(n->parent) || n->mono_ms >= v->give_up_ms + ANSWER_MS) {
        request_error(n, v->request_id, "the parent did not answer",
                      "try again when tonle status shows it connected");
        verify_fini(n);
    } else if (n->mono_ms >= v->again_ms) {
        ask_digest(n, v);
    }
    if (n->verify)
        node_want(n, n->verify->again_ms);
}
