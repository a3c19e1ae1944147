/* changeset.h - what one office sealed at once, decoded: rows by table, each with the cells it
 * changes.
 *
 * The signed bytes are protocol/codec_changeset.c's and protocol/seal.c's matter; whoever stores or
 * relays a changeset keeps those bytes exactly as they came. Everything here lives in the caller's
 * arena.
 */
#ifndef PROTOCOL_CHANGESET_H
#define PROTOCOL_CHANGESET_H

#include "conflict/clock.h"
#include "conflict/merge.h"

#define HASH_BYTES 32
#define SIGN_PUBLIC_BYTES 32
#define SIGN_SECRET_BYTES 64
#define SIGNATURE_BYTES 64
#define CURVE_KEY_BYTES 32

struct row_change {
    enum change_kind kind;
    struct dot birth; /* the identity it changes; none: the stable one; BORN: the changeset's dot */
    const struct value *key; /* table_changes.n_key values; BORN, decoded: as they are in `value` */
    uint32_t n_cells;        /* columns with a value; BORN: all columns, key included */
    const uint32_t *column;  /* ascending indices into table_changes.columns */
    const struct value *value;
    uint32_t n_references; /* the parents' births that what is written into foreign keys means; by
                              column, at most one of each, and only of columns above */
    const struct reference *references; /* `version` is not set: it is the changeset's dot */
};

struct table_changes {
    const char *table;
    uint32_t n_columns;
    const char **columns; /* names of the replicated columns, charter order */
    uint32_t n_key;
    const uint32_t *key; /* indices of the key columns */
    uint32_t n_rows;
    struct row_change *rows;
};

struct segment { /* the rows of one scope; "" is national. Tables in the order parents first */
    const char *scope;
    uint32_t n_tables;
    struct table_changes *tables;
};

struct changeset {
    const char *federation; /* its id, 32 hex digits */
    struct dot dot;
    struct clock context; /* the sealing office's clock before it; entries live in the arena */
    uint64_t hlc;
    uint64_t charter_version;
    uint64_t schema_version;
    uint8_t previous[HASH_BYTES]; /* hash of this site's changeset before it; zero for seq 1 */
    bool cut; /* the log was longer than the seal limit: this does not end on a commit */
    uint32_t n_segments;
    struct segment *segments;
};

#endif
