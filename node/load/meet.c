/* What one key has here and there, and what differs in it. */
#include "node/load/meet.h"

#include "node/load/slice.h"
#include "node/record/table.h"

#include <stdlib.h>
#include <string.h>

static int by_key(const void *x, const void *y)
{
    const struct bytes *p = &(*(const struct row_state *const *)x)->key;
    const struct bytes *q = &(*(const struct row_state *const *)y)->key;
    int c = memcmp(p->p, q->p, p->len < q->len ? p->len : q->len);
    return c != 0 ? c : (p->len > q->len) - (p->len < q->len);
}

const struct row_state **met_states(struct arena *a, const struct load_chunk *chunk)
{
    const struct row_state **st =
        arena_alloc(a, (chunk->n_states + 1) * sizeof(struct row_state *));
    for (uint32_t i = 0; i < chunk->n_states; i++)
        st[i] = &chunk->states[i];
    if (chunk->n_states > 0)
        qsort(st, chunk->n_states, sizeof *st, by_key);
    return st;
}

const struct row_state *met_state(const struct row_state **st, uint32_t n, struct bytes key)
{
    struct row_state want = {.key = key};
    const struct row_state *p = &want;
    const struct row_state **found =
        n > 0 ? bsearch(&p, st, n, sizeof(struct row_state *), by_key) : NULL;
    return found ? *found : NULL;
}

enum err met_table(struct store *s, const struct load_chunk *chunk, const struct table_schema **t)
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

bool met_same_sent(const struct table_schema *t, const struct value *x, const struct value *y,
                   const bool *left)
{
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (!(left && left[c]) && !value_equal(&x[c], &y[c]))
            return false;
    return true;
}

static void complete_side(struct arena *a, const struct table_schema *t, struct side *x)
{
    if (x->stands && x->row.n_births == 0)
        row_from_settled(a, &x->row, x->stands);
    x->birth = x->stands ? row_standing(&x->row, &t->rules) : NULL;
    if (x->birth)
        birth_set_values(a, x->birth, &t->rules, x->stands);
}

/* As the neighbour has it on record, without what is forgotten. */
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
    f.keep_rank = k.t->n_unique > 0;
    row_forget(a, out, &k.t->rules, &f);
    return ERR_OK;
}

enum err met_key(struct store *s, struct arena *a, struct row_key k, const struct row_state *st,
                 struct value *now, struct met *x)
{
    *x = (struct met){.k = k, .here.stands = now};
    enum err e = row_load(s, a, k, &x->here.row, &x->at);
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

/* What the neighbour has forgotten the name of, whether it stands there or is held, is held here,
 * under its name, by a row that was entered here: the two without a name are not the same birth. */
static bool is_held_by_nobodys(const struct met *x)
{
    const struct dot none = {0};
    const struct birth *here = x->here.birth;
    bool nameless = here && dot_is_none(here->name) && row_find_birth(&x->there.row, none);
    for (uint32_t i = 0; nameless && i < x->here.row.n_births; i++) {
        const struct birth *b = &x->here.row.births[i];
        if (b != here && birth_alive(b, &x->k.t->rules) && !row_find_birth(&x->there.row, b->name))
            return true;
    }
    return false;
}

struct birth *met_counterpart(const struct met *x, const struct side *other, const struct birth *b)
{
    bool other_one = b && dot_is_none(b->name) && is_held_by_nobodys(x);
    struct birth *c = b && !other_one ? row_find_birth(&other->row, b->name) : NULL;
    return c && birth_alive(c, &x->k.t->rules) ? c : NULL;
}

const struct value *met_values(struct arena *a, const struct met *x, const struct side *of,
                               const struct birth *b)
{
    return b == of->birth ? of->stands : part_birth_values(a, x->k.t, b);
}

bool met_differ(struct arena *a, const struct met *x, const struct birth *b, const struct birth *c)
{
    return !met_same_sent(x->k.t, met_values(a, x, &x->there, c), met_values(a, x, &x->here, b),
                          x->left);
}

struct birth *met_torn(struct arena *a, const struct met *x)
{
    for (uint32_t i = 0; i < x->here.row.n_births; i++) {
        struct birth *b = &x->here.row.births[i];
        bool torn = b != x->here.birth && part_birth_torn(a, x->k.t, b);
        const struct birth *c = torn ? met_counterpart(x, &x->there, b) : NULL;
        bool plain = b->held == HOLD_NONE && c == x->there.birth; /* no row here, one there */
        if (c && !plain && !part_birth_torn(a, x->k.t, c))
            return b;
    }
    return NULL;
}

const struct birth *met_lost(struct arena *a, const struct met *x)
{
    for (uint32_t i = 0; i < x->there.row.n_births; i++) {
        const struct birth *c = &x->there.row.births[i];
        bool held = met_told(c) && birth_alive(c, &x->k.t->rules);
        if (held && !row_find_birth(&x->here.row, c->name) && !part_birth_torn(a, x->k.t, c) &&
            !met_known(a, x))
            return c;
    }
    return NULL;
}

struct birth *met_torn_there(struct arena *a, const struct met *x)
{
    for (uint32_t i = 0; i < x->there.row.n_births; i++) {
        const struct birth *c = &x->there.row.births[i];
        bool torn = c != x->there.birth && part_birth_torn(a, x->k.t, c);
        struct birth *b = torn ? met_counterpart(x, &x->here, c) : NULL;
        if (b && (b == x->here.birth || !part_birth_torn(a, x->k.t, b)))
            return b;
    }
    return NULL;
}

bool met_told(const struct birth *b)
{
    return b->held != HOLD_NONE && b->held != HOLD_TWIN;
}

struct birth *met_hidden_otherwise(struct arena *a, const struct met *x, struct birth *b)
{
    const struct table_rules *rules = &x->k.t->rules;
    struct birth *c = row_find_birth(&x->there.row, b->name);
    bool both = c && b != x->here.birth && c != x->there.birth &&
                birth_alive(b, rules) == birth_alive(c, rules) && !met_told(b) && !met_told(c);
    if (!both || part_birth_unknown(a, x->k.t, c))
        return NULL;
    return part_birth_unknown(a, x->k.t, b) || met_differ(a, x, b, c) ? c : NULL;
}

struct birth *met_held_otherwise(struct arena *a, const struct met *x, uint32_t *at)
{
    while (*at < x->here.row.n_births) {
        struct birth *b = &x->here.row.births[(*at)++];
        bool told = met_told(b) && !part_birth_torn(a, x->k.t, b);
        struct birth *c = told ? met_counterpart(x, &x->there, b) : NULL;
        if (c && (met_told(c) || c == x->there.birth) && met_differ(a, x, b, c))
            return b;
        if (met_hidden_otherwise(a, x, b))
            return b;
    }
    return NULL;
}

bool met_known(struct arena *a, const struct met *x)
{
    bool nobodys = x->here.stands && !x->here.birth;
    for (uint32_t i = 0; nobodys && i < x->there.row.n_births; i++) {
        const struct birth *b = &x->there.row.births[i];
        if (met_told(b) &&
            met_same_sent(x->k.t, part_birth_values(a, x->k.t, b), x->here.stands, NULL))
            return true;
    }
    return false;
}

const struct birth *met_held_alone(const struct met *x)
{
    const struct birth *b = row_find_birth(&x->here.row, (struct dot){0});
    return b && b != x->here.birth && met_told(b) && birth_alive(b, &x->k.t->rules) &&
                   !met_counterpart(x, &x->there, b)
               ? b
               : NULL;
}

/* It stands there by the record, and has no row. */
static bool is_missing(const struct met *x, const struct birth *c)
{
    return c->held == HOLD_NONE && c != x->there.birth;
}

static bool has_rank(const struct met *x, const struct birth *b)
{
    static const struct version none = {0};
    const struct table_schema *t = x->k.t;
    struct version rank = birth_rank(b, &t->rules, t->unique_columns, t->n_unique_columns);
    return version_order(&rank, &none) != 0;
}

/* It is settled here, so that its rank is forgotten, and that is what holds it there. */
static bool is_outranked(const struct met *x)
{
    const struct birth *c = met_counterpart(x, &x->there, x->here.birth);
    return c && c->held == HOLD_UNIQUE && has_rank(x, c) && !has_rank(x, x->here.birth);
}

enum escape_kind met_kind(struct arena *a, const struct met *x)
{
    const struct birth *c = met_counterpart(x, &x->there, x->here.birth);
    const struct birth *h = met_counterpart(x, &x->here, x->there.birth);
    uint32_t at = 0;
    if ((x->here.stands && (!c || is_missing(x, c))) || met_held_alone(x))
        return ESCAPE_NEW;
    bool gone = x->there.stands && (!h || (h->held == HOLD_NONE && !x->here.stands));
    if (gone || met_torn(a, x))
        return ESCAPE_DELETED;
    if (x->here.stands && met_differ(a, x, x->here.birth, c))
        return ESCAPE_CHANGED;
    if (met_held_otherwise(a, x, &at))
        return ESCAPE_CHANGED;
    if (met_lost(a, x))
        return ESCAPE_DELETED;
    return is_outranked(x) ? ESCAPE_HELD : 0;
}
