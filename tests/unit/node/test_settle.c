/* Rows that a comparison cannot settle, a neighbour that says what cannot be, and what a node does
 * while capture is away. */
#include "tests/unit/node/gaps.h"

#include <stdio.h>
#include <string.h>

/* The row of an answer whose key is this. */
static const char *why(const json_t *answer, const char *key)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "rows"), i, row)
    {
        const char *text = json_string_value(json_object_get(row, "why"));
        if (strcmp(json_string_value(json_object_get(row, "key")), key) == 0)
            return text ? text : "";
    }
    return "none";
}

/* What no changeset could carry waits for a person; the gap ends, and marks are answered. */
static void a_value_that_is_too_large_ends_the_gap(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(3));
    net_cut(t, PROVINCE);
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'hub')");
    net_run(t, 2000);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('k', 'prov')");
    net_run(t, 2000);
    gap_while_off(t, PROVINCE,
                  REBUILD("UPDATE note_new SET text = printf('%.*c', 8388700, 'x') WHERE id='k';"
                          "UPDATE note_new SET text = 'goes' WHERE id='n00001';"));
    net_mend(t, PROVINCE);
    gap_settled(t, PROVINCE, "note differs 1 0 0 behind");
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'n00001'", "goes", 5000));
    assert_non_null(strstr(PROVINCE->log, "event=compare-left table=note rows=1"));
    json_t *answer = gap_ask(t, PROVINCE, "{\"do\":\"verify_local\",\"take\":\"here\"}");
    assert_int_equal(gap_number(answer, "settled"), 0);
    assert_int_equal(gap_number(answer, "waiting"), 1);
    assert_non_null(strstr(why(answer, "k"), "can be sent"));
    json_decref(answer);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM tonle_meta"
                                           " WHERE k = 'answer_kept' AND v > 0"),
                        "0");
}

/* A statement of which a trigger lets a part stand has not been, and says why. */
static void a_row_is_settled_wholly_or_not(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(5));
    net_sql(t, PROVINCE,
            "CREATE TABLE audit(x); CREATE TRIGGER no AFTER UPDATE ON note WHEN old.id = 'n00002'"
            " BEGIN INSERT INTO audit VALUES(1); SELECT RAISE(FAIL, 'not this one'); END");
    net_run(t, 1000);
    gap_behind(PROVINCE, "UPDATE note SET text = 'flipped' WHERE id <= 'n00003'");
    json_t *answer = gap_ask(t, PROVINCE, "{\"do\":\"verify_local\",\"take\":\"there\"}");
    assert_int_equal(gap_number(answer, "settled"), 2);
    assert_int_equal(gap_number(answer, "waiting"), 1);
    assert_non_null(strstr(why(answer, "n00002"), "not this one"));
    json_decref(answer);
    assert_string_equal(net_text(PROVINCE, "SELECT text FROM note WHERE id = 'n00002'"), "flipped");
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM audit"), "0");
    answer = gap_ask(t, PROVINCE, "{\"do\":\"verify_local\"}"); /* who only looks is told, too */
    assert_non_null(strstr(why(answer, "n00002"), "not this one"));
    json_decref(answer);
    net_sql(t, PROVINCE, "DROP TRIGGER no");
    net_run(t, 1000);
    assert_int_equal(gap_take(t, PROVINCE, "\"there\""), 1);
    gap_settled(t, PROVINCE, "none synced");
}

/* A trigger that ends the whole transaction is met once, and then its row is left out. */
static void a_row_whose_trigger_rolls_back_is_left_out(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(6));
    net_sql(t, PROVINCE,
            "CREATE TRIGGER no BEFORE UPDATE ON note WHEN old.id = 'n00002'"
            " BEGIN SELECT RAISE(ROLLBACK, 'never this one'); END;"
            "CREATE TRIGGER nor BEFORE INSERT ON note WHEN new.id = 'n00004'"
            " BEGIN SELECT RAISE(ROLLBACK, 'nor this one'); END;"
            "CREATE TRIGGER not_gone BEFORE DELETE ON note WHEN old.id = 'new'"
            " BEGIN SELECT RAISE(ROLLBACK, 'and it stays'); END");
    net_run(t, 1000);
    gap_behind(PROVINCE, "UPDATE note SET text = 'flipped' WHERE id <= 'n00003';"
                         "DELETE FROM note WHERE id IN ('n00004', 'n00005');"
                         "INSERT INTO note VALUES('new', 'stray')");
    json_t *answer = gap_ask(t, PROVINCE, "{\"do\":\"verify_local\",\"take\":\"there\"}");
    assert_int_equal(gap_number(answer, "settled"), 3);
    assert_int_equal(gap_number(answer, "waiting"), 3);
    assert_non_null(strstr(why(answer, "n00002"), "never this one"));
    assert_non_null(strstr(why(answer, "n00004"), "nor this one"));
    assert_non_null(strstr(why(answer, "new"), "and it stays"));
    json_decref(answer);
    net_sql(t, PROVINCE, "DROP TRIGGER no; DROP TRIGGER nor; DROP TRIGGER not_gone");
    net_run(t, 1000);
    assert_int_equal(gap_take(t, PROVINCE, "\"there\""), 3);
    gap_settled(t, PROVINCE, "none synced");
}

struct lock { /* what a connection does between two commits */
    int rows, most, made, statements;
};

static int on_commit(void *lock)
{
    struct lock *l = lock;
    l->most = l->rows > l->most ? l->rows : l->most;
    l->rows = 0;
    return 0;
}

static int on_statement(unsigned type, void *lock, void *stmt, void *text)
{
    struct lock *l = lock;
    (void)type, (void)stmt;
    l->rows += strstr(text, "\"note\"") &&
               (strncmp(text, "UPDATE ", 7) == 0 || strncmp(text, "DELETE ", 7) == 0);
    l->statements++;
    l->made += strncmp(text, "CREATE TEMP TRIGGER", 19) == 0;
    return 0;
}

static void watch_statements(struct net_office *o, struct lock *l)
{
    *l = (struct lock){0};
    sqlite3_commit_hook(o->store->db, on_commit, l);
    sqlite3_trace_v2(o->store->db, SQLITE_TRACE_STMT, on_statement, l);
}

static void watch_no_more(struct net_office *o)
{
    sqlite3_commit_hook(o->store->db, NULL, NULL);
    sqlite3_trace_v2(o->store->db, 0, NULL, NULL);
}

/* A person's word on many rows keeps the lock for a slice of them at a time, also where all of them
 * are here alone, so in one chunk of the neighbour's; and a row that is refused costs no more than
 * another: what triggers do is not learned anew for each. */
static void many_rows_are_settled_in_slices(void **state)
{
    static const char there[] = "{\"do\":\"verify_local\",\"take\":\"there\"}";
    struct net *t = *state;
    struct lock lock;
    gap_start_with(t, ROWS(1300));
    net_sql(t, PROVINCE,
            "CREATE TRIGGER no BEFORE UPDATE ON note WHEN old.id <= 'n00300'"
            " BEGIN SELECT RAISE(ABORT, 'no'); END");
    net_run(t, 1000);
    gap_behind(PROVINCE, "UPDATE note SET text = 'flipped';"
                         "INSERT INTO note SELECT 'z' || id, text FROM note WHERE id <= 'n00500'");
    watch_statements(PROVINCE, &lock);
    json_t *answer = gap_ask(t, PROVINCE, there);
    assert_int_equal(gap_number(answer, "settled"), 1500);
    assert_int_equal(gap_number(answer, "waiting"), 300);
    json_decref(answer);
    watch_no_more(PROVINCE);
    assert_in_range(lock.most, 1, 200);
    assert_in_range(lock.made, 0, 10);
    net_sql(t, PROVINCE, "DROP TRIGGER no");
    net_run(t, 1000);
    assert_int_equal(gap_take(t, PROVINCE, "\"here\""), 300);
    gap_settled(t, PROVINCE, "none synced");
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE text = 'flipped'"), "300");
}

/* Takes out so many rows that are here alone, behind one that all have; the statements it took. */
static int statements_for(struct net *t, int rows)
{
    char sql[300];
    struct lock lock;
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)"
             " INSERT INTO note SELECT printf('z%%05d', i), 'x' FROM n",
             rows);
    gap_behind(PROVINCE, sql);
    watch_statements(PROVINCE, &lock);
    assert_int_equal(gap_take(t, PROVINCE, "\"there\""), rows);
    watch_no_more(PROVINCE);
    return lock.statements;
}

/* Twice as many cost twice as much, though all are between two rows of the neighbour's. */
static void what_is_here_alone_costs_by_the_row(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('zz', 'x')");
    net_run(t, 130000);
    int once = statements_for(t, 3000), twice = statements_for(t, 6000);
    assert_in_range(twice, once, 2 * once + once / 3);
}

static int on_insert(unsigned type, void *lock, void *stmt, void *text)
{
    struct lock *l = lock;
    (void)type, (void)stmt;
    l->rows += strncmp(text, "INSERT OR ABORT INTO main.\"note\"", 32) == 0;
    return 0;
}

/* When a gap is closed, what only this office refuses is tried again in slices, too. */
static void what_is_refused_is_tried_in_slices(void **state)
{
    static const char door[] = "CREATE TRIGGER door BEFORE INSERT ON note WHEN EXISTS(SELECT 1 FROM"
                               " local_shut) AND new.id > 'p' BEGIN SELECT RAISE(IGNORE); END";
    struct net *t = *state;
    struct lock lock = {0};
    gap_start_with(t, ROWS(20));
    net_sql(t, PROVINCE, "CREATE TABLE local_shut(why TEXT); INSERT INTO local_shut VALUES('x')");
    net_sql(t, PROVINCE, door);
    net_sql(t, HUB,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1200)"
            " INSERT INTO note SELECT printf('z%05d', i), 'x' FROM n");
    const char *waiting = "SELECT count(*) FROM tonle_held WHERE reason = 'local'";
    assert_true(net_until(t, PROVINCE, waiting, "1200", 60000));
    gap_while_off(t, PROVINCE, REBUILD(""));
    assert_int_equal(sqlite3_exec(PROVINCE->app, door, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_commit_hook(PROVINCE->store->db, on_commit, &lock);
    sqlite3_trace_v2(PROVINCE->store->db, SQLITE_TRACE_STMT, on_insert, &lock);
    gap_settled(t, PROVINCE, "none synced");
    net_run(t, 20000);
    watch_no_more(PROVINCE);
    assert_in_range(lock.most, 1, 500);
    net_sql(t, PROVINCE, "DELETE FROM local_shut");
    assert_true(net_until(t, PROVINCE, waiting, "0", 60000));
}

static void at_province(struct net *t, const char *sql)
{
    assert_int_equal(sqlite3_exec(PROVINCE->app, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* A gap that is opened while an older one is asked for its age keeps its beginning, though nothing
 * was written here for hours. */
static void a_gap_of_this_moment_is_not_old(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(3));
    assert_true(net_until(t, HUB, "SELECT count(*) FROM tonle_row", "0", 130000));
    net_run(t, 2 * 3600000);
    net_sql(t, PROVINCE, "ALTER TABLE note RENAME TO note_away");
    net_run(t, 3000);
    at_province(t, "BEGIN IMMEDIATE");
    net_run(t, 35000); /* what is to be asked waits for the lock */
    at_province(t, "ALTER TABLE resident RENAME TO resident_away; COMMIT");
    net_run(t, 5000);
    assert_string_equal(
        net_text(PROVINCE, "SELECT count(*) || sum(clock <> x'') FROM tonle_gap WHERE state = 1"),
        "22");
}

/* What waited for a table does not come into it while its rows are still to be copied back. */
static void a_sweep_leaves_a_rebuild_alone(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(3));
    net_sql(t, PROVINCE, "ALTER TABLE note RENAME TO note_away");
    net_run(t, 1000);
    net_sql(t, HUB, "INSERT INTO note VALUES('new', 'x')");
    net_run(t, 3000);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM tonle_deferred"), "1");
    net_cut(t, PROVINCE);
    net_halt(t, PROVINCE);
    at_province(t, "BEGIN IMMEDIATE; CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, text TEXT)");
    net_boot(t, PROVINCE); /* its first sweep finds the database locked */
    net_run(t, 50);
    at_province(t, "COMMIT");
    net_run(t, 1500);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "0");
    net_sql(t, PROVINCE, "INSERT INTO note SELECT * FROM note_away; DROP TABLE note_away");
    net_run(t, 5000);
    net_mend(t, PROVINCE);
    gap_settled(t, PROVINCE, "none synced");
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "4");
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note"), "4");
    assert_true(PROVINCE->steps < 1000);
}

static void forget_all(struct arena *a, struct load_chunk *c)
{
    static const struct clock_entry absurd = {77, 1000};
    c->stable = (struct clock){.entry = arena_copy(a, &absurd, sizeof absurd), .n = 1};
}

/* A child that says more is forgotten than the hub has declared is named, and another one asked. */
static void who_forgets_ahead_is_named(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(3));
    t->liar = PROVINCE;
    t->lie = forget_all;
    gap_while_off(t, HUB, REBUILD(""));
    net_run(t, 15000);
    assert_non_null(strstr(net_ask(t, HUB, "{\"do\":\"status\"}"), "more is forgotten there"));
    assert_non_null(strstr(HUB->log, "event=neighbour-forgets-ahead peer=province"));
    net_grow(t, "other", "13", "hub");
    gap_settled(t, HUB, "none synced");
    t->liar = NULL;
    json_decref(gap_ask(t, HUB, "{\"do\":\"verify_local\"}"));
    json_decref(gap_ask(t, HUB, "{\"do\":\"verify_local\"}"));
    assert_null(strstr(net_ask(t, HUB, "{\"do\":\"status\"}"), "more is forgotten there"));
}

static struct {
    const struct net *t;
    uint64_t first_ms;
    unsigned ahead;
} moment;

/* Ahead, at another clock for eleven seconds, ahead once more: as an honest neighbour may be whose
 * marks are on their way. */
static void ahead_twice(struct arena *a, struct load_chunk *c)
{
    static const struct clock_entry absurd = {77, 1000};
    if (moment.ahead == 0)
        moment.first_ms = moment.t->now_ms;
    bool between = moment.t->now_ms < moment.first_ms + 11000;
    if (moment.ahead == 0 || (moment.ahead == 1 && !between)) {
        forget_all(a, c);
        moment.ahead++;
    } else if (between) {
        c->clock = (struct clock){.entry = arena_copy(a, &absurd, sizeof absurd), .n = 1};
    }
}

static void who_is_ahead_for_a_moment_is_not_named(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(3));
    moment.t = t;
    moment.ahead = 0;
    t->liar = PROVINCE;
    t->lie = ahead_twice;
    gap_while_off(t, HUB, REBUILD(""));
    net_run(t, 25000);
    t->liar = NULL;
    assert_int_equal(moment.ahead, 2);
    assert_null(strstr(HUB->log, "event=neighbour-forgets-ahead"));
    gap_settled(t, HUB, "none synced");
}

/* References of a charter that could not be looked at are told, and looked at again when a person
 * has seen to it. */
static void references_that_were_refused_are_told(void **state)
{
    struct net *t = *state;
    net_sql(t, PROVINCE, "INSERT INTO tonle_meta(k, v) VALUES('parents_refused', 'a rule')");
    assert_non_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"),
                           "could not be held, so none was: a rule"));
    json_decref(gap_ask(t, PROVINCE, "{\"do\":\"verify_local\"}"));
    net_run(t, 3000);
    assert_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "could not be held"));
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM tonle_meta"
                                           " WHERE k IN ('parents_refused', 'parents_due')"),
                        "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(a_value_that_is_too_large_ends_the_gap),
        TEST_OF_TWO(a_row_is_settled_wholly_or_not),
        TEST_OF_TWO(a_row_whose_trigger_rolls_back_is_left_out),
        TEST_OF_TWO(many_rows_are_settled_in_slices),
        TEST_OF_TWO(what_is_here_alone_costs_by_the_row),
        TEST_OF_TWO(what_is_refused_is_tried_in_slices),
        TEST_OF_TWO(a_gap_of_this_moment_is_not_old),
        TEST_OF_TWO(a_sweep_leaves_a_rebuild_alone),
        TEST_OF_TWO(who_forgets_ahead_is_named),
        TEST_OF_TWO(who_is_ahead_for_a_moment_is_not_named),
        TEST_OF_TWO(references_that_were_refused_are_told),
    };
    return check_run(tests);
}
