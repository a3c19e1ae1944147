/* DESIGN 4, "Holds": the four passes over all living births; and what is open. */
#include "node/db/sqlite.h"
#include "node/record/record.h"
#include "protocol/message.h"
#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>

static uint64_t number(uint32_t kind, size_t index, struct bytes b)
{
    uint64_t what[2] = {kind, index};
    return bytes_hash(bytes_hash(VALUE_HASH_SEED, what, sizeof what), b.p, b.len);
}

/* Pass 1: an empty table of that kind takes the row, and every sum is a number that fits. */
static bool fits(const struct model *m, const struct table_schema *t, const struct model_birth *b)
{
    struct buf sql = {0};
    sqlite3_stmt *q = NULL;
    for (uint32_t i = 0; i < b->n_cells; i++) {
        const struct model_cell *c = &b->cell[i];
        if (c->column != COLUMN_EXISTS && t->rules.policy[c->column] == POLICY_SUM &&
            (c->n > 0 || b->values[c->column].type == VALUE_WIDE))
            return false;
    }
    buf_printf(&sql, "INSERT INTO %s(%s) VALUES(?1", t->name, t->column_list);
    for (uint32_t i = 1; i < t->n_columns; i++)
        buf_printf(&sql, ",?%u", i + 1);
    buf_printf(&sql, ")");
    if (sqlite3_prepare_v2(m->probe, buf_str(&sql), -1, &q, NULL) != SQLITE_OK)
        abort();
    for (uint32_t i = 0; i < t->n_columns; i++)
        db_bind(q, (int)i + 1, &b->values[i]);
    sqlite3_exec(m->probe, "SAVEPOINT p", NULL, NULL, NULL);
    bool fine = sqlite3_step(q) == SQLITE_DONE;
    sqlite3_finalize(q);
    sqlite3_exec(m->probe, "ROLLBACK TO p; RELEASE p", NULL, NULL, NULL);
    buf_fini(&sql);
    return fine;
}

void model_claims(const struct model *m, struct store *s, struct arena *a, struct model_birth *b)
{
    const struct table_schema *t = &s->schema->tables[b->row->table];
    b->valid = fits(m, t, b);
    b->unique = arena_alloc(a, (t->n_unique + 1) * sizeof *b->unique);
    b->gives = arena_alloc(a, (s->schema->n_fks + 1) * sizeof *b->gives);
    b->needs = arena_alloc(a, (s->schema->n_fks + 1) * sizeof *b->needs);
    for (uint32_t i = 0; b->valid && i < t->n_unique; i++) {
        bool any = false;
        struct value *v;
        struct bytes folded;
        if (row_claim(s, a, t, i, b->values, &any, &v, &folded) == ERR_OK && any)
            b->unique[b->n_unique++] = number(1000 + t->t, i, folded);
    }
    for (uint32_t i = 0; b->valid && i < s->schema->n_fks; i++) {
        struct value *v;
        struct bytes folded;
        if (&s->schema->tables[s->schema->fks[i].parent] == t &&
            row_reference(a, &s->schema->fks[i], false, b->values, &v, &folded))
            b->gives[b->n_gives++] = number(1, i, folded);
        if (&s->schema->tables[s->schema->fks[i].child] == t &&
            row_reference(a, &s->schema->fks[i], true, b->values, &v, &folded))
            b->needs[b->n_needs++] = number(1, i, folded);
    }
}

static struct model_birth **living(const struct model *m, struct store *s, struct arena *a,
                                   size_t *n)
{
    size_t cap = 1;
    *n = 0;
    for (size_t i = 0; i < m->n_rows; i++) {
        model_derive(m, s, &m->row[i]);
        cap += m->row[i].n_births;
    }
    struct model_birth **out = arena_alloc(a, cap * sizeof *out);
    for (size_t i = 0; i < m->n_rows; i++) {
        for (uint32_t j = 0; j < m->row[i].n_births; j++) {
            struct model_birth *b = &m->row[i].birth[j];
            b->row = &m->row[i]; /* they may have moved */
            b->held = b->twin_of ? HOLD_TWIN : b->valid ? HOLD_NONE : HOLD_CHECK;
            if (b->alive && !b->twin_of)
                out[(*n)++] = b;
        }
    }
    return out;
}

/* Pass 2: of the births of a row, which follow one another, one. */
static void choose_births(struct model_birth **b, size_t n, struct store *s)
{
    struct model_birth *stands = NULL;
    for (size_t i = 0; i < n; i++) {
        if (b[i]->held != HOLD_NONE)
            continue;
        if (!stands || stands->row != b[i]->row) {
            stands = b[i];
        } else if (s->schema->tables[b[i]->row->table].rules.birth_policy == BIRTH_LATEST) {
            stands->held = HOLD_BIRTH;
            stands = b[i];
        } else {
            b[i]->held = HOLD_BIRTH;
        }
    }
}

static uint64_t tie(const struct model_birth *b, struct store *s)
{
    const char *name = s->schema->tables[b->row->table].name;
    uint64_t h = bytes_hash(VALUE_HASH_SEED, name, strlen(name) + 1);
    return bytes_hash(h, b->row->key, b->row->len);
}

static bool ranks_before(const struct model_birth *a, const struct model_birth *b, struct store *s)
{
    int c = model_order(a->rank.hlc, a->rank.dot, b->rank.hlc, b->rank.dot);
    return c ? c < 0 : tie(a, s) < tie(b, s);
}

static bool share(const uint64_t *a, uint32_t n, const uint64_t *b, uint32_t k)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < k; j++) {
            if (a[i] == b[j])
                return true;
        }
    }
    return false;
}

/* Pass 3: in rank order, whoever claims what is taken is held. */
static void choose_unique(struct model_birth **b, size_t n, struct store *s, struct arena *a)
{
    struct model_birth **order = arena_alloc(a, (n + 1) * sizeof *order);
    size_t count = 0, taken = 0;
    for (size_t i = 0; i < n; i++) {
        if (b[i]->held != HOLD_NONE || b[i]->n_unique == 0)
            continue;
        size_t at = count++;
        for (; at > 0 && ranks_before(b[i], order[at - 1], s); at--)
            order[at] = order[at - 1];
        order[at] = b[i];
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < taken && order[i]->held == HOLD_NONE; j++) {
            if (share(order[i]->unique, order[i]->n_unique, order[j]->unique, order[j]->n_unique))
                order[i]->held = HOLD_UNIQUE;
        }
        if (order[i]->held != HOLD_NONE)
            continue;
        struct model_birth *standing = order[i]; /* the taken ones stand in front */
        memmove(&order[taken + 1], &order[taken], (i - taken) * sizeof *order);
        order[taken++] = standing;
    }
}

/* The living birth that a name means at the parent's key: of a twin the one that it is a twin of;
 * the earliest where it names nobody who lives. */
static const struct model_birth *meant(const struct model_row *parent, struct dot name)
{
    const struct model_birth *first = NULL;
    for (uint32_t i = 0; parent && i < parent->n_births; i++) {
        const struct model_birth *b = &parent->birth[i];
        if (!b->alive)
            continue;
        if (dot_equal(b->name, name))
            return b->twin_of ? b->twin_of : b;
        if (!first && !b->twin_of)
            first = b;
    }
    return first;
}

/* Those that the parents' keys mean in what this one shows; while it is as it was born, its twins
 * say so as well. */
static void bind(const struct model *m, struct store *s, struct arena *a, struct model_birth *b)
{
    const struct model_row *r = b->row;
    b->bound = arena_alloc(a, (s->schema->n_fks + 1) * (r->n_births + 1) * sizeof *b->bound);
    b->n_bound = 0;
    for (uint32_t f = 0; f < s->schema->n_fks; f++) {
        const struct foreign_key *fk = &s->schema->fks[f];
        struct row_key k;
        if (fk->child != r->table || !fk->key_column ||
            !refer_key(a, fk, &s->schema->tables[fk->parent], b->values, &k))
            continue;
        const struct model_row *parent = model_find(m, fk->parent, k.key, k.len);
        for (uint32_t i = 0; i < r->n_births; i++) {
            const struct model_birth *x = &r->birth[i];
            const struct model_birth *p = NULL;
            if (x == b || (!b->touched && x->twin_of == b))
                p = meant(parent, model_named(s, x, fk));
            if (p)
                b->bound[b->n_bound++] = (struct model_bound){f, p};
        }
    }
}

/* All that it could mean by this foreign key are held. */
static bool lacks_meant(const struct model_birth *b, uint32_t fk)
{
    bool any = false, stands = false;
    for (uint32_t k = 0; k < b->n_bound; k++) {
        any |= b->bound[k].fk == fk;
        stands |= b->bound[k].fk == fk && b->bound[k].parent->held == HOLD_NONE;
    }
    return any && !stands;
}

/* Pass 4: whoever misses a parent among those who stand is held, and whoever means one that is,
 * until nothing changes. */
static void choose_children(const struct model *m, struct store *s, struct arena *a,
                            struct model_birth **b, size_t n)
{
    bool more = true;
    for (size_t i = 0; i < n; i++)
        bind(m, s, a, b[i]);
    while (more) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            for (uint32_t k = 0; b[i]->held == HOLD_NONE && k < b[i]->n_needs; k++) {
                bool given = false;
                for (size_t j = 0; j < n && !given; j++)
                    given = b[j]->held == HOLD_NONE &&
                            share(b[j]->gives, b[j]->n_gives, &b[i]->needs[k], 1);
                if (given)
                    continue;
                b[i]->held = HOLD_PARENT;
                more = true;
            }
            for (uint32_t f = 0; b[i]->held == HOLD_NONE && f < s->schema->n_fks; f++) {
                if (lacks_meant(b[i], f)) {
                    b[i]->held = HOLD_PARENT;
                    more = true;
                }
            }
        }
    }
}

struct model_birth **model_decide(const struct model *m, struct store *s, struct arena *a,
                                  size_t *n)
{
    struct model_birth **out = living(m, s, a, n);
    choose_births(out, *n, s);
    choose_unique(out, *n, s, a);
    choose_children(m, s, a, out, *n);
    return out;
}

/* ---- what is open */

struct open_list {
    struct arena *a;
    struct model_conflict *c;
    size_t n, cap;
};

static void add(struct open_list *l, const struct model_row *r, const struct model_birth *b,
                const struct model_cell *c)
{
    struct dot *side = arena_alloc(l->a, c->n * sizeof *side);
    for (uint32_t i = 0; i < c->n; i++)
        side[i] = c->v[i].dot;
    l->c = arena_grow(l->a, l->c, l->n, &l->cap, sizeof *l->c);
    l->c[l->n++] = (struct model_conflict){r, b, c->column, c->n, side, side[c->shown]};
}

static void open_cells(struct open_list *l, const struct table_rules *rules,
                       const struct model_birth *b)
{
    for (uint32_t i = 0; i < b->n_cells; i++) {
        const struct model_cell *c = &b->cell[i];
        bool differ = false;
        if (c->column != COLUMN_EXISTS && (!b->alive || rules->policy[c->column] == POLICY_SUM))
            continue;
        for (uint32_t j = 1; j < c->n; j++)
            differ |= !model_alike(&c->v[j], &c->v[0], c->width);
        if (differ)
            add(l, b->row, b, c);
    }
}

static void open_births(struct open_list *l, const struct model_row *r,
                        const struct table_rules *rules)
{
    struct model_cell c = {.column = COLUMN_BIRTH};
    c.v = arena_alloc(l->a, (r->n_births + 1) * sizeof *c.v);
    for (uint32_t i = 0; i < r->n_births; i++) {
        if (r->birth[i].alive && !r->birth[i].twin_of)
            c.v[c.n++] = (struct model_version){r->birth[i].name, r->birth[i].hlc, NULL};
    }
    if (rules->birth_policy == BIRTH_LATEST)
        c.shown = c.n - 1;
    if (c.n > 1)
        add(l, r, NULL, &c);
}

struct model_conflict *model_open(const struct model *m, struct store *s, struct arena *a,
                                  size_t *n)
{
    struct open_list l = {.a = a};
    for (size_t i = 0; i < m->n_rows; i++) {
        const struct model_row *r = &m->row[i];
        const struct table_rules *rules = &s->schema->tables[r->table].rules;
        for (uint32_t j = 0; j < r->n_births; j++)
            open_cells(&l, rules, &r->birth[j]);
        open_births(&l, r, rules);
    }
    *n = l.n;
    return l.c;
}
