/* An office joins with rows that it numbered from 1, as the others did: --renumber gives them keys
 * of its own blocks, and every reference still leads to the row that it led to. */
#include "tests/unit/node/fixture.h"

#include <stdio.h>
#include <string.h>

/* Beside each reference the name of what it leads to. `keeper` is declared by the charter alone,
 * the key of `member` is its person's, `mine` is a table of this office only. */
static const char schema[] =
    "CREATE TABLE house(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);"
    "CREATE TABLE person(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT,"
    " house INTEGER REFERENCES HOUSE(ID), house_name TEXT,"
    " boss INTEGER REFERENCES person, boss_name TEXT, keeper TEXT, keeper_name TEXT);"
    "CREATE TABLE member(person INTEGER PRIMARY KEY AUTOINCREMENT REFERENCES person(id), card "
    "TEXT);"
    "CREATE TABLE badge(code TEXT PRIMARY KEY NOT NULL, member INTEGER REFERENCES member,"
    " card TEXT);"
    "CREATE TABLE receipt(no INTEGER PRIMARY KEY AUTOINCREMENT, house INTEGER REFERENCES house,"
    " house_name TEXT);"
    "CREATE TABLE mine(house INTEGER UNIQUE REFERENCES house ON UPDATE CASCADE, house_name TEXT);";
static const char charter[] =
    "{\"federation\":\"test\",\"key_blocks\":{\"count\":16,\"size\":64},\"tables\":["
    "{\"name\":\"house\"},{\"name\":\"person\",\"references\":[{\"column\":\"Keeper\",\"table\":"
    "\"House\"}]},{\"name\":\"member\"},{\"name\":\"badge\"},{\"name\":\"receipt\",\"keys\":"
    "\"natural\"}]}";

static struct net net;

#define COUNT_TO "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "

static void enter_rows(struct net *t, struct net_office *o, const char *who, int rows)
{
    char sql[1500];
    snprintf(sql, sizeof sql,
             COUNT_TO "%d) INSERT INTO house(name) SELECT '%s' || i FROM n;" COUNT_TO
                      "%d) INSERT INTO person(name, house, house_name, boss, boss_name, keeper,"
                      " keeper_name) SELECT '%s' || i, %d + 1 - i, '%s' || (%d + 1 - i), 1, '%s1',"
                      " '' || i, '%s' || i FROM n;"
                      "INSERT INTO member SELECT id, name FROM person WHERE id > 1;"
                      "INSERT INTO badge SELECT '%s' || id, id, name FROM person WHERE id > 1;",
             rows, who, rows, who, rows, who, rows, who, who, who);
    net_sql(t, o, sql);
}

static int start(void **state)
{
    struct net *t = *state = &net;
    net_start_with(t, schema, charter);
    net_grow(t, "province", "12", "hub");
    enter_rows(t, HUB, "h", 3);
    net_invite(t, "kampot", "07", "hub", 0);
    if (!net_settle(t, 20000))
        return -1;
    struct net_office *o = net_add(t, "kampot", "hub");
    enter_rows(t, o, "k", 150); /* more than two blocks */
    net_sql(t, o,
            "INSERT INTO mine SELECT id, name FROM house;"
            "INSERT INTO receipt VALUES(7, 3, 'k3');"
            "INSERT INTO person(name, keeper, keeper_name) VALUES('odd', 'nobody', NULL)");
    return 0;
}

/* How many references of the office lead to another row than they led to. */
static const char astray[] =
    "SELECT (SELECT count(*) FROM person p LEFT JOIN house h ON h.id = p.house"
    " WHERE h.name IS NOT p.house_name)"
    " + (SELECT count(*) FROM person p LEFT JOIN person b ON b.id = p.boss"
    " WHERE b.name IS NOT p.boss_name)"
    " + (SELECT count(*) FROM person p LEFT JOIN house h ON h.id = CAST(p.keeper AS INTEGER)"
    " WHERE h.name IS NOT p.keeper_name)"
    " + (SELECT count(*) FROM member m LEFT JOIN person p ON p.id = m.person"
    " WHERE p.name IS NOT m.card)"
    " + (SELECT count(*) FROM badge b LEFT JOIN member m ON m.person = b.member"
    " WHERE m.card IS NOT b.card)"
    " + (SELECT count(*) FROM receipt r LEFT JOIN house h ON h.id = r.house"
    " WHERE h.name IS NOT r.house_name)";
static const char astray_here[] = "SELECT count(*) FROM mine m LEFT JOIN house h ON h.id = m.house"
                                  " WHERE h.name IS NOT m.house_name";
/* Rows of the office that are not in its blocks. */
static const char strangers[] =
    "SELECT count(*) FROM (SELECT id FROM house WHERE name LIKE 'k%' UNION ALL SELECT id FROM "
    "person"
    " WHERE name LIKE 'k%' UNION ALL SELECT person FROM member WHERE card LIKE 'k%')"
    " WHERE (id - 1) / 64 % 16 <> (SELECT block FROM tonle_site WHERE node = 'kampot')";

/* All rows of both are everywhere, each reference leads where it led, and none of the office's rows
 * was taken for another's. */
static void rows_get_keys_of_their_own(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_find(t, "kampot");
    o->renumber = true;
    net_join_begin(t, o, LOAD_ADOPT);
    assert_int_equal(net_join_end(t, o, 120000), JOIN_DONE);
    const struct join_report *r = node_join_report(o->node);
    assert_int_equal(r->renumbered.rows, 150 + 151 + 149);
    assert_int_equal(r->renumbered.references, 150 + 150 + 150 + 149 + 1 + 150);
    assert_int_equal(r->loaded.adopted_new, 150 + 151 + 149 + 149 + 1);
    assert_int_equal(r->loaded.adopted_equal + r->loaded.adopted_conflicts, 0);
    assert_non_null(r->copy);
    net_join_over(o);
    net_boot(t, o);
    assert_true(net_settle(t, 60000));
    assert_string_equal(net_text(o, astray_here), "0");
    for (int i = 0; i < t->n; i++) {
        assert_string_equal(net_text(&t->office[i], "SELECT count(*) FROM house"), "153");
        assert_string_equal(net_text(&t->office[i], "SELECT count(*) FROM person"), "154");
        assert_string_equal(net_text(&t->office[i], astray), "0");
        assert_string_equal(net_text(&t->office[i], strangers), "0");
        assert_string_equal(net_text(&t->office[i], "SELECT count(*) FROM tonle_held"), "0");
        assert_string_equal(net_text(&t->office[i], "SELECT group_concat(no) FROM receipt"), "7");
    }
    assert_string_equal(net_text(o, "SELECT coalesce(sum(outside), 0) FROM tonle_sequence"), "0");
}

/* What the federation has in this office's blocks already, somebody's bulk that ran over, is in no
 * row's way. */
static void keys_lie_above_what_the_federation_has(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_find(t, "kampot");
    net_sql(t, HUB, COUNT_TO "3000) INSERT INTO house(name) SELECT 'bulk' FROM n");
    assert_true(net_settle(t, 60000));
    o->renumber = true;
    net_join_begin(t, o, LOAD_ADOPT);
    assert_int_equal(net_join_end(t, o, 120000), JOIN_DONE);
    net_join_over(o);
    net_boot(t, o);
    assert_true(net_settle(t, 60000));
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM house"), "3153");
    assert_string_equal(net_text(HUB, astray), "0");
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM tonle_conflict"), "0");
}

/* A dry run says the same and changes nothing: the database is as it was, no copy is made, and the
 * office joins afterwards. */
static void a_dry_run_changes_nothing(void **state)
{
    struct net *t = *state;
    struct net_office *o = net_find(t, "kampot");
    o->renumber = o->dry_run = true;
    net_join_begin(t, o, LOAD_ADOPT);
    assert_int_equal(net_join_end(t, o, 120000), JOIN_DRY_RUN);
    assert_int_equal(node_join_report(o->node)->renumbered.rows, 450);
    assert_null(node_join_report(o->node)->copy);
    net_join_over(o);
    assert_string_equal(net_text(o, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle%'"),
                        "0");
    assert_string_equal(net_text(o, "SELECT max(id) FROM house"), "150");
    assert_string_equal(net_text(o, "SELECT max(house) FROM mine"), "150");
    o->dry_run = false;
    net_join_begin(t, o, LOAD_ADOPT);
    assert_int_equal(net_join_end(t, o, 120000), JOIN_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(rows_get_keys_of_their_own),
        NET_TEST(keys_lie_above_what_the_federation_has),
        NET_TEST(a_dry_run_changes_nothing),
    };
    return check_run(tests);
}
