/* copy.h - a copy of the whole database, as it stands at one moment. */
#ifndef NODE_DB_COPY_H
#define NODE_DB_COPY_H

#include "node/db/db.h"

/* A consistent copy of the database into `path` (must not exist). */
enum err store_copy(struct store *s, const char *path);

#endif
