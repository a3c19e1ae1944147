#include "tests/sim/image.h"

#include <stdlib.h>
#include <string.h>

void image_touch(struct image *m, size_t from, size_t upto)
{
    if (m->upto == 0 || from < m->from)
        m->from = from;
    if (upto > m->upto)
        m->upto = upto;
}

void image_size(struct image *m, size_t n)
{
    if (n > m->cap) {
        size_t cap = m->cap ? m->cap : 4096;
        while (cap < n)
            cap *= 2;
        m->p = realloc(m->p, cap);
        if (!m->p)
            abort();
        memset(m->p + m->cap, 0, cap - m->cap);
        m->cap = cap;
    }
    if (n < m->n) {
        memset(m->p + n, 0, m->n - n);
        image_touch(m, n, m->n);
    }
    m->n = n;
}

void image_copy(struct image *to, const struct image *from)
{
    image_size(to, 0);
    image_size(to, from->n);
    if (from->n)
        memcpy(to->p, from->p, from->n);
    image_touch(to, 0, from->n);
}

void image_sync(struct image *to, struct image *from)
{
    if (from->upto)
        image_touch(to, from->from, from->upto);
    image_size(to, from->n);
    size_t upto = to->upto < from->n ? to->upto : from->n;
    if (to->from < upto)
        memcpy(to->p + to->from, from->p + to->from, upto - to->from);
    to->upto = from->upto = 0;
}
