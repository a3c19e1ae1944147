/* mem.h - memory that cannot fail softly, and the step arena.
 *
 * Invariant: a small allocation that fails ends the program here, in one place (a crash is a tested
 * path, DESIGN 2.10). Sizes that come from outside are limited by the caller first.
 */
#ifndef CONFLICT_MEM_H
#define CONFLICT_MEM_H

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t bytes);               /* zeroed; free with mem_free */
void *mem_resize(void *p, size_t bytes);     /* like realloc; new bytes are not zeroed */
void *mem_copy(const void *p, size_t bytes); /* a heap copy; bytes may be 0 */
char *mem_strdup(const char *s);
void mem_free(void *p); /* NULL is allowed */

/* Grows *array of `size`-byte elements so that index n fits; *cap is the present capacity. */
void *mem_grow(void *array, size_t n, size_t *cap, size_t size);

/* A bump allocator for everything that lives until the end of a step. {0} is a valid arena. */
struct arena_block;
struct arena {
    struct arena_block *head; /* the block being filled; older blocks behind it */
    size_t used_bytes;        /* in all blocks, since the last reset */
};
void *arena_alloc(struct arena *a, size_t bytes); /* zeroed, aligned to 16 */
void *arena_copy(struct arena *a, const void *p, size_t bytes);
char *arena_strdup(struct arena *a, const char *s);
/* As mem_grow, for an array in the arena; what it had before stays there unused. */
void *arena_grow(struct arena *a, void *array, size_t n, size_t *cap, size_t size);
void arena_reset(struct arena *a); /* everything handed out becomes invalid; keeps one block */
void arena_fini(struct arena *a);

#endif
