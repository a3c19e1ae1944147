/* The WAL guard (DESIGN 10).
 *
 * SQLite before 3.51.3 (and 3.50.7, 3.44.6) corrupts a database when a PASSIVE checkpoint races a
 * writer that starts the WAL anew. A reader that holds one of the read locks 1..4 stops every such
 * reset, because walRestartLog needs them all; a reader on read lock 0 (SQLite gives it out when
 * the WAL is fully backfilled: the reader needs no frame) stops nothing. So a second connection
 * keeps a read transaction open, begun when the last committed frames were not in the database file
 * yet.
 *
 * The check that it is so reads the wal-index (walformat.html, section 2.1): mxFrame before the
 * transaction, nBackfill after it. nBackfill only grows until a reset, and a reset changes the
 * salt; so with one salt, nBackfill_after < mxFrame_before means that when the reader chose its
 * lock the WAL was not fully backfilled: not lock 0.
 *
 * With the pin the WAL only grows, so we reclaim it: a TRUNCATE checkpoint, whose busy handler lets
 * go of the pin while the checkpoint already holds the write lock. A TRUNCATE that cannot have the
 * write lock goes on as a PASSIVE one; the handler interrupts it before that, so it copies nothing.
 * Our connections never checkpoint by themselves, so the reclaim is also done where no pin is
 * needed. */
#include "node/db/pin.h"

#include "node/db/query.h"
#include "node/db/sqlite.h"

#include <string.h>
#include <unistd.h>

#define RECLAIM_BYTES (16 << 20)
#define WAIT_BUSY 50 /* milliseconds for a writer or another reader: the lock budget */
#define WAIT_PINNED                                                                                \
    10 /* of them with the pin still held: mostly a writer that is just finishing                  \
        */
#define TAKE_TRIES 4

struct pin {
    sqlite3 *db; /* read-only, only for the read transaction; NULL: no guard wanted */
    bool held;
    pid_t pid;      /* a forked child leaves it alone */
    int pages;      /* of the WAL at our last commit, by the hook; 0: not in WAL mode */
    int reclaim_at; /* pages */
};

struct wal_index { /* walformat.html, table "WAL-Index Header" */
    bool valid;
    uint32_t frames; /* mxFrame */
    uint32_t salt[2];
    uint32_t backfilled; /* nBackfill */
};

bool pin_library_affected(int version_number)
{
    if (version_number >= 3051003)
        return false;
    if (version_number >= 3050007 && version_number < 3051000)
        return false;
    return !(version_number >= 3044006 && version_number < 3045000);
}

static struct wal_index wal_index_read(struct store *s)
{
    struct wal_index w = {0};
    sqlite3_file *f = NULL;
    if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_FILE_POINTER, &f) != SQLITE_OK || !f ||
        !f->pMethods || f->pMethods->iVersion < 2 || !f->pMethods->xShmMap)
        return w;
    void volatile *map = NULL;
    if (f->pMethods->xShmMap(f, 0, 32768, 0, &map) != SQLITE_OK || !map)
        return w;
    const volatile uint32_t *word = map;
    uint32_t copy[24]; /* the header stands there twice; a torn read shows as a difference */
    for (int i = 0; i < 24; i++)
        copy[i] = __atomic_load_n(&word[i], __ATOMIC_ACQUIRE);
    w.valid = memcmp(copy, copy + 12, 48) == 0 && copy[0] != 0;
    w.frames = copy[4];
    w.salt[0] = copy[8];
    w.salt[1] = copy[9];
    w.backfilled = __atomic_load_n(&word[24], __ATOMIC_ACQUIRE);
    return w;
}

static bool pin_holds(const struct wal_index *before, const struct wal_index *after)
{
    return before->valid && after->valid && memcmp(before->salt, after->salt, 8) == 0 &&
           after->backfilled < before->frames;
}

static void pin_drop(struct pin *p)
{
    if (!sqlite3_get_autocommit(p->db))
        sqlite3_exec(p->db, "ROLLBACK", NULL, NULL, NULL);
    p->held = false;
}

/* Commits one frame, so that the WAL is not fully backfilled. */
static bool touch(struct store *s)
{
    return sqlite3_exec(s->db,
                        "INSERT OR REPLACE INTO tonle_meta(k, v) VALUES('pin',"
                        " coalesce((SELECT v FROM tonle_meta WHERE k = 'pin'), 0) + 1)",
                        NULL, NULL, NULL) == SQLITE_OK;
}

/* Not being able to is no error: it is tried again after the next commit. */
static void pin_take(struct store *s)
{
    struct pin *p = s->pin;
    for (int i = 0; i < TAKE_TRIES && !p->held; i++) {
        if (i > 0 && !touch(s))
            return;
        struct wal_index before = wal_index_read(s);
        int rc =
            sqlite3_exec(p->db, "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
        struct wal_index after = wal_index_read(s);
        p->held = rc == SQLITE_OK && pin_holds(&before, &after);
        if (!p->held)
            pin_drop(p);
    }
}

static int count_pages(void *context, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    if (strcmp(name, "main") == 0)
        ((struct pin *)context)->pages = pages;
    return SQLITE_OK;
}

static bool in_wal_mode(struct store *s)
{
    struct query q = DB_QUERY(s, "PRAGMA main.journal_mode");
    struct bytes mode = query_next(&q) ? query_borrow(&q, 0) : (struct bytes){0};
    bool wal = mode.len == 3 && memcmp(mode.p, "wal", 3) == 0;
    return query_end(&q) == ERR_OK && wal;
}

/* In pages. */
static int reclaim_limit(struct store *s)
{
    int64_t page;
    bool known = db_number(s, "PRAGMA main.page_size", &page) == ERR_OK && page >= 512;
    return RECLAIM_BYTES / (known ? (int)page : 4096);
}

static enum err pin_make(struct store *s)
{
    struct pin *p = mem_alloc(sizeof *p);
    p->pid = getpid();
    s->pin = p;
    sqlite3_wal_hook(s->db, count_pages, p);
    p->reclaim_at = reclaim_limit(s);
    if (!s->options.wal_guard || !pin_library_affected(sqlite3_libversion_number()))
        return ERR_OK;
    int rc = sqlite3_open_v2(s->options.path, &p->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX,
                             s->options.vfs);
    if (rc == SQLITE_OK)
        return ERR_OK;
    enum err e = store_fail(s, (rc & 0xff) == SQLITE_BUSY ? ERR_BUSY : ERR_IO,
                            "the connection that guards the WAL cannot be opened: %s",
                            p->db ? sqlite3_errmsg(p->db) : sqlite3_errstr(rc));
    pin_close(s);
    return e;
}

enum err pin_open(struct store *s)
{
    enum err e = !s->pin ? pin_make(s) : ERR_OK;
    if (e != ERR_OK)
        return e;
    struct pin *p = s->pin;
    if (p->db && in_wal_mode(s))
        pin_take(s);
    return ERR_OK;
}

void pin_close(struct store *s)
{
    struct pin *p = s->pin;
    if (!p)
        return;
    s->pin = NULL;
    sqlite3_wal_hook(s->db, NULL, NULL);
    if (p->pid == getpid())
        sqlite3_close_v2(p->db);
    mem_free(p);
}

static int reclaim_wait(void *context, int n)
{
    struct store *s = context;
    struct pin *p = s->pin;
    if (n >= WAIT_PINNED && p->held)
        pin_drop(p);
    if (n >= WAIT_BUSY) {
        sqlite3_interrupt(s->db); /* or else it would go on as a PASSIVE checkpoint */
        return 0;
    }
    sqlite3_sleep(1);
    return 1;
}

static void reclaim(struct store *s)
{
    struct pin *p = s->pin;
    int step = p->reclaim_at;
    sqlite3_busy_handler(s->db, reclaim_wait, s);
    int rc = sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(s->db, (int)s->options.busy_ms);
    int limit = reclaim_limit(s);
    /* Where a reader of the application stands in the way, not again at every commit. */
    p->reclaim_at = rc == SQLITE_OK ? limit : step + limit / 8;
}

void pin_after_commit(struct store *s)
{
    if (s->options.read_only || (!s->pin && pin_make(s) != ERR_OK))
        return;
    struct pin *p = s->pin;
    if (p->pid != getpid() || p->pages == 0)
        return;
    if (p->pages >= p->reclaim_at)
        reclaim(s);
    if (p->db && !p->held)
        pin_take(s);
    p->pages = 0; /* the application may leave WAL mode; the hook tells that it has not */
}
