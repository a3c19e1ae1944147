/* Which birth of its parent a child means (DESIGN 4, "Births").
 *
 * What a seal writes into a foreign key that refers to the parent's whole key names the birth that
 * stands there at this office, if that birth has a name:
 *
 *   the parent                                  the reference names
 *   is born in the same changeset               the changeset's own dot
 *   has a record, and a named birth stands, or  that birth
 *   would but for a unique value or its parent
 *   is settled, its birth has lost its name,    nobody
 *   or none lives
 *
 * A reference means the living birth that it names, and of a twin the one that it is a twin of;
 * where it names none, or that one is dead or not on record, the earliest living birth of the key
 * that is no twin. So it makes no difference when an office forgets
 * a name: only the earliest birth of a key loses it, and who is dead is passed over before it is
 * forgotten as after. Under the birth policies `first` and `review` the earliest is the one that
 * stands. */
#include "node/record/record.h"

#include "conflict/map.h"
#include "conflict/twin.h"
#include "node/record/table.h"
#include <string.h>

/* ---- naming, before the seal ---- */

struct known_parent { /* a key of the parent, and who stands there */
    struct bytes key;
    struct dot birth;
};
struct parents { /* of one table: those born here, and those looked up */
    bool begun;
    bool unsettled; /* the table has records: others may have names */
    struct known_parent *known;
    size_t n, cap;
    struct map by_key; /* of `known` */
};
struct naming {
    struct store *s;
    struct arena *a;
    struct changeset *cs;
    struct parents *of; /* each of s->schema->tables */
    struct buf key;
};

static struct known_parent *find(const struct parents *p, struct bytes key)
{
    struct map_search at = map_seek(&p->by_key, hash_key(VALUE_HASH_SEED, key.p, key.len));
    while (map_next(&p->by_key, &at)) {
        struct known_parent *known = &p->known[at.number];
        if (known->key.len == key.len && memcmp(known->key.p, key.p, key.len) == 0)
            return known;
    }
    return NULL;
}

static void add(struct naming *n, struct parents *p, struct bytes key, struct dot birth)
{
    if (find(p, key))
        return;
    map_put(&p->by_key, hash_key(VALUE_HASH_SEED, key.p, key.len), (uint32_t)p->n);
    p->known = arena_grow(n->a, p->known, p->n, &p->cap, sizeof *p->known);
    p->known[p->n++] = (struct known_parent){{arena_copy(n->a, key.p, key.len), key.len}, birth};
}

static void add_born(struct naming *n, struct parents *p, const struct table_changes *tc)
{
    for (uint32_t i = 0; i < tc->n_rows; i++) {
        if (tc->rows[i].kind != CHANGE_BORN)
            continue;
        buf_reset(&n->key);
        key_encode(&n->key, tc->rows[i].key, tc->n_key);
        add(n, p, (struct bytes){n->key.data, n->key.len}, n->cs->dot);
    }
}

static enum err begin(struct naming *n, struct parents *p, const struct table_schema *t)
{
    p->begun = true;
    p->by_key.a = n->a;
    for (uint32_t g = 0; g < n->cs->n_segments; g++) {
        for (uint32_t i = 0; i < n->cs->segments[g].n_tables; i++) {
            if (strcmp(n->cs->segments[g].tables[i].table, t->name) == 0)
                add_born(n, p, &n->cs->segments[g].tables[i]);
        }
    }
    struct query q =
        DB_QUERY(n->s, "SELECT 1 FROM tonle_row WHERE swept IN (0, 1) AND t = ?1 LIMIT 1",
                 value_integer(t->t));
    p->unsettled = query_next(&q);
    return query_end(&q);
}

/* Who stands, or would but for a unique value or a parent. */
static const struct birth *who_is_there(const struct row *r, const struct table_rules *rules)
{
    const struct birth *b = row_standing(r, rules);
    for (uint32_t i = 0; !b && i < r->n_births; i++) {
        enum hold_reason held = r->births[i].held;
        if (birth_alive(&r->births[i], rules) && held != HOLD_BIRTH && held != HOLD_CHECK &&
            held != HOLD_TWIN)
            b = &r->births[i];
    }
    return b;
}

static enum err birth_at(struct naming *n, struct parents *p, const struct table_schema *t,
                         struct bytes key, struct dot *birth)
{
    const struct known_parent *known = find(p, key);
    struct row row;
    *birth = known ? known->birth : (struct dot){0};
    if (known || !p->unsettled)
        return ERR_OK;
    enum err e = row_load(n->s, n->a, (struct row_key){t, key.p, key.len}, &row, NULL);
    const struct birth *b = e == ERR_OK ? who_is_there(&row, &t->rules) : NULL;
    if (b)
        *birth = b->name;
    add(n, p, key, *birth);
    return e;
}

static const struct value *written(const struct row_change *r, uint32_t column)
{
    if (r->kind == CHANGE_BORN)
        return &r->value[column];
    for (uint32_t i = 0; i < r->n_cells && r->column[i] <= column; i++) {
        if (r->column[i] == column)
            return &r->value[i];
    }
    return NULL;
}

/* The parent's key, into n->key; what the row does not write stands in the table. */
static enum err parent_key(struct naming *n, const struct table_schema *t,
                           const struct foreign_key *fk, const struct row_change *r, bool *whole)
{
    struct value *now = NULL;
    bool read = false;
    enum err e = ERR_OK;
    *whole = true;
    struct buf own = {0};
    buf_reset(&n->key);
    for (uint32_t i = 0; e == ERR_OK && *whole && i < fk->n; i++) {
        const struct value *v = written(r, fk->key_column[i]);
        if (!v && !read) {
            key_encode(&own, r->key, t->n_key);
            e = row_read(n->s, n->a, (struct row_key){t, own.data, own.len}, &now);
            read = true;
        }
        if (!v && now)
            v = &now[fk->key_column[i]];
        *whole = v && v->type != VALUE_NULL;
        if (*whole)
            key_encode(&n->key, v, 1);
    }
    buf_fini(&own);
    return e;
}

/* At most one of a column: of two foreign keys that end in one column the first has it. */
static void put(struct naming *n, struct row_change *r, uint32_t column, struct dot birth)
{
    uint32_t at = 0, k = r->n_references;
    while (at < k && r->references[at].column < column)
        at++;
    if (at < k && r->references[at].column == column)
        return;
    struct reference *all = arena_alloc(n->a, (k + 1) * sizeof *all);
    if (at)
        memcpy(all, r->references, at * sizeof *all);
    all[at] = (struct reference){.column = column, .birth = birth};
    if (at < k)
        memcpy(all + at + 1, r->references + at, (k - at) * sizeof *all);
    r->references = all;
    r->n_references++;
}

static enum err name_table(struct naming *n, const struct foreign_key *fk, struct table_changes *tc)
{
    const struct table_schema *t = &n->s->schema->tables[fk->child],
                              *parent = &n->s->schema->tables[fk->parent];
    struct parents *p = &n->of[fk->parent];
    uint32_t column = fk->key_column[fk->n - 1];
    enum err e = p->begun ? ERR_OK : begin(n, p, parent);
    if (p->n == 0 && !p->unsettled)
        return e;
    for (uint32_t i = 0; e == ERR_OK && i < tc->n_rows; i++) {
        struct dot birth = {0};
        bool whole;
        if (!written(&tc->rows[i], column))
            continue;
        e = parent_key(n, t, fk, &tc->rows[i], &whole);
        if (e == ERR_OK && whole)
            e = birth_at(n, p, parent, (struct bytes){n->key.data, n->key.len}, &birth);
        if (e == ERR_OK && !dot_is_none(birth))
            put(n, &tc->rows[i], column, birth);
    }
    return e;
}

enum err refer_name(struct store *s, struct arena *a, struct changeset *cs)
{
    struct naming n = {.s = s, .a = a, .cs = cs};
    enum err e = ERR_OK;
    if (s->schema->n_fks == 0)
        return ERR_OK;
    n.of = arena_alloc(a, s->schema->n_tables * sizeof *n.of);
    for (uint32_t g = 0; e == ERR_OK && g < cs->n_segments; g++) {
        for (uint32_t i = 0; e == ERR_OK && i < cs->segments[g].n_tables; i++) {
            struct table_changes *tc = &cs->segments[g].tables[i];
            const struct table_schema *t = schema_table(s, tc->table);
            for (uint32_t f = 0; t && e == ERR_OK && f < s->schema->n_fks; f++) {
                if (&s->schema->tables[s->schema->fks[f].child] == t &&
                    s->schema->fks[f].key_column)
                    e = name_table(&n, &s->schema->fks[f], tc);
            }
        }
    }
    buf_fini(&n.key);
    return e;
}

/* ---- who is meant ---- */

bool refer_key(struct arena *a, const struct foreign_key *fk, const struct table_schema *parent,
               const struct value *values, struct row_key *out)
{
    struct buf b = {0};
    bool whole = true;
    for (uint32_t i = 0; whole && i < fk->n; i++) {
        const struct value *v = &values[fk->key_column[i]];
        whole = v->type != VALUE_NULL;
        key_encode(&b, v, 1);
    }
    if (whole)
        *out = (struct row_key){parent, arena_copy(a, b.data, b.len), b.len};
    buf_fini(&b);
    return whole;
}

const struct birth *refer_find(struct store *s, struct arena *a, const struct foreign_key *fk,
                               const struct birth *child, const struct row *parent)
{
    const struct table_rules *rules = &s->schema->tables[fk->parent].rules;
    struct dot name =
        birth_reference(a, child, fk->key_column[fk->n - 1], &s->schema->tables[fk->child].rules);
    return row_meant(a, parent, rules, name);
}

/* ---- forgetting ---- */

static enum err is_kept(struct store *s, struct row_key k, struct dot name, bool *kept)
{
    struct query q = DB_QUERY(
        s, "SELECT 1 FROM tonle_keep WHERE t = ?1 AND k = ?2 AND site = ?3 AND seq = ?4",
        value_integer(k.t->t), value_blob(k.key, k.len), value_u64(name.site), value_u64(name.seq));
    *kept = query_next(&q);
    return query_end(&q);
}

/* Whether any birth of the parent's table keeps the name, whatever its key. */
static enum err is_kept_anywhere(struct store *s, uint32_t t, struct dot name, bool *kept)
{
    struct query q =
        DB_QUERY(s, "SELECT 1 FROM tonle_keep WHERE t = ?1 AND site = ?2 AND seq = ?3 LIMIT 1",
                 value_integer(t), value_u64(name.site), value_u64(name.seq));
    *kept = query_next(&q);
    return query_end(&q);
}

/* Whether the name is kept at the parent's key. A foreign key of several columns may lead away from
 * it and back by a write to another column than the one that carries the reference, and offices
 * sweep at different times: there the key does not matter. Of a cell with several values every name
 * stays: which key each belongs to is not worth asking. */
static enum err keeps(struct store *s, struct arena *a, struct row_key k, const struct birth *b,
                      const struct reference *ref, bool *kept)
{
    const struct cell *c = birth_find_cell(b, cell_of(&k.t->rules, ref->column));
    enum err e = ERR_OK;
    *kept = part_birth_unknown(a, k.t, b) || (c && c->n > 1);
    const struct value *values = *kept ? NULL : birth_shown(a, b, &k.t->rules);
    for (uint32_t f = 0; e == ERR_OK && !*kept && f < s->schema->n_fks; f++) {
        const struct foreign_key *fk = &s->schema->fks[f];
        struct row_key parent;
        if (&s->schema->tables[fk->child] != k.t || !fk->key_column ||
            fk->key_column[fk->n - 1] != ref->column)
            continue;
        if (fk->n > 1)
            e = is_kept_anywhere(s, s->schema->tables[fk->parent].t, ref->birth, kept);
        else if (refer_key(a, fk, &s->schema->tables[fk->parent], values, &parent))
            e = is_kept(s, parent, ref->birth, kept);
    }
    return e;
}

enum err refer_keep(struct store *s, struct arena *a, struct row_key k, const struct row *r,
                    struct forget *f)
{
    struct dot *parents = NULL;
    size_t n = 0, cap = 0;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        for (uint32_t j = 0; e == ERR_OK && j < b->n_references; j++) {
            bool kept = false;
            if (clock_covers(f->stable, b->references[j].birth))
                e = keeps(s, a, k, b, &b->references[j], &kept);
            if (!kept)
                continue;
            parents = arena_grow(a, parents, n, &cap, sizeof *parents);
            parents[n++] = b->references[j].birth;
        }
    }
    f->parents = parents;
    f->n_parents = n;
    return e;
}
