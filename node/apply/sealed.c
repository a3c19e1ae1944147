/* What follows a seal. What was collected goes from the log; a row of ours that is too large to be
 * sent, or has no key, is told among the held ones (reason `limit`), though it stands here; a row
 * that lost its key is held; and where such a row is gone, what others have may come in. */
#include "node/apply/apply.h"
#include "node/apply/work.h"
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void limit_id(struct row_key k, char id[17])
{
    uint64_t h = bytes_hash(VALUE_HASH_SEED, "limit", sizeof "limit");
    h = bytes_hash(h, k.t->name, strlen(k.t->name) + 1);
    h = bytes_hash(h, k.key, k.len);
    snprintf(id, 17, "%016llx", (unsigned long long)h);
}

/* An entry that stands keeps its `since`. site, with seq 0: the name of no birth. */
static enum err hold_limited(struct store *s, struct row_key k, const char *message,
                             uint64_t now_ms)
{
    struct arena a = {0};
    char id[17];
    struct buf order = {0};
    limit_id(k, id);
    schema_key_order(k.t, (struct bytes){k.key, k.len}, &order);
    state_counts_changed(s);
    enum err e = DB_RUN(
        s,
        "INSERT INTO tonle_held(t, k, id, table_name, key, reason, message, office, since_ms,"
        " blocked_by, site, seq, bt, bk, o)"
        " VALUES(?1, ?2, ?3, ?4, ?5, 'limit', ?6, ?7, ?8, '', ?9, 0, 0, x'', ?10)"
        " ON CONFLICT(id) DO UPDATE SET message = excluded.message",
        value_integer(k.t->t), value_blob(k.key, k.len), value_text(id), value_text(k.t->name),
        value_text(schema_key_told(&a, k.t, k.key, k.len)), value_text(message),
        value_text(identity_of(s)->node), value_u64(now_ms), value_u64(identity_of(s)->site),
        value_blob(order.data, order.len));
    buf_fini(&order);
    arena_fini(&a);
    return e;
}

static enum err let_go(struct store *s, struct row_key k, bool found)
{
    state_counts_changed(s);
    return DB_RUN(s, "DELETE FROM tonle_held WHERE t = ?1 AND k = ?2 AND reason IN ('limit', ?3)",
                  value_integer(k.t->t), value_blob(k.key, k.len),
                  value_text(found ? hold_reason_name(HOLD_LOCAL) : "limit"));
}

/* A row that others have and that lost its key here. It is held as it was, not written again
 * beside what the application made of it; where that was sealed in part, it has just come in. */
static enum err hold_lost(struct store *s, struct row_key k, const struct limit_note *note,
                          uint64_t now_ms)
{
    struct arena a = {0};
    struct work w;
    work_init(&w, s, &a);
    w.now_ms = now_ms;
    w.part = true;
    struct work_row *r = work_get(&w, k.t, k.key, k.len);
    enum err e = work_load(&w, r);
    if (e == ERR_OK && r->now)
        e = work_take(&w, r);
    if (e == ERR_OK && r->row.n_births == 0)
        row_from_settled(&a, &r->row, note->lost);
    struct birth *b = e == ERR_OK ? row_standing(&r->row, &k.t->rules) : NULL;
    if (b) {
        birth_set_values(&a, b, &k.t->rules, note->lost);
        b->values = arena_copy(&a, note->lost, k.t->n_columns * sizeof *note->lost);
        work_hold(b, HOLD_LOCAL);
        r->message[0] = arena_strdup(&a, note->message);
        r->before = b->values; /* its children go with it */
        r->touched = r->fk_gone = true;
        e = work_close(&w);
    }
    arena_fini(&a);
    return e;
}

static enum err tell_limits(struct store *s, const struct limit_note *note, size_t n,
                            uint64_t now_ms)
{
    enum err e = n > 0 ? capture_temp_triggers(s) : ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        const struct table_schema *t = schema_by_number(s, note[i].t);
        if (!t) /* a charter came with the same changeset, and does not publish it any more */
            continue;
        struct row_key k = {t, note[i].key.p, note[i].key.len};
        if (note[i].lost)
            e = hold_lost(s, k, &note[i], now_ms);
        else if (!note[i].message || note[i].found)
            e = let_go(s, k, note[i].found);
        if (e == ERR_OK && !note[i].lost && note[i].message)
            e = hold_limited(s, k, note[i].message, now_ms);
    }
    return e;
}

/* It stood first under its key, and so it is on record as a row of everybody's would be. */
static enum err forget_entered(struct store *s, struct row_key k)
{
    struct arena a = {0};
    struct row row;
    enum record_at at;
    struct value *now = NULL;
    enum err e = row_load(s, &a, k, &row, &at);
    if (e == ERR_OK)
        e = row_read(s, &a, k, &now);
    const struct birth *b = e == ERR_OK && !now ? row_standing(&row, &k.t->rules) : NULL;
    if (b && dot_is_none(b->name)) { /* the unnamed is the first */
        row.births++;
        row.n_births--;
        e = row_save(s, &a, k, &row, at);
    }
    arena_fini(&a);
    return e;
}

/* Each decision reads the schema again where it changed: the index of a big log went, or a charter
 * came that does not publish the table any more. */
static enum err let_others_in(struct store *s, const struct limit_note *note, size_t n,
                              uint64_t now_ms)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        if (!note[i].gone && !note[i].entered)
            continue;
        e = schema_load(s);
        const struct table_schema *t = e == ERR_OK ? schema_by_number(s, note[i].t) : NULL;
        struct row_key k = {t, note[i].key.p, note[i].key.len};
        if (t && t->exists && note[i].entered)
            e = forget_entered(s, k);
        if (e == ERR_OK && t && t->exists)
            e = retry_row(s, k, now_ms);
    }
    return e == ERR_OK && n > 0 ? retry_children(s, note, n, now_ms) : e;
}

enum err store_collect_done(struct store *s, struct collected *c, uint64_t now_ms)
{
    size_t n;
    assert(s->in_write && c);
    enum err e = collect_consumed(s, c);
    if (e != ERR_OK)
        return e;
    const struct limit_note *note = collected_notes(c, &n);
    e = tell_limits(s, note, n, now_ms);
    if (e == ERR_OK)
        e = let_others_in(s, note, n, now_ms);
    return e == ERR_OK && !store_capture_pending(s) ? again_decide(s, now_ms) : e;
}
