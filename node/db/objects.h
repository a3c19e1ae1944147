/* objects.h - which objects of a database are ours, and whether all that belong together are there:
 * tools of the application drop, dump and make anew what they do not know.
 *
 * Invariant: ours are the tables and views of ddl.c, the tables tonle_log_N, tonle_adopt_N and
 * tonle_move_N, and the triggers tonle_abc_N, by these names alone: nothing else is ever dropped
 * here. Indexes come and go with their tables.
 */
#ifndef NODE_DB_OBJECTS_H
#define NODE_DB_OBJECTS_H

#include "node/db/db.h"

enum objects_state {
    OBJECTS_NONE,     /* nothing of ours is there */
    OBJECTS_SKELETON, /* triggers, views, or empty tables as of a dumped schema: nobody's; the logs
                         may hold something */
    OBJECTS_BROKEN,   /* some tables are missing */
    OBJECTS_WHOLE
};
struct objects {
    enum objects_state state;
    bool versioned;   /* tonle_meta holds something: it names the version that made the others */
    char missing[80]; /* the first that is, but where all are whole */
};
enum err objects_look(struct store *s, struct objects *out);

struct objects_dropped {
    uint32_t triggers, views, tables;
};
/* In a write transaction: everything of ours. ERR_EXISTS, with nothing dropped, while rows of the
 * application wait in a table that an adoption has set aside. */
enum err objects_drop(struct store *s, struct objects_dropped *n);
/* The triggers alone: without our tables each write of the application would fail by them. */
enum err objects_drop_triggers(struct store *s, uint32_t *n);

#endif
