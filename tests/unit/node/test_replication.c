/* Three offices in a row - hub, province, district - with real databases, under virtual time. */
#include "node/state/state.h"
#include "protocol/limits.h"
#include "tests/unit/node/fixture.h"

#include <stdio.h>
#include <string.h>

/* A write of the district stands at the hub, and one of the hub at the district, through the
 * province. */
static void writes_travel_up_and_down(void **state)
{
    struct net *t = *state;
    net_sql(t, DISTRICT, "INSERT INTO resident VALUES('r1','Sok','012')");
    assert_true(net_until(t, HUB, "SELECT name FROM resident", "Sok", 2000));
    net_sql(t, HUB, "UPDATE resident SET phone='099'");
    assert_true(net_until(t, DISTRICT, "SELECT phone FROM resident", "099", 2000));
    assert_string_equal(net_text(PROVINCE, "SELECT name||phone FROM resident"), "Sok099");
    assert_true(net_settle(t, 5000));
}

/* What is written while the line is cut arrives when it returns; nobody waits for anybody
 * meanwhile. */
static void a_cut_line_loses_nothing(void **state)
{
    struct net *t = *state;
    net_cut(t, PROVINCE);
    net_sql(t, DISTRICT, "INSERT INTO resident VALUES('d','below','1')");
    net_sql(t, HUB, "INSERT INTO resident VALUES('h','above','1')");
    assert_true(net_until(t, PROVINCE, "SELECT count(*) FROM resident", "1", 2000));
    net_run(t, 600000);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM resident"), "1");
    net_mend(t, PROVINCE);
    assert_true(net_settle(t, 60000));
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM resident"), "2");
    assert_string_equal(net_text(DISTRICT, "SELECT count(*) FROM resident"), "2");
}

/* A node whose process dies and comes back goes on where its last commit stood. */
static void a_crash_loses_nothing(void **state)
{
    struct net *t = *state;
    net_sql(t, DISTRICT, "INSERT INTO resident VALUES('r1','Sok','1')");
    net_crash(t, DISTRICT);
    net_sql(t, DISTRICT, "INSERT INTO resident VALUES('r2','Dara','1')");
    net_sql(t, HUB, "INSERT INTO resident VALUES('r3','Bopha','1')");
    assert_true(net_until(t, PROVINCE, "SELECT count(*) FROM resident", "1", 5000));
    net_boot(t, DISTRICT);
    assert_true(net_settle(t, 30000));
    net_crash(t, PROVINCE);
    net_boot(t, PROVINCE);
    assert_true(net_settle(t, 30000));
    assert_string_equal(
        net_text(HUB, "SELECT group_concat(id) FROM (SELECT id FROM resident ORDER BY 1)"),
        "r1,r2,r3");
    assert_string_equal(net_text(DISTRICT, "SELECT count(*) FROM resident"), "3");
}

/* Every item twice: applied once, and the line stays as it is. */
static void items_delivered_twice_are_applied_once(void **state)
{
    struct net *t = *state;
    uint64_t hellos = DISTRICT->sent_hellos;
    t->double_from = 1;
    for (int i = 0; i < 20; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "INSERT INTO note VALUES('n%d','x')", i);
        net_sql(t, PROVINCE, sql);
        net_run(t, 30);
    }
    assert_true(net_settle(t, 10000));
    assert_string_equal(net_text(DISTRICT, "SELECT count(*) FROM note"), "20");
    assert_int_equal(hellos, DISTRICT->sent_hellos);
}

/* A lost item is noticed by the next one, and a new hello brings both. */
static void a_lost_item_is_sent_again(void **state)
{
    struct net *t = *state;
    uint64_t refusals = DISTRICT->sent_refusals;
    t->lose_from = 1;
    t->lose = 1;
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('lost','x')");
    net_run(t, 200);
    assert_string_equal(net_text(DISTRICT, "SELECT count(*) FROM note"), "0");
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('next','x')");
    assert_true(net_settle(t, 10000));
    assert_string_equal(net_text(DISTRICT, "SELECT count(*) FROM note"), "2");
    assert_int_equal(DISTRICT->sent_refusals, refusals + 1);
    assert_non_null(strstr(DISTRICT->log, "items were lost on the way"));
}

/* A receiver that cannot write is sent no more than its credit, acknowledges nothing, and gets the
 * rest when it can. */
static void credit_bounds_what_a_slow_receiver_holds(void **state)
{
    struct net *t = *state;
    uint64_t acks = DISTRICT->sent_acks, bytes = PROVINCE->sent_down_bytes;
    sqlite3_exec(DISTRICT->app, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (int i = 0; i < 16; i++) {
        char sql[200];
        snprintf(sql, sizeof sql, "INSERT INTO note VALUES('n%d',hex(randomblob(700000)))", i);
        net_sql(t, PROVINCE, sql);
        net_run(t, 120);
    }
    net_run(t, 2000);
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "16", 5000));
    assert_in_range(PROVINCE->sent_down_bytes - bytes, CREDIT_BYTES / 2, CREDIT_BYTES);
    assert_int_equal(DISTRICT->sent_acks, acks);
    assert_non_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "\"synced\":false"));
    sqlite3_exec(DISTRICT->app, "COMMIT", NULL, NULL, NULL);
    assert_true(net_settle(t, 30000));
    assert_string_equal(net_text(DISTRICT, "SELECT count(*) FROM note"), "16");
}

/* What does not pass by itself is told, and is not when it has passed. */
static void who_keeps_the_database_locked_is_told(void **state)
{
    static const char code[] = "\"code\":\"locked\"";
    struct net *t = *state;
    sqlite3_exec(DISTRICT->app, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    net_sql(t, HUB, "INSERT INTO note VALUES('n','x')");
    net_run(t, 5000);
    assert_null(strstr(net_ask(t, DISTRICT, "{\"do\":\"status\"}"), code));
    net_run(t, 8000);
    assert_non_null(strstr(net_ask(t, DISTRICT, "{\"do\":\"status\"}"), code));
    sqlite3_exec(DISTRICT->app, "COMMIT", NULL, NULL, NULL);
    assert_true(net_settle(t, 20000));
    assert_null(strstr(net_ask(t, DISTRICT, "{\"do\":\"status\"}"), code));
}

/* With a rollback journal each look and each transaction of ours may refuse an application that
 * has no timeout: one that writes often is left alone until it is quiet, two seconds at most. */
static void who_writes_often_is_left_alone(void **state)
{
    struct net *t = *state;
    net_halt(t, DISTRICT);
    net_sql(t, DISTRICT, "PRAGMA journal_mode=DELETE");
    net_boot(t, DISTRICT);
    net_run(t, 3000);
    uint64_t seq = store_state_get(DISTRICT->store)->seq;
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('n','x')");
    net_run(t, 100);
    assert_int_equal(store_state_get(DISTRICT->store)->seq, seq + 1); /* it seldom writes */
    for (int i = 0; i < 80; i++) {
        net_sql(t, DISTRICT, "UPDATE note SET text = text || 'x'");
        net_run(t, 20);
    }
    assert_int_equal(store_state_get(DISTRICT->store)->seq, seq + 1);
    net_run(t, 400);
    assert_int_equal(store_state_get(DISTRICT->store)->seq, seq + 2);
    for (int i = 0; i < 250; i++) {
        net_sql(t, DISTRICT, "UPDATE note SET text = text || 'x'");
        net_run(t, 20);
    }
    assert_in_range(store_state_get(DISTRICT->store)->seq, seq + 4, seq + 5);
    assert_true(net_settle(t, 20000));
}

/* It changes to WAL while it is waited for; a backlog does not wait, so the node learns of that
 * then, and nothing that comes later waits any more. */
static void nobody_is_waited_for_in_wal_mode(void **state)
{
    struct net *t = *state;
    net_halt(t, DISTRICT);
    net_sql(t, DISTRICT, "PRAGMA journal_mode=DELETE");
    net_boot(t, DISTRICT);
    net_run(t, 3000);
    for (int i = 0; i < 3; i++) {
        net_sql(t, DISTRICT, "INSERT INTO note VALUES(hex(randomblob(8)),'x')");
        net_run(t, 20);
    }
    net_sql(t, DISTRICT, "PRAGMA journal_mode=WAL");
    net_sql(t, HUB, "INSERT INTO note VALUES('large',hex(randomblob(200000)))");
    assert_true(net_until(t, DISTRICT, "SELECT count(*) FROM note WHERE id = 'large'", "1", 200));
    net_run(t, 1000);
    net_sql(t, HUB, "INSERT INTO note VALUES('later','x')");
    assert_true(net_until(t, DISTRICT, "SELECT count(*) FROM note WHERE id = 'later'", "1", 500));
}

/* While the application holds the database nothing is acknowledged, and the sender keeps it. */
static void a_busy_database_never_acknowledges(void **state)
{
    struct net *t = *state;
    uint64_t acks = DISTRICT->sent_acks;
    sqlite3_exec(DISTRICT->app, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    net_sql(t, HUB, "INSERT INTO note VALUES('n','x')");
    uint64_t steps = DISTRICT->steps;
    net_run(t, 3000);
    assert_int_equal(DISTRICT->sent_acks, acks);
    assert_in_range(DISTRICT->steps - steps, 10, 450); /* some hundred in the first second */
    assert_non_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "\"pending_out\":1"));
    sqlite3_exec(DISTRICT->app, "COMMIT", NULL, NULL, NULL);
    assert_true(net_until(t, DISTRICT, "SELECT count(*) FROM note", "1", 1000));
    assert_true(DISTRICT->sent_acks > acks);
}

/* Writes close together become one changeset; under continuous writing one is sealed every 100 ms.
 */
static void writes_are_batched_but_never_held_back(void **state)
{
    struct net *t = *state;
    uint64_t seq = store_state_get(DISTRICT->store)->seq;
    for (int i = 0; i < 100; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "INSERT INTO note VALUES('n%d','x')", i);
        net_sql(t, DISTRICT, sql);
        net_run(t, 5);
    }
    net_run(t, 200);
    assert_in_range(store_state_get(DISTRICT->store)->seq - seq, 4, 8);
    assert_true(net_settle(t, 10000));
}

/* A log over the limit of one changeset is cut, and all of it arrives. */
static void a_long_log_is_cut(void **state)
{
    struct net *t = *state;
    uint64_t seq = store_state_get(DISTRICT->store)->seq;
    net_sql(t, DISTRICT,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 12000)"
            " INSERT INTO note SELECT 'n'||i, 'x' FROM n");
    net_sql(t, HUB, "INSERT INTO note VALUES('hub','x')");
    assert_true(net_settle(t, 30000));
    assert_int_equal(store_state_get(DISTRICT->store)->seq - seq, 3);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note"), "12001");
    assert_string_equal(net_text(DISTRICT, "SELECT count(*) FROM note"), "12001");
}

/* A clean stop seals what was captured; it is sent after the next start. */
static void a_clean_stop_seals(void **state)
{
    struct net *t = *state;
    uint64_t seq = store_state_get(DISTRICT->store)->seq;
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('n','x')");
    net_halt(t, DISTRICT);
    assert_int_equal(DISTRICT->outside_seq, seq + 1);
    net_boot(t, DISTRICT);
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "1", 10000));
}

/* An office whose wall clock is an hour off stamps with the federation's time once it has been
 * told. */
static void federation_time_comes_from_the_parent(void **state)
{
    struct net *t = *state;
    net_halt(t, DISTRICT);
    DISTRICT->clock_error_ms = 3600000;
    net_boot(t, DISTRICT);
    assert_true(net_settle(t, 20000));
    net_sql(t, DISTRICT, "INSERT INTO note VALUES('n','from the district')");
    assert_true(net_settle(t, 20000));
    net_sql(t, HUB, "UPDATE note SET text = 'later'");
    assert_true(net_settle(t, 20000));
    assert_string_equal(net_text(DISTRICT, "SELECT text FROM note"), "later");
    uint64_t hlc_ms = store_state_get(HUB->store)->hlc >> 16;
    assert_true(hlc_ms < 1700000000000ULL + t->now_ms + 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_THREE(writes_travel_up_and_down),
        TEST_OF_THREE(a_cut_line_loses_nothing),
        TEST_OF_THREE(a_crash_loses_nothing),
        TEST_OF_THREE(items_delivered_twice_are_applied_once),
        TEST_OF_THREE(a_lost_item_is_sent_again),
        TEST_OF_THREE(credit_bounds_what_a_slow_receiver_holds),
        TEST_OF_THREE(who_keeps_the_database_locked_is_told),
        TEST_OF_THREE(who_writes_often_is_left_alone),
        TEST_OF_THREE(nobody_is_waited_for_in_wal_mode),
        TEST_OF_THREE(a_busy_database_never_acknowledges),
        TEST_OF_THREE(writes_are_batched_but_never_held_back),
        TEST_OF_THREE(a_long_log_is_cut),
        TEST_OF_THREE(a_clean_stop_seals),
        TEST_OF_THREE(federation_time_comes_from_the_parent),
    };
    return check_run(tests);
}
