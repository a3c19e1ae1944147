#include "tests/sim/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void model_fini(struct model *m)
{
    for (size_t i = 0; i < m->n; i++)
        clock_fini(&m->changeset[i].context);
    for (size_t i = 0; i < m->n_rows; i++)
        mem_free(m->row[i].change);
    mem_free(m->changeset);
    mem_free(m->row);
    arena_fini(&m->arena);
    *m = (struct model){0};
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

static struct model_row *row_at(struct model *m, uint32_t table, const void *key, size_t len)
{
    struct model_row *r = model_find(m, table, key, len);
    if (r)
        return r;
    m->row = mem_grow(m->row, m->n_rows, &m->cap_rows, sizeof *m->row);
    r = &m->row[m->n_rows++];
    *r = (struct model_row){.table = table, .key = arena_copy(&m->arena, key, len), .len = len};
    return r;
}

const struct model_changeset *model_changeset(const struct model *m, struct dot d)
{
    for (size_t i = m->n; i > 0; i--) {
        if (dot_equal(m->changeset[i - 1].dot, d))
            return &m->changeset[i - 1];
    }
    return NULL;
}

/* ---- which birth a change means */

static const struct clock nothing; /* the stable clock of who never forgets */

static struct merge_result merge(struct arena *a, struct row *r, const struct table_schema *t,
                                 const struct change *ch)
{
    struct conflict_list list = {0};
    struct forget f = {.stable = &nothing};
    return merge_change(a, r, &t->rules, ch, &f, &list);
}

/* What the writer had of this row, from the changes that its context covers. */
static struct dot standing_before(const struct model *m, const struct model_row *r,
                                  const struct table_schema *t, const struct clock *context)
{
    struct arena a = {0};
    struct row seen = {0};
    struct dot found = {0};
    for (size_t i = 0; i < r->n; i++) {
        struct change ch = r->change[i].ch;
        ch.context = &m->changeset[r->change[i].changeset].context;
        if (clock_covers(context, ch.dot))
            (void)merge(&a, &seen, t, &ch);
    }
    for (uint32_t i = 0; i < seen.n_births; i++) { /* in order: the unnamed one is the earliest */
        if (birth_alive(&seen.births[i], &t->rules)) {
            found = seen.births[i].name;
            break;
        }
    }
    arena_fini(&a);
    return found;
}

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
    return ch;
}

/* Changes that came before the birth they name. */
static void catch_up(struct model *m, struct model_row *r, const struct table_schema *t)
{
    for (size_t i = 0; i < r->n; i++) {
        struct change ch = r->change[i].ch;
        ch.context = &m->changeset[r->change[i].changeset].context;
        if (r->change[i].waits && merge(&m->arena, &r->row, t, &ch).applied) {
            r->change[i].waits = false;
            m->waiting--;
        }
    }
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
    struct model_row *r = row_at(m, (uint32_t)(t - s->tables), key.data, key.len);
    buf_fini(&key);
    struct change ch = copy_change(m, cs, rc, tc, t);
    if (dot_is_none(ch.birth))
        ch.birth = standing_before(m, r, t, &m->changeset[m->n - 1].context);
    r->change = mem_grow(r->change, r->n, &r->cap, sizeof *r->change);
    r->change[r->n++] = (struct model_change){.changeset = (uint32_t)m->n - 1, .ch = ch};
    ch.context = &m->changeset[m->n - 1].context;
    struct merge_result res = merge(&m->arena, &r->row, t, &ch);
    if (res.applied) {
        if (rc->kind == CHANGE_BORN && m->waiting > 0)
            catch_up(m, r, t);
        return true;
    }
    if (res.orphan && m->late) {
        r->change[r->n - 1].waits = true;
        m->waiting++;
        return true;
    }
    snprintf(why, 256,
             "changeset %016llx:%llu changes a birth (%016llx:%llu) of %s that nobody made",
             (unsigned long long)cs->dot.site, (unsigned long long)cs->dot.seq,
             (unsigned long long)rc->birth.site, (unsigned long long)rc->birth.seq, tc->table);
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

/* ---- what stands */

static uint64_t number(uint32_t kind, size_t index, struct bytes b)
{
    uint64_t h = bytes_hash(VALUE_HASH_SEED + kind, &index, sizeof index);
    return bytes_hash(h, b.p, b.len);
}

static void claims(struct store *s, struct arena *a, const struct table_schema *t,
                   const struct birth *b, struct hold_item *it)
{
    uint64_t *unique = arena_alloc(a, (t->n_unique + 1) * sizeof *unique);
    for (uint32_t i = 0; i < t->n_unique; i++) {
        bool any = false;
        struct value *v;
        struct bytes folded;
        if (row_claim(s, a, t, i, b->values, &any, &v, &folded) == ERR_OK && any)
            unique[it->n_unique++] = number(1000 + t->t, i, folded);
    }
    it->unique = unique;
    uint64_t *gives = arena_alloc(a, (s->n_fks + 1) * sizeof *gives),
             *needs = arena_alloc(a, (s->n_fks + 1) * sizeof *needs);
    for (uint32_t i = 0; i < s->n_fks; i++) {
        struct value *v;
        struct bytes folded;
        if (&s->tables[s->fks[i].parent] == t &&
            row_reference(a, &s->fks[i], false, b->values, &v, &folded))
            gives[it->n_gives++] = number(1, i, folded);
        if (&s->tables[s->fks[i].child] == t &&
            row_reference(a, &s->fks[i], true, b->values, &v, &folded))
            needs[it->n_needs++] = number(1, i, folded);
    }
    it->gives = gives;
    it->needs = needs;
}

struct model_birth *model_decide(const struct model *m, struct store *s, struct arena *a, size_t *n)
{
    size_t cap = 0;
    *n = 0;
    for (size_t i = 0; i < m->n_rows; i++)
        cap += m->row[i].row.n_births;
    struct model_birth *out = arena_alloc(a, (cap + 1) * sizeof *out);
    struct hold_item *item = arena_alloc(a, (cap + 1) * sizeof *item);
    for (size_t i = 0; i < m->n_rows; i++) {
        const struct model_row *r = &m->row[i];
        const struct table_schema *t = &s->tables[r->table];
        for (uint32_t j = 0; j < r->row.n_births; j++) {
            const struct birth *b = &r->row.births[j];
            if (!birth_alive(b, &t->rules))
                continue;
            struct hold_item *it = &item[*n];
            *it = (struct hold_item){
                .key = (uint32_t)i,
                .birth = b->name,
                .birth_hlc = b->hlc,
                .valid = true,
                .rank = birth_rank(b, &t->rules, t->unique_columns, t->n_unique_columns),
                .tie = bytes_hash(VALUE_HASH_SEED + t->t, r->key, r->len)};
            claims(s, a, t, b, it);
            out[(*n)++] = (struct model_birth){.row = r, .birth = b};
        }
    }
    hold_decide(item, *n, BIRTH_FIRST);
    for (size_t i = 0; i < *n; i++)
        out[i].held = item[i].reason;
    return out;
}
