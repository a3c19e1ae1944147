#include "conflict/mem.h"
#include "tests/lib/check.h"
#include "tests/lib/dir.h"
#include "tests/unit/loop/fake_node.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct home { /* one office without neighbours */
    char top[4096], dir[4096], db[4200];
    struct fake fake;
    struct running_loop r;
};

static int home_make(void **state)
{
    struct home *h = calloc(1, sizeof *h);
    dir_make(h->top);
    snprintf(h->dir, sizeof h->dir, "%.3000s/state", h->top);
    assert_int_equal(mkdir(h->dir, 0700), 0);
    snprintf(h->db, sizeof h->db, "%s/app.db", h->dir);
    h->fake = (struct fake){.dir = h->dir, .db_path = h->db};
    *state = h;
    return 0;
}

static int home_remove(void **state)
{
    struct home *h = *state;
    fake_dir_remove(h->top);
    free(h);
    return 0;
}

static void assert_clean_exit(int status)
{
    assert_int_equal(status, 0); /* as waitpid gives it: neither a code nor a signal */
}

static void write_file(const char *dir, const char *name)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

/* SIGTERM, or a hail of signals, gives the node its last step, ends with 0 and leaves only regular
 * files. */
static void loop_stops_cleanly(void **state)
{
    struct home *h = *state;
    char line[4096], path[4400];
    struct stat st;
    h->fake.listen = "tcp://127.0.0.1:0";
    curve_make(&h->fake.keys);
    fake_run(&h->r, &h->fake);
    snprintf(path, sizeof path, "%s/control.sock", h->dir);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | 0600);
    for (int i = 0; i < 5; i++)
        kill(h->r.pid, i % 2 ? SIGINT : SIGTERM);
    fake_expect(&h->r, "stop", line);
    assert_clean_exit(fake_wait(&h->r));
    DIR *d = opendir(h->dir);
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%.255s", h->dir, e->d_name);
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISREG(st.st_mode) || e->d_name[0] == '.');
    }
    closedir(d);
}

/* Signals that go on until the very end of the process do not change its exit. */
static void loop_is_not_hurt_by_further_signals(void **state)
{
    struct home *h = *state;
    siginfo_t info = {0};
    fake_run(&h->r, &h->fake);
    for (int i = 0; i < 1000000 && info.si_pid == 0; i++) {
        kill(h->r.pid, i % 2 ? SIGINT : SIGTERM);
        assert_int_equal(waitid(P_PID, (id_t)h->r.pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    }
    assert_int_equal(info.si_pid, h->r.pid);
    assert_clean_exit(fake_wait(&h->r));
}

/* A directory deeper than a socket's path may be long serves requests all the same. */
static void control_works_in_a_very_deep_directory(void **state)
{
    struct home *h = *state;
    char msg[256];
    struct buf reply = {0};
    for (int i = 0; i < 8; i++) {
        strcat(h->dir, "/a-directory-with-a-rather-long-name-of-its-own");
        assert_int_equal(mkdir(h->dir, 0700), 0);
    }
    assert_true(strlen(h->dir) > 300);
    fake_run(&h->r, &h->fake);
    assert_ok(control_request(h->dir, "ping", WAIT_MS, &reply, msg));
    assert_string_equal(buf_str(&reply), "done 4");
    buf_fini(&reply);
    assert_clean_exit(fake_stop(&h->r, SIGTERM));
}

/* Nobody there, a socket left by a killed process, a request too long, an answer that does not
 * come: each has its error, and the reply is left alone. */
static void control_request_tells_its_failures_apart(void **state)
{
    struct home *h = *state;
    char msg[256] = "", missing[4200];
    struct buf reply = {0};
    char *longest = mem_alloc(CONTROL_LINE_BYTES + 2);
    memset(longest, 'x', CONTROL_LINE_BYTES - 1);
    snprintf(missing, sizeof missing, "%s/missing", h->dir);
    assert_err(control_request(missing, "ping", 1000, &reply, msg), ERR_STATE);
    assert_err(control_request(h->dir, "ping", 1000, &reply, msg), ERR_STATE);
    fake_run(&h->r, &h->fake);
    fake_do(&h->r, "%s", "ping");
    assert_err(control_request(h->dir, "hold", 50, &reply, msg), ERR_BUSY);
    assert_int_equal(reply.len, 0);
    assert_ok(control_request(h->dir, longest, WAIT_MS, &reply, msg));
    assert_string_equal(buf_str(&reply), "done 65535");
    strcat(longest, "x");
    assert_err(control_request(h->dir, longest, WAIT_MS, &reply, msg), ERR_LIMIT);
    assert_int_equal(reply.len, strlen("done 65535"));
    fake_stop(&h->r, SIGKILL);
    assert_err(control_request(h->dir, "ping", 1000, &reply, msg), ERR_STATE);
    fake_run(&h->r, &h->fake); /* over the socket that was left */
    fake_do(&h->r, "%s", "ping");
    assert_clean_exit(fake_stop(&h->r, SIGTERM));
    buf_fini(&reply);
    mem_free(longest);
}

static int raw_client(const char *dir)
{
    struct sockaddr_un address;
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    control_address(&address, dir_fd);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(dir_fd);
    return fd;
}

/* Everything until `count` newlines or the end of the connection. */
static void read_lines(int fd, int count, char out[1024])
{
    size_t len = 0;
    while (count > 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        ssize_t n = read(fd, out + len, 1023 - len);
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            count -= out[len + (size_t)i] == '\n';
        len += (size_t)n;
    }
    out[len] = 0;
}

/* Several requests in one write, in pieces, and after the client's half of the connection has
 * ended, are answered each, in order. */
static void control_answers_pipelined_requests_in_order(void **state)
{
    struct home *h = *state;
    char got[1024];
    fake_run(&h->r, &h->fake);
    int fd = raw_client(h->dir);
    assert_int_equal(write(fd, "ping\nping3\n", 11), 11);
    read_lines(fd, 2, got);
    assert_string_equal(got, "done 4\ndone 5\n");
    assert_int_equal(write(fd, "pi", 2), 2);
    fake_do(&h->r, "%s", "another client meanwhile");
    assert_int_equal(write(fd, "ng\nlast__\n", 10), 10);
    shutdown(fd, SHUT_WR);
    read_lines(fd, 3, got); /* two and the end */
    assert_string_equal(got, "done 4\ndone 6\n");
    close(fd);
    assert_clean_exit(fake_stop(&h->r, SIGTERM));
}

/* A line that does not end, and one client too many, are hung up on; the others are served. */
static void control_limits_lines_and_clients(void **state)
{
    struct home *h = *state;
    char got[1024], chunk[1024];
    int fd[CONTROL_CLIENTS + 1];
    fake_run(&h->r, &h->fake);
    fd[0] = raw_client(h->dir);
    memset(chunk, 'x', sizeof chunk);
    for (size_t sent = 0; sent < CONTROL_LINE_BYTES + 8192; sent += sizeof chunk) {
        if (send(fd[0], chunk, sizeof chunk, MSG_NOSIGNAL) < 0)
            break;
    }
    read_lines(fd[0], 1, got);
    assert_string_equal(got, "");
    close(fd[0]);
    for (int i = 0; i < CONTROL_CLIENTS; i++) { /* an answer each: they are in */
        fd[i] = raw_client(h->dir);
        assert_int_equal(write(fd[i], "ping\n", 5), 5);
        read_lines(fd[i], 1, got);
        assert_string_equal(got, "done 4\n");
    }
    fd[CONTROL_CLIENTS] = raw_client(h->dir);
    read_lines(fd[CONTROL_CLIENTS], 1, got);
    assert_string_equal(got, "");
    assert_int_equal(write(fd[7], "ping\n", 5), 5);
    read_lines(fd[7], 1, got);
    assert_string_equal(got, "done 4\n");
    for (int i = 0; i <= CONTROL_CLIENTS; i++)
        close(fd[i]);
    assert_clean_exit(fake_stop(&h->r, SIGTERM));
}

static int notify_socket(const struct sockaddr_un *a, size_t path_len)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)a,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len)),
                     0);
    return fd;
}

static void expect_state(int fd, const char *state)
{
    char got[64] = "";
    do { /* the watchdog speaks in between */
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        ssize_t n = recv(fd, got, sizeof got - 1, 0);
        assert_true(n > 0);
        got[n] = 0;
    } while (strcmp(got, state) != 0);
}

static void notify_through(struct home *h, int fd, const char *name)
{
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "100000", 1);
    fake_run(&h->r, &h->fake);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    fake_do(&h->r, "ready");
    expect_state(fd, "READY=1");
    expect_state(fd, "WATCHDOG=1");
    expect_state(fd, "WATCHDOG=1");
    kill(h->r.pid, SIGTERM);
    expect_state(fd, "STOPPING=1");
    assert_clean_exit(fake_wait(&h->r));
    close(fd);
}

/* The supervisor hears READY=1 when the node says so, WATCHDOG=1 as often as it asked, STOPPING=1
 * at the end, on a socket with a path and on an abstract one. */
static void notify_reaches_the_supervisor(void **state)
{
    struct home *h = *state;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char name[128];
    snprintf(a.sun_path, sizeof a.sun_path, "%.80s/notify", h->top);
    notify_through(h, notify_socket(&a, strlen(a.sun_path) + 1), a.sun_path);
    int len = snprintf(name, sizeof name, "@tonle-test-%d", (int)getpid());
    memcpy(a.sun_path, name, (size_t)len);
    a.sun_path[0] = 0;
    notify_through(h, notify_socket(&a, (size_t)len), name);
}

/* ACTION_FATAL is logged with its reason, and no more than that, and ends with 1. */
static void loop_ends_with_one_after_a_fatal_action(void **state)
{
    struct home *h = *state;
    struct buf log = {0}, reply = {0};
    char msg[256], path[4400];
    struct stat st;
    fake_run(&h->r, &h->fake);
    fake_do(&h->r, "ping");
    (void)!control_request(h->dir, "fatal the disk is gone", WAIT_MS, &reply, msg);
    int status = fake_wait(&h->r);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    fake_log(&h->r, &log);
    assert_non_null(strstr(buf_str(&log), "level=error event=fatal reason=\"the disk is gone\"\n"));
    assert_null(strstr(buf_str(&log), "trace n="));
    snprintf(path, sizeof path, "%s/control.sock", h->dir);
    assert_int_not_equal(lstat(path, &st), 0);
    buf_fini(&log);
    buf_fini(&reply);
}

/* A failed assertion leaves the trace on stderr and still ends by SIGABRT. */
static void loop_dumps_the_trace_on_abort(void **state)
{
    struct home *h = *state;
    struct buf log = {0}, reply = {0};
    char msg[256];
    fake_run(&h->r, &h->fake);
    (void)!control_request(h->dir, "abort", WAIT_MS, &reply, msg);
    int status = fake_wait(&h->r);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    fake_log(&h->r, &log);
    assert_non_null(strstr(buf_str(&log), "trace n=0 "));
    assert_non_null(strstr(buf_str(&log), "event=request to=1 len=5"));
    buf_fini(&log);
    buf_fini(&reply);
}

/* A deadline ahead gives one EVENT_TIMER, not before its time, and the next one as the step asks.
 */
static void loop_keeps_deadlines(void **state)
{
    struct home *h = *state;
    char line[4096];
    fake_run(&h->r, &h->fake);
    fake_do(&h->r, "timers 3 40");
    for (int i = 0; i < 3; i++) {
        fake_expect(&h->r, "timer", line);
        assert_true(atoi(line + strlen("timer late_ms=")) >= 0);
    }
    fake_do(&h->r, "ping");
    assert_false(fake_report(&h->r, "timer", line, 0));
    assert_clean_exit(fake_stop(&h->r, SIGTERM));
}

/* A node that always has more to do (deadline in the past) is stepped again at once, and starves
 * neither requests nor signals. */
static void loop_serves_others_while_a_deadline_is_always_due(void **state)
{
    struct home *h = *state;
    char line[4096];
    fake_run(&h->r, &h->fake);
    fake_do(&h->r, "spin on");
    fake_expect(&h->r, "spun", line);
    for (int i = 0; i < 50; i++)
        fake_do(&h->r, "ping");
    write_file(h->dir, "app.db");
    fake_expect(&h->r, "local_change", line);
    assert_clean_exit(fake_stop(&h->r, SIGTERM));
}

/* A write to the database or its -wal wakes the node long before the safety net's second; one to
 * another file of the directory does not. */
static void loop_watches_the_database(void **state)
{
    struct home *h = *state;
    char line[4096];
    int woken = 0, others = 0;
    fake_run(&h->r, &h->fake);
    for (int i = 0; i < 10; i++) {
        while (fake_report(&h->r, "local_change", line, 10))
            ;
        write_file(h->dir, i % 2 ? "app.db" : "app.db-wal");
        woken += fake_report(&h->r, "local_change", line, 300);
    }
    assert_true(woken >= 9); /* in one round the process may not have run in time */
    for (int i = 0; i < 40; i++) {
        write_file(h->dir, "another");
        fake_do(&h->r, "ping");
        while (fake_report(&h->r, "local_change", line, 10))
            others++;
    }
    assert_true(others <= 8); /* the safety net's, one a second */
    assert_clean_exit(fake_stop(&h->r, SIGTERM));
}

/* A step that writes to the database is woken by its own write, yet does not spin. */
static void loop_does_not_spin_on_its_own_commits(void **state)
{
    struct home *h = *state;
    char line[4096];
    int changes = 0;
    fake_run(&h->r, &h->fake);
    fake_do(&h->r, "touch %s", h->db);
    write_file(h->dir, "app.db");
    while (changes < 100 && fake_report(&h->r, "local_change", line, WAIT_MS))
        changes++;
    assert_int_equal(changes, 100);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (changes = 0; changes < 50; changes++)
        fake_expect(&h->r, "local_change", line);
    clock_gettime(CLOCK_MONOTONIC, &after);
    int64_t ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    assert_true(ms >= 50 * 4);
    assert_clean_exit(fake_stop(&h->r, SIGTERM));
}

/* An address that is taken does not keep the node from working, and it is told of it; it listens as
 * soon as the address is free, and is told that, too. */
static void loop_listens_when_the_address_is_free(void **state)
{
    struct home *h = *state;
    struct running_loop first = {0};
    struct home *other = NULL;
    char line[4096], endpoint[256];
    curve_make(&h->fake.keys);
    home_make((void **)&other);
    other->fake.listen = "tcp://127.0.0.1:0";
    other->fake.keys = h->fake.keys;
    fake_run(&first, &other->fake);
    snprintf(endpoint, sizeof endpoint, "%s", first.endpoint);
    h->fake.listen = endpoint;
    h->fake.late = true;
    fake_run(&h->r, &h->fake);
    fake_expect(&h->r, "listen why=cannot listen on tcp://127.0.0.1:", line);
    fake_do(&h->r, "ping");
    assert_clean_exit(fake_stop(&first, SIGTERM));
    fake_expect(&h->r, "listening tcp://127.0.0.1:", line);
    assert_string_equal(line + strlen("listening "), endpoint);
    fake_expect(&h->r, "listen why=", line);
    assert_string_equal(line, "listen why=");
    assert_clean_exit(fake_stop(&h->r, SIGTERM));
    home_remove((void **)&other);
}

/* An endpoint that is none ends the start with 1 and a reason. */
static void loop_refuses_a_wrong_endpoint(void **state)
{
    struct home *h = *state;
    struct buf log = {0};
    h->fake.listen = "nonsense";
    h->fake.fails = true;
    curve_make(&h->fake.keys);
    fake_run(&h->r, &h->fake);
    int status = fake_wait(&h->r);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    fake_log(&h->r, &log);
    assert_non_null(strstr(buf_str(&log), "cannot listen on nonsense"));
    buf_fini(&log);
}

static void note_failure(void *user, const char *reason)
{
    snprintf(user, 768, "%s", reason);
}

/* Why a join cannot be brought on: of the directory nothing is said of the endpoint, and of the
 * endpoint which it is. */
static void a_join_names_what_is_in_its_way(void **state)
{
    struct home *h = *state;
    char why[768] = "";
    struct node n = {.fake = &h->fake, .reports = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    struct loop_join join = {.dir = "/nowhere", .failed = note_failure, .user = why};
    struct loop_options o = {
        .node = &n, .listen = "", .parent_endpoint = "nonsense", .join = &join};
    assert_int_equal(loop_run(&o), 1);
    assert_string_equal(why, "/nowhere cannot be written to: No such file or directory");
    join.dir = h->dir;
    assert_int_equal(loop_run(&o), 1);
    assert_non_null(strstr(why, "endpoint nonsense is not usable: "));
    close(n.reports);
    buf_fini(&n.scratch);
}

/* A record is one line whatever its text holds, and a value is quoted where a reader would stumble.
 */
static void log_writes_one_line_a_record(void **state)
{
    struct home *h = *state;
    struct buf log = {0}, b = {0};
    fake_run(&h->r, &h->fake);
    fake_do(&h->r, "log event=seal rows=3 name=\"a\tb\"");
    assert_clean_exit(fake_stop(&h->r, SIGTERM));
    fake_log(&h->r, &log);
    assert_int_equal(strncmp(buf_str(&log), "ts=20", 5), 0);
    assert_non_null(strstr(buf_str(&log), "Z level=warning event=seal rows=3 name=\"a\\tb\"\n"));
    loop_log_value(&b, "plain", "abc");
    loop_log_value(&b, "empty", "");
    loop_log_value(&b, "words", "a b");
    loop_log_value(&b, "nasty", "say \"x\"\nts=1 \\");
    assert_string_equal(buf_str(&b),
                        "plain=abc empty=\"\" words=\"a b\" nasty=\"say \\\"x\\\"\\nts=1 \\\\\"");
    buf_fini(&log);
    buf_fini(&b);
}

int main(void)
{
#define HOME_TEST(f) cmocka_unit_test_setup_teardown(f, home_make, home_remove)
    const struct CMUnitTest tests[] = {
        HOME_TEST(loop_stops_cleanly),
        HOME_TEST(loop_is_not_hurt_by_further_signals),
        HOME_TEST(control_works_in_a_very_deep_directory),
        HOME_TEST(control_request_tells_its_failures_apart),
        HOME_TEST(control_answers_pipelined_requests_in_order),
        HOME_TEST(control_limits_lines_and_clients),
        HOME_TEST(notify_reaches_the_supervisor),
        HOME_TEST(loop_ends_with_one_after_a_fatal_action),
        HOME_TEST(loop_dumps_the_trace_on_abort),
        HOME_TEST(loop_keeps_deadlines),
        HOME_TEST(loop_serves_others_while_a_deadline_is_always_due),
        HOME_TEST(loop_watches_the_database),
        HOME_TEST(loop_does_not_spin_on_its_own_commits),
        HOME_TEST(loop_listens_when_the_address_is_free),
        HOME_TEST(loop_refuses_a_wrong_endpoint),
        HOME_TEST(log_writes_one_line_a_record),
        HOME_TEST(a_join_names_what_is_in_its_way),
    };
    return check_run(tests);
}
