/* What the application's own triggers do, and TEMP copies of those that may run on applied rows.
 *
 * Main triggers are off on our connection for good; TEMP ones still run (DESIGN 3, "Capture"). Each
 * trigger of a published table, and of every local table that such a trigger writes, is copied to
 * TEMP, and SQLite's compiler is asked (sqlite3_set_authorizer names the trigger behind each write)
 * what it writes. A copy that writes a replicated table goes again: that effect arrives by itself.
 */
#include "node/capture/triggers.h"

#include "node/capture/capture.h"
#include "node/capture/log.h"
#include "node/db/query.h"
#include "node/db/sqlite.h"

#include <string.h>

struct trigger_watch {
    const char *trigger;
    struct name_list replicated;
    struct trigger_info *found;
    struct learn *learn;
};
struct learn {
    struct store *s;
    struct arena *a;
    struct name_list replicated;
    char **table; /* whose triggers are looked at; grows */
    size_t n_tables, tables_cap;
    struct trigger_info *info;
    size_t n, cap;
};

static bool in_list(struct name_list l, const char *name)
{
    for (uint32_t i = 0; i < l.n; i++) {
        if (db_same_name(l.name[i], name))
            return true;
    }
    return false;
}

static void add_table(struct learn *l, const char *name)
{
    for (size_t i = 0; i < l->n_tables; i++) {
        if (db_same_name(l->table[i], name))
            return;
    }
    l->table = mem_grow(l->table, l->n_tables, &l->tables_cap, sizeof *l->table);
    l->table[l->n_tables++] = arena_strdup(l->a, name);
}

static int note_write(void *user, int action, const char *table, const char *column, const char *db,
                      const char *trigger)
{
    struct trigger_watch *w = user;
    (void)column;
    (void)db;
    if (action != SQLITE_INSERT && action != SQLITE_UPDATE && action != SQLITE_DELETE)
        return SQLITE_OK;
    if (!trigger || strcmp(trigger, w->trigger) != 0)
        return SQLITE_OK;
    if (in_list(w->replicated, table)) {
        w->found->writes_replicated = true;
    } else {
        w->found->writes_local = true;
        add_table(w->learn, table);
    }
    return SQLITE_OK;
}

/* One statement of each kind on a table or view, so that all its triggers are compiled. */
static enum err statements_of(struct learn *l, const char *table, char *sql[3])
{
    const char *name = schema_quote(l->a, table);
    struct buf b = {0}, set = {0};
    buf_printf(&b, "INSERT INTO main.%s DEFAULT VALUES", name);
    sql[0] = sql_take(l->a, &b);
    buf_printf(&b, "DELETE FROM main.%s", name);
    sql[1] = sql_take(l->a, &b);
    struct query q =
        DB_QUERY(l->s, "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE hidden = 0",
                 value_text(table));
    while (query_next(&q)) {
        const char *column = schema_quote(l->a, query_borrow_text(&q, 0));
        buf_printf(&set, "%s%s = %s", set.len ? ", " : "", column, column);
    }
    buf_printf(&b, "UPDATE main.%s SET %s", name, buf_str(&set));
    sql[2] = sql_take(l->a, &b);
    buf_fini(&set);
    return query_end(&q);
}

static enum err drop_copy(struct store *s, struct arena *a, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "DROP TRIGGER temp.%s", schema_quote(a, name));
    enum err e = store_exec(s, buf_str(&b));
    buf_fini(&b);
    return e;
}

static enum err make_copy(struct learn *l, const struct trigger_info *t)
{
    struct buf b = {0};
    const char *rest =
        strstr(t->sql, "TRIGGER"); /* SQLite stores the text as CREATE TRIGGER name ... */
    buf_printf(&b, "CREATE TEMP %s", rest ? rest : "");
    enum err e = store_exec(l->s, buf_str(&b));
    buf_fini(&b);
    return e;
}

/* Compiles the statements under watch. A view refuses those for which it has no INSTEAD OF trigger.
 */
static enum err compile_watched(struct learn *l, struct trigger_watch *w, char *sql[3], bool view)
{
    enum err first = ERR_OK;
    int fine = 0;
    for (int i = 0; i < 3; i++) {
        sqlite3_stmt *q = NULL;
        sqlite3_set_authorizer(l->s->db, note_write, w);
        enum err e = db_error(l->s, sqlite3_prepare_v2(l->s->db, sql[i], -1, &q, NULL));
        sqlite3_set_authorizer(l->s->db, NULL, NULL);
        sqlite3_finalize(q);
        fine += e == ERR_OK;
        if (e != ERR_OK && e != ERR_SCHEMA)
            return e;
        if (e != ERR_OK && !view)
            return e;
        first = first == ERR_OK ? e : first;
    }
    return fine ? ERR_OK : first;
}

static enum err learn_trigger(struct learn *l, struct trigger_info *t)
{
    char *sql[3];
    struct trigger_watch w = {
        .trigger = t->name, .replicated = l->replicated, .found = t, .learn = l};
    enum err e = statements_of(l, t->table, sql);
    if (e == ERR_OK)
        e = make_copy(l, t);
    bool made = e == ERR_OK;
    if (made)
        e = compile_watched(l, &w, sql, t->on_view);
    if (e == ERR_SCHEMA) {
        t->broken = arena_strdup(l->a, store_message(l->s));
        e = ERR_OK;
    }
    if (e == ERR_OK && made && (t->broken || t->writes_replicated))
        e = drop_copy(l->s, l->a, t->name);
    return e;
}

/* The application's triggers on one table; ours are named tonle_*. */
static enum err list_triggers(struct learn *l, const char *table)
{
    struct query q =
        DB_QUERY(l->s,
                 "SELECT name, tbl_name, sql, EXISTS(SELECT 1 FROM main.sqlite_schema v"
                 " WHERE v.name = s.tbl_name AND v.type = 'view')"
                 " FROM main.sqlite_schema s WHERE type = 'trigger'"
                 " AND tbl_name = ?1 COLLATE NOCASE"
                 " AND name NOT GLOB 'tonle_*' ORDER BY name",
                 value_text(table));
    while (query_next(&q)) {
        l->info = mem_grow(l->info, l->n, &l->cap, sizeof *l->info);
        l->info[l->n++] = (struct trigger_info){.name = query_text(&q, l->a, 0),
                                                .table = query_text(&q, l->a, 1),
                                                .sql = query_text(&q, l->a, 2),
                                                .on_view = query_i64(&q, 3) != 0};
    }
    return query_end(&q);
}

/* Views that can be written: their triggers come first, since no trigger that writes such a view
 * compiles before its INSTEAD OF trigger stands. */
static enum err add_views(struct learn *l)
{
    struct query q =
        DB_QUERY(l->s, "SELECT DISTINCT v.name FROM main.sqlite_schema v JOIN main.sqlite_schema t"
                       " ON t.tbl_name = v.name AND t.type = 'trigger'"
                       " WHERE v.type = 'view' ORDER BY 1");
    while (query_next(&q))
        add_table(l, query_borrow_text(&q, 0));
    return query_end(&q);
}

static enum err drop_all_copies(struct store *s, struct arena *a)
{
    const char **name = NULL;
    size_t n = 0, cap = 0;
    struct query q = DB_QUERY(s, "SELECT name FROM temp.sqlite_schema WHERE type = 'trigger'");
    while (query_next(&q)) {
        name = arena_grow(a, name, n, &cap, sizeof *name);
        name[n++] = query_text(&q, a, 0);
    }
    enum err e = query_end(&q);
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        e = drop_copy(s, a, name[i]);
    return e;
}

enum err capture_copies_back(struct store *s, const struct table_schema *t)
{
    struct arena a = {0};
    const char **name = NULL;
    size_t n = 0, cap = 0;
    struct query q = DB_QUERY(s,
                              "SELECT name FROM temp.sqlite_schema WHERE type = 'trigger'"
                              " AND tbl_name = ?1 COLLATE NOCASE",
                              value_text(t->name));
    while (query_next(&q)) {
        name = arena_grow(&a, name, n, &cap, sizeof *name);
        name[n++] = query_text(&q, &a, 0);
    }
    enum err e = query_end(&q);
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        e = drop_copy(s, &a, name[i]);
    arena_fini(&a);
    return e;
}

enum err triggers_learn(struct store *s, struct arena *a, struct name_list replicated,
                        struct trigger_info **out, uint32_t *n)
{
    struct learn l = {.s = s, .a = a, .replicated = replicated};
    enum err e = drop_all_copies(s, a);
    if (e == ERR_OK)
        e = add_views(&l);
    for (uint32_t i = 0; i < replicated.n; i++)
        add_table(&l, replicated.name[i]);
    for (size_t i = 0; e == ERR_OK && i < l.n_tables; i++) {
        size_t first = l.n;
        e = list_triggers(&l, l.table[i]);
        for (size_t k = first; e == ERR_OK && k < l.n; k++)
            e = learn_trigger(&l, &l.info[k]);
    }
    *out = arena_copy(a, l.info, l.n * sizeof *l.info);
    *n = (uint32_t)l.n;
    mem_free(l.info);
    mem_free(l.table);
    return e;
}

/* What made others of them, or dropped them, may have been undone by a savepoint: they are counted
 * each time. */
static enum err count_copies(struct store *s, int64_t *n)
{
    return db_number(s, "SELECT count(*) FROM temp.sqlite_schema WHERE type = 'trigger'", n);
}

void capture_forget_copies(struct store *s)
{
    if (s->capture)
        s->capture->temp_cookie = -1;
}

enum err capture_temp_triggers(struct store *s)
{
    struct capture *c = s->capture;
    int64_t there;
    enum err e = schema_load(s);
    if (e == ERR_OK)
        e = count_copies(s, &there);
    if (e != ERR_OK || (c->temp_cookie == schema_cookie(s) && there == c->n_temp))
        return e;
    struct arena a = {0};
    struct trigger_info *info;
    uint32_t n;
    const char **name = arena_alloc(&a, s->schema->n_tables * sizeof *name);
    for (uint32_t i = 0; i < s->schema->n_tables; i++)
        name[i] = s->schema->tables[i].name;
    e = triggers_learn(s, &a, (struct name_list){name, s->schema->n_tables}, &info, &n);
    if (e == ERR_OK)
        e = count_copies(s, &c->n_temp);
    c->temp_cookie = e == ERR_OK ? schema_cookie(s) : -1;
    arena_fini(&a);
    return e;
}
