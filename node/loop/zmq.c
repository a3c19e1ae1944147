#include "node/loop/int.h"

#include "conflict/mem.h"
#include "protocol/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
/* Debian's header hides it behind ZMQ_BUILD_DRAFT_API; its library has it. */
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

/* No descriptor free: that passes. */
static enum err zmq_failed(enum err e, const char *what, char msg[256])
{
    snprintf(msg, 256, "%s: %s", what, zmq_strerror(errno));
    return errno == EMFILE || errno == ENFILE ? ERR_BUSY : e;
}

void *link_context(void)
{
    void *ctx = zmq_ctx_new();
    if (ctx)
        zmq_ctx_set(ctx, ZMQ_BLOCKY, 0); /* sockets are born with LINGER 0: no hanging at the end */
    return ctx;
}

/* libzmq limits the encrypted frame: its name, nonce and tag are 33 bytes more. */
#define CURVE_FRAME_BYTES 64

/* A stranger who connects and says nothing holds a descriptor no longer than this: four round trips
 * of the slowest line. */
#define SERVER_HANDSHAKE_MS 10000

struct number_option {
    int name;
    int value;
};

static const struct number_option common[] = {
    /* What was not sent when a socket closes belongs to a session that is over: hello says what
     * is missing. */
    {ZMQ_LINGER, 0},
    /* No pipe before the handshake is done: no message waits in a queue for a connection that may
     * never come, and none survives into the next connection. */
    {ZMQ_IMMEDIATE, 1},
    /* libzmq drops the connection of a peer that announces a bigger frame, before taking
     * the memory. */
    {ZMQ_MAXMSGSIZE, 0}, /* 64 bits wide: set below */
    /* Who answers the dial and says nothing is given up after this. */
    {ZMQ_HANDSHAKE_IVL, 15000},
    /* A mobile line dies without a FIN: a PING every 5 s, dead after 20 s without an answer. Longer
     * than any step, since a peer that is busy does not read. */
    {ZMQ_HEARTBEAT_IVL, 5000},
    {ZMQ_HEARTBEAT_TIMEOUT, 20000},
    /* The other side ends the connection too, even if it does not ping by itself. */
    {ZMQ_HEARTBEAT_TTL, 30000},
    /* Dialling again after 0.2 s, then ever slower up to 5 s; libzmq adds jitter, so that 235
     * offices do not knock at once when the hub returns. */
    {ZMQ_RECONNECT_IVL, 200},
    {ZMQ_RECONNECT_IVL_MAX, 5000},
    /* A SYN into a black hole is given up after this, instead of after the kernel's two minutes. */
    {ZMQ_CONNECT_TIMEOUT, 10000},
    /* A send never waits, also where DONTWAIT should be forgotten: one slow peer must not stop
     * the node. */
    {ZMQ_SNDTIMEO, 0},
    /* Credit bounds the bytes of an honest peer; these bound the count for any other. Past RCVHWM
     * libzmq stops reading and TCP slows the sender down. */
    {ZMQ_SNDHWM,
     100}, /* a peer that asks and does not read: the rest waits in our own bounded queue */
    {ZMQ_RCVHWM, 1000},
};

static enum err set_common(void *socket, const struct link_keys *own, char msg[256])
{
    /* ZMQ_ROUTING_ID is left unset: the ROUTER picks a fresh address per connection, so a second
     * copy of an office cannot take the first one's place, and nobody can name himself. */
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
        int64_t most = LIMIT_MESSAGE_BYTES + CURVE_FRAME_BYTES;
        int rc = common[i].name == ZMQ_MAXMSGSIZE
                     ? zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most)
                     : zmq_setsockopt(socket, common[i].name, &common[i].value, sizeof(int));
        if (rc)
            return zmq_failed(ERR_IO, "cannot set a socket option", msg);
    }
    if (zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own->secret, CURVE_KEY_BYTES))
        return zmq_failed(ERR_IO, "cannot set the transport key", msg);
    return ERR_OK;
}

enum err link_server_socket(void *ctx, const struct link_keys *own, void **out, char msg[256])
{
    int one = 1, handshake_ms = SERVER_HANDSHAKE_MS;
    void *s = zmq_socket(ctx, ZMQ_ROUTER);
    if (!s)
        return zmq_failed(ERR_IO, "cannot make a socket", msg);
    enum err e = set_common(s, own, msg);
    if (e)
        goto out;
    e = ERR_IO;
    if (zmq_setsockopt(s, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof handshake_ms) ||
        zmq_setsockopt(s, ZMQ_CURVE_SERVER, &one, sizeof one) ||
        /* Without a domain CURVE accepts any key; with one but without enforcing it, it still does
         * while no handler is there. Both together refuse. */
        zmq_setsockopt(s, ZMQ_ZAP_DOMAIN, LINK_ZAP_DOMAIN, strlen(LINK_ZAP_DOMAIN)) ||
        zmq_setsockopt(s, ZMQ_ZAP_ENFORCE_DOMAIN, &one, sizeof one) ||
        /* A message to a peer that is gone is an error here, not a silence. */
        zmq_setsockopt(s, ZMQ_ROUTER_MANDATORY, &one, sizeof one)) {
        e = zmq_failed(ERR_IO, "cannot secure the listening socket", msg);
        goto out;
    }
    *out = s;
    return ERR_OK;
out:
    zmq_close(s);
    return e;
}

enum err link_client_socket(void *ctx, const struct link_keys *own,
                            const uint8_t server_key[CURVE_KEY_BYTES], void **out, char msg[256])
{
    void *s = zmq_socket(ctx, ZMQ_DEALER);
    if (!s)
        return zmq_failed(ERR_IO, "cannot make a socket", msg);
    enum err e = set_common(s, own, msg);
    if (!e && (zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, own->key, CURVE_KEY_BYTES) ||
               zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, server_key, CURVE_KEY_BYTES)))
        e = zmq_failed(ERR_IO, "cannot set the transport keys", msg);
    if (e) {
        zmq_close(s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

/* Only where the endpoint says so: with it on, libzmq asks for AAAA records first and tries one
 * address. */
static void allow_ipv6(void *socket, const char *endpoint)
{
    int on = strchr(endpoint, '[') ? 1 : 0;
    zmq_setsockopt(socket, ZMQ_IPV6, &on, sizeof on);
}

enum err link_connect(void *socket, const char *endpoint, char msg[256])
{
    allow_ipv6(socket, endpoint);
    if (zmq_connect(socket, endpoint) == 0)
        return ERR_OK;
    snprintf(msg, 256, "%.150s is not an endpoint to dial (%s); it looks like tcp://HOST:PORT",
             endpoint, zmq_strerror(errno));
    return ERR_USAGE;
}

enum err link_monitor(void *ctx, void *socket, int events, void **out, char msg[256])
{
    char name[64];
    snprintf(name, sizeof name, "inproc://monitor-%016llx", (unsigned long long)loop_random());
    void *s = zmq_socket(ctx, ZMQ_PAIR);
    if (!s || zmq_socket_monitor(socket, name, events) || zmq_connect(s, name)) {
        enum err e = zmq_failed(ERR_IO, "cannot watch the connection", msg);
        if (s)
            zmq_close(s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

void link_close(void *socket, void *monitor, int linger_ms)
{
    if (socket) {
        zmq_socket_monitor(socket, NULL, 0);
        zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        zmq_close(socket);
    }
    if (monitor)
        zmq_close(monitor);
}

bool link_readable(void *socket)
{
    int events = 0;
    size_t len = sizeof events;
    return socket && zmq_getsockopt(socket, ZMQ_EVENTS, &events, &len) == 0 && events & ZMQ_POLLIN;
}

bool monitor_next(void *monitor, uint16_t *event, uint32_t *value)
{
    uint8_t head[6];
    if (!monitor || zmq_recv(monitor, head, sizeof head, ZMQ_DONTWAIT) != sizeof head)
        return false;
    zmq_recv(monitor, NULL, 0, ZMQ_DONTWAIT); /* the address */
    memcpy(event, head, 2);
    memcpy(value, head + 2, 4);
    return true;
}

enum link_news link_news_next(void *monitor, const char **why)
{
    uint16_t event;
    uint32_t value;
    if (!monitor_next(monitor, &event, &value))
        return NEWS_NONE;
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        return NEWS_UP;
    case ZMQ_EVENT_DISCONNECTED:
        return NEWS_DOWN;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        *why = "the other side does not accept our transport key: not enrolled, retired, or an "
               "invitation that has expired";
        return NEWS_REFUSED;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        *why = "no Tonle node answers there, or its transport key is not the one we know";
        return NEWS_FAILED;
    default:
        *why = "the other side hung up during the handshake: its transport key is not the one we "
               "know, or it is no Tonle node";
        return NEWS_FAILED;
    }
}

/* ---- queues */

void routes_add(struct routes *list, const struct route *r)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->route[i].len == r->len && memcmp(list->route[i].id, r->id, r->len) == 0)
            return;
    }
    list->route = mem_grow(list->route, list->n, &list->cap, sizeof list->route[0]);
    list->route[list->n++] = *r;
}

struct route routes_first(struct routes *list)
{
    struct route first = list->route[0];
    memmove(list->route, list->route + 1, --list->n * sizeof list->route[0]);
    return first;
}

static bool outbox_put(struct outbox *b, const void *p, size_t len)
{
    if (b->n >= LINK_QUEUE_MESSAGES || (b->n > 0 && len > LINK_QUEUE_BYTES - b->size_bytes))
        return false;
    if (b->head > 0 && b->head + b->n == b->cap) {
        memmove(b->item, b->item + b->head, b->n * sizeof b->item[0]);
        b->head = 0;
    }
    b->item = mem_grow(b->item, b->head + b->n, &b->cap, sizeof b->item[0]);
    b->item[b->head + b->n] = (struct bytes){.p = mem_copy(p, len), .len = len};
    b->n++;
    b->size_bytes += len;
    return true;
}

static void outbox_drop_first(struct outbox *b)
{
    struct bytes *first = &b->item[b->head];
    b->size_bytes -= first->len;
    mem_free((void *)first->p);
    b->head++;
    b->n--;
}

static void outbox_fini(struct outbox *b)
{
    while (b->n > 0)
        outbox_drop_first(b);
    mem_free(b->item);
    *b = (struct outbox){0};
}

/* ---- children */

enum err peers_open(struct peers *p, void *ctx, const struct link_keys *own, unsigned descriptors,
                    char msg[256])
{
    enum err e = link_server_socket(ctx, own, &p->socket, msg);
    return e ? e : door_open(&p->door, ctx, p->socket, descriptors, msg);
}

void peers_close(struct peers *p, int linger_ms)
{
    for (size_t i = 0; i < p->n; i++)
        outbox_fini(&p->queue[i].box);
    mem_free(p->queue);
    /* libzmq's thread, where it waits for room in the monitor's pipe, holds what ending the watch
     * needs. */
    door_serve(&p->door);
    link_close(p->socket, p->door.monitor, linger_ms);
    door_close(&p->door);
    *p = (struct peers){0};
}

enum err peers_bind(struct peers *p, const char *endpoint, char bound[256], char msg[256])
{
    allow_ipv6(p->socket, endpoint);
    if (zmq_bind(p->socket, endpoint)) {
        bool now =
            errno == EADDRINUSE || errno == EADDRNOTAVAIL || errno == ENODEV || errno == EACCES;
        snprintf(msg, 256, "cannot listen on %.150s: %s", endpoint, zmq_strerror(errno));
        return now ? ERR_BUSY : ERR_USAGE;
    }
    size_t len = 256;
    if (zmq_getsockopt(p->socket, ZMQ_LAST_ENDPOINT, bound, &len))
        return zmq_failed(ERR_IO, "cannot read the endpoint that was bound", msg);
    return ERR_OK;
}

static enum delivery router_send(void *socket, const struct route *to, const void *bytes,
                                 size_t len)
{
    if (zmq_send(socket, to->id, to->len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return errno == EAGAIN || errno == EINTR ? DELIVERY_QUEUED : DELIVERY_UNREACHABLE;
    /* The address frame has chosen a pipe with room for the whole message. */
    return zmq_send(socket, bytes, len, ZMQ_DONTWAIT) < 0 ? DELIVERY_UNREACHABLE : DELIVERY_SENT;
}

static struct peer_queue *find_queue(struct peers *p, const struct route *to)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->queue[i].route.len == to->len && memcmp(p->queue[i].route.id, to->id, to->len) == 0)
            return &p->queue[i];
    }
    return NULL;
}

static void drop_queue(struct peers *p, struct peer_queue *q)
{
    outbox_fini(&q->box);
    *q = p->queue[--p->n];
}

/* Never above LINK_QUEUES_BYTES. Summed when asked: only routes that are stuck have a queue. */
static size_t queued_bytes(const struct peers *p)
{
    size_t sum = 0;
    for (size_t i = 0; i < p->n; i++)
        sum += p->queue[i].box.size_bytes;
    return sum;
}

enum delivery peers_send(struct peers *p, const struct route *to, const void *bytes, size_t len)
{
    if (!p->socket)
        return DELIVERY_UNREACHABLE;
    struct peer_queue *q = find_queue(p, to);
    if (!q) {
        enum delivery d = router_send(p->socket, to, bytes, len);
        if (d != DELIVERY_QUEUED)
            return d;
        p->queue = mem_grow(p->queue, p->n, &p->cap, sizeof p->queue[0]);
        q = &p->queue[p->n++];
        *q = (struct peer_queue){.route = *to};
    }
    if (len <= LINK_QUEUES_BYTES - queued_bytes(p) && outbox_put(&q->box, bytes, len))
        return DELIVERY_QUEUED;
    drop_queue(p, q);
    return DELIVERY_UNREACHABLE;
}

bool peers_flush(struct peers *p, struct route *gone)
{
    for (size_t i = p->n; i-- > 0;) { /* backwards: a dropped queue is replaced by the last one */
        struct peer_queue *q = &p->queue[i];
        enum delivery d = DELIVERY_SENT;
        while (q->box.n > 0 && d == DELIVERY_SENT) {
            struct bytes *first = &q->box.item[q->box.head];
            d = router_send(p->socket, &q->route, first->p, first->len);
            if (d == DELIVERY_SENT)
                outbox_drop_first(&q->box);
        }
        if (d == DELIVERY_QUEUED)
            continue;
        *gone = q->route;
        drop_queue(p, q);
        if (d == DELIVERY_UNREACHABLE)
            return false;
    }
    return true;
}

enum frames { FRAMES_NONE, FRAMES_ONE, FRAMES_MORE };

/* Reads what is left of a message into in->frame. */
static enum frames receive_rest(void *socket, struct incoming *in)
{
    zmq_msg_init(&in->frame);
    if (zmq_msg_recv(&in->frame, socket, ZMQ_DONTWAIT) < 0)
        return FRAMES_NONE;
    if (!zmq_msg_more(&in->frame))
        return FRAMES_ONE;
    while (zmq_msg_more(&in->frame) && zmq_msg_recv(&in->frame, socket, ZMQ_DONTWAIT) >= 0)
        ;
    return FRAMES_MORE;
}

bool peers_receive(struct peers *p, struct incoming *in)
{
    uint8_t id[256];
    int id_len = p->socket ? zmq_recv(p->socket, id, sizeof id, ZMQ_DONTWAIT) : -1;
    if (id_len < 0)
        return false;
    *in = (struct incoming){0};
    if (receive_rest(p->socket, in) != FRAMES_ONE) { /* a hostile peer: ours sends one */
        in->dropped = "not one frame";
        return true;
    }
    in->user_id = zmq_msg_gets(&in->frame, "User-Id");
    door_spoke(&p->door, zmq_msg_get(&in->frame, ZMQ_SRCFD));
    /* The ids that libzmq makes up begin with a zero byte, those that a peer can choose do not. */
    if (id_len == 0 || (size_t)id_len > sizeof in->route.id || id[0] != 0) {
        in->dropped = "a routing id of its own";
    } else if (!in->user_id || !in->user_id[0]) {
        in->dropped = "no identity";
    } else if (zmq_msg_size(&in->frame) > LIMIT_MESSAGE_BYTES) {
        in->dropped = "over the limit";
    } else {
        in->route.len = (uint8_t)id_len;
        memcpy(in->route.id, id, (size_t)id_len);
    }
    return true;
}

void incoming_release(struct incoming *in)
{
    zmq_msg_close(&in->frame);
}

/* ---- the parent */

enum err parent_dial(struct parent_link *p, char msg[768])
{
    char why[256];
    enum err e = link_client_socket(p->ctx, &p->own, p->server_key, &p->socket, why);
    if (!e)
        e = link_monitor(p->ctx, p->socket, LINK_EVENTS, &p->monitor, why);
    if (!e)
        e = link_connect(p->socket, p->endpoint, why);
    if (!e)
        return ERR_OK;
    snprintf(msg, 768, "the parent's endpoint %.400s is not usable: %s", p->endpoint, why);
    parent_hang_up(p, 0);
    return e;
}

void parent_hang_up(struct parent_link *p, int linger_ms)
{
    outbox_fini(&p->box);
    link_close(p->socket, p->monitor, linger_ms);
    p->socket = p->monitor = NULL;
    p->up = false;
}

void parent_set_up(struct parent_link *p, bool up)
{
    p->up = up;
    outbox_fini(&p->box);
}

enum delivery parent_send(struct parent_link *p, const void *bytes, size_t len)
{
    if (!p->socket || !p->up)
        return DELIVERY_SENT;
    if (p->box.n == 0 && zmq_send(p->socket, bytes, len, ZMQ_DONTWAIT) >= 0)
        return DELIVERY_SENT;
    return outbox_put(&p->box, bytes, len) ? DELIVERY_QUEUED : DELIVERY_UNREACHABLE;
}

void parent_flush(struct parent_link *p)
{
    while (p->box.n > 0) {
        struct bytes *first = &p->box.item[p->box.head];
        if (zmq_send(p->socket, first->p, first->len, ZMQ_DONTWAIT) < 0)
            return;
        outbox_drop_first(&p->box);
    }
}

bool parent_receive(struct parent_link *p, struct incoming *in)
{
    *in = (struct incoming){.user_id = ""};
    enum frames frames = p->socket ? receive_rest(p->socket, in) : FRAMES_NONE;
    if (frames == FRAMES_MORE)
        in->dropped = "not one frame";
    else if (frames == FRAMES_ONE && zmq_msg_size(&in->frame) > LIMIT_MESSAGE_BYTES)
        in->dropped = "over the limit";
    return frames != FRAMES_NONE;
}
