/* merge.h - one change meets the merged state of its row.
 *
 * "Change d has seen the cell version e exactly when d's context covers e's dot": every sibling
 * that the context covers is dropped, d is added; two that remain are concurrent (DESIGN 4;
 * Preguica et al. 2012, section 4). Invariants: merging is commutative over every causal order of
 * delivery and idempotent; every pair of concurrent different values is reported at least once, at
 * the office where they first meet; nothing is reported between a change and what its context
 * covers. Two versions differ when people would see two values (value_alike).
 */
#ifndef CONFLICT_MERGE_H
#define CONFLICT_MERGE_H

#include "conflict/row.h"

#define COLUMN_BIRTH                                                                               \
    0xfffffffeu /* stands for "two living births of one key, no twins" in a conflict */

enum change_kind { CHANGE_BORN = 1, CHANGE_UPDATE = 2, CHANGE_DELETE = 3 };

struct change {
    struct dot dot;
    uint64_t hlc;
    const struct clock *context; /* what the writer's office had applied */
    enum change_kind kind;
    struct dot birth; /* the identity changed; none: the one whose birth is stable; BORN: == dot */
    uint32_t n_cells; /* BORN: every replicated column. DELETE: columns changed before the delete */
    const uint32_t *column; /* ascending; of a group all columns or none (one that is missing counts
                               as shown here) */
    const struct value *value; /* of a sum, but for BORN: the delta, a WIDE; or what was written
                                  there and is no integer. BORN: the first total, or likewise */
    uint32_t n_references; /* what was written into foreign keys: by column, at most one of each */
    const struct reference *references; /* `version` is not looked at: it is this change's */
    const uint8_t
        *born; /* BORN: birth_hash (twin.h) of what the changeset carries; NULL: it is equal
                            to nobody's */
};

struct conflict {      /* two or more siblings that met */
    struct dot birth;  /* of the identity; none when unnamed, and for COLUMN_BIRTH */
    uint32_t column;   /* the cell, or COLUMN_EXISTS, COLUMN_BIRTH */
    uint32_t n;        /* sides */
    struct version *v; /* sorted by dot; for COLUMN_BIRTH: name and hlc of each birth, value NULL */
    uint32_t shown;    /* index of the side in force */
    bool open;         /* false: decided by `latest`, recorded closed */
    struct dot apart;  /* one changeset may change several births of a key, and what stood where
                          capture was away has none: tells this one from the conflict of the same
                          sides in the same cell of another; else none */
};
struct conflict_list { /* {0} is empty; lives in the arena */
    struct conflict *c;
    size_t n;
    size_t cap;
};

struct merge_result {
    bool applied;        /* false: already merged, or the identity it names is not here */
    bool orphan;         /* the identity is not here */
    bool late;           /* a change of a birth whose deletion the writer had seen */
    struct birth *birth; /* the identity met; NULL when orphan */
    bool siblings; /* a cell of the row had, or has, several versions, or the key several births */
};

/* Merges `ch` into `r` (whose values must be filled in where they can be). Conflicts that this
 * change meets are appended to `out`, closed ones and open ones. `forget` names the stable clock
 * and the kept births, to resolve a name that is not on record. Values in the row afterwards borrow
 * the change. Pointers to births from before the call are void. A birth that comes (back) to life
 * beside another living one is marked HOLD_BIRTH until the holds are decided; a dead one is not
 * held. Columns beyond the rules' are passed over. */
struct merge_result merge_change(struct arena *a, struct row *r, const struct table_rules *rules,
                                 const struct change *ch, const struct forget *forget,
                                 struct conflict_list *out);

/* The birth on record that merge_change would change; NULL: none, because the change bears one, is
 * an orphan, or was merged already. */
struct birth *merge_target(struct arena *a, struct row *r, const struct table_rules *rules,
                           const struct change *ch, const struct forget *forget);
/* What merge_change stores of a value that a changeset has in a column that is no sum. */
struct value merge_storable(struct arena *a, const struct value *v);

/* Every open conflict of a row: a pure function of the merged state. Of a dead birth only the
 * existence cell can be in conflict (a delete that won over a change). Sums never are. */
void row_open_conflicts(struct arena *a, const struct row *r, const struct table_rules *rules,
                        struct conflict_list *out);

/* The identity of a conflict: 32 hex digits and a NUL, a hash of table, key bytes, column name
 * ("exists", "birth" for the two special ones), the sorted dots and what tells those of
 * the same sides apart. Offices
 * meet a conflict before or after they forget the name of the birth it is about, so no name that
 * may be forgotten goes into an open one: those are counted in the order of their births. Only the
 * earliest birth of a key may lose its name. For a group `column` is the group's name. */
void conflict_id(char out[33], const char *table, const void *key, size_t key_len,
                 const char *column, const struct conflict *c);

#endif
