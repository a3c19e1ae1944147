/* A row into the changeset, and what of it is too large to be sent. Of a row that others have only
 * the cells that are too large stay back, the largest first: its other changes, a sum above all,
 * are not lost to them. A row that is born goes whole or not at all. */
#include "node/capture/collect.h"

#include "protocol/limits.h"

#include <assert.h>

static uint64_t value_len(const struct value *v)
{
    return v->type >= VALUE_TEXT ? v->len : 0;
}

static uint64_t row_bytes(const struct output *o, const struct row_change *r, uint32_t *largest)
{
    uint64_t bytes = 16;
    *largest = 0;
    for (uint32_t i = 0; i < r->n_cells; i++) {
        bytes += 9 + value_len(&r->value[i]);
        if (value_len(&r->value[i]) > value_len(&r->value[*largest]))
            *largest = i;
    }
    for (uint32_t i = 0; i < o->t->n_key; i++)
        bytes += 9 + value_len(&r->key[i]);
    return bytes;
}

static const char *too_large(struct output *o, const struct row_change *r, uint32_t largest,
                             uint64_t bytes)
{
    struct buf b = {0};
    const char *name = o->t->column[r->column[largest]];
    unsigned long long len = value_len(&r->value[largest]);
    if (len > LIMIT_VALUE_BYTES)
        buf_printf(&b, "%s has %llu bytes, a value can have %u", name, len, LIMIT_VALUE_BYTES);
    else
        buf_printf(&b,
                   "the row has %llu bytes, a row can have %u; the largest value is %s with %llu",
                   (unsigned long long)bytes, LIMIT_ROW_BYTES, name, len);
    buf_printf(&b, ": it stands only here until it is made smaller");
    return sql_take(o->a, &b);
}

/* Without one cell, and the others of its group. */
static void leave_out(struct output *o, struct row_change *r, uint32_t column, bool *left)
{
    const struct cell_group *g = o->t->rules.group ? o->t->rules.group[column] : NULL;
    uint32_t *columns = arena_alloc(o->a, r->n_cells * sizeof *columns), n = 0;
    struct value *values = arena_alloc(o->a, r->n_cells * sizeof *values);
    for (uint32_t i = 0; i < r->n_cells; i++) {
        uint32_t c = r->column[i];
        if (c == column || (g && o->t->rules.group[c] == g)) {
            left[c] = true;
            continue;
        }
        columns[n] = c;
        values[n++] = r->value[i];
    }
    assert(n < r->n_cells); /* one less each time: collect_fit ends */
    r->n_cells = n;
    r->column = columns;
    r->value = values;
}

bool collect_fit(struct output *o, struct row_change *r, uint64_t *bytes, bool **left,
                 const char **why)
{
    uint32_t largest;
    *left = NULL;
    *why = NULL;
    while (*bytes = row_bytes(o, r, &largest),
           r->n_cells &&
               (value_len(&r->value[largest]) > LIMIT_VALUE_BYTES || *bytes > LIMIT_ROW_BYTES)) {
        *why = *why ? *why : too_large(o, r, largest, *bytes);
        if (r->kind == CHANGE_BORN)
            return false;
        *left = *left ? *left : arena_alloc(o->a, o->t->n_columns * sizeof **left);
        leave_out(o, r, r->column[largest], *left);
    }
    return true;
}

bool collect_full(const struct output *o)
{
    return o->rows >= o->most.rows || (o->rows > 0 && o->bytes >= o->most.bytes);
}

void collect_row(struct output *o, const struct row_change *r, struct collected_row beside,
                 uint64_t bytes)
{
    assert(bytes <= LIMIT_ROW_BYTES); /* collect_fit saw to it */
    o->row = mem_grow(o->row, o->table->n_rows, &o->rows_cap, sizeof *o->row);
    o->beside = mem_grow(o->beside, o->table->n_rows, &o->beside_cap, sizeof *o->beside);
    o->row[o->table->n_rows] = *r;
    o->beside[o->table->n_rows++] = beside;
    o->bytes += bytes;
    o->rows++;
}

struct value collect_delta(struct arena *a, const struct value *from, const struct value *to)
{
    if (!value_is_count(to))
        return *to;
    return value_wide(a, value_count(to) - (value_is_count(from) ? value_count(from) : 0));
}
