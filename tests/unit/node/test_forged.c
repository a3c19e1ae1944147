/* A parent that lies to who joins below it, or about it: the registry and the charter say whose
 * signature is whose, so they are the hub's word or none (node/core/join_registry.c), and what it
 * says upwards is the newcomer's word or none (protocol/seal_enrol.h). */
#include "node/schema/schema.h"
#include "protocol/seal_enrol.h"
#include "tests/unit/node/fixture.h"

#include <stdio.h>
#include <string.h>

#define TONLE_TABLES "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle%'"
#define REGISTRY(each)                                                                             \
    each("tonle_node") each("tonle_site") each("tonle_charter") each("tonle_registry")
#define KEEP(table) "CREATE TABLE kept_" table " AS SELECT * FROM " table ";"
#define PUT_BACK(table) "DELETE FROM " table "; INSERT INTO " table " SELECT * FROM kept_" table ";"
#define DROP(table) "DROP TABLE kept_" table ";"

/* The hub with a province and another office, kampot; an invitation for d1 below the province. */
static int start(void **state)
{
    if (net_set_up_two(state))
        return -1;
    struct net *t = *state;
    net_grow(t, "kampot", "07", "hub");
    net_sql(t, HUB, "INSERT INTO note VALUES('n1', 'x')");
    net_invite(t, "d1", "1201", "province", 0);
    return net_settle(t, 10000) ? 0 : -1;
}

/* Enrolled, and no more: the registry does not change by what follows. */
static struct net_office *enrol_only(struct net *t)
{
    struct net_office *o = net_add(t, "d1", "province");
    net_join_begin(t, o, LOAD_EMPTY);
    while (o->invited || o->kept.len == 0)
        net_run(t, 1);
    net_crash(t, o);
    assert_true(net_settle(t, 10000));
    return o;
}

static void assert_refused(struct net *t, struct net_office *o, enum join_outcome outcome)
{
    net_join_begin(t, o, LOAD_EMPTY);
    assert_int_equal(net_join_end(t, o, 120000), outcome);
    assert_string_equal(net_text(o, TONLE_TABLES), "0");
}

static void assert_joins(struct net *t, struct net_office *o)
{
    net_join_begin(t, o, LOAD_EMPTY);
    assert_int_equal(net_join_end(t, o, 120000), JOIN_DONE);
    net_join_over(o);
    net_boot(t, o);
    assert_true(net_settle(t, 20000));
}

/* ---- a request to be enrolled, as the parent passes it on */

static void its_curve_key(struct enrol *m)
{
    memcpy(m->curve_key, keypair_of("thief").curve_key, CURVE_KEY_BYTES);
}

static void its_sign_key(struct enrol *m)
{
    memcpy(m->sign_key, keypair_of("thief").sign_key, SIGN_PUBLIC_BYTES);
}

static void another_incarnation(struct enrol *m)
{
    m->incarnation++;
}

static void an_endpoint_of_its_own(struct enrol *m)
{
    m->listen = "tcp://192.0.2.66:7411";
}

/* All of it its own, under the secret of an invitation that it has. */
static void its_own_request(struct enrol *m)
{
    its_curve_key(m);
    its_sign_key(m);
    seal_enrol(m, keypair_of("invite province").seed);
}

/* The invitation's key, which everybody has, and no signature by it. */
static void anothers_signature(struct enrol *m)
{
    uint8_t key[SIGN_PUBLIC_BYTES];
    memcpy(key, m->invite_key, sizeof key);
    its_own_request(m);
    memcpy(m->invite_key, key, sizeof key);
}

static void another_program(struct enrol *m)
{
    m->software = "tonle 0.0.1";
}

/* Who is enrolled is the newcomer, in its own words: a request that the parent changed is refused,
 * to the newcomer's face, and the invitation stays open for the true one. */
static void a_parent_enrols_no_keys_of_its_own(void **state)
{
    void (*const lies[])(struct enrol *) = {
        its_curve_key,   its_sign_key,    another_incarnation, an_endpoint_of_its_own,
        another_program, its_own_request, anothers_signature};
    struct net *t = *state;
    struct net_office *o = net_add(t, "d1", "province");
    t->liar = PROVINCE;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        t->lie_up = lies[i];
        assert_refused(t, o, JOIN_HUB_REFUSES);
        assert_non_null(strstr(node_join_report(o->node)->text, "changed it on the way"));
        net_join_over(o);
        assert_string_equal(net_text(HUB, "SELECT state FROM tonle_node WHERE name = 'd1'"),
                            "invited");
    }
    t->liar = NULL;
    assert_joins(t, o);
}

/* ---- the registry, as it sends it down */

/* Whatever the parent changes of it, adds or leaves out: the join ends before anything is made, and
 * names what is not the hub's. */
static void a_parent_forges_nothing_of_the_registry(void **state)
{
#define PROVINCES_KEY "(SELECT sign_key FROM tonle_site WHERE node = 'province')"
    static const struct {
        const char *table, *sql;
    } cases[] = {
        {"tonle_site", "UPDATE tonle_site SET sign_key = " PROVINCES_KEY " WHERE node = 'kampot'"},
        {"tonle_site", "INSERT INTO tonle_site VALUES('00000000000000ff', 255, 'kampot',"
                       " " PROVINCES_KEY ", 9)"},
        {"tonle_site", "UPDATE tonle_site SET node = 'kampot' WHERE node = 'province'"},
        {"tonle_node", "UPDATE tonle_node SET state = 'retired' WHERE name = 'kampot'"},
        {"tonle_node", "UPDATE tonle_node SET unit = '12' WHERE name = 'kampot'"},
        {"tonle_node", "DELETE FROM tonle_node WHERE name = 'kampot'"},
        {"tonle_charter", "UPDATE tonle_charter SET yaml = 'review_by: any'"},
        {"tonle_charter", "UPDATE tonle_charter SET published_ms = published_ms + 1"},
        {"tonle_registry", "UPDATE tonle_registry SET number = number + 1"},
        {"tonle_registry", "UPDATE tonle_registry SET sites = nodes"},
        {"tonle_registry", "UPDATE tonle_registry SET signature = ''"},
        {"tonle_registry", "DELETE FROM tonle_registry"},
    };
    struct net *t = *state;
    struct net_office *o = enrol_only(t);
    net_sql(t, PROVINCE, REGISTRY(KEEP));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net_sql(t, PROVINCE, cases[i].sql);
        assert_refused(t, o, JOIN_FORGED_REGISTRY);
        assert_string_equal(node_join_report(o->node)->table, cases[i].table);
        net_join_over(o);
        net_sql(t, PROVINCE, REGISTRY(PUT_BACK));
    }
    assert_joins(t, o);
}

/* What nobody signed: a record beside a row that is as signed, which would decide what becomes of
 * it. */
static void add_record(struct arena *a, struct load_chunk *c)
{
    (void)a;
    if (strcmp(c->table, "tonle_site") == 0)
        c->states[0].record = (struct bytes){(const uint8_t *)"\1\2\3", 3};
}

static void keep_a_name(struct arena *a, struct load_chunk *c)
{
    if (strcmp(c->table, "tonle_node") != 0)
        return;
    c->keep = arena_alloc(a, sizeof *c->keep);
    c->keep[0] = (struct kept_birth){c->table, c->states[0].key, {5, 5}};
    c->n_keep = 1;
}

static void one_twice(struct arena *a, struct load_chunk *c)
{
    if (strcmp(c->table, "tonle_node") != 0)
        return;
    struct row_state *states = arena_alloc(a, (c->n_states + 1) * sizeof *states);
    memcpy(states, c->states, c->n_states * sizeof *states);
    states[c->n_states] = states[0];
    c->states = states;
    c->n_states++;
}

static void nothing_is_said_beside_the_signed_rows(void **state)
{
    void (*const lies[])(struct arena *, struct load_chunk *) = {add_record, keep_a_name,
                                                                 one_twice};
    struct net *t = *state;
    struct net_office *o = enrol_only(t);
    t->liar = PROVINCE;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        t->lie = lies[i];
        assert_refused(t, o, JOIN_FORGED_REGISTRY);
        net_join_over(o);
    }
    t->liar = NULL;
    assert_joins(t, o);
}

/* Chunks of the registry, kept from one join and sent in another. */
static struct {
    struct arena a;
    struct load_chunk chunk[INTERNAL_TABLES];
} kept;

static int internal_table(const struct load_chunk *c)
{
    for (int i = 0; i < INTERNAL_TABLES; i++)
        if (strcmp(schema_internal[i], c->table) == 0)
            return i;
    return -1;
}

static void keep_chunk(struct arena *a, struct load_chunk *c)
{
    (void)a;
    int i = internal_table(c);
    if (i < 0)
        return;
    struct load_chunk *to = &kept.chunk[i];
    *to = *c;
    to->table = schema_internal[i];
    to->columns = arena_alloc(&kept.a, (c->n_columns + 1) * sizeof *to->columns);
    for (uint32_t k = 0; k < c->n_columns; k++)
        to->columns[k] = arena_strdup(&kept.a, c->columns[k]);
    to->states = arena_copy(&kept.a, c->states, c->n_states * sizeof *c->states);
    for (uint32_t k = 0; k < c->n_states; k++) {
        struct row_state *st = &to->states[k];
        st->key.p = arena_copy(&kept.a, st->key.p, st->key.len);
        st->values = arena_copy(&kept.a, st->values, st->n_values * sizeof *st->values);
        for (uint32_t v = 0; v < st->n_values; v++)
            st->values[v] = value_copy(&kept.a, &st->values[v]);
    }
    to->last_key.p = arena_copy(&kept.a, c->last_key.p, c->last_key.len);
    to->clock = to->stable = (struct clock){0};
}

static void send_kept(struct arena *a, struct load_chunk *c)
{
    (void)a;
    int i = internal_table(c);
    if (i < 0)
        return;
    uint64_t request = c->request;
    struct clock clock = c->clock, stable = c->stable;
    *c = kept.chunk[i];
    c->request = request;
    c->clock = clock;
    c->stable = stable;
}

/* What the hub signed, but before this office was enrolled, is too old. */
static void an_old_registry_is_refused(void **state)
{
    struct net *t = *state;
    net_invite(t, "d2", "1202", "province", 0);
    assert_true(net_settle(t, 10000));
    t->liar = PROVINCE;
    t->lie = keep_chunk;
    net_join(t, net_add(t, "d2", "province"));
    t->liar = NULL;
    struct net_office *o = enrol_only(t);
    t->liar = PROVINCE;
    t->lie = send_kept;
    assert_refused(t, o, JOIN_OTHER_KEYS);
    net_join_over(o);
    t->liar = NULL;
    assert_joins(t, o);
    arena_fini(&kept.a);
}

/* The registry changes between two of its chunks: it is fetched again, and nobody is accused. */
static void a_registry_that_changes_meanwhile_is_fetched_again(void **state)
{
    struct net *t = *state;
    struct net_office *o = enrol_only(t);
    net_join_begin(t, o, LOAD_EMPTY);
    while (strcmp(node_join_report(o->node)->table, "tonle_site") != 0)
        net_run(t, 1);
    net_cut(t, o);
    net_invite(t, "far", "19", "hub", 0);
    assert_true(
        net_until(t, PROVINCE, "SELECT count(*) FROM tonle_node WHERE name = 'far'", "1", 10000));
    net_mend(t, o);
    assert_int_equal(net_join_end(t, o, 60000), JOIN_DONE);
    net_join_over(o);
    net_boot(t, o);
    assert_true(net_settle(t, 20000));
    assert_string_equal(net_text(o, "SELECT state FROM tonle_node WHERE name = 'far'"), "invited");
}

/* Rows of the registry come without the names of their births; what the hub writes to them behind
 * the load means them all the same, also while those births are named everywhere else. */
static void the_registry_goes_on_behind_the_load(void **state)
{
    struct net *t = *state;
    struct net_office *o = enrol_only(t);
    net_cut(t, &t->office[2]); /* kampot: nothing becomes stable */
    net_invite(t, "far", "19", "hub", 0);
    assert_true(
        net_until(t, PROVINCE, "SELECT count(*) FROM tonle_node WHERE name = 'far'", "1", 10000));
    net_join_begin(t, o, LOAD_EMPTY);
    assert_int_equal(net_join_end(t, o, 60000), JOIN_DONE);
    net_join_over(o);
    net_boot(t, o);
    net_invite(t, "far", "20", "hub", 0);
    assert_true(net_until(t, o, "SELECT unit FROM tonle_node WHERE name = 'far'", "20", 10000));
}

/* A registry that the hub signed, but not the newest: what was held back is missed when the hub
 * changes it again, and said until it fits. */
static void a_change_that_was_held_back_is_missed(void **state)
{
#define ODD "SELECT count(*) FROM tonle_meta WHERE k = 'registry_odd'"
    struct net *t = *state;
    net_sql(t, PROVINCE, "UPDATE tonle_node SET unit = '77' WHERE name = 'kampot'");
    net_invite(t, "far", "19", "hub", 0);
    assert_true(net_until(t, PROVINCE, ODD, "1", 10000));
    assert_non_null(
        strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "not what the hub has signed"));
    assert_string_equal(net_text(&t->office[2], ODD), "0");
    net_sql(t, PROVINCE, "UPDATE tonle_node SET unit = '07' WHERE name = 'kampot'");
    net_invite(t, "far", "20", "hub", 0);
    assert_true(net_until(t, PROVINCE, ODD, "0", 10000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(a_parent_enrols_no_keys_of_its_own),
        NET_TEST(a_parent_forges_nothing_of_the_registry),
        NET_TEST(nothing_is_said_beside_the_signed_rows),
        NET_TEST(an_old_registry_is_refused),
        NET_TEST(a_registry_that_changes_meanwhile_is_fetched_again),
        NET_TEST(the_registry_goes_on_behind_the_load),
        NET_TEST(a_change_that_was_held_back_is_missed),
    };
    return check_run(tests);
}
