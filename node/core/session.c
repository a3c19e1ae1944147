/* One neighbour's session: opened by the child's hello and the parent's welcome, kept by
 * heartbeats (beat.c), ended by silence, by a lost connection or by a refusal. The line's states
 * and moves stand in peer.c.
 *
 * While there is no session the hello is repeated, and after three heartbeats without an answer the
 * connection is made anew. */
#include "node/core/internal.h"

#include <stdio.h>
#include <string.h>

#define HELLO_REPEAT_MS 1000u

static uint64_t silence_ms(const struct node *n)
{
    return (uint64_t)NODE_SILENCE * n->o.heartbeat_ms;
}

void session_end(struct node *n, struct peer *p, enum line_state line)
{
    if (peer_open(p) && line != LINE_CONNECTED)
        node_log(n, 2, "event=session-ended peer=%s", p->name);
    peer_line(p, line);
    p->session = 0;
    p->rival_run = 0;
    stream_close(p);
    if (p->up)
        enrol_forget_forwarded(n);
}

static void say_why(struct peer *p, const char *reason, const char *next)
{
    snprintf(p->reason, sizeof p->reason, "%s", reason);
    snprintf(p->next, sizeof p->next, "%s", next);
}

static void send_refusal(struct node *n, const struct route *r, uint64_t session,
                         enum refusal_code code, uint64_t retry_ms, const char *reason)
{
    struct message m = {.type = MESSAGE_REFUSAL};
    m.u.refusal = (struct refusal){session, code, reason, retry_ms};
    node_send(n, r, &m);
}

/* No session with the parent before `retry_ms` is over; then a new hello. */
static void hold_parent(struct node *n, struct peer *p, uint64_t retry_ms)
{
    p->hold_until_ms = n->mono_ms + retry_ms;
    p->hello_due_ms = p->hold_until_ms;
    p->dead_due_ms = p->hold_until_ms + silence_ms(n);
}

void session_refuse(struct node *n, struct peer *p, enum refusal_code code, uint64_t retry_ms,
                    const char *reason, const char *next)
{
    send_refusal(n, &p->route, p->session, code, retry_ms, reason);
    node_log(n, code == REFUSAL_GAP ? 2 : 1, "event=refuse peer=%s code=%d text=%s", p->name, code,
             node_quoted(n, reason));
    say_why(p, reason, next);
    session_end(n, p, code == REFUSAL_GAP ? LINE_CONNECTING : LINE_REFUSED);
    if (p->up)
        hold_parent(n, p, retry_ms);
    else
        p->hold_until_ms = n->mono_ms + retry_ms;
}

static void send_hello(struct node *n, struct peer *p, enum message_type type)
{
    const struct store_state *st = store_state_get(n->store);
    struct message m = {.type = type};
    struct hello *h = &m.u.hello;
    struct peer_record rec = {0};
    if (store_peer_get(n->store, p->name, &rec) != ERR_OK)
        return; /* it is repeated */
    if (type == MESSAGE_HELLO)
        p->hello_pos = rec.received_pos;
    h->protocol = PROTOCOL_VERSION;
    h->session = p->session;
    h->run = n->o.run;
    h->federation = n->federation;
    h->node = n->name;
    h->site = n->site;
    h->seq = st->seq;
    memcpy(h->chain, st->chain, HASH_BYTES);
    h->received_pos = p->hello_pos;
    h->journal_pos = st->journal_pos;
    h->clock = st->clock; /* borrowed */
    h->charter_version = st->charter_version;
    h->schema_version = st->schema_version;
    h->software = n->o.software;
    h->time_ms = node_time(n);
    h->wall_ms = n->wall_ms;
    h->latest_ms = wall_latest_ms(n);
    h->time_sure = wall_sure(n);
    h->credit_bytes = CREDIT_BYTES;
    h->heartbeat_ms = n->o.heartbeat_ms;
    node_send(n, &p->route, &m);
}

static void say_hello(struct node *n, struct peer *p)
{
    if (p->session == 0) {
        p->session = node_random(n) | 1;
        p->hello_tries = 0;
    }
    peer_line(p, LINE_CONNECTING);
    uint32_t shift = p->hello_tries < 5 ? p->hello_tries : 5;
    p->hello_tries++;
    p->hello_due_ms = n->mono_ms + node_jitter(n, (uint64_t)HELLO_REPEAT_MS << shift);
    send_hello(n, p, MESSAGE_HELLO);
}

static void redial(struct node *n, struct peer *p)
{
    uint64_t delay = (uint64_t)NODE_REDIAL_MIN_MS << (p->redial_tries < 7 ? p->redial_tries : 7);
    delay = node_jitter(n, delay < NODE_REDIAL_MAX_MS ? delay : NODE_REDIAL_MAX_MS);
    p->redial_tries++;
    p->hello_due_ms = 0;
    p->dead_due_ms = n->mono_ms + delay + silence_ms(n);
    node_action(n, ACTION_REDIAL)->delay_ms = delay;
}

void session_start(struct node *n)
{
    struct peer *p = n->parent;
    if (!p)
        return;
    struct peer_record rec;
    if (store_peer_get(n->store, p->name, &rec) == ERR_OK) {
        p->contact_ms = p->contact_saved_ms = rec.contact_ms;
        p->received_pos = rec.received_pos;
    }
    peer_line(p, LINE_CONNECTING);
    p->dead_due_ms = n->mono_ms + silence_ms(n);
}

void session_dialled(struct node *n)
{
    struct peer *p = n->parent;
    if (!p)
        return;
    bool held = p->hold_until_ms > n->mono_ms;
    session_end(n, p, held ? p->line : LINE_CONNECTING);
    if (held)
        return;
    p->dead_due_ms = n->mono_ms + silence_ms(n);
    say_hello(n, p);
}

void session_lost(struct node *n, struct peer *p)
{
    bool refused = p->line == LINE_REFUSED;
    session_end(n, p, refused ? LINE_REFUSED : LINE_DOWN);
    if (p->up && !refused) {
        p->hello_due_ms = 0;
        p->dead_due_ms = n->mono_ms + silence_ms(n);
    }
}

void session_unreachable(struct node *n, const struct route *r)
{
    struct peer *p = peer_at(n, r);
    load_drop(n, r);
    if (p)
        session_lost(n, p);
}

/* The registry may come to know our key, and the driver dials on. */
void session_key_refused(struct node *n)
{
    struct peer *p = n->parent;
    if (p && !peer_open(p) && p->reason[0] == '\0')
        say_why(p, "the parent does not let in this office's key",
                "at the hub: tonle node list tells whether this office is enrolled below that "
                "parent");
}

/* ---- the parent's side */

/* Another run of the same identity while its session is alive (DESIGN 7). The old route is probed:
 * where it is dead the driver says so at once. */
static bool rival(struct node *n, struct peer *p, const struct event *ev, const struct hello *h)
{
    static const char text[] = "a second copy of this office is running";
    if (!peer_open(p) || h->run == p->run || route_equal(&p->route, &ev->route))
        return false;
    if (p->rival_run != h->run) {
        p->rival_run = h->run;
        p->rival_since_ms = n->mono_ms;
        p->rival_refused = false;
        p->beat_due_ms = n->mono_ms;
    }
    if (p->signed_ms <= p->rival_since_ms) {
        send_refusal(n, &ev->route, h->session, REFUSAL_OTHER, n->o.heartbeat_ms / 4 + 50,
                     "another session of this office is not known to be dead yet");
        return true;
    }
    send_refusal(n, &ev->route, h->session, REFUSAL_SECOND_COPY, p->silence_ms, text);
    if (!p->rival_refused) {
        send_refusal(n, &p->route, p->session, REFUSAL_SECOND_COPY, p->silence_ms, text);
        say_why(p, text, "find the other machine that runs this office's copy and stop it");
        node_log(n, 1, "event=second-copy peer=%s text=%s", p->name, node_quoted(n, text));
        p->rival_refused = true;
    }
    return true;
}

static void open_session(struct node *n, struct peer *p, const struct hello *h,
                         const struct verdict *v)
{
    p->session = h->session;
    p->run = h->run;
    p->site = h->site;
    memcpy(p->sign_key, v->site.sign_key, SIGN_PUBLIC_BYTES);
    peer_line(p, LINE_CONNECTED);
    p->heard_ms = p->signed_ms = n->mono_ms;
    p->beat_due_ms = n->mono_ms;
    uint32_t beat = h->heartbeat_ms > n->o.heartbeat_ms ? h->heartbeat_ms : n->o.heartbeat_ms;
    p->silence_ms = (uint64_t)NODE_SILENCE * (beat < 60000 ? beat : 60000);
    p->skew_ms = (int64_t)(h->wall_ms - node_time(n));
    p->latest_ms = h->latest_ms;
    p->ahead_hlc = p->ahead_ms = p->n_off = 0;
    p->contact_ms = node_time(n);
    p->peer_dirty = p->peer_dirty || h->received_pos > p->acked_pos;
    p->tail_pos = h->journal_pos;
    p->behind_ms = n->mono_ms;
    clock_copy(&p->clock, &h->clock);
    p->reason[0] = p->next[0] = '\0';
    p->forgets_ahead = false;
    p->hold_until_ms = 0;
    stream_open(p, p->hello_pos, h);
    node_log(n, 2, "event=connected peer=%s site=%016llx software=%s skew_ms=%lld", p->name,
             (unsigned long long)p->site, node_quoted(n, h->software), (long long)p->skew_ms);
}

static void refuse_hello(struct node *n, const struct event *ev, const struct hello *h,
                         const struct verdict *v)
{
    struct node_record r;
    send_refusal(n, &ev->route, h->session, v->code, v->retry_ms, v->reason);
    node_log(n, 1, "event=refuse-hello from=%s code=%d text=%s", ev->user_id, v->code,
             node_quoted(n, v->reason));
    if (strcmp(ev->user_id, h->node) != 0 ||
        store_node_get(n->store, &n->arena, ev->user_id, &r) != ERR_OK ||
        strcmp(r.parent, n->name) != 0)
        return;
    struct peer *p = peer_child(n, ev->user_id);
    say_why(p, v->reason, v->next);
    if (!peer_open(p))
        peer_line(p, LINE_REFUSED);
}

void session_hello(struct node *n, const struct event *ev, const struct hello *h,
                   const struct signed_body *s)
{
    struct verdict v;
    hello_check_child(n, ev->user_id, h, s, &v);
    if (v.code) {
        refuse_hello(n, ev, h, &v);
        return;
    }
    struct peer *p = peer_child(n, h->node);
    if (peer_open(p) && p->session == h->session && route_equal(&p->route, &ev->route)) {
        send_hello(n, p, MESSAGE_WELCOME); /* the first one was lost */
        return;
    }
    if (p->hold_until_ms > n->mono_ms) {
        send_refusal(n, &ev->route, h->session, REFUSAL_OTHER, p->hold_until_ms - n->mono_ms,
                     p->reason);
        return;
    }
    if (rival(n, p, ev, h))
        return;
    hello_check_known(n, h, &v);
    if (v.code) {
        refuse_hello(n, ev, h, &v);
        return;
    }
    struct peer_record rec;
    if (store_peer_get(n->store, p->name, &rec) != ERR_OK)
        return; /* it says hello again */
    session_end(n, p, LINE_CONNECTING);
    p->route = ev->route;
    p->hello_pos = rec.received_pos;
    open_session(n, p, h, &v);
    send_hello(n, p, MESSAGE_WELCOME);
}

/* ---- the child's side */

void session_welcome(struct node *n, const struct hello *h, const struct signed_body *s)
{
    struct peer *p = n->parent;
    struct verdict v;
    if (p->session != h->session || p->line != LINE_CONNECTING)
        return;
    hello_check_parent(n, h, s, &v);
    if (v.code) {
        session_refuse(n, p, v.code, v.retry_ms, v.reason, v.next);
        return;
    }
    if (h->time_sure)
        wall_told(n, h->time_ms);
    open_session(n, p, h, &v);
    p->hello_due_ms = 0;
    p->hello_tries = p->redial_tries = 0;
    if (n->suspect) {
        n->suspect = false;
        n->seal_now = true;
        node_log(n, 2,
                 "event=suspicion-over text=\"the parent knows nothing of this office that is not "
                 "here\"");
    }
}

static const char *next_step(enum refusal_code code)
{
    switch (code) {
    case REFUSAL_SECOND_COPY:
        return "find the other machine that runs this office's copy and stop it";
    case REFUSAL_RESTORED:
        return "stop this node; tonle join --as-new-site says how to bring this office back, and "
               "nothing it wrote is lost";
    case REFUSAL_UNKNOWN:
        return "at the hub: tonle node list";
    case REFUSAL_VERSION:
        return "upgrade the older of the two programs";
    case REFUSAL_CLOCK:
        return "it goes by itself when that time has come, and is lost nowhere; setting this "
               "machine's clock frees nothing that is stamped, but keeps it from going further";
    case REFUSAL_SIGNATURE:
    case REFUSAL_LIMIT:
        return "look at the parent's log; it is tried again by itself";
    default:
        return "what it names is mended there; it is tried again by itself";
    }
}

static void parent_refused(struct node *n, struct peer *p, const struct refusal *r)
{
    bool open = peer_open(p);
    node_log(n, r->code == REFUSAL_GAP ? 2 : 1, "event=refused by=%s code=%d text=%s", p->name,
             r->code, node_quoted(n, r->reason));
    say_why(p, r->reason, next_step(r->code));
    if (open && r->code == REFUSAL_SECOND_COPY)
        return; /* a notice: neither copy changes */
    session_end(n, p, r->code == REFUSAL_GAP ? LINE_CONNECTING : LINE_REFUSED);
    uint64_t retry = r->retry_ms < 3600000 ? r->retry_ms : 3600000;
    if (retry) {
        hold_parent(n, p, retry + node_random(n) % (retry / 4 + 1));
    } else {
        hold_parent(n, p, 0);
        p->hello_due_ms = p->dead_due_ms = 0;
    }
}

void session_refusal(struct node *n, const struct event *ev, const struct refusal *r)
{
    struct peer *p = ev->route.len == 0 ? n->parent : peer_find(n, ev->user_id);
    if (!p || p->session == 0 || p->session != r->session || !route_equal(&p->route, &ev->route))
        return;
    if (p->up) {
        parent_refused(n, p, r);
        return;
    }
    node_log(n, r->code == REFUSAL_GAP ? 2 : 1, "event=refused by=%s code=%d text=%s", p->name,
             r->code, node_quoted(n, r->reason));
    say_why(p, r->reason, "look at that office's log");
    session_end(n, p, r->code == REFUSAL_GAP ? LINE_DOWN : LINE_REFUSED);
}

static void parent_timers(struct node *n, struct peer *p)
{
    if (peer_open(p)) {
        if (n->mono_ms < p->heard_ms + p->silence_ms)
            return;
        session_end(n, p, LINE_DOWN);
        redial(n, p);
    } else if (p->hello_due_ms && n->mono_ms >= p->hello_due_ms) {
        say_hello(n, p);
    } else if (p->dead_due_ms && n->mono_ms >= p->dead_due_ms) {
        session_end(n, p, p->line == LINE_REFUSED ? LINE_REFUSED : LINE_DOWN);
        redial(n, p);
    }
}

void session_timers(struct node *n)
{
    if (n->stopping)
        return;
    if (n->parent)
        parent_timers(n, n->parent);
    for (size_t i = 0; i < n->n_children; i++) {
        struct peer *p = n->children[i];
        if (peer_open(p) && n->mono_ms >= p->heard_ms + p->silence_ms)
            session_end(n, p, LINE_DOWN);
        if (peer_open(p) && n->mono_ms >= p->beat_due_ms)
            beat_send(n, p);
    }
    if (n->parent && peer_open(n->parent) && n->mono_ms >= n->parent->beat_due_ms)
        beat_send(n, n->parent);
}

static void peer_deadline(struct node *n, const struct peer *p)
{
    if (peer_open(p)) {
        node_want(n, p->beat_due_ms);
        node_want(n, p->heard_ms + p->silence_ms);
    } else if (p->up) {
        if (p->hello_due_ms)
            node_want(n, p->hello_due_ms);
        if (p->dead_due_ms)
            node_want(n, p->dead_due_ms);
    }
}

void session_deadline(struct node *n)
{
    if (n->parent)
        peer_deadline(n, n->parent);
    for (size_t i = 0; i < n->n_children; i++)
        peer_deadline(n, n->children[i]);
}
