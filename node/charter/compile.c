/* A checked charter to the JSON that is published (charter.h). What is a correct charter but beyond
 * this version is refused here, not in charter_check, whose errors are about mistakes. */
#include "node/charter/charter.h"

#include "node/charter/check.h"
#include "node/file/yaml.h"

#include "conflict/buf.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_YET "this version of Tonle does not do that yet"

static const char *or_else(const char *word, const char *otherwise)
{
    return word ? word : otherwise;
}

static enum err refuse_beyond_version(const struct charter *c, char msg[1024])
{
    unsigned count = 0;
    struct charter_at top = {.charter = c, .msg = msg, .count = &count};
    for (unsigned i = 0; i < c->n_tables; i++) {
        struct charter_at at = charter_at_table(&top, i, NULL, 0);
        if (c->tables[i].from)
            charter_blame(&at, "from",
                          "'from' (an entry that replaces another on a date): " NOT_YET);
    }
    return count ? ERR_REFUSED : ERR_OK;
}

/* Sets a string when there is one. Its bytes were checked to be UTF-8 when they were read. */
static void set_word(json_t *object, const char *key, const char *word)
{
    if (word)
        json_object_set_new(object, key, json_string(word));
}

static void set_number(json_t *object, const char *key, uint64_t n)
{
    json_object_set_new(object, key, json_integer((json_int_t)n));
}

/* ---- where a policy comes from */

struct origin {
    const char *from;
    unsigned line; /* 0: the file does not say */
};

static json_t *line_json(unsigned line)
{
    return line ? json_integer(line) : json_string("default");
}

/* The line of a key, or 0. */
static unsigned __attribute__((format(printf, 2, 3)))
line_at(const struct charter *c, const char *fmt, ...)
{
    char path[96];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(path, sizeof path, fmt, ap);
    va_end(ap);
    return charter_yaml_has(c->lines, path) ? charter_yaml_line(c->lines, path) : 0;
}

/* Of a table's "policy", "delete" or "birth": said by the table, by the defaults, or by nobody. */
static struct origin table_origin(const struct charter *c, unsigned table, const char *key)
{
    struct origin o = {"table", line_at(c, "tables[%u].%s", table, key)};
    if (!o.line)
        o = (struct origin){"defaults", line_at(c, "defaults.%s", key)};
    return o.line ? o : (struct origin){"default", 0};
}

/* Of entry `index` of `list` ("columns", "groups"): its own, or the table's. */
static struct origin entry_origin(const struct charter *c, unsigned table, const char *list,
                                  unsigned index)
{
    struct origin o = {strcmp(list, "groups") == 0 ? "group" : "column", 0};
    o.line = line_at(c, "tables[%u].%s[%u].policy", table, list, index);
    if (!o.line)
        o.line = line_at(c, "tables[%u].%s[%u].fallback", table, list, index);
    return o.line ? o : table_origin(c, table, "policy");
}

/* ---- the parts */

struct compiled_rule {
    const char *policy, *fallback; /* NULL: latest */
    const char *const *rank;
    unsigned n_rank;
};

static void set_rule(json_t *object, const struct compiled_rule *r)
{
    set_word(object, "policy", r->policy);
    if (strcmp(r->policy, "review") == 0)
        set_word(object, "fallback", or_else(r->fallback, "latest"));
    if (!r->n_rank)
        return;
    json_t *list = json_array();
    for (unsigned i = 0; i < r->n_rank; i++)
        json_array_append_new(list, json_string(r->rank[i]));
    json_object_set_new(object, "rank", list);
}

static void set_origin(json_t *object, struct origin o)
{
    set_word(object, "from", o.from);
    json_object_set_new(object, "line", line_json(o.line));
}

static bool in_group(const struct charter_table *t, const char *column)
{
    for (unsigned g = 0; g < t->n_groups; g++)
        for (unsigned i = 0; i < t->groups[g].n_columns; i++)
            if (charter_same_name(t->groups[g].columns[i], column))
                return true;
    return false;
}

/* Whether the column says whose the row is, and only inherits the policy that asks exactly that. */
static bool is_scope_of_owner(const struct charter *c, const struct charter_table *t,
                              const char *column, const char *own)
{
    return t->scope.column && charter_same_name(t->scope.column, column) && !own &&
           strcmp(charter_table_policy(c, t), "owner") == 0;
}

static json_t *scope_column(const struct charter *c, unsigned table, const char *name)
{
    json_t *column = json_object();
    set_word(column, "name", name);
    set_word(column, "policy", "latest");
    set_origin(column, (struct origin){"scope", line_at(c, "tables[%u].scope", table)});
    return column;
}

static json_t *compile_columns(const struct charter *c, unsigned table)
{
    const struct charter_table *t = &c->tables[table];
    json_t *list = json_array();
    bool scope_listed = false;
    for (unsigned i = 0; i < t->n_columns; i++) {
        const struct charter_column *col = &t->columns[i];
        struct compiled_rule r = {or_else(col->policy, charter_table_policy(c, t)), col->fallback,
                                  col->rank, col->n_rank};
        bool scope = is_scope_of_owner(c, t, col->name, col->policy);
        json_t *column = scope ? scope_column(c, table, col->name) : json_object();
        if (!scope) {
            set_word(column, "name", col->name);
            set_rule(column, &r);
            set_origin(column, entry_origin(c, table, "columns", i));
        }
        set_word(column, "write", col->write);
        json_array_append_new(list, column);
        scope_listed =
            scope_listed || (t->scope.column && charter_same_name(t->scope.column, col->name));
    }
    if (t->scope.column && !scope_listed && !in_group(t, t->scope.column) &&
        is_scope_of_owner(c, t, t->scope.column, NULL))
        json_array_append_new(list, scope_column(c, table, t->scope.column));
    return list;
}

static json_t *compile_groups(const struct charter *c, unsigned table)
{
    const struct charter_table *t = &c->tables[table];
    json_t *list = json_array();
    for (unsigned i = 0; i < t->n_groups; i++) {
        const struct charter_group *g = &t->groups[i];
        struct compiled_rule r = {or_else(g->policy, charter_table_policy(c, t)), g->fallback,
                                  g->rank, g->n_rank};
        json_t *group = json_object(), *names = json_array();
        set_word(group, "name", g->name);
        for (unsigned k = 0; k < g->n_columns; k++)
            json_array_append_new(names, json_string(g->columns[k]));
        json_object_set_new(group, "columns", names);
        set_rule(group, &r);
        set_origin(group, entry_origin(c, table, "groups", i));
        json_array_append_new(list, group);
    }
    return list;
}

static json_t *compile_lines(const struct charter *c, unsigned table)
{
    static const char *const keys[] = {"policy", "delete", "birth"};
    json_t *lines = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        json_object_set_new(lines, keys[i], line_json(table_origin(c, table, keys[i]).line));
    return lines;
}

static json_t *compile_table(const struct charter *c, unsigned index)
{
    const struct charter_table *t = &c->tables[index];
    struct compiled_rule r = {.policy = charter_table_policy(c, t)};
    json_t *table = json_object();
    set_word(table, "name", t->name);
    if (t->scope.column || t->scope.follow) {
        json_t *scope = json_object();
        set_word(scope, "column", t->scope.column);
        set_word(scope, "follow", t->scope.follow);
        json_object_set_new(table, "scope", scope);
    }
    set_word(table, "read", or_else(t->read, "above"));
    set_word(table, "write", or_else(t->write, or_else(c->defaults.write, "any")));
    set_rule(table, &r);
    set_word(table, "from", table_origin(c, index, "policy").from);
    set_word(table, "delete",
             or_else(t->delete_policy, or_else(c->defaults.delete_policy, "update-wins")));
    set_word(table, "birth", or_else(t->birth, or_else(c->defaults.birth, "first")));
    json_object_set_new(table, "line", compile_lines(c, index));
    json_object_set_new(table, "columns", compile_columns(c, index));
    json_object_set_new(table, "groups", compile_groups(c, index));
    return table;
}

enum err charter_compile(struct arena *a, const struct charter *c, const char **json,
                         char msg[1024])
{
    msg[0] = '\0';
    enum err err = refuse_beyond_version(c, msg);
    if (err)
        return err;
    json_t *root = json_object();
    set_word(root, "federation", c->federation);
    set_number(root, "schema_version", c->schema_version);
    set_number(root, "retention_days", c->retention_days);
    set_number(root, "journal_days", c->journal_days);
    set_word(root, "review_by", or_else(c->review_by, "owner"));
    set_word(root, "migrations", c->migrations);
    json_t *tables = json_array();
    for (unsigned i = 0; i < c->n_tables; i++)
        json_array_append_new(tables, compile_table(c, i));
    json_object_set_new(root, "tables", tables);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    if (!text) {
        snprintf(msg, 1024, "%s: cannot be compiled: a name is not UTF-8", c->file);
        return ERR_MALFORMED;
    }
    *json = arena_strdup(a, text);
    free(text);
    return ERR_OK;
}

static bool has_rights(const struct charter *c)
{
    if (c->defaults.write && strcmp(c->defaults.write, "any") != 0)
        return true;
    for (unsigned i = 0; i < c->n_tables; i++) {
        const struct charter_table *t = &c->tables[i];
        if (t->scope.column || t->scope.follow || t->read ||
            (t->write && strcmp(t->write, "any") != 0))
            return true;
        for (unsigned j = 0; j < t->n_columns; j++)
            if (t->columns[j].write)
                return true;
    }
    return false;
}

const char *charter_notes(struct arena *a, const struct charter *c)
{
    struct buf text = {0};
    if (has_rights(c))
        buf_printf(&text,
                   "note: read and write are kept but have no effect in this version: every office "
                   "receives every table named here, and every office may write it; scope tells "
                   "the policy owner, and review_by: owner, whose a row is\n");
    for (unsigned i = 0; i < c->n_tables; i++) {
        const struct charter_table *t = &c->tables[i];
        const char *own = NULL;
        for (unsigned k = 0; t->scope.column && k < t->n_columns; k++)
            if (charter_same_name(t->columns[k].name, t->scope.column))
                own = t->columns[k].policy;
        if (t->scope.column && is_scope_of_owner(c, t, t->scope.column, own) &&
            !in_group(t, t->scope.column))
            buf_printf(&text,
                       "note: table %s: %s says whose the row is, so the policy latest decides it, "
                       "not owner\n",
                       t->name, t->scope.column);
    }
    if (c->migrations)
        buf_printf(&text, "note: migrations are not run by this version: change the schema at "
                          "every office before the charter is published\n");
    const char *out = arena_strdup(a, buf_str(&text));
    buf_fini(&text);
    return out;
}
