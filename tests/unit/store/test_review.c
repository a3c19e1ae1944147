/* The review desk: what a person decides about conflicts. */
#include "conflict/hlc.h"
#include "node/capture/capture.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/lists.h"
#include <stdio.h>

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, family TEXT, given TEXT, points INTEGER, "
    "paid INTEGER, note TEXT) WITHOUT ROWID;"
    "CREATE TABLE visit(no INTEGER NOT NULL PRIMARY KEY, what TEXT, weight REAL) WITHOUT ROWID;";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"any\",\"tables\":["
    "{\"name\":\"person\",\"delete\":\"delete-wins\",\"columns\":[{\"name\":\"points\",\"policy\":"
    "\"max\"},{\"name\":\"paid\",\"policy\":\"sum\"}],\"groups\":[{\"name\":\"full_name\","
    "\"columns\":[\"family\",\"given\"],\"policy\":\"review\"}]},"
    "{\"name\":\"visit\",\"policy\":\"review\"}]}";
static const char tables[] = "person visit tonle_decision";

static struct arena kept; /* what a test looks at; the offices' own are reset by every seal */

static int start(void **state)
{
    federation_set_up(state, 3, schema, charter, false);
    office_sql(HUB, "INSERT INTO person VALUES('p1','Sok','Dara',1,100,'n'); INSERT INTO visit "
                    "VALUES(1,'w',1.5)");
    federation_sync(*state);
    return 0;
}

static int stop(void **state)
{
    federation_stop(*state);
    arena_fini(&kept);
    return 0;
}

static struct review by(const char *who, const struct assignment *set, size_t n)
{
    return (struct review){
        .by = who, .reason = "as the paper says", .now_ms = 1700000000000, .set = set, .n_set = n};
}

/* The one open conflict of this cell at an office. */
static struct conflict_record open_one(struct office *o, const char *cell)
{
    struct conflict_filter f = {.state = "open", .cell = cell};
    size_t n;
    struct conflict_record *list = lists_filtered(o->store, &kept, &f, &n);
    assert_int_equal(n, 1);
    return list[0];
}

static size_t open_count(struct office *o)
{
    return (size_t)atoi(office_one(o, "SELECT count(*) FROM tonle_conflict WHERE state = 'open'"));
}

static enum err decide(struct office *o, const char *id, enum resolution how, struct dot take,
                       struct review review)
{
    const char *decision;
    assert_ok(store_begin(o->store));
    enum err e = store_conflict_resolve(o->store, &kept, id, how, take, &review, &decision);
    return office_end(o, e);
}

static void decide_must(struct office *o, const char *id, enum resolution how, struct dot take,
                        struct review review)
{
    enum err e = decide(o, id, how, take, review);
    assert_store_ok(o->store, e);
}

static void quarrel(void **state)
{
    office_sql(A, "UPDATE person SET points = 9, family = 'Sok', given = 'Darā' WHERE id = 'p1'");
    B->now_ms += 1000;
    office_sql(B, "UPDATE person SET points = 4, family = 'Som', given = 'Dara' WHERE id = 'p1'");
    federation_sync(*state);
    assert_int_equal(open_count(HUB), 2);
}

/* Taking a side, also one that shows already, writes its exact value everywhere and closes the
 * conflict at every office; the decision is there with its author. */
static void a_side_taken_at_one_office_closes_it_everywhere(void **state)
{
    quarrel(state);
    struct conflict_record c = open_one(A, "points");
    decide_must(A, c.id, RESOLVE_TAKE, lists_side(&c, B->site), by("sok", NULL, 0));
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT points FROM person"), "4");
    assert_int_equal(open_count(B), 1);
    c = open_one(B, "full_name");
    decide_must(B, c.id, RESOLVE_SHOWN, (struct dot){0, 0}, by("som", NULL, 0));
    federation_sync(*state);
    assert_int_equal(open_count(HUB) + open_count(A) + open_count(B), 0);
    assert_string_equal(office_one(A, "SELECT family || ' ' || given FROM person"), "Som Dara");
    assert_string_equal(
        office_one(HUB, "SELECT group_concat(operator || office || reason, '; ') FROM (SELECT * "
                        "FROM tonle_decision ORDER BY operator)"),
        "sokoffice1as the paper says; somoffice2as the paper says");
    federation_assert_equal(*state, tables);
}

/* A group is taken whole, never a mixture of two people's edits; a value set for one member leaves
 * the others as they are shown. */
static void a_group_is_taken_whole(void **state)
{
    quarrel(state);
    struct conflict_record c = open_one(HUB, "full_name");
    assert_int_equal(c.n_members, 2);
    decide_must(HUB, c.id, RESOLVE_TAKE, lists_side(&c, A->site), by("hub", NULL, 0));
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT family || ' ' || given FROM person"), "Sok Darā");
    struct assignment set = {"given", "Vuthy", false};
    decide_must(A, c.id, RESOLVE_SET, (struct dot){0, 0}, by("sok", &set, 1));
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT family || ' ' || given FROM person"), "Sok Vuthy");
    set.column = "points";
    assert_err(decide(A, c.id, RESOLVE_SET, (struct dot){0, 0}, by("sok", &set, 1)), ERR_USAGE);
    federation_assert_equal(*state, tables);
}

/* A decision about a closed conflict that would leave the row as it is changes nothing, and says
 * so: no record of it travels. One that settles an open conflict does, also with what shows
 * already. */
static void what_is_so_already_is_no_decision(void **state)
{
    quarrel(state);
    struct conflict_record c = open_one(A, "points");
    struct assignment nine = {"points", "9", false}, five = {"points", "5", false};
    decide_must(A, c.id, RESOLVE_SHOWN, (struct dot){0, 0}, by("sok", NULL, 0));
    federation_sync(*state);
    struct dot nine_side = lists_side(&c, A->site);
    assert_err(decide(B, c.id, RESOLVE_TAKE, nine_side, by("som", NULL, 0)), ERR_NOTHING);
    assert_err(decide(B, c.id, RESOLVE_SET, nine_side, by("som", &nine, 1)), ERR_NOTHING);
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_decision"), "1");
    /* a decision that waits for its seal may be taken back */
    decide_must(B, c.id, RESOLVE_SET, nine_side, by("som", &five, 1));
    decide_must(B, c.id, RESOLVE_SET, nine_side, by("som", &nine, 1));
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT points FROM person"), "9");
    federation_assert_equal(*state, tables);
}

/* A side may be named by its office, where that office has one alone. */
static void a_side_is_named_by_its_office(void **state)
{
    struct dot dot;
    quarrel(state);
    struct conflict_record c = open_one(HUB, "points");
    assert_ok(store_conflict_side_of(HUB->store, &kept, c.id, "office2", &dot));
    assert_int_equal(dot.site, B->site);
    assert_err(store_conflict_side_of(HUB->store, &kept, c.id, "hub", &dot), ERR_USAGE);
    assert_non_null(strstr(store_message(HUB->store), "office1"));
    office_sql(HUB, "UPDATE tonle_side SET office = 'office2'");
    assert_err(store_conflict_side_of(HUB->store, &kept, c.id, "office2", &dot), ERR_USAGE);
    assert_non_null(strstr(store_message(HUB->store), "office2 (2 sides)"));
}

/* What was decided may be decided again: the sides keep their values. */
static void a_decision_can_be_taken_again(void **state)
{
    quarrel(state);
    struct conflict_record c = open_one(A, "points");
    decide_must(A, c.id, RESOLVE_TAKE, lists_side(&c, B->site), by("sok", NULL, 0));
    federation_sync(*state);
    decide_must(B, c.id, RESOLVE_TAKE, lists_side(&c, A->site), by("som", NULL, 0));
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT points FROM person"), "9");
    struct conflict_more more;
    assert_ok(store_conflict_get(HUB->store, &kept, c.id, &c, &more));
    assert_string_equal(c.state, "resolved");
    assert_int_equal(more.n_decisions, 2);
    assert_string_equal(more.standing, "stands");
    assert_int_equal(more.now.u.i, 9);
    federation_assert_equal(*state, tables);
}

/* While the node is stopped a person may think again: the last word before the seal counts, and an
 * application's write to the same row goes with it. */
static void the_last_decision_before_a_seal_counts(void **state)
{
    quarrel(state);
    struct conflict_record c = open_one(A, "points"), name = open_one(A, "full_name");
    decide_must(A, c.id, RESOLVE_TAKE, lists_side(&c, A->site), by("sok", NULL, 0));
    decide_must(A, name.id, RESOLVE_TAKE, lists_side(&name, A->site), by("sok", NULL, 0));
    decide_must(A, c.id, RESOLVE_TAKE, lists_side(&c, B->site), by("sok", NULL, 0));
    office_sql(A, "UPDATE person SET note = 'besides'");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT points || family || given || note FROM person"),
                        "4SokDarābesides");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_decision"), "3");
    assert_int_equal(open_count(HUB) + open_count(A) + open_count(B), 0);
    federation_assert_equal(*state, tables);
}

/* Two people who decide one conflict while cut off make a new conflict, and each side names its
 * decision. */
static void two_decisions_apart_are_a_conflict(void **state)
{
    quarrel(state);
    struct conflict_record c = open_one(A, "points");
    struct review sok = by("sok", NULL, 0), som = by("som", NULL, 0);
    sok.now_ms = A->now_ms;
    som.now_ms = B->now_ms;
    decide_must(A, c.id, RESOLVE_TAKE, lists_side(&c, A->site), sok);
    decide_must(B, c.id, RESOLVE_TAKE, lists_side(&c, B->site), som);
    federation_sync(*state);
    struct conflict_record again = open_one(HUB, "points");
    struct conflict_more more;
    assert_string_not_equal(again.id, c.id);
    assert_ok(store_conflict_get(HUB->store, &kept, again.id, &again, &more));
    assert_int_equal(again.n_sides, 2);
    for (size_t i = 0; i < 2; i++) {
        bool of_a = again.sides[i].dot.site == A->site;
        assert_non_null(again.sides[i].decision);
        assert_string_equal(again.sides[i].decision->by, of_a ? "sok" : "som");
    }
    assert_ok(store_conflict_get(HUB->store, &kept, c.id, &c, &more));
    assert_null(c.sides[0].decision);
    federation_assert_equal(*state, tables);
}

static void settle_all(struct office *o)
{
    struct stable st = {.mark_id = 1,
                        .site = o->site,
                        .clock = store_state_get(o->store)->clock,
                        .hlc = store_state_get(o->store)->hlc};
    struct clock clock = {0};
    clock_copy(&clock, &st.clock);
    st.clock = clock;
    assert_committed(o->store, store_set_stable(o->store, &kept, &st));
    clock_fini(&clock);
}

/* The decisions are still told from other writes when their changesets are settled and their dots
 * forgotten: by office and time, and never a decision about the conflict shown. */
static void decisions_are_known_when_they_are_settled(void **state)
{
    quarrel(state);
    struct conflict_record c = open_one(A, "points");
    struct review sok = by("sok", NULL, 0), som = by("som", NULL, 0);
    sok.now_ms = A->now_ms;
    som.now_ms = B->now_ms;
    decide_must(A, c.id, RESOLVE_TAKE, lists_side(&c, A->site), sok);
    decide_must(B, c.id, RESOLVE_TAKE, lists_side(&c, B->site), som);
    federation_sync(*state);
    settle_all(HUB);
    struct conflict_record again = open_one(HUB, "points");
    struct conflict_more more;
    assert_ok(store_conflict_get(HUB->store, &kept, again.id, &again, &more));
    for (size_t i = 0; i < 2; i++) {
        bool of_a = again.sides[i].dot.site == A->site;
        assert_non_null(again.sides[i].decision);
        assert_string_equal(again.sides[i].decision->by, of_a ? "sok" : "som");
    }
    assert_ok(store_conflict_get(HUB->store, &kept, c.id, &c, &more));
    assert_null(c.sides[0].decision);
    assert_null(c.sides[1].decision);
}

/* A delete beside a change: the living side brings the row back with all its columns, the dead one
 * ends it. */
static void a_row_lost_to_a_delete_comes_back_whole(void **state)
{
    office_sql(A, "DELETE FROM person WHERE id = 'p1'");
    office_sql(B, "UPDATE person SET note = 'changed' WHERE id = 'p1'");
    federation_sync(*state);
    struct conflict_record c = open_one(HUB, "exists");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM person"), "0");
    decide_must(HUB, c.id, RESOLVE_TAKE, lists_side(&c, B->site), by("hub", NULL, 0));
    federation_sync(*state);
    assert_string_equal(
        office_one(A, "SELECT id || family || given || points || paid || note FROM person"),
        "p1SokDara1100changed");
    assert_int_equal(open_count(A) + open_count(B) + open_count(HUB), 0);
    decide_must(B, c.id, RESOLVE_TAKE, lists_side(&c, A->site), by("som", NULL, 0));
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT count(*) FROM person"), "0");
    federation_assert_equal(*state, tables);
}

/* Of a row that was deleted behind capture only what others wrote since is known: a decision enters
 * no row of which the rest is missing. */
static void a_row_that_is_not_known_is_not_entered(void **state)
{
    office_behind(HUB, "DELETE FROM person WHERE id = 'p1'");
    office_sql(A, "DELETE FROM person WHERE id = 'p1'");
    office_sql(B, "UPDATE person SET note = 'changed' WHERE id = 'p1'");
    federation_sync(*state);
    struct conflict_record c = open_one(B, "exists");
    decide_must(B, c.id, RESOLVE_TAKE, lists_side(&c, A->site), by("som", NULL, 0));
    federation_sync(*state);
    assert_err(decide(HUB, c.id, RESOLVE_TAKE, lists_side(&c, B->site), by("hub", NULL, 0)),
               ERR_STATE);
    assert_non_null(strstr(store_message(HUB->store), "not known here any more"));
}

static void two_births(void **state)
{
    office_sql(A, "INSERT INTO person VALUES('p2','Chan','A',1,10,NULL)");
    B->now_ms += 1000;
    office_sql(B, "INSERT INTO person VALUES('p2','Chea','B',2,20,'b')");
    federation_sync(*state);
}

/* Of two births one is taken: it stands, the other is gone, and no conflict is left. */
static void one_of_two_births_is_taken(void **state)
{
    two_births(state);
    struct conflict_record c = open_one(A, "birth");
    decide_must(A, c.id, RESOLVE_TAKE, lists_side(&c, B->site), by("sok", NULL, 0));
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT given FROM person WHERE id = 'p2'"), "B");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_held"), "0");
    assert_int_equal(open_count(HUB) + open_count(A) + open_count(B), 0);
    decide_must(HUB, c.id, RESOLVE_TAKE, lists_side(&c, A->site), by("hub", NULL, 0)); /* again */
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT given || paid FROM person WHERE id = 'p2'"), "A10");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "0");
    federation_assert_equal(*state, tables);
}

/* Both births are kept: the second gets a key of its own, with all its values. */
static void both_births_are_kept_under_their_own_keys(void **state)
{
    two_births(state);
    struct conflict_record c = open_one(HUB, "birth");
    decide_must(HUB, c.id, RESOLVE_BOTH, (struct dot){0, 0}, by("hub", NULL, 0));
    federation_sync(*state);
    assert_string_equal(office_one(A,
                                   "SELECT group_concat(id || given || paid) FROM (SELECT * FROM "
                                   "person ORDER BY id)"),
                        "p1Dara100,p2A10,p2-12B20");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "0");
    federation_assert_equal(*state, tables);
}

/* The new key may be given; where it cannot be made up it must be, and a key that is taken is
 * refused. */
static void a_key_that_cannot_be_made_up_is_asked_for(void **state)
{
    office_sql(A, "INSERT INTO visit VALUES(7,'a',1)");
    office_sql(B, "INSERT INTO visit VALUES(7,'b',2)");
    federation_sync(*state);
    struct conflict_record c = open_one(A, "birth");
    struct assignment set = {"no", "1", false};
    assert_err(decide(A, c.id, RESOLVE_BOTH, (struct dot){0, 0}, by("sok", NULL, 0)), ERR_USAGE);
    assert_non_null(strstr(store_message(A->store), "--set no=VALUE"));
    assert_err(decide(A, c.id, RESOLVE_BOTH, (struct dot){0, 0}, by("sok", &set, 1)), ERR_EXISTS);
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_todo"), "0");
    set.text = "8";
    decide_must(A, c.id, RESOLVE_BOTH, (struct dot){0, 0}, by("sok", &set, 1));
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT group_concat(no || what) FROM visit"), "1w,7a,8b");
    federation_assert_equal(*state, tables);
}

/* Typed values become what SQLite would store in that column; JSON exactly what it says. */
static void typed_values_follow_the_column(void **state)
{
    static const struct {
        const char *column, *text;
        bool json;
        const char *stored;
    } table[] = {
        {"what", "12", false, "text:12"},     {"what", "", false, "text:"},
        {"what", "null", true, "null:"},      {"weight", "2", false, "real:2.0"},
        {"weight", "abc", false, "text:abc"}, {"what", "{\"hex\":\"6162\"}", true, "blob:ab"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char sql[200];
        snprintf(sql, sizeof sql, "UPDATE visit SET %s = 'x%zu' WHERE no = 1", table[i].column, i);
        office_sql(A, sql);
        snprintf(sql, sizeof sql, "UPDATE visit SET %s = 'y%zu' WHERE no = 1", table[i].column, i);
        office_sql(B, sql);
        federation_sync(*state);
        struct conflict_record c = open_one(A, table[i].column);
        struct assignment set = {table[i].column, table[i].text, table[i].json};
        decide_must(A, c.id, RESOLVE_SET, (struct dot){0, 0}, by("sok", &set, 1));
        federation_sync(*state);
        snprintf(sql, sizeof sql, "SELECT typeof(%s) || ':' || coalesce(%s, '') FROM visit",
                 table[i].column, table[i].column);
        assert_string_equal(office_one(B, sql), table[i].stored);
        assert_int_equal(open_count(B), 0);
    }
    /* what is sealed is what is stored: no office has a value that its table would turn */
    assert_string_equal(
        office_one(B,
                   "SELECT count(*) FROM tonle_decision WHERE choice IN ('what = \"12\"', 'weight "
                   "= 2.0', 'what = null', 'weight = \"abc\"')"),
        "4");
}

/* What cannot be decided is refused, and queues nothing: a dot that is no side, a row that is gone,
 * a column of another name, JSON that is none. */
static void what_cannot_be_decided_changes_nothing(void **state)
{
    struct assignment none = {"nosuch", "1", false}, bad = {"points", "{", true};
    quarrel(state);
    struct conflict_record c = open_one(A, "points");
    const struct dot no = {1, 1};
    assert_err(decide(A, c.id, RESOLVE_TAKE, no, by("sok", NULL, 0)), ERR_USAGE);
    assert_err(decide(A, c.id, RESOLVE_BOTH, no, by("sok", NULL, 0)), ERR_USAGE);
    assert_err(decide(A, c.id, RESOLVE_SET, no, by("sok", &none, 1)), ERR_USAGE);
    assert_err(decide(A, c.id, RESOLVE_SET, no, by("sok", &bad, 1)), ERR_USAGE);
    assert_err(decide(A, "ffffffff", RESOLVE_TAKE, no, by("sok", NULL, 0)), ERR_NOT_FOUND);
    office_sql(B, "DELETE FROM person WHERE id = 'p1'");
    federation_sync(*state);
    assert_err(decide(A, c.id, RESOLVE_TAKE, lists_side(&c, B->site), by("sok", NULL, 0)),
               ERR_STATE);
    assert_string_equal(office_one(A,
                                   "SELECT (SELECT count(*) FROM tonle_todo) || (SELECT count(*) "
                                   "FROM tonle_decision)"),
                        "00");
}

/* A decision is not sealed until it is, and then its changeset is known. */
static void the_changeset_of_a_decision_is_known(void **state)
{
    struct dot dot;
    const char *decision;
    struct review review = by("sok", NULL, 0);
    struct arena a = {0};
    quarrel(state);
    struct conflict_record c = open_one(A, "points");
    assert_committed(A->store, store_conflict_resolve(A->store, &a, c.id, RESOLVE_SHOWN,
                                                      (struct dot){0, 0}, &review, &decision));
    assert_true(store_capture_pending(A->store));
    assert_ok(store_decision_dot(A->store, &a, decision, &dot));
    assert_true(dot_is_none(dot));
    assert_true(office_seal(A));
    assert_ok(store_decision_dot(A->store, &a, decision, &dot));
    assert_true(dot_equal(dot, (struct dot){A->site, store_state_get(A->store)->seq}));
    assert_false(store_capture_pending(A->store));
    arena_fini(&a);
}

/* The filters of a list: table, cell, office, unit (and below), policy, state, and a limit that
 * takes the oldest. */
static void lists_are_filtered_and_oldest_first(void **state)
{
    quarrel(state);
    office_sql(A, "UPDATE visit SET what = 'a'; UPDATE person SET note = 'a'");
    office_sql(B, "UPDATE visit SET what = 'b'; UPDATE person SET note = 'b'");
    federation_sync(*state);
    static const struct {
        struct conflict_filter f;
        size_t n;
    } table[] = {{{.state = "open"}, 3},     {{.table = "visit"}, 1},
                 {{.cell = "full_name"}, 1}, {{.office = "office1"}, 4},
                 {{.office = "hub"}, 0},     {{.unit = "1"}, 4},
                 {{.unit = "13"}, 0},        {{.policy = "max"}, 1},
                 {{.state = "auto"}, 1},     {{.state = "superseded"}, 0},
                 {{.limit = 2}, 2},          {{.limit = 2, .office = "office2"}, 2}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t n;
        struct conflict_record *list = lists_filtered(HUB->store, &kept, &table[i].f, &n);
        if (n != table[i].n)
            fail_msg("filter %zu: %zu, not %zu", i, n, table[i].n);
        for (size_t k = 1; k < n; k++)
            assert_true(list[k - 1].opened_ms <= list[k].opened_ms);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(list[k].n_sides, 2);
    }
}

/* Many conflicts are joined with their sides in one pass; the answer is that of looking each up. */
static void a_long_list_is_the_short_one_many_times(void **state)
{
    office_sql(HUB,
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 5000)"
               "INSERT INTO tonle_conflict SELECT i, printf('%032x', i * 7919 % 5003), 'person', "
               "'\"p' || i || '\"', 'note', 'max', 'open', 9000 - i % 100, NULL, NULL, 5, "
               "CAST(i AS BLOB), 0, 0 FROM n;"
               "INSERT INTO tonle_side(n, site, seq, hlc, office, unit, value, shown)"
               " SELECT n, s, 1, 1, 'o' || s, '12', key, s = 1 FROM tonle_conflict, (SELECT 1 AS s "
               "UNION SELECT 2) WHERE length(key) % 2 OR s = 1;"
               "INSERT INTO tonle_side(n, site, seq, hlc, office, unit, value, shown)"
               " VALUES(0, 1, 1, 1, 'nobody', '', 1, 1), (9999, 1, 1, 1, 'nobody', '', 1, 1)");
    size_t n;
    struct conflict_record *list = lists_conflicts(HUB->store, &kept, true, &n);
    assert_int_equal(n, 5000);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            assert_true(list[i - 1].opened_ms < list[i].opened_ms ||
                        (list[i - 1].opened_ms == list[i].opened_ms &&
                         strcmp(list[i - 1].id, list[i].id) < 0));
        assert_int_equal(list[i].n_sides, strlen(list[i].key_json) % 2 ? 2 : 1);
        for (size_t k = 0; k < list[i].n_sides; k++)
            assert_memory_equal(list[i].sides[k].value.u.p, list[i].key_json,
                                strlen(list[i].key_json));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_side_taken_at_one_office_closes_it_everywhere),
        TEST(a_group_is_taken_whole),
        TEST(what_is_so_already_is_no_decision),
        TEST(a_side_is_named_by_its_office),
        TEST(a_decision_can_be_taken_again),
        TEST(a_row_that_is_not_known_is_not_entered),
        TEST(the_last_decision_before_a_seal_counts),
        TEST(two_decisions_apart_are_a_conflict),
        TEST(decisions_are_known_when_they_are_settled),
        TEST(a_row_lost_to_a_delete_comes_back_whole),
        TEST(one_of_two_births_is_taken),
        TEST(both_births_are_kept_under_their_own_keys),
        TEST(a_key_that_cannot_be_made_up_is_asked_for),
        TEST(typed_values_follow_the_column),
        TEST(what_cannot_be_decided_changes_nothing),
        TEST(the_changeset_of_a_decision_is_known),
        TEST(lists_are_filtered_and_oldest_first),
        TEST(a_long_list_is_the_short_one_many_times),
    };
    return check_run(tests);
}
