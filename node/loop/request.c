#include "node/loop/control.h"

#include "node/loop/int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static enum err fail(enum err e, const char *text, char msg[256])
{
    snprintf(msg, 256, "%s", text);
    return e;
}

/* The connected socket in *fd. */
static enum err dial(const char *dir, uint32_t timeout_ms, int *fd, char msg[256])
{
    struct sockaddr_un address;
    struct timeval wait = {.tv_sec = timeout_ms / 1000, .tv_usec = (timeout_ms % 1000) * 1000 + 1};
    enum err e = ERR_OK;
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *fd = -1;
    if (dir_fd < 0) {
        snprintf(msg, 256, "cannot open %.180s: %s", dir, strerror(errno));
        return errno == ENOENT ? ERR_STATE : ERR_IO;
    }
    control_address(&address, dir_fd);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The send timeout is also connect's, where the listener's queue is full. */
    if (*fd < 0 || setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait)) {
        e = fail(ERR_IO, "cannot make a socket", msg);
    } else if (connect(*fd, (struct sockaddr *)&address, sizeof address)) {
        if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTSOCK)
            e = fail(ERR_STATE, "no node is running here", msg);
        else if (errno == EAGAIN || errno == EINTR)
            e = fail(ERR_BUSY, "the node is too busy to answer; try again", msg);
        else
            e = fail(ERR_IO, strerror(errno), msg);
    }
    close(dir_fd);
    if (e && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return e;
}

static enum err send_line(int fd, const char *line, size_t len, char msg[256])
{
    struct buf b = {0};
    enum err e = ERR_OK;
    buf_put(&b, line, len);
    buf_put_u8(&b, '\n');
    for (size_t sent = 0; sent < b.len && !e;) {
        ssize_t n = send(fd, b.data + sent, b.len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (errno != EINTR)
            e = fail(ERR_BUSY, "the node does not take the request; try again", msg);
    }
    buf_fini(&b);
    return e;
}

static enum err read_line(int fd, int64_t deadline, struct buf *b, char msg[256])
{
    for (;;) {
        char chunk[16384];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - (int64_t)loop_mono_ms();
        int ready = poll(&p, 1, left > 0 ? (int)left : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return fail(ERR_BUSY, "the node has not answered in time; try again", msg);
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(ERR_BUSY,
                        "the node hung up (it is stopping, or too many commands ask it at once); "
                        "try again",
                        msg);
        const char *end = memchr(chunk, '\n', (size_t)n);
        buf_put(b, chunk, end ? (size_t)(end - chunk) : (size_t)n);
        if (end)
            return ERR_OK;
        if (b->len > CONTROL_REPLY_BYTES)
            return fail(ERR_LIMIT, "the node's answer is too long", msg);
    }
}

enum err control_request(const char *dir, const char *line, uint32_t timeout_ms, struct buf *reply,
                         char msg[256])
{
    int64_t deadline =
        (int64_t)loop_mono_ms() + (timeout_ms > INT32_MAX ? INT32_MAX : (int64_t)timeout_ms);
    size_t len = strcspn(line, "\n");
    struct buf answer = {0};
    int fd;
    if (len >= CONTROL_LINE_BYTES)
        return fail(ERR_LIMIT, "the request is too long", msg);
    enum err e = dial(dir, timeout_ms, &fd, msg);
    if (e)
        return e;
    e = send_line(fd, line, len, msg);
    if (!e)
        e = read_line(fd, deadline, &answer, msg);
    if (!e)
        buf_put(reply, answer.data, answer.len);
    close(fd);
    buf_fini(&answer);
    return e;
}
