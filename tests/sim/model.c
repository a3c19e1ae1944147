#include "tests/sim/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void model_fini(struct model *m)
{
    for (size_t i = 0; i < m->n; i++)
        clock_fini(&m->changeset[i].context);
    for (size_t i = 0; i < m->n_rows; i++) {
        arena_fini(&m->row[i].arena);
        mem_free(m->row[i].change);
        mem_free(m->row[i].nobody);
    }
    mem_free(m->changeset);
    mem_free(m->row);
    arena_fini(&m->arena);
    *m = (struct model){.probe = m->probe,
                        .units = m->units,
                        .meant = m->meant,
                        .site = m->site,
                        .forged = m->forged};
}

struct model_row *model_find(const struct model *m, uint32_t table, const void *key, size_t len)
{
    for (size_t i = 0; i < m->n_rows; i++) {
        struct model_row *r = &m->row[i];
        if (r->table == table && r->len == len && memcmp(r->key, key, len) == 0)
            return r;
    }
    return NULL;
}

static struct model_row *model_row_at(struct model *m, uint32_t table, const void *key, size_t len)
{
    struct model_row *r = model_find(m, table, key, len);
    if (r)
        return r;
    m->row = mem_grow(m->row, m->n_rows, &m->cap_rows, sizeof *m->row);
    r = &m->row[m->n_rows++];
    *r = (struct model_row){.table = table, .key = arena_copy(&m->arena, key, len), .len = len};
    return r;
}

const struct model_changeset *model_find_changeset(const struct model *m, struct dot d)
{
    for (size_t i = m->n; i > 0; i--) {
        if (dot_equal(m->changeset[i - 1].dot, d))
            return &m->changeset[i - 1];
    }
    return NULL;
}

static const struct clock *context_of(const struct model *m, const struct model_change *c)
{
    return &m->changeset[c->changeset].context;
}

/* ---- cells: the maximal writes */

/* What a cell is made of. */
struct shape {
    uint32_t column, width;
    const uint32_t *member;
    bool sum;
};

static struct shape shape_of(const struct table_rules *rules, const uint32_t *column)
{
    const struct cell_group *g =
        *column != COLUMN_EXISTS && rules->group ? rules->group[*column] : NULL;
    if (g)
        return (struct shape){*column, g->n, g->column, false};
    bool sum = *column != COLUMN_EXISTS && rules->policy[*column] == POLICY_SUM;
    return (struct shape){*column, 1, column, sum};
}

static const struct value *written(const struct change *ch, uint32_t column)
{
    for (uint32_t i = 0; i < ch->n_cells; i++) {
        if (ch->column[i] == column)
            return &ch->value[i];
    }
    return NULL;
}

static bool writes(const struct change *ch, const struct shape *s)
{
    return s->column == COLUMN_EXISTS || written(ch, s->member[0]);
}

/* No other write to the cell had seen it. */
static bool is_maximal(const struct model *m, const struct model_row *r, const struct shape *s,
                       const struct model_change *c, const struct clock *seen)
{
    for (size_t i = r->n; i > 0; i--) {
        const struct model_change *d = &r->change[i - 1];
        if (dot_equal(d->ch.birth, c->ch.birth) && clock_covers(context_of(m, d), c->ch.dot) &&
            writes(&d->ch, s) && (!seen || clock_covers(seen, d->ch.dot)))
            return false;
    }
    return true;
}

static const struct value *values_of(struct arena *a, const struct change *ch,
                                     const struct shape *s)
{
    struct value *v = arena_alloc(a, s->width * sizeof *v);
    for (uint32_t i = 0; i < s->width; i++) {
        const struct value *w = s->column == COLUMN_EXISTS ? NULL : written(ch, s->member[i]);
        if (s->column == COLUMN_EXISTS)
            v[i] = value_integer(ch->kind != CHANGE_DELETE);
        else if (w)
            v[i] = *w;
    }
    return v;
}

/* All maximal writes of one birth, of those that `seen` covers (NULL: of all). */
static struct model_cell maximal(const struct model *m, const struct model_row *r, struct arena *a,
                                 struct dot birth, const struct shape *s, const struct clock *seen)
{
    struct model_cell c = {.column = s->column, .width = s->width};
    c.v = arena_alloc(a, (r->n + 1) * sizeof *c.v);
    for (size_t i = 0; i < r->n; i++) {
        const struct change *ch = &r->change[i].ch;
        if (!dot_equal(ch->birth, birth) || !writes(ch, s) ||
            (seen && !clock_covers(seen, ch->dot)))
            continue;
        if (s->sum && value_is_count(written(ch, s->column)))
            continue;
        if (is_maximal(m, r, s, &r->change[i], seen))
            c.v[c.n++] = (struct model_version){ch->dot, ch->hlc, values_of(a, ch, s)};
    }
    return c;
}

/* Of `latest` only the latest counts. */
static void keep_latest(struct model_cell *c)
{
    for (uint32_t i = 1; i < c->n; i++) {
        if (model_order(c->v[i].hlc, c->v[i].dot, c->v[0].hlc, c->v[0].dot) > 0)
            c->v[0] = c->v[i];
    }
    c->n = c->n > 1 ? 1 : c->n;
}

/* The first value and every delta since. */
static struct value total(const struct model_row *r, struct arena *a, struct dot birth,
                          uint32_t column)
{
    __int128 n = 0;
    bool any = false;
    for (size_t i = 0; i < r->n; i++) {
        const struct value *v =
            dot_equal(r->change[i].ch.birth, birth) ? written(&r->change[i].ch, column) : NULL;
        if (!v || !value_is_count(v))
            continue;
        any |= v->type != VALUE_NULL;
        n += value_count(v);
    }
    return any ? value_total(a, n) : value_null();
}

bool model_alike(const struct model_version *a, const struct model_version *b, uint32_t width)
{
    for (uint32_t i = 0; i < width; i++) {
        if (!value_alike(&a->value[i], &b->value[i]))
            return false;
    }
    return true;
}

const struct model_cell *model_find_cell(const struct model_birth *b,
                                         const struct table_rules *rules, uint32_t column)
{
    const struct cell_group *g =
        column != COLUMN_EXISTS && rules->group ? rules->group[column] : NULL;
    for (uint32_t i = 0; g && i < g->n; i++)
        column = g->column[i] < column ? g->column[i] : column;
    for (uint32_t i = 0; i < b->n_cells; i++) {
        if (b->cell[i].column == column)
            return &b->cell[i];
    }
    return NULL;
}

/* ---- births */

enum life { LIFE_DEAD, LIFE_CONTESTED /* dead, beside a change that lost */, LIFE_ALIVE };

static enum life life_at(const struct model *m, const struct model_row *r, struct arena *a,
                         const struct table_rules *rules, struct dot birth,
                         const struct clock *seen)
{
    uint32_t exists = COLUMN_EXISTS;
    struct shape s = shape_of(rules, &exists);
    struct model_cell c = maximal(m, r, a, birth, &s, seen);
    uint32_t living = 0;
    for (uint32_t i = 0; i < c.n; i++)
        living += c.v[i].value[0].u.i != 0;
    if (living == 0)
        return LIFE_DEAD;
    bool dead = rules->delete_policy == DELETE_DELETE_WINS && living < c.n;
    return dead ? LIFE_CONTESTED : LIFE_ALIVE;
}

bool model_lives(const struct model *m, const struct model_row *r, struct arena *a,
                 const struct table_rules *rules, struct dot birth, const struct clock *seen)
{
    return life_at(m, r, a, rules, birth, seen) == LIFE_ALIVE;
}

/* The identity that a writer means who names none: the one it had that may have lost its name, the
 * earliest that was not over and no twin; if all were over, the latest, but where what stood there
 * may be a row that was entered while capture was away: that is nobody's. */
struct dot model_meant_by(const struct model *m, const struct model_row *r,
                          const struct table_schema *t, const struct clock *seen)
{
    struct arena a = {0};
    const struct change *there = NULL, *over = NULL;
    struct model_kin *kin;
    uint32_t n = model_kinship(m, r, &a, &t->rules, seen, &kin);
    for (uint32_t i = 0; i < n; i++) {
        const struct change *ch = &kin[i].born->ch;
        bool gone = life_at(m, r, &a, &t->rules, ch->dot, seen) == LIFE_DEAD;
        if (!gone && !kin[i].twin_of &&
            (!there || model_order(ch->hlc, ch->dot, there->hlc, there->dot) < 0))
            there = ch;
        if (gone && (!over || model_order(ch->hlc, ch->dot, over->hlc, over->dot) > 0))
            over = ch;
    }
    arena_fini(&a);
    return there ? there->dot : over && !m->meant ? over->dot : (struct dot){0};
}

struct dot model_named(struct store *s, const struct model_birth *b, const struct foreign_key *fk)
{
    uint32_t column = fk->key_column[fk->n - 1];
    const struct model_cell *c = model_find_cell(b, &s->schema->tables[fk->child].rules, column);
    for (size_t i = 0; i < b->row->n; i++) {
        const struct change *ch = &b->row->change[i].ch;
        if (!dot_equal(ch->dot, c->v[c->shown].dot) || !dot_equal(ch->birth, b->name))
            continue;
        for (uint32_t k = 0; k < ch->n_references; k++) {
            if (ch->references[k].column == column)
                return ch->references[k].birth;
        }
        break;
    }
    return (struct dot){0};
}

static void derive_cells(const struct model *m, const struct table_schema *t, struct model_row *r,
                         struct model_birth *b)
{
    const struct table_rules *rules = &t->rules;
    b->cell = arena_alloc(&r->arena, (t->n_columns + 1) * sizeof *b->cell);
    b->values = arena_alloc(&r->arena, (t->n_columns + 1) * sizeof *b->values);
    for (uint32_t i = 0; i <= t->n_columns; i++) {
        uint32_t column = i == t->n_columns ? COLUMN_EXISTS : i;
        if (i < t->n_columns && rules->group && rules->group[i]) {
            const struct cell_group *g = rules->group[i];
            bool lowest = true;
            for (uint32_t j = 0; j < g->n; j++)
                lowest &= g->column[j] >= i;
            if (!lowest)
                continue;
        }
        struct shape s = shape_of(rules, &column);
        struct model_cell c = maximal(m, r, &r->arena, b->name, &s, NULL);
        if (i < t->n_columns && rules->policy[i] == POLICY_LATEST)
            keep_latest(&c);
        if (s.sum)
            b->values[i] = total(r, &r->arena, b->name, i);
        b->cell[b->n_cells++] = c;
    }
}

static void show(struct model_birth *b, const struct table_rules *rules, struct model_cell *c)
{
    const struct cell_group *g = rules->group ? rules->group[c->column] : NULL;
    for (uint32_t i = 0; i < c->width; i++)
        b->values[g ? g->column[i] : c->column] = c->v[c->shown].value[i];
}

/* The scope's cell before the others: who owns the row depends on it. */
static void derive_shown(const struct model *m, const struct table_schema *t, struct model_birth *b)
{
    const struct table_rules *rules = &t->rules;
    struct value scope = value_null();
    for (int pass = 0; pass < 2; pass++) {
        const struct model_cell *first =
            rules->scope ? model_find_cell(b, rules, rules->scope - 1) : NULL;
        for (uint32_t i = 0; i < b->n_cells; i++) {
            struct model_cell *c = &b->cell[i];
            if (c->n == 0 || (c == first) != (pass == 0))
                continue;
            c->shown = model_choose(m, rules, c, &scope);
            if (c->column != COLUMN_EXISTS && rules->policy[c->column] != POLICY_SUM)
                show(b, rules, c);
        }
        if (rules->scope)
            scope = b->values[rules->scope - 1];
    }
}

/* The latest time among all versions of the columns of unique keys. */
static void derive_rank(const struct table_schema *t, struct model_birth *b)
{
    for (uint32_t i = 0; i < t->n_unique_columns; i++) {
        const struct model_cell *c = model_find_cell(b, &t->rules, t->unique_columns[i]);
        for (uint32_t j = 0; c && j < c->n; j++) {
            if (model_order(c->v[j].hlc, c->v[j].dot, b->rank.hlc, b->rank.dot) > 0)
                b->rank = (struct model_version){c->v[j].dot, c->v[j].hlc, NULL};
        }
    }
}

static bool is_born(const struct model_row *r, struct dot birth)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->change[i].ch.kind == CHANGE_BORN && dot_equal(r->change[i].ch.dot, birth))
            return true;
    }
    return false;
}

static void resolve_births(const struct model *m, const struct table_schema *t, struct model_row *r)
{
    for (size_t i = 0; i < r->n; i++) {
        if (dot_is_none(r->change[i].ch.birth))
            r->change[i].ch.birth = model_meant_by(m, r, t, context_of(m, &r->change[i]));
    }
}

static int by_age(const void *x, const void *y)
{
    const struct model_birth *a = x, *b = y;
    return model_order(a->hlc, a->name, b->hlc, b->name);
}

static void derive_twins(const struct model *m, const struct table_schema *t, struct model_row *r)
{
    struct model_kin *kin;
    uint32_t n = model_kinship(m, r, &r->arena, &t->rules, NULL, &kin);
    for (uint32_t i = 0; i < n; i++) { /* both are by age */
        r->birth[i].touched = kin[i].touched;
        if (kin[i].twin_of)
            r->birth[i].twin_of = model_find_birth(r, kin[i].twin_of->ch.dot);
    }
}

void model_derive(const struct model *m, struct store *s, struct model_row *r)
{
    const struct table_schema *t = &s->schema->tables[r->table];
    if (r->derived)
        return;
    arena_reset(&r->arena);
    r->derived = true;
    r->n_births = 0;
    r->birth = arena_alloc(&r->arena, (r->n + 1) * sizeof *r->birth);
    resolve_births(m, t, r);
    for (size_t i = 0; i < r->n; i++) {
        if (r->change[i].ch.kind == CHANGE_BORN)
            r->birth[r->n_births++] = (struct model_birth){
                .row = r, .name = r->change[i].ch.dot, .hlc = r->change[i].ch.hlc};
    }
    qsort(r->birth, r->n_births, sizeof *r->birth, by_age);
    for (uint32_t i = 0; i < r->n_births; i++) {
        struct model_birth *b = &r->birth[i];
        derive_cells(m, t, r, b);
        derive_shown(m, t, b);
        derive_rank(t, b);
        b->alive = life_at(m, r, &r->arena, &t->rules, b->name, NULL) == LIFE_ALIVE;
        if (b->alive)
            model_claims(m, s, &r->arena, b);
    }
    derive_twins(m, t, r);
}

const struct model_birth *model_find_birth(const struct model_row *r, struct dot name)
{
    for (uint32_t i = 0; i < r->n_births; i++) {
        if (dot_equal(r->birth[i].name, name))
            return &r->birth[i];
    }
    return NULL;
}

/* ---- changesets */

static struct change copy_change(struct model *m, const struct changeset *cs,
                                 const struct row_change *rc, const struct table_changes *tc,
                                 const struct table_schema *t)
{
    struct change ch = {.dot = cs->dot, .hlc = cs->hlc, .kind = rc->kind, .birth = rc->birth};
    uint32_t *column = arena_alloc(&m->arena, (rc->n_cells + 1) * sizeof *column);
    struct value *value = arena_alloc(&m->arena, (rc->n_cells + 1) * sizeof *value);
    for (uint32_t i = 0; i < rc->n_cells; i++) {
        column[i] = schema_column(t, tc->columns[rc->column[i]]);
        value[i] = value_copy(&m->arena, &rc->value[i]);
    }
    ch.n_cells = rc->n_cells;
    ch.column = column;
    ch.value = value;
    if (ch.kind == CHANGE_BORN)
        ch.birth = ch.dot;
    struct reference *ref = arena_alloc(&m->arena, (rc->n_references + 1) * sizeof *ref);
    for (uint32_t i = 0; i < rc->n_references; i++) {
        ref[i] = rc->references[i];
        ref[i].column = schema_column(t, tc->columns[ref[i].column]);
    }
    ch.n_references = rc->n_references;
    ch.references = ref;
    return ch;
}

/* Whether all columns of each group are written, or none; and deltas are deltas. */
static const char *malformed(const struct table_schema *t, const struct change *ch)
{
    for (uint32_t i = 0; i < ch->n_cells; i++) {
        uint32_t column = ch->column[i];
        if (column >= t->n_columns)
            return "writes a column that is not published";
        const struct cell_group *g = t->rules.group ? t->rules.group[column] : NULL;
        for (uint32_t j = 0; g && j < g->n; j++) {
            if (!written(ch, g->column[j]))
                return "writes a part of a group";
        }
        bool wide = ch->value[i].type == VALUE_WIDE;
        bool count = t->rules.policy[column] == POLICY_SUM && value_is_count(&ch->value[i]);
        if (wide != (count && ch->kind != CHANGE_BORN))
            return "has a delta where none should be, or none where one should be";
    }
    return NULL;
}

/* A delete that names nobody is of a row that has lost its name, and of the twins that it has taken
 * up with that. */
static void delete_twins(struct model *m, const struct table_schema *t, struct model_row *r)
{
    struct arena a = {0};
    struct model_kin *kin;
    struct model_change c = r->change[r->n - 1];
    struct dot birth = c.ch.birth;
    uint32_t n = model_kinship(m, r, &a, &t->rules, context_of(m, &c), &kin);
    struct dot *twin = arena_alloc(&a, (n + 1) * sizeof *twin);
    uint32_t twins = 0;
    for (uint32_t i = 0; i < n; i++)
        if (kin[i].twin_of && dot_equal(kin[i].twin_of->ch.dot, birth))
            twin[twins++] = kin[i].born->ch.dot;
    for (uint32_t i = 0; i < twins; i++) {
        c.ch.birth = twin[i];
        r->change = mem_grow(r->change, r->n, &r->cap, sizeof *r->change);
        r->change[r->n++] = c;
    }
    arena_fini(&a);
}

/* All that is left of the birth are deletions that its writer had seen. */
static bool seen_dead(const struct model *m, const struct model_row *r,
                      const struct table_schema *t, const struct model_change *c)
{
    struct arena a = {0};
    uint32_t exists = COLUMN_EXISTS;
    struct shape s = shape_of(&t->rules, &exists);
    struct model_row before = *r;
    before.n--; /* it is the last */
    struct model_cell cell = maximal(m, &before, &a, c->ch.birth, &s, NULL);
    bool dead = true;
    for (uint32_t i = 0; i < cell.n; i++)
        dead = dead && cell.v[i].value[0].u.i == 0 && clock_covers(context_of(m, c), cell.v[i].dot);
    arena_fini(&a);
    return dead;
}

/* Of a birth that its writer had seen deleted: it came through where that is forgotten, and changes
 * nothing there. */
static bool is_void(const struct model *m, struct model_row *r, const struct table_schema *t)
{
    struct model_change *c = &r->change[r->n - 1];
    if (!m->forged || c->ch.kind == CHANGE_BORN || dot_is_none(c->ch.birth))
        return false;
    if (is_born(r, c->ch.birth))
        return seen_dead(m, r, t, c);
    c->ch.birth = (struct dot){0}; /* the row that has lost its name, as of any that is stable */
    return false;
}

static bool apply_row(struct model *m, struct store *s, const struct changeset *cs,
                      const struct table_changes *tc, const struct row_change *rc, char why[256])
{
    const struct table_schema *t = schema_table(s, tc->table);
    struct buf key = {0};
    if (!t) {
        snprintf(why, 256, "table %s is not published", tc->table);
        return false;
    }
    key_encode(&key, rc->key, tc->n_key);
    struct model_row *r = model_row_at(m, (uint32_t)(t - s->schema->tables), key.data, key.len);
    buf_fini(&key);
    struct change ch = copy_change(m, cs, rc, tc, t);
    const char *wrong = malformed(t, &ch);
    r->change = mem_grow(r->change, r->n, &r->cap, sizeof *r->change);
    r->change[r->n++] = (struct model_change){.changeset = (uint32_t)m->n - 1, .ch = ch};
    if (is_void(m, r, t)) {
        r->n--;
        return true;
    }
    model_resolve_told(m, r, t);
    resolve_births(m, t, r);
    r->derived = false;
    struct dot birth = r->change[r->n - 1].ch.birth;
    if (model_is_nobodys(m, s, r, tc, rc, &r->change[r->n - 1].ch)) {
        r->nobody = mem_grow(r->nobody, r->n_nobody, &r->cap_nobody, sizeof *r->nobody);
        r->nobody[r->n_nobody++] = r->change[--r->n];
        return true;
    }
    if (rc->kind == CHANGE_DELETE && dot_is_none(rc->birth) && !dot_is_none(birth))
        delete_twins(m, t, r);
    bool known = m->late || is_born(r, birth);
    if (known && !wrong)
        return true;
    snprintf(why, 256, "changeset %016llx:%llu %s (birth %016llx:%llu of %s)",
             (unsigned long long)cs->dot.site, (unsigned long long)cs->dot.seq,
             wrong ? wrong : "changes a birth that nobody made", (unsigned long long)birth.site,
             (unsigned long long)birth.seq, tc->table);
    return false;
}

bool model_apply(struct model *m, struct store *s, const struct changeset *cs, char why[256])
{
    m->changeset = mem_grow(m->changeset, m->n, &m->cap, sizeof *m->changeset);
    struct model_changeset *x = &m->changeset[m->n++];
    *x = (struct model_changeset){.dot = cs->dot, .hlc = cs->hlc};
    clock_copy(&x->context, &cs->context);
    for (uint32_t g = 0; g < cs->n_segments; g++) {
        for (uint32_t i = 0; i < cs->segments[g].n_tables; i++) {
            const struct table_changes *tc = &cs->segments[g].tables[i];
            if (strncmp(tc->table, "tonle_", 6) == 0)
                continue; /* the registry was not there from the first changeset on */
            for (uint32_t j = 0; j < tc->n_rows; j++) {
                if (!apply_row(m, s, cs, tc, &tc->rows[j], why))
                    return false;
            }
        }
    }
    return true;
}
