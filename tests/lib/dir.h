/* dir.h - for tests: a directory of their own under TMPDIR. */
#ifndef TESTS_LIB_DIR_H
#define TESTS_LIB_DIR_H

#include <stddef.h>

/* Makes a new one; a failure ends the program. */
#define dir_make(path) dir_make_in((path), sizeof(path))
void dir_make_in(char *path, size_t size);
int dir_remove(const char *path); /* with all that is in it; 0 when it is gone */

#endif
