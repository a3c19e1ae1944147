/* world.h - a whole federation in one process: virtual time, network, clocks and disks, real nodes.
 *
 * The nodes are the production core (node/node.h) over the production store, SQLite over
 * tests/sim/disk. Everything that happens is drawn from one seeded generator; events are ordered by
 * (time, draw, number), so one seed is one history and one trace hash.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "node/core/join.h"
#include "tests/lib/office.h"
#include "tests/sim/disk.h"
#include "tests/sim/model.h"
#include "tests/sim/schema.h"

#define WORLD_NODES 12
#define WORLD_OFFICES (WORLD_NODES + 1) /* and the puppet (puppet.h) */

enum what {
    WHAT_PACKET,
    WHAT_TIMER,
    WHAT_CHANGE,
    WHAT_APP,
    WHAT_DIAL,
    WHAT_LOST,
    WHAT_FAULT,
    WHAT_START,
    WHAT_UNREACHABLE,
    WHAT_AGAIN,
    WHAT_LINE,
    WHAT_JOIN,
    WHAT_DESK,
    WHAT_GAP,
    WHAT_PUPPET,
    WHAT_CLOCK,
    WHAT_IGNORE,
    WHAT_DONE
};
struct happening {
    uint64_t at, order, number;
    enum what what;
    int node;      /* to whom */
    int from;      /* packets */
    uint64_t link; /* the connection it belongs to; a timer's generation */
    uint8_t *bytes;
    size_t len;
};
struct changesets { /* sealed bytes, on the heap */
    struct bytes *at;
    size_t n, cap;
};
struct late { /* of an office that comes later (late.c) */
    bool prepared, joined;
    uint64_t before; /* hash of what the database held when `prepared` */
    enum load_mode mode;
    struct invitation invitation;
    struct keys keys;
    bool invited;      /* it dials under the invitation's key */
    char user_id[256]; /* as whom its parent knows it */
    struct buf kept;   /* ACTION_KEEP */
    bool first_due;    /* the next chunk may be the first one */
    bool settled;      /* ACTION_SETTLE was carried out */
    uint64_t asked;    /* number of the driver's last answer, and what it says: */
    enum err error;
    uint64_t offset, len;
    struct changesets sent; /* what the parent's model was made of at its last chunk */
};
struct machine {
    struct office o;
    struct node *node;
    struct actions out;
    bool alive, open_tx;
    uint64_t watched; /* a hash of what was printed last of the row that is watched */
    bool flipped;     /* a value has changed by itself */
    bool joining;     /* `node` is one that joins; not alive meanwhile */
    bool clean;       /* it was stopped, not killed */
    int parent;       /* -1: the hub */
    bool line;        /* the line to the parent is up */
    uint64_t link;    /* the present connection to the parent; 0: none */
    uint64_t last_up,
        last_down;  /* time of the last packet each way: a connection keeps its order */
    uint64_t timer; /* generation */
    int64_t skew_ms;
    uint64_t outside_site, outside_seq;
    uint64_t steps;
    uint32_t skips;      /* triggers of ignore.c, a bit each */
    uint32_t skips_read; /* those that ignore while a table says so */
    /* the oracle's */
    struct store *watch;               /* its own connection, read only */
    struct model model;                /* of the journal up to model_pos */
    uint64_t model_pos, model_checked; /* position at which the tables were last compared */
    bool restarted;
    struct clock
        merged; /* what the model has merged: less than the journal while a load catches up */
    struct bytes *deferred; /* changesets of the journal whose context it does not cover yet */
    size_t n_deferred, cap_deferred;
    struct clock clock;                       /* of that journal */
    uint8_t chain[WORLD_OFFICES][HASH_BYTES]; /* by office */
    uint64_t acked
        [WORLD_OFFICES]; /* the highest position of that office's journal it has said to hold */
    struct late late;
    struct changesets base; /* of which what it loaded was made */
    bool base_read;
    uint64_t told; /* the highest position of its own journal it has sent */
};
/* What kind of world a seed makes: each is likely or not, so that no history has everything. */
struct profile {
    bool join,
        write_loading;  /* offices that come later; their applications write while they load */
    bool gaps;          /* applications go around capture (gaps.c) */
    bool stray_deletes; /* and delete rows meanwhile, or enter them anew */
    bool flips;         /* with `gaps`: instead, values change in the file by themselves */
    bool wal;
    bool ignores;       /* triggers ignore statements */
    bool clocks;        /* wall clocks jump */
    bool keys;          /* applications check foreign keys themselves */
    uint32_t seal_rows; /* 0: the usual limit */
    uint32_t open_tx;   /* per mille of transactions left open for a while */
    uint32_t burst;     /* per mille of transactions with hundreds of rows */
    uint32_t away_ms;   /* a line once down stays so for up to so long; 0: a short while */
    uint32_t pause_ms;  /* between an application's transactions */
};
/* What a negative control breaks. */
enum breach {
    BREACH_NONE,
    BREACH_ACKS,
    BREACH_CONTEXT,
    BREACH_FORGET,
    BREACH_TWICE,    /* a delta counts twice */
    BREACH_LOSERS,   /* siblings that are not shown are forgotten */
    BREACH_CHILDREN, /* a child stands although its parent is held */
    BREACH_GAPS,     /* that capture was away is forgotten */
    BREACH_FOUND,    /* so is what was written over meanwhile */
    BREACH_WROTE,    /* somebody writes whom nobody notes */
    BREACH_IGNORED,  /* what a trigger ignored is not held */
    BREACH_TIME,     /* an office is told a time that is still to come */
    BREACH_TRUST,    /* the puppet's parent takes what it has refused */
    BREACH_FLIPS,    /* a person takes what has changed by itself for right */
    BREACH_COUNT
};
struct world {
    uint64_t seed, random, aside; /* aside: what world_random draws from between world_aside */
    uint64_t now, number, links;
    struct disk *disk;
    struct machine m[WORLD_OFFICES];
    int n; /* but for the puppet, which stands behind them */
    struct happening *queue;
    size_t n_queue, cap_queue;
    uint64_t trace;
    uint64_t token;        /* of the application's writes */
    uint64_t join_crashes; /* of who joined, or of its parent meanwhile */
    uint64_t writes, crashes, stops, cuts, drops, steps, checks, repeats, parts, joins, decisions;
    uint64_t gaps, waiting; /* gaps that were made, offices where a person is waited for */
    uint64_t attacks, attacks_refused, jumps, waits, skips;
    uint64_t held[HOLD_COUNT], open[POLICY_COUNT], exists, births; /* at the end, at the hub */
    enum breach breach;
    struct profile profile;
    struct drawn schema;
    struct generator app; /* of what applications write into a drawn schema */
    sqlite3 *strays;      /* strays.c */
    struct model_meant meant;
    struct puppet *puppet;
    struct noted_value *wrote; /* wrote.c */
    size_t n_wrote, cap_wrote;
    struct generator ignores;     /* ignore.c */
    struct generator clocks;      /* clocks.c */
    bool hub_jumps, hub_in_doubt; /* clocks.c */
    char reply[65536];            /* to the last request */
    const char *unit[WORLD_OFFICES];
    struct site_unit site_unit[WORLD_OFFICES]; /* by site */
    struct unit_list units;
    bool deciding, taken; /* a person says what is right where it differs (strays.c) */
    bool healing, verbose;
    struct watched {
        const char *table, *key; /* NULL: none; the key as JSON */
    } watch;
    char broken[1024]; /* the first broken promise; empty: none */
};

uint64_t world_random(struct world *w);
/* From here to the next call draws come from another generator. What only one kind of world draws
 * stands between two such calls: else every seed of the other kinds would make another history, and
 * the seeds that are kept (seeds*.txt) would not show any more what they are kept for. */
void world_aside(struct world *w);
uint32_t world_below(struct world *w, uint32_t n);
bool world_chance(struct world *w, uint32_t per_mille);
void world_break(struct world *w, const char *promise, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void world_later(struct world *w, enum what what, int node, uint64_t delay, uint64_t link);

struct kind { /* of world: from the command line */
    enum breach breach;
    bool join, write_loading, drawn, gaps, stray_deletes, flips, hostile, clocks, ignores;
};
void world_start(struct world *w, uint64_t seed, const struct kind *kind);
void world_step(struct world *w, struct machine *m, struct event *ev);
int world_offices(const struct world *w);                  /* the puppet, too */
int world_office_of(const struct world *w, uint64_t site); /* -1: nobody */
void world_send(struct world *w, struct machine *from, const struct action *a);
void world_power_off(struct world *w, struct machine *m, bool lose_power);
uint64_t world_wall_ms(const struct world *w, const struct machine *m); /* its wall clock */
/* Until virtual `ms` have passed, or a promise broke. */
void world_run(struct world *w, uint64_t ms);
/* No more faults; all lines up, all machines on; until nothing moves. */
void world_heal(struct world *w);
void world_settle(struct world *w); /* the last of it; breaks the world when it does not */
void world_stop(struct world *w);

/* app.c */
extern const char app_schema[], app_charter[];
void app_write(struct world *w, struct machine *m);
void app_open(struct world *w, struct machine *m);
void app_close(struct machine *m);
void app_statements(struct world *w, struct machine *m); /* a few, into the open transaction */
void app_many(struct world *w, struct machine *m);       /* a whole series at once */
/* app_drawn.c: one statement into a drawn schema */
void app_statement(struct world *w, struct machine *m, struct buf *sql);

/* ledger.c: what the applications themselves know of what they did */
void ledger_open(struct world *w, struct machine *m);
bool ledger_before(struct world *w, struct machine *m); /* false: the machine is dying */
bool ledger_after(struct world *w, struct machine *m);
void ledger_check(struct world *w, struct machine *m, const struct table_changes *tc,
                  const struct row_change *rc);
/* A decision lets a row appear or vanish; in the store's transaction. */
void ledger_note(struct machine *m, const struct table_schema *t, const struct value *key,
                 bool made);
void ledger_totals(struct world *w, struct model *m, struct store *s); /* when all is healed */

/* gaps.c: an application goes around capture; and every write of each, captured or not */
#define NOTED_TABLES 3
#define NOTED_COLUMNS 8
struct noted_table {
    const char *name, *key[2], *column[NOTED_COLUMNS];
};
extern const struct noted_table noted_table[NOTED_TABLES];
/* The key as SQL text; `of`: "", or NEW. or OLD. */
void noted_key(struct buf *b, const struct noted_table *t, const char *of);
void gap_make(struct world *w, struct machine *m);
void gap_flip(struct world *w, struct machine *m);
void stray_open(struct machine *m);
bool stray_before(struct world *w, struct machine *m);
bool stray_after(struct world *w, struct machine *m);

/* strays.c: who wrote it */
void stray_start(struct world *w);
void stray_fini(struct world *w);
void stray_check(struct world *w, struct machine *m, const struct table_changes *tc,
                 const struct row_change *rc);
bool stray_doubt(const struct machine *m); /* the tables need not be what the journal says */
/* What a gap kept out comes in soon after it is over. */
bool stray_kept_out(const struct machine *m);
bool stray_open_gap(const struct machine *m); /* it has not compared it yet */
/* All is at rest: where the strays are, and a person decides what waits for one. */
void stray_rest(struct world *w);
void stray_healed(struct world *w); /* then all is alike: who wrote it */

/* desk.c: somebody decides something at this office */
void desk_decide(struct world *w, struct machine *m);

/* clocks.c */
void clocks_start(struct world *w);
void clocks_jump(struct world *w);
void clocks_heal(struct world *w);
void clocks_check(struct world *w, const struct machine *m, const struct changeset *cs);
bool clocks_wait(struct world *w); /* a month; false: the world is broken */

/* wrote.c */
void wrote_before(struct machine *m); /* in the application's transaction */
void wrote_after(struct world *w, struct machine *m);
void wrote_note(struct world *w, int office, const char *t, const char *column,
                const struct value *key, uint32_t n_key, const struct value *v);
void wrote_check(struct world *w, struct machine *m, const struct table_changes *tc,
                 const struct row_change *rc);
void wrote_healed(struct world *w);

/* ignore.c */
void ignore_start(struct world *w);
void ignore_turn(struct world *w);
void ignore_heal(struct world *w);
bool ignore_doubt(struct machine *m); /* the tables need not be what the model says, */
void ignore_check(struct world *w, struct machine *m); /* but then it is held */
void ignore_returns(struct world *w); /* nothing is held when none ignores any more */

/* puppet.c */
void puppet_start(struct world *w);
void puppet_fini(struct world *w);
void puppet_healed(struct world *w); /* decisions are their signer's */
void puppet_event(struct world *w, const struct event *ev);
void puppet_turn(struct world *w);

/* late.c */
void late_start(struct world *w, struct machine *m); /* somebody types the command */
void late_over(struct world *w, struct machine *m);  /* ACTION_END */
/* Its driver: what the node asked for, and the answer when its time has come. */
void late_ask(struct world *w, struct machine *m, const struct action *a);
void late_answer(struct world *w, struct machine *m, uint64_t asked);
/* Whether the parent's ZAP handler knows the key it dials with; it is told when not. */
bool late_let_in(struct world *w, struct machine *m);
void late_chunk_sent(struct machine *parent, struct machine *m);
void late_fini(struct machine *m); /* also of who did not come late */

/* oracle.c: breaks the world when a promise does not hold. */
void oracle_start(struct world *w, struct machine *m); /* the machine is on (again) */
void oracle_stop(struct machine *m);                   /* it is off */
void oracle_sent(struct world *w, struct machine *from, struct machine *to,
                 const struct message *msg);
void oracle_step(struct world *w, struct machine *m); /* after every step of a node */
/* tables.c: the database against the model */
void oracle_tables(struct world *w, struct machine *m);
/* Prints the row that is watched, where it is another than it was. */
void oracle_watch(struct world *w, struct machine *m);
/* Every change of one row, and both merged states; when verbose. */
void oracle_dump(struct world *w, struct machine *m, const struct model_row *r);

/* healed.c: after the last fault, when everything came to rest */
void oracle_healed(struct world *w);
/* The name of a cell in the conflict record. */
const char *oracle_cell(const struct table_schema *t, uint32_t column);
struct query;
/* The end of an oracle's query: one that failed has shown nothing, and breaks the world. */
void oracle_end(struct world *w, struct machine *m, struct query *q);
/* conflicts.c */
void oracle_open(struct world *w, struct arena *a);
void oracle_sides(struct world *w, struct machine *m);

/* again.c: what was applied before comes again; and the negative controls */
void again_apply(struct world *w, struct machine *m);
void breach_packet(struct world *w, struct machine *m, struct machine *from,
                   const struct message *msg);
void breach_step(struct world *w, struct machine *m);

#endif
