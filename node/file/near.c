#include "node/file/near.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static bool alike(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned near_distance(const char *a, const char *b)
{
    unsigned d[NEAR_MAX_BYTES + 1][NEAR_MAX_BYTES + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > NEAR_MAX_BYTES || m > NEAR_MAX_BYTES)
        return NEAR_NEVER;
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            unsigned best = d[i - 1][j - 1] + !alike(a[i - 1], b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && alike(a[i - 1], b[j - 2]) && alike(a[i - 2], b[j - 1]) &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *near_word(const char *word, const char *const *list)
{
    const char *found = NULL;
    unsigned least = strlen(word) < 4 ? 2 : 3; /* the first distance that is too far */
    for (; *list; list++) {
        unsigned d = near_distance(word, *list);
        if (d < least) {
            least = d;
            found = *list;
        }
    }
    return found;
}
