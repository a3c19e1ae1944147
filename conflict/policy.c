/* Who wins among siblings. The winner has the highest mark; among equal marks the time decides:
 *
 *   policy    mark, from the highest down                                  equal marks
 *   latest    -                                                            highest time
 *   earliest  -                                                            lowest time
 *   max       values as value_compare orders them                          highest time
 *   min       likewise, from the lowest up                                 highest time
 *   owner     longest unit that is a prefix of the row's scope; any other  highest time
 *             unit, and a site without one
 *   national  shortest unit ("" before "12" before "1201"); no unit        highest time
 *   local     longest unit; no unit                                        highest time
 *   rank      last in the list ... first in the list; not in the list      highest time
 *
 * Time is (hlc, site, seq), which is total because no two versions of a cell share a dot; marks are
 * a function of the version alone. So every row of the table has exactly one winner, whatever the
 * order of the versions. The unit is that of the site in the version's dot. A scope or a ranked
 * value that is an INTEGER counts as its decimal text; any other type is in no list, and as a scope
 * means the nation. Of a group, rank looks at the first member; max and min compare member by
 * member.
 *
 *   cell                       policy_of    policy_shown
 *   column or group            charter's    the same; under review the fallback (default latest)
 *   existence, update-wins     max          max (alive = 1 is above dead = 0)
 *   existence, delete-wins     min          min
 *   existence, review          review       max
 */
#include "conflict/policy.h"

#include <string.h>

static const char *const policies[POLICY_COUNT] = {
    [POLICY_LATEST] = "latest", [POLICY_EARLIEST] = "earliest", [POLICY_MAX] = "max",
    [POLICY_MIN] = "min",       [POLICY_OWNER] = "owner",       [POLICY_NATIONAL] = "national",
    [POLICY_LOCAL] = "local",   [POLICY_RANK] = "rank",         [POLICY_SUM] = "sum",
    [POLICY_REVIEW] = "review",
};
static const char *const delete_policies[DELETE_COUNT] = {
    [DELETE_UPDATE_WINS] = "update-wins",
    [DELETE_DELETE_WINS] = "delete-wins",
    [DELETE_REVIEW] = "review",
};
static const char *const birth_policies[BIRTH_COUNT] = {
    [BIRTH_FIRST] = "first",
    [BIRTH_LATEST] = "latest",
    [BIRTH_REVIEW] = "review",
};

int version_order(const struct version *a, const struct version *b)
{
    if (a->hlc != b->hlc)
        return a->hlc < b->hlc ? -1 : 1;
    return dot_compare(a->dot, b->dot);
}

const char *unit_of(const struct unit_list *units, uint64_t site)
{
    size_t low = 0;
    size_t high = units ? units->n : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (units->site[middle].site < site)
            low = middle + 1;
        else
            high = middle;
    }
    return units && low < units->n && units->site[low].site == site ? units->site[low].unit : NULL;
}

#define DECIMAL 24

/* A TEXT as it is, an INTEGER as its decimal text (in `room`), everything else as NULL. */
static struct value as_text(const struct value *v, char room[DECIMAL])
{
    if (v->type == VALUE_TEXT)
        return *v;
    if (v->type != VALUE_INTEGER)
        return value_null();
    char *p = room + DECIMAL;
    uint64_t rest = v->u.i < 0 ? -(uint64_t)v->u.i : (uint64_t)v->u.i;
    do
        *--p = (char)('0' + rest % 10);
    while (rest /= 10);
    if (v->u.i < 0)
        *--p = '-';
    return value_bytes(VALUE_TEXT, p, (size_t)(room + DECIMAL - p));
}

static bool covers(const char *unit, size_t len, const struct value *scope)
{
    char room[DECIMAL];
    struct value text = as_text(scope, room);
    return len == 0 || (len <= text.len && memcmp(unit, text.u.p, len) == 0);
}

static size_t unit_mark(const struct chooser *c, const struct version *v)
{
    const char *unit = unit_of(c->units, v->dot.site);
    if (!unit)
        return 0;
    size_t len = strlen(unit);
    if (c->policy == POLICY_NATIONAL)
        return SIZE_MAX - len;
    if (c->policy == POLICY_OWNER && !covers(unit, len, &c->scope))
        return 0;
    return len + 1;
}

static size_t rank_mark(const struct rank_list *rank, const struct version *v)
{
    char room[DECIMAL];
    struct value first = v->value;
    if (first.type == VALUE_TUPLE) {
        struct cursor members = cursor_of(first.u.p, first.len);
        if (value_decode(&members, &first))
            return 0;
    }
    struct value text = as_text(&first, room);
    for (size_t i = rank ? rank->n : 0; i > 0; i--) {
        struct value listed = value_text(rank->text[i - 1]);
        if (value_alike(&text, &listed))
            return i;
    }
    return 0;
}

/* Above 0 when `a` has the higher mark. */
static int compare_marks(const struct chooser *c, const struct version *a, const struct version *b)
{
    size_t mark_a;
    size_t mark_b;
    switch (c->policy) {
    case POLICY_MAX:
        return value_compare(&a->value, &b->value);
    case POLICY_MIN:
        return value_compare(&b->value, &a->value);
    case POLICY_OWNER:
    case POLICY_NATIONAL:
    case POLICY_LOCAL:
        mark_a = unit_mark(c, a);
        mark_b = unit_mark(c, b);
        break;
    case POLICY_RANK:
        mark_a = rank_mark(c->rank, a);
        mark_b = rank_mark(c->rank, b);
        break;
    default:
        return 0;
    }
    return (mark_a > mark_b) - (mark_a < mark_b);
}

static bool beats(const struct chooser *c, const struct version *a, const struct version *b)
{
    int mark = compare_marks(c, a, b);
    if (mark)
        return mark > 0;
    int time = version_order(a, b);
    return c->policy == POLICY_EARLIEST ? time < 0 : time > 0;
}

size_t policy_choose(const struct chooser *c, const struct version *v, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (beats(c, &v[i], &v[best]))
            best = i;
    return best;
}

const struct cell_group *cell_group_of(const struct table_rules *rules, uint32_t cell)
{
    return rules->group && cell < rules->n_columns ? rules->group[cell] : NULL;
}

uint32_t cell_of(const struct table_rules *rules, uint32_t column)
{
    const struct cell_group *g = cell_group_of(rules, column);
    for (uint32_t i = 0; g && i < g->n; i++)
        if (g->column[i] < column)
            column = g->column[i];
    return column;
}

enum policy policy_of(const struct table_rules *rules, uint32_t cell)
{
    static const uint8_t existence[DELETE_COUNT] = {
        [DELETE_UPDATE_WINS] = POLICY_MAX,
        [DELETE_DELETE_WINS] = POLICY_MIN,
        [DELETE_REVIEW] = POLICY_REVIEW,
    };
    if (cell == COLUMN_EXISTS)
        return (enum policy)existence[rules->delete_policy];
    return cell < rules->n_columns ? (enum policy)rules->policy[cell] : POLICY_LATEST;
}

enum policy policy_shown(const struct table_rules *rules, uint32_t cell)
{
    enum policy p = policy_of(rules, cell);
    if (p != POLICY_REVIEW)
        return p;
    if (cell == COLUMN_EXISTS)
        return POLICY_MAX;
    return rules->fallback ? (enum policy)rules->fallback[cell] : POLICY_LATEST;
}

static const char *name_at(const char *const *list, unsigned n, unsigned i)
{
    return i < n ? list[i] : "unknown";
}

/* Place of a name in a list, or -1. */
static int find_name(const char *const *list, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return i;
    return -1;
}

const char *policy_name(enum policy p)
{
    return name_at(policies, POLICY_COUNT, p);
}

enum err policy_parse(const char *name, enum policy *p)
{
    int i = find_name(policies, POLICY_COUNT, name);
    if (i < 0)
        return ERR_NOT_FOUND;
    *p = (enum policy)i;
    return ERR_OK;
}

const char *delete_policy_name(enum delete_policy p)
{
    return name_at(delete_policies, DELETE_COUNT, p);
}

enum err delete_policy_parse(const char *name, enum delete_policy *p)
{
    int i = find_name(delete_policies, DELETE_COUNT, name);
    if (i < 0)
        return ERR_NOT_FOUND;
    *p = (enum delete_policy)i;
    return ERR_OK;
}

const char *birth_policy_name(enum birth_policy p)
{
    return name_at(birth_policies, BIRTH_COUNT, p);
}

enum err birth_policy_parse(const char *name, enum birth_policy *p)
{
    int i = find_name(birth_policies, BIRTH_COUNT, name);
    if (i < 0)
        return ERR_NOT_FOUND;
    *p = (enum birth_policy)i;
    return ERR_OK;
}
