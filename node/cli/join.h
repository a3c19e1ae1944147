/* join.h - the two halves of `tonle join`: what it fetches from the parent, and what it does to the
 * database.
 *
 * Invariant: the database is touched only after everything has arrived (the chunks wait in an
 * unlinked spool file), in one transaction; so a join that is interrupted anywhere can simply be
 * repeated.
 */
#ifndef NODE_CLI_JOIN_H
#define NODE_CLI_JOIN_H

#include "node/cli/cli.h"
#include "node/load/load.h"
#include "node/loop/join.h"

#define JOIN_REACH_MS 30000 /* how long the parent is tried for (DESIGN 12) */
#define JOIN_INTERNAL                                                                              \
    4 /* tonle_node, tonle_site, tonle_charter, tonle_decision: the first chunks of every load */

struct join_session {
    const char *db, *invitation_path, *mode_name, *listen;
    enum load_mode mode;
    struct invitation invitation;
    struct keys keys;
    uint8_t enrol_key[CURVE_KEY_BYTES], enrol_secret[CURVE_KEY_BYTES]; /* of the invitation */
    uint64_t incarnation;
    /* learnt from the registry that was fetched */
    uint64_t site;
    const char *own_listen;
    const char *compiled;  /* the newest charter */
    int spool;             /* chunk messages, each behind its length (8 bytes) */
    uint64_t internal_end; /* where the chunks of the internal tables end in it */
    uint64_t rows;
    struct join_line *line;
};

/* Registers at the parent; CLI_OK once the hub has taken our keys. */
int join_enrol(struct join_session *j);
/* Fetches registry and charter into the spool and checks them; then everything else. */
int join_fetch_registry(struct cli *c, struct join_session *j);
int join_fetch_tables(struct cli *c, struct join_session *j);
/* Reads the chunk at *offset and moves it on; ERR_NOT_FOUND at the end. */
enum err join_spool_next(struct join_session *j, struct arena *a, uint64_t *offset,
                         struct load_chunk *out);

#endif
