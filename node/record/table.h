/* store_part.h - what the parts of the store beside capture and apply share: plain statements on
 * one published table, and keys as hex text (tonle_node, tonle_site).
 *
 * Invariant: every statement here changes exactly one row of one table; nothing is replaced,
 * evicted or cascaded (triggers and foreign_keys are off on this connection, and the statements
 * carry OR ABORT).
 */
#ifndef NODE_RECORD_TABLE_H
#define NODE_RECORD_TABLE_H

#include "node/db/store_int.h"

/* Statements on a published table; `values` are its n_columns replicated columns in charter order.
 * A refusal of the row is ERR_CONSTRAINT with SQLite's words in the message, and leaves the table
 * as it was. */
enum err part_insert(struct store *s, const struct table_schema *t, const struct value *values);
/* Sets the columns in which `values` differs from `old` (which stands there now) and no others. */
enum err part_update(struct store *s, const struct table_schema *t, const struct value *old,
                     const struct value *values);
enum err part_delete(struct store *s, struct row_key k);
/* The columns that differ, as capture_note wants them: bit c for column c, bit 63 for all from 63
 * on. */
uint64_t part_mask(const struct table_schema *t, const struct value *old,
                   const struct value *values);

/* Rows of a table in key order. A read in slices, each its own statement: outside a transaction of
 * the store's no slice keeps an application from committing for longer than the lock budget (DESIGN
 * 10). Key bytes beginning with PART_RECORDS stand behind every row: see store_chunk.c. */
#define PART_RECORDS 0xff
struct key_range {
    const struct table_schema *t;
    struct bytes after; /* key bytes, exclusive; empty: from the start */
    struct bytes upto;  /* inclusive; empty: no bound */
    uint32_t max_rows;
    size_t max_bytes; /* of values, as a rule of thumb: at least one row comes */
};
struct slice_rows {
    uint32_t n;
    struct value **row; /* each n_columns values */
    struct bytes *key;
    bool end; /* no row of the range is behind these */
};
enum err part_slice(struct store *s, struct arena *a, const struct key_range *want,
                    struct slice_rows *out);

/* Adds one row to an order-independent digest: the hash of the table's name, a tag and the
 * canonical bytes of every replicated column, as four little-endian 64-bit sums. */
enum digest_tag { DIGEST_STANDS = 1, DIGEST_HELD = 2 };
void digest_add(uint8_t digest[HASH_BYTES], const struct table_schema *t, enum digest_tag tag,
                const struct value *values);

/* Shown values of a birth, held or standing, of which the record tells all. */
struct value *part_birth_values(struct arena *a, const struct table_schema *t,
                                const struct birth *b);

/* ERR_SCHEMA unless the chunk has the columns that the charter here names. */
enum err part_same_columns(struct store *s, const struct table_schema *t,
                           const struct load_chunk *chunk);

/* A changeset of the journal, decoded and verified with its site's key; for scans over many. {0} is
 * valid. */
struct opener {
    uint64_t site; /* whose key is here; 0: none yet */
    struct site_record record;
    struct arena arena; /* of the record */
};
enum err part_open(struct store *s, struct opener *o, struct arena *a, const struct item *i,
                   struct changeset *cs);
void part_opener_fini(struct opener *o);
/* The changeset at this position of the journal; ERR_NOT_FOUND where none is (any more). */
enum err part_item_at(struct store *s, struct arena *a, uint64_t pos, struct item *out);
/* The next change of this key in a changeset, or NULL; *tc its table. There may be several: of
 * different births. */
struct change_place { /* {0}: at the start */
    uint32_t segment, table, row;
};
const struct row_change *part_next_change(const struct changeset *cs, const char *table,
                                          struct bytes key, struct change_place *at,
                                          const struct table_changes **tc);

/* What stood in a conflict's cell before it (store_before.c). */
enum err part_before(struct store *s, struct arena *a, const struct conflict_record *c,
                     struct bytes key, struct dot birth, struct conflict_side *before,
                     bool *has_before);

/* Lower-case hex text of n bytes; "" for all zeroes. */
const char *part_hex(struct arena *a, const uint8_t *p, size_t n);
/* The reverse: "" is all zeroes; false for anything that part_hex does not write. */
bool part_unhex(const char *text, uint8_t *out, size_t n);

#endif
