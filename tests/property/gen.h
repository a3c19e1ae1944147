/* gen.h - the seeded generator of the property tests (xorshift64*, Vigna 2016), and a failure that
 * names its seed. The same seed gives the same history. */
#ifndef TESTS_PROPERTY_GEN_H
#define TESTS_PROPERTY_GEN_H

#include "tests/lib/check.h"

struct gen {
    uint64_t state;
};

static inline uint64_t gen_u64(struct gen *g)
{
    g->state ^= g->state >> 12;
    g->state ^= g->state << 25;
    g->state ^= g->state >> 27;
    return g->state * 0x2545f4914f6cdd1dULL;
}

/* Below n, n >= 1. */
static inline uint32_t gen_below(struct gen *g, uint32_t n)
{
    return (uint32_t)((gen_u64(g) >> 32) * n >> 32);
}

static inline int gen_between(struct gen *g, int low, int high)
{
    return low + (int)gen_below(g, (uint32_t)(high - low + 1));
}

static inline int gen_percent(struct gen *g, uint32_t percent)
{
    return gen_below(g, 100) < percent;
}

static inline struct gen gen_seeded(uint64_t seed)
{
    struct gen g = {(seed + 1) * 0x9e3779b97f4a7c15ULL};
    for (int i = 0; i < 4; i++)
        gen_u64(&g);
    return g;
}

#define CHECK(seed, condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %llu: %s", (unsigned long long)(seed), #condition);                     \
    } while (0)

#endif
