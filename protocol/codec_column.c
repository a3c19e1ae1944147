/* Column: n values of one column of a table, each kind of content in a stream of its own.
 *
 *   type      when all n values are of one type; absent when n is 0
 *   types     else: n bytes, the type of each
 *   integer   the INTEGERs, each as the difference from the one before it (the first: from 0)
 *             modulo 2^64, so that consecutive keys and times become small
 *   real      the REALs; never NaN, never -0.0
 *   len       the lengths of TEXTs and BLOBs
 *   data      their bytes, one after another; absent when there are no TEXTs and BLOBs
 *
 * n is not written: the rows say it. NULLs are nowhere but in the types.
 */
#include "protocol/codec_internal.h"

#include <math.h>
#include <string.h>

static bool all_one_type(const struct value *const *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (v[i]->type != v[0]->type)
            return false;
    return true;
}

static void put_types(struct arena *a, const struct value *const *v, size_t n, Tonle__Column *m)
{
    if (all_one_type(v, n)) {
        m->has_type = 1;
        m->type = v[0]->type;
        return;
    }
    uint8_t *types = arena_alloc(a, n);
    for (size_t i = 0; i < n; i++)
        types[i] = v[i]->type;
    m->has_types = 1;
    m->types = codec_binary(types, n);
}

static void put_integers(struct arena *a, const struct value *const *v, size_t n, Tonle__Column *m)
{
    uint64_t last = 0;
    m->integer = arena_alloc(a, m->n_integer * sizeof *m->integer);
    for (size_t i = 0, k = 0; i < n; i++) {
        if (v[i]->type != VALUE_INTEGER)
            continue;
        m->integer[k++] = (int64_t)((uint64_t)v[i]->u.i - last);
        last = (uint64_t)v[i]->u.i;
    }
}

static void put_reals(struct arena *a, const struct value *const *v, size_t n, Tonle__Column *m)
{
    m->real = arena_alloc(a, m->n_real * sizeof *m->real);
    for (size_t i = 0, k = 0; i < n; i++)
        if (v[i]->type == VALUE_REAL)
            m->real[k++] = v[i]->u.r;
}

static void put_data(struct arena *a, const struct value *const *v, size_t n, Tonle__Column *m)
{
    uint8_t *data = arena_alloc(a, m->data.len);
    m->len = arena_alloc(a, m->n_len * sizeof *m->len);
    m->has_data = 1;
    m->data.data = data;
    for (size_t i = 0, k = 0; i < n; i++) {
        if (v[i]->type != VALUE_TEXT && v[i]->type != VALUE_BLOB)
            continue;
        m->len[k++] = v[i]->len;
        if (v[i]->len)
            memcpy(data, v[i]->u.p, v[i]->len);
        data += v[i]->len;
    }
}

static void count(const struct value *const *v, size_t n, Tonle__Column *m)
{
    for (size_t i = 0; i < n; i++) {
        m->n_integer += v[i]->type == VALUE_INTEGER;
        m->n_real += v[i]->type == VALUE_REAL;
        if (v[i]->type != VALUE_TEXT && v[i]->type != VALUE_BLOB)
            continue;
        m->n_len++;
        m->data.len += v[i]->len;
    }
}

void column_put(struct arena *a, const struct value *const *v, size_t n, Tonle__Column *m)
{
    tonle__column__init(m);
    if (n == 0)
        return;
    count(v, n, m);
    put_types(a, v, n, m);
    if (m->n_integer)
        put_integers(a, v, n, m);
    if (m->n_real)
        put_reals(a, v, n, m);
    if (m->n_len)
        put_data(a, v, n, m);
}

static uint8_t type_at(const Tonle__Column *m, size_t i)
{
    return m->has_types ? m->types.data[i] : (uint8_t)m->type;
}

static bool types_fit(const Tonle__Column *m, size_t n)
{
    if (n == 0)
        return !m->has_type && !m->has_types;
    if (m->has_type == m->has_types)
        return false;
    return m->has_type ? m->type <= VALUE_BLOB : m->types.len == n;
}

/* As many of each kind as the types say. */
static bool streams_fit(const Tonle__Column *m, size_t n)
{
    size_t of[VALUE_BLOB + 1] = {0};
    for (size_t i = 0; i < n; i++) {
        if (type_at(m, i) > VALUE_BLOB)
            return false;
        of[type_at(m, i)]++;
    }
    size_t texts = of[VALUE_TEXT] + of[VALUE_BLOB];
    return m->n_integer == of[VALUE_INTEGER] && m->n_real == of[VALUE_REAL] && m->n_len == texts &&
           !m->has_data == !texts;
}

static enum err contents_fit(const Tonle__Column *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_len; i++) {
        if (m->len[i] > LIMIT_VALUE_BYTES)
            return ERR_LIMIT;
        sum += m->len[i];
    }
    if (sum != (m->has_data ? m->data.len : 0))
        return ERR_MALFORMED;
    for (size_t i = 0; i < m->n_real; i++)
        if (isnan(m->real[i]) || (m->real[i] == 0 && signbit(m->real[i])))
            return ERR_MALFORMED;
    return ERR_OK;
}

enum err column_open(struct column_reader *r, const Tonle__Column *m, size_t n)
{
    *r = (struct column_reader){.column = m};
    if (!types_fit(m, n) || !streams_fit(m, n))
        return ERR_MALFORMED;
    return contents_fit(m);
}

static struct value next_bytes(struct column_reader *r, uint8_t type)
{
    uint32_t len = r->column->len[r->len++];
    const void *p = len ? (const void *)(r->column->data.data + r->data) : "";
    r->data += len;
    return value_bytes(type, p, len);
}

struct value column_next(struct column_reader *r)
{
    uint8_t type = type_at(r->column, r->at++);
    switch (type) {
    case VALUE_INTEGER:
        r->last += (uint64_t)r->column->integer[r->integer++];
        return value_integer((int64_t)r->last);
    case VALUE_REAL:
        return value_real(r->column->real[r->real++]);
    case VALUE_TEXT:
    case VALUE_BLOB:
        return next_bytes(r, type);
    default:
        return value_null();
    }
}
