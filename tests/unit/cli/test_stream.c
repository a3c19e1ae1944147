/* Long answers, written without a tree: what comes out is what the tree would give. */
#include "node/cli/stream.h"
#include "node/file/printable.h"
#include "tests/lib/check.h"

#include <string.h>
#include <time.h>

static uint64_t seed = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static void same_as_jansson(const struct value *v)
{
    struct buf b = {0};
    json_t *j = cli_value_json(v);
    char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
    struct buf want = {0};
    printable_put_json(&want, text, strlen(text));
    stream_value(&b, v);
    assert_string_equal(buf_str(&b), buf_str(&want));
    json_t *read = json_loads(buf_str(&b), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_true(json_equal(read, j));
    free(text);
    json_decref(j);
    json_decref(read);
    buf_fini(&b);
    buf_fini(&want);
}

/* Any bytes as text, well-formed or not: every edge of UTF-8, and drawn ones. */
static void texts_are_those_of_jansson(void **state)
{
    static const char *const edge[] = {"",
                                       "a\"b\\c/d",
                                       "\x01\x1f\x7f",
                                       "\t\n\r\b\f",
                                       "ភូមិ",
                                       "\xc2\x80",
                                       "\xc1\xbf",
                                       "\xe0\xa0\x80",
                                       "\xe0\x9f\xbf",
                                       "\xed\x9f\xbf",
                                       "\xed\xa0\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xc2",
                                       "\xe0\xa0",
                                       "\x80"};
    for (size_t i = 0; i < sizeof edge / sizeof edge[0]; i++) {
        struct value v = value_text(edge[i]);
        same_as_jansson(&v);
    }
    same_as_jansson(&(struct value){.type = VALUE_TEXT, .len = 3, .u.p = "a\0b"});
    for (int i = 0; i < 20000; i++) {
        char text[8];
        size_t n = draw(sizeof text);
        for (size_t k = 0; k < n; k++)
            text[k] = (char)(draw(3) == 0 ? 0x80 + draw(0x80) : draw(0x80));
        struct value v = value_bytes(VALUE_TEXT, text, n);
        same_as_jansson(&v);
    }
}

/* The other types, at their edges. */
static void values_are_those_of_jansson(void **state)
{
    const struct value v[] = {value_null(),
                              value_integer(0),
                              value_integer(INT64_MIN),
                              value_integer(INT64_MAX),
                              value_real(0.1),
                              value_real(1e300),
                              value_real(-2),
                              value_bytes(VALUE_BLOB, "\x00\xff", 2),
                              value_bytes(VALUE_BLOB, "", 0)};
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++)
        same_as_jansson(&v[i]);
}

/* The members of a group come by their names; another number of names than members is shown as what
 * it is. */
static void a_group_is_an_object(void **state)
{
    static const char *const names[] = {"family", "given", "more"};
    struct arena a = {0};
    struct buf b = {0};
    const struct value member[] = {value_text("Sok"), value_null()};
    struct value tuple = value_tuple(&a, member, 2);
    stream_members(&b, &tuple, 2, names);
    assert_string_equal(buf_str(&b), "{\"family\":\"Sok\",\"given\":null}");
    buf_reset(&b);
    stream_members(&b, &tuple, 3, names);
    assert_string_equal(buf_str(&b), "[\"Sok\",null]");
    buf_fini(&b);
    arena_fini(&a);
}

/* Times are those of gmtime, on every day from 1970 to 2100. */
static void times_are_those_of_the_calendar(void **state)
{
    for (uint64_t day = 0; day < 47500; day++) {
        uint64_t ms = day * 86400000 + draw(86400000);
        char text[STREAM_TIME], want[40];
        time_t t = (time_t)(ms / 1000);
        struct tm tm;
        gmtime_r(&t, &tm);
        size_t n = strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(want + n, sizeof want - n, ".%03uZ", (unsigned)(ms % 1000));
        stream_clock(text, ms);
        assert_string_equal(text, want);
    }
}

/* A dot is written as elsewhere, whatever its numbers. */
static void dots_are_those_of_jansson(void **state)
{
    const struct dot d[] = {{0, 0}, {1, 1}, {UINT64_MAX, UINT64_MAX}, {0x0123456789abcdef, 10}};
    for (size_t i = 0; i < sizeof d / sizeof d[0]; i++) {
        struct buf b = {0};
        json_t *j = cli_dot_json(d[i]);
        char *text = json_dumps(j, JSON_ENCODE_ANY);
        stream_dot(&b, d[i]);
        assert_string_equal(buf_str(&b), text);
        free(text);
        json_decref(j);
        buf_fini(&b);
    }
}

/* RFC 4180: a field is quoted where it must be, and a quote is doubled. */
static void fields_are_quoted_where_they_must_be(void **state)
{
    static const char *const table[][2] = {{"", ""},
                                           {"plain text", "plain text"},
                                           {"a,b", "\"a,b\""},
                                           {"say \"so\"", "\"say \"\"so\"\"\""},
                                           {"a\nb", "\"a\nb\""},
                                           {"a\rb", "\"a\\rb\""},
                                           {"a\x1b[2Jb", "a\\x1b[2Jb"},
                                           {"=1+1", "'=1+1"},
                                           {"@SUM(A1)", "'@SUM(A1)"},
                                           {"-2+3", "'-2+3"},
                                           {"+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"},
                                           {"\t=1", "'\\t=1"},
                                           {"-5.25e3", "-5.25e3"},
                                           {"+85512345678", "+85512345678"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct buf b = {0};
        stream_csv(&b, table[i][0], strlen(table[i][0]));
        assert_string_equal(buf_str(&b), table[i][1]);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_those_of_jansson),
        cmocka_unit_test(values_are_those_of_jansson),
        cmocka_unit_test(a_group_is_an_object),
        cmocka_unit_test(times_are_those_of_the_calendar),
        cmocka_unit_test(dots_are_those_of_jansson),
        cmocka_unit_test(fields_are_quoted_where_they_must_be),
    };
    return check_run(tests);
}
