/* Explain: the rule of each cell of a row, and what another charter would decide. */
#include "node/charter/charter.h"
#include "node/desk/desk.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

#define NAMES                                                                                      \
    "\"groups\":[{\"name\":\"spelling\",\"columns\":[\"first\",\"last\"],\"policy\":\"latest\","   \
    "\"from\":\"group\",\"line\":14}]"
#define CHARTER(head, state, phone, points, names)                                                 \
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":[{\"name\":\"person\"," head         \
    ",\"scope\":{\"column\":\"unit\"},\"line\":{\"policy\":5,\"delete\":6,\"birth\":\"default\"}," \
    "\"columns\":[{\"name\":\"state\"," state ",\"from\":\"column\",\"line\":9},"                  \
    "{\"name\":\"phone\"," phone ",\"from\":\"column\",\"line\":10},"                              \
    "{\"name\":\"points\"," points ",\"from\":\"column\",\"line\":11}]," names "}]}"
#define RANKED "\"policy\":\"rank\",\"rank\":[\"active\",\"suspended\",\"revoked\"]"

static const char schema[] =
    "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, unit TEXT NOT NULL, state TEXT, phone TEXT,"
    " points INTEGER, first TEXT, last TEXT, note TEXT);";
static const char charter[] =
    CHARTER("\"delete\":\"update-wins\"", "\"policy\":\"review\",\"fallback\":\"latest\"",
            "\"policy\":\"latest\"", "\"policy\":\"max\"", NAMES);
static const char other[] = CHARTER("\"delete\":\"delete-wins\",\"birth\":\"latest\"", RANKED,
                                    "\"policy\":\"earliest\"", "\"policy\":\"max\"", NAMES);

static struct arena arena;

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, false);
}

static int stop(void **state)
{
    arena_fini(&arena);
    federation_stop(*state);
    return 0;
}

/* From its published form; NULL: none. */
static const struct charter *charter_of(const char *json)
{
    struct charter *c = json ? arena_alloc(&arena, sizeof *c) : NULL;
    char msg[CHARTER_MSG_BYTES];
    if (json && charter_read(&arena, json, strlen(json), c, msg) != ERR_OK)
        fail_msg("%s", msg);
    return c;
}

static struct explanation explain_row(struct office *o, const char *key, const char *json)
{
    struct explanation x;
    enum err e = store_explain(o->store, &arena, "person", key, charter_of(json), &x);
    if (e != ERR_OK)
        fail_msg("%s: %s", err_name(e), store_message(o->store));
    return x;
}

static const struct explain_cell *cell_named(const struct explanation *x, const char *name)
{
    for (size_t i = 0; i < x->n_cells; i++)
        if (strcmp(x->cells[i].cell, name) == 0)
            return &x->cells[i];
    fail_msg("no cell %s", name);
    return NULL;
}

static bool is_text(const struct value *v, const char *text)
{
    return v->type == VALUE_TEXT && v->len == strlen(text) && memcmp(v->u.p, text, v->len) == 0;
}

/* Concurrent writes to p: B's are the later ones. */
static void quarrel(void **state, const char *of_a, const char *of_b)
{
    char sql[300];
    office_sql(HUB, "INSERT INTO person(id, unit, points) VALUES('p', '1203', 1)");
    federation_sync(*state);
    snprintf(sql, sizeof sql, "UPDATE person SET %s WHERE id = 'p'", of_a);
    office_sql(A, sql);
    B->now_ms += 60000;
    snprintf(sql, sizeof sql, "UPDATE person SET %s WHERE id = 'p'", of_b);
    office_sql(B, sql);
    federation_sync(*state);
}

/* Every cell but the key's has its rule, with the line of the charter that gave it; a group is one
 * cell with its members. */
static void each_cell_names_its_rule_and_its_line(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, unit) VALUES('p', '1203')");
    federation_sync(*state);
    struct explanation x = explain_row(A, "\"p\"", NULL);
    assert_string_equal(x.state, "stands");
    assert_int_equal(x.n_cells, 2 + 6);
    assert_string_equal(cell_named(&x, "state")->rule.policy, "review");
    assert_string_equal(cell_named(&x, "state")->rule.fallback, "latest");
    assert_string_equal(cell_named(&x, "state")->rule.from, "column");
    assert_int_equal(cell_named(&x, "state")->rule.line, 9);
    assert_string_equal(cell_named(&x, "points")->rule.policy, "max");
    assert_null(cell_named(&x, "points")->rule.fallback);
    assert_string_equal(cell_named(&x, "note")->rule.policy, "latest");
    assert_int_equal(cell_named(&x, "spelling")->n_members, 2);
    assert_string_equal(cell_named(&x, "spelling")->members[1], "last");
    assert_int_equal(cell_named(&x, "spelling")->rule.line, 14);
    assert_false(cell_named(&x, "spelling")->implied);
    assert_string_equal(cell_named(&x, "exists")->rule.policy, "update-wins");
    assert_int_equal(cell_named(&x, "exists")->rule.line, 6);
    assert_string_equal(cell_named(&x, "birth")->rule.policy, "first");
    assert_int_equal(cell_named(&x, "birth")->rule.line, 0);
    for (size_t i = 0; i < x.n_cells; i++)
        assert_int_equal(x.cells[i].n_sides, 0);
}

/* Whose the row is: of its scope the enrolled office nearest above it; else the hub. */
static void the_owner_is_the_nearest_office_above(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, unit) VALUES('p', '1203'), ('q', '88')");
    federation_sync(*state);
    struct explanation x = explain_row(B, "\"p\"", NULL);
    assert_string_equal(x.scope, "1203");
    assert_true(strcmp(x.office, "office1") == 0 || strcmp(x.office, "office2") == 0);
    x = explain_row(B, "\"q\"", NULL);
    assert_string_equal(x.office, "hub");
}

/* The siblings on record are told, with the one in force; under `latest` those of the conflict that
 * made what stands. A cell written again since has none. */
static void what_the_rule_decided_between_is_told(void **state)
{
    quarrel(state, "points = 9, phone = 'a', state = 'revoked'",
            "points = 5, phone = 'b', state = 'active'");
    struct explanation x = explain_row(HUB, "\"p\"", NULL);
    const struct explain_cell *points = cell_named(&x, "points");
    assert_int_equal(points->n_sides, 2);
    for (size_t i = 0; i < 2; i++) {
        bool of_a = strcmp(points->sides[i].office, "office1") == 0;
        assert_int_equal(points->sides[i].value.u.i, of_a ? 9 : 5);
        assert_int_equal(points->sides[i].shown, of_a);
    }
    assert_true(points->conflict[0] != '\0');
    const struct explain_cell *phone = cell_named(&x, "phone");
    assert_int_equal(phone->n_sides, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(phone->sides[i].shown, is_text(&phone->sides[i].value, "b"));
    office_sql(A, "UPDATE person SET phone = 'c', points = 10 WHERE id = 'p'");
    federation_sync(*state);
    x = explain_row(HUB, "\"p\"", NULL);
    assert_int_equal(cell_named(&x, "phone")->n_sides, 0);
    assert_int_equal(cell_named(&x, "points")->n_sides, 0);
    assert_int_equal(cell_named(&x, "state")->n_sides, 2);
}

/* Another charter is tried on the versions on record: another value, the same one, nothing to
 * decide. Nothing is changed by it. */
static void another_charter_is_a_dry_run(void **state)
{
    quarrel(state, "points = 9, phone = 'a', state = 'revoked'",
            "points = 5, phone = 'b', state = 'active'");
    char before[16];
    snprintf(before, sizeof before, "%s", office_one(HUB, "PRAGMA data_version"));
    struct explanation x = explain_row(HUB, "\"p\"", other);
    const struct explain_cell *status = cell_named(&x, "state");
    assert_string_equal(status->other.policy, "rank");
    assert_int_equal(status->other.n_rank, 3);
    assert_int_equal(status->verdict, EXPLAIN_OTHERWISE);
    assert_true(is_text(&status->sides[status->other_shown].value, "revoked"));
    const struct explain_cell *phone = cell_named(&x, "phone");
    assert_int_equal(phone->verdict, EXPLAIN_OTHERWISE);
    assert_true(is_text(&phone->sides[phone->other_shown].value, "a"));
    assert_int_equal(cell_named(&x, "points")->verdict, EXPLAIN_SAME);
    assert_int_equal(cell_named(&x, "note")->verdict, EXPLAIN_NONE);
    assert_string_equal(office_one(HUB, "PRAGMA data_version"), before);
    assert_string_equal(office_one(HUB, "SELECT phone FROM person"), "b");
}

/* A delete beside an update, and two births, under other rules. */
static void deletes_and_births_are_tried_too(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, unit) VALUES('p', '1203')");
    federation_sync(*state);
    office_sql(A, "DELETE FROM person WHERE id = 'p';"
                  "INSERT INTO person(id, unit, note) VALUES('twice', '1203', 'first')");
    B->now_ms += 60000;
    office_sql(B, "UPDATE person SET note = 'kept' WHERE id = 'p';"
                  "INSERT INTO person(id, unit, note) VALUES('twice', '1203', 'second')");
    federation_sync(*state);
    struct explanation x = explain_row(HUB, "\"p\"", other);
    const struct explain_cell *exists = cell_named(&x, "exists");
    assert_int_equal(exists->n_sides, 2);
    assert_int_equal(exists->verdict, EXPLAIN_OTHERWISE);
    assert_string_equal(exists->sides[exists->other_shown].office, "office1");
    x = explain_row(HUB, "\"twice\"", other);
    const struct explain_cell *birth = cell_named(&x, "birth");
    assert_int_equal(birth->n_sides, 2);
    assert_int_equal(birth->verdict, EXPLAIN_OTHERWISE);
    assert_string_equal(birth->sides[birth->other_shown].office, "office2");
    assert_int_equal(x.n_held, 1);
    assert_string_equal(x.held[0].reason, "birth");
    assert_string_equal(x.held[0].office, "office2");
    struct explain_period p = {0};
    struct explain_count *list;
    size_t n;
    office_sql(HUB, "UPDATE tonle_conflict SET cell = 'no longer here' WHERE cell = 'birth'");
    assert_int_equal(store_explain_conflicts(HUB->store, &arena, charter_of(other), &p, &list, &n),
                     ERR_OK);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].cell, "exists");
    assert_string_equal(list[0].other, "delete-wins");
    assert_int_equal(list[0].otherwise, 1);
    assert_int_equal(list[0].unknown, 0);
    assert_string_equal(list[1].other, "");
    assert_int_equal(list[1].unknown, 1);
}

/* Columns that are one cell now and several under the other charter are decided one by one; columns
 * that would join others cannot be told. */
static void cells_cut_otherwise_are_mixed_or_unknown(void **state)
{
    static const char apart[] = CHARTER(
        "\"delete\":\"update-wins\"", "\"policy\":\"latest\"", "\"policy\":\"latest\"",
        "\"policy\":\"max\"},{\"name\":\"first\",\"policy\":\"earliest\"},{\"name\":\"last\","
        "\"policy\":\"latest\"",
        "\"groups\":[]");
    static const char together[] =
        CHARTER("\"delete\":\"update-wins\"", "\"policy\":\"latest\"", "\"policy\":\"latest\"",
                "\"policy\":\"latest\"",
                "\"groups\":[{\"name\":\"all\",\"columns\":[\"points\",\"note\"],"
                "\"policy\":\"latest\"}]");
    static const char sum[] = CHARTER("\"delete\":\"update-wins\"", "\"policy\":\"latest\"",
                                      "\"policy\":\"latest\"", "\"policy\":\"sum\"", NAMES);
    quarrel(state, "points = 9, first = 'fa', last = 'la'",
            "points = 5, first = 'fb', last = 'lb'");
    struct explanation x = explain_row(HUB, "\"p\"", apart);
    assert_int_equal(cell_named(&x, "spelling")->n_sides, 2);
    assert_int_equal(cell_named(&x, "spelling")->verdict, EXPLAIN_OTHERWISE);
    assert_int_equal(cell_named(&x, "spelling")->other_shown, 2);
    x = explain_row(HUB, "\"p\"", together);
    assert_int_equal(cell_named(&x, "points")->verdict, EXPLAIN_UNKNOWN);
    x = explain_row(HUB, "\"p\"", sum);
    assert_int_equal(cell_named(&x, "points")->verdict, EXPLAIN_UNKNOWN);
    x = explain_row(HUB, "\"p\"", charter);
    assert_int_equal(cell_named(&x, "spelling")->verdict, EXPLAIN_SAME);
}

static const struct explain_count *count(const struct explain_count *list, size_t n,
                                         const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].cell, name) == 0)
            return &list[i];
    fail_msg("no count of %s", name);
    return NULL;
}

/* Over a period the recorded conflicts are counted by cell, and how many would be decided
 * otherwise; outside of it none. */
static void conflicts_of_a_period_are_counted(void **state)
{
    static const char reviewed[] =
        CHARTER("\"delete\":\"update-wins\"", "\"policy\":\"review\",\"fallback\":\"earliest\"",
                "\"policy\":\"review\",\"fallback\":\"latest\"", "\"policy\":\"min\"", NAMES);
    struct explain_period p = {0};
    struct explain_count *list;
    size_t n;
    quarrel(state, "points = 9, phone = 'a', state = 'x'", "points = 5, phone = 'b', state = 'y'");
    office_sql(HUB, "INSERT INTO person(id, unit) VALUES('q', '1203')");
    federation_sync(*state);
    uint64_t split = B->now_ms + 100000;
    A->now_ms = B->now_ms = split + 1000;
    office_sql(A, "UPDATE person SET phone = 'same', points = 7 WHERE id = 'q'");
    B->now_ms += 60000;
    office_sql(B, "UPDATE person SET phone = 'other', points = 7 WHERE id = 'q'");
    federation_sync(*state);
    assert_int_equal(
        store_explain_conflicts(HUB->store, &arena, charter_of(reviewed), &p, &list, &n), ERR_OK);
    assert_int_equal(n, 3);
    const struct explain_count *phone = count(list, n, "phone");
    assert_string_equal(phone->policy, "latest");
    assert_string_equal(phone->other, "review");
    assert_int_equal(phone->conflicts, 2);
    assert_int_equal(phone->otherwise, 0);
    assert_int_equal(phone->reviewed, 2);
    assert_int_equal(count(list, n, "points")->conflicts, 1); /* equal values are none */
    assert_int_equal(count(list, n, "points")->otherwise, 1);
    assert_int_equal(count(list, n, "points")->reviewed, 0);
    assert_int_equal(count(list, n, "state")->otherwise, 1);
    assert_int_equal(count(list, n, "state")->reviewed, 0); /* it waits for a person as it is */
    p.since_ms = split;
    assert_int_equal(
        store_explain_conflicts(HUB->store, &arena, charter_of(reviewed), &p, &list, &n), ERR_OK);
    assert_int_equal(n, 1);
    assert_int_equal(list[0].conflicts, 1);
    p = (struct explain_period){.until_ms = split, .table = "person"};
    assert_int_equal(
        store_explain_conflicts(HUB->store, &arena, charter_of(reviewed), &p, &list, &n), ERR_OK);
    assert_int_equal(n, 3);
    assert_int_equal(count(list, n, "phone")->conflicts, 1);
    p.table = "nothing";
    assert_int_equal(
        store_explain_conflicts(HUB->store, &arena, charter_of(reviewed), &p, &list, &n),
        ERR_NOT_FOUND);
}

/* Under `owner` the row's own scope decides, also in the counts. */
static void the_owner_policy_looks_at_the_scope(void **state)
{
    static const char owner[] = CHARTER("\"delete\":\"update-wins\"", "\"policy\":\"latest\"",
                                        "\"policy\":\"owner\"", "\"policy\":\"max\"", NAMES);
    struct explain_period p = {0};
    struct explain_count *list;
    size_t n;
    office_sql(HUB, "INSERT INTO person(id, unit) VALUES('p', '1203')");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET phone = 'of the owner' WHERE id = 'p'");
    HUB->now_ms += 60000;
    office_sql(HUB, "UPDATE person SET phone = 'of the hub' WHERE id = 'p'");
    federation_sync(*state);
    struct explanation x = explain_row(B, "\"p\"", owner);
    const struct explain_cell *phone = cell_named(&x, "phone");
    assert_int_equal(phone->verdict, EXPLAIN_OTHERWISE);
    assert_string_equal(phone->sides[phone->other_shown].office, "office1");
    for (int i = 0; i < 3; i++) {
        struct office *o = OFFICE(i);
        assert_int_equal(
            store_explain_conflicts(o->store, &arena, charter_of(owner), &p, &list, &n), ERR_OK);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(list[k].otherwise, list[k].conflicts);
    }
    assert_int_equal(store_explain_conflicts(HUB->store, &arena, charter_of(owner), &p, &list, &n),
                     ERR_OK);
    assert_int_equal(n, 1);
}

/* What is not there is named: the table, the key, the row, what does not fit the other charter. */
static void what_is_not_there_is_named(void **state)
{
    static const char no_table[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":[]}";
    static const char no_column[] =
        CHARTER("\"delete\":\"update-wins\"", "\"policy\":\"latest\"", "\"policy\":\"latest\"",
                "\"policy\":\"max\"},{\"name\":\"wings\","
                "\"policy\":\"latest\"",
                NAMES);
    struct explanation x;
    office_sql(HUB, "INSERT INTO person(id, unit) VALUES('p', '1203')");
    federation_sync(*state);
    struct store *s = A->store;
    assert_int_equal(store_explain(s, &arena, "nothing", "\"p\"", NULL, &x), ERR_NOT_FOUND);
    assert_non_null(strstr(store_message(s), "no replicated table nothing"));
    assert_int_equal(store_explain(s, &arena, "person", "[1,2]", NULL, &x), ERR_USAGE);
    assert_int_equal(store_explain(s, &arena, "person", "\"q\"", NULL, &x), ERR_NOT_FOUND);
    assert_non_null(strstr(store_message(s), "person has no row \"q\""));
    assert_int_equal(store_explain(s, &arena, "person", "\"p\"", charter_of(no_table), &x),
                     ERR_REFUSED);
    assert_int_equal(store_explain(s, &arena, "person", "\"p\"", charter_of(no_column), &x),
                     ERR_REFUSED);
    assert_non_null(strstr(store_message(s), "wings"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_cell_names_its_rule_and_its_line),
        TEST(the_owner_is_the_nearest_office_above),
        TEST(what_the_rule_decided_between_is_told),
        TEST(another_charter_is_a_dry_run),
        TEST(deletes_and_births_are_tried_too),
        TEST(cells_cut_otherwise_are_mixed_or_unknown),
        TEST(conflicts_of_a_period_are_counted),
        TEST(the_owner_policy_looks_at_the_scope),
        TEST(what_is_not_there_is_named),
    };
    return check_run(tests);
}
