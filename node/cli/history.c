/* history.c - every known write to a row: what it had seen, and what it met. */
#include "node/cli/cli.h"

#include "conflict/hlc.h"
#include "node/db/db.h"
#include "node/desk/desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *kind_name(enum change_kind k)
{
    return k == CHANGE_BORN ? "born" : k == CHANGE_UPDATE ? "updated" : "deleted";
}

static const char *what_happened(const struct history_entry *h)
{
    if (h->kind != CHANGE_BORN)
        return kind_name(h->kind);
    if (h->beside)
        return "another record under the same key";
    return h->again ? "entered again" : "entered";
}

const char *cli_key_text(struct cli *c, const char *word, bool *quoted)
{
    json_t *j = json_loads(word, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    *quoted = !j;
    if (j) {
        json_decref(j);
        return word;
    }
    j = cli_text_json(word);
    char *text = json_dumps(j, JSON_ENCODE_ANY);
    const char *kept = arena_strdup(&c->arena, text);
    free(text);
    json_decref(j);
    return kept;
}

/* ---- JSON */

static json_t *value_json(const struct value *v)
{
    char text[WIDE_TEXT];
    if (v->type != VALUE_WIDE)
        return cli_value_json(v);
    __int128 n = value_count(v);
    if (n >= INT64_MIN && n <= INT64_MAX)
        return json_pack("{s:I}", "delta", (json_int_t)n);
    value_wide_text(text, n);
    return json_pack("{s:s}", "delta", text);
}

static json_t *decision_json(const struct decision_record *d)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", cli_text_json(d->id), "conflict",
                     cli_text_json(d->conflict), "choice", cli_text_json(d->choice), "operator",
                     cli_text_json(d->by), "office", cli_text_json(d->office), "reason",
                     cli_text_json(d->reason), "at", cli_time_json(d->at_ms));
}

static json_t *entry_json(const struct history_entry *h)
{
    json_t *values = json_object(), *seen = json_array(), *beat = json_array();
    for (uint32_t i = 0; i < h->n_cells; i++)
        json_object_set_new(values, h->columns[i], value_json(&h->values[i]));
    for (size_t i = 0; i < h->n_seen; i++)
        json_array_append_new(seen, json_pack("{s:o, s:o, s:o}", "office",
                                              cli_text_json(h->seen[i].office), "dot",
                                              cli_dot_json(h->seen[i].dot), "at",
                                              cli_time_json(hlc_ms(h->seen[i].hlc))));
    for (size_t i = 0; i < h->n_met; i++)
        json_array_append_new(
            beat,
            json_pack("{s:o, s:o, s:o, s:o, s:b}", "cell", cli_text_json(h->met[i].cell), "office",
                      cli_text_json(h->met[i].office), "dot", cli_dot_json(h->met[i].dot), "policy",
                      cli_text_json(h->met[i].policy), "won", (int)h->met[i].won));
    json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "office",
                          cli_text_json(h->office), "unit", cli_text_json(h->unit), "at",
                          cli_time_json(hlc_ms(h->hlc)), "dot", cli_dot_json(h->dot), "kind",
                          kind_name(h->kind), "what", what_happened(h), "birth",
                          cli_dot_json(h->birth), "values", values, "seen", seen, "beat", beat);
    json_object_set_new(j, "decision",
                        h->n_decisions > 0 ? decision_json(&h->decisions[0]) : json_null());
    json_object_set_new(j, "refused", h->refused ? cli_text_json(h->refused) : json_null());
    return j;
}

static void print_json(struct cli *c, const struct history *h)
{
    json_t *all = json_array(), *decisions = json_array();
    for (size_t i = 0; i < h->n; i++)
        json_array_append_new(all, entry_json(&h->entry[i]));
    for (size_t i = 0; i < h->n_decisions; i++)
        json_array_append_new(decisions, decision_json(&h->decisions[i]));
    cli_print_json(json_pack("{s:i, s:s, s:o, s:o, s:b, s:o, s:{s:I, s:I}}", "schema", CLI_SCHEMA,
                             "table", c->words[0], "key", cli_key_json(c->words[1]), "history", all,
                             "older", (int)h->older, "decisions", decisions, "changesets", "known",
                             (json_int_t)h->changesets, "read", (json_int_t)h->read));
}

/* ---- text */

static const char *value_text_of(struct cli *c, const struct value *v)
{
    char text[WIDE_TEXT];
    if (v->type != VALUE_WIDE)
        return cli_value(c, v);
    value_wide_text(text, value_count(v));
    return cli_printf(c, "%s%s", text[0] == '-' ? "" : "+", text);
}

/* "a=1, name(first="x", last="y"), total=+5" */
static const char *cells_text(struct cli *c, const struct history_entry *h)
{
    const char *text = "";
    for (uint32_t i = 0; i < h->n_cells; i++) {
        const char *group = h->groups[i];
        bool told = false; /* with the first member of its group */
        for (uint32_t j = 0; group && j < i; j++)
            told = told || (h->groups[j] && strcmp(h->groups[j], group) == 0);
        if (told)
            continue;
        text = cli_printf(c, "%s%s%s%s%s=%s", text, i > 0 ? ", " : "", group ? group : "",
                          group ? "(" : "", h->columns[i], value_text_of(c, &h->values[i]));
        for (uint32_t j = i + 1; group && j < h->n_cells; j++)
            if (h->groups[j] && strcmp(h->groups[j], group) == 0)
                text = cli_printf(c, "%s, %s=%s", text, h->columns[j],
                                  value_text_of(c, &h->values[j]));
        text = cli_printf(c, "%s%s", text, group ? ")" : "");
    }
    return text;
}

static void add_line(struct cli *c, struct text_table *t, const char *head, const char *text)
{
    const char *cells[] = {"", "", "", "", head, text};
    table_add(c, t, cells);
}

static void add_relations(struct cli *c, struct text_table *t, const struct history_entry *h)
{
    const char *seen = "";
    for (size_t i = 0; i < h->n_seen; i++)
        seen = cli_printf(c, "%s%s%s of %s", seen, i > 0 ? ", " : "", cli_dot(c, h->seen[i].dot),
                          h->seen[i].office);
    if (h->n_seen > 0)
        add_line(c, t, "  had seen", seen);
    for (size_t i = 0; i < h->n_met; i++)
        add_line(c, t, "  conflict",
                 cli_printf(c, "%s: concurrent with %s of %s: %s, by %s", h->met[i].cell,
                            cli_dot(c, h->met[i].dot), h->met[i].office,
                            h->met[i].won ? "it won" : "it lost", h->met[i].policy));
    for (size_t i = 0; i < h->n_decisions; i++)
        add_line(c, t, "  decision",
                 cli_printf(c, "%s at %s: %s (%s)", h->decisions[i].by, h->decisions[i].office,
                            h->decisions[i].choice, h->decisions[i].reason));
    if (h->refused)
        add_line(c, t, "  refused", cli_printf(c, "it counts nowhere: %s", h->refused));
}

static void print_text(struct cli *c, const struct history *h, bool at_hub)
{
    static const char *const heads[] = {"AT", "OFFICE", "UNIT", "DOT", "WHAT", "VALUES"};
    struct text_table t = {0};
    table_head(c, &t, 6, heads);
    for (size_t i = 0; i < h->n; i++) {
        const struct history_entry *x = &h->entry[i];
        const char *cells[] = {
            cli_time(c, hlc_ms(x->hlc)), x->office,        x->unit[0] != '\0' ? x->unit : "nation",
            cli_dot(c, x->dot),          what_happened(x), cells_text(c, x)};
        table_add(c, &t, cells);
        add_relations(c, &t, x);
    }
    if (h->n > 0)
        table_print(&t);
    mem_free(t.cell);
    for (size_t i = 0; h->n == 0 && i < h->n_decisions; i++)
        cli_note("Decided at %s by %s: %s", cli_time(c, h->decisions[i].at_ms),
                 h->decisions[i].office, h->decisions[i].choice);
    if (h->older && at_hub)
        cli_note("Older changes are not on record: the row was there when the federation began, "
                 "or their changesets are gone.");
    else if (h->older)
        cli_note("Older changes are at the hub: this office's journal begins with its first load. "
                 "`tonle history` tells them there.");
    else if (h->n == 0)
        cli_note("No write to this row is on record here: there never was one, or its changesets "
                 "are gone.");
}

/* ---- the command */

/* The key as JSON first; a number that finds nothing may have been meant as text. */
static enum err look_up(struct cli *c, struct cli_office *o, struct history *h)
{
    bool quoted;
    const char *key = cli_key_text(c, c->words[1], &quoted);
    enum err e = store_history(o->store, &c->arena, c->words[0], key, h);
    if (quoted || (e != ERR_USAGE && (e != ERR_OK || h->n > 0 || h->older)) ||
        strchr("[{\"", c->words[1][0]))
        return e;
    struct history as_text;
    key = cli_printf(c, "\"%s\"", c->words[1]); /* a JSON number or word: nothing in it to escape */
    if (store_history(o->store, &c->arena, c->words[0], key, &as_text) == ERR_OK &&
        (as_text.n > 0 || as_text.older || e != ERR_OK)) {
        *h = as_text;
        return ERR_OK;
    }
    return e;
}

int command_history(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    struct history h = {0};
    int code = cli_arguments(c, argc, argv, NULL, 2, 2);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    enum err e = look_up(c, &o, &h);
    bool at_hub = e == ERR_OK && store_identity_get(o.store)->parent[0] == '\0';
    if (e == ERR_NOT_FOUND)
        code =
            cli_fail(CLI_ERROR, "there is no replicated table %s: `tonle charter show` names them",
                     c->words[0]);
    else if (e == ERR_USAGE)
        code = cli_usage(c, "%s", store_message(o.store));
    else if (e != ERR_OK)
        code = office_fail(&o, e, "reading the history");
    office_close(&o);
    if (code != CLI_OK)
        return code;
    if (c->json)
        print_json(c, &h);
    else
        print_text(c, &h, at_hub);
    return CLI_OK;
}
