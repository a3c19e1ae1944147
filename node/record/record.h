/* record.h - the record of a row that is not settled, its claims and references, and what is kept
 * of rows beside them.
 *
 * Invariant: a row has at most one record, and a settled row none. A record is looked at through
 * the stable clock each time it is read. tonle_row, tonle_claim, tonle_keep, tonle_came,
 * tonle_local and tonle_deferred are written here alone, in a transaction of store/'s, and what is
 * kept of them in memory (filters, waiting tables) follows it: record_begin, _commit, _rollback.
 *
 * Errors: ERR_CORRUPT for a record that cannot be read, ERR_SCHEMA for a table that is not here;
 * the database's own otherwise. Ownership: what is loaded lives in the arena given; a row_key
 * borrows its bytes.
 */
#ifndef NODE_RECORD_RECORD_H
#define NODE_RECORD_RECORD_H

#include "node/db/query.h"
#include "node/schema/schema.h"
#include "protocol/message.h"

struct row_key { /* one row of one published table */
    const struct table_schema *t;
    const uint8_t *key; /* canonical bytes */
    size_t len;
};
/* A position in the order of keys that begins with this byte stands behind every row, among the
 * records (load/chunk.c): no key begins with it. */
#define PART_RECORDS 0xff
/* Where the record of a row is: tonle_row.swept, if it has one. */
enum record_at { RECORD_NONE, RECORD_FRESH, RECORD_SWEPT };
/* The record after forgetting; values of the standing birth not filled in. *at: where it was; NULL
 * when nobody wants to know. */
enum err row_load(struct store *s, struct arena *a, struct row_key k, struct row *out,
                  enum record_at *at);
/* Whether a birth of which the values are not known (part_birth_torn) is held in the record as it
 * is stored: what is forgotten since may have been all that was unknown. */
enum err row_was_torn(struct store *s, struct arena *a, struct row_key k, enum record_at at,
                      bool *torn);
/* Forgets, then writes, replaces or deletes the record and its claims. `at` as row_load told it. */
enum err row_save(struct store *s, struct arena *a, struct row_key k, struct row *r,
                  enum record_at at);
/* The same for a sweep: a record that has nothing left to become stable goes to the swept part. */
enum err row_sweep(struct store *s, struct arena *a, struct row_key k, struct row *r,
                   enum record_at at);
/* The row in the table: *values (n_columns) or NULL. */
enum err row_read(struct store *s, struct arena *a, struct row_key k, struct value **values);
/* The stable clock and the kept names as row_forget wants them; keep_rank is true where it might be
 * needed. */
enum err row_forgetting(struct store *s, struct arena *a, struct row_key k, struct forget *f);
/* The claim of these column values to unique index i: false when it makes none (a NULL, or outside
 * the partial index's predicate). `v` are the claim's values, `folded` its canonical bytes. */
enum err row_claim(struct store *s, struct arena *a, const struct table_schema *t, uint32_t i,
                   const struct value *columns, bool *claims, struct value **v,
                   struct bytes *folded);
/* The canonical bytes of a foreign reference, from the parent's or the child's columns; false with
 * a NULL. */
bool row_reference(struct arena *a, const struct foreign_key *fk, bool of_child,
                   const struct value *columns, struct value **v, struct bytes *folded);
/* Whether anything is claimed in this database. */
bool row_any_claims(struct store *s);
/* Whether this value may be claimed: false is certain. */
bool claims_may(struct store *s, const struct table_schema *t, int64_t idx, struct bytes v);
/* Whether one of these columns' unique values may be claimed: false is certain, and cheap. */
bool claims_may_meet(struct store *s, struct arena *a, const struct table_schema *t,
                     const struct value *columns);
/* Whether held rows may wait for this one; one does from now on. */
bool claims_may_block(struct store *s, struct row_key k);
void claims_note_blocker(struct store *s, uint32_t t, struct bytes key);
/* Whether this key may have a held birth: false is certain; it has one from now on. */
bool claims_may_hold(struct store *s, struct row_key k);
void claims_note_held(struct store *s, struct row_key k);
/* Whether another row than k claims this value. */
enum err claims_elsewhere(struct store *s, struct row_key k, uint32_t i, struct bytes v,
                          bool *other);
/* Writes the claims of the births that do not stand. */
enum err claims_save(struct store *s, struct arena *a, struct row_key k, const struct row *r);
#define CLAIM_REFERENCE 1000
/* Before the seal: what the rows write into foreign keys names the parent's birth that stands here,
 * where it has a name. */
enum err refer_name(struct store *s, struct arena *a, struct changeset *cs);
/* The parent's key that the child's values (all columns) refer to; false with a NULL. */
bool refer_key(struct arena *a, const struct foreign_key *fk, const struct table_schema *parent,
               const struct value *values, struct row_key *out);
/* The living birth of the parent's row that this birth of the child means; NULL: none lives. */
const struct birth *refer_find(struct store *s, struct arena *a, const struct foreign_key *fk,
                               const struct birth *child, const struct row *parent);
/* Fills in f->parents: which of the births that r's references name keep their names. */
enum err refer_keep(struct store *s, struct arena *a, struct row_key k, const struct row *r,
                    struct forget *f);
/* Rows wait for a table that does not fit here; false also when unknown. */
enum err store_deferred_any(struct store *s, bool *any);
/* Whether changesets wait for this table to fit here. */
enum err defer_waits(struct store *s, const char *table, bool *waits);
/* The stable clock through which rows of this table are looked at. */
enum err defer_stable(struct store *s, const char *table, const struct clock **out);

/* ---- local.c: columns that only this office has, kept of rows that were taken out */
struct local_value {
    const char *column;
    struct value value;
    struct dot birth; /* that it belongs to */
};
struct local_values {
    struct local_value *at;
    size_t n, cap;
};
/* Before the row of this birth is taken out. */
enum err local_keep(struct store *s, struct arena *a, struct row_key k, struct dot birth);
/* What was kept of the columns that are here still, of whichever birth. */
enum err local_read(struct store *s, struct arena *a, struct row_key k, struct local_values *out);
enum err local_drop(struct store *s, struct row_key k); /* forgets what was kept of a row */

/* ---- keep.c */
/* Births that keep their names after they are stable (tonle_keep): whether there are any, in this
 * transaction; none from now on; another one; those of a row. */
enum err record_keeps_any(struct store *s, bool *any);
enum err record_keep_clear(struct store *s);
enum err record_keep_add(struct store *s, struct row_key k, struct dot birth);
enum err record_keep_names(struct store *s, struct arena *a, struct row_key k, struct dot **names,
                           size_t *n);
/* Rows that came in though nothing of them was to become stable, since the stable clock was raised
 * last: they may have no record that a load could meet behind the rows. Another one; none from now
 * on. */
enum err record_came(struct store *s, struct row_key k);
enum err record_came_clear(struct store *s);
/* Nothing is known any more of the rows of a table: their records, claims and kept names go. */
enum err record_forget_table(struct store *s, const struct table_schema *t);
/* Binds the key's values from parameter i on; the query fails where the bytes are not a key of the
 * table. */
void query_bind_key(struct query *q, struct arena *a, struct row_key k, int i);

/* ---- the room's own */
void record_open(struct store *s);
void record_close(struct store *s);
void record_begin(struct store *s);    /* state_version is known */
void record_commit(struct store *s);   /* state_version is that of our own commit */
void record_rollback(struct store *s); /* what was read in the transaction may be wrong */

#endif
