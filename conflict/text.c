/* Whether two texts look the same to people.
 *
 *   a               b               alike   because
 *   equal bytes                     yes
 *   ASCII           other ASCII     no      nothing in ASCII is composed or left out
 *   well-formed     well-formed     if the normal forms are the same, U+200B to U+200D left out
 *   malformed       anything else   no      only its bytes say what it is
 *   over 30 marks   anything else   no      likewise: no text of people, and putting them in order
 *   in a row                                would take the square of their number (UAX 15, section
 *                                           13, "Stream-Safe Text Format", has the same limit)
 *
 * Left out first, normalised then: a character of no width between a letter and its mark would keep
 * the two from being one. Compared in Normalization Form D, which needs no composing: two texts
 * have the same Form C exactly when they have the same Form D (UAX 15, section 1.1, canonical
 * equivalence).
 *
 * A character that is newer than the library at one office has no decomposition there.
 * Normalization of assigned characters never changes (Unicode stability policy), so offices may
 * differ about such characters only.
 */
#include "conflict/value.h"

#include <string.h>
#include <utf8proc.h>

#define MARKS_MAX 30
#define PARTS_MAX 4    /* of one character (UAX 15, section 9, "Detecting Normalization Forms") */
#define PARTS_A_BYTE 2 /* two bytes have three at most, three bytes four */

static bool is_ascii(const struct value *v)
{
    const uint8_t *p = v->u.p;
    for (size_t i = 0; i < v->len; i++)
        if (p[i] >= 0x80)
            return false;
    return true;
}

static int class_of(utf8proc_int32_t point)
{
    return utf8proc_get_property(point)->combining_class;
}

struct normal_form { /* Normalization Form D, without what is left out */
    utf8proc_int32_t *point;
    size_t n;
    size_t marks; /* at its end, in canonical order */
    bool none;    /* the text has no form: it is malformed, or has too many marks in a row */
};

/* The last point, just appended, goes to its place among the marks before it. */
static void sort_last(struct normal_form *f)
{
    size_t at = f->n - 1;
    utf8proc_int32_t last = f->point[at];
    int class = class_of(last);
    f->marks = class ? f->marks + 1 : 0;
    for (; class && at > 0 && class_of(f->point[at - 1]) > class; at--)
        f->point[at] = f->point[at - 1];
    f->point[at] = last;
    f->none = f->marks > MARKS_MAX;
}

/* Appends what a character is made of. */
static void append(struct normal_form *f, utf8proc_int32_t character)
{
    utf8proc_int32_t part[PARTS_MAX];
    int unused = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char(character, part, PARTS_MAX, UTF8PROC_DECOMPOSE, &unused);
    f->none = n < 0 || n > PARTS_MAX;
    for (utf8proc_ssize_t i = 0; i < n && !f->none; i++) {
        f->point[f->n++] = part[i];
        sort_last(f);
    }
}

/* The library refuses surrogates, overlong forms, and what is beyond U+10FFFF. */
static struct normal_form form_of(const struct value *v)
{
    struct normal_form f = {.point = mem_resize(NULL, v->len * PARTS_A_BYTE * sizeof *f.point)};
    const uint8_t *p = v->u.p;
    utf8proc_ssize_t left = v->len;
    while (left > 0 && !f.none) {
        utf8proc_int32_t character;
        utf8proc_ssize_t step = utf8proc_iterate(p, left, &character);
        if (step <= 0) {
            f.none = true;
            break;
        }
        if (character < 0x200b || character > 0x200d)
            append(&f, character);
        left -= step;
        p += step;
    }
    return f;
}

static bool texts_alike(const struct value *a, const struct value *b)
{
    if (is_ascii(a) && is_ascii(b))
        return false;
    struct normal_form fa = form_of(a);
    struct normal_form fb = form_of(b);
    bool same = !fa.none && !fb.none && fa.n == fb.n &&
                memcmp(fa.point, fb.point, fa.n * sizeof *fa.point) == 0;
    mem_free(fa.point);
    mem_free(fb.point);
    return same;
}

static bool tuples_alike(const struct value *a, const struct value *b)
{
    struct cursor ca = cursor_of(a->u.p, a->len);
    struct cursor cb = cursor_of(b->u.p, b->len);
    while (ca.left && cb.left) {
        struct value va;
        struct value vb;
        if (value_decode(&ca, &va) || value_decode(&cb, &vb) || !value_alike(&va, &vb))
            return false;
    }
    return ca.left == cb.left;
}

bool value_alike(const struct value *a, const struct value *b)
{
    if (value_equal(a, b))
        return true;
    if (a->type != b->type)
        return false;
    if (a->type == VALUE_TUPLE)
        return tuples_alike(a, b);
    return a->type == VALUE_TEXT && texts_alike(a, b);
}
