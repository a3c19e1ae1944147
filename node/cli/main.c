/* main.c - finds the command and runs it; help.
 *
 * Invariant: the longest command name that the first words spell is the command; everything after
 * it are its words and options, in any order.
 */
#include "node/cli/cli.h"

#include "node/file/near.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command cli_commands[] = {
    {"hub init",
     "--db FILE --charter FILE --listen ENDPOINT [--name N] [--make-autoincrement [--dry-run]]",
     "make the federation and its root node",
     "The database must exist with the application's tables; what it holds becomes the "
     "federation's\n"
     "first state. ENDPOINT is tcp://HOST:PORT, where HOST is an address of this machine that the\n"
     "offices can reach; port 0 picks a free port and keeps it. N is \"hub\" when it is not "
     "given.\n"
     "--make-autoincrement makes tables whose key is a plain INTEGER PRIMARY KEY anew, so that "
     "each\n"
     "office gives out numbers of its own; the old file is kept as "
     "FILE.before-autoincrement-TIME.\n"
     "With --dry-run it only says which tables, and whether the charter fits then.",
     command_hub_init},
    {"node add",
     "--unit CODE --name N [--parent N] [--listen ENDPOINT] [--read CODE]... [--expires HOURS]",
     "at the hub: print an invitation for a new office",
     "Prints one line on stdout. It holds a one-time secret: hand it to the operator of the office "
     "on a\n"
     "private way, to be read by `tonle join`. It expires after 72 hours unless --expires says "
     "otherwise.\n"
     "Adding an office again that has not joined yet makes a new invitation; the old one ends.",
     command_node_add},
    {"node list", "[--json]", "the offices, with line and data of each", NULL, command_node_list},
    {"join",
     "--db FILE [--invitation FILE|-] [--mode adopt|replace] [--listen ENDPOINT] "
     "[--make-autoincrement] [--renumber] [--dry-run]",
     "at the office: join the federation with an invitation",
     "Reads the invitation from FILE, or from stdin. An empty or missing database gets the "
     "tables.\n"
     "Where named tables hold rows already, --mode says what becomes of them:\n"
     "  adopt    they are compared with the federation's; what it lacks is published, what differs "
     "is\n"
     "           recorded as conflicts\n"
     "  replace  they make way for the federation's; the old file is kept as "
     "FILE.before-join-TIME\n"
     "--make-autoincrement makes tables whose key is a plain INTEGER PRIMARY KEY anew where the\n"
     "federation wants AUTOINCREMENT; the old file is kept likewise.\n"
     "--renumber, with --mode adopt and the applications stopped, gives the rows that are here "
     "keys\n"
     "of this office's own blocks, with what refers to them: for databases that each counted from "
     "1.\n"
     "--dry-run does all of it, says what it came to, and takes it back.",
     command_join},
    {"run", "", "run the node in the foreground until SIGTERM or Ctrl-C", NULL, command_run},
    {"status", "[--json] [--wait synced|connected] [--timeout SECONDS]",
     "line, data, counts, reasons",
     "Exit code 0: green, no reason is listed; 4: not green, each reason is listed with the next "
     "step\n"
     "(`state` is \"waiting\" where all of them go on by themselves, else \"degraded\"); 3: not "
     "running.\n"
     "With --wait 0 as soon as it is so, whatever else is listed; 5: it did not come in time (30 "
     "seconds\n"
     "unless --timeout says otherwise).",
     command_status},
    {"conflict list",
     "[--open] [--table T] [--cell C] [--office N] [--unit CODE] [--policy P] [--state S] "
     "[--limit N] [--json]",
     "concurrent writes that met, with every value",
     "Oldest first. --cell is a column, a group of columns, \"exists\" (a delete beside an update) "
     "or\n\"birth\" (two records under one key); --unit also finds the offices below it.",
     command_conflict_list},
    {"conflict show", "ID [--json]", "one conflict: before, each side, in force, decided",
     "Any beginning of the ID that no other has is enough.", command_conflict_show},
    {"conflict resolve",
     "ID --take DOT|OFFICE | --set COL=VALUE... | --keep-both [--set KEYCOL=VALUE]... --reason "
     "TEXT [--by "
     "NAME]\n"
     "       tonle conflict resolve --all --policy P --table T [--column C] --reason TEXT [--by "
     "NAME] [--yes]",
     "decide a conflict, for every office",
     "The decision is a write that has seen every side: it closes the conflict wherever it comes,\n"
     "stays in the history, and may be taken again. DOT is that of a side (`tonle conflict "
     "show`);\n"
     "OFFICE is the name of an office, where one side alone is its.\n"
     "COL=VALUE is stored as SQLite would store that text in that column; COL:=JSON is exactly "
     "that\n"
     "value (null, 12, \"text\", {\"hex\":\"00ff\"}). --keep-both gives the second record of a key "
     "a "
     "key of\n"
     "its own. --all takes for each open conflict what is in force now, after asking. Who decides "
     "is\n"
     "--by, else $SUDO_USER, $LOGNAME or $USER. Exit code 6: the charter (review_by) leaves it to\n"
     "another office; 8: it is so already, and nothing is changed.",
     command_conflict_resolve},
    {"conflict export", "--csv | --json [FILTER]... [FILE]", "conflicts for a supervisor",
     "The filters are those of `tonle conflict list`. CSV has one line for each side, with its "
     "office,\n"
     "time and value. FILE must not exist yet; without it the answer goes to stdout.",
     command_conflict_export},
    {"held list", "[--limit N] [--json]",
     "rows that are known and safe but cannot stand in their table now", NULL, command_held_list},
    {"held show", "ID [--json]", "one held row: why, what is in its way, its values", NULL,
     command_held_show},
    {"held retry", "ID | --all", "decide again whether held rows can stand", NULL,
     command_held_retry},
    {"held set", "ID COL=VALUE... [--reason TEXT] [--by NAME]",
     "give a held row right values, or another key",
     "COL=VALUE as in `tonle help conflict resolve`.", command_held_set},
    {"held merge", "ID [--set COL=VALUE]... [--reason TEXT] [--by NAME]",
     "merge a held row into the row in its way",
     "The row that stands takes what --set says, and the held row's values where it has NULL; then "
     "the\n"
     "held row is dropped. Nothing is lost: its values stay in the history.",
     command_held_merge},
    {"held drop", "ID --reason TEXT [--by NAME] [--leave-children]", "give a held row up",
     "Its values stay in the history.", command_held_drop},
    {"history", "TABLE KEY [--json]",
     "every known write to a row: values, what it had seen, what it met",
     "KEY is a JSON value (12, \"P-7\"), or an array for a key of several columns ([\"12\", 3]).\n"
     "A word that is not JSON is taken as text. A BLOB is {\"hex\":\"0A0B\"}.",
     command_history},
    {"explain",
     "TABLE KEY [--charter FILE] [--json]\n"
     "       tonle explain --charter FILE [--table T] [--since DATE] [--until DATE] [--json]",
     "which rules meet a row, and what another charter would decide",
     "KEY as in `tonle help history`. With --charter nothing is changed: it is a dry run, for one "
     "row,\n"
     "or as counts over the recorded conflicts opened from --since on and before --until (a date, "
     "or\n"
     "2026-11-22T10:30:00Z). Exit code 6: that charter could not be published over this database.",
     command_explain},
    {"verify", "[--local | --repair --take here|parent] [--office NAME] [TABLE [KEY]] [--json]",
     "compare this office's data with its parent's",
     "Alone it compares digests of all tables: exit code 7 when they differ.\n"
     "--local compares row by row and shows both values (at the hub, with an office below). Where "
     "this office's\n"
     "capture was away and the neighbour's was not, what changed here is published; deletions, "
     "more than 100\n"
     "rows, and whatever nobody can tell the writer of wait for a person:\n"
     "--repair --take here publishes this office's rows everywhere, --take parent writes the "
     "neighbour's here;\n"
     "all of them, those of a TABLE, or one row by its KEY (as in `tonle help history`).\n"
     "At the hub --office NAME says which office below is meant; a repair without it goes to the "
     "one that was\n"
     "compared last.",
     command_verify},
    {"charter check", "FILE [--db FILE] [--json]", "check a charter, also against a database", NULL,
     command_charter_check},
    {"charter show", "[--json]", "the charter in force", NULL, command_charter_show},
    {"doctor", "[--json]", "test this office's machine and database; each test with its remedy",
     NULL, command_doctor},
    {"version", "[--json]", "the program's version", NULL, command_version},
    {NULL, NULL, NULL, NULL, NULL},
};

static int print_overview(FILE *f)
{
    fprintf(f, "usage: tonle COMMAND [OPTION]...\n\n");
    for (const struct command *k = cli_commands; k->name; k++)
        fprintf(f, "  %-16s %s\n", k->name, k->summary);
    fprintf(
        f,
        "\nEvery command takes --dir DIR, the node's state directory (otherwise $TONLE_DIR, then\n"
        "/var/lib/tonle). `tonle help COMMAND` says more.\n");
    return CLI_OK;
}

static int print_help(const struct command *k)
{
    cli_print("usage: tonle %s%s%s [--dir DIR]\n\n%s\n", k->name, k->usage[0] == '\0' ? "" : " ",
              k->usage, k->summary);
    if (k->details)
        cli_print("\n%s\n", k->details);
    return CLI_OK;
}

/* How many of the words spell this command's name; 0 when they do not. */
static int words_matched(const struct command *k, int argc, char **argv)
{
    const char *p = k->name;
    int n = 0;
    for (;;) {
        size_t len = strcspn(p, " ");
        if (n >= argc || strlen(argv[n]) != len || strncmp(argv[n], p, len) != 0)
            return 0;
        n++;
        if (p[len] == '\0')
            return n;
        p += len + 1;
    }
}

static const struct command *find_command(int argc, char **argv, int *n_words)
{
    const struct command *best = NULL;
    *n_words = 0;
    for (const struct command *k = cli_commands; k->name; k++) {
        int n = words_matched(k, argc, argv);
        if (n > *n_words) {
            *n_words = n;
            best = k;
        }
    }
    return best;
}

static bool belongs(const struct command *k, const char *family)
{
    size_t len = strlen(family);
    return strncmp(k->name, family, len) == 0 && k->name[len] == ' ';
}

static bool is_family(const char *word)
{
    for (const struct command *k = cli_commands; k->name; k++)
        if (belongs(k, word))
            return true;
    return false;
}

/* Commands that begin with this word ("conflict"): printed, and counted. */
static int list_family(FILE *f, const char *word)
{
    int n = 0;
    for (const struct command *k = cli_commands; k->name; k++)
        if (belongs(k, word)) {
            fprintf(f, "  tonle %s %s\n", k->name, k->usage);
            n++;
        }
    return n;
}

/* The command nearest to what was typed: its first word alone, or the first two; of the family
 * whose name is right only its members. NULL: nothing is near. */
static const struct command *nearest(int argc, char **argv)
{
    char typed[128];
    const struct command *best = cli_commands;
    unsigned least = UINT32_MAX;
    for (const struct command *k = cli_commands; k->name; k++) {
        bool two = strchr(k->name, ' ') && argc > 1 && argv[1][0] != '-';
        if (is_family(argv[0]) && !belongs(k, argv[0]))
            continue;
        snprintf(typed, sizeof typed, two ? "%s %s" : "%s", argv[0], two ? argv[1] : "");
        unsigned d = near_distance(typed, k->name);
        if (d < least) {
            least = d;
            best = k;
        }
    }
    return is_family(argv[0]) || least <= 1 + strlen(argv[0]) / 3 ? best : NULL;
}

static int unknown(int argc, char **argv)
{
    if (argv[0][0] == '-')
        return cli_fail(CLI_USAGE, "options stand after the command (tonle status --dir DIR); "
                                   "`tonle help` lists the commands");
    const struct command *k = nearest(argc, argv);
    bool second = argc > 1 && argv[1][0] != '-';
    if (is_family(argv[0]) && !second)
        (void)cli_fail(CLI_USAGE, "\"%s\" needs a second word:", argv[0]);
    else if (!k)
        (void)cli_fail(CLI_USAGE, "there is no command \"%s\"", argv[0]);
    else
        (void)cli_fail(CLI_USAGE, "there is no command \"%s%s%s\"; the nearest is \"tonle %s\"",
                       argv[0], second ? " " : "", second ? argv[1] : "", k->name);
    if (list_family(stderr, argv[0]) == 0 && k)
        fprintf(stderr, "usage: tonle %s %s\n", k->name, k->usage);
    fprintf(stderr, "`tonle help` lists all commands.\n");
    return CLI_USAGE;
}

static int help(int argc, char **argv)
{
    int n;
    if (argc == 0)
        return print_overview(stdout);
    const struct command *k = find_command(argc, argv, &n);
    if (k)
        return print_help(k);
    if (list_family(stdout, argv[0]) > 0)
        return CLI_OK;
    return unknown(argc, argv);
}

static bool asks_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8"); /* only for the width of characters in tables */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file over the limit is an error of its write, too */
    argc--, argv++;
    if (argc == 0 || asks_help(argv[0]))
        return print_overview(stdout);
    if (strcmp(argv[0], "help") == 0)
        return help(argc - 1, argv + 1);
    static char version[] = "version";
    if (strcmp(argv[0], "--version") == 0)
        argv[0] = version;
    int n_words;
    const struct command *k = find_command(argc, argv, &n_words);
    for (int i = 1; !k && i < argc; i++)
        if (asks_help(argv[i]) && is_family(argv[0]))
            return help(i, argv);
    if (!k)
        return unknown(argc, argv);
    for (int i = n_words; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            break;
        if (asks_help(argv[i]))
            return print_help(k);
    }
    struct cli c = {.command = k};
    int code = k->run(&c, argc - n_words, argv + n_words);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_OK)
        code = cli_unwritten(stdout);
    arena_fini(&c.arena);
    mem_free(c.words);
    return code;
}
