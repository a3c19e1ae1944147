/* Decisions that are taken again, when offices have forgotten what they were about. */
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/lists.h"

#include <string.h>

static const char schema[] = "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, family TEXT, given "
                             "TEXT, points INTEGER, paid INTEGER, note TEXT) WITHOUT ROWID;";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"any\",\"tables\":["
    "{\"name\":\"person\",\"delete\":\"delete-wins\",\"columns\":[{\"name\":\"points\",\"policy\":"
    "\"max\"},{\"name\":\"paid\",\"policy\":\"sum\"}],\"groups\":[{\"name\":\"full_name\","
    "\"columns\":[\"family\",\"given\"],\"policy\":\"review\"}]}]}";
static const char tables[] = "person tonle_decision";

static struct arena kept; /* what a test looks at; the offices' own are reset by every seal */

static int start(void **state)
{
    federation_set_up(state, 3, schema, charter, false);
    office_sql(HUB, "INSERT INTO person VALUES('p1','Sok','Dara',1,100,'n')");
    federation_sync(*state);
    return 0;
}

static int stop(void **state)
{
    federation_stop(*state);
    arena_fini(&kept);
    return 0;
}

static struct conflict_record first(struct office *o, const char *state, const char *cell)
{
    struct conflict_filter f = {.state = state, .cell = cell};
    size_t n;
    struct conflict_record *list = lists_filtered(o->store, &kept, &f, &n);
    assert_true(n >= 1);
    return list[0];
}

static enum err take(struct office *o, const char *id, struct dot dot)
{
    const char *decision;
    struct review r = {.by = "sok", .reason = "as the paper says", .now_ms = 1700000000000};
    assert_ok(store_begin(o->store));
    enum err e = store_conflict_resolve(o->store, &kept, id, RESOLVE_TAKE, dot, &r, &decision);
    return office_end(o, e);
}

static struct clock settled(void **state)
{
    struct clock c = {0};
    clock_copy(&c, &store_state_get(HUB->store)->clock);
    return c;
}

/* A delete that everybody agreed on is undone by a new birth with the old values: who has forgotten
 * the row by then, and who has not, show the same. */
static void a_delete_undone_is_a_new_birth(void **state)
{
    office_sql(A, "DELETE FROM person WHERE id = 'p1'");
    office_sql(B, "UPDATE person SET note = 'changed', paid = 130 WHERE id = 'p1'");
    federation_sync(*state);
    struct conflict_record c = first(HUB, "open", "exists");
    assert_ok(take(HUB, c.id, lists_side(&c, A->site)));
    federation_sync(*state);
    struct clock all = settled(state);
    office_pass_stable(A, &all, 10);
    assert_ok(take(B, c.id, lists_side(&c, B->site)));
    federation_sync(*state);
    office_pass_stable(HUB, &all, 10);
    office_pass_stable(B, &all, 10);
    federation_sync(*state);
    const char *row = "SELECT id || family || given || points || paid || note FROM person";
    assert_string_equal(office_one(HUB, row), "p1SokDara1130changed");
    federation_assert_equal(*state, tables);
    clock_fini(&all);
}

/* The same for the birth that was dropped. */
static void a_dropped_birth_taken_again_is_a_new_one(void **state)
{
    office_sql(A, "INSERT INTO person VALUES('p2','Chan','A',1,10,NULL)");
    B->now_ms += 1000;
    office_sql(B, "INSERT INTO person VALUES('p2','Chea','B',2,20,'b')");
    federation_sync(*state);
    struct conflict_record c = first(A, "open", "birth");
    assert_ok(take(A, c.id, lists_side(&c, B->site)));
    federation_sync(*state);
    struct clock all = settled(state);
    office_pass_stable(A, &all, 10);
    assert_ok(take(HUB, c.id, lists_side(&c, A->site)));
    federation_sync(*state);
    office_pass_stable(HUB, &all, 10);
    office_pass_stable(B, &all, 10);
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT given || paid FROM person WHERE id = 'p2'"), "A10");
    federation_assert_equal(*state, tables);
    clock_fini(&all);
}

/* An old conflict is about the person it was recorded for, not about another who was entered under
 * the same key later. */
static void an_old_conflict_never_changes_another_birth(void **state)
{
    office_sql(A, "UPDATE person SET points = 9 WHERE id = 'p1'");
    office_sql(B, "UPDATE person SET points = 4 WHERE id = 'p1'");
    federation_sync(*state);
    struct conflict_record c = first(A, "open", "points");
    assert_ok(take(A, c.id, lists_side(&c, A->site)));
    federation_sync(*state);
    office_sql(A, "DELETE FROM person WHERE id = 'p1'");
    federation_sync(*state);
    office_sql(A, "INSERT INTO person VALUES('p1','Som','Other',1,1,NULL)");
    federation_sync(*state);
    struct clock all = settled(state);
    for (int i = 0; i < 3; i++)
        office_pass_stable(OFFICE(i), &all, 10);
    assert_err(take(A, c.id, lists_side(&c, B->site)), ERR_STATE);
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT points FROM person WHERE id = 'p1'"), "1");
    clock_fini(&all);
}

/* A row that an application has just changed, and that no seal has taken yet, is not decided about:
 * the application's write would stand over what a person said behind it. */
static void what_is_not_sealed_is_not_decided(void **state)
{
    office_sql(A, "UPDATE person SET points = 9 WHERE id = 'p1'");
    office_sql(B, "UPDATE person SET points = 4 WHERE id = 'p1'");
    federation_sync(*state);
    struct conflict_record c = first(A, "open", "points");
    office_sql(A, "UPDATE person SET points = 7 WHERE id = 'p1'");
    assert_err(take(A, c.id, lists_side(&c, B->site)), ERR_BUSY);
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT points FROM person WHERE id = 'p1'"), "7");
    assert_ok(take(A, c.id, lists_side(&c, B->site)));
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT points FROM person WHERE id = 'p1'"), "4");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_decision"), "1");
}

/* Nor about one that it has just deleted, which is looked at without its values. */
static void a_row_deleted_meanwhile_is_no_accident(void **state)
{
    office_sql(A, "UPDATE person SET points = 9, family = 'Sak' WHERE id = 'p1'");
    office_sql(B, "UPDATE person SET points = 4 WHERE id = 'p1'");
    federation_sync(*state);
    struct conflict_record c = first(A, "open", "points");
    office_sql(A, "DELETE FROM person WHERE id = 'p1'");
    assert_err(take(A, c.id, lists_side(&c, B->site)), ERR_BUSY);
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM person"), "0");
    federation_assert_equal(*state, tables);
}

/* Nor does a decision call it back that waited for it, however long the log was. */
static void a_decision_behind_a_cut_does_not_undo_a_delete(void **state)
{
    office_sql(A, "INSERT INTO person SELECT 'p0', family, given, points, paid, note FROM person");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET points = 9");
    office_sql(B, "UPDATE person SET points = 4");
    federation_sync(*state);
    struct conflict_filter f = {.state = "open", .cell = "points"};
    size_t n;
    struct conflict_record *c = lists_filtered(A->store, &kept, &f, &n);
    assert_int_equal(n, 2);
    size_t last = strstr(c[0].key_json, "p1") ? 0 : 1; /* p1 is queued last */
    assert_ok(take(A, c[1 - last].id, lists_side(&c[1 - last], B->site)));
    assert_ok(take(A, c[last].id, lists_side(&c[last], B->site)));
    office_sql(A, "DELETE FROM person WHERE id = 'p1'");
    office_sql(A, "INSERT INTO person(id) VALUES('p2'), ('p3')");
    for (int i = 0; i < 3; i++) /* the two, then all that is decided and the delete */
        assert_true(office_seal_part(A, 1));
    assert_false(office_seal_part(A, 1));
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM person WHERE id < 'p2'"), "p0");
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_todo"), "0");
    federation_assert_equal(*state, tables);
}

/* Also when nobody has the row on record any more: the conflict has. */
static void a_forgotten_row_is_entered_again(void **state)
{
    office_sql(A, "DELETE FROM person WHERE id = 'p1'");
    office_sql(B,
               "UPDATE person SET note = 'changed', paid = 130, family = X'00ff' WHERE id = 'p1'");
    federation_sync(*state);
    struct conflict_record c = first(HUB, "open", "exists");
    const char *count = "SELECT count(*) FROM person";
    const struct dot side[] = {lists_side(&c, A->site), lists_side(&c, B->site)};
    const char *rows[] = {"0", "1"};
    for (int i = 0; i < 5; i++) {
        assert_ok(take(i % 2 ? B : HUB, c.id, side[i % 2]));
        federation_sync(*state);
        assert_string_equal(office_one(A, count), rows[i % 2]);
        federation_assert_equal(*state, tables);
        if (i % 2)
            assert_string_equal(
                office_one(A, "SELECT hex(family) || given || paid || note FROM person"),
                "00FFDara130changed");
        struct clock all = settled(state);
        for (int o = 0; o < 3 && i < 3; o++)
            office_pass_stable(OFFICE(o), &all, 10);
        clock_fini(&all);
    }
    assert_ok(take(HUB, c.id, lists_side(&c, B->site)));
    assert_err(take(HUB, c.id, lists_side(&c, B->site)),
               ERR_STATE); /* not a second time unsealed */
}

/* The same for a birth that was dropped: they take turns as often as people change their minds. */
static void a_forgotten_birth_is_entered_again(void **state)
{
    office_sql(A, "INSERT INTO person VALUES('p2','Chan','A',1,10,NULL)");
    B->now_ms += 1000;
    office_sql(B, "INSERT INTO person VALUES('p2','Chea','B',2,20,'b')");
    federation_sync(*state);
    struct conflict_record c = first(A, "open", "birth");
    const struct dot side[] = {lists_side(&c, B->site), lists_side(&c, A->site)};
    const char *rows[] = {"B20", "A10"};
    for (int i = 0; i < 5; i++) {
        assert_ok(take(HUB, c.id, side[i % 2]));
        federation_sync(*state);
        assert_string_equal(
            office_one(B, "SELECT group_concat(given || paid) FROM person WHERE id = 'p2'"),
            rows[i % 2]);
        federation_assert_equal(*state, tables);
        struct clock all = settled(state);
        for (int o = 0; o < 3 && i != 2; o++)
            office_pass_stable(OFFICE(o), &all, 10);
        clock_fini(&all);
    }
}

/* Nobody who was entered under the key later is dropped by deciding about those before. */
static void an_old_birth_conflict_drops_nobody_entered_since(void **state)
{
    office_sql(A, "INSERT INTO person VALUES('p2','Chan','A',1,10,NULL)");
    office_sql(B, "INSERT INTO person VALUES('p2','Chea','B',2,20,'b')");
    federation_sync(*state);
    struct conflict_record c = first(A, "open", "birth");
    assert_ok(take(A, c.id, lists_side(&c, B->site)));
    federation_sync(*state);
    office_sql(HUB, "DELETE FROM person WHERE id = 'p2'");
    federation_sync(*state);
    office_sql(HUB, "INSERT INTO person VALUES('p2','Som','C',3,30,'c')");
    federation_sync(*state);
    for (int i = 0; i < 2; i++) {
        assert_err(take(A, c.id, lists_side(&c, A->site)), ERR_STATE);
        assert_err(take(A, c.id, lists_side(&c, B->site)), ERR_STATE);
        federation_sync(*state);
        assert_string_equal(office_one(B, "SELECT given FROM person WHERE id = 'p2'"), "C");
        struct clock all = settled(state);
        office_pass_stable(A, &all, 10);
        clock_fini(&all);
    }
}

/* The record of a decision about a large value is small, or it could not be sent. */
static void a_decision_about_a_large_value_travels(void **state)
{
    office_sql(A, "UPDATE person SET points = zeroblob(5000000) WHERE id = 'p1'");
    office_sql(B, "UPDATE person SET points = 4 WHERE id = 'p1'");
    federation_sync(*state);
    struct conflict_record c = first(A, "open", "points");
    assert_ok(take(A, c.id, lists_side(&c, A->site)));
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT length(choice) < 400 FROM tonle_decision"), "1");
    federation_assert_equal(*state, tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_delete_undone_is_a_new_birth),
        TEST(a_dropped_birth_taken_again_is_a_new_one),
        TEST(an_old_conflict_never_changes_another_birth),
        TEST(a_forgotten_row_is_entered_again),
        TEST(a_forgotten_birth_is_entered_again),
        TEST(an_old_birth_conflict_drops_nobody_entered_since),
        TEST(what_is_not_sealed_is_not_decided),
        TEST(a_decision_about_a_large_value_travels),
        TEST(a_row_deleted_meanwhile_is_no_accident),
        TEST(a_decision_behind_a_cut_does_not_undo_a_delete),
    };
    return check_run(tests);
}
