/* Every known write to one row: the changesets of the journal whose filter says that they may have
 * touched it (journal/touch.c), decoded one at a time. Each is its own short read, so that even a
 * long history keeps nobody from committing. */
#include "node/desk/history.h"

#include "conflict/hlc.h"
#include "node/apply/ruling.h"
#include "node/db/query.h"
#include "node/desk/review.h"
#include "node/journal/open.h"
#include "node/record/record.h"

#include <stdlib.h>
#include <string.h>

/* ---- decisions: rows of tonle_decision about this row ---- */

static const char *const decision_columns[] = {"id",     "conflict",   "choice", "operator",
                                               "reason", "table_name", "key"};
enum { D_ID, D_CONFLICT, D_CHOICE, D_BY, D_REASON, D_TABLE, D_KEY, D_COLUMNS };

static const char *text_of(struct arena *a, const struct value *v)
{
    if (!v || v->type != VALUE_TEXT)
        return "";
    char *text = arena_alloc(a, v->len + 1);
    if (v->len > 0)
        memcpy(text, v->u.p, v->len);
    return text;
}

/* Its office and its time are the changeset's, as where it was applied (apply/ruling.h). */
static struct decision_record decision_from(struct arena *a, const struct value *const *v,
                                            const struct history_entry *x)
{
    return (struct decision_record){.id = text_of(a, v[D_ID]),
                                    .conflict = text_of(a, v[D_CONFLICT]),
                                    .choice = text_of(a, v[D_CHOICE]),
                                    .by = text_of(a, v[D_BY]),
                                    .office = x->office,
                                    .reason = text_of(a, v[D_REASON]),
                                    .at_ms = hlc_ms(x->hlc)};
}

static bool is_text(const struct value *v, const char *text)
{
    return v && v->type == VALUE_TEXT && v->len == strlen(text) &&
           memcmp(v->u.p, text, v->len) == 0;
}

/* The decisions about this row that a changeset carries. */
static void decisions_in(const struct row_writes *h, const struct changeset *cs,
                         struct history_entry *x)
{
    const char *key_json = schema_key_json(h->a, h->t, h->key.p, h->key.len);
    size_t cap = 0;
    for (uint32_t g = 0; g < cs->n_segments; g++)
        for (uint32_t i = 0; i < cs->segments[g].n_tables; i++) {
            const struct table_changes *t = &cs->segments[g].tables[i];
            for (uint32_t j = 0; strcmp(t->table, "tonle_decision") == 0 && j < t->n_rows; j++) {
                const struct value *v[D_COLUMNS] = {0};
                for (uint32_t c = 0; c < t->rows[j].n_cells; c++)
                    for (int d = 0; d < D_COLUMNS; d++)
                        if (strcmp(t->columns[t->rows[j].column[c]], decision_columns[d]) == 0)
                            v[d] = &t->rows[j].value[c];
                if (!is_text(v[D_TABLE], h->t->name) || !is_text(v[D_KEY], key_json))
                    continue;
                x->decisions =
                    arena_grow(h->a, x->decisions, x->n_decisions, &cap, sizeof *x->decisions);
                x->decisions[x->n_decisions++] = decision_from(h->a, v, x);
            }
        }
}

/* ---- the writes ---- */

static const char *group_name(const struct table_schema *t, uint32_t column)
{
    const struct cell_group *g =
        column == UINT32_MAX ? NULL : cell_group_of(&t->rules, cell_of(&t->rules, column));
    return g ? g->name : NULL;
}

struct opened { /* a changeset of the journal */
    struct changeset cs;
    const struct site_record *site;
    bool decides;
    struct ruling ruling;
};

static void add_write(struct row_writes *h, const struct opened *o, const struct row_change *rc,
                      const struct table_changes *tc)
{
    const struct changeset *cs = &o->cs;
    const struct site_record *site = o->site;
    struct row_write w = {.x = {.office = arena_strdup(h->a, site->node),
                                .unit = arena_strdup(h->a, site->unit),
                                .dot = cs->dot,
                                .hlc = cs->hlc,
                                .kind = rc->kind,
                                .birth = rc->birth,
                                .n_cells = rc->n_cells}};
    w.context = (struct clock){
        .entry = arena_copy(h->a, cs->context.entry, cs->context.n * sizeof *w.context.entry),
        .n = cs->context.n};
    w.x.columns = arena_alloc(h->a, (rc->n_cells + 1) * sizeof *w.x.columns);
    w.x.groups = arena_alloc(h->a, (rc->n_cells + 1) * sizeof *w.x.groups);
    w.x.values = arena_alloc(h->a, (rc->n_cells + 1) * sizeof *w.x.values);
    uint32_t *column = arena_alloc(h->a, (rc->n_cells + 1) * sizeof *column);
    for (uint32_t i = 0; i < rc->n_cells; i++) {
        w.x.columns[i] = arena_strdup(h->a, tc->columns[rc->column[i]]);
        w.x.values[i] = value_copy(h->a, &rc->value[i]);
        column[i] = schema_column(h->t, w.x.columns[i]);
        const char *group = group_name(h->t, column[i]);
        w.x.groups[i] = group ? arena_strdup(h->a, group) : NULL;
    }
    w.column = column;
    decisions_in(h, cs, &w.x);
    const char *why = o->decides ? ruling_refuses(&o->ruling, tc, rc) : NULL;
    w.x.refused = why ? arena_strdup(h->a, why) : NULL;
    h->w = mem_grow(h->w, h->n, &h->cap, sizeof *h->w);
    h->w[h->n++] = w;
}

static int by_time(const void *x, const void *y)
{
    const struct row_write *p = x, *q = y;
    if (p->x.hlc != q->x.hlc)
        return p->x.hlc < q->x.hlc ? -1 : 1;
    return dot_compare(p->x.dot, q->x.dot);
}

static enum err scan(struct row_writes *h, const uint64_t *pos, size_t n)
{
    struct arena scratch = {0};
    struct opener opener = {0};
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        struct item item;
        struct opened o = {.site = &opener.record};
        arena_reset(&scratch);
        e = part_item_at(h->s, &scratch, pos[i], &item);
        if (e == ERR_NOT_FOUND) { /* gone since the filters were read */
            e = ERR_OK;
            continue;
        }
        if (e == ERR_OK)
            e = part_open(h->s, &opener, &scratch, &item, &o.cs);
        o.decides = e == ERR_OK && ruling_needed(&o.cs);
        if (o.decides)
            e = ruling_begin(h->s, &scratch, &o.cs, &o.ruling);
        if (e != ERR_OK)
            break;
        struct change_place at = {0};
        const struct table_changes *tc;
        const struct row_change *rc;
        while ((rc = part_next_change(&o.cs, h->t->name, h->key, &at, &tc)))
            add_write(h, &o, rc, tc);
    }
    arena_fini(&scratch);
    part_opener_fini(&opener);
    if (h->n > 0)
        qsort(h->w, h->n, sizeof *h->w, by_time);
    return e;
}

/* What the policy owner looks at: the row's scope as it stands, or as it was written last. */
static struct value scope_of(const struct row_writes *h, const struct value *row)
{
    uint32_t scope = h->t->rules.scope;
    if (scope == 0)
        return value_null();
    if (row)
        return row[scope - 1];
    for (size_t i = h->n; i > 0; i--)
        for (uint32_t c = 0; c < h->w[i - 1].x.n_cells; c++)
            if (h->w[i - 1].column[c] == scope - 1)
                return h->w[i - 1].x.values[c];
    return value_null();
}

/* What counts nowhere was seen by nobody, and meets nothing. */
static void relate_counted(struct row_writes *h, struct value scope)
{
    struct row_write *refused = arena_alloc(h->a, (h->n + 1) * sizeof *refused);
    size_t all = h->n, n = 0;
    h->n = 0;
    for (size_t i = 0; i < all; i++) {
        if (h->w[i].x.refused)
            refused[n++] = h->w[i];
        else
            h->w[h->n++] = h->w[i];
    }
    history_relate(h, scope);
    if (n > 0)
        memcpy(h->w + h->n, refused, n * sizeof *refused);
    h->n = all;
    if (n > 0)
        qsort(h->w, h->n, sizeof *h->w, by_time);
}

/* Whether every identity that was written to was also born in these writes. */
static bool has_births(const struct row_writes *h)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct history_entry *x = &h->w[i].x;
        bool born = x->kind == CHANGE_BORN;
        for (size_t j = 0; !born && j < h->n; j++)
            born = h->w[j].x.kind == CHANGE_BORN &&
                   (dot_is_none(x->birth) ? clock_covers(&h->w[i].context, h->w[j].x.dot)
                                          : dot_equal(x->birth, h->w[j].x.dot));
        if (!born)
            return false;
    }
    return true;
}

static enum err tell(struct row_writes *h, struct history *out)
{
    struct value *row = NULL;
    struct row_key k = {h->t, h->key.p, h->key.len};
    enum err e = h->t->exists ? row_read(h->s, h->a, k, &row) : ERR_OK;
    if (e != ERR_OK)
        return e;
    relate_counted(h, scope_of(h, row));
    out->older = !has_births(h) || (h->n == 0 && row);
    out->entry = arena_alloc(h->a, (h->n + 1) * sizeof *out->entry);
    for (size_t i = 0; i < h->n; i++)
        out->entry[i] = h->w[i].x;
    out->n = h->n;
    const struct subject about = {.table = h->t->name,
                                  .key_json = schema_key_json(h->a, h->t, k.key, k.len)};
    return decisions_about(h->s, h->a, &about, &out->decisions, &out->n_decisions);
}

static enum err count_changesets(struct store *s, uint64_t *n)
{
    struct query q = DB_QUERY(s, "SELECT count(*) FROM tonle_journal WHERE kind = 1");
    *n = query_next(&q) ? query_u64(&q, 0) : 0;
    return query_end(&q);
}

enum err store_history(struct store *s, struct arena *a, const char *table, const char *key_json,
                       struct history *out)
{
    *out = (struct history){0};
    enum err e = schema_load(s);
    const struct table_schema *t = e == ERR_OK ? schema_table(s, table) : NULL;
    if (e == ERR_OK && !t)
        return store_fail(s, ERR_NOT_FOUND, "table %.64s is not in the charter", table);
    struct buf key = {0};
    uint64_t *pos = NULL;
    size_t n = 0;
    if (e == ERR_OK)
        e = schema_key_parse(s, a, t, key_json, &key);
    struct row_writes h = {.s = s, .a = a, .t = t, .key = {key.data, key.len}};
    if (e == ERR_OK)
        e = touch_find(s, a, t->name, h.key, &pos, &n);
    if (e == ERR_OK)
        e = scan(&h, pos, n);
    out->read = n;
    if (e == ERR_OK)
        e = count_changesets(s, &out->changesets);
    if (e == ERR_OK)
        e = tell(&h, out);
    mem_free(h.w);
    buf_fini(&key);
    return e;
}
