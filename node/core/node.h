/* node.h - the node's core: a step function over a store (DESIGN 11).
 *
 * One step, one transaction at most: a crash anywhere equals "the step did not happen" or "its
 * messages were lost", and the protocol survives both. The core owns no socket, clock, timer or
 * randomness: the libuv/ZeroMQ loop and the simulator are two drivers of the same code.
 */
#ifndef NODE_CORE_NODE_H
#define NODE_CORE_NODE_H

#include "node/core/event.h"

struct store;

struct node_options {
    struct store *store; /* borrowed; opened, ready */
    uint8_t sign_secret[SIGN_SECRET_BYTES];
    const char *software; /* version string */
    uint64_t run;         /* random, one per process start */
    uint32_t batch_ms, batch_max_ms, heartbeat_ms, mark_ms;
    uint32_t seal_rows;    /* at most as many in one changeset; 0: SEAL_ROWS */
    uint64_t outside_site; /* the record outside the database; 0: none */
    uint64_t outside_seq;
    /* called after each commit that changed our seq: the driver writes the record outside. May be
     * NULL. */
    void (*committed)(void *user, uint64_t site, uint64_t seq);
    void *user;
};
struct node;

struct node *node_new(const struct node_options *o);
void node_free(struct node *n);

/* Clears *out, then fills it. Never blocks for longer than the store's busy time plus the lock
 * budget. */
void node_step(struct node *n, const struct event *ev, struct actions *out);

/* ZAP: whether this CURVE key may connect, and as whom: a child's node name, or "invite:NAME" for
 * the key of an open invitation whose node is our child. Reads the registry in the store. */
bool node_authorise(struct node *n, const uint8_t curve_key[CURVE_KEY_BYTES], uint64_t wall_ms,
                    char user_id[256]);

/* More work is ready now (inbox to apply, journal to send, log to seal): the driver should step
 * again with EVENT_TIMER without waiting. Also expressed as deadline_ms <= mono_ms. */

/* ---- status: DESIGN 12. The same JSON whether the node runs (asked over the control socket with
 * the request {"do":"status"}) or not (line facts are "stopped"). `state` is green exactly where
 * `reasons` is empty; whatever shows a status or makes an exit code of it asks these two. */
struct status_ask {
    struct node *node; /* NULL: not running */
    struct store *store;
    uint64_t mono_ms, wall_ms;
    uint64_t outside_site, outside_seq; /* of a node that does not run: the record outside the
                                           database; 0: none */
};
void node_status_json(const struct status_ask *ask, struct buf *out);

#endif
