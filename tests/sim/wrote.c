/* Who wrote this value: every value that an application of an office writes into the tables of
 * app.c is noted beside it, by TEMP triggers of its own connection that know nothing of capture.
 * What an office seals, its application wrote to that row; and in the end each value that stands
 * anywhere, shown or among siblings, was written there by the office that the record names. */
#include "tests/lib/rooms.h"
#include "tests/sim/world.h"

#include "conflict/value.h"

#include <stdio.h>
#include <string.h>

struct noted_value { /* 0: free */
    uint64_t hash;
    uint32_t offices; /* a bit each */
};
static const struct written_table {
    const char *name, *key[2], *column[10];
} table[] = {
    {"house", {"id"}, {"id", "book", "village"}},
    {"person", {"id"}, {"id", "house", "ident", "a", "b", "top", "low", "first", "mother"}},
    {"receipt", {"series", "number"}, {"series", "number", "note"}},
};
#define TABLES (sizeof table / sizeof *table)

static struct noted_value *place_of(struct noted_value *list, size_t cap, uint64_t hash)
{
    size_t i = hash & (cap - 1);
    while (list[i].hash != 0 && list[i].hash != hash)
        i = (i + 1) & (cap - 1);
    return &list[i];
}

static uint64_t hash_of(const char *t, const char *column, const struct value *key, uint32_t n_key,
                        const struct value *v)
{
    struct buf b = {0};
    buf_printf(&b, "%s %s ", t, column);
    key_encode(&b, key, n_key);
    value_encode(&b, v);
    uint64_t h = bytes_hash(VALUE_HASH_SEED, b.data, b.len);
    buf_fini(&b);
    return h | 1;
}

void wrote_note(struct world *w, int office, const char *t, const char *column,
                const struct value *key, uint32_t n_key, const struct value *v)
{
    if (2 * w->n_wrote >= w->cap_wrote) {
        size_t cap = w->cap_wrote ? 2 * w->cap_wrote : 4096;
        struct noted_value *list = mem_alloc(cap * sizeof *list);
        for (size_t i = 0; i < w->cap_wrote; i++)
            if (w->wrote[i].hash != 0)
                *place_of(list, cap, w->wrote[i].hash) = w->wrote[i];
        mem_free(w->wrote);
        w->wrote = list;
        w->cap_wrote = cap;
    }
    uint64_t hash = hash_of(t, column, key, n_key, v);
    struct noted_value *x = place_of(w->wrote, w->cap_wrote, hash);
    w->n_wrote += x->hash == 0;
    x->hash = hash;
    x->offices |= 1u << office;
}

static bool has_written(const struct world *w, int office, const char *t, const char *column,
                        const struct value *key, uint32_t n_key, const struct value *v)
{
    if (w->cap_wrote == 0)
        return false;
    uint64_t hash = hash_of(t, column, key, n_key, v);
    return place_of(w->wrote, w->cap_wrote, hash)->offices & 1u << office;
}

/* ---- the application's own notes, inside its transaction */

static void add_trigger(struct buf *b, const struct written_table *t, bool update)
{
    const char *k2 = t->key[1] ? t->key[1] : t->key[0];
    buf_printf(b, "CREATE TEMP TRIGGER IF NOT EXISTS wrote_%s_%d AFTER %s ON main.%s BEGIN ",
               t->name, update, update ? "UPDATE" : "INSERT", t->name);
    for (int c = 0; t->column[c]; c++) {
        const char *name = t->column[c];
        buf_printf(b, "INSERT INTO wrote SELECT '%s', '%s', new.%s, new.%s, new.%s", t->name, name,
                   t->key[0], k2, name);
        if (update)
            buf_printf(b,
                       " WHERE old.%s IS NOT new.%s OR old.%s IS NOT new.%s OR old.%s IS NOT"
                       " new.%s",
                       name, name, t->key[0], t->key[0], k2, k2);
        buf_printf(b, ";");
    }
    buf_printf(b, " END;");
}

void wrote_before(struct machine *m)
{
    struct buf b = {0};
    buf_printf(&b, "CREATE TEMP TABLE IF NOT EXISTS wrote(t, c, k1, k2, v);");
    for (size_t i = 0; i < TABLES; i++) {
        add_trigger(&b, &table[i], false);
        add_trigger(&b, &table[i], true);
    }
    office_try(&m->o, buf_str(&b)); /* an error: there are no tables yet */
    buf_fini(&b);
}

static struct value value_at(sqlite3_stmt *q, int c)
{
    if (sqlite3_column_type(q, c) == SQLITE_NULL)
        return value_null();
    if (sqlite3_column_type(q, c) == SQLITE_INTEGER)
        return value_integer(sqlite3_column_int64(q, c));
    return value_text((const char *)sqlite3_column_text(q, c));
}

/* More than will be committed, perhaps: that is no harm. */
void wrote_after(struct world *w, struct machine *m)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(m->o.app, "SELECT * FROM temp.wrote", -1, &q, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(q) == SQLITE_ROW) {
        const char *t = (const char *)sqlite3_column_text(q, 0);
        struct value key[2] = {value_at(q, 2), value_at(q, 3)}, v = value_at(q, 4);
        wrote_note(w, (int)(m - w->m), t, (const char *)sqlite3_column_text(q, 1), key,
                   strcmp(t, "receipt") == 0 ? 2 : 1, &v);
    }
    sqlite3_finalize(q);
    office_try(&m->o, "DELETE FROM temp.wrote");
}

/* ---- the oracle */

void wrote_check(struct world *w, struct machine *m, const struct table_changes *tc,
                 const struct row_change *rc)
{
    for (uint32_t i = 0; strncmp(tc->table, "tonle_", 6) != 0 && i < rc->n_cells; i++)
        if (!has_written(w, (int)(m - w->m), tc->table, tc->columns[rc->column[i]], rc->key,
                         tc->n_key, &rc->value[i]))
            world_break(w, "9", "%s: seals a value of %s.%s that its application did not write",
                        m->o.name, tc->table, tc->columns[rc->column[i]]);
}

/* Each version of a living birth, by whom its dot names. */
static void check_birth(struct world *w, const struct table_schema *t, const struct model_row *r,
                        const struct model_birth *b)
{
    struct value key[2];
    if (!b->alive || key_decode(r->key, r->len, key, t->n_key) != ERR_OK)
        return;
    for (uint32_t i = 0; i < b->n_cells; i++) {
        const struct model_cell *c = &b->cell[i];
        for (uint32_t j = 0; c->column != COLUMN_EXISTS && j < c->n; j++) {
            int office = world_office_of(w, c->v[j].dot.site);
            if (!has_written(w, office, t->name, t->column[c->column], key, t->n_key,
                             &c->v[j].value[0]))
                world_break(w, "9", "%s.%s: %s did not write what stands under its name", t->name,
                            t->column[c->column], w->m[office].o.name);
        }
    }
}

/* tables.c has compared what stands at each office with this. */
void wrote_healed(struct world *w)
{
    const struct model *m = &w->m[0].model;
    const struct store *s = w->m[0].watch;
    for (size_t i = 0; i < m->n_rows; i++) {
        const struct model_row *r = &m->row[i];
        for (uint32_t j = 0; j < r->n_births; j++)
            check_birth(w, &s->schema->tables[r->table], r, &r->birth[j]);
    }
}
