/* Values as a person types them. COL=TEXT becomes what SQLite would store of that text in that
 * column (datatype3.html, section 3.4): text in a TEXT or BLOB column, a number in the others where
 * the text is a well-formed one. COL:=JSON is exactly what it says: null, 12, 1.5, "text",
 * {"hex":"00ff"}. */
#include "node/desk/review.h"

#include "node/schema/info.h"
#include "node/schema/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool looks_numeric(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n < 400 && strspn(text, "+-.0123456789eE") == n;
}

/* Not a number: stays text. */
static struct value numeric(const char *text, bool real)
{
    char *end;
    errno = 0;
    long long i = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0 && !real)
        return value_integer(i);
    double r = strtod(text, &end);
    if (*end != '\0' || end == text)
        return value_text(text);
    bool whole = r >= -9.2e18 && r <= 9.2e18 && (double)(int64_t)r == r;
    return whole && !real ? value_integer((int64_t)r) : value_real(r);
}

static struct value with_affinity(enum affinity affinity, const char *text)
{
    bool number = affinity != AFFINITY_TEXT && affinity != AFFINITY_BLOB;
    return number && looks_numeric(text) ? numeric(text, affinity == AFFINITY_REAL)
                                         : value_text(text);
}

static enum err json_typed(struct store *s, struct arena *a, const struct assignment *x,
                           struct value *out)
{
    json_t *j = json_loads(x->text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool ok = j;
    if (json_is_null(j))
        *out = value_null();
    else if (ok)
        ok = schema_value_parse(a, j, out);
    json_decref(j);
    return ok ? ERR_OK
              : store_fail(s, ERR_USAGE,
                           "%.60s:=%.60s is no JSON value: write null, 12, 1.5, \"text\" or "
                           "{\"hex\":\"00ff\"}; or %.60s=TEXT",
                           x->column, x->text, x->column);
}

static enum err unknown_column(struct store *s, const struct table_schema *t, const char *column)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < t->n_columns; i++)
        buf_printf(&b, "%s%s", i > 0 ? ", " : "", t->column[i]);
    enum err e = store_fail(s, ERR_USAGE, "table %.64s has no column %.64s; it has %.250s", t->name,
                            column, buf_str(&b));
    buf_fini(&b);
    return e;
}

enum err review_typed(struct store *s, struct arena *a, const struct table_schema *t,
                      const struct review *r, struct typed *out)
{
    struct table_info info;
    enum err e = table_info_read(s, a, t->name, &info);
    out->given = arena_alloc(a, t->n_columns + 1);
    out->value = arena_alloc(a, (t->n_columns + 1) * sizeof *out->value);
    for (size_t i = 0; e == ERR_OK && i < r->n_set; i++) {
        uint32_t c = schema_column(t, r->set[i].column);
        if (c == UINT32_MAX)
            return unknown_column(s, t, r->set[i].column);
        if (out->given[c])
            return store_fail(s, ERR_USAGE, "column %.64s is given twice", t->column[c]);
        out->given[c] = true;
        uint32_t at = table_info_column(&info, t->column[c]);
        if (r->set[i].json)
            e = json_typed(s, a, &r->set[i], &out->value[c]);
        else
            out->value[c] =
                with_affinity(at == UINT32_MAX ? AFFINITY_BLOB : info.column[at].affinity,
                              arena_strdup(a, r->set[i].text));
    }
    return e;
}

struct value *review_row_values(struct arena *a, const struct table_schema *t, const char *json)
{
    json_t *row = json_loads(json, JSON_ALLOW_NUL, NULL);
    struct value *values = arena_alloc(a, (t->n_columns + 1) * sizeof *values);
    bool ok = row;
    for (uint32_t c = 0; ok && c < t->n_columns; c++) {
        const json_t *j = json_object_get(row, t->column[c]);
        values[c] = value_null();
        ok = !j || json_is_null(j) || schema_value_parse(a, j, &values[c]);
    }
    json_decref(row);
    return ok ? values : NULL;
}

bool review_key_changes(const struct table_schema *t, const struct typed *typed,
                        const struct value *values)
{
    bool changes = false;
    for (uint32_t i = 0; i < t->n_key; i++) {
        uint32_t c = t->key[i];
        changes = changes || (typed->given[c] && !value_equal(&typed->value[c], &values[c]));
    }
    return changes;
}

#define WORDS_BYTES 200

/* A long value is told by its beginning: the write itself carries all of it, and the record has to
 * be small enough to be sent. Cut between two characters. */
static void put_short(struct buf *b, const char *text)
{
    size_t len = strlen(text), n = len > WORDS_BYTES ? WORDS_BYTES : len;
    while (n < len && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    buf_put(b, text, n);
    if (n < len)
        buf_printf(b, "... (%zu bytes)", len);
}

const char *review_words_of(struct arena *a, const struct table_schema *t,
                            const struct typed *typed)
{
    struct buf b = {0};
    for (uint32_t c = 0; c < t->n_columns; c++) {
        if (!typed->given[c])
            continue;
        char *text = schema_values_json(a, &typed->value[c], 1);
        buf_printf(&b, "%s%s = ", b.len > 0 ? ", " : "", t->column[c]);
        put_short(&b, text);
    }
    const char *kept = arena_strdup(a, buf_str(&b));
    buf_fini(&b);
    return kept;
}
