/* puppet.h - one enrolled office that means harm: no node, no database, only its keys.
 *
 * It says hello, takes what comes and sends what it likes, signed as it must be. What it sends and
 * no honest office can is `wrong`: who acknowledges that breaks the world. What is refused it takes
 * back, so that it can go on. It stands behind the honest offices, at w->m[w->n], and is in none of
 * the loops over them.
 */
#ifndef TESTS_SIM_PUPPET_H
#define TESTS_SIM_PUPPET_H

#include "tests/sim/world.h"

struct puppet_state { /* what a changeset builds on */
    uint64_t seq, hlc;
    uint8_t chain[HASH_BYTES];
    uint64_t answered;
};
struct puppet_item { /* sent, or to be sent, and not acknowledged */
    uint64_t pos;
    enum item_kind kind;
    struct bytes bytes;
    const char *wrong; /* what an honest office cannot send; NULL: nothing */
    struct puppet_state before;
};
struct puppet_row {          /* a birth that it has heard of, or made */
    struct table_changes tc; /* the table's columns; no rows */
    struct row_change born;
    bool dead, unsure; /* deleted; changed by somebody who did not name it */
    uint64_t clock_hlc;
};
struct puppet_mark {
    uint64_t id;
    struct clock clock;
};
struct puppet {
    struct world *w;
    struct machine *m;
    struct generator draw;
    struct arena arena;
    uint64_t session, run;
    uint64_t pos, sent_pos, received_pos;
    struct clock clock;      /* what it has, its own included */
    struct clock old[4];     /* the same, of earlier times */
    struct clock stable;     /* of whose births it has forgotten the names */
    struct puppet_state now; /* behind all items */
    struct puppet_item *item;
    size_t n_items, cap_items;
    struct puppet_mark *mark;
    size_t n_marks, cap_marks;
    struct changesets heard;
    struct puppet_row *row;
    size_t n_rows, cap_rows;
    bool open, refused;
};
uint64_t puppet_time(const struct puppet *p);   /* the right one */
struct dot puppet_next(const struct puppet *p); /* of its next changeset */
/* To be sent behind what there is; `wrong` is static. */
void puppet_add(struct puppet *p, enum item_kind kind, const struct buf *bytes, const char *wrong);
/* Signs it, chained to its own, and adds it; the rest of the header is the caller's. */
void puppet_seal(struct puppet *p, struct changeset *cs, const char *wrong);
void puppet_note(struct puppet *p, const struct changeset *cs); /* the rows of one that was taken */

/* attacks.c: one draw of what it does next */
void puppet_attack(struct puppet *p);

#endif
