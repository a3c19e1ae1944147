/* review.h - what the commands of the review desk share: who decides and why, the values typed, and
 * the wait until the node has sealed a decision.
 */
#ifndef NODE_CLI_REVIEW_H
#define NODE_CLI_REVIEW_H

#include "node/cli/cli.h"
#include "node/desk/desk.h"

struct review_words { /* the options of every deciding command */
    struct option_list set;
    const char *reason, *by;
};
/* Options and operator into a review; CLI_USAGE with the message printed when something is missing.
 */
int review_read(struct cli *c, const struct review_words *w, struct review *out);
/* "site:seq" as `show` prints it. */
bool review_dot(const char *text, struct dot *out);
/* The decision is committed: waits until the running node has sealed it, and says so. `children`:
 * rows that refer to the one that was settled, in words, or "". */
int review_done(struct cli *c, struct cli_office *o, const struct held_settled *settled);
/* The store's message after a refused decision, with the exit code that stands for it. */
int review_fail(const struct cli_office *o, enum err e, const char *list_command);

#endif
