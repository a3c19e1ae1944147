#include "conflict/buf.h"

#include "conflict/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint8_t *buf_room(struct buf *b, size_t n)
{
    if (n > SIZE_MAX - b->len - 1)
        abort();
    b->data = mem_grow(b->data, b->len + n, &b->cap, 1); /* one spare byte for buf_str's NUL */
    return b->data + b->len;
}

void buf_fini(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    uint8_t *p = buf_room(b, 8);
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (56 - 8 * i));
    b->len += 8;
}

void buf_put_varint(struct buf *b, uint64_t v)
{
    uint8_t *p = buf_room(b, 10);
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    b->len += n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    va_start(ap, fmt);
    vsnprintf((char *)buf_room(b, (size_t)n), (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

const char *buf_str(struct buf *b)
{
    *buf_room(b, 0) = 0;
    return (const char *)b->data;
}

struct cursor cursor_of(const void *p, size_t n)
{
    return (struct cursor){.p = p, .left = n};
}

const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
    static const uint8_t nothing[1] = {0}; /* so that NULL means failed, also for 0 bytes of NULL */
    if (c->failed || n > c->left) {
        c->failed = true;
        return NULL;
    }
    if (!c->p)
        return nothing;
    const uint8_t *p = c->p;
    c->p += n;
    c->left -= n;
    return p;
}

uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 1);
    return p ? *p : 0;
}

uint64_t cursor_u64(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 8);
    uint64_t v = 0;
    for (int i = 0; p && i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

uint64_t cursor_varint(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = cursor_u8(c);
        if (c->failed)
            return 0;
        if (shift == 63 && byte > 1)
            break; /* beyond 64 bits, or an eleventh byte announced */
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (byte == 0 && shift > 0)
            break; /* padding: one number has one form */
        return v;
    }
    c->failed = true;
    return 0;
}
