/* publish.h - the hub's own rows of the registry and the charter, written as an application would
 * write them. */
#ifndef NODE_CAPTURE_PUBLISH_H
#define NODE_CAPTURE_PUBLISH_H

#include "node/journal/registry.h"

/* Writes the node's row, and the row of its site when it has one, and notes both in the capture log
 * as any application write: they travel with the next seal. Only at the hub. */
enum err store_node_put(struct store *s, const struct node_record *r);
enum err store_charter_put(struct store *s, const struct charter_record *r);
/* Numbers the charters that wait in the log by the changeset that comes next, then signs both as
 * they stand now (journal/attest.h) where a row of them waits in the log, so that the
 * signature travels with it; nothing otherwise. Only at the hub, before each collection. */
enum err store_registry_attest(struct store *s, const uint8_t secret[SIGN_SECRET_BYTES]);

#endif
