/* verify.c - whether this office's data are its parent's, asked of the running node. */
#include "node/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    int code = cli_ask(c, json_pack("{s:s}", "do", "verify"), SCAN_MS, &answer);
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

/* What a person has decided; NULL: nothing yet. */
struct verify_ask {
    const char *take; /* "here" or "there" */
    const char *table, *key;
    const char *office; /* the hub's: which child; NULL: the node chooses */
};

static void print_value(struct cli *c, const char *side, const char *name, const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    cli_print("  %s%s = %s\n", side, cli_safe(c, name),
              text ? cli_safe(c, cli_short(c, arena_strdup(&c->arena, text))) : "null");
    free(text);
}

static void print_row(struct cli *c, const json_t *row)
{
    char *key = json_dumps(json_object_get(row, "key"), JSON_ENCODE_ANY | JSON_COMPACT);
    cli_print("\n%s %s: %s\n", cli_safe(c, text_of(row, "table")),
              key ? cli_safe(c, cli_short(c, arena_strdup(&c->arena, key))) : "null",
              text_of(row, "kind"));
    free(key);
    json_t *here = json_object_get(row, "here"), *there = json_object_get(row, "there");
    const char *name;
    json_t *v;
    if (json_object_get(row, "why"))
        cli_print("  %s: %s\n", here || there ? "could not be settled before" : "stays as it is",
                  cli_safe(c, text_of(row, "why")));
    if (strcmp(text_of(row, "kind"), "held") == 0)
        cli_print(
            "  stands here, is held there: the row that has its value there was lost here\n"
            "  next: tonle verify --repair --take there (--take here leaves it as it is; at the\n"
            "  hub with --office NAME)\n");
    if (!here && !there)
        return;
    if (!json_is_object(here) || !json_is_object(there)) {
        cli_print("  %s\n", json_is_object(here) ? "stands only here" : "stands only there");
        here = json_is_object(here) ? here : there;
        json_object_foreach(here, name, v)
        {
            print_value(c, "", name, v);
        }
        return;
    }
    json_object_foreach(here, name, v)
    {
        json_t *other = json_object_get(there, name);
        if (json_equal(v, other))
            continue;
        print_value(c, "here  ", name, v);
        print_value(c, "there ", name, other);
    }
}

static int compare_rows(struct cli *c, const struct verify_ask *ask)
{
    json_t *answer = NULL;
    json_t *o = json_pack("{s:s, s:s*, s:s*, s:s*, s:s*}", "do", "verify_local", "take", ask->take,
                          "table", ask->table, "key", ask->key, "office", ask->office);
    int code = cli_ask(c, o, SCAN_MS, &answer);
    if (code != CLI_OK)
        return code;
    bool complete = json_is_true(json_object_get(answer, "complete"));
    json_int_t waiting = number_of(answer, "waiting"), shown = 0;
    if (!c->json) {
        size_t i;
        json_t *row;
        json_array_foreach(json_object_get(answer, "rows"), i, row) print_row(c, row);
        shown = (json_int_t)json_array_size(json_object_get(answer, "rows"));
        if (shown > 0 && shown < waiting)
            cli_print("\n... and %lld more\n", (long long)(waiting - shown));
        cli_print("%scompared with %s: %lld rows differ (%lld changed, %lld only here, %lld only "
                  "there); %lld %s\n",
                  shown > 0 ? "\n" : "", cli_safe(c, text_of(answer, "neighbour")),
                  (long long)waiting, (long long)number_of(answer, "changed"),
                  (long long)number_of(answer, "new"), (long long)number_of(answer, "deleted"),
                  (long long)number_of(answer, "settled"),
                  ask->take && strcmp(ask->take, "there") == 0 ? "written back" : "published");
        json_decref(answer);
    } else {
        print_answer(answer);
    }
    if (!complete)
        return cli_fail(CLI_TEMPORARY, "the comparison did not end: the line went down, or there "
                                       "were changes all the time; run it again");
    if (waiting > 0)
        return cli_fail(
            CLI_DIFFER,
            "what differs needs your word: `tonle verify --repair --take here` publishes"
            " this office's rows everywhere (rows only there are deleted everywhere),"
            " `--take parent` writes the neighbour's over them (rows only here go; from an office"
            " with others below it, at every office); name a TABLE, or a TABLE and its KEY, to"
            " decide row by row; at the hub --office NAME says which office below");
    return CLI_OK;
}

static int decide(struct cli *c, const char *take, struct verify_ask *ask)
{
    if (strcmp(take, "here") != 0 && strcmp(take, "parent") != 0 && strcmp(take, "there") != 0)
        return cli_usage(c, "--take is here (publish this office's rows) or parent (write the"
                            " neighbour's rows here)");
    ask->take = strcmp(take, "here") == 0 ? "here" : "there";
    return CLI_OK;
}

int command_verify(struct cli *c, int argc, char **argv)
{
    bool local = false, repair = false, hub = false, accept = false, take_parent = false;
    const char *take = NULL;
    struct verify_ask ask = {0};
    const struct option options[] = {
        {"--local", OPTION_FLAG, &local},   {"--repair", OPTION_FLAG, &repair},
        {"--take", OPTION_TEXT, &take},     {"--office", OPTION_TEXT, &ask.office},
        {"--accept", OPTION_FLAG, &accept}, {"--take-parent", OPTION_FLAG, &take_parent},
        {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 2);
    if (code == CLI_OK && accept && take_parent)
        return cli_usage(c, "--accept and --take-parent exclude each other");
    if (code == CLI_OK && (accept || take_parent) && (!local || take))
        return cli_usage(c, "%s goes with --local alone", accept ? "--accept" : "--take-parent");
    if (code == CLI_OK && accept)
        take = "here";
    if (code == CLI_OK && take_parent)
        take = "parent";
    if (code == CLI_OK && repair && !take)
        return cli_usage(c,
                         "--repair needs --take here (publish this office's rows) or --take parent"
                         " (write the neighbour's rows here)");
    if (code == CLI_OK && take && !repair && !accept && !take_parent)
        return cli_usage(c, "--take goes with --repair");
    if (code == CLI_OK && ask.office && !repair && !local)
        return cli_usage(c, "--office goes with --local or --repair");
    if (code == CLI_OK && c->n_words > 0 && !repair && !local)
        return cli_usage(c, "a table goes with --local or --repair");
    if (code == CLI_OK && take)
        code = decide(c, take, &ask);
    if (code == CLI_OK)
        code = check_line(c, &hub);
    if (code != CLI_OK)
        return code;
    ask.table = c->n_words > 0 ? c->words[0] : NULL;
    bool quoted;
    ask.key = c->n_words > 1 ? cli_key_text(c, c->words[1], &quoted) : NULL;
    if (local || repair)
        return compare_rows(c, &ask);
    if (!hub)
        return compare(c);
    if (c->json)
        cli_print_json(json_pack("{s:i, s:n, s:[]}", "schema", CLI_SCHEMA, "equal", "tables"));
    cli_note("This is the hub: it has no parent to compare with. Run it at the offices below; "
             "`tonle verify --local` compares its rows with one of them.");
    return CLI_OK;
}
