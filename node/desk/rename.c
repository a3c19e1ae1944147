/* A birth gets another key: it goes from the old one and is born again at the new one, and those
 * that mean it follow (children.c). */
#include "node/desk/children.h"

#include "node/capture/capture.h"
#include "node/journal/journal.h"

#include <assert.h>
#include <string.h>

enum err review_key_free(struct store *s, struct arena *a, struct row_key k, bool *free)
{
    struct reviewed r;
    bool queued = false;
    enum err e = review_row(s, a, k, &r);
    *free = true;
    for (uint32_t i = 0; e == ERR_OK && i < r.row.n_births; i++)
        *free = *free && !birth_alive(&r.row.births[i], &k.t->rules);
    if (e == ERR_OK)
        e = todo_has_birth(s, k, &queued);
    *free = *free && !queued;
    return e;
}

struct row_key review_key_of(struct arena *a, const struct table_schema *t,
                             const struct value *values)
{
    struct buf b = {0};
    schema_key_encode(t, values, &b);
    struct row_key k = {t, arena_copy(a, b.data, b.len), b.len};
    buf_fini(&b);
    return k;
}

static enum err with_followers(const struct reviewed *r, struct birth *b, struct row_key to,
                               struct value *born)
{
    struct followers l;
    enum err e = children_find(r, b, born, &l);
    for (uint32_t c = 0; e == ERR_OK && c < r->k.t->n_columns; c++)
        if (l.at[0]->columns.given[c]) /* it refers to itself */
            born[c] = l.at[0]->columns.value[c];
    if (e == ERR_OK)
        e = children_move(&l);
    return e == ERR_OK ? review_queue_birth(r, to, born) : e;
}

enum err review_rename(const struct reviewed *r, struct birth *b, const struct value *values)
{
    assert(r->s->in_write && birth_alive(b, &r->k.t->rules));
    const struct table_schema *t = r->k.t;
    struct row_key to = review_key_of(r->a, t, values);
    bool free;
    for (uint32_t i = 0; i < t->n_key; i++)
        if (values[t->key[i]].type == VALUE_NULL)
            return store_fail(r->s, ERR_USAGE, "%s is of the key: it cannot be NULL",
                              t->column[t->key[i]]);
    enum err e = review_key_free(r->s, r->a, to, &free);
    if (e == ERR_OK && !free)
        e = store_fail(r->s, ERR_EXISTS,
                       "the key %.100s is taken in %.64s already: give another with --set",
                       schema_key_json(r->a, t, to.key, to.len), t->name);
    if (e == ERR_OK)
        e = review_delete(r, b);
    struct value *born = arena_copy(r->a, values, t->n_columns * sizeof *born);
    return e == ERR_OK ? with_followers(r, b, to, born) : e;
}

/* "" where nobody knows it. */
static enum err writer_unit(const struct reviewed *r, const struct birth *b, const char **unit)
{
    struct site_record site;
    enum err e =
        b->name.site == 0 ? ERR_NOT_FOUND : store_site_get(r->s, r->a, b->name.site, &site);
    *unit = e == ERR_OK ? site.unit : "";
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err review_free_key(const struct reviewed *r, const struct birth *b, struct value *values)
{
    const struct table_schema *t = r->k.t;
    uint32_t c = UINT32_MAX;
    bool free = false;
    enum err e = ERR_OK;
    for (uint32_t i = 0; i < t->n_key; i++)
        if (values[t->key[i]].type == VALUE_TEXT)
            c = t->key[i];
    if (c == UINT32_MAX)
        return store_fail(r->s, ERR_USAGE,
                          "the key of %.64s has no text that could be made another: say it with "
                          "--keep-both --set %.64s=VALUE",
                          t->name, t->column[t->key[t->n_key - 1]]);
    const struct value old = values[c];
    const char *unit;
    e = writer_unit(r, b, &unit);
    for (unsigned n = unit[0] != '\0' ? 1 : 2; e == ERR_OK && !free; n++) {
        struct buf text = {0};
        buf_put(&text, old.u.p, old.len);
        if (n == 1)
            buf_printf(&text, "-%s", unit);
        else
            buf_printf(&text, "-%u", n);
        values[c] = value_text(arena_strdup(r->a, buf_str(&text)));
        buf_fini(&text);
        e = review_key_free(r->s, r->a, review_key_of(r->a, t, values), &free);
    }
    return e;
}
