/* slice.h - rows of a table in key order, a slice at a time, and what loads, comparisons and
 * digests share. */
#ifndef NODE_LOAD_SLICE_H
#define NODE_LOAD_SLICE_H

#include "node/record/record.h"
#include "protocol/message.h"

/* Rows of a table in key order. A read in slices, each its own statement: outside a transaction of
 * the store's no slice keeps an application from committing for longer than the lock budget (DESIGN
 * 10). Key bytes beginning with PART_RECORDS stand behind every row: see chunk.c. */
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
/* The keys of rows that are held here, in the range and in its order: at most max_rows, and those
 * that have the last one's place, too (a NOCASE key); none behind PART_RECORDS. */
struct held_keys {
    struct bytes *key;
    size_t n;
    bool full; /* others may be behind them */
};
enum err part_held(struct store *s, struct arena *a, const struct key_range *want,
                   struct held_keys *out);
/* Whether a key stands behind another in the order of the table. */
bool part_is_behind(struct arena *a, const struct table_schema *t, struct bytes key,
                    struct bytes other);
/* Adds one row to an order-independent digest: the hash of the table's name, a tag and the
 * canonical bytes of every replicated column, as four little-endian 64-bit sums. */
enum digest_tag { DIGEST_STANDS = 1, DIGEST_HELD = 2 };
void digest_add(uint8_t digest[HASH_BYTES], const struct table_schema *t, enum digest_tag tag,
                const struct value *values);
/* ERR_SCHEMA unless the chunk has the columns that the charter here names. */
bool part_is_records_key(struct bytes key); /* it begins with PART_RECORDS */
enum err part_same_columns(struct store *s, const struct table_schema *t,
                           const struct load_chunk *chunk);
/* load.c: all that is known of one row becomes what its state says, at equal clocks; what stands in
 * the table is written over without a word. `stood`: what the caller has written over or deleted
 * already (NULL: nothing): who waited for its key or its values comes in, who stands by it goes. */
enum err load_replace(struct store *s, struct arena *a, const struct table_schema *t,
                      const struct row_state *st, struct value *stood, uint64_t now_ms);
/* The row's record, with the conflicts that are open by it; `now` stands in the table. */
enum err load_save(struct store *s, struct arena *a, struct row_key k, struct value *now,
                   struct row *row, enum record_at at, uint64_t hlc);
/* totals.c: ERR_REFUSED, with what to do, where the row has a total: it cannot be sent to an office
 * that has lost the row, because what was added before counts everywhere else already. */
enum err totals_none(struct store *s, const struct table_schema *t, const struct value *here);
/* The same where a total differs: what was added there alone is in that office's own total, and
 * sent from here it would be added there once more. */
enum err totals_same(struct store *s, const struct table_schema *t, const struct value *here,
                     const struct value *there);

#endif
