/* The touched rows: found by key, loaded once, brought to what the merged state says, saved.
 *
 * Order of work_finish:
 *   1. rows with one living birth that nothing contends: DELETE, UPDATE, INSERT in that order, so
 *      that a unique value freed in a changeset can be taken in it
 *   2. the rows that contend (several births, a clash, a claim): store_decide.c
 *   3. foreign keys: store_parents.c
 *   4. records, claims, held rows, open conflicts
 */
#include "node/apply/work.h"

#include "node/capture/capture.h"
#include "node/db/sqlite.h"
#include "node/journal/journal.h"
#include "node/state/state.h"

#include <string.h>

void work_init(struct work *w, struct store *s, struct arena *a)
{
    *w = (struct work){.s = s, .a = a, .check_parents = !state_of(s)->loading};
    w->limits = limit_any(s, &w->limits) != ERR_OK || w->limits; /* when in doubt, looked for */
    w->insert_sql = arena_alloc(a, (s->schema->n_tables + 1) * sizeof *w->insert_sql);
    w->delete_sql = arena_alloc(a, (s->schema->n_tables + 1) * sizeof *w->delete_sql);
    w->seek_orphans = arena_alloc(a, s->schema->n_fks + 1);
    w->table_held = arena_alloc(a, s->schema->n_tables + 1);
    memset(w->table_held, -1, s->schema->n_tables + 1);
}

static void map_grow(struct work *w)
{
    w->map_cap = w->map_cap ? w->map_cap * 2 : 1024;
    w->map = arena_alloc(w->a, w->map_cap * sizeof *w->map);
    for (size_t i = 0; i < w->n; i++) {
        size_t at = w->row[i]->hash & (w->map_cap - 1);
        while (w->map[at])
            at = (at + 1) & (w->map_cap - 1);
        w->map[at] = (uint32_t)i + 1;
    }
}

/* Where the row is, or would be. */
static size_t map_place(const struct work *w, const struct table_schema *t, const void *key,
                        size_t len, uint64_t h)
{
    size_t at = h & (w->map_cap - 1);
    for (; w->map[at]; at = (at + 1) & (w->map_cap - 1)) {
        const struct work_row *r = w->row[w->map[at] - 1];
        if (r->hash == h && r->k.t == t && r->k.len == len && memcmp(r->k.key, key, len) == 0)
            break;
    }
    return at;
}

struct work_row *work_find(const struct work *w, const struct table_schema *t, const void *key,
                           size_t len)
{
    if (w->n == 0)
        return NULL;
    size_t at = map_place(w, t, key, len, hash_key(VALUE_HASH_SEED + t->t, key, len));
    return w->map[at] ? w->row[w->map[at] - 1] : NULL;
}

struct work_row *work_get(struct work *w, const struct table_schema *t, const void *key, size_t len)
{
    if (w->n * 2 >= w->map_cap)
        map_grow(w);
    uint64_t h = hash_key(VALUE_HASH_SEED + t->t, key, len);
    size_t at = map_place(w, t, key, len, h);
    if (w->map[at])
        return w->row[w->map[at] - 1];
    w->row = arena_grow(w->a, w->row, w->n, &w->cap, sizeof *w->row);
    struct work_row *r = arena_alloc(w->a, sizeof *r);
    r->k = (struct row_key){t, arena_copy(w->a, key, len), len};
    r->hash = h;
    w->row[w->n++] = r;
    w->map[at] = (uint32_t)w->n;
    return r;
}

/* Who is held for its own parent counts as standing: what that means for the children is for pass 4
 * to say. */
uint64_t work_others(const struct work_row *r)
{
    uint64_t h = 0;
    bool any = false;
    for (uint32_t i = 0; i < r->row.n_births; i++) {
        const struct birth *b = &r->row.births[i];
        uint64_t held = b->held != HOLD_NONE && b->held != HOLD_PARENT;
        if (!birth_alive(b, &r->k.t->rules))
            continue;
        any |= held;
        h = bytes_hash(h + 1 + held, &b->name, sizeof b->name);
    }
    return any ? h | 1 : 0;
}

enum err work_load_with(struct work *w, struct work_row *r, struct value *now)
{
    if (r->loaded)
        return ERR_OK;
    enum err e = row_load(w->s, w->a, r->k, &r->row, &r->recorded);
    if (e != ERR_OK)
        return e;
    r->loaded = true;
    r->no_siblings = !row_has_siblings(&r->row);
    r->before = r->now = now;
    struct birth *standing = row_standing(&r->row, &r->k.t->rules);
    if (standing && now) {
        birth_set_values(w->a, standing, &r->k.t->rules, now);
        r->in_table = standing->name;
    }
    if (now && r->row.n_births == 0)
        row_from_settled(w->a, &r->row, now);
    for (uint32_t i = 0; i < r->row.n_births; i++)
        r->was_held = r->was_held || r->row.births[i].held != HOLD_NONE;
    r->others = work_others(r);
    return ERR_OK;
}

/* The row in the table; not one that only we have, because it was too large to be sent: that is
 * nobody's birth yet, and what others have under its key waits until it is made smaller or goes. */
static enum err read_row(struct work *w, const struct work_row *r, struct value **now)
{
    bool alone = false;
    enum err e = row_read(w->s, w->a, r->k, now);
    if (e == ERR_OK && *now && w->limits)
        e = limit_alone(w->s, r->k, &alone);
    if (alone)
        *now = NULL;
    return e;
}

enum err work_load(struct work *w, struct work_row *r)
{
    if (r->loaded)
        return ERR_OK;
    struct value *now = NULL;
    enum err e = read_row(w, r, &now);
    return e == ERR_OK ? work_load_with(w, r, now) : e;
}

struct value *work_shown(struct work *w, const struct work_row *r, const struct birth *b)
{
    return b->n_cells == 0 && b->values ? b->values : birth_shown(w->a, b, &r->k.t->rules);
}

bool work_same(const struct table_schema *t, const struct value *x, const struct value *y)
{
    if (x == y)
        return true;
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (!value_equal(&x[i], &y[i]))
            return false;
    }
    return true;
}

bool work_unique_changed(const struct table_schema *t, const struct value *x, const struct value *y)
{
    for (uint32_t i = 0; i < t->n_unique_columns; i++) {
        if (!value_equal(&x[t->unique_columns[i]], &y[t->unique_columns[i]]))
            return true;
    }
    return false;
}

void work_note(struct work *w, struct work_row *r)
{
    (void)w;
    r->touched = true;
    r->fk_new = r->now;
    r->fk_gone = true;
}

enum err work_unsealed(struct work *w, const struct work_row *r, bool *yes)
{
    *yes = false;
    if (!w->part || r->sealed)
        return ERR_OK;
    enum err e = capture_has(w->s, r->k.t, r->k.key, r->k.len, yes);
    return e == ERR_OK && *yes ? again_note(w->s, r->k) : e;
}

struct site_name *work_site(struct work *w, uint64_t site)
{
    for (size_t i = 0; i < w->n_sites; i++) {
        if (w->site[i].site == site)
            return &w->site[i];
    }
    struct site_record rec = {.node = "", .unit = ""};
    if (site == 0 || store_site_get(w->s, w->a, site, &rec) != ERR_OK)
        rec.node = rec.unit = "";
    w->site = arena_grow(w->a, w->site, w->n_sites, &w->cap_sites, sizeof *w->site);
    w->site[w->n_sites] = (struct site_name){site, rec.node, rec.unit};
    return &w->site[w->n_sites++];
}

/* ---- the rows that nothing contends ---- */

static uint32_t living(const struct work_row *r, struct birth **one)
{
    uint32_t n = 0;
    *one = NULL;
    for (uint32_t i = 0; i < r->row.n_births; i++) {
        if (birth_alive(&r->row.births[i], &r->k.t->rules)) {
            *one = &r->row.births[i];
            n++;
        }
    }
    return n;
}

/* Whether the table has anything held or claimed at all: most tables never do. */
bool work_contended(struct work *w, const struct table_schema *t)
{
    int8_t *known = &w->table_held[t - w->s->schema->tables];
    if (*known < 0) {
        *known = 0;
        sqlite3_stmt *q =
            row_any_claims(w->s)
                ? store_stmt(w->s, "SELECT EXISTS(SELECT 1 FROM tonle_claim WHERE t = ?1)"
                                   " OR EXISTS(SELECT 1 FROM tonle_held WHERE t = ?1)")
                : NULL;
        bool row = false;
        if (q) {
            sqlite3_bind_int64(q, 1, t->t);
            if (store_step(w->s, q, &row) == ERR_OK && row)
                *known = (int8_t)sqlite3_column_int(q, 0);
            sqlite3_reset(q);
        }
    }
    return *known > 0;
}

static enum err claimed_elsewhere(struct work *w, struct work_row *r, const struct value *values,
                                  bool *yes)
{
    const struct table_schema *t = r->k.t;
    *yes = false;
    enum err e = ERR_OK;
    if (!claims_may_meet(w->s, w->a, t, values))
        return ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && !*yes && i < t->n_unique; i++) {
        bool claims;
        struct value *v;
        struct bytes folded;
        e = row_claim(w->s, w->a, t, i, values, &claims, &v, &folded);
        if (e == ERR_OK && claims)
            e = claims_elsewhere(w->s, r->k, i, folded, yes);
    }
    return e;
}

/* A birth met a row in the table that it did not know: that row is the earlier, settled one. */
static enum err meet_settled(struct work *w, struct work_row *r)
{
    struct value *now = NULL;
    enum err e = read_row(w, r, &now);
    r->unread = false;
    if (e != ERR_OK || !now)
        return e;
    struct row settled = {0};
    row_from_settled(w->a, &settled, now);
    struct birth *all = arena_alloc(w->a, (r->row.n_births + 1) * sizeof *all);
    all[0] = settled.births[0];
    memcpy(all + 1, r->row.births, r->row.n_births * sizeof *all);
    r->row.births = all;
    r->row.n_births++;
    r->before = r->now = now;
    r->siblings = r->slow = true;
    return ERR_OK;
}

static enum err mark_slow(struct work *w, struct work_row *r)
{
    struct birth *b;
    uint32_t n = living(r, &b);
    bool slow = n > 1 || (n == 1 && r->was_held);
    enum err e = ERR_OK;
    if (!slow && n == 1 && work_contended(w, r->k.t))
        e = claimed_elsewhere(w, r, work_shown(w, r, b), &slow);
    if (e == ERR_OK && r->was_held && n == 0)
        e = work_release_blocked(w, r);
    r->slow = r->slow || slow;
    if (e == ERR_OK && r->slow && r->unread)
        e = meet_settled(w, r);
    return e;
}

enum phase { PHASE_DELETE, PHASE_UPDATE, PHASE_INSERT };

static enum err fast_put(struct work *w, struct work_row *r, struct birth *b)
{
    enum row_put result;
    struct value *old = r->now;
    char *message = NULL;
    enum err e = work_put(w, r, b, &result, &message);
    if (e != ERR_OK)
        return e;
    switch (result) {
    case PUT_OK:
        b->held = HOLD_NONE;
        r->in_table = b->name;
        if (old && work_contended(w, r->k.t) && work_unique_changed(r->k.t, old, r->now))
            return work_release_blocked(w, r);
        return ERR_OK;
    case PUT_UNIQUE:
        if (r->unread)
            e = meet_settled(w, r);
        r->slow = true;
        return e;
    case PUT_INVALID:
    case PUT_LOCAL:
        b->held = result == PUT_INVALID ? HOLD_CHECK : HOLD_LOCAL;
        r->message[0] = message;
        e = work_take(w, r);
        if (e == ERR_OK && old &&
            work_contended(w, r->k.t)) /* it may have given up a unique value, too */
            e = work_release_blocked(w, r);
        return e;
    }
    return ERR_OK;
}

static enum err fast_row(struct work *w, struct work_row *r, enum phase phase)
{
    struct birth *b;
    uint32_t n = living(r, &b);
    if (!r->touched)
        return ERR_OK;
    if (n == 0 && phase == PHASE_DELETE && r->now) { /* also where it waited for its own key */
        enum err e = work_take(w, r);
        return e == ERR_OK && work_contended(w, r->k.t) ? work_release_blocked(w, r) : e;
    }
    if (r->slow)
        return ERR_OK;
    if (n == 1 && phase == (r->now ? PHASE_UPDATE : PHASE_INSERT))
        return fast_put(w, r, b);
    return ERR_OK;
}

static enum err fast(struct work *w)
{
    size_t n = w->n; /* rows that join later contend: they are not fast */
    for (size_t i = 0; i < n; i++) {
        enum err e = w->row[i]->touched ? mark_slow(w, w->row[i]) : ERR_OK;
        if (e != ERR_OK)
            return e;
    }
    for (int phase = PHASE_DELETE; phase <= PHASE_INSERT; phase++) {
        for (size_t i = 0; i < n; i++) {
            enum err e = fast_row(w, w->row[i], (enum phase)phase);
            if (e != ERR_OK)
                return e;
        }
    }
    return ERR_OK;
}

/* ---- the end ---- */

static bool held_now(const struct work_row *r)
{
    for (uint32_t i = 0; i < r->row.n_births; i++) {
        if (r->row.births[i].held != HOLD_NONE)
            return true;
    }
    return false;
}

static enum err save(struct work *w, struct work_row *r)
{
    enum err e = ERR_OK;
    if (!r->touched)
        return ERR_OK;
    struct birth *standing = row_standing(&r->row, &r->k.t->rules);
    if (standing && r->now)
        standing->values = r->now;
    if (r->siblings || r->row.n_births > 1)
        e = conflict_reconcile(w, r);
    if (e == ERR_OK && (r->was_held || held_now(r)))
        e = held_save(w, r);
    return e == ERR_OK ? row_save(w->s, w->a, r->k, &r->row, r->recorded) : e;
}

enum err work_finish(struct work *w)
{
    enum err e = fast(w);
    if (e == ERR_OK)
        e = work_contend(w);
    if (e == ERR_OK && w->check_parents)
        e = work_parents(w);
    for (size_t i = 0; e == ERR_OK && i < w->n; i++)
        e = save(w, w->row[i]);
    if (e == ERR_OK && w->s->apply->copies_stale) {
        e = capture_temp_triggers(w->s);
        w->s->apply->copies_stale = e != ERR_OK;
    }
    return e;
}
