/* children.h - the rows that mean a birth, while a decision gives it another key, merges it or
 * drops it.
 *
 * Invariant: finding changes nothing. The first of a list is the birth itself, whose changes are
 * its owner's to queue; the others are all the rows that follow it, each once.
 */
#ifndef NODE_DESK_CHILDREN_H
#define NODE_DESK_CHILDREN_H

#include "node/desk/review.h"

struct follower {
    struct reviewed row;
    struct birth *birth;
    const struct value *old;  /* all columns as they are */
    struct typed columns;     /* what is written anew, and all columns as they will be */
    const struct value *into; /* the row that those who mean it will mean */
    bool done;                /* its own followers were looked for, with these columns */
};
struct followers {
    struct follower **at;
    size_t n, cap;
};
/* Everybody who follows the birth when those who mean it come to mean the row `into` (all columns
 * of a row of the same table; NULL: only who means it is wanted). Where the birth refers to itself
 * or to one of them, its own at[0]->columns say how that has to be written. */
enum err children_find(const struct reviewed *r, struct birth *b, const struct value *into,
                       struct followers *out);
/* Queues what is written anew in all but the first. ERR_EXISTS: a key that one would get is taken;
 * ERR_BUSY: an application has just changed one. */
enum err children_move(const struct followers *l);
/* "3 of visit, 1 of stay"; "" when nobody follows. */
const char *children_words(struct arena *a, const struct followers *l);

#endif
