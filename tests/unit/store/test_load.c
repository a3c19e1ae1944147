/* The first load between two databases: what it carries, what moves meanwhile, what it adopts. */
#include "node/capture/capture.h"
#include "node/load/load.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/lists.h"
#include "tests/lib/rooms.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE house(id TEXT PRIMARY KEY NOT NULL, book TEXT UNIQUE, village TEXT) WITHOUT "
    "ROWID;"
    "CREATE TABLE person(id TEXT PRIMARY KEY COLLATE NOCASE NOT NULL, house TEXT REFERENCES "
    "house(id),"
    " ident TEXT UNIQUE, name TEXT NOT NULL, points INTEGER, age INTEGER CHECK(age >= 0));"
    "CREATE TABLE receipt(series TEXT NOT NULL, number INTEGER NOT NULL, note TEXT,"
    " PRIMARY KEY(series, number)) WITHOUT ROWID;";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
    "{\"name\":\"house\",\"columns\":[]},"
    "{\"name\":\"person\",\"columns\":[{\"name\":\"id\"},{\"name\":\"house\"},{\"name\":\"ident\"},"
    "{\"name\":\"name\"},{\"name\":\"points\",\"policy\":\"max\"},{\"name\":\"age\"}]},"
    "{\"name\":\"receipt\",\"columns\":[]}]}";
static const char published[] = "house person receipt";
static const char *const order[] = {"tonle_node", "tonle_site", "tonle_charter", "tonle_decision",
                                    "house",      "person",     "receipt"};

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, true);
}

#define NEW B

struct loading {
    struct office *from, *to;
    uint32_t max_rows;
    struct arena arena;
    void (*between)(void **state, int chunk); /* what happens at the sender after each chunk */
    void **state;
    int chunks;
    uint64_t first_pos;
    void (*spoil)(struct load_chunk *chunk);
};

static const char *loads; /* the table whose chunks are read */

static enum err load_table(struct loading *l, const char *table)
{
    loads = table;
    struct load_request request = {.table = table, .max_rows = l->max_rows};
    struct load_chunk chunk = {0};
    enum err e = ERR_OK;
    while (e == ERR_OK && !chunk.end) {
        assert_ok(store_chunk_read(l->from->store, &l->arena, &request, l->to->name, &chunk));
        assert_true(chunk.n_states <= l->max_rows);
        if (l->chunks == 0)
            l->first_pos = chunk.pos;
        if (l->spoil)
            l->spoil(&chunk);
        e = store_load_chunk(l->to->store, &l->arena, &chunk);
        request.after = chunk.last_key;
        if (l->between)
            l->between(l->state, l->chunks);
        assert_true(++l->chunks < 1000);
    }
    return e;
}

static enum err load(struct loading *l, enum load_mode mode, struct load_report *report)
{
    struct store *s = l->to->store;
    l->chunks = 0;
    assert_ok(store_begin(s));
    enum err e = store_load_begin(s, mode);
    for (size_t i = 0; e == ERR_OK && i < sizeof order / sizeof order[0]; i++)
        e = load_table(l, order[i]);
    if (e == ERR_OK)
        e = store_load_end(s, &l->arena, report);
    if (e == ERR_OK)
        e = store_peer_received(s, "hub", l->first_pos);
    if (e == ERR_OK)
        e = store_commit(s);
    else
        store_rollback(s);
    arena_fini(&l->arena);
    return e;
}

static void load_must(void **state, enum load_mode mode, uint32_t max_rows,
                      struct load_report *report)
{
    struct loading l = {.from = HUB, .to = NEW, .max_rows = max_rows};
    enum err e = load(&l, mode, report);
    if (e != ERR_OK)
        fail_msg("load: %s: %s", err_name(e), store_message(NEW->store));
}

/* Seals and exchanges between the hub and A only: NEW is not there yet. */
static void sync_two(void **state)
{
    int n = FEDERATION->n;
    FEDERATION->n = 2;
    federation_sync(*state);
    FEDERATION->n = n;
}

/* Settled by nobody: tombstones, a held birth, a unique clash, an open conflict, plain rows. */
static void write_history(void **state)
{
    office_sql(
        A, "INSERT INTO house VALUES('h1','b1','Prek'),('h2','b2','Leap'),('h3','b3','Dos');"
           "INSERT INTO person(id,house,ident,name,points,age) VALUES('p1','h1','i1','Sok',1,30),"
           "('p2','h2','i2','Sao',2,31),('p3',NULL,NULL,'Som',3,32);"
           "INSERT INTO receipt VALUES('S',1,'a'),('S',2,'b'),('T',1,'c')");
    sync_two(state);
    office_sql(A, "UPDATE person SET points=7, name='Sok A' WHERE id='p1'; DELETE FROM receipt "
                  "WHERE number=2;"
                  "INSERT INTO receipt VALUES('U',9,'from A'); INSERT INTO person(id,ident,name) "
                  "VALUES('p8','i9','x')");
    HUB->now_ms += 4000;
    office_sql(
        HUB,
        "UPDATE person SET points=9, name='Sok H' WHERE id='p1'; INSERT INTO receipt "
        "VALUES('U',9,'from H');"
        "INSERT INTO person(id,ident,name) VALUES('p9','i9','y'); DELETE FROM house WHERE id='h3'");
    sync_two(state);
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_held"), "2");
    assert_true(atoi(office_one(HUB, "SELECT count(*) FROM tonle_conflict WHERE state='open'")) >=
                2);
}

/* A load carries rows, tombstones, held births, siblings and clocks, in chunks of any size;
 * afterwards the office works like any other. */
static void a_load_carries_everything_not_settled(void **state)
{
    struct load_report report;
    write_history(state);
    load_must(state, LOAD_EMPTY, 2, &report);
    federation_assert_equal(*state, published);
    assert_int_equal(report.rows, 9);
    assert_int_equal(
        clock_compare(&store_state_get(HUB->store)->clock, &store_state_get(NEW->store)->clock),
        CLOCK_EQUAL);
    assert_false(store_state_get(NEW->store)->loading);
    assert_string_equal(
        office_one(NEW,
                   "SELECT group_concat(hex(rec)) FROM (SELECT rec FROM tonle_row ORDER BY t, k)"),
        office_one(HUB,
                   "SELECT group_concat(hex(rec)) FROM (SELECT rec FROM tonle_row ORDER BY t, k)"));
    assert_false(store_capture_pending(NEW->store));
    office_sql(A, "UPDATE person SET name='late' WHERE id='p1'");
    office_sql(NEW,
               "UPDATE person SET age=40 WHERE id='p2'; INSERT INTO receipt VALUES('S',2,'again');"
               "DELETE FROM receipt WHERE series='U'");
    federation_sync(*state);
    federation_assert_equal(*state, published);
    assert_string_equal(office_one(HUB, "SELECT age FROM person WHERE id='p2'"), "40");
}

static void busy_sender(void **state, int chunk)
{
    static const char *const write[] = {
        "UPDATE person SET name='n0' WHERE id='p1'",
        "INSERT INTO receipt VALUES('A',1,'early key'); UPDATE house SET village='v' WHERE id='h1'",
        "UPDATE person SET ident='swap' WHERE id='p1'; UPDATE person SET ident='i1' WHERE id='p3'",
        ("DELETE FROM person WHERE id='p2';"
         "INSERT INTO person(id,ident,name) VALUES('p0','i2','reborn')"),
        "DELETE FROM receipt WHERE series='T'; INSERT INTO receipt VALUES('T',1,'second life')",
        "INSERT INTO house VALUES('h4','b4','new'); UPDATE person SET house='h4' WHERE id='p3'",
        "UPDATE person SET points=11 WHERE id='p1'",
        "DELETE FROM house WHERE id='h2'; INSERT INTO house VALUES('h0','b2','zero')",
    };
    office_sql(OFFICE(chunk % 2), write[chunk]);
    sync_two(state);
}

static void busy_once(void **state, int chunk)
{
    if (chunk < 8)
        busy_sender(state, chunk);
}

static void busy_late(void **state, int chunk)
{
    if (chunk >= 3 && chunk < 11)
        busy_sender(state, chunk - 3);
}

static void load_while(void **state, void (*between)(void **, int), uint32_t max_rows)
{
    struct load_report report;
    struct loading l = {
        .from = HUB, .to = NEW, .max_rows = max_rows, .between = between, .state = state};
    write_history(state);
    assert_ok(load(&l, LOAD_EMPTY, &report));
    assert_true(store_state_get(NEW->store)->loading);
    /* above every row that it was given, or what it writes over one of them would be the earlier */
    assert_int_equal(store_state_get(NEW->store)->hlc, store_state_get(HUB->store)->hlc);
    federation_sync(*state);
    federation_assert_equal(*state, published);
    assert_false(store_state_get(NEW->store)->loading);
    assert_string_equal(office_one(NEW, "SELECT count(*) FROM tonle_chunk"), "0");
}

/* What is written at the sender between the chunks arrives once, whatever the chunks have already.
 */
static void chunks_at_different_clocks_end_equal(void **state)
{
    load_while(state, busy_once, 2);
}

static void chunks_at_different_clocks_end_equal_later(void **state)
{
    load_while(state, busy_late, 1);
}

static void set_stable(struct office *o, const struct clock *clock, uint32_t n,
                       struct kept_birth *keep)
{
    struct arena a = {0};
    struct stable st = {.mark_id = 1,
                        .site = o->site,
                        .clock = *clock,
                        .hlc = store_state_get(o->store)->hlc,
                        .n_keep = n,
                        .keep = keep};
    assert_committed(o->store, store_set_stable(o->store, &a, &st));
    arena_fini(&a);
}

/* The sender's stable clock and the names it keeps come along, so that both forget alike
 * afterwards. */
static void a_load_takes_over_the_stable_horizon(void **state)
{
    static const char keep_sql[] = "SELECT count(*) || group_concat(hex(k) || site || seq) FROM"
                                   " (SELECT * FROM tonle_keep ORDER BY t, k, site, seq)";
    struct arena a = {0};
    struct kept_birth *keep;
    struct clock clock = {0};
    struct load_report report;
    uint32_t n;
    write_history(state);
    clock_copy(&clock, &store_state_get(HUB->store)->clock);
    assert_ok(store_keep_list(HUB->store, &a, &clock, &keep, &n));
    assert_true(n > 0);
    set_stable(HUB, &clock, n, keep);
    set_stable(A, &clock, n, keep);
    load_must(state, LOAD_EMPTY, 2, &report);
    assert_int_equal(clock_compare(&store_state_get(NEW->store)->stable, &clock), CLOCK_EQUAL);
    assert_string_equal(office_one(NEW, keep_sql), office_one(HUB, keep_sql));
    federation_assert_equal(*state, published);
    office_sql(NEW,
               "DELETE FROM receipt WHERE series='U'; UPDATE person SET points=1 WHERE id='p1'");
    office_sql(A, "UPDATE receipt SET note='later' WHERE series='U'");
    federation_sync(*state);
    federation_assert_equal(*state, published);
    clock_fini(&clock);
    arena_fini(&a);
}

static void parent_comes_back(void **state, int chunk)
{
    (void)chunk;
    if (strcmp(loads, "person") == 0)
        office_sql(HUB, "INSERT OR IGNORE INTO house VALUES('h4','b4','again')");
    sync_two(state);
}

/* A row that is held when its place is passed and comes in, with nothing left to become stable,
 * before the records are read. */
static void a_row_that_comes_in_meanwhile_is_loaded(void **state)
{
    struct load_report report;
    struct clock clock = {0};
    struct loading l = {
        .from = HUB, .to = NEW, .max_rows = 2, .between = parent_comes_back, .state = state};
    office_sql(A, "INSERT INTO house VALUES('h4','b4','first');"
                  "INSERT INTO person(id,house,name) VALUES('p0','h4','Sok'),('p5',NULL,'Sao'),"
                  "('p6',NULL,'Som'),('p7',NULL,'Sim')");
    sync_two(state);
    clock_copy(&clock, &store_state_get(HUB->store)->clock);
    set_stable(HUB, &clock, 0, NULL);
    set_stable(A, &clock, 0, NULL);
    office_sql(HUB, "DELETE FROM house WHERE id='h4'");
    sync_two(state);
    assert_string_equal(office_one(HUB, "SELECT key FROM tonle_held"), "\"p0\"");
    assert_ok(load(&l, LOAD_EMPTY, &report));
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM person WHERE id='p0'"), "1");
    federation_sync(*state);
    federation_assert_equal(*state, published);
    clock_fini(&clock);
}

/* What waited for its table is not read from before it is in: it comes in without a change. */
static void a_table_that_catches_up_is_not_loaded_yet(void **state)
{
    bool more = true;
    struct clock clock = {0};
    struct load_chunk chunk;
    struct load_request request = {.table = "receipt", .max_rows = 2};
    struct load_report report;
    office_sql(A, "INSERT INTO receipt VALUES('M',1,'x'),('M',2,'x'),('M',3,'x')");
    sync_two(state);
    office_sql(HUB, "ALTER TABLE receipt RENAME TO away");
    assert_committed(HUB->store, store_capture_install(HUB->store));
    office_sql(A, "INSERT INTO receipt VALUES('A',1,'x'),('A',2,'x'),('A',3,'x')");
    sync_two(state);
    clock_copy(&clock, &store_state_get(HUB->store)->clock);
    set_stable(HUB, &clock, 0, NULL);
    set_stable(A, &clock, 0, NULL);
    office_sql(HUB, "ALTER TABLE away RENAME TO receipt");
    assert_committed(HUB->store, store_capture_install(HUB->store));
    assert_err(store_chunk_read(HUB->store, &HUB->arena, &request, NEW->name, &chunk), ERR_BUSY);
    while (more)
        assert_committed(HUB->store, store_sweep(HUB->store, &HUB->arena, 500, &more));
    load_must(state, LOAD_EMPTY, 2, &report);
    assert_string_equal(office_one(NEW, "SELECT count(*) FROM receipt"), "6");
    clock_fini(&clock);
}

static void mark_at_the_end(void **state, int chunk)
{
    uint64_t pos;
    if (chunk != 1)
        return;
    assert_committed(HUB->store,
                     store_journal_append(HUB->store, ITEM_MARK, "", (struct dot){0, 0}, 1,
                                          (struct bytes){(const uint8_t *)"m", 1}, &pos));
}

/* The load is over when the last chunk's position is passed, be it by a mark; not one position
 * before. */
static void the_load_ends_at_the_last_position(void **state)
{
    struct load_report report;
    struct peer_record peer;
    struct loading l = {
        .from = HUB, .to = NEW, .max_rows = 2, .between = mark_at_the_end, .state = state};
    write_history(state);
    assert_ok(load(&l, LOAD_EMPTY, &report));
    assert_ok(store_peer_get(NEW->store, "hub", &peer));
    assert_true(store_state_get(NEW->store)->loading);
    for (uint64_t pos = peer.received_pos; pos <= peer.received_pos + 1; pos++) {
        assert_committed(NEW->store, store_peer_received(NEW->store, "hub", pos));
        assert_int_equal(store_state_get(NEW->store)->loading, pos == peer.received_pos);
    }
}

/* Rows that are in the way stop a plain load, with the table, the count and the two ways named. */
static void a_plain_load_refuses_a_table_with_rows(void **state)
{
    struct load_report report;
    struct loading l = {.from = HUB, .to = NEW, .max_rows = 10};
    office_sql(NEW, "INSERT INTO receipt VALUES('X',1,'mine'),('X',2,'mine')");
    assert_err(load(&l, LOAD_EMPTY, &report), ERR_STATE);
    assert_non_null(strstr(store_message(NEW->store), "receipt has 2 rows"));
    assert_non_null(strstr(store_message(NEW->store), "--mode adopt"));
    assert_non_null(strstr(store_message(NEW->store), "--mode replace"));
    assert_string_equal(office_one(NEW, "SELECT count(*) FROM receipt"), "2");
}

/* Replacing leaves exactly the federation's rows, and captures nothing. */
static void replace_leaves_the_federations_rows(void **state)
{
    struct load_report report;
    write_history(state);
    office_sql(NEW, "INSERT INTO receipt VALUES('X',1,'mine'),('S',1,'mine')");
    load_must(state, LOAD_REPLACE, 3, &report);
    federation_assert_equal(*state, published);
    assert_false(store_capture_pending(NEW->store));
    assert_false(office_seal(NEW));
}

/* A row that is too large to be sent is the sender's alone: the load leaves it out and brings what
 * others have under its key, so that it is born once, everywhere, when it is made smaller. */
static void a_row_too_large_is_not_loaded(void **state)
{
    struct load_report report;
    office_sql(HUB,
               "INSERT INTO receipt VALUES('Z',1,zeroblob(9000000)),('Z',2,zeroblob(9000000))");
    sync_two(state);
    office_sql(A, "INSERT INTO receipt VALUES('Z',1,'of A')");
    sync_two(state);
    load_must(state, LOAD_EMPTY, 3, &report);
    assert_string_equal(office_one(NEW, "SELECT group_concat(number||note) FROM receipt"), "1of A");
    office_sql(HUB, "UPDATE receipt SET note='small'");
    federation_sync(*state);
    assert_string_equal(office_one(NEW, "SELECT note FROM receipt WHERE number=2"), "small");
    federation_assert_equal(*state, published);
}

/* Adoption: equal rows are counted, missing ones are born, differing cells recorded; the
 * federation's value stands but for max, where the larger one wins everywhere; columns of this
 * office alone stay. */
static void adopt_compares_row_by_row(void **state)
{
    struct load_report report;
    office_sql(
        A, "INSERT INTO house VALUES('h1','b1','Prek');"
           "INSERT INTO person(id,house,ident,name,points,age) VALUES('p1','h1','i1','Sok',5,30),"
           "('p2',NULL,'i2','Sao',5,31)");
    sync_two(state);
    office_sql(NEW,
               "ALTER TABLE person ADD COLUMN here TEXT;"
               "INSERT INTO house VALUES('h1','b1','Prek'),('h7','b7','ours');"
               "INSERT INTO person(id,house,ident,name,points,age,here) VALUES"
               "('p1','h1','i1','Sok of ours',9,30,'local 1'),('p2',NULL,'i2','Sao',3,31,NULL),"
               "('p5','h7','i5','Som',1,32,'local 5')");
    load_must(state, LOAD_ADOPT, 2, &report);
    assert_int_equal(report.adopted_equal, 1);
    assert_int_equal(report.adopted_new, 2);
    assert_int_equal(report.adopted_conflicts, 3);
    assert_string_equal(office_one(NEW, "SELECT name||points||here FROM person WHERE id='p1'"),
                        "Sok9local 1");
    assert_string_equal(office_one(NEW, "SELECT points FROM person WHERE id='p2'"), "5");
    assert_string_equal(office_one(NEW, "SELECT here FROM person WHERE id='p5'"), "local 5");
    assert_string_equal(office_one(NEW,
                                   "SELECT group_concat(cell||state) FROM (SELECT cell, state FROM"
                                   " tonle_conflict ORDER BY key, cell)"),
                        "nameauto,pointsauto,pointsauto");
    assert_string_equal(
        office_one(NEW, "SELECT value||office||shown FROM tonle_conflict_side WHERE conflict ="
                        " (SELECT id FROM tonle_conflict WHERE cell='name') AND site <> 0"),
        "Sok of oursoffice20");
    assert_string_equal(
        office_one(NEW, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle_adopt%'"), "0");
    federation_sync(*state);
    assert_string_equal(office_one(HUB, "SELECT name FROM person WHERE id='p5'"), "Som");
    assert_string_equal(office_one(A, "SELECT points FROM person WHERE id='p1'"), "9");
    assert_string_equal(office_one(A, "SELECT village FROM house WHERE id='h7'"), "ours");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_held"), "0");
}

/* An adopted row that cannot stand is lost neither: it stays aside with all its columns, and is
 * listed. */
static void what_cannot_be_adopted_stays_aside(void **state)
{
    struct load_report report;
    struct arena a = {0};
    struct held_record *held, one;
    size_t n;
    office_sql(A, "INSERT INTO person(id,ident,name) VALUES('p1','i1','Sok')");
    sync_two(state);
    office_sql(NEW, "ALTER TABLE person ADD COLUMN here TEXT; INSERT INTO "
                    "person(id,ident,name,here) VALUES('p5','i1','Som','local')");
    load_must(state, LOAD_ADOPT, 10, &report);
    assert_int_equal(report.adopted_new, 0);
    assert_string_equal(office_one(NEW, "SELECT group_concat(id) FROM person"), "p1");
    held = lists_held(NEW->store, &a, &n);
    assert_int_equal(n, 1);
    assert_string_equal(held[0].reason, "local");
    assert_non_null(strstr(held[0].message, "UNIQUE"));
    assert_non_null(strstr(held[0].message, "tonle_adopt_"));
    assert_ok(store_held_get(NEW->store, &a, held[0].id, &one));
    assert_string_equal(one.key_json, "\"p5\"");
    const char *table =
        office_one(NEW, "SELECT name FROM sqlite_schema WHERE name LIKE 'tonle_adopt%'");
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT id||ident||name||here FROM %s", table);
    assert_string_equal(office_one(NEW, sql), "p5i1Somlocal");
    snprintf(sql, sizeof sql, "SELECT count(*) FROM pragma_table_info('%s') WHERE type = ''",
             table);
    assert_string_equal(office_one(NEW, sql), "0"); /* tools of the application read it */
    federation_sync(*state);
    federation_assert_equal(*state, "house receipt");
    /* its key is free: what else is held there is an entry of its own */
    office_sql(NEW, "INSERT INTO person(id,ident,name) VALUES('p5','i9',hex(zeroblob(4500000)))");
    office_sql(A, "INSERT INTO person(id,ident,name) VALUES('p5','i7','Kim')");
    federation_sync(*state);
    const char *reasons =
        "SELECT group_concat(reason) FROM (SELECT reason FROM tonle_held ORDER BY 1)";
    assert_string_equal(office_one(NEW, reasons), "limit,local,local");
    office_sql(NEW, "UPDATE person SET name='Som' WHERE id='p5'");
    federation_sync(*state);
    assert_string_equal(office_one(NEW, reasons), "birth,local");
    /* what waited for a unique value of a row too large comes in when that row goes */
    office_sql(NEW, "INSERT INTO person(id,ident,name) VALUES('p8','i8',hex(zeroblob(4500000)))");
    office_sql(A, "INSERT INTO person(id,ident,name) VALUES('p9','i8','Kim')");
    federation_sync(*state);
    assert_string_equal(office_one(NEW, "SELECT count(*) FROM person WHERE id='p9'"), "0");
    office_sql(NEW, "DELETE FROM person WHERE id='p8'");
    federation_sync(*state);
    assert_string_equal(office_one(NEW, "SELECT name FROM person WHERE id='p9'"), "Kim");
    arena_fini(&a);
}

static void wrong_key(struct load_chunk *c)
{
    if (strcmp(c->table, "receipt") == 0)
        c->states[0].values[0] = value_text("forged");
}

static void wrong_record(struct load_chunk *c)
{
    if (strcmp(c->table, "receipt") == 0)
        c->states[0].record = (struct bytes){(const uint8_t *)"\x01\x7f", 2};
}

static void twice(struct load_chunk *c)
{
    if (strcmp(c->table, "receipt") == 0)
        c->states[1] = c->states[0];
}

static void wrong_columns(struct load_chunk *c)
{
    if (strcmp(c->table, "receipt") == 0)
        c->columns[0] = "other";
}

/* Of the registry nothing comes beside what the hub signs: its rows. */
static void registry_record(struct load_chunk *c)
{
    if (strcmp(c->table, "tonle_site") == 0)
        c->states[0].record = (struct bytes){(const uint8_t *)"\x01\x7f", 2};
}

static void registry_gone(struct load_chunk *c)
{
    if (strcmp(c->table, "tonle_site") != 0)
        return;
    c->states[0].stands = false;
    c->states[0].n_values = 0;
}

static void registry_name(struct load_chunk *c)
{
    static struct kept_birth name = {.table = "tonle_site", .birth = {5, 5}};
    if (strcmp(c->table, "tonle_site") != 0)
        return;
    name.key = c->states[0].key;
    c->keep = &name;
    c->n_keep = 1;
}

/* A chunk that no correct sender made stops the load, and nothing of it remains. */
static void a_forged_chunk_leaves_nothing(void **state)
{
    const struct {
        void (*spoil)(struct load_chunk *);
        enum err e;
    } table[] = {{wrong_key, ERR_MALFORMED},     {wrong_record, ERR_MALFORMED},
                 {twice, ERR_MALFORMED},         {registry_record, ERR_MALFORMED},
                 {registry_gone, ERR_MALFORMED}, {registry_name, ERR_MALFORMED},
                 {wrong_columns, ERR_SCHEMA}};
    write_history(state);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct load_report report;
        struct loading l = {.from = HUB, .to = NEW, .max_rows = 10, .spoil = table[i].spoil};
        assert_int_equal(load(&l, LOAD_EMPTY, &report), table[i].e);
        assert_string_equal(office_one(NEW,
                                       "SELECT (SELECT count(*) FROM house) + (SELECT count(*) FROM"
                                       " receipt) + (SELECT count(*) FROM tonle_row)"),
                            "0");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(a_load_carries_everything_not_settled),
        FEDERATION_TEST(chunks_at_different_clocks_end_equal),
        FEDERATION_TEST(chunks_at_different_clocks_end_equal_later),
        FEDERATION_TEST(a_load_takes_over_the_stable_horizon),
        FEDERATION_TEST(a_row_that_comes_in_meanwhile_is_loaded),
        FEDERATION_TEST(a_table_that_catches_up_is_not_loaded_yet),
        FEDERATION_TEST(the_load_ends_at_the_last_position),
        FEDERATION_TEST(a_plain_load_refuses_a_table_with_rows),
        FEDERATION_TEST(replace_leaves_the_federations_rows),
        FEDERATION_TEST(a_row_too_large_is_not_loaded),
        FEDERATION_TEST(adopt_compares_row_by_row),
        FEDERATION_TEST(what_cannot_be_adopted_stays_aside),
        FEDERATION_TEST(a_forged_chunk_leaves_nothing),
    };
    return check_run(tests);
}
