/* Who wrote this value (--gaps). An office publishes as its own only what its own application wrote
 * there; every value that stands anywhere was written by somebody; and a stray (gaps.c) is at every
 * office, or on record as a conflict, or has been published (the other oracles follow it then), or
 * waits at its office on record for a person. The person takes the one or the other, and everything
 * is alike.
 *
 * What the offices have is brought together in one database in memory, and asked there. */
#include "tests/sim/world.h"

#include "node/db/query.h"
#include "node/record/record.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char tables[] = "CREATE TABLE wrote(office, n, t, k, c, v, stray);"
                             "CREATE INDEX wrote_cell ON wrote(t, k, c);"
                             "CREATE TABLE published(office, t, k, c, v);"
                             "CREATE INDEX published_cell ON published(t, k, c);"
                             "CREATE TABLE stands(office, t, k, c, v);"
                             "CREATE INDEX stands_cell ON stands(t, k, c);"
                             "CREATE TABLE recorded(office, t, k, c, v, detail);"
                             "CREATE INDEX recorded_cell ON recorded(t, k);"
                             "CREATE TABLE holds(office, t, k);"
                             "CREATE INDEX holds_key ON holds(t, k);"
                             "CREATE TABLE kept(office, t, k, c, v);"
                             "CREATE INDEX kept_cell ON kept(t, k, c);"
                             "CREATE TABLE waits(office, t, deleted)";

static void ask(struct world *w, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(w->strays, sql, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, message);
        abort();
    }
}

void stray_start(struct world *w)
{
    if (sqlite3_open_v2(":memory:", &w->strays,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY,
                        NULL) != SQLITE_OK)
        abort();
    ask(w, tables);
}

void stray_fini(struct world *w)
{
    sqlite3_close(w->strays);
    w->strays = NULL;
}

/* ---- what an office seals */

static const struct noted_table *noted_by_name(const char *name)
{
    for (int i = 0; i < NOTED_TABLES; i++) {
        if (strcmp(noted_table[i].name, name) == 0)
            return &noted_table[i];
    }
    return NULL;
}

/* The row that the query is at, into the database of all; what else is bound stays. */
static void put(struct world *w, const char *sql, int office, sqlite3_stmt *from)
{
    sqlite3_stmt *to = NULL;
    if (sqlite3_prepare_v2(w->strays, sql, -1, &to, NULL) != SQLITE_OK)
        abort();
    sqlite3_bind_int(to, 1, office);
    for (int i = 0; i < sqlite3_bind_parameter_count(to) - 1; i++)
        sqlite3_bind_value(to, i + 2, sqlite3_column_value(from, i));
    sqlite3_step(to);
    if (sqlite3_finalize(to) != SQLITE_OK)
        abort();
}

/* What another office did to a row that only it had, under the key of one that only this office
 * has: nobody can tell the two, and so it was done to the row here. */
static bool came_as_nobodys(const struct machine *m, const struct table_changes *tc,
                            const struct row_change *rc, const char *cell, const struct value *v)
{
    struct buf key = {0};
    const struct table_schema *t = schema_table(m->watch, tc->table);
    key_encode(&key, rc->key, tc->n_key);
    const struct model_row *r =
        model_find(&m->model, (uint32_t)(t - m->watch->schema->tables), key.data, key.len);
    buf_fini(&key);
    for (size_t i = 0; r && i < r->n_nobody; i++) {
        const struct change *ch = &r->nobody[i].ch;
        for (uint32_t c = 0; c < ch->n_cells; c++)
            if (strcmp(t->column[ch->column[c]], cell) == 0 && value_equal(&ch->value[c], v))
                return true;
    }
    return false;
}

static void publish(struct world *w, struct machine *m, const struct table_changes *tc,
                    const struct row_change *rc, const char *cell, struct value v)
{
    char sql[512];
    const char *key = tc->n_key == 2 ? "quote(?4) || ',' || quote(?5)" : "quote(?4)";
    snprintf(sql, sizeof sql,
             "SELECT ?1, %s, ?2, ?3, EXISTS(SELECT 1 FROM app_wrote WHERE t = ?1 AND k = %s AND"
             " c = ?2 AND v IS ?3)",
             key, key);
    struct query q = DB_QUERY(m->watch, sql, value_text(tc->table), value_text(cell), v);
    query_bind_values(&q, 4, tc->n_key, rc->key);
    if (query_next(&q)) {
        put(w, "INSERT INTO published VALUES(?1, ?2, ?3, ?4, ?5)", (int)(m - w->m), q.stmt);
        /* a person may say: as it is here */
        if (!query_i64(&q, 4) && !w->deciding && !came_as_nobodys(m, tc, rc, cell, &v))
            world_break(w, "7", "%s: publishes %s of %s %s = %s, its application never wrote it",
                        m->o.name, cell, tc->table, query_borrow_text(&q, 1),
                        query_is_null(&q, 3) ? "NULL" : query_borrow_text(&q, 3));
    }
    oracle_end(w, m, &q);
}

/* The last of the writes of this value. Whoever writes what is there already has not changed it:
 * the first who wrote it did; 0 if nobody noted that one. */
static uint64_t captured(struct store *s, const struct table_changes *tc,
                         const struct row_change *rc, const char *cell, struct value v)
{
    char sql[512];
    snprintf(
        sql, sizeof sql,
        "WITH cell AS (SELECT n, v, stray FROM app_wrote WHERE t = ?1 AND c = ?2 AND k = %s)"
        " SELECT stray OR (SELECT x.stray FROM cell x WHERE x.v IS ?3 ORDER BY x.n DESC LIMIT 1),"
        " (SELECT max(n) FROM cell WHERE v IS ?3 AND stray = 0) FROM cell"
        " WHERE v IS ?3 AND n > (SELECT coalesce(max(n), 0) FROM cell WHERE v IS NOT ?3"
        " AND n < (SELECT max(n) FROM cell WHERE v IS ?3))"
        " ORDER BY n LIMIT 1",
        tc->n_key == 2 ? "quote(?4) || ',' || quote(?5)" : "quote(?4)");
    struct query q = DB_QUERY(s, sql, value_text(tc->table), value_text(cell), v);
    query_bind_values(&q, 4, tc->n_key, rc->key);
    uint64_t n = query_next(&q) && query_i64(&q, 0) == 0 ? query_u64(&q, 1) : 0;
    return query_end(&q) == ERR_OK ? n : 0;
}

uint64_t stray_captured(struct store *s, const struct table_changes *tc,
                        const struct row_change *rc)
{
    uint64_t last = rc->kind == CHANGE_DELETE ? captured(s, tc, rc, "exists", value_integer(0)) : 0;
    for (uint32_t i = 0; rc->kind == CHANGE_UPDATE && i < rc->n_cells; i++) {
        uint64_t n = captured(s, tc, rc, tc->columns[rc->column[i]], rc->value[i]);
        last = n > last ? n : last;
    }
    return last;
}

void stray_check(struct world *w, struct machine *m, const struct table_changes *tc,
                 const struct row_change *rc)
{
    const struct noted_table *t = noted_by_name(tc->table);
    if (!t)
        return;
    if (rc->kind != CHANGE_UPDATE)
        publish(w, m, tc, rc, "exists", value_integer(rc->kind == CHANGE_BORN));
    for (uint32_t i = 0; rc->kind != CHANGE_DELETE && i < rc->n_cells; i++) {
        const char *name = tc->columns[rc->column[i]];
        for (int c = 0; c < NOTED_COLUMNS && t->column[c]; c++) {
            if (strcmp(t->column[c], name) == 0)
                publish(w, m, tc, rc, name, rc->value[i]);
        }
    }
}

/* ---- where capture is away, as the office knows it */

bool stray_doubt(const struct machine *m)
{
    return m->flipped ||
           database_number(m->watch,
                           "SELECT EXISTS(SELECT 1 FROM tonle_gap) OR EXISTS(SELECT 1 FROM"
                           " sqlite_schema t WHERE type = 'table' AND name IN ('house', 'person',"
                           " 'receipt') AND NOT EXISTS(SELECT 1 FROM sqlite_schema x WHERE x.type ="
                           " 'trigger' AND x.tbl_name = t.name AND x.name LIKE 'tonle!_%'"
                           " ESCAPE '!'))") != 0;
}

bool stray_kept_out(const struct machine *m)
{
    return database_number(m->watch,
                           "SELECT EXISTS(SELECT 1 FROM tonle_held WHERE reason = 'local')") != 0;
}

bool stray_open_gap(const struct machine *m)
{
    return database_number(m->o.store, "SELECT EXISTS(SELECT 1 FROM tonle_gap WHERE state = 1)") !=
           0;
}

static bool waits(const struct machine *m)
{
    return database_number(m->o.store, "SELECT EXISTS(SELECT 1 FROM tonle_gap)") != 0;
}

/* ---- at rest */

static void copy(struct world *w, struct machine *m, const char *from, const char *to)
{
    struct query q = query_of(m->watch, from, 0, NULL);
    while (query_next(&q))
        put(w, to, (int)(m - w->m), q.stmt);
    oracle_end(w, m, &q);
}

static void copy_table(struct world *w, struct machine *m, const struct noted_table *t)
{
    for (int c = -1; c < NOTED_COLUMNS && (c < 0 || t->column[c]); c++) {
        struct buf b = {0};
        buf_printf(&b, "SELECT '%s', ", t->name);
        noted_key(&b, t, "");
        if (c < 0)
            buf_printf(&b, ", 'exists', 1 FROM %s", t->name);
        else
            buf_printf(&b, ", '%s', %s FROM %s", t->column[c], t->column[c], t->name);
        copy(w, m, buf_str(&b), "INSERT INTO stands VALUES(?1, ?2, ?3, ?4, ?5)");
        buf_fini(&b);
    }
}

#define KEY_OF(key)                                                                                \
    "CASE json_type(" #key ") WHEN 'array' THEN quote(json_extract(" #key ", '$[0]')) || ',' ||"   \
    " quote(json_extract(" #key ", '$[1]')) ELSE quote(json_extract(" #key ", '$')) END"

static void keep_value(struct world *w, int office, struct query *held, const char *column,
                       const struct value *v)
{
    sqlite3_stmt *to = NULL;
    if (sqlite3_prepare_v2(w->strays, "INSERT INTO kept VALUES(?1, ?2, ?3, ?4, ?5)", -1, &to,
                           NULL) != SQLITE_OK)
        abort();
    sqlite3_bind_int(to, 1, office);
    sqlite3_bind_value(to, 2, sqlite3_column_value(held->stmt, 0));
    sqlite3_bind_value(to, 3, sqlite3_column_value(held->stmt, 1));
    sqlite3_bind_text(to, 4, column, -1, SQLITE_STATIC);
    if (v->type == VALUE_INTEGER)
        sqlite3_bind_int64(to, 5, v->u.i);
    else if (v->type == VALUE_TEXT)
        sqlite3_bind_text(to, 5, (const char *)v->u.p, (int)v->len, SQLITE_STATIC);
    sqlite3_step(to);
    if (sqlite3_finalize(to) != SQLITE_OK)
        abort();
}

/* The values of the rows that are held here. */
static void copy_held(struct world *w, struct machine *m)
{
    struct arena a = {0};
    struct query q =
        DB_QUERY(m->watch, "SELECT table_name, " KEY_OF(key) ", t, k, site, seq FROM tonle_held");
    while (query_next(&q)) {
        const struct table_schema *t = schema_by_number(m->watch, (uint32_t)query_u64(&q, 2));
        struct bytes k = query_bytes(&q, &a, 3);
        struct row row;
        if (!t || row_load(m->watch, &a, (struct row_key){t, k.p, k.len}, &row, NULL) != ERR_OK)
            continue;
        const struct birth *b =
            row_find_birth(&row, (struct dot){query_u64(&q, 4), query_u64(&q, 5)});
        if (!b) /* its name is forgotten by now */
            b = row_find_birth(&row, (struct dot){0});
        const struct value one = value_integer(1);
        if (b)
            keep_value(w, (int)(m - w->m), &q, "exists", &one);
        const struct value *v = b && b->values ? birth_shown(&a, b, &t->rules) : NULL;
        for (uint32_t c = 0; v && c < t->n_columns; c++)
            keep_value(w, (int)(m - w->m), &q, t->column[c], &v[c]);
    }
    oracle_end(w, m, &q);
    arena_fini(&a);
}

static void bring_together(struct world *w)
{
    ask(w, "BEGIN; DELETE FROM wrote; DELETE FROM stands; DELETE FROM recorded; DELETE FROM waits;"
           " DELETE FROM holds; DELETE FROM kept");
    for (int i = 0; i < w->n; i++) {
        struct machine *m = &w->m[i];
        copy(w, m, "SELECT n, t, k, c, v, stray FROM app_wrote",
             "INSERT INTO wrote VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
        copy(w, m,
             "SELECT c.table_name, " KEY_OF(
                 c.key) ", c.cell, s.value, s.detail"
                        " FROM tonle_conflict c JOIN tonle_conflict_side s ON s.conflict = c.id",
             "INSERT INTO recorded VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
        copy(w, m, "SELECT table_name, " KEY_OF(key) " FROM tonle_held WHERE reason = 'birth'",
             "INSERT INTO holds VALUES(?1, ?2, ?3)");
        copy(w, m, "SELECT table_name, deleted FROM tonle_gap WHERE state = 2",
             "INSERT INTO waits VALUES(?1, ?2, ?3)");
        copy_held(w, m);
        for (int t = 0; t < NOTED_TABLES; t++)
            copy_table(w, m, &noted_table[t]);
    }
    ask(w, "COMMIT");
}

/* The first row is one for which the promise does not hold: whose, and what. */
static void none(struct world *w, const char *promise, const char *what, const char *sql)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(w->strays, sql, -1, &q, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(w->strays));
        abort();
    }
    sqlite3_bind_int(q, 1, w->n);
    if (sqlite3_step(q) == SQLITE_ROW)
        world_break(
            w, promise, "%s: %s %s %s = %s: %s", w->m[sqlite3_column_int(q, 0)].o.name,
            (const char *)sqlite3_column_text(q, 1), (const char *)sqlite3_column_text(q, 2),
            (const char *)sqlite3_column_text(q, 3),
            sqlite3_column_type(q, 4) == SQLITE_NULL ? "NULL"
                                                     : (const char *)sqlite3_column_text(q, 4),
            what);
    sqlite3_finalize(q);
}

static void every_stray(struct world *w)
{
    none(w, "2", "written where capture was away, and found nowhere",
         "SELECT office, t, k, c, v FROM wrote s WHERE stray > 0"
         /* its own application has written over it, or deleted the row */
         " AND NOT EXISTS(SELECT 1 FROM wrote x WHERE x.t = s.t AND x.k = s.k AND x.office ="
         " s.office AND x.n > s.n AND (x.c = s.c OR (x.c = 'exists' AND x.v = 0)))"
         /* whoever has published it: one may write what stands there already */
         " AND NOT EXISTS(SELECT 1 FROM published x WHERE x.t = s.t AND x.k = s.k AND x.c = s.c"
         " AND x.v IS s.v)"
         /* at every office; a row that is gone: at none */
         " AND (SELECT count(*) FROM stands x WHERE x.t = s.t AND x.k = s.k AND x.c = s.c AND"
         " (x.v IS s.v OR s.v IS 0 AND s.c = 'exists'))"
         " <> iif(s.c = 'exists' AND s.v = 0, 0, ?1)"
         " AND NOT EXISTS(SELECT 1 FROM recorded x WHERE x.t = s.t AND x.k = s.k AND"
         " ((x.c = s.c AND x.v IS s.v) OR instr(x.detail, json_quote(s.v))))"
         " AND NOT (EXISTS(SELECT 1 FROM waits x WHERE x.office = s.office AND x.t = s.t"
         /* counted, if it is a delete */
         " AND (x.deleted > 0 OR NOT (s.c = 'exists' AND s.v = 0)))"
         " AND (EXISTS(SELECT 1 FROM stands x WHERE x.office = s.office AND x.t = s.t AND x.k ="
         " s.k AND x.c = s.c AND x.v IS s.v)"
         /* or is held, with that value */
         " OR EXISTS(SELECT 1 FROM kept x WHERE x.office = s.office AND x.t = s.t AND x.k ="
         " s.k AND x.c = s.c AND x.v IS s.v)"
         " OR (s.c = 'exists' AND s.v = 0 AND (NOT EXISTS(SELECT 1 FROM stands x WHERE x.office ="
         " s.office AND x.t = s.t AND x.k = s.k)"
         /* or several were born there: another birth stands now, and the delete of one waits */
         " OR (SELECT count(*) FROM published x WHERE x.t = s.t AND x.k = s.k AND"
         " x.c = 'exists' AND x.v = 1) > 1))))"
         " LIMIT 1");
}

/* What one office alone has, beside what it alone holds: nobody else can have written into it. With
 * more births of the key published, and not deleted, than it holds, what stands is everybody's, and
 * was deleted at the others. */
static void every_row_of_nobodys(struct world *w)
{
    none(w, "7", "stands beside a row that only this office holds, and it never wrote it",
         "SELECT s.office, s.t, s.k, s.c, s.v FROM stands s, holds h, waits x"
         " WHERE h.office = s.office AND h.t = s.t AND h.k = s.k AND x.office = s.office AND"
         " x.t = s.t AND NOT EXISTS(SELECT 1 FROM holds y WHERE y.t = s.t AND y.k = s.k AND"
         " y.office <> s.office)"
         " AND (SELECT coalesce(sum(iif(y.v, 1, -1)), 0) FROM published y WHERE y.t = s.t AND"
         " y.k = s.k AND y.c = 'exists') <= (SELECT count(*) FROM holds y WHERE y.t = s.t AND"
         " y.k = s.k)"
         " AND NOT EXISTS(SELECT 1 FROM wrote y WHERE y.office = s.office AND y.t = s.t AND"
         " y.k = s.k AND y.c = s.c AND y.v IS s.v) LIMIT 1");
}

static void every_value(struct world *w)
{
    none(w, "7", "stands, and nobody wrote it",
         "SELECT office, t, k, c, v FROM stands s WHERE NOT EXISTS(SELECT 1 FROM wrote x WHERE"
         " x.t = s.t AND x.k = s.k AND x.c = s.c AND x.v IS s.v) LIMIT 1");
}

/* Somebody looks at this office, and takes the one or the other of what differs. */
static void person(struct world *w, struct machine *m)
{
    static const char *const line[] = {"{\"do\":\"verify_local\"}",
                                       "{\"do\":\"verify_local\",\"take\":\"here\"}",
                                       "{\"do\":\"verify_local\",\"take\":\"there\"}"};
    uint32_t right = w->breach == BREACH_FLIPS ? 1 : 2;
    for (int look = 1; look >= 0 && m->alive && (look || waits(m)); look--) {
        world_aside(w);
        uint32_t take = look ? 0 : w->profile.flips ? right : 1 + world_below(w, 2);
        if (take > 0 && w->profile.flips && !m->flipped)
            return; /* it is that office's file that has changed: what is there is wrong */
        world_aside(w);
        const char *what = line[take];
        /* It may be a row that was never published, or the delete of one. */
        w->taken = w->taken || take > 0;
        struct event ev = {.kind = EVENT_REQUEST,
                           .bytes = (const uint8_t *)what,
                           .len = strlen(what),
                           .request_id = ++w->number};
        if (w->verbose)
            printf("%8llu %s: a person: %s\n", (unsigned long long)w->now, m->o.name, what);
        world_step(w, m, &ev);
        world_run(w, 4000);
        if (w->broken[0] != '\0')
            return;
    }
}

static bool anything_waits(struct world *w)
{
    bool any = false;
    for (int i = 0; i < w->n; i++)
        any = any || (w->m[i].alive && waits(&w->m[i]));
    return any;
}

void stray_rest(struct world *w)
{
    for (int i = 0; i < w->n; i++)
        w->waiting += w->m[i].alive && waits(&w->m[i]);
    bring_together(w);
    every_stray(w);
    every_row_of_nobodys(w);
    w->deciding = true;
    for (int i = 0; i < w->n; i++)
        w->m[i].model.late = true;
    /* From the hub down; what one takes may be news to another. */
    for (int round = 0; round < 5 && w->broken[0] == '\0'; round++) {
        for (int i = 0; i < w->n && w->broken[0] == '\0'; i++)
            person(w, &w->m[i]);
        if (!anything_waits(w))
            break;
    }
    if (anything_waits(w))
        world_break(w, "3", "what differs does not end, whatever a person takes");
    for (int i = 0; i < w->n; i++) {
        if (!w->m[i].flipped)
            continue;
        w->m[i].flipped = false; /* its tables are what its journal says again */
        w->m[i].restarted = true;
        oracle_step(w, &w->m[i]);
    }
}

void stray_healed(struct world *w)
{
    bring_together(w);
    every_value(w);
}
