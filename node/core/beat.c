/* Heartbeats: the neighbour lives, its clock, its journal's end, and what it has to tell of itself.
 * Signed, because the line's state is what an operator trusts. */
#include "node/core/internal.h"

#include <stdio.h>

#define CONTACT_SAVE_MS 300000u

/* What it says of wall clocks, its own and those below it. */
static void take_clocks(struct node *n, struct peer *p, const struct heartbeat *h)
{
    if (p->up && h->time_sure &&
        (!n->time_told || wall_wrong((int64_t)(h->time_ms - node_time(n)))))
        wall_told(n, h->time_ms);
    p->skew_ms = (int64_t)(h->wall_ms - node_time(n));
    p->latest_ms = h->latest_ms;
    p->ahead_ms = h->ahead_ms;
    p->n_off = p->up ? 0 : h->n_off;
    for (uint32_t i = 0; i < p->n_off; i++) {
        snprintf(p->off[i].node, sizeof p->off[i].node, "%s", h->off[i].node);
        p->off[i].ms = h->off[i].ms;
    }
}

static void name_clock(struct heartbeat *h, const char *node, int64_t ms)
{
    if (h->n_off < LIMIT_CLOCKS_OFF && wall_wrong(ms))
        h->off[h->n_off++] = (struct clock_off){node, ms};
}

/* The wrong clocks below us, as far as there is room. */
static void name_clocks(struct node *n, struct heartbeat *h)
{
    h->off = arena_alloc(&n->arena, LIMIT_CLOCKS_OFF * sizeof *h->off);
    for (size_t i = 0; i < n->n_children; i++) {
        const struct peer *p = n->children[i];
        if (!peer_open(p))
            continue;
        name_clock(h, p->name, p->ahead_ms ? (int64_t)p->ahead_ms : p->skew_ms);
        for (uint32_t k = 0; k < p->n_off; k++)
            name_clock(h, p->off[k].node, p->off[k].ms);
    }
}

void beat_take(struct node *n, struct peer *p, const struct heartbeat *h,
               const struct signed_body *s)
{
    if (h->site != p->site || codec_verify(s->body, s->signature, p->sign_key) != ERR_OK) {
        node_log(n, 1, "event=bad-heartbeat peer=%s", p->name);
        return;
    }
    p->signed_ms = n->mono_ms;
    take_clocks(n, p, h);
    p->contact_ms = node_time(n);
    if (p->contact_ms > p->contact_saved_ms + CONTACT_SAVE_MS) {
        p->contact_saved_ms = p->contact_ms;
        p->peer_dirty = true;
    }
    /* The link keeps its order: what was sent before two heartbeats and is not here was lost. */
    bool lost = p->inbox_n == 0 && p->tail_pos > p->seen_pos && h->tail_pos > p->seen_pos &&
                p->beat_seen_pos == p->seen_pos;
    if (p->tail_pos <= p->seen_pos)
        p->behind_ms = n->mono_ms;
    p->tail_pos = h->tail_pos;
    p->beat_seen_pos = p->seen_pos;
    p->peer_captures = h->capture_pending;
    clock_copy(&p->clock, &h->clock);
    if (lost)
        session_refuse(n, p, REFUSAL_GAP, 20 + node_random(n) % 81,
                       "the last items were lost on the way: they are asked for again",
                       "it is tried again by itself");
}

static uint64_t tail_for(struct node *n, struct peer *p)
{
    struct backlog b;
    if (p->looked_pos == store_state_get(n->store)->journal_pos || p->ahead_hlc != 0)
        return p->sent_pos; /* all of it has been sent, or waits for the time of its stamp */
    enum err e =
        store_journal_backlog(n->store, p->up ? LINK_UP : LINK_DOWN, p->name, UINT64_MAX >> 1, &b);
    return e == ERR_OK ? b.tail_pos : p->sent_pos;
}

void beat_send(struct node *n, struct peer *p)
{
    const struct store_state *st = store_state_get(n->store);
    struct message m = {.type = MESSAGE_HEARTBEAT};
    m.u.heartbeat = (struct heartbeat){.session = p->session,
                                       .time_ms = node_time(n),
                                       .site = n->site,
                                       .clock = st->clock,
                                       .held = st->held,
                                       .conflicts_open = st->conflicts_open,
                                       .capture_pending = n->notice_first_ms != 0,
                                       .wall_ms = n->wall_ms,
                                       .latest_ms = wall_latest_ms(n),
                                       .time_sure = wall_sure(n),
                                       .ahead_ms = wall_ahead_ms(n, p)};
    if (p->up)
        name_clocks(n, &m.u.heartbeat);
    m.u.heartbeat.tail_pos = tail_for(n, p);
    node_send(n, &p->route, &m);
    p->beat_due_ms = n->mono_ms + n->o.heartbeat_ms;
}
