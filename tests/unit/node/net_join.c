/* What `tonle join` does, over the queues: enrolment, first load. */
#include "tests/lib/rooms.h"
#include "tests/unit/node/net.h"

#include "protocol/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL 1700000000000ULL
#define HUB 0

/* By another process, as the command does it. */
void net_invite(struct net *t, const char *name, const char *unit, const char *parent,
                uint64_t expires_ms)
{
    struct net_office *hub = &t->office[HUB];
    char key[64];
    snprintf(key, sizeof key, "invite %s", name);
    struct keypair k = keypair_of(key);
    struct node_record r = {.name = name,
                            .unit = unit,
                            .parent = parent,
                            .listen = "",
                            .state = NODE_INVITED,
                            .reads = "",
                            .enrol_expires_ms =
                                expires_ms ? expires_ms : WALL + t->now_ms + 3600000};
    memcpy(r.enrol_key, k.curve_key, CURVE_KEY_BYTES);
    struct store *s = net_open_store(hub);
    NET_MUST(s, store_begin(s));
    NET_MUST(s, store_node_put(s, &r));
    NET_MUST(s, store_commit(s));
    store_close(s);
    office_event(t, hub, EVENT_LOCAL_CHANGE);
}

bool net_client_send(struct net *t, struct net_office *to, int client, const uint8_t *curve_key,
                     const struct message *m)
{
    struct route r = {.len = 2, .id = {2, (uint8_t)client}};
    struct buf b = {0};
    char user_id[256];
    if (!node_authorise(to->node, curve_key, WALL + t->now_ms, user_id))
        return false;
    codec_encode(m, NULL, &b);
    net_post(t, (int)(to - t->office), &r, user_id, b.data, b.len);
    buf_fini(&b);
    return true;
}

bool net_client_receive(struct net *t, int client, struct arena *a, struct message *m)
{
    struct net_message *first = t->to_client[client];
    struct bytes body, signature;
    if (!first)
        return false;
    t->to_client[client] = first->next;
    NET_MUST(NULL, codec_decode(a, arena_copy(a, first->bytes, first->len), first->len, m, &body,
                                &signature));
    net_message_free(first);
    return true;
}

static void exchange(struct net *t, struct net_office *to, const uint8_t *key,
                     const struct message *ask, struct arena *a, struct message *m)
{
    for (int i = 0; i < 300; i++) {
        if (net_client_send(t, to, 0, key, ask)) {
            net_run(t, 100);
            if (net_client_receive(t, 0, a, m))
                return;
        }
        net_run(t, 100);
    }
    fprintf(stderr, "no answer from %s\n", to->name);
    abort();
}

static void enrol_office(struct net *t, struct net_office *o, struct net_office *parent)
{
    struct message ask = {.type = MESSAGE_ENROL}, m = {0};
    struct arena a = {0};
    char name[64];
    snprintf(name, sizeof name, "invite %s", o->name);
    struct keypair invitation = keypair_of(name);
    ask.u.enrol = (struct enrol){.federation = t->federation,
                                 .node = o->name,
                                 .incarnation = 1,
                                 .listen = "",
                                 .software = "test"};
    memcpy(ask.u.enrol.curve_key, o->keys.curve_key, CURVE_KEY_BYTES);
    memcpy(ask.u.enrol.sign_key, o->keys.sign_key, SIGN_PUBLIC_BYTES);
    for (int i = 0; i < 100; i++) {
        exchange(t, parent, invitation.curve_key, &ask, &a, &m);
        if (m.type == MESSAGE_ENROLLED && m.u.enrolled.state != ENROL_PENDING)
            break;
    }
    if (m.type != MESSAGE_ENROLLED || m.u.enrolled.state != ENROL_DONE) {
        fprintf(stderr, "%s: not enrolled: %s\n", o->name,
                m.type == MESSAGE_ENROLLED ? m.u.enrolled.reason : "?");
        abort();
    }
    arena_fini(&a);
}

static void load_table(struct net *t, struct net_office *o, struct store *s, const char *table,
                       uint64_t *pos)
{
    struct arena a = {0};
    struct message ask = {.type = MESSAGE_LOAD_REQUEST}, m;
    ask.u.load_request = (struct load_request){.table = table, .max_rows = 100};
    do {
        ask.u.load_request.request = net_draw(t);
        exchange(t, net_find(t, o->parent), o->keys.curve_key, &ask, &a, &m);
        if (*pos == UINT64_MAX)
            *pos = m.u.load_chunk.pos;
        NET_MUST(s, store_load_chunk(s, &a, &m.u.load_chunk));
        ask.u.load_request.after = m.u.load_chunk.last_key;
    } while (!m.u.load_chunk.end);
    arena_fini(&a);
}

void net_join(struct net *t, struct net_office *o)
{
    static const char *const tables[] = {"tonle_node",     "tonle_site", "tonle_charter",
                                         "tonle_decision", "resident",   "note"};
    struct net_office *hub = &t->office[HUB];
    enrol_office(t, o, net_find(t, o->parent));
    struct store_identity id = {.federation = t->federation,
                                .federation_name = "test",
                                .node = o->name,
                                .unit = "12",
                                .parent = o->parent,
                                .hub = "hub",
                                .hub_site = hub->site,
                                .site = o->site};
    memcpy(id.hub_sign_key, hub->keys.sign_key, SIGN_PUBLIC_BYTES);
    struct store *s = net_open_store(o);
    struct arena a = {0};
    struct load_report report;
    uint64_t pos = UINT64_MAX;
    uint32_t created;
    NET_MUST(s, store_begin(s));
    NET_MUST(s, store_create(s, &id));
    NET_MUST(s, store_load_begin(s, LOAD_EMPTY));
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (i == 4) {
            NET_MUST(s, store_schema_create_missing(s, &created));
            NET_MUST(s, store_capture_install(s)); /* numbers the tables */
        }
        load_table(t, o, s, tables[i], &pos);
    }
    NET_MUST(s, store_load_end(s, &a, &report));
    NET_MUST(s, store_capture_install(s));
    NET_MUST(s, store_peer_received(s, o->parent, pos));
    NET_MUST(s, store_commit(s));
    arena_fini(&a);
    store_close(s);
}

struct net_office *net_grow(struct net *t, const char *name, const char *unit, const char *parent)
{
    net_invite(t, name, unit, parent, 0);
    struct net_office *o = net_add(t, name, parent);
    net_join(t, o);
    office_run(t, o);
    return o;
}

void net_three(struct net *t)
{
    net_start(t);
    net_grow(t, "province", "12", "hub");
    if (!net_settle(t, 20000))
        abort();
    net_grow(t, "district", "1201", "province");
    if (!net_settle(t, 20000))
        abort();
}
