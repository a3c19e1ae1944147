/* resolve.h - a conflict that is being decided: what resolve.c and identity.c share.
 *
 * Invariant: a decision touches only who the conflict is about. A closed conflict outlives its row,
 * and another may have been entered under the key since (identity.c).
 */
#ifndef NODE_DESK_RESOLVE_H
#define NODE_DESK_RESOLVE_H

#include "node/desk/review.h"

struct dots {
    struct dot *d;
    size_t n, cap;
};

struct resolving {
    struct store *s;
    struct arena *a;
    struct conflict_record c;
    struct conflict_place place;
    struct reviewed row;
    uint32_t cell;
    const struct review *review;
    struct typed typed; /* --set */
    struct buf choice;  /* in words */
    struct dots left;   /* births of the conflict, oldest first, that nobody has deleted since */
    struct dots again;  /* births by decisions about this conflict */
    struct dots later;  /* others that were entered under its key behind it */
};

/* ---- identity.c */
/* Finds out whose row it is now: fills in left, again and later, and place.birth where a decision
 * entered the row again. ERR_STATE where the conflict may be about another than who is there. */
enum err resolve_identity(struct resolving *r);
/* ERR_STATE when somebody was entered under the key since. */
enum err resolve_no_stranger(const struct resolving *r);
/* The birth on record of a side of a conflict about births; NULL: forgotten. */
struct birth *resolve_entered(const struct resolving *r, const struct conflict_side *side);
/* ERR_STATE: the row `why`. */
enum err resolve_gone(const struct resolving *r, const char *why);
/* ERR_NOTHING, the same way: what is decided is so already. */
enum err resolve_nothing(const struct resolving *r, const char *why);

#endif
