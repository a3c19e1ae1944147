/* The first load, receiving side: one transaction from begin to end.
 *
 * The chunks were read at the sender at different moments. The first one's clock, stable clock and
 * position are ours when the load ends, and the stream goes on behind that position; tonle_chunk
 * tells apply/ what a later chunk has already. The stable clock is only the first chunk's: a
 * later one would forget what changes that are still to come may be concurrent with; the stream
 * brings it in its place. A row state replaces all that is known of its row (DESIGN 4,
 * "Row states"), so a key that a later chunk brings again, now dead, goes.
 *
 * tonle_meta: load_mode; load_pos the furthest chunk's position, there until the stream has passed
 * it. */
#include "node/load/load.h"

#include "conflict/hlc.h"
#include "node/apply/work.h"
#include "node/capture/capture.h"
#include "node/capture/gap.h"
#include "node/db/query.h"
#include "node/load/adopt.h"
#include "node/load/slice.h"
#include "node/state/state.h"
#include "protocol/limits.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define META_MODE "load_mode"
#define META_POS "load_pos"

enum err store_load_rows(struct store *s, const struct table_schema *t, uint64_t *n)
{
    struct buf sql = {0};
    buf_printf(&sql, "SELECT count(*) FROM %s", t->qname);
    struct query q = DB_QUERY(s, buf_str(&sql));
    buf_fini(&sql);
    *n = query_next(&q) ? query_u64(&q, 0) : 0;
    return query_end(&q);
}

static enum err require_empty(struct store *s, const struct table_schema *t)
{
    uint64_t n;
    enum err e = store_load_rows(s, t, &n);
    if (e != ERR_OK || n == 0)
        return e;
    return store_fail(
        s, ERR_STATE,
        "table %s has %llu rows already: join with --mode adopt to compare them with the"
        " federation's and keep what it lacks, or --mode replace to put them aside in a"
        " copy of the file",
        t->name, (unsigned long long)n);
}

enum err store_load_begin(struct store *s, enum load_mode mode)
{
    assert(s->in_write);
    enum err e = schema_load(s);
    for (uint32_t i = 0; e == ERR_OK && mode == LOAD_EMPTY && i < s->schema->n_tables; i++)
        if (s->schema->tables[i].exists && !s->schema->tables[i].internal)
            e = require_empty(s, &s->schema->tables[i]);
    if (e == ERR_OK)
        e = loaded_clear(s);
    if (e == ERR_OK)
        e = store_meta_set_u64(s, META_MODE, mode);
    if (e == ERR_OK)
        e = store_meta_set_u64(s, META_POS, UINT64_MAX >> 1); /* until store_load_end knows */
    state_set_loading(s, true);
    return e;
}

/* ---- before the first chunk of a table */

static enum err empty_table(struct store *s, const struct table_schema *t)
{
    struct buf sql = {0};
    enum err e = capture_copies_back(s, t); /* a trigger that raises or ignores keeps no row here */
    buf_printf(&sql, "DELETE FROM %s", t->qname);
    if (e == ERR_OK)
        e = store_exec(s, buf_str(&sql));
    buf_fini(&sql);
    return e;
}

static enum err prepare_table(struct store *s, const struct table_schema *t)
{
    uint64_t mode;
    enum err e = store_meta_u64(s, META_MODE, UINT64_MAX, &mode);
    if (e != ERR_OK)
        return e;
    if (mode > LOAD_ADOPT)
        return store_fail(s, ERR_STATE, "a chunk of %s came without a load being begun", t->name);
    if (!t->internal && mode == LOAD_EMPTY)
        e = require_empty(s, t);
    if (e == ERR_OK && !t->internal && mode == LOAD_ADOPT)
        e = adopt_set_aside(s, t);
    if (e == ERR_OK)
        e = empty_table(s, t);
    if (e == ERR_OK) /* what was captured before is either compared (adopt) or gone */
        e = capture_discard(s, t);
    if (e == ERR_OK)
        e = gap_forget(s, t->t);
    if (e == ERR_OK)
        e = record_forget_table(s, t);
    return e == ERR_OK ? loaded_forget(s, t) : e;
}

static enum err malformed(struct store *s, const struct table_schema *t, const char *what)
{
    return store_fail(s, ERR_MALFORMED, "a row state of %s %s", t->name, what);
}

static enum err take_keep(struct store *s, const struct table_schema *t,
                          const struct load_chunk *chunk)
{
    enum err e = ERR_OK;
    if (t->hub_only && chunk->n_keep > 0)
        return malformed(s, t, "says more than the hub has signed");
    for (uint32_t i = 0; e == ERR_OK && i < chunk->n_keep; i++) {
        const struct kept_birth *b = &chunk->keep[i];
        e = record_keep_add(s, (struct row_key){t, b->key.p, b->key.len}, b->birth);
    }
    return e;
}

/* ---- rows */

/* The row that a state describes, its values filled in. */
static enum err state_row(struct work *w, const struct table_schema *t, const struct row_state *st,
                          struct row *out)
{
    struct value key[LIMIT_KEY_COLUMNS];
    if (t->hub_only && (!st->stands || st->record.len > 0))
        return malformed(w->s, t, "says more than the hub has signed");
    if (key_decode(st->key.p, st->key.len, key, t->n_key) != ERR_OK)
        return malformed(w->s, t, "names no key of the table");
    if (st->stands) {
        struct buf b = {0};
        if (st->n_values == t->n_columns)
            schema_key_encode(t, st->values, &b);
        bool same = b.len == st->key.len && memcmp(b.data, st->key.p, b.len) == 0;
        buf_fini(&b);
        if (!same)
            return malformed(w->s, t, "has values that do not fit its key or the columns");
    }
    *out = (struct row){0};
    if (st->record.len > 0 &&
        row_decode(w->a, out, &t->rules, st->record.p, st->record.len) != ERR_OK)
        return malformed(w->s, t, "has a damaged record");
    struct birth *standing = row_standing(out, &t->rules);
    if (st->record.len == 0 && st->stands)
        row_from_settled(w->a, out, st->values);
    else if (!!standing != st->stands)
        return malformed(w->s, t, "has a record that contradicts it");
    else if (standing)
        birth_set_values(w->a, standing, &t->rules, st->values);
    return ERR_OK;
}

static enum err take_state(struct work *w, const struct table_schema *t, const struct row_state *st)
{
    struct row row;
    enum err e = state_row(w, t, st, &row);
    if (e != ERR_OK)
        return e;
    struct work_row *r = work_get(w, t, st->key.p, st->key.len);
    if (r->touched)
        return malformed(w->s, t, "comes twice in one chunk");
    e = work_load(w, r); /* an earlier chunk may have brought this key */
    if (e != ERR_OK)
        return e;
    r->siblings = row_has_siblings(&r->row) || row_has_siblings(&row);
    for (uint32_t i = 0; i < row.n_births; i++)
        r->was_held = r->was_held || row.births[i].held != HOLD_NONE;
    r->row = row;
    r->touched = true;
    return ERR_OK;
}

static enum err take_rows(struct store *s, struct arena *a, const struct table_schema *t,
                          const struct load_chunk *chunk)
{
    struct work w;
    work_init(&w, s, a);
    w.now_ms = hlc_ms(chunk->hlc);
    struct apply_report report = {0};
    w.report = &report;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < chunk->n_states; i++)
        e = take_state(&w, t, &chunk->states[i]);
    if (e == ERR_OK)
        e = work_finish(&w);
    if (t->hub_only)
        units_changed(s);
    return e;
}

enum err load_replace(struct store *s, struct arena *a, const struct table_schema *t,
                      const struct row_state *st, struct value *stood, uint64_t now_ms)
{
    struct work w;
    struct apply_report report = {0};
    assert(s->in_write);
    work_init(&w, s, a);
    w.now_ms = now_ms;
    w.report = &report;
    w.part = true; /* rows settled before in this transaction are in the log, and not sealed yet */
    enum err e = take_state(&w, t, st);
    struct work_row *r = work_get(&w, t, st->key.p, st->key.len);
    r->sealed = true;   /* whoever asks for it knows what goes */
    r->siblings = true; /* what was open while the row was away is looked at, too */
    r->no_siblings = false;
    r->fk_new = true; /* and who waits for it */
    if (stood) {      /* what follows where a row goes is left to us */
        r->before = stood;
        r->fk_gone = true;
        e = e == ERR_OK ? work_release_blocked(&w, r) : e;
    }
    return e == ERR_OK ? work_finish(&w) : e;
}

enum err load_save(struct store *s, struct arena *a, struct row_key k, struct value *now,
                   struct row *row, enum record_at at, uint64_t hlc)
{
    struct work w;
    struct apply_report report = {0};
    assert(s->in_write);
    work_init(&w, s, a);
    w.hlc = hlc;
    w.now_ms = hlc_ms(hlc);
    w.report = &report;
    struct work_row *r = work_get(&w, k.t, k.key, k.len);
    r->row = *row;
    r->recorded = at;
    r->now = r->before = now;
    r->loaded = true;
    enum err e = conflict_reconcile(&w, r);
    if (e == ERR_OK)
        e = row_save(s, a, k, &r->row, at);
    *row = r->row; /* what is forgotten is gone from it, too */
    return e;
}

static enum err chunks_of(struct store *s, const struct table_schema *t, int64_t *own, int64_t *all)
{
    char sql[80];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM tonle_chunk WHERE t = %u", t->t);
    enum err e = db_number(s, "SELECT count(*) FROM tonle_chunk", all);
    return e == ERR_OK ? db_number(s, sql, own) : e;
}

enum err store_load_chunk(struct store *s, struct arena *a, const struct load_chunk *chunk)
{
    assert(s->in_write);
    enum err e = capture_temp_triggers(s);
    if (e != ERR_OK)
        return e;
    const struct table_schema *t = schema_table(s, chunk->table);
    if (!t || !t->exists)
        return store_fail(s, ERR_SCHEMA, "table %.64s of the load is not in this database",
                          chunk->table);
    int64_t all = 0, ord = 0;
    e = chunks_of(s, t, &ord, &all);
    if (e == ERR_OK)
        e = part_same_columns(s, t, chunk);
    if (e == ERR_OK && ord == 0) {
        e = prepare_table(s, t); /* which may make a table of ours */
        if (e == ERR_OK)
            e = capture_temp_triggers(s);
        t = schema_table(s, chunk->table);
        assert(t || e != ERR_OK);
    }
    if (e == ERR_OK && all == 0)
        e = state_take_clocks(s, &chunk->clock, &chunk->stable);
    if (e == ERR_OK) /* of every chunk: what is sealed here has seen the rows of the last one too */
        e = store_set_hlc(s, chunk->hlc);
    if (e == ERR_OK)
        e = take_keep(s, t, chunk);
    if (e == ERR_OK)
        e = take_rows(s, a, t, chunk);
    return e == ERR_OK ? loaded_note(s, t, chunk, ord) : e;
}

/* ---- the end */

static enum err settle_position(struct store *s, struct arena *a)
{
    int64_t first, last;
    enum err e = db_number(s, "SELECT coalesce(min(pos), 0) FROM tonle_chunk", &first);
    if (e == ERR_OK)
        e = db_number(s, "SELECT coalesce(max(pos), 0) FROM tonle_chunk", &last);
    if (e == ERR_OK)
        e = store_meta_set_u64(s, META_POS, (uint64_t)last);
    return e == ERR_OK && first == last ? load_passed(s, a, (uint64_t)last) : e;
}

enum err store_load_end(struct store *s, struct arena *a, struct load_report *report)
{
    assert(s->in_write);
    *report = (struct load_report){0};
    enum err e = schema_load(s);
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        uint64_t n = 0;
        if (s->schema->tables[i].internal || !s->schema->tables[i].exists)
            continue;
        e = store_load_rows(s, &s->schema->tables[i], &n);
        report->rows += n;
    }
    if (e == ERR_OK) /* the one that came with the load */
        e = schema_charter_passed(s);
    if (e == ERR_OK)
        e = settle_position(s, a);
    if (e == ERR_OK) /* last: a row without its parent is held when it has been sealed */
        e = adopt_all(s, report);
    if (e == ERR_OK)
        e = store_meta_drop(s, META_MODE);
    return e;
}
