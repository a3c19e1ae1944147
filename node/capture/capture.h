/* capture.h - what the application's writes leave behind, and its net effect as a changeset.
 *
 * Invariant: every write to a published table leaves its trace in the same transaction (the
 * triggers of sql.c; a write of our own: capture_note), and all events of a key are consumed
 * together, or none. Numbers of tables (tonle_table), logs (tonle_log_*), what decisions queue
 * (tonle_todo) and what is too large to be sent (tonle_limit) are written here alone, the logs also
 * by the triggers; rows of tonle_node, tonle_site, tonle_charter and tonle_decision go through
 * capture_note.
 *
 * Ownership: what a collection found is the caller's (struct collected) and goes on to naming,
 * applying and consuming, all in the write transaction it was made in. What is handed out otherwise
 * lives in the arena given.
 *
 * Errors: those of the database (db.h); ERR_CORRUPT for an entry of tonle_todo that is none. After
 * any error of a writing call the transaction is rolled back. Writing calls are made in a write
 * transaction.
 */
#ifndef NODE_CAPTURE_CAPTURE_H
#define NODE_CAPTURE_CAPTURE_H

#include "conflict/map.h"
#include "node/record/record.h"

/* Installs or renews the capture triggers, the log tables and the TEMP copies of local-only
 * triggers for every published table that exists here. Safe to repeat. Only store_capture_check
 * decides whether it is needed: false when a published table's schema or a trigger is not what was
 * installed. What was installed and is not there any more was away: a capture gap is noted (gap.h).
 */
enum err store_capture_install(struct store *s);
bool store_capture_check(struct store *s);
/* Whether a published table stands anew, without our triggers and without a row: a tool that drops
 * a table, makes it again and copies its rows back, each in a transaction of its own, is between
 * the last two. Triggers put in now would take the copy for rows that were entered. */
enum err store_capture_refilled(struct store *s, bool *awaited);
/* The log, or what decisions queued, is not empty. True also when unknown (a locked database): what
 * is remote is not applied over what may be captured. */
bool store_capture_pending(struct store *s);
/* Whether the log still has events of this key. */
enum err capture_has(struct store *s, struct row_key k, bool *yes);
/* The same asked for many keys of a table, in a transaction that captures nothing; {0} at the
 * beginning. Of two keys with one hash either is said to be there. */
struct log_keys {
    bool read, indexed;
    struct map keys;
};
enum err captured_has(struct store *s, struct arena *a, struct log_keys *c, struct row_key k,
                      bool *yes);
/* What was captured of this table goes unsealed: a first load replaces its rows. */
enum err capture_discard(struct store *s, const struct table_schema *t);
/* Notes a write of our own to a captured table (registry), as the application's trigger would. */
enum err capture_note(struct store *s, const struct table_schema *t, enum change_kind kind,
                      uint64_t column_mask, const struct value *columns);
/* Before an update that a comparison has found (collect_most.compared): a total is sent as what was
 * added to `before`, and what was written beside it is `before`, not what stands by now. */
enum err capture_note_before(struct store *s, const struct table_schema *t,
                             const struct value *before);
/* Reads the schema, and makes the TEMP copies of local-only triggers that run on applied rows:
 * before work_init. */
enum err capture_temp_triggers(struct store *s);
/* Drops the copies on this table, for what must be done whatever an office's triggers say; the next
 * capture_temp_triggers makes them again. */
enum err capture_copies_back(struct store *s, const struct table_schema *t);

/* ---- collecting */
struct
    collected; /* what one collection took from the log, and what it knows beside its changeset */
struct collect_most { /* of one changeset */
    uint32_t rows;
    uint64_t bytes; /* of values, about */
    bool apart;     /* what was decided together may come apart: it fits into no changeset whole */
    bool compared;  /* all of it comes of a comparison, which knows whose it is (nobodys.c) */
};
/* The net effect of the log: fills the one segment of `cs`, parents first. cs->cut: there is more.
 * What decisions queued, and their rows of tonle_decision, go together, where need be with more
 * rows than `most` says, up to LIMIT_ROWS and its bytes: what is queued beyond that is cut all the
 * same. A log that is cut before leaves all of it to the next changeset.
 * ERR_NOT_FOUND: nothing to publish (what was consumed is noise, and consumed all the same).
 * *out is the caller's, to be freed with collected_free; NULL after any other error. */
enum err store_collect(struct store *s, struct arena *a, struct collect_most most,
                       struct changeset *cs, struct collected **out);
void collected_free(struct collected *c); /* NULL is allowed */
/* What is known beside a row of the changeset (index of its table and of the row), which nobody
 * has put in another order meanwhile. NULL, false: nothing, also where `c` is NULL.
 *
 * The row as it was before it was deleted (n_columns values). */
const struct value *collect_old_values(const struct collected *c, uint32_t table, uint32_t row);
/* The totals of sum columns from before the window (n_columns values; NULL elsewhere), of an UPDATE
 * or DELETE row of the birth that stands (stood); NULL for others, and where the table has none.
 * Also of a decision's row: what the application changed beside it is in the table already. */
const struct value *collect_old_sums(const struct collected *c, uint32_t table, uint32_t row);
/* Whether the row comes from tonle_todo, perhaps joined with what the application wrote to the same
 * birth: it names its birth, and not all of it stands in the table yet. */
bool collect_is_decision(const struct collected *c, uint32_t table, uint32_t row);
/* Whether its birth is named already, where that has a name. */
bool collect_is_named(const struct collected *c, uint32_t table, uint32_t row);

/* What was done to rows of this table (NULL: of any) that may have been entered in a gap is left to
 * the comparison: what was compared of it before says nothing any more. */
bool collect_left_nobodys(struct store *s, const struct collected *c, const char *table);
/* Deletes from the logs what was collected, once, in the transaction of the collection; what of it
 * is too large to be sent stays known in tonle_limit. */
enum err collect_consumed(struct store *s, struct collected *c);
struct limit_note { /* what an operator has to know of a row too large to be sent */
    uint32_t t;     /* the table's number: the charter may have come with the same changeset */
    struct bytes key;
    const char *message; /* in words, what of it stands only here; NULL: it went out, or is gone */
    bool gone;           /* nothing of the row at the key stays here only: others may come in */
    bool found;          /* the row at the key had lost it, and has it again */
    bool entered; /* what was entered at the key in a gap is gone again: others may come in */
    const struct value *lost; /* the row, as it was, that lost its key here; others have it */
};
/* In the order in which they were written; after collect_consumed, until `c` is freed. */
const struct limit_note *collected_notes(const struct collected *c, size_t *n);

/* ---- what decisions queue */
/* A change that no statement of an application can express: it names a birth (none: the unnamed
 * one), or changes nothing that is seen. */
struct todo_change {
    enum change_kind kind;
    struct dot birth;
    uint32_t n_cells;          /* BORN: all columns */
    const uint32_t *column;    /* ascending */
    const struct value *value; /* absolute, also of sums */
};
/* Queues it for the next seal. ERR_LIMIT when it could not be sent, ERR_REFUSED for a BORN row with
 * a total beyond 64 bits. */
enum err todo_put(struct store *s, struct row_key k, const struct todo_change *c);
/* A delete of this birth of the row, and of its twins: it is of the row that they are together. */
enum err todo_put_delete(struct store *s, struct arena *a, struct row_key k, const struct row *r,
                         const struct birth *b);
/* Whether a birth at this key waits for its seal. */
enum err todo_has_birth(struct store *s, struct row_key k, bool *yes);
/* Whether anything at this key does. */
enum err todo_has(struct store *s, struct row_key k, bool *yes);

/* ---- what is too large to be sent */
/* Whether columns of its rows stay here that others have. */
enum err limit_columns(struct store *s, const struct table_schema *t, bool *any);
enum err store_limit_rows(struct store *s, uint64_t *n); /* rows of which something is */
/* Whether anything of ours stays here for its size, and whether this row does as a whole: nobody
 * else has it. */
enum err limit_any(struct store *s, bool *any);
enum err limit_alone(struct store *s, struct row_key k, bool *yes);
/* The same in one look, and of a row that others have the columns that stay here (n_columns; NULL:
 * none do). */
enum err limit_stays(struct store *s, struct arena *a, struct row_key k, bool *alone, bool **left);

void capture_open(struct store *s);
void capture_close(struct store *s);

#endif
