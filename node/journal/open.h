/* open.h - changesets of the journal, opened again: verified with their site's key. */
#ifndef NODE_JOURNAL_OPEN_H
#define NODE_JOURNAL_OPEN_H

#include "node/journal/journal.h"
#include "node/schema/schema.h"

/* A changeset of the journal, decoded and verified with its site's key; for scans over many. {0} is
 * valid. */
struct opener {
    uint64_t site; /* whose key is here; 0: none yet */
    struct site_record record;
    struct arena arena; /* of the record */
};
enum err part_open(struct store *s, struct opener *o, struct arena *a, const struct item *i,
                   struct changeset *cs);
void part_opener_fini(struct opener *o);
/* The changeset at this position of the journal; ERR_NOT_FOUND where none is (any more). */
enum err part_item_at(struct store *s, struct arena *a, uint64_t pos, struct item *out);
/* The next change of this key in a changeset, or NULL; *tc its table. There may be several: of
 * different births. */
struct change_place { /* {0}: at the start */
    uint32_t segment, table, row;
};
const struct row_change *part_next_change(const struct changeset *cs, const char *table,
                                          struct bytes key, struct change_place *at,
                                          const struct table_changes **tc);
/* What the change wrote into this column; NULL: it did not. */
const struct value *part_value_of(const struct table_changes *tc, const struct row_change *rc,
                                  const char *column);
/* The same of a cell (of a group all members, in the group's order), copied into the arena; false:
 * it wrote nothing there. */
bool part_written(struct arena *a, const struct table_schema *t, uint32_t cell,
                  const struct table_changes *tc, const struct row_change *rc, struct value *out);

#endif
