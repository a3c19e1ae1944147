/* What a status says is one list of reasons: green means that there is none, and whatever is not
 * well has one, with the next step (DESIGN 2.13). */
#include "node/state/state.h"
#include "tests/unit/node/fixture.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL 1700000000000ULL
#define MINUTE_MS 60000
/* 30 characters of three bytes: longer than what a message may cut by bytes */
#define LONG_NAME "ភូមិភូមិភូមិភូមិភូមិភូមិភូមិ"

static json_t *parsed(const char *text)
{
    json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    return j;
}

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* Of every status: green where no reason is listed, and only there; not synced never without one;
 * each reason complete. */
static void assert_sound(const json_t *status)
{
    const json_t *reasons = json_object_get(status, "reasons"), *r;
    size_t i;
    bool waits = true;
    json_array_foreach(reasons, i, r)
    {
        waits = waits && json_is_true(json_object_get(r, "waits"));
        if (!text_of(r, "code")[0] || !text_of(r, "subject")[0] || !text_of(r, "text")[0] ||
            !text_of(r, "next")[0])
            fail_msg("a reason without code, subject, text or next step");
    }
    const char *want = !json_is_true(json_object_get(status, "running")) ? "stopped"
                       : i == 0                                          ? "green"
                       : waits                                           ? "waiting"
                                                                         : "degraded";
    assert_string_equal(text_of(status, "state"), want);
    assert_true(i > 0 || json_is_true(json_object_get(status, "synced")));
}

/* "state code code..." */
static const char *told(json_t *status)
{
    static char text[300];
    const json_t *r;
    size_t i;
    assert_sound(status);
    snprintf(text, sizeof text, "%s", text_of(status, "state"));
    json_array_foreach(json_object_get(status, "reasons"), i, r)
    {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, " %s", text_of(r, "code"));
    }
    json_decref(status);
    return text;
}

static const char *says(struct net *t, struct net_office *o)
{
    return told(parsed(net_ask(t, o, "{\"do\":\"status\"}")));
}

static json_t *stopped(struct net_office *o, uint64_t wall_ms, uint64_t site, uint64_t seq)
{
    struct buf b = {0};
    node_status_json(&(struct status_ask){.store = o->store,
                                          .mono_ms = 1,
                                          .wall_ms = wall_ms,
                                          .outside_site = site,
                                          .outside_seq = seq},
                     &b);
    json_t *j = parsed(buf_str(&b));
    buf_fini(&b);
    return j;
}

/* The reason of that code, borrowed from the status. */
static const json_t *reason_of(const json_t *status, const char *code)
{
    const json_t *r;
    size_t i;
    json_array_foreach(json_object_get(status, "reasons"), i, r)
    {
        if (strcmp(text_of(r, "code"), code) == 0)
            return r;
    }
    fail_msg("no reason %s", code);
    return NULL;
}

/* Property: at rest nothing is listed; what is captured, or on its way, waits; a line that is down
 * is more than that; and when all is through it is green again. */
static void waiting_is_a_reason_and_passes(void **arg)
{
    struct net *t = *arg;
    assert_string_equal(says(t, PROVINCE), "green");
    assert_string_equal(says(t, HUB), "green");
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n','x')");
    assert_string_equal(says(t, PROVINCE), "waiting waiting");
    assert_true(net_settle(t, 10000));
    assert_string_equal(says(t, PROVINCE), "green");
    net_cut(t, PROVINCE);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('m','x')");
    net_sql(t, HUB, "INSERT INTO note VALUES('h','x')");
    net_run(t, 30000);
    assert_string_equal(says(t, PROVINCE), "degraded line waiting");
    assert_string_equal(says(t, HUB), "degraded line waiting");
    net_mend(t, PROVINCE);
    assert_true(net_settle(t, 30000));
    assert_string_equal(says(t, PROVINCE), "green");
    assert_string_equal(says(t, HUB), "green");
}

/* Property: what waits says since when, in the time that the status itself tells. */
static void what_waits_has_its_age(void **arg)
{
    struct net *t = *arg;
    net_cut(t, PROVINCE);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('m','x')");
    net_run(t, 120000);
    json_t *j = parsed(net_ask(t, PROVINCE, "{\"do\":\"status\"}"));
    const char *since = text_of(reason_of(j, "waiting"), "since"), *now = text_of(j, "now");
    int since_min = atoi(since + 14), now_min = atoi(now + 14); /* 2023-11-14T22:13:20Z */
    assert_int_equal((now_min - since_min + 60) % 60, 2);
    json_decref(j);
}

/* Property: a heartbeat makes nobody wait: a federation at rest is green whenever it is asked. */
static void a_quiet_federation_stays_green(void **arg)
{
    struct net *t = *arg;
    net_run(t, 200000); /* the last marks */
    for (int i = 0; i < 400; i++) {
        net_run(t, 37);
        assert_string_equal(says(t, HUB), "green");
        assert_string_equal(says(t, PROVINCE), "green");
    }
}

/* Property: rows that are held are a reason, at every office that holds them. */
static void held_rows_are_a_reason(void **arg)
{
    struct net *t = *arg;
    net_cut(t, PROVINCE);
    net_run(t, 30000);
    net_sql(t, HUB, "INSERT INTO resident VALUES('r','hub','1')");
    net_sql(t, PROVINCE, "INSERT INTO resident VALUES('r','province','2')");
    net_run(t, 1000);
    net_mend(t, PROVINCE);
    assert_true(net_settle(t, 30000));
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM tonle_held"), "1");
    assert_string_equal(says(t, HUB), "degraded held");
    assert_string_equal(says(t, PROVINCE), "degraded held");
    assert_string_equal(told(stopped(PROVINCE, WALL + t->now_ms, 0, 0)),
                        "stopped not-running held");
}

static void listen_event(struct net *t, struct net_office *o, const char *why)
{
    struct event ev = {.kind = EVENT_LISTEN,
                       .mono_ms = t->now_ms,
                       .wall_ms = WALL + t->now_ms,
                       .bytes = (const uint8_t *)why,
                       .len = strlen(why)};
    node_step(o->node, &ev, &o->actions);
}

/* Property: a port that could not be bound is a reason until it is. */
static void a_port_that_is_taken_is_a_reason(void **arg)
{
    static const char why[] = "cannot listen on tcp://127.0.0.1:7000: Address already in use";
    struct net *t = *arg;
    listen_event(t, HUB, why);
    json_t *j = parsed(net_ask(t, HUB, "{\"do\":\"status\"}"));
    assert_non_null(strstr(text_of(reason_of(j, "listen"), "text"), why));
    assert_string_equal(told(j), "degraded listen");
    listen_event(t, HUB, "");
    assert_string_equal(says(t, HUB), "green");
}

/* Property: a published table that is not here, or not with all its columns, is a reason at once,
 * before any row comes for it, and also of a node that does not run. */
static void a_table_that_does_not_fit_is_a_reason(void **arg)
{
    struct net *t = *arg;
    net_sql(t, PROVINCE, "ALTER TABLE note RENAME COLUMN text TO words");
    json_t *j = parsed(net_ask(t, PROVINCE, "{\"do\":\"status\"}"));
    assert_sound(j);
    assert_string_not_equal(text_of(j, "state"), "green");
    json_decref(j);
    net_run(t, 1000);
    assert_string_equal(says(t, PROVINCE), "degraded capture-gap");
    net_sql(t, PROVINCE, "ALTER TABLE note RENAME COLUMN words TO text");
    assert_true(net_until(t, PROVINCE, "SELECT count(*) FROM tonle_gap", "0", 60000));
    assert_true(net_settle(t, 10000));
    assert_string_equal(says(t, PROVINCE), "green");
    net_sql(t, PROVINCE, "DELETE FROM tonle_gap; DROP TABLE note");
    net_run(t, 1000);
    net_sql(t, PROVINCE, "DELETE FROM tonle_gap");
    assert_string_equal(says(t, PROVINCE), "degraded table");
    assert_string_equal(told(stopped(PROVINCE, WALL + t->now_ms, 0, 0)),
                        "stopped not-running table");
}

/* Property: a reason is told whatever its name: cutting a long one in the middle of a character
 * loses the character, not the reason. */
static void a_long_name_hides_no_reason(void **arg)
{
    struct net *t = *arg;
    net_sql(t, PROVINCE,
            "INSERT INTO tonle_gap(t, table_name, state, clock, from_ms, found_ms, changed)"
            " SELECT t, '" LONG_NAME "', 2, x'', 0, 1700000000000, 3 FROM tonle_table"
            " WHERE name = 'note'");
    assert_string_equal(says(t, PROVINCE), "degraded differs");
    listen_event(t, PROVINCE, "\xe1\x9e");
    assert_string_equal(says(t, PROVINCE), "degraded differs listen");
}

/* Property: a database that is not ours any more is a reason: exchanged while the node runs, even
 * in the moment before the node has noticed; older than the record outside it, or another one's,
 * also where the node does not run. */
static void a_database_that_is_not_ours_is_a_reason(void **arg)
{
    struct net *t = *arg;
    uint64_t seq = store_state_get(PROVINCE->store)->seq;
    assert_string_equal(told(stopped(PROVINCE, WALL + t->now_ms, PROVINCE->site, seq)),
                        "stopped not-running");
    assert_string_equal(told(stopped(PROVINCE, WALL + t->now_ms, PROVINCE->site, seq + 1)),
                        "stopped not-running database");
    assert_string_equal(told(stopped(PROVINCE, WALL + t->now_ms, PROVINCE->site + 1, seq)),
                        "stopped not-running database");
    char away[600];
    snprintf(away, sizeof away, "%s.away", PROVINCE->path);
    assert_int_equal(rename(PROVINCE->path, away), 0);
    json_t *j = parsed(net_ask(t, PROVINCE, "{\"do\":\"status\"}"));
    assert_non_null(
        strstr(text_of(reason_of(j, "database"), "text"), "moved, removed or replaced"));
    assert_string_equal(told(j), "degraded database");
    assert_int_equal(rename(away, PROVINCE->path), 0);
}

/* Property: a clock that is wrong is a reason at its own office: ahead or behind the parent's,
 * never set, or behind what has passed here already. */
static void a_wrong_clock_is_a_reason(void **arg)
{
    struct net *t = *arg;
    static const int64_t errors[] = {48 * 60 * MINUTE_MS, -10 * 365 * 24 * 60 * (int64_t)MINUTE_MS,
                                     6 * MINUTE_MS, -6 * MINUTE_MS};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        net_halt(t, PROVINCE);
        PROVINCE->clock_error_ms = errors[i];
        net_boot(t, PROVINCE);
        assert_true(net_settle(t, 30000));
        assert_string_equal(says(t, PROVINCE), "degraded clock");
    }
    net_halt(t, PROVINCE);
    PROVINCE->clock_error_ms = 4 * MINUTE_MS;
    net_boot(t, PROVINCE);
    assert_true(net_settle(t, 30000));
    assert_string_equal(says(t, PROVINCE), "green");
    /* the hub has nobody to ask: it knows what it has stamped */
    assert_string_equal(told(stopped(HUB, WALL - 10 * MINUTE_MS, 0, 0)),
                        "stopped not-running clock");
    assert_string_equal(told(stopped(HUB, 1000, 0, 0)), "stopped not-running clock");
    assert_string_equal(told(stopped(HUB, WALL + t->now_ms, 0, 0)), "stopped not-running");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(waiting_is_a_reason_and_passes),
        TEST_OF_TWO(what_waits_has_its_age),
        TEST_OF_TWO(a_quiet_federation_stays_green),
        TEST_OF_TWO(held_rows_are_a_reason),
        TEST_OF_TWO(a_port_that_is_taken_is_a_reason),
        TEST_OF_TWO(a_table_that_does_not_fit_is_a_reason),
        TEST_OF_TWO(a_long_name_hides_no_reason),
        TEST_OF_TWO(a_database_that_is_not_ours_is_a_reason),
        TEST_OF_TWO(a_wrong_clock_is_a_reason),
    };
    return check_run(tests);
}
