#include "conflict/value.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#define ZWSP "\xe2\x80\x8b" /* U+200B zero width space */
#define ZWNJ "\xe2\x80\x8c" /* U+200C zero width non-joiner */
#define ZWJ "\xe2\x80\x8d"  /* U+200D zero width joiner */
#define ACUTE "\xcc\x81"    /* U+0301, a mark above */
#define DOT "\xcc\xa3"      /* U+0323, a mark below */

/* Both ways, because the function must not care. */
static bool alike(const struct value *a, const struct value *b)
{
    bool ab = value_alike(a, b);
    assert_true(value_alike(b, a) == ab);
    assert_true(value_alike(a, a));
    assert_true(value_alike(b, b));
    return ab;
}

static bool texts_alike(const char *s, const char *t)
{
    struct value a = value_text(s);
    struct value b = value_text(t);
    return alike(&a, &b);
}

/* What people cannot tell apart is alike: Khmer with and without the characters of no width,
 * composed and decomposed letters, marks in either order, also where a character of no width stood
 * between a letter and its mark. */
static void what_looks_the_same_is_alike(void **state)
{
    static const char *const table[][2] = {
        {"", ""},
        {"", ZWSP},
        {ZWNJ, ZWJ ZWSP},
        {"កុសល", "កុ" ZWSP "សល"},
        {"ភ្នំពេញ", ZWSP "ភ្នំ" ZWNJ "ពេ" ZWJ "ញ" ZWSP},
        {"ព្រះរាជាណាចក្រកម្ពុជា", "ព្រះ" ZWSP "រាជាណាចក្រ" ZWSP "កម្ពុជា"},
        {"ab", "a" ZWSP "b"},
        {"\xc3\xa9", "e" ACUTE},
        {"\xc3\xa9", "e" ZWJ ACUTE},
        {"e" ACUTE ZWSP, ZWNJ "\xc3\xa9"},
        {"\xe1\xbb\x87", "e" DOT "\xcc\x82"},
        {"\xe1\xbb\x87", "\xc3\xaa" DOT},
        {"q" DOT "\xcc\x87", "q\xcc\x87" DOT},
        {"\xc3\x85", "A\xcc\x8a"},
        {"\xc3\x85", "\xe2\x84\xab"},                             /* U+212B Angstrom sign */
        {"\xea\xb0\x81", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8"}, /* Hangul */
        {"\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc"},             /* excluded from composition */
        {"\xf0\x9d\x85\x9e", "\xf0\x9d\x85\x97\xf0\x9d\x85\xa5"}, /* beyond 16 bits */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!texts_alike(table[i][0], table[i][1]))
            fail_msg("'%s' and '%s' are not alike (%zu)", table[i][0], table[i][1], i);
}

/* What may be told apart is not alike: case, compatibility forms, other spaces and other unseen
 * characters, Khmer typed in another order. */
static void what_looks_different_is_not_alike(void **state)
{
    static const char *const table[][2] = {
        {"a", "b"},
        {"a", "A"},
        {"a", ""},
        {"a", "a "},
        {"កុសល", "កុសន"},
        {"កុសល", "កុសលា"},
        {"ស្រ្តី", "ស្ត្រី"},
        {"\xef\xac\x81", "fi"}, /* U+FB01 ligature */
        {"\xc2\xb2", "2"},      /* superscript */
        {"\xef\xbc\xa1", "A"},  /* full width */
        {"a\xe2\x80\x8a"
         "b",
         "ab"}, /* U+200A hair space */
        {"a\xe2\x80\x8e"
         "b",
         "ab"}, /* U+200E mark of direction */
        {"a\xe2\x81\xa0"
         "b",
         "ab"}, /* U+2060 word joiner */
        {"a\xef\xbb\xbf"
         "b",
         "ab"}, /* U+FEFF */
        {"a\xc2\xad"
         "b",
         "ab"},                                       /* U+00AD soft hyphen */
        {"\xe1\x9e\x94\xe1\x9e\xb4", "\xe1\x9e\x94"}, /* U+17B4 Khmer inherent vowel */
        {"q" ACUTE "\xcc\x80", "q\xcc\x80" ACUTE},    /* two marks above: their order shows */
        {"\xc3\xa9", "e"},
        {ZWSP, " "},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (texts_alike(table[i][0], table[i][1]))
            fail_msg("'%s' and '%s' are alike (%zu)", table[i][0], table[i][1], i);
}

/* Malformed text is alike to its own bytes only, wherever it is broken, and is not mended by
 * leaving something out. */
static void malformed_text_is_compared_by_bytes(void **state)
{
    static const char *const broken[] = {
        "\xc0\x80",             /* overlong */
        "\xc1\xa1",             /* overlong 'a' */
        "\xe0\x82\x8b",         /* overlong */
        "\xf0\x82\x80\x8b",     /* overlong U+200B */
        "\xed\xa0\x80",         /* surrogate */
        "\xf4\x90\x80\x80",     /* beyond U+10FFFF */
        "\xf8\x88\x80\x80\x80", /* five bytes */
        "\xff",
        "\x80",
        "\xc3",
        "\xe2\x80",
        "\xc3" ZWSP "\xa9",
        "\xc3\xa9\xc3",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char with[64];
        snprintf(with, sizeof with, "%s" ZWSP, broken[i]);
        assert_false(texts_alike(broken[i], with));
        assert_false(texts_alike(broken[i], ""));
        assert_false(texts_alike(broken[i], "a"));
        assert_false(texts_alike(broken[i], "\xc3\xa9"));
        assert_false(texts_alike(broken[i], ZWSP));
        for (size_t j = 0; j < sizeof broken / sizeof *broken; j++)
            assert_true(texts_alike(broken[i], broken[j]) == (i == j));
    }
}

/* Marks in a row are put in order up to a number that no text of people reaches; beyond it a text
 * is compared by bytes, so that a hostile one of megabytes takes no longer than another. U+0F73 is
 * no mark itself, but made of two. */
static void many_marks_are_compared_by_bytes(void **state)
{
    static const struct {
        const char *mark;
        size_t n;
        bool same;
    } table[] = {{DOT, 29, true},
                 {DOT, 30, false},
                 {"\xe0\xbd\xb3", 14, true},
                 {"\xe0\xbd\xb3", 15, false},
                 {ACUTE, 1 << 20, false},
                 {"\xe0\xbd\xb3", 1 << 20, false}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf b[2] = {{0}};
        for (int k = 0; k < 2; k++) {
            buf_put(&b[k], "e", 1);
            if (k)
                buf_put(&b[k], ACUTE, 2);
            for (size_t n = 0; n < table[i].n; n++)
                buf_put(&b[k], table[i].mark, strlen(table[i].mark));
            if (!k)
                buf_put(&b[k], ACUTE ZWSP, 5);
        }
        struct value v[2] = {value_bytes(VALUE_TEXT, b[0].data, b[0].len),
                             value_bytes(VALUE_TEXT, b[1].data, b[1].len)};
        assert_true(alike(&v[0], &v[1]) == table[i].same);
        buf_fini(&b[0]);
        buf_fini(&b[1]);
    }
}

/* Only marks in a row are counted, not those of a whole text. */
static void many_letters_may_have_marks(void **state)
{
    struct buf composed_letters = {0};
    struct buf letters_and_marks = {0};
    for (int i = 0; i < 100; i++) {
        buf_put(&composed_letters, "\xc3\xa9", 2);
        buf_put(&letters_and_marks, "e" ACUTE, 3);
    }
    assert_true(texts_alike(buf_str(&composed_letters), buf_str(&letters_and_marks)));
    buf_fini(&composed_letters);
    buf_fini(&letters_and_marks);
}

/* The oracle: Form C of the whole text as the library makes it, characters of no width taken out by
 * hand. NULL where the text is malformed. */
static char *composed(const char *s)
{
    char kept[64];
    size_t n = 0;
    utf8proc_uint8_t *form = NULL;
    while (*s) {
        if (strncmp(s, ZWSP, 3) == 0 || strncmp(s, ZWNJ, 3) == 0 || strncmp(s, ZWJ, 3) == 0)
            s += 3;
        else
            kept[n++] = *s++;
    }
    kept[n] = '\0';
    if (utf8proc_map((const utf8proc_uint8_t *)kept, 0, &form,
                     UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE) < 0)
        return NULL;
    return (char *)form;
}

/* Being alike is having the same Form C, for every two texts of up to two pieces; so it is an
 * equivalence too. */
static void alike_is_the_same_composed_form(void **state)
{
    static const char *const piece[] = {"",
                                        "a",
                                        "e",
                                        "\xc3\xa9",
                                        ACUTE,
                                        DOT,
                                        ZWSP,
                                        ZWJ,
                                        "ក",
                                        "្",
                                        "\xe1\xbb\x87",
                                        "\xcc\x82",
                                        "\xea\xb0\x80",
                                        "\xe1\x86\xa8",
                                        "\xe2\x84\xab",
                                        "\xf0\x9f\x98\x80"};
    enum { N = sizeof piece / sizeof *piece };
    static char text[N * N][16];
    static char *form[N * N];
    for (size_t i = 0; i < N * N; i++) {
        snprintf(text[i], sizeof text[i], "%s%s", piece[i / N], piece[i % N]);
        form[i] = composed(text[i]);
        assert_non_null(form[i]);
    }
    for (size_t i = 0; i < N * N; i++)
        for (size_t j = i; j < N * N; j++)
            if (texts_alike(text[i], text[j]) != (strcmp(form[i], form[j]) == 0))
                fail_msg("'%s' and '%s'", text[i], text[j]);
    for (size_t i = 0; i < N * N; i++)
        free(form[i]);
}

/* A NUL is a character like another, not the end. */
static void text_goes_on_after_a_nul(void **state)
{
    static const char plain[] = "a\0\xc3\xa9";
    static const char other[] = "a\0e" ACUTE ZWSP;
    static const char third[] = "a\0e" ZWSP;
    struct value a = value_bytes(VALUE_TEXT, plain, sizeof plain - 1);
    struct value b = value_bytes(VALUE_TEXT, other, sizeof other - 1);
    struct value c = value_bytes(VALUE_TEXT, third, sizeof third - 1);
    assert_true(alike(&a, &b));
    assert_false(alike(&a, &c));
}

/* Only texts are read as texts: a BLOB differs by any byte, and no type is alike to another. */
static void other_types_are_alike_when_equal(void **state)
{
    const struct value v[] = {value_null(),
                              value_integer(1),
                              value_real(1),
                              value_text("1"),
                              value_text("\xc3\xa9"),
                              value_bytes(VALUE_BLOB, "1", 1),
                              value_bytes(VALUE_BLOB, "\xc3\xa9", 2),
                              value_bytes(VALUE_BLOB, "e" ACUTE, 3)};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        for (size_t j = 0; j < sizeof v / sizeof *v; j++)
            assert_true(alike(&v[i], &v[j]) == (i == j));
}

/* Tuples are alike when they have as many members and each is alike. */
static void tuples_are_alike_by_their_members(void **state)
{
    struct arena a = {0};
    const struct value first[] = {value_text("សុខ"), value_integer(3), value_null()};
    const struct value spaced[] = {value_text("សុ" ZWSP "ខ"), value_integer(3), value_null()};
    const struct value later[] = {value_text("សុខ"), value_integer(4), value_null()};
    const struct value real[] = {value_text("សុខ"), value_real(3), value_null()};
    struct value t = value_tuple(&a, first, 3);
    struct value u = value_tuple(&a, spaced, 3);
    struct value v = value_tuple(&a, later, 3);
    struct value w = value_tuple(&a, real, 3);
    struct value two = value_tuple(&a, spaced, 2);
    assert_true(alike(&t, &u));
    assert_false(alike(&t, &v));
    assert_false(alike(&u, &w));
    assert_false(alike(&t, &two));
    assert_false(alike(&t, &first[0]));
    arena_fini(&a);
}

/* Bytes that are no tuple are alike to themselves only. */
static void a_malformed_tuple_is_compared_by_bytes(void **state)
{
    static const char good[] = "\3\2\xc3\xa9";
    struct value a = value_bytes(VALUE_TUPLE, good, 4);
    struct value cut = value_bytes(VALUE_TUPLE, good, 3);
    assert_false(alike(&a, &cut));
    struct value strange = value_bytes(VALUE_TUPLE, "\3\2\xc3\xa9\x09", 5);
    struct value spaced = value_bytes(VALUE_TUPLE, "\3\5\xc3\xa9" ZWSP "\x09", 8);
    assert_false(alike(&strange, &spaced));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_looks_the_same_is_alike),
        cmocka_unit_test(what_looks_different_is_not_alike),
        cmocka_unit_test(malformed_text_is_compared_by_bytes),
        cmocka_unit_test(many_marks_are_compared_by_bytes),
        cmocka_unit_test(many_letters_may_have_marks),
        cmocka_unit_test(alike_is_the_same_composed_form),
        cmocka_unit_test(text_goes_on_after_a_nul),
        cmocka_unit_test(other_types_are_alike_when_equal),
        cmocka_unit_test(tuples_are_alike_by_their_members),
        cmocka_unit_test(a_malformed_tuple_is_compared_by_bytes),
    };
    return check_run(tests);
}
