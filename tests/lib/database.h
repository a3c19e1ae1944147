/* database.h - for tests: the two sides of an office's database file, the application's connection
 * and the store, for harnesses that also run without cmocka. What fails here ends the program with
 * the words of the library that failed.
 */
#ifndef TESTS_LIB_DATABASE_H
#define TESTS_LIB_DATABASE_H

#include "node/store/store.h"

#include <sqlite3.h>

#define MUST(s, call) must((s), (call), #call) /* gives ERR_OK; the store may be NULL */
void must(struct store *s, enum err e, const char *call);

struct store *database_store(const struct store_options *options);
/* The application's: triggers on. vfs NULL: real files. */
sqlite3 *database_app(const char *path, const char *vfs, int busy_ms);
void database_sql(sqlite3 *app, const char *sql);
/* First column of the first row as text (static buffers, 8 in turn); "" for none, "NULL" for NULL.
 */
const char *database_text(sqlite3 *app, const char *sql);
/* The store's: a number; -1 when it has none or cannot be read. */
int64_t database_number(struct store *s, const char *sql);
/* The file, and what SQLite leaves beside it. */
void database_remove(const char *path);

#endif
