/* Equal births and the first load: a newcomer tells the same births for twins as everybody who was
 * there, of those that it loads, of those that come while it loads, and of its own. */
#include "node/load/load.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] = "CREATE TABLE region(code TEXT PRIMARY KEY NOT NULL, name TEXT);";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"any\",\"tables\":["
    "{\"name\":\"region\",\"columns\":[]}]}";
static const char *const order[] = {"tonle_node", "tonle_site", "tonle_charter", "tonle_decision",
                                    "region"};

static int start(void **state)
{
    return federation_set_up(state, 4, schema, charter, true);
}

#define NEW OFFICE(3)
#define OTHERS 3
#define SEED "INSERT INTO region VALUES('c1','one')"
#define ROWS "SELECT ifnull(group_concat(code || name), '') FROM (SELECT * FROM region ORDER BY 1)"
#define RECORDS                                                                                    \
    "SELECT ifnull(group_concat(hex(k) || hex(rec)), '') FROM (SELECT * FROM tonle_row"            \
    " ORDER BY t, k)"

static void sync_others(void **state)
{
    int n = FEDERATION->n;
    FEDERATION->n = OTHERS;
    federation_sync(*state);
    FEDERATION->n = n;
}

static void sealed(struct office *o, const char *sql)
{
    o->now_ms += 1000;
    office_sql(o, sql);
    assert_true(office_seal(o));
}

/* What happens at the others after each chunk of a table of the federation's. */
typedef void meanwhile(void **state, int chunk);

static void load(void **state, enum load_mode mode, meanwhile *between)
{
    struct arena a = {0};
    struct load_report report;
    int chunks = 0;
    uint64_t pos = store_state_get(HUB->store)->journal_pos;
    assert_ok(store_begin(NEW->store));
    assert_ok(store_load_begin(NEW->store, mode));
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        struct load_request request = {.table = order[i], .max_rows = 1};
        struct load_chunk chunk = {0};
        while (!chunk.end) {
            assert_ok(store_chunk_read(HUB->store, &a, &request, NEW->name, &chunk));
            assert_store_ok(NEW->store, store_load_chunk(NEW->store, &a, &chunk));
            request.after = chunk.last_key;
            if (between && strcmp(order[i], "region") == 0)
                between(state, chunks++);
        }
    }
    assert_ok(store_load_end(NEW->store, &a, &report));
    assert_ok(store_peer_received(NEW->store, "hub", pos));
    assert_ok(store_commit(NEW->store));
    arena_fini(&a);
}

/* Everybody shows this, nobody holds anything, nothing is open. */
static void assert_one_row(void **state, const char *rows)
{
    federation_sync(*state);
    federation_assert_equal(*state, "region");
    assert_everywhere(ROWS, rows);
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
    assert_everywhere("SELECT count(*) FROM tonle_conflict WHERE state = 'open'", "0");
}

static void a_newcomer_enters_what_others_enter(void **state)
{
    load(state, LOAD_EMPTY, NULL);
    sealed(A, SEED);
    sealed(NEW, SEED);
    sealed(B, SEED);
    assert_one_row(state, "c1one");
    sealed(NEW, "DELETE FROM region");
    assert_one_row(state, "");
}

/* The hash, what changes have named, and what its writer had seen come with the record. */
static void a_load_tells_twins_apart_as_before(void **state)
{
    sealed(A, SEED);
    sealed(B, SEED ";INSERT INTO region VALUES('c2','two'),('c3','three')");
    sealed(HUB, "INSERT INTO region VALUES('c2','two'),('c3','three')");
    sealed(B, "UPDATE region SET name = 'zwei' WHERE code = 'c2'");
    sync_others(state);
    sealed(A, "DELETE FROM region WHERE code = 'c3'");
    sealed(A, "INSERT INTO region VALUES('c3','three')"); /* it has seen those, and is none */
    sync_others(state);
    load(state, LOAD_EMPTY, NULL);
    assert_string_equal(office_one(NEW, RECORDS), office_one(HUB, RECORDS));
    assert_one_row(state, "c1one,c2zwei,c3three");
    sealed(B, "UPDATE region SET name = 'eins' WHERE code = 'c1'");
    sealed(NEW, "DELETE FROM region WHERE code = 'c2'");
    assert_one_row(state, "c1eins,c3three");
    federation_pass_mark(FEDERATION, FEDERATION->n, NULL);
    assert_one_row(state, "c1eins,c3three");
    assert_everywhere("SELECT count(*) FROM tonle_row", "0");
}

/* Loaded a second time, over what it has itself. */
static void a_second_load_replaces_what_was_on_record(void **state)
{
    sealed(A, SEED);
    sealed(B, SEED);
    sync_others(state);
    load(state, LOAD_EMPTY, NULL);
    sealed(A, "UPDATE region SET name = 'eins'");
    sealed(B, "INSERT INTO region VALUES('c2','two')");
    sealed(HUB, "INSERT INTO region VALUES('c2','two')");
    sync_others(state);
    load(state, LOAD_REPLACE, NULL);
    assert_string_equal(office_one(NEW, RECORDS), office_one(HUB, RECORDS));
    assert_one_row(state, "c1eins,c2two");
    sealed(NEW, "DELETE FROM region");
    assert_one_row(state, "");
    federation_pass_mark(FEDERATION, FEDERATION->n, NULL);
    assert_everywhere("SELECT count(*) FROM tonle_row", "0");
}

static void all_enter(void **state, int chunk)
{
    static const char *const row[] = {"c0','zero", "c2','two", "c4','four"};
    char sql[80];
    if (chunk >= 3)
        return;
    snprintf(sql, sizeof sql, "INSERT INTO region VALUES('%s')", row[chunk]);
    sealed(A, sql);
    sealed(B, sql);
    sync_others(state);
}

/* Twins that a chunk has, that the stream brings, and one of each; and the newcomer's own, entered
 * before it has caught up. */
static void twins_come_while_a_load_goes_on(void **state)
{
    sealed(A, "INSERT INTO region VALUES('c1','one'),('c3','three')");
    sealed(B, "INSERT INTO region VALUES('c1','one'),('c3','three')");
    sync_others(state);
    load(state, LOAD_EMPTY, all_enter);
    assert_true(store_state_get(NEW->store)->loading);
    sealed(NEW, "DELETE FROM region WHERE code = 'c0'");
    sealed(NEW, "INSERT INTO region VALUES('c5','five')");
    sealed(A, "INSERT INTO region VALUES('c5','five')");
    assert_one_row(state, "c1one,c2two,c3three,c4four,c5five");
    assert_false(store_state_get(NEW->store)->loading);
    sealed(NEW, "DELETE FROM region WHERE code IN ('c2', 'c5')");
    assert_one_row(state, "c1one,c3three,c4four");
    federation_pass_mark(FEDERATION, FEDERATION->n, NULL);
    assert_one_row(state, "c1one,c3three,c4four");
    assert_everywhere("SELECT count(*) FROM tonle_row", "0");
}

/* What the newcomer had itself: equal to what it loads it is no birth, and else one as any. */
static void what_is_adopted_is_born_as_any(void **state)
{
    sealed(A, SEED);
    sealed(B, SEED);
    sync_others(state);
    office_sql(NEW, SEED ";INSERT INTO region VALUES('c2','two')");
    load(state, LOAD_ADOPT, NULL);
    sealed(A, "INSERT INTO region VALUES('c2','two')");
    assert_one_row(state, "c1one,c2two");
    assert_everywhere("SELECT group_concat(births) FROM (SELECT births FROM tonle_row ORDER BY k)",
                      "2,2");
    sealed(NEW, "DELETE FROM region");
    assert_one_row(state, "");
}

/* A newcomer whose parent had made them one already. */
static void what_was_one_is_loaded_as_one(void **state)
{
    sealed(A, SEED);
    sealed(B, SEED);
    sync_others(state);
    federation_pass_mark(FEDERATION, OTHERS, NULL);
    load(state, LOAD_EMPTY, NULL);
    assert_string_equal(office_one(NEW, "SELECT count(*) FROM tonle_row"), "0");
    sealed(NEW, "UPDATE region SET name = 'neu'");
    assert_one_row(state, "c1neu");
    sealed(B, "DELETE FROM region");
    assert_one_row(state, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_newcomer_enters_what_others_enter),
        FEDERATION_TEST(a_load_tells_twins_apart_as_before),
        FEDERATION_TEST(a_second_load_replaces_what_was_on_record),
        FEDERATION_TEST(twins_come_while_a_load_goes_on),
        FEDERATION_TEST(what_is_adopted_is_born_as_any),
        FEDERATION_TEST(what_was_one_is_loaded_as_one),
    };
    return check_run(tests);
}
