/* An office joins (node/core/join.h): what it leaves behind when it is interrupted anywhere, and
 * how each thing that can be in its way ends. */
#include "tests/unit/node/fixture.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TONLE_TABLES "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle%'"

/* A hub with a province and some rows; an invitation for kampot below the hub. */
static int start(void **state)
{
    if (net_set_up_two(state))
        return -1;
    struct net *t = *state;
    net_sql(t, HUB,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 250)"
            " INSERT INTO note SELECT 'n'||i, 'x' FROM n");
    net_invite(t, "kampot", "07", "hub", 0);
    return net_settle(t, 10000) ? 0 : -1;
}

static enum join_outcome outcome_of(struct net *t, struct net_office *o, enum load_mode mode)
{
    net_join_begin(t, o, mode);
    return net_join_end(t, o, 120000);
}

static const char *text_of(struct net_office *o)
{
    return node_join_report(o->node)->text;
}

/* Nothing of Tonle is in the database, and the office's own rows are. */
static void assert_as_it_was(struct net_office *o, const char *rows)
{
    assert_string_equal(net_text(o, TONLE_TABLES), "0");
    assert_string_equal(net_text(o, "SELECT group_concat(id || text) FROM note"), rows);
}

/* Joined: it runs, and is equal to the hub. */
static void assert_works(struct net *t, struct net_office *o)
{
    net_join_over(o);
    net_boot(t, o);
    assert_true(net_settle(t, 20000));
    assert_string_equal(net_text(o, "SELECT count(*) FROM note"),
                        net_text(HUB, "SELECT count(*) FROM note"));
}

/* Killed after the first, the second, ... of what it asks of its driver until none is left: the
 * database is as it was each time, and the last time, with the same keys and an invitation that was
 * used long ago, it has joined. */
static void a_join_that_is_killed_anywhere_leaves_the_database_as_it_was(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    bool done = false;
    int killed = 0;
    net_sql(t, o, "INSERT INTO note VALUES('n1','mine'), ('own','mine')");
    while (!done) {
        int answers = 0;
        net_join_begin(t, o, LOAD_ADOPT);
        while (!o->ended && answers <= killed) {
            net_run(t, 1);
            answers += o->done_due;
        }
        done = o->ended;
        if (done)
            break;
        net_crash(t, o);
        assert_as_it_was(o, "n1mine,ownmine");
        killed++;
    }
    assert_int_equal(node_join_report(o->node)->outcome, JOIN_DONE);
    assert_int_equal(node_join_report(o->node)->loaded.adopted_new, 1);
    assert_true(killed > 12); /* chunks fetched, looked at, loaded; settled */
    assert_works(t, o);
}

/* Stopped between two chunks of the load: rolled back. */
static void a_stop_rolls_the_load_back(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    net_join_begin(t, o, LOAD_EMPTY);
    while (!o->recalled.p || node_join_report(o->node)->rows == 0)
        net_run(t, 1);
    net_event(t, o, EVENT_STOP);
    assert_int_equal(node_join_report(o->node)->outcome, JOIN_STOPPED);
    net_join_over(o);
    assert_string_equal(net_text(o, TONLE_TABLES), "0");
}

/* Stopped when its driver has written what belongs to the database: it is committed, as the
 * driver's answer is due. */
static void a_stop_while_it_is_settled_comes_too_late(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    net_join_begin(t, o, LOAD_EMPTY);
    while (!o->ended && (o->actions.n == 0 || o->actions.a[0].kind != ACTION_SETTLE))
        net_run(t, 1);
    assert_true(o->done_due);
    net_event(t, o, EVENT_STOP);
    assert_int_equal(net_join_end(t, o, 1000), JOIN_DONE);
    assert_works(t, o);
}

/* What the driver cannot keep, or cannot write before the commit, ends the join without a trace. */
static void a_driver_that_fails_ends_it(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    o->keep_error = ERR_FULL;
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_FETCH_FAILED);
    assert_err(node_join_report(o->node)->error, ERR_FULL);
    net_join_over(o);
    o->keep_error = ERR_OK;
    o->settle_error = ERR_IO;
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_NOT_SETTLED);
    net_join_over(o);
    assert_string_equal(net_text(o, TONLE_TABLES), "0");
    o->settle_error = ERR_OK;
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_DONE);
    assert_works(t, o);
}

/* Rows of its own need a decision, before any table of the federation is fetched. */
static void rows_that_are_here_need_a_mode(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    net_sql(t, o, "INSERT INTO note VALUES('n1','mine'), ('own','mine')");
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_ROWS_HERE);
    const struct join_report *r = node_join_report(o->node);
    assert_int_equal(r->n_present, 1);
    assert_string_equal(r->present[0].table, "note");
    assert_int_equal(r->present[0].rows, 2);
    /* nodes, sites, the charter, the hub's signature: no table of the federation */
    assert_int_equal(r->rows, 3 + 3 + 1 + 1);
    net_join_over(o);
    assert_as_it_was(o, "n1mine,ownmine");
}

/* Replace keeps the old file first; a database without rows needs neither copy nor mode. */
static void replace_keeps_a_copy(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub"), copy = {0};
    assert_int_equal(outcome_of(t, o, LOAD_REPLACE), JOIN_DONE);
    assert_null(node_join_report(o->node)->copy);
    assert_int_equal(node_join_report(o->node)->mode, LOAD_EMPTY);
    net_join_over(o);
    net_invite(t, "takeo", "21", "hub", 0);
    o = net_add(t, "takeo", "hub");
    net_sql(t, o, "INSERT INTO note VALUES('own','mine')");
    assert_int_equal(outcome_of(t, o, LOAD_REPLACE), JOIN_DONE);
    const char *path = node_join_report(o->node)->copy;
    assert_non_null(strstr(path, ".before-join-2023111"));
    assert_int_equal(sqlite3_open_v2(path, &copy.app, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_as_it_was(&copy, "ownmine");
    sqlite3_close(copy.app);
    unlink(path);
    assert_works(t, o);
    assert_string_equal(net_text(o, "SELECT count(*) FROM note WHERE id = 'own'"), "0");
}

/* Each refusal has its own name, and none is tried until the time is over. */
static void refusals_are_told_apart(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub"), *stranger = net_add(t, "nobody", "hub");
    uint64_t began = t->now_ms;
    assert_int_equal(outcome_of(t, stranger, LOAD_EMPTY), JOIN_KEY_REFUSED);
    net_join_over(stranger);
    net_invitation(t, o);
    o->invitation.federation = "ffffffffffffffffffffffffffffffff";
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_HUB_REFUSES);
    assert_non_null(strstr(text_of(o), "another federation"));
    net_join_over(o);
    net_invitation(t, o);
    o->invitation.hub_sign_key[0] ^= 1;
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_OTHER_HUB);
    net_join_over(o);
    net_invitation(t, o); /* enrolled by now, with the keys of the directory */
    struct net_office *thief = net_add(t, "kampot", "hub");
    thief->keys = keypair_of("thief");
    assert_int_equal(outcome_of(t, thief, LOAD_EMPTY), JOIN_KEY_REFUSED); /* it is used up */
    net_join_over(thief);
    assert_in_range(t->now_ms - began, 0, 15000);
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_DONE);
    assert_works(t, o);
}

/* A parent that is not there is tried for 30 s; one that cannot ask the hub as long. */
static void the_parent_is_tried_for_so_long(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    o->cut = true;
    uint64_t began = t->now_ms;
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_NOT_REACHED);
    assert_in_range(t->now_ms - began, JOIN_REACH_MS, JOIN_REACH_MS + 100);
    net_join_over(o);
    net_invite(t, "d1", "1201", "province", 0);
    assert_true(net_settle(t, 10000));
    net_cut(t, PROVINCE);
    o = net_add(t, "d1", "province");
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_NOT_ANSWERED);
    net_join_over(o);
    net_mend(t, PROVINCE);
    assert_true(net_settle(t, 30000));
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_DONE);
    assert_works(t, o);
}

static void fetch_some(struct net *t, struct net_office *o)
{
    net_join_begin(t, o, LOAD_EMPTY);
    while (strcmp(node_join_report(o->node)->table, "note") != 0)
        net_run(t, 1);
}

/* While it fetches, a line that was down for a moment and an answer that was lost cost time and
 * nothing else. */
static void a_fetch_goes_on_over_a_new_line(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    fetch_some(t, o);
    net_cut(t, o);
    net_run(t, 10000);
    net_mend(t, o);
    HUB->silent = true;
    net_run(t, 1000);
    HUB->silent = false;
    assert_int_equal(net_join_end(t, o, 20000), JOIN_DONE);
    assert_works(t, o);
}

/* One that stays down ends it after 30 s, with the table it was at. */
static void a_line_that_stays_down_ends_the_fetch(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    fetch_some(t, o);
    uint64_t began = t->now_ms;
    net_cut(t, o);
    assert_int_equal(net_join_end(t, o, 60000), JOIN_FETCH_FAILED);
    assert_in_range(t->now_ms - began, JOIN_REACH_MS - 1000, JOIN_REACH_MS + 100);
    const struct join_report *r = node_join_report(o->node);
    assert_err(r->error, ERR_BUSY);
    assert_string_equal(r->table, "note");
    net_join_over(o);
    assert_string_equal(net_text(o, TONLE_TABLES), "0");
    net_mend(t, o);
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_DONE);
    assert_works(t, o);
}

/* What is written while it fetches comes behind the load, also to rows that an early chunk held. */
static void what_is_written_meanwhile_is_not_lost(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    fetch_some(t, o);
    while (node_join_report(o->node)->table_rows == 0)
        net_run(t, 1);
    net_sql(t, HUB, "UPDATE note SET text = 'new' WHERE id = 'n1'");
    net_run(t, 200);
    assert_int_equal(net_join_end(t, o, 60000), JOIN_DONE);
    assert_works(t, o);
    assert_string_equal(net_text(o, "SELECT text FROM note WHERE id = 'n1'"), "new");
}

/* An invitation whose time is over is no hindrance for who has been enrolled with it, and does not
 * let anything else pass: another hub's registry, or one that names another key for this office. */
static void a_join_is_repeated_after_the_invitation(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    fetch_some(t, o);
    net_crash(t, o);
    t->now_ms += 2 * 3600000; /* the time of the invitation is over */
    assert_true(net_settle(t, 10000));
    o->invitation.hub_sign_key[0] ^= 1;
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_OTHER_REGISTRY);
    net_join_over(o);
    o->invitation.hub_sign_key[0] ^= 1;
    o->keys.sign_key[0] ^= 1;
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_OTHER_KEYS);
    net_join_over(o);
    o->keys.sign_key[0] ^= 1;
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_DONE);
    assert_works(t, o);
}

static void say(struct net *t, struct net_office *o, const struct message *m)
{
    struct buf b = {0};
    struct route from_parent = {0};
    if (m)
        codec_encode(m, NULL, &b);
    else
        buf_printf(&b, "no message");
    net_post(t, (int)(o - t->office), &from_parent, "", b.data, b.len);
    buf_fini(&b);
    net_run(t, 1);
}

/* Before the first chunk it is not known yet who answers: it is asked again. */
static void nonsense_before_the_first_chunk_ends_nothing(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    net_join_begin(t, o, LOAD_EMPTY);
    while (o->invited || o->dialled < 0)
        net_run(t, 1);
    assert_int_equal(o->kept.len, 0);
    HUB->silent = true;
    say(t, o, NULL);
    say(t, o, &(struct message){.type = MESSAGE_LOAD_CHUNK, .u.load_chunk.table = "other"});
    HUB->silent = false;
    assert_int_equal(net_join_end(t, o, 30000), JOIN_DONE);
    assert_works(t, o);
}

/* The number of its last request. */
static uint64_t request_of(const struct net_office *o)
{
    struct arena a = {0};
    struct message m = {0};
    struct bytes body, signature;
    for (size_t i = 0; i < o->actions.n; i++) {
        const struct action *act = &o->actions.a[i];
        if (act->kind == ACTION_SEND)
            assert_ok(codec_decode(&a, act->bytes.p, act->bytes.len, &m, &body, &signature));
    }
    assert_int_equal(m.type, MESSAGE_LOAD_REQUEST);
    arena_fini(&a);
    return m.u.load_request.request;
}

static void say_chunk_to(struct net *t, struct net_office *o, const char *last_key)
{
    struct message m = {.type = MESSAGE_LOAD_CHUNK};
    m.u.load_chunk = (struct load_chunk){.request = request_of(o),
                                         .table = "note",
                                         .last_key = {(const uint8_t *)last_key, strlen(last_key)}};
    say(t, o, &m);
}

/* A parent that does not go on in the table would be asked for ever. */
static void each_chunk_is_further_than_the_last(void **state)
{
    static const struct {
        const char *first, *second;
        bool further;
    } cases[] = {
        {"k", "k", false},
        {"k", "j", true},
        {"k", "\xff", true},
        {"\xff\x02", "k", false},
        {"\xff", "\xff", false},
        {"\xff\x02", "\xff\x01", false},
        {"\xff\x01", "\xff\x02", true},
    };
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fetch_some(t, o);
        HUB->silent = true;
        say_chunk_to(t, o, cases[i].first);
        assert_false(o->ended);
        say_chunk_to(t, o, cases[i].second);
        assert_int_equal(o->ended, !cases[i].further);
        if (o->ended)
            assert_err(node_join_report(o->node)->error, ERR_MALFORMED);
        net_crash(t, o);
        HUB->silent = false;
    }
}

/* An application that holds the lock: nothing was changed, and it is temporary. */
static void a_locked_database_is_temporary(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    net_sql(t, o, "BEGIN IMMEDIATE");
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_LOOK_FAILED);
    assert_err(node_join_report(o->node)->error, ERR_BUSY);
    net_join_over(o);
    net_sql(t, o, "COMMIT");
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_DONE);
    assert_works(t, o);
}

/* A trigger of the office's own that ends the whole transaction keeps its rows out alone. */
static void a_trigger_that_rolls_back_ends_no_join(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    net_sql(t, HUB, "INSERT INTO note VALUES('r1', 'x'), ('r2', 'x'), ('r3', 'x')");
    net_sql(t, o,
            "CREATE TRIGGER no BEFORE INSERT ON note WHEN new.id IN ('r1', 'r3')"
            " BEGIN SELECT RAISE(ROLLBACK, 'never'); END");
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_DONE);
    net_join_over(o);
    assert_string_equal(
        net_text(o, "SELECT group_concat(key || reason || message) FROM tonle_held"),
        "\"r1\"localnever,\"r3\"localnever");
    assert_string_equal(net_text(o, "SELECT id FROM note WHERE id LIKE 'r%'"), "r2");
    net_sql(t, o, "DROP TRIGGER no");
    net_boot(t, o);
    net_run(t, 20000);
    assert_string_equal(net_text(o, "SELECT count(*) FROM note"),
                        net_text(HUB, "SELECT count(*) FROM note"));
}

/* But a join that would begin again for each of very many ends, and says why. */
static void a_trigger_that_rolls_every_row_back_ends_it(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_add(t, "kampot", "hub");
    net_sql(t, HUB,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 200)"
            " INSERT INTO note SELECT 'r' || i, 'x' FROM n");
    net_sql(t, o,
            "CREATE TRIGGER no BEFORE INSERT ON note BEGIN SELECT RAISE(ROLLBACK, 'never'); END");
    assert_int_equal(outcome_of(t, o, LOAD_EMPTY), JOIN_LOAD_FAILED);
    assert_non_null(strstr(text_of(o), "never"));
    net_join_over(o);
    assert_string_equal(net_text(o, TONLE_TABLES), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(a_join_that_is_killed_anywhere_leaves_the_database_as_it_was),
        NET_TEST(a_stop_rolls_the_load_back),
        NET_TEST(a_stop_while_it_is_settled_comes_too_late),
        NET_TEST(a_driver_that_fails_ends_it),
        NET_TEST(rows_that_are_here_need_a_mode),
        NET_TEST(replace_keeps_a_copy),
        NET_TEST(refusals_are_told_apart),
        NET_TEST(the_parent_is_tried_for_so_long),
        NET_TEST(a_fetch_goes_on_over_a_new_line),
        NET_TEST(a_line_that_stays_down_ends_the_fetch),
        NET_TEST(what_is_written_meanwhile_is_not_lost),
        NET_TEST(a_join_is_repeated_after_the_invitation),
        NET_TEST(nonsense_before_the_first_chunk_ends_nothing),
        NET_TEST(each_chunk_is_further_than_the_last),
        NET_TEST(a_locked_database_is_temporary),
        NET_TEST(a_trigger_that_rolls_back_ends_no_join),
        NET_TEST(a_trigger_that_rolls_every_row_back_ends_it),
    };
    return check_run(tests);
}
