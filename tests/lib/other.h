/* other.h - an application in a process of its own: SQL goes in, what SQLite answers comes out. So
 * its locks are another's, as those of an application are. */
#ifndef TESTS_LIB_OTHER_H
#define TESTS_LIB_OTHER_H

#include <stdbool.h>
#include <sys/types.h>

struct other { /* {0}: none */
    pid_t pid;
    int to, from;
};
void other_start(struct other *o, const char *path);
/* Under 300 bytes; and, later, the extended result code. */
void other_say(struct other *o, const char *sql);
int other_heard(struct other *o);
/* Whether nothing comes for so long. */
bool other_silent(const struct other *o, int ms);
int other_sql(struct other *o, const char *sql); /* both */
void other_end(struct other *o);

#endif
