/* The parts of a table that a load goes by: a range of keys, and what the clock of each covers. */
#include "node/apply/work.h"
#include "node/load/load.h"
#include "node/load/slice.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"

static const char schema[] =
    "CREATE TABLE person(id TEXT PRIMARY KEY COLLATE NOCASE NOT NULL, name TEXT);"
    "CREATE TABLE receipt(series TEXT NOT NULL, number INTEGER NOT NULL, note TEXT,"
    " PRIMARY KEY(series, number)) WITHOUT ROWID;";
static const char charter[] = "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
                              "{\"name\":\"person\",\"columns\":[]},"
                              "{\"name\":\"receipt\",\"columns\":[]}]}";

static int start(void **state)
{
    return federation_set_up(state, 2, schema, charter, true);
}

/* A change that a chunk holds is left out, one that came later is not: by the key's place in the
 * chunks. */
static void a_chunks_clock_covers_its_own_keys(void **state)
{
    struct store *s = A->store;
    struct clock c = {0};
    struct buf old_clock = {0}, new_clock = {0}, last = {0}, key = {0};
    clock_set(&c, 5, 1);
    clock_encode(&old_clock, &c);
    clock_set(&c, 5, 3);
    clock_encode(&new_clock, &c);
    assert_ok(store_begin(s));
    assert_ok(schema_load(s));
    const struct table_schema *t = schema_table(s, "person");
    struct value m = value_text("m"), upper = value_text("B"), z = value_text("z");
    buf_put_u8(&last, PART_RECORDS); /* the first page of records reaches to m */
    key_encode(&last, &m, 1);
    for (int i = 0; i < 2; i++) {
        const struct buf *clock = i ? &new_clock : &old_clock;
        assert_ok(DB_RUN(s,
                         "INSERT INTO tonle_chunk(t, last_key, clock, pos, ord)"
                         " VALUES(?1,?2,?3,9,?4)",
                         value_u64(t->t), i ? value_null() : value_blob(last.data, last.len),
                         value_blob(clock->data, clock->len), value_integer(i)));
    }
    const struct {
        struct value *key;
        uint64_t seq;
        bool covers;
    } table[] = {{&upper, 1, true}, {&upper, 2, false}, {&m, 2, false},    {&z, 2, true},
                 {&z, 3, true},     {&z, 4, false},     {&upper, 4, false}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        buf_reset(&key);
        key_encode(&key, table[i].key, 1);
        struct row_key k = {t, key.data, key.len};
        bool covers = !table[i].covers;
        assert_ok(load_chunk_covers(s, k, (struct dot){5, table[i].seq}, &covers));
        assert_int_equal(covers, table[i].covers);
    }
    store_rollback(s);
    buf_fini(&old_clock), buf_fini(&new_clock), buf_fini(&last), buf_fini(&key);
    clock_fini(&c);
}

/* A table that is not published is not read; a range with an end stops there. */
static void chunks_are_read_by_range(void **state)
{
    struct arena a = {0};
    struct load_chunk c, d;
    struct load_request r = {.table = "sqlite_schema", .max_rows = 5};
    assert_err(store_chunk_read(HUB->store, &a, &r, "x", &c), ERR_NOT_FOUND);
    office_sql(HUB,
               "INSERT INTO receipt VALUES('a',1,''),('a',10,''),('a',9,''),('b',0,''),('B',7,'')");
    while (office_seal(HUB))
        ;
    r = (struct load_request){.table = "receipt", .max_rows = 3};
    assert_ok(store_chunk_read(HUB->store, &a, &r, "x", &c));
    assert_int_equal(c.n_states, 3);
    assert_int_equal(c.states[2].values[1].u.i, 9);
    assert_false(c.end);
    r = (struct load_request){.table = "receipt",
                              .after = c.states[0].key,
                              .upto = c.last_key,
                              .max_rows = 9,
                              .digest_only = true};
    assert_ok(store_chunk_read(HUB->store, &a, &r, "x", &d));
    assert_int_equal(d.rows, 2);
    assert_int_equal(d.n_states, 0);
    assert_memory_equal(d.last_key.p, c.last_key.p, c.last_key.len);
    r.after = (struct bytes){(const uint8_t *)"\x09", 1};
    assert_int_not_equal(store_chunk_read(HUB->store, &a, &r, "x", &d), ERR_OK);
    assert_ok(store_begin(HUB->store)); /* no transaction was left open */
    store_rollback(HUB->store);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_chunks_clock_covers_its_own_keys),
        FEDERATION_TEST(chunks_are_read_by_range),
    };
    return check_run(tests);
}
