/* Answers to a neighbour that loads, verifies or compares rows: rows of a table after a key, or the
 * digest of some, with the clock they were read at. Both are read with the capture log empty, so
 * that the clock says exactly what is in them; one request a step.
 *
 * Whoever compares waits for one answer: of each kind of digest one request a neighbour waits here,
 * and a later one takes its place. Between two digests, whoever asks, there is a pause as long as
 * reading them may take, because each read keeps this office's application from committing. */
#include "node/core/internal.h"

#include <stdio.h>
#include <string.h>

static void load_free(struct load_wait *w)
{
    arena_fini(&w->arena);
    mem_free(w);
}

static void drop_at(struct node *n, size_t at)
{
    load_free(n->load[at]);
    memmove(&n->load[at], &n->load[at + 1], (n->n_load - at - 1) * sizeof n->load[0]);
    n->n_load--;
}

void load_drop(struct node *n, const struct route *r)
{
    for (size_t i = n->n_load; i-- > 0;) {
        if (route_equal(&n->load[i]->route, r))
            drop_at(n, i);
    }
}

void load_fini(struct node *n)
{
    while (n->n_load > 0)
        drop_at(n, n->n_load - 1);
}

/* Under its own key: an active child of ours, with or without a session. */
static bool is_child(struct node *n, const char *user_id)
{
    struct node_record r;
    return store_node_get(n->store, &n->arena, user_id, &r) == ERR_OK && r.state == NODE_ACTIVE &&
           strcmp(r.parent, n->name) == 0;
}

#define PAUSE_MS 20u
#define PAUSE_ROWS_PER_MS 25u
#define TELL_AGAIN_MS 60000u
#define OWN_REQUESTS 8u /* of a neighbour, over how many lines it may ask */

static struct bytes copy_bytes(struct arena *a, struct bytes b)
{
    return (struct bytes){arena_copy(a, b.p, b.len), b.len};
}

static enum load_kind kind_of(const struct message *m)
{
    if (m->type == MESSAGE_DIGEST_REQUEST)
        return LOAD_DIGEST;
    return m->u.load_request.digest_only ? LOAD_ROWS_DIGEST : LOAD_ROWS;
}

static void load_fill(struct load_wait *w, const struct event *ev, const struct message *m)
{
    struct arena *a = &w->arena;
    arena_reset(a);
    w->route = ev->route;
    if (w->kind == LOAD_DIGEST) {
        w->digest = m->u.digest_request;
        w->digest.table = arena_strdup(a, w->digest.table);
        w->digest.after.key = copy_bytes(a, w->digest.after.key);
        w->digest.upto.key = copy_bytes(a, w->digest.upto.key);
        struct digest_leave *leave =
            arena_copy(a, w->digest.leave, w->digest.n_leave * sizeof *leave);
        for (uint32_t i = 0; i < w->digest.n_leave; i++)
            leave[i] = (struct digest_leave){copy_bytes(a, leave[i].key),
                                             arena_strdup(a, leave[i].column)};
        w->digest.leave = leave;
        return;
    }
    w->request = m->u.load_request;
    w->request.table = arena_strdup(a, w->request.table);
    w->request.after = copy_bytes(a, w->request.after);
    w->request.upto = copy_bytes(a, w->request.upto);
}

void load_message(struct node *n, const struct event *ev, const struct message *m)
{
    size_t own = 0;
    bool from_parent = ev->route.len == 0; /* a hub that has a capture gap */
    const char *peer = from_parent ? n->parent_name : ev->user_id;
    enum load_kind kind = kind_of(m);
    for (size_t i = 0; i < n->n_load; i++) {
        struct load_wait *w = n->load[i];
        if (strcmp(w->peer, peer) != 0)
            continue;
        own++;
        if (kind != LOAD_ROWS && w->kind == kind) {
            load_fill(w, ev, m); /* it keeps its turn */
            return;
        }
    }
    if (own >= OWN_REQUESTS || n->n_load == NODE_QUEUE ||
        (from_parent ? !peer_open(n->parent) : !is_child(n, peer)))
        return; /* it asks again */
    struct load_wait *w = mem_alloc(sizeof *w);
    w->kind = kind;
    snprintf(w->peer, sizeof w->peer, "%s", peer);
    load_fill(w, ev, m);
    n->load[n->n_load++] = w;
}

static enum err read_answer(struct node *n, const struct load_wait *w, struct message *m)
{
    enum err e;
    uint64_t rows;
    if (w->kind == LOAD_DIGEST) {
        struct digest_reply *r = &m->u.digest_reply;
        struct digest_request ask = w->digest;
        m->type = MESSAGE_DIGEST_REPLY;
        e = store_digest_leave(n->store, &n->arena, &ask);
        if (e == ERR_OK)
            e = store_digest_slice(n->store, &n->arena, &ask, r);
        r->clock = store_state_get(n->store)->clock; /* borrowed */
        rows = LIMIT_DIGEST_ROWS;
        if (r->sum.rows + r->sum.held + r->sum.conflicts < rows)
            rows = r->sum.rows + r->sum.held + r->sum.conflicts;
    } else {
        m->type = MESSAGE_LOAD_CHUNK;
        e = store_chunk_read(n->store, &n->arena, &w->request, w->peer, &m->u.load_chunk);
        rows = m->u.load_chunk.rows;
    }
    if (w->kind != LOAD_ROWS)
        n->digest_due_ms = n->mono_ms + PAUSE_MS + rows / PAUSE_ROWS_PER_MS;
    return e;
}

/* The first whose turn it is; n->n_load: none. */
static size_t next_request(struct node *n)
{
    size_t at = 0;
    if (n->mono_ms >= n->digest_due_ms)
        return 0;
    while (at < n->n_load && n->load[at]->kind != LOAD_ROWS)
        at++;
    return at;
}

static const char *table_asked(const struct load_wait *w)
{
    return w->kind == LOAD_DIGEST ? w->digest.table : w->request.table;
}

/* What keeps it is a table's, and may last: who waits for it cannot tell why. */
static void tell_waiting(struct node *n, const struct load_wait *w)
{
    if (n->load_told_ms && n->mono_ms < n->load_told_ms + TELL_AGAIN_MS)
        return;
    n->load_told_ms = n->mono_ms;
    node_log(n, 1, "event=load-waits peer=%s table=%s text=%s", w->peer,
             node_quoted(n, table_asked(w)), node_quoted(n, store_message(n->store)));
}

/* ERR_BUSY: captured writes have to be sealed first, or the database is locked, or the table
 * catches up. */
static enum err answer_request(struct node *n, const struct load_wait *w)
{
    struct message m = {0};
    enum err begun = store_begin_read(n->store), e = begun;
    if (e == ERR_OK && store_state_get(n->store)->loading)
        e = ERR_BUSY; /* what is sealed meanwhile stands in the journal before what it builds on */
    if (e == ERR_OK && store_capture_pending(n->store)) {
        n->seal_now = true;
        e = ERR_BUSY;
    }
    if (e == ERR_OK && !store_capture_check(n->store)) {
        n->install_due = true; /* what stands in the table may be more than the clock says */
        e = ERR_BUSY;
    }
    if (e == ERR_OK) {
        e = read_answer(n, w, &m);
        if (e == ERR_BUSY)
            tell_waiting(n, w);
    }
    if (e == ERR_OK)
        node_send(n, &w->route, &m);
    if (begun != ERR_OK || store_commit(n->store) != ERR_OK)
        store_rollback(n->store);
    return e;
}

/* What it asks for may not be ready for long (a table that catches up): the others go on. */
static void wait_behind(struct node *n, size_t at)
{
    struct load_wait *w = n->load[at];
    memmove(&n->load[at], &n->load[at + 1], (n->n_load - at - 1) * sizeof n->load[0]);
    n->load[n->n_load - 1] = w;
}

void load_answer(struct node *n)
{
    if (n->n_load == 0)
        return;
    size_t at = next_request(n);
    if (at == n->n_load) {
        node_want(n, n->digest_due_ms);
        return;
    }
    struct load_wait *w = n->load[at];
    enum err e = answer_request(n, w);
    if (e == ERR_BUSY) {
        wait_behind(n, at);
        if (n->seal_now && !n->suspect && n->seal_fault[0] == '\0' &&
            n->busy_until_ms <= n->mono_ms)
            n->again = true;
        else
            node_want(n, n->mono_ms + 20 + node_random(n) % 81);
        return;
    }
    if (e != ERR_OK && !node_check(n, e, "rows cannot be read"))
        node_log(n, 1, "event=load-refused peer=%s table=%s error=%s text=%s", w->peer,
                 node_quoted(n, table_asked(w)), err_name(e),
                 node_quoted(n, store_message(n->store)));
    drop_at(n, at);
    n->again = n->again || n->n_load > 0;
}
