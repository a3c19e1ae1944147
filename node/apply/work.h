/* work.h - the rows touched by one transaction, from merging to what stands.
 *
 * A work lives as long as one apply, seal, load end or retry; everything is in its arena.
 * work_init, then work_get and work_load for each row, changes to their merged state, work_finish.
 * Invariant: after work_finish every touched row of the application's tables equals what the merged
 * state and the four passes (DESIGN 4, "Holds") say, and records, claims, held rows and open
 * conflicts fit it.
 */
#ifndef NODE_APPLY_WORK_H
#define NODE_APPLY_WORK_H

#include "conflict/map.h"
#include "node/apply/apply.h"
#include "node/capture/capture.h"
#include "node/capture/gap.h"
#include "node/db/query.h"
#include "node/record/record.h"

/* The row in the way of a held one. */
struct held_by {
    const char *table, *key_json;
    const char *office; /* whose claim it is, and since when: "" and 0 when it is settled */
    uint64_t ms;
    uint32_t t; /* number and key: who is held contends again when that row moves; 0: does not */
    struct bytes key;
};

struct work_row {
    struct row_key k;
    struct row row;          /* merged state; values filled in */
    enum record_at recorded; /* where the database holds a record of it */
    bool loaded;
    bool touched;     /* by a change or a decision: to be saved */
    bool siblings;    /* has or had siblings, or several births: open conflicts may have changed */
    bool no_siblings; /* it was loaded, and had none: no conflict of it is open on record */
    bool was_held;    /* some birth was held when it was loaded */
    bool retry;       /* try again also what failed a CHECK */
    bool decided;     /* its births are among the contenders */
    bool let_done;    /* its held children were let in */
    struct dot in_table;  /* name of the birth that `now` belongs to */
    bool slow;            /* takes part in the decision of the contending rows */
    bool fk_new, fk_gone; /* queued for pass 4 */
    bool others_moved; /* the births that contend for the key are others than when it was loaded */
    uint64_t others;   /* work_others then */
    bool sealed;       /* by the changeset of our own that is being applied */
    bool nobodys;      /* none of the births on record is the row in the table: a gap's (gap.h) */
    bool unread;       /* a birth without record: whether a row stands in the table is not known */
    struct value *before; /* the row in the table when it was met (NULL: none) */
    struct value *now;    /* the row in the table at this moment */
    struct value *taken;  /* as it was when pass 4 took it out (NULL: it did not) */
    char *message[2]; /* of the database, for a held birth: [0] check or local, [1] unique or parent
                       */
    struct work_row *blocker; /* of a birth held by pass 3 */
    struct held_by *parent;   /* of one held by pass 4 */
};

struct site_name {
    uint64_t site;
    const char *node, *unit;
};

struct work {
    struct store *s;
    struct arena *a;
    struct work_row **row;
    size_t n, cap;
    struct map by_key; /* of `row` */
    struct dot dot;    /* of the change that caused this; none for a retry */
    uint64_t hlc;
    uint64_t now_ms;
    bool limits;        /* rows of ours stand here that nobody else has (capture/limit.c) */
    bool part;          /* our own log was cut: the rest of it is captured and not sealed yet */
    bool check_parents; /* pass 4 is decided now (false while the first load catches up) */
    struct apply_report *report;
    struct site_name *site;
    size_t n_sites, cap_sites;
    /* A site could not be looked up: no name is not nobody's. A database that is busy is tried
     * again; a damaged row ends the node, as it does wherever the registry is read. */
    enum err sites_unread;
    bool *seek_orphans; /* per foreign key: values it refers to were changed, and what they were is
                           not known */
    int8_t *table_held; /* per table: any held row or claim; -1 not known */
    int8_t *table_gap;  /* per table: a capture gap is on record; -1 not known */
    struct log_keys *log_keys;       /* per table: what its log had when it was first asked for */
    struct update_text *last_update; /* put.c: the UPDATE made last */
    const char **insert_sql, **delete_sql; /* per table, made when first needed */
};

void work_init(struct work *w, struct store *s, struct arena *a); /* the schema is read */
/* The row, made when it is not there yet; the key bytes are copied. Not loaded. */
struct work_row *work_get(struct work *w, const struct table_schema *t, const void *key,
                          size_t len);
/* The row if it is here, or NULL. */
struct work_row *work_find(const struct work *w, const struct table_schema *t, const void *key,
                           size_t len);
/* Reads record and table row and fills in the values of the birth that stands. */
enum err work_load(struct work *w, struct work_row *r);
/* The same with what is known to stand in the table (NULL: nothing). */
enum err work_load_with(struct work *w, struct work_row *r, struct value *now);
/* The row in the table; not one that only we have, because it was too large to be sent: that is
 * nobody's birth yet, and what others have under its key waits until it is made smaller or goes. */
enum err work_read(struct work *w, const struct work_row *r, struct value **now);
/* The living births as a number; 0: none is held, but perhaps for its parent or as a twin. */
uint64_t work_others(struct work *w, const struct work_row *r);
struct value *work_shown(struct work *w, const struct work_row *r, const struct birth *b);
bool work_same(const struct table_schema *t, const struct value *x, const struct value *y);
bool work_unique_changed(const struct table_schema *t, const struct value *x,
                         const struct value *y);
/* One of its births was deleted behind capture, and its values are unknown (part_birth_torn). */
bool work_torn(struct work *w, const struct work_row *r);
void work_note(struct work_row *r); /* the table row changed: pass 4 must look */
/* The only hand that moves a birth between standing and the reasons it is held for:
 *
 *     from \ to   none  check  birth  unique  local  twin  parent
 *     none          x     x      x      x       x     x      x
 *     any other     x     x      x      x       x     x
 *
 * because passes 1-3 decide without looking at parents, and pass 4 holds what they let stand. */
void work_hold(struct birth *b, enum hold_reason to);
/* The row stands as the application left it and is not sealed yet: it is decided when all is, also
 * where nothing comes of what the application did (again_decide). */
enum err work_unsealed(struct work *w, const struct work_row *r, bool *yes);
/* Whether the row of this key, which need not be among the touched ones, waits for a seal. */
enum err work_captured(struct work *w, const struct table_schema *t, struct bytes key, bool *yes);
/* The row stands by a parent that does: its parents are looked at again when the log is empty. */
enum err again_for_parent(struct store *s, struct row_key k);
bool work_contended(struct work *w,
                    const struct table_schema *t); /* the table has held rows or claims */
struct site_name *work_site(struct work *w, uint64_t site);

struct work_keys { /* of rows, in the arena; {0}: empty */
    struct bytes *key;
    size_t n, cap;
};
void work_keys_add(struct arena *a, struct work_keys *list, struct bytes key);
/* The key of t that stands in the first columns of the query's row. */
struct bytes work_key_at(struct work *w, const struct query *q, const struct table_schema *t);
/* The rows of t that are held and claim this value: of unique index `idx`, or of a reference. */
enum err work_claimants(struct work *w, const struct table_schema *t, uint32_t idx,
                        struct bytes folded, struct work_keys *out);

/* ---- sent.c: of the row that stands, the versions that this change meets as they were sent */
enum err sent_restore(struct work *w, struct work_row *r, const struct change *ch,
                      const struct forget *f);
struct sent;
void sent_release(struct sent *x); /* NULL: nothing */

/* ---- finish.c: decides and writes everything. On an error the caller rolls back. */
enum err work_finish(struct work *w);
/* The same where what stands of the touched rows is decided already: pass 4 and the records. */
enum err work_close(struct work *w);

/* ---- retry.c */
/* One row decided again, and what this office alone refuses in its table. What is captured and not
 * sealed yet is left alone. */
enum err retry_row(struct store *s, struct row_key k, uint64_t now_ms);
/* The children of rows that stood here alone, and went out now or are gone. */
enum err retry_children(struct store *s, const struct limit_note *note, size_t n, uint64_t now_ms);
/* At most so many rows of the pass that store_local_again has begun. */
enum err local_sweep(struct store *s, struct arena *a, uint32_t max_rows, bool *more);
/* What was left alone because it, or its parent, was captured and not sealed yet: the log is empty
 * now. */
enum err again_decide(struct store *s, uint64_t now_ms);

/* What the room keeps between its transactions (put.c). */
struct apply {
    bool torn;          /* store_found_torn */
    bool copies_stale;  /* TEMP triggers were dropped to take a row out: made anew before the
                              commit */
    struct buf scratch; /* for one key at a time */
    struct sent *sent;  /* sent.c: a changeset that is open */
    uint64_t try_mark;  /* try.c: state_mark at the beginning of the part */
    struct local_pass { /* retry.c: through the rows that only this office refuses */
        bool due;
        uint32_t t; /* and key: of the last one that was tried */
        struct buf key;
    } local;
};

/* ---- put.c: one row of an application's table */
enum row_put { PUT_OK, PUT_INVALID, PUT_UNIQUE, PUT_LOCAL };
/* Makes the table's row equal to what is shown of the birth: INSERT, or UPDATE of the columns that
 * differ. */
enum err work_put(struct work *w, struct work_row *r, const struct birth *b, enum row_put *result,
                  char **message);
enum err work_take(struct work *w, struct work_row *r); /* DELETE */
/* Whether the birth's sums are integers of 64 bits; *message says which is not. Part of pass 1. */
bool work_sums_stand(struct work *w, const struct work_row *r, const struct birth *b,
                     char **message);
/* Pass 1 alone: whether the birth passes CHECK, NOT NULL and type. Leaves the table as it was. */
enum err work_probe(struct work *w, struct work_row *r, const struct birth *b, bool *valid,
                    char **message);

/* Whether nothing that only this office has refuses it now; also without effect on the table. Who
 * else has one of its values, or that a rule refuses it everywhere, is for the decision to say. */
enum err work_may_come_in(struct work *w, struct work_row *r, const struct birth *b, bool *yes);

/* ---- decide.c: passes 1-3 of the rows that contend */
enum err work_contend(struct work *w);

/* ---- parents.c: pass 4 */
enum err work_parents(struct work *w);
/* Queues the children without a parent in the table. */
enum err work_orphans(struct work *w, const struct foreign_key *fk);

/* ---- conflict.c: tonle_conflict and tonle_side */
/* One that was met, open or closed as it says; anew when one of its name is on record. */
enum err conflict_save(struct work *w, struct work_row *r, const struct conflict *c);
/* When the row in the table was written over (values) for the birth that it belongs to or a twin of
 * that, or went (NULL) because that is dead or unknown, with r->now still as it was. Where capture
 * was away, what stood there may be a write that nobody else has seen, and nobody can tell: it is
 * kept as a closed conflict, with all of its value, beside whoever wrote what took its place. b:
 * the birth written for (NULL: forgotten). */
enum err conflict_found(struct work *w, struct work_row *r, const struct birth *b,
                        const struct value *values);
/* The same of births that are held, around a change of others: what is held in a table whose
 * capture was away may have been changed behind it before it was. */
struct held_rows {
    struct held_row {
        struct dot name;
        struct value *values;
    } * at;
    size_t n, cap;
};
enum err conflict_held(struct work *w, struct work_row *r, struct held_rows *out);
enum err conflict_held_found(struct work *w, struct work_row *r, const struct held_rows *were);
/* Whether a capture gap of the table is on record. */
enum err work_gap(struct work *w, const struct table_schema *t, bool *any);
/* What is open on record becomes what is open in the merged state. */
enum err conflict_reconcile(struct work *w, struct work_row *r);

/* ---- held.c: tonle_held */
enum err held_save(struct work *w, struct work_row *r);
/* Rows that waited for r's key or unique values contend again. */
enum err work_release_blocked(struct work *w, struct work_row *r);
/* Notes why r is held in pass 4: the words, and what is known of the row that it refers to by the
 * values v. */
enum err held_for_parent(struct work *w, struct work_row *r, const struct foreign_key *fk,
                         const struct value *v);
/* The same for a row whose parent is this held birth of another row, which stands. */
enum err held_for_birth(struct work *w, struct work_row *r, struct work_row *parent,
                        const struct birth *b);

/* ---- catchup.c: between the end of the first load and the position of its last chunk */
/* Whether the chunk that holds this key was read when its clock covered `d` already. */
enum err load_chunk_covers(struct store *s, struct row_key k, struct dot d, bool *covers);
/* The stream of the parent was applied up to `pos`: when that is past the last chunk (meta
 * load_pos), forgets the chunks, clears load_pos and decides the foreign-key holds that waited
 * (load_parents). */
enum err load_passed(struct store *s, struct arena *a, uint64_t pos);

/* ---- retry.c: pass 4 over every row of every table with foreign keys (the first load has ended,
 * a table is back). What a row that cannot be held refuses is undone and on record
 * (META_PARENTS_REFUSED): no error. */
enum err load_parents(struct store *s, struct arena *a);
/* The same where a charter came since: what it publishes no longer holds nobody, and what it
 * publishes now may. At all offices it does so at the same place among the hub's changes, so what
 * they show does not depend on what came first. */
enum err charter_parents(struct store *s, struct arena *a);
#define META_PARENTS_DUE "parents_due" /* tonle_meta: 1 */

/* ---- loaded.c: for the first load */
enum err loaded_clear(struct store *s); /* a load begins: no chunk has come */
/* The chunk of number `ord` of its table has come. */
enum err loaded_note(struct store *s, const struct table_schema *t, const struct load_chunk *chunk,
                     int64_t ord);
/* The table is emptied: nothing of it is held or open, and no row of it set aside. */
enum err loaded_forget(struct store *s, const struct table_schema *t);
/* A row of the office from before it joined that cannot stand (store_message tells why): it stays
 * in the table `aside`, and a held row names it. */
enum err loaded_aside(struct store *s, struct arena *a, struct row_key k, const char *aside,
                      int64_t rowid);

#endif
