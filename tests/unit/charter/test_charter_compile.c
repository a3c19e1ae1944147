/* A charter to the JSON that is published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/charter.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "federation: kh\nschema_version: 3\ntables:\n" /* three lines */

static struct arena arena;

static int reset(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static enum err compile(const char *text, const char **json, char msg[1024])
{
    struct charter c;
    enum err err = charter_parse(&arena, "charter.yaml", text, strlen(text), &c, msg);
    if (err)
        fail_msg("not a charter: %s", msg);
    return charter_compile(&arena, &c, json, msg);
}

static void expect_json(const char *text, const char *wanted)
{
    const char *json = NULL;
    char msg[1024] = "";
    if (compile(text, &json, msg))
        fail_msg("refused: %s", msg);
    json_t *a = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    json_t *b = json_loads(wanted, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(a);
    assert_non_null(b);
    if (!json_equal(a, b))
        fail_msg("got %s", json);
    json_decref(a);
    json_decref(b);
}

static void expect_refused(const char *text, const char *wanted)
{
    const char *json = NULL;
    char msg[1024] = "";
    enum err err = compile(text, &json, msg);
    if (err != ERR_REFUSED || !strstr(msg, wanted) ||
        !strstr(msg, "this version of Tonle does not do that yet"))
        fail_msg("wanted '%s', got %s '%s'", wanted, err_name(err), msg);
}

/* What the file leaves out is filled with the documented defaults. */
static void compile_fills_defaults(void **state)
{
    (void)state;
    expect_json(
        HEAD "  - name: a\n",
        "{\"federation\":\"kh\",\"schema_version\":3,\"retention_days\":90,\"journal_days\":1825,"
        "\"review_by\":\"owner\",\"tables\":[{\"name\":\"a\",\"read\":\"above\",\"write\":\"any\","
        "\"policy\":\"latest\",\"delete\":\"update-wins\",\"birth\":\"first\",\"columns\":[]}]}");
}

/* A column without a policy has its table's, a table without one the charter's; names keep their
 * script. */
static void compile_inherits_policies(void **state)
{
    (void)state;
    expect_json(
        "federation: kh\nschema_version: 1\nmigrations: m/\ndefaults: { policy: earliest, write: "
        "'12' }\ntables:\n"
        "  - { name: a, columns: [{name: x}, {name: y, policy: min, write: national}], scope: { "
        "column: x } }\n"
        "  - { name: ឈ្មោះ, policy: max, columns: [{name: z}], write: owner, read: all, scope: { "
        "follow: z } }\n",
        "{\"federation\":\"kh\",\"schema_version\":1,\"retention_days\":90,\"journal_days\":1825,"
        "\"review_by\":\"owner\",\"migrations\":\"m/"
        "\",\"tables\":[{\"name\":\"a\",\"scope\":{\"column\":\"x\"},"
        "\"read\":\"above\",\"write\":\"12\",\"policy\":\"earliest\",\"delete\":\"update-wins\","
        "\"birth\":\"first\","
        "\"columns\":[{\"name\":\"x\",\"policy\":\"earliest\"},{\"name\":\"y\",\"policy\":\"min\","
        "\"write\":\"national\"}]},"
        "{\"name\":\"ឈ្មោះ\",\"scope\":{\"follow\":\"z\"},\"read\":\"all\",\"write\":\"owner\","
        "\"policy\":\"max\","
        "\"delete\":\"update-wins\",\"birth\":\"first\",\"columns\":[{\"name\":\"z\",\"policy\":"
        "\"max\"}]}]}");
}

/* Every policy of the contract that this version does not do is refused, with its line. */
static void compile_refuses_policies_beyond_this_version(void **state)
{
    (void)state;
    static const char *const words[] = {"owner", "national", "local", "review"};
    char text[256], wanted[128];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(text, sizeof text, HEAD "  - name: a\n    policy: %s\n", words[i]);
        snprintf(wanted, sizeof wanted, "charter.yaml:5: table 'a': policy '%s':", words[i]);
        expect_refused(text, wanted);
    }
    expect_refused(HEAD "  - { name: a, columns: [{name: b, policy: sum}] }\n",
                   "charter.yaml:4: table 'a': policy 'sum'");
    expect_refused(HEAD "  - { name: a, columns: [{name: b, policy: rank, rank: [x]}] }\n",
                   "policy 'rank'");
    expect_refused(
        "federation: kh\nschema_version: 1\ndefaults:\n  policy: owner\ntables: [{name: a}]\n",
        "charter.yaml:4: policy 'owner'");
}

/* So is every other rule of the contract that this version does not do. */
static void compile_refuses_rules_beyond_this_version(void **state)
{
    (void)state;
    expect_refused(HEAD "  - { name: a, delete: delete-wins }\n",
                   "charter.yaml:4: table 'a': delete 'delete-wins'");
    expect_refused(HEAD "  - { name: a, delete: review }\n", "delete 'review'");
    expect_refused(HEAD "  - { name: a, birth: latest }\n", "birth 'latest'");
    expect_refused(HEAD "  - { name: a, birth: review }\n", "birth 'review'");
    expect_refused(HEAD "  - { name: a, from: 2027-01-01 }\n", "'from'");
    expect_refused(HEAD "  - name: a\n    groups:\n      - { name: g, columns: [x, y] }\n",
                   "charter.yaml:6: table 'a': group 'g'");
    expect_refused("federation: kh\nschema_version: 1\ndefaults: { delete: review, birth: review "
                   "}\ntables: [{name: a}]\n",
                   "charter.yaml:3: delete 'review'");
}

/* The documented file, which asks for nearly all of that, is refused with a line for each. */
static void compile_names_every_rule_it_refuses(void **state)
{
    (void)state;
    struct charter c;
    const char *json = NULL;
    char msg[1024];
    assert_int_equal(charter_load(&arena, FIXTURES "/full.yaml", &c, msg), ERR_OK);
    assert_int_equal(charter_compile(&arena, &c, &json, msg), ERR_REFUSED);
    assert_non_null(strstr(msg, "full.yaml:15: table 'resident': delete 'delete-wins'"));
    assert_non_null(strstr(msg, "full.yaml:16: table 'resident': birth 'review'"));
    assert_non_null(strstr(msg, "full.yaml:24: table 'resident': 'from'"));
    assert_non_null(strstr(msg, "full.yaml:19: table 'resident': policy 'sum'"));
}

/* The notes say that scope and rights have no effect exactly when the file has some. */
static void notes_tell_what_has_no_effect(void **state)
{
    (void)state;
    static const char *const with[] = {
        "  - { name: a, scope: { column: x } }\n", "  - { name: a, read: all }\n",
        "  - { name: a, write: owner }\n", "  - { name: a, columns: [{name: x, write: owner}] }\n"};
    struct charter c;
    char text[256], msg[1024];
    for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
        snprintf(text, sizeof text, HEAD "%s", with[i]);
        assert_int_equal(charter_parse(&arena, "c", text, strlen(text), &c, msg), ERR_OK);
        assert_non_null(
            strstr(charter_notes(&arena, &c), "scope, read and write are kept but have no effect"));
    }
    snprintf(text, sizeof text, HEAD "  - { name: a, write: any }\n");
    assert_int_equal(charter_parse(&arena, "c", text, strlen(text), &c, msg), ERR_OK);
    assert_string_equal(charter_notes(&arena, &c), "");
}

/* The sample and the demo charter that are delivered can be published. */
static void delivered_charters_compile(void **state)
{
    (void)state;
    static const char *const files[] = {DEPLOY "/charter.sample.yaml", DEPLOY "/demo/charter.yaml"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct charter c;
        const char *json = NULL;
        char msg[1024] = "";
        if (charter_load(&arena, files[i], &c, msg) || charter_compile(&arena, &c, &json, msg))
            fail_msg("%s: %s", files[i], msg);
        assert_non_null(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(compile_fills_defaults, reset),
        cmocka_unit_test_teardown(compile_inherits_policies, reset),
        cmocka_unit_test_teardown(compile_refuses_policies_beyond_this_version, reset),
        cmocka_unit_test_teardown(compile_refuses_rules_beyond_this_version, reset),
        cmocka_unit_test_teardown(compile_names_every_rule_it_refuses, reset),
        cmocka_unit_test_teardown(notes_tell_what_has_no_effect, reset),
        cmocka_unit_test_teardown(delivered_charters_compile, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
