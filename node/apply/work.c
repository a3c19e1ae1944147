/* The rows that one transaction touches: found by key, loaded once; what is known of their
 * tables. */
#include "node/apply/work.h"

#include "conflict/twin.h"
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/journal/journal.h"
#include "node/record/table.h"
#include "node/state/state.h"

#include <assert.h>
#include <string.h>

void work_init(struct work *w, struct store *s, struct arena *a)
{
    *w = (struct work){.s = s, .a = a, .by_key.a = a, .check_parents = !state_of(s)->loading};
    sent_release(s->apply->sent); /* a rollback may have undone it */
    s->apply->sent = NULL;
    w->limits = limit_any(s, &w->limits) != ERR_OK || w->limits; /* when in doubt, looked for */
    w->insert_sql = arena_alloc(a, (s->schema->n_tables + 1) * sizeof *w->insert_sql);
    w->delete_sql = arena_alloc(a, (s->schema->n_tables + 1) * sizeof *w->delete_sql);
    w->seek_orphans = arena_alloc(a, s->schema->n_fks + 1);
    w->table_held = arena_alloc(a, s->schema->n_tables + 1);
    memset(w->table_held, -1, s->schema->n_tables + 1);
    w->table_gap = arena_alloc(a, s->schema->n_tables + 1);
    memset(w->table_gap, -1, s->schema->n_tables + 1);
    w->log_keys = arena_alloc(a, (s->schema->n_tables + 1) * sizeof *w->log_keys);
}

static struct work_row *find(const struct work *w, struct row_key k, uint64_t hash)
{
    struct map_search at = map_seek(&w->by_key, hash);
    while (map_next(&w->by_key, &at)) {
        struct work_row *r = w->row[at.number];
        if (r->k.t == k.t && r->k.len == k.len && memcmp(r->k.key, k.key, k.len) == 0)
            return r;
    }
    return NULL;
}

struct work_row *work_find(const struct work *w, const struct table_schema *t, const void *key,
                           size_t len)
{
    return find(w, (struct row_key){t, key, len}, hash_key(VALUE_HASH_SEED + t->t, key, len));
}

struct work_row *work_get(struct work *w, const struct table_schema *t, const void *key, size_t len)
{
    uint64_t hash = hash_key(VALUE_HASH_SEED + t->t, key, len);
    struct work_row *r = find(w, (struct row_key){t, key, len}, hash);
    if (r)
        return r;
    map_put(&w->by_key, hash, (uint32_t)w->n);
    w->row = arena_grow(w->a, w->row, w->n, &w->cap, sizeof *w->row);
    r = w->row[w->n++] = arena_alloc(w->a, sizeof *r);
    r->k = (struct row_key){t, arena_copy(w->a, key, len), len};
    return r;
}

/* Who is held for its own parent counts as standing: what that means for the children is for pass 4
 * to say. */
uint64_t work_others(struct work *w, const struct work_row *r)
{
    uint64_t h = 0;
    bool any = false;
    const struct birth **twin_of = row_twins(w->a, &r->row, &r->k.t->rules);
    for (uint32_t i = 0; i < r->row.n_births; i++) {
        const struct birth *b = &r->row.births[i];
        uint64_t held = b->held != HOLD_NONE && b->held != HOLD_PARENT && b->held != HOLD_TWIN;
        if (!birth_alive(b, &r->k.t->rules))
            continue;
        any |= held;
        h = bytes_hash(h + 1 + held, &b->name, sizeof b->name);
        if (twin_of && twin_of[i])
            h = bytes_hash(h + 3, &twin_of[i]->name, sizeof b->name);
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
    r->nobodys = now && !standing && r->row.n_births > 0;
    if (standing && now) {
        birth_set_values(w->a, standing, &r->k.t->rules, now);
        r->in_table = standing->name;
    }
    if (now && r->row.n_births == 0)
        row_from_settled(w->a, &r->row, now);
    for (uint32_t i = 0; i < r->row.n_births; i++)
        r->was_held = r->was_held || r->row.births[i].held != HOLD_NONE;
    r->others = work_others(w, r);
    return ERR_OK;
}

/* The row in the table; not one that only we have, because it was too large to be sent: that is
 * nobody's birth yet, and what others have under its key waits until it is made smaller or goes. */
enum err work_read(struct work *w, const struct work_row *r, struct value **now)
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
    enum err e = work_read(w, r, &now);
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

bool work_torn(struct work *w, const struct work_row *r)
{
    const struct birth *standing = r->now ? row_standing(&r->row, &r->k.t->rules) : NULL;
    for (uint32_t i = 0; i < r->row.n_births; i++) {
        const struct birth *b = &r->row.births[i];
        if (b != standing && part_birth_torn(w->a, r->k.t, b))
            return true;
    }
    return false;
}

void work_note(struct work_row *r)
{
    r->touched = true;
    r->fk_new = r->now;
    r->fk_gone = true;
}

/* A row that is left alone for that; decided when the log is empty. */
static enum err again_note(struct store *s, struct row_key k)
{
    assert(s->in_write);
    return DB_RUN(s,
                  "INSERT INTO tonle_again(t, k, stands) VALUES(?1, ?2, 0)"
                  " ON CONFLICT DO UPDATE SET stands = 0",
                  value_u64(k.t->t), value_blob(k.key, k.len));
}

enum err again_for_parent(struct store *s, struct row_key k)
{
    assert(s->in_write);
    return DB_RUN(s, "INSERT OR IGNORE INTO tonle_again(t, k, stands) VALUES(?1, ?2, 1)",
                  value_u64(k.t->t), value_blob(k.key, k.len));
}

enum err work_captured(struct work *w, const struct table_schema *t, struct bytes key, bool *yes)
{
    const struct work_row *r = work_find(w, t, key.p, key.len);
    *yes = false;
    if (!w->part || (r && r->sealed))
        return ERR_OK;
    struct row_key k = {t, key.p, key.len};
    return captured_has(w->s, w->a, &w->log_keys[t - w->s->schema->tables], k, yes);
}

enum err work_unsealed(struct work *w, const struct work_row *r, bool *yes)
{
    enum err e = work_captured(w, r->k.t, (struct bytes){r->k.key, r->k.len}, yes);
    return e == ERR_OK && *yes ? again_note(w->s, r->k) : e;
}

struct site_name *work_site(struct work *w, uint64_t site)
{
    for (size_t i = 0; i < w->n_sites; i++) {
        if (w->site[i].site == site)
            return &w->site[i];
    }
    struct site_record rec = {.node = "", .unit = ""};
    enum err e = site == 0 ? ERR_NOT_FOUND : store_site_get(w->s, w->a, site, &rec);
    if (e != ERR_OK)
        rec.node = rec.unit = "";
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        w->sites_unread = e;
    w->site = arena_grow(w->a, w->site, w->n_sites, &w->cap_sites, sizeof *w->site);
    w->site[w->n_sites] = (struct site_name){site, rec.node, rec.unit};
    return &w->site[w->n_sites++];
}

/* Whether the table has anything held or claimed at all: most tables never do. In doubt yes. */
bool work_contended(struct work *w, const struct table_schema *t)
{
    int8_t *known = &w->table_held[t - w->s->schema->tables];
    if (*known < 0 && !row_any_claims(w->s))
        *known = 0;
    if (*known < 0) {
        struct query q = DB_QUERY(w->s,
                                  "SELECT EXISTS(SELECT 1 FROM tonle_claim WHERE t = ?1)"
                                  " OR EXISTS(SELECT 1 FROM tonle_held WHERE t = ?1)",
                                  value_u64(t->t));
        bool any = query_next(&q) && query_i64(&q, 0);
        if (query_end(&q) != ERR_OK)
            return true;
        *known = any;
    }
    return *known > 0;
}

struct bytes work_key_at(struct work *w, const struct query *q, const struct table_schema *t)
{
    struct value *key = arena_alloc(w->a, t->n_key * sizeof *key);
    struct buf b = {0};
    for (uint32_t i = 0; i < t->n_key; i++)
        key[i] = query_value(q, w->a, (int)i);
    key_encode(&b, key, t->n_key);
    struct bytes out = {arena_copy(w->a, b.data, b.len), b.len};
    buf_fini(&b);
    return out;
}

void work_keys_add(struct arena *a, struct work_keys *list, struct bytes key)
{
    list->key = arena_grow(a, list->key, list->n, &list->cap, sizeof *list->key);
    list->key[list->n++] = key;
}

enum err work_claimants(struct work *w, const struct table_schema *t, uint32_t idx,
                        struct bytes folded, struct work_keys *out)
{
    *out = (struct work_keys){0};
    struct query q =
        DB_QUERY(w->s, "SELECT k FROM tonle_claim WHERE t = ?1 AND idx = ?2 AND v = ?3",
                 value_u64(t->t), value_u64(idx), value_blob(folded.p, folded.len));
    while (query_next(&q))
        work_keys_add(w->a, out, query_bytes(&q, w->a, 0));
    return query_end(&q);
}

/* All but pass 4, which holds only what stands. */
#define ANY                                                                                        \
    (1u << HOLD_NONE | 1u << HOLD_CHECK | 1u << HOLD_BIRTH | 1u << HOLD_UNIQUE |                   \
     1u << HOLD_LOCAL | 1u << HOLD_TWIN)

void work_hold(struct birth *b, enum hold_reason to)
{
    static const uint8_t may[HOLD_COUNT] = {
        [HOLD_NONE] = ANY | 1u << HOLD_PARENT,
        [HOLD_CHECK] = ANY,
        [HOLD_BIRTH] = ANY,
        [HOLD_UNIQUE] = ANY,
        [HOLD_LOCAL] = ANY,
        [HOLD_PARENT] = ANY,
        [HOLD_TWIN] = ANY,
    };
    assert(b->held < HOLD_COUNT && to < HOLD_COUNT);
    assert(may[b->held] >> to & 1);
    b->held = to;
}
