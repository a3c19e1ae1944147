/* A row goes out with the parent that it was let stand for, whatever takes that one out and however
 * the log is cut that they wait in: no other office shows it. */
#include "node/capture/capture.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"

#include <string.h>

/* `boss` is of a person's key, `chief` of a value that may change. The key may be NULL: a charter
 * that was published before such tables were refused. */
static const char schema[] =
    "CREATE TABLE person(id TEXT, ident TEXT UNIQUE, boss TEXT REFERENCES person(id),"
    " chief TEXT REFERENCES person(ident), note TEXT, PRIMARY KEY(id));"
    "CREATE TABLE visit(id TEXT PRIMARY KEY NOT NULL, person TEXT REFERENCES person(id));";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
    "{\"name\":\"person\",\"columns\":[]},{\"name\":\"visit\",\"columns\":[]}]}";

/* Of what K claims nobody else may have anything, though it does not stand. */
static int start(void **state)
{
    federation_set_up(state, 3, schema, charter, false);
    office_sql(HUB, "INSERT INTO person(id) VALUES('gone')");
    federation_sync(*state);
    office_sql(HUB, "DELETE FROM person");
    office_sql(B, "INSERT INTO person(id, ident, boss) VALUES('K', '3', 'gone')");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT key || reason FROM tonle_held"), "\"K\"parent");
    return 0;
}

static void equal(void **state)
{
    federation_sync(*state);
    federation_assert_equal(*state, "person visit");
}

static const char held[] = "SELECT ifnull(group_concat(key || reason, ' '), '-') FROM"
                           " (SELECT * FROM tonle_held ORDER BY key, reason)";
static const char standing[] = "SELECT ifnull(group_concat(id, ' '), '-') FROM"
                               " (SELECT id FROM person UNION ALL SELECT id FROM visit ORDER BY 1)";

/* One row a changeset, to the end. */
static void seal_apart(struct office *o)
{
    while (office_seal_part(o, 1) || store_capture_pending(o->store))
        ;
}

/* The parent comes with a later part of the log, and its number is another's. */
static void a_parent_loses_its_number(void **state)
{
    office_sql(A, "INSERT INTO person(id, boss) VALUES('child', 'p'), ('grandchild', 'child');"
                  "INSERT INTO person(id, ident) VALUES('p', '3');"
                  "INSERT INTO person(id) VALUES('last')");
    assert_true(office_seal_part(A, 1));
    assert_string_equal(office_one(A, standing), "child grandchild last p");
    seal_apart(A);
    assert_string_equal(office_one(A, standing), "last");
    equal(state);
    assert_string_equal(office_one(HUB, held),
                        "\"K\"parent \"child\"parent \"grandchild\"parent \"p\"unique");
}

/* Or an earlier birth has its key, which is held itself. */
static void a_parent_is_the_second_birth(void **state)
{
    office_sql(A, "INSERT INTO person(id, boss) VALUES('child', 'K');"
                  "INSERT INTO person(id, note) VALUES('K', 'another')");
    seal_apart(A);
    assert_string_equal(office_one(A, standing), "-");
    equal(state);
}

/* Or lacks a parent of its own. */
static void a_parent_lacks_its_own(void **state)
{
    office_sql(A, "INSERT INTO person(id, boss) VALUES('child', 'p'), ('p', 'nobody')");
    seal_apart(A);
    assert_string_equal(office_one(A, standing), "-");
    equal(state);
}

/* The application takes it back before it is sealed, and nothing comes of it. */
static void a_parent_comes_to_nothing(void **state)
{
    office_sql(A, "INSERT INTO person(id, boss) VALUES('child', 'p');"
                  "INSERT INTO person(id) VALUES('p')");
    assert_true(office_seal_part(A, 1));
    office_sql(A, "DELETE FROM person WHERE id = 'p'");
    seal_apart(A);
    assert_string_equal(office_one(A, standing), "-");
    equal(state);
    office_sql(
        A, "INSERT INTO person(id, boss) VALUES('second', 'q'); INSERT INTO visit VALUES('v', 'q');"
           "INSERT INTO person(id) VALUES('q'), ('child')");
    assert_true(office_seal_part(A, 1));
    office_sql(A,
               "UPDATE person SET id = 'r' WHERE id = 'q'; DELETE FROM person WHERE id = 'child'");
    seal_apart(A);
    assert_string_equal(office_one(A, standing), "r");
    equal(state);
}

/* It is another's chief by then. */
static void a_parent_changes_its_value(void **state)
{
    office_sql(A, "INSERT INTO person(id, chief) VALUES('child', '1');"
                  "INSERT INTO person(id, ident) VALUES('p', '1')");
    assert_true(office_seal_part(A, 1));
    office_sql(A, "UPDATE person SET ident = '2' WHERE id = 'p'");
    seal_apart(A);
    assert_string_equal(office_one(A, standing), "p");
    equal(state);
    office_sql(A, "UPDATE person SET ident = '1' WHERE id = 'p'");
    equal(state);
    assert_string_equal(office_one(A, standing), "child p");
    /* there and back: of the parent nothing is sealed */
    office_sql(A,
               "INSERT INTO person(id, chief) VALUES('late', '4');"
               "DELETE FROM person WHERE id = 'p'; INSERT INTO person(id, ident) VALUES('p', '4')");
    assert_true(office_seal_part(A, 1));
    office_sql(A,
               "DELETE FROM person WHERE id = 'p'; INSERT INTO person(id, ident) VALUES('p', '1')");
    seal_apart(A);
    assert_string_equal(office_one(A, standing), "child p");
    equal(state);
}

/* The value is given by another, who is not sealed yet. */
static void a_value_is_handed_on(void **state)
{
    office_sql(A, "INSERT INTO person(id, ident) VALUES('p', '1');"
                  "INSERT INTO person(id, chief) VALUES('child', '1')");
    equal(state);
    office_sql(A,
               "DELETE FROM person WHERE id = 'p'; INSERT INTO person(id, ident) VALUES('q', '1')");
    assert_true(office_seal_part(A, 1));
    assert_string_equal(office_one(A, standing), "child q");
    office_sql(A, "DELETE FROM person WHERE id = 'q'");
    seal_apart(A);
    assert_string_equal(office_one(A, standing), "-");
    equal(state);
}

/* A held row comes in for it. */
static void a_child_comes_back_too_soon(void **state)
{
    office_sql(A, "INSERT INTO person(id, boss) VALUES('child', 'p')");
    equal(state);
    office_sql(A, "INSERT INTO person(id, note) VALUES('child', 'again'); INSERT INTO person(id) "
                  "VALUES('p')");
    assert_true(office_seal_part(A, 1));
    office_sql(A, "DELETE FROM person WHERE id = 'p'");
    seal_apart(A);
    equal(state);
    assert_string_equal(office_one(A, standing), "-");
}

/* Also where the log is so big that it has an index. */
static void a_parent_goes_behind_a_big_log(void **state)
{
    office_sql(A, "INSERT INTO person(id, boss) VALUES('child', 'p');"
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30100)"
                  " INSERT INTO person(id) SELECT 'n' || i FROM n;"
                  "INSERT INTO person(id) VALUES('p')");
    assert_true(office_seal_part(A, 20000));
    office_sql(A, "DELETE FROM person WHERE id = 'p'");
    assert_true(office_seal_part(A, 20000));
    assert_false(office_seal_part(A, 20000) || store_capture_pending(A->store));
    assert_string_equal(office_one(A, held), "\"K\"parent \"child\"parent");
    (void)state;
}

/* A row that is too large to be sent stands here alone, and so do its children. */
static void a_parent_was_too_large(void **state)
{
    office_sql(A, "INSERT INTO person(id, note) VALUES('p', hex(zeroblob(5000000)));"
                  "INSERT INTO person(id, ident, note) VALUES('q', '5', hex(zeroblob(5000000)));"
                  "INSERT INTO person(id, boss) VALUES('child', 'p'), ('other', 'q');"
                  "INSERT INTO person(id, chief) VALUES('third', '5');"
                  "INSERT INTO visit VALUES('v', 'p')");
    federation_sync(*state);
    assert_string_equal(office_one(A, standing), "child other p q third v");
    /* it is sent, but its number is another's */
    office_sql(A, "UPDATE person SET note = NULL, ident = '3' WHERE id = 'p'");
    federation_sync(*state);
    assert_string_equal(office_one(A, standing), "other q third");
    /* it is sent with another number */
    office_sql(A, "UPDATE person SET note = NULL, ident = '6' WHERE id = 'q'");
    equal(state);
    assert_string_equal(office_one(A, standing), "other q");
}

static void a_parent_that_was_too_large_goes(void **state)
{
    office_sql(A, "INSERT INTO person(id, ident, note) VALUES('p', '5', hex(zeroblob(5000000)));"
                  "INSERT INTO person(id, boss) VALUES('child', 'p');"
                  "INSERT INTO person(id, chief) VALUES('third', '5');"
                  "INSERT INTO visit VALUES('v', 'p')");
    federation_sync(*state);
    assert_string_equal(office_one(A, standing), "child p third v");
    office_sql(A, "DELETE FROM person WHERE id = 'p'");
    equal(state);
    assert_string_equal(office_one(A, standing), "-");
}

/* A row that loses its key is held here as it was, and so are its children until it has it again.
 */
static void a_parent_loses_its_key(void **state)
{
    office_sql(A, "INSERT INTO person(id, ident) VALUES('p', '5');"
                  "INSERT INTO person(id, boss) VALUES('child', 'p'), ('grandchild', 'child');"
                  "INSERT INTO visit VALUES('v', 'p')");
    equal(state);
    office_sql(A, "UPDATE person SET id = NULL WHERE id = 'p'");
    federation_sync(*state);
    assert_string_equal(office_one(A, standing), "-");
    assert_string_equal(office_one(A, held), "\"K\"parent \"child\"parent \"grandchild\"parent "
                                             "\"p\"local \"v\"parent nulllimit");
    assert_string_equal(office_one(HUB, standing), "child grandchild p v");
    office_sql(A, "UPDATE person SET id = 'p' WHERE id IS NULL");
    equal(state);
    assert_string_equal(office_one(A, standing), "child grandchild p v");
    /* what is changed before is sealed, and brings it in for a moment */
    office_sql(A, "UPDATE person SET note = 'changed' WHERE id = 'p';"
                  "UPDATE person SET note = 'last' WHERE id = 'child';"
                  "UPDATE person SET id = NULL WHERE id = 'p'");
    seal_apart(A);
    federation_sync(*state);
    assert_string_equal(office_one(A, standing), "-");
    assert_string_equal(office_one(HUB, standing), "child grandchild p v");
    office_sql(A, "UPDATE person SET id = 'p' WHERE id IS NULL");
    equal(state);
    assert_string_equal(office_one(A, standing), "child grandchild p v");
}

struct scans { /* all children were looked for that lack a parent, whoever it is */
    struct store *s;
    int n;
};

static int count_scans(unsigned type, void *user, void *stmt, void *text)
{
    struct scans *x = user;
    for (uint32_t f = 0; f < x->s->schema->n_fks; f++)
        x->n += strcmp(sqlite3_sql(stmt), x->s->schema->fks[f].orphans_sql) == 0;
    return 0;
}

/* Who was deleted is known, and its children are found by its key. */
static void a_delete_reads_no_other_children(void **state)
{
    struct scans scans = {.s = A->store};
    office_sql(A, "INSERT INTO person(id) VALUES('p'), ('q'); INSERT INTO visit VALUES('v', 'p')");
    equal(state);
    federation_settle(*state);
    sqlite3_trace_v2(A->store->db, SQLITE_TRACE_STMT, count_scans, &scans);
    office_sql(A, "UPDATE person SET note = 'x' WHERE id = 'p'");
    office_sql(A, "DELETE FROM person WHERE id = 'q'");
    office_seal(A);
    office_sql(A, "DELETE FROM person WHERE id = 'p'");
    office_seal(A);
    sqlite3_trace_v2(A->store->db, 0, NULL, NULL);
    assert_int_equal(scans.n, 0);
    assert_string_equal(office_one(A, "SELECT count(*) FROM visit"), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_parent_loses_its_number),
        FEDERATION_TEST(a_parent_is_the_second_birth),
        FEDERATION_TEST(a_parent_lacks_its_own),
        FEDERATION_TEST(a_parent_comes_to_nothing),
        FEDERATION_TEST(a_parent_changes_its_value),
        FEDERATION_TEST(a_value_is_handed_on),
        FEDERATION_TEST(a_child_comes_back_too_soon),
        FEDERATION_TEST(a_parent_goes_behind_a_big_log),
        FEDERATION_TEST(a_parent_was_too_large),
        FEDERATION_TEST(a_parent_that_was_too_large_goes),
        FEDERATION_TEST(a_parent_loses_its_key),
        FEDERATION_TEST(a_delete_reads_no_other_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
