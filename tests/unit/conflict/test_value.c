#include "conflict/value.h"
#include "tests/lib/check.h"

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
                 {"\7", 1},
                 {"\6", 1},
                 {"\6\2\0", 3},
                 {"\6\1\6", 3},        /* a tuple in a tuple, cut */
                 {"\6\2\6\0", 4},      /* an empty one */
                 {"\6\1\7", 3},        /* an unknown member */
                 {"\6\2\0\1", 4},      /* a member that goes on beyond the tuple */
                 {"\6\3\3\2a\0\0", 7}, /* likewise, with bytes behind */
                 {"\6\x11\5\x7f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 19},
                 {"\6\xff\xff\xff\xff\x0f", 6},
                 {"\1", 1},
                 {"\1\x80\0", 3},
                 {"\2\0\0\0\0\0\0\0", 8},
                 {"\2\x80\0\0\0\0\0\0\0", 9},
                 {"\2\x7f\xf8\0\0\0\0\0\0", 9},
                 {"\3\2a", 3},
                 {"\4\xff\xff\xff\xff\x0f", 6},
                 {"\4\x80\x80\x80\x80\x80\x80\x80\x80\x80\1", 11}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct value v;
        struct cursor c = cursor_of(table[i].bytes, table[i].len);
        assert_err(value_decode(&c, &v), ERR_MALFORMED);
        assert_int_equal(v.type, VALUE_NULL);
    }
}

/* A key of several columns comes back whole; 1.0 is the key 1, 1.5 and numbers beyond 64 bits are
 * themselves. */
static void keys_come_back_with_whole_numbers_as_integers(void **state)
{
    const struct value in[] = {value_real(3.0), value_text("x"), value_real(1.5), value_real(1e19),
                               value_real(-1e19)};
    const struct value out[] = {value_integer(3), value_text("x"), value_real(1.5),
                                value_real(1e19), value_real(-1e19)};
    struct value v[5];
    struct buf b = {0};
    key_encode(&b, in, 5);
    assert_ok(key_decode(b.data, b.len, v, 5));
    for (int i = 0; i < 5; i++)
        assert_true(value_equal(&v[i], &out[i]));
    assert_err(key_decode(b.data, b.len, v, 4), ERR_MALFORMED);
    assert_err(key_decode(b.data, b.len - 1, v, 5), ERR_MALFORMED);
    buf_reset(&b);
    value_encode(&b, &in[0]); /* a key never holds a whole REAL */
    assert_err(key_decode(b.data, b.len, v, 1), ERR_MALFORMED);
    buf_fini(&b);
}

/* A key holds what a table holds: no wide integer, no tuple. */
static void keys_hold_single_values_of_tables(void **state)
{
    struct arena a = {0};
    struct value one = value_integer(1);
    const struct value v[] = {value_wide(&a, 1), value_tuple(&a, &one, 1)};
    for (size_t i = 0; i < 2; i++) {
        struct value back;
        struct buf b = {0};
        value_encode(&b, &v[i]);
        assert_err(key_decode(b.data, b.len, &back, 1), ERR_MALFORMED);
        buf_fini(&b);
    }
    arena_fini(&a);
}

/* All types in one order: numbers by their exact value whatever the type, also where a REAL cannot
 * hold them; equal numbers INTEGER, REAL, WIDE; tuples after everything, by members, the shorter
 * first. Every pair is compared both ways, and equal only to itself. */
static void the_order_of_all_types_is_pinned(void **state)
{
    struct arena a = {0};
    const __int128 two_63 = (__int128)1 << 63;
    const struct value low_ten[] = {value_integer(-20), value_integer(10)};
    const struct value ten[] = {value_integer(10)};
    const struct value ten_two[] = {value_integer(10), value_text("a")};
    const struct value ten_real[] = {value_real(10), value_null()};
    const struct value v[] = {
        value_null(),
        value_real(-__builtin_inf()),
        value_real(-1e300),
        value_wide(&a, -WIDE_MAX),
        value_wide(&a, -two_63 - 1),
        value_integer(INT64_MIN),
        value_real(-9223372036854775808.0),
        value_wide(&a, INT64_MIN),
        value_real(-1.5),
        value_integer(-1),
        value_wide(&a, -1),
        value_real(-0.5),
        value_integer(0),
        value_real(0),
        value_wide(&a, 0),
        value_real(0.5),
        value_integer(1),
        value_wide(&a, 1),
        value_real(1.5),
        value_wide(&a, 258),
        value_integer(INT64_MAX),
        value_wide(&a, INT64_MAX),
        value_real(9223372036854775808.0),
        value_wide(&a, two_63),
        value_wide(&a, two_63 + 1),
        value_real(18446744073709551616.0),
        value_wide(&a, 2 * two_63 + 1),
        value_wide(&a, WIDE_MAX - 1),
        value_real(1267650600228229401496703205376.0),
        value_real(1e38),
        value_real(1e300),
        value_real(__builtin_inf()),
        value_text(""),
        value_text("A"),
        value_text("a"),
        value_text("aa"),
        value_bytes(VALUE_BLOB, "", 0),
        value_bytes(VALUE_BLOB, "A", 1),
        value_tuple(&a, NULL, 0),
        value_tuple(&a, low_ten, 2),
        value_tuple(&a, ten, 1),
        value_tuple(&a, ten_two, 2),
        value_tuple(&a, ten_real, 2),
    };
    const int n = sizeof v / sizeof *v;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            int c = value_compare(&v[i], &v[j]);
            if ((c > 0) - (c < 0) != (i > j) - (i < j))
                fail_msg("values %d and %d compare as %d", i, j, c);
            assert_true(value_equal(&v[i], &v[j]) == (i == j));
        }
    }
    arena_fini(&a);
}

/* Bytes that are no tuple have a place in the order all the same: the one of their bytes. */
static void malformed_tuples_are_ordered_by_bytes(void **state)
{
    const struct value a = value_bytes(VALUE_TUPLE, "\x09", 1);
    const struct value b = value_bytes(VALUE_TUPLE, "\x0a", 1);
    const struct value good = value_bytes(VALUE_TUPLE, "\0", 1);
    assert_true(value_compare(&a, &b) < 0 && value_compare(&b, &a) > 0);
    assert_true(value_compare(&good, &a) < 0 && value_compare(&a, &good) > 0);
    assert_true(value_compare(&a, &a) == 0);
    assert_false(value_equal(&a, &b));
}

/* A tuple comes back whole from its bytes, and splits into exactly as many members as it has. */
static void tuples_split_into_their_members(void **state)
{
    struct arena a = {0};
    const struct value in[] = {value_text("x"),
                               value_null(),
                               value_real(1),
                               value_integer(-5),
                               value_bytes(VALUE_BLOB, "\0", 1),
                               value_wide(&a, 7)};
    enum { N = sizeof in / sizeof *in };
    struct value out[N + 1];
    struct value back;
    struct buf b = {0};
    struct value tuple = value_tuple(&a, in, N);
    value_encode(&b, &tuple);
    struct cursor c = cursor_of(b.data, b.len);
    assert_ok(value_decode(&c, &back));
    assert_int_equal(c.left, 0);
    assert_true(value_equal(&back, &tuple));
    assert_ok(value_tuple_split(&back, out, N));
    for (int i = 0; i < N; i++)
        assert_true(value_equal(&out[i], &in[i]));
    assert_err(value_tuple_split(&back, out, N - 1), ERR_MALFORMED);
    assert_err(value_tuple_split(&back, out, N + 1), ERR_MALFORMED);
    assert_err(value_tuple_split(&in[0], out, 1), ERR_MALFORMED);
    buf_fini(&b);
    arena_fini(&a);
}

/* A copy's bytes live in the arena, for every type that has some. */
static void a_copy_of_wide_and_tuple_owns_its_bytes(void **state)
{
    struct arena from = {0};
    struct arena to = {0};
    const struct value member[] = {value_text("x"), value_integer(3)};
    struct value copy[2];
    struct value wide = value_wide(&from, 77);
    struct value tuple = value_tuple(&from, member, 2);
    copy[0] = value_copy(&to, &wide);
    copy[1] = value_copy(&to, &tuple);
    memset((void *)(uintptr_t)wide.u.p, 0xee, wide.len);
    memset((void *)(uintptr_t)tuple.u.p, 0xee, tuple.len);
    arena_fini(&from);
    assert_true(value_count(&copy[0]) == 77);
    struct value again = value_tuple(&to, member, 2);
    assert_true(value_equal(&copy[1], &again));
    arena_fini(&to);
}

/* A copy's bytes live in the arena; a number has none. */
static void a_copy_owns_its_bytes(void **state)
{
    struct arena a = {0};
    char text[] = "text";
    struct value v = value_text(text);
    struct value copy = value_copy(&a, &v);
    memset(text, 'x', 4);
    assert_int_equal(copy.len, 4);
    assert_memory_equal(copy.u.p, "text", 4);
    struct value number = value_integer(-3);
    copy = value_copy(&a, &number);
    assert_true(value_equal(&copy, &number));
    arena_fini(&a);
}

/* FNV-1a, pinned, because other parts keep what it gives; in pieces it is the same as at once. */
static void the_hash_of_bytes_is_pinned(void **state)
{
    assert_true(bytes_hash(VALUE_HASH_SEED, "", 0) == VALUE_HASH_SEED);
    assert_true(bytes_hash(UINT64_C(0xcbf29ce484222325), "foobar", 6) ==
                UINT64_C(0x85944171f73967e8));
    assert_true(bytes_hash(bytes_hash(7, "foo", 3), "bar", 3) == bytes_hash(7, "foobar", 6));
}

/* Where the bytes lie does not matter; their number, their order and the seed do, also in the last
 * few of them. */
static void the_hash_of_a_key_tells_keys_apart(void **state)
{
    char room[40] = "";
    memcpy(room + 3, "province-11", 12);
    assert_true(hash_key(5, room + 3, 11) == hash_key(5, "province-11", 11));
    assert_true(hash_key(5, "province-11", 11) != hash_key(6, "province-11", 11));
    assert_true(hash_key(5, "province-11", 11) != hash_key(5, "province-12", 11));
    assert_true(hash_key(5, "province-11", 11) != hash_key(5, "province-11", 12));
    assert_true(hash_key(5, "12345678abcdefgh", 16) != hash_key(5, "abcdefgh12345678", 16));
    assert_true(hash_key(5, "", 0) != hash_key(5, "", 1));
}

/* Tables take the low bits: keys of any length that differ in a few places are spread over all of
 * them, as chance would. 4096 keys in 8192 places: chance fills 3223. */
static void the_hash_of_a_key_spreads_over_the_low_bits(void **state)
{
    for (size_t len = 2; len <= 24; len++) {
        for (size_t at = 0; at + 1 < len; at++) {
            static bool place[8192];
            unsigned filled = 0;
            uint8_t key[24] = "province-11-district-03";
            memset(place, 0, sizeof place);
            for (unsigned i = 0; i < 4096; i++) {
                key[at] = (uint8_t)(i >> 6);
                key[at + 1] = (uint8_t)(0x30 + (i & 63));
                bool *p = &place[hash_key(5, key, len) & 8191];
                filled += !*p;
                *p = true;
            }
            assert_in_range(filled, 3000, 3500);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_is_of_type_and_bytes),
        cmocka_unit_test(canonical_bytes_are_pinned),
        cmocka_unit_test(other_bytes_are_refused),
        cmocka_unit_test(keys_come_back_with_whole_numbers_as_integers),
        cmocka_unit_test(keys_hold_single_values_of_tables),
        cmocka_unit_test(the_order_of_all_types_is_pinned),
        cmocka_unit_test(malformed_tuples_are_ordered_by_bytes),
        cmocka_unit_test(tuples_split_into_their_members),
        cmocka_unit_test(a_copy_of_wide_and_tuple_owns_its_bytes),
        cmocka_unit_test(a_copy_owns_its_bytes),
        cmocka_unit_test(the_hash_of_bytes_is_pinned),
        cmocka_unit_test(the_hash_of_a_key_tells_keys_apart),
        cmocka_unit_test(the_hash_of_a_key_spreads_over_the_low_bits),
    };
    return check_run(tests);
}
