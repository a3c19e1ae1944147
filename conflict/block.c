#include "conflict/block.h"

#include <assert.h>

bool block_plan_fits(struct block_plan p)
{
    return p.count >= BLOCK_COUNT_MIN && p.count <= BLOCK_COUNT_MAX && p.size >= BLOCK_SIZE_MIN &&
           p.size <= BLOCK_SIZE_MAX;
}

/* An explicit id may be anything; those below 1 are nobody's, and in nobody's way. */
static int64_t blocks_before(struct block_plan p, int64_t position)
{
    return position <= 0 ? 0 : position / p.size;
}

bool block_owns(struct block_plan p, uint32_t number, int64_t id)
{
    assert(block_plan_fits(p) && number < p.count);
    return id >= 1 && blocks_before(p, id - 1) % p.count == number;
}

bool block_is_spent(struct block_plan p, uint32_t number, int64_t position)
{
    if (position < 0)
        position = 0;
    return position >= BLOCK_ID_MAX || !block_owns(p, number, position + 1) ||
           position % p.size * 4 >= INT64_C(3) * p.size;
}

int64_t block_next(struct block_plan p, uint32_t number, int64_t position)
{
    assert(block_plan_fits(p) && number < p.count);
    if (position > BLOCK_ID_MAX)
        return -1;
    int64_t b = blocks_before(p, position);
    if (position > b * p.size)
        b++; /* the block is begun: the next whole one */
    b += (int64_t)((number + p.count - (uint32_t)(b % p.count)) % p.count);
    return (b + 1) * p.size <= BLOCK_ID_MAX ? b * p.size : -1;
}

uint32_t block_number(struct block_plan p, const uint32_t *given, uint32_t n)
{
    assert(block_plan_fits(p) && n <= p.count);
    uint32_t best = p.count, widest = 1;
    if (n == 0)
        return 0;
    for (uint32_t i = 0; i < n; i++) { /* round the circle: behind the last comes the first */
        uint32_t next = i + 1 < n ? given[i + 1] : given[0] + p.count;
        uint32_t gap = next - given[i];
        if (gap > widest) {
            widest = gap;
            best = (given[i] + gap / 2) % p.count;
        }
    }
    return best;
}
