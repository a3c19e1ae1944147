/* Rows compared: what was written behind capture's back is found, and sealed or taken back. */
#include "conflict/hlc.h"
#include "node/capture/gap.h"
#include "protocol/limits.h"
#include "protocol/seal.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"
#include "tests/unit/store/compared.h"
#include <stdio.h>
#include <string.h>

/* Equal rows have no escapes, whatever the size of the chunks. */
static void equal_rows_have_no_escapes(void **state)
{
    compared_rows(state);
    for (uint32_t size = 1; size < 8; size++)
        assert_string_equal(compared_scan(state, size, false, false), "");
}

/* A changed, a new and a deleted row are each found once, before, between and behind the parent's
 * keys. */
static void every_escape_is_found_once(void **state)
{
    compared_rows(state);
    office_behind(
        A, "UPDATE note SET body='x' WHERE id='c'; DELETE FROM note WHERE id IN ('b','e');"
           "INSERT INTO note VALUES('A','first','m1'),('cc','middle','m2'),('z','last','m3')");
    assert_string_equal(compared_scan(state, 50, false, false), "N:A C:c N:cc N:z D:b D:e ");
    for (uint32_t size = 1; size < 6; size++)
        assert_int_equal(strlen(compared_scan(state, size, false, false)),
                         strlen("N:A C:c N:cc N:z D:b D:e "));
    assert_false(store_capture_pending(A->store));
}

static struct digest_reply digest_at(struct office *o, struct arena *a, struct digest_request *r)
{
    struct digest_reply slice;
    assert_ok(store_digest_slice(o->store, a, r, &slice));
    assert_int_equal(slice.n_leave, r->n_leave);
    r->upto = slice.last;
    return slice;
}

/* Of `note`, as `verify` at one office asks the other. */
static bool same_digest(struct office *asks, struct office *answers)
{
    struct arena a = {0};
    struct table_digest here = {0}, there = {0};
    struct digest_request r = {.table = "note", .after = {.part = DIGEST_AT_ROWS}};
    while (r.after.part != DIGEST_AT_END) {
        r.upto = (struct digest_position){.part = DIGEST_AT_END};
        r.n_leave = 0;
        assert_ok(store_digest_leave(asks->store, &a, &r));
        assert_ok(store_digest_leave(answers->store, &a, &r));
        assert_in_range(r.n_leave, 0, 2 * LIMIT_DIGEST_LEAVE);
        (void)digest_at(answers, &a, &r);
        struct digest_reply slice = digest_at(asks, &a, &r); /* may go less far */
        digest_sum(&here, &slice.sum);
        slice = digest_at(answers, &a, &r);
        digest_sum(&there, &slice.sum);
        r.after = slice.last;
    }
    arena_fini(&a);
    return here.rows == there.rows && memcmp(here.digest, there.digest, HASH_BYTES) == 0;
}

/* What the office itself lists as staying here for its size is no difference: a row that nobody
 * else has, and columns of one that all have; what else differs in such a row is one. */
static void what_stays_here_is_no_escape(void **state)
{
    struct arena a = {0};
    struct table_digest *d[2];
    uint32_t n;
    compared_rows(state);
    office_sql(A, "INSERT INTO note VALUES('big', zeroblob(9000000), 'mbig')");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT reason FROM tonle_held"), "limit");
    assert_string_equal(compared_scan(state, 50, false, false), "");
    for (int i = 0; i < 2; i++)
        assert_ok(store_digest((i ? A : HUB)->store, &a, &d[i], &n));
    assert_string_equal(d[0][5].table, "note");
    assert_int_equal(d[1][5].rows, 5);
    assert_memory_equal(d[0][5].digest, d[1][5].digest, HASH_BYTES);
    office_sql(A, "UPDATE note SET body = zeroblob(9000000) WHERE id = 'c'");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_held"), "2");
    assert_string_equal(compared_scan(state, 2, false, false), "");
    assert_true(same_digest(A, HUB) && same_digest(HUB, A));
    office_behind(A, "UPDATE note SET mark = 'other' WHERE id = 'c'");
    assert_false(same_digest(A, HUB));
    assert_string_equal(compared_scan(state, 2, false, false), "C:c ");
    arena_fini(&a);
}

static void note_limit(struct office *o, const char *id)
{
    char sql[300], hex[2 * 32 + 1] = "";
    struct buf key = {0};
    const struct value v = value_text(id);
    key_encode(&key, &v, 1);
    for (size_t i = 0; i < key.len; i++)
        snprintf(hex + 2 * i, 3, "%02x", key.data[i]);
    snprintf(sql, sizeof sql,
             "INSERT INTO tonle_limit(t, k, c) SELECT t, x'%s', 'body' FROM tonle_table"
             " WHERE name = 'note'",
             hex);
    office_sql(o, sql);
    buf_fini(&key);
}

/* However many values stay at an office, a digest leaves them all out, a slice at a time. */
static void many_values_that_stay_are_left_out(void **state)
{
    char id[8];
    office_sql(HUB, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < 449)"
                    " INSERT INTO note SELECT printf('r%03d', i), 'x', i FROM n");
    federation_sync(*state);
    office_behind(A, "UPDATE note SET body = 'large' WHERE id < 'r430'");
    for (int i = 0; i < 430; i++) {
        snprintf(id, sizeof id, "r%03d", i);
        note_limit(A, id);
    }
    assert_true(same_digest(A, HUB) && same_digest(HUB, A));
    office_behind(A, "UPDATE note SET body = 'other' WHERE id = 'r440'");
    assert_false(same_digest(A, HUB) || same_digest(HUB, A));
}

/* Settled, they are sealed like any write: the differing column alone, and the parent follows. */
static void settled_escapes_travel_like_writes(void **state)
{
    struct arena a = {0};
    struct history h;
    compared_rows(state);
    office_behind(A, "UPDATE note SET body='x' WHERE id='c'; DELETE FROM note WHERE id='b';"
                     "INSERT INTO note VALUES('z','last','m3')");
    compared_scan(state, 2, true, false);
    federation_sync(*state);
    federation_assert_equal(*state, "note");
    assert_string_equal(
        office_one(HUB, "SELECT group_concat(id||body) FROM (SELECT * FROM note ORDER BY id)"),
        "a1,cx,d4,e5,zlast");
    assert_ok(store_history(A->store, &a, "note", "\"c\"", &h));
    assert_int_equal(h.n, 2);
    assert_int_equal(h.entry[1].n_cells, 1);
    assert_string_equal(h.entry[1].columns[0], "body");
    assert_string_equal(compared_scan(state, 3, false, false), "");
    arena_fini(&a);
}

/* Or the parent's rows are written back, and nothing is captured. */
static void the_parents_rows_can_be_taken_back(void **state)
{
    compared_rows(state);
    office_behind(A, "UPDATE note SET body='x' WHERE id='c'; DELETE FROM note WHERE id='b';"
                     "INSERT INTO note VALUES('z','last','m3')");
    compared_scan(state, 50, true, true);
    assert_false(store_capture_pending(A->store));
    federation_assert_equal(*state, "note");
    assert_string_equal(
        office_one(A, "SELECT group_concat(id||body) FROM (SELECT * FROM note ORDER BY id)"),
        "a1,b2,c3,d4,e5");
}

/* A held row is no escape, at neither end; entered behind capture it is, though everybody has
 * it. */
static void held_rows_are_no_escapes(void **state)
{
    office_sql(A, "INSERT INTO note VALUES('a','1','same')");
    HUB->now_ms += 5000;
    office_sql(HUB, "INSERT INTO note VALUES('b','2','same')");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_held"), "1");
    assert_string_equal(compared_scan(state, 1, false, false), "");
    office_behind(A, "UPDATE note SET mark = 'free'; INSERT INTO note VALUES('b','2','same')");
    assert_string_equal(compared_scan(state, 50, true, false), "C:a N:b ");
    federation_sync(*state);
    assert_everywhere("SELECT group_concat(id || mark) FROM (SELECT * FROM note ORDER BY id)",
                      "afree,bsame");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
    assert_everywhere("SELECT count(*) FROM tonle_conflict WHERE cell = 'birth'", "0");
}

/* A row that only this office's own trigger refuses is held here: no escape, and no other digest.
 */
static void a_row_held_here_alone_is_no_escape(void **state)
{
    struct arena a = {0};
    struct table_digest *d[2];
    uint32_t n;
    office_sql(A, "CREATE TRIGGER no_b BEFORE INSERT ON note WHEN NEW.id = 'b' BEGIN"
                  " SELECT RAISE(ABORT, 'not here'); END");
    assert_committed(A->store, store_capture_install(A->store));
    compared_rows(state);
    assert_string_equal(office_one(A, "SELECT key || reason FROM tonle_held"), "\"b\"local");
    assert_string_equal(compared_scan(state, 50, false, false), "");
    for (int i = 0; i < 2; i++)
        assert_ok(store_digest((i ? A : HUB)->store, &a, &d[i], &n));
    assert_string_equal(d[0][5].table, "note");
    assert_int_equal(d[1][5].rows, 5);
    assert_int_equal(d[1][5].held, 0);
    assert_memory_equal(d[0][5].digest, d[1][5].digest, HASH_BYTES);
    arena_fini(&a);
}

/* What an application did to a row that only its office knows is nobody's when the row is born. */
static void a_row_that_only_we_know_is_new(void **state)
{
    compared_rows(state);
    office_behind(A, "INSERT INTO note VALUES('z','last','m3')");
    office_sql(A, "UPDATE note SET body = 'changed' WHERE id = 'z'");
    federation_sync(*state);
    assert_string_equal(compared_scan(state, 50, true, false), "N:z ");
    federation_sync(*state);
    assert_everywhere(compared_held, "-");
    assert_everywhere("SELECT body FROM note WHERE id = 'z'", "changed");
    assert_everywhere("SELECT max(births) FROM tonle_row", "1");
    assert_string_equal(compared_scan(state, 50, false, false), "");
}

/* Whose key it is there keeps it; what stands here is a birth beside it. */
static void a_row_of_ours_at_a_key_of_others(void **state)
{
    compared_rows(state);
    office_behind(A, "INSERT INTO note VALUES('z','ours','m3')");
    office_sql(A, "UPDATE note SET mark = 'm4' WHERE id = 'z'");
    office_seal(A);
    office_sql(HUB, "INSERT INTO note VALUES('z','theirs','m5')");
    federation_sync(*state);
    assert_string_equal(compared_scan(state, 50, true, false), "N:z ");
    federation_sync(*state);
    federation_assert_equal(*state, "note");
    assert_everywhere("SELECT body FROM note WHERE id = 'z'", "theirs");
    assert_everywhere(compared_held, "\"z\"birth");
}

/* Rows of others came in for one that only we know: sealed, it has to make room, and they go. */
static void who_came_in_for_it_goes_with_it(void **state)
{
    office_behind(A, "INSERT INTO note VALUES('p','entered','same')");
    office_sql(HUB,
               "INSERT INTO note VALUES('q','hub','same'); INSERT INTO remark VALUES('r','p')");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT id FROM remark"), "r");
    A->now_ms += 5000;
    assert_string_equal(compared_scan(state, 50, true, false), "N:p ");
    federation_sync(*state);
    assert_everywhere(compared_held, "\"p\"unique \"r\"parent");
    federation_assert_equal(*state, "note remark");
}

/* Entered behind capture and held since, under keys of which others have nothing, between those
 * that they have. */
static void hold_what_only_we_know(void **state)
{
    compared_rows(state);
    office_sql(HUB, "INSERT INTO remark VALUES('b','a'),('d','b'),('f','c')");
    federation_sync(*state);
    office_behind(A, "INSERT INTO remark VALUES('a','d'),('c','d'),('e','d'),('g','d')");
    office_sql(HUB, "DELETE FROM note WHERE id = 'd'");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, compared_held), "-");
    assert_string_equal(office_one(A, compared_held),
                        "\"a\"parent \"c\"parent \"e\"parent \"g\"parent");
}

/* Of all of `remark`, as a comparison asks for it first. */
static bool same_chunk_digest(void **state)
{
    struct arena a = {0};
    struct load_request r = {.table = "remark", .digest_only = true};
    struct load_chunk here, there;
    assert_ok(store_chunk_read(A->store, &a, &r, HUB->name, &here));
    assert_ok(store_chunk_read(HUB->store, &a, &r, A->name, &there));
    bool same = here.rows == there.rows && memcmp(here.digest, there.digest, HASH_BYTES) == 0;
    arena_fini(&a);
    return same;
}

static void a_held_row_that_only_we_know_is_new(void **state)
{
    hold_what_only_we_know(state);
    assert_false(same_chunk_digest(state));
    for (uint32_t size = 1; size < 8; size++) {
        const char *found = compared_scan_of(state, "remark", size, false, false);
        assert_int_equal(strlen(found), strlen("N:a N:c N:e N:g "));
        for (const char *key = "aceg"; *key; key++)
            assert_non_null(strchr(found, *key));
    }
    (void)compared_scan_of(state, "remark", 2, true, false);
    federation_sync(*state);
    assert_everywhere(compared_held, "\"a\"parent \"c\"parent \"e\"parent \"g\"parent");
    assert_string_equal(compared_scan_of(state, "remark", 2, false, false), "");
    assert_true(same_chunk_digest(state));
    office_sql(HUB, "INSERT INTO note VALUES('d','back','md')");
    federation_sync(*state);
    assert_everywhere("SELECT count(*) FROM remark", "7");
    federation_assert_equal(*state, "note remark");
}

static void take_what_only_we_know(void **state, enum escape_take take)
{
    hold_what_only_we_know(state);
    compared_take(take);
    (void)compared_scan_of(state, "remark", 2, true, true);
    compared_take(ESCAPE_TAKE_THERE);
    assert_false(store_capture_pending(A->store));
    assert_everywhere(compared_held, "-");
    assert_string_equal(compared_scan_of(state, "remark", 2, false, false), "");
}

static void a_held_row_that_only_we_know_goes(void **state)
{
    take_what_only_we_know(state, ESCAPE_TAKE_THERE);
}

/* Also where what is taken is published: of what nobody else has there is nothing to say. */
static void it_goes_in_the_middle_and_at_the_hub(void **state)
{
    take_what_only_we_know(state, ESCAPE_TAKE_BELOW);
    assert_int_equal(federation_tear_down(state), 0);
    assert_int_equal(start(state), 0);
    take_what_only_we_know(state, ESCAPE_TAKE_FOR_ALL);
}

/* What others hold is told with the rows of its range: it is no new row where it stands here. */
static void a_row_that_others_hold_is_not_new(void **state)
{
    uint32_t released;
    office_sql(HUB, "INSERT INTO note VALUES('a','1','same')");
    office_seal(HUB);
    A->now_ms += 5000;
    office_sql(A, "INSERT INTO note VALUES('b','2','same')");
    federation_sync(*state);
    office_sql(HUB, "INSERT INTO note VALUES('c','3','mc'),('d','4','md')");
    federation_sync(*state);
    assert_everywhere(compared_held, "\"b\"unique");
    office_behind(A, "DELETE FROM note WHERE id = 'a'");
    assert_ok(store_begin(A->store));
    assert_ok(store_held_retry(A->store, &A->arena, NULL, A->now_ms, &released));
    assert_ok(store_commit(A->store));
    assert_string_equal(office_one(A, "SELECT group_concat(id) FROM note"), "b,c,d");
    for (uint32_t size = 1; size < 6; size++)
        assert_string_equal(compared_scan(state, size, false, false), "D:a ");
}

/* What was written behind capture before the row was held. */
static void hold_other_values(void **state)
{
    A->now_ms += 5000;
    office_sql(A, "INSERT INTO note VALUES('b','2','same')");
    office_seal(A);
    office_behind(A, "UPDATE note SET body = 'behind'");
    office_sql(HUB, "INSERT INTO note VALUES('a','1','same')");
    federation_sync(*state);
    assert_everywhere(compared_held, "\"b\"unique");
}

static void a_held_row_has_other_values(void **state)
{
    hold_other_values(state);
    assert_string_equal(compared_scan(state, 50, true, false), "C:b ");
    federation_sync(*state);
    assert_string_equal(compared_scan(state, 50, false, false), "");
    office_sql(HUB, "DELETE FROM note WHERE id = 'a'");
    federation_sync(*state);
    assert_everywhere("SELECT id || body FROM note", "bbehind");
}

static void a_held_row_is_taken_back(void **state)
{
    hold_other_values(state);
    compared_scan(state, 50, true, true);
    assert_false(store_capture_pending(A->store));
    office_sql(HUB, "DELETE FROM note WHERE id = 'a'");
    federation_sync(*state);
    assert_everywhere("SELECT id || body FROM note", "b2");
}

/* A row that has no record was deleted behind capture, and entered anew: who did knows of one
 * birth, everybody else of two. */
static void bear_again(void **state)
{
    compared_rows(state);
    federation_settle(*state);
    office_behind(A, "DELETE FROM note WHERE id = 'd'");
    office_sql(A, "INSERT INTO note VALUES('d','again','m3')");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, compared_held), "\"d\"birth");
    assert_string_equal(office_one(A, compared_held), "-");
    assert_string_equal(compared_scan(state, 50, false, false), "D:d ");
}

static void who_was_deleted_and_born_again_is_deleted(void **state)
{
    bear_again(state);
    compared_scan(state, 50, true, false);
    federation_sync(*state);
    assert_everywhere(compared_held, "-");
    assert_everywhere("SELECT body FROM note WHERE id = 'd'", "again");
    assert_string_equal(compared_scan(state, 50, false, false), "");
}

static void who_was_deleted_and_born_again_is_back(void **state)
{
    bear_again(state);
    compared_scan(state, 50, true, true);
    assert_false(store_capture_pending(A->store));
    assert_everywhere(compared_held, "\"d\"birth");
    assert_everywhere("SELECT body FROM note WHERE id = 'd'", "4");
    assert_string_equal(compared_scan(state, 50, false, false), "");
    federation_assert_equal(*state, "note");
}

static void away(struct office *o)
{
    MUST(o->store, store_begin(o->store));
    MUST(o->store, schema_load(o->store));
    MUST(o->store, gap_open(o->store, schema_table(o->store, "note")->t, "note"));
    MUST(o->store, store_commit(o->store));
}

/* A row is written behind capture over what was sent: who wrote without having seen that meets what
 * was sent, here as everywhere. */
static void who_meets_a_value_meets_what_was_sent(void **state)
{
    static const char sides[] = "SELECT group_concat(value, ' ') FROM (SELECT value FROM"
                                " tonle_side ORDER BY value)";
    compared_rows(state);
    office_sql(A, "UPDATE note SET body = 'sent' WHERE id = 'c'");
    office_seal(A);
    away(A);
    office_behind(A, "UPDATE note SET body = 'same', mark = 'behind' WHERE id = 'c'");
    HUB->now_ms += 5000;
    office_sql(HUB, "UPDATE note SET body = 'same' WHERE id = 'c'");
    federation_sync(*state);
    assert_everywhere(sides, "same sent");
    assert_string_equal(office_one(A, "SELECT body || mark FROM note WHERE id = 'c'"),
                        "samebehind");
}

/* Only in the birth that the change is of: what stands is another's. */
static void a_change_of_another_birth_puts_nothing_back(void **state)
{
    office_sql(A, "INSERT INTO note VALUES('n','one','m1')");
    office_seal(A);
    away(A);
    office_behind(A, "UPDATE note SET body = 'behind' WHERE id = 'n'");
    HUB->now_ms += 5000;
    office_sql(HUB, "INSERT INTO note VALUES('n','two','m2')");
    office_seal(HUB);
    office_sql(HUB, "UPDATE note SET body = 'three' WHERE id = 'n'");
    federation_sync(*state);
    assert_string_equal(office_one(A, "SELECT body FROM note WHERE id = 'n'"), "behind");
    assert_string_equal(compared_scan(state, 50, false, false), "C:n ");
}

static void seal_a_delta(struct office *o, const char *key, int64_t delta, struct buf *out)
{
    static const char *const columns[] = {"id", "body", "mark"};
    static const uint32_t key_column = 0, column = 1;
    uint8_t hash[HASH_BYTES];
    const struct store_state *st = store_state_get(o->store);
    struct value k = value_text(key), v = value_wide(&o->arena, delta);
    struct row_change rc = {
        .kind = CHANGE_UPDATE, .key = &k, .n_cells = 1, .column = &column, .value = &v};
    struct table_changes tc = {"note", 3, (const char **)columns, 1, &key_column, 1, &rc};
    struct segment segment = {.scope = "", .n_tables = 1, .tables = &tc};
    struct changeset cs = {.federation = "00112233445566778899aabbccddeeff",
                           .dot = {o->site, st->seq + 1},
                           .context = st->clock,
                           .hlc = hlc_tick(st->hlc, o->now_ms),
                           .charter_version = st->charter_version,
                           .schema_version = st->schema_version,
                           .n_segments = 1,
                           .segments = &segment};
    memcpy(cs.previous, st->chain, HASH_BYTES);
    assert_ok(seal_changeset(&cs, o->secret, out, hash));
}

/* A delta of an office whose charter says that the column is a sum: it is stored as what can stand
 * in a column, also where it is put back, or the record could not be read any more. */
static void what_is_put_back_can_stand_in_a_column(void **state)
{
    struct buf bytes = {0};
    struct apply_report report;
    struct changeset *cs = arena_alloc(&A->arena, sizeof *cs);
    uint8_t hash[HASH_BYTES];
    compared_rows(state);
    federation_settle(*state);
    seal_a_delta(HUB, "c", 5, &bytes);
    assert_ok(seal_open(&A->arena, bytes.data, bytes.len, HUB->key, cs, hash));
    struct apply_input in = {.cs = cs,
                             .bytes = {bytes.data, bytes.len},
                             .hash = hash,
                             .source = "hub",
                             .link_pos = 1000,
                             .now_ms = A->now_ms};
    assert_committed(A->store, store_apply(A->store, &A->arena, &in, &report));
    assert_string_equal(office_one(A, "SELECT quote(body) FROM note WHERE id = 'c'"), "'5'");
    away(A);
    B->now_ms += 5000;
    office_sql(B, "UPDATE note SET body = 'zz' WHERE id = 'c'");
    office_seal(B);
    office_sql(B, "UPDATE note SET mark = 'q' WHERE id = 'c'");
    office_seal(B);
    struct dot last = {B->site, store_state_get(B->store)->seq};
    assert_ok(office_take(A, B, (struct dot){last.site, last.seq - 1}, &report));
    assert_ok(office_take(A, B, last, &report));
    assert_string_equal(office_one(A, "SELECT body || mark FROM note WHERE id = 'c'"), "zzq");
    buf_fini(&bytes);
}

static int start_of_three(void **state)
{
    return federation_set_up(
        state, 3, "CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, body TEXT, mark TEXT UNIQUE)",
        "{\"federation\":\"test\",\"schema_version\":1,\"tables\":[{\"name\":\"note\","
        "\"columns\":[{\"name\":\"body\",\"policy\":\"max\"}]}]}",
        true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(equal_rows_have_no_escapes),
        FEDERATION_TEST(every_escape_is_found_once),
        FEDERATION_TEST(what_stays_here_is_no_escape),
        FEDERATION_TEST(many_values_that_stay_are_left_out),
        FEDERATION_TEST(settled_escapes_travel_like_writes),
        FEDERATION_TEST(the_parents_rows_can_be_taken_back),
        FEDERATION_TEST(held_rows_are_no_escapes),
        FEDERATION_TEST(a_row_held_here_alone_is_no_escape),
        FEDERATION_TEST(a_row_that_only_we_know_is_new),
        FEDERATION_TEST(a_row_of_ours_at_a_key_of_others),
        FEDERATION_TEST(who_came_in_for_it_goes_with_it),
        FEDERATION_TEST(a_held_row_that_only_we_know_is_new),
        FEDERATION_TEST(a_held_row_that_only_we_know_goes),
        FEDERATION_TEST(it_goes_in_the_middle_and_at_the_hub),
        FEDERATION_TEST(a_row_that_others_hold_is_not_new),
        FEDERATION_TEST(a_held_row_has_other_values),
        FEDERATION_TEST(a_held_row_is_taken_back),
        FEDERATION_TEST(who_was_deleted_and_born_again_is_deleted),
        FEDERATION_TEST(who_was_deleted_and_born_again_is_back),
        FEDERATION_TEST(who_meets_a_value_meets_what_was_sent),
        FEDERATION_TEST(a_change_of_another_birth_puts_nothing_back),
        cmocka_unit_test_setup_teardown(what_is_put_back_can_stand_in_a_column, start_of_three,
                                        federation_tear_down),
    };
    return check_run(tests);
}
