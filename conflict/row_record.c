/* The record of a row that is not settled, one form for one state:
 *
 *   record   u8 1 (the format), varint births, then each birth in order (hlc, name)
 *   birth    u8 head, [version name], [version base], varint cells, cells by column,
 *            [varint columns, then the value of each column that has no cell of several versions]
 *   head     bit 0     named: its name and the time of its birth follow
 *            bits 1-2  base: 0 none (stable), 1 the birth's own name and time, 2 another, next
 *            bit 3     the values follow behind the cells
 *            bits 4-6  enum hold_reason, of a living birth only
 *            bit 7     dead: the existence cell shows 0
 *   cell     varint column + 1 (0 is existence, the last), varint versions, versions by (hlc, dot)
 *   version  varint seq; 0 is "stable", and nothing follows; else 8 bytes site, 8 bytes hlc;
 *            then in cells its value, unless that stands elsewhere
 *
 * Where the one value of a single-version cell stands:
 *
 *   birth                   values in memory   single-version cell   bit 3
 *   alive and not held      -                  in the table          0
 *   dead, or held           yes                behind the cells      1
 *   dead, or held           no                 in the cell           0
 *
 * The existence cell and cells of several versions always carry their values. Fewer columns than
 * the table has now were written under an older schema: the others are NULL.
 */
#include "conflict/row.h"

#define FORMAT 1
#define BIRTHS_MAX 100000
#define VERSIONS_MAX 10000

#define HEAD_NAMED 0x01
#define HEAD_BASE_OWN 0x02
#define HEAD_BASE_OTHER 0x04
#define HEAD_BASE_MASK 0x06
#define HEAD_VALUES 0x08
#define HEAD_HELD_SHIFT 4
#define HEAD_HELD_MASK 0x70
#define HEAD_DEAD 0x80

static bool stands(uint8_t head)
{
    return !(head & (HEAD_DEAD | HEAD_HELD_MASK));
}

static bool value_in_cell(uint8_t head, uint32_t column, uint64_t versions)
{
    if (column == COLUMN_EXISTS || versions > 1)
        return true;
    return !stands(head) && !(head & HEAD_VALUES);
}

static uint8_t head_of(const struct birth *b, const struct table_rules *rules)
{
    unsigned head = 0;
    if (!dot_is_none(b->name))
        head |= HEAD_NAMED;
    if (!dot_is_none(b->base)) {
        bool own = dot_equal(b->base, b->name) && b->base_hlc == b->hlc;
        head |= own ? HEAD_BASE_OWN : HEAD_BASE_OTHER;
    }
    if (birth_alive(b, rules))
        head |= (unsigned)b->held << HEAD_HELD_SHIFT;
    else
        head |= HEAD_DEAD;
    if (!stands((uint8_t)head) && b->values)
        head |= HEAD_VALUES;
    return (uint8_t)head;
}

static void put_version(struct buf *out, struct dot dot, uint64_t hlc)
{
    buf_put_varint(out, dot.seq);
    if (dot.seq == 0)
        return;
    buf_put_u64(out, dot.site);
    buf_put_u64(out, hlc);
}

static void put_cells(struct buf *out, const struct birth *b, uint8_t head)
{
    buf_put_varint(out, b->n_cells);
    for (uint32_t i = 0; i < b->n_cells; i++) {
        const struct cell *c = &b->cells[i];
        buf_put_varint(out, (uint32_t)(c->column + 1));
        buf_put_varint(out, c->n);
        for (uint32_t j = 0; j < c->n; j++) {
            put_version(out, c->v[j].dot, c->v[j].hlc);
            if (value_in_cell(head, c->column, c->n))
                value_encode(out, &c->v[j].value);
        }
    }
}

static void put_values(struct buf *out, const struct birth *b, uint32_t n_columns)
{
    uint32_t i = 0;
    buf_put_varint(out, n_columns);
    for (uint32_t column = 0; column < n_columns; column++) {
        while (i < b->n_cells && b->cells[i].column < column)
            i++;
        if (i == b->n_cells || b->cells[i].column != column)
            value_encode(out, &b->values[column]);
        else if (b->cells[i].n == 1)
            value_encode(out, &b->cells[i].v[0].value);
    }
}

void row_encode(struct buf *out, const struct row *r, const struct table_rules *rules)
{
    buf_put_u8(out, FORMAT);
    buf_put_varint(out, r->n_births);
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        uint8_t head = head_of(b, rules);
        buf_put_u8(out, head);
        if (head & HEAD_NAMED)
            put_version(out, b->name, b->hlc);
        if (head & HEAD_BASE_OTHER)
            put_version(out, b->base, b->base_hlc);
        put_cells(out, b, head);
        if (head & HEAD_VALUES)
            put_values(out, b, rules->n_columns);
    }
}

struct decoder {
    struct arena *a;
    struct cursor in;
    const struct table_rules *rules;
};

static enum err get_version(struct cursor *in, struct version *v)
{
    v->dot.seq = cursor_varint(in);
    if (v->dot.seq) {
        v->dot.site = cursor_u64(in);
        v->hlc = cursor_u64(in);
    }
    return in->failed ? ERR_MALFORMED : ERR_OK;
}

static enum err get_dot(struct cursor *in, struct dot *dot, uint64_t *hlc)
{
    struct version v = {0};
    enum err e = get_version(in, &v);
    if (e)
        return e;
    *dot = v.dot;
    *hlc = v.hlc;
    return dot_is_none(v.dot) ? ERR_MALFORMED : ERR_OK;
}

static bool is_existence(const struct value *v)
{
    return v->type == VALUE_INTEGER && (v->u.i == 0 || v->u.i == 1);
}

static enum err get_versions(struct decoder *d, struct cell *c, uint8_t head)
{
    uint64_t n = cursor_varint(&d->in);
    if (n > VERSIONS_MAX)
        return ERR_LIMIT;
    if (n == 0 || n > d->in.left)
        return ERR_MALFORMED;
    c->n = (uint32_t)n;
    c->v = arena_alloc(d->a, n * sizeof *c->v);
    for (uint32_t i = 0; i < c->n; i++) {
        enum err e = get_version(&d->in, &c->v[i]);
        if (!e && value_in_cell(head, c->column, n))
            e = value_decode(&d->in, &c->v[i].value);
        if (e)
            return e;
        if (i && version_order(&c->v[i - 1], &c->v[i]) >= 0)
            return ERR_MALFORMED;
        if (c->column == COLUMN_EXISTS && !is_existence(&c->v[i].value))
            return ERR_MALFORMED;
    }
    return ERR_OK;
}

static enum err get_cells(struct decoder *d, struct birth *b, uint8_t head)
{
    uint64_t n = cursor_varint(&d->in);
    if (d->in.failed || n > (uint64_t)d->rules->n_columns + 1)
        return ERR_MALFORMED;
    b->cells = n ? arena_alloc(d->a, n * sizeof *b->cells) : NULL;
    for (; b->n_cells < n; b->n_cells++) {
        struct cell *c = &b->cells[b->n_cells];
        uint64_t column = cursor_varint(&d->in);
        if (d->in.failed || column > d->rules->n_columns)
            return ERR_MALFORMED;
        c->column = (uint32_t)column - 1;
        if (b->n_cells && c->column <= c[-1].column)
            return ERR_MALFORMED;
        enum err e = get_versions(d, c, head);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* The value of one column: behind the cells, or what the policy shows of several versions. */
static enum err get_value(struct decoder *d, struct birth *b, struct cell *c, uint32_t column)
{
    if (c && c->n > 1) {
        b->values[column] = c->v[birth_choose(d->a, b, d->rules, column, c->v, c->n)].value;
        return ERR_OK;
    }
    enum err e = value_decode(&d->in, &b->values[column]);
    if (c)
        c->v[0].value = b->values[column];
    return e;
}

static enum err get_values(struct decoder *d, struct birth *b)
{
    uint64_t n = cursor_varint(&d->in);
    uint32_t i = 0;
    if (d->in.failed || n > d->rules->n_columns)
        return ERR_MALFORMED;
    b->values = arena_alloc(d->a, d->rules->n_columns * sizeof *b->values);
    for (uint32_t column = 0; column < n; column++) {
        while (i < b->n_cells && b->cells[i].column < column)
            i++;
        bool has_cell = i < b->n_cells && b->cells[i].column == column;
        enum err e = get_value(d, b, has_cell ? &b->cells[i] : NULL, column);
        if (e)
            return e;
    }
    for (i = 0; i < b->n_cells; i++)
        if (b->cells[i].column != COLUMN_EXISTS && b->cells[i].column >= n)
            return ERR_MALFORMED;
    return ERR_OK;
}

static enum err check_head(const struct birth *b, uint8_t head)
{
    bool named = head & HEAD_NAMED;
    unsigned base = head & HEAD_BASE_MASK;
    if (base == HEAD_BASE_MASK || (base == HEAD_BASE_OWN && !named))
        return ERR_MALFORMED;
    if (base == HEAD_BASE_OTHER && dot_equal(b->base, b->name) && b->base_hlc == b->hlc)
        return ERR_MALFORMED;
    if (b->held >= HOLD_COUNT || (b->held && (head & HEAD_DEAD)))
        return ERR_MALFORMED;
    return stands(head) && (head & HEAD_VALUES) ? ERR_MALFORMED : ERR_OK;
}

static enum err get_head(struct decoder *d, struct birth *b, uint8_t *head)
{
    enum err e = ERR_OK;
    *head = cursor_u8(&d->in);
    b->held = (enum hold_reason)((*head & HEAD_HELD_MASK) >> HEAD_HELD_SHIFT);
    if (*head & HEAD_NAMED)
        e = get_dot(&d->in, &b->name, &b->hlc);
    if (!e && (*head & HEAD_BASE_OTHER))
        e = get_dot(&d->in, &b->base, &b->base_hlc);
    if (!e)
        e = check_head(b, *head);
    if (!e && (*head & HEAD_BASE_OWN)) {
        b->base = b->name;
        b->base_hlc = b->hlc;
    }
    return e;
}

static enum err get_birth(struct decoder *d, struct birth *b)
{
    uint8_t head;
    enum err e = get_head(d, b, &head);
    if (!e)
        e = get_cells(d, b, head);
    if (!e && birth_alive(b, d->rules) != !(head & HEAD_DEAD))
        e = ERR_MALFORMED;
    if (!e && (head & HEAD_VALUES))
        e = get_values(d, b);
    return e;
}

static bool in_order(const struct birth *a, const struct birth *b)
{
    struct version va = {.dot = a->name, .hlc = a->hlc};
    struct version vb = {.dot = b->name, .hlc = b->hlc};
    return !dot_is_none(b->name) && (dot_is_none(a->name) || version_order(&va, &vb) < 0);
}

enum err row_decode(struct arena *a, struct row *r, const struct table_rules *rules, const void *p,
                    size_t len)
{
    struct decoder d = {.a = a, .in = cursor_of(p, len), .rules = rules};
    *r = (struct row){0};
    if (cursor_u8(&d.in) != FORMAT)
        return ERR_MALFORMED;
    uint64_t n = cursor_varint(&d.in);
    if (n > BIRTHS_MAX)
        return ERR_LIMIT;
    if (d.in.failed || n > d.in.left)
        return ERR_MALFORMED;
    struct birth *births = n ? arena_alloc(a, n * sizeof *births) : NULL;
    for (uint64_t i = 0; i < n; i++) {
        enum err e = get_birth(&d, &births[i]);
        if (e)
            return e;
        if (i && !in_order(&births[i - 1], &births[i]))
            return ERR_MALFORMED;
    }
    if (d.in.left)
        return ERR_MALFORMED;
    *r = (struct row){.n_births = (uint32_t)n, .births = births};
    return ERR_OK;
}
