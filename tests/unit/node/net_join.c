/* How a federation grows: what the administrator of the hub and the driver of a joining node do;
 * and messages of a client that is no node at all. */
#include "node/charter/charter.h"
#include "tests/lib/rooms.h"
#include "tests/unit/node/net.h"

#include "protocol/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL 1700000000000ULL
#define HUB 0

void net_make_hub(struct net *t)
{
    struct net_office *o = net_add(t, "hub", "");
    struct store *s = net_open_store(o);
    struct arena a = {0};
    struct finding *finding;
    size_t n;
    struct store_identity id = {.federation = t->federation,
                                .federation_name = "test",
                                .node = "hub",
                                .unit = "",
                                .parent = "",
                                .hub = "hub",
                                .hub_site = o->site,
                                .site = o->site};
    memcpy(id.hub_sign_key, o->keys.sign_key, SIGN_PUBLIC_BYTES);
    struct charter rules;
    char why[CHARTER_MSG_BYTES];
    struct charter_record charter = {
        .version = 1, .schema_version = 1, .yaml = "", .published_ms = WALL};
    struct node_record r = {.name = "hub",
                            .unit = "",
                            .parent = "",
                            .listen = "",
                            .state = NODE_ACTIVE,
                            .site = o->site,
                            .reads = "",
                            .joined_ms = WALL};
    memcpy(r.curve_key, o->keys.curve_key, CURVE_KEY_BYTES);
    memcpy(r.sign_key, o->keys.sign_key, SIGN_PUBLIC_BYTES);
    MUST(s, charter_read(&a, t->charter, strlen(t->charter), &rules, why));
    MUST(s, store_schema_complete(s, &a, &rules, &rules, &finding, &n));
    MUST(s, charter_write(&a, &rules, &charter.compiled));
    MUST(s, store_begin(s));
    MUST(s, store_create(s, &id));
    MUST(s, store_charter_put(s, &charter));
    MUST(s, store_node_put(s, &r));
    MUST(s, store_capture_install(s));
    MUST(s, store_commit(s));
    arena_fini(&a);
    store_close(s);
}

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
    MUST(s, store_begin(s));
    MUST(s, store_node_put(s, &r));
    MUST(s, store_commit(s));
    store_close(s);
    net_event(t, hub, EVENT_LOCAL_CHANGE);
}

void net_retire(struct net *t, const char *name)
{
    struct net_office *hub = &t->office[0];
    struct arena a = {0};
    struct node_record r;
    struct store *s = net_open_store(hub);
    MUST(s, store_begin(s));
    MUST(s, store_node_get(s, &a, name, &r));
    r.state = NODE_RETIRED;
    MUST(s, store_node_put(s, &r));
    MUST(s, store_commit(s));
    store_close(s);
    arena_fini(&a);
    net_event(t, hub, EVENT_LOCAL_CHANGE);
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
    MUST(NULL, codec_decode(a, arena_copy(a, first->bytes, first->len), first->len, m, &body,
                            &signature));
    net_message_free(first);
    return true;
}

/* ---- the driver of a joining node */

void net_invitation(struct net *t, struct net_office *o)
{
    const struct net_office *hub = &t->office[HUB];
    o->invitation = (struct invitation){.federation = t->federation,
                                        .federation_name = "test",
                                        .node = o->name,
                                        .unit = "12",
                                        .parent = net_find(t, o->parent)->name,
                                        .listen = "",
                                        .hub_node = hub->name,
                                        .hub_site = hub->site};
    char key[64];
    snprintf(key, sizeof key, "invite %s", o->name);
    memcpy(o->invitation.enrol_secret, keypair_of(key).seed, INVITE_SECRET_BYTES);
    memcpy(o->invitation.hub_sign_key, hub->keys.sign_key, SIGN_PUBLIC_BYTES);
}

void net_join_begin(struct net *t, struct net_office *o, enum load_mode mode)
{
    if (!o->invitation.node)
        net_invitation(t, o);
    memcpy(o->join_keys.sign_key, o->keys.sign_key, SIGN_PUBLIC_BYTES);
    memcpy(o->join_keys.curve_key, o->keys.curve_key, CURVE_KEY_BYTES);
    struct join_options jo = {.invitation = &o->invitation,
                              .keys = &o->join_keys,
                              .incarnation = 1,
                              .listen = "",
                              .software = "test",
                              .run = net_draw(t),
                              .mode = mode,
                              .renumber = o->renumber,
                              .dry_run = o->dry_run,
                              .store = {.path = o->path, .busy_ms = 5},
                              .chunk_rows = 100,
                              .again_ms = 3000};
    o->node = node_join(&jo);
    o->joining = true;
    o->ended = false;
    net_event(t, o, EVENT_START);
}

void net_join_act(struct net_office *o, const struct action *a)
{
    o->done_due = o->done_due || a->kind == ACTION_KEEP || a->kind == ACTION_RECALL ||
                  a->kind == ACTION_SETTLE;
    o->done_error = a->kind == ACTION_KEEP     ? o->keep_error
                    : a->kind == ACTION_SETTLE ? o->settle_error
                                               : ERR_OK;
    o->recalled = (struct bytes){0};
    if (a->kind == ACTION_KEEP)
        buf_put(&o->kept, a->bytes.p, a->bytes.len);
    if (a->kind == ACTION_RECALL)
        o->recalled = (struct bytes){o->kept.data + a->offset, a->len};
    o->ended = o->ended || a->kind == ACTION_END;
}

enum join_outcome net_join_end(struct net *t, struct net_office *o, uint64_t ms)
{
    uint64_t end = t->now_ms + ms;
    while (!o->ended && t->now_ms < end)
        net_run(t, 20);
    return node_join_report(o->node)->outcome;
}

void net_join_over(struct net_office *o)
{
    buf_fini(&o->kept);
    o->done_due = false;
    if (!o->joining)
        return;
    node_free(o->node);
    o->node = NULL;
    o->joining = o->invited = false;
    o->dialled = -1;
    o->redial_at_ms = o->actions.deadline_ms = 0;
}

void net_join(struct net *t, struct net_office *o)
{
    net_join_begin(t, o, LOAD_EMPTY);
    enum join_outcome outcome = net_join_end(t, o, 60000);
    if (outcome != JOIN_DONE) {
        const struct join_report *r = node_join_report(o->node);
        fprintf(stderr, "%s has not joined: %d: %s: %s\n", o->name, outcome, err_name(r->error),
                r->text);
        abort();
    }
    net_join_over(o);
}

struct net_office *net_grow(struct net *t, const char *name, const char *unit, const char *parent)
{
    net_invite(t, name, unit, parent, 0);
    struct net_office *o = net_add(t, name, parent);
    net_join(t, o);
    net_boot(t, o);
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
