/* A charter in the JSON that is published: written and read. */
#include "conflict/buf.h"
#include "node/charter/charter.h"
#include "tests/lib/check.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define HEAD "federation: kh\nschema_version: 3\ntables:\n" /* three lines */

static struct arena arena;

static int reset(void **state)
{
    arena_fini(&arena);
    return 0;
}

static const char *written(const char *text)
{
    struct charter c;
    const char *json = NULL;
    char msg[1024] = "";
    if (charter_parse(&arena, "charter.yaml", text, strlen(text), &c, msg))
        fail_msg("not a charter: %s", msg);
    assert_int_equal(charter_write(&arena, &c, &json), ERR_OK);
    return json;
}

static void expect_json(const char *text, const char *wanted)
{
    const char *json = written(text);
    json_t *a = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    json_t *b = json_loads(wanted, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(a);
    assert_non_null(b);
    if (!json_equal(a, b))
        fail_msg("got %s", json);
    json_decref(a);
    json_decref(b);
}

/* What the file leaves out is filled with the documented defaults, and said to be that. */
static void reading_fills_defaults(void **state)
{
    expect_json(
        HEAD "  - name: a\n",
        "{\"federation\":\"kh\",\"schema_version\":3,\"retention_days\":90,\"journal_days\":1825,"
        "\"review_by\":\"owner\",\"tables\":[{\"name\":\"a\",\"read\":\"above\",\"write\":\"any\","
        "\"policy\":\"latest\",\"from\":\"default\",\"delete\":\"update-wins\",\"birth\":\"first\","
        "\"line\":{\"policy\":\"default\",\"delete\":\"default\",\"birth\":\"default\"},"
        "\"columns\":[],\"groups\":[]}]}");
}

/* A column without a policy has its table's, a table without one the charter's, each with the line
 * that says so; names keep their script. */
static void reading_inherits_policies(void **state)
{
    expect_json(
        "federation: kh\nschema_version: 1\nmigrations: m/\ndefaults: { policy: earliest, write: "
        "'12' }\ntables:\n"
        "  - { name: a, columns: [{name: x}, {name: y, policy: min, write: national}], scope: { "
        "column: x } }\n"
        "  - { name: ឈ្មោះ, policy: max, columns: [{name: z}], write: owner, read: all, scope: { "
        "follow: z } }\n",
        "{\"federation\":\"kh\",\"schema_version\":1,\"retention_days\":90,\"journal_days\":1825,"
        "\"review_by\":\"owner\",\"migrations\":\"m/\",\"tables\":["
        "{\"name\":\"a\",\"scope\":{\"column\":\"x\"},\"read\":\"above\",\"write\":\"12\","
        "\"policy\":\"earliest\",\"from\":\"defaults\",\"delete\":\"update-wins\","
        "\"birth\":\"first\",\"line\":{\"policy\":4,\"delete\":\"default\",\"birth\":\"default\"},"
        "\"columns\":[{\"name\":\"x\",\"policy\":\"earliest\",\"from\":\"defaults\",\"line\":4},"
        "{\"name\":\"y\",\"policy\":\"min\",\"write\":\"national\",\"from\":\"column\","
        "\"line\":6}],\"groups\":[]},"
        "{\"name\":\"ឈ្មោះ\",\"scope\":{\"follow\":\"z\"},\"read\":\"all\",\"write\":\"owner\","
        "\"policy\":\"max\",\"from\":\"table\",\"delete\":\"update-wins\",\"birth\":\"first\","
        "\"line\":{\"policy\":7,\"delete\":\"default\",\"birth\":\"default\"},"
        "\"columns\":[{\"name\":\"z\",\"policy\":\"max\",\"from\":\"table\",\"line\":7}],"
        "\"groups\":[]}]}");
}

/* One table's part of the published form. */
static void expect_table(const char *text, const char *key, const char *wanted)
{
    const char *json = written(text);
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    json_t *part = json_object_get(json_array_get(json_object_get(root, "tables"), 0), key);
    json_t *other = json_loads(wanted, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    assert_non_null(part);
    assert_non_null(other);
    if (!json_equal(part, other))
        fail_msg("got %s", json);
    json_decref(root);
    json_decref(other);
}

/* Every policy of the contract, with its list and fallback, for columns and for groups. */
static void reading_takes_every_policy(void **state)
{
    static const char text[] =
        HEAD "  - name: a\n"
             "    policy: review\n"
             "    scope: { column: u }\n"
             "    columns:\n"
             "      - { name: b, policy: sum }\n"
             "      - { name: c, policy: rank, rank: [1, two] }\n"
             "      - name: d\n"
             "        fallback: owner\n"
             "      - { name: e, policy: review, fallback: rank, rank: [x] }\n"
             "      - { name: f, policy: national }\n"
             "      - { name: g, policy: local }\n"
             "      - { name: h, policy: owner }\n"
             "      - { name: i }\n"
             "    groups:\n"
             "      - { name: j, columns: [k, l] }\n"
             "      - name: m\n"
             "        columns: [n, o]\n"
             "        policy: rank\n"
             "        rank: [p, q]\n"
             "    delete: delete-wins\n"
             "    birth: latest\n";
    expect_table(text, "columns",
                 "[{\"name\":\"b\",\"policy\":\"sum\",\"from\":\"column\",\"line\":8},"
                 "{\"name\":\"c\",\"policy\":\"rank\",\"rank\":[\"1\",\"two\"],\"from\":\"column\","
                 "\"line\":9},"
                 "{\"name\":\"d\",\"policy\":\"review\",\"fallback\":\"owner\",\"from\":\"column\","
                 "\"line\":11},"
                 "{\"name\":\"e\",\"policy\":\"review\",\"fallback\":\"rank\",\"rank\":[\"x\"],"
                 "\"from\":\"column\",\"line\":12},"
                 "{\"name\":\"f\",\"policy\":\"national\",\"from\":\"column\",\"line\":13},"
                 "{\"name\":\"g\",\"policy\":\"local\",\"from\":\"column\",\"line\":14},"
                 "{\"name\":\"h\",\"policy\":\"owner\",\"from\":\"column\",\"line\":15},"
                 "{\"name\":\"i\",\"policy\":\"review\",\"fallback\":\"latest\",\"from\":\"table\","
                 "\"line\":5}]");
    expect_table(text, "groups",
                 "[{\"name\":\"j\",\"columns\":[\"k\",\"l\"],\"policy\":\"review\","
                 "\"fallback\":\"latest\",\"from\":\"table\",\"line\":5},"
                 "{\"name\":\"m\",\"columns\":[\"n\",\"o\"],\"policy\":\"rank\","
                 "\"rank\":[\"p\",\"q\"],\"from\":\"group\",\"line\":21}]");
    expect_table(text, "line", "{\"policy\":5,\"delete\":23,\"birth\":24}");
    expect_table(text, "delete", "\"delete-wins\"");
    expect_table(text, "birth", "\"latest\"");
}

/* A column that says whose the row is does not inherit the policy that asks it; one that is in a
 * group has the group's. */
static void reading_keeps_the_scope_column_from_its_owner(void **state)
{
    static const char scope[] =
        "[{\"name\":\"u\",\"policy\":\"latest\",\"from\":\"scope\",\"line\":4}]";
    expect_table(HEAD "  - { name: a, policy: owner, scope: { column: u } }\n", "columns", scope);
    expect_table(HEAD
                 "  - { name: a, policy: owner, scope: { column: u }, columns: [{name: u}] }\n",
                 "columns", scope);
    expect_table(HEAD "  - { name: a, policy: owner, scope: { column: u }, columns: [{name: U, "
                      "policy: local}] }\n",
                 "columns",
                 "[{\"name\":\"U\",\"policy\":\"local\",\"from\":\"column\",\"line\":4}]");
    expect_table(HEAD "  - { name: a, policy: owner, scope: { column: u }, groups: [{name: g, "
                      "columns: [u, v], policy: max}] }\n",
                 "columns", "[]");
}

/* An entry that replaces another on a date is refused, with its line. */
static void what_is_beyond_this_version_is_refused(void **state)
{
    struct charter c;
    char msg[1024];
    assert_int_equal(charter_load(&arena, FIXTURES "/full.yaml", &c, msg), ERR_REFUSED);
    assert_string_equal(msg, "full.yaml:28: table 'resident': 'from' (an entry that replaces "
                             "another on a date): this version of Tonle does not do that yet\n"
                             "full.yaml:33: table 'resident': 'from' (an entry that replaces "
                             "another on a date): this version of Tonle does not do that yet");
}

/* What is written is read again as the same charter, and then written as the same bytes. */
static void what_is_written_is_read(void **state)
{
    static const char text[] =
        HEAD "  - name: a\n"
             "    policy: review\n"
             "    scope: { column: u }\n"
             "    read: all\n"
             "    delete: delete-wins\n"
             "    columns:\n"
             "      - { name: b, policy: sum, write: owner }\n"
             "      - { name: c, policy: rank, rank: [1, two] }\n"
             "      - { name: d, fallback: owner }\n"
             "    groups:\n"
             "      - { name: j, columns: [k, l], policy: rank, rank: [p, q] }\n"
             "  - { name: f, scope: { follow: g }, birth: latest, keys: natural }\n"
             "  - { name: i, keys: blocks, references: [{ column: x, table: a }] }\n"
             "key_blocks: { count: 64, size: 128 }\n";
    const char *json = written(text), *again = NULL;
    struct charter c;
    char msg[1024];
    assert_int_equal(charter_read(&arena, json, strlen(json), &c, msg), ERR_OK);
    assert_int_equal(charter_write(&arena, &c, &again), ERR_OK);
    assert_string_equal(json, again);
    const struct charter_table *t = charter_table_named(&c, "A");
    assert_int_equal(t->delete_line, 8);
    assert_int_equal(t->birth_line, 0);
    assert_string_equal(charter_rule_of(t, "D")->fallback, "owner");
    assert_int_equal(charter_rule_of(t, "D")->line, 12);
    assert_ptr_equal(charter_rule_of(t, "l"), &t->groups[0].rule);
    assert_ptr_equal(charter_rule_of(t, "nowhere"), &t->rule);
    assert_null(c.notes);
    assert_null(t->keys);
    assert_string_equal(charter_table_named(&c, "f")->keys, "natural");
    assert_true(charter_keys_blocks(charter_table_named(&c, "i")));
    assert_int_equal(t->n_references, 0);
    assert_string_equal(charter_table_named(&c, "i")->references[0].column, "x");
    assert_string_equal(charter_table_named(&c, "i")->references[0].table, "a");
    assert_int_equal(charter_block_plan(&c).count, 64);
    assert_int_equal(charter_block_plan(&c).size, 128);
}

/* A published plan is what keys are reckoned by: one that is none is not taken. */
static void a_plan_beyond_its_bounds_is_not_read(void **state)
{
    static const char *const bad[] = {"\"count\":1,\"size\":64", "\"count\":64,\"size\":1",
                                      "\"count\":65537,\"size\":64"};
    char text[200], msg[1024];
    struct charter c;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "{\"federation\":\"x\",\"key_blocks\":{%s},\"tables\":[]}",
                 bad[i]);
        assert_int_equal(charter_read(&arena, text, strlen(text), &c, msg), ERR_SCHEMA);
    }
}

/* A published charter is not held to the rules for authors: it was published under the rules of its
 * day, and a database may have added names that no author may give. */
static void a_charter_in_force_stays_readable(void **state)
{
    static const char *const good[] = {
        "{}",
        "{\"tables\":[{\"name\":\"a\",\"write\":\"nobody\",\"read\":5}]}",
        "{\"tables\":[{\"name\":\"a\",\"columns\":[{\"name\":\"tonle_x\"}],\"later\":1}]}",
        ("{\"tables\":[{\"name\":\"a\",\"policy\":\"max\",\"columns\":[{\"name\":\"b\","
         "\"policy\":\"max\"}],\"groups\":[{\"name\":\"g\",\"columns\":[\"b\",\"c\"]}]}]}"),
        ("{\"tables\":[{\"name\":\"a\",\"policy\":\"max\",\"fallback\":\"rank\",\"columns\":["
         "{\"name\":\"b\",\"policy\":\"max\",\"fallback\":\"review\"},"
         "{\"name\":\"c\",\"policy\":\"max\",\"fallback\":\"sum\"},"
         "{\"name\":\"d\",\"policy\":\"max\",\"fallback\":\"rank\"}]}]}"),
        ("{\"tables\":[{\"name\":\"a\",\"policy\":\"max\",\"groups\":["
         "{\"name\":\"g\",\"columns\":[\"b\",\"c\",\"b\"]}]}]}")};
    static const char *const fallbacks[] = {"review", "sum", "rank"}; /* that cannot decide */
    struct charter c;
    char msg[1024], json[256];
    for (size_t i = 0; i < sizeof fallbacks / sizeof *fallbacks; i++) {
        snprintf(json, sizeof json,
                 "{\"tables\":[{\"name\":\"a\",\"columns\":[{\"name\":\"b\",\"policy\":\"review\","
                 "\"fallback\":\"%s\"}]}]}",
                 fallbacks[i]);
        assert_int_not_equal(charter_read(&arena, json, strlen(json), &c, msg), ERR_OK);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (charter_read(&arena, good[i], strlen(good[i]), &c, msg))
            fail_msg("%s\n%s", msg, good[i]);
    assert_int_equal(charter_read(&arena, "{\"tables\":[", 11, &c, msg), ERR_CORRUPT);
    assert_non_null(strstr(msg, "cannot be read"));
    struct buf b = {0};
    buf_printf(&b, "{\"tables\":[{\"name\":\"a\",\"columns\":[");
    for (int i = 0; i <= 256; i++)
        buf_printf(&b, "%s{\"name\":\"c%d\"}", i ? "," : "", i);
    buf_printf(&b, "]}]}");
    assert_int_equal(charter_read(&arena, buf_str(&b), b.len, &c, msg), ERR_SCHEMA);
    assert_string_equal(msg, "charter: table 'a': too many columns");
    buf_fini(&b);
}

/* A name that is not UTF-8 cannot be published, and is not left out. */
static void names_are_written_or_refused(void **state)
{
    struct charter_column column = {.name = "a\xff", .rule = {.policy = "latest"}};
    struct charter_table table = {.name = "t",
                                  .read = "above",
                                  .write = "any",
                                  .delete_policy = "update-wins",
                                  .birth = "first",
                                  .rule = {.policy = "latest"},
                                  .columns = &column,
                                  .n_columns = 1};
    struct charter c = {.federation = "x", .review_by = "owner", .tables = &table, .n_tables = 1};
    const char *json;
    assert_int_equal(charter_write(&arena, &c, &json), ERR_MALFORMED);
    column.name = "a";
    assert_int_equal(charter_write(&arena, &c, &json), ERR_OK);
    const char *key = "\xff";
    table.key = &key;
    table.n_key = 1;
    table.complete = true;
    assert_int_equal(charter_write(&arena, &c, &json), ERR_MALFORMED);
}

static const char *notes_of(const char *tables)
{
    struct charter c;
    char text[512], msg[1024];
    snprintf(text, sizeof text, HEAD "%s", tables);
    assert_int_equal(charter_parse(&arena, "c", text, strlen(text), &c, msg), ERR_OK);
    return c.notes;
}

/* The notes say that rights have no effect, and what a scope does, exactly when the file has some.
 */
static void notes_tell_what_has_no_effect(void **state)
{
    static const char *const with[] = {
        "  - { name: a, scope: { column: x } }\n", "  - { name: a, read: all }\n",
        "  - { name: a, write: owner }\n", "  - { name: a, columns: [{name: x, write: owner}] }\n"};
    for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
        const char *notes = notes_of(with[i]);
        assert_non_null(strstr(notes, "read and write are kept but have no effect"));
        assert_non_null(strstr(notes, "every office receives every table"));
        assert_non_null(strstr(notes, "scope tells the policy owner"));
        assert_null(strstr(notes, "not owner"));
    }
    assert_string_equal(notes_of("  - { name: a, write: any }\n"), "");
    assert_non_null(strstr(notes_of("  - { name: a, policy: owner, scope: { column: x } }\n"),
                           "note: table a: x says whose the row is, so the policy latest decides "
                           "it, not owner\n"));
    assert_null(strstr(notes_of("  - { name: a, policy: owner, scope: { column: x }, columns: "
                                "[{name: x, policy: max}] }\n"),
                       "not owner"));
}

/* The sample and the demo charter that are delivered can be published. */
static void delivered_charters_can_be_published(void **state)
{
    static const char *const files[] = {DEPLOY "/charter.sample.yaml", DEPLOY "/demo/charter.yaml"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct charter c;
        char msg[1024] = "";
        if (charter_load(&arena, files[i], &c, msg))
            fail_msg("%s: %s", files[i], msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(reading_fills_defaults, reset),
        cmocka_unit_test_teardown(reading_inherits_policies, reset),
        cmocka_unit_test_teardown(reading_takes_every_policy, reset),
        cmocka_unit_test_teardown(reading_keeps_the_scope_column_from_its_owner, reset),
        cmocka_unit_test_teardown(what_is_beyond_this_version_is_refused, reset),
        cmocka_unit_test_teardown(what_is_written_is_read, reset),
        cmocka_unit_test_teardown(a_plan_beyond_its_bounds_is_not_read, reset),
        cmocka_unit_test_teardown(a_charter_in_force_stays_readable, reset),
        cmocka_unit_test_teardown(names_are_written_or_refused, reset),
        cmocka_unit_test_teardown(notes_tell_what_has_no_effect, reset),
        cmocka_unit_test_teardown(delivered_charters_can_be_published, reset),
    };
    return check_run(tests);
}
