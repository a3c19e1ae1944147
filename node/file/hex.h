/* hex.h - bytes as hexadecimal text, in lower case. */
#ifndef NODE_FILE_HEX_H
#define NODE_FILE_HEX_H

#include "conflict/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* Lower-case hex text of n bytes; "" for all zeroes. */
const char *hex_text(struct arena *a, const uint8_t *p, size_t n);
/* The reverse: "" is all zeroes; false for anything that hex_text does not write. */
bool hex_bytes(const char *text, uint8_t *out, size_t n);

#endif
