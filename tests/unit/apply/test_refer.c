/* A reference means the parent that was there when it was written, not whoever has its key. */
#include "node/desk/desk.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, name TEXT, boss TEXT REFERENCES person(id),"
    " age INTEGER CHECK(age >= 0));"
    "CREATE TABLE visit(id TEXT PRIMARY KEY NOT NULL, person TEXT REFERENCES person(id), note "
    "TEXT);"
    "CREATE TABLE finding(id TEXT PRIMARY KEY NOT NULL, visit TEXT REFERENCES visit(id));"
    "CREATE TABLE stay(person TEXT NOT NULL REFERENCES person(id), no INTEGER NOT NULL,"
    " room TEXT, PRIMARY KEY(person, no)) WITHOUT ROWID;"
    "CREATE TABLE bill(id TEXT PRIMARY KEY NOT NULL, p TEXT, n INTEGER,"
    " FOREIGN KEY(n, p) REFERENCES stay(no, person));";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"any\",\"tables\":["
    "{\"name\":\"person\",\"columns\":[]},"
    "{\"name\":\"visit\",\"columns\":[{\"name\":\"note\",\"policy\":\"max\"}]},"
    "{\"name\":\"finding\",\"columns\":[]},{\"name\":\"stay\",\"birth\":\"latest\",\"columns\":[]},"
    "{\"name\":\"bill\",\"columns\":[]}]}";
static const char tables[] = "person visit finding stay bill";

#define C OFFICE(3)

/* Sok is entered at A as K; five seconds later, before she was heard of, Dara as K at B, with all
 * that belongs to her. */
static int start(void **state)
{
    federation_set_up(state, 4, schema, charter, false);
    A->now_ms = B->now_ms - 5000;
    office_sql(A, "INSERT INTO person(id,name) VALUES('K','Sok')");
    office_seal(A);
    office_sql(B, "INSERT INTO person(id,name,boss) VALUES('K','Dara','K');"
                  "INSERT INTO visit VALUES('v1','K','1'); INSERT INTO finding VALUES('f1','v1');"
                  "INSERT INTO stay VALUES('K',1,'r'); INSERT INTO bill VALUES('b1','K',1)");
    office_seal(B);
    office_sql(B, "INSERT INTO visit VALUES('v2','K','2')"); /* in another changeset */
    office_seal(B);
    return 0;
}

static void equal(void **state)
{
    federation_sync(*state);
    federation_assert_equal(*state, tables);
}

static const char standing[] =
    "SELECT (SELECT group_concat(id || name || ifnull(boss, '-')) FROM (SELECT * FROM person ORDER "
    "BY id)) || ' ' || (SELECT ifnull(group_concat(id || person), '') FROM (SELECT * FROM visit "
    "ORDER BY id)) || ' ' || (SELECT ifnull(group_concat(id), '') FROM finding) || ' ' ||"
    " (SELECT ifnull(group_concat(person || no), '') FROM stay) || ' ' ||"
    " (SELECT ifnull(group_concat(id || p || n), '') FROM bill)";
static const char held[] =
    "SELECT group_concat(table_name || reason, ' ') FROM (SELECT * FROM tonle_held ORDER BY "
    "table_name, reason, key)";
static const char with_dara[] = "billparent findingparent personbirth stayparent visitparent "
                                "visitparent";

/* Settles the held birth of this key. */
static void settle(struct office *o, const char *table, enum held_action action, const char *column,
                   const char *json)
{
    static const char id_of[] =
        "SELECT id FROM tonle_held WHERE table_name = '%s' AND reason = 'birth'";
    struct arena a = {0};
    struct held_settled settled;
    char sql[128];
    snprintf(sql, sizeof sql, id_of, table);
    char *id = arena_strdup(&a, office_one(o, sql));
    struct assignment set = {.column = column, .text = json};
    struct review review = {.by = "sok",
                            .reason = "two people",
                            .now_ms = 1700000000000,
                            .set = &set,
                            .n_set = column ? 1 : 0,
                            .leave_children = true};
    assert_ok(store_begin(o->store));
    enum err e = store_held_settle(o->store, &a, id, action, &review, &settled);
    assert_store_ok(o->store, e);
    assert_ok(store_commit(o->store));
    arena_fini(&a);
}

/* What is quiet everywhere becomes stable, and the records are swept, but at one office. */
static void stable_but(void **state, const struct office *late)
{
    federation_sync(*state);
    federation_pass_mark(FEDERATION, FEDERATION->n, late);
}

static void stable_at(void **state)
{
    stable_but(state, NULL);
}

/* Everything held is decided again. */
static void retry(struct office *o)
{
    uint32_t released;
    assert_committed(o->store, store_held_retry(o->store, &o->arena, NULL, o->now_ms, &released));
    arena_reset(&o->arena);
}

/* The children of the held one are held with her, and theirs in turn, at every office, whoever of
 * the two was heard of first; each says why. */
static void a_child_goes_with_its_held_parent(void **state)
{
    office_pull(HUB, B); /* for a while Dara stands there */
    assert_string_equal(office_one(HUB, standing), "KDaraK v1K,v2K f1 K1 b1K1");
    office_pull(HUB, A);
    office_pull(C, A);
    assert_string_equal(office_one(HUB, standing), "KSok-    ");
    equal(state);
    for (int i = 0; i < 4; i++) {
        struct office *o = OFFICE(i);
        assert_string_equal(office_one(o, standing), "KSok-    ");
        assert_string_equal(office_one(o, held), with_dara);
        assert_string_equal(office_one(o, "SELECT message || blocked_by || blocked_office FROM"
                                          " tonle_held WHERE key = '\"v1\"'"),
                            "the record of person it belongs to is held itself: another record was"
                            " entered earlier under the same key and stands\"K\"office2");
    }
    office_sql(B, "INSERT INTO visit VALUES('v3','K','3')"); /* B sees Sok now */
    equal(state);
    assert_string_equal(office_one(HUB, standing), "KSok- v3K   ");
}

/* When the one in the way goes, she stands and they with her; what belonged to the other belongs to
 * who stands then. */
static void children_come_back_with_their_parent(void **state)
{
    office_sql(A, "INSERT INTO visit VALUES('v9','K','9')");
    equal(state);
    assert_string_equal(office_one(HUB, standing), "KSok- v9K   ");
    office_sql(C, "DELETE FROM visit; DELETE FROM person WHERE id = 'K'");
    equal(state);
    assert_string_equal(office_one(HUB, standing), "KDaraK v1K,v2K f1 K1 b1K1");
    assert_string_equal(office_one(HUB, held), "NULL");
}

/* With another key they are hers at once: in tables of one column, with the key as part of their
 * own, and where she refers to herself. */
static void children_follow_to_a_new_key(void **state)
{
    equal(state);
    settle(C, "person", HELD_SET, "id", "L");
    equal(state);
    assert_string_equal(office_one(HUB, standing), "KSok-,LDaraL v1L,v2L f1 L1 b1L1");
    assert_string_equal(office_one(B, held), "NULL");
    assert_string_equal(office_one(B, "SELECT group_concat(DISTINCT note || room) FROM visit, stay"
                                      " WHERE visit.id = 'v1'"),
                        "1r");
    stable_at(state);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_row r JOIN tonle_table t"
                                        " USING(t) WHERE t.name NOT LIKE 'tonle%'"),
                        "0");
    equal(state);
}

/* Merged into the other, or dropped, she is no more: what was hers is the standing one's. */
static void children_of_a_merged_birth_belong_to_who_stands(void **state)
{
    equal(state);
    settle(B, "person", HELD_MERGE, NULL, NULL);
    equal(state);
    assert_string_equal(office_one(HUB, standing), "KSokK v1K,v2K f1 K1 b1K1");
    assert_string_equal(office_one(A, held), "NULL");
}

/* So it is when she is dropped and nothing else changes. */
static void children_of_a_dropped_birth_belong_to_who_stands(void **state)
{
    equal(state);
    settle(B, "person", HELD_DROP, NULL, NULL);
    equal(state);
    assert_string_equal(office_one(HUB, standing), "KSok- v1K,v2K f1 K1 b1K1");
    assert_string_equal(office_one(C, held), "NULL");
}

/* Written anew, a reference means who stands there where it is written, and the old one is gone;
 * what else changes in a child changes nothing in whom it means. */
static void a_reference_is_replaced_by_a_later_one(void **state)
{
    office_sql(B, "UPDATE visit SET person = NULL WHERE id = 'v1';"
                  "UPDATE visit SET note = 'x' WHERE id = 'v2'");
    office_seal(B);
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT id || ifnull(person, '-') FROM visit"), "v1-");
    office_sql(B, "UPDATE visit SET person = 'K' WHERE id = 'v1'");
    equal(state);
    assert_string_equal(office_one(HUB, standing), "KSok- v1K f1  ");
    office_sql(A, "DELETE FROM finding; DELETE FROM visit; DELETE FROM person");
    equal(state);
    assert_string_equal(office_one(C, "SELECT group_concat(id || note) FROM visit"), "v2x");
}

/* As long as two have the key, the names and whom they mean are kept, however stable everything is;
 * once it is settled nothing is. */
static void references_are_kept_as_long_as_the_names(void **state)
{
    equal(state);
    stable_at(state);
    equal(state);
    retry(HUB);
    retry(B);
    assert_string_equal(office_one(B, held), with_dara);
    equal(state);
    office_sql(A, "UPDATE visit SET note = 'y'; INSERT INTO visit VALUES('v4','K','4')");
    equal(state);
    stable_at(state);
    office_sql(C, "DELETE FROM visit; DELETE FROM person WHERE id = 'K'");
    equal(state);
    assert_string_equal(office_one(B, standing), "KDaraK v1K,v2K f1 K1 b1K1");
    assert_string_equal(office_one(B, held), "NULL");
    stable_at(state);
    stable_at(state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_row r JOIN tonle_table t"
                                      " USING(t) WHERE t.name NOT LIKE 'tonle%'"),
                        "0");
    equal(state);
}

/* A name that is forgotten means what it meant: the offices that have passed stable_at(mark) and
 * those that have not hold the same rows. */
static void a_forgotten_name_means_the_same(void **state)
{
    office_sql(A, "INSERT INTO person(id,name,age) VALUES('M','Mao',1);"
                  "INSERT INTO visit VALUES('m1','M','1')");
    stable_at(state); /* M has no name, nor whom m1 means */
    office_sql(A, "UPDATE person SET age = 2 WHERE id = 'M'");
    office_sql(B, "DELETE FROM visit WHERE id = 'm1'; DELETE FROM person WHERE id = 'M'");
    office_seal(A);
    office_seal(B);
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO person(id,name) VALUES('M','Mara');"
                  "INSERT INTO visit VALUES('m2','M','1')");
    equal(state); /* Mao lives by her change, and stands; Mara and what is hers are held */
    assert_string_equal(office_one(HUB, "SELECT name FROM person WHERE id = 'M'"), "Mao");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM visit WHERE id LIKE 'm%'"), "0");
    assert_string_equal(office_one(HUB, "SELECT reason FROM tonle_held WHERE key = '\"m2\"'"),
                        "parent");
    stable_at(state);
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT reason FROM tonle_held WHERE key = '\"m2\"'"),
                        "parent");
}

/* The same value may mean another: the row goes with the one that it means now. */
static void the_same_value_written_again_may_mean_another(void **state)
{
    office_sql(HUB, "INSERT INTO visit VALUES('w',NULL,'0')");
    office_seal(HUB);
    office_pull(A, HUB);
    office_pull(B, HUB);
    office_sql(A, "UPDATE visit SET person = 'K' WHERE id = 'w'"); /* Sok */
    office_seal(A);
    B->now_ms += 10000;
    office_sql(B, "UPDATE visit SET person = 'K' WHERE id = 'w'"); /* Dara */
    office_seal(B);
    office_pull(HUB, A);
    assert_string_equal(office_one(HUB, "SELECT id FROM visit"), "w");
    office_pull(HUB, B);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM visit"), "0");
    equal(state);
}

/* A foreign key of two columns comes back to a parent by a write to the column that does not carry
 * the reference: who is meant does not depend on who has swept meanwhile. */
static void a_reference_may_be_come_back_to(void **state)
{
    static const char bill[] = "SELECT room || (SELECT count(*) FROM bill WHERE id = 'b9')"
                               " FROM stay WHERE person = 'X'";
    office_sql(A, "INSERT INTO person(id,name) VALUES('X','x'),('Y','y');"
                  "INSERT INTO stay VALUES('Y',1,'y')");
    equal(state);
    stable_at(state);
    office_sql(A, "INSERT INTO stay VALUES('X',1,'a')");
    office_seal(A);
    B->now_ms += 10000;
    office_sql(B, "INSERT INTO stay VALUES('X',1,'b'); INSERT INTO bill VALUES('b9','X',1)");
    equal(state);
    assert_string_equal(office_one(HUB, bill), "b1"); /* the later birth stands, and its bill */
    stable_at(state);
    office_sql(A, "UPDATE bill SET p = 'Y' WHERE id = 'b9'");
    equal(state);
    stable_but(state, C);
    office_sql(A, "UPDATE bill SET p = 'X' WHERE id = 'b9'");
    equal(state);
    assert_string_equal(office_one(C, bill), "b1");
}

/* A changeset names its parents also when the log is sealed in pieces. */
static void parents_of_an_earlier_piece_are_named(void **state)
{
    B->now_ms += 1000;
    office_sql(A, "INSERT INTO person(id,name) VALUES('P','Pen')");
    office_seal(A);
    B->now_ms += 1000;
    office_sql(B, "INSERT INTO person(id,name) VALUES('P','Phal');"
                  "INSERT INTO visit VALUES('p1','P','1'); INSERT INTO visit VALUES('p2','P','2')");
    while (office_seal_part(B, 1)) {
    }
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM visit WHERE person = 'P'"), "0");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_held WHERE key LIKE '\"p_\"'"),
                        "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_child_goes_with_its_held_parent),
        FEDERATION_TEST(children_come_back_with_their_parent),
        FEDERATION_TEST(children_follow_to_a_new_key),
        FEDERATION_TEST(children_of_a_merged_birth_belong_to_who_stands),
        FEDERATION_TEST(children_of_a_dropped_birth_belong_to_who_stands),
        FEDERATION_TEST(a_reference_is_replaced_by_a_later_one),
        FEDERATION_TEST(references_are_kept_as_long_as_the_names),
        FEDERATION_TEST(a_forgotten_name_means_the_same),
        FEDERATION_TEST(the_same_value_written_again_may_mean_another),
        FEDERATION_TEST(a_reference_may_be_come_back_to),
        FEDERATION_TEST(parents_of_an_earlier_piece_are_named),
    };
    return check_run(tests);
}
