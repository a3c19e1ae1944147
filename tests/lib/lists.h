/* lists.h - for tests: what store_held_each and store_conflict_each give, kept in an arena. */
#ifndef TESTS_LIB_LISTS_H
#define TESTS_LIB_LISTS_H

#include "node/desk/desk.h"

struct held_record *lists_held(struct store *s, struct arena *a, size_t *n);
/* `open`: only open ones; otherwise every state but superseded. */
struct conflict_record *lists_conflicts(struct store *s, struct arena *a, bool open, size_t *n);
struct conflict_record *lists_filtered(struct store *s, struct arena *a,
                                       const struct conflict_filter *f, size_t *n);
/* The side that an office wrote; none: the program ends. */
struct dot lists_side(const struct conflict_record *c, uint64_t site);

#endif
