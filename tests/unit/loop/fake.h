/* fake.h - a node with no store, linked in place of node.c: it reports every event as one line on a
 * pipe and does what requests on its control socket say, so that a test can drive the production
 * loop in a process of its own.
 *
 * Reports: "listening ENDPOINT", then for each event its name and facts: "receive user=U route=HEX
 * len=N text=T", "unreachable route=HEX", "timer late_ms=N"...
 *
 * Requests are words: ping | hold | send ROUTE TEXT | flood ROUTE COUNT BYTES | redial MS | ready |
 * log TEXT | fatal TEXT | abort | timers COUNT MS | spin on | touch FILE. ROUTE is hex, or - for
 * the parent. Spinning, the deadline is always in the past; after 1,000 timers that are not
 * reported comes "spun".
 */
#ifndef TESTS_UNIT_LOOP_FAKE_H
#define TESTS_UNIT_LOOP_FAKE_H

#include "node/loop/int.h"

#define WAIT_MS 8000 /* a test that waits longer has failed */

void curve_make(struct link_keys *k);

struct fake_child { /* whose key the fake node accepts */
    const char *user;
    uint8_t key[CURVE_KEY_BYTES];
};
struct fake { /* how to run one; filled by the test */
    const char *dir;
    const char *db_path;
    const char *listen, *parent_endpoint;
    bool late;            /* the address is taken: it will not listen at once */
    bool fails;           /* it will not start at all */
    unsigned descriptors; /* how many it may have; 0: as many as the test */
    uint8_t parent_key[CURVE_KEY_BYTES];
    struct link_keys keys;
    struct fake_child child[4];
    unsigned n_child;
};
struct running_loop {
    pid_t pid;
    int reports;
    char dir[4096];
    char endpoint[256];
    char pending[1 << 16]; /* bytes of reports not yet looked at */
    size_t pending_len;
};
void fake_dir_remove(const char *dir); /* and the log beside it */
/* Starts a process and waits until it has been started, and listens when it should. Its stderr:
 * DIR.log */
void fake_run(struct running_loop *r, const struct fake *f);
/* The next report that begins with `prefix`, others are passed over. Fails after WAIT_MS. */
void fake_expect(struct running_loop *r, const char *prefix, char line[4096]);
/* The same with a time limit; false when none came. */
bool fake_report(struct running_loop *r, const char *prefix, char line[4096], int wait_ms);
/* A request; fails the test unless it is answered. */
void fake_do(struct running_loop *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sends the signal and returns the status of waitpid. */
int fake_stop(struct running_loop *r, int signal_number);
int fake_wait(struct running_loop *r);
/* What the process wrote to stderr. */
void fake_log(const struct running_loop *r, struct buf *out);

#endif
