#include "conflict/hold.h"
#include "tests/lib/check.h"

static struct hold_item row_of(uint32_t key, uint64_t rank)
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
    struct hold_item item[2] = {row_of(0, 1), row_of(1, 2)};
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
    struct hold_item item[4] = {row_of(0, 1), row_of(1, 2), row_of(2, 3), row_of(3, 4)};
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
    for (uint32_t i = 0; i < 6; i++) {
        item[i] = row_of(i, i + 1);
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
    struct hold_item item[3] = {row_of(4, 3), row_of(4, 2), row_of(4, 1)};
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

/* Which of three valid births stands, under each policy and in every order they are given in: the
 * unnamed one is the earliest whatever its neighbours, and equal times are told apart by the name.
 */
static void the_birth_policy_chooses_who_stands(void **state)
{
    static const struct {
        enum birth_policy policy;
        uint64_t hlc[3]; /* of the births named {0,0}, {1,7}, {2,7} */
        size_t stands;
    } table[] = {
        {BIRTH_FIRST, {0, 8, 9}, 0},  {BIRTH_FIRST, {9, 8, 7}, 2},  {BIRTH_FIRST, {9, 5, 5}, 1},
        {BIRTH_REVIEW, {0, 8, 9}, 0}, {BIRTH_REVIEW, {9, 8, 7}, 2}, {BIRTH_REVIEW, {9, 5, 5}, 1},
        {BIRTH_LATEST, {0, 8, 9}, 2}, {BIRTH_LATEST, {0, 9, 8}, 1}, {BIRTH_LATEST, {0, 5, 5}, 2},
    };
    static const size_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (size_t o = 0; o < 6; o++) {
            struct hold_item item[3];
            size_t place[3];
            for (size_t j = 0; j < 3; j++) {
                size_t b = orders[o][j];
                place[b] = j;
                item[j] = row_of(4, 1);
                item[j].birth = b ? (struct dot){b, 7} : (struct dot){0};
                item[j].birth_hlc = table[i].hlc[b];
            }
            hold_decide(item, 3, table[i].policy);
            size_t stands = place[table[i].stands];
            for (size_t j = 0; j < 3; j++) {
                assert_int_equal(item[j].reason, j == stands ? HOLD_NONE : HOLD_BIRTH);
                assert_int_equal(item[j].blocked_by, j == stands ? SIZE_MAX : stands);
            }
        }
    }
}

/* Under `latest` too a birth that is not valid is passed over, keys are decided each for itself,
 * and the one that stands is the one that claims. */
static void the_latest_valid_birth_of_each_key_stands(void **state)
{
    struct hold_item item[5] = {row_of(4, 1), row_of(6, 4), row_of(4, 3), row_of(4, 2),
                                row_of(5, 9)};
    for (uint64_t i = 0; i < 5; i++)
        item[i].birth_hlc = i + 1;
    item[3].valid = false;
    item[0].unique = item[2].unique = item[4].unique = &number[1];
    item[0].n_unique = item[2].n_unique = item[4].n_unique = 1;
    hold_decide(item, 5, BIRTH_LATEST);
    assert_int_equal(item[3].reason, HOLD_CHECK);
    assert_int_equal(item[2].reason, HOLD_NONE);
    assert_int_equal(item[0].reason, HOLD_BIRTH);
    assert_int_equal(item[0].blocked_by, 2);
    assert_int_equal(item[1].reason, HOLD_NONE);
    assert_int_equal(item[4].reason, HOLD_UNIQUE);
    assert_int_equal(item[4].blocked_by, 2);
}

/* A row held in pass 3 takes none of its numbers, not even those that were free. */
static void a_held_row_takes_no_number(void **state)
{
    struct hold_item item[3] = {row_of(0, 1), row_of(1, 2), row_of(2, 3)};
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
    for (int swapped = 0; swapped < 2; swapped++) {
        struct hold_item item[2] = {row_of(0, 0), row_of(1, 0)};
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

/* Two rows whose ranks and ties are equal (settled, and their hashes collide) are decided by key
 * and birth. */
static void equal_ties_are_decided_by_the_key(void **state)
{
    for (uint32_t swapped = 0; swapped < 2; swapped++) {
        struct hold_item item[2] = {row_of(swapped, 0), row_of(!swapped, 0)};
        for (int i = 0; i < 2; i++) {
            item[i].tie = 3;
            item[i].unique = &number[6];
            item[i].n_unique = 1;
        }
        hold_decide(item, 2, BIRTH_FIRST);
        assert_int_equal(item[swapped].reason, HOLD_NONE);
        assert_int_equal(item[!swapped].reason, HOLD_UNIQUE);
        assert_int_equal(item[!swapped].blocked_by, swapped);
    }
}

/* A row that needs two parents falls once, whichever of them falls first: what it gives is taken
 * back once, so that a child with another giver stands. */
static void a_row_falls_once_for_two_parents(void **state)
{
    struct hold_item item[5] = {row_of(0, 1), row_of(1, 2), row_of(2, 3), row_of(3, 4),
                                row_of(4, 5)};
    for (int i = 0; i < 4; i++) {
        item[i].gives = &number[i];
        item[i].n_gives = 1;
    }
    item[0].needs = item[1].needs = &number[7];
    item[0].n_needs = item[1].n_needs = 1;
    item[2].needs = number; /* 0 and 1 */
    item[2].n_needs = 2;
    item[3].needs = item[4].gives = &number[2];
    item[3].n_needs = item[4].n_gives = 1;
    hold_decide(item, 5, BIRTH_FIRST);
    for (int i = 0; i < 5; i++)
        assert_int_equal(item[i].reason, i < 3 ? HOLD_PARENT : HOLD_NONE);
}

/* Many numbers at once are kept apart: each of 300 is claimed twice and given once. */
static void many_numbers_are_kept_apart(void **state)
{
    enum { N = 300 };
    static struct hold_item item[2 * N];
    static uint64_t own[N];
    for (uint32_t i = 0; i < N; i++) {
        own[i] = i * i + UINT64_C(0x100000000) * (i % 7);
        item[i] = row_of(i, i);
        item[N + i] = row_of(N + i, N + i);
        item[i].unique = item[N + i].unique = item[i].gives = &own[i];
        item[i].n_unique = item[N + i].n_unique = item[i].n_gives = 1;
        item[i].needs = &own[(i + 1) % N]; /* one cycle of all */
        item[i].n_needs = 1;
    }
    for (uint32_t i = 0; i < N; i++) /* so that every two are different */
        for (uint32_t j = 0; j < i; j++)
            assert_true(own[i] != own[j]);
    hold_decide(item, 2 * N, BIRTH_FIRST);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(item[i].reason, HOLD_NONE);
        assert_int_equal(item[N + i].reason, HOLD_UNIQUE);
        assert_int_equal(item[N + i].blocked_by, i);
    }
}

/* Nothing to decide is decided. */
static void no_items_are_no_work(void **state)
{
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
        cmocka_unit_test(the_birth_policy_chooses_who_stands),
        cmocka_unit_test(the_latest_valid_birth_of_each_key_stands),
        cmocka_unit_test(a_held_row_takes_no_number),
        cmocka_unit_test(equal_ranks_are_decided_by_the_tie),
        cmocka_unit_test(equal_ties_are_decided_by_the_key),
        cmocka_unit_test(a_row_falls_once_for_two_parents),
        cmocka_unit_test(many_numbers_are_kept_apart),
        cmocka_unit_test(no_items_are_no_work),
    };
    return check_run(tests);
}
