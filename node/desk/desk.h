/* desk.h - what people read and decide: lists, the history and the rules of one row, decisions.
 *
 * Invariant: reading changes nothing; a decision is a row of tonle_decision and entries of
 * tonle_todo in one transaction of the caller's, which the next seal makes one changeset. No other
 * write is made here, and no row of the application is touched: what was decided comes into the
 * tables as any change does.
 *
 * Ownership: what is handed out lives in the arena given; what a callback is given, until it
 * returns. Errors: those of the database (db.h); what a person can do something about is an error
 * with a sentence in store_message that says the next step: ERR_NOT_FOUND, ERR_USAGE, ERR_STATE,
 * ERR_REFUSED, ERR_EXISTS, ERR_NOTHING.
 */
#ifndef NODE_DESK_DESK_H
#define NODE_DESK_DESK_H

#include "conflict/merge.h"
#include "node/charter/charter.h"
#include "node/db/db.h"

struct held_record {
    const char *id;
    const char *table;
    const char *key_json;
    const char *reason;  /* hold_reason_name */
    const char *message; /* in words */
    const char *office;  /* whose write it is */
    uint64_t since_ms;
    const char *blocked_by; /* key (JSON) of the row in its way, or "" */
    const char *blocked_table;
    const char *blocked_office; /* whose claim that is, or "" where that is settled */
    uint64_t blocked_ms;        /* since when; 0 likewise */
    uint32_t n_columns;         /* filled by store_held_get only */
    const char **columns;
    struct value *values;
};
#define HELD_FEW 5
typedef void held_fn(const struct held_record *h, void *user);
/* Oldest first, at most `limit`; the record lives until `fn` returns. */
enum err store_held_each(struct store *s, uint64_t limit, held_fn *fn, void *user);
/* Any beginning of the id that no other has, of at least four digits. */
enum err store_held_get(struct store *s, struct arena *a, const char *id, struct held_record *out);
/* The held rows that are writes of this office itself: their number, and the first few. */
enum err store_held_own(struct store *s, struct arena *a, struct held_record few[HELD_FEW],
                        uint64_t *total);
/* The first of those that cannot be sent (reason `limit`). ERR_NOT_FOUND: none. */
enum err store_held_limit(struct store *s, struct arena *a, struct held_record *out);
struct decision_record { /* what a person decided */
    const char *id;
    const char *conflict; /* id of the conflict or held row */
    const char *choice;   /* in words */
    const char *by;
    const char *office;
    const char *reason;
    uint64_t at_ms;
};
struct conflict_side {
    const char *office;
    const char *unit;
    uint64_t at_hlc;
    struct dot dot;
    struct value value; /* of a group: a TUPLE; of `exists`: 1 or 0; of `birth`: NULL */
    bool shown;
    const char *detail; /* JSON object, the whole row as it would stand, of `birth` and of what is
                           alive beside a delete; else NULL */
    const struct decision_record *decision; /* the person's decision this side is
                                               (store_conflict_get only), or NULL */
};
struct conflict_record {
    const char *id;
    const char *table;
    const char *key_json;
    const char *cell;   /* column, group, "exists" or "birth" */
    const char *policy; /* by its name in the charter */
    const char *state;  /* open | auto | resolved | superseded */
    uint64_t opened_ms;
    uint64_t closed_ms;
    const char *successor; /* conflict id or dot that closed it, or "" */
    uint32_t n_members;    /* columns of a group; 0 for every other cell */
    const char *const *members;
    size_t n_sides;
    struct conflict_side *sides;
};
struct conflict_filter { /* NULL, 0: any */
    const char *table, *office, *policy, *state, *cell;
    const char *unit; /* a side of an office of this unit or below it */
    uint64_t limit;
    bool offices_only; /* of each side only dot, office and unit are wanted, no value or time */
};
typedef void conflict_fn(const struct conflict_record *c, void *user);
/* Oldest first; `superseded` ones only when the filter names that state. The record lives until
 * `fn` returns. */
enum err store_conflict_each(struct store *s, const struct conflict_filter *f, conflict_fn *fn,
                             void *user);
struct conflict_more {
    bool has_before;
    struct conflict_side before;
    const char *standing; /* of the row now: "stands" "held" "deleted" "gone" */
    struct value now;     /* the cell as it is shown now, where the row is on record or stands */
    const char *now_row;  /* JSON object of all its columns, or NULL */
    size_t n_decisions;   /* about this conflict, oldest first */
    struct decision_record *decisions;
};
enum err store_conflict_get(struct store *s, struct arena *a, const char *id,
                            struct conflict_record *out, struct conflict_more *more);

struct decider {        /* who may decide, by the charter */
    const char *by;     /* its review_by */
    const char *unit;   /* NULL: every office may */
    const char *office; /* of that unit, or "" where none is known */
    bool here;          /* this office may */
};
/* ERR_STATE where nothing is left to decide. */
enum err store_conflict_decider(struct store *s, struct arena *a, const char *id,
                                struct decider *out);
/* The only side that is of this office. ERR_USAGE: none is, or several are. */
enum err store_conflict_side_of(struct store *s, struct arena *a, const char *id,
                                const char *office, struct dot *dot);

/* ---- decisions (resolve.c, held.c). Needs a write transaction; notes the decision and
 * the changes it makes, to be sealed in one changeset by the running node. On any error nothing may
 * be committed: ERR_NOT_FOUND, ERR_STATE (the row is not there any more; store_message says the
 * next step), ERR_REFUSED (review_by), ERR_USAGE, ERR_EXISTS (the new key is taken), ERR_NOTHING
 * (it is so already). */
struct assignment {
    const char *column;
    const char *text; /* as typed: stored as SQLite would store it in that column */
    bool json;        /* the text is JSON, and stored as exactly that */
};
struct review { /* who decides, and what */
    const char *by;
    const char *reason;
    uint64_t now_ms; /* wall clock */
    const struct assignment *set;
    size_t n_set;
    bool leave_children; /* of HELD_DROP: also where rows refer to the one that is dropped */
};
enum resolution {
    RESOLVE_TAKE,  /* the side of that dot */
    RESOLVE_SHOWN, /* what is in force now */
    RESOLVE_SET,
    RESOLVE_BOTH /* births: the held ones get keys of their own */
};
/* *decision: its id. */
enum err store_conflict_resolve(struct store *s, struct arena *a, const char *id,
                                enum resolution how, struct dot take, const struct review *r,
                                const char **decision);
enum held_action { HELD_SET, HELD_MERGE, HELD_DROP };
/* Rows that refer to the held one follow it to another key, and into the row it is merged with.
 * ERR_STATE for a drop that would leave some behind, unless the review says so. `children`: who
 * they were, "3 of visit, 1 of stay", or "". */
struct held_settled {
    const char *decision;
    const char *children;
};
enum err store_held_settle(struct store *s, struct arena *a, const char *id,
                           enum held_action action, const struct review *r,
                           struct held_settled *out);
/* Whether review_by lets this office decide that conflict: ERR_OK or ERR_REFUSED. */
enum err store_conflict_may(struct store *s, struct arena *a, const char *id);
/* *dot: the changeset the decision was sealed in; none: it is not sealed yet. */
enum err store_decision_dot(struct store *s, struct arena *a, const char *decision,
                            struct dot *dot);
/* A row that is held at the decision's key now, and why in words; *id NULL when there is none. */
enum err store_decision_held(struct store *s, struct arena *a, const char *decision,
                             const char **id, const char **why);

/* ---- the history of one row */
struct history_seen { /* a version of the row that a write was based on */
    const char *office;
    struct dot dot;
    uint64_t hlc;
};
struct history_met {  /* another write to the same cell: neither office had seen the other's */
    const char *cell; /* column, group, "exists" or "birth" */
    const char *office;
    struct dot dot;
    const char *policy; /* the rule between the two, as the charter says now: in words */
    bool won;           /* this write's value goes before the other's */
};
struct history_entry {
    const char *office;
    const char *unit;
    struct dot dot;
    uint64_t hlc;
    enum change_kind kind;
    struct dot birth;
    bool beside; /* BORN: another record under a key that an earlier one has */
    bool again;  /* BORN: after the row, or an earlier one, was deleted */
    uint32_t n_cells;
    const char **columns;
    const char **groups;  /* of each column the group it changes with, or NULL */
    struct value *values; /* of a sum: the delta, a WIDE */
    size_t n_seen;        /* the newest ones; they had seen the others that it had seen */
    struct history_seen *seen;
    size_t n_met;
    struct history_met *met;
    size_t n_decisions; /* that travelled with this write */
    struct decision_record *decisions;
    const char *refused; /* why it counts nowhere, as its decision does not; NULL: it counts */
};
struct history {
    size_t n;
    struct history_entry *entry; /* in the order of time */
    bool older;         /* the row was there before the first of these: what wrote it is not here */
    size_t n_decisions; /* all that are known of this row */
    struct decision_record *decisions;
    uint64_t changesets; /* of the journal here */
    uint64_t read;       /* of them, because they may hold a write to the row */
};
/* key: JSON scalar, or array for composite keys. ERR_USAGE when it does not fit the table's key. */
enum err store_history(struct store *s, struct arena *a, const char *table, const char *key_json,
                       struct history *out);

/* ---- the rules that meet a row, and what others would say */
struct explain_rule {
    const char *policy;
    const char *fallback; /* of review, else NULL */
    uint32_t n_rank;
    const char *const *rank; /* lowest first */
    const char *from;        /* column | group | scope | table | defaults | default, or "" */
    uint64_t line;           /* of the charter file; 0: it does not say */
};
enum explain_verdict {
    EXPLAIN_NONE = 0,  /* no two versions are known: nothing to decide */
    EXPLAIN_SAME,      /* the same value would be in force */
    EXPLAIN_OTHERWISE, /* another one */
    EXPLAIN_UNKNOWN    /* what that rule needs was not recorded: deltas, columns of another group */
};
struct explain_cell {
    const char *cell;   /* column, group, "exists" or "birth" */
    uint32_t n_members; /* columns of a group; 0 for every other cell */
    const char *const *members;
    bool implied; /* a group because a CHECK or UNIQUE names its columns together */
    struct explain_rule rule;
    size_t n_sides; /* siblings on record, or the sides of the conflict that made what stands */
    struct conflict_side *sides;
    const char *conflict; /* id of the recorded conflict they are the sides of, or "" */
    /* Under the other charter; only where one was given. */
    struct explain_rule other;
    enum explain_verdict verdict;
    uint32_t other_shown; /* side that would be in force; n_sides: a mixture, column by column */
};
struct explanation {
    const char *table;
    const char *key_json;
    const char *state;  /* stands | held | deleted | gone */
    const char *scope;  /* unit code of the row; "" the nation */
    const char *office; /* that owns the row */
    size_t n_held;      /* births of this key that are held, and why */
    struct held_record *held;
    size_t n_cells;
    struct explain_cell *cells;
};
/* `other`: another charter, as it was read from a file, or NULL. ERR_NOT_FOUND: no such
 * table, or nothing is known of the row; ERR_USAGE: no key of that table; ERR_REFUSED: the other
 * charter does not fit this database. store_message says which. */
enum err store_explain(struct store *s, struct arena *a, const char *table, const char *key_json,
                       const struct charter *other, struct explanation *out);
struct explain_period {
    const char *table; /* NULL: all */
    uint64_t since_ms; /* conflicts that were opened then or later */
    uint64_t until_ms; /* and before; 0: no end */
};
struct explain_count { /* of one cell of one table */
    const char *table;
    const char *cell;
    const char *policy; /* in force now */
    const char *other;  /* under the other charter; "" where it does not name the table */
    uint64_t conflicts; /* recorded: open, auto and resolved */
    uint64_t otherwise; /* another value would have been in force */
    uint64_t reviewed;  /* decided by a rule now, but would wait for a person */
    uint64_t unknown;   /* EXPLAIN_UNKNOWN */
};
enum err store_explain_conflicts(struct store *s, struct arena *a, const struct charter *other,
                                 const struct explain_period *period, struct explain_count **out,
                                 size_t *n);

#endif
