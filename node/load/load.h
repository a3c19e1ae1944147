/* load.h - row states out and in: the first load, its chunks, comparing and digests.
 *
 * Invariant: a chunk is read in one short transaction and says the clock it was read at; a load is
 * one transaction of the caller's from store_load_begin to store_load_end, and what an error leaves
 * of it is rolled back. tonle_adopt_* are made and written here alone; of other rooms' tables this
 * room asks them.
 *
 * Errors: ERR_STATE for rows in the way or a load that was not begun, ERR_SCHEMA for a table or
 * columns that are not here, ERR_MALFORMED for what the sender should not have sent. Ownership:
 * chunks, escapes and digests live in the arena given.
 */
#ifndef NODE_LOAD_LOAD_H
#define NODE_LOAD_LOAD_H

#include "node/schema/schema.h"
#include "protocol/message.h"

/* Reads up to max_rows keys of a table after request->after in key order, records of keys that have
 * no row in the table included (tombstones, held births). Short: one read transaction. */
enum err store_chunk_read(struct store *s, struct arena *a, const struct load_request *request,
                          const char *peer, struct load_chunk *out);
/* First load, in one transaction from store_load_begin to store_load_end: rows of the office that
 * are in the way are compared (adopt) or were removed (replace). */
enum load_mode { LOAD_EMPTY, LOAD_REPLACE, LOAD_ADOPT };
enum err store_load_begin(struct store *s, enum load_mode mode);
/* Rows that are in the way of a first load: all that stand, also those without a key. */
enum err store_load_rows(struct store *s, const struct table_schema *t, uint64_t *n);
enum err store_load_chunk(struct store *s, struct arena *a, const struct load_chunk *chunk);
struct load_report {
    uint64_t rows;
    uint64_t adopted_new; /* rows that the federation lacked: they travel with the next seal */
    uint64_t adopted_equal;
    uint64_t adopted_conflicts; /* differing cells, recorded */
};
enum err store_load_end(struct store *s, struct arena *a, struct load_report *report);
/* Compares a chunk with the local rows of the same range: where they differ. */
enum escape_kind { ESCAPE_CHANGED = 1, ESCAPE_NEW, ESCAPE_DELETED, ESCAPE_HELD };
struct escape {
    enum escape_kind kind;
    const char *table;
    struct bytes key;
    struct bytes place;            /* of the key, in the order of the table */
    const struct row_state *state; /* of the chunk; NULL: it has none of this key */
};
enum err store_chunk_compare(struct store *s, struct arena *a, const struct load_chunk *chunk,
                             struct bytes after, struct escape **out, size_t *n);
/* What stands here and there (n_columns values; NULL: no row). */
struct escape_rows {
    const struct table_schema *t;
    const struct value *here, *there;
};
enum err store_escape_rows(struct store *s, struct arena *a, const struct load_chunk *chunk,
                           const struct escape *e, struct escape_rows *out);
/* What is here goes into the capture log, or is queued, so that it is sealed like any write; or
 * what is there replaces it:
 * - THERE: here alone. It is the parent's, and nobody below can have taken what was here.
 * - BELOW: of the parent, too, but somebody below may have taken what was here. So it is sealed,
 *   where a row stands or is held at both, or stands here alone; the rest as THERE.
 * - FOR_ALL: of a child, and others may have something else. It is sealed, or everybody else has it
 *   by what is on record here; the rest is ERR_REFUSED, and says where it can be published.
 * - BACK: the same, where rows may have been lost here behind capture: what stands there alone is
 *   taken for such a row (*as_lost), which other neighbours may not have.
 * What is held there (ESCAPE_HELD) is taken behind all others; HERE there is nothing to say of
 * it. */
enum escape_take {
    ESCAPE_TAKE_HERE,
    ESCAPE_TAKE_THERE,
    ESCAPE_TAKE_BELOW,
    ESCAPE_TAKE_FOR_ALL,
    ESCAPE_TAKE_BACK
};
enum err store_escape_settle(struct store *s, struct arena *a, const struct load_chunk *chunk,
                             const struct escape *e, enum escape_take take, bool *as_lost);
/* The digest of a slice: what stands behind request->after, as far as request->upto or the bounds
 * of one read go (out->last). Short. out->clock is left to the caller. */
enum err store_digest_slice(struct store *s, struct arena *a, const struct digest_request *request,
                            struct digest_reply *out);
/* What stays here of the rows that one slice behind request->after reads, added to what the request
 * leaves out already. The request goes no further than that, nor than LIMIT_DIGEST_LEAVE of it. */
enum err store_digest_leave(struct store *s, struct arena *a, struct digest_request *request);
void digest_sum(struct table_digest *to, const struct table_digest *d);
/* All slices of all tables, for whoever has the database to himself. */
enum err store_digest(struct store *s, struct arena *a, struct table_digest **out, uint32_t *n);

#endif
