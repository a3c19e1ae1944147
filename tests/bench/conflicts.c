/* What conflicts and held rows cost: the apply of a bulk of changes under policies that keep
 * siblings, with UNIQUE and foreign keys, and beside thousands of open conflicts and held rows,
 * each as a ratio of the plain `latest` apply measured in the same run. Not a test: it prints what
 * it saw.
 *
 * CPU time of this process. A history of several rounds (its tables grow from round to round) is
 * run several times over; of each round the best is taken, and the figure is their sum, so that a
 * round is only ever compared with the same round of another history.
 *
 * usage: conflicts [ROWS] [OPEN] [ROUNDS] [RUNS]
 */
#include "tests/lib/federation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PERSON                                                                                     \
    "CREATE TABLE %s(id TEXT PRIMARY KEY NOT NULL, household TEXT%s, ident TEXT UNIQUE, "          \
    "family TEXT NOT NULL, given TEXT NOT NULL, sex TEXT CHECK(sex IN ('M','F')), born TEXT, "     \
    "phone TEXT, status TEXT, updated INTEGER) WITHOUT ROWID;"

static const char charter_head[] = "{\"federation\":\"bench\",\"schema_version\":1,\"tables\":[";

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The application writes rows from..from+n of its own number range, or changes a column of them. */
static void run(struct office *o, const char *sql, int from, int n, const char *text)
{
    sqlite3_stmt *q;
    if (sqlite3_prepare_v2(o->app, sql, -1, &q, NULL) != SQLITE_OK)
        abort();
    office_sql(o, "BEGIN IMMEDIATE");
    for (int i = from; i < from + n; i++) {
        char id[40], household[40];
        snprintf(id, sizeof id, "%08x-%04x", (unsigned)i * 2654435761u, (unsigned)i & 0xffff);
        snprintf(household, sizeof household, "h%d", i % 100);
        sqlite3_bind_text(q, 1, id, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(q, 2, household, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int(q, 3, i);
        sqlite3_bind_text(q, 4, text, -1, SQLITE_TRANSIENT);
        if (sqlite3_step(q) != SQLITE_DONE)
            abort();
        sqlite3_reset(q);
    }
    office_sql(o, "COMMIT");
    sqlite3_finalize(q);
}

static void insert(struct office *o, int from, int n)
{
    run(o,
        "INSERT INTO person VALUES(?1,?2,printf('%09d',?3),'Sok','Dara','F','1990-01-01',?4,"
        "'alive',?3)",
        from, n, "012");
}

static void update(struct office *o, int from, int n, const char *text)
{
    run(o, "UPDATE person SET phone=?4 WHERE id=?1", from, n, text);
}

static void seal_all(struct office *o)
{
    while (office_seal(o))
        ;
}

/* What was written comes to the database file within the measured time, nothing else does. */
static double pull(struct office *to, struct office *from)
{
    office_sql(to, "PRAGMA wal_checkpoint(TRUNCATE)");
    double t = now();
    office_pull(to, from);
    office_sql(to, "PRAGMA wal_checkpoint(TRUNCATE)");
    return now() - t;
}

enum beside { NOTHING, QUIET, OPEN };

static int count(struct office *o, const char *sql)
{
    return atoi(office_one(o, sql));
}

/* Rows that the bulk has nothing to do with. OPEN: two offices that know nothing of each other
 * leave `n` conflicts open and `n` rows held, whose numbers are taken. QUIET: as many rows, written
 * likewise, and nobody in anybody's way. */
static void leave(struct federation *f, enum beside beside, int n)
{
    struct office *hub = &f->office[0], *a = &f->office[1], *b = &f->office[2];
    const char *mine = "INSERT INTO person VALUES('a'||?1,?2,'same'||?3,'Sok','Dara','F',NULL,?4,"
                       "NULL,0)";
    const char *theirs =
        beside == OPEN
            ? "INSERT INTO person VALUES('b'||?1,?2,'same'||?3,'Sok','Dara','F',NULL,?4,NULL,0)"
            : "INSERT INTO person VALUES('b'||?1,?2,'else'||?3,'Sok','Dara','F',NULL,?4,NULL,0)";
    int held = beside == OPEN ? n : 0;
    insert(a, 1000000, n);
    federation_sync(f);
    federation_settle(f);
    run(a, "UPDATE person SET status='a'||?4 WHERE id=?1", 1000000, n, "");
    if (beside == OPEN)
        run(b, "UPDATE person SET status='b'||?4 WHERE id=?1", 1000000, n, "");
    run(a, mine, 0, n, "");
    run(b, theirs, 0, n, "");
    federation_sync(f);
    federation_settle(f);
    if (count(hub, "SELECT count(*) FROM tonle_held") != held ||
        count(hub, "SELECT count(*) FROM tonle_conflict WHERE state='open'") != held)
        abort();
}

#define MAX_ROUNDS 32
enum bench_what { INSERT, UPDATE, CONCURRENT, WHATS };

struct figures { /* seconds of the apply at the hub */
    double round[WHATS][MAX_ROUNDS], sum[WHATS];
};

static void better(double *best, double seconds)
{
    *best = *best == 0 || seconds < *best ? seconds : *best;
}

struct bench_world {
    const char *what, *policy;
    bool foreign;
    enum beside beside;
};

/* A hub and two offices; what applying costs at the hub. */
static void measure(const struct bench_world *world, int n, int others, int rounds,
                    struct figures *out)
{
    struct federation f;
    char schema[2048], person[1024], charter[1024];
    snprintf(person, sizeof person, PERSON, "person",
             world->foreign ? " REFERENCES household(id)" : "");
    snprintf(schema, sizeof schema,
             "CREATE TABLE household(id TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID;%s", person);
    snprintf(
        charter, sizeof charter,
        "%s{\"name\":\"household\",\"columns\":[]},{\"name\":\"person\",\"columns\":[{\"name\":"
        "\"phone\",\"policy\":\"%s\",\"fallback\":\"latest\"},"
        "{\"name\":\"status\",\"policy\":\"max\"}]}]}",
        charter_head, world->policy);
    federation_start(&f, 3, schema, charter, true);
    struct office *hub = &f.office[0], *a = &f.office[1], *b = &f.office[2];
    office_sql(hub, "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM c WHERE i<99)"
                    " INSERT INTO household SELECT 'h'||i FROM c");
    federation_sync(&f);
    if (world->beside != NOTHING)
        leave(&f, world->beside, others);
    for (int round = 0; round < rounds; round++) {
        insert(a, round * n, n);
        seal_all(a);
        better(&out->round[INSERT][round], pull(hub, a));
        federation_sync(&f);
        federation_settle(&f);
        update(a, round * n, n, "first");
        seal_all(a);
        update(b, round * n, n, "second");
        seal_all(b);
        better(&out->round[UPDATE][round], pull(hub, a));
        better(&out->round[CONCURRENT][round], pull(hub, b));
    }
    federation_stop(&f);
}

static void line(const char *what, int n, const struct figures *base, const struct figures *x)
{
    printf("%-36s INSERT %8.0f/s %5.2f   UPDATE %8.0f/s %5.2f   concurrent UPDATE %8.0f/s %5.2f\n",
           what, n / x->sum[INSERT], base->sum[INSERT] / x->sum[INSERT], n / x->sum[UPDATE],
           base->sum[UPDATE] / x->sum[UPDATE], n / x->sum[CONCURRENT],
           base->sum[CONCURRENT] / x->sum[CONCURRENT]);
}

/* In per cent. */
static double cost(const struct figures *x, const struct figures *base, enum bench_what what)
{
    return 100 * (x->sum[what] / base->sum[what] - 1);
}

int main(int argc, char **argv)
{
    static const struct bench_world world[] = {
        {"latest, UNIQUE", "latest", false, NOTHING},
        {"latest, UNIQUE, foreign key", "latest", true, NOTHING},
        {"max, UNIQUE, foreign key", "max", true, NOTHING},
        {"review, UNIQUE, foreign key", "review", true, NOTHING},
        {"review, beside quiet rows", "review", true, QUIET},
        {"review, beside conflicts and holds", "review", true, OPEN},
    };
    enum { WORLDS = sizeof world / sizeof *world };
    int n = argc > 1 ? atoi(argv[1]) : 5000;
    int others = argc > 2 ? atoi(argv[2]) : 10000;
    int rounds = argc > 3 ? atoi(argv[3]) : 6;
    int runs = argc > 4 ? atoi(argv[4]) : 3;
    static struct figures best[WORLDS];
    if (rounds < 1 || rounds > MAX_ROUNDS)
        return 2;
    for (int pass = 0; pass < runs; pass++)
        for (int i = 0; i < WORLDS; i++)
            measure(&world[i], n, others, rounds, &best[i]);
    for (int i = 0; i < WORLDS; i++)
        for (int what = 0; what < WHATS; what++)
            for (int round = 0; round < rounds; round++)
                best[i].sum[what] += best[i].round[what][round];
    printf("apply of %d times %d rows at the hub; ratios to plain `latest` of the same run\n",
           rounds, n);
    for (int i = 0; i < WORLDS; i++)
        line(world[i].what, n * rounds, &best[0], &best[i]);
    const struct figures *quiet = &best[WORLDS - 2], *open = &best[WORLDS - 1];
    printf("%d open conflicts and %d held rows cost: INSERT %+.0f %%, UPDATE %+.0f %%, concurrent"
           " UPDATE %+.0f %%\n",
           others, others, cost(open, quiet, INSERT), cost(open, quiet, UPDATE),
           cost(open, quiet, CONCURRENT));
    return 0;
}
