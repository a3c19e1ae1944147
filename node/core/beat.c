/* Heartbeats: the neighbour lives, its clock, its journal's end, and what it has to tell of itself.
 * Signed, because the line's state is what an operator trusts. */
#include "node/core/internal.h"

#define CONTACT_SAVE_MS 300000u

void beat_take(struct node *n, struct peer *p, const struct heartbeat *h,
               const struct signed_body *s)
{
    if (h->site != p->site || codec_verify(s->body, s->signature, p->sign_key) != ERR_OK) {
        node_log(n, 1, "event=bad-heartbeat peer=%s", p->name);
        return;
    }
    p->signed_ms = n->mono_ms;
    p->skew_ms = (int64_t)(h->time_ms - node_time(n));
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
    if (p->looked_pos == store_state_get(n->store)->journal_pos)
        return p->sent_pos; /* all of it has been sent */
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
                                       .capture_pending = n->notice_first_ms != 0};
    m.u.heartbeat.tail_pos = tail_for(n, p);
    node_send(n, &p->route, &m);
    p->beat_due_ms = n->mono_ms + n->o.heartbeat_ms;
}
