/* gaps.h - capture that is away, and what a comparison makes of it. */
#ifndef TESTS_UNIT_NODE_GAPS_H
#define TESTS_UNIT_NODE_GAPS_H

#include "tests/unit/node/fixture.h"

#include <jansson.h>

#define REBUILD(changes)                                                                           \
    "BEGIN; CREATE TABLE note_new(id TEXT PRIMARY KEY NOT NULL, text TEXT);"                       \
    " INSERT INTO note_new SELECT id, text FROM note; " changes                                    \
    " DROP TABLE note; ALTER TABLE note_new RENAME TO note; COMMIT"
#define ROWS(n)                                                                                    \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < " #n ")"               \
    " INSERT INTO note SELECT printf('n%05d', i), 'x' FROM n"

json_t *gap_ask(struct net *t, struct net_office *o, const char *line); /* no error */
json_int_t gap_number(const json_t *o, const char *name);
/* The only gap of its status: "TABLE STATE changed new deleted synced", or "none synced". */
const char *gap_of(struct net *t, struct net_office *o);
/* With capture off: also what a flipped bit does. */
void gap_behind(struct net_office *o, const char *sql);
void gap_while_off(struct net *t, struct net_office *o, const char *sql);
/* A person's word; how many rows it settled. */
json_int_t gap_take(struct net *t, struct net_office *o, const char *what);
void gap_settled(struct net *t, struct net_office *o, const char *want); /* in half a minute */
void gap_start_with(struct net *t, const char *sql);

#endif
