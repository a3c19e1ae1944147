/* The first load of rows with sums, groups and decisions of any kind, while others write them. */
#include "node/load/load.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE account(id TEXT PRIMARY KEY NOT NULL, fees INTEGER, lo INTEGER, hi INTEGER,"
    " CHECK(lo <= hi));";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":[{\"name\":\"account\",\"delete\":"
    "\"delete-wins\",\"columns\":[{\"name\":\"fees\",\"policy\":\"sum\"}],\"groups\":["
    "{\"name\":\"span\",\"columns\":[\"hi\",\"lo\"],\"policy\":\"max\"}]}]}";
static const char *const order[] = {"tonle_node", "tonle_site", "tonle_charter", "tonle_decision",
                                    "account"};

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, true);
}

#define NEW B

static void sync_two(void **state)
{
    FEDERATION->n = 2;
    federation_sync(*state);
    FEDERATION->n = 3;
}

static void load_table(void **state, const char *table, bool write)
{
    struct arena a = {0};
    struct load_request request = {.table = table, .max_rows = 2};
    struct load_chunk chunk = {0};
    while (!chunk.end) {
        assert_ok(store_chunk_read(HUB->store, &a, &request, NEW->name, &chunk));
        assert_ok(store_load_chunk(NEW->store, &a, &chunk));
        request.after = chunk.last_key;
        if (write) { /* rows loaded already and rows that are not */
            office_sql(A, "UPDATE account SET fees = fees + 1; UPDATE account SET hi = hi + 1");
            sync_two(state);
        }
    }
    arena_fini(&a);
}

static struct load_report load(void **state, enum load_mode mode, bool write)
{
    struct load_report report;
    uint64_t pos = store_state_get(HUB->store)->journal_pos;
    assert_ok(store_begin(NEW->store));
    assert_ok(store_load_begin(NEW->store, mode));
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        load_table(state, order[i], write && i == 4);
    assert_ok(store_load_end(NEW->store, &NEW->arena, &report));
    assert_ok(store_peer_received(NEW->store, "hub", pos));
    assert_ok(store_commit(NEW->store));
    return report;
}

static void rest_equal(void **state)
{
    struct table_digest *d[3];
    uint32_t n;
    federation_sync(*state);
    federation_assert_equal(*state, "account");
    for (int i = 0; i < 3; i++) {
        assert_ok(store_digest(OFFICE(i)->store, &HUB->arena, &d[i], &n));
        assert_memory_equal(d[i][n - 1].digest, d[0][n - 1].digest, sizeof d[0]->digest);
    }
}

/* Deltas that come while the rows are loaded are in each total once; totals beyond 64 bits, groups
 * in conflict and deletes that won come with their records. */
static void sums_and_groups_are_loaded_exactly(void **state)
{
    office_sql(A, "INSERT INTO account VALUES('a',10,1,9),('b',9223372036854775000,1,9),"
                  "('c',5,1,9),('d',NULL,1,9),('e',7,1,9)");
    sync_two(state);
    office_sql(A, "UPDATE account SET fees = fees + 600 WHERE id = 'b'; UPDATE account SET hi = 5"
                  " WHERE id = 'c'; DELETE FROM account WHERE id = 'e'");
    office_sql(HUB, "UPDATE account SET fees = fees + 600 WHERE id = 'b'; UPDATE account SET lo = 6"
                    " WHERE id = 'c'; UPDATE account SET hi = 20 WHERE id = 'e'");
    sync_two(state);
    assert_string_equal(office_one(HUB, "SELECT key || reason FROM tonle_held"), "\"b\"check");
    load(state, LOAD_EMPTY, true);
    rest_equal(state);
    assert_string_equal(office_one(NEW, "SELECT a.fees - c.fees FROM account a, account c WHERE"
                                        " a.id = 'a' AND c.id = 'c'"),
                        "5");
    assert_string_equal(office_one(NEW, "SELECT count(*) FROM tonle_held"), "1");
    assert_string_equal(
        office_one(NEW, "SELECT group_concat(cell || policy || state) FROM (SELECT * FROM"
                        " tonle_conflict WHERE state = 'open' ORDER BY cell)"),
        office_one(HUB, "SELECT group_concat(cell || policy || state) FROM (SELECT * FROM"
                        " tonle_conflict WHERE state = 'open' ORDER BY cell)"));
    office_sql(NEW, "UPDATE account SET fees = fees + 100 WHERE id = 'a'");
    rest_equal(state);
}

/* Adopting compares a group as a whole: never one office's bound beside the other's. */
static void a_group_is_adopted_whole(void **state)
{
    office_sql(A, "INSERT INTO account VALUES('a',1,1,9),('b',1,1,9)");
    sync_two(state);
    office_sql(NEW, "INSERT INTO account VALUES('a',1,2,3),('b',1,8,12)");
    assert_int_equal(load(state, LOAD_ADOPT, false).adopted_conflicts, 2);
    rest_equal(state);
    assert_string_equal(office_one(HUB, "SELECT group_concat(id || lo || ' ' || hi) FROM account"),
                        "a1 9,b8 12");
    assert_string_equal(office_one(NEW, "SELECT group_concat(cell || state) FROM tonle_conflict"),
                        "spanauto,spanauto");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(sums_and_groups_are_loaded_exactly),
        FEDERATION_TEST(a_group_is_adopted_whole),
    };
    return check_run(tests);
}
