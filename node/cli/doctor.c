/* doctor.c - tests of this office's machine and database, each ok, warn or fail with its remedy. */
#include "node/cli/findings.h"

#include "conflict/block.h"
#include "conflict/hlc.h"
#include "node/capture/capture.h"
#include "node/capture/sequence.h"
#include "node/check/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define DISK_FAIL_BYTES (64ull << 20)
#define DISK_WARN_BYTES (512ull << 20)
#define OUTSIDE_MS (30 * 86400000ull) /* how long numbers outside the own blocks are warned of */
#define SKEW_MS (5 * 60000ull)        /* DESIGN 4: the allowed skew */
#define EARLIEST_MS 1704067200000ull  /* 2024-01-01: no clock that was ever set shows less */

static void check_permissions(struct cli *c, struct findings *l)
{
    struct stat st;
    struct dirent *d;
    const char *bad = NULL;
    DIR *dir = opendir(c->dir);
    if (!dir || stat(c->dir, &st) != 0) {
        findings_add(c, l, "fail", "directory",
                     cli_printf(c, "%s cannot be read (%s): run this as the user of the node",
                                c->dir, strerror(errno)));
        if (dir)
            closedir(dir);
        return;
    }
    if ((st.st_mode & 077) != 0)
        findings_add(c, l, "fail", "directory",
                     cli_printf(c, "others can look into %s: run `chmod 0700 %s`", c->dir, c->dir));
    while ((d = readdir(dir)))
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            (st.st_mode & 077) != 0)
            bad = cli_printf(c, "%s/%s", c->dir, d->d_name);
    closedir(dir);
    if (bad)
        findings_add(c, l, "warn", "files",
                     cli_printf(c, "others can read %s: run `chmod 0600 %s`", bad, bad));
    else
        findings_add(c, l, "ok", "files", "only the node's user reads its directory");
}

static void check_keys(struct cli *c, struct findings *l)
{
    char msg[256] = "";
    struct keys keys;
    enum err e = keys_load(c->dir, &keys, msg);
    explicit_bzero(&keys, sizeof keys);
    findings_add(c, l, e == ERR_OK ? "ok" : "fail", "keys",
                 e == ERR_OK ? "here and readable by the node's user alone"
                             : arena_strdup(&c->arena, msg));
}

static void check_disk(struct cli *c, struct findings *l, const char *what, const char *path)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0)
        return;
    unsigned long long free_bytes = (unsigned long long)v.f_bavail * v.f_frsize;
    const char *level = free_bytes < DISK_FAIL_BYTES   ? "fail"
                        : free_bytes < DISK_WARN_BYTES ? "warn"
                                                       : "ok";
    findings_add(
        c, l, level, what,
        cli_printf(
            c, "%llu MB free%s", free_bytes >> 20,
            strcmp(level, "ok") == 0
                ? ""
                : ": free some disk; without it neither the applications nor the node can write"));
}

static void check_clock(struct cli *c, struct findings *l, const struct store_state *state)
{
    uint64_t now = cli_now_ms(), seen = hlc_ms(state->hlc);
    if (now < EARLIEST_MS)
        findings_add(
            c, l, "fail", "clock",
            cli_printf(c,
                       "it shows %s: set it, or let the system fetch the time (timesyncd, chrony); "
                       "the node works meanwhile",
                       cli_time(c, now)));
    else if (now + SKEW_MS < seen)
        findings_add(
            c, l, "warn", "clock",
            cli_printf(c,
                       "it shows %s, but the federation has passed %s: set it, or find the office "
                       "whose clock is ahead",
                       cli_time(c, now), cli_time(c, seen)));
    else
        findings_add(c, l, "ok", "clock", cli_time(c, now));
}

static void check_capture(struct cli *c, struct findings *l, struct cli_office *o, bool running)
{
    if (store_capture_check(o->store))
        findings_add(c, l, "ok", "capture", "the triggers of every replicated table are in place");
    else
        findings_add(c, l, "fail", "capture",
                     running ? "a replicated table's triggers are missing or out of date; the node "
                               "puts them back by itself: look again in a moment"
                             : "a replicated table's triggers are missing or out of date: start "
                               "the node, which puts them back; `tonle status` names what was "
                               "written meanwhile until it has been compared");
}

static void check_sequence(struct cli *c, struct findings *l, const struct sequence_report *r)
{
    if (r->position >= BLOCK_ID_MAX)
        findings_add(c, l, "fail", r->table,
                     cli_printf(c,
                                "its numbers have reached %lld, behind which no office has blocks: "
                                "offices give out the same numbers from now on; find the row with "
                                "that number, which an application chose itself",
                                (long long)r->position));
    else if (r->outside > 0 && r->outside_ms + OUTSIDE_MS > cli_now_ms())
        findings_add(
            c, l, "warn", r->table,
            cli_printf(c,
                       "%llu rows were entered here with numbers outside this office's blocks, the "
                       "last at %s: numbers that the application chose itself, more rows at once "
                       "than a block has, or while the node did not run; where another office has "
                       "given out the same, `tonle held list` shows one of the two rows",
                       (unsigned long long)r->outside, cli_time(c, r->outside_ms)));
    else if (r->position > INT32_MAX)
        findings_add(c, l, "warn", r->table,
                     cli_printf(c,
                                "its numbers are beyond 32 bits (%lld): a program that reads them "
                                "as 32-bit numbers goes wrong",
                                (long long)r->position));
    else
        findings_add(c, l, "ok", r->table,
                     cli_printf(c, "its numbers are this office's own (above %lld)",
                                (long long)r->position));
}

static int check_sequences(struct cli *c, struct findings *l, struct cli_office *o)
{
    struct sequence_report *r = NULL;
    int64_t number;
    size_t n = 0;
    enum err e = store_sequence_report(o->store, &c->arena, &number, &r, &n);
    if (n > 0 && number < 0)
        findings_add(c, l, "warn", "numbers",
                     "this office has no blocks of integer keys, because the hub has given out all "
                     "(key_blocks: count in the charter): it may give out numbers that another "
                     "office gives out, too");
    for (size_t i = 0; i < n && number >= 0; i++)
        check_sequence(c, l, &r[i]);
    return e == ERR_OK || l->failed > 0 ? CLI_OK : office_fail(o, e, "reading the sequences");
}

static void check_line(struct cli *c, struct findings *l, const json_t *status, bool running)
{
    const char *line =
        json_string_value(json_object_get(json_object_get(status, "parent"), "line"));
    size_t i;
    json_t *o;
    if (!running) {
        findings_add(c, l, "warn", "node",
                     cli_printf(c, "not running: start it with `tonle run --dir %s` or its service",
                                c->dir));
        return;
    }
    findings_add(c, l, "ok", "node",
                 line ? cli_printf(c, "running; the line to the parent is %s", line) : "running");
    json_array_foreach(json_object_get(status, "reasons"), i, o)
    {
        const char *subject, *text, *next;
        if (json_unpack(o, "{s:s, s:s, s:s}", "subject", &subject, "text", &text, "next", &next) ==
            0)
            findings_add(c, l, "warn", arena_strdup(&c->arena, subject),
                         cli_printf(c, "%s: %s", text, next));
    }
}

static int check_database(struct cli *c, struct findings *l, struct cli_office *o)
{
    struct finding *f = NULL;
    size_t n = 0;
    enum err e = store_begin_read(o->store);
    if (e != ERR_OK)
        return office_fail(o, e, "reading the database");
    check_clock(c, l, store_state_get(o->store));
    store_rollback(o->store);
    e = store_schema_findings(o->store, &c->arena, &f, &n);
    for (size_t i = 0; i < n; i++)
        findings_add(c, l, f[i].level, f[i].subject, f[i].text);
    return e == ERR_OK || l->failed > 0 ? CLI_OK : office_fail(o, e, "checking the tables");
}

int command_doctor(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    struct findings l = {0};
    json_t *status = NULL;
    int code = cli_arguments(c, argc, argv, NULL, 0, 0);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    bool running = status_read(c, &status) == CLI_OK;
    check_permissions(c, &l);
    check_keys(c, &l);
    check_disk(c, &l, "disk of the database", o.db_path);
    check_disk(c, &l, "disk of the directory", c->dir);
    code = check_database(c, &l, &o);
    if (code == CLI_OK)
        code = check_sequences(c, &l, &o);
    if (code == CLI_OK) {
        check_capture(c, &l, &o, running);
        check_line(c, &l, status, running);
        findings_print(c, &l);
        code = l.failed > 0 ? CLI_ERROR : l.warned > 0 ? CLI_DEGRADED : CLI_OK;
    }
    json_decref(status);
    office_close(&o);
    return code;
}
