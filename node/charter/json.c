/* The published form (charter.h), written and read: the one file that knows its keys.
 *
 * The order in which keys are written is part of the form: the same charter over the same tables is
 * published as the same bytes by every version. */
#include "node/charter/charter.h"

#include "node/charter/check.h"
#include "protocol/limits.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing; NULL where a name is not UTF-8 */

static json_t *line_json(unsigned line)
{
    return line ? json_integer(line) : json_string("default");
}

static json_t *names_json(const char *const *name, unsigned n)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++) {
        if (json_array_append_new(list, json_string(name[i])) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *rank_json(const struct charter_rule *r)
{
    return r->n_rank ? names_json(r->rank, r->n_rank) : NULL;
}

/* NULL where the charter does not say. */
static json_t *origin_json(const struct charter_rule *r)
{
    return r->from || r->line ? line_json(r->line) : NULL;
}

/* A column has what it says itself; when it is completed, what its group says replaces that. */
static json_t *column_json(const struct charter_table *t, const struct charter_column *c)
{
    const struct charter_rule *r = &c->rule;
    const struct charter_group *g = t->complete ? charter_group_of(t, c->name) : NULL;
    json_t *o = json_pack("{s:s*, s:s, s:s*, s:o*, s:s*, s:o*, s:s*, s:s*}", "name",
                          c->added ? NULL : c->name, "policy", r->policy, "fallback", r->fallback,
                          "rank", rank_json(r), "from", r->from, "line", origin_json(r), "write",
                          c->write, "name", c->added ? c->name : NULL);
    if (!o || !g)
        return o;
    r = &g->rule;
    json_object_set_new(o, "policy", json_string(r->policy));
    if (r->fallback)
        json_object_set_new(o, "fallback", json_string(r->fallback));
    else
        json_object_del(o, "fallback");
    if (r->n_rank)
        json_object_set_new(o, "rank", rank_json(r));
    if (r->from) {
        json_object_set_new(o, "line", line_json(r->line));
        json_object_set_new(o, "from", json_string(g->implied ? r->from : "group"));
    }
    return o;
}

static json_t *group_json(const struct charter_group *g)
{
    const struct charter_rule *r = &g->rule;
    json_t *names = names_json(g->columns, g->n_columns);
    if (g->implied)
        return json_pack("{s:s, s:s*, s:o*, s:s, s:o, s:b, s:s*, s:o*}", "policy", r->policy,
                         "fallback", r->fallback, "rank", rank_json(r), "name", g->name, "columns",
                         names, "implied", 1, "from", r->from, "line", origin_json(r));
    return json_pack("{s:s, s:o, s:s, s:s*, s:o*, s:s*, s:o*}", "name", g->name, "columns", names,
                     "policy", r->policy, "fallback", r->fallback, "rank", rank_json(r), "from",
                     r->from, "line", origin_json(r));
}

static json_t *lines_json(const struct charter_table *t)
{
    if (!t->rule.from && !t->rule.line && !t->delete_line && !t->birth_line)
        return NULL;
    return json_pack("{s:o, s:o, s:o}", "policy", line_json(t->rule.line), "delete",
                     line_json(t->delete_line), "birth", line_json(t->birth_line));
}

static json_t *scope_json(const struct charter_scope *s)
{
    if (!s->column && !s->follow)
        return NULL;
    return json_pack("{s:s*, s:s*}", "column", s->column, "follow", s->follow);
}

static json_t *references_json(const struct charter_table *t)
{
    json_t *list = t->n_references ? json_array() : NULL;
    for (unsigned i = 0; i < t->n_references; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "column", t->references[i].column,
                                              "table", t->references[i].table));
    return list;
}

static bool append(json_t *list, json_t *entry)
{
    return json_array_append_new(list, entry) == 0;
}

/* What a database has added. */
static bool complete_json(const struct charter_table *t, json_t *table)
{
    json_t *more = json_pack("{s:o, s:s*, s:o}", "key", names_json(t->key, t->n_key), "create",
                             t->create, "indexes", names_json(t->indexes, t->n_indexes));
    bool good = more && json_object_update(table, more) == 0;
    json_decref(more);
    return good;
}

static json_t *table_json(const struct charter_table *t)
{
    const struct charter_rule *r = &t->rule;
    json_t *columns = json_array(), *groups = json_array();
    bool good = true;
    for (unsigned i = 0; i < t->n_columns; i++)
        good = append(columns, column_json(t, &t->columns[i])) && good;
    for (unsigned i = 0; i < t->n_groups; i++)
        good = append(groups, group_json(&t->groups[i])) && good;
    json_t *o = json_pack(
        "{s:s, s:o*, s:s, s:s, s:s, s:s*, s:o*, s:s*, s:s, s:s, s:o*, s:s*, s:o*, s:o, s:o}",
        "name", t->name, "scope", scope_json(&t->scope), "read", t->read, "write", t->write,
        "policy", r->policy, "fallback", r->fallback, "rank", rank_json(r), "from", r->from,
        "delete", t->delete_policy, "birth", t->birth, "line", lines_json(t), "keys", t->keys,
        "references", references_json(t), "columns", columns, "groups", groups);
    if (o && good && (!t->complete || complete_json(t, o)))
        return o;
    json_decref(o);
    return NULL;
}

/* Absent where no table has such keys: what was published before there were any has the same
 * bytes. */
static json_t *blocks_json(const struct charter *c)
{
    bool any = false;
    for (unsigned i = 0; i < c->n_tables; i++)
        any = any || charter_keys_blocks(&c->tables[i]);
    if (!any)
        return NULL;
    return json_pack("{s:I, s:I}", "count", (json_int_t)c->key_blocks.count, "size",
                     (json_int_t)c->key_blocks.size);
}

enum err charter_write(struct arena *a, const struct charter *c, const char **json)
{
    json_t *tables = json_array();
    bool good = true;
    for (unsigned i = 0; i < c->n_tables; i++)
        good = append(tables, table_json(&c->tables[i])) && good;
    json_t *root = json_pack("{s:s*, s:I, s:I, s:I, s:s, s:s*, s:o*, s:o}", "federation",
                             c->federation, "schema_version", (json_int_t)c->schema_version,
                             "retention_days", (json_int_t)c->retention_days, "journal_days",
                             (json_int_t)c->journal_days, "review_by", c->review_by, "migrations",
                             c->migrations, "key_blocks", blocks_json(c), "tables", tables);
    char *text = root && good ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text)
        return ERR_MALFORMED;
    *json = arena_strdup(a, text);
    free(text);
    return ERR_OK;
}

/* ---- reading; a member of another type than its own counts as absent */

struct charter_reading {
    struct arena *a;
    const char *table; /* the one that is read, for messages; or NULL */
    char *msg;         /* the first thing that is wrong; "" */
};

static void wrong(struct charter_reading *r, const char *what)
{
    if (r->msg[0] == '\0')
        snprintf(r->msg, CHARTER_MSG_BYTES, "charter: %s%.256s%s%s", r->table ? "table '" : "",
                 r->table ? r->table : "", r->table ? "': " : "", what);
}

static const char *text_of(const struct charter_reading *r, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? arena_strdup(r->a, text) : NULL;
}

static uint64_t number_of(const json_t *object, const char *key, uint64_t otherwise)
{
    const json_t *n = json_object_get(object, key);
    return json_is_integer(n) && json_integer_value(n) >= 0 ? (uint64_t)json_integer_value(n)
                                                            : otherwise;
}

/* A line may be "default": 0. */
static unsigned line_of(const json_t *object, const char *key)
{
    return (unsigned)number_of(object, key, 0);
}

/* The entries of a list, limited. */
static unsigned count_of(struct charter_reading *r, const json_t *list, unsigned most,
                         const char *too_many)
{
    size_t n = json_array_size(list);
    if (n <= most)
        return (unsigned)n;
    wrong(r, too_many);
    return 0;
}

static void read_names(struct charter_reading *r, const json_t *object, const char *key,
                       const char ***out, unsigned *n)
{
    const json_t *list = json_object_get(object, key);
    *n = (unsigned)json_array_size(list);
    *out = arena_alloc(r->a, *n * sizeof **out);
    for (unsigned i = 0; i < *n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text)
            wrong(r, "a name that is no text");
        (*out)[i] = arena_strdup(r->a, text ? text : "");
    }
}

static struct charter_rule read_rule(struct charter_reading *r, const json_t *o)
{
    struct charter_rule rule = {.policy = text_of(r, o, "policy"),
                                .fallback = text_of(r, o, "fallback"),
                                .from = text_of(r, o, "from"),
                                .line = line_of(o, "line")};
    read_names(r, o, "rank", &rule.rank, &rule.n_rank);
    return rule;
}

static void read_columns(struct charter_reading *r, const json_t *list, struct charter_table *t)
{
    t->n_columns = count_of(r, list, LIMIT_COLUMNS, "too many columns");
    t->columns = arena_alloc(r->a, t->n_columns * sizeof *t->columns);
    for (unsigned i = 0; i < t->n_columns; i++) {
        const json_t *o = json_array_get(list, i);
        struct charter_column *c = &t->columns[i];
        *c = (struct charter_column){.name = text_of(r, o, "name"),
                                     .write = text_of(r, o, "write"),
                                     .rule = read_rule(r, o)};
        if (!c->name)
            wrong(r, "a column without a name");
    }
}

static void read_groups(struct charter_reading *r, const json_t *list, struct charter_table *t)
{
    t->n_groups = count_of(r, list, LIMIT_COLUMNS, "too many groups");
    t->groups = arena_alloc(r->a, t->n_groups * sizeof *t->groups);
    for (unsigned i = 0; i < t->n_groups; i++) {
        const json_t *o = json_array_get(list, i);
        struct charter_group *g = &t->groups[i];
        *g = (struct charter_group){.name = text_of(r, o, "name"),
                                    .rule = read_rule(r, o),
                                    .implied = json_is_true(json_object_get(o, "implied"))};
        read_names(r, o, "columns", &g->columns, &g->n_columns);
        if (!g->name)
            wrong(r, "a group without a name");
    }
}

static void read_references(struct charter_reading *r, const json_t *list, struct charter_table *t)
{
    t->n_references = count_of(r, list, LIMIT_COLUMNS, "too many references");
    t->references = arena_alloc(r->a, t->n_references * sizeof *t->references);
    for (unsigned i = 0; i < t->n_references; i++) {
        const json_t *o = json_array_get(list, i);
        t->references[i] =
            (struct charter_reference){text_of(r, o, "column"), text_of(r, o, "table")};
        if (!t->references[i].column || !t->references[i].table)
            wrong(r, "a reference without column and table");
    }
}

/* A table that carries "key" is complete. */
static void read_table(struct charter_reading *r, const json_t *o, struct charter_table *t)
{
    const json_t *scope = json_object_get(o, "scope"), *line = json_object_get(o, "line");
    t->name = text_of(r, o, "name");
    if (!t->name || !*t->name || strlen(t->name) > LIMIT_NAME_BYTES) {
        wrong(r, "a table without a usable name");
        return;
    }
    r->table = t->name;
    t->scope = (struct charter_scope){text_of(r, scope, "column"), text_of(r, scope, "follow")};
    t->read = text_of(r, o, "read");
    t->write = text_of(r, o, "write");
    t->rule = read_rule(r, o);
    t->rule.line = line_of(line, "policy");
    t->delete_policy = text_of(r, o, "delete");
    t->delete_line = line_of(line, "delete");
    t->birth = text_of(r, o, "birth");
    t->birth_line = line_of(line, "birth");
    t->keys = text_of(r, o, "keys");
    read_references(r, json_object_get(o, "references"), t);
    read_columns(r, json_object_get(o, "columns"), t);
    read_groups(r, json_object_get(o, "groups"), t);
    t->complete = json_is_array(json_object_get(o, "key"));
    read_names(r, o, "key", &t->key, &t->n_key);
    t->create = text_of(r, o, "create");
    read_names(r, o, "indexes", &t->indexes, &t->n_indexes);
    if (t->n_key > LIMIT_KEY_COLUMNS)
        wrong(r, "too many key columns");
    r->table = NULL;
}

enum err charter_read(struct arena *a, const char *json, size_t len, struct charter *out,
                      char msg[CHARTER_MSG_BYTES])
{
    struct charter_reading r = {.a = a, .msg = msg};
    json_error_t error;
    json_t *root = json_loadb(json, len, 0, &error);
    msg[0] = '\0';
    if (!root) {
        snprintf(msg, CHARTER_MSG_BYTES, "the published charter cannot be read: %s", error.text);
        return ERR_CORRUPT;
    }
    const json_t *tables = json_object_get(root, "tables");
    const json_t *blocks = json_object_get(root, "key_blocks");
    *out = (struct charter){
        .file = "charter",
        .federation = text_of(&r, root, "federation"),
        .schema_version = number_of(root, "schema_version", 0),
        .retention_days = number_of(root, "retention_days", CHARTER_RETENTION_DAYS),
        .journal_days = number_of(root, "journal_days", CHARTER_JOURNAL_DAYS),
        .review_by = text_of(&r, root, "review_by"),
        .migrations = text_of(&r, root, "migrations"),
        .key_blocks = {number_of(blocks, "count", 0), number_of(blocks, "size", 0)}};
    out->n_tables = count_of(&r, tables, LIMIT_TABLES, "too many tables");
    out->tables = arena_alloc(a, out->n_tables * sizeof *out->tables);
    for (unsigned i = 0; msg[0] == '\0' && i < out->n_tables; i++)
        read_table(&r, json_array_get(tables, i), &out->tables[i]);
    json_decref(root);
    if (msg[0] != '\0' || charter_check(out, msg) != ERR_OK)
        return ERR_SCHEMA;
    charter_fill(out);
    return ERR_OK;
}
