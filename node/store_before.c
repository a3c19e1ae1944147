#include "node/store_part.h"

#include <string.h>

/* What stood in a cell before its writers went different ways: the latest write to it that all
 * sides had seen, that is, whose dot the contexts of all sides cover. Looked for in the journal,
 * latest first. */

struct before {
    struct store *s;
    struct arena *a;
    const struct conflict_record *c;
    struct bytes key;
    struct dot birth;
    struct clock common; /* what every side had seen */
    uint64_t hlc;        /* of the latest side */
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
static enum err read_contexts(struct before *b)
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
        b->hlc = cs.hlc > b->hlc ? cs.hlc : b->hlc;
    }
    arena_fini(&scratch);
    return e;
}

static enum err candidates(struct before *b, struct item **out, size_t *n)
{
    sqlite3_stmt *q = store_stmt(b->s, "SELECT pos, site, seq FROM tonle_journal"
                                       " WHERE kind = 1 AND hlc < ?1 ORDER BY hlc DESC, site, seq");
    if (q == NULL)
        return part_stmt_error(b->s);
    store_bind_u64(q, 1, b->hlc);
    size_t cap = 0;
    enum err e;
    bool row;
    while ((e = store_step(b->s, q, &row)) == ERR_OK && row) {
        struct dot d = {store_column_u64(q, 1), store_column_u64(q, 2)};
        if (!clock_covers(&b->common, d))
            continue;
        *out = mem_grow(*out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = (struct item){.pos = store_column_u64(q, 0), .dot = d};
    }
    return e;
}

static bool same_identity(const struct before *b, const struct changeset *cs,
                          const struct row_change *rc)
{
    struct dot named = rc->kind == CHANGE_BORN ? cs->dot : rc->birth;
    return dot_is_none(b->birth) || dot_is_none(named) || dot_equal(named, b->birth);
}

/* *found: this changeset wrote the cell. */
static enum err look(struct before *b, struct arena *scratch, struct dot d,
                     struct conflict_side *out, bool *found)
{
    struct item item;
    struct changeset cs;
    const struct table_changes *tc;
    enum err e = store_journal_find(b->s, scratch, d, &item);
    if (e == ERR_OK)
        e = part_open(b->s, &b->opener, scratch, &item, &cs);
    if (e != ERR_OK)
        return e;
    const struct row_change *rc = part_find_change(&cs, b->c->table, b->key, &tc);
    if (rc == NULL || !same_identity(b, &cs, rc))
        return ERR_OK;
    for (uint32_t i = 0; i < rc->n_cells && !*found; i++) {
        if (strcmp(tc->columns[rc->column[i]], b->c->cell) != 0)
            continue;
        *found = true;
        *out = (struct conflict_side){.office = arena_strdup(b->a, b->opener.record.node),
                                      .unit = arena_strdup(b->a, b->opener.record.unit),
                                      .at_hlc = cs.hlc,
                                      .dot = cs.dot,
                                      .value = value_copy(b->a, &rc->value[i])};
    }
    return ERR_OK;
}

enum err part_before(struct store *s, struct arena *a, const struct conflict_record *c,
                     struct bytes key, struct dot birth, struct conflict_side *before,
                     bool *has_before)
{
    struct before b = {.s = s, .a = a, .c = c, .key = key, .birth = birth};
    struct arena scratch = {0};
    struct item *list = NULL;
    size_t n = 0;
    *has_before = false;
    enum err e = read_contexts(&b);
    if (e == ERR_OK)
        e = candidates(&b, &list, &n);
    for (size_t i = 0; e == ERR_OK && i < n && !*has_before; i++) {
        arena_reset(&scratch);
        e = look(&b, &scratch, list[i].dot, before, has_before);
    }
    mem_free(list);
    clock_fini(&b.common);
    part_opener_fini(&b.opener);
    arena_fini(&scratch);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}
