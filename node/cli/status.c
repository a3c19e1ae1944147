#define _GNU_SOURCE /* strptime, timegm */
/* status.c - the line and the data of this office and its neighbours, as two separate facts
 * (DESIGN 2.13). What is not green is decided by the node (core/reason.c): the text, the JSON and
 * the exit code show its `state` and `reasons`, and add none. */
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

/* For a line of text: an office's words cannot begin another. */
static const char *word_of(struct cli *c, const json_t *o, const char *name)
{
    return cli_safe(c, text_of(o, name));
}

static void add_reason(json_t *status, const char *code, const char *text, const char *next)
{
    const char *node = text_of(status, "node"), *subject = node[0] != '\0' ? node : "this node";
    json_array_append_new(json_object_get(status, "reasons"),
                          json_pack("{s:s, s:s, s:s, s:s, s:n, s:b}", "code", code, "subject",
                                    subject, "text", text, "next", next, "since", "waits", 0));
}

static void drop_reason(json_t *status, const char *code)
{
    json_t *list = json_object_get(status, "reasons");
    for (size_t i = json_array_size(list); i > 0; i--)
        if (strcmp(text_of(json_array_get(list, i - 1), "code"), code) == 0)
            json_array_remove(list, i - 1);
}

static int read_stopped(struct cli *c, json_t **status)
{
    struct cli_office o = {0};
    struct buf b = {0};
    int code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    struct identity_record last;
    identity_read(c->dir, &last);
    node_status_json(&(struct status_ask){.store = o.store,
                                          .mono_ms = cli_mono_ms(),
                                          .wall_ms = cli_now_ms(),
                                          .outside_site = last.site,
                                          .outside_seq = last.seq},
                     &b);
    *status = json_loadb(buf_str(&b), b.len, 0, NULL);
    buf_fini(&b);
    office_close(&o);
    return *status
               ? CLI_NOT_RUNNING
               : cli_fail(CLI_ERROR, "the state of %s cannot be shown: run `tonle doctor`", c->dir);
}

/* The node waits for its disk, or its tables: what is in the database, if that can be read, and why
 * it waits. */
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
    drop_reason(status, "not-running");
    json_object_set_new(status, "running", json_true());
    json_object_set_new(status, "state", json_string("degraded"));
    add_reason(status, text_of(answer, "code"), text_of(answer, "error"), text_of(answer, "next"));
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
        add_reason(*status, "ended", cli_printf(c, "it ended by itself: %s", last),
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

static int exit_of(const json_t *status)
{
    const char *state = text_of(status, "state");
    return strcmp(state, "green") == 0     ? CLI_OK
           : strcmp(state, "stopped") == 0 ? CLI_NOT_RUNNING
                                           : CLI_DEGRADED;
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

static bool time_of(const json_t *o, const char *name, int64_t *s)
{
    struct tm tm = {0};
    if (!strptime(text_of(o, name), "%Y-%m-%dT%H:%M:%S", &tm))
        return false;
    *s = (int64_t)timegm(&tm);
    return true;
}

/* A time as an age, which is what a person wants to know; by the clock that the status was made
 * with, because this machine's may be another. NULL: no such time. */
static const char *ago(struct cli *c, const json_t *status, const json_t *o, const char *name)
{
    int64_t then, now;
    if (!time_of(o, name, &then) || !time_of(status, "now", &now))
        return NULL;
    return cli_age(c, now > then ? (uint64_t)(now - then) * 1000 : 0);
}

static const char *data_text(struct cli *c, const json_t *status, const json_t *peer)
{
    json_int_t out = number_of(peer, "pending_out"), in = number_of(peer, "pending_in");
    const char *oldest = ago(c, status, peer, "oldest_pending");
    if (out == 0 && in == 0)
        return cli_coloured(c, COLOUR_GOOD, "nothing waits");
    const char *text = cli_printf(c, "%lld out, %lld in%s%s", (long long)out, (long long)in,
                                  oldest ? ", the oldest for " : "", oldest ? oldest : "");
    return cli_coloured(c, COLOUR_WARN, text);
}

struct status_rows {
    struct text_table t;
    const json_t *status;
};

static void add_peer(struct cli *c, struct status_rows *rows, const char *role, const json_t *peer)
{
    const char *last = ago(c, rows->status, peer, "last_contact");
    const char *cells[] = {role, text_of(peer, "name"), line_text(c, peer),
                           last ? cli_printf(c, "%s ago", last) : "never",
                           data_text(c, rows->status, peer)};
    table_add(c, &rows->t, cells);
}

static void print_held_own(struct cli *c, const json_t *status)
{
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(status, "held_own_rows"), i, o)
    {
        cli_print("  of this office: %s %s (%s), `tonle held show %s`\n", word_of(c, o, "table"),
                  cli_safe(c, cli_short(c, text_of(o, "key"))), text_of(o, "kind"),
                  text_of(o, "id"));
    }
}

static void print_reasons(struct cli *c, const json_t *status)
{
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(status, "reasons"), i, o)
    {
        const char *age = ago(c, status, o, "since");
        cli_print("\n%s: %s%s%s%s\n", word_of(c, o, "subject"), word_of(c, o, "text"),
                  age ? " (for " : "", age ? age : "", age ? ")" : "");
        cli_print("  next: %s\n", word_of(c, o, "next"));
        if (strcmp(text_of(o, "code"), "held") == 0)
            print_held_own(c, status);
    }
}

static const char *state_text(struct cli *c, const json_t *status)
{
    static const struct {
        const char *state, *text;
        enum cli_colour colour;
    } known[] = {{"green", "all is well", COLOUR_GOOD},
                 {"waiting", "something waits", COLOUR_WARN},
                 {"degraded", "needs a look", COLOUR_BAD},
                 {"stopped", "needs a look", COLOUR_BAD}};
    const char *state = text_of(status, "state");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].state, state) == 0)
            return cli_coloured(c, known[i].colour, known[i].text);
    return state;
}

static void print_head(struct cli *c, const json_t *status)
{
    const char *unit = word_of(c, status, "unit");
    bool synced = json_is_true(json_object_get(status, "synced"));
    if (json_is_null(json_object_get(status, "node"))) {
        cli_print("running, and nothing can be read of its database\n");
        return;
    }
    bool running = json_is_true(json_object_get(status, "running"));
    json_int_t own = number_of(status, "held_own"), open = number_of(status, "conflicts_open");
    cli_print(
        "%s (%s%s): %s, %s; %s\n", word_of(c, status, "node"),
        unit[0] == '\0' ? "the hub" : "unit ", unit,
        cli_coloured(c, running ? COLOUR_GOOD : COLOUR_BAD, running ? "running" : "not running"),
        cli_coloured(c, synced ? COLOUR_GOOD : COLOUR_WARN, synced ? "synced" : "not synced"),
        state_text(c, status));
    cli_print("sealed here: %lld changesets; held rows: %lld%s; open conflicts: %lld%s\n\n",
              (long long)number_of(status, "sealed_seq"), (long long)number_of(status, "held"),
              own > 0 ? cli_printf(c, " (%lld of this office)", (long long)own) : "",
              (long long)open, open > 0 ? " (`tonle conflict list --open`)" : "");
}

static void print_status(struct cli *c, const json_t *status)
{
    static const char *const heads[] = {"", "OFFICE", "LINE", "LAST CONTACT", "DATA"};
    struct status_rows rows = {.status = status};
    size_t i;
    json_t *child, *parent = json_object_get(status, "parent");
    print_head(c, status);
    table_head(c, &rows.t, 5, heads);
    if (json_is_object(parent))
        add_peer(c, &rows, "parent", parent);
    json_array_foreach(json_object_get(status, "children"), i, child)
    {
        add_peer(c, &rows, "child", child);
    }
    if (rows.t.n > 5)
        table_print(&rows.t);
    mem_free(rows.t.cell);
    print_reasons(c, status);
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
    if (wait == WAIT_NONE && (code == CLI_OK || code == CLI_NOT_RUNNING))
        code = exit_of(status);
    if (!c->json)
        print_status(c, status);
    if (c->json)
        cli_print_json(status);
    else
        json_decref(status);
    return code;
}
