/* join_end.c - what the operator is told when a join is over, and the exit code for it. */
#include "node/cli/join.h"

#include <stdio.h>
#include <string.h>

static int fetch_failed(const struct join_session *j)
{
    const struct join_report *r = j->report;
    switch (r->error) {
    case ERR_REFUSED:
        return cli_fail(CLI_REFUSED,
                        "%s does not accept this office's key: run the same command again; when it "
                        "stays so, ask the "
                        "administrator for a new invitation",
                        j->invitation.parent);
    case ERR_BUSY:
        return cli_fail(CLI_TEMPORARY,
                        "the line to %s went down while loading %s; nothing was changed, run the "
                        "same command again",
                        j->invitation.parent_endpoint, r->table);
    case ERR_FULL:
    case ERR_IO:
        return cli_fail(CLI_ERROR,
                        "what was fetched could not be kept in the state directory (%s): free some "
                        "disk, then run the "
                        "same command again",
                        j->loop_fault);
    case ERR_LIMIT:
        return cli_fail(CLI_ERROR,
                        "%s has a row of %s that is too large to be sent: `tonle doctor` there "
                        "names it; run the same command again when it has been made smaller",
                        j->invitation.parent, r->table);
    default:
        return cli_fail(
            CLI_ERROR,
            "%s sent something for %s that makes no sense (%s): is it of the same version?",
            j->invitation.parent, r->table, err_name(r->error));
    }
}

static int key_refused(const struct join_session *j)
{
    char expired[256]; /* by this machine's clock: only worth saying once the parent has refused */
    if (invitation_check_time(&j->invitation, cli_now_ms(), expired) != ERR_OK)
        return cli_fail(CLI_REFUSED, "%s does not accept this invitation: %s", j->invitation.parent,
                        expired);
    return cli_fail(CLI_REFUSED,
                    "%s does not accept this invitation: it is used up, expired or withdrawn, "
                    "or meant for another "
                    "machine's keys. Ask the administrator for a new one (`tonle node add`)",
                    j->invitation.parent);
}

static int rows_here(const struct join_session *j)
{
    for (size_t i = 0; i < j->report->n_present; i++)
        cli_note("table %s holds %llu rows", j->report->present[i].table,
                 (unsigned long long)j->report->present[i].rows);
    return cli_fail(
        CLI_USAGE,
        "the database %s holds rows in the federation's tables (above), so say what becomes of "
        "them:\n"
        "  --mode adopt    compare them with the federation's: what it lacks is published, "
        "what differs recorded\n"
        "  --mode replace  put the federation's in their place; the old file is kept as a copy",
        j->db);
}

/* What a renumbering did, or would do. */
static void tell_renumbered(const struct join_session *j)
{
    const struct renumber_report *r = &j->report->renumbered;
    if (j->renumber)
        cli_note("%llu rows of this office %s new keys, and %llu references to them",
                 (unsigned long long)r->rows, j->dry_run ? "would get" : "have",
                 (unsigned long long)r->references);
}

static int rehearsed(const struct join_session *j)
{
    const struct load_report *r = &j->report->loaded;
    tell_renumbered(j);
    cli_note("a dry run: %llu rows would be loaded; of the rows that are here %llu are new to the "
             "federation, %llu equal, %llu values differ. Nothing was changed here, and the same "
             "invitation is used again",
             (unsigned long long)r->rows, (unsigned long long)r->adopted_new,
             (unsigned long long)r->adopted_equal, (unsigned long long)r->adopted_conflicts);
    return CLI_OK;
}

static int joined(const struct join_session *j)
{
    const struct join_report *report = j->report;
    const struct load_report *r = &report->loaded;
    if (j->cli->json) {
        cli_print_json(json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "schema",
                                 CLI_SCHEMA, "node", j->invitation.node, "unit", j->invitation.unit,
                                 "parent", j->invitation.parent, "listen", report->listen, "rows",
                                 (json_int_t)r->rows, "adopted_new", (json_int_t)r->adopted_new,
                                 "adopted_equal", (json_int_t)r->adopted_equal, "adopted_conflicts",
                                 (json_int_t)r->adopted_conflicts));
        return CLI_OK;
    }
    cli_print("%s (unit %s) has joined %s below %s: %llu rows loaded\n", j->invitation.node,
              j->invitation.unit, j->invitation.federation_name, j->invitation.parent,
              (unsigned long long)r->rows);
    if (report->mode == LOAD_ADOPT)
        cli_print(
            "of the rows that were here: %llu are new to the federation, %llu were equal, %llu "
            "values differ "
            "(`tonle conflict list`)\n",
            (unsigned long long)r->adopted_new, (unsigned long long)r->adopted_equal,
            (unsigned long long)r->adopted_conflicts);
    tell_renumbered(j);
    if (report->made_anew > 0)
        cli_note("%zu tables were made anew with AUTOINCREMENT", report->made_anew);
    cli_note("Next: `tonle run --dir %s`", j->cli->dir);
    return CLI_OK;
}

/* Whoever reads it can tell who stands between: the request went, and the answer came, through it.
 */
static int hub_refuses(const struct join_session *j)
{
    const struct invitation *inv = &j->invitation;
    if (strcmp(inv->parent, inv->hub_node) == 0)
        return cli_fail(CLI_REFUSED, "the hub refuses: %s", j->report->text);
    return cli_fail(CLI_REFUSED, "the hub refuses what reached it through %s: %s", inv->parent,
                    j->report->text);
}

/* Before anything was fetched. */
static int enrol_outcome(const struct join_session *j)
{
    const struct invitation *inv = &j->invitation;
    switch (j->report->outcome) {
    case JOIN_NOT_REACHED:
        return cli_fail(CLI_TEMPORARY,
                        "%s could not be reached within 30 s; nothing was changed but the keys "
                        "made. Check the line, then run the same command again",
                        inv->parent_endpoint);
    case JOIN_NOT_ANSWERED:
        return cli_fail(
            CLI_TEMPORARY,
            "%s was reached but has no answer of the hub yet; run the same command again",
            inv->parent_endpoint);
    case JOIN_PARENT_REFUSES:
        return cli_fail(CLI_REFUSED, "%s refuses: %s", inv->parent, j->report->text);
    case JOIN_HUB_REFUSES:
        return hub_refuses(j);
    case JOIN_OTHER_HUB:
        return cli_fail(CLI_REFUSED,
                        "the hub that answered at %s is not the one that signed this invitation; "
                        "nothing was changed. "
                        "Ask the administrator for a new invitation",
                        inv->parent_endpoint);
    case JOIN_KEY_REFUSED:
        return key_refused(j);
    case JOIN_NOT_ADMITTED:
        return cli_fail(
            CLI_TEMPORARY,
            "the hub has enrolled this office, but %s does not let it in yet; run the same "
            "command again",
            inv->parent);
    default:
        return cli_fail(CLI_TEMPORARY, "stopped; nothing was changed, run the same command again");
    }
}

static int registry_outcome(const struct join_session *j)
{
    switch (j->report->outcome) {
    case JOIN_OTHER_REGISTRY:
        return cli_fail(CLI_REFUSED,
                        "the registry that %s sent names another hub than this invitation; nothing "
                        "was changed. Ask the "
                        "administrator",
                        j->invitation.parent);
    case JOIN_FORGED_REGISTRY:
        return cli_fail(
            CLI_REFUSED,
            "%s of what %s sent is not what the hub has signed: somebody altered it there, "
            "or its database is damaged. Nothing was changed here; tell the administrator "
            "of the hub, and join again when %s has been set right",
            j->report->table, j->invitation.parent, j->invitation.parent);
    case JOIN_OTHER_KEYS:
        return cli_fail(CLI_REFUSED,
                        "the registry that %s sent does not name this machine's key for %s: the "
                        "invitation was used on another machine, or %s sends an old one. Tell the "
                        "administrator of the hub; `tonle node list` there says whether %s is "
                        "active",
                        j->invitation.parent, j->invitation.node, j->invitation.parent,
                        j->invitation.node);
    default:
        return cli_fail(CLI_TEMPORARY, "%s has no charter yet; run the same command again",
                        j->invitation.parent);
    }
}

int join_tell(const struct join_session *j)
{
    const struct join_report *r = j->report;
    switch (r->outcome) {
    case JOIN_DONE:
        return joined(j);
    case JOIN_DRY_RUN:
        return rehearsed(j);
    case JOIN_FETCH_FAILED:
        return fetch_failed(j);
    case JOIN_OTHER_REGISTRY:
    case JOIN_FORGED_REGISTRY:
    case JOIN_OTHER_KEYS:
    case JOIN_NO_CHARTER:
        return registry_outcome(j);
    case JOIN_NO_DATABASE:
        return cli_fail(cli_exit_of(r->error), "the database %s cannot be opened: %s", j->db,
                        r->text);
    case JOIN_BAD_CHARTER:
        return cli_fail(CLI_ERROR, "%s", r->text);
    case JOIN_LOOK_FAILED:
        return cli_store_fail(r->error, r->text, "looking at the tables");
    case JOIN_ROWS_HERE:
        return rows_here(j);
    case JOIN_COPY_FAILED:
        return cli_store_fail(r->error, r->text, "keeping a copy of the old database");
    case JOIN_LOAD_FAILED:
        return cli_store_fail(r->error, r->text, "loading the federation's rows");
    case JOIN_NOT_SETTLED:
        return cli_fail(cli_exit_of(r->error), "%s", j->settle_fault);
    case JOIN_UNDER_WAY: /* the loop could not go on */
        return cli_fail(CLI_ERROR, "%s", j->loop_fault);
    default:
        return enrol_outcome(j);
    }
}
