/* Who wrote this? What differs between two offices is published only where the one's own capture is
 * known to have been away and the other's was not. */
#include "node/state/state.h"
#include "tests/unit/node/gaps.h"

#include <stdio.h>

/* Row and log commit together, so an unclean stop is no evidence of anything; what differs all the
 * same is found by whoever asks, and waits for a person. */
#ifdef __SANITIZE_ADDRESS__ /* about memory alone; each row takes five times as long */
#define MANY 10000
#define LONG_SCAN 10000
#else
#define MANY 100000
#define LONG_SCAN 60000
#endif
#define TEXT_OF(n) TEXT_AS_IT_IS(n)
#define TEXT_AS_IT_IS(n) #n
#define ROWS_OF(n) ROWS(n) /* of a macro */

static void an_unclean_stop_publishes_nothing(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(300));
    net_crash(t, PROVINCE);
    gap_behind(PROVINCE, "UPDATE note SET text = 'flipped' WHERE id = 'n00150'");
    net_boot(t, PROVINCE);
    net_run(t, 20000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE text = 'x'"), "300");
    json_t *j = gap_ask(t, PROVINCE, "{\"do\":\"verify_local\"}");
    assert_int_equal(gap_number(j, "changed"), 1);
    assert_int_equal(gap_number(j, "waiting"), 1);
    assert_int_equal(gap_number(j, "settled"), 0);
    const json_t *row = json_array_get(json_object_get(j, "rows"), 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(row, "here"), "text")),
                        "flipped");
    assert_string_equal(json_string_value(json_object_get(json_object_get(row, "there"), "text")),
                        "x");
    json_decref(j);
    assert_string_equal(gap_of(t, PROVINCE), "note differs 1 0 0 behind");
    net_crash(t, PROVINCE); /* it is on record */
    net_boot(t, PROVINCE);
    net_run(t, 10000);
    assert_string_equal(gap_of(t, PROVINCE), "note differs 1 0 0 behind");
    assert_int_equal(gap_take(t, PROVINCE, "\"there\""), 1);
    assert_string_equal(net_text(PROVINCE, "SELECT text FROM note WHERE id = 'n00150'"), "x");
    gap_settled(t, PROVINCE, "none synced");
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE text = 'x'"), "300");
}

/* What a migration changed at an office that was off, and nobody else: ours, but for deletions. */
static void what_a_rebuild_changed_is_published(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(2500));
    gap_while_off(t, PROVINCE,
                  REBUILD("UPDATE note_new SET text = 'migrated' WHERE id = 'n01500';"
                          "INSERT INTO note_new VALUES('zz', 'new');"
                          "DELETE FROM note_new WHERE id = 'n00002';"));
    net_sql(t, HUB, "UPDATE note SET text = 'hub' WHERE id = 'n00003'");
    gap_settled(t, PROVINCE, "note differs 0 0 1 behind");
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'n01500'", "migrated", 5000));
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'zz'", "new", 5000));
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note"), "2501");
    assert_string_equal(net_text(PROVINCE, "SELECT text FROM note WHERE id = 'n00003'"), "hub");
    assert_int_equal(gap_take(t, PROVINCE, "\"here\""), 1);
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "2500", 5000));
    gap_settled(t, PROVINCE, "none synced");
}

static void a_rebuild_that_changed_nothing_is_settled_by_itself(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(2500));
    uint64_t seq = store_state_get(PROVINCE->store)->seq;
    net_cut(t, PROVINCE);
    gap_while_off(t, PROVINCE, REBUILD(""));
    net_run(t, 3000);
    assert_string_equal(gap_of(t, PROVINCE), "note capture-gap 0 0 0 behind");
    net_sql(t, HUB, "UPDATE note SET text = 'hub' WHERE id < 'n00500'");
    net_mend(t, PROVINCE);
    gap_settled(t, PROVINCE, "none synced");
    assert_int_equal(store_state_get(PROVINCE->store)->seq, seq);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note WHERE text = 'hub'"), "499");
    net_sql(t, PROVINCE, "UPDATE note SET text = 'y' WHERE id = 'n00600'"); /* captured again */
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'n00600'", "y", 5000));
}

/* While the node runs; again and again, and the log goes on in the same transaction. */
static void a_rebuild_while_the_node_runs(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(50));
    net_sql(
        t, PROVINCE,
        REBUILD("UPDATE note_new SET text = 'in it' WHERE id = 'n00001';") "; UPDATE note SET text "
                                                                           "= 'behind it' WHERE id "
                                                                           "= 'n00002'");
    gap_settled(t, PROVINCE, "none synced");
    net_sql(t, PROVINCE, REBUILD("UPDATE note_new SET text = 'second' WHERE id = 'n00003';"));
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 10000));
    assert_string_equal(net_text(HUB, "SELECT group_concat(text) FROM (SELECT text FROM note WHERE"
                                      " text <> 'x' ORDER BY id)"),
                        "in it,behind it,second");
}

/* Some tools drop a table, make it anew and copy its rows back without a transaction around it.
 * What comes back is no row that was entered here. */
static void a_rebuild_in_steps_is_one(void **state)
{
    struct net *t = *state;
    struct net_office *at[] = {PROVINCE, HUB};
    gap_start_with(t, ROWS(50));
    for (int i = 0; i < 2; i++) {
        net_sql(t, at[i], "CREATE TABLE note_backup AS SELECT * FROM note");
        net_sql(t, at[i], "DROP TABLE note");
        net_run(t, 200);
        net_sql(t, at[i], "CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, text TEXT)");
        net_run(t, 200);
        net_sql(t, at[i],
                "INSERT INTO note SELECT * FROM note_backup; DROP TABLE note_backup; UPDATE note"
                " SET text = text || '.' WHERE id = 'n00001'");
        gap_settled(t, PROVINCE, "none synced");
        gap_settled(t, HUB, "none synced");
        assert_true(net_settle(t, 10000));
        for (int o = 0; o < 2; o++) {
            assert_string_equal(net_text(at[o], "SELECT text FROM note WHERE id = 'n00001'"),
                                i ? "x.." : "x.");
            assert_string_equal(net_text(at[o], "SELECT count(*) FROM tonle_held"), "0");
            assert_string_equal(net_text(at[o], "SELECT count(*) FROM tonle_conflict"), "0");
        }
    }
}

/* No row may ever come back: capture does not wait for one for long. */
static void an_empty_table_is_captured_again(void **state)
{
    struct net *t = *state;
    net_sql(t, PROVINCE, REBUILD(""));
    net_run(t, 3000);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) > 0 FROM sqlite_schema WHERE"
                                           " type = 'trigger' AND tbl_name = 'note'"),
                        "1");
    net_sql(t, PROVINCE, ROWS(200));
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "200", 10000));
    gap_settled(t, PROVINCE, "none synced");
}

/* Some tools make a table's triggers again: writes before that are not captured all the same. */
static void a_rebuild_that_copies_the_triggers_is_seen(void **state)
{
    struct net *t = *state;
    char triggers[20000];
    gap_start_with(t, ROWS(50));
    snprintf(triggers, sizeof triggers, "%s",
             net_text(PROVINCE, "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE type ="
                                " 'trigger' AND tbl_name = 'note'"));
    net_halt(t, PROVINCE);
    assert_int_equal(
        sqlite3_exec(PROVINCE->app,
                     REBUILD("UPDATE note_new SET text = 'migrated' WHERE id = 'n00001';"), NULL,
                     NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_exec(PROVINCE->app, triggers, NULL, NULL, NULL), SQLITE_OK);
    net_boot(t, PROVINCE);
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'n00001'", "migrated", 20000));
    gap_settled(t, PROVINCE, "none synced");
    net_halt(t, PROVINCE); /* a VACUUM numbers the schema anew, and is no rebuild */
    assert_int_equal(sqlite3_exec(PROVINCE->app, "VACUUM", NULL, NULL, NULL), SQLITE_OK);
    net_boot(t, PROVINCE);
    net_run(t, 50);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM tonle_gap"), "0");
}

/* The hub has no parent: it asks a child that is in step. */
static void a_rebuild_at_the_hub_is_published(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(200));
    gap_while_off(t, HUB, REBUILD("UPDATE note_new SET text = 'filled in' WHERE id <= 'n00050';"));
    gap_settled(t, HUB, "none synced");
    assert_true(net_settle(t, 10000));
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note WHERE text = 'filled in'"),
                        "50");
    net_crash(t, PROVINCE); /* a power cut below undoes nothing */
    net_boot(t, PROVINCE);
    net_run(t, 20000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE text = 'filled in'"), "50");
}

static void a_hundred_rows_go_and_one_more_waits(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(300));
    gap_while_off(t, PROVINCE, REBUILD("UPDATE note_new SET text = 'y' WHERE id <= 'n00100';"));
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note WHERE text = 'y'", "100", 5000));
    gap_while_off(t, PROVINCE, REBUILD("UPDATE note_new SET text = 'z' WHERE id <= 'n00101';"));
    gap_settled(t, PROVINCE, "note differs 101 0 0 behind");
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE text = 'z'"), "0");
    json_t *j = gap_ask(t, PROVINCE,
                        "{\"do\":\"verify_local\",\"take\":\"here\",\"table\":\"note\","
                        "\"key\":\"\\\"n00007\\\"\"}");
    assert_int_equal(gap_number(j, "settled"), 1); /* row by row */
    json_decref(j);
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE text = 'z'", "z", 5000));
    assert_string_equal(gap_of(t, PROVINCE), "note differs 100 0 0 behind");
    j = gap_ask(t, PROVINCE, "{\"do\":\"verify_local\",\"take\":\"there\",\"table\":\"note\"}");
    assert_int_equal(gap_number(j, "settled"), 100);
    json_decref(j);
    gap_settled(t, PROVINCE, "none synced");
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note WHERE text = 'z'"), "1");
}

static void a_hundred_thousand_rows(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS_OF(MANY));
    gap_while_off(t, PROVINCE, REBUILD("UPDATE note_new SET text = 'y';"));
    gap_settled(t, PROVINCE, "note differs " TEXT_OF(MANY) " 0 0 behind");
    assert_int_equal(gap_take(t, PROVINCE, "\"here\""), MANY);
    assert_true(
        net_until(t, HUB, "SELECT count(*) FROM note WHERE text = 'y'", TEXT_OF(MANY), 60000));
    gap_settled(t, PROVINCE, "none synced");
}

/* Nobody can tell who wrote what: nothing is published, and both see it. */
static void both_sides_at_once_wait_for_a_person(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_halt(t, PROVINCE);
    gap_while_off(t, HUB, REBUILD("UPDATE note_new SET text = 'hub' WHERE id = 'n00001';"));
    assert_int_equal(sqlite3_exec(PROVINCE->app,
                                  REBUILD("UPDATE note_new SET text = 'prov' WHERE id = 'n00002';"),
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    net_boot(t, PROVINCE);
    gap_settled(t, PROVINCE, "note differs 2 0 0 behind");
    gap_settled(t, HUB, "note differs 2 0 0 behind");
    assert_string_equal(net_text(HUB, "SELECT text FROM note WHERE id = 'n00002'"), "x");
    json_t *j = gap_ask(t, PROVINCE,
                        "{\"do\":\"verify_local\",\"take\":\"there\",\"table\":\"note\","
                        "\"key\":\"\\\"n00001\\\"\"}");
    json_decref(j);
    j = gap_ask(t, PROVINCE, "{\"do\":\"verify_local\",\"take\":\"here\"}");
    json_decref(j);
    gap_settled(t, PROVINCE, "none synced");
    net_run(t, 5000);
    j = gap_ask(t, HUB, "{\"do\":\"verify_local\"}");
    assert_int_equal(gap_number(j, "waiting"), 0);
    json_decref(j);
    gap_settled(t, HUB, "none synced");
    assert_string_equal(net_text(HUB, "SELECT group_concat(text) FROM (SELECT text FROM note WHERE"
                                      " text <> 'x' ORDER BY id)"),
                        "hub,prov");
}

/* What the middle of a chain changed is there above and below, and nobody below undoes it. */
static void the_middle_of_a_chain(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    gap_while_off(t, PROVINCE,
                  REBUILD("UPDATE note_new SET text = 'migrated' WHERE id <= 'n00002';"));
    gap_settled(t, PROVINCE, "none synced");
    net_crash(t, DISTRICT);
    net_boot(t, DISTRICT);
    net_run(t, 20000);
    assert_true(net_settle(t, 10000));
    for (int i = 0; i < 3; i++)
        assert_string_equal(
            net_text(&t->office[i], "SELECT count(*) FROM note WHERE text = 'migrated'"), "2");
}

/* And what is missing in a neighbour's table, by its own record, is written there again. */
static void what_is_missing_is_written_again(void **state)
{
    struct net *t = *state;
    net_halt(t, DISTRICT); /* nothing is forgotten */
    net_sql(t, HUB, "INSERT INTO note VALUES('a', 'x'), ('b', 'x')");
    assert_true(net_until(t, PROVINCE, "SELECT count(*) FROM note", "2", 5000));
    gap_behind(HUB, "DELETE FROM note WHERE id = 'a'");
    assert_int_equal(gap_take(t, PROVINCE, "\"here\""), 1);
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'a'", "x", 5000));
    net_boot(t, DISTRICT);
    assert_true(net_settle(t, 60000));
    for (int i = 0; i < 3; i++)
        assert_string_equal(net_text(&t->office[i], "SELECT count(*) FROM note"), "2");
}

/* A table that was renamed away is told at once; back again it is captured, and compared. */
static void a_table_away_is_told_at_once(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_sql(t, PROVINCE, "ALTER TABLE note RENAME TO note_away");
    net_run(t, 50);
    assert_string_equal(gap_of(t, PROVINCE), "note capture-gap 0 0 0 behind");
    net_sql(t, PROVINCE,
            "UPDATE note_away SET text = 'away' WHERE id = 'n00001';"
            "ALTER TABLE note_away RENAME TO note");
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'n00001'", "away", 5000));
    net_sql(t, PROVINCE, "ALTER TABLE note RENAME COLUMN text TO words");
    net_run(t, 50);
    assert_string_equal(gap_of(t, PROVINCE), "note capture-gap 0 0 0 behind");
    net_sql(t, PROVINCE, "ALTER TABLE note RENAME COLUMN words TO text");
    gap_settled(t, PROVINCE, "none synced");
}

/* What a gap makes ours is sealed in the context of its beginning, which must cover every mark
 * that this office has answered: it answers none meanwhile. */
static void no_mark_is_answered_in_a_gap(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    assert_true(net_until(t, HUB, "SELECT count(*) FROM tonle_row", "0", 130000));
    net_sql(t, PROVINCE, "ALTER TABLE note RENAME TO note_away");
    net_run(t, 1000);
    net_sql(t, HUB, "INSERT INTO resident VALUES('r', 'x', 'y')");
    net_run(t, 200000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM tonle_row"), "1");
    net_sql(t, PROVINCE, "ALTER TABLE note_away RENAME TO note");
    assert_true(net_until(t, HUB, "SELECT count(*) FROM tonle_row", "0", 130000));
    gap_settled(t, PROVINCE, "none synced");
}

/* A table that is gone for good does not keep the whole federation from forgetting; what it shows
 * when it is back waits for a person. */
static void a_table_away_for_long_keeps_nobody(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    assert_true(net_until(t, HUB, "SELECT count(*) FROM tonle_row", "0", 130000));
    net_sql(t, PROVINCE, "ALTER TABLE note RENAME TO note_away");
    net_run(t, 1000);
    net_sql(t, HUB, "INSERT INTO resident VALUES('r', 'x', 'y')");
    PROVINCE->clock_error_ms = 7200000; /* two hours, but the parent has told the time */
    net_run(t, 55 * 60000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM tonle_row"), "1");
    assert_true(net_until(t, HUB, "SELECT count(*) FROM tonle_row", "0", 10 * 60000));
    assert_string_equal(gap_of(t, PROVINCE), "note capture-gap 0 0 0 behind");
    net_sql(t, PROVINCE,
            "UPDATE note_away SET text = 'away' WHERE id = 'n00001';"
            "ALTER TABLE note_away RENAME TO note");
    gap_settled(t, PROVINCE, "note differs 1 0 0 behind");
    assert_string_equal(net_text(HUB, "SELECT text FROM note WHERE id = 'n00001'"), "x");
    assert_int_equal(gap_take(t, PROVINCE, "\"here\""), 1);
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'n00001'", "away", 5000));
}

/* A deleted row does not come back, and a row that came meanwhile does not go, by what escaped. */
static void others_changes_stand(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_halt(t, PROVINCE);
    assert_int_equal(sqlite3_exec(PROVINCE->app,
                                  REBUILD("UPDATE note_new SET text = 'prov' WHERE id = 'n00003';"),
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    net_sql(t, HUB,
            "DELETE FROM note WHERE id = 'n00001'; INSERT INTO note VALUES('new', 'hub');"
            "UPDATE note SET text = 'hub' WHERE id = 'n00002'");
    net_boot(t, PROVINCE);
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 10000));
    for (int i = 0; i < 2; i++)
        assert_string_equal(net_text(&t->office[i],
                                     "SELECT group_concat(id || text) FROM (SELECT * FROM note"
                                     " WHERE text <> 'x' OR id = 'n00001' ORDER BY id)"),
                            "n00002hub,n00003prov,newhub");
}

/* Nobody can tell whether what stood there was ever sent: what others wrote stands, and what was
 * written over is on record, with who wrote it and all of its value. */
static void what_is_written_over_in_a_gap_is_kept(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_halt(t, PROVINCE);
    assert_int_equal(
        sqlite3_exec(PROVINCE->app,
                     REBUILD("UPDATE note_new SET text = 'prov' WHERE id <= 'n00003';"), NULL, NULL,
                     NULL),
        SQLITE_OK);
    net_sql(t, HUB,
            "UPDATE note SET text = 'hub' WHERE id = 'n00001';"
            "DELETE FROM note WHERE id = 'n00002'; UPDATE note SET text = 'prov' WHERE id ="
            " 'n00004'");
    net_boot(t, PROVINCE);
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 10000));
    for (int i = 0; i < 2; i++)
        assert_string_equal(net_text(&t->office[i],
                                     "SELECT group_concat(id || text) FROM (SELECT * FROM note"
                                     " WHERE id <= 'n00004' ORDER BY id)"),
                            "n00001hub,n00003prov,n00004prov");
    assert_string_equal(
        net_text(PROVINCE,
                 "SELECT group_concat(key || cell || state || coalesce(detail, value) || office)"
                 " FROM (SELECT * FROM tonle_conflict JOIN tonle_side USING(n) WHERE NOT shown"
                 " AND key < '\"n00004' ORDER BY key)"),
        "\"n00001\"textautoprovprovince,\"n00002\"existsauto{\"id\":\"n00002\",\"text\":\"prov\"}"
        "province");
    net_sql(t, HUB, "UPDATE note SET text = 'later' WHERE id = 'n00001'"); /* captured again */
    assert_true(net_settle(t, 10000));
    assert_string_equal(
        net_text(PROVINCE, "SELECT count(*) FROM tonle_conflict WHERE key = '\"n00001\"'"), "1");
}

/* What others wrote came in the gap, and was written over behind capture: what is found is
 * concurrent to it, and each side is on record with its own value, at both offices. */
static void what_came_in_a_gap_keeps_its_value(void **state)
{
    static const char sides[] =
        "SELECT group_concat(value) FROM (SELECT value FROM tonle_side WHERE"
        " n IN (SELECT n FROM tonle_side WHERE value = 'prov')"
        " ORDER BY value)";
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_halt(t, PROVINCE);
    assert_int_equal(sqlite3_exec(PROVINCE->app, REBUILD(""), NULL, NULL, NULL), SQLITE_OK);
    net_sql(t, HUB, "UPDATE note SET text = 'hub' WHERE id = 'n00001'");
    net_boot(t, PROVINCE);
    assert_true(net_until(t, PROVINCE, "SELECT text FROM note WHERE id = 'n00001'", "hub", 10000));
    assert_string_equal(gap_of(t, PROVINCE), "note capture-gap 0 0 0 behind");
    gap_behind(PROVINCE, "UPDATE note SET text = 'prov' WHERE id = 'n00001'");
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 10000));
    assert_string_equal(net_text(HUB, "SELECT text FROM note WHERE id = 'n00001'"), "prov");
    assert_string_equal(net_text(HUB, sides), "hub,prov");
    assert_string_equal(net_text(PROVINCE, sides), "hub,prov");
}

/* Capture that is away once more while a table is compared: what was compared before says
 * nothing. */
static void a_second_rebuild_while_it_is_compared(void **state)
{
    struct net *t = *state;
    char sql[400], text[20];
    gap_start_with(t, ROWS_OF(LONG_SCAN));
    for (int ms = 1; ms <= 3; ms++) {
        net_sql(t, PROVINCE, REBUILD(""));
        net_run(t, (uint64_t)ms);
        snprintf(text, sizeof text, "after %d", ms);
        snprintf(sql, sizeof sql, REBUILD("UPDATE note_new SET text = '%s' WHERE id = 'n00001';"),
                 text);
        net_sql(t, PROVINCE, sql);
        gap_settled(t, PROVINCE, "none synced");
        assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'n00001'", text, 10000));
    }
}

/* More than one changeset takes. */
static void large_rows_go_in_several_changesets(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(60));
    gap_while_off(t, PROVINCE,
                  REBUILD("UPDATE note_new SET text = hex(zeroblob(250000)) WHERE id > 'n00010';"));
    gap_settled(t, PROVINCE, "none synced");
    assert_true(
        net_until(t, HUB, "SELECT count(*) FROM note WHERE length(text) > 1000", "50", 20000));
}

/* What this office's own trigger refuses stays, and is told; the others are written. */
static void a_row_that_is_refused_stops_nothing(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_sql(t, PROVINCE,
            "CREATE TRIGGER no BEFORE UPDATE ON note WHEN old.id = 'n00002' BEGIN"
            " SELECT RAISE(ABORT, 'no'); END; CREATE TRIGGER skip BEFORE UPDATE ON"
            " note WHEN old.id = 'n00003' BEGIN SELECT RAISE(IGNORE); END");
    net_run(t, 1000);
    gap_behind(PROVINCE, "UPDATE note SET text = 'flipped' WHERE id <= 'n00004'");
    assert_int_equal(gap_take(t, PROVINCE, "\"there\""), 2);
    assert_string_equal(gap_of(t, PROVINCE), "note differs 2 0 0 behind");
    net_sql(t, HUB, "INSERT INTO note VALUES('new', 'x')");
    assert_true(net_until(t, PROVINCE, "SELECT text FROM note WHERE id = 'new'", "x", 5000));
    net_sql(t, PROVINCE, "DROP TRIGGER no; DROP TRIGGER skip");
    net_run(t, 1000);
    assert_int_equal(gap_take(t, PROVINCE, "\"there\""), 2);
    gap_settled(t, PROVINCE, "none synced");
}

/* An application goes on writing to a row of nobody's: the comparison comes to its end all the
 * same, and the row waits for a person. The office below is away, so no record is forgotten. */
static void who_writes_meanwhile_keeps_no_gap_open(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(10000));
    net_cut(t, DISTRICT);
    net_sql(t, PROVINCE, "DELETE FROM note WHERE id = 'n00003'");
    net_run(t, 200);
    gap_behind(PROVINCE, "INSERT INTO note VALUES('n00003', 'stray')");
    uint64_t seq = store_state_get(PROVINCE->store)->seq;
    for (int i = 0; i < 40; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "UPDATE note SET text = 'w%d' WHERE id = 'n00003'", i);
        net_sql(t, PROVINCE, sql);
        net_run(t, 250);
    }
    assert_int_equal(store_state_get(PROVINCE->store)->seq, seq); /* each was left to it */
    assert_string_equal(gap_of(t, PROVINCE), "note differs 0 1 0 behind");
}

static unsigned chunks_of_hub;

static void count_chunk(struct arena *a, struct load_chunk *c)
{
    (void)a;
    chunks_of_hub += strcmp(c->table, "note") == 0;
}

/* What got in where all was the same a moment ago, and was written to, is found before the gap is
 * closed. */
static void what_gets_in_while_it_is_compared_is_found(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(10000));
    net_cut(t, DISTRICT);
    net_sql(t, PROVINCE, "DELETE FROM note WHERE id = 'n00003'");
    net_run(t, 200);
    t->liar = HUB;
    t->lie = count_chunk;
    gap_while_off(t, PROVINCE, REBUILD(""));
    for (chunks_of_hub = 0; chunks_of_hub < 4;)
        net_run(t, 5);
    gap_behind(PROVINCE, "INSERT INTO note VALUES('n00003', 'stray')");
    net_sql(t, PROVINCE, "UPDATE note SET text = 'edit' WHERE id = 'n00003'");
    assert_true(chunks_of_hub < 10);
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id = 'n00003'", "edit", 5000));
}

/* Nor does who writes to a row of nobody's in one table keep another one's gap open. */
static void who_writes_elsewhere_keeps_no_gap_open(void **state)
{
    static const char gap[] = "SELECT count(*) FROM tonle_gap WHERE table_name = 'resident'";
    struct net *t = *state;
    gap_start_with(t, "INSERT INTO note VALUES('n00003', 'x');"
                      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 9999)"
                      " INSERT INTO resident(id, name) SELECT printf('n%05d', i), 'x' FROM n");
    net_run(t, 20000);
    net_cut(t, DISTRICT);
    net_sql(t, PROVINCE, "DELETE FROM note WHERE id = 'n00003'");
    net_run(t, 200);
    gap_while_off(t, PROVINCE,
                  "BEGIN; CREATE TABLE r_new(id TEXT PRIMARY KEY NOT NULL, name TEXT, phone TEXT);"
                  "INSERT INTO r_new SELECT * FROM resident; DROP TABLE resident;"
                  "ALTER TABLE r_new RENAME TO resident; COMMIT");
    gap_behind(PROVINCE, "INSERT INTO note VALUES('n00003', 'stray')");
    bool open = false, over = false;
    char sql[80];
    for (int i = 0; i < 240 && !over; i++) {
        snprintf(sql, sizeof sql, "UPDATE note SET text = 'w%d' WHERE id = 'n00003'", i);
        net_sql(t, PROVINCE, sql);
        net_run(t, 250);
        over = open && strcmp(net_text(PROVINCE, gap), "0") == 0;
        open = open || strcmp(net_text(PROVINCE, gap), "1") == 0;
    }
    assert_true(over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(an_unclean_stop_publishes_nothing),
        TEST_OF_TWO(what_a_rebuild_changed_is_published),
        TEST_OF_TWO(a_rebuild_that_changed_nothing_is_settled_by_itself),
        TEST_OF_TWO(a_rebuild_while_the_node_runs),
        TEST_OF_TWO(a_rebuild_in_steps_is_one),
        TEST_OF_TWO(an_empty_table_is_captured_again),
        TEST_OF_TWO(a_rebuild_that_copies_the_triggers_is_seen),
        TEST_OF_TWO(a_rebuild_at_the_hub_is_published),
        TEST_OF_TWO(a_hundred_rows_go_and_one_more_waits),
        TEST_OF_TWO(a_hundred_thousand_rows),
        TEST_OF_TWO(both_sides_at_once_wait_for_a_person),
        TEST_OF_THREE(the_middle_of_a_chain),
        TEST_OF_THREE(what_is_missing_is_written_again),
        TEST_OF_TWO(a_table_away_is_told_at_once),
        TEST_OF_TWO(no_mark_is_answered_in_a_gap),
        TEST_OF_TWO(a_table_away_for_long_keeps_nobody),
        TEST_OF_TWO(others_changes_stand),
        TEST_OF_TWO(what_is_written_over_in_a_gap_is_kept),
        TEST_OF_TWO(what_came_in_a_gap_keeps_its_value),
        TEST_OF_TWO(a_second_rebuild_while_it_is_compared),
        TEST_OF_TWO(large_rows_go_in_several_changesets),
        TEST_OF_TWO(a_row_that_is_refused_stops_nothing),
        TEST_OF_THREE(who_writes_meanwhile_keeps_no_gap_open),
        TEST_OF_THREE(who_writes_elsewhere_keeps_no_gap_open),
        TEST_OF_THREE(what_gets_in_while_it_is_compared_is_found),
    };
    return check_run(tests);
}
