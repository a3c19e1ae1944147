/* state.h - what this office is and how far it is: identity, clocks, counters and small named
 * values.
 *
 * Invariant: rows of tonle_meta, tonle_clock and tonle_stable, and what is kept of them in memory,
 * which is read again when another process has written (tonle_meta `rev` tells). Only this room
 * writes those tables (but for the WAL guard's one name in tonle_meta: db/pin.c), and only in a
 * write transaction of store/'s (asserted): the clock never goes back, our own seq goes up by one.
 *
 * Errors: those of the database (db.h). Ownership: what is borrowed says until when.
 */
#ifndef NODE_STATE_STATE_H
#define NODE_STATE_STATE_H

#include "node/db/db.h"
#include "protocol/message.h"

struct store_identity {     /* fixed at hub init or join; strings live until the store closes */
    const char *federation; /* 32 hex digits */
    const char *federation_name;
    const char *node;
    const char *unit;
    const char *parent; /* node name; "" at the hub */
    const char *hub;    /* node name */
    uint64_t hub_site;
    uint8_t hub_sign_key[SIGN_PUBLIC_BYTES];
    uint64_t site; /* the present incarnation */
};
/* Makes the tonle_* tables, in the place of a skeleton of them. ERR_EXISTS: they are here, or
 * others whose name begins like ours; what is left of an earlier life is for store_clear. */
enum err store_create(struct store *s, const struct store_identity *id);
/* Drops what is left of an earlier life in a database that is not ready, before store_create: only
 * where somebody has said what becomes of the rows, and has a copy. */
enum err store_clear(struct store *s);
bool store_is_ready(struct store *s); /* the tonle_* tables are here, all of them */
/* What of the tonle_* tables is missing: of some that others are there of, or since it was opened
 * (store_gone). Else NULL. */
const char *store_missing(const struct store *s);
/* Whether those that are there hold what stands nowhere else. */
bool store_remains(const struct store *s);
const struct store_identity *store_identity_get(struct store *s); /* NULL when not ready */
struct store_state { /* as of the last begin or refresh; borrowed, valid until the next call */
    uint64_t seq;    /* last sealed by our site */
    uint8_t chain[HASH_BYTES]; /* its hash */
    uint64_t hlc;              /* the latest hybrid time passed */
    struct clock clock;        /* applied, our own site included */
    struct clock stable;
    uint64_t journal_pos; /* last position */
    uint64_t held;
    uint64_t conflicts_open;
    uint64_t charter_version;
    uint64_t schema_version;
    bool loading; /* the first load has not caught up yet (state_set_loading) */
};
const struct store_state *store_state_get(struct store *s);
/* Whether it is what the database says now; else it is the last that was read, or zeros. */
enum err store_state_look(struct store *s);
enum err store_set_hlc(struct store *s, uint64_t hlc); /* only upwards */
/* Back, where what is stored cannot be a time that has been (core/wall.c). */
enum err store_lower_hlc(struct store *s, uint64_t hlc);
/* Small named values of the node (offsets, mark bookkeeping...). */
enum err store_meta_get(struct store *s, struct arena *a, const char *key, struct bytes *value);
enum err store_meta_set(struct store *s, const char *key, const void *p, size_t len);
/* *v: `otherwise` where there is no such value. */
enum err store_meta_u64(struct store *s, const char *key, uint64_t otherwise, uint64_t *v);
enum err store_meta_set_u64(struct store *s, const char *key, uint64_t v);
enum err store_meta_drop(struct store *s, const char *key);

/* ---- for the store's own rooms */
/* As of the last begin or refresh, without looking. */
const struct store_state *state_of(const struct store *s);
const struct store_identity *identity_of(const struct store *s);
/* tonle_meta `rev` at which the state was read; -1: to be read again. Goes up with every
 * transaction of Tonle's own. */
int64_t state_version(const struct store *s);
/* Re-reads s->state when another connection committed or we rolled back. */
enum err state_refresh(struct store *s);

/* A part of a transaction that may be taken back: how often the state was changed before it, and
 * what it was then. */
uint64_t state_mark(const struct store *s);
void state_back(struct store *s, uint64_t mark);
void state_forget(struct store *s); /* rolled back: what was changed in memory did not happen */
/* Before the commit of a transaction that wrote: the next `rev`. */
enum err state_commit(struct store *s);

void state_open(struct store *s);
struct objects;
void state_found(struct store *s, const struct objects *o); /* of ours, as it was opened */
/* What was ready is not whole any more: who goes on with it meets errors of the database. */
void state_gone(struct store *s, const struct objects *o);
void state_close(struct store *s);
bool state_went_back(const struct store *s); /* an older file than one already read was seen */
void state_rolled_back(struct store *s);     /* what store_create had made is gone */
void state_committed(struct store *s);
/* held and conflicts_open are counted again when asked for: by whoever changes one of those
 * tables. */
void state_counts_changed(struct store *s);
/* A changeset is applied: the clock says so. */
enum err state_advance(struct store *s, struct dot d, uint64_t hlc, const uint8_t hash[HASH_BYTES]);
/* It is our own: the last seq, and its hash. */
enum err state_sealed(struct store *s, uint64_t seq, const uint8_t hash[HASH_BYTES]);
enum err state_set_charter(struct store *s, uint64_t version, uint64_t schema_version);
/* stable(mark) has come: the stable clock covers `c`, too. */
enum err state_raise_stable(struct store *s, const struct clock *c);
/* The clocks of a chunk of a first load. Our own site's seq and chain stay: what we have sealed is
 * not the sender's to tell. */
enum err state_take_clocks(struct store *s, const struct clock *clock, const struct clock *stable);
/* The next position of the journal, which nothing has had before, also where items are gone. */
enum err state_next_journal_pos(struct store *s, uint64_t *pos);
void state_set_loading(struct store *s, bool loading);

#endif
