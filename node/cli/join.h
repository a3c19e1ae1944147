/* join.h - the files of `tonle join`: join.c starts it and shows its progress, join_check.c tries
 * what could stop it, join_end.c says what came of it. The joining itself is a state of the core
 * (node/core/join.h).
 */
#ifndef NODE_CLI_JOIN_H
#define NODE_CLI_JOIN_H

#include "node/cli/cli.h"
#include "node/core/join.h"

struct join_session {
    struct cli *cli;
    const char *db, *invitation_path, *mode_name, *listen;
    enum load_mode mode;
    bool make_autoincrement, renumber, dry_run;
    struct invitation invitation;
    struct keys keys;
    const struct join_report *report;
    bool line_open, copy_told; /* on the terminal */
    char loop_fault[768];      /* why the loop could not go on, or keep what was fetched; "" */
    char settle_fault[256];    /* why node.yaml could not be written */
};

/* What could stop it on this machine, before the invitation is used: CLI_OK, or the exit code with
 * the message printed. The database and the endpoint are as they were. */
int join_check(const struct join_session *j);
/* Prints it; the exit code. */
int join_tell(const struct join_session *j);

#endif
