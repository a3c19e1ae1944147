/* The compiled charter (node/charter.h) as the store reads it, and keys as JSON.
 *
 * A table that carries "key" was completed by store_schema_complete: its columns are the whole
 * list. Otherwise the columns listed are exceptions, and every stored column of the table is
 * published. */
#include "node/schema/rules.h"

#include "node/db/sqlite.h"
#include "node/schema/info.h"
#include "protocol/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the compiled charter ---- */

static enum err bad(struct store *s, const char *table, const char *what)
{
    return store_fail(s, ERR_SCHEMA, "charter: table %s: %s", table, what);
}

static const char *string_of(struct arena *a, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? arena_strdup(a, text) : NULL;
}

static enum err read_policy(struct store *s, const char *table, const json_t *object,
                            const char *key, enum policy *out)
{
    const char *name = json_string_value(json_object_get(object, key));
    if (name && policy_parse(name, out) != ERR_OK)
        return store_fail(s, ERR_SCHEMA,
                          "charter: table %s: this version does not know the policy %s", table,
                          name);
    return ERR_OK;
}

static enum err read_names(struct store *s, struct arena *a, const json_t *list, const char *table,
                           const char ***out, uint32_t *n)
{
    *n = (uint32_t)json_array_size(list);
    *out = arena_alloc(a, *n * sizeof **out);
    for (uint32_t i = 0; i < *n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text)
            return bad(s, table, "a name that is no text");
        (*out)[i] = arena_strdup(a, text);
    }
    return ERR_OK;
}

/* policy, fallback and rank of a table, a column or a group; what it leaves out is `otherwise`'s.
 */
static enum err read_rule(struct store *s, struct arena *a, const char *table, const json_t *object,
                          const struct column_rule *otherwise, struct column_rule *out)
{
    *out = *otherwise;
    enum err e = read_policy(s, table, object, "policy", &out->policy);
    if (e == ERR_OK)
        e = read_policy(s, table, object, "fallback", &out->fallback);
    if (e == ERR_OK && json_object_get(object, "rank")) {
        const char **text;
        e = read_names(s, a, json_object_get(object, "rank"), table, &text, &out->rank.n);
        out->rank.text = text;
    }
    if (e != ERR_OK)
        return e;
    if (out->policy != POLICY_REVIEW)
        out->fallback = POLICY_LATEST;
    if (out->fallback == POLICY_REVIEW || out->fallback == POLICY_SUM)
        return bad(s, table, "review and sum cannot be a fallback");
    if ((out->policy == POLICY_RANK || out->fallback == POLICY_RANK) && out->rank.n == 0)
        return bad(s, table, "policy rank without its list");
    return ERR_OK;
}

static enum err read_columns(struct store *s, struct arena *a, const json_t *list,
                             struct table_charter *t)
{
    size_t n = json_array_size(list);
    if (n > LIMIT_COLUMNS)
        return bad(s, t->name, "too many columns");
    t->column = arena_alloc(a, n * sizeof *t->column);
    t->rule = arena_alloc(a, n * sizeof *t->rule);
    t->own = arena_alloc(a, n * sizeof *t->own);
    for (size_t i = 0; i < n; i++) {
        const json_t *c = json_array_get(list, i);
        const char *from = json_string_value(json_object_get(c, "from"));
        t->column[i] = string_of(a, c, "name");
        if (!t->column[i])
            return bad(s, t->name, "a column without a name");
        enum err e = read_rule(s, a, t->name, c, &t->otherwise, &t->rule[i]);
        if (e != ERR_OK)
            return e;
        t->own[i] = from && strcmp(from, "column") == 0;
    }
    t->n_columns = (uint32_t)n;
    return ERR_OK;
}

static enum err read_groups(struct store *s, struct arena *a, const json_t *list,
                            struct table_charter *t)
{
    size_t n = json_array_size(list);
    enum err e = ERR_OK;
    if (n > LIMIT_COLUMNS)
        return bad(s, t->name, "too many groups");
    t->groups = arena_alloc(a, n * sizeof *t->groups);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        const json_t *j = json_array_get(list, i);
        struct charter_cells *g = &t->groups[i];
        g->name = string_of(a, j, "name");
        g->implied = json_is_true(json_object_get(j, "implied"));
        if (!g->name)
            return bad(s, t->name, "a group without a name");
        e = read_names(s, a, json_object_get(j, "columns"), t->name, &g->column, &g->n);
        if (e == ERR_OK)
            e = read_rule(s, a, t->name, j, &t->otherwise, &g->rule);
        for (uint32_t k = 0; e == ERR_OK && k < g->n; k++)
            if (charter_group_of(t, g->column[k]))
                e = bad(s, t->name, "a column in two groups");
        t->n_groups++;
        if (e == ERR_OK && g->rule.policy == POLICY_SUM)
            e = bad(s, t->name, "a group with the policy sum");
    }
    for (uint32_t i = 0; e == ERR_OK && i < t->n_columns; i++) {
        const struct charter_cells *g = charter_group_of(t, t->column[i]);
        t->rule[i] = g ? g->rule : t->rule[i];
    }
    return e;
}

const struct charter_cells *charter_group_of(const struct table_charter *t, const char *column)
{
    for (uint32_t g = 0; g < t->n_groups; g++) {
        for (uint32_t i = 0; i < t->groups[g].n; i++) {
            if (sqlite3_stricmp(t->groups[g].column[i], column) == 0)
                return &t->groups[g];
        }
    }
    return NULL;
}

const struct column_rule *charter_rule(const struct table_charter *t, const char *column)
{
    const struct charter_cells *g = charter_group_of(t, column);
    for (uint32_t i = 0; !g && i < t->n_columns; i++) {
        if (sqlite3_stricmp(t->column[i], column) == 0)
            return &t->rule[i];
    }
    return g ? &g->rule : &t->otherwise;
}

static enum err read_whole_row(struct store *s, struct arena *a, const json_t *j,
                               struct table_charter *t)
{
    const json_t *scope = json_object_get(j, "scope");
    const char *delete_policy = json_string_value(json_object_get(j, "delete"));
    const char *birth = json_string_value(json_object_get(j, "birth"));
    if (delete_policy && delete_policy_parse(delete_policy, &t->delete_policy) != ERR_OK)
        return bad(s, t->name, "this version does not know that delete policy");
    if (birth && birth_policy_parse(birth, &t->birth_policy) != ERR_OK)
        return bad(s, t->name, "this version does not know that birth policy");
    t->scope = string_of(a, scope, "column");
    t->follow = string_of(a, scope, "follow");
    return ERR_OK;
}

static enum err read_table(struct store *s, struct arena *a, const json_t *j,
                           struct table_charter *t)
{
    static const struct column_rule latest;
    t->name = string_of(a, j, "name");
    if (!t->name || !*t->name || strlen(t->name) > LIMIT_NAME_BYTES)
        return store_fail(s, ERR_SCHEMA, "charter: a table without a usable name");
    t->write = string_of(a, j, "write");
    t->write = t->write ? t->write : "any";
    t->create = string_of(a, j, "create");
    t->has_columns = json_is_array(json_object_get(j, "key"));
    enum err e = read_whole_row(s, a, j, t);
    if (e == ERR_OK)
        e = read_rule(s, a, t->name, j, &latest, &t->otherwise);
    if (e == ERR_OK)
        e = read_columns(s, a, json_object_get(j, "columns"), t);
    if (e == ERR_OK)
        e = read_groups(s, a, json_object_get(j, "groups"), t);
    if (e == ERR_OK)
        e = read_names(s, a, json_object_get(j, "key"), t->name, &t->key, &t->n_key);
    if (e == ERR_OK)
        e = read_names(s, a, json_object_get(j, "indexes"), t->name, &t->index, &t->n_indexes);
    if (e == ERR_OK && t->n_key > LIMIT_KEY_COLUMNS)
        e = bad(s, t->name, "too many key columns");
    return e;
}

enum err charter_tables(struct store *s, struct arena *a, const json_t *compiled,
                        struct table_charter **out, uint32_t *n)
{
    const json_t *list = json_object_get(compiled, "tables");
    *n = (uint32_t)json_array_size(list);
    if (*n > LIMIT_TABLES)
        return store_fail(s, ERR_SCHEMA, "charter: more than %u tables", LIMIT_TABLES);
    *out = arena_alloc(a, *n * sizeof **out);
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < *n; i++)
        e = read_table(s, a, json_array_get(list, i), &(*out)[i]);
    return e;
}

enum err charter_newest(struct store *s, json_t **root)
{
    *root = NULL;
    bool row = false;
    json_error_t error;
    sqlite3_stmt *q =
        store_stmt(s, "SELECT compiled FROM main.tonle_charter ORDER BY version DESC LIMIT 1");
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK || !row)
        return e;
    const char *text = (const char *)sqlite3_column_text(q, 0);
    *root = json_loadb(text, (size_t)sqlite3_column_bytes(q, 0), 0, &error);
    sqlite3_reset(q);
    if (!*root)
        return store_fail(s, ERR_CORRUPT, "the stored charter cannot be read: %s", error.text);
    return ERR_OK;
}

/* ---- keys as JSON ---- */

static json_t *hex_object(const char *name, const struct value *v)
{
    struct buf b = {0};
    const uint8_t *p = v->u.p;
    for (uint32_t i = 0; i < v->len; i++)
        buf_printf(&b, "%02x", p[i]);
    json_t *o = json_pack("{ss}", name, buf_str(&b));
    buf_fini(&b);
    return o;
}

static json_t *value_json(const struct value *v)
{
    switch (v->type) {
    case VALUE_INTEGER:
        return json_integer(v->u.i);
    case VALUE_REAL:
        return isfinite(v->u.r) ? json_real(v->u.r)
                                : json_pack("{ss}", "real", v->u.r < 0 ? "-inf" : "inf");
    case VALUE_TEXT: {
        bool plain = !v->len || !memchr(v->u.p, 0, v->len);
        json_t *text = plain ? json_stringn(v->len ? v->u.p : "", v->len) : NULL;
        return text ? text : hex_object("text_hex", v); /* jansson takes valid UTF-8 only */
    }
    case VALUE_BLOB:
        return hex_object("hex", v);
    case VALUE_WIDE: {
        char digits[WIDE_TEXT];
        value_wide_text(digits, value_count(v));
        return json_pack("{ss}", "wide", digits);
    }
    default:
        return json_null();
    }
}

static char *take_json(struct arena *a, json_t *j)
{
    char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT);
    char *out = arena_strdup(a, text ? text : "null");
    free(text);
    json_decref(j);
    return out;
}

/* A text of plain ASCII without quote and backslash, as most keys are: in quotes it is its JSON. */
static char *plain_json(struct arena *a, const struct value *v)
{
    const char *p = v->u.p;
    for (uint32_t i = 0; i < v->len; i++)
        if (p[i] < 0x20 || p[i] > 0x7e || p[i] == '"' || p[i] == '\\')
            return NULL;
    char *out = arena_alloc(a, v->len + 3);
    out[0] = out[v->len + 1] = '"';
    if (v->len > 0)
        memcpy(out + 1, p, v->len);
    return out;
}

char *schema_values_json(struct arena *a, const struct value *v, uint32_t n)
{
    char *plain = n == 1 && v->type == VALUE_TEXT ? plain_json(a, v) : NULL;
    if (plain)
        return plain;
    json_t *j = n == 1 ? value_json(&v[0]) : json_array();
    for (uint32_t i = 0; n != 1 && i < n; i++)
        json_array_append_new(j, value_json(&v[i]));
    return take_json(a, j);
}

char *schema_key_json(struct arena *a, const struct table_schema *t, const void *key, size_t len)
{
    struct value *v = arena_alloc(a, t->n_key * sizeof *v);
    if (key_decode(key, len, v, t->n_key) != ERR_OK)
        return arena_strdup(a, "null");
    return schema_values_json(a, v, t->n_key);
}

char *schema_row_json(struct arena *a, const struct table_schema *t, const struct value *columns)
{
    json_t *j = json_object();
    for (uint32_t i = 0; i < t->n_columns; i++)
        json_object_set_new(j, t->column[i], value_json(&columns[i]));
    return take_json(a, j);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool hex_value(struct arena *a, enum value_type type, const char *hex, struct value *out)
{
    size_t n = strlen(hex) / 2;
    uint8_t *p = arena_alloc(a, n);
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        p[i] = (uint8_t)(high * 16 + low);
    }
    *out = value_bytes(type, p, n);
    return strlen(hex) % 2 == 0;
}

static bool object_value(struct arena *a, const json_t *j, struct value *out)
{
    const char *blob = json_string_value(json_object_get(j, "hex"));
    const char *text = json_string_value(json_object_get(j, "text_hex"));
    const char *real = json_string_value(json_object_get(j, "real"));
    if (blob || text)
        return hex_value(a, blob ? VALUE_BLOB : VALUE_TEXT, blob ? blob : text, out);
    if (!real || (strcmp(real, "inf") != 0 && strcmp(real, "-inf") != 0))
        return false;
    *out = value_real(*real == '-' ? -INFINITY : INFINITY);
    return true;
}

bool schema_value_parse(struct arena *a, const json_t *j, struct value *out)
{
    switch (json_typeof(j)) {
    case JSON_INTEGER:
        *out = value_integer(json_integer_value(j));
        return true;
    case JSON_REAL:
        *out = value_real(json_real_value(j));
        return true;
    case JSON_STRING:
        *out = value_bytes(VALUE_TEXT, arena_copy(a, json_string_value(j), json_string_length(j)),
                           json_string_length(j));
        return true;
    case JSON_OBJECT:
        return object_value(a, j, out);
    default:
        return false;
    }
}

/* A number typed for a TEXT column means its digits, as it would in SQL. */
static void as_stored(struct store *s, struct arena *a, const struct table_schema *t,
                      uint32_t column, const json_t *j, struct value *v)
{
    const char *type = NULL;
    if (!json_is_number(j) ||
        sqlite3_table_column_metadata(s->db, "main", t->name, t->column[column], &type, NULL, NULL,
                                      NULL, NULL) != SQLITE_OK)
        return;
    if (sql_affinity(type ? type : "", false) != AFFINITY_TEXT)
        return;
    char *text = json_dumps(j, JSON_ENCODE_ANY);
    *v = value_text(arena_strdup(a, text ? text : ""));
    free(text);
}

static bool parse_parts(struct store *s, struct arena *a, const struct table_schema *t,
                        const json_t *j, struct value *v)
{
    if (t->n_key > 1 && json_array_size(j) != t->n_key)
        return false;
    for (uint32_t i = 0; i < t->n_key; i++) {
        const json_t *part = t->n_key == 1 ? j : json_array_get(j, i);
        if (!schema_value_parse(a, part, &v[i]))
            return false;
        as_stored(s, a, t, t->key[i], part, &v[i]);
    }
    return true;
}

/* A word that is no JSON is taken as the text itself, so that a plain code need not be quoted twice
 * on a command line. */
enum err schema_key_parse(struct store *s, struct arena *a, const struct table_schema *t,
                          const char *json, struct buf *key)
{
    struct value *v = arena_alloc(a, (t->n_key + 1) * sizeof *v);
    json_t *j = json_loads(json, JSON_DECODE_ANY, NULL);
    bool ok = true;
    if (j)
        ok = parse_parts(s, a, t, j, v);
    else if (t->n_key == 1 && !strchr("[{\"", *json))
        v[0] = value_text(arena_strdup(a, json));
    else
        ok = false;
    json_decref(j);
    if (!ok)
        return store_fail(s, ERR_USAGE, "%s: the key is %u value%s, as JSON%s", t->name, t->n_key,
                          t->n_key == 1 ? "" : "s", t->n_key == 1 ? "" : ", in an array [...]");
    key_encode(key, v, t->n_key);
    return ERR_OK;
}
