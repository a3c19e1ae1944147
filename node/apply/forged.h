/* forged.h - changes that no honest office can have sealed, because it could not see their row.
 *
 * An office changes a row that stands at it, or a birth on record there. What it names is on record
 * or forgotten at whoever has all that it had; so is what it names as nobody's, at whoever has
 * passed the marks that it has passed. */
#ifndef NODE_APPLY_FORGED_H
#define NODE_APPLY_FORGED_H

#include "node/apply/applying.h"

/* Looks at what merging `ch` found, and notes in the report, in words, what is wrong. A birth that
 * came with a decision that does not count is one that its signer may go on to change. */
enum err forged_look(struct applying *ap, const struct work_row *r, const struct table_changes *tc,
                     const struct row_change *rc, const struct merge_result *m);

#endif
