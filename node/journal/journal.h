/* journal.h - every item in the order in which it was sealed or applied here, and how far each
 * neighbour is.
 *
 * Invariant: positions only grow and have no meaning elsewhere; a changeset's bytes are kept
 * exactly as they were signed. tonle_journal, tonle_touch and tonle_peer are written here alone, in
 * a transaction of store/'s.
 *
 * Errors: ERR_NOT_FOUND where nothing (more) is there, ERR_CORRUPT where what is there cannot be.
 * Ownership: items, sites and lists live in the arena given.
 */
#ifndef NODE_JOURNAL_JOURNAL_H
#define NODE_JOURNAL_JOURNAL_H

#include "node/db/db.h"
#include "protocol/message.h"

struct item {
    uint64_t pos;
    enum item_kind kind;
    const char *source;
    struct dot dot; /* of a changeset; of a mark: no site, its id */
    uint64_t hlc;
    struct bytes bytes;
};
enum direction { LINK_UP, LINK_DOWN };
/* `dot` is none for answers and stables. */
enum err store_journal_append(struct store *s, enum item_kind kind, const char *source,
                              struct dot dot, uint64_t hlc, struct bytes bytes, uint64_t *pos);
/* The next item after `after` that is for this peer. Up: changesets and answers that did not come
 * from the parent. Down: changesets, marks and stables that did not come from that child.
 * ERR_NOT_FOUND at the end. */
enum err store_journal_next(struct store *s, struct arena *a, enum direction dir, const char *peer,
                            uint64_t after, struct item *out);
struct backlog {
    uint64_t items;
    uint64_t changesets;
    uint64_t bytes;
    uint64_t oldest_hlc; /* of the first; 0 when none */
    uint64_t tail_pos;   /* last position that is for this peer, 0 when there was never one */
};
enum err store_journal_backlog(struct store *s, enum direction dir, const char *peer,
                               uint64_t after, struct backlog *out);
/* The mark of this id; ERR_NOT_FOUND: it was passed before this office joined. */
enum err store_journal_mark(struct store *s, struct arena *a, uint64_t id, struct bytes *mark);
/* The highest id of those that came here; 0: none did. */
enum err store_journal_last_mark(struct store *s, uint64_t *id);
enum err store_journal_find(struct store *s, struct arena *a, struct dot dot, struct item *out);
/* A changeset on record that `seen` covers and `known` does not, stamped from `from` to `most`, or
 * to `now` where it is stable; none when there is none. Of each site only the last one that is
 * covered is looked at. */
struct later_look {
    const struct clock *seen, *known;
    uint64_t from, most, now;
};
enum err store_journal_later(struct store *s, const struct later_look *look, struct dot *later);
struct peer_record {       /* what is durable of a neighbour */
    uint64_t received_pos; /* highest position of its journal applied here */
    uint64_t acked_pos;    /* highest position of our journal it has made durable */
    uint64_t contact_ms;   /* federation time of the last signed message */
};
enum err store_peer_get(struct store *s, const char *node,
                        struct peer_record *out); /* zeroes when unknown */
/* For apply/, which knows what else a position means. */
enum err journal_peer_received(struct store *s, const char *node, uint64_t pos);
enum err store_peer_acked(struct store *s, const char *node, uint64_t pos, uint64_t contact_ms);
/* What is on record of a site, for the hello and for verification. ERR_NOT_FOUND. */
struct site_record {
    uint64_t site;
    const char *node;
    const char *unit;
    uint8_t sign_key[SIGN_PUBLIC_BYTES];
    uint64_t seq;              /* applied here */
    uint8_t chain[HASH_BYTES]; /* hash of that changeset */
    uint64_t hlc;              /* and its time */
};
enum err store_site_get(struct store *s, struct arena *a, uint64_t site, struct site_record *out);
/* Notes the rows of the changeset at `pos`, in the transaction that puts it there. */
enum err touch_note(struct store *s, const struct changeset *cs, uint64_t pos);
/* Positions of the changesets that may have touched this row, ascending: all that have, and seldom
 * another. */
enum err touch_find(struct store *s, struct arena *a, const char *table, struct bytes key,
                    uint64_t **pos, size_t *n);

#endif
