#include "node/loop/int.h"

#include "conflict/mem.h"

#include <pthread.h>
#include <signal.h>

static void on_wake(uv_poll_t *h, int status, int events)
{
    (void)h;
    (void)status;
    (void)events;
}

static void on_poll_closed(uv_handle_t *h)
{
    mem_free(h);
}

uv_poll_t *handle_open(uv_loop_t *uv, void *socket)
{
    int fd = -1;
    size_t len = sizeof fd;
    uv_poll_t *h = mem_alloc(sizeof *h);
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &len) || uv_poll_init(uv, h, fd)) {
        mem_free(h);
        return NULL; /* the tick still serves the socket */
    }
    uv_poll_start(h, UV_READABLE, on_wake);
    return h;
}

void handle_close(uv_poll_t **h)
{
    if (*h)
        uv_close((uv_handle_t *)*h, on_poll_closed);
    *h = NULL;
}

static void on_walk(uv_handle_t *h, void *unused)
{
    (void)unused;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

void handles_end(uv_loop_t *uv)
{
    sigset_t both, before;
    sigemptyset(&both);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGINT);
    pthread_sigmask(SIG_BLOCK, &both, &before);
    uv_walk(uv, on_walk, NULL);
    uv_run(uv, UV_RUN_DEFAULT);
    uv_loop_close(uv);
    signal(SIGTERM, SIG_IGN); /* also drops the ones that are pending */
    signal(SIGINT, SIG_IGN);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
