/* What is said of one table: whether it can be replicated, and what of it stays here. */
#include "node/check/checking.h"

#include "node/db/sqlite.h"
#include "protocol/limits.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void check_say(struct check_run *c, const char *level, const char *subject, const char *fmt, ...)
{
    char text[768];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->list = mem_grow(c->list, c->n, &c->cap, sizeof *c->list);
    c->list[c->n++] =
        (struct finding){level, arena_strdup(c->a, subject), arena_strdup(c->a, text)};
}

/* ---- near misses ---- */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance, letters of either case alike; names longer than 63 bytes are never near.
 */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), row[64];
    if (n > 63 || m > 63)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t above = row[j];
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            row[j] = least(above + 1, row[j - 1] + 1, corner + (same ? 0 : 1));
            corner = above;
        }
    }
    return row[m];
}

const char *check_near(struct check_run *c, const char *name, const char *sql, const char *argument)
{
    struct buf b = {0};
    sqlite3_stmt *q = store_stmt(c->s, sql);
    if (q && argument)
        store_bind_text(q, 1, argument);
    for (bool row = true; row;) {
        if (store_step(c->s, q, &row) != ERR_OK || !row)
            break;
        const char *other = (const char *)sqlite3_column_text(q, 0);
        if (distance(name, other) <= 1 + strlen(name) / 4)
            buf_printf(&b, "%s%s", b.len ? " or " : "; did you mean ", other);
    }
    if (b.len)
        buf_printf(&b, "?");
    return sql_take(c->a, &b);
}

/* ---- the checks ---- */

#define TABLE_NAMES                                                                                \
    "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT GLOB 'tonle_*'"         \
    " AND name NOT GLOB 'sqlite_*'"

static bool check_kind(struct check_run *c, const struct table_charter *t,
                       const struct table_info *info)
{
    if (!info->found)
        check_say(c, "fail", t->name, "table %s is not in this database%s", t->name,
                  check_near(c, t->name, TABLE_NAMES, NULL));
    else if (strcmp(info->kind, "table") != 0)
        check_say(c, "fail", t->name, "%s is a %s%s; only ordinary tables are replicated", t->name,
                  info->kind, strcmp(info->kind, "view") == 0 ? "" : " table");
    else if (info->broken)
        check_say(c, "fail", t->name,
                  "this node cannot write %s: %s; a function or collation that only the "
                  "application defines"
                  " must not stand in an index, a CHECK or a generated column",
                  t->name, info->broken);
    else
        return true;
    return false;
}

/* national, or a unit code: then one office alone gives out the numbers */
static bool one_writer(const char *write)
{
    return strcmp(write, "any") != 0 && strcmp(write, "owner") != 0 && strcmp(write, "above") != 0;
}

static void check_key(struct check_run *c, const struct table_charter *t,
                      const struct table_info *info)
{
    if (info->n_key == 0)
        check_say(c, "fail", t->name,
                  "table %s has no PRIMARY KEY; declare one that no two offices give out", t->name);
    if (info->n_key > LIMIT_KEY_COLUMNS)
        check_say(c, "fail", t->name, "the key of %s has %u columns; %u are possible", t->name,
                  info->n_key, LIMIT_KEY_COLUMNS);
    if (info->rowid_alias && !one_writer(t->write))
        check_say(c, "fail", t->name,
                  "the key %s.%s is a lone INTEGER PRIMARY KEY, whose numbers every office would "
                  "give out again;"
                  " use a code or UUID, a composite key with the office's code, or write: national",
                  t->name, info->column[info->key[0]].name);
    for (uint32_t i = 0; i < info->n_key && !info->rowid_alias && !info->without_rowid; i++) {
        const struct column_info *k = &info->column[info->key[i]];
        if (!k->notnull)
            check_say(
                c, "warn", t->name,
                "key column %s.%s accepts NULL, and rows with a NULL there stay in this office;"
                " declare it NOT NULL",
                t->name, k->name);
    }
    for (uint32_t i = 0; t->has_columns && i < t->n_key; i++) {
        if (t->n_key != info->n_key ||
            sqlite3_stricmp(t->key[i], info->column[info->key[i]].name) != 0) {
            check_say(c, "fail", t->name, "the PRIMARY KEY of %s here is not the published one",
                      t->name);
            break;
        }
    }
}

static bool listed(const struct table_charter *t, const char *column)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (sqlite3_stricmp(t->column[i], column) == 0)
            return true;
    }
    return false;
}

static void check_columns(struct check_run *c, const struct table_charter *t,
                          const struct table_info *info)
{
    uint32_t stored = 0;
    for (uint32_t i = 0; i < t->n_columns; i++) {
        uint32_t k = table_info_column(info, t->column[i]);
        if (k == UINT32_MAX)
            check_say(c, "fail", t->name, "column %s.%s is not in this database%s", t->name,
                      t->column[i],
                      check_near(c, t->column[i], "SELECT name FROM pragma_table_xinfo(?1, 'main')",
                                 t->name));
        else if (info->column[k].generated)
            check_say(c, "fail", t->name,
                      "column %s.%s is generated: every office computes it, leave it out", t->name,
                      t->column[i]);
    }
    for (uint32_t i = 0; i < info->n_columns; i++) {
        const struct column_info *k = &info->column[i];
        stored += !k->generated;
        if (k->generated)
            check_say(c, "ok", t->name, "column %s.%s is generated: every office computes it",
                      t->name, k->name);
        else if (t->has_columns && !listed(t, k->name))
            check_say(c, "warn", t->name,
                      "column %s.%s is not published: its values stay in this office", t->name,
                      k->name);
    }
    if (stored > LIMIT_COLUMNS)
        check_say(c, "fail", t->name, "table %s has %u columns; %u are possible", t->name, stored,
                  LIMIT_COLUMNS);
}

static void check_indexes(struct check_run *c, const struct table_charter *t,
                          const struct table_info *info)
{
    for (uint32_t i = 0; t->has_columns && i < info->n_unique; i++) {
        for (uint32_t k = 0; k < info->n_columns; k++) {
            const struct column_info *col = &info->column[k];
            if (info->unique[i].reads[k] && !col->generated && !listed(t, col->name))
                check_say(c, "warn", t->name,
                          "UNIQUE index %s uses %s.%s, which is not published: a row from "
                          "elsewhere that it"
                          " refuses is held at this office alone",
                          info->unique[i].name, t->name, col->name);
        }
    }
    for (uint32_t i = 0; i < t->n_indexes; i++) {
        sqlite3_stmt *q =
            store_stmt(c->s, "SELECT 1 FROM main.sqlite_schema WHERE type = 'index' AND sql = ?1");
        bool row = false;
        if (q)
            store_bind_text(q, 1, t->index[i]);
        if (store_step(c->s, q, &row) == ERR_OK && !row)
            check_say(c, "warn", t->name, "a published index is missing here: %s", t->index[i]);
        if (row)
            sqlite3_reset(q);
    }
}

bool check_replicated(const struct check_run *c, const char *table)
{
    for (uint32_t i = 0; i < c->replicated.n; i++) {
        if (sqlite3_stricmp(c->replicated.name[i], table) == 0)
            return true;
    }
    return false;
}

static enum err check_references(struct check_run *c, const struct table_charter *t)
{
    sqlite3_stmt *q =
        store_stmt(c->s, "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1, 'main')");
    if (q)
        store_bind_text(q, 1, t->name);
    enum err e = ERR_OK;
    for (bool row = true; row;) {
        e = store_step(c->s, q, &row);
        if (e != ERR_OK || !row)
            break;
        const char *parent = (const char *)sqlite3_column_text(q, 0);
        if (!check_replicated(c, parent))
            check_say(c, "warn", t->name,
                      "%s refers to %s, which is not replicated: its rows may be missing at other "
                      "offices",
                      t->name, parent);
    }
    return e;
}

enum err check_table(struct check_run *c, const struct table_charter *t,
                     const struct table_info *info, json_t *table)
{
    size_t before = c->n;
    if (!check_kind(c, t, info))
        return ERR_OK;
    check_key(c, t, info);
    check_columns(c, t, info);
    check_indexes(c, t, info);
    enum err e = check_references(c, t);
    if (e == ERR_OK)
        e = check_cells(c, t, info, table);
    bool quiet = true;
    for (size_t i = before; i < c->n; i++)
        quiet = quiet && strcmp(c->list[i].level, "ok") == 0;
    if (quiet)
        check_say(c, "ok", t->name, "table %s can be replicated", t->name);
    return e;
}
