/* Small files, written so that a power cut leaves the old one or the new one. */
#define _GNU_SOURCE /* mkostemp */
#include "node/file/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ROOM_PART_BYTES ((size_t)1 << 20)

static enum err failed(const char *what, const char *path, char msg[256])
{
    int e = errno;
    snprintf(msg, 256, "%.160s: %s: %s", path, what, strerror(e));
    return e == ENOSPC || e == EDQUOT ? ERR_FULL : ERR_IO;
}

enum err config_path(char out[CONFIG_PATH_BYTES], const char *dir, const char *name, char msg[256])
{
    int n = snprintf(out, CONFIG_PATH_BYTES, "%s/%s", dir, name);
    if (n > 0 && n < CONFIG_PATH_BYTES)
        return ERR_OK;
    snprintf(msg, 256, "the path of the state directory is too long");
    return ERR_LIMIT;
}

bool file_write(int fd, const void *p, size_t len)
{
    const char *at = p;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

enum err config_sync_dir(const char *dir, char msg[256])
{
    enum err err = ERR_OK;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed("cannot be opened", dir, msg);
    if (fsync(fd) != 0)
        err = failed("cannot be written to disk", dir, msg);
    close(fd);
    return err;
}

/* The temporary file's name is made by mkostemp, so two writers never share one. */
static enum err write_temporary(char path[CONFIG_PATH_BYTES], const void *p, size_t len,
                                char msg[256])
{
    enum err err = ERR_OK;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return failed("cannot be made", path, msg);
    if (!file_write(fd, p, len) || fsync(fd) != 0)
        err = failed("cannot be written", path, msg);
    if (close(fd) != 0 && !err)
        err = failed("cannot be written", path, msg);
    if (err)
        unlink(path);
    return err;
}

enum err file_room(const char *dir, uint64_t bytes, char msg[256])
{
    char path[CONFIG_PATH_BYTES];
    struct statvfs fs;
    enum err err = config_path(path, dir, ".room-XXXXXX", msg);
    if (err)
        return err;
    if (statvfs(dir, &fs) != 0)
        return failed("cannot be used", dir, msg);
    if (fs.f_blocks > 0 && (uint64_t)fs.f_bavail * fs.f_frsize < bytes) {
        snprintf(msg, 256, "%.160s: %llu MiB are free there, %llu are needed", dir,
                 (unsigned long long)(fs.f_bavail * fs.f_frsize >> 20),
                 (unsigned long long)(bytes >> 20));
        return ERR_FULL;
    }
    void *part = mem_alloc(ROOM_PART_BYTES);
    err = write_temporary(path, part, ROOM_PART_BYTES, msg);
    if (!err)
        unlink(path);
    mem_free(part);
    return err;
}

enum err config_write_file(const char *dir, const char *name, const void *p, size_t len, bool keep,
                           char msg[256])
{
    char temporary[CONFIG_PATH_BYTES], path[CONFIG_PATH_BYTES];
    enum err err = config_path(path, dir, name, msg);
    if (!err)
        err = config_path(temporary, dir, ".new-XXXXXX", msg);
    if (!err)
        err = write_temporary(temporary, p, len, msg);
    if (err)
        return err;
    /* link never replaces a name, rename always does */
    int rc = keep ? link(temporary, path) : rename(temporary, path);
    if (rc != 0) {
        err = keep && errno == EEXIST ? ERR_EXISTS : failed("cannot be written", path, msg);
    }
    if (keep || rc != 0)
        unlink(temporary);
    return err ? err : config_sync_dir(dir, msg);
}
