/* Whether two texts look the same to people.
 *
 *   a               b               alike   because
 *   equal bytes                     yes
 *   ASCII           other ASCII     no      nothing in ASCII is composed or left out
 *   well-formed     well-formed     if the normal forms are the same, U+200B to U+200D left out
 *   malformed       anything else   no      only its bytes say what it is
 *
 * Left out first, normalised then: a character of no width between a letter and its mark would keep
 * the two from being one. Compared in Normalization Form D, which needs no composing: two texts
 * have the same Form C exactly when they have the same Form D (UAX 15, section 1.1, canonical
 * equivalence).
 *
 * A character that is newer than the library at one office has no decomposition there.
 * Normalization of assigned characters never changes (Unicode stability policy), so offices may
 * differ only about such characters, and only in what they call a conflict, never in what they
 * show.
 */
#include "conflict/value.h"

#include <string.h>
#include <utf8proc.h>

static bool is_ascii(const struct value *v)
{
    const uint8_t *p = v->u.p;
    for (size_t i = 0; i < v->len; i++)
        if (p[i] >= 0x80)
            return false;
    return true;
}

/* The text without U+200B to U+200D, in `out` (of at least v->len bytes); -1 when it is malformed.
 * (The library refuses surrogates, overlong forms, and what is beyond U+10FFFF.) */
static utf8proc_ssize_t leave_out(const struct value *v, uint8_t *out)
{
    const uint8_t *p = v->u.p;
    utf8proc_ssize_t used = 0;
    utf8proc_ssize_t step;
    for (utf8proc_ssize_t left = v->len; left > 0; left -= step, p += step) {
        utf8proc_int32_t point;
        step = utf8proc_iterate(p, left, &point);
        if (step <= 0)
            return -1;
        if (point >= 0x200b && point <= 0x200d)
            continue;
        memcpy(out + used, p, (size_t)step);
        used += step;
    }
    return used;
}

struct form { /* Normalization Form D */
    utf8proc_int32_t *point;
    utf8proc_ssize_t n; /* < 0: there is none */
};

static struct form form_of(const struct value *v)
{
    struct form f = {0};
    uint8_t *kept = mem_alloc(v->len);
    utf8proc_ssize_t len = leave_out(v, kept);
    f.n = len < 0 ? len : utf8proc_decompose(kept, len, NULL, 0, UTF8PROC_DECOMPOSE);
    if (f.n > 0) {
        f.point = mem_alloc((size_t)f.n * sizeof *f.point);
        f.n = utf8proc_decompose(kept, len, f.point, f.n, UTF8PROC_DECOMPOSE);
    }
    mem_free(kept);
    return f;
}

static bool texts_alike(const struct value *a, const struct value *b)
{
    if (is_ascii(a) && is_ascii(b))
        return false;
    struct form fa = form_of(a);
    struct form fb = form_of(b);
    bool same = fa.n >= 0 && fa.n == fb.n;
    if (same && fa.n > 0)
        same = memcmp(fa.point, fb.point, (size_t)fa.n * sizeof *fa.point) == 0;
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
