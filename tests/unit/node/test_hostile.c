/* What an enrolled but hostile neighbour, or an operator's mishap, cannot do to a node. */
#include "conflict/hlc.h"
#include "node/state/state.h"
#include "protocol/limits.h"
#include "protocol/seal.h"
#include "tests/unit/node/fixture.h"

#include <stdio.h>
#include <string.h>

static void remove_beside(const struct net_office *o, const char *ending)
{
    char name[600];
    snprintf(name, sizeof name, "%s%s", o->path, ending);
    remove(name);
}

/* The node is stopped for it: leaving WAL mode needs the file for itself. */
static void leave_wal(struct net *t, struct net_office *o)
{
    net_halt(t, o);
    assert_string_equal(net_text(o, "PRAGMA journal_mode=DELETE"), "delete");
    net_boot(t, o);
    assert_true(net_settle(t, 20000));
}

/* A database that an application has locked is not an empty one: no zero is said of what cannot be
 * read. */
static void a_locked_database_does_not_look_restored(void **state)
{
    struct net *t = *state;
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n','x')");
    assert_true(net_settle(t, 10000));
    leave_wal(t, PROVINCE);
    struct store_state before = *store_state_get(PROVINCE->store);
    assert_true(before.seq > 0 && before.journal_pos > 0 && before.clock.n > 1);
    net_sql(t, PROVINCE, "BEGIN EXCLUSIVE");
    const struct store_state *now = store_state_get(PROVINCE->store);
    assert_int_equal(now->seq, before.seq);
    assert_int_equal(now->journal_pos, before.journal_pos);
    assert_int_equal(now->clock.n, before.clock.n);
    assert_string_equal(store_identity_get(PROVINCE->store)->node, "province");
    net_cut(t, PROVINCE);
    net_mend(t, PROVINCE);
    net_run(t, 10000);
    net_sql(t, PROVINCE, "COMMIT");
    assert_true(net_settle(t, 20000));
    assert_null(strstr(HUB->log, "restored"));
}

/* A disk that is full ends no node: nothing is acknowledged, `status` and one line of the log say
 * so, and when there is room everything comes by itself. */
static void a_full_disk_is_waited_for(void **state)
{
    struct net *t = *state;
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('mine','before')");
    assert_true(net_settle(t, 10000));
    MUST(PROVINCE->store, store_exec(PROVINCE->store, "PRAGMA max_page_count=1"));
    net_sql(t, HUB,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300)"
            " INSERT INTO note SELECT 'n'||i, hex(zeroblob(1000)) FROM n");
    net_run(t, 120000);
    assert_false(PROVINCE->fatal);
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "1");
    const char *status = net_ask(t, PROVINCE, "{\"do\":\"status\"}");
    assert_non_null(strstr(status, PROVINCE->path));
    assert_non_null(strstr(status, "is full"));
    assert_non_null(strstr(status, "\"synced\":false"));
    const char *said = strstr(PROVINCE->log, "event=disk-full");
    assert_non_null(said);
    assert_null(strstr(said + 1, "event=disk-full"));
    MUST(PROVINCE->store, store_exec(PROVINCE->store, "PRAGMA max_page_count=1000000"));
    assert_true(net_settle(t, 200000));
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "301");
    assert_non_null(strstr(PROVINCE->log, "event=disk-has-room"));
    assert_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "is full"));
}

/* A file put in the database's place while the node runs ends the node with a word about it, before
 * anything is acknowledged out of the file that nobody sees any more. */
static void a_replaced_file_ends_the_node(void **state)
{
    struct net *t = *state;
    char aside[600];
    snprintf(aside, sizeof aside, "%s-aside", PROVINCE->path);
    assert_int_equal(rename(PROVINCE->path, aside), 0);
    uint64_t acks = PROVINCE->sent_acks;
    net_sql(t, HUB, "INSERT INTO note VALUES('n','x')");
    net_run(t, 3000);
    assert_true(PROVINCE->fatal);
    assert_non_null(strstr(PROVINCE->log, "was moved, removed or replaced"));
    assert_int_equal(PROVINCE->sent_acks, acks);
    assert_int_equal(rename(aside, PROVINCE->path), 0);
}

/* An older copy written over the file in place is noticed too. */
static void an_overwritten_file_ends_the_node(void **state)
{
    struct net *t = *state;
    char copy[700], sql[800];
    leave_wal(t, PROVINCE);
    snprintf(copy, sizeof copy, "%s.backup", PROVINCE->path);
    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", copy);
    net_sql(t, PROVINCE, sql);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n','x')");
    assert_true(net_settle(t, 10000));
    sqlite3 *from = NULL;
    from = database_app(copy, NULL, 0);
    sqlite3_backup *b = sqlite3_backup_init(PROVINCE->app, "main", from, "main");
    assert_non_null(b);
    assert_int_equal(sqlite3_backup_step(b, -1), SQLITE_DONE);
    sqlite3_backup_finish(b);
    sqlite3_close(from);
    remove(copy);
    net_event(t, PROVINCE, EVENT_LOCAL_CHANGE);
    net_run(t, 1000);
    assert_true(PROVINCE->fatal);
    assert_non_null(strstr(PROVINCE->log, "overwritten with an older copy"));
}

/* Two histories under one identity: the copy has sealed more than the parent knows, and lacks
 * nothing that was acknowledged. The chain of hashes tells them apart. */
static void a_copy_that_ran_ahead_is_found_by_its_chain(void **state)
{
    struct net *t = *state;
    char copy[700], sql[800];
    snprintf(copy, sizeof copy, "%s.copy", PROVINCE->path);
    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", copy);
    net_run(t, 10000);
    net_sql(t, PROVINCE, sql);
    t->lose_from = 0; /* the marks down, which would tell by what was acknowledged */
    t->lose = 1000;
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('first','x')");
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "1", 500));
    net_crash(t, PROVINCE);
    sqlite3_close(PROVINCE->app);
    remove_beside(PROVINCE, "-wal");
    remove_beside(PROVINCE, "-shm");
    assert_int_equal(rename(copy, PROVINCE->path), 0);
    PROVINCE->app = database_app(PROVINCE->path, NULL, 0);
    t->lose = 0;
    PROVINCE->outside_site = 0;
    PROVINCE->cut = true;
    net_boot(t, PROVINCE);
    for (int i = 0; i < 3; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO note VALUES('copy%d','x')", i);
        net_sql(t, PROVINCE, sql);
        net_run(t, 200);
    }
    net_mend(t, PROVINCE);
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, "SELECT group_concat(id) FROM note"), "first");
    assert_non_null(strstr(HUB->log, "two copies of one database were used"));
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note"), "3");
}

static void slip_in_answer(struct net *t, struct net_office *o, uint64_t mark_id)
{
    struct buf b = {0};
    struct answer a = {.mark_id = mark_id, .node = o->name, .site = o->site};
    codec_answer_encode(&a, o->keys.sign_secret, &b);
    net_slip_in(t, o, ITEM_ANSWER, &b);
    buf_fini(&b);
}

#define MARK_ID "SELECT v FROM tonle_meta WHERE k = 'mark_id'"
#define MOST_ANSWERED "SELECT max(v) FROM tonle_meta WHERE k LIKE 'answer/%'"

/* An office cannot answer marks of the future, and so have changes counted as passed by it that are
 * still to come. */
static void a_mark_that_was_never_sent_is_not_answered(void **state)
{
    struct net *t = *state;
    net_run(t, 70000);
    slip_in_answer(t, PROVINCE, 1000);
    net_run(t, 10000);
    assert_int_equal(atoi(net_text(HUB, MOST_ANSWERED)), atoi(net_text(HUB, MARK_ID)));
    assert_non_null(strstr(HUB->log, "answers a mark that was never sent"));
}

/* Answering a mark and then writing as if it had not been seen would make offices differ for good:
 * what everybody has forgotten cannot be compared any more. Here the province writes behind its
 * own answer, in a context from before it; the hub, which noted the answer, refuses and names it,
 * also when it was started again. */
static void who_answers_a_mark_has_seen_it(void **state)
{
    struct net *t = *state;
    struct clock before = {0};
    net_run(t, 70000);
    clock_copy(&before, &store_state_get(PROVINCE->store)->clock);
    net_sql(t, HUB, "INSERT INTO note VALUES('h','x')");
    assert_true(net_settle(t, 10000));
    net_run(t, 70000);
    assert_string_equal(net_text(HUB, MOST_ANSWERED), net_text(HUB, MARK_ID));
    net_halt(t, HUB);
    net_boot(t, HUB);
    net_forge(t, PROVINCE, &before, (1700000000000ULL + t->now_ms) << 16, "forged");
    net_run(t, 10000);
    assert_string_equal(net_text(HUB, "SELECT group_concat(id) FROM note"), "h");
    assert_non_null(
        strstr(net_ask(t, HUB, "{\"do\":\"status\"}"), "suspect: province has answered mark"));
    clock_fini(&before);
}

/* So does every office that passed the answer on: the hub never sees it. */
static void who_passes_an_answer_remembers_it(void **state)
{
    struct net *t = *state;
    struct clock before = {0};
    net_run(t, 70000);
    clock_copy(&before, &store_state_get(DISTRICT->store)->clock);
    net_sql(t, HUB, "INSERT INTO note VALUES('h','x')");
    assert_true(net_settle(t, 10000));
    net_run(t, 70000);
    net_forge(t, DISTRICT, &before, (1700000000000ULL + t->now_ms) << 16, "forged");
    net_run(t, 10000);
    assert_string_equal(net_text(PROVINCE, "SELECT group_concat(id) FROM note"), "h");
    assert_non_null(
        strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "suspect: district has answered mark"));
    clock_fini(&before);
}

/* An office in between that does not know of the answer any more, as one that joined anew. */
static void forget_answers(struct net *t, struct net_office *o)
{
    net_sql(t, o, "DELETE FROM tonle_meta WHERE k LIKE 'answer/%' OR k LIKE 'carrier/%'");
    net_sql(t, o, "UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'");
}

/* The hub has the answer from the province that was there before. */
static void was_carried_by_another(struct net *t)
{
    net_sql(t, HUB, "UPDATE tonle_meta SET v = 77 WHERE k LIKE 'carrier/%'");
    net_sql(t, HUB, "UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'");
}

static void nobody_blames_the_province(struct net *t)
{
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('later','x')");
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note WHERE id = 'later'", "1", 10000));
    assert_null(strstr(HUB->log, "event=refuse"));
    assert_null(strstr(net_ask(t, HUB, "{\"do\":\"status\"}"), "suspect"));
}

/* What is stable has been answered by every office: so an honest office in between that joined anew
 * refuses what lies below it, too, and the office that wrote it is named and stopped, nobody else.
 */
static void who_joined_anew_knows_what_is_stable(void **state)
{
    struct net *t = *state;
    struct clock before = {0};
    net_run(t, 70000);
    clock_copy(&before, &store_state_get(DISTRICT->store)->clock);
    net_sql(t, HUB, "INSERT INTO note VALUES('h','x')");
    assert_true(net_settle(t, 10000));
    net_run(t, 70000);
    forget_answers(t, PROVINCE);
    was_carried_by_another(t);
    net_forge(t, DISTRICT, &before, (1700000000000ULL + t->now_ms) << 16, "forged");
    net_run(t, 10000);
    nobody_blames_the_province(t);
    assert_non_null(
        strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "suspect: district has answered"));
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE id = 'forged'"), "0");
    clock_fini(&before);
}

/* What was answered by way of an office that has joined anew since, and is not stable, binds
 * nobody: the office in between cannot know of it, and does no harm by passing on what it takes. */
static void an_answer_by_who_was_there_before_stops_nobody(void **state)
{
    struct net *t = *state;
    struct clock before = {0};
    net_run(t, 70000);
    clock_copy(&before, &store_state_get(DISTRICT->store)->clock);
    net_sql(t, HUB, "INSERT INTO note VALUES('h','x')");
    assert_true(net_settle(t, 10000));
    assert_true(clock_includes(&before, &store_state_get(HUB->store)->stable));
    net_cut(t, PROVINCE);
    net_run(t, 70000);
    net_halt(t, HUB); /* as if the district had answered the mark that is to come */
    net_boot(t, HUB);
    char sql[200];
    snprintf(sql, sizeof sql,
             "UPDATE tonle_meta SET v = (SELECT v FROM tonle_meta WHERE k = 'mark_id') WHERE k = "
             "'answer/%016llx'",
             (unsigned long long)DISTRICT->site);
    net_sql(t, HUB, sql);
    was_carried_by_another(t);
    net_forge(t, DISTRICT, &before, (1700000000000ULL + t->now_ms) << 16, "forged");
    assert_true(net_until(t, PROVINCE, "SELECT count(*) FROM note", "2", 10000));
    net_mend(t, PROVINCE);
    assert_true(net_until(t, HUB, "SELECT count(*) FROM note", "2", 30000));
    nobody_blames_the_province(t);
    clock_fini(&before);
}

/* All know an earlier site of `o`, with the key that it has. */
#define EARLIER_SITE 0xabcu

static void had_another_site(struct net *t, struct net_office *o)
{
    char sql[300];
    snprintf(sql, sizeof sql,
             "INSERT INTO tonle_site(site, number, node, sign_key, block) SELECT '%016x', %u, "
             "node, sign_key, -1 FROM tonle_site WHERE node = '%s'",
             EARLIER_SITE, EARLIER_SITE, o->name);
    for (int i = 0; i < t->n; i++) {
        net_sql(t, &t->office[i], sql);
        net_sql(t, &t->office[i], "UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'");
    }
    assert_true(net_settle(t, 10000));
}

/* A change of the earlier site of `o`, that `by` sends. */
static void forge_earlier(struct net *t, struct net_office *o, struct net_office *by,
                          const struct clock *context)
{
    static const char *columns[] = {"id", "text"};
    static const uint32_t key = 0, both[] = {0, 1};
    const struct store_state *st = store_state_get(o->store);
    struct value v[] = {value_text("earlier"), value_text("forged")};
    struct row_change row = {.kind = CHANGE_BORN,
                             .birth = {EARLIER_SITE, 1},
                             .key = v,
                             .n_cells = 2,
                             .column = both,
                             .value = v};
    struct table_changes note = {"note", 2, columns, 1, &key, 1, &row};
    struct segment segment = {"", 1, &note};
    struct changeset cs = {.federation = t->federation,
                           .dot = {EARLIER_SITE, 1},
                           .context = *context,
                           .hlc = hlc_make(1700000000000ULL + t->now_ms, 0),
                           .charter_version = st->charter_version,
                           .schema_version = st->schema_version,
                           .n_segments = 1,
                           .segments = &segment};
    struct buf b = {0};
    uint8_t hash[HASH_BYTES];
    assert_ok(seal_changeset(&cs, o->keys.sign_secret, &b, hash));
    net_slip_in(t, by, ITEM_CHANGESET, &b);
    buf_fini(&b);
}

static void district_is_stopped(struct net *t, const char *lacks)
{
    net_run(t, 10000);
    nobody_blames_the_province(t);
    assert_non_null(strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), lacks));
    assert_string_equal(net_text(PROVINCE, "SELECT count(*) FROM note WHERE id = 'earlier'"), "0");
}

/* `o` had another site; what `knows` has seen a while later. */
static struct clock seen_after_another_site(struct net *t, struct net_office *o,
                                            struct net_office *knows)
{
    struct clock seen = {0};
    had_another_site(t, o);
    net_run(t, 70000);
    clock_copy(&seen, &store_state_get(knows->store)->clock);
    return seen;
}

/* The keys of the sites that a node had before are its own still: what is stable binds them. */
static void an_earlier_site_is_bound_by_what_is_stable(void **state)
{
    struct net *t = *state;
    struct clock before = seen_after_another_site(t, DISTRICT, DISTRICT);
    net_sql(t, HUB, "INSERT INTO note VALUES('h','x')");
    assert_true(net_settle(t, 10000));
    net_run(t, 200000);
    forget_answers(t, PROVINCE);
    forge_earlier(t, DISTRICT, DISTRICT, &before);
    district_is_stopped(t, "suspect: district has answered the mark that is stable");
    clock_fini(&before);
}

/* What a node answers binds what it sends of its earlier sites before that mark is stable: the
 * province would pass it on, and the hub, where it may be stable already, would blame it. */
static void an_earlier_site_is_bound_by_an_answer(void **state)
{
    struct net *t = *state;
    struct net_office *other = net_grow(t, "other", "13", "hub");
    struct clock before = seen_after_another_site(t, DISTRICT, DISTRICT);
    net_cut(t, other);
    net_sql(t, HUB, "INSERT INTO note VALUES('h','x')");
    net_run(t, 200000);
    assert_true(clock_includes(&before, &store_state_get(PROVINCE->store)->stable));
    forge_earlier(t, DISTRICT, DISTRICT, &before);
    district_is_stopped(t, "suspect: district has answered mark");
    clock_fini(&before);
}

/* What was written under an earlier site may lie in an office in between, where it came before the
 * site changed: it goes up behind what the node answered by another way, and stops nobody. */
static void the_rest_of_an_earlier_site_goes_up(void **state)
{
    struct net *t = *state;
    struct net_office *other = net_grow(t, "other", "13", "hub");
    struct clock before = seen_after_another_site(t, other, PROVINCE);
    net_cut(t, DISTRICT);
    net_sql(t, HUB, "INSERT INTO note VALUES('h','x')");
    net_run(t, 200000);
    assert_false(clock_includes(&before, &store_state_get(PROVINCE->store)->clock));
    assert_true(clock_includes(&before, &store_state_get(HUB->store)->stable));
    forge_earlier(t, other, DISTRICT, &before);
    net_mend(t, DISTRICT);
    net_run(t, 10000);
    nobody_blames_the_province(t);
    assert_string_equal(net_text(HUB, "SELECT count(*) FROM note WHERE id = 'earlier'"), "1");
    clock_fini(&before);
}

/* An answer to a mark that has not come to the office above yet is refused there: whoever is
 * further up would take it for that office's doing, and what it binds its site to. */
static void a_mark_that_has_not_come_is_not_answered(void **state)
{
    struct net *t = *state;
    net_run(t, 70000);
    slip_in_answer(t, DISTRICT, 1000);
    net_run(t, 10000);
    nobody_blames_the_province(t);
    assert_non_null(
        strstr(net_ask(t, PROVINCE, "{\"do\":\"status\"}"), "suspect: district answers a mark"));
}

/* A newcomer's call for a mark is heard once: an office that calls for ever does not have the hub
 * send marks to the whole federation for ever. */
static void a_newcomer_is_a_newcomer_once(void **state)
{
    struct net *t = *state;
    net_run(t, 70000);
    int before = atoi(net_text(HUB, MARK_ID));
    assert_true(before > 0);
    for (int i = 0; i < 10; i++) {
        slip_in_answer(t, PROVINCE, 0);
        net_run(t, 5000);
    }
    assert_int_equal(atoi(net_text(HUB, MARK_ID)), before);
    assert_true(net_settle(t, 10000));
}

/* What the hub calls stable is forgotten only by an office that has passed all of it, whatever a
 * relay has put in front. */
static void stable_before_its_changes_is_refused(void **state)
{
    struct net *t = *state;
    struct buf b = {0};
    struct clock c = {0};
    clock_set(&c, PROVINCE->site, 1000);
    struct stable st = {.mark_id = 1, .site = HUB->site, .clock = c};
    codec_stable_encode(&st, HUB->keys.sign_secret, &b);
    net_run(t, 70000);
    net_slip_in(t, HUB, ITEM_STABLE, &b);
    net_run(t, 10000);
    assert_int_equal(clock_get(&store_state_get(PROVINCE->store)->stable, PROVINCE->site), 0);
    assert_non_null(strstr(PROVINCE->log, "that it was based on are missing"));
    buf_fini(&b);
    clock_fini(&c);
}

/* The child of a restored hub is not told that it was restored itself: nothing need be done there.
 */
static void a_restored_hub_does_not_accuse_its_child(void **state)
{
    struct net *t = *state;
    char copy[700], sql[800];
    net_run(t, 70000);
    snprintf(copy, sizeof copy, "%s.copy", HUB->path);
    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", copy);
    net_sql(t, HUB, sql);
    net_sql(t, PROVINCE, "INSERT INTO note VALUES('n','x')");
    assert_true(net_settle(t, 10000));
    net_run(t, 10000);
    net_crash(t, HUB);
    sqlite3_close(HUB->app);
    remove_beside(HUB, "-wal");
    remove_beside(HUB, "-shm");
    assert_int_equal(rename(copy, HUB->path), 0);
    HUB->app = database_app(HUB->path, NULL, 0);
    net_boot(t, HUB);
    net_run(t, 10000);
    const char *status = net_ask(t, PROVINCE, "{\"do\":\"status\"}");
    assert_non_null(strstr(status, "the database of hub was restored"));
    assert_null(strstr(status, "--as-new-site"));
    status = net_ask(t, HUB, "{\"do\":\"status\"}");
    assert_non_null(strstr(status, "bring back the newest copy"));
}

/* An office that takes items without end is sent no more than one credit ahead of what it
 * acknowledges, whatever it claims to have room for: here it acknowledges nothing. */
static void a_boastful_child_is_sent_one_credit(void **state)
{
    struct net *t = *state;
    struct buf b = {0};
    struct message m = {.type = MESSAGE_HELLO};
    net_run(t, 70000);
    const struct store_state *st = store_state_get(PROVINCE->store);
    m.u.hello = (struct hello){
        .protocol = PROTOCOL_VERSION,
        .session = 7,
        .run = 8,
        .federation = t->federation,
        .node = "province",
        .site = PROVINCE->site,
        .seq = st->seq,
        .journal_pos = 1000,
        .received_pos = (uint64_t)atoi(net_text(HUB, "SELECT max(pos) FROM tonle_journal")),
        .clock = st->clock,
        .software = "boaster",
        .credit_bytes = UINT64_MAX >> 1,
        .heartbeat_ms = 2000};
    memcpy(m.u.hello.chain, st->chain, HASH_BYTES);
    codec_encode(&m, PROVINCE->keys.sign_secret, &b);
    PROVINCE->silent = true; /* somebody else speaks on its line */
    struct route r = {.len = 3, .id = {1, 1, PROVINCE->connection}};
    net_post(t, 0, &r, "province", b.data, b.len);
    net_run(t, 100);
    assert_non_null(strstr(HUB->log, "software=boaster"));
    for (int i = 0; i < 12; i++) { /* of a megabyte each */
        char sql[100];
        snprintf(sql, sizeof sql, "INSERT INTO note VALUES('big%d',hex(randomblob(1000000)))", i);
        net_sql(t, HUB, sql);
        net_run(t, 200);
    }
    assert_in_range(HUB->sent_down_bytes, CREDIT_BYTES / 2, CREDIT_BYTES + 100000);
    buf_fini(&b);
}

/* However many messages that are none, a minute has few lines, and the next says what was left
 * out. */
static void a_flood_of_nonsense_is_few_lines(void **state)
{
    struct net *t = *state;
    struct route r = {.len = 3, .id = {1, 1, PROVINCE->connection}};
    for (int minute = 0; minute < 2; minute++) {
        unsigned lines = 0;
        HUB->log[0] = '\0';
        for (int i = 0; i < 5000; i++) {
            net_post(t, 0, &r, "province", "nonsense", 8);
            if (i % 100 == 0)
                net_run(t, 10);
        }
        net_run(t, 100);
        for (const char *s = HUB->log; (s = strstr(s, "event=bad-message")); s++)
            lines++;
        assert_in_range(lines, 1, 20);
        assert_true(!strstr(HUB->log, "left_out=4980") == (minute == 0));
        net_run(t, 61000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(a_locked_database_does_not_look_restored),
        TEST_OF_TWO(a_full_disk_is_waited_for),
        TEST_OF_TWO(a_replaced_file_ends_the_node),
        TEST_OF_TWO(an_overwritten_file_ends_the_node),
        TEST_OF_TWO(a_flood_of_nonsense_is_few_lines),
        TEST_OF_TWO(a_mark_that_was_never_sent_is_not_answered),
        TEST_OF_TWO(who_answers_a_mark_has_seen_it),
        TEST_OF_THREE(who_passes_an_answer_remembers_it),
        TEST_OF_THREE(an_earlier_site_is_bound_by_what_is_stable),
        TEST_OF_THREE(an_earlier_site_is_bound_by_an_answer),
        TEST_OF_THREE(the_rest_of_an_earlier_site_goes_up),
        TEST_OF_THREE(who_joined_anew_knows_what_is_stable),
        TEST_OF_THREE(an_answer_by_who_was_there_before_stops_nobody),
        TEST_OF_THREE(a_mark_that_has_not_come_is_not_answered),
        TEST_OF_TWO(a_newcomer_is_a_newcomer_once),
        TEST_OF_TWO(stable_before_its_changes_is_refused),
        TEST_OF_TWO(a_restored_hub_does_not_accuse_its_child),
        TEST_OF_TWO(a_boastful_child_is_sent_one_credit),
        TEST_OF_TWO(a_copy_that_ran_ahead_is_found_by_its_chain),
    };
    return check_run(tests);
}
