/* history.h - the writes to one row as they are read from the journal, before they are told.
 *
 * Invariant: `w` holds every write to the row that the journal here has, each with the context of
 * its changeset; met.c adds to each what it had seen and what it met.
 */
#ifndef NODE_DESK_HISTORY_H
#define NODE_DESK_HISTORY_H

#include "node/desk/desk.h"
#include "node/schema/schema.h"
#include "protocol/message.h"

struct row_write {
    struct history_entry x;
    struct clock context;   /* entries in the arena */
    const uint32_t *column; /* of each of the x.n_cells columns our number, or UINT32_MAX */
};
struct row_writes {
    struct store *s;
    struct arena *a;
    const struct table_schema *t;
    struct bytes key;
    size_t n, cap;
    struct row_write *w; /* heap; in the order of time (hlc, dot) */
};

/* met.c: fills seen, met, beside and again of each write. `scope` is the row's, for the
 * policy owner. */
void history_relate(struct row_writes *h, struct value scope);

#endif
