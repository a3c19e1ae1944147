/* Held rows as an operator reads them. Ids may be shortened to any unique beginning.
 *
 * A list of a hundred thousand is read in the order of its table and sorted here: SQLite's sorter
 * would take longer than the answer may. */
#include "node/desk/desk.h"

#include "node/db/query.h"
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
    struct query q = DB_QUERY(s, sql, value_text(low), value_text(high));
    *id = query_next(&q) ? query_text(&q, a, 0) : NULL;
    bool more = *id && query_next(&q) && strcmp(*id, low) != 0; /* a whole one is not ambiguous */
    enum err e = query_end(&q);
    if (e == ERR_OK && !*id)
        e = store_fail(s, ERR_NOT_FOUND, "no %s has an id that begins with %s", what, low);
    if (e == ERR_OK && more)
        e = store_fail(s, ERR_USAGE,
                       "more than one %s has an id that begins with %s: give more digits", what,
                       low);
    return e;
}

#define HELD_SQL                                                                                   \
    "SELECT id, table_name, key, reason, message, office, since_ms, blocked_by, blocked_table,"    \
    " blocked_office, blocked_ms, k, site, seq FROM tonle_held"

static struct held_record held_from(struct arena *a, const struct query *q)
{
    return (struct held_record){.id = query_text(q, a, 0),
                                .table = query_text(q, a, 1),
                                .key_json = query_text(q, a, 2),
                                .reason = query_text(q, a, 3),
                                .message = query_text(q, a, 4),
                                .office = query_text(q, a, 5),
                                .since_ms = query_u64(q, 6),
                                .blocked_by = query_text(q, a, 7),
                                .blocked_table = query_text(q, a, 8),
                                .blocked_office = query_text(q, a, 9),
                                .blocked_ms = query_u64(q, 10)};
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
    struct arena a = {0};
    struct held_record *list = NULL;
    size_t n = 0, cap = 0;
    struct query q = DB_QUERY(s, HELD_SQL);
    while (query_next(&q)) {
        list = mem_grow(list, n, &cap, sizeof *list);
        list[n++] = held_from(&a, &q);
    }
    enum err e = query_end(&q);
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
    struct bytes key = {0};
    struct dot name = {0};
    struct query q = DB_QUERY(s, HELD_SQL " WHERE id = ?1", value_text(full));
    bool found = query_next(&q);
    if (found) {
        *out = held_from(a, &q);
        key = query_bytes(&q, a, 11);
        name = (struct dot){query_u64(&q, 12), query_u64(&q, 13)};
    }
    e = query_end(&q);
    if (e == ERR_OK && !found)
        e = ERR_NOT_FOUND;
    return e == ERR_OK ? held_values(s, a, out, key, name) : e;
}

enum err store_held_own(struct store *s, struct arena *a, struct held_record few[HELD_FEW],
                        uint64_t *total)
{
    struct query q = DB_QUERY(s, HELD_SQL " WHERE office = ?1", value_text(identity_of(s)->node));
    *total = 0;
    for (; query_next(&q); ++*total) {
        if (*total < HELD_FEW)
            few[*total] = held_from(a, &q);
    }
    return query_end(&q);
}

enum err store_held_limit(struct store *s, struct arena *a, struct held_record *out)
{
    struct query q = DB_QUERY(s, HELD_SQL " WHERE reason = 'limit' ORDER BY since_ms, id LIMIT 1");
    bool found = query_next(&q);
    if (found)
        *out = held_from(a, &q);
    enum err e = query_end(&q);
    return e == ERR_OK && !found ? ERR_NOT_FOUND : e;
}
