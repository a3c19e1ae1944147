/* A file without a name in the state directory: it goes with the process, however that ends. */
#define _GNU_SOURCE /* mkostemp */
#include "node/loop/int.h"

#include "node/file/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum err spool_open(struct spool *s, const char *dir, char msg[256])
{
    struct buf path = {0};
    buf_printf(&path, "%s/join.XXXXXX", dir);
    (void)buf_str(&path);
    *s = (struct spool){.fd = mkostemp((char *)path.data, O_CLOEXEC)};
    if (s->fd >= 0)
        unlink((char *)path.data);
    else
        snprintf(msg, 256, "%.150s cannot be written to: %s", dir, strerror(errno));
    buf_fini(&path);
    return s->fd >= 0 ? ERR_OK : ERR_IO;
}

void spool_close(struct spool *s)
{
    if (s->fd >= 0)
        close(s->fd);
    buf_fini(&s->recalled);
    s->fd = -1;
}

enum err spool_keep(struct spool *s, struct bytes b)
{
    if (file_write(s->fd, b.p, b.len))
        return ERR_OK;
    return errno == ENOSPC ? ERR_FULL : ERR_IO;
}

enum err spool_recall(struct spool *s, uint64_t offset, size_t len, struct bytes *out)
{
    uint8_t part[65536];
    buf_reset(&s->recalled);
    while (s->recalled.len < len) {
        size_t left = len - s->recalled.len;
        ssize_t n = pread(s->fd, part, left < sizeof part ? left : sizeof part,
                          (off_t)(offset + s->recalled.len));
        if (n == 0 || (n < 0 && errno != EINTR))
            return ERR_IO;
        if (n > 0)
            buf_put(&s->recalled, part, (size_t)n);
    }
    *out = (struct bytes){s->recalled.data, len};
    return ERR_OK;
}
