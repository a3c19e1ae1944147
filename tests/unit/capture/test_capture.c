#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture/fixture.h"

#define PLAIN "CREATE TABLE t(id INTEGER PRIMARY KEY, code TEXT UNIQUE, v, w);"
#define ROWS "INSERT INTO t VALUES(1,'a',10,100),(2,'b',20,200),(3,'c',30,300);"

/* An insert is born with every column, an update carries the columns that really changed, a delete stands
 * alone. */
static void plain_statements_are_captured(void **state)
{
    (void)state;
    check_capture(PLAIN, ROWS,
                  "INSERT INTO t VALUES(4,'d',NULL,'x'); UPDATE t SET v=11, w=w WHERE id=1; DELETE FROM t WHERE id=3;",
                  "t born 4 id=4 code='d' v=NULL w='x'\nt update 1 v=11\nt delete 3\n");
}

/* OR REPLACE through the key keeps the row's identity: an update of what differs. */
static void insert_or_replace_of_a_row_is_an_update(void **state)
{
    (void)state;
    check_capture(PLAIN, ROWS, "INSERT OR REPLACE INTO t VALUES(2,'b',21,200);", "t update 2 v=21\n");
    check_capture(PLAIN, ROWS, "REPLACE INTO t VALUES(2,'b',20,200);", "");
}

/* A row evicted through a UNIQUE index is a delete, although no DELETE trigger fired. */
static void an_evicted_row_is_a_delete(void **state)
{
    (void)state;
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
    (void)state;
    check_capture(PLAIN, ROWS, "UPDATE t SET v=v; INSERT OR IGNORE INTO t VALUES(1,'z',0,0),(9,'b',0,0);"
                               "BEGIN; DELETE FROM t; ROLLBACK;"
                               "BEGIN; INSERT INTO t VALUES(7,'q',1,1); SAVEPOINT x; UPDATE t SET v=0; ROLLBACK TO x;"
                               " DELETE FROM t WHERE id=7; COMMIT;", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_statements_are_captured),
        cmocka_unit_test(insert_or_replace_of_a_row_is_an_update),
        cmocka_unit_test(an_evicted_row_is_a_delete),
        cmocka_unit_test(nothing_changed_is_nothing_published),
    };
    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
