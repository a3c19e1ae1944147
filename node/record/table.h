/* table.h - plain statements on one published table.
 *
 * Invariant: every statement here changes exactly one row of one table, or fails; nothing is
 * replaced, evicted or cascaded (triggers and foreign_keys are off on this connection, but for the
 * copies of the application's own that only check or write local tables, and the statements carry
 * OR ABORT).
 */
#ifndef NODE_RECORD_TABLE_H
#define NODE_RECORD_TABLE_H

#include "node/record/record.h"

/* Statements on a published table; `values` are its n_columns replicated columns in charter order.
 * A refusal of the row is ERR_CONSTRAINT with SQLite's words in the message, and leaves the table
 * as it was; a statement that a trigger's RAISE(IGNORE) left without effect is one, too: it
 * succeeds, and changes no row. So is one on a row that raised_before knows. */
enum err part_insert(struct store *s, const struct table_schema *t, const struct value *values);
/* Sets the columns in which `values` differs from `old` (which stands there now) and no others. */
enum err part_update(struct store *s, const struct table_schema *t, const struct value *old,
                     const struct value *values);
enum err part_delete(struct store *s, struct row_key k);
/* In words, for a statement on t that changed no row: which trigger ignored it. In the arena. */
char *part_ignored(struct store *s, struct arena *a, const struct table_schema *t);
/* The columns that differ, as capture_note wants them: bit c for column c, bit 63 for all from 63
 * on. */
uint64_t part_mask(const struct table_schema *t, const struct value *old,
                   const struct value *values);
/* A trigger with RAISE(ROLLBACK) ends our whole transaction. The row is remembered (always
 * ERR_BUSY: the transaction is done again) and not tried a second time, until the schema is
 * another or raised_again lets it go: raised_before says what the trigger had to say, and NULL of
 * any other row. */
enum err raised_remember(struct store *s, struct row_key k, const char *message);
const char *raised_before(struct store *s, struct row_key k);
/* Lets some go, each of which may cost a transaction once more. all: each that is remembered now is
 * due; else what is left of those. True: others still are. */
bool raised_again(struct store *s, bool all);
void raised_forget(struct store *s); /* all of them */
/* Shown values of a birth, held or standing, of which the record tells all. */
struct value *part_birth_values(struct arena *a, const struct table_schema *t,
                                const struct birth *b);
/* Of a birth that does not stand: its row was deleted behind capture, and what others have written
 * since is all that is known of its values, which is not even its key. */
bool part_birth_unknown(struct arena *a, const struct table_schema *t, const struct birth *b);
/* And it lives: it cannot stand, and what its record says that others wrote before is unknown. */
bool part_birth_torn(struct arena *a, const struct table_schema *t, const struct birth *b);

#endif
