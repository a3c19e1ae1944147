/* twins.h - a small world in which equal births are common: two parents and a child, offices around
 * the real row, merge, hold and twin code, and an oracle that is a declaration over everything ever
 * written: it knows no records, never forgets, and compares values where the code compares hashes.
 */
#ifndef TESTS_PROPERTY_TWINS_H
#define TESTS_PROPERTY_TWINS_H

#include "conflict/merge.h"
#include "tests/property/gen.h"

#define TWIN_ROWS 3 /* two parents, then the child */
#define TWIN_CHILD 2
#define TWIN_NAMES 96 /* births of one key in one history */
#define TWIN_EDITS 24 /* changes of one changeset */
enum { T_PLAIN, T_MAX, T_UNIQUE, T_PARENT, T_SUM, TWIN_COLUMNS };

/* The rule, and what must fail. */
enum twin_variant {
    TWIN_RULE,
    TWIN_DELETES_ONE,  /* a local delete names only the birth that stands */
    TWIN_ABSORBS_SOON, /* the hub absorbs while something of the key is not stable */
    TWIN_FORGETS_SEEN, /* a birth is equal also to one that it had seen */
};

struct twin_names {
    struct dot at[TWIN_NAMES];
    uint32_t n;
};

struct twin_edit {
    uint32_t row;
    struct change ch;
    struct twin_names meant; /* the identities, for the oracle: of a delete also those absorbed */
};
struct twin_changeset {
    struct dot dot;
    uint64_t hlc;
    struct clock context; /* in the arena */
    uint32_t n;
    struct twin_edit edit[TWIN_EDITS];
};

struct twin_office {
    struct arena *arena; /* of the whole history */
    const struct table_rules *rules;
    enum twin_variant variant;
    uint64_t site, hlc;
    int skew;
    uint32_t unlike, deletes; /* percent of births and of changes */
    struct clock clock, stable;
    struct row row[TWIN_ROWS];
    struct twin_names keep[TWIN_ROWS];
    struct twin_names
        unnamed[TWIN_ROWS]; /* who the unnamed birth is, then those that it absorbed */
    const char *broken;     /* what went wrong, or NULL */
};
void twin_office_init(struct twin_office *o, struct arena *a, const struct table_rules *rules,
                      uint64_t site, int skew);
void twin_office_fini(struct twin_office *o);
/* A local transaction; NULL when it would write nothing. Not applied yet. */
struct twin_changeset *twin_write(struct twin_office *o, struct gen *g, uint64_t t);
void twin_apply(struct twin_office *o, const struct twin_changeset *cs);
/* Passes stable; `keep`: NULL at the hub, which decides the names that are kept. */
void twin_forget(struct twin_office *o, const struct clock *stable, const struct twin_names *keep);
/* What stands, is held and is open, by identities: the same text from both. */
void twin_office_tells(const struct twin_office *o, struct buf *out);
void twin_oracle_tells(struct arena *a, const struct table_rules *rules,
                       struct twin_changeset *const *all, size_t n, const struct clock *seen,
                       struct buf *out);
void twin_tell_value(struct buf *out, const struct value *v);
void twin_rules(struct table_rules *out, struct gen *g);
bool twin_has(const struct twin_names *list, struct dot d);
void twin_add(struct twin_names *list, struct dot d);

#endif
