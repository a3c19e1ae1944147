/* Values of our own that are too large to be sent (protocol/limits.h). They stand in the
 * application's table and nowhere else; tonle_limit keeps what was left out, because the log is
 * consumed: a row that no other office has (c = ''), or columns of one that they have. When a later
 * seal takes the row, they count as changed. v: of a sum column, the total the others have. That an
 * operator reads of them among the held rows (reason `limit`) is apply's (apply/sealed.c). Here are
 * also rows whose key cannot be sent; c = LOST: one that others have and that lost its key here
 * (nokey.c). */
#include "node/capture/capture.h"
#include "node/capture/collect.h"
#include "node/db/query.h"

#include <assert.h>
#include <string.h>

#define LOST "\x01key" /* no name of a column */

enum err limit_any(struct store *s, bool *any)
{
    struct query q = DB_QUERY(s, "SELECT 1 FROM tonle_limit LIMIT 1");
    *any = query_next(&q);
    return query_end(&q);
}

enum err store_limit_rows(struct store *s, uint64_t *n)
{
    int64_t rows = 0;
    enum err e = db_number(
        s, "SELECT count(*) FROM (SELECT DISTINCT t, k FROM tonle_limit WHERE c <> '" LOST "')",
        &rows);
    *n = (uint64_t)rows;
    return e;
}

enum err limit_columns(struct store *s, const struct table_schema *t, bool *any)
{
    struct query q =
        DB_QUERY(s, "SELECT 1 FROM tonle_limit WHERE t = ?1 AND c NOT IN ('', '" LOST "') LIMIT 1",
                 value_integer(t->t));
    *any = query_next(&q);
    return query_end(&q);
}

/* A column that is not published any more was not left out. */
enum err limit_read(struct store *s, struct arena *a, struct row_key k, struct limit *out)
{
    *out = (struct limit){.table = (uint32_t)(k.t - s->schema->tables), .key = {k.key, k.len}};
    struct query q = DB_QUERY(s, "SELECT c, v FROM tonle_limit WHERE t = ?1 AND k = ?2",
                              value_integer(k.t->t), value_blob(k.key, k.len));
    while (query_next(&q)) {
        const char *name = query_text(&q, a, 0);
        uint32_t column = schema_column(k.t, name);
        out->born = out->born || name[0] == '\0';
        out->lost = out->lost || strcmp(name, LOST) == 0;
        if (column == UINT32_MAX)
            continue;
        if (!out->left) {
            out->left = arena_alloc(a, k.t->n_columns * sizeof *out->left);
            out->total = arena_alloc(a, k.t->n_columns * sizeof *out->total);
        }
        out->left[column] = true;
        out->total[column] = query_value(&q, a, 1);
    }
    return query_end(&q);
}

enum err limit_alone(struct store *s, struct row_key k, bool *yes)
{
    struct query q = DB_QUERY(s, "SELECT 1 FROM tonle_limit WHERE t = ?1 AND k = ?2 AND c = ''",
                              value_integer(k.t->t), value_blob(k.key, k.len));
    *yes = query_next(&q);
    return query_end(&q);
}

enum err limit_stays(struct store *s, struct arena *a, struct row_key k, bool *alone, bool **left)
{
    struct limit l;
    enum err e = limit_read(s, a, k, &l);
    *alone = e == ERR_OK && l.born;
    *left = e == ERR_OK ? l.left : NULL;
    return e;
}

static enum err put_column(struct store *s, struct row_key k, const char *name, struct value total)
{
    return DB_RUN(s, "INSERT INTO tonle_limit(t, k, c, v) VALUES(?1, ?2, ?3, ?4)",
                  value_integer(k.t->t), value_blob(k.key, k.len), value_text(name), total);
}

enum err limit_put(struct store *s, const struct limit *l)
{
    struct row_key k = {&s->schema->tables[l->table], l->key.p, l->key.len};
    bool ignored;
    assert(l->born || l->left || l->row);
    enum err e = limit_drop(s, k, &ignored);
    if (e == ERR_OK && l->born)
        e = put_column(s, k, "", value_null());
    if (e == ERR_OK && l->row)
        e = put_column(s, k, LOST, value_null());
    for (uint32_t i = 0; e == ERR_OK && l->left && i < k.t->n_columns; i++) {
        if (l->left[i])
            e = put_column(s, k, k.t->column[i], l->total[i]);
    }
    return e;
}

enum err limit_drop(struct store *s, struct row_key k, bool *any)
{
    enum err e = DB_RUN(s, "DELETE FROM tonle_limit WHERE t = ?1 AND k = ?2", value_integer(k.t->t),
                        value_blob(k.key, k.len));
    *any = e == ERR_OK && db_changes(s) > 0;
    return e;
}
