/* office.h - for tests: an office is a database file with a store beside it and an application
 * connection, without a node or a link. Changesets are carried by hand, in whatever order the test
 * wants.
 */
#ifndef TESTS_LIB_OFFICE_H
#define TESTS_LIB_OFFICE_H

#include "node/apply/apply.h"
#include "node/state/state.h"

#include <sqlite3.h>

#define OFFICES_MAX 8

struct office {
    struct store *store;
    sqlite3 *app; /* the application: triggers on, its own connection */
    char path[512];
    const char *vfs; /* NULL: real files */
    char name[16], parent[16], unit[8];
    uint64_t site;
    uint8_t key[SIGN_PUBLIC_BYTES], secret[SIGN_SECRET_BYTES];
    uint64_t now_ms; /* its wall clock */
    bool late;       /* invited, not enrolled yet */
    struct arena arena;
};
struct federation {
    struct office office[OFFICES_MAX];
    int n;
    char dir[256];
};

/* The pieces of federation_start, for who drives offices in another way. */
void office_identity(struct office *o, int i, const char *parent, const char *unit);
void office_open_app(struct office *o);
void office_open_store(struct office *o, bool wal_guard);
/* Makes the database at o->path: schema, Tonle's tables, charter, the registry of all n offices,
 * triggers. */
void office_found(struct office *o, const struct office *all, int n, const char *schema,
                  const char *compiled, bool wal);

struct store_identity office_store_identity(const struct office *o, const struct office *hub);
#define OFFICE_INCARNATION 7
/* The one-time key of the invitation of an office that comes late. */
void office_enrol_key(const struct office *o, uint8_t key[CURVE_KEY_BYTES]);

/* n offices with this schema; `compiled` is the charter's published form (node/charter/charter.h)
 * with at least tables[].name and policies. Where it is not complete, the database completes it.
 * Office 0 is the hub. Any failure aborts the test. */
void federation_start(struct federation *f, int n, const char *schema_sql, const char *compiled,
                      bool wal);
void federation_stop(struct federation *f);

void office_sql(struct office *o, const char *sql); /* the application writes; failure aborts */
int office_try(struct office *o, const char *sql);  /* the application writes; SQLite's code */
/* First column of the first row as text (static buffers, 8 in turn); "" for none, "NULL" for NULL.
 */
const char *office_one(struct office *o, const char *sql);
bool office_seal(struct office *o);                         /* true when a changeset was made */
bool office_seal_part(struct office *o, uint32_t max_rows); /* at most so many rows of the log */
/* Applies changeset (site, seq) of `from`'s journal at `to`. The error code of store_apply. */
enum err office_take(struct office *to, struct office *from, struct dot dot,
                     struct apply_report *report);
void office_pull(struct office *to, struct office *from); /* everything `from` has and `to` lacks */
void federation_sync(struct federation *f);               /* seals and pulls until nothing moves */
/* Everything applied becomes stable at its office and is swept, as after a mark that all have
 * passed. */
void federation_settle(struct federation *f);
/* All offices: same rows in these tables (space separated), same held rows, same open conflicts. */
void federation_assert_equal(struct federation *f, const char *tables);

#endif
