/* A person settles a held row. Rows that refer to it follow it to another key and into the row it
 * is merged with; it is not dropped from under them unless that is said (children.c).
 *
 * reason    set                            merge                              drop
 * birth     UPDATE, or, where it changes   into the row that stands at its    DELETE
 *           the key, DELETE + BORN         key
 * unique    the same                       into the row in its way            DELETE
 * check     the same                       -                                  DELETE
 * parent    the same                       -                                  DELETE
 * local     - (it stands at the other offices: the remedy is here, then retry)
 * schema    - (comes in when the table fits again)
 * limit     - (stands in this office's table; the next write that can be sent is)
 *
 * Merging: the standing row takes what --set says, and the held row's values where it has NULL;
 * then the held row is dropped. */
#include "node/desk/children.h"

#include "node/db/query.h"
#include "node/state/state.h"

#include <assert.h>
#include <string.h>

struct held_settling {
    struct store *s;
    struct arena *a;
    struct held_record held;
    const struct table_schema *t;
    struct reviewed row;
    struct birth *b;
    struct typed typed;
    struct buf choice;
    bool leave_children;
    const char *children; /* who followed, or stays behind, in words */
};

struct held_place { /* where a held row is, and the row in its way */
    uint32_t t;
    struct bytes key;
    struct dot birth;
    struct bytes by_key;
};

static enum err find_place(struct store *s, struct arena *a, const char *id, struct held_place *out)
{
    struct query q =
        DB_QUERY(s, "SELECT t, k, site, seq, bk FROM tonle_held WHERE id = ?1", value_text(id));
    bool found = query_next(&q);
    if (found)
        *out = (struct held_place){.t = (uint32_t)query_i64(&q, 0),
                                   .key = query_bytes(&q, a, 1),
                                   .birth = {query_u64(&q, 2), query_u64(&q, 3)},
                                   .by_key = query_bytes(&q, a, 4)};
    enum err e = query_end(&q);
    return e == ERR_OK && !found ? ERR_NOT_FOUND : e;
}

static bool is(const struct held_settling *x, const char *reason)
{
    return strcmp(x->held.reason, reason) == 0;
}

/* What no decision can help: says what does. */
static enum err helpless(const struct held_settling *x)
{
    const char *id = x->held.id;
    if (is(x, "schema"))
        return store_fail(x->s, ERR_STATE,
                          "this row waits for its table: `tonle doctor` names what is missing; "
                          "when that is repaired it comes in by itself, or by `tonle held retry "
                          "%.40s`",
                          id);
    if (is(x, "limit"))
        return store_fail(x->s, ERR_STATE,
                          "this row stands here and cannot be sent as it is (%.200s): change it "
                          "with any application, and that write is sent",
                          x->held.message);
    if (is(x, "local"))
        return store_fail(x->s, ERR_STATE,
                          "only this office refuses this row (%.200s); it stands at the others: "
                          "change what refuses it here, then `tonle held retry %.40s`",
                          x->held.message, id);
    return ERR_OK;
}

/* Whose write it is may always settle it, as far as every other office can tell from the changeset
 * that it is (apply/ruling.h): its birth is of this very site and not of one that this office had
 * before; or its name is forgotten, and no other birth of the key has one. */
static bool own_write(const struct held_settling *x)
{
    const struct store_identity *own = store_identity_get(x->s);
    if (x->b->name.site != 0)
        return x->b->name.site == own->site;
    return x->row.row.n_births == 1 && strcmp(x->held.office, own->node) == 0;
}

static enum err allowed(struct held_settling *x)
{
    return own_write(x) ? ERR_OK : review_allowed(x->s, x->a, x->t, x->held.values);
}

static enum err find(struct held_settling *x, const char *id, struct held_place *at)
{
    enum err e = store_held_get(x->s, x->a, id, &x->held);
    if (e == ERR_OK)
        e = find_place(x->s, x->a, x->held.id, at);
    if (e == ERR_OK)
        e = helpless(x);
    if (e != ERR_OK)
        return e;
    x->t = schema_by_number(x->s, at->t);
    if (x->t && x->t->exists)
        e = review_row(x->s, x->a, (struct row_key){x->t, at->key.p, at->key.len}, &x->row);
    x->b = e == ERR_OK && x->t && x->t->exists ? review_birth(&x->row, at->birth) : NULL;
    if (e == ERR_OK && (!x->b || x->b->held == HOLD_NONE || !x->held.values))
        e = store_fail(x->s, ERR_STATE, "what is held as %.40s is not on record as a row: %.200s",
                       x->held.id, x->held.message);
    return e == ERR_OK ? allowed(x) : e;
}

/* ---- set */

/* A row that is held stays so with the values that it has. */
static enum err no_change(const struct held_settling *x)
{
    const struct table_schema *t = x->t;
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (x->typed.given[c] && !value_equal(&x->typed.value[c], &x->held.values[c]))
            return ERR_OK;
    return store_fail(x->s, ERR_NOTHING,
                      "these are its values already, and it is held with them: nothing is changed; "
                      "`tonle held show %.40s` tells what is in its way",
                      x->held.id);
}

static enum err set(struct held_settling *x)
{
    const struct table_schema *t = x->t;
    enum err e = no_change(x);
    if (e != ERR_OK)
        return e;
    buf_printf(&x->choice, "%s", review_words_of(x->a, t, &x->typed));
    if (!review_key_changes(t, &x->typed, x->held.values)) {
        for (uint32_t i = 0; i < t->n_key; i++) /* said, and as it is */
            x->typed.given[t->key[i]] = false;
        return review_update(&x->row, x->b, &x->typed);
    }
    struct value *values = arena_copy(x->a, x->held.values, t->n_columns * sizeof *values);
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (x->typed.given[c])
            values[c] = x->typed.value[c];
    return review_rename(&x->row, x->b, values);
}

/* ---- merge */

static enum err standing_row(struct held_settling *x, const struct held_place *at,
                             struct reviewed *into, struct birth **b)
{
    bool same_key = is(x, "birth");
    if (!same_key && !is(x, "unique"))
        return store_fail(x->s, ERR_STATE,
                          "no row of %.64s is in its way that it could be merged into: give the "
                          "right values with `tonle held set %.40s COL=VALUE`, or drop it",
                          x->t->name, x->held.id);
    struct row_key k = {x->t, at->by_key.p, at->by_key.len};
    enum err e = ERR_OK;
    if (same_key)
        *into = x->row;
    else if (at->by_key.len > 0)
        e = review_row(x->s, x->a, k, into);
    else
        *into = (struct reviewed){.s = x->s, .a = x->a, .k = k};
    *b = e == ERR_OK ? row_standing(&into->row, &x->t->rules) : NULL;
    if (e == ERR_OK && (!*b || !into->stand))
        e = store_fail(x->s, ERR_STATE,
                       "the row in its way does not stand any more: `tonle held retry %.40s`",
                       x->held.id);
    return e;
}

/* What the standing row lacks the held one gives, `values` as they will be. */
static void fill(struct held_settling *x, const struct value *stand, const struct value *values)
{
    const struct table_schema *t = x->t;
    for (uint32_t c = 0; c < t->n_columns; c++) {
        if (x->typed.given[c] || stand[c].type != VALUE_NULL || values[c].type == VALUE_NULL)
            continue;
        x->typed.given[c] = true;
        x->typed.value[c] = values[c];
    }
    for (uint32_t i = 0; i < t->n_key; i++)
        x->typed.given[t->key[i]] = false;
}

/* The row as it will stand. */
static const struct value *merged(const struct held_settling *x, const struct value *stand,
                                  const struct value *values)
{
    struct value *all = arena_copy(x->a, stand, x->t->n_columns * sizeof *all);
    for (uint32_t c = 0; c < x->t->n_columns; c++) {
        if (schema_is_key(x->t, c))
            continue;
        if (x->typed.given[c])
            all[c] = x->typed.value[c];
        else if (all[c].type == VALUE_NULL)
            all[c] = values[c];
    }
    return all;
}

static enum err merge_into(struct held_settling *x, const struct reviewed *into,
                           const struct birth *b)
{
    const struct table_schema *t = x->t;
    struct followers l;
    uint32_t n = 0;
    enum err e = children_find(&x->row, x->b, merged(x, into->stand, x->held.values), &l);
    if (e == ERR_OK)
        e = children_move(&l);
    if (e != ERR_OK)
        return e;
    fill(x, into->stand, l.at[0]->columns.value);
    for (uint32_t c = 0; c < t->n_columns; c++)
        n += x->typed.given[c];
    x->children = children_words(x->a, &l);
    buf_printf(&x->choice, "merged into %s%s%s", schema_key_json(x->a, t, into->k.key, into->k.len),
               n > 0 ? ": " : "", review_words_of(x->a, t, &x->typed));
    if (l.n > 1)
        buf_printf(&x->choice, "; what belonged to it follows: %s", x->children);
    if (n > 0)
        e = review_update(into, b, &x->typed);
    return e == ERR_OK ? review_delete(&x->row, x->b) : e;
}

static enum err merge(struct held_settling *x, const struct held_place *at)
{
    struct reviewed into;
    struct birth *b = NULL;
    enum err e = standing_row(x, at, &into, &b);
    if (e == ERR_OK)
        e = review_sealed(&into);
    if (e == ERR_OK && review_key_changes(x->t, &x->typed, into.stand))
        e = store_fail(x->s, ERR_USAGE,
                       "a merge leaves the key as it is; to give this row another key: `tonle held "
                       "set %.40s COL=VALUE`",
                       x->held.id);
    return e == ERR_OK ? merge_into(x, &into, b) : e;
}

/* ---- drop */

static enum err drop(struct held_settling *x)
{
    struct followers l;
    bool same_key = is(x, "birth");
    enum err e = children_find(&x->row, x->b, NULL, &l);
    if (e != ERR_OK)
        return e;
    x->children = children_words(x->a, &l);
    if (l.n > 1 && !x->leave_children)
        return store_fail(x->s, ERR_STATE,
                          "rows refer to it (%.160s) and would %s: `tonle held merge %.40s` takes "
                          "them along, or settle them first; to drop it all the same, add "
                          "--leave-children",
                          x->children,
                          same_key ? "belong to the row that stands at its key"
                                   : "stay held without it",
                          x->held.id);
    buf_printf(&x->choice, "dropped");
    if (l.n > 1)
        buf_printf(&x->choice, "; what belonged to it is left: %s", x->children);
    return review_delete(&x->row, x->b);
}

static enum err settle(struct held_settling *x, enum held_action action,
                       const struct held_place *at)
{
    switch (action) {
    case HELD_SET:
        return set(x);
    case HELD_MERGE:
        return merge(x, at);
    default:
        return drop(x);
    }
}

enum err store_held_settle(struct store *s, struct arena *a, const char *id,
                           enum held_action action, const struct review *review,
                           struct held_settled *out)
{
    struct held_settling x = {
        .s = s, .a = a, .leave_children = review->leave_children, .children = ""};
    struct held_place at = {0};
    assert(s->in_write);
    enum err e = find(&x, id, &at);
    if (e == ERR_OK)
        e = review_typed(s, a, x.t, review, &x.typed);
    if (e == ERR_OK)
        e = settle(&x, action, &at);
    const struct subject about = {.what = "held",
                                  .id = x.held.id,
                                  .table = x.held.table,
                                  .key_json = x.held.key_json,
                                  .cell = x.held.reason};
    if (e == ERR_OK)
        e = review_record(s, a, &about, buf_str(&x.choice), review, &out->decision);
    out->children = x.children;
    buf_fini(&x.choice);
    return e;
}
