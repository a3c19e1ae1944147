/* hold.h - which of the rows that contend may stand: the four passes of DESIGN 4 "Holds".
 *
 * Each pass looks only at what the earlier ones left, so the answer does not depend on the order of
 * the items and there is exactly one. Pass 4 is the greatest fixpoint: rows that reference one
 * another in a cycle stand.
 */
#ifndef CONFLICT_HOLD_H
#define CONFLICT_HOLD_H

#include "conflict/row.h"

struct hold_item {    /* one living birth */
    uint32_t key;     /* births of one key have one number */
    struct dot birth; /* its name, and the hybrid time of its birth (0 when stable) */
    uint64_t birth_hlc;
    struct version rank; /* birth_rank; the value is not used */
    uint64_t tie; /* decides between equal ranks (two settled rows): a hash of table and key */
    bool valid;   /* pass 1: CHECK, NOT NULL, type */
    const uint64_t *unique; /* claims: equal numbers clash, whatever their place */
    size_t n_unique;
    const uint64_t *gives; /* what children may reference of this row */
    size_t n_gives;
    const uint64_t *needs; /* the references that must be given by a standing row */
    size_t n_needs;
    enum hold_reason reason; /* out: HOLD_NONE stands */
    size_t blocked_by;       /* out: index of the item in its way (passes 2 and 3), else SIZE_MAX */
};

/* Decides all items. Reads and writes nothing else. O(n log n + claims). */
void hold_decide(struct hold_item *item, size_t n, enum birth_policy birth_policy);

#endif
