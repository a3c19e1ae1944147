/* Adoption (DESIGN 7, "Coming back from behind"): what the office has and nobody has seen.
 *
 *   the federation has        then
 *   no such row               it is inserted and noted in the capture log as born
 *   the same values           nothing
 *   another value in a cell   a closed conflict record; the federation's value stands, unless the
 *                             policy orders by value (max, min) and ours wins: written, noted as an
 *                             update
 *
 * The side of ours has the dot (our site, 0): it was never sealed. The federation's has none.
 * Columns that exist only here go back to their rows. */
#include "node/load/adopt.h"

#include "node/apply/work.h"
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/record/table.h"
#include "node/state/state.h"

#include <stdio.h>
#include <string.h>

struct adopt {
    struct store *s;
    struct arena *a; /* of one row */
    const struct table_schema *t;
    char aside[ADOPT_NAME];
    char *all;       /* every stored column, quoted */
    char *local_set; /* "c" = (SELECT "c" FROM aside WHERE _rowid_ = ?), ...; NULL: no local columns
                      */
    struct load_report *report;
};

void adopt_name(char out[ADOPT_NAME], const struct table_schema *t)
{
    snprintf(out, ADOPT_NAME, "tonle_adopt_%u", t->t);
}

enum err adopt_has(struct store *s, const char *aside, bool *has)
{
    char sql[128];
    int64_t n = 0;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", aside);
    enum err e = db_number(s, sql, &n);
    *has = n == 1;
    return e;
}

enum err adopt_set_aside(struct store *s, const struct table_schema *t)
{
    char aside[ADOPT_NAME];
    adopt_name(aside, t);
    bool has;
    enum err e = adopt_has(s, aside, &has);
    if (e != ERR_OK)
        return e;
    if (has)
        return store_fail(
            s, ERR_STATE,
            "rows of %s from an earlier join still wait in %s: settle them and drop that table",
            t->name, aside);
    struct buf sql = {0};
    int64_t any;
    buf_printf(&sql, "SELECT EXISTS(SELECT 1 FROM %s)", t->qname);
    e = db_number(s, buf_str(&sql), &any);
    buf_reset(&sql);
    buf_printf(&sql, "CREATE TABLE main.%s AS SELECT * FROM %s", aside, t->qname);
    if (e == ERR_OK && any)
        e = store_exec(s, buf_str(&sql));
    buf_fini(&sql);
    return e;
}

/* The stored columns of the table here: the published ones and those that exist only here. */
static enum err read_columns(struct adopt *d, struct arena *keep)
{
    struct buf all = {0}, local = {0};
    struct query q = DB_QUERY(d->s, "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0",
                              value_text(d->t->name));
    while (query_next(&q)) {
        const char *name = query_text(&q, keep, 0);
        const char *quoted = schema_quote(keep, name);
        buf_printf(&all, "%s%s", all.len > 0 ? ", " : "", quoted);
        if (schema_column_named(d->t, name) == UINT32_MAX)
            buf_printf(&local, "%s%s = (SELECT %s FROM main.%s WHERE _rowid_ = ?%u)",
                       local.len > 0 ? ", " : "", quoted, quoted, d->aside, d->t->n_key + 1);
    }
    d->all = arena_strdup(keep, buf_str(&all));
    d->local_set = local.len > 0 ? arena_strdup(keep, buf_str(&local)) : NULL;
    buf_fini(&all);
    buf_fini(&local);
    return query_end(&q);
}

/* ---- a row that the federation lacks */

static enum err take_new(struct adopt *d, int64_t rowid, struct row_key k,
                         const struct value *values, bool *done)
{
    struct buf sql = {0};
    buf_printf(&sql, "INSERT OR ABORT INTO %s(%s) SELECT %s FROM main.%s WHERE _rowid_ = ?1",
               d->t->qname, d->all, d->all, d->aside);
    struct query q = DB_QUERY(d->s, buf_str(&sql), value_integer(rowid));
    buf_fini(&sql);
    bool made = q.e == ERR_OK;
    query_next(&q);
    enum err e = query_end(&q);
    if (e == ERR_OK && db_changes(d->s) != 1)
        e = store_fail(d->s, ERR_CONSTRAINT, "%s", part_ignored(d->s, d->a, d->t));
    *done = e == ERR_OK;
    if (made && (e == ERR_CONSTRAINT || e == ERR_SCHEMA))
        return loaded_aside(d->s, d->a, k, d->aside, rowid);
    if (e != ERR_OK)
        return e;
    d->report->adopted_new++;
    return capture_note(d->s, d->t, CHANGE_BORN, 0, values);
}

/* ---- a row that the federation has */

/* side[0] is the federation's, side[1] ours. */
static enum err record_cell(struct work *w, struct work_row *r, uint32_t cell,
                            const struct value side[2], bool *take_ours)
{
    struct store *s = w->s;
    struct version v[2] = {{{0, 0}, 0, side[0]},
                           {{identity_of(s)->site, 0}, state_of(s)->hlc, side[1]}};
    struct chooser chooser = {.policy = policy_of(&r->k.t->rules, cell)};
    /* By time we would always win: but our value was never compared with anybody's. */
    struct version by_value[2] = {{{0, 0}, 0, v[0].value}, {{0, 0}, 0, v[1].value}};
    bool ordered = chooser.policy == POLICY_MAX || chooser.policy == POLICY_MIN;
    *take_ours = ordered && policy_choose(&chooser, by_value, 2) == 1;
    struct conflict c = {.column = cell, .n = 2, .v = v, .shown = *take_ours ? 1 : 0};
    return conflict_save(w, r, &c);
}

static enum err take_ours(struct adopt *d, const struct value *now, struct value *wanted)
{
    uint64_t mask = part_mask(d->t, now, wanted);
    if (mask == 0)
        return ERR_OK;
    enum err e = part_update(d->s, d->t, now, wanted);
    if (e == ERR_CONSTRAINT) /* recorded all the same: the federation's value stands */
        return ERR_OK;
    return e == ERR_OK ? capture_note(d->s, d->t, CHANGE_UPDATE, mask, wanted) : e;
}

static enum err compare_cells(struct adopt *d, struct row_key k, const struct value *ours)
{
    struct work w;
    work_init(&w, d->s, d->a);
    w.hlc = state_of(d->s)->hlc;
    struct work_row *r = work_get(&w, k.t, k.key, k.len);
    enum err e = work_load(&w, r);
    if (e != ERR_OK)
        return e;
    struct value *wanted = arena_copy(d->a, r->now, d->t->n_columns * sizeof *wanted);
    uint64_t differing = 0;
    for (uint32_t c = 0; e == ERR_OK && c < d->t->n_columns; c++) {
        bool mine = false;
        struct value side[2] = {cell_gather(d->a, &d->t->rules, c, r->now),
                                cell_gather(d->a, &d->t->rules, c, ours)};
        if (schema_is_key(d->t, c) || /* 1 and 1.0: one key */
            cell_of(&d->t->rules, c) != c || value_alike(&side[0], &side[1]))
            continue;
        e = record_cell(&w, r, c, side, &mine);
        for (uint32_t i = c; mine && i < d->t->n_columns; i++)
            if (cell_of(&d->t->rules, i) == c)
                wanted[i] = ours[i];
        differing++;
    }
    if (e == ERR_OK)
        e = take_ours(d, r->now, wanted);
    d->report->adopted_conflicts += differing;
    d->report->adopted_equal += differing == 0;
    return e;
}

/* *done: false where a trigger of this office would not have it; the row is kept aside then. */
static enum err restore_local(struct adopt *d, int64_t rowid, struct row_key k, bool *done)
{
    if (!d->local_set)
        return ERR_OK;
    struct buf sql = {0};
    buf_printf(&sql, "UPDATE OR ABORT %s SET %s WHERE %s", d->t->qname, d->local_set,
               d->t->key_where);
    struct query q = DB_QUERY(d->s, buf_str(&sql));
    buf_fini(&sql);
    query_bind_key(&q, d->a, k, 1);
    query_bind(&q, (int)d->t->n_key + 1, value_integer(rowid));
    query_next(&q);
    enum err e = query_end(&q);
    if (e == ERR_OK && db_changes(d->s) != 1)
        e = store_fail(d->s, ERR_CONSTRAINT, "%s", part_ignored(d->s, d->a, d->t));
    *done = e == ERR_OK;
    return e == ERR_CONSTRAINT ? loaded_aside(d->s, d->a, k, d->aside, rowid) : e;
}

/* ---- all rows */

static enum err next_row(struct adopt *d, int64_t after, int64_t *rowid, struct value **values)
{
    struct buf sql = {0};
    buf_printf(&sql, "SELECT _rowid_, %s FROM main.%s WHERE _rowid_ > ?1 ORDER BY _rowid_ LIMIT 1",
               d->t->column_list, d->aside);
    struct query q = DB_QUERY(d->s, buf_str(&sql), value_integer(after));
    buf_fini(&sql);
    bool row = query_next(&q);
    if (row) {
        *rowid = query_i64(&q, 0);
        *values = query_values(&q, d->a, 1, d->t->n_columns);
    }
    enum err e = query_end(&q);
    return e == ERR_OK && !row ? ERR_NOT_FOUND : e;
}

static enum err drop_row(struct adopt *d, int64_t rowid)
{
    char sql[96];
    snprintf(sql, sizeof sql, "DELETE FROM main.%s WHERE _rowid_ = ?1", d->aside);
    return DB_RUN(d->s, sql, value_integer(rowid));
}

static enum err adopt_row(struct adopt *d, int64_t rowid, const struct value *values)
{
    bool null = false, done = true;
    for (uint32_t i = 0; i < d->t->n_key; i++)
        null = null || values[d->t->key[i]].type == VALUE_NULL;
    struct buf key = {0};
    schema_key_encode(d->t, values, &key);
    struct row_key k = {d->t, arena_copy(d->a, key.data, key.len), key.len};
    buf_fini(&key);
    if (null) {
        (void)store_fail(d->s, ERR_CONSTRAINT, "its key is NULL");
        return loaded_aside(d->s, d->a, k, d->aside, rowid);
    }
    struct value *now;
    enum err e = row_read(d->s, d->a, k, &now);
    if (e == ERR_OK && !now)
        e = take_new(d, rowid, k, values, &done);
    else if (e == ERR_OK)
        e = compare_cells(d, k, values);
    if (e == ERR_OK && now)
        e = restore_local(d, rowid, k, &done);
    return e == ERR_OK && done ? drop_row(d, rowid) : e;
}

static enum err drop_when_empty(struct store *s, const char *aside)
{
    char sql[96];
    int64_t any;
    snprintf(sql, sizeof sql, "SELECT EXISTS(SELECT 1 FROM main.%s)", aside);
    enum err e = db_number(s, sql, &any);
    snprintf(sql, sizeof sql, "DROP TABLE main.%s", aside);
    return e == ERR_OK && !any ? store_exec(s, sql) : e;
}

static enum err adopt_table(struct adopt *d)
{
    struct arena keep = {0}, row = {0};
    d->a = &row;
    enum err e = read_columns(d, &keep);
    int64_t rowid = INT64_MIN;
    while (e == ERR_OK) {
        struct value *values = NULL;
        arena_reset(&row);
        e = next_row(d, rowid, &rowid, &values);
        if (e == ERR_OK)
            e = adopt_row(d, rowid, values);
    }
    if (e == ERR_NOT_FOUND)
        e = drop_when_empty(d->s, d->aside);
    arena_fini(&keep);
    arena_fini(&row);
    return e;
}

enum err adopt_all(struct store *s, struct load_report *report)
{
    bool captured = false;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        struct adopt d = {.s = s, .t = &s->schema->tables[i], .report = report};
        bool has = false;
        adopt_name(d.aside, d.t);
        if (!d.t->internal && d.t->exists)
            e = adopt_has(s, d.aside, &has);
        if (!has)
            continue;
        if (!captured) /* what is adopted is noted in the capture log: it must be there */
            e = store_capture_install(s);
        captured = true;
        d.t = &s->schema->tables[i];
        if (e == ERR_OK)
            e = adopt_table(&d);
    }
    return e;
}
