/* office.h - for tests: an office is a database file with a store beside it and an application
 * connection, without a node or a link. Changesets are carried by hand, in whatever order the test
 * wants.
 */
#ifndef TESTS_LIB_OFFICE_H
#define TESTS_LIB_OFFICE_H

#include "node/apply/apply.h"
#include "node/state/state.h"
#include "protocol/seal_enrol.h"
#include "tests/lib/database.h"

struct office {
    struct store *store;
    sqlite3 *app; /* the application: triggers on, its own connection */
    char path[512];
    const char *vfs; /* NULL: real files */
    const uint64_t *mono_ms; /* its monotonic clock; NULL: the machine's */
    char name[16], parent[16], unit[8];
    uint64_t site;
    uint8_t key[SIGN_PUBLIC_BYTES], secret[SIGN_SECRET_BYTES];
    uint64_t now_ms; /* its wall clock */
    bool late;       /* invited, not enrolled yet */
    struct arena arena;
};
void office_identity(struct office *o, int i, const char *parent, const char *unit);
void office_open_app(struct office *o);
void office_open_store(struct office *o);
/* Makes the database at o->path: schema, Tonle's tables, charter, the registry of all n offices,
 * triggers. */
void office_found(struct office *o, const struct office *all, int n, const char *schema,
                  const char *compiled, bool wal);

struct store_identity office_store_identity(const struct office *o, const struct office *hub);
#define OFFICE_INCARNATION 7
/* The secret of the invitation of an office that comes late, and its key in the registry. */
void office_invite_secret(const struct office *o, uint8_t secret[INVITE_SECRET_BYTES]);
void office_enrol_key(const struct office *o, uint8_t key[CURVE_KEY_BYTES]);

void office_sql(struct office *o, const char *sql); /* the application writes; failure aborts */
void office_behind(struct office *o, const char *sql); /* as a tool with triggers off does */
int office_try(struct office *o, const char *sql);  /* the application writes; SQLite's code */
const char *office_one(struct office *o, const char *sql);  /* database_text */
bool office_seal(struct office *o);                         /* true when a changeset was made */
bool office_seal_part(struct office *o, uint32_t max_rows); /* at most so many rows of the log */
/* Applies changeset (site, seq) of `from`'s journal at `to`. The error code of store_apply. */
enum err office_take(struct office *to, struct office *from, struct dot dot,
                     struct apply_report *report);
void office_pull(struct office *to, struct office *from); /* everything `from` has and `to` lacks */
void office_pull_upto(struct office *to, struct office *from, const struct clock *limit);
/* Commits after ERR_OK, rolls back after an error, which it returns. */
enum err office_end(struct office *o, enum err e);
/* All that this clock covers is stable here; the records are swept, so many a call, as after a mark
 * that all have passed. */
void office_pass_stable(struct office *o, const struct clock *clock, uint32_t slice);

#endif
