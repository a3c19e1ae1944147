/* What was entered while capture was away has no birth: it stands unknown in a table with a capture
 * gap until the comparison (core/scan.c) finds it. Meanwhile a birth may come to its key:
 *
 *   equal values          the row is that birth's: an application enters the same everywhere
 *   other values          it makes way, so that everywhere the same one stands, and is kept as a
 *                         closed conflict
 *
 * What made way while the gap is not compared yet may be ours. It waits for the comparison like the
 * other rows that are new here, and counts with them. By the same rule as those (the neighbour had
 * no gap, no more than a hundred rows) it is sent as a birth of ours beside the other one, which
 * every office sees and a person decides; or else the closed conflict is all that remains of it. */
#include "node/apply/work.h"

#include "node/capture/capture.h"
#include "node/state/state.h"

#include <assert.h>

#define WAITING_ROWS 101u /* one more than are ever sent tells that there are more */

static bool is_entered_twice(struct work *w, struct work_row *r, struct value *now)
{
    struct birth *b = r->row.births;
    if (r->row.n_births != 1 || !b->has_born || !birth_alive(b, &r->k.t->rules) ||
        !work_same(r->k.t, now, work_shown(w, r, b)))
        return false;
    r->fk_new = true;
    work_hold(b, HOLD_NONE);
    birth_set_values(w->a, b, &r->k.t->rules, now);
    r->before = r->now = now;
    r->in_table = b->name;
    return true;
}

/* What no changeset could carry is on record, and does not wait. */
static enum err wait_for_comparison(struct work *w, struct work_row *r)
{
    uint64_t waiting = 0;
    enum err e = todo_waiting(w->s, r->k.t->t, &waiting);
    if (e != ERR_OK || waiting >= WAITING_ROWS)
        return e;
    uint32_t *all = arena_alloc(w->a, r->k.t->n_columns * sizeof *all);
    for (uint32_t i = 0; i < r->k.t->n_columns; i++)
        all[i] = i;
    struct todo_change born = {.kind = CHANGE_BORN,
                               .n_cells = r->k.t->n_columns,
                               .column = all,
                               .value = r->now,
                               .waits = true};
    e = todo_put(w->s, r->k, &born);
    return e == ERR_LIMIT ? store_standing(w->s) : e;
}

enum err entered_meets(struct work *w, struct work_row *r, struct value *now, enum gap_state gap)
{
    if (is_entered_twice(w, r, now))
        return ERR_OK;
    r->before = r->now = now;
    r->in_table = (struct dot){0};
    r->slow = true;
    enum err e = conflict_found(w, r, r->row.births, NULL);
    r->kept = e == ERR_OK;
    if (e == ERR_OK && gap == GAP_OPEN)
        e = wait_for_comparison(w, r);
    return e == ERR_OK ? work_take(w, r) : e;
}

enum err store_entered_compared(struct store *s, struct arena *a, uint32_t t, bool ours)
{
    int64_t n = 0;
    struct bytes key;
    struct value *values;
    enum err e = ERR_OK;
    const struct table_schema *table = schema_by_number(s, t);
    assert(s->in_write && table);
    while (ours && e == ERR_OK) {
        e = todo_waiting_next(s, a, t, &n, &key, &values);
        if (e != ERR_OK || n == 0)
            break;
        e = conflict_unfound(s, a, (struct row_key){table, key.p, key.len}, values);
    }
    return e == ERR_OK ? todo_waiting_end(s, t, ours) : e;
}
