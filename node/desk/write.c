/* The decision's record, and the changes it queues. */
#include "node/desk/review.h"

#include "conflict/hlc.h"
#include "node/capture/capture.h"
#include "node/capture/gap.h"
#include "node/record/table.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum err review_queue_birth(const struct reviewed *r, struct row_key k, const struct value *values)
{
    bool queued;
    enum err e = todo_has_birth(r->s, k, &queued);
    if (e == ERR_OK && queued)
        e = store_fail(r->s, ERR_STATE,
                       "a decision that enters %.100s in %.64s waits to be sealed: run the node, "
                       "and decide again when that is done",
                       schema_key_json(r->a, k.t, k.key, k.len), k.t->name);
    uint32_t *column = arena_alloc(r->a, (k.t->n_columns + 1) * sizeof *column);
    for (uint32_t c = 0; c < k.t->n_columns; c++)
        column[c] = c;
    const struct todo_change born = {
        .kind = CHANGE_BORN, .n_cells = k.t->n_columns, .column = column, .value = values};
    return e == ERR_OK ? todo_put(r->s, k, &born) : e;
}

/* A row that all agree is dead may be forgotten elsewhere: it comes back as a new birth. */
static enum err bear_again(const struct reviewed *r, const struct birth *b,
                           const struct typed *columns)
{
    const struct table_schema *t = r->k.t;
    if (!b->values)
        return store_fail(r->s, ERR_STATE,
                          "the values of this row are not known here any more: to have it again, "
                          "insert it with an application");
    struct value *values = review_values(r, b);
    for (uint32_t c = 0; c < t->n_columns; c++)
        if (columns->given[c])
            values[c] = columns->value[c];
    return review_queue_birth(r, r->k, values);
}

/* A row that has no name is here beside another: whose that is, the neighbour's tables tell. Until
 * then a change of either may be taken for one of the other elsewhere. */
static enum err no_doubt(const struct reviewed *r)
{
    bool doubtful;
    enum err e = gap_doubts(r->s, r->a, r->k, &r->row, &doubtful);
    return e == ERR_OK && doubtful
               ? store_fail(r->s, ERR_STATE,
                            "the row %.100s of %.64s that has no birth on record was perhaps "
                            "entered here while capture was away, and then no other office has it: "
                            "compare first (`tonle verify --local` shows both sides, `tonle verify "
                            "--repair --take here|parent` takes one), then decide what is left",
                            schema_key_json(r->a, r->k.t, r->k.key, r->k.len), r->k.t->name)
               : e;
}

enum err review_update(const struct reviewed *r, const struct birth *b, const struct typed *columns)
{
    const struct table_schema *t = r->k.t;
    enum err e = no_doubt(r);
    if (e != ERR_OK)
        return e;
    if (birth_gone(b))
        return bear_again(r, b, columns);
    uint32_t *column = arena_alloc(r->a, (t->n_columns + 1) * sizeof *column), n = 0;
    struct value *value = arena_alloc(r->a, (t->n_columns + 1) * sizeof *value);
    for (uint32_t c = 0; c < t->n_columns; c++) {
        if (!columns->given[c])
            continue;
        column[n] = c;
        value[n++] = columns->value[c];
    }
    return todo_put(r->s, r->k,
                    &(struct todo_change){.kind = CHANGE_UPDATE,
                                          .birth = b->name,
                                          .n_cells = n,
                                          .column = column,
                                          .value = value});
}

enum err review_delete(const struct reviewed *r, const struct birth *b)
{
    enum err e = no_doubt(r);
    return e == ERR_OK ? todo_put_delete(r->s, r->a, r->k, &r->row, b) : e;
}

/* ---- the record */

#define META_DECISIONS "decisions"

/* No two decisions of the federation have one id: it begins with the site, which is of one database
 * only, and that counts them. Nobody else may take one that begins so (apply/ruling.h). */
static enum err decision_id(struct store *s, const struct subject *about, char id[33])
{
    uint64_t n;
    enum err e = store_meta_u64(s, META_DECISIONS, 0, &n);
    if (e != ERR_OK)
        return e;
    n++;
    uint64_t h = bytes_hash(VALUE_HASH_SEED, &n, sizeof n);
    h = bytes_hash(h, about->id, strlen(about->id));
    snprintf(id, 33, "%016llx%016llx", (unsigned long long)identity_of(s)->site,
             (unsigned long long)h);
    return store_meta_set_u64(s, META_DECISIONS, n);
}

enum err review_record(struct store *s, struct arena *a, const struct subject *about,
                       const char *choice, const struct review *r, const char **id)
{
    assert(s->in_write);
    const struct table_schema *t = schema_table(s, "tonle_decision");
    /* Never before what this office has seen: the sides that are decided about. */
    uint64_t offset_ms, seen_ms = hlc_ms(state_of(s)->hlc);
    char hex[33] = "";
    if (!t || !t->exists)
        return store_fail(s, ERR_SCHEMA, "table tonle_decision is missing: see `tonle doctor`");
    enum err e = store_meta_u64(s, "offset_ms", 0, &offset_ms);
    if (e == ERR_OK)
        e = decision_id(s, about, hex);
    uint64_t federation_ms = r->now_ms + offset_ms;
    federation_ms = federation_ms > seen_ms ? federation_ms : seen_ms;
    const struct {
        const char *column;
        struct value value;
    } cell[] = {{"id", value_text(hex)},
                {"conflict", value_text(about->id)},
                {"subject", value_text(about->what)},
                {"table_name", value_text(about->table)},
                {"key", value_text(about->key_json)},
                {"cell", value_text(about->cell)},
                {"choice", value_text(choice)},
                {"operator", value_text(r->by)},
                {"office", value_text(store_identity_get(s)->node)},
                {"reason", value_text(r->reason)},
                {"at_ms", value_integer((int64_t)federation_ms)}};
    struct value *values = arena_alloc(a, t->n_columns * sizeof *values);
    for (size_t i = 0; e == ERR_OK && i < sizeof cell / sizeof cell[0]; i++) {
        uint32_t c = schema_column(t, cell[i].column);
        if (c == UINT32_MAX)
            return store_fail(s, ERR_SCHEMA, "tonle_decision has no column %s", cell[i].column);
        values[c] = cell[i].value;
    }
    if (e == ERR_OK)
        e = part_insert(s, t, values);
    if (e == ERR_OK)
        e = capture_note(s, t, CHANGE_BORN, 0, values);
    *id = arena_strdup(a, hex);
    return e;
}
