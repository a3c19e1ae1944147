/* gap.h - capture gaps: where this office's own capture is known to have been away (DESIGN 8).
 *
 * Invariant: a gap is opened in the transaction that finds triggers missing or a table rebuilt,
 * before anything else changes the clock: so the clock in it is the clock at its beginning. It
 * stays until the table was compared with a neighbour: then it is closed, or what nobody may decide
 * but a person stays on record (GAP_DIFFERS). Rows of tonle_gap are written here alone.
 */
#ifndef NODE_CAPTURE_GAP_H
#define NODE_CAPTURE_GAP_H

#include "node/record/record.h"

enum gap_state {
    GAP_NONE,
    GAP_OPEN,   /* not compared yet */
    GAP_DIFFERS /* compared: rows differ, and wait for a person; also without any gap before */
};
struct gap {
    uint32_t t; /* the table's number, and its name, in the arena */
    const char *table;
    enum gap_state state;
    struct bytes clock; /* at its beginning, encoded; empty: there was none, or it is forgotten */
    uint64_t from_ms, found_ms;
    uint64_t changed, born, deleted; /* rows that wait, by the last comparison that found any */
    const char *differs_from;        /* neighbours: "/NAME/NAME/", or "/"; none waits: may differ */
};
/* As the published name may have been dropped meanwhile, by number. Found, until gap_found tells
 * the time, at the hybrid time of its beginning. */
enum err gap_open(struct store *s, uint32_t t, const char *table);
/* A row stands that capture has not seen come, and no gap is on record: since when it was away,
 * nobody knows. */
enum err gap_suspect(struct store *s, uint32_t t, const char *table);
enum err gap_list(struct store *s, struct arena *a, struct gap **out, size_t *n);
enum err gap_state_of(struct store *s, uint32_t t, enum gap_state *state);
/* The office's time, for gaps opened since this was said last. */
enum err gap_found(struct store *s, uint64_t now_ms);
/* Any that is open; *keeps: one of a known beginning, so that no mark may be answered before it is
 * compared. Both true also when that cannot be read. */
bool gap_any_open(struct store *s, bool *keeps);
/* A table that is away cannot be compared, and the marks of the whole federation wait for this
 * office: after an hour the gap's beginning is forgotten. When the table is back, what differs
 * waits for a person. */
enum err gap_let_go(struct store *s, uint64_t now_ms);
/* The comparison with this neighbour is done: g->t, g->table and the rows that wait; with none the
 * gap is closed, but while the table is known to differ from another one. */
enum err gap_compared(struct store *s, const struct gap *g, const char *neighbour, uint64_t now_ms);
/* What was taken from one neighbour may not be at this one: the gap, which is on record, is closed
 * when that was compared. No row is known that waits. */
enum err gap_asks(struct store *s, uint32_t t, const char *neighbour);
/* Whether a neighbour is known by name that a table has to be compared with. */
enum err gap_asks_any(struct store *s, bool *any);
/* Only these neighbours are asked from now on: who is none any more (it is retired, or has another
 * parent) can never be compared. A gap that waited for nobody else is closed; with rows on record
 * that differed it is open again, for these. */
enum err gap_ask_only(struct store *s, struct arena *a, const char *const *neighbour, size_t n);
/* Whether the unnamed birth of a row on record (values need not be filled in) may be one that was
 * entered here while capture was away, so that what names nobody is another's everywhere else
 * (row_is_doubtful). Also without a known gap, as soon as that other one has lost its name. */
enum err gap_doubts(struct store *s, struct arena *a, struct row_key k, const struct row *r,
                    bool *yes);
/* Nothing of before counts any more: a first load replaces the rows. */
enum err gap_forget(struct store *s, uint32_t t);

#endif
