/* conflict.c - concurrent writes that met: every value, with its office and time. */
#include "node/cli/cli.h"

#include "conflict/hlc.h"

#include <stdio.h>
#include <string.h>

static json_t *side_json(const struct conflict_side *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "office", cli_text_json(s->office), "unit",
                     cli_text_json(s->unit), "at", cli_time_json(hlc_ms(s->at_hlc)), "dot",
                     cli_dot_json(s->dot), "value", cli_value_json(&s->value), "shown",
                     (int)s->shown);
}

static json_t *conflict_json(const struct conflict_record *r)
{
    json_t *sides = json_array();
    for (size_t i = 0; i < r->n_sides; i++)
        json_array_append_new(sides, side_json(&r->sides[i]));
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", cli_text_json(r->id), "table",
        cli_text_json(r->table), "key", cli_key_json(r->key_json), "cell", cli_text_json(r->cell),
        "policy", cli_text_json(r->policy), "state", cli_text_json(r->state), "opened_at",
        cli_time_json(r->opened_ms), "closed_at", cli_time_json(r->closed_ms), "successor",
        r->successor[0] != '\0' ? cli_text_json(r->successor) : json_null(), "sides", sides);
}

static const char *state_text(struct cli *c, const char *state)
{
    return cli_colour(c, strcmp(state, "open") == 0 ? COLOUR_WARN : COLOUR_GOOD, state);
}

static int list(struct cli *c, struct office *o, bool only_open)
{
    static const char *const heads[] = {"ID",     "TABLE", "KEY",   "CELL",
                                        "POLICY", "STATE", "SINCE", "OFFICES"};
    struct conflict_record *r = NULL;
    struct text_table t = {0};
    size_t n = 0;
    enum err e = store_conflict_list(o->store, &c->arena, only_open, &r, &n);
    if (e != ERR_OK)
        return office_fail(o, e, "reading the conflicts");
    if (c->json) {
        json_t *all = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(all, conflict_json(&r[i]));
        cli_print_json(json_pack("{s:i, s:o}", "schema", CLI_SCHEMA, "conflicts", all));
        return CLI_OK;
    }
    table_head(c, &t, 8, heads);
    for (size_t i = 0; i < n; i++) {
        const char *offices = "";
        for (size_t k = 0; k < r[i].n_sides; k++)
            offices = cli_printf(c, "%s%s%s", offices, k > 0 ? ", " : "",
                                 r[i].sides[k].office[0] != '\0' ? r[i].sides[k].office : "-");
        const char *cells[] = {r[i].id,
                               r[i].table,
                               r[i].key_json,
                               r[i].cell,
                               r[i].policy,
                               state_text(c, r[i].state),
                               cli_time(c, r[i].opened_ms),
                               offices};
        table_add(c, &t, cells);
    }
    if (n == 0)
        cli_note(only_open ? "No conflict is open." : "No conflict is on record.");
    else
        table_print(&t);
    mem_free(t.cell);
    return CLI_OK;
}

int command_conflict_list(struct cli *c, int argc, char **argv)
{
    struct office o = {0};
    bool only_open = false;
    const struct option options[] = {{"--open", OPTION_FLAG, &only_open},
                                     {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 0);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    code = list(c, &o, only_open);
    office_close(&o);
    return code;
}

static void add_side(struct cli *c, struct text_table *t, const struct conflict_side *s,
                     const char *mark)
{
    const char *cells[] = {mark,
                           s->office[0] != '\0' ? s->office : "-",
                           s->unit[0] != '\0' ? s->unit : "nation",
                           cli_time(c, hlc_ms(s->at_hlc)),
                           cli_dot(c, s->dot),
                           cli_value(c, &s->value)};
    table_add(c, t, cells);
}

static void print_conflict(struct cli *c, const struct conflict_record *r,
                           const struct conflict_side *before)
{
    static const char *const heads[] = {"", "OFFICE", "UNIT", "AT", "DOT", "VALUE"};
    struct text_table t = {0};
    printf("%s: %s of %s, key %s\n", r->id, r->cell, r->table, r->key_json);
    printf("%s since %s, policy %s%s%s\n\n", state_text(c, r->state), cli_time(c, r->opened_ms),
           r->policy, r->successor[0] != '\0' ? ", followed by " : "", r->successor);
    table_head(c, &t, 6, heads);
    for (size_t i = 0; i < r->n_sides; i++)
        add_side(c, &t, &r->sides[i], r->sides[i].shown ? "shown" : "");
    if (before != NULL)
        add_side(c, &t, before, "before");
    table_print(&t);
    if (strcmp(r->state, "open") == 0)
        cli_note("\nTo settle it, write the right value into the row with any application: that "
                 "write has seen all of these.");
}

int command_conflict_show(struct cli *c, int argc, char **argv)
{
    struct office o = {0};
    struct conflict_record r;
    struct conflict_side before = {0};
    bool has_before = false;
    int code = cli_arguments(c, argc, argv, NULL, 1, 1);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    enum err e = store_conflict_get(o.store, &c->arena, c->words[0], &r, &before, &has_before);
    if (e == ERR_NOT_FOUND) {
        code = cli_fail(CLI_ERROR, "there is no conflict %s: `tonle conflict list` shows them",
                        c->words[0]);
    } else if (e != ERR_OK) {
        code = office_fail(&o, e, "reading the conflict");
    } else if (c->json) {
        json_t *j = conflict_json(&r);
        json_object_set_new(j, "before", has_before ? side_json(&before) : json_null());
        cli_print_json(json_pack("{s:i, s:o}", "schema", CLI_SCHEMA, "conflict", j));
    } else {
        print_conflict(c, &r, has_before ? &before : NULL);
    }
    office_close(&o);
    return code;
}
