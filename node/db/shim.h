/* shim.h - what SQLite asks of the wal-index on our writing connection, and what it is answered.
 *
 * A transaction of ours must neither begin while somebody is inside one, nor start the WAL anew
 * (neighbour.h). SQLite asks the file for both through xShmLock, by slots that its file format
 * documents (walformat.html, section 2.3): 0 the writer's, 1 the checkpointer's, 3 to 7 the five
 * read marks. So the method table of the open file is ours, and but for that one function the one
 * that was there. Its answers:
 *
 *   the request, outside checkpoints of ours             the answer
 *   to start the WAL anew (marks 1 to 4, exclusively)    busy: SQLite appends
 *   another mark, exclusively, while some are kept       busy: who could share it would be inside
 *
 *   the request, at any time
 *   marks that are kept, in any way                      yes: the node has more than is asked for
 *   everything else                                      the file's own
 *
 * Invariant: marks are taken and given back between transactions of the connection, never within.
 * What of this a library might ask otherwise, test_shim asks the installed one.
 */
#ifndef NODE_DB_SHIM_H
#define NODE_DB_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#define SHIM_MARKS 5
#define SHIM_ALL 31u            /* a bit each */
#define SHIM_UNUSED 0xffffffffu /* of a mark: nobody reads by it */

struct sqlite3;
struct shim;

/* The wal-index (walformat.html, section 2.1). */
struct wal_index {
    bool valid;          /* it is there, and was not read while it was written */
    uint32_t frames;     /* mxFrame: in the WAL, committed */
    uint32_t salt[2];    /* another one: the WAL was started anew */
    uint32_t backfilled; /* nBackfill: of these are in the database */
    uint32_t mark[SHIM_MARKS];
};

/* Before the first statement of the connection. NULL: its files have no wal-index. */
struct shim *shim_put(struct sqlite3 *db);
void shim_free(struct shim *x); /* when the connection is closed */

/* Of one mark, without waiting; kept until shim_give. */
bool shim_take(struct shim *x, int mark);
void shim_give(struct shim *x); /* all that are kept */
/* From now on SQLite runs a checkpoint, or does not. */
void shim_checkpoint(struct shim *x, bool runs);
unsigned shim_kept(const struct shim *x); /* a bit each */
/* The file's change counter, read without a lock: a hint. False: it cannot be read. */
bool shim_counter(struct shim *x, uint32_t *out);
/* As it is now; a connection that has never read in WAL mode has none. */
struct wal_index shim_index(struct shim *x);

#endif
