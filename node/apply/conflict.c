/* The conflict record. What `latest` decided is written closed (`auto`) when it is met; what is
 * open is a pure function of the merged state (row_open_conflicts), and this file makes the table
 * follow it. */
#include "node/apply/work.h"

#include "conflict/hlc.h"
#include "node/capture/gap.h"
#include "node/db/query.h"
#include "node/record/table.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

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
    if (!b || !b->values || part_birth_unknown(w->a, r->k.t, b))
        return NULL;
    return schema_row_json(w->a, r->k.t, work_shown(w, r, b));
}

struct entry_of { /* a conflict on its way into the tables */
    const struct conflict *c;
    const char *id;
    const char *found; /* the whole row, of the side that has no changeset (NULL: it is no row) */
    int64_t n;         /* its number in tonle_conflict */
};

#define SIDE_PARAMETERS 10
#define SIDE "(?,?,?,?,?,?,?,?,?,?)"
#define INSERT_SIDE                                                                                \
    "INSERT OR IGNORE INTO tonle_side(n, site, seq, hlc, office, unit, value, shown, form, "       \
    "detail) VALUES"

/* The parameters of side `at`. */
static void side_values(struct work *w, const struct work_row *r, const struct entry_of *x,
                        uint32_t at, struct value *out)
{
    const struct version *v = &x->c->v[at];
    const struct site_name *site = work_site(w, v->dot.site);
    const char *detail = x->found && v->dot.seq == 0 ? x->found : side_detail(w, r, x->c, v);
    int form;
    const struct value value = stored_form(&v->value, &form);
    const struct value side[SIDE_PARAMETERS] = {value_integer(x->n),
                                                value_u64(v->dot.site),
                                                value_u64(v->dot.seq),
                                                value_u64(v->hlc),
                                                value_text(site->node),
                                                value_text(site->unit),
                                                value,
                                                value_integer(at == x->c->shown),
                                                value_integer(form),
                                                detail ? value_text(detail) : value_null()};
    memcpy(out, side, sizeof side);
}

/* Two at a time, because nearly every conflict has two. */
static enum err save_sides(struct work *w, const struct work_row *r, const struct entry_of *x)
{
    enum err e = ERR_OK;
    struct value v[2 * SIDE_PARAMETERS];
    assert(x->c->n > 1 && x->c->shown < x->c->n);
    for (uint32_t i = 0; e == ERR_OK && i < x->c->n; i += 2) {
        bool two = i + 1 < x->c->n;
        side_values(w, r, x, i, v);
        if (two)
            side_values(w, r, x, i + 1, v + SIDE_PARAMETERS);
        e = query_run(w->s, two ? INSERT_SIDE SIDE "," SIDE : INSERT_SIDE SIDE,
                      two ? 2 * SIDE_PARAMETERS : SIDE_PARAMETERS, v);
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

static struct value state_of_conflict(const struct conflict *c)
{
    return value_text(c->open ? "open" : "auto");
}

/* When the write came that met or settled it; but what comes late may carry an earlier time than a
 * side that was here before, and nothing is closed before it was opened. */
static struct value closed_ms(const struct work *w, const struct conflict *c)
{
    uint64_t met = hlc_ms(w->hlc), opened = opened_ms(c);
    return c->open ? value_null() : value_u64(met > opened ? met : opened);
}

/* ERR_OK with *fresh false when one of this id is on record. */
static enum err insert_record(struct work *w, const struct work_row *r, struct entry_of *x,
                              bool *fresh)
{
    const struct table_schema *t = r->k.t;
    const struct conflict *c = x->c;
    enum err e = DB_RUN(
        w->s,
        "INSERT INTO tonle_conflict(id, table_name, key, cell, policy, state, opened_ms, closed_ms,"
        " successor, t, k, bsite, bseq) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,NULL,?9,?10,?11,?12)"
        " ON CONFLICT(id) DO NOTHING",
        value_text(x->id), value_text(t->name),
        value_text(schema_key_json(w->a, t, r->k.key, r->k.len)),
        value_text(schema_cell_name(t, c->column)), value_text(rule_name(t, c->column)),
        state_of_conflict(c), value_u64(opened_ms(c)), closed_ms(w, c), value_u64(t->t),
        value_blob(r->k.key, r->k.len), value_u64(c->birth.site), value_u64(c->birth.seq));
    *fresh = db_changes(w->s) > 0;
    x->n = db_last_rowid(w->s);
    return e;
}

/* The sides are written anew: the first birth of a key is not part of the identity, and may be
 * another now. */
static enum err update_record(struct work *w, struct entry_of *x)
{
    enum err e = DB_RUN(w->s, "UPDATE tonle_conflict SET state = ?2, closed_ms = ?3 WHERE id = ?1",
                        value_text(x->id), state_of_conflict(x->c), closed_ms(w, x->c));
    if (e != ERR_OK)
        return e;
    struct query q =
        DB_QUERY(w->s, "SELECT n FROM tonle_conflict WHERE id = ?1", value_text(x->id));
    if (query_next(&q))
        x->n = query_i64(&q, 0);
    else
        query_fail(&q, ERR_CORRUPT);
    e = query_end(&q);
    if (e == ERR_OK)
        e = DB_RUN(w->s, "DELETE FROM tonle_side WHERE n = ?1", value_integer(x->n));
    return e;
}

static enum err save_entry(struct work *w, const struct work_row *r, struct entry_of x)
{
    const struct conflict *c = x.c;
    bool fresh = false;
    enum err e = insert_record(w, r, &x, &fresh);
    if (e == ERR_OK && !fresh)
        e = update_record(w, &x);
    if (c->open)
        state_counts_changed(w->s);
    return e == ERR_OK ? save_sides(w, r, &x) : e;
}

static enum err save_record(struct work *w, const struct work_row *r, const struct conflict *c,
                            const char *id)
{
    return save_entry(w, r, (struct entry_of){.c = c, .id = id});
}

static void name_conflict(char id[33], const struct work_row *r, const struct conflict *c)
{
    const struct table_schema *t = r->k.t;
    conflict_id(id, t->name, r->k.key, r->k.len, schema_cell_name(t, c->column), c);
}

enum err conflict_save(struct work *w, struct work_row *r, const struct conflict *c)
{
    char id[33];
    assert(w->s->in_write);
    name_conflict(id, r, c);
    return save_record(w, r, c, id);
}

/* ---- what stood where capture was away */

enum err work_gap(struct work *w, const struct table_schema *t, bool *any)
{
    int8_t *known = &w->table_gap[t - w->s->schema->tables];
    enum gap_state state = GAP_NONE;
    enum err e = ERR_OK;
    if (*known < 0) {
        e = gap_state_of(w->s, t->t, &state);
        *known = e != ERR_OK ? -1 : state != GAP_NONE;
    }
    *any = *known > 0;
    return e;
}

/* Who wrote what is written now: not always the changeset in hand, which may have changed another
 * cell of the row. None: that is forgotten, or the birth was held here, and may have been changed
 * behind capture before. */
static struct version writer(struct work *w, const struct work_row *r, const struct birth *b,
                             uint32_t cell)
{
    uint32_t n = 0;
    const struct table_rules *rules = &r->k.t->rules;
    if (!b)
        return (struct version){0};
    /* A birth's beginning is kept for its rank, also where later writes are forgotten. */
    if (!birth_find_cell(b, cell) && clock_covers(&state_of(w->s)->stable, b->base))
        return (struct version){0};
    const struct version *v = birth_cell(w->a, b, rules, cell, &n);
    bool known = n > 1 || cell == COLUMN_EXISTS || dot_equal(r->in_table, b->name);
    if (n == 0 || (!known && !dot_equal(v->dot, w->dot)))
        return (struct version){0};
    return v[birth_choose(w->a, b, rules, cell, v, n)];
}

struct found_write {        /* side[0] is written over side[1], in a cell of a birth's */
    const struct birth *by; /* the birth written for; NULL: none that is known */
    struct dot of;          /* the birth that was written over */
    struct dot held;        /* the same, where it is held; none for what stood in the table */
    uint32_t cell;
    struct value side[2];
    const char *row; /* the whole of what was written over, where it went as a row; else NULL */
};

/* What stood has no changeset, and perhaps nobody is known who wrote over it: what it was tells it
 * from what stands there another time. */
static struct dot found_name(struct work *w, const struct found_write *f)
{
    struct buf *b = &w->s->apply->scratch;
    buf_reset(b);
    value_encode(b, &f->side[1]);
    uint64_t h = bytes_hash(f->held.site ^ f->held.seq, b->data, b->len);
    return (struct dot){bytes_hash(h, f->row ? f->row : "", f->row ? strlen(f->row) : 0), 1};
}

/* Others go on writing what was found once. The first record of a cell says in its side in force
 * what they wrote last: where that is what stood, nothing escaped. *known: it is on record, and is
 * what stood; x->n is 0 where there is none. */
static enum err follow_found(struct work *w, const struct work_row *r, struct entry_of *x,
                             const struct value *stood, bool *known)
{
    int form;
    const struct value want = stored_form(stood, &form);
    struct value v[SIDE_PARAMETERS];
    struct query q = DB_QUERY(w->s,
                              "SELECT n, value IS ?2 AND form = ?3 FROM tonle_conflict"
                              " JOIN tonle_side USING(n) WHERE id = ?1 AND shown",
                              value_text(x->id), want, value_integer(form));
    if (query_next(&q)) {
        x->n = query_i64(&q, 0);
        *known = query_i64(&q, 1) != 0;
    }
    enum err e = query_end(&q);
    if (e != ERR_OK || x->n == 0)
        return e;
    e = DB_RUN(w->s, "DELETE FROM tonle_side WHERE n = ?1 AND shown", value_integer(x->n));
    side_values(w, r, x, x->c->shown, v);
    return e == ERR_OK ? query_run(w->s, INSERT_SIDE SIDE, SIDE_PARAMETERS, v) : e;
}

static enum err save_found(struct work *w, struct work_row *r, const struct found_write *f)
{
    char id[33];
    bool known = false;
    uint64_t hlc = state_of(w->s)->hlc, site = identity_of(w->s)->site;
    struct version by = writer(w, r, f->by, f->cell);
    struct version v[2] = {{by.dot, dot_is_none(by.dot) ? hlc : by.hlc, f->side[0]},
                           {{site, 0}, hlc, f->side[1]}};
    struct conflict c = {.column = f->cell, .n = 2, .v = v, .birth = f->of};
    struct entry_of x = {.c = &c, .id = id, .found = f->row};
    struct version nobody[2] = {{.dot = {0}},
                                {.dot = {site, 0}}}; /* who writes is no part of the name */
    struct conflict name = {.column = f->cell, .n = 2, .v = nobody, .apart = f->held};
    name_conflict(id, r, &name);
    enum err e = f->row ? ERR_OK : follow_found(w, r, &x, &f->side[1], &known);
    if (e != ERR_OK || known)
        return e;
    if (f->row || x.n != 0) {
        name.apart = found_name(w, f);
        name_conflict(id, r, &name);
    }
    if (w->report)
        w->report->conflicts++;
    return save_entry(w, r, x);
}

/* The cells in which a birth's values `is` differ from what was there. */
static enum err save_found_cells(struct work *w, struct work_row *r, struct found_write *f,
                                 const struct value *is, const struct value *was)
{
    const struct table_schema *t = r->k.t;
    enum err e = ERR_OK;
    for (uint32_t c = 0; e == ERR_OK && c < t->n_columns; c++) {
        if (schema_is_key(t, c) || cell_of(&t->rules, c) != c)
            continue;
        f->cell = c;
        f->side[0] = cell_gather(w->a, &t->rules, c, is);
        f->side[1] = cell_gather(w->a, &t->rules, c, was);
        if (policy_of(&t->rules, c) != POLICY_SUM && !value_alike(&f->side[0], &f->side[1]))
            e = save_found(w, r, f);
    }
    return e;
}

static enum err save_found_row(struct work *w, struct work_row *r, struct found_write *f,
                               const struct value *was)
{
    bool lives = f->by && birth_alive(f->by, &r->k.t->rules); /* another's row, or none, from now */
    f->cell = COLUMN_EXISTS;
    f->side[0] = value_integer(lives);
    f->side[1] = value_integer(1);
    f->row = schema_row_json(w->a, r->k.t, was);
    return save_found(w, r, f);
}

enum err conflict_found(struct work *w, struct work_row *r, const struct birth *b,
                        const struct value *values)
{
    const struct table_schema *t = r->k.t;
    bool gap;
    assert(w->s->in_write && r->now);
    enum err e = t->internal ? ERR_OK : work_gap(w, t, &gap);
    if (e != ERR_OK || t->internal || !gap)
        return e;
    struct found_write f = {.by = b, .of = r->in_table};
    return values ? save_found_cells(w, r, &f, values, r->now) : save_found_row(w, r, &f, r->now);
}

enum err conflict_held(struct work *w, struct work_row *r, struct held_rows *out)
{
    const struct table_schema *t = r->k.t;
    bool gap = false;
    *out = (struct held_rows){0};
    enum err e = t->internal || !r->was_held ? ERR_OK : work_gap(w, t, &gap);
    for (uint32_t i = 0; e == ERR_OK && gap && i < r->row.n_births; i++) {
        const struct birth *b = &r->row.births[i];
        if (b->held == HOLD_NONE || !birth_alive(b, &t->rules) || part_birth_torn(w->a, t, b))
            continue;
        out->at = arena_grow(w->a, out->at, out->n, &out->cap, sizeof *out->at);
        const struct value *shown = birth_shown(w->a, b, &t->rules);
        out->at[out->n++] =
            (struct held_row){b->name, arena_copy(w->a, shown, t->n_columns * sizeof *shown)};
    }
    return e;
}

static enum err found_of_held(struct work *w, struct work_row *r, const struct held_row *was)
{
    const struct table_schema *t = r->k.t;
    const struct birth *b = row_find_birth(&r->row, was->name);
    struct found_write f = {.by = b, .of = was->name, .held = was->name};
    if (!b || !birth_alive(b, &t->rules))
        return save_found_row(w, r, &f, was->values);
    return save_found_cells(w, r, &f, birth_shown(w->a, b, &t->rules), was->values);
}

enum err conflict_held_found(struct work *w, struct work_row *r, const struct held_rows *were)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < were->n; i++)
        e = found_of_held(w, r, &were->at[i]);
    return e;
}

/* ---- what is open */

struct open_now { /* the open conflicts of the merged state, and their names */
    struct conflict_list list;
    char (*id)[33];
};
struct open_record { /* what the table says */
    int64_t n;
    const char *id, *cell;
    struct dot birth;
    const char *successor; /* of what is open now; NULL: none, or it is open still */
};

static enum err open_records(struct work *w, struct work_row *r, struct open_record **out,
                             size_t *n)
{
    size_t cap = 0;
    *n = 0;
    *out = NULL;
    struct query q = DB_QUERY(w->s,
                              "SELECT n, id, cell, bsite, bseq FROM tonle_conflict"
                              " WHERE t = ?1 AND k = ?2 AND state = 'open'",
                              value_u64(r->k.t->t), value_blob(r->k.key, r->k.len));
    while (query_next(&q)) {
        *out = arena_grow(w->a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = (struct open_record){.n = query_i64(&q, 0),
                                              .id = query_text(&q, w->a, 1),
                                              .cell = query_text(&q, w->a, 2),
                                              .birth = {query_u64(&q, 3), query_u64(&q, 4)}};
    }
    return query_end(&q);
}

/* Superseded by the conflict of the same cell that took its place, or resolved by the write that
 * settled it. */
static enum err close_record(struct work *w, const struct open_record *old)
{
    char dot[40];
    snprintf(dot, sizeof dot, "%016llx:%llu", (unsigned long long)w->dot.site,
             (unsigned long long)w->dot.seq);
    state_counts_changed(w->s);
    return DB_RUN(w->s,
                  "UPDATE tonle_conflict SET state = ?2, closed_ms = max(opened_ms, ?3),"
                  " successor = ?4 WHERE id = ?1",
                  value_text(old->id), value_text(old->successor ? "superseded" : "resolved"),
                  value_u64(hlc_ms(w->hlc)), value_text(old->successor ? old->successor : dot));
}

/* A record keeps the sides that its successor has not: where many offices meet one after the other,
 * each side is kept once, not once in every record on the way. */
static enum err leave_to_successor(struct work *w, const struct open_record *old)
{
    return DB_RUN(w->s,
                  "DELETE FROM tonle_side WHERE n = ?1 AND EXISTS(SELECT 1 FROM tonle_side x"
                  " WHERE x.n = (SELECT n FROM tonle_conflict WHERE id = ?2)"
                  " AND x.site = tonle_side.site AND x.seq = tonle_side.seq)",
                  value_integer(old->n), value_text(old->successor));
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

/* Which of the conflicts on record are open no more, and what took their place. */
static enum err close_old(struct work *w, struct work_row *r, const struct open_now *now,
                          struct open_record *old, size_t n)
{
    const struct table_schema *t = r->k.t;
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        bool still = false;
        for (size_t j = 0; j < now->list.n; j++) {
            const struct conflict *c = &now->list.c[j];
            still = still || strcmp(now->id[j], old[i].id) == 0;
            if (strcmp(schema_cell_name(t, c->column), old[i].cell) == 0 &&
                same_birth(&r->row, c->birth, old[i].birth))
                old[i].successor = now->id[j];
        }
        if (!still)
            e = close_record(w, &old[i]);
        else
            old[i].successor = NULL;
    }
    return e;
}

enum err conflict_reconcile(struct work *w, struct work_row *r)
{
    struct open_now now = {0};
    struct open_record *old = NULL;
    size_t n = 0;
    assert(w->s->in_write);
    if (work_torn(w, r)) /* what its sides are is known when it is compared */
        return ERR_OK;
    row_open_conflicts(w->a, &r->row, &r->k.t->rules, &now.list);
    enum err e = r->no_siblings ? ERR_OK : open_records(w, r, &old, &n);
    now.id = arena_alloc(w->a, (now.list.n + 1) * sizeof *now.id);
    for (size_t i = 0; i < now.list.n; i++) {
        assert(now.list.c[i].open);
        name_conflict(now.id[i], r, &now.list.c[i]);
    }
    if (e == ERR_OK)
        e = close_old(w, r, &now, old, n);
    for (size_t j = 0; e == ERR_OK && j < now.list.n; j++) {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || strcmp(now.id[j], old[i].id) == 0;
        if (!known || may_show_another(r->k.t, now.list.c[j].column))
            e = save_record(w, r, &now.list.c[j], now.id[j]);
        if (!known && w->report)
            w->report->conflicts++;
    }
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        if (old[i].successor)
            e = leave_to_successor(w, &old[i]);
    return e;
}
