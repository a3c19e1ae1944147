#include "tests/unit/node/net.h"
#include "tests/lib/database.h"
#include "tests/lib/dir.h"
#include "tests/lib/rooms.h"

#include "protocol/seal.h"
#include "protocol/seal_enrol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL 1700000000000ULL
#define HUB 0

static const char usual_charter[] =
    "{\"federation\":\"test\",\"tables\":[{\"name\":\"resident\"},{\"name\":\"note\"}]}";
static const char usual_schema[] =
    "CREATE TABLE resident(id TEXT PRIMARY KEY NOT NULL, name TEXT, phone TEXT) WITHOUT ROWID;"
    "CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, text TEXT) WITHOUT ROWID;";

uint64_t net_draw(struct net *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random;
}

struct keypair keypair_of(const char *name)
{
    struct keypair k;
    uint8_t secret[CURVE_KEY_BYTES];
    seal_hash(name, strlen(name), k.seed);
    seal_keypair(k.seed, k.sign_key, k.sign_secret);
    seal_invite_keypair(k.seed, k.curve_key, secret);
    return k;
}

struct net_office *net_find(struct net *t, const char *name)
{
    for (int i = 0; i < t->n; i++) {
        if (strcmp(t->office[i].name, name) == 0)
            return &t->office[i];
    }
    fprintf(stderr, "no office %s\n", name);
    abort();
}

static int index_of(struct net *t, const struct net_office *o)
{
    return (int)(o - t->office);
}

/* ---- the wire */

void net_post(struct net *t, int to, const struct route *route, const char *user_id, const void *p,
              size_t len)
{
    struct net_message *m = mem_alloc(sizeof *m);
    m->to = to;
    m->route = *route;
    snprintf(m->user_id, sizeof m->user_id, "%s", user_id);
    m->bytes = mem_copy(p, len);
    m->len = len;
    *t->queue_end = m;
    t->queue_end = &m->next;
}

static struct net_message *take(struct net *t)
{
    struct net_message *m = t->queue;
    if (!m)
        return NULL;
    t->queue = m->next;
    if (!t->queue)
        t->queue_end = &t->queue;
    m->next = NULL;
    return m;
}

void net_message_free(struct net_message *m)
{
    mem_free(m->bytes);
    mem_free(m);
}

static void step(struct net *t, struct net_office *o, struct event ev);

/* False: it is dialled again later. A key that the ZAP handler of the office dialled does not know
 * is refused. */
static bool dial(struct net *t, struct net_office *o)
{
    struct net_office *p = net_find(t, o->parent);
    char invite[64];
    snprintf(invite, sizeof invite, "invite %s", o->name);
    struct keypair k = o->invited ? keypair_of(invite) : o->keys;
    if (o->cut || !p->node || p->joining)
        return false;
    if (!node_authorise(p->node, k.curve_key, WALL + t->now_ms, o->user_id)) {
        step(t, o, (struct event){.kind = EVENT_REFUSED});
        return false;
    }
    o->dialled = index_of(t, p);
    o->connection++;
    return true;
}

static void hang_up(struct net *t, struct net_office *o)
{
    (void)t;
    o->dialled = -1;
    o->redial_at_ms = 0;
}

/* The route to an office as its parent sees it. */
static struct route route_to(struct net *t, const struct net_office *o)
{
    return (struct route){.len = 3, .id = {1, (uint8_t)index_of(t, o), o->connection}};
}

/* Counts what is sent; true for an item. */
static bool holds_item(struct net_office *o, const struct action *act)
{
    struct arena a = {0};
    struct message m;
    struct bytes body, signature;
    MUST(NULL, codec_decode(&a, act->bytes.p, act->bytes.len, &m, &body, &signature));
    bool item = m.type == MESSAGE_ITEM;
    o->sent_down_bytes += item && act->route.len > 0 ? m.u.item.bytes.len : 0;
    o->sent_acks += m.type == MESSAGE_ACK;
    o->sent_refusals += m.type == MESSAGE_REFUSAL;
    o->sent_hellos += m.type == MESSAGE_HELLO;
    o->sent_requests += m.type == MESSAGE_LOAD_REQUEST;
    arena_fini(&a);
    return item;
}

/* False: it is nothing that the office lies about. */
static bool lied(struct net *t, const struct action *act, struct buf *out)
{
    struct arena a = {0};
    struct message m;
    struct bytes body, signature;
    MUST(NULL, codec_decode(&a, act->bytes.p, act->bytes.len, &m, &body, &signature));
    bool chunk = m.type == MESSAGE_LOAD_CHUNK && t->lie;
    bool enrol = m.type == MESSAGE_ENROL && t->lie_up;
    if (chunk)
        t->lie(&a, &m.u.load_chunk);
    if (enrol)
        t->lie_up(&m.u.enrol);
    if (chunk || enrol)
        codec_encode(&m, NULL, out);
    arena_fini(&a);
    return chunk || enrol;
}

static bool deliver_down(struct net *t, struct net_office *from, const struct action *a, int copies)
{
    uint8_t kind = a->route.id[0], index = a->route.id[1];
    if (kind == 2) {
        struct net_message *m = mem_alloc(sizeof *m), **end = &t->to_client[index];
        m->bytes = mem_copy(a->bytes.p, a->bytes.len);
        m->len = a->bytes.len;
        while (*end)
            end = &(*end)->next;
        *end = m;
        return true;
    }
    struct net_office *to = &t->office[index];
    if (to->dialled != index_of(t, from) || to->connection != a->route.id[2] || !to->node)
        return false;
    struct buf b = {0};
    if (t->liar != from || !lied(t, a, &b))
        buf_put(&b, a->bytes.p, a->bytes.len);
    for (int i = 0; i < copies; i++)
        net_post(t, index, &(struct route){0}, "", b.data, b.len);
    buf_fini(&b);
    return true;
}

static void send(struct net *t, struct net_office *o, const struct action *a)
{
    int copies = 1;
    if (holds_item(o, a)) {
        if (a->route.len > 0 && t->lose > 0 && t->lose_from == index_of(t, o) && t->lose-- > 0)
            copies = 0;
        if (t->double_from == index_of(t, o))
            copies = 2;
    }
    if (o->silent)
        return;
    if (a->route.len > 0) {
        if (!deliver_down(t, o, a, copies))
            step(t, o, (struct event){.kind = EVENT_UNREACHABLE, .route = a->route});
    } else if (o->dialled >= 0) {
        struct route r = route_to(t, o);
        struct buf b = {0};
        if (t->liar != o || !lied(t, a, &b))
            buf_put(&b, a->bytes.p, a->bytes.len);
        for (int i = 0; i < copies; i++)
            net_post(t, o->dialled, &r, o->user_id, b.data, b.len);
        buf_fini(&b);
    }
}

static void note_log(struct net_office *o, const struct action *a)
{
    size_t len = strlen(o->log), add = strlen(a->text) + 1;
    if (getenv("NET_LOG"))
        fprintf(stderr, "%s: %d %s\n", o->name, a->level, a->text);
    if (len + add + 1 > sizeof o->log)
        len = 0;
    snprintf(o->log + len, sizeof o->log - len, "%s\n", a->text);
}

static void act(struct net *t, struct net_office *o, const struct action *a)
{
    switch (a->kind) {
    case ACTION_SEND:
        send(t, o, a);
        break;
    case ACTION_REDIAL:
        o->dialled = -1;
        o->invited = a->invited;
        o->redial_at_ms = t->now_ms + a->delay_ms + 1;
        break;
    case ACTION_REPLY:
        snprintf(o->reply, sizeof o->reply, "%.*s", (int)a->bytes.len, (const char *)a->bytes.p);
        break;
    case ACTION_READY:
        o->ready = true;
        break;
    case ACTION_LOG:
        note_log(o, a);
        break;
    case ACTION_FATAL:
        o->fatal = true;
        note_log(o, a);
        fprintf(stderr, "%s: fatal: %s\n", o->name, a->text);
        break;
    default:
        net_join_act(o, a);
        break;
    }
}

/* The actions are copied out, because an unreachable route steps the same node again. */
static void step(struct net *t, struct net_office *o, struct event ev)
{
    struct actions *out = &o->actions, own = {0};
    if (!o->node)
        return;
    ev.mono_ms = t->now_ms;
    ev.wall_ms = (uint64_t)((int64_t)(WALL + t->now_ms) + o->clock_error_ms);
    ev.random = net_draw(t);
    o->steps++;
    node_step(o->node, &ev, out);
    struct arena keep = {0};
    size_t n = out->n;
    own.a = mem_copy(out->a, n * sizeof *out->a);
    for (size_t i = 0; i < n; i++) {
        own.a[i].bytes.p = arena_copy(&keep, own.a[i].bytes.p, own.a[i].bytes.len);
        if (own.a[i].text)
            own.a[i].text = arena_strdup(&keep, own.a[i].text);
    }
    for (size_t i = 0; i < n; i++)
        act(t, o, &own.a[i]);
    mem_free(own.a);
    arena_fini(&keep);
}

void net_event(struct net *t, struct net_office *o, enum event_kind kind)
{
    step(t, o, (struct event){.kind = kind});
}

/* A connection that is gone says nothing more. */
static bool stale(struct net *t, const struct net_message *m)
{
    if (m->route.len == 0)
        return t->office[m->to].dialled < 0;
    const struct net_office *from = &t->office[m->route.id[1]];
    return m->route.id[0] == 1 && (from->dialled != m->to || from->connection != m->route.id[2]);
}

static bool deliver_one(struct net *t)
{
    struct net_message *m = take(t);
    if (!m)
        return false;
    if (!stale(t, m))
        step(t, &t->office[m->to],
             (struct event){.kind = EVENT_RECEIVE,
                            .route = m->route,
                            .user_id = m->user_id,
                            .bytes = m->bytes,
                            .len = m->len});
    net_message_free(m);
    return true;
}

static void redials(struct net *t)
{
    for (int i = 0; i < t->n; i++) {
        struct net_office *o = &t->office[i];
        if (!o->node || !o->redial_at_ms || t->now_ms < o->redial_at_ms)
            continue;
        o->redial_at_ms = t->now_ms + 500;
        if (dial(t, o)) {
            o->redial_at_ms = 0;
            net_event(t, o, EVENT_DIALLED);
        }
    }
}

static void timers(struct net *t)
{
    for (int i = 0; i < t->n; i++) {
        struct net_office *o = &t->office[i];
        if (o->node && o->actions.deadline_ms && t->now_ms >= o->actions.deadline_ms)
            net_event(t, o, EVENT_TIMER);
    }
}

static void answers(struct net *t)
{
    for (int i = 0; i < t->n; i++) {
        struct net_office *o = &t->office[i];
        if (!o->done_due)
            continue;
        o->done_due = false;
        step(t, o,
             (struct event){.kind = EVENT_DONE,
                            .error = o->done_error,
                            .bytes = o->recalled.p,
                            .len = o->recalled.len});
    }
}

/* One millisecond of the network. */
static void tick(struct net *t)
{
    for (int i = 0; i < 64 && deliver_one(t); i++)
        ;
    answers(t);
    redials(t);
    timers(t);
    t->now_ms++;
}

/* Time jumps to the next thing to happen. */
static void jump(struct net *t, uint64_t end)
{
    uint64_t next = end;
    if (t->queue)
        return;
    for (int i = 0; i < t->n; i++) {
        struct net_office *o = &t->office[i];
        if (o->node && o->actions.deadline_ms && o->actions.deadline_ms < next)
            next = o->actions.deadline_ms;
        if (o->node && o->redial_at_ms && o->redial_at_ms < next)
            next = o->redial_at_ms;
        if (o->done_due)
            return;
    }
    if (next > t->now_ms)
        t->now_ms = next;
}

void net_run(struct net *t, uint64_t ms)
{
    uint64_t end = t->now_ms + ms;
    while (t->now_ms < end) {
        tick(t);
        jump(t, end);
    }
}

bool net_until(struct net *t, struct net_office *o, const char *sql, const char *text, uint64_t ms)
{
    uint64_t end = t->now_ms + ms;
    while (strcmp(net_text(o, sql), text) != 0) {
        if (t->now_ms >= end)
            return false;
        net_run(t, 20);
    }
    return true;
}

static bool settled(struct net *t)
{
    for (int i = 0; i < t->n; i++) {
        struct net_office *o = &t->office[i];
        if (!o->node || o->joining)
            continue;
        if (!strstr(net_ask(t, o, "{\"do\":\"status\"}"), "\"synced\":true"))
            return false;
        if (clock_compare(&store_state_get(o->store)->clock,
                          &store_state_get(t->office[HUB].store)->clock) != CLOCK_EQUAL)
            return false;
    }
    return true;
}

bool net_settle(struct net *t, uint64_t ms)
{
    uint64_t end = t->now_ms + ms;
    net_run(t, 20);
    while (!settled(t)) {
        if (t->now_ms >= end)
            return false;
        net_run(t, 50);
    }
    return true;
}

/* ---- offices */

void net_sql(struct net *t, struct net_office *o, const char *sql)
{
    database_sql(o->app, sql);
    net_event(t, o, EVENT_LOCAL_CHANGE);
}

const char *net_text(struct net_office *o, const char *sql)
{
    return database_text(o->app, sql);
}

void net_request(struct net *t, struct net_office *o, const char *json)
{
    o->reply[0] = '\0';
    step(t, o,
         (struct event){.kind = EVENT_REQUEST,
                        .bytes = (const uint8_t *)json,
                        .len = strlen(json),
                        .request_id = 1});
}

const char *net_ask(struct net *t, struct net_office *o, const char *json)
{
    net_request(t, o, json);
    for (int i = 0; i < 2000 && o->reply[0] == '\0'; i++)
        net_run(t, 20);
    return o->reply;
}

static void committed(void *user, uint64_t site, uint64_t seq)
{
    struct net_office *o = user;
    o->outside_site = site;
    o->outside_seq = seq;
}

struct store *net_open_store(const struct net_office *o)
{
    return database_store(&(struct store_options){.path = o->path, .busy_ms = 5});
}

void net_boot(struct net *t, struct net_office *o)
{
    o->store = net_open_store(o);
    o->run = net_draw(t) | 1;
    struct node_options no = {.store = o->store,
                              .software = "test",
                              .run = o->run,
                              .seal_rows = o->seal_rows,
                              .batch_ms = 10,
                              .batch_max_ms = 100,
                              .heartbeat_ms = 2000,
                              .mark_ms = 1000,
                              .outside_site = o->outside_site,
                              .outside_seq = o->outside_seq,
                              .committed = committed,
                              .user = o};
    memcpy(no.sign_secret, o->keys.sign_secret, SIGN_SECRET_BYTES);
    o->node = node_new(&no);
    o->actions.deadline_ms = 0;
    net_event(t, o, EVENT_START);
    if (o->parent[0] != '\0')
        o->redial_at_ms = t->now_ms + 1;
}

void net_crash(struct net *t, struct net_office *o)
{
    hang_up(t, o);
    for (int i = 0; i < t->n; i++) {
        struct net_office *c = &t->office[i];
        if (c->dialled == index_of(t, o)) {
            c->dialled = -1;
            net_event(t, c, EVENT_LOST);
            c->redial_at_ms = t->now_ms + 100;
        }
    }
    net_join_over(o);
    node_free(o->node);
    o->node = NULL;
    store_close(o->store);
    o->store = NULL;
}

void net_halt(struct net *t, struct net_office *o)
{
    net_event(t, o, EVENT_STOP);
    net_crash(t, o);
}

void net_cut(struct net *t, struct net_office *o)
{
    o->cut = true;
    hang_up(t, o);
    net_event(t, o, EVENT_LOST);
}

void net_mend(struct net *t, struct net_office *o)
{
    o->cut = false;
    o->redial_at_ms = t->now_ms + 1;
}

/* ---- the federation */

static void open_database(struct net *t, struct net_office *o)
{
    snprintf(o->path, sizeof o->path, "%s/%d.db", t->dir, index_of(t, o));
    o->app = database_app(o->path, NULL, 1000);
    database_sql(o->app, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF");
    database_sql(o->app, t->schema);
}

struct net_office *net_add(struct net *t, const char *name, const char *parent)
{
    struct net_office *o = &t->office[t->n++];
    snprintf(o->name, sizeof o->name, "%s", name);
    snprintf(o->parent, sizeof o->parent, "%s", parent);
    o->keys = keypair_of(name);
    o->site = seal_site(o->keys.sign_key, 1);
    o->dialled = -1;
    open_database(t, o);
    return o;
}

void net_start(struct net *t)
{
    net_start_with(t, usual_schema, usual_charter);
}

void net_start_with(struct net *t, const char *schema, const char *charter)
{
    memset(t, 0, sizeof *t);
    t->schema = schema;
    t->charter = charter;
    t->queue_end = &t->queue;
    t->random = 88172645463325252ULL;
    t->now_ms = 1000;
    t->lose_from = t->double_from = -1;
    snprintf(t->federation, sizeof t->federation, "00112233445566778899aabbccddeeff");
    dir_make(t->dir);
    MUST(NULL, seal_start());
    net_make_hub(t);
    net_boot(t, &t->office[HUB]);
    net_run(t, 100);
}

void net_stop(struct net *t)
{
    struct net_message *m;
    for (int i = 0; i < t->n; i++) {
        struct net_office *o = &t->office[i];
        net_join_over(o);
        node_free(o->node);
        store_close(o->store);
        sqlite3_close(o->app);
        mem_free(o->actions.a);
    }
    while ((m = take(t)))
        net_message_free(m);
    for (int c = 0; c < NET_CLIENTS; c++) {
        while ((m = t->to_client[c])) {
            t->to_client[c] = m->next;
            net_message_free(m);
        }
    }
    dir_remove(t->dir);
}
