/* charter.c - the federation's rules: checked, and shown. */
#include "node/cli/findings.h"

#include "node/check/check.h"
#include "node/journal/registry.h"

#include <stdio.h>
#include <string.h>

/* Against the tables of a database; what it finds goes into the list. */
static int check_database(struct cli *c, const char *path, const struct charter *charter,
                          struct findings *l)
{
    char msg[256] = "";
    struct store *s = NULL;
    struct finding *f = NULL;
    size_t n = 0;
    struct charter completed;
    struct store_options so = {.path = path, .read_only = true, .busy_ms = CLI_BUSY_MS};
    enum err e = store_open(&s, &so, msg);
    if (e == ERR_NOT_FOUND)
        return cli_fail(CLI_ERROR, "the database %s does not exist", path);
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "the database %s cannot be opened: %s", path, msg);
    e = store_schema_complete(s, &c->arena, charter, &completed, &f, &n);
    for (size_t i = 0; i < n; i++)
        findings_add(c, l, f[i].level, f[i].subject, f[i].text);
    if (e != ERR_OK && l->failed == 0) {
        struct cli_office o = {.store = s};
        int code = office_fail(&o, e, "checking the tables");
        store_close(s);
        return code;
    }
    store_close(s);
    return CLI_OK;
}

/* A finding of each line: mistakes of the file, or the "note: ..." lines of what has no effect. */
static void add_lines(struct cli *c, struct findings *l, const char *level, const char *text)
{
    while (text[0] != '\0') {
        size_t len = strcspn(text, "\n");
        size_t skip = strncmp(text, "note: ", 6) == 0 ? 6 : 0;
        findings_add(c, l, level, "charter", cli_printf(c, "%.*s", (int)(len - skip), text + skip));
        text += len + (text[len] == '\n');
    }
}

int command_charter_check(struct cli *c, int argc, char **argv)
{
    char msg[1024] = "";
    const char *db = NULL;
    struct charter charter;
    struct findings l = {0};
    const struct option options[] = {{"--db", OPTION_TEXT, &db}, {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 1, 1);
    if (code != CLI_OK)
        return code;
    enum err e = charter_load(&c->arena, c->words[0], &charter, msg);
    if (e == ERR_NOT_FOUND || e == ERR_IO)
        return cli_fail(CLI_ERROR, "%s", msg);
    if (e != ERR_OK)
        add_lines(c, &l, "fail", msg);
    else
        findings_add(c, &l, "ok", "charter",
                     cli_printf(c, "%s, schema version %llu, %u tables", charter.federation,
                                (unsigned long long)charter.schema_version, charter.n_tables));
    if (e == ERR_OK)
        add_lines(c, &l, "warn", charter.notes);
    if (e == ERR_OK && db)
        code = check_database(c, db, &charter, &l);
    if (code != CLI_OK)
        return code;
    findings_print(c, &l);
    return l.failed > 0 ? cli_fail(CLI_REFUSED, "%s cannot be published as it is", c->words[0])
                        : CLI_OK;
}

int command_charter_show(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    struct charter_record r;
    int code = cli_arguments(c, argc, argv, NULL, 0, 0);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    enum err e = store_charter_get(o.store, &c->arena, &r);
    if (e != ERR_OK) {
        code = office_fail(&o, e, "reading the charter");
    } else if (c->json) {
        json_t *compiled = json_loads(r.compiled, 0, NULL);
        cli_print_json(json_pack("{s:i, s:I, s:I, s:o, s:o, s:o}", "schema", CLI_SCHEMA, "version",
                                 (json_int_t)r.version, "schema_version",
                                 (json_int_t)r.schema_version, "published_at",
                                 cli_time_json(r.published_ms), "yaml", cli_text_json(r.yaml),
                                 "charter", compiled ? compiled : json_null()));
    } else {
        cli_note("version %llu, schema version %llu, published %s", (unsigned long long)r.version,
                 (unsigned long long)r.schema_version, cli_time(c, r.published_ms));
        cli_print("%s%s", r.yaml,
                  r.yaml[0] != '\0' && r.yaml[strlen(r.yaml) - 1] == '\n' ? "" : "\n");
    }
    office_close(&o);
    return code;
}
