/* sample.h - messages and changesets for the protocol's tests: one fixed, many from a seed.
 *
 * Invariant: the same seed gives the same message. An image is a text that two messages share
 * exactly when every field is the same, so that comparing is comparing strings.
 */
#ifndef TESTS_PROTOCOL_SAMPLE_H
#define TESTS_PROTOCOL_SAMPLE_H

#include "protocol/message.h"

int sample_set_up(void **state); /* of a group of tests: the library of seals is ready */

struct sample_pair {
    uint8_t key[SIGN_PUBLIC_BYTES];
    uint8_t secret[SIGN_SECRET_BYTES];
};
struct sample_pair sample_keys(uint8_t first); /* from the seed first, first + 1, ... */

uint64_t sample_next(uint64_t *seed);
uint32_t sample_below(uint64_t *seed, uint32_t n); /* 0 when n is 0 */

void sample_changeset(struct arena *a, uint64_t seed, struct changeset *cs);
void sample_message(struct arena *a, uint64_t seed, enum message_type type, struct message *m);
void sample_mark(struct arena *a, uint64_t seed, struct mark *m);
void sample_answer(struct arena *a, uint64_t seed, struct answer *m);
void sample_stable(struct arena *a, uint64_t seed, struct stable *m);

/* All value types, NUL in a text, invalid UTF-8, the extremes, NULL, empty text, a composite key, a
 * birth that is named, a delete with cells; two segments, one of them empty. */
void fixed_changeset(struct changeset *cs);
/* Deltas of a `sum` column, the least one of all among them, and one key under two births. */
void fixed_deltas(struct segment *s);
void fixed_references(struct segment *s); /* of a changeset with fixed_dot */
extern const struct dot fixed_dot;
void fixed_message(enum message_type type, struct message *m);
void fixed_mark(struct mark *m);
void fixed_answer(struct answer *m);
void fixed_stable(struct stable *m);

const char *image_changeset(struct buf *b, const struct changeset *cs);
const char *image_segment(struct buf *b, const struct segment *s);
const char *image_message(struct buf *b, const struct message *m);
const char *image_mark(struct buf *b, const struct mark *m);
const char *image_answer(struct buf *b, const struct answer *m);
const char *image_stable(struct buf *b, const struct stable *m);

#endif
