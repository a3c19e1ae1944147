#include "conflict/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

/* 1 is not 1.0, '' is not NULL, 'a' is not 'A' nor x'61'; -0.0 is 0.0 and NaN is NULL. */
static void equality_is_of_type_and_bytes(void **state)
{
    struct value one = value_integer(1);
    struct value real = value_real(1.0);
    struct value empty = value_text("");
    struct value null = value_null();
    struct value a = value_text("a");
    struct value upper = value_text("A");
    struct value blob = value_bytes(VALUE_BLOB, "a", 1);
    struct value zero = value_real(0.0);
    struct value minus = value_real(-0.0);
    struct value nan = value_real(__builtin_nan(""));
    (void)state;
    assert_false(value_equal(&one, &real));
    assert_false(value_equal(&empty, &null));
    assert_false(value_equal(&a, &upper));
    assert_false(value_equal(&a, &blob));
    assert_true(value_equal(&zero, &minus));
    assert_true(value_equal(&nan, &null));
    assert_true(value_equal(&a, &a));
}

/* The canonical bytes of chosen values, pinned: they are stored and signed. */
static void canonical_bytes_are_pinned(void **state)
{
    const struct value v[] = {
        value_null(),    value_integer(0), value_integer(-1), value_integer(64),
        value_real(1.5), value_text("ab"), value_real(-0.0),  value_bytes(VALUE_BLOB, "\0", 1)};
    static const char bytes[] = "\0"
                                "\1\0"
                                "\1\1"
                                "\1\x80\1"
                                "\2\x3f\xf8\0\0\0\0\0\0"
                                "\3\2ab"
                                "\2\0\0\0\0\0\0\0\0"
                                "\4\1\0";
    struct buf b = {0};
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        value_encode(&b, &v[i]);
    assert_int_equal(b.len, sizeof bytes - 1);
    assert_memory_equal(b.data, bytes, b.len);
    buf_fini(&b);
}

/* Bytes that no value writes are refused: unknown types, NaN, -0.0, lengths beyond the end. */
static void other_bytes_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } table[] = {{"", 0},
                 {"\5", 1},
                 {"\1", 1},
                 {"\1\x80\0", 3},
                 {"\2\0\0\0\0\0\0\0", 8},
                 {"\2\x80\0\0\0\0\0\0\0", 9},
                 {"\2\x7f\xf8\0\0\0\0\0\0", 9},
                 {"\3\2a", 3},
                 {"\4\xff\xff\xff\xff\x0f", 6},
                 {"\4\x80\x80\x80\x80\x80\x80\x80\x80\x80\1", 11}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct value v;
        struct cursor c = cursor_of(table[i].bytes, table[i].len);
        assert_int_equal(value_decode(&c, &v), ERR_MALFORMED);
        assert_int_equal(v.type, VALUE_NULL);
    }
}

/* A key of several columns comes back whole; 1.0 is the key 1, 1.5 and numbers beyond 64 bits are
 * themselves. */
static void keys_come_back_with_whole_numbers_as_integers(void **state)
{
    const struct value in[] = {value_real(3.0), value_text("x"), value_real(1.5), value_real(1e19)};
    const struct value out[] = {value_integer(3), value_text("x"), value_real(1.5),
                                value_real(1e19)};
    struct value v[4];
    struct buf b = {0};
    (void)state;
    key_encode(&b, in, 4);
    assert_int_equal(key_decode(b.data, b.len, v, 4), ERR_OK);
    for (int i = 0; i < 4; i++)
        assert_true(value_equal(&v[i], &out[i]));
    assert_int_equal(key_decode(b.data, b.len, v, 3), ERR_MALFORMED);
    assert_int_equal(key_decode(b.data, b.len - 1, v, 4), ERR_MALFORMED);
    buf_reset(&b);
    value_encode(&b, &in[0]); /* a key never holds a whole REAL */
    assert_int_equal(key_decode(b.data, b.len, v, 1), ERR_MALFORMED);
    buf_fini(&b);
}

/* A copy's bytes live in the arena. */
static void a_copy_owns_its_bytes(void **state)
{
    struct arena a = {0};
    char text[] = "text";
    (void)state;
    struct value v = value_text(text);
    struct value copy = value_copy(&a, &v);
    memset(text, 'x', 4);
    assert_int_equal(copy.len, 4);
    assert_memory_equal(copy.u.p, "text", 4);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_is_of_type_and_bytes),
        cmocka_unit_test(canonical_bytes_are_pinned),
        cmocka_unit_test(other_bytes_are_refused),
        cmocka_unit_test(keys_come_back_with_whole_numbers_as_integers),
        cmocka_unit_test(a_copy_owns_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
