#include "node/store_work.h"

#include <stdio.h>
#include <string.h>

/* tonle_held follows the records: one row per living birth that does not stand. An entry keeps its
 * id and its `since` while the birth stays held, also when the birth's name is forgotten. */

struct entry {
    const char *id;
    struct dot birth;
    const char *message;
    uint64_t since_ms;
    bool used;
};

static enum err entries(struct work *w, struct work_row *r, struct entry **out, size_t *n)
{
    sqlite3_stmt *q = store_stmt(w->s, "SELECT id, site, seq, message, since_ms FROM tonle_held"
                                       " WHERE t = ?1 AND k = ?2 ORDER BY id");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, r->k.t->t);
    store_bind_blob(q, 2, r->k.key, r->k.len);
    *n = 0;
    *out = NULL;
    size_t cap = 0;
    bool row = true;
    enum err e = ERR_OK;
    while (e == ERR_OK && row) {
        e = store_step(w->s, q, &row);
        if (e != ERR_OK || !row)
            break;
        *out = arena_grow(w->a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = (struct entry){store_column_text(w->a, q, 0),
                                        {store_column_u64(q, 1), store_column_u64(q, 2)},
                                        store_column_text(w->a, q, 3),
                                        store_column_u64(q, 4),
                                        false};
    }
    return e;
}

/* The entry of this birth; an unnamed birth takes the entry whose birth is no longer named on
 * record. */
static struct entry *match(const struct work_row *r, const struct birth *b, struct entry *x,
                           size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!x[i].used && dot_equal(x[i].birth, b->name))
            return &x[i];
    }
    for (size_t i = 0; i < n && dot_is_none(b->name); i++) {
        if (!x[i].used && !row_find_birth(&r->row, x[i].birth))
            return &x[i];
    }
    return NULL;
}

static void held_id(char id[17], const struct work_row *r, const struct birth *b)
{
    uint64_t h = bytes_hash(VALUE_HASH_SEED, r->k.t->name, strlen(r->k.t->name) + 1);
    h = bytes_hash(h, r->k.key, r->k.len);
    h = bytes_hash(h, &b->name.site, sizeof b->name.site);
    h = bytes_hash(h, &b->name.seq, sizeof b->name.seq);
    snprintf(id, 17, "%016llx", (unsigned long long)h);
}

static const char *words(struct work *w, struct work_row *r, const struct birth *b, const char *old)
{
    struct buf m = {0};
    switch (b->held) {
    case HOLD_CHECK:
    case HOLD_LOCAL:
        buf_printf(&m, "%s", r->message[0] ? r->message[0] : old);
        break;
    case HOLD_BIRTH:
        buf_printf(&m, "another record was entered earlier under the same key and stands");
        break;
    case HOLD_UNIQUE:
        if (r->blocker)
            buf_printf(&m, "an earlier row of %s has the same unique value", r->k.t->name);
        else
            buf_printf(&m, "%s", r->message[1] ? r->message[1] : old);
        break;
    default:
        buf_printf(&m, "%s", r->message[1] ? r->message[1] : old);
    }
    if (m.len == 0)
        buf_printf(&m, "%s", hold_reason_name(b->held));
    char *text = arena_strdup(w->a, buf_str(&m));
    buf_fini(&m);
    return text;
}

static const char *writer(struct work *w, const struct work_row *r, const struct birth *b)
{
    uint64_t site = b->name.site;
    if (site == 0)
        site = birth_rank(b, &r->k.t->rules, r->k.t->unique_columns, r->k.t->n_unique_columns)
                   .dot.site;
    return work_site(w, site)->node;
}

static enum err put_entry(struct work *w, struct work_row *r, const struct birth *b,
                          struct entry *old)
{
    sqlite3_stmt *q =
        store_stmt(w->s, "INSERT OR REPLACE INTO tonle_held(id, table_name, key, reason,"
                         " message, office, since_ms, blocked_by, t, k, site, seq, bt, bk)"
                         " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)");
    if (!q)
        return ERR_SCHEMA;
    char id[17];
    held_id(id, r, b);
    struct work_row *by = b->held == HOLD_BIRTH ? r : b->held == HOLD_UNIQUE ? r->blocker : NULL;
    store_bind_text(q, 1, old ? old->id : id);
    store_bind_text(q, 2, r->k.t->name);
    store_bind_text(q, 3, schema_key_json(w->a, r->k.t, r->k.key, r->k.len));
    store_bind_text(q, 4, hold_reason_name(b->held));
    store_bind_text(q, 5, words(w, r, b, old ? old->message : ""));
    store_bind_text(q, 6, writer(w, r, b));
    store_bind_u64(q, 7, old ? old->since_ms : w->now_ms);
    store_bind_text(q, 8, by ? schema_key_json(w->a, by->k.t, by->k.key, by->k.len) : "");
    sqlite3_bind_int64(q, 9, r->k.t->t);
    store_bind_blob(q, 10, r->k.key, r->k.len);
    store_bind_u64(q, 11, b->name.site);
    store_bind_u64(q, 12, b->name.seq);
    sqlite3_bind_int64(q, 13, by ? by->k.t->t : 0);
    store_bind_blob(q, 14, by ? by->k.key : NULL, by ? by->k.len : 0);
    if (!old && w->report)
        w->report->held++;
    return store_run(w->s, q);
}

static enum err drop_entry(struct work *w, const char *id)
{
    sqlite3_stmt *q = store_stmt(w->s, "DELETE FROM tonle_held WHERE id = ?1");
    if (!q)
        return ERR_SCHEMA;
    store_bind_text(q, 1, id);
    if (w->report)
        w->report->released++;
    return store_run(w->s, q);
}

enum err held_save(struct work *w, struct work_row *r)
{
    struct entry *old = NULL;
    size_t n = 0;
    enum err e = entries(w, r, &old, &n);
    for (uint32_t i = 0; e == ERR_OK && i < r->row.n_births; i++) {
        struct birth *b = &r->row.births[i];
        if (!birth_alive(b, &r->k.t->rules))
            b->held = HOLD_NONE;
        if (b->held == HOLD_NONE)
            continue;
        struct entry *x = match(r, b, old, n);
        if (x)
            x->used = true;
        e = put_entry(w, r, b, x);
    }
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        if (!old[i].used)
            e = drop_entry(w, old[i].id);
    }
    return e;
}

/* Rows that waited for r's key or unique values contend again. */
enum err work_release_blocked(struct work *w, struct work_row *r)
{
    sqlite3_stmt *q = store_stmt(w->s, "SELECT t, k FROM tonle_held WHERE bt = ?1 AND bk = ?2");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, r->k.t->t);
    store_bind_blob(q, 2, r->k.key, r->k.len);
    bool row = true;
    enum err e = ERR_OK;
    while (e == ERR_OK && row) {
        e = store_step(w->s, q, &row);
        struct table_schema *t =
            e == ERR_OK && row ? schema_by_number(w->s, (uint32_t)sqlite3_column_int(q, 0)) : NULL;
        if (!t)
            continue;
        struct bytes key = store_column_bytes(w->a, q, 1);
        struct work_row *waiting = work_get(w, t, key.p, key.len);
        waiting->slow = true;
    }
    return e;
}
