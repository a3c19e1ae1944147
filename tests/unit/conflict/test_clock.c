#include "conflict/clock.h"
#include "tests/lib/check.h"

#include <string.h>

/* Entries are sorted and unique, 0 removes one, raising never lowers. */
static void entries_stay_sorted_and_unique(void **state)
{
    struct clock c = {0};
    clock_set(&c, 5, 1);
    clock_set(&c, 1, 2);
    clock_set(&c, UINT64_MAX, 3);
    clock_set(&c, 3, 4);
    clock_raise(&c, 3, 2);
    clock_raise(&c, 1, 9);
    clock_raise(&c, 2, 0);
    assert_int_equal(c.n, 4);
    for (size_t i = 1; i < c.n; i++)
        assert_true(c.entry[i - 1].site < c.entry[i].site);
    assert_int_equal(clock_get(&c, 3), 4);
    assert_int_equal(clock_get(&c, 1), 9);
    assert_int_equal(clock_get(&c, 2), 0);
    clock_set(&c, 3, 0);
    clock_set(&c, 3, 0);
    assert_int_equal(c.n, 3);
    assert_int_equal(clock_get(&c, 3), 0);
    clock_reset(&c);
    assert_int_equal(clock_get(&c, 5), 0);
    clock_fini(&c);
}

/* A clock covers the dots up to its entries, and the none dot always. */
static void covers_the_dots_up_to_its_entries(void **state)
{
    struct clock c = {0};
    assert_true(clock_covers(&c, (struct dot){0, 0}));
    assert_false(clock_covers(&c, (struct dot){7, 1}));
    clock_set(&c, 7, 2);
    assert_true(clock_covers(&c, (struct dot){7, 1}));
    assert_true(clock_covers(&c, (struct dot){7, 2}));
    assert_false(clock_covers(&c, (struct dot){7, 3}));
    clock_fini(&c);
}

/* A clock may be joined with, and copied from, itself and the empty one. */
static void joining_itself_or_nothing_changes_nothing(void **state)
{
    struct clock c = {0};
    struct clock empty = {0};
    struct clock copy = {0};
    clock_set(&c, 7, 2);
    clock_join(&c, &c);
    clock_join(&c, &empty);
    clock_copy(&c, &c);
    assert_int_equal(c.n, 1);
    clock_join(&empty, &c);
    assert_int_equal(clock_compare(&empty, &c), CLOCK_EQUAL);
    clock_copy(&copy, &c);
    clock_set(&c, 7, 3);
    assert_int_equal(clock_get(&copy, 7), 2);
    clock_fini(&c);
    clock_fini(&copy);
    clock_fini(&empty);
}

/* Too many entries, entries out of order, twice, or of seq 0, and a short end are refused; the
 * clock is then empty. */
static void other_bytes_are_refused(void **state)
{
    struct buf b = {0};
    struct clock c = {0};
    struct cursor cur;
    static const uint64_t bad[][4] = {{2, 1, 1, 1}, {1, 1, 1, 1}, {1, 0, 2, 1}, {1, 1, 2, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buf_reset(&b);
        buf_put_varint(&b, 2);
        for (int k = 0; k < 2; k++) {
            buf_put_u64(&b, bad[i][2 * k]);
            buf_put_varint(&b, bad[i][2 * k + 1]);
        }
        cur = cursor_of(b.data, b.len);
        assert_err(clock_decode(&cur, &c, 2), ERR_MALFORMED);
        assert_int_equal(c.n, 0);
    }
    clock_set(&c, 1, 1);
    clock_set(&c, 2, 300);
    buf_reset(&b);
    clock_encode(&b, &c);
    for (size_t len = 0; len < b.len; len++) {
        cur = cursor_of(b.data, len);
        assert_err(clock_decode(&cur, &c, 2), ERR_MALFORMED);
    }
    cur = cursor_of(b.data, b.len);
    assert_err(clock_decode(&cur, &c, 1), ERR_LIMIT);
    cur = cursor_of(b.data, b.len);
    assert_ok(clock_decode(&cur, &c, 2));
    assert_int_equal(clock_get(&c, 2), 300);
    cur = cursor_of("\xff\xff\xff\xff\x7f", 5); /* a count far beyond the bytes */
    assert_err(clock_decode(&cur, &c, SIZE_MAX), ERR_MALFORMED);
    clock_fini(&c);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_stay_sorted_and_unique),
        cmocka_unit_test(covers_the_dots_up_to_its_entries),
        cmocka_unit_test(joining_itself_or_nothing_changes_nothing),
        cmocka_unit_test(other_bytes_are_refused),
    };
    return check_run(tests);
}
