#include "conflict/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK_BYTES ((size_t)64 << 10)
#define ARENA_KEEP_BYTES ((size_t)1 << 20) /* a larger block is given back by arena_reset */

struct arena_block {
    struct arena_block *next;
    size_t cap;
    size_t used;
    _Alignas(16) uint8_t data[];
};

void *mem_alloc(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p)
        abort();
    return p;
}

void *mem_resize(void *p, size_t bytes)
{
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q)
        abort();
    return q;
}

void *mem_copy(const void *p, size_t bytes)
{
    void *q = mem_alloc(bytes);
    if (bytes)
        memcpy(q, p, bytes);
    return q;
}

char *mem_strdup(const char *s)
{
    return mem_copy(s, strlen(s) + 1);
}

void mem_free(void *p)
{
    free(p);
}

void *mem_grow(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t grown = *cap + *cap / 2 + 8;
    if (grown <= n)
        grown = n + 1;
    if (size && grown > SIZE_MAX / size)
        abort();
    *cap = grown;
    return mem_resize(array, grown * size);
}

static struct arena_block *block_new(size_t cap)
{
    if (cap > SIZE_MAX - sizeof(struct arena_block))
        abort();
    /* Not zeroed: arena_alloc zeroes what it hands out, again and again after every reset. */
    struct arena_block *b = mem_resize(NULL, sizeof *b + cap);
    b->next = NULL;
    b->cap = cap;
    b->used = 0;
    return b;
}

/* A block with room for `bytes`. A piece larger than a block gets its own, behind the head, so that
 * the rest of the head is not wasted. */
static struct arena_block *block_for(struct arena *a, size_t bytes)
{
    struct arena_block *head = a->head;
    if (head && head->cap - head->used >= bytes)
        return head;
    bool large = bytes > ARENA_BLOCK_BYTES;
    struct arena_block *b = block_new(large ? bytes : ARENA_BLOCK_BYTES);
    if (head && large) {
        b->next = head->next;
        head->next = b;
    } else {
        b->next = head;
        a->head = b;
    }
    return b;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX - 15)
        abort();
    size_t rounded = bytes ? (bytes + 15) & ~(size_t)15 : 16;
    struct arena_block *b = block_for(a, rounded);
    void *p = b->data + b->used;
    b->used += rounded;
    a->used_bytes += rounded;
    return memset(p, 0, rounded);
}

void *arena_copy(struct arena *a, const void *p, size_t bytes)
{
    void *q = arena_alloc(a, bytes);
    if (bytes)
        memcpy(q, p, bytes);
    return q;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_copy(a, s, strlen(s) + 1);
}

void arena_reset(struct arena *a)
{
    struct arena_block *kept = NULL;
    struct arena_block *next;
    for (struct arena_block *b = a->head; b; b = next) {
        next = b->next;
        if (!kept && b->cap <= ARENA_KEEP_BYTES)
            kept = b;
        else
            mem_free(b);
    }
    if (kept) {
        kept->next = NULL;
        kept->used = 0;
    }
    a->head = kept;
    a->used_bytes = 0;
}

void arena_fini(struct arena *a)
{
    struct arena_block *next;
    for (struct arena_block *b = a->head; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    a->head = NULL;
    a->used_bytes = 0;
}

void *arena_grow(struct arena *a, void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    *cap = *cap ? *cap * 2 : 16;
    void *bigger = arena_alloc(a, *cap * size);
    if (n)
        memcpy(bigger, array, n * size);
    return bigger;
}
