/* applying.h - the rows of one changeset, merged into a work: when it arrives, or when a table
 * that it was deferred for fits here.
 *
 * Invariant: a table's changesets are merged in journal order. While some wait for the table to
 * fit, every later one from elsewhere waits behind them.
 */
#ifndef NODE_APPLY_APPLYING_H
#define NODE_APPLY_APPLYING_H

#include "node/apply/ruling.h"
#include "node/apply/work.h"

struct applying {
    struct work w;
    const struct changeset *cs;
    bool own;
    const struct collected *collected; /* beside our own changeset; NULL: nothing */
    bool charter;                      /* it carries a row of tonle_charter */
    bool registry;                     /* or of another internal table */
    bool attested;                     /* or the hub's signature over both */
    bool decides;                      /* or decisions: then `ruling` */
    struct ruling ruling;
    uint64_t births_read; /* bytes of the journal (forged.c) */
    bool replay; /* it was deferred: our changesets behind own_seq were sealed after it came */
    uint64_t own_seq;
    const struct table_changes **later; /* tables that do not fit here: to be deferred */
    size_t n_later, cap_later;
};

/* Every table of the changeset, or only `table`. */
enum err apply_rows(struct applying *ap, const char *table);

/* ---- apply.c */
/* What was left out is told until somebody looks, whatever restarts meanwhile. */
enum err apply_note_refused(struct applying *ap);

/* ---- defer.c */
/* Notes that these rows of the changeset at `pos` wait, and shows them as held. */
enum err defer_note(struct applying *ap, const struct table_changes *tc, uint64_t pos);

#endif
