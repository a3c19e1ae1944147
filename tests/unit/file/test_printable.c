/* What others wrote, for a terminal: nothing of it is obeyed, and what people write stays. */
#include "node/file/printable.h"
#include "tests/lib/check.h"

#include <string.h>

static void assert_shown(const char *text, const char *want)
{
    struct buf b = {0};
    printable_put(&b, text, strlen(text));
    assert_string_equal(buf_str(&b), want);
    buf_fini(&b);
}

static void what_people_write_stays(void **state)
{
    static const char *const text[] = {
        "",
        "plain",
        "a \\ b \"c\"",
        "\xe1\x9e\x80\xe2\x80\x8b\xe1\x9e\x94\xe1\x9f\x92\xe1\x9e\x94",
        "\xe2\x80\x8d\xe2\x80\x8c", /* joiner, non-joiner */
        "\xf0\x9f\x87\xb0\xf0\x9f\x87\xad"};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        assert_shown(text[i], text[i]);
}

static void what_a_terminal_obeys_is_a_number(void **state)
{
    assert_shown("a\x1b[2Jb\x07\x7f", "a\\x1b[2Jb\\x07\\x7f");
    assert_shown("one\ntwo\tthree\r", "one\\ntwo\\tthree\\r");
    assert_shown("\xc2\x9b"
                 "2J",
                 "\\x9b2J"); /* C1 */
    assert_shown("\x9b"
                 "2J\xff",
                 "\\x9b2J\\xff");
    assert_shown("\xe2\x80\xae"
                 "txt.exe",
                 "\\u202etxt.exe");
    assert_shown("\xe2\x81\xa6x\xe2\x81\xa9", "\\u2066x\\u2069");
    assert_shown("\xd8\x9cx\xe2\x80\x8e", "\\u061cx\\u200e");
    assert_shown("a\xe2\x80\xa8"
                 "b",
                 "a\\u2028b");
    assert_shown("cut \xe1\x9e", "cut \\xe1\\x9e");
}

static void lines_of_ours_stay_lines(void **state)
{
    struct buf b = {0};
    printable_put_lines(&b, "one\ntwo\x1b\r", 9);
    assert_string_equal(buf_str(&b), "one\ntwo\\x1b\\r");
    buf_fini(&b);
}

/* The value is the same for whoever reads the document. */
static void json_keeps_its_values(void **state)
{
    struct buf b = {0};
    const char *text = "{\n \"a\": \"\xe2\x80\xae\x7f\xc2\x85 \xe1\x9e\x80\"}";
    printable_put_json(&b, text, strlen(text));
    assert_string_equal(buf_str(&b), "{\n \"a\": \"\\u202E\\u007F\\u0085 \xe1\x9e\x80\"}");
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_write_stays),
        cmocka_unit_test(what_a_terminal_obeys_is_a_number),
        cmocka_unit_test(lines_of_ours_stay_lines),
        cmocka_unit_test(json_keeps_its_values),
    };
    return check_run(tests);
}
