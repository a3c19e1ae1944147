/* conflict_resolve.c - a person decides a conflict, or takes what is in force for many. */
#include "node/cli/conflict.h"

#include "node/cli/review.h"
#include "node/desk/desk.h"

#include <string.h>
#include <unistd.h>

#define LIST "tonle conflict list"
#define BATCH 20 /* decisions in one transaction: the lock is left to applications between */

struct resolve_options {
    const char *take, *column;
    bool both, all, yes;
    struct conflict_words words; /* of --all */
    struct review_words review;
};

/* ---- one */

static int how_of(struct cli *c, const struct resolve_options *r, enum resolution *how)
{
    bool set = r->review.set.n > 0;
    if (!!r->take + r->both + (set && !r->both) != 1)
        return cli_usage(c, "give one of --take DOT|OFFICE, --set COL=VALUE and --keep-both");
    *how = r->take ? RESOLVE_TAKE : r->both ? RESOLVE_BOTH : RESOLVE_SET;
    return CLI_OK;
}

static int resolve_one(struct cli *c, const struct resolve_options *r)
{
    struct cli_office o = {0};
    struct review review;
    struct dot take = {0, 0};
    enum resolution how = RESOLVE_SET;
    const char *decision;
    int code = how_of(c, r, &how);
    if (code == CLI_OK)
        code = review_read(c, &r->review, &review);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_WRITE, &o);
    if (code != CLI_OK)
        return code;
    enum err e = store_begin(o.store);
    if (e == ERR_OK && r->take && !review_dot(r->take, &take))
        e = store_conflict_side_of(o.store, &c->arena, c->words[0], r->take, &take);
    if (e == ERR_OK)
        e = store_conflict_resolve(o.store, &c->arena, c->words[0], how, take, &review, &decision);
    if (e == ERR_OK)
        e = store_commit(o.store);
    if (e != ERR_OK)
        store_rollback(o.store);
    code = e == ERR_OK ? review_done(c, &o, &(struct held_settled){decision, ""})
                       : review_fail(&o, e, LIST);
    office_close(&o);
    return code;
}

/* ---- many */

struct resolve_many {
    struct cli *c;
    struct cli_office o;
    struct review review;
    const char **id;
    size_t n, cap;
    size_t done, skipped;
    const char *last; /* decision */
};

static void remember(const struct conflict_record *r, void *user)
{
    struct resolve_many *m = user;
    m->id = mem_grow(m->id, m->n, &m->cap, sizeof *m->id);
    m->id[m->n++] = arena_strdup(&m->c->arena, r->id);
}

/* All of them or none: a right that is missing for one is said before anything is written. */
static int check_rights(struct resolve_many *m)
{
    struct arena a = {0};
    size_t refused = 0;
    enum err e = ERR_OK;
    for (size_t i = 0; i < m->n && (e == ERR_OK || e == ERR_REFUSED || e == ERR_STATE); i++) {
        e = store_conflict_may(m->o.store, &a, m->id[i]);
        refused += e == ERR_REFUSED;
        arena_reset(&a);
    }
    arena_fini(&a);
    if (refused > 0)
        return cli_fail(CLI_REFUSED,
                        "%zu of these %zu conflicts are not this office's to decide (the charter's "
                        "review_by); nothing was changed",
                        refused, m->n);
    return e == ERR_OK || e == ERR_STATE ? CLI_OK : office_fail(&m->o, e, "nothing was decided");
}

static int ask(struct cli *c, const struct resolve_options *r, size_t n)
{
    char answer[16] = "";
    const char *what = cli_printf(c, "%zu open conflict%s of %s under the policy %s", n,
                                  n == 1 ? "" : "s", r->words.filter.table, r->words.filter.policy);
    if (r->yes)
        return CLI_OK;
    if (!isatty(STDIN_FILENO))
        return cli_usage(c, "%s: to take what is in force now for each, say --yes", what);
    fprintf(stderr, "%s. Take what is in force now for each? [y/N] ", what);
    if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
        return cli_fail(CLI_ERROR, "nothing was decided");
    return CLI_OK;
}

/* One transaction for `n` of them. What is gone meanwhile is an error of all, which are then tried
 * one by one. */
static enum err resolve_batch(struct resolve_many *m, size_t from, size_t n)
{
    struct arena a = {0};
    const char *decision = "";
    enum err e = store_begin(m->o.store);
    for (size_t i = from; e == ERR_OK && i < from + n; i++)
        e = store_conflict_resolve(m->o.store, &a, m->id[i], RESOLVE_SHOWN, (struct dot){0, 0},
                                   &m->review, &decision);
    if (e == ERR_OK)
        e = store_commit(m->o.store);
    if (e != ERR_OK)
        store_rollback(m->o.store);
    if (e == ERR_OK) {
        m->done += n;
        m->last = arena_strdup(&m->c->arena, decision);
    }
    arena_fini(&a);
    return e;
}

/* Settled meanwhile, or the row is gone. */
static bool is_over(enum err e)
{
    return e == ERR_STATE || e == ERR_NOT_FOUND || e == ERR_NOTHING;
}

static enum err decide_all(struct resolve_many *m)
{
    enum err e = ERR_OK;
    for (size_t from = 0; e == ERR_OK && from < m->n; from += BATCH) {
        size_t n = m->n - from < BATCH ? m->n - from : BATCH;
        e = resolve_batch(m, from, n);
        bool some = is_over(e);
        for (size_t i = 0; some && i < n; i++) {
            e = resolve_batch(m, from + i, 1);
            m->skipped += is_over(e);
            some = e == ERR_OK || is_over(e);
        }
        e = is_over(e) ? ERR_OK : e;
    }
    return e;
}

static int tell(struct resolve_many *m, enum err e)
{
    if (e != ERR_OK && m->done == 0)
        return office_fail(&m->o, e, "nothing was decided");
    if (e != ERR_OK)
        return office_fail(&m->o, e,
                           cli_printf(m->c,
                                      "%zu of %zu were decided; run the command again for the rest",
                                      m->done, m->n));
    if (m->skipped > 0)
        cli_note("%zu were settled meanwhile, or their rows are gone: `tonle conflict list --open` "
                 "shows what is left",
                 m->skipped);
    if (m->done == 0)
        return cli_fail(CLI_DECISION, "nothing was decided, and nothing is changed");
    if (!m->c->json)
        cli_print("%zu conflict%s: ", m->done, m->done == 1 ? "" : "s");
    return review_done(m->c, &m->o, &(struct held_settled){m->last, ""});
}

static int resolve_all(struct cli *c, struct resolve_options *r)
{
    struct resolve_many m = {.c = c};
    enum err e;
    r->words.filter.cell = r->column;
    r->words.filter.state = "open";
    int code = review_read(c, &r->review, &m.review);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_WRITE, &m.o);
    if (code != CLI_OK)
        return code;
    e = store_conflict_each(m.o.store, &r->words.filter, remember, &m);
    if (e != ERR_OK)
        code = office_fail(&m.o, e, "reading the conflicts");
    else if (m.n == 0)
        code = cli_fail(CLI_ERROR, "no conflict like that is open: `tonle conflict list --open`");
    if (code == CLI_OK)
        code = check_rights(&m);
    if (code == CLI_OK)
        code = ask(c, r, m.n);
    if (code == CLI_OK)
        code = tell(&m, decide_all(&m));
    mem_free(m.id);
    office_close(&m.o);
    return code;
}

int command_conflict_resolve(struct cli *c, int argc, char **argv)
{
    struct resolve_options r = {0};
    const struct option options[] = {{"--take", OPTION_TEXT, &r.take},
                                     {"--set", OPTION_LIST, &r.review.set},
                                     {"--keep-both", OPTION_FLAG, &r.both},
                                     {"--reason", OPTION_TEXT, &r.review.reason},
                                     {"--by", OPTION_TEXT, &r.review.by},
                                     {"--all", OPTION_FLAG, &r.all},
                                     {"--table", OPTION_TEXT, &r.words.filter.table},
                                     {"--policy", OPTION_TEXT, &r.words.filter.policy},
                                     {"--column", OPTION_TEXT, &r.column},
                                     {"--yes", OPTION_FLAG, &r.yes},
                                     {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 1);
    if (code != CLI_OK)
        return code;
    bool filtered = r.words.filter.table || r.words.filter.policy || r.column;
    if (r.all == (c->n_words == 1))
        return cli_usage(c, r.all ? "--all and an ID exclude each other"
                                  : "give the ID of a conflict, or --all");
    if (!r.all && (filtered || r.yes))
        return cli_usage(c, "--table, --policy, --column and --yes go with --all");
    if (!r.all)
        return resolve_one(c, &r);
    if (!r.words.filter.table || !r.words.filter.policy)
        return cli_usage(c, "--all needs --policy P and --table T");
    if (r.take || r.both || r.review.set.n > 0)
        return cli_usage(c, "--all takes for each conflict what is in force now: leave --take, "
                            "--set and --keep-both away");
    return resolve_all(c, &r);
}
