/* near.h - what was probably meant by a word that nobody knows.
 *
 * The distance is Damerau and Levenshtein's: one step changes, adds or leaves out a byte, or swaps
 * two neighbours. ASCII letters of either case are alike.
 */
#ifndef NODE_FILE_NEAR_H
#define NODE_FILE_NEAR_H

#define NEAR_MAX_BYTES 64
#define NEAR_NEVER 1000u /* the distance of a longer word */

unsigned near_distance(const char *a, const char *b);
/* The word of a NULL-terminated list that is close enough to be what was meant, or NULL. */
const char *near_word(const char *word, const char *const *list);

#endif
