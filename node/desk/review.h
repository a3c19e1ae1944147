/* review.h - what the files of the review desk share: the row a decision is about, who may
 * decide, the values that were typed, and the decision's own record.
 *
 * Invariant: a decision changes nothing by itself. It is a row of tonle_decision and entries of
 * tonle_todo, written in one transaction; the next seal makes them changes like any others, in one
 * changeset (DESIGN 4: an ordinary write that has seen all siblings).
 */
#ifndef NODE_DESK_REVIEW_H
#define NODE_DESK_REVIEW_H

#include "node/desk/desk.h"
#include "node/record/record.h"

/* ---- review.c */
struct reviewed { /* one row, as everything here sees it now */
    struct store *s;
    struct arena *a;
    struct row_key k;
    struct row row;      /* values filled in */
    struct value *stand; /* the row in the table, or NULL */
};
/* Reads record and table row. The key is borrowed. */
enum err review_row(struct store *s, struct arena *a, struct row_key k, struct reviewed *out);
/* The birth of that name; where the name is forgotten, the one that lost its name. NULL: gone. */
struct birth *review_birth(const struct reviewed *r, struct dot name);
/* ERR_BUSY when an application's change to the row waits for a seal: within one changeset its
 * columns stand over a decision's, so that one made behind them would be lost. */
enum err review_sealed(const struct reviewed *r);
/* All columns as shown of a birth. */
struct value *review_values(const struct reviewed *r, const struct birth *b);

struct subject {      /* what is decided about */
    const char *what; /* "conflict" or "held" */
    const char *id;
    const char *table;
    const char *key_json;
    const char *cell;
};

/* ---- values.c */
/* What the assignments give, in column order; columns not named are NULL in `value`, `given` tells.
 * ERR_USAGE for an unknown column, one named twice, or JSON that is none. */
struct typed {
    bool *given; /* n_columns */
    struct value *value;
};
enum err review_typed(struct store *s, struct arena *a, const struct table_schema *t,
                      const struct review *r, struct typed *out);
/* All columns of a row that schema_row_json wrote; NULL where that is none. */
struct value *review_row_values(struct arena *a, const struct table_schema *t, const char *json);
bool review_key_changes(const struct table_schema *t, const struct typed *typed,
                        const struct value *values);
/* "a=1, b='x'" for the record of the decision. */
const char *review_words_of(struct arena *a, const struct table_schema *t,
                            const struct typed *typed);

/* ---- rights.c */
/* ERR_REFUSED unless review_by lets this office decide about the row with these values (n_columns;
 * NULL: not known, then the owner is the hub). */
enum err review_allowed(struct store *s, struct arena *a, const struct table_schema *t,
                        const struct value *values);

/* Who may, whoever asks. */
enum err review_decider(struct store *s, struct arena *a, const struct table_schema *t,
                        const struct value *values, struct decider *out);

/* The scope of such a row, and the enrolled office that owns it. */
enum err review_owner(struct store *s, struct arena *a, const struct table_schema *t,
                      const struct value *values, const char **scope, const char **office);

/* ---- write.c */
/* Writes the decision's record; *id lives in the arena. */
enum err review_record(struct store *s, struct arena *a, const struct subject *about,
                       const char *choice, const struct review *r, const char **id);
/* Queued changes of one birth. `columns` of review_update: those given. A birth that is gone is
 * born again, with its old values in the columns not given. ERR_STATE where which birth others mean
 * by a change is not known before a comparison (gap_doubts). */
enum err review_update(const struct reviewed *r, const struct birth *b,
                       const struct typed *columns);
enum err review_delete(const struct reviewed *r, const struct birth *b);
/* A birth that is to come at the key k, with all its columns. ERR_STATE when one is queued there
 * already. */
enum err review_queue_birth(const struct reviewed *r, struct row_key k, const struct value *values);

/* ---- rename.c */
/* The birth goes from its key and is born again, with these values, at theirs; its children follow.
 * ERR_EXISTS when that key is taken. */
enum err review_rename(const struct reviewed *r, struct birth *b, const struct value *values);
/* No row stands, is held or is about to be born at this key. */
enum err review_key_free(struct store *s, struct arena *a, struct row_key k, bool *free);
struct row_key review_key_of(struct arena *a, const struct table_schema *t,
                             const struct value *values);
/* Gives the last TEXT column of the key an ending that makes the key free. ERR_USAGE when the key
 * has none. */
enum err review_free_key(const struct reviewed *r, const struct birth *b, struct value *values);

/* ---- decision.c */
/* What was decided about a row (table and key), or about one cell of it in conflicts; oldest first.
 */
enum err decisions_about(struct store *s, struct arena *a, const struct subject *about,
                         struct decision_record **out, size_t *n);
/* The changeset a decision came in, while it is on record; afterwards none. */
enum err decision_dot(struct store *s, struct arena *a, const char *id, struct dot *dot);

/* ---- list.c */
/* The one id that begins with `prefix`; `sql` selects ids from ?1 (inclusive) to ?2 (exclusive),
 * two at most. */
enum err list_full_id(struct store *s, struct arena *a, const char *what, const char *sql,
                      const char *prefix, const char **id);
#define HELD_IDS "SELECT id FROM tonle_held WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 2"
#define CONFLICT_IDS "SELECT id FROM tonle_conflict WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 2"

/* ---- conflicts.c */
struct conflict_place { /* where a conflict is */
    const struct table_schema *t;
    struct bytes key;
    struct dot birth;
};
/* One conflict with its sides, by any beginning of its id. */
enum err list_conflict(struct store *s, struct arena *a, const char *id,
                       struct conflict_record *out, struct conflict_place *place);
/* Its cell's number: a column, the first of a group, COLUMN_EXISTS or COLUMN_BIRTH; CELL_UNKNOWN
 * when the table has no such cell any more. */
#define CELL_UNKNOWN 0xfffffffdu
uint32_t list_cell(const struct table_schema *t, const char *name);

/* ---- before.c */
/* What stood in a conflict's cell before it. */
enum err conflict_before(struct store *s, struct arena *a, const struct conflict_record *c,
                         struct bytes key, struct dot birth, struct conflict_side *before,
                         bool *has_before);

#endif
