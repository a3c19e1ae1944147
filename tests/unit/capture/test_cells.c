/* The charter's policies against the tables: what is refused, what changes together, and what the
 * rules of a table are then. */
#include "node/charter/charter.h"
#include "node/check/check.h"
#include "node/db/db.h"
#include "node/schema/own.h"
#include "node/schema/schema.h"
#include "tests/lib/check.h"
#include "tests/unit/capture/fixture.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define ID "id TEXT PRIMARY KEY NOT NULL"

struct completed {
    struct capture_office o;
    const char *json;
    struct finding *f;
    size_t n;
};

/* Reads a charter whose tables are `yaml`, and completes it from this schema. */
static void complete(struct completed *x, const char *schema, const char *yaml)
{
    struct charter c;
    char text[2048], msg[1024];
    capture_office_open(&x->o, schema, "");
    snprintf(text, sizeof text, "federation: x\nschema_version: 1\ntables:\n%s", yaml);
    if (charter_parse(&x->o.a, "c", text, strlen(text), &c, msg))
        fail_msg("%s", msg);
    if (store_schema_complete(x->o.s, &x->o.a, &c, &c, &x->f, &x->n))
        fail_msg("%s", store_message(x->o.s));
    assert_int_equal(charter_write(&x->o.a, &c, &x->json), ERR_OK);
}

static const char *finding_of(const struct completed *x, const char *level)
{
    for (size_t i = 0; i < x->n; i++) {
        if (strcmp(x->f[i].level, level) == 0)
            return x->f[i].text;
    }
    return NULL;
}

/* Fails unless completing finds exactly one thing of this level, and says this of it. */
static void expect_finding(const char *schema, const char *yaml, const char *level,
                           const char *wanted)
{
    struct completed x = {0};
    size_t of_level = 0;
    complete(&x, schema, yaml);
    for (size_t i = 0; i < x.n; i++)
        of_level += strcmp(x.f[i].level, level) == 0;
    const char *text = finding_of(&x, level);
    if (of_level != 1 || !strstr(text, wanted))
        fail_msg("wanted %s '%s', got %zu, the first '%s' for %s", level, wanted, of_level,
                 text ? text : "", schema);
    capture_office_close(&x.o);
}

static void expect_fail(const char *schema, const char *yaml, const char *wanted)
{
    expect_finding(schema, yaml, "fail", wanted);
}

static void expect_good(const char *schema, const char *yaml)
{
    struct completed x = {0};
    complete(&x, schema, yaml);
    const char *text = finding_of(&x, "fail");
    if (!text)
        text = finding_of(&x, "warn");
    if (text)
        fail_msg("found '%s' for %s", text, schema);
    capture_office_close(&x.o);
}

/* A counter is an INTEGER that nothing has a say in: no key, CHECK, UNIQUE, partial index or
 * reference, also not through a generated column; an ordinary index and a generated column that is
 * only read are no harm. */
static void sums_stand_alone(void **state)
{
    static const char sum[] = "  - { name: t, columns: [{name: n, policy: sum}] }\n";
    static const char check[] = "could refuse a total that nobody wrote";
    expect_good("CREATE TABLE t(" ID ", n INTEGER NOT NULL DEFAULT 0, b INT, g AS (n + 1));"
                "CREATE INDEX i ON t(n);",
                sum);
    expect_good("CREATE TABLE t(" ID ", n INTEGER) STRICT;", sum);
    expect_fail("CREATE TABLE t(" ID ", n TEXT);", sum,
                "t.n adds up (policy sum), but is declared TEXT: declare it INTEGER");
    expect_fail("CREATE TABLE t(" ID ", n);", sum, "is declared without a type");
    expect_fail("CREATE TABLE t(" ID ", n DECIMAL(10,2));", sum, "is declared DECIMAL(10,2)");
    expect_fail("CREATE TABLE t(id TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(id, n));", sum,
                "t.n is part of the key");
    expect_fail("CREATE TABLE t(" ID ", n INTEGER CHECK (n >= 0));", sum, "CHECK (n >= 0)");
    expect_fail("CREATE TABLE t(" ID ", n INTEGER, m, CONSTRAINT enough CHECK (m > \"N\"));", sum,
                "and CHECK enough could refuse");
    expect_fail("CREATE TABLE t(" ID ", n INTEGER UNIQUE);", sum, "UNIQUE (n)");
    expect_fail("CREATE TABLE t(" ID ", n INTEGER, m); CREATE UNIQUE INDEX i ON t(m) WHERE n > 0;",
                sum, "UNIQUE index i");
    expect_fail("CREATE TABLE t(" ID ", n INTEGER, m AS (abs(n)), CHECK (m < 5));", sum, check);
    expect_fail("CREATE TABLE t(" ID ", n INTEGER, m AS (abs(n)) UNIQUE);", sum, check);
    expect_fail("CREATE TABLE p(" ID "); CREATE TABLE t(" ID ", n INTEGER REFERENCES p(id));",
                "  - { name: p }\n  - { name: t, columns: [{name: n, policy: sum}] }\n",
                "cannot refer to another table");
}

/* Text in a CHECK that is no column is none: literals, comments, functions, other tables' names. */
static void checks_name_columns_and_nothing_else(void **state)
{
    expect_good(
        "CREATE TABLE t(" ID ", n INTEGER, length TEXT, CHECK (length(id) > 1 /* n */ AND id "
        "<> 'n' -- n\n));",
        "  - { name: t, columns: [{name: n, policy: sum}, {name: length, policy: max}] }\n");
    expect_fail("CREATE TABLE t(" ID ", n INTEGER, CHECK (t.[n] <> 1));",
                "  - { name: t, columns: [{name: n, policy: sum}] }\n", "could refuse");
}

/* The columns that a charter's group names are there, stored, and can change. */
static void groups_name_columns_that_change(void **state)
{
    static const char table[] = "CREATE TABLE t(" ID ", a, b, g AS (a));";
    expect_good(table, "  - { name: t, groups: [{name: x, columns: [A, b]}] }\n");
    expect_good(table, "  - { name: t, groups: [{name: a, columns: [a, b]}] }\n");
    expect_fail(table, "  - { name: t, groups: [{name: x, columns: [a, bb]}] }\n",
                "group x: column t.bb is not in this database; did you mean b?");
    expect_fail(table, "  - { name: t, groups: [{name: x, columns: [a, g]}] }\n",
                "group x: column t.g is generated");
    expect_fail(table, "  - { name: t, groups: [{name: x, columns: [a, id]}] }\n",
                "group x: t.id is part of the key, which never changes: leave it out");
    expect_fail("CREATE TABLE t(" ID ", a, b, x);",
                "  - { name: t, groups: [{name: x, columns: [a, b]}] }\n",
                "group x has the name of a column that is not in it");
}

/* A scope column is stored and never NULL, one that is followed leads to a replicated table. */
static void scopes_are_there(void **state)
{
    static const char unit[] = "  - { name: t, scope: { column: unit } }\n";
    static const char follow[] = "  - { name: t, scope: { follow: up } }\n  - { name: p }\n";
    expect_good("CREATE TABLE t(" ID ", unit TEXT NOT NULL);", unit);
    expect_good("CREATE TABLE t(unit TEXT, day TEXT, PRIMARY KEY(unit, day)) WITHOUT ROWID;", unit);
    expect_fail("CREATE TABLE t(" ID ", units TEXT NOT NULL);", unit,
                "the scope column t.unit is not in this database; did you mean units?");
    expect_fail("CREATE TABLE t(" ID ", unit TEXT);", unit,
                "the scope column t.unit accepts NULL: declare it NOT NULL");
    expect_fail("CREATE TABLE t(" ID ", u TEXT NOT NULL, unit TEXT AS (u) NOT NULL);", unit,
                "the scope column t.unit is generated");
    expect_good("CREATE TABLE p(" ID "); CREATE TABLE t(" ID ", up TEXT NOT NULL REFERENCES p);",
                follow);
    expect_fail("CREATE TABLE p(" ID "); CREATE TABLE t(" ID ", ups TEXT NOT NULL REFERENCES p);",
                follow, "the scope column t.up is not in this database; did you mean ups?");
    expect_finding("CREATE TABLE p(" ID "); CREATE TABLE t(" ID ", up TEXT NOT NULL);", follow,
                   "warn", "t.up leads to no replicated table");
    expect_finding("CREATE TABLE p(" ID "); CREATE TABLE t(" ID ", up TEXT REFERENCES p);", follow,
                   "warn", "t.up accepts NULL");
}

static void expect_groups(const char *schema, const char *yaml, const char *wanted)
{
    struct completed x = {0};
    complete(&x, schema, yaml);
    if (finding_of(&x, "fail"))
        fail_msg("%s", finding_of(&x, "fail"));
    json_t *root = json_loads(x.json, 0, NULL);
    json_t *t = json_array_get(json_object_get(root, "tables"), 0);
    json_t *other = json_loads(wanted, 0, NULL);
    char *groups = json_dumps(json_object_get(t, "groups"), JSON_COMPACT);
    assert_non_null(other);
    if (!json_equal(json_object_get(t, "groups"), other))
        fail_msg("wanted %s, got %s", wanted, groups);
    free(groups);
    json_decref(root);
    json_decref(other);
    capture_office_close(&x.o);
}

/* What one CHECK or UNIQUE names together becomes one group, transitively, without key columns and
 * without what only a partial index's predicate reads; a group of the file that holds it all is
 * enough.
 */
static void constraints_imply_groups(void **state)
{
    static const char plain[] = "  - { name: t }\n";
    static const char ab[] = "[{\"name\":\"a+b\",\"columns\":[\"a\",\"b\"],\"policy\":\"latest\","
                             "\"implied\":true,\"from\":\"default\",\"line\":\"default\"}]";
    expect_groups("CREATE TABLE t(" ID ", a CHECK (a > 0), b UNIQUE, c);", plain, "[]");
    expect_groups("CREATE TABLE t(" ID ", a, b CHECK (b > \"a\"), c);", plain, ab);
    expect_groups("CREATE TABLE t(" ID ", a, b, c, UNIQUE(b, a));", plain, ab);
    expect_groups("CREATE TABLE t(" ID ", a, b, c, UNIQUE(b, id, a), CHECK (id <> c));", plain, ab);
    expect_groups("CREATE TABLE t(" ID
                  ", a, b, c); CREATE UNIQUE INDEX i ON t(lower(a || b)) WHERE c "
                  "IS NULL;",
                  plain, ab);
    expect_groups("CREATE TABLE t(" ID ", a, b, g AS (a || b) UNIQUE, c);", plain, ab);
    expect_groups("CREATE TABLE t(" ID ", a, b, c, d, \"a+b+d\", CHECK (b < d), CHECK (d < a));",
                  plain,
                  "[{\"name\":\"a+b+d+\",\"columns\":[\"a\",\"b\",\"d\"],\"policy\":\"latest\","
                  "\"implied\":true,\"from\":\"default\",\"line\":\"default\"}]");
    expect_groups("CREATE TABLE t(" ID ", a, b, c, CHECK (a < b));",
                  "  - name: t\n    columns:\n"
                  "      - { name: a, policy: review, fallback: max }\n"
                  "      - { name: b, policy: review, fallback: max }\n",
                  "[{\"name\":\"a+b\",\"columns\":[\"a\",\"b\"],\"policy\":\"review\","
                  "\"fallback\":\"max\",\"implied\":true,\"from\":\"column\",\"line\":6}]");
    expect_groups("CREATE TABLE t(" ID ", a, b, c, CHECK (a < b));",
                  "  - { name: t, groups: [{name: g, columns: [c, b, a], policy: max}] }\n",
                  "[{\"name\":\"g\",\"columns\":[\"c\",\"b\",\"a\"],\"policy\":\"max\","
                  "\"from\":\"group\",\"line\":4}]");
}

/* Where the columns that one constraint names are decided in different ways, the administrator has
 * to say. */
static void constraints_need_one_rule(void **state)
{
    static const char table[] =
        "CREATE TABLE t(" ID ", a, b, c, d, CONSTRAINT span CHECK (a < b));";
    expect_fail(table, "  - { name: t, columns: [{name: b, policy: max}] }\n",
                "CHECK span of t names a (policy latest) and b (policy max), and what each decides "
                "may not fit the other: put them in one group");
    expect_fail(table, "  - { name: t, groups: [{name: g, columns: [a, c]}] }\n",
                "names a (group g) and b (policy latest)");
    expect_fail(
        table,
        "  - { name: t, groups: [{name: g, columns: [a, c]}, {name: h, columns: [b, d]}] }\n",
        "names a (group g) and b (group h)");
    expect_fail("CREATE TABLE t(" ID ", a, b, UNIQUE(a, b));",
                "  - { name: t, columns: [{name: b, policy: earliest}] }\n",
                "UNIQUE (a, b) of t names a (policy latest) and b (policy earliest)");
    expect_fail(table,
                "  - { name: t, columns: [{name: a, policy: rank, rank: [x, y]}, {name: b, policy: "
                "rank, rank: [y, x]}] }\n",
                "put them in one group");
}

/* Beside the scope column, what only inherits the policy owner is decided like the scope column;
 * what has the policy owner by name is not. */
static void inherited_owners_follow_the_scope_column(void **state)
{
    static const char table[] =
        "CREATE TABLE t(" ID ", unit TEXT NOT NULL, no TEXT, c, UNIQUE(unit, no), CHECK (no < c));";
    expect_groups(table, "  - { name: t, policy: owner, scope: { column: unit } }\n",
                  "[{\"name\":\"unit+no+c\",\"columns\":[\"unit\",\"no\",\"c\"],"
                  "\"policy\":\"latest\",\"implied\":true,\"from\":\"scope\",\"line\":4}]");
    expect_fail(
        table,
        "  - { name: t, policy: owner, scope: { column: unit }, columns: [{name: no, policy: "
        "owner}, {name: c, policy: owner}] }\n",
        "names unit (policy latest) and no (policy owner)");
}

/* ---- the rules that a table has then ---- */

static void expect_rule(const struct table_schema *t, const char *column, enum policy policy,
                        enum policy shown, const char *group)
{
    uint32_t c = schema_column(t, column);
    assert_int_not_equal(c, UINT32_MAX);
    assert_int_equal(t->rules.policy[c], policy);
    assert_int_equal(policy_of(&t->rules, cell_of(&t->rules, c)), policy);
    assert_int_equal(policy_shown(&t->rules, cell_of(&t->rules, c)), shown);
    const struct cell_group *g = t->rules.group ? t->rules.group[c] : NULL;
    if (!g != !group || (g && strcmp(g->name, group) != 0))
        fail_msg("%s is in group %s", column, g ? g->name : "(none)");
}

static void publish(struct completed *x)
{
    office_publish(&x->o, "0000000002", x->json);
    office_install(&x->o);
}

/* A charter that uses every rule compiles, is completed, and is what the table's rules say; the
 * members of a group have equal entries, led by the first that the file names. */
static void a_charter_becomes_the_rules_of_its_tables(void **state)
{
    struct completed x = {0};
    complete(&x,
             "CREATE TABLE t(a TEXT, " ID ", unit TEXT NOT NULL, n INTEGER, s, d, r, b, e, x, y,"
             " CHECK (x < y));"
             "CREATE TABLE plain(" ID ", v);",
             "  - name: t\n"
             "    policy: owner\n"
             "    scope: { column: UNIT }\n"
             "    delete: delete-wins\n"
             "    birth: review\n"
             "    columns:\n"
             "      - { name: n, policy: sum }\n"
             "      - { name: r, policy: review, fallback: rank, rank: [1, 2] }\n"
             "      - { name: b, policy: review }\n"
             "      - { name: e, policy: earliest }\n"
             "    groups:\n"
             "      - { name: state, columns: [s, d, A], policy: rank, rank: [active, ended] }\n"
             "  - name: plain\n");
    assert_null(finding_of(&x, "fail"));
    publish(&x);
    const struct table_schema *t = schema_table(x.o.s, "t"), *plain = schema_table(x.o.s, "plain");
    assert_true(t->exists);
    assert_int_equal(t->rules.n_columns, t->n_columns);
    assert_int_equal(t->rules.delete_policy, DELETE_DELETE_WINS);
    assert_int_equal(t->rules.birth_policy, BIRTH_REVIEW);
    assert_int_equal(t->rules.scope, schema_column(t, "unit") + 1);
    assert_ptr_equal(t->rules.units, &own_of(x.o.s)->units);
    expect_rule(t, "n", POLICY_SUM, POLICY_SUM, NULL);
    expect_rule(t, "r", POLICY_REVIEW, POLICY_RANK, NULL);
    expect_rule(t, "b", POLICY_REVIEW, POLICY_LATEST, NULL);
    expect_rule(t, "e", POLICY_EARLIEST, POLICY_EARLIEST, NULL);
    expect_rule(t, "unit", POLICY_LATEST, POLICY_LATEST, NULL);
    expect_rule(t, "x", POLICY_OWNER, POLICY_OWNER, "x+y");
    expect_rule(t, "y", POLICY_OWNER, POLICY_OWNER, "x+y");
    static const char *const members[] = {"s", "d", "a"};
    const struct cell_group *g = t->rules.group[schema_column(t, "s")];
    assert_int_equal(g->n, 3);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t c = schema_column(t, members[i]);
        expect_rule(t, members[i], POLICY_RANK, POLICY_RANK, "state");
        assert_ptr_equal(t->rules.group[c], g);
        assert_int_equal(g->column[i], c);
        assert_int_equal(t->rules.rank[c].n, 2);
        assert_string_equal(t->rules.rank[c].text[1], "ended");
    }
    assert_string_equal(t->rules.rank[schema_column(t, "r")].text[0], "1");
    assert_int_equal(t->rules.rank[schema_column(t, "n")].n, 0);
    expect_rule(plain, "v", POLICY_LATEST, POLICY_LATEST, NULL);
    assert_null(plain->rules.group);
    assert_null(plain->rules.fallback);
    assert_null(plain->rules.rank);
    assert_int_equal(plain->rules.scope, 0);
    capture_office_close(&x.o);
}

/* The completed form names for every column who gave its policy and where. */
static void the_completed_form_says_where_policies_come_from(void **state)
{
    static const struct {
        const char *column, *from;
        int line;
    } wanted[] = {{"id", "table", 5}, {"a", "group", 9}, {"b", "group", 9},
                  {"c", "column", 7}, {"d", "table", 5}, {"e", "table", 5}};
    struct completed x = {0};
    complete(&x, "CREATE TABLE t(" ID ", a, b, c, d, e, CHECK (d < e));",
             "  - name: t\n    policy: review\n    columns:\n      - { name: c, policy: max }\n"
             "    groups:\n      - { name: g, columns: [b, a], policy: min }\n");
    json_t *root = json_loads(x.json, 0, NULL);
    json_t *list = json_object_get(json_array_get(json_object_get(root, "tables"), 0), "columns");
    assert_int_equal(json_array_size(list), sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *c = json_array_get(list, i);
        assert_string_equal(json_string_value(json_object_get(c, "name")), wanted[i].column);
        assert_string_equal(json_string_value(json_object_get(c, "from")), wanted[i].from);
        assert_int_equal(json_integer_value(json_object_get(c, "line")), wanted[i].line);
    }
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "policy")),
                        "min");
    assert_null(json_object_get(json_array_get(list, 1), "fallback"));
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 4), "fallback")),
                        "latest");
    json_decref(root);
    capture_office_close(&x.o);
}

/* A group keeps to the columns that are here and can change; where fewer than two are left there is
 * no group. */
static void a_group_keeps_to_what_can_change(void **state)
{
    struct capture_office o;
    capture_office_open(&o, "CREATE TABLE t(" ID ", a, b); CREATE TABLE u(" ID ", a, b);", "");
    office_publish(&o, "0000000002",
                   "{\"tables\":[{\"name\":\"t\",\"groups\":[{\"name\":\"g\","
                   "\"columns\":[\"b\",\"id\",\"a\",\"gone\"]}]},"
                   "{\"name\":\"u\",\"groups\":[{\"name\":\"g\",\"columns\":[\"id\",\"a\"]}]}]}");
    office_install(&o);
    const struct table_schema *t = schema_table(o.s, "t"), *u = schema_table(o.s, "u");
    const struct cell_group *g = t->rules.group[1];
    assert_int_equal(g->n, 2);
    assert_int_equal(g->column[0], 2);
    assert_int_equal(g->column[1], 1);
    assert_null(t->rules.group[0]);
    for (uint32_t i = 0; i < u->n_columns; i++)
        assert_null(u->rules.group[i]);
    capture_office_close(&o);
}

/* Under a charter in force, a CHECK that only this database has is warned of. */
static void a_check_that_the_charter_did_not_foresee_is_a_warning(void **state)
{
    struct capture_office o;
    struct finding *f;
    size_t n, warned = 0;
    capture_office_open(&o, "CREATE TABLE t(" ID ", a, b, CHECK (a < b));", "t");
    office_publish(&o, "0000000002",
                   "{\"tables\":[{\"name\":\"t\",\"key\":[\"id\"],\"columns\":[{\"name\":\"id\"},"
                   "{\"name\":\"a\"},{\"name\":\"b\",\"policy\":\"max\"}]}]}");
    office_install(&o);
    assert_int_equal(store_schema_findings(o.s, &o.a, &f, &n), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        assert_string_not_equal(f[i].level, "fail");
        warned += strcmp(f[i].level, "warn") == 0 && strstr(f[i].text, "put them in one group");
    }
    assert_int_equal(warned, 1);
    capture_office_close(&o);
}

/* A published charter that contradicts itself is refused with the table's name and changes nothing.
 */
static void a_damaged_charter_is_refused(void **state)
{
    static const struct {
        const char *table, *message;
    } bad[] = {
        {"\"policy\":\"newest\"", "does not know the policy 'newest'"},
        {"\"policy\":\"rank\"", "policy 'rank' needs a list"},
        {"\"columns\":[{\"name\":\"a\",\"policy\":\"rank\"}]", "policy 'rank' needs its list"},
        {"\"delete\":\"never\"", "does not know the delete policy 'never'"},
        {"\"birth\":\"last\"", "does not know the birth policy 'last'"},
        {"\"policy\":\"review\",\"fallback\":\"sum\"", "cannot be a fallback"},
        {"\"columns\":[{\"policy\":\"max\"}]", "a column without a name"},
        {"\"groups\":[{\"columns\":[\"a\",\"b\"]}]", "a group without a name"},
        {"\"groups\":[{\"name\":\"g\",\"columns\":[\"a\",\"b\"],\"policy\":\"sum\"}]",
         "policy 'sum' is for single columns"},
        {"\"groups\":[{\"name\":\"g\",\"columns\":[\"a\",\"b\"]},"
         "{\"name\":\"h\",\"columns\":[\"B\",\"c\"]}]",
         "column 'B' is in two groups, 'g' and 'h'"},
        {"\"groups\":[{\"name\":\"g\",\"columns\":[\"a\",1]}]", "a name that is no text"},
        {"\"key\":[\"id\"],\"columns\":[{\"name\":\"a\"}]",
         "key column 'id' is not among its columns"},
    };
    struct capture_office o;
    char json[512], version[11];
    capture_office_open(&o, "CREATE TABLE t(" ID ", a, b, c);", "t");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(json, sizeof json, "{\"tables\":[{\"name\":\"t\",%s}]}", bad[i].table);
        snprintf(version, sizeof version, "%010zu", i + 2);
        office_publish(&o, version, json);
        assert_int_equal(schema_load(o.s), ERR_SCHEMA);
        if (!strstr(store_message(o.s), "charter: table 't': ") ||
            !strstr(store_message(o.s), bad[i].message))
            fail_msg("wanted '%s', got '%s'", bad[i].message, store_message(o.s));
    }
    office_publish(&o, "0000000099", "{\"tables\":[{\"name\":\"t\"}]}");
    assert_int_equal(schema_load(o.s), ERR_OK);
    assert_true(schema_table(o.s, "t")->exists);
    capture_office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_stand_alone),
        cmocka_unit_test(checks_name_columns_and_nothing_else),
        cmocka_unit_test(groups_name_columns_that_change),
        cmocka_unit_test(scopes_are_there),
        cmocka_unit_test(constraints_imply_groups),
        cmocka_unit_test(constraints_need_one_rule),
        cmocka_unit_test(inherited_owners_follow_the_scope_column),
        cmocka_unit_test(a_charter_becomes_the_rules_of_its_tables),
        cmocka_unit_test(the_completed_form_says_where_policies_come_from),
        cmocka_unit_test(a_group_keeps_to_what_can_change),
        cmocka_unit_test(a_check_that_the_charter_did_not_foresee_is_a_warning),
        cmocka_unit_test(a_damaged_charter_is_refused),
    };
    return check_run(tests);
}
