/* store_schema_check.h - the list of findings that the schema checks write to. */
#ifndef NODE_STORE_SCHEMA_CHECK_H
#define NODE_STORE_SCHEMA_CHECK_H

#include "node/store_schema.h"

struct check {
    struct store *s;
    struct arena *a;
    struct finding *list; /* heap while growing */
    size_t n, cap;
    struct name_list replicated;
};
void check_say(struct check *c, const char *level, const char *subject, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* One published table against the database. */
enum err check_table(struct check *c, const struct table_charter *t,
                     const struct table_info *info) MUST_CHECK;
/* store_schema_rows.c: rows here that refer to rows that do not exist, between replicated tables;
 * the library and the journal mode. */
enum err check_orphans(struct check *c, const struct table_info *info) MUST_CHECK;
void check_library(struct check *c);
/* ", did you mean x or y?" from the names that a query gives; "" when nothing is near. */
const char *check_near(struct check *c, const char *name, const char *sql, const char *argument);

#endif
