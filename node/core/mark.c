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
 *
 * Behind its answer an office has passed the mark, and so says each of its contexts. A changeset
 * that does not was sealed by a copy of it, or by somebody who means harm: what it writes is
 * concurrent to what everybody has forgotten by then, and offices would differ for good. Whoever
 * knows of the answer refuses it.
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
    n->mark_id = store_meta_u64(n->store, "mark_id", 0);
    enum err e = store_meta_get(n->store, &n->arena, "mark_clock", &b);
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

static void answer_key(char key[40], uint64_t site)
{
    snprintf(key, 40, "answer/%016llx", (unsigned long long)site);
}

/* The last mark that every active node has answered; the hub itself does so by sending it. */
static enum err answered_by_all(struct node *n, uint64_t *mark)
{
    struct node_record *r;
    size_t count;
    char key[40];
    *mark = n->mark_id;
    enum err e = store_node_list(n->store, &n->arena, &r, &count);
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        if (r[i].state != NODE_ACTIVE || strcmp(r[i].name, n->name) == 0)
            continue;
        answer_key(key, r[i].site);
        uint64_t answered = store_meta_u64(n->store, key, 0);
        *mark = answered < *mark ? answered : *mark;
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

/* At the hub. An office that names a mark that was never sent would have everything counted as
 * passed by it that is still to come: refused. Its 0 counts once: each makes a new mark for the
 * whole federation. */
static enum err note_answer(struct node *n, struct batch *b, const struct answer *a)
{
    char key[40];
    enum err e = read_marks(n);
    if (e != ERR_OK)
        return e;
    if (a->mark_id > n->mark_id) {
        b->why = "it answers a mark that was never sent";
        return ERR_MALFORMED;
    }
    answer_key(key, a->site);
    uint64_t known = store_meta_u64(n->store, key, UINT64_MAX); /* UINT64_MAX: its first */
    n->mark_check = true;
    if (known != UINT64_MAX && a->mark_id <= known)
        return ERR_OK;
    if (a->mark_id == 0)
        e = mark_anew(n);
    return e == ERR_OK ? store_meta_set_u64(n->store, key, a->mark_id) : e;
}

/* From a child: the hub notes it, every other node passes it on, if it has passed the mark: the hub
 * would refuse it from us, and all that we send behind it. */
enum err mark_pass_answer(struct node *n, struct batch *b, const struct inbox_item *i,
                          const char *source)
{
    uint64_t pos;
    char key[40];
    struct bytes mark;
    const struct answer *a = &i->u.answer;
    enum err e = ERR_OK;
    if (node_is_hub(n))
        return note_answer(n, b, a);
    if (a->mark_id > 0)
        e = store_journal_mark(n->store, &n->arena, a->mark_id, &mark);
    if (e == ERR_NOT_FOUND) {
        node_log(n, 1, "event=answer-dropped peer=%s mark=%llu text=\"it never went by here\"",
                 source, (unsigned long long)a->mark_id);
        return ERR_OK;
    }
    if (e != ERR_OK)
        return e;
    answer_key(key, a->site);
    if (a->mark_id > store_meta_u64(n->store, key, 0))
        e = store_meta_set_u64(n->store, key, a->mark_id);
    if (e != ERR_OK)
        return e;
    return store_journal_append(n->store, ITEM_ANSWER, source, (struct dot){0, 0}, i->u.answer.hlc,
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

enum err mark_check_context(struct node *n, struct batch *b, const struct changeset *cs)
{
    char key[40], why[400];
    struct site_record r;
    if (cs->dot.seq <= clock_get(&store_state_get(n->store)->clock, cs->dot.site))
        return ERR_OK; /* it comes again: it was sealed before */
    answer_key(key, cs->dot.site);
    uint64_t id = store_meta_u64(n->store, key, 0);
    enum err e = id > 0 ? read_answered(n, id) : ERR_NOT_FOUND;
    if (e == ERR_NOT_FOUND || (e == ERR_OK && clock_includes(&cs->context, &n->answered_clock)))
        return ERR_OK;
    if (e == ERR_OK)
        e = store_site_get(n->store, &n->arena, cs->dot.site, &r);
    if (e != ERR_OK)
        return e;
    snprintf(why, sizeof why,
             "suspect: %s has answered mark %llu, and its changeset %llu is written as if it had "
             "not seen it",
             r.node, (unsigned long long)id, (unsigned long long)cs->dot.seq);
    b->why = arena_strdup(&n->arena, why);
    return ERR_IDENTITY;
}
