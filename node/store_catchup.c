#include "node/store_part.h"

#include "protocol/limits.h"

#include <string.h>

/* Between the end of the first load and the position of its last chunk.
 *
 * The stream goes on behind the first chunk, so it brings again what later chunks hold already. A
 * change is left out where the clock of the chunk that holds its key covers it: the chunk's row may
 * be settled, and a settled row does not show that it has seen the change. The chunk of a key is
 * the page of the records part, in the order of key bytes, that reaches it (store_chunk.c). */

static enum err read_clock(sqlite3_stmt *q, int column, struct clock *c)
{
    struct cursor cur =
        cursor_of(sqlite3_column_blob(q, column), (size_t)sqlite3_column_bytes(q, column));
    return clock_decode(&cur, c, LIMIT_CLOCK_ENTRIES);
}

/* Whether the chunk at this end of the table's chunks covers d; false when there is none. */
static bool edge_covers(struct store *s, const struct table_schema *t, bool first, struct dot d)
{
    sqlite3_stmt *q = store_stmt(
        s, first ? "SELECT clock FROM tonle_chunk WHERE t = ?1 ORDER BY ord LIMIT 1"
                 : "SELECT clock FROM tonle_chunk WHERE t = ?1 ORDER BY ord DESC LIMIT 1");
    bool row = false;
    if (q != NULL)
        sqlite3_bind_int64(q, 1, t->t);
    if (store_step(s, q, &row) != ERR_OK || !row)
        return false;
    struct clock c = {0};
    bool covers = read_clock(q, 0, &c) == ERR_OK && clock_covers(&c, d);
    sqlite3_reset(q);
    clock_fini(&c);
    return covers;
}

/* Whether this page of the records part reaches the key; NULL is the last one. */
static bool reaches(sqlite3_stmt *q, struct row_key k)
{
    const uint8_t *last = sqlite3_column_blob(q, 0);
    size_t len = (size_t)sqlite3_column_bytes(q, 0);
    if (len == 0)
        return true;
    if (last[0] != PART_RECORDS)
        return false; /* rows only: see the top of store_chunk.c */
    int order = memcmp(k.key, last + 1, k.len < len - 1 ? k.len : len - 1);
    return order < 0 || (order == 0 && k.len <= len - 1);
}

bool load_chunk_covers(struct store *s, struct row_key k, struct dot d)
{
    if (edge_covers(s, k.t, true, d))
        return true; /* clocks only grow from chunk to chunk */
    if (!edge_covers(s, k.t, false, d))
        return false;
    sqlite3_stmt *q =
        store_stmt(s, "SELECT last_key, clock FROM tonle_chunk WHERE t = ?1 ORDER BY ord");
    if (q == NULL)
        return false;
    sqlite3_bind_int64(q, 1, k.t->t);
    struct clock c = {0};
    bool row, covers = false;
    while (store_step(s, q, &row) == ERR_OK && row) {
        if (!reaches(q, k))
            continue;
        covers = read_clock(q, 1, &c) == ERR_OK && clock_covers(&c, d);
        break;
    }
    sqlite3_reset(q);
    clock_fini(&c);
    return covers;
}

enum err load_passed(struct store *s, struct arena *a, uint64_t pos)
{
    if (pos < store_meta_u64(s, "load_pos", 0))
        return ERR_OK;
    enum err e = store_exec(s, "DELETE FROM tonle_chunk");
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "load_pos", 0);
    if (e == ERR_OK) /* ranks were kept meanwhile (row_save) */
        e = store_meta_set_u64(s, "sweep_due", 1);
    if (e != ERR_OK)
        return e;
    s->state.loading = false;
    return load_parents(s, a);
}
