/* model.h - the reference: everything one journal holds, computed anew from first principles.
 *
 * The model keeps every change and never forgets. What a cell holds is the set of its maximal
 * writes: those that no other write to the cell had seen; what is shown, who is alive, what stands
 * and what is open follow from it by the words of DESIGN 4, without conflict/row.c, merge.c,
 * policy.c or hold.c. It needs no stable clock, no record and no table, and an office that forgets
 * must look the same.
 */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include "node/schema/schema.h"
#include "protocol/changeset.h"

#include <sqlite3.h>

struct model_changeset {
    struct dot dot;
    uint64_t hlc;
    struct clock context; /* owned */
};
struct model_change { /* one row of one changeset */
    uint32_t changeset;
    struct change ch; /* birth resolved, as soon as it can be */
};
struct model_version {
    struct dot dot;
    uint64_t hlc;
    const struct value *value; /* one for each column of the cell, in the group's order */
};
struct model_cell {
    uint32_t column;   /* its lowest, or COLUMN_EXISTS */
    uint32_t width;    /* columns */
    uint32_t n, shown; /* of a sum: what was written and is no integer, possibly none */
    struct model_version *v;
};
struct model_bound { /* of those of one foreign key one must stand */
    uint32_t fk;
    const struct model_birth *parent;
};
struct model_birth {
    const struct model_row *row;
    struct dot name;
    uint64_t hlc;
    uint32_t n_cells;
    struct model_cell *cell; /* existence last */
    struct value *values;    /* shown, by column; the total of a sum */
    bool alive, valid, touched;
    const struct model_birth *twin_of; /* equal, and told of for both */
    struct model_version rank;         /* no value */
    uint32_t n_unique, n_gives, n_needs;
    uint64_t *unique, *gives, *needs;
    struct model_bound *bound; /* the parents it means: model_decide */
    uint32_t n_bound;
    enum hold_reason held; /* model_decide */
};
struct model_row {
    uint32_t table; /* index into store.tables */
    const uint8_t *key;
    size_t len;
    struct model_change *change;
    size_t n, cap;
    struct model_change *nobody; /* changes of what no office but the writer's has (strays) */
    size_t n_nobody, cap_nobody;
    bool derived; /* what follows is of these changes; in the row's own arena */
    struct arena arena;
    struct model_birth *birth; /* by (hlc, name) */
    uint32_t n_births;
};
struct model_meant;
struct model {
    struct arena arena;
    sqlite3 *probe;                /* borrowed: the tables, empty, for pass 1 */
    const struct unit_list *units; /* borrowed */
    struct model_changeset *changeset;
    size_t n, cap;
    struct model_row *row;
    size_t n_rows, cap_rows;
    /* An office that loads writes on rows that are newer than its clock: such a change may name a
     * birth that its own journal brings later. */
    bool late;
    /* Rows may have been entered where capture was away: a change of such a row names nobody, and
     * changes nothing elsewhere. NULL: none may. */
    struct model_meant *meant;
    uint64_t site; /* whose journal it is */
    /* Somebody changes what it has seen deleted. */
    bool forged;
};
/* Whom a change meant that named nobody: a birth that had lost its name, or, where it has one as
 * yet, what the writer alone had. Told when the writer's own model reads the change first, from its
 * stable clock and from what it told of itself; shared by the models of all offices. */
struct model_meant {
    struct model_unnamed {
        struct dot dot;
        uint64_t row; /* hash of table and key */
        struct dot birth;
        bool nobody;
    } * at;
    size_t n, cap;
    /* Whom an office told to be held when its application wrote, behind the `after`-th of its own
     * writes: what stood there was another. */
    struct model_told {
        uint64_t site, after;
        uint64_t row;
        struct dot birth; /* none: its name is forgotten */
    } * told;
    size_t n_told, cap_told;
};
/* strays.c: the last of the writes with which the application of the office whose database this is
 * wrote what the change says while capture was there, as far as it was noted; 0: a comparison has
 * found it, and that knows what is held. */
uint64_t stray_captured(struct store *s, const struct table_changes *tc,
                        const struct row_change *rc);
void model_fini(struct model *m); /* keeps probe, units, meant and site */
/* One changeset of the journal, in its order; false with a sentence in `why`. */
bool model_apply(struct model *m, struct store *s, const struct changeset *cs, char why[256]);
struct model_row *model_find(const struct model *m, uint32_t table, const void *key, size_t len);
/* The context of a dot; NULL when it is not in the journal. */
const struct model_changeset *model_find_changeset(const struct model *m, struct dot d);

/* Brings the births of a row up to date with its changes. */
void model_derive(const struct model *m, struct store *s, struct model_row *r);
const struct model_birth *model_find_birth(const struct model_row *r, struct dot name);
/* The parent's birth that was named when what is shown of a foreign key was written, or none. */
struct dot model_named(struct store *s, const struct model_birth *b, const struct foreign_key *fk);
const struct model_cell *model_find_cell(const struct model_birth *b,
                                         const struct table_rules *rules, uint32_t column);
bool model_alike(const struct model_version *a, const struct model_version *b, uint32_t width);

/* model_meant.c: the same of a table by its number; the last of each office's `after` replaces the
 * others. */
uint64_t model_row_hash(uint32_t t, const void *key, size_t len);
void model_told_begin(struct model_meant *l, uint64_t site, uint64_t after);
void model_told_add(struct model_meant *l, const struct model_told *told);
/* Of the row's last change: whom it means, where that is told; and whether that is nobody. */
void model_resolve_told(const struct model *m, struct model_row *r, const struct table_schema *t);
bool model_is_nobodys(const struct model *m, struct store *s, const struct model_row *r,
                      const struct table_changes *tc, const struct row_change *rc,
                      const struct change *ch);

/* model_twin.c: the births of a row, by age, as they are to somebody who has `seen` (NULL: all) */
struct model_kin {
    const struct model_change *born;
    bool alive, touched;
    const struct model_change *twin_of;
};
uint32_t model_kinship(const struct model *m, const struct model_row *r, struct arena *a,
                       const struct table_rules *rules, const struct clock *seen,
                       struct model_kin **out);
/* model.c: whom a change means that names nobody; and whether a birth lives; to somebody who has
 * `seen` (NULL: all) */
struct dot model_meant_by(const struct model *m, const struct model_row *r,
                          const struct table_schema *t, const struct clock *seen);
bool model_lives(const struct model *m, const struct model_row *r, struct arena *a,
                 const struct table_rules *rules, struct dot birth, const struct clock *seen);

/* model_choose.c: the version that a cell shows, and whether it is alive */
uint32_t model_choose(const struct model *m, const struct table_rules *rules,
                      const struct model_cell *c, const struct value *scope);
int model_order(uint64_t hlc_a, struct dot a, uint64_t hlc_b, struct dot b);

/* model_stand.c: what the passes say of every living birth; in the arena */
void model_claims(const struct model *m, struct store *s, struct arena *a, struct model_birth *b);
struct model_birth **model_decide(const struct model *m, struct store *s, struct arena *a,
                                  size_t *n);
struct model_conflict {
    const struct model_row *row;
    const struct model_birth *birth; /* NULL: of births */
    uint32_t column;                 /* cell, COLUMN_EXISTS, COLUMN_BIRTH */
    uint32_t n;
    const struct dot *side;
    struct dot shown;
};
/* Every open conflict. */
struct model_conflict *model_open(const struct model *m, struct store *s, struct arena *a,
                                  size_t *n);

#endif
