/* The registry and the charter: rows that only the hub writes and that travel like any other. */
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"

#include <stdio.h>
#include <string.h>

static const char schema[] = "CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, body TEXT)";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"note\",\"columns\":[]}]}";

static int start(void **state)
{
    return federation_set_up(state, 2, schema, charter, true);
}

static struct node_record district(void)
{
    struct node_record r = {.name = "district",
                            .unit = "1201",
                            .parent = "office1",
                            .listen = "tcp://*:7001",
                            .state = NODE_INVITED,
                            .enrol_expires_ms = 99,
                            .reads = "13,14",
                            .joined_ms = 0};
    memset(r.enrol_key, 0xab, sizeof r.enrol_key);
    return r;
}

static void put(struct store *s, const struct node_record *r)
{
    assert_committed(s, store_node_put(s, r));
}

static void same_node(const struct node_record *x, const struct node_record *y)
{
    assert_string_equal(x->name, y->name);
    assert_string_equal(x->unit, y->unit);
    assert_string_equal(x->parent, y->parent);
    assert_string_equal(x->listen, y->listen);
    assert_string_equal(x->reads, y->reads);
    assert_int_equal(x->state, y->state);
    assert_int_equal(x->site, y->site);
    assert_int_equal(x->enrol_expires_ms, y->enrol_expires_ms);
    assert_int_equal(x->joined_ms, y->joined_ms);
    assert_memory_equal(x->curve_key, y->curve_key, CURVE_KEY_BYTES);
    assert_memory_equal(x->enrol_key, y->enrol_key, CURVE_KEY_BYTES);
    assert_memory_equal(x->sign_key, y->sign_key, SIGN_PUBLIC_BYTES);
}

/* A node's row comes back as it was put, at the hub and, after a seal, at every office; with its
 * site. */
static void a_nodes_row_travels(void **state)
{
    struct arena a = {0};
    struct node_record r = district(), back;
    struct site_record site;
    put(HUB->store, &r);
    assert_ok(store_node_get(HUB->store, &a, "district", &back));
    same_node(&r, &back);
    federation_sync(*state);
    assert_ok(store_node_get(A->store, &a, "district", &back));
    same_node(&r, &back);
    r.state = NODE_ACTIVE;
    r.site = 0xfedcba9876543210ULL;
    memset(r.sign_key, 0x5a, sizeof r.sign_key);
    memset(r.enrol_key, 0, sizeof r.enrol_key);
    put(HUB->store, &r);
    federation_sync(*state);
    assert_ok(store_node_get(A->store, &a, "district", &back));
    same_node(&r, &back);
    assert_ok(store_site_get(A->store, &a, r.site, &site));
    assert_string_equal(site.node, "district");
    assert_memory_equal(site.sign_key, r.sign_key, SIGN_PUBLIC_BYTES);
    arena_fini(&a);
}

/* A row put again unchanged makes no traffic; a changed one sends the changed column only. */
static void only_what_changed_travels(void **state)
{
    struct arena a = {0};
    struct node_record r = district();
    struct history h;
    put(HUB->store, &r);
    assert_true(office_seal(HUB));
    put(HUB->store, &r);
    assert_false(store_capture_pending(HUB->store));
    assert_false(office_seal(HUB));
    r.listen = "tcp://*:7002";
    put(HUB->store, &r);
    assert_true(office_seal(HUB));
    assert_ok(store_history(HUB->store, &a, "tonle_node", "\"district\"", &h));
    assert_int_equal(h.n, 2);
    assert_int_equal(h.entry[0].kind, CHANGE_BORN);
    assert_int_equal(h.entry[1].kind, CHANGE_UPDATE);
    assert_int_equal(h.entry[1].n_cells, 1);
    assert_string_equal(h.entry[1].columns[0], "listen");
    arena_fini(&a);
}

static const char *block_of(struct office *hub, const char *node)
{
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT group_concat(block) FROM tonle_site WHERE node = '%s'", node);
    return office_one(hub, sql);
}

/* A site is given a number among the blocks of integer keys that no site ever had; it keeps it, and
 * another site of the same node has another. Where all are given it has none, and enrols all the
 * same. */
static void a_sites_number_is_given_once(void **state)
{
    struct node_record r = district();
    r.state = NODE_ACTIVE;
    r.site = 0x77;
    memset(r.enrol_key, 0, sizeof r.enrol_key);
    put(HUB->store, &r);
    assert_string_equal(block_of(HUB, "district"), "2048"); /* the hub has 0, office1 has 1 */
    r.state = NODE_RETIRED;
    put(HUB->store, &r);
    assert_string_equal(block_of(HUB, "district"), "2048");
    r.state = NODE_ACTIVE;
    r.site = 0x66;
    put(HUB->store, &r);
    assert_string_equal(block_of(HUB, "district"), "3072,2048");
    office_sql(HUB, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 4095)"
                    " INSERT INTO tonle_site SELECT printf('%016x', i + 4096), i, 'gone', '', i"
                    " FROM n WHERE i NOT IN (2048, 3072)");
    r.site = 0x55;
    put(HUB->store, &r);
    assert_string_equal(block_of(HUB, "district"), "-1,3072,2048");
}

/* An office cannot write the registry or the charter, and is told where to. */
static void only_the_hub_writes(void **state)
{
    struct node_record r = district();
    struct charter_record c = {.version = 2, .schema_version = 1, .yaml = "", .compiled = "{}"};
    assert_ok(store_begin(A->store));
    assert_err(store_node_put(A->store, &r), ERR_STATE);
    assert_non_null(strstr(store_message(A->store), "hub"));
    assert_err(store_charter_put(A->store, &c), ERR_STATE);
    store_rollback(A->store);
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_node WHERE name = 'district'"),
                        "0");
}

/* Nodes are listed by unit; an unknown name is not found; a damaged row is reported, not believed.
 */
static void nodes_are_listed_and_checked(void **state)
{
    struct arena a = {0};
    struct node_record r = district(), *list, one;
    size_t n;
    put(HUB->store, &r);
    assert_ok(store_node_list(HUB->store, &a, &list, &n));
    assert_int_equal(n, 3);
    assert_string_equal(list[0].name, "hub");
    assert_string_equal(list[2].name, "district");
    assert_memory_equal(list[1].sign_key, A->key, SIGN_PUBLIC_BYTES);
    assert_err(store_node_get(HUB->store, &a, "nobody", &one), ERR_NOT_FOUND);
    office_sql(HUB, "UPDATE tonle_node SET curve_key = 'ABC' WHERE name = 'district'");
    assert_err(store_node_get(HUB->store, &a, "district", &one), ERR_CORRUPT);
    office_sql(HUB, "UPDATE tonle_node SET curve_key = '', state = 'gone' WHERE name = 'district'");
    assert_err(store_node_list(HUB->store, &a, &list, &n), ERR_CORRUPT);
    arena_fini(&a);
}

/* The newest charter is the one with the highest number, not the greatest text; it travels. */
static void the_newest_charter_counts(void **state)
{
    struct arena a = {0};
    struct charter_record c, first;
    assert_ok(store_charter_get(HUB->store, &a, &first));
    assert_int_equal(first.version, 1);
    for (uint64_t v = 9; v <= 10; v++) {
        c = (struct charter_record){.version = v,
                                    .schema_version = v,
                                    .yaml = "federation: kh\n",
                                    .compiled = first.compiled,
                                    .published_ms = 5};
        assert_committed(HUB->store, store_charter_put(HUB->store, &c));
    }
    federation_sync(*state);
    assert_ok(store_charter_get(A->store, &a, &c));
    assert_int_equal(c.version, 10);
    assert_int_equal(c.schema_version, 10);
    assert_string_equal(c.yaml, "federation: kh\n");
    assert_string_equal(c.compiled, first.compiled);
    office_sql(A, "DELETE FROM tonle_charter");
    assert_err(store_charter_get(A->store, &a, &c), ERR_NOT_FOUND);
    arena_fini(&a);
}

/* A charter that waits behind other rows of the log says all the same which changeset it came with:
 * that is what decides whether somebody had it. */
static void a_charter_names_the_changeset_it_comes_with(void **state)
{
    struct arena a = {0};
    struct charter_record c;
    assert_ok(store_charter_get(HUB->store, &a, &c));
    assert_ok(store_begin(HUB->store));
    for (c.version = 2; c.version <= 4; c.version++)
        assert_ok(store_charter_put(HUB->store, &c));
    assert_ok(store_commit(HUB->store));
    for (int i = 1; i <= 3; i++) {
        assert_committed(HUB->store, store_registry_attest(HUB->store, HUB->secret));
        assert_true(office_seal_part(HUB, 1));
    }
    federation_sync(*state);
    const char *seqs = "SELECT group_concat(seq) FROM (SELECT seq FROM tonle_charter"
                       " WHERE seq > 0 ORDER BY version)";
    assert_int_equal(store_state_get(A->store)->clock.n, 1);
    assert_string_equal(office_one(A, seqs), "1,2,3");
    assert_string_equal(office_one(HUB, seqs), "1,2,3");
    arena_fini(&a);
}

/* Freshness tells the time of the last changeset of each active office that is here. */
static void freshness_follows_the_changesets(void **state)
{
    struct arena a = {0};
    struct freshness *list;
    size_t n;
    office_sql(A, "INSERT INTO note VALUES('n', 'x')");
    federation_sync(*state);
    assert_ok(store_freshness(HUB->store, &a, &list, &n));
    assert_int_equal(n, 2);
    assert_string_equal(list[1].node, "office1");
    assert_int_equal(list[1].site, A->site);
    assert_int_equal(list[1].seq, store_state_get(A->store)->seq);
    assert_true(list[1].as_of_ms >= 1700000000000ULL && list[1].as_of_ms <= A->now_ms);
    arena_fini(&a);
}

/* Of an office from which nothing was heard no time is told, neither by SQL nor by 0 in disguise;
 * heard-up-to goes on with what all have answered, also of an office that writes nothing. */
static void nothing_heard_is_no_time(void **state)
{
    struct node_record r = district();
    r.state = NODE_ACTIVE;
    r.site = 0x1234;
    r.joined_ms = 1700000000000ULL;
    put(HUB->store, &r);
    office_sql(HUB, "INSERT OR REPLACE INTO tonle_meta VALUES('stable_ms', 1600000000000)");
    static const char of[] = "SELECT ifnull(as_of_ms, 'never') || ' ' || ifnull(heard_up_to_ms, "
                             "'never') FROM tonle_freshness WHERE node = 'district'";
    assert_string_equal(office_one(HUB, of), "never never");
    office_sql(HUB, "UPDATE tonle_meta SET v = 1700000001000 WHERE k = 'stable_ms'");
    assert_string_equal(office_one(HUB, of), "never 1700000001000");
    office_sql(A, "INSERT INTO note VALUES('n', 'x')");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT as_of_ms <= heard_up_to_ms AND as_of_ms > 0 FROM"
                                        " tonle_freshness WHERE node = 'office1'"),
                        "1");
}

/* Property: a database whose tonle_* tables another version made is not opened, and the message
 * names both versions. */
static void tables_of_another_version_are_not_opened(void **state)
{
    struct store *again = NULL;
    char msg[256] = "";
    struct store_options options = {.path = A->path, .busy_ms = 1000, .read_only = true};
    assert_ok(store_open(&again, &options, msg));
    store_close(again);
    office_sql(A, "UPDATE tonle_meta SET v = 1 WHERE k = 'ddl'");
    assert_err(store_open(&again, &options, msg), ERR_SCHEMA);
    assert_non_null(strstr(msg, "version 1, this program keeps version 12"));
}

/* SQLite 3.40 finds "NULL value" in a WITHOUT ROWID table whose key does not stand in front: nobody
 * is to take our tables for damaged. */
static void the_key_of_each_table_stands_in_front(void **state)
{
    assert_string_equal(
        office_one(A, "SELECT count(*) > 10 FROM pragma_table_list WHERE wr AND name GLOB"
                      " 'tonle_*'"),
        "1");
    assert_string_equal(
        office_one(A, "SELECT count(*) FROM pragma_table_list l JOIN pragma_table_info(l.name) c"
                      " WHERE l.wr AND l.name GLOB 'tonle_*' AND c.pk > 0 AND c.pk <> c.cid + 1"),
        "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_nodes_row_travels),
        FEDERATION_TEST(only_what_changed_travels),
        FEDERATION_TEST(a_sites_number_is_given_once),
        FEDERATION_TEST(only_the_hub_writes),
        FEDERATION_TEST(nodes_are_listed_and_checked),
        FEDERATION_TEST(the_newest_charter_counts),
        FEDERATION_TEST(a_charter_names_the_changeset_it_comes_with),
        FEDERATION_TEST(freshness_follows_the_changesets),
        FEDERATION_TEST(nothing_heard_is_no_time),
        FEDERATION_TEST(tables_of_another_version_are_not_opened),
        FEDERATION_TEST(the_key_of_each_table_stands_in_front),
    };
    return check_run(tests);
}
