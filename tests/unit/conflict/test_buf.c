#include "conflict/buf.h"
#include "tests/lib/check.h"

#include <string.h>

/* Everything that can be put can be read back, to the last byte. */
static void what_is_put_is_read(void **state)
{
    struct buf b = {0};
    buf_put_u8(&b, 0xfe);
    buf_put_u64(&b, 0x0102030405060708);
    buf_put(&b, "abc", 3);
    buf_put(&b, NULL, 0);
    buf_printf(&b, "%s-%d", "x", 42);
    assert_memory_equal(b.data, "\xfe\1\2\3\4\5\6\7\10abcx-42", 16);
    struct cursor c = cursor_of(b.data, b.len);
    assert_int_equal(cursor_u8(&c), 0xfe);
    assert_int_equal(cursor_u64(&c), 0x0102030405060708);
    assert_memory_equal(cursor_bytes(&c, 7), "abcx-42", 7);
    assert_int_equal(c.left, 0);
    assert_false(c.failed);
    buf_reset(&b);
    assert_string_equal(buf_str(&b), "");
    buf_printf(&b, "%0*d", 5000, 1);
    assert_int_equal(strlen(buf_str(&b)), 5000);
    assert_int_equal(b.len, 5000);
    buf_fini(&b);
    assert_null(b.data);
}

/* A number has one form of 1 to 10 bytes. */
static void varints_have_one_form(void **state)
{
    static const struct {
        uint64_t v;
        size_t len;
    } table[] = {{0, 1},     {1, 1},          {127, 1},        {128, 2},         {16383, 2},
                 {16384, 3}, {UINT32_MAX, 5}, {1ull << 62, 9}, {1ull << 63, 10}, {UINT64_MAX, 10}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf b = {0};
        buf_put_varint(&b, table[i].v);
        assert_int_equal(b.len, table[i].len);
        struct cursor c = cursor_of(b.data, b.len);
        assert_true(cursor_varint(&c) == table[i].v);
        assert_int_equal(c.left, 0);
        assert_false(c.failed);
        c = cursor_of(b.data, b.len - 1);
        cursor_varint(&c);
        assert_true(c.failed);
        buf_fini(&b);
    }
}

/* Padding, more than 64 bits and more than 10 bytes are refused. */
static void other_forms_of_a_varint_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } table[] = {{"\x80\x00", 2},
                 {"\xff\x80\x00", 3},
                 {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},
                 {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11},
                 {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10},
                 {"", 0}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct cursor c = cursor_of(table[i].bytes, table[i].len);
        assert_true(cursor_varint(&c) == 0);
        assert_true(c.failed);
    }
}

/* After the first failure every read gives zero or NULL, also those that would fit. */
static void a_failed_cursor_stays_failed(void **state)
{
    struct cursor c = cursor_of("abc", 3);
    assert_int_equal(cursor_u64(&c), 0);
    assert_true(c.failed);
    assert_int_equal(cursor_u8(&c), 0);
    assert_null(cursor_bytes(&c, 1));
    assert_null(cursor_bytes(&c, 0));
    assert_int_equal(cursor_varint(&c), 0);
    c = cursor_of(NULL, 0);
    assert_non_null(cursor_bytes(&c, 0));
    assert_false(c.failed);
    assert_null(cursor_bytes(&c, 1));
    assert_true(c.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_read),
        cmocka_unit_test(varints_have_one_form),
        cmocka_unit_test(other_forms_of_a_varint_are_refused),
        cmocka_unit_test(a_failed_cursor_stays_failed),
    };
    return check_run(tests);
}
