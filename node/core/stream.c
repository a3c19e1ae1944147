/* Items in the order of the sender's journal, pipelined within the receiver's credit; acknowledged
 * cumulatively after the commit that made them durable. A received item waits in the inbox as
 * bytes; it is verified and decoded just before the transaction that applies it, because the key of
 * its signer may arrive in an item before it. */
#include "node/core/looking.h"

#include <stdio.h>
#include <string.h>

#define BACKLOG_ITEMS 16u /* more does not wait for a quiet moment */
#define BACKLOG_BYTES (64u << 10)

void stream_open(struct peer *p, uint64_t received_pos, const struct hello *h)
{
    stream_close(p);
    p->sent_pos = h->received_pos;
    p->acked_pos = h->received_pos;
    p->sent_bytes = 0;
    p->credit_bytes = h->credit_bytes < CREDIT_BYTES ? h->credit_bytes : CREDIT_BYTES;
    p->blocked = false;
    p->looked_pos = 0;
    p->seen_pos = p->received_pos = received_pos;
    p->done_bytes = 0;
    p->ack_due = false;
    p->beat_seen_pos = UINT64_MAX;
}

static void inbox_drop_first(struct peer *p)
{
    struct inbox_item *i = p->inbox;
    p->inbox = i->next;
    if (!p->inbox)
        p->inbox_end = &p->inbox;
    p->inbox_n--;
    p->inbox_bytes -= i->bytes.len;
    arena_fini(&i->arena);
    mem_free((void *)i->bytes.p);
    mem_free(i);
}

void stream_close(struct peer *p)
{
    while (p->inbox)
        inbox_drop_first(p);
}

bool stream_waiting(const struct node *n)
{
    bool waiting = n->parent && n->parent->inbox;
    for (size_t i = 0; !waiting && i < n->n_children; i++)
        waiting = n->children[i]->inbox;
    return waiting;
}

bool stream_backlog(const struct node *n)
{
    size_t items = n->parent ? n->parent->inbox_n : 0;
    size_t bytes = n->parent ? n->parent->inbox_bytes : 0;
    for (size_t i = 0; i < n->n_children; i++) {
        items += n->children[i]->inbox_n;
        bytes += n->children[i]->inbox_bytes;
    }
    return items >= BACKLOG_ITEMS || bytes >= BACKLOG_BYTES;
}

static bool kind_fits(const struct peer *p, enum item_kind kind)
{
    return kind == ITEM_CHANGESET ||
           (p->up ? kind == ITEM_MARK || kind == ITEM_STABLE : kind == ITEM_ANSWER);
}

void stream_item(struct node *n, struct peer *p, const struct item_message *m)
{
    if (m->pos <= p->seen_pos) { /* delivered twice: it costs its sender credit all the same */
        p->done_bytes += m->bytes.len;
        p->ack_due = true;
        return;
    }
    if (m->previous != p->seen_pos) {
        session_refuse(n, p, REFUSAL_GAP, 20 + node_random(n) % 81,
                       "items were lost on the way: they are asked for again",
                       "it is tried again by itself");
        return;
    }
    if (p->inbox_n > 0 &&
        (p->inbox_bytes + m->bytes.len > CREDIT_BYTES || p->inbox_n >= NODE_INBOX_ITEMS)) {
        session_refuse(n, p, REFUSAL_LIMIT, 60000, "more bytes came than were granted",
                       "upgrade the office that sends too much");
        return;
    }
    if (!kind_fits(p, m->kind)) {
        session_refuse(n, p, REFUSAL_OTHER, 60000, "an item came from the wrong side of the tree",
                       "look at that office's log");
        return;
    }
    struct inbox_item *i = mem_alloc(sizeof *i);
    i->pos = m->pos;
    i->arrived_ms = n->mono_ms;
    i->kind = m->kind;
    i->bytes.p = mem_copy(m->bytes.p, m->bytes.len);
    i->bytes.len = m->bytes.len;
    *p->inbox_end = i;
    p->inbox_end = &i->next;
    p->inbox_n++;
    p->inbox_bytes += i->bytes.len;
    p->seen_pos = m->pos;
}

void stream_ack(struct node *n, struct peer *p, const struct ack *a)
{
    if (a->pos > p->sent_pos) {
        node_log(n, 1, "event=bad-ack peer=%s pos=%llu sent=%llu", p->name,
                 (unsigned long long)a->pos, (unsigned long long)p->sent_pos);
        return;
    }
    if (a->pos > p->acked_pos) {
        p->acked_pos = a->pos;
        p->peer_dirty = true;
    }
    /* Never more than ours is in flight, whatever it says that it can take. */
    uint64_t credit = p->sent_bytes + CREDIT_BYTES;
    credit = a->credit_bytes < credit ? a->credit_bytes : credit;
    if (credit > p->credit_bytes)
        p->credit_bytes = credit;
    p->blocked = false;
}

/* ---- opening: verify, decode */

/* The key of a site; marks and stables only the hub signs. */
static enum err signer(struct node *n, struct arena *a, uint64_t site, bool only_hub,
                       uint8_t key[SIGN_PUBLIC_BYTES], const char **node)
{
    struct site_record r;
    if (site == n->hub_site) {
        memcpy(key, n->hub_key, SIGN_PUBLIC_BYTES);
        *node = n->hub;
        return ERR_OK;
    }
    enum err e = store_site_get(n->store, a, site, &r);
    if (e != ERR_OK)
        return e;
    if (only_hub && strcmp(r.node, n->hub) != 0)
        return ERR_SIGNATURE;
    memcpy(key, r.sign_key, SIGN_PUBLIC_BYTES);
    *node = r.node;
    return ERR_OK;
}

static enum err open_changeset(struct node *n, struct inbox_item *i)
{
    struct changeset head;
    uint8_t key[SIGN_PUBLIC_BYTES];
    enum err e = seal_peek(&i->arena, i->bytes.p, i->bytes.len, &head);
    if (e == ERR_OK && strcmp(head.federation, n->federation) != 0)
        e = ERR_MALFORMED;
    if (e == ERR_OK)
        e = signer(n, &i->arena, head.dot.site, false, key, &i->signer);
    if (e == ERR_OK)
        e = seal_open(&i->arena, i->bytes.p, i->bytes.len, key, &i->u.cs, i->hash);
    i->rows = 1;
    for (uint32_t s = 0; e == ERR_OK && s < i->u.cs.n_segments; s++) {
        for (uint32_t t = 0; t < i->u.cs.segments[s].n_tables; t++)
            i->rows += i->u.cs.segments[s].tables[t].n_rows;
    }
    return e;
}

static enum err open_other(struct node *n, struct inbox_item *i)
{
    uint8_t key[SIGN_PUBLIC_BYTES];
    const char *node = "";
    uint64_t site;
    enum err e = codec_item_site(i->bytes, i->kind, &site);
    if (e == ERR_OK)
        e = signer(n, &i->arena, site, i->kind != ITEM_ANSWER, key, &node);
    if (e != ERR_OK)
        return e;
    i->rows = 1;
    if (i->kind == ITEM_MARK)
        return codec_mark_open(&i->arena, i->bytes, key, &i->u.mark);
    if (i->kind == ITEM_STABLE)
        return codec_stable_open(&i->arena, i->bytes, key, &i->u.stable);
    e = codec_answer_open(&i->arena, i->bytes, key, &i->u.answer);
    return e == ERR_OK && strcmp(i->u.answer.node, node) != 0 ? ERR_SIGNATURE : e;
}

static enum err open_item(struct node *n, struct inbox_item *i)
{
    if (i->open)
        return ERR_OK;
    enum err e = i->kind == ITEM_CHANGESET ? open_changeset(n, i) : open_other(n, i);
    i->open = e == ERR_OK;
    if (!i->open)
        arena_fini(&i->arena);
    return e;
}

static const char *open_failed(enum err e)
{
    switch (e) {
    case ERR_NOT_FOUND:
        return "an item is signed by a site that is not in the registry";
    case ERR_SIGNATURE:
        return "the signature of an item does not fit";
    case ERR_LIMIT:
        return "an item is over a limit";
    default:
        return "an item is malformed";
    }
}

static bool batch_add(struct node *n, struct batch *b, struct peer *p)
{
    uint32_t most = work_beside(n) ? NODE_SLICE_ROWS : NODE_APPLY_ROWS;
    for (struct inbox_item *i = p->inbox; i; i = i->next) {
        if (b->n == NODE_APPLY_ITEMS || (b->n > 0 && b->rows >= most))
            return false;
        enum err e = open_item(n, i);
        if (e == ERR_BUSY) {
            node_busy(n);
            return false;
        }
        if (node_check(n, e, "the registry cannot be read"))
            return false;
        if (e != ERR_OK && i != p->inbox)
            return true; /* what it needs may be in the items before it */
        if (e != ERR_OK) {
            stream_item_refused(n, p, e == ERR_NOT_FOUND ? ERR_SIGNATURE : e, open_failed(e));
            return true;
        }
        b->at[b->n].peer = p;
        b->at[b->n++].item = i;
        b->rows += i->rows;
    }
    return true;
}

void stream_prepare(struct node *n, struct batch *b)
{
    uint32_t peers = (uint32_t)n->n_children + 1, first = n->turn++;
    for (uint32_t k = 0; k < peers; k++) {
        uint32_t at = (first + k) % peers;
        struct peer *p = at == 0 ? n->parent : n->children[at - 1];
        if (p && !batch_add(n, b, p))
            break;
    }
}

/* ---- applying, in the transaction */

/* What a child sends is stamped with a time that is still to come (wall.c). */
static enum err check_stamp(struct node *n, struct batch *b, const struct peer *p,
                            const struct changeset *cs)
{
    if (p->up || hlc_ms(cs->hlc) <= wall_latest_ms(n) ||
        cs->dot.seq <= clock_get(&store_state_get(n->store)->clock, cs->dot.site))
        return ERR_OK;
    char why[200], when[40];
    status_time(when, hlc_ms(cs->hlc));
    snprintf(why, sizeof why,
             "the clock was ahead when it was stamped, or this office's is behind: it is taken by "
             "itself at %s at the latest",
             when);
    b->why = arena_strdup(&n->arena, why);
    return ERR_CLOCK;
}

static void tell_refused(struct node *n, const struct peer *p, const struct dot *d,
                         const struct apply_report *r)
{
    if (r->refused)
        node_log(n, 1, "event=rows-refused peer=%s site=%016llx seq=%llu rows=%u", p->name,
                 (unsigned long long)d->site, (unsigned long long)d->seq, r->refused);
    if (r->astray)
        node_log(n, 1, "event=rows-astray peer=%s site=%016llx seq=%llu rows=%u text=%s", p->name,
                 (unsigned long long)d->site, (unsigned long long)d->seq, r->orphans,
                 node_quoted(n, r->astray));
    if (!r->decision_refused)
        return;
    node_log(n, 1, "event=decision-refused peer=%s site=%016llx seq=%llu rows=%u text=%s", p->name,
             (unsigned long long)d->site, (unsigned long long)d->seq, r->decisions_refused,
             node_quoted(n, r->decision_refused));
}

static enum err apply_changeset(struct node *n, struct batch *b, struct peer *p,
                                struct inbox_item *i)
{
    struct apply_input in = {.cs = &i->u.cs,
                             .bytes = i->bytes,
                             .hash = i->hash,
                             .source = p->name,
                             .link_pos = i->pos,
                             .now_ms = node_time(n)};
    struct apply_report r = {0};
    enum err e = check_stamp(n, b, p, in.cs);
    if (e == ERR_OK && !p->up)
        e = mark_check_context(n, b, p, in.cs);
    if (e == ERR_OK)
        e = vouch_before(n, b, p, i);
    if (e == ERR_OK)
        e = store_apply(n->store, &n->arena, &in, &r);
    if (e == ERR_OK)
        e = vouch_after(n, b, p, i, &r);
    b->held += r.held;
    b->conflicts += r.conflicts;
    if (e == ERR_OK)
        tell_refused(n, p, &i->u.cs.dot, &r);
    if (store_found_torn(n->store))
        scan_once_more(n, NULL);
    return e;
}

static enum err pass_on(struct node *n, struct peer *p, struct inbox_item *i, uint64_t id,
                        uint64_t hlc)
{
    uint64_t pos;
    return store_journal_append(n->store, i->kind, p->name, (struct dot){0, id}, hlc, i->bytes,
                                &pos);
}

static enum err not_covered(struct batch *b)
{
    b->why = ""; /* the error says it */
    return ERR_CAUSAL;
}

static enum err apply_mark(struct node *n, struct batch *b, struct peer *p, struct inbox_item *i)
{
    const struct mark *m = &i->u.mark;
    if (!clock_includes(&store_state_get(n->store)->clock, &m->clock))
        return not_covered(b);
    enum err e = store_set_hlc(n->store, m->hlc);
    if (e == ERR_OK)
        e = pass_on(n, p, i, m->id, m->hlc);
    if (e == ERR_OK)
        b->answer = m->id;
    return e;
}

static enum err apply_stable(struct node *n, struct batch *b, struct peer *p, struct inbox_item *i)
{
    /* It is sent behind all that it covers; forgetting what has not come yet would lose it. */
    if (!clock_includes(&store_state_get(n->store)->clock, &i->u.stable.clock))
        return not_covered(b);
    enum err e = store_set_stable(n->store, &n->arena, &i->u.stable);
    if (e == ERR_OK)
        e = pass_on(n, p, i, 0, i->u.stable.hlc);
    b->stable = true;
    return e;
}

static enum err apply_item(struct node *n, struct batch *b, struct peer *p, struct inbox_item *i)
{
    enum err e;
    if (i->kind == ITEM_CHANGESET)
        e = apply_changeset(n, b, p, i);
    else if (i->kind == ITEM_MARK)
        e = apply_mark(n, b, p, i);
    else if (i->kind == ITEM_STABLE)
        e = apply_stable(n, b, p, i);
    else
        e = mark_pass_answer(n, b, p, i);
    if (e == ERR_OK && i->kind != ITEM_CHANGESET)
        e = store_peer_received(n->store, p->name, i->pos);
    return e;
}

enum err stream_apply(struct node *n, struct batch *b)
{
    b->answer = 0;
    b->stable = false;
    b->held = b->conflicts = 0;
    for (size_t k = 0; k < b->limit; k++) {
        enum err e = apply_item(n, b, b->at[k].peer, b->at[k].item);
        if (e != ERR_OK) {
            b->failed = k;
            return e;
        }
    }
    return ERR_OK;
}

void stream_committed(struct node *n, const struct batch *b)
{
    for (size_t k = 0; k < b->limit; k++) {
        struct peer *p = b->at[k].peer;
        p->received_pos = b->at[k].item->pos;
        p->done_bytes += b->at[k].item->bytes.len;
        p->failures = 0;
        p->ack_due = true;
        inbox_drop_first(p);
    }
    if (b->held || b->conflicts)
        node_log(n, 2, "event=applied items=%zu rows=%u held=%u conflicts=%u", b->limit, b->rows,
                 b->held, b->conflicts);
}

void stream_send_acks(struct node *n)
{
    for (size_t i = 0; i <= n->n_children; i++) {
        struct peer *p = i == 0 ? n->parent : n->children[i - 1];
        if (!p || !p->ack_due || !peer_open(p))
            continue;
        struct message m = {.type = MESSAGE_ACK};
        m.u.ack = (struct ack){p->session, p->received_pos, p->done_bytes + CREDIT_BYTES};
        node_send(n, &p->route, &m);
        p->ack_due = false;
    }
}

static const char *apply_failed(enum err e)
{
    switch (e) {
    case ERR_GAP:
        return "a changeset of its site before it is missing";
    case ERR_CAUSAL:
        return "changesets that it was based on are missing";
    case ERR_IDENTITY:
        return "another changeset with its number is on record";
    default:
        return "it cannot be applied";
    }
}

/* An item that cannot be applied stops its stream, with a reason and a growing pause, never the
 * node. */
void stream_item_refused(struct node *n, struct peer *p, enum err e, const char *why)
{
    static const struct {
        enum err e;
        enum refusal_code code;
        const char *next;
    } table[] = {
        {ERR_GAP, REFUSAL_OTHER,
         "it is tried again by itself; when it stays so, compare with tonle verify at that office"},
        {ERR_CAUSAL, REFUSAL_OTHER,
         "it is tried again by itself; when it stays so, compare with tonle verify at that office"},
        {ERR_SIGNATURE, REFUSAL_SIGNATURE, "at the hub: tonle node list"},
        {ERR_IDENTITY, REFUSAL_RESTORED,
         "stop the copy; at that office tonle join --as-new-site says how to bring it back"},
        {ERR_LIMIT, REFUSAL_LIMIT, "look at that office's log"},
        {ERR_CLOCK, REFUSAL_CLOCK,
         "nothing is lost, and it is tried again by itself until then; setting the clock of that "
         "machine keeps it from stamping further ahead, and frees nothing that is stamped"},
    };
    enum refusal_code code = REFUSAL_OTHER;
    const char *next = "look at that office's log, and upgrade the older program";
    for (size_t k = 0; k < sizeof table / sizeof table[0]; k++) {
        if (table[k].e == e) {
            code = table[k].code;
            next = table[k].next;
        }
    }
    char reason[512];
    uint64_t pos = p->inbox ? p->inbox->pos : p->seen_pos;
    snprintf(reason, sizeof reason, "item %llu of %s: %s (%s)", (unsigned long long)pos, p->name,
             why[0] != '\0' ? why : apply_failed(e), err_name(e));
    uint64_t wait = (uint64_t)1000 << (p->failures < 6 ? p->failures : 6);
    p->failures++;
    session_refuse(n, p, code, node_jitter(n, wait), reason, next);
}

/* ---- sending */

/* An item over the whole credit goes alone. */
static bool within_credit(const struct peer *p, size_t len)
{
    return p->sent_bytes + len <= p->credit_bytes || p->acked_pos == p->sent_pos;
}

static void send_item(struct node *n, struct peer *p, const struct item *item)
{
    struct message m = {.type = MESSAGE_ITEM};
    m.u.item = (struct item_message){p->session, item->pos, p->sent_pos, item->kind, item->bytes};
    node_send(n, &p->route, &m);
    p->sent_pos = item->pos;
    p->sent_bytes += item->bytes.len;
}

static void pump_peer(struct node *n, struct peer *p)
{
    size_t sent = 0;
    uint64_t end = store_state_get(n->store)->journal_pos;
    if (hlc_ms(p->ahead_hlc) > p->latest_ms)
        return; /* it waits still */
    while (p->looked_pos < end && !p->blocked) {
        struct item item;
        if (sent >= NODE_SEND_BYTES) {
            n->again = true;
            return;
        }
        enum err e = store_journal_next(n->store, &n->arena, p->up ? LINK_UP : LINK_DOWN, p->name,
                                        p->sent_pos, &item);
        if (e == ERR_NOT_FOUND) {
            p->looked_pos = end;
        } else if (e == ERR_BUSY) {
            node_want(n, n->mono_ms + 20 + node_random(n) % 81);
            return;
        } else if (e != ERR_OK) {
            if (!node_check(n, e, "the journal cannot be read"))
                node_fatal(n, "the journal cannot be read");
            return;
        } else if (wall_holds(p, &item)) {
            return;
        } else if (!within_credit(p, item.bytes.len)) {
            p->blocked = true;
        } else {
            send_item(n, p, &item);
            sent += item.bytes.len + 256;
        }
    }
}

void stream_pump(struct node *n)
{
    for (size_t i = 0; i <= n->n_children && !n->dead; i++) {
        struct peer *p = i == 0 ? n->parent : n->children[i - 1];
        if (p && peer_open(p))
            pump_peer(n, p);
    }
}
