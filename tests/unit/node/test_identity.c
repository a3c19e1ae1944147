/* Who may connect, and how a copied or restored database is found out (DESIGN 7). */
#include "node/state/state.h"
#include "protocol/seal.h"
#include "tests/unit/node/fixture.h"

#include <stdio.h>
#include <string.h>

static const char *status(struct net *t, struct net_office *o)
{
    return net_ask(t, o, "{\"do\":\"status\"}");
}

/* Another database file with what the office's has now. */
static void copy_database(struct net *t, struct net_office *o, const char *ending)
{
    (void)t;
    char sql[700];
    snprintf(sql, sizeof sql, "VACUUM INTO '%s%s'", o->path, ending);
    assert_int_equal(sqlite3_exec(o->app, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* The office's database is replaced by the copy, as a restore does. */
static void restore_database(struct net *t, struct net_office *o, const char *ending)
{
    static const char *const rest[] = {"-wal", "-shm"};
    char from[700], name[700];
    (void)t;
    sqlite3_close(o->app);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s%s", o->path, rest[i]);
        remove(name);
    }
    snprintf(from, sizeof from, "%s%s", o->path, ending);
    assert_int_equal(rename(from, o->path), 0);
    o->app = database_app(o->path, NULL, 1000);
}

/* A key that stands nowhere in the registry may not connect; an invitation's may until it expires,
 * or has been used. */
static void only_registered_keys_may_connect(void **state)
{
    struct net *t = *state;
    char user_id[256];
    struct keypair stranger = keypair_of("stranger"), invited = keypair_of("invite late");
    uint64_t wall = 1700000000000ULL + t->now_ms;
    assert_false(node_authorise(HUB->node, stranger.curve_key, wall, user_id));
    assert_true(node_authorise(HUB->node, PROVINCE->keys.curve_key, wall, user_id));
    assert_string_equal(user_id, "province");
    uint8_t zero[CURVE_KEY_BYTES] = {0};
    assert_false(node_authorise(HUB->node, zero, wall, user_id));
    net_invite(t, "late", "13", "hub", wall + 60000);
    assert_true(node_authorise(HUB->node, invited.curve_key, wall, user_id));
    assert_string_equal(user_id, "invite:late");
    assert_false(node_authorise(HUB->node, invited.curve_key, wall + 60001, user_id));
    assert_false(node_authorise(PROVINCE->node, invited.curve_key, wall, user_id));
    struct keypair used = keypair_of("invite province");
    assert_false(node_authorise(HUB->node, used.curve_key, wall, user_id));
}

/* A second process with a copy of the database is refused while the first lives, both are told, and
 * the first goes on. */
static void a_second_copy_is_refused(void **state)
{
    struct net *t = *state;
    copy_database(t, PROVINCE, ".copy");
    struct net_office *copy = &t->office[t->n++];
    *copy = (struct net_office){.dialled = -1, .keys = PROVINCE->keys, .site = PROVINCE->site};
    snprintf(copy->name, sizeof copy->name, "province");
    snprintf(copy->parent, sizeof copy->parent, "hub");
    snprintf(copy->path, sizeof copy->path, "%.480s.copy", PROVINCE->path);
    copy->app = database_app(copy->path, NULL, 0);
    net_boot(t, copy);
    net_run(t, 10000);
    assert_non_null(strstr(status(t, copy), "\"line\":\"refused\""));
    assert_non_null(strstr(status(t, copy), "a second copy of this office is running"));
    assert_non_null(strstr(status(t, PROVINCE), "a second copy of this office is running"));
    assert_non_null(strstr(status(t, PROVINCE), "\"line\":\"connected\""));
    assert_non_null(strstr(HUB->log, "event=second-copy"));
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n','x')");
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "1", 5000));
    assert_true(copy->sent_hellos < 20);
}

/* A process that was killed and started again is let in at once: its old connection is known to be
 * dead. */
static void a_restarted_process_is_no_second_copy(void **state)
{
    struct net *t = *state;
    net_crash(t, PROVINCE);
    net_boot(t, PROVINCE);
    net_run(t, 1500);
    assert_non_null(strstr(status(t, PROVINCE), "\"line\":\"connected\""));
    assert_null(strstr(HUB->log, "second-copy"));
}

/* One that lost power leaves a dead route behind: it is let in after three heartbeats at most. */
static void a_silent_old_session_ends_by_itself(void **state)
{
    struct net *t = *state;
    uint8_t connection = PROVINCE->connection;
    copy_database(t, PROVINCE, ".copy");
    struct net_office *again = &t->office[t->n++];
    *again = (struct net_office){.dialled = -1, .keys = PROVINCE->keys, .site = PROVINCE->site};
    snprintf(again->name, sizeof again->name, "province");
    snprintf(again->parent, sizeof again->parent, "hub");
    snprintf(again->path, sizeof again->path, "%.480s.copy", PROVINCE->path);
    again->app = database_app(again->path, NULL, 0);
    PROVINCE->silent = true;
    net_run(t, 50);
    net_boot(t, again);
    net_run(t, 1000);
    assert_null(strstr(status(t, again), "\"line\":\"connected\""));
    net_run(t, 8000);
    assert_non_null(strstr(status(t, again), "\"line\":\"connected\""));
    assert_true(connection > 0);
}

/* A database restored from a backup is refused by what its parent has on record, and nothing is
 * changed. */
static void a_restored_database_is_refused(void **state)
{
    struct net *t = *state;
    copy_database(t, PROVINCE, ".backup");
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('after','the backup')");
    assert_true(net_settle(t, 10000));
    net_halt(t, PROVINCE);
    restore_database(t, PROVINCE, ".backup");
    PROVINCE->outside_site = 0;
    uint64_t seq = store_state_get(HUB->store)->clock.n;
    net_boot(t, PROVINCE);
    net_run(t, 10000);
    assert_non_null(strstr(status(t, PROVINCE), "\"line\":\"refused\""));
    assert_non_null(strstr(status(t, PROVINCE), "its database was restored"));
    assert_non_null(strstr(status(t, PROVINCE), "--as-new-site"));
    assert_non_null(strstr(status(t, HUB), "its database was restored"));
    assert_int_equal(store_state_get(HUB->store)->clock.n, seq);
    assert_true(PROVINCE->sent_hellos < 30);
}

/* The record outside the database finds it out before the first seal: the work is kept, nothing is
 * sealed. */
static void the_record_outside_stops_the_first_seal(void **state)
{
    struct net *t = *state;
    copy_database(t, PROVINCE, ".backup");
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('after','the backup')");
    assert_true(net_settle(t, 10000));
    net_halt(t, PROVINCE);
    restore_database(t, PROVINCE, ".backup");
    net_boot(t, PROVINCE);
    uint64_t seq = store_state_get(PROVINCE->store)->seq;
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('new','work')");
    net_run(t, 20000);
    assert_int_equal(store_state_get(PROVINCE->store)->seq, seq);
    assert_non_null(strstr(status(t, PROVINCE), "it was restored"));
    assert_string_equal(net_text(PROVINCE, "SELECT text FROM note"), "work");
}

/* A record that is ahead of a database which the parent finds complete is no reason to stop for
 * ever. */
static void a_welcome_ends_the_suspicion(void **state)
{
    struct net *t = *state;
    net_sql(t, PROVINCE, "INSERT INTO resident VALUES('r','x','y')");
    assert_true(net_settle(t, 10000));
    net_halt(t, PROVINCE);
    PROVINCE->outside_seq += 100;
    PROVINCE->cut = true;
    net_boot(t, PROVINCE);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n','work')");
    net_run(t, 5000);
    uint64_t seq = store_state_get(PROVINCE->store)->seq;
    net_mend(t, PROVINCE);
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "1", 10000));
    assert_int_equal(store_state_get(PROVINCE->store)->seq, seq + 1);
}

/* A hub restored behind what its child has is refused by the child. */
static void a_restored_parent_is_refused(void **state)
{
    struct net *t = *state;
    copy_database(t, HUB, ".backup");
    net_sql(t, HUB, "INSERT INTO note VALUES('after','the backup')");
    assert_true(net_settle(t, 10000));
    net_halt(t, HUB);
    restore_database(t, HUB, ".backup");
    HUB->outside_site = 0;
    net_boot(t, HUB);
    net_run(t, 10000);
    assert_non_null(strstr(status(t, PROVINCE), "\"line\":\"refused\""));
    assert_non_null(strstr(status(t, PROVINCE), "restored"));
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "1");
}

/* A node that signs with another key than its site's is refused, though its transport key is known.
 */
static void a_wrong_signature_is_refused(void **state)
{
    struct net *t = *state;
    struct keypair other = keypair_of("other");
    net_halt(t, PROVINCE);
    memcpy(PROVINCE->keys.sign_secret, other.sign_secret, SIGN_SECRET_BYTES);
    net_boot(t, PROVINCE);
    net_run(t, 5000);
    assert_non_null(strstr(status(t, PROVINCE), "\"line\":\"refused\""));
    assert_non_null(strstr(status(t, PROVINCE), "did not sign with the key of its site"));
}

/* A changeset that its relay has changed is refused with the reason, and asked for again ever more
 * slowly. */
static void a_forged_changeset_is_refused(void **state)
{
    struct net *t = *state;
    net_cut(t, PROVINCE);
    net_sql(t, HUB, "INSERT INTO note VALUES('n','x')");
    net_run(t, 1500);
    net_sql(t, HUB,
            "UPDATE tonle_journal SET bytes = substr(bytes, 1, length(bytes) - 1) || x'00'"
            " WHERE kind = 1 AND pos = (SELECT max(pos) FROM tonle_journal WHERE kind = 1)");
    net_mend(t, PROVINCE);
    uint64_t hellos = PROVINCE->sent_hellos;
    net_run(t, 120000);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "0");
    assert_non_null(strstr(PROVINCE->log, "item"));
    assert_in_range(PROVINCE->sent_hellos - hellos, 2, 20);
    assert_false(PROVINCE->fatal);
}

/* Of items taken together, those before one that cannot be applied are applied and acknowledged;
 * the stream stops there, with the reason, and not in a hot loop. */
static void an_item_that_fails_stops_only_what_is_behind_it(void **state)
{
    struct net *t = *state;
    net_cut(t, PROVINCE);
    for (int i = 1; i <= 3; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "INSERT INTO note VALUES('n%d','x')", i);
        net_sql(t, HUB, sql);
        net_run(t, 200);
    }
    net_sql(t, HUB,
            "DELETE FROM tonle_journal WHERE kind = 1 AND seq ="
            " (SELECT max(seq) - 1 FROM tonle_journal WHERE kind = 1 AND source = '')");
    uint64_t hellos = PROVINCE->sent_hellos;
    net_mend(t, PROVINCE);
    net_run(t, 120000);
    assert_string_equal(net_text(PROVINCE, "SELECT group_concat(id) FROM note"), "n1");
    assert_non_null(strstr(PROVINCE->log, "event=refuse peer=hub"));
    /* a mark may stand between the changesets: then it is what fails first */
    assert_true(strstr(PROVINCE->log, "5 is the next (gap)") ||
                strstr(PROVINCE->log, "that it was based on are missing"));
    assert_in_range(PROVINCE->sent_hellos - hellos, 2, 20);
    assert_false(PROVINCE->fatal);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('p','up')");
    assert_true(net_until(t, HUB, "SELECT text FROM note WHERE id='p'", "up", 120000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(only_registered_keys_may_connect),
        TEST_OF_TWO(a_second_copy_is_refused),
        TEST_OF_TWO(a_restarted_process_is_no_second_copy),
        TEST_OF_TWO(a_silent_old_session_ends_by_itself),
        TEST_OF_TWO(a_restored_database_is_refused),
        TEST_OF_TWO(the_record_outside_stops_the_first_seal),
        TEST_OF_TWO(a_welcome_ends_the_suspicion),
        TEST_OF_TWO(a_restored_parent_is_refused),
        TEST_OF_TWO(a_wrong_signature_is_refused),
        TEST_OF_TWO(a_forged_changeset_is_refused),
        TEST_OF_TWO(an_item_that_fails_stops_only_what_is_behind_it),
    };
    return check_run(tests);
}
