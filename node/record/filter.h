/* filter.h - sets of hashes in memory that answer "certainly not" for the database.
 *
 * Invariant: a hash that is in the database and was added is never denied while the filter is
 * known.
 */
#ifndef NODE_RECORD_FILTER_H
#define NODE_RECORD_FILTER_H

#include "node/db/db.h"

struct hash_filter { /* {0}: not read */
    uint64_t *word;
    size_t n, room;   /* entries */
    bool known, full; /* full: too many, ask the database */
    bool in_write;    /* read in the write transaction that is open: wrong when that is undone */
    uint32_t asked;   /* how often, before it was read */
    int64_t rev;      /* tonle_meta `rev` that it fits */
};
/* What is in the database now; without effect before the filter is known. */
void filter_add(struct hash_filter *f, uint64_t h);
bool filter_has(const struct hash_filter *f, uint64_t h); /* false is certain; when known */
/* True: it is empty, and all that belongs in it is to be added now, as long as it is `known`; then
 * it is asked again. False: it is known. */
bool filter_open(struct store *s, struct hash_filter *f);
/* Whether filters may be asked: in a transaction. */
bool filter_serves(const struct store *s);

void filter_begin(struct store *s, struct hash_filter *f);  /* state_version is known */
void filter_commit(struct store *s, struct hash_filter *f); /* it is that of our own commit */
void filter_undo(struct hash_filter *f);                    /* rolled back */
void filter_clear(struct hash_filter *f);

#endif
