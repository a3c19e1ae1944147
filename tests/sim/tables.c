/* One office against the model of its journal: the same rows in the tables with the same values,
 * the same held rows with theirs, every version that is not stable on record and none that nobody
 * wrote.
 */
#include "node/db/query.h"
#include "node/record/record.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

/* What a join could not take in stays aside as a local matter. */
#define HELD_COUNT "SELECT count(*) FROM tonle_held WHERE reason <> 'local'"

struct comparing {
    struct world *w;
    struct machine *m;
    struct arena a;
    struct model_birth **birth; /* all living ones, decided */
    size_t n;
    const struct model_row *bad; /* where the first difference is */
};

static char *key_text(struct comparing *c, const struct model_row *r)
{
    return schema_key_json(&c->a, &c->m->watch->schema->tables[r->table], r->key, r->len);
}

static const char *values_text(struct comparing *c, const struct table_schema *t,
                               const struct value *v)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < t->n_columns; i++) {
        buf_printf(&b, "%s%s=", i ? " " : "", t->column[i]);
        if (v[i].type == VALUE_INTEGER)
            buf_printf(&b, "%lld", (long long)v[i].u.i);
        else if (v[i].type == VALUE_TEXT)
            buf_printf(&b, "%.*s", (int)v[i].len, (const char *)v[i].u.p);
        else
            buf_printf(&b, v[i].type == VALUE_NULL ? "-" : "?");
    }
    char *text = arena_strdup(&c->a, buf_str(&b));
    buf_fini(&b);
    return text;
}

/* The row in the table is the birth that the model lets stand, with the values it shows. */
static void check_row(struct comparing *c, const struct model_row *r)
{
    const struct table_schema *t = &c->m->watch->schema->tables[r->table];
    struct value *now = NULL;
    const struct model_birth *stands = NULL;
    for (uint32_t i = 0; i < r->n_births; i++) {
        if (r->birth[i].alive && r->birth[i].held == HOLD_NONE)
            stands = &r->birth[i];
    }
    if (row_read(c->m->watch, &c->a, (struct row_key){t, r->key, r->len}, &now) != ERR_OK)
        world_break(c->w, "1", "%s: %s", c->m->o.name, store_message(c->m->watch));
    if (!now && stands)
        world_break(c->w, "3", "%s: %s %s should stand (%s)", c->m->o.name, t->name, key_text(c, r),
                    values_text(c, t, stands->values));
    if (now && !stands)
        world_break(c->w, "3", "%s: %s %s should not stand (%s)", c->m->o.name, t->name,
                    key_text(c, r), values_text(c, t, now));
    for (uint32_t i = 0; now && stands && i < t->n_columns; i++) {
        if (!value_equal(&now[i], &stands->values[i]))
            world_break(c->w, "3", "%s: %s %s differs in %s: shows (%s), should (%s)", c->m->o.name,
                        t->name, key_text(c, r), t->column[i], values_text(c, t, now),
                        values_text(c, t, stands->values));
    }
}

/* No other row stands. */
static void check_others(struct comparing *c, const struct table_schema *t)
{
    struct store *s = c->m->watch;
    char sql[512];
    size_t stands = 0;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", t->qname);
    for (size_t i = 0; i < c->n; i++)
        stands +=
            &s->schema->tables[c->birth[i]->row->table] == t && c->birth[i]->held == HOLD_NONE;
    if (database_number(s, sql) != (int64_t)stands)
        world_break(c->w, "3", "%s: %s has %lld rows, %zu should stand", c->m->o.name, t->name,
                    (long long)database_number(s, sql), stands);
}

static void check_held(struct comparing *c)
{
    struct store *s = c->m->watch;
    size_t held = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct model_birth *b = c->birth[i];
        if (b->held == HOLD_NONE)
            continue;
        held++;
        size_t want = 0, have = 0;
        for (size_t j = 0; j < c->n; j++)
            want += c->birth[j]->row == b->row && c->birth[j]->held == b->held;
        struct query q =
            DB_QUERY(s, "SELECT count(*) FROM tonle_held WHERE t = ?1 AND k = ?2 AND reason = ?3",
                     value_u64(s->schema->tables[b->row->table].t),
                     value_blob(b->row->key, b->row->len), value_text(hold_reason_name(b->held)));
        if (query_next(&q))
            have = (size_t)query_u64(&q, 0);
        oracle_end(c->w, c->m, &q);
        if (have == want)
            continue;
        c->bad = c->bad ? c->bad : b->row;
        world_break(c->w, "3", "%s: %s %s (%s) is held %zu times for '%s', should %zu times",
                    c->m->o.name, s->schema->tables[b->row->table].name, key_text(c, b->row),
                    values_text(c, &s->schema->tables[b->row->table], b->values), have,
                    hold_reason_name(b->held), want);
    }
    if (database_number(s, HELD_COUNT) != (int64_t)held)
        world_break(c->w, "3", "%s: %lld rows are held, %zu should be", c->m->o.name,
                    (long long)database_number(s, HELD_COUNT), held);
}

static bool model_has(const struct model_cell *c, struct dot d)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (dot_equal(c->v[i].dot, d))
            return true;
    }
    return false;
}

static bool record_has(const struct version *v, uint32_t n, struct dot d)
{
    for (uint32_t i = 0; i < n; i++) {
        if (dot_equal(v[i].dot, d))
            return true;
    }
    return false;
}

/* The identity that lost its name: stable, not named on record, and not stably dead. */
static bool may_be_unnamed(struct comparing *c, const struct model_birth *b, const struct row *rec)
{
    const struct clock *stable = &store_state_get(c->m->watch)->stable;
    if (!clock_covers(stable, b->name) || row_find_birth(rec, b->name) || b->twin_of)
        return false;
    const struct model_cell *exists = &b->cell[b->n_cells - 1];
    bool differ = false;
    for (uint32_t i = 0; i < exists->n; i++) {
        differ |= exists->v[i].value[0].u.i != exists->v[0].value[0].u.i;
        if (!clock_covers(stable, exists->v[i].dot))
            return true;
    }
    return b->alive || differ;
}

/* What is written of a held birth is all there. */
static void check_values(struct comparing *c, const struct model_birth *b, const struct birth *rec)
{
    const struct table_schema *t = &c->m->watch->schema->tables[b->row->table];
    if (!b->alive || b->held == HOLD_NONE || !rec->values)
        return;
    const struct value *have = birth_shown(&c->a, rec, &t->rules);
    for (uint32_t i = 0; i < t->n_columns; i++) {
        const struct model_cell *cell = model_find_cell(b, &t->rules, i);
        bool sum = t->rules.policy[i] == POLICY_SUM && cell->n > 0;
        if (!sum && !value_equal(&have[i], &b->values[i]))
            world_break(c->w, "2", "%s: %s %s is held with (%s), should with (%s)", c->m->o.name,
                        t->name, key_text(c, b->row), values_text(c, t, have),
                        values_text(c, t, b->values));
    }
}

/* What was written into a counter and is no number is on record, and nothing else is. */
static void check_no_number(struct comparing *c, const struct model_birth *b,
                            const struct birth *rec, const struct model_cell *cell)
{
    const struct table_schema *t = &c->m->watch->schema->tables[b->row->table];
    const struct cell *found = NULL;
    for (uint32_t i = 0; i < rec->n_cells; i++) {
        if (rec->cells[i].column == cell->column)
            found = &rec->cells[i];
    }
    bool same = (found ? found->n : 0) == cell->n;
    for (uint32_t i = 0; same && i < cell->n; i++)
        same = record_has(found->v, found->n, cell->v[i].dot);
    if (!same)
        world_break(c->w, "2", "%s: %s %s: %s has %u versions on record, should %u", c->m->o.name,
                    t->name, key_text(c, b->row), t->column[cell->column], found ? found->n : 0,
                    cell->n);
}

/* A version on record is one that the model has; one that is not stable is on record. */
static void check_cell(struct comparing *c, const struct model_birth *b, const struct birth *rec,
                       const struct model_cell *cell)
{
    const struct table_schema *t = &c->m->watch->schema->tables[b->row->table];
    const struct clock *stable = &store_state_get(c->m->watch)->stable;
    const char *name = cell->column == COLUMN_EXISTS ? "existence" : t->column[cell->column];
    uint32_t n;
    if (cell->column != COLUMN_EXISTS && t->rules.policy[cell->column] == POLICY_SUM) {
        check_no_number(c, b, rec, cell);
        return;
    }
    const struct version *v = birth_cell(&c->a, rec, &t->rules, cell->column, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (!clock_covers(stable, v[i].dot) && !model_has(cell, v[i].dot))
            world_break(c->w, "3", "%s: %s %s: a version of %s on record is not of this row",
                        c->m->o.name, t->name, key_text(c, b->row), name);
    }
    for (uint32_t i = 0; i < cell->n; i++) {
        if (!clock_covers(stable, cell->v[i].dot) && !record_has(v, n, cell->v[i].dot))
            world_break(c->w, "2", "%s: %s %s: a version of %s is not on record", c->m->o.name,
                        t->name, key_text(c, b->row), name);
    }
}

/* Who deletes what only he has, because it was entered in a gap, does not know that: it is on
 * record there until the delete is stable. */
static bool is_delete_of_nobodys(const struct model_row *r, const struct table_schema *t,
                                 const struct birth *rec)
{
    uint32_t n;
    struct arena a = {0};
    bool yes = dot_is_none(rec->name) && !birth_alive(rec, &t->rules);
    const struct version *v = birth_cell(&a, rec, &t->rules, COLUMN_EXISTS, &n);
    for (uint32_t i = 0; yes && i < n; i++) {
        bool found = false;
        for (size_t j = 0; j < r->n_nobody; j++)
            found = found || dot_equal(r->nobody[j].ch.dot, v[i].dot);
        yes = found;
    }
    arena_fini(&a);
    return yes;
}

/* What is on record of it and not stable was written to that birth: of two that were deleted at
 * once, one having been the other's twin, only one has lost its name. */
static bool wrote_all(struct comparing *c, const struct model_birth *b, const struct birth *rec)
{
    const struct clock *stable = &store_state_get(c->m->watch)->stable;
    for (uint32_t i = 0; i < b->n_cells; i++) {
        for (uint32_t j = 0; j < rec->n_cells; j++) {
            const struct cell *x = &rec->cells[j];
            for (uint32_t k = 0; x->column == b->cell[i].column && k < x->n; k++)
                if (!clock_covers(stable, x->v[k].dot) && !model_has(&b->cell[i], x->v[k].dot))
                    return false;
        }
    }
    return true;
}

static void check_versions(struct comparing *c, const struct model_row *r, const struct row *row,
                           const struct birth *rec)
{
    const struct model_birth *b = model_find_birth(r, rec->name);
    for (uint32_t i = 0; !b && dot_is_none(rec->name) && i < r->n_births; i++) {
        if (may_be_unnamed(c, &r->birth[i], row) && wrote_all(c, &r->birth[i], rec))
            b = &r->birth[i];
    }
    for (uint32_t i = 0; !b && dot_is_none(rec->name) && i < r->n_births; i++) {
        if (may_be_unnamed(c, &r->birth[i], row))
            b = &r->birth[i];
    }
    if (!b && is_delete_of_nobodys(r, &c->m->watch->schema->tables[r->table], rec))
        return;
    if (!b) {
        world_break(c->w, "3", "%s: %s %s has a birth on record that nobody made", c->m->o.name,
                    c->m->watch->schema->tables[r->table].name, key_text(c, r));
        return;
    }
    for (uint32_t i = 0; i < b->n_cells; i++)
        check_cell(c, b, rec, &b->cell[i]);
    check_values(c, b, rec);
}

/* Births that are not stable are on record, and what is on record fits the model and the table. */
static void check_record(struct comparing *c, const struct model_row *r)
{
    for (size_t i = 0; i < r->n; i++) {
        if (!model_find_birth(r, r->change[i].ch.birth))
            world_break(c->w, "2", "%s: a change of %s names a birth that nobody made",
                        c->m->o.name, key_text(c, r));
    }
    struct store *s = c->m->watch;
    const struct table_schema *t = &s->schema->tables[r->table];
    struct row rec;
    enum record_at at;
    uint32_t standing = 0;
    if (row_load(s, &c->a, (struct row_key){t, r->key, r->len}, &rec, &at) != ERR_OK) {
        world_break(c->w, "3", "%s: %s", c->m->o.name, store_message(s));
        return;
    }
    for (uint32_t i = 0; i < rec.n_births; i++) {
        check_versions(c, r, &rec, &rec.births[i]);
        standing += birth_alive(&rec.births[i], &t->rules) && rec.births[i].held == HOLD_NONE;
    }
    struct value *now = NULL;
    if (row_read(s, &c->a, (struct row_key){t, r->key, r->len}, &now) != ERR_OK)
        world_break(c->w, "1", "%s: %s", c->m->o.name, store_message(s));
    if (at != RECORD_NONE && rec.n_births > 0 && standing != !!now)
        world_break(c->w, "3", "%s: %s %s: %u births on record stand, %d row in the table",
                    c->m->o.name, t->name, key_text(c, r), standing, !!now);
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct model_birth *b = &r->birth[i];
        if (!clock_covers(&store_state_get(s)->stable, b->name) && !row_find_birth(&rec, b->name))
            world_break(c->w, "2", "%s: %s %s: a birth is not on record", c->m->o.name, t->name,
                        key_text(c, r));
    }
}

static void dump_birth(struct buf *out, const struct birth *b, const struct table_schema *t)
{
    buf_printf(out, "        birth %04llx:%llu base %04llx:%llu %s%s",
               (unsigned long long)b->name.site >> 48, (unsigned long long)b->name.seq,
               (unsigned long long)b->base.site >> 48, (unsigned long long)b->base.seq,
               birth_alive(b, &t->rules) ? "alive " : "dead", hold_reason_name(b->held));
    for (uint32_t i = 0; i < b->n_cells; i++) {
        buf_printf(out, " %s",
                   b->cells[i].column < t->n_columns ? t->column[b->cells[i].column] : "existence");
        for (uint32_t j = 0; j < b->cells[i].n; j++)
            buf_printf(out, " %04llx:%llu", (unsigned long long)b->cells[i].v[j].dot.site >> 48,
                       (unsigned long long)b->cells[i].v[j].dot.seq);
    }
    buf_printf(out, "\n");
}

static void dump_record(struct comparing *c, struct buf *out, struct row_key k)
{
    struct row rec;
    if (row_load(c->m->watch, &c->a, k, &rec, NULL) != ERR_OK)
        return;
    for (uint32_t i = 0; i < rec.n_births; i++) {
        dump_birth(out, &rec.births[i], k.t);
        if (rec.births[i].values)
            buf_printf(out, "            (%s)\n",
                       values_text(c, k.t, birth_shown(&c->a, &rec.births[i], &k.t->rules)));
    }
}

static void dump_model(struct comparing *c, const struct model_birth *b)
{
    const struct table_schema *t = &c->m->watch->schema->tables[b->row->table];
    printf("        birth %04llx:%llu %s%s", (unsigned long long)b->name.site >> 48,
           (unsigned long long)b->name.seq, b->alive ? "alive " : "dead",
           b->alive ? hold_reason_name(b->held) : "");
    for (uint32_t i = 0; i < b->n_cells; i++) {
        const struct model_cell *cell = &b->cell[i];
        printf(" %s", cell->column < t->n_columns ? t->column[cell->column] : "existence");
        for (uint32_t j = 0; j < cell->n; j++)
            printf(" %04llx:%llu", (unsigned long long)cell->v[j].dot.site >> 48,
                   (unsigned long long)cell->v[j].dot.seq);
    }
    printf("\n            (%s)\n", values_text(c, t, b->values));
}

/* Every change of one row, and both merged states. */
static void dump_row(struct comparing *c, const struct model_row *r)
{
    static const char *const kind[] = {"", "born", "update", "delete"};
    const struct table_schema *t = &c->m->watch->schema->tables[r->table];
    struct buf record = {0};
    printf("%s %s\n", t->name, key_text(c, r));
    for (size_t i = 0; i < r->n; i++) {
        const struct change *ch = &r->change[i].ch;
        const struct clock *context = &c->m->model.changeset[r->change[i].changeset].context;
        printf("    %s %04llx:%llu of %04llx:%llu after", kind[ch->kind],
               (unsigned long long)ch->dot.site >> 48, (unsigned long long)ch->dot.seq,
               (unsigned long long)ch->birth.site >> 48, (unsigned long long)ch->birth.seq);
        for (size_t j = 0; j < context->n; j++)
            printf(" %04llx:%llu", (unsigned long long)context->entry[j].site >> 48,
                   (unsigned long long)context->entry[j].seq);
        for (uint32_t j = 0; j < ch->n_cells; j++)
            printf(" %s", t->column[ch->column[j]]);
        printf("\n");
    }
    printf("    model\n");
    for (uint32_t i = 0; i < r->n_births; i++)
        dump_model(c, &r->birth[i]);
    printf("    on record\n");
    dump_record(c, &record, (struct row_key){t, r->key, r->len});
    printf("%s", buf_str(&record));
    buf_fini(&record);
}

static void dump_held(struct comparing *c, struct buf *out, struct row_key k)
{
    struct query q = DB_QUERY(c->m->watch,
                              "SELECT reason || ' ' || message FROM tonle_held"
                              " WHERE t = ?1 AND k = ?2",
                              value_u64(k.t->t), value_blob(k.key, k.len));
    while (query_next(&q))
        buf_printf(out, "        held %s\n", query_borrow_text(&q, 0));
    oracle_end(c->w, c->m, &q);
}

void oracle_watch(struct world *w, struct machine *m)
{
    struct comparing c = {.w = w, .m = m};
    struct buf key = {0}, out = {0};
    struct value *now = NULL;
    const struct table_schema *t = schema_table(m->watch, w->watch.table);
    if (t && t->exists && schema_key_parse(m->watch, &c.a, t, w->watch.key, &key) == ERR_OK) {
        struct row_key k = {t, key.data, key.len};
        if (row_read(m->watch, &c.a, k, &now) == ERR_OK && now)
            buf_printf(&out, "        (%s)\n", values_text(&c, t, now));
        dump_record(&c, &out, k);
        dump_held(&c, &out, k);
    }
    uint64_t hash = bytes_hash(1, buf_str(&out), out.len);
    if (hash != m->watched)
        printf("%8llu %s: watched\n%s", (unsigned long long)w->now, m->o.name, buf_str(&out));
    m->watched = hash;
    buf_fini(&out);
    buf_fini(&key);
    arena_fini(&c.a);
}

/* What the model says, and what is there. */
static void dump(struct comparing *c)
{
    struct store *s = c->m->watch;
    for (size_t i = 0; i < c->n; i++) {
        const struct model_birth *b = c->birth[i];
        const struct table_schema *t = &s->schema->tables[b->row->table];
        struct value *now = NULL;
        if (row_read(s, &c->a, (struct row_key){t, b->row->key, b->row->len}, &now) != ERR_OK)
            continue;
        printf("%s %s born %04llx:%llu rank %llx.%04llx:%llu %s: %s\n    in the table: %s\n",
               t->name, key_text(c, b->row), (unsigned long long)b->name.site >> 48,
               (unsigned long long)b->name.seq, (unsigned long long)b->rank.hlc,
               (unsigned long long)b->rank.dot.site >> 48, (unsigned long long)b->rank.dot.seq,
               b->held ? hold_reason_name(b->held) : "stands", values_text(c, t, b->values),
               now ? values_text(c, t, now) : "-");
    }
    printf("stable");
    for (size_t i = 0; i < store_state_get(s)->stable.n; i++)
        printf(" %04llx:%llu", (unsigned long long)store_state_get(s)->stable.entry[i].site >> 48,
               (unsigned long long)store_state_get(s)->stable.entry[i].seq);
    printf("\n");
    if (c->bad)
        dump_row(c, c->bad);
}

void oracle_dump(struct world *w, struct machine *m, const struct model_row *r)
{
    struct comparing c = {.w = w, .m = m};
    if (w->verbose)
        dump_row(&c, r);
    arena_fini(&c.a);
}

void oracle_tables(struct world *w, struct machine *m)
{
    struct comparing c = {.w = w, .m = m};
    w->checks++;
    c.birth = model_decide(&m->model, m->watch, &c.a, &c.n);
    for (size_t i = 0; i < m->model.n_rows && w->broken[0] == '\0'; i++) {
        check_row(&c, &m->model.row[i]);
        check_record(&c, &m->model.row[i]);
        c.bad = w->broken[0] != '\0' ? &m->model.row[i] : NULL;
    }
    for (uint32_t i = 0; i < m->watch->schema->n_tables && w->broken[0] == '\0'; i++) {
        if (!m->watch->schema->tables[i].internal)
            check_others(&c, &m->watch->schema->tables[i]);
    }
    check_held(&c);
    if (w->broken[0] != '\0' && w->verbose)
        dump(&c);
    arena_fini(&c.a);
}
