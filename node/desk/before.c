/* What stood in a cell before its writers went different ways: the latest write to it that all
 * sides had seen, that is, whose dot the contexts of all sides cover. Looked for in the journal,
 * latest first.
 *
 * No write names the cell of existence: what stood before a delete beside an update is the row,
 * made of all writes to it that all sides had seen, the oldest first. */
#include "node/desk/review.h"

#include "node/journal/open.h"

#include <stdlib.h>
#include <string.h>

struct before_search {
    struct store *s;
    struct arena *a;
    const struct conflict_record *c;
    struct bytes key;
    struct dot birth;
    struct clock common; /* what every side had seen */
    struct opener opener;
};

static void meet(struct clock *c, const struct clock *other)
{
    struct clock both = {0};
    for (size_t i = 0; i < c->n; i++) {
        uint64_t seq = clock_get(other, c->entry[i].site);
        clock_set(&both, c->entry[i].site, seq < c->entry[i].seq ? seq : c->entry[i].seq);
    }
    clock_fini(c);
    *c = both;
}

/* ERR_NOT_FOUND when a side's changeset is not on record. */
static enum err read_contexts(struct before_search *b)
{
    struct arena scratch = {0};
    enum err e = b->c->n_sides > 0 ? ERR_OK : ERR_NOT_FOUND;
    for (size_t i = 0; e == ERR_OK && i < b->c->n_sides; i++) {
        struct item item;
        struct changeset cs;
        arena_reset(&scratch);
        e = store_journal_find(b->s, &scratch, b->c->sides[i].dot, &item);
        if (e == ERR_OK)
            e = part_open(b->s, &b->opener, &scratch, &item, &cs);
        if (e != ERR_OK)
            break;
        if (i == 0)
            clock_copy(&b->common, &cs.context);
        else
            meet(&b->common, &cs.context);
    }
    arena_fini(&scratch);
    return e;
}

static int latest_first(const void *x, const void *y)
{
    const struct item *p = x, *q = y;
    if (p->hlc != q->hlc)
        return p->hlc > q->hlc ? -1 : 1;
    return dot_compare(q->dot, p->dot);
}

/* The changesets that every side had seen and that may have touched the row. */
static enum err candidates(struct before_search *b, struct item **out, size_t *n)
{
    struct arena scratch = {0};
    uint64_t *pos;
    size_t found;
    enum err e = touch_find(b->s, b->a, b->c->table, b->key, &pos, &found);
    *out = arena_alloc(b->a, (found + 1) * sizeof **out);
    *n = 0;
    for (size_t i = 0; e == ERR_OK && i < found; i++) {
        struct item item;
        arena_reset(&scratch);
        e = part_item_at(b->s, &scratch, pos[i], &item);
        if (e == ERR_OK && clock_covers(&b->common, item.dot))
            (*out)[(*n)++] = (struct item){.pos = pos[i], .dot = item.dot, .hlc = item.hlc};
        if (e == ERR_NOT_FOUND) /* gone since the filters were read */
            e = ERR_OK;
    }
    if (*n > 1)
        qsort(*out, *n, sizeof **out, latest_first);
    arena_fini(&scratch);
    return e;
}

static bool same_identity(const struct before_search *b, const struct changeset *cs,
                          const struct row_change *rc)
{
    struct dot named = rc->kind == CHANGE_BORN ? cs->dot : rc->birth;
    return dot_is_none(b->birth) || dot_is_none(named) || dot_equal(named, b->birth);
}

/* What the change wrote into the cell; of a group all members, in the group's order. */
static bool written(const struct before_search *b, const struct table_changes *tc,
                    const struct row_change *rc, struct value *out)
{
    const struct table_schema *t = schema_table(b->s, b->c->table);
    if (t)
        return part_written(b->a, t, list_cell(t, b->c->cell), tc, rc, out);
    const struct value *v = part_value_of(tc, rc, b->c->cell);
    if (v)
        *out = value_copy(b->a, v);
    return v;
}

static enum err open_at(struct before_search *b, struct arena *scratch, uint64_t pos,
                        struct changeset *cs)
{
    struct item item;
    enum err e = part_item_at(b->s, scratch, pos, &item);
    return e == ERR_OK ? part_open(b->s, &b->opener, scratch, &item, cs) : e;
}

/* The side that the changeset opened last would be. */
static struct conflict_side side_from(const struct before_search *b, const struct changeset *cs)
{
    return (struct conflict_side){.office = arena_strdup(b->a, b->opener.record.node),
                                  .unit = arena_strdup(b->a, b->opener.record.unit),
                                  .at_hlc = cs->hlc,
                                  .dot = cs->dot};
}

/* *found: this changeset wrote the cell. */
static enum err look(struct before_search *b, struct arena *scratch, uint64_t pos,
                     struct conflict_side *out, bool *found)
{
    struct changeset cs;
    const struct table_changes *tc;
    const struct row_change *rc;
    struct change_place at = {0};
    enum err e = open_at(b, scratch, pos, &cs);
    if (e != ERR_OK)
        return e;
    while ((rc = part_next_change(&cs, b->c->table, b->key, &at, &tc)) && !*found) {
        struct value value;
        if (!same_identity(b, &cs, rc) || !written(b, tc, rc, &value))
            continue;
        *found = true;
        *out = side_from(b, &cs);
        out->value = value;
    }
    return ERR_OK;
}

struct row_before {
    const struct table_schema *t;
    struct value *values;
    bool whole; /* its birth was found: all values are known */
    bool alive, found;
};

static void overlay(struct before_search *b, const struct table_changes *tc,
                    const struct row_change *rc, struct row_before *r)
{
    if (rc->kind == CHANGE_BORN) {
        r->values = arena_alloc(b->a, r->t->n_columns * sizeof *r->values);
        r->whole = true;
    }
    r->found = true;
    r->alive = rc->kind != CHANGE_DELETE;
    for (uint32_t i = 0; r->whole && i < rc->n_cells; i++) {
        uint32_t c = schema_column(r->t, tc->columns[rc->column[i]]);
        const struct value *v = &rc->value[i];
        if (c == UINT32_MAX)
            continue;
        if (v->type == VALUE_WIDE && value_is_count(&r->values[c])) /* a sum's delta */
            r->values[c] = value_wide(b->a, value_count(&r->values[c]) + value_count(v));
        else
            r->values[c] = value_copy(b->a, v);
    }
}

/* Everything that all sides had seen of the row, the oldest first. */
static enum err look_row(struct before_search *b, const struct item *list, size_t n,
                         struct conflict_side *out, bool *found)
{
    struct arena scratch = {0};
    struct row_before r = {.t = schema_table(b->s, b->c->table)};
    enum err e = ERR_OK;
    for (size_t i = r.t ? n : 0; e == ERR_OK && i-- > 0;) {
        struct changeset cs;
        const struct table_changes *tc;
        const struct row_change *rc;
        struct change_place at = {0};
        arena_reset(&scratch);
        e = open_at(b, &scratch, list[i].pos, &cs);
        while (e == ERR_OK && (rc = part_next_change(&cs, b->c->table, b->key, &at, &tc))) {
            if (!same_identity(b, &cs, rc))
                continue;
            overlay(b, tc, rc, &r);
            *out = side_from(b, &cs);
        }
    }
    *found = e == ERR_OK && r.found;
    out->value = value_integer(r.alive);
    if (r.whole && r.alive)
        out->detail = schema_row_json(b->a, r.t, r.values);
    arena_fini(&scratch);
    return e;
}

enum err conflict_before(struct store *s, struct arena *a, const struct conflict_record *c,
                         struct bytes key, struct dot birth, struct conflict_side *before,
                         bool *has_before)
{
    struct before_search b = {.s = s, .a = a, .c = c, .key = key, .birth = birth};
    struct arena scratch = {0};
    struct item *list = NULL;
    size_t n = 0;
    *has_before = false;
    enum err e = schema_load(s);
    if (e == ERR_OK)
        e = read_contexts(&b);
    if (e == ERR_OK)
        e = candidates(&b, &list, &n);
    bool exists = strcmp(c->cell, "exists") == 0;
    if (e == ERR_OK && exists)
        e = look_row(&b, list, n, before, has_before);
    for (size_t i = 0; e == ERR_OK && !exists && i < n && !*has_before; i++) {
        arena_reset(&scratch);
        e = look(&b, &scratch, list[i].pos, before, has_before);
    }
    clock_fini(&b.common);
    part_opener_fini(&b.opener);
    arena_fini(&scratch);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}
