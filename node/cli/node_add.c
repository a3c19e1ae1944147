/* node_add.c - at the hub: registers an office and prints its invitation.
 *
 * Invariant: the one-time secret exists only in the printed line; the registry, which every office
 * reads, holds its public half.
 */
#include "node/cli/cli.h"

#include "node/capture/publish.h"
#include "node/journal/registry.h"
#include "protocol/seal.h"
#include "protocol/seal_enrol.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct add_options {
    const char *unit, *name, *parent, *listen;
    struct option_list reads;
    uint64_t expires_hours;
    struct node_record parent_record;
    uint8_t enrol_key[CURVE_KEY_BYTES], enrol_secret[INVITE_SECRET_BYTES];
};

static bool unit_ok(const char *unit)
{
    size_t n = strspn(unit, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    return unit[n] == '\0' && n <= 32;
}

static int check_words(struct cli *c, struct add_options *in)
{
    if (!in->unit || !in->name)
        return cli_usage(c, "%s is missing", !in->unit ? "--unit" : "--name");
    if (!cli_name_ok(in->name))
        return cli_usage(c, "\"%s\" is no name for a node: " CLI_NAME_RULE, in->name);
    if (in->unit[0] == '\0' || !unit_ok(in->unit))
        return cli_usage(c, "\"%s\" is no unit code: up to 32 letters and digits, as in 12 or 1201",
                         in->unit);
    for (size_t i = 0; i < in->reads.n; i++)
        if (!unit_ok(in->reads.item[i]))
            return cli_usage(c, "--read \"%s\" is no unit code: up to 32 letters and digits",
                             in->reads.item[i]);
    if (in->expires_hours == 0 || in->expires_hours > 24 * 366)
        return cli_usage(c, "--expires takes 1 to 8784 hours");
    if (in->listen && strncmp(in->listen, "tcp://", 6) != 0)
        return cli_usage(c, "\"%s\" is no endpoint: tcp://HOST:PORT", in->listen);
    return CLI_OK;
}

/* Runs inside the transaction that registers, so that what it saw still holds. */
static int check_registry(struct cli *c, struct add_options *in, struct cli_office *o)
{
    struct node_record present;
    enum err e = store_node_get(o->store, &c->arena, in->name, &present);
    if (e == ERR_OK && present.state != NODE_INVITED)
        return cli_fail(
            CLI_ERROR, "there is an office named %s already (unit %s, %s): choose another name",
            in->name, present.unit, present.state == NODE_ACTIVE ? "active" : "retired");
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return office_fail(o, e, "reading the registry");
    e = store_node_get(o->store, &c->arena, in->parent, &in->parent_record);
    const struct node_record *p = &in->parent_record;
    if (e == ERR_NOT_FOUND)
        return cli_fail(
            CLI_ERROR, "there is no office named %s to be the parent: `tonle node list` shows them",
            in->parent);
    if (e != ERR_OK)
        return office_fail(o, e, "reading the registry");
    if (strcmp(in->name, in->parent) == 0)
        return cli_fail(CLI_ERROR, "%s cannot be its own parent", in->name);
    if (p->state != NODE_ACTIVE)
        return cli_fail(
            CLI_ERROR, "the parent %s is %s: an invitation needs its key, so let it join first",
            in->parent, p->state == NODE_INVITED ? "invited but has not joined yet" : "retired");
    if (p->listen[0] == '\0')
        return cli_fail(
            CLI_ERROR,
            "the parent %s has no endpoint for children: it was added and joined without --listen",
            in->parent);
    size_t len = strlen(p->unit);
    if (strncmp(in->unit, p->unit, len) != 0 || strlen(in->unit) <= len)
        return cli_fail(
            CLI_ERROR,
            "unit %s does not lie below unit %s of %s: a unit's code begins with its parent's",
            in->unit, p->unit, in->parent);
    return CLI_OK;
}

static const char *join_reads(struct cli *c, const struct option_list *l)
{
    const char *text = "";
    for (size_t i = 0; i < l->n; i++)
        text = i == 0 ? l->item[0] : cli_printf(c, "%s,%s", text, l->item[i]);
    return text;
}

static int put_record(struct cli *c, struct add_options *in, struct cli_office *o,
                      uint64_t expires_ms)
{
    struct node_record r = {.name = in->name,
                            .unit = in->unit,
                            .parent = in->parent,
                            .listen = in->listen ? in->listen : "",
                            .state = NODE_INVITED,
                            .enrol_expires_ms = expires_ms,
                            .reads = join_reads(c, &in->reads)};
    memcpy(r.enrol_key, in->enrol_key, CURVE_KEY_BYTES);
    enum err e = store_begin(o->store);
    if (e != ERR_OK)
        return office_fail(o, e, "registering the office");
    int code = check_registry(c, in, o);
    if (code == CLI_OK && (e = store_node_put(o->store, &r)) != ERR_OK)
        code = office_fail(o, e, "registering the office");
    if (code == CLI_OK && (e = store_commit(o->store)) != ERR_OK)
        code = office_fail(o, e, "registering the office");
    if (code != CLI_OK)
        store_rollback(o->store);
    return code;
}

/* What children dial: a wildcard address names no machine, so this machine's name stands for it. */
static const char *reachable(struct cli *c, const char *endpoint)
{
    char host[256] = "";
    const char *port = strrchr(endpoint, ':');
    if (strncmp(endpoint, "tcp://*:", 8) != 0 && strncmp(endpoint, "tcp://0.0.0.0:", 14) != 0)
        return endpoint;
    if (gethostname(host, sizeof host - 1) != 0)
        return endpoint;
    const char *named = cli_printf(c, "tcp://%s%s", host, port);
    cli_note("The parent listens on every address (%s); the invitation says %s. Where the office "
             "cannot reach that, give the "
             "parent an endpoint that names its address.",
             endpoint, named);
    return named;
}

static int print_invitation(struct cli *c, struct add_options *in, struct cli_office *o,
                            uint64_t expires_ms)
{
    const struct store_identity *id = store_identity_get(o->store);
    struct invitation inv = {.federation = id->federation,
                             .federation_name = id->federation_name,
                             .node = in->name,
                             .unit = in->unit,
                             .parent = in->parent,
                             .listen = in->listen ? in->listen : "",
                             .parent_endpoint = reachable(c, in->parent_record.listen),
                             .hub_node = id->hub,
                             .hub_site = id->hub_site,
                             .expires_ms = expires_ms};
    const char *line = NULL;
    memcpy(inv.parent_curve_key, in->parent_record.curve_key, CURVE_KEY_BYTES);
    memcpy(inv.hub_sign_key, id->hub_sign_key, SIGN_PUBLIC_BYTES);
    memcpy(inv.enrol_secret, in->enrol_secret, INVITE_SECRET_BYTES);
    enum err e = invitation_encode(&c->arena, &inv, &line);
    explicit_bzero(&inv, sizeof inv);
    if (e != ERR_OK)
        return cli_fail(CLI_ERROR,
                        "the invitation cannot be written (%s): shorten names and endpoints",
                        err_name(e));
    if (c->json)
        cli_print_json(json_pack("{s:i, s:s, s:s, s:s}", "schema", CLI_SCHEMA, "node", in->name,
                                 "expires_at", cli_time(c, expires_ms), "invitation", line));
    else
        cli_print("%s\n", line);
    cli_note("Hand this line to the operator of %s on a private way; it works once, until %s.\n"
             "There: tonle join --db FILE --invitation FILE",
             in->name, cli_time(c, expires_ms));
    return CLI_OK;
}

/* A running node finds the new row by itself; told, it lets the office in at once. */
static void poke(struct cli *c)
{
    json_t *answer = NULL;
    if (cli_ask(c, json_pack("{s:s}", "do", "poke"), 1000, &answer) == CLI_OK)
        json_decref(answer);
}

static int add_node(struct cli *c, struct add_options *in, struct cli_office *o)
{
    const struct store_identity *id = store_identity_get(o->store);
    uint8_t curve_secret[CURVE_KEY_BYTES];
    if (id->parent[0] != '\0')
        return cli_fail(CLI_ERROR, "offices are added at the hub (%s) only, and this is %s",
                        id->hub, id->node);
    if (!in->parent)
        in->parent = id->node;
    cli_random(in->enrol_secret, sizeof in->enrol_secret);
    seal_invite_keypair(in->enrol_secret, in->enrol_key, curve_secret);
    explicit_bzero(curve_secret, sizeof curve_secret);
    uint64_t expires_ms = cli_now_ms() + in->expires_hours * 3600000;
    int code = put_record(c, in, o, expires_ms);
    if (code == CLI_OK)
        code = print_invitation(c, in, o, expires_ms);
    if (code == CLI_OK)
        poke(c);
    explicit_bzero(in->enrol_secret, sizeof in->enrol_secret);
    return code;
}

int command_node_add(struct cli *c, int argc, char **argv)
{
    struct add_options in = {.expires_hours = 72};
    struct cli_office o = {0};
    const struct option options[] = {{"--unit", OPTION_TEXT, &in.unit},
                                     {"--name", OPTION_TEXT, &in.name},
                                     {"--parent", OPTION_TEXT, &in.parent},
                                     {"--listen", OPTION_TEXT, &in.listen},
                                     {"--read", OPTION_LIST, &in.reads},
                                     {"--expires", OPTION_NUMBER, &in.expires_hours},
                                     {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 0);
    if (code == CLI_OK)
        code = check_words(c, &in);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_WRITE, &o);
    if (code != CLI_OK)
        return code;
    code = seal_start() == ERR_OK ? add_node(c, &in, &o)
                                  : cli_fail(CLI_ERROR, "the crypto library does not start");
    office_close(&o);
    return code;
}
