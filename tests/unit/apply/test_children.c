/* What a person decides about a held row takes along the rows that refer to it. */
#include "node/desk/desk.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE house(id TEXT PRIMARY KEY NOT NULL, number TEXT UNIQUE, plot TEXT UNIQUE,"
    " part_of TEXT REFERENCES house(id));"
    "CREATE TABLE member(id TEXT PRIMARY KEY NOT NULL, house TEXT REFERENCES house(id),"
    " phone TEXT UNIQUE);"
    "CREATE TABLE bed(house TEXT NOT NULL REFERENCES house(id), no INTEGER NOT NULL,"
    " PRIMARY KEY(house, no)) WITHOUT ROWID;"
    "CREATE TABLE sheet(id TEXT PRIMARY KEY NOT NULL, h TEXT REFERENCES house(id), n INTEGER,"
    " FOREIGN KEY(h, n) REFERENCES bed(house, no));"
    "CREATE TABLE letter(id TEXT PRIMARY KEY NOT NULL, plot TEXT REFERENCES house(plot));"
    "CREATE TABLE team(id TEXT PRIMARY KEY NOT NULL, name TEXT);"
    "CREATE TABLE player(id TEXT PRIMARY KEY NOT NULL, team TEXT REFERENCES team(id));";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"any\",\"tables\":["
    "{\"name\":\"house\",\"columns\":[]},{\"name\":\"member\",\"columns\":[]},"
    "{\"name\":\"bed\",\"columns\":[]},{\"name\":\"sheet\",\"columns\":[]},"
    "{\"name\":\"letter\",\"columns\":[]},"
    "{\"name\":\"team\",\"birth\":\"latest\",\"columns\":[]},"
    "{\"name\":\"player\",\"columns\":[]}]}";
static const char tables[] = "house member bed sheet letter team player";

#define C OFFICE(3)

/* House S of number 7 at A; five seconds later, before it was heard of, H of the same number at B,
 * with all that belongs to it. */
static int start(void **state)
{
    federation_set_up(state, 4, schema, charter, false);
    A->now_ms = B->now_ms - 5000;
    office_sql(A, "INSERT INTO house VALUES('S','7','p1',NULL);"
                  "INSERT INTO member VALUES('m0','S','012')");
    office_seal(A);
    office_sql(B, "INSERT INTO house VALUES('H','7','p2','H'),('annex',NULL,NULL,'H');"
                  "INSERT INTO member VALUES('m1','H',NULL),('m2','H',NULL);"
                  "INSERT INTO bed VALUES('H',1); INSERT INTO sheet VALUES('s1','H',1);"
                  "INSERT INTO letter VALUES('l1','p2')");
    office_seal(B);
    return 0;
}

static void equal(void **state)
{
    federation_sync(*state);
    federation_assert_equal(*state, tables);
}

static const char standing[] =
    "SELECT (SELECT group_concat(id || ifnull(plot, '-') || ifnull(part_of, '-')) FROM (SELECT *"
    " FROM house ORDER BY id)) || ' ' || (SELECT ifnull(group_concat(id || house), '') FROM (SELECT"
    " * FROM member ORDER BY id)) || ' ' || (SELECT ifnull(group_concat(house || no), '') FROM bed)"
    " || ' ' || (SELECT ifnull(group_concat(id || h || n), '') FROM sheet) || ' ' ||"
    " (SELECT ifnull(group_concat(id || plot), '') FROM letter)";

static const char *id_of(struct office *o, struct arena *a, const char *table, const char *reason)
{
    char sql[160];
    snprintf(
        sql, sizeof sql,
        "SELECT id FROM tonle_held WHERE table_name = '%s' AND reason = '%s' ORDER BY since_ms,"
        " site LIMIT 1",
        table, reason);
    return arena_strdup(a, office_one(o, sql));
}

static const struct review plain = {.by = "sok", .reason = "one house", .now_ms = 1700000000000};

static enum err settle(struct office *o, const char *table, const char *reason,
                       enum held_action action, const struct review *review)
{
    struct arena a = {0};
    struct held_settled settled;
    const char *id = id_of(o, &a, table, reason);
    assert_ok(store_begin(o->store));
    enum err e = store_held_settle(o->store, &a, id, action, review, &settled);
    arena_fini(&a);
    return office_end(o, e);
}

static void none_held(void **state)
{
    for (int i = 0; i < 4; i++)
        assert_string_equal(office_one(OFFICE(i),
                                       "SELECT ifnull(group_concat(table_name || reason),"
                                       " '-') FROM tonle_held"),
                            "-");
}

/* Whoever merges the second house, what belonged to it belongs to the one that stands, in every
 * table and by every reference: by its key, by a key of its own that has that key in it, by another
 * unique value; the decision says how many. */
static void merged_children_follow(void **state)
{
    equal(state);
    assert_string_equal(office_one(HUB, standing), "Sp1- m0S   ");
    assert_ok(settle(C, "house", "unique", HELD_MERGE, &plain));
    equal(state);
    assert_string_equal(office_one(HUB, standing), "Sp1S,annex-S m0S,m1S,m2S S1 s1S1 l1p1");
    none_held(state);
    assert_string_equal(office_one(A, "SELECT substr(choice, instr(choice, ';')) FROM"
                                      " tonle_decision"),
                        "; what belonged to it follows: 1 of house, 2 of member, 1 of bed,"
                        " 1 of sheet, 1 of letter");
}

/* Decided, while the log is longer than one changeset of `max` rows, and the application changes a
 * row that the decision changes too. */
static void decide_before_a_cut(void **state, uint32_t max)
{
    static const char seen[] = "SELECT (SELECT count(*) FROM tonle_decision) || ' of ' ||"
                               " (SELECT count(*) FROM tonle_held)";
    struct arena a = {0};
    office_sql(A, "UPDATE house SET plot = NULL");
    equal(state);
    const char *before = arena_strdup(&a, office_one(HUB, seen));
    assert_ok(settle(C, "house", "unique", HELD_MERGE, &plain));
    office_sql(C,
               "UPDATE house SET part_of = 'S' WHERE id = 'S'; INSERT INTO team VALUES('t1','x'),"
               "('t2','x'),('t3','x'),('t4','x'); INSERT INTO player VALUES('p','t1')");
    while (office_seal_part(C, max)) {
        office_pull(HUB, C);
        const char *now = office_one(HUB, seen);
        if (strcmp(now, before) != 0 && strcmp(now, "1 of 0") != 0)
            fail_msg("a part of a decision is seen: %s, before it %s", now, before);
    }
    assert_string_equal(office_one(HUB, seen), "1 of 0");
    assert_string_equal(office_one(HUB, "SELECT id || plot || part_of FROM house WHERE id = 'S'"),
                        "Sp2S");
    equal(state);
    none_held(state);
    arena_fini(&a);
}

/* A decision is seen whole or not at all, however the log is cut that it waits in: behind rows of
 * the application, with no room for all of it, or more than a changeset is to have. */
static void a_cut_log_splits_no_decision(void **state)
{
    decide_before_a_cut(state, 7);
}

static void nor_one_that_is_longer(void **state)
{
    decide_before_a_cut(state, 2);
}

/* Two offices that decide the same at the same time do the same. (A row that is born again under
 * another key is then born twice there: a conflict of its own.) */
static void two_may_merge_at_once(void **state)
{
    office_sql(B, "DELETE FROM sheet; DELETE FROM bed");
    equal(state);
    assert_ok(settle(C, "house", "unique", HELD_MERGE, &plain));
    assert_ok(settle(A, "house", "unique", HELD_MERGE, &plain));
    equal(state);
    assert_string_equal(office_one(HUB, standing), "Sp1S,annex-S m0S,m1S,m2S   l1p1");
    none_held(state);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_conflict WHERE state = 'open'"),
                        "0");
}

/* What the standing row lacks it takes from the other, and who refers by that value stays as it
 * is. */
static void a_value_that_is_taken_over_keeps_its_children(void **state)
{
    office_sql(A, "UPDATE house SET plot = NULL");
    equal(state);
    assert_ok(settle(A, "house", "unique", HELD_MERGE, &plain));
    equal(state);
    assert_string_equal(office_one(HUB, standing), "Sp2S,annex-S m0S,m1S,m2S S1 s1S1 l1p2");
    none_held(state);
}

/* A child that is held for a reason of its own follows, too, also when all names are forgotten. */
static void a_child_held_for_itself_follows(void **state)
{
    office_sql(B, "INSERT INTO member VALUES('m3','H','012')");
    equal(state);
    assert_string_equal(office_one(C, "SELECT reason FROM tonle_held WHERE key = '\"m3\"'"),
                        "unique");
    assert_ok(settle(C, "house", "unique", HELD_MERGE, &plain));
    equal(state);
    assert_ok(settle(HUB, "member", "unique", HELD_SET,
                     &(struct review){.by = "sok",
                                      .reason = "his own",
                                      .now_ms = 1700000000000,
                                      .set = &(struct assignment){"phone", "013", false},
                                      .n_set = 1}));
    equal(state);
    assert_string_equal(office_one(B, "SELECT house FROM member WHERE id = 'm3'"), "S");
    none_held(state);
}

/* A key that a child would get may be taken: nothing is decided, and it is said what to do first.
 */
static void a_childs_key_may_be_taken(void **state)
{
    office_sql(A, "INSERT INTO bed VALUES('S',1)");
    equal(state);
    assert_err(settle(C, "house", "unique", HELD_MERGE, &plain), ERR_EXISTS);
    assert_non_null(strstr(store_message(C->store), "[\"H\",1] of bed"));
    assert_non_null(strstr(store_message(C->store), "tonle held set"));
    assert_ok(settle(C, "bed", "parent", HELD_SET,
                     &(struct review){.by = "sok",
                                      .reason = "another bed",
                                      .now_ms = 1700000000000,
                                      .set = &(struct assignment){"no", "2", false},
                                      .n_set = 1}));
    equal(state);
    assert_ok(settle(C, "house", "unique", HELD_MERGE, &plain));
    equal(state);
    assert_string_equal(office_one(HUB, standing), "Sp1S,annex-S m0S,m1S,m2S S1,S2 s1S2 l1p1");
    none_held(state);
}

/* Of three that were entered under one key the last stands; who belonged to the first that is
 * merged into it belongs to it, and not to the second, which is held. */
static void a_merge_is_into_who_stands(void **state)
{
    federation_sync(*state);
    office_sql(A, "INSERT INTO team VALUES('T','a'); INSERT INTO player VALUES('pa','T')");
    office_seal(A);
    B->now_ms += 10000;
    office_sql(B, "INSERT INTO team VALUES('T','b'); INSERT INTO player VALUES('pb','T')");
    office_seal(B);
    C->now_ms += 20000;
    office_sql(C, "INSERT INTO team VALUES('T','c'); INSERT INTO player VALUES('pc','T')");
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT name || (SELECT group_concat(id) FROM player)"
                                        " FROM team"),
                        "cpc");
    char sql[160];
    struct arena a = {0};
    struct held_settled settled;
    snprintf(sql, sizeof sql,
             "SELECT id FROM tonle_held WHERE table_name = 'team' AND office ="
             " (SELECT office FROM tonle_held WHERE key = '\"pa\"')");
    const char *id = arena_strdup(&a, office_one(HUB, sql));
    assert_committed(HUB->store,
                     store_held_settle(HUB->store, &a, id, HELD_MERGE, &plain, &settled));
    assert_string_equal(settled.children, "1 of player");
    arena_fini(&a);
    equal(state);
    assert_string_equal(office_one(B, "SELECT name || (SELECT group_concat(id) FROM (SELECT id FROM"
                                      " player ORDER BY id)) FROM team"),
                        "cpa,pc");
}

/* It is not dropped from under those that refer to it unless that is said; then they are left. */
static void a_drop_names_who_would_hang(void **state)
{
    struct review go_on = plain;
    go_on.leave_children = true;
    equal(state);
    assert_err(settle(C, "house", "unique", HELD_DROP, &plain), ERR_STATE);
    assert_non_null(strstr(store_message(C->store), "1 of house, 2 of member, 1 of bed, 1 of sheet,"
                                                    " 1 of letter"));
    assert_non_null(strstr(store_message(C->store), "--leave-children"));
    assert_ok(settle(C, "house", "unique", HELD_DROP, &go_on));
    equal(state);
    assert_string_equal(office_one(HUB, standing), "Sp1- m0S   ");
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_held WHERE reason = 'parent'"),
                        "6");
    /* nothing hangs on this one */
    assert_ok(settle(C, "letter", "parent", HELD_DROP, &plain));
    equal(state);
}

/* What an application has just written under it is not left behind: the decision waits. */
static void a_child_that_is_not_sealed_is_waited_for(void **state)
{
    equal(state);
    office_sql(C, "INSERT INTO member VALUES('m4','H',NULL)");
    assert_err(settle(C, "house", "unique", HELD_MERGE, &plain), ERR_BUSY);
    equal(state);
    assert_ok(settle(C, "house", "unique", HELD_MERGE, &plain));
    equal(state);
    assert_string_equal(office_one(A, "SELECT house FROM member WHERE id = 'm4'"), "S");
    none_held(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(merged_children_follow),
        FEDERATION_TEST(a_cut_log_splits_no_decision),
        FEDERATION_TEST(nor_one_that_is_longer),
        FEDERATION_TEST(two_may_merge_at_once),
        FEDERATION_TEST(a_value_that_is_taken_over_keeps_its_children),
        FEDERATION_TEST(a_child_held_for_itself_follows),
        FEDERATION_TEST(a_childs_key_may_be_taken),
        FEDERATION_TEST(a_merge_is_into_who_stands),
        FEDERATION_TEST(a_drop_names_who_would_hang),
        FEDERATION_TEST(a_child_that_is_not_sealed_is_waited_for),
    };
    return check_run(tests);
}
