/* Installing capture, telling whether it stands, and noting our own writes.
 *
 * What must stand is generated anew from the present schema (capture_plan) and compared with what
 * does stand in sqlite_schema, text by text: a dropped or altered trigger, a changed table and a
 * changed charter all show as a difference. The fingerprint in tonle_table is the hash of that
 * text. */
#include "node/capture/capture.h"

#include "node/capture/log.h"
#include "node/db/sqlite.h"
#include "node/state/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void capture_open(struct store *s)
{
    s->capture = mem_alloc(sizeof *s->capture);
    s->capture->checked = s->capture->installed = -1;
    s->capture->temp_cookie = s->capture->log_cookie = -1;
}

void capture_close(struct store *s)
{
    struct capture *c = s->capture;
    if (!c)
        return;
    collected_free(c->collected);
    arena_fini(&c->log_arena);
    mem_free(c);
    s->capture = NULL;
}

/* ---- what stands ---- */

static enum err object_sql(struct store *s, struct arena *a, const struct capture_object *o,
                           char **sql)
{
    bool row = false;
    *sql = NULL;
    sqlite3_stmt *q =
        store_stmt(s, "SELECT sql FROM main.sqlite_schema WHERE name = ?1 AND type = ?2");
    if (q) {
        store_bind_text(q, 1, o->name);
        store_bind_text(q, 2, o->is_table ? "table" : "trigger");
    }
    enum err e = store_step(s, q, &row);
    if (e == ERR_OK && row) {
        *sql = (char *)store_column_text(a, q, 0);
        sqlite3_reset(q);
    }
    return e;
}

static void plan_fingerprint(const struct capture_plan *p, char out[24])
{
    uint64_t h = VALUE_HASH_SEED;
    for (uint32_t i = 0; i < p->n; i++)
        h = bytes_hash(h, p->object[i].sql, strlen(p->object[i].sql) + 1);
    snprintf(out, 24, "%016llx", (unsigned long long)h);
}

static enum err fingerprint_stands(struct store *s, uint32_t t, const char *fingerprint, bool *same)
{
    bool row = false;
    sqlite3_stmt *q = store_stmt(s, "SELECT 1 FROM tonle_table WHERE t = ?1 AND fingerprint = ?2");
    if (q) {
        sqlite3_bind_int64(q, 1, t);
        store_bind_text(q, 2, fingerprint);
    }
    enum err e = store_step(s, q, &row);
    if (row)
        sqlite3_reset(q);
    *same = row;
    return e;
}

static enum err plan_stands(struct store *s, struct arena *a, uint32_t t,
                            const struct capture_plan *p, bool *stands)
{
    char fingerprint[24];
    plan_fingerprint(p, fingerprint);
    enum err e = fingerprint_stands(s, t, fingerprint, stands);
    for (uint32_t i = 0; e == ERR_OK && *stands && i < p->n; i++) {
        char *sql = NULL;
        e = object_sql(s, a, &p->object[i], &sql);
        *stands = sql && strcmp(sql, p->object[i].sql) == 0;
    }
    return e;
}

static enum err plan_of(struct store *s, struct arena *a, const struct table_schema *t,
                        struct capture_plan *p)
{
    struct table_info info;
    if (t->internal) {
        capture_plan_make(a, t, NULL, p);
        return ERR_OK;
    }
    enum err e = table_info_read(s, a, t->name, &info);
    if (e == ERR_OK)
        capture_plan_make(a, t, &info, p);
    return e;
}

static bool all_stand(struct store *s)
{
    bool stands = schema_load(s) == ERR_OK;
    struct arena a = {0};
    for (uint32_t i = 0; stands && i < s->schema->n_tables; i++) {
        struct capture_plan p;
        if (s->schema->tables[i].t == 0)
            stands = false; /* newly published: it has no number yet */
        else if (s->schema->tables[i].exists &&
                 (plan_of(s, &a, &s->schema->tables[i], &p) != ERR_OK ||
                  plan_stands(s, &a, s->schema->tables[i].t, &p, &stands) != ERR_OK))
            stands = false;
    }
    arena_fini(&a);
    return stands;
}

bool store_capture_check(struct store *s)
{
    struct capture *c = s->capture;
    if (schema_load(s) != ERR_OK)
        return false;
    if (c->checked == schema_cookie(s))
        return true;
    if (!all_stand(s))
        return false;
    bool committed = c->installed != schema_cookie(s) || c->installed_rev != state_version(s);
    c->checked = committed ? schema_cookie(s) : -1;
    return true;
}

/* ---- installing ---- */

static enum err number_tables(struct store *s)
{
    enum err e = schema_load(s);
    bool any = false;
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        if (s->schema->tables[i].t)
            continue;
        sqlite3_stmt *q = store_stmt(s, "INSERT INTO tonle_table(name) VALUES(?1)");
        if (q)
            store_bind_text(q, 1, s->schema->tables[i].name);
        e = store_run(s, q);
        any = true;
    }
    if (e != ERR_OK || !any)
        return e;
    schema_changed(s);
    return schema_load(s);
}

static enum err exec_name(struct store *s, const char *before, const char *name)
{
    struct arena a = {0};
    struct buf b = {0};
    buf_printf(&b, "%s%s", before, schema_quote(&a, name));
    enum err e = store_exec(s, buf_str(&b));
    buf_fini(&b);
    arena_fini(&a);
    return e;
}

/* What each column of the new log takes from the old one: keys and old values by name, mask bits
 * moved to the place of their column in the new order. */
struct row_move {
    struct arena *a;
    const struct table_schema *t;
    uint32_t n_old;
    char **old; /* column names of the old log */
};

static int64_t old_place(const struct row_move *m, const char *prefix, const char *name)
{
    size_t n = strlen(prefix);
    int64_t place = 0;
    for (uint32_t i = 0; i < m->n_old; i++) {
        if (strncmp(m->old[i], prefix, n) != 0)
            continue;
        if (sqlite3_stricmp(m->old[i] + n, name) == 0)
            return place;
        place++;
    }
    return -1;
}

static void put_moved_mask(struct buf *b, const struct row_move *m, uint32_t word)
{
    buf_printf(b, "nullif(0");
    for (uint32_t bit = 0; bit < MASK_BITS && word * MASK_BITS + bit < m->t->n_columns; bit++) {
        int64_t from = old_place(m, "o_", m->t->column[word * MASK_BITS + bit]);
        if (from >= 0)
            buf_printf(b, "|((coalesce(\"m%d\",0)>>%d&1)<<%u)", (int)(from / MASK_BITS),
                       (int)(from % MASK_BITS), bit);
    }
    buf_printf(b, ",0)");
}

static void put_moved(struct buf *b, const struct row_move *m, const char *prefix, const char *name)
{
    char *column = arena_alloc(m->a, strlen(prefix) + strlen(name) + 1);
    strcpy(column, prefix);
    strcat(column, name);
    bool had = old_place(m, prefix, name) >= 0;
    buf_printf(b, ",%s", had ? schema_quote(m->a, column) : "NULL");
}

static char *move_sql(const struct row_move *m)
{
    struct buf b = {0};
    buf_printf(&b, "INSERT INTO tonle_log_%u SELECT \"op\"", m->t->t);
    for (uint32_t i = 0; i < m->t->n_key; i++)
        put_moved(&b, m, "k_", m->t->column[m->t->key[i]]);
    for (uint32_t w = 0; w < capture_words(m->t); w++) {
        buf_printf(&b, ",");
        put_moved_mask(&b, m, w);
    }
    for (uint32_t i = 0; i < m->t->n_columns; i++)
        put_moved(&b, m, "o_", m->t->column[i]);
    buf_printf(&b, " FROM tonle_move_%u ORDER BY rowid", m->t->t);
    return sql_take(m->a, &b);
}

static enum err read_log_columns(struct store *s, struct row_move *m, const char *log)
{
    sqlite3_stmt *q = store_stmt(s, "SELECT name FROM pragma_table_info(?1, 'main') ORDER BY cid");
    size_t cap = 0;
    char **names = NULL;
    enum err e = ERR_OK;
    if (q)
        store_bind_text(q, 1, log);
    for (bool row = true; row;) {
        e = store_step(s, q, &row);
        if (e != ERR_OK || !row)
            break;
        names = mem_grow(names, m->n_old, &cap, sizeof *names);
        names[m->n_old++] = (char *)store_column_text(m->a, q, 0);
    }
    m->old = arena_copy(m->a, names, m->n_old * sizeof *names);
    mem_free(names);
    return e;
}

/* A log of another shape: its rows move over by column name. No ALTER TABLE: it would fail over any
 * broken view or trigger of the application. */
static enum err reshape_log(struct store *s, struct arena *a, const struct table_schema *t,
                            const struct capture_object *log)
{
    struct row_move m = {.a = a, .t = t};
    char copy[96], drop[64];
    snprintf(copy, sizeof copy,
             "CREATE TABLE tonle_move_%u AS SELECT * FROM tonle_log_%u ORDER BY rowid", t->t, t->t);
    snprintf(drop, sizeof drop, "DROP TABLE tonle_move_%u", t->t);
    enum err e = read_log_columns(s, &m, log->name);
    if (e == ERR_OK)
        e = store_exec(s, copy);
    if (e == ERR_OK)
        e = exec_name(s, "DROP TABLE main.", log->name);
    if (e == ERR_OK)
        e = store_exec(s, log->sql);
    if (e == ERR_OK)
        e = store_exec(s, move_sql(&m));
    return e == ERR_OK ? store_exec(s, drop) : e;
}

static enum err install_object(struct store *s, struct arena *a, const struct table_schema *t,
                               const struct capture_object *o)
{
    char *sql = NULL;
    enum err e = object_sql(s, a, o, &sql);
    if (e != ERR_OK || (sql && strcmp(sql, o->sql) == 0))
        return e;
    if (o->is_table && sql)
        return reshape_log(s, a, t, o);
    if (sql)
        e = exec_name(s, "DROP TRIGGER main.", o->name);
    return e == ERR_OK ? store_exec(s, o->sql) : e;
}

static enum err install_table(struct store *s, struct arena *a, const struct table_schema *t)
{
    struct capture_plan p;
    bool stands = false;
    enum err e = plan_of(s, a, t, &p);
    if (e == ERR_OK)
        e = plan_stands(s, a, t->t, &p, &stands);
    if (e != ERR_OK || stands)
        return e;
    for (uint32_t i = 0; e == ERR_OK && i < p.n; i++)
        e = install_object(s, a, t, &p.object[i]);
    char fingerprint[24];
    plan_fingerprint(&p, fingerprint);
    sqlite3_stmt *q =
        e == ERR_OK ? store_stmt(s, "UPDATE tonle_table SET fingerprint = ?2 WHERE t = ?1") : NULL;
    if (q) {
        sqlite3_bind_int64(q, 1, t->t);
        store_bind_text(q, 2, fingerprint);
    }
    return e == ERR_OK ? store_run(s, q) : e;
}

/* Whether tonle_<kind>_<t> belongs to a table that is published and here. */
static bool still_wanted(struct store *s, const char *name)
{
    const char *number = strrchr(name, '_');
    struct table_schema *t =
        schema_by_number(s, number ? (uint32_t)strtoul(number + 1, NULL, 10) : 0);
    bool sums = strncmp(name, "tonle_sum_", 10) == 0;
    return t && t->exists && (!sums || capture_sums(t));
}

/* A log that still holds something is kept for when its table is published again. */
static enum err drop_log(struct store *s, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "SELECT EXISTS(SELECT 1 FROM %s)", name);
    bool empty = store_pragma(s, buf_str(&b)) == 0;
    buf_fini(&b);
    return empty ? exec_name(s, "DROP TABLE main.", name) : ERR_OK;
}

static enum err drop_unwanted(struct store *s, struct arena *a)
{
    size_t cap = 0, n = 0;
    char **names = NULL;
    enum err e = ERR_OK;
    sqlite3_stmt *q =
        store_stmt(s, "SELECT name FROM main.sqlite_schema WHERE"
                      " (type = 'trigger' AND name GLOB 'tonle_[a-z][a-z][a-z]_[0-9]*')"
                      " OR (type = 'table' AND name GLOB 'tonle_log_[0-9]*')");
    for (bool row = true; row;) {
        e = store_step(s, q, &row);
        if (e != ERR_OK || !row)
            break;
        const char *name = (const char *)sqlite3_column_text(q, 0);
        if (still_wanted(s, name))
            continue;
        names = mem_grow(names, n, &cap, sizeof *names);
        names[n++] = arena_strdup(a, name);
    }
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        bool log = strncmp(names[i], "tonle_log_", 10) == 0;
        e = log ? drop_log(s, names[i]) : exec_name(s, "DROP TRIGGER main.", names[i]);
    }
    mem_free(names);
    return e;
}

enum err store_capture_install(struct store *s)
{
    struct capture *c = s->capture;
    struct arena a = {0};
    enum err e = number_tables(s);
    if (e == ERR_OK)
        e = drop_unwanted(s, &a);
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        if (s->schema->tables[i].exists)
            e = install_table(s, &a, &s->schema->tables[i]);
    }
    arena_fini(&a);
    if (e == ERR_OK)
        e = schema_load(s);
    c->installed = schema_cookie(s);
    c->installed_rev = state_version(s);
    c->checked = -1;
    return e == ERR_OK ? capture_temp_triggers(s) : e;
}

/* ---- the logs ---- */

static enum err find_logs(struct store *s, struct capture *c)
{
    struct buf b = {0};
    enum err e = ERR_OK;
    buf_printf(&b, "SELECT EXISTS(SELECT 1 FROM tonle_todo)");
    arena_reset(&c->log_arena);
    c->has_log = arena_alloc(&c->log_arena, s->schema->n_tables);
    sqlite3_stmt *q = store_stmt(s, "SELECT substr(name, 11) FROM main.sqlite_schema"
                                    " WHERE type = 'table' AND name GLOB 'tonle_log_[0-9]*'");
    for (bool row = true; row;) {
        e = store_step(s, q, &row);
        if (e != ERR_OK || !row)
            break;
        struct table_schema *t = schema_by_number(s, (uint32_t)sqlite3_column_int64(q, 0));
        if (!t || !t->exists)
            continue;
        c->has_log[t - s->schema->tables] = true;
        buf_printf(&b, " OR EXISTS(SELECT 1 FROM tonle_log_%u)", t->t);
    }
    c->pending_sql = arena_strdup(&c->log_arena, buf_str(&b));
    buf_fini(&b);
    return e;
}

enum err capture_logs(struct store *s, struct capture **out)
{
    struct capture *c = s->capture;
    *out = c;
    enum err e = schema_load(s);
    if (e != ERR_OK || c->log_cookie == schema_cookie(s))
        return e;
    c->log_cookie = -1;
    e = find_logs(s, c);
    if (e == ERR_OK)
        c->log_cookie = schema_cookie(s);
    return e;
}

bool store_capture_pending(struct store *s)
{
    struct capture *c;
    if (!store_is_ready(s) || capture_logs(s, &c) != ERR_OK)
        return false;
    return store_pragma(s, c->pending_sql) == 1;
}

enum err capture_has(struct store *s, const struct table_schema *t, const void *key, size_t len,
                     bool *yes)
{
    struct arena a = {0};
    struct buf b = {0};
    *yes = false;
    buf_printf(&b, "SELECT 1 FROM main.tonle_log_%u WHERE 1", t->t);
    for (uint32_t i = 0; i < t->n_key; i++)
        buf_printf(&b, " AND %s = ?%u", capture_name(&a, "k_", t->column[t->key[i]]), i + 1);
    buf_printf(&b, " LIMIT 1");
    sqlite3_stmt *q = store_stmt(s, buf_str(&b));
    buf_fini(&b);
    struct value *v = arena_alloc(&a, t->n_key * sizeof *v);
    enum err e = q ? key_decode(key, len, v, t->n_key) : ERR_SCHEMA;
    for (uint32_t i = 0; e == ERR_OK && i < t->n_key; i++)
        store_bind(q, (int)i + 1, &v[i]);
    if (e == ERR_OK)
        e = store_step(s, q, yes);
    if (*yes)
        sqlite3_reset(q);
    arena_fini(&a);
    return e;
}

/* ---- our own writes ---- */

static char *note_sql(struct arena *a, const struct table_schema *t)
{
    struct buf b = {0};
    uint32_t n = 1 + t->n_key + capture_words(t) + t->n_columns;
    buf_printf(&b, "INSERT INTO main.tonle_log_%u VALUES(?1", t->t);
    for (uint32_t i = 2; i <= n; i++)
        buf_printf(&b, ",?%u", i);
    buf_printf(&b, ")");
    return sql_take(a, &b);
}

static int64_t mask_word(const struct table_schema *t, uint64_t mask, uint32_t word)
{
    uint64_t out = 0;
    for (uint32_t bit = 0; bit < MASK_BITS && word * MASK_BITS + bit < t->n_columns; bit++) {
        uint32_t column = word * MASK_BITS + bit;
        if (mask >> (column < 63 ? column : 63) & 1)
            out |= (uint64_t)1 << bit;
    }
    return (int64_t)out;
}

enum err capture_note(struct store *s, const struct table_schema *t, enum change_kind kind,
                      uint64_t column_mask, const struct value *columns)
{
    struct arena a = {0};
    struct capture_plan p;
    char *sql = note_sql(&a, t);
    sqlite3_stmt *q = store_stmt(s, sql);
    enum err e = ERR_OK;
    if (!q) { /* before the first install */
        capture_plan_make(&a, t, NULL, &p);
        e = install_object(s, &a, t, &p.object[0]);
        q = e == ERR_OK ? store_stmt(s, sql) : NULL;
    }
    int i = 1;
    if (q) {
        sqlite3_bind_int(q, i++,
                         kind == CHANGE_BORN     ? OP_INSERT
                         : kind == CHANGE_UPDATE ? OP_UPDATE
                                                 : OP_DELETE);
        for (uint32_t k = 0; k < t->n_key; k++)
            store_bind(q, i++, &columns[t->key[k]]);
        for (uint32_t w = 0; w < capture_words(t); w++, i++) {
            if (kind == CHANGE_UPDATE)
                sqlite3_bind_int64(q, i, mask_word(t, column_mask, w));
        }
        for (uint32_t c = 0; kind == CHANGE_DELETE && c < t->n_columns; c++)
            store_bind(q, i++, &columns[c]);
    }
    e = e == ERR_OK ? store_run(s, q) : e;
    if (q)
        sqlite3_clear_bindings(q);
    arena_fini(&a);
    return e;
}
