/* What forgetting does with a cell, once the stable clock covers the birth's base:
 *
 *   its versions                                           afterwards
 *   some not covered                                       as it was
 *   covered, one value or all alike                        no entry, what it showed stands
 *   covered, alike but not identical, a unit chooses       as it was
 *   covered, different values                              as it was
 *   of a sum: what is no integer                           as it was
 *   of a unique column whose rank is kept                  as it was
 *   several versions, one of them with a reference         as it was
 *   existence: covered, and all say dead                   the whole birth goes
 *
 * A reference goes before that when the parent's birth is covered and keeps no name.
 */
#include "conflict/twin.h"

#include <assert.h>
#include <string.h>

static const char *const reason_name[HOLD_COUNT] = {
    [HOLD_NONE] = "",         [HOLD_CHECK] = "check",   [HOLD_BIRTH] = "birth",
    [HOLD_UNIQUE] = "unique", [HOLD_PARENT] = "parent", [HOLD_LOCAL] = "local",
    [HOLD_TWIN] = "twin",
};

const char *hold_reason_name(enum hold_reason r)
{
    return (unsigned)r < HOLD_COUNT ? reason_name[r] : "";
}

const struct cell *birth_find_cell(const struct birth *b, uint32_t cell)
{
    for (uint32_t i = 0; i < b->n_cells; i++)
        if (b->cells[i].column == cell)
            return &b->cells[i];
    return NULL;
}

void row_from_settled(struct arena *a, struct row *r, const struct value *values)
{
    struct birth *b = arena_alloc(a, sizeof *b);
    b->values = (struct value *)values; /* read only: merging copies before it writes */
    *r = (struct row){.n_births = 1, .births = b};
}

struct birth *row_find_birth(const struct row *r, struct dot name)
{
    for (uint32_t i = 0; i < r->n_births; i++)
        if (dot_equal(r->births[i].name, name))
            return &r->births[i];
    return NULL;
}

static bool is_among(const struct dot *list, size_t n, struct dot name)
{
    for (size_t i = 0; i < n; i++)
        if (dot_equal(list[i], name))
            return true;
    return false;
}

struct birth *row_standing(const struct row *r, const struct table_rules *rules)
{
    for (uint32_t i = 0; i < r->n_births; i++)
        if (r->births[i].held == HOLD_NONE && birth_alive(&r->births[i], rules))
            return &r->births[i];
    return NULL;
}

bool birth_alive(const struct birth *b, const struct table_rules *rules)
{
    const struct cell *c = birth_find_cell(b, COLUMN_EXISTS);
    if (!c)
        return true;
    struct chooser choose = {.policy = policy_shown(rules, COLUMN_EXISTS)};
    return c->v[policy_choose(&choose, c->v, c->n)].value.u.i != 0;
}

bool birth_gone(const struct birth *b)
{
    const struct cell *c = birth_find_cell(b, COLUMN_EXISTS);
    for (uint32_t i = 0; c && i < c->n; i++)
        if (c->v[i].value.u.i != 0)
            return false;
    return c;
}

struct value cell_gather(struct arena *a, const struct table_rules *rules, uint32_t cell,
                         const struct value *values)
{
    if (!cell_is_group(rules, cell))
        return values ? values[cell] : value_null();
    const struct cell_group *g = rules->group[cell];
    struct value *v = arena_alloc(a, g->n * sizeof *v);
    for (uint32_t i = 0; values && i < g->n; i++)
        v[i] = values[g->column[i]];
    return value_tuple(a, v, g->n);
}

/* NULL stands for a tuple that is in the table and was not filled in. Others are made here or
 * checked by row_decode: one that does not fit is our own mistake. */
static struct value *split(struct arena *a, const struct cell_group *g, const struct value *tuple)
{
    struct value *v = arena_alloc(a, g->n * sizeof *v);
    if (tuple->type == VALUE_NULL)
        return v;
    enum err e = value_tuple_split(tuple, v, g->n);
    assert(e == ERR_OK);
    return v;
}

void cell_spread(struct arena *a, const struct table_rules *rules, uint32_t cell,
                 const struct value *value, struct value *values)
{
    if (!cell_is_group(rules, cell)) {
        values[cell] = *value;
        return;
    }
    const struct cell_group *g = rules->group[cell];
    const struct value *v = split(a, g, value);
    for (uint32_t i = 0; i < g->n; i++)
        values[g->column[i]] = v[i];
}

const struct version *birth_cell(struct arena *a, const struct birth *b,
                                 const struct table_rules *rules, uint32_t cell, uint32_t *n)
{
    const struct cell *c = birth_find_cell(b, cell);
    if (c) {
        *n = c->n;
        return c->v;
    }
    struct version *v = arena_alloc(a, sizeof *v);
    v->dot = b->base;
    v->hlc = b->base_hlc;
    v->value = cell == COLUMN_EXISTS ? value_integer(1) : cell_gather(a, rules, cell, b->values);
    *n = 1;
    return v;
}

/* Insertion sort: stable, and linear on the nearly sorted input that merging gives. */
static void sort_versions(struct version *v, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct version moving = v[i];
        uint32_t j = i;
        for (; j && version_order(&v[j - 1], &moving) > 0; j--)
            v[j] = v[j - 1];
        v[j] = moving;
    }
}

/* The entry of a column, made in its place when there is none. */
static struct cell *make_cell(struct arena *a, struct birth *b, uint32_t column)
{
    uint32_t at = 0;
    while (at < b->n_cells && b->cells[at].column < column)
        at++;
    if (at < b->n_cells && b->cells[at].column == column)
        return &b->cells[at];
    if (b->n_cells >= b->cells_room) { /* doubled: a change may touch every column of many rows */
        b->cells_room = b->n_cells < 2 ? 2 : 2 * b->n_cells;
        struct cell *cells = arena_alloc(a, b->cells_room * sizeof *cells);
        if (b->n_cells)
            memcpy(cells, b->cells, b->n_cells * sizeof *cells);
        b->cells = cells;
    }
    memmove(b->cells + at + 1, b->cells + at, (b->n_cells - at) * sizeof *b->cells);
    b->cells[at] = (struct cell){.column = column};
    b->n_cells++;
    return &b->cells[at];
}

static void drop_cell(struct birth *b, uint32_t column)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->n_cells; i++)
        if (b->cells[i].column != column)
            b->cells[kept++] = b->cells[i];
    b->n_cells = kept;
}

void birth_set_cell(struct arena *a, struct birth *b, uint32_t column, const struct version *v,
                    uint32_t n)
{
    if (n == 0) {
        drop_cell(b, column);
        return;
    }
    struct version *copy = arena_copy(a, v, n * sizeof *v);
    sort_versions(copy, n);
    struct cell *c = make_cell(a, b, column);
    c->v = copy;
    c->n = n;
}

size_t birth_choose(struct arena *a, const struct birth *b, const struct table_rules *rules,
                    uint32_t cell, const struct version *v, size_t n)
{
    if (n == 1)
        return 0;
    struct chooser c = {.policy = policy_shown(rules, cell), .units = rules->units};
    if (c.policy == POLICY_RANK && rules->rank)
        c.rank = &rules->rank[cell];
    if (c.policy == POLICY_OWNER && rules->scope && cell_of(rules, rules->scope - 1) != cell)
        c.scope = birth_show(a, b, rules->scope - 1, rules).value;
    return policy_choose(&c, v, n);
}

static struct version show_sum(const struct birth *b, uint32_t column)
{
    const struct cell *c = birth_find_cell(b, column);
    struct version shown = {.dot = b->base, .hlc = b->base_hlc};
    if (c)
        shown = c->v[c->n - 1];
    shown.value = b->values ? b->values[column] : value_null();
    return shown;
}

struct version birth_show(struct arena *a, const struct birth *b, uint32_t column,
                          const struct table_rules *rules)
{
    uint32_t n;
    uint32_t cell = cell_of(rules, column);
    if (cell_is_sum(rules, cell))
        return show_sum(b, column);
    const struct version *v = birth_cell(a, b, rules, cell, &n);
    struct version shown = v[birth_choose(a, b, rules, cell, v, n)];
    const struct cell_group *g = cell_group_of(rules, cell);
    const struct value *member = g ? split(a, g, &shown.value) : NULL;
    for (uint32_t i = 0; g && i < g->n; i++)
        if (g->column[i] == column)
            shown.value = member[i];
    return shown;
}

struct dot birth_reference(struct arena *a, const struct birth *b, uint32_t column,
                           const struct table_rules *rules)
{
    bool any = false;
    for (uint32_t i = 0; i < b->n_references; i++)
        any |= b->references[i].column == column;
    if (!any)
        return (struct dot){0};
    struct dot shown = birth_show(a, b, column, rules).dot;
    for (uint32_t i = 0; i < b->n_references; i++)
        if (b->references[i].column == column && dot_equal(b->references[i].version, shown))
            return b->references[i].birth;
    return (struct dot){0};
}

int reference_order(const struct reference *a, const struct reference *b)
{
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return dot_compare(a->version, b->version);
}

bool birth_has_version(const struct birth *b, const struct table_rules *rules, uint32_t column,
                       struct dot version)
{
    const struct cell *c = birth_find_cell(b, cell_of(rules, column));
    if (!c)
        return dot_equal(b->base, version);
    for (uint32_t i = 0; i < c->n; i++)
        if (dot_equal(c->v[i].dot, version))
            return true;
    return false;
}

void birth_refer(struct arena *a, struct birth *b, const struct table_rules *rules,
                 const struct reference *ref)
{
    uint32_t at = 0;
    if (!birth_has_version(b, rules, ref->column, ref->version))
        return;
    struct reference *all = arena_alloc(a, (b->n_references + 1) * sizeof *all);
    while (at < b->n_references && reference_order(&b->references[at], ref) < 0)
        at++;
    if (at)
        memcpy(all, b->references, at * sizeof *all);
    all[at] = *ref;
    if (at < b->n_references)
        memcpy(all + at + 1, b->references + at, (b->n_references - at) * sizeof *all);
    b->references = all;
    b->n_references++;
}

void birth_prune_references(struct birth *b, const struct table_rules *rules)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->n_references; i++)
        if (birth_has_version(b, rules, b->references[i].column, b->references[i].version))
            b->references[kept++] = b->references[i];
    b->n_references = kept;
}

struct value *birth_shown(struct arena *a, const struct birth *b, const struct table_rules *rules)
{
    struct value *v = arena_alloc(a, rules->n_columns * sizeof *v);
    for (uint32_t i = 0; b->values && i < rules->n_columns; i++)
        v[i] = b->values[i];
    for (uint32_t i = 0; i < b->n_cells; i++) {
        const struct cell *c = &b->cells[i];
        if (c->column == COLUMN_EXISTS || cell_is_sum(rules, c->column))
            continue;
        size_t shown = birth_choose(a, b, rules, c->column, c->v, c->n);
        cell_spread(a, rules, c->column, &c->v[shown].value, v);
    }
    return v;
}

bool birth_sums_stand(const struct birth *b, const struct table_rules *rules, uint32_t *column,
                      struct value *bad)
{
    for (uint32_t i = 0; i < rules->n_columns; i++) {
        if (!cell_is_sum(rules, i))
            continue;
        const struct cell *c = birth_find_cell(b, i);
        *bad = c ? c->v[c->n - 1].value : b->values ? b->values[i] : value_null();
        *column = i;
        if (c || (bad->type != VALUE_NULL && bad->type != VALUE_INTEGER))
            return false;
    }
    return true;
}

void birth_set_values(struct arena *a, struct birth *b, const struct table_rules *rules,
                      const struct value *values)
{
    b->values = arena_copy(a, values, rules->n_columns * sizeof *values);
    for (uint32_t i = 0; i < b->n_cells; i++) {
        struct cell *c = &b->cells[i];
        if (c->n == 1 && c->column != COLUMN_EXISTS && !cell_is_sum(rules, c->column))
            c->v[0].value = cell_gather(a, rules, c->column, values);
    }
}

struct version birth_rank(const struct birth *b, const struct table_rules *rules,
                          const uint32_t *columns, size_t n)
{
    struct version rank = {0};
    struct version base = {.dot = b->base, .hlc = b->base_hlc};
    for (size_t i = 0; i < n; i++) {
        const struct cell *c = birth_find_cell(b, cell_of(rules, columns[i]));
        const struct version *v = c ? c->v : &base;
        uint32_t count = c ? c->n : 1;
        for (uint32_t j = 0; j < count; j++)
            if (version_order(&v[j], &rank) > 0)
                rank = v[j];
    }
    rank.value = value_null();
    return rank;
}

static bool keeps_rank_of(const struct forget *f, const struct table_rules *rules, uint32_t cell)
{
    for (size_t i = 0; f->keep_rank && i < f->n_unique_columns; i++)
        if (cell_of(rules, f->unique_columns[i]) == cell)
            return true;
    return false;
}

/* Which of two alike values is shown must stay as it is once their authors are forgotten. Units
 * change while the offices are still forgetting, at different moments: where they choose, only
 * identical values are one. */
static bool chosen_by_unit(const struct table_rules *rules, uint32_t cell)
{
    enum policy p = policy_shown(rules, cell);
    return p == POLICY_OWNER || p == POLICY_NATIONAL || p == POLICY_LOCAL;
}

/* One value, and nothing still to come that has not seen it. */
static bool is_settled(const struct cell *c, const struct table_rules *rules,
                       const struct clock *stable)
{
    if (cell_is_sum(rules, c->column))
        return false;
    for (uint32_t i = 0; i < c->n; i++)
        if (!clock_covers(stable, c->v[i].dot) || !value_alike(&c->v[i].value, &c->v[0].value))
            return false;
    if (c->n > 1 && chosen_by_unit(rules, c->column))
        for (uint32_t i = 1; i < c->n; i++)
            if (!value_equal(&c->v[i].value, &c->v[0].value))
                return false;
    return true;
}

static bool is_gone(const struct birth *b, const struct table_rules *rules, const struct forget *f)
{
    const struct cell *c = birth_find_cell(b, COLUMN_EXISTS);
    return c && !birth_alive(b, rules) && is_settled(c, rules, f->stable);
}

static void forget_references(struct birth *b, const struct forget *f)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->n_references; i++) {
        struct dot parent = b->references[i].birth;
        if (f->keep_references || !clock_covers(f->stable, parent) ||
            is_among(f->parents, f->n_parents, parent))
            b->references[kept++] = b->references[i];
    }
    b->n_references = kept;
}

static bool has_references(const struct birth *b, const struct table_rules *rules, uint32_t cell)
{
    for (uint32_t i = 0; i < b->n_references; i++)
        if (cell_of(rules, b->references[i].column) == cell)
            return true;
    return false;
}

static bool may_go(const struct birth *b, const struct cell *c, const struct table_rules *rules,
                   const struct forget *f)
{
    if (keeps_rank_of(f, rules, c->column) || !is_settled(c, rules, f->stable))
        return false;
    return c->n == 1 || !has_references(b, rules, c->column);
}

static bool tells_values(const struct birth *b, const struct table_rules *rules)
{
    for (uint32_t i = 0; i < b->n_cells; i++) {
        const struct cell *c = &b->cells[i];
        for (uint32_t j = 0; c->column != COLUMN_EXISTS && j < c->n; j++)
            if (c->v[j].value.type != VALUE_NULL && !cell_is_sum(rules, c->column))
                return true;
    }
    return false;
}

/* What stands in no table has its values itself, also where only its cells tell some of them: an
 * entry that goes leaves what it showed, and unique values are claimed. */
static void keep_values(struct arena *a, struct birth *b, const struct table_rules *rules)
{
    bool stands = b->held == HOLD_NONE && birth_alive(b, rules);
    if (!b->values && !stands && tells_values(b, rules))
        b->values = birth_shown(a, b, rules);
}

static void forget_cells(struct birth *b, const struct table_rules *rules, const struct forget *f)
{
    if (!clock_covers(f->stable, b->base))
        return; /* an entry dropped now would show the base's dot instead */
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->n_cells; i++)
        if (!may_go(b, &b->cells[i], rules, f))
            b->cells[kept++] = b->cells[i];
    b->n_cells = kept;
    if (!f->keep_rank) {
        b->base = (struct dot){0};
        b->base_hlc = 0;
    }
    for (uint32_t i = 0; i < b->n_references; i++) /* what the entry showed stands */
        if (!birth_find_cell(b, cell_of(rules, b->references[i].column)))
            b->references[i].version = b->base;
}

static bool may_lose_name(const struct birth *b, const struct forget *f)
{
    if (dot_is_none(b->name))
        return false;
    return clock_covers(f->stable, b->name) && !is_among(f->keep, f->n_keep, b->name);
}

/* Who becomes the unnamed birth, of those that may lose their names: the first that is no twin and
 * lives. Where all were deleted since they became one, they are no twins any more: the one that had
 * been changed for all of them, else the first. n_births: nobody. */
static uint32_t loses_name(const struct row *r, const struct table_rules *rules,
                           const struct birth **twin_of, const struct forget *f)
{
    uint32_t dead = r->n_births;
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        if (!may_lose_name(b, f) || (twin_of && twin_of[i]))
            continue;
        if (birth_alive(b, rules))
            return i;
        if (dead == r->n_births || b->touched > r->births[dead].touched)
            dead = i;
    }
    return dead;
}

/* The birth `stays` loses its name: its twins, and who died with it, go (row_is_one). */
static void drop_merged(struct row *r, const struct table_rules *rules,
                        const struct birth **twin_of, uint32_t stays, const struct forget *f)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->n_births; i++) {
        bool goes = (twin_of && twin_of[i]) || !birth_alive(&r->births[i], rules);
        if (i == stays || !(goes && may_lose_name(&r->births[i], f)))
            r->births[kept++] = r->births[i];
    }
    r->n_births = kept;
}

/* One birth becomes the unnamed one. The hub lists the names of every other key with more than one
 * birth, so everywhere else it is alone then. Where one is unnamed here already, that was entered
 * in a capture gap and is nobody's: the other keeps its name here, so that the two stay apart, and
 * is whom everybody else means who names nobody (row_unnamed). */
static void forget_names(struct arena *a, struct row *r, const struct table_rules *rules,
                         const struct forget *f)
{
    if (r->n_births == 0 || (r->n_births == 1 && dot_is_none(r->births[0].name)))
        return;
    const struct birth **twin_of = row_twins(a, r, rules);
    uint32_t stays = loses_name(r, rules, twin_of, f);
    if (stays == r->n_births)
        return;
    struct dot name = r->births[stays].name;
    drop_merged(r, rules, twin_of, stays, f);
    if (dot_is_none(r->births[0].name))
        return;
    size_t at = (size_t)(row_find_birth(r, name) - r->births);
    struct birth b = r->births[at];
    memmove(r->births + 1, r->births, at * sizeof b);
    b.name = (struct dot){0};
    b.hlc = 0;
    b.touched = UNTOUCHED;
    b.has_born = false;
    b.n_seen = 0;
    memset(b.born, 0, sizeof b.born);
    r->births[0] = b;
}

struct birth *row_unnamed(struct arena *a, const struct row *r, const struct table_rules *rules,
                          const struct forget *f)
{
    uint32_t i = loses_name(r, rules, row_twins(a, r, rules), f);
    return i < r->n_births ? &r->births[i] : row_find_birth(r, (struct dot){0});
}

bool row_is_doubtful(const struct row *r, const struct forget *f, bool unknown)
{
    const struct birth *unnamed = row_find_birth(r, (struct dot){0});
    if (!unnamed || birth_gone(unnamed) || !dot_is_none(unnamed->base))
        return false; /* entered in no gap: its birth is on record; or dead, and never changed */
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        if (b == unnamed || birth_gone(b) || is_among(f->keep, f->n_keep, b->name))
            continue;
        if (unknown || clock_covers(f->stable, b->name))
            return true;
    }
    return false;
}

void row_forget(struct arena *a, struct row *r, const struct table_rules *rules,
                const struct forget *f)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->n_births; i++) {
        if (is_gone(&r->births[i], rules, f))
            continue;
        r->births[kept] = r->births[i];
        forget_references(&r->births[kept], f);
        keep_values(a, &r->births[kept], rules);
        forget_cells(&r->births[kept++], rules, f);
    }
    r->n_births = kept;
    forget_names(a, r, rules, f);
}

bool row_has_siblings(const struct row *r)
{
    for (uint32_t i = 0; i < r->n_births; i++)
        for (uint32_t j = 0; j < r->births[i].n_cells; j++)
            if (r->births[i].cells[j].n > 1)
                return true;
    return r->n_births > 1;
}

bool row_covered(const struct row *r, const struct clock *stable)
{
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        if (!clock_covers(stable, b->name) || !clock_covers(stable, b->base))
            return false;
        for (uint32_t j = 0; j < b->n_cells; j++) {
            const struct cell *c = &b->cells[j];
            for (uint32_t v = 0; v < c->n; v++)
                if (!clock_covers(stable, c->v[v].dot))
                    return false;
        }
    }
    return true;
}

bool row_is_settled(const struct row *r)
{
    if (r->n_births == 0)
        return true;
    const struct birth *b = r->births;
    return r->n_births == 1 && dot_is_none(b->name) && dot_is_none(b->base) && b->n_cells == 0 &&
           b->n_references == 0 && b->held == HOLD_NONE;
}
