/* policy.h - who wins among siblings, and the rules of one table.
 *
 * Invariant: what is shown is a pure function of the merged state (DESIGN 4); every function here
 * gives the same answer at every office, whatever the order of arrival.
 */
#ifndef CONFLICT_POLICY_H
#define CONFLICT_POLICY_H

#include "conflict/clock.h"
#include "conflict/value.h"

enum policy { POLICY_LATEST = 0, POLICY_EARLIEST, POLICY_MAX, POLICY_MIN, POLICY_COUNT };
enum delete_policy { DELETE_UPDATE_WINS = 0, DELETE_COUNT };
enum birth_policy { BIRTH_FIRST = 0, BIRTH_COUNT };

#define COLUMN_EXISTS 0xffffffffu /* the existence cell: INTEGER 1 alive, 0 dead */

struct version {    /* one sibling of a cell */
    struct dot dot; /* none when stable */
    uint64_t hlc;   /* 0 when stable: earlier than everything */
    struct value value;
};

struct table_rules {
    uint32_t n_columns;    /* replicated columns, key columns included, in charter order */
    const uint8_t *policy; /* enum policy of each column; n_columns entries */
    enum delete_policy delete_policy;
    enum birth_policy birth_policy;
};

/* Index of the winner among n >= 1 versions.
 *   latest    highest (hlc, site, seq)
 *   earliest  lowest (hlc, site, seq)
 *   max, min  by value_compare; among equal values the highest (hlc, site, seq)
 * The existence cell under update-wins is `max`. */
size_t policy_choose(enum policy p, const struct version *v, size_t n);
/* The policy of a cell, COLUMN_EXISTS included. */
enum policy policy_of(const struct table_rules *rules, uint32_t column);
const char *policy_name(enum policy p);
/* ERR_NOT_FOUND when no policy of that name is known. */
enum err policy_parse(const char *name, enum policy *p) MUST_CHECK;
/* Compares (hlc, site, seq). */
int version_order(const struct version *a, const struct version *b);

#endif
