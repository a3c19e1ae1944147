/* Rows without a key. SQLite lets a declared key be NULL; such a row has no identity and stays
 * here: it is told among the held ones (limit.c). A row that others have and whose key becomes NULL
 * here is not deleted by that:
 *
 *   the application                          here                              elsewhere
 *   inserts a row with NULL in its key       told, reason `limit`              nothing
 *   sets the key of row K to NULL            the same, and K is held, `local`  its other changes
 *   sets it to K again                       K stands again                    what differs: UPDATE
 *   sets it to another key                   a birth; K comes in again         the birth
 *   deletes it                               K comes in again                  nothing
 */
#include "node/capture/collect.h"

#include "node/db/query.h"
#include "node/record/record.h"

#define COUNTED 1000 /* rows of one key that are counted */

/* The rows of the table with this key: NULL is NULL. */
static enum err rows_of(struct output *o, const struct value *key, int64_t *n)
{
    struct buf b = {0};
    buf_printf(&b, "SELECT count(*) FROM (SELECT 1 FROM %s WHERE 1", o->t->qname);
    for (uint32_t i = 0; i < o->t->n_key; i++)
        buf_printf(&b, " AND %s IS ?%u", schema_quote(o->a, o->t->column[o->t->key[i]]), i + 1);
    buf_printf(&b, " LIMIT %d)", COUNTED);
    struct query q = query_of(o->s, buf_str(&b), o->t->n_key, key);
    *n = query_next(&q) ? query_i64(&q, 0) : 0;
    buf_fini(&b);
    return query_end(&q);
}

enum err nokey_note(struct output *o, struct log_entry *e, const struct value *key)
{
    struct buf b = {0};
    const char *column = "";
    int64_t n;
    enum err err = rows_of(o, key, &n);
    if (err != ERR_OK || n == 0)
        return err;
    for (uint32_t i = o->t->n_key; i-- > 0;)
        column = key[i].type == VALUE_NULL ? o->t->column[o->t->key[i]] : column;
    buf_printf(&b,
               "%.64s is of the key and NULL: %s%lld row%s like this stand%s only here until %s",
               column, n == COUNTED ? "more than " : "", (long long)n, n == 1 ? "" : "s",
               n == 1 ? "s" : "", n == 1 ? "it has a key" : "each has a key");
    collect_limit(o, e, &(struct limit){.born = true, .message = arena_strdup(o->a, buf_str(&b))});
    buf_fini(&b);
    return ERR_OK;
}

void nokey_lost(struct output *o, struct log_entry *e, const struct value *last)
{
    collect_limit(o, e,
                  &(struct limit){.lost = true,
                                  .total = (struct value *)last,
                                  .message = "its key became NULL here; it stands at the other "
                                             "offices: give the row its key again, or another"});
}

/* What is on record of it stands again. False: nothing is, it was deleted meanwhile. */
enum err nokey_found(struct output *o, struct log_entry *e, struct value **before)
{
    struct row_key k = {o->t, e->key, e->key_len};
    struct row row;
    enum record_at at;
    struct birth *b = NULL;
    *before = NULL;
    enum err err = row_load(o->s, o->a, k, &row, &at);
    for (uint32_t i = 0; err == ERR_OK && i < row.n_births; i++)
        if (row.births[i].held == HOLD_LOCAL && birth_alive(&row.births[i], &o->t->rules))
            b = &row.births[i];
    if (err != ERR_OK || !b)
        return err;
    *before = birth_shown(o->a, b, &o->t->rules);
    b->held = HOLD_NONE;
    e->found = true;
    return row_save(o->s, o->a, k, &row, at);
}
