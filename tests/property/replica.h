/* replica.h - the smallest office around the real row, merge and hold code: a clock, four rows of
 * one table, writes as an application would make them and decisions about births that do not stand.
 * Every row goes through its record bytes after every change, as it would between two steps of a
 * node.
 */
#ifndef TESTS_PROPERTY_REPLICA_H
#define TESTS_PROPERTY_REPLICA_H

#include "conflict/hold.h"
#include "conflict/merge.h"
#include "tests/property/rules.h"

#define KEYS 4
#define BIRTHS_MAX 64

struct edit {
    uint32_t key;
    struct change ch;
    struct dot identity; /* the name of the birth meant, even where the change itself names none */
};
struct told_change {
    struct dot dot;
    uint64_t hlc;
    struct clock context;
    uint32_t n;
    struct edit edit[2];
};

struct names { /* births of one key that keep their names */
    struct dot name[BIRTHS_MAX];
    size_t n;
};

struct replica {
    struct arena *arena; /* of the whole history */
    const struct table_rules *rules;
    uint64_t site;
    uint64_t hlc;
    int skew;
    bool revives; /* changes births whose delete is agreed on, which others may have forgotten */
    struct clock clock;
    struct clock stable;
    struct names keep[KEYS];
    struct row row[KEYS];
    struct conflict_list met[KEYS];
};

void replica_init(struct replica *o, struct arena *arena, const struct table_rules *rules,
                  uint64_t site, int skew);
void replica_fini(struct replica *o);
/* A local transaction at time t: a changeset, not applied yet; NULL when it would write nothing. */
struct told_change *replica_write(struct replica *o, struct gen *g, uint64_t t, uint64_t *serial);
/* `by_identity`: for an office that never forgets a name. */
void replica_apply(struct replica *o, const struct told_change *cs, bool by_identity);
/* Forgets what `stable` covers; with `hub`, decides the names that are kept first. */
void replica_forget(struct replica *o, const struct clock *stable, const struct names *keep,
                    bool hub);
/* Which births stand. */
void replica_decide(struct replica *o);

#endif
