/* sim [--seeds FROM COUNT] [--file SEEDS] [--ms N] [--break RULE]
 *     [--join] [--write-while-loading] [--drawn] [--gaps [--stray-deletes]] [--flips] [--hostile]
 *     [--clocks] [--ignore] [--trace] [--verbose] [--watch TABLE KEY]
 *
 * --watch: what stands under the key (as JSON) at each office, its record and what it is held for,
 * whenever one of them is another. */
#include "tests/sim/world.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    uint64_t from, count, ms;
    const char *file;
    struct kind kind;
    bool trace, verbose;
    struct watched watch;
};
struct totals {
    uint64_t passed, failed, steps, writes, crashes, stops, cuts, drops, checks, repeats, parts,
        joins, join_crashes, decisions, gaps, waiting, attacks, attacks_refused, jumps, waits,
        skips;
    uint64_t held[HOLD_COUNT], open[POLICY_COUNT], exists, births;
};
static const char *const breach_name[BREACH_COUNT] = {
    "none", "acks",  "context", "forget",  "twice", "losers", "children",
    "gaps", "found", "wrote",   "ignored", "time",  "trust",  "flips"};

/* One seed, start to end; its trace hash. */
static uint64_t play(const struct options *o, uint64_t seed, struct totals *t, char broken[1024])
{
    static struct world w;
    world_start(&w, seed, &o->kind);
    w.verbose = o->verbose;
    w.watch = o->watch;
    world_run(&w, o->ms);
    if (w.broken[0] == '\0')
        world_heal(&w);
    if (w.broken[0] == '\0')
        oracle_healed(&w);
    uint64_t trace = w.trace ^ disk_hash(w.disk);
    memcpy(broken, w.broken, sizeof w.broken);
    t->steps += w.steps;
    t->writes += w.writes;
    t->crashes += w.crashes;
    t->stops += w.stops;
    t->cuts += w.cuts;
    t->drops += w.drops;
    t->checks += w.checks;
    t->repeats += w.repeats;
    t->parts += w.parts;
    t->joins += w.joins;
    t->join_crashes += w.join_crashes;
    t->decisions += w.decisions;
    t->gaps += w.gaps;
    t->waiting += w.waiting;
    t->attacks += w.attacks;
    t->attacks_refused += w.attacks_refused;
    t->jumps += w.jumps;
    t->waits += w.waits;
    t->skips += w.skips;
    t->exists += w.exists;
    t->births += w.births;
    for (int i = 0; i < HOLD_COUNT; i++)
        t->held[i] += w.held[i];
    for (int i = 0; i < POLICY_COUNT; i++)
        t->open[i] += w.open[i];
    world_stop(&w);
    return trace;
}

static void seed_passes(const struct options *o, uint64_t seed, struct totals *t)
{
    char broken[1024];
    struct totals scrap = {0};
    uint64_t trace = play(o, seed, t, broken);
    if (o->trace)
        printf("seed %llu trace %016llx\n", (unsigned long long)seed, (unsigned long long)trace);
    bool again = t->passed + t->failed < 3 && o->kind.breach == BREACH_NONE;
    if (broken[0] == '\0' && again && play(o, seed, &scrap, broken) != trace)
        snprintf(broken, sizeof broken, "determinism: the same seed gave another history");
    if (broken[0] == '\0') {
        t->passed++;
        return;
    }
    t->failed++;
    printf(
        "seed %llu: %s\n    repeat: sim --seeds %llu 1 --ms %llu --verbose%s%s%s%s%s%s%s%s%s%s\n",
        (unsigned long long)seed, broken, (unsigned long long)seed, (unsigned long long)o->ms,
        o->kind.breach ? " --break " : "", o->kind.breach ? breach_name[o->kind.breach] : "",
        o->kind.join ? " --join" : "", o->kind.write_loading ? " --write-while-loading" : "",
        o->kind.drawn ? " --drawn" : "",
        o->kind.flips  ? " --flips"
        : o->kind.gaps ? " --gaps"
                       : "",
        o->kind.stray_deletes ? " --stray-deletes" : "", o->kind.hostile ? " --hostile" : "",
        o->kind.clocks ? " --clocks" : "", o->kind.ignores ? " --ignore" : "");
    fflush(stdout);
}

/* What speaks of the tables of app.c knows none of a drawn schema. */
static bool fit_together(const struct kind *k)
{
    const char *fixed = k->flips     ? "--flips"
                        : k->gaps    ? "--gaps"
                        : k->hostile ? "--hostile"
                        : k->ignores ? "--ignore"
                                     : NULL;
    if (k->drawn && fixed)
        fprintf(stderr,
                "sim: %s plays in the tables that are fixed, --drawn in others: leave out"
                " one of the two\n",
                fixed);
    if (k->stray_deletes && !k->gaps)
        fprintf(stderr, "sim: --stray-deletes is a kind of --gaps: add --gaps\n");
    if (k->stray_deletes && k->flips)
        fprintf(stderr, "sim: --flips is instead of --stray-deletes: leave out one of the two\n");
    bool both = k->ignores && (k->gaps || k->flips);
    if (both) /* what comes back by itself is looked for before a person decides what waits */
        fprintf(stderr, "sim: --ignore is played without --gaps and --flips: leave out one\n");
    return !both && !(k->drawn && fixed) && !(k->stray_deletes && (!k->gaps || k->flips));
}

static int usage(void)
{
    fprintf(stderr, "usage: sim [--seeds FROM COUNT] [--file SEEDS] [--ms N] [--break RULE]"
                    " [--join] [--write-while-loading] [--drawn] [--gaps [--stray-deletes]]"
                    " [--flips] [--hostile] [--clocks] [--ignore] [--trace] [--verbose]"
                    " [--watch TABLE KEY]\n");
    return 2;
}

static bool parse_breach(const char *text, enum breach *out)
{
    for (int i = 1; i < BREACH_COUNT; i++) {
        if (strcmp(text, breach_name[i]) == 0)
            *out = (enum breach)i;
    }
    return *out != BREACH_NONE;
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        int left = argc - i - 1;
        if (strcmp(argv[i], "--seeds") == 0 && left >= 2) {
            o->from = strtoull(argv[++i], NULL, 10);
            o->count = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--file") == 0 && left >= 1) {
            o->file = argv[++i];
        } else if (strcmp(argv[i], "--ms") == 0 && left >= 1) {
            o->ms = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--break") == 0 && left >= 1) {
            if (!parse_breach(argv[++i], &o->kind.breach))
                return false;
        } else if (strcmp(argv[i], "--trace") == 0) {
            o->trace = true;
        } else if (strcmp(argv[i], "--join") == 0) {
            o->kind.join = true;
        } else if (strcmp(argv[i], "--write-while-loading") == 0) {
            o->kind.write_loading = true;
        } else if (strcmp(argv[i], "--drawn") == 0) {
            o->kind.drawn = true;
        } else if (strcmp(argv[i], "--gaps") == 0) {
            o->kind.gaps = true;
        } else if (strcmp(argv[i], "--stray-deletes") == 0) {
            o->kind.stray_deletes = true;
        } else if (strcmp(argv[i], "--flips") == 0) {
            o->kind.gaps = o->kind.flips = true;
        } else if (strcmp(argv[i], "--hostile") == 0) {
            o->kind.hostile = true;
        } else if (strcmp(argv[i], "--clocks") == 0) {
            o->kind.clocks = true;
        } else if (strcmp(argv[i], "--ignore") == 0) {
            o->kind.ignores = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
        } else if (strcmp(argv[i], "--watch") == 0 && left >= 2) {
            o->watch.table = argv[++i];
            o->watch.key = argv[++i];
        } else {
            return false;
        }
    }
    return fit_together(&o->kind);
}

/* Seeds that once failed, one a line; '#' begins a comment. */
static bool play_file(const struct options *o, struct totals *t)
{
    char line[256];
    FILE *f = fopen(o->file, "r");
    if (!f) {
        perror(o->file);
        return false;
    }
    while (fgets(line, sizeof line, f)) {
        char *end;
        unsigned long long seed = strtoull(line, &end, 10);
        if (end != line)
            seed_passes(o, seed, t);
    }
    fclose(f);
    return true;
}

/* What the hubs had in the end. */
static void print_left(const struct totals *t)
{
    if (t->gaps)
        printf("gaps %llu, %llu offices waited for a person; ", (unsigned long long)t->gaps,
               (unsigned long long)t->waiting);
    if (t->attacks)
        printf("attacks %llu, %llu times refused; ", (unsigned long long)t->attacks,
               (unsigned long long)t->attacks_refused);
    if (t->jumps)
        printf("clocks set %llu times, %llu times something waited; ", (unsigned long long)t->jumps,
               (unsigned long long)t->waits);
    if (t->skips)
        printf("%llu triggers ignored; ", (unsigned long long)t->skips);
    printf("decisions %llu; rows %llu; held:", (unsigned long long)t->decisions,
           (unsigned long long)t->held[HOLD_NONE]);
    for (int i = 1; i < HOLD_COUNT; i++)
        printf(" %s %llu", hold_reason_name((enum hold_reason)i), (unsigned long long)t->held[i]);
    printf("; open: exists %llu birth %llu", (unsigned long long)t->exists,
           (unsigned long long)t->births);
    for (int i = 0; i < POLICY_COUNT; i++)
        printf(" %s %llu", policy_name((enum policy)i), (unsigned long long)t->open[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    struct options o = {.from = 1, .count = 100, .ms = 30000};
    struct totals t = {0};
    if (!parse(argc, argv, &o))
        return usage();
    /* What one world gave back serves the next: new pages for each cost a seventh of the time. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 1 << 26);
    /* One thread: SQLite's locks and its counting of memory guard nothing here. */
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 1200, 400);
    if (o.file && !play_file(&o, &t))
        return 2;
    for (uint64_t i = 0; i < o.count; i++)
        seed_passes(&o, o.from + i, &t);
    printf("%llu passed, %llu failed; %llu steps, %llu writes, %llu crashes, %llu stops, %llu "
           "cuts, %llu messages lost,"
           " %llu comparisons, %llu repetitions, %llu cut changesets,"
           " %llu joins, %llu crashes in them\n",
           (unsigned long long)t.passed, (unsigned long long)t.failed, (unsigned long long)t.steps,
           (unsigned long long)t.writes, (unsigned long long)t.crashes, (unsigned long long)t.stops,
           (unsigned long long)t.cuts, (unsigned long long)t.drops, (unsigned long long)t.checks,
           (unsigned long long)t.repeats, (unsigned long long)t.parts, (unsigned long long)t.joins,
           (unsigned long long)t.join_crashes);
    print_left(&t);
    if (o.kind.breach != BREACH_NONE) /* a negative control: it must be found */
        return t.failed > 0 ? 0 : 1;
    return t.failed > 0 ? 1 : 0;
}
