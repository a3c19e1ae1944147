/* A random application writes to a table; the collected net effect, applied to a copy of the old
 * state, gives exactly the new state; a row that lost its key is held as it was. Of a sum column
 * the deltas add up to it; where the application wrote no number, or NULL, the table is put to the
 * total, as applying a seal does. */
#include "tests/lib/check.h"
#include "tests/lib/rooms.h"
#include "tests/unit/capture/fixture.h"

#include <stdio.h>
#include <string.h>

static uint64_t seed;

static uint32_t draw(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

static const char *const conflict_clause[] = {"", "OR REPLACE ", "OR IGNORE ", "OR FAIL ",
                                              "OR REPLACE "};

static const char *any_value(void)
{
    static const char *const values[] = {"NULL",
                                         "''",
                                         "0",
                                         "1",
                                         "1.0",
                                         "'1'",
                                         "'a'",
                                         "'A'",
                                         "x'61'",
                                         "2",
                                         "'b'",
                                         "x''",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "1e999",
                                         "'é'"};
    return values[draw(sizeof values / sizeof *values)];
}

/* Columns a, b, c, d of every schema; keys and unique values come from a small pool so that they
 * meet. */
static void statement(struct buf *b, const char *key)
{
    const char *clause = conflict_clause[draw(5)];
    uint32_t kind = draw(12);
    if (kind < 5)
        buf_printf(b, "INSERT %sINTO t(a,b,c,d) VALUES(%s,%s,%s,%s);\n", clause, any_value(),
                   any_value(), any_value(), any_value());
    else if (kind < 7)
        buf_printf(b, "UPDATE %st SET %c=%s WHERE %c IS %s;\n", clause, "abcd"[draw(4)],
                   any_value(), key[0], any_value());
    else if (kind < 8)
        buf_printf(b, "UPDATE %st SET %c=%s, d=%s;\n", clause, "abcd"[draw(4)], any_value(),
                   any_value());
    else if (kind < 9)
        buf_printf(b, "DELETE FROM t WHERE %c IS %s;\n", "abcd"[draw(4)], any_value());
    else if (kind < 10)
        buf_printf(b,
                   "INSERT INTO t(a,b,c,d) VALUES(%s,%s,%s,%s) ON CONFLICT DO UPDATE SET d=%s, "
                   "c=excluded.c;\n",
                   any_value(), any_value(), any_value(), any_value(), any_value());
    else if (kind < 11)
        buf_printf(b,
                   "SAVEPOINT s; DELETE FROM t WHERE d IS %s; UPDATE t SET b=%s WHERE a IS %s; %s "
                   "s; RELEASE s;\n",
                   any_value(), any_value(), any_value(),
                   draw(2) ? "ROLLBACK TO" : "SAVEPOINT r; RELEASE");
    else
        buf_printf(b, "INSERT %sINTO t(a,b,c,d) SELECT b,a,d,c FROM t;\n", clause);
}

static void count_events(struct buf *b)
{
    uint32_t n = draw(9);
    switch (draw(4)) {
    case 0:
        buf_printf(b, "UPDATE t SET c=c+%u WHERE a IS %s;\n", n, any_value());
        break;
    case 1:
        buf_printf(b, "UPDATE t SET c=coalesce(c,0)-%u;\n", n);
        break;
    case 2:
        buf_printf(b,
                   "INSERT INTO t(a,b,c,d) VALUES(%s,%s,%u,1) ON CONFLICT DO UPDATE SET "
                   "c=c+excluded.c;\n",
                   any_value(), any_value(), n);
        break;
    default:
        buf_printf(b, "UPDATE t SET c=%s, d=%s WHERE a IS %s;\n", any_value(), any_value(),
                   any_value());
    }
}

/* The rows of a table that have an identity, sorted, with types. */
static char *dump(struct capture_office *o, const char *table, const char *known)
{
    char sql[400];
    int status;
    snprintf(
        sql, sizeof sql,
        "SELECT quote(a)||typeof(a)||quote(b)||typeof(b)||quote(c)||typeof(c)||quote(d)||typeof(d)"
        " AS r FROM %s WHERE %s ORDER BY 1;",
        table, known);
    return office_app_output(o, sql, &status);
}

static void run(struct capture_office *o, const char *sql, const struct value *v, uint32_t n)
{
    if (query_run(o->s, sql, n, v) != ERR_OK)
        fail_msg("%s: %s", sql, store_message(o->s));
}

static void key_where(struct buf *b, const struct table_changes *t, uint32_t first)
{
    for (uint32_t i = 0; i < t->n_key; i++)
        buf_printf(b, "%s%s = ?%u COLLATE BINARY", i ? " AND " : " WHERE ", t->columns[t->key[i]],
                   first + i);
}

#define SUM 2 /* column c, where the schema has rules */

static struct value total_of(struct capture_office *o, const struct table_changes *t,
                             const struct value *key)
{
    struct buf b = {0};
    buf_printf(&b, "SELECT c FROM copy");
    key_where(&b, t, 1);
    struct query q = query_of(o->s, buf_str(&b), t->n_key, key);
    assert_true(query_next(&q));
    struct value v = query_value(&q, &o->a, 0);
    assert_store_ok(o->s, query_end(&q));
    buf_fini(&b);
    return v;
}

static void set_sum(struct capture_office *o, const char *table, const struct table_changes *t,
                    const struct value *key, struct value total)
{
    struct buf b = {0};
    struct value v[16] = {total};
    buf_printf(&b, "UPDATE %s SET c = ?1", table);
    key_where(&b, t, 2);
    memcpy(v + 1, key, t->n_key * sizeof *key);
    run(o, buf_str(&b), v, 1 + t->n_key);
    buf_fini(&b);
}

/* After a change of row r: the total is the copy's, the delta added to it, and the table shows it.
 */
static void settle_sum(struct capture_office *o, const struct table_changes *t,
                       const struct row_change *r, struct value before)
{
    for (uint32_t i = 0; i < r->n_cells; i++) {
        struct value v = r->value[i];
        if (r->column[i] != SUM || r->kind == CHANGE_DELETE)
            continue;
        if (v.type == VALUE_WIDE)
            v = value_total(&o->a, value_count(&before) + value_count(&v));
        else if (r->kind == CHANGE_UPDATE || !value_is_count(&v))
            v = before;
        assert_true(v.type == VALUE_NULL || v.type == VALUE_INTEGER);
        set_sum(o, "copy", t, r->key, v);
        set_sum(o, "t", t, r->key, v);
    }
}

/* Checks each change against the copy, too: a birth must find nothing, an update and a delete one
 * row. */
static void apply_step(struct capture_office *o, const struct table_changes *t,
                       const struct row_change *r)
{
    struct buf b = {0};
    struct value v[16];
    uint32_t n = 0;
    if (r->kind == CHANGE_BORN) {
        assert_int_equal(r->n_cells, t->n_columns);
        run(o, "INSERT INTO copy VALUES(?1,?2,?3,?4)", r->value, r->n_cells);
        return;
    }
    buf_printf(&b, r->kind == CHANGE_DELETE ? "DELETE FROM copy" : "UPDATE copy SET");
    for (uint32_t i = 0; r->kind == CHANGE_UPDATE && i < r->n_cells; i++) {
        buf_printf(&b, "%s %s = ?%u", i ? "," : "", t->columns[r->column[i]], n + 1);
        v[n++] = r->value[i].type == VALUE_WIDE ? value_null() : r->value[i];
    }
    key_where(&b, t, n + 1);
    for (uint32_t i = 0; i < t->n_key; i++)
        v[n++] = r->key[i];
    run(o, buf_str(&b), v, n);
    assert_int_equal(db_changes(o->s), 1);
    buf_fini(&b);
}

static void collect_into_copy(struct capture_office *o, uint32_t max_rows, bool sums)
{
    bool cut = true;
    while (cut) {
        struct changeset cs = {0};
        struct collected *c;
        arena_reset(&o->a);
        assert_ok(store_begin(o->s));
        enum err e = store_collect(
            o->s, &o->a, (struct collect_most){.rows = max_rows, .bytes = 1 << 20}, &cs, &c);
        if (e != ERR_OK && e != ERR_NOT_FOUND)
            fail_msg("%s", store_message(o->s));
        for (uint32_t i = 0; e == ERR_OK && i < cs.segments[0].n_tables; i++) {
            const struct table_changes *t = &cs.segments[0].tables[i];
            assert_true(t->n_rows <= max_rows);
            for (uint32_t r = 0; r < t->n_rows; r++) {
                struct value before = value_null();
                const struct value *old = collect_old_sums(c, i, r);
                assert_int_equal(!!old, sums && t->rows[r].kind != CHANGE_BORN);
                if (old) {
                    before = total_of(o, t, t->rows[r].key);
                    assert_true(value_equal(&old[SUM], &before));
                }
                apply_step(o, t, &t->rows[r]);
                if (sums)
                    settle_sum(o, t, &t->rows[r], before);
            }
        }
        assert_ok(store_collect_done(o->s, c, 1));
        assert_ok(store_commit(o->s));
        collected_free(c);
        cut = cs.cut;
    }
    assert_false(store_capture_pending(o->s));
}

/* The rows that are held: one that lost its key stands in the copy, and not in the table. */
static void note_held(struct capture_office *o, const char *key)
{
    arena_reset(&o->a);
    run(o, "DELETE FROM held", NULL, 0);
    struct query q = DB_QUERY(o->s, "SELECT k FROM tonle_held WHERE reason <> 'limit'");
    while (query_next(&q)) {
        struct bytes k = query_bytes(&q, &o->a, 0);
        struct value v[2] = {value_null(), value_null()};
        assert_ok(key_decode(k.p, k.len, v, strlen(key)));
        run(o, "INSERT INTO held VALUES(?1, ?2)", v, 2);
    }
    assert_store_ok(o->s, query_end(&q));
}

static const char *not_held(char sql[200], const char *key)
{
    if (key[1])
        snprintf(sql, 200,
                 "NOT EXISTS (SELECT 1 FROM held WHERE x = %c COLLATE BINARY AND y = %c COLLATE"
                 " BINARY)",
                 key[0], key[1]);
    else
        snprintf(sql, 200, "NOT EXISTS (SELECT 1 FROM held WHERE x = %c COLLATE BINARY)", key[0]);
    return sql;
}

struct drawn_schema {
    const char *sql, *key /* its columns */, *known;
    const char *later; /* c is a sum; and this is made after the capture triggers */
};
static const struct drawn_schema schemas[] = {
    {"CREATE TABLE t(a PRIMARY KEY NOT NULL, b UNIQUE, c, d);", "a", "1", NULL},
    {"CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT COLLATE NOCASE UNIQUE, c INTEGER, d REAL);", "a",
     "1", NULL},
    {"CREATE TABLE t(a TEXT, b NUMERIC, c UNIQUE ON CONFLICT REPLACE, d, PRIMARY KEY(b, a)) "
     "WITHOUT ROWID;",
     "ba", "1", NULL},
    {"CREATE TABLE t(a TEXT COLLATE NOCASE PRIMARY KEY, b, c, d); CREATE UNIQUE INDEX u ON "
     "t(lower(b)) WHERE c = 1;",
     "a", "a IS NOT NULL", NULL},
    {"CREATE TABLE t(a, b NOT NULL DEFAULT 'a', c, d, g AS (b||c) UNIQUE, PRIMARY KEY(a, d));",
     "ad", "a IS NOT NULL AND d IS NOT NULL", NULL},
    {"CREATE TABLE t(a PRIMARY KEY NOT NULL, b, c, d); CREATE UNIQUE INDEX u ON t(c = '1', b "
     "COLLATE NOCASE);"
     "CREATE TABLE l(x); CREATE TRIGGER ta AFTER UPDATE ON t BEGIN UPDATE t SET d=NEW.c WHERE "
     "a=NEW.a; END;"
     "CREATE TRIGGER tb BEFORE INSERT ON t WHEN NEW.d=2 BEGIN DELETE FROM t WHERE b IS NEW.b; END;",
     "a", "1", NULL},
    {"CREATE TABLE t(a PRIMARY KEY NOT NULL, b UNIQUE, c, d);", "a", "1",
     "CREATE TRIGGER z AFTER UPDATE ON t WHEN NEW.c BETWEEN -9 AND 9 BEGIN"
     " UPDATE t SET d=NEW.a, c=c+20 WHERE a IS NEW.a COLLATE BINARY; END;"
     "CREATE TRIGGER y AFTER INSERT ON t BEGIN"
     " UPDATE t SET d=NEW.a WHERE a IS NEW.a COLLATE BINARY; END;"},
    {"CREATE TABLE t(a TEXT, b NUMERIC, c INTEGER, d UNIQUE, PRIMARY KEY(b, a)) WITHOUT ROWID;",
     "ba", "1", ""},
};
static const char rules[] =
    "{\"tables\":[{\"name\":\"t\",\"columns\":[{\"name\":\"a\"},{\"name\":\"b\"},"
    "{\"name\":\"c\",\"policy\":\"sum\"},{\"name\":\"d\"}]}]}";

static void twin(const struct drawn_schema *schema, uint32_t rounds, uint32_t max_rows)
{
    struct capture_office o;
    capture_office_open(&o, schema->sql, "t");
    office_app(&o, "CREATE TABLE copy(a, b, c, d); CREATE TABLE held(x, y);");
    if (schema->later) {
        office_publish(&o, "0000000002", rules);
        office_install(&o);
        office_app(&o, schema->later);
    }
    for (uint32_t i = 0; i < rounds; i++) {
        struct buf b = {0};
        int status;
        uint64_t at = seed;
        for (uint32_t n = 1 + draw(25); n > 0; n--) {
            if (schema->later && draw(3) == 0)
                count_events(&b);
            else
                statement(&b, schema->key);
        }
        free(office_app_output(&o, buf_str(&b), &status));
        collect_into_copy(&o, max_rows, schema->later);
        char where[200];
        note_held(&o, schema->key);
        char *is = dump(&o, "copy", not_held(where, schema->key)),
             *should = dump(&o, "t", schema->known);
        if (strcmp(is, should) != 0) {
            fprintf(stderr, "%s\n%s\nis\n%s\nshould be\n%s\n", schema->sql, buf_str(&b), is,
                    should);
            fail_msg("seed %llu", (unsigned long long)at);
        }
        free(is);
        free(should);
        buf_fini(&b);
    }
    capture_office_close(&o);
}

/* Whatever statements a random application runs, the collected changes carry its table over
 * exactly. */
static void net_effect_carries_the_table_over(void **state)
{
    const char *text = getenv("TONLE_SEED");
    seed = text ? strtoull(text, NULL, 10) : 20240131;
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
        twin(&schemas[i], 8, 5000);
}

/* The same when every collect is cut to a few rows. */
static void a_cut_log_carries_the_table_over(void **state)
{
    seed = 7;
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
        twin(&schemas[i], 4, 2);
}

/* A log too big for one seal is indexed, sealed in pieces, each with all events of its keys, and
 * the index goes with the last. */
static void a_big_log_carries_the_table_over(void **state)
{
    struct capture_office o;
    const char *count =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name GLOB 'tonle_lkey_*'";
    bool cut;
    capture_office_open(&o, "CREATE TABLE t(a TEXT PRIMARY KEY NOT NULL, b, c, d);", "t");
    office_app(&o, "CREATE TABLE copy(a, b, c, d); CREATE INDEX ca ON copy(a); INSERT INTO t "
                   "VALUES('0',1,1,1),('x',1,1,1);"
                   "INSERT INTO copy SELECT * FROM t;");
    office_collect(&o);
    office_app(&o, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)"
                   " INSERT OR REPLACE INTO t SELECT i % 15000, i, 'v', NULL FROM n;"
                   "UPDATE t SET c='later', d=a WHERE a % 3 = 0; DELETE FROM t WHERE a % 7 = 1; "
                   "UPDATE t SET a='y'||a WHERE a % 11 = 5;");
    office_collect_limited(&o, 0, 1, &cut);
    assert_true(cut);
    assert_int_equal(office_number(&o, count), 1);
    assert_true(store_capture_check(o.s));
    collect_into_copy(&o, 4000, false);
    assert_int_equal(office_number(&o, count), 0);
    char *is = dump(&o, "copy", "1"), *should = dump(&o, "t", "1");
    assert_true(strcmp(is, should) == 0);
    free(is);
    free(should);
    capture_office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(net_effect_carries_the_table_over),
        cmocka_unit_test(a_cut_log_carries_the_table_over),
        cmocka_unit_test(a_big_log_carries_the_table_over),
    };
    return check_run(tests);
}
