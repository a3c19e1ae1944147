/* deferral.h - the tables that changesets wait for, each with the stable clock through which its
 * rows are looked at (apply/defer.c tells why). */
#ifndef NODE_RECORD_DEFERRAL_H
#define NODE_RECORD_DEFERRAL_H

#include "conflict/clock.h"
#include "node/db/db.h"

struct deferral {
    struct deferral *next;
    struct clock stable;
    char table[];
};
/* The tables that wait, by name from the last to the first; NULL: none. */
enum err deferral_list(struct store *s, struct deferral **out);
struct deferral *deferral_find(struct store *s, const char *table); /* NULL: it does not wait */
/* Another table waits from now on; `stable`: encoded. */
enum err deferral_add(struct store *s, const char *table, const void *stable, size_t len);
void deferral_forget(struct store *s); /* to be read again */

#endif
