/* Held rows as an operator reads them. Ids may be shortened to any unique beginning.
 *
 * A list of a hundred thousand is read in the order of its table and sorted here: SQLite's sorter
 * would take longer than the answer may. */
#include "node/desk/desk.h"

#include "node/db/sqlite.h"
#include "node/desk/review.h"
#include "node/state/state.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_MIN 4
#define ID_MAX 64

static enum err usage_id(struct store *s, const char *what, const char *id)
{
    return store_fail(s, ERR_USAGE, "'%.80s' is no id of a %s: at least %d hexadecimal digits", id,
                      what, PREFIX_MIN);
}

enum err list_full_id(struct store *s, struct arena *a, const char *what, const char *sql,
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
    if (!q)
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

#define HELD_SQL                                                                                   \
    "SELECT id, table_name, key, reason, message, office, since_ms, blocked_by, blocked_table,"    \
    " blocked_office, blocked_ms, k, site, seq FROM tonle_held"

static struct held_record held_from(struct arena *a, sqlite3_stmt *q)
{
    return (struct held_record){.id = store_column_text(a, q, 0),
                                .table = store_column_text(a, q, 1),
                                .key_json = store_column_text(a, q, 2),
                                .reason = store_column_text(a, q, 3),
                                .message = store_column_text(a, q, 4),
                                .office = store_column_text(a, q, 5),
                                .since_ms = store_column_u64(q, 6),
                                .blocked_by = store_column_text(a, q, 7),
                                .blocked_table = store_column_text(a, q, 8),
                                .blocked_office = store_column_text(a, q, 9),
                                .blocked_ms = store_column_u64(q, 10)};
}

/* Equal times: in the order of their ids, which is that of reading. */
static int by_since(const void *x, const void *y)
{
    const struct held_record *p = x, *q = y;
    if (p->since_ms != q->since_ms)
        return p->since_ms < q->since_ms ? -1 : 1;
    return strcmp(p->id, q->id);
}

enum err store_held_each(struct store *s, uint64_t limit, held_fn *fn, void *user)
{
    sqlite3_stmt *q = store_stmt(s, HELD_SQL);
    if (!q)
        return part_stmt_error(s);
    struct arena a = {0};
    struct held_record *list = NULL;
    size_t n = 0, cap = 0;
    enum err e;
    bool row;
    while ((e = store_step(s, q, &row)) == ERR_OK && row) {
        list = mem_grow(list, n, &cap, sizeof *list);
        list[n++] = held_from(&a, q);
    }
    if (e == ERR_OK && n > 0)
        qsort(list, n, sizeof *list, by_since);
    for (size_t i = 0; e == ERR_OK && i < n && (limit == 0 || i < limit); i++)
        fn(&list[i], user);
    mem_free(list);
    arena_fini(&a);
    return e;
}

static enum err held_values(struct store *s, struct arena *a, struct held_record *out,
                            struct bytes key, struct dot name)
{
    enum err e = schema_load(s);
    const struct table_schema *t = e == ERR_OK ? schema_table(s, out->table) : NULL;
    if (!t || !t->exists || key.len == 0)
        return e;
    struct reviewed r = {.s = s, .a = a, .k = {t, key.p, key.len}};
    e = row_load(s, a, r.k, &r.row, NULL); /* tells all of what is held */
    const struct birth *b = e == ERR_OK ? review_birth(&r, name) : NULL;
    /* a row set aside by an adoption: the message says where it is */
    if (!b || b->held == HOLD_NONE)
        return e;
    out->values = review_values(&r, b);
    out->n_columns = t->n_columns;
    out->columns = arena_alloc(a, t->n_columns * sizeof *out->columns);
    for (uint32_t c = 0; c < t->n_columns; c++)
        out->columns[c] = arena_strdup(a, t->column[c]);
    return ERR_OK;
}

enum err store_held_get(struct store *s, struct arena *a, const char *id, struct held_record *out)
{
    const char *full;
    enum err e = list_full_id(s, a, "held row", HELD_IDS, id, &full);
    if (e != ERR_OK)
        return e;
    sqlite3_stmt *q = store_stmt(s, HELD_SQL " WHERE id = ?1");
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, full);
    bool row;
    e = store_step(s, q, &row);
    if (e != ERR_OK || !row)
        return e != ERR_OK ? e : ERR_NOT_FOUND;
    *out = held_from(a, q);
    struct bytes key = store_column_bytes(a, q, 11);
    struct dot name = {store_column_u64(q, 12), store_column_u64(q, 13)};
    sqlite3_reset(q);
    return held_values(s, a, out, key, name);
}

enum err store_held_own(struct store *s, struct arena *a, struct held_record few[HELD_FEW],
                        uint64_t *total)
{
    sqlite3_stmt *q = store_stmt(s, HELD_SQL " WHERE office = ?1");
    bool row;
    enum err e;
    *total = 0;
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, identity_of(s)->node);
    while ((e = store_step(s, q, &row)) == ERR_OK && row) {
        if (*total < HELD_FEW)
            few[*total] = held_from(a, q);
        ++*total;
    }
    return e;
}
