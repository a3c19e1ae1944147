/* The file that an administrator writes: its shape, as libcyaml binds it, and what reading it adds:
 * who gave each policy and where, and the notes. What the words mean is check.c's. */
#include "node/charter/charter.h"

#include "node/charter/check.h"
#include "node/file/yaml.h"
#include "protocol/limits.h"

#include "conflict/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REQUIRED CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL
#define STRING(key, flags, structure, member)                                                      \
    CYAML_FIELD_STRING_PTR(key, flags, structure, member, 1, LIMIT_NAME_BYTES)
/* The empty string is the unit of the nation. */
#define RIGHT(key, structure, member)                                                              \
    CYAML_FIELD_STRING_PTR(key, OPTIONAL, structure, member, 0, LIMIT_NAME_BYTES)
#define LIST(key, flags, structure, member, entry, least, most)                                    \
    CYAML_FIELD_SEQUENCE_COUNT(key, (flags) | CYAML_FLAG_POINTER, structure, member, n_##member,   \
                               entry, least, most)
/* policy, rank and fallback of a column or a group. */
#define RULE(structure)                                                                            \
    STRING("policy", OPTIONAL, structure, rule.policy),                                            \
        CYAML_FIELD_SEQUENCE_COUNT("rank", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, structure,    \
                                   rule.rank, rule.n_rank, &word_schema, 1, 256),                  \
        STRING("fallback", OPTIONAL, structure, rule.fallback)

static const cyaml_schema_value_t word_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, LIMIT_NAME_BYTES),
};

static const cyaml_schema_field_t scope_fields[] = {
    STRING("column", OPTIONAL, struct charter_scope, column),
    STRING("follow", OPTIONAL, struct charter_scope, follow),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t column_fields[] = {
    STRING("name", REQUIRED, struct charter_column, name),
    RIGHT("write", struct charter_column, write),
    RULE(struct charter_column),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t column_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct charter_column, column_fields),
};

static const cyaml_schema_field_t group_fields[] = {
    STRING("name", REQUIRED, struct charter_group, name),
    LIST("columns", REQUIRED, struct charter_group, columns, &word_schema, 1, LIMIT_COLUMNS),
    RULE(struct charter_group),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t group_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct charter_group, group_fields),
};

static const cyaml_schema_field_t reference_fields[] = {
    STRING("column", REQUIRED, struct charter_reference, column),
    STRING("table", REQUIRED, struct charter_reference, table),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t reference_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct charter_reference, reference_fields),
};

static const cyaml_schema_field_t table_fields[] = {
    STRING("name", REQUIRED, struct charter_table, name),
    CYAML_FIELD_MAPPING("scope", OPTIONAL, struct charter_table, scope, scope_fields),
    STRING("read", OPTIONAL, struct charter_table, read),
    RIGHT("write", struct charter_table, write),
    STRING("policy", OPTIONAL, struct charter_table, rule.policy),
    STRING("delete", OPTIONAL, struct charter_table, delete_policy),
    STRING("birth", OPTIONAL, struct charter_table, birth),
    STRING("keys", OPTIONAL, struct charter_table, keys),
    LIST("columns", OPTIONAL, struct charter_table, columns, &column_schema, 0, LIMIT_COLUMNS),
    LIST("groups", OPTIONAL, struct charter_table, groups, &group_schema, 0, LIMIT_COLUMNS),
    LIST("references", OPTIONAL, struct charter_table, references, &reference_schema, 0,
         LIMIT_COLUMNS),
    STRING("from", OPTIONAL, struct charter_table, since),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t table_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct charter_table, table_fields),
};

static const cyaml_schema_field_t defaults_fields[] = {
    STRING("policy", OPTIONAL, struct charter_defaults, policy),
    STRING("delete", OPTIONAL, struct charter_defaults, delete_policy),
    STRING("birth", OPTIONAL, struct charter_defaults, birth),
    RIGHT("write", struct charter_defaults, write),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t block_fields[] = {
    CYAML_FIELD_UINT("count", OPTIONAL, struct charter_blocks, count),
    CYAML_FIELD_UINT("size", OPTIONAL, struct charter_blocks, size),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t charter_fields[] = {
    STRING("federation", REQUIRED, struct charter, federation),
    CYAML_FIELD_UINT("schema_version", REQUIRED, struct charter, schema_version),
    CYAML_FIELD_STRING_PTR("migrations", OPTIONAL, struct charter, migrations, 1, LIMIT_TEXT_BYTES),
    CYAML_FIELD_UINT("retention_days", OPTIONAL, struct charter, retention_days),
    CYAML_FIELD_UINT("journal_days", OPTIONAL, struct charter, journal_days),
    RIGHT("review_by", struct charter, review_by),
    CYAML_FIELD_MAPPING("key_blocks", OPTIONAL, struct charter, key_blocks, block_fields),
    CYAML_FIELD_MAPPING("defaults", OPTIONAL, struct charter, defaults, defaults_fields),
    LIST("tables", REQUIRED, struct charter, tables, &table_schema, 1, LIMIT_TABLES),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t charter_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct charter, charter_fields),
};

/* ---- where a policy comes from */

struct origin {
    const char *from;
    unsigned line; /* 0: the file does not say */
};

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
static void set_entry_origin(const struct charter *c, unsigned table, const char *list,
                             unsigned index, struct charter_rule *r)
{
    const struct charter_rule *inherited = &c->tables[table].rule;
    r->line = line_at(c, "tables[%u].%s[%u].policy", table, list, index);
    if (!r->line)
        r->line = line_at(c, "tables[%u].%s[%u].fallback", table, list, index);
    r->from = r->line == 0 ? inherited->from : strcmp(list, "groups") == 0 ? "group" : "column";
    r->line = r->line == 0 ? inherited->line : r->line;
}

/* Whether this is the column that says whose the row is, and would only inherit the policy that
 * asks exactly that. */
static bool is_scope_of_owner(const struct charter *c, const struct charter_table *t,
                              const char *column, const char *own)
{
    return t->scope.column && charter_same_name(t->scope.column, column) && !own &&
           strcmp(charter_table_policy(c, t), "owner") == 0;
}

/* Lists the scope column where the file does not, and the policy owner would reach it. */
static void list_scope_column(struct arena *a, const struct charter *c, struct charter_table *t)
{
    const char *scope = t->scope.column;
    if (!scope || charter_column_named(t, scope) || charter_group_of(t, scope) ||
        !is_scope_of_owner(c, t, scope, NULL))
        return;
    struct charter_column *columns = arena_alloc(a, (t->n_columns + 1) * sizeof *columns);
    for (unsigned i = 0; i < t->n_columns; i++)
        columns[i] = t->columns[i];
    columns[t->n_columns++].name = scope;
    t->columns = columns;
}

static void set_table_origins(struct arena *a, const struct charter *c, unsigned index)
{
    struct charter_table *t = &c->tables[index];
    struct origin o = table_origin(c, index, "policy");
    t->rule.from = o.from;
    t->rule.line = o.line;
    t->delete_line = table_origin(c, index, "delete").line;
    t->birth_line = table_origin(c, index, "birth").line;
    list_scope_column(a, c, t);
    for (unsigned i = 0; i < t->n_columns; i++) {
        struct charter_column *col = &t->columns[i];
        set_entry_origin(c, index, "columns", i, &col->rule);
        if (is_scope_of_owner(c, t, col->name, col->rule.policy))
            col->rule = (struct charter_rule){
                .policy = "latest", .from = "scope", .line = line_at(c, "tables[%u].scope", index)};
    }
    for (unsigned i = 0; i < t->n_groups; i++)
        set_entry_origin(c, index, "groups", i, &t->groups[i].rule);
}

/* ---- notes */

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

/* Of the file as it was written, before anything is filled in. */
static const char *notes_of(struct arena *a, const struct charter *c)
{
    struct buf text = {0};
    if (has_rights(c))
        buf_printf(&text,
                   "note: read and write are kept but have no effect in this version: every office "
                   "receives every table named here, and every office may write it; scope tells "
                   "the policy owner, and review_by: owner, whose a row is\n");
    for (unsigned i = 0; i < c->n_tables; i++) {
        const struct charter_table *t = &c->tables[i];
        const char *scope = t->scope.column;
        const struct charter_column *col = scope ? charter_column_named(t, scope) : NULL;
        if (scope && is_scope_of_owner(c, t, scope, col ? col->rule.policy : NULL) &&
            !charter_group_of(t, scope))
            buf_printf(&text,
                       "note: table %s: %s says whose the row is, so the policy latest decides it, "
                       "not owner\n",
                       t->name, scope);
    }
    if (c->key_blocks.count * c->key_blocks.size >= UINT64_C(1) << 31)
        buf_printf(&text,
                   "note: key_blocks: count times size is beyond 32 bits, and integer keys soon "
                   "are: no program may read them as 32-bit numbers\n");
    if (c->migrations)
        buf_printf(&text, "note: migrations are not run by this version: change the schema at "
                          "every office before the charter is published\n");
    const char *out = arena_strdup(a, buf_str(&text));
    buf_fini(&text);
    return out;
}

/* ---- the whole */

enum err charter_parse(struct arena *a, const char *name, const char *text, size_t len,
                       struct charter *out, char msg[CHARTER_MSG_BYTES])
{
    void *bound = NULL;
    const struct yaml_lines *lines = NULL;
    msg[0] = '\0';
    if (len > CHARTER_MAX_BYTES) {
        charter_yaml_report(msg, name, 1, "%zu bytes are too many (at most %u)", len,
                            CHARTER_MAX_BYTES);
        return ERR_LIMIT;
    }
    enum err err = charter_yaml_load(a, name, text, len, &charter_schema, &bound, &lines, msg);
    if (err)
        return err;
    struct charter *c = bound;
    c->lines = lines;
    c->file = lines->file;
    char *copy = arena_alloc(a, len + 1);
    memcpy(copy, text, len);
    c->yaml = copy;
    if (!charter_yaml_has(lines, "retention_days"))
        c->retention_days = CHARTER_RETENTION_DAYS;
    if (!charter_yaml_has(lines, "journal_days"))
        c->journal_days = CHARTER_JOURNAL_DAYS;
    err = charter_check(c, msg);
    if (err && err != ERR_REFUSED)
        return err;
    c->notes = notes_of(a, c);
    for (unsigned i = 0; i < c->n_tables; i++)
        set_table_origins(a, c, i);
    charter_fill(c);
    *out = *c;
    return err;
}

/* The file's name without its folders, as messages begin with it. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum err charter_load(struct arena *a, const char *path, struct charter *out,
                      char msg[CHARTER_MSG_BYTES])
{
    const char *text = NULL;
    size_t len = 0;
    enum err err = charter_yaml_read_file(a, path, CHARTER_MAX_BYTES, &text, &len, msg);
    if (err)
        return err;
    return charter_parse(a, base_name(path), text, len, out, msg);
}
