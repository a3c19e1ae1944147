/* Enrolment, first load, and what operators ask of a running node. */
#include "node/apply/apply.h"
#include "node/state/state.h"
#include "protocol/limits.h"
#include "protocol/seal.h"
#include "protocol/seal_enrol.h"
#include "tests/unit/node/fixture.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define WALL 1700000000000ULL

static json_t *ask(struct net *t, struct net_office *o, const char *line)
{
    json_t *j = json_loads(net_ask(t, o, line), 0, NULL);
    assert_non_null(j);
    return j;
}

static json_int_t number(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

/* One ENROL with these keys to the hub or the province; the answer. */
static enum enrol_state enrol_keys(struct net *t, struct net_office *to, const char *name,
                                   const char *as, struct keypair k, char reason[512])
{
    struct message m = {.type = MESSAGE_ENROL}, answer;
    struct arena a = {0};
    char invite[64];
    snprintf(invite, sizeof invite, "invite %s", as);
    struct keypair i = keypair_of(invite);
    m.u.enrol = (struct enrol){
        .federation = t->federation, .node = name, .incarnation = 1, .listen = "", .software = ""};
    memcpy(m.u.enrol.curve_key, k.curve_key, CURVE_KEY_BYTES);
    memcpy(m.u.enrol.sign_key, k.sign_key, SIGN_PUBLIC_BYTES);
    seal_enrol(&m.u.enrol, i.seed);
    if (!net_client_send(t, to, 1, i.curve_key, &m)) /* used: its own key opens the line now */
        assert_true(net_client_send(t, to, 1, k.curve_key, &m));
    net_run(t, 300);
    assert_true(net_client_receive(t, 1, &a, &answer));
    assert_int_equal(answer.type, MESSAGE_ENROLLED);
    snprintf(reason, 512, "%s", answer.u.enrolled.reason);
    enum enrol_state state = answer.u.enrolled.state;
    arena_fini(&a);
    return state;
}

static enum enrol_state enrol_office(struct net *t, struct net_office *to, const char *name,
                                     const char *as, const char *keys, char reason[512])
{
    return enrol_keys(t, to, name, as, keypair_of(keys), reason);
}

/* Whether the line opens for the invitation, or for these keys. */
static bool lets_in(struct net *t, struct net_office *to, const char *as, const char *keys)
{
    struct message m = {.type = MESSAGE_ENROL};
    char invite[64];
    snprintf(invite, sizeof invite, "invite %s", as);
    m.u.enrol = (struct enrol){.federation = t->federation, .node = as, .listen = ""};
    return net_client_send(t, to, 1, keypair_of(invite).curve_key, &m) ||
           net_client_send(t, to, 1, keypair_of(keys).curve_key, &m);
}

/* Keys are registered once: again with the same is the same answer, with others, and with the
 * invitation that was used, the line does not open. */
static void enrolment_happens_once(void **state)
{
    struct net *t = *state;
    char reason[512];
    net_invite(t, "kampot", "07", "hub", 0);
    assert_int_equal(enrol_office(t, HUB, "kampot", "kampot", "kampot", reason), ENROL_DONE);
    assert_int_equal(enrol_office(t, HUB, "kampot", "kampot", "kampot", reason), ENROL_DONE);
    assert_false(lets_in(t, HUB, "kampot", "other"));
    assert_true(
        net_until(t, PROVINCE, "SELECT state FROM tonle_node WHERE name='kampot'", "active", 5000));
}

/* An invitation enrols the node it names and no other. */
static void an_invitation_is_for_one_node(void **state)
{
    struct net *t = *state;
    char reason[512];
    net_invite(t, "kampot", "07", "hub", 0);
    net_invite(t, "takeo", "21", "hub", 0);
    assert_int_equal(enrol_office(t, HUB, "takeo", "kampot", "x", reason), ENROL_REFUSED);
    assert_string_equal(net_text(HUB, "SELECT state FROM tonle_node WHERE name='takeo'"),
                        "invited");
}

/* Keys are in the registry for everybody to read. Who joins with another's would be taken for it
 * on the line, or its site for the newcomer's. */
static void anothers_keys_are_not_enrolled(void **state)
{
    struct net *t = *state;
    char reason[512];
    net_invite(t, "kampot", "07", "hub", 0);
    net_invite(t, "takeo", "21", "hub", 0);
    struct keypair own = keypair_of("kampot"), line = own, open = own, sign = own;
    memcpy(line.curve_key, PROVINCE->keys.curve_key, CURVE_KEY_BYTES);
    memcpy(open.curve_key, keypair_of("invite takeo").curve_key, CURVE_KEY_BYTES);
    memcpy(sign.sign_key, PROVINCE->keys.sign_key, SIGN_PUBLIC_BYTES);
    const struct keypair taken[] = {line, open, sign};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        assert_int_equal(enrol_keys(t, HUB, "kampot", "kampot", taken[i], reason), ENROL_REFUSED);
        assert_non_null(strstr(reason, "another office's"));
    }
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM tonle_site WHERE node = 'kampot'"),
                        "0");
    assert_int_equal(enrol_keys(t, HUB, "kampot", "kampot", own, reason), ENROL_DONE);
}

/* Through a province: pending while the hub is asked, done when the registry here shows it. */
static void a_province_relays_enrolment(void **state)
{
    struct net *t = *state;
    char reason[512];
    net_invite(t, "d1", "1201", "province", 0);
    assert_true(net_settle(t, 10000));
    net_cut(t, PROVINCE);
    assert_int_equal(enrol_office(t, PROVINCE, "d1", "d1", "d1", reason), ENROL_PENDING);
    assert_non_null(strstr(reason, "line"));
    net_mend(t, PROVINCE);
    assert_true(net_settle(t, 30000));
    assert_int_equal(enrol_office(t, PROVINCE, "d1", "d1", "d1", reason), ENROL_PENDING);
    net_run(t, 2000);
    assert_int_equal(enrol_office(t, PROVINCE, "d1", "d1", "d1", reason), ENROL_DONE);
    assert_false(lets_in(t, PROVINCE, "d1", "thief"));
}

static void asks_for_another(struct enrol *m)
{
    if (strcmp(m->node, "d1") == 0)
        m->node = "nobody";
}

/* The hub's word about one office is not told to another, however the answers come in: here the one
 * about the first is lost, and a refusal of somebody else's comes. */
static void an_answer_is_taken_for_no_other(void **state)
{
    struct net *t = *state;
    char reason[512];
    net_invite(t, "d1", "1201", "province", 0);
    assert_true(net_settle(t, 10000));
    t->liar = PROVINCE;
    t->lie_up = asks_for_another;
    assert_int_equal(enrol_office(t, PROVINCE, "d1", "d1", "d1", reason), ENROL_PENDING);
    net_run(t, 2000);
    assert_int_equal(enrol_office(t, PROVINCE, "d1", "d1", "d1", reason), ENROL_PENDING);
    t->liar = NULL;
    t->lie_up = NULL;
    net_run(t, 12000); /* it is asked for again */
    assert_int_equal(enrol_office(t, PROVINCE, "d1", "d1", "d1", reason), ENROL_PENDING);
    net_run(t, 2000);
    assert_int_equal(enrol_office(t, PROVINCE, "d1", "d1", "d1", reason), ENROL_DONE);
}

/* A first load of several chunks while others write ends with the same rows, forgetting included.
 */
static void a_first_load_joins_the_stream(void **state)
{
    struct net *t = *state;
    net_sql(t, HUB,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 350)"
            " INSERT INTO note SELECT 'n'||i, 'x' FROM n");
    net_run(t, 30);
    net_sql(t, PROVINCE,
            "UPDATE note SET text='y' WHERE id='n7'; INSERT INTO resident VALUES('r','x','y')");
    struct net_office *d = net_grow(t, "d1", "1201", "province");
    net_sql(t, HUB, "DELETE FROM note WHERE id='n8'");
    assert_true(net_settle(t, 20000));
    assert_string_equal(net_text(d, "SELECT count(*) FROM note"), "349");
    assert_true(net_until(t, d, "SELECT count(*) FROM tonle_row", "0", 130000));
    json_t *j = ask(t, d, "{\"do\":\"verify\"}");
    assert_true(json_is_true(json_object_get(j, "equal")));
    assert_true(json_is_true(json_object_get(j, "clock_equal")));
    json_decref(j);
}

/* A stranger to the tree gets no rows: a load request is answered only to a child under its own
 * key. */
static void rows_go_only_to_children(void **state)
{
    struct net *t = *state;
    struct arena a = {0};
    struct message m = {.type = MESSAGE_LOAD_REQUEST}, answer;
    m.u.load_request = (struct load_request){.request = 1, .table = "tonle_node", .max_rows = 10};
    net_invite(t, "kampot", "07", "hub", 0);
    assert_true(net_client_send(t, HUB, 2, keypair_of("invite kampot").curve_key, &m));
    net_run(t, 500);
    assert_false(net_client_receive(t, 2, &a, &answer));
    assert_true(net_client_send(t, HUB, 2, PROVINCE->keys.curve_key, &m));
    net_run(t, 500);
    assert_true(net_client_receive(t, 2, &a, &answer));
    assert_int_equal(answer.type, MESSAGE_LOAD_CHUNK);
    arena_fini(&a);
}

#define MANY(from, to)                                                                             \
    "WITH RECURSIVE n(i) AS (SELECT " #from " UNION ALL SELECT i+1 FROM n WHERE i < " #to ")"      \
    " INSERT INTO note SELECT 'n'||printf('%05d', i), 'x' FROM n"

/* A table that catches up keeps only those waiting who ask for it. */
static void others_do_not_wait_for_a_table(void **state)
{
    struct net *t = *state;
    struct arena a = {0};
    struct message m = {.type = MESSAGE_LOAD_REQUEST}, answer;
    net_sql(t, HUB, "INSERT INTO resident VALUES('r', 'x', 'y')");
    assert_true(net_settle(t, 20000));
    net_sql(t, HUB, "ALTER TABLE note RENAME TO away");
    net_run(t, 100);
    net_sql(t, PROVINCE, MANY(1, 5000));
    net_run(t, 5000);
    net_sql(t, HUB, "ALTER TABLE away RENAME TO note");
    net_run(t, 20);
    for (uint32_t i = 1; i <= 2; i++) {
        m.u.load_request = (struct load_request){
            .request = i, .table = i == 1 ? "note" : "resident", .max_rows = 10};
        assert_true(net_client_send(t, HUB, 2, PROVINCE->keys.curve_key, &m));
        net_run(t, 1);
    }
    for (uint32_t want = 2; want > 0; want--) {
        bool came = false;
        for (int i = 0; i < 20000 && !came; i++) {
            net_run(t, 1);
            came = net_client_receive(t, 2, &a, &answer);
        }
        assert_true(came);
        assert_int_equal(answer.u.load_chunk.request, want);
    }
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note"), "5000");
    arena_fini(&a);
}

/* Every key that the contract names is there, and line and data are separate facts. */
static void status_names_line_and_data(void **state)
{
    struct net *t = *state;
    static const char *const keys[] = {"schema",  "node",       "unit",   "site",
                                       "parent",  "children",   "held",   "conflicts_open",
                                       "clock",   "sealed_seq", "synced", "reasons",
                                       "loading", "running",    "state",  "now"};
    json_t *j = ask(t, PROVINCE, "{\"do\":\"status\"}");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_non_null(json_object_get(j, keys[i]));
    assert_string_equal(json_string_value(json_object_get(json_object_get(j, "parent"), "line")),
                        "connected");
    assert_int_equal(strlen(json_string_value(json_object_get(j, "site"))), 16);
    assert_true(json_is_true(json_object_get(j, "synced")));
    json_decref(j);
    net_cut(t, PROVINCE);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n','x')");
    net_run(t, 1000);
    j = ask(t, PROVINCE, "{\"do\":\"status\"}");
    json_t *parent = json_object_get(j, "parent");
    assert_string_not_equal(json_string_value(json_object_get(parent, "line")), "connected");
    assert_int_equal(number(parent, "pending_out"), 1);
    assert_true(json_is_string(json_object_get(parent, "oldest_pending")));
    assert_true(json_is_string(json_object_get(parent, "last_contact")));
    assert_true(json_is_false(json_object_get(j, "synced")));
    assert_int_equal(json_array_size(json_object_get(j, "reasons")), 2); /* line and data */
    json_decref(j);
    j = ask(t, HUB, "{\"do\":\"status\"}");
    assert_true(json_is_null(json_object_get(j, "parent")));
    assert_int_equal(json_array_size(json_object_get(j, "children")), 1);
    json_decref(j);
}

/* What is captured but not sealed yet is not synced; `clock` and `synced` come from one read. */
static void captured_writes_are_not_synced(void **state)
{
    struct net *t = *state;
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n','x')");
    json_t *j = ask(t, PROVINCE, "{\"do\":\"status\"}");
    assert_true(json_is_false(json_object_get(j, "synced")));
    json_decref(j);
    struct buf b = {0};
    net_settle(t, 10000);
    node_status_json(&(struct status_ask){.store = PROVINCE->store, .mono_ms = 1, .wall_ms = WALL},
                     &b);
    assert_non_null(strstr(buf_str(&b), "\"line\":\"stopped\""));
    assert_non_null(strstr(buf_str(&b), "\"running\":false"));
    assert_non_null(strstr(buf_str(&b), "\"synced\":false"));
    buf_fini(&b);
}

/* A difference from the parent is found by verify and named by its table. */
static void verify_finds_a_difference(void **state)
{
    struct net *t = *state;
    net_sql(t, HUB, "INSERT INTO note VALUES('n','x'); INSERT INTO resident VALUES('r','x','y')");
    assert_true(net_settle(t, 10000));
    json_t *j = ask(t, PROVINCE, "{\"do\":\"verify\"}");
    assert_true(json_is_true(json_object_get(j, "equal")));
    json_decref(j);
    sqlite3_db_config(PROVINCE->app, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    net_sql(t, PROVINCE, "UPDATE note SET text='behind the back'");
    j = ask(t, PROVINCE, "{\"do\":\"verify\"}");
    assert_true(json_is_false(json_object_get(j, "equal")));
    json_decref(j);
    j = ask(t, HUB, "{\"do\":\"verify\"}");
    assert_non_null(json_object_get(j, "error"));
    json_decref(j);
    j = ask(t, HUB, "{\"do\":\"sing\"}");
    assert_non_null(json_object_get(j, "error"));
    json_decref(j);
}

static bool verified(struct net *t)
{
    json_t *j = ask(t, PROVINCE, "{\"do\":\"verify\"}");
    bool equal = json_is_true(json_object_get(j, "equal"));
    assert_true(equal || json_is_false(json_object_get(j, "equal")));
    json_decref(j);
    return equal;
}

/* A value that is too large to be sent stays where it was written, here or at the parent, and is
 * listed there: it is left out, and no more of its row than that. */
static void verify_leaves_out_what_stays_here(void **state)
{
    struct net *t = *state;
    net_sql(t, HUB, "INSERT INTO resident VALUES('r','x','y'),('s','x','y')");
    assert_true(net_settle(t, 10000));
    net_sql(t, PROVINCE, "UPDATE resident SET name = zeroblob(9000000) WHERE id = 'r'");
    assert_true(net_settle(t, 10000));
    assert_string_equal(net_text(HUB, "SELECT name FROM resident WHERE id = 'r'"), "x");
    assert_true(verified(t));
    net_sql(t, HUB, "UPDATE resident SET phone = zeroblob(9000000) WHERE id = 's'");
    assert_true(net_settle(t, 10000));
    assert_true(verified(t));
    sqlite3_db_config(PROVINCE->app, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    net_sql(t, PROVINCE, "UPDATE resident SET phone = 'behind the back' WHERE id = 'r'");
    assert_false(verified(t));
}

/* More rows than a slice, and a parent that is written to between the slices. */
static void verify_goes_on_during_writes(void **state)
{
    struct net *t = *state;
    net_sql(t, HUB, MANY(1, 4500));
    assert_true(net_settle(t, 20000));
    net_request(t, PROVINCE, "{\"do\":\"verify\"}");
    for (int i = 0; i < 400 && PROVINCE->reply[0] == '\0'; i++) {
        if (i % 20 == 0)
            net_sql(t, HUB, "UPDATE note SET text=text||'y' WHERE id IN('n00007','n04400')");
        net_run(t, 50);
    }
    json_t *j = json_loads(PROVINCE->reply, 0, NULL);
    assert_true(json_is_true(json_object_get(j, "equal")));
    assert_true(json_is_true(json_object_get(j, "clock_equal")));
    json_decref(j);
}

/* A parent that says nothing any more: whoever asked is told so. */
static void verify_ends_without_an_answer(void **state)
{
    struct net *t = *state;
    HUB->silent = true;
    json_t *j = ask(t, PROVINCE, "{\"do\":\"verify\"}");
    assert_non_null(json_object_get(j, "error"));
    json_decref(j);
}

/* However many digests a child asks for, and however much of a table: a few bounded reads. */
static void digests_cost_a_bounded_number_of_reads(void **state)
{
    struct net *t = *state;
    struct arena a = {0};
    struct message m = {.type = MESSAGE_DIGEST_REQUEST}, answer;
    net_sql(t, HUB, MANY(1, 4500));
    assert_true(net_settle(t, 20000));
    m.u.digest_request = (struct digest_request){.table = "note",
                                                 .max_rows = UINT32_MAX,
                                                 .after = {.part = DIGEST_AT_ROWS},
                                                 .upto = {.part = DIGEST_AT_END}};
    for (unsigned i = 0; i < 1000; i++) {
        m.u.digest_request.request = i;
        assert_true(net_client_send(t, HUB, 2, PROVINCE->keys.curve_key, &m));
    }
    net_run(t, 1000);
    int answers = 0;
    for (; net_client_receive(t, 2, &a, &answer); answers++) {
        assert_int_equal(answer.type, MESSAGE_DIGEST_REPLY);
        assert_int_equal(answer.u.digest_reply.sum.rows, LIMIT_DIGEST_ROWS);
        assert_int_equal(answer.u.digest_reply.last.part, DIGEST_AT_ROWS);
    }
    assert_in_range(answers, 1, 11);
    assert_int_equal(answer.u.digest_reply.request, 999); /* the last one is answered */
    arena_fini(&a);
}

/* Another process's commit is sealed at once when the node is poked. */
static void a_poke_seals_at_once(void **state)
{
    struct net *t = *state;
    uint64_t seq = store_state_get(PROVINCE->store)->seq;
    sqlite3_exec(PROVINCE->app, "INSERT INTO note VALUES('n','x')", NULL, NULL, NULL);
    json_t *j = ask(t, PROVINCE, "{\"do\":\"poke\"}");
    assert_true(json_is_true(json_object_get(j, "ok")));
    json_decref(j);
    assert_int_equal(store_state_get(PROVINCE->store)->seq, seq + 1);
}

/* Takes the reference. */
static bool has_reason(json_t *j, const char *what)
{
    json_t *reason;
    bool told = false;
    size_t i;
    json_array_foreach(json_object_get(j, "reasons"), i, reason)
    {
        const char *code = json_string_value(json_object_get(reason, "code"));
        told = told || (code && strcmp(code, what) == 0);
    }
    json_decref(j);
    return told;
}

static bool tells_of(struct net *t, const char *what)
{
    return has_reason(ask(t, PROVINCE, "{\"do\":\"status\"}"), what);
}

/* In the moment before the node itself has seen what was done to its database. */
static bool told_by(struct net *t, struct net_office *o, const char *what)
{
    struct buf b = {0};
    node_status_json(
        &(struct status_ask){
            .node = o->node, .store = o->store, .mono_ms = t->now_ms, .wall_ms = WALL + t->now_ms},
        &b);
    json_t *j = json_loads(buf_str(&b), 0, NULL);
    buf_fini(&b);
    assert_non_null(j);
    return has_reason(j, what);
}

/* That something came which does not count outlives a restart, until somebody looks. */
static void what_was_refused_is_told_until_seen(void **state)
{
    struct net *t = *state;
    assert_false(tells_of(t, "decision") || tells_of(t, "refused"));
    net_sql(t, PROVINCE,
            "INSERT INTO tonle_meta VALUES('" META_DECISION_REFUSED "', CAST('why' AS BLOB)),"
            " ('" META_ROWS_REFUSED "', CAST('changeset 7 of hub: 1' AS BLOB))");
    net_halt(t, PROVINCE);
    net_boot(t, PROVINCE);
    assert_true(net_settle(t, 10000));
    assert_true(tells_of(t, "decision") && tells_of(t, "refused"));
    json_t *j = ask(t, PROVINCE, "{\"do\":\"verify_local\"}");
    assert_null(json_object_get(j, "error"));
    json_decref(j);
    assert_false(tells_of(t, "decision") || tells_of(t, "refused"));
}

static void rename_table(struct net_office *o, const char *from, const char *to)
{
    char sql[160]; /* as every commit of a node: what is known is read again */
    snprintf(sql, sizeof sql,
             "ALTER TABLE %s RENAME TO %s; UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'", from,
             to);
    assert_int_equal(sqlite3_exec(o->app, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* A status that cannot read one of the things it tells of is not green: not known is not nothing.
 */
static void what_cannot_be_read_is_not_green(void **state)
{
    static const char *const table[] = {"tonle_limit", "tonle_deferred", "tonle_held", "tonle_gap",
                                        "tonle_journal"};
    struct net *t = *state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_false(told_by(t, PROVINCE, "database") || tells_of(t, "database"));
        rename_table(PROVINCE, table[i], "aside");
        if (!told_by(t, PROVINCE, "database"))
            fail_msg("without %s", table[i]);
        rename_table(PROVINCE, "aside", table[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(enrolment_happens_once),
        TEST_OF_TWO(an_invitation_is_for_one_node),
        TEST_OF_TWO(anothers_keys_are_not_enrolled),
        TEST_OF_TWO(a_province_relays_enrolment),
        TEST_OF_TWO(an_answer_is_taken_for_no_other),
        TEST_OF_TWO(a_first_load_joins_the_stream),
        TEST_OF_TWO(others_do_not_wait_for_a_table),
        TEST_OF_TWO(rows_go_only_to_children),
        TEST_OF_TWO(status_names_line_and_data),
        TEST_OF_TWO(captured_writes_are_not_synced),
        TEST_OF_TWO(verify_finds_a_difference),
        TEST_OF_TWO(verify_leaves_out_what_stays_here),
        TEST_OF_TWO(a_poke_seals_at_once),
        TEST_OF_TWO(verify_goes_on_during_writes),
        TEST_OF_TWO(verify_ends_without_an_answer),
        TEST_OF_TWO(digests_cost_a_bounded_number_of_reads),
        TEST_OF_TWO(what_was_refused_is_told_until_seen),
        TEST_OF_TWO(what_cannot_be_read_is_not_green),
    };
    return check_run(tests);
}
