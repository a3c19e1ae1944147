/* One conflict with all that is known of it: what stood before, what is in force now, and what
 * people decided about it. */
#include "node/desk/review.h"

#include "conflict/hlc.h"
#include "node/record/table.h"

#include <string.h>

/* ---- decisions */

/* The decision that a side is: the one of its changeset. Where that is settled and forgotten, the
 * last one made at its office before the side was sealed. None about this very conflict, whose
 * sides it has seen. */
static enum err made(struct store *s, struct arena *a, const struct conflict_record *c,
                     struct conflict_side *side, const struct decision_record *list, size_t n)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        struct dot dot;
        if (strcmp(list[i].office, side->office) != 0 || strcmp(list[i].conflict, c->id) == 0)
            continue;
        e = decision_dot(s, a, list[i].id, &dot);
        if (dot_is_none(dot) ? list[i].at_ms <= hlc_ms(side->at_hlc) : dot_equal(dot, side->dot))
            side->decision = &list[i];
    }
    return e;
}

static enum err read_decisions(struct store *s, struct arena *a, struct conflict_record *c,
                               struct conflict_more *more)
{
    struct decision_record *all = NULL;
    size_t n = 0;
    const struct subject about = {.table = c->table, .key_json = c->key_json, .cell = c->cell};
    enum err e = decisions_about(s, a, &about, &all, &n);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; e == ERR_OK && i < c->n_sides; i++)
        e = made(s, a, c, &c->sides[i], all, n);
    more->decisions = arena_alloc(a, (n + 1) * sizeof *more->decisions);
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i].conflict, c->id) == 0)
            more->decisions[more->n_decisions++] = all[i];
    return e;
}

/* ---- what is in force */

static struct value shown_now(struct arena *a, const struct table_schema *t, uint32_t cell,
                              const struct value *values)
{
    if (cell >= t->n_columns)
        return value_null();
    struct value now = cell_gather(a, &t->rules, cell, values);
    return value_copy(a, &now);
}

static enum err read_now(struct store *s, struct arena *a, const struct conflict_record *c,
                         const struct conflict_place *place, struct conflict_more *more)
{
    const struct table_schema *t = place->t;
    struct reviewed r;
    more->standing = "gone";
    if (!t || !t->exists)
        return ERR_OK;
    enum err e = review_row(s, a, (struct row_key){t, place->key.p, place->key.len}, &r);
    uint32_t cell = list_cell(t, c->cell);
    const struct birth *b =
        cell == COLUMN_BIRTH ? row_standing(&r.row, &t->rules) : review_birth(&r, place->birth);
    if (e != ERR_OK || !b)
        return e;
    bool alive = birth_alive(b, &t->rules);
    more->standing = !alive ? "deleted" : b->held != HOLD_NONE ? "held" : "stands";
    if (part_birth_unknown(a, t, b))
        return ERR_OK;
    const struct value *values = review_values(&r, b);
    more->now = shown_now(a, t, cell, values);
    more->now_row = schema_row_json(a, t, values);
    return ERR_OK;
}

enum err store_conflict_get(struct store *s, struct arena *a, const char *id,
                            struct conflict_record *out, struct conflict_more *more)
{
    struct conflict_place place;
    *more = (struct conflict_more){0};
    enum err e = list_conflict(s, a, id, out, &place);
    if (e == ERR_OK)
        e = conflict_before(s, a, out, place.key, place.birth, &more->before, &more->has_before);
    if (e == ERR_OK)
        e = read_decisions(s, a, out, more);
    return e == ERR_OK ? read_now(s, a, out, &place, more) : e;
}
