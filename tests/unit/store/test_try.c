/* A part of a write transaction that is tried. */
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"

static const char schema[] = "CREATE TABLE note(id TEXT PRIMARY KEY NOT NULL, body TEXT)";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"note\",\"columns\":[]}]}";

static int start(void **state)
{
    return federation_set_up(state, 2, schema, charter, true);
}

/* A part of a transaction that is taken back leaves nothing, in memory either. */
static void a_part_is_taken_back(void **state)
{
    struct store *s = A->store;
    office_sql(HUB, "INSERT INTO note VALUES('a','1'),('b','2'),('c','3'),('d','4'),('e','5')");
    federation_sync(*state);
    assert_ok(store_begin(s));
    uint64_t hlc = state_of(s)->hlc, pos = state_of(s)->journal_pos, next;
    assert_ok(store_meta_set_u64(s, "before", 7));
    assert_ok(store_try_begin(s));
    assert_ok(store_set_hlc(s, hlc + 5));
    assert_ok(state_next_journal_pos(s, &next));
    assert_int_equal(next, pos + 1);
    assert_ok(store_exec(s, "DELETE FROM note"));
    assert_err(store_fail(s, ERR_LIMIT, "too large"), ERR_LIMIT);
    assert_ok(store_try_undo(s));
    assert_string_equal(store_message(s), "too large");
    assert_int_equal(state_of(s)->hlc, hlc);
    assert_int_equal(state_of(s)->journal_pos, pos);
    assert_ok(store_meta_set_u64(s, "hlc", hlc + 9)); /* unread where nothing of it changed */
    assert_ok(store_try_begin(s));
    assert_ok(store_exec(s, "DELETE FROM note"));
    assert_ok(store_try_undo(s));
    assert_int_equal(state_of(s)->hlc, hlc);
    assert_ok(store_try_begin(s));
    assert_ok(store_exec(s, "DELETE FROM note WHERE id = 'a'"));
    assert_ok(store_try_keep(s));
    assert_ok(store_commit(s));
    uint64_t before;
    assert_ok(store_meta_u64(s, "before", 0, &before));
    assert_int_equal(before, 7);
    assert_int_equal(store_state_get(s)->hlc, hlc);
    int64_t n;
    assert_ok(db_number(s, "SELECT count(*) FROM note", &n));
    assert_int_equal(n, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_part_is_taken_back),
    };
    return check_run(tests);
}
