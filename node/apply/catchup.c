/* Between the end of the first load and the position of its last chunk.
 *
 * The stream goes on behind the first chunk, so it brings again what later chunks hold already. A
 * change is left out where the clock of the chunk that holds its key covers it: the chunk's row may
 * be settled, and a settled row does not show that it has seen the change. The chunk of a key is
 * the page of the records part, in the order of key bytes, that reaches it (load/chunk.c); of the
 * tables that come without records, the page that brought the row. */
#include "node/apply/work.h"

#include "node/db/query.h"
#include "node/journal/journal.h"
#include "node/state/state.h"
#include "protocol/limits.h"

#include <assert.h>
#include <string.h>

/* Whether an encoded clock covers d. */
static enum err clock_has(struct bytes b, struct dot d, bool *yes)
{
    struct clock c = {0};
    struct cursor cur = cursor_of(b.p, b.len);
    enum err e = clock_decode(&cur, &c, LIMIT_CLOCK_ENTRIES);
    *yes = e == ERR_OK && clock_covers(&c, d);
    clock_fini(&c);
    return e;
}

/* Whether the chunk at this end of the table's chunks covers d; false when there is none. */
static enum err edge_covers(struct store *s, const struct table_schema *t, bool first, struct dot d,
                            bool *yes)
{
    *yes = false;
    struct query q =
        DB_QUERY(s,
                 first ? "SELECT clock FROM tonle_chunk WHERE t = ?1 ORDER BY ord LIMIT 1"
                       : "SELECT clock FROM tonle_chunk WHERE t = ?1 ORDER BY ord DESC LIMIT 1",
                 value_u64(t->t));
    if (query_next(&q))
        query_fail(&q, clock_has(query_borrow(&q, 0), d, yes));
    return query_end(&q);
}

static bool row_page_reaches(struct bytes page, struct row_key k)
{
    struct buf at = {0}, end = {0};
    bool known = schema_key_order(k.t, (struct bytes){k.key, k.len}, &at) &&
                 schema_key_order(k.t, page, &end);
    int order = known ? memcmp(at.data, end.data, at.len < end.len ? at.len : end.len) : 1;
    bool reached = order < 0 || (order == 0 && at.len <= end.len);
    buf_fini(&end);
    buf_fini(&at);
    return reached;
}

/* Whether this page tells what the key's state holds; empty is the last one. */
static bool reaches(struct bytes page, struct row_key k)
{
    if (page.len == 0)
        return true;
    if (page.p[0] != PART_RECORDS) /* rows only: see the top of load/chunk.c */
        return k.t->hub_only && row_page_reaches(page, k);
    size_t len = page.len - 1;
    int order = memcmp(k.key, page.p + 1, k.len < len ? k.len : len);
    return order < 0 || (order == 0 && k.len <= len);
}

/* The clock of the page that tells what this key's state holds, as bytes in the arena; empty when
 * the table has none. */
static enum err page_clock(struct store *s, struct arena *a, struct row_key k, struct bytes *found)
{
    *found = (struct bytes){0};
    struct query q = DB_QUERY(
        s, "SELECT last_key, clock FROM tonle_chunk WHERE t = ?1 ORDER BY ord", value_u64(k.t->t));
    while (found->len == 0 && query_next(&q)) {
        if (reaches(query_borrow(&q, 0), k))
            *found = query_bytes(&q, a, 1);
    }
    return query_end(&q);
}

enum err load_chunk_covers(struct store *s, struct row_key k, struct dot d, bool *covers)
{
    enum err e = edge_covers(s, k.t, true, d, covers);
    if (e != ERR_OK || *covers)
        return e; /* clocks only grow from chunk to chunk */
    e = edge_covers(s, k.t, false, d, covers);
    if (e != ERR_OK || !*covers)
        return e;
    struct arena a = {0};
    struct bytes b;
    *covers = false;
    e = page_clock(s, &a, k, &b);
    if (e == ERR_OK && b.len > 0)
        e = clock_has(b, d, covers);
    arena_fini(&a);
    return e;
}

static enum err same_page(struct store *s, struct arena *a, struct row_key k, struct bytes *page)
{
    struct bytes b;
    enum err e = page_clock(s, a, k, &b);
    if (e != ERR_OK)
        return e;
    if (!page->p)
        *page = b;
    bool same = b.len == page->len && (b.len == 0 || memcmp(b.p, page->p, b.len) == 0);
    return same ? ERR_OK : ERR_LIMIT;
}

enum err store_seal_context(struct store *s, struct arena *a, const struct changeset *cs,
                            struct clock *context)
{
    struct bytes page = {0};
    struct buf key = {0};
    enum err e = schema_load(s);
    for (uint32_t i = 0; e == ERR_OK && i < cs->segments[0].n_tables; i++) {
        const struct table_changes *tc = &cs->segments[0].tables[i];
        const struct table_schema *t = schema_table(s, tc->table);
        for (uint32_t j = 0; e == ERR_OK && t && j < tc->n_rows; j++) {
            buf_reset(&key);
            key_encode(&key, tc->rows[j].key, tc->n_key);
            e = same_page(s, a, (struct row_key){t, key.data, key.len}, &page);
        }
    }
    buf_fini(&key);
    if (e != ERR_OK || page.len == 0)
        return e;
    struct clock c = {0};
    struct cursor cur = cursor_of(page.p, page.len);
    e = clock_decode(&cur, &c, LIMIT_CLOCK_ENTRIES);
    if (e == ERR_OK)
        clock_join(context, &c);
    clock_fini(&c);
    return e;
}

enum err load_passed(struct store *s, struct arena *a, uint64_t pos)
{
    assert(s->in_write);
    uint64_t end;
    enum err e = store_meta_u64(s, "load_pos", 0, &end);
    if (e != ERR_OK || pos < end)
        return e;
    e = store_exec(s, "DELETE FROM tonle_chunk");
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "load_pos", 0);
    if (e == ERR_OK) /* ranks were kept meanwhile (row_save) */
        e = store_meta_set_u64(s, "sweep_due", 1);
    if (e != ERR_OK)
        return e;
    state_set_loading(s, false);
    return load_parents(s, a);
}

enum err store_peer_received(struct store *s, const char *node, uint64_t pos)
{
    enum err e = journal_peer_received(s, node, pos);
    if (e != ERR_OK || !state_of(s)->loading || strcmp(node, identity_of(s)->parent) != 0)
        return e;
    struct arena a = {0};
    e = load_passed(s, &a, pos);
    arena_fini(&a);
    return e;
}
