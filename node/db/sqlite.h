/* sqlite.h - statements of SQLite by hand, for the files that need more than query.h: the gate
 * `includes` names them.
 *
 * Invariant: a cached statement is reset before it is handed out, and belongs to nobody after its
 * last row: a statement left open keeps an application from committing (DESIGN 10).
 */
#ifndef NODE_DB_SQLITE_H
#define NODE_DB_SQLITE_H

#include "conflict/buf.h"
#include "node/db/db.h"

#include <sqlite3.h>

/* A cached, reset statement for this SQL text; NULL with s->message set when it does not compile.
 */
sqlite3_stmt *store_stmt(struct store *s, const char *sql);
/* Why store_stmt gave NULL: also a locked schema (ERR_BUSY), not only a statement that does not
 * compile. */
enum err part_stmt_error(struct store *s);
/* Steps: ERR_OK with *row; translates every other code, message set, statement reset. */
enum err store_step(struct store *s, sqlite3_stmt *q, bool *row);
enum err store_error(struct store *s,
                     int rc); /* SQLite code -> enum err, message from the connection */
void store_bind(sqlite3_stmt *q, int i,
                const struct value *v); /* bytes must live until the next reset */
struct value store_column(struct arena *a, sqlite3_stmt *q, int i); /* copied into the arena */
uint64_t store_column_u64(sqlite3_stmt *q, int i);
const char *store_column_text(struct arena *a, sqlite3_stmt *q, int i); /* "" for NULL */
struct bytes store_column_bytes(struct arena *a, sqlite3_stmt *q, int i);

#endif
