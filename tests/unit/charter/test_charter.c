/* The charter file: what it may say, and how a mistake is told. */
#include "node/charter/charter.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD "federation: kh\nschema_version: 1\ntables:\n" /* three lines */

static struct arena arena;

static int reset(void **state)
{
    arena_fini(&arena);
    return 0;
}

static enum err parse(const char *text, struct charter *c, char msg[1024])
{
    memset(c, 0, sizeof *c);
    return charter_parse(&arena, "charter.yaml", text, strlen(text), c, msg);
}

/* Fails unless `text` is refused with a message that holds `wanted`. */
static void expect_message(const char *text, const char *wanted)
{
    struct charter c;
    char msg[1024] = "";
    enum err err = parse(text, &c, msg);
    if (err == ERR_OK || !strstr(msg, wanted))
        fail_msg("wanted '%s', got error %s '%s' for:\n%s", wanted, err_name(err), msg, text);
}

/* Every key of the documented file is read, with its type, into its place. */
static void charter_keeps_every_key_of_the_contract(void **state)
{
    struct charter c;
    char msg[1024];
    assert_int_equal(charter_load(&arena, FIXTURES "/full.yaml", &c, msg), ERR_REFUSED);
    assert_string_equal(c.federation, "kh-civil-registry");
    assert_int_equal(c.schema_version, 7);
    assert_string_equal(c.migrations, "migrations/");
    assert_int_equal(c.retention_days, 30);
    assert_int_equal(c.journal_days, 0);
    assert_string_equal(c.review_by, "1201");
    assert_int_equal(c.key_blocks.count, 512);
    assert_int_equal(c.key_blocks.size, 2048);
    assert_string_equal(c.defaults.policy, "latest");
    assert_string_equal(c.defaults.delete_policy, "update-wins");
    assert_string_equal(c.defaults.birth, "first");
    assert_string_equal(c.defaults.write, "any");
    assert_int_equal(c.n_tables, 4);
    const struct charter_table *t = &c.tables[0];
    assert_string_equal(t->name, "resident");
    assert_string_equal(t->scope.column, "commune_code");
    assert_null(t->scope.follow);
    assert_string_equal(t->read, "above");
    assert_string_equal(t->write, "owner");
    assert_string_equal(t->rule.policy, "latest");
    assert_string_equal(t->delete_policy, "delete-wins");
    assert_string_equal(t->birth, "review");
    assert_string_equal(t->keys, "natural");
    assert_false(charter_keys_blocks(t));
    assert_int_equal(t->n_references, 1);
    assert_string_equal(t->references[0].column, "author");
    assert_string_equal(t->references[0].table, "payment");
    assert_string_equal(t->since, "2028-02-29");
    assert_int_equal(t->n_columns, 4);
    assert_string_equal(t->columns[0].name, "ident_code");
    assert_string_equal(t->columns[0].write, "national");
    assert_string_equal(t->columns[1].rule.policy, "sum");
    assert_int_equal(t->columns[2].rule.n_rank, 3);
    assert_string_equal(t->columns[2].rule.rank[2], "revoked");
    assert_string_equal(t->columns[3].rule.fallback, "latest");
    assert_int_equal(t->n_groups, 2);
    assert_string_equal(t->groups[0].name, "full_name");
    assert_int_equal(t->groups[0].n_columns, 2);
    assert_string_equal(t->groups[0].columns[1], "given_name");
    assert_string_equal(t->groups[0].rule.policy, "latest");
    assert_string_equal(t->groups[1].rule.fallback, "rank");
    assert_int_equal(t->groups[1].rule.n_rank, 2);
    assert_string_equal(t->groups[1].rule.rank[1], "2");
    assert_string_equal(c.tables[1].scope.follow, "resident_id");
    assert_string_equal(c.tables[2].name, "resident");
    assert_string_equal(c.tables[3].write, "");
}

/* Only federation, schema_version and a table's name are required; the rest has its documented
 * default. */
static void charter_requires_three_keys_only(void **state)
{
    struct charter c;
    char msg[1024];
    assert_int_equal(parse(HEAD "  - name: a\n", &c, msg), ERR_OK);
    assert_int_equal(c.retention_days, 90);
    assert_int_equal(c.journal_days, 1825);
    assert_string_equal(c.tables[0].rule.policy, "latest");
    assert_null(c.tables[0].scope.column);
    assert_string_equal(c.yaml, HEAD "  - name: a\n");
    expect_message("schema_version: 1\ntables: [{name: a}]\n",
                   "charter.yaml:1: the file lacks 'federation'");
    expect_message("federation: a\ntables: [{name: a}]\n", "the file lacks 'schema_version'");
    expect_message("federation: a\nschema_version: 1\n", "the file lacks 'tables'");
    expect_message(HEAD "  - policy: latest\n", "charter.yaml:4: tables[0] lacks 'name'");
    expect_message("federation: a\nschema_version: 1\ntables: []\n",
                   "charter.yaml:3: tables is empty");
}

/* A key that is unknown is named with its line, and with the key that was probably meant. */
static void charter_names_an_unknown_key_and_its_line(void **state)
{
    expect_message(HEAD "  - name: a\n    polcy: latest\n",
                   "charter.yaml:5: tables[0]: unknown key 'polcy'; did you mean 'policy'?");
    expect_message("federaton: a\n",
                   "charter.yaml:1: the file: unknown key 'federaton'; did you mean 'federation'?");
    expect_message(HEAD "  - name: a\n    scope: { colour: x }\n",
                   "charter.yaml:5: tables[0].scope: unknown key 'colour'");
    expect_message(HEAD "  - name: a\n    zzz: 1\n",
                   "unknown key 'zzz'; known here: name, scope, read");
    expect_message(
        HEAD "  - name: a\n    columns:\n      - { name: b, plicy: sum }\n",
        "charter.yaml:6: tables[0].columns[0]: unknown key 'plicy'; did you mean 'policy'?");
}

/* A key that is given twice is an error that names both lines. */
static void charter_refuses_a_key_given_twice(void **state)
{
    expect_message(HEAD "  - name: a\n    name: b\n",
                   "charter.yaml:5: tables[0].name is given twice (first on line 4)");
    expect_message("federation: a\nfederation: a\n", "charter.yaml:2: federation is given twice");
}

/* Every key has one type; another type in its place is refused at its line. */
static void charter_gives_every_key_one_type(void **state)
{
    expect_message(HEAD "  - name: a\n    scope: national\n",
                   "charter.yaml:5: tables[0].scope must be a mapping");
    expect_message(HEAD "  - name: a\n    policy: { rank: [a] }\n",
                   "charter.yaml:5: tables[0].policy must be a single value");
    expect_message(HEAD "  - name: a\n    columns: b\n", "tables[0].columns must be a list");
    expect_message(HEAD "  - a\n", "charter.yaml:4: tables[0] must be a mapping");
    expect_message("federation: a\nschema_version: one\n",
                   "charter.yaml:2: schema_version: 'one' is not a whole number");
    expect_message("federation: a\nschema_version: 010\n", "'010' is not a whole number");
    expect_message("federation: a\nschema_version: -1\n", "'-1' is not a whole number");
    expect_message("federation: a\nschema_version: 99999999999999999999\n",
                   "is not a whole number");
    expect_message("federation:\n", "charter.yaml:1: federation is empty");
    expect_message("federation: a\nschema_version:\n", "schema_version is empty");
    expect_message("- a\n", "the file must be a mapping");
}

/* Text that is no YAML, or YAML beyond what the file needs, is refused and never crashes. */
static void charter_refuses_what_is_not_its_yaml(void **state)
{
    expect_message("", "the file is empty");
    expect_message("federation: \"a\n", "not readable as YAML");
    expect_message("federation: b: c\n", "not readable as YAML");
    expect_message("\tfederation: a\n", "not readable as YAML");
    expect_message("federation: \xff\xfe\n", "not readable as UTF-8");
    expect_message("federation: \"a\\0b\"\n", "charter.yaml:1: federation: a zero byte");
    expect_message("federation: &x a\n", "anchors, aliases and tags");
    expect_message("federation: !!str a\n", "anchors, aliases and tags");
    expect_message("federation: *x\n", "anchors, aliases and tags");
    expect_message("&x federation: a\n", "a key must be a plain word");
    expect_message("? [a]\n: b\n", "a key must be a plain word");
    expect_message(HEAD "  - name: a\n---\nb: c\n", "only one YAML document");
    char *deep = malloc(20001);
    memset(deep, '[', 20000);
    deep[20000] = '\0';
    expect_message(deep, "the file must be a mapping");
    free(deep);
}

/* A word outside its list is told with the table, the line and the nearest known word. */
static void charter_proposes_the_nearest_word(void **state)
{
    expect_message(
        HEAD "  - name: resident\n    read: all\n    policy: lastest\n",
        "charter.yaml:6: table 'resident': unknown policy 'lastest'; did you mean 'latest'?");
    expect_message(HEAD "  - name: a\n    delete: delete-win\n",
                   "unknown delete policy 'delete-win'; did you mean 'delete-wins'?");
    expect_message(HEAD "  - name: a\n    birth: frist\n",
                   "unknown birth policy 'frist'; did you mean 'first'?");
    expect_message(HEAD "  - name: a\n    keys: block\n",
                   "unknown kind of keys 'block'; did you mean 'blocks'?");
    expect_message(HEAD "  - name: a\n    read: everybody\n",
                   "unknown read right 'everybody'; write one of: none, above, all");
    expect_message(HEAD "  - name: a\n    write: onwer\n",
                   "charter.yaml:5: table 'a': unknown write 'onwer'; did you mean 'owner'?");
    expect_message(
        "federation: a\nschema_version: 1\ndefaults: { write: nobody }\ntables: [{name: a}]\n",
        "charter.yaml:3: unknown write 'nobody'");
    expect_message("federation: a\nschema_version: 1\nreview_by: me\ntables: [{name: a}]\n",
                   "charter.yaml:3: unknown review_by 'me'");
}

/* Unit codes are digits of length 0, 2, 4 or 6. */
static void charter_checks_unit_codes(void **state)
{
    static const char *const good[] = {"'12'", "1201", "120104", "''", "national", "above"};
    static const char *const bad[] = {"'1'", "123", "12010", "1201045", "12010401"};
    char text[256], msg[1024];
    struct charter c;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, HEAD "  - name: a\n    write: %s\n", good[i]);
        assert_int_equal(parse(text, &c, msg), ERR_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, HEAD "  - name: a\n    write: %s\n", bad[i]);
        expect_message(text, "charter.yaml:5: table 'a':");
        expect_message(text, "is not a unit code");
    }
}

/* `from` is a date of the calendar. */
static void charter_checks_dates(void **state)
{
    static const char *const good[] = {"2027-01-01", "2028-02-29", "2000-02-29", "2027-12-31"};
    static const char *const bad[] = {"2027-02-29", "2100-02-29", "2027-13-01", "2027-00-10",
                                      "2027-04-31", "2027-1-1",   "soon",       "2027-01-011",
                                      "20270101",   "2027-01-00"};
    char text[256], msg[1024];
    struct charter c;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, HEAD "  - { name: a, from: %s }\n", good[i]);
        assert_int_equal(parse(text, &c, msg), ERR_REFUSED); /* a date, but beyond this version */
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, HEAD "  - { name: a, from: %s }\n", bad[i]);
        expect_message(text, "is not a date");
    }
}

/* What contradicts itself without a database is found without one. */
static void charter_finds_contradictions(void **state)
{
    expect_message(HEAD "  - name: a\n  - name: A\n", "charter.yaml:5: table 'A': listed twice");
    expect_message(HEAD "  - { name: a, from: 2027-01-01 }\n  - { name: a, from: 2027-01-01 }\n",
                   "listed twice");
    expect_message(HEAD "  - { name: a, columns: [{name: b}, {name: B}] }\n",
                   "column 'B' is listed twice");
    expect_message(HEAD "  - { name: a, scope: { column: b, follow: c } }\n",
                   "both column and follow");
    expect_message(HEAD "  - { name: a, scope: {} }\n", "scope is empty");
    expect_message(HEAD "  - { name: a, columns: [{name: b, policy: rank}] }\n",
                   "policy 'rank' needs its list");
    expect_message(HEAD "  - { name: a, columns: [{name: b, rank: [x]}] }\n",
                   "its policy is not 'rank'");
    expect_message(HEAD "  - { name: a, columns: [{name: b, policy: rank, rank: [x, x]}] }\n",
                   "'x' stands twice");
    expect_message(HEAD "  - { name: a, columns: [{name: b, fallback: latest}] }\n",
                   "its policy is not 'review'");
    expect_message(HEAD "  - { name: a, columns: [{name: b, policy: review, fallback: review}] }\n",
                   "cannot be 'review'");
    expect_message(HEAD "  - name: a\n    groups:\n      - { name: g, columns: [x, y] }\n      - { "
                        "name: h, columns: [Y] }\n",
                   "charter.yaml:7: table 'a': column 'Y' is in two groups, 'g' and 'h'");
    expect_message(HEAD "  - { name: a, groups: [{name: g, columns: [x]}] }\n",
                   "group 'g' has one column");
    expect_message(HEAD "  - { name: a, groups: [{name: birth, columns: [x, y]}] }\n",
                   "a group cannot be named 'birth'");
    expect_message(HEAD "  - { name: a, groups: [{name: g, columns: [x, x]}] }\n",
                   "stands twice in group 'g'");
    expect_message(HEAD
                   "  - { name: a, groups: [{name: g, columns: [x]}, {name: g, columns: [y]}] }\n",
                   "group 'g' is listed twice");
    expect_message(HEAD "  - { name: a, columns: [{name: x, policy: max}], groups: [{name: g, "
                        "columns: [x, y]}] }\n",
                   "keep one");
    expect_message(HEAD "  - name: tonle_node\n", "reserved");
    expect_message(HEAD "  - name: sqlite_master\n", "reserved");
    expect_message("federation: a b\nschema_version: 1\ntables: [{name: a}]\n",
                   "charter.yaml:1: federation must be a short name");
    expect_message("federation: a\nschema_version: 0\ntables: [{name: a}]\n",
                   "schema_version begins with 1");
    expect_message("federation: a\nschema_version: 1\nretention_days: 0\ntables: [{name: a}]\n",
                   "retention_days must be");
}

/* A rank list belongs to the policy or the fallback rank, of a column or a group, and names no
 * value twice; its values are texts, also where YAML would see numbers. */
static void charter_checks_rank_lists(void **state)
{
    struct charter c;
    char msg[1024];
    static const char good[] =
        HEAD "  - name: a\n"
             "    columns:\n"
             "      - { name: n, policy: rank, rank: [1, 02, 3.0, yes] }\n"
             "      - { name: r, policy: review, fallback: rank, rank: [x, y] }\n"
             "    groups:\n"
             "      - { name: g, columns: [s, t], policy: rank, rank: [new, old] }\n"
             "      - { name: h, columns: [u, v], policy: review, fallback: rank, rank: [p] }\n";
    assert_int_equal(parse(good, &c, msg), ERR_OK);
    assert_string_equal(c.tables[0].columns[0].rule.rank[0], "1");
    assert_string_equal(c.tables[0].columns[0].rule.rank[1], "02");
    assert_string_equal(c.tables[0].columns[0].rule.rank[2], "3.0");
    assert_string_equal(c.tables[0].groups[0].rule.rank[1], "old");
    assert_string_equal(c.tables[0].groups[1].rule.fallback, "rank");
    expect_message(HEAD "  - { name: a, columns: [{name: b, policy: review, fallback: rank}] }\n",
                   "column 'b': policy 'rank' needs its list");
    expect_message(HEAD "  - { name: a, groups: [{name: g, columns: [x, y], policy: rank}] }\n",
                   "group 'g': policy 'rank' needs its list");
    expect_message(HEAD "  - { name: a, groups: [{name: g, columns: [x, y], rank: [p]}] }\n",
                   "group 'g' has a rank list, but its policy is not 'rank'");
    expect_message(HEAD "  - { name: a, columns: [{name: b, policy: rank, rank: [1, 2, 1]}] }\n",
                   "column 'b': '1' stands twice in its rank list");
    expect_message(HEAD "  - { name: a, columns: [{name: b, policy: rank, rank: []}] }\n",
                   "is empty; name at least one");
}

/* Policies that need a column of their own stand neither for whole tables nor, as a counter, for
 * groups; a message says where they go. */
static void charter_keeps_policies_in_their_place(void **state)
{
    expect_message(HEAD "  - { name: a, policy: sum }\n", "policy 'sum' is for single columns");
    expect_message(HEAD "  - { name: a, policy: rank }\n",
                   "policy 'rank' needs a list for each column");
    expect_message(
        "federation: kh\nschema_version: 1\ndefaults: { policy: rank }\ntables: [{name: a}]\n",
        "charter.yaml:3: policy 'rank' needs a list");
    expect_message(
        "federation: kh\nschema_version: 1\ndefaults: { policy: sum }\ntables: [{name: a}]\n",
        "charter.yaml:3: policy 'sum' is for single columns");
    expect_message(HEAD "  - { name: a, groups: [{name: g, columns: [x, y], policy: sum}] }\n",
                   "group 'g': policy 'sum' is for single columns");
}

/* A fallback belongs to review, own or the table's, and is a policy that can decide. */
static void charter_checks_fallbacks(void **state)
{
    struct charter c;
    char msg[1024];
    assert_int_equal(parse(HEAD
                           "  - { name: a, policy: review, columns: [{name: b, fallback: max}] }\n",
                           &c, msg),
                     ERR_OK);
    expect_message(HEAD "  - { name: a, policy: review, columns: [{name: b, policy: max, fallback: "
                        "min}] }\n",
                   "its policy is not 'review'");
    expect_message(HEAD "  - { name: a, columns: [{name: b, policy: review, fallback: sum}] }\n",
                   "a sum is never a conflict");
    expect_message(HEAD "  - { name: a, columns: [{name: b, policy: review, fallback: lates}] }\n",
                   "did you mean 'latest'?");
    expect_message(HEAD "  - { name: a, groups: [{name: g, columns: [x, y], policy: review, "
                        "fallback: review}] }\n",
                   "group 'g': a fallback decides until a person does");
    expect_message(HEAD "  - { name: a, groups: [{name: g, columns: [x, y], fallback: max}] }\n",
                   "group 'g' has a fallback, but its policy is not 'review'");
    expect_message(HEAD "  - { name: a, policy: review, columns: [{name: x, fallback: max}], "
                        "groups: [{name: g, columns: [x, y]}] }\n",
                   "has a policy of its own and is in group 'g'");
}

/* owner needs the unit in the row, and cannot decide the very column that names it; a sum cannot be
 * one. */
static void charter_checks_owners(void **state)
{
    struct charter c;
    char msg[1024];
    static const char *const good[] = {
        "  - { name: a, policy: owner }\n",
        "  - { name: a, policy: owner, scope: { column: u } }\n",
        "  - { name: a, scope: { column: u }, columns: [{name: v, policy: owner}] }\n",
        "  - { name: a, scope: { follow: f }, policy: national }\n",
        ("  - { name: a, policy: owner, scope: { column: u }, groups: [{name: g, columns: [u, v], "
         "policy: local}] }\n")};
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"  - { name: a, scope: { follow: f }, policy: owner }\n",
         "policy 'owner' needs the unit in the row itself, but this table follows another"},
        {"  - { name: a, scope: { follow: f }, columns: [{name: v, policy: owner}] }\n",
         "column 'v': policy 'owner' needs the unit in the row itself"},
        {"  - { name: a, scope: { follow: f }, columns: [{name: v, policy: review, fallback: "
         "owner}] }\n",
         "column 'v': policy 'owner' needs the unit in the row itself"},
        {"  - { name: a, scope: { follow: f }, groups: [{name: g, columns: [v, w], policy: "
         "owner}] }\n",
         "group 'g': policy 'owner' needs the unit in the row itself"},
        {"  - { name: a, scope: { column: u }, columns: [{name: U, policy: owner}] }\n",
         "column 'U' says whose the row is, so the policy 'owner' cannot decide it"},
        {"  - { name: a, scope: { column: u }, columns: [{name: u, policy: review, fallback: "
         "owner}] }\n",
         "column 'u' says whose the row is"},
        {"  - { name: a, scope: { column: u }, policy: owner, groups: [{name: g, columns: [u, "
         "v]}] }\n",
         "group 'g' says whose the row is"},
        {"  - { name: a, scope: { column: u }, columns: [{name: U, policy: sum}] }\n",
         "charter.yaml:4: table 'a': column 'U' says whose the row is, so it is no counter"},
    };
    char text[512];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, HEAD "%s", good[i]);
        if (parse(text, &c, msg))
            fail_msg("%s\n%s", msg, text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, HEAD "%s", bad[i].text);
        expect_message(text, bad[i].message);
    }
    expect_message("federation: kh\nschema_version: 1\ndefaults: { policy: owner }\ntables:\n"
                   "  - { name: a, scope: { follow: f } }\n",
                   "charter.yaml:5: table 'a': policy 'owner' needs the unit");
}

/* Who decides conflicts is one of three words or a unit. */
static void charter_checks_reviewers(void **state)
{
    struct charter c;
    char msg[1024], text[256];
    static const char *const good[] = {"owner", "national", "any", "'12'", "''"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text,
                 "federation: a\nschema_version: 1\nreview_by: %s\ntables: [{name: a}]\n", good[i]);
        assert_int_equal(parse(text, &c, msg), ERR_OK);
    }
    expect_message("federation: a\nschema_version: 1\nreview_by: above\ntables: [{name: a}]\n",
                   "charter.yaml:3: unknown review_by 'above'; write one of: owner, national, any");
    expect_message("federation: a\nschema_version: 1\nreview_by: 123\ntables: [{name: a}]\n",
                   "'123' is not a unit code");
}

/* Several mistakes are told at once, one line each, and never more than the message holds. */
static void charter_tells_all_mistakes_that_fit(void **state)
{
    struct charter c;
    char msg[1024], text[8192] = HEAD;
    assert_int_equal(
        parse(HEAD "  - { name: a, policy: x1, read: y1 }\n  - { name: b, birth: z1 }\n", &c, msg),
        ERR_MALFORMED);
    assert_non_null(strstr(msg, "'x1'"));
    assert_non_null(strstr(msg, "'y1'"));
    assert_non_null(strstr(msg, "\ncharter.yaml:5: table 'b': unknown birth policy 'z1'"));
    for (int i = 0; i < 60; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "  - { name: t%d, policy: wrong }\n", i);
    assert_int_equal(parse(text, &c, msg), ERR_MALFORMED);
    assert_in_range(strlen(msg), 800, 1023);
    assert_null(strstr(msg, "'t59'"));
}

/* A list of names as long as the limit is read; one longer is refused at its line. */
static void charter_limits_its_lists(void **state)
{
    struct charter c;
    char msg[1024];
    char *text = calloc(1, 600 * 32);
    strcpy(text, HEAD);
    for (int i = 0; i < 512; i++)
        sprintf(text + strlen(text), "  - name: t%d\n", i);
    assert_int_equal(parse(text, &c, msg), ERR_OK);
    assert_int_equal(c.n_tables, 512);
    assert_string_equal(c.tables[511].name, "t511");
    assert_string_equal(c.tables[0].name, "t0");
    strcat(text, "  - name: more\n");
    expect_message(text, "charter.yaml:516: tables has more than 512 entries");
    free(text);
}

/* A reference that no foreign key declares names a table of the charter, and a column once. */
static void charter_checks_references(void **state)
{
    struct charter c;
    char msg[1024];
    expect_message(
        HEAD "  - name: a\n    references:\n      - { column: b, table: nowhere }\n",
        "charter.yaml:5: table 'a': references: a.b refers to 'nowhere', which the charter "
        "does not name");
    expect_message(HEAD "  - name: a\n    references:\n      - { column: b, table: a }\n"
                        "      - { column: B, table: A }\n",
                   "column 'B' is listed twice");
    expect_message(HEAD "  - name: a\n    references: [{ column: b }]\n", "table");
    assert_int_equal(
        parse(HEAD "  - name: a\n    references: [{ column: b, table: A }]\n", &c, msg), ERR_OK);
}

/* Blocks of integer keys are within bounds that leave room below 2^53; what is not said is the
 * documented default. */
static void charter_bounds_its_key_blocks(void **state)
{
    static const char *const bad[] = {"count: 0", "count: 1",      "count: 65537", "size: 0",
                                      "size: 15", "size: 1048577", "count: -1",    "size: 1e3"};
    static const char *const good[] = {"count: 2", "count: 65536", "size: 16", "size: 1048576"};
    char text[256], msg[1024];
    struct charter c;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "%skey_blocks: { %s }\n", HEAD "  - name: a\n", bad[i]);
        expect_message(text, "charter.yaml:5:");
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, "%skey_blocks: { %s }\n", HEAD "  - name: a\n", good[i]);
        assert_int_equal(parse(text, &c, msg), ERR_OK);
        assert_true(block_plan_fits(charter_block_plan(&c)));
    }
    assert_int_equal(parse(HEAD "  - name: a\n", &c, msg), ERR_OK);
    assert_int_equal(c.key_blocks.count, BLOCK_COUNT_DEFAULT);
    assert_int_equal(c.key_blocks.size, BLOCK_SIZE_DEFAULT);
    assert_null(c.tables[0].keys);
}

/* A file that is missing, a folder or too long is told as that. */
static void charter_load_names_the_file(void **state)
{
    struct charter c;
    char msg[1024] = "";
    assert_int_equal(charter_load(&arena, FIXTURES "/absent.yaml", &c, msg), ERR_NOT_FOUND);
    assert_non_null(strstr(msg, "absent.yaml: cannot be read"));
    assert_int_equal(charter_load(&arena, FIXTURES, &c, msg), ERR_IO);
    assert_non_null(strstr(msg, "not a regular file"));
    char path[] = "/tmp/tonle-charter-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, CHARTER_MAX_BYTES + 1), 0);
    close(fd);
    assert_int_equal(charter_load(&arena, path, &c, msg), ERR_LIMIT);
    unlink(path);
}

/* No text of the documented file, cut anywhere or with any byte changed, crashes the reader. */
static void charter_survives_any_damage(void **state)
{
    struct charter c;
    char msg[1024];
    FILE *f = fopen(FIXTURES "/full.yaml", "r");
    assert_non_null(f);
    char text[4096];
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_in_range(len, 500, 4095);
    uint64_t random = 42;
    for (size_t i = 0; i < 2 * len; i++) {
        char copy[4096];
        memcpy(copy, text, len);
        random = random * 6364136223846793005u + 1442695040888963407u;
        copy[i % len] = (char)(random >> 56);
        enum err err = charter_parse(&arena, "charter.yaml", copy, i < len ? i : len, &c, msg);
        assert_in_range(err, ERR_OK, ERR_COUNT - 1);
        if (err)
            assert_memory_equal(msg, "charter.yaml:", 13);
        arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(charter_keeps_every_key_of_the_contract, reset),
        cmocka_unit_test_teardown(charter_requires_three_keys_only, reset),
        cmocka_unit_test_teardown(charter_names_an_unknown_key_and_its_line, reset),
        cmocka_unit_test_teardown(charter_refuses_a_key_given_twice, reset),
        cmocka_unit_test_teardown(charter_gives_every_key_one_type, reset),
        cmocka_unit_test_teardown(charter_refuses_what_is_not_its_yaml, reset),
        cmocka_unit_test_teardown(charter_proposes_the_nearest_word, reset),
        cmocka_unit_test_teardown(charter_checks_unit_codes, reset),
        cmocka_unit_test_teardown(charter_checks_dates, reset),
        cmocka_unit_test_teardown(charter_finds_contradictions, reset),
        cmocka_unit_test_teardown(charter_checks_rank_lists, reset),
        cmocka_unit_test_teardown(charter_keeps_policies_in_their_place, reset),
        cmocka_unit_test_teardown(charter_checks_fallbacks, reset),
        cmocka_unit_test_teardown(charter_checks_owners, reset),
        cmocka_unit_test_teardown(charter_checks_reviewers, reset),
        cmocka_unit_test_teardown(charter_tells_all_mistakes_that_fit, reset),
        cmocka_unit_test_teardown(charter_limits_its_lists, reset),
        cmocka_unit_test_teardown(charter_checks_references, reset),
        cmocka_unit_test_teardown(charter_bounds_its_key_blocks, reset),
        cmocka_unit_test_teardown(charter_load_names_the_file, reset),
        cmocka_unit_test_teardown(charter_survives_any_damage, reset),
    };
    return check_run(tests);
}
