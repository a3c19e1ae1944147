/* What of ours is in a database, whole, dropped in part, or dumped by a tool. */
#include "node/capture/capture.h"
#include "node/check/check.h"
#include "node/db/objects.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] = "CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, body TEXT)";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"note\",\"columns\":[]}]}";
#define OURS "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle\\_%' ESCAPE '\\'"

static int start(void **state)
{
    return federation_set_up(state, 2, schema, charter, true);
}

/* A database of its own with another's schema, and no row: what a tool dumps and loads. */
struct dumped {
    char path[560];
    sqlite3 *app;
    struct store *s;
};

static void dump(void **state, struct dumped *d, const char *which)
{
    char sql[1200];
    snprintf(d->path, sizeof d->path, "%s.dumped", A->path);
    database_remove(d->path);
    d->app = database_app(d->path, NULL, 1000);
    snprintf(sql, sizeof sql,
             "ATTACH '%s' AS whole; PRAGMA writable_schema = 1; CREATE TABLE all_of_it AS SELECT"
             " type, name, sql FROM whole.sqlite_schema WHERE sql IS NOT NULL AND (%s);",
             A->path, which);
    database_sql(d->app, sql);
    const char *one;
    static const char next[] = "SELECT sql FROM all_of_it ORDER BY type <> 'table', rowid LIMIT 1";
    while ((one = database_text(d->app, next))[0] != '\0') {
        char *copy = strdup(one);
        database_sql(d->app, copy);
        database_sql(d->app, "DELETE FROM all_of_it WHERE rowid = (SELECT rowid FROM all_of_it"
                             " ORDER BY type <> 'table', rowid LIMIT 1)");
        free(copy);
    }
    database_sql(d->app, "DROP TABLE all_of_it; DETACH whole");
}

static void open_dumped(struct dumped *d)
{
    struct store_options options = {.path = d->path, .busy_ms = 1000};
    d->s = database_store(&options);
}

static void close_dumped(struct dumped *d)
{
    store_close(d->s);
    sqlite3_close(d->app);
    database_remove(d->path);
}

static struct store_identity identity(void **state)
{
    return office_store_identity(A, HUB);
}

/* An empty skeleton of our tables, with or without triggers, is nobody's: a new office takes its
 * place, and where that comes to nothing it is as it was. */
static void a_skeleton_is_replaced(void **state)
{
    static const char *const which[] = {"1", "type <> 'trigger'",
                                        "name = 'note' OR type = 'trigger'"};
    for (size_t i = 0; i < 3; i++) {
        struct dumped d;
        struct store_identity id = identity(state);
        dump(state, &d, which[i]);
        const char *before = database_text(d.app, OURS);
        if (i == 0) /* with triggers and logs the application can write, and it is nobody's still */
            database_sql(d.app, "INSERT INTO note VALUES('1', 'a')");
        open_dumped(&d);
        assert_false(store_is_ready(d.s));
        assert_non_null(store_missing(d.s));
        assert_false(store_remains(d.s));
        assert_ok(store_begin(d.s));
        assert_ok(store_create(d.s, &id));
        assert_true(store_is_ready(d.s));
        store_rollback(d.s);
        assert_false(store_is_ready(d.s));
        assert_string_equal(database_text(d.app, OURS), before);
        assert_ok(store_begin(d.s));
        assert_ok(store_create(d.s, &id));
        assert_ok(store_commit(d.s));
        assert_null(store_missing(d.s));
        assert_null(store_gone(d.s));
        assert_int_equal(store_identity_get(d.s)->site, id.site);
        assert_string_equal(database_text(d.app, "SELECT count(*) FROM sqlite_schema WHERE"
                                                 " type = 'trigger'"),
                            "0");
        database_sql(d.app, "INSERT INTO note VALUES('2', 'b')");
        close_dumped(&d);
    }
}

/* Tables that hold something are not dropped before somebody has said so; what others have made
 * under a name like ours never is. */
static void what_is_left_of_a_life_is_asked_for(void **state)
{
    struct dumped d;
    struct store_identity id = identity(state);
    dump(state, &d, "type = 'table'");
    database_sql(d.app, "INSERT INTO tonle_clock VALUES(1, 2, 3, x'00'); DROP TABLE tonle_meta");
    open_dumped(&d);
    assert_string_equal(store_missing(d.s), "tonle_meta");
    assert_true(store_remains(d.s));
    assert_ok(store_begin(d.s));
    assert_err(store_create(d.s, &id), ERR_EXISTS);
    store_rollback(d.s);
    database_sql(d.app, "CREATE TABLE tonle_mine(a); CREATE TRIGGER tonle_own_1a AFTER INSERT ON"
                        " note BEGIN SELECT 1; END");
    assert_ok(store_begin(d.s));
    assert_ok(store_clear(d.s));
    assert_err(store_create(d.s, &id), ERR_EXISTS);
    store_rollback(d.s);
    database_sql(d.app, "DROP TABLE tonle_mine; DROP TRIGGER tonle_own_1a");
    assert_ok(store_begin(d.s));
    assert_ok(store_clear(d.s));
    assert_ok(store_create(d.s, &id));
    assert_ok(store_commit(d.s));
    close_dumped(&d);
}

/* What an adoption could not put into its table stands nowhere else: it stays, and so does the rest
 * of ours. */
static void rows_that_are_set_aside_stay(void **state)
{
    struct objects_dropped n;
    office_sql(A, "CREATE TABLE tonle_adopt_6(id BLOB); INSERT INTO tonle_adopt_6 VALUES('x')");
    const char *before = office_one(A, OURS);
    assert_ok(store_begin(A->store));
    assert_err(objects_drop(A->store, &n), ERR_EXISTS);
    assert_non_null(strstr(store_message(A->store), "tonle_adopt_6"));
    assert_ok(office_end(A, ERR_OK));
    assert_string_equal(office_one(A, OURS), before);
}

/* Where nothing is gone nothing is let go. */
static void what_is_whole_keeps_its_triggers(void **state)
{
    uint32_t n;
    assert_null(store_gone(A->store));
    assert_ok(store_let_go(A->store, &n));
    assert_int_equal(n, 0);
    office_sql(A, "INSERT INTO note VALUES('1', 'a')");
    assert_true(store_capture_pending(A->store));
    office_sql(A, "DROP TABLE tonle_site");
    assert_string_equal(store_gone(A->store), "tonle_site");
    assert_ok(store_let_go(A->store, &n));
    assert_true(n > 5);
    office_sql(A, "INSERT INTO note VALUES('2', 'a')");
}

/* An office that leaves takes everything of its own, and nothing else; the application writes
 * on. */
static void who_leaves_leaves_nothing(void **state)
{
    struct objects_dropped n;
    office_sql(A, "CREATE TABLE mine(a); CREATE TRIGGER mine_too AFTER INSERT ON note BEGIN INSERT"
                  " INTO mine VALUES(NEW.id); END; INSERT INTO note VALUES('1', 'a')");
    assert_ok(store_leave(A->store, &n));
    assert_true(n.tables > 20 && n.triggers > 5 && n.views == 2);
    assert_string_equal(office_one(A, OURS), "0");
    assert_false(store_is_ready(A->store));
    office_sql(A, "INSERT INTO note VALUES('2', 'b')");
    assert_string_equal(office_one(A, "SELECT group_concat(a) FROM mine"), "1,2");
}

/* Of tables that nobody has made, those are known that a foreign key refers to. */
static void what_is_referred_to_and_absent_is_named(void **state)
{
    struct arena a = {0};
    const char *names;
    assert_ok(store_schema_absent(A->store, &a, &names));
    assert_string_equal(names, "");
    office_sql(A, "CREATE TABLE child(id TEXT PRIMARY KEY NOT NULL, p REFERENCES parent(id),"
                  " n REFERENCES NOTE(id), q REFERENCES area(id))");
    assert_ok(store_schema_absent(A->store, &a, &names));
    assert_string_equal(names, "area, parent");
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_skeleton_is_replaced),
        FEDERATION_TEST(what_is_left_of_a_life_is_asked_for),
        FEDERATION_TEST(rows_that_are_set_aside_stay),
        FEDERATION_TEST(what_is_whole_keeps_its_triggers),
        FEDERATION_TEST(who_leaves_leaves_nothing),
        FEDERATION_TEST(what_is_referred_to_and_absent_is_named),
    };
    return check_run(tests);
}
