#include "node/store_part.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Held rows and conflicts as an operator reads them. Ids may be shortened to any unique beginning.
 */

#define PREFIX_MIN 4
#define ID_MAX 64

static enum err usage_id(struct store *s, const char *what, const char *id)
{
    return store_fail(s, ERR_USAGE, "'%.80s' is no id of a %s: at least %d hexadecimal digits", id,
                      what, PREFIX_MIN);
}

/* The one id that begins so; `sql` selects ids from ?1 (inclusive) to ?2 (exclusive), two at most.
 */
static enum err full_id(struct store *s, struct arena *a, const char *what, const char *sql,
                        const char *prefix, const char **id)
{
    char low[ID_MAX + 2], high[ID_MAX + 2];
    size_t n = strlen(prefix);
    if (n < PREFIX_MIN || n > ID_MAX)
        return usage_id(s, what, prefix);
    for (size_t i = 0; i < n; i++) {
        if (!isxdigit((unsigned char)prefix[i]))
            return usage_id(s, what, prefix);
        low[i] = high[i] = (char)tolower((unsigned char)prefix[i]);
    }
    low[n] = '\0';
    strcpy(high + n, "g"); /* behind every hexadecimal digit */
    sqlite3_stmt *q = store_stmt(s, sql);
    if (q == NULL)
        return part_stmt_error(s);
    store_bind_text(q, 1, low);
    store_bind_text(q, 2, high);
    bool row;
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK)
        return e;
    if (!row)
        return store_fail(s, ERR_NOT_FOUND, "no %s has an id that begins with %s", what, low);
    *id = store_column_text(a, q, 0);
    e = store_step(s, q, &row);
    bool more = e == ERR_OK && row && strcmp(*id, low) != 0; /* a whole id is never ambiguous */
    sqlite3_reset(q);
    return more ? store_fail(s, ERR_USAGE,
                             "more than one %s has an id that begins with %s: give more digits",
                             what, low)
                : e;
}

/* ---- held rows */

#define HELD_SQL                                                                                   \
    "SELECT id, table_name, key, reason, message, office, since_ms, blocked_by FROM tonle_held"

static struct held_record held_from(struct arena *a, sqlite3_stmt *q)
{
    return (struct held_record){.id = store_column_text(a, q, 0),
                                .table = store_column_text(a, q, 1),
                                .key_json = store_column_text(a, q, 2),
                                .reason = store_column_text(a, q, 3),
                                .message = store_column_text(a, q, 4),
                                .office = store_column_text(a, q, 5),
                                .since_ms = store_column_u64(q, 6),
                                .blocked_by = store_column_text(a, q, 7)};
}

enum err store_held_list(struct store *s, struct arena *a, struct held_record **out, size_t *n)
{
    sqlite3_stmt *q = store_stmt(s, HELD_SQL " ORDER BY since_ms, id");
    if (q == NULL)
        return part_stmt_error(s);
    struct held_record *list = NULL;
    size_t cap = 0;
    enum err e;
    bool row;
    *n = 0;
    while ((e = store_step(s, q, &row)) == ERR_OK && row) {
        list = mem_grow(list, *n, &cap, sizeof *list);
        list[(*n)++] = held_from(a, q);
    }
    *out = arena_copy(a, list, *n * sizeof *list);
    mem_free(list);
    return e;
}

/* A birth's name may have been forgotten since the entry was written: then it is the unnamed one.
 */
static const struct birth *held_birth(const struct row *r, struct dot name)
{
    const struct birth *b = row_find_birth(r, name);
    if (b == NULL)
        b = row_find_birth(r, (struct dot){0, 0});
    return b != NULL && b->held != HOLD_NONE ? b : NULL;
}

static enum err held_values(struct store *s, struct arena *a, struct held_record *out,
                            struct bytes key, struct dot name)
{
    enum err e = schema_load(s);
    const struct table_schema *t = e == ERR_OK ? schema_table(s, out->table) : NULL;
    if (t == NULL)
        return e;
    struct row r;
    bool recorded;
    e = row_load(s, a, (struct row_key){t, key.p, key.len}, &r, &recorded);
    const struct birth *b = e == ERR_OK ? held_birth(&r, name) : NULL;
    if (b == NULL) /* a row set aside by an adoption: the message says where it is */
        return e;
    out->values = part_birth_values(a, t, b);
    out->n_columns = t->n_columns;
    out->columns = arena_alloc(a, t->n_columns * sizeof *out->columns);
    for (uint32_t c = 0; c < t->n_columns; c++)
        out->columns[c] = arena_strdup(a, t->column[c]);
    return ERR_OK;
}

enum err store_held_get(struct store *s, struct arena *a, const char *id, struct held_record *out)
{
    const char *full;
    enum err e = full_id(s, a, "held row",
                         "SELECT id FROM tonle_held WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 2",
                         id, &full);
    if (e != ERR_OK)
        return e;
    sqlite3_stmt *q =
        store_stmt(s, "SELECT id, table_name, key, reason, message, office, since_ms, blocked_by,"
                      " k, site, seq FROM tonle_held WHERE id = ?1");
    if (q == NULL)
        return part_stmt_error(s);
    store_bind_text(q, 1, full);
    bool row;
    e = store_step(s, q, &row);
    if (e != ERR_OK || !row)
        return e != ERR_OK ? e : ERR_NOT_FOUND;
    *out = held_from(a, q);
    struct bytes key = store_column_bytes(a, q, 8);
    struct dot name = {store_column_u64(q, 9), store_column_u64(q, 10)};
    sqlite3_reset(q);
    return held_values(s, a, out, key, name);
}

/* ---- conflicts */

#define CONFLICT_SQL                                                                               \
    "SELECT id, table_name, key, cell, policy, state, opened_ms, closed_ms, successor FROM "       \
    "tonle_conflict"

static int by_dot(const void *x, const void *y)
{
    return dot_compare(((const struct conflict_side *)x)->dot,
                       ((const struct conflict_side *)y)->dot);
}

static enum err read_sides(struct store *s, struct arena *a, struct conflict_record *c)
{
    sqlite3_stmt *q = store_stmt(s, "SELECT office, unit, hlc, site, seq, value, shown"
                                    " FROM tonle_conflict_side WHERE conflict = ?1");
    if (q == NULL)
        return part_stmt_error(s);
    store_bind_text(q, 1, c->id);
    struct conflict_side *list = NULL;
    size_t cap = 0;
    enum err e;
    bool row;
    while ((e = store_step(s, q, &row)) == ERR_OK && row) {
        list = mem_grow(list, c->n_sides, &cap, sizeof *list);
        list[c->n_sides++] =
            (struct conflict_side){.office = store_column_text(a, q, 0),
                                   .unit = store_column_text(a, q, 1),
                                   .at_hlc = store_column_u64(q, 2),
                                   .dot = {store_column_u64(q, 3), store_column_u64(q, 4)},
                                   .value = store_column(a, q, 5),
                                   .shown = sqlite3_column_int(q, 6) != 0};
    }
    if (c->n_sides > 0) /* SQLite's order of sites is that of signed numbers */
        qsort(list, c->n_sides, sizeof *list, by_dot);
    c->sides = arena_copy(a, list, c->n_sides * sizeof *list);
    mem_free(list);
    return e;
}

static struct conflict_record conflict_from(struct arena *a, sqlite3_stmt *q)
{
    return (struct conflict_record){.id = store_column_text(a, q, 0),
                                    .table = store_column_text(a, q, 1),
                                    .key_json = store_column_text(a, q, 2),
                                    .cell = store_column_text(a, q, 3),
                                    .policy = store_column_text(a, q, 4),
                                    .state = store_column_text(a, q, 5),
                                    .opened_ms = store_column_u64(q, 6),
                                    .closed_ms = store_column_u64(q, 7),
                                    .successor = store_column_text(a, q, 8)};
}

enum err store_conflict_list(struct store *s, struct arena *a, bool only_open,
                             struct conflict_record **out, size_t *n)
{
    sqlite3_stmt *q = store_stmt(
        s, only_open ? CONFLICT_SQL " WHERE state = 'open' ORDER BY opened_ms, id"
                     : CONFLICT_SQL " WHERE state <> 'superseded' ORDER BY opened_ms, id");
    if (q == NULL)
        return part_stmt_error(s);
    struct conflict_record *list = NULL;
    size_t cap = 0;
    enum err e;
    bool row;
    *n = 0;
    while ((e = store_step(s, q, &row)) == ERR_OK && row) {
        list = mem_grow(list, *n, &cap, sizeof *list);
        list[(*n)++] = conflict_from(a, q);
    }
    *out = arena_copy(a, list, *n * sizeof *list);
    mem_free(list);
    for (size_t i = 0; e == ERR_OK && i < *n; i++)
        e = read_sides(s, a, &(*out)[i]);
    return e;
}

enum err store_conflict_get(struct store *s, struct arena *a, const char *id,
                            struct conflict_record *out, struct conflict_side *before,
                            bool *has_before)
{
    const char *full;
    *has_before = false;
    enum err e = full_id(
        s, a, "conflict",
        "SELECT id FROM tonle_conflict WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 2", id, &full);
    if (e != ERR_OK)
        return e;
    sqlite3_stmt *q =
        store_stmt(s, "SELECT id, table_name, key, cell, policy, state, opened_ms, closed_ms,"
                      " successor, k, bsite, bseq FROM tonle_conflict WHERE id = ?1");
    if (q == NULL)
        return part_stmt_error(s);
    store_bind_text(q, 1, full);
    bool row;
    e = store_step(s, q, &row);
    if (e != ERR_OK || !row)
        return e != ERR_OK ? e : ERR_NOT_FOUND;
    *out = conflict_from(a, q);
    struct bytes key = store_column_bytes(a, q, 9);
    struct dot birth = {store_column_u64(q, 10), store_column_u64(q, 11)};
    sqlite3_reset(q);
    e = read_sides(s, a, out);
    return e == ERR_OK ? part_before(s, a, out, key, birth, before, has_before) : e;
}
