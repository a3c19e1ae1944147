#include "tests/sim/disk.h"

#include "tests/sim/image.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512
#define SHM_SLOTS 8
#define FILES_MAX 256

struct file {
    char name[128];
    bool exists; /* live */
    bool exists_durable;
    struct image live, durable;
    uint32_t generation; /* handles of an older one are dead */
    struct disk_handle *handles;
    uint8_t *shm[64];
    int shm_refs;
    struct disk_handle *shm_exclusive[SHM_SLOTS];
    int shm_shared[SHM_SLOTS];
};
struct disk_handle {
    sqlite3_file base;
    struct disk *disk;
    struct file *file;
    struct disk_handle *next; /* of the file */
    uint32_t generation;
    int lock;
    uint32_t shm_mine; /* slots held shared */
    bool shm_open, temporary;
    struct image own; /* bytes of a temporary file */
};
struct disk {
    sqlite3_vfs vfs;
    struct file file[FILES_MAX];
    int n_files;
    uint64_t random, random_sql;
    uint64_t wall_ms;
    char fail_prefix[64];
    uint64_t fail_in; /* 0: never */
    bool failed;
};

static uint64_t draw(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static struct image *bytes_of(struct disk_handle *h)
{
    return h->temporary ? &h->own : &h->file->live;
}

static bool dead(const struct disk_handle *h)
{
    return !h->temporary && h->generation != h->file->generation;
}

/* Whether this write or sync still happens. */
static bool power(struct disk_handle *h)
{
    struct disk *d = h->disk;
    if (h->temporary)
        return true;
    if (dead(h))
        return false;
    if (d->fail_in == 0 || strncmp(h->file->name, d->fail_prefix, strlen(d->fail_prefix)) != 0)
        return true;
    if (d->fail_in > 1) {
        d->fail_in--;
        return true;
    }
    d->failed = true;
    return false;
}

/* ---- io methods ---- */

static int io_unmap(sqlite3_file *f, int del);

static int io_close(sqlite3_file *f)
{
    struct disk_handle *h = (struct disk_handle *)f;
    if (h->temporary) {
        free(h->own.p);
        return SQLITE_OK;
    }
    if (h->shm_open)
        io_unmap(f, 0);
    for (struct disk_handle **p = &h->file->handles; *p; p = &(*p)->next) {
        if (*p == h) {
            *p = h->next;
            break;
        }
    }
    return SQLITE_OK;
}

static int io_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    struct disk_handle *h = (struct disk_handle *)f;
    struct image *m = bytes_of(h);
    if (dead(h))
        return SQLITE_IOERR_READ;
    size_t have = (size_t)at < m->n ? m->n - (size_t)at : 0;
    size_t k = have < (size_t)n ? have : (size_t)n;
    if (k)
        memcpy(to, m->p + at, k);
    memset((char *)to + k, 0, (size_t)n - k);
    return k == (size_t)n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int io_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    struct disk_handle *h = (struct disk_handle *)f;
    struct image *m = bytes_of(h);
    if (!power(h))
        return SQLITE_IOERR_WRITE;
    if ((size_t)(at + n) > m->n)
        image_size(m, (size_t)(at + n));
    memcpy(m->p + at, from, (size_t)n);
    image_touch(m, (size_t)at, (size_t)(at + n));
    return SQLITE_OK;
}

static int io_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    struct disk_handle *h = (struct disk_handle *)f;
    if (!power(h))
        return SQLITE_IOERR_TRUNCATE;
    image_size(bytes_of(h), (size_t)n);
    return SQLITE_OK;
}

static int io_sync(sqlite3_file *f, int flags)
{
    struct disk_handle *h = (struct disk_handle *)f;
    (void)flags;
    if (!power(h))
        return SQLITE_IOERR_FSYNC;
    if (!h->temporary) {
        image_sync(&h->file->durable, &h->file->live);
        h->file->exists_durable = true;
    }
    return SQLITE_OK;
}

static int io_size(sqlite3_file *f, sqlite3_int64 *n)
{
    *n = (sqlite3_int64)bytes_of((struct disk_handle *)f)->n;
    return SQLITE_OK;
}

static int others(const struct disk_handle *h, int level)
{
    int n = 0;
    for (const struct disk_handle *o = h->file->handles; o; o = o->next)
        n += o != h && !dead(o) && o->lock >= level;
    return n;
}

static int io_lock(sqlite3_file *f, int level)
{
    struct disk_handle *h = (struct disk_handle *)f;
    if (h->temporary || h->lock >= level)
        return SQLITE_OK;
    if (dead(h))
        return SQLITE_IOERR_LOCK;
    if (level == SQLITE_LOCK_SHARED && others(h, SQLITE_LOCK_PENDING))
        return SQLITE_BUSY;
    if (level == SQLITE_LOCK_RESERVED && others(h, SQLITE_LOCK_RESERVED))
        return SQLITE_BUSY;
    if (level == SQLITE_LOCK_EXCLUSIVE) {
        if (others(h, SQLITE_LOCK_PENDING))
            return SQLITE_BUSY;
        if (others(h, SQLITE_LOCK_SHARED)) {
            h->lock = SQLITE_LOCK_PENDING;
            return SQLITE_BUSY;
        }
    }
    h->lock = level;
    return SQLITE_OK;
}

static int io_unlock(sqlite3_file *f, int level)
{
    struct disk_handle *h = (struct disk_handle *)f;
    if (h->lock > level)
        h->lock = level;
    return SQLITE_OK;
}

static int io_reserved(sqlite3_file *f, int *yes)
{
    struct disk_handle *h = (struct disk_handle *)f;
    *yes =
        !h->temporary && (h->lock >= SQLITE_LOCK_RESERVED || others(h, SQLITE_LOCK_RESERVED) > 0);
    return SQLITE_OK;
}

static int io_control(sqlite3_file *f, int op, void *arg)
{
    (void)f;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int io_sector(sqlite3_file *f)
{
    (void)f;
    return SECTOR;
}

static int io_device(sqlite3_file *f)
{
    (void)f;
    return 0;
}

/* ---- shared memory ---- */

static int io_map(sqlite3_file *f, int region, int size, int extend, void volatile **out)
{
    struct disk_handle *h = (struct disk_handle *)f;
    *out = NULL;
    if (dead(h) || region >= 64)
        return SQLITE_IOERR_SHMMAP;
    if (!h->shm_open) {
        h->shm_open = true;
        h->file->shm_refs++;
    }
    if (!h->file->shm[region] && extend) {
        h->file->shm[region] = calloc(1, (size_t)size);
        if (!h->file->shm[region])
            abort();
    }
    *out = h->file->shm[region];
    return SQLITE_OK;
}

static int shm_release(struct disk_handle *h, int slot)
{
    struct file *x = h->file;
    if (x->shm_exclusive[slot] == h)
        x->shm_exclusive[slot] = NULL;
    if (h->shm_mine & (1u << slot)) {
        h->shm_mine &= ~(1u << slot);
        x->shm_shared[slot]--;
    }
    return SQLITE_OK;
}

static int io_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    struct disk_handle *h = (struct disk_handle *)f;
    struct file *x = h->file;
    if (dead(h))
        return flags & SQLITE_SHM_UNLOCK ? SQLITE_OK : SQLITE_IOERR_SHMLOCK;
    for (int i = at; i < at + n; i++) {
        if (flags & SQLITE_SHM_UNLOCK)
            continue;
        if (x->shm_exclusive[i] && x->shm_exclusive[i] != h)
            return SQLITE_BUSY;
        int shared = x->shm_shared[i] - (h->shm_mine & (1u << i) ? 1 : 0);
        if (flags & SQLITE_SHM_EXCLUSIVE && shared > 0)
            return SQLITE_BUSY;
    }
    for (int i = at; i < at + n; i++) {
        if (flags & SQLITE_SHM_UNLOCK) {
            shm_release(h, i);
        } else if (flags & SQLITE_SHM_EXCLUSIVE) {
            x->shm_exclusive[i] = h;
        } else if (!(h->shm_mine & (1u << i))) {
            h->shm_mine |= 1u << i;
            x->shm_shared[i]++;
        }
    }
    return SQLITE_OK;
}

static void io_barrier(sqlite3_file *f)
{
    (void)f;
}

static void shm_drop(struct file *x)
{
    for (int i = 0; i < 64; i++) {
        free(x->shm[i]);
        x->shm[i] = NULL;
    }
    memset(x->shm_exclusive, 0, sizeof x->shm_exclusive);
    memset(x->shm_shared, 0, sizeof x->shm_shared);
    x->shm_refs = 0;
}

static int io_unmap(sqlite3_file *f, int del)
{
    struct disk_handle *h = (struct disk_handle *)f;
    (void)del;
    if (!h->shm_open)
        return SQLITE_OK;
    h->shm_open = false;
    if (dead(h))
        return SQLITE_OK;
    for (int i = 0; i < SHM_SLOTS; i++)
        shm_release(h, i);
    if (--h->file->shm_refs == 0)
        shm_drop(h->file);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = io_close,
    .xRead = io_read,
    .xWrite = io_write,
    .xTruncate = io_truncate,
    .xSync = io_sync,
    .xFileSize = io_size,
    .xLock = io_lock,
    .xUnlock = io_unlock,
    .xCheckReservedLock = io_reserved,
    .xFileControl = io_control,
    .xSectorSize = io_sector,
    .xDeviceCharacteristics = io_device,
    .xShmMap = io_map,
    .xShmLock = io_shm_lock,
    .xShmBarrier = io_barrier,
    .xShmUnmap = io_unmap,
};

/* ---- the VFS ---- */

static struct file *find(struct disk *d, const char *name, bool make)
{
    for (int i = 0; i < d->n_files; i++) {
        if (strcmp(d->file[i].name, name) == 0)
            return &d->file[i];
    }
    if (!make)
        return NULL;
    if (d->n_files == FILES_MAX || strlen(name) >= sizeof d->file[0].name)
        abort();
    struct file *x = &d->file[d->n_files++];
    strcpy(x->name, name);
    return x;
}

static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    struct disk_handle *h = (struct disk_handle *)f;
    memset(h, 0, sizeof *h);
    h->disk = v->pAppData;
    if (out)
        *out = flags;
    if (!name) {
        h->temporary = true;
        h->base.pMethods = &methods;
        return SQLITE_OK;
    }
    struct file *x = find(h->disk, name, (flags & SQLITE_OPEN_CREATE) != 0);
    if (!x || (!x->exists && !(flags & SQLITE_OPEN_CREATE)))
        return SQLITE_CANTOPEN;
    if (!x->exists) { /* a new file: nothing of one that had this name comes back under it */
        x->exists_durable = false;
        image_size(&x->durable, 0);
    }
    x->exists = true;
    h->file = x;
    h->generation = x->generation;
    h->next = x->handles;
    x->handles = h;
    h->base.pMethods = &methods;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *v, const char *name, int sync)
{
    struct disk *d = v->pAppData;
    struct file *x = find(d, name, false);
    if (!x || !x->exists)
        return SQLITE_IOERR_DELETE_NOENT;
    struct disk_handle probe = {.disk = d, .file = x, .generation = x->generation};
    if (!power(&probe))
        return SQLITE_IOERR_DELETE;
    x->exists = false;
    image_size(&x->live, 0);
    if (sync) {
        x->exists_durable = false;
        image_size(&x->durable, 0);
    }
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *v, const char *name, int flags, int *yes)
{
    struct file *x = find(v->pAppData, name, false);
    (void)flags;
    *yes = x && x->exists;
    return SQLITE_OK;
}

static int vfs_full(sqlite3_vfs *v, const char *name, int n, char *out)
{
    (void)v;
    sqlite3_snprintf(n, out, "%s", name);
    return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *v, int n, char *out)
{
    struct disk *d = v->pAppData;
    for (int i = 0; i < n; i++)
        out[i] = (char)draw(&d->random_sql);
    return n;
}

static int vfs_sleep(sqlite3_vfs *v, int us)
{
    (void)v;
    return us;
}

static int vfs_time(sqlite3_vfs *v, sqlite3_int64 *out)
{
    struct disk *d = v->pAppData;
    *out = 210866760000000LL + (sqlite3_int64)d->wall_ms;
    return SQLITE_OK;
}

static int vfs_error(sqlite3_vfs *v, int n, char *out)
{
    (void)v;
    (void)n;
    (void)out;
    return 0;
}

struct disk *disk_new(uint64_t seed)
{
    struct disk *d = calloc(1, sizeof *d);
    if (!d)
        abort();
    d->random = seed * 0x9e3779b97f4a7c15ULL + 1;
    d->random_sql = d->random ^ 0x5bd1e995;
    d->wall_ms = 1700000000000ULL;
    d->vfs = (sqlite3_vfs){.iVersion = 2,
                           .szOsFile = sizeof(struct disk_handle),
                           .mxPathname = 120,
                           .zName = DISK_VFS,
                           .pAppData = d,
                           .xOpen = vfs_open,
                           .xDelete = vfs_delete,
                           .xAccess = vfs_access,
                           .xFullPathname = vfs_full,
                           .xRandomness = vfs_random,
                           .xSleep = vfs_sleep,
                           .xCurrentTimeInt64 = vfs_time,
                           .xGetLastError = vfs_error};
    sqlite3_vfs_register(&d->vfs, 0);
    return d;
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    sqlite3_vfs_unregister(&d->vfs);
    for (int i = 0; i < d->n_files; i++) {
        shm_drop(&d->file[i]);
        free(d->file[i].live.p);
        free(d->file[i].durable.p);
    }
    free(d);
}

/* Some of the sectors that were written and not synced reached the platter, some did not. A file
 * that was cut short is that, or is as long as it was with what it had: no sector of it is lost
 * alone. */
static void tear(struct disk *d, struct file *x)
{
    size_t kept = x->live.n, n = x->live.n > x->durable.n ? x->live.n : x->durable.n;
    size_t top = x->durable.n;
    bool drawn = false, cut = false;
    image_size(&x->durable, n);
    image_size(&x->live, n);
    for (size_t at = 0; at < n; at += SECTOR) {
        size_t k = n - at < SECTOR ? n - at : SECTOR;
        if (memcmp(x->live.p + at, x->durable.p + at, k) == 0)
            continue;
        bool lost = draw(&d->random) & 1;
        if (at >= kept && !drawn)
            cut = !lost;
        drawn = drawn || at >= kept;
        if (at >= kept || lost)
            continue;
        k = kept - at < k ? kept - at : k;
        memcpy(x->durable.p + at, x->live.p + at, k);
        image_touch(&x->durable, at, at + k);
        top = at + k > top ? at + k : top;
    }
    image_size(&x->durable, cut ? kept : top);
    image_copy(&x->live, &x->durable);
}

void disk_crash(struct disk *d, const char *prefix)
{
    for (int i = 0; i < d->n_files; i++) {
        struct file *x = &d->file[i];
        if (strncmp(x->name, prefix, strlen(prefix)) != 0)
            continue;
        x->generation++;
        shm_drop(x);
        if (x->exists != x->exists_durable && (draw(&d->random) & 1))
            x->exists_durable = x->exists; /* the directory was written back in time */
        else if (x->exists && !x->exists_durable)
            image_size(&x->live, 0);
        else if (!x->exists &&
                 x->exists_durable) /* the unlinking is undone: the old file is back */
            image_copy(&x->live, &x->durable);
        x->exists = x->exists_durable;
        if (x->exists) {
            tear(d, x);
        } else {
            image_size(&x->live, 0);
            image_size(&x->durable, 0);
        }
    }
    d->fail_in = 0;
    d->failed = false;
}

void disk_fail_after(struct disk *d, const char *prefix, uint64_t nth)
{
    d->fail_in = nth;
    d->failed = false;
    sqlite3_snprintf(sizeof d->fail_prefix, d->fail_prefix, "%s", prefix);
}

bool disk_failed(struct disk *d)
{
    return d->failed;
}

void disk_copy(struct disk *d, const char *from, const char *to)
{
    static const char *const ending[] = {"", "-wal", "-journal"};
    for (int i = 0; i < 3; i++) {
        char a[160], b[160];
        sqlite3_snprintf(sizeof a, a, "%s%s", from, ending[i]);
        sqlite3_snprintf(sizeof b, b, "%s%s", to, ending[i]);
        struct file *source = find(d, a, false);
        struct file *copy = find(d, b, true);
        copy->generation++;
        shm_drop(copy);
        copy->exists = copy->exists_durable = source && source->exists;
        image_size(&copy->live, 0);
        if (source && source->exists)
            image_copy(&copy->live, &source->live);
        image_copy(&copy->durable, &copy->live);
    }
}

void disk_set_time(struct disk *d, uint64_t wall_ms)
{
    d->wall_ms = wall_ms;
}

uint64_t disk_hash(struct disk *d)
{
    uint64_t h = 1469598103934665603ULL;
    for (int i = 0; i < d->n_files; i++) {
        for (size_t k = 0; d->file[i].exists && k < d->file[i].live.n; k++)
            h = (h ^ d->file[i].live.p[k]) * 1099511628211ULL;
    }
    return h;
}
