/* The applications of a drawn schema: every kind of statement, on any table. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

struct writing {
    struct world *w;
    const struct drawn_table *t;
    struct literals l;
    struct buf *sql;
};

static void literal(struct writing *x, int column)
{
    schema_literal(&x->w->schema, x->t, column, &x->w->app, &x->l, x->sql);
}

static uint32_t below(struct writing *x, uint32_t n)
{
    return draw_below(&x->w->app, n);
}

/* A key of this table, by this office's leave. */
static void where_key(struct writing *x)
{
    const struct drawn_table *t = x->t;
    struct literals all = x->l;
    all.office = (int)below(x, (uint32_t)all.n_units);
    for (int k = 0; k < t->n_key; k++) {
        buf_printf(x->sql, "%s%s = ", k ? " AND " : " WHERE ", t->column[k].name);
        schema_literal(&x->w->schema, t, k, &x->w->app, &all, x->sql);
    }
}

/* A column that is not of the key; -1: there is none. */
static int any_column(struct writing *x)
{
    const struct drawn_table *t = x->t;
    return t->n_columns == t->n_key ? -1
                                    : t->n_key + (int)below(x, (uint32_t)(t->n_columns - t->n_key));
}

static int column_of(struct writing *x, enum domain domain)
{
    int at = any_column(x);
    for (int i = 0; at >= 0 && i < x->t->n_columns; i++) {
        int c = (at + i) % x->t->n_columns;
        if (x->t->column[c].domain == domain)
            return c;
    }
    return -1;
}

/* All columns, or the key, what must not be NULL, and some. */
static void insert(struct writing *x, const char *verb, bool all)
{
    const struct drawn_table *t = x->t;
    bool take[DRAWN_COLUMNS];
    const char *comma = "";
    buf_printf(x->sql, "%s INTO %s(", verb, t->name);
    for (int c = 0; c < t->n_columns; c++) {
        take[c] = all || t->column[c].notnull || below(x, 2);
        if (take[c])
            buf_printf(x->sql, "%s%s", comma, t->column[c].name);
        comma = ", ";
    }
    comma = ") VALUES(";
    for (int c = 0; c < t->n_columns; c++) {
        if (!take[c])
            continue;
        buf_printf(x->sql, "%s", comma);
        literal(x, c);
        comma = ", ";
    }
    buf_printf(x->sql, ")");
}

/* What every office's application enters by itself: the same for each of some keys. */
static void seed(struct writing *x)
{
    const struct drawn_table *t = x->t;
    struct generator g = {.state = 1 + below(x, 3)};
    uint64_t token = 7;
    struct literals same = x->l;
    same.office = 0;
    same.token = &token;
    buf_printf(x->sql, "INSERT OR IGNORE INTO %s VALUES(", t->name);
    for (int c = 0; c < t->n_columns; c++) {
        buf_printf(x->sql, c ? ", " : "");
        if (t->column[c].domain == DOMAIN_COUNT)
            buf_printf(x->sql, t->column[c].notnull ? "0" : "NULL");
        else
            schema_literal(&x->w->schema, t, c, &g, &same, x->sql);
    }
    buf_printf(x->sql, ")");
}

static void set_columns(struct writing *x, bool excluded)
{
    const struct drawn_table *t = x->t;
    int from = any_column(x), n = 1 + (int)below(x, 3);
    for (int i = 0; i < n && from + i < t->n_columns; i++) {
        const char *name = t->column[from + i].name;
        buf_printf(x->sql, "%s%s = ", i ? ", " : " SET ", name);
        if (excluded)
            buf_printf(x->sql, "excluded.%s", name);
        else
            literal(x, from + i);
    }
}

static void upsert(struct writing *x)
{
    const struct drawn_table *t = x->t;
    insert(x, "INSERT", true);
    buf_printf(x->sql, " ON CONFLICT(%s%s%s) DO UPDATE", t->column[0].name,
               t->n_key == 2 ? ", " : "", t->n_key == 2 ? t->column[1].name : "");
    set_columns(x, true);
}

static void update(struct writing *x, bool many)
{
    buf_printf(x->sql, "UPDATE OR IGNORE %s", x->t->name);
    set_columns(x, false);
    int c = many ? any_column(x) : -1;
    if (!many) {
        where_key(x);
    } else if (below(x, 2)) {
        buf_printf(x->sql, " WHERE %s = ", x->t->column[c].name);
        literal(x, c);
    }
}

static void delete (struct writing *x)
{
    buf_printf(x->sql, "DELETE FROM %s", x->t->name);
    int c = below(x, 4) ? -1 : any_column(x);
    if (c < 0) {
        where_key(x);
    } else {
        buf_printf(x->sql, " WHERE %s = ", x->t->column[c].name);
        literal(x, c);
    }
}

static void rename_key(struct writing *x)
{
    buf_printf(x->sql, "UPDATE OR %s %s SET %s = ", below(x, 2) ? "REPLACE" : "IGNORE", x->t->name,
               x->t->column[0].name);
    literal(x, 0);
    where_key(x);
}

/* A counter counts, is set, is cleared, runs over, or gets what is no number. */
static void count(struct writing *x, int c)
{
    const char *name = x->t->column[c].name;
    uint32_t how = below(x, 40);
    buf_printf(x->sql, "UPDATE %s SET %s = ", x->t->name, name);
    if (how == 0 && !x->t->strict &&
        !x->t->counted) /* the net effect would hide what was counted */
        buf_printf(x->sql, "'abc'");
    else if (how == 1)
        buf_printf(x->sql, "4611686018427387904");
    else if (how < 5)
        buf_printf(x->sql, "NULL");
    else if (how < 12)
        buf_printf(x->sql, "%u", below(x, 100));
    else
        buf_printf(x->sql, "min(coalesce(%s, 0), 9000000000000000000) + %d", name,
                   (int)below(x, 30) - 8);
    if (how > 1 && below(x, 4) == 0)
        return;
    where_key(x);
}

static void statement(struct writing *x)
{
    int counter = column_of(x, DOMAIN_COUNT);
    uint32_t how = below(x, 20);
    if (below(x, 8) == 0 && !x->t->counted) {
        seed(x);
        return;
    }
    if (x->t->counted && how >= 14)
        how = 14; /* nobody deletes here */
    if (any_column(x) < 0)
        how = how < 8 ? 0 : 19;
    if (how < 4)
        insert(x, "INSERT OR IGNORE", how < 2);
    else if (how < 6)
        upsert(x);
    else if (how < 11)
        update(x, false);
    else if (how < 12)
        update(x, true);
    else if (how < 15 && counter >= 0)
        count(x, counter);
    else if (how < 15)
        update(x, false);
    else if (how < 17)
        insert(x, "INSERT OR REPLACE", how == 15);
    else if (how == 17)
        rename_key(x);
    else
        delete (x);
}

void app_statement(struct world *w, struct machine *m, struct buf *sql)
{
    struct writing x = {.w = w, .sql = sql};
    x.t = &w->schema.table[draw_below(&w->app, (uint32_t)w->schema.n)];
    x.l = (struct literals){
        .unit = w->unit, .n_units = w->n, .office = (int)(m - w->m), .token = &w->token};
    statement(&x);
}
