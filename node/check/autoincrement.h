/* autoincrement.h - integer keys made AUTOINCREMENT, so that they can be steered into blocks
 * (conflict/block.h): SQLite has no ALTER for it, the table is made anew.
 *
 * Invariant: the rows, their keys, the columns, constraints, indexes and triggers of a table that
 * was made anew are what they were, and so is what other tables, views and triggers say of it; the
 * caller rolls back after any error, and nothing has changed.
 */
#ifndef NODE_CHECK_AUTOINCREMENT_H
#define NODE_CHECK_AUTOINCREMENT_H

#include "node/charter/charter.h"
#include "node/db/db.h"

struct plain_key {     /* a table whose integer key is to be in blocks, and cannot be steered */
    const char *table; /* as this database writes it */
    uint64_t rows;
};
/* Those of the charter, in its order. */
enum err store_plain_keys(struct store *s, struct arena *a, const struct charter *charter,
                          struct plain_key **out, size_t *n);
/* Makes them anew, in the caller's write transaction. The database is checked before (ERR_CORRUPT)
 * and after; ERR_SCHEMA: a definition that SQLite does not take a second time, or that is not
 * understood; ERR_CONSTRAINT: rows that the table itself would not take. */
enum err store_make_autoincrement(struct store *s, const struct plain_key *table, size_t n);

#endif
