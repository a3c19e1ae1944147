/* charter_check.h - what the meaning of a charter forbids, as far as no database is needed to see
 * it.
 *
 * Between the files of charter*.c only.
 */
#ifndef NODE_CHARTER_CHECK_H
#define NODE_CHARTER_CHECK_H

#include "node/charter/charter.h"

/* Adds a line to msg for each mistake, as many as fit. ERR_MALFORMED when there is one. */
enum err charter_check(const struct charter *c, char msg[1024]);

/* The policy of what says none itself: the table's, else the charter's default, else latest. */
const char *charter_table_policy(const struct charter *c, const struct charter_table *t);
/* A name as SQLite compares it: A is a. */
bool charter_same_name(const char *a, const char *b);

/* Adds "file:line: [table 'name': ]text" to msg; the line is the one of the path `at`, to which
 * `field` is added when it is not empty. */
struct charter_at {
    const struct charter *charter;
    const struct charter_table *table; /* NULL: not in a table */
    char path[128];
    char *msg;
    unsigned *count;
};
void charter_blame(const struct charter_at *at, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The place of one thing in a table: charter_at_table(&at, i, "columns", 2) is
 * "tables[i].columns[2]". */
struct charter_at charter_at_table(const struct charter_at *top, unsigned table, const char *list,
                                   unsigned index);

#endif
