/* explain.h - what the parts of explain share: another charter, and what it would say.
 *
 * Invariant: nothing here is written. The other charter was completed against this database, so
 * its cells (CHECK and UNIQUE make groups) are those it would have if it were published.
 */
#ifndef NODE_DESK_EXPLAIN_H
#define NODE_DESK_EXPLAIN_H

#include "node/desk/desk.h"
#include "node/schema/rules.h"

/* Completes another charter. ERR_REFUSED, and store_message says why, where it could not be
 * published over this database. */
enum err explain_other(struct store *s, struct arena *a, const struct charter *other,
                       struct charter *out);
/* False where it does not name the table. */
bool explain_rules(struct store *s, struct arena *a, const struct charter *other,
                   const struct table_schema *t, struct table_rules *out);

struct trial { /* one conflict under other rules */
    struct arena *a;
    const struct table_schema *t; /* and the rules in force */
    const struct table_rules *rules;
    const struct value *row; /* its columns now, for the scope; or NULL */
    uint32_t cell;           /* under the rules in force; COLUMN_EXISTS, COLUMN_BIRTH */
    size_t n;
    const struct conflict_side *side;
};
struct trial_answer {
    enum explain_verdict verdict;
    uint32_t shown; /* index of the side; n: a mixture */
    bool review;    /* a person would have to decide */
};
struct trial_answer explain_try(const struct trial *y);

/* ---- rule.c */
/* What a charter (or NULL: none) says of a cell, for people. */
struct explain_rule explain_rule_of(const struct charter *charter, const struct table_schema *t,
                                    const struct table_rules *rules, uint32_t cell);

#endif
