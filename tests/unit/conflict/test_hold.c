#include "conflict/hold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct hold_item row(uint32_t key, uint64_t rank)
{
    return (struct hold_item){.key = key,
                              .birth = {1, key + 1},
                              .birth_hlc = 5,
                              .rank.hlc = rank,
                              .tie = key,
                              .valid = true};
}

static const uint64_t number[] = {0, 1, 2, 3, 4, 5, 6, 7};

/* A child and its mother have one unique number and the child was first: the mother is held for the
 * number, the child for its mother, and the number stays taken. Were it freed, there would be no
 * answer at all. */
static void unique_is_decided_before_references(void **state)
{
    struct hold_item item[2] = {row(0, 1), row(1, 2)};
    (void)state;
    item[0].unique = item[1].unique = &number[5];
    item[0].n_unique = item[1].n_unique = 1;
    item[1].gives = item[0].needs = &number[2];
    item[1].n_gives = item[0].n_needs = 1;
    hold_decide(item, 2, BIRTH_FIRST);
    assert_int_equal(item[1].reason, HOLD_UNIQUE);
    assert_int_equal(item[1].blocked_by, 0);
    assert_int_equal(item[0].reason, HOLD_PARENT);
}

/* Rows that reference one another in a cycle stand; a row below them too; one beside them does not.
 */
static void a_cycle_of_references_stands(void **state)
{
    struct hold_item item[4] = {row(0, 1), row(1, 2), row(2, 3), row(3, 4)};
    (void)state;
    for (int i = 0; i < 4; i++) {
        item[i].gives = &number[i];
        item[i].n_gives = item[i].n_needs = 1;
    }
    item[0].needs = &number[1];
    item[1].needs = &number[0];
    item[2].needs = &number[1];
    item[3].needs = &number[7];
    hold_decide(item, 4, BIRTH_FIRST);
    assert_int_equal(item[0].reason, HOLD_NONE);
    assert_int_equal(item[1].reason, HOLD_NONE);
    assert_int_equal(item[2].reason, HOLD_NONE);
    assert_int_equal(item[3].reason, HOLD_PARENT);
}

/* When a parent falls, everything below it falls, however deep; a second giver keeps its children.
 */
static void a_chain_falls_with_its_head(void **state)
{
    struct hold_item item[6];
    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        item[i] = row(i, i + 1);
        item[i].gives = &number[i];
        item[i].n_gives = 1;
        item[i].needs = &number[i ? i - 1 : 0];
        item[i].n_needs = i > 0;
    }
    item[0].valid = false;
    item[5].gives = &number[2]; /* gives what the fallen item 2 gave, to item 3 */
    item[5].n_needs = 0;
    hold_decide(item, 6, BIRTH_FIRST);
    assert_int_equal(item[0].reason, HOLD_CHECK);
    assert_int_equal(item[1].reason, HOLD_PARENT);
    assert_int_equal(item[2].reason, HOLD_PARENT);
    assert_int_equal(item[3].reason, HOLD_NONE);
    assert_int_equal(item[4].reason, HOLD_NONE);
    assert_int_equal(item[1].blocked_by, SIZE_MAX);
}

/* Of several births the unnamed one (the oldest) stands; where it is not valid, the next. */
static void the_first_valid_birth_of_a_key_stands(void **state)
{
    struct hold_item item[3] = {row(4, 3), row(4, 2), row(4, 1)};
    (void)state;
    item[0].birth_hlc = 9;
    item[1].birth_hlc = 8;
    item[2].birth_hlc = 0;
    item[2].birth = (struct dot){0};
    hold_decide(item, 3, BIRTH_FIRST);
    assert_int_equal(item[2].reason, HOLD_NONE);
    assert_int_equal(item[1].reason, HOLD_BIRTH);
    assert_int_equal(item[0].blocked_by, 2);
    item[2].valid = false;
    hold_decide(item, 3, BIRTH_FIRST);
    assert_int_equal(item[2].reason, HOLD_CHECK);
    assert_int_equal(item[1].reason, HOLD_NONE);
    assert_int_equal(item[0].blocked_by, 1);
}

/* A row held in pass 3 takes none of its numbers, not even those that were free. */
static void a_held_row_takes_no_number(void **state)
{
    struct hold_item item[3] = {row(0, 1), row(1, 2), row(2, 3)};
    (void)state;
    for (int i = 0; i < 3; i++) {
        item[i].unique = &number[i]; /* {0,1} {1,2} {2,3} */
        item[i].n_unique = 2;
    }
    hold_decide(item, 3, BIRTH_FIRST);
    assert_int_equal(item[0].reason, HOLD_NONE);
    assert_int_equal(item[1].reason, HOLD_UNIQUE);
    assert_int_equal(item[2].reason, HOLD_NONE);
}

/* Two settled rows have equal ranks: the tie decides, not the order they came in. */
static void equal_ranks_are_decided_by_the_tie(void **state)
{
    (void)state;
    for (int swapped = 0; swapped < 2; swapped++) {
        struct hold_item item[2] = {row(0, 0), row(1, 0)};
        item[swapped].tie = 7;
        item[!swapped].tie = 3;
        for (int i = 0; i < 2; i++) {
            item[i].unique = &number[6];
            item[i].n_unique = 1;
        }
        hold_decide(item, 2, BIRTH_FIRST);
        assert_int_equal(item[swapped].reason, HOLD_UNIQUE);
        assert_int_equal(item[!swapped].reason, HOLD_NONE);
    }
}

/* Nothing to decide is decided. */
static void no_items_are_no_work(void **state)
{
    (void)state;
    hold_decide(NULL, 0, BIRTH_FIRST);
    assert_string_equal(hold_reason_name(HOLD_NONE), "");
    assert_string_equal(hold_reason_name(HOLD_UNIQUE), "unique");
    assert_string_equal(hold_reason_name(HOLD_COUNT), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unique_is_decided_before_references),
        cmocka_unit_test(a_cycle_of_references_stands),
        cmocka_unit_test(a_chain_falls_with_its_head),
        cmocka_unit_test(the_first_valid_birth_of_a_key_stands),
        cmocka_unit_test(a_held_row_takes_no_number),
        cmocka_unit_test(equal_ranks_are_decided_by_the_tie),
        cmocka_unit_test(no_items_are_no_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
