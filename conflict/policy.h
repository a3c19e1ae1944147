/* policy.h - who wins among siblings, and the rules of one table.
 *
 * Invariant: what is shown is a pure function of the merged state (DESIGN 4); every function here
 * gives the same answer at every office, whatever the order of arrival.
 *
 * A cell is one column, or a group of columns that change together; its number is its lowest
 * column.
 */
#ifndef CONFLICT_POLICY_H
#define CONFLICT_POLICY_H

#include "conflict/clock.h"
#include "conflict/value.h"

enum policy {
    POLICY_LATEST = 0,
    POLICY_EARLIEST,
    POLICY_MAX,
    POLICY_MIN,
    POLICY_OWNER,
    POLICY_NATIONAL,
    POLICY_LOCAL,
    POLICY_RANK,
    POLICY_SUM,
    POLICY_REVIEW,
    POLICY_COUNT
};
enum delete_policy { DELETE_UPDATE_WINS = 0, DELETE_DELETE_WINS, DELETE_REVIEW, DELETE_COUNT };
enum birth_policy { BIRTH_FIRST = 0, BIRTH_LATEST, BIRTH_REVIEW, BIRTH_COUNT };

#define COLUMN_EXISTS 0xffffffffu /* the existence cell: INTEGER 1 alive, 0 dead */

struct version {        /* one sibling of a cell */
    struct dot dot;     /* none when stable */
    uint64_t hlc;       /* 0 when stable: earlier than everything */
    struct value value; /* of a group: a TUPLE */
};

struct rank_list {
    uint32_t n;
    const char *const *text; /* lowest first; an INTEGER is compared by its decimal text */
};
struct cell_group {
    const char *name;
    uint32_t n;             /* columns, >= 2 */
    const uint32_t *column; /* in the charter's order; the first leads: rank, max and min look at it
                               first, max and min then at the next */
};
struct site_unit {
    uint64_t site;
    const char *unit;
};
struct unit_list { /* the registry's units, by site, ascending */
    size_t n;
    const struct site_unit *site;
};

/* The rules of one table. Arrays have n_columns entries; the columns of a group have equal entries.
 * Everything after `policy` may be absent ({0}): every column a cell of its own, fallback latest.
 */
struct table_rules {
    uint32_t n_columns;    /* replicated columns, key columns included, in charter order */
    const uint8_t *policy; /* enum policy of each column */
    enum delete_policy delete_policy;
    enum birth_policy birth_policy;
    const uint8_t *fallback; /* of `review`: the policy that shows until a person decides; neither
                                review nor sum */
    const struct rank_list *rank;          /* of columns whose policy or fallback is rank */
    const struct cell_group *const *group; /* the group each column is in, or NULL */
    uint32_t scope;                /* number + 1 of the column that holds the row's scope; 0:
                                      the table is national. Its own policy is never owner */
    const struct unit_list *units; /* for owner, national, local; NULL: no site has a unit */
};

/* How the winner of one cell is found. */
struct chooser {
    enum policy policy; /* never review or sum */
    const struct rank_list *rank;
    const struct unit_list *units;
    struct value scope; /* shown value of the row's scope column; NULL: the nation */
};

/* Index of the winner among n >= 1 versions.
 *   latest    highest (hlc, site, seq)
 *   earliest  lowest (hlc, site, seq)
 *   owner     the longest unit that is a prefix of the scope; then latest
 *   national  the shortest unit; then latest. A site without a unit comes after all that have one
 *   local     the longest unit; then latest. Likewise
 *   max, min  by value_compare (tuples member by member); then latest
 *   rank      the value that stands latest in the list (of a tuple: its first member); a value that
 *             is not listed comes before all that are; then latest */
size_t policy_choose(const struct chooser *c, const struct version *v, size_t n);

/* The cell that a column belongs to; COLUMN_EXISTS is one. */
uint32_t cell_of(const struct table_rules *rules, uint32_t column);
/* NULL when the cell is a single column. */
const struct cell_group *cell_group_of(const struct table_rules *rules, uint32_t cell);
/* The policy of a cell, as the charter names it. COLUMN_EXISTS: max for update-wins, min for
 * delete-wins, review for review. */
enum policy policy_of(const struct table_rules *rules, uint32_t cell);
/* The policy that shows: policy_of, or its fallback under review (COLUMN_EXISTS: max). */
enum policy policy_shown(const struct table_rules *rules, uint32_t cell);
const char *policy_name(enum policy p);
/* ERR_NOT_FOUND when no policy of that name is known. */
enum err policy_parse(const char *name, enum policy *p);
const char *delete_policy_name(enum delete_policy p); /* "update-wins" "delete-wins" "review" */
enum err delete_policy_parse(const char *name, enum delete_policy *p);
const char *birth_policy_name(enum birth_policy p); /* "first" "latest" "review" */
enum err birth_policy_parse(const char *name, enum birth_policy *p);
/* Compares (hlc, site, seq). */
int version_order(const struct version *a, const struct version *b);
/* The unit of a site, or NULL. */
const char *unit_of(const struct unit_list *units, uint64_t site);

#endif
