#include "conflict/block.h"
#include "tests/lib/check.h"

static const struct block_plan small = {4, 16};

/* Block b has the ids b*size+1 to (b+1)*size and is the number's that is b mod count. */
static void a_block_belongs_to_its_number(void **state)
{
    for (int64_t id = 1; id <= 4 * 16 * 3; id++)
        for (uint32_t k = 0; k < 4; k++)
            assert_int_equal(block_owns(small, k, id), (id - 1) / 16 % 4 == k);
    for (uint32_t k = 0; k < 4; k++) {
        assert_false(block_owns(small, k, 0));
        assert_false(block_owns(small, k, -1));
        assert_false(block_owns(small, k, INT64_MIN));
    }
}

/* From every position: own, whole, not below, and no own block between. */
static void the_next_block_is_the_first_of_its_own_that_is_whole(void **state)
{
    for (int64_t at = -3; at <= 4 * 16 * 3; at++) {
        for (uint32_t k = 0; k < 4; k++) {
            int64_t to = block_next(small, k, at);
            assert_true(to >= at && to % 16 == 0);
            assert_true(block_owns(small, k, to + 1) && block_owns(small, k, to + 16));
            for (int64_t b = (at > 0 ? (at + 15) / 16 : 0) * 16; b < to; b += 16)
                assert_false(block_owns(small, k, b + 1));
        }
    }
    assert_int_equal(block_next(small, 0, 0), 0);
    assert_int_equal(block_next(small, 0, 1), 64);
    assert_int_equal(block_next(small, 3, 1), 48);
}

/* Three quarters used, or somebody else's: the office is moved before it runs out. */
static void a_block_is_spent_at_three_quarters(void **state)
{
    assert_false(block_is_spent(small, 0, -5));
    assert_false(block_is_spent(small, 0, 0));
    assert_false(block_is_spent(small, 0, 11));
    assert_true(block_is_spent(small, 0, 12));
    assert_true(block_is_spent(small, 0, 15));
    assert_true(block_is_spent(small, 0, 16));
    assert_true(block_is_spent(small, 1, 0));
    assert_false(block_is_spent(small, 1, 16));
    assert_true(block_is_spent(small, 1, 64));
}

/* The end of what a double can count is the end of the ids. */
static void no_block_passes_the_last_id(void **state)
{
    const struct block_plan widest = {BLOCK_COUNT_MAX, BLOCK_SIZE_MAX};
    int64_t last = BLOCK_ID_MAX / 16 - 1; /* the last whole block of 16 */
    uint32_t k = (uint32_t)(last % 4);
    assert_int_equal(block_next(small, k, last * 16), last * 16);
    assert_int_equal(block_next(small, k, last * 16 + 1), -1);
    assert_int_equal(block_next(small, k, BLOCK_ID_MAX), -1);
    assert_int_equal(block_next(small, k, INT64_MAX), -1);
    assert_int_equal(block_next(widest, 0, BLOCK_ID_MAX - 1), -1);
    assert_true(block_is_spent(small, k, BLOCK_ID_MAX));
    assert_true(block_is_spent(small, k, INT64_MAX));
}

static void a_plan_has_bounds(void **state)
{
    assert_true(block_plan_fits((struct block_plan){BLOCK_COUNT_DEFAULT, BLOCK_SIZE_DEFAULT}));
    assert_true(block_plan_fits((struct block_plan){BLOCK_COUNT_MIN, BLOCK_SIZE_MIN}));
    assert_true(block_plan_fits((struct block_plan){BLOCK_COUNT_MAX, BLOCK_SIZE_MAX}));
    assert_false(block_plan_fits((struct block_plan){BLOCK_COUNT_MIN - 1, BLOCK_SIZE_MIN}));
    assert_false(block_plan_fits((struct block_plan){BLOCK_COUNT_MAX + 1, BLOCK_SIZE_MIN}));
    assert_false(block_plan_fits((struct block_plan){BLOCK_COUNT_MIN, BLOCK_SIZE_MIN - 1}));
    assert_false(block_plan_fits((struct block_plan){BLOCK_COUNT_MIN, BLOCK_SIZE_MAX + 1}));
}

/* Keeps `given` ascending. */
static void give(uint32_t *given, uint32_t *n, uint32_t number)
{
    uint32_t i = (*n)++;
    for (; i > 0 && given[i - 1] > number; i--)
        given[i] = given[i - 1];
    given[i] = number;
}

/* Each number is given once, all of them are, and then none. */
static void every_number_is_given_once(void **state)
{
    for (uint32_t count = BLOCK_COUNT_MIN; count < 40; count++) {
        const struct block_plan p = {count, 16};
        uint32_t given[40] = {0}, n = 0;
        bool is_given[40] = {false};
        while (n < count) {
            uint32_t k = block_number(p, given, n);
            assert_true(k < count && !is_given[k]);
            is_given[k] = true;
            give(given, &n, k);
        }
        assert_int_equal(block_number(p, given, n), count);
    }
}

/* The first ones lie as far apart as can be: 0, 1/2, 1/4, 3/4 of the circle. */
static void numbers_lie_far_apart(void **state)
{
    const struct block_plan p = {4096, 16};
    uint32_t given[4] = {0}, n = 0;
    give(given, &n, block_number(p, given, n));
    give(given, &n, block_number(p, given, n));
    give(given, &n, block_number(p, given, n));
    give(given, &n, block_number(p, given, n));
    assert_int_equal(given[0], 0);
    assert_int_equal(given[1], 1024);
    assert_int_equal(given[2], 2048);
    assert_int_equal(given[3], 3072);
    const uint32_t lone[] = {4095};
    assert_int_equal(block_number(p, lone, 1), 2047);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_belongs_to_its_number),
        cmocka_unit_test(the_next_block_is_the_first_of_its_own_that_is_whole),
        cmocka_unit_test(a_block_is_spent_at_three_quarters),
        cmocka_unit_test(no_block_passes_the_last_id),
        cmocka_unit_test(a_plan_has_bounds),
        cmocka_unit_test(every_number_is_given_once),
        cmocka_unit_test(numbers_lie_far_apart),
    };
    return check_run(tests);
}
