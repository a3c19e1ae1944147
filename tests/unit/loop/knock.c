#include "tests/unit/loop/knock.h"

#include "conflict/mem.h"
#include "tests/lib/check.h"
#include "tests/unit/loop/fake.h"

#include <errno.h>

struct knocker *knock_open(const char *endpoint, const uint8_t server_key[CURVE_KEY_BYTES],
                           const struct link_keys *own)
{
    char msg[256] = "";
    struct knocker *k = mem_alloc(sizeof *k);
    k->ctx = link_context();
    assert_ok(link_client_socket(k->ctx, own, server_key, &k->socket, msg));
    assert_ok(link_monitor(k->ctx, k->socket, LINK_EVENTS, &k->monitor, msg));
    assert_ok(link_connect(k->socket, endpoint, msg));
    return k;
}

void knock_close(struct knocker *k)
{
    link_close(k->socket, k->monitor, 0);
    zmq_ctx_term(k->ctx);
    mem_free(k);
}

/* Waits until the socket is ready for `events`. */
static enum err wait_for(struct knocker *k, short events, int64_t deadline, const char **why)
{
    for (;;) {
        zmq_pollitem_t item[2] = {{.socket = k->socket, .events = events},
                                  {.socket = k->monitor, .events = ZMQ_POLLIN}};
        int64_t left = deadline - (int64_t)loop_mono_ms();
        int n = zmq_poll(item, 2, left > 0 ? left : 0);
        if (n > 0 && item[0].revents & events)
            return ERR_OK;
        if (n > 0 && link_news_next(k->monitor, why) == NEWS_REFUSED)
            return ERR_REFUSED;
        if (n == 0 || (n < 0 && errno != EINTR))
            return ERR_BUSY;
    }
}

enum err knock_send(struct knocker *k, const void *p, size_t len, const char **why)
{
    int64_t deadline = (int64_t)loop_mono_ms() + WAIT_MS;
    for (;;) {
        enum err e = wait_for(k, ZMQ_POLLOUT, deadline, why);
        if (e || zmq_send(k->socket, p, len, ZMQ_DONTWAIT) >= 0)
            return e;
    }
}

enum err knock_receive(struct knocker *k, struct buf *out)
{
    int64_t deadline = (int64_t)loop_mono_ms() + WAIT_MS;
    const char *why;
    zmq_msg_t m;
    enum err e;
    zmq_msg_init(&m);
    do {
        e = wait_for(k, ZMQ_POLLIN, deadline, &why);
    } while (!e && zmq_msg_recv(&m, k->socket, ZMQ_DONTWAIT) < 0);
    if (!e)
        buf_put(out, zmq_msg_data(&m), zmq_msg_size(&m));
    zmq_msg_close(&m);
    return e;
}
