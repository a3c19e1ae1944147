/* Which identity a change means (DESIGN 4, "Births"):
 *
 *   the change   births on record                                  meets
 *   BORN         its name is there                                 that one: merged already
 *   BORN         -                                                 a new birth
 *   names none   the unnamed one                                   that one
 *   names b      b                                                 that one
 *   names b      the unnamed one, not b; b is stable and not kept  the unnamed one
 *   otherwise    -                                                 nothing: an orphan
 *
 * The unnamed one is whoever has lost its name everywhere else; where a row that was entered in a
 * capture gap has none here, that is another, which still has its name here (row_unnamed).
 *
 * What the change does to one cell (a column, a group of columns, existence), `rest` being the
 * versions that its context does not cover:
 *
 *   rest                     policy latest                    other policies, existence
 *   none                     the change                       the change
 *   alike values only        the latest of rest and change    rest and change
 *   a different value        the latest; conflict, closed     rest and change; conflict, open
 *
 * What it does to a sum (no conflict, ever):
 *
 *   the change wrote         the total            what was written there and is no integer
 *   BORN, an integer, NULL   is it                -
 *   BORN, anything else      is NULL              the change
 *   a delta                  is added to          rest
 *   anything else            as it was            rest and change
 *
 * The existence cell is written by every UPDATE and DELETE and drops nothing that is not covered,
 * so the dot standing there tells that the change was merged before, and its deltas with it.
 *
 * A birth remembers what it was born with and which births of the key its writer had seen, and
 * every later change that it was named: who is a twin is asked of that (twin.c).
 *
 * Which birth of two or more that live is in force, as far as it is for this file to say: first and
 * review the earliest, latest the latest. A conflict of births is open until one of them is gone;
 * twins are not counted.
 *
 *   what is in open conflict   of a living birth                    of a dead one
 *   existence                  alive and dead (update-wins, review) alive and dead (delete-wins)
 *   any other cell but a sum   two different values, not `latest`   -
 */
#include "conflict/merge.h"

#include "conflict/twin.h"

#include <string.h>

struct merging {
    struct arena *a;
    struct row *r;
    struct birth *b;
    const struct table_rules *rules;
    const struct change *ch;
    struct conflict_list *out;
};

static struct conflict *add_conflict(struct arena *a, struct conflict_list *list)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 4;
        struct conflict *grown = arena_alloc(a, cap * sizeof *grown);
        if (list->n)
            memcpy(grown, list->c, list->n * sizeof *grown);
        list->c = grown;
        list->cap = cap;
    }
    return &list->c[list->n++];
}

static void sort_by_dot(struct version *v, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct version moving = v[i];
        uint32_t j = i;
        for (; j && dot_compare(v[j - 1].dot, moving.dot) > 0; j--)
            v[j] = v[j - 1];
        v[j] = moving;
    }
}

static void report_cell(struct arena *a, struct conflict_list *out, const struct birth *b,
                        const struct table_rules *rules, uint32_t column, const struct version *v,
                        uint32_t n)
{
    struct conflict *c = add_conflict(a, out);
    bool open = policy_of(rules, column) != POLICY_LATEST;
    *c = (struct conflict){.birth = b->name, .column = column, .n = n, .open = open};
    c->v = arena_copy(a, v, n * sizeof *v);
    sort_by_dot(c->v, n);
    c->shown = (uint32_t)birth_choose(a, b, rules, column, c->v, n);
}

/* Two or more living births of one key, no twins among them, are a conflict. */
static void report_births(struct arena *a, const struct row *r, const struct table_rules *rules,
                          struct conflict_list *out)
{
    const struct birth **twin_of = row_twins(a, r, rules);
    struct version *v = arena_alloc(a, r->n_births * sizeof *v);
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_births; i++)
        if (birth_alive(&r->births[i], rules) && !(twin_of && twin_of[i]))
            v[n++] = (struct version){.dot = r->births[i].name, .hlc = r->births[i].hlc};
    if (n < 2)
        return;
    struct conflict *c = add_conflict(a, out);
    *c = (struct conflict){.column = COLUMN_BIRTH, .n = n, .v = v, .open = true};
    struct dot in_force = v[rules->birth_policy == BIRTH_LATEST ? n - 1 : 0].dot;
    sort_by_dot(v, n);
    while (!dot_equal(v[c->shown].dot, in_force))
        c->shown++;
}

static uint32_t count_alive(const struct row *r, const struct table_rules *rules)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_births; i++)
        n += birth_alive(&r->births[i], rules);
    return n;
}

/* The living births that are no twins. */
static uint32_t count_rivals(struct arena *a, const struct row *r, const struct table_rules *rules)
{
    const struct birth **twin_of = row_twins(a, r, rules);
    uint32_t n = count_alive(r, rules);
    for (uint32_t i = 0; twin_of && i < r->n_births; i++)
        n -= !!twin_of[i];
    return n;
}

static bool is_kept(const struct forget *f, struct dot name)
{
    for (size_t i = 0; i < f->n_keep; i++)
        if (dot_equal(f->keep[i], name))
            return true;
    return false;
}

static struct birth *find_identity(const struct merging *m, const struct forget *f)
{
    struct dot name = m->ch->birth;
    if (dot_is_none(name))
        return row_unnamed(m->a, m->r, m->rules, f);
    struct birth *b = row_find_birth(m->r, name);
    if (b)
        return b;
    if (!clock_covers(f->stable, name) || is_kept(f, name))
        return NULL;
    return row_unnamed(m->a, m->r, m->rules, f);
}

static bool comes_before(const struct birth *a, const struct birth *b)
{
    struct version va = {.dot = a->name, .hlc = a->hlc};
    struct version vb = {.dot = b->name, .hlc = b->hlc};
    return dot_is_none(a->name) || (!dot_is_none(b->name) && version_order(&va, &vb) < 0);
}

static struct birth *insert_birth(struct arena *a, struct row *r, const struct birth *b)
{
    uint32_t at = 0;
    while (at < r->n_births && comes_before(&r->births[at], b))
        at++;
    struct birth *births = arena_alloc(a, (r->n_births + 1) * sizeof *births);
    if (at)
        memcpy(births, r->births, at * sizeof *births);
    if (at < r->n_births)
        memcpy(births + at + 1, r->births + at, (r->n_births - at) * sizeof *births);
    births[at] = *b;
    r->births = births;
    r->n_births++;
    return &births[at];
}

/* What can stand in a column that is no sum. Deltas, and tuples as they come from a changeset, get
 * here only from an office whose charter says otherwise. */
static struct value made_storable(struct arena *a, const struct value *v)
{
    if (v->type != VALUE_WIDE)
        return value_bytes(VALUE_BLOB, v->u.p, v->len);
    char text[WIDE_TEXT];
    struct value total = value_total(a, value_count(v));
    if (total.type == VALUE_INTEGER)
        return total;
    value_wide_text(text, value_count(v));
    return value_text(arena_strdup(a, text));
}

struct value merge_storable(struct arena *a, const struct value *v)
{
    return v->type <= VALUE_BLOB ? *v : made_storable(a, v);
}

/* Whatever stood there before the column was a sum, and is no number, counts 0. */
static struct value add(struct arena *a, const struct value *total, const struct value *delta)
{
    __int128 n = value_is_count(total) ? value_count(total) : 0;
    return value_total(a, n + value_count(delta));
}

/* The versions that the change has not seen, with room for one more. */
static struct version *rest_of(struct merging *m, const struct version *old, uint32_t *n)
{
    uint32_t kept = 0;
    struct version *v = arena_alloc(m->a, (*n + 1) * sizeof *v);
    for (uint32_t i = 0; i < *n; i++)
        if (!clock_covers(m->ch->context, old[i].dot))
            v[kept++] = old[i];
    *n = kept;
    return v;
}

static struct version written(const struct change *ch, struct value value)
{
    return (struct version){.dot = ch->dot, .hlc = ch->hlc, .value = value};
}

static void merge_sum(struct merging *m, uint32_t column, const struct value *value)
{
    const struct cell *c = birth_find_cell(m->b, column);
    uint32_t n = c ? c->n : 0;
    struct version *v = rest_of(m, c ? c->v : NULL, &n);
    if (!m->b->values) /* a dead birth whose values nobody knew */
        m->b->values = birth_shown(m->a, m->b, m->rules);
    if (value_is_count(value))
        m->b->values[column] = add(m->a, &m->b->values[column], value);
    else
        v[n++] = written(m->ch, merge_storable(m->a, value));
    birth_set_cell(m->a, m->b, column, v, n);
}

static void set_cell(struct merging *m, uint32_t cell, const struct version *v, uint32_t n)
{
    size_t shown = n == 1 ? 0 : birth_choose(m->a, m->b, m->rules, cell, v, n);
    if (m->b->values && cell != COLUMN_EXISTS)
        cell_spread(m->a, m->rules, cell, &v[shown].value, m->b->values);
    if (n > 1 && policy_of(m->rules, cell) == POLICY_LATEST)
        birth_set_cell(m->a, m->b, cell, &v[shown], 1);
    else
        birth_set_cell(m->a, m->b, cell, v, n);
}

static bool has_seen_all(const struct merging *m, uint32_t cell)
{
    const struct cell *c = birth_find_cell(m->b, cell);
    if (!c)
        return clock_covers(m->ch->context, m->b->base);
    for (uint32_t i = 0; i < c->n; i++)
        if (!clock_covers(m->ch->context, c->v[i].dot))
            return false;
    return true;
}

static void merge_cell(struct merging *m, uint32_t cell, struct value value)
{
    const struct version mine = written(m->ch, value);
    if (has_seen_all(m, cell)) { /* by far the commonest */
        set_cell(m, cell, &mine, 1);
        return;
    }
    uint32_t n;
    bool differs = false;
    const struct version *old = birth_cell(m->a, m->b, m->rules, cell, &n);
    struct version *v = rest_of(m, old, &n);
    for (uint32_t i = 0; i < n; i++)
        differs |= !value_alike(&v[i].value, &value);
    v[n++] = mine;
    if (differs)
        report_cell(m->a, m->out, m->b, m->rules, cell, v, n);
    if (differs && m->r->n_births > 1 && !m->out->c[m->out->n - 1].open)
        m->out->c[m->out->n - 1].apart = m->b->name;
    set_cell(m, cell, v, n);
}

static void bear_sum(struct merging *m, struct birth *b, uint32_t column, const struct value *value)
{
    struct version v = written(m->ch, merge_storable(m->a, value));
    if (value->type == VALUE_WIDE)
        b->values[column] = value_total(m->a, value_count(value));
    else if (value_is_count(value))
        b->values[column] = *value;
    else
        birth_set_cell(m->a, b, column, &v, 1);
}

/* Those of versions that are left, and the change's own where it is among them. */
static void merge_references(struct merging *m)
{
    birth_prune_references(m->b, m->rules);
    for (uint32_t i = 0; i < m->ch->n_references; i++) {
        struct reference ref = m->ch->references[i];
        ref.version = m->ch->dot;
        if (ref.column < m->rules->n_columns && !cell_is_sum(m->rules, ref.column))
            birth_refer(m->a, m->b, m->rules, &ref);
    }
}

/* Two counters that begin with 1 are two visits, not one that was entered twice. */
static bool counts_something(const struct merging *m)
{
    for (uint32_t i = 0; i < m->ch->n_cells; i++) {
        const struct value *v = &m->ch->value[i];
        if (cell_is_sum(m->rules, m->ch->column[i]) && !(value_is_count(v) && value_count(v) == 0))
            return true;
    }
    return false;
}

/* The names on record that the writer had seen: nearly always none. */
static void note_seen(struct merging *m, struct birth *b)
{
    for (uint32_t i = 0; i < m->r->n_births; i++) {
        struct dot name = m->r->births[i].name;
        if (!dot_is_none(name) && clock_covers(m->ch->context, name))
            birth_see(m->a, b, name);
    }
}

static void merge_born(struct merging *m)
{
    const struct change *ch = m->ch;
    struct birth b = {.name = ch->dot, .hlc = ch->hlc, .base = ch->dot, .base_hlc = ch->hlc};
    b.values = arena_alloc(m->a, m->rules->n_columns * sizeof *b.values);
    b.has_born = ch->born && !counts_something(m);
    if (b.has_born)
        memcpy(b.born, ch->born, sizeof b.born);
    note_seen(m, &b);
    for (uint32_t i = 0; i < ch->n_cells; i++) {
        uint32_t column = ch->column[i];
        if (column >= m->rules->n_columns)
            continue;
        if (cell_is_sum(m->rules, column))
            bear_sum(m, &b, column, &ch->value[i]);
        else
            b.values[column] = merge_storable(m->a, &ch->value[i]);
    }
    m->b = insert_birth(m->a, m->r, &b);
}

/* The members that the change has, the others as they are shown here. */
static struct value group_written(struct merging *m, const struct cell_group *g)
{
    const struct change *ch = m->ch;
    struct value *v = arena_alloc(m->a, g->n * sizeof *v);
    for (uint32_t k = 0; k < g->n; k++) {
        bool found = false;
        for (uint32_t i = 0; i < ch->n_cells && !found; i++) {
            found = ch->column[i] == g->column[k];
            if (found)
                v[k] = merge_storable(m->a, &ch->value[i]);
        }
        if (!found)
            v[k] = birth_show(m->a, m->b, g->column[k], m->rules).value;
    }
    return value_tuple(m->a, v, g->n);
}

/* Whether the i-th column of the change is the first of its group there. */
static bool leads_group(const struct merging *m, uint32_t i, uint32_t cell)
{
    for (uint32_t j = 0; j < i; j++)
        if (cell_of(m->rules, m->ch->column[j]) == cell)
            return false;
    return true;
}

static void merge_column(struct merging *m, uint32_t i)
{
    uint32_t column = m->ch->column[i];
    const struct value *value = &m->ch->value[i];
    if (cell_is_sum(m->rules, column)) {
        merge_sum(m, column, value);
    } else if (!cell_is_group(m->rules, column)) {
        merge_cell(m, column, merge_storable(m->a, value));
    } else {
        uint32_t cell = cell_of(m->rules, column);
        if (leads_group(m, i, cell))
            merge_cell(m, cell, group_written(m, m->rules->group[cell]));
    }
}

/* Under `owner` the scope says who wins, and the change may have moved the row. */
static void choose_again(struct merging *m, size_t first)
{
    struct birth *b = m->b;
    for (uint32_t i = 0; b->values && i < b->n_cells; i++) {
        const struct cell *c = &b->cells[i];
        if (c->n == 1 || policy_shown(m->rules, c->column) != POLICY_OWNER)
            continue;
        size_t shown = birth_choose(m->a, b, m->rules, c->column, c->v, c->n);
        cell_spread(m->a, m->rules, c->column, &c->v[shown].value, b->values);
    }
    for (size_t i = first; i < m->out->n; i++) {
        struct conflict *c = &m->out->c[i];
        c->shown = (uint32_t)birth_choose(m->a, b, m->rules, c->column, c->v, c->n);
    }
}

static void merge_written(struct merging *m)
{
    const struct change *ch = m->ch;
    size_t first = m->out->n;
    enum birth_touch touch = ch->kind == CHANGE_DELETE ? TOUCH_DELETED : TOUCH_CHANGED;
    if (!dot_is_none(m->b->name) && m->b->touched < touch)
        m->b->touched = touch;
    if (m->b->values) /* they may be borrowed, and be another's */
        m->b->values = arena_copy(m->a, m->b->values, m->rules->n_columns * sizeof *m->b->values);
    for (uint32_t i = 0; i < ch->n_cells; i++)
        if (ch->column[i] < m->rules->n_columns)
            merge_column(m, i);
    merge_cell(m, COLUMN_EXISTS, value_integer(ch->kind != CHANGE_DELETE));
    if (m->rules->scope)
        choose_again(m, first);
}

/* Until the holds are decided anew, a birth that came (back) to life beside another is held: at
 * most one stands in the table, and only its values may be left out of the record. `rivals`: of
 * before; a twin that is named becomes one. */
static void settle_held(struct merging *m, bool was_alive, uint32_t rivals)
{
    bool alive = birth_alive(m->b, m->rules);
    if (!alive)
        m->b->held = HOLD_NONE;
    else if (!was_alive && count_alive(m->r, m->rules) > 1)
        m->b->held = HOLD_BIRTH;
    if (m->r->n_births < 2)
        return;
    uint32_t now = count_rivals(m->a, m->r, m->rules);
    if (now > rivals && now > 1)
        report_births(m->a, m->r, m->rules, m->out);
}

static bool is_merged(struct arena *a, const struct birth *b, const struct table_rules *rules,
                      const struct change *ch)
{
    uint32_t n;
    const struct version *v = birth_cell(a, b, rules, COLUMN_EXISTS, &n);
    for (uint32_t i = 0; i < n; i++)
        if (dot_equal(v[i].dot, ch->dot))
            return true;
    return false;
}

/* Every deletion of it, and nothing but deletions, was seen by the writer. */
static bool seen_dead(struct arena *a, const struct birth *b, const struct table_rules *rules,
                      const struct clock *context)
{
    uint32_t n;
    const struct version *v = birth_cell(a, b, rules, COLUMN_EXISTS, &n);
    for (uint32_t i = 0; i < n; i++)
        if (v[i].value.u.i != 0 || !clock_covers(context, v[i].dot))
            return false;
    return true;
}

struct birth *merge_target(struct arena *a, struct row *r, const struct table_rules *rules,
                           const struct change *ch, const struct forget *forget)
{
    struct merging m = {.a = a, .r = r, .rules = rules, .ch = ch};
    struct birth *b = ch->kind == CHANGE_BORN ? NULL : find_identity(&m, forget);
    return b && !is_merged(a, b, rules, ch) ? b : NULL;
}

struct merge_result merge_change(struct arena *a, struct row *r, const struct table_rules *rules,
                                 const struct change *ch, const struct forget *forget,
                                 struct conflict_list *out)
{
    struct merging m = {.a = a, .r = r, .rules = rules, .ch = ch, .out = out};
    struct merge_result res = {.siblings = row_has_siblings(r)};
    bool born = ch->kind == CHANGE_BORN;
    m.b = born ? row_find_birth(r, ch->dot) : find_identity(&m, forget);
    res.orphan = !born && !m.b;
    res.applied = born ? !m.b : m.b && !is_merged(a, m.b, rules, ch);
    res.late = res.applied && !born && seen_dead(a, m.b, rules, ch->context);
    if (res.applied) {
        bool was_alive = m.b && birth_alive(m.b, rules);
        uint32_t rivals = r->n_births ? count_rivals(a, r, rules) : 0;
        if (born)
            merge_born(&m);
        else
            merge_written(&m);
        merge_references(&m);
        settle_held(&m, was_alive, rivals);
        res.siblings |= row_has_siblings(r);
    }
    res.birth = m.b;
    return res;
}

static bool values_differ(const struct cell *c)
{
    for (uint32_t i = 1; i < c->n; i++)
        if (!value_alike(&c->v[i].value, &c->v[0].value))
            return true;
    return false;
}

static bool is_open(const struct birth *b, const struct table_rules *rules, const struct cell *c)
{
    if (c->column != COLUMN_EXISTS) {
        enum policy p = policy_of(rules, c->column);
        if (p == POLICY_LATEST || p == POLICY_SUM || !birth_alive(b, rules))
            return false;
    }
    return values_differ(c);
}

static bool has_same_sides(const struct conflict *x, const struct conflict *y)
{
    bool same = x->column == y->column && x->n == y->n;
    for (uint32_t i = 0; same && i < x->n; i++)
        same = dot_equal(x->v[i].dot, y->v[i].dot);
    return same;
}

/* How many there are, and which this is: the same at every office, whatever names it has forgotten.
 */
static void tell_apart(struct conflict *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t alike = 0, before = 0;
        for (size_t j = 0; j < n; j++) {
            alike += has_same_sides(&c[i], &c[j]);
            before += j <= i && has_same_sides(&c[i], &c[j]);
        }
        if (alike > 1)
            c[i].apart = (struct dot){alike, before};
    }
}

void row_open_conflicts(struct arena *a, const struct row *r, const struct table_rules *rules,
                        struct conflict_list *out)
{
    size_t first = out->n;
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        for (uint32_t j = 0; j < b->n_cells; j++) {
            const struct cell *c = &b->cells[j];
            if (is_open(b, rules, c))
                report_cell(a, out, b, rules, c->column, c->v, c->n);
        }
    }
    if (r->n_births > 1)
        tell_apart(out->c + first, out->n - first);
    report_births(a, r, rules, out);
}

/* Every part is fed with its length. */
static unsigned __int128 feed_u64(unsigned __int128 h, uint64_t v)
{
    uint8_t byte[8];
    for (int i = 0; i < 8; i++)
        byte[i] = (uint8_t)(v >> (56 - 8 * i));
    return bytes_hash_wide(h, byte, sizeof byte);
}

static unsigned __int128 feed_part(unsigned __int128 h, const void *p, size_t n)
{
    return bytes_hash_wide(feed_u64(h, n), p, n);
}

void conflict_id(char out[33], const char *table, const void *key, size_t key_len,
                 const char *column, const struct conflict *c)
{
    unsigned __int128 h = VALUE_HASH_WIDE_SEED;
    h = feed_part(h, table, strlen(table));
    h = feed_part(h, key, key_len);
    h = feed_part(h, column, strlen(column));
    h = feed_u64(h, c->n);
    uint32_t earliest = 0;
    for (uint32_t i = 1; i < c->n; i++)
        if (version_order(&c->v[i], &c->v[earliest]) < 0)
            earliest = i;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->column != COLUMN_BIRTH || i != earliest)
            h = feed_u64(feed_u64(h, c->v[i].dot.site), c->v[i].dot.seq);
    if (!dot_is_none(c->apart))
        h = feed_u64(feed_u64(h, c->apart.site), c->apart.seq);
    for (int i = 0; i < 32; i++)
        out[i] = "0123456789abcdef"[(unsigned)(h >> (124 - 4 * i)) & 15];
    out[32] = 0;
}
