/* Capture gaps (--gaps): an application that goes around capture, in the schema that is fixed. It
 * makes a table anew, as a migration tool does, or drops Tonle's triggers, and writes in the same
 * transaction; what it writes until the node has put them back is not captured, either.
 *
 * Every value that an application writes, captured or not, is noted by TEMP triggers of its own
 * connection in a table of its own (app_wrote), in the same transaction: the cell, the value, and
 * whether it is a stray, that is, whether Tonle's triggers were away. Rows that vanish are told by
 * what stood before and after. One that came where nothing stood and vanished before any changeset
 * spoke of its key was never more than this application's: that it is gone says nothing to anybody
 * (stray is -1). strays.c asks afterwards who wrote what. */
#include "tests/sim/world.h"

#include "node/capture/capture.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const struct noted_table noted_table[NOTED_TABLES] = {
    {"house", {"id"}, {"book", "village"}},
    {"person", {"id"}, {"house", "ident", "a", "b", "top", "low", "first", "mother"}},
    {"receipt", {"series", "number"}, {"note"}}};

void noted_key(struct buf *b, const struct noted_table *t, const char *of)
{
    buf_printf(b, "quote(%s%s)", of, t->key[0]);
    if (t->key[1])
        buf_printf(b, " || ',' || quote(%s%s)", of, t->key[1]);
}

#define NOTE "INSERT INTO app_wrote(t, k, c, v, stray) SELECT '%s', "

static void note_cells(struct buf *b, const struct noted_table *t, bool update)
{
    for (int c = -1; c < NOTED_COLUMNS && (c < 0 || t->column[c]); c++) {
        buf_printf(b, NOTE, t->name);
        noted_key(b, t, "NEW.");
        if (c < 0)
            buf_printf(b, ", 'exists', 1, stray FROM app_away WHERE t = '%s'", t->name);
        else
            buf_printf(b, ", '%s', NEW.%s, stray FROM app_away WHERE t = '%s'", t->column[c],
                       t->column[c], t->name);
        if (update) {
            buf_printf(b, " AND (");
            if (c >= 0)
                buf_printf(b, "NEW.%s IS NOT OLD.%s OR ", t->column[c], t->column[c]);
            noted_key(b, t, "NEW.");
            buf_printf(b, " <> ");
            noted_key(b, t, "OLD.");
            buf_printf(b, ")");
        }
        buf_printf(b, ";");
    }
}

static bool note_from_now(struct machine *m)
{
    struct buf b = {0};
    for (int i = 0; i < NOTED_TABLES; i++) {
        const struct noted_table *t = &noted_table[i];
        for (int update = 0; update < 2; update++) {
            const char *when = update ? "UPDATE" : "INSERT";
            buf_printf(&b,
                       "CREATE TEMP TRIGGER IF NOT EXISTS noted_%s_%s AFTER %s ON main.%s BEGIN ",
                       t->name, when, when, t->name);
            note_cells(&b, t, update);
            buf_printf(&b, "END;");
        }
    }
    int rc = office_try(&m->o, buf_str(&b));
    buf_fini(&b);
    return rc == SQLITE_OK;
}

/* ---- whom nobody ever heard of */

static bool is_key(const struct model_row *r, uint32_t n_key, const char *key)
{
    struct value v[2];
    struct buf text = {0};
    if (key_decode(r->key, r->len, v, n_key) != ERR_OK)
        return false;
    for (uint32_t c = 0; c < n_key; c++) {
        buf_printf(&text, c ? "," : "");
        if (v[c].type == VALUE_INTEGER)
            buf_printf(&text, "%lld", (long long)v[c].u.i);
        else
            buf_printf(&text, "'%.*s'", (int)v[c].len, (const char *)v[c].u.p);
    }
    bool yes = strcmp(buf_str(&text), key) == 0;
    buf_fini(&text);
    return yes;
}

/* changes_of(table, key): how many are in the office's journal; NULL while nobody reads that. */
static void changes_of(sqlite3_context *q, int n, sqlite3_value **arg)
{
    const struct machine *m = sqlite3_user_data(q);
    const char *table = (const char *)sqlite3_value_text(arg[0]);
    const char *key = (const char *)sqlite3_value_text(arg[1]);
    size_t changes = 0;
    assert(n == 2);
    for (size_t i = 0; m->watch && i < m->model.n_rows; i++) {
        const struct model_row *r = &m->model.row[i];
        const struct table_schema *t = &m->watch->schema->tables[r->table];
        if (strcmp(t->name, table) == 0 && is_key(r, t->n_key, key))
            changes = r->n + r->n_nobody;
    }
    if (m->watch)
        sqlite3_result_int64(q, (int64_t)changes);
}

/* journal_end(): where it ends; 0 before there is one. */
static void journal_end(sqlite3_context *q, int n, sqlite3_value **arg)
{
    sqlite3_stmt *end = NULL;
    assert(n == 0 && arg);
    sqlite3_prepare_v2(sqlite3_context_db_handle(q),
                       "SELECT coalesce(max(pos), 0) FROM tonle_journal", -1, &end, NULL);
    bool found = end && sqlite3_step(end) == SQLITE_ROW;
    sqlite3_result_int64(q, found ? sqlite3_column_int64(end, 0) : 0);
    sqlite3_finalize(end);
}

void stray_open(struct machine *m)
{
    sqlite3_create_function(m->o.app, "changes_of", 2, SQLITE_UTF8, m, changes_of, NULL, NULL);
    sqlite3_create_function(m->o.app, "journal_end", 0, SQLITE_UTF8, m, journal_end, NULL, NULL);
    office_try(&m->o, "PRAGMA temp_store=MEMORY");
    office_try(
        &m->o,
        "CREATE TABLE IF NOT EXISTS app_wrote(n INTEGER PRIMARY KEY, t TEXT, k TEXT, c TEXT,"
        " v, stray INTEGER NOT NULL);"
        "CREATE INDEX IF NOT EXISTS app_wrote_cell ON app_wrote(t, k, c);"
        "CREATE TABLE IF NOT EXISTS app_entered(t TEXT, k TEXT, changes INTEGER, ends INTEGER,"
        " PRIMARY KEY(t, k)) WITHOUT ROWID;"
        "CREATE TEMP TABLE app_away(t TEXT PRIMARY KEY, stray INTEGER NOT NULL);"
        "CREATE TEMP TABLE app_began(n INTEGER);"
        "CREATE TEMP TABLE had(t TEXT, k TEXT, PRIMARY KEY(t, k)) WITHOUT ROWID;");
    note_from_now(m);
}

/* Whom the office tells to be held: who looks at its tables knows that the row there is another. */
static void note_held(struct world *w, struct machine *m)
{
    struct model_meant *l = &w->meant;
    sqlite3_stmt *q = NULL;
    const uint64_t site = m->o.site;
    if (sqlite3_prepare_v2(
            m->o.app,
            "SELECT h.t, h.k, h.site, h.seq, w.n FROM (SELECT coalesce(max(n), 0) AS n"
            " FROM app_wrote) w LEFT JOIN tonle_held h"
            " ON h.reason IN ('check', 'birth', 'unique', 'parent')",
            -1, &q, NULL) != SQLITE_OK)
        return; /* nothing of ours is here yet */
    for (bool first = true; sqlite3_step(q) == SQLITE_ROW; first = false) {
        struct model_told x = {.site = site, .after = (uint64_t)sqlite3_column_int64(q, 4)};
        if (first)
            model_told_begin(l, site, x.after);
        x.birth = (struct dot){(uint64_t)sqlite3_column_int64(q, 2),
                               (uint64_t)sqlite3_column_int64(q, 3)};
        if (sqlite3_column_type(q, 0) != SQLITE_NULL)
            x.row = model_row_hash((uint32_t)sqlite3_column_int(q, 0), sqlite3_column_blob(q, 1),
                                   (size_t)sqlite3_column_bytes(q, 1));
        model_told_add(l, &x); /* nobody is held: that, too, is told */
    }
    sqlite3_finalize(q);
}

/* Where capture is away now, what stands, and what does not. */
bool stray_before(struct world *w, struct machine *m)
{
    note_held(w, m);
    struct buf b = {0};
    buf_printf(&b, "DELETE FROM had; DELETE FROM app_away; DELETE FROM app_began;"
                   " INSERT INTO app_began SELECT max(n) FROM app_wrote;");
    for (int i = 0; i < NOTED_TABLES; i++) {
        const struct noted_table *t = &noted_table[i];
        buf_printf(&b, "INSERT INTO had SELECT '%s', ", t->name);
        noted_key(&b, t, "");
        buf_printf(&b,
                   " FROM %s; INSERT INTO app_away SELECT '%s', NOT EXISTS(SELECT 1 FROM"
                   " main.sqlite_schema WHERE type = 'trigger' AND tbl_name = '%s' AND name LIKE"
                   " 'tonle!_%%' ESCAPE '!');",
                   t->name, t->name, t->name);
    }
    int rc = office_try(&m->o, buf_str(&b));
    buf_fini(&b);
    return rc == SQLITE_OK;
}

/* No row was deleted, or entered anew, where capture was away. */
static bool all_kept(struct machine *m)
{
    return strcmp(office_one(&m->o,
                             "SELECT count(*) FROM app_wrote w WHERE stray AND c = 'exists' AND n >"
                             " (SELECT coalesce(max(n), 0) FROM app_began) AND"
                             " EXISTS(SELECT 1 FROM had h WHERE h.t = w.t AND h.k = w.k)"),
                  "0") == 0;
}

/* What has come where nothing stood. */
#define NOTE_ENTERED                                                                               \
    "INSERT OR REPLACE INTO app_entered SELECT t, k, changes_of(t, k), journal_end()"              \
    " FROM app_wrote w WHERE c = 'exists' AND v = 1"                                               \
    " AND n > (SELECT coalesce(max(n), 0) FROM app_began)"                                         \
    " AND NOT EXISTS(SELECT 1 FROM had h WHERE h.t = w.t AND h.k = w.k);"

/* What has vanished meanwhile. False: the transaction is not to be. */
bool stray_after(struct world *w, struct machine *m)
{
    struct buf b = {0};
    buf_printf(&b, "%s", NOTE_ENTERED);
    for (int i = 0; i < NOTED_TABLES; i++) {
        const struct noted_table *t = &noted_table[i];
        buf_printf(
            &b,
            "INSERT INTO app_wrote(t, k, c, v, stray) SELECT h.t, h.k, 'exists', 0,"
            " iif(EXISTS(SELECT 1 FROM app_entered e WHERE e.t = h.t AND e.k = h.k"
            " AND (e.changes = changes_of(h.t, h.k) OR e.ends = journal_end())), -stray, stray)"
            " FROM (SELECT t, k FROM had UNION SELECT t, k FROM app_wrote WHERE n >"
            " (SELECT coalesce(max(n), 0) FROM app_began)) h JOIN app_away a ON a.t = h.t"
            " WHERE h.t = '%s' AND h.k NOT IN (SELECT ",
            t->name);
        noted_key(&b, t, "");
        buf_printf(&b, " FROM %s);", t->name);
    }
    int rc = office_try(&m->o, buf_str(&b));
    buf_fini(&b);
    return rc == SQLITE_OK && (w->profile.stray_deletes || all_kept(m));
}

/* ---- around capture */

/* Create, copy, drop, rename. */
static void make_anew(struct buf *b, const struct noted_table *t)
{
    char head[64];
    snprintf(head, sizeof head, "CREATE TABLE %s(", t->name);
    const char *from = strstr(app_schema, head) + strlen(head);
    buf_printf(b,
               "CREATE TABLE new_%s(%.*s; INSERT INTO new_%s SELECT * FROM %s; DROP TABLE %s;"
               " ALTER TABLE new_%s RENAME TO %s",
               t->name, (int)strcspn(from, ";"), from, t->name, t->name, t->name, t->name, t->name);
}

static void drop_triggers(struct machine *m, const struct noted_table *t, struct buf *b)
{
    sqlite3_stmt *q = NULL;
    sqlite3_prepare_v2(m->o.app,
                       "SELECT name FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name ="
                       " ?1 AND name LIKE 'tonle!_%' ESCAPE '!'",
                       -1, &q, NULL);
    sqlite3_bind_text(q, 1, t->name, -1, SQLITE_STATIC);
    while (sqlite3_step(q) == SQLITE_ROW)
        buf_printf(b, "DROP TRIGGER main.%s;", sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
}

static bool go_around(struct world *w, struct machine *m)
{
    const struct noted_table *t = &noted_table[world_below(w, NOTED_TABLES)];
    struct buf b = {0};
    bool fine = stray_before(w, m);
    if (fine && world_chance(w, 500))
        app_statements(w, m); /* captured, in the same transaction */
    fine = fine && stray_after(w, m);
    if (world_chance(w, 700))
        make_anew(&b, t);
    else
        drop_triggers(m, t, &b);
    fine = fine && office_try(&m->o, buf_str(&b)) == SQLITE_OK;
    if (w->verbose)
        printf("%8llu %s: app: %.60s... -> %s\n", (unsigned long long)w->now, m->o.name,
               buf_str(&b), fine ? "away" : "not away");
    buf_fini(&b);
    fine = fine && note_from_now(m) && stray_before(w, m);
    for (uint32_t n = world_below(w, 5); fine && n > 0; n--)
        app_statements(w, m);
    if (fine && world_chance(w, 150))
        app_many(w, m);
    return fine && stray_after(w, m);
}

void gap_make(struct world *w, struct machine *m)
{
    if (!m->o.app || m->open_tx || disk_failed(w->disk))
        return;
    if (w->profile.keys)
        office_try(&m->o, "PRAGMA foreign_keys=OFF");
    if (office_try(&m->o, "BEGIN IMMEDIATE") == SQLITE_OK) {
        bool fine = go_around(w, m);
        if (!fine || office_try(&m->o, world_chance(w, 80) ? "ROLLBACK" : "COMMIT") != SQLITE_OK)
            office_try(&m->o, "ROLLBACK");
        w->gaps += fine;
    }
    if (w->profile.keys)
        office_try(&m->o, "PRAGMA foreign_keys=ON");
}

/* ---- the file itself (--flips) */

static bool another_flipped(const struct world *w, const struct machine *m)
{
    for (int i = 0; i < w->n; i++)
        if (&w->m[i] != m && w->m[i].flipped)
            return true;
    return false;
}

/* A value changes that nobody wrote, in a row that is sealed: capture has no part in it. At one
 * office of a history, so that it is known which of two is wrong. */
void gap_flip(struct world *w, struct machine *m)
{
    static const char *const cell[][2] = {{"house", "village"}, {"person", "a"}, {"person", "b"}};
    const char *const *c = cell[world_below(w, sizeof cell / sizeof *cell)];
    char sql[200];
    snprintf(sql, sizeof sql,
             "UPDATE %s SET %s = 'flip%llu' WHERE id = (SELECT id FROM %s ORDER BY id LIMIT 1"
             " OFFSET %u)",
             c[0], c[1], (unsigned long long)++w->token, c[0], world_below(w, 5));
    if (!m->alive || !m->o.app || m->open_tx || store_capture_pending(m->o.store) ||
        another_flipped(w, m))
        return;
    sqlite3 *file = database_app(m->o.path, m->o.vfs, 0);
    if (sqlite3_db_config(file, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL) == SQLITE_OK &&
        sqlite3_exec(file, sql, NULL, NULL, NULL) == SQLITE_OK && sqlite3_changes(file) > 0) {
        m->flipped = true;
        w->gaps++;
        if (w->verbose)
            printf("%8llu %s: %s\n", (unsigned long long)w->now, m->o.name, sql);
    }
    sqlite3_close(file);
}
