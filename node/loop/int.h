/* int.h - what the files of the loop share: sockets with the options every one needs, the ZAP
 * handler, the control socket's server, notifications, the trace ring.
 *
 * Invariant: nothing here calls the node but through the functions handed in; nothing here blocks.
 */
#ifndef NODE_LOOP_INT_H
#define NODE_LOOP_INT_H

#include "node/loop/control.h"
#include "node/loop/loop.h"

#include <uv.h>
#include <zmq.h>

/* ---- log.c */
#define LOG_LIMIT_MS 10000
/* For a record that strangers can provoke: one in LOG_LIMIT_MS, with the count. */
struct log_limit {
    uint64_t count;
    uint64_t last_ms;
};
uint64_t loop_mono_ms(void);
/* key: may be NULL. */
void loop_log_pair(int level, const char *event, const char *key, const char *value);
void loop_log_limited(struct log_limit *t, const char *event, const char *reason, const char *who);

/* ---- handle.c: libuv's handles of ZeroMQ's descriptors */
/* Only wakes the loop. NULL: none could be had, and the tick still serves the socket. */
uv_poll_t *handle_open(uv_loop_t *uv, void *socket);
/* Before zmq_close: the descriptor dies with the socket. */
void handle_close(uv_poll_t **h);
/* Closes what is open and ends libuv. Closing uv_signal handles puts the default actions back; a
 * second SIGTERM at that moment would end the process before the caller has cleaned up. */
void handles_end(uv_loop_t *uv);

/* ---- spool.c: what a joining node keeps */
struct spool { /* fd -1: not open */
    int fd;
    struct buf recalled; /* what was given last */
};
enum err spool_open(struct spool *s, const char *dir, char msg[256]);
void spool_close(struct spool *s);
enum err spool_keep(struct spool *s, struct bytes b); /* ERR_FULL, ERR_IO */
enum err spool_recall(struct spool *s, uint64_t offset, size_t len, struct bytes *out);

/* ---- watch.c: sets *changed whenever a file of the database may have been written */
struct watch {
    uv_fs_event_t handle;
    char name[256]; /* of the database's file */
    bool *changed;
    bool *wal; /* it was the -wal file */
};
void watch_start(struct watch *w, uv_loop_t *uv, const char *db_path, bool *changed, bool *wal);

/* ---- door.c: how many connections of children and strangers stand */
struct door_line;
struct door { /* {0} is closed; the monitor is closed with its socket, by link_close */
    void *monitor;
    struct door_line *line; /* by descriptor */
    size_t cap;
    int oldest, newest; /* of those that have never said a word */
    unsigned open, mute;
    unsigned most, mute_most; /* of all, and of those; beyond them the oldest mute one is shut */
    uint64_t turned_away;     /* since the door was opened */
    uint64_t told, told_ms;   /* of them in the log, and when; 0: not lately */
    struct log_limit crowd;
};
/* Raises the soft limit of descriptors as far as the hard one and reason allow; returns it. */
unsigned descriptors_raise(void);
enum err door_open(struct door *d, void *ctx, void *socket, unsigned limit, char msg[256]);
void door_close(struct door *d);
void door_serve(struct door *d);         /* takes what the monitor tells */
void door_spoke(struct door *d, int fd); /* a message came on this descriptor: it is an office */
/* What there is to say to whoever runs this node, for as long as it goes on and once more, empty,
 * when it is over; false: nothing. */
bool door_trouble(struct door *d, char text[256]);

/* ---- zmq.c: sockets, and bounded queues in front of them */
#define LINK_ZAP_DOMAIN "tonle"
#define LINK_ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define LINK_QUEUE_BYTES ((size_t)32 << 20)   /* per peer: any one message, and a credit's worth */
#define LINK_QUEUE_MESSAGES 32768             /* credit may be many small changesets */
#define LINK_QUEUES_BYTES ((size_t)256 << 20) /* all children's together, however many */

struct link_keys {
    uint8_t key[CURVE_KEY_BYTES], secret[CURVE_KEY_BYTES];
};
void *link_context(void);
/* ROUTER as CURVE server that refuses every key our handler does not accept, also without a
 * handler. */
enum err link_server_socket(void *ctx, const struct link_keys *own, void **out, char msg[256]);
/* DEALER as CURVE client. */
enum err link_client_socket(void *ctx, const struct link_keys *own,
                            const uint8_t server_key[CURVE_KEY_BYTES], void **out, char msg[256]);
/* Connects; understands tcp://[v6]:port. ERR_USAGE: not an endpoint. */
enum err link_connect(void *socket, const char *endpoint, char msg[256]);
/* A PAIR socket that gets these events of `socket` (ZMQ_EVENT_...). */
#define LINK_EVENTS                                                                                \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                        \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                       \
     ZMQ_EVENT_DISCONNECTED) /* what link_news_next understands */
enum err link_monitor(void *ctx, void *socket, int events, void **out, char msg[256]);
/* One event, without waiting; false: nothing there. */
bool monitor_next(void *monitor, uint16_t *event, uint32_t *value);
/* Ends the watching first and then closes both: libzmq's I/O thread waits for ever in an event that
 * has no reader. Each may be NULL. */
void link_close(void *socket, void *monitor, int linger_ms);
bool link_readable(void *socket); /* NULL: false. Asks ZMQ_EVENTS, so no edge of ZMQ_FD is lost */

enum link_news { NEWS_NONE, NEWS_UP, NEWS_DOWN, NEWS_FAILED, NEWS_REFUSED };
/* One, without waiting. *why, a constant text, is set with FAILED and REFUSED. */
enum link_news link_news_next(void *monitor, const char **why);

enum delivery { DELIVERY_SENT, DELIVERY_QUEUED, DELIVERY_UNREACHABLE };

struct routes { /* each once, in the order they came; {0} is empty */
    struct route *route;
    size_t n, cap;
};
void routes_add(struct routes *list, const struct route *r);
struct route routes_first(struct routes *list); /* taken out; there is one */

struct outbox { /* FIFO; {0} is empty */
    struct bytes *item;
    size_t head, n, cap;
    size_t size_bytes;
};

struct peer_queue {
    struct route route;
    struct outbox box;
};
struct peers { /* the ROUTER for children; {0} is closed */
    void *socket;
    struct door door;
    struct peer_queue *queue; /* only routes that have something waiting */
    size_t n, cap;
};
/* `descriptors`: how many this process may have. */
enum err peers_open(struct peers *p, void *ctx, const struct link_keys *own, unsigned descriptors,
                    char msg[256]);
void peers_close(struct peers *p, int linger_ms);
/* ERR_BUSY: the address is taken or not there now; ERR_USAGE: it is not one. */
enum err peers_bind(struct peers *p, const char *endpoint, char bound[256], char msg[256]);
enum delivery peers_send(struct peers *p, const struct route *to, const void *bytes, size_t len);
/* Sends what waits and can go; false, with *gone, for a route that turned out to be unreachable:
 * call again until true. */
bool peers_flush(struct peers *p, struct route *gone);

struct incoming { /* one message; release it before the next */
    zmq_msg_t frame;
    struct route route;
    const char *user_id; /* set by our ZAP handler; lives in frame */
    const char *dropped; /* not NULL: the message is unfit, and why; no other field counts */
};
bool peers_receive(struct peers *p, struct incoming *in); /* false: nothing there */
void incoming_release(struct incoming *in);

struct parent_link { /* the DEALER; {0} with no socket is closed */
    void *ctx;
    const char *endpoint;
    const uint8_t *server_key;
    struct link_keys own;
    void *socket, *monitor;
    bool up;
    struct outbox box;
};
enum err parent_dial(struct parent_link *p, char msg[768]); /* ERR_BUSY: no descriptor free */
void parent_hang_up(struct parent_link *p, int linger_ms);
/* UNREACHABLE: the queue is full; the caller hangs up. Line down: SENT, and dropped. */
enum delivery parent_send(struct parent_link *p, const void *bytes, size_t len);
void parent_flush(struct parent_link *p);
void parent_set_up(struct parent_link *p, bool up); /* forgets the old line's queue */
bool parent_receive(struct parent_link *p, struct incoming *in);

/* ---- zap.c */
typedef bool zap_authorise(void *user, const uint8_t key[CURVE_KEY_BYTES], char user_id[256]);
typedef void zap_refused(void *user, const char *address, const char *reason);
struct zap {
    void *socket;
    zap_authorise *authorise;
    zap_refused *refused; /* told of each refusal; may be NULL */
    void *user;
};
/* Before the ROUTER binds, so that nobody is refused for want of a handler. */
enum err zap_open(struct zap *z, void *ctx, char msg[256]);
bool zap_serve(struct zap *z); /* answers one request; false: nothing there */
void zap_close(struct zap *z);

/* ---- control.c: the server */
struct control_client;
struct control {   /* {0} is closed */
    uv_loop_t *uv; /* borrowed */
    int dir_fd;
    bool open;
    uv_pipe_t listener;
    struct control_client *client[CONTROL_CLIENTS];
    uint64_t last_request;
    unsigned last_slot;
    struct buf line; /* of the request handed out last */
};
enum err control_open(struct control *c, uv_loop_t *uv, const char *dir, char msg[256]);
void control_close(struct control *c); /* takes control.sock away; handles end in the uv loop */
void control_fini(struct control *c);  /* after the uv loop has ended */
bool control_waiting(const struct control *c);
/* The next request: one per client at a time; the line lives until the next call. */
bool control_next(struct control *c, uint64_t *request, const uint8_t **line, size_t *len);
void control_reply(struct control *c, uint64_t request, const void *bytes, size_t len);

/* A socket address for DIR/control.sock that fits whatever the length of DIR. */
struct sockaddr_un;
void control_address(struct sockaddr_un *address, int dir_fd);

/* ---- notify.c: systemd's protocol; silent when the environment does not ask for it */
void notify_send(const char *state);
uint64_t notify_watchdog_us(void); /* 0: none wanted */

/* ---- trace.c: the last events and actions of this process */
void trace_event(const struct event *ev);
void trace_action(const struct action *a);
void trace_install(void); /* dumps at SIGABRT */
void trace_uninstall(void);

#endif
