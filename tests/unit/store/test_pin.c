/* The WAL guard against a real library: whether other connections can start the WAL anew. */
#include "node/db/pin.h"
#include "node/state/state.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/database.h"
#include "tests/lib/dir.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char dir[256], path[272], wal[280], shm[280];
    sqlite3 *app;
    struct store *store;
};

static int start(void **state)
{
    struct fixture *f = mem_alloc(sizeof *f);
    dir_make(f->dir);
    snprintf(f->path, sizeof f->path, "%s/p.db", f->dir);
    snprintf(f->wal, sizeof f->wal, "%s-wal", f->path);
    snprintf(f->shm, sizeof f->shm, "%s-shm", f->path);
    *state = f;
    f->app = database_app(f->path, NULL, 0);
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    sqlite3_close(f->app);
    int left = dir_remove(f->dir);
    mem_free(f);
    return left;
}

/* The database as an application in this journal mode left it, with the node's tables. */
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
    snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s; CREATE TABLE t(a INTEGER PRIMARY KEY, b)",
             mode);
    database_sql(f->app, sql);
    database_sql(f->app,
                 "PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES(1, 0)");
    assert_ok(store_open(&s, &o, msg));
    assert_committed(s, store_create(s, &id));
    store_close(s);
}

static void open_node(struct fixture *f, bool guard)
{
    char msg[256];
    struct store_options o = {.path = f->path, .busy_ms = 1000, .wal_guard = guard};
    assert_ok(store_open(&f->store, &o, msg));
    assert_ok(store_exec(f->store, "PRAGMA synchronous=OFF"));
}

static void node_commits(struct fixture *f)
{
    uint64_t n;
    assert_ok(store_meta_u64(f->store, "test", 0, &n));
    assert_committed(f->store, store_meta_set_u64(f->store, "test", n + 1));
}

/* The salt in the WAL's header: it changes with each reset. */
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

static long wal_bytes(struct fixture *f)
{
    struct stat st;
    return stat(f->wal, &st) == 0 ? (long)st.st_size : -1;
}

/* The application checkpoints and writes again, as its autocheckpoint does all day. */
static bool application_resets_the_wal(struct fixture *f)
{
    uint64_t before = salt(f);
    for (int i = 0; i < 3; i++)
        database_sql(f->app, "PRAGMA wal_checkpoint(PASSIVE); UPDATE t SET b = b + 1 WHERE a = 1");
    return salt(f) != before;
}

static void need_affected_library(void)
{
    if (!pin_library_affected(sqlite3_libversion_number()))
        skip(); /* a fixed library takes no pin */
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
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(pin_library_affected(table[i].version), table[i].affected);
}

/* The control: without the guard a node beside the application does not stop resets. */
static void without_the_guard_the_wal_is_reset(void **state)
{
    prepare(*state, "WAL");
    open_node(*state, false);
    node_commits(*state);
    assert_true(application_resets_the_wal(*state));
}

/* With the guard, held from the start on, no other connection can reset the WAL. */
static void the_pin_stops_resets_from_the_start(void **state)
{
    need_affected_library();
    prepare(*state, "WAL");
    database_sql(((struct fixture *)*state)->app, "UPDATE t SET b = 7");
    open_node(*state, true);
    assert_false(application_resets_the_wal(*state));
    node_commits(*state);
    assert_false(application_resets_the_wal(*state));
}

/* A WAL that is fully backfilled gives a reader lock 0, which stops nothing: the pin is not taken
 * there. */
static void the_pin_is_not_taken_on_a_backfilled_wal(void **state)
{
    need_affected_library();
    struct fixture *f = *state;
    prepare(f, "WAL");
    database_sql(f->app, "UPDATE t SET b = 7; PRAGMA wal_checkpoint(PASSIVE)");
    open_node(f, true);
    assert_false(application_resets_the_wal(f));
}

/* The guard neither stops the application's writes nor its checkpoints, and closing the node ends
 * it. */
static void the_guard_ends_with_the_node(void **state)
{
    struct fixture *f = *state;
    prepare(f, "WAL");
    open_node(f, true);
    node_commits(f);
    store_close(f->store);
    f->store = NULL;
    assert_true(application_resets_the_wal(f));
}

static void fill(struct fixture *f, int megabytes)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "INSERT INTO t(b) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
             " SELECT i + 1 FROM n WHERE i < %d) SELECT zeroblob(1000000) FROM n",
             megabytes);
    database_sql(f->app, sql);
}

/* A WAL over 16 MiB is reclaimed after the node's next commit, and the pin holds again. */
static void a_long_wal_is_reclaimed_and_pinned_again(void **state)
{
    struct fixture *f = *state;
    prepare(f, "WAL");
    open_node(f, true);
    fill(f, 10);
    node_commits(f);
    assert_true(wal_bytes(f) > 9 << 20);
    fill(f, 10);
    node_commits(f);
    assert_true(wal_bytes(f) < 1 << 20);
    need_affected_library();
    assert_false(application_resets_the_wal(f));
}

/* Without the guard the node reclaims too: its connections never checkpoint by themselves. */
static void a_long_wal_is_reclaimed_without_the_guard(void **state)
{
    struct fixture *f = *state;
    prepare(f, "WAL");
    open_node(f, false);
    node_commits(f);
    fill(f, 20);
    node_commits(f);
    assert_true(wal_bytes(f) < 1 << 20);
}

/* A reader of the application makes the reclaim give up soon, copying nothing; the pin is back at
 * once and a later commit reclaims. */
static void a_reader_in_the_way_is_left_alone(void **state)
{
    struct fixture *f = *state;
    sqlite3 *reader;
    int logged = 0, copied = 0;
    prepare(f, "WAL");
    open_node(f, true);
    assert_int_equal(sqlite3_open(f->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL),
                     SQLITE_OK);
    fill(f, 20);
    node_commits(f);
    assert_true(wal_bytes(f) > 16 << 20);
    need_affected_library();
    assert_false(application_resets_the_wal(f));
    sqlite3_close(reader);
    fill(f, 3);
    node_commits(f);
    assert_true(wal_bytes(f) < 1 << 20);
    assert_int_equal(
        sqlite3_wal_checkpoint_v2(f->app, NULL, SQLITE_CHECKPOINT_PASSIVE, &logged, &copied),
        SQLITE_OK);
    database_sql(f->app, "PRAGMA integrity_check");
}

/* A database with a rollback journal is served as it is: no wal-index appears, nobody is kept from
 * writing. */
static void a_rollback_journal_is_left_alone(void **state)
{
    struct fixture *f = *state;
    prepare(f, "DELETE");
    open_node(f, true);
    node_commits(f);
    database_sql(f->app, "UPDATE t SET b = b + 1");
    node_commits(f);
    assert_int_equal(access(f->shm, F_OK), -1);
}

/* A child of a fork that ends leaves the parent's pin in force. */
static void a_forked_child_leaves_the_pin_alone(void **state)
{
    need_affected_library();
    struct fixture *f = *state;
    prepare(f, "WAL");
    database_sql(f->app, "UPDATE t SET b = 7");
    open_node(f, true);
    pid_t child = fork();
    if (child == 0) {
        pin_after_commit(f->store);
        pin_close(f->store);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(application_resets_the_wal(f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(affected_libraries_are_known),
        TEST(without_the_guard_the_wal_is_reset),
        TEST(the_pin_stops_resets_from_the_start),
        TEST(the_pin_is_not_taken_on_a_backfilled_wal),
        TEST(the_guard_ends_with_the_node),
        TEST(a_long_wal_is_reclaimed_and_pinned_again),
        TEST(a_long_wal_is_reclaimed_without_the_guard),
        TEST(a_reader_in_the_way_is_left_alone),
        TEST(a_rollback_journal_is_left_alone),
        TEST(a_forked_child_leaves_the_pin_alone),
    };
    return check_run(tests);
}
