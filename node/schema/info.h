/* info.h - one table as the database describes it.
 *
 * `struct table_schema` (schema.h) is the published table; `struct table_info` here is the table
 * that really stands in this database, with its local columns, generated columns and every index.
 */
#ifndef NODE_SCHEMA_INFO_H
#define NODE_SCHEMA_INFO_H

#include "node/schema/schema.h"

enum affinity { AFFINITY_BLOB, AFFINITY_TEXT, AFFINITY_NUMERIC, AFFINITY_INTEGER, AFFINITY_REAL };
struct column_info {
    char *name;
    char *type;
    char *dflt; /* SQL of the default, or NULL */
    bool notnull;
    bool generated;
    uint32_t pk; /* 1... place in the primary key; 0: not in it */
    enum affinity affinity;
};
struct index_part {
    int64_t cid; /* column number, -2 for an expression */
    char *sql;   /* quoted column or (expression) */
    char *collation;
};
struct index_info { /* a UNIQUE index; the others do not matter here */
    char *name;
    bool primary;
    bool partial;
    uint32_t n;
    struct index_part *part;
    char *predicate; /* or NULL */
    bool *reads;     /* by column number: what expressions, predicate and columns depend on */
    bool *keyed;     /* the same without the predicate: what two rows would clash over */
};
struct table_info {
    bool found;
    const char *broken; /* why SQLite cannot write it from here (an unknown function or collation),
                           or NULL */
    char *name;
    char *kind; /* table | view | virtual | shadow */
    char *sql;
    bool without_rowid;
    bool strict;
    bool rowid_alias;   /* a lone INTEGER PRIMARY KEY */
    bool autoincrement; /* with AUTOINCREMENT: no number is given twice, and it can be steered */
    bool null_keys;     /* some column of the key accepts NULL: not where it is a rowid alias, which
                         gets a number, WITHOUT ROWID or STRICT */
    uint32_t n_columns;
    struct column_info *column;
    uint32_t n_key;
    uint32_t *key; /* column numbers, in key order */
    uint32_t n_unique;
    struct index_info *unique;
};
struct index_sql {
    uint32_t n;
    char **part;     /* without ASC and DESC */
    char *predicate; /* or NULL */
};
/* The parts and the predicate of a CREATE INDEX text; false when it is none. */
bool sql_index(struct arena *a, const char *sql, struct index_sql *out);
/* The expression of a generated column of a CREATE TABLE text, or NULL. */
char *sql_generated(struct arena *a, const char *sql, const char *column);
/* A CREATE TABLE text with AUTOINCREMENT behind the primary key, which is this column alone; NULL
 * where it is not found. */
char *sql_autoincrement(struct arena *a, const char *sql, const char *column);
bool sql_mentions(const char *expression, const char *column);
struct check_sql {
    char *name; /* of its CONSTRAINT, as it is written there; or NULL */
    char *expression;
};
/* The CHECKs of a CREATE TABLE text, of columns and of the table. */
void sql_checks(struct arena *a, const char *sql, struct check_sql **out, uint32_t *n);
/* Whether the text begins with these words (upper case, one blank between them). */
bool sql_begins(const char *sql, const char *words);
char *sql_take(struct arena *a,
               struct buf *b); /* copies the text into the arena and frees the buffer */
enum affinity sql_affinity(const char *declared_type, bool strict);
/* Reads one table of the main database. ERR_OK with found == false when there is none. */
enum err table_info_read(struct store *s, struct arena *a, const char *name,
                         struct table_info *out);
/* Of a column of the main database; "BINARY" and AFFINITY_BLOB where SQLite does not say. */
const char *table_collation(struct store *s, struct arena *a, const char *table,
                            const char *column);
enum affinity table_affinity(struct store *s, const char *table, const char *column);
uint32_t table_info_column(const struct table_info *t, const char *name); /* UINT32_MAX; any case */
/* Marks the columns that an SQL expression over the table reads, generated ones and what those are
 * computed from included, by asking SQLite's own compiler. */
enum err table_info_reads(struct store *s, struct arena *a, const struct table_info *t,
                          const char *expression, bool *reads);
/* SQL of a row source that has every column of the table, with the table's own affinities and
 * collations: value(c) for the stored column c, generated columns computed from them. */
typedef void sql_value_fn(struct buf *b, struct arena *a, const struct table_info *t,
                          uint32_t column, void *user);
void table_row_source(struct buf *b, struct arena *a, const struct table_info *t,
                      sql_value_fn *value, void *user);
/* Fills unique, unique_columns of an existing table. */
void schema_fill_unique(struct arena *a, struct table_schema *t, const struct table_info *info);
/* Fills s->schema->fks and the depths. */
enum err schema_fill_references(struct store *s, struct arena *a);

#endif
