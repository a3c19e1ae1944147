/* store.h - one office's database opened, closed, and its transactions: the only place where one
 * begins and ends.
 *
 * Invariant: the journal, the clock, the seq and the chain hash change only together, in one
 * transaction; nothing is cached across transactions that another process may change without being
 * re-read (PRAGMA data_version and tonle_meta `rev` decide). All of Tonle's tables (tonle_*) live
 * in the application's database, so that a row, its record, the journal and the clock commit
 * together.
 *
 * Every writing function of the rooms below requires a transaction; reading ones work without.
 */
#ifndef NODE_STORE_STORE_H
#define NODE_STORE_STORE_H

#include "node/db/db.h"

enum err store_open(struct store **out, const struct store_options *o, char msg[256]);
void store_close(struct store *s); /* NULL allowed; rolls an open transaction back */
/* True once after another connection has committed (also true the first time). Cheap. */
bool store_changed(struct store *s);
/* True, and store_message says how, where the path does not lead to the open file any more, or the
 * file was overwritten with an older one: nothing may be read, written or acknowledged from then
 * on. */
bool store_moved(struct store *s);
/* NULL, or what of our tables has been dropped by another hand (a borrowed name): nothing can be
 * captured, published or taken any more. Looks only where the schema has changed. */
const char *store_gone(struct store *s);
/* Drops our triggers where our tables are gone, in a transaction of its own: each write of the
 * application would fail by them. ERR_BUSY: try again. */
enum err store_let_go(struct store *s, uint32_t *triggers);
/* Drops everything of ours in a transaction of its own: the application goes on without an office.
 * ERR_EXISTS: rows of the application wait in a table that an adoption has set aside. */
struct objects_dropped;
enum err store_leave(struct store *s, struct objects_dropped *n);
enum err store_begin(struct store *s);      /* BEGIN IMMEDIATE; re-reads the state */
enum err store_begin_read(struct store *s); /* one consistent read */
enum err store_commit(struct store *s);
void store_rollback(struct store *s);

#endif
