/* A careless ordinary application: plain SQL, its own transactions, now and then one left open. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

#define HOUSE                                                                                      \
    "CREATE TABLE house(id TEXT PRIMARY KEY NOT NULL, book TEXT UNIQUE, village TEXT) WITHOUT "    \
    "ROWID"
#define PERSON                                                                                     \
    "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, house TEXT REFERENCES house(id), ident "    \
    "INTEGER UNIQUE, a TEXT, b TEXT, top INTEGER, low INTEGER, first TEXT, mother TEXT "           \
    "REFERENCES person(id), CHECK(b IS NOT 'bad'))"
#define RECEIPT                                                                                    \
    "CREATE TABLE receipt(series TEXT NOT NULL, number INTEGER NOT NULL, note TEXT, PRIMARY "      \
    "KEY(series, number)) WITHOUT ROWID"

const char app_schema[] = HOUSE ";" PERSON ";" RECEIPT ";";
/* As it was published once, by a version that wrote less: such a charter stays in force. */
const char app_charter[] =
    "{\"federation\":\"sim\",\"schema_version\":1,\"tables\":[{\"name\":\"house\",\"columns\":[{"
    "\"policy\":\"latest\",\"name\":\"id\"},{\"policy\":\"latest\",\"name\":\"book\"},"
    "{\"policy\":\"latest\",\"name\":\"village\"}],\"key\":[\"id\"],\"create\":\"" HOUSE
    "\",\"indexes\":[]},{\"name\":\"person\",\"columns\":[{"
    "\"policy\":\"latest\",\"name\":\"id\"},{\"policy\":\"latest\",\"name\":\"house\"},"
    "{\"policy\":\"latest\",\"name\":\"ident\"},{\"policy\":\"latest\",\"name\":\"a\"},"
    "{\"policy\":\"latest\",\"name\":\"b\"},{\"name\":\"top\",\"policy\":\"max\"},"
    "{\"name\":\"low\",\"policy\":\"min\"},{\"name\":\"first\",\"policy\":\"earliest\"},"
    "{\"policy\":\"latest\",\"name\":\"mother\"}],\"key\":[\"id\"],\"create\":\"" PERSON
    "\",\"indexes\":[]},{\"name\":\"receipt\",\"columns\":[{"
    "\"policy\":\"latest\",\"name\":\"series\"},{\"policy\":\"latest\",\"name\":\"number\"},"
    "{\"policy\":\"latest\",\"name\":\"note\"}],\"key\":[\"series\",\"number\"],\"create\":"
    "\"" RECEIPT "\",\"indexes\":[]}]}";

static void statement(struct world *w, struct machine *m, char *sql, size_t size)
{
    unsigned id = world_below(w, 5), other = world_below(w, 5);
    unsigned long long token = ++w->token;
    switch (world_below(w, 19)) {
    case 0:
    case 1:
        snprintf(sql, size, "INSERT OR IGNORE INTO house VALUES('h%u','b%u','%llu')", id, other,
                 token);
        break;
    case 2:
        snprintf(sql, size, "DELETE FROM house WHERE id='h%u'", id);
        break;
    case 3:
        snprintf(sql, size, "UPDATE OR IGNORE house SET book='b%u', village='%llu' WHERE id='h%u'",
                 other, token, id);
        break;
    case 4:
    case 5:
        snprintf(sql, size,
                 "INSERT OR IGNORE INTO person(id,house,ident,a,b,top) "
                 "VALUES('p%u',%s%u%s,%u,'%llu',NULL,%u)",
                 id, other ? "'h" : "nullif(", other, other ? "'" : ",0)", world_below(w, 6), token,
                 world_below(w, 9));
        break;
    case 6:
        snprintf(sql, size,
                 "INSERT OR REPLACE INTO person(id,ident,a,low) VALUES('p%u',%u,'%llu',%u)", id,
                 world_below(w, 6), token, world_below(w, 9));
        break;
    case 7:
        snprintf(sql, size, "UPDATE person SET a='%llu' WHERE id='p%u'", token, id);
        break;
    case 8:
        snprintf(sql, size, "UPDATE person SET b='%llu' WHERE id='p%u'", token, id);
        break;
    case 9:
        snprintf(sql, size, "UPDATE person SET top=%u, low=%u, first='%llu' WHERE id='p%u'",
                 world_below(w, 9), world_below(w, 9), token, id);
        break;
    case 10:
        snprintf(sql, size, "UPDATE OR IGNORE person SET ident=%u WHERE id='p%u'",
                 world_below(w, 6), id);
        break;
    case 11:
        snprintf(sql, size, "UPDATE person SET mother='p%u' WHERE id='p%u'", other, id);
        break;
    case 12:
        snprintf(sql, size, "DELETE FROM person WHERE id='p%u'", id);
        break;
    case 13:
        snprintf(sql, size,
                 "INSERT INTO receipt VALUES('%s',%u,'%llu') ON CONFLICT DO UPDATE SET "
                 "note=excluded.note",
                 world_below(w, 2) ? "S" : m->o.name, id, token);
        break;
    case 14:
        snprintf(sql, size, "UPDATE OR REPLACE person SET id='p%u' WHERE id='p%u'", other, id);
        break;
    case 15: /* what every office's application enters by itself */
        snprintf(sql, size, "INSERT OR IGNORE INTO house VALUES('h%u','b%u','seed')", id, id);
        break;
    case 16:
        snprintf(sql, size, "INSERT OR IGNORE INTO person(id,house,a) VALUES('p%u','h%u','seed')",
                 id, id % 2);
        break;
    case 17:
        snprintf(sql, size, "INSERT OR IGNORE INTO receipt VALUES('S',%u,'seed')", id);
        break;
    default:
        snprintf(sql, size, "DELETE FROM receipt WHERE number=%u", id);
    }
}

void app_open(struct world *w, struct machine *m)
{
    office_open_app(&m->o);
    if (w->profile.keys)
        office_sql(&m->o, "PRAGMA foreign_keys=ON");
    ledger_open(w, m);
}

void app_close(struct machine *m)
{
    sqlite3_close(m->o.app);
    m->o.app = NULL;
    m->open_tx = false;
}

/* A whole series at once: entered, changed, thrown away. */
void app_many(struct world *w, struct machine *m)
{
    char sql[512];
    unsigned long long token = ++w->token;
    unsigned series = world_below(w, 3), n = 20 + world_below(w, 300);
    switch (world_below(w, 3)) {
    case 0:
        snprintf(sql, sizeof sql,
                 "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < %u)"
                 " INSERT OR IGNORE INTO receipt SELECT 'B%u', i, '%llu' FROM n",
                 100 + n, series, token);
        break;
    case 1:
        snprintf(sql, sizeof sql,
                 "UPDATE receipt SET note='%llu' WHERE series='B%u' AND number %% 3 = %u", token,
                 series, n % 3);
        break;
    default:
        snprintf(sql, sizeof sql, "DELETE FROM receipt WHERE series='B%u' AND number > %u", series,
                 100 + n / 2);
    }
    office_try(&m->o, sql);
}

void app_statements(struct world *w, struct machine *m)
{
    uint32_t n = 1 + world_below(w, 3);
    bool burst = !w->healing && world_chance(w, w->profile.burst);
    for (uint32_t i = 0; i < n; i++) {
        char sql[1024];
        struct buf drawn = {0};
        if (w->schema.fixed) {
            statement(w, m, sql, sizeof sql);
        } else {
            app_statement(w, m, &drawn);
            snprintf(sql, sizeof sql, "%s", buf_str(&drawn));
            buf_fini(&drawn);
        }
        int rc = office_try(&m->o, sql); /* a statement may fail: an application goes on */
        if (w->verbose)
            printf("%8llu %s: app: %s -> %d\n", (unsigned long long)w->now, m->o.name, sql, rc);
    }
    if (burst && w->schema.fixed)
        app_many(w, m);
}

void app_write(struct world *w, struct machine *m)
{
    if (m->open_tx) {
        office_try(&m->o, world_chance(w, 300) ? "ROLLBACK" : "COMMIT");
        m->open_tx = !sqlite3_get_autocommit(m->o.app);
        return;
    }
    if (office_try(&m->o, "BEGIN IMMEDIATE") != SQLITE_OK)
        return; /* the machine is dying */
    bool noted = ledger_before(w, m);
    if (w->schema.fixed)
        wrote_before(m);
    app_statements(w, m);
    if (w->schema.fixed)
        wrote_after(w, m);
    if (!noted || !ledger_after(w, m)) {
        office_try(&m->o, "ROLLBACK");
        return;
    }
    w->writes++;
    if (!w->healing && world_chance(w, w->profile.open_tx)) {
        m->open_tx = true;
        world_later(w, WHAT_APP, (int)(m - w->m), 30 + world_below(w, 200), 0);
        return;
    }
    if (office_try(&m->o, world_chance(w, 80) ? "ROLLBACK" : "COMMIT") != SQLITE_OK)
        office_try(&m->o, "ROLLBACK");
}
