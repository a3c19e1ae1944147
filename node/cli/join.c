/* join.c - at the office: reads the invitation, runs a node that joins, and shows its progress. */
#include "node/cli/join.h"

#include "node/loop/loop.h"
#include "protocol/seal.h"
#include "protocol/seal_enrol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INVITATION_BYTES 8192

/* ---- what was given */

/* From a terminal one line; otherwise everything, because a mail program may have broken the line.
 */
static int read_text(struct join_session *j, char *text, size_t size)
{
    bool from_stdin = !j->invitation_path || strcmp(j->invitation_path, "-") == 0;
    FILE *f = from_stdin ? stdin : fopen(j->invitation_path, "re");
    size_t n = 0;
    if (!f)
        return cli_fail(CLI_ERROR, "the invitation %s cannot be read: %s", j->invitation_path,
                        strerror(errno));
    if (from_stdin && isatty(STDIN_FILENO)) {
        cli_note("Paste the invitation (the line that `tonle node add` printed), then Enter:");
        if (fgets(text, (int)size, f))
            n = strlen(text);
    } else {
        n = fread(text, 1, size - 1, f);
    }
    text[n] = '\0';
    if (!from_stdin)
        fclose(f);
    return CLI_OK;
}

/* As random as the invitation's secret, and the same when an interrupted join is repeated: so the
 * hub sees the same site again, and not a second machine. */
static uint64_t incarnation_of(const struct invitation *inv)
{
    uint8_t hash[HASH_BYTES];
    uint64_t n;
    seal_hash(inv->enrol_secret, INVITE_SECRET_BYTES, hash);
    memcpy(&n, hash, sizeof n);
    return n;
}

static int read_invitation(struct cli *c, struct join_session *j)
{
    char line[INVITATION_BYTES] = "", msg[256] = "";
    int code = read_text(j, line, sizeof line);
    if (code != CLI_OK)
        return code;
    enum err e = invitation_decode(&c->arena, line, &j->invitation, msg);
    explicit_bzero(line, sizeof line);
    if (e != ERR_OK)
        return cli_fail(
            CLI_USAGE,
            "%s: an invitation is the whole line that `tonle node add` printed at the hub, "
            "beginning with \"tonle1:\"",
            msg);
    return CLI_OK;
}

static int check_mode(struct cli *c, struct join_session *j)
{
    j->mode = LOAD_EMPTY;
    if (!j->mode_name)
        return CLI_OK;
    if (strcmp(j->mode_name, "adopt") == 0)
        j->mode = LOAD_ADOPT;
    else if (strcmp(j->mode_name, "replace") == 0)
        j->mode = LOAD_REPLACE;
    else
        return cli_usage(c, "--mode is adopt or replace, not \"%s\"", j->mode_name);
    return CLI_OK;
}

/* The directory may not be another node's already. */
static int check_unused(struct cli *c, const struct join_session *j)
{
    char msg[1024] = "";
    struct config present;
    enum err e = config_load(&c->arena, c->dir, &present, msg);
    if (e == ERR_OK && strcmp(config_db_path(&c->arena, c->dir, &present), j->db) != 0)
        return cli_fail(
            CLI_ERROR,
            "%s is the directory of another node (database %s): give an empty one with --dir",
            c->dir, config_db_path(&c->arena, c->dir, &present));
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return cli_fail(cli_exit_of(e), "%s", msg);
    return CLI_OK;
}

/* ---- while it goes on */

static void close_line(struct join_session *j)
{
    if (j->line_open)
        fputc('\n', stderr);
    j->line_open = false;
}

static void show_progress(void *user)
{
    struct join_session *j = user;
    const struct join_report *r = j->report;
    if (r->copy && !j->copy_told) {
        close_line(j);
        cli_note("The old database is kept as %s", r->copy);
        j->copy_told = true;
    } else if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r\033[Kloading %s: %llu rows (%llu in all)", r->table,
                (unsigned long long)r->table_rows, (unsigned long long)r->rows);
        j->line_open = true;
    }
}

/* node.yaml is written just before the commit: with it but without the database join simply runs
 * again. */
static enum err write_config(void *user)
{
    struct join_session *j = user;
    struct config config =
        office_new_config(j->db, j->report->listen, j->invitation.parent_endpoint);
    memcpy(config.parent_curve_key, j->invitation.parent_curve_key, CURVE_KEY_BYTES);
    return config_save(j->cli->dir, &config, j->settle_fault);
}

static void note_fault(void *user, const char *reason)
{
    struct join_session *j = user;
    snprintf(j->loop_fault, sizeof j->loop_fault, "%s", reason);
}

static void run_loop(struct join_session *j, struct node *n)
{
    struct loop_join join = {.dir = j->cli->dir,
                             .progress = show_progress,
                             .settle = write_config,
                             .failed = note_fault,
                             .user = j};
    struct loop_options lo = {
        .node = n, .listen = "", .parent_endpoint = j->invitation.parent_endpoint, .join = &join};
    seal_invite_keypair(j->invitation.enrol_secret, join.invite_key, join.invite_secret);
    memcpy(lo.parent_curve_key, j->invitation.parent_curve_key, CURVE_KEY_BYTES);
    memcpy(lo.curve_key, j->keys.curve_key, CURVE_KEY_BYTES);
    memcpy(lo.curve_secret, j->keys.curve_secret, CURVE_KEY_BYTES);
    (void)loop_run(&lo);
    explicit_bzero(&join, sizeof join);
    explicit_bzero(&lo, sizeof lo);
}

static int run_join(struct join_session *j)
{
    struct join_options o = {.invitation = &j->invitation,
                             .keys = &j->keys,
                             .incarnation = incarnation_of(&j->invitation),
                             .listen = j->listen,
                             .software = "tonle " TONLE_VERSION,
                             .run = loop_random(),
                             .mode = j->mode,
                             .make_autoincrement = j->make_autoincrement,
                             .renumber = j->renumber,
                             .dry_run = j->dry_run,
                             .store = {.path = j->db, .busy_ms = CLI_BUSY_MS}};
    struct node *n = node_join(&o);
    j->report = node_join_report(n);
    run_loop(j, n);
    close_line(j);
    int code = join_tell(j);
    node_free(n);
    return code;
}

static int join_locked(struct cli *c, struct join_session *j)
{
    char msg[256] = "";
    enum err e = keys_make(c->dir, &j->keys, msg);
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "%s", msg);
    int code = check_unused(c, j);
    if (code == CLI_OK && j->listen[0] != '\0')
        code = cli_listen(c, j->listen, &j->listen);
    if (code == CLI_OK)
        code = join_check(j);
    return code == CLI_OK ? run_join(j) : code;
}

static int join(struct cli *c, struct join_session *j)
{
    char msg[256] = "";
    int lock = -1;
    int code = read_invitation(c, j);
    if (code != CLI_OK)
        return code;
    if (!j->listen)
        j->listen = j->invitation.listen ? j->invitation.listen : "";
    enum err e = config_make_dir(c->dir, msg);
    if (e != ERR_OK)
        return cli_fail(CLI_ERROR, "%s", msg);
    e = lock_take(c->dir, &lock, msg);
    if (e != ERR_OK)
        return cli_fail(CLI_ERROR, "another tonle works in %s: stop it first (%s)", c->dir, msg);
    code = join_locked(c, j);
    lock_release(lock);
    return code;
}

int command_join(struct cli *c, int argc, char **argv)
{
    struct join_session j = {.cli = c};
    bool as_new_site = false, rebuild = false;
    const struct option options[] = {{"--db", OPTION_TEXT, &j.db},
                                     {"--invitation", OPTION_TEXT, &j.invitation_path},
                                     {"--mode", OPTION_TEXT, &j.mode_name},
                                     {"--listen", OPTION_TEXT, &j.listen},
                                     {"--make-autoincrement", OPTION_FLAG, &j.make_autoincrement},
                                     {"--renumber", OPTION_FLAG, &j.renumber},
                                     {"--dry-run", OPTION_FLAG, &j.dry_run},
                                     {"--as-new-site", OPTION_FLAG, &as_new_site},
                                     {"--rebuild", OPTION_FLAG, &rebuild},
                                     {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 0);
    if (code == CLI_OK)
        code = check_mode(c, &j);
    if (code != CLI_OK)
        return code;
    if (j.renumber && j.mode != LOAD_ADOPT)
        return cli_usage(c, "--renumber gives the rows that are here new keys: it goes with "
                            "--mode adopt");
    if (as_new_site || rebuild)
        return cli_usage(
            c,
            "%s is not in this version. What this office wrote is safe in its database. To "
            "bring it back:\n"
            "  at the hub  tonle node add --name NEW-NAME ... (the same unit)\n"
            "  here        sqlite3 OLD.db \".dump TABLE...\" | sqlite3 NEW.db, with the tables "
            "that `tonle charter show` names\n"
            "  then        tonle join --db NEW.db --mode adopt, with an empty --dir",
            rebuild ? "--rebuild" : "--as-new-site");
    if (!j.db)
        return cli_usage(c, "--db is missing: the database that the office's applications use (it "
                            "is made when it is missing)");
    j.db = cli_absolute(c, j.db);
    code = seal_start() == ERR_OK ? join(c, &j)
                                  : cli_fail(CLI_ERROR, "the crypto library does not start");
    explicit_bzero(&j, sizeof j);
    return code;
}
