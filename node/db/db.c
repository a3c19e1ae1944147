#include "node/db/db.h"

#include "conflict/map.h"
#include "node/db/neighbour.h"
#include "node/db/query.h"
#include "node/db/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- statement cache: SQL text -> prepared statement ---- */

struct stmt_slot {
    char *sql;
    sqlite3_stmt *q;
};
struct stmt_cache {
    struct stmt_slot *slot;
    size_t n, cap;
    struct map by_sql; /* of `slot` */
};

static void stmt_clear(struct stmt_cache *c)
{
    for (size_t i = 0; i < c->n; i++) {
        sqlite3_finalize(c->slot[i].q);
        mem_free(c->slot[i].sql);
    }
    mem_free(c->slot);
    map_fini(&c->by_sql);
    *c = (struct stmt_cache){0};
}

static sqlite3_stmt *stmt_find(const struct stmt_cache *c, uint64_t hash, const char *sql)
{
    struct map_search at = map_seek(&c->by_sql, hash);
    while (map_next(&c->by_sql, &at)) {
        if (strcmp(c->slot[at.number].sql, sql) == 0)
            return c->slot[at.number].q;
    }
    return NULL;
}

sqlite3_stmt *db_stmt(struct store *s, const char *sql)
{
    struct stmt_cache *c = s->stmts;
    uint64_t hash = hash_key(VALUE_HASH_SEED, sql, strlen(sql));
    sqlite3_stmt *q = stmt_find(c, hash, sql);
    if (!q) {
        if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q, NULL) != SQLITE_OK) {
            snprintf(s->message, sizeof s->message, "%s", sqlite3_errmsg(s->db));
            return NULL;
        }
        map_put(&c->by_sql, hash, (uint32_t)c->n);
        c->slot = mem_grow(c->slot, c->n, &c->cap, sizeof *c->slot);
        c->slot[c->n++] = (struct stmt_slot){mem_strdup(sql), q};
    }
    assert(!sqlite3_stmt_busy(q)); /* one user at a time */
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return q;
}

/* ---- errors ---- */

enum err store_fail(struct store *s, enum err e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->message, sizeof s->message, fmt, ap);
    va_end(ap);
    return e;
}

static enum err translate(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_CONSTRAINT:
        return ERR_CONSTRAINT;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_SCHEMA:
    case SQLITE_ERROR:
    case SQLITE_MISMATCH:
        return ERR_SCHEMA;
    default:
        return ERR_IO;
    }
}

/* A file that could not be opened for want of a descriptor: nothing is wrong with the disk, and it
 * passes. */
static enum err error_of(struct store *s, int rc)
{
    int kind = rc & 0xff, code = 0;
    if (s->db && (kind == SQLITE_CANTOPEN || kind == SQLITE_IOERR))
        code = sqlite3_system_errno(s->db);
    return code == EMFILE || code == ENFILE ? ERR_BUSY : translate(rc);
}

enum err db_error(struct store *s, int rc)
{
    enum err e = error_of(s, rc);
    if (e != ERR_OK)
        snprintf(s->message, sizeof s->message, "%s (SQLite %d)", sqlite3_errmsg(s->db), rc);
    return e;
}

enum err db_stmt_error(struct store *s)
{
    return db_error(s, sqlite3_extended_errcode(s->db));
}

const char *store_message(const struct store *s)
{
    return s->message;
}

/* ---- running statements ---- */

/* After an I/O error or on a full disk SQLite may end the transaction by itself. Whatever ran now
 * would commit alone, so nothing does until store_rollback. */
enum err store_standing(struct store *s)
{
    if (s->in_write && sqlite3_get_autocommit(s->db))
        return store_fail(s, ERR_IO, "the transaction was ended by an error of the database");
    return ERR_OK;
}

enum err store_exec(struct store *s, const char *sql)
{
    enum err e = store_standing(s);
    return e != ERR_OK ? e : db_error(s, sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

enum err db_step(struct store *s, sqlite3_stmt *q, bool *row)
{
    *row = false;
    enum err e = store_standing(s);
    if (e != ERR_OK) {
        sqlite3_reset(q);
        return e;
    }
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        *row = true;
        return ERR_OK;
    }
    e = db_error(s, rc);
    sqlite3_reset(q);
    return e;
}

void db_bind(sqlite3_stmt *q, int i, const struct value *v)
{
    switch (v->type) {
    case VALUE_INTEGER:
        sqlite3_bind_int64(q, i, v->u.i);
        break;
    case VALUE_REAL:
        sqlite3_bind_double(q, i, v->u.r);
        break;
    case VALUE_TEXT:
        sqlite3_bind_text64(q, i, v->len ? v->u.p : "", v->len, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case VALUE_BLOB:
        if (v->len == 0)
            sqlite3_bind_zeroblob(q, i, 0); /* of NULL bytes, too: not NULL */
        else
            sqlite3_bind_blob64(q, i, v->u.p, v->len, SQLITE_STATIC);
        break;
    default:
        sqlite3_bind_null(q, i);
    }
}

/* ---- open and close ---- */

/* DESIGN 10: what our connection never does to its neighbours. EXTRA is FULL in WAL mode; with a
 * rollback journal it also syncs the directory after the journal is unlinked: without that a power
 * cut may undo a commit that was acknowledged. In WAL mode neighbour.c says NORMAL, and syncs.
 * Triggers are off for good, TEMP triggers (copies of the application's local ones) still run;
 * foreign keys and REPLACE never delete for us. */
static enum err configure(struct store *s)
{
    sqlite3 *db = s->db;
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, (int)s->options.busy_ms);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, (int *)NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, (int *)NULL);
    sqlite3_wal_autocheckpoint(db, 0);
    enum err e = store_exec(s, "PRAGMA synchronous=EXTRA; PRAGMA foreign_keys=OFF;"
                               "PRAGMA recursive_triggers=OFF; PRAGMA cell_size_check=ON;"
                               "PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;");
    if (e != ERR_OK || s->options.read_only) /* who only reads reads most pages once */
        return e;
    return store_exec(s, "PRAGMA cache_size=-16384");
}

/* With a rollback journal our commits truncate it instead of unlinking it: about half the time
 * under the exclusive lock (measured: 8 ms for 15 ms), and as durable. It concerns this connection
 * alone and is not written to the file; a database in WAL mode is not touched. */
static enum err truncate_journal(struct store *s)
{
    struct query q = DB_QUERY(s, "PRAGMA main.journal_mode");
    struct bytes mode = query_next(&q) ? query_borrow(&q, 0) : (struct bytes){0};
    s->truncates = mode.len == 6 && memcmp(mode.p, "delete", 6) == 0;
    enum err e = query_end(&q);
    return s->truncates ? store_exec(s, "PRAGMA main.journal_mode=TRUNCATE") : e;
}

static int mode_truncates(void *user, int n, char **value, char **name)
{
    (void)n;
    (void)name;
    *(bool *)user = value[0] && sqlite3_stricmp(value[0], "truncate") == 0;
    return 0;
}

/* Takes the empty journal away, unless somebody is writing just now. The application may have
 * changed to WAL since we opened, and where another file lies in the database's place the journal
 * is that one's. */
static void remove_journal(struct store *s)
{
    int moved = 1;
    bool still = false;
    if (!s->truncates || sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) ||
        moved)
        return;
    sqlite3_busy_timeout(s->db, 0);
    sqlite3_exec(s->db, "SELECT 1 FROM main.sqlite_schema; PRAGMA main.journal_mode",
                 mode_truncates, &still, NULL);
    if (still)
        sqlite3_exec(s->db, "PRAGMA main.journal_mode=DELETE", NULL, NULL, NULL);
}

/* Text that is not valid Unicode would be another here than where it was written: SQLite converts
 * it to UTF-16 and back. It cannot be changed once there are tables. */
static enum err check_encoding(struct store *s)
{
    struct query q = DB_QUERY(s, "PRAGMA main.encoding");
    struct bytes name = query_next(&q) ? query_borrow(&q, 0) : (struct bytes){0};
    bool utf8 = name.len == 5 && memcmp(name.p, "UTF-8", 5) == 0;
    enum err e = query_end(&q);
    return e != ERR_OK || utf8
               ? e
               : store_fail(s, ERR_STATE,
                            "it stores text as UTF-16, and only UTF-8 is served: copy it with "
                            "`sqlite3 OLD .dump | sqlite3 NEW` and put NEW in its place");
}

/* A database that we make is its folder's, not the public's: who may work in the folder may work in
 * the file, nobody else may read it, and where root makes it, it is the folder's owner's. SQLite
 * gives -wal, -shm and -journal what the file has. */
static void settle_owner(const char *path)
{
    char *copy = mem_strdup(path);
    struct stat folder, file;
    if (stat(dirname(copy), &folder) == 0 && stat(path, &file) == 0 && file.st_size == 0) {
        mode_t mode = 0600 | (folder.st_mode & S_IWGRP ? 0060 : 0);
        if (geteuid() == 0 || file.st_gid != folder.st_gid)
            mode = chown(path, geteuid() == 0 ? folder.st_uid : (uid_t)-1, folder.st_gid) == 0
                       ? mode
                       : 0600;
        (void)chmod(path, mode);
    }
    mem_free(copy);
}

static int open_file(struct store *s, const struct store_options *o, int flags)
{
    bool makes = o->create && !o->vfs && access(o->path, F_OK) != 0;
    mode_t others = makes ? umask(077) : 0;
    int rc = sqlite3_open_v2(o->path, &s->db, flags, s->options.vfs);
    if (makes) {
        umask(others);
        if (rc == SQLITE_OK)
            settle_owner(o->path);
    }
    return rc;
}

enum err db_open(struct store *s, const struct store_options *o, char msg[256])
{
    s->options = *o;
    s->options.path = mem_strdup(o->path);
    s->options.vfs = o->vfs ? mem_strdup(o->vfs) : NULL;
    s->stmts = mem_alloc(sizeof *s->stmts);
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | (o->create ? SQLITE_OPEN_CREATE : 0);
    if (o->read_only)
        flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY;
    int rc = open_file(s, o, flags);
    if (rc == SQLITE_OK && !o->read_only)
        neighbour_open(s);
    int64_t objects;
    enum err e = rc == SQLITE_OK ? configure(s) : error_of(s, rc);
    if (e == ERR_OK) /* the first read tells whether it is a database at all */
        e = db_number(s, "SELECT count(*) FROM sqlite_schema", &objects);
    if (e == ERR_OK)
        e = check_encoding(s);
    if (e == ERR_OK && !o->read_only)
        e = truncate_journal(s);
    if (e != ERR_OK)
        snprintf(msg, 256, "%.100s: %.150s", o->path,
                 e == ERR_STATE ? s->message
                 : s->db        ? sqlite3_errmsg(s->db)
                                : "cannot be opened");
    return (rc & 0xff) == SQLITE_CANTOPEN && e != ERR_BUSY ? ERR_NOT_FOUND : e;
}

void db_close(struct store *s)
{
    if (s->stmts)
        stmt_clear(s->stmts);
    mem_free(s->stmts);
    if (s->db)
        remove_journal(s);
    if (sqlite3_close(s->db) == SQLITE_OK) /* its file asks the shim until then */
        neighbour_close(s);
    mem_free((void *)s->options.path);
    mem_free((void *)s->options.vfs);
}

/* ---- transactions: store/ says when */

#define STMT_CACHE_MAX 2000 /* UPDATEs differ by the columns they set: it must not grow for ever */

enum err db_begin(struct store *s, bool write)
{
    assert(!s->in_write && !s->in_read);
    if (s->stmts->n > STMT_CACHE_MAX)
        stmt_clear(s->stmts);
    enum err e = write ? neighbour_begin(s) : neighbour_standing(s);
    if (e == ERR_OK && !write)
        e = store_exec(s, "BEGIN");
    if (e != ERR_OK)
        return e;
    s->in_write = write;
    s->in_read = !write;
    s->changes_before = sqlite3_total_changes(s->db);
    int64_t any; /* asked to take the snapshot */
    return write ? ERR_OK : db_number(s, "SELECT EXISTS(SELECT 1 FROM sqlite_schema)", &any);
}

enum err db_snapshot_begin(struct store *s, bool *own)
{
    *own = sqlite3_get_autocommit(s->db);
    return *own ? store_exec(s, "BEGIN") : ERR_OK;
}

enum err db_snapshot_end(struct store *s, bool own, enum err e)
{
    if (!own || sqlite3_get_autocommit(s->db))
        return e;
    enum err end = store_exec(s, "COMMIT");
    if (end != ERR_OK)
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return e == ERR_OK ? end : e;
}

bool db_open_transaction(const struct store *s)
{
    return s->in_write || s->in_read || !sqlite3_get_autocommit(s->db);
}

bool db_wrote(const struct store *s)
{
    return s->in_write && sqlite3_total_changes(s->db) != s->changes_before;
}

enum err db_commit(struct store *s)
{
    assert((s->in_write || s->in_read) && s->open_queries == 0);
    bool wrote = db_wrote(s);
    enum err e = store_exec(s, "COMMIT");
    if (e != ERR_OK)
        return e;
    bool write = s->in_write;
    s->in_write = s->in_read = false;
    if (write)
        neighbour_end(s);
    return wrote ? neighbour_sync(s) : ERR_OK;
}

void db_rollback(struct store *s)
{
    assert(s->open_queries == 0);
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    s->in_write = s->in_read = false;
    if (s->neighbour)
        neighbour_end(s);
}

bool db_moved(struct store *s)
{
    int moved = 0;
    return sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
           moved;
}
