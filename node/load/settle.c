/* What differs is settled: published as a write of ours, or taken from the neighbour. */
#include "node/load/load.h"

#include "conflict/hlc.h"
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/load/meet.h"
#include "node/load/slice.h"
#include "node/record/table.h"

#include <assert.h>
#include <string.h>

static enum err meet_escape(struct store *s, struct arena *a, const struct load_chunk *chunk,
                            const struct escape *esc, struct met *x, const struct row_state **st)
{
    const struct table_schema *t;
    struct value *now;
    enum err e = met_table(s, chunk, &t);
    if (e != ERR_OK)
        return e;
    struct row_key k = {t, esc->key.p, esc->key.len};
    *st = esc->state;
    e = row_read(s, a, k, &now);
    return e == ERR_OK ? met_key(s, a, k, *st, now, x) : e;
}

/* The values that differ: what stands, or a birth that is held at one of the two, or at both. */
static void values_that_differ(struct arena *a, const struct met *x, const struct value **here,
                               const struct value **there)
{
    uint32_t at = 0;
    const struct birth *torn = met_torn(a, x);
    const struct birth *b = torn ? torn : x->here.birth, *c = met_counterpart(x, &x->there, b);
    *here = torn ? NULL : x->here.stands;
    *there = c && x->there.birth != c ? met_values(a, x, &x->there, c) : x->there.stands;
    if (c && x->there.birth != c && part_birth_torn(a, x->k.t, c))
        *there = NULL;
    if (met_kind(a, x) == ESCAPE_DELETED && !torn && met_lost(a, x) && !x->there.stands) {
        *here = NULL;
        *there = met_values(a, x, &x->there, met_lost(a, x));
    }
    if (met_kind(a, x) == ESCAPE_HELD)
        *there = NULL;
    if (met_kind(a, x) != ESCAPE_CHANGED || (c && met_differ(a, x, b, c)))
        return;
    b = met_held_otherwise(a, x, &at);
    c = row_find_birth(&x->there.row, b->name);
    *here = met_values(a, x, &x->here, b);
    *there = part_birth_torn(a, x->k.t, c) ? NULL : met_values(a, x, &x->there, c);
}

enum err store_escape_rows(struct store *s, struct arena *a, const struct load_chunk *chunk,
                           const struct escape *esc, struct escape_rows *out)
{
    struct met x;
    const struct row_state *st;
    *out = (struct escape_rows){0};
    enum err e = meet_escape(s, a, chunk, esc, &x, &st);
    if (e != ERR_OK)
        return e;
    out->t = x.k.t;
    values_that_differ(a, &x, &out->here, &out->there);
    return ERR_OK;
}

static enum err write_parents(struct store *s, const struct met *x)
{
    if (!x->there.stands)
        return x->here.stands ? part_delete(s, x->k) : ERR_OK;
    return x->here.stands ? part_update(s, x->k.t, x->here.stands, x->there.stands)
                          : part_insert(s, x->k.t, x->there.stands);
}

/* Whether another row here has one of the values that make the parent's unique: which of the two
 * stands is for the decision to say. */
static enum err is_taken(struct store *s, struct arena *a, const struct met *x, bool *yes)
{
    const struct table_schema *t = x->k.t;
    enum err e = ERR_OK;
    *yes = false;
    for (uint32_t i = 0; e == ERR_OK && !*yes && x->there.stands && i < t->n_unique; i++) {
        struct value *v;
        struct bytes there = {0}, here = {0};
        bool claims, ours = false;
        e = row_claim(s, a, t, i, x->there.stands, &claims, &v, &there);
        if (e == ERR_OK && claims && x->here.stands)
            e = row_claim(s, a, t, i, x->here.stands, &ours, &(struct value *){NULL}, &here);
        bool same = ours && here.len == there.len && memcmp(here.p, there.p, here.len) == 0;
        if (e != ERR_OK || !claims || same)
            continue;
        struct query q = query_of(s, t->unique[i].blocker_sql, t->unique[i].n, v);
        *yes = query_next(&q);
        e = query_end(&q);
    }
    return e;
}

/* What becomes of a birth whose values are `old`. */
static enum err queue_change(struct store *s, struct arena *a, struct row_key k, struct dot birth,
                             const struct value *old, const struct value *values)
{
    uint32_t *column = arena_alloc(a, k.t->n_columns * sizeof *column), n = 0;
    struct value *value = arena_alloc(a, k.t->n_columns * sizeof *value);
    for (uint32_t i = 0; i < k.t->n_columns; i++) {
        if (value_equal(&old[i], &values[i]))
            continue;
        column[n] = i;
        value[n++] = values[i];
    }
    struct todo_change c = {
        .kind = CHANGE_UPDATE, .birth = birth, .n_cells = n, .column = column, .value = value};
    return n > 0 ? todo_put(s, k, &c) : ERR_OK;
}

/* What stands there is there alone, perhaps: it is written here, and sealed as a write of ours. */
static enum err write_for_all(struct store *s, struct arena *a, const struct met *x)
{
    const struct value *here = x->here.stands, *there = x->there.stands;
    bool taken;
    enum err e = is_taken(s, a, x, &taken);
    if (e == ERR_OK && taken && x->here.birth)
        return queue_change(s, a, x->k, x->here.birth->name, here, there);
    if (e == ERR_OK)
        e = write_parents(s, x);
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
        return write_for_all(s, a, x);
    bool settled = x->at == RECORD_NONE && (!st || st->record.len == 0), taken;
    enum err e = is_taken(s, a, x, &taken);
    settled = settled && !taken;
    if (e == ERR_OK && settled)
        e = write_parents(s, x); /* refused here, it stays as it was */
    struct value *stood = settled ? x->here.stands : NULL;
    return e == ERR_OK ? load_replace(s, a, x->k.t, st ? st : &none, stood, hlc_ms(chunk->hlc)) : e;
}

static enum err take_hidden(struct store *s, struct arena *a, const struct load_chunk *chunk,
                            struct met *x)
{
    bool any = false;
    for (uint32_t i = 0; i < x->here.row.n_births; i++) {
        struct birth *b = &x->here.row.births[i], *c = met_hidden_otherwise(a, x, b);
        enum hold_reason held = b->held;
        if (c && part_birth_unknown(a, x->k.t, b))
            *b = *c;
        else if (c)
            birth_set_values(a, b, &x->k.t->rules, part_birth_values(a, x->k.t, c));
        b->held = held;
        any = any || c;
    }
    return any ? load_save(s, a, x->k, x->here.stands, &x->here.row, x->at, chunk->hlc) : ERR_OK;
}

/* All of it, the key too. */
static enum err queue_all(struct store *s, struct arena *a, struct row_key k, enum change_kind kind,
                          struct dot birth, const struct value *values)
{
    uint32_t *all = arena_alloc(a, k.t->n_columns * sizeof *all);
    for (uint32_t i = 0; i < k.t->n_columns; i++)
        all[i] = i;
    struct todo_change c = {
        .kind = kind, .birth = birth, .n_cells = k.t->n_columns, .column = all, .value = values};
    return todo_put(s, k, &c);
}

static enum err queue_birth(struct store *s, struct arena *a, const struct met *x,
                            const struct value *values)
{
    return queue_all(s, a, x->k, CHANGE_BORN, (struct dot){0}, values);
}

/* What the application did to a row before anybody knew it has left a record, which is nobody's. */
static enum err forget_nobodys(struct store *s, struct arena *a, const struct load_chunk *chunk,
                               struct met *x)
{
    struct row *r = &x->here.row;
    if (x->at == RECORD_NONE || !x->here.birth)
        return ERR_OK;
    size_t at = (size_t)(x->here.birth - r->births);
    memmove(r->births + at, r->births + at + 1, (r->n_births - at - 1) * sizeof *r->births);
    r->n_births--;
    return load_save(s, a, x->k, x->here.stands, r, x->at, chunk->hlc);
}

/* Only what is here alone goes: nothing of the key stands or is held there, and what is dead there
 * is not told. */
static enum err take_out(struct store *s, struct arena *a, const struct load_chunk *chunk,
                         const struct met *x, const struct birth *alone)
{
    const struct row *r = &x->here.row;
    struct row rest = {.births = arena_alloc(a, r->n_births * sizeof *rest.births)};
    struct row_state st = {.key = {x->k.key, x->k.len}};
    struct buf record = {0};
    for (uint32_t i = 0; i < r->n_births; i++)
        if (&r->births[i] != alone)
            rest.births[rest.n_births++] = r->births[i];
    if (rest.n_births > 0)
        row_encode(&record, &rest, &x->k.t->rules);
    st.record = (struct bytes){arena_copy(a, record.data, record.len), record.len};
    buf_fini(&record);
    return load_replace(s, a, x->k.t, &st, NULL, hlc_ms(chunk->hlc));
}

/* Where a statement cannot say it, the row becomes the parent's, and what was here is queued. */
static enum err make_room(struct store *s, struct arena *a, const struct load_chunk *chunk,
                          const struct row_state *st, struct met *x)
{
    const struct birth *held = met_held_alone(x);
    bool stands =
        x->here.stands && !met_counterpart(x, &x->there, x->here.birth) && !met_known(a, x);
    bool goes = met_kind(a, x) == ESCAPE_DELETED;
    const struct birth *gone = x->there.birth && !met_counterpart(x, &x->here, x->there.birth)
                                   ? x->there.birth
                                   : met_lost(a, x);
    enum err e = held && !st && !x->here.stands ? take_out(s, a, chunk, x, held)
                                                : take_theirs(s, a, chunk, st, x);
    if (e == ERR_OK && held && !part_birth_torn(a, x->k.t, held))
        e = queue_birth(s, a, x, met_values(a, x, &x->here, held));
    if (e == ERR_OK && stands)
        e = queue_birth(s, a, x, x->here.stands);
    return e == ERR_OK && goes && gone ? todo_put_delete(s, a, x->k, &x->there.row, gone) : e;
}

/* What it was is as the neighbour has it: somebody who does not know of the delete may bring it
 * back. */
static enum err delete_torn(struct store *s, struct arena *a, const struct load_chunk *chunk,
                            struct met *x, struct birth *b)
{
    const struct birth *c = met_counterpart(x, &x->there, b);
    enum hold_reason held = b->held == HOLD_NONE ? c->held : b->held;
    *b = *c;
    b->held = held;
    enum err e = load_save(s, a, x->k, x->here.stands, &x->here.row, x->at, chunk->hlc);
    return e == ERR_OK ? todo_put_delete(s, a, x->k, &x->here.row, b) : e;
}

/* It is held here, and was deleted there behind capture. */
static enum err publish_lost(struct store *s, struct arena *a, const struct met *x,
                             const struct birth *b)
{
    const struct value *here = met_values(a, x, &x->here, b);
    enum err e = totals_none(s, x->k.t, here);
    return e == ERR_OK ? queue_all(s, a, x->k, CHANGE_UPDATE, b->name, here) : e;
}

/* What was written beside it is as the neighbour has it. */
static enum err publish_held(struct store *s, struct arena *a, struct met *x, struct birth *b)
{
    const struct birth *c = met_counterpart(x, &x->there, b);
    if (part_birth_torn(a, x->k.t, c))
        return publish_lost(s, a, x, b);
    const struct value *there = met_values(a, x, &x->there, c);
    enum err e = queue_change(s, a, x->k, b->name, there, met_values(a, x, &x->here, b));
    birth_set_values(a, b, &x->k.t->rules, there);
    return e == ERR_OK ? row_save(s, a, x->k, &x->here.row, x->at) : e;
}

static enum err publish_changed(struct store *s, struct arena *a, const struct load_chunk *chunk,
                                struct met *x)
{
    const struct birth *c = met_counterpart(x, &x->there, x->here.birth);
    struct birth *b;
    const struct value *old = c ? met_values(a, x, &x->there, c) : x->there.stands;
    enum err e = take_hidden(s, a, chunk, x);
    if (e == ERR_OK && x->here.stands && old &&
        !met_same_sent(x->k.t, old, x->here.stands, x->left)) {
        uint64_t mask = part_mask(x->k.t, old, x->here.stands);
        e = capture_note_before(s, x->k.t, old);
        if (e == ERR_OK)
            e = capture_note(s, x->k.t, CHANGE_UPDATE, mask, x->here.stands);
    }
    for (uint32_t at = 0; e == ERR_OK && (b = met_held_otherwise(a, x, &at));)
        e = met_told(b) ? publish_held(s, a, x, b) : ERR_OK;
    return e;
}

/* What is here is sealed like any write: the parent's values are the old ones. */
static enum err publish(struct store *s, struct arena *a, const struct load_chunk *chunk,
                        const struct row_state *st, struct met *x)
{
    enum escape_kind kind = met_kind(a, x);
    bool both = x->here.stands && x->there.stands;
    struct birth *torn = kind == ESCAPE_DELETED ? met_torn(a, x) : NULL;
    if (torn)
        return delete_torn(s, a, chunk, x, torn);
    if (kind == ESCAPE_CHANGED || (both && !x->there.birth && !met_held_alone(x)))
        return publish_changed(s, a, chunk, x);
    bool lost = kind == ESCAPE_DELETED && !x->there.stands;
    if (both || lost || met_held_alone(x) || (kind == ESCAPE_NEW && met_known(a, x)))
        return make_room(s, a, chunk, st, x);
    if (kind == ESCAPE_DELETED)
        return capture_note(s, x->k.t, CHANGE_DELETE, 0, x->there.stands);
    enum err e;
    if (met_counterpart(x, &x->there,
                        x->here.birth)) { /* it is missing there: all of it, the key too */
        e = totals_none(s, x->k.t, x->here.stands);
        return e == ERR_OK ? capture_note(s, x->k.t, CHANGE_UPDATE, UINT64_MAX, x->here.stands) : e;
    }
    e = forget_nobodys(s, a, chunk, x);
    return e == ERR_OK ? capture_note(s, x->k.t, CHANGE_BORN, 0, x->here.stands) : e;
}

/* What a write of ours says of it: other values of a row that stands at both, and of what is held
 * at both, or that it goes. */
static bool is_plain(struct arena *a, const struct met *x)
{
    enum escape_kind kind = met_kind(a, x);
    bool same = met_counterpart(x, &x->there, x->here.birth) == x->there.birth;
    return (kind == ESCAPE_CHANGED && !x->here.stands == !x->there.stands && same) ||
           (kind == ESCAPE_NEW && !x->there.stands && !met_held_alone(x));
}

/* What is held there has its change as a decision has: the row's own birth may not stand here. */
static enum err publish_theirs(struct store *s, struct arena *a, const struct load_chunk *chunk,
                               struct met *x)
{
    struct birth *b;
    uint32_t at = 0;
    bool changed = met_kind(a, x) == ESCAPE_CHANGED;
    enum err e = changed ? take_hidden(s, a, chunk, x) : ERR_OK;
    if (e == ERR_OK)
        e = write_for_all(s, a, x);
    while (e == ERR_OK && changed && (b = met_held_otherwise(a, x, &at))) {
        const struct birth *c = met_counterpart(x, &x->there, b);
        if (met_told(b) && c)
            e = queue_change(s, a, x->k, b->name, met_values(a, x, &x->here, b),
                             met_values(a, x, &x->there, c));
    }
    return e;
}

/* ERR_REFUSED where a write of ours would add to a total at the others: of the row that stands, or
 * of what is held at both. */
static enum err same_totals(struct store *s, struct arena *a, const struct met *x)
{
    struct birth *b;
    uint32_t at = 0;
    const struct value *here = x->here.stands, *there = x->there.stands;
    enum err e = here && there ? totals_same(s, x->k.t, here, there) : ERR_OK;
    while (e == ERR_OK && (b = met_held_otherwise(a, x, &at))) {
        const struct birth *c = met_counterpart(x, &x->there, b);
        if (c && met_told(b))
            e = totals_same(s, x->k.t, met_values(a, x, &x->here, b),
                            met_values(a, x, &x->there, c));
    }
    return e;
}

/* A total is taken here alone. */
static enum err take_parents(struct store *s, struct arena *a, const struct load_chunk *chunk,
                             const struct row_state *st, struct met *x, enum escape_take take)
{
    bool sealed = take == ESCAPE_TAKE_BELOW && is_plain(a, x) && same_totals(s, a, x) == ERR_OK;
    return sealed ? publish_theirs(s, a, chunk, x) : take_theirs(s, a, chunk, st, x);
}

/* The row that stands there is nobody's, or has no name, and beside it is who has lost its name
 * here: it was entered there, whatever is unnamed here. */
static bool is_entered_there(const struct met *x)
{
    const struct birth *shown = x->there.birth;
    bool unnamed = x->there.stands && (!shown || dot_is_none(shown->name));
    for (uint32_t i = 0; unnamed && i < x->there.row.n_births; i++) {
        const struct birth *b = &x->there.row.births[i];
        bool other = b != shown && birth_alive(b, &x->k.t->rules);
        if (other && (!shown || !row_find_birth(&x->here.row, b->name)))
            return true;
    }
    return false;
}

/* A birth of which there is a record here is everybody's; so is one that stands there without a
 * name, where one that is held here is not known there: it is that one. */
static bool is_known_here(const struct met *x)
{
    const struct birth *shown = x->there.birth;
    if (!shown)
        return false;
    for (uint32_t i = 0; i < x->here.row.n_births; i++) {
        const struct birth *b = &x->here.row.births[i];
        bool same = dot_equal(b->name, shown->name) && b != x->here.birth;
        bool forgotten = dot_is_none(shown->name) && b != x->here.birth &&
                         !row_find_birth(&x->there.row, b->name);
        if (birth_alive(b, &x->k.t->rules) && (same || forgotten))
            return true;
    }
    return false;
}

/* What no write of ours can say, and what others may not have. */
static bool is_theirs_alone(struct arena *a, const struct met *x, bool lost)
{
    enum escape_kind kind = met_kind(a, x);
    if (kind == ESCAPE_CHANGED || kind == ESCAPE_HELD)
        return kind == ESCAPE_CHANGED;
    if (kind == ESCAPE_NEW || x->there.stands)
        return x->there.stands && !is_known_here(x) && !(lost && !x->here.stands);
    const struct birth *gone = met_torn(a, x) ? NULL : met_lost(a, x);
    return gone && dot_is_none(gone->name) && !lost;
}

/* A write of ours says it to the others. */
static bool is_news(struct arena *a, const struct met *x)
{
    return (is_plain(a, x) && !is_entered_there(x)) || contradicts_itself(x);
}

static enum err take_childs(struct store *s, struct arena *a, const struct load_chunk *chunk,
                            const struct row_state *st, struct met *x, enum escape_take take)
{
    if (is_news(a, x)) {
        enum err e = same_totals(s, a, x);
        return e == ERR_OK ? publish_theirs(s, a, chunk, x) : e;
    }
    if (is_entered_there(x) || is_theirs_alone(a, x, take == ESCAPE_TAKE_BACK))
        return store_fail(s, ERR_REFUSED,
                          "what stands there may be there alone, and only that office can publish "
                          "it: there, tonle verify --repair --take here");
    return take_theirs(s, a, chunk, st, x);
}

enum err store_escape_settle(struct store *s, struct arena *a, const struct load_chunk *chunk,
                             const struct escape *esc, enum escape_take take, bool *as_lost)
{
    assert(s->in_write);
    struct met x;
    *as_lost = false;
    const struct row_state *st;
    enum err e = capture_temp_triggers(s); /* they run on such rows, too */
    if (e == ERR_OK)
        e = meet_escape(s, a, chunk, esc, &x, &st);
    enum escape_kind kind = e == ERR_OK ? met_kind(a, &x) : 0;
    if (!kind)
        return e; /* the application has settled it since */
    if (take == ESCAPE_TAKE_HERE)
        return kind == ESCAPE_HELD ? ERR_OK : publish(s, a, chunk, st, &x);
    const struct birth *torn = met_torn_there(a, &x);
    if (torn) /* it was deleted there, behind capture: that is what is taken */
        return todo_put_delete(s, a, x.k, &x.there.row, torn);
    *as_lost = take == ESCAPE_TAKE_BACK && !is_news(a, &x) && is_theirs_alone(a, &x, false);
    return take == ESCAPE_TAKE_THERE || take == ESCAPE_TAKE_BELOW
               ? take_parents(s, a, chunk, st, &x, take)
               : take_childs(s, a, chunk, st, &x, take);
}
