#include "conflict/value.h"

#include <assert.h>

#define WIDE_BYTES 16

/* Modulo 2 * WIDE_MAX, into -WIDE_MAX ... WIDE_MAX - 1. A sum of honest deltas is nowhere near the
 * ends; with hostile ones addition stays exact modulo that number, so offices that add the same
 * deltas in different orders still agree, and what one of them encodes the others decode. */
static __int128 within(__int128 n)
{
    unsigned __int128 cycle = (unsigned __int128)WIDE_MAX * 2;
    unsigned __int128 rest = ((unsigned __int128)n + (unsigned __int128)WIDE_MAX) & (cycle - 1);
    return (__int128)rest - WIDE_MAX;
}

struct value value_wide(struct arena *a, __int128 n)
{
    unsigned __int128 bits = (unsigned __int128)within(n);
    uint8_t *p = arena_alloc(a, WIDE_BYTES);
    for (int i = WIDE_BYTES - 1; i >= 0; i--, bits >>= 8)
        p[i] = (uint8_t)bits;
    return value_bytes(VALUE_WIDE, p, WIDE_BYTES);
}

struct value value_total(struct arena *a, __int128 n)
{
    n = within(n);
    return n >= INT64_MIN && n <= INT64_MAX ? value_integer((int64_t)n) : value_wide(a, n);
}

bool value_is_count(const struct value *v)
{
    return v->type == VALUE_NULL || v->type == VALUE_INTEGER || v->type == VALUE_WIDE;
}

__int128 value_count(const struct value *v)
{
    assert(value_is_count(v));
    if (v->type == VALUE_NULL)
        return 0;
    if (v->type == VALUE_INTEGER)
        return v->u.i;
    const uint8_t *p = v->u.p;
    unsigned __int128 bits = 0;
    for (int i = 0; i < WIDE_BYTES; i++)
        bits = bits << 8 | p[i];
    return (__int128)bits;
}

void value_wide_text(char out[WIDE_TEXT], __int128 n)
{
    char digit[WIDE_TEXT];
    size_t count = 0;
    size_t used = 0;
    unsigned __int128 rest = n < 0 ? -(unsigned __int128)n : (unsigned __int128)n;
    do
        digit[count++] = (char)('0' + (int)(rest % 10));
    while (rest /= 10);
    if (n < 0)
        out[used++] = '-';
    while (count)
        out[used++] = digit[--count];
    out[used] = '\0';
}
