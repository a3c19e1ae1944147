/* work_finish: the touched rows are brought to what the merged state says, and saved. In this
 * order:
 *
 *   1. rows with one living birth that nothing contends: DELETE, UPDATE, INSERT in that order, so
 *      that a unique value freed in a changeset can be taken in it
 *   2. the rows that contend (several births, a clash, a claim): decide.c
 *   3. foreign keys: parents.c
 *   4. records, claims, held rows, open conflicts
 */
#include "node/apply/work.h"

#include "node/capture/capture.h"
#include "node/state/state.h"

#include <assert.h>
#include <string.h>

/* ---- the rows that nothing contends ---- */

static uint32_t living(const struct work_row *r, struct birth **one)
{
    uint32_t n = 0;
    *one = NULL;
    for (uint32_t i = 0; i < r->row.n_births; i++) {
        if (birth_alive(&r->row.births[i], &r->k.t->rules)) {
            *one = &r->row.births[i];
            n++;
        }
    }
    return n;
}

static enum err claimed_elsewhere(struct work *w, struct work_row *r, const struct value *values,
                                  bool *yes)
{
    const struct table_schema *t = r->k.t;
    *yes = false;
    enum err e = ERR_OK;
    if (!claims_may_meet(w->s, w->a, t, values))
        return ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && !*yes && i < t->n_unique; i++) {
        bool claims;
        struct value *v;
        struct bytes folded;
        e = row_claim(w->s, w->a, t, i, values, &claims, &v, &folded);
        if (e == ERR_OK && claims)
            e = claims_elsewhere(w->s, r->k, i, folded, yes);
    }
    return e;
}

/* In a capture gap that is not compared yet, what stands unknown may have been entered while
 * capture was away, by an application that enters the same everywhere: equal to the birth that
 * comes, the row is that birth's, and the comparison finds no difference. */
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

/* A birth met a row in the table that it did not know: that row is the earlier, settled one, which
 * every office has; or one that was entered here while capture was away, whether a gap is known or
 * not. Only the comparison with the neighbour can tell, and counts such a row as new
 * (load/compare.c); until then the two stay apart (row_unnamed, gap_doubts). */
static enum err meet_settled(struct work *w, struct work_row *r)
{
    struct value *now = NULL;
    enum gap_state gap = GAP_NONE;
    enum err e = work_read(w, r, &now);
    r->unread = false;
    if (e == ERR_OK && now)
        e = gap_state_of(w->s, r->k.t->t, &gap);
    bool ours = r->sealed; /* born beside it, because it was compared */
    if (e != ERR_OK || !now || (gap == GAP_OPEN && !ours && is_entered_twice(w, r, now)))
        return e;
    struct row settled = {0};
    row_from_settled(w->a, &settled, now);
    struct birth *all = arena_alloc(w->a, (r->row.n_births + 1) * sizeof *all);
    all[0] = settled.births[0];
    memcpy(all + 1, r->row.births, r->row.n_births * sizeof *all);
    r->row.births = all;
    r->row.n_births++;
    r->before = r->now = now;
    r->siblings = r->slow = true;
    return ERR_OK;
}

static enum err mark_slow(struct work *w, struct work_row *r)
{
    struct birth *b;
    uint32_t n = living(r, &b);
    bool slow = n > 1 || (n == 1 && r->was_held);
    enum err e = ERR_OK;
    if (!slow && n == 1 && work_contended(w, r->k.t))
        e = claimed_elsewhere(w, r, work_shown(w, r, b), &slow);
    if (e == ERR_OK && r->was_held && n == 0)
        e = work_release_blocked(w, r);
    r->slow = r->slow || slow;
    if (e == ERR_OK && r->slow && r->unread)
        e = meet_settled(w, r);
    return e;
}

enum phase { PHASE_DELETE, PHASE_UPDATE, PHASE_INSERT };

static enum err fast_put(struct work *w, struct work_row *r, struct birth *b)
{
    enum row_put result;
    struct value *old = r->now;
    char *message = NULL;
    enum err e = work_put(w, r, b, &result, &message);
    if (e != ERR_OK)
        return e;
    switch (result) {
    case PUT_OK:
        work_hold(b, HOLD_NONE); /* what was refused as an UPDATE may have come in as an INSERT */
        r->in_table = b->name;
        if (old && work_contended(w, r->k.t) && work_unique_changed(r->k.t, old, r->now))
            return work_release_blocked(w, r);
        return ERR_OK;
    case PUT_UNIQUE:
        if (r->unread)
            e = meet_settled(w, r);
        r->slow = true;
        return e;
    case PUT_INVALID:
    case PUT_LOCAL:
        work_hold(b, result == PUT_INVALID ? HOLD_CHECK : HOLD_LOCAL);
        r->message[0] = message;
        e = work_take(w, r);
        if (e == ERR_OK && old &&
            work_contended(w, r->k.t)) /* it may have given up a unique value, too */
            e = work_release_blocked(w, r);
        return e;
    }
    return ERR_OK;
}

static enum err fast_row(struct work *w, struct work_row *r, enum phase phase)
{
    struct birth *b;
    uint32_t n = living(r, &b);
    if (!r->touched)
        return ERR_OK;
    if (n == 0 && phase == PHASE_DELETE && r->now) { /* also where it waited for its own key */
        enum err e = work_take(w, r);
        return e == ERR_OK && work_contended(w, r->k.t) ? work_release_blocked(w, r) : e;
    }
    if (r->slow)
        return ERR_OK;
    if (n == 1 && phase == (r->now ? PHASE_UPDATE : PHASE_INSERT))
        return fast_put(w, r, b);
    return ERR_OK;
}

static enum err fast(struct work *w)
{
    size_t n = w->n; /* rows that join later contend: they are not fast */
    for (size_t i = 0; i < n; i++) {
        enum err e = w->row[i]->touched ? mark_slow(w, w->row[i]) : ERR_OK;
        if (e != ERR_OK)
            return e;
    }
    for (int phase = PHASE_DELETE; phase <= PHASE_INSERT; phase++) {
        for (size_t i = 0; i < n; i++) {
            enum err e = fast_row(w, w->row[i], (enum phase)phase);
            if (e != ERR_OK)
                return e;
        }
    }
    return ERR_OK;
}

/* ---- the end ---- */

static bool held_now(const struct work_row *r)
{
    for (uint32_t i = 0; i < r->row.n_births; i++) {
        if (r->row.births[i].held != HOLD_NONE && r->row.births[i].held != HOLD_TWIN)
            return true;
    }
    return false;
}

/* The promise of work_finish for one touched row. What the application did and is not sealed yet
 * stands beside it; the values of a row that nothing contends were written or compared a moment
 * ago. */
static void assert_fits(struct work *w, const struct work_row *r, const struct birth *standing)
{
    assert(r->loaded);
    if (w->part)
        return;
    assert(!standing == !r->now);
    assert(!standing || dot_equal(r->in_table, standing->name));
    assert(!standing || !r->slow || work_same(r->k.t, r->now, work_shown(w, r, standing)));
}

static enum err save(struct work *w, struct work_row *r)
{
    enum err e = ERR_OK;
    if (!r->touched)
        return ERR_OK;
    struct birth *standing = row_standing(&r->row, &r->k.t->rules);
    assert_fits(w, r, standing);
    if (standing && r->now)
        standing->values = r->now;
    if (r->siblings || r->row.n_births > 1)
        e = conflict_reconcile(w, r);
    if (e == ERR_OK && (r->was_held || held_now(r)))
        e = held_save(w, r);
    return e == ERR_OK ? row_save(w->s, w->a, r->k, &r->row, r->recorded) : e;
}

/* A rank that nobody needs is forgotten as soon as all have what it is made of. */
static bool may_lose_rank(struct work *w, const struct work_row *r)
{
    const struct table_schema *t = r->k.t;
    for (uint32_t i = 0; r->touched && t->n_unique > 0 && i < r->row.n_births; i++) {
        struct version rank =
            birth_rank(&r->row.births[i], &t->rules, t->unique_columns, t->n_unique_columns);
        if (!dot_is_none(rank.dot) && clock_covers(&state_of(w->s)->stable, rank.dot))
            return true;
    }
    return false;
}

/* Who needs a rank is asked of the claims on record, so those of all rows come before the first row
 * is saved. */
static enum err save_claims(struct work *w)
{
    enum err e = ERR_OK;
    bool any = false;
    for (size_t i = 0; !any && w->n > 1 && i < w->n; i++)
        any = may_lose_rank(w, w->row[i]);
    for (size_t i = 0; e == ERR_OK && any && i < w->n; i++) {
        const struct work_row *r = w->row[i];
        bool plain = r->row.n_births == 1 && row_standing(&r->row, &r->k.t->rules);
        if (r->touched && r->k.t->n_unique > 0 && !plain)
            e = claims_save(w->s, w->a, r->k, &r->row);
    }
    return e;
}

enum err work_finish(struct work *w)
{
    assert(w->s->in_write);
    enum err e = fast(w);
    if (e == ERR_OK)
        e = work_contend(w);
    return e == ERR_OK ? work_close(w) : e;
}

enum err work_close(struct work *w)
{
    enum err e = w->check_parents ? work_parents(w) : ERR_OK;
    if (e == ERR_OK)
        e = save_claims(w);
    for (size_t i = 0; e == ERR_OK && i < w->n; i++)
        e = save(w, w->row[i]);
    if (e == ERR_OK && w->s->apply->copies_stale) {
        e = capture_temp_triggers(w->s);
        w->s->apply->copies_stale = e != ERR_OK;
    }
    return e == ERR_OK ? w->sites_unread : e;
}
