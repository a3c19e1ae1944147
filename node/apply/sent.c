/* What a version was sent with. A record leaves out the value of a cell's only version, because it
 * stands in the table; but where capture was away, something else may stand there that nobody has
 * sent. A change that meets the version meets what was sent, as it does at every other office. */
#include "node/apply/work.h"

#include "conflict/merge.h"
#include "node/journal/open.h"

#include <string.h>

#define OPEN_MOST 8u
#define OPEN_BYTES (16u << 20) /* of all together, and one more */

struct sent_row {
    const struct table_changes *tc;
    struct bytes key;
    uint32_t row;
};
struct sent_changeset {
    struct arena a;
    struct dot dot; /* none: nothing is open */
    struct sent_row *row;
    size_t n, cap;
    struct map by_key; /* of `row` */
};
/* The changesets that were opened last: the many rows of one are often met by many of another, and
 * the cells of a row may be of several. */
struct sent {
    struct opener opener;
    struct sent_changeset open[OPEN_MOST];
    uint32_t next; /* whose place is taken */
};

static void forget_changeset(struct sent_changeset *x)
{
    arena_reset(&x->a);
    x->dot = (struct dot){0};
    x->row = NULL;
    x->n = x->cap = 0;
    x->by_key = (struct map){.a = &x->a};
}

void sent_release(struct sent *x)
{
    if (!x)
        return;
    part_opener_fini(&x->opener);
    for (size_t i = 0; i < OPEN_MOST; i++)
        arena_fini(&x->open[i].a);
    mem_free(x);
}

static uint64_t place_hash(const char *table, struct bytes key)
{
    return bytes_hash(hash_key(VALUE_HASH_SEED, key.p, key.len), table, strlen(table));
}

static void index_table(struct sent_changeset *x, const struct table_changes *tc)
{
    struct buf key = {0};
    for (uint32_t i = 0; i < tc->n_rows; i++) {
        buf_reset(&key);
        key_encode(&key, tc->rows[i].key, tc->n_key);
        struct bytes k = {arena_copy(&x->a, key.data, key.len), key.len};
        map_put(&x->by_key, place_hash(tc->table, k), (uint32_t)x->n);
        x->row = arena_grow(&x->a, x->row, x->n, &x->cap, sizeof *x->row);
        x->row[x->n++] = (struct sent_row){tc, k, i};
    }
    buf_fini(&key);
}

static struct sent_changeset *a_place(struct sent *x)
{
    size_t bytes = 0;
    for (size_t i = 0; i < OPEN_MOST; i++)
        bytes += x->open[i].a.used_bytes;
    for (size_t i = 0; i < OPEN_MOST && bytes > OPEN_BYTES; i++)
        forget_changeset(&x->open[i]);
    struct sent_changeset *c = &x->open[x->next++ % OPEN_MOST];
    forget_changeset(c);
    return c;
}

/* It holds no row where its changeset came with a first load, or is damaged: that is all that is
 * known of it then. An error of the database is one. */
static enum err open_sent(struct store *s, struct dot dot, const struct sent_changeset **out)
{
    struct sent *x = s->apply->sent;
    if (!x)
        x = s->apply->sent = mem_alloc(sizeof *x);
    for (size_t i = 0; i < OPEN_MOST; i++) {
        *out = &x->open[i];
        if (dot_equal(x->open[i].dot, dot))
            return ERR_OK;
    }
    struct sent_changeset *c = a_place(x);
    struct item item;
    struct changeset *cs = arena_alloc(&c->a, sizeof *cs);
    *out = c;
    enum err e = store_journal_find(s, &c->a, dot, &item);
    bool here = e == ERR_OK;
    if (here)
        e = part_open(s, &x->opener, &c->a, &item, cs);
    bool damaged = here && e == ERR_CORRUPT && x->opener.site == dot.site;
    if (e != ERR_OK && e != ERR_NOT_FOUND && !damaged)
        return e;
    c->dot = dot;
    for (uint32_t g = 0; e == ERR_OK && g < cs->n_segments; g++)
        for (uint32_t t = 0; t < cs->segments[g].n_tables; t++)
            index_table(c, &cs->segments[g].tables[t]);
    return ERR_OK;
}

static bool is_of(const struct work_row *r, const struct birth *b, struct dot of)
{
    if (dot_is_none(of) || dot_equal(of, b->name))
        return true;
    return dot_is_none(b->name) && !row_find_birth(&r->row, of); /* its name is forgotten */
}

/* A group one of whose members cannot stand in a column (deltas of an office whose charter says
 * otherwise): it meets what stands. */
static bool holds_no_value(const struct work_row *r, const struct sent_row *at, uint32_t cell)
{
    const struct table_schema *t = r->k.t;
    const struct row_change *rc = &at->tc->rows[at->row];
    bool no = false;
    for (uint32_t c = 0; c < t->n_columns && cell_is_group(&t->rules, cell); c++) {
        const struct value *v =
            cell_of(&t->rules, c) == cell ? part_value_of(at->tc, rc, t->column[c]) : NULL;
        no = no || (v && v->type > VALUE_BLOB);
    }
    return no;
}

/* What a birth's changeset does not know is NULL, as where it is merged. */
static bool read_sent(struct work *w, const struct work_row *r, const struct sent_row *at,
                      uint32_t cell, struct value *out)
{
    const struct row_change *rc = &at->tc->rows[at->row];
    if (holds_no_value(r, at, cell))
        return false;
    if (part_written(w->a, r->k.t, cell, at->tc, rc, out)) {
        *out = out->type == VALUE_TUPLE ? *out : merge_storable(w->a, out);
        return true;
    }
    *out = value_null();
    return rc->kind == CHANGE_BORN && !cell_is_group(&r->k.t->rules, cell);
}

static enum err find_sent(struct work *w, const struct work_row *r, const struct birth *b,
                          uint32_t cell, struct version *v, bool *found)
{
    const struct sent_changeset *x;
    struct bytes key = {r->k.key, r->k.len};
    *found = false;
    enum err e = open_sent(w->s, v->dot, &x);
    if (e != ERR_OK)
        return e;
    struct map_search at = map_seek(&x->by_key, place_hash(r->k.t->name, key));
    while (!*found && map_next(&x->by_key, &at)) {
        const struct sent_row *s = &x->row[at.number];
        const struct row_change *rc = &s->tc->rows[s->row];
        bool same = s->key.len == key.len && memcmp(s->key.p, key.p, key.len) == 0 &&
                    strcmp(s->tc->table, r->k.t->name) == 0;
        if (same && is_of(r, b, rc->kind == CHANGE_BORN ? v->dot : rc->birth))
            *found = read_sent(w, r, s, cell, &v->value);
    }
    return ERR_OK;
}

static enum err restore_cell(struct work *w, const struct work_row *r, struct birth *b,
                             uint32_t cell, const struct change *ch)
{
    uint32_t n;
    bool found;
    const struct version *v = birth_cell(w->a, b, &r->k.t->rules, cell, &n);
    if (n != 1 || clock_covers(ch->context, v->dot))
        return ERR_OK;
    struct version sent = *v;
    enum err e = find_sent(w, r, b, cell, &sent, &found);
    if (e == ERR_OK && found)
        birth_set_cell(w->a, b, cell, &sent, 1);
    return e;
}

enum err sent_restore(struct work *w, struct work_row *r, const struct change *ch,
                      const struct forget *f)
{
    const struct table_rules *rules = &r->k.t->rules;
    struct birth *b = r->now ? row_standing(&r->row, rules) : NULL;
    bool gap = false;
    if (!b || merge_target(w->a, &r->row, rules, ch, f) != b || ch->kind != CHANGE_UPDATE ||
        r->k.t->internal)
        return ERR_OK;
    enum err e = work_gap(w, r->k.t, &gap);
    for (uint32_t i = 0; e == ERR_OK && gap && i < ch->n_cells; i++) {
        uint32_t cell = cell_of(rules, ch->column[i]);
        if (policy_of(rules, cell) != POLICY_SUM)
            e = restore_cell(w, r, b, cell, ch);
    }
    return e;
}
