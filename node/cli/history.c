/* history.c - every known write to a row. */
#include "node/cli/cli.h"

#include "conflict/hlc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *kind_name(enum change_kind k)
{
    return k == CHANGE_BORN ? "born" : k == CHANGE_UPDATE ? "updated" : "deleted";
}

/* A word that is not JSON is text. */
static const char *key_text(struct cli *c, const char *word, bool *quoted)
{
    json_t *j = json_loads(word, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    *quoted = j == NULL;
    if (j != NULL) {
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

static json_t *entry_json(const struct history_entry *h)
{
    json_t *values = json_object();
    for (uint32_t i = 0; i < h->n_cells; i++)
        json_object_set_new(values, h->columns[i], cli_value_json(&h->values[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "office", cli_text_json(h->office),
                     "unit", cli_text_json(h->unit), "at", cli_time_json(hlc_ms(h->hlc)), "dot",
                     cli_dot_json(h->dot), "kind", kind_name(h->kind), "birth",
                     cli_dot_json(h->birth), "values", values);
}

static const char *cells_text(struct cli *c, const struct history_entry *h)
{
    const char *text = "";
    for (uint32_t i = 0; i < h->n_cells; i++)
        text = cli_printf(c, "%s%s%s=%s", text, i > 0 ? ", " : "", h->columns[i],
                          cli_value(c, &h->values[i]));
    return text;
}

static void print_history(struct cli *c, const struct history_entry *h, size_t n)
{
    static const char *const heads[] = {"AT", "OFFICE", "UNIT", "DOT", "WHAT", "VALUES"};
    struct text_table t = {0};
    table_head(c, &t, 6, heads);
    for (size_t i = 0; i < n; i++) {
        const char *cells[] = {cli_time(c, hlc_ms(h[i].hlc)),
                               h[i].office,
                               h[i].unit[0] != '\0' ? h[i].unit : "nation",
                               cli_dot(c, h[i].dot),
                               kind_name(h[i].kind),
                               cells_text(c, &h[i])};
        table_add(c, &t, cells);
    }
    if (n == 0)
        cli_note("No write to this row is on record here: it is settled and its changesets are "
                 "gone, or it never was.");
    else
        table_print(&t);
    mem_free(t.cell);
}

/* The key as JSON first; a number that finds nothing may have been meant as text. */
static enum err look_up(struct cli *c, struct office *o, struct history_entry **h, size_t *n)
{
    bool quoted;
    const char *key = key_text(c, c->words[1], &quoted);
    enum err e = store_history(o->store, &c->arena, c->words[0], key, h, n);
    if (quoted || (e != ERR_USAGE && (e != ERR_OK || *n > 0)) ||
        strchr("[{\"", c->words[1][0]) != NULL)
        return e;
    struct history_entry *as_text = NULL;
    size_t found = 0;
    key = cli_printf(c, "\"%s\"", c->words[1]); /* a JSON number or word: nothing in it to escape */
    if (store_history(o->store, &c->arena, c->words[0], key, &as_text, &found) == ERR_OK &&
        (found > 0 || e != ERR_OK)) {
        *h = as_text;
        *n = found;
        return ERR_OK;
    }
    return e;
}

int command_history(struct cli *c, int argc, char **argv)
{
    struct office o = {0};
    struct history_entry *h = NULL;
    size_t n = 0;
    int code = cli_arguments(c, argc, argv, NULL, 2, 2);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    enum err e = look_up(c, &o, &h, &n);
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
    if (!c->json) {
        print_history(c, h, n);
        return CLI_OK;
    }
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, entry_json(&h[i]));
    cli_print_json(json_pack("{s:i, s:s, s:o, s:o}", "schema", CLI_SCHEMA, "table", c->words[0],
                             "key", cli_key_json(c->words[1]), "history", all));
    return CLI_OK;
}
