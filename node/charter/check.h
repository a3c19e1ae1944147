/* check.h - what the meaning of a charter forbids, as far as no database is needed to see it.
 *
 * Between the files of node/charter/ only.
 */
#ifndef NODE_CHARTER_CHECK_H
#define NODE_CHARTER_CHECK_H

#include "node/charter/charter.h"

/* Of a charter as it was read, before charter_fill. Adds a line to msg for each mistake, as many as
 * fit. ERR_MALFORMED when there is one; ERR_REFUSED when it is correct but beyond this version. */
enum err charter_check(const struct charter *c, char msg[CHARTER_MSG_BYTES]);
/* Fills in what it leaves out: the documented defaults, and for columns and groups the rule of
 * their table. */
void charter_fill(struct charter *c);

/* The policy of what says none itself: the table's, else the charter's default, else latest. */
const char *charter_table_policy(const struct charter *c, const struct charter_table *t);

#endif
