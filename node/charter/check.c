/* The one checker: every rule that needs nothing but the charter, whichever form it was read from.
 * A mistake does not stop the check: an administrator sees as many as fit into the message.
 *
 * Rules are of two kinds. What no office could decide with is a mistake in both forms (blame). What
 * only an author has to mend is looked for in the file alone (blame_file): a charter in force was
 * published under the rules of its day, and must stay readable. */
#include "node/charter/check.h"

#include "node/file/near.h"
#include "node/file/yaml.h"

#include "conflict/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NOT_YET "this version of Tonle does not do that yet"

static const char *const reads[] = {"none", "above", "all", NULL};
static const char *const writes[] = {"any", "owner", "above", "national", NULL};
static const char *const key_words[] = {"blocks", "natural", NULL};
static const char *const reviewers[] = {"owner", "national", "any", NULL};

struct charter_at { /* the place that is looked at */
    const struct charter *charter;
    const struct charter_table *table; /* NULL: not in a table */
    char path[128];                    /* as yaml.h has it */
    char *msg;
    unsigned *count; /* of the mistakes */
};

static bool of_file(const struct charter_at *at)
{
    return at->charter->lines;
}

/* Adds "file:line: [table 'name': ]text" to msg; the line is the one of the place, or of its
 * `field` when that is not empty. */
static void __attribute__((format(printf, 3, 0)))
report(const struct charter_at *at, const char *field, const char *fmt, va_list ap)
{
    char path[192], text[512], table[320] = "";
    vsnprintf(text, sizeof text, fmt, ap);
    snprintf(path, sizeof path, "%s%s%s", at->path, at->path[0] && field[0] ? "." : "", field);
    if (at->table)
        snprintf(table, sizeof table, "table '%s': ", at->table->name);
    charter_yaml_report(at->msg, at->charter->file,
                        of_file(at) ? charter_yaml_line(at->charter->lines, path) : 0, "%s%s",
                        table, text);
    (*at->count)++;
}

static void __attribute__((format(printf, 3, 4)))
blame(const struct charter_at *at, const char *field, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report(at, field, fmt, ap);
    va_end(ap);
}

static void __attribute__((format(printf, 3, 4)))
blame_file(const struct charter_at *at, const char *field, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (of_file(at))
        report(at, field, fmt, ap);
    va_end(ap);
}

/* The place of one thing in a table: at_table(&at, i, "columns", 2) is
 * "tables[i].columns[2]". */
static struct charter_at at_table(const struct charter_at *top, unsigned table, const char *list,
                                  unsigned index)
{
    struct charter_at at = *top;
    at.table = &top->charter->tables[table];
    if (list)
        snprintf(at.path, sizeof at.path, "tables[%u].%s[%u]", table, list, index);
    else
        snprintf(at.path, sizeof at.path, "tables[%u]", table);
    return at;
}

/* ---- words */

static bool is(const char *word, const char *what)
{
    return word && strcmp(word, what) == 0;
}

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

static void join_words(char *out, size_t size, const char *const *list)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; list[i]; i++) {
        int n = snprintf(out + used, size - used, "%s%s", i ? ", " : "", list[i]);
        if (n < 0 || used + (size_t)n >= size)
            return;
        used += (size_t)n;
    }
}

/* `word` NULL: not given, nothing to check. */
static void check_word(const struct charter_at *at, const char *field, const char *what,
                       const char *word, const char *const *list)
{
    char all[256];
    if (!word || is_one_of(word, list))
        return;
    const char *near = near_word(word, list);
    join_words(all, sizeof all, list);
    if (!of_file(at))
        blame(at, field, "this version does not know the %s '%.80s'", what, word);
    else if (near)
        blame(at, field, "unknown %s '%.80s'; did you mean '%s'?", what, word, near);
    else
        blame(at, field, "unknown %s '%.80s'; write one of: %s", what, word, all);
}

static void check_policy_word(const struct charter_at *at, const char *field, const char *word)
{
    const char *list[POLICY_COUNT + 1] = {NULL};
    for (int i = 0; i < POLICY_COUNT; i++)
        list[i] = policy_name((enum policy)i);
    check_word(at, field, "policy", word, list);
}

static void check_delete_word(const struct charter_at *at, const char *field, const char *word)
{
    const char *list[DELETE_COUNT + 1] = {NULL};
    for (int i = 0; i < DELETE_COUNT; i++)
        list[i] = delete_policy_name((enum delete_policy)i);
    check_word(at, field, "delete policy", word, list);
}

static void check_birth_word(const struct charter_at *at, const char *field, const char *word)
{
    const char *list[BIRTH_COUNT + 1] = {NULL};
    for (int i = 0; i < BIRTH_COUNT; i++)
        list[i] = birth_policy_name((enum birth_policy)i);
    check_word(at, field, "birth policy", word, list);
}

static bool is_unit(const char *s)
{
    size_t n = strlen(s);
    return n <= 6 && n % 2 == 0 && strspn(s, "0123456789") == n;
}

/* A word of the list, or a unit code. Rights have no effect yet: who reads a published charter must
 * not mind them. */
static void check_right(const struct charter_at *at, const char *field, const char *word,
                        const char *const *list)
{
    const char *dot = strrchr(field, '.');
    if (!word || !of_file(at) || is_unit(word))
        return;
    if (strspn(word, "0123456789") == strlen(word))
        blame_file(at, field,
                   "'%.80s' is not a unit code: a province has 2 digits, a district 4, "
                   "a commune 6",
                   word);
    else
        check_word(at, field, dot ? dot + 1 : field, word, list);
}

/* A name that SQLite can hold and that is not the node's or SQLite's own. */
static void check_name(const struct charter_at *at, const char *field, const char *what,
                       const char *name)
{
    for (const char *p = name; of_file(at) && *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            blame_file(at, field, "the name of %s has a control character", what);
            return;
        }
    }
    if (strncasecmp(name, "tonle_", 6) == 0 || strncasecmp(name, "sqlite_", 7) == 0)
        blame_file(at, field, "'%.80s': names that begin with tonle_ or sqlite_ are reserved",
                   name);
}

static bool is_date(const char *s)
{
    unsigned y, m, d;
    char end;
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (strlen(s) != 10 || strspn(s, "0123456789-") != 10 || s[4] != '-' || s[7] != '-' ||
        sscanf(s, "%4u-%2u-%2u%c", &y, &m, &d, &end) != 3 || m < 1 || m > 12 || d < 1)
        return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return d <= days[m - 1] + (m == 2 && leap ? 1u : 0u);
}

/* ---- how values are decided */

/* What a table, a column and a group may say of their values. */
struct written_rule {
    const char *kind, *name; /* "table", "column" or "group" */
    const struct charter_rule *own;
    const char *in_force; /* its own policy, or the table's */
};

static struct written_rule written(const struct charter_at *at, const char *kind, const char *name,
                                   const struct charter_rule *own)
{
    const char *table = charter_table_policy(at->charter, at->table);
    return (struct written_rule){kind, name, own, own->policy ? own->policy : table};
}

static bool says(const struct charter_rule *r, const char *policy)
{
    return is(r->policy, policy) || is(r->fallback, policy);
}

/* Where the policy in force is another, a charter in force may name a fallback that nobody asks. */
static bool fallback_counts(const struct charter_at *at, const char *in_force)
{
    return of_file(at) || is(in_force, "review");
}

/* Whether it decides by a list that it does not have. */
static bool lacks_list(const struct charter_at *at, const struct charter_rule *r,
                       const char *in_force)
{
    return r->n_rank == 0 &&
           (is(r->policy, "rank") || (is(r->fallback, "rank") && fallback_counts(at, in_force)));
}

/* A policy that stands for many columns, so it cannot be one that needs a list or a counter. */
static void check_wide(const struct charter_at *at, const char *field, const struct charter_rule *r,
                       const char *in_force)
{
    check_policy_word(at, field, r->policy);
    if (lacks_list(at, r, in_force))
        blame(at, field,
              "policy 'rank' needs a list for each column; name the columns under columns or "
              "groups");
    if (is(r->policy, "sum"))
        blame_file(at, field, "policy 'sum' is for single columns; name them under columns");
}

static void check_rank(const struct charter_at *at, const struct written_rule *r)
{
    bool ranked = says(r->own, "rank");
    if (lacks_list(at, r->own, r->in_force))
        blame(at, is(r->own->policy, "rank") ? "policy" : "fallback",
              "%s '%s': policy 'rank' needs its list, lowest first: "
              "rank: [active, suspended]",
              r->kind, r->name);
    if (!ranked && r->own->n_rank > 0)
        blame_file(at, "rank", "%s '%s' has a rank list, but its policy is not 'rank'", r->kind,
                   r->name);
    for (unsigned i = 0; i < r->own->n_rank; i++)
        for (unsigned j = 0; j < i; j++)
            if (strcmp(r->own->rank[i], r->own->rank[j]) == 0)
                blame_file(at, "rank", "%s '%s': '%.80s' stands twice in its rank list", r->kind,
                           r->name, r->own->rank[i]);
}

static void check_fallback(const struct charter_at *at, const struct written_rule *r)
{
    if (!r->own->fallback)
        return;
    check_policy_word(at, "fallback", r->own->fallback);
    if (!fallback_counts(at, r->in_force))
        return;
    if (is(r->own->fallback, "review"))
        blame(at, "fallback",
              "%s '%s': a fallback decides until a person does, so it cannot be 'review'", r->kind,
              r->name);
    if (is(r->own->fallback, "sum"))
        blame(at, "fallback", "%s '%s': a sum is never a conflict, so it cannot be a fallback",
              r->kind, r->name);
    if (!is(r->in_force, "review"))
        blame_file(at, "fallback", "%s '%s' has a fallback, but its policy is not 'review'",
                   r->kind, r->name);
}

static void check_rule(const struct charter_at *at, const struct written_rule *r)
{
    check_policy_word(at, "policy", r->own->policy);
    check_rank(at, r);
    check_fallback(at, r);
    const char *field = is(r->own->policy, "owner") ? "policy" : "fallback";
    if (at->table->scope.follow && says(r->own, "owner"))
        blame_file(at, field,
                   "%s '%s': policy 'owner' needs the unit in the row itself, but this table "
                   "follows another; use national or local, or scope: { column: NAME }",
                   r->kind, r->name);
}

/* Whether the policy that decides whose the row is would have to know that first. */
static void blame_own_scope(const struct charter_at *at, const char *kind, const char *name)
{
    blame_file(at, "policy",
               "%s '%s' says whose the row is, so the policy 'owner' cannot decide it; use "
               "latest, national, local or review",
               kind, name);
}

static void check_column(const struct charter_at *at, unsigned index)
{
    const struct charter_table *t = at->table;
    const struct charter_column *col = &t->columns[index];
    struct written_rule r = written(at, "column", col->name, &col->rule);
    bool scope = t->scope.column && charter_same_name(t->scope.column, col->name);
    check_name(at, "name", "a column", col->name);
    for (unsigned i = 0; i < index; i++)
        if (charter_same_name(t->columns[i].name, col->name))
            blame_file(at, "name", "column '%s' is listed twice", col->name);
    check_right(at, "write", col->write, writes);
    check_rule(at, &r);
    if (scope && says(&col->rule, "owner"))
        blame_own_scope(at, "column", col->name);
    if (scope && is(col->rule.policy, "sum"))
        blame_file(at, "policy",
                   "column '%s' says whose the row is, so it is no counter; take its policy 'sum' "
                   "away",
                   col->name);
}

static bool group_has(const struct charter_group *group, const char *column)
{
    for (unsigned i = 0; i < group->n_columns; i++)
        if (charter_same_name(group->columns[i], column))
            return true;
    return false;
}

/* A conflict names its cell: a column, a group, or one of two words. */
static void check_group_name(const struct charter_at *at, unsigned index)
{
    const struct charter_table *t = at->table;
    const struct charter_group *group = &t->groups[index];
    check_name(at, "name", "a group", group->name);
    for (unsigned i = 0; i < index; i++)
        if (charter_same_name(t->groups[i].name, group->name))
            blame_file(at, "name", "group '%s' is listed twice", group->name);
    if (charter_same_name(group->name, "exists") || charter_same_name(group->name, "birth"))
        blame_file(at, "name",
                   "a group cannot be named '%s': conflicts of whole rows are called that",
                   group->name);
}

static void check_group_columns(const struct charter_at *at, const struct charter_group *group)
{
    const struct charter_table *t = at->table;
    if (group->n_columns < 2)
        blame_file(at, "columns",
                   "group '%s' has one column; give the column its policy under columns",
                   group->name);
    for (unsigned i = 0; i < group->n_columns; i++) {
        const char *column = group->columns[i];
        const struct charter_group *first = charter_group_of(t, column);
        bool twice = false;
        for (unsigned k = 0; k < i; k++)
            twice = twice || charter_same_name(group->columns[k], column);
        check_name(at, "columns", "a column", column);
        if (first != group)
            blame(at, "columns",
                  "column '%s' is in two groups, '%s' and '%s'; a column changes with one group "
                  "only",
                  column, first->name, group->name);
        else if (twice)
            blame_file(at, "columns", "column '%s' stands twice in group '%s'", column,
                       group->name);
    }
    for (unsigned i = 0; i < t->n_columns; i++) {
        const struct charter_column *col = &t->columns[i];
        if ((col->rule.policy || col->rule.fallback) && group_has(group, col->name))
            blame_file(at, "columns",
                       "column '%s' has a policy of its own and is in group '%s'; keep one",
                       col->name, group->name);
    }
}

static void check_group(const struct charter_at *at, unsigned index)
{
    const struct charter_table *t = at->table;
    const struct charter_group *g = &t->groups[index];
    struct written_rule r = written(at, "group", g->name, &g->rule);
    check_group_name(at, index);
    check_group_columns(at, g);
    if (is(g->rule.policy, "sum"))
        blame(at, "policy",
              "group '%s': policy 'sum' is for single columns; name them under columns", g->name);
    check_rule(at, &r);
    if (t->scope.column && group_has(g, t->scope.column) &&
        (is(r.in_force, "owner") || is(g->rule.fallback, "owner")))
        blame_own_scope(at, "group", g->name);
}

/* ---- tables */

static void check_scope(const struct charter_at *at)
{
    const struct charter_table *t = at->table;
    const struct charter_scope *s = &t->scope;
    char path[160];
    if (s->column && s->follow)
        blame_file(at, "scope", "scope has both column and follow; keep one");
    snprintf(path, sizeof path, "%s.scope", at->path);
    if (!s->column && !s->follow && of_file(at) && charter_yaml_has(at->charter->lines, path))
        blame_file(at, "scope",
                   "scope is empty; write { column: NAME } or { follow: NAME }, or take it away "
                   "for a national table");
    if (s->column)
        check_name(at, "scope.column", "the scope column", s->column);
    if (s->follow)
        check_name(at, "scope.follow", "the scope column", s->follow);
    if (s->follow && is(charter_table_policy(at->charter, t), "owner"))
        blame_file(at, t->rule.policy ? "policy" : "scope",
                   "policy 'owner' needs the unit in the row itself, but this table follows "
                   "another; use national or local, or scope: { column: NAME }");
}

/* A second entry of the same name is one that replaces the first on a date. */
static void check_table_name(const struct charter_at *at, unsigned index)
{
    const struct charter_table *t = at->table;
    check_name(at, "name", "a table", t->name);
    for (unsigned i = 0; i < index; i++) {
        const char *since = at->charter->tables[i].since;
        if (charter_same_name(at->charter->tables[i].name, t->name) &&
            (since && t->since ? strcmp(since, t->since) == 0 : !since && !t->since))
            blame_file(at, "name", "listed twice; a second entry needs another date in 'from'");
    }
}

/* Of a completed one. */
static void check_published_key(const struct charter_at *at)
{
    for (unsigned i = 0; i < at->table->n_key; i++)
        if (!charter_column_named(at->table, at->table->key[i]))
            blame(at, "", "key column '%s' is not among its columns", at->table->key[i]);
}

static void check_references(const struct charter_at *at)
{
    const struct charter_table *t = at->table;
    for (unsigned i = 0; i < t->n_references; i++) {
        const struct charter_reference *r = &t->references[i];
        check_name(at, "references", "a column", r->column);
        if (!charter_table_named(at->charter, r->table))
            blame_file(at, "references",
                       "references: %s.%s refers to '%.80s', which the charter does "
                       "not name",
                       t->name, r->column, r->table);
        for (unsigned k = 0; k < i; k++)
            if (charter_same_name(t->references[k].column, r->column))
                blame_file(at, "references", "references: column '%s' is listed twice", r->column);
    }
}

static void check_table(const struct charter_at *top, unsigned index)
{
    struct charter_at at = at_table(top, index, NULL, 0);
    const struct charter_table *t = at.table;
    struct written_rule r = written(&at, "table", t->name, &t->rule);
    check_table_name(&at, index);
    check_scope(&at);
    if (of_file(&at))
        check_word(&at, "read", "read right", t->read, reads);
    check_right(&at, "write", t->write, writes);
    check_wide(&at, "policy", &t->rule, r.in_force);
    check_fallback(&at, &r);
    check_delete_word(&at, "delete", t->delete_policy);
    check_birth_word(&at, "birth", t->birth);
    check_word(&at, "keys", "kind of keys", t->keys, key_words);
    if (t->since && !is_date(t->since))
        blame_file(&at, "from", "'%.80s' is not a date; write it as 2027-01-31", t->since);
    check_published_key(&at);
    check_references(&at);
    for (unsigned i = 0; i < t->n_columns; i++) {
        struct charter_at in = at_table(top, index, "columns", i);
        check_column(&in, i);
    }
    for (unsigned i = 0; i < t->n_groups; i++) {
        struct charter_at in = at_table(top, index, "groups", i);
        check_group(&in, i);
    }
}

/* ---- the whole */

static bool is_federation_name(const char *s)
{
    size_t n = strlen(s);
    return n <= 64 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

static void check_head(const struct charter_at *top)
{
    const struct charter *c = top->charter;
    const struct charter_rule given = {.policy = c->defaults.policy};
    if (!is_federation_name(c->federation))
        blame_file(top, "federation",
                   "federation must be a short name of letters, digits, '-', '_' and '.', at most "
                   "64");
    if (c->schema_version == 0)
        blame_file(top, "schema_version", "schema_version begins with 1");
    if (c->retention_days == 0 || c->retention_days > 36500)
        blame_file(top, "retention_days", "retention_days must be between 1 and 36500");
    if (c->journal_days > 36500)
        blame_file(top, "journal_days", "journal_days must be at most 36500, or 0 for ever");
    check_right(top, "review_by", c->review_by, reviewers);
    check_wide(top, "defaults.policy", &given, given.policy);
    check_delete_word(top, "defaults.delete", c->defaults.delete_policy);
    check_birth_word(top, "defaults.birth", c->defaults.birth);
    check_right(top, "defaults.write", c->defaults.write, writes);
}

static void check_block_number(const struct charter_at *top, const char *name, uint64_t n,
                               unsigned least, unsigned most)
{
    char field[32];
    snprintf(field, sizeof field, "key_blocks.%s", name);
    bool said = n != 0 || (of_file(top) && charter_yaml_has(top->charter->lines, field));
    if (said && (n < least || n > most))
        blame(top, field, "key_blocks: %s must be between %u and %u", name, least, most);
}

/* Also of a published one: the keys are reckoned by it. */
static void check_blocks(const struct charter_at *top)
{
    const struct charter_blocks *b = &top->charter->key_blocks;
    check_block_number(top, "count", b->count, BLOCK_COUNT_MIN, BLOCK_COUNT_MAX);
    check_block_number(top, "size", b->size, BLOCK_SIZE_MIN, BLOCK_SIZE_MAX);
}

enum err charter_check(const struct charter *c, char msg[CHARTER_MSG_BYTES])
{
    unsigned count = 0;
    struct charter_at top = {.charter = c, .msg = msg, .count = &count};
    if (of_file(&top))
        check_head(&top);
    check_blocks(&top);
    for (unsigned i = 0; i < c->n_tables; i++)
        check_table(&top, i);
    if (count > 0)
        return ERR_MALFORMED;
    for (unsigned i = 0; i < c->n_tables; i++) {
        struct charter_at at = at_table(&top, i, NULL, 0);
        if (c->tables[i].since)
            blame_file(&at, "from", "'from' (an entry that replaces another on a date): " NOT_YET);
    }
    return count > 0 ? ERR_REFUSED : ERR_OK;
}
