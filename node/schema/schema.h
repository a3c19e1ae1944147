/* schema.h - the published tables as they stand in this database: columns, keys as bytes and as
 * JSON, unique indexes, references, rules.
 *
 * Invariant: read anew when the schema or the charter has changed since (schema_load); pointers to
 * tables and references live until then, so nothing of a table is kept across transactions. The
 * room writes no table.
 *
 * Errors: ERR_STATE before the database belongs to a node, ERR_SCHEMA for a charter that does not
 * hold together; a table that is not here is no error (`exists`). Ownership: what is built for a
 * caller (quoted names, JSON) lives in the arena given.
 */
#ifndef NODE_SCHEMA_SCHEMA_H
#define NODE_SCHEMA_SCHEMA_H

#include "conflict/block.h"
#include "conflict/policy.h"
#include "node/db/db.h"

/* A UNIQUE index, or the primary key where its collation is not BINARY: what two rows may clash
 * over. */
struct unique_index {
    char *name;
    uint32_t n;        /* key expressions */
    char *claim_sql;   /* SELECT e1, ... FROM (SELECT ?1 AS "c1", ... all replicated columns) WHERE
                          predicate: no row = no claim */
    char *blocker_sql; /* SELECT key columns FROM table WHERE e1 COLLATE c1 = ?1 AND ... AND
                          predicate */
    char **collation;  /* of each expression; folds a claim's text to canonical bytes */
    uint32_t n_columns;
    uint32_t *columns;     /* replicated columns it depends on, ascending */
    uint32_t *part_column; /* of columns alone, without a predicate: the replicated column of each
                              part; else NULL */
};
struct foreign_key { /* child columns -> parent columns, both replicated tables */
    uint32_t child;  /* index into store.tables */
    uint32_t parent;
    uint32_t n;
    uint32_t *child_column; /* replicated column indices */
    uint32_t *parent_column;
    uint32_t *key_column;   /* of the parent's whole key: the child's columns in the order of that
                               key, the last one carries the reference (row.h); else NULL */
    const char **collation; /* of each parent column: what compares a reference */
    char *parent_sql;       /* SELECT key columns FROM parent WHERE p1 = ?1 AND ... LIMIT 1
                               (collations of the parent) */
    char *children_sql;     /* SELECT key columns FROM child WHERE c1 = ?1 AND ... */
    char *orphans_sql;      /* SELECT key columns FROM child WHERE no parent stands (reads the whole
                               child table) */
};
struct table_schema { /* one published table */
    uint32_t t; /* number in tonle_row, tonle_held...: stable for this database (tonle_table) */
    char *name;
    bool internal; /* one of schema_internal */
    bool hub_only; /* those but tonle_decision: only the hub writes them, a row is never deleted */
    bool exists;   /* here, with all published columns */
    bool blocks;   /* exists, and its integer keys are given out in blocks (conflict/block.h) */
    uint32_t n_columns;
    char **column;         /* published columns, charter order */
    const uint8_t *policy; /* rules.policy */
    uint32_t n_key;
    uint32_t *key; /* indices of the key columns, in key order */
    struct table_rules rules;
    uint32_t n_local; /* stored columns that are not published */
    char **local;
    uint32_t n_unique;
    struct unique_index *unique;
    uint32_t n_unique_columns;
    uint32_t *unique_columns;   /* all columns of all unique keys, the key included: for the rank */
    uint32_t depth;             /* parents first: 0 references nothing */
    char *column_list;          /* "c1","c2",... quoted */
    char *key_where;            /* "k1" IS ?1 AND ... with = for keys (never NULL) */
    char *key_order;            /* "k1","k2" COLLATE ..., as its index has them */
    const char **key_collation; /* in key order */
    char *qname;                /* quoted, main.-qualified */
    char *read_sql; /* SELECT all replicated columns by key (?1...); NULL when the table is not here
                     */
};

struct schema { /* read by all, written by schema/ alone */
    uint32_t n_tables;
    struct table_schema *tables;
    uint32_t n_fks;
    struct foreign_key *fks;
    struct block_plan plan; /* of the tables with blocks; the default before a charter is here */
};
/* (Re)reads the published tables when the schema or the charter changed since; every public entry
 * that uses s->schema->tables calls it first (cheap when nothing changed). */
enum err schema_load(struct store *s);

void schema_changed(struct store *s); /* to be read again */
/* PRAGMA schema_version at which the tables were read; -1: to be read again. */
int64_t schema_cookie(const struct store *s);
void schema_open(struct store *s);
void schema_close(struct store *s);
struct table_schema *schema_table(struct store *s, const char *name); /* NULL */
struct table_schema *schema_by_number(struct store *s, uint32_t t);
/* Of a table that any charter published here, also one that is not in force any more; else 0. */
enum err schema_number(struct store *s, const char *name, uint32_t *t);
uint32_t schema_column(const struct table_schema *t, const char *name); /* UINT32_MAX */
/* The same as SQLite compares names: in any case. */
uint32_t schema_column_named(const struct table_schema *t, const char *name);
/* As people and the conflict record call it: a column, a group, "exists" or "birth". */
const char *schema_cell_name(const struct table_schema *t, uint32_t cell);
bool schema_is_key(const struct table_schema *t, uint32_t column);
char *schema_quote(struct arena *a, const char *name); /* "na""me" */
void schema_key_encode(const struct table_schema *t, const struct value *columns,
                       struct buf *out); /* from all columns */
/* The key's place in the order of the table, as bytes that compare so; no place begins with 0xff.
 * False, and none: they are no key of the table, or NULL is in it. */
bool schema_key_order(const struct table_schema *t, struct bytes key, struct buf *out);
/* Key as JSON: a scalar, or an array for composite keys. BLOBs are {"hex":"..."}; text that is not
 * UTF-8 is {"text_hex":"..."}. */
char *schema_key_json(struct arena *a, const struct table_schema *t, const void *key, size_t len);
/* The same for people; of a key that is too long to be sent the beginning of each long part, and
 * its length. */
char *schema_key_told(struct arena *a, const struct table_schema *t, const void *key, size_t len);
/* The same of n values. */
char *schema_values_json(struct arena *a, const struct value *v, uint32_t n);
/* All columns as a JSON object, in charter order; totals beyond 64 bits are {"wide":"123"}. */
char *schema_row_json(struct arena *a, const struct table_schema *t, const struct value *columns);
enum err schema_key_parse(struct store *s, struct arena *a, const struct table_schema *t,
                          const char *json, struct buf *key);
#define INTERNAL_TABLES 5
extern const char
    *const schema_internal[INTERNAL_TABLES]; /* replicated tables of our own, by name */
/* The newest charter that is here, if any, is in force; its versions go into the state. */
enum err schema_charter_passed(struct store *s);
/* Reads the registry again when another connection committed since, or units_changed was called.
 * schema_load calls it, so every public entry has them fresh; call it again where the registry may
 * have changed in the middle of one. Strings from before the call are void. */
enum err units_refresh(struct store *s);
/* We have written to tonle_node or tonle_site, or rolled back. */
void units_changed(struct store *s);

#endif
