/* hlc.h - hybrid logical time (Kulkarni et al. 2014, "Logical Physical Clocks", section 4).
 *
 * 64 bits: 48 of milliseconds since 1970-01-01 UTC, 16 of counter. Invariant: a time made by
 * hlc_tick is above `last`, whatever the wall clock says. The counter carries into the milliseconds
 * when it is full.
 */
#ifndef CONFLICT_HLC_H
#define CONFLICT_HLC_H

#include <stdint.h>

uint64_t hlc_make(uint64_t ms, uint16_t counter);
uint64_t hlc_ms(uint64_t t);
uint64_t hlc_tick(uint64_t last, uint64_t now_ms); /* the time of an event of our own */
/* The maximum: what `last` becomes after passing `remote`. */
uint64_t hlc_observe(uint64_t last, uint64_t remote);

#endif
