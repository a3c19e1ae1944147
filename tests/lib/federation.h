/* federation.h - for tests: several offices of one federation in a directory of their own, office 0
 * the hub; and the same as the fixture of a cmocka test, whose state is the federation.
 */
#ifndef TESTS_LIB_FEDERATION_H
#define TESTS_LIB_FEDERATION_H

#include "tests/lib/office.h"

#define OFFICES_MAX 8

struct federation {
    struct office office[OFFICES_MAX];
    int n;
    char dir[256];
};

/* n offices with this schema; `compiled` is the charter's published form (node/charter/charter.h)
 * with at least tables[].name and policies. Where it is not complete, the database completes it.
 * Any failure ends the program. */
void federation_start(struct federation *f, int n, const char *schema_sql, const char *compiled,
                      bool wal);
void federation_stop(struct federation *f);

int federation_set_up(void **state, int n, const char *schema_sql, const char *compiled, bool wal);
int federation_tear_down(void **state);
/* A test behind the file's own start. */
#define FEDERATION_TEST(f) cmocka_unit_test_setup_teardown(f, start, federation_tear_down)
/* Where `state` is the test's. */
#define FEDERATION ((struct federation *)*state)
#define OFFICE(i) (&FEDERATION->office[i])
#define HUB OFFICE(0)
#define A OFFICE(1)
#define B OFFICE(2)

/* The query gives this text at every office. */
#define assert_everywhere(sql, text)                                                               \
    do {                                                                                           \
        for (int i = 0; i < FEDERATION->n; i++)                                                    \
            assert_string_equal(office_one(OFFICE(i), sql), text);                                 \
    } while (0)

void federation_sync(struct federation *f); /* seals and pulls until nothing moves */
/* The first n offices but `late` (NULL: none) pass a mark at the hub's clock, with its list. */
void federation_pass_mark(struct federation *f, int n, const struct office *late);
/* Everything applied becomes stable at its office and is swept. */
void federation_settle(struct federation *f);
/* All offices: same rows in these tables (space separated), same held rows, same open conflicts. */
void federation_assert_equal(struct federation *f, const char *tables);

#endif
