#include "node/journal/open.h"

#include "node/db/query.h"
#include "protocol/seal.h"

#include <string.h>

enum err part_open(struct store *s, struct opener *o, struct arena *a, const struct item *i,
                   struct changeset *cs)
{
    uint8_t hash[HASH_BYTES];
    if (o->site != i->dot.site || o->site == 0) {
        arena_reset(&o->arena);
        o->site = 0;
        enum err e = store_site_get(s, &o->arena, i->dot.site, &o->record);
        if (e != ERR_OK)
            return e;
        o->site = i->dot.site;
    }
    enum err e = seal_open(a, i->bytes.p, i->bytes.len, o->record.sign_key, cs, hash);
    return e == ERR_OK ? ERR_OK
                       : store_fail(s, ERR_CORRUPT, "journal position %llu cannot be opened: %s",
                                    (unsigned long long)i->pos, err_name(e));
}

void part_opener_fini(struct opener *o)
{
    arena_fini(&o->arena);
}

static bool has_key(struct buf *scratch, const struct table_changes *t, uint32_t row,
                    struct bytes key)
{
    buf_reset(scratch);
    key_encode(scratch, t->rows[row].key, t->n_key);
    return scratch->len == key.len && memcmp(scratch->data, key.p, key.len) == 0;
}

const struct row_change *part_next_change(const struct changeset *cs, const char *table,
                                          struct bytes key, struct change_place *at,
                                          const struct table_changes **tc)
{
    struct buf b = {0};
    const struct row_change *found = NULL;
    while (!found && at->segment < cs->n_segments) {
        const struct segment *g = &cs->segments[at->segment];
        if (at->table == g->n_tables) {
            *at = (struct change_place){.segment = at->segment + 1};
            continue;
        }
        *tc = &g->tables[at->table];
        if (at->row == (*tc)->n_rows || strcmp((*tc)->table, table) != 0) {
            *at = (struct change_place){at->segment, at->table + 1, 0};
            continue;
        }
        if (has_key(&b, *tc, at->row++, key))
            found = &(*tc)->rows[at->row - 1];
    }
    buf_fini(&b);
    return found;
}

const struct value *part_value_of(const struct table_changes *tc, const struct row_change *rc,
                                  const char *column)
{
    for (uint32_t i = 0; i < rc->n_cells; i++)
        if (strcmp(tc->columns[rc->column[i]], column) == 0)
            return &rc->value[i];
    return NULL;
}

bool part_written(struct arena *a, const struct table_schema *t, uint32_t cell,
                  const struct table_changes *tc, const struct row_change *rc, struct value *out)
{
    bool any = false;
    struct value *values = arena_alloc(a, t->n_columns * sizeof *values);
    for (uint32_t c = 0; c < t->n_columns; c++) {
        const struct value *v =
            cell_of(&t->rules, c) == cell ? part_value_of(tc, rc, t->column[c]) : NULL;
        any = any || v;
        if (v)
            values[c] = value_copy(a, v);
    }
    if (any)
        *out = cell_gather(a, &t->rules, cell, values);
    return any;
}

enum err part_item_at(struct store *s, struct arena *a, uint64_t pos, struct item *out)
{
    struct query q = DB_QUERY(s,
                              "SELECT source, site, seq, hlc, bytes FROM tonle_journal"
                              " WHERE pos = ?1 AND kind = 1",
                              value_u64(pos));
    bool row = query_next(&q);
    if (row)
        *out = (struct item){.pos = pos,
                             .kind = ITEM_CHANGESET,
                             .source = query_text(&q, a, 0),
                             .dot = {query_u64(&q, 1), query_u64(&q, 2)},
                             .hlc = query_u64(&q, 3),
                             .bytes = query_bytes(&q, a, 4)};
    enum err e = query_end(&q);
    return e == ERR_OK && !row ? ERR_NOT_FOUND : e;
}
