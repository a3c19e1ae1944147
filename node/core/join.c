/* An office joins. Each state waits for the parent, for the driver or for a time; `moves` is the
 * table of what may follow what, and every state may go to END.
 *
 *             under the invitation's key                  under our own
 *   BEGIN --> ENROL --the hub has taken our keys--> ADMIT --the first chunk--> FETCH
 *             |  ^                                                               ^
 *     refused |  | not known either                                              |
 *             v  |                                                               |
 *             PROBE --the first chunk, under our own key: enrolled before--------'
 *
 *   FETCH --the internal tables are here, and so is a database--> LOOK --rolled back--> FETCH
 *   FETCH --all tables are here--> LOAD --all are loaded--> SETTLE --committed--> END */
#include "node/core/joining.h"

#include "protocol/seal_enrol.h"

#include <assert.h>
#include <string.h>

#define TRY_MS 500u     /* between two requests to be enrolled */
#define PROBE_MS 4000u  /* for a parent that may know our own key */
#define ADMIT_MS 15000u /* from the hub's word to the parent's */
#define KNOCK_MS 100u   /* between two tries of our own key meanwhile */

#define TO(state) (1u << (state))
static const uint32_t moves[JOIN_STATES] = {
    [JOIN_BEGIN] = TO(JOIN_ENROL) | TO(JOIN_END),
    [JOIN_ENROL] = TO(JOIN_PROBE) | TO(JOIN_ADMIT) | TO(JOIN_END),
    [JOIN_PROBE] = TO(JOIN_ENROL) | TO(JOIN_FETCH) | TO(JOIN_END),
    [JOIN_ADMIT] = TO(JOIN_FETCH) | TO(JOIN_END),
    [JOIN_FETCH] = TO(JOIN_LOOK) | TO(JOIN_LOAD) | TO(JOIN_END),
    [JOIN_LOOK] = TO(JOIN_FETCH) | TO(JOIN_END),
    [JOIN_LOAD] = TO(JOIN_SETTLE) | TO(JOIN_END),
    [JOIN_SETTLE] = TO(JOIN_END),
};

void join_move(struct joining *j, enum join_state to)
{
    assert(moves[j->state] & TO(to));
    assert(!!j->store == (to == JOIN_LOOK || to == JOIN_LOAD || to == JOIN_SETTLE));
    j->state = to;
}

struct node *node_join(const struct join_options *o)
{
    struct node *n = mem_alloc(sizeof *n);
    struct joining *j = mem_alloc(sizeof *j);
    n->rng = o->run | 1;
    n->join = j;
    j->o = *o;
    j->report.mode = o->mode;
    j->report.listen = "";
    join_fetch_begin(j);
    return n;
}

void join_fini(struct node *n)
{
    struct joining *j = n->join;
    if (!j)
        return;
    store_close(j->store);
    buf_fini(&j->fetch.after);
    mem_free(j->fetch.kept);
    arena_fini(&j->arena);
    mem_free(j);
}

const struct join_report *node_join_report(const struct node *n)
{
    return &n->join->report;
}

void join_end(struct node *n, enum join_outcome outcome, enum err error, const char *text)
{
    struct joining *j = n->join;
    j->report.outcome = outcome;
    j->report.error = error;
    j->report.text = text ? arena_strdup(&j->arena, text) : "";
    store_close(j->store);
    j->store = NULL;
    join_move(j, JOIN_END);
    node_action(n, ACTION_END);
    n->dead = true;
}

struct action *join_ask_driver(struct node *n, enum action_kind kind)
{
    assert(!n->join->waits);
    n->join->waits = true;
    return node_action(n, kind);
}

/* ---- enrolment */

static void dial_as(struct node *n, bool invited, uint64_t delay_ms)
{
    struct action *a = node_action(n, ACTION_REDIAL);
    a->invited = invited;
    a->delay_ms = delay_ms;
    n->join->connected = false;
}

static void ask_enrol(struct node *n)
{
    struct joining *j = n->join;
    const struct invitation *inv = j->o.invitation;
    struct message m = {.type = MESSAGE_ENROL};
    m.u.enrol = (struct enrol){.federation = inv->federation,
                               .node = inv->node,
                               .incarnation = j->o.incarnation,
                               .listen = j->o.listen,
                               .software = j->o.software};
    memcpy(m.u.enrol.curve_key, j->o.keys->curve_key, CURVE_KEY_BYTES);
    memcpy(m.u.enrol.sign_key, j->o.keys->sign_key, SIGN_PUBLIC_BYTES);
    seal_enrol(&m.u.enrol, inv->enrol_secret);
    node_send(n, &(struct route){0}, &m);
    j->try_ms = n->mono_ms + TRY_MS;
}

static void start(struct node *n)
{
    join_move(n->join, JOIN_ENROL);
    n->join->reach_ms = n->mono_ms + JOIN_REACH_MS;
    dial_as(n, true, 0);
}

static void hub_answered(struct node *n, const struct enrolled *r)
{
    struct joining *j = n->join;
    const struct invitation *inv = j->o.invitation;
    bool own = strcmp(r->node, inv->node) == 0 &&
               memcmp(r->sign_key, j->o.keys->sign_key, SIGN_PUBLIC_BYTES) == 0;
    if (!own || r->state == ENROL_PENDING)
        return; /* it is asked again */
    if (r->state == ENROL_REFUSED) {
        join_end(n, JOIN_HUB_REFUSES, ERR_REFUSED, r->reason);
    } else if (r->hub_site != inv->hub_site ||
               memcmp(r->hub_sign_key, inv->hub_sign_key, SIGN_PUBLIC_BYTES) != 0) {
        join_end(n, JOIN_OTHER_HUB, ERR_REFUSED, NULL);
    } else {
        join_move(j, JOIN_ADMIT);
        j->until_ms = n->mono_ms + ADMIT_MS;
        dial_as(n, false, 0);
    }
}

/* Our own key is not known either. The hub itself would know it; elsewhere the word of the
 * invitation may still be on its way down. */
static void probed_in_vain(struct node *n)
{
    struct joining *j = n->join;
    const struct invitation *inv = j->o.invitation;
    if (strcmp(inv->parent, inv->hub_node) == 0 || n->mono_ms >= j->reach_ms) {
        join_end(n, JOIN_KEY_REFUSED, ERR_REFUSED, NULL);
        return;
    }
    join_move(j, JOIN_ENROL);
    dial_as(n, true, TRY_MS);
}

/* ---- events */

static void dialled(struct node *n)
{
    struct joining *j = n->join;
    j->connected = true;
    if (j->state == JOIN_ENROL) {
        j->refused = false;
        ask_enrol(n);
    } else if (j->state <= JOIN_FETCH && !j->waits) {
        join_fetch_ask(n);
    }
}

static void refused(struct node *n)
{
    struct joining *j = n->join;
    j->connected = false;
    switch (j->state) {
    case JOIN_ENROL:
        j->refused = true;
        join_move(j, JOIN_PROBE);
        j->until_ms = n->mono_ms + PROBE_MS;
        dial_as(n, false, 0);
        break;
    case JOIN_PROBE:
        probed_in_vain(n);
        break;
    case JOIN_ADMIT:
        dial_as(n, false, KNOCK_MS);
        break;
    case JOIN_FETCH:
        join_fetch_failed(n, ERR_REFUSED);
        break;
    default:
        break; /* the parent is not needed any more */
    }
}

static void enrol_answer(struct node *n, const struct message *m)
{
    n->join->answered = true;
    if (m->type == MESSAGE_REFUSAL)
        join_end(n, JOIN_PARENT_REFUSES, ERR_REFUSED, m->u.refusal.reason);
    else if (m->type == MESSAGE_ENROLLED)
        hub_answered(n, &m->u.enrolled);
}

static void receive(struct node *n, const struct event *ev)
{
    struct joining *j = n->join;
    struct message m;
    struct bytes body, signature;
    if (j->state > JOIN_FETCH)
        return;
    enum err e = codec_decode(&n->arena, ev->bytes, ev->len, &m, &body, &signature);
    if (j->state == JOIN_ENROL) {
        if (e == ERR_OK)
            enrol_answer(n, &m);
    } else if (e != ERR_OK) {
        join_fetch_nonsense(n, e);
    } else {
        join_fetch_chunk(n, &m, (struct bytes){ev->bytes, ev->len});
    }
}

static void done(struct node *n, const struct event *ev)
{
    struct joining *j = n->join;
    assert(j->waits);
    j->waits = false;
    if (j->state == JOIN_FETCH)
        join_fetch_kept(n, ev->error);
    else if (j->state == JOIN_SETTLE)
        join_load_settled(n, ev->error);
    else
        join_load_recalled(n, ev);
}

/* ---- time */

static void enrol_timers(struct node *n)
{
    struct joining *j = n->join;
    if (n->mono_ms >= j->reach_ms) {
        join_end(n,
                 j->refused    ? JOIN_KEY_REFUSED
                 : j->answered ? JOIN_NOT_ANSWERED
                               : JOIN_NOT_REACHED,
                 ERR_BUSY, NULL);
        return;
    }
    if (j->connected && n->mono_ms >= j->try_ms)
        ask_enrol(n);
    if (j->connected)
        node_want(n, j->try_ms);
    node_want(n, j->reach_ms);
}

static void fetch_timers(struct node *n)
{
    struct joining *j = n->join;
    if (j->waits)
        return;
    if (n->mono_ms >= j->until_ms) {
        if (j->state == JOIN_PROBE)
            probed_in_vain(n);
        else if (j->state == JOIN_ADMIT)
            join_end(n, JOIN_NOT_ADMITTED, ERR_BUSY, NULL);
        else
            join_fetch_failed(n, ERR_BUSY);
        return;
    }
    if (j->connected && n->mono_ms >= j->fetch.again_ms)
        join_fetch_ask(n);
    if (j->connected)
        node_want(n, j->fetch.again_ms);
    node_want(n, j->until_ms);
}

void join_step(struct node *n, const struct event *ev)
{
    struct joining *j = n->join;
    switch (ev->kind) {
    case EVENT_START:
        start(n);
        break;
    case EVENT_DIALLED:
        dialled(n);
        break;
    case EVENT_LOST:
        j->connected = false; /* the driver dials on */
        break;
    case EVENT_REFUSED:
        refused(n);
        break;
    case EVENT_RECEIVE:
        if (ev->route.len == 0)
            receive(n, ev);
        break;
    case EVENT_DONE:
        done(n, ev);
        break;
    case EVENT_STOP:
        if (j->state != JOIN_SETTLE) /* there the end is one answer away, which is due */
            join_end(n, JOIN_STOPPED, ERR_BUSY, NULL);
        break;
    case EVENT_TIMER:
    case EVENT_LOCAL_CHANGE:
    case EVENT_UNREACHABLE:
    case EVENT_REQUEST:
    case EVENT_TROUBLE:
    case EVENT_LISTEN:
        break;
    }
    if (j->state == JOIN_ENROL)
        enrol_timers(n);
    else if (j->state == JOIN_PROBE || j->state == JOIN_ADMIT || j->state == JOIN_FETCH)
        fetch_timers(n);
}
