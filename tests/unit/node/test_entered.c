/* What was entered or deleted while capture was away, and what others sent comes to its key. */
#include "tests/unit/node/gaps.h"

#include <stdio.h>

#define SEED(table)                                                                                \
    " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 150)"                 \
    " INSERT INTO " table " SELECT printf('e%03d', i), 'seed' FROM n"

/* A migration enters what others enter by themselves: one row, not one beside another that is held,
 * and deleted when it is deleted; also where it is more than a person may be asked about. What it
 * enters otherwise, or alone, is another matter. */
static void what_a_rebuild_entered_and_others_too(void **state)
{
    struct net *t = *state;
    net_halt(t, PROVINCE);
    assert_int_equal(sqlite3_exec(PROVINCE->app,
                                  REBUILD("INSERT INTO note_new VALUES('a','same'),('b','same'),"
                                          "('own','x');" SEED("note_new") ";"),
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    net_sql(t, HUB, "INSERT INTO note VALUES('a','same'),('b','same');" SEED("note"));
    net_boot(t, PROVINCE);
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 60000));
    for (int i = 0; i < 2; i++) {
        assert_string_equal(net_text(&t->office[i], "SELECT count(*) FROM note"), "153");
        assert_string_equal(net_text(&t->office[i], "SELECT count(*) FROM tonle_held"), "0");
        assert_string_equal(net_text(&t->office[i], "SELECT count(*) FROM tonle_conflict"), "0");
    }
    net_sql(t, HUB, "DELETE FROM note WHERE id = 'a'");
    net_sql(t, PROVINCE, "DELETE FROM note WHERE id = 'b'");
    assert_true(net_settle(t, 60000));
    for (int i = 0; i < 2; i++)
        assert_string_equal(
            net_text(&t->office[i], "SELECT group_concat(id) FROM note WHERE text <> 'seed'"),
            "own");
}

#define AT_ALL(sql, want)                                                                          \
    for (int i = 0; i < t->n; i++)                                                                 \
    assert_string_equal(net_text(&t->office[i], sql), want)

static const char notes[] = "SELECT group_concat(id || text) FROM (SELECT * FROM note ORDER BY id)";
static const char open_ones[] = "SELECT count(*) FROM tonle_conflict WHERE state = 'open'";
static const char held[] = "SELECT group_concat(key || reason || office, ' ') FROM"
                           " (SELECT * FROM tonle_held ORDER BY key)";

/* Other than what others enter under the same key, it is a birth like theirs: every office has
 * both, the same one stands, and a person is asked. */
static void what_a_rebuild_entered_otherwise(void **state)
{
    struct net *t = *state;
    net_halt(t, PROVINCE);
    assert_int_equal(sqlite3_exec(PROVINCE->app,
                                  REBUILD("INSERT INTO note_new VALUES('a','prov'),('b','prov'),"
                                          "('own','x');"),
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    net_sql(t, HUB, "INSERT INTO note VALUES('a','hub')");
    net_run(t, 1000);
    net_sql(t, HUB, "INSERT INTO note VALUES('b','hub')");
    net_run(t, 1000);
    net_sql(t, HUB, "UPDATE note SET text = 'later' WHERE id = 'b'");
    net_run(t, 1000);
    net_boot(t, PROVINCE);
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 60000));
    AT_ALL(notes, "ahub,blater,ownx");
    AT_ALL(held, "\"a\"birthprovince \"b\"birthprovince");
    AT_ALL(open_ones, "2");
}

/* In the middle of a chain, and at its end, from above and from below. */
static void what_a_rebuild_entered_otherwise_in_a_chain(void **state)
{
    struct net *t = *state;
    net_halt(t, PROVINCE);
    net_halt(t, DISTRICT);
    for (int i = 1; i < 3; i++)
        assert_int_equal(
            sqlite3_exec(t->office[i].app,
                         i == 1 ? REBUILD("INSERT INTO note_new VALUES('a','prov'),('c','prov');")
                                : REBUILD("INSERT INTO note_new VALUES('a','dist'),('b','dist');"),
                         NULL, NULL, NULL),
            SQLITE_OK);
    net_sql(t, HUB, "INSERT INTO note VALUES('a','hub'),('b','hub')");
    net_boot(t, DISTRICT);
    net_run(t, 1000);
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('c','dist')");
    net_run(t, 1000);
    net_boot(t, PROVINCE);
    assert_true(net_settle(t, 120000));
    gap_settled(t, PROVINCE, "none synced");
    gap_settled(t, DISTRICT, "none synced");
    AT_ALL(notes, "ahub,bhub,cdist");
    AT_ALL("SELECT count(*) FROM tonle_held", "4");
    AT_ALL(open_ones, "3");
}

#define FRESH(from, to)                                                                            \
    " WITH RECURSIVE n(i) AS (SELECT " #from " UNION ALL SELECT i+1 FROM n WHERE i < " #to ")"     \
    " INSERT INTO note_new SELECT printf('c%03d', i), 'prov' FROM n;"

/* By the rule of all that differs: of more than a hundred rows nothing goes out by itself, nor
 * where the neighbour's capture was away, too. All of it stays in the table, and a person says what
 * becomes of it. */
static void a_person_takes_what_was_entered(struct net *t, const char *rows, const char *take)
{
    net_run(t, 5000);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note WHERE text = 'prov'"), rows);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE text = 'prov'"), "0");
    gap_take(t, PROVINCE, take);
    gap_settled(t, PROVINCE, "none synced");
    net_run(t, 30000);
    AT_ALL("SELECT count(*) FROM note WHERE text = 'prov'", "0");
}

static void more_than_a_hundred(struct net *t, const char *take)
{
    net_sql(t, HUB,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 101)"
            " INSERT INTO note SELECT printf('c%03d', i), 'hub' FROM n");
    net_halt(t, PROVINCE);
    assert_int_equal(sqlite3_exec(PROVINCE->app, REBUILD("DELETE FROM note_new;" FRESH(1, 101)),
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    net_boot(t, PROVINCE);
    gap_settled(t, PROVINCE, "note differs 0 101 0 behind");
    a_person_takes_what_was_entered(t, "101", take);
}

static void more_than_a_hundred_are_sent_by_a_person(void **state)
{
    struct net *t = *state;
    more_than_a_hundred(t, "\"here\"");
    AT_ALL("SELECT count(*) || sum(text = 'hub') FROM note", "101101");
    AT_ALL("SELECT count(*) FROM tonle_held", "101");
    AT_ALL(open_ones, "101");
}

static void more_than_a_hundred_are_dropped_by_a_person(void **state)
{
    struct net *t = *state;
    more_than_a_hundred(t, "\"there\"");
    AT_ALL("SELECT count(*) FROM tonle_held", "0");
}

static void a_hundred_go_out(void **state)
{
    struct net *t = *state;
    net_sql(t, HUB,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 60)"
            " INSERT INTO note SELECT printf('c%03d', i), 'hub' FROM n");
    net_halt(t, PROVINCE);
    assert_int_equal(sqlite3_exec(PROVINCE->app, REBUILD("DELETE FROM note_new;" FRESH(1, 100)),
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    net_boot(t, PROVINCE);
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 60000));
    AT_ALL("SELECT count(*) || sum(text = 'hub') FROM note", "10060");
    AT_ALL("SELECT count(*) FROM tonle_held", "60");
    AT_ALL(open_ones, "60");
}

/* Whose the rows are nobody can tell, where the neighbour's capture was away, too. */
static void what_was_entered_stays_where_both_had_a_gap(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_halt(t, PROVINCE);
    gap_while_off(t, HUB, REBUILD("UPDATE note_new SET text = 'hub' WHERE id = 'n00001';"));
    net_run(t, 1000);
    net_sql(t, HUB, "INSERT INTO note VALUES('a', 'hub')");
    gap_while_off(t, PROVINCE, REBUILD("INSERT INTO note_new VALUES('a', 'prov');"));
    gap_settled(t, PROVINCE, "note differs 1 1 0 behind");
    a_person_takes_what_was_entered(t, "1", "\"there\"");
    AT_ALL("SELECT count(*) FROM tonle_held", "0");
}

/* A stray row stays until a person says what it is; who enters its key meanwhile is held here. */
static void a_stray_row_waits_for_a_person(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray')");
    json_t *j = gap_ask(t, PROVINCE, "{\"do\":\"verify_local\"}");
    assert_int_equal(gap_number(j, "new"), 1);
    json_decref(j);
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'hub')");
    net_run(t, 5000);
    assert_string_equal(net_text(PROVINCE, "SELECT text FROM note WHERE id = 'k'"), "stray");
    assert_string_equal(net_text(PROVINCE, held), "\"k\"birthhub");
    assert_string_equal(gap_of(t, PROVINCE), "note differs 0 1 0 behind");
    gap_take(t, PROVINCE, "\"here\"");
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 60000));
    AT_ALL("SELECT text FROM note WHERE id = 'k'", "hub");
    AT_ALL(held, "\"k\"birthprovince");
    AT_ALL(open_ones, "1");
}

/* A row that everybody has is none that was entered here, because something else in its table waits
 * for a person: it is the same one that stands everywhere. */
static void a_settled_row_does_not_make_way(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_run(t, 120000);
    AT_ALL("SELECT count(*) FROM tonle_row", "0");
    gap_behind(HUB, "INSERT INTO note VALUES('k', 'stray')");
    json_decref(gap_ask(t, HUB, "{\"do\":\"verify_local\"}"));
    assert_string_equal(gap_of(t, HUB), "note differs 0 1 0 behind");
    gap_while_off(t, PROVINCE, REBUILD("DELETE FROM note_new WHERE id='n00003';"));
    gap_settled(t, PROVINCE, "note differs 0 0 2 behind");
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n00003', 'again')");
    net_run(t, 30000);
    assert_string_equal(net_text(HUB, "SELECT text FROM note WHERE id='n00003'"), "x");
    assert_string_equal(net_text(DISTRICT, "SELECT text FROM note WHERE id='n00003'"), "x");
    for (int i = 0; i < t->n; i += 2)
        assert_string_equal(net_text(&t->office[i], held), "\"n00003\"birthprovince");
    gap_take(t, PROVINCE, "\"here\"");
    gap_settled(t, PROVINCE, "none synced");
    net_run(t, 30000);
    AT_ALL("SELECT text FROM note WHERE id='n00003'", "again");
    AT_ALL("SELECT count(*) FROM tonle_held", "0");
}

/* Also where the birth that comes to stand is not the one that was written over, but its twin; or
 * where that was deleted and another came in the same changeset. */
static void what_a_twin_writes_over_in_a_gap_is_kept(void **state)
{
    struct net *t = *state;
    gap_start_with(t, "INSERT INTO note VALUES('old', 'x')");
    net_cut(t, PROVINCE);
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'same')");
    net_run(t, 2000);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('k', 'same')");
    net_run(t, 2000);
    gap_while_off(t, PROVINCE, REBUILD("UPDATE note_new SET text = 'edited';"));
    net_mend(t, PROVINCE);
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 60000));
    AT_ALL(notes, "ksame,oldedited");
    assert_string_equal(net_text(PROVINCE,
                                 "SELECT group_concat(key || cell || state || value || office) FROM"
                                 " tonle_conflict JOIN tonle_side USING(n) WHERE NOT shown"),
                        "\"k\"textautoeditedprovince");
}

/* While a table waits for a person, others go on writing in it: that is one record, and only what
 * is not theirs is another. */
static void what_others_write_in_a_gap_is_one_record(void **state)
{
    static const char found[] =
        "SELECT group_concat(value) FROM (SELECT value FROM tonle_side WHERE NOT shown ORDER BY n)";
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray')");
    json_decref(gap_ask(t, PROVINCE, "{\"do\":\"verify_local\"}"));
    for (int i = 0; i < 30; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "UPDATE note SET text = 'v%d' WHERE id = 'n00005'", i);
        net_sql(t, HUB, sql);
        net_run(t, 1000);
    }
    assert_string_equal(net_text(PROVINCE, "SELECT text FROM note WHERE id = 'n00005'"), "v29");
    assert_string_equal(net_text(PROVINCE, found), "x");
    for (int i = 0; i < 2; i++) {
        gap_behind(PROVINCE, i == 0 ? "UPDATE note SET text = 'second' WHERE id = 'n00005'"
                                    : "UPDATE note SET text = 'third' WHERE id = 'n00005'");
        net_sql(t, HUB,
                i == 0 ? "UPDATE note SET text = 'w' WHERE id = 'n00005'"
                       : "UPDATE note SET text = 'u' WHERE id = 'n00005'");
        net_run(t, 1000);
        assert_string_equal(net_text(PROVINCE, found), i == 0 ? "x,second" : "x,second,third");
    }
}

/* A row that is held by the time it is compared was written over behind capture, and by another
 * office since the gap began: both versions are everywhere what was written. */
static void a_held_row_has_two_versions(void **state)
{
    static const char sides[] = "SELECT group_concat(state || cell || ifnull(detail, '') || "
                                "ifnull(value, ''), ' ') FROM (SELECT * FROM tonle_conflict JOIN"
                                " tonle_side USING(n) ORDER BY cell, detail, value)";
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_cut(t, PROVINCE);
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'hub')");
    net_run(t, 1000);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('k', 'province')");
    net_run(t, 2000);
    gap_while_off(t, PROVINCE, REBUILD(""));
    net_run(t, 2000);
    net_sql(t, DISTRICT, "UPDATE note SET text = 'district' WHERE id = 'k'");
    net_run(t, 2000);
    assert_string_equal(net_text(PROVINCE, "SELECT text FROM note WHERE id = 'k'"), "district");
    gap_behind(PROVINCE, "UPDATE note SET text = 'behind' WHERE id = 'k'");
    net_mend(t, PROVINCE);
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 20000));
    for (int i = 0; i < t->n; i++)
        assert_non_null(strstr(net_text(&t->office[i], sides), "autotextbehind autotextdistrict"));
    AT_ALL(held, "\"k\"birthprovince");
}

/* Beside a row that is held at both, too, it becomes a birth of this office's. That it was nobody's
 * is no conflict any more then. */
static void what_was_nobodys_is_in_no_conflict(void **state)
{
    struct net *t = *state;
    for (int i = 0; i < t->n; i++)
        net_sql(t, &t->office[i], "CREATE UNIQUE INDEX one ON note(text)");
    gap_start_with(t, "INSERT INTO note VALUES('first', 'first')");
    gap_behind(PROVINCE, "INSERT INTO note VALUES('k', 'stray')");
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'hub')");
    net_run(t, 2000);
    assert_string_equal(net_text(PROVINCE, open_ones), "1");
    net_halt(t, HUB);
    net_sql(t, HUB, "UPDATE note SET text = 'one' WHERE id = 'k'");
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('w', 'one')");
    net_run(t, 2000);
    net_boot(t, HUB);
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, held), "\"k\"uniquehub");
    json_decref(gap_ask(t, PROVINCE, "{\"do\":\"verify_local\"}"));
    net_run(t, 2000);
    gap_take(t, PROVINCE, "\"here\"");
    gap_settled(t, PROVINCE, "none synced");
    assert_true(net_settle(t, 60000));
    AT_ALL("SELECT group_concat(key || reason || office, ' ') FROM (SELECT * FROM"
           " tonle_held ORDER BY key, reason)",
           "\"k\"birthprovince \"k\"uniquehub");
    AT_ALL(open_ones, "1");
}

/* Gone here behind capture, and deleted by another: that is the same, and yet it is on record:
 * somebody's edit may bring the row back. */
static void what_was_gone_everywhere_lives_again(void **state)
{
    struct net *t = *state;
    gap_start_with(t, ROWS(20));
    net_run(t, 130000); /* nothing is on record of them */
    net_cut(t, DISTRICT);
    net_run(t, 1000);
    net_sql(t, DISTRICT, "UPDATE note SET text = 'later' WHERE id = 'n00005'");
    net_halt(t, PROVINCE);
    assert_int_equal(sqlite3_exec(PROVINCE->app,
                                  REBUILD("DELETE FROM note_new WHERE id = 'n00005';"), NULL, NULL,
                                  NULL),
                     SQLITE_OK);
    net_sql(t, HUB, "DELETE FROM note WHERE id = 'n00005'");
    net_boot(t, PROVINCE);
    gap_settled(t, PROVINCE, "none synced");
    net_mend(t, DISTRICT);
    assert_true(net_settle(t, 30000));
    AT_ALL("SELECT text FROM note WHERE id = 'n00005'", "later");
}

static void one_text(struct net *t)
{
    for (int i = 0; i < t->n; i++)
        net_sql(t, &t->office[i], "CREATE UNIQUE INDEX one ON note(text)");
}

#define ALONE ";CREATE UNIQUE INDEX one ON note(text)"

/* What a comparison has settled and not sealed yet loses its value to a row that is settled behind
 * it: it is held with what was written here, and nobody has deleted it. */
static void what_is_settled_is_not_deleted(struct net *t, const char *before, const char *enters)
{
    one_text(t);
    gap_start_with(t, before);
    net_run(t, 130000);
    net_cut(t, PROVINCE);
    net_run(t, 1000);
    net_sql(t, HUB, "INSERT INTO note VALUES('k', 'new')");
    net_run(t, 1000);
    net_sql(t, PROVINCE, enters);
    net_run(t, 1000);
    gap_while_off(t, PROVINCE,
                  REBUILD("UPDATE note_new SET text = 'new' WHERE id = 'a';"
                          " INSERT INTO note_new VALUES('k', 'stray');") ALONE);
    net_run(t, 1000);
    net_mend(t, PROVINCE);
    assert_true(net_settle(t, 60000));
    AT_ALL("SELECT count(*) FROM tonle_gap", "0");
    AT_ALL("SELECT group_concat(id || '=' || text, ' ') FROM (SELECT * FROM note ORDER BY id)",
           "first=x k=new");
    AT_ALL("SELECT group_concat(key || reason, ' ') FROM (SELECT * FROM tonle_held ORDER BY key)",
           "\"a\"unique \"k\"birth");
}

static void what_everybody_has_is_not_deleted(void **state)
{
    what_is_settled_is_not_deleted(*state, "INSERT INTO note VALUES('first', 'x'), ('a', 'y')",
                                   "UPDATE note SET text = 'orig' WHERE id = 'a'");
}

static void what_was_born_just_now_is_not_deleted(void **state)
{
    what_is_settled_is_not_deleted(*state, "INSERT INTO note VALUES('first', 'x')",
                                   "INSERT INTO note VALUES('a', 'orig')");
}

/* A value that was written in a gap is kept also where the row that others write over it is taken
 * out at once, for a value that is another's. */
static void what_is_written_over_and_held_is_kept(void **state)
{
    struct net *t = *state;
    one_text(t);
    gap_start_with(t, "INSERT INTO note VALUES('k', 'x')");
    net_cut(t, PROVINCE);
    net_run(t, 1000);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('w', 'one')");
    net_run(t, 2000);
    net_sql(t, HUB, "UPDATE note SET text = 'one' WHERE id = 'k'");
    net_run(t, 2000);
    gap_while_off(t, PROVINCE, REBUILD("UPDATE note_new SET text = 'stray' WHERE id = 'k';") ALONE);
    net_run(t, 2000);
    net_mend(t, PROVINCE);
    net_run(t, 60000);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM tonle_conflict_side WHERE value ="
                                           " 'stray' OR instr(detail, 'stray')"),
                        "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(what_a_rebuild_entered_and_others_too),
        TEST_OF_TWO(what_a_rebuild_entered_otherwise),
        TEST_OF_THREE(what_a_rebuild_entered_otherwise_in_a_chain),
        TEST_OF_TWO(more_than_a_hundred_are_sent_by_a_person),
        TEST_OF_TWO(more_than_a_hundred_are_dropped_by_a_person),
        TEST_OF_TWO(a_hundred_go_out),
        TEST_OF_TWO(what_was_entered_stays_where_both_had_a_gap),
        TEST_OF_TWO(a_stray_row_waits_for_a_person),
        TEST_OF_THREE(a_settled_row_does_not_make_way),
        TEST_OF_TWO(what_others_write_in_a_gap_is_one_record),
        TEST_OF_TWO(what_a_twin_writes_over_in_a_gap_is_kept),
        TEST_OF_THREE(a_held_row_has_two_versions),
        TEST_OF_TWO(what_was_nobodys_is_in_no_conflict),
        TEST_OF_THREE(what_was_gone_everywhere_lives_again),
        TEST_OF_TWO(what_everybody_has_is_not_deleted),
        TEST_OF_TWO(what_was_born_just_now_is_not_deleted),
        TEST_OF_TWO(what_is_written_over_and_held_is_kept),
    };
    return check_run(tests);
}
