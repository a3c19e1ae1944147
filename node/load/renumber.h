/* renumber.h - rows that an office had before it joined, moved into its own blocks of integer keys
 * (conflict/block.h), with what refers to them: two databases that each counted from 1 are two lots
 * of people, and none is to be compared with another's.
 *
 * Invariant: each row that was set aside of a table with blocks has a new key, in the office's own
 * blocks and above all keys that the federation or the office has; every reference that foreign
 * keys, or the charter's `references`, declare leads to the row that it led to. One that led
 * nowhere is as it was.
 */
#ifndef NODE_LOAD_RENUMBER_H
#define NODE_LOAD_RENUMBER_H

#include "node/load/load.h"

struct renumber_report {
    uint64_t rows;       /* that have a new key */
    uint64_t references; /* to them, set anew */
};
/* Between the last chunk of a load (LOAD_ADOPT) and store_load_end, in its transaction. ERR_STATE:
 * the hub has no number left for this office; ERR_LIMIT: its blocks end. */
enum err store_renumber(struct store *s, struct renumber_report *report);

#endif
