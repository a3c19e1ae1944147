/* References looked at again, and what a cut log left alone: in slices, of one transaction each, so
 * that an application has the database between two of them.
 *
 * A pass over all references goes, in the order of their keys, through the rows that refer to
 * others and then through those that are held. What is asked for while it goes on is another pass
 * behind it. Whatever the slices are, they come to the same: who comes in lets in whoever waited
 * for it, who goes out takes out whoever relied on it (parents.c). */
#include "node/apply/apply.h"

#include "conflict/hlc.h"
#include "node/apply/work.h"
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/schema/schema.h"
#include "node/state/state.h"

#include <assert.h>
#include <string.h>

static enum err begin(struct work *w, struct store *s, struct arena *a)
{
    enum err e = capture_temp_triggers(s);
    work_init(w, s, a);
    w->now_ms = hlc_ms(state_of(s)->hlc);
    w->hlc = state_of(s)->hlc;
    return e;
}

static enum err finish(struct work *w)
{
    struct apply_report report = {0};
    w->report = &report;
    return work_finish(w);
}

/* ---- what a cut log left alone */

/* The next of them leave the list; *n: how many these were. */
static enum err take_noted(struct work *w, bool stands, uint32_t max_rows, uint32_t *n)
{
    struct query q =
        DB_QUERY(w->s, "SELECT t, k FROM tonle_again WHERE stands = ?1 ORDER BY t, k LIMIT ?2",
                 value_integer(stands), value_u64(max_rows));
    for (*n = 0; query_next(&q); ++*n) {
        const struct table_schema *t = schema_by_number(w->s, (uint32_t)query_u64(&q, 0));
        struct bytes key = query_borrow(&q, 1);
        if (t && t->exists)
            (void)work_get(w, t, key.p, key.len);
    }
    enum err e = query_end(&q);
    if (e != ERR_OK || *n == 0)
        return e;
    return DB_RUN(w->s,
                  "DELETE FROM tonle_again WHERE (t, k) IN (SELECT t, k FROM tonle_again"
                  " WHERE stands = ?1 ORDER BY t, k LIMIT ?2)",
                  value_integer(stands), value_u64(*n));
}

enum err again_decide(struct store *s, struct arena *a, uint32_t max_rows, bool *more)
{
    struct work w;
    uint32_t first = 0, stand = 0;
    int64_t any = 0;
    *more = false;
    enum err e = db_number(s, "SELECT EXISTS(SELECT 1 FROM tonle_again)", &any);
    if (e != ERR_OK || !any)
        return e;
    e = begin(&w, s, a);
    if (e == ERR_OK)
        e = take_noted(&w, false, max_rows, &first);
    for (size_t i = 0; e == ERR_OK && i < w.n; i++)
        e = work_again(&w, w.row[i]);
    if (e == ERR_OK && first < max_rows)
        e = take_noted(&w, true, max_rows - first, &stand);
    for (size_t i = 0; e == ERR_OK && i < w.n; i++) {
        e = work_load(&w, w.row[i]);
        w.row[i]->fk_new = w.row[i]->now;
    }
    *more = first + stand == max_rows;
    return e == ERR_OK ? finish(&w) : e;
}

/* ---- all references */

#define META_PARENTS_AT "parents_at" /* tonle_meta: a place and its key */

struct reference_place {
    uint64_t due, cookie; /* when the pass began */
    uint32_t fk;          /* whose children are looked at; behind the last: the held rows */
    uint32_t t;           /* of these: and the table of the last one */
};
struct reference_pass {
    struct reference_place at;
    struct buf key; /* of the last row; empty: from the first on */
    uint32_t left;  /* rows that this slice may still read */
};

struct looked_at { /* a row that the slice has found */
    const struct table_schema *t;
    struct bytes key;
    bool held, parent; /* it is held; for its parent */
};
struct reference_slice {
    struct looked_at *row;
    size_t n, cap;
};

static bool is_here(const struct store *s, const struct foreign_key *fk)
{
    return s->schema->tables[fk->child].exists && s->schema->tables[fk->parent].exists;
}

static enum err read_place(struct store *s, struct arena *a, struct reference_pass *p, uint64_t due)
{
    struct bytes b = {0};
    enum err e = store_meta_get(s, a, META_PARENTS_AT, &b);
    p->at = (struct reference_place){.due = due, .cookie = (uint64_t)schema_cookie(s)};
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    struct reference_place at;
    if (b.len >= sizeof at)
        memcpy(&at, b.p, sizeof at);
    if (b.len >= sizeof at && at.cookie == p->at.cookie) {
        p->at = at;
        buf_put(&p->key, b.p + sizeof at, b.len - sizeof at);
        return ERR_OK;
    }
    return store_meta_drop(s, META_PARENTS_REFUSED); /* from the beginning */
}

static enum err write_place(struct store *s, const struct reference_pass *p)
{
    struct buf b = {0};
    buf_put(&b, &p->at, sizeof p->at);
    buf_put(&b, p->key.data, p->key.len);
    enum err e = store_meta_set(s, META_PARENTS_AT, b.data, b.len);
    buf_fini(&b);
    return e;
}

static void add(struct arena *a, struct reference_slice *x, struct looked_at row)
{
    x->row = arena_grow(a, x->row, x->n, &x->cap, sizeof *x->row);
    x->row[x->n++] = row;
}

static void go_to(struct reference_pass *p, uint32_t n, uint32_t next_fk, struct bytes last)
{
    bool ended = n < p->left;
    p->left -= n;
    buf_reset(&p->key);
    if (ended)
        p->at.fk = next_fk;
    else
        buf_put(&p->key, last.p, last.len);
}

static enum err find_orphans(struct work *w, struct reference_pass *p, struct reference_slice *x)
{
    const struct foreign_key *fk = &w->s->schema->fks[p->at.fk];
    const struct table_schema *t = &w->s->schema->tables[fk->child];
    struct bytes last = {p->key.data, p->key.len};
    uint32_t n = 0;
    struct query q;
    enum err e = work_children_at(w, fk, last, p->left, &q);
    if (e != ERR_OK)
        return e;
    for (; query_next(&q); n++) {
        last = work_key_at(w, &q, t);
        if (query_i64(&q, (int)t->n_key) != 0)
            add(w->a, x, (struct looked_at){.t = t, .key = last});
    }
    e = query_end(&q);
    go_to(p, n, p->at.fk + 1, last);
    return e;
}

/* Keys at which a birth is held: who means it is held, too, whoever stands there. */
static enum err find_held(struct work *w, struct reference_pass *p, struct reference_slice *x)
{
    struct bytes last = {p->key.data, p->key.len};
    uint32_t n = 0;
    struct query q = DB_QUERY(w->s,
                              "SELECT t, k, max(reason = 'parent') FROM tonle_held"
                              " WHERE t > 0 AND (t, k) > (?1, ?2) GROUP BY t, k ORDER BY t, k"
                              " LIMIT ?3",
                              value_u64(p->at.t), value_blob(last.p, last.len), value_u64(p->left));
    for (; query_next(&q); n++) {
        const struct table_schema *t = schema_by_number(w->s, (uint32_t)query_u64(&q, 0));
        p->at.t = (uint32_t)query_u64(&q, 0);
        last = query_bytes(&q, w->a, 1);
        if (t && t->exists)
            add(w->a, x, (struct looked_at){t, last, true, query_i64(&q, 2) != 0});
    }
    enum err e = query_end(&q);
    go_to(p, n, p->at.fk + 1, last);
    return e;
}

static enum err look_at(struct work *w, const struct looked_at *x)
{
    struct work_row *r = work_get(w, x->t, x->key.p, x->key.len);
    r->others_moved = r->others_moved || x->held;
    enum err e = work_load(w, r);
    if (e == ERR_OK && x->parent)
        return work_again(w, r);
    r->fk_new = r->fk_new || !x->held;
    return e;
}

static enum err try_rows(struct store *s, struct arena *a, const struct looked_at *row, size_t n)
{
    struct work w;
    enum err e = begin(&w, s, a);
    if (e == ERR_OK)
        e = store_try_begin(s);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        e = look_at(&w, &row[i]);
    if (e == ERR_OK)
        e = finish(&w);
    if (!store_try_refused(e))
        return e == ERR_OK ? store_try_keep(s) : e;
    enum err undone = store_try_undo(s);
    return undone == ERR_OK ? e : undone;
}

/* A row that cannot be held keeps nothing else waiting: why is on record for a person. */
static enum err decide(struct store *s, struct arena *a, const struct reference_slice *x)
{
    enum err e = x->n > 0 ? try_rows(s, a, x->row, x->n) : ERR_OK;
    if (!store_try_refused(e))
        return e;
    e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < x->n; i++) {
        e = try_rows(s, a, &x->row[i], 1);
        if (!store_try_refused(e))
            continue;
        const char *why = store_message(s);
        e = store_meta_set(s, META_PARENTS_REFUSED, why, strlen(why));
    }
    return e;
}

static enum err one_slice(struct store *s, struct arena *a, struct reference_pass *p)
{
    struct work w; /* for what is read; it is not finished */
    struct reference_slice x = {0};
    enum err e = begin(&w, s, a);
    while (e == ERR_OK && p->left > 0 && p->at.fk <= s->schema->n_fks) {
        if (p->at.fk == s->schema->n_fks)
            e = find_held(&w, p, &x);
        else if (is_here(s, &s->schema->fks[p->at.fk]))
            e = find_orphans(&w, p, &x);
        else
            p->at.fk++;
    }
    return e == ERR_OK ? decide(s, a, &x) : e;
}

enum err parents_sweep(struct store *s, struct arena *a, uint32_t max_rows, bool *more)
{
    uint64_t due;
    struct reference_pass p = {.left = max_rows};
    *more = false;
    enum err e = store_meta_u64(s, META_PARENTS_DUE, 0, &due);
    if (e != ERR_OK || due == 0 || state_of(s)->loading)
        return e; /* a load's end asks for the same */
    e = schema_load(s);
    if (e == ERR_OK)
        e = read_place(s, a, &p, due);
    if (e == ERR_OK)
        e = one_slice(s, a, &p);
    bool ended = p.at.fk > s->schema->n_fks;
    *more = !ended || due != p.at.due;
    if (e == ERR_OK)
        e = ended ? store_meta_drop(s, META_PARENTS_AT) : write_place(s, &p);
    if (e == ERR_OK && !*more)
        e = store_meta_drop(s, META_PARENTS_DUE);
    buf_fini(&p.key);
    return e;
}

enum err parents_due(struct store *s)
{
    uint64_t due;
    enum err e = store_meta_u64(s, META_PARENTS_DUE, 0, &due);
    return e == ERR_OK ? store_meta_set_u64(s, META_PARENTS_DUE, due + 1) : e;
}

enum err load_parents(struct store *s, struct arena *a)
{
    bool more;
    enum err e = parents_due(s);
    return e == ERR_OK ? parents_sweep(s, a, AGAIN_ROWS, &more) : e;
}

enum err store_parents_again(struct store *s)
{
    enum err e = store_meta_drop(s, META_PARENTS_REFUSED);
    return e == ERR_OK ? parents_due(s) : e;
}

bool store_again_left(struct store *s)
{
    int64_t left = 1;
    enum err e = db_number(s,
                           "SELECT EXISTS(SELECT 1 FROM tonle_again)"
                           " OR EXISTS(SELECT 1 FROM tonle_meta WHERE k = 'parents_due')",
                           &left);
    return e != ERR_OK || left != 0;
}
