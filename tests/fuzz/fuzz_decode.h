/* fuzz_decode.h - one input for one decoder; aborts when what it promises does not hold. */
#ifndef TESTS_FUZZ_DECODE_H
#define TESTS_FUZZ_DECODE_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_DECODERS 6 /* message, sealed, header, segment, item, row */

void fuzz_decode(const uint8_t *p, size_t len);

#endif
