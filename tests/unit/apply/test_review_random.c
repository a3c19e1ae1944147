/* Random histories of three offices over a schema in which everything clashes with everything:
 * whatever the order of seals, pulls and stable messages, the offices end equal, and the store's
 * books fit its tables. */
#include "node/capture/capture.h"
#include "node/load/load.h"
#include "node/record/record.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE org(id TEXT PRIMARY KEY NOT NULL, code TEXT COLLATE NOCASE UNIQUE, name TEXT);"
    "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL,"
    " org TEXT REFERENCES org(code) ON UPDATE CASCADE ON DELETE SET NULL, ident TEXT UNIQUE,"
    " mail TEXT COLLATE NOCASE UNIQUE, mother TEXT REFERENCES person(id) ON DELETE CASCADE,"
    " name TEXT, slot INTEGER,"
    " active INTEGER, lo INTEGER, hi INTEGER, points INTEGER, low INTEGER, first TEXT, CHECK(lo <= "
    "hi));"
    "CREATE UNIQUE INDEX person_slot ON person(slot) WHERE active = 1;"
    "CREATE UNIQUE INDEX person_name ON person(lower(name));"
    "CREATE TABLE visit(series TEXT NOT NULL, no INTEGER NOT NULL, person TEXT REFERENCES "
    "person(id),"
    " note TEXT, PRIMARY KEY(series, no)) WITHOUT ROWID;"
    "CREATE TABLE item(id TEXT PRIMARY KEY NOT NULL, series TEXT, no INTEGER, note TEXT,"
    " FOREIGN KEY(series, no) REFERENCES visit(series, no));";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
    "{\"name\":\"org\",\"columns\":[]},"
    "{\"name\":\"person\",\"columns\":[{\"name\":\"points\",\"policy\":\"max\"},"
    "{\"name\":\"low\",\"policy\":\"min\"},{\"name\":\"first\",\"policy\":\"earliest\"}]},"
    "{\"name\":\"visit\",\"columns\":[]},{\"name\":\"item\",\"columns\":[]}]}";
static const char tables[] = "org person visit item";

/* ---- the books ---- */

static void complain(struct office *o, const char *what, const char *detail)
{
    fail_msg("%s: %s: %s", o->name, what, detail);
}

/* No row of this query may exist. */
static void none(struct office *o, const char *what, const char *sql)
{
    const char *found = office_one(o, sql);
    if (found[0])
        complain(o, what, found);
}

static void check_record(struct office *o, const struct table_schema *t, struct bytes key)
{
    struct row_key k = {t, key.p, key.len};
    struct row r;
    struct value *values;
    assert_ok(row_load(o->store, &o->arena, k, &r, NULL));
    assert_ok(row_read(o->store, &o->arena, k, &values));
    uint32_t standing = 0, held = 0;
    for (uint32_t i = 0; i < r.n_births; i++) {
        if (!birth_alive(&r.births[i], &t->rules))
            continue;
        standing += r.births[i].held == HOLD_NONE;
        held += r.births[i].held != HOLD_NONE;
    }
    const char *json = schema_key_json(&o->arena, t, key.p, key.len);
    if (standing > 1)
        complain(o, "two births stand", json);
    if (r.n_births && (standing == 1) != !!values)
        complain(o, standing ? "stands on record, not in the table" : "in the table, not on record",
                 json);
    char sql[600];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM tonle_held WHERE t = %u AND k = x'", t->t);
    for (size_t i = 0; i < key.len; i++)
        snprintf(sql + strlen(sql), 3, "%02x", ((const uint8_t *)key.p)[i]);
    strcat(sql, "'");
    if (strtoul(office_one(o, sql), NULL, 10) != held)
        complain(o, "tonle_held does not fit the record", json);
}

static void check_records(struct office *o)
{
    sqlite3_stmt *q;
    assert_ok(store_begin_read(o->store));
    assert_ok(schema_load(o->store));
    assert_int_equal(
        sqlite3_prepare_v2(o->app,
                           "SELECT t, k FROM tonle_row UNION SELECT t, k FROM tonle_held"
                           " UNION SELECT t, k FROM tonle_claim",
                           -1, &q, NULL),
        SQLITE_OK);
    while (sqlite3_step(q) == SQLITE_ROW) {
        const struct table_schema *t =
            schema_by_number(o->store, (uint32_t)sqlite3_column_int(q, 0));
        struct bytes key = {sqlite3_column_blob(q, 1), (size_t)sqlite3_column_bytes(q, 1)};
        check_record(o, t, key);
    }
    sqlite3_finalize(q);
    store_rollback(o->store);
    arena_reset(&o->arena);
}

static void check_books(struct office *o)
{
    none(o, "two records of a row",
         "SELECT hex(k) FROM tonle_row GROUP BY t, k HAVING count(*) > 1");
    none(o, "a claim without a record",
         "SELECT c.k FROM tonle_claim c"
         " WHERE NOT EXISTS(SELECT 1 FROM tonle_row r WHERE r.t = c.t AND r.k = c.k)");
    none(o, "a held row without a record",
         "SELECT h.key FROM tonle_held h"
         " WHERE NOT EXISTS(SELECT 1 FROM tonle_row r WHERE r.t = h.t AND r.k = h.k)");
    none(o, "a held row waits for nobody",
         "SELECT key FROM tonle_held WHERE reason IN ('unique','birth') AND blocked_by = ''");
    none(o, "a held row waits for one that does not stand",
         "SELECT h.key FROM tonle_held h WHERE h.reason IN ('unique','birth') AND h.table_name = "
         "'person'"
         " AND NOT EXISTS(SELECT 1 FROM person p WHERE json_quote(p.id) = h.blocked_by)"
         " AND NOT EXISTS(SELECT 1 FROM tonle_held b WHERE b.t = h.bt AND b.k = h.bk"
         " AND b.reason IN ('parent','unique'))");
    none(o, "a row without its parent",
         "SELECT id FROM person p WHERE org IS NOT NULL AND NOT EXISTS(SELECT 1 FROM org WHERE "
         "code = p.org)"
         " UNION ALL SELECT id FROM person p WHERE mother IS NOT NULL"
         " AND NOT EXISTS(SELECT 1 FROM person m WHERE m.id = p.mother)"
         " UNION ALL SELECT series || no FROM visit v WHERE person IS NOT NULL"
         " AND NOT EXISTS(SELECT 1 FROM person p WHERE p.id = v.person)"
         " UNION ALL SELECT id FROM item i WHERE series IS NOT NULL AND no IS NOT NULL"
         " AND NOT EXISTS(SELECT 1 FROM visit v WHERE v.series = i.series AND v.no = i.no)");
    none(o, "integrity", "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'");
    none(o, "local holds", "SELECT key || message FROM tonle_held WHERE reason = 'local'");
    check_records(o);
}

static void same_digests(struct federation *f)
{
    struct table_digest *first, *other;
    uint32_t n, m;
    assert_ok(store_digest(f->office[0].store, &f->office[0].arena, &first, &n));
    for (int i = 1; i < f->n; i++) {
        struct office *o = &f->office[i];
        assert_ok(store_digest(o->store, &o->arena, &other, &m));
        assert_int_equal(n, m);
        for (uint32_t t = 0; t < n; t++) {
            if (memcmp(first[t].digest, other[t].digest, HASH_BYTES) != 0 ||
                first[t].held != other[t].held)
                complain(o, "digest differs", first[t].table);
        }
        arena_reset(&o->arena);
    }
    arena_reset(&f->office[0].arena);
}

/* ---- random SQL ---- */

struct random_world {
    struct federation f;
    uint64_t rng;
    struct clock mark;     /* what everybody had when all was quiet */
    bool due[OFFICES_MAX]; /* this office has still to pass `st` */
    struct clock behind;   /* what the hub had sent before `st` */
    struct stable st;
    struct arena arena; /* of st */
    bool trace;
};

static uint64_t draw(struct random_world *w, uint64_t n)
{
    w->rng ^= w->rng << 13;
    w->rng ^= w->rng >> 7;
    w->rng ^= w->rng << 17;
    return (w->rng >> 11) % n;
}

static const char *text(struct random_world *w, const char *prefix, uint64_t n)
{
    static char out[16][24];
    static int turn;
    char *p = out[turn++ % 16];
    if (draw(w, 8) == 0)
        return "NULL";
    snprintf(p, 24, "'%s%llu'", prefix, (unsigned long long)draw(w, n));
    if (draw(w, 2) == 0)
        p[1] = (char)(p[1] - 'a' + 'A');
    return p;
}

static const char *plain(struct random_world *w, const char *prefix, uint64_t n)
{
    static char out[16][24];
    static int turn;
    char *p = out[turn++ % 16];
    snprintf(p, 24, "'%s%llu'", prefix, (unsigned long long)draw(w, n));
    return p;
}

static void person_column(struct random_world *w, char *sql, size_t size)
{
    switch (draw(w, 12)) {
    case 0:
        snprintf(sql, size, "org=%s", text(w, "c", 3));
        break;
    case 1:
        snprintf(sql, size, "ident=%s", text(w, "i", 3));
        break;
    case 2:
        snprintf(sql, size, "mail=%s", text(w, "m", 3));
        break;
    case 3:
        snprintf(sql, size, "mother=%s", draw(w, 4) ? plain(w, "p", 5) : "NULL");
        break;
    case 4:
        snprintf(sql, size, "name=%s", text(w, "n", 3));
        break;
    case 5:
        snprintf(sql, size, "slot=%d", (int)draw(w, 3));
        break;
    case 6:
        snprintf(sql, size, "active=%d", (int)draw(w, 2));
        break;
    case 7:
        snprintf(sql, size, "lo=%d", (int)draw(w, 6));
        break;
    case 8:
        snprintf(sql, size, "hi=%d", (int)draw(w, 6));
        break;
    case 9:
        snprintf(sql, size, "points=%d", (int)draw(w, 9));
        break;
    case 10:
        snprintf(sql, size, "low=%d", (int)draw(w, 9));
        break;
    default:
        snprintf(sql, size, "first=%s", text(w, "f", 9));
    }
}

static void random_sql(struct random_world *w, char *sql, size_t size)
{
    char set[2][64];
    switch (draw(w, 16)) {
    case 0:
        snprintf(sql, size, "INSERT %s INTO org VALUES(%s,%s,%s)", draw(w, 3) ? "" : "OR REPLACE",
                 plain(w, "o", 3), text(w, "c", 3), text(w, "x", 9));
        break;
    case 1:
        snprintf(sql, size, "UPDATE org SET code=%s WHERE id=%s", text(w, "c", 3),
                 plain(w, "o", 3));
        break;
    case 2:
        snprintf(sql, size, "DELETE FROM org WHERE id=%s", plain(w, "o", 3));
        break;
    case 3:
        snprintf(sql, size, "UPDATE org SET name=%s WHERE id=%s", text(w, "x", 9),
                 plain(w, "o", 3));
        break;
    case 4:
    case 5:
    case 6:
        snprintf(sql, size,
                 "INSERT %s INTO person(id,org,ident,mail,mother,name,slot,active,lo,hi,points)"
                 " VALUES(%s,%s,%s,%s,%s,%s,%d,%d,%d,%d,%d)",
                 draw(w, 3) ? "" : "OR REPLACE", plain(w, "p", 5),
                 draw(w, 2) ? text(w, "c", 3) : "NULL", text(w, "i", 3), text(w, "m", 3),
                 draw(w, 3) ? "NULL" : plain(w, "p", 5), text(w, "n", 3), (int)draw(w, 3),
                 (int)draw(w, 2), (int)draw(w, 4), (int)draw(w, 6), (int)draw(w, 9));
        break;
    case 7:
    case 8:
    case 9:
        person_column(w, set[0], sizeof set[0]);
        person_column(w, set[1], sizeof set[1]);
        if (strncmp(set[0], set[1], 4) == 0)
            snprintf(sql, size, "UPDATE person SET %s WHERE id=%s", set[0], plain(w, "p", 5));
        else
            snprintf(sql, size, "UPDATE person SET %s, %s WHERE id=%s", set[0], set[1],
                     plain(w, "p", 5));
        break;
    case 10:
        snprintf(sql, size, "DELETE FROM person WHERE id=%s", plain(w, "p", 5));
        break;
    case 11:
        snprintf(sql, size, "INSERT %s INTO visit VALUES(%s,%d,%s,%s)",
                 draw(w, 2) ? "" : "OR REPLACE", plain(w, "s", 2), (int)draw(w, 2),
                 draw(w, 3) ? plain(w, "p", 5) : "NULL", text(w, "v", 9));
        break;
    case 12:
        snprintf(sql, size,
                 draw(w, 2) ? "DELETE FROM visit WHERE series=%s AND no=%d"
                            : "UPDATE visit SET note=random()%%9 WHERE series=%s AND no=%d",
                 plain(w, "s", 2), (int)draw(w, 2));
        break;
    case 13:
        snprintf(sql, size, "INSERT OR REPLACE INTO item VALUES(%s,%s,%s,%s)", plain(w, "t", 4),
                 draw(w, 4) ? plain(w, "s", 2) : "NULL",
                 draw(w, 4) ? (draw(w, 2) ? "0" : "1") : "NULL", text(w, "v", 9));
        break;
    case 14:
        snprintf(sql, size, "DELETE FROM item WHERE id=%s", plain(w, "t", 4));
        break;
    default:
        snprintf(sql, size, "UPDATE person SET id=%s WHERE id=%s", plain(w, "p", 5),
                 plain(w, "p", 5));
    }
}

/* ---- the tree: the hub in the middle ---- */

static void seal_all(struct office *o)
{
    while (office_seal(o))
        ;
}

static void pass_stable(struct random_world *w, int i)
{
    struct office *o = &w->f.office[i];
    assert_committed(o->store, store_set_stable(o->store, &o->arena, &w->st));
    w->due[i] = false;
    arena_reset(&o->arena);
}

static void down(struct random_world *w, int i)
{
    struct office *o = &w->f.office[i];
    seal_all(o);
    if (w->due[i]) {
        office_pull_upto(o, &w->f.office[0], &w->behind);
        check_books(o);
        pass_stable(w, i);
    }
    office_pull(o, &w->f.office[0]);
    check_books(o);
}

static void up(struct random_world *w, int i)
{
    seal_all(&w->f.office[0]);
    seal_all(&w->f.office[i]);
    office_pull(&w->f.office[0], &w->f.office[i]);
    check_books(&w->f.office[0]);
}

static void quiet(struct random_world *w)
{
    for (int round = 0; round < 2; round++) {
        for (int i = 1; i < w->f.n; i++)
            up(w, i);
        for (int i = 1; i < w->f.n; i++)
            down(w, i);
    }
}

/* The hub says that all it was quiet at is stable. */
static void stable_at(struct random_world *w)
{
    struct office *hub = &w->f.office[0];
    for (int i = 1; i < w->f.n; i++) {
        if (w->due[i])
            return;
    }
    arena_reset(&w->arena);
    clock_fini(&w->st.clock);
    clock_fini(&w->behind);
    w->st = (struct stable){.mark_id = 1, .hlc = 1};
    clock_copy(&w->st.clock, &w->mark);
    seal_all(hub);
    assert_committed(hub->store,
                     store_keep_list(hub->store, &w->arena, &w->mark, &w->st.keep, &w->st.n_keep));
    pass_stable(w, 0);
    w->behind = (struct clock){0};
    clock_copy(&w->behind, &store_state_get(hub->store)->clock);
    for (int i = 1; i < w->f.n; i++)
        w->due[i] = true;
}

static void sweep(struct office *o)
{
    bool more;
    assert_ok(store_begin(o->store));
    enum err wanted = store_capture_pending(o->store) ? ERR_STATE : ERR_OK;
    assert_err(store_sweep(o->store, &o->arena, 3, &more), wanted);
    assert_ok(store_commit(o->store));
    arena_reset(&o->arena);
}

static void retry(struct office *o)
{
    uint32_t released;
    seal_all(o);
    assert_committed(o->store, store_held_retry(o->store, &o->arena, NULL, o->now_ms, &released));
    arena_reset(&o->arena);
    check_books(o);
}

static void step(struct random_world *w)
{
    char sql[512];
    int i = (int)draw(w, (uint64_t)w->f.n);
    struct office *o = &w->f.office[i];
    o->now_ms += draw(w, 20) ? draw(w, 3) : draw(w, 40); /* clocks differ */
    switch (draw(w, 12)) {
    case 0:
        up(w, 1 + (int)draw(w, (uint64_t)w->f.n - 1));
        break;
    case 1:
        down(w, 1 + (int)draw(w, (uint64_t)w->f.n - 1));
        break;
    case 2:
        seal_all(o);
        check_books(o);
        break;
    case 3:
        if (draw(w, 4))
            sweep(o);
        else
            retry(o);
        break;
    case 4:
        if (draw(w, 3) == 0)
            stable_at(w);
        break;
    default:
        random_sql(w, sql, sizeof sql);
        if (w->trace)
            fprintf(stderr, "%s: %s;%s\n", o->name, sql, "");
        (void)office_try(o, sql);
    }
}

/* Tables that grow are read through an index, but for what reads a slice, asks for existence,
 * counts, or looks for the children of a reference that the application did not index. */
static bool is_known_scan(const char *sql, const char *detail)
{
    static const char *const growing[] = {"main.",       "tonle_row",      "tonle_held",
                                          "tonle_claim", "tonle_conflict", "tonle_journal"};
    static const char *const known[] = {" LIMIT ",
                                        "EXISTS(",
                                        "count(*)",
                                        "births > 1",
                                        "?1 COLLATE \"",
                                        "SELECT t, k FROM tonle_held", /* held retry --all */
                                        "SELECT t, idx, v, k FROM tonle_claim",
                                        "SELECT bt, bk FROM tonle_held", /* read once */
                                        "tonle_log_",
                                        "sqlite_schema"};
    bool grows = false;
    for (size_t i = 0; i < sizeof growing / sizeof *growing; i++)
        grows = grows || strstr(detail, growing[i]);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        grows = grows && !strstr(sql, known[i]);
    return !grows;
}

/* Every statement that was ever prepared: none is left open, none reads a whole table. */
static void check_statements(struct office *o)
{
    for (sqlite3_stmt *x = sqlite3_next_stmt(o->store->db, NULL); x;
         x = sqlite3_next_stmt(o->store->db, x)) {
        sqlite3_stmt *q;
        char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(x));
        if (sqlite3_stmt_busy(x))
            complain(o, "a statement was left open", sqlite3_sql(x));
        bool ok = sqlite3_prepare_v2(o->app, sql, -1, &q, NULL) == SQLITE_OK;
        while (ok && sqlite3_step(q) == SQLITE_ROW) {
            const char *detail = (const char *)sqlite3_column_text(q, 3);
            if (strncmp(detail, "SCAN", 4) == 0 && !is_known_scan(sql, detail))
                complain(o, detail, sql);
        }
        sqlite3_finalize(q);
        sqlite3_free(sql);
    }
}

static void history_of(uint64_t seed, int steps)
{
    static struct random_world w;
    w = (struct random_world){.rng = seed * 0x9e3779b97f4a7c15ULL + 1,
                              .trace = getenv("REVIEW_TRACE")};
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    federation_start(&w.f, 3, schema, charter, false);
    if (seed % 2) /* one application minds its references */
        office_sql(&w.f.office[1 + seed / 2 % 2], "PRAGMA foreign_keys=ON");
    for (int i = 0; i < steps; i++) {
        step(&w);
        if (i % 40 == 39) {
            quiet(&w);
            federation_assert_equal(&w.f, tables);
            same_digests(&w.f);
            clock_copy(&w.mark, &store_state_get(w.f.office[0].store)->clock);
        }
    }
    for (int i = 0; i < w.f.n; i++)
        check_statements(&w.f.office[i]);
    clock_fini(&w.mark);
    clock_fini(&w.behind);
    clock_fini(&w.st.clock);
    arena_fini(&w.arena);
    federation_stop(&w.f);
}

/* Any history of writes, seals, pulls and stable messages ends with equal offices and fitting
 * books. */
static void random_histories_converge(void **state)
{
    const char *one = getenv("REVIEW_SEED"), *count = getenv("REVIEW_SEEDS");
    uint64_t from = one ? strtoull(one, NULL, 10) : 1, n = count ? strtoull(count, NULL, 10)
                                                           : one ? 1
                                                                 : 4;
    for (uint64_t seed = from; seed < from + n; seed++)
        history_of(seed, 240);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories_converge)};
    return check_run(tests);
}
