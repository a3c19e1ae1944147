/* store_int.h - what the store_*.c files share: the connection, cached statements, the published
 * tables.
 *
 * Invariant: one write connection, used by one thread; triggers of the main schema are off on it
 * for good (SQLITE_DBCONFIG_ENABLE_TRIGGER), foreign_keys is off, so that nothing but our own
 * statements changes a row (DESIGN 3 "Capture", 4 "Holds").
 */
#ifndef NODE_DB_STORE_INT_H
#define NODE_DB_STORE_INT_H

#include "node/db/store.h"

#include <sqlite3.h>

/* A UNIQUE index, or the primary key where its collation is not BINARY: what two rows may clash
 * over. */
struct unique_index {
    char *name;
    uint32_t n;        /* key expressions */
    char *claim_sql;   /* SELECT e1, ... FROM (SELECT ?1 AS "c1", ... all replicated columns) WHERE
                          predicate: no row = no claim */
    char *blocker_sql; /* SELECT key columns FROM table WHERE e1 COLLATE c1 = ?1 AND ... AND
                          predicate */
    char **collation;  /* of each expression; folds a claim's text to canonical bytes */
    uint32_t n_columns;
    uint32_t *columns;     /* replicated columns it depends on, ascending */
    uint32_t *part_column; /* of columns alone, without a predicate: the replicated column of each
                              part; else NULL */
};

struct foreign_key { /* child columns -> parent columns, both replicated tables */
    uint32_t child;  /* index into store.tables */
    uint32_t parent;
    uint32_t n;
    uint32_t *child_column; /* replicated column indices */
    uint32_t *parent_column;
    uint32_t *key_column;   /* of the parent's whole key: the child's columns in the order of that
                               key, the last one carries the reference (row.h); else NULL */
    const char **collation; /* of each parent column: what compares a reference */
    char *parent_sql;       /* SELECT 1 FROM parent WHERE p1 = ?1 AND ... LIMIT 1 (collations of the
                               parent) */
    char *children_sql;     /* SELECT key columns FROM child WHERE c1 = ?1 AND ... */
    char *orphans_sql;      /* SELECT key columns FROM child WHERE no parent stands (reads the whole
                               child table) */
};

struct table_schema { /* one published table */
    uint32_t t; /* number in tonle_row, tonle_held...: stable for this database (tonle_table) */
    char *name;
    bool internal; /* tonle_node, tonle_site, tonle_charter, tonle_decision */
    bool hub_only; /* the first three of these: only the hub writes them */
    bool exists;   /* here, with all published columns */
    uint32_t n_columns;
    char **column;         /* published columns, charter order */
    const uint8_t *policy; /* rules.policy */
    uint32_t n_key;
    uint32_t *key; /* indices of the key columns, in key order */
    struct table_rules rules;
    uint32_t n_local; /* stored columns that are not published */
    char **local;
    uint32_t n_unique;
    struct unique_index *unique;
    uint32_t n_unique_columns;
    uint32_t *unique_columns; /* all columns of all unique keys, the key included: for the rank */
    uint32_t depth;           /* parents first: 0 references nothing */
    char *column_list;        /* "c1","c2",... quoted */
    char *key_where;          /* "k1" IS ?1 AND ... with = for keys (never NULL) */
    char *key_order;          /* "k1","k2" */
    char *qname;              /* quoted, main.-qualified */
    char *read_sql; /* SELECT all replicated columns by key (?1...); NULL when the table is not here
                     */
};

struct hash_filter { /* store_filter.c; {0}: not read */
    uint64_t *word;
    size_t n, room;   /* entries */
    bool known, full; /* full: too many, ask the database */
    bool in_write;    /* read in the write transaction that is open: wrong when that is undone */
    uint32_t asked;   /* how often, before it was read */
    int64_t rev;      /* tonle_meta `rev` that it fits */
};

struct store {
    sqlite3 *db;
    struct store_options options;
    bool ready;
    bool in_write, in_read;
    struct store_identity identity;
    struct arena identity_arena;
    struct store_state state;
    int64_t data_version;  /* of the last store_changed */
    int64_t state_version; /* tonle_meta `rev` at which `state` was read; -1: read again */
    uint64_t rev_seen;     /* the newest one ever read: a smaller one means an older file */
    bool went_back;        /* that was seen */
    struct arena state_arena;
    bool counts_stale;         /* held and conflicts_open are counted when asked for; set by
                                  whoever changes one of those tables */
    bool keep_known, keep_any; /* the same of tonle_keep */
    struct hash_filter claims; /* what is claimed (store_claim.c) */
    struct buf claim_key;      /* of the value that is looked for */
    struct hash_filter swept;  /* rows whose record is in the swept part (store_row.c) */
    struct deferral *deferred; /* store_defer.c: the tables that changesets wait for */
    bool deferred_known;
    int64_t deferred_rev; /* tonle_meta `rev` that it fits */
    int changes_before;   /* sqlite3_total_changes at begin */
    uint32_t n_tables;
    struct table_schema *tables;
    uint32_t n_fks;
    struct foreign_key *fks;
    struct arena schema_arena; /* tables and fks live here; rebuilt by schema_load */
    int64_t schema_cookie;     /* PRAGMA schema_version at which they were read */
    struct unit_list units;    /* rules.units of every table (store_units.c) */
    struct arena units_arena;
    bool units_known;
    int64_t units_version;    /* PRAGMA data_version at which they were read */
    struct stmt_cache *stmts; /* SQL text -> prepared statement */
    void *collected;          /* what the last store_collect consumed (store_collect.c) */
    struct raised *raised;    /* rows that a trigger of this office answers with RAISE(ROLLBACK) */
    bool truncates; /* the rollback journal, at a commit; the database itself unlinks it */
    bool temp_triggers_stale; /* some were dropped to take a row out: made anew before the commit */
    void *pin;                /* WAL guard (store_pin.c) */
    struct buf scratch;       /* for one statement at a time */
    char message[512];
};

/* ---- store.c */
/* A cached, reset statement for this SQL text; NULL with s->message set when it does not compile.
 */
sqlite3_stmt *store_stmt(struct store *s, const char *sql);
/* Why store_stmt gave NULL: also a locked schema (ERR_BUSY), not only a statement that does not
 * compile. */
enum err part_stmt_error(struct store *s);
/* ERR_IO when SQLite has ended our write transaction by itself. */
enum err store_standing(struct store *s);
enum err store_exec(struct store *s, const char *sql); /* one or more statements, no result */
/* Steps: ERR_OK with *row; translates every other code, message set, statement reset. */
enum err store_step(struct store *s, sqlite3_stmt *q, bool *row);
enum err store_run(struct store *s, sqlite3_stmt *q); /* step to the end, no rows wanted; resets */
enum err store_error(struct store *s,
                     int rc); /* SQLite code -> enum err, message from the connection */
enum err store_fail(struct store *s, enum err e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void store_bind(sqlite3_stmt *q, int i,
                const struct value *v); /* bytes must live until the next reset */
void store_bind_blob(sqlite3_stmt *q, int i, const void *p,
                     size_t len); /* never NULL: empty blob for len 0 */
void store_bind_text(sqlite3_stmt *q, int i, const char *s);
void store_bind_u64(sqlite3_stmt *q, int i,
                    uint64_t v); /* stored as the signed integer of the same bits */
struct value store_column(struct arena *a, sqlite3_stmt *q, int i); /* copied into the arena */
uint64_t store_column_u64(sqlite3_stmt *q, int i);
const char *store_column_text(struct arena *a, sqlite3_stmt *q, int i); /* "" for NULL */
struct bytes store_column_bytes(struct arena *a, sqlite3_stmt *q, int i);
enum err state_commit(struct store *s);
/* Re-reads s->state when another connection committed or we rolled back. */
enum err state_refresh(struct store *s);
/* PRAGMA data_version / schema_version and the like. */
int64_t store_pragma(struct store *s, const char *sql);

/* ---- store_schema.c */
/* (Re)reads the published tables when the schema or the charter changed since; every public entry
 * that uses s->tables calls it first (cheap when nothing changed). */
enum err schema_load(struct store *s);
struct table_schema *schema_table(struct store *s, const char *name); /* NULL */
struct table_schema *schema_by_number(struct store *s, uint32_t t);
uint32_t schema_column(const struct table_schema *t, const char *name); /* UINT32_MAX */
char *schema_quote(struct arena *a, const char *name);                  /* "na""me" */
void schema_key_encode(const struct table_schema *t, const struct value *columns,
                       struct buf *out); /* from all columns */
/* Key as JSON: a scalar, or an array for composite keys. BLOBs are {"hex":"..."}; text that is not
 * UTF-8 is {"text_hex":"..."}. */
char *schema_key_json(struct arena *a, const struct table_schema *t, const void *key, size_t len);
/* The same of n values. */
char *schema_values_json(struct arena *a, const struct value *v, uint32_t n);
/* All columns as a JSON object, in charter order; totals beyond 64 bits are {"wide":"123"}. */
char *schema_row_json(struct arena *a, const struct table_schema *t, const struct value *columns);
enum err schema_key_parse(struct store *s, struct arena *a, const struct table_schema *t,
                          const char *json, struct buf *key);
#define INTERNAL_TABLES 4

/* ---- store_units.c: the unit of every site, for the policies owner, national and local */
/* Reads the registry again when another connection committed since, or units_changed was called.
 * schema_load calls it, so every public entry has them fresh; call it again where the registry may
 * have changed in the middle of one. Strings from before the call are void. */
enum err units_refresh(struct store *s);
void units_changed(
    struct store *s); /* we have written to tonle_node or tonle_site, or rolled back */

/* ---- store_capture.c */
/* Notes a write of our own to a captured table (registry), as the application's trigger would. */
enum err capture_note(struct store *s, const struct table_schema *t, enum change_kind kind,
                      uint64_t column_mask, const struct value *columns);
/* Reads the schema, and makes the TEMP copies of local-only triggers that run on applied rows:
 * before work_init. */
/* Whether the log still has events of this key. */
enum err capture_has(struct store *s, const struct table_schema *t, const void *key, size_t len,
                     bool *yes);
enum err capture_temp_triggers(struct store *s);

/* ---- store_put.c */
void put_release(struct store *s);

/* ---- store_collect.c */
/* Values of all replicated columns of a row that the last store_collect reports as deleted, as they
 * were after its updates; NULL when unknown. Indices into segments[0].tables and .rows. */
void collect_release(struct store *s); /* frees s->collected */
const struct value *collect_old_values(struct store *s, uint32_t table_index, uint32_t row_index);
/* The totals of sum columns from before the window (n_columns values; NULL elsewhere), of an UPDATE
 * or DELETE row of the birth that stands (stood); NULL for others, and where the table has none.
 * Also of a decision's row: what the application changed beside it is in the table already. */
const struct value *collect_old_sums(struct store *s, uint32_t table_index, uint32_t row_index);
/* Whether the row comes from tonle_todo, perhaps joined with what the application wrote to the same
 * birth: it names its birth, and not all of it stands in the table yet. */
bool collect_is_decision(struct store *s, uint32_t table_index, uint32_t row_index);

/* ---- store_row.c: records, claims, rows of the application's tables */
struct row_key { /* one row of one published table */
    const struct table_schema *t;
    const uint8_t *key; /* canonical bytes */
    size_t len;
};
/* Where the record of a row is: tonle_row.swept, if it has one. */
enum record_at { RECORD_NONE, RECORD_FRESH, RECORD_SWEPT };
/* The record after forgetting; values of the standing birth not filled in. *at: where it was; NULL
 * when nobody wants to know. */
enum err row_load(struct store *s, struct arena *a, struct row_key k, struct row *out,
                  enum record_at *at);
/* Forgets, then writes, replaces or deletes the record and its claims. `at` as row_load told it. */
enum err row_save(struct store *s, struct arena *a, struct row_key k, struct row *r,
                  enum record_at at);
/* The same for a sweep: a record that has nothing left to become stable goes to the swept part. */
enum err row_sweep(struct store *s, struct arena *a, struct row_key k, struct row *r,
                   enum record_at at);
/* The row in the table: *values (n_columns) or NULL. */
enum err row_read(struct store *s, struct arena *a, struct row_key k, struct value **values);
/* Binds the key's values from parameter `first` on. */
enum err row_bind_key(struct arena *a, sqlite3_stmt *q, struct row_key k, int first);
/* The stable clock and the kept names as row_forget wants them; keep_rank is true where it might be
 * needed. */
enum err row_forgetting(struct store *s, struct arena *a, struct row_key k, struct forget *f);

/* ---- store_claim.c */
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

/* ---- store_filter.c */
/* What is in the database now; without effect before the filter is known. */
void filter_add(struct hash_filter *f, uint64_t h);
bool filter_has(const struct hash_filter *f, uint64_t h); /* false is certain; when known */
/* True: it is empty, and all that belongs in it is to be added now, as long as it is `known`; then
 * it is asked again. False: it is known. */
bool filter_open(struct store *s, struct hash_filter *f);
/* Whether filters may be asked: in a transaction. */
bool filter_serves(const struct store *s);
void filters_begin(struct store *s);  /* state_version is known */
void filters_commit(struct store *s); /* state_version is that of our own commit */
void filters_undo(struct store *s);   /* rolled back */
void filters_clear(struct store *s);

/* ---- store_refer.c: which birth of its parent a child means */
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

/* ---- store_todo.c */
/* Queues a change for the next seal that no statement of an application can express: it names a
 * birth (none: the unnamed one), or changes nothing that is seen. Values are absolute, also of
 * sums; `column` ascending. BORN: all columns, at the key k. ERR_LIMIT when it could not be sent,
 * ERR_REFUSED for a BORN row with a total beyond 64 bits. */
enum err todo_put(struct store *s, struct row_key k, struct dot birth, enum change_kind kind,
                  uint32_t n_cells, const uint32_t *column, const struct value *value);

/* ---- store_defer.c */
/* Whether changesets wait for this table to fit here. */
bool defer_waits(struct store *s, const char *table);
/* The stable clock through which rows of this table are looked at. */
const struct clock *defer_stable(struct store *s, const char *table);
/* Merges what waits for tables that fit now, about max_rows rows; *more when there are others. Does
 * nothing while local writes are captured and not sealed. */
enum err defer_replay(struct store *s, struct arena *a, uint32_t max_rows, bool *more);
#define DEFER_SLICE 500
void defer_begin(struct store *s);  /* state_version is known */
void defer_commit(struct store *s); /* state_version is that of our own commit */
void defer_forget(struct store *s); /* rolled back */

/* ---- store_local.c */
enum err local_drop(struct store *s, struct row_key k); /* forgets what was kept of a row */

/* ---- store_apply.c / store_decide.c: shared with load and retry */
struct work; /* the rows touched by one transaction */

/* ---- store_load.c, for store_apply */
/* Whether the chunk that holds this key was read when its clock covered `d` already. */
bool load_chunk_covers(struct store *s, struct row_key k, struct dot d);
/* The stream of the parent was applied up to `pos`: when that is past the last chunk (meta
 * load_pos), forgets the chunks, clears load_pos and decides the foreign-key holds that waited
 * (load_parents). */
enum err load_passed(struct store *s, struct arena *a, uint64_t pos);
/* store_retry.c: one row decided again, and what this office alone refuses in its table. Leaves
 * rows alone that are captured and not sealed. */
enum err retry_row(struct store *s, struct row_key k, uint64_t now_ms);
/* The same file: a row that is left alone for that; decided when the log is empty. */
enum err again_note(struct store *s, struct row_key k);
enum err again_decide(struct store *s, uint64_t now_ms);
/* store_limit.c: whether anything of ours stays here for its size, and whether this row does as a
 * whole: nobody else has it. */
enum err limit_any(struct store *s, bool *any);
enum err limit_alone(struct store *s, struct row_key k, bool *yes);
/* store_retry.c: pass 4 over every row of every table with foreign keys (the first load has ended).
 */
enum err load_parents(struct store *s, struct arena *a);

/* ---- store_touch.c: which changesets of the journal may have touched a row */
/* Notes the rows of the changeset at `pos`, in the transaction that puts it there. */
enum err touch_note(struct store *s, const struct changeset *cs, uint64_t pos);
/* Positions of the changesets that may have touched this row, ascending: all that have, and seldom
 * another. */
enum err touch_find(struct store *s, struct arena *a, const char *table, struct bytes key,
                    uint64_t **pos, size_t *n);

/* ---- store_pin.c */
enum err
pin_open(struct store
             *s); /* when options.wal_guard, the file is in WAL mode and the library is affected */
void pin_close(struct store *s);
void pin_after_commit(
    struct store *s); /* takes or renews the pin; reclaims a long WAL by TRUNCATE */
bool pin_library_affected(int version_number);

#define DDL_VERSION 4
extern const char
    store_ddl[]; /* store_ddl.c: the tonle_* tables; the comments there are their documentation */

#endif
