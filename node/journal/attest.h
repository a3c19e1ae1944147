/* attest.h - what the hub signs of the registry and the charter as a whole, so that an office that
 * joins need not believe its parent: a sum of each of the three tables, in a row of
 * tonle_registry that the hub writes in the same changeset as every change of them
 * (capture/publish.c). So it is at every office, as new as the rows, whatever has been pruned of
 * the journal.
 *
 * The sum is over all rows and all columns, with their names, in the order of the keys; one that
 * does not depend on the order (load/digest.c) could be met by rows that somebody chose for it.
 *
 * Invariant: a signature says one thing only: "these are the rows at the hub, as of this number".
 */
#ifndef NODE_JOURNAL_ATTEST_H
#define NODE_JOURNAL_ATTEST_H

#include "node/db/db.h"
#include "protocol/changeset.h"

#define ATTEST_TABLE "tonle_registry"
#define ATTEST_KEY "registry" /* of its one row */
#define ATTEST_SUMS 3
extern const char *const attest_table[ATTEST_SUMS]; /* what is summed... */
extern const char *const attest_sum[ATTEST_SUMS];   /* ...into which column */

struct attest {
    uint64_t number; /* one more with every change */
    uint8_t sum[ATTEST_SUMS][HASH_BYTES];
    uint8_t signature[SIGNATURE_BYTES];
};
struct attest_rows { /* of one table; the first column is the key, a text */
    uint32_t n_columns;
    const char *const *column;
    const struct value **row;
    size_t n;
};
/* Sorts the rows. */
void attest_sum_of(const char *table, struct attest_rows *rows, uint8_t sum[HASH_BYTES]);
void attest_sign(struct attest *at, const char *federation,
                 const uint8_t secret[SIGN_SECRET_BYTES]);
enum err attest_verify(const struct attest *at, const char *federation,
                       const uint8_t key[SIGN_PUBLIC_BYTES]);

/* The same of the tables in this database. */
enum err attest_sum_here(struct store *s, struct arena *a, const char *table,
                         uint8_t sum[HASH_BYTES]);
/* ERR_NOT_FOUND: the hub has signed nothing yet. */
enum err attest_read(struct store *s, struct arena *a, struct attest *out);
/* *table: which of them is not what the hub has signed; NULL: all are, or it has signed nothing. */
enum err attest_look(struct store *s, struct arena *a, const char **table);

#endif
