#include "conflict/map.h"
#include "tests/lib/check.h"

#define ENTRIES 5000

static size_t times_found(const struct map *m, uint64_t hash, uint32_t number)
{
    size_t times = 0;
    struct map_search at = map_seek(m, hash);
    while (map_next(m, &at))
        times += at.number == number;
    return times;
}

/* Each number is found once under its own hash, however often the map has grown, on the heap and in
 * an arena. */
static void what_was_put_is_found(void **state)
{
    struct arena a = {0};
    struct map maps[] = {{0}, {.a = &a}};
    for (size_t k = 0; k < 2; k++) {
        struct map *m = &maps[k];
        for (uint32_t i = 0; i < ENTRIES; i++) {
            assert_int_equal(times_found(m, i * 0x9e3779b9u, i), 0);
            map_put(m, i * 0x9e3779b9u, i);
            assert_true(2 * m->n <= m->slots);
        }
        for (uint32_t i = 0; i < ENTRIES; i++)
            assert_int_equal(times_found(m, i * 0x9e3779b9u, i), 1);
        assert_int_equal(m->n, ENTRIES);
        map_fini(m);
        assert_int_equal(m->n, 0);
    }
    arena_fini(&a);
}

/* One hash for all: each is found, in the order in which they were put; another hash that begins at
 * the same place finds none of them. */
static void equal_hashes_lie_side_by_side(void **state)
{
    struct map m = {0};
    for (uint32_t i = 0; i < 100; i++)
        map_put(&m, 7, i);
    uint32_t next = 0;
    struct map_search at = map_seek(&m, 7);
    while (map_next(&m, &at))
        assert_int_equal(at.number, next++);
    assert_int_equal(next, 100);
    at = map_seek(&m, 7 + m.slots);
    assert_false(map_next(&m, &at));
    map_fini(&m);
}

/* Beyond 32 bits a hash does not tell entries apart: both are shown, and who asks compares. */
static void half_of_a_hash_tells(void **state)
{
    struct map m = {0};
    map_put(&m, 3, 0);
    map_put(&m, UINT64_C(1) << 32 | 3, 1);
    assert_int_equal(times_found(&m, 3, 0), 1);
    assert_int_equal(times_found(&m, 3, 1), 1);
    map_fini(&m);
}

/* The empty map finds nothing, and is released like any other. */
static void an_empty_map_is_valid(void **state)
{
    struct map m = {0};
    struct map_search at = map_seek(&m, 0);
    assert_false(map_next(&m, &at));
    map_fini(&m);
    assert_null(m.slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(equal_hashes_lie_side_by_side),
        cmocka_unit_test(half_of_a_hash_tells),
        cmocka_unit_test(an_empty_map_is_valid),
    };
    return check_run(tests);
}
