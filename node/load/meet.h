/* meet.h - one key, here and at the neighbour ("there"), at equal clocks: what each has of it. */
#ifndef NODE_LOAD_MEET_H
#define NODE_LOAD_MEET_H

#include "node/load/load.h"
#include "node/record/record.h"

struct side {
    struct row row;       /* as it is on record */
    struct value *stands; /* in the table; NULL: no row */
    struct birth *birth;  /* whose that is; NULL: nobody's on record, or no row */
};
struct met {
    struct row_key k;
    struct side here, there;
    enum record_at at; /* of the record here */
    bool *left;        /* columns that stay here */
};

/* The states of a chunk by their keys, and the one of a key (NULL: none). */
const struct row_state **met_states(struct arena *a, const struct load_chunk *chunk);
const struct row_state *met_state(const struct row_state **st, uint32_t n, struct bytes key);
/* The table that a chunk is of; an error where it does not fit the one here. */
enum err met_table(struct store *s, const struct load_chunk *chunk, const struct table_schema **t);
/* `now`: the row here; st: what came of the key. Either may be NULL: nothing. */
enum err met_key(struct store *s, struct arena *a, struct row_key k, const struct row_state *st,
                 struct value *now, struct met *x);
enum escape_kind met_kind(struct arena *a, const struct met *x); /* 0: no escape */
/* But for the columns that stay here (NULL: none). */
bool met_same_sent(const struct table_schema *t, const struct value *x, const struct value *y,
                   const bool *left);
/* The same birth, alive, on the other side's record. */
struct birth *met_counterpart(const struct met *x, const struct side *other, const struct birth *b);
const struct value *met_values(struct arena *a, const struct met *x, const struct side *of,
                               const struct birth *b);
/* A birth here and its counterpart there. */
bool met_differ(struct arena *a, const struct met *x, const struct birth *b, const struct birth *c);
bool met_told(const struct birth *b); /* held as a row of its own: a twin is not */
/* A birth that is torn here, and held or stands there, or has no row here and is held there; NULL:
 * none. */
struct birth *met_torn(struct arena *a, const struct met *x);
/* A birth that is held there, and not on record here: its row had no record, and was deleted behind
 * capture, before it was held; NULL: none. */
const struct birth *met_lost(struct arena *a, const struct met *x);
/* A birth that is torn there, and not here; NULL: none. */
struct birth *met_torn_there(struct arena *a, const struct met *x);
/* A birth that is held here, and is another there, or one that is hidden; from number *at on. */
struct birth *met_held_otherwise(struct arena *a, const struct met *x, uint32_t *at);
/* Of a row that has been deleted, or is told of for another (a twin): as it would be if a change
 * came that brings it back. What was written over is a conflict on record (conflict_found). */
struct birth *met_hidden_otherwise(struct arena *a, const struct met *x, struct birth *b);
/* A row of nobody's that equals a birth which the neighbour holds: everybody has it. */
bool met_known(struct arena *a, const struct met *x);
/* A birth that the neighbour does not have, and that is held here: a row that was entered, changed
 * and then held; NULL: none. Births that others have all have names, or are there. */
const struct birth *met_held_alone(const struct met *x);

#endif
