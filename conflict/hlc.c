#include "conflict/hlc.h"

#define MS_MAX ((UINT64_C(1) << 48) - 1)

uint64_t hlc_make(uint64_t ms, uint16_t counter)
{
    return (ms > MS_MAX ? MS_MAX : ms) << 16 | counter;
}

uint64_t hlc_ms(uint64_t t)
{
    return t >> 16;
}

uint64_t hlc_tick(uint64_t last, uint64_t now_ms)
{
    uint64_t now = hlc_make(now_ms, 0);
    if (now > last)
        return now;
    return last == UINT64_MAX ? last : last + 1; /* a full counter carries into the milliseconds */
}

uint64_t hlc_observe(uint64_t last, uint64_t remote)
{
    return remote > last ? remote : last;
}
