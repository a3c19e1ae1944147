/* Queued changes: what no statement of an application can express, beside what it wrote. */
#include "conflict/buf.h"
#include "protocol/limits.h"
#include "tests/lib/check.h"
#include "tests/lib/rooms.h"
#include "tests/unit/capture/fixture.h"

#include <stdio.h>
#include <string.h>

#define TABLE                                                                                      \
    "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, s INTEGER, a, b, c);"                            \
    "CREATE TABLE p(id TEXT PRIMARY KEY NOT NULL, v);"                                             \
    "CREATE TABLE q(id TEXT PRIMARY KEY NOT NULL, p REFERENCES p(id));"
#define RULES                                                                                      \
    "{\"tables\":[{\"name\":\"t\",\"columns\":[{\"name\":\"id\"},"                                 \
    "{\"name\":\"s\",\"policy\":\"sum\"},{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}],"     \
    "\"groups\":[{\"name\":\"g\",\"columns\":[\"a\",\"b\"],\"policy\":\"latest\"}]},"              \
    "{\"name\":\"q\"},{\"name\":\"p\"}]}"
enum { ID, S, A, B, C };

static void open_office(struct capture_office *o)
{
    capture_office_open(o, TABLE, "t,q,p");
    office_publish(o, "0000000002", RULES);
    office_install(o);
    office_app(o, "INSERT INTO t VALUES('x',10,1,2,3),('y',20,1,2,3);");
    office_collect(o);
}

static struct row_key key_of(struct capture_office *o, struct buf *b, const char *table,
                             const char *id)
{
    struct value v = value_text(id);
    buf_reset(b);
    key_encode(b, &v, 1);
    return (struct row_key){schema_table(o->s, table), b->data, b->len};
}

/* One cell, or none for column 0; a decision like any that `resolve` queues. */
static enum err queue(struct capture_office *o, const char *id, struct dot birth,
                      enum change_kind kind, uint32_t column, struct value v)
{
    struct buf b = {0};
    assert_ok(store_begin(o->s));
    enum err e = todo_put(
        o->s, key_of(o, &b, "t", id),
        &(struct todo_change){
            .kind = kind, .birth = birth, .n_cells = column != ID, .column = &column, .value = &v});
    assert_ok(store_commit(o->s));
    buf_fini(&b);
    return e;
}

/* All columns alike but the key. */
static enum err queue_birth(struct capture_office *o, const char *table, const char *id,
                            struct value v)
{
    struct buf b = {0};
    struct value values[] = {value_text(id), v, v, v, v};
    uint32_t columns[] = {0, 1, 2, 3, 4};
    assert_ok(store_begin(o->s));
    struct row_key k = key_of(o, &b, table, id);
    enum err e = todo_put(
        o->s, k,
        &(struct todo_change){
            .kind = CHANGE_BORN, .n_cells = k.t->n_columns, .column = columns, .value = values});
    assert_ok(store_commit(o->s));
    buf_fini(&b);
    return e;
}

static void queue_born(struct capture_office *o, const char *table, const char *id, int64_t v)
{
    assert_ok(queue_birth(o, table, id, value_integer(v)));
}

static const struct dot none = {0, 0}, held = {9, 4}, dead = {9, 5};

/* On record at key 'x': the birth that stands, without a name; one held, 9:4, with values of its
 * own; one dead, 9:5. */
static void put_record(struct capture_office *o)
{
    struct arena a = {0};
    struct buf b = {0};
    struct value own[] = {value_text("x"), value_integer(100), value_text("ha"), value_text("hb"),
                          value_text("hc")};
    struct version gone = {dead, 7, value_integer(0)};
    struct row row = {.n_births = 3, .births = arena_alloc(&a, 3 * sizeof *row.births)};
    row.births[1] = (struct birth){
        .name = held, .hlc = 5, .base = held, .base_hlc = 5, .values = own, .held = HOLD_BIRTH};
    row.births[2] =
        (struct birth){.name = dead, .hlc = 6, .base = dead, .base_hlc = 6, .values = own};
    birth_set_cell(&a, &row.births[2], COLUMN_EXISTS, &gone, 1);
    assert_committed(o->s, row_save(o->s, &a, key_of(o, &b, "t", "x"), &row, RECORD_NONE));
    buf_fini(&b);
    arena_fini(&a);
}

/* A queued change is pending, travels with its birth's name, sums as the delta against the present
 * total and groups whole, and is gone once collected. */
static void a_queued_change_travels(void **state)
{
    struct capture_office o;
    open_office(&o);
    assert_false(store_capture_pending(o.s));
    assert_ok(queue(&o, "y", none, CHANGE_UPDATE, S, value_integer(25)));
    assert_true(store_capture_pending(o.s));
    assert_string_equal(office_collect(&o), "t update 'y' s=+5\n");
    assert_ok(queue(&o, "y", none, CHANGE_UPDATE, A, value_integer(7)));
    assert_ok(queue(&o, "y", none, CHANGE_UPDATE, C, value_integer(8)));
    assert_string_equal(office_collect(&o), "t update 'y' a=7 b=2 c=8\n");
    assert_ok(queue(&o, "y", none, CHANGE_DELETE, ID, value_null()));
    assert_string_equal(office_collect(&o), "t delete 'y'\n");
    assert_string_equal(office_collect(&o), "");
    capture_office_close(&o);
}

/* Other births of the key are named; their totals and members are their own. One that all agree is
 * dead is let go: who has forgotten it could not take the change. */
static void a_held_birth_is_changed_by_name(void **state)
{
    struct capture_office o;
    open_office(&o);
    put_record(&o);
    assert_ok(queue(&o, "x", held, CHANGE_UPDATE, S, value_integer(90)));
    assert_ok(queue(&o, "x", held, CHANGE_UPDATE, B, value_integer(7)));
    assert_ok(queue(&o, "x", none, CHANGE_UPDATE, S, value_text("abc")));
    assert_string_equal(office_collect(&o),
                        "t update 'x' s=-10 a='ha' b=7 @9:4\nt update 'x' s='abc'\n");
    assert_ok(queue(&o, "x", held, CHANGE_UPDATE, C, value_integer(1)));
    assert_ok(queue(&o, "x", held, CHANGE_DELETE, ID, value_null()));
    assert_string_equal(office_collect(&o), "t delete 'x' @9:4\n");
    assert_ok(queue(&o, "x", dead, CHANGE_UPDATE, ID, value_null()));
    assert_string_equal(office_collect(&o), "");
    assert_false(store_capture_pending(o.s));
    capture_office_close(&o);
}

/* What the application wrote to the birth that stands, and what is queued for it, are one change:
 * of a cell that both name the application's value travels. */
static void one_birth_is_one_change(void **state)
{
    struct capture_office o;
    open_office(&o);
    put_record(&o);
    office_app(&o, "UPDATE t SET s=11, a='app' WHERE id='x';");
    assert_ok(queue(&o, "x", none, CHANGE_UPDATE, S, value_integer(50)));
    assert_ok(queue(&o, "x", none, CHANGE_UPDATE, B, value_text("queued")));
    assert_ok(queue(&o, "x", none, CHANGE_UPDATE, C, value_text("queued")));
    assert_ok(queue(&o, "x", held, CHANGE_DELETE, ID, value_null()));
    assert_string_equal(office_collect(&o),
                        "t update 'x' s=+1 a='app' b=2 c='queued'\nt delete 'x' @9:4\n");
    office_app(&o, "UPDATE t SET c='app' WHERE id='x';");
    assert_ok(queue(&o, "x", none, CHANGE_DELETE, ID, value_null()));
    assert_string_equal(office_collect(&o), "t delete 'x' c='app'\n");
    office_app(&o, "DELETE FROM t WHERE id='y';");
    assert_ok(queue(&o, "y", none, CHANGE_UPDATE, C, value_integer(1)));
    assert_string_equal(office_collect(&o), "t delete 'y'\n");
    assert_false(store_capture_pending(o.s));
    capture_office_close(&o);
}

/* Decisions are told from the application's changes, and know the totals from before both. */
static void decisions_are_known(void **state)
{
    struct capture_office o;
    struct changeset cs = {0};
    struct collected *c;
    open_office(&o);
    put_record(&o);
    office_app(&o, "UPDATE t SET s=11 WHERE id='x'; UPDATE t SET c=4 WHERE id='y';");
    assert_ok(queue(&o, "x", none, CHANGE_UPDATE, C, value_integer(1)));
    assert_ok(queue(&o, "x", held, CHANGE_UPDATE, C, value_integer(1)));
    assert_ok(store_begin(o.s));
    assert_ok(
        store_collect(o.s, &o.a, (struct collect_most){.rows = 100, .bytes = 1 << 20}, &cs, &c));
    assert_ok(store_name_births(o.s, &o.a, &cs, c));
    const struct table_changes *t = &cs.segments[0].tables[0];
    assert_int_equal(t->n_rows, 3);
    assert_true(collect_is_decision(c, 0, 0)); /* x: joined */
    assert_int_equal(collect_old_sums(c, 0, 0)[S].u.i, 10);
    assert_false(collect_is_decision(c, 0, 1)); /* y */
    assert_int_equal(collect_old_sums(c, 0, 1)[S].u.i, 20);
    assert_true(collect_is_decision(c, 0, 2)); /* x, the held one: its name stays */
    assert_true(dot_equal(t->rows[2].birth, held));
    assert_null(collect_old_sums(c, 0, 2));
    store_rollback(o.s);
    collected_free(c);
    assert_true(store_capture_pending(o.s));
    assert_int_equal(office_number(&o, "SELECT count(*) FROM tonle_todo"), 2);
    capture_office_close(&o);
}

/* A queued birth has all its values; a second one of its key, by the application or queued, waits
 * for the next seal, because both would have one name. */
static void two_births_of_a_key_do_not_share_a_changeset(void **state)
{
    struct capture_office o;
    bool cut;
    open_office(&o);
    queue_born(&o, "t", "z", 1);
    assert_string_equal(office_collect(&o), "t born 'z' id='z' s=1 a=1 b=1 c=1\n");
    queue_born(&o, "t", "w", 2);
    queue_born(&o, "t", "w", 3);
    assert_string_equal(office_collect_limited(&o, 100, 1 << 20, &cut),
                        "t born 'w' id='w' s=2 a=2 b=2 c=2\n");
    assert_true(cut);
    assert_string_equal(office_collect(&o), "t born 'w' id='w' s=3 a=3 b=3 c=3\n");
    office_app(&o, "INSERT INTO t(id, c) VALUES('v', 9);");
    queue_born(&o, "t", "v", 4);
    assert_string_equal(office_collect_limited(&o, 100, 1 << 20, &cut),
                        "t born 'v' id='v' s=NULL a=NULL b=NULL c=9\n");
    assert_true(cut);
    assert_string_equal(office_collect(&o), "t born 'v' id='v' s=4 a=4 b=4 c=4\n");
    capture_office_close(&o);
}

/* Queued changes count towards the limits of a seal, and go with their table, parents first; all of
 * them at once, or none, because nobody tells which of them are one decision. */
static void queued_changes_go_together(void **state)
{
    struct capture_office o;
    bool cut;
    open_office(&o);
    office_app(&o, "INSERT INTO q VALUES('1','a');");
    queue_born(&o, "q", "2", 1);
    queue_born(&o, "p", "b", 1);
    queue_born(&o, "p", "a", 1);
    assert_string_equal(office_collect_limited(&o, 3, 1 << 20, &cut), "q born '1' id='1' p='a'\n");
    assert_true(cut);
    assert_string_equal(office_collect_limited(&o, 3, 1 << 20, &cut),
                        "p born 'a' id='a' v=1\np born 'b' id='b' v=1\nq born '2' id='2' p=1\n");
    assert_false(cut);
    for (int i = 0; i < 5; i++) {
        char id[2] = {(char)('c' + i), 0};
        queue_born(&o, "p", id, i);
    }
    assert_non_null(strstr(office_collect_limited(&o, 2, 1 << 20, &cut), "p born 'g'"));
    assert_false(cut);
    capture_office_close(&o);
}

static void put_decision(struct capture_office *o, const char *id)
{
    struct value v[11] = {value_text(id)};
    char sql[200];
    snprintf(sql, sizeof sql,
             "INSERT INTO tonle_decision VALUES('%s','','','','','','','','','',1)", id);
    office_app(o, sql);
    for (int i = 1; i < 10; i++)
        v[i] = value_text("");
    v[10] = value_integer(1);
    assert_ok(store_begin(o->s));
    assert_ok(capture_note(o->s, schema_table(o->s, "tonle_decision"), CHANGE_BORN, 0, v));
    assert_ok(store_commit(o->s));
}

/* A decision's row never follows what it changes: wherever the log is cut, also in the middle of
 * such rows, the queued changes are not before them. */
static void a_decision_is_not_behind_its_changes(void **state)
{
    for (uint32_t most = 1; most <= 6; most++) {
        struct capture_office o;
        bool cut;
        open_office(&o);
        office_app(&o, "INSERT INTO q VALUES('1','a'); INSERT INTO p VALUES('o', 1);");
        put_decision(&o, "d1");
        put_decision(&o, "d2");
        queue_born(&o, "p", "b", 1);
        for (int i = 0; i < 10; i++) {
            const char *text = office_collect_limited(&o, most, 1 << 20, &cut);
            bool changed = strstr(text, "p born 'b'");
            assert_true(changed == !!strstr(text, "tonle_decision born 'd1'"));
            assert_true(changed == !!strstr(text, "tonle_decision born 'd2'"));
            if (!cut)
                break;
        }
        assert_false(store_capture_pending(o.s));
        capture_office_close(&o);
    }
}

/* What is gone when its turn comes changes nothing, and is not kept. */
static void what_is_gone_is_let_go(void **state)
{
    struct capture_office o;
    open_office(&o);
    assert_ok(queue(&o, "nobody", none, CHANGE_UPDATE, C, value_integer(1)));
    assert_ok(queue(&o, "nobody", held, CHANGE_DELETE, ID, value_null()));
    assert_string_equal(office_collect(&o), "");
    queue_born(&o, "q", "1", 1);
    office_publish(&o, "0000000010", "{\"tables\":[{\"name\":\"t\"}]}");
    office_install(&o);
    assert_true(store_capture_pending(o.s));
    assert_string_equal(office_collect(&o), "");
    assert_false(store_capture_pending(o.s));
    capture_office_close(&o);
}

/* A name that was forgotten since means the birth that lost its name. */
static void a_forgotten_name_is_the_unnamed_birth(void **state)
{
    struct capture_office o;
    open_office(&o);
    assert_ok(queue(&o, "y", held, CHANGE_UPDATE, C, value_integer(1)));
    assert_string_equal(office_collect(&o), "t update 'y' c=1\n");
    capture_office_close(&o);
}

/* What no changeset could carry is refused when it is queued, in words. */
static void what_cannot_be_sent_is_not_queued(void **state)
{
    static uint8_t big[LIMIT_VALUE_BYTES + 1];
    struct capture_office o;
    open_office(&o);
    struct value v = value_bytes(VALUE_BLOB, big, sizeof big);
    assert_err(queue(&o, "y", none, CHANGE_UPDATE, C, v), ERR_LIMIT);
    assert_non_null(strstr(store_message(o.s), "c has 8388609 bytes"));
    v = value_wide(&o.a, (__int128)1 << 70);
    assert_err(queue_birth(&o, "t", "y", v), ERR_REFUSED);
    assert_non_null(strstr(store_message(o.s), "give it a value with --set "));
    assert_false(store_capture_pending(o.s));
    capture_office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queued_change_travels),
        cmocka_unit_test(a_held_birth_is_changed_by_name),
        cmocka_unit_test(one_birth_is_one_change),
        cmocka_unit_test(decisions_are_known),
        cmocka_unit_test(two_births_of_a_key_do_not_share_a_changeset),
        cmocka_unit_test(queued_changes_go_together),
        cmocka_unit_test(a_decision_is_not_behind_its_changes),
        cmocka_unit_test(what_is_gone_is_let_go),
        cmocka_unit_test(a_forgotten_name_is_the_unnamed_birth),
        cmocka_unit_test(what_cannot_be_sent_is_not_queued),
    };
    return check_run(tests);
}
