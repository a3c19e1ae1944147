/* pin.h - the WAL guard, and the WAL made small again (DESIGN 10).
 *
 * Invariant: while the library may corrupt a WAL that is begun anew, and the file is in WAL mode, a
 * read transaction is open that stops it.
 */
#ifndef NODE_DB_PIN_H
#define NODE_DB_PIN_H

#include "node/db/db.h"

/* When options.wal_guard, the file is in WAL mode and the library is affected. */
enum err pin_open(struct store *s);
void pin_close(struct store *s);
/* Takes or renews the pin; reclaims a long WAL by TRUNCATE. */
void pin_after_commit(struct store *s);
bool pin_library_affected(int version_number);

#endif
