/* What the schema cannot tell: rows that are here already, and the SQLite that serves them. */
#include "node/check/checking.h"

#include "node/db/neighbour.h"
#include "node/db/query.h"
#include "protocol/limits.h"

#include <string.h>

struct outward { /* one foreign key of a table, as far as it leads to a replicated table */
    const char *parent;
    struct buf on;    /* p.c = t.c AND ... */
    struct buf given; /* t.c IS NOT NULL AND ... : a reference with a NULL refers to nothing */
};

static const char *literal(struct arena *a, const char *text)
{
    struct buf b = {0};
    buf_printf(&b, "'");
    for (; *text; text++)
        buf_put(&b, *text == '\'' ? "''" : text, *text == '\'' ? 2 : 1);
    buf_printf(&b, "'");
    return sql_take(a, &b);
}

struct counted {
    long long n;
    const char *first; /* the key of one of them */
};

/* The rows of the table (named t) where `condition` holds. */
static enum err count_rows(struct check_run *c, const struct table_info *t, const char *condition,
                           struct counted *out)
{
    struct buf sql = {0}, key = {0};
    for (uint32_t i = 0; i < t->n_key; i++)
        buf_printf(&key, "%s%s || '=' || substr(quote(t.%s), 1, 100)", i > 0 ? " || ', ' || " : "",
                   literal(c->a, t->column[t->key[i]].name),
                   schema_quote(c->a, t->column[t->key[i]].name));
    buf_printf(&sql, "SELECT count(*), min(%s) FROM main.%s AS t WHERE %s",
               t->n_key > 0 ? buf_str(&key) : "''", schema_quote(c->a, t->name), condition);
    struct query q = DB_QUERY(c->s, buf_str(&sql));
    *out = (struct counted){.first = ""};
    if (query_next(&q))
        *out = (struct counted){query_i64(&q, 0), query_text(&q, c->a, 1)};
    buf_fini(&sql);
    buf_fini(&key);
    return query_end(&q);
}

static enum err count_orphans(struct check_run *c, const struct table_info *t, struct outward *r)
{
    struct buf where = {0};
    struct counted x;
    buf_printf(&where, "%s AND NOT EXISTS (SELECT 1 FROM main.%s AS p WHERE %s)",
               buf_str(&r->given), schema_quote(c->a, r->parent), buf_str(&r->on));
    enum err e = count_rows(c, t, buf_str(&where), &x);
    if (e == ERR_OK && x.n > 0)
        check_say(
            c, "fail", t->name,
            "%lld rows of %s refer to rows of %s that do not exist, the first is %s: give them "
            "their"
            " parents or set the reference to NULL, because other offices would hold them back",
            x.n, t->name, r->parent, x.first);
    buf_fini(&where);
    return e;
}

/* The parent's column that a reference without a column list means. */
static const char *parent_column(struct check_run *c, const char *parent, int place)
{
    struct table_info info;
    if (table_info_read(c->s, c->a, parent, &info) != ERR_OK || !info.found ||
        (uint32_t)place >= info.n_key)
        return NULL;
    return info.column[info.key[place]].name;
}

static enum err check_reference(struct check_run *c, const struct table_info *t, struct outward *r)
{
    bool fit = r->parent && r->on.len > 0 && check_replicated(c, r->parent);
    enum err e = fit ? count_orphans(c, t, r) : ERR_OK;
    buf_fini(&r->on);
    buf_fini(&r->given);
    *r = (struct outward){0};
    return e;
}

struct reference_part { /* one column of a foreign key */
    int64_t id, place;
    const char *parent, *from, *to; /* to NULL: of the parent's key */
};

/* All of them first: reading a parent's columns runs the same text. */
static enum err read_parts(struct check_run *c, const char *table, struct reference_part **out,
                           size_t *n)
{
    struct query q = DB_QUERY(c->s,
                              "SELECT id, seq, \"table\", \"from\", \"to\""
                              " FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
                              value_text(table));
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    while (query_next(&q)) {
        *out = arena_grow(c->a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = (struct reference_part){
            query_i64(&q, 0), query_i64(&q, 1), query_text(&q, c->a, 2), query_text(&q, c->a, 3),
            query_is_null(&q, 4) ? NULL : query_text(&q, c->a, 4)};
    }
    return query_end(&q);
}

enum err check_orphans(struct check_run *c, const struct table_info *t)
{
    struct reference_part *part;
    size_t n;
    struct outward r = {0};
    enum err e = read_parts(c, t->name, &part, &n);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        if (i > 0 && part[i].id != part[i - 1].id)
            e = check_reference(c, t, &r);
        r.parent = part[i].parent;
        const char *to = part[i].to ? part[i].to : parent_column(c, r.parent, (int)part[i].place);
        if (!to)
            continue;
        const char *and = r.on.len > 0 ? " AND " : "", *from = schema_quote(c->a, part[i].from);
        buf_printf(&r.on, "%sp.%s = t.%s", and, schema_quote(c->a, to), from);
        buf_printf(&r.given, "%st.%s IS NOT NULL", and, from);
    }
    enum err last = check_reference(c, t, &r);
    return e != ERR_OK ? e : last;
}

/* Whether the charter (`complete`: all of the table's columns) replicates it. */
static bool is_published(const struct charter_table *t, const struct column_info *column,
                         bool complete)
{
    return (complete || charter_column_named(t, column->name)) && !column->generated;
}

enum err check_sizes(struct check_run *c, const struct charter_table *t,
                     const struct table_info *info, bool complete)
{
    struct buf all = {0}, each = {0}, where = {0};
    struct counted x;
    if (info->n_columns > LIMIT_COLUMNS) /* that is said already */
        return ERR_OK;
    for (uint32_t i = 0; i < info->n_columns; i++) {
        if (!is_published(t, &info->column[i], complete))
            continue;
        const char *name = schema_quote(c->a, info->column[i].name);
        struct buf bytes = {0};
        buf_printf(&bytes,
                   "CASE typeof(t.%s) WHEN 'blob' THEN length(t.%s) WHEN 'text'"
                   " THEN length(CAST(t.%s AS BLOB)) ELSE 0 END",
                   name, name, name);
        buf_printf(&all, "%s%s", all.len > 0 ? " + " : "", buf_str(&bytes));
        buf_printf(&each, " OR %s > %u", buf_str(&bytes), LIMIT_VALUE_BYTES);
        buf_fini(&bytes);
    }
    buf_printf(&where, "%s > %u AND (%s > %u%s)", buf_str(&all), LIMIT_VALUE_BYTES, buf_str(&all),
               LIMIT_ROW_BYTES, buf_str(&each));
    enum err e = all.len > 0 ? count_rows(c, info, buf_str(&where), &x) : ERR_OK;
    if (e == ERR_OK && all.len > 0 && x.n > 0)
        check_say(c, complete ? "fail" : "warn", info->name,
                  "%lld rows of %s are too large to be sent (a value can have %u bytes, a row %u),"
                  " the first is %s: make them smaller, because %s",
                  x.n, info->name, LIMIT_VALUE_BYTES, LIMIT_ROW_BYTES, x.first,
                  complete ? "no office could join" : "until then no office can join from here");
    buf_fini(&all);
    buf_fini(&each);
    buf_fini(&where);
    return e;
}

enum err check_sums(struct check_run *c, const struct charter_table *t,
                    const struct table_info *info)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < info->n_columns; i++) {
        const char *name = info->column[i].name;
        struct buf where = {0};
        struct counted x;
        if (!check_is_sum(t, name))
            continue;
        buf_printf(&where, "typeof(t.%s) NOT IN ('integer', 'null')", schema_quote(c->a, name));
        e = count_rows(c, info, buf_str(&where), &x);
        if (e == ERR_OK && x.n > 0)
            check_say(c, "fail", info->name,
                      "%s is a sum, and %lld rows of %s have something else there than an integer,"
                      " the first is %s: put them right, because nothing can be added to them",
                      name, x.n, info->name, x.first);
        buf_fini(&where);
    }
    return e;
}

void check_library(struct check_run *c)
{
    int number;
    const char *version = db_library(&number);
    struct query q = DB_QUERY(c->s, "PRAGMA main.journal_mode");
    const char *mode = query_next(&q) ? query_text(&q, c->a, 0) : "";
    bool wal = db_same_name(mode, "wal");
    if (query_end(&q) == ERR_OK && mode[0] != '\0')
        check_say(
            c, "ok", "journal mode", "%s%s", mode,
            wal ? ""
                : ": it works, but whoever reads makes an application's commit wait; WAL is the"
                  " better choice where the application allows it");
    if (!neighbour_library_affected(number))
        check_say(c, "ok", "SQLite", "%s", version);
    else if (wal)
        check_say(c, "warn", "SQLite",
                  "%s can corrupt a WAL database when a checkpoint meets a writer (the WAL-reset "
                  "bug), where two applications use one database: install 3.51.3, 3.50.7 or 3.44.6"
                  " or later for them; the node itself has no part in it",
                  version);
    else
        check_say(c, "ok", "SQLite",
                  "%s; do not change to WAL before 3.51.3, 3.50.7 or 3.44.6 is installed", version);
}
