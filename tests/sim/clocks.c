/* A world in which wall clocks jump, by minutes, days or ten years, while nodes run and while they
 * do not. In some worlds the hub's does, too, by a month at most: it is the federation's time, and
 * what it has stamped nobody takes back. In the end somebody sets them all right.
 *
 * What was stamped too far ahead waits at the office that stamped it, which says so; a month later
 * it is everywhere. In the hub's journal nothing stands that is more than twice the skew ahead of
 * its clock, but where most of its children have contradicted it at once: then it is in doubt. */
#include "tests/sim/world.h"

#include "conflict/hlc.h"

#include <stdio.h>
#include <string.h>

#define SKEW_MS INT64_C(300000)
#define DAY_MS INT64_C(86400000)

static bool is_off(int64_t ms)
{
    return ms > SKEW_MS / 2 || ms < -SKEW_MS / 2;
}

/* From now on the hub may follow them. */
static void look_at_hub(struct world *w)
{
    uint32_t off = 0, all = 0;
    for (int i = 1; i < w->n; i++) {
        all += w->m[i].parent == 0;
        off += w->m[i].parent == 0 && is_off(w->m[i].skew_ms);
    }
    w->hub_in_doubt = w->hub_in_doubt || (off > 1 && 2 * off >= all);
}

void clocks_start(struct world *w)
{
    w->clocks.state = (w->seed + 13) * 0x9e3779b97f4a7c15ULL;
    w->hub_jumps = draw_chance(&w->clocks, 400);
    look_at_hub(w);
    world_later(w, WHAT_CLOCK, 0, 1500, 0);
}

void clocks_jump(struct world *w)
{
    struct machine *m = &w->m[w->hub_jumps && draw_chance(&w->clocks, 250)
                                  ? 0
                                  : 1 + draw_below(&w->clocks, (uint32_t)w->n - 1)];
    int64_t by = 1 + draw_below(&w->clocks, 30);
    bool back = draw_chance(&w->clocks, 400);
    switch (draw_below(&w->clocks, m == &w->m[0] ? 2 : 4)) {
    case 0:
        by *= 60000;
        break;
    case 1:
        by *= DAY_MS;
        break;
    case 2:
        by = 3650 * DAY_MS;
        break;
    default:
        by = 0;
    }
    m->skew_ms = back ? -by : by;
    w->hub_in_doubt = w->hub_in_doubt || (m == &w->m[0] && is_off(m->skew_ms));
    w->jumps++;
    if (m != &w->m[0] &&
        draw_chance(&w->clocks,
                    400)) { /* and starts so, without a line: nobody tells it the time */
        m->line = false;
        world_power_off(w, m, false);
        world_later(w, WHAT_LINE, (int)(m - w->m), draw_below(&w->clocks, 8000), 0);
    }
    if (w->verbose)
        printf("%8llu %s: its clock is off by %lld s\n", (unsigned long long)w->now, m->o.name,
               (long long)m->skew_ms / 1000);
    look_at_hub(w);
    world_later(w, WHAT_CLOCK, 0, 500 + draw_below(&w->clocks, 4000), 0);
}

void clocks_heal(struct world *w)
{
    for (int i = 0; i < w->n; i++)
        w->m[i].skew_ms = 0;
}

void clocks_check(struct world *w, const struct machine *m, const struct changeset *cs)
{
    uint64_t most = world_wall_ms(w, &w->m[0]) + 2 * (uint64_t)SKEW_MS;
    if (m == &w->m[0] && !w->hub_in_doubt && hlc_ms(cs->hlc) > most)
        world_break(w, "4", "the hub has taken a changeset that is stamped %llu s ahead",
                    (unsigned long long)(hlc_ms(cs->hlc) - world_wall_ms(w, m)) / 1000);
}

/* Somebody above or at the office says that it waits for the time of its stamps. */
static bool is_said(struct world *w)
{
    bool said = false;
    for (int i = 0; i < w->n && !said; i++) {
        struct event ev = {
            .kind = EVENT_REQUEST, .bytes = (const uint8_t *)"{\"do\":\"status\"}", .len = 15};
        w->reply[0] = '\0';
        world_step(w, &w->m[i], &ev);
        said = strstr(w->reply, "it goes up at") || strstr(w->reply, "it is taken by itself at");
    }
    return said;
}

/* All is quiet, and not everything is everywhere: it waits for its time, and a month goes by. */
bool clocks_wait(struct world *w)
{
    uint64_t month = 32 * (uint64_t)DAY_MS;
    if (!is_said(w)) {
        world_break(w, "13", "something waits, and nobody says that it is for a clock");
        return false;
    }
    w->waits++;
    w->now += month;
    for (size_t i = 0; i < w->n_queue; i++)
        w->queue[i].at += month;
    return true;
}
