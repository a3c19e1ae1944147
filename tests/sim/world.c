#include "tests/sim/world.h"
#include "node/capture/capture.h"
#include "node/store/store.h"

#include "conflict/value.h"
#include "protocol/codec.h"
#include "protocol/seal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t world_random(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

void world_aside(struct world *w)
{
    uint64_t other = w->aside;
    w->aside = w->random;
    w->random = other;
}

uint32_t world_below(struct world *w, uint32_t n)
{
    return (uint32_t)((world_random(w) >> 16) % n);
}

bool world_chance(struct world *w, uint32_t per_mille)
{
    return world_below(w, 1000) < per_mille;
}

void world_break(struct world *w, const char *promise, const char *fmt, ...)
{
    va_list ap;
    if (w->broken[0] != '\0')
        return;
    int n = snprintf(w->broken, sizeof w->broken, "promise %s, at %llu ms: ", promise,
                     (unsigned long long)w->now);
    va_start(ap, fmt);
    vsnprintf(w->broken + n, sizeof w->broken - (size_t)n, fmt, ap);
    va_end(ap);
}

static void trace(struct world *w, const void *p, size_t n)
{
    w->trace = bytes_hash(w->trace, p, n);
}

/* ---- the queue ---- */

static struct happening *push(struct world *w, enum what what, int node, uint64_t at)
{
    w->queue = mem_grow(w->queue, w->n_queue, &w->cap_queue, sizeof *w->queue);
    struct happening *h = &w->queue[w->n_queue++];
    *h = (struct happening){
        .at = at, .order = world_random(w), .number = ++w->number, .what = what, .node = node};
    return h;
}

void world_later(struct world *w, enum what what, int node, uint64_t delay, uint64_t link)
{
    push(w, what, node, w->now + delay)->link = link;
}

static bool before(const struct happening *a, const struct happening *b)
{
    if (a->at != b->at)
        return a->at < b->at;
    return a->order != b->order ? a->order < b->order : a->number < b->number;
}

static struct happening pop(struct world *w)
{
    size_t best = 0;
    for (size_t i = 1; i < w->n_queue; i++)
        best = before(&w->queue[i], &w->queue[best]) ? i : best;
    struct happening h = w->queue[best];
    w->queue[best] = w->queue[--w->n_queue];
    return h;
}

/* ---- links ---- */

static void cut(struct world *w, struct machine *child)
{
    if (child->link == 0)
        return;
    world_later(w, WHAT_LOST, (int)(child - w->m), 1 + world_below(w, 20), child->link);
    child->link = 0;
    w->cuts++;
}

static void dial(struct world *w, struct machine *child, uint64_t delay)
{
    world_later(w, WHAT_DIAL, (int)(child - w->m), delay, 0);
}

int world_offices(const struct world *w)
{
    return w->puppet ? w->n + 1 : w->n;
}

int world_office_of(const struct world *w, uint64_t site)
{
    for (int i = 0; i < world_offices(w); i++) {
        if (w->m[i].o.site == site)
            return i;
    }
    return -1;
}

static struct machine *child_of_link(struct world *w, uint64_t link)
{
    for (int i = 0; i < world_offices(w); i++) {
        if (link != 0 && w->m[i].link == link)
            return &w->m[i];
    }
    return NULL;
}

/* What a message promises is promised when it leaves. */
static void look(struct world *w, struct machine *from, struct machine *to, struct bytes b)
{
    struct arena a = {0};
    struct message msg;
    struct bytes body, signature;
    if (codec_decode(&a, b.p, b.len, &msg, &body, &signature) != ERR_OK)
        world_break(w, "8", "%s sent a message that cannot be read", from->o.name);
    else
        oracle_sent(w, from, to, &msg);
    arena_fini(&a);
}

void world_send(struct world *w, struct machine *from, const struct action *a)
{
    uint64_t link = from->link;
    int to = from->parent;
    uint64_t *last = &from->last_up;
    if (a->route.len != 0) {
        memcpy(&link, a->route.id, sizeof link);
        struct machine *child = child_of_link(w, link);
        if (!child) {
            world_later(w, WHAT_UNREACHABLE, (int)(from - w->m), 0, link);
            return;
        }
        to = (int)(child - w->m);
        last = &child->last_down;
    }
    look(w, from, &w->m[to], a->bytes);
    if (link == 0 ||
        (!w->healing && world_chance(w, 3))) { /* a message may be lost: the receiver must see it */
        w->drops++;
        return;
    }
    uint64_t at = w->now + 1 + world_below(w, world_chance(w, 50) ? 400 : 12);
    *last = at > *last ? at : *last;
    struct happening *h = push(w, WHAT_PACKET, to, *last);
    h->order = h->number; /* one connection keeps its order */
    h->from = (int)(from - w->m);
    h->link = link;
    h->bytes = mem_copy(a->bytes.p, a->bytes.len);
    h->len = a->bytes.len;
}

/* ---- machines ---- */

static void committed(void *user, uint64_t site, uint64_t seq)
{
    struct machine *m = user;
    m->outside_site = site;
    m->outside_seq = seq;
}

uint64_t world_wall_ms(const struct world *w, const struct machine *m)
{
    return (uint64_t)((int64_t)(1700000000000ULL + w->now) + m->skew_ms);
}

static bool is_on(const struct machine *m)
{
    return m->alive || m->joining;
}

void world_power_off(struct world *w, struct machine *m, bool lose_power)
{
    bool joining = m->joining;
    if (!is_on(m))
        return;
    m->alive = m->joining = false;
    m->timer++;
    oracle_stop(m);
    if (lose_power)
        disk_crash(w->disk, m->o.path);
    node_free(m->node);
    m->node = NULL;
    store_close(m->o.store);
    m->o.store = NULL;
    if (lose_power)
        app_close(m);
    w->crashes++;
    cut(w, m);
    for (int i = 0; i < world_offices(w); i++) {
        if (w->m[i].parent == (int)(m - w->m))
            cut(w, &w->m[i]);
    }
    world_later(w, joining ? WHAT_JOIN : WHAT_START, (int)(m - w->m),
                (joining ? 1000 : 200) + world_below(w, 4000), 0);
}

static void act(struct world *w, struct machine *m)
{
    for (size_t i = 0; i < m->out.n; i++) {
        const struct action *a = &m->out.a[i];
        switch (a->kind) {
        case ACTION_SEND:
            trace(w, a->bytes.p, a->bytes.len);
            world_send(w, m, a);
            break;
        case ACTION_REDIAL:
            m->link = 0;
            m->late.invited = a->invited;
            dial(w, m, a->delay_ms);
            break;
        case ACTION_LOG:
            if (w->verbose)
                printf("%8llu %s: %s\n", (unsigned long long)w->now, m->o.name, a->text);
            if (!w->puppet && (strstr(a->text, "suspect: ") ||
                               (!w->profile.gaps && strstr(a->text, "event=rows-astray"))))
                world_break(w, "4", "%s: %s", m->o.name, a->text);
            break;
        case ACTION_FATAL:
            if (!disk_failed(w->disk))
                world_break(w, "1", "%s ended: %s", m->o.name, a->text);
            world_power_off(w, m, true);
            return;
        case ACTION_REPLY:
            snprintf(w->reply, sizeof w->reply, "%.*s", (int)a->bytes.len,
                     (const char *)a->bytes.p);
            break;
        case ACTION_KEEP:
        case ACTION_RECALL:
        case ACTION_SETTLE:
            late_ask(w, m, a);
            break;
        case ACTION_END:
            late_over(w, m);
            return;
        default:
            break;
        }
    }
}

void world_step(struct world *w, struct machine *m, struct event *ev)
{
    if (m == &w->m[w->n])
        puppet_event(w, ev);
    if (!m->node)
        return;
    ev->mono_ms = w->now;
    ev->wall_ms = world_wall_ms(w, m);
    ev->random = world_random(w);
    disk_set_time(w->disk, ev->wall_ms);
    trace(w, &ev->kind, sizeof ev->kind);
    w->steps++;
    m->steps++;
    node_step(m->node, ev, &m->out);
    act(w, m);
    if (!is_on(m))
        return;
    if (disk_failed(
            w->disk)) { /* it met the failure and did not say so: the machine dies all the same */
        world_power_off(w, m, true);
        return;
    }
    if (m->out.deadline_ms) {
        uint64_t at = m->out.deadline_ms > w->now ? m->out.deadline_ms : w->now + 1;
        world_later(w, WHAT_TIMER, (int)(m - w->m), at - w->now, ++m->timer);
    }
    if (w->breach != BREACH_NONE && m->alive)
        breach_step(w, m);
    oracle_step(w, m);
}

static void power_on(struct world *w, struct machine *m)
{
    if (m->alive)
        return;
    if (!m->o.app)
        app_open(w, m);
    office_open_store(&m->o);
    struct node_options o = {.store = m->o.store,
                             .software = "sim",
                             .run = world_random(w),
                             .batch_ms = 10,
                             .batch_max_ms = 100,
                             .heartbeat_ms = 500,
                             .mark_ms = 300,
                             .outside_site = m->outside_site,
                             .outside_seq = m->outside_seq,
                             .seal_rows = w->profile.seal_rows,
                             .committed = committed,
                             .user = m};
    memcpy(o.sign_secret, m->o.secret, sizeof o.sign_secret);
    m->node = node_new(&o);
    m->alive = true;
    oracle_start(w, m);
    struct event ev = {.kind = EVENT_START};
    world_step(w, m, &ev);
    if (m->parent >= 0)
        dial(w, m, 1 + world_below(w, 100));
    for (int i = 0; i < world_offices(w); i++) {
        if (w->m[i].parent == (int)(m - w->m) && w->m[i].link == 0)
            dial(w, &w->m[i], 50 + world_below(w, 500));
    }
}

/* ---- what happens ---- */

static void stop(struct world *w, struct machine *m)
{
    struct event ev = {.kind = EVENT_STOP};
    world_step(w, m, &ev);
    if (!m->alive)
        return;
    w->stops++;
    w->crashes--;
    world_power_off(w, m, false);
}

static void fault(struct world *w)
{
    struct machine *m = &w->m[world_below(w, (uint32_t)w->n)];
    switch (world_below(w, 7)) {
    case 3:
        stop(w, m);
        break;
    case 0:
        world_power_off(w, m, true);
        break;
    case 1:
        world_power_off(w, m, false); /* kill -9: the application goes on */
        break;
    case 2:
        if (is_on(m) && !m->open_tx)
            disk_fail_after(w->disk, m->o.path, 1 + world_below(w, 40));
        break;
    default:
        if (m->parent < 0 || (!m->line && w->profile.away_ms))
            break;
        m->line = !m->line;
        if (m->line) {
            dial(w, m, 1 + world_below(w, 300));
            break;
        }
        cut(w, m);
        if (w->profile.away_ms)
            world_later(w, WHAT_LINE, (int)(m - w->m), world_below(w, w->profile.away_ms), 0);
    }
    if (!w->healing)
        world_later(w, WHAT_FAULT, 0, 300 + world_below(w, 3000), 0);
}

static void dialled(struct world *w, struct machine *m)
{
    if (m->parent < 0 || !is_on(m) || !m->line || m->link != 0)
        return;
    if (!w->m[m->parent].alive) {
        dial(w, m, 200 + world_below(w, 300));
        return;
    }
    if (m->joining && !late_let_in(w, m))
        return;
    m->link = ++w->links;
    m->last_up = m->last_down = w->now;
    struct event ev = {.kind = EVENT_DIALLED};
    world_step(w, m, &ev);
}

/* True when the machine is not there any more to receive it. */
static bool breached(struct world *w, struct machine *m, const struct happening *h)
{
    struct arena a = {0};
    struct message msg;
    struct bytes body, signature;
    if (codec_decode(&a, h->bytes, h->len, &msg, &body, &signature) == ERR_OK)
        breach_packet(w, m, &w->m[h->from], &msg);
    arena_fini(&a);
    return !m->alive;
}

static void received(struct world *w, struct machine *m, const struct happening *h)
{
    struct event ev = {.kind = EVENT_RECEIVE, .bytes = h->bytes, .len = h->len, .user_id = ""};
    struct machine *child = child_of_link(w, h->link);
    if (!child)
        return; /* that connection is gone, and what was under way on it */
    if (child != m) {
        ev.route.len = sizeof h->link;
        memcpy(ev.route.id, &h->link, sizeof h->link);
        ev.user_id = child->joining ? child->late.user_id : child->o.name;
    }
    if (w->breach != BREACH_NONE && breached(w, m, h))
        return;
    world_step(w, m, &ev);
}

static void happen(struct world *w, struct happening *h)
{
    struct machine *m = &w->m[h->node];
    struct event ev = {0};
    trace(w, &h->at, sizeof h->at);
    switch (h->what) {
    case WHAT_PACKET:
        received(w, m, h);
        break;
    case WHAT_TIMER:
        ev.kind = EVENT_TIMER;
        if (h->link == m->timer)
            world_step(w, m, &ev);
        break;
    case WHAT_CHANGE:
        ev.kind = EVENT_LOCAL_CHANGE;
        world_step(w, m, &ev);
        break;
    case WHAT_APP:
        if (m->o.app &&
            (w->profile.write_loading || !m->alive || !store_state_get(m->o.store)->loading))
            app_write(w, m);
        world_later(w, WHAT_CHANGE, h->node, 1 + world_below(w, 30), 0);
        if (!w->healing && h->link)
            world_later(w, WHAT_APP, h->node, 20 + world_below(w, w->profile.pause_ms), 1);
        if (disk_failed(w->disk))
            world_power_off(w, m, true);
        break;
    case WHAT_DIAL:
        dialled(w, m);
        break;
    case WHAT_LOST:
        ev.kind = EVENT_LOST;
        if (m->link == 0) {
            world_step(w, m, &ev);
            dial(w, m, 100 + world_below(w, 400));
        }
        break;
    case WHAT_UNREACHABLE:
        ev.kind = EVENT_UNREACHABLE;
        ev.route.len = sizeof h->link;
        memcpy(ev.route.id, &h->link, sizeof h->link);
        world_step(w, m, &ev);
        break;
    case WHAT_FAULT:
        if (!w->healing)
            fault(w);
        break;
    case WHAT_START:
        power_on(w, m);
        break;
    case WHAT_JOIN:
        late_start(w, m);
        break;
    case WHAT_DONE:
        late_answer(w, m, h->link);
        break;
    case WHAT_DESK:
        if (!w->healing)
            desk_decide(w, m);
        if (!w->healing)
            world_later(w, WHAT_DESK, h->node, 300 + world_below(w, 6000), 0);
        if (disk_failed(w->disk))
            world_power_off(w, m, true);
        break;
    case WHAT_GAP:
        world_aside(w);
        m = &w->m[world_below(w, (uint32_t)w->n)];
        if (!w->healing) {
            if (w->profile.flips)
                gap_flip(w, m);
            else
                gap_make(w, m);
            world_later(w, WHAT_CHANGE, (int)(m - w->m), 1 + world_below(w, 30), 0);
            world_later(w, WHAT_GAP, 0, 500 + world_below(w, 5000), 0);
        }
        world_aside(w);
        if (disk_failed(w->disk))
            world_power_off(w, m, true);
        break;
    case WHAT_CLOCK:
        if (!w->healing)
            clocks_jump(w);
        break;
    case WHAT_IGNORE:
        if (!w->healing)
            ignore_turn(w);
        break;
    case WHAT_PUPPET:
        puppet_turn(w);
        break;
    case WHAT_LINE:
        if (!m->line) {
            m->line = true;
            dialled(w, m);
        }
        break;
    case WHAT_AGAIN:
        again_apply(w, m);
        if (disk_failed(w->disk))
            world_power_off(w, m, true);
        if (!w->healing)
            world_later(w, WHAT_AGAIN, h->node, 500 + world_below(w, 3000), 0);
        break;
    }
    mem_free(h->bytes);
}

void world_run(struct world *w, uint64_t ms)
{
    uint64_t end = w->now + ms;
    while (w->n_queue > 0 && w->broken[0] == '\0') {
        struct happening h = pop(w);
        if (h.at > end) {
            w->queue[w->n_queue++] = h;
            break;
        }
        w->now = h.at;
        happen(w, &h);
    }
    w->now = end;
}

void world_stop(struct world *w)
{
    for (int i = 0; i < w->n; i++) {
        struct machine *m = &w->m[i];
        oracle_stop(m);
        node_free(m->node);
        store_close(m->o.store);
        sqlite3_close(m->o.app);
        arena_fini(&m->o.arena);
        mem_free(m->out.a);
        late_fini(m);
    }
    for (size_t i = 0; i < w->n_queue; i++)
        mem_free(w->queue[i].bytes);
    mem_free(w->queue);
    disk_free(w->disk);
    stray_fini(w);
    mem_free(w->meant.at);
    mem_free(w->meant.told);
    puppet_fini(w);
    mem_free(w->wrote);
    schema_fini(&w->schema);
}
