/* store_collect.h - the two halves of store_collect: reading a log into one entry a key, and
 * deciding.
 *
 * Invariant: all events of a key are consumed together, or none.
 */
#ifndef NODE_STORE_COLLECT_H
#define NODE_STORE_COLLECT_H

#include "node/store_capture.h"

struct entry {
    const uint8_t *key;
    uint32_t key_len;
    bool existed;
    bool taken;
    int64_t first_full, last_full; /* log rowids; 0: none */
    uint64_t before[MASK_WORDS];   /* U */
};

struct event {
    int64_t rowid;
    uint32_t entry;
};

struct table_work {
    uint32_t table; /* index into s->tables */
    uint32_t n_entries;
    size_t entries_cap;
    struct entry *entries;
    uint32_t n_events;
    size_t events_cap;
    struct event *events;
    bool left; /* some events were not read: their keys wait */
    uint32_t *slots;
    uint32_t n_slots;
};

struct collected {
    uint32_t n;
    struct table_work *work; /* one a log that was read */
    uint64_t oversize;       /* rows left out for their size */
    uint32_t n_tables;
    uint32_t *n_rows;
    const struct value ***old; /* [table][row], in the caller's arena */
    struct arena arena;        /* keys */
};

/* Reads a log; once there are max_keys keys, only further events of these. */
enum err collect_scan(struct store *s, struct collected *c, struct table_work *w,
                      uint32_t max_keys) MUST_CHECK;
/* Before a log of more than BIG_LOG rows is read in pieces it gets an index on its key (true: one
 * was made, the schema is read anew); when it is empty again the index goes. */
enum err collect_index_big(struct store *s, uint32_t table, bool *made) MUST_CHECK;
enum err collect_index_drop(struct store *s, uint32_t t) MUST_CHECK;
#define BIG_LOG 30000

#endif
