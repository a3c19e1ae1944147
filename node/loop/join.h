/* loop_join.h - a small blocking CURVE client: what `tonle join` speaks to the hub or to its parent
 * with, before there is a node.
 *
 * Invariant: no call takes longer than its timeout; closing never waits for bytes that were not
 * sent.
 */
#ifndef NODE_LOOP_JOIN_H
#define NODE_LOOP_JOIN_H

#include "conflict/buf.h"
#include "protocol/message.h"

struct join_line; /* one connection; libzmq reconnects it by itself */

/* Starts to dial; returns at once. `server_key` is the other side's, key and secret are ours (the
 * invitation's one-time pair). ERR_USAGE: the endpoint is not one. */
enum err join_open(struct join_line **out, const char *endpoint,
                   const uint8_t server_key[CURVE_KEY_BYTES], const uint8_t key[CURVE_KEY_BYTES],
                   const uint8_t secret[CURVE_KEY_BYTES], char msg[256]);
void join_close(struct join_line *l); /* NULL allowed */

/* Sends one encoded message, waiting for the connection if need be. ERR_REFUSED: the other side
 * does not accept our key. ERR_BUSY: not reached in time. */
enum err join_send(struct join_line *l, const void *p, size_t len, uint32_t timeout_ms,
                   char msg[256]);
/* Waits for one message and appends it to `out`. Errors as join_send. */
enum err join_receive(struct join_line *l, uint32_t timeout_ms, struct buf *out, char msg[256]);

/* All of it: dial, send, wait for one message, hang up; `timeout_ms` is for all together. */
struct join_request {
    const char *endpoint;
    uint8_t server_key[CURVE_KEY_BYTES];
    uint8_t key[CURVE_KEY_BYTES], secret[CURVE_KEY_BYTES];
    struct bytes message;
    uint32_t timeout_ms;
};
enum err join_exchange(const struct join_request *r, struct buf *reply, char msg[256]);

#endif
