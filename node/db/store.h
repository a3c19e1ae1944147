/* store.h - one office's database behind one narrow interface.
 *
 * Nothing outside node/store*.c knows SQL or SQLite; a second implementation may keep the same
 * promises on PostgreSQL (DESIGN 13). All of Tonle's tables (tonle_*) live in the application's
 * database, so that a row, its record, the journal and the clock commit together.
 *
 * Invariants: with the capture log empty, every replicated table shows exactly the merged state
 * (but for rows held back); the journal, the clock, the seq and the chain hash change only
 * together, in one transaction; nothing is cached across transactions that another process may
 * change without being re-read (PRAGMA data_version decides).
 *
 * Errors: `enum err`; a sentence for the operator is in store_message() after any failure.
 * Ownership: what is handed out lives in the arena given, unless said otherwise.
 */
#ifndef NODE_DB_STORE_H
#define NODE_DB_STORE_H

#include "protocol/message.h"

struct store;

struct store_options {
    const char *path; /* the application's database */
    const char *vfs;  /* NULL: the default */
    bool create;    /* make the file when it is missing (join, hub init); otherwise ERR_NOT_FOUND */
    bool read_only; /* reading commands: never takes a write lock */
    bool wal_guard; /* DESIGN 10: keep the read transaction that stops a WAL reset */
    uint32_t busy_ms; /* how long a lock is waited for before ERR_BUSY */
};

enum err store_open(struct store **out, const struct store_options *o, char msg[256]);
void store_close(struct store *s); /* NULL allowed; rolls an open transaction back */
const char *store_message(const struct store *s);
/* True once after another connection has committed (also true the first time). Cheap. */
bool store_changed(struct store *s);
/* True, and store_message says how, where the path does not lead to the open file any more, or the
 * file was overwritten with an older one: nothing may be read, written or acknowledged from then
 * on. */
bool store_moved(struct store *s);

/* ---- transactions. Every writing function below requires one; reading ones work without. */
enum err store_begin(struct store *s);      /* BEGIN IMMEDIATE; re-reads the state */
enum err store_begin_read(struct store *s); /* one consistent read */
enum err store_commit(struct store *s);
void store_rollback(struct store *s);

/* ---- identity and state */
struct store_identity {     /* fixed at hub init or join; strings live until the store closes */
    const char *federation; /* 32 hex digits */
    const char *federation_name;
    const char *node;
    const char *unit;
    const char *parent; /* node name; "" at the hub */
    const char *hub;    /* node name */
    uint64_t hub_site;
    uint8_t hub_sign_key[SIGN_PUBLIC_BYTES];
    uint64_t site; /* the present incarnation */
};
enum err store_create(struct store *s,
                      const struct store_identity *id); /* makes the tonle_* tables; ERR_EXISTS */
bool store_is_ready(struct store *s);                   /* the tonle_* tables are here */
const struct store_identity *store_identity_get(struct store *s); /* NULL when not ready */

struct store_state { /* as of the last begin or refresh; borrowed, valid until the next call */
    uint64_t seq;    /* last sealed by our site */
    uint8_t chain[HASH_BYTES]; /* its hash */
    uint64_t hlc;              /* the latest hybrid time passed */
    struct clock clock;        /* applied, our own site included */
    struct clock stable;
    uint64_t journal_pos; /* last position */
    uint64_t held;
    uint64_t conflicts_open;
    uint64_t charter_version;
    uint64_t schema_version;
    bool loading; /* the first load has not caught up yet (store_load_passed) */
};
const struct store_state *store_state_get(struct store *s);
enum err store_set_hlc(struct store *s, uint64_t hlc);

/* Small named values of the node (offsets, mark bookkeeping...). */
enum err store_meta_get(struct store *s, struct arena *a, const char *key, struct bytes *value);
enum err store_meta_set(struct store *s, const char *key, const void *p, size_t len);
uint64_t store_meta_u64(struct store *s, const char *key, uint64_t otherwise);
enum err store_meta_set_u64(struct store *s, const char *key, uint64_t v);

/* ---- capture (store_capture.c) and the seal */
/* Installs or renews the capture triggers, the log tables and the TEMP copies of local-only
 * triggers for every published table that exists here. Safe to repeat. Only store_capture_check
 * decides whether it is needed: false when a published table's schema or a trigger is not what was
 * installed. */
enum err store_capture_install(struct store *s);
bool store_capture_check(struct store *s);
bool store_capture_pending(struct store *s); /* the log, or what decisions queued, is not empty */
/* The net effect of the log, at most max_rows rows and about max_bytes of values: fills the one
 * segment of `cs`. Parents first. *cut: there is more. ERR_NOT_FOUND: nothing to publish (and what
 * was consumed is noise: call store_collect_done all the same). */
enum err store_collect(struct store *s, struct arena *a, uint32_t max_rows, uint64_t max_bytes,
                       struct changeset *cs, bool *cut);
/* Names in UPDATE and DELETE rows of a collected changeset the identity that stands at their key,
 * where its birth is not stable. Before the changeset is encoded. */
enum err store_name_births(struct store *s, struct arena *a, struct changeset *cs);
/* While the first load catches up, what stands in a row is the state of its chunk and what the
 * stream has brought since: joins that chunk's clock into `context`, so that it says what the
 * writer here saw. ERR_LIMIT when the rows of the changeset come from chunks of different clocks:
 * seal fewer. */
enum err store_seal_context(struct store *s, struct arena *a, const struct changeset *cs,
                            struct clock *context);
/* Deletes from the log what the last store_collect of this transaction consumed; what of it is too
 * large to be sent becomes held (reason `limit`) as of now_ms. */
enum err store_collect_done(struct store *s, uint64_t now_ms);
uint64_t store_limit_rows(struct store *s); /* rows of which something is too large to be sent */
bool store_deferred_any(struct store *s);   /* rows wait for a table that does not fit here */

/* ---- apply: the one call that merges a changeset (DESIGN 13) */
struct apply_input {
    const struct changeset *cs;
    struct bytes bytes;  /* exact sealed bytes, for the journal */
    const uint8_t *hash; /* chain hash */
    const char *source;  /* neighbour's node name; "" for our own seal */
    uint64_t link_pos;   /* in the neighbour's journal; 0 for our own */
    uint64_t now_ms;     /* federation time, for records */
};
struct apply_report {
    bool already; /* the clock covered it: nothing done but the link position */
    uint32_t rows;
    uint32_t held; /* rows newly held */
    uint32_t released;
    uint32_t conflicts; /* records made */
    uint32_t orphans;   /* changes whose identity is not here */
    uint32_t refused; /* rows of registry tables not from the hub; cells of columns that the charter
                         does not publish any more, and of groups that did not come whole */
    uint32_t deferred; /* rows that wait for their table */
};
/* ERR_GAP (seq is not the next of its site), ERR_CAUSAL (context not covered), ERR_IDENTITY (same
 * dot, other hash), ERR_STATE (the capture log is not empty and this is not our own). On any error
 * the caller rolls back. */
enum err store_apply(struct store *s, struct arena *a, const struct apply_input *in,
                     struct apply_report *report);

/* ---- stability */
/* At the hub: births that keep their names under this stable clock. */
enum err store_keep_list(struct store *s, struct arena *a, const struct clock *stable,
                         struct kept_birth **keep, uint32_t *n);
/* Raises the stable clock and replaces the keep list. Records are swept later, and looked at
 * through the stable clock meanwhile. */
enum err store_set_stable(struct store *s, struct arena *a, const struct stable *st);
/* Forgets at most max_rows records; *more when there are others. */
enum err store_sweep(struct store *s, struct arena *a, uint32_t max_rows, bool *more);

/* ---- journal and links (store_journal.c) */
struct item {
    uint64_t pos;
    enum item_kind kind;
    const char *source;
    struct dot dot; /* of a changeset */
    uint64_t hlc;
    struct bytes bytes;
};
enum direction { LINK_UP, LINK_DOWN };
/* `dot` is none for other kinds. */
enum err store_journal_append(struct store *s, enum item_kind kind, const char *source,
                              struct dot dot, uint64_t hlc, struct bytes bytes, uint64_t *pos);
/* The next item after `after` that is for this peer. Up: changesets and answers that did not come
 * from the parent. Down: changesets, marks and stables that did not come from that child.
 * ERR_NOT_FOUND at the end. */
enum err store_journal_next(struct store *s, struct arena *a, enum direction dir, const char *peer,
                            uint64_t after, struct item *out);
struct backlog {
    uint64_t items;
    uint64_t changesets;
    uint64_t bytes;
    uint64_t oldest_hlc; /* of the first; 0 when none */
    uint64_t tail_pos;   /* last position that is for this peer, 0 when there was never one */
};
enum err store_journal_backlog(struct store *s, enum direction dir, const char *peer,
                               uint64_t after, struct backlog *out);
enum err store_journal_find(struct store *s, struct arena *a, struct dot dot, struct item *out);

struct peer_record {       /* what is durable of a neighbour */
    uint64_t received_pos; /* highest position of its journal applied here */
    uint64_t acked_pos;    /* highest position of our journal it has made durable */
    uint64_t contact_ms;   /* federation time of the last signed message */
};
enum err store_peer_get(struct store *s, const char *node,
                        struct peer_record *out); /* zeroes when unknown */
enum err store_peer_received(struct store *s, const char *node, uint64_t pos);
enum err store_peer_acked(struct store *s, const char *node, uint64_t pos, uint64_t contact_ms);

/* What is on record of a site, for the hello and for verification. ERR_NOT_FOUND. */
struct site_record {
    uint64_t site;
    const char *node;
    const char *unit;
    uint8_t sign_key[SIGN_PUBLIC_BYTES];
    uint64_t seq;              /* applied here */
    uint8_t chain[HASH_BYTES]; /* hash of that changeset */
    uint64_t hlc;              /* and its time */
};
enum err store_site_get(struct store *s, struct arena *a, uint64_t site, struct site_record *out);
enum err store_site_list(struct store *s, struct arena *a, struct site_record **out, size_t *n);

/* ---- registry and charter (store_registry.c): replicated tables that only the hub writes */
enum node_state { NODE_INVITED = 1, NODE_ACTIVE = 2, NODE_RETIRED = 3 };
struct node_record {
    const char *name;
    const char *unit;
    const char *parent; /* "" for the hub */
    const char *listen; /* endpoint, or "" */
    enum node_state state;
    uint64_t site; /* 0 until it has enrolled */
    uint8_t curve_key[CURVE_KEY_BYTES];
    uint8_t sign_key[SIGN_PUBLIC_BYTES];
    uint8_t enrol_key[CURVE_KEY_BYTES]; /* CURVE key of the open invitation; zero when none */
    uint64_t enrol_expires_ms;
    const char *reads; /* further units it may read, comma separated */
    uint64_t joined_ms;
};
enum err store_node_get(struct store *s, struct arena *a, const char *name,
                        struct node_record *out);
enum err store_node_list(struct store *s, struct arena *a, struct node_record **out, size_t *n);
/* Writes the node's row, and the row of its site when it has one, and notes both in the capture log
 * as any application write: they travel with the next seal. Only at the hub. */
enum err store_node_put(struct store *s, const struct node_record *r);

struct charter_record {
    uint64_t version;
    uint64_t schema_version;
    const char *yaml;     /* as published */
    const char *compiled; /* JSON: node/charter.h, charter_compile */
    uint64_t published_ms;
};
enum err store_charter_get(struct store *s, struct arena *a,
                           struct charter_record *out); /* the newest; ERR_NOT_FOUND */
enum err store_charter_put(struct store *s, const struct charter_record *r);
/* Makes the published tables and indexes that are missing here (a new office with an empty
 * database). */
enum err store_schema_create_missing(struct store *s, uint32_t *created);
/* What doctor and charter check say of this database: one line each, "ok", "warn" or "fail". */
struct finding {
    const char *level;   /* "ok" "warn" "fail" */
    const char *subject; /* table, trigger, setting */
    const char *text;    /* what, and the remedy */
};
enum err store_schema_findings(struct store *s, struct arena *a, struct finding **out, size_t *n);
/* The same for a compiled charter that is not published yet (charter check FILE against --db). Also
 * fills the columns, keys and CREATE statements into the compiled form: returns the completed JSON.
 */
enum err store_schema_complete(struct store *s, struct arena *a, const char *compiled,
                               const char **completed, struct finding **out, size_t *n);

/* ---- first load and reconcile (store_load.c) */
/* Reads up to max_rows keys of a table after request->after in key order, records of keys that have
 * no row in the table included (tombstones, held births). Short: one read transaction. */
enum err store_chunk_read(struct store *s, struct arena *a, const struct load_request *request,
                          const char *peer, struct load_chunk *out);
/* First load, in one transaction from store_load_begin to store_load_end: rows of the office that
 * are in the way are compared (adopt) or were removed (replace). */
enum load_mode { LOAD_EMPTY, LOAD_REPLACE, LOAD_ADOPT };
enum err store_load_begin(struct store *s, enum load_mode mode);
enum err store_load_chunk(struct store *s, struct arena *a, const struct load_chunk *chunk);
struct load_report {
    uint64_t rows;
    uint64_t adopted_new; /* rows that the federation lacked: they travel with the next seal */
    uint64_t adopted_equal;
    uint64_t adopted_conflicts; /* differing cells, recorded */
};
enum err store_load_end(struct store *s, struct arena *a, struct load_report *report);
/* Compares a chunk with the local rows of the same range: what escaped capture. */
enum escape_kind { ESCAPE_CHANGED = 1, ESCAPE_NEW, ESCAPE_DELETED };
struct escape {
    enum escape_kind kind;
    const char *table;
    struct bytes key;
};
enum err store_chunk_compare(struct store *s, struct arena *a, const struct load_chunk *chunk,
                             struct bytes after, struct escape **out, size_t *n);
/* Puts what escaped into the capture log (the differing columns), so that it is sealed like any
 * write; or, with take_parent, writes the parent's row back. */
enum err store_escape_settle(struct store *s, struct arena *a, const struct load_chunk *chunk,
                             const struct escape *e, bool take_parent);

/* ---- digests (store_digest.c): order-independent sum of row hashes, over merged rows, held or not
 */
enum err store_digest(struct store *s, struct arena *a, struct table_digest **out, uint32_t *n);

/* ---- what operators read (store_list.c, store_list_conflict.c) */
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
/* Decides again: one (id) or all (NULL). *released: rows that stand now. */
enum err store_held_retry(struct store *s, struct arena *a, const char *id, uint64_t now_ms,
                          uint32_t *released);
/* The held rows that are writes of this office itself: their number, and the first few. */
enum err store_held_own(struct store *s, struct arena *a, struct held_record few[HELD_FEW],
                        uint64_t *total);

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

/* ---- what operators decide (store_review*.c). Needs a write transaction; notes the decision and
 * the changes it makes, to be sealed in one changeset by the running node. On any error nothing may
 * be committed: ERR_NOT_FOUND, ERR_STATE (the row is not there any more; store_message says the
 * next step), ERR_REFUSED (review_by), ERR_USAGE, ERR_EXISTS (the new key is taken). */
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
enum err store_held_settle(struct store *s, struct arena *a, const char *id,
                           enum held_action action, const struct review *r, const char **decision);
/* Whether review_by lets this office decide that conflict: ERR_OK or ERR_REFUSED. */
enum err store_conflict_may(struct store *s, struct arena *a, const char *id);
/* *dot: the changeset the decision was sealed in; none: it is not sealed yet. */
enum err store_decision_dot(struct store *s, struct arena *a, const char *decision,
                            struct dot *dot);
/* A row that is held at the decision's key now, and why in words; *id NULL when there is none. */
enum err store_decision_held(struct store *s, struct arena *a, const char *decision,
                             const char **id, const char **why);

/* ---- the history of one row (store_history.c) */
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

/* ---- explain (store_explain.c): the rules that meet a row, and what others would say. Changes
 * nothing. */
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
/* `compiled`: another charter's compiled form (node/charter.h), or NULL. ERR_NOT_FOUND: no such
 * table, or nothing is known of the row; ERR_USAGE: no key of that table; ERR_REFUSED: the other
 * charter does not fit this database. store_message says which. */
enum err store_explain(struct store *s, struct arena *a, const char *table, const char *key_json,
                       const char *compiled, struct explanation *out);
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
enum err store_explain_conflicts(struct store *s, struct arena *a, const char *compiled,
                                 const struct explain_period *period, struct explain_count **out,
                                 size_t *n);

/* Freshness per office: data as of when. */
struct freshness {
    const char *node;
    const char *unit;
    uint64_t site;
    uint64_t seq;
    uint64_t as_of_ms;
};
enum err store_freshness(struct store *s, struct arena *a, struct freshness **out, size_t *n);

/* A consistent copy of the database into `path` (must not exist). */
enum err store_copy(struct store *s, const char *path);

#endif
