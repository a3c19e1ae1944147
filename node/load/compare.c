/* Rows compared with a neighbour's (DESIGN 8), at equal clocks and with an empty capture log. What
 * differs escaped capture at one of the two, or a file has changed by itself: who wrote it is for
 * core/scan.c to tell. "parent" is the neighbour.
 *
 *   parent's row    row here    escape
 *   stands          other       changed
 *   stands          none        deleted, unless its birth is held here
 *   none            stands      new; changed, where the parent holds that birth; nothing, where it
 *                               holds a living birth with these values
 *
 * What stays here for its size (tonle_limit: a row, or some columns of one) is no escape. */
#include "node/load/load.h"

#include "node/capture/capture.h"
#include "node/load/slice.h"
#include "node/record/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_ROWS 500
#define SLICE_BYTES ((size_t)1 << 20)

static int by_key(const void *x, const void *y)
{
    const struct bytes *p = &(*(const struct row_state *const *)x)->key;
    const struct bytes *q = &(*(const struct row_state *const *)y)->key;
    int c = memcmp(p->p, q->p, p->len < q->len ? p->len : q->len);
    return c != 0 ? c : (p->len > q->len) - (p->len < q->len);
}

static const struct row_state **sorted_states(struct arena *a, const struct load_chunk *chunk)
{
    const struct row_state **st =
        arena_alloc(a, (chunk->n_states + 1) * sizeof(struct row_state *));
    for (uint32_t i = 0; i < chunk->n_states; i++)
        st[i] = &chunk->states[i];
    if (chunk->n_states > 0)
        qsort(st, chunk->n_states, sizeof *st, by_key);
    return st;
}

static const struct row_state *find_state(const struct row_state **st, uint32_t n, struct bytes key)
{
    struct row_state want = {.key = key};
    const struct row_state *p = &want;
    const struct row_state **found =
        n > 0 ? bsearch(&p, st, n, sizeof(struct row_state *), by_key) : NULL;
    return found ? *found : NULL;
}

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

static void add_escape(struct comparison *c, enum escape_kind kind, struct bytes key)
{
    c->list = arena_grow(c->a, c->list, c->n, &c->cap, sizeof *c->list);
    c->list[c->n++] =
        (struct escape){kind, c->chunk->table, {arena_copy(c->a, key.p, key.len), key.len}};
}

static bool same_values(const struct table_schema *t, const struct value *x, const struct value *y)
{
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (!value_equal(&x[c], &y[c]))
            return false;
    return true;
}

/* Held as a row of its own: a twin is not. */
static bool is_told(const struct birth *b)
{
    return b->held != HOLD_NONE && b->held != HOLD_TWIN;
}

/* What the parent holds and this office shows, with the same values, is no escape (DESIGN 4,
 * "Holds"). */
static bool held_above(const struct table_schema *t, struct arena *scratch,
                       const struct row_state *st, const struct value *here)
{
    struct row r;
    if (!st || st->record.len == 0 ||
        row_decode(scratch, &r, &t->rules, st->record.p, st->record.len) != ERR_OK)
        return false;
    for (uint32_t i = 0; i < r.n_births; i++)
        if (is_told(&r.births[i]) &&
            same_values(t, part_birth_values(scratch, t, &r.births[i]), here))
            return true;
    return false;
}

/* The parent's values of the birth that stands here, where the parent holds it: a change of it made
 * it stand here alone, and it is no new row. NULL: the parent does not have it. */
static enum err held_values(struct store *s, struct arena *a, struct row_key k,
                            const struct row_state *st, struct value **out)
{
    struct row here, there;
    *out = NULL;
    if (!st || st->record.len == 0)
        return ERR_OK;
    enum err e = row_load(s, a, k, &here, NULL);
    if (e == ERR_OK)
        e = row_decode(a, &there, &k.t->rules, st->record.p, st->record.len);
    const struct birth *b = e == ERR_OK ? row_standing(&here, &k.t->rules) : NULL;
    const struct birth *held = b ? row_find_birth(&there, b->name) : NULL;
    if (held && is_told(held) && birth_alive(held, &k.t->rules))
        *out = part_birth_values(a, k.t, held);
    return e;
}

static enum err held_here(struct comparison *c, struct arena *scratch, struct bytes key, bool *held)
{
    struct row r;
    enum err e = row_load(c->s, scratch, (struct row_key){c->t, key.p, key.len}, &r, NULL);
    *held = false;
    for (uint32_t i = 0; e == ERR_OK && i < r.n_births; i++)
        *held = *held || is_told(&r.births[i]);
    return e;
}

/* But for the columns that stay here (NULL: none). */
static bool same_sent(const struct table_schema *t, const struct value *x, const struct value *y,
                      const bool *left)
{
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (!(left && left[c]) && !value_equal(&x[c], &y[c]))
            return false;
    return true;
}

static enum err compare_row(struct comparison *c, struct arena *scratch, struct bytes key,
                            const struct value *here)
{
    bool alone = false, *left = NULL;
    enum err e = c->limits ? limit_stays(c->s, scratch, (struct row_key){c->t, key.p, key.len},
                                         &alone, &left)
                           : ERR_OK;
    const struct row_state *st = find_state(c->state, c->chunk->n_states, key);
    if (st)
        c->met[st - c->chunk->states] = true;
    if (st && st->stands) {
        if (e == ERR_OK && !same_sent(c->t, st->values, here, left))
            add_escape(c, ESCAPE_CHANGED, key);
    } else if (e == ERR_OK && !alone && !held_above(c->t, scratch, st, here)) {
        struct value *held;
        e = held_values(c->s, scratch, (struct row_key){c->t, key.p, key.len}, st, &held);
        add_escape(c, held ? ESCAPE_CHANGED : ESCAPE_NEW, key);
    }
    return e;
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
            e = compare_row(c, &scratch, rows.key[i], rows.row[i]);
        if (e == ERR_OK && rows.n > 0) {
            buf_reset(&last);
            buf_put(&last, rows.key[rows.n - 1].p, rows.key[rows.n - 1].len);
        }
    }
    buf_fini(&last);
    arena_fini(&scratch);
    return e;
}

static enum err compare_missing(struct comparison *c)
{
    struct arena scratch = {0};
    enum err e = ERR_OK;
    /* The rows of the range come first; records of other ranges' rows may follow (chunk.c). */
    for (uint32_t i = 0; e == ERR_OK && i < c->chunk->n_states && i < c->chunk->rows; i++) {
        const struct row_state *st = &c->chunk->states[i];
        bool held;
        if (c->met[i] || !st->stands)
            continue;
        e = held_here(c, &scratch, st->key, &held);
        if (e == ERR_OK && !held)
            add_escape(c, ESCAPE_DELETED, st->key);
    }
    arena_fini(&scratch);
    return e;
}

static enum err chunk_table(struct store *s, const struct load_chunk *chunk,
                            const struct table_schema **t)
{
    enum err e = schema_load(s);
    if (e != ERR_OK)
        return e;
    *t = schema_table(s, chunk->table);
    if (!*t || !(*t)->exists)
        return store_fail(s, ERR_NOT_FOUND, "table %.64s is not published here", chunk->table);
    e = part_same_columns(s, *t, chunk);
    for (uint32_t i = 0; e == ERR_OK && i < chunk->n_states; i++)
        if (chunk->states[i].stands && chunk->states[i].n_values != (*t)->n_columns)
            e = store_fail(s, ERR_MALFORMED, "a row state of %s has too few or too many values",
                           (*t)->name);
    return e;
}

enum err store_chunk_compare(struct store *s, struct arena *a, const struct load_chunk *chunk,
                             struct bytes after, struct escape **out, size_t *n)
{
    struct comparison c = {.s = s, .a = a, .chunk = chunk};
    *out = NULL;
    *n = 0;
    enum err e = chunk_table(s, chunk, &c.t);
    if (e != ERR_OK)
        return e;
    c.state = sorted_states(a, chunk);
    c.met = arena_alloc(a, chunk->n_states + 1);
    e = limit_any(s, &c.limits);
    if (e == ERR_OK)
        e = compare_rows(&c, after);
    if (e == ERR_OK)
        e = compare_missing(&c);
    *out = c.list;
    *n = c.n;
    return e;
}

/* ---- settling */

/* What is here is sealed like any write: the parent's values are the old ones. */
static enum err note_escape(struct store *s, const struct table_schema *t, struct value *parent,
                            struct value *here)
{
    if (!parent)
        return capture_note(s, t, CHANGE_BORN, 0, here);
    if (!here)
        return capture_note(s, t, CHANGE_DELETE, 0, parent);
    return capture_note(s, t, CHANGE_UPDATE, part_mask(t, parent, here), here);
}

static enum err write_parents(struct store *s, struct row_key k, struct value *parent,
                              struct value *here)
{
    if (!parent)
        return part_delete(s, k);
    return !here ? part_insert(s, k.t, parent) : part_update(s, k.t, here, parent);
}

static enum err both_rows(struct store *s, struct arena *a, const struct load_chunk *chunk,
                          const struct escape *esc, const struct table_schema **t,
                          struct value **there, struct value **here)
{
    enum err e = chunk_table(s, chunk, t);
    if (e != ERR_OK)
        return e;
    const struct row_state *st = find_state(sorted_states(a, chunk), chunk->n_states, esc->key);
    struct row_key k = {*t, esc->key.p, esc->key.len};
    *there = st && st->stands ? st->values : NULL;
    if (!*there)
        e = held_values(s, a, k, st, there);
    return e == ERR_OK ? row_read(s, a, k, here) : e;
}

enum err store_escape_rows(struct store *s, struct arena *a, const struct load_chunk *chunk,
                           const struct escape *esc, struct escape_rows *out)
{
    struct value *here = NULL, *there = NULL;
    *out = (struct escape_rows){0};
    enum err e = both_rows(s, a, chunk, esc, &out->t, &there, &here);
    out->here = here;
    out->there = there;
    return e;
}

enum err store_escape_settle(struct store *s, struct arena *a, const struct load_chunk *chunk,
                             const struct escape *esc, bool take_parent)
{
    assert(s->in_write);
    const struct table_schema *t;
    struct value *here, *parent;
    enum err e = take_parent ? capture_temp_triggers(s) : ERR_OK; /* they run on such rows, too */
    if (e == ERR_OK)
        e = both_rows(s, a, chunk, esc, &t, &parent, &here);
    if (e != ERR_OK || (!parent && !here))
        return e;
    struct row_key k = {t, esc->key.p, esc->key.len};
    if (parent && here && same_values(t, parent, here))
        return ERR_OK; /* the application has settled it since */
    return take_parent ? write_parents(s, k, parent, here) : note_escape(s, t, parent, here);
}
