/* The record of a row that is not settled, one form for one state:
 *
 *   record   u8 format, varint births, then each birth in order (hlc, name)
 *   format   3; 4 when a birth has references
 *   birth    u8 head, [version name, u8 marks, [16 bytes], [varint dots, dots by site]],
 *            [version base], varint cells, cells by column,
 *            [varint columns, then the value of each column whose cell has not several versions],
 *            format 4: varint references, references by column and version
 *   head     bit 0     named: its name and the time of its birth follow
 *            bits 1-2  base: 0 none (stable), 1 the birth's own name and time, 2 another, next
 *            bit 3     the values follow behind the cells
 *            bits 4-6  enum hold_reason, of a living birth only
 *            bit 7     dead: the existence cell shows 0
 *   marks    bits 0-1  enum birth_touch
 *            bit 2     the hash of what it was born with follows
 *            bit 3     births that its writer had seen follow, one of a site
 *   cell     varint number + 1 (0 is existence, the last), varint versions, versions by (hlc, dot)
 *   version  varint seq; 0 is "stable", and nothing follows; else 8 bytes site, 8 bytes hlc;
 *            then in cells its value, unless that stands elsewhere
 *   reference varint 4 * column + bit 0: of another version than the base, whose dot follows
 *                              + bit 1: to a birth of another name than this one's, which follows
 *   dot      varint seq; 0 is "stable", and nothing follows; else 8 bytes site
 *
 * Where the one value of a single-version cell stands:
 *
 *   birth                   values in memory   single-version cell   bit 3
 *   alive and not held      -                  in the table          0
 *   dead, or held           yes                behind the cells      1
 *   dead, or held           no                 in the cell           0
 *
 * The existence cell and cells of several versions always carry their values. The version of a
 * group carries a tuple in a cell; behind the cells stand the values of its columns, one by one.
 *
 * A sum: its total stands like the value of a column without a cell, also where it has one; in the
 * cell is what was written there and is no integer, always with its value.
 *
 * Fewer columns than the table has now were written under an older schema: the others are NULL.
 *
 * The charter may have changed the delete policy since, so that a birth whose existence cell says
 * both is alive where the head says dead, or dead where it says alive. The head then still tells
 * where the values are. One that came to life is HOLD_BIRTH until the holds are decided; one that
 * went has no values until birth_set_values gives it those of the table.
 */
#include "conflict/row.h"

#include <string.h>

#define FORMAT 3

/* Bytes of the smallest birth that has a name, and of the smallest version that has a dot; one in a
 * list may have none. What is counted is so never much larger in memory than its bytes, and no
 * number is too large for itself: an office that deletes and inserts one key for months while
 * another is away has every one of those births on record. */
#define BIRTH_BYTES 20
#define VERSION_BYTES 17
#define DOT_BYTES 9

#define HEAD_NAMED 0x01
#define HEAD_BASE_OWN 0x02
#define HEAD_BASE_OTHER 0x04
#define HEAD_BASE_MASK 0x06
#define HEAD_VALUES 0x08
#define HEAD_HELD_SHIFT 4
#define HEAD_HELD_MASK 0x70
#define HEAD_DEAD 0x80

#define MARK_TOUCH_MASK 0x03
#define MARK_BORN 0x04
#define MARK_SEEN 0x08

static bool stands(uint8_t head)
{
    return !(head & (HEAD_DEAD | HEAD_HELD_MASK));
}

static bool value_in_cell(const struct table_rules *rules, uint8_t head, uint32_t cell,
                          uint64_t versions)
{
    if (cell == COLUMN_EXISTS || versions > 1 || cell_is_sum(rules, cell))
        return true;
    return !stands(head) && !(head & HEAD_VALUES);
}

/* Whether the value of a column stands behind the cells, where the head says that values do. */
static bool value_behind(const struct table_rules *rules, const struct birth *b, uint32_t column)
{
    uint32_t cell = cell_is_group(rules, column) ? cell_of(rules, column) : column;
    const struct cell *c = birth_find_cell(b, cell);
    return !c || c->n == 1 || cell_is_sum(rules, cell);
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

static void put_dot(struct buf *out, struct dot dot)
{
    buf_put_varint(out, dot.seq);
    if (dot.seq)
        buf_put_u64(out, dot.site);
}

static void put_marks(struct buf *out, const struct birth *b)
{
    unsigned marks = (unsigned)b->touched;
    marks |= b->has_born ? MARK_BORN : 0;
    marks |= b->n_seen ? MARK_SEEN : 0;
    buf_put_u8(out, (uint8_t)marks);
    if (b->has_born)
        buf_put(out, b->born, sizeof b->born);
    if (b->n_seen)
        buf_put_varint(out, b->n_seen);
    for (uint32_t i = 0; i < b->n_seen; i++)
        put_dot(out, b->seen[i]);
}

/* A group of which nothing is known is its NULLs. */
static void put_value(struct buf *out, const struct table_rules *rules, uint32_t cell,
                      const struct value *v)
{
    const struct cell_group *g = v->type == VALUE_NULL ? cell_group_of(rules, cell) : NULL;
    if (!g) {
        value_encode(out, v);
        return;
    }
    buf_put_u8(out, VALUE_TUPLE);
    buf_put_varint(out, g->n);
    for (uint32_t i = 0; i < g->n; i++)
        value_encode(out, v);
}

static void put_cells(struct buf *out, const struct birth *b, const struct table_rules *rules,
                      uint8_t head)
{
    buf_put_varint(out, b->n_cells);
    for (uint32_t i = 0; i < b->n_cells; i++) {
        const struct cell *c = &b->cells[i];
        buf_put_varint(out, (uint32_t)(c->column + 1));
        buf_put_varint(out, c->n);
        for (uint32_t j = 0; j < c->n; j++) {
            put_version(out, c->v[j].dot, c->v[j].hlc);
            if (value_in_cell(rules, head, c->column, c->n))
                put_value(out, rules, c->column, &c->v[j].value);
        }
    }
}

static void put_values(struct buf *out, const struct birth *b, const struct table_rules *rules)
{
    buf_put_varint(out, rules->n_columns);
    for (uint32_t column = 0; column < rules->n_columns; column++)
        if (value_behind(rules, b, column))
            value_encode(out, &b->values[column]);
}

static void put_references(struct buf *out, const struct birth *b)
{
    buf_put_varint(out, b->n_references);
    for (uint32_t i = 0; i < b->n_references; i++) {
        const struct reference *ref = &b->references[i];
        bool version = !dot_equal(ref->version, b->base), birth = !dot_equal(ref->birth, b->name);
        buf_put_varint(out, (uint64_t)ref->column * 4 + version + 2 * birth);
        if (version)
            put_dot(out, ref->version);
        if (birth)
            put_dot(out, ref->birth);
    }
}

static uint8_t format_of(const struct row *r)
{
    for (uint32_t i = 0; i < r->n_births; i++)
        if (r->births[i].n_references)
            return ROW_HAS_REFERENCES;
    return FORMAT;
}

void row_encode(struct buf *out, const struct row *r, const struct table_rules *rules)
{
    uint8_t format = format_of(r);
    buf_put_u8(out, format);
    buf_put_varint(out, r->n_births);
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        uint8_t head = head_of(b, rules);
        buf_put_u8(out, head);
        if (head & HEAD_NAMED) {
            put_version(out, b->name, b->hlc);
            put_marks(out, b);
        }
        if (head & HEAD_BASE_OTHER)
            put_version(out, b->base, b->base_hlc);
        put_cells(out, b, rules, head);
        if (head & HEAD_VALUES)
            put_values(out, b, rules);
        if (format == ROW_HAS_REFERENCES)
            put_references(out, b);
    }
}

struct decoder {
    struct arena *a;
    struct cursor in;
    const struct table_rules *rules;
    uint8_t format;
};

static bool count_fits(const struct cursor *in, uint64_t n, size_t each)
{
    return !in->failed && (n == 0 || (n <= in->left && n - 1 <= in->left / each));
}

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

/* What may be a version: of a group a tuple of its columns, of a sum what is no integer. */
static enum err check_version(struct decoder *d, uint32_t cell, const struct value *v)
{
    const struct cell_group *g = cell_group_of(d->rules, cell);
    if (cell == COLUMN_EXISTS)
        return is_existence(v) ? ERR_OK : ERR_MALFORMED;
    if (g)
        return value_tuple_split(v, arena_alloc(d->a, g->n * sizeof *v), g->n);
    if (v->type > VALUE_BLOB || (cell_is_sum(d->rules, cell) && value_is_count(v)))
        return ERR_MALFORMED;
    return ERR_OK;
}

static enum err get_versions(struct decoder *d, struct cell *c, uint8_t head)
{
    uint64_t n = cursor_varint(&d->in);
    if (n == 0 || n > UINT32_MAX || !count_fits(&d->in, n, VERSION_BYTES))
        return ERR_MALFORMED;
    c->n = (uint32_t)n;
    c->v = arena_alloc(d->a, n * sizeof *c->v);
    for (uint32_t i = 0; i < c->n; i++) {
        enum err e = get_version(&d->in, &c->v[i]);
        if (!e && value_in_cell(d->rules, head, c->column, n)) {
            e = value_decode(&d->in, &c->v[i].value);
            if (!e)
                e = check_version(d, c->column, &c->v[i].value);
        }
        if (e)
            return e;
        if (i && version_order(&c->v[i - 1], &c->v[i]) >= 0)
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
        if (cell_is_group(d->rules, c->column) && cell_of(d->rules, c->column) != c->column)
            return ERR_MALFORMED;
        if (b->n_cells && c->column <= c[-1].column)
            return ERR_MALFORMED;
        enum err e = get_versions(d, c, head);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* A total is wide only where it must be. */
static enum err check_value(const struct table_rules *rules, uint32_t column, const struct value *v)
{
    if (v->type <= VALUE_BLOB)
        return ERR_OK;
    if (v->type != VALUE_WIDE || !cell_is_sum(rules, column))
        return ERR_MALFORMED;
    __int128 n = value_count(v);
    return n >= INT64_MIN && n <= INT64_MAX ? ERR_MALFORMED : ERR_OK;
}

/* Cells and columns tell each other their values: of one version what stands behind the cells, of
 * several what the policy shows; in this order, because the scope may have a say in what is shown.
 */
static void join_values(struct decoder *d, struct birth *b)
{
    for (uint32_t i = 0; i < b->n_cells; i++) {
        struct cell *c = &b->cells[i];
        if (c->n == 1 && c->column != COLUMN_EXISTS && !cell_is_sum(d->rules, c->column))
            c->v[0].value = cell_gather(d->a, d->rules, c->column, b->values);
    }
    b->values = birth_shown(d->a, b, d->rules);
}

static enum err get_values(struct decoder *d, struct birth *b)
{
    uint64_t n = cursor_varint(&d->in);
    if (d->in.failed || n > d->rules->n_columns)
        return ERR_MALFORMED;
    b->values = arena_alloc(d->a, d->rules->n_columns * sizeof *b->values);
    for (uint32_t column = 0; column < n; column++) {
        if (!value_behind(d->rules, b, column))
            continue;
        enum err e = value_decode(&d->in, &b->values[column]);
        if (!e)
            e = check_value(d->rules, column, &b->values[column]);
        if (e)
            return e;
    }
    for (uint32_t i = 0; i < b->n_cells; i++)
        if (b->cells[i].column != COLUMN_EXISTS && b->cells[i].column >= n)
            return ERR_MALFORMED;
    join_values(d, b);
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

static struct dot get_name(struct cursor *in)
{
    struct dot dot = {.seq = cursor_varint(in)};
    if (dot.seq)
        dot.site = cursor_u64(in);
    return dot;
}

static enum err get_seen(struct decoder *d, struct birth *b)
{
    uint64_t n = cursor_varint(&d->in);
    if (n == 0 || n > UINT32_MAX || !count_fits(&d->in, n, DOT_BYTES))
        return ERR_MALFORMED;
    b->seen = arena_alloc(d->a, n * sizeof *b->seen);
    for (; b->n_seen < n; b->n_seen++) {
        struct dot *dot = &b->seen[b->n_seen];
        *dot = get_name(&d->in);
        bool in_order = b->n_seen == 0 || dot[-1].site < dot->site;
        if (d->in.failed || dot_is_none(*dot) || !in_order)
            return ERR_MALFORMED;
    }
    return ERR_OK;
}

static enum err get_marks(struct decoder *d, struct birth *b)
{
    uint8_t marks = cursor_u8(&d->in);
    b->touched = (enum birth_touch)(marks & MARK_TOUCH_MASK);
    b->has_born = marks & MARK_BORN;
    const uint8_t *born = b->has_born ? cursor_bytes(&d->in, sizeof b->born) : NULL;
    if (born)
        memcpy(b->born, born, sizeof b->born);
    if (d->in.failed || b->touched >= TOUCH_COUNT || marks >= 2 * MARK_SEEN)
        return ERR_MALFORMED;
    return marks & MARK_SEEN ? get_seen(d, b) : ERR_OK;
}

static enum err get_head(struct decoder *d, struct birth *b, uint8_t *head)
{
    enum err e = ERR_OK;
    *head = cursor_u8(&d->in);
    b->held = (enum hold_reason)((*head & HEAD_HELD_MASK) >> HEAD_HELD_SHIFT);
    if (*head & HEAD_NAMED)
        e = get_dot(&d->in, &b->name, &b->hlc);
    if (!e && (*head & HEAD_NAMED))
        e = get_marks(d, b);
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

/* The existence cell against the head: see on top. */
static enum err check_alive(struct decoder *d, struct birth *b, uint8_t head)
{
    bool alive = birth_alive(b, d->rules);
    if (alive == !(head & HEAD_DEAD))
        return ERR_OK;
    const struct cell *last = b->n_cells ? &b->cells[b->n_cells - 1] : NULL;
    bool both = false;
    for (uint32_t i = 1; last && last->column == COLUMN_EXISTS && i < last->n; i++)
        both |= last->v[i].value.u.i != last->v[0].value.u.i;
    if (alive)
        b->held = HOLD_BIRTH;
    return both ? ERR_OK : ERR_MALFORMED;
}

static enum err get_reference(struct decoder *d, const struct birth *b, struct reference *ref)
{
    uint64_t head = cursor_varint(&d->in);
    if (d->in.failed || head / 4 >= d->rules->n_columns)
        return ERR_MALFORMED;
    ref->column = (uint32_t)(head / 4);
    ref->version = head & 1 ? get_name(&d->in) : b->base;
    ref->birth = head & 2 ? get_name(&d->in) : b->name;
    bool same = (head & 1 && dot_equal(ref->version, b->base)) ||
                (head & 2 && dot_equal(ref->birth, b->name));
    if (d->in.failed || same || dot_is_none(ref->birth) || cell_is_sum(d->rules, ref->column))
        return ERR_MALFORMED;
    return birth_has_version(b, d->rules, ref->column, ref->version) ? ERR_OK : ERR_MALFORMED;
}

static enum err get_references(struct decoder *d, struct birth *b)
{
    uint64_t n = cursor_varint(&d->in);
    if (d->in.failed || n > d->in.left)
        return ERR_MALFORMED;
    size_t cap = 0;
    for (; b->n_references < n; b->n_references++) {
        b->references =
            arena_grow(d->a, b->references, b->n_references, &cap, sizeof(struct reference));
        struct reference *ref = &b->references[b->n_references];
        enum err e = get_reference(d, b, ref);
        if (e)
            return e;
        if (b->n_references && reference_order(ref - 1, ref) >= 0)
            return ERR_MALFORMED;
    }
    return ERR_OK;
}

static enum err get_birth(struct decoder *d, struct birth *b)
{
    uint8_t head;
    enum err e = get_head(d, b, &head);
    if (!e)
        e = get_cells(d, b, head);
    if (!e)
        e = check_alive(d, b, head);
    if (!e && (head & HEAD_VALUES))
        e = get_values(d, b);
    if (!e && d->format == ROW_HAS_REFERENCES)
        e = get_references(d, b);
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
    d.format = cursor_u8(&d.in);
    if (d.format != FORMAT && d.format != ROW_HAS_REFERENCES)
        return ERR_MALFORMED;
    uint64_t n = cursor_varint(&d.in);
    if (n > UINT32_MAX || !count_fits(&d.in, n, BIRTH_BYTES))
        return ERR_MALFORMED;
    struct birth *births = n ? arena_alloc(a, n * sizeof *births) : NULL;
    for (uint64_t i = 0; i < n; i++) {
        enum err e = get_birth(&d, &births[i]);
        if (e)
            return e;
        if (i && !in_order(&births[i - 1], &births[i]))
            return ERR_MALFORMED;
    }
    const struct row read = {.n_births = (uint32_t)n, .births = births};
    if (d.in.left || format_of(&read) != d.format)
        return ERR_MALFORMED;
    *r = read;
    return ERR_OK;
}
