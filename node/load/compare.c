/* Rows compared with a neighbour's (DESIGN 8), at equal clocks, with an empty capture log, and with
 * nothing forgotten there that is remembered here. What differs escaped capture at one of the two,
 * or a file has changed by itself: who wrote it is for core/scan.c to tell. "parent" is the
 * neighbour.
 *
 * Both have merged the same, so a birth that is alive on record at one of them alone is none of the
 * federation's, or the other's application has deleted it:
 *
 *   parent's row    row here                         escape
 *   stands          the same birth, other values     changed
 *   stands          none; its birth is not held      deleted
 *   stands          another's, which the parent      deleted: it was here, and is not any more;
 *                   holds                            changed, where its birth is held here, too
 *   stands, or not  of a birth that the parent does  new
 *                   not have
 *   none            of a birth that the parent holds changed
 *   stands, or not  none; what others have written  deleted
 *                   since is all that is known here
 *
 * A birth that one of them holds, or both, or that both have deleted, with other values: changed.
 * What differs but in who may stand is no escape: some other row decides that. But a row that is
 * settled here and held there for a unique value (held): the row that has the value there was lost
 * here, and this one's rank has been forgotten since, so that it would go before that one.
 *
 * What stays here for its size (tonle_limit: a row, or some columns of one) is no escape. */
#include "node/load/load.h"

#include "node/capture/capture.h"
#include "node/load/meet.h"
#include "node/load/slice.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_ROWS 500
#define SLICE_BYTES ((size_t)1 << 20)

struct comparison {
    struct store *s;
    struct arena *a;
    const struct table_schema *t;
    const struct load_chunk *chunk;
    const struct row_state **state;
    bool limits; /* something stays here for its size */
    bool *met;   /* by place in `state` order of the chunk */
    struct escape *list;
    size_t n, cap;
};

static void add_escape(struct comparison *c, enum escape_kind kind, struct bytes key,
                       const struct row_state *st)
{
    struct buf b = {0};
    schema_key_order(c->t, key, &b);
    buf_put(&b, key.p, key.len); /* two keys may have one place: 'a' and 'A' */
    c->list = arena_grow(c->a, c->list, c->n, &c->cap, sizeof *c->list);
    c->list[c->n++] = (struct escape){.kind = kind,
                                      .table = c->chunk->table,
                                      .key = {arena_copy(c->a, key.p, key.len), key.len},
                                      .place = {arena_copy(c->a, b.data, b.len), b.len},
                                      .state = st};
    buf_fini(&b);
}

static bool any_told(const struct row *r, const struct table_rules *rules)
{
    for (uint32_t i = 0; i < r->n_births; i++)
        if (met_told(&r->births[i]) && birth_alive(&r->births[i], rules))
            return true;
    return false;
}

/* `now`: what stands here; NULL: nothing. */
static enum err compare_key(struct comparison *c, struct arena *scratch, struct bytes key,
                            struct value *now)
{
    bool alone = false;
    struct met x;
    struct row_key k = {c->t, key.p, key.len};
    const struct row_state *st = met_state(c->state, c->chunk->n_states, key);
    enum err e = met_key(c->s, scratch, k, st, now, &x);
    if (e == ERR_OK && c->limits)
        e = limit_stays(c->s, scratch, k, &alone, &x.left);
    if (st)
        c->met[st - c->chunk->states] = true;
    if (e != ERR_OK || (alone && !x.there.stands))
        return e;
    enum escape_kind kind = met_kind(scratch, &x);
    if (kind)
        add_escape(c, kind, key, st);
    return ERR_OK;
}

static enum err compare_rows(struct comparison *c, struct bytes after)
{
    struct arena scratch = {0};
    struct buf last = {0};
    buf_put(&last, after.p, after.len);
    struct bytes upto = c->chunk->end ? (struct bytes){0} : c->chunk->last_key;
    struct slice_rows rows = {0};
    enum err e = ERR_OK;
    while (e == ERR_OK && !rows.end) {
        arena_reset(&scratch);
        struct key_range want = {c->t, {last.data, last.len}, upto, SLICE_ROWS, SLICE_BYTES};
        e = part_slice(c->s, &scratch, &want, &rows);
        for (uint32_t i = 0; e == ERR_OK && i < rows.n; i++)
            e = compare_key(c, &scratch, rows.key[i], rows.row[i]);
        if (e == ERR_OK && rows.n > 0) {
            buf_reset(&last);
            buf_put(&last, rows.key[rows.n - 1].p, rows.key[rows.n - 1].len);
        }
    }
    buf_fini(&last);
    arena_fini(&scratch);
    return e;
}

static enum err compare_held_keys(struct comparison *c, struct arena *scratch,
                                  const struct held_keys *held)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < held->n; i++) {
        struct value *now = NULL;
        struct row_key k = {c->t, held->key[i].p, held->key[i].len};
        e = row_read(c->s, scratch, k, &now);
        if (e == ERR_OK && !now)
            e = compare_key(c, scratch, held->key[i], NULL);
        arena_reset(scratch);
    }
    return e;
}

/* Held here, where nothing stands. */
static enum err compare_held(struct comparison *c, struct bytes after)
{
    struct arena keys = {0}, scratch = {0};
    struct held_keys held = {.full = true};
    struct key_range want = {.t = c->t, .after = after, .max_rows = SLICE_ROWS};
    enum err e = ERR_OK;
    if (!c->chunk->end)
        want.upto = c->chunk->last_key;
    while (e == ERR_OK && held.full) {
        e = part_held(c->s, &keys, &want, &held);
        if (e == ERR_OK)
            e = compare_held_keys(c, &scratch, &held);
        if (held.n > 0)
            want.after = held.key[held.n - 1];
    }
    arena_fini(&scratch);
    arena_fini(&keys);
    return e;
}

/* Whether what is held here under a key is of another range than this chunk's, as nothing is held
 * there. */
static enum err is_elsewhere(struct comparison *c, struct arena *scratch,
                             const struct row_state *st, bool *yes)
{
    struct row here, there;
    struct row_key k = {c->t, st->key.p, st->key.len};
    *yes = false;
    if (row_decode(scratch, &there, &c->t->rules, st->record.p, st->record.len) != ERR_OK ||
        any_told(&there, &c->t->rules))
        return ERR_OK;
    enum err e = row_load(c->s, scratch, k, &here, NULL);
    *yes = e == ERR_OK && any_told(&here, &c->t->rules);
    return e;
}

/* What stands there, or is held there, or is hidden at both. */
static enum err compare_missing(struct comparison *c)
{
    struct arena scratch = {0};
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < c->chunk->n_states; i++) {
        const struct row_state *st = &c->chunk->states[i];
        struct value *now = NULL;
        bool elsewhere = false;
        if (c->met[i])
            continue;
        /* The rows of the range come first; records of other ranges' rows may follow (chunk.c). */
        if (i >= c->chunk->rows)
            e = row_read(c->s, &scratch, (struct row_key){c->t, st->key.p, st->key.len}, &now);
        if (e == ERR_OK && i >= c->chunk->rows && !now)
            e = is_elsewhere(c, &scratch, st, &elsewhere);
        if (e == ERR_OK && !now && !elsewhere && (i < c->chunk->rows || !st->stands))
            e = compare_key(c, &scratch, st->key, NULL);
        arena_reset(&scratch);
    }
    arena_fini(&scratch);
    return e;
}

enum err store_chunk_compare(struct store *s, struct arena *a, const struct load_chunk *chunk,
                             struct bytes after, struct escape **out, size_t *n)
{
    struct comparison c = {.s = s, .a = a, .chunk = chunk};
    *out = NULL;
    *n = 0;
    enum err e = met_table(s, chunk, &c.t);
    if (e != ERR_OK)
        return e;
    c.state = met_states(a, chunk);
    c.met = arena_alloc(a, chunk->n_states + 1);
    e = limit_any(s, &c.limits);
    if (e == ERR_OK)
        e = compare_rows(&c, after);
    if (e == ERR_OK)
        e = compare_held(&c, after);
    if (e == ERR_OK)
        e = compare_missing(&c);
    *out = c.list;
    *n = c.n;
    return e;
}
