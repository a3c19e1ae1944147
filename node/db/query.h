/* query.h - one statement, from its text to its end.
 *
 *     struct query q = DB_QUERY(s, "SELECT k, v FROM t WHERE a = ?1 AND b = ?2",
 *                               value_u64(a), value_text(b));
 *     while (query_next(&q))
 *         use(query_bytes(&q, arena, 0), query_u64(&q, 1));
 *     return query_end(&q);
 *
 * Invariant: the first error sticks: a query that failed has no rows, and query_end tells why.
 * query_end leaves no statement open (a statement left open keeps an application from committing,
 * DESIGN 10); every query is ended, also one whose rows are not wanted any more.
 *
 * Errors: ERR_BUSY for a locked database, also where the statement could not even be prepared;
 * ERR_SCHEMA where it does not fit the database; the others as SQLite's code says. The sentence is
 * in store_message. Ownership: statements are cached by their text and belong to the store; the
 * bytes of bound values must live until query_end.
 *
 * A statement may be used by one query at a time: no function that is called between query_of and
 * query_end may run the same text.
 */
#ifndef NODE_DB_QUERY_H
#define NODE_DB_QUERY_H

#include "conflict/buf.h"
#include "node/db/db.h"

struct query {
    struct store *s;
    struct sqlite3_stmt *stmt;
    enum err e; /* sticky */
};
/* v[0] is ?1. */
struct query query_of(struct store *s, const char *sql, size_t n, const struct value *v);
/* One more parameter, before the first row; i counts from 1. */
void query_bind(struct query *q, int i, struct value v);
void query_bind_values(struct query *q, int i, uint32_t n, const struct value *v); /* i: of v[0] */
/* The query fails with `e`, as if SQLite had said so (ERR_OK: nothing happens). */
void query_fail(struct query *q, enum err e);
bool query_next(struct query *q); /* a row is there */
enum err query_end(struct query *q);
/* To its end; no rows are wanted. */
enum err query_run(struct store *s, const char *sql, size_t n, const struct value *v);

/* The first column of the first row, of a text without parameters; ERR_NOT_FOUND: no row. */
enum err db_number(struct store *s, const char *sql, int64_t *out);

#define DB_VALUES(...)                                                                             \
    sizeof((struct value[]){__VA_ARGS__}) / sizeof(struct value), (struct value[])                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define DB_QUERY(s, sql, ...) query_of(s, sql, DB_VALUES(__VA_ARGS__))
#define DB_RUN(s, sql, ...) query_run(s, sql, DB_VALUES(__VA_ARGS__))

/* Columns of the row that query_next found; i counts from 0. Texts, bytes and values are copied
 * into the arena. */
int64_t query_i64(const struct query *q, int i);
uint64_t query_u64(const struct query *q, int i); /* stored as the signed integer of these bits */
bool query_is_null(const struct query *q, int i);
const char *query_text(const struct query *q, struct arena *a, int i); /* "" for NULL */
struct bytes query_bytes(const struct query *q, struct arena *a, int i);
struct bytes query_borrow(const struct query *q, int i); /* valid until the next row or the end */
struct value query_value(const struct query *q, struct arena *a, int i);
/* n of them, from column i on. */
struct value *query_values(const struct query *q, struct arena *a, int i, uint32_t n);

static inline struct value value_u64(uint64_t v)
{
    return value_integer((int64_t)v);
}
static inline struct value value_blob(const void *p, size_t len)
{
    return value_bytes(VALUE_BLOB, p, len);
}

/* Whether SQLite can make a statement of this text here; false also when the database is locked
 * (*e: ERR_BUSY), else store_message says why not. */
bool db_compiles(struct store *s, const char *sql, enum err *e);
/* Runs a text that is exactly one statement, not cached; ERR_USAGE when there is more. */
enum err db_run_one(struct store *s, const char *sql);
/* Names as SQLite compares them: ASCII letters without case. */
bool db_same_name(const char *a, const char *b);
bool db_name_begins(const char *name, const char *with, size_t n);
/* Of the last statement that wrote. */
int64_t db_changes(const struct store *s);
int64_t db_last_rowid(const struct store *s);
/* A text column as it is now, not copied: "" for NULL; valid until the next row or the end. */
const char *query_borrow_text(const struct query *q, int i);
const char *db_library(int *number); /* SQLite's own version, and as a number */

#endif
