/* What keeps a bulk apply fast beside many open conflicts and held rows: the sets of hashes that
 * answer before the database does, and the records that a sweep puts apart. */
#include "node/load/load.h"
#include "node/load/slice.h"
#include "node/record/filter.h"
#include "node/record/own.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"

#include <stdio.h>
#include <string.h>

static const char schema[] = "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, phone TEXT, ident "
                             "INTEGER UNIQUE) WITHOUT ROWID;";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":[{\"name\":\"person\",\"columns\":"
    "[{\"name\":\"phone\",\"policy\":\"review\",\"fallback\":\"latest\"}]}]}";

#define PERSON "(SELECT t FROM tonle_table WHERE name = 'person')"
#define FRESH "SELECT count(*) FROM tonle_row WHERE swept = 0 AND t = " PERSON
#define SWEPT "SELECT count(*) FROM tonle_row WHERE swept = 1 AND t = " PERSON

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, true);
}

static uint64_t hash_of(uint64_t i)
{
    return hash_key(VALUE_HASH_SEED, &i, sizeof i);
}

static void fill(struct hash_filter *f, uint64_t n)
{
    for (uint64_t i = 0; i < n && f->known; i++)
        filter_add(f, hash_of(i));
}

/* Property: what was added is always there; of the rest at most two in a hundred seem to be. */
static void a_filter_never_denies_what_it_has(void **state)
{
    const uint64_t n = 8000;
    struct hash_filter f = {0};
    unsigned wrong = 0;
    assert_true(filter_open(HUB->store, &f));
    assert_false(filter_has(&f, hash_of(0)));
    fill(&f, n);
    assert_true(f.known);
    assert_false(filter_open(HUB->store, &f));
    for (uint64_t i = 0; i < n; i++)
        assert_true(filter_has(&f, hash_of(i)));
    for (uint64_t i = n; i < 2 * n; i++)
        wrong += filter_has(&f, hash_of(i));
    assert_in_range(wrong, 0, n / 50);
    mem_free(f.word);
}

/* Property: one that has become too small is read again with more room; one that would become too
 * large denies nothing. */
static void a_full_filter_is_read_again(void **state)
{
    const uint64_t n = 100000;
    struct hash_filter f = {0};
    unsigned times = 0;
    for (; filter_open(HUB->store, &f); times++)
        fill(&f, n);
    assert_in_range(times, 2, 4);
    assert_false(f.full);
    for (uint64_t i = 0; i < n; i++)
        assert_true(filter_has(&f, hash_of(i)));
    for (uint64_t i = n; f.known; i++) /* it goes on growing */
        filter_add(&f, hash_of(i));
    while (filter_open(HUB->store, &f))
        fill(&f, UINT64_MAX);
    assert_true(f.full && f.known && !f.word);
    assert_true(filter_has(&f, hash_of(UINT64_MAX)));
    mem_free(f.word);
}

/* `n` persons, each with two phone numbers that nobody has decided between. */
static void leave_conflicts(void **state, int n)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM c WHERE i<%d)"
             " INSERT INTO person SELECT 'p'||i, '012', i FROM c",
             n - 1);
    office_sql(A, sql);
    federation_sync(*state);
    federation_settle(*state);
    office_sql(A, "UPDATE person SET phone = '1'");
    office_sql(B, "UPDATE person SET phone = '2'");
    federation_sync(*state);
}

/* Property: what may still become stable stays where it is; what stays for good goes apart; no row
 * has two records, and what is decided is gone with the next sweep. */
static void a_sweep_puts_lasting_records_apart(void **state)
{
    struct arena a = {0};
    bool more = true;
    leave_conflicts(state, 5);
    assert_ok(store_begin(HUB->store));
    assert_ok(store_meta_set_u64(HUB->store, "sweep_due", 1));
    while (more)
        assert_ok(store_sweep(HUB->store, &a, 2, &more));
    assert_ok(store_commit(HUB->store));
    assert_string_equal(office_one(HUB, FRESH), "5"); /* nothing of them is stable */
    assert_string_equal(office_one(HUB, SWEPT), "0");
    federation_settle(*state);
    assert_string_equal(office_one(HUB, FRESH), "0");
    assert_string_equal(office_one(HUB, SWEPT), "5");
    office_sql(A, "UPDATE person SET phone = '3' WHERE id < 'p3'");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, FRESH), "0");
    assert_string_equal(office_one(HUB, SWEPT), "5");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_conflict WHERE state = 'open'"),
                        "2");
    federation_settle(*state);
    assert_string_equal(office_one(HUB, SWEPT), "2");
    office_sql(A, "DELETE FROM person WHERE id = 'p4'");
    federation_sync(*state);
    federation_settle(*state);
    assert_string_equal(office_one(HUB, SWEPT), "1");
    federation_assert_equal(*state, "person");
    arena_fini(&a);
}

/* Property: a sweep in slices of any size sees every record of both parts once. */
static void a_sweep_in_slices_misses_nothing(void **state)
{
    struct arena a = {0};
    leave_conflicts(state, 6);
    federation_settle(*state);
    office_sql(A, "UPDATE person SET phone = '3' WHERE id < 'p3'"); /* decided, lies apart */
    office_sql(A, "INSERT INTO person VALUES('a1','1',101), ('a2','2',102), ('a3','3',103)");
    federation_sync(*state);
    for (uint32_t slice = 1; slice < 8; slice++) {
        struct stable st = {.mark_id = 1, .hlc = 1};
        bool more = true;
        unsigned calls = 0;
        assert_ok(store_begin(B->store));
        clock_copy(&st.clock, &store_state_get(B->store)->clock);
        assert_ok(store_set_stable(B->store, &a, &st));
        for (; more && calls < 30; calls++)
            assert_ok(store_sweep(B->store, &a, slice, &more));
        assert_in_range(calls, 1, 2 + 9 / slice + 2);
        assert_int_equal(database_number(B->store, SWEPT), 3);
        assert_int_equal(database_number(B->store, FRESH), 0);
        store_rollback(B->store);
        arena_reset(&a);
        clock_fini(&st.clock);
    }
    arena_fini(&a);
}

static enum record_at where(struct store *s, struct arena *a, const char *id)
{
    struct row r;
    enum record_at at = RECORD_NONE;
    struct value v = value_text(id);
    struct buf key = {0};
    key_encode(&key, &v, 1);
    struct row_key k = {schema_table(s, "person"), key.data, key.len};
    assert_ok(row_load(s, a, k, &r, &at));
    buf_fini(&key);
    return at;
}

/* Often enough for the filter to be read. */
static void ask_for_nobody(struct store *s, struct arena *a)
{
    for (int i = 0; i < 100; i++)
        assert_int_equal(where(s, a, "nobody"), RECORD_NONE);
}

/* Property: another connection may sweep; who has asked before finds the records all the same. */
static void another_connection_sweeps(void **state)
{
    struct arena a = {0};
    struct store *watch = NULL;
    char msg[256];
    struct store_options options = {.path = HUB->path, .busy_ms = 1000, .read_only = true};
    leave_conflicts(state, 1);
    assert_ok(store_open(&watch, &options, msg));
    for (int time = 0; time < 2; time++) {
        assert_ok(store_begin_read(watch));
        assert_ok(schema_load(watch));
        ask_for_nobody(watch, &a);
        assert_true(watch->record->swept.known);
        assert_int_equal(where(watch, &a, "p0"), time == 0 ? RECORD_FRESH : RECORD_SWEPT);
        assert_ok(store_commit(watch));
        federation_settle(*state);
    }
    store_close(watch);
    arena_fini(&a);
}

/* Property: so does who asks without a transaction of its own, as the commands do. */
static void without_a_transaction_the_database_is_asked(void **state)
{
    struct arena a = {0};
    leave_conflicts(state, 1);
    assert_ok(store_begin_read(HUB->store));
    ask_for_nobody(HUB->store, &a);
    assert_ok(store_commit(HUB->store));
    struct store *node = NULL;
    char msg[256];
    struct store_options options = {.path = HUB->path, .busy_ms = 1000};
    assert_ok(store_open(&node, &options, msg));
    assert_committed(node, store_exec(node, "UPDATE tonle_row SET swept = 1"));
    store_close(node);
    assert_int_equal(where(HUB->store, &a, "p0"), RECORD_SWEPT);
    arena_fini(&a);
}

/* Property: what was read while it was deleted is there again after the rollback. */
static void a_rollback_brings_back_what_was_deleted(void **state)
{
    struct arena a = {0};
    leave_conflicts(state, 1);
    federation_settle(*state);
    assert_ok(store_begin(HUB->store));
    assert_ok(store_exec(HUB->store, "DELETE FROM tonle_row WHERE swept = 1"));
    ask_for_nobody(HUB->store, &a);
    assert_true(HUB->store->record->swept.known);
    assert_int_equal(where(HUB->store, &a, "p0"), RECORD_NONE);
    store_rollback(HUB->store);
    assert_ok(store_begin(HUB->store));
    ask_for_nobody(HUB->store, &a);
    assert_int_equal(where(HUB->store, &a, "p0"), RECORD_SWEPT);
    assert_true(HUB->store->record->swept.known);
    store_rollback(HUB->store); /* it was read in this transaction, too: nothing to be sure of */
    assert_false(HUB->store->record->swept.known);
    assert_ok(store_begin(HUB->store));
    ask_for_nobody(HUB->store, &a);
    assert_ok(store_meta_set_u64(HUB->store, "one", 1));
    assert_ok(store_commit(HUB->store));
    assert_ok(store_begin(HUB->store));
    store_rollback(HUB->store); /* it is not read again for that */
    assert_true(HUB->store->record->swept.known);
    arena_fini(&a);
}

/* Property: a load brings the records that lie apart, among the others in the order of the keys. */
static void a_load_brings_both_parts(void **state)
{
    leave_conflicts(state, 3);
    federation_settle(*state);
    office_sql(A, "INSERT INTO person VALUES('p00','1',101), ('p11','2',102), ('q3','3',103)");
    federation_sync(*state);
    struct arena a = {0};
    struct load_chunk chunk;
    const uint8_t records = PART_RECORDS;
    struct load_request request = {
        .request = 1, .table = "person", .after = {&records, 1}, .max_rows = 2};
    struct bytes last = {0};
    unsigned n = 0;
    do {
        assert_ok(store_chunk_read(HUB->store, &a, &request, A->name, &chunk));
        for (uint32_t i = 0; i < chunk.n_states; i++, n++) {
            struct bytes key = chunk.states[i].key;
            assert_true(chunk.states[i].record.len > 0 && key.len > 1);
            assert_true(last.len == 0 || memcmp(last.p, key.p, key.len) < 0 || last.len < key.len);
            last = key;
        }
        request.after = chunk.last_key;
    } while (!chunk.end);
    assert_int_equal(n, 6);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_filter_never_denies_what_it_has),
        FEDERATION_TEST(a_full_filter_is_read_again),
        FEDERATION_TEST(a_sweep_puts_lasting_records_apart),
        FEDERATION_TEST(a_sweep_in_slices_misses_nothing),
        FEDERATION_TEST(another_connection_sweeps),
        FEDERATION_TEST(without_a_transaction_the_database_is_asked),
        FEDERATION_TEST(a_rollback_brings_back_what_was_deleted),
        FEDERATION_TEST(a_load_brings_both_parts),
    };
    return check_run(tests);
}
