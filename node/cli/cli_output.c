#define _GNU_SOURCE /* vasprintf, wcwidth */
#include "node/cli/cli.h"

#include "node/file/hex.h"
#include "node/file/printable.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

void cli_print_json(json_t *value)
{
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
    char *text = json_dumps(value, flags | (isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT));
    struct buf b = {0};
    printable_put_json(&b, text, strlen(text));
    buf_put_u8(&b, '\n');
    fwrite(b.data, 1, b.len, stdout);
    buf_fini(&b);
    free(text);
    json_decref(value);
}

static json_t *hex_json(const char *name, const void *p, size_t len)
{
    char *hex = mem_alloc(len * 2 + 1);
    hex_write(hex, p, len);
    json_t *j = json_pack("{s:s}", name, hex);
    mem_free(hex);
    return j;
}

/* The members, where nobody knows their names any more. */
static json_t *tuple_json(const struct value *v)
{
    json_t *list = json_array();
    struct cursor c = cursor_of(v->u.p, v->len);
    struct value member;
    while (c.left > 0 && value_decode(&c, &member) == ERR_OK)
        json_array_append_new(list, cli_value_json(&member));
    return list;
}

json_t *cli_value_json(const struct value *v)
{
    json_t *j;
    switch (v->type) {
    case VALUE_INTEGER:
        return json_integer(v->u.i);
    case VALUE_REAL: /* JSON has no infinity */
        j = json_real(v->u.r);
        return j ? j : json_pack("{s:s}", "real", v->u.r > 0 ? "inf" : "-inf");
    case VALUE_TEXT:
        j = json_stringn(v->u.p ? v->u.p : "", v->len);
        return j ? j : hex_json("text_hex", v->u.p, v->len);
    case VALUE_BLOB:
        return hex_json("hex", v->u.p, v->len);
    case VALUE_WIDE: {
        char digits[WIDE_TEXT];
        value_wide_text(digits, value_count(v));
        return json_pack("{s:s}", "wide", digits);
    }
    default:
        return v->type == VALUE_TUPLE ? tuple_json(v) : json_null();
    }
}

json_t *cli_text_json(const char *s)
{
    struct value v = value_text(s ? s : "");
    return cli_value_json(&v);
}

json_t *cli_key_json(const char *key_json)
{
    json_t *j = json_loads(key_json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    return j ? j : cli_text_json(key_json);
}

json_t *cli_dot_json(struct dot d)
{
    return dot_is_none(d) ? json_null()
                          : json_sprintf("%016llx:%llu", (unsigned long long)d.site,
                                         (unsigned long long)d.seq);
}

static void format_time(uint64_t ms, char out[40])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    size_t n;
    if (!gmtime_r(&t, &tm) || (n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm)) == 0)
        n = 0;
    snprintf(out + n, 40 - n, ".%03uZ", (unsigned)(ms % 1000));
}

json_t *cli_time_json(uint64_t ms)
{
    char text[40];
    if (ms == 0)
        return json_null();
    format_time(ms, text);
    return json_string(text);
}

const char *cli_printf(struct cli *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    va_end(ap);
    const char *kept = arena_strdup(&c->arena, text);
    free(text);
    return kept;
}

const char *cli_time(struct cli *c, uint64_t ms)
{
    char text[40];
    if (ms == 0)
        return "-";
    format_time(ms, text);
    return arena_strdup(&c->arena, text);
}

const char *cli_dot(struct cli *c, struct dot d)
{
    return dot_is_none(d) ? "-"
                          : cli_printf(c, "%016llx:%llu", (unsigned long long)d.site,
                                       (unsigned long long)d.seq);
}

const char *cli_json_text(struct cli *c, const json_t *j)
{
    struct buf b = {0};
    char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
    printable_put_json(&b, text ? text : "null", text ? strlen(text) : 4);
    const char *kept = arena_strdup(&c->arena, buf_str(&b));
    buf_fini(&b);
    free(text);
    return kept;
}

#define SHORT_BYTES 1000

const char *cli_short(struct cli *c, const char *text)
{
    size_t len = strlen(text), n = SHORT_BYTES;
    if (len <= n)
        return text;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return cli_printf(c, "%.*s... (%zu bytes; --json has them)", (int)n, text, len);
}

const char *cli_value(struct cli *c, const struct value *v)
{
    if (v->type == VALUE_NULL)
        return "NULL";
    json_t *j = cli_value_json(v);
    const char *text = cli_json_text(c, j);
    json_decref(j);
    return cli_short(c, text);
}

const char *cli_age(struct cli *c, uint64_t ms)
{
    uint64_t s = ms / 1000;
    if (s < 100)
        return cli_printf(c, "%llu s", (unsigned long long)s);
    if (s < 100 * 60)
        return cli_printf(c, "%llu min", (unsigned long long)(s / 60));
    if (s < 72 * 3600)
        return cli_printf(c, "%llu h", (unsigned long long)(s / 3600));
    return cli_printf(c, "%llu days", (unsigned long long)(s / 86400));
}

const char *cli_coloured(struct cli *c, enum cli_colour colour, const char *text)
{
    const char *no = getenv("NO_COLOR");
    if (!isatty(STDOUT_FILENO) || (no && no[0] != '\0'))
        return text;
    return cli_printf(c, "\033[%dm%s\033[0m", (int)colour, text);
}

/* ---- tables for people */

/* What is only printable ASCII stands as it is, one column a byte: nearly everything. */
static bool is_plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] >= 0x7f)
            return false;
    return true;
}

/* Length of the colour that cli_colour put in front of the whole text; 0 without one. Whoever
 * writes the same into a value gets no more than that. */
static size_t colour_len(const char *s, size_t len)
{
    static const enum cli_colour known[] = {COLOUR_GOOD, COLOUR_WARN, COLOUR_BAD, COLOUR_BOLD};
    if (len < 4 || memcmp(s + len - 4, "\033[0m", 4) != 0)
        return 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char head[16];
        size_t n = (size_t)snprintf(head, sizeof head, "\033[%dm", (int)known[i]);
        if (len >= n + 4 && memcmp(s, head, n) == 0)
            return n;
    }
    return 0;
}

/* Length of a colour of ours at s; 0: there is none. */
static size_t colour_at(const char *s)
{
    static const char *const known[] = {"\033[32m", "\033[33m", "\033[31m", "\033[1m", "\033[0m"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strncmp(s, known[i], strlen(known[i])) == 0)
            return strlen(known[i]);
    return 0;
}

void cli_print(const char *fmt, ...)
{
    struct buf b = {0};
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    va_end(ap);
    for (const char *s = text; *s != '\0';) {
        size_t colour = colour_at(s), n = colour > 0 ? colour : 1 + strcspn(s + 1, "\033");
        if (colour > 0)
            buf_put(&b, s, n);
        else
            printable_put_lines(&b, s, n);
        s += n;
    }
    fwrite(b.data, 1, b.len, stdout);
    buf_fini(&b);
    free(text);
}

const char *cli_safe(struct cli *c, const char *text)
{
    struct buf b = {0};
    printable_put(&b, text, strlen(text));
    const char *safe = arena_strdup(&c->arena, buf_str(&b));
    buf_fini(&b);
    return safe;
}

static size_t shown_width(const char *s)
{
    size_t width = 0;
    mbstate_t state = {0};
    while (*s != '\0') {
        wchar_t w;
        size_t n = mbrtowc(&w, s, strlen(s), &state);
        if (n == (size_t)-1 || n == (size_t)-2)
            return width + strlen(s);
        if (w == L'\033') { /* a colour */
            s += strcspn(s, "m") + 1;
            continue;
        }
        int columns = wcwidth(w);
        width += columns > 0 ? (size_t)columns : 0;
        s += n;
    }
    return width;
}

static struct text_cell cell_of_text(struct cli *c, const char *text)
{
    size_t len = strlen(text);
    if (is_plain(text, len))
        return (struct text_cell){arena_copy(&c->arena, text, len + 1), (uint32_t)len,
                                  (uint32_t)len};
    struct buf b = {0};
    size_t head = colour_len(text, len), tail = head > 0 ? 4 : 0;
    buf_put(&b, text, head);
    printable_put(&b, text + head, len - head - tail);
    buf_put(&b, text + len - tail, tail);
    struct text_cell cell = {arena_strdup(&c->arena, buf_str(&b)), (uint32_t)b.len, 0};
    cell.width = (uint32_t)shown_width(cell.text);
    buf_fini(&b);
    return cell;
}

void table_head(struct cli *c, struct text_table *t, unsigned columns, const char *const *heads)
{
    t->columns = columns;
    const char *cells[TABLE_COLUMNS];
    for (unsigned i = 0; i < columns; i++)
        cells[i] = cli_coloured(c, COLOUR_BOLD, heads[i]);
    table_add(c, t, cells);
}

void table_add(struct cli *c, struct text_table *t, const char *const *cells)
{
    for (unsigned i = 0; i < t->columns; i++) {
        t->cell = mem_grow(t->cell, t->n, &t->cap, sizeof *t->cell);
        t->cell[t->n++] = cell_of_text(c, cells[i]);
    }
}

void table_print(struct text_table *t)
{
    static const char blanks[] = "                                ";
    size_t width[TABLE_COLUMNS] = {0};
    struct buf b = {0};
    for (size_t i = 0; i < t->n; i++)
        if (t->cell[i].width > width[i % t->columns])
            width[i % t->columns] = t->cell[i].width;
    for (size_t i = 0; i < t->n; i++) {
        bool last = i % t->columns == t->columns - 1;
        size_t pad = last ? 0 : width[i % t->columns] - t->cell[i].width + 2;
        buf_put(&b, t->cell[i].text, t->cell[i].len);
        for (size_t n; pad > 0; pad -= n) {
            n = pad < sizeof blanks - 1 ? pad : sizeof blanks - 1;
            buf_put(&b, blanks, n);
        }
        if (last)
            buf_put_u8(&b, '\n');
        if (b.len > 65536 || i + 1 == t->n) {
            fwrite(b.data, 1, b.len, stdout);
            buf_reset(&b);
        }
    }
    buf_fini(&b);
    mem_free(t->cell);
    *t = (struct text_table){0};
}
