/* Comparing with the parent (DESIGN 8).
 *
 * verify: the digests of all tables, compared when both clocks are equal.
 * reconcile scan: what escaped capture (triggers off, a restored table). Table by table, chunk by
 * chunk of the parent's rows: first the digest of the chunk, then, where it differs, its rows. Only
 * a chunk that was read at our own clock, with nothing captured here, says anything: otherwise it
 * is asked for again. Two passes: the first counts, and the count decides what the second may
 * settle:
 *
 *   take_parent, or accept    everything
 *   seal                      what changed or is new, if that is at most 100 rows; deletions wait
 *   none                      nothing */
#include "node/core/internal.h"

#include "node/charter/charter.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ROWS 1000u
#define SETTLE_ROWS 100u
#define VERIFY_MS 10000u /* how long verify waits for equal clocks */
#define STALL_MS 30000u  /* a scan without progress for so long gives up */
#define ANSWER_MS 5000u  /* then a request is repeated */

struct open_scan {
    uint64_t request_id;
    bool by_itself; /* after an unclean stop: nobody waits for a reply */
    enum scan_settle settle;
    bool accept;
    uint64_t id; /* of the message that is awaited */
    uint64_t again_ms, give_up_ms;
    struct arena arena; /* tables */
    const char **table;
    size_t n_tables, at;
    struct buf after, upto;
    bool detail, bounded; /* the rows of the chunk after..upto, and no longer its digest */
    int pass;
    uint64_t changed, born, deleted, settled;
    /* within one step: what the transaction is to settle */
    const struct load_chunk *chunk;
    struct escape *escape;
    size_t n_escapes, n_done;
};

static void scan_free(struct open_scan **at)
{
    struct open_scan *sc = *at;
    *at = NULL;
    if (!sc)
        return;
    buf_fini(&sc->after);
    buf_fini(&sc->upto);
    arena_fini(&sc->arena);
    mem_free(sc);
}

void scan_fini(struct node *n)
{
    scan_free(&n->scan);
    scan_free(&n->verify);
}

static void end_read(struct node *n, enum err begun)
{
    if (begun != ERR_OK || store_commit(n->store) != ERR_OK)
        store_rollback(n->store);
}

/* ---- verify */

static void ask_digest(struct node *n, struct open_scan *v)
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

void scan_verify(struct node *n, uint64_t request_id)
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
    scan_free(&n->verify);
    return ERR_OK;
}

/* True when nothing is captured here and `theirs` is our clock; call inside a read. */
static bool at_our_clock(struct node *n, const struct clock *theirs)
{
    if (store_capture_pending(n->store)) {
        n->seal_now = true;
        return false;
    }
    return clock_compare(theirs, &store_state_get(n->store)->clock) == CLOCK_EQUAL;
}

void scan_digest(struct node *n, const struct digest_reply *r)
{
    struct open_scan *v = n->verify;
    if (!v || r->request != v->id)
        return;
    enum err begun = store_begin_read(n->store), e = begun;
    bool same = e == ERR_OK && at_our_clock(n, &r->clock);
    v->again_ms = n->mono_ms + node_jitter(n, 200);
    if (e == ERR_OK && (same || n->mono_ms >= v->give_up_ms))
        e = reply_verify(n, r, same);
    end_read(n, begun);
    if (e != ERR_OK)
        node_check(n, e, "the tables cannot be read");
}

/* ---- the reconcile scan */

static enum err read_tables(struct node *n, struct open_scan *sc)
{
    struct charter_record c;
    enum err e = store_charter_get(n->store, &n->arena, &c);
    if (e != ERR_OK)
        return e;
    struct charter charter;
    char msg[CHARTER_MSG_BYTES];
    e = charter_read(&n->arena, c.compiled, strlen(c.compiled), &charter, msg);
    if (e != ERR_OK)
        return e;
    sc->table = arena_alloc(&sc->arena, charter.n_tables * sizeof *sc->table);
    for (unsigned i = 0; i < charter.n_tables; i++)
        sc->table[sc->n_tables++] = arena_strdup(&sc->arena, charter.tables[i].name);
    return ERR_OK;
}

static void finish(struct node *n, bool complete)
{
    struct open_scan *sc = n->scan;
    uint64_t found = sc->changed + sc->born + sc->deleted;
    json_t *o = json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I}", "ok", 1, "complete", complete,
                          "changed", (json_int_t)sc->changed, "new", (json_int_t)sc->born,
                          "deleted", (json_int_t)sc->deleted, "settled", (json_int_t)sc->settled,
                          "waiting", (json_int_t)(found > sc->settled ? found - sc->settled : 0));
    char *text = json_dumps(o, JSON_COMPACT);
    if (!sc->by_itself)
        request_reply(n, sc->request_id, text);
    else if (!complete)
        n->reconcile_due = true;
    node_log(n, found ? 1 : 2, "event=reconcile result=%s", text);
    mem_free(n->reconcile);
    n->reconcile = mem_strdup(text);
    free(text);
    json_decref(o);
    scan_free(&n->scan);
}

static void ask_chunk(struct node *n, struct open_scan *sc)
{
    struct message m = {.type = MESSAGE_LOAD_REQUEST};
    m.u.load_request = (struct load_request){.request = node_random(n),
                                             .table = sc->table[sc->at],
                                             .after = {sc->after.data, sc->after.len},
                                             .max_rows = sc->detail ? LIMIT_CHUNK_ROWS : CHUNK_ROWS,
                                             .digest_only = !sc->detail};
    if (sc->detail && sc->bounded)
        m.u.load_request.upto = (struct bytes){sc->upto.data, sc->upto.len};
    sc->id = m.u.load_request.request;
    sc->again_ms = n->mono_ms + ANSWER_MS;
    node_send(n, &n->parent->route, &m);
}

static bool may_settle(const struct open_scan *sc, enum escape_kind kind)
{
    if (sc->settle == SETTLE_NONE)
        return false;
    if (sc->accept || sc->settle == SETTLE_TAKE_PARENT)
        return true;
    return kind != ESCAPE_DELETED && sc->changed + sc->born <= SETTLE_ROWS;
}

static bool second_pass(const struct open_scan *sc)
{
    if (sc->pass != 1)
        return false;
    return (sc->changed + sc->born > 0 && may_settle(sc, ESCAPE_CHANGED)) ||
           (sc->deleted > 0 && may_settle(sc, ESCAPE_DELETED));
}

static void next_table(struct node *n, struct open_scan *sc)
{
    buf_reset(&sc->after);
    sc->at++;
    if (sc->at == sc->n_tables && second_pass(sc)) {
        sc->pass = 2;
        sc->at = 0;
    }
    if (sc->at == sc->n_tables)
        finish(n, true);
    else
        ask_chunk(n, sc);
}

/* The chunk in hand is dealt with. */
static void advance(struct node *n, struct open_scan *sc, const struct load_chunk *c)
{
    sc->detail = false;
    sc->give_up_ms = n->mono_ms + STALL_MS;
    if (c->end) {
        next_table(n, sc);
        return;
    }
    buf_reset(&sc->after);
    buf_put(&sc->after, c->last_key.p, c->last_key.len);
    ask_chunk(n, sc);
}

void scan_local(struct node *n, uint64_t request_id, enum scan_settle settle, bool accept)
{
    if (!has_parent(n, request_id))
        return;
    if (n->scan) {
        request_error(n, request_id, "a reconcile scan is running already",
                      "try again in a moment");
        return;
    }
    struct open_scan *sc = n->scan = mem_alloc(sizeof *sc);
    *sc =
        (struct open_scan){.request_id = request_id, .settle = settle, .accept = accept, .pass = 1};
    sc->give_up_ms = n->mono_ms + STALL_MS;
    if (read_tables(n, sc) != ERR_OK || sc->n_tables == 0) {
        request_error(n, request_id, "no charter is published here",
                      "tonle charter show tells what is in force here");
        scan_free(&n->scan);
        return;
    }
    ask_chunk(n, sc);
}

static bool same_digest(struct node *n, const struct open_scan *sc, const struct load_chunk *c,
                        enum err *e)
{
    struct load_request r = {.table = sc->table[sc->at],
                             .after = {sc->after.data, sc->after.len},
                             .max_rows = LIMIT_CHUNK_ROWS,
                             .digest_only = true};
    struct load_chunk here;
    if (!c->end)
        r.upto = c->last_key;
    *e = store_chunk_read(n->store, &n->arena, &r, n->parent->name, &here);
    return *e == ERR_OK && here.rows == c->rows &&
           memcmp(here.digest, c->digest, HASH_BYTES) == 0 && (here.end || !c->end);
}

static void count(struct open_scan *sc, enum escape_kind kind)
{
    if (kind == ESCAPE_CHANGED)
        sc->changed++;
    else if (kind == ESCAPE_NEW)
        sc->born++;
    else
        sc->deleted++;
}

/* The rows of a chunk that differs: counted, or left for this step's transaction to settle. */
static enum err compare(struct node *n, struct open_scan *sc, const struct load_chunk *c)
{
    struct escape *esc;
    size_t found, kept = 0;
    struct bytes after = {sc->after.data, sc->after.len};
    enum err e = store_chunk_compare(n->store, &n->arena, c, after, &esc, &found);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; i < found; i++) {
        if (sc->pass == 1)
            count(sc, esc[i].kind);
        else if (may_settle(sc, esc[i].kind))
            esc[kept++] = esc[i];
    }
    if (kept > 0) {
        sc->chunk = arena_copy(&n->arena, c, sizeof *c);
        sc->escape = esc;
        sc->n_escapes = kept;
    } else {
        advance(n, sc, c);
    }
    return ERR_OK;
}

static enum err take_chunk(struct node *n, struct open_scan *sc, const struct load_chunk *c)
{
    enum err e;
    if (sc->detail)
        return compare(n, sc, c);
    if (same_digest(n, sc, c, &e)) {
        advance(n, sc, c);
    } else if (e == ERR_OK) {
        sc->detail = true;
        sc->bounded = !c->end;
        buf_reset(&sc->upto);
        buf_put(&sc->upto, c->last_key.p, c->last_key.len);
        ask_chunk(n, sc);
    }
    return e;
}

void scan_chunk(struct node *n, const struct load_chunk *c)
{
    struct open_scan *sc = n->scan;
    if (!sc || c->request != sc->id || strcmp(c->table, sc->table[sc->at]) != 0)
        return;
    sc->id = 0;
    enum err begun = store_begin_read(n->store), e = begun;
    sc->again_ms = n->mono_ms + node_jitter(n, 100);
    if (e == ERR_OK && at_our_clock(n, &c->clock))
        e = take_chunk(n, sc, c);
    else
        sc->detail = false; /* its bounds may be other ones by now */
    end_read(n, begun);
    if (e != ERR_OK && e != ERR_BUSY && !node_check(n, e, "the tables cannot be read")) {
        node_log(n, 1, "event=reconcile-failed table=%s error=%s text=\"%s\"", c->table,
                 err_name(e), store_message(n->store));
        finish(n, false);
    }
}

bool scan_wants(const struct node *n)
{
    return n->scan && n->scan->chunk;
}

enum err scan_work(struct node *n)
{
    struct open_scan *sc = n->scan;
    if (!scan_wants(n))
        return ERR_OK;
    sc->n_done = 0;
    if (clock_compare(&sc->chunk->clock, &store_state_get(n->store)->clock) != CLOCK_EQUAL)
        return ERR_OK;
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < sc->n_escapes; i++)
        e = store_escape_settle(n->store, &n->arena, sc->chunk, &sc->escape[i],
                                sc->settle == SETTLE_TAKE_PARENT);
    if (e == ERR_OK)
        sc->n_done = sc->n_escapes;
    return e;
}

void scan_committed(struct node *n)
{
    struct open_scan *sc = n->scan;
    if (!scan_wants(n) || sc->n_done == 0)
        return;
    const struct load_chunk *c = sc->chunk;
    sc->settled += sc->n_done;
    sc->chunk = NULL;
    advance(n, sc, c);
}

void scan_step_over(struct node *n)
{
    if (!scan_wants(n))
        return;
    n->scan->chunk = NULL; /* it was not to be in this transaction: the chunk is asked for again */
    n->scan->detail = false;
    n->scan->again_ms = n->mono_ms + node_jitter(n, 100);
}

static void start_by_itself(struct node *n)
{
    if (!n->reconcile_due || n->scan || !peer_open(n->parent) ||
        store_state_get(n->store)->loading || n->mono_ms < n->reconcile_ms)
        return;
    struct open_scan *sc = n->scan = mem_alloc(sizeof *sc);
    *sc = (struct open_scan){.by_itself = true, .settle = SETTLE_SEAL, .pass = 1};
    sc->give_up_ms = n->mono_ms + STALL_MS;
    n->reconcile_due = false;
    n->reconcile_ms = n->mono_ms + 2 * STALL_MS;
    if (read_tables(n, sc) != ERR_OK || sc->n_tables == 0)
        scan_free(&n->scan);
    else
        ask_chunk(n, sc);
}

static void verify_timer(struct node *n)
{
    struct open_scan *v = n->verify;
    if (!peer_open(n->parent) || n->mono_ms >= v->give_up_ms + ANSWER_MS) {
        request_error(n, v->request_id, "the parent did not answer",
                      "try again when tonle status shows it connected");
        scan_free(&n->verify);
    } else if (n->mono_ms >= v->again_ms) {
        ask_digest(n, v);
    }
}

void scan_timers(struct node *n)
{
    if (!n->parent)
        return;
    start_by_itself(n);
    if (n->verify)
        verify_timer(n);
    if (n->scan && (!peer_open(n->parent) || n->mono_ms >= n->scan->give_up_ms))
        finish(n, false);
    else if (n->scan && n->mono_ms >= n->scan->again_ms)
        ask_chunk(n, n->scan);
    if (n->verify)
        node_want(n, n->verify->again_ms);
    if (n->scan)
        node_want(n, n->scan->again_ms < n->scan->give_up_ms ? n->scan->again_ms
                                                             : n->scan->give_up_ms);
    if (n->reconcile_due && peer_open(n->parent))
        node_want(n, n->reconcile_ms > n->mono_ms ? n->reconcile_ms : n->mono_ms + 1000);
}
