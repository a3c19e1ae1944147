/* One table as the database describes it: pragma_table_list, table_xinfo, index_list, index_xinfo,
 * and the SQL text for what those do not tell (expressions, predicates, generated columns). */
#include "node/schema/info.h"

#include "node/db/query.h"
#include "node/db/sqlite.h"

#include <stdio.h>
#include <string.h>

uint32_t table_info_column(const struct table_info *t, const char *name)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (db_same_name(t->column[i].name, name))
            return i;
    }
    return UINT32_MAX;
}

const char *table_collation(struct store *s, struct arena *a, const char *table, const char *column)
{
    const char *collation = NULL;
    int rc = sqlite3_table_column_metadata(s->db, "main", table, column, NULL, &collation, NULL,
                                           NULL, NULL);
    return rc == SQLITE_OK && collation ? arena_strdup(a, collation) : "BINARY";
}

enum affinity table_affinity(struct store *s, const char *table, const char *column)
{
    const char *type = NULL;
    int rc =
        sqlite3_table_column_metadata(s->db, "main", table, column, &type, NULL, NULL, NULL, NULL);
    return rc == SQLITE_OK ? sql_affinity(type ? type : "", false) : AFFINITY_BLOB;
}

/* Looking at sqlite_schema first also makes the connection re-read a schema that another process
 * changed; the pragma functions alone would answer from the old one. */
static enum err read_head(struct store *s, struct arena *a, const char *name, struct table_info *t)
{
    struct query q = DB_QUERY(s,
                              "SELECT name, coalesce(sql, '') FROM main.sqlite_schema"
                              " WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
                              value_text(name));
    if (query_next(&q)) {
        t->name = (char *)query_text(&q, a, 0);
        t->sql = (char *)query_text(&q, a, 1);
    }
    enum err e = query_end(&q);
    if (e != ERR_OK || !t->name)
        return e;
    q = DB_QUERY(s, "SELECT type, wr, strict FROM pragma_table_list(?1) WHERE schema = 'main'",
                 value_text(t->name));
    if (query_next(&q)) {
        t->found = true;
        t->kind = (char *)query_text(&q, a, 0);
        t->without_rowid = query_i64(&q, 1);
        t->strict = query_i64(&q, 2);
    }
    return query_end(&q);
}

static enum err read_columns(struct store *s, struct arena *a, struct table_info *t)
{
    size_t cap = 0;
    struct query q = DB_QUERY(s,
                              "SELECT name, type, dflt_value, \"notnull\", pk, hidden"
                              " FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1",
                              value_text(t->name));
    while (query_next(&q)) {
        t->column = arena_grow(a, t->column, t->n_columns, &cap, sizeof *t->column);
        struct column_info *k = &t->column[t->n_columns++];
        *k = (struct column_info){.name = (char *)query_text(&q, a, 0),
                                  .type = (char *)query_text(&q, a, 1),
                                  .notnull = query_i64(&q, 3),
                                  .pk = (uint32_t)query_i64(&q, 4),
                                  .generated = query_i64(&q, 5) != 0};
        if (!query_is_null(&q, 2))
            k->dflt = (char *)query_text(&q, a, 2);
        k->affinity = sql_affinity(k->type, t->strict);
        t->n_key += k->pk > 0;
    }
    enum err e = query_end(&q);
    t->key = arena_alloc(a, t->n_key * sizeof *t->key);
    for (uint32_t i = 0; e == ERR_OK && i < t->n_columns; i++) {
        if (t->column[i].pk > 0 && t->column[i].pk <= t->n_key)
            t->key[t->column[i].pk - 1] = i;
    }
    return e;
}

static bool gives_once(struct store *s, const char *table, const char *column)
{
    int autoincrement = 0;
    int rc = sqlite3_table_column_metadata(s->db, "main", table, column, NULL, NULL, NULL, NULL,
                                           &autoincrement);
    return rc == SQLITE_OK && autoincrement;
}

static enum err read_index_parts(struct store *s, struct arena *a, const struct table_info *t,
                                 struct index_info *x)
{
    size_t cap = 0;
    struct query q = DB_QUERY(s,
                              "SELECT cid, coll FROM pragma_index_xinfo(?1, 'main')"
                              " WHERE key = 1 ORDER BY seqno",
                              value_text(x->name));
    while (query_next(&q)) {
        x->part = arena_grow(a, x->part, x->n, &cap, sizeof *x->part);
        x->part[x->n++] =
            (struct index_part){.cid = query_i64(&q, 0), .collation = (char *)query_text(&q, a, 1)};
    }
    enum err e = query_end(&q);
    for (uint32_t i = 0; i < x->n; i++) {
        int64_t cid = x->part[i].cid;
        if (cid >= 0 && cid < t->n_columns)
            x->part[i].sql = schema_quote(a, t->column[cid].name);
    }
    return e;
}

/* Fills the expressions and the predicate from the CREATE INDEX text. */
static enum err read_index_text(struct store *s, struct arena *a, struct index_info *x)
{
    bool known = false;
    struct index_sql text = {0};
    struct query q =
        DB_QUERY(s, "SELECT sql FROM main.sqlite_schema WHERE type = 'index' AND name = ?1",
                 value_text(x->name));
    bool row = query_next(&q);
    if (row)
        known = sql_index(a, query_text(&q, a, 0), &text);
    enum err e = query_end(&q);
    if (e != ERR_OK || !row)
        return e;
    for (uint32_t i = 0; i < x->n; i++) {
        if (x->part[i].sql)
            continue;
        if (!known || text.n != x->n)
            return store_fail(s, ERR_SCHEMA, "cannot read the definition of index %s", x->name);
        struct buf b = {0};
        buf_printf(&b, "(%s\n)", text.part[i]);
        x->part[i].sql = sql_take(a, &b);
    }
    x->predicate = text.predicate;
    return ERR_OK;
}

struct reads {
    const struct table_info *t;
    bool *reads;
};

static int note_read(void *user, int action, const char *table, const char *column, const char *db,
                     const char *trigger)
{
    struct reads *r = user;
    (void)db;
    (void)trigger;
    if (action == SQLITE_READ && db_same_name(table, r->t->name)) {
        uint32_t c = table_info_column(r->t, column);
        if (c != UINT32_MAX)
            r->reads[c] = true;
    }
    return SQLITE_OK;
}

/* Marks the columns that an SQL expression over the table reads, by asking SQLite's own compiler.
 */
static enum err mark_reads(struct store *s, const struct table_info *t, struct arena *a,
                           const char *expression, bool *reads)
{
    struct reads r = {.t = t, .reads = reads};
    struct buf b = {0};
    buf_printf(&b, "SELECT 1 FROM main.%s WHERE (%s\n)", schema_quote(a, t->name), expression);
    sqlite3_stmt *q = NULL;
    sqlite3_set_authorizer(s->db, note_read, &r);
    int rc = sqlite3_prepare_v2(s->db, buf_str(&b), -1, &q, NULL);
    sqlite3_set_authorizer(s->db, NULL, NULL);
    enum err e = db_error(s, rc);
    sqlite3_finalize(q);
    buf_fini(&b);
    return e;
}

/* Adds what the generated columns among `reads` are computed from. */
static enum err expand_generated(struct store *s, struct arena *a, const struct table_info *t,
                                 bool *reads)
{
    enum err e = ERR_OK;
    bool *done = arena_alloc(a, t->n_columns);
    for (uint32_t c = 0; e == ERR_OK && c < t->n_columns; c++) {
        if (!reads[c] || done[c] || !t->column[c].generated)
            continue;
        char *expression = sql_generated(a, t->sql, t->column[c].name);
        done[c] = true;
        e = expression ? mark_reads(s, t, a, expression, reads)
                       : store_fail(s, ERR_SCHEMA, "cannot read the definition of column %s.%s",
                                    t->name, t->column[c].name);
        c = UINT32_MAX; /* it may have named an earlier generated column */
    }
    return e;
}

enum err table_info_reads(struct store *s, struct arena *a, const struct table_info *t,
                          const char *expression, bool *reads)
{
    enum err e = mark_reads(s, t, a, expression, reads);
    return e == ERR_OK ? expand_generated(s, a, t, reads) : e;
}

static enum err index_reads(struct store *s, struct arena *a, const struct table_info *t,
                            struct index_info *x)
{
    enum err e = ERR_OK;
    x->keyed = arena_alloc(a, t->n_columns);
    for (uint32_t i = 0; e == ERR_OK && i < x->n; i++) {
        if (x->part[i].cid >= 0)
            x->keyed[x->part[i].cid] = true;
        else
            e = mark_reads(s, t, a, x->part[i].sql, x->keyed);
    }
    if (e == ERR_OK)
        e = expand_generated(s, a, t, x->keyed);
    x->reads = arena_copy(a, x->keyed, t->n_columns);
    return e == ERR_OK && x->predicate ? table_info_reads(s, a, t, x->predicate, x->reads) : e;
}

static enum err read_indexes(struct store *s, struct arena *a, struct table_info *t)
{
    size_t cap = 0;
    bool pk_index = false;
    struct query q = DB_QUERY(s,
                              "SELECT name, origin, partial FROM pragma_index_list(?1, 'main')"
                              " WHERE \"unique\" = 1 ORDER BY name",
                              value_text(t->name));
    while (query_next(&q)) {
        bool pk = strcmp(query_text(&q, a, 1), "pk") == 0;
        t->unique = arena_grow(a, t->unique, t->n_unique, &cap, sizeof *t->unique);
        t->unique[t->n_unique++] = (struct index_info){
            .name = (char *)query_text(&q, a, 0), .primary = pk, .partial = query_i64(&q, 2) != 0};
        pk_index = pk_index || pk;
    }
    enum err e = query_end(&q);
    t->rowid_alias = t->n_key == 1 && !pk_index && !t->without_rowid;
    t->autoincrement = t->rowid_alias && gives_once(s, t->name, t->column[t->key[0]].name);
    for (uint32_t i = 0; i < t->n_key && !t->rowid_alias && !t->without_rowid; i++)
        t->null_keys = t->null_keys || !t->column[t->key[i]].notnull;
    for (uint32_t i = 0; e == ERR_OK && i < t->n_unique; i++) {
        e = read_index_parts(s, a, t, &t->unique[i]);
        if (e == ERR_OK)
            e = read_index_text(s, a, &t->unique[i]);
        if (e == ERR_OK)
            e = index_reads(s, a, t, &t->unique[i]);
    }
    return e;
}

/* A collation or function that only the application defines shows here: we could never write a row.
 */
static enum err try_insert(struct store *s, struct arena *a, const struct table_info *t)
{
    struct buf b = {0};
    enum err e;
    buf_printf(&b, "INSERT INTO main.%s DEFAULT VALUES", schema_quote(a, t->name));
    (void)db_compiles(s, buf_str(&b), &e);
    buf_fini(&b);
    return e;
}

enum err table_info_read(struct store *s, struct arena *a, const char *name, struct table_info *out)
{
    *out = (struct table_info){0};
    enum err e = read_head(s, a, name, out);
    if (e != ERR_OK || !out->found || strcmp(out->kind, "table") != 0)
        return e;
    e = read_columns(s, a, out);
    if (e == ERR_OK)
        e = read_indexes(s, a, out);
    if (e == ERR_OK)
        e = try_insert(s, a, out);
    if (e != ERR_SCHEMA)
        return e;
    out->broken = arena_strdup(a, s->message);
    return ERR_OK;
}

/* ---- the row source ---- */

/* The next generated column that needs none of those still to come, or n_columns. */
static uint32_t next_generated(struct arena *a, const struct table_info *t, const bool *done)
{
    for (uint32_t c = 0; c < t->n_columns; c++) {
        char *expression = sql_generated(a, t->sql, t->column[c].name);
        bool ready = t->column[c].generated && !done[c] && expression;
        for (uint32_t k = 0; ready && k < t->n_columns; k++)
            ready = k == c || done[k] || !t->column[k].generated ||
                    !sql_mentions(expression, t->column[k].name);
        if (ready)
            return c;
    }
    return t->n_columns;
}

/* Generated columns, one level each, inside out. */
static void wrap_generated(struct buf *b, struct arena *a, const struct table_info *t)
{
    bool *done = arena_alloc(a, t->n_columns);
    for (uint32_t c; (c = next_generated(a, t, done)) < t->n_columns; done[c] = true) {
        struct buf outer = {0};
        buf_printf(&outer, "SELECT *, (%s\n) AS %s FROM (%s)",
                   sql_generated(a, t->sql, t->column[c].name), schema_quote(a, t->column[c].name),
                   buf_str(b));
        buf_fini(b);
        *b = outer;
    }
}

/* A bound value or NEW.column has no affinity (SQLite 3.40: '1' = 1 is true of a TEXT column but
 * false of NEW's), so the values stand as the second half of a compound whose first half, the table
 * itself, gives its columns their affinity and collation. The LIMIT keeps the optimiser from moving
 * a WHERE term into the halves, which would lose them again. */
void table_row_source(struct buf *b, struct arena *a, const struct table_info *t,
                      sql_value_fn *value, void *user)
{
    struct buf names = {0}, values = {0}, text = {0};
    for (uint32_t c = 0; c < t->n_columns; c++) {
        if (t->column[c].generated)
            continue;
        const char *comma = names.len ? "," : "";
        buf_printf(&names, "%s%s", comma, schema_quote(a, t->column[c].name));
        buf_printf(&values, "%s", comma);
        value(&values, a, t, c, user);
    }
    const char *table = schema_quote(a, t->name);
    buf_printf(&text, "SELECT %s FROM %s WHERE 0 UNION ALL SELECT %s LIMIT 1", buf_str(&names),
               table, buf_str(&values));
    wrap_generated(&text, a, t);
    buf_printf(b, "(%s) AS %s", buf_str(&text), table);
    buf_fini(&names);
    buf_fini(&values);
    buf_fini(&text);
}
