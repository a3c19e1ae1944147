/* capture.h - what the application's writes leave behind, and its net effect as a changeset.
 *
 * Invariant: every write to a published table leaves its trace in the same transaction, and all
 * events of a key are consumed together, or none. tonle_log_*, tonle_todo and tonle_limit are
 * written here alone (and the logs by the triggers).
 */
#ifndef NODE_CAPTURE_CAPTURE_H
#define NODE_CAPTURE_CAPTURE_H

#include "node/record/record.h"

/* Installs or renews the capture triggers, the log tables and the TEMP copies of local-only
 * triggers for every published table that exists here. Safe to repeat. Only store_capture_check
 * decides whether it is needed: false when a published table's schema or a trigger is not what was
 * installed. */
enum err store_capture_install(struct store *s);
bool store_capture_check(struct store *s);
bool store_capture_pending(struct store *s); /* the log, or what decisions queued, is not empty */
/* Notes a write of our own to a captured table (registry), as the application's trigger would. */
enum err capture_note(struct store *s, const struct table_schema *t, enum change_kind kind,
                      uint64_t column_mask, const struct value *columns);
/* Reads the schema, and makes the TEMP copies of local-only triggers that run on applied rows:
 * before work_init. */
/* Whether the log still has events of this key. */
enum err capture_has(struct store *s, const struct table_schema *t, const void *key, size_t len,
                     bool *yes);
enum err capture_temp_triggers(struct store *s);
/* The net effect of the log, at most max_rows rows and about max_bytes of values: fills the one
 * segment of `cs`. Parents first. *cut: there is more. ERR_NOT_FOUND: nothing to publish (and what
 * was consumed is noise: call store_collect_done all the same). */
enum err store_collect(struct store *s, struct arena *a, uint32_t max_rows, uint64_t max_bytes,
                       struct changeset *cs, bool *cut);
const struct value *collect_old_values(struct store *s, uint32_t table_index, uint32_t row_index);
/* The totals of sum columns from before the window (n_columns values; NULL elsewhere), of an UPDATE
 * or DELETE row of the birth that stands (stood); NULL for others, and where the table has none.
 * Also of a decision's row: what the application changed beside it is in the table already. */
const struct value *collect_old_sums(struct store *s, uint32_t table_index, uint32_t row_index);
/* Whether the row comes from tonle_todo, perhaps joined with what the application wrote to the same
 * birth: it names its birth, and not all of it stands in the table yet. */
bool collect_is_decision(struct store *s, uint32_t table_index, uint32_t row_index);
/* Queues a change for the next seal that no statement of an application can express: it names a
 * birth (none: the unnamed one), or changes nothing that is seen. Values are absolute, also of
 * sums; `column` ascending. BORN: all columns, at the key k. ERR_LIMIT when it could not be sent,
 * ERR_REFUSED for a BORN row with a total beyond 64 bits. */
enum err todo_put(struct store *s, struct row_key k, struct dot birth, enum change_kind kind,
                  uint32_t n_cells, const uint32_t *column, const struct value *value);
uint64_t store_limit_rows(struct store *s); /* rows of which something is too large to be sent */
/* store_limit.c: whether anything of ours stays here for its size, and whether this row does as a
 * whole: nobody else has it. */
enum err limit_any(struct store *s, bool *any);
enum err limit_alone(struct store *s, struct row_key k, bool *yes);

/* Deletes from the logs what the last store_collect of this transaction consumed; what of it is too
 * large to be sent becomes held (reason `limit`) as of now_ms. `freed` is called for each key at
 * which only this office had a row, and now has none. */
typedef enum err collect_freed_fn(struct store *s, struct row_key k, uint64_t now_ms);
enum err collect_consumed(struct store *s, uint64_t now_ms, collect_freed_fn *freed);
/* What was captured of this table goes unsealed: a first load replaces its rows. */
enum err capture_discard(struct store *s, const struct table_schema *t);
void capture_open(struct store *s);
void capture_close(struct store *s);

#endif
