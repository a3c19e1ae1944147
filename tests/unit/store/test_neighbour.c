/* When a transaction of ours begins, on the installed library: another process is the application,
 * and what it is answered is what counts (node/db/neighbour.h, node/db/shim.h). */
#include "node/db/neighbour.h"
#include "node/db/shim.h"
#include "node/db/sqlite.h"
#include "node/state/state.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/database.h"
#include "tests/lib/dir.h"
#include "tests/lib/other.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the database, and the node beside it */

struct fixture {
    char dir[256], path[272], wal[280], shm[280];
    struct other app, second;
    struct store *store;
    uint64_t now_us; /* the node's clock */
};

static uint64_t clock_us(void *user)
{
    return ((struct fixture *)user)->now_us;
}

static void prepare(struct fixture *f, const char *mode)
{
    char sql[200], msg[256];
    struct store *s;
    struct store_options o = {.path = f->path, .busy_ms = 1000};
    struct store_identity id = {.federation = "f",
                                .federation_name = "f",
                                .node = "n",
                                .unit = "",
                                .parent = "",
                                .hub = "n",
                                .hub_site = 1,
                                .site = 1};
    sqlite3 *db = database_app(f->path, NULL, 0);
    snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s; CREATE TABLE t(a INTEGER PRIMARY KEY, b)",
             mode);
    database_sql(db, sql);
    database_sql(db, "INSERT INTO t VALUES(1, 0)");
    sqlite3_close(db);
    assert_ok(store_open(&s, &o, msg));
    assert_committed(s, store_create(s, &id));
    store_close(s);
    other_start(&f->app, f->path);
    other_start(&f->second, f->path);
    o = (struct store_options){
        .path = f->path, .busy_ms = 1, .clock_us = clock_us, .clock_user = f};
    f->now_us = 1000000000;
    assert_ok(store_open(&f->store, &o, msg));
    assert_int_equal(other_sql(&f->app, "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF;"
                                        "SELECT count(*) FROM t"),
                     SQLITE_OK);
    assert_int_equal(other_sql(&f->second, "SELECT count(*) FROM t"), SQLITE_OK);
}

static int start(void **state)
{
    struct fixture *f = mem_alloc(sizeof *f);
    dir_make(f->dir);
    snprintf(f->path, sizeof f->path, "%s/p.db", f->dir);
    snprintf(f->wal, sizeof f->wal, "%s-wal", f->path);
    snprintf(f->shm, sizeof f->shm, "%s-shm", f->path);
    *state = f;
    return 0;
}
static int start_wal(void **state)
{
    start(state);
    prepare(*state, "WAL");
    return 0;
}
static int start_rollback(void **state)
{
    start(state);
    prepare(*state, "DELETE");
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    other_end(&f->app);
    other_end(&f->second);
    int left = dir_remove(f->dir);
    mem_free(f);
    return left;
}

static enum err write_row(struct fixture *f)
{
    uint64_t n;
    enum err e = store_meta_u64(f->store, "test", 0, &n);
    return e == ERR_OK ? store_meta_set_u64(f->store, "test", n + 1) : e;
}

static void node_commits(struct fixture *f)
{
    enum err e = store_try(f->store);
    for (int i = 0; e == ERR_BUSY && i < 100; i++) {
        f->now_us += 1000;
        e = store_try(f->store);
    }
    assert_ok(e);
    assert_ok(write_row(f));
    assert_ok(store_commit(f->store));
}

static long wal_bytes(struct fixture *f)
{
    struct stat st;
    return stat(f->wal, &st) == 0 ? (long)st.st_size : -1;
}

/* All marks, and every other lock: a checkpoint that cuts the WAL off needs them. */
static void assert_nothing_held(struct fixture *f)
{
    assert_int_equal(other_sql(&f->app, "BEGIN EXCLUSIVE; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)"),
                     SQLITE_OK);
    assert_true(wal_bytes(f) <= 0);
}

/* ---- nobody who has read is refused when it writes */

static void refused_nowhere(struct fixture *f)
{
    for (int round = 0; round < 5; round++) {
        assert_int_equal(other_sql(&f->app, "BEGIN; SELECT b FROM t"), SQLITE_OK);
        for (int i = 0; i < 30; i++) {
            f->now_us += 1000;
            assert_err(store_try(f->store), ERR_BUSY);
            assert_int_equal(neighbour_wait_ms(f->store), 1);
        }
        assert_int_equal(other_sql(&f->app, "UPDATE t SET b = b + 1"), SQLITE_OK);
        assert_err(store_try(f->store), ERR_BUSY);
        assert_int_equal(other_sql(&f->app, "COMMIT"), SQLITE_OK);
        node_commits(f);
    }
}

static void who_reads_and_writes_is_not_refused(void **state)
{
    refused_nowhere(*state);
}

/* The control: the same with a plain BEGIN IMMEDIATE in between. */
static void who_does_not_ask_refuses_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(other_sql(&f->app, "BEGIN; SELECT b FROM t"), SQLITE_OK);
    assert_int_equal(other_sql(&f->second, "UPDATE t SET b = b + 1"), SQLITE_OK);
    assert_int_equal(other_sql(&f->app, "UPDATE t SET b = b + 1"), SQLITE_BUSY_SNAPSHOT);
}

/* While ours is open others wait, though they have no timeout; also who only reads. */
static void whoever_begins_meanwhile_waits(void **state)
{
    struct fixture *f = *state;
    assert_ok(store_try(f->store));
    assert_ok(write_row(f));
    other_say(&f->app, "BEGIN; SELECT b FROM t; UPDATE t SET b = b + 1; COMMIT");
    other_say(&f->second, "SELECT b FROM t");
    assert_true(other_silent(&f->app, 100));
    assert_true(other_silent(&f->second, 1));
    assert_ok(store_commit(f->store));
    assert_int_equal(other_heard(&f->app), SQLITE_OK);
    assert_int_equal(other_heard(&f->second), SQLITE_OK);
}

/* A transaction that was rolled back, or refused, holds nothing any more. */
static void nothing_is_held_behind_it(void **state)
{
    struct fixture *f = *state;
    assert_ok(store_try(f->store));
    assert_ok(write_row(f));
    store_rollback(f->store);
    assert_nothing_held(f);
    assert_int_equal(other_sql(&f->app, "BEGIN IMMEDIATE; UPDATE t SET b = 8"), SQLITE_OK);
    assert_err(store_try(f->store), ERR_BUSY);
    assert_int_equal(other_sql(&f->second, "SELECT b FROM t"), SQLITE_OK);
    assert_int_equal(other_sql(&f->app, "COMMIT"), SQLITE_OK);
    node_commits(f);
}

/* The process dies with the marks: the kernel lets go of them. */
static void a_node_that_is_killed_holds_nothing(void **state)
{
    struct fixture *f = *state;
    int ready[2], status;
    char c;
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(pipe(ready), 0);
    pid_t node = fork();
    if (node == 0) {
        char msg[256];
        struct store_options o = {.path = f->path, .busy_ms = 1};
        bool open = store_open(&f->store, &o, msg) == ERR_OK && store_try(f->store) == ERR_OK &&
                    write_row(f) == ERR_OK;
        if (write(ready[1], open ? "y" : "n", 1) != 1)
            _exit(1);
        pause();
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    close(ready[0]), close(ready[1]);
    other_say(&f->app, "SELECT b FROM t; UPDATE t SET b = 9");
    assert_true(other_silent(&f->app, 50));
    kill(node, SIGKILL);
    assert_int_equal(waitpid(node, &status, 0), node);
    assert_int_equal(other_heard(&f->app), SQLITE_OK);
}

/* How long we wait for who stays inside. */
static uint64_t patience_us(struct fixture *f)
{
    uint64_t begun = f->now_us;
    enum err e = ERR_BUSY;
    assert_int_equal(other_sql(&f->app, "BEGIN; SELECT b FROM t"), SQLITE_OK);
    while (e == ERR_BUSY && f->now_us < begun + 3000000) {
        e = store_try(f->store);
        f->now_us += 1000;
    }
    assert_ok(e);
    store_rollback(f->store);
    return f->now_us - begun;
}

/* Who never leaves does not stop us for ever. */
static void patience_ends(void **state)
{
    struct fixture *f = *state;
    node_commits(f);
    assert_int_equal(other_sql(&f->second, "UPDATE t SET b = b + 1"), SQLITE_OK);
    assert_in_range(patience_us(f), 900000, 1100000);
}

/* Nobody but us has written for long: then it is a tenth of that. */
static void patience_is_short_where_only_we_write(void **state)
{
    struct fixture *f = *state;
    node_commits(f);
    f->now_us += 20000000;
    node_commits(f);
    assert_in_range(patience_us(f), 50000, 200000);
}

/* Who reads an old state can no longer write: it costs one wait, not one a commit. */
static void a_report_of_an_hour_is_no_neighbour(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(other_sql(&f->app, "BEGIN; SELECT b FROM t"), SQLITE_OK);
    assert_int_equal(other_sql(&f->second, "UPDATE t SET b = b + 1"), SQLITE_OK);
    node_commits(f);
    for (int i = 0; i < 20; i++) {
        f->now_us += 1000000;
        assert_int_equal(other_sql(&f->second, "UPDATE t SET b = b + 1"), SQLITE_OK);
        assert_ok(store_try(f->store));
        assert_ok(write_row(f));
        /* and others still wait for us, though not all marks are ours */
        other_say(&f->second, "BEGIN; SELECT b FROM t; UPDATE t SET b = b + 1; COMMIT");
        assert_true(other_silent(&f->second, 20));
        assert_ok(store_commit(f->store));
        assert_int_equal(other_heard(&f->second), SQLITE_OK);
    }
    assert_int_equal(other_sql(&f->app, "SELECT b FROM t; COMMIT"), SQLITE_OK);
}

/* ---- the WAL */

/* The salt in the WAL's header: it changes whenever it is started anew. */
static uint64_t salt(struct fixture *f)
{
    uint8_t header[32] = {0};
    uint64_t v = 0;
    FILE *in = fopen(f->wal, "rb");
    assert_non_null(in);
    assert_int_equal(fread(header, 1, sizeof header, in), sizeof header);
    fclose(in);
    memcpy(&v, header + 16, 8);
    return v;
}

static void the_wal_is_not_started_anew_by_us(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(other_sql(&f->app, "UPDATE t SET b = 7"), SQLITE_OK);
    for (int i = 0; i < 5; i++) {
        uint64_t before = salt(f);
        assert_int_equal(other_sql(&f->app, "PRAGMA wal_checkpoint(PASSIVE)"), SQLITE_OK);
        node_commits(f);
        assert_int_equal(salt(f), before);
    }
    /* the application does */
    uint64_t before = salt(f);
    assert_int_equal(other_sql(&f->app, "PRAGMA wal_checkpoint(PASSIVE)"), SQLITE_OK);
    assert_int_equal(other_sql(&f->app, "UPDATE t SET b = 8"), SQLITE_OK);
    assert_true(salt(f) != before);
}

static void fill(struct fixture *f, int megabytes)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "INSERT INTO t(b) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
             " SELECT i + 1 FROM n WHERE i < %d) SELECT zeroblob(1000000) FROM n",
             megabytes);
    assert_int_equal(other_sql(&f->app, sql), SQLITE_OK);
}

static void a_long_wal_is_made_small(void **state)
{
    struct fixture *f = *state;
    fill(f, 10);
    node_commits(f);
    assert_true(wal_bytes(f) > 9 << 20);
    fill(f, 10);
    node_commits(f);
    assert_true(wal_bytes(f) < 1 << 20);
    assert_int_equal(other_sql(&f->app, "PRAGMA integrity_check"), SQLITE_OK);
    assert_int_equal(neighbour_reader_ms(f->store), 0);
}

/* Nobody waits for it: it is tried again, ever more seldom, and told. */
static void who_reads_keeps_the_wal_long(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(other_sql(&f->second, "BEGIN; SELECT count(*) FROM t"), SQLITE_OK);
    fill(f, 20);
    for (int i = 0; i < 40; i++) {
        f->now_us += 2000000;
        node_commits(f);
    }
    assert_true(wal_bytes(f) > 16 << 20);
    assert_true(neighbour_reader_ms(f->store) > 60000);
    assert_int_equal(other_sql(&f->second, "COMMIT"), SQLITE_OK);
    f->now_us += 10000000;
    node_commits(f);
    assert_true(wal_bytes(f) < 1 << 20);
    assert_int_equal(neighbour_reader_ms(f->store), 0);
}

/* An application's own checkpoint, of any kind, beside an idle node. */
static void an_own_checkpoint_of_the_application_goes_through(void **state)
{
    struct fixture *f = *state;
    static const char *const kind[] = {"PASSIVE", "FULL", "RESTART", "TRUNCATE"};
    for (int i = 0; i < 8; i++) {
        char sql[100];
        node_commits(f);
        snprintf(sql, sizeof sql, "PRAGMA wal_checkpoint(%s); UPDATE t SET b = %d", kind[i % 4], i);
        assert_int_equal(other_sql(&f->app, sql), SQLITE_OK);
    }
    assert_int_equal(other_sql(&f->app, "PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
    assert_int_equal(wal_bytes(f), 0);
}

/* ---- what is committed is durable, or it is not told of */

static sqlite3_io_methods failing;
static int fail_sync(sqlite3_file *file, int flags)
{
    (void)file, (void)flags;
    return SQLITE_IOERR_FSYNC;
}

static void what_cannot_be_synced_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    sqlite3_file *wal = NULL;
    node_commits(f);
    assert_int_equal(sqlite3_file_control(f->store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal),
                     SQLITE_OK);
    const sqlite3_io_methods *sound = wal->pMethods;
    failing = *sound;
    failing.xSync = fail_sync;
    wal->pMethods = &failing;
    assert_ok(store_try(f->store));
    assert_ok(write_row(f));
    assert_err(store_commit(f->store), ERR_IO);
    assert_nothing_held(f);
    wal->pMethods = sound; /* the second time the kernel says that all is well */
    assert_err(store_try(f->store), ERR_IO);
    assert_err(store_begin_read(f->store), ERR_IO);
}

/* A disk that counts the syncs of a WAL, and lets one fail. */
static struct {
    sqlite3_vfs vfs, *own;
    sqlite3_io_methods wal;
    const sqlite3_io_methods *wal_own;
    int syncs, fails;
} counting;

static int count_sync(sqlite3_file *file, int flags)
{
    counting.syncs++;
    return counting.fails-- > 0 ? SQLITE_IOERR_FSYNC : counting.wal_own->xSync(file, flags);
}

static int count_open(sqlite3_vfs *v, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)v;
    int rc = counting.own->xOpen(counting.own, name, file, flags, out);
    if (rc == SQLITE_OK && flags & SQLITE_OPEN_WAL) {
        counting.wal_own = file->pMethods;
        counting.wal = *file->pMethods;
        counting.wal.xSync = count_sync;
        file->pMethods = &counting.wal;
    }
    return rc;
}

/* What a life before committed and did not live to sync would be told of, and a power cut could
 * take it back. */
static void a_start_syncs_what_was_committed_before(void **state)
{
    struct fixture *f = *state;
    char msg[256] = "";
    counting.own = sqlite3_vfs_find(NULL);
    counting.vfs = *counting.own;
    counting.vfs.zName = "counting";
    counting.vfs.xOpen = count_open;
    sqlite3_vfs_register(&counting.vfs, 0);
    struct store_options o = {.path = f->path, .vfs = "counting", .busy_ms = 1};
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(other_sql(&f->app, "UPDATE t SET b = 5"), SQLITE_OK);
    counting.syncs = 0;
    counting.fails = 1;
    assert_err(store_open(&f->store, &o, msg), ERR_IO);
    assert_int_equal(counting.syncs, 1);
    assert_ok(store_open(&f->store, &o, msg));
    assert_int_equal(counting.syncs, 2);
    node_commits(f);
    assert_int_equal(counting.syncs, 3); /* once a commit, when the marks are given back */
    store_close(f->store);
    f->store = NULL;
    sqlite3_vfs_unregister(&counting.vfs);
}

/* The next life takes nothing for durable that the disk only seemed to have: all of it is written
 * once more, into the database; while somebody reads that is not possible. */
static void behind_a_disk_that_failed_all_is_written_back(void **state)
{
    struct fixture *f = *state;
    char msg[256] = "";
    struct store_options o = {.path = f->path, .busy_ms = 1, .distrust = true};
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(other_sql(&f->second, "BEGIN; SELECT b FROM t"), SQLITE_OK);
    assert_int_equal(other_sql(&f->app, "UPDATE t SET b = 5"), SQLITE_OK);
    assert_err(store_open(&f->store, &o, msg), ERR_IO);
    assert_non_null(strstr(msg, "cannot be written back whole"));
    assert_int_equal(other_sql(&f->second, "COMMIT"), SQLITE_OK);
    assert_ok(store_open(&f->store, &o, msg));
    assert_nothing_held(f);
}

/* ---- the mode */

static void the_application_may_change_the_mode(void **state)
{
    struct fixture *f = *state;
    node_commits(f);
    assert_int_equal(access(f->shm, F_OK), -1);
    refused_nowhere(f);
    other_end(&f->second);
    assert_int_equal(other_sql(&f->app, "PRAGMA journal_mode=WAL; UPDATE t SET b = 1"), SQLITE_OK);
    f->now_us += 10000000;
    for (int i = 0; i < 20; i++) { /* it is seen when patience is over, once */
        enum err e = store_try(f->store);
        f->now_us += 100000;
        if (e == ERR_OK) {
            store_rollback(f->store);
            break;
        }
    }
    node_commits(f);
    refused_nowhere(f);
    assert_int_equal(access(f->shm, F_OK), 0);
}

/* An application that keeps the file to itself. */
static void who_has_the_file_alone_is_waited_for(void **state)
{
    struct fixture *f = *state;
    store_close(f->store); /* or it could not have it */
    f->store = NULL;
    other_end(&f->second);
    other_end(&f->app);
    other_start(&f->app, f->path);
    char msg[256] = "";
    struct store_options o = {.path = f->path, .busy_ms = 1, .clock_us = clock_us, .clock_user = f};
    assert_int_equal(other_sql(&f->app, "PRAGMA locking_mode=EXCLUSIVE; UPDATE t SET b = 3"),
                     SQLITE_OK);
    assert_err(store_open(&f->store, &o, msg), ERR_BUSY);
    other_end(&f->app);
    assert_ok(store_open(&f->store, &o, msg));
    node_commits(f);
}

/* Which libraries have the WAL-reset bug. */
static void affected_libraries_are_known(void **state)
{
    static const struct {
        int version;
        bool affected;
    } table[] = {{3040001, true}, {3044005, true}, {3044006, false}, {3044999, false},
                 {3045000, true}, {3050006, true}, {3050007, false}, {3050099, false},
                 {3051000, true}, {3051002, true}, {3051003, false}, {3052000, false}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(neighbour_library_affected(table[i].version), table[i].affected);
}

#define WAL(f) cmocka_unit_test_setup_teardown(f, start_wal, stop)
#define ROLLBACK(f) cmocka_unit_test_setup_teardown(f, start_rollback, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAL(who_reads_and_writes_is_not_refused),
        ROLLBACK(who_reads_and_writes_is_not_refused),
        WAL(who_does_not_ask_refuses_it),
        WAL(whoever_begins_meanwhile_waits),
        WAL(nothing_is_held_behind_it),
        ROLLBACK(nothing_is_held_behind_it),
        WAL(a_node_that_is_killed_holds_nothing),
        WAL(patience_ends),
        WAL(patience_is_short_where_only_we_write),
        WAL(a_report_of_an_hour_is_no_neighbour),
        WAL(the_wal_is_not_started_anew_by_us),
        WAL(a_long_wal_is_made_small),
        WAL(who_reads_keeps_the_wal_long),
        WAL(an_own_checkpoint_of_the_application_goes_through),
        WAL(what_cannot_be_synced_ends_the_connection),
        WAL(a_start_syncs_what_was_committed_before),
        WAL(behind_a_disk_that_failed_all_is_written_back),
        ROLLBACK(the_application_may_change_the_mode),
        WAL(who_has_the_file_alone_is_waited_for),
        ROLLBACK(who_has_the_file_alone_is_waited_for),
        cmocka_unit_test(affected_libraries_are_known),
    };
    return check_run(tests);
}
