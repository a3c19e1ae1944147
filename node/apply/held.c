/* tonle_held follows the records: one row per living birth that does not stand and is no twin. An
 * entry keeps its id and its `since` while the birth stays held, also when the birth's name is
 * forgotten. */
#include "node/apply/work.h"

#include "conflict/hlc.h"
#include "node/db/query.h"
#include "node/state/state.h"

#include <assert.h>
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
    size_t cap = 0;
    *n = 0;
    *out = NULL;
    struct query q =
        DB_QUERY(w->s,
                 "SELECT id, site, seq, reason, message, since_ms, blocked_table,"
                 " blocked_by, blocked_office, blocked_ms, bt, bk, office FROM tonle_held"
                 " WHERE t = ?1 AND k = ?2 AND reason <> 'limit' ORDER BY id",
                 value_u64(r->k.t->t), value_blob(r->k.key, r->k.len));
    while (query_next(&q)) {
        *out = arena_grow(w->a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = (struct held_entry){.id = query_text(&q, w->a, 0),
                                             .birth = {query_u64(&q, 1), query_u64(&q, 2)},
                                             .reason = query_text(&q, w->a, 3),
                                             .message = query_text(&q, w->a, 4),
                                             .office = query_text(&q, w->a, 12),
                                             .since_ms = query_u64(&q, 5),
                                             .by = {.table = query_text(&q, w->a, 6),
                                                    .key_json = query_text(&q, w->a, 7),
                                                    .office = query_text(&q, w->a, 8),
                                                    .ms = query_u64(&q, 9),
                                                    .t = (uint32_t)query_i64(&q, 10),
                                                    .key = query_bytes(&q, w->a, 11)}};
    }
    return query_end(&q);
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
        if (x == b || !birth_alive(x, &other->k.t->rules) || x->held == HOLD_BIRTH ||
            x->held == HOLD_TWIN)
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

/* The key of the row that the values v refer to; false when they are not its key. */
static bool key_referred(struct work *w, const struct foreign_key *fk, const struct value *v,
                         struct bytes *out)
{
    const struct table_schema *parent = &w->s->schema->tables[fk->parent];
    struct buf key = {0};
    if (fk->n != parent->n_key)
        return false;
    for (uint32_t i = 0; i < fk->n; i++)
        if (fk->parent_column[i] != parent->key[i])
            return false;
    key_encode(&key, v, fk->n);
    *out = (struct bytes){arena_copy(w->a, key.data, key.len), key.len};
    buf_fini(&key);
    return true;
}

/* The row of a parent that is referred to; pass 4 lets the child in, so that the child does not
 * contend when that row moves. */
static struct held_by by_parent(struct work *w, const struct row_key *k)
{
    struct held_by by = by_row(w, k);
    by.t = 0;
    by.key = (struct bytes){0};
    return by;
}

/* What is on record here of the parent: held itself, or deleted, by whom and when. */
static const char *what_is_known(struct work *w, const struct work_row *parent, struct held_by *by)
{
    const char *state = "does not stand here";
    for (uint32_t i = 0; i < parent->row.n_births; i++) {
        const struct birth *b = &parent->row.births[i];
        if (b->held == HOLD_TWIN)
            continue;
        bool alive = birth_alive(b, &parent->k.t->rules);
        struct version exists = birth_show(w->a, b, COLUMN_EXISTS, &parent->k.t->rules);
        state = alive ? "is held itself" : "was deleted";
        claimed_by(w, by, alive ? b->name : exists.dot, alive ? b->hlc : exists.hlc);
    }
    return state;
}

enum err held_for_parent(struct work *w, struct work_row *r, const struct foreign_key *fk,
                         const struct value *v)
{
    const struct table_schema *parent = &w->s->schema->tables[fk->parent];
    struct held_by *by = r->parent = arena_alloc(w->a, sizeof *by);
    const char *state = "does not stand here";
    struct bytes key;
    enum err e = ERR_OK;
    *by = (struct held_by){.table = parent->name, .key_json = "", .office = ""};
    if (key_referred(w, fk, v, &key)) {
        struct work_row *other = work_get(w, parent, key.p, key.len);
        e = work_load(w, other);
        *by = by_parent(w, &other->k);
        if (e == ERR_OK)
            state = what_is_known(w, other, by);
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
    *by = by_parent(w, &parent->k);
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
    char id[17];
    held_id(id, r, b);
    const char *reason = hold_reason_name(b->held);
    struct held_by by = {.table = "", .key_json = "", .office = ""};
    if (!in_the_way(w, r, b, &by) && old && strcmp(old->reason, reason) == 0)
        by = old->by;
    if (!old)
        state_counts_changed(w->s);
    if (!old && w->report)
        w->report->held++;
    struct buf order = {0};
    schema_key_order(r->k.t, (struct bytes){r->k.key, r->k.len}, &order);
    enum err e =
        DB_RUN(w->s,
               "INSERT OR REPLACE INTO tonle_held(id, table_name, key, reason,"
               " message, office, since_ms, blocked_by, t, k, site, seq, bt, bk,"
               " blocked_table, blocked_office, blocked_ms, o)"
               " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18)",
               value_text(old ? old->id : id), value_text(r->k.t->name),
               value_text(schema_key_json(w->a, r->k.t, r->k.key, r->k.len)), value_text(reason),
               value_text(words(w, r, b, old)), value_text(writer(w, r, b, old)),
               value_u64(old ? old->since_ms : w->now_ms), value_text(by.key_json),
               value_u64(r->k.t->t), value_blob(r->k.key, r->k.len), value_u64(b->name.site),
               value_u64(b->name.seq), value_u64(by.t), value_blob(by.key.p, by.key.len),
               value_text(by.table), value_text(by.office), by.ms ? value_u64(by.ms) : value_null(),
               value_blob(order.data, order.len));
    buf_fini(&order);
    if (by.t)
        claims_note_blocker(w->s, by.t, by.key);
    claims_note_held(w->s, r->k);
    return e;
}

static enum err drop_entry(struct work *w, const char *id)
{
    state_counts_changed(w->s);
    if (w->report)
        w->report->released++;
    return DB_RUN(w->s, "DELETE FROM tonle_held WHERE id = ?1", value_text(id));
}

enum err held_save(struct work *w, struct work_row *r)
{
    struct held_entry *old = NULL;
    size_t n = 0;
    assert(w->s->in_write);
    enum err e = entries(w, r, &old, &n);
    for (uint32_t i = 0; e == ERR_OK && i < r->row.n_births; i++) {
        struct birth *b = &r->row.births[i];
        if (!birth_alive(b, &r->k.t->rules))
            work_hold(b, HOLD_NONE);
        if (b->held == HOLD_NONE || b->held == HOLD_TWIN)
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
    struct query q = DB_QUERY(w->s, "SELECT t, k FROM tonle_held WHERE bt = ?1 AND bk = ?2",
                              value_u64(r->k.t->t), value_blob(r->k.key, r->k.len));
    while (query_next(&q)) {
        const struct table_schema *t = schema_by_number(w->s, (uint32_t)query_u64(&q, 0));
        if (!t)
            continue;
        struct bytes key = query_borrow(&q, 1);
        struct work_row *waiting = work_get(w, t, key.p, key.len);
        waiting->slow = true;
    }
    return query_end(&q);
}
