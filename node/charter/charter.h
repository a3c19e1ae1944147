/* charter.h - the federation's rules: the YAML file an administrator edits, checked, and compiled
 * to the JSON form that is published and that the store reads.
 *
 * Compiled form, a JSON object:
 *
 *   federation, schema_version, retention_days, journal_days, review_by, migrations
 *   tables: [ {
 *     name, read, write          kept; rights have no effect in this version
 *     scope: {column} | {follow} absent: national
 *     policy, from               of the columns that say nothing; never rank or sum
 *     fallback                   of `review` here and below: what shows until a person decides
 *     delete, birth              update-wins | delete-wins | review; first | latest | review
 *     line: {policy, delete, birth}
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
 * charter_compile fills what the file says (columns only where the file names them, and the scope
 * column in that one case); store_schema_complete adds from a database the other columns, what the
 * columns of a group have from it, the implied groups (columns that one CHECK or UNIQUE names
 * together), key, create and indexes.
 * Invariant: every key of the file has one type; an unknown key is an error that names it and its
 * line.
 */
#ifndef NODE_CHARTER_CHARTER_H
#define NODE_CHARTER_CHARTER_H

#include "conflict/err.h"
#include "conflict/mem.h"
#include "conflict/policy.h"

#include <stdbool.h>

#define CHARTER_MAX_BYTES (1u << 20)

struct charter_column {
    const char *name, *policy, *write, *fallback; /* NULL: the table's */
    const char **rank;
    unsigned n_rank;
};
struct charter_group {
    const char *name, *policy, *fallback;
    const char **rank;
    unsigned n_rank;
    const char **columns;
    unsigned n_columns;
};
struct charter_scope { /* both NULL: national */
    const char *column, *follow;
};
struct charter_table {
    const char *name;
    struct charter_scope scope;
    const char *read, *write, *policy, *delete_policy, *birth, *from; /* NULL: the default */
    struct charter_column *columns;
    unsigned n_columns;
    struct charter_group *groups;
    unsigned n_groups;
};
struct charter_defaults { /* NULL: latest, update-wins, first, any */
    const char *policy, *delete_policy, *birth, *write;
};
struct charter {
    const char *federation;
    uint64_t schema_version;
    const char *migrations;                /* or NULL */
    uint64_t retention_days, journal_days; /* defaults 90, 1825 */
    const char *review_by;                 /* or NULL */
    struct charter_defaults defaults;
    struct charter_table *tables;
    unsigned n_tables;
    const char *yaml;               /* the text as read, NUL-terminated */
    const char *file;               /* its name in messages */
    const struct yaml_lines *lines; /* where each key stands, for messages */
};

/* Reads the file (at most CHARTER_MAX_BYTES). On error `msg` (may be several lines) says what,
 * where (file:line) and what to do: ERR_MALFORMED, ERR_NOT_FOUND, ERR_LIMIT, ERR_IO. */
enum err charter_load(struct arena *a, const char *path, struct charter *out, char msg[1024]);
/* The same from text; `name` stands for the file in messages. */
enum err charter_parse(struct arena *a, const char *name, const char *text, size_t len,
                       struct charter *out, char msg[1024]);
/* Compiles; ERR_REFUSED with a clear message for what this version does not do yet (`from`). */
enum err charter_compile(struct arena *a, const struct charter *c, const char **json,
                         char msg[1024]);
/* What a correct charter asks for that has no effect in this version, or another one than may be
 * thought: whole lines for the operator (`charter check`), "" when there is nothing to say. */
const char *charter_notes(struct arena *a, const struct charter *c);

#endif
