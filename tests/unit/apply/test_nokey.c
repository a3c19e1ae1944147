/* A row without a key, or with one too long, stands at its office alone, is told there, and its
 * loss of the key deletes nothing anywhere. */
#include "node/apply/apply.h"
#include "node/capture/capture.h"
#include "node/load/load.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <string.h>

/* A charter that was published before such tables were refused. */
static const char schema[] =
    "CREATE TABLE t(id TEXT PRIMARY KEY, v TEXT, n INTEGER, u TEXT UNIQUE);"
    "CREATE TABLE p(a TEXT, b TEXT, v TEXT, PRIMARY KEY(a, b));";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"t\",\"columns\":[{\"name\":\"n\",\"policy\":\"sum\"}]},"
                              "{\"name\":\"p\",\"columns\":[]}]}";

static int start(void **state)
{
    federation_set_up(state, 3, schema, charter, false);
    office_sql(HUB, "INSERT INTO t VALUES('seen','by all',1,NULL);"
                    "INSERT INTO p VALUES('a','b','by all')");
    federation_sync(*state);
    return 0;
}

static const char held[] = "SELECT ifnull(group_concat(table_name || key || reason, ' '), '-') FROM"
                           " (SELECT * FROM tonle_held ORDER BY table_name, reason, key)";
static const char rows[] =
    "SELECT group_concat(ifnull(id, '-') || v || n, ' ') FROM (SELECT * FROM t ORDER BY id, v)";

static void digests_are_equal(void **state)
{
    struct arena a = {0};
    struct table_digest *one, *other;
    uint32_t n, m;
    federation_sync(*state);
    for (int i = 1; i < 3; i++) {
        assert_ok(store_digest(HUB->store, &a, &one, &n));
        assert_ok(store_digest(OFFICE(i)->store, &a, &other, &m));
        assert_int_equal(n, m);
        for (uint32_t k = 0; k < n; k++) {
            if (strncmp(one[k].table, "tonle", 5) == 0)
                continue;
            assert_memory_equal(one[k].digest, other[k].digest, sizeof one[k].digest);
            assert_int_equal(one[k].rows, other[k].rows);
        }
    }
    arena_fini(&a);
}

/* New rows without a key: told, one entry a key, as long as they stand; sent when they have one. */
static void a_new_row_without_a_key_is_told(void **state)
{
    office_sql(A, "INSERT INTO t VALUES(NULL,'one',0,NULL),(NULL,'two',0,NULL);"
                  "INSERT INTO p VALUES('a',NULL,'x')");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "p[\"a\",null]limit tnulllimit");
    assert_non_null(strstr(office_one(A, "SELECT message FROM tonle_held WHERE table_name = 't'"),
                           "id is of the key and NULL: 2 rows"));
    assert_string_equal(office_one(HUB, held), "-");
    assert_string_equal(office_one(HUB, rows), "seenby all1");
    office_sql(A, "UPDATE t SET id = 'k1' WHERE v = 'one'; UPDATE p SET b = 'c' WHERE v = 'x'");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "tnulllimit");
    assert_string_equal(office_one(B, rows), "k1one0 seenby all1");
    office_sql(A, "DELETE FROM t WHERE id IS NULL");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "-");
}

/* Who evicts it, or fills the table before the triggers stand, is not missed either. */
static void what_stands_already_is_told(void **state)
{
    office_sql(A, "DROP TRIGGER tonle_ins_6; INSERT INTO t VALUES(NULL,'one',0,'u')");
    assert_committed(A->store, store_capture_install(A->store));
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "tnulllimit");
    office_sql(A, "REPLACE INTO t VALUES('k','two',0,'u')");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "-");
    assert_string_equal(office_one(HUB, rows), "ktwo0 seenby all1");
}

/* The row that lost its key here stands at the others, with what was changed before, and is told
 * here; nothing is lost of what the others write to it. */
static void losing_the_key_deletes_nothing(void **state)
{
    office_sql(A, "UPDATE t SET v = 'new', n = n + 1; UPDATE t SET id = NULL");
    digests_are_equal(state);
    assert_string_equal(office_one(HUB, rows), "seennew2");
    assert_string_equal(office_one(B, rows), "seennew2");
    assert_string_equal(office_one(A, rows), "-new2");
    assert_string_equal(office_one(A, held), "tnulllimit t\"seen\"local");
    office_sql(A, "UPDATE p SET b = NULL");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "p[\"a\",null]limit p[\"a\",\"b\"]local tnulllimit"
                                             " t\"seen\"local");
    assert_string_equal(office_one(B, "SELECT v FROM p WHERE b = 'b'"), "by all");
}

/* With its key again it is the same row: what differs is one change. */
static void with_its_key_again_it_is_the_same_row(void **state)
{
    office_sql(A, "UPDATE t SET id = NULL");
    digests_are_equal(state);
    office_sql(A, "UPDATE t SET v = 'mine', n = 5");
    office_sql(A, "UPDATE t SET id = 'seen'");
    office_sql(B, "UPDATE t SET n = n + 10");
    digests_are_equal(state);
    assert_string_equal(office_one(HUB, rows), "seenmine15");
    assert_string_equal(office_one(A, rows), "seenmine15");
    assert_string_equal(office_one(A, held), "-");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_conflict"), "0");
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_limit"), "0");
    office_sql(A, "UPDATE t SET id = NULL"); /* and nothing else */
    digests_are_equal(state);
    office_sql(A, "UPDATE t SET id = 'seen'");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "-");
    assert_string_equal(office_one(A, rows), "seenmine15");
    office_sql(A, "UPDATE t SET v = 'later'");
    digests_are_equal(state);
    assert_string_equal(office_one(B, rows), "seenlater15");
}

/* With another key it is another row, and the one that others have comes in again. */
static void with_another_key_it_is_another_row(void **state)
{
    office_sql(A, "UPDATE t SET id = NULL");
    digests_are_equal(state);
    office_sql(A, "UPDATE t SET id = 'back' WHERE v = 'by all'");
    digests_are_equal(state);
    assert_string_equal(office_one(HUB, rows), "backby all1 seenby all1");
    assert_string_equal(office_one(A, rows), "backby all1 seenby all1");
    assert_string_equal(office_one(A, held), "-");
}

/* Who writes to it elsewhere brings it back beside the one without a key; who deletes it, deletes
 * it, and then its key is a new row's. */
static void the_others_go_on_with_it(void **state)
{
    office_sql(A, "UPDATE t SET id = NULL");
    digests_are_equal(state);
    office_sql(B, "UPDATE t SET v = 'b'");
    digests_are_equal(state);
    assert_string_equal(office_one(A, rows), "-by all1 seenb1");
    assert_string_equal(office_one(A, held), "tnulllimit");
    office_sql(A, "DELETE FROM t WHERE id IS NULL; UPDATE t SET id = NULL");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "tnulllimit t\"seen\"local");
    office_sql(B, "DELETE FROM t");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "tnulllimit");
    office_sql(A, "UPDATE t SET id = 'seen'");
    digests_are_equal(state);
    assert_string_equal(office_one(HUB, rows), "seenb1");
    assert_string_equal(office_one(A, held), "-");
}

/* A row of another office that clashes with one without a key is held, and comes in when that is
 * gone. */
static void a_clash_with_a_row_without_a_key_is_held(void **state)
{
    office_sql(A, "INSERT INTO t VALUES(NULL,'one',0,'u')");
    federation_sync(*state);
    office_sql(B, "INSERT INTO t VALUES('k','two',0,'u')");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "tnulllimit t\"k\"local");
    office_sql(A, "DELETE FROM t WHERE id IS NULL");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "-");
    assert_string_equal(office_one(A, rows), "ktwo0 seenby all1");
}

#define LONG(c) "printf('%.*c', 9000, '" c "')"
static const char short_held[] =
    "SELECT ifnull(group_concat(table_name || substr(key, 1, 6) || reason, ' '), '-') FROM"
    " (SELECT * FROM tonle_held ORDER BY table_name, reason DESC, key)";

/* The same of a key that is too long: of a text, of a blob in a text column, of columns together.
 * One that is just short enough is a key like any other. */
static void a_key_too_long_deletes_nothing(void **state)
{
    office_sql(A, "UPDATE t SET v = 'new', n = n + 1; UPDATE t SET id = " LONG("k"));
    office_sql(A, "UPDATE p SET a = printf('%.*c', 5000, 'a'), b = CAST(printf('%.*c', 5000, 'b')"
                  " AS BLOB)");
    digests_are_equal(state);
    assert_string_equal(office_one(HUB, rows), "seennew2");
    assert_string_equal(office_one(B, rows), "seennew2");
    assert_string_equal(office_one(B, "SELECT a || b || v FROM p"), "abby all");
    assert_string_equal(office_one(A, "SELECT length(id) || v || n FROM t"), "9000new2");
    assert_string_equal(office_one(A, short_held),
                        "p[\"a\",\"local p[\"aaaalimit t\"seen\"local t\"kkkkklimit");
    office_sql(A, "UPDATE p SET a = printf('%.*c', 4000, 'a'), b = printf('%.*c', 4184, 'b')");
    digests_are_equal(state);
    assert_string_equal(office_one(B, "SELECT group_concat(length(a) || v, ' ') FROM p"),
                        "1by all 4000by all");
    assert_string_equal(office_one(A, short_held), "t\"seen\"local t\"kkkkklimit");
}

static void a_key_short_again_is_the_same_row(void **state)
{
    office_sql(A, "UPDATE t SET id = " LONG("k"));
    digests_are_equal(state);
    office_sql(A, "UPDATE t SET v = 'mine', n = 5; UPDATE t SET id = 'seen'");
    office_sql(B, "UPDATE t SET n = n + 10");
    digests_are_equal(state);
    assert_string_equal(office_one(HUB, rows), "seenmine15");
    assert_string_equal(office_one(A, rows), "seenmine15");
    assert_string_equal(office_one(A, held), "-");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_conflict"), "0");
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_limit"), "0");
    office_sql(A, "UPDATE t SET id = " LONG("k"));
    digests_are_equal(state);
    office_sql(A, "DELETE FROM t"); /* the one here alone: the other is as the others have it */
    digests_are_equal(state);
    assert_string_equal(office_one(A, rows), "seenmine15");
    assert_string_equal(office_one(A, held), "-");
    office_sql(A, "DELETE FROM t"); /* and this one goes everywhere */
    digests_are_equal(state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM t"), "0");
}

/* It is where the row came to stand that counts, and whether it stands at all. */
static void a_key_that_changes_twice_deletes_nothing(void **state)
{
    office_sql(A, "UPDATE t SET id = 'between'; UPDATE t SET id = NULL;"
                  "UPDATE p SET b = 'between'; UPDATE p SET b = " LONG("b"));
    digests_are_equal(state);
    assert_string_equal(office_one(HUB, rows), "seenby all1");
    assert_string_equal(office_one(B, "SELECT b FROM p"), "b");
    office_sql(A, "UPDATE t SET id = 'seen'; UPDATE p SET b = 'b'");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "-");
    office_sql(A, "UPDATE t SET id = " LONG("k") "; UPDATE t SET id = 'short';"
                                                 "UPDATE p SET b = " LONG("b") "; DELETE FROM p");
    digests_are_equal(state);
    assert_string_equal(office_one(A, held), "-");
    assert_string_equal(office_one(B, rows), "shortby all1");
    assert_string_equal(office_one(B, "SELECT count(*) FROM p"), "0");
}

/* Nor is a row deleted elsewhere that cannot be born there under its new key; what was too large of
 * it before stays here as it did. */
static void a_row_too_large_for_its_new_key_deletes_nothing(void **state)
{
    office_sql(A, "UPDATE p SET b = 'new', v = hex(zeroblob(5000000))");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT b || v FROM p"), "bby all");
    assert_string_equal(office_one(A, held), "p[\"a\",\"new\"]limit p[\"a\",\"b\"]local");
    office_sql(A, "UPDATE p SET b = 'b'");
    federation_sync(*state);
    assert_string_equal(office_one(A, held), "p[\"a\",\"b\"]limit");
    office_sql(A, "UPDATE p SET v = 'small'");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT b || v FROM p"), "bsmall");
    assert_string_equal(office_one(A, held), "-");
    office_sql(A, "UPDATE t SET v = hex(zeroblob(5000000))");
    federation_sync(*state);
    office_sql(A, "UPDATE t SET id = NULL, n = 2");
    federation_sync(*state);
    assert_string_equal(office_one(B, rows), "seenby all1");
    office_sql(A, "UPDATE t SET id = 'seen', v = 'small'");
    federation_sync(*state);
    assert_string_equal(office_one(B, rows), "seensmall2");
    assert_string_equal(office_one(A, held), "-");
    office_sql(A, "UPDATE p SET b = 'new', v = hex(zeroblob(5000000))");
    federation_sync(*state);
    office_sql(A, "UPDATE p SET v = 'small'"); /* now it is born, and the other comes in again */
    digests_are_equal(state);
    assert_string_equal(office_one(A, "SELECT group_concat(b || v, ' ') FROM"
                                      " (SELECT * FROM p ORDER BY b)"),
                        "bsmall newsmall");
    assert_string_equal(office_one(A, held), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_new_row_without_a_key_is_told),
        FEDERATION_TEST(what_stands_already_is_told),
        FEDERATION_TEST(losing_the_key_deletes_nothing),
        FEDERATION_TEST(with_its_key_again_it_is_the_same_row),
        FEDERATION_TEST(with_another_key_it_is_another_row),
        FEDERATION_TEST(the_others_go_on_with_it),
        FEDERATION_TEST(a_clash_with_a_row_without_a_key_is_held),
        FEDERATION_TEST(a_key_too_long_deletes_nothing),
        FEDERATION_TEST(a_key_short_again_is_the_same_row),
        FEDERATION_TEST(a_key_that_changes_twice_deletes_nothing),
        FEDERATION_TEST(a_row_too_large_for_its_new_key_deletes_nothing),
    };
    return check_run(tests);
}
