/* Reads just enough of SQL to take apart what SQLite itself has accepted and stored in
 * sqlite_schema: quotes ('' "" `` []), comments and parentheses are honoured, everything else is
 * one token a word. */
#include "node/schema/info.h"

#include "node/db/query.h"

#include <ctype.h>
#include <string.h>

struct token {
    const char *p;
    size_t len; /* 0: the end */
};

static const char *skip_blank(const char *p)
{
    for (;;) {
        while (isspace((unsigned char)*p))
            p++;
        if (p[0] == '-' && p[1] == '-') {
            while (*p && *p != '\n')
                p++;
        } else if (p[0] == '/' && p[1] == '*') {
            const char *end = strstr(p + 2, "*/");
            p = end ? end + 2 : p + strlen(p);
        } else {
            return p;
        }
    }
}

static size_t quoted_len(const char *p)
{
    char close = *p == '[' ? ']' : *p;
    size_t n = 1;
    while (p[n]) {
        if (p[n] == close && (close == ']' || p[n + 1] != close))
            return n + 1;
        n += p[n] == close ? 2 : 1;
    }
    return n;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static struct token next_token(const char *p)
{
    struct token t = {.p = skip_blank(p)};
    if (!*t.p)
        return t;
    if (strchr("'\"`[", *t.p)) {
        t.len = quoted_len(t.p);
        return t;
    }
    while (is_word(t.p[t.len]))
        t.len++;
    if (t.len == 0)
        t.len = 1;
    return t;
}

static bool token_is(struct token t, const char *word)
{
    return t.len == strlen(word) && db_name_begins(t.p, word, t.len);
}

static char *slice(struct arena *a, const char *from, const char *to)
{
    char *copy = arena_alloc(a, (size_t)(to - from) + 1);
    memcpy(copy, from, (size_t)(to - from));
    return copy;
}

/* The end of the item that starts at p: a comma or the closing parenthesis of its list. *last is
 * its last token, *text_end where that ends. */
static const char *item_end(const char *p, struct token *before_last, struct token *last)
{
    int depth = 0;
    *before_last = *last = (struct token){0};
    for (;;) {
        struct token t = next_token(p);
        if (t.len == 0)
            return t.p;
        if (depth == 0 && (token_is(t, ",") || token_is(t, ")")))
            return t.p;
        depth += token_is(t, "(") - token_is(t, ")");
        *before_last = *last;
        *last = t;
        p = t.p + t.len;
    }
}

/* Just behind the first parenthesis that opens at the top level, or NULL. */
static const char *first_list(const char *sql)
{
    for (struct token t = next_token(sql); t.len; t = next_token(t.p + t.len)) {
        if (token_is(t, "("))
            return t.p + 1;
    }
    return NULL;
}

static char *predicate_of(struct arena *a, const char *p)
{
    struct token t = next_token(p);
    if (!token_is(t, "WHERE"))
        return NULL;
    const char *from = t.p + t.len;
    const char *to = from;
    for (t = next_token(from); t.len && !token_is(t, ";"); t = next_token(t.p + t.len))
        to = t.p + t.len;
    return slice(a, from, to);
}

bool sql_index(struct arena *a, const char *sql, struct index_sql *out)
{
    *out = (struct index_sql){0};
    const char *p = first_list(sql);
    if (!p)
        return false;
    size_t cap = 0;
    char **part = NULL;
    for (;;) {
        struct token before, last;
        p = skip_blank(p);
        const char *end = item_end(p, &before, &last);
        if (!last.len || !*end)
            break;
        bool order = before.len && (token_is(last, "ASC") || token_is(last, "DESC"));
        struct token stop = order ? before : last;
        part = mem_grow(part, out->n, &cap, sizeof *part);
        part[out->n++] = slice(a, p, stop.p + stop.len);
        p = end + 1;
        if (*end == ')')
            break;
    }
    out->part = arena_copy(a, part, out->n * sizeof *part);
    mem_free(part);
    out->predicate = predicate_of(a, p);
    return out->n > 0;
}

/* A name as SQLite understands it: quotes taken off, doubled quotes halved. */
static bool token_names(struct token t, const char *name)
{
    if (!strchr("'\"`[", *t.p))
        return token_is(t, name);
    size_t n = 0, len = strlen(name);
    for (size_t i = 1; i + 1 < t.len; i++, n++) {
        if (n >= len || tolower((unsigned char)t.p[i]) != tolower((unsigned char)name[n]))
            return false;
        if (*t.p != '[' && t.p[i] == *t.p)
            i++;
    }
    return n == len;
}

/* AS ( expression ) at the top level of one column definition. */
static char *generated_in(struct arena *a, const char *p, const char *end)
{
    int depth = 0;
    for (struct token t = next_token(p); t.len && t.p < end; t = next_token(t.p + t.len)) {
        struct token after = next_token(t.p + t.len);
        struct token before, last;
        if (depth == 0 && token_is(t, "AS") && token_is(after, "(")) {
            const char *from = after.p + 1;
            const char *to = item_end(from, &before, &last);
            if (*to != ')')
                return NULL;
            return slice(a, from, to);
        }
        depth += token_is(t, "(") - token_is(t, ")");
    }
    return NULL;
}

char *sql_generated(struct arena *a, const char *sql, const char *column)
{
    const char *p = first_list(sql);
    while (p && *p) {
        struct token before, last;
        struct token name = next_token(p);
        const char *end = item_end(p, &before, &last);
        if (name.len && token_names(name, column))
            return generated_in(a, name.p + name.len, end);
        if (*end != ',')
            return NULL;
        p = end + 1;
    }
    return NULL;
}

struct check_list {
    struct check_sql *check;
    uint32_t n;
    size_t cap;
};

/* CHECK ( expression ) at the top level of one column definition or table constraint. */
static void checks_in(struct arena *a, const char *p, const char *end, struct check_list *l)
{
    int depth = 0;
    struct token name = {0};
    for (struct token t = next_token(p); t.len && t.p < end; t = next_token(t.p + t.len)) {
        struct token after = next_token(t.p + t.len);
        struct token before, last;
        if (depth == 0 && token_is(t, "CONSTRAINT"))
            name = after;
        if (depth == 0 && token_is(t, "CHECK") && token_is(after, "(")) {
            const char *from = after.p + 1;
            const char *to = item_end(from, &before, &last);
            l->check = mem_grow(l->check, l->n, &l->cap, sizeof *l->check);
            l->check[l->n++] = (struct check_sql){
                name.len ? slice(a, name.p, name.p + name.len) : NULL, slice(a, from, to)};
        }
        if (depth == 0 && !token_is(t, "CONSTRAINT") && t.p != name.p)
            name = (struct token){0};
        depth += token_is(t, "(") - token_is(t, ")");
    }
}

void sql_checks(struct arena *a, const char *sql, struct check_sql **out, uint32_t *n)
{
    struct check_list l = {0};
    const char *p = first_list(sql);
    while (p && *p) {
        struct token before, last;
        const char *end = item_end(p, &before, &last);
        checks_in(a, p, end, &l);
        if (*end != ',')
            break;
        p = end + 1;
    }
    *out = arena_copy(a, l.check, l.n * sizeof *l.check);
    *n = l.n;
    mem_free(l.check);
}

/* Behind PRIMARY KEY, its order and its conflict clause; NULL where there is none before `end`. */
static const char *behind_primary_key(const char *p, const char *end)
{
    int depth = 0;
    for (struct token t = next_token(p); t.len && t.p < end; t = next_token(t.p + t.len)) {
        struct token key = next_token(t.p + t.len);
        depth += token_is(t, "(") - token_is(t, ")");
        if (depth != 0 || !token_is(t, "PRIMARY") || !token_is(key, "KEY"))
            continue;
        const char *at = key.p + key.len;
        t = next_token(at);
        if (token_is(t, "ASC") || token_is(t, "DESC"))
            at = t.p + t.len;
        t = next_token(at);
        struct token conflict = next_token(t.p + t.len);
        if (!token_is(t, "ON") || !token_is(conflict, "CONFLICT"))
            return at;
        t = next_token(conflict.p + conflict.len);
        return t.p + t.len;
    }
    return NULL;
}

char *sql_autoincrement(struct arena *a, const char *sql, const char *column)
{
    for (const char *p = first_list(sql); p && *p; p++) {
        struct token before, last, name = next_token(p);
        const char *end = item_end(p, &before, &last);
        bool constraint = token_is(name, "CONSTRAINT") || token_is(name, "PRIMARY");
        const char *at =
            constraint || token_names(name, column) ? behind_primary_key(p, end) : NULL;
        struct token list = at ? next_token(at) : name;
        if (at && token_is(list, "(")) /* of the table: within its parentheses */
            at = item_end(list.p + 1, &before, &last);
        if (at) {
            struct buf b = {0};
            buf_printf(&b, "%s AUTOINCREMENT%s", slice(a, sql, at), at);
            return sql_take(a, &b);
        }
        if (*end != ',')
            return NULL;
        p = end;
    }
    return NULL;
}

bool sql_mentions(const char *expression, const char *column)
{
    for (struct token t = next_token(expression); t.len; t = next_token(t.p + t.len)) {
        if (token_names(t, column))
            return true;
    }
    return false;
}

bool sql_begins(const char *sql, const char *words)
{
    struct token w = next_token(words);
    struct token t = next_token(sql);
    while (w.len) {
        if (t.len != w.len || !db_name_begins(t.p, w.p, w.len))
            return false;
        w = next_token(w.p + w.len);
        t = next_token(t.p + t.len);
    }
    return true;
}

char *sql_take(struct arena *a, struct buf *b)
{
    char *text = arena_strdup(a, buf_str(b));
    buf_fini(b);
    return text;
}

static bool contains(const char *type, const char *part)
{
    size_t n = strlen(part);
    for (; *type; type++) {
        if (db_name_begins(type, part, n))
            return true;
    }
    return false;
}

/* datatype3.html, section 3.1 */
enum affinity sql_affinity(const char *type, bool strict)
{
    if (strict && db_same_name(type, "ANY"))
        return AFFINITY_BLOB;
    if (contains(type, "INT"))
        return AFFINITY_INTEGER;
    if (contains(type, "CHAR") || contains(type, "CLOB") || contains(type, "TEXT"))
        return AFFINITY_TEXT;
    if (contains(type, "BLOB") || !*type)
        return AFFINITY_BLOB;
    if (contains(type, "REAL") || contains(type, "FLOA") || contains(type, "DOUB"))
        return AFFINITY_REAL;
    return AFFINITY_NUMERIC;
}
