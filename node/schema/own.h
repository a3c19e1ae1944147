/* own.h - what this room keeps in memory beside the published tables. */
#ifndef NODE_SCHEMA_OWN_H
#define NODE_SCHEMA_OWN_H

#include "node/schema/schema.h"

struct schema_own {
    struct schema tables;   /* first: s->schema */
    struct arena arena;     /* the tables and references live here; rebuilt by schema_load */
    int64_t cookie;         /* PRAGMA schema_version at which they were read */
    struct unit_list units; /* rules.units of every table (units.c) */
    struct arena units_arena;
    bool units_known;
    int64_t units_version; /* PRAGMA data_version at which they were read */
};
static inline struct schema_own *own_of(const struct store *s)
{
    return (struct schema_own *)s->schema;
}

#endif
