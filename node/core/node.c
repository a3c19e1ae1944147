/* One step: the event is handled (what it asks of the database is queued), then time's own work is
 * done (sessions), then the one transaction, then the journal is sent on. */
#include "node/core/internal.h"

#include "node/capture/gap.h"
#include "node/db/neighbour.h"
#include "node/file/printable.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FULL_MIN_MS 1000u
#define FULL_MAX_MS 30000u
#define FULL_LOG_MS 600000u

uint64_t node_random(struct node *n)
{
    uint64_t x = n->rng; /* xorshift64*: Vigna 2016, "An experimental exploration", section 3 */
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    n->rng = x;
    return x * 2685821657736338717ULL;
}

uint64_t node_jitter(struct node *n, uint64_t ms)
{
    return ms / 2 + node_random(n) % (ms + 1);
}

uint64_t node_time(const struct node *n)
{
    int64_t t = (int64_t)n->wall_ms + n->offset_ms;
    return t > 0 ? (uint64_t)t : 0;
}

bool node_is_hub(const struct node *n)
{
    return !n->parent;
}

bool route_equal(const struct route *a, const struct route *b)
{
    return a->len == b->len && memcmp(a->id, b->id, a->len) == 0;
}

struct action *node_action(struct node *n, enum action_kind kind)
{
    struct actions *out = n->out;
    out->a = mem_grow(out->a, out->n, &out->cap, sizeof *out->a);
    struct action *a = &out->a[out->n++];
    *a = (struct action){.kind = kind};
    return a;
}

void node_send(struct node *n, const struct route *r, const struct message *m)
{
    bool is_signed =
        m->type == MESSAGE_HELLO || m->type == MESSAGE_WELCOME || m->type == MESSAGE_HEARTBEAT;
    buf_reset(&n->buf);
    codec_encode(m, is_signed ? n->o.sign_secret : NULL, &n->buf);
    struct action *a = node_action(n, ACTION_SEND);
    a->route = *r;
    a->bytes.p = arena_copy(&n->arena, n->buf.data, n->buf.len);
    a->bytes.len = n->buf.len;
}

__attribute__((format(printf, 2, 0))) static char *arena_format(struct node *n, const char *fmt,
                                                                va_list ap)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, ap);
    return arena_strdup(&n->arena, text);
}

#define LOG_LINES 20u
#define LOG_MINUTE_MS 60000u

const char *node_quoted(struct node *n, const char *text)
{
    struct buf b = {0};
    printable_put_value(&b, text);
    const char *quoted = arena_strdup(&n->arena, buf_str(&b));
    buf_fini(&b);
    return quoted;
}

/* What peers can cause is said LOG_LINES times a minute, a kind of line each, and then how often it
 * was left out: nobody fills the disk or hides other lines among these. */
static bool log_wanted(struct node *n, const char *kind, uint64_t *left_out)
{
    size_t at = 0;
    *left_out = 0;
    while (at + 1 < NODE_LOG_KINDS && n->log[at].kind && n->log[at].kind != kind)
        at++;
    struct log_kind *k = &n->log[at];
    if (k->kind != kind && (!k->kind || at + 1 < NODE_LOG_KINDS)) /* the last is of all others */
        *k = (struct log_kind){.kind = kind, .since_ms = n->mono_ms};
    if (n->mono_ms - k->since_ms >= LOG_MINUTE_MS) {
        *left_out = k->lines > LOG_LINES ? k->lines - LOG_LINES : 0;
        *k = (struct log_kind){.kind = kind, .since_ms = n->mono_ms};
    }
    return ++k->lines <= LOG_LINES;
}

const char *node_why(struct node *n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_format(n, fmt, ap);
    va_end(ap);
    return text;
}

void node_log(struct node *n, int level, const char *fmt, ...)
{
    uint64_t left_out;
    if (!log_wanted(n, fmt, &left_out))
        return;
    va_list ap;
    va_start(ap, fmt);
    struct action *a = node_action(n, ACTION_LOG);
    a->level = level;
    a->text = arena_format(n, fmt, ap);
    va_end(ap);
    if (left_out == 0)
        return;
    struct buf b = {0};
    buf_printf(&b, "%s left_out=%llu", a->text, (unsigned long long)left_out);
    a->text = arena_strdup(&n->arena, buf_str(&b));
    buf_fini(&b);
}

void node_fatal(struct node *n, const char *what)
{
    const char *path = n->store->options.path, *why = store_message(n->store);
    char text[900];
    if (strstr(why, path))
        snprintf(text, sizeof text, "%s: %s", what, why);
    else
        snprintf(text, sizeof text, "%s, %.300s: %s", what, path, why);
    node_action(n, ACTION_FATAL)->text = arena_strdup(&n->arena, text);
    n->dead = true;
}

/* SQLite has rolled back, nothing was acknowledged: the same is tried again, ever more seldom. */
static void wait_for_room(struct node *n, const char *what)
{
    uint64_t wait = (uint64_t)FULL_MIN_MS << (n->full_tries < 6 ? n->full_tries : 6);
    n->full_tries++;
    n->busy_until_ms = n->mono_ms + node_jitter(n, wait < FULL_MAX_MS ? wait : FULL_MAX_MS);
    snprintf(n->full, sizeof n->full, "%s, %.400s: %.100s", what, n->store->options.path,
             store_message(n->store));
    if (n->full_logged_ms && n->mono_ms < n->full_logged_ms + FULL_LOG_MS)
        return;
    n->full_logged_ms = n->mono_ms;
    node_log(n, 0, "event=disk-full text=%s", node_quoted(n, n->full));
}

void node_wrote(struct node *n)
{
    if (n->full[0] == '\0')
        return;
    node_log(n, 2, "event=disk-has-room tries=%u", n->full_tries);
    n->full[0] = '\0';
    n->full_tries = 0;
    n->full_logged_ms = 0;
}

bool node_check(struct node *n, enum err e, const char *what)
{
    if (e != ERR_IO && e != ERR_CORRUPT && e != ERR_FULL)
        return false;
    if (e == ERR_FULL) {
        wait_for_room(n, what);
    } else if (!n->dead) {
        node_fatal(n, what);
        n->out->a[n->out->n - 1].again = true;
    }
    return true;
}

void node_busy(struct node *n)
{
    n->busy_until_ms = n->mono_ms + 20 + node_random(n) % 81;
}

void node_want(struct node *n, uint64_t mono_ms)
{
    if (mono_ms == 0)
        mono_ms = 1;
    if (n->out->deadline_ms == 0 || mono_ms < n->out->deadline_ms)
        n->out->deadline_ms = mono_ms;
}

bool node_outside(struct store *s, uint64_t site, uint64_t seq, char text[256])
{
    const struct store_state *st = store_state_get(s);
    uint64_t own = store_identity_get(s)->site;
    if (site == 0 || (site == own && seq <= st->seq))
        return false;
    if (site != own)
        snprintf(text, 256,
                 "this directory last ran with another database (site %016llx, not %016llx)",
                 (unsigned long long)site, (unsigned long long)own);
    else
        snprintf(text, 256,
                 "the database is older than this office's last run (changeset %llu of %llu): it "
                 "was restored",
                 (unsigned long long)st->seq, (unsigned long long)seq);
    return true;
}

struct node *node_new(const struct node_options *o)
{
    struct node *n = mem_alloc(sizeof *n);
    n->o = *o;
    n->store = o->store;
    n->rng = o->run | 1;
    const struct store_identity *id = store_identity_get(o->store);
    n->name = mem_strdup(id->node);
    n->parent_name = mem_strdup(id->parent);
    n->federation = mem_strdup(id->federation);
    n->hub = mem_strdup(id->hub);
    n->site = id->site;
    n->hub_site = id->hub_site;
    n->doubt_lead_ms = NODE_NO_DOUBT;
    memcpy(n->hub_key, id->hub_sign_key, sizeof n->hub_key);
    if (n->parent_name[0] != '\0')
        n->parent = peer_new(n->parent_name, true);
    n->charter_version = store_state_get(o->store)->charter_version;
    n->suspect = node_outside(o->store, o->outside_site, o->outside_seq, n->suspect_text);
    return n;
}

void node_free(struct node *n)
{
    if (!n)
        return;
    join_fini(n);
    peer_free(n->parent);
    for (size_t i = 0; i < n->n_children; i++)
        peer_free(n->children[i]);
    mem_free(n->children);
    mark_fini(n);
    enrol_fini(n);
    authorise_fini(n);
    load_fini(n);
    scan_fini(n);
    verify_fini(n);
    mem_free(n->name);
    mem_free(n->parent_name);
    mem_free(n->federation);
    mem_free(n->hub);
    buf_fini(&n->buf);
    arena_fini(&n->arena);
    mem_free(n);
}

bool node_moved(struct node *n)
{
    if (!n->dead && store_moved(n->store))
        node_fatal(n, "the database is not the one this node started with");
    return n->dead;
}

/* With a rollback journal to look is to read, which refuses the commit of an application that has
 * no timeout. So one that writes often is looked at when it has been quiet, or after a while. */
static bool may_look(struct node *n)
{
    uint32_t counter, own;
    if (!neighbour_counter(n->store, &counter)) {
        n->touch_first_ms = 0; /* in WAL mode nothing waits for quiet, nor behind it any more */
        return true;
    }
    if (n->look_now || n->stopping)
        return true;
    if (neighbour_own_counter(n->store, &own) && own == counter)
        n->touch_counter = counter;
    if (counter != n->touch_counter) {
        if (n->touch_first_ms == 0)
            n->touch_often = n->touch_last_ms && n->mono_ms < n->touch_last_ms + NODE_QUIET_MOST_MS;
        n->touch_first_ms = n->touch_first_ms ? n->touch_first_ms : n->mono_ms;
        n->touch_last_ms = n->mono_ms;
        n->touch_counter = counter;
    }
    if (n->touch_first_ms == 0)
        return false;
    uint64_t quiet = n->touch_last_ms + (n->touch_often ? NODE_QUIET_MS : n->o.batch_ms);
    uint64_t most = n->touch_first_ms + NODE_QUIET_MOST_MS;
    if (n->mono_ms < quiet && n->mono_ms < most) {
        node_want(n, quiet < most ? quiet : most);
        return false;
    }
    n->touch_first_ms = 0;
    return true;
}

/* The database changed by another hand: look at the log, the triggers, the registry. */
static void look(struct node *n)
{
    bool may = may_look(n);
    store_state_keep(n->store, !may);
    if (!may || (!store_changed(n->store) && !n->look_now))
        return;
    n->look_now = false;
    n->looked = true;
    n->seal_fault[0] = '\0';
    n->authorised_known = false;
    n->local_look = true;
    n->install_due = n->install_due || !store_capture_check(n->store);
    if (store_capture_pending(n->store)) {
        n->notice_last_ms = n->mono_ms;
        if (n->notice_first_ms == 0)
            n->notice_first_ms = n->mono_ms;
    }
}

static void session_message(struct node *n, const struct event *ev, const struct message *m,
                            const struct signed_body *s)
{
    struct peer *p = ev->route.len == 0 ? n->parent : peer_find(n, ev->user_id);
    uint64_t session = m->type == MESSAGE_ITEM  ? m->u.item.session
                       : m->type == MESSAGE_ACK ? m->u.ack.session
                                                : m->u.heartbeat.session;
    if (!p || !peer_open(p) || p->session != session || !route_equal(&p->route, &ev->route)) {
        struct message r = {.type = MESSAGE_REFUSAL};
        r.u.refusal = (struct refusal){.session = session,
                                       .code = REFUSAL_GAP,
                                       .reason = "this session is over here: say hello again",
                                       .retry_ms = 100};
        if (ev->route.len > 0 && m->type == MESSAGE_HEARTBEAT)
            node_send(n, &ev->route, &r);
        return;
    }
    p->heard_ms = n->mono_ms;
    if (m->type == MESSAGE_ITEM)
        stream_item(n, p, &m->u.item);
    else if (m->type == MESSAGE_ACK)
        stream_ack(n, p, &m->u.ack);
    else
        beat_take(n, p, &m->u.heartbeat, s);
}

/* What only our parent says is taken only from it, what only a child says only from a child. */
static void receive(struct node *n, const struct event *ev)
{
    struct message m;
    struct signed_body s;
    bool from_parent = ev->route.len == 0;
    if (from_parent && !n->parent)
        return;
    enum err e = codec_decode(&n->arena, ev->bytes, ev->len, &m, &s.body, &s.signature);
    if (e != ERR_OK) {
        node_log(n, 1, "event=bad-message from=%s error=%s bytes=%zu",
                 from_parent ? n->parent_name : ev->user_id, err_name(e), ev->len);
        return;
    }
    switch (m.type) {
    case MESSAGE_HELLO:
        if (!from_parent)
            session_hello(n, ev, &m.u.hello, &s);
        break;
    case MESSAGE_WELCOME:
        if (from_parent)
            session_welcome(n, &m.u.hello, &s);
        break;
    case MESSAGE_REFUSAL:
        session_refusal(n, ev, &m.u.refusal);
        break;
    case MESSAGE_ITEM:
    case MESSAGE_ACK:
    case MESSAGE_HEARTBEAT:
        session_message(n, ev, &m, &s);
        break;
    case MESSAGE_ENROL:
        if (!from_parent)
            enrol_message(n, ev, &m.u.enrol);
        break;
    case MESSAGE_ENROLLED:
        if (from_parent)
            enrol_reply(n, &m.u.enrolled);
        break;
    case MESSAGE_LOAD_REQUEST:
    case MESSAGE_DIGEST_REQUEST:
        load_message(n, ev, &m);
        break;
    case MESSAGE_LOAD_CHUNK:
        scan_chunk(n, &ev->route, &m.u.load_chunk);
        break;
    case MESSAGE_DIGEST_REPLY:
        if (from_parent)
            verify_reply(n, &m.u.digest_reply);
        break;
    }
}

#define NO_OFFSET ((uint64_t)INT64_MIN) /* none of any clock */

/* What the life before has left to be done. */
static enum err recall(struct node *n)
{
    uint64_t offset, greeted = 0;
    enum err e = store_meta_u64(n->store, "answer_kept", 0, &n->answer_kept);
    if (e == ERR_OK)
        e = store_meta_u64(n->store, META_DOUBT, NODE_NO_DOUBT, &n->doubt_lead_ms);
    if (e != ERR_OK || !n->parent)
        return e;
    e = store_meta_u64(n->store, "offset_ms", NO_OFFSET, &offset);
    if (e == ERR_OK)
        e = store_meta_u64(n->store, "greeted", 0, &greeted);
    n->offset_saved = e == ERR_OK && offset != NO_OFFSET;
    n->offset_ms = n->offset_saved ? (int64_t)offset : 0;
    n->greet_due = greeted != n->site;
    return e;
}

/* Again with the next step where the database is locked. */
static void start(struct node *n)
{
    enum err e = recall(n);
    if (e == ERR_BUSY)
        node_want(n, n->mono_ms + 20 + node_random(n) % 81);
    if (e == ERR_BUSY || node_check(n, e, "what is to be done cannot be read"))
        return;
    if (e != ERR_OK) {
        node_fatal(n, "what is to be done cannot be read");
        return;
    }
    n->start_due = false;
    n->started = true;
    n->install_due = !store_capture_check(n->store);
    n->sweep_more = n->local_look = true;
    n->mark_check = true;
    n->acked_due_ms = n->mono_ms + NODE_ACKED_MS;
    n->gap_open = gap_any_open(n->store, &n->gap_keeps);
    session_start(n);
    wall_start(n);
    node_action(n, ACTION_READY);
    node_log(n, 2, "event=start node=%s site=%016llx seq=%llu", n->name,
             (unsigned long long)n->site, (unsigned long long)store_state_get(n->store)->seq);
    if (n->suspect)
        node_log(n, 1, "event=suspect text=%s", node_quoted(n, n->suspect_text));
}

static void handle(struct node *n, const struct event *ev)
{
    switch (ev->kind) {
    case EVENT_START:
        n->start_due = true;
        break;
    case EVENT_RECEIVE:
        receive(n, ev);
        break;
    case EVENT_UNREACHABLE:
        session_unreachable(n, &ev->route);
        break;
    case EVENT_DIALLED:
        session_dialled(n);
        break;
    case EVENT_LOST:
        if (n->parent)
            session_lost(n, n->parent);
        break;
    case EVENT_REQUEST:
        request_line(n, ev);
        break;
    case EVENT_STOP:
        n->stopping = true;
        break;
    case EVENT_TROUBLE:
        snprintf(n->trouble[ev->trouble], sizeof n->trouble[0], "%.*s", (int)ev->len,
                 (const char *)ev->bytes);
        break;
    case EVENT_REFUSED:
        session_key_refused(n);
        break;
    case EVENT_LISTEN:
        snprintf(n->listen_fault, sizeof n->listen_fault, "%.*s", (int)ev->len,
                 ev->len > 0 ? (const char *)ev->bytes : "");
        break;
    case EVENT_DONE:
    case EVENT_TIMER:
    case EVENT_LOCAL_CHANGE:
        break;
    }
}

/* The event of a node that runs. */
static void run_step(struct node *n, const struct event *ev)
{
    n->again = n->looked = false;
    look(n);
    if (ev->kind == EVENT_LOCAL_CHANGE || ev->kind == EVENT_START)
        (void)node_moved(n);
    if (!n->dead)
        handle(n, ev);
    if (!n->dead && n->start_due)
        start(n);
    if (!n->dead && n->started) {
        session_timers(n);
        scan_timers(n);
        verify_timers(n);
        work_run(n);
        scan_step_over(n);
    }
    if (!n->dead && n->started && !n->stopping) {
        load_answer(n);
        stream_send_acks(n);
        stream_pump(n);
        session_deadline(n);
        work_deadline(n);
        if (n->again)
            node_want(n, n->mono_ms);
    }
}

void node_step(struct node *n, const struct event *ev, struct actions *out)
{
    arena_reset(&n->arena);
    out->n = 0;
    out->deadline_ms = 0;
    n->out = out;
    if (n->dead)
        return;
    wall_step(n, ev);
    n->rng ^= ev->random;
    if (n->rng == 0)
        n->rng = 1;
    if (n->join)
        join_step(n, ev);
    else
        run_step(n, ev);
    n->out = NULL;
}
