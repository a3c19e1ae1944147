/* Keys and rows as JSON. */
#include "node/schema/rules.h"

#include "node/file/hex.h"
#include "node/schema/info.h"
#include "protocol/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *hex_object(const char *name, const struct value *v)
{
    char *digits = mem_alloc(2 * (size_t)v->len + 1);
    hex_write(digits, v->u.p, v->len);
    json_t *o = json_pack("{ss}", name, digits);
    mem_free(digits);
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

#define TOLD_BYTES 200

/* Cut between two characters. */
static struct value told(struct arena *a, const struct value *v)
{
    struct buf b = {0};
    uint32_t n = TOLD_BYTES;
    if (v->type < VALUE_TEXT || v->len <= TOLD_BYTES + 50)
        return *v;
    while (v->type == VALUE_TEXT && n > 0 && (((const uint8_t *)v->u.p)[n] & 0xc0) == 0x80)
        n--;
    if (v->type == VALUE_BLOB) {
        buf_printf(&b, "x'");
        for (uint32_t i = 0; i < n / 2; i++)
            buf_printf(&b, "%02x", ((const uint8_t *)v->u.p)[i]);
    } else {
        buf_put(&b, v->u.p, n);
    }
    buf_printf(&b, "... (%u bytes)", v->len);
    struct value cut = value_bytes(VALUE_TEXT, arena_copy(a, b.data, b.len), b.len);
    buf_fini(&b);
    return cut;
}

char *schema_key_told(struct arena *a, const struct table_schema *t, const void *key, size_t len)
{
    struct value *v = arena_alloc(a, t->n_key * sizeof *v);
    if (key_decode(key, len, v, t->n_key) != ERR_OK)
        return arena_strdup(a, "null");
    for (uint32_t i = 0; len > LIMIT_KEY_BYTES && i < t->n_key; i++)
        v[i] = told(a, &v[i]);
    return schema_values_json(a, v, t->n_key);
}

char *schema_row_json(struct arena *a, const struct table_schema *t, const struct value *columns)
{
    json_t *j = json_object();
    for (uint32_t i = 0; i < t->n_columns; i++)
        json_object_set_new(j, t->column[i], value_json(&columns[i]));
    return take_json(a, j);
}

static bool hex_value(struct arena *a, enum value_type type, const char *hex, struct value *out)
{
    size_t n = strlen(hex) / 2;
    uint8_t *p = arena_alloc(a, n);
    *out = value_bytes(type, p, n);
    return hex_read(hex, p, n);
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
    if (!json_is_number(j) || table_affinity(s, t->name, t->column[column]) != AFFINITY_TEXT)
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
