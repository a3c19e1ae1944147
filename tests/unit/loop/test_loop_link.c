#include "protocol/limits.h"
#include "tests/lib/check.h"
#include "tests/lib/dir.h"
#include "tests/unit/loop/fake.h"
#include "tests/unit/loop/knock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct link_world { /* a parent office, running, and what is needed to knock at its door */
    char dir[4096], db[4200];
    struct fake parent;
    struct running_loop p;
    struct link_keys child, stranger;
};

static int world_up(void **state)
{
    struct link_world *w = calloc(1, sizeof *w);
    dir_make(w->dir);
    snprintf(w->db, sizeof w->db, "%s/app.db", w->dir);
    curve_make(&w->child);
    curve_make(&w->stranger);
    w->parent =
        (struct fake){.dir = w->dir, .db_path = w->db, .listen = "tcp://127.0.0.1:0", .n_child = 1};
    curve_make(&w->parent.keys);
    w->parent.child[0].user = "takeo";
    memcpy(w->parent.child[0].key, w->child.key, CURVE_KEY_BYTES);
    fake_run(&w->p, &w->parent);
    *state = w;
    return 0;
}

static int world_down(void **state)
{
    struct link_world *w = *state;
    int status = fake_stop(&w->p, SIGTERM);
    fake_dir_remove(w->dir);
    free(w);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static struct knocker *knock(struct link_world *w, const struct link_keys *own)
{
    return knock_open(w->p.endpoint, w->parent.keys.key, own);
}

static void say(struct knocker *k, const char *text)
{
    const char *why = "not in time";
    if (knock_send(k, text, strlen(text), &why))
        fail_msg("knock_send: %s", why);
}

/* The route in a report of the parent. */
static const char *route_in(char *line)
{
    char *route = strstr(line, "route=");
    assert_non_null(route);
    route += strlen("route=");
    route[strcspn(route, " ")] = 0;
    return route;
}

/* A message of an accepted child reaches the parent's step under the name that the ZAP handler
 * gave, and the answer to its route reaches the child. */
static void loop_carries_messages_both_ways(void **state)
{
    struct link_world *w = *state;
    char line[4096];
    struct buf got = {0};
    struct knocker *l = knock(w, &w->child);
    say(l, "hello");
    fake_expect(&w->p, "receive user=takeo", line);
    assert_non_null(strstr(line, "len=5 text=hello"));
    fake_do(&w->p, "send %s welcome", route_in(line));
    assert_ok(knock_receive(l, &got));
    assert_string_equal(buf_str(&got), "welcome");
    knock_close(l);
    buf_fini(&got);
}

/* A key that the node does not know is refused, the one who knocks is told so, and nothing that he
 * sends reaches the node. */
static void loop_refuses_an_unknown_key(void **state)
{
    struct link_world *w = *state;
    char line[4096];
    const char *why = "";
    struct knocker *l = knock(w, &w->stranger);
    assert_err(knock_send(l, "let me in", 9, &why), ERR_REFUSED);
    assert_non_null(strstr(why, "does not accept"));
    knock_close(l);
    l = knock(w, &w->child);
    say(l, "mine");
    fake_expect(&w->p, "receive", line); /* the first of all */
    assert_non_null(strstr(line, "user=takeo"));
    knock_close(l);
    struct buf log = {0};
    fake_log(&w->p, &log);
    assert_non_null(
        strstr(buf_str(&log), "event=connection_refused reason=\"unknown key\" from=127.0.0.1"));
    buf_fini(&log);
}

/* A connection that says nothing. */
static int idle_at(const char *endpoint)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(endpoint, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* It has been shut; libzmq's greeting may come first. */
static bool is_shut(int fd)
{
    char byte;
    ssize_t n = 1;
    while (n == 1)
        n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || errno != EAGAIN;
}

/* Beyond what a process of 256 descriptors can spare, connections that say nothing are shut, the
 * oldest first, and it is told; an office that has spoken is kept, one that comes then is heard. */
static void loop_shuts_the_oldest_of_a_silent_crowd(void **state)
{
    struct link_world *w = *state;
    char line[4096];
    int idle[300];
    fake_stop(&w->p, SIGTERM);
    w->parent.descriptors = 256;
    fake_run(&w->p, &w->parent);
    struct knocker *before = knock(w, &w->child);
    say(before, "before");
    fake_expect(&w->p, "receive user=takeo", line);
    for (int i = 0; i < 300; i++)
        idle[i] = idle_at(w->p.endpoint);
    struct knocker *l = knock(w, &w->child);
    say(l, "through");
    fake_expect(&w->p, "receive user=takeo", line);
    assert_non_null(strstr(line, "text=through"));
    fake_expect(&w->p, "trouble strangers crowd the endpoint", line);
    assert_true(is_shut(idle[0]));
    assert_true(is_shut(idle[99]));
    assert_false(is_shut(idle[299]));
    say(before, "still");
    fake_expect(&w->p, "receive user=takeo", line);
    assert_non_null(strstr(line, "text=still"));
    assert_false(fake_report(&w->p, "unreachable", line, 0));
    for (int i = 0; i < 300; i++)
        close(idle[i]);
    knock_close(before);
    knock_close(l);
}

/* Whether a stranger's message gets through to a listening socket that has no ZAP handler at all.
 */
static bool stranger_gets_in(void *ctx, void *server)
{
    struct link_keys own, stranger;
    char endpoint[256], msg[256], byte;
    size_t len = sizeof endpoint;
    int wait = 3000;
    void *client, *monitor;
    const char *why;
    curve_make(&own);
    curve_make(&stranger);
    zmq_setsockopt(server, ZMQ_CURVE_SECRETKEY, own.secret, CURVE_KEY_BYTES);
    assert_int_equal(zmq_bind(server, "tcp://127.0.0.1:0"), 0);
    assert_int_equal(zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
    assert_ok(link_client_socket(ctx, &stranger, own.key, &client, msg));
    assert_ok(link_monitor(ctx, client, LINK_EVENTS, &monitor, msg));
    assert_ok(link_connect(client, endpoint, msg));
    zmq_pollitem_t item = {.socket = monitor, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
    bool in = link_news_next(monitor, &why) == NEWS_UP;
    if (in) {
        zmq_setsockopt(client, ZMQ_SNDTIMEO, &wait, sizeof wait);
        zmq_setsockopt(server, ZMQ_RCVTIMEO, &wait, sizeof wait);
        assert_int_equal(zmq_send(client, "x", 1, 0), 1);
        assert_true(zmq_recv(server, &byte, 1, 0) >= 0);
    }
    link_close(client, monitor, 0);
    return in;
}

/* Also when the ZAP handler is missing, an unknown key is refused; the control shows that the
 * enforced domain is what does it: with it switched off, Debian's libzmq lets the stranger in. */
static void link_refuses_an_unknown_key_without_a_handler(void **state)
{
    void *ctx = link_context(), *server;
    struct link_keys own;
    char msg[256];
    int off = 0;
    curve_make(&own);
    assert_ok(link_server_socket(ctx, &own, &server, msg));
    assert_false(stranger_gets_in(ctx, server));
    zmq_close(server);
    assert_ok(link_server_socket(ctx, &own, &server, msg));
    assert_int_equal(zmq_setsockopt(server, 93, &off, sizeof off), 0);
    assert_true(stranger_gets_in(ctx, server));
    zmq_close(server);
    zmq_ctx_term(ctx);
}

/* A send to a route that never was, and one to a child that has hung up, come back as
 * EVENT_UNREACHABLE. */
static void loop_reports_unreachable_routes(void **state)
{
    struct link_world *w = *state;
    char line[4096], route[64], prefix[128];
    fake_do(&w->p, "send 0011223344 x");
    fake_expect(&w->p, "unreachable route=0011223344", line);
    struct knocker *l = knock(w, &w->child);
    say(l, "hello");
    fake_expect(&w->p, "receive", line);
    snprintf(route, sizeof route, "%s", route_in(line));
    knock_close(l);
    snprintf(prefix, sizeof prefix, "unreachable route=%s", route);
    for (int i = 0; i < 100;
         i++) { /* until the parent's libzmq has seen the end of the connection */
        fake_do(&w->p, "send %s x", route);
        if (fake_report(&w->p, prefix, line, 50))
            return;
    }
    fail_msg("never unreachable");
}

struct below_office { /* a child office that runs the loop too */
    char dir[4096], db[4200];
    struct fake child;
    struct running_loop c;
};

static void below_up(struct below_office *b, struct link_world *w, const struct link_keys *keys)
{
    dir_make(b->dir);
    snprintf(b->db, sizeof b->db, "%s/app.db", b->dir);
    b->child = (struct fake){
        .dir = b->dir, .db_path = b->db, .parent_endpoint = w->p.endpoint, .keys = *keys};
    memcpy(b->child.parent_key, w->parent.keys.key, CURVE_KEY_BYTES);
    fake_run(&b->c, &b->child);
}

static void below_down(struct below_office *b)
{
    int status = fake_stop(&b->c, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    fake_dir_remove(b->dir);
}

/* Two loops speak: dialled once the handshake is done, both ways, again after ACTION_REDIAL over a
 * new route, and the goodbye of a clean stop arrives. */
static void loop_dials_and_redials_its_parent(void **state)
{
    struct link_world *w = *state;
    struct below_office *b = calloc(1, sizeof *b);
    char line[4096], first[64];
    below_up(b, w, &w->child);
    fake_expect(&b->c, "dialled", line);
    fake_do(&b->c, "send - one");
    fake_expect(&w->p, "receive user=takeo", line);
    assert_non_null(strstr(line, "text=one"));
    snprintf(first, sizeof first, "%s", route_in(line));
    fake_do(&w->p, "send %s two", first);
    fake_expect(&b->c, "receive user= route=-", line);
    assert_non_null(strstr(line, "text=two"));
    fake_do(&b->c, "redial 30");
    fake_expect(&b->c, "dialled", line);
    fake_do(&b->c, "send - three");
    fake_expect(&w->p, "receive user=takeo", line);
    assert_non_null(strstr(line, "text=three"));
    assert_string_not_equal(route_in(line), first);
    below_down(b);
    fake_expect(&w->p, "receive user=takeo", line);
    assert_non_null(strstr(line, "text=000000"));
    free(b);
}

/* The parent's death is EVENT_LOST at the child, its return EVENT_DIALLED, with nobody doing
 * anything; what the child's node sent in between is not delivered into the new session. */
static void loop_finds_its_parent_again(void **state)
{
    struct link_world *w = *state;
    struct below_office *b = calloc(1, sizeof *b);
    char line[4096], endpoint[256];
    below_up(b, w, &w->child);
    fake_expect(&b->c, "dialled", line);
    snprintf(endpoint, sizeof endpoint, "%s", w->p.endpoint);
    fake_stop(&w->p, SIGKILL);
    fake_expect(&b->c, "lost", line);
    fake_do(&b->c, "send - stale");
    w->parent.listen = endpoint;
    fake_run(&w->p, &w->parent);
    assert_string_equal(w->p.endpoint, endpoint);
    fake_expect(&b->c, "dialled", line);
    fake_do(&b->c, "send - fresh");
    fake_expect(&w->p, "receive", line);
    assert_non_null(strstr(line, "text=fresh"));
    below_down(b);
    free(b);
}

/* A parent that does not accept our key is logged once with the reason, however often it is
 * dialled. */
static void loop_logs_a_refusal_once(void **state)
{
    struct link_world *w = *state;
    struct below_office *b = calloc(1, sizeof *b);
    struct buf log = {0};
    char line[4096];
    below_up(b, w, &w->stranger);
    for (int i = 0; i < 4; i++) { /* each redial is a handshake of its own; ticks pass meanwhile */
        fake_do(&b->c, "redial 0");
        fake_expect(&b->c, "local_change", line);
    }
    fake_log(&b->c, &log);
    char *one =
        strstr(buf_str(&log), "event=parent_refused reason=\"the other side does not accept");
    assert_non_null(one);
    assert_null(strstr(one + strlen("event=parent_refused"), "parent_refused"));
    assert_false(fake_report(&b->c, "dialled", line, 0));
    buf_fini(&log);
    below_down(b);
    free(b);
}

/* A server key that is not the parent's is found out by the handshake and said, once; it is no
 * refusal. What is no endpoint at all ends the loop. */
static void loop_finds_a_wrong_server_key(void **state)
{
    struct link_world *w = *state;
    struct below_office *b = calloc(1, sizeof *b);
    struct buf log = {0};
    char line[4096];
    memcpy(w->parent.keys.key, w->stranger.key, CURVE_KEY_BYTES);
    below_up(b, w, &w->child);
    for (int i = 0; i < 100 && !strstr(buf_str(&log), "transport key is not the one we know");
         i++) {
        fake_expect(&b->c, "local_change", line);
        buf_reset(&log);
        fake_log(&b->c, &log);
    }
    assert_non_null(strstr(buf_str(&log), "transport key is not the one we know"));
    assert_false(fake_report(&b->c, "refused", line, 0));
    fake_stop(&b->c, SIGTERM);
    b->child.parent_endpoint = "nonsense";
    b->child.fails = true;
    fake_run(&b->c, &b->child);
    int status = fake_wait(&b->c);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    fake_dir_remove(b->dir);
    free(b);
    buf_fini(&log);
}

/* A frame over the limit never reaches the node: its sender's connection ends, and others go on. */
static void loop_drops_what_is_over_the_limit(void **state)
{
    struct link_world *w = *state;
    char line[4096];
    const char *why;
    size_t len = LIMIT_MESSAGE_BYTES + 1000;
    uint8_t *big = calloc(1, len);
    struct knocker *l = knock(w, &w->child), *other = knock(w, &w->child);
    say(l, "small");
    fake_expect(&w->p, "receive", line);
    assert_ok(knock_send(l, big, len, &why));
    say(other, "after");
    fake_expect(&w->p, "receive", line);
    assert_non_null(strstr(line, "text=after"));
    bool again = false;
    for (int i = 0; i < 50 && !again;
         i++) { /* libzmq dials anew; what went into the old line is lost */
        say(l, "again");
        again = fake_report(&w->p, "receive user=takeo", line, 100);
    }
    assert_true(again && strstr(line, "text=again"));
    knock_close(l);
    knock_close(other);
    free(big);
}

/* A message of exactly the limit goes through. */
static void loop_takes_a_message_of_the_limit(void **state)
{
    struct link_world *w = *state;
    char line[4096], expected[64];
    const char *why;
    size_t len = LIMIT_MESSAGE_BYTES;
    uint8_t *big = calloc(1, len);
    struct knocker *l = knock(w, &w->child);
    assert_ok(knock_send(l, big, len, &why));
    fake_expect(&w->p, "receive", line);
    snprintf(expected, sizeof expected, "len=%zu ", len);
    assert_non_null(strstr(line, expected));
    knock_close(l);
    free(big);
}

/* More messages than libzmq's own queue takes wait in ours and arrive in order; a peer that reads
 * nothing at all is given up. */
static void loop_queues_within_bounds(void **state)
{
    struct link_world *w = *state;
    char line[4096], expected[16];
    struct buf got = {0};
    struct knocker *l = knock(w, &w->child);
    say(l, "hello");
    fake_expect(&w->p, "receive", line);
    const char *route = route_in(line);
    fake_do(&w->p, "flood %s 4500 4096", route);
    for (unsigned i = 0; i < 4500; i++) {
        buf_reset(&got);
        assert_ok(knock_receive(l, &got));
        snprintf(expected, sizeof expected, "%06u", i);
        assert_memory_equal(got.data, expected, 6);
    }
    char report[4096];
    assert_false(fake_report(&w->p, "unreachable", report, 0));
    for (int i = 0; i < 4; i++)
        fake_do(&w->p, "flood %s 4000 8192", route);
    fake_expect(&w->p, "unreachable", report);
    assert_string_equal(route_in(report), route);
    knock_close(l);
    buf_fini(&got);
}

/* A message of several frames, which no node of ours sends, is dropped whole. */
static void loop_drops_messages_of_several_frames(void **state)
{
    struct link_world *w = *state;
    char line[4096], msg[256];
    void *ctx = link_context(), *s;
    int wait = WAIT_MS;
    assert_ok(link_client_socket(ctx, &w->child, w->parent.keys.key, &s, msg));
    zmq_setsockopt(s, ZMQ_SNDTIMEO, &wait, sizeof wait);
    assert_ok(link_connect(s, w->p.endpoint, msg));
    assert_int_equal(zmq_send(s, "a", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(s, "b", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(s, "c", 1, 0), 1);
    assert_int_equal(zmq_send(s, "whole", 5, 0), 5);
    fake_expect(&w->p, "receive", line);
    assert_non_null(strstr(line, "text=whole"));
    zmq_close(s);
    zmq_ctx_term(ctx);
}

/* A peer that names itself gets nothing through, though its key is known. */
static void loop_drops_messages_from_self_named_routes(void **state)
{
    struct link_world *w = *state;
    char line[4096], msg[256];
    void *ctx = link_context(), *s;
    int wait = WAIT_MS;
    assert_ok(link_client_socket(ctx, &w->child, w->parent.keys.key, &s, msg));
    zmq_setsockopt(s, ZMQ_SNDTIMEO, &wait, sizeof wait);
    zmq_setsockopt(s, ZMQ_ROUTING_ID, "kandal", 6);
    assert_ok(link_connect(s, w->p.endpoint, msg));
    assert_int_equal(zmq_send(s, "named", 5, 0), 5);
    assert_false(fake_report(&w->p, "receive", line, 200));
    struct knocker *l = knock(w, &w->child);
    say(l, "unnamed");
    fake_expect(&w->p, "receive", line);
    assert_non_null(strstr(line, "text=unnamed"));
    knock_close(l);
    zmq_close(s);
    zmq_ctx_term(ctx);
}

static bool accept_anybody(void *user, const uint8_t key[CURVE_KEY_BYTES], char user_id[256])
{
    (void)key;
    (void)user;
    strcpy(user_id, "anybody");
    return true;
}

/* The handler accepts one form of request and refuses, with an answer, everything else. */
static void zap_refuses_malformed_requests(void **state)
{
#define KEY "01234567890123456789012345678901"
    static const struct {
        const char *frame[9], *status;
    } cases[] = {
        {{"1.0", "7", "tonle", "10.0.0.1", "", "CURVE", KEY}, "200"},
        {{"1.1", "7", "tonle", "10.0.0.1", "", "CURVE", KEY}, "400"},
        {{"1.0", "7", "other", "10.0.0.1", "", "CURVE", KEY}, "400"},
        {{"1.0", "7", "", "10.0.0.1", "", "CURVE", KEY}, "400"},
        {{"1.0", "7", "tonle", "10.0.0.1", "", "NULL"}, "400"},
        {{"1.0", "7", "tonle", "10.0.0.1", "", "PLAIN", KEY}, "400"},
        {{"1.0", "7", "tonle", "10.0.0.1", "", "CURVE"}, "400"},
        {{"1.0", "7", "tonle", "10.0.0.1", "", "CURVE", "short"}, "400"},
        {{"1.0", "7", "tonle", "10.0.0.1", "", "CURVE", KEY "2"}, "400"},
        {{"1.0", "7", "tonle", "10.0.0.1", "", "CURVE", KEY, "more"}, "400"},
        {{"1.0"}, "400"},
    };
    char msg[256], got[300];
    void *ctx = link_context(), *asker = zmq_socket(ctx, ZMQ_REQ);
    struct zap z = {.authorise = accept_anybody};
    assert_ok(zap_open(&z, ctx, msg));
    assert_int_equal(zmq_connect(asker, LINK_ZAP_ENDPOINT), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const *f = cases[i].frame;
        for (int k = 0; f[k]; k++)
            assert_true(zmq_send(asker, f[k], strlen(f[k]), f[k + 1] ? ZMQ_SNDMORE : 0) >= 0);
        zmq_pollitem_t item = {.socket = z.socket, .events = ZMQ_POLLIN};
        assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
        assert_true(zap_serve(&z));
        assert_int_equal(zmq_recv(asker, got, sizeof got, 0), 3);
        assert_int_equal(zmq_recv(asker, got, sizeof got, 0), f[1] ? 1 : 0);
        assert_int_equal(zmq_recv(asker, got, sizeof got, 0), 3);
        assert_memory_equal(got, cases[i].status, 3);
        zmq_recv(asker, got, sizeof got, 0);
        assert_int_equal(zmq_recv(asker, got, sizeof got, 0), cases[i].status[0] == '2' ? 7 : 0);
        assert_int_equal(zmq_recv(asker, got, sizeof got, 0), 0);
    }
    assert_false(zap_serve(&z));
    zmq_close(asker);
    zap_close(&z);
    zmq_ctx_term(ctx);
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(loop_carries_messages_both_ways),
        WORLD_TEST(loop_refuses_an_unknown_key),
        WORLD_TEST(loop_shuts_the_oldest_of_a_silent_crowd),
        WORLD_TEST(loop_finds_a_wrong_server_key),
        cmocka_unit_test(link_refuses_an_unknown_key_without_a_handler),
        WORLD_TEST(loop_reports_unreachable_routes),
        WORLD_TEST(loop_dials_and_redials_its_parent),
        WORLD_TEST(loop_finds_its_parent_again),
        WORLD_TEST(loop_logs_a_refusal_once),
        WORLD_TEST(loop_drops_what_is_over_the_limit),
        WORLD_TEST(loop_takes_a_message_of_the_limit),
        WORLD_TEST(loop_queues_within_bounds),
        WORLD_TEST(loop_drops_messages_of_several_frames),
        WORLD_TEST(loop_drops_messages_from_self_named_routes),
        cmocka_unit_test(zap_refuses_malformed_requests),
    };
    return check_run(tests);
}
