#include "conflict/value.h"

#include <assert.h>
#include <string.h>

#define TWO_63 9223372036854775808.0
#define TWO_127 (TWO_63 * 2 * TWO_63)
#define WIDE_BYTES 16

struct value value_null(void)
{
    return (struct value){0};
}

struct value value_integer(int64_t i)
{
    return (struct value){.type = VALUE_INTEGER, .u.i = i};
}

struct value value_real(double r)
{
    if (r != r)
        return value_null();
    return (struct value){.type = VALUE_REAL, .u.r = r == 0 ? 0.0 : r};
}

struct value value_text(const char *s)
{
    return value_bytes(VALUE_TEXT, s, strlen(s));
}

struct value value_bytes(enum value_type type, const void *p, size_t len)
{
    return (struct value){.type = (uint8_t)type, .len = (uint32_t)len, .u.p = p};
}

static int bytes_compare(const struct value *a, const struct value *b)
{
    size_t n = a->len < b->len ? a->len : b->len;
    int c = n ? memcmp(a->u.p, b->u.p, n) : 0;
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

/* Exact: a double cannot hold every integer, so the integer is compared with the truncated real
 * first. */
static int integer_real_compare(__int128 i, double r)
{
    if (r < -TWO_127)
        return 1;
    if (r >= TWO_127)
        return -1;
    __int128 whole = (__int128)r;
    if (i != whole)
        return i < whole ? -1 : 1;
    double rest = r - (double)whole;
    return (rest < 0) - (rest > 0);
}

/* INTEGER, REAL, WIDE; equal numbers in this order of types. */
static int number_compare(const struct value *a, const struct value *b)
{
    int c;
    if (a->type == VALUE_INTEGER && b->type == VALUE_INTEGER)
        return (a->u.i > b->u.i) - (a->u.i < b->u.i);
    if (a->type == VALUE_REAL && b->type == VALUE_REAL)
        return (a->u.r > b->u.r) - (a->u.r < b->u.r);
    if (a->type == VALUE_REAL)
        c = -integer_real_compare(value_count(b), a->u.r);
    else if (b->type == VALUE_REAL)
        c = integer_real_compare(value_count(a), b->u.r);
    else
        c = (value_count(a) > value_count(b)) - (value_count(a) < value_count(b));
    return c ? c : (int)a->type - (int)b->type;
}

/* Member by member. Where all that both have are equal their bytes are too, so that the bytes tell
 * the rest: whether one has more. */
static int tuple_compare(const struct value *a, const struct value *b)
{
    struct cursor ca = cursor_of(a->u.p, a->len);
    struct cursor cb = cursor_of(b->u.p, b->len);
    struct value va;
    struct value vb;
    while (ca.left && cb.left && !value_decode(&ca, &va) && !value_decode(&cb, &vb)) {
        int c = value_compare(&va, &vb);
        if (c)
            return c;
    }
    return bytes_compare(a, b);
}

static int class_of(const struct value *v)
{
    return v->type == VALUE_REAL || v->type == VALUE_WIDE ? VALUE_INTEGER : v->type;
}

int value_compare(const struct value *a, const struct value *b)
{
    int ca = class_of(a);
    int cb = class_of(b);
    if (ca != cb)
        return ca - cb;
    switch (ca) {
    case VALUE_NULL:
        return 0;
    case VALUE_INTEGER:
        return number_compare(a, b);
    case VALUE_TUPLE:
        return tuple_compare(a, b);
    default:
        return bytes_compare(a, b);
    }
}

bool value_equal(const struct value *a, const struct value *b)
{
    if (a->type != b->type)
        return false;
    return a->type == VALUE_TUPLE ? bytes_compare(a, b) == 0 : value_compare(a, b) == 0;
}

struct value value_copy(struct arena *a, const struct value *v)
{
    struct value copy = *v;
    if (v->type >= VALUE_TEXT)
        copy.u.p = arena_copy(a, v->u.p, v->len);
    return copy;
}

static uint64_t zigzag(int64_t i)
{
    return ((uint64_t)i << 1) ^ (i < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t z)
{
    return (int64_t)((z >> 1) ^ (z & 1 ? UINT64_MAX : 0));
}

static uint64_t real_bits(double r)
{
    uint64_t bits;
    r = r == 0 ? 0.0 : r;
    memcpy(&bits, &r, sizeof bits);
    return bits;
}

void value_encode(struct buf *b, const struct value *v)
{
    buf_put_u8(b, v->type);
    switch (v->type) {
    case VALUE_INTEGER:
        buf_put_varint(b, zigzag(v->u.i));
        break;
    case VALUE_REAL:
        buf_put_u64(b, real_bits(v->u.r));
        break;
    case VALUE_TEXT:
    case VALUE_BLOB:
    case VALUE_TUPLE:
        buf_put_varint(b, v->len);
        buf_put(b, v->u.p, v->len);
        break;
    case VALUE_WIDE:
        buf_put(b, v->u.p, WIDE_BYTES);
        break;
    default:
        break;
    }
}

/* NaN and -0.0 are never written, so they are not read either: one value has one form. */
static enum err real_decode(struct cursor *c, struct value *v)
{
    uint64_t bits = cursor_u64(c);
    double r;
    memcpy(&r, &bits, sizeof r);
    if (c->failed || r != r || real_bits(r) != bits)
        return ERR_MALFORMED;
    *v = value_real(r);
    return ERR_OK;
}

static enum err bytes_decode(struct cursor *c, enum value_type type, struct value *v)
{
    uint64_t n = cursor_varint(c);
    if (c->failed || n > UINT32_MAX || n > c->left)
        return ERR_MALFORMED;
    *v = value_bytes(type, cursor_bytes(c, (size_t)n), (size_t)n);
    return ERR_OK;
}

static enum err wide_decode(struct cursor *c, struct value *v)
{
    const uint8_t *p = cursor_bytes(c, WIDE_BYTES);
    if (!p)
        return ERR_MALFORMED;
    struct value wide = value_bytes(VALUE_WIDE, p, WIDE_BYTES);
    __int128 n = value_count(&wide);
    if (n > WIDE_MAX || n < -WIDE_MAX)
        return ERR_MALFORMED;
    *v = wide;
    return ERR_OK;
}

/* Everything but a tuple. */
static enum err single_decode(struct cursor *c, uint8_t type, struct value *v)
{
    uint64_t n;
    switch (type) {
    case VALUE_NULL:
        return ERR_OK;
    case VALUE_INTEGER:
        n = cursor_varint(c);
        if (c->failed)
            return ERR_MALFORMED;
        *v = value_integer(unzigzag(n));
        return ERR_OK;
    case VALUE_REAL:
        return real_decode(c, v);
    case VALUE_TEXT:
    case VALUE_BLOB:
        return bytes_decode(c, type, v);
    case VALUE_WIDE:
        return wide_decode(c, v);
    default:
        return ERR_MALFORMED;
    }
}

/* Looks at every member once, so that whoever splits or compares it later finds what he expects. */
static enum err tuple_decode(struct cursor *c, struct value *v)
{
    struct value tuple;
    enum err e = bytes_decode(c, VALUE_TUPLE, &tuple);
    if (e)
        return e;
    struct cursor member = cursor_of(tuple.u.p, tuple.len);
    while (member.left) {
        struct value one;
        e = single_decode(&member, cursor_u8(&member), &one);
        if (e)
            return e;
    }
    *v = tuple;
    return ERR_OK;
}

enum err value_decode(struct cursor *c, struct value *v)
{
    uint8_t type = cursor_u8(c);
    *v = value_null();
    if (c->failed)
        return ERR_MALFORMED;
    return type == VALUE_TUPLE ? tuple_decode(c, v) : single_decode(c, type, v);
}

struct value value_tuple(struct arena *a, const struct value *v, size_t n)
{
    struct buf b = {0};
    for (size_t i = 0; i < n; i++)
        value_encode(&b, &v[i]);
    struct value tuple = value_bytes(VALUE_TUPLE, arena_copy(a, b.data, b.len), b.len);
    buf_fini(&b);
    return tuple;
}

enum err value_tuple_split(const struct value *tuple, struct value *v, size_t n)
{
    if (tuple->type != VALUE_TUPLE)
        return ERR_MALFORMED;
    struct cursor member = cursor_of(tuple->u.p, tuple->len);
    for (size_t i = 0; i < n; i++) {
        enum err e = value_decode(&member, &v[i]);
        if (e)
            return e;
    }
    return member.left ? ERR_MALFORMED : ERR_OK;
}

static bool is_integral(const struct value *v)
{
    if (v->type != VALUE_REAL || v->u.r < -TWO_63 || v->u.r >= TWO_63)
        return false;
    return (double)(int64_t)v->u.r == v->u.r;
}

void key_encode(struct buf *b, const struct value *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct value part = v[i];
        if (is_integral(&part))
            part = value_integer((int64_t)part.u.r);
        value_encode(b, &part);
    }
}

enum err key_decode(const void *p, size_t len, struct value *v, size_t n)
{
    struct cursor c = cursor_of(p, len);
    for (size_t i = 0; i < n; i++) {
        enum err e = value_decode(&c, &v[i]);
        if (e)
            return e;
        if (is_integral(&v[i]) || v[i].type > VALUE_BLOB)
            return ERR_MALFORMED;
    }
    return c.left ? ERR_MALFORMED : ERR_OK;
}

uint64_t bytes_hash(uint64_t seed, const void *p, size_t n)
{
    const uint8_t *byte = p;
    for (size_t i = 0; i < n; i++)
        seed = (seed ^ byte[i]) * 1099511628211ULL;
    return seed;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio: Knuth, TAOCP 3, 6.4 */
    return h ^ h >> 32;
}

unsigned __int128 bytes_hash_wide(unsigned __int128 seed, const void *p, size_t n)
{
    const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;
    const uint8_t *byte = p;
    for (size_t i = 0; i < n; i++)
        seed = (seed ^ byte[i]) * prime;
    return seed;
}

uint64_t hash_key(uint64_t seed, const void *p, size_t n)
{
    const uint8_t *byte = p;
    uint64_t h = mix(seed, n), word;
    for (; n >= sizeof word; byte += sizeof word, n -= sizeof word) {
        memcpy(&word, byte, sizeof word);
        h = mix(h, word);
    }
    word = 0;
    if (n > 0)
        memcpy(&word, byte, n);
    return mix(mix(h, word), 1); /* what the last word gave reaches the low bits, too */
}

/* ---- wide integers ---- */

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
