/* Column: n values of one column of a table, each kind of content in a stream of its own.
 *
 *   type      when all n values are of one type; absent when n is 0
 *   types     else: n bytes, the type of each
 *   integer   the INTEGERs, each as the difference from the one before it (the first: from 0)
 *             modulo 2^64, so that consecutive keys and times become small
 *   real      the REALs; never NaN, never -0.0
 *   len       the lengths of TEXTs and BLOBs
 *   data      their bytes, one after another; absent when there are no TEXTs and BLOBs
 *   wide      the WIDEs (deltas of `sum` columns), 16 bytes each, big endian, between -WIDE_MAX and
 *             WIDE_MAX; not shorter, because so they are borrowed where they lie, and what is all
 *             zeros or all ones costs nothing once compressed; absent when there are none
 *
 * n is not written: the rows say it. NULLs are nowhere but in the types. A TUPLE never travels in a
 * column; WIDEs only where the reader of the column allows them.
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

static void put_wides(struct arena *a, const struct value *const *v, size_t n, Tonle__Column *m)
{
    uint8_t *wide = m->wide.data = arena_alloc(a, m->wide.len);
    m->has_wide = 1;
    for (size_t i = 0; i < n; i++) {
        if (v[i]->type != VALUE_WIDE)
            continue;
        memcpy(wide, v[i]->u.p, WIDE_BYTES);
        wide += WIDE_BYTES;
    }
}

static void count(const struct value *const *v, size_t n, Tonle__Column *m)
{
    for (size_t i = 0; i < n; i++) {
        m->n_integer += v[i]->type == VALUE_INTEGER;
        m->n_real += v[i]->type == VALUE_REAL;
        m->wide.len += v[i]->type == VALUE_WIDE ? WIDE_BYTES : 0;
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
    if (m->wide.len)
        put_wides(a, v, n, m);
}

static uint8_t type_at(const Tonle__Column *m, size_t i)
{
    return m->has_types ? m->types.data[i] : (uint8_t)m->type;
}

static bool types_fit(const Tonle__Column *m, size_t n, enum value_type most)
{
    if (n == 0)
        return !m->has_type && !m->has_types;
    if (m->has_type == m->has_types)
        return false;
    return m->has_type ? m->type <= most : m->types.len == n;
}

/* As many of each kind as the types say. */
static bool streams_fit(const Tonle__Column *m, size_t n, enum value_type most)
{
    size_t of[VALUE_WIDE + 1] = {0};
    for (size_t i = 0; i < n; i++) {
        if (type_at(m, i) > most)
            return false;
        of[type_at(m, i)]++;
    }
    size_t texts = of[VALUE_TEXT] + of[VALUE_BLOB];
    return m->n_integer == of[VALUE_INTEGER] && m->n_real == of[VALUE_REAL] && m->n_len == texts &&
           !m->has_data == !texts && !m->has_wide == !of[VALUE_WIDE] &&
           (!m->has_wide || m->wide.len == of[VALUE_WIDE] * WIDE_BYTES);
}

static bool wide_fits(const uint8_t *p)
{
    struct value v = value_bytes(VALUE_WIDE, p, WIDE_BYTES);
    __int128 n = value_count(&v);
    return n >= -WIDE_MAX && n <= WIDE_MAX;
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
    for (size_t i = 0; m->has_wide && i < m->wide.len; i += WIDE_BYTES)
        if (!wide_fits(m->wide.data + i))
            return ERR_MALFORMED;
    return ERR_OK;
}

enum err column_open(struct column_reader *r, const Tonle__Column *m, size_t n,
                     enum value_type most)
{
    *r = (struct column_reader){.column = m};
    if (!types_fit(m, n, most) || !streams_fit(m, n, most))
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
    case VALUE_WIDE:
        r->wide += WIDE_BYTES;
        return value_bytes(type, r->column->wide.data + r->wide - WIDE_BYTES, WIDE_BYTES);
    default:
        return value_null();
    }
}
