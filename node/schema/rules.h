/* rules.h - the charter in force, and the rules that follow from one for a table as it stands. */
#ifndef NODE_SCHEMA_RULES_H
#define NODE_SCHEMA_RULES_H

#include "node/charter/charter.h"
#include "node/schema/schema.h"

#include <jansson.h>

/* The newest charter; *out NULL when there is none. */
enum err schema_charter(struct store *s, struct arena *a, const struct charter **out);
/* The newest that the hub had sealed by this seq of its site. */
enum err schema_charter_at(struct store *s, struct arena *a, uint64_t seq,
                           const struct charter **out);
/* The rules of a published table under a charter, which need not be the one in force (columns and
 * key of `t` are). `c` NULL: the internal tables. Arena memory; the units are the store's. */
void schema_rules(struct store *s, struct arena *a, const struct table_schema *t,
                  const struct charter_table *c, struct table_rules *out);
/* A value as JSON gives it, in the form that keys have there; false for anything else, null too. */
bool schema_value_parse(struct arena *a, const json_t *j, struct value *out);

#endif
