/* adopt.h - rows that an office had before it joined: set aside for the load, compared after
 * it.
 *
 * Invariant: no set-aside row is dropped before it is equal to the federation's, recorded cell by
 * cell as a conflict, or stands in the table and in the capture log as a birth. What cannot stand
 * stays in its table tonle_adopt_<t>, and tonle_held names it.
 */
#ifndef NODE_LOAD_ADOPT_H
#define NODE_LOAD_ADOPT_H

#include "node/load/load.h"
#include "node/schema/schema.h"

#define ADOPT_NAME 40
/* The name of the table that its rows are set aside in, and whether there is one. */
void adopt_name(char out[ADOPT_NAME], const struct table_schema *t);
enum err adopt_has(struct store *s, const char *aside, bool *has);
/* Copies the table, its local columns included, to tonle_adopt_<t>; nothing when it has no rows. */
enum err adopt_set_aside(struct store *s, const struct table_schema *t);
/* Compares every set-aside row with what was loaded; adds to the report. */
enum err adopt_all(struct store *s, struct load_report *report);

#endif
