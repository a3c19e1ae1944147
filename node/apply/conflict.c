/* The conflict record. What `latest` decided is written closed (`auto`) when it is met; what is
 * open is a pure function of the merged state (row_open_conflicts), and this file makes the table
 * follow it. */
#include "node/apply/work.h"

#include "conflict/hlc.h"
#include "node/db/sqlite.h"
#include "node/state/state.h"

#include <string.h>

static const char *cell_name(const struct table_schema *t, uint32_t cell)
{
    if (cell == COLUMN_EXISTS)
        return "exists";
    if (cell == COLUMN_BIRTH)
        return "birth";
    const struct cell_group *g = cell_group_of(&t->rules, cell);
    return g ? g->name : t->column[cell];
}

static const char *rule_name(const struct table_schema *t, uint32_t cell)
{
    if (cell == COLUMN_EXISTS)
        return delete_policy_name(t->rules.delete_policy);
    if (cell == COLUMN_BIRTH)
        return birth_policy_name(t->rules.birth_policy);
    return policy_name(policy_of(&t->rules, cell));
}

/* A value as SQLite keeps it, and the form that says what it was: a group's members are bytes. */
static struct value stored_form(const struct value *v, int *form)
{
    *form = v->type == VALUE_TUPLE ? VALUE_TUPLE : 0;
    return *form ? value_bytes(VALUE_BLOB, v->u.p, v->len) : *v;
}

/* The whole row, for the sides that are a row: a birth, and what is alive beside a delete (which
 * delete-wins takes out of the table). NULL for the others. */
static const char *side_detail(struct work *w, const struct work_row *r, const struct conflict *c,
                               const struct version *v)
{
    bool birth = c->column == COLUMN_BIRTH;
    if (!birth && (c->column != COLUMN_EXISTS || v->value.u.i == 0))
        return NULL;
    const struct birth *b = row_find_birth(&r->row, birth ? v->dot : c->birth);
    if (!b || !b->values)
        return NULL;
    return schema_row_json(w->a, r->k.t, work_shown(w, r, b));
}

struct sides { /* of one conflict; n: its number in tonle_conflict */
    const struct conflict *c;
    int64_t n;
};

#define SIDE_PARAMETERS 10
#define SIDE "(?,?,?,?,?,?,?,?,?,?)"
#define INSERT_SIDE                                                                                \
    "INSERT OR IGNORE INTO tonle_side(n, site, seq, hlc, office, unit, value, shown, form, "       \
    "detail) VALUES"

static void bind_side(struct work *w, const struct work_row *r, sqlite3_stmt *q,
                      const struct sides *sides, uint32_t at, int first)
{
    const struct version *v = &sides->c->v[at];
    struct site_name *site = work_site(w, v->dot.site);
    const char *detail = side_detail(w, r, sides->c, v);
    int form;
    struct value value = stored_form(&v->value, &form);
    sqlite3_bind_int64(q, first, sides->n);
    store_bind_u64(q, first + 1, v->dot.site);
    store_bind_u64(q, first + 2, v->dot.seq);
    store_bind_u64(q, first + 3, v->hlc);
    store_bind_text(q, first + 4, site->node);
    store_bind_text(q, first + 5, site->unit);
    store_bind(q, first + 6, &value);
    sqlite3_bind_int(q, first + 7, at == sides->c->shown);
    sqlite3_bind_int(q, first + 8, form);
    if (detail)
        store_bind_text(q, first + 9, detail);
}

/* Two at a time, because nearly every conflict has two. */
static enum err save_sides(struct work *w, const struct work_row *r, const struct sides *sides)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < sides->c->n;) {
        bool two = i + 1 < sides->c->n;
        sqlite3_stmt *q = store_stmt(w->s, two ? INSERT_SIDE SIDE "," SIDE : INSERT_SIDE SIDE);
        if (!q)
            return ERR_SCHEMA;
        bind_side(w, r, q, sides, i++, 1);
        if (two)
            bind_side(w, r, q, sides, i++, 1 + SIDE_PARAMETERS);
        e = store_run(w->s, q);
    }
    return e;
}

/* The time of the youngest side: the same at every office. */
static uint64_t opened_ms(const struct conflict *c)
{
    uint64_t hlc = 0;
    for (uint32_t i = 0; i < c->n; i++)
        hlc = c->v[i].hlc > hlc ? c->v[i].hlc : hlc;
    return hlc_ms(hlc);
}

/* ERR_OK with *fresh false when one of this id is on record. */
static enum err insert_record(struct work *w, struct work_row *r, const struct conflict *c,
                              const char *id, const char *state, bool *fresh)
{
    const struct table_schema *t = r->k.t;
    sqlite3_stmt *q = store_stmt(
        w->s,
        "INSERT INTO tonle_conflict(id, table_name, key, cell, policy, state, opened_ms, closed_ms,"
        " successor, t, k, bsite, bseq) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,NULL,?9,?10,?11,?12)"
        " ON CONFLICT(id) DO NOTHING");
    if (!q)
        return ERR_SCHEMA;
    store_bind_text(q, 1, id);
    store_bind_text(q, 2, t->name);
    store_bind_text(q, 3, schema_key_json(w->a, t, r->k.key, r->k.len));
    store_bind_text(q, 4, cell_name(t, c->column));
    store_bind_text(q, 5, rule_name(t, c->column));
    store_bind_text(q, 6, state);
    store_bind_u64(q, 7, opened_ms(c));
    if (strcmp(state, "open") != 0)
        store_bind_u64(q, 8, hlc_ms(w->hlc));
    sqlite3_bind_int64(q, 9, t->t);
    store_bind_blob(q, 10, r->k.key, r->k.len);
    store_bind_u64(q, 11, c->birth.site);
    store_bind_u64(q, 12, c->birth.seq);
    enum err e = store_run(w->s, q);
    *fresh = sqlite3_changes(w->s->db) > 0;
    return e;
}

/* The sides are written anew: the first birth of a key is not part of the identity, and may be
 * another now. */
static enum err update_record(struct work *w, const char *id, const char *state, int64_t *n)
{
    sqlite3_stmt *q =
        store_stmt(w->s, "UPDATE tonle_conflict SET state = ?2, closed_ms = ?3 WHERE id = ?1");
    if (!q)
        return ERR_SCHEMA;
    store_bind_text(q, 1, id);
    store_bind_text(q, 2, state);
    if (strcmp(state, "open") != 0)
        store_bind_u64(q, 3, hlc_ms(w->hlc));
    enum err e = store_run(w->s, q);
    bool row = false;
    q = store_stmt(w->s, "SELECT n FROM tonle_conflict WHERE id = ?1");
    if (e != ERR_OK || !q)
        return e != ERR_OK ? e : ERR_SCHEMA;
    store_bind_text(q, 1, id);
    e = store_step(w->s, q, &row);
    if (e != ERR_OK || !row)
        return e != ERR_OK ? e : ERR_CORRUPT;
    *n = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    q = store_stmt(w->s, "DELETE FROM tonle_side WHERE n = ?1");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, *n);
    return store_run(w->s, q);
}

static enum err save_record(struct work *w, struct work_row *r, const struct conflict *c,
                            const char *id, const char *state)
{
    struct sides sides = {.c = c};
    bool fresh = false;
    enum err e = insert_record(w, r, c, id, state, &fresh);
    if (e == ERR_OK && fresh)
        sides.n = sqlite3_last_insert_rowid(w->s->db);
    else if (e == ERR_OK)
        e = update_record(w, id, state, &sides.n);
    if (strcmp(state, "open") == 0)
        state_counts_changed(w->s);
    return e == ERR_OK ? save_sides(w, r, &sides) : e;
}

static void name_conflict(char id[33], const struct work_row *r, const struct conflict *c)
{
    const struct table_schema *t = r->k.t;
    conflict_id(id, t->name, r->k.key, r->k.len, cell_name(t, c->column), c);
}

enum err conflict_save(struct work *w, struct work_row *r, const struct conflict *c,
                       const char *state)
{
    char id[33];
    name_conflict(id, r, c);
    return save_record(w, r, c, id, state);
}

struct open_record {
    int64_t n;
    const char *id, *cell;
    struct dot birth;
    const char *successor; /* of what is open now; NULL: none, or it is open still */
};

static enum err open_records(struct work *w, struct work_row *r, struct open_record **out,
                             size_t *n)
{
    sqlite3_stmt *q = store_stmt(w->s, "SELECT n, id, cell, bsite, bseq FROM tonle_conflict"
                                       " WHERE t = ?1 AND k = ?2 AND state = 'open'");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, r->k.t->t);
    store_bind_blob(q, 2, r->k.key, r->k.len);
    size_t cap = 0;
    *n = 0;
    *out = NULL;
    bool row = true;
    enum err e = ERR_OK;
    while (e == ERR_OK && row) {
        e = store_step(w->s, q, &row);
        if (e != ERR_OK || !row)
            break;
        *out = arena_grow(w->a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = (struct open_record){sqlite3_column_int64(q, 0),
                                              store_column_text(w->a, q, 1),
                                              store_column_text(w->a, q, 2),
                                              {store_column_u64(q, 3), store_column_u64(q, 4)},
                                              NULL};
    }
    return e;
}

/* Superseded by the conflict of the same cell that took its place, or resolved by the write that
 * settled it. */
static enum err close_record(struct work *w, const struct open_record *old)
{
    sqlite3_stmt *q =
        store_stmt(w->s, "UPDATE tonle_conflict SET state = ?2, closed_ms = ?3, successor = ?4"
                         " WHERE id = ?1");
    if (!q)
        return ERR_SCHEMA;
    struct buf dot = {0};
    state_counts_changed(w->s);
    buf_printf(&dot, "%016llx:%llu", (unsigned long long)w->dot.site,
               (unsigned long long)w->dot.seq);
    store_bind_text(q, 1, old->id);
    store_bind_text(q, 2, old->successor ? "superseded" : "resolved");
    store_bind_u64(q, 3, hlc_ms(w->hlc));
    store_bind_text(q, 4, old->successor ? old->successor : buf_str(&dot));
    enum err e = store_run(w->s, q);
    buf_fini(&dot);
    return e;
}

/* A record keeps the sides that its successor has not: where many offices meet one after the other,
 * each side is kept once, not once in every record on the way. */
static enum err leave_to_successor(struct work *w, const struct open_record *old)
{
    sqlite3_stmt *q =
        store_stmt(w->s, "DELETE FROM tonle_side WHERE n = ?1 AND EXISTS(SELECT 1 FROM tonle_side x"
                         " WHERE x.n = (SELECT n FROM tonle_conflict WHERE id = ?2)"
                         " AND x.site = tonle_side.site AND x.seq = tonle_side.seq)");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, old->n);
    store_bind_text(q, 2, old->successor);
    return store_run(w->s, q);
}

/* The birth of a conflict recorded before: the same name, or one that was forgotten since. */
static bool same_birth(const struct row *r, struct dot now, struct dot before)
{
    return dot_equal(now, before) || (dot_is_none(now) && !row_find_birth(r, before));
}

/* Whether the side in force, or what is told of a side, may change while the sides stay the same:
 * births are held and changed, and the owner follows the row's scope. */
static bool may_show_another(const struct table_schema *t, uint32_t cell)
{
    return cell == COLUMN_BIRTH || policy_shown(&t->rules, cell) == POLICY_OWNER;
}

enum err conflict_reconcile(struct work *w, struct work_row *r)
{
    const struct table_schema *t = r->k.t;
    struct conflict_list now = {0};
    struct open_record *old = NULL;
    size_t n = 0;
    row_open_conflicts(w->a, &r->row, &t->rules, &now);
    enum err e = r->no_siblings ? ERR_OK : open_records(w, r, &old, &n);
    char(*id)[33] = arena_alloc(w->a, (now.n + 1) * sizeof *id);
    for (size_t i = 0; i < now.n; i++)
        name_conflict(id[i], r, &now.c[i]);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        bool still = false;
        for (size_t j = 0; j < now.n; j++) {
            still = still || strcmp(id[j], old[i].id) == 0;
            if (strcmp(cell_name(t, now.c[j].column), old[i].cell) == 0 &&
                same_birth(&r->row, now.c[j].birth, old[i].birth))
                old[i].successor = id[j];
        }
        if (!still)
            e = close_record(w, &old[i]);
        else
            old[i].successor = NULL;
    }
    for (size_t j = 0; e == ERR_OK && j < now.n; j++) {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || strcmp(id[j], old[i].id) == 0;
        if (!known || may_show_another(t, now.c[j].column))
            e = save_record(w, r, &now.c[j], id[j], "open");
        if (!known && w->report)
            w->report->conflicts++;
    }
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        if (old[i].successor)
            e = leave_to_successor(w, &old[i]);
    return e;
}
