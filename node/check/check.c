/* The charter against this database: what doctor and `charter check` say, the completed form that
 * is published, and the tables that a new office lacks. */
#include "node/check/check.h"

#include "node/capture/capture.h"
#include "node/check/checking.h"
#include "node/db/sqlite.h"
#include "node/state/state.h"

#include <stdlib.h>
#include <string.h>

static void check_settings(struct check_run *c)
{
    bool row = false;
    sqlite3_stmt *q = store_stmt(c->s, "PRAGMA main.encoding");
    if (store_step(c->s, q, &row) != ERR_OK || !row)
        return;
    if (strcmp((const char *)sqlite3_column_text(q, 0), "UTF-8") != 0)
        check_say(c, "warn", "encoding",
                  "this database stores %s: text that is not valid Unicode is changed"
                  " on the way; UTF-8 databases keep every byte",
                  sqlite3_column_text(q, 0));
    sqlite3_reset(q);
}

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

static void list_replicated(struct check_run *c, const struct table_charter *t, uint32_t n)
{
    c->replicated.name = arena_alloc(c->a, n * sizeof *c->replicated.name);
    c->replicated.n = n;
    for (uint32_t i = 0; i < n; i++)
        c->replicated.name[i] = t[i].name;
}

/* ---- the completed form ---- */

json_t *check_column(const json_t *table, const char *name)
{
    const json_t *list = json_object_get(table, "columns");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *c = json_array_get(list, i);
        const char *other = json_string_value(json_object_get(c, "name"));
        if (other && sqlite3_stricmp(other, name) == 0)
            return c;
    }
    return NULL;
}

/* Makes a member of `to` what it is in `from`, absent included. */
static void copy_member(json_t *to, const char *key, json_t *value)
{
    if (value)
        json_object_set(to, key, value);
    else
        json_object_del(to, key);
}

/* A column that the file does not list has what the table says. */
static json_t *unlisted_column(const json_t *table)
{
    json_t *column = json_object();
    copy_member(column, "policy", json_object_get(table, "policy"));
    copy_member(column, "fallback", json_object_get(table, "fallback"));
    copy_member(column, "from", json_object_get(table, "from"));
    copy_member(column, "line", json_object_get(json_object_get(table, "line"), "policy"));
    if (!json_object_get(column, "policy"))
        json_object_set_new(column, "policy", json_string(policy_name(POLICY_LATEST)));
    return column;
}

static void complete_columns(json_t *table, const struct table_info *info)
{
    json_t *columns = json_array(), *key = json_array();
    for (uint32_t i = 0; i < info->n_columns; i++) {
        const struct column_info *c = &info->column[i];
        if (c->generated)
            continue;
        json_t *listed = check_column(table, c->name);
        json_t *column = listed ? json_incref(listed) : unlisted_column(table);
        json_object_set_new(column, "name", json_string(c->name));
        json_array_append_new(columns, column);
    }
    for (uint32_t i = 0; i < info->n_key; i++)
        json_array_append_new(key, json_string(info->column[info->key[i]].name));
    json_object_set_new(table, "columns", columns);
    json_object_set_new(table, "key", key);
    json_object_set_new(table, "create", json_string(info->sql));
}

/* What a group says, its columns have. */
static void complete_groups(json_t *table)
{
    static const char *const said[] = {"policy", "fallback", "rank", "line"};
    const json_t *list = json_object_get(table, "groups");
    for (size_t g = 0; g < json_array_size(list); g++) {
        const json_t *group = json_array_get(list, g), *names = json_object_get(group, "columns");
        bool implied = json_is_true(json_object_get(group, "implied"));
        for (size_t i = 0; i < json_array_size(names); i++) {
            const char *name = json_string_value(json_array_get(names, i));
            json_t *column = name ? check_column(table, name) : NULL;
            for (size_t k = 0; column && k < sizeof said / sizeof *said; k++)
                copy_member(column, said[k], json_object_get(group, said[k]));
            if (column && implied)
                copy_member(column, "from", json_object_get(group, "from"));
            else if (column)
                json_object_set_new(column, "from", json_string("group"));
        }
    }
}

static enum err complete_indexes(struct store *s, json_t *table, const struct table_info *info)
{
    json_t *indexes = json_array();
    sqlite3_stmt *q =
        store_stmt(s, "SELECT sql FROM main.sqlite_schema WHERE type = 'index' AND tbl_name = ?1"
                      " AND sql IS NOT NULL ORDER BY name");
    if (q)
        store_bind_text(q, 1, info->name);
    enum err e = ERR_OK;
    for (bool row = true; row;) {
        e = store_step(s, q, &row);
        if (row)
            json_array_append_new(indexes, json_string((const char *)sqlite3_column_text(q, 0)));
    }
    json_object_set_new(table, "indexes", indexes);
    return e;
}

/* ---- the calls ---- */

/* One table; completes its JSON when there is one. */
static enum err check_one(struct check_run *c, const struct table_charter *t, json_t *table)
{
    struct table_info info;
    enum err e = table_info_read(c->s, c->a, t->name, &info);
    if (e != ERR_OK)
        return e;
    bool complete = table && info.found && strcmp(info.kind, "table") == 0;
    if (complete)
        complete_columns(table, &info);
    e = check_table(c, t, &info, table);
    bool looks =
        !table || !store_is_ready(c->s); /* not for a charter that a live node might have */
    if (e == ERR_OK && looks && info.found && strcmp(info.kind, "table") == 0)
        e = check_sizes(c, t, &info, complete);
    if (e != ERR_OK || !complete)
        return e;
    complete_groups(table);
    e = complete_indexes(c->s, table, &info);
    if (e == ERR_OK && looks)
        e = check_sums(c, t, &info);
    return e == ERR_OK ? check_orphans(c, &info) : e;
}

/* Checks every table; completes the JSON when `complete`. */
static enum err check_all(struct check_run *c, json_t *root, bool complete)
{
    struct table_charter *t = NULL;
    uint32_t n = 0;
    enum err e = charter_tables(c->s, c->a, root, &t, &n);
    if (e != ERR_OK)
        return e;
    list_replicated(c, t, n);
    check_settings(c);
    if (!complete)
        check_library(c);
    for (uint32_t i = 0; e == ERR_OK && i < n; i++) {
        json_t *table = json_array_get(json_object_get(root, "tables"), i);
        e = check_one(c, &t[i], complete ? table : NULL);
    }
    return e == ERR_OK ? check_triggers(c) : e;
}

static void hand_over(struct check_run *c, struct finding **out, size_t *n)
{
    *out = arena_copy(c->a, c->list, c->n * sizeof *c->list);
    *n = c->n;
    mem_free(c->list);
}

enum err store_schema_findings(struct store *s, struct arena *a, struct finding **out, size_t *n)
{
    struct check_run c = {.s = s, .a = a};
    json_t *root = NULL;
    enum err e = store_is_ready(s) ? charter_newest(s, &root)
                                   : store_fail(s, ERR_STATE, "no Tonle node lives here yet");
    if (e == ERR_OK && root)
        e = check_all(&c, root, false);
    else if (e == ERR_OK)
        check_say(&c, "warn", "charter", "no charter has arrived yet: nothing is replicated");
    if (e == ERR_OK && root && !store_capture_check(s))
        check_say(&c, "warn", "capture",
                  "the capture triggers are not what they should be; a running node puts"
                  " them right, changes made meanwhile are found by `tonle verify --local`");
    json_decref(root);
    hand_over(&c, out, n);
    return e;
}

enum err store_schema_complete(struct store *s, struct arena *a, const char *compiled,
                               const char **completed, struct finding **out, size_t *n)
{
    struct check_run c = {.s = s, .a = a};
    json_error_t error;
    json_t *root = json_loads(compiled, 0, &error);
    if (!root)
        return store_fail(s, ERR_MALFORMED, "the compiled charter cannot be read: %s", error.text);
    enum err e = check_all(&c, root, true);
    char *text = json_dumps(root, JSON_COMPACT);
    *completed = arena_strdup(a, text ? text : "");
    if (!text && e == ERR_OK)
        e = store_fail(s, ERR_SCHEMA, "a name in this database is not UTF-8");
    free(text);
    json_decref(root);
    hand_over(&c, out, n);
    return e;
}

/* ---- a new office ---- */

/* One statement of the expected kind: the text is the hub's, but it runs here. */
static enum err run_definition(struct store *s, const char *sql, bool table)
{
    const char *tail = NULL;
    sqlite3_stmt *q = NULL;
    bool fits = table ? sql_begins(sql, "CREATE TABLE")
                      : sql_begins(sql, "CREATE INDEX") || sql_begins(sql, "CREATE UNIQUE INDEX");
    if (!fits)
        return store_fail(s, ERR_SCHEMA,
                          "the charter carries something else than a table or an index");
    enum err e = store_error(s, sqlite3_prepare_v2(s->db, sql, -1, &q, &tail));
    if (e == ERR_OK && tail && *tail)
        e = store_fail(s, ERR_SCHEMA,
                       "the charter carries more than one statement in one definition");
    if (e == ERR_OK)
        e = store_error(s, sqlite3_step(q));
    sqlite3_finalize(q);
    return e;
}

static enum err create_table(struct store *s, const struct table_charter *t, bool *created)
{
    struct arena a = {0};
    struct table_info info;
    enum err e = table_info_read(s, &a, t->name, &info);
    *created = e == ERR_OK && !info.found && t->create;
    if (*created)
        e = run_definition(s, t->create, true);
    for (uint32_t i = 0; e == ERR_OK && *created && i < t->n_indexes; i++)
        e = run_definition(s, t->index[i], false);
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
    json_t *root = NULL;
    struct table_charter *t = NULL;
    uint32_t n = 0;
    *created = 0;
    enum err e = charter_newest(s, &root);
    if (e == ERR_OK && root)
        e = charter_tables(s, &a, root, &t, &n);
    for (uint32_t i = 0; e == ERR_OK && i < n; i++) {
        bool made = false;
        e = create_table(s, &t[i], &made);
        *created += made;
    }
    json_decref(root);
    arena_fini(&a);
    return e;
}
