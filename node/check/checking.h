/* checking.h - what the checks share: the findings they add to, and what they ask of each other. */
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

/* ---- findings.c */
void check_say(struct check_run *c, const char *level, const char *subject, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Hands the findings on, in the arena; the run has none then. */
void check_hand_over(struct check_run *c, struct finding **out, size_t *n);
/* "; did you mean x or y?" from the names that a query gives; "" when nothing is near. */
const char *check_near(struct check_run *c, const char *name, const char *sql,
                       const char *argument);
/* The same from the columns of a table. */
const char *check_near_column(struct check_run *c, const char *table, const char *name);
bool check_replicated(const struct check_run *c, const char *table);

/* ---- table.c */
/* One published table against the database. `out`: the copy of it that is being completed; NULL
 * when the charter is in force already. */
enum err check_table(struct check_run *c, const struct charter_table *t,
                     const struct table_info *info, struct charter_table *out);

/* Whether its integer keys, where it has such, would be given out by every office again, and the
 * charter does not say that it may be so; of a file. */
bool check_numbers_clash(const struct charter_table *t);

/* ---- cells.c: the charter's policies against the columns of this table, its CHECKs and its
 * UNIQUEs. Columns that these name together, and that the file puts in no group, become an implied
 * one, which is added to `out`. `out` NULL: what was not foreseen in the charter is only warned of.
 */
enum err check_cells(struct check_run *c, const struct charter_table *t,
                     const struct table_info *info, struct charter_table *out);
bool check_is_sum(const struct charter_table *t, const char *column);

/* ---- rows.c: rows here that refer to rows that do not exist, between replicated tables; rows that
 * are too large to be sent (`complete`: the charter is not in force yet); what is no integer in a
 * sum; the library and the journal mode. */
enum err check_orphans(struct check_run *c, const struct table_info *info);
enum err check_sizes(struct check_run *c, const struct charter_table *t,
                     const struct table_info *info, bool complete);
enum err check_sums(struct check_run *c, const struct charter_table *t,
                    const struct table_info *info);
void check_library(struct check_run *c);

#endif
