/* join.h - an office that joins: a node that is none yet, as a state of the core.
 *
 * It enrols at its parent under the invitation's one-time key, fetches every published table chunk
 * by chunk under its own key, and loads all of it in one transaction (DESIGN 8). It is a struct
 * node like any other: the same drivers step it with the same events, and carry out its actions.
 *
 * Who owns what: the joining node opens the database itself, when it first needs it, and closes it
 * before ACTION_END; until everything has been fetched it only looks, in a transaction that is
 * rolled back, and a database that is not there is not made. What was fetched is kept by the driver
 * (ACTION_KEEP, ACTION_RECALL), because it may be more than fits into memory. The one transaction
 * of the load spans several steps; it is committed after ACTION_SETTLE has been answered.
 * EVENT_STOP between the two does not end it: what belongs to the database is written, so the
 * driver gives the answer that is due before it stops.
 *
 * Invariant: a join that ends in any other way than JOIN_DONE, a crash included, leaves the
 * database as it was, and can simply be repeated with the same keys, incarnation and invitation.
 */
#ifndef NODE_CORE_JOIN_H
#define NODE_CORE_JOIN_H

#include "node/config/config.h"
#include "node/core/node.h"
#include "node/load/load.h"
#include "node/load/renumber.h"

#define JOIN_REACH_MS                                                                              \
    30000u /* how long the parent is tried for, and a chunk waited for (DESIGN 12) */

struct join_options { /* everything in it is borrowed until node_free */
    const struct invitation *invitation;
    const struct keys *keys; /* our own; the secret ones are not looked at */
    uint64_t incarnation;    /* the same when a join is repeated */
    const char *listen;      /* the endpoint we ask to be registered with, or "" */
    const char *software;
    uint64_t run; /* random, one per process start */
    enum load_mode mode;
    bool make_autoincrement;    /* tables whose integer keys cannot be steered are made anew */
    bool renumber;              /* the rows that are adopted get keys of this office's own blocks */
    bool dry_run;               /* all of it is done and rolled back */
    struct store_options store; /* how to open the database; `create` is not looked at */
    uint32_t chunk_rows;        /* at most as many in one chunk; 0: LIMIT_CHUNK_ROWS */
    uint32_t again_ms; /* a request without an answer is repeated after so long; 0: JOIN_AGAIN_MS */
};

/* Never called with a store: see above. Any pointer stays valid until node_free. */
struct node *node_join(const struct join_options *o);

enum join_outcome {
    JOIN_UNDER_WAY,
    JOIN_DONE,
    JOIN_DRY_RUN,         /* as it would be; nothing was changed */
    JOIN_STOPPED,         /* by EVENT_STOP, before ACTION_SETTLE */
    JOIN_NOT_REACHED,     /* in JOIN_REACH_MS */
    JOIN_NOT_ANSWERED,    /* the parent was reached, but had no answer of the hub in that time */
    JOIN_PARENT_REFUSES,  /* text: its reason */
    JOIN_HUB_REFUSES,     /* text: its reason */
    JOIN_OTHER_HUB,       /* the hub that answered is not the one that signed the invitation */
    JOIN_KEY_REFUSED,     /* the parent knows neither the invitation's key nor our own */
    JOIN_NOT_ADMITTED,    /* enrolled, but the parent has not heard of it */
    JOIN_FETCH_FAILED,    /* table; error: REFUSED our key, BUSY the line, FULL or IO what was
                            fetched could not be kept, LIMIT a row is too large, or nonsense came */
    JOIN_OTHER_REGISTRY,  /* the registry that was fetched names another hub */
    JOIN_FORGED_REGISTRY, /* `table` of it is not what the hub has signed */
    JOIN_OTHER_KEYS,      /* the registry names another key for this office */
    JOIN_NO_CHARTER,      /* the parent has none yet */
    JOIN_BAD_CHARTER,     /* error, text: the one it has cannot be read by this version */
    JOIN_NO_DATABASE,     /* error, text: it cannot be opened */
    JOIN_LOOK_FAILED,     /* error, text: looking whether rows are here */
    JOIN_ROWS_HERE,       /* `present`, and no mode was given */
    JOIN_COPY_FAILED,     /* error, text: keeping the old database (replace) */
    JOIN_LOAD_FAILED,     /* error, text */
    JOIN_NOT_SETTLED,     /* error: ACTION_SETTLE failed */
};
struct rows_present {
    const char *table;
    uint64_t rows;
};
struct join_report { /* its strings live as long as the node */
    enum join_outcome outcome;
    enum err error;
    const char *text;
    const char *table;         /* that is fetched now */
    uint64_t table_rows, rows; /* fetched of it, and of all published tables */
    enum load_mode mode;       /* LOAD_EMPTY when there was nothing to adopt or to replace */
    size_t made_anew;          /* tables, for their integer keys */
    struct renumber_report renumbered;
    const char *listen; /* our endpoint, as the registry names it */
    const char *copy;   /* replace: where the old database is kept; NULL: not copied */
    struct rows_present *present;
    size_t n_present, cap_present;
    struct load_report loaded;
};
const struct join_report *node_join_report(const struct node *n);
/* Whose database it will be, with this site; its strings are the invitation's. */
struct store_identity join_identity(const struct invitation *inv, uint64_t site);

#endif
