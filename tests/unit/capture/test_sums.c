/* Columns of policy sum travel as deltas, columns of a group together. */
#include "node/capture/capture.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/unit/capture/fixture.h"

#define TABLE "CREATE TABLE t(id INTEGER PRIMARY KEY, s, v TEXT UNIQUE);"
#define RULES                                                                                      \
    "{\"tables\":[{\"name\":\"t\",\"columns\":[{\"name\":\"id\"},"                                 \
    "{\"name\":\"s\",\"policy\":\"sum\"},{\"name\":\"v\"}]}]}"
#define ROWS "INSERT INTO t VALUES(1,10,'a'),(2,20,'b'),(3,NULL,'c');"

static void check(const char *act, const char *expected)
{
    check_rules_capture(TABLE, RULES, ROWS, act, expected);
}

static uint64_t limit_rows(struct store *s)
{
    uint64_t n;
    assert_ok(store_limit_rows(s, &n));
    return n;
}

/* What is added, several times or at once, travels as its sum; what comes to nothing does not. */
static void updates_travel_as_their_sum(void **state)
{
    check("UPDATE t SET s=s+5 WHERE id=1;", "t update 1 s=+5\n");
    check("UPDATE t SET s=s+5, v='z' WHERE id=1; UPDATE t SET s=s-7 WHERE id=1;",
          "t update 1 s=-2 v='z'\n");
    check("UPDATE t SET s=100 WHERE id=2;", "t update 2 s=+80\n");
    check("UPDATE t SET s=s+1; UPDATE t SET s=s-1 WHERE id=1; UPDATE t SET v='x' WHERE id=2;",
          "t update 2 s=+1 v='x'\n");
    check("UPDATE t SET s=s+1 WHERE id=1; UPDATE t SET s=s-1 WHERE id=1;", "");
    check("UPDATE t SET s=s, v=v;", "");
    check("UPDATE t SET v='z' WHERE id=1;", "t update 1 v='z'\n");
}

/* The same in every other form in which applications write. */
static void every_statement_form_is_a_delta(void **state)
{
    check("INSERT INTO t VALUES(1,7,'a') ON CONFLICT(id) DO UPDATE SET s=s+excluded.s;",
          "t update 1 s=+7\n");
    check("INSERT OR REPLACE INTO t VALUES(1,7,'a');", "t update 1 s=-3\n");
    check("REPLACE INTO t VALUES(1,10,'z');", "t update 1 v='z'\n");
    check("UPDATE t SET s=s+1 WHERE id=1; REPLACE INTO t VALUES(1,50,'a');"
          "UPDATE t SET s=s+2 WHERE id=1;",
          "t update 1 s=+42\n");
    check("BEGIN; DELETE FROM t WHERE id=1; INSERT INTO t VALUES(1,4,'a'); COMMIT;",
          "t update 1 s=-6\n");
    check("UPDATE t SET s=s+1 WHERE id=1; DELETE FROM t WHERE id=1; INSERT INTO t "
          "VALUES(1,11,'a');",
          "t update 1 s=+1\n");
    check("INSERT INTO t VALUES(4,7,'d'); UPDATE t SET s=s+1 WHERE id=4;",
          "t born 4 id=4 s=8 v='d'\n");
    check("UPDATE OR IGNORE t SET s=s+1, v='b' WHERE id=1;", "");
    check("UPDATE OR REPLACE t SET s=s+1, v='b' WHERE id=1;",
          "t update 1 s=+1 v='b'\nt delete 2\n");
    check("BEGIN; UPDATE t SET s=s+1; ROLLBACK; UPDATE t SET s=s+2 WHERE id=1;",
          "t update 1 s=+2\n");
}

/* What was added before a delete, or before an eviction, or before the key changed, travels too. */
static void a_delete_carries_the_delta_before_it(void **state)
{
    check("DELETE FROM t WHERE id=1;", "t delete 1\n");
    check("UPDATE t SET s=s+5 WHERE id=1; DELETE FROM t WHERE id=1;", "t delete 1 s=+5\n");
    check("UPDATE t SET s=s+5 WHERE id=2; REPLACE INTO t VALUES(1,10,'b');",
          "t delete 2 s=+5\nt update 1 v='b'\n");
    check("UPDATE t SET id=9, s=s+1 WHERE id=1;", "t delete 1\nt born 9 id=9 s=11 v='a'\n");
    check("UPDATE t SET s=s+1 WHERE id=1; UPDATE t SET id=9 WHERE id=1;",
          "t delete 1 s=+1\nt born 9 id=9 s=11 v='a'\n");
    check("UPDATE t SET s='x' WHERE id=1; DELETE FROM t WHERE id=1;", "t delete 1 s='x'\n");
}

/* NULL counts 0, and 0 is not NULL; the ends of an integer fit into a delta. */
static void null_counts_zero(void **state)
{
    check("UPDATE t SET s=4 WHERE id=3;", "t update 3 s=+4\n");
    check("UPDATE t SET s=0 WHERE id=3;", "t update 3 s=+0\n");
    check("UPDATE t SET s=NULL WHERE id=1;", "t update 1 s=-10\n");
    check("UPDATE t SET s=5 WHERE id=3; UPDATE t SET s=NULL WHERE id=3;", "");
    check_rules_capture(TABLE, RULES, "INSERT INTO t VALUES(1,-9223372036854775808,'a');",
                        "UPDATE t SET s=9223372036854775807;",
                        "t update 1 s=+18446744073709551615\n");
}

/* What is no integer travels as itself; an integer after it is a delta against the last total. */
static void what_is_no_integer_travels_as_itself(void **state)
{
    check("UPDATE t SET s='abc' WHERE id=1;", "t update 1 s='abc'\n");
    check("UPDATE t SET s=1.5 WHERE id=1;", "t update 1 s=1.5000000000000000\n");
    check("UPDATE t SET s=x'01' WHERE id=3;", "t update 3 s=x'01'\n");
    check("UPDATE t SET s='abc' WHERE id=1; UPDATE t SET s=12 WHERE id=1;", "t update 1 s=+2\n");
    check("UPDATE t SET s='abc' WHERE id=1; UPDATE t SET s=10 WHERE id=1;", "");
    check("UPDATE t SET s=11 WHERE id=1; UPDATE t SET s='abc' WHERE id=1;", "t update 1 s='abc'\n");
    check("INSERT INTO t VALUES(4,'abc','d');", "t born 4 id=4 s='abc' v='d'\n");
}

/* An application's trigger that was made after ours runs ahead of it and writes the row once more:
 * neither the delta nor a birth is lost. */
static void a_trigger_that_runs_ahead_loses_nothing(void **state)
{
    struct capture_office o;
    capture_office_open(&o, TABLE, "t");
    office_publish(&o, "0000000002", RULES);
    office_install(&o);
    office_app(&o, ROWS
               "CREATE TRIGGER za AFTER UPDATE OF s ON t BEGIN UPDATE t SET v='touched'||id WHERE "
               "id=NEW.id; END;"
               "CREATE TRIGGER zb AFTER UPDATE OF v ON t WHEN NEW.s=15 BEGIN UPDATE t SET s=s+1 "
               "WHERE id=NEW.id; END;"
               "CREATE TRIGGER zc AFTER INSERT ON t BEGIN UPDATE t SET v=NEW.v||'!' WHERE "
               "id=NEW.id; END;");
    office_collect(&o);
    office_app(&o, "UPDATE t SET s=s+5 WHERE id=1;");
    assert_string_equal(office_collect(&o), "t update 1 s=+6 v='touched1'\n");
    office_app(&o, "INSERT INTO t VALUES(4,1,'d');");
    assert_string_equal(office_collect(&o), "t born 4 id=4 s=1 v='d!'\n");
    office_app(&o, "REPLACE INTO t VALUES(4,5,'e');");
    assert_string_equal(office_collect(&o), "t update 4 s=+4 v='e!'\n");
    capture_office_close(&o);
}

/* Deltas of a log that is sealed in pieces add up to what was written. */
static void a_cut_log_adds_up(void **state)
{
    struct capture_office o;
    bool cut;
    capture_office_open(&o, TABLE, "t");
    office_publish(&o, "0000000002", RULES);
    office_install(&o);
    office_app(&o, ROWS);
    office_collect(&o);
    office_app(&o, "UPDATE t SET s=coalesce(s,0)+1; UPDATE t SET s=s+2 WHERE id<>2; UPDATE t SET "
                   "s=s+4;");
    assert_string_equal(office_collect_limited(&o, 1, 1 << 20, &cut), "t update 1 s=+7\n");
    assert_true(cut);
    office_app(&o, "UPDATE t SET s=s+8;");
    assert_string_equal(office_collect_limited(&o, 2, 1 << 20, &cut),
                        "t update 2 s=+13\nt update 3 s=+15\n");
    assert_true(cut);
    assert_string_equal(office_collect_limited(&o, 2, 1 << 20, &cut), "t update 1 s=+8\n");
    assert_false(cut);
    capture_office_close(&o);
}

/* The totals from before the window are at hand for updates and deletes, changed or not. */
static void old_totals_are_known(void **state)
{
    struct capture_office o;
    struct changeset cs = {0};
    struct collected *c;
    capture_office_open(&o, TABLE, "t");
    office_publish(&o, "0000000002", RULES);
    office_install(&o);
    office_app(&o, ROWS "INSERT INTO t VALUES(5,50,'e');");
    office_collect(&o);
    office_app(&o, "UPDATE t SET s='x' WHERE id=1; UPDATE t SET v='z' WHERE id=2; UPDATE t SET s=1 "
                   "WHERE id=3; INSERT INTO t VALUES(4,1,'d'); UPDATE t SET s=51 WHERE id=5;"
                   "DELETE FROM t WHERE id=5;");
    assert_ok(store_begin(o.s));
    assert_ok(
        store_collect(o.s, &o.a, (struct collect_most){.rows = 100, .bytes = 1 << 20}, &cs, &c));
    assert_int_equal(cs.segments[0].tables[0].n_rows, 5);
    static const int64_t total[] = {10, 20, -1, -1, 50};
    for (uint32_t i = 0; i < 5; i++) {
        const struct value *v = collect_old_sums(c, 0, i);
        assert_false(collect_is_decision(c, 0, i));
        if (i == 3) {
            assert_null(v);
        } else if (total[i] < 0) {
            assert_int_equal(v[1].type, VALUE_NULL);
        } else {
            assert_int_equal(v[1].type, VALUE_INTEGER);
            assert_int_equal(v[1].u.i, total[i]);
        }
    }
    assert_int_equal(collect_old_values(c, 0, 4)[1].u.i, 51);
    assert_null(collect_old_sums(c, 0, 5));
    store_rollback(o.s);
    collected_free(c);
    capture_office_close(&o);
}

/* Only writes to a sum column pay for it, and with the policy the trigger goes. */
static void only_sums_cost_a_log_row(void **state)
{
    struct capture_office o;
    const char *trigger = "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'tonle_sum_*'";
    capture_office_open(&o, TABLE, "t");
    assert_int_equal(office_number(&o, trigger), 0);
    office_app(&o, ROWS);
    office_collect(&o);
    office_publish(&o, "0000000002", RULES);
    assert_false(store_capture_check(o.s));
    office_install(&o);
    assert_int_equal(office_number(&o, trigger), 1);
    office_app(&o, "UPDATE t SET v='z' WHERE id=1; UPDATE t SET v='y', s=s WHERE id=1;");
    assert_int_equal(office_number(&o, "SELECT count(*) FROM tonle_log_6"), 2);
    office_app(&o, "UPDATE t SET s=s+1 WHERE id=1;");
    assert_int_equal(office_number(&o, "SELECT count(*) FROM tonle_log_6"), 4);
    assert_string_equal(office_collect(&o), "t update 1 s=+1 v='y'\n");
    office_publish(&o, "0000000010", "{\"tables\":[{\"name\":\"t\"}]}");
    assert_false(store_capture_check(o.s));
    office_install(&o);
    assert_int_equal(office_number(&o, trigger), 0);
    office_app(&o, "UPDATE t SET s=s+1 WHERE id=1;");
    assert_string_equal(office_collect(&o), "t update 1 s=12\n");
    capture_office_close(&o);
}

/* A value too large in a sum column stays back, and the integer after it is a delta against the
 * total the others have. */
static void a_total_is_remembered_beside_a_value_too_large(void **state)
{
    struct capture_office o;
    capture_office_open(&o, TABLE, "t");
    office_publish(&o, "0000000002", RULES);
    office_install(&o);
    office_app(&o, ROWS);
    office_collect(&o);
    office_app(&o, "UPDATE t SET s=zeroblob(9000000), v='z' WHERE id=1;");
    assert_string_equal(office_collect(&o), "t update 1 v='z'\n");
    office_app(&o, "UPDATE t SET s=13 WHERE id=1;");
    assert_string_equal(office_collect(&o), "t update 1 s=+3\n");
    assert_int_equal(limit_rows(o.s), 0);
    capture_office_close(&o);
}

#define GROUPED                                                                                    \
    "{\"tables\":[{\"name\":\"t\",\"groups\":[{\"name\":\"g\",\"columns\":[\"c\",\"a\"],"          \
    "\"policy\":\"latest\"}]}]}"

/* When one column of a group changed, all travel; the others of the row do not. */
static void a_group_travels_whole(void **state)
{
    const char *schema = "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b, c);";
    const char *rows = "INSERT INTO t VALUES('x',1,2,3);";
    check_rules_capture(schema, GROUPED, rows, "UPDATE t SET a=10;", "t update 'x' a=10 c=3\n");
    check_rules_capture(schema, GROUPED, rows, "UPDATE t SET c=30;", "t update 'x' a=1 c=30\n");
    check_rules_capture(schema, GROUPED, rows, "UPDATE t SET b=20;", "t update 'x' b=20\n");
    check_rules_capture(schema, GROUPED, rows, "REPLACE INTO t VALUES('x',1,20,30);",
                        "t update 'x' a=1 b=20 c=30\n");
    check_rules_capture(schema, GROUPED, rows, "UPDATE t SET a=10; DELETE FROM t;",
                        "t delete 'x' a=10 c=3\n");
    check_rules_capture(schema, GROUPED, rows, "DELETE FROM t;", "t delete 'x'\n");
}

/* A group of which one member is too large stays back as a whole. */
static void a_group_stays_back_whole(void **state)
{
    const char *schema = "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b, c);";
    const char *rows = "INSERT INTO t VALUES('x',1,2,3);";
    check_rules_capture(schema, GROUPED, rows, "UPDATE t SET c=zeroblob(9000000), b=20;",
                        "t update 'x' b=20\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_travel_as_their_sum),
        cmocka_unit_test(every_statement_form_is_a_delta),
        cmocka_unit_test(a_delete_carries_the_delta_before_it),
        cmocka_unit_test(null_counts_zero),
        cmocka_unit_test(what_is_no_integer_travels_as_itself),
        cmocka_unit_test(a_trigger_that_runs_ahead_loses_nothing),
        cmocka_unit_test(a_cut_log_adds_up),
        cmocka_unit_test(old_totals_are_known),
        cmocka_unit_test(only_sums_cost_a_log_row),
        cmocka_unit_test(a_total_is_remembered_beside_a_value_too_large),
        cmocka_unit_test(a_group_travels_whole),
        cmocka_unit_test(a_group_stays_back_whole),
    };
    return check_run(tests);
}
