/* store_part.h - what the parts of the store beside capture and apply share: plain statements on one
 * published table, and keys as hex text (tonle_node, tonle_site).
 *
 * Invariant: every statement here changes exactly one row of one table; nothing is replaced, evicted or
 * cascaded (triggers and foreign_keys are off on this connection, and the statements carry OR ABORT).
 */
#ifndef NODE_STORE_PART_H
#define NODE_STORE_PART_H

#include "node/store_int.h"

/* Why store_stmt gave NULL: also a locked schema (ERR_BUSY), not only a statement that does not compile. */
enum err part_stmt_error(struct store *s) MUST_CHECK;

/* Statements on a published table; `values` are its n_columns replicated columns in charter order. A
 * refusal of the row is ERR_CONSTRAINT with SQLite's words in the message, and leaves the table as it was. */
enum err part_insert(struct store *s, const struct table_schema *t, const struct value *values) MUST_CHECK;
/* Sets the columns in which `values` differs from `old` (which stands there now) and no others. */
enum err part_update(struct store *s, const struct table_schema *t, const struct value *old,
                     const struct value *values) MUST_CHECK;
enum err part_delete(struct store *s, struct row_key k) MUST_CHECK;
/* The columns that differ, as capture_note wants them: bit c for column c, bit 63 for all from 63 on. */
uint64_t part_mask(const struct table_schema *t, const struct value *old, const struct value *values);

/* Lower-case hex text of n bytes; "" for all zeroes. */
const char *part_hex(struct arena *a, const uint8_t *p, size_t n);
/* The reverse: "" is all zeroes; false for anything that part_hex does not write. */
bool part_unhex(const char *text, uint8_t *out, size_t n);

#endif
