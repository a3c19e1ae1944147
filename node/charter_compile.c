/* A checked charter to the JSON that is published (charter.h). What is a correct charter but beyond
 * this version is refused here, not in the check: `charter check` of the check's errors is about
 * mistakes.
 */
#include "node/charter.h"

#include "node/charter_check.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_YET "this version of Tonle does not do that yet"

static const char *or_else(const char *word, const char *otherwise)
{
    return word ? word : otherwise;
}

static void need_policy(const struct charter_at *at, const char *field, const char *word)
{
    enum policy ignored;
    if (word && policy_parse(word, &ignored))
        charter_blame(at, field, "policy '%s': " NOT_YET "; it does latest, earliest, max and min",
                      word);
}

static void need_word(const struct charter_at *at, const char *field, const char *word,
                      const char *known)
{
    const char *dot = strrchr(field, '.');
    if (word && strcmp(word, known) != 0)
        charter_blame(at, field, "%s '%s': " NOT_YET "; it does %s", dot ? dot + 1 : field, word,
                      known);
}

static void refuse_table(const struct charter_at *top, unsigned index)
{
    const struct charter_table *t = &top->charter->tables[index];
    struct charter_at at = charter_at_table(top, index, NULL, 0);
    need_policy(&at, "policy", t->policy);
    need_word(&at, "delete", t->delete_policy, "update-wins");
    need_word(&at, "birth", t->birth, "first");
    if (t->from)
        charter_blame(&at, "from", "'from' (an entry that replaces another on a date): " NOT_YET);
    for (unsigned i = 0; i < t->n_columns; i++) {
        struct charter_at in = charter_at_table(top, index, "columns", i);
        need_policy(&in, "policy", t->columns[i].policy);
    }
    for (unsigned i = 0; i < t->n_groups; i++) {
        struct charter_at in = charter_at_table(top, index, "groups", i);
        charter_blame(&in, "", "group '%s' (columns that change together): " NOT_YET,
                      t->groups[i].name);
    }
}

static enum err refuse_beyond_version(const struct charter *c, char msg[1024])
{
    unsigned count = 0;
    struct charter_at top = {.charter = c, .msg = msg, .count = &count};
    need_policy(&top, "defaults.policy", c->defaults.policy);
    need_word(&top, "defaults.delete", c->defaults.delete_policy, "update-wins");
    need_word(&top, "defaults.birth", c->defaults.birth, "first");
    for (unsigned i = 0; i < c->n_tables; i++)
        refuse_table(&top, i);
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

static json_t *compile_columns(const struct charter *c, const struct charter_table *t)
{
    json_t *list = json_array();
    const char *otherwise = or_else(t->policy, or_else(c->defaults.policy, "latest"));
    for (unsigned i = 0; i < t->n_columns; i++) {
        json_t *column = json_object();
        set_word(column, "name", t->columns[i].name);
        set_word(column, "policy", or_else(t->columns[i].policy, otherwise));
        set_word(column, "write", t->columns[i].write);
        json_array_append_new(list, column);
    }
    return list;
}

static json_t *compile_table(const struct charter *c, const struct charter_table *t)
{
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
    set_word(table, "policy", or_else(t->policy, or_else(c->defaults.policy, "latest")));
    set_word(table, "delete",
             or_else(t->delete_policy, or_else(c->defaults.delete_policy, "update-wins")));
    set_word(table, "birth", or_else(t->birth, or_else(c->defaults.birth, "first")));
    json_object_set_new(table, "columns", compile_columns(c, t));
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
        json_array_append_new(tables, compile_table(c, &c->tables[i]));
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
    char text[1024] = "";
    size_t used = 0;
    if (has_rights(c))
        used += (size_t)snprintf(text, sizeof text,
                                 "note: scope, read and write are kept but have no effect in this "
                                 "version: every office receives every table named here, and every "
                                 "office may write it\n");
    if (c->migrations)
        used +=
            (size_t)snprintf(text + used, sizeof text - used,
                             "note: migrations are not run by this version: change the schema at "
                             "every office before the charter is published\n");
    return arena_strdup(a, text);
}
