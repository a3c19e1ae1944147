/* sqlite.h - statements of SQLite by hand, for the files that need more than query.h: the gate
 * `includes` names them.
 *
 * Invariant: a cached statement is reset before it is handed out, and belongs to nobody after its
 * last row: a statement left open keeps an application from committing (DESIGN 10).
 */
#ifndef NODE_DB_SQLITE_H
#define NODE_DB_SQLITE_H

#include "node/db/db.h"

#include <sqlite3.h>

/* A cached, reset statement for this text; NULL with s->message set when it does not compile. */
sqlite3_stmt *db_stmt(struct store *s, const char *sql);
/* Why db_stmt gave NULL: also a locked schema (ERR_BUSY), not only a statement that does not
 * compile. */
enum err db_stmt_error(struct store *s);
/* Steps: ERR_OK with *row; translates every other code, message set, statement reset. */
enum err db_step(struct store *s, sqlite3_stmt *q, bool *row);
/* Of SQLite's code; the message is the connection's. */
enum err db_error(struct store *s, int rc);
/* The bytes must live until the next reset. */
void db_bind(sqlite3_stmt *q, int i, const struct value *v);

#endif
