/* triggers.h - what the application's own triggers write, and their TEMP copies that run on applied
 * rows. */
#ifndef NODE_CAPTURE_TRIGGERS_H
#define NODE_CAPTURE_TRIGGERS_H

#include "conflict/mem.h"
#include "node/db/db.h"

struct trigger_info {
    const char *name;
    const char *table;
    const char *sql; /* CREATE TRIGGER ... */
    bool on_view;
    bool writes_replicated;
    bool writes_local;
    const char *broken; /* what SQLite says when it cannot run here, or NULL */
};
struct name_list {
    const char **name;
    uint32_t n;
};
/* Learns what each application trigger that an applied row could fire writes; leaves TEMP copies of
 * those that write nothing replicated. */
enum err triggers_learn(struct store *s, struct arena *a, struct name_list replicated,
                        struct trigger_info **out, uint32_t *n);
void capture_forget_copies(struct store *s); /* they are made anew before they are needed */

#endif
