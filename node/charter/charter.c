/* The shape of the file, as libcyaml binds it (DESIGN 6). What the words mean is charter_check.c's.
 */
#include "node/charter/charter.h"

#include "node/charter/check.h"
#include "node/file/yaml.h"
#include "protocol/limits.h"

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
    STRING("policy", OPTIONAL, struct charter_column, policy),
    LIST("rank", OPTIONAL, struct charter_column, rank, &word_schema, 1, 256),
    STRING("fallback", OPTIONAL, struct charter_column, fallback),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t column_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct charter_column, column_fields),
};

static const cyaml_schema_field_t group_fields[] = {
    STRING("name", REQUIRED, struct charter_group, name),
    LIST("columns", REQUIRED, struct charter_group, columns, &word_schema, 1, LIMIT_COLUMNS),
    STRING("policy", OPTIONAL, struct charter_group, policy),
    LIST("rank", OPTIONAL, struct charter_group, rank, &word_schema, 1, 256),
    STRING("fallback", OPTIONAL, struct charter_group, fallback),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t group_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct charter_group, group_fields),
};

static const cyaml_schema_field_t table_fields[] = {
    STRING("name", REQUIRED, struct charter_table, name),
    CYAML_FIELD_MAPPING("scope", OPTIONAL, struct charter_table, scope, scope_fields),
    STRING("read", OPTIONAL, struct charter_table, read),
    RIGHT("write", struct charter_table, write),
    STRING("policy", OPTIONAL, struct charter_table, policy),
    STRING("delete", OPTIONAL, struct charter_table, delete_policy),
    STRING("birth", OPTIONAL, struct charter_table, birth),
    LIST("columns", OPTIONAL, struct charter_table, columns, &column_schema, 0, LIMIT_COLUMNS),
    LIST("groups", OPTIONAL, struct charter_table, groups, &group_schema, 0, LIMIT_COLUMNS),
    STRING("from", OPTIONAL, struct charter_table, from),
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

static const cyaml_schema_field_t charter_fields[] = {
    STRING("federation", REQUIRED, struct charter, federation),
    CYAML_FIELD_UINT("schema_version", REQUIRED, struct charter, schema_version),
    CYAML_FIELD_STRING_PTR("migrations", OPTIONAL, struct charter, migrations, 1, LIMIT_TEXT_BYTES),
    CYAML_FIELD_UINT("retention_days", OPTIONAL, struct charter, retention_days),
    CYAML_FIELD_UINT("journal_days", OPTIONAL, struct charter, journal_days),
    RIGHT("review_by", struct charter, review_by),
    CYAML_FIELD_MAPPING("defaults", OPTIONAL, struct charter, defaults, defaults_fields),
    LIST("tables", REQUIRED, struct charter, tables, &table_schema, 1, LIMIT_TABLES),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t charter_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct charter, charter_fields),
};

enum err charter_parse(struct arena *a, const char *name, const char *text, size_t len,
                       struct charter *out, char msg[1024])
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
        c->retention_days = 90;
    if (!charter_yaml_has(lines, "journal_days"))
        c->journal_days = 1825;
    err = charter_check(c, msg);
    if (!err)
        *out = *c;
    return err;
}

/* The file's name without its folders, as messages begin with it. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum err charter_load(struct arena *a, const char *path, struct charter *out, char msg[1024])
{
    const char *text = NULL;
    size_t len = 0;
    enum err err = charter_yaml_read_file(a, path, CHARTER_MAX_BYTES, &text, &len, msg);
    if (err)
        return err;
    return charter_parse(a, base_name(path), text, len, out, msg);
}
