/* charter.h - the federation's rules: one struct, read from the YAML that an administrator edits or
 * from the JSON that is published, and checked in one place.
 *
 * Published form, a JSON object whose keys only json.c knows:
 *
 *   federation, schema_version, retention_days, journal_days, review_by, migrations
 *   key_blocks: {count, size}  of the integer keys; absent: no table has such keys
 *   tables: [ {
 *     name, read, write          kept; rights have no effect in this version
 *     scope: {column} | {follow} absent: national
 *     policy, from               of the columns that say nothing; never rank or sum
 *     fallback                   of `review` here and below: what shows until a person decides
 *     delete, birth              update-wins | delete-wins | review; first | latest | review
 *     line: {policy, delete, birth}
 *     references: [ { column, table } ]    keys of other tables that no foreign key declares
 *     keys                       blocks | natural (conflict/block.h); absent: natural
 *     columns: [ { name, policy, fallback, rank: [texts, lowest first], write,
 *                  from: column | group | scope | table | defaults | default, line } ]
 *     groups: [ { name, columns: [names], policy, fallback, rank, implied: true,
 *                 from: group | table | defaults | default (of an implied one: its columns'),
 *                 line } ]
 *     key: [names], create: "CREATE TABLE ...", indexes: ["CREATE INDEX ..."] } ]
 *
 * `from` tells who gave a policy, `line` the line of the file where that stands, or "default" where
 * the file does not say. `implied` is there only when true. A scope column without a policy of its
 * own, in a table of policy owner, has latest, from scope: owner cannot decide whose the row is.
 *
 * A charter is complete when every table has the columns that are stored in a database, the groups
 * that its CHECKs and UNIQUEs imply, key, create and indexes (store_schema_complete). Before, its
 * columns are the ones that the file names, and that scope column.
 *
 * Invariant: every charter that these functions give out has passed charter_check; its words are
 * ones that this version knows, and what a column or a group leaves out is filled in with its
 * table's. It lives in the arena and is changed by nobody.
 */
#ifndef NODE_CHARTER_CHARTER_H
#define NODE_CHARTER_CHARTER_H

#include "conflict/block.h"
#include "conflict/err.h"
#include "conflict/mem.h"

#include <stdbool.h>

#define CHARTER_MAX_BYTES (1u << 20)
#define CHARTER_MSG_BYTES 1024
#define CHARTER_RETENTION_DAYS 90 /* where it does not say */
#define CHARTER_JOURNAL_DAYS 1825

struct charter_rule { /* how values are decided, in the words of conflict/policy.h */
    const char *policy;
    const char *fallback; /* of review; else NULL */
    const char **rank;    /* lowest first */
    unsigned n_rank;      /* 0: none */
    const char *from;     /* who gave the policy; NULL: a published charter does not say */
    unsigned line;        /* where; 0: the file does not say */
};
struct charter_column {
    const char *name, *write; /* write NULL: the table's */
    struct charter_rule rule; /* its own; in a group the group's counts: charter_rule_of */
    bool added;               /* the file does not name it: it came with a database */
};
struct charter_group { /* columns that change together */
    const char *name;
    struct charter_rule rule;
    const char **columns; /* in the file's order */
    unsigned n_columns;
    bool implied; /* by a CHECK or UNIQUE, not by the file */
};
struct charter_reference { /* the column holds keys of the table, though no foreign key says so */
    const char *column, *table;
};
struct charter_scope { /* both NULL: national */
    const char *column, *follow;
};
struct charter_table {
    const char *name;
    struct charter_scope scope;
    const char *read, *write, *delete_policy, *birth;
    const char *keys; /* blocks | natural; NULL: not said, natural of a published charter */
    unsigned delete_line, birth_line; /* 0: the file does not say */
    struct charter_reference *references;
    unsigned n_references;
    const char *since;        /* `from` of the file: a date, or NULL */
    struct charter_rule rule; /* of the columns that say nothing */
    struct charter_column *columns;
    unsigned n_columns;
    struct charter_group *groups;
    unsigned n_groups;
    bool complete; /* the columns are the whole list, and the rest is there */
    const char **key;
    unsigned n_key;
    const char *create; /* or NULL */
    const char **indexes;
    unsigned n_indexes;
};
struct charter_defaults { /* of the file; NULL: latest, update-wins, first, any */
    const char *policy, *delete_policy, *birth, *write;
};
struct charter {
    const char *federation;
    uint64_t schema_version;
    const char *migrations; /* or NULL */
    uint64_t retention_days, journal_days;
    const char *review_by;  /* owner | national | any | a unit */
    struct charter_blocks { /* 0, before it is filled in: not said */
        uint64_t count, size;
    } key_blocks;
    struct charter_defaults defaults;
    struct charter_table *tables;
    unsigned n_tables;
    /* Of the file; of a published charter NULL: */
    const char *yaml;  /* the text as read, NUL-terminated */
    const char *notes; /* what it asks for that has no effect in this version, or another one than
                          may be thought: whole lines for the operator, or "" */
    const struct yaml_lines *lines; /* where each key stands */
    const char *file;               /* what begins its messages */
};

/* ---- reading and writing */

/* Reads the file (at most CHARTER_MAX_BYTES). On error `msg` (may be several lines) says what,
 * where (file:line) and what to do: ERR_MALFORMED, ERR_NOT_FOUND, ERR_LIMIT, ERR_IO; ERR_REFUSED
 * for a correct charter that asks for what this version does not do yet (*out is filled then). */
enum err charter_load(struct arena *a, const char *path, struct charter *out,
                      char msg[CHARTER_MSG_BYTES]);
/* The same from text; `name` stands for the file in messages. */
enum err charter_parse(struct arena *a, const char *name, const char *text, size_t len,
                       struct charter *out, char msg[CHARTER_MSG_BYTES]);
/* The published form. ERR_CORRUPT: it is no JSON; ERR_SCHEMA: what it says cannot be merged by, or
 * not by this version. */
enum err charter_read(struct arena *a, const char *json, size_t len, struct charter *out,
                      char msg[CHARTER_MSG_BYTES]);
/* ERR_MALFORMED when a name, which may come from a database, is not UTF-8. */
enum err charter_write(struct arena *a, const struct charter *c, const char **json);

/* ---- what it says; names are compared as SQLite does: A is a */

bool charter_same_name(const char *a, const char *b);
/* NULL when it is not there; `c` may be NULL. */
const struct charter_table *charter_table_named(const struct charter *c, const char *name);
const struct charter_column *charter_column_named(const struct charter_table *t, const char *name);
bool charter_keys_blocks(const struct charter_table *t); /* its keys are given out in blocks */
struct block_plan charter_block_plan(const struct charter *c);
/* The group that a column is in, or NULL. */
const struct charter_group *charter_group_of(const struct charter_table *t, const char *column);
/* The rule of a column, listed or not: its group's, its own, else the table's. */
const struct charter_rule *charter_rule_of(const struct charter_table *t, const char *column);

#endif
