#include "conflict/value.h"

#include <string.h>

#define TWO_63 9223372036854775808.0

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
static int integer_real_compare(int64_t i, double r)
{
    if (r < -TWO_63)
        return 1;
    if (r >= TWO_63)
        return -1;
    int64_t whole = (int64_t)r;
    if (i != whole)
        return i < whole ? -1 : 1;
    double rest = r - (double)whole;
    return (rest < 0) - (rest > 0);
}

static int number_compare(const struct value *a, const struct value *b)
{
    if (a->type == VALUE_INTEGER && b->type == VALUE_INTEGER)
        return (a->u.i > b->u.i) - (a->u.i < b->u.i);
    if (a->type == VALUE_REAL && b->type == VALUE_REAL)
        return (a->u.r > b->u.r) - (a->u.r < b->u.r);
    int c;
    if (a->type == VALUE_INTEGER)
        c = integer_real_compare(a->u.i, b->u.r);
    else
        c = -integer_real_compare(b->u.i, a->u.r);
    return c ? c : (int)a->type - (int)b->type;
}

static int class_of(const struct value *v)
{
    return v->type == VALUE_REAL ? VALUE_INTEGER : v->type;
}

int value_compare(const struct value *a, const struct value *b)
{
    int ca = class_of(a);
    int cb = class_of(b);
    if (ca != cb)
        return ca - cb;
    if (ca == VALUE_NULL)
        return 0;
    return ca == VALUE_INTEGER ? number_compare(a, b) : bytes_compare(a, b);
}

bool value_equal(const struct value *a, const struct value *b)
{
    return a->type == b->type && value_compare(a, b) == 0;
}

struct value value_copy(struct arena *a, const struct value *v)
{
    struct value copy = *v;
    if (v->type == VALUE_TEXT || v->type == VALUE_BLOB)
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
        buf_put_varint(b, v->len);
        buf_put(b, v->u.p, v->len);
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

enum err value_decode(struct cursor *c, struct value *v)
{
    uint8_t type = cursor_u8(c);
    uint64_t n;
    *v = value_null();
    if (c->failed)
        return ERR_MALFORMED;
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
        n = cursor_varint(c);
        if (c->failed || n > UINT32_MAX || n > c->left)
            return ERR_MALFORMED;
        *v = value_bytes(type, cursor_bytes(c, (size_t)n), (size_t)n);
        return ERR_OK;
    default:
        return ERR_MALFORMED;
    }
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
        if (is_integral(&v[i]))
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

static size_t varint_bytes(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

uint64_t value_hash(uint64_t seed, const struct value *v)
{
    uint8_t head[11] = {v->type};
    size_t n = 1;
    if (v->type == VALUE_INTEGER)
        n += varint_bytes(head + 1, zigzag(v->u.i));
    if (v->type == VALUE_REAL)
        for (uint64_t bits = real_bits(v->u.r); n < 9; n++)
            head[n] = (uint8_t)(bits >> (64 - 8 * n));
    if (v->type != VALUE_TEXT && v->type != VALUE_BLOB)
        return bytes_hash(seed, head, n);
    n += varint_bytes(head + 1, v->len);
    return bytes_hash(bytes_hash(seed, head, n), v->u.p, v->len);
}
