/* Rows without a key that can be sent. SQLite lets a declared key be NULL; such a row has no
 * identity and stays here, as one does whose key is too long or that is too large to be born
 * elsewhere: it is told among the held ones (limit.c). A row that others have and that is given
 * such a key here, or any while it is too large, is not deleted by that:
 *
 *   the application                          here                              elsewhere
 *   inserts such a row                       told, reason `limit`              nothing
 *   makes row K such a row                   the same, and K is held, `local`  its other changes
 *   gives it the key K again                 K stands again                    what differs: UPDATE
 *   gives it another key                     a birth; K comes in again         the birth
 *   deletes it                               K comes in again                  nothing
 */
#include "node/capture/collect.h"

#include "node/db/query.h"
#include "node/record/record.h"
#include "protocol/limits.h"

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

/* Where a row went: its new key, from the event. */
static enum err read_target(struct output *o, int64_t rowid, struct value **key)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < o->t->n_key; i++)
        buf_printf(&b, "%s%s", i ? "," : "SELECT ",
                   capture_name(o->a, "o_", o->t->column[o->t->key[i]]));
    buf_printf(&b, " FROM main.tonle_log_%u WHERE rowid = ?1", o->t->t);
    struct query q = DB_QUERY(o->s, buf_str(&b), value_integer(rowid));
    *key = query_next(&q) ? query_values(&q, o->a, 0, o->t->n_key) : NULL;
    buf_fini(&b);
    return query_end(&q);
}

/* Of a log that was read in part only: when the row of this key was last given another; 0: it was
 * not. */
static enum err seek_move(struct output *o, const struct value *key, int64_t *rowid)
{
    struct buf b = {0};
    buf_printf(&b, "SELECT max(rowid) FROM main.tonle_log_%u WHERE \"op\" = %d", o->t->t,
               (int)OP_MOVED);
    for (uint32_t i = 0; i < o->t->n_key; i++)
        buf_printf(&b, " AND %s IS ?%u", capture_name(o->a, "k_", o->t->column[o->t->key[i]]),
                   i + 1);
    struct query q = query_of(o->s, buf_str(&b), o->t->n_key, key);
    *rowid = query_next(&q) ? query_i64(&q, 0) : 0;
    buf_fini(&b);
    return query_end(&q);
}

/* Whether what stands at the key now goes to others: as a row that they have, or as a birth that
 * they can have. */
static enum err can_be_sent(struct output *o, struct row_key k, const struct log_entry *e,
                            const struct value *key, bool *yes)
{
    struct value *now = NULL;
    enum err err = row_read(o->s, o->a, k, &now);
    if (err != ERR_OK || !now)
        return err;
    struct row_change r = {.kind = CHANGE_BORN,
                           .key = key,
                           .n_cells = o->t->n_columns,
                           .column = o->all,
                           .value = now};
    bool alone = false, *left;
    const char *why;
    uint64_t bytes;
    err = o->c->any_limits ? limit_alone(o->s, k, &alone) : ERR_OK;
    *yes = (e && e->existed && !alone) || collect_fit(o, &r, &bytes, &left, &why);
    return err;
}

/* *stands: a row of this key is here; *lost: and cannot be sent. */
static enum err look(struct output *o, const struct value *key, struct row_key k,
                     const struct log_entry *e, bool *stands, bool *lost)
{
    bool whole = k.len <= LIMIT_KEY_BYTES, sent = false;
    int64_t n = 0;
    for (uint32_t i = 0; i < o->t->n_key; i++)
        whole = whole && key[i].type != VALUE_NULL;
    enum err err = rows_of(o, key, &n);
    if (err == ERR_OK && whole && n)
        err = can_be_sent(o, k, e, key, &sent);
    *stands = n > 0;
    *lost = n > 0 && !sent;
    return err;
}

/* One step: *at, the event in which it went on from there; 0: it did not. */
static enum err follow(struct output *o, int64_t *at, bool *lost)
{
    struct value *key;
    struct buf b = {0};
    bool stands = true;
    int64_t from = *at;
    *at = 0;
    enum err err = read_target(o, from, &key);
    if (err != ERR_OK || !key)
        return err;
    key_encode(&b, key, o->t->n_key);
    struct row_key k = {o->t, arena_copy(o->a, b.data, b.len), b.len};
    buf_fini(&b);
    const struct log_entry *e = collect_entry(o->work, k.key, k.len);
    err = look(o, key, k, e, &stands, lost);
    if (err == ERR_OK && !stands && e)
        *at = e->moved;
    else if (err == ERR_OK && !stands && o->work->left)
        err = seek_move(o, key, at);
    *at = *at > from ? *at : 0; /* a row goes forward in the log */
    return err;
}

enum err nokey_moved(struct output *o, const struct log_entry *e, bool *lost)
{
    int64_t at = e->moved;
    enum err err = ERR_OK;
    *lost = false;
    while (err == ERR_OK && at && !*lost)
        err = follow(o, &at, lost);
    return err;
}

void nokey_lost(struct output *o, struct log_entry *e, const struct limit *l)
{
    struct limit lost = *l;
    lost.message = "its key became NULL here, or the row under its new key cannot be sent; it "
                   "stands at the other offices: give the row its key again, or another";
    collect_limit(o, e, &lost);
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
