#include "tests/lib/check.h"
#include "tests/lib/rooms.h"
#include "tests/unit/capture/fixture.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TABLE "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, code TEXT UNIQUE, v);"

static uint64_t limit_rows(struct store *s)
{
    uint64_t n;
    assert_ok(store_limit_rows(s, &n));
    return n;
}

/* A trigger that was dropped, altered or made anew otherwise is noticed, and put back without
 * losing what the log holds. */
static void a_changed_trigger_is_noticed_and_repaired(void **state)
{
    static const char *const harm[] = {
        "DROP TRIGGER tonle_ins_6;", "DROP TRIGGER tonle_bup_6;",
        ("DROP TRIGGER tonle_del_6;"
         "CREATE TRIGGER tonle_del_6 AFTER DELETE ON t BEGIN SELECT 1; END;"),
        "ALTER TABLE t ADD COLUMN w; CREATE UNIQUE INDEX u ON t(v);"};
    struct capture_office o;
    capture_office_open(&o, TABLE, "t");
    for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
        office_app(&o, "DELETE FROM t;");
        office_collect(&o);
        office_app(&o, "INSERT INTO t(id) VALUES('kept');");
        assert_true(store_capture_check(o.s));
        office_app(&o, harm[i]);
        assert_false(store_capture_check(o.s));
        office_install(&o);
        assert_non_null(strstr(office_collect(&o), "t born 'kept'"));
    }
    office_app(&o, "UPDATE t SET w=1;");
    assert_string_equal(office_collect(&o), "t update 'kept' w=1\n");
    capture_office_close(&o);
}

/* Installing again where everything stands writes nothing. */
static void installing_twice_changes_nothing(void **state)
{
    struct capture_office o;
    capture_office_open(&o, TABLE, "t");
    int64_t before = office_number(&o, "PRAGMA schema_version");
    office_install(&o);
    assert_int_equal(office_number(&o, "PRAGMA schema_version"), before);
    capture_office_close(&o);
}

/* A table that was dropped and made again with other columns in another order keeps what was
 * captured. */
static void a_log_moves_over_by_column_name(void **state)
{
    struct capture_office o;
    capture_office_open(&o, "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b, c);", "t");
    office_app(&o, "INSERT INTO t VALUES('x',1,2,3),('y',1,2,3);");
    office_collect(&o);
    office_app(&o, "UPDATE t SET c=30 WHERE id='x'; DELETE FROM t WHERE id='y';"
                   "CREATE TABLE u(c, id TEXT PRIMARY KEY NOT NULL, n, a); INSERT INTO u SELECT "
                   "c,id,7,a FROM t;"
                   "DROP TABLE t; CREATE TABLE t(c, id TEXT PRIMARY KEY NOT NULL, n, a); INSERT "
                   "INTO t SELECT * FROM u;"
                   "DROP TABLE u;");
    assert_false(store_capture_check(o.s));
    office_install(&o);
    assert_string_equal(office_collect(&o), "t update 'x' c=30\nt delete 'y'\n");
    capture_office_close(&o);
}

/* What is no longer published is no longer captured; a log that still holds something is kept for
 * later. */
static void unpublished_tables_are_let_go(void **state)
{
    const char *count = "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'tonle_*_[67]'";
    struct capture_office o;
    capture_office_open(&o, TABLE "CREATE TABLE u(id TEXT PRIMARY KEY NOT NULL);", "t,u");
    assert_int_equal(office_number(&o, count), 14);
    office_app(&o, "INSERT INTO u VALUES('a');");
    office_publish(&o, "0000000002", "{\"tables\":[]}");
    assert_false(store_capture_pending(o.s));
    office_install(&o);
    assert_int_equal(office_number(&o, count), 1);
    office_app(&o, "INSERT INTO u VALUES('b'); INSERT INTO t(id) VALUES('b');");
    office_publish(&o, "0000000010", "{\"tables\":[{\"name\":\"u\"}]}");
    assert_false(store_capture_check(o.s));
    office_install(&o);
    assert_string_equal(office_collect(&o), "u born 'a' id='a'\n");
    capture_office_close(&o);
}

/* A rolled back installation leaves nothing behind, and is not taken for done. */
static void a_rolled_back_install_is_not_done(void **state)
{
    struct capture_office o;
    capture_office_open(&o, TABLE, "t");
    office_app(&o, "DROP TRIGGER tonle_ins_6;");
    assert_ok(store_begin(o.s));
    assert_ok(store_capture_install(o.s));
    assert_true(store_capture_check(o.s));
    store_rollback(o.s);
    assert_false(store_capture_check(o.s));
    office_app(&o, "DROP TRIGGER tonle_del_6;"); /* the same schema_version as the install had,
                                                    another schema */
    assert_false(store_capture_check(o.s));
    capture_office_close(&o);
}

/* What the node writes itself (the registry) is noted and collected like any write. */
static void notes_are_collected(void **state)
{
    struct capture_office o;
    capture_office_open(&o, TABLE, "t");
    struct value v[5] = {value_text("0f"), value_integer(15), value_text("hub"), value_text("aa"),
                         value_integer(0)};
    assert_ok(store_begin(o.s));
    struct table_schema *site = schema_table(o.s, "tonle_site");
    assert_ok(
        store_exec(o.s, "INSERT INTO tonle_site VALUES('0f',15,'hub','aa',0),('f0',1,'x','y',1)"));
    assert_ok(capture_note(o.s, site, CHANGE_BORN, 0, v));
    v[0] = value_text("f0");
    assert_ok(capture_note(o.s, site, CHANGE_UPDATE, 4, v));
    v[0] = value_text("00");
    assert_ok(capture_note(o.s, site, CHANGE_DELETE, 0, v));
    assert_ok(store_commit(o.s));
    assert_true(store_capture_pending(o.s));
    assert_string_equal(
        office_collect(&o),
        "tonle_site born '0f' site='0f' number=15 node='hub' sign_key='aa' block=0\n"
        "tonle_site update 'f0' node='x'\ntonle_site delete '00'\n");
    capture_office_close(&o);
}

/* A cut collect consumes whole keys, parents before children, and says that more is left. */
static void a_cut_collect_takes_whole_keys(void **state)
{
    struct capture_office o;
    bool cut;
    capture_office_open(
        &o,
        "CREATE TABLE c(id TEXT PRIMARY KEY NOT NULL, p REFERENCES p(id)); CREATE TABLE "
        "p(id TEXT PRIMARY KEY NOT NULL, v);",
        "c,p");
    office_app(&o, "INSERT INTO c VALUES('1','a'); INSERT INTO p VALUES('a',1),('b',2); UPDATE p "
                   "SET v=9 WHERE id='a';"
                   "DELETE FROM p WHERE id='b'; INSERT INTO p VALUES('c',3);");
    assert_string_equal(office_collect_limited(&o, 1, 1 << 20, &cut), "p born 'a' id='a' v=9\n");
    assert_true(cut);
    assert_string_equal(office_collect_limited(&o, 1, 1 << 20, &cut), "p born 'c' id='c' v=3\n");
    assert_true(cut);
    assert_string_equal(office_collect_limited(&o, 1, 1 << 20, &cut), "c born '1' id='1' p='a'\n");
    assert_false(cut);
    office_app(&o, "INSERT INTO p VALUES('d',zeroblob(1000)),('e',zeroblob(1000)),('f',1);");
    assert_non_null(strstr(office_collect_limited(&o, 100, 1500, &cut), "'e'"));
    assert_true(cut);
    assert_string_equal(office_collect_limited(&o, 100, 1500, &cut), "p born 'f' id='f' v=1\n");
    assert_false(cut);
    capture_office_close(&o);
}

static void assert_held(struct capture_office *o, const char *key, const char *message)
{
    struct query q = DB_QUERY(o->s,
                              "SELECT message FROM tonle_held WHERE reason = 'limit'"
                              " AND key = ?1 AND office = 'hub' AND since_ms > 0",
                              value_text(key));
    assert_int_equal(query_next(&q), !!message);
    if (message)
        assert_non_null(strstr(query_borrow_text(&q, 0), message));
    assert_store_ok(o->s, query_end(&q));
}

/* A row or key over the limits stays in its table, is held with the reason, and stops nothing; it
 * is born elsewhere with the write that makes it small enough. */
static void a_row_too_large_is_held_until_it_fits(void **state)
{
    struct capture_office o;
    capture_office_open(&o, TABLE, "t");
    office_app(&o, "INSERT INTO t VALUES('big','1',zeroblob(9000000)),('ok','2',1),"
                   "(hex(zeroblob(5000)),'3',1),('gone','4',zeroblob(9000000));");
    assert_string_equal(office_collect(&o), "t born 'ok' id='ok' code='2' v=1\n");
    assert_held(&o, "\"big\"", "v has 9000000 bytes, a value can have 8388608");
    assert_int_equal(limit_rows(o.s), 3);
    assert_int_equal(office_number(&o,
                                   "SELECT count(*) FROM tonle_held WHERE reason = 'limit' AND"
                                   " message LIKE 'the key has 10003 bytes%'"
                                   " AND length(key) < 300 AND key LIKE '\"000%(10000 bytes)\"'"),
                     1);
    office_app(&o, "UPDATE t SET code='5' WHERE id='big';");
    assert_string_equal(office_collect(&o), "");
    assert_held(&o, "\"big\"", "v has");
    office_app(&o, "UPDATE t SET v='small' WHERE id='big'; DELETE FROM t WHERE id<>'big';");
    assert_string_equal(office_collect(&o),
                        "t born 'big' id='big' code='5' v='small'\nt delete 'ok'\n");
    assert_int_equal(limit_rows(o.s), 0);
    assert_int_equal(office_number(&o, "SELECT count(*) FROM tonle_held"), 0);
    capture_office_close(&o);
}

/* Of a row that others have, only what is too large stays back, a group as a whole; the next write
 * to the row takes along what fits by then. */
static void a_value_too_large_stays_back_alone(void **state)
{
    struct capture_office o;
    capture_office_open(&o, "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b, c, d);", "t");
    office_app(&o, "INSERT INTO t VALUES('x',1,2,3,4);");
    office_collect(&o);
    office_app(&o, "UPDATE t SET a=zeroblob(8388609), c=30;");
    assert_string_equal(office_collect(&o), "t update 'x' c=30\n");
    assert_held(&o, "\"x\"", "a has 8388609 bytes");
    office_app(&o, "UPDATE t SET b=20;");
    assert_string_equal(office_collect(&o), "t update 'x' b=20\n");
    assert_held(&o, "\"x\"", "a has 8388609 bytes");
    office_app(&o, "UPDATE t SET a=10;");
    assert_string_equal(office_collect(&o), "t update 'x' a=10\n");
    assert_held(&o, "\"x\"", NULL);
    office_app(&o, "UPDATE t SET a=zeroblob(7000000), b=zeroblob(6000000), c=31;");
    assert_non_null(strstr(office_collect(&o), "c=31"));
    assert_null(strstr(o.text, " a="));
    assert_non_null(strstr(o.text, " b="));
    assert_held(&o, "\"x\"", "the largest value is a with 7000000");
    office_app(&o, "UPDATE t SET c=32; DELETE FROM t;");
    assert_non_null(strstr(office_collect(&o), "t delete 'x' "));
    assert_int_equal(limit_rows(o.s), 0);
    capture_office_close(&o);
}

/* Of a deleted row the values it had last are at hand. */
static void old_values_of_a_delete_are_known(void **state)
{
    struct capture_office o;
    struct changeset cs = {0};
    struct collected *c;
    capture_office_open(&o, TABLE, "t");
    office_app(&o, "INSERT INTO t VALUES('a','x',1),('b','y',2);");
    office_collect(&o);
    office_app(&o, "UPDATE t SET v=5 WHERE id='a'; DELETE FROM t WHERE id='a'; REPLACE INTO t "
                   "VALUES('c','y',3);");
    assert_ok(store_begin(o.s));
    assert_ok(
        store_collect(o.s, &o.a, (struct collect_most){.rows = 100, .bytes = 1 << 20}, &cs, &c));
    assert_int_equal(cs.segments[0].tables[0].n_rows, 3);
    const struct value *a = collect_old_values(c, 0, 0), *b = collect_old_values(c, 0, 1);
    assert_non_null(a);
    assert_int_equal(a[2].u.i, 5);
    assert_memory_equal(a[1].u.p, "x", 1);
    assert_int_equal(b[2].u.i, 2);
    assert_null(collect_old_values(c, 0, 2));
    assert_null(collect_old_values(c, 1, 0));
    assert_null(collect_old_values(c, 0, 3));
    store_rollback(o.s);
    collected_free(c);
    capture_office_close(&o);
}

/* Every lookup of the BEFORE triggers and of collect goes through an index: no table is scanned.
 * EXPLAIN does not show the statements of triggers, so they are taken out and explained one by one.
 */
static void no_lookup_scans_the_table(void **state)
{
    struct capture_office o;
    int status;
    capture_office_open(
        &o,
        "CREATE TABLE t(id TEXT COLLATE NOCASE PRIMARY KEY, a TEXT COLLATE NOCASE UNIQUE, b, c "
        "TEXT, d NOT NULL DEFAULT 1 UNIQUE, UNIQUE(b,c));"
        "CREATE UNIQUE INDEX x1 ON t(lower(c), b); CREATE UNIQUE INDEX x2 ON t(c) WHERE b > 5;",
        "t");
    const char *key = schema_table(o.s, "t")->read_sql;
    struct buf b = {0};
    struct query q = DB_QUERY(
        o.s,
        "SELECT sql FROM sqlite_schema WHERE name IN ('tonle_bin_6','tonle_bup_6') ORDER BY name");
    assert_true(query_next(&q));
    const char *sql = query_borrow_text(&q, 0);
    uint32_t n = 0;
    for (const char *at = strstr(sql, "SELECT 4"); at; at = strstr(at + 1, "SELECT 4"), n++) {
        const char *end = strstr(at, "; ");
        buf_printf(&b, "EXPLAIN QUERY PLAN ");
        for (const char *p = at; p < end; p++) {
            if (strncmp(p, "NEW.", 4) != 0) {
                buf_put(&b, p, 1);
                continue;
            }
            buf_printf(&b, "?1"); /* a value known outside, as NEW is */
            p += 4;
            for (p += *p == '"'; *p != '"' && *p != ' '; p++)
                ;
            p -= *p == ' ';
        }
        buf_printf(&b, ";\n");
    }
    assert_store_ok(o.s, query_end(&q));
    assert_int_equal(n, 7);
    char *plan = office_app_output(&o, buf_str(&b), &status);
    assert_null(strstr(plan, "rror"));
    assert_null(strstr(plan, "SCAN tonle_t"));
    for (const char *at = plan; (at = strstr(at, "SEARCH tonle_t")); at++)
        n--;
    assert_int_equal(n, 0);
    free(plan);
    buf_reset(&b);
    buf_printf(&b, "EXPLAIN QUERY PLAN %s;", key);
    plan = office_app_output(&o, buf_str(&b), &status);
    assert_non_null(strstr(plan, "SEARCH main.t USING INDEX"));
    free(plan);
    buf_fini(&b);
    capture_office_close(&o);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* 5,000 inserted rows are collected within the lock budget (given tenfold here: sanitizers, shared
 * cores). */
static void collecting_five_thousand_rows_is_fast(void **state)
{
    struct capture_office o;
    struct changeset cs = {0};
    struct collected *c;
    capture_office_open(&o, "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a,b,c,d,e,f,g);", "t");
    office_app(&o, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000)"
                   " INSERT INTO t SELECT printf('KH-%08d',i),i,'some text',i*1.5,NULL,'more text "
                   "here',i,i FROM n;");
    assert_ok(store_begin(o.s));
    double start = seconds();
    assert_ok(
        store_collect(o.s, &o.a, (struct collect_most){.rows = 5000, .bytes = 4 << 20}, &cs, &c));
    double collect = seconds() - start;
    assert_ok(store_collect_done(o.s, c, 1));
    double both = seconds() - start;
    print_message("collect %.1f ms, with done %.1f ms\n", collect * 1e3, both * 1e3);
    assert_false(cs.cut);
    assert_int_equal(cs.segments[0].tables[0].n_rows, 5000);
    assert_ok(store_commit(o.s));
    assert_true(both < 0.5);
    collected_free(c);
    capture_office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_trigger_is_noticed_and_repaired),
        cmocka_unit_test(installing_twice_changes_nothing),
        cmocka_unit_test(a_log_moves_over_by_column_name),
        cmocka_unit_test(unpublished_tables_are_let_go),
        cmocka_unit_test(a_rolled_back_install_is_not_done),
        cmocka_unit_test(notes_are_collected),
        cmocka_unit_test(a_cut_collect_takes_whole_keys),
        cmocka_unit_test(a_row_too_large_is_held_until_it_fits),
        cmocka_unit_test(a_value_too_large_stays_back_alone),
        cmocka_unit_test(old_values_of_a_delete_are_known),
        cmocka_unit_test(no_lookup_scans_the_table),
        cmocka_unit_test(collecting_five_thousand_rows_is_fast),
    };
    return check_run(tests);
}
