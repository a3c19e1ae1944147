/* ruling.h - whether a decision of the review desk that came counts, and whose it is.
 *
 * Every receiver has to rule alike, whatever came to it before and after, or honest offices
 * differ for good. So a ruling looks only at the changeset and at what its context covers: the
 * signer's site with its office and unit, which no site ever changes, and the newest charter that
 * the hub had sealed by the hub's entry of the context. It never looks at the row that is decided:
 * that may have changed since, at one office sooner than at another. Nor at the header's
 * charter_version, which the signer names as it likes.
 *
 * What the rules ask (review_by):
 *
 *   any               nothing
 *   national          an office of the nation's unit
 *   a unit code       an office of that unit
 *   owner             of a table without scope: an office of the nation's unit. Of a row with a
 *                     scope: nothing yet, because nobody keeps the scope that the row had for the
 *                     signer once it has another one
 *
 * A held row may always be settled by whose write it is. What came is held for that where a change
 * of the row names a birth of the signer's own site, whatever else goes with it: a merge writes to
 * the row that stands, a drop takes equal births of other offices along. Also where no change
 * names a birth of another site; one whose name is forgotten tells nothing. The desk asks for a
 * named birth of its own site (desk/held.c), so nothing that it allows is refused elsewhere.
 * Nobody looks whether that birth was ever entered, as it may be forgotten at one office sooner
 * than at another. So a hostile office can name one and change another's row under the name of a
 * decision: it reaches no more by that than by an ordinary write, which nobody has to ask for as
 * there are no rights to write.
 *
 * And whatever review_by says: a decision is only ever added, under an id that begins with its
 * signer's site, so that nobody can stand in the way of another's; its office and its time are the
 * signature's and not its own words.
 */
#ifndef NODE_APPLY_RULING_H
#define NODE_APPLY_RULING_H

#include "node/db/db.h"
#include "protocol/changeset.h"

#define DECISION_TABLE "tonle_decision"

struct charter;
struct ruled { /* a row of the changeset */
    const char *name;
    const char *why;
};
struct ruled_list {
    struct ruled *row;
    size_t n, cap;
};
struct ruling { /* of one changeset; everything lives in the arena given */
    struct arena *a;
    struct dot dot;
    const char *office, *unit;     /* the signer's */
    uint64_t at_ms;                /* when it was sealed: the time of its decisions */
    const struct charter *charter; /* in force for it; NULL: none */
    struct ruled_list mine;        /* rows of which a birth of the signer's site is named */
    struct ruled_list others;      /* rows of which one of another site is */
    struct ruled_list decided;     /* the rows that decisions are about */
    struct ruled_list refused; /* decisions that do not count, and the rows that they are about */
};
/* Whether the changeset carries decisions: only then there is a ruling. */
bool ruling_needed(const struct changeset *cs);
enum err ruling_begin(struct store *s, struct arena *a, const struct changeset *cs,
                      struct ruling *out);
/* Why this row of it does not count, in words: it is such a decision, or a change that belongs to
 * one. NULL: it does. */
const char *ruling_refuses(const struct ruling *r, const struct table_changes *tc,
                           const struct row_change *rc);
/* Whether one of them is about this row. */
bool ruling_decides(const struct ruling *r, const struct table_changes *tc,
                    const struct row_change *rc);

#endif
