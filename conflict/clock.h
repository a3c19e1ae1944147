/* clock.h - dots and version vectors.
 *
 * A dot (site, seq) names one changeset for ever; a clock names, for each site, the highest seq
 * applied (Preguica et al. 2012, "Dotted version vectors", section 3; Almeida et al. 2014).
 * Invariant: entries are sorted by site, unique, and no entry has seq 0.
 */
#ifndef CONFLICT_CLOCK_H
#define CONFLICT_CLOCK_H

#include "conflict/buf.h"
#include "conflict/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dot { /* {0, 0} is "no dot": stable, or absent */
    uint64_t site;
    uint64_t seq;
};
bool dot_is_none(struct dot d);
bool dot_equal(struct dot a, struct dot b);
int dot_compare(struct dot a, struct dot b); /* by site, then seq */

struct clock_entry {
    uint64_t site;
    uint64_t seq;
};
struct clock {                 /* {0} is the empty clock */
    struct clock_entry *entry; /* heap, owned */
    size_t n;
    size_t cap;
};
enum clock_order { CLOCK_EQUAL, CLOCK_BEFORE, CLOCK_AFTER, CLOCK_CONCURRENT };

void clock_fini(struct clock *c);
void clock_reset(struct clock *c);
void clock_copy(struct clock *to, const struct clock *from);  /* to must be valid ({0} at least) */
uint64_t clock_get(const struct clock *c, uint64_t site);     /* 0 when absent */
void clock_set(struct clock *c, uint64_t site, uint64_t seq); /* seq 0 removes the entry */
void clock_raise(struct clock *c, uint64_t site, uint64_t seq); /* never lowers */
void clock_join(struct clock *c, const struct clock *other);
bool clock_covers(const struct clock *c, struct dot d);                /* true for the none dot */
bool clock_includes(const struct clock *c, const struct clock *other); /* c >= other */
enum clock_order clock_compare(const struct clock *a, const struct clock *b); /* a ... b */
/* varint n, then n x (8 bytes site, varint seq) */
void clock_encode(struct buf *b, const struct clock *c);
enum err clock_decode(struct cursor *cur, struct clock *c, size_t max_entries);

#endif
