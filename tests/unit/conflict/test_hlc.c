#include "conflict/hlc.h"
#include "tests/lib/check.h"

/* 48 bits of milliseconds, 16 of counter; a full counter carries. */
static void the_counter_carries_into_the_milliseconds(void **state)
{
    uint64_t t = hlc_make(1000, 0xffff);
    assert_int_equal(hlc_ms(t), 1000);
    assert_int_equal(t & 0xffff, 0xffff);
    assert_int_equal(hlc_tick(t, 900), hlc_make(1001, 0));
    assert_int_equal(hlc_tick(t, 1000), hlc_make(1001, 0));
    assert_int_equal(hlc_tick(t, 1002), hlc_make(1002, 0));
    assert_int_equal(hlc_tick(0, 0), 1);
}

/* A wall clock beyond 48 bits counts as the last moment there is, and nothing wraps round to the
 * past. */
static void the_end_of_time_does_not_wrap(void **state)
{
    assert_int_equal(hlc_ms(hlc_make(UINT64_MAX, 5)), (UINT64_C(1) << 48) - 1);
    assert_true(hlc_tick(UINT64_MAX, 1) == UINT64_MAX);
}

/* Passing a time raises the last one to it, or leaves it. */
static void observing_takes_the_later(void **state)
{
    assert_int_equal(hlc_observe(5, 7), 7);
    assert_int_equal(hlc_observe(7, 5), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counter_carries_into_the_milliseconds),
        cmocka_unit_test(the_end_of_time_does_not_wrap),
        cmocka_unit_test(observing_takes_the_later),
    };
    return check_run(tests);
}
