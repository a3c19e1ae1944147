/* The control socket's server: DIR/control.sock, lines of JSON in, lines of JSON out.
 *
 * client: reading -> (a whole line) handed out as one request -> (reply) reading ...
 * Further lines wait until the reply is given, so a client can neither flood the node nor mix
 * answers. A client that sends more than CONTROL_LINE_BYTES without being answered is hung up on.
 *
 * A socket's path must fit 108 bytes and a state directory may be deeper, so the path goes through
 * /proc/self/fd/N of the open directory. */
#include "node/loop/int.h"

#include "conflict/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_NAME "control.sock"

struct control_client {
    struct control *control; /* NULL once it is closing */
    uv_pipe_t pipe;
    unsigned slot;
    uint64_t request; /* being answered; 0: none */
    bool ended;       /* it has sent its last byte; closed when everything is answered */
    struct buf in;
    char chunk[4096];
};

struct control_write { /* a reply on its way */
    uv_write_t write;
    void *bytes;
};

void control_address(struct sockaddr_un *address, int dir_fd)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", dir_fd,
             CONTROL_NAME);
}

static void on_client_closed(uv_handle_t *h)
{
    struct control_client *cl = h->data;
    buf_fini(&cl->in);
    mem_free(cl);
}

static void hang_up(struct control_client *cl)
{
    if (!cl->control)
        return;
    cl->control->client[cl->slot] = NULL;
    cl->control = NULL;
    uv_close((uv_handle_t *)&cl->pipe, on_client_closed);
}

static bool has_line(const struct control_client *cl)
{
    return cl->in.len > 0 && memchr(cl->in.data, '\n', cl->in.len);
}

static void hang_up_if_served(struct control_client *cl)
{
    if (cl->ended && cl->request == 0 && !has_line(cl))
        hang_up(cl);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct control_client *cl = h->data;
    (void)suggested;
    *out = uv_buf_init(cl->chunk, sizeof cl->chunk);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *bytes)
{
    struct control_client *cl = s->data;
    if (n == UV_EOF) {
        cl->ended = true;
        uv_read_stop(s);
        hang_up_if_served(cl);
        return;
    }
    if (n > 0)
        buf_put(&cl->in, bytes->base, (size_t)n);
    if (n < 0 || (cl->in.len > CONTROL_LINE_BYTES && (cl->request != 0 || !has_line(cl))))
        hang_up(cl);
}

static void on_turned_away(uv_handle_t *h)
{
    mem_free(h->data);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct control *c = listener->data;
    unsigned slot = 0;
    if (status < 0)
        return;
    while (slot < CONTROL_CLIENTS && c->client[slot])
        slot++;
    struct control_client *cl = mem_alloc(sizeof *cl);
    uv_pipe_init(c->uv, &cl->pipe, 0);
    cl->pipe.data = cl;
    cl->slot = slot;
    if (uv_accept(listener, (uv_stream_t *)&cl->pipe) || slot == CONTROL_CLIENTS) {
        uv_close((uv_handle_t *)&cl->pipe, on_turned_away);
        return;
    }
    cl->control = c;
    c->client[slot] = cl;
    if (uv_read_start((uv_stream_t *)&cl->pipe, on_alloc, on_read))
        hang_up(cl);
}

/* The socket, bound and only for its owner from its first moment: bind takes the mode of the
 * socket. */
static int bind_socket(int dir_fd)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    control_address(&address, dir_fd);
    /* What is there was left by a process that was killed: ours holds the directory's lock. */
    if ((unlinkat(dir_fd, CONTROL_NAME, 0) && errno != ENOENT) || fchmod(fd, 0600) ||
        bind(fd, (struct sockaddr *)&address, sizeof address)) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

enum err control_open(struct control *c, uv_loop_t *uv, const char *dir, char msg[256])
{
    c->uv = uv;
    c->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = c->dir_fd < 0 ? -1 : bind_socket(c->dir_fd);
    if (fd < 0) {
        snprintf(msg, 256, "cannot make %s in %.150s: %s", CONTROL_NAME, dir, strerror(errno));
        if (c->dir_fd >= 0)
            close(c->dir_fd);
        return ERR_IO;
    }
    uv_pipe_init(uv, &c->listener, 0);
    c->listener.data = c;
    c->open = true;
    int rc = uv_pipe_open(&c->listener, fd);
    if (rc)
        close(fd);
    else
        rc = uv_listen((uv_stream_t *)&c->listener, CONTROL_CLIENTS, on_connection);
    if (rc) {
        snprintf(msg, 256, "cannot listen on the control socket: %s", uv_strerror(rc));
        control_close(c);
        return ERR_IO;
    }
    return ERR_OK;
}

void control_close(struct control *c)
{
    if (!c->open)
        return;
    c->open = false;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        if (c->client[i])
            hang_up(c->client[i]);
    }
    uv_close((uv_handle_t *)&c->listener, NULL);
    unlinkat(c->dir_fd, CONTROL_NAME, 0);
    close(c->dir_fd);
}

void control_fini(struct control *c)
{
    buf_fini(&c->line);
}

/* In turn, so that a client with many lines does not keep the others waiting. */
static struct control_client *next_client(const struct control *c)
{
    for (unsigned i = 1; i <= CONTROL_CLIENTS; i++) {
        struct control_client *cl = c->client[(c->last_slot + i) % CONTROL_CLIENTS];
        if (cl && cl->request == 0 && has_line(cl))
            return cl;
    }
    return NULL;
}

bool control_waiting(const struct control *c)
{
    return c->open && next_client(c);
}

bool control_next(struct control *c, uint64_t *request, const uint8_t **line, size_t *len)
{
    struct control_client *cl = c->open ? next_client(c) : NULL;
    if (!cl)
        return false;
    const uint8_t *end = memchr(cl->in.data, '\n', cl->in.len);
    size_t line_len = (size_t)(end - cl->in.data), taken = line_len + 1;
    buf_reset(&c->line);
    buf_put(&c->line, cl->in.data, line_len);
    memmove(cl->in.data, cl->in.data + taken, cl->in.len - taken);
    cl->in.len -= taken;
    cl->request = ++c->last_request;
    c->last_slot = cl->slot;
    *request = cl->request;
    *line = (const uint8_t *)buf_str(&c->line);
    *len = line_len;
    return true;
}

static void on_written(uv_write_t *w, int status)
{
    struct control_write *cw = (struct control_write *)w;
    struct control_client *cl = w->handle->data;
    mem_free(cw->bytes);
    mem_free(cw);
    if (status < 0)
        hang_up(cl);
    else if (cl->control)
        hang_up_if_served(cl);
}

void control_reply(struct control *c, uint64_t request, const void *bytes, size_t len)
{
    struct control_client *cl = NULL;
    for (unsigned i = 0; i < CONTROL_CLIENTS && request != 0; i++) {
        if (c->client[i] && c->client[i]->request == request)
            cl = c->client[i];
    }
    if (!cl)
        return; /* it has hung up */
    struct buf b = {0};
    buf_put(&b, bytes, len);
    if (len == 0 || b.data[len - 1] != '\n')
        buf_put_u8(&b, '\n');
    struct control_write *cw = mem_alloc(sizeof *cw);
    uv_buf_t out = uv_buf_init((char *)b.data, (unsigned)b.len);
    cw->bytes = b.data; /* taken over from b */
    cl->request = 0;
    if (uv_write(&cw->write, (uv_stream_t *)&cl->pipe, &out, 1, on_written)) {
        mem_free(cw->bytes);
        mem_free(cw);
        hang_up(cl);
    }
}
