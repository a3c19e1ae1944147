/* Speed and space of capture, seal and apply as ratios against plain SQLite, measured in the same
 * run on the same kind of database file. Not a test: it prints what it saw.
 *
 * usage: bench [ROWS] [wal|rollback]
 */
#include "tests/lib/federation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char columns[] = "(id TEXT PRIMARY KEY NOT NULL, household TEXT, ident TEXT UNIQUE, "
                              "family TEXT NOT NULL, given TEXT NOT NULL,"
                              " sex TEXT CHECK(sex IN ('M','F')), born TEXT, phone TEXT, status "
                              "TEXT, updated INTEGER) WITHOUT ROWID";
static const char charter[] = "{\"federation\":\"bench\",\"schema_version\":1,\"tables\":[{"
                              "\"name\":\"person\",\"columns\":[]}]}";

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void insert(struct office *o, const char *table, int from, int n)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "INSERT INTO %s VALUES(?1,?2,?3,'Sok','Dara','F','1990-01-01',?4,'alive',?5)", table);
    sqlite3_stmt *q;
    sqlite3_prepare_v2(o->app, sql, -1, &q, NULL);
    office_sql(o, "BEGIN IMMEDIATE");
    for (int i = from; i < from + n; i++) {
        char id[40], ident[40], household[40];
        snprintf(id, sizeof id, "%08x-%04x", (unsigned)i * 2654435761u, (unsigned)i & 0xffff);
        snprintf(ident, sizeof ident, "%09d", i);
        snprintf(household, sizeof household, "h%d", i / 5);
        sqlite3_bind_text(q, 1, id, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(q, 2, household, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(q, 3, ident, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(q, 4, ident, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int(q, 5, i);
        if (sqlite3_step(q) != SQLITE_DONE)
            abort();
        sqlite3_reset(q);
    }
    office_sql(o, "COMMIT");
    sqlite3_finalize(q);
}

static void update(struct office *o, const char *table, int n, int round)
{
    char sql[256];
    snprintf(sql, sizeof sql, "UPDATE %s SET phone=?2||'-%d' WHERE id=?1", table, round);
    sqlite3_stmt *q;
    sqlite3_prepare_v2(o->app, sql, -1, &q, NULL);
    office_sql(o, "BEGIN IMMEDIATE");
    for (int i = 0; i < n; i++) {
        char id[40];
        snprintf(id, sizeof id, "%08x-%04x", (unsigned)i * 2654435761u, (unsigned)i & 0xffff);
        sqlite3_bind_text(q, 1, id, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(q, 2, id, -1, SQLITE_TRANSIENT);
        if (sqlite3_step(q) != SQLITE_DONE)
            abort();
        sqlite3_reset(q);
    }
    office_sql(o, "COMMIT");
    sqlite3_finalize(q);
}

static void row_of(const char *what, int n, double plain, double ours)
{
    printf("%-44s %9.0f rows/s   plain %9.0f   %5.2f x plain\n", what, n / ours, n / plain,
           plain / ours);
}

static double seal_all(struct office *o)
{
    double t = now();
    while (office_seal(o))
        ;
    return now() - t;
}

static double pull(struct office *to, struct office *from)
{
    double t = now();
    office_pull(to, from);
    return now() - t;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 50000;
    bool wal = argc <= 2 || strcmp(argv[2], "rollback") != 0;
    struct federation f;
    char schema[1024];
    snprintf(schema, sizeof schema, "CREATE TABLE person%s; CREATE TABLE plain%s;", columns,
             columns);
    federation_start(&f, 2, schema, charter, wal);
    struct office *a = &f.office[1], *hub = &f.office[0];
    printf("%d rows of 10 columns, one UNIQUE, one CHECK; %s; changesets of 5,000 rows\n", n,
           wal ? "WAL" : "rollback journal");

    double t = now();
    insert(a, "plain", 0, n);
    double plain_insert = now() - t;
    t = now();
    insert(a, "person", 0, n);
    row_of("capture: INSERT, one transaction", n, plain_insert, now() - t);
    double seal = seal_all(a);
    row_of("seal: INSERT", n, plain_insert, seal);
    t = now();
    for (int i = 0; i < n; i += 5000)
        insert(hub, "plain", i, n - i < 5000 ? n - i : 5000);
    double plain_batches = now() - t;
    row_of("apply: INSERT (verify, merge, write)", n, plain_batches, pull(hub, a));
    printf(
        "%-44s %9s bytes/row\n", "records of unsettled rows",
        office_one(
            hub, "SELECT printf('%.1f', sum(length(k)+length(rec)+7.0)/count(*)) FROM tonle_row"));

    t = now();
    update(a, "plain", n, 1);
    double plain_update = now() - t;
    t = now();
    update(a, "person", n, 1);
    row_of("capture: UPDATE of one column", n, plain_update, now() - t);
    row_of("seal: UPDATE", n, plain_update, seal_all(a));
    row_of("apply: UPDATE, rows unsettled", n, plain_update, pull(hub, a));
    t = now();
    federation_settle(&f);
    printf("%-44s %9.0f rows/s   left %s records\n", "forgetting (stable, swept)",
           2.0 * n / (now() - t), office_one(hub, "SELECT count(*) FROM tonle_row"));
    update(a, "person", n, 2);
    (void)seal_all(a);
    row_of("apply: UPDATE, rows settled", n, plain_update, pull(hub, a));
    printf("%-44s %9.1f bytes/row\n", "journal",
           atof(office_one(hub, "SELECT sum(length(bytes)) FROM tonle_journal WHERE site <> 0")) /
               (3.0 * n));
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("%-44s %9.1f MiB\n", "peak memory of this process (2 offices)",
           (double)u.ru_maxrss / 1024);
    federation_stop(&f);
    return 0;
}
