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
 *
 * A birth that one of them holds, or both, or that both have deleted, with other values: changed.
 * What differs but in who may stand is no escape: some other row decides that.
 *
 * What stays here for its size (tonle_limit: a row, or some columns of one) is no escape. */
#include "node/load/load.h"

#include "conflict/hlc.h"
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

/* But for the columns that stay here (NULL: none). */
static bool same_sent(const struct table_schema *t, const struct value *x, const struct value *y,
                      const bool *left)
{
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (!(left && left[c]) && !value_equal(&x[c], &y[c]))
            return false;
    return true;
}

/* ---- one key, here and there */

struct side {
    struct row row;       /* as it is on record */
    struct value *stands; /* in the table; NULL: no row */
    struct birth *birth;  /* whose that is; NULL: nobody's on record, or no row */
};
struct met {
    struct row_key k;
    struct side here, there;
    enum record_at at; /* of the record here */
    bool recorded;     /* one of the two has one */
    bool *left;        /* columns that stay here */
};

static void complete_side(struct arena *a, const struct table_schema *t, struct side *x)
{
    if (x->stands && x->row.n_births == 0)
        row_from_settled(a, &x->row, x->stands);
    x->birth = x->stands ? row_standing(&x->row, &t->rules) : NULL;
    if (x->birth)
        birth_set_values(a, x->birth, &t->rules, x->stands);
}

/* As a parent has it on record, without what is forgotten. */
static enum err their_record(struct store *s, struct arena *a, struct row_key k,
                             struct bytes record, struct row *out)
{
    struct forget f;
    enum err e = row_decode(a, out, &k.t->rules, record.p, record.len);
    if (e == ERR_OK)
        e = row_forgetting(s, a, k, &f);
    if (e != ERR_OK)
        return e;
    f.keep_references = true;
    row_forget(a, out, &k.t->rules, &f);
    return ERR_OK;
}

static enum err meet(struct store *s, struct arena *a, struct row_key k, const struct row_state *st,
                     struct value *now, struct met *x)
{
    *x = (struct met){.k = k, .here.stands = now};
    enum err e = row_load(s, a, k, &x->here.row, &x->at);
    x->recorded = x->at != RECORD_NONE || (st && st->record.len > 0);
    if (e == ERR_OK && st && st->record.len > 0)
        e = their_record(s, a, k, st->record, &x->there.row);
    if (st && st->stands)
        x->there.stands = st->values;
    if (e != ERR_OK)
        return e;
    complete_side(a, k.t, &x->here);
    complete_side(a, k.t, &x->there);
    return ERR_OK;
}

/* What the parent has forgotten the name of is held here, under its name, by a row that was entered
 * here: the two without a name are not the same birth. */
static bool is_held_by_nobodys(const struct met *x)
{
    const struct birth *here = x->here.birth, *there = x->there.birth;
    bool nameless = here && there && dot_is_none(here->name) && dot_is_none(there->name);
    for (uint32_t i = 0; nameless && i < x->here.row.n_births; i++) {
        const struct birth *b = &x->here.row.births[i];
        if (b != here && birth_alive(b, &x->k.t->rules) && !row_find_birth(&x->there.row, b->name))
            return true;
    }
    return false;
}

/* The same birth, alive, on the other side's record. */
static struct birth *counterpart(const struct met *x, const struct side *other,
                                 const struct birth *b)
{
    bool other_one = b && (b == x->here.birth || b == x->there.birth) && is_held_by_nobodys(x);
    struct birth *c = b && !other_one ? row_find_birth(&other->row, b->name) : NULL;
    return c && birth_alive(c, &x->k.t->rules) ? c : NULL;
}

static const struct value *values_of(struct arena *a, const struct met *x, const struct side *of,
                                     const struct birth *b)
{
    return b == of->birth ? of->stands : part_birth_values(a, x->k.t, b);
}

/* A birth here and its counterpart there. */
static bool differ(struct arena *a, const struct met *x, const struct birth *b,
                   const struct birth *c)
{
    return !same_sent(x->k.t, values_of(a, x, &x->there, c), values_of(a, x, &x->here, b), x->left);
}

/* Held as a row of its own: a twin is not. */
static bool is_told(const struct birth *b)
{
    return b->held != HOLD_NONE && b->held != HOLD_TWIN;
}

/* Of a row that has been deleted, or is told of for another (a twin): as it would be if a change
 * came that brings it back. What was written over is a conflict on record (conflict_found). */
static struct birth *hidden_otherwise(struct arena *a, const struct met *x, struct birth *b)
{
    const struct table_rules *rules = &x->k.t->rules;
    struct birth *c = row_find_birth(&x->there.row, b->name);
    bool both = c && b->values && c->values && b != x->here.birth && c != x->there.birth &&
                birth_alive(b, rules) == birth_alive(c, rules) && !is_told(b) && !is_told(c);
    return both && differ(a, x, b, c) ? c : NULL;
}

/* A birth that is held here, and is another there, or one that is hidden; from number *at on. */
static struct birth *held_otherwise(struct arena *a, const struct met *x, uint32_t *at)
{
    while (*at < x->here.row.n_births) {
        struct birth *b = &x->here.row.births[(*at)++];
        struct birth *c = is_told(b) ? counterpart(x, &x->there, b) : NULL;
        if (c && (is_told(c) || c == x->there.birth) && differ(a, x, b, c))
            return b;
        if (hidden_otherwise(a, x, b))
            return b;
    }
    return NULL;
}

/* A row of nobody's that equals a birth which the parent holds: everybody has it. */
static bool is_known(struct arena *a, const struct met *x)
{
    for (uint32_t i = 0; !x->here.birth && i < x->there.row.n_births; i++) {
        const struct birth *b = &x->there.row.births[i];
        if (is_told(b) && same_sent(x->k.t, part_birth_values(a, x->k.t, b), x->here.stands, NULL))
            return true;
    }
    return false;
}

/* A birth that the parent does not have, and that is held here: a row that was entered, changed and
 * then held; NULL: none. Births that others have all have names, or are there. */
static const struct birth *held_alone(const struct met *x)
{
    const struct birth *b = row_find_birth(&x->here.row, (struct dot){0});
    return b && b != x->here.birth && is_told(b) && birth_alive(b, &x->k.t->rules) &&
                   !counterpart(x, &x->there, b)
               ? b
               : NULL;
}

/* It stands there by the record, and has no row. */
static bool is_missing(const struct met *x, const struct birth *c)
{
    return c->held == HOLD_NONE && c != x->there.birth;
}

/* 0: no escape. */
static enum escape_kind kind_of(struct arena *a, const struct met *x)
{
    const struct birth *c = counterpart(x, &x->there, x->here.birth);
    const struct birth *h = counterpart(x, &x->here, x->there.birth);
    uint32_t at = 0;
    if ((x->here.stands && (!c || is_missing(x, c))) || held_alone(x))
        return ESCAPE_NEW;
    if (x->there.stands && (!h || (h->held == HOLD_NONE && !x->here.stands)))
        return ESCAPE_DELETED;
    if (x->here.stands && differ(a, x, x->here.birth, c))
        return ESCAPE_CHANGED;
    return held_otherwise(a, x, &at) ? ESCAPE_CHANGED : 0;
}

/* `now`: what stands here; NULL: nothing. */
static enum err compare_key(struct comparison *c, struct arena *scratch, struct bytes key,
                            struct value *now)
{
    bool alone = false;
    struct met x;
    struct row_key k = {c->t, key.p, key.len};
    const struct row_state *st = find_state(c->state, c->chunk->n_states, key);
    enum err e = meet(c->s, scratch, k, st, now, &x);
    if (e == ERR_OK && c->limits)
        e = limit_stays(c->s, scratch, k, &alone, &x.left);
    if (st)
        c->met[st - c->chunk->states] = true;
    if (e != ERR_OK || (alone && !x.there.stands))
        return e;
    enum escape_kind kind = kind_of(scratch, &x);
    if (kind)
        add_escape(c, kind, key);
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

/* What stands there, or nowhere. */
static enum err compare_missing(struct comparison *c)
{
    struct arena scratch = {0};
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < c->chunk->n_states; i++) {
        const struct row_state *st = &c->chunk->states[i];
        struct value *now = NULL;
        if (c->met[i])
            continue;
        /* The rows of the range come first; records of other ranges' rows may follow (chunk.c). */
        if (i >= c->chunk->rows)
            e = row_read(c->s, &scratch, (struct row_key){c->t, st->key.p, st->key.len}, &now);
        if (e == ERR_OK && !now && (i < c->chunk->rows || !st->stands))
            e = compare_key(c, &scratch, st->key, NULL);
        arena_reset(&scratch);
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

static enum err meet_escape(struct store *s, struct arena *a, const struct load_chunk *chunk,
                            const struct escape *esc, struct met *x, const struct row_state **st)
{
    const struct table_schema *t;
    struct value *now;
    enum err e = chunk_table(s, chunk, &t);
    if (e != ERR_OK)
        return e;
    struct row_key k = {t, esc->key.p, esc->key.len};
    *st = find_state(sorted_states(a, chunk), chunk->n_states, esc->key);
    e = row_read(s, a, k, &now);
    return e == ERR_OK ? meet(s, a, k, *st, now, x) : e;
}

/* The values that differ: what stands, or a birth that is held at one of the two, or at both. */
static void values_that_differ(struct arena *a, const struct met *x, const struct value **here,
                               const struct value **there)
{
    uint32_t at = 0;
    const struct birth *b = x->here.birth, *c = counterpart(x, &x->there, b);
    *here = x->here.stands;
    *there = c && x->there.birth != c ? values_of(a, x, &x->there, c) : x->there.stands;
    if (kind_of(a, x) != ESCAPE_CHANGED || (c && differ(a, x, b, c)))
        return;
    b = held_otherwise(a, x, &at);
    c = row_find_birth(&x->there.row, b->name);
    *here = values_of(a, x, &x->here, b);
    *there = values_of(a, x, &x->there, c);
}

enum err store_escape_rows(struct store *s, struct arena *a, const struct load_chunk *chunk,
                           const struct escape *esc, struct escape_rows *out)
{
    struct met x;
    const struct row_state *st;
    *out = (struct escape_rows){0};
    enum err e = meet_escape(s, a, chunk, esc, &x, &st);
    out->t = x.k.t;
    if (e == ERR_OK)
        values_that_differ(a, &x, &out->here, &out->there);
    return e;
}

static enum err write_parents(struct store *s, const struct met *x)
{
    if (!x->there.stands)
        return x->here.stands ? part_delete(s, x->k) : ERR_OK;
    return x->here.stands ? part_update(s, x->k.t, x->here.stands, x->there.stands)
                          : part_insert(s, x->k.t, x->there.stands);
}

/* What stands there is there alone, perhaps: it is written here, and sealed as a write of ours. */
static enum err write_for_all(struct store *s, const struct met *x)
{
    const struct value *here = x->here.stands, *there = x->there.stands;
    enum err e = write_parents(s, x);
    if (e != ERR_OK || (!here && !there))
        return e;
    if (!there)
        return capture_note(s, x->k.t, CHANGE_DELETE, 0, here);
    return here ? capture_note(s, x->k.t, CHANGE_UPDATE, part_mask(x->k.t, here, there), there)
                : capture_note(s, x->k.t, CHANGE_BORN, 0, there);
}

/* The parent's table is not what its own record says: it was changed behind its capture. */
static bool contradicts_itself(const struct met *x)
{
    return !!row_standing(&x->there.row, &x->k.t->rules) != !!x->there.stands;
}

/* Everything that is known of the row is replaced (DESIGN 4, "Row states"). */
static enum err take_theirs(struct store *s, struct arena *a, const struct load_chunk *chunk,
                            const struct row_state *st, const struct met *x)
{
    struct row_state none = {.key = {x->k.key, x->k.len}};
    if (contradicts_itself(x))
        return write_for_all(s, x);
    return x->recorded ? load_replace(s, a, x->k.t, st ? st : &none, hlc_ms(chunk->hlc))
                       : write_parents(s, x);
}

static enum err queue_change(struct store *s, struct arena *a, const struct met *x,
                             const struct birth *b)
{
    const struct table_schema *t = x->k.t;
    const struct value *here = values_of(a, x, &x->here, b);
    const struct value *there = values_of(a, x, &x->there, counterpart(x, &x->there, b));
    uint32_t *column = arena_alloc(a, t->n_columns * sizeof *column), n = 0;
    struct value *value = arena_alloc(a, t->n_columns * sizeof *value);
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (schema_is_key(t, i) || value_equal(&here[i], &there[i]))
            continue;
        column[n] = i;
        value[n++] = here[i];
    }
    struct todo_change c = {
        .kind = CHANGE_UPDATE, .birth = b->name, .n_cells = n, .column = column, .value = value};
    return n > 0 ? todo_put(s, x->k, &c) : ERR_OK;
}

static enum err take_hidden(struct store *s, struct arena *a, struct met *x)
{
    bool any = false;
    for (uint32_t i = 0; i < x->here.row.n_births; i++) {
        struct birth *b = &x->here.row.births[i], *c = hidden_otherwise(a, x, b);
        if (c)
            birth_set_values(a, b, &x->k.t->rules, c->values);
        any = any || c;
    }
    return any ? row_save(s, a, x->k, &x->here.row, x->at) : ERR_OK;
}

static enum err queue_birth(struct store *s, struct arena *a, const struct met *x,
                            const struct value *values)
{
    uint32_t *all = arena_alloc(a, x->k.t->n_columns * sizeof *all);
    for (uint32_t i = 0; i < x->k.t->n_columns; i++)
        all[i] = i;
    struct todo_change c = {
        .kind = CHANGE_BORN, .n_cells = x->k.t->n_columns, .column = all, .value = values};
    return todo_put(s, x->k, &c);
}

/* What the application did to a row before anybody knew it has left a record, which is nobody's. */
static enum err forget_nobodys(struct store *s, struct arena *a, struct met *x)
{
    struct row *r = &x->here.row;
    if (x->at == RECORD_NONE || !x->here.birth)
        return ERR_OK;
    size_t at = (size_t)(x->here.birth - r->births);
    memmove(r->births + at, r->births + at + 1, (r->n_births - at - 1) * sizeof *r->births);
    r->n_births--;
    return row_save(s, a, x->k, r, x->at);
}

/* Where a statement cannot say it, the row becomes the parent's, and what was here is queued. */
static enum err make_room(struct store *s, struct arena *a, const struct load_chunk *chunk,
                          const struct row_state *st, struct met *x)
{
    const struct birth *held = held_alone(x);
    bool stands = x->here.stands && !counterpart(x, &x->there, x->here.birth) && !is_known(a, x);
    bool goes = kind_of(a, x) == ESCAPE_DELETED;
    enum err e = take_theirs(s, a, chunk, st, x);
    if (e == ERR_OK && held)
        e = queue_birth(s, a, x, values_of(a, x, &x->here, held));
    if (e == ERR_OK && stands)
        e = queue_birth(s, a, x, x->here.stands);
    if (e != ERR_OK || !goes)
        return e;
    struct todo_change gone = {.kind = CHANGE_DELETE, .birth = x->there.birth->name};
    return todo_put(s, x->k, &gone);
}

static enum err publish_changed(struct store *s, struct arena *a, struct met *x)
{
    const struct birth *c = counterpart(x, &x->there, x->here.birth), *b;
    const struct value *old = c ? values_of(a, x, &x->there, c) : x->there.stands;
    enum err e = take_hidden(s, a, x);
    if (e == ERR_OK && x->here.stands && old && !same_sent(x->k.t, old, x->here.stands, x->left)) {
        uint64_t mask = part_mask(x->k.t, old, x->here.stands);
        e = capture_note(s, x->k.t, CHANGE_UPDATE, mask, x->here.stands);
    }
    for (uint32_t at = 0; e == ERR_OK && (b = held_otherwise(a, x, &at));)
        e = is_told(b) ? queue_change(s, a, x, b) : ERR_OK;
    return e;
}

/* What is here is sealed like any write: the parent's values are the old ones. */
static enum err publish(struct store *s, struct arena *a, const struct load_chunk *chunk,
                        const struct row_state *st, struct met *x)
{
    enum escape_kind kind = kind_of(a, x);
    bool both = x->here.stands && x->there.stands;
    if (kind == ESCAPE_CHANGED || (both && !x->there.birth && !held_alone(x)))
        return publish_changed(s, a, x);
    if (both || held_alone(x) || (kind == ESCAPE_NEW && is_known(a, x)))
        return make_room(s, a, chunk, st, x);
    if (kind == ESCAPE_DELETED)
        return capture_note(s, x->k.t, CHANGE_DELETE, 0, x->there.stands);
    const struct birth *c = counterpart(x, &x->there, x->here.birth);
    if (c) /* it is missing there: all of it, the key too */
        return capture_note(s, x->k.t, CHANGE_UPDATE, UINT64_MAX, x->here.stands);
    enum err e = forget_nobodys(s, a, x);
    return e == ERR_OK ? capture_note(s, x->k.t, CHANGE_BORN, 0, x->here.stands) : e;
}

enum err store_escape_settle(struct store *s, struct arena *a, const struct load_chunk *chunk,
                             const struct escape *esc, enum escape_take take)
{
    assert(s->in_write);
    struct met x;
    const struct row_state *st;
    enum err e = capture_temp_triggers(s); /* they run on such rows, too */
    if (e == ERR_OK)
        e = meet_escape(s, a, chunk, esc, &x, &st);
    enum escape_kind kind = e == ERR_OK ? kind_of(a, &x) : 0;
    if (!kind)
        return e; /* the application has settled it since */
    if (take == ESCAPE_TAKE_HERE)
        return publish(s, a, chunk, st, &x);
    bool both = x.here.stands && x.there.stands;
    bool plain = (kind == ESCAPE_CHANGED && both) || (kind == ESCAPE_NEW && !x.there.stands);
    return take == ESCAPE_TAKE_FOR_ALL && plain ? write_for_all(s, &x)
                                                : take_theirs(s, a, chunk, st, &x);
}
