/* row.h - the merged state of one row that is not settled: its births, their cells, their siblings.
 *
 * A key may have had several births (DESIGN 4, "Births"); each is an identity of its own. A cell
 * without an entry has one version: the birth's `base` (for a fresh birth its own dot; once stable:
 * none). The values of the one birth that stands in the table are read from the table and filled in
 * (birth_set_values); for every other birth they are kept here, as far as they are known: of one
 * that was deleted behind capture only what others have written since.
 *
 * A cell is a column or a group (policy.h); versions of a group hold tuples, `values` always single
 * columns.
 *
 * A cell of policy `sum` is different: its total is in `values` (NULL, INTEGER, or WIDE while it is
 * beyond 64 bits; a birth with such a total cannot stand), deltas are added to it when they are
 * merged, and it has no versions. Only what was written there and is no integer is kept as
 * versions, until a later write has seen it; meanwhile the birth cannot stand (birth_sums_stand).
 *
 * A version that was written into a foreign key remembers which birth of the parent's key was meant
 * (struct reference), as long as that birth has a name: a parent that is held takes its children
 * with it. A reference lives as long as its version.
 *
 * A birth that has a name remembers what it was born with, whether a change has named it since, and
 * which births of the key its writer had seen: so equal births are told (twin.h). The unnamed one
 * can be equal to nobody that is still to come.
 *
 * Invariants: births are sorted by (hlc, name), at most one is unnamed, and that one is first;
 * cells are sorted by column; a cell has at least one version, sorted by version_order; a cell of
 * policy `latest` has exactly one. References are sorted by column and version, and each has its
 * version among those of the column's cell. A row with no birth, or with one unnamed living birth,
 * no base, no cells and no references, needs no record at all (row_is_settled).
 *
 * Everything lives in the caller's arena; nothing here is freed on its own.
 */
#ifndef CONFLICT_ROW_H
#define CONFLICT_ROW_H

#include "conflict/clock.h"
#include "conflict/policy.h"
#include "conflict/value.h"

/* Why a living birth does not stand; also, but for HOLD_TWIN, the column `reason` of tonle_held. */
enum hold_reason {
    HOLD_NONE = 0,
    HOLD_CHECK,  /* pass 1: CHECK, NOT NULL, STRICT type */
    HOLD_BIRTH,  /* pass 2: another birth of its key was chosen */
    HOLD_UNIQUE, /* pass 3: an earlier claim to a UNIQUE value */
    HOLD_PARENT, /* pass 4: the row it references does not stand */
    HOLD_LOCAL,  /* only this office's trigger or schema refuses it: outside promise 3 */
    HOLD_TWIN,   /* equal to another birth of its key, which counts for both (twin.h): not told */
    HOLD_COUNT
};
/* "check" "birth" "unique" "parent" "local" "twin", "" */
const char *hold_reason_name(enum hold_reason r);

struct cell {
    uint32_t column; /* the cell's number, or COLUMN_EXISTS */
    uint32_t n;      /* >= 1 */
    struct version *v;
};

struct reference {
    uint32_t column; /* of the foreign key: the one that refers to the last column of the parent's
                        key */
    struct dot version; /* that refers, among the versions of the column's cell; none: stable */
    struct dot birth;   /* of the parent: never none */
};

#define BORN_BYTES 16

/* The most that a change did which named a birth. */
enum birth_touch { UNTOUCHED = 0, TOUCH_DELETED, TOUCH_CHANGED, TOUCH_COUNT };

struct birth {
    struct dot name; /* the dot it was born with; none: the identity whose birth is stable */
    uint64_t hlc;    /* of its birth; 0 when unnamed (earlier than every named one) */
    enum birth_touch touched; /* what changes have named it */
    bool has_born;            /* it can be equal to another: */
    uint8_t born[BORN_BYTES]; /* birth_hash (twin.h) of what it was born with */
    uint32_t n_seen;          /* births of the key that were on record, and its writer had seen: */
    struct dot *seen;         /* the last of each site, by site */
    struct dot base;          /* version of every cell without an entry; none: stable */
    uint64_t base_hlc;
    uint32_t n_cells;
    uint32_t cells_room; /* how many fit where they are; 0: as many as there are */
    struct cell *cells;
    uint32_t n_references;
    struct reference *references;
    struct value *values;  /* shown value of each replicated column, or NULL: not filled in */
    enum hold_reason held; /* HOLD_NONE for the one that stands, and for dead ones */
};

struct row { /* {0}: nothing on record */
    uint32_t n_births;
    struct birth *births;
};

/* The row that stands in a table and has no record: one unnamed settled birth with these values
 * (n_columns of them, borrowed). */
void row_from_settled(struct arena *a, struct row *r, const struct value *values);

/* NULL when there is none. */
struct birth *row_find_birth(const struct row *r, struct dot name);
/* The birth that stands in the table: alive and not held; NULL when none. */
struct birth *row_standing(const struct row *r, const struct table_rules *rules);

/* The entry of a cell; NULL when it has none. */
const struct cell *birth_find_cell(const struct birth *b, uint32_t cell);
/* The versions of a cell: *n and a pointer. A cell without an entry gives one version made in the
 * arena from the base and the shown values (VALUE_NULL where values are not filled in; alive for
 * COLUMN_EXISTS). Not for sums. */
const struct version *birth_cell(struct arena *a, const struct birth *b,
                                 const struct table_rules *rules, uint32_t cell, uint32_t *n);
/* Replaces a cell's versions (copied into the arena, sorted); none: the entry goes. */
void birth_set_cell(struct arena *a, struct birth *b, uint32_t column, const struct version *v,
                    uint32_t n);
bool birth_alive(const struct birth *b, const struct table_rules *rules);
/* Whether all say that it is dead. No change may name it any more: whoever has heard that all know
 * has forgotten it, and a change that saw the delete is concurrent with nothing, so nobody waits
 * for it. To have such a row again is a new birth. */
bool birth_gone(const struct birth *b);
/* Index of the version that the cell's policy shows (its fallback, under review), with the birth's
 * shown scope where the policy asks for it. */
size_t birth_choose(struct arena *a, const struct birth *b, const struct table_rules *rules,
                    uint32_t cell, const struct version *v, size_t n);
/* The version that is shown of a column; of a group's column: its member of the shown tuple. Of a
 * sum: the total, with the latest time of what was written there and is no integer. */
struct version birth_show(struct arena *a, const struct birth *b, uint32_t column,
                          const struct table_rules *rules);
/* The parent's birth that the shown version of a column refers to; none where it names none. */
struct dot birth_reference(struct arena *a, const struct birth *b, uint32_t column,
                           const struct table_rules *rules);
/* By column and version. */
int reference_order(const struct reference *a, const struct reference *b);
/* Adds a reference of the version `version`, in its place; the birth has none of that version and
 * column. Dropped when no such version is there. */
void birth_refer(struct arena *a, struct birth *b, const struct table_rules *rules,
                 const struct reference *ref);
/* Whether the column's cell has this version. */
bool birth_has_version(const struct birth *b, const struct table_rules *rules, uint32_t column,
                       struct dot version);
/* Drops the references whose versions have gone. */
void birth_prune_references(struct birth *b, const struct table_rules *rules);
/* Every column as shown: n_columns values. */
struct value *birth_shown(struct arena *a, const struct birth *b, const struct table_rules *rules);
/* Whether every sum is an integer of 64 bits (or NULL) and nothing else was written there; *column
 * the first that is not, *bad its text, total, or value. */
bool birth_sums_stand(const struct birth *b, const struct table_rules *rules, uint32_t *column,
                      struct value *bad);
/* Inline, because every column of every change asks. */
static inline bool cell_is_sum(const struct table_rules *rules, uint32_t cell)
{
    return cell < rules->n_columns && rules->policy[cell] == POLICY_SUM;
}
static inline bool cell_is_group(const struct table_rules *rules, uint32_t cell)
{
    return rules->group && cell < rules->n_columns && rules->group[cell];
}
/* The value of a cell from the values of all columns (NULL: not known), and back. */
struct value cell_gather(struct arena *a, const struct table_rules *rules, uint32_t cell,
                         const struct value *values);
void cell_spread(struct arena *a, const struct table_rules *rules, uint32_t cell,
                 const struct value *value, struct value *values);
/* Fills in the values of a birth (n_columns, copied by reference): also the value of every
 * single-version cell, whose value the record leaves out. */
void birth_set_values(struct arena *a, struct birth *b, const struct table_rules *rules,
                      const struct value *values);

/* The rank of a birth for pass 3: the latest (hlc, site, seq) among all versions of the given
 * columns (all columns of all unique keys), or of the groups they are in; {0} where all are stable.
 * No value. */
struct version birth_rank(const struct birth *b, const struct table_rules *rules,
                          const uint32_t *columns, size_t n);

/* The first byte of a record that has references. */
#define ROW_HAS_REFERENCES 4
/* Canonical record bytes (format on top of row_record.c). Values of a birth that is alive and not
 * held are left out where the cell has one version: they stand in the table. */
void row_encode(struct buf *out, const struct row *r, const struct table_rules *rules);
/* Values borrow `p`, which must live as long as the row. ERR_MALFORMED on anything row_encode does
 * not write. Values left out are VALUE_NULL until birth_set_values. */
enum err row_decode(struct arena *a, struct row *r, const struct table_rules *rules, const void *p,
                    size_t len);

/* Forgetting (DESIGN 4): drops what the stable clock covers. A dead birth whose existence cell is
 * one covered version goes; a named birth that is covered and not in `keep` becomes the unnamed
 * one, and its twins go; a covered base becomes none; a covered cell of one value, or of several
 * that are alike, loses its entry, and what it showed stands. What stands in no table gets the
 * values that its cells tell, if it has none. A cell of two or more different
 * values stays until a later write has seen them, and so does what was written to a sum and is no
 * integer. A reference to a covered birth that is not in `parents` goes; a cell of several
 * versions stays while one of them has a reference. With `keep_rank`, the base and the cells of
 * `unique_columns` stay (another row on record shares one of its unique values). Idempotent. */
struct forget {
    const struct clock *stable;
    const struct dot *keep; /* the births of this key that keep their names */
    size_t n_keep;
    const struct dot *parents; /* births of other keys that keep their names */
    size_t n_parents;
    bool keep_references; /* all: `parents` is not known */
    bool keep_rank;
    const uint32_t *unique_columns;
    size_t n_unique_columns;
};
void row_forget(struct arena *a, struct row *r, const struct table_rules *rules,
                const struct forget *f);
/* Whom a change means that names nobody, or whose birth has lost its name: the birth that has lost
 * it, or would have if no unnamed row stood beside it that was entered in a capture gap here, and
 * is on record nowhere else. NULL: nobody. */
struct birth *row_unnamed(struct arena *a, const struct row *r, const struct table_rules *rules,
                          const struct forget *f);
/* Whether the unnamed birth may be such a row: beside it is one that has lost its name elsewhere.
 * Its own changes would name nobody, and be taken for that one's. The name of a birth that is held
 * beside a settled row is kept; `unknown`: until it is, it may be either (a gap is known here). */
bool row_is_doubtful(const struct row *r, const struct forget *f, bool unknown);

/* Several births, or a cell of several versions: without either no conflict of the row is open. */
bool row_has_siblings(const struct row *r);

/* Whether everything written to it is stable already: what is left of it after row_forget stays
 * until somebody writes to the row, or to one that it shares a unique value with. */
bool row_covered(const struct row *r, const struct clock *stable);

/* True when nothing needs to be kept: no births at all, or the settled one standing. */
bool row_is_settled(const struct row *r);

#endif
