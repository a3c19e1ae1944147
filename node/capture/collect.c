/* The net effect of the capture logs.
 *
 * First pass over a log, in order: one entry a key, with what its events say of the time before.
 * Second pass: the row as it stands now, and the decision:
 *
 *   existed before   stands now
 *   no               yes          CHANGE_BORN, all columns
 *   no               no           nothing
 *   yes              yes          CHANGE_UPDATE of U and of the columns in which `first` differs
 *                                 from now
 *   yes              no           CHANGE_DELETE; cells: U and the columns in which `last` differs
 *                                 from `first`
 *
 * existed: the first event is not an insert. U: union of the masks of the updates before the first
 * event that carries the whole row (a delete or a candidate; `first`); `last` is the last such
 * event. A column outside U has in `first` the value from before the window, so after `first` no
 * mask is needed.
 *
 * A sum column travels as a delta: what stands now (in `last`) less what stood before the window,
 * which the first event tells that carries the sums or the whole row; without one nothing changed.
 * What is no integer travels as itself. A row that is born carries plain values. When one column of
 * a group changed, all travel.
 *
 * A row whose key became one that cannot be sent is not deleted: it is an UPDATE of what changed
 * before (nokey.c).
 *
 * What an earlier seal left out for its size (limit.c) counts as changed. What is queued for
 * the same row joins the change, and a deleted row takes its twins with it (queued.c).
 *
 * What was entered while capture was away, beside a row of others that cannot stand here, is
 * nobody's yet: what is done to it is not sent (nobodys.c), and a gap that nobody knew of is told.
 *
 * All events of a key are consumed together, or none: a key is never half sealed.
 *
 * Nor is a decision: whoever receives a part of one would show what nobody decided. Where a log is
 * cut before all that is queued has gone, none of it goes, nor a row that it joins, nor the
 * decisions' own rows; when nothing else is left, all of it goes at once, as far as a changeset
 * takes it (LIMIT_ROWS, and the bytes of a seal). What is queued beyond that is cut all the same,
 * and a second birth of a key waits for the next. */
#include "node/capture/collect.h"

#include "node/db/query.h"
#include "node/state/state.h"
#include "protocol/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void collected_free(struct collected *c)
{
    for (uint32_t i = 0; c && i < c->n; i++) {
        mem_free(c->work[i].entries);
        mem_free(c->work[i].events);
        map_fini(&c->work[i].by_key);
    }
    if (c) {
        mem_free(c->work);
        arena_fini(&c->arena);
    }
    mem_free(c);
}

/* ---- the row, now and before ---- */

struct past {
    bool existed;
    struct value *now, *first, *last;
    struct value *sums;       /* of the first event that tells them */
    struct limit limit;       /* what earlier seals left out */
    struct value *total;      /* sum columns before the window; NULL where the table has none */
    const struct value *lost; /* `last`, when it only lost its key here */
    bool named;               /* `birth` is the name of what stands, if it has one */
    struct dot birth;
};

static enum err read_values(struct output *o, struct query q, struct value **out)
{
    *out = query_next(&q) ? query_values(&q, o->a, 0, o->t->n_columns) : NULL;
    return query_end(&q);
}

static enum err read_now(struct output *o, const struct value *key, struct value **out)
{
    return read_values(o, query_of(o->s, o->t->read_sql, o->t->n_key, key), out);
}

static enum err read_full(struct output *o, int64_t rowid, struct value **out)
{
    *out = NULL;
    return rowid ? read_values(o, DB_QUERY(o->s, o->full_sql, value_integer(rowid)), out) : ERR_OK;
}

/* A total is an integer or NULL: what else is in the table was written since the last seal. */
static void fill_totals(struct output *o, struct past *p)
{
    const struct value *then = p->now ? p->now : p->last;
    p->total = arena_alloc(o->a, o->t->n_columns * sizeof *p->total);
    for (uint32_t i = 0; i < o->t->n_columns; i++) {
        if (o->t->policy[i] != POLICY_SUM)
            continue;
        const struct value *v = p->sums ? &p->sums[i] : then ? &then[i] : NULL;
        if (p->limit.left && p->limit.left[i])
            v = &p->limit.total[i];
        if (v && value_is_count(v))
            p->total[i] = *v;
    }
}

/* A row that had lost its key is no other when it has it again. Without it, it stays known. */
static enum err read_lost(struct output *o, struct log_entry *e, struct past *p)
{
    e->limited = !p->now;
    enum err err = p->now ? nokey_found(o, e, &p->first) : ERR_OK;
    p->existed = p->first;
    p->sums = p->first;
    if (o->sums && p->existed)
        fill_totals(o, p);
    return err;
}

static enum err read_past(struct output *o, struct log_entry *e, const struct value *key,
                          struct past *p)
{
    enum err err = read_now(o, key, &p->now);
    if (err == ERR_OK && o->c->any_limits)
        err = limit_read(o->s, o->a, (struct row_key){o->t, e->key, e->key_len}, &p->limit);
    p->existed = e->existed && !p->limit.born;
    if (err == ERR_OK && p->limit.lost && !p->existed)
        return read_lost(o, e, p);
    if (err != ERR_OK || !p->existed)
        return err;
    err = read_full(o, e->first_full, &p->first);
    if (err == ERR_OK && (!p->now || o->most.compared)) /* capture_note_before */
        err = read_full(o, p->now ? e->first_sums : e->last_full, &p->last);
    if (err == ERR_OK && o->sums)
        err = read_full(o, e->first_sums, &p->sums);
    if (err == ERR_OK && o->sums)
        fill_totals(o, p);
    return err;
}

/* ---- the change ---- */

static bool masked(const uint64_t *mask, uint32_t column)
{
    return mask[column / MASK_BITS] >> (column % MASK_BITS) & 1;
}

static bool has_changed(const struct output *o, const struct log_entry *e, const struct past *p,
                        const struct value *then, uint32_t i)
{
    if (p->limit.left && p->limit.left[i])
        return true;
    if (o->sums && o->t->policy[i] == POLICY_SUM)
        return !value_equal(&p->total[i], &then[i]);
    return masked(e->before, i) || (p->first && !value_equal(&p->first[i], &then[i]));
}

static void add_groups(const struct table_schema *t, bool *changed)
{
    for (uint32_t i = 0; t->rules.group && i < t->n_columns; i++) {
        const struct cell_group *g = changed[i] ? t->rules.group[i] : NULL;
        for (uint32_t k = 0; g && k < g->n; k++)
            changed[g->column[k]] = true;
    }
}

/* Cells: the columns that changed, with their values in `then`. */
static void put_cells(struct output *o, struct row_change *r, const struct log_entry *e,
                      const struct past *p)
{
    const struct value *then = p->now ? p->now : p->last;
    uint32_t n = o->t->n_columns;
    uint32_t *column = arena_alloc(o->a, n * sizeof *column);
    struct value *value = arena_alloc(o->a, n * sizeof *value);
    bool changed[LIMIT_COLUMNS];
    for (uint32_t i = 0; i < n; i++)
        changed[i] = then && has_changed(o, e, p, then, i);
    add_groups(o->t, changed);
    for (uint32_t i = 0; i < n; i++) {
        if (!changed[i])
            continue;
        column[r->n_cells] = i;
        value[r->n_cells++] = o->sums && o->t->policy[i] == POLICY_SUM
                                  ? collect_delta(o->a, &p->total[i], &then[i])
                                  : then[i];
    }
    r->column = column;
    r->value = value;
}

/* ---- the rows ---- */

static struct value *copy_row(struct collected *c, const struct value *row, size_t n)
{
    struct value *v = arena_alloc(&c->arena, n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = row[i];
    return v;
}

void collect_limit(struct output *o, struct log_entry *e, const struct limit *from)
{
    struct collected *c = o->c;
    size_t n = o->t->n_columns;
    e->limited = true;
    c->limits = arena_grow(&c->arena, c->limits, c->n_limits, &c->limits_cap, sizeof *c->limits);
    struct limit *l = &c->limits[c->n_limits++];
    *l = *from;
    l->table = (uint32_t)(o->t - o->s->schema->tables);
    l->key = (struct bytes){e->key, e->key_len};
    l->found = e->found;
    l->message = arena_strdup(&c->arena, from->message);
    l->left = from->left ? arena_copy(&c->arena, from->left, n * sizeof *l->left) : NULL;
    l->total = arena_alloc(&c->arena, n * sizeof *l->total);
    for (size_t i = 0; from->total && i < n; i++)
        l->total[i] = from->total[i];
    l->row = from->row ? copy_row(c, from->row, n) : NULL;
}

static void put_row(struct output *o, struct log_entry *e, struct row_change *r,
                    struct collected_row beside, const struct past *p)
{
    uint64_t bytes;
    bool *left;
    const char *why;
    bool fits = collect_fit(o, r, &bytes, &left, &why);
    struct limit l = {.left = left, .total = p->total, .message = why, .row = p->lost};
    l.born = !fits;
    if (l.row)
        nokey_lost(o, e, &l);
    else if (!fits || (left && r->kind == CHANGE_UPDATE))
        collect_limit(o, e, &l);
    if (!fits || (left && r->kind == CHANGE_UPDATE && r->n_cells == 0 && !beside.decision))
        return;
    e->born = r->kind == CHANGE_BORN;
    collect_row(o, r, beside, bytes);
}

static enum err long_key(struct output *o, struct log_entry *e, const struct value *key)
{
    struct past p = {0};
    struct buf b = {0};
    enum err err = read_now(o, key, &p.now);
    if (err != ERR_OK || !p.now)
        return err;
    buf_printf(&b, "the key has %u bytes, a key can have %u: the row stands only here", e->key_len,
               LIMIT_KEY_BYTES);
    collect_limit(o, e, &(struct limit){.born = true, .message = buf_str(&b)});
    buf_fini(&b);
    return ERR_OK;
}

static enum err is_nobodys(struct output *o, struct bytes key, struct past *p, bool *yes)
{
    *yes = false;
    if (!p->existed || p->limit.lost)
        return ERR_OK;
    enum err e = nobodys_row(o, key, &p->birth, yes);
    p->named = e == ERR_OK;
    return e;
}

static enum err decide(struct output *o, struct log_entry *e)
{
    struct value *key = arena_alloc(o->a, o->t->n_key * sizeof *key);
    const uint8_t *bytes = arena_copy(o->a, e->key, e->key_len);
    struct past p = {0};
    enum err err = key_decode(bytes, e->key_len, key, o->t->n_key);
    if (err == ERR_OK && e->no_key)
        return nokey_note(o, e, key);
    if (err == ERR_OK && e->key_len > LIMIT_KEY_BYTES)
        return long_key(o, e, key);
    if (err == ERR_OK)
        err = read_past(o, e, key, &p);
    bool lost = false, nobodys = false;
    if (err == ERR_OK)
        err = is_nobodys(o, (struct bytes){bytes, e->key_len}, &p, &nobodys);
    e->entered = nobodys && !p.now;
    if (err != ERR_OK || (!p.existed && !p.now) || nobodys)
        return err;
    if (!p.now && e->moved)
        err = nokey_moved(o, e, &lost);
    if (err != ERR_OK)
        return err;
    p.lost = lost ? p.last : NULL;
    struct row_change r = {.kind = !p.existed      ? CHANGE_BORN
                                   : p.now || lost ? CHANGE_UPDATE
                                                   : CHANGE_DELETE,
                           .birth = p.birth,
                           .key = key};
    if (r.kind == CHANGE_BORN) {
        r.n_cells = o->t->n_columns;
        r.column = o->all;
        r.value = p.now;
    } else {
        put_cells(o, &r, e, &p);
    }
    if (r.kind == CHANGE_UPDATE && r.n_cells == 0) {
        if (lost)
            nokey_lost(o, e, &(struct limit){.row = p.lost});
        return ERR_OK;
    }
    struct collected_row beside = {.old = p.last, .sums = p.total, .named = p.named};
    if (o->n_todos && r.kind != CHANGE_BORN && !lost)
        err = collect_join(o, (struct bytes){bytes, e->key_len}, p.now, &r, &beside.decision);
    if (err == ERR_OK)
        put_row(o, e, &r, beside, &p);
    if (err == ERR_OK && r.kind == CHANGE_DELETE && !beside.decision && o->births)
        err = collect_twins(o, (struct bytes){bytes, e->key_len}, &r);
    return err;
}

static char *full_sql(struct arena *a, const struct table_schema *t)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < t->n_columns; i++)
        buf_printf(&b, "%s%s", i ? "," : "SELECT ",
                   capture_name(a, schema_is_key(t, i) ? "k_" : "o_", t->column[i]));
    buf_printf(&b, " FROM main.tonle_log_%u WHERE rowid = ?1", t->t);
    return sql_take(a, &b);
}

static void describe_table(struct output *o, const struct table_schema *t,
                           struct table_changes *out)
{
    *out = (struct table_changes){.table = arena_strdup(o->a, t->name),
                                  .n_columns = t->n_columns,
                                  .n_key = t->n_key,
                                  .key = arena_copy(o->a, t->key, t->n_key * sizeof *t->key)};
    out->columns = arena_alloc(o->a, t->n_columns * sizeof *out->columns);
    for (uint32_t i = 0; i < t->n_columns; i++)
        out->columns[i] = arena_strdup(o->a, t->column[i]);
}

static void find_todos(struct output *o, uint32_t table)
{
    struct todo_list *l = &o->c->todo;
    size_t from = 0;
    while (from < l->n && l->entry[from].table < table)
        from++;
    o->todos = l->entry ? l->entry + from : NULL;
    o->n_todos = 0;
    while (from + o->n_todos < l->n && o->todos[o->n_todos].table == table)
        o->n_todos++;
}

/* Decides the entries of one log until a limit, then what else is queued for its table; *stopped
 * when some are left. */
static enum err emit_table(struct output *o, struct table_work *w, bool *stopped)
{
    enum err e = nobodys_possible(o);
    o->work = w;
    o->full_sql = full_sql(o->a, o->t);
    o->sums = capture_sums(o->t);
    o->all = arena_alloc(o->a, o->t->n_columns * sizeof *o->all);
    for (uint32_t i = 0; i < o->t->n_columns; i++)
        o->all[i] = i;
    o->row = NULL;
    o->beside = NULL;
    o->rows_cap = o->beside_cap = 0;
    for (uint32_t i = 0; e == ERR_OK && i < w->n_entries && !*stopped; i++) {
        struct log_entry *entry = &w->entries[i];
        if (o->leave_queued && entry->existed &&
            collect_is_queued(o, (struct bytes){entry->key, entry->key_len}))
            continue;
        *stopped = collect_full(o);
        if (*stopped)
            break;
        e = decide(o, entry);
        w->entries[i].taken = e == ERR_OK;
    }
    *stopped = *stopped || w->left;
    if (e == ERR_OK && !*stopped && o->n_todos && !o->leave_queued)
        e = collect_queued(o, w, stopped);
    uint32_t n = o->table->n_rows;
    o->table->rows = arena_copy(o->a, o->row, n * sizeof *o->row);
    o->c->tables[o->c->n_tables] =
        (struct collected_table){n, arena_copy(o->a, o->beside, n * sizeof *o->beside)};
    mem_free(o->row);
    mem_free(o->beside);
    return e;
}

/* ---- the call ---- */

struct order {
    uint32_t depth, table;
};

static int order_compare(const void *x, const void *y)
{
    const struct order *a = x, *b = y;
    if (a->depth != b->depth)
        return a->depth < b->depth ? -1 : 1;
    return a->table < b->table ? -1 : a->table > b->table;
}

/* The published tables with a log, parents first. */
static uint32_t parents_first(struct store *s, const struct capture *st, struct order *order)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->schema->n_tables; i++) {
        if (st->has_log[i])
            order[n++] = (struct order){s->schema->tables[i].depth, i};
    }
    qsort(order, n, sizeof *order, order_compare);
    return n;
}

static enum err collect_tables(struct output *o, const struct order *order, uint32_t n,
                               struct segment *segment, bool *stopped)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < n && !*stopped; i++) {
        if (o->leave_queued &&
            strcmp(o->s->schema->tables[order[i].table].name, "tonle_decision") == 0)
            continue;
        assert(o->c->n < o->s->schema->n_tables);
        struct table_work *w = &o->c->work[o->c->n++];
        *w = (struct table_work){.table = order[i].table};
        /* one key more than can be sent, so that a full house is told from a cut; twins of a row
         * go with it, and may be more than was room for */
        e = collect_scan(o->s, o->c, w, collect_full(o) ? 1 : o->most.rows - o->rows + 1);
        find_todos(o, w->table);
        if (e != ERR_OK || (w->n_entries == 0 && o->n_todos == 0))
            continue;
        o->t = &o->s->schema->tables[w->table];
        o->table = &segment->tables[segment->n_tables];
        describe_table(o, o->t, o->table);
        e = emit_table(o, w, stopped);
        if (o->table->n_rows > 0) {
            segment->n_tables++;
            o->c->n_tables++;
        }
    }
    return e;
}

/* An index made in this transaction changes the schema version; what is remembered of it is not
 * trusted before the commit. */
static enum err index_big_logs(struct store *s, struct capture *st)
{
    bool any = false;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        bool made = false;
        if (st->has_log[i])
            e = collect_index_big(s, &s->schema->tables[i], &made);
        any = any || made;
    }
    if (e != ERR_OK || !any)
        return e;
    e = capture_logs(s, &st);
    st->installed = schema_cookie(s);
    st->installed_rev = state_version(s);
    return e;
}

/* What was queued for a table that is not here any more changes nothing. */
static void drop_homeless(const struct store *s, const struct capture *st, struct todo_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        uint32_t table = l->entry[i].table;
        l->entry[i].taken = table >= s->schema->n_tables || !st->has_log[table];
    }
}

/* Reads what stands beside the logs, then the logs. */
static enum err collect(struct output *o, struct capture *st, struct changeset *cs)
{
    struct store *s = o->s;
    struct collected *c = o->c;
    enum err e = index_big_logs(s, st);
    if (e == ERR_OK)
        e = limit_any(s, &c->any_limits);
    if (e == ERR_OK)
        e = todo_read(s, &c->arena, o->most.apart ? o->most.rows : LIMIT_ROWS, &c->todo);
    if (e != ERR_OK)
        return e;
    drop_homeless(s, st, &c->todo);
    struct order *order = arena_alloc(o->a, s->schema->n_tables * sizeof *order);
    uint32_t n = parents_first(s, st, order);
    struct segment *segment = arena_alloc(o->a, sizeof *segment);
    segment->scope = "";
    segment->tables = arena_alloc(o->a, n * sizeof *segment->tables);
    cs->n_segments = 1;
    cs->segments = segment;
    e = collect_tables(o, order, n, segment, &cs->cut);
    cs->cut = cs->cut || c->todo.more || o->leave_queued;
    return e;
}

/* Some of what is queued goes, or its decision's row, and some is left. A decision's row is never
 * what is left alone: tonle_decision has no parents and comes before every table of the charter
 * (schema_internal, parents_first), and nothing is queued for the hub's own before it. Where the
 * cut is at or before it, all that is queued is left. */
static bool comes_apart(const struct output *o, const struct changeset *cs)
{
    const struct todo_list *l = &o->c->todo;
    bool left = l->more;
    for (size_t i = 0; i < l->n && !left; i++)
        left = !l->entry[i].taken;
    return cs->cut && left && !o->most.apart;
}

/* A collection writes nothing: another one may follow. */
static enum err attempt(struct output *o, struct changeset *cs)
{
    struct capture *st;
    struct store *s = o->s;
    cs->cut = false;
    o->bytes = o->rows = 0;
    enum err e = capture_logs(s, &st);
    if (e != ERR_OK)
        return e;
    o->c = mem_alloc(sizeof *o->c);
    o->c->work = mem_alloc(s->schema->n_tables * sizeof *o->c->work);
    o->c->tables = arena_alloc(o->a, s->schema->n_tables * sizeof *o->c->tables);
    return collect(o, st, cs);
}

static enum err again(struct output *o, struct changeset *cs, bool leave_queued)
{
    collected_free(o->c);
    o->c = NULL;
    o->leave_queued = leave_queued;
    if (!leave_queued)
        o->most.rows = LIMIT_ROWS;
    return attempt(o, cs);
}

enum err store_collect(struct store *s, struct arena *a, struct collect_most most,
                       struct changeset *cs, struct collected **out)
{
    struct output o = {.s = s, .a = a, .most = most};
    assert(s->in_write);
    *out = NULL;
    enum err e = attempt(&o, cs);
    if (e == ERR_OK && comes_apart(&o, cs)) {
        e = again(&o, cs, true);
        if (e == ERR_OK && o.rows == 0)
            e = again(&o, cs, false);
    }
    if (e != ERR_OK) {
        collected_free(o.c);
        return e;
    }
    assert(cs->segments->n_tables == o.c->n_tables); /* one by one beside each other */
    *out = o.c;
    return o.rows ? ERR_OK : ERR_NOT_FOUND;
}

bool collect_left_nobodys(struct store *s, const struct collected *c, const char *table)
{
    for (uint32_t i = 0; i < c->n; i++) {
        const char *name = s->schema->tables[c->work[i].table].name;
        if (c->work[i].nobodys && (!table || strcmp(name, table) == 0))
            return true;
    }
    return false;
}

static const struct collected_row *known_of(const struct collected *c, uint32_t table, uint32_t row)
{
    static const struct collected_row none = {0};
    if (!c || table >= c->n_tables || row >= c->tables[table].n_rows)
        return &none;
    return &c->tables[table].row[row];
}

const struct value *collect_old_values(const struct collected *c, uint32_t table, uint32_t row)
{
    return known_of(c, table, row)->old;
}

const struct value *collect_old_sums(const struct collected *c, uint32_t table, uint32_t row)
{
    return known_of(c, table, row)->sums;
}

bool collect_is_decision(const struct collected *c, uint32_t table, uint32_t row)
{
    return known_of(c, table, row)->decision;
}

bool collect_is_named(const struct collected *c, uint32_t table, uint32_t row)
{
    const struct collected_row *r = known_of(c, table, row);
    return r->named || r->decision;
}
