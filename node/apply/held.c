/* tonle_held follows the records: one row per living birth that does not stand. An entry keeps its
 * id and its `since` while the birth stays held, also when the birth's name is forgotten. */
#include "node/apply/work.h"

#include "conflict/hlc.h"
#include "node/db/sqlite.h"
#include "node/state/state.h"

#include <stdio.h>
#include <string.h>

struct held_entry {
    const char *id;
    struct dot birth;
    const char *reason, *message, *office;
    struct held_by by;
    uint64_t since_ms;
    bool used;
};

static enum err entries(struct work *w, struct work_row *r, struct held_entry **out, size_t *n)
{
    sqlite3_stmt *q =
        store_stmt(w->s, "SELECT id, site, seq, reason, message, since_ms, blocked_table,"
                         " blocked_by, blocked_office, blocked_ms, bt, bk, office FROM tonle_held"
                         " WHERE t = ?1 AND k = ?2 AND reason <> 'limit' ORDER BY id");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, r->k.t->t);
    store_bind_blob(q, 2, r->k.key, r->k.len);
    *n = 0;
    *out = NULL;
    size_t cap = 0;
    bool row = true;
    enum err e = ERR_OK;
    while (e == ERR_OK && row) {
        e = store_step(w->s, q, &row);
        if (e != ERR_OK || !row)
            break;
        *out = arena_grow(w->a, *out, *n, &cap, sizeof **out);
        struct bytes key = store_column_bytes(w->a, q, 11);
        (*out)[(*n)++] =
            (struct held_entry){.id = store_column_text(w->a, q, 0),
                                .birth = {store_column_u64(q, 1), store_column_u64(q, 2)},
                                .reason = store_column_text(w->a, q, 3),
                                .message = store_column_text(w->a, q, 4),
                                .office = store_column_text(w->a, q, 12),
                                .since_ms = store_column_u64(q, 5),
                                .by = {.table = store_column_text(w->a, q, 6),
                                       .key_json = store_column_text(w->a, q, 7),
                                       .office = store_column_text(w->a, q, 8),
                                       .ms = store_column_u64(q, 9),
                                       .t = (uint32_t)sqlite3_column_int64(q, 10),
                                       .key = key}};
    }
    return e;
}

/* The entry of this birth; an unnamed birth takes the entry whose birth is no longer named on
 * record. */
static struct held_entry *match(const struct work_row *r, const struct birth *b,
                                struct held_entry *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!x[i].used && dot_equal(x[i].birth, b->name))
            return &x[i];
    }
    for (size_t i = 0; i < n && dot_is_none(b->name); i++) {
        if (!x[i].used && !row_find_birth(&r->row, x[i].birth))
            return &x[i];
    }
    return NULL;
}

static void held_id(char id[17], const struct work_row *r, const struct birth *b)
{
    uint64_t h = bytes_hash(VALUE_HASH_SEED, r->k.t->name, strlen(r->k.t->name) + 1);
    h = bytes_hash(h, r->k.key, r->k.len);
    h = bytes_hash(h, &b->name.site, sizeof b->name.site);
    h = bytes_hash(h, &b->name.seq, sizeof b->name.seq);
    snprintf(id, 17, "%016llx", (unsigned long long)h);
}

static const char *birth_words(const struct table_schema *t)
{
    switch (t->rules.birth_policy) {
    case BIRTH_LATEST:
        return "another record was entered later under the same key and stands";
    case BIRTH_REVIEW:
        return "another record was entered earlier under the same key and stands until a person"
               " decides";
    default:
        return "another record was entered earlier under the same key and stands";
    }
}

static const char *words(struct work *w, struct work_row *r, const struct birth *b,
                         const struct held_entry *old)
{
    struct buf m = {0};
    bool same = old && strcmp(old->reason, hold_reason_name(b->held)) == 0;
    const char *before = same ? old->message : hold_reason_name(b->held);
    switch (b->held) {
    case HOLD_CHECK:
    case HOLD_LOCAL:
        buf_printf(&m, "%s", r->message[0] ? r->message[0] : before);
        break;
    case HOLD_BIRTH:
        buf_printf(&m, "%s", birth_words(r->k.t));
        break;
    case HOLD_UNIQUE:
        if (r->blocker)
            buf_printf(&m, "an earlier row of %s has the same unique value", r->k.t->name);
        else
            buf_printf(&m, "%s", r->message[1] ? r->message[1] : before);
        break;
    default:
        buf_printf(&m, "%s", r->message[1] ? r->message[1] : before);
    }
    char *text = arena_strdup(w->a, buf_str(&m));
    buf_fini(&m);
    return text;
}

/* ---- the row in the way ---- */

static void claimed_by(struct work *w, struct held_by *by, struct dot dot, uint64_t hlc)
{
    by->office = work_site(w, dot.site)->node;
    by->ms = dot_is_none(dot) ? 0 : hlc_ms(hlc);
}

static struct held_by by_row(struct work *w, const struct row_key *k)
{
    return (struct held_by){.table = k->t->name,
                            .key_json = schema_key_json(w->a, k->t, k->key, k->len),
                            .office = "",
                            .t = k->t->t,
                            .key = {k->key, k->len}};
}

/* Whose claim it is: of another birth, who entered it and when; of a unique value, who wrote last
 * in the columns that give the row its rank. Nothing is kept of what is settled. */
static bool in_the_way(struct work *w, const struct work_row *r, const struct birth *b,
                       struct held_by *by)
{
    const struct work_row *other = b->held == HOLD_BIRTH ? r : r->blocker;
    if (b->held == HOLD_PARENT && r->parent) {
        *by = *r->parent;
        return true;
    }
    if ((b->held != HOLD_BIRTH && b->held != HOLD_UNIQUE) || !other)
        return false;
    *by = by_row(w, &other->k);
    for (uint32_t i = 0; i < other->row.n_births; i++) {
        const struct birth *x = &other->row.births[i];
        if (x == b || !birth_alive(x, &other->k.t->rules) || x->held == HOLD_BIRTH)
            continue;
        struct version rank = birth_rank(x, &other->k.t->rules, other->k.t->unique_columns,
                                         other->k.t->n_unique_columns);
        if (b->held == HOLD_BIRTH)
            claimed_by(w, by, x->name, x->hlc);
        else
            claimed_by(w, by, rank.dot, rank.hlc);
    }
    return true;
}

/* What is on record here of the parent: held itself, or deleted, by whom and when. */
enum err held_for_parent(struct work *w, struct work_row *r, const struct foreign_key *fk,
                         const struct value *v)
{
    const struct table_schema *parent = &w->s->schema->tables[fk->parent];
    struct held_by *by = r->parent = arena_alloc(w->a, sizeof *by);
    *by = (struct held_by){.table = parent->name, .key_json = "", .office = ""};
    bool by_key = fk->n == parent->n_key;
    for (uint32_t i = 0; by_key && i < fk->n; i++)
        by_key = fk->parent_column[i] == parent->key[i];
    struct buf key = {0};
    if (by_key)
        key_encode(&key, v, fk->n);
    struct row_key k = {parent, arena_copy(w->a, key.data, key.len), key.len};
    buf_fini(&key);
    struct work_row *other = by_key ? work_get(w, parent, k.key, k.len) : NULL;
    enum err e = by_key ? work_load(w, other) : ERR_OK;
    if (e == ERR_OK && by_key) {
        *by = by_row(w, &k);
        by->t = 0; /* pass 4 lets it in: it does not contend when that row moves */
        by->key = (struct bytes){0};
    }
    const char *state = "does not stand here";
    for (uint32_t i = 0; e == ERR_OK && by_key && i < other->row.n_births; i++) {
        const struct birth *b = &other->row.births[i];
        bool alive = birth_alive(b, &parent->rules);
        struct version exists = birth_show(w->a, b, COLUMN_EXISTS, &parent->rules);
        state = alive ? "is held itself" : "was deleted";
        claimed_by(w, by, alive ? b->name : exists.dot, alive ? b->hlc : exists.hlc);
    }
    struct buf m = {0};
    buf_printf(&m, "the row of %s it refers to %s", parent->name, state);
    r->message[1] = arena_strdup(w->a, buf_str(&m));
    buf_fini(&m);
    return e;
}

/* What was said of this held birth before, or NULL. */
static enum err said(struct work *w, struct work_row *r, const struct birth *b,
                     struct held_entry **out)
{
    struct held_entry *x;
    size_t n;
    enum err e = entries(w, r, &x, &n);
    *out = e == ERR_OK ? match(r, b, x, n) : NULL;
    return e;
}

enum err held_for_birth(struct work *w, struct work_row *r, struct work_row *parent,
                        const struct birth *b)
{
    struct held_by *by = r->parent = arena_alloc(w->a, sizeof *by);
    struct held_entry *old;
    struct buf m = {0};
    enum err e = said(w, parent, b, &old);
    *by = by_row(w, &parent->k);
    by->t = 0; /* as above */
    by->key = (struct bytes){0};
    claimed_by(w, by, b->name, b->hlc);
    if (e == ERR_OK)
        buf_printf(&m, "the record of %s it belongs to is held itself: %s", parent->k.t->name,
                   words(w, parent, b, old));
    r->message[1] = arena_strdup(w->a, buf_str(&m));
    buf_fini(&m);
    return e;
}

/* ---- the entries ---- */

/* Who wrote last in an identity whose birth is settled. */
static uint64_t last_writer(const struct birth *b)
{
    struct version last = {.dot = b->base, .hlc = b->base_hlc};
    for (uint32_t i = 0; i < b->n_cells; i++) {
        const struct cell *c = &b->cells[i];
        if (version_order(&c->v[c->n - 1], &last) > 0)
            last = c->v[c->n - 1];
    }
    return last.dot.site;
}

/* Whose write is held: who entered the row; where that is settled, who wrote what a sum cannot
 * hold, gave the row its rank, or wrote last. Once all of that is settled, as it was. */
static const char *writer(struct work *w, const struct work_row *r, const struct birth *b,
                          const struct held_entry *old)
{
    const struct table_schema *t = r->k.t;
    uint64_t site = b->name.site;
    uint32_t column;
    struct value bad;
    if (site == 0 && !birth_sums_stand(b, &t->rules, &column, &bad)) {
        const struct cell *c = birth_find_cell(b, column);
        site = c ? c->v[c->n - 1].dot.site : 0;
    }
    if (site == 0)
        site = birth_rank(b, &t->rules, t->unique_columns, t->n_unique_columns).dot.site;
    if (site == 0)
        site = last_writer(b);
    const char *node = work_site(w, site)->node;
    return old && node[0] == '\0' ? old->office : node;
}

static enum err put_entry(struct work *w, struct work_row *r, const struct birth *b,
                          struct held_entry *old)
{
    sqlite3_stmt *q =
        store_stmt(w->s, "INSERT OR REPLACE INTO tonle_held(id, table_name, key, reason,"
                         " message, office, since_ms, blocked_by, t, k, site, seq, bt, bk,"
                         " blocked_table, blocked_office, blocked_ms)"
                         " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)");
    if (!q)
        return ERR_SCHEMA;
    char id[17];
    held_id(id, r, b);
    const char *reason = hold_reason_name(b->held);
    struct held_by by = {.table = "", .key_json = "", .office = ""};
    if (!in_the_way(w, r, b, &by) && old && strcmp(old->reason, reason) == 0)
        by = old->by;
    store_bind_text(q, 1, old ? old->id : id);
    store_bind_text(q, 2, r->k.t->name);
    store_bind_text(q, 3, schema_key_json(w->a, r->k.t, r->k.key, r->k.len));
    store_bind_text(q, 4, reason);
    store_bind_text(q, 5, words(w, r, b, old));
    store_bind_text(q, 6, writer(w, r, b, old));
    store_bind_u64(q, 7, old ? old->since_ms : w->now_ms);
    store_bind_text(q, 8, by.key_json);
    sqlite3_bind_int64(q, 9, r->k.t->t);
    store_bind_blob(q, 10, r->k.key, r->k.len);
    store_bind_u64(q, 11, b->name.site);
    store_bind_u64(q, 12, b->name.seq);
    sqlite3_bind_int64(q, 13, by.t);
    store_bind_blob(q, 14, by.key.p, by.key.len);
    store_bind_text(q, 15, by.table);
    store_bind_text(q, 16, by.office);
    store_bind_u64(q, 17, by.ms);
    if (!old)
        state_counts_changed(w->s);
    if (!old && w->report)
        w->report->held++;
    enum err e = store_run(w->s, q);
    if (by.t)
        claims_note_blocker(w->s, by.t, by.key);
    claims_note_held(w->s, r->k);
    return e;
}

static enum err drop_entry(struct work *w, const char *id)
{
    sqlite3_stmt *q = store_stmt(w->s, "DELETE FROM tonle_held WHERE id = ?1");
    if (!q)
        return ERR_SCHEMA;
    store_bind_text(q, 1, id);
    state_counts_changed(w->s);
    if (w->report)
        w->report->released++;
    return store_run(w->s, q);
}

enum err held_save(struct work *w, struct work_row *r)
{
    struct held_entry *old = NULL;
    size_t n = 0;
    enum err e = entries(w, r, &old, &n);
    for (uint32_t i = 0; e == ERR_OK && i < r->row.n_births; i++) {
        struct birth *b = &r->row.births[i];
        if (!birth_alive(b, &r->k.t->rules))
            b->held = HOLD_NONE;
        if (b->held == HOLD_NONE)
            continue;
        struct held_entry *x = match(r, b, old, n);
        if (x)
            x->used = true;
        e = put_entry(w, r, b, x);
    }
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        if (!old[i].used)
            e = drop_entry(w, old[i].id);
    }
    return e;
}

/* Rows that waited for r's key or unique values contend again. */
enum err work_release_blocked(struct work *w, struct work_row *r)
{
    if (!claims_may_block(w->s, r->k))
        return ERR_OK;
    sqlite3_stmt *q = store_stmt(w->s, "SELECT t, k FROM tonle_held WHERE bt = ?1 AND bk = ?2");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, r->k.t->t);
    store_bind_blob(q, 2, r->k.key, r->k.len);
    bool row = true;
    enum err e = ERR_OK;
    while (e == ERR_OK && row) {
        e = store_step(w->s, q, &row);
        struct table_schema *t =
            e == ERR_OK && row ? schema_by_number(w->s, (uint32_t)sqlite3_column_int(q, 0)) : NULL;
        if (!t)
            continue;
        struct bytes key = store_column_bytes(w->a, q, 1);
        struct work_row *waiting = work_get(w, t, key.p, key.len);
        waiting->slow = true;
    }
    return e;
}
