/* apply.h - one changeset merged, decided and written; what follows a seal; what is forgotten; what
 * is tried again.
 *
 * Invariant: with the capture log empty, every replicated table shows exactly the merged state (but
 * for rows held back); the journal, the clock, the seq and the chain hash change only together.
 * tonle_held, tonle_conflict, tonle_side, tonle_again and tonle_chunk are this room's tables.
 *
 * What writes here runs in a write transaction of the caller's (asserted), and decides over what is
 * in the tables and the records alone, so that a rollback undoes it whole: on any error the caller
 * rolls back. ERR_BUSY asks for the same again (also where an application's trigger rolled the
 * transaction back). Ownership: what is handed out lives in the arena given; the changeset must
 * live until the call returns.
 */
#ifndef NODE_APPLY_APPLY_H
#define NODE_APPLY_APPLY_H

#include "node/db/db.h"
#include "protocol/message.h"

struct collected; /* capture/ */
/* tonle_meta: the table of the registry that is not what the hub has signed; absent: all are. */
#define META_REGISTRY_ODD "registry_odd"
/* tonle_meta: why the last decision that came and does not count does not; absent: none came since
 * somebody looked. */
#define META_DECISION_REFUSED "decision_refused"
/* tonle_meta: the last changeset of which rows or values were left out for what they are
 * (apply_report.refused); absent: none came since somebody looked. */
#define META_ROWS_REFUSED "rows_refused"
/* tonle_meta: the last changeset that changed a row that is not here (forged.h); absent: none came
 * since somebody looked. */
#define META_ROWS_ASTRAY "rows_astray"
/* tonle_meta: why the references of all rows could not be looked at; absent: they could. */
#define META_PARENTS_REFUSED "parents_refused"
/* That it is tried again with the next sweep. */
enum err store_parents_again(struct store *s);
struct apply_input {
    const struct changeset *cs;
    struct bytes bytes;  /* exact sealed bytes, for the journal */
    const uint8_t *hash; /* chain hash */
    bool own;            /* sealed here just now, its rows stand in the tables already */
    const char *source;  /* neighbour's node name; NULL for our own */
    uint64_t link_pos;   /* in the neighbour's journal; 0 for our own */
    uint64_t now_ms;     /* federation time, for records */
    const struct collected *collected; /* what our own was collected from; NULL: a remote one */
};
struct apply_report {
    bool already; /* the clock covered it: nothing done but the link position */
    uint32_t rows;
    uint32_t held; /* rows newly held */
    uint32_t released;
    uint32_t conflicts; /* records made */
    uint32_t orphans;   /* changes whose identity is not here */
    uint32_t refused; /* rows of registry tables not from the hub; cells of columns that the charter
                         does not publish any more, and of groups that did not come whole */
    const char *forged; /* what of it no honest office can have sealed (forged.h), in the arena */
    const char *astray; /* a row of it that is not here, the last; in the arena */
    uint32_t deferred;  /* rows that wait for their table */
    uint32_t decisions_refused;   /* with the changes that belong to them */
    const char *decision_refused; /* why, of the last one, in the arena; NULL: none */
};
/* Whether a row lives again that was deleted here behind capture, since this was asked last: its
 * table is to be compared (gap_suspect), also where that is under way. */
bool store_found_torn(struct store *s);
/* ERR_GAP (seq is not the next of its site), ERR_CAUSAL (context not covered), ERR_IDENTITY (same
 * dot, other hash), ERR_STATE (the capture log is not empty and this is not our own). On any error
 * the caller rolls back. */
enum err store_apply(struct store *s, struct arena *a, const struct apply_input *in,
                     struct apply_report *report);
/* Names in UPDATE and DELETE rows of a collected changeset the identity that stands at their key,
 * where its birth is not stable. Before the changeset is encoded. */
enum err store_name_births(struct store *s, struct arena *a, struct changeset *cs,
                           const struct collected *c);
/* While the first load catches up, what stands in a row is the state of its chunk and what the
 * stream has brought since: joins that chunk's clock into `context`, so that it says what the
 * writer here saw. ERR_LIMIT when the rows of the changeset come from chunks of different clocks:
 * seal fewer. */
enum err store_seal_context(struct store *s, struct arena *a, const struct changeset *cs,
                            struct clock *context);
/* What follows a seal: deletes from the log what was collected; what of it is too large to be sent
 * becomes held (reason `limit`) as of now_ms; decides what was left alone until the log is empty.
 * In the transaction of the collection, which stays the caller's. */
enum err store_collect_done(struct store *s, struct collected *c, uint64_t now_ms);
/* Merges what waits for tables that fit now, about max_rows rows; *more when there are others. Does
 * nothing while local writes are captured and not sealed. */
enum err defer_replay(struct store *s, struct arena *a, uint32_t max_rows, bool *more);
#define DEFER_SLICE 500
/* At the hub: births that keep their names under this stable clock. */
enum err store_keep_list(struct store *s, struct arena *a, const struct clock *stable,
                         struct kept_birth **keep, uint32_t *n);
/* Raises the stable clock and replaces the keep list. Records are swept later, and looked at
 * through the stable clock meanwhile. */
enum err store_set_stable(struct store *s, struct arena *a, const struct stable *st);
/* Begins with the first record again: some may be stable already as they are written. */
enum err store_sweep_again(struct store *s);
/* Forgets at most max_rows records; *more when there are others. ERR_STATE: the capture log is not
 * empty. */
enum err store_sweep(struct store *s, struct arena *a, uint32_t max_rows, bool *more);
/* Begins to try again, with the sweeps, what this office alone refuses (reason `local`), each row
 * for itself; one that is refused again leaves nothing behind. False: there is none. */
bool store_local_again(struct store *s);
/* Rows for which a trigger rolled a transaction back are left out of the next ones; some of them no
 * longer, as what the trigger reads may be another. wrote: somebody wrote since this was asked
 * last, so that all of them are due. True: others still are. */
bool store_raised_again(struct store *s, bool wrote);
/* What the neighbour has sent is here up to this position of its journal. Behind the last chunk of
 * the first load, the load has caught up, and the foreign keys that waited are decided. */
enum err store_peer_received(struct store *s, const char *node, uint64_t pos);
/* Decides again: one (id) or all (NULL). *released: rows that stand now. */
enum err store_held_retry(struct store *s, struct arena *a, const char *id, uint64_t now_ms,
                          uint32_t *released);

/* A part of a write transaction that may fail by itself, from store_try_begin to one of the other
 * two. The undoing takes back what the part wrote and what was kept in memory of it, and leaves
 * store_message as it is; published tables and the charter must not change in the part. */
enum err store_try_begin(struct store *s);
enum err store_try_keep(struct store *s);
enum err store_try_undo(struct store *s);
/* Of such an error the part alone is to blame: the rest of the transaction goes on without it. */
bool store_try_refused(enum err e);

void apply_open(struct store *s);
void apply_close(struct store *s);

#endif
