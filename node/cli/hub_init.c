/* hub_init.c - makes the federation and its root node.
 *
 * Invariant: everything in the database is made in one transaction; node.yaml is written just
 * before its commit, so that a run that was interrupted anywhere can simply be repeated.
 */
#include "node/cli/cli.h"

#include "node/capture/capture.h"
#include "node/capture/publish.h"
#include "node/check/autoincrement.h"
#include "node/check/check.h"
#include "node/db/copy.h"
#include "node/file/hex.h"
#include "node/journal/registry.h"
#include "protocol/seal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct init_options {
    const char *db, *charter_path, *listen, *name;
    struct charter charter;
    const char *compiled;
    struct keys keys;
    struct store *store;
    char federation[33];
    bool make_autoincrement, dry_run;
    const char *copy; /* of the database before its tables were made anew; NULL: none was */
};

static int store_failed(const struct init_options *in, enum err e, const char *doing)
{
    struct cli_office o = {.store = in->store};
    return office_fail(&o, e, doing);
}

/* The database and a node.yaml that is here already must not belong to another node. */
static int check_directory(struct cli *c, const struct init_options *in)
{
    char msg[1024] = "";
    struct config present;
    enum err e = config_make_dir(c->dir, msg);
    if (e != ERR_OK)
        return cli_fail(CLI_ERROR, "%s", msg);
    e = config_load(&c->arena, c->dir, &present, msg);
    if (e == ERR_NOT_FOUND)
        return CLI_OK;
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "%s", msg);
    if (strcmp(config_db_path(&c->arena, c->dir, &present), in->db) != 0)
        return cli_fail(
            CLI_ERROR,
            "%s is the directory of another node (database %s): give an empty one with --dir",
            c->dir, config_db_path(&c->arena, c->dir, &present));
    return CLI_OK;
}

static int open_database(struct init_options *in)
{
    char msg[256] = "";
    struct store_options so = {.path = in->db, .busy_ms = CLI_BUSY_MS};
    enum err e = store_open(&in->store, &so, msg);
    if (e == ERR_NOT_FOUND)
        return cli_fail(
            CLI_ERROR,
            "the database %s does not exist: let the application make it with its tables first",
            in->db);
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "the database %s cannot be opened: %s", in->db, msg);
    if (store_is_ready(in->store))
        return cli_fail(CLI_ERROR,
                        "the database %s belongs to the federation \"%s\" already, as node %s: "
                        "start it with `tonle run`",
                        in->db, store_identity_get(in->store)->federation_name,
                        store_identity_get(in->store)->node);
    return CLI_OK;
}

static int read_charter(struct cli *c, struct init_options *in)
{
    char msg[1024] = "";
    enum err e = charter_load(&c->arena, in->charter_path, &in->charter, msg);
    if (e != ERR_OK)
        return cli_fail(e == ERR_REFUSED ? CLI_REFUSED : CLI_ERROR, "%s", msg);
    if (in->charter.notes[0] != '\0')
        cli_note("%s", in->charter.notes);
    return CLI_OK;
}

static int keep_copy(struct cli *c, struct init_options *in)
{
    char stamp[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (gmtime_r(&now, &tm))
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    const char *path = cli_printf(c, "%s.before-autoincrement-%s", in->db, stamp);
    enum err e = store_copy(in->store, path);
    if (e != ERR_OK)
        return store_failed(in, e, "keeping a copy of the database");
    in->copy = path;
    return CLI_OK;
}

/* In the one transaction of all that follows: a run that is refused later has changed nothing. */
static int make_autoincrement(struct cli *c, struct init_options *in)
{
    struct plain_key *table = NULL;
    size_t n = 0;
    enum err e = store_plain_keys(in->store, &c->arena, &in->charter, &table, &n);
    if (e != ERR_OK)
        return store_failed(in, e, "looking at the keys");
    for (size_t i = 0; i < n; i++)
        cli_note("table %s, %llu rows: made anew with AUTOINCREMENT", table[i].table,
                 (unsigned long long)table[i].rows);
    if (n == 0) {
        cli_note("no table needs AUTOINCREMENT");
        return CLI_OK;
    }
    int code = in->dry_run ? CLI_OK : keep_copy(c, in);
    if (code != CLI_OK)
        return code;
    e = store_begin(in->store);
    if (e == ERR_OK)
        e = store_make_autoincrement(in->store, table, n);
    return e == ERR_OK ? CLI_OK : store_failed(in, e, "making the tables anew");
}

/* The charter against this database: fills in columns, keys and SQL, and writes what is published.
 */
static int complete_charter(struct cli *c, struct init_options *in)
{
    struct finding *f = NULL;
    size_t n = 0, failed = 0;
    struct charter completed;
    enum err e = store_schema_complete(in->store, &c->arena, &in->charter, &completed, &f, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(f[i].level, "ok") != 0)
            cli_note("%s  %s: %s", f[i].level, f[i].subject, f[i].text);
        failed += strcmp(f[i].level, "fail") == 0;
    }
    if (failed > 0)
        return cli_fail(
            CLI_REFUSED,
            "the charter does not fit the database %s (%zu to mend, above); nothing was changed",
            in->db, failed);
    if (e != ERR_OK)
        return store_failed(in, e, "checking the tables");
    if (charter_write(&c->arena, &completed, &in->compiled) != ERR_OK)
        return cli_fail(CLI_REFUSED, "the name of a table, a column or an index in %s is not UTF-8",
                        in->db);
    return CLI_OK;
}

static enum err write_all(struct cli *c, struct init_options *in, uint64_t now, char msg[256])
{
    uint64_t incarnation;
    uint8_t id[16];
    cli_random(&incarnation, sizeof incarnation);
    cli_random(id, sizeof id);
    hex_write(in->federation, id, sizeof id);
    struct store_identity identity = {.federation = in->federation,
                                      .federation_name = in->charter.federation,
                                      .node = in->name,
                                      .unit = "",
                                      .parent = "",
                                      .hub = in->name};
    identity.site = identity.hub_site = seal_site(in->keys.sign_key, incarnation);
    memcpy(identity.hub_sign_key, in->keys.sign_key, SIGN_PUBLIC_BYTES);
    struct charter_record charter = {.version = 1,
                                     .schema_version = in->charter.schema_version,
                                     .yaml = in->charter.yaml,
                                     .compiled = in->compiled,
                                     .published_ms = now};
    struct node_record hub = {.name = in->name,
                              .unit = "",
                              .parent = "",
                              .listen = in->listen,
                              .state = NODE_ACTIVE,
                              .site = identity.site,
                              .reads = "",
                              .joined_ms = now};
    memcpy(hub.curve_key, in->keys.curve_key, CURVE_KEY_BYTES);
    memcpy(hub.sign_key, in->keys.sign_key, SIGN_PUBLIC_BYTES);
    struct config config = office_new_config(in->db, in->listen, "");

    enum err e = in->store->in_write ? ERR_OK : store_begin(in->store);
    if (e == ERR_OK)
        e = store_create(in->store, &identity);
    if (e == ERR_OK)
        e = store_charter_put(in->store, &charter);
    if (e == ERR_OK)
        e = store_node_put(in->store, &hub);
    if (e == ERR_OK)
        e = store_capture_install(in->store);
    if (e == ERR_OK)
        e = config_save(c->dir, &config, msg);
    if (e == ERR_OK)
        e = store_commit(in->store);
    if (e != ERR_OK)
        store_rollback(in->store);
    return e;
}

static int init(struct cli *c, struct init_options *in)
{
    char msg[256] = "";
    int code = read_charter(c, in);
    if (code == CLI_OK)
        code = open_database(in);
    if (code == CLI_OK && in->make_autoincrement)
        code = make_autoincrement(c, in);
    if (code == CLI_OK)
        code = complete_charter(c, in);
    if (code == CLI_OK && in->dry_run)
        return CLI_OK;
    if (code == CLI_OK)
        code = check_directory(c, in);
    if (code == CLI_OK)
        code = cli_listen(c, in->listen, &in->listen);
    if (code != CLI_OK)
        return code;
    enum err e = keys_make(c->dir, &in->keys, msg);
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "%s", msg);
    e = write_all(c, in, cli_now_ms(), msg);
    if (e != ERR_OK)
        return msg[0] != '\0' ? cli_fail(cli_exit_of(e), "%s", msg)
                              : store_failed(in, e, "making the federation");
    return CLI_OK;
}

static void report(struct cli *c, const struct init_options *in)
{
    if (in->dry_run) {
        cli_note("a dry run: the charter fits, nothing was changed");
        return;
    }
    if (in->copy)
        cli_note("The old database is kept as %s", in->copy);
    if (c->json) {
        cli_print_json(json_pack("{s:i, s:s, s:s, s:s, s:s}", "schema", CLI_SCHEMA, "federation",
                                 in->federation, "name", in->charter.federation, "node", in->name,
                                 "listen", in->listen));
        return;
    }
    cli_print("federation %s (%s), node %s, listening at %s\n", in->charter.federation,
              in->federation, in->name, in->listen);
    cli_note("Next: `tonle run --dir %s`, and `tonle node add` for each office.", c->dir);
}

int command_hub_init(struct cli *c, int argc, char **argv)
{
    struct init_options in = {0};
    const struct option options[] = {{"--db", OPTION_TEXT, &in.db},
                                     {"--charter", OPTION_TEXT, &in.charter_path},
                                     {"--listen", OPTION_TEXT, &in.listen},
                                     {"--name", OPTION_TEXT, &in.name},
                                     {"--make-autoincrement", OPTION_FLAG, &in.make_autoincrement},
                                     {"--dry-run", OPTION_FLAG, &in.dry_run},
                                     {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 0);
    if (code != CLI_OK)
        return code;
    if (!in.db || !in.charter_path || !in.listen)
        return cli_usage(c, "%s is missing",
                         !in.db             ? "--db"
                         : !in.charter_path ? "--charter"
                                            : "--listen");
    if (!in.name)
        in.name = "hub";
    if (!cli_name_ok(in.name))
        return cli_usage(c, "\"%s\" is no name for a node: " CLI_NAME_RULE, in.name);
    in.db = cli_absolute(c, in.db);
    if (seal_start() != ERR_OK)
        return cli_fail(CLI_ERROR, "the crypto library does not start");
    code = init(c, &in);
    if (code == CLI_OK)
        report(c, &in);
    store_close(in.store); /* which rolls back */
    if (code != CLI_OK && in.copy)
        unlink(in.copy);
    explicit_bzero(&in.keys, sizeof in.keys);
    return code;
}
