/* A person decides a conflict.
 *
 * cell      --take DOT                        --set COL=VALUE   --keep-both
 * column    UPDATE of it with that value      UPDATE            -
 * group     UPDATE of all its columns         UPDATE            -
 * exists    alive: UPDATE without columns     UPDATE            -
 *           (a dead birth comes back whole)       (one that all agree is dead, or have forgotten:
 *                                                  as a new birth)
 *           dead: DELETE
 * birth     that one lives, the others go     -                 each held one is born again under a
 *           (DELETE of each)                                    key of its own
 *
 * Each is queued under the birth's name and sealed in a context that has seen every side, so the
 * conflict closes wherever it arrives. The same write is possible again later: the sides keep their
 * values. What would change nothing (the conflict is closed, and the row is so already) is not
 * written: ERR_NOTHING says so. */
#include "node/desk/resolve.h"

#include "conflict/twin.h"
#include "node/capture/capture.h"

#include <assert.h>
#include <string.h>

static bool is_alive(const struct resolving *r, const struct birth *b)
{
    return birth_alive(b, &r->place.t->rules);
}

/* A living birth that somebody is told about: no twin. */
static bool is_rival(const struct resolving *r, const struct birth *b)
{
    return is_alive(r, b) && !row_twin_of(r->a, &r->row.row, &r->place.t->rules, b);
}

/* ---- finding everything */

/* The row as it was at a side, where the record keeps it: of a birth, and of what was alive beside
 * a delete. */
static struct value *recorded(const struct resolving *r, const struct conflict_side *side)
{
    return side->detail ? review_row_values(r->a, r->place.t, side->detail) : NULL;
}

static const struct value *right_values(const struct resolving *r)
{
    const struct birth *b = review_birth(&r->row, r->place.birth);
    const struct value *values = NULL;
    if (r->row.stand)
        return r->row.stand;
    if (!b && r->row.row.n_births > 0)
        b = &r->row.row.births[0];
    if (b)
        return review_values(&r->row, b);
    for (size_t i = 0; i < r->c.n_sides && !values; i++)
        values = recorded(r, &r->c.sides[i]);
    return values;
}

static enum err find_row(struct resolving *r, const char *id)
{
    enum err e = list_conflict(r->s, r->a, id, &r->c, &r->place);
    if (e != ERR_OK)
        return e;
    if (strcmp(r->c.state, "superseded") == 0 && r->c.successor[0] != '\0')
        return store_fail(r->s, ERR_STATE,
                          "another office has joined in: the conflict is %s now, decide that one",
                          r->c.successor);
    const struct table_schema *t = r->place.t;
    r->cell = t ? list_cell(t, r->c.cell) : CELL_UNKNOWN;
    if (!t || r->cell == CELL_UNKNOWN)
        return store_fail(r->s, ERR_STATE,
                          "%.64s of table %.64s is not in the charter any more: nothing is left to "
                          "decide",
                          r->c.cell, r->c.table);
    e = review_row(r->s, r->a, (struct row_key){t, r->place.key.p, r->place.key.len}, &r->row);
    return e == ERR_OK ? resolve_identity(r) : e;
}

static enum err find(struct resolving *r, const char *id)
{
    enum err e = find_row(r, id);
    return e == ERR_OK ? review_allowed(r->s, r->a, r->place.t, right_values(r)) : e;
}

enum err store_conflict_may(struct store *s, struct arena *a, const char *id)
{
    struct resolving r = {.s = s, .a = a};
    return find(&r, id);
}

enum err store_conflict_decider(struct store *s, struct arena *a, const char *id,
                                struct decider *out)
{
    struct resolving r = {.s = s, .a = a};
    enum err e = find_row(&r, id);
    return e == ERR_OK ? review_decider(s, a, r.place.t, right_values(&r), out) : e;
}

/* "hub (2 sides), province" */
static const char *offices_of(struct arena *a, const struct conflict_record *c)
{
    struct buf b = {0};
    for (size_t i = 0; i < c->n_sides; i++) {
        size_t first = 0, same = 0;
        while (strcmp(c->sides[first].office, c->sides[i].office) != 0)
            first++;
        for (size_t j = i; j < c->n_sides; j++)
            same += strcmp(c->sides[j].office, c->sides[i].office) == 0;
        if (first < i || c->sides[i].office[0] == '\0')
            continue;
        buf_printf(&b, "%s%.64s", b.len > 0 ? ", " : "", c->sides[i].office);
        if (same > 1)
            buf_printf(&b, " (%zu sides)", same);
    }
    const char *text = arena_strdup(a, buf_str(&b));
    buf_fini(&b);
    return text;
}

enum err store_conflict_side_of(struct store *s, struct arena *a, const char *id,
                                const char *office, struct dot *dot)
{
    struct conflict_record c;
    struct conflict_place place;
    size_t n = 0;
    enum err e = list_conflict(s, a, id, &c, &place);
    for (size_t i = 0; e == ERR_OK && i < c.n_sides; i++) {
        if (strcmp(c.sides[i].office, office) != 0)
            continue;
        *dot = c.sides[i].dot;
        n++;
    }
    if (e != ERR_OK || n == 1)
        return e;
    return store_fail(s, ERR_USAGE,
                      n == 0 ? "no side of this conflict is of an office %.64s; its sides are of "
                               "%.200s: name one of them, or a DOT (`tonle conflict show %.12s`)"
                             : "more than one side of this conflict is of the office %.64s (of "
                               "%.200s): give the DOT of the one you mean (`tonle conflict show "
                               "%.12s`)",
                      office, offices_of(a, &c), c.id);
}

static const struct conflict_side *side_of(const struct resolving *r, struct dot dot)
{
    for (size_t i = 0; i < r->c.n_sides; i++)
        if (dot_equal(r->c.sides[i].dot, dot))
            return &r->c.sides[i];
    return NULL;
}

static const struct conflict_side *side_shown(const struct resolving *r)
{
    for (size_t i = 0; i < r->c.n_sides; i++)
        if (r->c.sides[i].shown)
            return &r->c.sides[i];
    return NULL;
}

/* ---- columns and groups */

static bool in_cell(const struct resolving *r, uint32_t column)
{
    return cell_of(&r->place.t->rules, column) == r->cell;
}

static enum err living(const struct resolving *r, struct birth **b)
{
    *b = review_birth(&r->row, r->place.birth);
    if (!*b)
        return resolve_gone(
            r, "is not here any more: to have it again, insert it with an application");
    if (!birth_alive(*b, &r->place.t->rules))
        return resolve_gone(
            r, "was deleted: to have it again, insert it with an application, or take the "
               "living side of the conflict about its deletion (`tonle conflict list`)");
    return ERR_OK;
}

/* Nothing is left to decide about the cell: the conflict is closed, no other stands open in it, and
 * no decision waits for its seal. */
static enum err is_settled(const struct resolving *r, const struct birth *b, bool *yes)
{
    const struct cell *c = b ? birth_find_cell(b, r->cell) : NULL;
    bool queued = false;
    enum err e = todo_has(r->s, r->row.k, &queued);
    *yes = !queued && strcmp(r->c.state, "open") != 0 && (!c || c->n < 2);
    return e;
}

/* *yes: is_settled, and the living row has these values. */
static enum err is_so(const struct resolving *r, const struct birth *b, const struct typed *want,
                      bool *yes)
{
    const struct table_schema *t = r->place.t;
    const struct value *now = review_values(&r->row, b);
    enum err e = is_settled(r, b, yes);
    *yes = *yes && birth_alive(b, &t->rules);
    for (uint32_t c = 0; *yes && c < t->n_columns; c++)
        *yes = !want->given[c] || value_equal(&want->value[c], &now[c]);
    return e;
}

/* Writes what was given into the birth, unless that is so already. */
static enum err update(const struct resolving *r, const struct birth *b, const struct typed *want)
{
    bool so;
    enum err e = is_so(r, b, want, &so);
    if (e == ERR_OK && so)
        return resolve_nothing(r, "is as this decision would make it, and the conflict is closed: "
                                  "nothing is changed");
    return e == ERR_OK ? review_update(&r->row, b, want) : e;
}

/* The side's value, column by column. */
static enum err side_columns(const struct resolving *r, const struct value *v, struct typed *out)
{
    const struct table_schema *t = r->place.t;
    const struct cell_group *g = cell_group_of(&t->rules, r->cell);
    out->given = arena_alloc(r->a, t->n_columns + 1);
    out->value = arena_alloc(r->a, (t->n_columns + 1) * sizeof *out->value);
    if (!g) {
        out->given[r->cell] = true;
        out->value[r->cell] = *v;
        return v->type == VALUE_TUPLE ? ERR_MALFORMED : ERR_OK;
    }
    struct value *member = arena_alloc(r->a, g->n * sizeof *member);
    enum err e = v->type == VALUE_TUPLE ? value_tuple_split(v, member, g->n) : ERR_MALFORMED;
    for (uint32_t i = 0; e == ERR_OK && i < g->n; i++) {
        out->given[g->column[i]] = true;
        out->value[g->column[i]] = member[i];
    }
    return e;
}

static enum err take_columns(struct resolving *r, const struct conflict_side *side)
{
    struct birth *b;
    struct typed columns;
    enum err e = living(r, &b);
    if (e != ERR_OK)
        return e;
    if (side_columns(r, &side->value, &columns) != ERR_OK)
        return store_fail(r->s, ERR_STATE,
                          "the charter groups the columns of this conflict in another way now: "
                          "give the values with --set");
    buf_printf(&r->choice, "%s, as written at %s", review_words_of(r->a, r->place.t, &columns),
               side->office[0] != '\0' ? side->office : "an office");
    return update(r, b, &columns);
}

static enum err set_columns(struct resolving *r)
{
    const struct table_schema *t = r->place.t;
    struct birth *b = review_birth(&r->row, r->place.birth);
    enum err e = ERR_OK;
    if (r->cell != COLUMN_EXISTS)
        e = living(r, &b);
    else if (!b)
        e = resolve_gone(r,
                         "is not here any more: to have it again, insert it with an application");
    for (uint32_t c = 0; e == ERR_OK && c < t->n_columns; c++)
        if (r->typed.given[c] && r->cell != COLUMN_EXISTS && !in_cell(r, c))
            e = store_fail(r->s, ERR_USAGE,
                           "this conflict is about %.64s: --set takes its columns only; %.64s can "
                           "be written with any application",
                           r->c.cell, t->column[c]);
    for (uint32_t i = 0; e == ERR_OK && i < t->n_key; i++)
        if (r->typed.given[t->key[i]])
            e = store_fail(r->s, ERR_USAGE, "%.64s is of the key and stays as it is",
                           t->column[t->key[i]]);
    if (e != ERR_OK)
        return e;
    buf_printf(&r->choice, "%s", review_words_of(r->a, t, &r->typed));
    return update(r, b, &r->typed);
}

/* ---- existence */

/* What everybody has forgotten comes back with the values on record, as a new birth. */
static enum err enter_again(struct resolving *r, const struct conflict_side *side)
{
    struct value *values = recorded(r, side);
    enum err e = resolve_no_stranger(r);
    if (e == ERR_OK && !values)
        e = resolve_gone(r,
                         "is not here any more: to have it again, insert it with an application");
    return e == ERR_OK ? review_queue_birth(&r->row, r->row.k, values) : e;
}

static enum err take_existence(struct resolving *r, const struct conflict_side *side)
{
    const struct table_schema *t = r->place.t;
    struct birth *b = review_birth(&r->row, r->place.birth);
    bool alive = side->value.type == VALUE_INTEGER && side->value.u.i != 0;
    if (!b && !alive)
        return resolve_nothing(r, "is not here any more: it is deleted already");
    struct typed none = {.given = arena_alloc(r->a, t->n_columns + 1)};
    buf_printf(&r->choice, alive ? "the row stays" : "the row is deleted");
    if (!b)
        return enter_again(r, side);
    if (alive)
        return update(r, b, &none);
    bool settled;
    enum err e = is_settled(r, b, &settled);
    if (e == ERR_OK && settled && !is_alive(r, b))
        return resolve_nothing(r, "is deleted already, and the conflict is closed: nothing is "
                                  "changed");
    return e == ERR_OK ? review_delete(&r->row, b) : e;
}

/* ---- births */

static enum err take_birth(struct resolving *r, const struct conflict_side *side)
{
    struct row *row = &r->row.row;
    struct birth *chosen = resolve_entered(r, side);
    struct typed none = {.given = arena_alloc(r->a, r->place.t->n_columns + 1)};
    uint32_t others = 0;
    enum err e = resolve_no_stranger(r);
    bool dead = !chosen || !is_alive(r, chosen);
    for (uint32_t i = 0; e == ERR_OK && i < row->n_births; i++) {
        if (&row->births[i] == chosen || !is_rival(r, &row->births[i]))
            continue;
        e = review_delete(&r->row, &row->births[i]);
        others++;
    }
    if (e == ERR_OK && dead)
        e = chosen ? review_update(&r->row, chosen, &none) : enter_again(r, side);
    if (e == ERR_OK && !dead && others == 0)
        return resolve_nothing(
            r, "is the only one of its key already: there is nothing left to decide");
    buf_printf(&r->choice, "the record entered at %s stands; %u dropped",
               side->office[0] != '\0' ? side->office : "an office", others);
    return e;
}

/* The birth that keeps the key: the one that stands, else the first. */
static const struct birth *keeper(const struct resolving *r)
{
    const struct birth *b = row_standing(&r->row.row, &r->place.t->rules);
    for (uint32_t i = 0; !b && i < r->row.row.n_births; i++)
        if (is_rival(r, &r->row.row.births[i]))
            b = &r->row.row.births[i];
    return b;
}

static enum err give_key(struct resolving *r, struct birth *b)
{
    const struct table_schema *t = r->place.t;
    struct value *values = review_values(&r->row, b);
    bool named = review_key_changes(t, &r->typed, values);
    enum err e = ERR_OK;
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (r->typed.given[c])
            values[c] = r->typed.value[c];
    if (!named && r->review->n_set > 0)
        return store_fail(r->s, ERR_USAGE,
                          "--set must give the second row another key: --set %.64s=VALUE",
                          t->column[t->key[t->n_key - 1]]);
    if (!named)
        e = review_free_key(&r->row, b, values);
    if (e == ERR_OK)
        e = review_rename(&r->row, b, values);
    struct buf key = {0};
    schema_key_encode(t, values, &key);
    buf_printf(&r->choice, "%s %s", r->choice.len > 0 ? "," : "both stay; the other one becomes",
               schema_key_json(r->a, t, key.data, key.len));
    buf_fini(&key);
    return e;
}

static enum err keep_both(struct resolving *r)
{
    struct row *row = &r->row.row;
    const struct birth *keep = keeper(r);
    uint32_t others = 0;
    enum err e = resolve_no_stranger(r);
    if (r->cell != COLUMN_BIRTH)
        return store_fail(r->s, ERR_USAGE,
                          "--keep-both is for two records under one key; this conflict is about "
                          "%.64s: take a side with --take, or give the value with --set",
                          r->c.cell);
    for (uint32_t i = 0; i < row->n_births; i++)
        others += &row->births[i] != keep && is_rival(r, &row->births[i]);
    if (e == ERR_OK && others == 0)
        e = resolve_nothing(
            r, "is the only one of its key already: there is nothing left to decide; a record "
               "that was dropped comes back with --take");
    if (e == ERR_OK && others > 1 && r->review->n_set > 0)
        return store_fail(r->s, ERR_USAGE,
                          "%u records wait for a key of their own: name each with `tonle held set`",
                          others);
    for (uint32_t i = 0; e == ERR_OK && i < row->n_births; i++)
        if (&row->births[i] != keep && is_rival(r, &row->births[i]))
            e = give_key(r, &row->births[i]);
    return e;
}

/* ---- the whole */

static enum err take(struct resolving *r, enum resolution how, struct dot dot)
{
    const struct conflict_side *side = how == RESOLVE_SHOWN ? side_shown(r) : side_of(r, dot);
    if (!side)
        return store_fail(r->s, ERR_USAGE,
                          "this conflict has no side %016llx:%llu: `tonle conflict show %.40s` "
                          "lists them",
                          (unsigned long long)dot.site, (unsigned long long)dot.seq, r->c.id);
    switch (r->cell) {
    case COLUMN_EXISTS:
        return take_existence(r, side);
    case COLUMN_BIRTH:
        return take_birth(r, side);
    default:
        return take_columns(r, side);
    }
}

static enum err decide(struct resolving *r, enum resolution how, struct dot dot)
{
    switch (how) {
    case RESOLVE_BOTH:
        return keep_both(r);
    case RESOLVE_SET:
        return r->cell != COLUMN_BIRTH
                   ? set_columns(r)
                   : store_fail(r->s, ERR_USAGE,
                                "two records stand under one key: say which with --take, or give "
                                "one another key with --keep-both");
    default:
        return take(r, how, dot);
    }
}

enum err store_conflict_resolve(struct store *s, struct arena *a, const char *id,
                                enum resolution how, struct dot dot, const struct review *review,
                                const char **decision)
{
    struct resolving r = {.s = s, .a = a, .review = review};
    assert(s->in_write);
    enum err e = find(&r, id);
    if (e == ERR_OK)
        e = review_sealed(&r.row);
    if (e == ERR_OK)
        e = review_typed(s, a, r.place.t, review, &r.typed);
    if (e == ERR_OK)
        e = decide(&r, how, dot);
    const struct subject about = {.what = "conflict",
                                  .id = r.c.id,
                                  .table = r.c.table,
                                  .key_json = r.c.key_json,
                                  .cell = r.c.cell};
    if (e == ERR_OK)
        e = review_record(s, a, &about, buf_str(&r.choice), review, decision);
    buf_fini(&r.choice);
    return e;
}
