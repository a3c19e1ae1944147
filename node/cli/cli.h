/* cli.h - what the commands share: the table of commands, arguments, opening the node's directory,
 * output.
 *
 * Invariant: data goes to stdout, everything else to stderr; every error says what to do next; a
 * command returns one of the exit codes below (DESIGN 12) and nothing else. Secrets never stand on
 * a command line or in a message.
 */
#ifndef NODE_CLI_CLI_H
#define NODE_CLI_CLI_H

#include "node/charter/charter.h"
#include "node/config/config.h"
#include "node/state/state.h"
#include "node/store/store.h"

#include <jansson.h>
#include <stdio.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_ERROR = 1,
    CLI_USAGE = 2,
    CLI_NOT_RUNNING = 3,
    CLI_DEGRADED = 4,
    CLI_TEMPORARY = 5,
    CLI_REFUSED = 6,
    CLI_DIFFER = 7,
    CLI_DECISION = 8,
};

#define TONLE_VERSION "0.1.0"
#define CLI_SCHEMA 1     /* "schema" of every --json answer */
#define CLI_BUSY_MS 5000 /* how long a command waits for the database's lock */

struct command;
struct cli { /* one invocation; {0} but for `command` is valid */
    const struct command *command;
    const char *dir; /* the state directory, resolved */
    bool json;
    struct arena arena; /* lives until the process ends */
    int n_words;        /* positional arguments after the command words */
    const char **words;
};

struct command {
    const char *name;  /* "hub init" */
    const char *usage; /* what stands after the name */
    const char *summary;
    const char *details; /* paragraphs for `tonle help NAME`; may be NULL */
    int (*run)(struct cli *c, int argc, char **argv);
};
extern const struct command cli_commands[]; /* ends with a NULL name */

/* ---- arguments */
enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_NUMBER, OPTION_LIST };
struct option_list {
    const char **item;
    size_t n, cap;
};
struct option {       /* `target`: bool, const char *, uint64_t or struct option_list */
    const char *name; /* "--db" */
    enum option_kind kind;
    void *target;
};
/* Takes the options named (ends with a NULL name), --dir and --json out of argv; what is left are
 * the words in c->words. Returns CLI_OK, or CLI_USAGE with the message and usage printed. `min` and
 * `max` limit the words. */
int cli_arguments(struct cli *c, int argc, char **argv, const struct option *options, int min,
                  int max);

/* ---- messages, on stderr */
/* "tonle: ..." ; returns `code`, so that a command can end with it. */
int cli_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The last of them; "" where there was none. Hushed, they are only kept. */
const char *cli_failure(void);
void cli_hush(bool hushed);
/* The same with the command's usage below. */
int cli_usage(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int cli_exit_of(enum err e); /* the exit code that stands for an error */

/* ---- the node's directory and database */
struct cli_office { /* {0}; released by office_close */
    struct config config;
    const char *db_path;
    struct keys keys;
    struct store *store;
    enum err fault;   /* why it could not be opened, or claimed */
    const char *gone; /* why, where it is that our tables were dropped by another program */
};
enum office_access {
    OFFICE_READ,
    OFFICE_WRITE,
    OFFICE_RUN,
    OFFICE_LEAVE
}; /* RUN: as the node itself, with the WAL guard; LEAVE: also what is left of one, without keys */
/* node.yaml, keys (writing only) and the database, which must be a node's. CLI_OK or the exit code,
 * message printed. */
int office_open(struct cli *c, enum office_access access, struct cli_office *o);
/* The settings of a new node: node.yaml's defaults written out, so that an operator sees what there
 * is. */
struct config office_new_config(const char *db, const char *listen, const char *parent_endpoint);
/* claim.c: the database is this directory's node's alone, from now until `lock`, the directory's,
 * is let go. `write`: also what stands there already, to see whether the disk takes it. CLI_OK or
 * the exit code, message printed. */
int office_claim(struct cli *c, struct cli_office *o, int lock, bool write);
/* Only whether the directory is a node's; CLI_OK or the exit code, message printed. */
int office_check(struct cli *c);
void office_close(struct cli_office *o);
/* Prints the store's message after a failure and returns the exit code. `doing`: "reading the
 * conflicts". */
int office_fail(const struct cli_office *o, enum err e, const char *doing);
/* What to do where our tables were dropped. */
const char *office_gone_next(const struct config *config);
/* The same with a message that was kept. */
int cli_store_fail(enum err e, const char *text, const char *doing);

/* ---- the running node */
/* Sends {"do": what, ...} to the running node and reads its answer. CLI_OK and *answer (new
 * reference); CLI_NOT_RUNNING silently when no node runs; CLI_TEMPORARY when it runs and does not
 * answer; CLI_ERROR with the node's message printed. Takes the reference of `request`. */
int cli_ask(struct cli *c, json_t *request, uint64_t timeout_ms, json_t **answer);
/* The same, but an error that the node answers with is the answer. */
int cli_ask_plain(struct cli *c, json_t *request, uint64_t timeout_ms, json_t **answer);

/* status.c: the status of this office. CLI_OK: of the running node; CLI_NOT_RUNNING: read from the
 * database of one that is stopped. Otherwise *status stays NULL and the message is printed. */
int status_read(struct cli *c, json_t **status);

/* ---- output */
/* The exit code where `file` did not take all: CLI_ERROR with a message; CLI_OK, silently, where
 * its reader has what he wanted and is gone (`| head`). */
int cli_unwritten(FILE *file);
void cli_print_json(json_t *value); /* takes the reference; one document and a newline */
json_t *cli_value_json(const struct value *v);
json_t *cli_key_json(const char *key_json);       /* the key as stored: a JSON text */
json_t *cli_dot_json(struct dot d);               /* "site:seq" */
json_t *cli_time_json(uint64_t ms);               /* ISO 8601 UTC with milliseconds; null for 0 */
json_t *cli_text_json(const char *s);             /* a string whatever the bytes */
const char *cli_time(struct cli *c, uint64_t ms); /* the same as text; "-" for 0 */
const char *cli_value(struct cli *c, const struct value *v); /* a long one is cut */
const char *cli_json_text(struct cli *c, const json_t *j);   /* in one line, for people */
/* A long text is cut, for people. */
const char *cli_short(struct cli *c, const char *text);
const char *cli_dot(struct cli *c, struct dot d);
const char *cli_printf(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What another office wrote, for this terminal (file/printable.h). */
const char *cli_safe(struct cli *c, const char *text);
/* "3 s", "14 min", "5 h", "12 days". */
const char *cli_age(struct cli *c, uint64_t ms);
/* Green, yellow, red, on a terminal without NO_COLOR; otherwise the text itself. */
enum cli_colour { COLOUR_GOOD = 32, COLOUR_WARN = 33, COLOUR_BAD = 31, COLOUR_BOLD = 1 };
const char *cli_coloured(struct cli *c, enum cli_colour colour, const char *text);

/* printf for people: of what is not printable only line feeds and our own colours pass. Words of
 * others that stand in a line go through cli_safe, so that they cannot begin one. */
void cli_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A table for people: columns as wide as their widest cell, control characters shown escaped. */
#define TABLE_COLUMNS 10
struct text_cell {
    const char *text;
    uint32_t len, width;
};
struct text_table {
    unsigned columns;
    size_t n, cap;
    struct text_cell *cell; /* n rows of `columns` */
};
void table_head(struct cli *c, struct text_table *t, unsigned columns, const char *const *heads);
void table_add(struct cli *c, struct text_table *t, const char *const *cells);
void table_print(struct text_table *t); /* and frees it */

/* history.c: the JSON of a key typed on the command line; a word that is not JSON is text
 * (*quoted).
 */
const char *cli_key_text(struct cli *c, const char *word, bool *quoted);

uint64_t cli_now_ms(void);  /* wall clock */
uint64_t cli_mono_ms(void); /* monotonic */
/* Fills p with n random bytes of the system. */
void cli_random(void *p, size_t n);
/* "tcp://HOST:PORT" -> true, with port 0 replaced by a free one; CLI_USAGE with a message
 * otherwise. */
int cli_listen(struct cli *c, const char *endpoint, const char **picked);

/* Names of nodes: they stand in keys of the registry, in logs and in User-Ids ("invite:NAME"). */
#define CLI_NAME_RULE "1 to 64 letters, digits, dots, dashes and underscores"
bool cli_name_ok(const char *name);
const char *cli_absolute(struct cli *c, const char *path);

/* ---- one file a command */
int command_hub_init(struct cli *c, int argc, char **argv);
int command_node_add(struct cli *c, int argc, char **argv);
int command_node_list(struct cli *c, int argc, char **argv);
int command_join(struct cli *c, int argc, char **argv);
int command_leave(struct cli *c, int argc, char **argv);
int command_run(struct cli *c, int argc, char **argv);
int command_status(struct cli *c, int argc, char **argv);
int command_conflict_list(struct cli *c, int argc, char **argv);
int command_conflict_show(struct cli *c, int argc, char **argv);
int command_conflict_resolve(struct cli *c, int argc, char **argv);
int command_conflict_export(struct cli *c, int argc, char **argv);
int command_held_list(struct cli *c, int argc, char **argv);
int command_held_show(struct cli *c, int argc, char **argv);
int command_held_retry(struct cli *c, int argc, char **argv);
int command_held_set(struct cli *c, int argc, char **argv);
int command_held_merge(struct cli *c, int argc, char **argv);
int command_held_drop(struct cli *c, int argc, char **argv);
int command_explain(struct cli *c, int argc, char **argv);
int command_history(struct cli *c, int argc, char **argv);
int command_verify(struct cli *c, int argc, char **argv);
int command_charter_check(struct cli *c, int argc, char **argv);
int command_charter_show(struct cli *c, int argc, char **argv);
int command_doctor(struct cli *c, int argc, char **argv);
int command_version(struct cli *c, int argc, char **argv);

#endif
