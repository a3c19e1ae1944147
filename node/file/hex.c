#include "node/file/hex.h"

#include <string.h>

const char *hex_text(struct arena *a, const uint8_t *p, size_t n)
{
    static const char digit[] = "0123456789abcdef";
    char *out = arena_alloc(a, 2 * n + 1);
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[p[i] >> 4];
        out[2 * i + 1] = digit[p[i] & 15];
        any |= p[i] != 0;
    }
    if (!any)
        out[0] = '\0';
    return out;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_bytes(const char *text, uint8_t *out, size_t n)
{
    memset(out, 0, n);
    if (text[0] == '\0')
        return true;
    if (strlen(text) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
