/* Answers to a neighbour that loads, verifies or compares rows: rows of a table after
 * a key, or the digests of all tables, with the clock they were read at. Both are read with the
 * capture log empty, so that the clock says exactly what is in them; one request a step. */
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

static struct bytes copy_bytes(struct arena *a, struct bytes b)
{
    return (struct bytes){arena_copy(a, b.p, b.len), b.len};
}

void load_message(struct node *n, const struct event *ev, const struct message *m)
{
    size_t own = 0;
    bool from_parent = ev->route.len == 0; /* a hub that has a capture gap */
    const char *peer = from_parent ? n->parent_name : ev->user_id;
    for (size_t i = 0; i < n->n_load; i++)
        own += strcmp(n->load[i]->peer, peer) == 0; /* over how many lines it may ask */
    if (own >= 8 || n->n_load == NODE_QUEUE ||
        (from_parent ? !peer_open(n->parent) : !is_child(n, peer)))
        return; /* it asks again */
    struct load_wait *w = mem_alloc(sizeof *w);
    w->route = ev->route;
    snprintf(w->peer, sizeof w->peer, "%s", peer);
    w->digest = m->type == MESSAGE_DIGEST_REQUEST;
    if (w->digest) {
        w->request.request = m->u.digest_request.request;
    } else {
        w->request = m->u.load_request;
        w->request.table = arena_strdup(&w->arena, w->request.table);
        w->request.after = copy_bytes(&w->arena, w->request.after);
        w->request.upto = copy_bytes(&w->arena, w->request.upto);
    }
    n->load[n->n_load++] = w;
}

static enum err read_answer(struct node *n, const struct load_wait *w, struct message *m)
{
    if (!w->digest) {
        m->type = MESSAGE_LOAD_CHUNK;
        return store_chunk_read(n->store, &n->arena, &w->request, w->peer, &m->u.load_chunk);
    }
    struct digest_reply *r = &m->u.digest_reply;
    m->type = MESSAGE_DIGEST_REPLY;
    r->request = w->request.request;
    enum err e = store_digest(n->store, &n->arena, &r->tables, &r->n_tables);
    r->clock = store_state_get(n->store)->clock; /* borrowed */
    return e;
}

/* ERR_BUSY: captured writes have to be sealed first, or the database is locked. */
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
    if (e == ERR_OK)
        e = read_answer(n, w, &m);
    if (e == ERR_OK)
        node_send(n, &w->route, &m);
    if (begun != ERR_OK || store_commit(n->store) != ERR_OK)
        store_rollback(n->store);
    return e;
}

void load_answer(struct node *n)
{
    if (n->n_load == 0)
        return;
    enum err e = answer_request(n, n->load[0]);
    if (e == ERR_BUSY) {
        if (n->seal_now && !n->suspect && n->seal_fault[0] == '\0' &&
            n->busy_until_ms <= n->mono_ms)
            n->again = true;
        else
            node_want(n, n->mono_ms + 20 + node_random(n) % 81);
        return;
    }
    if (e != ERR_OK && !node_check(n, e, "rows cannot be read"))
        node_log(n, 1, "event=load-refused peer=%s table=%s error=%s text=%s", n->load[0]->peer,
                 node_quoted(n, n->load[0]->digest ? "*" : n->load[0]->request.table), err_name(e),
                 node_quoted(n, store_message(n->store)));
    drop_at(n, 0);
    n->again = n->again || n->n_load > 0;
}
