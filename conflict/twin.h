/* twin.h - births of one key that are equal are no conflict: all but one of them are twins.
 *
 * Invariant: identities are never mixed. A twin keeps its name, its record and its own changes to
 * come; it is only left out of what people are asked and shown (pass 2, conflicts of births, the
 * held list). Whether a birth is a twin is a pure function of the merged state and is written
 * nowhere: struct birth's HOLD_TWIN says, like the other reasons, what was decided last.
 */
#ifndef CONFLICT_TWIN_H
#define CONFLICT_TWIN_H

#include "conflict/row.h"

/* Of a birth as its changeset carries it: schema version, and each replicated column's number and
 * value, type and bytes. Not references, not times. */
void birth_hash(uint8_t out[BORN_BYTES], uint64_t schema_version, uint32_t n,
                const uint32_t *column, const struct value *value);

/* The writer of b had seen the birth of that name. Of each site the last tells of the others: a key
 * may be deleted and entered anew for months. */
void birth_see(struct arena *a, struct birth *b, struct dot name);

/* Born with equal values, and neither's writer had seen the other. Both have names. */
bool births_equal(const struct birth *x, const struct birth *y);

/* Of each birth the one that it is a twin of, or NULL; in the arena, good until the row changes.
 * NULL when the row has no twins: nearly always. */
const struct birth **row_twins(struct arena *a, const struct row *r,
                               const struct table_rules *rules);
/* Of one birth of the row. */
const struct birth *row_twin_of(struct arena *a, const struct row *r,
                                const struct table_rules *rules, const struct birth *b);

/* The living birth that a reference to this name means: a twin's is the one that it is a twin of;
 * where the name is none, or of somebody dead or unknown, the earliest that is no twin. NULL: none
 * lives. */
const struct birth *row_meant(struct arena *a, const struct row *r, const struct table_rules *rules,
                              struct dot name);

/* Whether the births of the key may become one row without a name once `stable` is passed: exactly
 * one of them is no twin, and no name or version on record is still to be heard of by anybody. */
bool row_is_one(struct arena *a, const struct row *r, const struct table_rules *rules,
                const struct clock *stable);

#endif
