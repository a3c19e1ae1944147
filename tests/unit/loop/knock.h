/* knock.h - for tests: a blocking CURVE client that knocks at a loop's door with whatever key and
 * bytes the test wants. libzmq reconnects it by itself.
 */
#ifndef TESTS_UNIT_LOOP_KNOCK_H
#define TESTS_UNIT_LOOP_KNOCK_H

#include "node/loop/int.h"

struct knocker {
    void *ctx, *socket, *monitor;
};
/* Starts to dial; returns at once. */
struct knocker *knock_open(const char *endpoint, const uint8_t server_key[CURVE_KEY_BYTES],
                           const struct link_keys *own);
void knock_close(struct knocker *k);
/* Each waits for WAIT_MS. ERR_REFUSED: the other side does not accept our key (`why`); ERR_BUSY:
 * not in time. */
enum err knock_send(struct knocker *k, const void *p, size_t len, const char **why);
enum err knock_receive(struct knocker *k, struct buf *out); /* appends one message */

#endif
