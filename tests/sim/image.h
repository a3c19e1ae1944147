/* image.h - the bytes of one file of the simulated disk, and which of them changed since it was
 * synced.
 */
#ifndef TESTS_SIM_IMAGE_H
#define TESTS_SIM_IMAGE_H

#include <stddef.h>
#include <stdint.h>

struct image { /* all bytes behind n are 0 */
    uint8_t *p;
    size_t n, cap;
    size_t from, upto; /* bytes changed since image_sync; none when upto is 0 */
};
/* Bytes were written through `p`. */
void image_touch(struct image *m, size_t from, size_t upto);
void image_size(struct image *m, size_t n);
void image_copy(struct image *to, const struct image *from);
/* The same as a copy, of two images that were equal after the last: a file is large and a commit is
 * small. */
void image_sync(struct image *to, struct image *from);

#endif
