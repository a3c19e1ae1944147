/* Enrolment (DESIGN 7). The joiner speaks under its invitation's one-time key, to its parent or to
 * the hub. The hub writes its keys into the registry, sealed like any write; any other office
 * passes the request up and answers "pending" until its own registry shows the node active with the
 * same keys. Who passes it on is not believed: the invitation's holder signed it. An answer says
 * whose request it is of, by name and key: one that was dropped above, where the queue was full, is
 * no reason to take the next one's for its own. */
#include "node/core/internal.h"

#include "protocol/seal_enrol.h"

#include <stdio.h>
#include <string.h>

#define FORWARD_AGAIN_MS 10000u

/* NAME of "invite:NAME", or NULL. */
static const char *invited_name(const char *user_id)
{
    return strncmp(user_id, "invite:", 7) == 0 ? user_id + 7 : NULL;
}

/* Whether `node` hangs, directly or not, below the node `top`. */
static enum err is_below(struct node *n, const char *node, const char *top, bool *yes)
{
    struct node_record r;
    *yes = false;
    for (int depth = 0; depth < 64; depth++) {
        enum err e = store_node_get(n->store, &n->arena, node, &r);
        if (e != ERR_OK)
            return e == ERR_NOT_FOUND ? ERR_OK : e;
        *yes = strcmp(r.parent, top) == 0;
        if (*yes || r.parent[0] == '\0')
            return ERR_OK;
        node = r.parent;
    }
    return ERR_OK;
}

static enum err may_ask(struct node *n, const char *user_id, const char *node, bool *yes)
{
    const char *invited = invited_name(user_id);
    *yes = strcmp(invited ? invited : user_id, node) == 0;
    return invited || *yes ? ERR_OK : is_below(n, node, user_id, yes);
}

static void decide(struct node *n, const struct enrol *m, struct enrolled *r,
                   enum enrol_state state, const char *reason)
{
    *r = (struct enrolled){.state = state,
                           .reason = reason,
                           .hub_node = n->hub,
                           .hub_site = n->hub_site,
                           .node = m->node};
    memcpy(r->hub_sign_key, n->hub_key, SIGN_PUBLIC_BYTES);
    memcpy(r->sign_key, m->sign_key, SIGN_PUBLIC_BYTES);
}

/* The signing key is another row's: that may be on its way. */
static bool same_keys(const struct node_record *r, const struct enrol *m)
{
    return r->site == seal_site(m->sign_key, m->incarnation) &&
           memcmp(r->curve_key, m->curve_key, CURVE_KEY_BYTES) == 0 &&
           (!key_given(r->sign_key) || memcmp(r->sign_key, m->sign_key, SIGN_PUBLIC_BYTES) == 0);
}

/* What the registry here says of the request. ENROL_PENDING: it may be enrolled; `node` is its row.
 * ERR_OK or a store's error. */
static enum err judge(struct node *n, const struct enrol *m, struct node_record *node,
                      struct enrolled *r)
{
    bool taken = false;
    enum err e = store_node_get(n->store, &n->arena, m->node, node);
    if (e == ERR_OK)
        e = store_keys_taken(n->store, m->node, m->curve_key, m->sign_key, &taken);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    if (strcmp(m->federation, n->federation) != 0)
        decide(n, m, r, ENROL_REFUSED, "this is another federation: check the invitation");
    else if (e == ERR_NOT_FOUND)
        decide(n, m, r, ENROL_REFUSED, "no such node is invited: at the hub run tonle node add");
    else if (node->state == NODE_ACTIVE && same_keys(node, m))
        decide(n, m, r, key_given(node->sign_key) ? ENROL_DONE : ENROL_PENDING, "");
    else if (node->state == NODE_ACTIVE)
        decide(n, m, r, ENROL_REFUSED,
               "this node is enrolled already with other keys: use the state directory it was "
               "enrolled from");
    else if (node->state == NODE_RETIRED)
        decide(n, m, r, ENROL_REFUSED,
               "this node is retired: at the hub run tonle node add for a new invitation");
    else if (!key_given(node->enrol_key) || node->enrol_expires_ms <= node_time(n))
        decide(n, m, r, ENROL_REFUSED,
               "the invitation has expired: at the hub run tonle node add for a new one");
    else if (seal_enrol_verify(m, node->enrol_key) != ERR_OK)
        decide(n, m, r, ENROL_REFUSED,
               "this is not what the holder of the invitation asked for: an office changed it on "
               "the way, or the invitation is not the newest. Tell the administrator of the hub; "
               "tonle node add invites again, below another parent if need be");
    else if (taken)
        decide(n, m, r, ENROL_REFUSED,
               "these keys are another office's: join with a state directory (--dir) of this "
               "office's own");
    else
        decide(n, m, r, ENROL_PENDING, "");
    return ERR_OK;
}

static void reply_to(struct node *n, const struct route *route, const struct enrolled *r)
{
    struct message m = {.type = MESSAGE_ENROLLED};
    m.u.enrolled = *r;
    node_send(n, route, &m);
}

/* ---- at the hub: in the order they came, in the step's transaction */

static void queue(struct node *n, const struct event *ev, const struct enrol *m)
{
    if (n->n_enrol == NODE_QUEUE)
        return; /* it asks again */
    struct enrol_wait *w = mem_alloc(sizeof *w);
    w->route = ev->route;
    snprintf(w->user_id, sizeof w->user_id, "%s", ev->user_id);
    w->enrol = *m;
    w->enrol.federation = arena_strdup(&w->arena, m->federation);
    w->enrol.node = arena_strdup(&w->arena, m->node);
    w->enrol.listen = arena_strdup(&w->arena, m->listen);
    w->enrol.software = arena_strdup(&w->arena, m->software);
    n->enrol[n->n_enrol++] = w;
}

static enum err activate(struct node *n, const struct enrol *m, struct node_record *r)
{
    r->state = NODE_ACTIVE;
    r->site = seal_site(m->sign_key, m->incarnation);
    memcpy(r->curve_key, m->curve_key, CURVE_KEY_BYTES);
    memcpy(r->sign_key, m->sign_key, SIGN_PUBLIC_BYTES);
    r->joined_ms = node_time(n);
    if (m->listen[0] != '\0')
        r->listen = m->listen;
    return store_node_put(n->store, r);
}

enum err enrol_work(struct node *n)
{
    for (size_t i = 0; i < n->n_enrol; i++) {
        struct enrol_wait *w = n->enrol[i];
        struct node_record r;
        enum err e = judge(n, &w->enrol, &r, &w->reply);
        if (e == ERR_OK && w->reply.state == ENROL_PENDING) {
            e = activate(n, &w->enrol, &r);
            w->reply.state = ENROL_DONE;
        }
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static void drop_first(struct node *n)
{
    struct enrol_wait *w = n->enrol[0];
    memmove(&n->enrol[0], &n->enrol[1], (n->n_enrol - 1) * sizeof n->enrol[0]);
    n->n_enrol--;
    arena_fini(&w->arena);
    mem_free(w);
}

void enrol_committed(struct node *n)
{
    while (n->n_enrol > 0) {
        struct enrol_wait *w = n->enrol[0];
        reply_to(n, &w->route, &w->reply);
        node_log(n, w->reply.state == ENROL_DONE ? 2 : 1,
                 "event=enrol node=%s from=%s state=%s text=%s", node_quoted(n, w->enrol.node),
                 w->user_id, w->reply.state == ENROL_DONE ? "done" : "refused",
                 node_quoted(n, w->reply.reason));
        drop_first(n);
    }
}

/* ---- elsewhere: up to our parent */

static bool is_asked(const struct enrol_asked *x, const char *name,
                     const uint8_t key[SIGN_PUBLIC_BYTES])
{
    return x->name && strcmp(x->name, name) == 0 &&
           memcmp(x->sign_key, key, SIGN_PUBLIC_BYTES) == 0;
}

/* Takes the entry out; its name is the caller's. */
static struct enrol_asked take_forwarded(struct node *n, size_t at)
{
    struct enrol_asked asked = n->forwarded[at].asked;
    n->n_forwarded--;
    memmove(&n->forwarded[at], &n->forwarded[at + 1],
            (n->n_forwarded - at) * sizeof n->forwarded[0]);
    return asked;
}

/* Whether an answer is still to be expected. One that does not come was dropped above, where the
 * queue was full: it is asked for again. */
static bool is_forwarded(struct node *n, const struct enrol *m)
{
    for (size_t i = 0; i < n->n_forwarded; i++) {
        if (!is_asked(&n->forwarded[i].asked, m->node, m->sign_key))
            continue;
        if (n->mono_ms < n->forwarded[i].since_ms + FORWARD_AGAIN_MS)
            return true;
        mem_free(take_forwarded(n, i).name);
        return false;
    }
    return false;
}

static void forward(struct node *n, const struct enrol *m)
{
    if (!peer_open(n->parent) || is_forwarded(n, m) || n->n_forwarded == NODE_QUEUE)
        return;
    struct message up = {.type = MESSAGE_ENROL};
    up.u.enrol = *m;
    node_send(n, &n->parent->route, &up);
    struct forwarded *f = &n->forwarded[n->n_forwarded++];
    *f = (struct forwarded){.asked = {.name = mem_strdup(m->node)}, .since_ms = n->mono_ms};
    memcpy(f->asked.sign_key, m->sign_key, SIGN_PUBLIC_BYTES);
    node_log(n, 2, "event=enrol-forward node=%s", node_quoted(n, m->node));
}

static void ask_parent(struct node *n, const struct event *ev, const struct enrol *m)
{
    struct node_record node;
    struct enrolled r;
    if (judge(n, m, &node, &r) != ERR_OK)
        return; /* busy: it asks again */
    if (r.state == ENROL_PENDING && is_asked(&n->refused, m->node, m->sign_key)) {
        decide(n, m, &r, ENROL_REFUSED, n->refused_reason);
        reply_to(n, &ev->route, &r);
        mem_free(n->refused.name); /* told once; the next time it is asked again */
        n->refused.name = NULL;
        return;
    }
    if (r.state == ENROL_PENDING) {
        forward(n, m);
        r.reason = peer_open(n->parent) ? "" : "the line from the parent office to the hub is down";
    }
    reply_to(n, &ev->route, &r);
}

/* Whose request the answer is of. One that was changed on the way is answered under another key,
 * and refused: the office that asked is to hear of it. n->n_forwarded: nobody's. */
static size_t answered(const struct node *n, const struct enrolled *m)
{
    size_t named = n->n_forwarded;
    for (size_t at = n->n_forwarded; at-- > 0;) {
        const struct enrol_asked *x = &n->forwarded[at].asked;
        if (is_asked(x, m->node, m->sign_key))
            return at;
        if (strcmp(x->name, m->node) == 0)
            named = at;
    }
    return named;
}

void enrol_reply(struct node *n, const struct enrolled *m)
{
    size_t at = answered(n, m);
    if (at == n->n_forwarded)
        return;
    struct enrol_asked asked = take_forwarded(n, at);
    if (m->state != ENROL_REFUSED) {
        mem_free(asked.name);
        return;
    }
    mem_free(n->refused.name);
    n->refused = asked;
    snprintf(n->refused_reason, sizeof n->refused_reason, "%s", m->reason);
}

void enrol_message(struct node *n, const struct event *ev, const struct enrol *m)
{
    bool may;
    if (may_ask(n, ev->user_id, m->node, &may) != ERR_OK)
        return; /* busy: it asks again */
    if (!may) {
        struct enrolled r;
        decide(n, m, &r, ENROL_REFUSED,
               "this key may not enrol that node: use the node's own invitation");
        reply_to(n, &ev->route, &r);
    } else if (node_is_hub(n)) {
        queue(n, ev, m);
    } else {
        ask_parent(n, ev, m);
    }
}

void enrol_forget_forwarded(struct node *n)
{
    while (n->n_forwarded > 0)
        mem_free(take_forwarded(n, n->n_forwarded - 1).name);
}

void enrol_fini(struct node *n)
{
    while (n->n_enrol > 0)
        drop_first(n);
    enrol_forget_forwarded(n);
    mem_free(n->refused.name);
}
