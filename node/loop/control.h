/* control.h - how a command asks the running node: one line of JSON out, one line back, over
 * DIR/control.sock.
 *
 * Invariant: a command never waits longer than its timeout, whatever the node does.
 */
#ifndef NODE_LOOP_CONTROL_H
#define NODE_LOOP_CONTROL_H

#include "conflict/buf.h"
#include "conflict/err.h"

#define CONTROL_LINE_BYTES (64u << 10)  /* longest request */
#define CONTROL_REPLY_BYTES (64u << 20) /* longest reply a client takes */
#define CONTROL_CLIENTS 32              /* at once; one more is turned away */

/* Sends `line` (with or without its newline) and appends the reply, without the newline, to
 * `reply`. ERR_STATE: no node is running here. ERR_BUSY: no answer in time, or it is stopping or
 * has too many clients: try again. ERR_LIMIT: the request or the reply is too long. `reply` is
 * unchanged on failure. */
enum err control_request(const char *dir, const char *line, uint32_t timeout_ms, struct buf *reply,
                         char msg[256]);

#endif
