/* Between two lives of a node whose disk fails: nothing but the control socket, which gives every
 * request the same answer, signals, and the time. Where the state directory itself cannot be
 * written, there is no socket either. */
#include "node/loop/int.h"

#include "conflict/mem.h"

#include <signal.h>
#include <string.h>

#define WATCHDOG_TICK_MS 1000

struct rest {
    uv_loop_t uv;
    uv_check_t check;
    uv_timer_t end, tick;
    uv_signal_t sigterm, sigint;
    struct control control;
    const char *answer;
    bool stop;
};

static void on_request(uv_check_t *h)
{
    struct rest *r = h->data;
    uint64_t request;
    const uint8_t *line;
    size_t len;
    while (control_next(&r->control, &request, &line, &len))
        control_reply(&r->control, request, r->answer, strlen(r->answer));
}

static void on_end(uv_timer_t *h)
{
    struct rest *r = h->data;
    uv_stop(&r->uv);
}

static void on_tick(uv_timer_t *h)
{
    (void)h;
    if (notify_watchdog_us())
        notify_send("WATCHDOG=1");
}

static void on_signal(uv_signal_t *h, int number)
{
    struct rest *r = h->data;
    (void)number;
    r->stop = true;
    uv_stop(&r->uv);
}

static void start(struct rest *r, uint64_t ms)
{
    uint64_t half_watchdog_ms = notify_watchdog_us() / 2000;
    uint64_t tick_ms = half_watchdog_ms > 0 && half_watchdog_ms < WATCHDOG_TICK_MS
                           ? half_watchdog_ms
                           : WATCHDOG_TICK_MS;
    uv_check_init(&r->uv, &r->check);
    uv_timer_init(&r->uv, &r->end);
    uv_timer_init(&r->uv, &r->tick);
    uv_signal_init(&r->uv, &r->sigterm);
    uv_signal_init(&r->uv, &r->sigint);
    r->check.data = r->end.data = r->sigterm.data = r->sigint.data = r;
    uv_check_start(&r->check, on_request);
    uv_timer_start(&r->end, on_end, ms, 0);
    uv_timer_start(&r->tick, on_tick, tick_ms, tick_ms);
    uv_signal_start(&r->sigterm, on_signal, SIGTERM);
    uv_signal_start(&r->sigint, on_signal, SIGINT);
}

bool loop_rest(const char *dir, const char *answer, uint64_t ms)
{
    char msg[256];
    struct rest *r = mem_alloc(sizeof *r);
    r->answer = answer;
    signal(SIGPIPE, SIG_IGN);
    if (uv_loop_init(&r->uv)) {
        mem_free(r);
        return true;
    }
    start(r, ms);
    notify_send("READY=1"); /* a start that waits for a disk is no failed one */
    if (dir)
        (void)!control_open(&r->control, &r->uv, dir, msg);
    uv_run(&r->uv, UV_RUN_DEFAULT);
    bool stop = r->stop;
    control_close(&r->control);
    handles_end(&r->uv);
    control_fini(&r->control);
    mem_free(r);
    return stop;
}
