/* Equal births (DESIGN 4): which births of a key are twins, asked of the merged state each time.
 *
 * Of the living births of one key and hash, those that a change has named first, then in the order
 * (hlc, name):
 *
 *   the birth                                              is
 *   has been named by a change                             accepted
 *   not named; no accepted one of its hash, or each of     accepted
 *   them has seen it or was seen by it
 *   not named; some accepted one that it has not met       a twin of the first such
 *
 * So a twin is exactly as it was born, and what it is a twin of is no twin itself.
 */
#include "conflict/twin.h"

#include <assert.h>
#include <string.h>

/* As a varint: every row that is born is hashed, and most numbers are small. */
static unsigned __int128 hash_number(unsigned __int128 h, uint64_t n)
{
    uint8_t byte[10];
    size_t used = 0;
    for (; n >= 0x80; n >>= 7)
        byte[used++] = (uint8_t)(n | 0x80);
    byte[used++] = (uint8_t)n;
    return bytes_hash_wide(h, byte, used);
}

static unsigned __int128 hash_value(unsigned __int128 h, const struct value *v)
{
    uint64_t real;
    h = bytes_hash_wide(h, &v->type, 1);
    switch (v->type) {
    case VALUE_NULL:
        return h;
    case VALUE_INTEGER:
        return hash_number(h, (uint64_t)v->u.i << 1 ^ (uint64_t)(v->u.i >> 63));
    case VALUE_REAL:
        memcpy(&real, &v->u.r, sizeof real);
        return hash_number(h, real);
    default:
        return bytes_hash_wide(hash_number(h, v->len), v->u.p, v->len);
    }
}

void birth_hash(uint8_t out[BORN_BYTES], uint64_t schema_version, uint32_t n,
                const uint32_t *column, const struct value *value)
{
    unsigned __int128 h = hash_number(VALUE_HASH_WIDE_SEED, schema_version);
    for (uint32_t i = 0; i < n; i++)
        h = hash_value(hash_number(h, column[i]), &value[i]);
    for (int i = 0; i < BORN_BYTES; i++)
        out[i] = (uint8_t)(h >> (120 - 8 * i));
}

void birth_see(struct arena *a, struct birth *b, struct dot name)
{
    uint32_t at = 0;
    while (at < b->n_seen && b->seen[at].site < name.site)
        at++;
    if (at < b->n_seen && b->seen[at].site == name.site) {
        b->seen[at].seq = b->seen[at].seq < name.seq ? name.seq : b->seen[at].seq;
        return;
    }
    struct dot *seen = arena_alloc(a, (b->n_seen + 1) * sizeof *seen);
    if (at)
        memcpy(seen, b->seen, at * sizeof *seen);
    seen[at] = name;
    if (at < b->n_seen)
        memcpy(seen + at + 1, b->seen + at, (b->n_seen - at) * sizeof *seen);
    b->seen = seen;
    b->n_seen++;
}

static bool has_seen(const struct birth *b, struct dot name)
{
    for (uint32_t i = 0; i < b->n_seen; i++)
        if (b->seen[i].site == name.site)
            return name.seq <= b->seen[i].seq;
    return false;
}

static bool have_met(const struct birth *x, const struct birth *y)
{
    return has_seen(x, y->name) || has_seen(y, x->name);
}

bool births_equal(const struct birth *x, const struct birth *y)
{
    return x->has_born && y->has_born && memcmp(x->born, y->born, BORN_BYTES) == 0 &&
           !have_met(x, y);
}

static bool may_be_equal(const struct birth *b, const struct table_rules *rules)
{
    return b->has_born && birth_alive(b, rules);
}

struct accepting {
    const struct row *r;
    const struct table_rules *rules;
    const struct birth **twin_of; /* of each birth of the row */
    uint32_t *accepted;           /* births that are no twins, of any hash */
    uint32_t n;
};

static void accept(struct accepting *x, uint32_t at)
{
    const struct birth *b = &x->r->births[at];
    for (uint32_t i = 0; !b->touched && i < x->n; i++) {
        const struct birth *other = &x->r->births[x->accepted[i]];
        if (!births_equal(other, b))
            continue;
        x->twin_of[at] = other;
        return;
    }
    x->accepted[x->n++] = at;
}

const struct birth **row_twins(struct arena *a, const struct row *r,
                               const struct table_rules *rules)
{
    uint32_t equal = 0;
    struct accepting x = {.r = r, .rules = rules};
    if (r->n_births < 2)
        return NULL;
    for (uint32_t i = 0; equal < 2 && i < r->n_births; i++)
        equal += may_be_equal(&r->births[i], rules);
    if (equal < 2)
        return NULL;
    x.twin_of = arena_alloc(a, r->n_births * sizeof *x.twin_of);
    x.accepted = arena_alloc(a, r->n_births * sizeof *x.accepted);
    for (int touched = 1; touched >= 0; touched--)
        for (uint32_t i = 0; i < r->n_births; i++)
            if (!r->births[i].touched == !touched && may_be_equal(&r->births[i], rules))
                accept(&x, i);
    return x.twin_of;
}

const struct birth *row_twin_of(struct arena *a, const struct row *r,
                                const struct table_rules *rules, const struct birth *b)
{
    const struct birth **twin_of = row_twins(a, r, rules);
    assert(b >= r->births && b < r->births + r->n_births);
    return twin_of ? twin_of[b - r->births] : NULL;
}

const struct birth *row_meant(struct arena *a, const struct row *r, const struct table_rules *rules,
                              struct dot name)
{
    const struct birth **twin_of = row_twins(a, r, rules);
    const struct birth *first = NULL;
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i], *twin = twin_of ? twin_of[i] : NULL;
        if (!birth_alive(b, rules))
            continue;
        if (!dot_is_none(name) && dot_equal(b->name, name))
            return twin ? twin : b;
        first = first || twin ? first : b;
    }
    return first;
}

bool row_is_one(struct arena *a, const struct row *r, const struct table_rules *rules,
                const struct clock *stable)
{
    const struct birth **twin_of = row_twins(a, r, rules);
    uint32_t others = 0;
    for (uint32_t i = 0; i < r->n_births; i++)
        others += !twin_of || !twin_of[i];
    return others == 1 && row_covered(r, stable);
}
