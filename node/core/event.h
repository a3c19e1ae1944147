/* event.h - what goes into the node's step and what comes out of it.
 *
 * Event bytes live until the step returns. Actions are filled by the step and carried out by the
 * driver (libuv loop or simulator) in order, after the step returned: so nothing leaves before the
 * step's transaction has committed. Actions' memory belongs to the node and lives until its next
 * step.
 */
#ifndef NODE_CORE_EVENT_H
#define NODE_CORE_EVENT_H

#include "protocol/message.h"

struct route { /* whom a message came from or goes to; len 0: the parent */
    uint8_t len;
    uint8_t id[31]; /* ROUTER's routing id: never an identity, only an address */
};

enum event_kind {
    EVENT_START = 1,    /* once, first */
    EVENT_TIMER,        /* the deadline has come (early or late is harmless) */
    EVENT_LOCAL_CHANGE, /* the database's directory changed; confirmed by the store */
    EVENT_RECEIVE,      /* one message; user_id is what our ZAP handler set ("" from the parent) */
    EVENT_UNREACHABLE,  /* a send to this route failed: that connection is gone */
    EVENT_DIALLED,      /* the parent socket has been (re)made, or its connection came up */
    EVENT_LOST,         /* the connection to the parent went down */
    EVENT_REQUEST, /* a request on the control socket; answered by ACTION_REPLY with the same id */
    EVENT_STOP,    /* clean stop: say goodbye, commit what is due */
    EVENT_REFUSED, /* the parent does not let in the key that it was dialled with */
    EVENT_DONE,    /* what ACTION_KEEP, ACTION_RECALL or ACTION_SETTLE asked for: its error, and the
                      bytes recalled */
    EVENT_LISTEN,  /* the endpoint for children could not be bound, bytes: why; none: it is bound */
    EVENT_TROUBLE, /* of the driver's own (`trouble`), for `status`: a sentence; empty: over */
};
enum trouble {
    TROUBLE_STRANGERS, /* more connections that say nothing than may stand */
    TROUBLES
};
struct event {
    enum event_kind kind;
    uint64_t mono_ms; /* monotonic */
    uint64_t wall_ms; /* wall clock, may be wrong */
    uint64_t random;  /* fresh randomness from the driver */
    struct route route;
    const char *user_id;
    const uint8_t *bytes;
    size_t len;
    uint64_t request_id;
    enum err error;
    enum trouble trouble;
};

enum action_kind {
    ACTION_SEND = 1, /* bytes to route; when it cannot be sent now the driver keeps a bounded queue
                        or reports EVENT_UNREACHABLE */
    ACTION_REDIAL,   /* close the parent socket, make a new one after delay_ms; `invited`: under the
                        invitation's key instead of our own */
    ACTION_REPLY,    /* bytes (one line of JSON) to request_id */
    ACTION_READY,    /* the node serves: sd_notify READY=1 */
    ACTION_LOG,      /* level 0 error 1 warning 2 info; text is key=value */
    ACTION_FATAL,    /* this node has come to its end; text says why. `again`: its disk failed, or
                        its tables are gone; the driver begins a new one after a while. Else the
                        process ends with 1 */
    /* Of an office that joins (node/core/join.h). Each of the first three is answered by one
     * EVENT_DONE, and only one of them is under way at a time. */
    ACTION_KEEP,     /* keep these bytes behind what is kept already, outside the database */
    ACTION_RECALL,   /* give `len` of the bytes kept, from `offset` */
    ACTION_SETTLE,   /* all is loaded, not committed yet: write what must be there when it is */
    ACTION_PROGRESS, /* node_join_report has news for who waits */
    ACTION_END,      /* this node has nothing more to do: node_join_report says what came of it */
};
struct action {
    enum action_kind kind;
    struct route route;
    struct bytes bytes;
    uint64_t request_id;
    uint64_t delay_ms;
    bool invited, again;
    uint64_t offset, len;
    int level;
    const char *text;
};
struct actions { /* {0}; owned by the caller, filled by the step */
    struct action *a;
    size_t n;
    size_t cap;
    uint64_t deadline_ms; /* monotonic time of the next EVENT_TIMER wanted; 0: none */
};

#endif
