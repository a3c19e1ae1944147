#include "conflict/mem.h"
#include "tests/lib/check.h"

#include <string.h>

/* An array grows to hold the index asked for and keeps what it had. */
static void growing_keeps_the_elements(void **state)
{
    uint32_t *array = NULL;
    size_t cap = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        array = mem_grow(array, i, &cap, sizeof *array);
        assert_true(cap > i);
        array[i] = i;
    }
    array = mem_grow(array, 5000, &cap, sizeof *array);
    assert_true(cap > 5000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], i);
    mem_free(array);
}

/* A copy of nothing is something that can be freed; a string's copy ends with its NUL. */
static void copies_own_their_bytes(void **state)
{
    char text[] = "text";
    void *nothing = mem_copy(NULL, 0);
    char *copy = mem_strdup(text);
    text[0] = 'n';
    assert_non_null(nothing);
    assert_string_equal(copy, "text");
    mem_free(nothing);
    mem_free(copy);
    mem_free(NULL);
}

/* What an arena hands out is zeroed, aligned to 16 and its own, small or large, before and after a
 * reset. */
static void arena_pieces_are_zeroed_aligned_and_apart(void **state)
{
    static const size_t size[] = {1, 16, 17, 3000, 70000, 5, 200000, 60000, 60000, 3 << 20, 9};
    enum { N = sizeof size / sizeof *size };
    struct arena a = {0};
    for (int round = 0; round < 3; round++) {
        unsigned char *p[N];
        size_t total = 0;
        for (size_t i = 0; i < N; i++) {
            p[i] = arena_alloc(&a, size[i]);
            assert_int_equal((uintptr_t)p[i] % 16, 0);
            for (size_t k = 0; k < size[i]; k++)
                assert_int_equal(p[i][k], 0);
            memset(p[i], (int)i + 1, size[i]);
            total += size[i];
        }
        assert_true(a.used_bytes >= total);
        for (size_t i = 0; i < N; i++)
            for (size_t k = 0; k < size[i]; k++)
                assert_int_equal(p[i][k], i + 1);
        arena_reset(&a);
        assert_int_equal(a.used_bytes, 0);
        assert_non_null(a.head);
    }
    arena_fini(&a);
    assert_null(a.head);
}

/* Copies into an arena outlive what they were made from. */
static void arena_copies_bytes_and_strings(void **state)
{
    struct arena a = {0};
    char text[] = "text";
    char *s = arena_strdup(&a, text);
    char *b = arena_copy(&a, text, 2);
    memset(text, 'x', sizeof text);
    assert_string_equal(s, "text");
    assert_memory_equal(b, "te", 2);
    assert_non_null(arena_copy(&a, NULL, 0));
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growing_keeps_the_elements),
        cmocka_unit_test(copies_own_their_bytes),
        cmocka_unit_test(arena_pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(arena_copies_bytes_and_strings),
    };
    return check_run(tests);
}
