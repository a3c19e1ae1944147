/* Tables whose key is a plain INTEGER PRIMARY KEY, made anew with AUTOINCREMENT. */
#include "node/check/autoincrement.h"
#include "node/schema/info.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/unit/capture/fixture.h"

#include <stdio.h>
#include <string.h>

/* The one word is put behind the primary key, however the table is written. */
static void the_word_is_put_behind_the_key(void **state)
{
    static const struct {
        const char *sql, *wanted;
    } cases[] = {
        {"CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
         "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v)"},
        {"CREATE TABLE \"t(\" (\n v, -- id PRIMARY KEY,\n \"id\" integer not null primary key asc "
         "ON "
         "conflict ABORT CHECK (id > 0))",
         "CREATE TABLE \"t(\" (\n v, -- id PRIMARY KEY,\n \"id\" integer not null primary key asc "
         "ON "
         "conflict ABORT AUTOINCREMENT CHECK (id > 0))"},
        {"CREATE TABLE t([id] INTEGER, v TEXT DEFAULT 'PRIMARY KEY', PRIMARY KEY(id ASC) ON "
         "CONFLICT "
         "FAIL)",
         "CREATE TABLE t([id] INTEGER, v TEXT DEFAULT 'PRIMARY KEY', PRIMARY KEY(id ASC "
         "AUTOINCREMENT) ON CONFLICT FAIL)"},
        {"CREATE TABLE t(v, id INTEGER, CHECK (v IN (1, 2)), CONSTRAINT pk PRIMARY KEY ( `id` ))",
         "CREATE TABLE t(v, id INTEGER, CHECK (v IN (1, 2)), CONSTRAINT pk PRIMARY KEY ( `id`  "
         "AUTOINCREMENT))"},
        {"CREATE TABLE t(v REFERENCES u(id), id INTEGER CONSTRAINT pk PRIMARY KEY NOT NULL) STRICT",
         "CREATE TABLE t(v REFERENCES u(id), id INTEGER CONSTRAINT pk PRIMARY KEY AUTOINCREMENT "
         "NOT "
         "NULL) STRICT"},
        {"CREATE TABLE t(id INTEGER, v)", NULL},
        {"CREATE TABLE t", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a = {0};
        const char *text = sql_autoincrement(&a, cases[i].sql, "id");
        if (cases[i].wanted)
            assert_string_equal(text, cases[i].wanted);
        else
            assert_null(text);
        arena_fini(&a);
    }
}

static const char schema[] =
    "CREATE TABLE \"the unit\"(id INTEGER PRIMARY KEY, code TEXT UNIQUE COLLATE NOCASE,"
    " above INTEGER REFERENCES \"the unit\"(id), upper TEXT AS (upper(code)) STORED);"
    "CREATE TABLE person(name TEXT NOT NULL DEFAULT 'x', photo BLOB, ID INTEGER NOT NULL,"
    " unit INTEGER REFERENCES \"THE UNIT\" ON DELETE CASCADE, weight REAL CHECK(weight > 0),"
    " CONSTRAINT pk PRIMARY KEY(id));"
    "CREATE TABLE visit(no INTEGER PRIMARY KEY AUTOINCREMENT, person INTEGER REFERENCES person);"
    "CREATE TABLE log(t, k);"
    "CREATE UNIQUE INDEX by_name ON person(name COLLATE NOCASE, unit) WHERE name <> 'x';"
    "CREATE INDEX by_weight ON person(abs(weight) DESC);"
    "CREATE VIEW heavy AS SELECT p.id, u.code FROM person p JOIN \"the unit\" u ON u.id = p.unit;"
    "CREATE TRIGGER person_born AFTER INSERT ON person BEGIN"
    " INSERT INTO log VALUES('person', new.id); END;"
    "CREATE TRIGGER visit_born AFTER INSERT ON visit BEGIN"
    " UPDATE person SET weight = weight + 1 WHERE id = new.person; END;"
    "CREATE TRIGGER heavy_gone INSTEAD OF DELETE ON heavy BEGIN"
    " DELETE FROM person WHERE id = old.id; END;"
    "INSERT INTO \"the unit\"(id, code, above) VALUES(1, 'a', NULL), (-7, 'b', 1), (900, 'c', 99);"
    "INSERT INTO person(id, name, photo, unit, weight) VALUES(5, 'Sok', x'00ff', -7, 1.5),"
    " (6, 'x', NULL, 1, NULL), (7, '', zeroblob(9), NULL, 3);"
    "INSERT INTO visit(person) VALUES(5), (6); DELETE FROM visit WHERE no = 2;";

static const struct charter_table tables[] = {
    {.name = "THE UNIT", .write = "any"}, {.name = "person", .write = "national", .keys = "blocks"},
    {.name = "visit", .write = "any"},    {.name = "log", .write = "any"},
    {.name = "gone", .write = "any"},
};
static const struct charter charter = {.tables = (struct charter_table *)tables,
                                       .n_tables = sizeof tables / sizeof *tables};

/* All that the database says of the tables and what is in them, without the one word. */
static char *contents(struct capture_office *o)
{
    int status;
    char *text = office_app_output(
        o,
        "SELECT type, name, tbl_name, replace(sql, ' AUTOINCREMENT', '') FROM sqlite_schema"
        " WHERE name NOT LIKE 'tonle%' AND tbl_name NOT LIKE 'tonle%' AND name NOT LIKE 'sqlite%'"
        " ORDER BY 1, 2; SELECT * FROM \"the unit\" ORDER BY id; SELECT id, name, quote(photo),"
        " unit, weight FROM person ORDER BY id; SELECT * FROM heavy; SELECT * FROM visit;"
        " SELECT * FROM log; PRAGMA foreign_key_check; PRAGMA integrity_check",
        &status);
    assert_int_equal(status, 0);
    return text;
}

static enum err make_all(struct capture_office *o, size_t *n)
{
    struct plain_key *list = NULL;
    assert_store_ok(o->s, store_begin(o->s));
    assert_store_ok(o->s, store_plain_keys(o->s, &o->a, &charter, &list, n));
    enum err e = store_make_autoincrement(o->s, list, *n);
    if (e == ERR_OK)
        return store_commit(o->s);
    char why[512];
    snprintf(why, sizeof why, "%s", store_message(o->s));
    store_rollback(o->s);
    (void)store_fail(o->s, e, "%s", why);
    return e;
}

/* Keys, columns, constraints, indexes, triggers and views are what they were, references included,
 * also those that lead nowhere; and no number is given again. */
static void tables_made_anew_are_what_they_were(void **state)
{
    struct capture_office o;
    size_t n;
    capture_office_open(&o, schema, "");
    char *before = contents(&o);
    assert_store_ok(o.s, make_all(&o, &n));
    assert_int_equal(n, 2);
    char *after = contents(&o);
    assert_string_equal(before, after);
    free(before);
    free(after);
    office_app(&o, "DELETE FROM person WHERE id = 7; INSERT INTO person(name) VALUES('Dara');"
                   "DELETE FROM \"the unit\" WHERE id = 900; INSERT INTO \"the unit\"(code)"
                   " VALUES('d'); INSERT INTO visit(person) VALUES(5); DELETE FROM heavy");
    assert_int_equal(office_number(&o, "SELECT max(id) FROM person"), 8);
    assert_int_equal(office_number(&o, "SELECT max(id) FROM \"the unit\""), 901);
    assert_int_equal(office_number(&o, "SELECT max(no) FROM visit"), 3);
    assert_int_equal(office_number(&o, "SELECT count(*) FROM log WHERE k = 8"), 1);
    assert_int_equal(office_number(&o, "SELECT count(*) FROM person WHERE id IN (5, 6)"), 0);
    capture_office_close(&o);
}

/* What cannot be made anew leaves all of it as it was, and says why. */
static void what_does_not_fit_changes_nothing(void **state)
{
    static const struct {
        const char *sql;
        enum err e;
        const char *why;
    } cases[] = {
        {"PRAGMA ignore_check_constraints = ON; UPDATE person SET weight = -1 WHERE id = 5",
         ERR_CORRUPT, "before it was made anew: CHECK constraint failed in person"},
        {"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE INDEX by_weight ON"
         " person(unit)' WHERE name = 'by_weight'; PRAGMA schema_version = 4711",
         ERR_CORRUPT, "integrity_check"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct capture_office o;
        size_t n;
        capture_office_open(&o, schema, "");
        office_app(&o, cases[i].sql);
        char *before = contents(&o);
        assert_err(make_all(&o, &n), cases[i].e);
        assert_non_null(strstr(store_message(o.s), cases[i].why));
        char *after = contents(&o);
        assert_string_equal(before, after);
        free(before);
        free(after);
        capture_office_close(&o);
    }
}

/* Numbers that the charter calls natural, or leaves to one office, are left alone. */
static void only_keys_that_clash_are_made_anew(void **state)
{
    static const struct charter_table some[] = {
        {.name = "the unit", .write = "any", .keys = "natural"},
        {.name = "person", .write = "national"},
        {.name = "person", .write = "any", .complete = true},
    };
    static const struct charter left = {.tables = (struct charter_table *)some, .n_tables = 3};
    struct capture_office o;
    struct plain_key *list = NULL;
    size_t n;
    capture_office_open(&o, schema, "");
    assert_store_ok(o.s, store_plain_keys(o.s, &o.a, &left, &list, &n));
    assert_int_equal(n, 0);
    assert_store_ok(o.s, store_plain_keys(o.s, &o.a, &charter, &list, &n));
    assert_int_equal(n, 2);
    assert_string_equal(list[0].table, "the unit");
    assert_int_equal(list[0].rows, 3);
    capture_office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_word_is_put_behind_the_key),
        cmocka_unit_test(tables_made_anew_are_what_they_were),
        cmocka_unit_test(what_does_not_fit_changes_nothing),
        cmocka_unit_test(only_keys_that_clash_are_made_anew),
    };
    return check_run(tests);
}
