/* verify: the digests of all tables, compared with the parent's when both clocks are equal (DESIGN
 * 8). It tells which tables differ; scan.c finds the rows. */
#include "node/core/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define VERIFY_MS 10000u /* how long it waits for equal clocks */
#define ANSWER_MS 5000u  /* then a request is repeated */

struct open_verify {
    uint64_t request_id;
    uint64_t id; /* of the message that is awaited */
    uint64_t again_ms, give_up_ms;
};

void verify_fini(struct node *n)
{
    mem_free(n->verify);
    n->verify = NULL;
}

static void ask_digest(struct node *n, struct open_verify *v)
{
    struct message m = {.type = MESSAGE_DIGEST_REQUEST};
    m.u.digest_request.request = v->id = node_random(n);
    v->again_ms = n->mono_ms + ANSWER_MS;
    node_send(n, &n->parent->route, &m);
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
    n->verify->give_up_ms = n->mono_ms + VERIFY_MS;
    ask_digest(n, n->verify);
}

static const struct table_digest *digest_of(const struct table_digest *d, uint32_t n,
                                            const char *table)
{
    static const struct table_digest none;
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(d[i].table, table) == 0)
            return &d[i];
    }
    return &none;
}

static bool add_table(json_t *list, const char *name, const struct table_digest *here,
                      const struct table_digest *there)
{
    bool equal = here->table && there->table && here->rows == there->rows &&
                 memcmp(here->digest, there->digest, HASH_BYTES) == 0;
    json_array_append_new(
        list,
        json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "table", name, "equal", equal, "rows",
                  (json_int_t)here->rows, "parent_rows", (json_int_t)there->rows, "held",
                  (json_int_t)here->held, "parent_held", (json_int_t)there->held, "conflicts",
                  (json_int_t)here->conflicts, "parent_conflicts", (json_int_t)there->conflicts));
    return equal;
}

static enum err reply_verify(struct node *n, const struct digest_reply *r, bool clock_equal)
{
    struct table_digest *d;
    uint32_t count;
    enum err e = store_digest(n->store, &n->arena, &d, &count);
    if (e != ERR_OK)
        return e;
    bool equal = true;
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++)
        equal = add_table(list, d[i].table, &d[i], digest_of(r->tables, r->n_tables, d[i].table)) &&
                equal;
    for (uint32_t i = 0; i < r->n_tables; i++) {
        const struct table_digest *here = digest_of(d, count, r->tables[i].table);
        if (!here->table)
            equal = add_table(list, r->tables[i].table, here, &r->tables[i]) && equal;
    }
    json_t *o = json_pack("{s:b, s:b, s:b, s:o}", "ok", 1, "equal", equal, "clock_equal",
                          clock_equal, "tables", list);
    char *text = json_dumps(o, JSON_COMPACT);
    request_reply(n, n->verify->request_id, text);
    free(text);
    json_decref(o);
    verify_fini(n);
    return ERR_OK;
}

void verify_reply(struct node *n, const struct digest_reply *r)
{
    struct open_verify *v = n->verify;
    if (!v || r->request != v->id)
        return;
    enum err begun = store_begin_read(n->store), e = begun;
    bool same = e == ERR_OK && scan_at_our_clock(n, &r->clock);
    v->again_ms = n->mono_ms + node_jitter(n, 200);
    if (e == ERR_OK && (same || n->mono_ms >= v->give_up_ms))
        e = reply_verify(n, r, same);
    scan_end_read(n, begun);
    if (e != ERR_OK)
        node_check(n, e, "the tables cannot be read");
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
