/* claim.c - one database, one node: the database itself says who runs beside it.
 *
 * The lock in the state directory keeps a second node from that directory. Two directories (a copy
 * of one, keys and all) are told apart by the database: tonle_meta `runner` is
 *
 *   DEVICE:INODE of the database's file, a blank, the lock file of the node that runs
 *
 * and whoever starts looks whether that lock is held. It is written in a transaction of the
 * database, so two that start at once see each other, and it is the same row whatever link, mount
 * or name leads to the file. A copy of the database is another file. The lock ends with its
 * process, so a row that was left behind stops nobody.
 *
 * Not found: a directory that cannot be seen from here, as in another container; and by a hard link
 * to a database in WAL mode the row is seen after a checkpoint only, as all of it (SQLite forbids
 * such names). */
#include "node/cli/cli.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define RUNNER "runner"
#define TRIES 25 /* of the time that a running node waits for a lock */

static int taken(const struct cli_office *o, const char *by)
{
    const char *end = strrchr(by, '/');
    return cli_fail(CLI_ERROR,
                    "another node runs on the database %s already, with the directory %.*s: only "
                    "one may. `tonle status --dir %.*s` shows it; stop it first, or give this one "
                    "its own database",
                    o->db_path, (int)(end ? end - by : 0), by, (int)(end ? end - by : 0), by);
}

/* In a transaction. CLI_OK and *known: the row is `mine` already. */
static int look(struct cli *c, const struct cli_office *o, int lock, const char *mine, bool *known)
{
    struct bytes row = {0};
    enum err e = store_meta_get(o->store, &c->arena, RUNNER, &row);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return office_fail(o, e, "looking who runs on the database");
    const char *found = e == ERR_OK ? cli_printf(c, "%.*s", (int)row.len, (const char *)row.p) : "";
    size_t file = strcspn(mine, " ") + 1;
    *known = strcmp(found, mine) == 0;
    if (*known || strncmp(found, mine, file) != 0)
        return CLI_OK;
    const char *by = found + file;
    switch (lock_look(by, lock)) {
    case LOCK_ANOTHERS:
        return taken(o, by);
    case LOCK_UNKNOWN:
        return cli_fail(CLI_ERROR,
                        "the database %s was last run on with %s, which cannot be looked at (%s): "
                        "run this node as the same user",
                        o->db_path, by, strerror(errno));
    default:
        return CLI_OK;
    }
}

/* ERR_OK: it is ours, or *code says why not. */
static enum err take(struct cli *c, struct cli_office *o, int lock, const char *mine, bool write,
                     int *code)
{
    bool known = false;
    enum err e = store_begin_read(o->store);
    if (e != ERR_OK)
        return e;
    *code = look(c, o, lock, mine, &known);
    store_rollback(o->store);
    if (*code != CLI_OK || (known && !write))
        return ERR_OK;
    e = store_begin(o->store);
    if (e != ERR_OK)
        return e;
    *code = look(c, o, lock, mine, &known);
    if (*code == CLI_OK)
        e = store_meta_set(o->store, RUNNER, mine, strlen(mine));
    if (*code == CLI_OK && e == ERR_OK)
        return store_commit(o->store);
    store_rollback(o->store);
    return e;
}

int office_claim(struct cli *c, struct cli_office *o, int lock, bool write)
{
    char name[CONFIG_NAME_BYTES], msg[256] = "";
    struct stat st;
    int code = CLI_OK;
    enum err e = lock_name(c->dir, name, msg);
    if (e != ERR_OK)
        return cli_fail(CLI_ERROR, "%s", msg);
    if (stat(o->db_path, &st) != 0)
        return cli_fail(CLI_ERROR, "the database %s cannot be looked at: %s", o->db_path,
                        strerror(errno));
    const char *mine = cli_printf(c, "%llx:%llx %s", (unsigned long long)st.st_dev,
                                  (unsigned long long)st.st_ino, name);
    e = ERR_BUSY;
    for (int i = 0; i < TRIES && e == ERR_BUSY; i++)
        e = take(c, o, lock, mine, write, &code);
    o->fault = e;
    return e == ERR_OK ? code : office_fail(o, e, "noting who runs on the database");
}
