/* The one transaction of a step. Inside it, in this order, because nothing remote is applied while
 * the capture log is not empty (DESIGN 3 "Seal"):
 *
 *   triggers -> seal -> remote items -> our answer to a mark -> enrolments, what a scan found
 *            -> seal -> marks -> positions -> commit
 *
 * ERR_BUSY anywhere: nothing happened, the inbox stays, try again a little later. One remote item
 * that fails: the same again with the items before it, and then its neighbour's session is refused.
 */
#include "node/core/internal.h"

#include "node/capture/gap.h"
#include "node/db/neighbour.h"
#include "node/schema/schema.h"

#include <stdio.h>
#include <string.h>

bool work_beside(const struct node *n)
{
    return n->notice_last_ms != 0 && n->mono_ms - n->notice_last_ms < NODE_IN_USE_MS;
}

bool work_written_on(const struct node *n)
{
    return n->notice_first_ms != 0 && n->notice_last_ms > n->notice_first_ms && work_beside(n);
}

static bool batch_over(const struct node *n)
{
    if (n->notice_first_ms == 0)
        return false;
    if (neighbour_in_wal(n->store) && n->mono_ms >= n->sealed_ms + n->o.batch_max_ms)
        return true; /* it has not written for long */
    return n->mono_ms >= n->notice_last_ms + n->o.batch_ms ||
           n->mono_ms >= n->notice_first_ms + n->o.batch_max_ms;
}

static bool peers_dirty(const struct node *n)
{
    bool dirty = n->parent && n->parent->peer_dirty;
    for (size_t i = 0; !dirty && i < n->n_children; i++)
        dirty = n->children[i]->peer_dirty;
    return dirty;
}

static bool may_seal(const struct node *n)
{
    return !n->suspect && n->seal_fault[0] == '\0' && n->mono_ms >= n->time_wait_ms;
}

/* With a rollback journal any transaction of ours refuses the commit of an application that has no
 * timeout, so beside one that writes often what can wait does, until it is quiet or looked into
 * (two seconds at most); not a backlog. */
static bool waits_for_quiet(const struct node *n)
{
    return n->touch_first_ms != 0 && n->touch_often && !n->stopping && !stream_backlog(n);
}

static bool work_wanted(struct node *n)
{
    if (n->install_due || (may_seal(n) && (n->seal_now || batch_over(n))) || n->n_enrol > 0 ||
        scan_wants(n) || n->stopping || n->gap_look)
        return true;
    return !waits_for_quiet(n) && (stream_waiting(n) || mark_due(n) || n->offset_dirty ||
                                   ((n->answer_kept || n->greet_due) &&
                                    !store_state_get(n->store)->loading && !n->gap_keeps) ||
                                   (n->mono_ms >= n->acked_due_ms && peers_dirty(n)));
}

static enum err write_peer(struct node *n, struct peer *p)
{
    if (!p || !p->peer_dirty)
        return ERR_OK;
    return store_peer_acked(n->store, p->name, p->acked_pos, p->contact_ms);
}

static enum err write_positions(struct node *n)
{
    enum err e = write_peer(n, n->parent);
    for (size_t i = 0; e == ERR_OK && i < n->n_children; i++)
        e = write_peer(n, n->children[i]);
    if (e == ERR_OK && n->offset_dirty)
        e = store_meta_set_u64(n->store, "offset_ms", (uint64_t)n->offset_ms);
    return e;
}

/* The answers that were kept back, and the one for the last mark of this transaction. They are kept
 * while the office loads, and while a capture gap is open: what it makes ours is still to be
 * sealed in the context of its beginning, which must cover every mark that was answered. */
static enum err write_answer(struct node *n, struct batch *b, uint64_t *kept)
{
    const struct store_state *st = store_state_get(n->store);
    uint64_t mark = b->answer > *kept ? b->answer : *kept;
    bool keep = st->loading || n->gap_keeps;
    if (mark == 0 && !(n->greet_due && !keep))
        return ERR_OK;
    if (keep) {
        if (mark == *kept)
            return ERR_OK;
        *kept = mark;
        return store_meta_set_u64(n->store, "answer_kept", mark);
    }
    enum err e = mark_answer(n, mark);
    if (e == ERR_OK && n->greet_due)
        e = store_meta_set_u64(n->store, "greeted", n->site);
    if (e == ERR_OK && *kept) {
        *kept = 0;
        e = store_meta_set_u64(n->store, "answer_kept", 0);
    }
    return e;
}

static enum err seal_if_pending(struct node *n, bool *left)
{
    *left = store_capture_pending(n->store);
    if (!*left || !may_seal(n))
        return ERR_OK;
    return seal_captured(n, NULL, left);
}

/* What a comparison makes ours goes out by itself, all of it in this transaction: later nobody
 * would know that it was compared, nor its context (a capture gap's: that of its beginning). */
static enum err scan_and_seal(struct node *n)
{
    const struct clock *context;
    bool left;
    n->compared = scan_wants(n); /* the log was empty before */
    enum err e = scan_work(n, &context);
    while (e == ERR_OK && n->compared && may_seal(n) && store_capture_pending(n->store))
        e = seal_captured(n, context, &left);
    n->compared = false;
    return e;
}

/* What became of one attempt. `left`: captured writes stay in the log, so nothing remote was
 * applied. */
struct work_attempt {
    bool left, applied;
    uint64_t kept;
    enum err e;
    char why[400];
};

/* While a table's rows are being copied back, the node does nothing, for so long at most: what was
 * copied is then all in the gap that the triggers' absence is. */
static enum err leave_alone(struct node *n)
{
    bool awaited;
    enum err e = store_capture_refilled(n->store, &awaited);
    if (e != ERR_OK || !awaited)
        return e;
    if (n->refill_until_ms == 0)
        n->refill_until_ms = n->mono_ms + NODE_REFILL_MS;
    return n->mono_ms < n->refill_until_ms ? ERR_BUSY : ERR_OK;
}

static enum err put_capture_back(struct node *n)
{
    enum err e = leave_alone(n);
    if (e == ERR_OK)
        e = store_capture_install(n->store);
    if (e != ERR_OK)
        return e;
    scan_begin_again(n);
    return ERR_OK;
}

/* Also at those that another process found: behind them no mark is answered. A gap that was opened
 * in this very transaction is noted as found before any is let go for its age: until then it is as
 * old as the last write here. */
static enum err look_at_gaps(struct node *n)
{
    enum err e = scan_ask_neighbours(n);
    n->gap_open = gap_any_open(n->store, &n->gap_keeps);
    if (e == ERR_OK && n->gap_open)
        e = gap_found(n->store, node_time(n));
    if (e == ERR_OK && n->gap_look && wall_sure(n))
        e = gap_let_go(n->store, node_time(n));
    if (e == ERR_OK && n->gap_look)
        n->gap_open = gap_any_open(n->store, &n->gap_keeps);
    return e;
}

static enum err transaction(struct node *n, struct batch *b, struct work_attempt *t)
{
    enum err e = store_try(n->store);
    n->compared = false;
    /* Asked in the transaction itself: whoever finds capture away notes the clock as it was
     * then. */
    if (e == ERR_OK && (n->install_due || !store_capture_check(n->store)))
        e = put_capture_back(n);
    if (e == ERR_OK)
        e = look_at_gaps(n);
    if (e == ERR_OK)
        e = wall_take_back(n);
    if (e == ERR_OK)
        e = seal_if_pending(n, &t->left);
    t->applied = e == ERR_OK && !t->left;
    if (t->applied) {
        e = stream_apply(n, b);
        if (e == ERR_OK && b->stable)
            e = wall_take_back(n); /* nothing may come for long */
        if (e == ERR_OK)
            e = write_answer(n, b, &t->kept);
        if (e == ERR_OK && may_seal(n))
            e = scan_and_seal(n);
        if (e == ERR_OK)
            e = enrol_work(n);
        if (e == ERR_OK)
            e = seal_if_pending(n, &t->left);
    }
    if (e == ERR_OK && node_is_hub(n))
        e = mark_work(n);
    if (e == ERR_OK)
        e = write_positions(n);
    return e == ERR_OK ? store_commit(n->store) : e;
}

static void positions_written(struct node *n)
{
    if (n->parent)
        n->parent->peer_dirty = false;
    for (size_t i = 0; i < n->n_children; i++)
        n->children[i]->peer_dirty = false;
    n->offset_dirty = false;
    n->acked_due_ms = n->mono_ms + NODE_ACKED_MS;
}

static void committed(struct node *n, struct batch *b, const struct work_attempt *t,
                      uint64_t seq_before)
{
    const struct store_state *st = store_state_get(n->store);
    node_wrote(n);
    if (st->seq != seq_before)
        n->sealed_ms = n->mono_ms;
    if (st->seq != seq_before && n->o.committed)
        n->o.committed(n->o.user, n->site, st->seq);
    n->answer_kept = t->kept;
    n->gap_open = gap_any_open(n->store, &n->gap_keeps);
    n->gap_look = false;
    n->sweep_more = n->sweep_more || n->install_due; /* rows may have waited for this schema */
    n->install_due = false;
    n->refill_until_ms = 0;
    n->authorised_known = n->mark_check = false;
    n->seal_now = t->left && may_seal(n);
    n->again = n->again || n->seal_now;
    if (!t->left)
        n->notice_first_ms = 0;
    n->sweep_more = n->sweep_more || b->stable;
    if (st->charter_version != n->charter_version) {
        n->charter_version = st->charter_version;
        n->sweep_more = true; /* references are looked at again */
        n->install_due = !store_capture_check(n->store);
    }
    positions_written(n);
    if (t->applied) {
        n->greet_due = n->greet_due && st->loading;
        stream_committed(n, b);
        enrol_committed(n);
        scan_committed(n);
        n->again = n->again || n->install_due || stream_waiting(n);
    }
}

static void attempt(struct node *n, struct batch *b, struct work_attempt *t)
{
    uint64_t seq = store_state_get(n->store)->seq;
    *t = (struct work_attempt){.kept = n->answer_kept};
    b->failed = SIZE_MAX;
    b->why = NULL;
    t->e = transaction(n, b, t);
    if (t->e == ERR_OK) {
        committed(n, b, t, seq);
        return;
    }
    snprintf(t->why, sizeof t->why, "%s", b->why ? b->why : store_message(n->store));
    store_rollback(n->store);
    n->marks_known = false;
}

/* Not the item's fault: wait, or end. */
static bool attempt_trouble(struct node *n, const struct work_attempt *t)
{
    if (t->e == ERR_BUSY || t->e == ERR_STATE) {
        uint32_t wait_ms = neighbour_wait_ms(n->store);
        if (wait_ms) /* somebody is inside, for a moment as a rule */
            n->busy_until_ms = n->mono_ms + wait_ms;
        else
            node_busy(n);
        return true;
    }
    return node_check(n, t->e, "the database failed");
}

static void write_step(struct node *n)
{
    struct batch *b = arena_alloc(&n->arena, sizeof *b);
    struct work_attempt t;
    if (!n->stopping)
        stream_prepare(n, b);
    if (n->busy_until_ms > n->mono_ms || n->dead || node_moved(n))
        return;
    b->limit = b->n;
    attempt(n, b, &t);
    if (t.e == ERR_OK && (b->n > 0 || (t.left && work_written_on(n))))
        n->wrote_ms = n->mono_ms;
    while (t.e != ERR_OK && !attempt_trouble(n, &t)) {
        if (b->failed == SIZE_MAX) {
            node_log(n, 0, "event=work-failed error=%s text=%s", err_name(t.e),
                     node_quoted(n, t.why));
            n->busy_until_ms = n->mono_ms + node_jitter(n, 1000);
            return;
        }
        size_t bad = b->failed;
        enum err e = t.e;
        char why[sizeof t.why];
        memcpy(why, t.why, sizeof why);
        b->limit = bad;
        attempt(n, b, &t);
        if (t.e == ERR_OK || b->failed == SIZE_MAX)
            stream_item_refused(n, b->at[bad].peer, e, why);
    }
}

static void sweep_step(struct node *n)
{
    bool more = false;
    enum err e = store_try(n->store);
    /* A sweep writes rows, too: none into a table that is being rebuilt, or whose capture is away.
     * It comes back behind the transaction that sees to it, or a second later. */
    if (e == ERR_OK && (n->install_due || !store_capture_check(n->store))) {
        store_rollback(n->store);
        n->install_due = n->again = true;
        n->sweep_due_ms = n->mono_ms + 1000;
        return;
    }
    if (e == ERR_OK)
        e = store_sweep(n->store, &n->arena, NODE_SWEEP_ROWS, &more);
    if (e == ERR_OK)
        e = store_commit(n->store);
    if (e != ERR_OK) {
        store_rollback(n->store);
        n->sweep_due_ms = n->mono_ms + node_jitter(n, e == ERR_STATE ? 1000 : 100);
        if (e == ERR_BUSY && neighbour_wait_ms(n->store))
            n->sweep_due_ms = n->mono_ms + neighbour_wait_ms(n->store);
        if (e == ERR_STATE && may_seal(n)) { /* first what is captured, then at once this */
            n->seal_now = n->again = true;
            n->sweep_due_ms = n->mono_ms + 1;
        }
        if (e != ERR_BUSY && e != ERR_STATE && !node_check(n, e, "forgetting failed")) {
            node_log(n, 0, "event=sweep-failed error=%s text=%s", err_name(e),
                     node_quoted(n, store_message(n->store)));
            n->sweep_due_ms = n->mono_ms + 60000;
        }
        return;
    }
    if (store_found_torn(n->store))
        scan_once_more(n, NULL);
    node_wrote(n);
    n->sweep_more = more;
    n->sweep_due_ms = n->swept_ms = n->mono_ms;
}

/* At the step after a sweep, the first that knows how long it held the lock: the applications have
 * it for longer than that before the next one, or a busy handler that sleeps never finds it free.
 */
static void sweep_rest(struct node *n)
{
    if (n->swept_ms == 0)
        return;
    n->sweep_due_ms = n->mono_ms + NODE_SWEEP_REST_MS + (n->mono_ms - n->swept_ms);
    n->swept_ms = 0;
}

/* The same after remote rows, while an application writes: transactions back to back would starve
 * it. */
static void write_rest(struct node *n)
{
    if (n->wrote_ms != 0 && work_beside(n))
        n->busy_until_ms = n->mono_ms + NODE_REST_MS + neighbour_held_ms(n->store);
    n->wrote_ms = 0;
}

/* What only this office refuses is tried again where the schema is another, and where somebody has
 * written what its triggers may read: ever more seldom while they go on. Of what a trigger rolled
 * back for some at a time, until each was tried. */
static void look_at_refused(struct node *n)
{
    bool any = n->local_look || n->raised_left;
    bool anew = any && n->looked && schema_cookie(n->store) != n->local_schema;
    if (!any || (!anew && n->mono_ms < n->local_due_ms))
        return;
    bool rested = n->mono_ms >= n->local_due_ms + n->local_wait_ms;
    uint64_t next = n->local_look ? 2 * n->local_wait_ms : n->local_wait_ms;
    uint64_t wait = anew || rested ? NODE_LOCAL_MS : next;
    n->raised_left = store_raised_again(n->store, n->local_look);
    n->local_look = false;
    n->local_schema = schema_cookie(n->store);
    n->local_wait_ms = wait < NODE_LOCAL_MOST_MS ? wait : NODE_LOCAL_MOST_MS;
    n->local_due_ms = n->mono_ms + n->local_wait_ms;
    n->sweep_more = store_local_again(n->store) || n->sweep_more;
}

void work_run(struct node *n)
{
    look_at_refused(n);
    sweep_rest(n);
    write_rest(n);
    bool late = n->mono_ms > n->sweep_due_ms + 1000;
    if (n->busy_until_ms > n->mono_ms && !n->stopping)
        return;
    n->busy_until_ms = 0;
    bool wanted = work_wanted(n);
    if (n->sweep_more && n->mono_ms >= n->sweep_due_ms && (!wanted || late) && !n->stopping &&
        !waits_for_quiet(n)) {
        sweep_step(n);
        n->again = n->again || wanted;
    } else if (wanted) {
        write_step(n);
    } else {
        neighbour_unwanted(n->store);
    }
}

void work_deadline(struct node *n)
{
    if (n->busy_until_ms > n->mono_ms) {
        n->again = false; /* nothing can be done before */
        node_want(n, n->busy_until_ms);
        return;
    }
    if (n->notice_first_ms && n->mono_ms < n->time_wait_ms)
        node_want(n, n->time_wait_ms);
    if (n->notice_first_ms && may_seal(n) && batch_over(n)) {
        node_want(n, n->mono_ms);
    } else if (n->notice_first_ms && may_seal(n)) {
        uint64_t first = n->notice_first_ms + n->o.batch_max_ms,
                 last = n->notice_last_ms + n->o.batch_ms;
        node_want(n, first < last ? first : last);
    }
    if (n->sweep_more)
        node_want(n, n->sweep_due_ms);
    if (n->local_look || n->raised_left)
        node_want(n, n->local_due_ms);
    if (peers_dirty(n))
        node_want(n, n->acked_due_ms);
    if (node_is_hub(n) && mark_deadline(n))
        node_want(n, mark_deadline(n));
}
