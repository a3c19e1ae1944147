#define _GNU_SOURCE /* nftw */
#include "tests/lib/dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

void dir_make_in(char *path, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(path, size, "%s/tonle-test-XXXXXX", tmp ? tmp : "/tmp");
    if ((size_t)n >= size || !mkdtemp(path)) {
        perror(path);
        abort();
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

int dir_remove(const char *path)
{
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
