/* The row a decision is about, as everything here sees it now. */
#include "node/desk/review.h"

#include "node/capture/capture.h"

enum err review_row(struct store *s, struct arena *a, struct row_key k, struct reviewed *out)
{
    *out = (struct reviewed){.s = s, .a = a, .k = k};
    if (!k.t->exists)
        return store_fail(s, ERR_SCHEMA, "table %s is not in this database: see `tonle doctor`",
                          k.t->name);
    enum err e = row_load(s, a, k, &out->row, NULL);
    if (e == ERR_OK)
        e = row_read(s, a, k, &out->stand);
    if (e != ERR_OK)
        return e;
    struct birth *standing = row_standing(&out->row, &k.t->rules);
    if (standing && out->stand)
        birth_set_values(a, standing, &k.t->rules, out->stand);
    else if (out->row.n_births == 0 && out->stand)
        row_from_settled(a, &out->row, out->stand);
    return ERR_OK;
}

struct birth *review_birth(const struct reviewed *r, struct dot name)
{
    struct birth *b = row_find_birth(&r->row, name);
    return b ? b : row_find_birth(&r->row, (struct dot){0, 0});
}

struct value *review_values(const struct reviewed *r, const struct birth *b)
{
    return birth_shown(r->a, b, &r->k.t->rules);
}

enum err review_sealed(const struct reviewed *r)
{
    bool waits;
    enum err e = capture_has(r->s, r->k, &waits);
    return e == ERR_OK && waits
               ? store_fail(r->s, ERR_BUSY,
                            "an application has just changed the row %.100s of %.64s, and that is "
                            "not sealed yet: look at it and decide in a moment; if the node does "
                            "not run, start it first (`tonle run`)",
                            schema_key_json(r->a, r->k.t, r->k.key, r->k.len), r->k.t->name)
               : e;
}
