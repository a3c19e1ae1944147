/* What conflicts and held rows cost: the apply of a bulk of changes under policies that keep
 * siblings, with UNIQUE and foreign keys, and beside thousands of open conflicts and held rows,
 * each as a ratio of the plain `latest` apply measured in the same run. CPU time of this process,
 * the best of several rounds: what else the machine does is not measured. Not a test: it prints
 * what it saw.
 *
 * usage: conflicts [ROWS] [OPEN] [ROUNDS]
 */
#include "tests/lib/office.h"

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

static double pull(struct office *to, struct office *from)
{
    double t = now();
    office_pull(to, from);
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

struct figures {
    double insert, update, concurrent; /* seconds of the apply at the hub */
};

static void better(double *best, double seconds)
{
    *best = *best == 0 || seconds < *best ? seconds : *best;
}

struct world {
    const char *what, *policy;
    bool foreign;
    enum beside beside;
};

/* A hub and two offices; what applying costs at the hub. */
static struct figures measure(const struct world *world, int n, int others, int rounds)
{
    struct federation f;
    struct figures out = {0};
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
        better(&out.insert, pull(hub, a));
        federation_sync(&f);
        federation_settle(&f);
        update(a, round * n, n, "first");
        seal_all(a);
        update(b, round * n, n, "second");
        seal_all(b);
        better(&out.update, pull(hub, a));
        better(&out.concurrent, pull(hub, b));
    }
    federation_stop(&f);
    return out;
}

static void line(const char *what, int n, const struct figures *base, const struct figures *x)
{
    printf("%-36s INSERT %8.0f/s %5.2f   UPDATE %8.0f/s %5.2f   concurrent UPDATE %8.0f/s %5.2f\n",
           what, n / x->insert, base->insert / x->insert, n / x->update, base->update / x->update,
           n / x->concurrent, base->concurrent / x->concurrent);
}

int main(int argc, char **argv)
{
    static const struct world world[] = {
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
    int rounds = argc > 3 ? atoi(argv[3]) : 8;
    struct figures best[WORLDS];
    for (int i = 0; i < WORLDS; i++)
        best[i] = measure(&world[i], n, others, rounds);
    printf("apply of %d rows at the hub; ratios to plain `latest` of the same run\n", n);
    for (int i = 0; i < WORLDS; i++)
        line(world[i].what, n, &best[0], &best[i]);
    const struct figures *quiet = &best[WORLDS - 2], *open = &best[WORLDS - 1];
    printf("%d open conflicts and %d held rows cost: INSERT %+.0f %%, UPDATE %+.0f %%, concurrent"
           " UPDATE %+.0f %%\n",
           others, others, 100 * (open->insert / quiet->insert - 1),
           100 * (open->update / quiet->update - 1),
           100 * (open->concurrent / quiet->concurrent - 1));
    return 0;
}
