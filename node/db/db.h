/* db.h - one connection to one office's database: errors, plain SQL text, and what the rooms above
 * hang on it.
 *
 * Invariant: one write connection, used by one thread; triggers of the main schema are off on it
 * for good (SQLITE_DBCONFIG_ENABLE_TRIGGER), foreign_keys is off, so that nothing but our own
 * statements changes a row (DESIGN 3 "Capture", 4 "Holds"). No transaction begins or ends here:
 * that is store/'s.
 *
 * Errors: every code of SQLite becomes an `enum err` here and goes no further; a sentence for the
 * operator is in store_message() after any failure. Ownership: what is handed out lives in the
 * arena given, unless said otherwise. Statements: query.h; the few files that need SQLite itself:
 * sqlite.h.
 */
#ifndef NODE_DB_DB_H
#define NODE_DB_DB_H

#include "conflict/err.h"
#include "conflict/mem.h"
#include "conflict/value.h"

struct store_options {
    const char *path; /* the application's database */
    const char *vfs;  /* NULL: the default */
    bool create;    /* make the file when it is missing (join, hub init); otherwise ERR_NOT_FOUND */
    bool read_only; /* reading commands: never takes a write lock */
    bool wal_guard; /* DESIGN 10: keep the read transaction that stops a WAL reset */
    uint32_t busy_ms; /* how long a lock is waited for before ERR_BUSY */
};

/* What is open. A room keeps what is its own behind its own pointer, made by its x_open, and is
 * asked by its functions. */
struct store {
    struct sqlite3 *db;
    struct store_options options;
    struct stmt_cache *stmts; /* SQL text -> prepared statement */
    struct pin *pin;          /* the WAL guard (pin.h); NULL: none */
    bool in_write, in_read;   /* a transaction of store/'s is open */
    uint32_t open_queries;    /* begun and not ended: none at the end of a transaction */
    int changes_before;       /* sqlite3_total_changes when it began */
    int64_t data_version;     /* of the last store_changed */
    int64_t whole_schema;     /* schema_version at which all of ours was seen to be here; -1 */
    bool truncates; /* the rollback journal, at a commit; the database itself unlinks it */
    char message[512];
    struct state *state;     /* node/state/ */
    struct schema *schema;   /* node/schema/ */
    struct record *record;   /* node/record/ */
    struct capture *capture; /* node/capture/ */
    struct apply *apply;     /* node/apply/ */
};

/* Opens the connection with what it never does to its neighbours; *s is {0}. Whatever was opened
 * until an error is closed by db_close. */
enum err db_open(struct store *s, const struct store_options *o, char msg[256]);
void db_close(struct store *s);
/* For store/ alone, which tells every room: BEGIN IMMEDIATE or BEGIN; whether anything was written
 * since; the end. */
enum err db_begin(struct store *s, bool write);
/* One moment for several reads, in a transaction or not: *own tells db_snapshot_end whether it is
 * this call's. The error of the reads, or of the end. */
enum err db_snapshot_begin(struct store *s, bool *own);
enum err db_snapshot_end(struct store *s, bool own, enum err e);
bool db_open_transaction(const struct store *s);
bool db_wrote(const struct store *s);
enum err db_commit(struct store *s);
void db_rollback(struct store *s);
/* Whether the path does not lead to the open file any more. */
bool db_moved(struct store *s);
const char *store_message(const struct store *s);
enum err store_fail(struct store *s, enum err e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* ERR_IO when SQLite has ended our write transaction by itself. */
enum err store_standing(struct store *s);
enum err store_exec(struct store *s, const char *sql); /* one or more statements, no result */

#endif
