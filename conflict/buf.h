/* buf.h - a growing byte string to write into, and a cursor that carries what is left to read.
 *
 * Invariant: a cursor never reads past its end; after the first failure it stays failed and every
 * later read returns zero or NULL (a sticky error keeps parsers straight-line).
 */
#ifndef CONFLICT_BUF_H
#define CONFLICT_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes { /* borrowed */
    const uint8_t *p;
    size_t len;
};

struct buf { /* {0} is a valid empty buffer */
    uint8_t *data;
    size_t len;
    size_t cap;
};
void buf_fini(struct buf *b);
void buf_reset(struct buf *b);              /* len = 0, keeps the memory */
uint8_t *buf_room(struct buf *b, size_t n); /* n bytes behind what is there, to be written; len is
                                               not changed */
/* Inline, because records and lists are put together from very small pieces. */
static inline void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    memcpy(b->len + n < b->cap ? b->data + b->len : buf_room(b, n), p, n);
    b->len += n;
}
static inline void buf_put_u8(struct buf *b, uint8_t v)
{
    *(b->len + 1 < b->cap ? b->data + b->len : buf_room(b, 1)) = v;
    b->len++;
}
void buf_put_u64(struct buf *b, uint64_t v);    /* 8 bytes, big-endian */
void buf_put_varint(struct buf *b, uint64_t v); /* LEB128, 1-10 bytes */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The bytes as a NUL-terminated string (the NUL is not counted in len). */
const char *buf_str(struct buf *b);

struct cursor {
    const uint8_t *p;
    size_t left;
    bool failed;
};
struct cursor cursor_of(const void *p, size_t n);
uint8_t cursor_u8(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
uint64_t cursor_varint(struct cursor *c); /* fails on more than 10 bytes, on overflow, on padding */
const uint8_t *cursor_bytes(struct cursor *c, size_t n); /* borrows; NULL when failed */

#endif
