/* Federation time: the hub's, told from parent to child in every welcome by who has it from there
 * (later in a heartbeat, where it comes to know it, or it was set right); each office keeps how far
 * its own wall clock is off. One wrong clock is to move nobody's time but its own (DESIGN 4):
 *
 *   an office stamps        by its wall clock and that offset. What it does not believe of its wall
 *                           clock it leaves out, until the parent is reached: a jump while the node
 *                           runs, and a start more than a month beyond the last time on record (or
 *                           at all beyond it, where no parent has told the time yet). Time then
 *                           goes on from the last that is known. After any other start it waits a
 *                           few seconds for the parent before it seals
 *   what waits to go up     stays, while it is stamped beyond what the parent takes
 *   a parent refuses        at every hop, what a child sends stamped beyond the later of its time
 *                           and its hybrid time plus the skew, or its time plus twice that
 *   everybody               raises its hybrid time by all that it merges
 *
 * DESIGN has two rules that cannot both be kept to the letter: that nobody's time is raised beyond
 * wall plus skew by what it reads, and that what is causally later is stamped later. `latest` drops
 * what loses at once, so without the second the offices would differ for good. So nothing is taken
 * that is not followed whole, and the bound is what a parent refuses: the hub's hybrid time, and
 * with it what all others merge from above, is at most twice the skew beyond its clock. Twice,
 * because an office that is ahead by nearly the skew may have taken what is ahead of it by nearly
 * as much.
 *
 * In doubt is an office that has not been told the time since it started. It takes a skew more than
 * it knows; the rest waits at its child until the time is told. A hub is in doubt that its stored
 * time or most of its children contradict: it takes a month more than it knew then, and says so;
 * not another month behind that, until its clock has caught up. Hybrid time that was
 * beyond twice the skew already is gone on with, a millisecond at a time: that a clock was set back
 * is not a fault of those who followed it. A stored time beyond a month (an older version's) is not
 * a time that has been, and is taken back: when all that is known here is stable. Nothing comes any
 * more then that has not seen what was stamped so; before, two offices would choose different
 * winners, one of which had dropped what lost against it. Until then (an office may be away for
 * weeks) a parent takes from its children what is stamped up to that time and a little behind it,
 * not only up to its wall clock: who has followed that time stamps behind it, and its answer to a
 * mark comes behind what it stamped. Refused, none of it would ever be stable, and the time never
 * taken back. A wrong clock's stamp below that time moves nobody: all have that time, or get it
 * with what they merge. The status says that it waits, and for which office. */
#include "node/core/internal.h"

#define SKEW_MS NODE_SKEW_MS
#define DOUBT_MS (31u * UINT64_C(86400000))
#define WAIT_MS 3000u
#define FOLLOWED_MS 1u /* 65536 stamps */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t stored_ms(const struct node *n)
{
    return hlc_ms(store_state_get(n->store)->hlc);
}

int64_t wall_off_ms(const struct node *n)
{
    return n->parent && n->time_told ? -n->offset_ms : 0;
}

bool wall_beyond_belief(uint64_t hybrid_ms, uint64_t now_ms)
{
    return hybrid_ms > now_ms + DOUBT_MS;
}

bool wall_wrong(int64_t off_ms)
{
    return off_ms > (int64_t)SKEW_MS || off_ms < -(int64_t)SKEW_MS;
}

/* ---- which clock is believed */

/* The wall clock says one thing, the time that is known another: time goes on from `known_ms`. */
static void disbelieve(struct node *n, uint64_t known_ms, const char *why)
{
    int64_t ahead = (int64_t)(node_time(n) - known_ms);
    n->offset_ms -= ahead;
    n->time_guessed = n->time_guessed || !n->time_told;
    node_log(n, 1, "event=wall-clock-not-believed off_ms=%lld text=%s", (long long)ahead,
             node_quoted(n, why));
}

void wall_start(struct node *n)
{
    if (!n->parent)
        return;
    uint64_t known = later(stored_ms(n), n->parent->contact_ms), now = node_time(n);
    if (known == 0 || now <= known + SKEW_MS)
        return; /* behind it: hybrid time goes on from there */
    if (n->offset_saved && now <= known + DOUBT_MS)
        n->time_wait_ms = n->mono_ms + WAIT_MS;
    else
        disbelieve(n, known, "it is far beyond the last time that is on record here");
}

void wall_step(struct node *n, const struct event *ev)
{
    uint64_t passed = ev->mono_ms - n->mono_ms, before = node_time(n);
    int64_t jump = (int64_t)(ev->wall_ms - n->wall_ms) - (int64_t)passed;
    n->mono_ms = ev->mono_ms;
    n->wall_ms = ev->wall_ms;
    if (!n->started || !n->parent || !wall_wrong(jump))
        return;
    bool believed = !n->time_told && !n->time_guessed && node_time(n) <= stored_ms(n) + DOUBT_MS;
    if (!believed)
        disbelieve(n, before + passed, "it was set while the node ran");
}

bool wall_sure(const struct node *n)
{
    return !n->parent || n->time_told;
}

void wall_told(struct node *n, uint64_t time_ms)
{
    int64_t offset = (int64_t)(time_ms - n->wall_ms), moved = offset - n->offset_ms;
    n->offset_ms = offset;
    n->time_told = true;
    n->time_guessed = false;
    n->time_wait_ms = 0;
    if (moved > 100 || moved < -100 || !n->offset_saved)
        n->offset_dirty = n->offset_saved = true;
}

/* ---- in doubt */

struct votes {
    uint32_t same, ahead, behind;
};

static struct votes count_votes(const struct node *n)
{
    struct votes v = {0};
    for (size_t i = 0; i < n->n_children; i++) {
        const struct peer *p = n->children[i];
        if (!peer_open(p))
            continue;
        v.same += !wall_wrong(p->skew_ms);
        v.ahead += p->skew_ms > (int64_t)SKEW_MS;
        v.behind += p->skew_ms < -(int64_t)SKEW_MS;
    }
    return v;
}

enum wall_fault wall_look(const struct node *n)
{
    if (n->parent)
        return n->time_guessed ? WALL_NOT_BELIEVED : WALL_GOOD;
    struct votes v = count_votes(n);
    uint32_t most = v.ahead > v.behind ? v.ahead : v.behind, all = v.same + v.ahead + v.behind;
    if (most > 1 && 2 * most > all)
        return WALL_OUTVOTED;
    if (stored_ms(n) > node_time(n) + 2u * SKEW_MS && (v.same == 0 || 2 * v.same <= all))
        return WALL_BEHIND;
    return WALL_GOOD;
}

static bool in_doubt(const struct node *n)
{
    return n->parent ? !n->time_told : wall_look(n) != WALL_GOOD;
}

/* How far what this hub knows is beyond its clock. */
static uint64_t lead_ms(const struct node *n)
{
    uint64_t now = node_time(n);
    return later(now, stored_ms(n)) - now;
}

/* What the hub knew when its doubt began: what it has taken since does not count. On record,
 * because a restart is no new doubt. */
static enum err note_doubt(struct node *n)
{
    uint64_t lead = lead_ms(n);
    bool doubt = !n->parent && in_doubt(n);
    if (!doubt && n->doubt_lead_ms == NODE_NO_DOUBT)
        return ERR_OK;
    enum err e = store_meta_u64(n->store, META_DOUBT, NODE_NO_DOUBT, &n->doubt_lead_ms);
    if (e == ERR_OK && doubt && n->doubt_lead_ms == NODE_NO_DOUBT) {
        n->doubt_lead_ms = lead;
        e = store_meta_set_u64(n->store, META_DOUBT, lead);
    } else if (e == ERR_OK && !doubt && lead <= 2u * SKEW_MS) {
        n->doubt_lead_ms = NODE_NO_DOUBT;
        e = store_meta_drop(n->store, META_DOUBT);
    }
    return e;
}

uint64_t wall_latest_ms(const struct node *n)
{
    uint64_t now = node_time(n), stored = stored_ms(n);
    if (in_doubt(n) && n->parent)
        return later(now, stored) + SKEW_MS;
    uint64_t most = later(now, stored) + SKEW_MS;
    uint64_t bound = later(now + 2u * SKEW_MS, stored + FOLLOWED_MS);
    most = most < bound ? most : bound;
    uint64_t lead = n->doubt_lead_ms != NODE_NO_DOUBT ? n->doubt_lead_ms : lead_ms(n);
    return in_doubt(n) ? later(most, now + lead + DOUBT_MS) : most;
}

uint64_t wall_believable_ms(const struct node *n)
{
    return node_time(n) + DOUBT_MS;
}

enum err wall_take_back(struct node *n)
{
    uint64_t now = node_time(n);
    const struct store_state *st = store_state_get(n->store);
    enum err e = note_doubt(n);
    if (e != ERR_OK)
        return e;
    if (!wall_beyond_belief(stored_ms(n), now) || in_doubt(n) ||
        !clock_includes(&st->stable, &st->clock))
        return ERR_OK;
    uint64_t first;
    e = store_meta_u64(n->store, META_BACK, 0, &first);
    if (e == ERR_OK && first == 0)
        e = store_meta_set_u64(n->store, META_BACK, now);
    if (e != ERR_OK)
        return e;
    node_log(n, 1, "event=time-taken-back text=\"the stored time was more than a month ahead\"");
    return store_lower_hlc(n->store, hlc_make(now + SKEW_MS, 0));
}

/* ---- what waits to go up */

bool wall_holds(struct peer *p, const struct item *item)
{
    bool ahead = item->kind == ITEM_CHANGESET && hlc_ms(item->hlc) > p->latest_ms;
    p->ahead_hlc = p->up && ahead ? item->hlc : 0;
    return p->ahead_hlc != 0;
}

uint64_t wall_ahead_ms(const struct node *n, const struct peer *p)
{
    uint64_t now = node_time(n), stamp = hlc_ms(p->ahead_hlc);
    return p->ahead_hlc != 0 && stamp > now ? stamp - now : 0;
}
