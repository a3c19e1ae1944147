#include "node/store_part.h"

#include "protocol/limits.h"

#include <string.h>

/* Between the end of the first load and the position of its last chunk.
 *
 * The stream goes on behind the first chunk, so it brings again what later chunks hold already. A
 * change is left out where the clock of the chunk that holds its key covers it: the chunk's row may
 * be settled, and a settled row does not show that it has seen the change. Chunks are ranges in the
 * table's key order; the one of a key is the first whose last key is not before it. */

static enum err read_clock(sqlite3_stmt *q, int column, struct clock *c)
{
    struct cursor cur = cursor_of(sqlite3_column_blob(q, column),
                                  (size_t)sqlite3_column_bytes(q, column));
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

/* SELECT (key) <= (last key), with the collations by which the chunks were read. */
static sqlite3_stmt *order_stmt(struct store *s, const struct table_schema *t)
{
    struct arena scratch = {0};
    struct buf sql = {0};
    buf_printf(&sql, "SELECT (");
    for (uint32_t i = 0; i < t->n_key; i++) {
        const char *collation = "BINARY";
        sqlite3_table_column_metadata(s->db, "main", t->name, t->column[t->key[i]], NULL,
                                      &collation, NULL, NULL, NULL);
        buf_printf(&sql, "%s?%u COLLATE %s", i > 0 ? ", " : "", i + 1,
                   schema_quote(&scratch, collation));
    }
    buf_printf(&sql, ") <= (");
    for (uint32_t i = 0; i < t->n_key; i++)
        buf_printf(&sql, "%s?%u", i > 0 ? ", " : "", t->n_key + i + 1);
    buf_printf(&sql, ")");
    sqlite3_stmt *q = store_stmt(s, buf_str(&sql));
    buf_fini(&sql);
    arena_fini(&scratch);
    return q;
}

static bool not_behind(struct store *s, struct arena *a, struct row_key k, struct bytes last)
{
    if (last.len == 0 || last.p[0] == PART_RECORDS)
        return true; /* to the end of the rows */
    sqlite3_stmt *q = order_stmt(s, k.t);
    bool row = false;
    if (q == NULL || row_bind_key(a, q, k, 1) != ERR_OK ||
        row_bind_key(a, q, (struct row_key){k.t, last.p, last.len}, 1 + (int)k.t->n_key) != ERR_OK)
        return false;
    bool yes = store_step(s, q, &row) == ERR_OK && row && sqlite3_column_int(q, 0) == 1;
    sqlite3_reset(q);
    return yes;
}

bool load_chunk_covers(struct store *s, struct row_key k, struct dot d)
{
    if (edge_covers(s, k.t, true, d))
        return true; /* clocks only grow from chunk to chunk */
    if (!edge_covers(s, k.t, false, d))
        return false;
    sqlite3_stmt *q = store_stmt(s, "SELECT last_key, clock FROM tonle_chunk WHERE t = ?1 ORDER BY ord");
    if (q == NULL)
        return false;
    sqlite3_bind_int64(q, 1, k.t->t);
    struct arena a = {0};
    struct clock c = {0};
    bool row, covers = false;
    while (store_step(s, q, &row) == ERR_OK && row) {
        if (!not_behind(s, &a, k, store_column_bytes(&a, q, 0)))
            continue;
        covers = read_clock(q, 1, &c) == ERR_OK && clock_covers(&c, d);
        break;
    }
    sqlite3_reset(q);
    clock_fini(&c);
    arena_fini(&a);
    return covers;
}

enum err load_passed(struct store *s, struct arena *a, uint64_t pos)
{
    if (pos < store_meta_u64(s, "load_pos", 0))
        return ERR_OK;
    enum err e = store_exec(s, "DELETE FROM tonle_chunk");
    if (e == ERR_OK)
        e = store_meta_set_u64(s, "load_pos", 0);
    if (e != ERR_OK)
        return e;
    s->state.loading = false;
    return load_parents(s, a);
}
