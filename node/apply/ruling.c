#include "node/apply/ruling.h"

#include "conflict/hlc.h"
#include "node/charter/charter.h"
#include "node/journal/journal.h"
#include "node/schema/rules.h"
#include "node/state/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_decisions(const struct table_changes *tc)
{
    return strcmp(tc->table, DECISION_TABLE) == 0;
}

bool ruling_needed(const struct changeset *cs)
{
    for (uint32_t g = 0; g < cs->n_segments; g++)
        for (uint32_t i = 0; i < cs->segments[g].n_tables; i++)
            if (is_decisions(&cs->segments[g].tables[i]))
                return true;
    return false;
}

/* ---- rows by table and key, sorted: a changeset may carry thousands of decisions */

static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct ruled *)x)->name, ((const struct ruled *)y)->name);
}

static void list_add(struct arena *a, struct ruled_list *l, const char *name, const char *why)
{
    l->row = arena_grow(a, l->row, l->n, &l->cap, sizeof *l->row);
    l->row[l->n++] = (struct ruled){name, why};
}

static void list_sort(struct ruled_list *l)
{
    if (l->n > 0)
        qsort(l->row, l->n, sizeof *l->row, by_name);
}

static const struct ruled *list_find(const struct ruled_list *l, const char *name)
{
    const struct ruled want = {.name = name};
    return l->n > 0 ? bsearch(&want, l->row, l->n, sizeof want, by_name) : NULL;
}

static const char *name_of(struct arena *a, const char *table, const char *key_json)
{
    struct buf b = {0};
    buf_printf(&b, "%s %s", table, key_json); /* no name of a table has a space before its key */
    const char *name = arena_strdup(a, buf_str(&b));
    buf_fini(&b);
    return name;
}

static const char *row_name(struct arena *a, const struct table_changes *tc,
                            const struct row_change *rc)
{
    return name_of(a, tc->table, schema_values_json(a, rc->key, tc->n_key));
}

/* ---- one decision */

/* "" where it has no such text. */
static const char *text_of(struct arena *a, const struct table_changes *tc,
                           const struct row_change *rc, const char *column)
{
    for (uint32_t i = 0; i < rc->n_cells; i++) {
        const struct value *v = &rc->value[i];
        if (strcmp(tc->columns[rc->column[i]], column) != 0 || v->type != VALUE_TEXT)
            continue;
        char *text = arena_alloc(a, v->len + 1);
        if (v->len > 0)
            memcpy(text, v->u.p, v->len);
        return text;
    }
    return "";
}

/* The unit that is left to decide; NULL: any. */
static const char *unit_asked(const struct ruling *r, const char *table)
{
    const char *by = r->charter ? r->charter->review_by : "owner";
    if (strcmp(by, "any") == 0)
        return NULL;
    if (strcmp(by, "national") == 0)
        return "";
    if (strcmp(by, "owner") != 0)
        return by;
    const struct charter_table *t = charter_table_named(r->charter, table);
    return t && (t->scope.column || t->scope.follow) ? NULL : "";
}

static const char *left_to(const struct ruling *r, const char *unit)
{
    struct buf b = {0};
    buf_printf(&b, "%.70s (%s%.40s) decided what the charter (review_by: %.40s) leaves to %s%.40s",
               r->office, r->unit[0] != '\0' ? "unit " : "the nation", r->unit,
               r->charter ? r->charter->review_by : "owner",
               unit[0] != '\0' ? "unit " : "the nation", unit);
    const char *text = arena_strdup(r->a, buf_str(&b));
    buf_fini(&b);
    return text;
}

static const char *of_office(const struct ruling *r, const char *what)
{
    struct buf b = {0};
    buf_printf(&b, "%.70s %s", r->office, what);
    const char *text = arena_strdup(r->a, buf_str(&b));
    buf_fini(&b);
    return text;
}

static const char *judge(const struct ruling *r, const struct table_changes *tc,
                         const struct row_change *rc, const char *table, const char *name)
{
    char site[17];
    if (rc->kind != CHANGE_BORN)
        return of_office(r, "changed a decision that is on record");
    snprintf(site, sizeof site, "%016llx", (unsigned long long)r->dot.site);
    if (strncmp(text_of(r->a, tc, rc, "id"), site, 16) != 0)
        return of_office(r, "named a decision as if another office had taken it");
    const char *unit = unit_asked(r, table);
    if (!unit || strcmp(unit, r->unit) == 0)
        return NULL;
    bool held = strcmp(text_of(r->a, tc, rc, "subject"), "held") == 0;
    if (held && (list_find(&r->mine, name) || !list_find(&r->others, name)))
        return NULL;
    return left_to(r, unit);
}

/* ---- the changeset */

typedef void row_visitor(struct ruling *r, const struct table_changes *tc,
                         const struct row_change *rc);

static void visit(struct ruling *r, const struct changeset *cs, bool decisions, row_visitor *each)
{
    for (uint32_t g = 0; g < cs->n_segments; g++) {
        for (uint32_t i = 0; i < cs->segments[g].n_tables; i++) {
            const struct table_changes *tc = &cs->segments[g].tables[i];
            for (uint32_t j = 0; is_decisions(tc) == decisions && j < tc->n_rows; j++)
                each(r, tc, &tc->rows[j]);
        }
    }
}

static void note_birth(struct ruling *r, const struct table_changes *tc,
                       const struct row_change *rc)
{
    if (rc->kind == CHANGE_BORN || dot_is_none(rc->birth))
        return;
    bool mine = rc->birth.site == r->dot.site;
    list_add(r->a, mine ? &r->mine : &r->others, row_name(r->a, tc, rc), NULL);
}

static void rule_on(struct ruling *r, const struct table_changes *tc, const struct row_change *rc)
{
    const char *table = text_of(r->a, tc, rc, "table_name");
    const char *name = name_of(r->a, table, text_of(r->a, tc, rc, "key"));
    const char *why = judge(r, tc, rc, table, name);
    list_add(r->a, &r->decided, name, NULL);
    if (!why)
        return;
    list_add(r->a, &r->refused, row_name(r->a, tc, rc), why);
    list_add(r->a, &r->refused, name, why);
}

enum err ruling_begin(struct store *s, struct arena *a, const struct changeset *cs,
                      struct ruling *out)
{
    struct site_record site;
    *out = (struct ruling){.a = a, .dot = cs->dot, .at_ms = hlc_ms(cs->hlc)};
    enum err e = store_site_get(s, a, cs->dot.site, &site);
    if (e != ERR_OK)
        return e;
    out->office = site.node;
    out->unit = site.unit;
    uint64_t seq = clock_get(&cs->context, identity_of(s)->hub_site);
    e = schema_charter_at(s, a, seq, &out->charter);
    if (e != ERR_OK)
        return e;
    visit(out, cs, false, note_birth);
    list_sort(&out->mine);
    list_sort(&out->others);
    visit(out, cs, true, rule_on);
    list_sort(&out->decided);
    list_sort(&out->refused);
    return ERR_OK;
}

bool ruling_decides(const struct ruling *r, const struct table_changes *tc,
                    const struct row_change *rc)
{
    const struct ruled *x = list_find(&r->decided, row_name(r->a, tc, rc));
    return x;
}

const char *ruling_refuses(const struct ruling *r, const struct table_changes *tc,
                           const struct row_change *rc)
{
    if (r->refused.n == 0)
        return NULL;
    const struct ruled *x = list_find(&r->refused, row_name(r->a, tc, rc));
    return x ? x->why : NULL;
}
