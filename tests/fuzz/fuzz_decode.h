/* fuzz_decode.h - one input for one decoder; aborts when what it promises does not hold. */
#ifndef TESTS_FUZZ_DECODE_H
#define TESTS_FUZZ_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "conflict/policy.h"

#define FUZZ_DECODERS 6 /* message, sealed, header, segment, item, row */

/* The table of the row decoder: a cell of every kind, columns 6 and 5 one group. */
const struct table_rules *fuzz_rules(void);

void fuzz_decode(const uint8_t *p, size_t len);

#endif
