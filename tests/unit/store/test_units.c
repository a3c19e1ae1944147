/* The unit of every site, as the rules of all tables see it. */
#include "node/schema/own.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"

#include <string.h>

static const char schema[] = "CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, body TEXT)";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"note\",\"columns\":[]}]}";

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, true);
}

static const char *unit(struct store *s, uint64_t site)
{
    assert_ok(schema_load(s));
    const struct table_schema *t = schema_table(s, "note");
    assert_non_null(t);
    return unit_of(t->rules.units, site);
}

/* Sites on both sides of what a signed number holds, so that the order matters. */
static struct node_record newcomer(const char *name, const char *code, uint64_t site)
{
    return (struct node_record){.name = name,
                                .unit = code,
                                .parent = "hub",
                                .listen = "",
                                .state = NODE_ACTIVE,
                                .site = site,
                                .sign_key = {1},
                                .reads = ""};
}

static void put(struct store *s, const struct node_record *r)
{
    if (store_node_put(s, r) != ERR_OK)
        fail_msg("%s", store_message(s));
}

/* Every site that the registry knows has its unit, in the rules of every table, the internal ones
 * too; another has none. */
static void every_site_has_its_unit(void **state)
{
    struct store *s = A->store;
    for (int i = 0; i < 3; i++)
        assert_string_equal(unit(s, OFFICE(i)->site), OFFICE(i)->unit);
    assert_null(unit(s, 12345));
    for (uint32_t i = 0; i < s->schema->n_tables; i++)
        assert_ptr_equal(s->schema->tables[i].rules.units, &own_of(s)->units);
    assert_int_equal(own_of(s)->units.n, 3);
}

/* A site is known within the transaction that brings it, also beside others whose numbers are above
 * the signed range; after a rollback it is unknown again. */
static void a_new_site_is_known_at_once(void **state)
{
    struct store *s = HUB->store;
    struct node_record low = newcomer("low", "13", 1), high = newcomer("high", "1402", UINT64_MAX);
    assert_null(unit(s, 1));
    assert_ok(store_begin(s));
    put(s, &high);
    assert_string_equal(unit(s, UINT64_MAX), "1402");
    put(s, &low);
    assert_string_equal(unit(s, 1), "13");
    assert_string_equal(unit(s, UINT64_MAX), "1402");
    assert_string_equal(unit(s, B->site), B->unit);
    for (size_t i = 1; i < own_of(s)->units.n; i++)
        assert_true(own_of(s)->units.site[i - 1].site < own_of(s)->units.site[i].site);
    store_rollback(s);
    assert_null(unit(s, 1));
    assert_ok(store_begin(s));
    put(s, &low);
    assert_ok(store_commit(s));
    assert_string_equal(unit(s, 1), "13");
    assert_null(unit(s, UINT64_MAX));
}

/* A site arrives with the changeset of the hub that names it, and what another process wrote is
 * seen after its commit. */
static void sites_arrive_with_the_registry(void **state)
{
    struct store *s = A->store;
    struct node_record r = newcomer("low", "13", 7);
    assert_null(unit(s, 7));
    assert_ok(store_begin(HUB->store));
    put(HUB->store, &r);
    assert_ok(store_commit(HUB->store));
    assert_true(office_seal(HUB));
    office_pull(A, HUB);
    assert_string_equal(unit(s, 7), "13");
    office_sql(A, "UPDATE tonle_node SET unit = '1301' WHERE name = 'low'");
    assert_string_equal(unit(s, 7), "1301");
}

/* Nothing is read again while nothing changed: a mark left in the list stays there, through
 * changesets that do not touch the registry. */
static void nothing_is_read_again_for_nothing(void **state)
{
    struct store *s = A->store;
    office_sql(HUB, "INSERT INTO note VALUES('a', 'x')");
    assert_true(office_seal(HUB));
    assert_string_equal(unit(s, A->site), A->unit);
    own_of(s)->units.n = 0;
    office_pull(A, HUB);
    assert_null(unit(s, A->site));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(every_site_has_its_unit),
        FEDERATION_TEST(a_new_site_is_known_at_once),
        FEDERATION_TEST(sites_arrive_with_the_registry),
        FEDERATION_TEST(nothing_is_read_again_for_nothing),
    };
    return check_run(tests);
}
