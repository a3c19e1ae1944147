/* findings.h - tests with a verdict and a remedy: what `doctor` and `charter check` print. */
#ifndef NODE_CLI_FINDINGS_H
#define NODE_CLI_FINDINGS_H

#include "node/check/check.h"
#include "node/cli/cli.h"

struct findings { /* {0}; everything lives in the command's arena */
    struct finding *f;
    size_t n, cap;
    size_t failed, warned;
};
/* `level`: "ok", "warn" or "fail". Borrows the texts. */
void findings_add(struct cli *c, struct findings *l, const char *level, const char *subject,
                  const char *text);
/* JSON with "ok" and "findings", or a table, what is bad first. Frees nothing. */
void findings_print(struct cli *c, const struct findings *l);

#endif
