/* run.c - the node in the foreground.
 *
 * A disk that fails does not end the process: the node is let go and begun anew (close, open, look
 * again: nothing is trusted that was read before), with a back-off, while `status` says what is
 * wrong. So it is where another program has dropped our tables: the triggers go, and the rest is a
 * person's. An attempt that fails where the last one did is quiet. Whatever else ends it is kept in
 * the state directory.
 */
#include "node/cli/cli.h"

#include "node/db/db.h"
#include "node/journal/journal.h"
#include "node/loop/loop.h"
#include "protocol/seal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define AGAIN_MIN_MS 1000u
#define AGAIN_MAX_MS 30000u
#define AGAIN_LOG_MS 600000u
#define SOUND_MS 60000u /* a life of so long: the next failure is another one */

struct running {
    struct cli *cli;
    struct cli_office office;
    struct identity_file identity;
    int lock;
    struct loop_end end;
    bool hushed;       /* what an attempt fails by is not printed each time */
    uint32_t failures; /* of the disk, in a row */
    bool gone;         /* our tables were dropped, in this process's sight */
    uint64_t logged_ms;
    char logged[sizeof((struct loop_end *)0)->reason];
};

/* A stop that is asked for between two loops, which both see to it themselves. */
static volatile sig_atomic_t stop_asked;

static void on_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

/* After each commit that changed our seq: the record outside the database. */
static void committed(void *user, uint64_t site, uint64_t seq)
{
    struct running *r = user;
    identity_write(&r->identity, &(struct identity_record){.site = site, .seq = seq});
}

/* A port that was picked is kept. */
static void listening(void *user, const char *endpoint)
{
    struct running *r = user;
    char msg[256] = "";
    if (strcmp(r->office.config.listen, endpoint) == 0)
        return;
    r->office.config.listen = arena_strdup(&r->cli->arena, endpoint);
    if (config_save(r->cli->dir, &r->office.config, msg) != ERR_OK)
        loop_log(1, msg);
}

static struct node *make_node(struct running *r, const struct identity_record *last)
{
    const struct config *config = &r->office.config;
    struct node_options no = {.store = r->office.store,
                              .software = "tonle " TONLE_VERSION,
                              .run = loop_random(),
                              .batch_ms = config->batch_ms,
                              .batch_max_ms = config->batch_max_ms,
                              .heartbeat_ms = config->heartbeat_ms,
                              .mark_ms = config->mark_ms,
                              .outside_site = last->site,
                              .outside_seq = last->seq,
                              .committed = committed,
                              .user = r};
    memcpy(no.sign_secret, r->office.keys.sign_secret, SIGN_SECRET_BYTES);
    struct node *n = node_new(&no);
    explicit_bzero(&no, sizeof no);
    return n;
}

static int run_loop(struct running *r, struct node *n)
{
    const struct config *config = &r->office.config;
    struct loop_options lo = {.node = n,
                              .dir = r->cli->dir,
                              .db_path = r->office.db_path,
                              .listen = config->listen,
                              .parent_endpoint = config->parent_endpoint,
                              .listening = listening,
                              .user = r,
                              .end = &r->end};
    memcpy(lo.parent_curve_key, config->parent_curve_key, CURVE_KEY_BYTES);
    memcpy(lo.curve_key, r->office.keys.curve_key, CURVE_KEY_BYTES);
    memcpy(lo.curve_secret, r->office.keys.curve_secret, CURVE_KEY_BYTES);
    int code = loop_run(&lo);
    explicit_bzero(&lo, sizeof lo);
    return code;
}

/* A directory beside another node's database would sign with a key that is not this node's. */
static int check_keys(struct running *r)
{
    struct store *s = r->office.store;
    const struct store_identity *id = store_identity_get(s);
    struct site_record site;
    enum err e = store_site_get(s, &r->cli->arena, id->site, &site);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return office_fail(&r->office, e, "reading the registry");
    if (e == ERR_OK && memcmp(site.sign_key, r->office.keys.sign_key, SIGN_PUBLIC_BYTES) == 0)
        return CLI_OK;
    return cli_fail(
        CLI_ERROR,
        "the database %s is that of the node %s, and the keys in %s are not: they do not "
        "belong together; bring back the right file, or give the right --dir",
        r->office.db_path, id->node, r->cli->dir);
}

/* What the last one ended by is said once more; the block for the next is made. */
static void tell_last_exit(const struct running *r)
{
    char last[LAST_EXIT_BYTES];
    struct buf b = {0};
    last_exit_read(r->cli->dir, last);
    if (last[0] != '\0') {
        loop_log_value(&b, "event", "last_exit");
        loop_log_value(&b, "reason", last);
        loop_log(1, buf_str(&b));
    }
    buf_fini(&b);
    last_exit_write(r->cli->dir, "");
}

static int lock_directory(struct running *r)
{
    char msg[256] = "";
    if (r->lock >= 0)
        return CLI_OK;
    enum err e = lock_take(r->cli->dir, &r->lock, msg);
    r->office.fault = e;
    if (e == ERR_BUSY)
        return cli_fail(CLI_ERROR, "a node runs on %s already: `tonle status --dir %s` shows it",
                        r->cli->dir, r->cli->dir);
    if (e != ERR_OK)
        return cli_fail(CLI_ERROR, "%s", msg);
    tell_last_exit(r);
    return CLI_OK;
}

/* One life of the node. */
static int run_once(struct running *r)
{
    char msg[256] = "";
    struct identity_record last = {0};
    arena_reset(&r->cli->arena); /* of the life before */
    r->office.config = (struct config){0};
    int code = lock_directory(r);
    if (code == CLI_OK)
        code = office_open(r->cli, OFFICE_RUN, &r->office);
    if (code != CLI_OK)
        return code;
    code = check_keys(r);
    if (code == CLI_OK)
        code = office_claim(r->cli, &r->office, r->lock, r->failures > 0);
    if (code == CLI_OK && identity_open(r->cli->dir, &r->identity, &last, msg) != ERR_OK) {
        r->office.fault = ERR_IO;
        code = cli_fail(CLI_ERROR, "%s", msg);
    }
    if (code == CLI_OK) {
        r->hushed = false;
        cli_hush(false);
        uint64_t began_ms = cli_mono_ms();
        struct node *n = make_node(r, &last);
        r->gone = false;
        code = run_loop(r, n);
        node_free(n);
        r->gone = code != CLI_OK && store_gone(r->office.store);
        if (cli_mono_ms() > began_ms + SOUND_MS)
            r->failures = 0;
    }
    office_close(&r->office);
    identity_close(&r->identity);
    return code;
}

/* Of an attempt that ended before its loop, or by itself in it. Where nothing of ours is left,
 * only this process knows that there were tables. */
static bool goes_on(struct running *r)
{
    if (r->end.reason[0] != '\0')
        return r->end.again;
    r->gone = r->gone || r->office.gone;
    snprintf(r->end.reason, sizeof r->end.reason, "%s",
             r->office.gone ? r->office.gone
             : r->gone && r->office.fault == ERR_OK
                 ? "tables of Tonle were dropped from its database by another program; its "
                   "applications go on, and nothing of it is sent"
                 : cli_failure());
    return r->gone || r->office.fault == ERR_IO || r->office.fault == ERR_FULL ||
           r->office.fault == ERR_CORRUPT;
}

static void log_failure(struct running *r, uint64_t wait_ms)
{
    struct buf b = {0};
    char seconds[24];
    uint64_t now = cli_mono_ms();
    bool same = strcmp(r->logged, r->end.reason) == 0;
    if (r->logged_ms && now < r->logged_ms + (same ? AGAIN_LOG_MS : AGAIN_MAX_MS))
        return;
    snprintf(r->logged, sizeof r->logged, "%s", r->end.reason);
    r->logged_ms = now;
    snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)(wait_ms / 1000));
    loop_log_value(&b, "event", r->gone ? "tables_gone" : "disk_failed");
    loop_log_value(&b, "reason", r->end.reason);
    loop_log_value(&b, "again_in_s", seconds);
    loop_log(0, buf_str(&b));
    buf_fini(&b);
}

/* Waits before the next attempt; true: a stop was asked for. */
static bool wait_for_next(struct running *r)
{
    uint64_t ms = (uint64_t)AGAIN_MIN_MS << (r->failures < 5 ? r->failures : 5);
    const char *next = r->gone
                           ? office_gone_next(&r->office.config)
                           : "see to that disk (room, mount, permissions); it is tried again by "
                             "itself, and nothing is lost meanwhile";
    r->failures++;
    ms = ms < AGAIN_MAX_MS ? ms : AGAIN_MAX_MS;
    log_failure(r, ms);
    static const char unnamed[] = /* a path that is not UTF-8 */
        "{\"ok\":false,\"resting\":true,\"code\":\"disk\",\"error\":\"a disk fails: the log names "
        "it\"}";
    json_t *o = json_pack("{s:b, s:b, s:s, s:s, s:s}", "ok", 0, "resting", 1, "code",
                          r->gone ? "tables" : "disk", "error", r->end.reason, "next", next);
    char *answer = json_dumps(o, JSON_COMPACT);
    bool stop = loop_rest(r->lock >= 0 ? r->cli->dir : NULL, answer ? answer : unnamed, ms);
    free(answer);
    json_decref(o);
    return stop;
}

static void keep_last_exit(const struct running *r, const char *reason)
{
    if (r->lock >= 0) /* or it is another's */
        last_exit_write(r->cli->dir, reason);
}

static int run(struct running *r)
{
    for (;;) {
        r->end = (struct loop_end){0};
        r->office.fault = ERR_OK;
        r->office.gone = NULL;
        int code = run_once(r);
        signal(SIGTERM, on_stop);
        signal(SIGINT, on_stop);
        if (code == CLI_OK || !goes_on(r)) {
            cli_hush(false);
            return r->hushed ? cli_fail(code, "%s", r->end.reason) : code;
        }
        keep_last_exit(r, r->end.reason);
        r->hushed = true;
        cli_hush(true);
        if (wait_for_next(r) || stop_asked)
            return CLI_OK;
        keep_last_exit(r, "");
    }
}

int command_run(struct cli *c, int argc, char **argv)
{
    struct running r = {.cli = c, .lock = -1, .identity = {.fd = -1}};
    int code = cli_arguments(c, argc, argv, NULL, 0, 0);
    if (code != CLI_OK)
        return code;
    if (seal_start() != ERR_OK)
        return cli_fail(CLI_ERROR, "the crypto library does not start");
    code = office_check(c);
    if (code != CLI_OK)
        return code;
    code = run(&r);
    keep_last_exit(&r, code == CLI_OK ? "" : r.end.reason);
    lock_release(r.lock);
    return code;
}
