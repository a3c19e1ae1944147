#include "node/db/copy.h"

#include "node/db/query.h"

#include <sys/stat.h>
#include <unistd.h>

/* A consistent copy while everybody goes on writing: VACUUM INTO reads one snapshot and syncs the
 * new file like the database itself. */
enum err store_copy(struct store *s, const char *path)
{
    if (s->in_write || s->in_read)
        return store_fail(s, ERR_STATE, "a copy cannot be made inside a transaction");
    if (access(path, F_OK) == 0) /* VACUUM INTO itself would accept an empty file */
        return store_fail(s, ERR_EXISTS, "%.300s exists already: name a new file", path);
    mode_t others = umask(077); /* what is in the database is no more for others in its copy */
    enum err e = DB_RUN(s, "VACUUM main INTO ?1", value_text(path));
    umask(others);
    struct stat original;
    /* Where its owner or group cannot be the original's, it is for its maker alone. */
    if (e == ERR_OK && stat(s->options.path, &original) == 0) {
        bool same = (original.st_uid == geteuid() && original.st_gid == getegid()) ||
                    chown(path, original.st_uid, original.st_gid) == 0;
        (void)chmod(path, original.st_mode & (same ? 0777 : 0700));
    }
    if (e != ERR_OK)
        unlink(path); /* half a copy is none; the message is the copy's */
    return e;
}
