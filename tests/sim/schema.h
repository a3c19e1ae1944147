/* schema.h - what a seed's federation replicates: its tables, keys, references and charter.
 *
 * Drawn from a generator of its own, so that a world with the fixed schema has the history it
 * always had. The charter is made as YAML and goes through the same check as an administrator's.
 */
#ifndef TESTS_SIM_SCHEMA_H
#define TESTS_SIM_SCHEMA_H

#include "conflict/policy.h"
#include "node/db/db.h"

#include <sqlite3.h>

#define DRAWN_TABLES 5
#define DRAWN_COLUMNS 8
#define DRAWN_UNITS 16

/* What a column's values look like. */
enum domain {
    DOMAIN_KEY,    /* a few ids */
    DOMAIN_TOKEN,  /* never the same twice */
    DOMAIN_SMALL,  /* 0-8 */
    DOMAIN_WORD,   /* a few words; some differ in case, or in what nobody sees */
    DOMAIN_STATE,  /* of a rank list, or not */
    DOMAIN_PARENT, /* a key or unique value of another table, or one nobody has */
    DOMAIN_SCOPE,  /* a unit */
    DOMAIN_COUNT   /* of policy sum */
};
struct drawn_column {
    char name[16];
    enum domain domain;
    const char *type;
    bool notnull;
    enum policy policy, fallback;
    bool unique;
    int parent, parent_column; /* of DOMAIN_PARENT; the second of a pair has column 1 */
};
struct drawn_table {
    char name[8];
    int n_columns, n_key; /* the key first */
    struct drawn_column column[DRAWN_COLUMNS];
    bool without_rowid, strict;
    bool counted; /* each row is one office's, nobody deletes: totals can be told from outside */
    int scope;    /* column, or -1 */
    int bundle, n_bundle; /* first column and number of those that change together */
    bool named;           /* ... by a group of the charter */
    enum policy policy;   /* of the columns that the charter does not list */
    enum delete_policy delete_policy;
    enum birth_policy birth_policy;
};
struct drawn {
    bool fixed; /* the one of app.c */
    int n;
    struct drawn_table table[DRAWN_TABLES];
    char *sql, *compiled; /* heap */
    sqlite3 *probe;       /* the tables, empty, in memory */
};
struct generator {
    uint64_t state;
};
uint32_t draw_below(struct generator *g, uint32_t n);
bool draw_chance(struct generator *g, uint32_t per_mille);

/* `sql`, `compiled` as they are. */
void schema_fixed(struct drawn *d, const char *sql, const char *compiled);
/* The charter must pass its check: `why` otherwise. */
bool schema_draw(struct drawn *d, uint64_t seed, char why[1024]);
void schema_fini(struct drawn *d);
/* Whether the store has understood the charter as it was drawn: the first difference, or NULL. */
const char *schema_differs(const struct drawn *d, struct store *s, char why[256]);

/* A literal of SQL for this column. */
struct literals { /* who writes */
    const char *const *unit;
    int n_units;
    int office;
    uint64_t *token;
};
void schema_literal(const struct drawn *d, const struct drawn_table *t, int column,
                    struct generator *g, const struct literals *l, struct buf *out);

#endif
