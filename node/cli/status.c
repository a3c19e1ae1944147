#define _GNU_SOURCE /* strptime, timegm */
/* status.c - the line and the data of this office and its neighbours, as two separate facts
 * (DESIGN 2.13). */
#include "node/cli/cli.h"

#include "node/core/node.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ASK_MS 5000
#define POLL_MS 50
#define WAIT_DEFAULT_S 30

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void add_reason(json_t *status, const char *subject, const char *text, const char *next)
{
    json_array_append_new(
        json_object_get(status, "reasons"),
        json_pack("{s:s, s:s, s:s}", "subject", subject, "text", text, "next", next));
}

static int read_stopped(struct cli *c, json_t **status)
{
    struct cli_office o = {0};
    struct buf b = {0};
    int code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    node_status_json(NULL, o.store, cli_mono_ms(), cli_now_ms(), &b);
    *status = json_loadb(buf_str(&b), b.len, 0, NULL);
    buf_fini(&b);
    office_close(&o);
    return *status
               ? CLI_NOT_RUNNING
               : cli_fail(CLI_ERROR, "the state of %s cannot be shown: run `tonle doctor`", c->dir);
}

/* The node waits for its disk: what is in the database, if that can be read, and why it waits. */
static json_t *read_resting(struct cli *c, const json_t *answer)
{
    json_t *status = NULL;
    cli_hush(true); /* why it cannot be read is what the node says */
    (void)read_stopped(c, &status);
    cli_hush(false);
    if (!status)
        status =
            json_pack("{s:i, s:n, s:n, s:n, s:n, s:[], s:n, s:n, s:{}, s:n, s:b, s:[], s:[]}",
                      "schema", CLI_SCHEMA, "node", "unit", "site", "parent", "children", "held",
                      "conflicts_open", "clock", "sealed_seq", "synced", 0, "reasons", "gaps");
    json_object_set_new(status, "running", json_true());
    const char *node = text_of(status, "node");
    add_reason(status, node[0] != '\0' ? node : "this node", text_of(answer, "error"),
               text_of(answer, "next"));
    return status;
}

int status_read(struct cli *c, json_t **status)
{
    json_t *answer = NULL;
    char last[LAST_EXIT_BYTES];
    int code = cli_ask_plain(c, json_pack("{s:s}", "do", "status"), ASK_MS, &answer);
    if (code == CLI_OK && json_is_true(json_object_get(answer, "resting"))) {
        *status = read_resting(c, answer);
        json_decref(answer);
        return CLI_OK;
    }
    *status = answer;
    if (code != CLI_NOT_RUNNING)
        return code;
    code = read_stopped(c, status);
    last_exit_read(c->dir, last);
    if (*status && last[0] != '\0')
        add_reason(*status, text_of(*status, "node"), cli_printf(c, "it ended by itself: %s", last),
                   "mend that, then start it");
    else if (last[0] != '\0')
        cli_note("It ended by itself: %s", last);
    return code;
}

static json_int_t number_of(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static bool line_ok(const json_t *peer)
{
    return strcmp(text_of(peer, "line"), "connected") == 0;
}

/* Something a person should look at while the node runs. */
static bool degraded(const json_t *status)
{
    size_t i;
    json_t *child, *parent = json_object_get(status, "parent");
    if (json_is_object(parent) && !line_ok(parent))
        return true;
    json_array_foreach(json_object_get(status, "children"), i,
                       child) if (!line_ok(child)) return true;
    return json_array_size(json_object_get(status, "reasons")) > 0;
}

/* ---- for people */

static const char *line_text(struct cli *c, const json_t *peer)
{
    const char *line = text_of(peer, "line");
    enum cli_colour colour = line_ok(peer)                  ? COLOUR_GOOD
                             : strcmp(line, "refused") == 0 ? COLOUR_BAD
                                                            : COLOUR_WARN;
    return cli_coloured(c, colour, line);
}

/* "2026-01-31T23:59:59Z" as an age, which is what a person wants to know. */
static const char *ago(struct cli *c, const char *time, uint64_t now_ms)
{
    struct tm tm = {0};
    if (!strptime(time, "%Y-%m-%dT%H:%M:%S", &tm))
        return NULL;
    int64_t ms = (int64_t)now_ms - (int64_t)timegm(&tm) * 1000;
    return cli_age(c, ms > 0 ? (uint64_t)ms : 0);
}

static const char *data_text(struct cli *c, const json_t *peer)
{
    json_int_t out = number_of(peer, "pending_out"), in = number_of(peer, "pending_in");
    const char *oldest = ago(c, text_of(peer, "oldest_pending"), cli_now_ms());
    if (out == 0 && in == 0)
        return cli_coloured(c, COLOUR_GOOD, "nothing waits");
    const char *text = cli_printf(c, "%lld out, %lld in%s%s", (long long)out, (long long)in,
                                  oldest ? ", the oldest for " : "", oldest ? oldest : "");
    return cli_coloured(c, COLOUR_WARN, text);
}

static void add_peer(struct cli *c, struct text_table *t, const char *role, const json_t *peer)
{
    const char *last = ago(c, text_of(peer, "last_contact"), cli_now_ms());
    const char *cells[] = {role, text_of(peer, "name"), line_text(c, peer),
                           last ? cli_printf(c, "%s ago", last) : "never", data_text(c, peer)};
    table_add(c, t, cells);
}

static void print_reason(const char *subject, const char *text, const char *next)
{
    printf("\n%s: %s\n", subject, text);
    if (next[0] != '\0')
        printf("  next: %s\n", next);
}

/* Whether a reason is given for this neighbour. */
static bool explained(const json_t *status, const char *name)
{
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(status, "reasons"), i, o)
    {
        if (strcmp(text_of(o, "subject"), name) == 0)
            return true;
    }
    return false;
}

static void print_reasons(struct cli *c, const json_t *status, bool running)
{
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(status, "reasons"), i, o)
    {
        print_reason(text_of(o, "subject"), text_of(o, "text"), text_of(o, "next"));
    }
    if (!running)
        return;
    json_array_foreach(json_object_get(status, "children"), i, o)
    {
        if (!line_ok(o) && !explained(status, text_of(o, "name")))
            print_reason(
                text_of(o, "name"),
                "not on the line; what it is to receive waits here, what it writes waits there",
                "if it stays away, ask that office whether its machine and its line work");
    }
    if (number_of(status, "held") > 0)
        print_reason("held rows", "rows are here that cannot stand in their tables now",
                     "`tonle held list` shows them and what is in their way");
    json_array_foreach(json_object_get(status, "held_own_rows"), i, o)
    {
        printf("  of this office: %s %s (%s), `tonle held show %s`\n", text_of(o, "table"),
               cli_safe(c, cli_short(c, text_of(o, "key"))), text_of(o, "kind"), text_of(o, "id"));
    }
    if (number_of(status, "conflicts_open") > 0)
        print_reason("conflicts", "concurrent writes need a decision",
                     "`tonle conflict list --open`");
}

static void print_status(struct cli *c, const json_t *status, bool running)
{
    static const char *const heads[] = {"", "OFFICE", "LINE", "LAST CONTACT", "DATA"};
    struct text_table t = {0};
    size_t i;
    json_t *child, *parent = json_object_get(status, "parent");
    const char *unit = text_of(status, "unit");
    bool synced = json_is_true(json_object_get(status, "synced"));
    if (json_is_null(json_object_get(status, "node"))) {
        printf("running, and nothing can be read of its database\n");
        print_reasons(c, status, running);
        return;
    }
    json_int_t own = number_of(status, "held_own");
    printf("%s (%s%s): %s, %s\n", text_of(status, "node"), unit[0] == '\0' ? "the hub" : "unit ",
           unit,
           cli_coloured(c, running ? COLOUR_GOOD : COLOUR_BAD, running ? "running" : "not running"),
           cli_coloured(c, synced ? COLOUR_GOOD : COLOUR_WARN, synced ? "synced" : "not synced"));
    printf("sealed here: %lld changesets; held rows: %lld%s; open conflicts: %lld\n\n",
           (long long)number_of(status, "sealed_seq"), (long long)number_of(status, "held"),
           own > 0 ? cli_printf(c, " (%lld of this office)", (long long)own) : "",
           (long long)number_of(status, "conflicts_open"));
    table_head(c, &t, 5, heads);
    if (json_is_object(parent))
        add_peer(c, &t, "parent", parent);
    json_array_foreach(json_object_get(status, "children"), i, child)
    {
        add_peer(c, &t, "child", child);
    }
    if (t.n > 5)
        table_print(&t);
    mem_free(t.cell);
    print_reasons(c, status, running);
}

/* ---- waiting, for scripts */

enum wait { WAIT_NONE, WAIT_SYNCED, WAIT_CONNECTED };

static bool reached(const json_t *status, enum wait wait)
{
    const json_t *parent = json_object_get(status, "parent");
    if (wait == WAIT_SYNCED)
        return json_is_true(json_object_get(status, "synced"));
    return !json_is_object(parent) || line_ok(parent);
}

/* Asks again until it is so; a node that is not running yet may be just starting. */
static int wait_for(struct cli *c, enum wait wait, uint64_t timeout_ms, json_t **status)
{
    uint64_t deadline = cli_mono_ms() + timeout_ms;
    for (;;) {
        int code = status_read(c, status);
        if (code != CLI_OK && code != CLI_NOT_RUNNING && code != CLI_TEMPORARY)
            return code;
        if (code == CLI_OK && reached(*status, wait))
            return CLI_OK;
        if (cli_mono_ms() >= deadline) {
            cli_note("tonle: not %s within %llu s%s", wait == WAIT_SYNCED ? "synced" : "connected",
                     (unsigned long long)(timeout_ms / 1000),
                     code == CLI_OK ? "; below is how it stands" : ": the node does not run");
            return code == CLI_NOT_RUNNING ? CLI_NOT_RUNNING : CLI_TEMPORARY;
        }
        json_decref(*status);
        *status = NULL;
        (void)poll(NULL, 0, POLL_MS);
    }
}

int command_status(struct cli *c, int argc, char **argv)
{
    const char *until = NULL;
    uint64_t timeout_s = WAIT_DEFAULT_S;
    json_t *status = NULL;
    const struct option options[] = {{"--wait", OPTION_TEXT, &until},
                                     {"--timeout", OPTION_NUMBER, &timeout_s},
                                     {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 0);
    if (code != CLI_OK)
        return code;
    enum wait wait = !until                         ? WAIT_NONE
                     : strcmp(until, "synced") == 0 ? WAIT_SYNCED
                                                    : WAIT_CONNECTED;
    if (wait == WAIT_CONNECTED && strcmp(until, "connected") != 0)
        return cli_usage(c, "--wait is synced or connected, not \"%s\"", until);
    if (timeout_s > 31536000)
        return cli_usage(c, "--timeout takes seconds, a year at most");
    code =
        wait == WAIT_NONE ? status_read(c, &status) : wait_for(c, wait, timeout_s * 1000, &status);
    if (!status)
        return code;
    if (code == CLI_OK && wait == WAIT_NONE && degraded(status))
        code = CLI_DEGRADED;
    if (!c->json)
        print_status(c, status, code != CLI_NOT_RUNNING);
    if (c->json)
        cli_print_json(status);
    else
        json_decref(status);
    if (code == CLI_NOT_RUNNING)
        cli_note("The node is not running: start it with `tonle run --dir %s` or its service.",
                 c->dir);
    return code;
}
