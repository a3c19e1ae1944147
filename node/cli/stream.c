#include "node/cli/stream.h"

#include "node/file/hex.h"
#include "node/file/printable.h"

#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 65536

static void put_hex(struct buf *b, const char *name, const void *p, size_t len)
{
    buf_printf(b, "{\"%s\":\"", name);
    hex_write((char *)buf_room(b, 2 * len + 1), p, len);
    b->len += 2 * len;
    buf_put(b, "\"}", 2);
}

static void put_escaped(struct buf *b, unsigned char c)
{
    static const char named[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (size_t i = 0; i + 1 < sizeof named; i += 2) {
        if ((unsigned char)named[i] == c) {
            buf_put_u8(b, '\\');
            buf_put_u8(b, (uint8_t)named[i + 1]);
            return;
        }
    }
    buf_printf(b, "\\u%04X", c);
}

/* Nothing to escape and nothing to check. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            return false;
    }
    return true;
}

void stream_string(struct buf *b, const char *text, size_t len)
{
    size_t from = 0;
    if (is_plain(text, len)) {
        buf_put_u8(b, '"');
        buf_put(b, text, len);
        buf_put_u8(b, '"');
        return;
    }
    if (!printable_is_utf8(text, len)) {
        put_hex(b, "text_hex", text, len);
        return;
    }
    buf_put_u8(b, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        printable_put_json(b, text + from, i - from);
        put_escaped(b, c);
        from = i + 1;
    }
    printable_put_json(b, text + from, len - from);
    buf_put_u8(b, '"');
}

void stream_json(struct buf *b, const char *json)
{
    if (json[0] == '\0')
        json = "null";
    printable_put_json(b, json, strlen(json));
}

void stream_text(struct buf *b, const char *text)
{
    stream_string(b, text, strlen(text));
}

void stream_value(struct buf *b, const struct value *v)
{
    if (v->type == VALUE_TEXT) {
        stream_string(b, v->len > 0 ? v->u.p : "", v->len);
    } else if (v->type == VALUE_INTEGER) {
        buf_printf(b, "%lld", (long long)v->u.i);
    } else if (v->type == VALUE_BLOB) {
        put_hex(b, "hex", v->u.p, v->len);
    } else {
        json_t *j = cli_value_json(v);
        char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
        printable_put_json(b, text, strlen(text));
        free(text);
        json_decref(j);
    }
}

void stream_members(struct buf *b, const struct value *v, uint32_t n, const char *const *names)
{
    bool tuple = v->type == VALUE_TUPLE && n > 0;
    struct value *member = tuple ? mem_alloc(n * sizeof *member) : NULL;
    if (!tuple || value_tuple_split(v, member, n) != ERR_OK) {
        stream_value(b, v);
        mem_free(member);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        buf_put_u8(b, i == 0 ? '{' : ',');
        stream_text(b, names[i]);
        buf_put_u8(b, ':');
        stream_value(b, &member[i]);
    }
    buf_put_u8(b, '}');
    mem_free(member);
}

static void digits(char *out, unsigned n, unsigned width)
{
    while (width-- > 0) {
        out[width] = (char)('0' + n % 10);
        n /= 10;
    }
}

/* Days to a date (Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
 */
void stream_clock(char out[STREAM_TIME], uint64_t ms)
{
    uint64_t days = ms / 86400000 + 719468, in_day = ms % 86400000;
    uint64_t era = days / 146097, doe = days - era * 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    uint64_t year = yoe + era * 400 + (month <= 2);
    memcpy(out, "0000-00-00T00:00:00.000Z", STREAM_TIME);
    digits(out, (unsigned)(year % 10000), 4);
    digits(out + 5, month, 2);
    digits(out + 8, (unsigned)(doy - (153 * mp + 2) / 5 + 1), 2);
    digits(out + 11, (unsigned)(in_day / 3600000), 2);
    digits(out + 14, (unsigned)(in_day / 60000 % 60), 2);
    digits(out + 17, (unsigned)(in_day / 1000 % 60), 2);
    digits(out + 20, (unsigned)(in_day % 1000), 3);
}

void stream_time(struct buf *b, uint64_t ms)
{
    char text[STREAM_TIME];
    if (ms == 0) {
        buf_put(b, "null", 4);
        return;
    }
    stream_clock(text, ms);
    buf_put_u8(b, '"');
    buf_put(b, text, STREAM_TIME - 1);
    buf_put_u8(b, '"');
}

size_t stream_dot_text(char out[STREAM_DOT], struct dot d)
{
    static const char hex[] = "0123456789abcdef";
    char seq[20];
    size_t n = sizeof seq;
    for (unsigned i = 0; i < 16; i++)
        out[i] = hex[d.site >> (60 - 4 * i) & 15];
    do
        seq[--n] = (char)('0' + d.seq % 10);
    while ((d.seq /= 10) > 0);
    out[16] = ':';
    memcpy(out + 17, seq + n, sizeof seq - n);
    return 17 + sizeof seq - n;
}

void stream_dot(struct buf *b, struct dot d)
{
    char text[STREAM_DOT + 2] = "\"";
    if (dot_is_none(d)) {
        buf_put(b, "null", 4);
        return;
    }
    size_t n = stream_dot_text(text + 1, d);
    text[n + 1] = '"';
    buf_put(b, text, n + 2);
}

/* A spreadsheet runs a field that begins so, quoted or not ("CSV injection"); numbers begin so,
 * too. */
static bool is_formula(const char *text, size_t len)
{
    char number[64], *end = number;
    if (len == 0 || !strchr("=+-@\t\r", text[0]))
        return false;
    if (len < sizeof number) {
        memcpy(number, text, len);
        number[len] = '\0';
        (void)strtod(number, &end);
    }
    return text[0] == '=' || text[0] == '@' || end == number || *end != '\0';
}

void stream_csv(struct buf *b, const char *text, size_t len)
{
    size_t from = 0;
    bool quote = memchr(text, '"', len) || memchr(text, ',', len) || memchr(text, '\n', len) ||
                 memchr(text, '\r', len);
    if (quote)
        buf_put_u8(b, '"');
    if (is_formula(text, len))
        buf_put_u8(b, '\'');
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '"')
            continue;
        printable_put_lines(b, text + from, i + 1 - from);
        from = i; /* it is written twice */
    }
    printable_put_lines(b, text + from, len - from);
    if (quote)
        buf_put_u8(b, '"');
}

bool stream_flush(struct buf *b, FILE *f, bool all)
{
    bool ok = true;
    if (b->len >= PIECE_BYTES || all) {
        ok = fwrite(b->data, 1, b->len, f) == b->len;
        buf_reset(b);
    }
    return ok;
}
