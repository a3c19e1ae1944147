/* Words that a charter may use, each with the list it is checked against (DESIGN 4, 5, 6). A
 * mistake does not stop the check: an administrator sees as many as fit into the message.
 */
#include "node/charter/check.h"

#include "node/file/yaml.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const policies[] = {"latest", "earliest", "owner", "national", "local", "max",
                                       "min",    "rank",     "sum",   "review",   NULL};
static const char *const deletes[] = {"update-wins", "delete-wins", "review", NULL};
static const char *const births[] = {"first", "latest", "review", NULL};
static const char *const reads[] = {"none", "above", "all", NULL};
static const char *const writes[] = {"any", "owner", "above", "national", NULL};
static const char *const reviewers[] = {"owner", "national", "any", NULL};

void charter_blame(const struct charter_at *at, const char *field, const char *fmt, ...)
{
    char path[192], text[512], table[320] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snprintf(path, sizeof path, "%s%s%s", at->path, at->path[0] && field[0] ? "." : "", field);
    if (at->table)
        snprintf(table, sizeof table, "table '%s': ", at->table->name);
    charter_yaml_report(at->msg, at->charter->file, charter_yaml_line(at->charter->lines, path),
                        "%s%s", table, text);
    (*at->count)++;
}

struct charter_at charter_at_table(const struct charter_at *top, unsigned table, const char *list,
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
    const char *near = charter_yaml_nearest(word, list);
    join_words(all, sizeof all, list);
    if (near)
        charter_blame(at, field, "unknown %s '%.80s'; did you mean '%s'?", what, word, near);
    else
        charter_blame(at, field, "unknown %s '%.80s'; write one of: %s", what, word, all);
}

static bool is_unit(const char *s)
{
    size_t n = strlen(s);
    return n <= 6 && n % 2 == 0 && strspn(s, "0123456789") == n;
}

/* A word of the list, or a unit code. */
static void check_right(const struct charter_at *at, const char *field, const char *word,
                        const char *const *list)
{
    const char *dot = strrchr(field, '.');
    if (!word || is_unit(word))
        return;
    if (strspn(word, "0123456789") == strlen(word))
        charter_blame(at, field,
                      "'%.80s' is not a unit code: a province has 2 digits, a district 4, "
                      "a commune 6",
                      word);
    else
        check_word(at, field, dot ? dot + 1 : field, word, list);
}

/* `wide`: the policy stands for many columns, so it cannot be one that needs a list or a counter.
 */
static void check_policy(const struct charter_at *at, const char *field, const char *word,
                         bool wide)
{
    check_word(at, field, "policy", word, policies);
    if (word && wide && strcmp(word, "rank") == 0)
        charter_blame(at, field,
                      "policy 'rank' needs a list for each column; name the columns under "
                      "columns or groups");
    else if (word && wide && strcmp(word, "sum") == 0)
        charter_blame(at, field, "policy 'sum' is for single columns; name them under columns");
}

/* A name that SQLite can hold and that is not the node's or SQLite's own. */
static void check_name(const struct charter_at *at, const char *field, const char *what,
                       const char *name)
{
    for (const char *p = name; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            charter_blame(at, field, "the name of %s has a control character", what);
            return;
        }
    }
    if (strncasecmp(name, "tonle_", 6) == 0 || strncasecmp(name, "sqlite_", 7) == 0)
        charter_blame(at, field, "'%.80s': names that begin with tonle_ or sqlite_ are reserved",
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

bool charter_same_name(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

const char *charter_table_policy(const struct charter *c, const struct charter_table *t)
{
    if (t->policy)
        return t->policy;
    return c->defaults.policy ? c->defaults.policy : "latest";
}

static bool is(const char *word, const char *what)
{
    return word && strcmp(word, what) == 0;
}

/* What a column and a group may say of their values. */
struct written_rule {
    const char *kind, *name; /* "column" or "group" */
    const char *policy, *fallback;
    const char **rank;
    unsigned n_rank;
    const char *in_force; /* its own policy, or the table's */
};

static void check_rank(const struct charter_at *at, const struct written_rule *r)
{
    bool ranked = is(r->policy, "rank") || is(r->fallback, "rank");
    if (ranked && r->n_rank == 0)
        charter_blame(at, is(r->policy, "rank") ? "policy" : "fallback",
                      "%s '%s': policy 'rank' needs its list, lowest first: "
                      "rank: [active, suspended]",
                      r->kind, r->name);
    if (!ranked && r->n_rank > 0)
        charter_blame(at, "rank", "%s '%s' has a rank list, but its policy is not 'rank'", r->kind,
                      r->name);
    for (unsigned i = 0; i < r->n_rank; i++)
        for (unsigned j = 0; j < i; j++)
            if (strcmp(r->rank[i], r->rank[j]) == 0)
                charter_blame(at, "rank", "%s '%s': '%.80s' stands twice in its rank list", r->kind,
                              r->name, r->rank[i]);
}

static void check_fallback(const struct charter_at *at, const struct written_rule *r)
{
    if (!r->fallback)
        return;
    check_word(at, "fallback", "policy", r->fallback, policies);
    if (is(r->fallback, "review"))
        charter_blame(at, "fallback",
                      "%s '%s': a fallback decides until a person does, so it cannot be 'review'",
                      r->kind, r->name);
    if (is(r->fallback, "sum"))
        charter_blame(at, "fallback",
                      "%s '%s': a sum is never a conflict, so it cannot be a fallback", r->kind,
                      r->name);
    if (!is(r->in_force, "review"))
        charter_blame(at, "fallback", "%s '%s' has a fallback, but its policy is not 'review'",
                      r->kind, r->name);
}

static void check_rule(const struct charter_at *at, const struct written_rule *r)
{
    check_word(at, "policy", "policy", r->policy, policies);
    check_rank(at, r);
    check_fallback(at, r);
    const char *field = is(r->policy, "owner") ? "policy" : "fallback";
    if (at->table->scope.follow && (is(r->policy, "owner") || is(r->fallback, "owner")))
        charter_blame(at, field,
                      "%s '%s': policy 'owner' needs the unit in the row itself, but this table "
                      "follows another; use national or local, or scope: { column: NAME }",
                      r->kind, r->name);
}

/* Whether the policy that decides whose the row is would have to know that first. */
static void blame_own_scope(const struct charter_at *at, const char *kind, const char *name)
{
    charter_blame(at, "policy",
                  "%s '%s' says whose the row is, so the policy 'owner' cannot decide it; use "
                  "latest, national, local or review",
                  kind, name);
}

static void check_column(const struct charter_at *at, const struct charter_table *t, unsigned index)
{
    const struct charter_column *col = &t->columns[index];
    const char *table = charter_table_policy(at->charter, t);
    struct written_rule r = {"column",
                             col->name,
                             col->policy,
                             col->fallback,
                             col->rank,
                             col->n_rank,
                             col->policy ? col->policy : table};
    check_name(at, "name", "a column", col->name);
    for (unsigned i = 0; i < index; i++)
        if (charter_same_name(t->columns[i].name, col->name))
            charter_blame(at, "name", "column '%s' is listed twice", col->name);
    check_right(at, "write", col->write, writes);
    check_rule(at, &r);
    if (t->scope.column && charter_same_name(t->scope.column, col->name) &&
        (is(col->policy, "owner") || is(col->fallback, "owner")))
        blame_own_scope(at, "column", col->name);
}

/* Whether a column stands in a group before `limit`, or before entry `entry` of group `limit`. */
static const struct charter_group *group_of(const struct charter_table *t, unsigned limit,
                                            unsigned entry, const char *column)
{
    for (unsigned g = 0; g <= limit && g < t->n_groups; g++)
        for (unsigned i = 0; i < (g == limit ? entry : t->groups[g].n_columns); i++)
            if (charter_same_name(t->groups[g].columns[i], column))
                return &t->groups[g];
    return NULL;
}

static bool group_has(const struct charter_group *group, const char *column)
{
    for (unsigned i = 0; i < group->n_columns; i++)
        if (charter_same_name(group->columns[i], column))
            return true;
    return false;
}

/* A conflict names its cell: a column, a group, or one of two words. */
static void check_group_name(const struct charter_at *at, const struct charter_table *t,
                             unsigned index)
{
    const struct charter_group *group = &t->groups[index];
    check_name(at, "name", "a group", group->name);
    for (unsigned i = 0; i < index; i++)
        if (charter_same_name(t->groups[i].name, group->name))
            charter_blame(at, "name", "group '%s' is listed twice", group->name);
    if (charter_same_name(group->name, "exists") || charter_same_name(group->name, "birth"))
        charter_blame(at, "name",
                      "a group cannot be named '%s': conflicts of whole rows are called that",
                      group->name);
}

static void check_group_columns(const struct charter_at *at, const struct charter_table *t,
                                unsigned index)
{
    const struct charter_group *group = &t->groups[index];
    if (group->n_columns < 2)
        charter_blame(at, "columns",
                      "group '%s' has one column; give the column its policy under columns",
                      group->name);
    for (unsigned i = 0; i < group->n_columns; i++) {
        check_name(at, "columns", "a column", group->columns[i]);
        const struct charter_group *other = group_of(t, index, i, group->columns[i]);
        if (other == group)
            charter_blame(at, "columns", "column '%s' stands twice in group '%s'",
                          group->columns[i], group->name);
        else if (other)
            charter_blame(at, "columns",
                          "column '%s' is in two groups, '%s' and '%s'; a column changes "
                          "with one group only",
                          group->columns[i], other->name, group->name);
    }
    for (unsigned i = 0; i < t->n_columns; i++) {
        const struct charter_column *col = &t->columns[i];
        if ((col->policy || col->fallback) && group_has(group, col->name))
            charter_blame(at, "columns",
                          "column '%s' has a policy of its own and is in group '%s'; keep one",
                          col->name, group->name);
    }
}

static void check_group(const struct charter_at *at, const struct charter_table *t, unsigned index)
{
    const struct charter_group *g = &t->groups[index];
    const char *table = charter_table_policy(at->charter, t);
    struct written_rule r = {"group",
                             g->name,
                             g->policy,
                             g->fallback,
                             g->rank,
                             g->n_rank,
                             g->policy ? g->policy : table};
    check_group_name(at, t, index);
    check_group_columns(at, t, index);
    if (is(g->policy, "sum"))
        charter_blame(at, "policy",
                      "group '%s': policy 'sum' is for single columns; name them under columns",
                      g->name);
    check_rule(at, &r);
    if (t->scope.column && group_has(g, t->scope.column) &&
        (is(r.in_force, "owner") || is(g->fallback, "owner")))
        blame_own_scope(at, "group", g->name);
}

static void check_scope(const struct charter_at *at, const struct charter_table *t)
{
    const struct charter_scope *s = &t->scope;
    char path[160];
    if (s->column && s->follow)
        charter_blame(at, "scope", "scope has both column and follow; keep one");
    snprintf(path, sizeof path, "%s.scope", at->path);
    if (!s->column && !s->follow && charter_yaml_has(at->charter->lines, path))
        charter_blame(at, "scope",
                      "scope is empty; write { column: NAME } or { follow: NAME }, or take "
                      "it away for a national table");
    if (s->column)
        check_name(at, "scope.column", "the scope column", s->column);
    if (s->follow)
        check_name(at, "scope.follow", "the scope column", s->follow);
    if (s->follow && is(charter_table_policy(at->charter, t), "owner"))
        charter_blame(at, t->policy ? "policy" : "scope",
                      "policy 'owner' needs the unit in the row itself, but this table follows "
                      "another; use national or local, or scope: { column: NAME }");
}

static void check_table(const struct charter_at *top, unsigned index)
{
    const struct charter *c = top->charter;
    const struct charter_table *t = &c->tables[index];
    struct charter_at at = charter_at_table(top, index, NULL, 0);
    check_name(&at, "name", "a table", t->name);
    for (unsigned i = 0; i < index; i++) {
        const char *from = c->tables[i].from;
        if (charter_same_name(c->tables[i].name, t->name) &&
            (from && t->from ? strcmp(from, t->from) == 0 : !from && !t->from))
            charter_blame(&at, "name", "listed twice; a second entry needs another date in 'from'");
    }
    check_scope(&at, t);
    check_word(&at, "read", "read right", t->read, reads);
    check_right(&at, "write", t->write, writes);
    check_policy(&at, "policy", t->policy, true);
    check_word(&at, "delete", "delete policy", t->delete_policy, deletes);
    check_word(&at, "birth", "birth policy", t->birth, births);
    if (t->from && !is_date(t->from))
        charter_blame(&at, "from", "'%.80s' is not a date; write it as 2027-01-31", t->from);
    for (unsigned i = 0; i < t->n_columns; i++) {
        struct charter_at in = charter_at_table(top, index, "columns", i);
        check_column(&in, t, i);
    }
    for (unsigned i = 0; i < t->n_groups; i++) {
        struct charter_at in = charter_at_table(top, index, "groups", i);
        check_group(&in, t, i);
    }
}

static bool is_federation_name(const char *s)
{
    size_t n = strlen(s);
    return n <= 64 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

enum err charter_check(const struct charter *c, char msg[1024])
{
    unsigned count = 0;
    struct charter_at top = {.charter = c, .msg = msg, .count = &count};
    if (!is_federation_name(c->federation))
        charter_blame(&top, "federation",
                      "federation must be a short name of letters, digits, '-', '_' "
                      "and '.', at most 64");
    if (c->schema_version == 0)
        charter_blame(&top, "schema_version", "schema_version begins with 1");
    if (c->retention_days == 0 || c->retention_days > 36500)
        charter_blame(&top, "retention_days", "retention_days must be between 1 and 36500");
    if (c->journal_days > 36500)
        charter_blame(&top, "journal_days", "journal_days must be at most 36500, or 0 for ever");
    check_right(&top, "review_by", c->review_by, reviewers);
    check_policy(&top, "defaults.policy", c->defaults.policy, true);
    check_word(&top, "defaults.delete", "delete policy", c->defaults.delete_policy, deletes);
    check_word(&top, "defaults.birth", "birth policy", c->defaults.birth, births);
    check_right(&top, "defaults.write", c->defaults.write, writes);
    for (unsigned i = 0; i < c->n_tables; i++)
        check_table(&top, i);
    return count ? ERR_MALFORMED : ERR_OK;
}
