/* Equal births are one row to people: nothing held, nothing open, deleted when it is deleted; and
 * never mixed. */
#include "node/desk/desk.h"
#include "node/load/load.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE region(code TEXT PRIMARY KEY NOT NULL, name TEXT, n INTEGER, top INTEGER);"
    "CREATE TABLE place(id TEXT PRIMARY KEY NOT NULL, region TEXT REFERENCES region(code),"
    " note TEXT);"
    "CREATE TABLE visits(id TEXT PRIMARY KEY NOT NULL, n INTEGER);";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"any\",\"tables\":["
    "{\"name\":\"region\",\"columns\":[{\"name\":\"top\",\"policy\":\"max\"}]},"
    "{\"name\":\"place\",\"columns\":[]},"
    "{\"name\":\"visits\",\"columns\":[{\"name\":\"n\",\"policy\":\"sum\"}]}]}";
static const char tables[] = "region place visits";

#define C OFFICE(3)
#define D OFFICE(4)
#define SEED "INSERT INTO region VALUES('c1','one',1,0)"

static int start(void **state)
{
    return federation_set_up(state, 5, schema, charter, false);
}

static void assert_digests(void **state)
{
    struct table_digest *first, *other;
    uint32_t n, m;
    assert_ok(store_digest(HUB->store, &HUB->arena, &first, &n));
    for (int i = 1; i < FEDERATION->n; i++) {
        assert_ok(store_digest(OFFICE(i)->store, &OFFICE(i)->arena, &other, &m));
        assert_int_equal(n, m);
        for (uint32_t t = 0; t < n; t++)
            assert_memory_equal(first[t].digest, other[t].digest, HASH_BYTES);
    }
}

static void equal(void **state)
{
    federation_sync(*state);
    federation_assert_equal(*state, tables);
    assert_digests(state);
}

/* Rows of region, held rows, open conflicts: everywhere. */
static void assert_told(void **state, const char *rows, const char *held, const char *open)
{
    equal(state);
    assert_everywhere("SELECT ifnull(group_concat(name || n || top), '') FROM region", rows);
    assert_everywhere("SELECT count(*) FROM tonle_held", held);
    assert_everywhere("SELECT count(*) FROM tonle_conflict WHERE state = 'open'", open);
}

static void sealed(struct office *o, const char *sql)
{
    o->now_ms += 1000;
    office_sql(o, sql);
    assert_true(office_seal(o));
}

static void all_seed(void **state)
{
    for (int i = 0; i < FEDERATION->n; i++)
        sealed(OFFICE(i), SEED);
}

/* As a mark that all have passed, with the hub's list. */
static void stable_but(void **state, const struct office *late)
{
    federation_sync(*state);
    federation_pass_mark(FEDERATION, FEDERATION->n, late);
}

static void five_offices_seed_one_row(void **state)
{
    all_seed(state);
    assert_told(state, "one10", "0", "0");
    assert_everywhere("SELECT births FROM tonle_row", "5");
    sealed(B, "DELETE FROM region");
    assert_told(state, "", "0", "0");
    stable_but(state, NULL);
    assert_everywhere("SELECT count(*) FROM tonle_row", "0");
}

static void what_is_settled_is_one_row_without_a_record(void **state)
{
    all_seed(state);
    stable_but(state, A);
    assert_told(state, "one10", "0", "0");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_row"), "0");
    assert_string_equal(office_one(A, "SELECT births FROM tonle_row"), "5");
    stable_but(state, NULL);
    sealed(B, "UPDATE region SET name='two'");
    assert_told(state, "two10", "0", "0");
    sealed(A, "DELETE FROM region");
    assert_told(state, "", "0", "0");
    stable_but(state, NULL);
    assert_told(state, "", "0", "0");
    assert_everywhere("SELECT count(*) FROM tonle_row", "0");
}

static void an_edit_makes_its_birth_stand(void **state)
{
    sealed(B, SEED);
    office_sql(B, "ALTER TABLE region ADD COLUMN here TEXT");
    office_sql(B, "UPDATE region SET here='mine'");
    A->now_ms = B->now_ms + 5000;
    sealed(A, SEED);
    sealed(A, "UPDATE region SET name='edited', top=3");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT name || top || here FROM region"), "edited3mine");
    assert_everywhere("SELECT name || top FROM region", "edited3");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
    assert_everywhere("SELECT count(*) FROM tonle_conflict WHERE state = 'open'", "0");
    assert_digests(state);
    sealed(B, "UPDATE region SET n=n+1"); /* the office whose own birth does not stand */
    federation_sync(*state);
    assert_everywhere("SELECT name || n FROM region", "edited2");
}

static void a_birth_after_a_delete_is_another(void **state)
{
    sealed(A, SEED);
    federation_sync(*state);
    sealed(B, "DELETE FROM region");
    sealed(A, "DELETE FROM region");
    sealed(A, SEED);
    assert_told(state, "one10", "0", "0");
    stable_but(state, NULL);
    assert_told(state, "one10", "0", "0");
}

static void edits_to_both_are_a_conflict(void **state)
{
    sealed(A, SEED);
    sealed(B, SEED);
    sealed(A, "UPDATE region SET name='Sok'");
    sealed(B, "UPDATE region SET n=7");
    federation_sync(*state);
    assert_told(state, "Sok10", "1", "1");
    stable_but(state, NULL);
    assert_told(state, "Sok10", "1", "1");
    sealed(C, "DELETE FROM region");
    assert_told(state, "one70", "0", "0");
}

static void an_unequal_one_is_held_alone(void **state)
{
    struct arena a = {0};
    struct held_settled settled_to;
    struct review review = {.by = "sok", .reason = "r", .now_ms = 1700000000000};
    sealed(A, SEED);
    sealed(B, SEED);
    sealed(C, "INSERT INTO region VALUES('c1','other',1,0)");
    C->now_ms -= 1000;
    sealed(D, SEED);
    assert_told(state, "one10", "1", "1");
    stable_but(state, NULL);
    sealed(A, "DELETE FROM region"); /* with both that are equal to it */
    assert_told(state, "other10", "0", "0");
    sealed(HUB, "INSERT INTO region VALUES('c2','x',0,0)");
    sealed(A, "INSERT INTO region VALUES('c2','y',0,0)");
    sealed(B, "INSERT INTO region VALUES('c2','y',0,0)");
    assert_told(state, "other10,x00", "1", "1");
    const char *id = arena_strdup(&a, office_one(C, "SELECT id FROM tonle_held"));
    assert_ok(store_begin(C->store));
    assert_store_ok(C->store, store_held_settle(C->store, &a, id, HELD_DROP, &review, &settled_to));
    assert_ok(store_commit(C->store));
    assert_told(state, "other10,x00", "0", "0");
    stable_but(state, NULL);
    assert_everywhere("SELECT count(*) FROM tonle_row WHERE t ="
                      " (SELECT t FROM tonle_table WHERE name = 'region')",
                      "0");
    arena_fini(&a);
}

static void a_delete_does_not_touch_what_it_had_not_seen(void **state)
{
    sealed(A, SEED);
    sealed(A, "DELETE FROM region");
    sealed(B, SEED);
    assert_told(state, "one10", "0", "0");
}

static void counters_are_never_equal(void **state)
{
    for (int i = 1; i < 3; i++)
        sealed(OFFICE(i), "INSERT INTO visits VALUES('v',1), ('w',0)");
    assert_told(state, "", "1", "1");
    assert_everywhere("SELECT key FROM tonle_held", "\"v\"");
}

static void children_belong_to_either_parent(void **state)
{
    sealed(A, SEED ";INSERT INTO place VALUES('p','c1','a'), ('same','c1','s')");
    sealed(B, SEED ";INSERT INTO place VALUES('q','c1','b'), ('same','c1','s')");
    assert_told(state, "one10", "0", "0");
    assert_everywhere("SELECT group_concat(id) FROM (SELECT id FROM place ORDER BY id)",
                      "p,q,same");
    stable_but(state, NULL);
    assert_everywhere("SELECT count(*) FROM tonle_row", "0");
}

/* The region of A is held, and so is what belongs to that alone; the place that both entered
 * belongs to the one that stands as well, though the entry of A is the earlier. */
static void a_child_entered_twice_stands_with_either_parent(void **state)
{
    static const char places[] = "SELECT group_concat(id) FROM (SELECT id FROM place ORDER BY id)";
    static const char entries[] = "SELECT group_concat(births) FROM tonle_row WHERE t ="
                                  " (SELECT t FROM tonle_table WHERE name = 'place')";
    A->now_ms = B->now_ms += 1000;
    sealed(B, "INSERT INTO region VALUES('c1','two',2,0)");
    A->now_ms += 1000;
    sealed(A, SEED);
    sealed(A, "INSERT INTO place VALUES('s','c1','s'), ('t','c1','t')");
    B->now_ms = A->now_ms + 1000;
    sealed(B, "INSERT INTO place VALUES('s','c1','s')");
    assert_told(state, "two20", "2", "1");
    assert_everywhere(places, "s");
    stable_but(state, NULL);
    assert_everywhere(entries, "2,1");
    sealed(HUB, "DELETE FROM region"); /* it belongs to the other as well */
    assert_told(state, "one10", "0", "0");
    assert_everywhere(places, "s,t");
    stable_but(state, NULL);
    stable_but(state, NULL);
    assert_everywhere("SELECT count(*) FROM tonle_row", "0");
}

static void what_is_held_is_told_once(void **state)
{
    sealed(HUB, SEED);
    federation_sync(*state);
    sealed(A, "INSERT INTO place VALUES('s','c1','s')");
    sealed(B, "INSERT INTO place VALUES('s','c1','s')");
    sealed(C, "DELETE FROM region");
    assert_told(state, "", "1", "0");
    stable_but(state, A); /* one has two births on record, the others one */
    assert_told(state, "", "1", "0");
    assert_everywhere("SELECT reason || key FROM tonle_held", "parent\"s\"");
    stable_but(state, NULL);
    sealed(D, SEED);
    assert_told(state, "one10", "0", "0");
    assert_everywhere("SELECT id FROM place", "s");
}

static void the_history_tells_of_no_other_record(void **state)
{
    struct arena a = {0};
    struct history h;
    sealed(A, SEED);
    sealed(B, SEED);
    sealed(A, "UPDATE region SET n=2");
    equal(state);
    assert_ok(store_history(HUB->store, &a, "region", "\"c1\"", &h));
    assert_int_equal(h.n, 3);
    for (size_t i = 0; i < h.n; i++)
        assert_true(h.entry[i].n_met == 0 && !h.entry[i].beside);
    arena_fini(&a);
}

/* The deletes of twins may be more than a seal takes: what is left in the log is left. */
static void a_delete_with_its_twins_cuts_the_log(void **state)
{
    sealed(A, SEED);
    sealed(B, SEED);
    federation_sync(*state);
    sealed(A, "INSERT INTO place VALUES('p','c1','a')");
    federation_sync(*state);
    office_sql(C, "UPDATE place SET note='kept'; DELETE FROM region");
    assert_true(office_seal_part(C, 1));
    assert_true(office_seal(C));
    assert_told(state, "", "1", "0");
    assert_everywhere("SELECT reason || key FROM tonle_held", "parent\"p\"");
    sealed(HUB, SEED);
    assert_told(state, "one10", "0", "0");
    assert_everywhere("SELECT id || note FROM place", "pkept");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(five_offices_seed_one_row),
        FEDERATION_TEST(what_is_settled_is_one_row_without_a_record),
        FEDERATION_TEST(an_edit_makes_its_birth_stand),
        FEDERATION_TEST(a_birth_after_a_delete_is_another),
        FEDERATION_TEST(edits_to_both_are_a_conflict),
        FEDERATION_TEST(an_unequal_one_is_held_alone),
        FEDERATION_TEST(a_delete_does_not_touch_what_it_had_not_seen),
        FEDERATION_TEST(counters_are_never_equal),
        FEDERATION_TEST(children_belong_to_either_parent),
        FEDERATION_TEST(a_child_entered_twice_stands_with_either_parent),
        FEDERATION_TEST(what_is_held_is_told_once),
        FEDERATION_TEST(the_history_tells_of_no_other_record),
        FEDERATION_TEST(a_delete_with_its_twins_cuts_the_log),
    };
    return check_run(tests);
}
