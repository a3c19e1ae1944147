/* log.h - the capture log and its triggers, shared by install, collect and note.
 *
 * Log of table t: tonle_log_<t>(op, k_<key column>..., m0, m1..., o_<replicated column>...), in
 * rowid order, without constraint, index or affinity: an outer OR REPLACE or OR IGNORE finds
 * nothing to clash with, and values stand as they were. Mask word w has bit b for replicated column
 * 62*w+b; the columns after "o_" are in the same order, so a log describes itself.
 *
 * op  meaning                                     carries
 * 1   the key came into being                     key
 * 2   the row was changed in the masked columns   key, masks
 * 3   the row was deleted, or lost this key       key, whole old row
 * 4   the row was in the way of a new one and     key, whole row as it was
 *     may have been evicted without a trace
 * 5   a sum column is about to be changed         key, the sum columns as they are
 * 6   the row was given another key               key, whole old row, but with the new key
 *
 * What an event carries of the old row has the key apart (k_): so event 6 can tell the new one.
 * A key that has NULL in it names no row; its events say that the rows without a key are others
 * now.
 */
#ifndef NODE_CAPTURE_LOG_H
#define NODE_CAPTURE_LOG_H

#include "node/schema/info.h"

enum capture_op {
    OP_INSERT = 1,
    OP_UPDATE = 2,
    OP_DELETE = 3,
    OP_CANDIDATE = 4,
    OP_SUMS = 5,
    OP_MOVED = 6
};

#define MASK_BITS 62u
#define MASK_WORDS ((256u + MASK_BITS - 1) / MASK_BITS) /* of LIMIT_COLUMNS columns */

struct capture_object { /* what install makes */
    bool is_table;
    char name[32];
    char *sql;
};
/* Of a table's objects, in the order of a plan, the log first: tonle_KIND_<t>. */
#define CAPTURE_KINDS 8
extern const char *const capture_kind[CAPTURE_KINDS];
struct capture_plan {
    uint32_t n;
    struct capture_object object[CAPTURE_KINDS];
};
/* What has to stand in the database for this table. `info` may be NULL for an internal table: a log
 * only. */
void capture_plan_make(struct arena *a, const struct table_schema *t, const struct table_info *info,
                       struct capture_plan *out);
uint32_t capture_words(const struct table_schema *t);
bool capture_sums(const struct table_schema *t); /* whether it has a sum column */
/* The quoted name of a log column: "k_" or "o_" and the table's column. */
char *capture_name(struct arena *a, const char *prefix, const char *column);

struct capture {       /* s->capture */
    int64_t checked;   /* schema cookie at which store_capture_check said yes; -1 */
    int64_t installed; /* cookie after the last install here, and the revision it was made in: */
    int64_t installed_rev; /* not trusted before that transaction has committed */
    int64_t temp_cookie;   /* at which the TEMP triggers were made */
    int64_t n_temp;
    int64_t log_cookie; /* at which has_log and pending_sql were made */
    struct arena log_arena;
    bool *has_log;     /* by table index */
    char *pending_sql; /* whether a log or tonle_todo holds anything */
};
/* Which published tables have a log; calls schema_load. */
enum err capture_logs(struct store *s, struct capture **out);

#endif
