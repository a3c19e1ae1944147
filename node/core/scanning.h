/* scanning.h - a comparison of rows that is under way, between scan.c and scan_answer.c. */
#ifndef NODE_CORE_SCANNING_H
#define NODE_CORE_SCANNING_H

#include "node/capture/gap.h"
#include "node/core/internal.h"

#include <jansson.h>

enum scan_pass { PASS_COUNT, PASS_SETTLE, PASS_NOTE };
struct counts {
    uint64_t changed, born, deleted, settled;
    uint64_t held; /* of those that are changed: ESCAPE_HELD */
};
struct open_scan {
    uint64_t request_id;
    bool by_itself; /* over a gap: nobody waits for a reply */
    enum scan_what what;
    struct buf key;   /* of the one row that is meant; empty: all */
    bool shows;       /* rows still go into the answer */
    const char *peer; /* its name */
    uint64_t session; /* with it, when the scan began */
    uint64_t id;      /* of the message that is awaited */
    uint64_t again_ms, give_up_ms, patience_ms;
    uint64_t ahead_ms;  /* since when it says more is stable than is known here; 0: it does not */
    struct arena arena; /* tables */
    const char **table;
    size_t n_tables, at;
    enum scan_pass pass;
    enum gap_state here; /* of the table in hand */
    struct clock begun;  /* the clock at its gap's beginning */
    bool begun_known;
    bool was_away;  /* capture of the table in hand, as far as what differs may come of it */
    uint32_t there; /* the neighbour's own gap */
    uint32_t t;     /* its number, 0: it is not here */
    struct counts counts, all;
    struct counts left; /* of this pass: rows that could not be settled */
    json_t *tables, *rows;
    size_t shown_bytes;
    struct buf after, upto;
    bool held, last;      /* one is ESCAPE_HELD; they are settled now, behind all others */
    bool detail, bounded; /* the rows of the chunk after..upto, and no longer its digest */
    struct buf
        slice_end; /* of that chunk: up to this place all are settled, or it is told why not */
    bool sliced;   /* and others are behind those that this step settles */
    /* within one step: what the transaction is to settle */
    const struct load_chunk *chunk;
    struct escape *escape;
    size_t n_escapes, n_done;
    const char **why; /* of each of them: what is in the way; NULL: it was settled */
    bool as_lost;     /* one was taken as a row that this office has lost */
    bool dealt, noted;
    bool stale;     /* capture was away once more: what was compared says nothing now */
    bool once_more; /* a row that is compared already may be another by now: not to be closed */
};

/* Whether what differs in the table in hand is ours: our capture was away, the neighbour's not. */
bool scan_is_ours(const struct open_scan *sc);
/* Whether this pass settles what differs, if it does that. */
bool scan_may_settle(const struct open_scan *sc, const struct escape *esc);
/* In the step's transaction: the rows of the chunk in hand, and the end of the table. *context: in
 * which what they make ours is sealed (NULL: in that of now). */
enum err scan_settle(struct node *n, struct open_scan *sc, const struct clock **context);
enum err scan_note(struct node *n, struct open_scan *sc);
void scan_count(struct counts *c, enum escape_kind kind);
/* What could not be settled is counted, and told where a person looks. */
enum err scan_note_left(struct node *n, struct open_scan *sc);
/* Which of n rows of the chunk in hand this step settles: sorts them, and leaves so many in front.
 * A gap's are a hundred at most, and go out together. */
size_t scan_slice(struct open_scan *sc, struct escape *esc, size_t n);
#define SCAN_SLICE_ROWS 200u /* a person's, of one transaction: the lock budget */

/* The offices below, by the registry, whether they are connected or not; in the step's arena. */
enum err scan_children(struct node *n, const char ***name, size_t *n_names);
/* The neighbour, as long as it is the session that the scan began in; else NULL. */
struct peer *scan_peer(struct node *n, const struct open_scan *sc);
/* Whom to compare with: the parent; at the hub the child that is named, or each open one in turn.
 * A person's word goes to the child that was compared last for a person, or is the only
 * one. NULL: *why, *next. */
struct peer *scan_choose(struct node *n, const struct scan_ask *ask, const char **why,
                         const char **next);

/* Whether nothing is forgotten there that we remember. The hub alone declares what is, and what it
 * has declared comes here soon: who says more for long says what is not so. It is named, and the
 * scan ends, so that the next one is with the next child. */
bool scan_forgets_no_more(struct node *n, struct open_scan *sc, struct peer *p,
                          const struct load_chunk *c);

uint64_t scan_waiting(const struct counts *c);
json_t *scan_counts_json(const struct counts *c);
/* Both values of a row that differs, as long as a person may read them. */
enum err scan_show(struct node *n, struct open_scan *sc, const struct load_chunk *c,
                   const struct escape *esc);
/* Beside a row that could not be settled: why. */
enum err scan_show_why(struct node *n, struct open_scan *sc, const struct escape *esc,
                       const char *why);
/* To whoever asked, and into the log. */
void scan_answer(struct node *n, const struct open_scan *sc, bool complete);

#endif
