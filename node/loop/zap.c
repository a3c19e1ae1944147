/* The ZAP handler (RFC 27): libzmq's I/O thread asks, for every CURVE handshake, whether the key
 * may enter.
 *
 *   request   "1.0" | request id | domain | address | routing id | mechanism | the client's key,
 *             32 bytes; REP has taken the delimiter off
 *   reply     "1.0" | request id | "200" or "400" | text | User-Id | metadata (empty)
 *
 * Whatever is not exactly that, with our domain and CURVE, is refused. */
#include "node/loop/int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    FRAME_VERSION,
    FRAME_REQUEST,
    FRAME_DOMAIN,
    FRAME_ADDRESS,
    FRAME_ROUTING_ID,
    FRAME_MECHANISM,
    FRAME_KEY,
    FRAME_COUNT
};
#define FRAME_BYTES 256

struct frame {
    uint8_t p[FRAME_BYTES];
    int len; /* the real length, also when it is more than p holds */
};

enum err zap_open(struct zap *z, void *ctx, char msg[256])
{
    int zero = 0;
    z->socket = zmq_socket(ctx, ZMQ_REP);
    if (!z->socket || zmq_setsockopt(z->socket, ZMQ_LINGER, &zero, sizeof zero) ||
        zmq_bind(z->socket, LINK_ZAP_ENDPOINT)) {
        snprintf(msg, 256, "cannot make the handler that knows the children's keys: %s",
                 zmq_strerror(errno));
        zap_close(z);
        return ERR_IO;
    }
    return ERR_OK;
}

void zap_close(struct zap *z)
{
    if (z->socket)
        zmq_close(z->socket);
    z->socket = NULL;
}

static bool frame_is(const struct frame *f, const char *text)
{
    return (size_t)f->len == strlen(text) && memcmp(f->p, text, (size_t)f->len) == 0;
}

/* The number of frames of one request, all taken, the first FRAME_COUNT kept; 0: nothing there. */
static int read_request(void *socket, struct frame f[FRAME_COUNT])
{
    struct frame rest;
    int n = 0;
    for (int more = 1; more; n++) {
        struct frame *to = n < FRAME_COUNT ? &f[n] : &rest;
        size_t size = sizeof more;
        to->len = zmq_recv(socket, to->p, FRAME_BYTES, ZMQ_DONTWAIT);
        if (to->len < 0 || zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size))
            return n;
    }
    return n;
}

static const char *refuse_reason(const struct zap *z, const struct frame f[FRAME_COUNT], int n,
                                 char user_id[256])
{
    if (n != FRAME_COUNT || !frame_is(&f[FRAME_VERSION], "1.0") ||
        f[FRAME_REQUEST].len > FRAME_BYTES)
        return "malformed request";
    if (!frame_is(&f[FRAME_DOMAIN], LINK_ZAP_DOMAIN))
        return "another domain";
    if (!frame_is(&f[FRAME_MECHANISM], "CURVE"))
        return "not CURVE";
    if (f[FRAME_KEY].len != CURVE_KEY_BYTES)
        return "malformed key";
    if (!z->authorise(z->user, f[FRAME_KEY].p, user_id) || !user_id[0])
        return "unknown key";
    return NULL;
}

bool zap_serve(struct zap *z)
{
    struct frame f[FRAME_COUNT];
    char user_id[256] = "", address[FRAME_BYTES + 1] = "";
    memset(f, 0, sizeof f);
    int n = read_request(z->socket, f);
    if (n == 0)
        return false;
    const char *reason = refuse_reason(z, f, n, user_id);
    if (n > FRAME_ADDRESS && f[FRAME_ADDRESS].len <= FRAME_BYTES)
        memcpy(address, f[FRAME_ADDRESS].p, (size_t)f[FRAME_ADDRESS].len);
    if (reason)
        user_id[0] = 0;
    if (reason && z->refused)
        z->refused(z->user, address, reason);
    size_t id_len =
        n > FRAME_REQUEST && f[FRAME_REQUEST].len <= FRAME_BYTES ? (size_t)f[FRAME_REQUEST].len : 0;
    const char *status = reason ? "400" : "200", *text = reason ? reason : "OK";
    zmq_send(z->socket, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->socket, f[FRAME_REQUEST].p, id_len, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->socket, status, 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->socket, text, strlen(text), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->socket, user_id, strlen(user_id), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->socket, "", 0, ZMQ_DONTWAIT); /* the asker may be gone: REP drops the reply then */
    return true;
}
