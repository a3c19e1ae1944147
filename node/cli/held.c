/* held.c - rows that are known and safe but cannot stand in their table now. */
#include "node/cli/cli.h"

#include <stdio.h>
#include <string.h>

static json_t *held_json(const struct held_record *r)
{
    const char *reason = r->reason;
    json_t *o =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", cli_text_json(r->id), "table",
                  cli_text_json(r->table), "key", cli_key_json(r->key_json), "reason",
                  cli_text_json(r->message[0] != '\0' ? r->message : reason), "since",
                  cli_time_json(r->since_ms), "office", cli_text_json(r->office), "blocked_by",
                  r->blocked_by[0] != '\0' ? cli_key_json(r->blocked_by) : json_null());
    json_object_set_new(o, "kind", cli_text_json(reason));
    return o;
}

static int list(struct cli *c, struct office *o)
{
    static const char *const heads[] = {"ID",     "TABLE",      "KEY",   "SINCE",
                                        "OFFICE", "BLOCKED BY", "REASON"};
    struct held_record *r = NULL;
    struct text_table t = {0};
    size_t n = 0;
    enum err e = store_held_list(o->store, &c->arena, &r, &n);
    if (e != ERR_OK)
        return office_fail(o, e, "reading the held rows");
    if (c->json) {
        json_t *all = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(all, held_json(&r[i]));
        cli_print_json(json_pack("{s:i, s:o}", "schema", CLI_SCHEMA, "held", all));
        return CLI_OK;
    }
    table_head(c, &t, 7, heads);
    for (size_t i = 0; i < n; i++) {
        const char *cells[] = {r[i].id,       r[i].table,
                               r[i].key_json, cli_time(c, r[i].since_ms),
                               r[i].office,   r[i].blocked_by[0] != '\0' ? r[i].blocked_by : "-",
                               r[i].message};
        table_add(c, &t, cells);
    }
    if (n == 0)
        cli_note("No row is held.");
    else
        table_print(&t);
    mem_free(t.cell);
    return CLI_OK;
}

int command_held_list(struct cli *c, int argc, char **argv)
{
    struct office o = {0};
    int code = cli_arguments(c, argc, argv, NULL, 0, 0);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    code = list(c, &o);
    office_close(&o);
    return code;
}

static void print_held(struct cli *c, const struct held_record *r)
{
    struct text_table t = {0};
    static const char *const heads[] = {"COLUMN", "VALUE"};
    printf("%s: %s, key %s, written at %s, held since %s\n%s\n", r->id, r->table, r->key_json,
           r->office, cli_time(c, r->since_ms), r->message);
    if (r->blocked_by[0] != '\0')
        printf("in its way: %s\n", r->blocked_by);
    printf("\n");
    table_head(c, &t, 2, heads);
    for (uint32_t i = 0; i < r->n_columns; i++) {
        const char *cells[] = {r->columns[i], cli_value(c, &r->values[i])};
        table_add(c, &t, cells);
    }
    table_print(&t);
    cli_note("\nIt comes in by itself when nothing is in its way any more.");
}

int command_held_show(struct cli *c, int argc, char **argv)
{
    struct office o = {0};
    struct held_record r;
    int code = cli_arguments(c, argc, argv, NULL, 1, 1);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    enum err e = store_held_get(o.store, &c->arena, c->words[0], &r);
    if (e == ERR_NOT_FOUND) {
        code = cli_fail(CLI_ERROR, "there is no held row %s: `tonle held list` shows them",
                        c->words[0]);
    } else if (e != ERR_OK) {
        code = office_fail(&o, e, "reading the held row");
    } else if (c->json) {
        json_t *j = held_json(&r), *values = json_object();
        for (uint32_t i = 0; i < r.n_columns; i++)
            json_object_set_new(values, r.columns[i], cli_value_json(&r.values[i]));
        json_object_set_new(j, "values", values);
        cli_print_json(json_pack("{s:i, s:o}", "schema", CLI_SCHEMA, "held", j));
    } else {
        print_held(c, &r);
    }
    office_close(&o);
    return code;
}

/* In its own short transaction, beside a node that may be running: it reads the state anew at each
 * step. */
static enum err retry(struct cli *c, struct office *o, const char *id, uint32_t *released)
{
    enum err e = store_begin(o->store);
    if (e == ERR_OK)
        e = store_held_retry(o->store, &c->arena, id, cli_now_ms(), released);
    if (e == ERR_OK)
        e = store_commit(o->store);
    if (e != ERR_OK)
        store_rollback(o->store);
    return e;
}

int command_held_retry(struct cli *c, int argc, char **argv)
{
    struct office o = {0};
    bool all = false;
    uint32_t released = 0;
    const struct option options[] = {{"--all", OPTION_FLAG, &all}, {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 1);
    if (code != CLI_OK)
        return code;
    if (all == (c->n_words == 1))
        return cli_usage(c, all ? "--all and an ID exclude each other"
                                : "give the ID of a held row, or --all");
    code = office_open(c, OFFICE_WRITE, &o);
    if (code != CLI_OK)
        return code;
    enum err e = retry(c, &o, all ? NULL : c->words[0], &released);
    if (e == ERR_NOT_FOUND)
        code = cli_fail(CLI_ERROR, "there is no held row %s: `tonle held list` shows them",
                        c->words[0]);
    else if (e != ERR_OK)
        code = office_fail(&o, e, "deciding the held rows again");
    else if (c->json)
        cli_print_json(json_pack("{s:i, s:i}", "schema", CLI_SCHEMA, "released", (int)released));
    else
        printf("%u rows stand now%s\n", released,
               released == 0 ? "; what is in their way is still there (`tonle held list`)" : "");
    office_close(&o);
    return code;
}
