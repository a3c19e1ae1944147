/* The segment: the rows of one scope, columns of a table stored together. These are the bytes
 * before compression; seal.c wraps them.
 *
 *   scope
 *   table, for each table of the segment
 *     table, column, key      names, and the indices of the key columns in the key's order
 *     rows                    n
 *     form_kind, form_mask    the different (kind, columns changed) of its rows in order of first
 *                             use. A mask is ceil(columns / 64) words, column c is bit c % 64 of
 *                             word c / 64; a born row changes every column
 *     run_form, run_rows      the rows in order: so many of that form, then so many of another
 *     birth_row, _site, _seq  the rows that name a birth other than the changeset's own dot,
 *                             ascending; a born row's is the changeset's dot and is not here
 *     key_value               a Column for each key column: the keys of the rows that are not
 *                             born; none when there are no such rows
 *     ref_column, _row,       which birth of its parent a foreign key's column means: from that row
 *     _rows, _site, _seq      on so many rows the same one; 0, 0 is the changeset's own dot.
 *                             Ascending by column and row, joined where they can be, and only rows
 *                             that have the column
 *     value                   a Column for each column: the values of the rows whose form has it
 *
 * A WIDE is the delta of a `sum` column: only in rows that are not born, and never in a key. One
 * key comes several times when its births are different ones.
 *
 * A bulk insert costs one form, one run and its values; its keys are in its values. Column is in
 * codec_column.c, the reading of all this in codec_changeset_read.c. The encoder writes one
 * changeset in exactly one way.
 */
#include "protocol/codec_internal.h"

#include "conflict/map.h"

#include <assert.h>
#include <string.h>

#define MAX_WORDS MASK_WORDS(LIMIT_COLUMNS)

struct forms { /* distinct (kind, mask), found by a hash of them */
    uint32_t *kind;
    uint64_t *mask; /* words each */
    size_t n;
    size_t words;
    struct map by_form;
};

static struct forms forms_new(struct arena *a, size_t rows, size_t words)
{
    struct forms f = {.words = words, .by_form.a = a};
    f.kind = arena_alloc(a, rows * sizeof *f.kind);
    f.mask = arena_alloc(a, rows * words * sizeof *f.mask);
    return f;
}

static uint32_t forms_find(struct forms *f, uint32_t kind, const uint64_t *mask)
{
    size_t bytes = f->words * sizeof *mask;
    uint64_t hash = hash_key(VALUE_HASH_SEED + kind, mask, bytes);
    struct map_search at = map_seek(&f->by_form, hash);
    while (map_next(&f->by_form, &at)) {
        if (f->kind[at.number] == kind && memcmp(f->mask + at.number * f->words, mask, bytes) == 0)
            return at.number;
    }
    map_put(&f->by_form, hash, (uint32_t)f->n);
    memcpy(f->mask + f->n * f->words, mask, bytes);
    f->kind[f->n] = kind;
    return (uint32_t)f->n++;
}

static void mask_of(const struct row_change *r, uint64_t mask[MAX_WORDS])
{
    memset(mask, 0, MAX_WORDS * sizeof *mask);
    for (uint32_t i = 0; i < r->n_cells; i++)
        mask[r->column[i] / 64] |= 1ULL << (r->column[i] % 64);
}

static void put_forms(struct arena *a, const struct table_changes *t, Tonle__TableChanges *m)
{
    uint64_t mask[MAX_WORDS];
    struct forms f = forms_new(a, t->n_rows, MASK_WORDS(t->n_columns));
    m->run_form = arena_alloc(a, t->n_rows * sizeof *m->run_form);
    m->run_rows = arena_alloc(a, t->n_rows * sizeof *m->run_rows);
    size_t runs = 0;
    for (uint32_t i = 0; i < t->n_rows; i++) {
        mask_of(&t->rows[i], mask);
        uint32_t form = forms_find(&f, t->rows[i].kind, mask);
        if (runs == 0 || m->run_form[runs - 1] != form)
            m->run_form[runs++] = form;
        m->run_rows[runs - 1]++;
    }
    m->n_run_form = m->n_run_rows = runs;
    m->form_kind = f.kind;
    m->n_form_kind = f.n;
    m->form_mask = f.mask;
    m->n_form_mask = f.n * f.words;
}

static void put_births(struct arena *a, const struct table_changes *t, Tonle__TableChanges *m)
{
    size_t n = 0;
    m->birth_row = arena_alloc(a, t->n_rows * sizeof *m->birth_row);
    m->birth_site = arena_alloc(a, t->n_rows * sizeof *m->birth_site);
    m->birth_seq = arena_alloc(a, t->n_rows * sizeof *m->birth_seq);
    for (uint32_t i = 0; i < t->n_rows; i++) {
        const struct row_change *r = &t->rows[i];
        if (r->kind == CHANGE_BORN || dot_is_none(r->birth))
            continue;
        m->birth_row[n] = i;
        m->birth_site[n] = r->birth.site;
        m->birth_seq[n++] = r->birth.seq;
    }
    m->n_birth_row = m->n_birth_site = m->n_birth_seq = n;
}

static size_t count_references(const struct table_changes *t, bool used[LIMIT_COLUMNS])
{
    size_t n = 0;
    memset(used, 0, LIMIT_COLUMNS * sizeof *used);
    for (uint32_t i = 0; i < t->n_rows; i++) {
        n += t->rows[i].n_references;
        for (uint32_t k = 0; k < t->rows[i].n_references; k++)
            used[t->rows[i].references[k].column] = true;
    }
    return n;
}

static void put_reference(Tonle__TableChanges *m, uint32_t column, uint32_t row, struct dot birth)
{
    size_t n = m->n_ref_row;
    bool joins = n && m->ref_column[n - 1] == column &&
                 m->ref_row[n - 1] + m->ref_rows[n - 1] == row &&
                 m->ref_site[n - 1] == birth.site && m->ref_seq[n - 1] == birth.seq;
    if (joins) {
        m->ref_rows[n - 1]++;
        return;
    }
    m->ref_column[n] = column;
    m->ref_row[n] = row;
    m->ref_rows[n] = 1;
    m->ref_site[n] = birth.site;
    m->ref_seq[n] = birth.seq;
    m->n_ref_column = m->n_ref_row = m->n_ref_rows = m->n_ref_site = m->n_ref_seq = n + 1;
}

static void put_references(struct arena *a, const struct table_changes *t, struct dot dot,
                           Tonle__TableChanges *m)
{
    bool used[LIMIT_COLUMNS];
    size_t n = count_references(t, used);
    if (n == 0)
        return;
    uint32_t *next = arena_alloc(a, t->n_rows * sizeof *next); /* reference of each row */
    m->ref_column = arena_alloc(a, n * sizeof *m->ref_column);
    m->ref_row = arena_alloc(a, n * sizeof *m->ref_row);
    m->ref_rows = arena_alloc(a, n * sizeof *m->ref_rows);
    m->ref_site = arena_alloc(a, n * sizeof *m->ref_site);
    m->ref_seq = arena_alloc(a, n * sizeof *m->ref_seq);
    for (uint32_t c = 0; c < t->n_columns; c++) {
        for (uint32_t i = 0; used[c] && i < t->n_rows; i++) {
            const struct row_change *r = &t->rows[i];
            if (next[i] == r->n_references || r->references[next[i]].column != c)
                continue;
            struct dot birth = r->references[next[i]++].birth;
            put_reference(m, c, i, dot_equal(birth, dot) ? (struct dot){0} : birth);
        }
    }
}

static Tonle__Column **columns_new(struct arena *a, size_t n)
{
    Tonle__Column **c = arena_alloc(a, n * sizeof *c);
    Tonle__Column *m = arena_alloc(a, n * sizeof *m);
    for (size_t i = 0; i < n; i++)
        c[i] = &m[i];
    return c;
}

static void put_keys(struct arena *a, const struct table_changes *t, const struct value **scratch,
                     Tonle__TableChanges *m)
{
    size_t n = 0;
    for (uint32_t i = 0; i < t->n_rows; i++)
        n += t->rows[i].kind != CHANGE_BORN;
    if (n == 0)
        return;
    m->n_key_value = t->n_key;
    m->key_value = columns_new(a, t->n_key);
    for (uint32_t k = 0; k < t->n_key; k++) {
        n = 0;
        for (uint32_t i = 0; i < t->n_rows; i++)
            if (t->rows[i].kind != CHANGE_BORN)
                scratch[n++] = &t->rows[i].key[k];
        column_put(a, scratch, n, m->key_value[k]);
    }
}

static void put_values(struct arena *a, const struct table_changes *t, const struct value **scratch,
                       Tonle__TableChanges *m)
{
    uint32_t *next = arena_alloc(a, t->n_rows * sizeof *next); /* cell of each row */
    m->n_value = t->n_columns;
    m->value = columns_new(a, t->n_columns);
    for (uint32_t c = 0; c < t->n_columns; c++) {
        size_t n = 0;
        for (uint32_t i = 0; i < t->n_rows; i++) {
            const struct row_change *r = &t->rows[i];
            if (next[i] < r->n_cells && r->column[next[i]] == c)
                scratch[n++] = &r->value[next[i]++];
        }
        column_put(a, scratch, n, m->value[c]);
    }
}

static void put_table(struct arena *a, const struct table_changes *t, struct dot dot,
                      Tonle__TableChanges *m)
{
    const struct value **scratch = arena_alloc(a, t->n_rows * sizeof *scratch);
    tonle__table_changes__init(m);
    m->table = (char *)t->table;
    m->n_column = t->n_columns;
    m->column = (char **)t->columns;
    m->n_key = t->n_key;
    m->key = (uint32_t *)t->key;
    m->rows = t->n_rows;
    put_forms(a, t, m);
    put_births(a, t, m);
    put_keys(a, t, scratch, m);
    put_values(a, t, scratch, m);
    put_references(a, t, dot, m);
}

/* Limits that hold for what is written as for what was read. */
enum err table_names_fit(const struct table_changes *t)
{
    if (t->n_columns > LIMIT_COLUMNS || t->n_key > LIMIT_KEY_COLUMNS)
        return ERR_LIMIT;
    if (t->n_columns == 0 || t->n_key == 0 || !codec_name_ok(t->table))
        return ERR_MALFORMED;
    bool key[LIMIT_COLUMNS] = {false};
    for (uint32_t k = 0; k < t->n_key; k++) {
        if (t->key[k] >= t->n_columns || key[t->key[k]])
            return ERR_MALFORMED;
        key[t->key[k]] = true;
    }
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (!codec_name_ok(t->columns[i]))
            return ERR_MALFORMED;
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(t->columns[i], t->columns[j]) == 0)
                return ERR_MALFORMED;
    }
    return ERR_OK;
}

static bool is_bytes(const struct value *v)
{
    return v->type == VALUE_TEXT || v->type == VALUE_BLOB;
}

/* A WIDE is a delta: of no key, and of no row that is born. A TUPLE has no place at all. */
static bool type_fits(const struct table_changes *t, const struct row_change *r, uint32_t cell)
{
    uint8_t type = r->value[cell].type;
    bool fits = type <= VALUE_BLOB || (type == VALUE_WIDE && r->kind != CHANGE_BORN);
    for (uint32_t k = 0; type == VALUE_WIDE && k < t->n_key; k++)
        fits = fits && t->key[k] != r->column[cell];
    return fits;
}

static enum err row_fits(const struct table_changes *t, const struct row_change *r, struct buf *key)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < r->n_cells; i++) {
        const struct value *v = &r->value[i];
        if (!type_fits(t, r, i))
            return ERR_MALFORMED;
        if (is_bytes(v) && v->len > LIMIT_VALUE_BYTES)
            return ERR_LIMIT;
        bytes += is_bytes(v) || v->type == VALUE_WIDE ? v->len : sizeof(int64_t);
    }
    if (bytes > LIMIT_ROW_BYTES)
        return ERR_LIMIT;
    for (uint32_t k = 0; k < t->n_key; k++) {
        if (r->key[k].type > VALUE_BLOB)
            return ERR_MALFORMED;
        if (is_bytes(&r->key[k]) && r->key[k].len > LIMIT_KEY_BYTES)
            return ERR_LIMIT;
    }
    buf_reset(key);
    key_encode(key, r->key, t->n_key);
    return key->len > LIMIT_KEY_BYTES ? ERR_LIMIT : ERR_OK;
}

static bool same_identity(const struct table_changes *t, const struct row_change *a,
                          const struct row_change *b)
{
    struct buf x = {0}, y = {0};
    key_encode(&x, a->key, t->n_key);
    key_encode(&y, b->key, t->n_key);
    bool same = dot_equal(a->birth, b->birth) && x.len == y.len && !memcmp(x.data, y.data, x.len);
    buf_fini(&x), buf_fini(&y);
    return same;
}

/* Adds the row to those found by key and birth; false when its identity is there already. `key` are
 * its canonical key bytes. Who signs a changeset can make hashes meet; the rows are few enough that
 * this costs him nothing but a moment of ours. */
static bool identity_add(struct map *ids, const struct table_changes *t, uint32_t row,
                         const struct buf *key)
{
    const struct row_change *r = &t->rows[row];
    uint64_t hash = hash_key(VALUE_HASH_SEED, key->data, key->len);
    hash = hash_key(hash, &r->birth, sizeof r->birth);
    struct map_search at = map_seek(ids, hash);
    while (map_next(ids, &at))
        if (same_identity(t, r, &t->rows[at.number]))
            return false;
    map_put(ids, hash, row);
    return true;
}

enum err table_rows_fit(const struct table_changes *t)
{
    struct map ids = {0};
    struct buf key = {0};
    enum err e = ERR_OK;
    for (uint32_t i = 0; !e && i < t->n_rows; i++) {
        e = row_fits(t, &t->rows[i], &key);
        if (!e && !identity_add(&ids, t, i, &key))
            e = ERR_MALFORMED;
    }
    map_fini(&ids);
    buf_fini(&key);
    return e;
}

/* What the sealing code must not ask for. */
static void assert_row(const struct table_changes *t, const struct row_change *r)
{
    assert(r->kind >= CHANGE_BORN && r->kind <= CHANGE_DELETE);
    assert(r->kind != CHANGE_BORN || r->n_cells == t->n_columns);
    for (uint32_t i = 0; i < r->n_cells; i++)
        assert(r->column[i] < t->n_columns && (i == 0 || r->column[i] > r->column[i - 1]));
    for (uint32_t i = 0, at = 0; i < r->n_references; i++, at++) {
        while (at < r->n_cells && r->column[at] != r->references[i].column)
            at++;
        assert(at < r->n_cells && !dot_is_none(r->references[i].birth));
    }
}

/* The columns of foreign keys whose parents are named. */
static enum err references_fit(const struct table_changes *t)
{
    bool used[LIMIT_COLUMNS];
    uint32_t n = 0;
    if (count_references(t, used) == 0)
        return ERR_OK;
    for (uint32_t c = 0; c < t->n_columns; c++)
        n += used[c];
    return n > LIMIT_REFERENCES ? ERR_LIMIT : ERR_OK;
}

static enum err segment_fits(const struct segment *s)
{
    uint64_t rows = 0;
    if (s->n_tables > LIMIT_TABLES || !codec_label_ok(s->scope))
        return ERR_LIMIT;
    for (uint32_t i = 0; i < s->n_tables; i++) {
        const struct table_changes *t = &s->tables[i];
        rows += t->n_rows;
        if (rows > LIMIT_ROWS)
            return ERR_LIMIT;
        enum err e = table_names_fit(t);
        if (e || (e = table_rows_fit(t)))
            return e;
        for (uint32_t k = 0; k < t->n_rows; k++)
            assert_row(t, &t->rows[k]);
        if ((e = references_fit(t)))
            return e;
    }
    return ERR_OK;
}

enum err codec_segment_encode(const struct segment *s, struct dot dot, struct buf *out)
{
    enum err e = segment_fits(s);
    if (e)
        return e;
    struct arena a = {0};
    Tonle__Segment m = TONLE__SEGMENT__INIT;
    Tonle__TableChanges *t = arena_alloc(&a, s->n_tables * sizeof *t);
    m.scope = (char *)s->scope;
    m.n_table = s->n_tables;
    m.table = arena_alloc(&a, s->n_tables * sizeof *m.table);
    for (uint32_t i = 0; i < s->n_tables; i++) {
        m.table[i] = &t[i];
        put_table(&a, &s->tables[i], dot, &t[i]);
    }
    size_t before = out->len;
    codec_pack(&m.base, out);
    arena_fini(&a);
    if (out->len - before <= LIMIT_SEGMENT_RAW_BYTES)
        return ERR_OK;
    out->len = before;
    return ERR_LIMIT;
}
