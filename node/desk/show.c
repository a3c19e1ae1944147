/* One conflict with all that is known of it: what stood before, what is in force now, and what
 * people decided about it. */
#include "node/desk/review.h"

#include "conflict/hlc.h"
#include "node/db/sqlite.h"

#include <string.h>

/* ---- decisions */

#define DECISION_SQL                                                                               \
    "SELECT id, conflict, choice, operator, office, reason, at_ms FROM tonle_decision"

static struct decision_record decision_from(struct arena *a, sqlite3_stmt *q)
{
    return (struct decision_record){.id = store_column_text(a, q, 0),
                                    .conflict = store_column_text(a, q, 1),
                                    .choice = store_column_text(a, q, 2),
                                    .by = store_column_text(a, q, 3),
                                    .office = store_column_text(a, q, 4),
                                    .reason = store_column_text(a, q, 5),
                                    .at_ms = store_column_u64(q, 6)};
}

/* Every decision about this cell of this row, oldest first. */
static enum err decisions_of(struct store *s, struct arena *a, const struct conflict_record *c,
                             struct decision_record **out, size_t *n)
{
    sqlite3_stmt *q = store_stmt(s, DECISION_SQL " WHERE table_name = ?1 AND key = ?2 AND cell = ?3"
                                                 " AND subject = 'conflict' ORDER BY at_ms, id");
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, c->table);
    store_bind_text(q, 2, c->key_json);
    store_bind_text(q, 3, c->cell);
    size_t cap = 0;
    enum err e;
    bool row;
    while ((e = store_step(s, q, &row)) == ERR_OK && row) {
        *out = arena_grow(a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = decision_from(a, q);
    }
    return e;
}

/* The changeset a decision came in, while it is on record; afterwards none. */
static enum err decision_dot(struct store *s, struct arena *a, const char *id, struct dot *dot)
{
    const struct table_schema *t = schema_table(s, "tonle_decision");
    struct value key = value_text(id);
    struct buf b = {0};
    struct row row;
    *dot = (struct dot){0, 0};
    if (!t)
        return ERR_OK;
    key_encode(&b, &key, 1);
    enum err e = row_load(s, a, (struct row_key){t, b.data, b.len}, &row, NULL);
    if (e == ERR_OK && row.n_births > 0)
        *dot = row.births[0].name;
    buf_fini(&b);
    return e;
}

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
    enum err e = decisions_of(s, a, c, &all, &n);
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
    const struct cell_group *g = cell < t->n_columns ? cell_group_of(&t->rules, cell) : NULL;
    if (cell >= t->n_columns)
        return value_null();
    if (!g)
        return value_copy(a, &values[cell]);
    struct value *member = arena_alloc(a, g->n * sizeof *member);
    for (uint32_t i = 0; i < g->n; i++)
        member[i] = values[g->column[i]];
    return value_tuple(a, member, g->n);
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
    const struct value *values = b->values ? review_values(&r, b) : r.stand;
    if (!values)
        return ERR_OK;
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
        e = part_before(s, a, out, place.key, place.birth, &more->before, &more->has_before);
    if (e == ERR_OK)
        e = read_decisions(s, a, out, more);
    return e == ERR_OK ? read_now(s, a, out, &place, more) : e;
}
