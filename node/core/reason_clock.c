/* Whose clock is wrong, as reasons of the status: at the machine itself, at its parent, and at
 * everybody above (core/wall.c). */
#include "node/core/looking.h"

#include "conflict/hlc.h"

#include <stdio.h>

#define EARLIEST_MS 1577836800000ull /* 2020-01-01: no clock that was ever set shows less */
#define SET_IT                                                                                     \
    "set it, or let the system fetch the time (timesyncd, chrony); what is written meanwhile is "  \
    "stamped with the federation's time as it is known"

/* "3 days ahead", "10 years behind". */
static void off_text(char text[40], int64_t off_ms)
{
    static const struct {
        uint64_t ms;
        const char *name;
    } unit[] = {
        {UINT64_C(31557600000), "year"}, {86400000, "day"}, {3600000, "hour"}, {60000, "minute"}};
    uint64_t ms = off_ms < 0 ? -(uint64_t)off_ms : (uint64_t)off_ms;
    size_t u = 0;
    while (u < 3 && ms < 2 * unit[u].ms)
        u++;
    snprintf(text, 40, "%llu %ss %s", (unsigned long long)(ms / unit[u].ms), unit[u].name,
             off_ms < 0 ? "behind" : "ahead");
}

static void add(struct status_look *l, const char *subject, const char *text, const char *next)
{
    reason_add(l,
               &(struct reason){.code = "clock", .subject = subject, .text = text, .next = next});
}

static bool off(struct status_look *l, const char *subject, int64_t off_ms, const char *next)
{
    char text[120], off[40];
    if (!wall_wrong(off_ms))
        return false;
    off_text(off, off_ms);
    snprintf(text, sizeof text, "the wall clock of this machine is %s of the federation's", off);
    add(l, subject, text, next);
    return true;
}

static void stamped_ahead(struct status_look *l, const char *subject, uint64_t ahead_ms)
{
    char text[300], off[40], when[40];
    if (ahead_ms == 0)
        return;
    off_text(off, (int64_t)ahead_ms);
    status_time(when, status_now(l) + ahead_ms);
    snprintf(
        text, sizeof text,
        "suspect: clock: what waits there was stamped by a clock that was %s; it goes up at %s "
        "at the latest, nothing of that office before it, and nothing is lost",
        off, when);
    add(l, subject, text,
        "wait until then; setting the clock of that machine frees nothing that is stamped, but "
        "keeps it from stamping further ahead");
}

void reason_clocks_below(struct status_look *l, const struct peer *p)
{
    const char *next = "set the clock of that machine (timesyncd, chrony)";
    (void)off(l, p->name, p->skew_ms, next);
    stamped_ahead(l, p->name, p->ahead_ms);
    for (uint32_t i = 0; i < p->n_off; i++)
        (void)off(l, p->off[i].node, p->off[i].ms, next);
}

/* What has passed here was stamped by a clock that shows more than this one. */
static void passed(struct status_look *l)
{
    char text[200], shows[40], seen[40];
    uint64_t seen_ms = hlc_ms(store_state_get(l->s)->hlc);
    if (status_now(l) + NODE_SKEW_MS >= seen_ms || wall_beyond_belief(seen_ms, status_now(l)))
        return;
    status_time(shows, l->wall_ms);
    status_time(seen, seen_ms);
    snprintf(text, sizeof text,
             "this machine's clock shows %s, but changes stamped %s have passed here: it is "
             "behind, or another office's is ahead",
             shows, seen);
    add(l, l->id->node, text, SET_IT);
}

/* For whom it waits, only the hub knows. */
static void taken_back_later(struct status_look *l)
{
    char when[40];
    struct arena a = {0};
    struct buf text = {0}, next = {0};
    const char *name = NULL;
    bool hub = l->id->parent[0] == '\0';
    uint64_t seen_ms = hlc_ms(store_state_get(l->s)->hlc);
    if (l->wall_ms < EARLIEST_MS || !wall_beyond_belief(seen_ms, status_now(l)))
        return;
    if (hub && reason_unread(l, mark_awaited(l->s, &a, &name)))
        name = NULL;
    status_time(when, seen_ms);
    buf_printf(&text,
               "the time on record here is %s, which has not been yet: it is taken back when every "
               "office has passed what was stamped so, and changes are stamped behind it until "
               "then; %s%s",
               when,
               name  ? "it waits for "
               : hub ? "it waits for the next mark"
                     : "the hub waits",
               name ? name : "");
    buf_printf(&next,
               name  ? "see that %s runs and has a line"
               : hub ? "wait; it goes on by itself"
                     : "tonle status at the hub names the office that it waits for",
               name);
    add(l, l->id->node, buf_str(&text), buf_str(&next));
    buf_fini(&text);
    buf_fini(&next);
    arena_fini(&a);
}

void reason_own_clock(struct status_look *l)
{
    static const char *const fault[] = {
        [WALL_NOT_BELIEVED] = "the wall clock of this machine is not believed until the parent has "
                              "told the time; what is written is stamped with the last time that "
                              "is known",
        [WALL_OUTVOTED] = "the wall clock of this machine contradicts that of most offices below; "
                          "nothing is refused for its time meanwhile",
        [WALL_BEHIND] = "the wall clock of this machine is behind the time that the federation has "
                        "passed; nothing is refused for its time meanwhile"};
    struct node *n = l->n;
    enum wall_fault f = n ? wall_look(n) : WALL_GOOD;
    char text[120], shows[40];
    status_time(shows, l->wall_ms);
    snprintf(text, sizeof text, "this machine's clock shows %s: it was never set", shows);
    if (l->wall_ms < EARLIEST_MS)
        add(l, l->id->node, text, SET_IT);
    else if (f != WALL_GOOD)
        add(l, l->id->node, fault[f], "compare this machine's clock with another, and set it");
    else if (!off(l, l->id->node, n ? wall_off_ms(n) : -l->offset_ms, SET_IT))
        passed(l);
    taken_back_later(l);
    if (!n || !n->parent || !peer_open(n->parent) || n->parent->ahead_hlc == 0)
        return;
    uint64_t ahead_ms = wall_ahead_ms(n, n->parent);
    stamped_ahead(l, l->id->node, ahead_ms);
    if (ahead_ms == 0)
        add(l, n->parent->name,
            "the clock of that machine is behind, and nobody has told it the time: what is stamped "
            "later than it knows waits here until it is told at the latest",
            "see that it reaches its own parent, or set its clock");
}
