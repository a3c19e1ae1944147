/* Offices with SQLite itself as the one that gives out ids, apart for as long as it pleases,
 * steered as the node steers them (conflict/block.h): whatever they enter and whenever they hear of
 * one another, no id is given twice, and none outside the blocks of its office. */
#include "conflict/block.h"
#include "tests/property/gen.h"

#include <sqlite3.h>
#include <stdio.h>

#define OFFICES_MAX 64
#define IDS_MAX 200000
#ifdef FEW_HISTORIES
#define HISTORIES 2
#else
#define HISTORIES 12
#endif

struct block_office {
    sqlite3 *db;
    uint32_t number;
    size_t heard; /* of the ids in the order they were given: how many it has */
};
struct block_world {
    struct block_plan plan;
    struct block_office office[OFFICES_MAX];
    uint32_t n;
    int64_t *id; /* what was given, in order */
    uint8_t *by;
    size_t n_ids;
    uint64_t seed;
};

static void run(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    int64_t n = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return n;
}

/* As the node does it, in each of its transactions. */
static void steer(const struct block_world *w, struct block_office *o)
{
    int64_t at = number_of(o->db, "SELECT max(coalesce((SELECT max(id) FROM t), 0),"
                                  " coalesce((SELECT seq FROM sqlite_sequence), 0))");
    if (!block_is_spent(w->plan, o->number, at))
        return;
    int64_t to = block_next(w->plan, o->number, at);
    CHECK(w->seed, to >= at);
    char sql[200];
    snprintf(sql, sizeof sql,
             "DELETE FROM sqlite_sequence; INSERT INTO sqlite_sequence VALUES('t', %lld)",
             (long long)to);
    run(o->db, sql);
}

static void world_start(struct block_world *w, uint64_t seed, struct block_plan plan, uint32_t n)
{
    uint32_t given[OFFICES_MAX];
    *w = (struct block_world){.plan = plan, .n = n, .seed = seed};
    w->id = calloc(IDS_MAX, sizeof *w->id);
    w->by = calloc(IDS_MAX, sizeof *w->by);
    for (uint32_t i = 0; i < n; i++) {
        struct block_office *o = &w->office[i];
        o->number = block_number(plan, given, i);
        uint32_t at = i;
        for (; at > 0 && given[at - 1] > o->number; at--)
            given[at] = given[at - 1];
        given[at] = o->number;
        assert_int_equal(sqlite3_open(":memory:", &o->db), SQLITE_OK);
        run(o->db, "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v)");
        steer(w, o);
    }
}

static void world_stop(struct block_world *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        sqlite3_close(w->office[i].db);
    free(w->id);
    free(w->by);
}

/* The application: INSERT without an id; then the seal. */
static void enter(struct block_world *w, uint32_t i, uint32_t rows)
{
    struct block_office *o = &w->office[i];
    run(o->db, "BEGIN");
    for (uint32_t k = 0; k < rows && w->n_ids < IDS_MAX; k++) {
        run(o->db, "INSERT INTO t(v) VALUES(0)");
        int64_t id = sqlite3_last_insert_rowid(o->db);
        CHECK(w->seed, block_owns(w->plan, o->number, id));
        w->id[w->n_ids] = id;
        w->by[w->n_ids++] = (uint8_t)i;
    }
    steer(w, o);
    run(o->db, "COMMIT");
}

/* It is told what the others have entered, and some of its rows are deleted: SQLite must not give
 * the greatest again. A row that is here already has been given twice. */
static void hear(struct block_world *w, uint32_t i)
{
    struct block_office *o = &w->office[i];
    sqlite3_stmt *q = NULL;
    run(o->db, "BEGIN");
    assert_int_equal(sqlite3_prepare_v2(o->db, "INSERT INTO t(id) VALUES(?1)", -1, &q, NULL), 0);
    for (; o->heard < w->n_ids; o->heard++) {
        if (w->by[o->heard] == i)
            continue;
        sqlite3_bind_int64(q, 1, w->id[o->heard]);
        CHECK(w->seed, sqlite3_step(q) == SQLITE_DONE);
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    steer(w, o);
    run(o->db, "COMMIT");
}

static int64_t highest(const struct block_world *w)
{
    int64_t most = 0;
    for (size_t i = 0; i < w->n_ids; i++)
        most = w->id[i] > most ? w->id[i] : most;
    return most;
}

/* Each office hears of the others in a part of its moments only; at the end all hear all, which
 * fails where one id was given by two. */
static void random_history(uint64_t seed)
{
    struct gen g = gen_seeded(seed);
    struct block_world w;
    static const struct block_plan plan[] = {{64, 64}, {1024, 256}, {4096, 1024}, {65536, 16}};
    struct block_plan p = plan[gen_below(&g, 4)];
    world_start(&w, seed, p, (uint32_t)gen_between(&g, 2, gen_percent(&g, 25) ? OFFICES_MAX : 9));
    uint32_t apart = (uint32_t)gen_between(&g, 0, 98);
    for (int step = 0; step < 1500 && w.n_ids < 6000; step++) {
        uint32_t i = gen_below(&g, w.n);
        if (gen_below(&g, 100) >= apart)
            hear(&w, i);
        if (gen_percent(&g, 20))
            run(w.office[i].db, "DELETE FROM t WHERE id = (SELECT max(id) FROM t)");
        enter(&w, i, gen_below(&g, p.size / 4 + 1)); /* the most that a block always has left */
    }
    for (uint32_t i = 0; i < w.n; i++)
        hear(&w, i);
    CHECK(seed, highest(&w) <= BLOCK_ID_MAX);
    world_stop(&w);
}

static void no_id_is_given_twice_nor_outside_its_blocks(void **state)
{
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
        random_history(seed);
}

/* An office that hears nobody uses three quarters of each block at least, and no more than one
 * block a round. */
static void an_office_alone_takes_a_block_a_round(void **state)
{
    struct block_world w;
    const struct block_plan p = {64, 64};
    world_start(&w, 0, p, 3);
    for (int i = 0; i < 500; i++)
        enter(&w, 1, 7);
    int64_t rounds = 500 * 7 / 48 + 1;
    assert_true(highest(&w) <= rounds * p.count * p.size);
    world_stop(&w);
}

/* Two that enter in turn, each after it has heard of the other, take one round for each pair: who
 * has a higher row can only go on above it. This is what the ids of the default plan are reckoned
 * by: 2^22 a round, 2^31 rounds below 2^53. */
static void two_in_turn_take_a_round_a_pair(void **state)
{
    struct block_world w;
    const struct block_plan p = {64, 64};
    world_start(&w, 0, p, 2);
    for (uint32_t i = 0; i < 100; i++) {
        hear(&w, i % 2);
        enter(&w, i % 2, 1);
    }
    assert_int_equal(highest(&w), 49 * 64 * 64 + 32 * 64 + 1);
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_id_is_given_twice_nor_outside_its_blocks),
        cmocka_unit_test(an_office_alone_takes_a_block_a_round),
        cmocka_unit_test(two_in_turn_take_a_round_a_pair),
    };
    return check_run(tests);
}
