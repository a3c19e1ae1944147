/* model.h - the reference: everything one journal holds, merged and never forgotten.
 *
 * Every birth keeps its name (the dot it was born with), every cell its versions with their dots; a
 * change that names no birth is given the one its writer had before it, found by replaying what its
 * context covers. What stands follows from the four passes over all living births. So the model
 * needs no stable clock, no record and no database, and an office that forgets must look the same.
 */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include "conflict/hold.h"
#include "node/store_int.h"

struct model_changeset {
    struct dot dot;
    uint64_t hlc;
    struct clock context; /* owned */
};
struct model_change { /* one row of one changeset */
    uint32_t changeset;
    struct change ch; /* birth resolved */
    bool waits;       /* for its birth */
};
struct model_row {
    uint32_t table; /* index into store.tables */
    const uint8_t *key;
    size_t len;
    struct row row;
    struct model_change *change;
    size_t n, cap;
};
struct model {
    struct arena arena;
    struct model_changeset *changeset;
    size_t n, cap;
    struct model_row *row;
    size_t n_rows, cap_rows;
    /* An office that loads writes on rows that are newer than its clock: such a change may name a
     * birth that its own journal brings later. */
    bool late;
    size_t waiting;
};
void model_fini(struct model *m); /* {0} afterwards, and a valid model */
/* One changeset of the journal, in its order; false with a sentence in `why`. */
bool model_apply(struct model *m, struct store *s, const struct changeset *cs, char why[256]);
struct model_row *model_find(const struct model *m, uint32_t table, const void *key, size_t len);
/* The context of a dot; NULL when it is not in the journal. */
const struct model_changeset *model_changeset(const struct model *m, struct dot d);

struct model_birth { /* a living one, and what the passes say of it */
    const struct model_row *row;
    const struct birth *birth;
    enum hold_reason held;
};
/* All living births, decided; in the arena. */
struct model_birth *model_decide(const struct model *m, struct store *s, struct arena *a,
                                 size_t *n);

#endif
