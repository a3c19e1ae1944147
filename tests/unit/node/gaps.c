#include "tests/unit/node/gaps.h"

#include <stdio.h>
#include <string.h>

json_t *gap_ask(struct net *t, struct net_office *o, const char *line)
{
    json_t *j = json_loads(net_ask(t, o, line), 0, NULL);
    assert_non_null(j);
    if (json_object_get(j, "error"))
        fail_msg("%s: %s", line, json_string_value(json_object_get(j, "error")));
    return j;
}

json_int_t gap_number(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

const char *gap_of(struct net *t, struct net_office *o)
{
    static char text[200];
    json_t *j = gap_ask(t, o, "{\"do\":\"status\"}"), *list = json_object_get(j, "gaps");
    const json_t *g = json_array_get(list, 0);
    const char *synced = json_is_true(json_object_get(j, "synced")) ? "synced" : "behind";
    assert_true(json_array_size(list) <= 1);
    if (g)
        snprintf(text, sizeof text, "%s %s %d %d %d %s",
                 json_string_value(json_object_get(g, "table")),
                 json_string_value(json_object_get(g, "state")), (int)gap_number(g, "changed"),
                 (int)gap_number(g, "new"), (int)gap_number(g, "deleted"), synced);
    else
        snprintf(text, sizeof text, "none %s", synced);
    json_decref(j);
    return text;
}

void gap_behind(struct net_office *o, const char *sql)
{
    assert_int_equal(sqlite3_db_config(o->app, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(o->app, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_db_config(o->app, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL), SQLITE_OK);
}

void gap_while_off(struct net *t, struct net_office *o, const char *sql)
{
    net_halt(t, o);
    assert_int_equal(sqlite3_exec(o->app, sql, NULL, NULL, NULL), SQLITE_OK);
    net_boot(t, o);
}

json_int_t gap_take(struct net *t, struct net_office *o, const char *what)
{
    char line[200];
    snprintf(line, sizeof line, "{\"do\":\"verify_local\",\"take\":%s}", what);
    json_t *j = gap_ask(t, o, line);
    json_int_t n = gap_number(j, "settled");
    json_decref(j);
    return n;
}

void gap_settled(struct net *t, struct net_office *o, const char *want)
{
    for (int i = 0; i < 60 && strcmp(gap_of(t, o), want) != 0; i++)
        net_run(t, 500);
    assert_string_equal(gap_of(t, o), want);
}

void gap_start_with(struct net *t, const char *sql)
{
    net_sql(t, HUB, sql);
    assert_true(net_settle(t, 30000));
}
