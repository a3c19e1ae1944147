/* err.h - the one error type of the whole project.
 *
 * Invariant: every function that can fail returns `enum err` and the compiler rejects a caller that
 * ignores it. Foreign codes (SQLite, errno, libuv, libzmq) are translated in the file that sees
 * that library and go no further.
 */
#ifndef CONFLICT_ERR_H
#define CONFLICT_ERR_H

enum [[nodiscard]] err{
    ERR_OK = 0,
    ERR_MALFORMED,  /* bytes from a peer, a file or the database that no correct program wrote */
    ERR_LIMIT,      /* a size or a count over its hard limit (protocol/limits.h) */
    ERR_NOT_FOUND,  /* the thing named does not exist */
    ERR_EXISTS,     /* it exists already */
    ERR_BUSY,       /* temporary: the database is locked, the peer not ready; try again */
    ERR_IO,         /* the disk or the system failed; close, reopen, verify before going on */
    ERR_CORRUPT,    /* what is stored contradicts itself */
    ERR_FULL,       /* the disk is full */
    ERR_REFUSED,    /* a rule of the charter or of the protocol forbids it */
    ERR_GAP,        /* a changeset or an item of the link before this one is missing */
    ERR_CAUSAL,     /* the context names changesets that are not here yet */
    ERR_SIGNATURE,  /* a hash or a signature does not fit */
    ERR_IDENTITY,   /* a cloned or restored database */
    ERR_CLOCK,      /* stamped with a time that is still to come */
    ERR_SCHEMA,     /* a table or a column is missing or unfit */
    ERR_CONSTRAINT, /* the database refused a row (the boundary object's message says why) */
    ERR_USAGE,      /* a caller from outside (the command line) asked for nonsense */
    ERR_STATE,      /* not possible in the present state (not running, already initialised...) */
    ERR_NOTHING,    /* what was asked for is so already: nothing was changed */
    ERR_COUNT};

/* A short lower-case English name, for traces and logs; never NULL. */
const char *err_name(enum err e);

#endif
