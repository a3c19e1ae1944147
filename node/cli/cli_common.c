#define _GNU_SOURCE /* vasprintf */
#include "node/cli/cli.h"

#include "node/config/config.h"
#include "node/db/db.h"
#include "node/file/near.h"
#include "node/file/printable.h"
#include "node/loop/control.h"
#include "protocol/seal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The node must not stand still: a lock that takes longer is tried again at the next step. */
#define RUN_BUSY_MS 200
#define LISTENS_MS 1000 /* for so long, at most, a node that opens its database does not listen */
#define LISTENS_POLL_MS 50

/* Of this process, which is one command. */
static char failure[1024];
static bool hushed;

const char *cli_failure(void)
{
    return failure;
}

void cli_hush(bool hush)
{
    hushed = hush;
}

/* What was printed before stands before this on a terminal. Words of others may be in it: in a
 * message of one line nothing of theirs begins another. */
__attribute__((format(printf, 3, 0))) static void say(const char *before, bool lines,
                                                      const char *fmt, va_list ap)
{
    struct buf b = {0};
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    buf_put(&b, before, strlen(before));
    if (lines)
        printable_put_lines(&b, text, strlen(text));
    else
        printable_put(&b, text, strlen(text));
    buf_put_u8(&b, '\n');
    fflush(stdout);
    fwrite(b.data, 1, b.len, stderr);
    buf_fini(&b);
    free(text);
}

int cli_fail(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(failure, sizeof failure, fmt, ap);
    va_end(ap);
    if (hushed)
        return code;
    va_start(ap, fmt);
    say("tonle: ", false, fmt, ap);
    va_end(ap);
    return code;
}

int cli_usage(const struct cli *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("tonle: ", false, fmt, ap);
    va_end(ap);
    fprintf(stderr, "usage: tonle %s %s\n", c->command->name, c->command->usage);
    return CLI_USAGE;
}

void cli_note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("", true, fmt, ap);
    va_end(ap);
}

int cli_unwritten(FILE *file)
{
    struct pollfd p = {.fd = fileno(file), .events = POLLOUT};
    if (poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0)
        return CLI_OK;
    return cli_fail(CLI_ERROR,
                    "the output could not be written completely: free the disk, and run it again");
}

int cli_exit_of(enum err e)
{
    switch (e) {
    case ERR_OK:
        return CLI_OK;
    case ERR_USAGE:
        return CLI_USAGE;
    case ERR_BUSY:
        return CLI_TEMPORARY;
    case ERR_REFUSED:
        return CLI_REFUSED;
    case ERR_NOTHING:
        return CLI_DECISION;
    default:
        return CLI_ERROR;
    }
}

/* ---- arguments */

static int set_option(struct cli *c, const struct option *o, const char *value)
{
    char *end;
    switch (o->kind) {
    case OPTION_TEXT:
        if (*(const char **)o->target)
            return cli_usage(c, "%s is given twice: leave one away", o->name);
        *(const char **)o->target = value;
        return CLI_OK;
    case OPTION_NUMBER:
        errno = 0;
        *(uint64_t *)o->target = strtoull(value, &end, 10);
        if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0)
            return cli_usage(c, "%s takes a whole number, not \"%s\"", o->name, value);
        return CLI_OK;
    case OPTION_LIST: {
        struct option_list *l = o->target;
        if (l->n == l->cap) {
            const char **more = arena_alloc(&c->arena, (l->cap + 16) * sizeof *more);
            for (size_t i = 0; i < l->n; i++)
                more[i] = l->item[i];
            l->item = more;
            l->cap += 16;
        }
        l->item[l->n++] = value;
        return CLI_OK;
    }
    default:
        return CLI_OK;
    }
}

static int unknown_option(const struct cli *c, const struct option *options, const char *word)
{
    const char *best = "--dir";
    unsigned least = near_distance(word, best);
    for (const struct option *o = options; o && o->name; o++)
        if (near_distance(word, o->name) < least) {
            least = near_distance(word, o->name);
            best = o->name;
        }
    if (near_distance(word, "--json") < least)
        best = "--json";
    return cli_usage(c, "`tonle %s` has no option \"%s\"; the nearest is %s", c->command->name,
                     word, best);
}

/* One option, "--name value" or "--name=value"; *i moves over what it took. */
static int take_option(struct cli *c, int argc, char **argv, int *i, const struct option *options)
{
    const char *word = argv[*i], *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const struct option common[] = {{"--dir", OPTION_TEXT, &c->dir},
                                    {"--json", OPTION_FLAG, &c->json},
                                    {NULL, OPTION_FLAG, NULL}};
    const struct option *lists[] = {options, common};
    for (int l = 0; l < 2; l++)
        for (const struct option *o = lists[l]; o && o->name; o++) {
            if (strlen(o->name) != len || strncmp(o->name, word, len) != 0)
                continue;
            if (o->kind == OPTION_FLAG) {
                if (equals)
                    return cli_usage(c, "%s takes no value", o->name);
                *(bool *)o->target = true;
                return CLI_OK;
            }
            if (equals)
                return set_option(c, o, equals + 1);
            if (*i + 1 >= argc)
                return cli_usage(c, "%s needs a value", o->name);
            return set_option(c, o, argv[++*i]);
        }
    return unknown_option(c, options, word);
}

int cli_arguments(struct cli *c, int argc, char **argv, const struct option *options, int min,
                  int max)
{
    bool only_words = false;
    c->words = mem_alloc(((size_t)argc + 1) * sizeof *c->words);
    for (int i = 0; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
            continue;
        }
        /* a lone "-" is a file name, "-5" a key */
        if (only_words || strncmp(argv[i], "--", 2) != 0) {
            c->words[c->n_words++] = argv[i];
            continue;
        }
        int code = take_option(c, argc, argv, &i, options);
        if (code != CLI_OK)
            return code;
    }
    if (c->n_words > max)
        return cli_usage(c, "\"%s\" is one word too many", c->words[max]);
    if (c->n_words < min)
        return cli_usage(c, "`tonle %s` needs %s", c->command->name, c->command->usage);
    c->dir = config_dir(c->dir);
    return CLI_OK;
}

/* ---- the node's directory and database */

const char *office_gone_next(const struct config *config)
{
    return !config->parent_endpoint || config->parent_endpoint[0] == '\0'
               ? "stop the hub and bring back the newest copy of its database"
               : "stop the node; tonle node add, at the hub, with a new name and the same unit; "
                 "then "
                 "tonle join --mode adopt with that invitation and an empty --dir, which brings "
                 "the "
                 "office back with what was written meanwhile";
}

/* Nobody but the node changes an application's database unasked. */
static int tables_gone(struct cli *c, enum office_access access, struct cli_office *o)
{
    uint32_t n = 0;
    const char *what =
        cli_printf(c, "tables of Tonle were dropped from %s by another program (%s first)",
                   o->db_path, store_missing(o->store));
    enum err e = access == OFFICE_RUN ? store_let_go(o->store, &n) : ERR_STATE;
    const char *so = e == ERR_OK ? "its applications go on, and nothing of it is sent"
                     : access == OFFICE_RUN
                         ? "its triggers cannot be removed yet, so its applications may not write"
                         : "where its triggers still stand, its applications cannot write until "
                           "the node is started, which removes them";
    o->gone = cli_printf(c, "%s; %s", what, so);
    return cli_fail(CLI_ERROR, "%s. Next: %s", o->gone, office_gone_next(&o->config));
}

static int open_store(struct cli *c, enum office_access access, struct cli_office *o)
{
    char msg[256] = "";
    struct store_options so = {.path = o->db_path,
                               .read_only = access == OFFICE_READ,
                               .wal_guard = access == OFFICE_RUN && o->config.wal_guard,
                               .busy_ms = access == OFFICE_RUN ? RUN_BUSY_MS : CLI_BUSY_MS};
    enum err e = store_open(&o->store, &so, msg);
    if (e == ERR_IO &&
        so.read_only) { /* an application that was killed left a transaction to roll back */
        so.read_only = false;
        e = store_open(&o->store, &so, msg);
    }
    o->fault = e;
    if (e == ERR_NOT_FOUND)
        return cli_fail(
            CLI_ERROR,
            "the database %s of this office is missing: bring back the disk or the file (never an "
            "empty one); nothing was changed",
            o->db_path);
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "the database %s cannot be opened: %s", o->db_path, msg);
    if (store_missing(o->store) && access == OFFICE_LEAVE)
        return CLI_OK;
    if (store_missing(o->store))
        return tables_gone(c, access, o);
    if (!store_is_ready(o->store))
        return cli_fail(
            CLI_ERROR,
            "the database %s holds nothing of Tonle: it was replaced, or joining did not end. "
            "Bring the "
            "right file back, or run `tonle join` (the hub: `tonle hub init`) again with --dir %s",
            o->db_path, c->dir);
    e = store_begin_read(o->store); /* who it is must be known before anything asks */
    if (e == ERR_OK)
        e = store_commit(o->store);
    o->fault = e;
    if (e != ERR_OK) {
        store_rollback(o->store);
        return office_fail(o, e, "opening the database");
    }
    return CLI_OK;
}

struct config office_new_config(const char *db, const char *listen, const char *parent_endpoint)
{
    return (struct config){.db = db,
                           .listen = listen,
                           .parent_endpoint = parent_endpoint,
                           .wal_guard = true,
                           .batch_ms = 10,
                           .batch_max_ms = 100,
                           .heartbeat_ms = 2000,
                           .mark_ms = 1000};
}

static int read_config(struct cli *c, struct config *config)
{
    char msg[1024] = "";
    enum err e = config_load(&c->arena, c->dir, config, msg);
    if (e == ERR_NOT_FOUND)
        return cli_fail(CLI_ERROR,
                        "%s is not the directory of a node: give it with --dir, or make one with "
                        "`tonle hub init` or "
                        "`tonle join`",
                        c->dir);
    return e == ERR_OK ? CLI_OK : cli_fail(cli_exit_of(e), "%s", msg);
}

int office_check(struct cli *c)
{
    struct config config;
    return read_config(c, &config);
}

int office_open(struct cli *c, enum office_access access, struct cli_office *o)
{
    char msg[256] = "";
    int code = read_config(c, &o->config);
    if (code != CLI_OK)
        return code;
    o->db_path = config_db_path(&c->arena, c->dir, &o->config);
    if (access != OFFICE_READ && access != OFFICE_LEAVE) {
        enum err e = keys_load(c->dir, &o->keys, msg);
        if (e != ERR_OK)
            return cli_fail(cli_exit_of(e), "%s", msg);
    }
    code = open_store(c, access, o);
    if (code != CLI_OK)
        office_close(o);
    return code;
}

void office_close(struct cli_office *o)
{
    store_close(o->store);
    o->store = NULL;
    explicit_bzero(&o->keys, sizeof o->keys);
}

int office_fail(const struct cli_office *o, enum err e, const char *doing)
{
    return cli_store_fail(e, store_message(o->store), doing);
}

int cli_store_fail(enum err e, const char *text, const char *doing)
{
    if (e == ERR_BUSY && (text[0] == '\0' || strstr(text, "is locked")))
        return cli_fail(CLI_TEMPORARY,
                        "%s: the database is locked by another program; try again in a moment",
                        doing);
    return cli_fail(cli_exit_of(e), "%s: %s", doing, text[0] != '\0' ? text : err_name(e));
}

/* ---- the running node */

/* Nobody listens, but the directory is in use: the node is opening its database, or will again. */
static bool may_listen_soon(const struct cli *c)
{
    char name[CONFIG_NAME_BYTES], msg[256];
    return lock_name(c->dir, name, msg) == ERR_OK && lock_look(name, -1) == LOCK_ANOTHERS;
}

int cli_ask_plain(struct cli *c, json_t *request, uint64_t timeout_ms, json_t **answer)
{
    char msg[256] = "";
    struct buf reply = {0};
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    *answer = NULL;
    enum err e = control_request(c->dir, text, (uint32_t)timeout_ms, &reply, msg);
    for (uint64_t ms = 0; e == ERR_STATE && ms < LISTENS_MS && may_listen_soon(c);
         ms += LISTENS_POLL_MS) {
        (void)poll(NULL, 0, LISTENS_POLL_MS);
        e = control_request(c->dir, text, (uint32_t)timeout_ms, &reply, msg);
    }
    free(text);
    int code = CLI_OK;
    if (e == ERR_STATE) {
        code = CLI_NOT_RUNNING;
    } else if (e != ERR_OK) {
        code =
            cli_fail(CLI_TEMPORARY,
                     "the node runs but does not answer (%s): look at its log, or try again", msg);
    } else {
        *answer = json_loadb(buf_str(&reply), reply.len, 0, NULL);
        if (!*answer)
            code = cli_fail(
                CLI_ERROR,
                "the node's answer makes no sense: is it of the same version as this program?");
    }
    buf_fini(&reply);
    return code;
}

int cli_ask(struct cli *c, json_t *request, uint64_t timeout_ms, json_t **answer)
{
    int code = cli_ask_plain(c, request, timeout_ms, answer);
    const char *error = json_string_value(json_object_get(*answer, "error"));
    const char *next = json_string_value(json_object_get(*answer, "next"));
    if (code == CLI_OK && error) {
        code = cli_fail(CLI_ERROR, "%s%s%s", error, next ? "; " : "", next ? next : "");
        json_decref(*answer);
        *answer = NULL;
    }
    return code;
}

/* ---- the system */

uint64_t cli_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t cli_mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void cli_random(void *p, size_t n)
{
    uint8_t *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            abort(); /* no kernel that runs this program lacks it */
        at += got;
        n -= (size_t)got;
    }
}

/* The address that a name stands for: a socket is bound to an address, and libzmq takes no name for
 * one. The name itself when it is an address already or every address ("*"); NULL when nobody knows
 * it. */
static const char *numeric_host(struct cli *c, const char *host)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char text[INET_ADDRSTRLEN] = "";
    if (strcmp(host, "*") == 0 || host[0] == '[') /* every address; an address of IPv6 */
        return host;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return NULL;
    inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, text, sizeof text);
    freeaddrinfo(found);
    if (strcmp(text, host) != 0)
        cli_note(
            "%s is the address %s; that is what this node listens on, and what invitations name.",
            host, text);
    return arena_strdup(&c->arena, text);
}

/* Binds for a moment to learn a port that is free; 0 on failure. */
static unsigned free_port(const char *host)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t len = sizeof addr;
    unsigned port = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strcmp(host, "*") != 0)
        inet_pton(AF_INET, host, &addr.sin_addr);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, len) == 0 &&
        getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
        port = ntohs(addr.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

int cli_listen(struct cli *c, const char *endpoint, const char **picked)
{
    static const char form[] =
        "an endpoint is tcp://HOST:PORT, as in tcp://10.0.0.5:7465 (port 0 picks a free one)";
    const char *colon = strrchr(endpoint, ':');
    if (strncmp(endpoint, "tcp://", 6) != 0 || colon <= endpoint + 6 || strlen(endpoint) > 300)
        return cli_usage(c, "\"%s\" is no endpoint: %s", endpoint, form);
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || port > 65535)
        return cli_usage(c, "\"%s\" has no port: %s", endpoint, form);
    const char *host = cli_printf(c, "%.*s", (int)(colon - endpoint - 6), endpoint + 6);
    const char *address = numeric_host(c, host);
    if (!address)
        return cli_fail(CLI_ERROR, "nobody knows the address of \"%s\": give a number, as in %s",
                        host, "tcp://10.0.0.5:7465");
    host = address;
    if (port == 0)
        port = free_port(host);
    if (port == 0)
        return cli_fail(CLI_ERROR,
                        "no port can be opened on \"%s\": is it an address of this machine?", host);
    *picked = cli_printf(c, "tcp://%s:%lu", host, port);
    return CLI_OK;
}

bool cli_name_ok(const char *name)
{
    size_t n = strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_");
    return name[n] == '\0' && n >= 1 && n <= 64;
}

const char *cli_absolute(struct cli *c, const char *path)
{
    char *here;
    if (path[0] == '/' || !(here = getcwd(NULL, 0)))
        return path;
    const char *whole = cli_printf(c, "%s/%s", here, path);
    free(here);
    return whole;
}
