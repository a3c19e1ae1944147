#include "conflict/value.h"
#include "tests/lib/check.h"

#define TWO_64 ((__int128)1 << 64)
#define TWO_127 ((unsigned __int128)1 << 127)

/* Sixteen bytes, two's complement, big endian, whatever the size of the number; pinned, because
 * they are signed and stored. */
static void wide_bytes_are_pinned(void **state)
{
    static const struct {
        __int128 n;
        const char *bytes;
    } table[] = {
        {0, "\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"},
        {-1, "\5\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
        {258, "\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\2"},
        {TWO_64 + 3, "\5\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\3"},
        {-WIDE_MAX, "\5\xff\xff\xff\xf0\0\0\0\0\0\0\0\0\0\0\0\0"},
    };
    struct arena a = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf b = {0};
        struct value back;
        struct value v = value_wide(&a, table[i].n);
        assert_int_equal(v.type, VALUE_WIDE);
        value_encode(&b, &v);
        assert_int_equal(b.len, 17);
        assert_memory_equal(b.data, table[i].bytes, 17);
        struct cursor c = cursor_of(b.data, b.len);
        assert_ok(value_decode(&c, &back));
        assert_int_equal(c.left, 0);
        assert_true(value_equal(&back, &v));
        assert_true(value_count(&back) == table[i].n);
        buf_fini(&b);
    }
    arena_fini(&a);
}

/* A total is an INTEGER as long as 64 bits hold it. */
static void a_total_is_an_integer_where_it_fits(void **state)
{
    static const struct {
        __int128 n;
        uint8_t type;
    } table[] = {{0, VALUE_INTEGER},
                 {INT64_MAX, VALUE_INTEGER},
                 {INT64_MIN, VALUE_INTEGER},
                 {(__int128)INT64_MAX + 1, VALUE_WIDE},
                 {(__int128)INT64_MIN - 1, VALUE_WIDE}};
    struct arena a = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct value v = value_total(&a, table[i].n);
        assert_int_equal(v.type, table[i].type);
        assert_true(value_count(&v) == table[i].n);
    }
    arena_fini(&a);
}

/* NULL, INTEGER and WIDE count, NULL as 0; nothing else does. */
static void only_whole_numbers_count(void **state)
{
    struct arena a = {0};
    struct value wide = value_wide(&a, -TWO_64);
    struct value number = value_integer(-7);
    struct value null = value_null();
    const struct value other[] = {value_real(1), value_text("1"), value_bytes(VALUE_BLOB, "1", 1),
                                  value_tuple(&a, &number, 1)};
    assert_true(value_is_count(&null) && value_count(&null) == 0);
    assert_true(value_is_count(&number) && value_count(&number) == -7);
    assert_true(value_is_count(&wide) && value_count(&wide) == -TWO_64);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_false(value_is_count(&other[i]));
    arena_fini(&a);
}

/* Numbers are written in decimal, down to the least of 128 bits. */
static void numbers_are_written_in_decimal(void **state)
{
    static const struct {
        __int128 n;
        const char *text;
    } table[] = {{0, "0"},
                 {-1, "-1"},
                 {INT64_MAX, "9223372036854775807"},
                 {(__int128)INT64_MAX + 1, "9223372036854775808"},
                 {-TWO_64 * 10, "-184467440737095516160"},
                 {(__int128)(TWO_127 - 1), "170141183460469231731687303715884105727"},
                 {(__int128)TWO_127, "-170141183460469231731687303715884105728"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[WIDE_TEXT];
        value_wide_text(text, table[i].n);
        assert_string_equal(text, table[i].text);
    }
}

/* WIDE_MAX either way is read; one more is malformed, and so is less than sixteen bytes. */
static void a_number_too_wide_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum err err;
    } table[] = {
        {"\5\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0", 17, ERR_OK},
        {"\5\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\1", 17, ERR_MALFORMED},
        {"\5\xff\xff\xff\xf0\0\0\0\0\0\0\0\0\0\0\0\0", 17, ERR_OK},
        {"\5\xff\xff\xff\xef\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 17, ERR_MALFORMED},
        {"\5\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 17, ERR_MALFORMED},
        {"\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, ERR_MALFORMED},
        {"\5", 1, ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct value v;
        struct cursor c = cursor_of(table[i].bytes, table[i].len);
        assert_int_equal(value_decode(&c, &v), table[i].err);
        assert_int_equal(v.type, table[i].err ? VALUE_NULL : VALUE_WIDE);
    }
}

/* Hostile deltas that add up beyond WIDE_MAX give a total that can be written and read, and the
 * same one in every order of adding; so does the delta that sets such a total right. */
static void sums_of_hostile_deltas_agree(void **state)
{
    const __int128 delta[] = {WIDE_MAX, -WIDE_MAX, 12, WIDE_MAX, -5};
    enum { N = sizeof delta / sizeof *delta };
    struct arena a = {0};
    struct value total[2] = {value_null(), value_null()};
    for (int i = 0; i < N; i++) {
        struct buf b = {0};
        struct value back;
        total[0] = value_total(&a, value_count(&total[0]) + delta[i]);
        total[1] = value_total(&a, value_count(&total[1]) + delta[N - 1 - i]);
        value_encode(&b, &total[0]);
        struct cursor c = cursor_of(b.data, b.len);
        assert_ok(value_decode(&c, &back));
        assert_true(value_equal(&back, &total[0]));
        buf_fini(&b);
        if (i == 1) /* back where it was */
            assert_int_equal(total[0].type, VALUE_INTEGER);
    }
    assert_true(value_equal(&total[0], &total[1]));
    assert_int_equal(total[0].type, VALUE_WIDE);
    struct value right = value_wide(&a, 40 - value_count(&total[0]));
    assert_true(value_count(&right) >= -WIDE_MAX && value_count(&right) <= WIDE_MAX);
    total[0] = value_total(&a, value_count(&total[0]) + value_count(&right));
    assert_int_equal(total[0].type, VALUE_INTEGER);
    assert_int_equal(total[0].u.i, 40);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_bytes_are_pinned),
        cmocka_unit_test(a_total_is_an_integer_where_it_fits),
        cmocka_unit_test(only_whole_numbers_count),
        cmocka_unit_test(numbers_are_written_in_decimal),
        cmocka_unit_test(a_number_too_wide_is_refused),
        cmocka_unit_test(sums_of_hostile_deltas_agree),
    };
    return check_run(tests);
}
