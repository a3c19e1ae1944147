/* looking.h - what the files of a status share: status.c (the facts, as JSON) and reason.c (what of
 * them is not green).
 *
 * Invariant: reason_add is the one way in which a status stops being green, and `state` follows
 * from the reasons alone; whatever makes `synced` false adds a reason.
 */
#ifndef NODE_CORE_LOOKING_H
#define NODE_CORE_LOOKING_H

#include "node/core/internal.h"

#include <jansson.h>

struct status_look {
    struct node *n; /* NULL: not running */
    struct store *s;
    uint64_t mono_ms, wall_ms;
    int64_t offset_ms; /* federation time minus our wall clock, as far as is known */
    const struct store_identity *id;
    const char *outside; /* what the record outside the database says against it, or "" */
    bool synced;
    bool unread; /* something could not be read, and a reason says so */
    json_t *reasons;
};

/* ---- reason.c */
struct reason {
    const char *code;    /* for scripts: README lists them */
    const char *subject; /* an office's name */
    const char *text, *next;
    uint64_t since_ms; /* federation time; 0: not known */
    bool waits;        /* goes on by itself: an office that is busy, not one that is broken */
};
void reason_add(struct status_look *l, const struct reason *r);
/* What could not be read is not nothing: false where it was, or there is none (ERR_NOT_FOUND). */
bool reason_unread(struct status_look *l, enum err e);
struct on_the_way { /* between this office and a neighbour */
    uint64_t out, in;
    uint64_t since_ms; /* the oldest of it */
};
/* Line, data and clock of a neighbour. `p` NULL: nothing was heard of it in this run. */
void reason_neighbour(struct status_look *l, const struct peer *p, const char *name, bool up,
                      const struct on_the_way *w);
/* Of this office itself; `locked`: the database could not be read as of one moment. */
void reason_own(struct status_look *l, bool locked);
/* In one word: stopped, green, waiting (all of it goes on by itself) or degraded. */
const char *reason_state(const struct status_look *l);

/* ---- reason_clock.c */
void reason_own_clock(struct status_look *l);
/* A neighbour's that is on the line, and those that it tells of. */
void reason_clocks_below(struct status_look *l, const struct peer *p);

/* ---- status.c */
static inline uint64_t status_now(const struct status_look *l) /* federation time */
{
    return l->wall_ms + (uint64_t)l->offset_ms;
}
/* False where no time is known; the text says so. */
bool status_time(char text[40], uint64_t ms);
json_t *status_time_json(uint64_t ms);
/* A string whatever the bytes: a text that was cut in the middle of a character is told all the
 * same. */
json_t *status_text_json(const char *text);

#endif
