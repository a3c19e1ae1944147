/* Reads a segment (format on top of codec_changeset.c). Everything is hostile: each count is
 * compared with what the rows ask for before memory is taken in proportion to it.
 */
#include "protocol/codec_internal.h"

struct row_form {
    enum change_kind kind;
    const uint64_t *mask;
    uint32_t n_cells;
    uint32_t *column; /* shared by its rows */
};

struct reading {
    struct arena *a;
    const Tonle__TableChanges *m;
    struct table_changes *t;
    struct row_form *form;
    uint32_t not_born; /* rows */
};

static bool has_column(const struct row_form *f, uint32_t c)
{
    return f->mask[c / 64] >> (c % 64) & 1;
}

static bool get_form(const struct reading *r, struct row_form *f, uint32_t kind,
                     const uint64_t *mask)
{
    uint32_t columns = r->t->n_columns;
    if (kind < CHANGE_BORN || kind > CHANGE_DELETE)
        return false;
    if (columns % 64 && mask[columns / 64] >> (columns % 64))
        return false;
    *f = (struct row_form){.kind = kind, .mask = mask};
    for (size_t w = 0; w < MASK_WORDS(columns); w++)
        f->n_cells += (uint32_t)__builtin_popcountll(mask[w]);
    if (kind == CHANGE_BORN && f->n_cells != columns)
        return false;
    f->column = arena_alloc(r->a, f->n_cells * sizeof *f->column);
    for (uint32_t c = 0, i = 0; c < columns; c++)
        if (has_column(f, c))
            f->column[i++] = c;
    return true;
}

static enum err get_forms(struct reading *r)
{
    const Tonle__TableChanges *m = r->m;
    size_t words = MASK_WORDS(r->t->n_columns);
    if (m->n_form_kind > m->rows || m->n_form_mask != m->n_form_kind * words)
        return ERR_MALFORMED;
    r->form = arena_alloc(r->a, m->n_form_kind * sizeof *r->form);
    for (size_t i = 0; i < m->n_form_kind; i++)
        if (!get_form(r, &r->form[i], m->form_kind[i], m->form_mask + i * words))
            return ERR_MALFORMED;
    return ERR_OK;
}

/* Before memory is taken for the rows: the runs name forms, and add up to the rows. */
static bool runs_fit(const struct reading *r)
{
    const Tonle__TableChanges *m = r->m;
    uint64_t rows = 0;
    if (m->n_run_form != m->n_run_rows)
        return false;
    for (size_t i = 0; i < m->n_run_form; i++) {
        bool joins = i && m->run_form[i] == m->run_form[i - 1];
        if (m->run_form[i] >= m->n_form_kind || m->run_rows[i] == 0 || joins)
            return false;
        rows += m->run_rows[i];
    }
    return rows == m->rows;
}

/* n_cells of a row is 0 until get_values counts them in. */
static void get_rows(struct reading *r, struct dot dot)
{
    struct table_changes *t = r->t;
    size_t cells = 0;
    for (size_t i = 0; i < r->m->n_run_form; i++)
        cells += (size_t)r->m->run_rows[i] * r->form[r->m->run_form[i]].n_cells;
    struct value *value = arena_alloc(r->a, cells * sizeof *value);
    t->rows = arena_alloc(r->a, t->n_rows * sizeof *t->rows);
    struct row_change *row = t->rows;
    for (size_t i = 0; i < r->m->n_run_form; i++) {
        const struct row_form *f = &r->form[r->m->run_form[i]];
        r->not_born += f->kind == CHANGE_BORN ? 0 : r->m->run_rows[i];
        for (uint32_t k = 0; k < r->m->run_rows[i]; k++, row++) {
            row->kind = f->kind;
            row->birth = f->kind == CHANGE_BORN ? dot : (struct dot){0};
            row->column = f->column;
            row->value = value;
            value += f->n_cells;
        }
    }
}

static enum err get_births(const struct reading *r)
{
    const Tonle__TableChanges *m = r->m;
    if (m->n_birth_site != m->n_birth_row || m->n_birth_seq != m->n_birth_row)
        return ERR_MALFORMED;
    for (size_t i = 0; i < m->n_birth_row; i++) {
        uint32_t row = m->birth_row[i];
        bool ascends = i == 0 || row > m->birth_row[i - 1];
        if (!ascends || row >= r->t->n_rows || r->t->rows[row].kind == CHANGE_BORN)
            return ERR_MALFORMED;
        if (m->birth_site[i] == 0 || m->birth_seq[i] == 0)
            return ERR_MALFORMED;
        r->t->rows[row].birth = (struct dot){m->birth_site[i], m->birth_seq[i]};
    }
    return ERR_OK;
}

static size_t column_rows(const struct reading *r, uint32_t c)
{
    size_t n = 0;
    for (size_t i = 0; i < r->m->n_run_form; i++)
        if (has_column(&r->form[r->m->run_form[i]], c))
            n += r->m->run_rows[i];
    return n;
}

static enum err get_values(const struct reading *r, uint32_t c)
{
    struct column_reader in;
    enum err e = column_open(&in, r->m->value[c], column_rows(r, c), VALUE_WIDE);
    if (e)
        return e;
    struct row_change *row = r->t->rows;
    for (size_t i = 0; i < r->m->n_run_form; i++) {
        uint32_t n = r->m->run_rows[i];
        if (!has_column(&r->form[r->m->run_form[i]], c)) {
            row += n;
            continue;
        }
        for (; n; n--, row++)
            ((struct value *)row->value)[row->n_cells++] = column_next(&in);
    }
    return ERR_OK;
}

/* The key of a born row is in its values, of another in the key's own columns. */
static enum err get_keys(const struct reading *r)
{
    struct table_changes *t = r->t;
    struct value *key = arena_alloc(r->a, (size_t)t->n_rows * t->n_key * sizeof *key);
    if (r->m->n_key_value != (r->not_born ? t->n_key : 0))
        return ERR_MALFORMED;
    for (uint32_t i = 0; i < t->n_rows; i++)
        t->rows[i].key = key + (size_t)i * t->n_key;
    for (uint32_t k = 0; k < t->n_key; k++) {
        struct column_reader in = {0};
        enum err e =
            r->not_born ? column_open(&in, r->m->key_value[k], r->not_born, VALUE_BLOB) : ERR_OK;
        if (e)
            return e;
        for (uint32_t i = 0; i < t->n_rows; i++) {
            bool born = t->rows[i].kind == CHANGE_BORN;
            key[(size_t)i * t->n_key + k] = born ? t->rows[i].value[t->key[k]] : column_next(&in);
        }
    }
    return ERR_OK;
}

/* Before memory is taken for them: in order, each of some birth, in rows that are there. */
static enum err references_fit(const struct reading *r, struct dot dot)
{
    const Tonle__TableChanges *m = r->m;
    size_t n = m->n_ref_column;
    uint32_t columns = 0;
    if (m->n_ref_row != n || m->n_ref_rows != n || m->n_ref_site != n || m->n_ref_seq != n)
        return ERR_MALFORMED;
    for (size_t i = 0; i < n; i++) {
        struct dot birth = {m->ref_site[i], m->ref_seq[i]};
        uint64_t end = (uint64_t)m->ref_row[i] + m->ref_rows[i];
        bool same = i && m->ref_column[i] == m->ref_column[i - 1];
        uint64_t before = same ? (uint64_t)m->ref_row[i - 1] + m->ref_rows[i - 1] : 0;
        bool joins = same && before == m->ref_row[i] && m->ref_site[i - 1] == birth.site &&
                     m->ref_seq[i - 1] == birth.seq;
        if (m->ref_column[i] >= r->t->n_columns || m->ref_rows[i] == 0 || end > r->t->n_rows)
            return ERR_MALFORMED;
        if ((i && m->ref_column[i] < m->ref_column[i - 1]) || m->ref_row[i] < before || joins)
            return ERR_MALFORMED;
        if ((birth.site == 0) != (birth.seq == 0) || dot_equal(birth, dot))
            return ERR_MALFORMED;
        columns += !same;
    }
    return columns > LIMIT_REFERENCES ? ERR_LIMIT : ERR_OK;
}

struct reference_run { /* of one column: the one that is at or before the row */
    size_t at, end;
};

/* Whether the references of row i are others than those of the row before it. */
static bool moves(const struct reading *r, struct reference_run *run, uint32_t n, uint32_t i)
{
    bool any = false;
    for (uint32_t c = 0; c < n; c++) {
        while (run[c].at < run[c].end &&
               r->m->ref_row[run[c].at] + r->m->ref_rows[run[c].at] <= i) {
            any = true;
            run[c].at++;
        }
        any = any || (run[c].at < run[c].end && r->m->ref_row[run[c].at] == i);
    }
    return any;
}

static struct reference *references_at(const struct reading *r, const struct reference_run *run,
                                       uint32_t n, uint32_t i, struct dot dot, uint32_t *count)
{
    struct reference *list = arena_alloc(r->a, n * sizeof *list);
    *count = 0;
    for (uint32_t c = 0; c < n; c++) {
        size_t at = run[c].at;
        if (at == run[c].end || r->m->ref_row[at] > i)
            continue;
        struct dot birth = {r->m->ref_site[at], r->m->ref_seq[at]};
        list[(*count)++] = (struct reference){.column = r->m->ref_column[at],
                                              .birth = dot_is_none(birth) ? dot : birth};
    }
    return list;
}

static bool in_columns(const struct row_change *row)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < row->n_references; i++) {
        while (at < row->n_cells && row->column[at] < row->references[i].column)
            at++;
        if (at == row->n_cells || row->column[at] != row->references[i].column)
            return false;
    }
    return true;
}

/* Rows that follow one another and mean the same births share the list. */
static enum err get_references(const struct reading *r, struct dot dot)
{
    struct reference_run run[LIMIT_REFERENCES];
    struct row_change *row = r->t->rows;
    uint32_t n = 0;
    enum err e = references_fit(r, dot);
    for (size_t i = 0; !e && i < r->m->n_ref_column; i++) {
        if (i == 0 || r->m->ref_column[i] != r->m->ref_column[i - 1])
            run[n++].at = i;
        run[n - 1].end = i + 1;
    }
    for (uint32_t i = 0; !e && n && i < r->t->n_rows; i++) {
        bool other = moves(r, run, n, i);
        if (!other && i) {
            row[i].references = row[i - 1].references;
            row[i].n_references = row[i - 1].n_references;
        } else if (other) {
            row[i].references = references_at(r, run, n, i, dot, &row[i].n_references);
        }
        if ((other || (i && row[i].column != row[i - 1].column)) && !in_columns(&row[i]))
            e = ERR_MALFORMED;
    }
    return e;
}

static enum err get_table(struct arena *a, const Tonle__TableChanges *m, struct dot dot,
                          struct table_changes *t)
{
    struct reading r = {.a = a, .m = m, .t = t};
    if (m->n_column > LIMIT_COLUMNS || m->n_key > LIMIT_KEY_COLUMNS || m->rows > LIMIT_ROWS)
        return ERR_LIMIT;
    *t = (struct table_changes){.table = m->table,
                                .n_columns = (uint32_t)m->n_column,
                                .columns = (const char **)m->column,
                                .n_key = (uint32_t)m->n_key,
                                .key = m->key,
                                .n_rows = m->rows};
    enum err e = table_names_fit(t);
    if (e || (e = get_forms(&r)))
        return e;
    if (!runs_fit(&r) || m->n_value != m->n_column)
        return ERR_MALFORMED;
    get_rows(&r, dot);
    e = get_births(&r);
    for (uint32_t c = 0; !e && c < t->n_columns; c++)
        e = get_values(&r, c);
    if (!e)
        e = get_keys(&r);
    if (!e)
        e = get_references(&r, dot);
    return e ? e : table_rows_fit(t);
}

enum err codec_segment_decode(struct arena *a, const void *p, size_t len, struct dot dot,
                              struct segment *s)
{
    Tonle__Segment *m;
    uint64_t rows = 0;
    if (len > LIMIT_SEGMENT_RAW_BYTES)
        return ERR_LIMIT;
    enum err e = codec_unpack(a, &tonle__segment__descriptor, (struct bytes){p, len},
                              CODEC_SEGMENT_MEMORY, &m);
    if (e)
        return e;
    for (size_t i = 0; i < m->n_table && rows <= LIMIT_ROWS; i++)
        rows += m->table[i]->rows;
    if (m->n_table > LIMIT_TABLES || rows > LIMIT_ROWS || !codec_label_ok(m->scope))
        return ERR_LIMIT;
    *s = (struct segment){.scope = m->scope, .n_tables = (uint32_t)m->n_table};
    s->tables = arena_alloc(a, m->n_table * sizeof *s->tables);
    for (size_t i = 0; !e && i < m->n_table; i++)
        e = get_table(a, m->table[i], dot, &s->tables[i]);
    return e;
}
