#include "node/db/objects.h"

#include "node/db/ddl.h"
#include "node/db/query.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The name behind `what` in the DDL, and where the next begins; NULL: there are no more. */
static const char *next_made(const char *ddl, const char *what, char name[64])
{
    const char *at = strstr(ddl, what);
    if (!at)
        return NULL;
    at += strlen(what);
    size_t n = strcspn(at, "( ");
    snprintf(name, 64, "%.*s", (int)n, at);
    return at + n;
}

static bool made_by_ddl(const char *what, const char *name)
{
    char made[64];
    for (const char *at = store_ddl; (at = next_made(at, what, made));)
        if (strcmp(made, name) == 0)
            return true;
    return false;
}

/* `before`, and a number. */
static bool is_numbered(const char *name, const char *before)
{
    size_t n = strlen(before);
    if (strncmp(name, before, n) != 0 || !isdigit((unsigned char)name[n]))
        return false;
    return strspn(name + n, "0123456789") == strlen(name + n);
}

static bool is_our_trigger(const char *name)
{
    char before[16];
    if (strlen(name) < sizeof "tonle_abc_" - 1)
        return false;
    snprintf(before, sizeof before, "tonle_%.3s_", name + sizeof "tonle_" - 1);
    return is_numbered(name, before);
}

static bool is_ours(const char *type, const char *name)
{
    if (strcmp(type, "trigger") == 0)
        return is_our_trigger(name);
    if (strcmp(type, "view") == 0)
        return made_by_ddl("CREATE VIEW ", name);
    return made_by_ddl("CREATE TABLE ", name) || is_numbered(name, "tonle_log_") ||
           is_numbered(name, "tonle_adopt_") || is_numbered(name, "tonle_move_");
}

struct object_names {
    const char **name;
    size_t n, cap;
};

static enum err list(struct store *s, struct arena *a, const char *type, struct object_names *out)
{
    struct query q = DB_QUERY(s,
                              "SELECT name FROM main.sqlite_schema WHERE type = ?1"
                              " AND name GLOB 'tonle_*' ORDER BY name",
                              value_text(type));
    *out = (struct object_names){0};
    while (query_next(&q)) {
        const char *name = query_borrow_text(&q, 0);
        if (!is_ours(type, name))
            continue;
        out->name = arena_grow(a, out->name, out->n, &out->cap, sizeof *out->name);
        out->name[out->n++] = arena_strdup(a, name);
    }
    return query_end(&q);
}

static bool has(const struct object_names *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->name[i], name) == 0)
            return true;
    return false;
}

static enum err any_row(struct store *s, const char *table, bool *any)
{
    char sql[160];
    int64_t n = 0;
    snprintf(sql, sizeof sql, "SELECT EXISTS(SELECT 1 FROM main.\"%s\")", table);
    enum err e = db_number(s, sql, &n);
    *any = n == 1;
    return e;
}

/* A log may hold something in a skeleton, too: with its triggers the application has written. */
static enum err all_empty(struct store *s, const struct object_names *tables, bool *empty)
{
    enum err e = ERR_OK;
    *empty = true;
    for (size_t i = 0; e == ERR_OK && *empty && i < tables->n; i++) {
        bool any = false;
        if (!is_numbered(tables->name[i], "tonle_log_"))
            e = any_row(s, tables->name[i], &any);
        *empty = !any;
    }
    return e;
}

static void name_missing(const struct object_names *tables, char missing[80])
{
    char name[64];
    missing[0] = '\0';
    for (const char *at = store_ddl; (at = next_made(at, "CREATE TABLE ", name));)
        if (missing[0] == '\0' && !has(tables, name))
            snprintf(missing, 80, "%s", name);
}

static enum err look(struct store *s, struct arena *a, struct objects *out)
{
    struct object_names tables, triggers, views;
    bool empty = false;
    enum err e = list(s, a, "table", &tables);
    if (e == ERR_OK)
        e = list(s, a, "trigger", &triggers);
    if (e == ERR_OK)
        e = list(s, a, "view", &views);
    if (e != ERR_OK)
        return e;
    name_missing(&tables, out->missing);
    bool meta = has(&tables, "tonle_meta");
    if (meta)
        e = any_row(s, "tonle_meta", &out->versioned);
    if (e == ERR_OK && (meta || tables.n == 0))
        e = all_empty(s, &tables, &empty);
    out->state = OBJECTS_BROKEN;
    if (tables.n + triggers.n + views.n == 0)
        out->state = OBJECTS_NONE;
    else if (out->versioned && out->missing[0] == '\0')
        out->state = OBJECTS_WHOLE;
    else if (empty)
        out->state = OBJECTS_SKELETON;
    if (out->missing[0] == '\0' && !out->versioned)
        snprintf(out->missing, sizeof out->missing, "what stands in tonle_meta");
    return e;
}

enum err objects_look(struct store *s, struct objects *out)
{
    struct arena a = {0};
    *out = (struct objects){0};
    enum err e = look(s, &a, out);
    arena_fini(&a);
    return e;
}

static enum err drop(struct store *s, const char *type, const char *word, uint32_t *n)
{
    struct arena a = {0};
    struct object_names found;
    enum err e = list(s, &a, type, &found);
    for (size_t i = 0; e == ERR_OK && i < found.n; i++) {
        char sql[160];
        snprintf(sql, sizeof sql, "DROP %s main.\"%s\"", word, found.name[i]);
        e = store_exec(s, sql);
        *n += e == ERR_OK;
    }
    arena_fini(&a);
    return e;
}

enum err objects_drop_triggers(struct store *s, uint32_t *n)
{
    *n = 0;
    return drop(s, "trigger", "TRIGGER", n);
}

/* What an adoption could not put into its table stands nowhere else. */
static enum err none_aside(struct store *s)
{
    struct arena a = {0};
    struct object_names tables;
    enum err e = list(s, &a, "table", &tables);
    for (size_t i = 0; e == ERR_OK && i < tables.n; i++) {
        bool any = false;
        if (is_numbered(tables.name[i], "tonle_adopt_"))
            e = any_row(s, tables.name[i], &any);
        if (e == ERR_OK && any)
            e = store_fail(s, ERR_EXISTS,
                           "rows of the application from an earlier join still wait in %s: settle "
                           "them and drop that table",
                           tables.name[i]);
    }
    arena_fini(&a);
    return e;
}

enum err objects_drop(struct store *s, struct objects_dropped *n)
{
    *n = (struct objects_dropped){0};
    enum err e = none_aside(s);
    if (e == ERR_OK)
        e = objects_drop_triggers(s, &n->triggers);
    if (e == ERR_OK)
        e = drop(s, "view", "VIEW", &n->views);
    return e == ERR_OK ? drop(s, "table", "TABLE", &n->tables) : e;
}
