/* Installing capture, telling whether it stands, and noting our own writes.
 *
 * What must stand is generated anew from the present schema (capture_plan) and compared with what
 * does stand in sqlite_schema, text by text: a dropped or altered trigger, a changed table and a
 * changed charter all show as a difference. The fingerprint in tonle_table is the hash of that
 * text. */
#include "node/capture/capture.h"
#include "node/capture/gap.h"
#include "node/capture/log.h"
#include "node/db/query.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what stands ---- */

/* *sql: the text that stands under the object's name, or NULL. */
static enum err object_sql(struct store *s, struct arena *a, const struct capture_object *o,
                           const char **sql)
{
    struct query q = DB_QUERY(s, "SELECT sql FROM main.sqlite_schema WHERE name = ?1 AND type = ?2",
                              value_text(o->name), value_text(o->is_table ? "table" : "trigger"));
    *sql = query_next(&q) ? query_text(&q, a, 0) : NULL;
    return query_end(&q);
}

static void plan_fingerprint(const struct capture_plan *p, char out[24])
{
    uint64_t h = VALUE_HASH_SEED;
    for (uint32_t i = 0; i < p->n; i++)
        h = bytes_hash(h, p->object[i].sql, strlen(p->object[i].sql) + 1);
    snprintf(out, 24, "%016llx", (unsigned long long)h);
}

/* A table that was made anew stands behind its log in sqlite_schema; a VACUUM keeps the order. So a
 * rebuild shows also where the tool copied our triggers. */
static enum err is_rebuilt(struct store *s, const struct table_schema *t, bool *yes)
{
    char log[32];
    snprintf(log, sizeof log, "tonle_log_%u", t->t);
    struct query q = DB_QUERY(s,
                              "SELECT max(l.rowid) < max(t.rowid) FROM main.sqlite_schema l,"
                              " main.sqlite_schema t WHERE l.type = 'table' AND l.name = ?1"
                              " AND t.type = 'table' AND t.name = ?2 COLLATE NOCASE",
                              value_text(log), value_text(t->name));
    *yes = query_next(&q) && query_i64(&q, 0) == 1;
    return query_end(&q);
}

static enum err fingerprint_read(struct store *s, struct arena *a, uint32_t t, const char **text)
{
    struct query q =
        DB_QUERY(s, "SELECT fingerprint FROM tonle_table WHERE t = ?1", value_integer(t));
    *text = query_next(&q) ? query_text(&q, a, 0) : "";
    return query_end(&q);
}

static enum err plan_stands(struct store *s, struct arena *a, const struct table_schema *t,
                            const struct capture_plan *p, bool *stands)
{
    char fingerprint[24];
    const char *installed;
    bool rebuilt = false;
    plan_fingerprint(p, fingerprint);
    enum err e = fingerprint_read(s, a, t->t, &installed);
    *stands = e == ERR_OK && strcmp(installed, fingerprint) == 0;
    if (e == ERR_OK && *stands)
        e = is_rebuilt(s, t, &rebuilt);
    *stands = *stands && !rebuilt;
    for (uint32_t i = 0; e == ERR_OK && *stands && i < p->n; i++) {
        const char *sql;
        e = object_sql(s, a, &p->object[i], &sql);
        *stands = sql && strcmp(sql, p->object[i].sql) == 0;
    }
    return e;
}

/* Whether what was installed for a table does not stand as it was: what was written since then may
 * not be in the log. A table that was never installed has no gap. */
static enum err was_away(struct store *s, struct arena *a, const struct table_schema *t, bool *away)
{
    const char *installed;
    struct capture_plan found = {0};
    bool rebuilt = false;
    enum err e = fingerprint_read(s, a, t->t, &installed);
    *away = false;
    if (e != ERR_OK || installed[0] == '\0' || t->internal)
        return e;
    for (size_t i = 0; e == ERR_OK && i < CAPTURE_KINDS; i++) {
        struct capture_object *o = &found.object[found.n];
        const char *sql;
        *o = (struct capture_object){.is_table = i == 0};
        snprintf(o->name, sizeof o->name, "tonle_%s_%u", capture_kind[i], t->t);
        e = object_sql(s, a, o, &sql);
        if (e == ERR_OK && sql) {
            o->sql = arena_strdup(a, sql);
            found.n++;
        }
    }
    if (e == ERR_OK)
        e = is_rebuilt(s, t, &rebuilt);
    char stands[24];
    plan_fingerprint(&found, stands);
    *away = rebuilt || !t->exists || strcmp(stands, installed) != 0;
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

/* A table that was here and is not any more is away from when that is seen first. */
static enum err away_noted(struct store *s, struct arena *a, const struct table_schema *t,
                           bool *noted)
{
    enum gap_state state = GAP_OPEN;
    const char *installed;
    enum err e = fingerprint_read(s, a, t->t, &installed);
    if (e == ERR_OK && installed[0] != '\0' && !t->internal)
        e = gap_state_of(s, t->t, &state);
    *noted = state == GAP_OPEN;
    return e;
}

static enum err table_stands(struct store *s, struct arena *a, const struct table_schema *t,
                             bool *stands)
{
    struct capture_plan p;
    *stands = false;
    if (t->t == 0) /* newly published: it has no number yet */
        return ERR_OK;
    if (!t->exists)
        return away_noted(s, a, t, stands);
    enum err e = plan_of(s, a, t, &p);
    return e == ERR_OK ? plan_stands(s, a, t, &p, stands) : e;
}

static bool all_stand(struct store *s)
{
    bool stands = schema_load(s) == ERR_OK;
    struct arena a = {0};
    for (uint32_t i = 0; stands && i < s->schema->n_tables; i++) {
        enum err e = table_stands(s, &a, &s->schema->tables[i], &stands);
        stands = stands && e == ERR_OK;
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

static enum err awaits_rows(struct store *s, struct arena *a, const struct table_schema *t,
                            bool *awaits)
{
    struct buf sql = {0};
    int64_t empty = 0;
    enum err e = was_away(s, a, t, awaits);
    *awaits = *awaits && t->exists;
    if (e != ERR_OK || !*awaits)
        return e;
    buf_printf(&sql, "SELECT NOT EXISTS(SELECT 1 FROM %s)", t->qname);
    e = db_number(s, buf_str(&sql), &empty);
    buf_fini(&sql);
    *awaits = empty == 1;
    return e;
}

enum err store_capture_refilled(struct store *s, bool *awaited)
{
    struct arena a = {0};
    enum err e = schema_load(s);
    *awaited = false;
    for (uint32_t i = 0; e == ERR_OK && !*awaited && i < s->schema->n_tables; i++)
        e = awaits_rows(s, &a, &s->schema->tables[i], awaited);
    arena_fini(&a);
    return e;
}

/* ---- installing ---- */

static enum err number_tables(struct store *s)
{
    enum err e = schema_load(s);
    bool any = false;
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        if (s->schema->tables[i].t)
            continue;
        e = DB_RUN(s, "INSERT INTO tonle_table(name) VALUES(?1)",
                   value_text(s->schema->tables[i].name));
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
    const char **old; /* column names of the old log */
};

static int64_t old_place(const struct row_move *m, const char *prefix, const char *name)
{
    size_t n = strlen(prefix);
    int64_t place = 0;
    for (uint32_t i = 0; i < m->n_old; i++) {
        if (strncmp(m->old[i], prefix, n) != 0)
            continue;
        if (db_same_name(m->old[i] + n, name))
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
    struct query q =
        DB_QUERY(s, "SELECT name FROM pragma_table_info(?1, 'main') ORDER BY cid", value_text(log));
    size_t cap = 0;
    while (query_next(&q)) {
        m->old = arena_grow(m->a, m->old, m->n_old, &cap, sizeof *m->old);
        m->old[m->n_old++] = query_text(&q, m->a, 0);
    }
    return query_end(&q);
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
    const char *sql;
    enum err e = object_sql(s, a, o, &sql);
    if (e != ERR_OK || (sql && strcmp(sql, o->sql) == 0))
        return e;
    if (o->is_table && sql)
        return reshape_log(s, a, t, o);
    if (sql)
        e = exec_name(s, "DROP TRIGGER main.", o->name);
    return e == ERR_OK ? store_exec(s, o->sql) : e;
}

/* Rows without a key that are here already are told by the next seal. */
static enum err note_keyless(struct store *s, struct arena *a, const struct table_schema *t)
{
    struct table_info info = {0};
    struct buf keys = {0}, into = {0}, where = {0}, sql = {0};
    enum err e = t->internal ? ERR_OK : table_info_read(s, a, t->name, &info);
    for (uint32_t i = 0; info.null_keys && i < t->n_key; i++) {
        const char *name = t->column[t->key[i]];
        buf_printf(&keys, ",%s", schema_quote(a, name));
        buf_printf(&into, ",%s", capture_name(a, "k_", name));
        buf_printf(&where, "%s%s IS NULL", i ? " OR " : "", schema_quote(a, name));
    }
    buf_printf(&sql,
               "INSERT INTO main.tonle_log_%u(\"op\"%s) SELECT DISTINCT %d%s FROM %s WHERE %s",
               t->t, buf_str(&into), (int)OP_INSERT, buf_str(&keys), t->qname, buf_str(&where));
    if (e == ERR_OK && info.null_keys)
        e = store_exec(s, buf_str(&sql));
    buf_fini(&keys);
    buf_fini(&into);
    buf_fini(&where);
    buf_fini(&sql);
    return e;
}

static enum err install_table(struct store *s, struct arena *a, const struct table_schema *t)
{
    struct capture_plan p;
    bool stands = false;
    enum err e = plan_of(s, a, t, &p);
    if (e == ERR_OK)
        e = plan_stands(s, a, t, &p, &stands);
    if (e != ERR_OK || stands)
        return e;
    bool rebuilt = false;
    if (e == ERR_OK)
        e = is_rebuilt(s, t, &rebuilt);
    if (e == ERR_OK && rebuilt) /* behind its table again */
        e = reshape_log(s, a, t, &p.object[0]);
    for (uint32_t i = 0; e == ERR_OK && i < p.n; i++)
        e = install_object(s, a, t, &p.object[i]);
    if (e == ERR_OK)
        e = note_keyless(s, a, t);
    char fingerprint[24];
    plan_fingerprint(&p, fingerprint);
    return e == ERR_OK ? DB_RUN(s, "UPDATE tonle_table SET fingerprint = ?2 WHERE t = ?1",
                                value_integer(t->t), value_text(fingerprint))
                       : e;
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
    int64_t any;
    enum err e = db_number(s, buf_str(&b), &any);
    buf_fini(&b);
    return e == ERR_OK && !any ? exec_name(s, "DROP TABLE main.", name) : e;
}

static enum err drop_unwanted(struct store *s, struct arena *a)
{
    size_t cap = 0, n = 0;
    const char **names = NULL;
    struct query q = DB_QUERY(s, "SELECT name FROM main.sqlite_schema WHERE"
                                 " (type = 'trigger' AND name GLOB 'tonle_[a-z][a-z][a-z]_[0-9]*')"
                                 " OR (type = 'table' AND name GLOB 'tonle_log_[0-9]*')");
    while (query_next(&q)) {
        const char *name = query_borrow_text(&q, 0);
        if (still_wanted(s, name))
            continue;
        names = arena_grow(a, names, n, &cap, sizeof *names);
        names[n++] = arena_strdup(a, name);
    }
    enum err e = query_end(&q);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        bool log = strncmp(names[i], "tonle_log_", 10) == 0;
        e = log ? drop_log(s, names[i]) : exec_name(s, "DROP TRIGGER main.", names[i]);
    }
    return e;
}

/* Before anything is put back: the clock is still the one at the beginning of each gap. */
static enum err note_gaps(struct store *s, struct arena *a)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        const struct table_schema *t = &s->schema->tables[i];
        bool away = false;
        e = was_away(s, a, t, &away);
        if (e == ERR_OK && away)
            e = gap_open(s, t->t, t->name);
    }
    return e;
}

enum err store_capture_install(struct store *s)
{
    struct capture *c = s->capture;
    struct arena a = {0};
    assert(s->in_write);
    enum err e = number_tables(s);
    if (e == ERR_OK)
        e = note_gaps(s, &a);
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

/* op, key, masks, and what was before a delete or OP_SUMS; the rest is NULL. */
static struct value *note_values(struct arena *a, const struct table_schema *t, enum capture_op op,
                                 uint64_t column_mask, const struct value *columns, uint32_t *n)
{
    uint32_t words = capture_words(t);
    *n = 1 + t->n_key + words + t->n_columns;
    struct value *v = arena_alloc(a, *n * sizeof *v), *at = v;
    *at++ = value_integer(op);
    for (uint32_t k = 0; k < t->n_key; k++)
        *at++ = columns[t->key[k]];
    for (uint32_t w = 0; w < words; w++, at++)
        *at = op == OP_UPDATE ? value_integer(mask_word(t, column_mask, w)) : value_null();
    for (uint32_t c = 0; c < t->n_columns; c++)
        *at++ = op == OP_DELETE || op == OP_SUMS ? columns[c] : value_null();
    assert(at == v + *n);
    return v;
}

static enum err note(struct store *s, const struct table_schema *t, enum capture_op op,
                     uint64_t column_mask, const struct value *columns)
{
    struct arena a = {0};
    struct capture_plan p;
    uint32_t n;
    assert(s->in_write && t->t);
    const struct value *v = note_values(&a, t, op, column_mask, columns, &n);
    const char *sql = note_sql(&a, t);
    enum err e = query_run(s, sql, n, v);
    if (e == ERR_SCHEMA) { /* before the first install */
        capture_plan_make(&a, t, NULL, &p);
        e = install_object(s, &a, t, &p.object[0]);
        if (e == ERR_OK)
            e = query_run(s, sql, n, v);
    }
    arena_fini(&a);
    return e;
}

enum err capture_note(struct store *s, const struct table_schema *t, enum change_kind kind,
                      uint64_t column_mask, const struct value *columns)
{
    static const enum capture_op op[] = {
        [CHANGE_BORN] = OP_INSERT, [CHANGE_UPDATE] = OP_UPDATE, [CHANGE_DELETE] = OP_DELETE};
    return note(s, t, op[kind], column_mask, columns);
}

enum err capture_note_before(struct store *s, const struct table_schema *t,
                             const struct value *before)
{
    return note(s, t, OP_SUMS, 0, before);
}
