#include "node/store_part.h"

#include "protocol/seal.h"

#include <stdlib.h>
#include <string.h>

/* Every known write to one row: the changesets of the journal, decoded one at a time. Each is its
 * own short read, so that the scan of a long journal keeps nobody from committing. */

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

const struct row_change *part_find_change(const struct changeset *cs, const char *table,
                                          struct bytes key, const struct table_changes **tc)
{
    struct buf b = {0};
    const struct row_change *found = NULL;
    for (uint32_t g = 0; g < cs->n_segments; g++)
        for (uint32_t i = 0; i < cs->segments[g].n_tables; i++) {
            const struct table_changes *t = &cs->segments[g].tables[i];
            if (strcmp(t->table, table) != 0)
                continue;
            for (uint32_t j = 0; found == NULL && j < t->n_rows; j++) {
                buf_reset(&b);
                key_encode(&b, t->rows[j].key, t->n_key);
                if (b.len == key.len && memcmp(b.data, key.p, key.len) == 0) {
                    found = &t->rows[j];
                    *tc = t;
                }
            }
        }
    buf_fini(&b);
    return found;
}

struct history {
    struct store *s;
    struct arena *a;
    const char *table;
    struct bytes key;
    struct opener opener;
    struct history_entry *list;
    size_t n, cap;
};

static void add_entry(struct history *h, const struct changeset *cs, const struct row_change *rc,
                      const struct table_changes *tc)
{
    struct history_entry x = {.office = arena_strdup(h->a, h->opener.record.node),
                              .unit = arena_strdup(h->a, h->opener.record.unit),
                              .dot = cs->dot,
                              .hlc = cs->hlc,
                              .kind = rc->kind,
                              .birth = rc->birth,
                              .n_cells = rc->n_cells};
    x.columns = arena_alloc(h->a, rc->n_cells * sizeof *x.columns);
    x.values = arena_alloc(h->a, rc->n_cells * sizeof *x.values);
    for (uint32_t i = 0; i < rc->n_cells; i++) {
        x.columns[i] = arena_strdup(h->a, tc->columns[rc->column[i]]);
        x.values[i] = value_copy(h->a, &rc->value[i]);
    }
    h->list = mem_grow(h->list, h->n, &h->cap, sizeof *h->list);
    h->list[h->n++] = x;
}

static enum err next_changeset(struct store *s, struct arena *a, uint64_t after, struct item *out)
{
    sqlite3_stmt *q = store_stmt(s, "SELECT pos, source, site, seq, hlc, bytes FROM tonle_journal"
                                    " WHERE pos > ?1 AND kind = 1 ORDER BY pos LIMIT 1");
    if (q == NULL)
        return part_stmt_error(s);
    store_bind_u64(q, 1, after);
    bool row;
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK || !row)
        return e != ERR_OK ? e : ERR_NOT_FOUND;
    *out = (struct item){.pos = store_column_u64(q, 0),
                         .kind = ITEM_CHANGESET,
                         .source = store_column_text(a, q, 1),
                         .dot = {store_column_u64(q, 2), store_column_u64(q, 3)},
                         .hlc = store_column_u64(q, 4),
                         .bytes = store_column_bytes(a, q, 5)};
    sqlite3_reset(q);
    return ERR_OK;
}

static int by_time(const void *x, const void *y)
{
    const struct history_entry *p = x, *q = y;
    if (p->hlc != q->hlc)
        return p->hlc < q->hlc ? -1 : 1;
    return dot_compare(p->dot, q->dot);
}

static enum err scan(struct history *h)
{
    struct arena scratch = {0};
    struct item i = {0};
    enum err e = ERR_OK;
    while (e == ERR_OK) {
        arena_reset(&scratch);
        e = next_changeset(h->s, &scratch, i.pos, &i);
        struct changeset cs;
        if (e == ERR_OK)
            e = part_open(h->s, &h->opener, &scratch, &i, &cs);
        if (e != ERR_OK)
            break;
        const struct table_changes *tc;
        const struct row_change *rc = part_find_change(&cs, h->table, h->key, &tc);
        if (rc != NULL)
            add_entry(h, &cs, rc, tc);
    }
    arena_fini(&scratch);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err store_history(struct store *s, struct arena *a, const char *table, const char *key_json,
                       struct history_entry **out, size_t *n)
{
    *out = NULL;
    *n = 0;
    enum err e = schema_load(s);
    const struct table_schema *t = e == ERR_OK ? schema_table(s, table) : NULL;
    if (e == ERR_OK && t == NULL)
        return store_fail(s, ERR_NOT_FOUND, "table %.64s is not in the charter", table);
    struct buf key = {0};
    if (e == ERR_OK)
        e = schema_key_parse(s, a, t, key_json, &key);
    struct history h = {.s = s, .a = a, .table = table};
    if (e == ERR_OK) {
        h.table = arena_strdup(a, t->name);
        h.key = (struct bytes){key.data, key.len};
        e = scan(&h);
    }
    if (e == ERR_OK) {
        if (h.n > 0)
            qsort(h.list, h.n, sizeof *h.list, by_time);
        *out = arena_copy(a, h.list, h.n * sizeof *h.list);
        *n = h.n;
    }
    mem_free(h.list);
    part_opener_fini(&h.opener);
    buf_fini(&key);
    return e;
}
