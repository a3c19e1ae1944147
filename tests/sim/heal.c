/* The end of a history: nothing breaks any more, and the offices come to rest. */
#include "tests/sim/world.h"

#include "node/capture/capture.h"

static bool settled(struct world *w)
{
    for (int i = 0; i < w->n; i++) {
        struct machine *m = &w->m[i];
        if (!m->alive || (m->parent >= 0 && m->link == 0))
            return false;
        if (store_capture_pending(m->o.store) || (w->profile.gaps && stray_open_gap(m)))
            return false;
        const struct clock *hub = &store_state_get(w->m[0].o.store)->clock;
        if (clock_compare(hub, &store_state_get(m->o.store)->clock) != CLOCK_EQUAL)
            return false;
    }
    return true;
}

/* Nothing is left to forget. */
static bool forgotten(struct world *w)
{
    for (int i = 0; i < w->n; i++) {
        struct machine *m = &w->m[i];
        uint64_t due = 0;
        if (!m->alive || store_meta_u64(m->o.store, "sweep_due", 0, &due) != ERR_OK || due != 0 ||
            clock_compare(&store_state_get(m->o.store)->stable,
                          &store_state_get(m->o.store)->clock) != CLOCK_EQUAL)
            return false;
    }
    return true;
}

/* Both at once: an application may write a last time when the offices had settled. */
static bool at_rest(struct world *w)
{
    return settled(w) && forgotten(w);
}

/* Until it holds, or some minutes have passed. */
static bool wait_for(struct world *w, bool (*holds)(struct world *))
{
    for (int i = 0; i < 400 && w->broken[0] == '\0' && !holds(w); i++)
        world_run(w, 1000);
    return holds(w);
}

void world_heal(struct world *w)
{
    w->healing = true;
    disk_fail_after(w->disk, "", 0);
    for (int i = 0; i < w->n; i++) {
        struct machine *m = &w->m[i];
        if (m->open_tx)
            office_try(&m->o, "COMMIT");
        m->open_tx = false;
        if (!m->line) {
            m->line = true;
            world_later(w, WHAT_DIAL, i, 100, 0);
        }
        world_later(w, WHAT_CHANGE, i, 5, 0);
    }
    if (w->profile.clocks)
        clocks_heal(w);
    if (w->profile.ignores)
        ignore_heal(w);
    world_settle(w);
    if (w->profile.gaps && w->broken[0] == '\0') {
        stray_rest(w);
        world_settle(w);
    }
}

/* What is written when all had settled may be stamped ahead of a hub that was set right at that
 * moment: it waits for its time, like what had waited before. */
static bool come_to_rest(struct world *w)
{
    return wait_for(w, settled) && wait_for(w, at_rest);
}

void world_settle(struct world *w)
{
    bool rest = come_to_rest(w);
    if (!rest && !settled(w) && w->profile.clocks && w->broken[0] == '\0' && clocks_wait(w))
        (void)come_to_rest(w);
    if (!settled(w) && w->broken[0] == '\0')
        world_break(w, "3", "the offices do not come to rest");
    if (!forgotten(w) && w->broken[0] == '\0')
        world_break(w, "12", "not everything becomes stable");
    for (int i = 0; i < w->n && !w->profile.gaps && w->broken[0] == '\0'; i++)
        if (stray_doubt(&w->m[i]))
            world_break(w, "7", "%s: a gap, and nobody goes around capture", w->m[i].o.name);
    if (w->profile.ignores && w->broken[0] == '\0')
        ignore_returns(w);
}
