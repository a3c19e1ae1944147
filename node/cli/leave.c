/* leave.c - everything of ours goes out of the office's database, in one transaction: what is left
 * is the application's, as it would be without Tonle. The state directory stays, with its keys. */
#include "node/cli/cli.h"

#include "node/capture/capture.h"
#include "node/db/objects.h"
#include "node/journal/journal.h"

#include <stdio.h>
#include <unistd.h>

/* What of this office stands nowhere else. */
struct left_behind {
    bool captured;
    uint64_t unsent, held;
};

static enum err look(struct store *s, struct left_behind *l)
{
    const struct store_identity *id = store_identity_get(s);
    struct peer_record rec;
    struct backlog b;
    enum err e = store_state_look(s);
    l->held = store_state_get(s)->held;
    l->captured = store_capture_pending(s);
    if (e == ERR_OK && id->parent[0] != '\0')
        e = store_peer_get(s, id->parent, &rec);
    if (e != ERR_OK || id->parent[0] == '\0')
        return e;
    e = store_journal_backlog(s, LINK_UP, id->parent, rec.acked_pos, &b);
    l->unsent = b.changesets;
    return e;
}

static const char *describe(struct cli *c, struct store *s, const struct left_behind *l)
{
    const struct store_identity *id = store_identity_get(s);
    if (!id || !store_is_ready(s))
        return cli_printf(c, "what is left of Tonle in %s", s->options.path);
    if (id->parent[0] == '\0')
        return cli_printf(c,
                          "%s, the hub of %s, without which no office can work together any more",
                          id->node, id->federation_name);
    return cli_printf(c, "%s of %s, with %llu held rows, %llu changesets that %s has not taken%s",
                      id->node, id->federation_name, (unsigned long long)l->held,
                      (unsigned long long)l->unsent, id->parent,
                      l->captured ? ", and writes that are not sealed" : "");
}

static int ask(struct cli *c, const char *what, bool yes)
{
    char answer[16] = "";
    if (yes)
        return CLI_OK;
    if (!isatty(STDIN_FILENO))
        return cli_usage(c, "%s: to remove it, say --yes", what);
    fprintf(stderr, "%s. The application's tables stay. Remove it? [y/N] ", cli_safe(c, what));
    if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
        return cli_fail(CLI_ERROR, "nothing was removed");
    return CLI_OK;
}

static void tell(struct cli *c, const struct cli_office *o, const struct objects_dropped *n)
{
    if (c->json) {
        cli_print_json(json_pack("{s:i, s:s, s:i, s:i, s:i}", "schema", CLI_SCHEMA, "database",
                                 o->db_path, "triggers", (int)n->triggers, "views", (int)n->views,
                                 "tables", (int)n->tables));
        return;
    }
    cli_print("removed from %s: %u triggers, %u views, %u tables; the application's own stay\n",
              cli_safe(c, o->db_path), n->triggers, n->views, n->tables);
    cli_note("The directory %s stays, with this office's keys. Tell the administrator of the hub, "
             "whose registry still names the office.",
             c->dir);
}

static int leave(struct cli *c, struct cli_office *o, int lock, bool yes)
{
    struct left_behind left = {0};
    struct objects_dropped n;
    int code = CLI_OK;
    if (store_is_ready(o->store)) {
        enum err e = look(o->store, &left);
        code = e == ERR_OK ? office_claim(c, o, lock, false)
                           : office_fail(o, e, "looking at what is not sent");
    }
    if (code == CLI_OK)
        code = ask(c, describe(c, o->store, &left), yes);
    if (code != CLI_OK)
        return code;
    enum err e = store_leave(o->store, &n);
    if (e != ERR_OK)
        return office_fail(o, e, "nothing was removed");
    tell(c, o, &n);
    return CLI_OK;
}

int command_leave(struct cli *c, int argc, char **argv)
{
    bool yes = false;
    char msg[256] = "";
    int lock = -1;
    struct cli_office o = {0};
    const struct option options[] = {{"--yes", OPTION_FLAG, &yes}, {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 0);
    if (code == CLI_OK)
        code = office_check(c);
    if (code != CLI_OK)
        return code;
    enum err e = lock_take(c->dir, &lock, msg);
    if (e == ERR_BUSY)
        return cli_fail(CLI_ERROR, "a node runs on %s: stop it first; nothing was removed", c->dir);
    if (e != ERR_OK)
        return cli_fail(CLI_ERROR, "%s", msg);
    code = office_open(c, OFFICE_LEAVE, &o);
    if (code == CLI_OK)
        code = leave(c, &o, lock, yes);
    office_close(&o);
    lock_release(lock);
    return code;
}
