/* conflict.h - what the commands about conflicts share. */
#ifndef NODE_CLI_CONFLICT_H
#define NODE_CLI_CONFLICT_H

#include "node/cli/stream.h"
#include "node/desk/desk.h"

/* The filters of list, export and resolve --all. The last entry of an array of options is theirs to
 * end. */
struct conflict_words {
    struct conflict_filter filter;
    bool open;
};
#define CONFLICT_OPTIONS(w)                                                                        \
    {"--table", OPTION_TEXT, &(w).filter.table}, {"--office", OPTION_TEXT, &(w).filter.office},    \
        {"--unit", OPTION_TEXT, &(w).filter.unit}, {"--policy", OPTION_TEXT, &(w).filter.policy},  \
        {"--state", OPTION_TEXT, &(w).filter.state}, {"--cell", OPTION_TEXT, &(w).filter.cell},    \
        {"--limit", OPTION_NUMBER, &(w).filter.limit},                                             \
    {                                                                                              \
        "--open", OPTION_FLAG, &(w).open                                                           \
    }
/* Checks them and joins --open with --state. */
int conflict_words_of(struct cli *c, struct conflict_words *w);

/* One conflict as a JSON object, the closing brace left out when `open_end`. */
void conflict_stream(struct buf *b, const struct conflict_record *r, bool open_end);
void conflict_stream_side(struct buf *b, const struct conflict_record *r,
                          const struct conflict_side *s);
/* {"schema":1,"conflicts":[...]} of all that pass the filter. */
int conflict_stream_all(struct cli *c, struct cli_office *o, const struct conflict_filter *f,
                        FILE *file);

#endif
