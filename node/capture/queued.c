/* What is queued (todo.c) becomes row changes. The context of a seal has seen everything
 * here, so such a change settles all siblings of its cells. Entries of one birth are one change:
 * of a column the last value, of the kind the last. Sums become the delta against the present
 * total; of a group all members travel, those not named as they are shown.
 *
 *   the application's change   the entry's birth stood before   another birth
 *   none                       a change of its own              a change of its own
 *   UPDATE                     one change; where both name a    a change of its own
 *                              cell, the application's value;
 *                              a queued DELETE deletes
 *   DELETE                     nothing: the row is gone         a change of its own
 *   BORN                       (none stood)                     a change of its own
 *
 * A queued birth waits for the next seal where its key is born in this one: two births of one
 * changeset would have one name. */
#include "node/capture/collect.h"

#include "conflict/twin.h"
#include "node/record/record.h"

#include <string.h>

struct wish {
    enum change_kind kind;
    bool *in; /* n_columns */
    struct value *value;
};

static struct birth *birth_of(const struct row *r, struct dot name)
{
    struct birth *b = row_find_birth(r, name);
    return b ? b : row_find_birth(r, (struct dot){0, 0}); /* the name was forgotten since */
}

/* The entries of a key, of o->todos. */
static size_t entries_of(const struct output *o, struct bytes key, struct todo **first)
{
    size_t from = 0, to = o->n_todos;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (todo_key_compare(o->todos[middle].key, key) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    *first = o->todos + from;
    for (to = from; to < o->n_todos && todo_key_compare(o->todos[to].key, key) == 0;)
        to++;
    return to - from;
}

bool collect_is_queued(const struct output *o, struct bytes key)
{
    struct todo *first;
    return entries_of(o, key, &first) > 0;
}

/* The record; `stands`: a row of it stands (stood, with `now` NULL) in the table. */
static enum err load(struct output *o, struct bytes key, bool stands, const struct value *now,
                     struct row *row, struct birth **standing)
{
    enum err e = row_load(o->s, o->a, (struct row_key){o->t, key.p, key.len}, row, NULL);
    if (e == ERR_OK && stands && row->n_births == 0)
        row_from_settled(o->a, row, now);
    *standing = stands ? row_standing(row, &o->t->rules) : NULL;
    if (e == ERR_OK && *standing && now)
        birth_set_values(o->a, *standing, &o->t->rules, now);
    return e;
}

/* A change has key columns where the birth's own are not known everywhere (load/settle.c). */
static bool is_other_key(struct output *o, const struct todo *x, uint32_t c)
{
    uint32_t i = 0;
    while (i < o->t->n_key && o->t->key[i] != x->column[c])
        i++;
    if (i == o->t->n_key)
        return false;
    struct value *key = arena_alloc(o->a, o->t->n_key * sizeof *key);
    return key_decode(x->key.p, x->key.len, key, o->t->n_key) != ERR_OK ||
           !value_equal(&key[i], &x->value[c]);
}

/* Takes what is queued for one birth. False: nothing. */
static bool take(struct output *o, const struct row *row, const struct birth *b, struct todo *x,
                 size_t n, struct wish *out)
{
    uint32_t columns = o->t->n_columns;
    bool any = false;
    *out = (struct wish){.in = arena_alloc(o->a, columns * sizeof *out->in),
                         .value = arena_alloc(o->a, columns * sizeof *out->value)};
    for (size_t i = 0; i < n; i++) {
        if (x[i].taken || x[i].kind == CHANGE_BORN || birth_of(row, x[i].birth) != b)
            continue;
        x[i].taken = any = true;
        out->kind = x[i].kind;
        for (uint32_t c = 0; x[i].kind == CHANGE_UPDATE && c < x[i].n_cells; c++) {
            uint32_t column = x[i].column[c];
            if (column >= columns || is_other_key(o, &x[i], c))
                continue;
            out->in[column] = true;
            out->value[column] = x[i].value[c];
        }
    }
    return any;
}

/* The wish's values as they travel: sums as deltas, groups whole. */
static void complete(struct output *o, const struct birth *b, struct wish *w)
{
    const struct table_schema *t = o->t;
    const struct value *shown = birth_shown(o->a, b, &t->rules);
    for (uint32_t i = 0; i < t->n_columns; i++) {
        const struct cell_group *g =
            w->in[i] ? cell_group_of(&t->rules, cell_of(&t->rules, i)) : NULL;
        for (uint32_t k = 0; g && k < g->n; k++) {
            uint32_t member = g->column[k];
            if (!w->in[member])
                w->value[member] = shown[member];
            w->in[member] = true;
        }
        if (w->in[i] && t->policy[i] == POLICY_SUM)
            w->value[i] = collect_delta(o->a, &shown[i], &w->value[i]);
    }
}

/* Adds the wish's cells that r has not; both have groups whole. */
static void add_cells(struct output *o, const struct wish *w, struct row_change *r)
{
    uint32_t n = o->t->n_columns, at = 0, k = 0;
    uint32_t *column = arena_alloc(o->a, n * sizeof *column);
    struct value *value = arena_alloc(o->a, n * sizeof *value);
    for (uint32_t i = 0; i < n; i++) {
        bool has = at < r->n_cells && r->column[at] == i;
        if (!has && !w->in[i])
            continue;
        column[k] = i;
        value[k++] = has ? r->value[at++] : w->value[i];
    }
    r->n_cells = k;
    r->column = column;
    r->value = value;
}

enum err collect_join(struct output *o, struct bytes key, struct value *now, struct row_change *r,
                      bool *joined)
{
    struct todo *x;
    size_t n = entries_of(o, key, &x);
    struct row row;
    struct birth *standing;
    struct wish w;
    enum err e = n ? load(o, key, true, now, &row, &standing) : ERR_OK;
    if (e != ERR_OK || !n || !standing || !take(o, &row, standing, x, n, &w))
        return e;
    if (r->kind == CHANGE_DELETE)
        return ERR_OK;
    complete(o, standing, &w);
    if (w.kind == CHANGE_DELETE)
        r->kind = CHANGE_DELETE;
    else
        add_cells(o, &w, r);
    r->birth = standing->name;
    *joined = true;
    return ERR_OK;
}

enum err collect_twins(struct output *o, struct bytes key, const struct row_change *r)
{
    struct todo *x;
    size_t n = entries_of(o, key, &x);
    struct row row;
    struct birth *standing;
    enum err e = load(o, key, true, NULL, &row, &standing);
    const struct birth **twin_of = NULL;
    if (e == ERR_OK)
        twin_of = row_twins(o->a, &row, &o->t->rules);
    for (uint32_t i = 0; twin_of && i < row.n_births; i++) {
        if (!standing || twin_of[i] != standing)
            continue;
        struct row_change gone = {
            .kind = CHANGE_DELETE, .key = r->key, .birth = row.births[i].name};
        for (size_t k = 0; k < n; k++)
            x[k].taken |= x[k].kind != CHANGE_BORN && birth_of(&row, x[k].birth) == &row.births[i];
        uint64_t bytes;
        bool *left;
        const char *why;
        if (collect_fit(o, &gone, &bytes, &left, &why))
            collect_row(o, &gone, (struct collected_row){.decision = true}, bytes);
    }
    return e;
}

/* ---- changes of their own */

static void put(struct output *o, struct row_change *r, const struct wish *w,
                const struct value *sums)
{
    uint64_t bytes;
    bool *left; /* todo_put has seen to it that what was queued can be sent */
    const char *why;
    add_cells(o, w, r);
    if (collect_fit(o, r, &bytes, &left, &why))
        collect_row(o, r, (struct collected_row){.sums = sums, .decision = true}, bytes);
}

/* What is queued for all births of one key; *now: its row, which is theirs when `stands`. */
struct queued {
    struct bytes key;
    const struct value *values; /* of the key */
    struct todo *x;
    size_t n;
    const struct value *now;
    bool stands;
    bool born; /* its key is born in this changeset */
};

static void put_born(struct output *o, struct queued *q, struct todo *x)
{
    struct row_change r = {.kind = CHANGE_BORN, .key = q->values};
    struct wish w = {.in = arena_alloc(o->a, o->t->n_columns * sizeof *w.in),
                     .value = arena_alloc(o->a, o->t->n_columns * sizeof *w.value)};
    memset(w.in, true, o->t->n_columns * sizeof *w.in);
    for (uint32_t c = 0; c < x->n_cells; c++) {
        if (x->column[c] < o->t->n_columns)
            w.value[x->column[c]] = x->value[c];
    }
    q->born = x->taken = true;
    put(o, &r, &w, NULL);
}

static enum err put_key(struct output *o, struct queued *q, bool *waits)
{
    struct row row;
    struct birth *standing;
    enum err e = load(o, q->key, q->stands, q->now, &row, &standing);
    for (size_t i = 0; e == ERR_OK && i < q->n; i++) {
        struct todo *x = &q->x[i];
        struct wish w;
        if (x->taken)
            continue;
        if (x->kind == CHANGE_BORN) {
            *waits = *waits || q->born;
            if (!q->born)
                put_born(o, q, x);
            continue;
        }
        const struct birth *b = birth_of(&row, x->birth);
        x->taken = !b || birth_gone(b); /* meanwhile, in a seal that was cut */
        if (x->taken || !take(o, &row, b, q->x, q->n, &w))
            continue;
        if (w.kind == CHANGE_UPDATE)
            complete(o, b, &w);
        else
            memset(w.in, 0, o->t->n_columns * sizeof *w.in);
        struct row_change r = {.kind = w.kind, .key = q->values, .birth = b->name};
        put(o, &r, &w, o->sums && b == standing ? birth_shown(o->a, b, &o->t->rules) : NULL);
    }
    return e;
}

static enum err read_key(struct output *o, const struct table_work *w, struct queued *q)
{
    struct value *key = arena_alloc(o->a, o->t->n_key * sizeof *key), *now;
    const struct log_entry *entry = collect_entry(w, q->key.p, q->key.len);
    q->key.p = arena_copy(o->a, q->key.p, q->key.len);
    enum err e = key_decode(q->key.p, q->key.len, key, o->t->n_key);
    if (e == ERR_OK)
        e = row_read(o->s, o->a, (struct row_key){o->t, q->key.p, q->key.len}, &now);
    if (e != ERR_OK)
        return e;
    q->values = key;
    q->now = now;
    q->born = entry && entry->born;
    q->stands = now && !q->born;
    return ERR_OK;
}

enum err collect_queued(struct output *o, const struct table_work *w, bool *stopped)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < o->n_todos && !*stopped;) {
        struct queued q = {.key = o->todos[i].key};
        bool waits = false;
        q.n = entries_of(o, q.key, &q.x);
        i += q.n;
        size_t left = 0;
        for (size_t k = 0; k < q.n; k++)
            left += !q.x[k].taken;
        if (left == 0)
            continue;
        *stopped = collect_full(o);
        if (*stopped)
            break;
        e = read_key(o, w, &q);
        if (e == ERR_OK)
            e = put_key(o, &q, &waits);
        *stopped = waits;
    }
    return e;
}
