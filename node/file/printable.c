#include "node/file/printable.h"

#include <string.h>
#include <utf8proc.h>

static bool is_unsafe(utf8proc_int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return true;
    default: /* the bidirectional controls of Unicode (Bidi_Control) */
        return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
               (c >= 0x2066 && c <= 0x2069);
    }
}

/* Bytes of the first character of s if it may stand as it is; 0: it may not (*point: its number),
 * or is no UTF-8 (*point: -1). */
static size_t printable_len(const char *s, size_t left, int32_t *point)
{
    utf8proc_int32_t c = 0;
    if ((unsigned char)*s >= 0x20 && (unsigned char)*s < 0x7f)
        return 1;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)left, &c);
    *point = n > 0 ? c : -1;
    return n > 0 && !is_unsafe(c) ? (size_t)n : 0;
}

static size_t bytes_of(int32_t point)
{
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

bool printable_is_utf8(const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        int32_t point = 0;
        size_t n = printable_len(s + i, len - i, &point);
        if (point < 0)
            return false;
        i += n > 0 ? n : bytes_of(point);
    }
    return true;
}

/* `keep`: a character that stands all the same. */
static void put(struct buf *b, const char *s, size_t len, char keep, bool json)
{
    size_t from = 0, i = 0;
    while (i < len) {
        int32_t point;
        size_t n = printable_len(s + i, len - i, &point);
        if (n > 0 || (s[i] == keep && keep != '\0')) {
            i += n > 0 ? n : 1;
            continue;
        }
        buf_put(b, s + from, i - from);
        const char *name = point > 0 ? memchr("\nn\tt\rr", point, 6) : NULL;
        if (name && !json)
            buf_printf(b, "\\%c", name[1]);
        else if (point < 0)
            buf_printf(b, "\\x%02x", (unsigned char)s[i]);
        else if (json)
            buf_printf(b, "\\u%04X", (unsigned)point);
        else
            buf_printf(b, point < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)point);
        i += point < 0 ? 1 : bytes_of(point);
        from = i;
    }
    buf_put(b, s + from, len - from);
}

void printable_put(struct buf *b, const char *s, size_t len)
{
    put(b, s, len, '\0', false);
}

void printable_put_lines(struct buf *b, const char *s, size_t len)
{
    put(b, s, len, '\n', false);
}

/* Its own line feeds stand between its values: in a string they are escaped already. */
void printable_put_json(struct buf *b, const char *s, size_t len)
{
    put(b, s, len, '\n', true);
}

void printable_put_value(struct buf *b, const char *value)
{
    bool quoted = value[0] == '\0' || value[strcspn(value, " \"=\\\t\r\n")] != '\0';
    if (quoted)
        buf_put_u8(b, '"');
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            buf_put_u8(b, '\\');
        buf_put_u8(b, (uint8_t)*p);
    }
    if (quoted)
        buf_put_u8(b, '"');
}
