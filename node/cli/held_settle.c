/* held_settle.c - a person settles held rows: decides again, or changes, merges or drops one. */
#include "node/cli/review.h"

#include "node/apply/apply.h"
#include "node/desk/desk.h"

#include <stdio.h>

#define LIST "tonle held list"

/* In its own short transaction, beside a node that may be running: it reads the state anew at each
 * step. */
static enum err attempt(struct cli *c, struct cli_office *o, const char *word, uint32_t *released,
                        bool *begun)
{
    struct held_record r = {0};
    enum err e = store_begin(o->store);
    *begun = e == ERR_OK;
    if (e == ERR_OK && word)
        e = store_held_get(o->store, &c->arena, word, &r);
    uint64_t offset_ms = 0;
    if (e == ERR_OK)
        e = store_meta_u64(o->store, "offset_ms", 0, &offset_ms);
    if (e == ERR_OK)
        e = store_held_retry(o->store, &c->arena, r.id, cli_now_ms() + offset_ms, released);
    if (e == ERR_OK)
        e = store_commit(o->store);
    if (e != ERR_OK)
        store_rollback(o->store);
    return e;
}

/* A row whose trigger rolls all back is left out of the next attempt. */
static enum err retry(struct cli *c, struct cli_office *o, const char *word, uint32_t *released)
{
    enum err e = ERR_BUSY;
    bool begun = true;
    for (int left = 100; e == ERR_BUSY && begun && left > 0; left--)
        e = attempt(c, o, word, released, &begun);
    return e;
}

int command_held_retry(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    bool all = false;
    uint32_t released = 0;
    const struct option options[] = {{"--all", OPTION_FLAG, &all}, {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 1);
    if (code != CLI_OK)
        return code;
    if (all == (c->n_words == 1))
        return cli_usage(c, all ? "--all and an ID exclude each other"
                                : "give the ID of a held row, or --all");
    code = office_open(c, OFFICE_WRITE, &o);
    if (code != CLI_OK)
        return code;
    enum err e = retry(c, &o, all ? NULL : c->words[0], &released);
    if (e == ERR_NOT_FOUND)
        code = cli_fail(CLI_ERROR, "there is no held row %s: `tonle held list` shows them",
                        c->words[0]);
    else if (e != ERR_OK)
        code = office_fail(&o, e, "deciding the held rows again");
    else if (c->json)
        cli_print_json(json_pack("{s:i, s:i}", "schema", CLI_SCHEMA, "released", (int)released));
    else
        cli_print("%u rows stand now%s\n", released,
                  released == 0 ? "; what is in their way is still there (`tonle held list`)" : "");
    office_close(&o);
    return code;
}

static int settle(struct cli *c, enum held_action action, const struct review *review)
{
    struct cli_office o = {0};
    struct held_settled settled = {.children = ""};
    int code = office_open(c, OFFICE_WRITE, &o);
    if (code != CLI_OK)
        return code;
    enum err e = store_begin(o.store);
    if (e == ERR_OK)
        e = store_held_settle(o.store, &c->arena, c->words[0], action, review, &settled);
    if (e == ERR_OK)
        e = store_commit(o.store);
    if (e != ERR_OK)
        store_rollback(o.store);
    code = e == ERR_OK ? review_done(c, &o, &settled) : review_fail(&o, e, LIST);
    office_close(&o);
    return code;
}

/* The words behind the ID are assignments as well: `held set ID COL=VALUE`. */
static int run(struct cli *c, int argc, char **argv, enum held_action action)
{
    struct review_words w = {0};
    struct review review;
    bool leave = false;
    const struct option drop[] = {{"--leave-children", OPTION_FLAG, &leave},
                                  {"--reason", OPTION_TEXT, &w.reason},
                                  {"--by", OPTION_TEXT, &w.by},
                                  {NULL, OPTION_FLAG, NULL}};
    const struct option other[] = {{"--set", OPTION_LIST, &w.set},
                                   {"--reason", OPTION_TEXT, &w.reason},
                                   {"--by", OPTION_TEXT, &w.by},
                                   {NULL, OPTION_FLAG, NULL}};
    const struct option *options = action == HELD_DROP ? drop : other;
    int code = cli_arguments(c, argc, argv, options, 1, action == HELD_SET ? argc : 1);
    if (code != CLI_OK)
        return code;
    struct option_list words = {
        .item = arena_alloc(&c->arena, (w.set.n + (size_t)c->n_words) * sizeof *words.item)};
    for (int i = 1; i < c->n_words; i++)
        words.item[words.n++] = c->words[i];
    for (size_t i = 0; i < w.set.n; i++)
        words.item[words.n++] = w.set.item[i];
    w.set = words;
    if (action != HELD_DROP && !w.reason)
        w.reason = action == HELD_SET ? "corrected" : "merged into the row in its way";
    if (action == HELD_SET && words.n == 0)
        return cli_usage(c, "say what it should be: COL=VALUE");
    code = review_read(c, &w, &review);
    review.leave_children = leave;
    return code == CLI_OK ? settle(c, action, &review) : code;
}

int command_held_set(struct cli *c, int argc, char **argv)
{
    return run(c, argc, argv, HELD_SET);
}

int command_held_merge(struct cli *c, int argc, char **argv)
{
    return run(c, argc, argv, HELD_MERGE);
}

int command_held_drop(struct cli *c, int argc, char **argv)
{
    return run(c, argc, argv, HELD_DROP);
}
