/* deferral.h - the tables that changesets wait for, each with the stable clock through which its
 * rows are looked at (apply/defer.c tells why). */
#ifndef NODE_RECORD_DEFERRAL_H
#define NODE_RECORD_DEFERRAL_H

#include "conflict/clock.h"
#include "node/db/db.h"

struct deferral {
    struct deferral *next;
    struct clock stable;
    uint64_t pos; /* of the changeset that came under it */
    char table[];
};
/* The tables that wait, by name from the last to the first; NULL: none. */
enum err deferral_list(struct store *s, struct deferral **out);
/* Whether any of them is published by the charter in force. */
enum err deferral_published(struct store *s, bool *any);
/* NULL: it does not wait. */
enum err deferral_find(struct store *s, const char *table, struct deferral **out);
/* The changeset at `pos` of the journal has rows of this table that wait, to be looked at through
 * today's stable clock; it does not wait any more. */
enum err deferral_note(struct store *s, const char *table, uint64_t pos);
enum err deferral_done(struct store *s, const char *table, uint64_t pos);
void deferral_forget(struct store *s); /* to be read again */

#endif
