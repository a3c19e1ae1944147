/* What is too much for one transaction is done in slices: with the sweeps, an application between
 * two of them. */
#include "node/apply/apply.h"
#include "node/capture/capture.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

static const char schema[] =
    "CREATE TABLE house(id TEXT PRIMARY KEY NOT NULL, village TEXT);"
    "CREATE TABLE visit(id TEXT PRIMARY KEY NOT NULL, house TEXT REFERENCES house(id));";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
    "{\"name\":\"house\",\"columns\":[]},{\"name\":\"visit\",\"columns\":[]}]}";
static const char tables[] = "house visit";

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, false);
}

static void notice(struct office *o, const char *ddl)
{
    office_sql(o, ddl);
    assert_committed(o->store, store_capture_install(o->store));
}

static int sweeps(struct office *o)
{
    bool more = true;
    int n = 0;
    for (; more; n++)
        assert_committed(o->store, store_sweep(o->store, &o->arena, 500, &more));
    return n;
}

static void rest_equal(void **state)
{
    for (int o = 0; o < 3; o++)
        (void)sweeps(OFFICE(o));
    federation_sync(*state);
    federation_assert_equal(*state, tables);
}

/* What a cut log left alone is decided with the last seal as far as it is not too much; the sweeps
 * do the rest. */
static void what_was_left_alone_is_decided_in_slices(void **state)
{
    static const char noted[] = "SELECT count(*) FROM tonle_again";
    bool more = true;
    office_sql(B, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 700)"
                  " INSERT INTO visit(id) SELECT printf('v%03d', i) FROM n");
    assert_true(office_seal(B));
    office_sql(B, "INSERT INTO tonle_again(t, k, stands) SELECT t, k, substr(hex(k), -1) > '4'"
                  " FROM tonle_row WHERE t = (SELECT t FROM tonle_table WHERE name = 'visit');"
                  "INSERT INTO visit(id) VALUES('last')");
    assert_true(office_seal(B));
    assert_string_equal(office_one(B, noted), "200");
    assert_committed(B->store, store_sweep(B->store, &B->arena, 150, &more));
    assert_string_equal(office_one(B, noted), "50");
    rest_equal(state);
    assert_string_equal(office_one(B, noted), "0");
}

/* A table is back, and many rows that came meanwhile refer to nobody. */
static void children_of_a_table_that_is_back(void **state)
{
    static const char held[] = "SELECT count(*) FROM tonle_held";
    notice(B, "ALTER TABLE house RENAME TO house_away");
    office_sql(A, "INSERT INTO house(id) VALUES('h1');"
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1200)"
                  " INSERT INTO visit(id,house) SELECT printf('v%04d', i), 'none' FROM n");
    federation_sync(*state);
    notice(B, "ALTER TABLE house_away RENAME TO house");
    assert_in_range(sweeps(B), 3, 10);
    assert_string_equal(office_one(B, held), "1200");
    rest_equal(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(what_was_left_alone_is_decided_in_slices),
        FEDERATION_TEST(children_of_a_table_that_is_back),
    };
    return check_run(tests);
}
