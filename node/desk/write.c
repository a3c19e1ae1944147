/* The decision's record, and the changes it queues. */
#include "node/desk/review.h"

#include "node/capture/capture.h"
#include "node/db/sqlite.h"
#include "node/journal/journal.h"
#include "node/record/table.h"
#include "node/state/state.h"

#include <stdio.h>
#include <string.h>

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

/* ---- changes */

static enum err queued_birth(struct store *s, struct row_key k, bool *queued)
{
    sqlite3_stmt *q =
        store_stmt(s, "SELECT 1 FROM tonle_todo WHERE t = ?1 AND k = ?2 AND kind = ?3");
    if (!q)
        return part_stmt_error(s);
    sqlite3_bind_int64(q, 1, k.t->t);
    store_bind_blob(q, 2, k.key, k.len);
    sqlite3_bind_int(q, 3, CHANGE_BORN);
    enum err e = store_step(s, q, queued);
    sqlite3_reset(q);
    return e;
}

/* All columns of a birth that is to come. */
static enum err queue_birth(const struct reviewed *r, struct row_key k, const struct value *values)
{
    bool queued;
    enum err e = queued_birth(r->s, k, &queued);
    if (e == ERR_OK && queued)
        e = store_fail(r->s, ERR_STATE,
                       "a decision that enters %.100s in %.64s waits to be sealed: run the node, "
                       "and decide again when that is done",
                       schema_key_json(r->a, k.t, k.key, k.len), k.t->name);
    uint32_t *column = arena_alloc(r->a, (k.t->n_columns + 1) * sizeof *column);
    for (uint32_t c = 0; c < k.t->n_columns; c++)
        column[c] = c;
    return e == ERR_OK
               ? todo_put(r->s, k, (struct dot){0, 0}, CHANGE_BORN, k.t->n_columns, column, values)
               : e;
}

enum err review_enter(const struct reviewed *r, const struct value *values)
{
    return queue_birth(r, r->k, values);
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
    return review_enter(r, values);
}

enum err review_update(const struct reviewed *r, const struct birth *b, const struct typed *columns)
{
    const struct table_schema *t = r->k.t;
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
    return todo_put(r->s, r->k, b->name, CHANGE_UPDATE, n, column, value);
}

enum err review_delete(const struct reviewed *r, const struct birth *b)
{
    return todo_put(r->s, r->k, b->name, CHANGE_DELETE, 0, NULL, NULL);
}

/* Whether a row stands, is held, or is about to be born at this key. */
static enum err key_taken(struct store *s, struct arena *a, struct row_key k, bool *taken)
{
    struct reviewed r;
    enum err e = review_row(s, a, k, &r);
    *taken = false;
    for (uint32_t i = 0; e == ERR_OK && i < r.row.n_births; i++)
        *taken = *taken || birth_alive(&r.row.births[i], &k.t->rules);
    return e == ERR_OK && !*taken ? queued_birth(s, k, taken) : e;
}

static struct row_key key_of(struct arena *a, const struct table_schema *t,
                             const struct value *values)
{
    struct buf b = {0};
    schema_key_encode(t, values, &b);
    struct row_key k = {t, arena_copy(a, b.data, b.len), b.len};
    buf_fini(&b);
    return k;
}

enum err review_rename(const struct reviewed *r, const struct birth *b, const struct value *values)
{
    const struct table_schema *t = r->k.t;
    struct row_key to = key_of(r->a, t, values);
    bool taken;
    for (uint32_t i = 0; i < t->n_key; i++)
        if (values[t->key[i]].type == VALUE_NULL)
            return store_fail(r->s, ERR_USAGE, "%s is of the key: it cannot be NULL",
                              t->column[t->key[i]]);
    enum err e = key_taken(r->s, r->a, to, &taken);
    if (e == ERR_OK && taken)
        e = store_fail(r->s, ERR_EXISTS,
                       "the key %.100s is taken in %.64s already: give another with --set",
                       schema_key_json(r->a, t, to.key, to.len), t->name);
    struct value *born = arena_copy(r->a, values, t->n_columns * sizeof *born);
    if (e == ERR_OK)
        e = review_delete(r, b);
    if (e == ERR_OK)
        e = review_children(r, b, born);
    return e == ERR_OK ? queue_birth(r, to, born) : e;
}

static const char *writer_unit(const struct reviewed *r, const struct birth *b)
{
    struct site_record site;
    if (b->name.site == 0 || store_site_get(r->s, r->a, b->name.site, &site) != ERR_OK)
        return "";
    return site.unit;
}

enum err review_free_key(const struct reviewed *r, const struct birth *b, struct value *values)
{
    const struct table_schema *t = r->k.t;
    uint32_t c = UINT32_MAX;
    bool taken = true;
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
    const char *unit = writer_unit(r, b);
    for (unsigned n = unit[0] != '\0' ? 1 : 2; e == ERR_OK && taken; n++) {
        struct buf text = {0};
        buf_put(&text, old.u.p, old.len);
        if (n == 1)
            buf_printf(&text, "-%s", unit);
        else
            buf_printf(&text, "-%u", n);
        values[c] = value_text(arena_strdup(r->a, buf_str(&text)));
        buf_fini(&text);
        e = key_taken(r->s, r->a, key_of(r->a, t, values), &taken);
    }
    return e;
}

/* ---- the record */

#define META_DECISIONS "decisions"

/* No two decisions of the federation have one id: the site is of one database only, and that counts
 * them. */
static enum err decision_id(struct store *s, const struct subject *about, char id[33])
{
    uint64_t n = store_meta_u64(s, META_DECISIONS, 0) + 1;
    for (unsigned half = 0; half < 2; half++) {
        uint64_t h = bytes_hash(VALUE_HASH_SEED + half * 7919, &identity_of(s)->site, 8);
        h = bytes_hash(h, &n, sizeof n);
        h = bytes_hash(h, about->id, strlen(about->id));
        snprintf(id + half * 16, 17, "%016llx", (unsigned long long)h);
    }
    return store_meta_set_u64(s, META_DECISIONS, n);
}

enum err review_record(struct store *s, struct arena *a, const struct subject *about,
                       const char *choice, const struct review *r, const char **id)
{
    const struct table_schema *t = schema_table(s, "tonle_decision");
    uint64_t federation_ms = r->now_ms + store_meta_u64(s, "offset_ms", 0);
    char hex[33];
    if (!t || !t->exists)
        return store_fail(s, ERR_SCHEMA, "table tonle_decision is missing: see `tonle doctor`");
    enum err e = decision_id(s, about, hex);
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

enum err store_decision_dot(struct store *s, struct arena *a, const char *decision, struct dot *dot)
{
    enum err e = schema_load(s);
    const struct table_schema *t = e == ERR_OK ? schema_table(s, "tonle_decision") : NULL;
    struct buf key = {0};
    struct value id = value_text(decision);
    struct reviewed r;
    bool captured = true;
    *dot = (struct dot){0, 0};
    if (!t)
        return e;
    key_encode(&key, &id, 1);
    e = capture_has(s, (struct row_key){t, key.data, key.len}, &captured);
    if (e == ERR_OK && !captured)
        e = review_row(s, a, (struct row_key){t, key.data, key.len}, &r);
    if (e == ERR_OK && !captured && r.row.n_births > 0)
        *dot = r.row.births[0].name;
    buf_fini(&key);
    return e;
}

enum err store_decision_held(struct store *s, struct arena *a, const char *decision,
                             const char **id, const char **why)
{
    bool row;
    sqlite3_stmt *q = store_stmt(s, "SELECT h.id, h.message FROM tonle_decision d JOIN tonle_held h"
                                    " ON h.table_name = d.table_name AND h.key = d.key"
                                    " WHERE d.id = ?1 LIMIT 1");
    *id = NULL;
    if (!q)
        return part_stmt_error(s);
    store_bind_text(q, 1, decision);
    enum err e = store_step(s, q, &row);
    if (e == ERR_OK && row) {
        *id = store_column_text(a, q, 0);
        *why = store_column_text(a, q, 1);
        sqlite3_reset(q);
    }
    return e;
}
