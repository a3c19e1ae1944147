/* neighbour.h - when a transaction of ours may begin, and what it leaves behind: the applications
 * that use the database do not notice it (DESIGN 10).
 *
 * SQLite refuses at once, whatever its timeout, an application that has read and then writes in one
 * transaction when somebody has committed in between. So a write transaction of ours begins when
 * nobody is inside one, and nobody begins while it is open:
 *
 *   WAL                the five read marks are taken first, exclusively, and kept until behind the
 *                      commit (shim.h). Whoever begins meanwhile waits inside SQLite, also without
 *                      any timeout. Who reads an older state than the present can no longer write,
 *                      and does not count.
 *   rollback journal   BEGIN EXCLUSIVE, when F_GETLK says that nobody holds a lock: an attempt that
 *                      fails holds RESERVED for a moment, which refuses a writer.
 *
 * Where it cannot begin it says ERR_BUSY and holds nothing; the caller comes again, a millisecond
 * later (neighbour_wait_ms). After a second (a tenth of one where nobody but us has written for
 * long) it begins beside whoever is inside, as any program does.
 *
 * In WAL mode a commit is synced when the marks are given back, and only then done: neither in the
 * journal's name nor in any other is anything told of it before. The WAL is never started anew by
 * our writers, who so have no part in the fault of SQLite that a checkpoint meets one who does
 * (before 3.51.3, 3.50.7, 3.44.6: neighbour_library_affected); it is made small by a checkpoint
 * under all marks.
 *
 * What of this the library must do as we know it: test_shim, test_neighbour.
 */
#ifndef NODE_DB_NEIGHBOUR_H
#define NODE_DB_NEIGHBOUR_H

#include "node/db/db.h"

/* Of a connection that writes, before its first statement. */
void neighbour_open(struct store *s);
void neighbour_close(struct store *s); /* behind sqlite3_close: see `watch` */

/* What a life before this one committed, and did not live to sync, is durable from here on;
 * `whole`: also what a disk that failed only seemed to have. ERR_IO, and it can be tried again. */
enum err neighbour_settle(struct store *s, bool whole);

/* One attempt at a write transaction. */
enum err neighbour_begin(struct store *s);
/* For who makes the attempts one after the other: sleeps until the next; false: patience is
 * over. */
bool neighbour_wait(const struct store *s);
/* The next attempt begins beside whoever is inside (false: the last did); none is made any more. */
bool neighbour_hurry(struct store *s);
void neighbour_unwanted(struct store *s);
/* It is over, committed or not. */
void neighbour_end(struct store *s);
/* What was committed is durable: ERR_IO, and nothing more is begun on this connection, when it
 * cannot be known to be. */
enum err neighbour_sync(struct store *s);
/* ERR_IO behind such a commit. */
enum err neighbour_standing(struct store *s);
/* Makes a long WAL small, where nobody minds. */
void neighbour_reclaim(struct store *s);

bool neighbour_in_wal(const struct store *s); /* as last seen */
/* With a rollback journal: the change counter of the file, which every commit raises, read without
 * a lock; what it was behind our own last commit. False: in WAL mode, or it is not known. */
bool neighbour_counter(const struct store *s, uint32_t *out);
bool neighbour_own_counter(const struct store *s, uint32_t *out);

/* After ERR_BUSY of neighbour_begin: when to come again; 0: patience is over, it is locked. */
uint32_t neighbour_wait_ms(const struct store *s);
/* How long the last transaction was open, BEGIN to COMMIT. */
uint32_t neighbour_held_ms(const struct store *s);
/* For so long we could not write; for so long somebody who reads has kept the WAL from being made
 * small. 0: no. */
uint64_t neighbour_kept_out_ms(const struct store *s);
uint64_t neighbour_reader_ms(const struct store *s);

bool neighbour_library_affected(int version_number);

#endif
