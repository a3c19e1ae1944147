#include "node/db/neighbour.h"

#include "node/db/query.h"
#include "node/db/shim.h"
#include "node/db/sqlite.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_US 1000000u
#define ALONE_PATIENCE_US 100000u /* where nobody else has written */
#define ALONE_US 5000000u         /* for so long */
#define OFTEN_US 100000u          /* an attempt each millisecond, and then each fourth */
#define SELDOM_MS 4
#define OLD_US                                                                                     \
    20000u /* a reader that has read so long: by then it is known to be of an old state */
#define SHARED_FIRST                                                                               \
    0x40000002 /* of the bytes that readers lock (os.h of SQLite, "SHARED_FIRST") */
#define SHARED_SIZE 510
#define RECLAIM_BYTES (16u << 20)
#define UNDER_MARKS_BYTES (1u << 20) /* of a checkpoint's copying, while everybody waits */
#define RECLAIM_AGAIN_US 250000u
#define RECLAIM_MOST_US 8000000u

struct neighbour {
    struct shim *shim; /* NULL: the file has no wal-index */
    bool wal;          /* the mode, as last seen */
    bool failed;       /* a commit may not be durable */
    bool hurried;      /* patience is over for this transaction */
    int watch;         /* the database, for F_GETLK alone; -1: not open */
    uint64_t since_us; /* a transaction has been wanted; 0: none is */
    uint64_t begun_us, held_us;
    uint64_t
        busy_us[SHIM_MARKS]; /* since then this mark has been read by, at this value; 0: free */
    uint32_t busy_at[SHIM_MARKS];
    uint32_t begun_counter, own_counter; /* with a rollback journal */
    bool own_known;
    uint32_t frames, salt; /* of the WAL when our last transaction ended */
    uint64_t other_us;     /* somebody else has written */
    uint32_t page_bytes;
    uint32_t copied; /* frames that our last checkpoint found in the database */
    uint64_t reclaim_us, reclaim_wait_us; /* the next attempt at a smaller WAL, and its distance */
    uint64_t reader_us; /* since then somebody who reads has kept it long; 0: nobody */
};

static uint64_t now_us(const struct store *s)
{
    return s->options.clock_us ? s->options.clock_us(s->options.clock_user) : 1;
}

bool neighbour_library_affected(int version_number)
{
    if (version_number >= 3051003)
        return false;
    if (version_number >= 3050007 && version_number < 3051000)
        return false;
    return !(version_number >= 3044006 && version_number < 3045000);
}

void neighbour_open(struct store *s)
{
    struct neighbour *nb = mem_alloc(sizeof *nb);
    nb->shim = shim_put(s->db);
    nb->watch = -1;
    s->neighbour = nb;
}

/* Closing any descriptor of a file drops all locks that the process has on it (POSIX): by then
 * SQLite has none. */
void neighbour_close(struct store *s)
{
    struct neighbour *nb = s->neighbour;
    if (!nb)
        return;
    if (nb->watch >= 0)
        close(nb->watch);
    shim_free(nb->shim);
    mem_free(nb);
    s->neighbour = NULL;
}

/* ---- the mode ---- */

/* A read, of the present state, of which then some mark tells. */
static enum err short_read(struct store *s)
{
    int64_t any;
    return db_number(s, "SELECT EXISTS(SELECT 1 FROM sqlite_schema)", &any);
}

/* The application may change it at any time between two transactions of ours. In WAL mode we sync
 * by ourselves; EXTRA also syncs the directory behind a rollback journal that is unlinked. */
static enum err look_at_mode(struct store *s, int wait_ms)
{
    struct neighbour *nb = s->neighbour;
    sqlite3_busy_timeout(s->db, wait_ms);
    enum err e = short_read(s);
    sqlite3_busy_timeout(s->db, (int)s->options.busy_ms);
    if (e != ERR_OK)
        return e;
    struct query q = DB_QUERY(s, "PRAGMA main.journal_mode");
    struct bytes mode = query_next(&q) ? query_borrow(&q, 0) : (struct bytes){0};
    bool wal = nb->shim && mode.len == 3 && memcmp(mode.p, "wal", 3) == 0;
    e = query_end(&q);
    if (e != ERR_OK || wal == nb->wal)
        return e;
    nb->wal = wal;
    return store_exec(s, wal ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=EXTRA");
}

static enum err run_at_once(struct store *s, const char *sql)
{
    sqlite3_busy_timeout(s->db, 0);
    enum err e = store_exec(s, sql);
    sqlite3_busy_timeout(s->db, (int)s->options.busy_ms);
    return e;
}

/* ---- the marks ---- */

/* Since when it has been busy, at the value that it has now. */
static bool is_stuck(struct neighbour *nb, int i, uint32_t at, uint64_t now)
{
    if (nb->busy_us[i] == 0 || nb->busy_at[i] != at) {
        nb->busy_us[i] = now;
        nb->busy_at[i] = at;
    }
    return now - nb->busy_us[i] >= OLD_US;
}

/* A mark of ours shows the present state, so whoever begins waits for it, instead of sharing an old
 * mark with somebody. */
static bool shows_present(const struct wal_index *x, unsigned kept)
{
    for (int i = 1; i < SHIM_MARKS; i++)
        if (kept & 1u << i && x->mark[i] == x->frames)
            return true;
    return kept & 1 && x->backfilled == x->frames;
}

/* Those who read by the marks that we did not get: all of an old state, and for long? Mark 0 reads
 * the database alone, as it is when the whole WAL is in it. */
static bool only_old_readers(struct neighbour *nb, const struct wal_index *x, uint64_t now)
{
    unsigned kept = shim_kept(nb->shim);
    bool old = x->valid && (kept & ~1u);
    for (int i = 0; i < SHIM_MARKS; i++) {
        if (kept & 1u << i)
            continue;
        uint32_t at = i == 0 ? x->backfilled : x->mark[i];
        bool present = at != SHIM_UNUSED && at >= x->frames;
        bool stuck = is_stuck(nb, i, at, now);
        old = old && stuck && !present;
    }
    return old;
}

static void give_marks(struct store *s)
{
    struct neighbour *nb = s->neighbour;
    if (!nb->shim || !shim_kept(nb->shim))
        return;
    assert(sqlite3_txn_state(s->db, "main") == SQLITE_TXN_NONE);
    (void)short_read(s);
    shim_give(nb->shim);
}

static bool take_marks(struct store *s, uint64_t now)
{
    struct neighbour *nb = s->neighbour;
    for (int i = 0; i < SHIM_MARKS; i++)
        if (shim_take(nb->shim, i))
            nb->busy_us[i] = 0;
    if (shim_kept(nb->shim) == SHIM_ALL)
        return true;
    struct wal_index x = shim_index(nb->shim);
    if (only_old_readers(nb, &x, now) && shows_present(&x, shim_kept(nb->shim)))
        return true;
    give_marks(s);
    return false;
}

/* ---- to begin ---- */

/* Where only we write, whoever is inside has only read, and mostly goes on so. */
static bool is_patient(const struct neighbour *nb, uint64_t now)
{
    uint64_t most = now - nb->other_us < ALONE_US || !nb->wal ? PATIENCE_US : ALONE_PATIENCE_US;
    return !nb->hurried && now - nb->since_us < most;
}

static void note_others(struct neighbour *nb, uint64_t now)
{
    struct wal_index x = shim_index(nb->shim);
    if (x.frames != nb->frames || x.salt[0] != nb->salt)
        nb->other_us = now;
}

static enum err begin_wal(struct store *s, uint64_t now)
{
    struct neighbour *nb = s->neighbour;
    note_others(nb, now);
    if (!take_marks(s, now))
        return is_patient(nb, now) ? store_fail(s, ERR_BUSY, "somebody is inside a transaction")
                                   : store_exec(s, "BEGIN IMMEDIATE");
    /* Never waiting with the marks: a checkpoint that has the write lock waits for them. */
    enum err e = run_at_once(s, "BEGIN IMMEDIATE");
    if (e == ERR_OK)
        return e;
    give_marks(s);
    return e == ERR_BUSY && !is_patient(nb, now) ? store_exec(s, "BEGIN IMMEDIATE") : e;
}

static bool somebody_inside(struct store *s)
{
    struct neighbour *nb = s->neighbour;
    struct flock l = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHARED_FIRST, .l_len = SHARED_SIZE};
    if (s->options.vfs)
        return false;
    if (nb->watch < 0)
        nb->watch = open(s->options.path, O_RDONLY | O_CLOEXEC);
    return nb->watch >= 0 && fcntl(nb->watch, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

static enum err begin_rollback(struct store *s, uint64_t now)
{
    struct neighbour *nb = s->neighbour;
    enum err e = somebody_inside(s) ? store_fail(s, ERR_BUSY, "somebody is inside a transaction")
                                    : run_at_once(s, "BEGIN EXCLUSIVE");
    if (e == ERR_BUSY && !is_patient(nb, now))
        e = store_exec(s, "BEGIN IMMEDIATE");
    nb->own_known = e == ERR_OK && neighbour_counter(s, &nb->begun_counter);
    return e;
}

/* A rollback journal: to look is to read, which stops the commit of whoever is inside. */
static bool may_look(struct store *s, uint64_t now)
{
    struct neighbour *nb = s->neighbour;
    return nb->wal || !is_patient(nb, now) || !somebody_inside(s);
}

enum err neighbour_standing(struct store *s)
{
    if (s->neighbour && s->neighbour->failed)
        return store_fail(s, ERR_IO, "the last commit could not be synced to the disk");
    return ERR_OK;
}

enum err neighbour_begin(struct store *s)
{
    struct neighbour *nb = s->neighbour;
    uint64_t now = now_us(s);
    enum err e = neighbour_standing(s);
    if (e != ERR_OK)
        return e;
    if (nb->since_us == 0)
        nb->since_us = now;
    nb->hurried = nb->hurried || s->options.plain || !s->options.clock_us;
    e = may_look(s, now) ? look_at_mode(s, 0)
                         : store_fail(s, ERR_BUSY, "somebody is inside a transaction");
    if (e == ERR_OK)
        e = s->options.plain ? store_exec(s, "BEGIN IMMEDIATE")
            : nb->wal        ? begin_wal(s, now)
                             : begin_rollback(s, now);
    if (e != ERR_BUSY)
        neighbour_unwanted(s);
    nb->begun_us = e == ERR_OK ? now_us(s) : 0;
    return e;
}

bool neighbour_wait(const struct store *s)
{
    uint32_t ms = neighbour_wait_ms(s);
    if (ms)
        sqlite3_sleep((int)ms);
    return ms > 0;
}

bool neighbour_hurry(struct store *s)
{
    struct neighbour *nb = s->neighbour;
    bool waited = nb->since_us && is_patient(nb, now_us(s));
    nb->hurried = true;
    return waited || s->options.busy_ms == 0;
}

void neighbour_unwanted(struct store *s)
{
    s->neighbour->since_us = 0;
    s->neighbour->hurried = false;
}

void neighbour_end(struct store *s)
{
    struct neighbour *nb = s->neighbour;
    give_marks(s);
    if (nb->begun_us == 0)
        return;
    nb->held_us = now_us(s) - nb->begun_us;
    nb->begun_us = 0;
    if (!nb->wal) {
        /* somebody else may have committed behind us */
        nb->own_known = nb->own_known && neighbour_counter(s, &nb->own_counter) &&
                        nb->own_counter - nb->begun_counter <= 1;
        return;
    }
    struct wal_index x = shim_index(nb->shim);
    nb->frames = x.frames;
    nb->salt = x.salt[0];
}

/* ---- what was committed ---- */

enum err neighbour_sync(struct store *s)
{
    struct neighbour *nb = s->neighbour;
    sqlite3_file *wal = NULL;
    if (!nb->wal)
        return ERR_OK;
    int rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (rc == SQLITE_OK && wal && wal->pMethods)
        rc = wal->pMethods->xSync(wal, SQLITE_SYNC_FULL);
    if (rc == SQLITE_OK)
        return ERR_OK;
    nb->failed = true;
    return store_fail(s, ERR_IO, "the WAL cannot be synced to the disk");
}

static int checkpoint(struct store *s, int how, int *frames, int *copied)
{
    struct shim *x = s->neighbour->shim;
    sqlite3_busy_timeout(s->db, 0);
    shim_checkpoint(x, true);
    int rc = sqlite3_wal_checkpoint_v2(s->db, "main", how, frames, copied);
    shim_checkpoint(x, false);
    sqlite3_busy_timeout(s->db, (int)s->options.busy_ms);
    return rc;
}

/* Most of the copying happens beside everybody; one mark that is kept is enough that nobody starts
 * the WAL anew meanwhile. */
static bool copy_back(struct store *s)
{
    struct neighbour *nb = s->neighbour;
    int frames = 0, copied = 0;
    bool one = false;
    for (int i = SHIM_MARKS - 1; i > 0 && !one; i--)
        one = shim_take(nb->shim, i);
    if (!one)
        return false;
    int rc = checkpoint(s, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
    give_marks(s);
    nb->copied = rc == SQLITE_OK && copied > 0 ? (uint32_t)copied : nb->copied;
    return rc == SQLITE_OK && frames == copied;
}

/* With all marks: nobody is inside, nobody begins, and little is left to be copied. */
static bool truncate_wal(struct store *s)
{
    struct neighbour *nb = s->neighbour;
    for (int i = 0; i < SHIM_MARKS && shim_take(nb->shim, i); i++)
        ;
    struct wal_index x = shim_index(nb->shim);
    bool may = shim_kept(nb->shim) == SHIM_ALL && x.valid &&
               (uint64_t)(x.frames - x.backfilled) * nb->page_bytes <= UNDER_MARKS_BYTES;
    bool done = may && checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK;
    give_marks(s);
    return done;
}

static bool is_much(const struct neighbour *nb, const struct wal_index *x)
{
    uint32_t known = nb->copied <= x->frames ? nb->copied : 0;
    return (uint64_t)(x->frames - known) * nb->page_bytes > UNDER_MARKS_BYTES;
}

static enum err know_page(struct store *s)
{
    int64_t bytes = 0;
    enum err e = s->neighbour->page_bytes ? ERR_OK : db_number(s, "PRAGMA main.page_size", &bytes);
    if (e == ERR_OK && bytes > 0)
        s->neighbour->page_bytes = (uint32_t)bytes;
    return e;
}

void neighbour_reclaim(struct store *s)
{
    struct neighbour *nb = s->neighbour;
    if (!nb->wal || know_page(s) != ERR_OK)
        return;
    struct wal_index x = shim_index(nb->shim);
    if (!x.valid || (uint64_t)x.frames * nb->page_bytes < RECLAIM_BYTES) {
        nb->reclaim_us = nb->reclaim_wait_us = nb->reader_us = 0;
        return;
    }
    uint64_t now = now_us(s), wait = nb->reclaim_wait_us;
    if (now < nb->reclaim_us)
        return;
    if (is_much(nb, &x))
        (void)copy_back(s);
    if (truncate_wal(s)) {
        nb->reclaim_us = nb->reclaim_wait_us = nb->reader_us = 0;
        nb->copied = 0;
        return;
    }
    nb->reader_us = nb->reader_us ? nb->reader_us : now;
    nb->reclaim_wait_us = wait == 0                    ? RECLAIM_AGAIN_US
                          : 2 * wait < RECLAIM_MOST_US ? 2 * wait
                                                       : RECLAIM_MOST_US;
    nb->reclaim_us = now + nb->reclaim_wait_us;
}

enum err neighbour_settle(struct store *s, bool whole)
{
    enum err e = look_at_mode(s, (int)s->options.busy_ms);
    if (e != ERR_OK || !s->neighbour->wal)
        return e;
    if (whole && !copy_back(s))
        return store_fail(s, ERR_IO,
                          "a commit could not be synced, and while another program reads the WAL"
                          " cannot be written back whole: end that program (fuser names it)");
    return neighbour_sync(s);
}

/* ---- what is told ---- */

bool neighbour_in_wal(const struct store *s)
{
    return s->neighbour->wal;
}

bool neighbour_counter(const struct store *s, uint32_t *out)
{
    const struct neighbour *nb = s->neighbour;
    return nb->shim && !nb->wal && shim_counter(nb->shim, out);
}

bool neighbour_own_counter(const struct store *s, uint32_t *out)
{
    *out = s->neighbour->own_counter;
    return !s->neighbour->wal && s->neighbour->own_known;
}

uint32_t neighbour_wait_ms(const struct store *s)
{
    const struct neighbour *nb = s->neighbour;
    uint64_t now = now_us(s);
    if (nb->since_us == 0 || !is_patient(nb, now))
        return 0;
    return now - nb->since_us < OFTEN_US ? 1 : SELDOM_MS;
}

uint32_t neighbour_held_ms(const struct store *s)
{
    return (uint32_t)((s->neighbour->held_us + 999) / 1000);
}

static uint64_t ms_since(const struct store *s, uint64_t us)
{
    return us ? (now_us(s) - us) / 1000 : 0;
}

uint64_t neighbour_kept_out_ms(const struct store *s)
{
    return ms_since(s, s->neighbour->since_us);
}

uint64_t neighbour_reader_ms(const struct store *s)
{
    return ms_since(s, s->neighbour->reader_us);
}
