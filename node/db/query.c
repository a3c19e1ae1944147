#include "node/db/query.h"

#include "node/db/sqlite.h"

#include <assert.h>

struct query query_of(struct store *s, const char *sql, size_t n, const struct value *v)
{
    struct query q = {.s = s, .stmt = db_stmt(s, sql)};
    q.e = q.stmt ? ERR_OK : db_stmt_error(s);
    s->open_queries++;
    query_bind_values(&q, 1, (uint32_t)n, v);
    return q;
}

void query_bind(struct query *q, int i, struct value v)
{
    if (q->e == ERR_OK)
        db_bind(q->stmt, i, &v);
}

void query_bind_values(struct query *q, int i, uint32_t n, const struct value *v)
{
    for (uint32_t c = 0; c < n && q->e == ERR_OK; c++)
        db_bind(q->stmt, i + (int)c, &v[c]);
}

void query_fail(struct query *q, enum err e)
{
    if (q->e == ERR_OK)
        q->e = e;
}

bool query_next(struct query *q)
{
    bool row = false;
    if (q->e == ERR_OK && q->stmt) {
        q->e = db_step(q->s, q->stmt, &row);
        q->stmt = row ? q->stmt : NULL; /* at its end it is reset: it does not begin again */
    }
    return row;
}

enum err query_end(struct query *q)
{
    assert(q->s && q->s->open_queries > 0); /* not ended before */
    if (q->stmt)
        sqlite3_reset(q->stmt);
    q->s->open_queries--;
    q->s = NULL;
    q->stmt = NULL;
    return q->e;
}

enum err query_run(struct store *s, const char *sql, size_t n, const struct value *v)
{
    struct query q = query_of(s, sql, n, v);
    while (query_next(&q))
        continue;
    return query_end(&q);
}

enum err db_number(struct store *s, const char *sql, int64_t *out)
{
    struct query q = DB_QUERY(s, sql);
    bool any = query_next(&q);
    if (any)
        *out = query_i64(&q, 0);
    enum err e = query_end(&q);
    return e == ERR_OK && !any ? ERR_NOT_FOUND : e;
}

int64_t query_i64(const struct query *q, int i)
{
    return sqlite3_column_int64(q->stmt, i);
}

uint64_t query_u64(const struct query *q, int i)
{
    return (uint64_t)sqlite3_column_int64(q->stmt, i);
}

bool query_is_null(const struct query *q, int i)
{
    return sqlite3_column_type(q->stmt, i) == SQLITE_NULL;
}

const char *query_text(const struct query *q, struct arena *a, int i)
{
    return arena_strdup(a, query_borrow_text(q, i));
}

struct bytes query_bytes(const struct query *q, struct arena *a, int i)
{
    const void *p = sqlite3_column_blob(q->stmt, i);
    size_t n = (size_t)sqlite3_column_bytes(q->stmt, i);
    return (struct bytes){arena_copy(a, p, n), n};
}

struct bytes query_borrow(const struct query *q, int i)
{
    bool text = sqlite3_column_type(q->stmt, i) == SQLITE_TEXT; /* as UTF-8, whatever is stored */
    const void *p =
        text ? (const void *)sqlite3_column_text(q->stmt, i) : sqlite3_column_blob(q->stmt, i);
    return (struct bytes){p, (size_t)sqlite3_column_bytes(q->stmt, i)};
}

struct value query_value(const struct query *q, struct arena *a, int i)
{
    int type = sqlite3_column_type(q->stmt, i);
    if (type == SQLITE_INTEGER)
        return value_integer(query_i64(q, i));
    if (type == SQLITE_FLOAT)
        return value_real(sqlite3_column_double(q->stmt, i));
    if (type == SQLITE_NULL)
        return value_null();
    struct bytes b = query_borrow(q, i);
    return value_bytes(type == SQLITE_TEXT ? VALUE_TEXT : VALUE_BLOB, arena_copy(a, b.p, b.len),
                       b.len);
}

struct value *query_values(const struct query *q, struct arena *a, int i, uint32_t n)
{
    struct value *v = arena_alloc(a, n * sizeof *v);
    for (uint32_t c = 0; c < n; c++)
        v[c] = query_value(q, a, i + (int)c);
    return v;
}

bool db_compiles(struct store *s, const char *sql, enum err *e)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    *e = db_error(s, rc);
    sqlite3_finalize(stmt);
    return rc == SQLITE_OK;
}

enum err db_run_one(struct store *s, const char *sql)
{
    const char *tail = NULL;
    sqlite3_stmt *stmt = NULL;
    enum err e = db_error(s, sqlite3_prepare_v2(s->db, sql, -1, &stmt, &tail));
    if (e == ERR_OK && tail && *tail)
        e = ERR_USAGE;
    if (e == ERR_OK)
        e = db_error(s, sqlite3_step(stmt));
    sqlite3_finalize(stmt);
    return e;
}

bool db_same_name(const char *a, const char *b)
{
    return sqlite3_stricmp(a, b) == 0;
}

bool db_name_begins(const char *name, const char *with, size_t n)
{
    return sqlite3_strnicmp(name, with, (int)n) == 0;
}

int64_t db_changes(const struct store *s)
{
    return sqlite3_changes64(s->db);
}

int64_t db_last_rowid(const struct store *s)
{
    return sqlite3_last_insert_rowid(s->db);
}

const char *query_borrow_text(const struct query *q, int i)
{
    const char *text = (const char *)sqlite3_column_text(q->stmt, i);
    return text ? text : "";
}

const char *db_library(int *number)
{
    *number = sqlite3_libversion_number();
    return sqlite3_libversion();
}
