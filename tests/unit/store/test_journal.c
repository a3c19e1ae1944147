/* The journal's filters, positions and sites, on a real database. */
#include "node/db/db.h"
#include "node/journal/journal.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <string.h>

static const char schema[] = "CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, body TEXT)";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"note\",\"columns\":[]}]}";

static int start(void **state)
{
    return federation_set_up(state, 2, schema, charter, true);
}

static uint64_t append(struct store *s, enum item_kind kind, const char *source, uint64_t seq)
{
    uint64_t pos = 0;
    struct dot dot =
        kind == ITEM_CHANGESET ? (struct dot){0xf000000000000001ULL, seq} : (struct dot){0, 0};
    struct bytes bytes = {(const uint8_t *)"item", 4};
    assert_ok(store_journal_append(s, kind, source, dot, 1000 + seq, bytes, &pos));
    return pos;
}

/* Positions of all that is for this peer, as digits: one character each, 'a' for position 1. */
static const char *reach(struct store *s, enum direction dir, const char *peer)
{
    static char out[64];
    struct arena a = {0};
    struct item item = {0};
    size_t n = 0;
    enum err e;
    while ((e = store_journal_next(s, &a, dir, peer, item.pos, &item)) == ERR_OK)
        out[n++] = (char)('a' + item.pos - 1);
    assert_err(e, ERR_NOT_FOUND);
    out[n] = '\0';
    arena_fini(&a);
    return out;
}

/* Up go changesets and answers, never the parent's own; down go changesets, marks and stables,
 * never back to the child they came from. */
static void items_travel_in_their_direction_only(void **state)
{
    struct store *s = A->store;
    assert_ok(store_begin(s));
    append(s, ITEM_CHANGESET, "", 1);      /* a */
    append(s, ITEM_CHANGESET, "hub", 2);   /* b */
    append(s, ITEM_MARK, "hub", 3);        /* c */
    append(s, ITEM_ANSWER, "", 4);         /* d */
    append(s, ITEM_CHANGESET, "child", 5); /* e */
    append(s, ITEM_ANSWER, "child", 6);    /* f */
    append(s, ITEM_STABLE, "hub", 7);      /* g */
    append(s, ITEM_CHANGESET, "other", 8); /* h */
    assert_ok(store_commit(s));
    assert_string_equal(reach(s, LINK_UP, "hub"), "adefh");
    assert_string_equal(reach(s, LINK_DOWN, "child"), "abcgh");
    assert_string_equal(reach(s, LINK_DOWN, "other"), "abceg");
}

/* At the hub nothing travels up. */
static void the_hub_has_no_up(void **state)
{
    struct store *s = HUB->store;
    assert_ok(store_begin(s));
    append(s, ITEM_CHANGESET, "", 1);
    append(s, ITEM_CHANGESET, "child", 2);
    assert_ok(store_commit(s));
    assert_string_equal(reach(s, LINK_UP, ""), "");
    assert_string_equal(reach(s, LINK_DOWN, "child"), "a");
}

/* Behind a run of one child's items, of any length, the next item of another source is found; and
 * the cost does not grow with the run: the whole scan of 20,000 foreign items takes few statement
 * steps. */
static void a_long_run_of_foreign_items_is_jumped_over(void **state)
{
    struct office *o = A;
    struct store *s = o->store;
    struct arena a = {0};
    struct item item;
    assert_ok(store_begin(s));
    append(s, ITEM_CHANGESET, "", 1);
    assert_ok(store_commit(s));
    office_sql(o, "INSERT INTO tonle_journal(kind, source, site, seq, hlc, bytes)"
                  " WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20001)"
                  " SELECT 1, 'child', 77, i, i, zeroblob(2000) FROM n");
    assert_ok(store_begin(s));
    uint64_t last = append(s, ITEM_CHANGESET, "", 2);
    assert_ok(store_commit(s));
    assert_ok(store_journal_next(s, &a, LINK_DOWN, "child", 1, &item));
    assert_int_equal(item.pos, last);
    for (int i = 0; i < 500;
         i++) { /* 10 million rows if it scanned: the test's time limit would tell */
        assert_ok(store_journal_next(s, &a, LINK_DOWN, "child", 1, &item));
        assert_err(store_journal_next(s, &a, LINK_DOWN, "child", last, &item), ERR_NOT_FOUND);
        arena_reset(&a);
    }
    arena_fini(&a);
}

/* The backlog counts what is behind a position for that peer, and knows the oldest and the last. */
static void the_backlog_counts_what_waits(void **state)
{
    struct store *s = A->store;
    struct backlog b;
    assert_ok(store_journal_backlog(s, LINK_DOWN, "child", 0, &b));
    assert_int_equal(b.items + b.tail_pos + b.oldest_hlc + b.bytes, 0);
    assert_ok(store_begin(s));
    append(s, ITEM_CHANGESET, "hub", 1);
    append(s, ITEM_MARK, "hub", 2);
    uint64_t tail = append(s, ITEM_CHANGESET, "", 3);
    append(s, ITEM_CHANGESET, "child", 4);
    assert_ok(store_commit(s));
    assert_ok(store_journal_backlog(s, LINK_DOWN, "child", 1, &b));
    assert_int_equal(b.items, 2);
    assert_int_equal(b.changesets, 1);
    assert_int_equal(b.bytes, 8);
    assert_int_equal(b.oldest_hlc, 1002);
    assert_int_equal(b.tail_pos, tail);
    assert_ok(store_journal_backlog(s, LINK_DOWN, "child", tail, &b));
    assert_int_equal(b.items, 0);
    assert_int_equal(b.tail_pos, tail);
}

/* A changeset is found by its dot with everything it was appended with; another dot is not found.
 */
static void a_changeset_is_found_by_its_dot(void **state)
{
    struct store *s = A->store;
    struct arena a = {0};
    struct item item;
    assert_ok(store_begin(s));
    uint64_t pos = append(s, ITEM_CHANGESET, "child", 9);
    assert_ok(store_commit(s));
    assert_ok(store_journal_find(s, &a, (struct dot){0xf000000000000001ULL, 9}, &item));
    assert_int_equal(item.pos, pos);
    assert_string_equal(item.source, "child");
    assert_int_equal(item.hlc, 1009);
    assert_int_equal(item.bytes.len, 4);
    assert_memory_equal(item.bytes.p, "item", 4);
    assert_err(store_journal_find(s, &a, (struct dot){1, 9}, &item), ERR_NOT_FOUND);
    arena_fini(&a);
}

/* A position is given once, also after the last item is gone, and to whoever opens the database
 * anew: what was acknowledged stays behind. */
static void positions_are_never_given_twice(void **state)
{
    struct office *o = A;
    assert_ok(store_begin(o->store));
    append(o->store, ITEM_CHANGESET, "", 1);
    uint64_t pos = append(o->store, ITEM_CHANGESET, "", 2);
    assert_ok(store_commit(o->store));
    office_sql(o, "DELETE FROM tonle_journal");
    assert_ok(store_begin(o->store));
    assert_int_equal(append(o->store, ITEM_CHANGESET, "", 3), pos + 1);
    assert_ok(store_commit(o->store));
    office_sql(o, "DELETE FROM tonle_journal");
    store_close(o->store);
    office_open_store(o, false);
    assert_int_equal(store_state_get(o->store)->journal_pos, pos + 1);
    assert_ok(store_begin(o->store));
    assert_int_equal(append(o->store, ITEM_CHANGESET, "", 4), pos + 2);
    assert_ok(store_commit(o->store));
}

/* Tools of the application read our tables with its own: each column has a type, and there is no
 * sqlite_sequence where the application has none. */
static void a_tool_can_read_our_tables(void **state)
{
    (void)state;
    assert_string_equal(database_text(A->app, "SELECT count(*) > 100 FROM sqlite_schema s,"
                                              " pragma_table_info(s.name) c WHERE s.type = 'table'"
                                              " AND s.name LIKE 'tonle\\_%' ESCAPE '\\'"),
                        "1");
    assert_string_equal(
        database_text(A->app, "SELECT group_concat(s.name || '.' || c.name) FROM sqlite_schema s,"
                              " pragma_table_xinfo(s.name) c WHERE s.type = 'table'"
                              " AND s.name LIKE 'tonle\\_%' ESCAPE '\\' AND c.type = ''"),
        "NULL");
    assert_string_equal(
        database_text(A->app, "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'"),
        "0");
}

/* What is durable of a neighbour is kept as told; an unknown one is all zero; a rollback takes it
 * back. */
static void neighbours_are_remembered(void **state)
{
    struct store *s = A->store;
    struct peer_record r = {1, 1, 1};
    assert_ok(store_peer_get(s, "child", &r));
    assert_int_equal(r.received_pos + r.acked_pos + r.contact_ms, 0);
    assert_ok(store_begin(s));
    assert_ok(store_peer_received(s, "child", 12));
    assert_ok(store_peer_acked(s, "child", 34, 56));
    assert_ok(store_commit(s));
    assert_ok(store_begin(s));
    assert_ok(store_peer_received(s, "child", 99));
    store_rollback(s);
    assert_ok(store_peer_get(s, "child", &r));
    assert_int_equal(r.received_pos, 12);
    assert_int_equal(r.acked_pos, 34);
    assert_int_equal(r.contact_ms, 56);
}

/* A site is told with its office, key, and what was applied of it; one that is not registered is
 * not found. */
static void sites_tell_office_key_and_progress(void **state)
{
    struct office *hub = HUB, *o = A;
    struct arena a = {0};
    struct site_record r;
    office_sql(o, "INSERT INTO note VALUES('n1', 'x')");
    federation_sync(*state);
    assert_ok(store_site_get(hub->store, &a, o->site, &r));
    assert_int_equal(r.site, o->site);
    assert_string_equal(r.node, "office1");
    assert_string_equal(r.unit, "12");
    assert_memory_equal(r.sign_key, o->key, SIGN_PUBLIC_BYTES);
    assert_int_equal(r.seq, store_state_get(o->store)->seq);
    assert_memory_equal(r.chain, store_state_get(o->store)->chain, HASH_BYTES);
    assert_true(r.hlc > 0);
    assert_err(store_site_get(hub->store, &a, 4711, &r), ERR_NOT_FOUND);
    office_sql(hub, "UPDATE tonle_site SET sign_key = 'zz' WHERE node = 'office1'");
    assert_err(store_site_get(hub->store, &a, o->site, &r), ERR_CORRUPT);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(items_travel_in_their_direction_only),
        FEDERATION_TEST(the_hub_has_no_up),
        FEDERATION_TEST(a_long_run_of_foreign_items_is_jumped_over),
        FEDERATION_TEST(the_backlog_counts_what_waits),
        FEDERATION_TEST(a_changeset_is_found_by_its_dot),
        FEDERATION_TEST(a_tool_can_read_our_tables),
        FEDERATION_TEST(positions_are_never_given_twice),
        FEDERATION_TEST(neighbours_are_remembered),
        FEDERATION_TEST(sites_tell_office_key_and_progress),
    };
    return check_run(tests);
}
