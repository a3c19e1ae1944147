/* sequence.h - integer keys that SQLite gives out to the applications, steered into this office's
 * blocks (conflict/block.h), for the published tables with `keys: blocks` whose key is
 * AUTOINCREMENT.
 *
 * SQLite gives max(rowid, sqlite_sequence) + 1. So before each commit of ours the sequence of such
 * a table is looked at, and moved to just below the next own block where the next number would be
 * somebody else's, or the block is nearly used. It is moved upward only. What SQLite was at is kept
 * (tonle_sequence): where an application resets the sequence, no number is given a second time.
 *
 * Invariant: after each transaction of ours that wrote, the next number of each such table is in an
 * own block, with a quarter of it left; but where this office has no number (the hub's registry is
 * not here yet, or was out of them), or the last number was reached. While the node does not run
 * nobody steers: what is left of the block, a quarter at least, is what the applications then have.
 */
#ifndef NODE_CAPTURE_SEQUENCE_H
#define NODE_CAPTURE_SEQUENCE_H

#include "node/capture/capture.h"

/* This office's number among the blocks; -1: the registry here knows none. */
enum err sequence_number(struct store *s, int64_t *number);
/* Of the office's own tables. In the write transaction, before its commit. */
enum err sequence_steer(struct store *s);
/* Of the changeset that was just sealed here from `c`: *outside: how many rows were born with a
 * number outside the own blocks (an application's own choice, more at once than a block has, a
 * sequence that was reset while the node did not run); they are counted. */
enum err sequence_look(struct store *s, const struct changeset *cs, const struct collected *c,
                       uint64_t now_ms, uint64_t *outside);

struct sequence_report { /* of one table */
    const char *table;
    int64_t position; /* the greatest number that was given or steered to; 0: none yet */
    uint64_t outside; /* rows that were born here outside the own blocks, since the office joined */
    uint64_t outside_ms; /* the last of them; 0: none */
};
/* *number: this office's; -1: none. */
enum err store_sequence_report(struct store *s, struct arena *a, int64_t *number,
                               struct sequence_report **out, size_t *n);

#endif
