/* own.h - what this room keeps in memory. */
#ifndef NODE_RECORD_OWN_H
#define NODE_RECORD_OWN_H

#include "node/record/deferral.h"
#include "node/record/filter.h"

struct record {
    bool keep_known, keep_any; /* whether tonle_keep has rows, in this transaction */
    struct hash_filter claims; /* what is claimed (claim.c) */
    struct buf claim_key;      /* of the value that is looked for */
    struct hash_filter swept;  /* rows whose record is in the swept part (row.c) */
    struct deferral *deferred; /* the tables that changesets wait for */
    bool deferred_known;
    int64_t deferred_rev;  /* tonle_meta `rev` that it fits */
    struct buf scratch;    /* of one record that is written */
    struct raised *raised; /* rows that a trigger of this office answers with RAISE(ROLLBACK) */
    size_t raised_due;     /* so many of them, the first that were tried, may be tried again */
};

#endif
