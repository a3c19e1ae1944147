/* A decision counts where its signer's unit may take it, and is its signer's, whatever it says of
 * itself; every office rules alike, in whatever order things come (node/apply/ruling.h). */
#include "node/capture/capture.h"
#include "node/capture/publish.h"
#include "node/db/query.h"
#include "node/desk/desk.h"
#include "node/record/table.h"
#include "node/schema/schema.h"
#include "node/store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/federation.h"
#include "tests/lib/lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, ident TEXT UNIQUE, points INTEGER);"
    "CREATE TABLE house(id TEXT PRIMARY KEY NOT NULL, unit TEXT NOT NULL, village TEXT);"
    "CREATE TABLE visit(id TEXT PRIMARY KEY NOT NULL, person TEXT REFERENCES person(id));";
#define CHARTER(by)                                                                                \
    "{\"federation\":\"test\",\"schema_version\":1,\"review_by\":\"" by "\",\"tables\":["          \
    "{\"name\":\"person\",\"columns\":[{\"name\":\"points\",\"policy\":\"max\"}]},"                \
    "{\"name\":\"house\",\"scope\":{\"column\":\"unit\"},\"columns\":[{\"name\":\"village\","      \
    "\"policy\":\"review\"}]},{\"name\":\"visit\"}]}"
static const char tables[] = "person house visit tonle_decision";

static struct arena kept;

static int start_by(void **state, const char *charter)
{
    federation_set_up(state, 3, schema, charter, false);
    office_sql(HUB,
               "INSERT INTO person VALUES('p1','i1',1); INSERT INTO house VALUES('h1','12','v')");
    federation_sync(*state);
    return 0;
}

static int start_any(void **state)
{
    return start_by(state, CHARTER("any"));
}

static int start_national(void **state)
{
    return start_by(state, CHARTER("national"));
}

static int start_unit(void **state)
{
    return start_by(state, CHARTER("13"));
}

static int start_owner(void **state)
{
    return start_by(state, CHARTER("owner"));
}

static int stop(void **state)
{
    federation_stop(*state);
    arena_fini(&kept);
    return 0;
}

/* A and B write to one cell, and all know. */
static void quarrel(void **state)
{
    office_sql(A, "UPDATE person SET points = 9 WHERE id = 'p1'");
    B->now_ms += 1000;
    office_sql(B, "UPDATE person SET points = 4 WHERE id = 'p1'");
    federation_sync(*state);
    assert_everywhere("SELECT count(*) FROM tonle_conflict WHERE state = 'open'", "1");
}

/* An office that follows no charter but its own: its desk allows everything. */
static void lawless(struct office *o)
{
    office_sql(o, "UPDATE tonle_charter SET compiled ="
                  " json_set(compiled, '$.review_by', 'any')");
    office_sql(o, "UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'");
}

static struct conflict_record open_one(struct office *o)
{
    struct conflict_filter f = {.state = "open"};
    size_t n;
    struct conflict_record *list = lists_filtered(o->store, &kept, &f, &n);
    assert_int_equal(n, 1);
    return list[0];
}

/* The value of that office. */
static const char *decide(struct office *o, const struct office *whose)
{
    struct review review = {.by = "sok", .reason = "the paper", .now_ms = o->now_ms};
    const char *decision = "";
    struct conflict_record c = open_one(o);
    assert_ok(store_begin(o->store));
    enum err e = store_conflict_resolve(o->store, &kept, c.id, RESOLVE_TAKE,
                                        lists_side(&c, whose->site), &review, &decision);
    e = office_end(o, e);
    assert_store_ok(o->store, e);
    return decision;
}

static struct dot sealed(struct office *o)
{
    assert_true(office_seal(o));
    return (struct dot){o->site, store_state_get(o->store)->seq};
}

static void assert_refused(struct office *at, struct office *from, struct dot dot)
{
    struct apply_report r;
    assert_ok(office_take(at, from, dot, &r));
    assert_true(r.decisions_refused > 0);
    assert_string_equal(
        office_one(at, "SELECT v FROM tonle_meta WHERE k = '" META_DECISION_REFUSED "'"),
        r.decision_refused); /* a restart forgets it not */
}

#define DECISIONS "SELECT count(*) FROM tonle_decision"
#define POINTS "SELECT points FROM person WHERE id = 'p1'"

/* Whatever the row says of who took it and when: it is who signed it, when it was sealed. */
static void a_decision_is_its_signers(void **state)
{
    quarrel(state);
    decide(A, B);
    office_sql(A, "UPDATE tonle_decision SET office = 'hub', at_ms = 1");
    federation_sync(*state);
    assert_everywhere(POINTS, "4");
    assert_everywhere("SELECT office || (at_ms > 1600000000000) FROM tonle_decision", "office11");
    federation_assert_equal(*state, tables);
    struct history h;
    assert_ok(store_history(B->store, &kept, "person", "\"p1\"", &h));
    const struct history_entry *last = &h.entry[h.n - 1];
    assert_int_equal(last->n_decisions, 1);
    assert_string_equal(last->decisions[0].office, "office1");
    assert_int_equal(last->decisions[0].at_ms, h.decisions[0].at_ms);
}

/* Refused, with the change that belongs to it, at every office and on every way; the conflict stays
 * open, and whose it is decides it for all, the lawless office among them. */
static void a_unit_takes_no_others_decision(void **state)
{
    quarrel(state);
    lawless(A);
    decide(A, B);
    struct dot dot = sealed(A);
    assert_refused(HUB, A, dot);
    assert_refused(B, A, dot);
    for (int i = 0; i < 3; i += 2) {
        assert_string_equal(office_one(OFFICE(i), POINTS), "9");
        assert_string_equal(office_one(OFFICE(i), DECISIONS), "0");
        assert_string_equal(open_one(OFFICE(i)).state, "open");
    }
    struct history h;
    assert_ok(store_history(B->store, &kept, "person", "\"p1\"", &h));
    assert_non_null(h.entry[h.n - 1].refused);
    assert_non_null(
        strstr(h.entry[h.n - 1].refused,
               "office1 (unit 12) decided what the charter (review_by: national) leaves "
               "to the nation"));
    assert_null(h.entry[h.n - 2].refused);
    decide(HUB, B);
    federation_sync(*state);
    assert_everywhere(POINTS, "4");
    assert_everywhere("SELECT group_concat(office) FROM tonle_decision WHERE office <> 'office1'",
                      "hub");
    assert_everywhere("SELECT count(*) FROM tonle_conflict WHERE state = 'open'", "0");
}

/* The same of a unit that the charter names, and of a table without scope under `owner`. */
static void what_the_charter_names_is_asked(void **state)
{
    quarrel(state);
    lawless(A);
    decide(A, B);
    assert_refused(HUB, A, sealed(A));
    assert_string_equal(office_one(HUB, DECISIONS), "0");
}

/* A row with a scope is its owner's to decide: nobody but the signer knows what scope it had then,
 * so nobody refuses it. */
static void a_row_with_a_scope_is_not_ruled_on(void **state)
{
    office_sql(A, "UPDATE house SET village = 'a'");
    B->now_ms += 1000;
    office_sql(B, "UPDATE house SET village = 'b'");
    federation_sync(*state);
    decide(A, B);
    federation_sync(*state);
    assert_everywhere("SELECT village FROM house", "b");
    assert_everywhere(DECISIONS, "1");
    federation_assert_equal(*state, tables);
}

static void publish(struct office *hub, uint64_t version, const char *by)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT json_set(compiled, '$.review_by', '%s') FROM tonle_charter ORDER BY version "
             "DESC LIMIT 1",
             by);
    struct charter_record c = {.version = version,
                               .schema_version = 1,
                               .yaml = "",
                               .compiled = arena_strdup(&kept, office_one(hub, sql)),
                               .published_ms = version};
    assert_ok(store_begin(hub->store));
    enum err e = store_charter_put(hub->store, &c);
    e = office_end(hub, e);
    assert_store_ok(hub->store, e);
}

/* What counts is the charter that the signer had, not the one that is here by now, and not the one
 * that the changeset names: that is 1 in all of these. */
static void the_charter_is_the_one_of_the_context(void **state)
{
    quarrel(state);
    publish(HUB, 2, "national");
    sealed(HUB);
    decide(A, B);
    struct apply_report r;
    assert_ok(office_take(HUB, A, sealed(A), &r)); /* the hub has the new one */
    assert_int_equal(r.decisions_refused, 0);
    assert_string_equal(office_one(HUB, POINTS), "4");
    federation_sync(*state);
    assert_everywhere(DECISIONS, "1");
    federation_assert_equal(*state, tables);
    office_sql(B, "UPDATE person SET points = 30 WHERE id = 'p1'");
    A->now_ms += 5000;
    office_sql(A, "UPDATE person SET points = 20 WHERE id = 'p1'");
    federation_sync(*state);
    lawless(A);
    decide(A, A); /* now it has it, too */
    struct dot dot = sealed(A);
    assert_refused(HUB, A, dot);
    assert_refused(B, A, dot);
    assert_string_equal(office_one(HUB, POINTS), "30");
    assert_string_equal(office_one(B, DECISIONS), "1");
}

/* ---- decisions of others */

static struct value *of_decision(struct office *o, const struct table_schema *t, const char *id)
{
    struct value key = value_text(id), *values = NULL;
    struct buf b = {0};
    key_encode(&b, &key, 1);
    assert_ok(row_read(o->store, &kept, (struct row_key){t, b.data, b.len}, &values));
    buf_fini(&b);
    assert_non_null(values);
    return values;
}

/* What no program of ours writes: a change of the decision, its end, or another one under an id
 * that the signer chose. */
static void meddle(struct office *o, const char *id, enum change_kind kind, const char *new_id)
{
    struct store *s = o->store;
    assert_ok(store_begin(s));
    assert_ok(schema_load(s));
    const struct table_schema *t = schema_table(s, "tonle_decision");
    struct value *old = of_decision(o, t, id);
    struct value *now = arena_copy(&kept, old, t->n_columns * sizeof *now);
    struct buf key = {0};
    now[schema_column(t, "id")] = value_text(new_id);
    now[schema_column(t, "reason")] = value_text("forged");
    schema_key_encode(t, old, &key);
    if (kind == CHANGE_UPDATE)
        assert_ok(part_update(s, t, old, now));
    else if (kind == CHANGE_DELETE)
        assert_ok(part_delete(s, (struct row_key){t, key.data, key.len}));
    else
        assert_ok(part_insert(s, t, now));
    assert_ok(capture_note(s, t, kind, part_mask(t, old, now), kind == CHANGE_DELETE ? old : now));
    buf_fini(&key);
    assert_ok(store_commit(s));
}

/* A decision on record is nobody's to change or to take back. */
static void nobody_meddles_with_a_decision(void **state)
{
    static const enum change_kind kinds[] = {CHANGE_UPDATE, CHANGE_DELETE};
    quarrel(state);
    const char *id = decide(B, A);
    federation_sync(*state);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        meddle(A, id, kinds[i], id);
        struct dot dot = sealed(A);
        assert_refused(HUB, A, dot);
        assert_refused(B, A, dot);
        assert_string_equal(office_one(HUB, "SELECT reason FROM tonle_decision"), "the paper");
        assert_string_equal(office_one(B, "SELECT reason FROM tonle_decision"), "the paper");
    }
}

/* Nor can one be entered under an id that another office's may have: the earlier would stand. */
static void an_id_is_its_signers(void **state)
{
    char id[40];
    quarrel(state);
    const char *own = decide(A, B);
    federation_sync(*state);
    snprintf(id, sizeof id, "%016llx%016x", (unsigned long long)B->site, 1);
    meddle(A, own, CHANGE_BORN, id);
    assert_refused(HUB, A, sealed(A));
    assert_string_equal(office_one(HUB, "SELECT group_concat(reason) FROM tonle_decision"),
                        "the paper");
}

/* Whose write is held settles it, whatever the charter says; nobody else does by naming it so. */
static void a_held_row_is_its_writers(void **state)
{
    office_sql(A, "INSERT INTO person VALUES('p2','i2',1)");
    B->now_ms += 1000;
    office_sql(B, "INSERT INTO person VALUES('p3','i2',1)");
    federation_sync(*state);
    lawless(A);
    struct review review = {.by = "sok", .reason = "the paper", .now_ms = B->now_ms};
    struct held_settled settled_to;
    size_t n;
    struct office *who[] = {A, B};
    for (int i = 0; i < 2; i++) {
        struct held_record *held = lists_held(who[i]->store, &kept, &n);
        assert_int_equal(n, 1);
        assert_ok(store_begin(who[i]->store));
        enum err e =
            store_held_settle(who[i]->store, &kept, held[0].id, HELD_DROP, &review, &settled_to);
        e = office_end(who[i], e);
        assert_store_ok(who[i]->store, e);
        struct apply_report r;
        assert_ok(office_take(HUB, who[i], sealed(who[i]), &r));
        assert_int_equal(r.decisions_refused > 0, i == 0);
        assert_string_equal(office_one(HUB, "SELECT count(*) FROM tonle_held"), i == 0 ? "1" : "0");
    }
}

/* ---- what an honest desk allows */

enum honest { /* what is decided about the key k, which the hub and A have entered */
              MERGE,
              DROP,
              RENAME,
              CHANGE,
              TAKE_OWN,
              TAKE_STANDING,
              SET_POINTS,
              KEEP_BOTH
};

#define HELD_PERSONS "SELECT count(*) FROM tonle_held WHERE table_name = 'person'"

/* One held row of A's, equal to one of B's where it is a twin; and an open conflict in a cell. */
static void enter_k(struct federation *f, bool twin)
{
    struct office *o = f->office;
    office_sql(&o[0], "INSERT INTO person VALUES('k','hubs',NULL)");
    o[1].now_ms += 1000;
    office_sql(&o[1], "INSERT INTO person VALUES('k','same',7); INSERT INTO visit VALUES('v','k')");
    o[2].now_ms += 2000;
    if (twin)
        office_sql(&o[2], "INSERT INTO person VALUES('k','same',7)");
    federation_sync(f);
    for (int i = 0; i < f->n; i++)
        assert_string_equal(office_one(&o[i], HELD_PERSONS), "1");
}

static struct conflict_record conflict_of_birth(struct office *o)
{
    size_t n;
    struct conflict_record *list = lists_conflicts(o->store, &kept, true, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].cell, "birth") == 0)
            return list[i];
    abort();
}

static enum err settle_k(struct office *o, enum honest what)
{
    static const struct assignment key = {"id", "k2", false}, points = {"points", "8", false};
    struct review review = {.by = "sok",
                            .reason = "the paper",
                            .now_ms = o->now_ms,
                            .set = what == RENAME ? &key : &points,
                            .n_set = what == RENAME || what == CHANGE,
                            .leave_children = true};
    struct held_settled settled_to;
    struct query q = DB_QUERY(o->store, "SELECT id FROM tonle_held WHERE table_name = 'person'");
    const char *id = query_next(&q) ? query_text(&q, &kept, 0) : "";
    assert_ok(query_end(&q));
    return store_held_settle(o->store, &kept, id,
                             what == MERGE  ? HELD_MERGE
                             : what == DROP ? HELD_DROP
                                            : HELD_SET,
                             &review, &settled_to);
}

static enum err resolve_k(struct federation *f, struct office *o, enum honest what)
{
    static const struct assignment points = {"points", "8", false};
    struct review review = {.by = "sok",
                            .reason = "the paper",
                            .now_ms = o->now_ms,
                            .set = &points,
                            .n_set = what == SET_POINTS};
    struct conflict_record c = what == SET_POINTS ? open_one(o) : conflict_of_birth(o);
    const struct office *whose = &f->office[what == TAKE_OWN ? 1 : 0];
    struct dot dot = {0};
    const char *decision;
    if (what == TAKE_OWN || what == TAKE_STANDING)
        dot = lists_side(&c, whose->site);
    return store_conflict_resolve(o->store, &kept, c.id,
                                  what == KEEP_BOTH    ? RESOLVE_BOTH
                                  : what == SET_POINTS ? RESOLVE_SET
                                                       : RESOLVE_TAKE,
                                  dot, &review, &decision);
}

/* With `busy`, an application there writes to the standing row before the decision is sealed. */
static void decide_honestly(void **state, enum honest what, int who, bool twin, bool busy)
{
    struct office *o = OFFICE(who);
    if (what == SET_POINTS)
        quarrel(state);
    else
        enter_k(*state, twin);
    assert_ok(store_begin(o->store));
    enum err e = what < TAKE_OWN ? settle_k(o, what) : resolve_k(*state, o, what);
    e = office_end(o, e);
    if (e != ERR_OK) {
        assert_err(e, ERR_REFUSED);
        assert_non_null(strstr(store_message(o->store), "leaves this row to"));
    }
    if (busy)
        office_sql(o, "UPDATE person SET ident = 'busy' WHERE id = 'k'");
    federation_sync(*state);
    assert_everywhere(DECISIONS, e == ERR_OK ? "1" : "0");
    federation_assert_equal(*state, tables);
    if (what < TAKE_OWN && who == 1)
        assert_ok(e);
    if (what < TAKE_OWN && what != CHANGE)
        assert_everywhere(HELD_PERSONS, e == ERR_OK ? "0" : "1");
}

/* Every decision there is at one office; with twins, and busy, where that is another way. */
static void decide_all(void **state, int (*start)(void **), int who)
{
    for (int n = 0; n < 8 * 4; n++) {
        enum honest what = (enum honest)(n / 4);
        bool twin = n & 1, busy = n & 2;
        if ((what >= TAKE_OWN && (twin || busy)) || (busy && who != 1))
            continue;
        assert_int_equal(start(state), 0);
        decide_honestly(state, what, who, twin, busy);
        stop(state);
    }
}

/* Whatever the desk of an office allows takes effect at every office, and what it does not allow at
 * none; whose write is held is always allowed. */
static void what_a_desk_allows_counts_everywhere(void **state)
{
    stop(state);
    decide_all(state, start_national, 1);
    for (int who = 0; who < 2; who++) {
        decide_all(state, start_unit, who + 1); /* that unit is B's */
        decide_all(state, start_owner, who);
    }
    start_any(state);
}

/* An office that was enrolled anew is another site. What it entered before nobody else takes for
 * its own write, so its desk does not either. */
static void what_another_site_entered_is_not_its_own(void **state)
{
    office_sql(HUB, "INSERT INTO person VALUES('k','hubs',NULL)");
    B->now_ms += 1000;
    office_sql(B, "INSERT INTO person VALUES('k','old',7)");
    federation_sync(*state);
    office_sql(A, "UPDATE tonle_held SET office = 'office1'");
    assert_ok(store_begin(A->store));
    assert_err(office_end(A, settle_k(A, DROP)), ERR_REFUSED);
    assert_non_null(strstr(store_message(A->store), "leaves this row to the nation"));
}

#define RULING_TEST(f, start) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULING_TEST(a_decision_is_its_signers, start_any),
        RULING_TEST(a_unit_takes_no_others_decision, start_national),
        {"a unit", what_the_charter_names_is_asked, start_unit, stop, NULL},
        {"the nation's table", what_the_charter_names_is_asked, start_owner, stop, NULL},
        RULING_TEST(a_row_with_a_scope_is_not_ruled_on, start_owner),
        RULING_TEST(the_charter_is_the_one_of_the_context, start_any),
        RULING_TEST(nobody_meddles_with_a_decision, start_any),
        RULING_TEST(an_id_is_its_signers, start_any),
        RULING_TEST(a_held_row_is_its_writers, start_national),
        RULING_TEST(what_a_desk_allows_counts_everywhere, start_any),
        RULING_TEST(what_another_site_entered_is_not_its_own, start_national),
    };
    return check_run(tests);
}
