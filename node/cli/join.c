/* join.c - at the office: enrols, fetches everything, and makes this database a node's. */
#include "node/cli/join.h"

#include "node/apply/apply.h"
#include "node/capture/capture.h"
#include "node/check/check.h"
#include "node/db/copy.h"
#include "node/load/load.h"
#include "protocol/seal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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
    seal_hash(inv->enrol_secret, CURVE_KEY_BYTES, hash);
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
    seal_curve_keypair(j->invitation.enrol_secret, j->enrol_key, j->enrol_secret);
    j->incarnation = incarnation_of(&j->invitation);
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

/* Neither the directory nor the database may be a node's already. */
static int check_unused(struct cli *c, const struct join_session *j)
{
    char msg[1024] = "";
    struct config present;
    struct store *s = NULL;
    struct store_options so = {.path = j->db, .read_only = true, .busy_ms = CLI_BUSY_MS};
    enum err e = config_load(&c->arena, c->dir, &present, msg);
    if (e == ERR_OK && strcmp(config_db_path(&c->arena, c->dir, &present), j->db) != 0)
        return cli_fail(
            CLI_ERROR,
            "%s is the directory of another node (database %s): give an empty one with --dir",
            c->dir, config_db_path(&c->arena, c->dir, &present));
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return cli_fail(cli_exit_of(e), "%s", msg);
    if (access(j->db, F_OK) != 0)
        return CLI_OK;
    e = store_open(&s, &so, msg);
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "the database %s cannot be opened: %s", j->db, msg);
    int code = CLI_OK;
    if (store_is_ready(s))
        code = cli_fail(CLI_ERROR,
                        "the database %s has joined the federation \"%s\" already, as %s: start it "
                        "with `tonle run`",
                        j->db, store_identity_get(s)->federation_name, store_identity_get(s)->node);
    store_close(s);
    return code;
}

/* ---- the transaction */

static int store_failed(struct store *s, enum err e, const char *doing)
{
    struct cli_office o = {.store = s};
    return office_fail(&o, e, doing);
}

static enum err begin_load(struct join_session *j, struct store *s, enum load_mode mode)
{
    const struct invitation *inv = &j->invitation;
    struct store_identity id = {.federation = inv->federation,
                                .federation_name = inv->federation_name,
                                .node = inv->node,
                                .unit = inv->unit,
                                .parent = inv->parent,
                                .hub = inv->hub_node,
                                .hub_site = inv->hub_site,
                                .site = j->site};
    memcpy(id.hub_sign_key, inv->hub_sign_key, SIGN_PUBLIC_BYTES);
    enum err e = store_begin(s);
    if (e == ERR_OK)
        e = store_create(s, &id);
    return e == ERR_OK ? store_load_begin(s, mode) : e;
}

/* Chunks from *offset up to `end`. *first_pos: the parent's position at the very first chunk. */
static enum err load_chunks(struct join_session *j, struct store *s, uint64_t *offset, uint64_t end,
                            uint64_t *first_pos)
{
    struct arena a = {0};
    enum err e = ERR_OK;
    while (e == ERR_OK && *offset < end) {
        struct load_chunk chunk;
        bool first = *offset == 0;
        e = join_spool_next(j, &a, offset, &chunk);
        if (e == ERR_OK && first)
            *first_pos = chunk.pos;
        if (e == ERR_OK)
            e = store_load_chunk(s, &a, &chunk);
        arena_reset(&a);
    }
    arena_fini(&a);
    return e;
}

/* The published tables, and their capture: that also gives each the number under which rows are
 * kept. */
static enum err make_tables(struct store *s)
{
    uint32_t created = 0;
    enum err e = store_schema_create_missing(s, &created);
    return e == ERR_OK ? store_capture_install(s) : e;
}

/* Which named tables hold rows already; prints them. The transaction sees the charter, and is
 * rolled back. */
static int count_rows(struct cli *c, struct join_session *j, struct store *s, uint64_t *rows)
{
    struct table_digest *d = NULL;
    uint32_t n = 0;
    uint64_t offset = 0, pos = 0;
    enum err e = begin_load(j, s, LOAD_EMPTY);
    if (e == ERR_OK)
        e = load_chunks(j, s, &offset, j->internal_end, &pos);
    if (e == ERR_OK)
        e = make_tables(s);
    if (e == ERR_OK)
        e = store_digest(s, &c->arena, &d, &n);
    for (uint32_t i = 0; e == ERR_OK && i < n; i++)
        if (strncmp(d[i].table, "tonle_", 6) != 0 && d[i].rows > 0) {
            *rows += d[i].rows;
            if (j->mode == LOAD_EMPTY)
                cli_note("table %s holds %llu rows", d[i].table, (unsigned long long)d[i].rows);
        }
    store_rollback(s);
    return e == ERR_OK ? CLI_OK : store_failed(s, e, "looking at the tables");
}

/* Before the data is fetched: rows that are here need a decision. */
static int check_rows(struct cli *c, struct join_session *j)
{
    char msg[256] = "";
    uint64_t rows = 0;
    struct store *s = NULL;
    struct store_options so = {.path = j->db, .busy_ms = CLI_BUSY_MS};
    if (access(j->db, F_OK) != 0)
        return CLI_OK;
    enum err e = store_open(&s, &so, msg);
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "the database %s cannot be opened: %s", j->db, msg);
    int code = count_rows(c, j, s, &rows);
    store_close(s);
    if (code == CLI_OK && rows > 0 && j->mode == LOAD_EMPTY)
        return cli_fail(
            CLI_USAGE,
            "the database %s holds rows in the federation's tables (above), so say what becomes of "
            "them:\n"
            "  --mode adopt    compare them with the federation's: what it lacks is published, "
            "what differs recorded\n"
            "  --mode replace  put the federation's in their place; the old file is kept as a copy",
            j->db);
    if (code == CLI_OK && rows == 0)
        j->mode = LOAD_EMPTY;
    return code;
}

static int keep_copy(struct cli *c, const struct join_session *j, struct store *s)
{
    char stamp[32] = "";
    time_t now = (time_t)(cli_now_ms() / 1000);
    struct tm tm;
    if (gmtime_r(&now, &tm))
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    const char *path = cli_printf(c, "%s.before-join-%s", j->db, stamp);
    enum err e = store_copy(s, path);
    if (e != ERR_OK)
        return store_failed(s, e, "keeping a copy of the old database");
    cli_note("The old database is kept as %s", path);
    return CLI_OK;
}

static enum err write_config(struct cli *c, const struct join_session *j, char msg[256])
{
    struct config config = office_new_config(j->db, j->own_listen, j->invitation.parent_endpoint);
    memcpy(config.parent_curve_key, j->invitation.parent_curve_key, CURVE_KEY_BYTES);
    return config_save(c->dir, &config, msg);
}

/* node.yaml is written just before the commit: with it but without the database join simply runs
 * again. */
static enum err load_all(struct cli *c, struct join_session *j, struct store *s,
                         struct load_report *report, char msg[256])
{
    uint64_t offset = 0, pos = 0;
    uint64_t end = (uint64_t)lseek(j->spool, 0, SEEK_END);
    enum err e = begin_load(j, s, j->mode);
    if (e == ERR_OK)
        e = load_chunks(j, s, &offset, j->internal_end, &pos);
    if (e == ERR_OK)
        e = make_tables(s);
    if (e == ERR_OK)
        e = load_chunks(j, s, &offset, end, &pos);
    if (e == ERR_OK)
        e = store_load_end(s, &c->arena, report);
    if (e == ERR_OK)
        e = store_peer_received(s, j->invitation.parent, pos);
    if (e == ERR_OK)
        e = write_config(c, j, msg);
    if (e == ERR_OK)
        e = store_commit(s);
    if (e != ERR_OK)
        store_rollback(s);
    return e;
}

static int apply_chunk(struct cli *c, struct join_session *j, struct load_report *report)
{
    char msg[256] = "";
    struct store *s = NULL;
    struct store_options so = {.path = j->db, .create = true, .busy_ms = CLI_BUSY_MS};
    enum err e = store_open(&s, &so, msg);
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "the database %s cannot be opened: %s", j->db, msg);
    int code = j->mode == LOAD_REPLACE ? keep_copy(c, j, s) : CLI_OK;
    if (code == CLI_OK && (e = load_all(c, j, s, report, msg)) != ERR_OK)
        code = msg[0] != '\0' ? cli_fail(cli_exit_of(e), "%s", msg)
                              : store_failed(s, e, "loading the federation's rows");
    store_close(s);
    return code;
}

static void report_joined(struct cli *c, const struct join_session *j, const struct load_report *r)
{
    if (c->json) {
        cli_print_json(json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "schema",
                                 CLI_SCHEMA, "node", j->invitation.node, "unit", j->invitation.unit,
                                 "parent", j->invitation.parent, "listen", j->own_listen, "rows",
                                 (json_int_t)r->rows, "adopted_new", (json_int_t)r->adopted_new,
                                 "adopted_equal", (json_int_t)r->adopted_equal, "adopted_conflicts",
                                 (json_int_t)r->adopted_conflicts));
        return;
    }
    printf("%s (unit %s) has joined %s below %s: %llu rows loaded\n", j->invitation.node,
           j->invitation.unit, j->invitation.federation_name, j->invitation.parent,
           (unsigned long long)r->rows);
    if (j->mode == LOAD_ADOPT)
        printf("of the rows that were here: %llu are new to the federation, %llu were equal, %llu "
               "values differ "
               "(`tonle conflict list`)\n",
               (unsigned long long)r->adopted_new, (unsigned long long)r->adopted_equal,
               (unsigned long long)r->adopted_conflicts);
    cli_note("Next: `tonle run --dir %s`", c->dir);
}

static int join_locked(struct cli *c, struct join_session *j)
{
    char msg[256] = "";
    struct load_report report = {0};
    enum err e = keys_make(c->dir, &j->keys, msg);
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "%s", msg);
    int code = check_unused(c, j);
    if (code == CLI_OK && j->listen[0] != '\0')
        code = cli_listen(c, j->listen, &j->listen);
    if (code == CLI_OK)
        code = join_enrol(j);
    if (code == CLI_OK)
        code = join_fetch_registry(c, j);
    if (code == CLI_OK)
        code = check_rows(c, j);
    if (code == CLI_OK)
        code = join_fetch_tables(c, j);
    if (code == CLI_OK)
        code = apply_chunk(c, j, &report);
    if (code == CLI_OK && clean_put(c->dir, msg) != ERR_OK)
        cli_note("tonle: %s", msg);
    if (code == CLI_OK)
        report_joined(c, j, &report);
    return code;
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
    join_close(j->line);
    if (j->spool >= 0)
        close(j->spool);
    lock_release(lock);
    return code;
}

int command_join(struct cli *c, int argc, char **argv)
{
    struct join_session j = {.spool = -1, .own_listen = ""};
    bool as_new_site = false, rebuild = false;
    const struct option options[] = {{"--db", OPTION_TEXT, &j.db},
                                     {"--invitation", OPTION_TEXT, &j.invitation_path},
                                     {"--mode", OPTION_TEXT, &j.mode_name},
                                     {"--listen", OPTION_TEXT, &j.listen},
                                     {"--as-new-site", OPTION_FLAG, &as_new_site},
                                     {"--rebuild", OPTION_FLAG, &rebuild},
                                     {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 0);
    if (code == CLI_OK)
        code = check_mode(c, &j);
    if (code != CLI_OK)
        return code;
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
