/* The charter's policies against a table (DESIGN 4, 6).
 *
 * What one CHECK, or the key of one UNIQUE, names together must change together: columns decided
 * one by one may make a mixture of two people's edits that no office ever wrote and that the table
 * refuses. So their columns, transitively, become one group, where one rule decides them all; where
 * the rules differ, the administrator has to say. Key columns never change and stand outside. A sum
 * is the total of what all offices wrote, so no constraint may have a say in it. */
#include "node/check/checking.h"

#include "node/db/query.h"

#include <stdio.h>
#include <string.h>

struct source { /* a CHECK or a UNIQUE */
    const char *words;
    const bool *reads; /* by column number: all that has a part in it */
    const bool *keyed; /* what must change together */
};

struct cells {
    struct check_run *c;
    const struct charter_table *t;
    const struct table_info *info;
    struct charter_table *out; /* what is completed, or NULL */
    const char *level;         /* of what a charter in force did not foresee */
    uint32_t n_sources;
    struct source *source;
    uint32_t *class; /* by column number: the lowest column that changes with it */
    bool *refused;   /* by class: its columns cannot be one group as they are */
};

static const char *name_of(const struct cells *x, uint32_t column)
{
    return x->info->column[column].name;
}

static bool may_change(const struct cells *x, uint32_t column)
{
    const struct column_info *c = &x->info->column[column];
    return !c->generated && c->pk == 0;
}

static uint32_t scope_of(const struct cells *x)
{
    return x->t->scope.column ? table_info_column(x->info, x->t->scope.column) : UINT32_MAX;
}

/* ---- the constraints ---- */

static void add_source(struct cells *x, size_t *cap, struct source s)
{
    x->source = mem_grow(x->source, x->n_sources, cap, sizeof *x->source);
    x->source[x->n_sources++] = s;
}

static const char *check_words(struct arena *a, const struct check_sql *k)
{
    char text[160];
    if (k->name)
        snprintf(text, sizeof text, "CHECK %.100s", k->name);
    else
        snprintf(text, sizeof text, "CHECK (%.80s%s)", k->expression,
                 strlen(k->expression) > 80 ? "..." : "");
    return arena_strdup(a, text);
}

static const char *unique_words(const struct cells *x, const struct index_info *u)
{
    struct buf b = {0};
    bool automatic = db_name_begins(u->name, "sqlite_", 7); /* of columns only */
    buf_printf(&b, automatic ? "UNIQUE (" : "UNIQUE index %.100s", u->name);
    for (uint32_t i = 0; automatic && i < u->n; i++)
        buf_printf(&b, "%s%.60s", i ? ", " : "", name_of(x, (uint32_t)u->part[i].cid));
    buf_printf(&b, automatic ? ")" : "");
    return sql_take(x->c->a, &b);
}

static enum err read_sources(struct cells *x)
{
    struct arena *a = x->c->a;
    struct check_sql *checks;
    uint32_t n = 0;
    size_t cap = 0;
    enum err e = ERR_OK;
    sql_checks(a, x->info->sql, &checks, &n);
    for (uint32_t i = 0; e == ERR_OK && i < n; i++) {
        bool *reads = arena_alloc(a, x->info->n_columns);
        e = table_info_reads(x->c->s, a, x->info, checks[i].expression, reads);
        add_source(x, &cap, (struct source){check_words(a, &checks[i]), reads, reads});
    }
    for (uint32_t i = 0; i < x->info->n_unique; i++) {
        const struct index_info *u = &x->info->unique[i];
        if (!u->primary)
            add_source(x, &cap, (struct source){unique_words(x, u), u->reads, u->keyed});
    }
    return e;
}

/* ---- groups of the file ---- */

static void check_group(struct cells *x, const struct charter_group *g)
{
    const char *table = x->t->name;
    uint32_t same = table_info_column(x->info, g->name);
    bool inside = false;
    for (uint32_t i = 0; i < g->n_columns; i++) {
        const char *name = g->columns[i];
        uint32_t k = table_info_column(x->info, name);
        inside = inside || k == same;
        if (k == UINT32_MAX)
            check_say(x->c, "fail", table, "group %s: column %s.%s is not in this database%s",
                      g->name, table, name, check_near_column(x->c, table, name));
        else if (x->info->column[k].generated)
            check_say(x->c, "fail", table,
                      "group %s: column %s.%s is generated: every office computes it, leave it out",
                      g->name, table, name);
        else if (x->info->column[k].pk > 0)
            check_say(x->c, "fail", table,
                      "group %s: %s.%s is part of the key, which never changes: leave it out",
                      g->name, table, name);
    }
    if (same != UINT32_MAX && !inside)
        check_say(x->c, "fail", table,
                  "group %s has the name of a column that is not in it: give it another name",
                  g->name);
}

/* ---- sums ---- */

static enum err references_from(struct cells *x, uint32_t column, bool *yes)
{
    struct query q = DB_QUERY(x->c->s,
                              "SELECT 1 FROM pragma_foreign_key_list(?1, 'main')"
                              " WHERE \"from\" = ?2 COLLATE NOCASE",
                              value_text(x->info->name), value_text(name_of(x, column)));
    *yes = query_next(&q);
    return query_end(&q);
}

static enum err check_sum(struct cells *x, uint32_t column)
{
    const struct column_info *k = &x->info->column[column];
    const char *table = x->t->name;
    bool refers = false;
    enum err e = references_from(x, column, &refers);
    if (k->pk > 0)
        check_say(x->c, "fail", table,
                  "%s.%s is part of the key, which never changes: take its policy sum away", table,
                  k->name);
    else if (k->affinity != AFFINITY_INTEGER)
        check_say(x->c, "fail", table,
                  "%s.%s adds up (policy sum), but is declared %s: declare it INTEGER, or give it "
                  "another policy",
                  table, k->name, *k->type ? k->type : "without a type");
    if (refers)
        check_say(x->c, "fail", table,
                  "%s.%s adds up (policy sum), so it cannot refer to another table: give it "
                  "another policy",
                  table, k->name);
    for (uint32_t i = 0; i < x->n_sources; i++) {
        if (x->source[i].reads[column])
            check_say(x->c, "fail", table,
                      "%s.%s adds up what all offices wrote (policy sum), and %s could refuse a "
                      "total that nobody wrote: take it away, or give the column another policy",
                      table, k->name, x->source[i].words);
    }
    return e;
}

/* ---- scopes ---- */

static enum err follows(struct cells *x, uint32_t column, bool *yes)
{
    struct query q = DB_QUERY(x->c->s,
                              "SELECT \"table\" FROM pragma_foreign_key_list(?1, 'main')"
                              " WHERE \"from\" = ?2 COLLATE NOCASE",
                              value_text(x->info->name), value_text(name_of(x, column)));
    while (query_next(&q))
        *yes = *yes || check_replicated(x->c, query_text(&q, x->c->a, 0));
    return query_end(&q);
}

/* A row without a unit belongs to nobody. A key that WITHOUT ROWID or STRICT keeps from being NULL
 * is NOT NULL to SQLite, too. */
static enum err check_scope(struct cells *x)
{
    const char *table = x->t->name, *column = x->t->scope.column,
               *name = column ? column : x->t->scope.follow;
    bool parent = false;
    if (!name)
        return ERR_OK;
    uint32_t k = table_info_column(x->info, name);
    if (k == UINT32_MAX) {
        check_say(x->c, "fail", table, "the scope column %s.%s is not in this database%s", table,
                  name, check_near_column(x->c, table, name));
        return ERR_OK;
    }
    const struct column_info *col = &x->info->column[k];
    if (col->generated)
        check_say(x->c, "fail", table,
                  "the scope column %s.%s is generated: name a column that is stored", table, name);
    else if (column && !col->notnull)
        check_say(x->c, "fail", table,
                  "the scope column %s.%s accepts NULL: declare it NOT NULL, because every row "
                  "belongs to a unit",
                  table, name);
    enum err e = column ? ERR_OK : follows(x, k, &parent);
    if (!column && !parent)
        check_say(x->c, "warn", table,
                  "%s.%s leads to no replicated table: declare it a foreign key, because the row's "
                  "unit is looked up there; until then its rows count as national",
                  table, name);
    else if (!column && !col->notnull)
        check_say(x->c, "warn", table,
                  "%s.%s accepts NULL, and a row with a NULL there counts as national", table,
                  name);
    return e;
}

/* ---- what changes together ---- */

static uint32_t class_of(const struct cells *x, uint32_t column)
{
    while (x->class[column] != column)
        column = x->class[column];
    return column;
}

static void join(struct cells *x, uint32_t a, uint32_t b)
{
    a = class_of(x, a);
    b = class_of(x, b);
    x->class[a < b ? b : a] = a < b ? a : b;
}

/* The first column of a source that may change; UINT32_MAX when there is none behind `after`. */
static uint32_t next_column(const struct cells *x, const struct source *s, uint32_t from)
{
    for (uint32_t k = from; k < x->info->n_columns; k++) {
        if (s->keyed[k] && may_change(x, k))
            return k;
    }
    return UINT32_MAX;
}

static bool same_rule(const struct charter_rule *a, const struct charter_rule *b)
{
    bool same = strcmp(a->policy, b->policy) == 0 && !a->fallback == !b->fallback &&
                (!a->fallback || strcmp(a->fallback, b->fallback) == 0) && a->n_rank == b->n_rank;
    for (uint32_t i = 0; same && i < a->n_rank; i++)
        same = strcmp(a->rank[i], b->rank[i]) == 0;
    return same;
}

/* Whether the file gives it a policy. */
static bool owns_rule(const struct charter_table *t, const char *column)
{
    const struct charter_column *c = charter_column_named(t, column);
    return c && c->rule.from && strcmp(c->rule.from, "column") == 0;
}

bool check_is_sum(const struct charter_table *t, const char *column)
{
    return strcmp(charter_rule_of(t, column)->policy, "sum") == 0;
}

/* The rule of a column as its class decides it: beside the scope column, one that only inherits the
 * policy owner follows the scope column's rule, for the same reason as that. */
static const struct charter_rule *rule_of(const struct cells *x, uint32_t column)
{
    const struct charter_rule *r = charter_rule_of(x->t, name_of(x, column));
    uint32_t scope = scope_of(x);
    if (strcmp(r->policy, "owner") == 0 && scope != UINT32_MAX && may_change(x, scope) &&
        class_of(x, scope) == class_of(x, column) && !owns_rule(x->t, name_of(x, column)) &&
        !charter_group_of(x->t, name_of(x, column)))
        return charter_rule_of(x->t, x->t->scope.column);
    return r;
}

static const char *rule_words(const struct cells *x, uint32_t column)
{
    const struct charter_group *g = charter_group_of(x->t, name_of(x, column));
    char text[160];
    if (g)
        snprintf(text, sizeof text, "group %.100s", g->name);
    else
        snprintf(text, sizeof text, "policy %s", rule_of(x, column)->policy);
    return arena_strdup(x->c->a, text);
}

/* One source: its columns in one group of the file, or in none and under one rule. */
static void check_together(struct cells *x, const struct source *s)
{
    uint32_t first = next_column(x, s, 0);
    uint32_t k = first == UINT32_MAX ? first : next_column(x, s, first + 1);
    for (; k != UINT32_MAX; k = next_column(x, s, k + 1)) {
        const struct charter_group *g = charter_group_of(x->t, name_of(x, first));
        bool together = charter_group_of(x->t, name_of(x, k)) == g;
        if (together && (g || same_rule(rule_of(x, first), rule_of(x, k))))
            continue;
        x->refused[class_of(x, first)] = true;
        if (check_is_sum(x->t, name_of(x, k)) || check_is_sum(x->t, name_of(x, first)))
            continue; /* said already */
        check_say(
            x->c, x->level, x->t->name,
            "%s of %s names %s (%s) and %s (%s), and what each decides may not fit the other: "
            "put them in one group",
            s->words, x->t->name, name_of(x, first), rule_words(x, first), name_of(x, k),
            rule_words(x, k));
        return;
    }
}

static void classify(struct cells *x)
{
    for (uint32_t i = 0; i < x->info->n_columns; i++)
        x->class[i] = i;
    for (uint32_t i = 0; i < x->n_sources; i++) {
        const struct source *s = &x->source[i];
        uint32_t first = next_column(x, s, 0);
        for (uint32_t k = first; k != UINT32_MAX; k = next_column(x, s, k + 1))
            join(x, first, k);
    }
    for (uint32_t i = 0; i < x->n_sources; i++)
        check_together(x, &x->source[i]);
}

/* ---- implied groups ---- */

static bool is_taken(const struct cells *x, const char *name)
{
    for (uint32_t i = 0; i < x->out->n_groups; i++) {
        if (charter_same_name(x->out->groups[i].name, name))
            return true;
    }
    return table_info_column(x->info, name) != UINT32_MAX;
}

/* "starts_on+ends_on": the columns, because that is what a person wants to read in a conflict. */
static const char *implied_name(const struct cells *x, const char *const *column, uint32_t n)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i ? "+" : "", column[i]);
    while (is_taken(x, buf_str(&b)))
        buf_printf(&b, "+");
    return sql_take(x->c->a, &b);
}

static void imply(struct cells *x, uint32_t class)
{
    struct arena *a = x->c->a;
    struct charter_table *out = x->out;
    const char **column = arena_alloc(a, x->info->n_columns * sizeof *column);
    uint32_t n = 0;
    for (uint32_t k = class; k < x->info->n_columns; k++) {
        if (may_change(x, k) && class_of(x, k) == class)
            column[n++] = name_of(x, k);
    }
    if (n < 2)
        return;
    struct charter_group *groups = arena_alloc(a, (out->n_groups + 1) * sizeof *groups);
    for (uint32_t i = 0; i < out->n_groups; i++)
        groups[i] = out->groups[i];
    groups[out->n_groups] = (struct charter_group){.name = implied_name(x, column, n),
                                                   .rule = *rule_of(x, class),
                                                   .columns = column,
                                                   .n_columns = n,
                                                   .implied = true};
    out->groups = groups;
    out->n_groups++;
}

enum err check_cells(struct check_run *c, const struct charter_table *t,
                     const struct table_info *info, struct charter_table *out)
{
    struct cells x = {.c = c, .t = t, .info = info, .out = out, .level = out ? "fail" : "warn"};
    x.class = arena_alloc(c->a, info->n_columns * sizeof *x.class);
    x.refused = arena_alloc(c->a, info->n_columns);
    enum err e = read_sources(&x);
    for (uint32_t i = 0; e == ERR_OK && i < t->n_groups; i++)
        check_group(&x, &t->groups[i]);
    for (uint32_t k = 0; e == ERR_OK && k < info->n_columns; k++) {
        if (!info->column[k].generated && check_is_sum(t, name_of(&x, k)))
            e = check_sum(&x, k);
    }
    if (e == ERR_OK)
        e = check_scope(&x);
    if (e == ERR_OK)
        classify(&x);
    for (uint32_t k = 0; e == ERR_OK && out && k < info->n_columns; k++) {
        if (may_change(&x, k) && class_of(&x, k) == k && !x.refused[k] &&
            !charter_group_of(t, name_of(&x, k)))
            imply(&x, k);
    }
    mem_free(x.source);
    return e;
}
