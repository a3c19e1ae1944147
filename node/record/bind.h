/* bind.h - the key of a row as parameters of a statement. */
#ifndef NODE_RECORD_BIND_H
#define NODE_RECORD_BIND_H

#include "node/db/sqlite.h"
#include "node/record/record.h"

/* Binds the key's values from parameter `first` on. */
enum err row_bind_key(struct arena *a, sqlite3_stmt *q, struct row_key k, int first);

#endif
