/* forged.h - changes of rows that are not here.
 *
 * An office changes a row that stands at it, or a birth on record there, and what it had is at
 * whoever has all that it had. So an orphan (conflict/merge.h) is a row that was lost at one of the
 * two behind capture's back, or an office that means harm. Nobody can tell the one from the other
 * here: it is taken, changes nothing, and is told (`astray` of the report). So is a change that
 * names nobody of a row that its writer had seen deleted: its record may be forgotten there. A
 * delete that names nobody is not told: the row is not here, as it is to be. Told is also the
 * delete of one of two equal births that leaves the other, which its writer had seen.
 *
 * Forged is what names a birth
 *
 *   that nobody ever made, as is known here: of a changeset that has not been here, though all that
 *   the writer had seen has, or of one in the journal that bore no row of this key (of a changeset
 *   that came with a first load it is not known);
 *   that the writer had seen deleted: a seal names what stands (store_name_births), so whatever
 *   brought it back is in its context, and was merged here before. */
#ifndef NODE_APPLY_FORGED_H
#define NODE_APPLY_FORGED_H

#include "node/apply/applying.h"

/* Looks at what merging the change found, and notes in the report, in words, what is wrong. A birth
 * that came with a decision that does not count is one that its signer may go on to change. */
enum err forged_look(struct applying *ap, const struct work_row *r, const struct table_changes *tc,
                     const struct row_change *rc, const struct merge_result *m);

#endif
