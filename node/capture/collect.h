/* collect.h - what the files of collecting share: reading a log into one entry a key,
 * deciding, and what goes beside the log: queued changes (tonle_todo) and rows too large to be
 * sent.
 *
 * Invariant: all events of a key are consumed together, or none.
 */
#ifndef NODE_CAPTURE_COLLECT_H
#define NODE_CAPTURE_COLLECT_H

#include "conflict/map.h"
#include "node/capture/capture.h"
#include "node/capture/log.h"
#include "protocol/message.h"

struct log_entry {
    const uint8_t *key;
    uint32_t key_len;
    bool existed;
    bool taken;
    bool born;    /* the changeset has it as born */
    bool limited; /* something of it stays here for its size, or its key */
    bool no_key;  /* NULL is in it: it names no row */
    bool found;   /* it was lost, and has its key again */
    bool entered; /* nobody's (nobodys_row), and gone: whom it was in the way of is not */
    int64_t first_full, last_full; /* log rowids; 0: none */
    int64_t moved;                 /* last of all the row was given another key, in this event */
    int64_t first_sums;            /* the first event that tells the sums from before */
    uint64_t before[MASK_WORDS];   /* U */
};

struct log_event {
    int64_t rowid;
    uint32_t entry;
};

struct table_work {
    uint32_t table; /* index into s->schema->tables */
    uint32_t n_entries;
    size_t entries_cap;
    struct log_entry *entries;
    uint32_t n_events;
    size_t events_cap;
    struct log_event *events;
    bool left;         /* some events were not read: their keys wait */
    bool nobodys;      /* a row of it was entered behind capture's back: left to the comparison */
    struct map by_key; /* of `entries` */
};

/* ---- todo.c: an entry of tonle_todo */
struct todo {
    int64_t n;
    uint32_t table; /* index into s->schema->tables; UINT32_MAX: it is not published any more */
    struct bytes key;
    struct dot birth;
    enum change_kind kind;
    uint32_t n_cells;
    uint32_t *column;
    struct value *value; /* absolute */
    bool taken;
};
struct todo_list { /* by table, key, and n */
    struct todo *entry;
    size_t n;
    bool more; /* there are more than were read */
};
enum err todo_read(struct store *s, struct arena *a, uint32_t max, struct todo_list *out);
enum err todo_done(struct store *s, const struct todo_list *l); /* deletes those taken */
int todo_key_compare(struct bytes a, struct bytes b);

/* ---- limit.c: what is too large to be sent, of one row of ours */
struct limit {
    uint32_t table; /* index into s->schema->tables */
    struct bytes key;
    bool born;               /* the row as a whole: no other office has it */
    const struct value *row; /* not NULL: others have it, and here, as it was, it lost its key */
    bool lost;               /* the same, as it is read */
    bool found;              /* it had lost its key, and has it again */
    bool *left;              /* columns whose value was left out; NULL with `born` */
    struct value *total;     /* of a sum among them: the total the others have */
    const char *message;
};
/* *out {0} (born false, left NULL) when nothing of this row was left out. */
enum err limit_read(struct store *s, struct arena *a, struct row_key k, struct limit *out);
enum err limit_put(struct store *s, const struct limit *l);
/* *any: something of it was left out. */
enum err limit_drop(struct store *s, struct row_key k, bool *any);

/* ---- collect.c */
struct collected_row { /* beside a row_change */
    const struct value *old;
    const struct value *sums;
    bool decision;
    bool named; /* its birth, where that has a name */
};
struct collected_table {
    uint32_t n_rows;
    struct collected_row *row; /* in the caller's arena */
};
struct collected {
    uint32_t n;
    struct table_work *work; /* one a log that was read */
    struct todo_list todo;
    bool any_limits; /* of earlier seals */
    size_t n_limits, limits_cap;
    struct limit *limits; /* rows of which something was left out now, in `arena` */
    uint32_t n_tables;
    struct collected_table *tables;
    bool done; /* consumed */
    size_t n_notes, notes_cap;
    struct limit_note *notes; /* what that did to the limits */
    struct arena arena;       /* keys, todo, limits, notes */
};

struct output {
    struct store *s;
    struct arena *a;
    struct collected *c;
    struct collect_most most;
    bool leave_queued; /* what decisions queued, and rows that it is for */
    uint64_t bytes;
    uint32_t rows;
    char *full_sql; /* the old row of a log row */
    const struct table_schema *t;
    struct table_work *work; /* the entries of t's log */
    bool sums;               /* t has a sum column */
    bool births;             /* some key of t has several births on record */
    bool records;            /* some row of t may not be whose birth is on record */
    uint32_t *all;           /* the numbers of t's columns */
    struct todo *todos;      /* those of t */
    size_t n_todos;
    struct table_changes *table;
    size_t rows_cap, beside_cap;
    struct row_change *row; /* heap while growing */
    struct collected_row *beside;
};

/* Something of this row stays here: known until a later seal takes it. Key, table and copies are
 * filled in. */
void collect_limit(struct output *o, struct log_entry *e, const struct limit *l);

/* ---- nokey.c */
/* An entry whose key has NULL in it: told while such rows stand. */
enum err nokey_note(struct output *o, struct log_entry *e, const struct value *key);
/* Whether the row that had this key stands here under one that cannot be sent, or cannot be sent
 * itself: then nothing was deleted. */
enum err nokey_moved(struct output *o, const struct log_entry *e, bool *lost);
/* So the row of this key lost it here. row: as it was; left and total: as of any row. */
void nokey_lost(struct output *o, struct log_entry *e, const struct limit *l);
/* It has it again: *before is what it was, and NULL where it was deleted meanwhile. */
enum err nokey_found(struct output *o, struct log_entry *e, struct value **before);

/* ---- fit.c: a row into the changeset */
/* Adds a row that fits. */
void collect_row(struct output *o, const struct row_change *r, struct collected_row beside,
                 uint64_t bytes);
bool collect_full(const struct output *o); /* no further row */
/* Leaves out of the row what is too large to be sent. *left (t->n_columns, or NULL for none): the
 * columns that go; false: the row cannot go at all. *why says so in words. */
bool collect_fit(struct output *o, struct row_change *r, uint64_t *bytes, bool **left,
                 const char **why);
/* The change of a sum column from one value to another; itself where it is no integer. */
struct value collect_delta(struct arena *a, const struct value *from, const struct value *to);

/* ---- scan.c */
/* Reads a log; once there are max_keys keys, only further events of these. */
enum err collect_scan(struct store *s, struct collected *c, struct table_work *w,
                      uint32_t max_keys);
/* The entry of a key, or NULL. */
struct log_entry *collect_entry(const struct table_work *w, const uint8_t *key, size_t len);
/* Before a log of more than BIG_LOG rows is read in pieces it gets an index on its key (true: one
 * was made, the schema is read anew); when it is empty again the index goes. */
enum err collect_index_big(struct store *s, const struct table_schema *t, bool *made);
enum err collect_index_drop(struct store *s, uint32_t t);
enum err collect_has_index(struct store *s, uint32_t t, bool *yes);
#define BIG_LOG 30000

/* ---- nobodys.c */
/* Whether any row of o->t may be one that was entered while capture was away. */
enum err nobodys_possible(struct output *o);
/* Whether the row that stood at the key was, and those on record under it are others: they are
 * dead, or held. Without a name a change would mean one of them, or nobody elsewhere. What stands
 * is told when the table is compared (core/scan.c); when it is gone, who was held may come in.
 * *birth: else whose it is. */
enum err nobodys_row(struct output *o, struct bytes key, struct dot *birth, bool *yes);

/* ---- queued.c */
/* Joins the application's change (UPDATE or DELETE) of a row with what is queued for the same
 * birth. `now`: the row in the table, or NULL. *joined: r names its birth and is a decision. */
enum err collect_join(struct output *o, struct bytes key, struct value *now, struct row_change *r,
                      bool *joined);
/* Beside an application's DELETE one of each twin of the birth that stood (conflict/twin.h): all
 * that it had seen goes, and what is queued for them. */
enum err collect_twins(struct output *o, struct bytes key, const struct row_change *r);
/* Whether something is queued for this key. */
bool collect_is_queued(const struct output *o, struct bytes key);
/* What else is queued for the table; *stopped when some has to wait. */
enum err collect_queued(struct output *o, const struct table_work *w, bool *stopped);

#endif
