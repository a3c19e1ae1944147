/* Every policy over real databases: what stands, what is held, and what the conflict record says.
 */
#include "protocol/seal.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE account(id TEXT PRIMARY KEY NOT NULL, fees INTEGER, name TEXT, photo BLOB);"
    "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, family TEXT, given TEXT, born TEXT, state "
    "TEXT, commune TEXT NOT NULL DEFAULT '12', village TEXT, far TEXT, near TEXT);"
    "CREATE TABLE gone(id TEXT PRIMARY KEY NOT NULL, note TEXT, n INTEGER, data BLOB);"
    "CREATE TABLE judged(id TEXT PRIMARY KEY NOT NULL, note TEXT);";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"tables\":["
    "{\"name\":\"account\",\"columns\":[{\"name\":\"fees\",\"policy\":\"sum\"}]},"
    "{\"name\":\"person\",\"scope\":{\"column\":\"commune\"},\"columns\":["
    "{\"name\":\"born\",\"policy\":\"review\",\"fallback\":\"earliest\"},"
    "{\"name\":\"state\",\"policy\":\"rank\",\"rank\":[\"active\",\"suspended\",\"revoked\"]},"
    "{\"name\":\"village\",\"policy\":\"owner\"},{\"name\":\"far\",\"policy\":\"national\"},"
    "{\"name\":\"near\",\"policy\":\"local\"}],"
    "\"groups\":[{\"name\":\"full_name\",\"columns\":[\"given\",\"family\"],\"policy\":"
    "\"max\"}]},"
    "{\"name\":\"gone\",\"delete\":\"delete-wins\",\"birth\":\"latest\",\"columns\":[]},"
    "{\"name\":\"judged\",\"delete\":\"review\",\"birth\":\"review\",\"columns\":[]}]}";
static const char tables[] = "account person gone judged";

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, false);
}

static void equal(void **state)
{
    federation_sync(*state);
    federation_assert_equal(*state, tables);
}

static void digests_equal(void **state)
{
    struct table_digest *first = NULL;
    uint32_t n = 0;
    for (int i = 0; i < FEDERATION->n; i++) {
        struct office *o = OFFICE(i);
        struct table_digest *d;
        assert_ok(store_digest(o->store, &HUB->arena, &d, &n));
        first = first ? first : d;
        for (uint32_t t = 0; t < n; t++)
            if (strncmp(d[t].table, "tonle_", 6) != 0)
                assert_memory_equal(d[t].digest, first[t].digest, sizeof d[t].digest);
    }
}

/* ---- sum */

/* What each office adds is added once, whoever hears it when; nothing is in conflict. */
static void sums_add_up_everywhere(void **state)
{
    office_sql(A, "INSERT INTO account(id,fees) VALUES('a',100),('n',NULL)");
    equal(state);
    office_sql(A, "UPDATE account SET fees = fees + 10 WHERE id='a'; UPDATE account SET fees = 3"
                  " WHERE id='n'");
    office_sql(A, "UPDATE account SET fees = fees + 1 WHERE id='a'");
    office_sql(B, "UPDATE account SET fees = fees + 20 WHERE id='a'; UPDATE account SET fees = 4"
                  " WHERE id='n'");
    office_sql(HUB, "UPDATE account SET fees = 0, name = 'x' WHERE id='a'");
    office_seal(A);
    assert_string_equal(office_one(A, "SELECT fees FROM account WHERE id='a'"), "111");
    office_sql(A, "UPDATE account SET fees = fees + 1000 WHERE id='a'");
    equal(state);
    assert_everywhere("SELECT fees FROM account WHERE id='a'", "1031");
    assert_everywhere("SELECT fees FROM account WHERE id='n'", "7");
    assert_everywhere("SELECT count(*) FROM tonle_conflict", "0");
    digests_equal(state);
}

/* Adding and deleting at once: the delta says that the row is alive, and is in it. */
static void a_delta_beats_a_delete(void **state)
{
    office_sql(A, "INSERT INTO account(id,fees) VALUES('a',100)");
    equal(state);
    office_sql(A, "UPDATE account SET fees = fees + 5; DELETE FROM account");
    office_sql(B, "UPDATE account SET fees = fees + 20");
    equal(state);
    assert_everywhere("SELECT fees FROM account", "125");
    assert_everywhere("SELECT cell || state FROM tonle_conflict", "existsopen");
}

/* A total beyond 64 bits is kept exactly and its row held, in words; the delta that brings it back
 * brings the row back, by itself. */
static void a_sum_that_is_too_large_is_held(void **state)
{
    office_sql(A, "INSERT INTO account(id,fees) VALUES('a',9223372036854775000)");
    equal(state);
    office_sql(A, "UPDATE account SET fees = fees + 700");
    office_sql(HUB, "UPDATE account SET fees = fees + 700");
    office_sql(B, "UPDATE account SET fees = fees - 1000");
    office_seal(A);
    office_seal(HUB);
    office_pull(A, HUB);
    office_pull(HUB, A);
    assert_string_equal(
        office_one(A, "SELECT reason || message FROM tonle_held"),
        "checkthe sum of fees is 9223372036854776400, beyond what a database integer"
        " holds");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM account"), "0");
    FEDERATION->n = 2;
    digests_equal(state);
    FEDERATION->n = 3;
    equal(state);
    assert_everywhere("SELECT fees FROM account", "9223372036854775400");
    assert_everywhere("SELECT count(*) FROM tonle_held", "0");
}

/* Text in a sum holds the row everywhere, also where it was written; the number is not touched. */
static void a_sum_that_is_no_number_is_held(void **state)
{
    office_sql(A, "INSERT INTO account(id,fees) VALUES('a',100),('b',1)");
    equal(state);
    office_sql(A, "UPDATE account SET fees = 'abc' WHERE id='a'; UPDATE account SET fees = 2 WHERE "
                  "id='b'");
    office_sql(B, "UPDATE account SET fees = fees + 7 WHERE id='a'");
    equal(state);
    assert_everywhere("SELECT id || fees FROM account", "b2");
    assert_everywhere("SELECT message FROM tonle_held",
                      "fees counts up and holds 'abc', which is no whole number");
    digests_equal(state);
}

/* The same with another record under its key: the one that cannot stand gives way to it. */
static void a_sum_that_is_no_number_gives_way(void **state)
{
    office_sql(A, "INSERT INTO account(id,fees,name) VALUES('a',100,'A')");
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO account(id,fees,name) VALUES('a',200,'B')");
    equal(state);
    office_sql(A, "UPDATE account SET fees = 'abc'");
    equal(state);
    assert_everywhere("SELECT fees || name FROM account", "200B");
    assert_everywhere("SELECT reason FROM tonle_held", "check");
}

/* ---- groups and policies of cells */

/* The columns of a group go together: never one person's family name beside another's given name.
 * The record names the group and holds both sides exactly. */
static void a_group_is_never_a_mixture(void **state)
{
    office_sql(A, "INSERT INTO person(id,family,given) VALUES('p','Chan','Sok')");
    equal(state);
    office_sql(A, "UPDATE person SET family='Zoe' WHERE id='p'");
    B->now_ms += 5000;
    office_sql(B, "UPDATE person SET given='Vanna' WHERE id='p'");
    equal(state);
    assert_everywhere("SELECT given || ' ' || family FROM person", "Vanna Chan");
    assert_everywhere("SELECT cell || policy || state FROM tonle_conflict", "full_namemaxopen");
    /* the lead first: TEXT, length, bytes */
    assert_everywhere("SELECT group_concat(hex(value) || form || typeof(value)) FROM (SELECT * FROM"
                      " tonle_conflict_side ORDER BY hlc)",
                      "0303536F6B03035A6F656blob,030556616E6E6103044368616E6blob");
    office_sql(HUB, "UPDATE person SET given='Sokha' WHERE id='p'");
    equal(state);
    assert_everywhere("SELECT given || family || (SELECT state FROM tonle_conflict) FROM person",
                      "SokhaChanresolved");
}

/* A's last changeset as a node that does not keep the rules would send it: of each change the first
 * column alone. */
static uint32_t take_first_columns(struct office *o, struct office *from)
{
    struct item item;
    struct changeset cs;
    uint8_t hash[HASH_BYTES];
    struct apply_report report;
    struct dot dot = {from->site, store_state_get(from->store)->seq};
    assert_ok(store_journal_find(from->store, &o->arena, dot, &item));
    assert_ok(seal_open(&o->arena, item.bytes.p, item.bytes.len, from->key, &cs, hash));
    for (uint32_t i = 0; i < cs.segments[0].tables[0].n_rows; i++)
        cs.segments[0].tables[0].rows[i].n_cells = 1;
    struct apply_input in = {.cs = &cs,
                             .bytes = item.bytes,
                             .hash = hash,
                             .source = from->name,
                             .link_pos = item.pos,
                             .now_ms = o->now_ms};
    assert_committed(o->store, store_apply(o->store, &o->arena, &in, &report));
    arena_reset(&o->arena);
    char told[80];
    snprintf(told, sizeof told, "changeset %llu of %s: %u", (unsigned long long)dot.seq, from->name,
             report.refused);
    assert_string_equal(office_one(o, "SELECT v FROM tonle_meta WHERE k = '" META_ROWS_REFUSED "'"),
                        told);
    return report.refused;
}

/* Part of a group counts nowhere: each office would complete it with what it shows just then. */
static void a_part_of_a_group_is_refused(void **state)
{
    office_sql(A, "INSERT INTO person(id,family,given) VALUES('p','Chan','Sok')");
    equal(state);
    office_sql(A, "UPDATE person SET given='Zoe', family='Zuo' WHERE id='p'");
    assert_true(office_seal(A));
    office_sql(B, "UPDATE person SET given='Bona', family='Bo' WHERE id='p'");
    assert_true(office_seal(B));
    assert_int_equal(take_first_columns(HUB, A), 1);
    assert_int_equal(take_first_columns(B, A), 1);
    office_pull(HUB, B);
    assert_string_equal(office_one(HUB, "SELECT given || family FROM person"), "BonaBo");
    assert_string_equal(office_one(B, "SELECT given || family FROM person"), "BonaBo");
}

/* review shows its fallback and stays open; rank shows what stands latest in the list. */
static void review_and_rank_show_their_value(void **state)
{
    office_sql(A, "INSERT INTO person(id,born,state) VALUES('p','0','active')");
    equal(state);
    office_sql(A, "UPDATE person SET born='A', state='revoked' WHERE id='p'");
    B->now_ms += 5000;
    office_sql(B, "UPDATE person SET born='B', state='suspended' WHERE id='p'");
    equal(state);
    assert_everywhere("SELECT born || state FROM person", "Arevoked");
    assert_everywhere(
        "SELECT group_concat(cell || policy || state) FROM (SELECT * FROM tonle_conflict"
        " ORDER BY cell)",
        "bornreviewopen,staterankopen");
}

/* national, local and owner look at the unit of the office that wrote; the owner is that of the
 * scope that is shown, and the record follows it. */
static void units_decide(void **state)
{
    office_sql(A, "INSERT INTO person(id) VALUES('p')");
    equal(state);
    office_sql(A, "UPDATE person SET village='A', far='A', near='A' WHERE id='p'");
    HUB->now_ms += 5000;
    office_sql(HUB, "UPDATE person SET village='H', far='H', near='H' WHERE id='p'");
    equal(state);
    assert_everywhere("SELECT village || far || near FROM person", "AHA");
    office_sql(B, "UPDATE person SET commune='34' WHERE id='p'");
    equal(state);
    assert_everywhere("SELECT village || far || near FROM person", "HHA");
    assert_everywhere("SELECT value FROM tonle_conflict_side WHERE shown AND conflict ="
                      " (SELECT id FROM tonle_conflict WHERE cell = 'village')",
                      "H");
}

/* Texts that look the same are one value, and each office keeps its own letters only until the
 * policy has chosen. */
static void texts_that_look_alike_are_no_conflict(void **state)
{
    office_sql(A, "INSERT INTO person(id,born) VALUES('p','x')");
    equal(state);
    office_sql(A, "UPDATE person SET born = 'e' || char(769) WHERE id='p'");
    office_sql(B, "UPDATE person SET born = char(233) || char(8203) WHERE id='p'");
    equal(state);
    assert_everywhere("SELECT count(*) FROM tonle_conflict", "0");
}

/* ---- deletes and births */

/* delete-wins: the row goes, and what was changed beside it stays on record as a whole row. */
static void delete_wins_and_keeps_the_loser(void **state)
{
    office_sql(A, "INSERT INTO gone VALUES('g','old',1,x'00ff')");
    equal(state);
    office_sql(A, "DELETE FROM gone");
    B->now_ms += 5000;
    office_sql(B, "UPDATE gone SET note='kept'");
    equal(state);
    assert_everywhere("SELECT count(*) FROM gone", "0");
    assert_everywhere("SELECT cell || policy || state FROM tonle_conflict",
                      "existsdelete-winsopen");
    assert_everywhere("SELECT detail FROM tonle_conflict_side WHERE value = 1",
                      "{\"id\":\"g\",\"note\":\"kept\",\"n\":1,\"data\":{\"hex\":\"00ff\"}}");
    assert_everywhere(
        "SELECT count(*) FROM tonle_conflict_side WHERE value = 0 AND shown AND detail IS NULL",
        "1");
}

/* A delete under review leaves the row standing, and is for a person to decide. */
static void a_delete_under_review_waits(void **state)
{
    office_sql(A, "INSERT INTO judged VALUES('j','old')");
    equal(state);
    office_sql(A, "DELETE FROM judged");
    office_sql(B, "UPDATE judged SET note='new'");
    equal(state);
    assert_everywhere("SELECT note FROM judged", "new");
    assert_everywhere("SELECT cell || policy || state FROM tonle_conflict", "existsreviewopen");
}

/* birth: latest puts the later record in force, first and review the earlier; the other is held
 * whole, and the words say which rule it was. */
static void the_birth_policy_chooses(void **state)
{
    office_sql(A, "INSERT INTO gone(id,note) VALUES('k','A'); INSERT INTO judged VALUES('k','A')");
    B->now_ms += 5000;
    office_sql(B, "INSERT INTO gone(id,note) VALUES('k','B'); INSERT INTO judged VALUES('k','B')");
    equal(state);
    assert_everywhere("SELECT note FROM gone", "B");
    assert_everywhere("SELECT note FROM judged", "A");
    assert_everywhere(
        "SELECT group_concat(cell || policy) FROM (SELECT * FROM tonle_conflict ORDER BY"
        " table_name)",
        "birthlatest,birthreview");
    assert_everywhere("SELECT message FROM tonle_held WHERE table_name = 'gone'",
                      "another record was entered later under the same key and stands");
    assert_everywhere(
        "SELECT message FROM tonle_held WHERE table_name = 'judged'",
        "another record was entered earlier under the same key and stands until a person"
        " decides");
    assert_everywhere("SELECT office || blocked_office FROM tonle_held WHERE table_name = 'gone'",
                      "office1office2");
    assert_everywhere("SELECT count(*) FROM tonle_conflict_side WHERE detail LIKE '%\"id\":\"k\"%'",
                      "4");
    office_sql(HUB, "UPDATE gone SET note='seen'; DELETE FROM judged");
    equal(state);
    assert_everywhere("SELECT (SELECT note FROM gone) || (SELECT note FROM judged)", "seenB");
}

/* Where conflicts follow one another, each side is kept once: by the last that has it. */
static void a_side_is_kept_by_the_last_conflict_that_has_it(void **state)
{
    static const char sides[] = "SELECT group_concat(x) FROM (SELECT state || ':' || (SELECT"
                                " count(*) FROM tonle_side s WHERE s.n = c.n) AS x"
                                " FROM tonle_conflict c WHERE cell = 'birth' ORDER BY x)";
    office_sql(HUB, "INSERT INTO person(id,born) VALUES('p','0')");
    office_sql(A, "INSERT INTO person(id,born) VALUES('p','1')");
    office_sql(B, "INSERT INTO person(id,born) VALUES('p','2')");
    equal(state);
    assert_everywhere(sides, "open:3,superseded:0");
    char *old = arena_strdup(&HUB->arena, office_one(HUB, "SELECT id FROM tonle_conflict WHERE"
                                                          " state = 'superseded'"));
    assert_ok(store_begin(HUB->store));
    assert_err(store_conflict_may(HUB->store, &HUB->arena, old), ERR_STATE);
    assert_non_null(strstr(store_message(HUB->store), "decide that one"));
    store_rollback(HUB->store);
    federation_settle(*state);
    office_sql(A, "UPDATE account SET name='x'; INSERT INTO person(id,born) VALUES('q','0')");
    equal(state);
    office_sql(A, "UPDATE person SET born='A1' WHERE id='q'");
    assert_true(office_seal(A));
    office_sql(B, "UPDATE person SET born='B1' WHERE id='q'");
    assert_true(office_seal(B));
    office_pull(HUB, A);
    office_pull(HUB, B);
    office_sql(A, "UPDATE person SET born='A2' WHERE id='q'"); /* it has not heard of B1 */
    assert_true(office_seal(A));
    office_pull(HUB, A);
    assert_string_equal(
        office_one(HUB, "SELECT group_concat(x) FROM (SELECT state || value AS x FROM"
                        " tonle_conflict c JOIN tonle_side s ON s.n = c.n WHERE cell = 'born'"
                        " ORDER BY x)"),
        "openA2,openB1,supersededA1");
    equal(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEDERATION_TEST(sums_add_up_everywhere),
        FEDERATION_TEST(a_delta_beats_a_delete),
        FEDERATION_TEST(a_sum_that_is_too_large_is_held),
        FEDERATION_TEST(a_sum_that_is_no_number_is_held),
        FEDERATION_TEST(a_sum_that_is_no_number_gives_way),
        FEDERATION_TEST(a_group_is_never_a_mixture),
        FEDERATION_TEST(a_part_of_a_group_is_refused),
        FEDERATION_TEST(review_and_rank_show_their_value),
        FEDERATION_TEST(units_decide),
        FEDERATION_TEST(texts_that_look_alike_are_no_conflict),
        FEDERATION_TEST(delete_wins_and_keeps_the_loser),
        FEDERATION_TEST(a_delete_under_review_waits),
        FEDERATION_TEST(the_birth_policy_chooses),
        FEDERATION_TEST(a_side_is_kept_by_the_last_conflict_that_has_it),
    };
    return check_run(tests);
}
