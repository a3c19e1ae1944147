#include "node/loop/int.h"

#include "conflict/mem.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The directory is watched, not the files: a watch on the -wal file dies with it. The names of the
 * -wal and -journal files begin with the database's. */
static void on_watch(uv_fs_event_t *h, const char *name, int events, int status)
{
    struct watch *w = h->data;
    (void)events;
    /* NULL: the kernel's queue has overflowed. */
    size_t n = strlen(w->name);
    if (status < 0 || !name || strncmp(name, w->name, n) == 0)
        *w->changed = true;
    if (name && strncmp(name, w->name, n) == 0 && strcmp(name + n, "-wal") == 0)
        *w->wal = true;
}

void watch_start(struct watch *w, uv_loop_t *uv, const char *db_path, bool *changed, bool *wal)
{
    char *real =
        realpath(db_path, NULL); /* SQLite puts -wal beside the file that a link points to */
    char *path = real ? real : mem_strdup(db_path), *copy = mem_strdup(path);
    w->changed = changed;
    w->wal = wal;
    snprintf(w->name, sizeof w->name, "%s", basename(copy));
    uv_fs_event_init(uv, &w->handle);
    w->handle.data = w;
    int rc = uv_fs_event_start(&w->handle, on_watch, dirname(path), 0);
    if (rc)
        loop_log_pair(1, "watch_failed", "reason",
                      uv_strerror(rc)); /* the tick looks all the same */
    mem_free(copy);
    mem_free(path);
}
