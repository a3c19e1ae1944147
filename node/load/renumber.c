/* All of it is said to SQLite: which key becomes which is a TEMP table. The rows that were set
 * aside (adopt.h) have no constraints, so the order of the updates is no matter; tables of this
 * office alone are written where they stand, and the new keys, above all old ones, are in no row's
 * way.
 *
 * A table whose key refers to another table in blocks (one row a parent, as of inherited models)
 * has no numbers of its own: its keys are its parent's. */
#include "node/load/renumber.h"

#include "node/capture/sequence.h"
#include "node/db/query.h"
#include "node/load/adopt.h"
#include "node/schema/info.h"
#include "node/schema/rules.h"

#include <stdio.h>

#define INHERITED_MOST 8 /* one key that is another's that is another's ... */

struct renumber {
    struct store *s;
    struct arena *a;
    const struct charter *charter;
    struct block_plan plan;
    uint32_t number;
    struct renumber_report *report;
};

static const char *key_of(const struct table_schema *t)
{
    return t->column[t->key[0]];
}

/* Where the rows of a published table are that this office had; NULL: it had none. */
static enum err aside_of(const struct renumber *r, const struct table_schema *t, const char **name)
{
    bool has = false;
    char aside[ADOPT_NAME];
    adopt_name(aside, t);
    enum err e = adopt_has(r->s, aside, &has);
    *name = has ? arena_strdup(r->a, aside) : NULL;
    return e;
}

/* ---- what refers to what */

/* The table in blocks whose key this column of `table` holds; NULL: none. */
static enum err referred(const struct renumber *r, const char *table, const char *column,
                         const struct table_schema **out)
{
    const char *parent = NULL;
    *out = NULL;
    struct query q = DB_QUERY(r->s,
                              "SELECT \"table\", \"to\" FROM pragma_foreign_key_list(?1, 'main')"
                              " WHERE \"from\" = ?2 COLLATE NOCASE ORDER BY id",
                              value_text(table), value_text(column));
    while (query_next(&q) && !*out) {
        parent = query_text(&q, r->a, 0);
        const char *to = query_is_null(&q, 1) ? NULL : query_text(&q, r->a, 1);
        for (uint32_t i = 0; i < r->s->schema->n_tables; i++) {
            const struct table_schema *t = &r->s->schema->tables[i];
            if (t->blocks && db_same_name(t->name, parent) && (!to || db_same_name(to, key_of(t))))
                *out = t;
        }
    }
    const struct charter_table *c = charter_table_named(r->charter, table);
    for (unsigned i = 0; c && !*out && i < c->n_references; i++) {
        if (!db_same_name(c->references[i].column, column))
            continue;
        for (uint32_t k = 0; k < r->s->schema->n_tables; k++) {
            const struct table_schema *t = &r->s->schema->tables[k];
            if (t->blocks && db_same_name(t->name, c->references[i].table))
                *out = t;
        }
    }
    return query_end(&q);
}

/* The table whose numbers the keys of this one are: itself, or the one that its key refers to. */
static enum err numbers_of(const struct renumber *r, const struct table_schema *t,
                           const struct table_schema **out)
{
    const struct table_schema *above = t;
    enum err e = ERR_OK;
    for (int i = 0; e == ERR_OK && above && i < INHERITED_MOST; i++) {
        t = above;
        e = referred(r, t->name, key_of(t), &above);
        if (above == t)
            break;
    }
    *out = t;
    return e;
}

/* ---- new keys */

static enum err highest(const struct renumber *r, const struct table_schema *t, const char *aside,
                        int64_t *position)
{
    struct buf sql = {0};
    const char *key = schema_quote(r->a, key_of(t));
    buf_printf(&sql,
               "SELECT max(coalesce((SELECT max(%s) FROM %s), 0),"
               " coalesce((SELECT max(%s) FROM main.%s), 0))",
               key, t->qname, key, aside);
    enum err e = db_number(r->s, buf_str(&sql), position);
    buf_fini(&sql);
    return e;
}

/* The rows in the order of their keys, a block after the other. */
static enum err draw(const struct renumber *r, const struct table_schema *t, const char *aside)
{
    int64_t position = 0, last = 0;
    enum err e = highest(r, t, aside, &position);
    int64_t base = e == ERR_OK ? block_next(r->plan, r->number, position) : 0;
    if (base < 0)
        return store_fail(r->s, ERR_LIMIT, "%s: behind %lld there is no block left", t->name,
                          (long long)position);
    struct buf sql = {0};
    buf_printf(&sql,
               "INSERT INTO temp.tonle_renumbered(t, old, new) SELECT ?1, k, ?2 + 1 + i %% ?3 +"
               " i / ?3 * ?3 * ?4 FROM (SELECT %s AS k, row_number() OVER (ORDER BY %s) - 1 AS i"
               " FROM main.%s)",
               schema_quote(r->a, key_of(t)), schema_quote(r->a, key_of(t)), aside);
    if (e == ERR_OK)
        e = DB_RUN(r->s, buf_str(&sql), value_integer(t->t), value_integer(base),
                   value_integer(r->plan.size), value_integer(r->plan.count));
    buf_fini(&sql);
    if (e == ERR_OK)
        e = db_number(r->s, "SELECT coalesce(max(new), 0) FROM temp.tonle_renumbered", &last);
    if (e == ERR_OK && last > BLOCK_ID_MAX)
        e = store_fail(r->s, ERR_LIMIT, "%s: its rows do not fit into this office's blocks",
                       t->name);
    return e;
}

static enum err draw_all(const struct renumber *r)
{
    enum err e = store_exec(r->s, "CREATE TEMP TABLE tonle_renumbered(t INTEGER, old INTEGER,"
                                  " new INTEGER, PRIMARY KEY(t, old)) WITHOUT ROWID");
    for (uint32_t i = 0; e == ERR_OK && i < r->s->schema->n_tables; i++) {
        const struct table_schema *t = &r->s->schema->tables[i], *numbers = NULL;
        const char *aside = NULL;
        if (!t->blocks)
            continue;
        e = aside_of(r, t, &aside);
        if (e == ERR_OK && aside)
            e = numbers_of(r, t, &numbers);
        if (e == ERR_OK && numbers == t)
            e = draw(r, t, aside);
    }
    return e;
}

/* ---- set anew */

/* Once a column: of a table in blocks its own key too. `where`: the table that has the rows. */
static enum err set_column(const struct renumber *r, const char *where, const char *column,
                           const struct table_schema *numbers, uint64_t *n)
{
    struct buf sql = {0};
    const char *c = schema_quote(r->a, column);
    buf_printf(
        &sql,
        "UPDATE OR ABORT main.%s SET %s = (SELECT new FROM temp.tonle_renumbered WHERE t = ?1"
        " AND old = %s) WHERE %s IN (SELECT old FROM temp.tonle_renumbered WHERE t = ?1)",
        schema_quote(r->a, where), c, c, c);
    enum err e = DB_RUN(r->s, buf_str(&sql), value_integer(numbers->t));
    if (e == ERR_OK)
        *n += (uint64_t)db_changes(r->s);
    buf_fini(&sql);
    return e;
}

static const struct table_schema *published(const struct renumber *r, const char *name)
{
    for (uint32_t i = 0; i < r->s->schema->n_tables; i++)
        if (db_same_name(r->s->schema->tables[i].name, name))
            return &r->s->schema->tables[i];
    return NULL;
}

/* `t` NULL: a table of this office alone. */
static enum err set_table(const struct renumber *r, const char *table, const char *where,
                          const struct table_schema *t)
{
    struct table_info info;
    enum err e = table_info_read(r->s, r->a, table, &info);
    for (uint32_t i = 0; e == ERR_OK && info.found && i < info.n_columns; i++) {
        const char *column = info.column[i].name;
        bool key = t && t->blocks && db_same_name(column, key_of(t));
        const struct table_schema *to = NULL, *numbers = NULL;
        if (info.column[i].generated)
            continue;
        e = referred(r, info.name, column, &to);
        if (e == ERR_OK && (key || to))
            e = numbers_of(r, key ? t : to, &numbers);
        if (e == ERR_OK && numbers)
            e = set_column(r, where, column, numbers,
                           key ? &r->report->rows : &r->report->references);
    }
    return e;
}

static enum err list_tables(const struct renumber *r, const char ***name, size_t *n)
{
    size_t cap = 0;
    *name = NULL;
    *n = 0;
    struct query q = DB_QUERY(r->s, "SELECT name FROM main.sqlite_schema WHERE type = 'table'"
                                    " AND name NOT GLOB 'tonle_*' AND name NOT GLOB 'sqlite_*'");
    while (query_next(&q)) {
        *name = arena_grow(r->a, *name, *n, &cap, sizeof **name);
        (*name)[(*n)++] = query_text(&q, r->a, 0);
    }
    return query_end(&q);
}

/* A published table has only the federation's rows by now; the office's are aside. */
static enum err set_all(const struct renumber *r)
{
    const char **name;
    size_t n;
    enum err e = list_tables(r, &name, &n);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        const struct table_schema *t = published(r, name[i]);
        const char *where = name[i];
        if (t)
            e = aside_of(r, t, &where);
        if (e == ERR_OK && where)
            e = set_table(r, name[i], where, t);
    }
    return e;
}

enum err store_renumber(struct store *s, struct renumber_report *report)
{
    struct arena a = {0};
    struct renumber r = {.s = s, .a = &a, .report = report};
    int64_t number = -1;
    *report = (struct renumber_report){0};
    enum err e = schema_load(s);
    if (e == ERR_OK)
        e = schema_charter(s, &a, &r.charter);
    if (e == ERR_OK)
        e = sequence_number(s, &number);
    if (e == ERR_OK && number < 0)
        e = store_fail(s, ERR_STATE,
                       "the hub has given out all its numbers (key_blocks: count in the charter): "
                       "this office has no blocks to move its rows to");
    r.plan = s->schema->plan;
    r.number = (uint32_t)number;
    if (e == ERR_OK)
        e = draw_all(&r);
    if (e == ERR_OK)
        e = set_all(&r);
    if (e == ERR_OK)
        e = store_exec(s, "DROP TABLE temp.tonle_renumbered");
    arena_fini(&a);
    return e;
}
