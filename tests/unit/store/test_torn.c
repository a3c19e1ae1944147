/* Rows that were deleted behind capture, and others went on with. */
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"
#include "tests/unit/store/compared.h"

/* What others write to a row that was deleted behind capture is all that is known of it here. */
static void delete_what_others_change(void **state)
{
    compared_rows(state);
    office_sql(A, "UPDATE note SET body = 'mine' WHERE id = 'c'");
    office_seal(A);
    office_behind(A, "DELETE FROM note WHERE id = 'c'");
    office_sql(HUB, "UPDATE note SET body = 'hub' WHERE id = 'c'");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_conflict"), "1");
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_side WHERE value IS NULL"), "0");
    assert_string_equal(compared_scan(state, 50, false, false), "D:c ");
}

static void a_row_that_others_changed_is_deleted(void **state)
{
    delete_what_others_change(state);
    compared_scan(state, 50, true, false);
    federation_sync(*state);
    federation_assert_equal(*state, "note");
    assert_everywhere("SELECT count(*) FROM note", "4");
    assert_everywhere(compared_held, "-");
    assert_string_equal(compared_scan(state, 50, false, false), "");
}

static void a_row_that_others_changed_is_back(void **state)
{
    delete_what_others_change(state);
    compared_scan(state, 50, true, true);
    assert_false(store_capture_pending(A->store));
    federation_assert_equal(*state, "note");
    assert_everywhere("SELECT count(*) FROM note WHERE body IN ('mine', 'hub')", "1");
    assert_everywhere(compared_held, "-");
}

/* Of a row without a record nothing is left here, though others held it since. */
static void a_row_that_is_held_and_not_known_is_deleted(void **state)
{
    compared_rows(state);
    federation_settle(*state);
    office_behind(A, "DELETE FROM note WHERE id = 'c'");
    office_sql(A, "INSERT INTO note VALUES('n','new','mn')");
    office_seal(A);
    HUB->now_ms += 5000;
    office_sql(HUB, "UPDATE note SET mark = 'mn' WHERE id = 'c'");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, compared_held), "\"c\"unique");
    assert_string_equal(office_one(A, compared_held), "-");
    assert_string_equal(compared_scan(state, 50, true, false), "D:c ");
    federation_sync(*state);
    assert_everywhere(compared_held, "-");
    assert_string_equal(compared_scan(state, 50, false, false), "");
}

/* Rows of others wait for one that was deleted behind capture. */
static void who_waits_for_what_is_back_comes_in(void **state)
{
    compared_rows(state);
    federation_settle(*state);
    office_behind(A, "DELETE FROM note WHERE id = 'c'");
    office_sql(HUB, "INSERT INTO remark VALUES('r','c')");
    federation_sync(*state);
    assert_string_equal(office_one(A, compared_held), "\"r\"parent");
    assert_string_equal(compared_scan(state, 50, true, true), "D:c ");
    assert_everywhere(compared_held, "-");
    federation_assert_equal(*state, "note remark");
}

/* As the other office sees it: what it takes is the delete, not what is left of the row. */
static void a_row_that_was_deleted_there_is_deleted(void **state)
{
    struct arena a = {0};
    struct escape *e;
    size_t n;
    bool as_lost;
    static const uint8_t behind_rows[] = {PART_RECORDS};
    struct load_request r = {.table = "note", .upto = {behind_rows, 1}};
    struct load_chunk chunk;
    delete_what_others_change(state);
    assert_ok(store_chunk_read(A->store, &a, &r, HUB->name, &chunk));
    assert_ok(store_begin(HUB->store));
    assert_ok(store_chunk_compare(HUB->store, &a, &chunk, r.after, &e, &n));
    assert_int_equal(n, 1);
    assert_ok(store_escape_settle(HUB->store, &a, &chunk, &e[0], ESCAPE_TAKE_FOR_ALL, &as_lost));
    assert_ok(store_commit(HUB->store));
    federation_sync(*state);
    assert_everywhere("SELECT count(*) FROM note", "4");
    assert_everywhere(compared_held, "-");
    arena_fini(&a);
}

/* Also where others have deleted it since: somebody may not have heard of that. */
static void a_row_that_was_deleted_twice_may_come_back(void **state)
{
    compared_rows(state);
    office_behind(A, "DELETE FROM note WHERE id = 'c'");
    office_sql(HUB, "DELETE FROM note WHERE id = 'c'");
    federation_sync(*state);
    assert_string_equal(compared_scan(state, 50, true, false), "C:c ");
    federation_sync(*state);
    assert_string_equal(compared_scan(state, 50, false, false), "");
}

/* It is held at the others, and nothing of it here: it is no change of all its columns to NULL. */
static void a_row_that_others_hold_is_deleted(void **state)
{
    office_sql(HUB, "INSERT INTO note VALUES('c','3','mc')");
    federation_sync(*state);
    office_sql(A, "INSERT INTO note VALUES('n','new','mn')");
    office_seal(A);
    office_behind(A, "DELETE FROM note WHERE id = 'c'");
    HUB->now_ms += 5000;
    office_sql(HUB, "UPDATE note SET mark = 'mn' WHERE id = 'c'");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, compared_held), "\"c\"unique");
    assert_string_equal(compared_scan(state, 50, true, false), "D:c ");
    federation_sync(*state);
    assert_everywhere(compared_held, "-");
    assert_everywhere("SELECT group_concat(id) FROM note", "n");
    assert_string_equal(compared_scan(state, 50, false, false), "");
}

/* A row that only this office has goes: who was held for its value comes in, and who stood by it is
 * held as everywhere else. */
static void take_out(void **state, enum escape_take take)
{
    static const char rows[] = "SELECT (SELECT group_concat(id, '') FROM (SELECT id FROM note ORDER"
                               " BY id)) || (SELECT count(*) FROM remark)";
    compared_rows(state);
    office_behind(A, "INSERT INTO note VALUES('z', 'stray', 'mz')");
    office_sql(HUB, "INSERT INTO note VALUES('f', '6', 'mz')");
    office_sql(HUB, "INSERT INTO remark VALUES('r', 'z')");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, rows), "abcdef0");
    assert_string_equal(office_one(A, rows), "abcdez1");
    compared_take(take);
    assert_string_equal(compared_scan(state, 50, true, true), "N:z ");
    compared_take(ESCAPE_TAKE_THERE);
    federation_sync(*state);
    assert_everywhere(rows, "abcdef0");
    assert_everywhere(compared_held, "\"r\"parent");
}

static void what_follows_where_a_row_is_taken_out(void **state)
{
    take_out(state, ESCAPE_TAKE_THERE);
}

static void what_follows_where_its_delete_is_sealed(void **state)
{
    take_out(state, ESCAPE_TAKE_BELOW);
}

static void what_follows_where_a_value_is_taken_back(void **state)
{
    compared_rows(state);
    office_behind(A, "UPDATE note SET mark = 'mz' WHERE id = 'c'");
    office_sql(HUB, "INSERT INTO note VALUES('f', '6', 'mz')");
    federation_sync(*state);
    assert_string_equal(office_one(A, compared_held), "\"f\"unique");
    assert_string_equal(compared_scan(state, 50, true, true), "C:c ");
    federation_assert_equal(*state, "note");
    assert_everywhere(compared_held, "-");
}

/* A lost row's unique value is another's here, which is settled and alone, and is held at all
 * others. Taken back, the lost one stands here, too: the other is held by what others know of its
 * rank, which has been forgotten here. */
static void take_whose_value_is_taken(void **state, enum escape_take take)
{
    compared_rows(state);
    federation_settle(*state);
    office_behind(A, "DELETE FROM note WHERE id IN ('b', 'c')");
    A->now_ms += 5000;
    office_sql(A, "INSERT INTO note VALUES('A','x','mb'),('f','x','mc')");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, compared_held), "\"A\"unique \"f\"unique");
    federation_settle(*state);
    assert_string_equal(office_one(A, "SELECT count(*) FROM tonle_row"), "0");
    assert_string_equal(compared_scan(state, 50, false, false), "H:A H:f D:b D:c ");
    assert_string_equal(compared_scan(state, 2, false, false), "H:A D:b D:c H:f ");
    compared_take(take);
    (void)compared_scan(state, 50, true, true);
    compared_take(ESCAPE_TAKE_THERE);
    assert_string_equal(compared_scan(state, 50, false, false), "");
    assert_everywhere(compared_held, "\"A\"unique \"f\"unique");
    federation_assert_equal(*state, "note");
}

static void who_has_its_value_is_held_again(void **state)
{
    take_whose_value_is_taken(state, ESCAPE_TAKE_BACK);
    assert_int_equal(federation_tear_down(state), 0);
    assert_int_equal(start(state), 0);
    take_whose_value_is_taken(state, ESCAPE_TAKE_THERE);
}

/* The same of a value that was written over: what goes out to all is decided, and does not fail at
 * who has the value here. */
static void take_a_value_that_is_taken(void **state, enum escape_take take)
{
    compared_rows(state);
    federation_settle(*state);
    office_behind(A, "UPDATE note SET mark = 'stray' WHERE id = 'c'");
    A->now_ms += 5000;
    office_sql(A, "INSERT INTO note VALUES('f','x','mc')");
    federation_sync(*state);
    federation_settle(*state);
    assert_string_equal(compared_scan(state, 50, false, false), "C:c H:f ");
    compared_take(take);
    (void)compared_scan(state, 50, true, true);
    compared_take(ESCAPE_TAKE_THERE);
    federation_sync(*state);
    assert_string_equal(compared_scan(state, 50, false, false), "");
    assert_everywhere("SELECT count(*) FROM tonle_held WHERE reason = 'unique'", "1");
    federation_assert_equal(*state, "note");
}

static void a_value_that_another_has_is_taken(void **state)
{
    take_a_value_that_is_taken(state, ESCAPE_TAKE_THERE);
    assert_string_equal(office_one(A, compared_held), "\"f\"unique");
}

static void a_value_that_another_has_is_published(void **state)
{
    take_a_value_that_is_taken(state, ESCAPE_TAKE_BELOW);
    assert_int_equal(federation_tear_down(state), 0);
    assert_int_equal(start(state), 0);
    take_a_value_that_is_taken(state, ESCAPE_TAKE_FOR_ALL);
}

/* A birth that is held beside the one that stands, with another value: it is no write to that one,
 * and what goes out to all names it. */
static void take_a_held_value(void **state, enum escape_take take)
{
    compared_rows(state);
    A->now_ms += 5000;
    office_sql(A, "INSERT INTO note VALUES('z','as sent','mz')");
    office_seal(A);
    office_behind(A, "UPDATE note SET body = 'behind' WHERE id = 'z'");
    office_sql(HUB, "INSERT INTO note VALUES('z','earlier','my')");
    federation_sync(*state);
    assert_everywhere(compared_held, "\"z\"birth");
    compared_take(take);
    assert_string_equal(compared_scan(state, 50, true, true), "C:z ");
    compared_take(ESCAPE_TAKE_THERE);
    federation_sync(*state);
    assert_string_equal(compared_scan(state, 50, false, false), "");
    assert_everywhere("SELECT body FROM note WHERE id = 'z'", "earlier");
    office_sql(HUB, "DELETE FROM note WHERE id = 'z'");
    federation_sync(*state);
    assert_everywhere("SELECT body FROM note WHERE id = 'z'", "as sent");
}

static void a_held_value_is_taken(void **state)
{
    static const enum escape_take take[] = {ESCAPE_TAKE_THERE, ESCAPE_TAKE_BELOW,
                                            ESCAPE_TAKE_FOR_ALL};
    for (size_t i = 0; i < sizeof take / sizeof *take; i++) {
        if (i > 0) {
            assert_int_equal(federation_tear_down(state), 0);
            assert_int_equal(start(state), 0);
        }
        take_a_held_value(state, take[i]);
    }
}

static const char held[] = "SELECT group_concat(key || reason, ' ') FROM"
                           " (SELECT * FROM tonle_held ORDER BY key, reason)";

static void publish_what_is_held_here(void **state)
{
    office_sql(A, "INSERT INTO note VALUES('n','one','m1')");
    federation_sync(*state);
    office_behind(HUB, "DELETE FROM note WHERE id = 'n'");
    HUB->now_ms += 5000;
    office_sql(HUB, "INSERT INTO note VALUES('n','two','m2'),('z','z','mz')");
    federation_sync(*state);
    A->now_ms += 10000;
    office_sql(A, "DELETE FROM note WHERE id = 'z'; UPDATE note SET mark = 'mz' WHERE id = 'n'");
    office_sql(HUB, "UPDATE note SET body = 'zz' WHERE id = 'z'");
    federation_sync(*state);
    assert_string_equal(office_one(A, held), "\"n\"birth \"n\"unique");
    assert_string_equal(compared_scan(state, 50, true, false), "C:n ");
    federation_sync(*state);
    assert_string_equal(compared_scan(state, 50, false, false), "");
    assert_everywhere(held, "\"n\"birth \"n\"unique");
}

/* It is held here, and the other office, which knows what others did since, gets all of it. */
static void what_is_held_here_is_whole_there(void **state)
{
    publish_what_is_held_here(state);
    office_sql(A, "DELETE FROM note WHERE id = 'z'");
    federation_sync(*state);
    assert_everywhere("SELECT body || mark FROM note WHERE id = 'n'", "onemz");
}

/* There it claims its unique values, and is the same when everybody has it, and nothing but its
 * record tells what was written to it. */
static void what_was_whole_there_stays_whole(void **state)
{
    publish_what_is_held_here(state);
    assert_everywhere("SELECT count(*) FROM tonle_claim", "2");
    for (int mark = 0; mark < 2; mark++) {
        federation_pass_mark(*state, 2, NULL);
        assert_string_equal(compared_scan(state, 50, false, false), "");
        assert_everywhere("SELECT count(*) FROM tonle_claim", "2");
    }
    office_sql(A, "DELETE FROM note WHERE id = 'z'");
    federation_sync(*state);
    assert_everywhere("SELECT body || mark FROM note WHERE id = 'n'", "onemz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_row_that_others_changed_is_deleted),
        FEDERATION_TEST(a_row_that_others_changed_is_back),
        FEDERATION_TEST(a_row_that_others_hold_is_deleted),
        FEDERATION_TEST(a_row_that_was_deleted_there_is_deleted),
        FEDERATION_TEST(who_waits_for_what_is_back_comes_in),
        FEDERATION_TEST(what_follows_where_a_row_is_taken_out),
        FEDERATION_TEST(what_follows_where_its_delete_is_sealed),
        FEDERATION_TEST(what_follows_where_a_value_is_taken_back),
        FEDERATION_TEST(who_has_its_value_is_held_again),
        FEDERATION_TEST(what_is_held_here_is_whole_there),
        FEDERATION_TEST(what_was_whole_there_stays_whole),
        FEDERATION_TEST(a_held_value_is_taken),
        FEDERATION_TEST(a_value_that_another_has_is_taken),
        FEDERATION_TEST(a_value_that_another_has_is_published),
        FEDERATION_TEST(a_row_that_is_held_and_not_known_is_deleted),
        FEDERATION_TEST(a_row_that_was_deleted_twice_may_come_back),
    };
    return check_run(tests);
}
