/* Whether what a neighbour has read says anything about our rows: at our own clock, and nothing
 * forgotten there that we remember. */
#include "node/core/scanning.h"

#include "node/capture/capture.h"

#define AHEAD_MS 10000u /* for a stable clock that is still on its way here */

bool scan_at_our_clock(struct node *n, const struct clock *theirs)
{
    if (store_capture_pending(n->store)) {
        n->seal_now = true;
        return false;
    }
    if (!store_capture_check(n->store)) {
        n->install_due = true; /* what was not captured is no part of our clock */
        return false;
    }
    return clock_compare(theirs, &store_state_get(n->store)->clock) == CLOCK_EQUAL;
}

bool scan_forgets_no_more(struct node *n, struct open_scan *sc, struct peer *p,
                          const struct load_chunk *c)
{
    if (clock_includes(&store_state_get(n->store)->stable, &c->stable)) {
        p->forgets_ahead = false;
        sc->ahead_ms = 0;
        return true;
    }
    if (sc->ahead_ms == 0)
        sc->ahead_ms = n->mono_ms;
    if (n->mono_ms - sc->ahead_ms < AHEAD_MS)
        return false;
    if (!p->forgets_ahead)
        node_log(n, 1, "event=neighbour-forgets-ahead peer=%s", p->name);
    p->forgets_ahead = true;
    sc->give_up_ms = n->mono_ms;
    return false;
}
