#include "conflict/map.h"

#include <assert.h>

#define FIRST_SLOTS 64

static void insert(struct map *m, struct map_slot slot)
{
    size_t at = slot.hash & (m->slots - 1);
    while (m->slot[at].number)
        at = (at + 1) & (m->slots - 1);
    m->slot[at] = slot;
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->slots = old.slots ? 2 * old.slots : FIRST_SLOTS;
    size_t bytes = m->slots * sizeof *m->slot;
    m->slot = m->a ? arena_alloc(m->a, bytes) : mem_alloc(bytes);
    for (size_t i = 0; i < old.slots; i++)
        if (old.slot[i].number)
            insert(m, old.slot[i]);
    map_fini(&old);
}

void map_put(struct map *m, uint64_t hash, uint32_t number)
{
    assert(number < UINT32_MAX);
    if (2 * (m->n + 1) > m->slots)
        grow(m);
    insert(m, (struct map_slot){(uint32_t)hash, number + 1});
    m->n++;
}

void map_fini(struct map *m)
{
    if (!m->a)
        mem_free(m->slot);
    *m = (struct map){.a = m->a};
}
