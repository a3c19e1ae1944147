/* Forgetting (DESIGN 4). The hub sends a mark with its clock; every node answers behind everything
 * it had sealed before; when every active node has answered a mark, the hub sends stable(mark). A
 * node that has just joined answers mark 0, once: it has not seen the marks before its load, and
 * asks for a new one.
 *
 * What the hub remembers of it stands in small named values, written in the transactions that
 * change it:
 *
 *   marks         those that are not stable yet, oldest first: id, hlc, clock, one after another
 *   mark_clock    the clock of the last one sent
 *   mark_id       the last id given
 *   answer/SITE   the last mark that this site has answered; also at every node that passed it on
 *   carrier/SITE  the site of the child that this answer came by
 *
 * Behind its answer an office has passed the mark, and so says each of its contexts. A changeset
 * that does not was sealed by a copy of it, or by somebody who means harm: what it writes is
 * concurrent to what everybody has forgotten by then, and offices would differ for good. Whoever
 * is above that office refuses it, and the first of them is to be the one, or those above it would
 * take the fault for its own. It has to cover
 *
 *   what is stable here   which its office has answered. A first load brings it, so that an office
 *                         which joined anew knows it too
 *   the mark it answered  by the child that brings it now. What came by the child before it joined
 *                         anew (under another site) that child does not know, and need not: no mark
 *                         of that time is stable without a later one, which it passes itself
 *
 * So has what comes under an earlier site of a node that is active: it has that key still. The
 * honest rest of such a site may lie in an office in between for weeks. Behind the change of sites
 * nobody takes anything more from the earlier one, the present one answers only marks sent behind
 * that change, and nothing is stable that it and the office in between have not answered. Known
 * limit: that office may have answered a mark before a rest that lacks it came there. If its line
 * falls then, and the present site answers by another way, the mark is stable above, and the rest
 * and all behind it are refused for good. Nothing that is built changes a node's site; what
 * does must void the answers of whoever may carry the rest. What the present site
 * answered by another way would be too much: that rest need not cover it, and whoever has it would
 * be blamed. It binds what the node itself sends, at its parent: a first load leaves it nothing of
 * its earlier sites to send. So nothing of theirs is behind its answer further up, and no honest
 * office in between is blamed where the hub calls a mark stable before it hears so.
 *
 * An answer to a mark that has not come to the office above is refused there: what it binds its
 * site to, only those further up could tell.
 *
 * When one office is away for weeks the marks in between are thinned out: any of them may be left
 * out, because the answer to a later one is an answer to it. */
#include "node/core/internal.h"

#include "node/record/deferral.h"

#include <stdio.h>
#include <string.h>

#define MARK_AGAIN_MS 60000u

static void forget_marks(struct node *n)
{
    for (size_t i = 0; i < n->n_marks; i++)
        clock_fini(&n->mark[i].clock);
    memset(n->mark, 0, sizeof n->mark);
    n->n_marks = 0;
}

void mark_fini(struct node *n)
{
    forget_marks(n);
    clock_fini(&n->mark_clock);
    clock_fini(&n->answered_clock);
}

static enum err read_marks(struct node *n)
{
    struct bytes b;
    if (n->marks_known)
        return ERR_OK;
    forget_marks(n);
    clock_reset(&n->mark_clock);
    enum err e = store_meta_u64(n->store, "mark_id", 0, &n->mark_id);
    if (e != ERR_OK)
        return e;
    e = store_meta_get(n->store, &n->arena, "mark_clock", &b);
    struct cursor c = cursor_of(b.p, b.len);
    if (e == ERR_OK && clock_decode(&c, &n->mark_clock, LIMIT_CLOCK_ENTRIES) != ERR_OK)
        return ERR_CORRUPT;
    if (e == ERR_OK || e == ERR_NOT_FOUND)
        e = store_meta_get(n->store, &n->arena, "marks", &b);
    c = cursor_of(b.p, b.len);
    while (e == ERR_OK && c.left > 0) {
        struct mark_kept *m = &n->mark[n->n_marks];
        if (n->n_marks == NODE_MARKS)
            return ERR_CORRUPT;
        n->n_marks++;
        m->id = cursor_u64(&c);
        m->hlc = cursor_u64(&c);
        if (clock_decode(&c, &m->clock, LIMIT_CLOCK_ENTRIES) != ERR_OK)
            return ERR_CORRUPT;
    }
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    n->marks_known = true;
    return ERR_OK;
}

static enum err write_marks(struct node *n)
{
    struct buf b = {0};
    for (size_t i = 0; i < n->n_marks; i++) {
        buf_put_u64(&b, n->mark[i].id);
        buf_put_u64(&b, n->mark[i].hlc);
        clock_encode(&b, &n->mark[i].clock);
    }
    enum err e = store_meta_set(n->store, "marks", b.data, b.len);
    buf_fini(&b);
    return e;
}

static void drop_mark(struct node *n, size_t at)
{
    clock_fini(&n->mark[at].clock);
    memmove(&n->mark[at], &n->mark[at + 1], (n->n_marks - at - 1) * sizeof n->mark[0]);
    n->n_marks--;
    n->mark[n->n_marks] = (struct mark_kept){0};
}

static void thin_marks(struct node *n)
{
    if (n->n_marks < NODE_MARKS)
        return;
    for (size_t at = 1; at + 1 < n->n_marks; at++)
        drop_mark(n, at);
}

/* Who must answer, as a number that changes with it. */
static enum err registry_hash(struct node *n, uint64_t *hash)
{
    struct node_record *r;
    size_t count;
    *hash = VALUE_HASH_SEED;
    enum err e = store_node_list(n->store, &n->arena, &r, &count);
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        uint8_t state = (uint8_t)r[i].state;
        *hash = bytes_hash(*hash, r[i].name, strlen(r[i].name));
        *hash = bytes_hash(*hash, &r[i].site, sizeof r[i].site);
        *hash = bytes_hash(*hash, &state, 1);
    }
    return e;
}

/* Only our own seals change it. */
static bool registry_changed(struct node *n, uint64_t seq)
{
    if (seq != n->registry_seq && registry_hash(n, &n->registry_hash) == ERR_OK)
        n->registry_seq = seq;
    return n->registry_hash != n->mark_registry;
}

/* Something changed since the last mark, and enough time has passed. */
static bool mark_wanted(struct node *n, uint64_t *at)
{
    if (!node_is_hub(n) || n->suspect || n->gap_keeps ||
        (!n->marks_known && read_marks(n) != ERR_OK))
        return false;
    const struct store_state *st = store_state_get(n->store);
    if (st->clock.n == 0 || clock_compare(&st->clock, &n->mark_clock) == CLOCK_EQUAL)
        return false;
    uint64_t wait = n->n_marks == 0 || n->mark_clock.n == 0 || registry_changed(n, st->seq)
                        ? n->o.mark_ms
                        : MARK_AGAIN_MS;
    if (n->mark_seen_ms == 0)
        n->mark_seen_ms = n->mono_ms + 1;
    *at = n->mark_seen_ms + n->o.mark_ms; /* what changed is seldom alone: not at its first write */
    if (n->mark_last_ms && n->mark_last_ms + wait > *at)
        *at = n->mark_last_ms + wait;
    return true;
}

void mark_again(struct node *n)
{
    if (n->marks_known || read_marks(n) == ERR_OK)
        clock_reset(&n->mark_clock);
}

bool mark_due(struct node *n)
{
    uint64_t at;
    return node_is_hub(n) && (n->mark_check || (mark_wanted(n, &at) && n->mono_ms >= at));
}

uint64_t mark_deadline(struct node *n)
{
    uint64_t at;
    return mark_wanted(n, &at) ? at : 0;
}

static enum err append(struct node *n, enum item_kind kind, uint64_t id, uint64_t hlc)
{
    uint64_t pos;
    struct bytes b = {n->buf.data, n->buf.len};
    return store_journal_append(n->store, kind, "", (struct dot){0, id}, hlc, b, &pos);
}

static enum err remember_mark(struct node *n, const struct mark *m)
{
    struct buf b = {0};
    thin_marks(n);
    struct mark_kept *k = &n->mark[n->n_marks++];
    k->id = m->id;
    k->hlc = m->hlc;
    clock_copy(&k->clock, &m->clock);
    clock_copy(&n->mark_clock, &m->clock);
    clock_encode(&b, &m->clock);
    enum err e = store_meta_set(n->store, "mark_clock", b.data, b.len);
    if (e == ERR_OK)
        e = store_meta_set_u64(n->store, "mark_id", m->id);
    if (e == ERR_OK)
        e = write_marks(n);
    buf_fini(&b);
    return e;
}

static enum err send_mark(struct node *n)
{
    const struct store_state *st = store_state_get(n->store);
    n->mark_seen_ms = 0;
    struct mark m = {.id = ++n->mark_id, .site = n->site, .clock = st->clock};
    m.hlc = hlc_tick(st->hlc, node_time(n));
    buf_reset(&n->buf);
    codec_mark_encode(&m, n->o.sign_secret, &n->buf);
    enum err e = append(n, ITEM_MARK, m.id, m.hlc);
    if (e == ERR_OK)
        e = store_set_hlc(n->store, m.hlc);
    if (e == ERR_OK)
        e = remember_mark(n, &m);
    n->mark_last_ms = n->mono_ms;
    n->mark_check = true;
    return e == ERR_OK ? registry_hash(n, &n->mark_registry) : e;
}

/* What is remembered of the last answer of a site. */
struct answer_noted {
    uint64_t mark, carrier;
    bool any;
};

static void answer_key(char key[40], const char *what, uint64_t site)
{
    snprintf(key, 40, "%s/%016llx", what, (unsigned long long)site);
}

static enum err read_noted(struct store *s, uint64_t site, struct answer_noted *out)
{
    char key[40];
    answer_key(key, "answer", site);
    enum err e = store_meta_u64(s, key, UINT64_MAX, &out->mark);
    out->any = out->mark != UINT64_MAX;
    answer_key(key, "carrier", site);
    return e == ERR_OK ? store_meta_u64(s, key, 0, &out->carrier) : e;
}

static enum err write_noted(struct node *n, const struct answer *a, uint64_t carrier)
{
    char key[40];
    answer_key(key, "answer", a->site);
    enum err e = store_meta_set_u64(n->store, key, a->mark_id);
    answer_key(key, "carrier", a->site);
    return e == ERR_OK ? store_meta_set_u64(n->store, key, carrier) : e;
}

/* The last mark that every active node has answered; the hub itself does so by sending it. */
static enum err answered_by_all(struct node *n, uint64_t *mark)
{
    struct node_record *r;
    size_t count;
    struct answer_noted a;
    *mark = n->mark_id;
    enum err e = store_node_list(n->store, &n->arena, &r, &count);
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        if (r[i].state != NODE_ACTIVE || strcmp(r[i].name, n->name) == 0)
            continue;
        e = read_noted(n->store, r[i].site, &a);
        if (!a.any || a.mark < *mark)
            *mark = a.any ? a.mark : 0;
    }
    return e;
}

enum err mark_awaited(struct store *s, struct arena *a, const char **name)
{
    struct node_record *r;
    size_t count;
    struct answer_noted noted;
    uint64_t least;
    *name = NULL;
    enum err e = store_meta_u64(s, "mark_id", 0, &least);
    if (e == ERR_OK)
        e = store_node_list(s, a, &r, &count);
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        if (r[i].state != NODE_ACTIVE || strcmp(r[i].name, store_identity_get(s)->node) == 0)
            continue;
        e = read_noted(s, r[i].site, &noted);
        uint64_t mark = noted.any ? noted.mark : 0;
        if (e == ERR_OK && mark < least) {
            least = mark;
            *name = r[i].name;
        }
    }
    return e;
}

static enum err send_stable(struct node *n, const struct mark_kept *m)
{
    struct stable st = {.mark_id = m->id, .site = n->site, .clock = m->clock, .hlc = m->hlc};
    enum err e = store_keep_list(n->store, &n->arena, &st.clock, &st.keep, &st.n_keep);
    if (e != ERR_OK)
        return e;
    if (st.n_keep > LIMIT_KEEP_BIRTHS)
        return ERR_OK; /* nothing is forgotten until somebody settles them */
    buf_reset(&n->buf);
    codec_stable_encode(&st, n->o.sign_secret, &n->buf);
    e = append(n, ITEM_STABLE, 0, st.hlc);
    return e == ERR_OK ? store_set_stable(n->store, &n->arena, &st) : e;
}

static enum err check_stable(struct node *n)
{
    uint64_t answered;
    size_t done = 0;
    enum err e = answered_by_all(n, &answered);
    while (e == ERR_OK && done < n->n_marks && n->mark[done].id <= answered)
        done++;
    /* What waits here for its table is not on record: whose names are needed cannot be said. Of a
     * table that no charter in force publishes nobody shows anything, and anybody could send it. */
    bool waits = false;
    if (e == ERR_OK && done > 0)
        e = deferral_published(n->store, &waits);
    if (e != ERR_OK || done == 0 || waits)
        return e;
    e = send_stable(n, &n->mark[done - 1]);
    while (done-- > 0)
        drop_mark(n, 0);
    n->sweep_more = true;
    return e == ERR_OK ? write_marks(n) : e;
}

enum err mark_work(struct node *n)
{
    uint64_t at;
    /* A hub that may have been restored declares nothing stable, nor does one with a capture gap:
     * what that makes its own is still to be sealed in the context of its beginning. */
    if (n->suspect || n->gap_keeps)
        return ERR_OK;
    enum err e = read_marks(n);
    if (e == ERR_OK && mark_wanted(n, &at) && n->mono_ms >= at)
        e = send_mark(n);
    if (e == ERR_OK && n->mark_check)
        e = check_stable(n);
    return e;
}

enum err mark_answer(struct node *n, uint64_t mark_id)
{
    struct answer a = {.mark_id = mark_id,
                       .node = n->name,
                       .site = n->site,
                       .hlc = store_state_get(n->store)->hlc};
    buf_reset(&n->buf);
    codec_answer_encode(&a, n->o.sign_secret, &n->buf);
    return append(n, ITEM_ANSWER, 0, a.hlc);
}

/* A newcomer has not passed the marks before its load: without a new one it would be waited for. */
static enum err mark_anew(struct node *n)
{
    struct buf b = {0};
    enum err e = read_marks(n);
    if (e == ERR_OK) {
        clock_reset(&n->mark_clock);
        clock_encode(&b, &n->mark_clock);
        e = store_meta_set(n->store, "mark_clock", b.data, b.len);
    }
    buf_fini(&b);
    return e;
}

static enum err malformed(struct batch *b, const char *why)
{
    b->why = why;
    return ERR_MALFORMED;
}

/* At the hub. An office that names a mark that was never sent would have everything counted as
 * passed by it that is still to come: refused. Its 0 counts once: each makes a new mark for the
 * whole federation. */
static enum err note_answer(struct node *n, struct batch *b, const struct answer *a,
                            uint64_t carrier)
{
    struct answer_noted known;
    enum err e = read_marks(n);
    if (e == ERR_OK)
        e = read_noted(n->store, a->site, &known);
    if (e != ERR_OK)
        return e;
    if (a->mark_id > n->mark_id)
        return malformed(b, node_why(n, "suspect: %s answers a mark that was never sent", a->node));
    n->mark_check = true;
    if (known.any && a->mark_id <= known.mark)
        return ERR_OK;
    if (a->mark_id == 0)
        e = mark_anew(n);
    return e == ERR_OK ? write_noted(n, a, carrier) : e;
}

/* From a child: the hub notes it, every other node passes it on. */
enum err mark_pass_answer(struct node *n, struct batch *b, const struct peer *p,
                          const struct inbox_item *i)
{
    uint64_t pos, last;
    struct answer_noted known;
    const struct answer *a = &i->u.answer;
    if (node_is_hub(n))
        return note_answer(n, b, a, p->site);
    enum err e = store_journal_last_mark(n->store, &last);
    if (e == ERR_OK && a->mark_id > last)
        return malformed(
            b, node_why(n, "suspect: %s answers a mark that has not come here yet", a->node));
    if (e == ERR_OK)
        e = read_noted(n->store, a->site, &known);
    if (e == ERR_OK && a->mark_id > 0 && (!known.any || a->mark_id > known.mark))
        e = write_noted(n, a, p->site);
    if (e != ERR_OK)
        return e;
    return store_journal_append(n->store, ITEM_ANSWER, p->name, (struct dot){0, 0}, a->hlc,
                                i->bytes, &pos);
}

/* Into n->answered_clock. ERR_NOT_FOUND: it was sent before this office joined. */
static enum err read_answered(struct node *n, uint64_t id)
{
    struct bytes bytes;
    struct mark m;
    if (n->answered_id == id)
        return ERR_OK;
    enum err e = store_journal_mark(n->store, &n->arena, id, &bytes);
    if (e == ERR_OK)
        e = codec_mark_open(&n->arena, bytes, n->hub_key, &m);
    if (e != ERR_OK)
        return e;
    clock_copy(&n->answered_clock, &m.clock);
    n->answered_id = id;
    return ERR_OK;
}

/* Whether the node of this site answers marks, by whatever site it has now: it has the keys of its
 * earlier ones still. */
static enum err read_active(struct node *n, uint64_t site, bool *active, const char **node)
{
    struct site_record r;
    struct node_record of;
    enum err e = store_site_get(n->store, &n->arena, site, &r);
    if (e == ERR_OK)
        e = store_node_get(n->store, &n->arena, r.node, &of);
    *node = e == ERR_OK ? r.node : "";
    *active = e == ERR_OK && of.state == NODE_ACTIVE;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* The site whose answers bind this one: of an earlier site of the child itself, the one it has. */
static enum err bound_by(struct node *n, const struct peer *p, uint64_t site, uint64_t *by)
{
    struct site_record r;
    *by = site;
    if (site == p->site)
        return ERR_OK;
    enum err e = store_site_get(n->store, &n->arena, site, &r);
    if (e == ERR_OK && strcmp(r.node, p->name) == 0)
        *by = p->site;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* What its context lacks; NULL: nothing. */
static enum err lacks(struct node *n, const struct peer *p, const struct changeset *cs,
                      const char **what)
{
    uint64_t by;
    struct answer_noted a;
    *what = NULL;
    enum err e = bound_by(n, p, cs->dot.site, &by);
    if (e == ERR_OK)
        e = read_noted(n->store, by, &a);
    if (e != ERR_OK)
        return e;
    e = a.any && a.mark > 0 && a.carrier == p->site ? read_answered(n, a.mark) : ERR_NOT_FOUND;
    if (e == ERR_OK && !clock_includes(&cs->context, &n->answered_clock))
        *what = node_why(n, "mark %llu", (unsigned long long)a.mark);
    else if (!clock_includes(&cs->context, &store_state_get(n->store)->stable))
        *what = "the mark that is stable";
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err mark_check_context(struct node *n, struct batch *b, const struct peer *p,
                            const struct changeset *cs)
{
    const char *node, *what;
    bool active = false;
    if (cs->dot.seq <= clock_get(&store_state_get(n->store)->clock, cs->dot.site))
        return ERR_OK; /* it comes again: it was sealed before */
    enum err e = lacks(n, p, cs, &what);
    if (e == ERR_OK && what)
        e = read_active(n, cs->dot.site, &active, &node);
    if (e != ERR_OK || !active)
        return e;
    b->why = node_why(n,
                      "suspect: %s has answered %s, and its changeset %llu is written as if it had "
                      "not seen it",
                      node, what, (unsigned long long)cs->dot.seq);
    return ERR_IDENTITY;
}
