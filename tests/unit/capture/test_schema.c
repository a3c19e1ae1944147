#include "conflict/value.h"
#include "node/schema/info.h"
#include "tests/lib/check.h"
#include "tests/lib/rooms.h"
#include "tests/unit/capture/fixture.h"

#include <stdio.h>
#include <string.h>

/* ---- reading SQL text ---- */

/* Index definitions are split at top-level commas; quotes, comments, parentheses, ASC and DESC, and
 * the predicate are understood. */
static void index_texts_are_taken_apart(void **state)
{
    static const struct {
        const char *sql, *parts, *predicate;
    } cases[] = {
        {"CREATE UNIQUE INDEX i ON t(a)", "a", NULL},
        {"CREATE INDEX \"i(\" ON [t,(](a, b DESC , \"c,d\" COLLATE NOCASE ASC)",
         "a|b|\"c,d\" COLLATE NOCASE", NULL},
        {"CREATE INDEX i ON t(f(a,b), 'x,)''' || c /* , ) */, -- , )\n (d))WHERE a > 1 AND b=')' ;",
         "f(a,b)|'x,)''' || c|(d)", " a > 1 AND b=')'"},
        {"CREATE INDEX i ON t(`a``,` , \"desc\") where \"x\" -- end", "`a``,`|\"desc\"", " \"x\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a = {0};
        struct index_sql x;
        struct buf b = {0};
        assert_true(sql_index(&a, cases[i].sql, &x));
        for (uint32_t k = 0; k < x.n; k++)
            buf_printf(&b, "%s%s", k ? "|" : "", x.part[k]);
        assert_string_equal(buf_str(&b), cases[i].parts);
        if (cases[i].predicate)
            assert_string_equal(x.predicate, cases[i].predicate);
        else
            assert_null(x.predicate);
        buf_fini(&b);
        arena_fini(&a);
    }
}

/* The expression of a generated column is found by the column's name, however it is quoted. */
static void generated_expressions_are_found(void **state)
{
    struct arena a = {0};
    const char *sql = "CREATE TABLE t(a, \"g \"\"1\" TEXT GENERATED ALWAYS AS (a || ',)' || "
                      "f(a,2)) STORED, h AS(a+1),"
                      "CHECK (a AS))";
    assert_string_equal(sql_generated(&a, sql, "g \"1"), "a || ',)' || f(a,2)");
    assert_string_equal(sql_generated(&a, sql, "H"), "a+1");
    assert_null(sql_generated(&a, sql, "a"));
    assert_null(sql_generated(&a, sql, "none"));
    arena_fini(&a);
}

/* CHECKs of columns and of the table are found, with their names; what only looks like one is not.
 */
static void checks_are_found(void **state)
{
    static const struct {
        const char *sql, *found;
    } cases[] = {
        {"CREATE TABLE t(a, b)", ""},
        {"CREATE TABLE t(a CHECK (a > 0), b TEXT CONSTRAINT \"b's\" CHECK(b<>')') NOT NULL)",
         "-:a > 0;\"b's\":b<>')';"},
        {"CREATE TABLE \"CHECK(\"(a DEFAULT (check_it(1)) CHECK (a IN (1,2,(3))), -- CHECK (no)\n"
         " \"CHECK\" TEXT, /* CHECK (no) */ [check] TEXT DEFAULT 'CHECK (no)',"
         " CONSTRAINT one NOT NULL, CHECK(a /* , ) */ < \"CHECK\" -- )\n))",
         "-:a IN (1,2,(3));-:a /* , ) */ < \"CHECK\" -- )\n;"},
        {"CREATE TABLE t(a, constraint span\n check\n(a < b), b AS (a) CHECK (b = 1), c CHECK(1) "
         "CHECK(2)) WITHOUT ROWID",
         "span:a < b;-:b = 1;-:1;-:2;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a = {0};
        struct check_sql *c;
        uint32_t n;
        struct buf b = {0};
        sql_checks(&a, cases[i].sql, &c, &n);
        for (uint32_t k = 0; k < n; k++)
            buf_printf(&b, "%s:%s;", c[k].name ? c[k].name : "-", c[k].expression);
        assert_string_equal(buf_str(&b), cases[i].found);
        buf_fini(&b);
        arena_fini(&a);
    }
}

/* ---- claims ---- */

static const char *claim_of(struct capture_office *o, const char *table, uint32_t index,
                            const struct value *columns)
{
    struct table_schema *t = schema_table(o->s, table);
    struct buf b = {0};
    struct query q = query_of(o->s, t->unique[index].claim_sql, t->n_columns, columns);
    bool row = query_next(&q);
    struct value v[8];
    uint32_t n = t->unique[index].n;
    for (uint32_t i = 0; row && i < n; i++) {
        v[i] = query_value(&q, &o->a, (int)i);
        buf_printf(&b, i ? "," : "");
        value_print(&b, &v[i]);
    }
    assert_store_ok(o->s, query_end(&q));
    if (row) { /* and who is in the way */
        q = query_of(o->s, t->unique[index].blocker_sql, n, v);
        buf_printf(&b, " blocked by");
        while (query_next(&q))
            buf_printf(&b, " %s", query_borrow_text(&q, 0));
        assert_store_ok(o->s, query_end(&q));
    }
    free(o->text);
    o->text = strdup(row ? buf_str(&b) : "no claim");
    buf_fini(&b);
    return o->text;
}

/* Plain, composite, NOCASE, partial, expression and generated-column indexes make the claims that
 * SQLite's own uniqueness would make; a NULL or a row outside the predicate makes none. */
static void claims_follow_the_indexes(void **state)
{
    struct capture_office o;
    struct value v[4] = {value_text("new"), value_text("X"), value_text("1"), value_integer(5)};
    capture_office_open(
        &o,
        "CREATE TABLE t(k TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT, c, l AS (lower(g)) "
        "STORED, g AS (b || '-' || c));"
        "CREATE UNIQUE INDEX i0 ON t(c, a COLLATE NOCASE); CREATE UNIQUE INDEX i1 ON t(a) "
        "WHERE b = 1;"
        "CREATE UNIQUE INDEX i2 ON t(lower(a), b DESC); CREATE UNIQUE INDEX i3 ON t(l) "
        "WHERE g IS NOT NULL;"
        "INSERT INTO t(k,a,b,c) VALUES('old','x','1',5),('other','X','2',6);",
        "t");
    struct table_schema *t = schema_table(o.s, "t");
    assert_int_equal(t->n_columns, 4);
    assert_int_equal(t->n_unique, 4);
    assert_string_equal(claim_of(&o, "t", 0, v), "5,'X' blocked by old");
    assert_string_equal(claim_of(&o, "t", 1, v), "'X' blocked by");
    assert_string_equal(claim_of(&o, "t", 2, v), "'x','1' blocked by old");
    assert_string_equal(claim_of(&o, "t", 3, v), "'1-5' blocked by old");
    assert_string_equal(t->unique[0].collation[1], "NOCASE");
    assert_int_equal(t->unique[3].n_columns, 2); /* b and c, through g */
    assert_int_equal(t->unique[3].columns[0], 2);
    assert_int_equal(t->n_unique_columns, 4);
    v[2] = value_text("2");
    assert_string_equal(claim_of(&o, "t", 1, v), "no claim");
    v[1] = value_null();
    assert_string_equal(claim_of(&o, "t", 0, v), "no claim");
    v[2] = value_null();
    assert_string_equal(claim_of(&o, "t", 3, v), "no claim");
    capture_office_close(&o);
}

/* A primary key is a unique index where its collation folds more than identity; an index over a
 * column that is only here is not shared. */
static void folding_keys_are_claims_and_local_indexes_are_not(void **state)
{
    struct capture_office o;
    struct value v[1] = {value_text("A")};
    capture_office_open(
        &o,
        "CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, a UNIQUE, b UNIQUE); "
        "INSERT INTO t VALUES('a',1,2);",
        "");
    office_publish(&o, "0000000002",
                   "{\"tables\":[{\"name\":\"t\",\"key\":[\"k\"],\"columns\":[{\"name\":\"a\","
                   "\"policy\":\"max\"},{\"name\":\"k\"}]}]}");
    office_install(&o);
    struct table_schema *t = schema_table(o.s, "t");
    assert_true(t->exists);
    assert_int_equal(t->n_unique, 2);
    assert_int_equal(t->policy[0], POLICY_MAX);
    assert_int_equal(t->key[0], 1);
    struct value both[2] = {value_null(), v[0]};
    uint32_t k = strcmp(t->unique[0].collation[0], "NOCASE") == 0 ? 0 : 1;
    assert_string_equal(claim_of(&o, "t", k, both), "'A' blocked by a");
    office_app(&o, "UPDATE t SET b=7;");
    assert_false(store_capture_pending(o.s));
    capture_office_close(&o);
}

/* Foreign keys between replicated tables, with the implicit parent key, and the order they give. */
static void references_and_depths_are_read(void **state)
{
    struct capture_office o;
    capture_office_open(
        &o,
        "CREATE TABLE c(id TEXT PRIMARY KEY NOT NULL, x TEXT, y TEXT, z REFERENCES local, "
        "s REFERENCES c, FOREIGN KEY(x,y) REFERENCES b);"
        "CREATE TABLE b(p TEXT, q TEXT, r REFERENCES a(u), PRIMARY KEY(q,p)) WITHOUT ROWID;"
        "CREATE TABLE a(id TEXT PRIMARY KEY NOT NULL, u TEXT COLLATE NOCASE UNIQUE); "
        "CREATE TABLE local(id PRIMARY KEY);"
        "CREATE TABLE r1(id TEXT PRIMARY KEY NOT NULL, o REFERENCES r2); CREATE TABLE "
        "r2(id TEXT PRIMARY KEY NOT NULL, o REFERENCES r1);",
        "c,b,a,r1,r2");
    assert_int_equal(schema_table(o.s, "a")->depth, 0);
    assert_int_equal(schema_table(o.s, "b")->depth, 1);
    assert_int_equal(schema_table(o.s, "c")->depth, 2);
    assert_int_equal(o.s->schema->n_fks, 5);
    for (uint32_t i = 0; i < o.s->schema->n_fks; i++) {
        struct foreign_key *fk = &o.s->schema->fks[i];
        enum err e;
        assert_true(db_compiles(o.s, fk->parent_sql, &e));
        assert_true(db_compiles(o.s, fk->children_sql, &e));
        if (fk->n == 2) { /* (x,y) -> (q,p) */
            assert_int_equal(fk->parent_column[0], 1);
            assert_int_equal(fk->parent_column[1], 0);
        }
    }
    capture_office_close(&o);
}

/* Keys go to JSON and come back, whatever they hold. */
static void keys_go_to_json_and_back(void **state)
{
    struct capture_office o;
    capture_office_open(
        &o, "CREATE TABLE t(a, b, PRIMARY KEY(b,a)); CREATE TABLE u(k TEXT PRIMARY KEY NOT NULL);",
        "t,u");
    struct table_schema *t = schema_table(o.s, "t"), *u = schema_table(o.s, "u");
    struct value v[] = {value_integer(INT64_MIN),
                        value_real(0.1),
                        value_real(1e300 * 1e300),
                        value_text("ក\"x"),
                        value_bytes(VALUE_TEXT, "a\0b", 3),
                        value_bytes(VALUE_TEXT, "\xff", 1),
                        value_bytes(VALUE_BLOB, "\x00\x61", 2),
                        value_text("")};
    for (size_t i = 0; i + 1 < sizeof v / sizeof *v; i++) {
        struct buf key = {0}, back = {0};
        schema_key_encode(t, &v[i], &key);
        char *json = schema_key_json(&o.a, t, key.data, key.len);
        assert_int_equal(schema_key_parse(o.s, &o.a, t, json, &back), ERR_OK);
        assert_int_equal(key.len, back.len);
        assert_memory_equal(key.data, back.data, key.len);
        buf_fini(&key);
        buf_fini(&back);
    }
    struct buf key = {0}, other = {0};
    assert_int_equal(schema_key_parse(o.s, &o.a, u, "12", &key), ERR_OK); /* digits of a TEXT key */
    assert_string_equal(schema_key_json(&o.a, u, key.data, key.len), "\"12\"");
    assert_int_equal(schema_key_parse(o.s, &o.a, u, "KH-1", &other), ERR_OK);
    assert_string_equal(schema_key_json(&o.a, u, other.data, other.len), "\"KH-1\"");
    static const char *const bad[] = {
        "1", "[1]", "[1,null]", "[1,2,3]", "{\"hex\":\"0\"}", "[1,{\"hex\":\"0g\"}]", "x", "[1,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(schema_key_parse(o.s, &o.a, t, bad[i], &key), ERR_USAGE);
    buf_fini(&key);
    buf_fini(&other);
    capture_office_close(&o);
}

/* ---- what is said of a schema ---- */

/* `part` NULL: nothing of this level. */
static bool has_finding(struct finding *f, size_t n, const char *level, const char *part)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        bool of_level = strcmp(f[i].level, level) == 0;
        any = any || of_level;
        if (of_level && part && strstr(f[i].text, part))
            return true;
    }
    if (!part && !any)
        return true;
    for (size_t i = 0; i < n; i++)
        print_error("%s %s: %s\n", f[i].level, f[i].subject, f[i].text);
    return false;
}

/* Completes a charter in its published form. */
static void complete(struct capture_office *o, const char *json, const char **completed,
                     struct finding **f, size_t *n)
{
    struct charter c;
    char msg[CHARTER_MSG_BYTES];
    if (charter_read(&o->a, json, strlen(json), &c, msg) != ERR_OK)
        fail_msg("%s", msg);
    if (store_schema_complete(o->s, &o->a, &c, &c, f, n) != ERR_OK)
        fail_msg("%s", store_message(o->s));
    assert_int_equal(charter_write(&o->a, &c, completed), ERR_OK);
}

/* Integer keys with AUTOINCREMENT are given out in blocks unless the file says otherwise, and the
 * published charter says so; of other keys it says nothing. */
static void keys_are_published_as_blocks(void **state)
{
    static const struct {
        const char *schema, *table, *wanted;
    } cases[] = {
        {"id INTEGER PRIMARY KEY AUTOINCREMENT", "", "\"keys\":\"blocks\""},
        {"id INTEGER PRIMARY KEY AUTOINCREMENT", ",\"write\":\"national\"",
         "\"key_blocks\":{\"count\":4096,\"size\":1024}"},
        {"id INTEGER PRIMARY KEY AUTOINCREMENT", ",\"keys\":\"natural\"", "\"keys\":\"natural\""},
        {"id INTEGER PRIMARY KEY", ",\"write\":\"national\"", NULL},
        {"id TEXT PRIMARY KEY NOT NULL", "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct capture_office o;
        struct finding *f;
        size_t n;
        const char *completed;
        struct buf schema = {0}, charter = {0};
        buf_printf(&schema, "CREATE TABLE t(%s, v);", cases[i].schema);
        buf_printf(&charter, "{\"federation\":\"x\",\"tables\":[{\"name\":\"t\"%s}]}",
                   cases[i].table);
        capture_office_open(&o, buf_str(&schema), "");
        complete(&o, buf_str(&charter), &completed, &f, &n);
        assert_true(cases[i].wanted ? !!strstr(completed, cases[i].wanted)
                                    : !strstr(completed, "\"keys\":"));
        assert_true(!!strstr(completed, "key_blocks") == !!strstr(completed, "\"blocks\""));
        buf_fini(&schema);
        buf_fini(&charter);
        capture_office_close(&o);
    }
}

static void check_findings(const char *schema, const char *tables, const char *level,
                           const char *part)
{
    struct capture_office o;
    struct finding *f;
    size_t n;
    struct buf b = {0};
    const char *completed;
    capture_office_open(&o, schema, "");
    buf_printf(&b, "{\"federation\":\"x\",\"tables\":[%s]}", tables);
    state_set_ready(o.s, false); /* as before `hub init` */
    complete(&o, buf_str(&b), &completed, &f, &n);
    state_set_ready(o.s, true);
    assert_true(has_finding(f, n, level, part));
    buf_fini(&b);
    capture_office_close(&o);
}

/* Everything that stands in the way of replication is said, with its level. */
static void findings_say_what_stands_in_the_way(void **state)
{
    const char *t = "{\"name\":\"t\"}";
    const char *good = "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v);";
    char sql[600];
    check_findings(good, t, "ok", "can be replicated");
    check_findings(good, "{\"name\":\"T1\"}", "fail", "did you mean t?");
    check_findings("CREATE TABLE resident(id TEXT PRIMARY KEY NOT NULL);",
                   "{\"name\":\"residant\"}", "fail", "did you mean resident?");
    check_findings(good, "{\"name\":\"t\",\"columns\":[{\"name\":\"w\"}]}", "fail",
                   "column t.w is not in this database; did you mean v?");
    check_findings("CREATE TABLE t(id TEXT, v);", t, "fail", "no PRIMARY KEY");
    check_findings("CREATE TABLE t(id INTEGER PRIMARY KEY, v);", t, "fail",
                   "lone INTEGER PRIMARY KEY");
    check_findings("CREATE TABLE t(id INTEGER PRIMARY KEY, v);",
                   "{\"name\":\"t\",\"write\":\"national\"}", "ok", "can be replicated");
    check_findings("CREATE TABLE t(id INTEGER PRIMARY KEY, v);",
                   "{\"name\":\"t\",\"write\":\"1201\"}", "ok", "can be replicated");
    check_findings("CREATE TABLE t(id INTEGER PRIMARY KEY, v);",
                   "{\"name\":\"t\",\"keys\":\"natural\"}", "ok", "can be replicated");
    check_findings("CREATE TABLE t(id INTEGER PRIMARY KEY, v);",
                   "{\"name\":\"t\",\"keys\":\"blocks\",\"write\":\"national\"}", "fail",
                   "without AUTOINCREMENT");
    check_findings("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v);", t, "ok",
                   "can be replicated");
    check_findings("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v);",
                   "{\"name\":\"t\",\"keys\":\"natural\"}", "ok", "are natural");
    check_findings(good, "{\"name\":\"t\",\"keys\":\"blocks\"}", "fail", "take it away");
    check_findings("CREATE VIEW t AS SELECT 1 AS id;", t, "fail", "is a view");
    check_findings("CREATE VIRTUAL TABLE t USING fts5(x);", t, "fail", "is a virtual table");
    check_findings("CREATE VIRTUAL TABLE f USING fts5(x);", "{\"name\":\"f_content\"}", "fail",
                   "is a shadow table");
    check_findings("CREATE TABLE t(id TEXT PRIMARY KEY, v);", t, "fail", "t.id accepts NULL");
    check_findings("CREATE TABLE t(id TEXT NOT NULL, n INTEGER, PRIMARY KEY(id, n));", t, "fail",
                   "t.n accepts NULL");
    check_findings("CREATE TABLE t(id INTEGER PRIMARY KEY DESC, v);", t, "fail", "accepts NULL");
    check_findings("CREATE TABLE t(id TEXT, n INTEGER, PRIMARY KEY(id, n)) WITHOUT ROWID;", t, "ok",
                   "can be replicated");
    check_findings("CREATE TABLE t(id TEXT PRIMARY KEY) STRICT;", t, "ok", "can be replicated");
    /* in force already: it goes on, and its rows are listed */
    check_findings("CREATE TABLE t(id TEXT PRIMARY KEY);",
                   "{\"name\":\"t\",\"key\":[\"id\"],\"columns\":[{\"name\":\"id\"}]}", "warn",
                   "t.id accepts NULL");
    check_findings("CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, p REFERENCES q);CREATE TABLE q(id "
                   "PRIMARY KEY);",
                   t, "warn", "refers to q");
    check_findings("CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v, g AS (v));", t, "ok",
                   "t.g is generated");
    check_findings(good, "{\"name\":\"t\",\"key\":[\"id\"],\"columns\":[{\"name\":\"id\"}]}",
                   "warn", "t.v is not published");
    check_findings(
        good, "{\"name\":\"t\",\"key\":[\"v\"],\"columns\":[{\"name\":\"id\"},{\"name\":\"v\"}]}",
        "fail", "not the published one");
    snprintf(sql, sizeof sql,
             "%sCREATE TABLE l(x); CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO l "
             "VALUES(1); DELETE FROM t WHERE v=0; END;",
             good);
    check_findings(sql, t, "fail", "make it two triggers");
    snprintf(sql, sizeof sql,
             "%sCREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT only_in_the_app(NEW.v); END;",
             good);
    check_findings(sql, t, "fail", "only_in_the_app");
    check_findings(
        "PRAGMA writable_schema=ON; CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v TEXT);"
        "UPDATE sqlite_schema SET sql='CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v TEXT CHECK "
        "(only_in_the_app(v)))' WHERE name='t';",
        t, "fail", "only_in_the_app");
    check_findings(
        "PRAGMA writable_schema=ON; CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v TEXT UNIQUE);"
        "UPDATE sqlite_schema SET sql='CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v TEXT COLLATE "
        "khmer UNIQUE)' WHERE name='t';",
        t, "fail", "khmer");
}

/* What is there already and cannot be replicated is named by its key, before a charter is in force.
 */
static void findings_name_rows_that_do_not_fit(void **state)
{
    const char *sum = "{\"name\":\"t\",\"columns\":[{\"name\":\"v\",\"policy\":\"sum\"}]}";
    const char *t = "{\"name\":\"t\"}";
    check_findings("CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v INTEGER); INSERT INTO t VALUES"
                   "('a',1),('b','2.50'),('c',NULL),('d',1.5);",
                   sum, "fail",
                   "v is a sum, and 2 rows of t have something else there than an integer, the"
                   " first is id='b'");
    check_findings("CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v INTEGER); INSERT INTO t VALUES"
                   "('a',1),('c',NULL);",
                   sum, "fail", NULL);
    check_findings(
        "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, \"it's\" TEXT, w BLOB); INSERT "
        "INTO t VALUES('a', replace(hex(zeroblob(1500000)), '00', 'ក'), zeroblob(8388608)),"
        " ('b', 'x', zeroblob(8388608));",
        t, "fail", "1 rows of t are too large to be sent");
    check_findings("CREATE TABLE t(\"it's\" TEXT PRIMARY KEY NOT NULL, w TEXT); INSERT INTO t "
                   "VALUES('a', replace(hex(zeroblob(2800000)), '00', 'ក'));",
                   t, "fail", "the first is it's='a'");
    check_findings("CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, w BLOB, x BLOB); INSERT INTO t "
                   "VALUES('a', zeroblob(8388608), zeroblob(4194302));",
                   t, "fail", NULL);
}

/* The completed form makes the same tables in an empty database, and is what schema_load then
 * reads. */
static void a_completed_charter_makes_the_tables_elsewhere(void **state)
{
    struct capture_office hub, office;
    struct finding *f;
    size_t n;
    uint32_t created = 0;
    const char *completed;
    capture_office_open(
        &hub,
        "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, \"a b\" TEXT DEFAULT 1, g TEXT AS (id || "
        "'x')) STRICT;"
        "CREATE UNIQUE INDEX u ON t(lower(\"a b\")) WHERE id > 'a'; CREATE INDEX plain ON t(g);",
        "");
    complete(&hub,
             "{\"tables\":[{\"name\":\"t\",\"policy\":\"max\",\"columns\":[{\"name\":\"a b\","
             "\"policy\":\"min\",\"write\":\"any\"}]}]}",
             &completed, &f, &n);
    capture_office_open(&office, "PRAGMA user_version=1;", "");
    office_publish(&office, "0000000002", completed);
    assert_int_equal(store_begin(office.s), ERR_OK);
    assert_int_equal(store_schema_create_missing(office.s, &created), ERR_OK);
    assert_int_equal(created, 1);
    assert_int_equal(store_schema_create_missing(office.s, &created), ERR_OK);
    assert_int_equal(created, 0);
    assert_int_equal(store_commit(office.s), ERR_OK);
    office_install(&office);
    assert_int_equal(office_number(&office, "SELECT count(*) FROM sqlite_schema WHERE tbl_name = "
                                            "'t' AND type = 'index' AND sql IS NOT NULL"),
                     2);
    struct table_schema *t = schema_table(office.s, "t");
    assert_true(t->exists);
    assert_int_equal(t->n_columns, 2);
    assert_int_equal(t->policy[0], POLICY_MAX);
    assert_int_equal(t->policy[1], POLICY_MIN);
    assert_int_equal(store_schema_findings(office.s, &office.a, &f, &n), ERR_OK);
    assert_true(has_finding(f, n, "ok", "table t can be replicated"));
    office_publish(&office, "0000000003",
                   "{\"tables\":[{\"name\":\"w\",\"create\":\"DROP TABLE t\"}]}");
    assert_int_equal(store_begin(office.s), ERR_OK);
    assert_int_equal(store_schema_create_missing(office.s, &created), ERR_SCHEMA);
    store_rollback(office.s);
    capture_office_close(&hub);
    capture_office_close(&office);
}

/* A table that this node could never write is left alone; the others go on. */
static void an_unwritable_table_stops_nothing(void **state)
{
    struct capture_office o;
    capture_office_open(
        &o,
        "PRAGMA writable_schema=ON; CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v TEXT); "
        "CREATE TABLE u(id TEXT PRIMARY KEY NOT NULL);"
        "UPDATE sqlite_schema SET sql='CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v TEXT "
        "CHECK (only_in_the_app(v)))' WHERE name='t';",
        "t,u");
    assert_false(schema_table(o.s, "t")->exists);
    office_app(&o, "INSERT INTO u VALUES('a');");
    assert_string_equal(office_collect(&o), "u born 'a' id='a'\n");
    capture_office_close(&o);
}

/* ---- the application's triggers on applied rows ---- */

/* A trigger that writes only local tables, or only checks, works on rows that the node writes; one
 * that writes a replicated table does not; nested local ones do. */
static void local_triggers_work_on_applied_rows(void **state)
{
    struct capture_office o;
    capture_office_open(
        &o,
        "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v); CREATE TABLE u(id TEXT PRIMARY KEY NOT "
        "NULL); CREATE TABLE l(x); CREATE TABLE l2(x);"
        "CREATE VIRTUAL TABLE f USING fts5(v); CREATE VIEW w AS SELECT x FROM l2;"
        "CREATE TRIGGER \"to local\" AFTER INSERT ON t BEGIN INSERT INTO l VALUES(NEW.v); END;"
        "CREATE TRIGGER nested AFTER INSERT ON l BEGIN INSERT INTO w VALUES(NEW.x); END;"
        "CREATE TRIGGER instead INSTEAD OF INSERT ON w BEGIN INSERT INTO l2 VALUES(NEW.x); END;"
        "CREATE TRIGGER nested_rep AFTER INSERT ON l BEGIN INSERT INTO u VALUES('nested'||NEW.x); "
        "END;"
        "CREATE TRIGGER fts AFTER INSERT ON t BEGIN INSERT INTO f VALUES(NEW.v); END;"
        "CREATE TRIGGER rep AFTER INSERT ON t BEGIN INSERT INTO u VALUES('rep'||NEW.v); END;"
        "CREATE TRIGGER chk BEFORE INSERT ON t WHEN NEW.v=13 BEGIN SELECT RAISE(ABORT,'thirteen'); "
        "END;"
        "CREATE TRIGGER broken AFTER INSERT ON t BEGIN SELECT only_in_the_app(1); END;",
        "t,u");
    assert_int_equal(store_begin(o.s), ERR_OK);
    assert_int_equal(capture_temp_triggers(o.s), ERR_OK);
    assert_int_equal(store_exec(o.s, "INSERT INTO t VALUES('a',1)"), ERR_OK);
    assert_int_equal(store_exec(o.s, "INSERT INTO t VALUES('b',13)"), ERR_CONSTRAINT);
    assert_non_null(strstr(store_message(o.s), "thirteen"));
    assert_int_equal(store_commit(o.s), ERR_OK);
    assert_int_equal(office_number(&o, "SELECT count(*) FROM l"), 1);
    assert_int_equal(office_number(&o, "SELECT count(*) FROM l2"), 1);
    assert_int_equal(office_number(&o, "SELECT count(*) FROM f WHERE f MATCH '1'"), 1);
    assert_int_equal(office_number(&o, "SELECT count(*) FROM u"), 0);
    assert_false(store_capture_pending(o.s));
    office_app(&o, "DROP TRIGGER \"to local\"; CREATE TRIGGER later AFTER DELETE ON t BEGIN DELETE "
                   "FROM l; END;");
    assert_int_equal(capture_temp_triggers(o.s), ERR_OK);
    assert_int_equal(store_exec(o.s, "INSERT INTO t VALUES('c',2)"), ERR_OK);
    assert_int_equal(office_number(&o, "SELECT count(*) FROM l"), 1);
    assert_int_equal(store_exec(o.s, "DELETE FROM t WHERE id='c'"), ERR_OK);
    assert_int_equal(office_number(&o, "SELECT count(*) FROM l"), 0);
    capture_office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_texts_are_taken_apart),
        cmocka_unit_test(generated_expressions_are_found),
        cmocka_unit_test(checks_are_found),
        cmocka_unit_test(claims_follow_the_indexes),
        cmocka_unit_test(folding_keys_are_claims_and_local_indexes_are_not),
        cmocka_unit_test(references_and_depths_are_read),
        cmocka_unit_test(keys_go_to_json_and_back),
        cmocka_unit_test(keys_are_published_as_blocks),
        cmocka_unit_test(findings_say_what_stands_in_the_way),
        cmocka_unit_test(findings_name_rows_that_do_not_fit),
        cmocka_unit_test(a_completed_charter_makes_the_tables_elsewhere),
        cmocka_unit_test(an_unwritable_table_stops_nothing),
        cmocka_unit_test(local_triggers_work_on_applied_rows),
    };
    return check_run(tests);
}
