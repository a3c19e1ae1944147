/* hex.h - bytes as hexadecimal text. Written in lower case, read in either. */
#ifndef NODE_FILE_HEX_H
#define NODE_FILE_HEX_H

#include "conflict/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* `out` takes 2 * n digits and the 0. No copy is left elsewhere: also for secrets. */
void hex_write(char *out, const void *p, size_t n);
/* False unless the text is exactly 2 * n digits. */
bool hex_read(const char *text, uint8_t *out, size_t n);
/* The same of a column of the registry, where "" is all zeroes. */
const char *hex_text(struct arena *a, const uint8_t *p, size_t n);
bool hex_bytes(const char *text, uint8_t *out, size_t n);

#endif
