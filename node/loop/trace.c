/* The last 256 events and actions of this process, for the moment when it dies of a mistake of its
 * own: dumped oldest first to stderr at SIGABRT (a failed assertion). No bytes of messages, only
 * what they were. */
#include "node/loop/int.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define TRACE_RECORDS 256

struct trace_record {
    uint64_t mono_ms;
    uint64_t len;     /* of bytes or text */
    uint64_t address; /* first bytes of the route, or the request */
    bool action;
    uint8_t kind;
};

/* The one process-wide state of the loop: a signal handler has nowhere else to look. */
static struct trace_record ring[TRACE_RECORDS];
static volatile uint64_t written;
static uint64_t now_ms;

static const char *const event_name[] = {
    "?",    "start",   "timer", "local_change", "receive", "unreachable", "dialled",
    "lost", "request", "stop",  "refused",      "done",    "listen",      "trouble"};
static const char *const action_name[] = {"?",     "send", "redial", "reply",  "ready",    "log",
                                          "fatal", "keep", "recall", "settle", "progress", "end"};

static void add(bool action, unsigned kind, const struct route *route, uint64_t request,
                uint64_t len)
{
    struct trace_record *r = &ring[written % TRACE_RECORDS];
    *r = (struct trace_record){
        .mono_ms = now_ms, .len = len, .address = request, .action = action, .kind = (uint8_t)kind};
    for (unsigned i = 0; i < route->len && i < 8; i++)
        r->address = r->address << 8 | route->id[i];
    written++;
}

void trace_event(const struct event *ev)
{
    now_ms = ev->mono_ms;
    add(false, ev->kind, &ev->route, ev->request_id, ev->len);
}

void trace_action(const struct action *a)
{
    add(true, a->kind, &a->route, a->request_id, a->text ? strlen(a->text) : a->bytes.len);
}

/* Only what a signal handler may do: no printf, no malloc. */
static char *put_text(char *to, const char *s)
{
    while (*s)
        *to++ = *s++;
    return to;
}

static char *put_number(char *to, const char *name, uint64_t v)
{
    char digits[20];
    int n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    to = put_text(to, name);
    while (n > 0)
        *to++ = digits[--n];
    return to;
}

static void trace_dump(void)
{
    uint64_t first = written > TRACE_RECORDS ? written - TRACE_RECORDS : 0;
    for (uint64_t i = first; i < written; i++) {
        const struct trace_record *r = &ring[i % TRACE_RECORDS];
        size_t count = r->action ? sizeof action_name / sizeof action_name[0]
                                 : sizeof event_name / sizeof event_name[0];
        const char *name = r->kind >= count ? "?"
                           : r->action      ? action_name[r->kind]
                                            : event_name[r->kind];
        char line[160];
        char *end = put_number(line, "trace n=", i);
        end = put_number(end, " mono_ms=", r->mono_ms);
        end = put_text(end, r->action ? " action=" : " event=");
        end = put_text(end, name);
        end = put_number(end, " to=", r->address);
        end = put_number(end, " len=", r->len);
        *end++ = '\n';
        (void)!write(STDERR_FILENO, line, (size_t)(end - line));
    }
}

static void on_abort(int number)
{
    (void)number;
    trace_dump(); /* abort() then ends the process: SA_RESETHAND has put the default back */
}

void trace_install(void)
{
    struct sigaction action = {.sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND};
    written = 0;
    sigaction(SIGABRT, &action, NULL);
}

void trace_uninstall(void)
{
    signal(SIGABRT, SIG_DFL);
}
