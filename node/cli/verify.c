/* verify.c - whether this office's data are its parent's, asked of the running node. */
#include "node/cli/cli.h"

#include <stdio.h>
#include <string.h>

#define VERIFY_MS 60000u /* the node waits for equal clocks meanwhile */
#define SCAN_MS                                                                                    \
    (30u *                                                                                         \
     60000u) /* it reads every row of both, twice where they differ; it gives up by itself   \
                      when stuck */

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static json_int_t number_of(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

/* A node that runs and has its parent on the line; *hub when there is no parent to compare with. */
static int check_line(struct cli *c, bool *hub)
{
    json_t *status = NULL;
    int code = status_read(c, &status);
    const json_t *parent = json_object_get(status, "parent");
    if (code == CLI_NOT_RUNNING)
        cli_fail(code,
                 "the node is not running, and it is the node that compares: start it with `tonle "
                 "run --dir %s`",
                 c->dir);
    *hub = !json_is_object(parent);
    if (code == CLI_OK && !*hub && strcmp(text_of(parent, "line"), "connected") != 0)
        code = cli_fail(CLI_TEMPORARY,
                        "the line to %s is %s: try again when `tonle status` shows it connected",
                        text_of(parent, "name"), text_of(parent, "line"));
    json_decref(status);
    return code;
}

static void print_tables(struct cli *c, const json_t *answer)
{
    static const char *const heads[] = {"TABLE",         "",     "ROWS",
                                        "AT THE PARENT", "HELD", "AT THE PARENT"};
    struct text_table t = {0};
    size_t i;
    json_t *o;
    table_head(c, &t, 6, heads);
    json_array_foreach(json_object_get(answer, "tables"), i, o)
    {
        bool equal = json_is_true(json_object_get(o, "equal"));
        const char *cells[] = {
            text_of(o, "table"),
            cli_coloured(c, equal ? COLOUR_GOOD : COLOUR_BAD, equal ? "equal" : "DIFFERS"),
            cli_printf(c, "%lld", (long long)number_of(o, "rows")),
            cli_printf(c, "%lld", (long long)number_of(o, "parent_rows")),
            cli_printf(c, "%lld", (long long)number_of(o, "held")),
            cli_printf(c, "%lld", (long long)number_of(o, "parent_held"))};
        table_add(c, &t, cells);
    }
    table_print(&t);
}

/* Prints the node's answer without its own bookkeeping. Takes the reference. */
static void print_answer(json_t *answer)
{
    json_t *o = json_pack("{s:i}", "schema", CLI_SCHEMA);
    json_object_del(answer, "ok");
    json_object_update(o, answer);
    json_decref(answer);
    cli_print_json(o);
}

static int compare(struct cli *c)
{
    json_t *answer = NULL;
    int code = cli_ask(c, json_pack("{s:s}", "do", "verify"), VERIFY_MS, &answer);
    if (code != CLI_OK)
        return code;
    bool equal = json_is_true(json_object_get(answer, "equal")),
         settled = json_is_true(json_object_get(answer, "clock_equal"));
    if (!c->json)
        print_tables(c, answer);
    if (c->json)
        print_answer(answer);
    else
        json_decref(answer);
    if (!settled)
        return cli_fail(CLI_TEMPORARY, "changes were on their way all the time, so this says "
                                       "nothing: try again in a quieter moment");
    if (!equal)
        return cli_fail(CLI_DIFFER,
                        "the data differ from the parent's: `tonle verify --local` finds the rows");
    return CLI_OK;
}

struct verify_answer {
    bool accept, take_parent;
};

static int scan(struct cli *c, const struct verify_answer *how)
{
    json_t *answer = NULL;
    json_t *ask = json_pack("{s:s, s:s, s:b}", "do", "verify_local", "settle",
                            how->take_parent ? "take_parent" : "seal", "accept", (int)how->accept);
    int code = cli_ask(c, ask, SCAN_MS, &answer);
    if (code != CLI_OK)
        return code;
    bool complete = json_is_true(json_object_get(answer, "complete"));
    json_int_t waiting = number_of(answer, "waiting"), deleted = number_of(answer, "deleted");
    if (!c->json)
        printf("escaped capture: %lld rows changed, %lld new, %lld deleted; %lld %s, %lld wait\n",
               (long long)number_of(answer, "changed"), (long long)number_of(answer, "new"),
               (long long)deleted, (long long)number_of(answer, "settled"),
               how->take_parent ? "written back" : "published", (long long)waiting);
    if (c->json)
        print_answer(answer);
    else
        json_decref(answer);
    if (!complete)
        return cli_fail(CLI_TEMPORARY, "the scan did not end: the line went down, or there were "
                                       "changes all the time; run it again");
    if (waiting > 0)
        return cli_fail(CLI_DIFFER,
                        "what waits needs your word: --accept publishes it as this office's "
                        "writes%s, --take-parent writes "
                        "the parent's rows back",
                        deleted > 0 ? " (the deletions too)" : "");
    return CLI_OK;
}

int command_verify(struct cli *c, int argc, char **argv)
{
    bool local = false, hub = false;
    struct verify_answer how = {false, false};
    const struct option options[] = {{"--local", OPTION_FLAG, &local},
                                     {"--accept", OPTION_FLAG, &how.accept},
                                     {"--take-parent", OPTION_FLAG, &how.take_parent},
                                     {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 0);
    if (code == CLI_OK && how.accept && how.take_parent)
        return cli_usage(c, "--accept and --take-parent exclude each other");
    if (code == CLI_OK && (how.accept || how.take_parent) && !local)
        return cli_usage(c, "%s goes with --local", how.accept ? "--accept" : "--take-parent");
    if (code == CLI_OK)
        code = check_line(c, &hub);
    if (code != CLI_OK)
        return code;
    if (!hub)
        return local ? scan(c, &how) : compare(c);
    if (c->json)
        cli_print_json(json_pack("{s:i, s:n, s:[]}", "schema", CLI_SCHEMA, "equal", "tables"));
    cli_note("This is the hub: it has no parent to compare with. Run it at the offices below.");
    return CLI_OK;
}
