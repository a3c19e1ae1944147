/* Who may decide (charter: review_by), judged by the unit of the office where the command runs:
 *
 *   owner (default)  the enrolled office with the longest unit that is a prefix of the row's scope
 *   national         an office of the nation's unit
 *   any              every office
 *   a unit code      an office of exactly that unit
 *
 * The scope of a row is its scope column, or that of the row it follows; without either the table
 * is national. Where a row that is followed is not here, nobody but the hub is known to own it. */
#include "node/desk/review.h"

#include "node/db/query.h"
#include "node/journal/registry.h"
#include "node/schema/rules.h"
#include "node/state/state.h"

#include <string.h>

#define FOLLOW_MAX 16 /* tables in a row; a longer chain is a ring */

struct rights {
    struct store *s;
    struct arena *a;
    const struct charter *charter; /* the one in force, or NULL */
};

static const char *as_unit(struct arena *a, const struct value *v)
{
    struct buf b = {0};
    if (v->type == VALUE_TEXT)
        buf_put(&b, v->u.p, v->len);
    else if (v->type == VALUE_INTEGER)
        buf_printf(&b, "%lld", (long long)v->u.i);
    const char *unit = arena_strdup(a, buf_str(&b));
    buf_fini(&b);
    return unit;
}

static const struct foreign_key *follows(const struct rights *r, const struct table_schema *t,
                                         uint32_t column)
{
    for (uint32_t f = 0; f < r->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &r->s->schema->fks[f];
        if (&r->s->schema->tables[fk->child] != t)
            continue;
        for (uint32_t i = 0; i < fk->n; i++)
            if (fk->child_column[i] == column)
                return fk;
    }
    return NULL;
}

/* The row that these values refer to: *t and *values become its own; *values NULL when it is not
 * in its table. */
static enum err parent_row(struct rights *r, const struct foreign_key *fk,
                           const struct table_schema **t, const struct value **values)
{
    const struct table_schema *parent = &r->s->schema->tables[fk->parent];
    struct buf sql = {0};
    buf_printf(&sql, "SELECT %s FROM %s WHERE ", parent->column_list, parent->qname);
    for (uint32_t i = 0; i < fk->n; i++)
        buf_printf(&sql, "%s%s = ?%u", i > 0 ? " AND " : "",
                   schema_quote(r->a, parent->column[fk->parent_column[i]]), i + 1);
    struct value *key = arena_alloc(r->a, fk->n * sizeof *key);
    for (uint32_t i = 0; i < fk->n; i++)
        key[i] = (*values)[fk->child_column[i]];
    struct query q = query_of(r->s, buf_str(&sql), fk->n, key);
    *values = query_next(&q) ? query_values(&q, r->a, 0, parent->n_columns) : NULL;
    *t = parent;
    buf_fini(&sql);
    return query_end(&q);
}

static enum err row_scope(struct rights *r, const struct table_schema *t,
                          const struct value *values, const char **scope)
{
    *scope = "";
    enum err e = ERR_OK;
    for (int i = 0; e == ERR_OK && values && i < FOLLOW_MAX; i++) {
        const struct charter_table *rule = charter_table_named(r->charter, t->name);
        const char *column = rule ? rule->scope.column : NULL;
        const char *follow = rule ? rule->scope.follow : NULL;
        uint32_t c = column   ? schema_column(t, column)
                     : follow ? schema_column(t, follow)
                              : UINT32_MAX;
        if (c == UINT32_MAX)
            return ERR_OK;
        if (column) {
            *scope = as_unit(r->a, &values[c]);
            return ERR_OK;
        }
        const struct foreign_key *fk = follows(r, t, c);
        e = fk ? parent_row(r, fk, &t, &values) : ERR_OK;
        values = fk ? values : NULL;
    }
    return e;
}

static bool covers(const char *unit, const char *code)
{
    return strncmp(unit, code, strlen(unit)) == 0;
}

/* The unit of the nearest enrolled office above the scope. */
static enum err owner_unit(struct rights *r, const char *scope, const char **unit,
                           const char **office)
{
    struct node_record *list;
    size_t n;
    enum err e = store_node_list(r->s, r->a, &list, &n);
    *unit = "";
    *office = store_identity_get(r->s)->hub;
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        if (list[i].state != NODE_ACTIVE || !covers(list[i].unit, scope) ||
            strlen(list[i].unit) <= strlen(*unit))
            continue;
        *unit = list[i].unit;
        *office = list[i].name;
    }
    return e;
}

/* The hub where its name is that of the unit; else an enrolled office of the very unit, if any. */
static enum err office_of_unit(struct rights *r, const char *unit, const char **office)
{
    const char *nearest;
    enum err e = owner_unit(r, unit, &nearest, office);
    if (e == ERR_OK && strcmp(nearest, unit) != 0)
        *office = "";
    return e;
}

static enum err decider_of(struct rights *r, const struct table_schema *t,
                           const struct value *values, struct decider *out)
{
    const char *scope = "";
    enum err e = ERR_OK;
    *out = (struct decider){.by = r->charter ? r->charter->review_by : "owner", .office = ""};
    if (strcmp(out->by, "any") == 0) {
        out->here = true;
        return ERR_OK;
    }
    if (strcmp(out->by, "owner") == 0) {
        e = row_scope(r, t, values, &scope);
        if (e == ERR_OK)
            e = owner_unit(r, scope, &out->unit, &out->office);
    } else {
        out->unit = strcmp(out->by, "national") == 0 ? "" : out->by;
        e = office_of_unit(r, out->unit, &out->office);
    }
    out->here = e == ERR_OK && strcmp(store_identity_get(r->s)->unit, out->unit) == 0;
    return e;
}

enum err review_decider(struct store *s, struct arena *a, const struct table_schema *t,
                        const struct value *values, struct decider *out)
{
    struct rights r = {.s = s, .a = a};
    enum err e = schema_charter(s, a, &r.charter);
    return e == ERR_OK ? decider_of(&r, t, values, out) : e;
}

enum err review_allowed(struct store *s, struct arena *a, const struct table_schema *t,
                        const struct value *values)
{
    struct decider d;
    enum err e = review_decider(s, a, t, values, &d);
    if (e != ERR_OK || d.here)
        return e;
    return store_fail(s, ERR_REFUSED,
                      "the charter (review_by: %.40s) leaves this row to %s%.40s%s%.70s%s, not to "
                      "this office: decide it there",
                      d.by, d.unit[0] != '\0' ? "unit " : "the nation", d.unit,
                      d.office[0] != '\0' ? " (" : "", d.office, d.office[0] != '\0' ? ")" : "");
}

enum err review_owner(struct store *s, struct arena *a, const struct table_schema *t,
                      const struct value *values, const char **scope, const char **office)
{
    struct rights r = {.s = s, .a = a};
    const char *unit;
    enum err e = schema_charter(s, a, &r.charter);
    if (e == ERR_OK)
        e = row_scope(&r, t, values, scope);
    if (e == ERR_OK)
        e = owner_unit(&r, *scope, &unit, office);
    return e;
}
