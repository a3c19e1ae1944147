/* The history of one row: every write, what it had seen, what it met; read from few changesets. */
#include "conflict/hlc.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/rooms.h"

#include <stdio.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, name TEXT, phone TEXT, state TEXT,"
    " paid INTEGER, first TEXT, last TEXT);"
    "CREATE TABLE receipt(series TEXT NOT NULL, number INTEGER NOT NULL, note,"
    " PRIMARY KEY(series, number)) WITHOUT ROWID;";
static const char charter[] =
    "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"any\",\"tables\":["
    "{\"name\":\"person\",\"columns\":[{\"name\":\"phone\",\"policy\":\"earliest\"},"
    "{\"name\":\"state\",\"policy\":\"review\",\"fallback\":\"latest\"},"
    "{\"name\":\"paid\",\"policy\":\"sum\"}],"
    "\"groups\":[{\"name\":\"spelling\",\"columns\":[\"first\",\"last\"],\"policy\":\"latest\"}]},"
    "{\"name\":\"receipt\",\"columns\":[]}]}";

static struct arena arena;

static int start(void **state)
{
    return federation_set_up(state, 3, schema, charter, false);
}

static int stop(void **state)
{
    arena_fini(&arena);
    federation_stop(*state);
    return 0;
}

static struct history history_of(struct office *o, const char *table, const char *key)
{
    struct history h;
    assert_ok(store_history(o->store, &arena, table, key, &h));
    return h;
}

static bool is_text(const struct value *v, const char *text)
{
    return v->type == VALUE_TEXT && v->len == strlen(text) && memcmp(v->u.p, text, v->len) == 0;
}

/* The one write of this office that made the cell this text. */
static const struct history_entry *write_of(const struct history *h, const char *office,
                                            const char *column, const char *text)
{
    for (size_t i = 0; i < h->n; i++)
        for (uint32_t c = 0; c < h->entry[i].n_cells; c++)
            if (strcmp(h->entry[i].office, office) == 0 &&
                strcmp(h->entry[i].columns[c], column) == 0 &&
                is_text(&h->entry[i].values[c], text))
                return &h->entry[i];
    fail_msg("no write of %s to %s by %s", text, column, office);
    return NULL;
}

/* Every write to a row, in the order of time, at an office that only received them; composite keys
 * too. */
static void history_tells_every_write(void **state)
{
    office_sql(A, "INSERT INTO receipt VALUES('S',1,'a'),('S',2,'b')");
    federation_sync(*state);
    B->now_ms += 1000;
    office_sql(B, "UPDATE receipt SET note='c' WHERE number=1");
    federation_sync(*state);
    HUB->now_ms += 2000;
    office_sql(HUB, "DELETE FROM receipt WHERE number=1");
    federation_sync(*state);
    struct history h = history_of(A, "receipt", "[\"S\",1]");
    const struct history_entry *x = h.entry;
    assert_int_equal(h.n, 3);
    assert_int_equal(x[0].kind, CHANGE_BORN);
    assert_string_equal(x[0].office, "office1");
    assert_int_equal(x[0].n_cells, 3);
    assert_int_equal(x[1].kind, CHANGE_UPDATE);
    assert_string_equal(x[1].office, "office2");
    assert_string_equal(x[1].columns[0], "note");
    assert_true(is_text(&x[1].values[0], "c"));
    assert_int_equal(x[2].kind, CHANGE_DELETE);
    assert_string_equal(x[2].office, "hub");
    assert_true(x[0].hlc < x[1].hlc && x[1].hlc < x[2].hlc);
    assert_false(h.older);
    h = history_of(A, "receipt", "[\"S\",9]");
    assert_int_equal(h.n, 0);
    assert_false(h.older);
    assert_err(store_history(A->store, &arena, "receipt", "\"S\"", &h), ERR_USAGE);
    assert_err(store_history(A->store, &arena, "nothing", "\"S\"", &h), ERR_NOT_FOUND);
}

/* A changeset in the journal that was altered on the disk is reported, not shown. */
static void a_damaged_journal_is_reported(void **state)
{
    struct history h;
    office_sql(A, "INSERT INTO receipt VALUES('S',1,'a')");
    federation_sync(*state);
    office_sql(A, "UPDATE tonle_journal SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) || "
                  "x'ff' AS BLOB)");
    assert_err(store_history(A->store, &arena, "receipt", "[\"S\",1]", &h), ERR_CORRUPT);
}

/* A write names the newest versions it was based on, and none that those were based on; what it had
 * not seen is not among them. */
static void a_write_names_what_it_had_seen(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, name) VALUES('p', 'born')");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET name = 'second' WHERE id = 'p'");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET name = 'third' WHERE id = 'p'");
    office_sql(B, "UPDATE person SET phone = 'beside' WHERE id = 'p'");
    federation_sync(*state);
    office_sql(HUB, "UPDATE person SET name = 'last' WHERE id = 'p'");
    federation_sync(*state);
    struct history h = history_of(B, "person", "p");
    assert_int_equal(h.n, 5);
    const struct history_entry *born = write_of(&h, "hub", "name", "born");
    const struct history_entry *second = write_of(&h, "office1", "name", "second");
    const struct history_entry *third = write_of(&h, "office1", "name", "third");
    const struct history_entry *beside = write_of(&h, "office2", "phone", "beside");
    const struct history_entry *last = write_of(&h, "hub", "name", "last");
    assert_int_equal(born->n_seen, 0);
    assert_int_equal(second->n_seen, 1);
    assert_true(dot_equal(second->seen[0].dot, born->dot));
    assert_string_equal(second->seen[0].office, "hub");
    assert_int_equal(third->n_seen, 1);
    assert_true(dot_equal(third->seen[0].dot, second->dot));
    assert_int_equal(beside->n_seen, 1);
    assert_true(dot_equal(beside->seen[0].dot, second->dot));
    assert_int_equal(last->n_seen, 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(dot_equal(last->seen[i].dot, third->dot) ||
                    dot_equal(last->seen[i].dot, beside->dot));
}

/* Two writes of one cell that had not seen each other name each other: one stands, the other lost,
 * by the cell's policy. Other cells, equal values and writes that were seen are no conflict. */
static void concurrent_writes_name_each_other(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, name) VALUES('p', 'born')");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET phone = 'a', name = 'same' WHERE id = 'p'");
    B->now_ms += 60000;
    office_sql(B, "UPDATE person SET phone = 'b0', name = 'same' WHERE id = 'p'");
    assert_true(office_seal(B));
    office_sql(B, "UPDATE person SET phone = 'b' WHERE id = 'p'");
    federation_sync(*state);
    office_sql(HUB, "UPDATE person SET phone = 'settled' WHERE id = 'p'");
    federation_sync(*state);
    struct history h = history_of(A, "person", "p");
    const struct history_entry *a = write_of(&h, "office1", "phone", "a");
    const struct history_entry *b = write_of(&h, "office2", "phone", "b");
    assert_int_equal(a->n_met, 1); /* of office2's two writes the newer one */
    assert_string_equal(a->met[0].cell, "phone");
    assert_string_equal(a->met[0].office, "office2");
    assert_true(dot_equal(a->met[0].dot, b->dot));
    assert_string_equal(a->met[0].policy, "earliest");
    assert_true(a->met[0].won);
    assert_int_equal(b->n_met, 1);
    assert_true(dot_equal(b->met[0].dot, a->dot));
    assert_false(b->met[0].won);
    assert_int_equal(write_of(&h, "hub", "phone", "settled")->n_met, 0);
    assert_int_equal(h.entry[0].n_met, 0);
}

/* A group is met as a whole, with whatever member was changed; review says what shows until then.
 */
static void groups_and_reviewed_cells_meet_by_their_own_rules(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, first, last) VALUES('p', 'f', 'l')");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET first = 'fa', state = 'sa' WHERE id = 'p'");
    B->now_ms += 60000;
    office_sql(B, "UPDATE person SET last = 'lb', state = 'sb' WHERE id = 'p'");
    federation_sync(*state);
    struct history h = history_of(HUB, "person", "p");
    const struct history_entry *a = write_of(&h, "office1", "first", "fa");
    assert_int_equal(a->n_met, 2);
    assert_string_equal(a->met[0].cell, "state");
    assert_string_equal(a->met[0].policy, "review (latest until somebody decides)");
    assert_false(a->met[0].won);
    assert_string_equal(a->met[1].cell, "spelling");
    assert_string_equal(a->met[1].policy, "latest");
    assert_false(a->met[1].won);
    bool grouped = false;
    for (uint32_t c = 0; c < a->n_cells; c++)
        grouped = grouped ||
                  (strcmp(a->columns[c], "last") == 0 && strcmp(a->groups[c], "spelling") == 0);
    assert_true(grouped); /* the member that was not changed travels along */
}

/* A sum shows each office's delta, and its deltas never meet. */
static void a_sum_is_told_in_deltas(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, paid) VALUES('p', 100)");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET paid = paid + 5 WHERE id = 'p'");
    office_sql(B, "UPDATE person SET paid = paid - 7 WHERE id = 'p'");
    federation_sync(*state);
    struct history h = history_of(HUB, "person", "p");
    assert_int_equal(h.n, 3);
    for (size_t i = 1; i < 3; i++) {
        assert_int_equal(h.entry[i].n_met, 0);
        assert_string_equal(h.entry[i].columns[0], "paid");
        assert_int_equal(h.entry[i].values[0].type, VALUE_WIDE);
        bool of_a = strcmp(h.entry[i].office, "office1") == 0;
        assert_true(value_count(&h.entry[i].values[0]) == (of_a ? 5 : -7));
    }
}

/* A delete beside an update is a conflict of existence, told at both. */
static void a_delete_beside_an_update_is_told(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, name) VALUES('p', 'born')");
    federation_sync(*state);
    office_sql(A, "DELETE FROM person WHERE id = 'p'");
    office_sql(B, "UPDATE person SET name = 'kept' WHERE id = 'p'");
    federation_sync(*state);
    struct history h = history_of(HUB, "person", "p");
    const struct history_entry *kept = write_of(&h, "office2", "name", "kept");
    assert_int_equal(kept->n_met, 1);
    assert_string_equal(kept->met[0].cell, "exists");
    assert_string_equal(kept->met[0].policy, "update-wins");
    assert_true(kept->met[0].won);
    for (size_t i = 0; i < h.n; i++)
        if (h.entry[i].kind == CHANGE_DELETE) {
            assert_int_equal(h.entry[i].n_met, 1);
            assert_false(h.entry[i].met[0].won);
        }
}

/* Two births of one key are two records: the later one is called that. A birth after a delete that
 * it had seen is the key entered again. */
static void births_are_told_apart(void **state)
{
    office_sql(A, "INSERT INTO person(id, name) VALUES('p', 'first')");
    B->now_ms += 60000;
    office_sql(B, "INSERT INTO person(id, name) VALUES('p', 'second')");
    office_sql(HUB, "INSERT INTO person(id, name) VALUES('q', 'one')");
    federation_sync(*state);
    office_sql(HUB, "DELETE FROM person WHERE id = 'q'");
    federation_sync(*state);
    office_sql(A, "INSERT INTO person(id, name) VALUES('q', 'two')");
    federation_sync(*state);
    struct history h = history_of(HUB, "person", "p");
    const struct history_entry *first = write_of(&h, "office1", "name", "first");
    const struct history_entry *second = write_of(&h, "office2", "name", "second");
    assert_false(first->beside || first->again);
    assert_true(second->beside);
    assert_int_equal(second->n_met, 1);
    assert_string_equal(second->met[0].cell, "birth");
    assert_string_equal(second->met[0].policy, "first");
    assert_false(second->met[0].won);
    assert_true(first->met[0].won);
    h = history_of(HUB, "person", "q");
    assert_int_equal(h.n, 3);
    assert_false(h.entry[0].again);
    assert_true(h.entry[2].again && !h.entry[2].beside);
}

/* Where the journal does not reach back to the row's birth, history says so. */
static void a_journal_that_begins_later_is_told(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, name) VALUES('p', 'born'), ('q', 'born')");
    federation_sync(*state);
    assert_false(history_of(A, "person", "p").older);
    office_sql(A, "DELETE FROM tonle_journal; DELETE FROM tonle_touch");
    struct history h = history_of(A, "person", "q");
    assert_int_equal(h.n, 0);
    assert_true(h.older);
    office_sql(HUB, "UPDATE person SET name = 'changed' WHERE id = 'p'");
    federation_sync(*state);
    h = history_of(A, "person", "p");
    assert_int_equal(h.n, 1);
    assert_true(h.older);
    assert_false(history_of(HUB, "person", "p").older);
}

/* A decision stands at the write that it travelled with, and is known without the journal too. */
static void decisions_stand_at_their_writes(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, name) VALUES('p', 'born'), ('q', 'born')");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET name = 'decided' WHERE id IN ('p', 'q');"
                  "INSERT INTO tonle_decision(id, conflict, subject, table_name, key, cell, choice,"
                  " operator, office, reason, at_ms) SELECT site || '00aa', 'ffee', 'conflict',"
                  " 'person', '\"p\"', 'name', 'take it', 'Sok', node, 'seen the card', 7"
                  " FROM tonle_site WHERE node = 'office1'");
    char id[32];
    snprintf(id, sizeof id, "%s", office_one(A, "SELECT id FROM tonle_decision"));
    assert_ok(store_begin(A->store));
    assert_ok(schema_load(A->store));
    const struct table_schema *t = schema_table(A->store, "tonle_decision");
    struct value v[16] = {{0}};
    v[0] = value_text(id);
    assert_string_equal(t->column[0], "id");
    assert_ok(capture_note(A->store, t, CHANGE_BORN, UINT64_MAX, v));
    assert_ok(store_commit(A->store));
    federation_sync(*state);
    struct history h = history_of(B, "person", "p");
    assert_int_equal(h.n, 2);
    assert_int_equal(h.entry[0].n_decisions, 0);
    assert_int_equal(h.entry[1].n_decisions, 1);
    assert_string_equal(h.entry[1].decisions[0].by, "Sok");
    assert_string_equal(h.entry[1].decisions[0].reason, "seen the card");
    assert_string_equal(h.entry[1].decisions[0].conflict, "ffee");
    assert_int_equal(h.entry[1].decisions[0].at_ms, hlc_ms(h.entry[1].hlc));
    assert_int_equal(history_of(B, "person", "q").entry[1].n_decisions, 0);
    office_sql(B, "DELETE FROM tonle_journal; DELETE FROM tonle_touch");
    h = history_of(B, "person", "p");
    assert_int_equal(h.n, 0);
    assert_int_equal(h.n_decisions, 1);
    assert_string_equal(h.decisions[0].choice, "take it");
}

/* ---- few changesets are read ---- */

static void many_changesets(void **state, int n)
{
    char sql[200];
    for (int i = 0; i < n; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO receipt VALUES('many', %d, 'x')", i);
        office_sql(HUB, sql);
        assert_true(office_seal(HUB));
    }
    federation_sync(*state);
}

/* Of a journal of very many changesets, and of very large ones, history and what stood before a
 * conflict read the few that touched the row. */
static void only_a_handful_of_changesets_is_read(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, phone) VALUES('p', 'before')");
    many_changesets(state, 600);
    office_sql(HUB, "INSERT INTO receipt WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
                    " FROM n WHERE i < 40000) SELECT 'large', i, i FROM n");
    while (office_seal_part(HUB, 1000))
        ;
    federation_sync(*state);
    office_sql(A, "UPDATE person SET phone = 'a' WHERE id = 'p'");
    office_sql(B, "UPDATE person SET phone = 'b' WHERE id = 'p'");
    federation_sync(*state);
    struct history h = history_of(A, "person", "p");
    assert_int_equal(h.n, 3);
    assert_true(h.changesets >= 600 + 40);
    assert_in_range(h.read, 3, 5);
    h = history_of(A, "receipt", "[\"large\",39999]");
    assert_int_equal(h.n, 1);
    assert_in_range(h.read, 1, 3);
    h = history_of(A, "receipt", "[\"many\",300]");
    assert_int_equal(h.n, 1);
    assert_in_range(h.read, 1, 3);
    h = history_of(A, "person", "never");
    assert_int_equal(h.n, 0);
    assert_in_range(h.read, 0, 2);
}

/* A filter never misses a row, and seldom says maybe for nothing: over 3,000 keys in changesets of
 * 5,000 rows less than one in fifty. */
static void filters_miss_nothing_and_say_maybe_seldom(void **state)
{
    uint64_t *pos;
    size_t n, in_vain = 0;
    struct buf key = {0};
    office_sql(HUB, "INSERT INTO receipt WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
                    " FROM n WHERE i < 5000) SELECT 's', i, i FROM n");
    assert_true(office_seal(HUB));
    for (int i = 1; i <= 8000; i++) {
        struct value v[2] = {value_text("s"), value_integer(i)};
        buf_reset(&key);
        key_encode(&key, v, 2);
        assert_ok(
            touch_find(HUB->store, &arena, "receipt", (struct bytes){key.data, key.len}, &pos, &n));
        if (i <= 5000)
            assert_int_equal(n, 1);
        else
            in_vain += n;
    }
    assert_in_range(in_vain, 0, 60);
    buf_fini(&key);
}

/* No key is unlucky: of a thousand keys that are in none of many small changesets, each is looked
 * for in at most a few of them. */
static void no_key_is_in_most_filters(void **state)
{
    char sql[220];
    struct buf key = {0};
    for (int i = 0; i < 100; i++) {
        snprintf(
            sql, sizeof sql,
            "INSERT INTO receipt WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            " WHERE i < 10) SELECT 'in', %d + i, i FROM n",
            i * 10);
        office_sql(HUB, sql);
        assert_true(office_seal(HUB));
    }
    for (int i = 0; i < 1000; i++) {
        struct value v[2] = {value_text("out"), value_integer(i)};
        uint64_t *pos;
        size_t n;
        buf_reset(&key);
        key_encode(&key, v, 2);
        assert_ok(
            touch_find(HUB->store, &arena, "receipt", (struct bytes){key.data, key.len}, &pos, &n));
        assert_in_range(n, 0, 3);
    }
    buf_fini(&key);
}

/* What stood before a conflict: of a group all its members as both sides had seen them; and no
 * changeset is opened that did not touch the row (here all others are damaged). */
static void what_stood_before_reads_the_rows_changesets(void **state)
{
    struct conflict_record c;
    struct conflict_more more;
    office_sql(HUB, "INSERT INTO person(id, first, last) VALUES('p', 'f', 'l')");
    assert_true(office_seal(HUB));
    many_changesets(state, 200);
    office_sql(HUB, "UPDATE person SET last = 'l2' WHERE id = 'p'");
    federation_sync(*state);
    office_sql(A, "UPDATE person SET phone = 'a' WHERE id = 'p'");
    B->now_ms += 60000;
    office_sql(B, "UPDATE person SET phone = 'b', first = 'fb' WHERE id = 'p'");
    office_sql(A, "UPDATE person SET last = 'la' WHERE id = 'p'");
    federation_sync(*state);
    office_sql(HUB, "UPDATE tonle_journal SET bytes = x'00' WHERE kind = 1 AND site = (SELECT site"
                    " FROM tonle_journal LIMIT 1) AND seq BETWEEN 2 AND 201");
    assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_journal WHERE bytes = x'00'"),
                        "200");
    char *id = arena_strdup(&arena, office_one(HUB, "SELECT id FROM tonle_conflict"
                                                    " WHERE cell = 'spelling'"));
    assert_ok(store_conflict_get(HUB->store, &arena, id, &c, &more));
    assert_true(more.has_before);
    struct value member[2];
    assert_int_equal(more.before.value.type, VALUE_TUPLE);
    assert_ok(value_tuple_split(&more.before.value, member, 2));
    assert_true(is_text(&member[0], "f"));
    assert_true(is_text(&member[1], "l2"));
    assert_string_equal(more.before.office, "hub");
    assert_int_equal(history_of(HUB, "person", "p").n, 4);
}

/* Changesets from before the filters are read as ever, beside those that have one. */
static void changesets_without_a_filter_are_read(void **state)
{
    office_sql(HUB, "INSERT INTO person(id, name) VALUES('p', 'born')");
    federation_sync(*state);
    office_sql(HUB, "UPDATE person SET name = 'second' WHERE id = 'p'");
    federation_sync(*state);
    office_sql(HUB, "UPDATE person SET name = 'third' WHERE id = 'p'");
    federation_sync(*state);
    office_sql(A, "DELETE FROM tonle_touch WHERE pos <> (SELECT max(pos) FROM tonle_touch)");
    struct history h = history_of(A, "person", "p");
    assert_int_equal(h.n, 3);
    assert_int_equal(h.read, h.changesets);
    office_sql(A, "DELETE FROM tonle_touch");
    assert_int_equal(history_of(A, "person", "p").n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(history_tells_every_write),
        TEST(a_damaged_journal_is_reported),
        TEST(a_write_names_what_it_had_seen),
        TEST(concurrent_writes_name_each_other),
        TEST(groups_and_reviewed_cells_meet_by_their_own_rules),
        TEST(a_sum_is_told_in_deltas),
        TEST(a_delete_beside_an_update_is_told),
        TEST(births_are_told_apart),
        TEST(a_journal_that_begins_later_is_told),
        TEST(decisions_stand_at_their_writes),
        TEST(only_a_handful_of_changesets_is_read),
        TEST(filters_miss_nothing_and_say_maybe_seldom),
        TEST(no_key_is_in_most_filters),
        TEST(what_stood_before_reads_the_rows_changesets),
        TEST(changesets_without_a_filter_are_read),
    };
    return check_run(tests);
}
