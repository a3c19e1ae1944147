/* checking.h - the list of findings that the schema checks write to. */
#ifndef NODE_CHECK_CHECKING_H
#define NODE_CHECK_CHECKING_H

#include "node/capture/triggers.h"
#include "node/check/check.h"
#include "node/schema/info.h"
#include "node/schema/rules.h"

struct check_run {
    struct store *s;
    struct arena *a;
    struct finding *list; /* heap while growing */
    size_t n, cap;
    struct name_list replicated;
};
void check_say(struct check_run *c, const char *level, const char *subject, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* One published table against the database; `table`: its JSON when that is completed, or NULL. */
enum err check_table(struct check_run *c, const struct table_charter *t,
                     const struct table_info *info, json_t *table);
/* The entry of a column in a table's JSON, borrowed; NULL. */
json_t *check_column(const json_t *table, const char *name);
bool check_replicated(const struct check_run *c, const char *table);
/* store_schema_cells.c: the charter's policies against the columns of this table, its CHECKs and
 * its UNIQUEs. Columns that these name together, and that the file puts in no group, become an
 * implied one: they are added to the table's JSON. `table` NULL: the charter is in force already,
 * and what was not foreseen in it is only warned of. */
enum err check_cells(struct check_run *c, const struct table_charter *t,
                     const struct table_info *info, json_t *table);
/* store_schema_rows.c: rows here that refer to rows that do not exist, between replicated tables;
 * rows that are too large to be sent (`complete`: the charter is not in force yet); what is no
 * integer in a sum; the library and the journal mode. */
enum err check_orphans(struct check_run *c, const struct table_info *info);
enum err check_sizes(struct check_run *c, const struct table_charter *t,
                     const struct table_info *info, bool complete);
enum err check_sums(struct check_run *c, const struct table_charter *t,
                    const struct table_info *info);
void check_library(struct check_run *c);
/* ", did you mean x or y?" from the names that a query gives; "" when nothing is near. */
const char *check_near(struct check_run *c, const char *name, const char *sql,
                       const char *argument);

#endif
