/* Forgetting (DESIGN 4): the stable clock is raised at once; records are looked at through it from
 * then on (row_load), and swept out of the table in small slices when there is time. So passing a
 * stable(mark) costs the same however many rows it settles. */
#include "node/apply/apply.h"

#include "conflict/hlc.h"
#include "conflict/twin.h"
#include "node/apply/work.h"
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/state/state.h"

#include <assert.h>
#include <string.h>

/* A key of tonle_row with what is needed to look at it. `w`: for all of them; it is not
 * finished. */
static enum err load_key(struct work *w, const struct table_schema *t, struct bytes key,
                         struct work_row *r)
{
    *r = (struct work_row){.k = {t, key.p, key.len}};
    struct value *now = NULL;
    enum err e = t->exists ? row_read(w->s, w->a, r->k, &now) : ERR_OK;
    return e == ERR_OK ? work_load_with(w, r, now) : e;
}

struct one_row { /* a key whose births may become one (row_is_one) */
    const struct table_schema *t;
    struct bytes key;
    struct row row;
    const struct birth *stays;
};
struct keep_list {
    struct kept_birth *birth;
    size_t n, cap;
    struct map by_birth; /* of `birth` */
    struct one_row *one;
    size_t n_one, cap_one;
};

static uint64_t kept_hash(const char *table, struct bytes key, struct dot name)
{
    uint64_t h = hash_key(VALUE_HASH_SEED, key.p, key.len);
    h = bytes_hash(h, &name, sizeof name);
    return bytes_hash(h, table, strlen(table));
}

static bool is_listed(const struct keep_list *list, struct row_key k, struct dot name)
{
    const struct bytes key = {k.key, k.len};
    struct map_search at = map_seek(&list->by_birth, kept_hash(k.t->name, key, name));
    while (map_next(&list->by_birth, &at)) {
        const struct kept_birth *x = &list->birth[at.number];
        if (dot_equal(x->birth, name) && x->key.len == k.len &&
            memcmp(x->key.p, k.key, k.len) == 0 && strcmp(x->table, k.t->name) == 0)
            return true;
    }
    return false;
}

/* All covered names of a key. */
static void list_names(struct work *w, const struct clock *stable, const struct table_schema *t,
                       struct bytes key, const struct row *r, struct keep_list *out)
{
    for (uint32_t i = 0; i < r->n_births; i++) {
        struct dot name = r->births[i].name;
        if (dot_is_none(name) || !clock_covers(stable, name))
            continue;
        map_put(&out->by_birth, kept_hash(t->name, key, name), (uint32_t)out->n);
        out->birth = arena_grow(w->a, out->birth, out->n, &out->cap, sizeof *out->birth);
        out->birth[out->n++] = (struct kept_birth){t->name, key, name};
    }
}

static const struct birth *no_twin(struct work *w, const struct row *r,
                                   const struct table_schema *t)
{
    const struct birth **twin_of = row_twins(w->a, r, &t->rules);
    for (uint32_t i = 0; i < r->n_births; i++)
        if (!twin_of || !twin_of[i])
            return &r->births[i];
    return NULL;
}

static enum err keep_row(struct work *w, const struct clock *stable, const struct table_schema *t,
                         struct bytes key, struct keep_list *out)
{
    struct work_row r;
    enum err e = load_key(w, t, key, &r);
    if (e != ERR_OK)
        return e;
    /* as it will be seen under the new clock, with every covered name still kept */
    struct dot *names = arena_alloc(w->a, (r.row.n_births + 1) * sizeof *names);
    for (uint32_t i = 0; i < r.row.n_births; i++)
        names[i] = r.row.births[i].name;
    struct forget f = {
        .stable = stable, .keep = names, .n_keep = r.row.n_births, .keep_references = true};
    row_forget(w->a, &r.row, &t->rules, &f);
    if (r.row.n_births < 2)
        return ERR_OK;
    if (!row_is_one(w->a, &r.row, &t->rules, stable)) {
        list_names(w, stable, t, key, &r.row, out);
        return ERR_OK;
    }
    out->one = arena_grow(w->a, out->one, out->n_one, &out->cap_one, sizeof *out->one);
    out->one[out->n_one++] = (struct one_row){t, key, r.row, no_twin(w, &r.row, t)};
    return ERR_OK;
}

/* The parent that a birth means by a name which is kept; none. */
static struct dot kept_parent(struct work *w, const struct keep_list *list, const struct one_row *x,
                              const struct birth *b, const struct foreign_key *fk)
{
    struct row_key k;
    struct dot name = birth_reference(w->a, b, fk->key_column[fk->n - 1], &x->t->rules);
    bool known = !dot_is_none(name) && x->stays->values &&
                 refer_key(w->a, fk, &w->s->schema->tables[fk->parent],
                           birth_shown(w->a, x->stays, &x->t->rules), &k);
    return known && is_listed(list, k, name) ? name : (struct dot){0};
}

/* Twins that mean parents which are told apart still keep their names: as long as the child is as
 * it was born, it belongs to any of them. */
static bool refers_alike(struct work *w, const struct keep_list *list, const struct one_row *x)
{
    for (uint32_t f = 0; !x->stays->touched && f < w->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &w->s->schema->fks[f];
        if (&w->s->schema->tables[fk->child] != x->t || !fk->key_column)
            continue;
        struct dot name = kept_parent(w, list, x, x->stays, fk);
        for (uint32_t i = 0; i < x->row.n_births; i++)
            if (!dot_equal(kept_parent(w, list, x, &x->row.births[i], fk), name))
                return false;
    }
    return true;
}

/* Until nothing changes: a child may be a parent itself. */
static void keep_children(struct work *w, const struct clock *stable, struct keep_list *list)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < list->n_one; i++) {
            struct one_row *x = &list->one[i];
            if (!x->stays || refers_alike(w, list, x))
                continue;
            list_names(w, stable, x->t, x->key, &x->row, list);
            x->stays = NULL;
            more = true;
        }
    }
}

/* The covered births of every key that has several on record, but where they become one (DESIGN 4,
 * "Equal births"). */
enum err store_keep_list(struct store *s, struct arena *a, const struct clock *stable,
                         struct kept_birth **keep, uint32_t *n)
{
    struct keep_list list = {.by_birth.a = a};
    struct work w;
    enum err e = schema_load(s);
    work_init(&w, s, a);
    struct query q = DB_QUERY(s, "SELECT t, k FROM tonle_row WHERE births > 1");
    query_fail(&q, e);
    while (query_next(&q)) {
        const struct table_schema *t = schema_by_number(s, (uint32_t)query_u64(&q, 0));
        if (t)
            query_fail(&q, keep_row(&w, stable, t, query_bytes(&q, a, 1), &list));
    }
    e = query_end(&q);
    if (e == ERR_OK)
        keep_children(&w, stable, &list);
    *n = (uint32_t)list.n;
    *keep = list.birth;
    return e;
}

static enum err write_keep(struct store *s, const struct kept_birth *k)
{
    const struct table_schema *t = schema_table(s, k->table);
    return t ? record_keep_add(s, (struct row_key){t, k->key.p, k->key.len}, k->birth) : ERR_OK;
}

/* Where the sweep is: in the fresh records (sweep_fresh), or still in those that an earlier one
 * left; the table and the key of its last row. */
static enum err drop_cursor(struct store *s)
{
    enum err e = store_meta_drop(s, "sweep_fresh");
    if (e == ERR_OK)
        e = store_meta_drop(s, "sweep_t");
    return e == ERR_OK ? store_meta_drop(s, "sweep_k") : e;
}

enum err store_sweep_again(struct store *s)
{
    enum err e = store_meta_set_u64(s, "sweep_due", 1);
    return e == ERR_OK ? drop_cursor(s) : e;
}

enum err store_set_stable(struct store *s, struct arena *a, const struct stable *st)
{
    (void)a;
    assert(s->in_write);
    enum err e = schema_load(s);
    if (e == ERR_OK)
        e = state_raise_stable(s, &st->clock);
    if (e == ERR_OK)
        e = record_came_clear(s);
    if (e == ERR_OK)
        e = record_keep_clear(s);
    for (uint32_t i = 0; e == ERR_OK && i < st->n_keep; i++)
        e = write_keep(s, &st->keep[i]);
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "stable_ms", hlc_ms(st->hlc));
    if (e == ERR_OK)
        e = store_sweep_again(s);
    return e == ERR_OK ? store_set_hlc(s, st->hlc) : e;
}

/* ---- the sweep, in slices: first what an earlier one had to leave, then the fresh records, some
 * of which go there ---- */

struct sweep_row {
    uint32_t number;
    const struct table_schema *t; /* NULL: a table that is not published any more */
    struct bytes key;
};
struct sweep_slice {
    bool fresh;
    struct sweep_row *row;
    uint32_t n, max;
};

static enum err next_slice(struct store *s, struct arena *a, struct sweep_slice *out)
{
    struct bytes after = {0};
    uint64_t t;
    enum err e = store_meta_get(s, a, "sweep_k", &after);
    if (e == ERR_OK || e == ERR_NOT_FOUND)
        e = store_meta_u64(s, "sweep_t", 0, &t);
    if (e != ERR_OK)
        return e;
    struct query q = DB_QUERY(s,
                              "SELECT t, k FROM tonle_row WHERE swept = ?1"
                              " AND (t, k) > (?2, ?3) ORDER BY t, k LIMIT ?4",
                              value_integer(!out->fresh), value_u64(t),
                              value_blob(after.p, after.len), value_integer(out->max));
    for (out->n = 0; query_next(&q); out->n++) {
        uint32_t number = (uint32_t)query_u64(&q, 0);
        assert(out->n < out->max);
        out->row[out->n] =
            (struct sweep_row){number, schema_by_number(s, number), query_bytes(&q, a, 1)};
    }
    return query_end(&q);
}

static enum err sweep_record(struct work *w, const struct sweep_row *at)
{
    struct work_row r;
    bool torn = false;
    enum err e = load_key(w, at->t, at->key, &r);
    if (e == ERR_OK && row_has_siblings(&r.row))
        e = row_was_torn(w->s, w->a, r.k, r.recorded, &torn);
    if (e == ERR_OK && torn) /* with what was unknown forgotten, its conflicts are known */
        e = conflict_reconcile(w, &r);
    return e == ERR_OK ? row_sweep(w->s, w->a, r.k, &r.row, r.recorded) : e;
}

/* Where the next slice begins; `more`: whether there is one. */
static enum err move_cursor(struct store *s, bool fresh, const struct sweep_row *last, bool *more)
{
    enum err e = ERR_OK;
    *more = last || !fresh;
    if (last) {
        e = store_meta_set_u64(s, "sweep_t", last->number);
        return e == ERR_OK ? store_meta_set(s, "sweep_k", last->key.p, last->key.len) : e;
    }
    e = drop_cursor(s);
    if (e == ERR_OK && !fresh)
        return store_meta_set_u64(s, "sweep_fresh", 1);
    return e == ERR_OK ? store_meta_drop(s, "sweep_due") : e;
}

enum err store_sweep(struct store *s, struct arena *a, uint32_t max_rows, bool *more)
{
    struct work w;
    assert(s->in_write && max_rows > 0);
    if (store_capture_pending(s)) /* what the tables show tells which ranks are still needed */
        return store_fail(s, ERR_STATE, "local changes are not sealed yet");
    uint64_t due = 0, fresh = 0;
    *more = false;
    enum err e = charter_parents(s, a);
    if (e == ERR_OK)
        e = defer_replay(s, a, max_rows, more);
    if (e == ERR_OK && !*more)
        e = local_sweep(s, a, max_rows, more);
    if (e == ERR_OK)
        e = store_meta_u64(s, "sweep_due", 0, &due);
    if (e != ERR_OK || *more || due == 0)
        return e;
    e = store_meta_u64(s, "sweep_fresh", 0, &fresh);
    if (e == ERR_OK)
        e = schema_load(s);
    struct sweep_slice at = {.fresh = fresh != 0, .max = max_rows};
    at.row = arena_alloc(a, max_rows * sizeof *at.row);
    if (e == ERR_OK)
        e = next_slice(s, a, &at);
    if (e == ERR_OK && at.n == 0 && !at.fresh) { /* the end costs no slice of its own */
        e = move_cursor(s, false, NULL, more);
        at.fresh = true;
        if (e == ERR_OK)
            e = next_slice(s, a, &at);
    }
    if (e == ERR_OK)
        work_init(&w, s, a);
    for (uint32_t i = 0; e == ERR_OK && i < at.n; i++) {
        if (at.row[i].t)
            e = sweep_record(&w, &at.row[i]);
    }
    const struct sweep_row *last = at.n == max_rows ? &at.row[at.n - 1] : NULL;
    return e == ERR_OK ? move_cursor(s, at.fresh, last, more) : e;
}
