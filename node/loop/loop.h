/* loop.h - the production driver of a node: libuv, ZeroMQ, timers, signals, the log.
 *
 * It feeds node_step with events and carries its actions out, in order, after each step. It decides
 * nothing about data: whatever it drops (a full queue, a dead line, a bad peer) the protocol
 * survives.
 *
 * Invariant: node_step is never entered from inside another step or from inside an
 * action, and no source of events can keep the others waiting: each gets a bounded share of a turn.
 *
 * Use by `tonle run`: take the directory's lock, open the store, node_new, then loop_run;
 * afterwards node_free, lock_release.
 */
#ifndef NODE_LOOP_LOOP_H
#define NODE_LOOP_LOOP_H

#include "node/core/node.h"

/* What a node that joins needs beyond what a running one does. */
struct loop_join {
    const char *dir; /* what is fetched is kept in a file here that has no name */
    uint8_t invite_key[CURVE_KEY_BYTES], invite_secret[CURVE_KEY_BYTES]; /* of the invitation */
    void (*progress)(void *user);                                        /* ACTION_PROGRESS */
    enum err (*settle)(void *user);                                      /* ACTION_SETTLE */
    /* Why the loop could not start, or go on, or keep what was fetched. */
    void (*failed)(void *user, const char *reason);
    void *user;
};

/* Why a loop ended by itself. */
struct loop_end {
    char reason[1024]; /* "" after a clean stop */
    bool again;        /* ACTION_FATAL says so: begin anew after a while (loop_rest) */
};

struct loop_options {
    struct node *node;   /* borrowed; made with node_new or node_join */
    const char *dir;     /* state directory: control.sock is made here; the caller holds its lock */
    const char *db_path; /* the database; its directory is watched */
    const char *listen;  /* endpoint for children, "" for none; tcp://HOST:0 picks a port */
    const char *parent_endpoint; /* "" at the hub */
    uint8_t parent_curve_key[CURVE_KEY_BYTES];
    uint8_t curve_key[CURVE_KEY_BYTES], curve_secret[CURVE_KEY_BYTES]; /* our own */
    /* Called once the endpoint is bound, with the real port in it, so that the caller can keep a
     * picked one. May be NULL. Called before the first step, or later when the address was not
     * there yet. */
    void (*listening)(void *user, const char *endpoint);
    void *user;
    struct loop_end *end; /* filled; NULL but for a node that runs */
    /* NULL but for a node that joins. Then there is no control socket, no watch and no log, since
     * somebody waits at a terminal: `dir`, `db_path` and `listening` are not looked at. */
    const struct loop_join *join;
};

/* Runs until SIGTERM, SIGINT, ACTION_END or ACTION_FATAL. Returns the process's exit code: 0 after
 * a clean stop (the EVENT_STOP step ran, every socket is closed, control.sock is gone), 1 after
 * ACTION_FATAL or when the loop could not start: `end` says why, and the log where that is final.
 * On return SIGTERM and SIGINT are ignored, so that a second one cannot cut the caller's own
 * cleaning short. A message to the parent while its line is down is dropped: it would belong to a
 * session that is over. An address that is not there yet (an interface that is down) is tried
 * again; the node works meanwhile.
 * EVENT_LOST is not given for a connection that ACTION_REDIAL itself closed. */
int loop_run(const struct loop_options *o);

/* Waits so long, and meanwhile gives every request on the control socket this answer (one line of
 * JSON). `dir` NULL: there is no socket, since the directory's lock is not ours. True: SIGTERM or
 * SIGINT came, and the process is to end. */
bool loop_rest(const char *dir, const char *answer, uint64_t ms);

/* 64 random bits from the system, for node_options.run and the like. */
uint64_t loop_random(void);
/* The wall clock in milliseconds, as the events carry it. */
uint64_t loop_wall_ms(void);

/* One record on stderr: "ts=... level=... " and the text, key=value with values quoted where
 * needed. level: 0 error, 1 warning, 2 info. */
void loop_log(int level, const char *text);
/* Appends " key=value" (without the space when b is empty), quoted where needed. */
void loop_log_value(struct buf *b, const char *key, const char *value);

#endif
