/* The state directory: settings, record and lock. */
#include "node/config/config.h"
#include "tests/lib/check.h"
#include "tests/lib/dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct arena arena;
static char dir[256];

static int start(void **state)
{
    dir_make(dir);
    return 0;
}

static int stop(void **state)
{
    arena_fini(&arena);
    return dir_remove(dir);
}

static const char *in_dir(const char *name)
{
    static char path[384];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void expect_unfit(const char *yaml, const char *wanted)
{
    struct config c;
    char msg[1024] = "";
    put("node.yaml", yaml, strlen(yaml));
    enum err err = config_load(&arena, dir, &c, msg);
    if (err == ERR_OK || !strstr(msg, wanted))
        fail_msg("wanted '%s', got %s '%s'", wanted, err_name(err), msg);
}

/* What is saved is what is loaded, whatever a path or an endpoint is made of. */
static void config_survives_saving(void **state)
{
    static const char *const paths[] = {"office.db",   "/srv/data/office.db",
                                        "a: b #c.db",  "'quoted'.db",
                                        "ស្រុក/data.db", "on",
                                        "1201",        "- x",
                                        "{a}.db",      "&a*!.db",
                                        " spaces "};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct config c = {.db = paths[i],
                           .listen = "tcp://127.0.0.1:5700",
                           .parent_endpoint = i % 2 ? "tcp://[::1]:5700" : "",
                           .batch_ms = 5,
                           .batch_max_ms = 50 + (uint32_t)i,
                           .heartbeat_ms = 700,
                           .mark_ms = 0};
        if (i % 2)
            memset(c.parent_curve_key, (int)(0xa0 + i), CURVE_KEY_BYTES);
        struct config back;
        char small[256] = "", msg[1024] = "";
        if (config_save(dir, &c, small) || config_load(&arena, dir, &back, msg))
            fail_msg("%s: %s %s", paths[i], small, msg);
        assert_string_equal(back.db, c.db);
        assert_string_equal(back.listen, c.listen);
        assert_string_equal(back.parent_endpoint, c.parent_endpoint);
        assert_memory_equal(back.parent_curve_key, c.parent_curve_key, CURVE_KEY_BYTES);
        assert_int_equal(back.batch_ms, 5);
        assert_int_equal(back.batch_max_ms, c.batch_max_ms);
        assert_int_equal(back.heartbeat_ms, 700);
        assert_int_equal(back.mark_ms, 0);
    }
}

/* Saving leaves one file, which its owner alone may read, and no temporary one. */
static void config_save_leaves_one_private_file(void **state)
{
    struct config c = {.db = "a.db", .batch_ms = 10, .batch_max_ms = 100, .heartbeat_ms = 2000};
    char msg[256];
    struct stat st;
    assert_ok(config_save(dir, &c, msg));
    assert_ok(config_save(dir, &c, msg));
    assert_int_equal(stat(in_dir("node.yaml"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_nlink, 2);
    assert_int_equal(unlink(in_dir("node.yaml")), 0);
    assert_int_equal(rmdir(dir), 0); /* empty: nothing else was left */
    assert_int_equal(mkdir(dir, 0700), 0);
}

/* A directory that cannot be written to keeps its old settings and tells why. */
static void config_save_tells_what_failed(void **state)
{
    struct config c = {.db = "a.db"};
    char msg[256] = "";
    assert_err(config_save("/tmp/tonle-no-such-directory", &c, msg), ERR_IO);
    assert_non_null(strstr(msg, "No such file or directory"));
    c.db = "\xff\xfe";
    assert_err(config_save(dir, &c, msg), ERR_MALFORMED);
}

/* Only the database's path is required; the rest has its default. */
static void config_has_defaults(void **state)
{
    struct config c;
    char msg[1024];
    put("node.yaml", "db: a.db\n", 9);
    assert_ok(config_load(&arena, dir, &c, msg));
    assert_string_equal(c.listen, "");
    assert_string_equal(c.parent_endpoint, "");
    assert_int_equal(c.batch_ms, 10);
    assert_int_equal(c.batch_max_ms, 100);
    assert_int_equal(c.heartbeat_ms, 2000);
    assert_int_equal(c.mark_ms, 1000);
}

/* A mistake in node.yaml is told with its line. */
static void config_names_mistakes(void **state)
{
    expect_unfit("listen: x\n", "node.yaml:1: the file lacks 'db'");
    expect_unfit("db: a\nmark_m: 1000\n",
                 "node.yaml:2: the file: unknown key 'mark_m'; did you mean 'mark_ms'?");
    expect_unfit("db: a\ndb: b\n", "node.yaml:2: db is given twice");
    expect_unfit("db: a\nheartbeat_ms: 0\n", "node.yaml:2: heartbeat_ms must be between");
    expect_unfit("db: a\nbatch_ms: 200\n",
                 "node.yaml:2: batch_ms (200) is more than batch_max_ms (100)");
    expect_unfit("db: a\nmark_ms: 4294967297\n", "mark_ms must be between");
    expect_unfit("db: a\nparent: tcp://h:1\n", "node.yaml:2: parent and parent_key go together");
    expect_unfit("db: a\nparent: tcp://h:1\nparent_key: 12\n",
                 "node.yaml:3: parent_key must be 64 hexadecimal digits");
    unlink(in_dir("node.yaml"));
    struct config c;
    char msg[1024];
    assert_err(config_load(&arena, dir, &c, msg), ERR_NOT_FOUND);
    assert_non_null(strstr(msg, "tonle join"));
}

/* The directory is the flag, else $TONLE_DIR, else the system's; it is made private, with its
 * parents. */
static void config_dir_is_found_and_made(void **state)
{
    char msg[256], deep[288], file[288];
    struct stat st;
    setenv("TONLE_DIR", "/somewhere", 1);
    assert_string_equal(config_dir("/flag"), "/flag");
    assert_string_equal(config_dir(NULL), "/somewhere");
    unsetenv("TONLE_DIR");
    assert_string_equal(config_dir(NULL), "/var/lib/tonle");
    snprintf(deep, sizeof deep, "%s/a/b", dir);
    assert_ok(config_make_dir(deep, msg));
    assert_ok(config_make_dir(deep, msg));
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    put("file", "", 0);
    snprintf(file, sizeof file, "%s/file", dir);
    assert_err(config_make_dir(file, msg), ERR_IO);
}

/* A relative database path is the directory's. */
static void config_db_path_is_relative_to_the_directory(void **state)
{
    struct config c = {.db = "x/office.db"};
    assert_string_equal(config_db_path(&arena, "/var/lib/tonle", &c), "/var/lib/tonle/x/office.db");
    c.db = "/srv/office.db";
    assert_string_equal(config_db_path(&arena, "/var/lib/tonle", &c), "/srv/office.db");
}

/* The record outside the database is the last one written; torn, changed or missing it means
 * nothing. */
static void identity_is_whole_or_nothing(void **state)
{
    struct identity_file f;
    struct identity_record r = {0}, last;
    char msg[256];
    struct stat st;
    assert_ok(identity_open(dir, &f, &last, msg));
    assert_int_equal(last.site, 0);
    assert_int_equal(last.seq, 0);
    for (uint64_t seq = 1; seq <= 5; seq++) {
        r = (struct identity_record){.site = 0xfedcba9876543210u, .seq = seq << 40};
        identity_write(&f, &r);
    }
    identity_close(&f);
    assert_int_equal(stat(in_dir("identity"), &st), 0);
    assert_int_equal(st.st_size, 32);
    assert_ok(identity_open(dir, &f, &last, msg));
    assert_int_equal(last.site, r.site);
    assert_int_equal(last.seq, r.seq);
    for (int at = 0; at < 32; at++) {
        uint8_t byte, changed;
        struct identity_file again;
        assert_int_equal(pread(f.fd, &byte, 1, at), 1);
        changed = byte ^ 1;
        assert_int_equal(pwrite(f.fd, &changed, 1, at), 1);
        assert_ok(identity_open(dir, &again, &last, msg));
        assert_int_equal(last.site, 0);
        assert_int_equal(last.seq, 0);
        identity_close(&again);
        assert_int_equal(pwrite(f.fd, &byte, 1, at), 1);
    }
    identity_close(&f);
    assert_int_equal(truncate(in_dir("identity"), 31), 0);
    assert_ok(identity_open(dir, &f, &last, msg));
    assert_int_equal(last.seq, 0);
    identity_close(&f);
}

/* One holder at a time, also between two holders in one process. */
static void lock_has_one_holder(void **state)
{
    int a, b;
    char msg[256] = "";
    assert_ok(lock_take(dir, &a, msg));
    assert_err(lock_take(dir, &b, msg), ERR_BUSY);
    assert_int_equal(b, -1);
    assert_non_null(strstr(msg, "running"));
    lock_release(a);
    assert_ok(lock_take(dir, &b, msg));
    lock_release(b);
}

/* The lock ends with the process that held it, however that ended. */
static void lock_ends_with_its_process(void **state)
{
    int to_parent[2], to_child[2], fd, status;
    char byte, msg[256];
    assert_int_equal(pipe(to_parent), 0);
    assert_int_equal(pipe(to_child), 0);
    pid_t child = fork();
    if (child == 0) {
        close(to_child[1]); /* so that the parent's end, also an early one, ends the read below */
        byte = lock_take(dir, &fd, msg) == ERR_OK ? 'y' : 'n';
        if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1)
            _exit(2);
        _exit(1); /* without a release */
    }
    assert_int_equal(read(to_parent[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_err(lock_take(dir, &fd, msg), ERR_BUSY);
    assert_int_equal(write(to_child[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_ok(lock_take(dir, &fd, msg));
    lock_release(fd);
    for (int i = 0; i < 2; i++) {
        close(to_parent[i]);
        close(to_child[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(config_survives_saving),
        TEST(config_save_leaves_one_private_file),
        TEST(config_save_tells_what_failed),
        TEST(config_has_defaults),
        TEST(config_names_mistakes),
        TEST(config_dir_is_found_and_made),
        TEST(config_db_path_is_relative_to_the_directory),
        TEST(identity_is_whole_or_nothing),
        TEST(lock_has_one_holder),
        TEST(lock_ends_with_its_process),
    };
    return check_run(tests);
}
