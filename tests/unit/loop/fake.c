#define _GNU_SOURCE /* pipe2 */
#include "tests/lib/check.h"
#include "tests/lib/dir.h"
#include "tests/unit/loop/fake_node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void curve_make(struct link_keys *k)
{
    char key[41], secret[41];
    assert_int_equal(zmq_curve_keypair(key, secret), 0);
    assert_non_null(zmq_z85_decode(k->key, key));
    assert_non_null(zmq_z85_decode(k->secret, secret));
}

void fake_dir_remove(const char *dir)
{
    char log[4200];
    snprintf(log, sizeof log, "%s.log", dir);
    unlink(log);
    assert_int_equal(dir_remove(dir), 0);
}

static void on_listening(void *user, const char *endpoint)
{
    fake_tell(user, "listening %s", endpoint);
}

/* In the new process; never returns. */
static void live(const struct fake *f, int reports)
{
    char log[4200];
    struct rlimit few = {.rlim_cur = f->descriptors, .rlim_max = f->descriptors};
    struct node n = {.fake = f, .reports = reports};
    struct loop_options o = {.node = &n,
                             .dir = f->dir,
                             .db_path = f->db_path,
                             .listen = f->listen ? f->listen : "",
                             .parent_endpoint = f->parent_endpoint ? f->parent_endpoint : "",
                             .listening = on_listening,
                             .user = &n};
    memcpy(o.parent_curve_key, f->parent_key, CURVE_KEY_BYTES);
    memcpy(o.curve_key, f->keys.key, CURVE_KEY_BYTES);
    memcpy(o.curve_secret, f->keys.secret, CURVE_KEY_BYTES);
    snprintf(log, sizeof log, "%s.log", f->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDERR_FILENO);
    close(fd);
    signal(SIGABRT, SIG_DFL); /* cmocka's, inherited */
    if (f->descriptors)
        setrlimit(RLIMIT_NOFILE, &few);
    int code = loop_run(&o);
    buf_fini(&n.scratch);
    exit(code);
}

void fake_run(struct running_loop *r, const struct fake *f)
{
    int pipe_fd[2];
    char line[4096];
    *r = (struct running_loop){0};
    snprintf(r->dir, sizeof r->dir, "%s", f->dir);
    assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
    fflush(NULL);
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0) {
        close(pipe_fd[0]);
        live(f, pipe_fd[1]);
    }
    close(pipe_fd[1]);
    r->reports = pipe_fd[0];
    if (f->fails)
        return;
    if (f->listen && !f->late) {
        fake_expect(r, "listening ", line);
        snprintf(r->endpoint, sizeof r->endpoint, "%.255s", line + strlen("listening "));
    }
    fake_expect(r, "start", line);
}

/* Takes the first line out of pending. */
static bool take_line(struct running_loop *r, char line[4096])
{
    char *end = memchr(r->pending, '\n', r->pending_len);
    if (!end)
        return false;
    size_t len = (size_t)(end - r->pending);
    snprintf(line, 4096, "%.*s", (int)len, r->pending);
    r->pending_len -= len + 1;
    memmove(r->pending, end + 1, r->pending_len);
    return true;
}

bool fake_report(struct running_loop *r, const char *prefix, char line[4096], int wait_ms)
{
    int64_t until = now_ms() + wait_ms;
    for (;;) {
        while (take_line(r, line)) {
            if (strcmp(line, "REENTERED") == 0)
                fail_msg("node_step was entered from inside itself");
            if (strncmp(line, prefix, strlen(prefix)) == 0)
                return true;
        }
        struct pollfd p = {.fd = r->reports, .events = POLLIN};
        int64_t left = until - now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return false;
        ssize_t n =
            read(r->reports, r->pending + r->pending_len, sizeof r->pending - r->pending_len);
        if (n <= 0)
            return false;
        r->pending_len += (size_t)n;
    }
}

void fake_expect(struct running_loop *r, const char *prefix, char line[4096])
{
    if (!fake_report(r, prefix, line, WAIT_MS)) {
        struct buf log = {0};
        fake_log(r, &log);
        print_error("log of the process:\n%s", buf_str(&log));
        buf_fini(&log);
        fail_msg("no report \"%s\"", prefix);
    }
}

void fake_do(struct running_loop *r, const char *fmt, ...)
{
    char line[1024], msg[256] = "";
    struct buf reply = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    enum err e = control_request(r->dir, line, WAIT_MS, &reply, msg);
    if (e)
        fail_msg("request \"%s\": %s: %s", line, err_name(e), msg);
    assert_string_equal(strncmp(buf_str(&reply), "done", 4) == 0 ? "done" : buf_str(&reply),
                        "done");
    buf_fini(&reply);
}

int fake_wait(struct running_loop *r)
{
    int status = -1;
    int64_t until = now_ms() + WAIT_MS;
    char line[4096];
    while (fake_report(r, "nothing is called so", line, (int)(until - now_ms())))
        ; /* until the pipe ends with the process */
    if (now_ms() >= until)
        kill(r->pid, SIGKILL);
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    close(r->reports);
    return status;
}

int fake_stop(struct running_loop *r, int signal_number)
{
    assert_int_equal(kill(r->pid, signal_number), 0);
    return fake_wait(r);
}

void fake_log(const struct running_loop *r, struct buf *out)
{
    char path[4200], chunk[4096];
    snprintf(path, sizeof path, "%s.log", r->dir);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buf_put(out, chunk, n);
    fclose(f);
}
