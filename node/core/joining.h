/* joining.h - what the files of a join share: join.c (the states, enrolment), join_fetch.c
 * (chunks), join_registry.c (the registry, and whether it is the hub's), join_load.c (the
 * database).
 *
 * Invariant: at most one of ACTION_KEEP, ACTION_RECALL and ACTION_SETTLE is under way (`waits`);
 * the store is open, and in a transaction, exactly in JOIN_LOOK, JOIN_LOAD and JOIN_SETTLE.
 */
#ifndef NODE_CORE_JOINING_H
#define NODE_CORE_JOINING_H

#include "node/core/internal.h"
#include "node/core/join.h"
#include "node/journal/attest.h"

enum join_state {
    JOIN_BEGIN,
    JOIN_ENROL,  /* under the invitation's key: asking until the hub has taken our keys */
    JOIN_PROBE,  /* that key is refused: does the parent know our own already? */
    JOIN_ADMIT,  /* enrolled: waiting until the parent lets our own key in */
    JOIN_FETCH,  /* chunk after chunk */
    JOIN_LOOK,   /* in a transaction that is rolled back: are there rows here? */
    JOIN_LOAD,   /* in the transaction: chunk after chunk of what was kept */
    JOIN_SETTLE, /* all is loaded; the driver writes what belongs to it */
    JOIN_END,
    JOIN_STATES
};

struct kept_chunk { /* where it lies in what the driver keeps */
    uint64_t offset;
    size_t len;
};
struct joining {
    struct join_options o;
    enum join_state state;
    struct join_report report;
    struct arena arena; /* lives until the end */
    bool connected;
    bool waits;                  /* EVENT_DONE is due */
    uint64_t reach_ms, until_ms; /* the end of enrolment, and of the present state */
    uint64_t try_ms;             /* the next request to be enrolled */
    bool answered, refused;      /* the parent's last word; refused: our key */
    struct {                     /* join_fetch.c */
        const char **table;      /* the internal ones, then those of the charter */
        size_t n_tables, at;     /* and the one that is fetched */
        bool internal;           /* the internal ones still */
        uint64_t request;        /* number of the last one */
        uint64_t again_ms;       /* when it is repeated */
        struct buf after;        /* key bytes; empty: from the start */
        bool end;                /* the chunk that is being kept is the table's last */
        uint64_t rows;           /* in it */
        struct kept_chunk *kept;
        size_t n_kept, cap_kept;
        uint64_t kept_bytes;
        uint64_t pos;      /* the parent's position at the first chunk */
        size_t n_internal; /* chunks of the internal tables: the first ones */
    } fetch;
    struct { /* learnt from the internal tables that came */
        const char *site_text;
        uint64_t site, version;
        bool own_key, hub_key;
        const char *compiled; /* the newest charter */
        struct attest_rows rows[ATTEST_SUMS];
        size_t cap_rows[ATTEST_SUMS];
        bool odd[ATTEST_SUMS]; /* more came of it than can be signed */
        size_t bytes;          /* of the rows' values */
        bool attested;
        struct attest attest;
        uint64_t first_seq, last_seq; /* the hub's, in the first and the last chunk's clock */
    } registry;
    uint32_t registry_again; /* how often it was fetched again, as it had changed meanwhile */
    struct store *store;     /* join_load.c */
    size_t recalled;         /* chunks that are in the transaction */
    uint32_t raised;         /* how often a trigger has ended it */
};

/* ---- join.c */
void join_move(struct joining *j, enum join_state to);
/* Closes the database, rolling back what is not committed. */
void join_end(struct node *n, enum join_outcome outcome, enum err error, const char *text);
struct action *join_ask_driver(struct node *n, enum action_kind kind);

/* ---- join_fetch.c */
void join_fetch_begin(struct joining *j);
void join_fetch_ask(struct node *n);
void join_fetch_chunk(struct node *n, const struct message *m, struct bytes raw);
void join_fetch_kept(struct node *n, enum err error);
void join_fetch_failed(struct node *n, enum err e);
/* It ends the fetch, not the trying before the first chunk. */
void join_fetch_nonsense(struct node *n, enum err e);
void join_fetch_published(struct node *n); /* what the charter names, after the look */
void join_fetch_again(struct node *n);     /* from the first internal table on */

/* ---- join_registry.c */
void join_registry_begin(struct joining *j);
/* A chunk of an internal table. False: there is more of them than there can be. */
bool join_registry_read(struct joining *j, const struct load_chunk *chunk);
/* All are here: on to the look, or the end. */
void join_registry_check(struct node *n);

/* ---- join_load.c */
void join_load_look(struct node *n);
void join_load_begin(struct node *n);
void join_load_recalled(struct node *n, const struct event *ev);
void join_load_settled(struct node *n, enum err error);

#endif
