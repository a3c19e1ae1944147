#include "tests/unit/store/compared.h"

#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"
#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, body TEXT, mark TEXT UNIQUE);"
    "CREATE TABLE remark(id TEXT PRIMARY KEY NOT NULL, note TEXT REFERENCES note(id));"
    "CREATE TABLE stock(id TEXT PRIMARY KEY NOT NULL, name TEXT, n INTEGER)";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"note\",\"columns\":[]},"
                              "{\"name\":\"remark\",\"columns\":[]},{\"name\":\"stock\","
                              "\"columns\":[{\"name\":\"n\",\"policy\":\"sum\"}]}]}";

int compared_start(void **state)
{
    return federation_set_up(state, 2, schema, charter, true);
}

void compared_rows(void **state)
{
    office_sql(HUB,
               "INSERT INTO note VALUES('a','1','ma'),('b','2','mb'),('c','3','mc'),('d','4','md'),"
               "('e','5','me')");
    federation_sync(*state);
}

/* All escapes over chunks of this size, as "C:a N:x D:b". With `settle` they are settled as well.
 */
static enum escape_take taken = ESCAPE_TAKE_THERE;

void compared_take(enum escape_take take)
{
    taken = take;
}

/* What is held there comes behind all others (core/scan.c). */
static void settle_all(struct office *o, struct arena *a, const struct load_chunk *chunk,
                       const struct escape *e, size_t n, enum escape_take take)
{
    bool as_lost;
    for (int held = 0; held < 2; held++)
        for (size_t i = 0; i < n; i++)
            if ((e[i].kind == ESCAPE_HELD) == held)
                assert_ok(store_escape_settle(o->store, a, chunk, &e[i], take, &as_lost));
}

const char *compared_scan_of(void **state, const char *table, uint32_t max_rows, bool settle,
                             bool take_parent)
{
    static char out[512];
    struct office *hub = HUB, *o = A;
    static const uint8_t behind_rows[] = {PART_RECORDS};
    struct load_request r = {.table = table, .max_rows = max_rows, .upto = {behind_rows, 1}};
    struct load_chunk chunk = {0};
    struct arena a = {0};
    out[0] = '\0';
    if (settle)
        assert_ok(store_begin(o->store));
    while (!chunk.end) {
        struct escape *e;
        size_t n;
        assert_ok(store_chunk_read(hub->store, &a, &r, o->name, &chunk));
        assert_ok(store_chunk_compare(o->store, &a, &chunk, r.after, &e, &n));
        for (size_t i = 0; i < n; i++) {
            struct value key;
            assert_ok(key_decode(e[i].key.p, e[i].key.len, &key, 1));
            snprintf(out + strlen(out), sizeof out - strlen(out), "%c:%.*s ", "?CNDH"[e[i].kind],
                     (int)key.len, (const char *)key.u.p);
        }
        if (settle)
            settle_all(o, &a, &chunk, e, n, take_parent ? taken : ESCAPE_TAKE_HERE);
        r.after = chunk.last_key;
    }
    if (settle)
        assert_ok(store_commit(o->store));
    arena_fini(&a);
    return out;
}

const char *compared_scan(void **state, uint32_t max_rows, bool settle, bool take_parent)
{
    return compared_scan_of(state, "note", max_rows, settle, take_parent);
}

const char compared_held[] =
    "SELECT ifnull(group_concat(key || reason, ' '), '-') FROM (SELECT * FROM"
    " tonle_held ORDER BY key)";
