/* How a world begins: what its seed draws, and its offices. */
#include "node/check/check.h"
#include "node/state/state.h"
#include "node/store/store.h"
#include "tests/sim/world.h"

#include "conflict/hlc.h"
#include "conflict/value.h"
#include "protocol/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void draw_profile(struct world *w)
{
    w->profile = (struct profile){.wal = world_chance(w, 500),
                                  .keys = world_chance(w, 200),
                                  .open_tx = 60,
                                  .pause_ms = 200 + world_below(w, 1500)};
    if (w->profile.wal)
        (void)world_chance(w, 400); /* decides nothing any more: the kept seeds have it */
    if (world_chance(w, 250))
        w->profile.seal_rows = 1 + world_below(w, 30);
    if (world_chance(w, 200))
        w->profile.open_tx = 400;
    if (world_chance(w, 250))
        w->profile.burst = 60;
    if (world_chance(w, 400))
        w->profile.away_ms = 1000 + world_below(w, 15000);
}

/* Mostly right, sometimes off by a minute, now and then by days or years. */
static int64_t draw_skew(struct world *w)
{
    if (world_chance(w, 80))
        return (int64_t)(world_random(w) % (20ULL * 86400000)) - 5LL * 86400000;
    if (world_chance(w, 40))
        return -(int64_t)(world_random(w) % (40ULL * 365 * 86400000));
    return world_chance(w, 300) ? (int64_t)world_below(w, 200000) - 100000 : 0;
}

/* Each office's unit lies in its parent's; two characters a level, as long as there is room. */
static void draw_unit(struct world *w, int i)
{
    struct machine *m = &w->m[i];
    char above[sizeof m->o.unit] = "";
    if (i)
        memcpy(above, w->m[m->parent].o.unit, sizeof above);
    if (w->schema.fixed)
        snprintf(m->o.unit, sizeof m->o.unit, "%s", i ? "12" : "");
    else if (i && strlen(above) < 6)
        snprintf(m->o.unit, sizeof m->o.unit, "%.4s%02u", above, draw_below(&w->app, 4) + 10);
    else
        snprintf(m->o.unit, sizeof m->o.unit, "%.7s", above);
    w->unit[i] = m->o.unit;
    int at = i; /* by site */
    for (; at > 0 && w->site_unit[at - 1].site > m->o.site; at--)
        w->site_unit[at] = w->site_unit[at - 1];
    w->site_unit[at] = (struct site_unit){m->o.site, m->o.unit};
    w->units = (struct unit_list){(size_t)i + 1, w->site_unit};
    m->model.units = &w->units;
    m->model.meant = w->profile.gaps ? &w->meant : NULL;
    m->model.site = m->o.site;
    m->model.probe = w->schema.probe;
}

static void draw_schema(struct world *w, bool drawn)
{
    char why[1024] = "";
    w->app.state = (w->seed + 3) * 0x9e3779b97f4a7c15ULL;
    if (!drawn)
        schema_fixed(&w->schema, app_schema, app_charter);
    else if (!schema_draw(&w->schema, w->seed, why))
        world_break(w, "charter", "%s", why);
}

/* The charter says in every office what was drawn, and nothing is wrong with it. */
static void check_charter(struct world *w, struct machine *m)
{
    struct arena a = {0};
    struct finding *list = NULL;
    size_t n = 0;
    char why[256];
    enum err e = store_schema_findings(m->o.store, &a, &list, &n);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        if (strcmp(list[i].level, "fail") == 0)
            world_break(w, "charter", "%s: %s", list[i].subject, list[i].text);
    }
    if (e != ERR_OK || schema_load(m->o.store) != ERR_OK)
        world_break(w, "charter", "%s", store_message(m->o.store));
    else if (schema_differs(&w->schema, m->o.store, why))
        world_break(w, "charter", "not as drawn: %s", why);
    arena_fini(&a);
}

/* Of when it joined, as from the chunks of its load. */
static void know_time(struct world *w, struct machine *m)
{
    struct store *s = m->o.store;
    if (store_begin(s) != ERR_OK ||
        store_set_hlc(s, hlc_make(world_wall_ms(w, &w->m[0]), 0)) != ERR_OK ||
        store_commit(s) != ERR_OK)
        world_break(w, "charter", "%s: %s", m->o.name, store_message(s));
}

/* Below anybody; the clocks of the others are about right, so that what it stamps is known to be
 * too much. */
static struct office add_puppet(struct world *w)
{
    struct machine *m = &w->m[w->n];
    struct generator g = {(w->seed + 11) * 0x9e3779b97f4a7c15ULL};
    m->parent = (int)draw_below(&g, (uint32_t)w->n);
    office_identity(&m->o, w->n, w->m[m->parent].o.name, "");
    draw_unit(w, w->n);
    m->line = true;
    for (int i = 0; i < w->n; i++) {
        w->m[i].skew_ms %= 60000;
        w->m[i].model.forged = true;
    }
    puppet_start(w);
    return m->o;
}

void world_start(struct world *w, uint64_t seed, const struct kind *kind)
{
    bool join = kind->join;
    memset(w, 0, sizeof *w);
    w->breach = kind->breach;
    w->seed = seed;
    w->random = (seed + 1) * 0x9e3779b97f4a7c15ULL;
    w->aside = (seed + 5) * 0x9e3779b97f4a7c15ULL;
    w->trace = VALUE_HASH_SEED;
    w->disk = disk_new(seed + 1);
    draw_schema(w, kind->drawn);
    if (w->broken[0] != '\0')
        return; /* a world without machines */
    w->n = kind->drawn ? 3 + (int)world_below(w, WORLD_NODES - 2) : 2 + (int)world_below(w, 7);
    draw_profile(w);
    w->profile.join = join;
    w->profile.clocks = kind->clocks;
    w->profile.ignores = kind->ignores;
    w->profile.write_loading = kind->write_loading;
    w->profile.gaps = kind->gaps;
    w->profile.stray_deletes = kind->stray_deletes;
    w->profile.flips = kind->flips;
    bool deep = world_chance(w, 300); /* a chain rather than a bush */
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)seed, 0);
    struct office all[WORLD_OFFICES] = {0};
    if (seal_start() != ERR_OK)
        abort();
    for (int i = 0; i < w->n; i++) {
        struct machine *m = &w->m[i];
        m->parent = i == 0 ? -1 : deep ? i - 1 : (int)world_below(w, (uint32_t)i);
        const char *parent = i == 0 ? "" : w->m[m->parent].o.name;
        office_identity(&m->o, i, parent, "");
        draw_unit(w, i);
        m->o.vfs = DISK_VFS;
        m->o.mono_ms = &w->now;
        snprintf(m->o.path, sizeof m->o.path, "m%d.db", i);
        m->skew_ms = draw_skew(w);
        if (i == 0 && w->profile.clocks)
            m->skew_ms = 0; /* the federation's time */
        m->line = true;
        m->o.late = i > 0 && join && (w->m[m->parent].o.late || world_chance(w, 120));
        all[i] = m->o;
    }
    if (kind->hostile)
        all[w->n] = add_puppet(w);
    for (int i = 0; i < w->n; i++) {
        world_later(w, WHAT_APP, i, 100 + world_below(w, 500), 1);
        world_later(w, WHAT_AGAIN, i, 1000 + world_below(w, 1000), 0);
        if (kind->drawn)
            world_later(w, WHAT_DESK, i, 1000 + world_below(w, 3000), 0);
        if (w->m[i].o.late) {
            world_later(w, WHAT_JOIN, i, world_below(w, 6000), 0);
            continue;
        }
        office_found(&w->m[i].o, all, world_offices(w), w->schema.sql, w->schema.compiled,
                     w->profile.wal);
        check_charter(w, &w->m[i]);
        know_time(w, &w->m[i]);
        store_close(w->m[i].o.store);
        w->m[i].o.store = NULL;
        app_close(&w->m[i]);
        world_later(w, WHAT_START, i, world_below(w, 50), 0);
    }
    world_later(w, WHAT_FAULT, 0, 1000, 0);
    if (kind->gaps) {
        stray_start(w);
        world_aside(w);
        world_later(w, WHAT_GAP, 0, 1000 + world_below(w, 2000), 0);
        world_aside(w);
    }
    if (w->profile.clocks)
        clocks_start(w);
    if (w->profile.ignores)
        ignore_start(w);
}
