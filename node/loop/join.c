#include "node/loop/join.h"

#include "conflict/mem.h"
#include "node/loop/int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct join_line {
    void *ctx, *socket, *monitor;
    char why[256]; /* the last handshake that failed */
};

enum err join_open(struct join_line **out, const char *endpoint,
                   const uint8_t server_key[CURVE_KEY_BYTES], const uint8_t key[CURVE_KEY_BYTES],
                   const uint8_t secret[CURVE_KEY_BYTES], char msg[256])
{
    struct link_keys own;
    struct join_line *l = mem_alloc(sizeof *l);
    memcpy(own.key, key, CURVE_KEY_BYTES);
    memcpy(own.secret, secret, CURVE_KEY_BYTES);
    l->ctx = link_context();
    enum err e = l->ctx ? link_client_socket(l->ctx, &own, server_key, &l->socket, msg) : ERR_IO;
    if (!l->ctx)
        snprintf(msg, 256, "cannot start ZeroMQ: %s", zmq_strerror(errno));
    if (!e)
        e = link_monitor(l->ctx, l->socket, &l->monitor, msg);
    if (!e)
        e = link_connect(l->socket, endpoint, msg);
    if (e) {
        join_close(l);
        return e;
    }
    *out = l;
    return ERR_OK;
}

void join_close(struct join_line *l)
{
    if (!l)
        return;
    link_close(l->socket, l->monitor, 0);
    if (l->ctx)
        zmq_ctx_term(l->ctx);
    mem_free(l);
}

/* Waits until the socket is ready for `events`. */
static enum err wait_for(struct join_line *l, short events, int64_t deadline, char msg[256])
{
    for (;;) {
        const char *why = NULL;
        zmq_pollitem_t item[2] = {{.socket = l->socket, .events = events},
                                  {.socket = l->monitor, .events = ZMQ_POLLIN}};
        int64_t left = deadline - (int64_t)loop_mono_ms();
        int n = zmq_poll(item, 2, left > 0 ? left : 0);
        if (n > 0 && item[0].revents & events)
            return ERR_OK;
        if (n > 0 && link_news_next(l->monitor, &why) == NEWS_REFUSED) {
            snprintf(msg, 256, "%s", why);
            return ERR_REFUSED;
        }
        if (why)
            snprintf(l->why, sizeof l->why, "%s", why);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            snprintf(msg, 256, "%s", l->why[0] ? l->why : "no answer from the other side in time");
            return ERR_BUSY;
        }
    }
}

static enum err send_until(struct join_line *l, const void *p, size_t len, int64_t deadline,
                           char msg[256])
{
    for (;;) {
        enum err e = wait_for(l, ZMQ_POLLOUT, deadline, msg);
        if (e || zmq_send(l->socket, p, len, ZMQ_DONTWAIT) >= 0)
            return e;
    }
}

static enum err receive_until(struct join_line *l, int64_t deadline, struct buf *out, char msg[256])
{
    zmq_msg_t m;
    enum err e;
    zmq_msg_init(&m);
    do {
        e = wait_for(l, ZMQ_POLLIN, deadline, msg);
    } while (!e && zmq_msg_recv(&m, l->socket, ZMQ_DONTWAIT) < 0);
    if (!e)
        buf_put(out, zmq_msg_data(&m), zmq_msg_size(&m));
    zmq_msg_close(&m);
    return e;
}

enum err join_send(struct join_line *l, const void *p, size_t len, uint32_t timeout_ms,
                   char msg[256])
{
    return send_until(l, p, len, (int64_t)loop_mono_ms() + timeout_ms, msg);
}

enum err join_receive(struct join_line *l, uint32_t timeout_ms, struct buf *out, char msg[256])
{
    return receive_until(l, (int64_t)loop_mono_ms() + timeout_ms, out, msg);
}

enum err join_exchange(const struct join_request *r, struct buf *reply, char msg[256])
{
    int64_t deadline = (int64_t)loop_mono_ms() + r->timeout_ms;
    struct join_line *l = NULL;
    enum err e = join_open(&l, r->endpoint, r->server_key, r->key, r->secret, msg);
    if (!e)
        e = send_until(l, r->message.p, r->message.len, deadline, msg);
    if (!e)
        e = receive_until(l, deadline, reply, msg);
    join_close(l);
    return e;
}
