/* run.c - the node in the foreground. */
#include "node/cli/cli.h"

#include "node/db/db.h"
#include "node/journal/journal.h"
#include "node/loop/loop.h"
#include "protocol/seal.h"

#include <string.h>

struct running {
    struct cli *cli;
    struct cli_office office;
    struct identity_file identity;
    int lock;
};

/* After each commit that changed our seq: the record outside the database. */
static void committed(void *user, uint64_t site, uint64_t seq)
{
    struct running *r = user;
    identity_write(&r->identity, &(struct identity_record){.site = site, .seq = seq});
}

/* A port that was picked is kept. */
static void listening(void *user, const char *endpoint)
{
    struct running *r = user;
    char msg[256] = "";
    if (strcmp(r->office.config.listen, endpoint) == 0)
        return;
    r->office.config.listen = arena_strdup(&r->cli->arena, endpoint);
    if (config_save(r->cli->dir, &r->office.config, msg) != ERR_OK)
        loop_log(1, msg);
}

static struct node *make_node(struct running *r, const struct identity_record *last)
{
    const struct config *config = &r->office.config;
    struct node_options no = {.store = r->office.store,
                              .software = "tonle " TONLE_VERSION,
                              .run = loop_random(),
                              .batch_ms = config->batch_ms,
                              .batch_max_ms = config->batch_max_ms,
                              .heartbeat_ms = config->heartbeat_ms,
                              .mark_ms = config->mark_ms,
                              .outside_site = last->site,
                              .outside_seq = last->seq,
                              .committed = committed,
                              .user = r};
    memcpy(no.sign_secret, r->office.keys.sign_secret, SIGN_SECRET_BYTES);
    struct node *n = node_new(&no);
    explicit_bzero(&no, sizeof no);
    return n;
}

static int run_loop(struct running *r, struct node *n)
{
    const struct config *config = &r->office.config;
    struct loop_options lo = {.node = n,
                              .dir = r->cli->dir,
                              .db_path = r->office.db_path,
                              .listen = config->listen,
                              .parent_endpoint = config->parent_endpoint,
                              .listening = listening,
                              .user = r};
    memcpy(lo.parent_curve_key, config->parent_curve_key, CURVE_KEY_BYTES);
    memcpy(lo.curve_key, r->office.keys.curve_key, CURVE_KEY_BYTES);
    memcpy(lo.curve_secret, r->office.keys.curve_secret, CURVE_KEY_BYTES);
    int code = loop_run(&lo);
    explicit_bzero(&lo, sizeof lo);
    return code;
}

/* A directory beside another node's database would sign with a key that is not this node's. */
static int check_keys(struct running *r)
{
    struct store *s = r->office.store;
    const struct store_identity *id = store_identity_get(s);
    struct site_record site;
    enum err e = store_site_get(s, &r->cli->arena, id->site, &site);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return office_fail(&r->office, e, "reading the registry");
    if (e == ERR_OK && memcmp(site.sign_key, r->office.keys.sign_key, SIGN_PUBLIC_BYTES) == 0)
        return CLI_OK;
    return cli_fail(
        CLI_ERROR,
        "the database %s is that of the node %s, and the keys in %s are not: they do not "
        "belong together; bring back the right file, or give the right --dir",
        r->office.db_path, id->node, r->cli->dir);
}

static int run_locked(struct running *r)
{
    char msg[256] = "";
    struct identity_record last = {0};
    int code = office_open(r->cli, OFFICE_RUN, &r->office);
    if (code != CLI_OK)
        return code;
    code = check_keys(r);
    if (code == CLI_OK)
        code = office_claim(r->cli, &r->office, r->lock);
    if (code != CLI_OK) {
        office_close(&r->office);
        return code;
    }
    enum err e = identity_open(r->cli->dir, &r->identity, &last, msg);
    if (e != ERR_OK) {
        office_close(&r->office);
        return cli_fail(CLI_ERROR, "%s", msg);
    }
    struct node *n = make_node(r, &last);
    code = run_loop(r, n);
    node_free(n);
    office_close(&r->office);
    identity_close(&r->identity);
    return code;
}

int command_run(struct cli *c, int argc, char **argv)
{
    char msg[256] = "";
    struct running r = {.cli = c, .lock = -1, .identity = {.fd = -1}};
    int code = cli_arguments(c, argc, argv, NULL, 0, 0);
    if (code != CLI_OK)
        return code;
    if (seal_start() != ERR_OK)
        return cli_fail(CLI_ERROR, "the crypto library does not start");
    code = office_check(c);
    if (code != CLI_OK)
        return code;
    enum err e = lock_take(c->dir, &r.lock, msg);
    if (e == ERR_BUSY)
        return cli_fail(CLI_ERROR, "a node runs on %s already: `tonle status --dir %s` shows it",
                        c->dir, c->dir);
    if (e != ERR_OK)
        return cli_fail(CLI_ERROR, "%s", msg);
    code = run_locked(&r);
    lock_release(r.lock);
    return code;
}
