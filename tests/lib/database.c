#include "tests/lib/database.h"

#include "node/db/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void must(struct store *s, enum err e, const char *call)
{
    if (e == ERR_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", call, err_name(e), s ? store_message(s) : "");
    abort();
}

struct store *database_store(const struct store_options *options)
{
    struct store *s;
    char msg[256];
    must(NULL, store_open(&s, options, msg), msg);
    return s;
}

static void app_must(sqlite3 *app, int code, const char *sql)
{
    if (code == SQLITE_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", sqlite3_db_filename(app, NULL), sql, sqlite3_errmsg(app));
    abort();
}

sqlite3 *database_app(const char *path, const char *vfs, int busy_ms)
{
    sqlite3 *app;
    int code = sqlite3_open_v2(path, &app, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs);
    app_must(app, code, "open");
    sqlite3_busy_timeout(app, busy_ms);
    return app;
}

void database_sql(sqlite3 *app, const char *sql)
{
    app_must(app, sqlite3_exec(app, sql, NULL, NULL, NULL), sql);
}

const char *database_text(sqlite3 *app, const char *sql)
{
    static char out[8][4096];
    static int turn;
    char *p = out[turn++ % 8];
    sqlite3_stmt *q;
    p[0] = '\0';
    app_must(app, sqlite3_prepare_v2(app, sql, -1, &q, NULL), sql);
    if (sqlite3_step(q) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(q, 0);
        snprintf(p, sizeof out[0], "%s", text ? text : "NULL");
    }
    sqlite3_finalize(q);
    return p;
}

int64_t database_number(struct store *s, const char *sql)
{
    int64_t n;
    return db_number(s, sql, &n) == ERR_OK ? n : -1;
}

void database_remove(const char *path)
{
    static const char *const ending[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        char name[600];
        snprintf(name, sizeof name, "%s%s", path, ending[i]);
        unlink(name);
    }
}
