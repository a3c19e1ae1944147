#include "tests/unit/loop/fake_node.h"

#include "conflict/mem.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines to a pipe that the test reads; the writes are whole and short. */
void fake_tell(struct node *n, const char *fmt, ...)
{
    char line[4096];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    if (len > (int)sizeof line - 2)
        len = (int)sizeof line - 2;
    line[len] = '\n';
    if (write(n->reports, line, (size_t)len + 1) < 0)
        exit(99);
}

bool node_authorise(struct node *n, const uint8_t key[CURVE_KEY_BYTES], uint64_t wall_ms,
                    char user_id[256])
{
    (void)wall_ms;
    for (unsigned i = 0; i < n->fake->n_child; i++) {
        if (memcmp(n->fake->child[i].key, key, CURVE_KEY_BYTES) == 0) {
            snprintf(user_id, 256, "%s", n->fake->child[i].user);
            return true;
        }
    }
    return false;
}

static struct action *add(struct actions *out, enum action_kind kind)
{
    out->a = mem_grow(out->a, out->n, &out->cap, sizeof out->a[0]);
    out->a[out->n] = (struct action){.kind = kind};
    return &out->a[out->n++];
}

static const char *hex(const struct route *r, char text[64])
{
    text[0] = 0;
    for (unsigned i = 0; i < r->len; i++)
        snprintf(text + 2 * i, 3, "%02x", r->id[i]);
    return r->len ? text : "-";
}

static void unhex(const char *text, struct route *r)
{
    *r = (struct route){0};
    for (unsigned byte; text[0] != '-' && sscanf(text + 2 * r->len, "%2x", &byte) == 1;)
        r->id[r->len++] = (uint8_t)byte;
}

static void send_many(struct node *n, struct actions *out, const char *route, unsigned count,
                      size_t bytes)
{
    n->scratch.len = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t start = n->scratch.len;
        buf_printf(&n->scratch, "%06u", i);
        while (n->scratch.len - start < bytes)
            buf_put(&n->scratch, "................", 16);
    }
    size_t each = count ? n->scratch.len / count : 0;
    for (unsigned i = 0; i < count; i++) {
        struct action *a = add(out, ACTION_SEND);
        unhex(route, &a->route);
        a->bytes = (struct bytes){.p = n->scratch.data + i * each, .len = each};
    }
}

static void obey(struct node *n, const char *line, const struct event *ev, struct actions *out)
{
    char route[64] = "", text[256] = "";
    unsigned count = 0, size = 0;
    n->scratch.len = 0;
    if (sscanf(line, "send %63s %255s", route, text) == 2) {
        buf_put(&n->scratch, text, strlen(text));
        struct action *a = add(out, ACTION_SEND);
        unhex(route, &a->route);
        a->bytes = (struct bytes){.p = n->scratch.data, .len = n->scratch.len};
    } else if (sscanf(line, "flood %63s %u %u", route, &count, &size) == 3) {
        send_many(n, out, route, count, size);
    } else if (sscanf(line, "redial %u", &count) == 1) {
        add(out, ACTION_REDIAL)->delay_ms = count;
    } else if (sscanf(line, "timers %u %u", &n->timers, &n->timer_ms) == 2) {
        n->deadline_ms = ev->mono_ms + n->timer_ms;
    } else if (strncmp(line, "spin ", 5) == 0) {
        n->spin = strcmp(line + 5, "on") == 0;
    } else if (sscanf(line, "touch %255s", n->touch) == 1) {
        return;
    } else if (strcmp(line, "ready") == 0) {
        add(out, ACTION_READY);
    } else if (strncmp(line, "log ", 4) == 0 || strncmp(line, "fatal ", 6) == 0) {
        struct action *a = add(out, line[0] == 'l' ? ACTION_LOG : ACTION_FATAL);
        snprintf(n->text, sizeof n->text, "%s", strchr(line, ' ') + 1);
        a->level = 1;
        a->text = n->text;
    } else if (strcmp(line, "abort") == 0) {
        abort();
    }
}

static void request(struct node *n, const struct event *ev, struct actions *out)
{
    char line[300];
    fake_tell(n, "request %.*s", (int)(ev->len > 60 ? 60 : ev->len), (const char *)ev->bytes);
    if (ev->len == 4 && memcmp(ev->bytes, "hold", 4) == 0)
        return;
    snprintf(line, sizeof line, "%.*s", (int)(ev->len > 299 ? 299 : ev->len),
             (const char *)ev->bytes);
    struct action *a = add(out, ACTION_REPLY);
    a->request_id = ev->request_id;
    snprintf(n->reply, sizeof n->reply, "done %zu", ev->len);
    a->bytes = (struct bytes){.p = (uint8_t *)n->reply, .len = strlen(n->reply)};
    obey(n, line, ev, out);
}

/* As our own commit would: the directory's watch sees it. */
static void touch_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1)
        exit(98);
    close(fd);
}

void node_step(struct node *n, const struct event *ev, struct actions *out)
{
    char route[64];
    out->n = 0;
    if (n->inside)
        fake_tell(n, "REENTERED");
    n->inside = true;
    switch (ev->kind) {
    case EVENT_START:
        fake_tell(n, "start");
        break;
    case EVENT_TIMER:
        if (n->spin && ++n->spins == 1000)
            fake_tell(n, "spun");
        if (!n->spin)
            fake_tell(n, "timer late_ms=%lld", (long long)(ev->mono_ms - n->deadline_ms));
        n->timers -= n->timers > 0;
        n->deadline_ms = n->timers ? ev->mono_ms + n->timer_ms : 0;
        break;
    case EVENT_LOCAL_CHANGE:
        fake_tell(n, "local_change");
        if (n->touch[0])
            touch_file(n->touch);
        break;
    case EVENT_RECEIVE:
        fake_tell(n, "receive user=%s route=%s len=%zu text=%.*s", ev->user_id,
                  hex(&ev->route, route), ev->len, (int)(ev->len > 60 ? 60 : ev->len),
                  (const char *)ev->bytes);
        break;
    case EVENT_UNREACHABLE:
        fake_tell(n, "unreachable route=%s", hex(&ev->route, route));
        break;
    case EVENT_DIALLED:
        fake_tell(n, "dialled");
        break;
    case EVENT_LOST:
        fake_tell(n, "lost");
        break;
    case EVENT_REQUEST:
        request(n, ev, out);
        break;
    case EVENT_REFUSED:
        fake_tell(n, "refused");
        break;
    case EVENT_DONE:
        fake_tell(n, "done error=%s text=%.*s", err_name(ev->error), (int)ev->len,
                  (const char *)ev->bytes);
        break;
    case EVENT_TROUBLE:
        fake_tell(n, "trouble %.*s", (int)ev->len, (const char *)ev->bytes);
        break;
    case EVENT_LISTEN:
        fake_tell(n, "listen why=%.*s", (int)ev->len, (const char *)ev->bytes);
        break;
    case EVENT_STOP:
        fake_tell(n, "stop");
        send_many(n, out, "-", 1, 6);
        break;
    }
    n->inside = false;
    out->deadline_ms = n->spin ? 1 : n->deadline_ms;
}
