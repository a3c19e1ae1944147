/* One record is one line and one write:
 *   ts=2026-11-21T23:04:19.123Z level=info event=listening endpoint=tcp://0.0.0.0:7000
 * Under journald each line starts with its priority, <3>, <4> or <6> (sd-daemon(3)). */
#include "node/loop/int.h"

#include "node/file/printable.h"
#include "node/file/write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t loop_random(void)
{
    uint64_t v = 0;
    while (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v) {
        if (errno != EINTR)
            abort(); /* no randomness, no keys, no identities: nothing safe can be done */
    }
    return v;
}

uint64_t loop_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t loop_mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* $JOURNAL_STREAM names the device and inode that stderr has when the journal reads it. */
static bool journal_reads(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void loop_log_value(struct buf *b, const char *key, const char *value)
{
    struct buf quoted = {0};
    printable_put_value(&quoted, value);
    buf_printf(b, "%s%s=", b->len ? " " : "", key);
    printable_put(b, buf_str(&quoted), quoted.len);
    buf_fini(&quoted);
}

void loop_log(int level, const char *text)
{
    static const char *const name[] = {"error", "warning", "info"};
    static const char priority[] = {'3', '4', '6'};
    unsigned l = level < 0 ? 0 : level > 2 ? 2 : (unsigned)level;
    struct buf b = {0};
    struct tm tm;
    uint64_t ms = loop_wall_ms();
    time_t seconds = (time_t)(ms / 1000);
    char ts[40] = "?";
    if (gmtime_r(&seconds, &tm))
        strftime(ts, sizeof ts, "%Y-%m-%dT%H:%M:%S", &tm);
    if (journal_reads())
        buf_printf(&b, "<%c>", priority[l]);
    buf_printf(&b, "ts=%s.%03uZ level=%s ", ts, (unsigned)(ms % 1000), name[l]);
    printable_put(&b, text, strlen(text));
    buf_put_u8(&b, '\n');
    /* nobody reads the log: nothing to say that to */
    (void)file_write(STDERR_FILENO, b.data, b.len);
    buf_fini(&b);
}

void loop_log_pair(int level, const char *event, const char *key, const char *value)
{
    struct buf b = {0};
    loop_log_value(&b, "event", event);
    if (key)
        loop_log_value(&b, key, value);
    loop_log(level, buf_str(&b));
    buf_fini(&b);
}

void loop_log_limited(struct log_limit *t, const char *event, const char *reason, const char *who)
{
    uint64_t now = loop_mono_ms();
    char count[24];
    t->count++;
    if (t->last_ms && now - t->last_ms < LOG_LIMIT_MS)
        return;
    struct buf b = {0};
    snprintf(count, sizeof count, "%llu", (unsigned long long)t->count);
    loop_log_value(&b, "event", event);
    loop_log_value(&b, "reason", reason);
    loop_log_value(&b, "from", who);
    loop_log_value(&b, "count", count);
    loop_log(1, buf_str(&b));
    buf_fini(&b);
    *t = (struct log_limit){.last_ms = now};
}
