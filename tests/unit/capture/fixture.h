/* fixture.h - a real database file with an application (the sqlite3 shell, another process) on one
 * side and the store on the other. */
#ifndef TESTS_CAPTURE_FIXTURE_H
#define TESTS_CAPTURE_FIXTURE_H

#include "node/db/db.h"

struct capture_office {
    char dir[256];
    char path[272];
    struct store *s;
    struct arena a;
    char *text; /* of the last collect */
};

/* Makes the application's schema, then the store, publishes the named tables (comma separated) and
 * installs capture. */
void capture_office_open(struct capture_office *o, const char *schema, const char *tables);
void capture_office_close(struct capture_office *o);
/* Publishes a compiled charter under a version ("0000000001"...). */
void office_publish(struct capture_office *o, const char *version, const char *compiled);
void office_install(struct capture_office *o);
/* The application: another process. Fails the test when the shell reports an error. */
void office_app(struct capture_office *o, const char *sql);
/* The same, the shell may report errors; what it printed. Free the text. */
char *office_app_output(struct capture_office *o, const char *sql, int *status);
/* Collects, consumes, commits: one line a row, "table kind key column=value...", deltas with their
 * sign, "@site:seq" behind what names its birth. Lives until the next. */
const char *office_collect(struct capture_office *o);
const char *office_collect_limited(struct capture_office *o, uint32_t max_rows, uint64_t max_bytes,
                                   bool *cut);
/* First column of the first row, on the store's connection. */
int64_t office_number(struct capture_office *o, const char *sql);
void value_print(struct buf *b, const struct value *v);

/* schema; setup (collected and thrown away); what the application does; what is collected then */
void check_table_capture(const char *tables, const char *schema, const char *setup, const char *act,
                         const char *expected);
/* One table t, under this compiled charter. */
void check_rules_capture(const char *schema, const char *rules, const char *setup, const char *act,
                         const char *expected);
/* the same with one table t */
void check_capture(const char *schema, const char *setup, const char *act, const char *expected);

#endif
