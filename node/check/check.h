/* check.h - whether a charter fits this database, and what it has to be completed with.
 *
 * Only what a database has to tell is checked here; what the charter says by itself was checked
 * when it was read (node/charter/).
 * Invariant: nothing is changed but by store_schema_create_missing, and by what a person asks for
 * (autoincrement.h).
 */
#ifndef NODE_CHECK_CHECK_H
#define NODE_CHECK_CHECK_H

#include "node/charter/charter.h"
#include "node/db/db.h"

/* Makes the published tables and indexes that are missing here (a new office with an empty
 * database). */
enum err store_schema_create_missing(struct store *s, uint32_t *created);
/* What doctor and charter check say of this database: one line each, "ok", "warn" or "fail". */
struct finding {
    const char *level;   /* "ok" "warn" "fail" */
    const char *subject; /* table, trigger, setting */
    const char *text;    /* what, and the remedy */
};
enum err store_schema_findings(struct store *s, struct arena *a, struct finding **out, size_t *n);
/* The same for a charter that is not published yet (charter check FILE against --db). *completed is
 * the charter with the columns, implied groups, keys and CREATE statements of this database; it
 * shares what it can with `charter`, and may be it. */
enum err store_schema_complete(struct store *s, struct arena *a, const struct charter *charter,
                               struct charter *completed, struct finding **out, size_t *n);

#endif
