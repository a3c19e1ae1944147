/* rules.h - what the compiled charter says of a table, before the database is looked at, and the
 * rules that follow for the table as it stands. */
#ifndef NODE_SCHEMA_RULES_H
#define NODE_SCHEMA_RULES_H

#include "node/schema/schema.h"

#include <jansson.h>

struct column_rule { /* how the values of a column or a group are decided */
    enum policy policy;
    enum policy fallback;  /* of review; else latest */
    struct rank_list rank; /* n == 0: none */
};
struct charter_cells { /* columns that change together */
    const char *name;
    struct column_rule rule;
    bool implied; /* by a CHECK or UNIQUE, not by the file */
    uint32_t n;
    const char **column; /* in the file's order */
};
/* One table of the compiled form, before the database is looked at. */
struct table_charter {
    const char *name;
    bool has_columns; /* false: all stored columns of the table */
    uint32_t n_columns;
    const char **column;
    struct column_rule *rule; /* of each column, its group's where it is in one */
    bool *own;                /* the file gives the column a policy */
    struct column_rule otherwise;
    uint32_t n_groups;
    struct charter_cells *groups;
    const char *scope, *follow; /* scope: { column } or { follow }; both NULL: national */
    uint32_t n_key;
    const char **key;
    const char *write; /* "any" when it does not say */
    enum delete_policy delete_policy;
    enum birth_policy birth_policy;
    const char *create; /* or NULL */
    uint32_t n_indexes;
    const char **index;
};
enum err charter_tables(struct store *s, struct arena *a, const json_t *compiled,
                        struct table_charter **out, uint32_t *n);
/* The rule of a column, in any case, listed or not. */
const struct column_rule *charter_rule(const struct table_charter *t, const char *column);
/* The group it is in, or NULL. */
const struct charter_cells *charter_group_of(const struct table_charter *t, const char *column);
/* The newest charter as parsed; *root NULL when there is none. The caller frees it with
 * json_decref. */
enum err charter_newest(struct store *s, json_t **root);
/* The rules of a published table under a charter, which need not be the one in force (columns and
 * key of `t` are). `c` NULL: the internal tables. Arena memory; the units are the store's. */
void schema_rules(struct store *s, struct arena *a, const struct table_schema *t,
                  const struct table_charter *c, struct table_rules *out);
/* A value as JSON gives it, in the form that keys have there; false for anything else, null too. */
bool schema_value_parse(struct arena *a, const json_t *j, struct value *out);

#endif
