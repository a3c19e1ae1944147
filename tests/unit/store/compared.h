/* compared.h - for tests of this folder: two offices, the table `note` with five rows that both
 * have, and A's compared with the hub's chunk by chunk.
 */
#ifndef TESTS_UNIT_STORE_COMPARED_H
#define TESTS_UNIT_STORE_COMPARED_H

#include "node/load/load.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

extern const char compared_held[]; /* SQL: the rows held here, with why */

int compared_start(void **state);
static inline int start(void **state)
{
    return compared_start(state);
}

void compared_rows(void **state);
/* All escapes over chunks of this size, as "C:a N:x D:b". With `settle` they are settled as well.
 */
/* How what is taken from the parent is: ESCAPE_TAKE_THERE, until this says otherwise. */
void compared_take(enum escape_take take);
const char *compared_scan_of(void **state, const char *table, uint32_t max_rows, bool settle,
                             bool take_parent);
const char *compared_scan(void **state, uint32_t max_rows, bool settle, bool take_parent);

#endif
