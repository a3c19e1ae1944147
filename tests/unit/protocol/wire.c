#include "tests/unit/protocol/wire.h"

#include <string.h>

void wire_varint(struct buf *b, unsigned id, uint64_t v)
{
    buf_put_varint(b, id << 3);
    buf_put_varint(b, v);
}

void wire_fixed(struct buf *b, unsigned id, uint64_t v)
{
    buf_put_varint(b, id << 3 | 1);
    for (int i = 0; i < 8; i++)
        buf_put_u8(b, (uint8_t)(v >> (8 * i)));
}

void wire_bytes(struct buf *b, unsigned id, const void *p, size_t len)
{
    buf_put_varint(b, id << 3 | 2);
    buf_put_varint(b, len);
    buf_put(b, p, len);
}

void wire_string(struct buf *b, unsigned id, const char *s)
{
    wire_bytes(b, id, s, strlen(s));
}

bool wire_find(struct bytes message, unsigned id, struct bytes *content, uint64_t *value)
{
    struct cursor c = cursor_of(message.p, message.len);
    while (c.left && !c.failed) {
        uint64_t tag = cursor_varint(&c);
        *value = (tag & 7) == 0 ? cursor_varint(&c) : 0;
        size_t len = (tag & 7) == 2 ? (size_t)cursor_varint(&c) : (tag & 7) == 1 ? 8 : 0;
        *content = (struct bytes){cursor_bytes(&c, len), len};
        if (tag >> 3 == id)
            return !c.failed;
    }
    return false;
}
