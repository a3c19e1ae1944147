/* A table is renamed, made again from its own text with the one word more, filled from the renamed
 * one, and that dropped; then its indexes and triggers are made again from theirs. With
 * legacy_alter_table and without foreign_keys (db.h) a rename touches nothing but the table: what
 * other tables, views and triggers say goes on naming the new one (lang_altertable.html, section
 * 7). */
#include "node/check/autoincrement.h"

#include "node/check/checking.h"
#include "node/db/query.h"

#include <assert.h>

#define BEFORE "tonle_before"

/* As check_numbers refuses it; of a published charter, what it says has to be in blocks. */
static bool is_wanted(const struct charter_table *t, const struct table_info *info)
{
    bool found = info->found && !info->broken && info->rowid_alias && !info->autoincrement;
    return found && (charter_keys_blocks(t) || check_numbers_clash(t));
}

enum err store_plain_keys(struct store *s, struct arena *a, const struct charter *charter,
                          struct plain_key **out, size_t *n)
{
    size_t cap = 0;
    enum err e = ERR_OK;
    *out = NULL;
    *n = 0;
    for (unsigned i = 0; e == ERR_OK && i < charter->n_tables; i++) {
        struct table_info info;
        e = table_info_read(s, a, charter->tables[i].name, &info);
        if (e != ERR_OK || !is_wanted(&charter->tables[i], &info))
            continue;
        struct buf sql = {0};
        int64_t rows = 0;
        buf_printf(&sql, "SELECT count(*) FROM main.%s", schema_quote(a, info.name));
        e = db_number(s, buf_str(&sql), &rows);
        buf_fini(&sql);
        *out = arena_grow(a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = (struct plain_key){info.name, (uint64_t)rows};
    }
    return e;
}

/* ---- one table */

struct texts { /* of its indexes and triggers, in the order in which they were made */
    const char **sql;
    size_t n, cap;
};

static enum err read_texts(struct store *s, struct arena *a, const char *table, struct texts *out)
{
    struct query q =
        DB_QUERY(s,
                 "SELECT sql FROM main.sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE"
                 " AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid",
                 value_text(table));
    while (query_next(&q)) {
        out->sql = arena_grow(a, out->sql, out->n, &out->cap, sizeof *out->sql);
        out->sql[out->n++] = query_text(&q, a, 0);
    }
    return query_end(&q);
}

/* A name in the text that stands in no database would be made in this one: the texts have none. */
static enum err fill(struct store *s, struct arena *a, const struct table_info *info, uint64_t rows)
{
    struct buf columns = {0}, sql = {0};
    for (uint32_t i = 0; i < info->n_columns; i++)
        if (!info->column[i].generated)
            buf_printf(&columns, "%s%s", columns.len > 0 ? "," : "",
                       schema_quote(a, info->column[i].name));
    buf_printf(&sql, "INSERT OR ABORT INTO main.%s(%s) SELECT %s FROM main." BEFORE,
               schema_quote(a, info->name), buf_str(&columns), buf_str(&columns));
    enum err e = DB_RUN(s, buf_str(&sql));
    if (e == ERR_OK && rows > 0 && (uint64_t)db_changes(s) != rows)
        e = store_fail(s, ERR_CONSTRAINT, "%s: only %lld of %llu rows could be copied", info->name,
                       (long long)db_changes(s), (unsigned long long)rows);
    buf_fini(&columns);
    buf_fini(&sql);
    return e;
}

static enum err move_away(struct store *s, struct arena *a, const char *table)
{
    struct buf sql = {0};
    buf_printf(&sql, "ALTER TABLE main.%s RENAME TO " BEFORE, schema_quote(a, table));
    enum err e = store_exec(s, buf_str(&sql));
    buf_fini(&sql);
    return e;
}

static enum err look_again(struct store *s, struct arena *a, const struct table_info *was)
{
    struct table_info is;
    enum err e = table_info_read(s, a, was->name, &is);
    if (e == ERR_OK && (!is.found || !is.autoincrement || is.n_columns != was->n_columns))
        e = store_fail(s, ERR_SCHEMA, "the definition of %s makes another table", was->name);
    return e;
}

static enum err make_anew(struct store *s, struct arena *a, const struct plain_key *t)
{
    struct table_info info;
    struct texts texts = {0};
    enum err e = table_info_read(s, a, t->table, &info);
    if (e == ERR_OK)
        e = read_texts(s, a, t->table, &texts);
    if (e != ERR_OK)
        return e;
    const char *create = info.found && info.n_key == 1
                             ? sql_autoincrement(a, info.sql, info.column[info.key[0]].name)
                             : NULL;
    if (!create)
        return store_fail(s, ERR_SCHEMA, "cannot read the definition of %s", t->table);
    e = move_away(s, a, info.name);
    if (e == ERR_OK)
        e = db_run_one(s, create);
    if (e == ERR_OK)
        e = fill(s, a, &info, t->rows);
    if (e == ERR_OK)
        e = store_exec(s, "DROP TABLE main." BEFORE);
    for (size_t i = 0; e == ERR_OK && i < texts.n; i++)
        e = db_run_one(s, texts.sql[i]);
    return e == ERR_OK ? look_again(s, a, &info) : e;
}

/* ---- the database before and after */

/* Of these tables alone: integrity_check of SQLite 3.40 finds faults where none are in tables
 * WITHOUT ROWID, which these are not. */
static enum err check_integrity(struct store *s, const struct plain_key *table, size_t n,
                                const char *when)
{
    struct arena a = {0};
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        struct query q = DB_QUERY(s,
                                  "SELECT integrity_check FROM pragma_integrity_check(?1)"
                                  " WHERE integrity_check <> 'ok' LIMIT 1",
                                  value_text(table[i].table));
        const char *fault = query_next(&q) ? query_text(&q, &a, 0) : NULL;
        e = query_end(&q);
        if (e == ERR_OK && fault)
            e = store_fail(s, ERR_CORRUPT,
                           "PRAGMA integrity_check of %s, %s it was made anew: %.200s",
                           table[i].table, when, fault);
    }
    arena_fini(&a);
    return e;
}

/* How many references lead nowhere: as many as before, the applications' affair. */
static enum err count_orphans(struct store *s, int64_t *orphans)
{
    return db_number(s, "SELECT count(*) FROM pragma_foreign_key_check", orphans);
}

enum err store_make_autoincrement(struct store *s, const struct plain_key *table, size_t n)
{
    assert(s->in_write);
    int64_t before = 0, after = 0;
    struct arena a = {0};
    enum err e = check_integrity(s, table, n, "before");
    if (e == ERR_OK && n > 0)
        e = count_orphans(s, &before);
    if (e == ERR_OK && n > 0)
        e = store_exec(s, "PRAGMA legacy_alter_table = ON");
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        arena_reset(&a);
        e = make_anew(s, &a, &table[i]);
    }
    arena_fini(&a);
    enum err off = n > 0 ? store_exec(s, "PRAGMA legacy_alter_table = OFF") : ERR_OK;
    e = e == ERR_OK ? off : e;
    if (e == ERR_OK)
        e = check_integrity(s, table, n, "after");
    if (e == ERR_OK && n > 0)
        e = count_orphans(s, &after);
    if (e == ERR_OK && after != before)
        e = store_fail(s, ERR_CORRUPT,
                       "PRAGMA foreign_key_check finds %lld references without a row where there "
                       "were %lld",
                       (long long)after, (long long)before);
    return e;
}
