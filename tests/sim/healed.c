/* When everything has come to rest: the offices are alike (promise 3), every write is found again
 * (2), conflicts are between writers that did not know of one another and nobody else (6), and what
 * is stable has left nothing behind. The model is the hub's, of the whole journal. */
#include "conflict/twin.h"
#include "tests/lib/rooms.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

/* ---- alike */

static char *dump(struct world *w, struct machine *m, const char *sql)
{
    struct buf b = {0};
    struct arena a = {0};
    struct query q = DB_QUERY(m->watch, sql);
    while (query_next(&q)) {
        for (int i = 0; i < sqlite3_column_count(q.stmt); i++) {
            struct value v = query_value(&q, &a, i);
            if (v.type == VALUE_INTEGER)
                buf_printf(&b, "%lld|", (long long)v.u.i);
            else if (v.type == VALUE_BLOB)
                buf_printf(&b, "%016llx|",
                           (unsigned long long)bytes_hash(VALUE_HASH_SEED, v.u.p, v.len));
            else
                buf_printf(&b, "%.*s|", (int)v.len,
                           v.type == VALUE_NULL ? "" : (const char *)v.u.p);
        }
        buf_printf(&b, "; ");
    }
    oracle_end(w, m, &q);
    char *text = mem_strdup(buf_str(&b));
    buf_fini(&b);
    arena_fini(&a);
    return text;
}

static void alike(struct world *w, const char *sql)
{
    char *first = dump(w, &w->m[0], sql);
    for (int i = 1; i < w->n; i++) {
        char *other = dump(w, &w->m[i], sql);
        if (w->verbose && strcmp(first, other) != 0)
            printf("%s\n    hub: %s\n    %s: %s\n", sql, first, w->m[i].o.name, other);
        if (strcmp(first, other) != 0)
            world_break(w, "3", "offices differ: %s: hub has %.300s %s has %.300s", sql, first,
                        w->m[i].o.name, other);
        mem_free(other);
    }
    mem_free(first);
}

static void tables_alike(struct world *w)
{
    const struct store *s = w->m[0].watch;
    for (uint32_t i = 0; i < s->schema->n_tables; i++) {
        const struct table_schema *t = &s->schema->tables[i];
        char sql[512];
        snprintf(sql, sizeof sql, "SELECT %s FROM %s ORDER BY %s", t->column_list, t->qname,
                 t->key_order);
        alike(w, sql);
    }
}

/* For who looks into it: the sides of what is open, birth and dots. */
static void print_open(struct world *w, struct machine *m)
{
    char *text = dump(
        w, m,
        "SELECT table_name, key, cell, printf('%x', bsite), bseq, printf('%x', site), seq, value"
        " FROM tonle_conflict c JOIN tonle_conflict_side v ON v.conflict = c.id"
        " WHERE state = 'open' ORDER BY 1, 2, 3, 6, 7");
    printf("%s: %s\n", m->o.name, text);
    mem_free(text);
}

static void digests_alike(struct world *w)
{
    struct arena a = {0};
    struct table_digest *first = NULL, *other = NULL;
    uint32_t n = 0, m = 0;
    if (store_digest(w->m[0].watch, &a, &first, &n) != ERR_OK)
        world_break(w, "3", "hub: no digest: %s", store_message(w->m[0].watch));
    for (int i = 1; i < w->n && w->broken[0] == '\0'; i++) {
        if (store_digest(w->m[i].watch, &a, &other, &m) != ERR_OK)
            world_break(w, "3", "%s: no digest: %s", w->m[i].o.name, store_message(w->m[i].watch));
        for (uint32_t t = 0; t < n && m == n; t++) {
            if (first[t].rows != other[t].rows || first[t].held != other[t].held ||
                first[t].conflicts != other[t].conflicts ||
                memcmp(first[t].digest, other[t].digest, HASH_BYTES) != 0)
                world_break(w, "3", "%s: the digest of %s is not the hub's", w->m[i].o.name,
                            first[t].table);
        }
    }
    arena_fini(&a);
}

/* ---- every write is found again */

const char *oracle_cell(const struct table_schema *t, uint32_t column)
{
    if (column == COLUMN_EXISTS)
        return "exists";
    if (column == COLUMN_BIRTH)
        return "birth";
    const struct cell_group *g = t->rules.group ? t->rules.group[column] : NULL;
    return g ? g->name : t->column[column];
}

/* A later write that had seen it. */
static bool overwritten(const struct model *m, const struct model_row *r, const struct change *ch,
                        uint32_t column)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct change *d = &r->change[i].ch;
        if (!dot_equal(d->birth, ch->birth) || dot_equal(d->dot, ch->dot) ||
            !clock_covers(&m->changeset[r->change[i].changeset].context, ch->dot))
            continue;
        if (column == COLUMN_EXISTS || d->kind == CHANGE_DELETE)
            return true;
        for (uint32_t j = 0; j < d->n_cells; j++) {
            if (d->column[j] == column)
                return true;
        }
    }
    return false;
}

/* Shown of a living birth: tables.c has compared what stands and what is held. */
static bool shown(const struct model_birth *b, const struct table_rules *rules, uint32_t column,
                  const struct value *value)
{
    if (column == COLUMN_EXISTS)
        return b->alive == (value->u.i != 0);
    (void)rules;
    return b->alive && value_alike(&b->values[column], value);
}

static uint32_t place_in_cell(const struct table_rules *rules, uint32_t column)
{
    const struct cell_group *g =
        column != COLUMN_EXISTS && rules->group ? rules->group[column] : NULL;
    for (uint32_t i = 0; g && i < g->n; i++) {
        if (g->column[i] == column)
            return i;
    }
    return 0;
}

/* Among the versions that tables.c has found on record, of a cell that is in conflict, or of a
 * counter that holds what is no number. */
static bool sibling(const struct model_birth *b, const struct table_rules *rules, uint32_t column,
                    const struct value *value)
{
    const struct model_cell *c = model_find_cell(b, rules, column);
    bool sum = column != COLUMN_EXISTS && rules->policy[column] == POLICY_SUM;
    for (uint32_t i = 0; c && (c->n > 1 || sum) && i < c->n; i++) {
        if (value_alike(&c->v[i].value[place_in_cell(rules, column)], value))
            return true;
    }
    return false;
}

/* In the conflict record of some office: the side this dot wrote; its value was compared when it
 * was made (conflicts.c). */
static bool recorded(struct world *w, const struct model_row *r, const char *cell, struct dot dot)
{
    bool found = false;
    for (int i = 0; !found && i < w->n; i++) {
        struct store *s = w->m[i].watch;
        struct query q = DB_QUERY(
            s,
            "SELECT 1 FROM tonle_conflict c JOIN tonle_conflict_side v ON v.conflict = c.id"
            " WHERE c.t = ?1 AND c.k = ?2 AND c.cell = ?3 AND v.site = ?4 AND v.seq = ?5",
            value_u64(s->schema->tables[r->table].t), value_blob(r->key, r->len), value_text(cell),
            value_u64(dot.site), value_u64(dot.seq));
        found = query_next(&q);
        oracle_end(w, &w->m[i], &q);
    }
    return found;
}

/* A row that is dead although somebody changed it unseen is on record as it would stand. */
static bool lost_to_delete(const struct model_birth *b, const struct table_rules *rules)
{
    const struct model_cell *exists = model_find_cell(b, rules, COLUMN_EXISTS);
    bool differ = false;
    for (uint32_t i = 1; i < exists->n; i++)
        differ |= exists->v[i].value[0].u.i != exists->v[0].value[0].u.i;
    return !b->alive && differ;
}

static void find_cell(struct world *w, struct arena *a, const struct model_row *r,
                      const struct change *ch, uint32_t column, const struct value *value)
{
    const struct model *m = &w->m[0].model;
    const struct table_schema *t = &w->m[0].watch->schema->tables[r->table];
    const struct model_birth *b = model_find_birth(r, ch->birth);
    if (column != COLUMN_EXISTS && t->rules.policy[column] == POLICY_SUM && value_is_count(value))
        return; /* in the total */
    if (column != COLUMN_EXISTS && ch->kind == CHANGE_DELETE && !b->alive)
        return; /* written and thrown away */
    if (overwritten(m, r, ch, column) || shown(b, &t->rules, column, value) ||
        sibling(b, &t->rules, column, value) || lost_to_delete(b, &t->rules) ||
        recorded(w, r, oracle_cell(t, column), ch->dot))
        return;
    world_break(w, "2", "changeset %016llx:%llu wrote %s of %s %s: found nowhere",
                (unsigned long long)ch->dot.site, (unsigned long long)ch->dot.seq,
                oracle_cell(t, column), t->name, schema_key_json(a, t, r->key, r->len));
}

static void find_writes(struct world *w, struct arena *a)
{
    const struct model *m = &w->m[0].model;
    for (size_t i = 0; i < m->n_rows; i++) {
        const struct model_row *r = &m->row[i];
        for (size_t j = 0; j < r->n; j++) {
            const struct change *ch = &r->change[j].ch;
            struct value dead = value_integer(0);
            for (uint32_t c = 0; c < ch->n_cells; c++)
                find_cell(w, a, r, ch, ch->column[c], &ch->value[c]);
            if (ch->kind == CHANGE_DELETE)
                find_cell(w, a, r, ch, COLUMN_EXISTS, &dead);
        }
    }
}

/* ---- what is stable is forgotten */

static bool means_kept(struct store *s, const struct birth *b)
{
    bool kept = false;
    for (uint32_t i = 0; !kept && i < b->n_references; i++) {
        struct dot birth = b->references[i].birth;
        struct query q = DB_QUERY(s, "SELECT 1 FROM tonle_keep WHERE site = ?1 AND seq = ?2",
                                  value_u64(birth.site), value_u64(birth.seq));
        kept = query_next(&q);
        if (query_end(&q) != ERR_OK)
            return false;
    }
    return kept;
}

/* A rank is kept while another row on record has a claim; what is swept before that row's last
 * claim goes waits for the next sweep. So only tables without unique keys can be judged by what is
 * left. */
static bool still_needed(struct store *s, struct arena *a, const struct table_schema *t,
                         const struct row *r)
{
    bool one = row_is_one(a, r, &t->rules, &store_state_get(s)->stable);
    if (r->n_births > 1 && !one)
        return true;
    if (r->n_births == 1 && t->n_unique > 0)
        return true;
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        for (uint32_t j = 0; j < b->n_cells; j++) {
            if (b->cells[j].n > 1)
                return true;
        }
        if ((b->held != HOLD_NONE && b->held != HOLD_TWIN) || means_kept(s, b))
            return true;
    }
    return false;
}

static void check_forgotten(struct world *w, struct machine *m, struct arena *a)
{
    struct store *s = m->watch;
    if (clock_compare(&store_state_get(s)->stable, &store_state_get(s)->clock) != CLOCK_EQUAL)
        world_break(w, "12", "%s: not everything has become stable", m->o.name);
    if (database_number(s,
                        "SELECT EXISTS(SELECT 1 FROM tonle_row GROUP BY t, k HAVING count(*) > 1)"))
        world_break(w, "3", "%s: a row has two records", m->o.name);
    struct query q = DB_QUERY(s, "SELECT t, k FROM tonle_row");
    while (w->broken[0] == '\0' && query_next(&q)) {
        const struct table_schema *t = schema_by_number(s, (uint32_t)query_u64(&q, 0));
        struct bytes k = query_bytes(&q, a, 1);
        struct row r;
        if (row_load(s, a, (struct row_key){t, k.p, k.len}, &r, NULL) != ERR_OK ||
            !still_needed(s, a, t, &r))
            world_break(w, "12", "%s: a record of %s %s is kept for nothing", m->o.name, t->name,
                        schema_key_json(a, t, k.p, k.len));
    }
    oracle_end(w, m, &q);
}

void oracle_healed(struct world *w)
{
    struct arena a = {0};
    for (int i = 0; i < w->n; i++) {
        if (store_begin_read(w->m[i].watch) != ERR_OK || schema_load(w->m[i].watch) != ERR_OK)
            world_break(w, "1", "%s: %s", w->m[i].o.name, store_message(w->m[i].watch));
    }
    if (w->broken[0] == '\0') {
        tables_alike(w);
        alike(w, "SELECT table_name, key, reason FROM tonle_held WHERE reason <> 'local' ORDER BY "
                 "1, 2, 3");
        alike(w, "SELECT table_name, key, cell, id FROM tonle_conflict WHERE state = 'open' ORDER "
                 "BY 1, 2, 3, 4");
        for (int i = 0; w->verbose && w->broken[0] != '\0' && i < w->n; i++)
            print_open(w, &w->m[i]);
        alike(w, "SELECT id, office, at_ms FROM tonle_decision ORDER BY 1");
        if (w->puppet)
            puppet_healed(w);
        digests_alike(w);
        if (!w->taken) {
            find_writes(w, &a);
            oracle_open(w, &a);
        }
        if (w->schema.fixed && !w->profile.gaps)
            wrote_healed(w);
        ledger_totals(w, &w->m[0].model, w->m[0].watch);
    }
    if (w->profile.gaps && w->broken[0] == '\0')
        stray_healed(w);
    for (int i = 0; i < w->n && w->broken[0] == '\0'; i++) {
        oracle_sides(w, &w->m[i]);
        check_forgotten(w, &w->m[i], &a);
    }
    for (int i = 0; i < w->n; i++)
        store_rollback(w->m[i].watch);
    arena_fini(&a);
}
