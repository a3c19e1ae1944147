#include "tests/lib/other.h"

#include "tests/lib/check.h"

#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void be_an_application(const char *path, int in, int out)
{
    sqlite3 *db;
    char sql[300];
    for (int fd = 3; fd < 256; fd++)
        if (fd != in && fd != out)
            close(fd);
    if (sqlite3_open(path, &db) != SQLITE_OK)
        _exit(1);
    sqlite3_extended_result_codes(db, 1);
    for (ssize_t n; (n = read(in, sql, sizeof sql)) == (ssize_t)sizeof sql;) {
        int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
        if (write(out, &rc, sizeof rc) != sizeof rc)
            break;
    }
    _exit(0);
}

void other_start(struct other *o, const char *path)
{
    int to[2], from[2];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    o->pid = fork();
    if (o->pid == 0) {
        close(to[1]), close(from[0]);
        be_an_application(path, to[0], from[1]);
    }
    close(to[0]), close(from[1]);
    o->to = to[1];
    o->from = from[0];
}

void other_say(struct other *o, const char *sql)
{
    char text[300] = "";
    snprintf(text, sizeof text, "%s", sql);
    assert_int_equal(write(o->to, text, sizeof text), sizeof text);
}

int other_heard(struct other *o)
{
    int rc = -1;
    assert_int_equal(read(o->from, &rc, sizeof rc), sizeof rc);
    return rc;
}

bool other_silent(const struct other *o, int ms)
{
    struct pollfd p = {.fd = o->from, .events = POLLIN};
    return poll(&p, 1, ms) == 0;
}

int other_sql(struct other *o, const char *sql)
{
    other_say(o, sql);
    return other_heard(o);
}

void other_end(struct other *o)
{
    int status;
    if (o->pid <= 0)
        return;
    close(o->to), close(o->from);
    waitpid(o->pid, &status, 0);
    o->pid = 0;
}
