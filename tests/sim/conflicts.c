/* When everything has come to rest: what is recorded as a conflict is one (promise 6), with what
 * was written (2), and what is open is what the merged state says. */
#include "node/db/query.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

struct recorded_conflict { /* one side of a record, as it stands in the database */
    const struct table_schema *t;
    const struct model_row *r;
    const char *cell;
    struct dot dot;
    struct value value;
    int form;
};

static bool column_is(const struct recorded_conflict *s, const struct value *v, uint32_t column)
{
    const struct cell_group *g = s->t->rules.group ? s->t->rules.group[column] : NULL;
    struct value member[DRAWN_COLUMNS];
    if (!!g != (s->form == VALUE_TUPLE))
        return false;
    if (!g)
        return value_equal(&s->value, v);
    struct value tuple = value_bytes(VALUE_TUPLE, s->value.u.p, s->value.len);
    if (g->n > DRAWN_COLUMNS || value_tuple_split(&tuple, member, g->n) != ERR_OK)
        return false;
    for (uint32_t i = 0; i < g->n; i++) {
        if (g->column[i] == column)
            return value_equal(&member[i], v);
    }
    return false;
}

/* Whether this change wrote that. */
static bool is_of(const struct recorded_conflict *s, const struct change *ch)
{
    if (strcmp(s->cell, "exists") == 0)
        return s->value.u.i == (ch->kind != CHANGE_DELETE);
    bool any = false;
    for (uint32_t i = 0; i < ch->n_cells; i++) {
        if (strcmp(oracle_cell(s->t, ch->column[i]), s->cell) != 0)
            continue;
        if (!column_is(s, &ch->value[i], ch->column[i]))
            return false;
        any = true;
    }
    return any;
}

/* Written here where capture was away, over what that office had written: when another version came
 * before the tables were compared, it was taken for that office's. */
static bool is_stray(struct world *w, struct machine *m, const struct recorded_conflict *s)
{
    if (!w->profile.gaps)
        return false;
    /* So is what has changed by itself (gap_flip); no application writes such a word. */
    if (w->profile.flips && s->value.type == VALUE_TEXT && s->value.len > 4 &&
        memcmp(s->value.u.p, "flip", 4) == 0)
        return true;
    struct query q = DB_QUERY(m->watch,
                              "SELECT 1 FROM app_wrote WHERE t = ?1 AND c = ?2 AND v IS ?3 AND"
                              " stray",
                              value_text(s->t->name), value_text(s->cell), s->value);
    bool found = query_next(&q);
    oracle_end(w, m, &q);
    return found;
}

/* What a record says an office wrote, it wrote. */
static void check_side(struct world *w, struct machine *m, const struct recorded_conflict *s)
{
    for (size_t i = 0; s->r && i < s->r->n; i++) {
        const struct change *ch = &s->r->change[i].ch;
        if (dot_equal(ch->dot, s->dot) && is_of(s, ch))
            return;
    }
    for (size_t i = 0; s->r && i < s->r->n_nobody; i++)
        if (dot_equal(s->r->nobody[i].ch.dot, s->dot) && is_of(s, &s->r->nobody[i].ch))
            return;
    if (is_stray(w, m, s))
        return;
    world_break(w, "2", "%s: a conflict of %s in %s has a side of %016llx:%llu that it never wrote",
                m->o.name, s->t->name, s->cell, (unsigned long long)s->dot.site,
                (unsigned long long)s->dot.seq);
    if (s->r)
        oracle_dump(w, m, s->r);
}

static void check_values(struct world *w, struct machine *m)
{
    struct arena a = {0};
    struct query q = DB_QUERY(
        m->watch, "SELECT c.t, c.k, c.cell, v.site, v.seq, v.value, v.form FROM tonle_conflict c"
                  " JOIN tonle_conflict_side v ON v.conflict = c.id WHERE c.cell <> 'birth' AND"
                  " v.seq > 0");
    while (w->broken[0] == '\0' && query_next(&q)) {
        struct bytes k = query_bytes(&q, &a, 1);
        struct recorded_conflict s = {.t = schema_by_number(m->watch, (uint32_t)query_u64(&q, 0)),
                                      .cell = query_text(&q, &a, 2),
                                      .dot = {query_u64(&q, 3), query_u64(&q, 4)},
                                      .value = query_value(&q, &a, 5),
                                      .form = (int)query_i64(&q, 6)};
        s.r = model_find(&m->model, (uint32_t)(s.t - m->watch->schema->tables), k.p, k.len);
        check_side(w, m, &s);
    }
    oracle_end(w, m, &q);
    arena_fini(&a);
}

/* One side's writer had applied the other side's write: no conflict. */
static void check_pairs(struct world *w, struct machine *m)
{
    const char *sql =
        "SELECT c.table_name, c.key, c.cell, x.site, x.seq, y.site, y.seq FROM tonle_conflict c"
        " JOIN tonle_conflict_side x ON x.conflict = c.id JOIN tonle_conflict_side y ON y.conflict "
        "= c.id"
        " WHERE c.cell <> 'birth' AND x.seq > 0 AND y.seq > 0 AND (x.site, x.seq) <> (y.site, "
        "y.seq)";
    struct query q = DB_QUERY(m->watch, sql);
    while (w->broken[0] == '\0' && query_next(&q)) {
        struct dot x = {query_u64(&q, 3), query_u64(&q, 4)},
                   y = {query_u64(&q, 5), query_u64(&q, 6)};
        const struct model_changeset *cs = model_find_changeset(&m->model, x);
        if (!cs || clock_covers(&cs->context, y))
            world_break(
                w, "6",
                "%s: conflict of %s %s %s between %016llx:%llu and %016llx:%llu, which it had seen",
                m->o.name, query_borrow_text(&q, 0), query_borrow_text(&q, 1),
                query_borrow_text(&q, 2), (unsigned long long)x.site, (unsigned long long)x.seq,
                (unsigned long long)y.site, (unsigned long long)y.seq);
    }
    oracle_end(w, m, &q);
}

void oracle_sides(struct world *w, struct machine *m)
{
    check_values(w, m);
    check_pairs(w, m);
}

/* Not asked of births: some may have lost their names. */
static bool has_sides(struct store *s, const char *id, const struct model_conflict *c)
{
    bool all = true;
    for (uint32_t i = 0; c->birth && i < c->n && all; i++) {
        struct query q = DB_QUERY(
            s,
            "SELECT 1 FROM tonle_conflict_side WHERE conflict = ?1 AND site = ?2 AND seq = ?3"
            " AND (shown <> 0) = ?4",
            value_text(id), value_u64(c->side[i].site), value_u64(c->side[i].seq),
            value_integer(dot_equal(c->side[i], c->shown)));
        all = query_next(&q);
        all = query_end(&q) == ERR_OK && all;
    }
    return all;
}

/* One record that is open, of this cell, with exactly these sides. */
static bool is_open(struct store *s, const struct model_conflict *c)
{
    const struct table_schema *t = &s->schema->tables[c->row->table];
    bool found = false;
    struct query q = DB_QUERY(
        s,
        "SELECT id FROM tonle_conflict c WHERE t = ?1 AND k = ?2 AND state = 'open' AND cell = ?3"
        " AND (SELECT count(*) FROM tonle_conflict_side v WHERE v.conflict = c.id) = ?4",
        value_u64(t->t), value_blob(c->row->key, c->row->len),
        value_text(oracle_cell(t, c->column)), value_u64(c->n));
    while (!found && query_next(&q))
        found = has_sides(s, query_borrow_text(&q, 0), c);
    return query_end(&q) == ERR_OK && found;
}

/* Of two births it may be. */
#define DETAIL                                                                                     \
    "SELECT v.detail FROM tonle_conflict c JOIN tonle_conflict_side v ON v.conflict = c.id"        \
    " WHERE c.t = ?1 AND c.k = ?2 AND c.state = 'open' AND c.cell = 'exists' AND v.site = ?3"      \
    " AND v.seq = ?4 AND v.value = 1"                                                              \
    " AND (SELECT count(*) FROM tonle_conflict_side n WHERE n.conflict = c.id) = ?5"               \
    " ORDER BY v.detail = ?6 DESC LIMIT 1"

/* The whole row beside a delete, as it would stand. */
static void check_detail(struct world *w, struct machine *m, struct arena *a,
                         const struct model_conflict *c)
{
    const struct table_schema *t = &m->watch->schema->tables[c->row->table];
    if (c->column != COLUMN_EXISTS)
        return;
    const char *want = schema_row_json(a, t, c->birth->values);
    const struct model_cell *exists = model_find_cell(c->birth, &t->rules, COLUMN_EXISTS);
    for (uint32_t i = 0; i < c->n; i++) {
        if (exists->v[i].value[0].u.i == 0)
            continue;
        struct query q = DB_QUERY(m->watch, DETAIL, value_u64(t->t),
                                  value_blob(c->row->key, c->row->len), value_u64(c->side[i].site),
                                  value_u64(c->side[i].seq), value_u64(c->n), value_text(want));
        const char *have = query_next(&q) ? query_text(&q, a, 0) : want;
        oracle_end(w, m, &q);
        if (strcmp(have, want) == 0)
            continue;
        world_break(w, "2", "%s: beside the delete of %s stands %s, should %s", m->o.name, t->name,
                    have, want);
        oracle_dump(w, m, c->row);
    }
}

/* How much there was to see. */
static void count_open(struct world *w, const struct model_conflict *c, const struct store *s)
{
    const struct table_rules *rules = &s->schema->tables[c->row->table].rules;
    if (c->column == COLUMN_EXISTS)
        w->exists++;
    else if (c->column == COLUMN_BIRTH)
        w->births++;
    else
        w->open[rules->policy[c->column]]++;
}

static void count_held(struct world *w, struct arena *a)
{
    size_t n;
    struct model_birth **b = model_decide(&w->m[0].model, w->m[0].watch, a, &n);
    for (size_t i = 0; i < n; i++)
        w->held[b[i]->held]++;
    for (size_t i = 0; i < w->m[0].model.n_rows; i++)
        for (uint32_t j = 0; j < w->m[0].model.row[i].n_births; j++)
            w->held[HOLD_TWIN] += !!w->m[0].model.row[i].birth[j].twin_of;
}

/* What is open is what the merged state says. */
void oracle_open(struct world *w, struct arena *a)
{
    struct machine *hub = &w->m[0];
    size_t n = 0;
    const struct model_conflict *c = model_open(&hub->model, hub->watch, a, &n);
    count_held(w, a);
    for (size_t i = 0; i < n; i++) {
        const struct table_schema *t = &hub->watch->schema->tables[c[i].row->table];
        count_open(w, &c[i], hub->watch);
        check_detail(w, hub, a, &c[i]);
        if (!is_open(hub->watch, &c[i]))
            world_break(w, "6", "an open conflict of %s %s in %s is not recorded", t->name,
                        schema_key_json(a, t, c[i].row->key, c[i].row->len),
                        oracle_cell(t, c[i].column));
    }
    if (database_number(hub->watch, "SELECT count(*) FROM tonle_conflict WHERE state = 'open'") !=
        (int64_t)n)
        world_break(w, "6", "%lld conflicts are open, %zu should be",
                    (long long)database_number(
                        hub->watch, "SELECT count(*) FROM tonle_conflict WHERE state = 'open'"),
                    n);
}
