/* map.h - the numbers of an array's entries, found by a hash of their keys.
 *
 *     struct map_search at = map_seek(&m, hash);
 *     while (map_next(&m, &at))
 *         if (same(&array[at.number], key))
 *             return &array[at.number];
 *     map_put(&m, hash, n); // of array[n]
 *
 * Invariant: what was put is found under its hash, and beside it only what has the same 32 bits of
 * hash: the map knows no keys, who asks compares them. Nothing is taken out. What comes of it does
 * not depend on addresses. Open addressing, at most half full.
 */
#ifndef CONFLICT_MAP_H
#define CONFLICT_MAP_H

#include "conflict/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint32_t hash;
    uint32_t number; /* + 1; 0 is free */
};
struct map { /* {0} is a valid empty map */
    struct map_slot *slot;
    size_t n, slots; /* slots: a power of two */
    struct arena *a; /* where the slots are; NULL: the heap, until map_fini */
};
/* `number` is less than UINT32_MAX. */
void map_put(struct map *m, uint64_t hash, uint32_t number);
void map_fini(struct map *m);

struct map_search {
    uint32_t hash;
    uint32_t number; /* of the entry that map_next found */
    size_t place;    /* of the next slot */
};
/* Inline, because each row of a changeset is looked for several times. */
static inline struct map_search map_seek(const struct map *m, uint64_t hash)
{
    uint32_t h = (uint32_t)hash;
    return (struct map_search){.hash = h, .place = m->slots ? h & (m->slots - 1) : 0};
}
/* The next number that was put under this hash; false when there are no others. */
static inline bool map_next(const struct map *m, struct map_search *at)
{
    while (m->slots && m->slot[at->place].number) {
        const struct map_slot *slot = &m->slot[at->place];
        at->place = (at->place + 1) & (m->slots - 1);
        if (slot->hash == at->hash) {
            at->number = slot->number - 1;
            return true;
        }
    }
    return false;
}

#endif
