/* Integer keys that the applications leave to SQLite: each office is steered into blocks of its
 * own, in the transactions of its node. Blocks of 64 ids, 16 numbers. */
#include "tests/unit/node/fixture.h"

#include <stdio.h>
#include <string.h>

#define SIZE 64
#define COUNT 16

static const char schema[] = "CREATE TABLE house(id INTEGER PRIMARY KEY AUTOINCREMENT, by TEXT);"
                             "CREATE TABLE person(id INTEGER PRIMARY KEY AUTOINCREMENT, by TEXT,"
                             " house INTEGER REFERENCES house(id));"
                             "CREATE TABLE receipt(id INTEGER PRIMARY KEY AUTOINCREMENT, by TEXT);";
static const char charter[] =
    "{\"federation\":\"test\",\"key_blocks\":{\"count\":16,\"size\":64},\"tables\":["
    "{\"name\":\"House\"},{\"name\":\"person\"},{\"name\":\"receipt\",\"keys\":\"natural\"}]}";

static struct net net;

static int start(void **state)
{
    *state = &net;
    net_start_with(&net, schema, charter);
    net_grow(&net, "province", "12", "hub");
    net_grow(&net, "district", "1201", "province");
    return net_settle(&net, 20000) ? 0 : -1;
}

/* What the application does in one transaction, and what last_insert_rowid says then. */
static int64_t enter(struct net *t, struct net_office *o, int rows)
{
    char sql[300];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO house(by) SELECT '%s' FROM n",
             rows, o->name);
    net_sql(t, o, sql);
    return sqlite3_last_insert_rowid(o->app);
}

static const char *__attribute__((format(printf, 2, 3)))
ask(struct net_office *o, const char *fmt, ...)
{
    char sql[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    return net_text(o, sql);
}

/* How many rows of a table have an id that is not of the office that entered them. */
static const char *strangers(struct net_office *o, const char *table)
{
    return ask(o,
               "SELECT count(*) FROM %s t JOIN tonle_site s ON s.node = t.by"
               " WHERE (t.id - 1) / %d %% %d <> s.block",
               table, SIZE, COUNT);
}

static const char *outside(struct net_office *o)
{
    return ask(o, "SELECT coalesce(sum(outside), 0) FROM tonle_sequence");
}

static void assert_alike(struct net *t, const char *table, const char *rows)
{
    for (int i = 0; i < t->n; i++) {
        assert_string_equal(ask(&t->office[i], "SELECT count(*) FROM %s", table), rows);
        assert_string_equal(ask(&t->office[i], "SELECT count(*) FROM tonle_held"), "0");
        assert_string_equal(ask(&t->office[i], "SELECT count(*) FROM tonle_conflict"), "0");
    }
}

/* Three offices that do not hear of one another enter rows and children of them, without ids: all
 * of them stand everywhere in the end, and each child has the parent that it was given. */
static void offices_apart_give_out_different_ids(void **state)
{
    struct net *t = *state;
    net_cut(t, PROVINCE);
    net_cut(t, DISTRICT);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 3; k++) {
            struct net_office *o = &t->office[k];
            int64_t house = enter(t, o, 1);
            char sql[120];
            assert_string_equal(ask(o, "SELECT by FROM house WHERE id = %lld", (long long)house),
                                o->name);
            snprintf(sql, sizeof sql, "INSERT INTO person(by, house) VALUES('%s', %lld)", o->name,
                     (long long)house);
            net_sql(t, o, sql);
        }
        net_run(t, 50);
    }
    net_mend(t, PROVINCE);
    net_mend(t, DISTRICT);
    assert_true(net_settle(t, 60000));
    assert_alike(t, "house", "120");
    assert_alike(t, "person", "120");
    assert_string_equal(strangers(HUB, "house"), "0");
    assert_string_equal(strangers(HUB, "person"), "0");
    assert_string_equal(ask(HUB, "SELECT count(*) FROM person p JOIN house h ON h.id = p.house"
                                 " WHERE h.by = p.by"),
                        "120");
    assert_string_equal(outside(DISTRICT), "0");
}

/* An office that is alone for long goes on in its next blocks: a quarter of a block at once is
 * always there. */
static void an_office_alone_goes_on_in_its_next_blocks(void **state)
{
    struct net *t = *state;
    net_cut(t, PROVINCE);
    for (int i = 0; i < 60; i++) {
        enter(t, PROVINCE, SIZE / 4);
        net_run(t, 50);
    }
    assert_string_equal(ask(PROVINCE, "SELECT count(*) FROM house"), "960");
    assert_string_equal(strangers(PROVINCE, "house"), "0");
    assert_string_equal(outside(PROVINCE), "0");
}

/* Rows of others that are higher do not matter, whoever is told of them and when. */
static void higher_rows_of_others_move_an_office_up(void **state)
{
    struct net *t = *state;
    for (int i = 0; i < 12; i++) {
        enter(t, &t->office[i % 3], 3);
        assert_true(net_settle(t, 20000));
    }
    assert_alike(t, "house", "36");
    assert_string_equal(strangers(HUB, "house"), "0");
    assert_string_equal(outside(HUB), "0");
}

/* More rows at once than a block has run over its end: they are counted, people are told, and the
 * next one is in an own block again. */
static void a_bulk_beyond_a_block_is_counted_and_steered(void **state)
{
    struct net *t = *state;
    enter(t, PROVINCE, 3 * SIZE);
    net_run(t, 200);
    assert_string_equal(outside(PROVINCE), "128");
    assert_string_equal(ask(PROVINCE, "SELECT outside_ms > 0 FROM tonle_sequence WHERE outside"),
                        "1");
    assert_non_null(strstr(PROVINCE->log, "event=keys-outside"));
    int64_t next = enter(t, PROVINCE, 1);
    assert_string_equal(ask(PROVINCE,
                            "SELECT (%lld - 1) / %d %% %d = block FROM tonle_site"
                            " WHERE node = 'province'",
                            (long long)next, SIZE, COUNT),
                        "1");
    assert_true(net_settle(t, 20000));
    assert_string_equal(outside(PROVINCE), "128");
    assert_string_equal(outside(HUB), "0"); /* theirs to tell */
    assert_alike(t, "house", "193");
}

/* An id that the application chooses itself is its own affair, and counted. */
static void an_explicit_id_is_counted(void **state)
{
    struct net *t = *state;
    net_sql(t, DISTRICT, "INSERT INTO house(id, by) VALUES(5, 'district')");
    net_run(t, 200);
    assert_string_equal(outside(DISTRICT), "1");
    enter(t, DISTRICT, 1);
    net_run(t, 200);
    assert_string_equal(outside(DISTRICT), "1");
}

/* An application that resets the sequence, and deletes its rows, is given no number again. */
static void a_sequence_that_is_reset_gives_nothing_again(void **state)
{
    struct net *t = *state;
    int64_t last = enter(t, PROVINCE, 20);
    assert_true(net_settle(t, 20000));
    net_sql(t, PROVINCE, "DELETE FROM house; DELETE FROM sqlite_sequence WHERE name = 'house'");
    assert_true(net_settle(t, 20000));
    assert_true(enter(t, PROVINCE, 1) > last);
    net_run(t, 200);
    assert_string_equal(strangers(PROVINCE, "house"), "0");
}

/* The sequence is never set back: not by a commit that finds nothing to do, nor behind an id beyond
 * all blocks, where nobody has any. */
static void nothing_is_steered_beyond_the_last_id(void **state)
{
    struct net *t = *state;
    net_sql(t, HUB, "INSERT INTO house(id, by) VALUES(9007199254740991, 'hub')");
    assert_true(net_settle(t, 20000));
    assert_string_equal(ask(PROVINCE, "SELECT seq FROM sqlite_sequence WHERE name = 'house'"),
                        "9007199254740991");
    net_sql(t, HUB, "INSERT INTO house(by) VALUES('hub')"); /* the application goes on */
    assert_true(net_settle(t, 20000));
    assert_string_equal(ask(PROVINCE, "SELECT max(id) FROM house"), "9007199254740992");
}

/* Numbers with a meaning are left alone: each office counts for itself. */
static void natural_keys_are_left_alone(void **state)
{
    struct net *t = *state;
    net_cut(t, PROVINCE);
    net_sql(t, HUB, "INSERT INTO receipt(by) VALUES('hub')");
    net_sql(t, PROVINCE, "INSERT INTO receipt(by) VALUES('province')");
    net_run(t, 200);
    assert_string_equal(ask(PROVINCE, "SELECT id FROM receipt"), "1");
    net_mend(t, PROVINCE);
    assert_true(net_settle(t, 20000));
    assert_string_equal(ask(HUB, "SELECT count(*) FROM tonle_held"), "1");
}

/* A table that is made anew, with other letters in its name, is steered where it was. */
static void a_table_made_anew_goes_on_where_it_was(void **state)
{
    struct net *t = *state;
    int64_t last = enter(t, PROVINCE, 20);
    assert_true(net_settle(t, 20000));
    net_sql(t, PROVINCE,
            "BEGIN; CREATE TABLE n(id INTEGER PRIMARY KEY AUTOINCREMENT, by TEXT);"
            "INSERT INTO n SELECT * FROM house; DROP TABLE house; ALTER TABLE n RENAME TO HOUSE;"
            "DELETE FROM sqlite_sequence; COMMIT");
    net_run(t, 5000);
    assert_true(enter(t, PROVINCE, 1) > last);
    net_run(t, 200);
    assert_string_equal(strangers(PROVINCE, "house"), "0");
    assert_string_equal(ask(PROVINCE, "SELECT count(*) FROM sqlite_sequence WHERE name = 'HOUSE'"),
                        "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(offices_apart_give_out_different_ids),
        NET_TEST(an_office_alone_goes_on_in_its_next_blocks),
        NET_TEST(higher_rows_of_others_move_an_office_up),
        NET_TEST(a_bulk_beyond_a_block_is_counted_and_steered),
        NET_TEST(an_explicit_id_is_counted),
        NET_TEST(a_sequence_that_is_reset_gives_nothing_again),
        NET_TEST(nothing_is_steered_beyond_the_last_id),
        NET_TEST(natural_keys_are_left_alone),
        NET_TEST(a_table_made_anew_goes_on_where_it_was),
    };
    return check_run(tests);
}
