/* Totals that were changed or lost behind capture. */
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"
#include "tests/unit/store/compared.h"
#include <string.h>

#define AT_BOTH(sql, want)                                                                         \
    for (int i = 0; i < 2; i++)                                                                    \
    assert_string_equal(office_one(OFFICE(i), sql), want)

/* The one row of `stock` that differs, settled at `here` against what `there` has. */
static enum err settle_stock(struct office *here, struct office *there, enum escape_take take)
{
    struct load_request r = {.table = "stock", .max_rows = 10};
    struct load_chunk chunk;
    struct arena a = {0};
    struct escape *found;
    size_t n;
    bool as_lost;
    assert_ok(store_chunk_read(there->store, &a, &r, here->name, &chunk));
    assert_ok(store_chunk_compare(here->store, &a, &chunk, r.after, &found, &n));
    assert_int_equal(n, 1);
    assert_ok(store_begin(here->store));
    enum err e = store_escape_settle(here->store, &a, &chunk, &found[0], take, &as_lost);
    if (e == ERR_OK)
        assert_ok(store_commit(here->store));
    else
        store_rollback(here->store);
    arena_fini(&a);
    return e;
}

/* A total that a neighbour has lost with its row is what no change could tell it: the row waits,
 * and that office takes it from here. */
static void a_total_that_is_missing_there_is_not_sent(void **state)
{
    static const char stock[] = "SELECT id || name || coalesce(n, 'none') FROM stock";
    office_sql(HUB, "INSERT INTO stock VALUES('rice', 'Rice', 10)");
    federation_sync(*state);
    office_sql(A, "UPDATE stock SET n = n + 5");
    federation_sync(*state);
    office_behind(HUB, "DELETE FROM stock");
    assert_err(settle_stock(A, HUB, ESCAPE_TAKE_HERE), ERR_REFUSED);
    assert_non_null(strstr(store_message(A->store), "n counts up"));
    assert_ok(settle_stock(HUB, A, ESCAPE_TAKE_FOR_ALL));
    office_sql(A, "UPDATE stock SET n = n + 1");
    federation_sync(*state);
    AT_BOTH(stock, "riceRice16");
}

/* A total that was changed behind capture goes out as what was added to it, and from where that
 * was: sent by another it would be added there twice. */
static void a_total_behind_capture_is_published(void **state)
{
    office_sql(HUB, "INSERT INTO stock VALUES('rice', 'Rice', 10)");
    federation_sync(*state);
    office_behind(A, "UPDATE stock SET n = 20");
    assert_ok(settle_stock(A, HUB, ESCAPE_TAKE_HERE));
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT n FROM stock"), "20");
    office_behind(A, "UPDATE stock SET n = 17");
    assert_err(settle_stock(HUB, A, ESCAPE_TAKE_FOR_ALL), ERR_REFUSED);
    assert_ok(settle_stock(A, HUB, ESCAPE_TAKE_HERE));
    federation_sync(*state);
    AT_BOTH("SELECT n FROM stock", "17");
}

/* The same where the row is held at both, for who was entered earlier under its key. */
static void settle_held(void **state, struct office *here, enum escape_take take, enum err want)
{
    A->now_ms += 5000;
    office_sql(A, "INSERT INTO stock VALUES('z', 'as sent', 10)");
    office_seal(A);
    office_behind(A, "UPDATE stock SET n = 20 WHERE id = 'z'");
    office_sql(HUB, "INSERT INTO stock VALUES('z', 'earlier', 1)");
    federation_sync(*state);
    AT_BOTH("SELECT key || reason FROM tonle_held", "\"z\"birth");
    assert_int_equal(settle_stock(here, here == A ? HUB : A, take), want);
}

static void assert_held_total(void **state, const char *want)
{
    federation_sync(*state);
    office_sql(HUB, "DELETE FROM stock WHERE id = 'z'");
    federation_sync(*state);
    AT_BOTH("SELECT name || n FROM stock", want);
}

static void a_held_total_is_not_taken_for_all(void **state)
{
    settle_held(state, HUB, ESCAPE_TAKE_FOR_ALL, ERR_REFUSED);
    assert_ok(settle_stock(A, HUB, ESCAPE_TAKE_THERE));
    assert_held_total(state, "as sent10");
}

static void a_held_total_is_taken_here_alone(void **state)
{
    settle_held(state, A, ESCAPE_TAKE_BELOW, ERR_OK);
    assert_held_total(state, "as sent10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_total_that_is_missing_there_is_not_sent),
        FEDERATION_TEST(a_total_behind_capture_is_published),
        FEDERATION_TEST(a_held_total_is_not_taken_for_all),
        FEDERATION_TEST(a_held_total_is_taken_here_alone),
    };
    return check_run(tests);
}
