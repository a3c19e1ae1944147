/* What is said of one table: whether it can be replicated, and what of it stays here. */
#include "node/check/checking.h"

#include "node/db/query.h"
#include "protocol/limits.h"

#include <string.h>

#define TABLE_NAMES                                                                                \
    "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT GLOB 'tonle_*'"         \
    " AND name NOT GLOB 'sqlite_*'"

static bool check_kind(struct check_run *c, const struct charter_table *t,
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

/* SQLite lets a declared key be NULL, any number of times, and such a row has no identity. What is
 * in force already goes on: those rows are listed. */
static void check_null_key(struct check_run *c, const struct charter_table *t,
                           const struct table_info *info)
{
    for (uint32_t i = 0; i < info->n_key && info->null_keys; i++) {
        const struct column_info *k = &info->column[info->key[i]];
        if (!k->notnull)
            check_say(
                c, t->complete ? "warn" : "fail", t->name,
                "key column %s.%s accepts NULL, and a row with NULL there could not leave its "
                "office: declare it NOT NULL (SQLite wants the table made anew for that: "
                "create, copy, drop, rename)",
                t->name, k->name);
    }
}

bool check_numbers_clash(const struct charter_table *t)
{
    return !t->complete && !t->keys && !one_writer(t->write);
}

/* Integer keys that SQLite gives out. With AUTOINCREMENT each office has blocks of its own
 * (conflict/block.h), but where the charter says that the numbers have a meaning. */
static void check_numbers(struct check_run *c, const struct charter_table *t,
                          const struct table_info *info)
{
    const char *key = info->n_key > 0 ? info->column[info->key[0]].name : "";
    bool natural = t->keys && !charter_keys_blocks(t);
    if (charter_keys_blocks(t) && !info->rowid_alias)
        check_say(c, "fail", t->name,
                  "keys: blocks is for a lone INTEGER PRIMARY KEY AUTOINCREMENT, which %s has not: "
                  "take it away",
                  t->name);
    else if (info->autoincrement && natural)
        check_say(c, "ok", t->name,
                  "the numbers of %s.%s are natural: of two offices that give out the same, one "
                  "row is held",
                  t->name, key);
    else if (info->rowid_alias && !info->autoincrement && charter_keys_blocks(t))
        check_say(
            c, "fail", t->name,
            "the key %s.%s is an INTEGER PRIMARY KEY without AUTOINCREMENT%s: SQLite gives the "
            "number of a deleted row again, and cannot be told where to go on; make it "
            "AUTOINCREMENT (--make-autoincrement of hub init and join does it)",
            t->name, key, t->complete ? " here" : "");
    else if (info->rowid_alias && !info->autoincrement && !natural && !one_writer(t->write))
        check_say(
            c, "fail", t->name,
            "the key %s.%s is a lone INTEGER PRIMARY KEY, whose numbers every office would "
            "give out again; make it AUTOINCREMENT (--make-autoincrement of hub init does it), and "
            "each office has numbers of its own, or use a code or UUID, a composite key with the "
            "office's code, write: national, or "
            "keys: natural where the numbers have a meaning",
            t->name, key);
}

static void check_key(struct check_run *c, const struct charter_table *t,
                      const struct table_info *info)
{
    if (info->n_key == 0)
        check_say(c, "fail", t->name,
                  "table %s has no PRIMARY KEY; declare one that no two offices give out", t->name);
    if (info->n_key > LIMIT_KEY_COLUMNS)
        check_say(c, "fail", t->name, "the key of %s has %u columns; %u are possible", t->name,
                  info->n_key, LIMIT_KEY_COLUMNS);
    check_numbers(c, t, info);
    check_null_key(c, t, info);
    for (uint32_t i = 0; t->complete && i < t->n_key; i++) {
        if (t->n_key != info->n_key || !db_same_name(t->key[i], info->column[info->key[i]].name)) {
            check_say(c, "fail", t->name, "the PRIMARY KEY of %s here is not the published one",
                      t->name);
            break;
        }
    }
}

static void check_columns(struct check_run *c, const struct charter_table *t,
                          const struct table_info *info)
{
    uint32_t stored = 0;
    for (uint32_t i = 0; i < t->n_columns; i++) {
        const char *name = t->columns[i].name;
        uint32_t k = table_info_column(info, name);
        if (k == UINT32_MAX)
            check_say(c, "fail", t->name, "column %s.%s is not in this database%s", t->name, name,
                      check_near_column(c, t->name, name));
        else if (info->column[k].generated)
            check_say(c, "fail", t->name,
                      "column %s.%s is generated: every office computes it, leave it out", t->name,
                      name);
    }
    for (unsigned i = 0; i < t->n_references; i++)
        if (table_info_column(info, t->references[i].column) == UINT32_MAX)
            check_say(c, "fail", t->name, "references: column %s.%s is not in this database%s",
                      t->name, t->references[i].column,
                      check_near_column(c, t->name, t->references[i].column));
    for (uint32_t i = 0; i < info->n_columns; i++) {
        const struct column_info *k = &info->column[i];
        stored += !k->generated;
        if (k->generated)
            check_say(c, "ok", t->name, "column %s.%s is generated: every office computes it",
                      t->name, k->name);
        else if (t->complete && !charter_column_named(t, k->name))
            check_say(c, "warn", t->name,
                      "column %s.%s is not published: its values stay in this office", t->name,
                      k->name);
    }
    if (stored > LIMIT_COLUMNS)
        check_say(c, "fail", t->name, "table %s has %u columns; %u are possible", t->name, stored,
                  LIMIT_COLUMNS);
}

static void check_indexes(struct check_run *c, const struct charter_table *t,
                          const struct table_info *info)
{
    for (uint32_t i = 0; t->complete && i < info->n_unique; i++) {
        for (uint32_t k = 0; k < info->n_columns; k++) {
            const struct column_info *col = &info->column[k];
            if (info->unique[i].reads[k] && !col->generated && !charter_column_named(t, col->name))
                check_say(c, "warn", t->name,
                          "UNIQUE index %s uses %s.%s, which is not published: a row from "
                          "elsewhere that it"
                          " refuses is held at this office alone",
                          info->unique[i].name, t->name, col->name);
        }
    }
    for (uint32_t i = 0; i < t->n_indexes; i++) {
        struct query q =
            DB_QUERY(c->s, "SELECT 1 FROM main.sqlite_schema WHERE type = 'index' AND sql = ?1",
                     value_text(t->indexes[i]));
        bool row = query_next(&q);
        if (query_end(&q) == ERR_OK && !row)
            check_say(c, "warn", t->name, "a published index is missing here: %s", t->indexes[i]);
    }
}

static enum err check_references(struct check_run *c, const struct charter_table *t)
{
    struct query q =
        DB_QUERY(c->s, "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1, 'main')",
                 value_text(t->name));
    while (query_next(&q)) {
        const char *parent = query_text(&q, c->a, 0);
        if (!check_replicated(c, parent))
            check_say(c, "warn", t->name,
                      "%s refers to %s, which is not replicated: its rows may be missing at other "
                      "offices",
                      t->name, parent);
    }
    return query_end(&q);
}

enum err check_table(struct check_run *c, const struct charter_table *t,
                     const struct table_info *info, struct charter_table *out)
{
    size_t before = c->n;
    if (!check_kind(c, t, info))
        return ERR_OK;
    check_key(c, t, info);
    check_columns(c, t, info);
    check_indexes(c, t, info);
    enum err e = check_references(c, t);
    if (e == ERR_OK)
        e = check_cells(c, t, info, out);
    bool quiet = true;
    for (size_t i = before; i < c->n; i++)
        quiet = quiet && strcmp(c->list[i].level, "ok") == 0;
    if (quiet)
        check_say(c, "ok", t->name, "table %s can be replicated", t->name);
    return e;
}
