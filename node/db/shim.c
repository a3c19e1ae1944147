#include "node/db/shim.h"

#include "conflict/mem.h"

#include <sqlite3.h>
#include <string.h>

#define FIRST_MARK 3
#define INDEX_BYTES 32768
#define HEADER_WORDS 12 /* of a header, which stands there twice */

struct shim {
    sqlite3_io_methods m; /* first: what the file's pMethods leads to */
    const sqlite3_io_methods *own;
    sqlite3_file *file;
    unsigned kept;
    bool checkpoint;
};

static unsigned bits_of(int slot, int n)
{
    return slot < FIRST_MARK ? 0 : ((1u << n) - 1) << (slot - FIRST_MARK);
}

static int on_lock(sqlite3_file *f, int slot, int n, int flags)
{
    const struct shim *x = (const struct shim *)f->pMethods;
    unsigned asked = bits_of(slot, n);
    bool takes = flags & SQLITE_SHM_LOCK && flags & SQLITE_SHM_EXCLUSIVE;
    if (takes && !x->checkpoint && slot == FIRST_MARK + 1 && n == SHIM_MARKS - 1)
        return SQLITE_BUSY;
    if (asked && (asked & ~x->kept) == 0)
        return SQLITE_OK;
    if (takes && !x->checkpoint && asked && x->kept)
        return SQLITE_BUSY;
    return x->own->xShmLock(f, slot, n, flags);
}

struct shim *shim_put(struct sqlite3 *db)
{
    sqlite3_file *f = NULL;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &f) != SQLITE_OK || !f ||
        !f->pMethods || f->pMethods->iVersion < 2 || !f->pMethods->xShmLock)
        return NULL;
    struct shim *x = mem_alloc(sizeof *x);
    x->own = f->pMethods;
    x->file = f;
    x->m = *x->own;
    x->m.xShmLock = on_lock;
    f->pMethods = &x->m;
    return x;
}

void shim_free(struct shim *x)
{
    mem_free(x);
}

static int lock_mark(const struct shim *x, int mark, int how)
{
    return x->own->xShmLock(x->file, FIRST_MARK + mark, 1, how | SQLITE_SHM_EXCLUSIVE);
}

bool shim_take(struct shim *x, int mark)
{
    if (!(x->kept & 1u << mark) && lock_mark(x, mark, SQLITE_SHM_LOCK) == SQLITE_OK)
        x->kept |= 1u << mark;
    return x->kept & 1u << mark;
}

void shim_give(struct shim *x)
{
    for (int i = 0; i < SHIM_MARKS; i++)
        if (x->kept & 1u << i)
            lock_mark(x, i, SQLITE_SHM_UNLOCK);
    x->kept = 0;
}

void shim_checkpoint(struct shim *x, bool runs)
{
    x->checkpoint = runs;
}

unsigned shim_kept(const struct shim *x)
{
    return x->kept;
}

bool shim_counter(struct shim *x, uint32_t *out)
{
    uint8_t b[4];
    if (x->own->xRead(x->file, b, sizeof b, 24) != SQLITE_OK)
        return false;
    *out = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return true;
}

struct wal_index shim_index(struct shim *x)
{
    struct wal_index out = {0};
    void volatile *map = NULL;
    uint32_t word[2 * HEADER_WORDS];
    if (x->own->xShmMap(x->file, 0, INDEX_BYTES, 0, &map) != SQLITE_OK || !map)
        return out;
    const volatile uint32_t *now = map;
    for (int i = 0; i < 2 * HEADER_WORDS; i++)
        word[i] = __atomic_load_n(&now[i], __ATOMIC_ACQUIRE);
    out.valid = word[0] != 0 && memcmp(word, word + HEADER_WORDS, HEADER_WORDS * 4) == 0;
    out.frames = word[4];
    out.salt[0] = word[8];
    out.salt[1] = word[9];
    out.backfilled = __atomic_load_n(&now[24], __ATOMIC_ACQUIRE);
    for (int i = 0; i < SHIM_MARKS; i++)
        out.mark[i] = __atomic_load_n(&now[25 + i], __ATOMIC_ACQUIRE);
    return out;
}
