/* wire.h - writing and walking protobuf by hand, for bytes that no correct encoder writes. */
#ifndef TESTS_PROTOCOL_WIRE_H
#define TESTS_PROTOCOL_WIRE_H

#include "protocol/message.h"

void wire_varint(struct buf *b, unsigned id, uint64_t v);
void wire_fixed(struct buf *b, unsigned id, uint64_t v);
void wire_bytes(struct buf *b, unsigned id, const void *p, size_t len);
void wire_string(struct buf *b, unsigned id, const char *s);
/* The field's content: of a fixed or a length-prefixed field its bytes, of a varint its value.
 * False when it is not there. */
bool wire_find(struct bytes message, unsigned id, struct bytes *content, uint64_t *value);

#endif
