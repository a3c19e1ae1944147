/* The charter against this database: what doctor and `charter check` say, the completed form that
 * is published, and the tables that a new office lacks. */
#include "node/check/check.h"

#include "node/capture/capture.h"
#include "node/check/checking.h"
#include "node/db/query.h"
#include "node/state/state.h"

#include <string.h>

static void check_trigger(struct check_run *c, const struct trigger_info *t)
{
    if (t->broken)
        check_say(c, "fail", t->name,
                  "trigger %s cannot run in this node: %s; it stays out when rows from other "
                  "offices are applied",
                  t->name, t->broken);
    else if (t->writes_replicated && t->writes_local)
        check_say(c, "fail", t->name,
                  "trigger %s on %s writes both replicated and local tables; make it two triggers, "
                  "because on"
                  " rows from other offices only the local effect must happen",
                  t->name, t->table);
    else if (t->writes_replicated)
        check_say(c, "ok", t->name,
                  "trigger %s writes replicated tables: its effect is captured where the row"
                  " was written and arrives by itself",
                  t->name);
    else
        check_say(c, "ok", t->name, "trigger %s also runs on rows from other offices", t->name);
}

static enum err check_triggers(struct check_run *c)
{
    struct trigger_info *info;
    uint32_t n = 0;
    enum err e = triggers_learn(c->s, c->a, c->replicated, &info, &n);
    capture_forget_copies(c->s); /* the copies now are of this charter, which may not be in force */
    for (uint32_t i = 0; e == ERR_OK && i < n; i++)
        check_trigger(c, &info[i]);
    return e;
}

static void list_replicated(struct check_run *c, const struct charter *charter)
{
    c->replicated.name = arena_alloc(c->a, charter->n_tables * sizeof *c->replicated.name);
    c->replicated.n = charter->n_tables;
    for (uint32_t i = 0; i < charter->n_tables; i++)
        c->replicated.name[i] = charter->tables[i].name;
}

/* ---- completing it ---- */

/* Every stored column, and the key. One that the file does not list has what the table says. */
static void complete_columns(struct arena *a, const struct charter_table *t,
                             const struct table_info *info, struct charter_table *out)
{
    out->columns = arena_alloc(a, info->n_columns * sizeof *out->columns);
    out->n_columns = 0;
    for (uint32_t i = 0; i < info->n_columns; i++) {
        const struct column_info *c = &info->column[i];
        if (c->generated)
            continue;
        const struct charter_column *listed = charter_column_named(t, c->name);
        struct charter_column *column = &out->columns[out->n_columns++];
        *column = listed ? *listed : (struct charter_column){.rule = t->rule, .added = true};
        column->name = c->name;
    }
    out->key = arena_alloc(a, info->n_key * sizeof *out->key);
    for (uint32_t i = 0; i < info->n_key; i++)
        out->key[i] = info->column[info->key[i]].name;
    out->n_key = info->n_key;
    if (!out->keys && info->autoincrement)
        out->keys = "blocks";
    out->create = info->sql;
    out->complete = true;
}

static enum err complete_indexes(struct check_run *c, const struct table_info *info,
                                 struct charter_table *out)
{
    size_t n = 0, cap = 0;
    struct query q = DB_QUERY(c->s,
                              "SELECT sql FROM main.sqlite_schema WHERE type = 'index'"
                              " AND tbl_name = ?1 AND sql IS NOT NULL ORDER BY name",
                              value_text(info->name));
    out->indexes = NULL;
    while (query_next(&q)) {
        out->indexes = arena_grow(c->a, out->indexes, n, &cap, sizeof *out->indexes);
        out->indexes[n++] = query_text(&q, c->a, 0);
    }
    out->n_indexes = (unsigned)n;
    return query_end(&q);
}

/* ---- the calls ---- */

/* One table; `out`, where there is one, is completed. */
static enum err check_one(struct check_run *c, const struct charter_table *t,
                          struct charter_table *out)
{
    struct table_info info;
    enum err e = table_info_read(c->s, c->a, t->name, &info);
    if (e != ERR_OK)
        return e;
    bool here = info.found && strcmp(info.kind, "table") == 0;
    bool looks = !out || !store_is_ready(c->s); /* not for a charter that a live node might have */
    e = check_table(c, t, &info, out);
    if (e == ERR_OK && looks && here)
        e = check_sizes(c, t, &info, out);
    if (e != ERR_OK || !out || !here)
        return e;
    complete_columns(c->a, t, &info, out);
    e = complete_indexes(c, &info, out);
    if (e == ERR_OK && looks)
        e = check_sums(c, t, &info);
    return e == ERR_OK ? check_orphans(c, &info) : e;
}

/* Checks every table; `out`: the copy of the charter that is completed, or NULL. */
static enum err check_all(struct check_run *c, const struct charter *charter, struct charter *out)
{
    enum err e = ERR_OK;
    list_replicated(c, charter);
    if (!out)
        check_library(c);
    for (uint32_t i = 0; e == ERR_OK && i < charter->n_tables; i++)
        e = check_one(c, &charter->tables[i], out ? &out->tables[i] : NULL);
    return e == ERR_OK ? check_triggers(c) : e;
}

enum err store_schema_findings(struct store *s, struct arena *a, struct finding **out, size_t *n)
{
    struct check_run c = {.s = s, .a = a};
    const struct charter *charter = NULL;
    enum err e = store_is_ready(s) ? schema_charter(s, a, &charter)
                                   : store_fail(s, ERR_STATE, "no Tonle node lives here yet");
    if (e == ERR_OK && charter)
        e = check_all(&c, charter, NULL);
    else if (e == ERR_OK)
        check_say(&c, "warn", "charter", "no charter has arrived yet: nothing is replicated");
    if (e == ERR_OK && charter && !store_capture_check(s))
        check_say(&c, "warn", "capture",
                  "the capture triggers are not what they should be; a running node puts"
                  " them right, changes made meanwhile are found by `tonle verify --local`");
    check_hand_over(&c, out, n);
    return e;
}

enum err store_schema_complete(struct store *s, struct arena *a, const struct charter *charter,
                               struct charter *completed, struct finding **out, size_t *n)
{
    struct check_run c = {.s = s, .a = a};
    const struct charter given = *charter; /* which *completed may be */
    *completed = given;
    completed->tables = arena_copy(a, given.tables, given.n_tables * sizeof *given.tables);
    enum err e = check_all(&c, &given, completed);
    check_hand_over(&c, out, n);
    return e;
}

/* ---- a new office ---- */

/* One statement of the expected kind: the text is the hub's, but it runs here. */
static enum err run_definition(struct store *s, const char *sql, bool table)
{
    bool fits = table ? sql_begins(sql, "CREATE TABLE")
                      : sql_begins(sql, "CREATE INDEX") || sql_begins(sql, "CREATE UNIQUE INDEX");
    if (!fits)
        return store_fail(s, ERR_SCHEMA,
                          "the charter carries something else than a table or an index");
    enum err e = db_run_one(s, sql);
    return e != ERR_USAGE
               ? e
               : store_fail(s, ERR_SCHEMA,
                            "the charter carries more than one statement in one definition");
}

static enum err create_table(struct store *s, const struct charter_table *t, bool *created)
{
    struct arena a = {0};
    struct table_info info;
    enum err e = table_info_read(s, &a, t->name, &info);
    *created = e == ERR_OK && !info.found && t->create;
    if (*created)
        e = run_definition(s, t->create, true);
    for (uint32_t i = 0; e == ERR_OK && *created && i < t->n_indexes; i++)
        e = run_definition(s, t->indexes[i], false);
    if (e == ERR_OK && *created) {
        e = table_info_read(s, &a, t->name, &info);
        if (e == ERR_OK && !info.found)
            e = store_fail(s, ERR_SCHEMA, "the charter's definition of %s makes another table",
                           t->name);
    }
    arena_fini(&a);
    return e;
}

enum err store_schema_create_missing(struct store *s, uint32_t *created)
{
    struct arena a = {0};
    const struct charter *charter = NULL;
    *created = 0;
    enum err e = schema_charter(s, &a, &charter);
    for (uint32_t i = 0; e == ERR_OK && charter && i < charter->n_tables; i++) {
        bool made = false;
        e = create_table(s, &charter->tables[i], &made);
        *created += made;
    }
    arena_fini(&a);
    return e;
}
