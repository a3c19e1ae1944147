/* Forgetting (DESIGN 4): the stable clock is raised at once; records are looked at through it from
 * then on (row_load), and swept out of the table in small slices when there is time. So passing a
 * stable(mark) costs the same however many rows it settles. */
#include "node/apply/apply.h"

#include "conflict/hlc.h"
#include "node/apply/work.h"
#include "node/db/sqlite.h"
#include "node/state/state.h"

#include <string.h>

/* A key of tonle_row with what is needed to look at it. */
static enum err load_key(struct store *s, struct arena *a, const struct table_schema *t,
                         struct bytes key, struct work_row *r)
{
    *r = (struct work_row){.k = {t, key.p, key.len}};
    struct value *now = NULL;
    enum err e = t->exists ? row_read(s, a, r->k, &now) : ERR_OK;
    struct work w;
    work_init(&w, s, a);
    return e == ERR_OK ? work_load_with(&w, r, now) : e;
}

static enum err keep_row(struct store *s, struct arena *a, const struct clock *stable,
                         const struct table_schema *t, struct bytes key, struct kept_birth **keep,
                         uint32_t *n, size_t *cap)
{
    struct work_row r;
    enum err e = load_key(s, a, t, key, &r);
    if (e != ERR_OK)
        return e;
    /* as it will be seen under the new clock, with every covered name still kept */
    struct dot *names = arena_alloc(a, (r.row.n_births + 1) * sizeof *names);
    for (uint32_t i = 0; i < r.row.n_births; i++)
        names[i] = r.row.births[i].name;
    struct forget f = {.stable = stable, .keep = names, .n_keep = r.row.n_births};
    row_forget(a, &r.row, &t->rules, &f);
    for (uint32_t i = 0; r.row.n_births > 1 && i < r.row.n_births; i++) {
        struct dot name = r.row.births[i].name;
        if (dot_is_none(name) || !clock_covers(stable, name))
            continue;
        *keep = mem_grow(*keep, *n, cap, sizeof **keep);
        (*keep)[(*n)++] =
            (struct kept_birth){t->name, {arena_copy(a, key.p, key.len), key.len}, name};
    }
    return ERR_OK;
}

enum err store_keep_list(struct store *s, struct arena *a, const struct clock *stable,
                         struct kept_birth **keep, uint32_t *n)
{
    struct kept_birth *list = NULL;
    size_t cap = 0;
    *n = 0;
    enum err e = schema_load(s);
    sqlite3_stmt *q =
        e == ERR_OK ? store_stmt(s, "SELECT t, k FROM tonle_row WHERE births > 1") : NULL;
    bool row = e == ERR_OK;
    while (e == ERR_OK && row) {
        e = store_step(s, q, &row);
        struct table_schema *t =
            e == ERR_OK && row ? schema_by_number(s, (uint32_t)sqlite3_column_int(q, 0)) : NULL;
        if (t)
            e = keep_row(s, a, stable, t, store_column_bytes(a, q, 1), &list, n, &cap);
    }
    if (q)
        sqlite3_reset(q);
    *keep = arena_copy(a, list, *n * sizeof *list);
    mem_free(list);
    return e;
}

static enum err write_keep(struct store *s, const struct kept_birth *k)
{
    const struct table_schema *t = schema_table(s, k->table);
    return t ? record_keep_add(s, (struct row_key){t, k->key.p, k->key.len}, k->birth) : ERR_OK;
}

/* Where the sweep is: in the fresh records, or still in those that an earlier one left; its last
 * row.
 */
#define SWEEP_CURSOR "('sweep_fresh', 'sweep_t', 'sweep_k')"

enum err store_set_stable(struct store *s, struct arena *a, const struct stable *st)
{
    (void)a;
    enum err e = schema_load(s);
    if (e == ERR_OK)
        e = state_raise_stable(s, &st->clock);
    if (e == ERR_OK)
        e = record_keep_clear(s);
    for (uint32_t i = 0; e == ERR_OK && i < st->n_keep; i++)
        e = write_keep(s, &st->keep[i]);
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "stable_ms", hlc_ms(st->hlc));
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "sweep_due", 1);
    if (e == ERR_OK) /* from the first record again */
        e = store_exec(s, "DELETE FROM tonle_meta WHERE k IN " SWEEP_CURSOR);
    return e == ERR_OK ? store_set_hlc(s, st->hlc) : e;
}

/* ---- the sweep, in slices: first what an earlier one had to leave, then the fresh records, some
 * of which go there ---- */

struct sweep_slice {
    uint32_t number;
    struct table_schema *t; /* NULL: a table that is not published any more */
    struct bytes key;
};

static enum err next_slice(struct store *s, struct arena *a, bool fresh, uint32_t max_rows,
                           struct sweep_slice *slice, uint32_t *n)
{
    struct bytes after = {0};
    enum err e = store_meta_get(s, a, "sweep_k", &after);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    uint64_t t = store_meta_u64(s, "sweep_t", 0);
    sqlite3_stmt *q = store_stmt(s, "SELECT t, k FROM tonle_row WHERE swept = ?1"
                                    " AND (t, k) > (?2, ?3) ORDER BY t, k LIMIT ?4");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, !fresh);
    store_bind_u64(q, 2, t);
    store_bind_blob(q, 3, after.p, after.len);
    sqlite3_bind_int64(q, 4, max_rows);
    bool row = true;
    e = ERR_OK;
    *n = 0;
    while (e == ERR_OK && row && *n < max_rows) {
        e = store_step(s, q, &row);
        uint32_t number = (uint32_t)sqlite3_column_int(q, 0);
        if (e == ERR_OK && row)
            slice[(*n)++] = (struct sweep_slice){number, schema_by_number(s, number),
                                                 store_column_bytes(a, q, 1)};
    }
    sqlite3_reset(q);
    return e;
}

static enum err sweep_record(struct store *s, struct arena *a, const struct sweep_slice *at)
{
    struct work_row r;
    enum err e = load_key(s, a, at->t, at->key, &r);
    return e == ERR_OK ? row_sweep(s, a, r.k, &r.row, r.recorded) : e;
}

/* Where the next slice begins; `more`: whether there is one. */
static enum err move_cursor(struct store *s, bool fresh, const struct sweep_slice *last, bool *more)
{
    enum err e = ERR_OK;
    *more = last || !fresh;
    if (last) {
        e = store_meta_set_u64(s, "sweep_t", last->number);
        return e == ERR_OK ? store_meta_set(s, "sweep_k", last->key.p, last->key.len) : e;
    }
    e = store_exec(s, "DELETE FROM tonle_meta WHERE k IN " SWEEP_CURSOR);
    if (e == ERR_OK && !fresh)
        return store_meta_set_u64(s, "sweep_fresh", 1);
    return e == ERR_OK ? store_exec(s, "DELETE FROM tonle_meta WHERE k = 'sweep_due'") : e;
}

enum err store_sweep(struct store *s, struct arena *a, uint32_t max_rows, bool *more)
{
    enum err e = defer_replay(s, a, max_rows, more);
    if (e != ERR_OK || *more || store_meta_u64(s, "sweep_due", 0) == 0)
        return e;
    e = schema_load(s);
    struct sweep_slice *slice = arena_alloc(a, (max_rows + 1) * sizeof *slice);
    bool fresh = store_meta_u64(s, "sweep_fresh", 0) != 0;
    uint32_t n = 0;
    if (e == ERR_OK)
        e = next_slice(s, a, fresh, max_rows, slice, &n);
    if (e == ERR_OK && n == 0 && !fresh) { /* the end costs no slice of its own */
        e = move_cursor(s, fresh, NULL, more);
        fresh = true;
        if (e == ERR_OK)
            e = next_slice(s, a, fresh, max_rows, slice, &n);
    }
    for (uint32_t i = 0; e == ERR_OK && i < n; i++) {
        if (slice[i].t)
            e = sweep_record(s, a, &slice[i]);
    }
    return e == ERR_OK ? move_cursor(s, fresh, n == max_rows ? &slice[n - 1] : NULL, more) : e;
}
