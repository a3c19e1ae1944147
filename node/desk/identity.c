/* Whose row a conflict is about now. A closed conflict outlives its row, and a birth that has lost
 * its name does not tell whose it is: what was entered and deleted behind the conflict is read from
 * the journal. */
#include "node/desk/resolve.h"

#include "conflict/twin.h"
#include "node/journal/journal.h"
#include "node/journal/open.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum err resolve_gone(const struct resolving *r, const char *why)
{
    return store_fail(r->s, ERR_STATE, "the row %.100s of %.64s %s", r->c.key_json, r->c.table,
                      why);
}

enum err resolve_nothing(const struct resolving *r, const char *why)
{
    return store_fail(r->s, ERR_NOTHING, "the row %.100s of %.64s %s", r->c.key_json, r->c.table,
                      why);
}

static bool has_dot(const struct dots *list, struct dot d)
{
    for (size_t i = 0; i < list->n; i++)
        if (dot_equal(list->d[i], d))
            return true;
    return false;
}

static void add_dot(struct resolving *r, struct dots *list, struct dot d)
{
    list->d = arena_grow(r->a, list->d, list->n, &list->cap, sizeof *list->d);
    list->d[list->n++] = d;
}

/* The unnamed one is the oldest of all. */
static void take_dot(struct dots *list, struct dot d)
{
    for (size_t i = 0; i < list->n; i++) {
        if (!dot_is_none(d) && !dot_equal(list->d[i], d))
            continue;
        memmove(&list->d[i], &list->d[i + 1], (list->n - i - 1) * sizeof d);
        list->n--;
        return;
    }
}

/* The first of these that is not on record by its name: no more than one has none. */
static struct dot first_unnamed(const struct resolving *r, const struct dots *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (!row_find_birth(&r->row.row, list->d[i]))
            return list->d[i];
    return (struct dot){0, 0};
}

static int by_hlc(const void *x, const void *y)
{
    const struct conflict_side *a = x, *b = y;
    if (a->at_hlc != b->at_hlc)
        return a->at_hlc < b->at_hlc ? -1 : 1;
    return dot_compare(a->dot, b->dot);
}

static void list_sides(struct resolving *r)
{
    struct conflict_side *side = arena_copy(r->a, r->c.sides, r->c.n_sides * sizeof *side);
    qsort(side, r->c.n_sides, sizeof *side, by_hlc);
    for (size_t i = 0; i < r->c.n_sides; i++)
        add_dot(r, &r->left, side[i].dot);
}

static bool is_decision_about(const struct resolving *r, const struct table_changes *tc)
{
    for (uint32_t i = 0; strcmp(tc->table, "tonle_decision") == 0 && i < tc->n_rows; i++) {
        const struct row_change *rc = &tc->rows[i];
        for (uint32_t c = 0; c < rc->n_cells; c++) {
            const struct value *v = &rc->value[c];
            if (strcmp(tc->columns[rc->column[c]], "conflict") == 0 && v->type == VALUE_TEXT &&
                v->len == strlen(r->c.id) && memcmp(v->u.p, r->c.id, v->len) == 0)
                return true;
        }
    }
    return false;
}

static bool decides(const struct resolving *r, const struct changeset *cs)
{
    for (uint32_t i = 0; i < cs->n_segments; i++)
        for (uint32_t j = 0; j < cs->segments[i].n_tables; j++)
            if (is_decision_about(r, &cs->segments[i].tables[j]))
                return true;
    return false;
}

static enum err entered_behind(struct resolving *r, uint64_t pos, uint64_t newest)
{
    struct arena scratch = {0};
    struct opener opener = {0};
    struct item item;
    struct changeset cs = {0};
    enum err e = part_item_at(r->s, &scratch, pos, &item);
    bool behind = e == ERR_OK && item.hlc > newest, born = false;
    if (behind)
        e = part_open(r->s, &opener, &scratch, &item, &cs);
    struct change_place at = {0};
    const struct table_changes *tc;
    const struct row_change *rc;
    while (behind && e == ERR_OK &&
           (rc = part_next_change(&cs, r->c.table, r->place.key, &at, &tc))) {
        if (rc->kind == CHANGE_DELETE)
            take_dot(&r->left, rc->birth);
        born = born || rc->kind == CHANGE_BORN;
    }
    if (born && decides(r, &cs)) {
        add_dot(r, &r->again, item.dot);
        add_dot(r, &r->left, item.dot);
    } else if (born) {
        add_dot(r, &r->later, item.dot);
    }
    part_opener_fini(&opener);
    arena_fini(&scratch);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* A row that a decision entered again is the one that the conflict is about now. */
static void follow(struct resolving *r)
{
    for (size_t i = r->again.n; i > 0; i--) {
        if (row_find_birth(&r->row.row, r->again.d[i - 1])) {
            r->place.birth = r->again.d[i - 1];
            return;
        }
    }
}

/* A closed conflict outlives its row, and a birth that has lost its name does not tell whose it is:
 * where another was entered since, it may be that one's. */
enum err resolve_identity(struct resolving *r)
{
    uint64_t *pos, newest = 0;
    size_t n = 0;
    assert(r->left.n == 0 && r->again.n == 0 && r->later.n == 0);
    list_sides(r);
    if (strcmp(r->c.state, "open") == 0)
        return ERR_OK;
    for (size_t i = 0; i < r->c.n_sides; i++)
        newest = r->c.sides[i].at_hlc > newest ? r->c.sides[i].at_hlc : newest;
    enum err e = touch_find(r->s, r->a, r->c.table, r->place.key, &pos, &n);
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        e = entered_behind(r, pos[i], newest);
    bool named = !dot_is_none(r->place.birth) && row_find_birth(&r->row.row, r->place.birth);
    bool unnamed = row_find_birth(&r->row.row, (struct dot){0, 0});
    if (e == ERR_OK && !named)
        follow(r);
    return e == ERR_OK && unnamed && !named && !dot_is_none(first_unnamed(r, &r->later))
               ? resolve_gone(r,
                              "was deleted and entered again since: this conflict is about the one "
                              "before; the new one can be changed with any application")
               : e;
}

static bool is_side(const struct resolving *r, struct dot d)
{
    for (size_t i = 0; i < r->c.n_sides; i++)
        if (dot_equal(r->c.sides[i].dot, d))
            return true;
    return false;
}

/* No decision about this conflict may touch somebody who was entered under the key since. */
enum err resolve_no_stranger(const struct resolving *r)
{
    bool open = strcmp(r->c.state, "open") == 0;
    for (uint32_t i = 0; !open && i < r->row.row.n_births; i++) {
        const struct birth *b = &r->row.row.births[i];
        bool twin = row_twin_of(r->a, &r->row.row, &r->place.t->rules, b);
        if (!dot_is_none(b->name) && birth_alive(b, &r->place.t->rules) && !twin &&
            !is_side(r, b->name) && !dot_equal(b->name, r->place.birth) &&
            !has_dot(&r->again, b->name))
            return resolve_gone(
                r, "is not the one that this conflict is about: another was entered under "
                   "its key since; give the old one a key of its own with an application");
    }
    return ERR_OK;
}

struct birth *resolve_entered(const struct resolving *r, const struct conflict_side *side)
{
    struct birth *b = row_find_birth(&r->row.row, side->dot);
    const struct birth *counts = NULL; /* for a twin */
    if (b)
        counts = row_twin_of(r->a, &r->row.row, &r->place.t->rules, b);
    if (counts)
        return (struct birth *)counts;
    return b || !dot_equal(first_unnamed(r, &r->left), side->dot)
               ? b
               : row_find_birth(&r->row.row, (struct dot){0, 0});
}
