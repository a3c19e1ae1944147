/* One turn of the loop:
 *
 * - prepare: is anything ready, or due? Then do not sleep (idle); else arm the timer.
 *
 * - poll: the kernel wakes us by ZMQ_FD, control socket, directory watch, signal or timer.
 *
 * - check: serve every source, each with a bound: keys asking to enter, news of the parent's line,
 *   messages, queues, unreachable routes, requests, what a joining node asked of us, a local
 *   change, the deadline, the stop.
 *
 * ZMQ_FD is edge-triggered: it says "ask me" once, and sending or receiving on the socket swallows
 * the edge. So the poll callbacks do nothing but wake us, and both prepare and check ask ZMQ_EVENTS
 * itself. node_step is called from check alone (and once before the loop runs), hence never inside
 * itself. */
#include "node/loop/int.h"

#include "conflict/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TURN_MESSAGES 64 /* taken from one socket before the others have their turn */
#define TURN_MS 100      /* and no new one after this long */
/* In WAL mode a commit is seen by others a moment after its frames were written (the application
 * syncs in between, and the index is shared memory, which no watch reports): look again, each time
 * twice as late. */
#define AGAIN_FIRST_MS 2
#define AGAIN_LAST_MS 128
#define CHANGE_GAP_MS 5 /* between two looks at the database: our own commits wake us too */
#define RETRY_MS 10     /* while a queue waits: the edge of "writable" may be swallowed by a send */
#define TICK_MS 1000    /* the safety net: look at the database, flush, bind, whatever was missed */
#define OVERFLOW_REDIAL_MS 1000
#define STOP_LINGER_MS 200 /* for the goodbye */

struct loop {
    const struct loop_options *o;
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t timer, tick, redial;
    uv_signal_t sigterm, sigint;
    struct watch watch;
    struct control control;
    void *ctx;
    unsigned descriptors; /* how many this process may have */
    struct zap zap;
    struct peers peers;
    struct parent_link parent;
    uv_poll_t *zap_poll, *peers_poll, *door_poll, *parent_poll, *monitor_poll;
    char listen_why[256];          /* why the endpoint is not bound (EVENT_LISTEN); "": it is */
    bool parent_lost;              /* hung up by ourselves: EVENT_LOST is due */
    enum link_news parent_trouble; /* the worst that is logged already */
    struct actions actions;
    uint64_t deadline_ms;
    bool touched;       /* the watch saw a file written */
    bool touched_wal;   /* and it was the -wal file */
    bool changed;       /* EVENT_LOCAL_CHANGE is due */
    uint64_t change_ms; /* when the last one was given */
    uint64_t gap_ms;    /* the next is not before so long after it */
    uint64_t again_ms;  /* after this gap it is worth another look; 0: no more */
    struct routes gone; /* EVENT_UNREACHABLE is due */
    struct spool spool;
    bool done_due; /* and what EVENT_DONE says */
    enum err done_error;
    struct bytes recalled;
    struct log_limit refused, dropped;
    bool stop_asked, ending, ready, bound, listen_due;
    int exit_code;
};

/* The log of a node that runs; who joins is told by the command. */
static void note(const struct loop *l, int level, const char *event, const char *key,
                 const char *value)
{
    if (!l->o->join)
        loop_log_pair(level, event, key, value);
}

/* ---- the line to the parent */

static void hang_up(struct loop *l, int linger_ms)
{
    handle_close(&l->parent_poll);
    handle_close(&l->monitor_poll);
    parent_hang_up(&l->parent, linger_ms);
}

static void fatal(struct loop *l, const char *reason, bool again)
{
    if (l->o->join)
        l->o->join->failed(l->o->join->user, reason);
    else if (!again)
        loop_log_pair(0, "fatal", "reason", reason);
    if (l->o->end) {
        snprintf(l->o->end->reason, sizeof l->o->end->reason, "%s", reason);
        l->o->end->again = again;
    }
    l->exit_code = 1;
    l->ending = true;
}

static void on_redial(uv_timer_t *t)
{
    struct loop *l = t->data;
    char msg[768];
    if (l->ending || !l->o->parent_endpoint[0])
        return;
    enum err e = parent_dial(&l->parent, msg);
    if (e == ERR_BUSY) { /* no descriptor free */
        uv_timer_start(&l->redial, on_redial, TICK_MS, 0);
        return;
    }
    if (e) {
        fatal(l, msg, false);
        return;
    }
    l->parent_poll = handle_open(&l->uv, l->parent.socket);
    l->monitor_poll = handle_open(&l->uv, l->parent.monitor);
}

/* Under which key the next dial knocks. */
static void present(struct loop *l, bool invited)
{
    const struct loop_options *o = l->o;
    memcpy(l->parent.own.key, invited ? o->join->invite_key : o->curve_key, CURVE_KEY_BYTES);
    memcpy(l->parent.own.secret, invited ? o->join->invite_secret : o->curve_secret,
           CURVE_KEY_BYTES);
}

static void redial(struct loop *l, bool invited, uint64_t delay_ms)
{
    if (!l->o->parent_endpoint[0])
        return;
    hang_up(l, 0);
    present(l, invited);
    uv_update_time(&l->uv);
    uv_timer_start(&l->redial, on_redial, delay_ms, 0);
}

/* ---- actions and steps */

static void act_send(struct loop *l, const struct action *a)
{
    if (a->route.len > 0) {
        if (peers_send(&l->peers, &a->route, a->bytes.p, a->bytes.len) == DELIVERY_UNREACHABLE)
            routes_add(&l->gone, &a->route);
        return;
    }
    if (parent_send(&l->parent, a->bytes.p, a->bytes.len) == DELIVERY_UNREACHABLE) {
        /* A message left out would be a gap in the session: better a new line. */
        note(l, 1, "parent_queue_full", NULL, NULL);
        redial(l, false, OVERFLOW_REDIAL_MS);
        l->parent_lost = true;
    }
}

/* The answer comes in the next turn: no step from inside an action. */
static void act_join(struct loop *l, const struct action *a)
{
    const struct loop_join *j = l->o->join;
    l->done_due = true;
    l->recalled = (struct bytes){0};
    if (a->kind == ACTION_KEEP)
        l->done_error = spool_keep(&l->spool, a->bytes);
    else if (a->kind == ACTION_RECALL)
        l->done_error = spool_recall(&l->spool, a->offset, a->len, &l->recalled);
    else
        l->done_error = j->settle(j->user);
    if (a->kind == ACTION_KEEP && l->done_error != ERR_OK)
        j->failed(j->user, strerror(errno)); /* of the write */
}

static void act(struct loop *l, const struct action *a)
{
    trace_action(a);
    switch (a->kind) {
    case ACTION_SEND:
        act_send(l, a);
        break;
    case ACTION_REDIAL:
        redial(l, a->invited, a->delay_ms);
        break;
    case ACTION_REPLY:
        control_reply(&l->control, a->request_id, a->bytes.p, a->bytes.len);
        break;
    case ACTION_READY:
        if (!l->ready)
            notify_send("READY=1");
        l->ready = true;
        break;
    case ACTION_LOG:
        loop_log(a->level, a->text);
        break;
    case ACTION_FATAL:
        fatal(l, a->text, a->again);
        break;
    case ACTION_KEEP:
    case ACTION_RECALL:
    case ACTION_SETTLE:
        act_join(l, a);
        break;
    case ACTION_PROGRESS:
        l->o->join->progress(l->o->join->user);
        break;
    case ACTION_END:
        l->ending = true;
        break;
    }
}

/* Completes the event, steps, and carries out what comes of it. Nothing after the end. */
static void step(struct loop *l, struct event ev)
{
    if (l->ending)
        return;
    ev.mono_ms = loop_mono_ms();
    ev.wall_ms = loop_wall_ms();
    ev.random = loop_random();
    trace_event(&ev);
    node_step(l->o->node, &ev, &l->actions);
    l->deadline_ms = l->actions.deadline_ms;
    for (size_t i = 0; i < l->actions.n; i++)
        act(l, &l->actions.a[i]);
}

/* ---- sources, one function each */

static bool authorise(void *user, const uint8_t key[CURVE_KEY_BYTES], char user_id[256])
{
    struct loop *l = user;
    return node_authorise(l->o->node, key, loop_wall_ms(), user_id);
}

static void on_refused(void *user, const char *address, const char *reason)
{
    struct loop *l = user;
    loop_log_limited(&l->refused, "connection_refused", reason, address);
}

static void serve_zap(struct loop *l)
{
    for (int i = 0; i < TURN_MESSAGES && l->zap.socket && zap_serve(&l->zap); i++)
        ;
}

static void step_text(struct loop *l, enum event_kind kind, const char *text)
{
    step(l, (struct event){kind, .trouble = TROUBLE_STRANGERS, .bytes = (void *)text,
                           .len = strlen(text)});
}

static void serve_monitor(struct loop *l)
{
    const char *why = NULL;
    for (int i = 0; i < TURN_MESSAGES; i++) {
        enum link_news news = link_news_next(l->parent.monitor, &why);
        if (news == NEWS_NONE)
            return;
        if (news == NEWS_UP && !l->parent.up) {
            l->parent_trouble = NEWS_NONE;
            note(l, 2, "parent_connected", "endpoint", l->o->parent_endpoint);
            parent_set_up(&l->parent, true);
            step(l, (struct event){.kind = EVENT_DIALLED});
        } else if (news == NEWS_DOWN && l->parent.up) {
            note(l, 1, "parent_lost", "endpoint", l->o->parent_endpoint);
            parent_set_up(&l->parent, false);
            step(l, (struct event){.kind = EVENT_LOST});
        } else if ((news == NEWS_FAILED || news == NEWS_REFUSED) && news > l->parent_trouble) {
            /* Once: libzmq dials again and again. A refusal says more than the hanging up. */
            l->parent_trouble = news;
            note(l, 0, "parent_refused", "reason", why);
        }
        if (news == NEWS_REFUSED)
            step(l, (struct event){.kind = EVENT_REFUSED});
    }
}

static void give(struct loop *l, struct incoming *in)
{
    if (in->dropped)
        loop_log_limited(&l->dropped, "message_dropped", in->dropped,
                         in->user_id ? in->user_id : "?");
    else
        step(l, (struct event){.kind = EVENT_RECEIVE,
                               .route = in->route,
                               .user_id = in->user_id,
                               .bytes = zmq_msg_data(&in->frame),
                               .len = zmq_msg_size(&in->frame)});
    incoming_release(in);
}

static void serve_parent(struct loop *l)
{
    struct incoming in;
    uint64_t until = loop_mono_ms() + TURN_MS;
    for (int i = 0; i < TURN_MESSAGES && loop_mono_ms() < until && parent_receive(&l->parent, &in);
         i++)
        give(l, &in);
    parent_flush(&l->parent);
    if (l->parent_lost) {
        l->parent_lost = false;
        step(l, (struct event){.kind = EVENT_LOST});
    }
}

static void serve_peers(struct loop *l)
{
    struct incoming in;
    uint64_t until = loop_mono_ms() + TURN_MS;
    for (int i = 0; i < TURN_MESSAGES && loop_mono_ms() < until && peers_receive(&l->peers, &in);
         i++)
        give(l, &in);
    for (struct route gone; !peers_flush(&l->peers, &gone);)
        routes_add(&l->gone, &gone);
}

static void serve_gone(struct loop *l)
{
    /* Only those known now: a step that sends there again adds to the next turn. */
    for (size_t n = l->gone.n; n > 0; n--)
        step(l, (struct event){.kind = EVENT_UNREACHABLE, .route = routes_first(&l->gone)});
}

static void serve_requests(struct loop *l)
{
    struct event ev = {.kind = EVENT_REQUEST};
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
        if (!control_next(&l->control, &ev.request_id, &ev.bytes, &ev.len))
            return;
        step(l, ev);
    }
}

static void serve_done(struct loop *l)
{
    if (!l->done_due)
        return;
    l->done_due = false;
    step(l, (struct event){.kind = EVENT_DONE,
                           .error = l->done_error,
                           .bytes = l->recalled.p,
                           .len = l->recalled.len});
}

static void serve_clock(struct loop *l)
{
    uint64_t now = loop_mono_ms();
    if (l->touched) {
        l->touched = false;
        l->changed = true;
        l->gap_ms = CHANGE_GAP_MS;
        l->again_ms = l->touched_wal ? AGAIN_FIRST_MS : 0;
        l->touched_wal = false;
    }
    if (l->changed && now >= l->change_ms + l->gap_ms) {
        l->changed = l->again_ms != 0;
        l->gap_ms = l->again_ms;
        l->again_ms = l->again_ms * 2 > AGAIN_LAST_MS ? 0 : l->again_ms * 2;
        l->change_ms = now;
        step(l, (struct event){.kind = EVENT_LOCAL_CHANGE});
    }
    if (l->deadline_ms && loop_mono_ms() >= l->deadline_ms)
        step(l, (struct event){.kind = EVENT_TIMER});
}

static void serve_stop(struct loop *l)
{
    if (!l->stop_asked || l->ending)
        return;
    notify_send("STOPPING=1");
    step(l, (struct event){.kind = EVENT_STOP});
    if (!l->ending && l->done_due)
        return; /* a join is being settled: the next turn gives the answer that ends it */
    if (!l->ending)
        note(l, 2, "stopped", NULL, NULL);
    l->ending = true;
}

static void on_check(uv_check_t *h)
{
    struct loop *l = h->data;
    serve_zap(l);
    door_serve(&l->peers.door); /* before the messages: whoever speaks is known by then */
    serve_monitor(l);
    serve_parent(l);
    serve_peers(l);
    serve_gone(l);
    if (l->listen_due)
        step_text(l, EVENT_LISTEN, l->listen_why);
    l->listen_due = false;
    serve_requests(l);
    serve_done(l);
    serve_clock(l);
    serve_stop(l);
    if (l->ending)
        uv_stop(&l->uv);
}

/* ---- when to turn */

static void on_idle(uv_idle_t *h)
{
    (void)h; /* its being active keeps the poll from sleeping */
}

static void on_timer(uv_timer_t *h)
{
    (void)h; /* check looks at the clock */
}

static bool work_waits(struct loop *l)
{
    return l->stop_asked || l->ending || l->parent_lost || l->gone.n > 0 || l->done_due ||
           l->listen_due || link_readable(l->zap.socket) || link_readable(l->peers.door.monitor) ||
           link_readable(l->parent.monitor) || link_readable(l->parent.socket) ||
           link_readable(l->peers.socket) || control_waiting(&l->control);
}

static uint64_t sooner(uint64_t a, uint64_t b) /* 0: never */
{
    return a == 0 || b < a ? b : a;
}

static void on_prepare(uv_prepare_t *h)
{
    struct loop *l = h->data;
    uint64_t now = loop_mono_ms(), next = l->deadline_ms;
    if (l->touched)
        next = now;
    if (l->changed)
        next = sooner(next, l->change_ms + l->gap_ms);
    if (l->peers.n > 0 || l->parent.box.n > 0)
        next = sooner(next, now + RETRY_MS);
    uv_update_time(&l->uv);
    uv_timer_stop(&l->timer);
    if (work_waits(l) || (next && next <= now)) {
        uv_idle_start(&l->idle, on_idle);
        return;
    }
    uv_idle_stop(&l->idle);
    if (next)
        uv_timer_start(&l->timer, on_timer, next - now, 0);
}

static void on_signal(uv_signal_t *h, int number)
{
    struct loop *l = h->data;
    (void)number;
    l->stop_asked = true; /* a second one finds it set */
}

/* ---- the endpoint for children */

/* False: it can never work. An address that is not there yet is tried again at each tick. */
static bool listen_for_children(struct loop *l)
{
    char bound[256], msg[256];
    enum err e = peers_bind(&l->peers, l->o->listen, bound, msg);
    if (e && strcmp(l->listen_why, msg) != 0)
        loop_log_pair(0, "listen_failed", "reason", msg);
    l->listen_due = strcmp(l->listen_why, e ? msg : "") != 0;
    snprintf(l->listen_why, sizeof l->listen_why, "%s", e ? msg : "");
    if (e)
        return e == ERR_BUSY;
    l->bound = true;
    loop_log_pair(2, "listening", "endpoint", bound);
    if (l->o->listening)
        l->o->listening(l->o->user, bound);
    return true;
}

static void on_tick(uv_timer_t *h)
{
    struct loop *l = h->data;
    char text[256];
    l->changed = true;
    if (l->peers.socket && !l->bound && !listen_for_children(l))
        fatal(l, "cannot listen", false);
    if (door_trouble(&l->peers.door, text)) /* what `status` says of it */
        step_text(l, EVENT_TROUBLE, text);
    if (notify_watchdog_us())
        notify_send("WATCHDOG=1");
}

/* ---- begin and end */

static bool open_links(struct loop *l, char msg[256])
{
    struct link_keys own;
    memcpy(own.key, l->o->curve_key, CURVE_KEY_BYTES);
    memcpy(own.secret, l->o->curve_secret, CURVE_KEY_BYTES);
    l->ctx = link_context();
    if (!l->ctx) {
        snprintf(msg, 256, "cannot start ZeroMQ: %s", zmq_strerror(errno));
        return false;
    }
    l->parent = (struct parent_link){.ctx = l->ctx,
                                     .endpoint = l->o->parent_endpoint,
                                     .server_key = l->o->parent_curve_key,
                                     .own = own};
    if (!l->o->listen[0])
        return true;
    l->zap = (struct zap){.authorise = authorise, .refused = on_refused, .user = l};
    if (zap_open(&l->zap, l->ctx, msg) || peers_open(&l->peers, l->ctx, &own, l->descriptors, msg))
        return false;
    l->zap_poll = handle_open(&l->uv, l->zap.socket);
    l->door_poll = handle_open(&l->uv, l->peers.door.monitor);
    l->peers_poll = handle_open(&l->uv, l->peers.socket);
    snprintf(msg, 256, "the endpoint to listen on is not usable");
    return listen_for_children(l);
}

static void start_handles(struct loop *l)
{
    uint64_t tick_ms = TICK_MS, half_watchdog_ms = notify_watchdog_us() / 2000;
    if (half_watchdog_ms > 0 && half_watchdog_ms < tick_ms)
        tick_ms = half_watchdog_ms;
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    uv_timer_init(&l->uv, &l->timer);
    uv_timer_init(&l->uv, &l->tick);
    uv_timer_init(&l->uv, &l->redial);
    uv_signal_init(&l->uv, &l->sigterm);
    uv_signal_init(&l->uv, &l->sigint);
    l->prepare.data = l->check.data = l->tick.data = l->redial.data = l;
    l->sigterm.data = l->sigint.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    uv_timer_start(&l->tick, on_tick, tick_ms, tick_ms);
    uv_signal_start(&l->sigterm, on_signal, SIGTERM);
    uv_signal_start(&l->sigint, on_signal, SIGINT);
    if (!l->o->join)
        watch_start(&l->watch, &l->uv, l->o->db_path, &l->touched, &l->touched_wal);
}

static int finish(struct loop *l)
{
    int exit_code = l->exit_code, linger_ms = exit_code == 0 ? STOP_LINGER_MS : 0;
    control_close(&l->control);
    hang_up(l, linger_ms);
    handle_close(&l->peers_poll);
    handle_close(&l->door_poll);
    handle_close(&l->zap_poll);
    peers_close(&l->peers, linger_ms);
    zap_close(&l->zap);
    handles_end(&l->uv);
    if (l->ctx)
        zmq_ctx_term(l->ctx);
    control_fini(&l->control);
    spool_close(&l->spool);
    mem_free(l->gone.route);
    mem_free(l->actions.a);
    mem_free(l);
    trace_uninstall();
    return exit_code;
}

static enum err open_files(struct loop *l, char msg[256])
{
    if (l->o->join)
        return spool_open(&l->spool, l->o->join->dir, msg);
    return control_open(&l->control, &l->uv, l->o->dir, msg);
}

int loop_run(const struct loop_options *o)
{
    char msg[256] = "cannot start the event loop";
    struct loop *l = mem_alloc(sizeof *l);
    l->o = o;
    l->spool.fd = -1;
    l->descriptors = descriptors_raise();
    signal(SIGPIPE, SIG_IGN); /* a client that hangs up is an error of its write */
    if (uv_loop_init(&l->uv)) {
        fatal(l, msg, false);
        mem_free(l);
        return 1;
    }
    trace_install();
    start_handles(l);
    if (!open_links(l, msg)) {
        fatal(l, msg, false);
    } else if (open_files(l, msg)) {
        fatal(l, msg, true); /* a directory that cannot be written now */
    } else {
        step(l, (struct event){.kind = EVENT_START});
        if (!uv_is_active((uv_handle_t *)&l->redial)) /* unless it dials in its own way */
            on_redial(&l->redial);
    }
    if (!l->ending)
        uv_run(&l->uv, UV_RUN_DEFAULT);
    return finish(l);
}
