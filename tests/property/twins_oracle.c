/* The declaration: what a causally closed set of changesets means, by the words of DESIGN 4. */
#include "tests/property/twins.h"

#include <stdlib.h>
#include <string.h>

struct oracle_write {
    const struct twin_changeset *cs;
    const struct change *ch;
};
struct oracle_birth {
    uint32_t row;
    const struct twin_changeset *cs;
    const struct change *born;
    struct oracle_write *write; /* the birth first */
    uint32_t n;
    bool touched, alive, contested, held;
    struct value shown[TWIN_COLUMNS];
    struct value side[TWIN_NAMES]; /* of T_MAX, those that differ, ascending */
    uint32_t sides;
    struct version rank;
    const struct oracle_birth *twin_of;
};
struct oracle {
    const struct table_rules *rules;
    struct oracle_birth *birth[TWIN_ROWS * TWIN_NAMES];
    uint32_t n;
    struct buf *out;
};

static bool saw(const struct twin_changeset *a, const struct twin_changeset *b)
{
    return clock_covers(&a->context, b->dot);
}

static const struct value *wrote(const struct change *ch, uint32_t column)
{
    for (uint32_t i = 0; i < ch->n_cells; i++)
        if (ch->column[i] == column)
            return &ch->value[i];
    return NULL;
}

/* Nobody who had seen this write wrote there again. COLUMN_EXISTS: every change writes there. */
static bool is_last(const struct oracle_birth *b, const struct oracle_write *w, uint32_t column)
{
    for (uint32_t i = 0; i < b->n; i++)
        if ((column == COLUMN_EXISTS || wrote(b->write[i].ch, column)) &&
            saw(b->write[i].cs, w->cs))
            return false;
    return true;
}

static bool is_later(const struct oracle_write *a, const struct oracle_write *b)
{
    struct version x = {a->cs->dot, a->cs->hlc, {0}}, y = {b->cs->dot, b->cs->hlc, {0}};
    return version_order(&x, &y) > 0;
}

static void live(const struct oracle *o, struct oracle_birth *b)
{
    bool alive = false, dead = false;
    for (uint32_t i = 0; i < b->n; i++) {
        b->touched |= i > 0;
        if (!is_last(b, &b->write[i], COLUMN_EXISTS))
            continue;
        alive |= b->write[i].ch->kind != CHANGE_DELETE;
        dead |= b->write[i].ch->kind == CHANGE_DELETE;
    }
    b->contested = alive && dead;
    b->alive = alive && !(dead && o->rules->delete_policy == DELETE_DELETE_WINS);
}

static const struct oracle_write *latest(const struct oracle_birth *b, uint32_t column)
{
    const struct oracle_write *last = NULL;
    for (uint32_t i = 0; i < b->n; i++)
        if (wrote(b->write[i].ch, column) && is_last(b, &b->write[i], column) &&
            (!last || is_later(&b->write[i], last)))
            last = &b->write[i];
    return last;
}

static void add_side(struct oracle_birth *b, const struct value *v)
{
    uint32_t at = b->sides;
    for (uint32_t i = 0; i < b->sides; i++)
        if (value_equal(&b->side[i], v))
            return;
    for (; at && value_compare(&b->side[at - 1], v) > 0; at--)
        b->side[at] = b->side[at - 1];
    b->side[at] = *v;
    b->sides++;
}

static void show(struct arena *a, struct oracle_birth *b)
{
    __int128 total = 0;
    bool counted = false;
    for (uint32_t c = 0; c < TWIN_COLUMNS; c++)
        b->shown[c] = *wrote(latest(b, c)->ch, c);
    for (uint32_t i = 0; i < b->n; i++) {
        const struct value *most = wrote(b->write[i].ch, T_MAX);
        const struct value *delta = wrote(b->write[i].ch, T_SUM);
        if (most && is_last(b, &b->write[i], T_MAX))
            add_side(b, most);
        total += delta ? value_count(delta) : 0;
        counted |= delta && delta->type != VALUE_NULL;
    }
    b->shown[T_MAX] = b->side[b->sides - 1];
    b->shown[T_SUM] = counted ? value_total(a, total) : value_null();
    const struct oracle_write *w = latest(b, T_UNIQUE);
    b->rank = (struct version){w->cs->dot, w->cs->hlc, {0}};
}

/* ---- twins */

static bool born_equal(const struct oracle_birth *x, const struct oracle_birth *y)
{
    for (uint32_t c = 0; c < TWIN_COLUMNS; c++)
        if (!value_equal(wrote(x->born, c), wrote(y->born, c)))
            return false;
    return value_count(wrote(x->born, T_SUM)) == 0;
}

static int by_order(const void *p, const void *q)
{
    const struct oracle_birth *x = *(const struct oracle_birth *const *)p;
    const struct oracle_birth *y = *(const struct oracle_birth *const *)q;
    struct version a = {x->cs->dot, x->cs->hlc, {0}}, b = {y->cs->dot, y->cs->hlc, {0}};
    return x->row != y->row ? (x->row < y->row ? -1 : 1) : version_order(&a, &b);
}

/* "Of the living births of one key and hash, touched ones first, then by (time, name): an untouched
 * one is a twin of the first accepted birth when neither has seen the other." */
static void find_twins(struct oracle *o)
{
    for (uint32_t i = 0; i < o->n; i++) {
        struct oracle_birth *b = o->birth[i];
        for (uint32_t j = 0; j < 2 * o->n && b->alive && !b->touched && !b->twin_of; j++) {
            bool first = j < o->n; /* round: those that are touched */
            struct oracle_birth *x = o->birth[j % o->n];
            if (x->row == b->row && x->alive && x->touched == first && !x->twin_of &&
                (first || j - o->n < i) && born_equal(x, b) && !saw(x->cs, b->cs) &&
                !saw(b->cs, x->cs))
                b->twin_of = x;
        }
    }
}

/* ---- the passes */

static const struct oracle_birth *standing(const struct oracle *o, uint32_t row)
{
    for (uint32_t i = 0; i < o->n; i++)
        if (o->birth[i]->row == row && o->birth[i]->alive && !o->birth[i]->twin_of &&
            !o->birth[i]->held)
            return o->birth[i];
    return NULL;
}

static void hold_births(struct oracle *o)
{
    for (uint32_t row = 0; row < TWIN_ROWS; row++) {
        struct oracle_birth *stands = NULL;
        for (uint32_t i = 0; i < o->n; i++) {
            struct oracle_birth *b = o->birth[i];
            if (b->row != row || !b->alive || b->twin_of)
                continue;
            if (stands && o->rules->birth_policy == BIRTH_LATEST)
                stands->held = true;
            else if (stands)
                b->held = true;
            stands = stands && b->held ? stands : b;
        }
    }
}

static bool goes_before(const struct oracle_birth *x, const struct oracle_birth *y)
{
    int c = version_order(&x->rank, &y->rank);
    return c ? c < 0 : x->row < y->row;
}

/* There are two parents. */
static void hold_unique(struct oracle *o)
{
    struct oracle_birth *x = (struct oracle_birth *)standing(o, 0);
    struct oracle_birth *y = (struct oracle_birth *)standing(o, 1);
    if (x && y && x->shown[T_UNIQUE].type != VALUE_NULL &&
        value_equal(&x->shown[T_UNIQUE], &y->shown[T_UNIQUE]))
        (goes_before(x, y) ? y : x)->held = true;
}

static const struct oracle_birth *meant(const struct oracle *o, uint32_t row, struct dot name)
{
    const struct oracle_birth *first = NULL;
    for (uint32_t i = 0; i < o->n; i++) {
        const struct oracle_birth *b = o->birth[i];
        if (b->row != row || !b->alive)
            continue;
        if (dot_equal(b->cs->dot, name))
            return b->twin_of ? b->twin_of : b;
        if (!first && !b->twin_of)
            first = b;
    }
    return first;
}

static struct dot referred(const struct change *ch)
{
    return ch->n_references ? ch->references[0].birth : (struct dot){0};
}

/* "A reference to a twin means the one it is a twin of; an untouched child stands when the parent
 * that any of its own twins refers to stands." */
static void hold_child(struct oracle *o)
{
    struct oracle_birth *b = (struct oracle_birth *)standing(o, TWIN_CHILD);
    if (!b)
        return;
    uint32_t row = (uint32_t)b->shown[T_PARENT].u.i;
    const struct oracle_birth *parent = standing(o, row);
    bool stands = parent && meant(o, row, referred(latest(b, T_PARENT)->ch)) == parent;
    for (uint32_t i = 0; i < o->n && parent && !b->touched; i++)
        stands |= o->birth[i]->twin_of == b && meant(o, row, referred(o->birth[i]->born)) == parent;
    b->held = !stands;
}

/* ---- telling */

static void tell_row(const struct oracle *o, uint32_t row)
{
    uint32_t rivals = 0;
    for (uint32_t i = 0; i < o->n; i++) {
        const struct oracle_birth *b = o->birth[i];
        struct dot d = b->cs->dot;
        if (b->row != row)
            continue;
        if (b->contested)
            buf_printf(o->out, "%u %u.%u exists is open\n", row, (unsigned)d.site, (unsigned)d.seq);
        if (!b->alive || b->twin_of)
            continue;
        rivals++;
        buf_printf(o->out, "%u %u.%u %s", row, (unsigned)d.site, (unsigned)d.seq,
                   b->held ? "held" : "stands");
        for (uint32_t c = 0; c < TWIN_COLUMNS; c++)
            twin_tell_value(o->out, &b->shown[c]);
        buf_printf(o->out, b->sides > 1 ? " max is open of" : "");
        for (uint32_t k = 0; b->sides > 1 && k < b->sides; k++)
            twin_tell_value(o->out, &b->side[k]);
        buf_put_u8(o->out, '\n');
    }
    if (rivals > 1)
        buf_printf(o->out, "%u birth is open\n", row);
}

static void take_births(struct oracle *o, struct arena *a, struct twin_changeset *const *all,
                        size_t n, const struct clock *seen)
{
    for (size_t i = 0; i < n; i++) {
        for (uint32_t e = 0; e < all[i]->n; e++) {
            const struct twin_edit *x = &all[i]->edit[e];
            if (!clock_covers(seen, all[i]->dot) || x->ch.kind != CHANGE_BORN)
                continue;
            struct oracle_birth *b = arena_alloc(a, sizeof *b);
            *b = (struct oracle_birth){.row = x->row, .cs = all[i], .born = &x->ch};
            o->birth[o->n++] = b;
        }
    }
    if (o->n)
        qsort(o->birth, o->n, sizeof o->birth[0], by_order);
}

static void take_writes(struct oracle *o, struct arena *a, struct oracle_birth *b,
                        struct twin_changeset *const *all, size_t n, const struct clock *seen)
{
    size_t most = 1;
    for (size_t i = 0; i < n; i++)
        most += all[i]->n;
    b->write = arena_alloc(a, most * sizeof *b->write);
    b->write[b->n++] = (struct oracle_write){b->cs, b->born};
    for (size_t i = 0; i < n; i++)
        for (uint32_t e = 0; e < all[i]->n && clock_covers(seen, all[i]->dot); e++) {
            const struct twin_edit *x = &all[i]->edit[e];
            if (x->row == b->row && x->ch.kind != CHANGE_BORN && twin_has(&x->meant, b->cs->dot))
                b->write[b->n++] = (struct oracle_write){all[i], &x->ch};
        }
    live(o, b);
}

void twin_oracle_tells(struct arena *a, const struct table_rules *rules,
                       struct twin_changeset *const *all, size_t n, const struct clock *seen,
                       struct buf *out)
{
    struct oracle o = {.rules = rules, .out = out};
    take_births(&o, a, all, n, seen);
    for (uint32_t i = 0; i < o.n; i++) {
        take_writes(&o, a, o.birth[i], all, n, seen);
        show(a, o.birth[i]);
    }
    find_twins(&o);
    hold_births(&o);
    hold_unique(&o);
    hold_child(&o);
    for (uint32_t row = 0; row < TWIN_ROWS; row++)
        tell_row(&o, row);
}
