#include "tests/lib/check.h"
#include "tests/unit/capture/fixture.h"

#define PLAIN "CREATE TABLE t(id INTEGER PRIMARY KEY, code TEXT UNIQUE, v, w);"
#define ROWS "INSERT INTO t VALUES(1,'a',10,100),(2,'b',20,200),(3,'c',30,300);"

/* An insert is born with every column, an update carries the columns that really changed, a delete
 * stands alone. */
static void plain_statements_are_captured(void **state)
{
    check_capture(PLAIN, ROWS,
                  "INSERT INTO t VALUES(4,'d',NULL,'x'); UPDATE t SET v=11, w=w WHERE id=1; DELETE "
                  "FROM t WHERE id=3;",
                  "t born 4 id=4 code='d' v=NULL w='x'\nt update 1 v=11\nt delete 3\n");
}

/* OR REPLACE through the key keeps the row's identity: an update of what differs. */
static void insert_or_replace_of_a_row_is_an_update(void **state)
{
    check_capture(PLAIN, ROWS, "INSERT OR REPLACE INTO t VALUES(2,'b',21,200);",
                  "t update 2 v=21\n");
    check_capture(PLAIN, ROWS, "REPLACE INTO t VALUES(2,'b',20,200);", "");
}

/* A row evicted through a UNIQUE index is a delete, although no DELETE trigger fired. */
static void an_evicted_row_is_a_delete(void **state)
{
    check_capture(PLAIN, ROWS, "INSERT OR REPLACE INTO t VALUES(2,'c',20,200);",
                  "t update 2 code='c'\nt delete 3\n");
    check_capture(PLAIN, ROWS, "UPDATE OR REPLACE t SET code='a' WHERE id=3;",
                  "t delete 1\nt update 3 code='a'\n");
    check_capture(PLAIN, ROWS, "UPDATE OR REPLACE t SET id=1 WHERE id=3;",
                  "t update 1 code='c' v=30 w=300\nt delete 3\n");
}

/* Statements that change nothing publish nothing. */
static void nothing_changed_is_nothing_published(void **state)
{
    check_capture(
        PLAIN, ROWS,
        "UPDATE t SET v=v; INSERT OR IGNORE INTO t VALUES(1,'z',0,0),(9,'b',0,0);"
        "BEGIN; DELETE FROM t; ROLLBACK;"
        "BEGIN; INSERT INTO t VALUES(7,'q',1,1); SAVEPOINT x; UPDATE t SET v=0; ROLLBACK TO x;"
        " DELETE FROM t WHERE id=7; COMMIT;",
        "");
}

/* The other ways to write: UPSERT, IGNORE, multi-row and INSERT ... SELECT. */
static void every_insert_form_is_captured(void **state)
{
    check_capture(
        PLAIN, ROWS,
        "INSERT INTO t VALUES(1,'a',5,6),(8,'h',1,2) ON CONFLICT(id) DO UPDATE SET v=excluded.v;",
        "t update 1 v=5\nt born 8 id=8 code='h' v=1 w=2\n");
    check_capture(PLAIN, ROWS, "INSERT OR IGNORE INTO t VALUES(1,'a',5,6),(8,'h',1,2);",
                  "t born 8 id=8 code='h' v=1 w=2\n");
    check_capture(PLAIN, ROWS, "INSERT INTO t(code,v) SELECT code||'2', v FROM t WHERE id<3;",
                  "t born 4 id=4 code='a2' v=10 w=NULL\nt born 5 id=5 code='b2' v=20 w=NULL\n");
    check_capture(PLAIN, ROWS, "INSERT OR FAIL INTO t VALUES(7,'g',1,1);",
                  "t born 7 id=7 code='g' v=1 w=1\n");
}

/* The net effect is what counts: insert and delete is nothing, delete and insert is an update, an
 * update before a delete travels with the delete. */
static void events_of_one_key_are_one_change(void **state)
{
    check_capture(
        PLAIN, ROWS,
        "INSERT INTO t VALUES(4,'d',1,1); UPDATE t SET v=2 WHERE id=4; DELETE FROM t WHERE id=4;",
        "");
    check_capture(PLAIN, ROWS, "INSERT INTO t VALUES(4,'d',1,1); UPDATE t SET v=2 WHERE id=4;",
                  "t born 4 id=4 code='d' v=2 w=1\n");
    check_capture(PLAIN, ROWS, "DELETE FROM t WHERE id=1; INSERT INTO t VALUES(1,'a',99,100);",
                  "t update 1 v=99\n");
    check_capture(PLAIN, ROWS, "DELETE FROM t WHERE id=1; INSERT INTO t VALUES(1,'a',10,100);", "");
    check_capture(PLAIN, ROWS,
                  "UPDATE t SET w=0 WHERE id=1; DELETE FROM t WHERE id=1; INSERT INTO t "
                  "VALUES(1,'a',99,100);",
                  "t update 1 v=99 w=100\n");
    check_capture(PLAIN, ROWS, "UPDATE t SET w=7 WHERE id=1; DELETE FROM t WHERE id=1;",
                  "t delete 1 w=7\n");
    check_capture(
        PLAIN, ROWS,
        "DELETE FROM t WHERE id=1; INSERT INTO t VALUES(1,'a',99,100); DELETE FROM t WHERE id=1;",
        "t delete 1 v=99\n");
    check_capture(PLAIN, ROWS, "DELETE FROM t;", "t delete 1\nt delete 2\nt delete 3\n");
}

/* A change of key is a delete and an insert, also through the rowid's other names. */
static void a_change_of_key_is_a_delete_and_an_insert(void **state)
{
    check_capture(PLAIN, ROWS, "UPDATE t SET id=9 WHERE id=2;",
                  "t delete 2\nt born 9 id=9 code='b' v=20 w=200\n");
    check_capture(PLAIN, ROWS, "UPDATE t SET rowid=9 WHERE id=2;",
                  "t delete 2\nt born 9 id=9 code='b' v=20 w=200\n");
    check_capture(PLAIN, ROWS,
                  "UPDATE t SET id=id+10, v=v WHERE id=2; UPDATE t SET id=2 WHERE id=12;", "");
    check_capture("CREATE TABLE t(a TEXT NOT NULL, b BLOB NOT NULL, v, PRIMARY KEY(b, a));",
                  "INSERT INTO t VALUES('x', x'00', 1);", "UPDATE t SET a='y';",
                  "t delete x'00'/'x'\nt born x'00'/'y' a='y' b=x'00' v=1\n");
}

/* Keys of every type, in rowid, WITHOUT ROWID and STRICT tables. */
static void keys_of_every_type_are_captured(void **state)
{
    check_capture(
        "CREATE TABLE t(k TEXT PRIMARY KEY NOT NULL, v) WITHOUT ROWID;",
        "INSERT INTO t VALUES('a',1),('b',2);",
        "REPLACE INTO t VALUES('a',3); DELETE FROM t WHERE k='b'; INSERT INTO t VALUES('A',1);",
        "t update 'a' v=3\nt delete 'b'\nt born 'A' k='A' v=1\n");
    check_capture("CREATE TABLE t(k BLOB PRIMARY KEY NOT NULL, v ANY) STRICT;",
                  "INSERT INTO t VALUES(x'00ff',1),(x'',2);",
                  "UPDATE t SET v='1' WHERE k=x'00ff'; DELETE FROM t WHERE k=x'';",
                  "t update x'00ff' v='1'\nt delete x''\n");
    check_capture("CREATE TABLE t(a INTEGER, b TEXT, c, v, PRIMARY KEY(c,a,b)) WITHOUT ROWID;",
                  "INSERT INTO t VALUES(1,'x',2.5,0);",
                  "UPDATE t SET v=1; INSERT INTO t VALUES(-9223372036854775808,'',x'61',0);",
                  "t update 2.5000000000000000/1/'x' v=1\n"
                  "t born x'61'/-9223372036854775808/'' a=-9223372036854775808 b='' c=x'61' v=0\n");
}

/* A row whose key holds a NULL has no identity: it stays local, and starts to exist with its key.
 * Losing it is no delete: what was changed before it is sent. */
static void a_null_key_is_not_captured(void **state)
{
    check_capture("CREATE TABLE t(k TEXT PRIMARY KEY, v);", "INSERT INTO t VALUES(NULL,1),('a',2);",
                  "UPDATE t SET v=5 WHERE k IS NULL; INSERT INTO t VALUES(NULL,1);", "");
    check_capture("CREATE TABLE t(k TEXT PRIMARY KEY, v);", "INSERT INTO t VALUES(NULL,1),('a',2);",
                  "UPDATE t SET k='n' WHERE k IS NULL; UPDATE t SET k=NULL WHERE k='a';",
                  "t born 'n' k='n' v=1\n");
    check_capture("CREATE TABLE t(k TEXT, l TEXT, v, PRIMARY KEY(k, l));",
                  "INSERT INTO t VALUES('a','b',1),('c','d',2);",
                  "UPDATE t SET v=3 WHERE k='a'; UPDATE t SET l=NULL, v=4 WHERE k='a';"
                  "UPDATE t SET l=NULL WHERE k='c'; UPDATE t SET l='d' WHERE k='c';",
                  "t update 'a'/'b' v=3\n");
}

/* Values arrive with their type and every byte: NULL is not '', 1 is not 1.0 or '1', text may hold
 * NUL and invalid UTF-8, integers and reals their extremes. */
static void values_keep_type_and_bytes(void **state)
{
    check_capture(
        "CREATE TABLE t(k INTEGER PRIMARY KEY, v);",
        "INSERT INTO t VALUES(1,NULL),(2,''),(3,1),(4,'a'),(5,x''),(6,1),(7,'x');",
        "UPDATE t SET v='' WHERE k=1; UPDATE t SET v=NULL WHERE k=2; UPDATE t SET v=1.0 WHERE k=3;"
        "UPDATE t SET v='A' WHERE k=4; UPDATE t SET v='' WHERE k=5; UPDATE t SET v='1' WHERE k=6;"
        "UPDATE t SET v=CAST(x'780041ff' AS TEXT) WHERE k=7;"
        "INSERT INTO t "
        "VALUES(8,9223372036854775807),(9,-9223372036854775808),(10,1e999),(11,-1e999),(12,-0.0),("
        "13,5e-324);",
        "t update 1 v=''\nt update 2 v=NULL\nt update 3 v=1.0000000000000000\nt update 4 v='A'\nt "
        "update 5 v=''\n"
        "t update 6 v='1'\nt update 7 v=t'780041ff'\n"
        "t born 8 k=8 v=9223372036854775807\nt born 9 k=9 v=-9223372036854775808\nt born 10 k=10 "
        "v=inf\n"
        "t born 11 k=11 v=-inf\nt born 12 k=12 v=0.0000000000000000\nt born 13 k=13 "
        "v=4.9406564584124654e-324\n");
    check_capture("CREATE TABLE t(k INTEGER PRIMARY KEY, i INTEGER, n NUMERIC, r REAL, s TEXT);",
                  "INSERT INTO t VALUES(1,-9223372036854775808,1,1,'1');",
                  "UPDATE t SET n=1.0, r=1, s=1; UPDATE t SET i=-9223372036854775808.0;",
                  "t update 1 i=-9.2233720368547758e+18\n");
}

/* Only the case changes in a NOCASE column, a NOCASE key or under a NOCASE index: still a change.
 */
static void a_change_of_case_is_a_change(void **state)
{
    check_capture("CREATE TABLE t(k INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE UNIQUE);",
                  "INSERT INTO t VALUES(1,'ab'),(2,'x');",
                  "UPDATE t SET v='AB' WHERE k=1; UPDATE t SET v='x' WHERE k=2;",
                  "t update 1 v='AB'\n");
    check_capture("CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, v);",
                  "INSERT INTO t VALUES('ab',1),('c',2);",
                  "UPDATE t SET k='AB' WHERE k='ab'; REPLACE INTO t VALUES('C',2);",
                  "t delete 'ab'\nt born 'AB' k='AB' v=1\nt delete 'c'\nt born 'C' k='C' v=2\n");
}

/* Evictions through composite, NOCASE, partial, expression and generated-column indexes, and by a
 * default that OR REPLACE puts for a NULL. */
static void evictions_through_every_kind_of_index(void **state)
{
    const char *two = "INSERT INTO t(k,a,b) VALUES(1,'x',1),(2,'y',2);";
    check_capture("CREATE TABLE t(k INTEGER PRIMARY KEY, a, b, UNIQUE(b,a));", two,
                  "REPLACE INTO t VALUES(3,'x',1);", "t delete 1\nt born 3 k=3 a='x' b=1\n");
    check_capture("CREATE TABLE t(k INTEGER PRIMARY KEY, a, b); CREATE UNIQUE INDEX u ON t(a "
                  "COLLATE NOCASE);",
                  two, "UPDATE OR REPLACE t SET a='X' WHERE k=2;",
                  "t delete 1\nt update 2 a='X'\n");
    check_capture("CREATE TABLE t(k INTEGER PRIMARY KEY, a TEXT, b TEXT); CREATE UNIQUE INDEX u ON "
                  "t(a) WHERE b = 1;",
                  two, "REPLACE INTO t VALUES(3,'x',1),(4,'y','q');",
                  "t delete 1\nt born 3 k=3 a='x' b='1'\nt born 4 k=4 a='y' b='q'\n");
    check_capture("CREATE TABLE t(k INTEGER PRIMARY KEY, a TEXT, b); CREATE UNIQUE INDEX u ON "
                  "t(lower(a), b+1 DESC);",
                  two, "REPLACE INTO t VALUES(3,'X',1);", "t delete 1\nt born 3 k=3 a='X' b=1\n");
    check_capture("CREATE TABLE t(k INTEGER PRIMARY KEY, a TEXT, b TEXT); CREATE UNIQUE INDEX u ON "
                  "t(b=1, a /* c, ( */);",
                  "INSERT INTO t VALUES(1,'x','1'),(2,'x','2');",
                  "REPLACE INTO t VALUES(3,'x','3');", "t delete 2\nt born 3 k=3 a='x' b='3'\n");
    check_capture(
        "CREATE TABLE t(k INTEGER PRIMARY KEY, a TEXT, b, g TEXT AS (upper(a)) STORED UNIQUE);",
        two, "REPLACE INTO t(k,a,b) VALUES(3,'X',1);", "t delete 1\nt born 3 k=3 a='X' b=1\n");
    check_capture("CREATE TABLE t(k INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'x' UNIQUE, b);",
                  two, "INSERT OR REPLACE INTO t VALUES(3,NULL,7);",
                  "t delete 1\nt born 3 k=3 a='x' b=7\n");
    check_capture("CREATE TABLE t(k TEXT PRIMARY KEY NOT NULL, a, b);", two,
                  "REPLACE INTO t(rowid,k,a,b) VALUES(2,'z',0,0); UPDATE OR REPLACE t SET rowid=1 "
                  "WHERE k='z';",
                  "t delete '2'\nt born 'z' k='z' a=0 b=0\nt delete '1'\n");
    check_capture("CREATE TABLE t(k INTEGER PRIMARY KEY, a UNIQUE ON CONFLICT REPLACE, b);", two,
                  "INSERT INTO t VALUES(3,'x',1); UPDATE t SET a='x' WHERE k=2;",
                  "t delete 1\nt update 2 a='x'\n");
}

/* Generated columns are computed at every office and never travel; a local column of the table
 * neither. */
static void generated_columns_do_not_travel(void **state)
{
    check_capture("CREATE TABLE t(k INTEGER PRIMARY KEY, a, s AS (a+1) STORED, v AS (a+2), b);",
                  "INSERT INTO t(k,a,b) VALUES(1,1,1);",
                  "UPDATE t SET a=5; INSERT INTO t(k,a,b) VALUES(2,2,2);",
                  "t update 1 a=5\nt born 2 k=2 a=2 b=2\n");
}

/* Names that need quoting, and names that collide with words of the trigger language. */
static void odd_names_are_captured(void **state)
{
    check_table_capture("a b",
                        "CREATE TABLE \"a b\"(\"sel\"\"ect\" TEXT PRIMARY KEY NOT NULL, \"ឈ្មោះ\", "
                        "\"from\", [x.y] UNIQUE);",
                        "INSERT INTO \"a b\" VALUES('1',1,1,1);",
                        "UPDATE \"a b\" SET \"ឈ្មោះ\"='ក'; REPLACE INTO \"a b\" VALUES('2',0,0,1);",
                        "a b delete '1' ឈ្មោះ='ក'\n"
                        "a b born '2' sel\"ect='2' ឈ្មោះ=0 from=0 x.y=1\n");
    check_table_capture(
        "new", "CREATE TABLE new(old TEXT PRIMARY KEY NOT NULL, new UNIQUE, op, k_old, m0);",
        "INSERT INTO new VALUES('a',1,1,1,1),('b',2,2,2,2);",
        "UPDATE new SET op=5 WHERE old='a'; REPLACE INTO new VALUES('c',2,0,0,0);",
        "new update 'a' op=5\nnew delete 'b'\nnew born 'c' old='c' new=2 op=0 k_old=0 m0=0\n");
    check_table_capture(
        "old",
        "CREATE TABLE old(k TEXT PRIMARY KEY NOT NULL, u); CREATE UNIQUE INDEX i ON old(lower(u));",
        "INSERT INTO old VALUES('a','x');", "REPLACE INTO old VALUES('b','X');",
        "old delete 'a'\nold born 'b' k='b' u='X'\n");
}

/* Foreign-key actions of the application are captured like statements, and parents come first. */
static void cascades_are_captured(void **state)
{
    const char *schema = "CREATE TABLE child(id TEXT PRIMARY KEY NOT NULL, p REFERENCES parent ON "
                         "DELETE CASCADE ON UPDATE CASCADE);"
                         "CREATE TABLE parent(id TEXT PRIMARY KEY NOT NULL, v);";
    const char *rows =
        "INSERT INTO parent VALUES('a',1),('b',2); INSERT INTO child VALUES('x','a'),('y','b');";
    check_table_capture("child,parent", schema, rows,
                        "PRAGMA foreign_keys=ON; DELETE FROM parent WHERE id='a'; UPDATE parent "
                        "SET id='c' WHERE id='b';",
                        "parent delete 'a'\nparent delete 'b'\nparent born 'c' id='c' v=2\nchild "
                        "delete 'x'\nchild update 'y' p='c'\n");
    check_table_capture("child,parent", schema, rows,
                        "PRAGMA foreign_keys=ON; REPLACE INTO parent VALUES('a',9);",
                        "parent update 'a' v=9\nchild delete 'x'\n");
}

/* Triggers of the application on the same table: what they change counts, one that ignores the row
 * leaves nothing, and one that takes the row away under an UPDATE makes SQLite skip it. */
static void application_triggers_are_captured(void **state)
{
    const char *schema =
        "CREATE TABLE t(k INTEGER PRIMARY KEY, v, at); CREATE TABLE l(x);"
        "CREATE TRIGGER a AFTER UPDATE OF v ON t BEGIN UPDATE t SET at='now' WHERE k=NEW.k; END;"
        "CREATE TRIGGER b BEFORE INSERT ON t WHEN NEW.v=13 BEGIN SELECT RAISE(IGNORE); END;"
        "CREATE TRIGGER c BEFORE INSERT ON t WHEN NEW.v=14 BEGIN DELETE FROM t WHERE k=1; INSERT "
        "INTO t VALUES(50,0,0); END;"
        "CREATE TRIGGER d BEFORE UPDATE OF at ON t WHEN NEW.at='move' BEGIN UPDATE t SET k=k+100 "
        "WHERE k=OLD.k; END;";
    const char *rows = "INSERT INTO t VALUES(1,1,NULL),(2,2,NULL);";
    check_capture(
        schema, rows,
        "UPDATE t SET v=5 WHERE k=1; INSERT INTO t VALUES(3,13,0); REPLACE INTO t VALUES(2,13,0);",
        "t update 1 v=5 at='now'\n");
    check_capture(schema, rows, "INSERT INTO t VALUES(4,14,0);",
                  "t delete 1\nt born 50 k=50 v=0 at=0\nt born 4 k=4 v=14 at=0\n");
    check_capture(schema, rows, "UPDATE t SET at='move' WHERE k=2;",
                  "t delete 2\nt born 102 k=102 v=2 at=NULL\n");
    check_capture(schema, rows, "PRAGMA recursive_triggers=ON; REPLACE INTO t VALUES(2,3,4);",
                  "t update 2 v=3 at=4\n");
}

/* Nothing of the application's settings is needed or disturbed. */
static void settings_of_the_application_do_not_matter(void **state)
{
    check_capture(
        "PRAGMA journal_mode=WAL; CREATE TABLE t(k INTEGER PRIMARY KEY, a TEXT); CREATE UNIQUE "
        "INDEX u ON t(lower(a));",
        "INSERT INTO t VALUES(1,'x');",
        ".dbconfig trusted_schema off\n.dbconfig defensive on\n.dbconfig dqs_ddl off\n.dbconfig "
        "dqs_dml off\n"
        "PRAGMA trusted_schema=OFF; PRAGMA legacy_alter_table=ON; PRAGMA writable_schema=OFF;"
        "REPLACE INTO t VALUES(2,'X'); UPDATE t SET a='y';",
        "t delete 1\nt born 2 k=2 a='y'\n");
}

/* The triggers leave last_insert_rowid() and changes() as the application expects them. */
static void the_application_sees_its_own_counts(void **state)
{
    struct capture_office o;
    int status;
    capture_office_open(&o, PLAIN, "t");
    char *text = office_app_output(
        &o, ROWS "UPDATE t SET v=0 WHERE id<3; SELECT changes(), last_insert_rowid();", &status);
    assert_string_equal(text, "2|3\n");
    free(text);
    capture_office_close(&o);
}

/* A table of the most columns there may be: masks of several words. */
static void many_columns_are_captured(void **state)
{
    struct buf b = {0};
    buf_printf(&b, "CREATE TABLE t(k INTEGER PRIMARY KEY");
    for (int i = 1; i < 256; i++)
        buf_printf(&b, ",c%d", i);
    buf_printf(&b, ");");
    check_capture(buf_str(&b), "INSERT INTO t(k) VALUES(1);",
                  "UPDATE t SET c61=1; UPDATE t SET c62=2; UPDATE t SET c124=3, c255='z'; UPDATE t "
                  "SET c30=NULL;",
                  "t update 1 c61=1 c62=2 c124=3 c255='z'\n");
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_statements_are_captured),
        cmocka_unit_test(insert_or_replace_of_a_row_is_an_update),
        cmocka_unit_test(an_evicted_row_is_a_delete),
        cmocka_unit_test(nothing_changed_is_nothing_published),
        cmocka_unit_test(every_insert_form_is_captured),
        cmocka_unit_test(events_of_one_key_are_one_change),
        cmocka_unit_test(a_change_of_key_is_a_delete_and_an_insert),
        cmocka_unit_test(keys_of_every_type_are_captured),
        cmocka_unit_test(a_null_key_is_not_captured),
        cmocka_unit_test(values_keep_type_and_bytes),
        cmocka_unit_test(a_change_of_case_is_a_change),
        cmocka_unit_test(evictions_through_every_kind_of_index),
        cmocka_unit_test(generated_columns_do_not_travel),
        cmocka_unit_test(odd_names_are_captured),
        cmocka_unit_test(cascades_are_captured),
        cmocka_unit_test(application_triggers_are_captured),
        cmocka_unit_test(settings_of_the_application_do_not_matter),
        cmocka_unit_test(the_application_sees_its_own_counts),
        cmocka_unit_test(many_columns_are_captured),
    };
    return check_run(tests);
}
