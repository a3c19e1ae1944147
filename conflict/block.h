/* block.h - integer keys in interleaved blocks, so that offices that do not hear of one another
 * give out different ones.
 *
 * The ids 1, 2, 3 ... are cut into blocks of `size`; block b has the ids b*size+1 to (b+1)*size,
 * and belongs to the office whose number is b mod `count`. SQLite gives the id behind the greatest
 * that was ever there (the *position*), so an office can be moved upward only: to the beginning of
 * its next block. Numbers are what nobody gives twice; then no id is.
 *
 * Invariant: whatever the position, the block that is moved to belongs to the number and lies at or
 * above it; no id beyond BLOCK_ID_MAX is ever aimed at.
 */
#ifndef CONFLICT_BLOCK_H
#define CONFLICT_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_COUNT_DEFAULT 4096u
#define BLOCK_SIZE_DEFAULT 1024u
#define BLOCK_COUNT_MIN 2u
#define BLOCK_COUNT_MAX 65536u
#define BLOCK_SIZE_MIN 16u
#define BLOCK_SIZE_MAX 1048576u
/* The greatest integer up to which a double, and so JSON and JavaScript, has them all. */
#define BLOCK_ID_MAX ((INT64_C(1) << 53) - 1)

struct block_plan { /* the same at all offices of a federation, for ever */
    uint32_t count; /* how many offices there can ever be */
    uint32_t size;  /* ids of one block */
};
/* Whether the plan is within the bounds above. All that follows wants one that is. */
bool block_plan_fits(struct block_plan p);
/* Whether `id` lies in a block of the office `number`. */
bool block_owns(struct block_plan p, uint32_t number, int64_t id);
/* Whether an office at `position` has to be moved: the id behind it is another's, or three quarters
 * of the block are used. What is left, a quarter at least, is for what the applications enter until
 * they are looked at again. */
bool block_is_spent(struct block_plan p, uint32_t number, int64_t position);
/* The position from which the office's next whole block is given out, `position` itself or higher;
 * -1 where that block would pass BLOCK_ID_MAX. */
int64_t block_next(struct block_plan p, uint32_t number, int64_t position);
/* The number for one more office: the middle of the widest gap between those `given` (ascending,
 * each once), so that whoever enters more at once than a block has runs into blocks that are
 * nobody's for as long as there are any. p.count: all are given. */
uint32_t block_number(struct block_plan p, const uint32_t *given, uint32_t n);

#endif
