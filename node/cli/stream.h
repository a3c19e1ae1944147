/* stream.h - long answers, written as they are read: JSON without a tree of it, CSV.
 *
 * Invariant: what comes out of stream_value is byte for byte what jansson would write of
 * cli_value_json, so that a list and a `show` never differ.
 */
#ifndef NODE_CLI_STREAM_H
#define NODE_CLI_STREAM_H

#include "node/cli/cli.h"

#include <stdio.h>

void stream_json(struct buf *b, const char *json); /* as the database keeps it; "" is null */
void stream_string(struct buf *b, const char *text, size_t len); /* {"text_hex":..} if not UTF-8 */
void stream_text(struct buf *b, const char *text);
void stream_value(struct buf *b, const struct value *v);
/* The value of a group by its members' names; any other value as it is. */
void stream_members(struct buf *b, const struct value *v, uint32_t n, const char *const *names);
void stream_time(struct buf *b, uint64_t ms); /* quoted; null for 0 */
void stream_dot(struct buf *b, struct dot d); /* quoted; null for none */
#define STREAM_DOT 40
size_t stream_dot_text(char out[STREAM_DOT], struct dot d); /* its length; no NUL */
/* ISO 8601 UTC with milliseconds and a NUL: what cli_time gives, for lists of a hundred thousand.
 */
#define STREAM_TIME 25
void stream_clock(char out[STREAM_TIME], uint64_t ms);
/* RFC 4180: quoted where it must be. */
void stream_csv(struct buf *b, const char *text, size_t len);
/* Writes what has gathered, once it is a good piece, or `all` of it. False when it cannot. */
bool stream_flush(struct buf *b, FILE *f, bool all);

#endif
