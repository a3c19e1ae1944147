/* A parent vouches for its children: what no honest office can have sealed goes no further than the
 * first office above it. Further up and down nobody could tell any more, or one sooner than
 * another, and honest offices would differ for good:
 *
 *   its context lacks its own     what it wrote before would be a conflict with itself
 *   changesets
 *   stamped at or before what     `latest` drops what loses at once, so it needs that who has seen
 *   its context covers            another write is later (wall.c)
 *   names a birth that nobody     who has forgotten names takes it for the one that lost its name,
 *   made, or that it had seen     or for none, and who has not, for nobody (apply/forged.c)
 *   deleted
 *
 * Who is refused is cut off, so nothing is refused that an honest office might send though it or
 * its parent has lost something: a change of a row that is not here is taken, changes nothing here,
 * and is told. Who passes it on does not look again: an office that loaded knows less of the past
 * than the one below it, and would stop all that comes from there. Stamps that cannot be are no
 * measure, nor are those far ahead of us that are stable: wall.c takes such a stored time back
 * then, and what is on record of it outlasts that. Nothing is far ahead that an honest clock may
 * have stamped: twice the skew. Where a time was taken back, its day comes: of what is stable no
 * stamp from after that is a measure any more. */
#include "node/core/internal.h"

#include <stdio.h>
#include <string.h>

static bool is_its_own(const struct peer *p, const struct inbox_item *i)
{
    return !p->up && strcmp(i->signer, p->name) == 0;
}

static enum err suspect(struct node *n, struct batch *b, const struct inbox_item *i,
                        const char *what)
{
    char why[400];
    snprintf(why, sizeof why, "suspect: changeset %llu of %s %s",
             (unsigned long long)i->u.cs.dot.seq, i->signer, what);
    b->why = arena_strdup(&n->arena, why);
    return ERR_IDENTITY;
}

static enum err check_order(struct node *n, struct batch *b, struct peer *p,
                            const struct inbox_item *i)
{
    const struct changeset *cs = &i->u.cs;
    const struct clock none = {0};
    bool follows = p->vouched_site == cs->dot.site && p->vouched_hlc < cs->hlc;
    struct dot later;
    uint64_t back, now = node_time(n);
    enum err e = store_meta_u64(n->store, META_BACK, 0, &back);
    if (e != ERR_OK)
        return e;
    uint64_t near = now + 2u * NODE_SKEW_MS;
    struct later_look look = {.seen = &cs->context,
                              .known = follows ? &p->vouched : &none,
                              .from = cs->hlc,
                              .most = hlc_make(wall_believable_ms(n), 0),
                              .now = hlc_make(!back        ? near
                                              : back < now ? back
                                                           : now,
                                              0)};
    e = store_journal_later(n->store, &look, &later);
    if (e != ERR_OK)
        return e; /* whose time is not on record came with our load */
    if (!dot_is_none(later))
        return suspect(n, b, i, "is stamped before what it was based on");
    clock_copy(&p->vouched, &cs->context);
    p->vouched_site = cs->dot.site;
    p->vouched_hlc = cs->hlc;
    return ERR_OK;
}

enum err vouch_before(struct node *n, struct batch *b, struct peer *p, const struct inbox_item *i)
{
    const struct changeset *cs = &i->u.cs;
    if (!is_its_own(p, i) ||
        cs->dot.seq != clock_get(&store_state_get(n->store)->clock, cs->dot.site) + 1)
        return ERR_OK; /* it comes again, or store_apply says what is missing */
    if (clock_get(&cs->context, cs->dot.site) != cs->dot.seq - 1)
        return suspect(n, b, i, "is not based on the one before it");
    return check_order(n, b, p, i);
}

enum err vouch_after(struct node *n, struct batch *b, const struct peer *p,
                     const struct inbox_item *i, const struct apply_report *r)
{
    return r->forged && is_its_own(p, i) ? suspect(n, b, i, r->forged) : ERR_OK;
}
