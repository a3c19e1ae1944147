/* Orders of delivery and shapes of tables that the plain tests do not meet. */
#include "node/capture/capture.h"
#include "node/journal/journal.h"
#include "node/store/store.h"
#include "protocol/seal.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE org(id TEXT PRIMARY KEY NOT NULL, code TEXT COLLATE NOCASE UNIQUE, name TEXT);"
    "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, org TEXT REFERENCES org(code), ident TEXT "
    "UNIQUE,"
    " mail TEXT UNIQUE, lo INTEGER, hi INTEGER, points INTEGER, CHECK(lo <= hi));"
    "CREATE TABLE stamp(id TEXT PRIMARY KEY NOT NULL, org_id INTEGER REFERENCES org(id));"
    "CREATE TABLE tag(name TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, note TEXT) WITHOUT ROWID;";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":[{\"name\":\"org\",\"columns\":[]},"
    "{\"name\":\"person\",\"columns\":[{\"name\":\"points\",\"policy\":\"max\"}]},"
    "{\"name\":\"stamp\",\"columns\":[]},{\"name\":\"tag\",\"columns\":[]}]}";
static const char tables[] = "org person stamp tag";

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, false);
}

static void equal(void **state)
{
    federation_sync(*state);
    federation_assert_equal(*state, tables);
}

/* An application that changes a referenced column that is no key leaves orphans: they are held at
 * its own office as everywhere else, and come back with the value. */
static void a_referenced_column_changed_here_holds_the_children(void **state)
{
    office_sql(
        A, "INSERT INTO org VALUES('o1','c1','x'); INSERT INTO person(id,org) VALUES('p1','c1')");
    equal(state);
    office_sql(A, "UPDATE org SET code='c2' WHERE id='o1'");
    equal(state);
    assert_string_equal(office_one(A, "SELECT count(*) FROM person"), "0");
    assert_string_equal(office_one(A, "SELECT reason FROM tonle_held"), "parent");
    office_sql(A, "UPDATE org SET code='c1' WHERE id='o1'");
    equal(state);
    assert_string_equal(office_one(A, "SELECT count(*) FROM person"), "1");
    office_sql(A, "UPDATE org SET code='c3' WHERE id='o1'; DELETE FROM org");
    equal(state);
    assert_string_equal(office_one(A, "SELECT count(*) FROM person"), "0");
}

/* A reference is compared by the parent column's collation, also when a held child comes back. */
static void a_child_comes_back_in_another_case(void **state)
{
    office_sql(A, "INSERT INTO person(id,org) VALUES('p1','C1')");
    equal(state);
    assert_string_equal(office_one(B, "SELECT reason FROM tonle_held"), "parent");
    office_sql(B, "INSERT INTO org VALUES('o1','c1','x')");
    equal(state);
    assert_string_equal(office_one(B, "SELECT count(*) FROM person"), "1");
}

/* ... and of another type, as the parent column's affinity has it. */
static void a_child_comes_back_in_another_type(void **state)
{
    office_sql(A, "INSERT INTO stamp VALUES('s1',12),('s2',13)");
    equal(state);
    office_sql(B, "INSERT INTO org VALUES('12','c1','x')");
    equal(state);
    assert_string_equal(office_one(B, "SELECT group_concat(id) FROM stamp"), "s1");
}

/* Office B's application ignores CHECKs: what it writes stands there, and is held elsewhere. */
static void equal_but_b(void **state)
{
    federation_sync(*state);
    FEDERATION->n = 2;
    federation_assert_equal(*state, tables);
    FEDERATION->n = 3;
}

/* A row that frees a unique value by the same write that makes it fail a CHECK leaves it to whom it
 * was given in that changeset. */
static void a_row_that_fails_a_check_frees_its_old_values(void **state)
{
    office_sql(A, "INSERT INTO person(id,ident,lo,hi) VALUES('p1','X',1,9)");
    equal(state);
    office_sql(B, "PRAGMA ignore_check_constraints=ON;"
                  "UPDATE person SET lo=5, hi=3, ident='Y' WHERE id='p1';"
                  "INSERT INTO person(id,ident) VALUES('p2','X')");
    equal_but_b(state);
    assert_string_equal(office_one(A, "SELECT group_concat(reason) FROM tonle_held"), "check");
    assert_string_equal(office_one(A, "SELECT group_concat(id||ident) FROM person"), "p2X");
}

/* The same, with a row that was already held behind it. */
static void who_waited_comes_in_when_a_check_fails(void **state)
{
    office_sql(A, "INSERT INTO person(id,ident,lo,hi) VALUES('p1','X',1,9)");
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO person(id,ident) VALUES('p2','X')");
    equal(state);
    assert_string_equal(office_one(HUB, "SELECT key||reason FROM tonle_held"), "\"p2\"unique");
    office_sql(B, "PRAGMA ignore_check_constraints=ON;"
                  "UPDATE person SET lo=5, hi=3, ident='Y' WHERE id='p1'");
    equal_but_b(state);
    assert_string_equal(office_one(HUB, "SELECT group_concat(key||reason) FROM tonle_held"),
                        "\"p1\"check");
    assert_string_equal(office_one(HUB, "SELECT group_concat(id||ident) FROM person"), "p2X");
}

/* Keys that only their collation holds to be equal are two identities: one stands, the other is
 * held. */
static void keys_of_another_case_are_two_rows(void **state)
{
    office_sql(A, "INSERT INTO tag VALUES('a','from A')");
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO tag VALUES('A','from B')");
    equal(state);
    assert_string_equal(office_one(B, "SELECT name||note FROM tag"), "afrom A");
    assert_string_equal(office_one(A, "SELECT key||reason FROM tonle_held"), "\"A\"unique");
    office_sql(HUB, "UPDATE tag SET note='hub'");
    equal(state);
    assert_string_equal(office_one(B, "SELECT name||note FROM tag"), "ahub");
    office_sql(HUB, "DELETE FROM tag");
    equal(state);
    assert_string_equal(office_one(B, "SELECT name||note FROM tag"), "Afrom B");
    office_sql(A, "UPDATE tag SET name='a'");
    equal(state);
    assert_string_equal(office_one(B, "SELECT name||note FROM tag"), "afrom B");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "0");
}

/* An open conflict is the same one at offices that forget the birth's name before and after a
 * write. */
static void a_forgotten_name_does_not_change_a_conflict(void **state)
{
    struct clock c = {0};
    office_sql(A, "INSERT INTO person(id,points) VALUES('p1',1)");
    equal(state);
    office_sql(A, "UPDATE person SET points=2");
    office_sql(B, "UPDATE person SET points=3");
    equal(state);
    clock_copy(&c, &store_state_get(HUB->store)->clock);
    office_pass_stable(HUB, &c, 10);
    office_pass_stable(A, &c, 10);
    office_sql(B, "UPDATE person SET mail='m'");
    assert_true(office_seal(B));
    office_pass_stable(B, &c, 10);
    equal(state);
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_conflict WHERE state='open'"),
                        "1");
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_conflict"), "1");
    office_sql(A, "UPDATE person SET points=9");
    equal(state);
    assert_string_equal(office_one(B, "SELECT state FROM tonle_conflict"), "resolved");
    clock_fini(&c);
}

/* The rank of a dead row is kept while the row that took its unique value stands: it may come back.
 */
static void a_dead_row_keeps_its_rank(void **state)
{
    struct clock c = {0};
    A->now_ms += 50000;
    office_sql(A, "INSERT INTO person(id,ident) VALUES('p1','X')");
    assert_true(office_seal(A));
    office_pull(HUB, A);
    clock_copy(&c, &store_state_get(HUB->store)->clock);
    office_sql(HUB, "DELETE FROM person WHERE id='p1'");
    assert_true(office_seal(HUB));
    office_sql(A, "UPDATE person SET points=1 WHERE id='p1'");
    assert_true(office_seal(A));
    office_sql(B, "INSERT INTO person(id,ident) VALUES('p2','X')"); /* earlier by its clock */
    assert_true(office_seal(B));
    office_pull(HUB, B);
    office_pass_stable(HUB, &c, 10);
    equal(state);
    assert_string_equal(office_one(A, "SELECT group_concat(id) FROM person"), "p2");
    clock_fini(&c);
}

static uint64_t meta_number(struct store *s, const char *key)
{
    uint64_t v;
    assert_ok(store_meta_u64(s, key, 0, &v));
    return v;
}

/* A transaction that SQLite has rolled back by itself (an I/O error, a full disk) takes nothing
 * more: no statement of ours may commit alone. */
static void nothing_is_written_behind_a_lost_transaction(void **state)
{
    assert_ok(store_begin(A->store));
    assert_ok(store_meta_set_u64(A->store, "one", 1));
    assert_int_equal(sqlite3_exec(A->store->db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_not_equal(store_meta_set_u64(A->store, "two", 2), ERR_OK);
    assert_int_not_equal(store_commit(A->store), ERR_OK);
    assert_ok(store_begin(A->store));
    assert_int_equal(meta_number(A->store, "two"), 0);
    assert_ok(store_meta_set_u64(A->store, "three", 3));
    assert_ok(store_commit(A->store));
    assert_int_equal(meta_number(A->store, "three"), 3);
}

static int count_down(void *left)
{
    int *n = left;
    return --*n == 0; /* once: the rollback is let through */
}

/* Applies A's changeset `seq` at B; SQLite is interrupted after so many times 10 instructions (0:
 * never). */
static enum err take_interrupted(void **state, uint64_t seq, int after)
{
    struct item item;
    struct changeset cs;
    uint8_t hash[HASH_BYTES];
    struct apply_report report;
    assert_ok(store_journal_find(A->store, &B->arena, (struct dot){A->site, seq}, &item));
    assert_ok(seal_open(&B->arena, item.bytes.p, item.bytes.len, A->key, &cs, hash));
    struct apply_input in = {.cs = &cs,
                             .bytes = item.bytes,
                             .hash = hash,
                             .source = A->name,
                             .link_pos = item.pos,
                             .now_ms = B->now_ms};
    assert_ok(store_begin(B->store));
    if (after)
        sqlite3_progress_handler(B->store->db, 10, count_down, &after);
    enum err e = store_apply(B->store, &B->arena, &in, &report);
    sqlite3_progress_handler(B->store->db, 0, NULL, NULL);
    if (e == ERR_OK)
        assert_ok(store_commit(B->store));
    else
        store_rollback(B->store);
    arena_reset(&B->arena);
    return e;
}

static const char *content(struct office *o)
{
    return office_one(
        o, "SELECT (SELECT count(*) FROM tonle_row) || '-' || (SELECT count(*) FROM tonle_claim)"
           " || '-' || (SELECT count(*) FROM tonle_held) || '-' || (SELECT count(*) FROM "
           "tonle_journal)"
           " || '-' || (SELECT coalesce(group_concat(id || coalesce(ident, '')), '') FROM person)"
           " || '-' || (SELECT group_concat(seq) FROM tonle_clock)"
           " || (SELECT count(*) FROM tonle_conflict)");
}

/* An error at any point of an apply leaves the office as it was, and the next attempt does
 * everything. */
static void an_error_anywhere_leaves_nothing(void **state)
{
    office_sql(A, "INSERT INTO org VALUES('o1','c1','x'); INSERT INTO person(id,org,ident,points)"
                  " VALUES('p1','c1','X',1),('p2',NULL,'Y',1),('p3',NULL,'Z',1)");
    equal(state);
    office_sql(B, "INSERT INTO person(id,ident) VALUES('p5','V'); UPDATE person SET points=5;"
                  "INSERT INTO stamp VALUES('s1',7)");
    office_seal(B);
    office_sql(A,
               "INSERT INTO person(id,ident,mail) VALUES('p4','V','m'); UPDATE person SET points=7;"
               "UPDATE person SET ident=NULL; UPDATE person SET ident='Y' WHERE id='p1';"
               "UPDATE person SET ident='X' WHERE id='p2'; DELETE FROM org; DELETE FROM person "
               "WHERE id='p3';"
               "INSERT INTO org VALUES('7','c7','z')");
    assert_true(office_seal(A));
    uint64_t seq = store_state_get(A->store)->seq;
    char before[4096];
    snprintf(before, sizeof before, "%s", content(B));
    int failed = 0;
    for (int n = 1; take_interrupted(state, seq, n) != ERR_OK; n += 1 + n / 20, failed++)
        assert_string_equal(content(B), before);
    assert_true(failed > 40);
    assert_string_not_equal(content(B), before);
    equal(state);
}

/* A transaction that cannot read its state is not begun: the next attempt finds none open. */
static void a_begin_that_fails_leaves_no_transaction(void **state)
{
    enum err e = ERR_IO;
    int failed = -1;
    for (int n = 1; e != ERR_OK; n++, failed++) {
        int left = n;
        sqlite3_progress_handler(A->store->db, 1, count_down, &left);
        e = store_begin(A->store);
        sqlite3_progress_handler(A->store->db, 0, NULL, NULL);
        assert_true(e == ERR_OK || sqlite3_get_autocommit(A->store->db));
    }
    assert_true(failed > 5);
    assert_ok(store_commit(A->store));
}

/* A full disk is an error, and nobody's row is held for it. */
static void a_full_disk_holds_no_row(void **state)
{
    struct apply_report report;
    char sql[64];
    office_sql(A, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000)"
                  " INSERT INTO person(id,ident) SELECT 'p'||i, hex(zeroblob(40))||i FROM n");
    assert_true(office_seal(A));
    snprintf(sql, sizeof sql, "PRAGMA max_page_count=%s",
             office_one(B, "SELECT page_count+20 FROM pragma_page_count"));
    assert_int_equal(sqlite3_exec(B->store->db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_err(office_take(B, A, (struct dot){A->site, 1}, &report), ERR_FULL);
    assert_string_equal(office_one(B, "SELECT count(*) FROM person"), "0");
    assert_int_equal(clock_get(&store_state_get(B->store)->clock, A->site), 0);
    assert_int_equal(sqlite3_exec(B->store->db, "PRAGMA max_page_count=100000", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_ok(office_take(B, A, (struct dot){A->site, 1}, &report));
    assert_string_equal(office_one(B, "SELECT count(*) FROM person"), "2000");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "0");
    equal(state);
}

/* Makes office B's person table anew with a column of its own. */
static void local_column(struct office *o, const char *column)
{
    char sql[600];
    snprintf(sql, sizeof sql,
             "DROP TABLE person; CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL,"
             " org TEXT REFERENCES org(code), ident TEXT UNIQUE, mail TEXT UNIQUE, lo INTEGER, hi "
             "INTEGER,"
             " points INTEGER, %s, CHECK(lo <= hi))",
             column);
    office_sql(o, sql);
    assert_committed(o->store, store_capture_install(o->store));
}

/* A column that is only here and may not be NULL holds rows here alone: 'local', not 'check'. */
static void a_local_column_without_default_holds_locally(void **state)
{
    local_column(B, "desk TEXT NOT NULL");
    office_sql(A, "INSERT INTO person(id,ident) VALUES('p1','X')");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT reason FROM tonle_held"), "local");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM person"), "1");
}

/* What an office keeps in a column of its own survives a hold, and goes to no other row of that
 * key. */
static void local_columns_survive_a_hold(void **state)
{
    local_column(B, "desk TEXT NOT NULL DEFAULT 'none'");
    office_sql(
        A, "INSERT INTO org VALUES('o1','c1','x'); INSERT INTO person(id,org) VALUES('p1','c1')");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT desk FROM person"), "none");
    office_sql(B, "UPDATE person SET desk='7' WHERE id='p1'");
    office_sql(A, "DELETE FROM org");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT reason FROM tonle_held"), "parent");
    office_sql(HUB, "INSERT INTO org VALUES('o2','c1','y')");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT org||desk FROM person"), "c17");
    office_sql(A, "DELETE FROM person");
    federation_sync(*state);
    office_sql(A, "INSERT INTO person(id,org) VALUES('p1','c1')");
    federation_sync(*state);
    assert_string_equal(office_one(B, "SELECT org||desk FROM person"), "c1none");
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_held"), "0");
    struct clock c = {0};
    clock_copy(&c, &store_state_get(HUB->store)->clock);
    office_pass_stable(B, &c, 10);
    assert_string_equal(office_one(B, "SELECT count(*) FROM tonle_local"), "0");
    clock_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_referenced_column_changed_here_holds_the_children),
        FEDERATION_TEST(a_child_comes_back_in_another_case),
        FEDERATION_TEST(a_child_comes_back_in_another_type),
        FEDERATION_TEST(a_row_that_fails_a_check_frees_its_old_values),
        FEDERATION_TEST(who_waited_comes_in_when_a_check_fails),
        FEDERATION_TEST(keys_of_another_case_are_two_rows),
        FEDERATION_TEST(a_forgotten_name_does_not_change_a_conflict),
        FEDERATION_TEST(a_dead_row_keeps_its_rank),
        FEDERATION_TEST(nothing_is_written_behind_a_lost_transaction),
        FEDERATION_TEST(an_error_anywhere_leaves_nothing),
        FEDERATION_TEST(a_begin_that_fails_leaves_no_transaction),
        FEDERATION_TEST(a_full_disk_holds_no_row),
        FEDERATION_TEST(a_local_column_without_default_holds_locally),
        FEDERATION_TEST(local_columns_survive_a_hold),
    };
    return check_run(tests);
}
