/* Which changesets of the journal may have touched a row: a Bloom filter (Bloom 1970) beside each
 * changeset, written in the transaction that puts it into the journal.
 *
 * tonle_touch(pos, filter): `pos` is the changeset's place in the journal. The filter holds the
 * (table, key) of each of its rows:
 *
 *   size    TOUCH_BITS_A_ROW bits a row, and TOUCH_BYTES_MORE bytes: the smaller the changesets,
 *           the more of them there are to be wrong about
 *   hash    h = FNV-1a of the table's name, then of the key's canonical bytes (value.h)
 *   bits    TOUCH_HASHES of them: each half of a splitmix64 step from h (Steele et al. 2014),
 *           scaled to the size by multiplication; bit b is bit b & 7 of byte b >> 3. (One step
 *           each, not one difference for all: six bits at equal distances lie close together for
 *           one key in a hundred, and then nearly every filter says maybe.)
 *
 * With these numbers a changeset of thousands of rows is read in vain once in about 120, one of
 * ten rows once in 6,000, one of a single row hardly ever: of a million rows, in whatever
 * changesets, some sixty at most. A filter never misses a row, so whoever reads only the changesets
 * whose filter says "maybe" sees all that reading every changeset would show. A changeset without a
 * filter (written by a version before this table) is always a "maybe".
 */
#include "node/journal/journal.h"

#include "node/db/query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TOUCH_BITS_A_ROW 10
#define TOUCH_BYTES_MORE 16
#define TOUCH_HASHES 6
#define SLICE_FILTERS 2000 /* read at a time: each slice is a short read (DESIGN 10) */
#define SLICE_BYTES (4u << 20)

static uint64_t mix(uint64_t h)
{
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ULL;
    h = (h ^ h >> 27) * 0x94d049bb133111ebULL;
    return h ^ h >> 31;
}

static uint64_t table_seed(const char *table)
{
    return bytes_hash(VALUE_HASH_SEED, table, strlen(table) + 1);
}

/* The bits of a hash in a filter of this size. */
static void bits_of(uint64_t hash, size_t len, uint32_t bit[TOUCH_HASHES])
{
    uint64_t n = len * 8;
    for (int i = 0; i < TOUCH_HASHES; i += 2) {
        uint64_t x = mix(hash += 0x9e3779b97f4a7c15ULL);
        bit[i] = (uint32_t)((uint32_t)x * n >> 32);
        bit[i + 1] = (uint32_t)((x >> 32) * n >> 32);
    }
}

static void set_bits(uint8_t *filter, size_t len, uint64_t hash)
{
    uint32_t bit[TOUCH_HASHES];
    bits_of(hash, len, bit);
    for (int i = 0; i < TOUCH_HASHES; i++)
        filter[bit[i] >> 3] |= (uint8_t)(1u << (bit[i] & 7));
}

static bool may_hold(const uint8_t *filter, size_t len, uint64_t hash)
{
    uint32_t bit[TOUCH_HASHES];
    if (len == 0)
        return false;
    bits_of(hash, len, bit);
    for (int i = 0; i < TOUCH_HASHES; i++)
        if ((filter[bit[i] >> 3] >> (bit[i] & 7) & 1) == 0)
            return false;
    return true;
}

static void fill(struct buf *key, uint8_t *filter, size_t len, const struct changeset *cs)
{
    for (uint32_t g = 0; g < cs->n_segments; g++)
        for (uint32_t i = 0; i < cs->segments[g].n_tables; i++) {
            const struct table_changes *t = &cs->segments[g].tables[i];
            uint64_t seed = table_seed(t->table);
            for (uint32_t j = 0; j < t->n_rows; j++) {
                buf_reset(key);
                key_encode(key, t->rows[j].key, t->n_key);
                set_bits(filter, len, bytes_hash(seed, key->data, key->len));
            }
        }
}

enum err touch_note(struct store *s, const struct changeset *cs, uint64_t pos)
{
    assert(s->in_write);
    size_t rows = 0;
    for (uint32_t g = 0; g < cs->n_segments; g++)
        for (uint32_t i = 0; i < cs->segments[g].n_tables; i++)
            rows += cs->segments[g].tables[i].n_rows;
    size_t len = (rows * TOUCH_BITS_A_ROW + 7) / 8 + TOUCH_BYTES_MORE;
    uint8_t *filter = mem_alloc(len);
    struct buf scratch = {0};
    fill(&scratch, filter, len, cs);
    buf_fini(&scratch);
    enum err e = DB_RUN(s, "INSERT INTO tonle_touch(pos, filter) VALUES(?1, ?2)", value_u64(pos),
                        value_blob(filter, len));
    mem_free(filter);
    return e;
}

/* ---- finding ---- */

struct touch_found {
    struct arena *a;
    uint64_t *pos;
    size_t n, cap;
};

static void add_pos(struct touch_found *f, uint64_t pos)
{
    f->pos = arena_grow(f->a, f->pos, f->n, &f->cap, sizeof *f->pos);
    f->pos[f->n++] = pos;
}

/* One slice of filters behind *after; *end: there are no others. */
static enum err read_filters(struct store *s, struct touch_found *f, uint64_t hash, uint64_t *after,
                             bool *end)
{
    size_t bytes = 0;
    int seen = 0;
    bool row = true;
    struct query q =
        DB_QUERY(s, "SELECT pos, filter FROM tonle_touch WHERE pos > ?1 ORDER BY pos LIMIT ?2",
                 value_u64(*after), value_u64(SLICE_FILTERS));
    while (bytes < SLICE_BYTES && (row = query_next(&q))) {
        struct bytes filter = query_borrow(&q, 1);
        *after = query_u64(&q, 0);
        if (may_hold(filter.p, filter.len, hash))
            add_pos(f, *after);
        bytes += filter.len;
        seen++;
    }
    *end = !row && seen < SLICE_FILTERS;
    return query_end(&q);
}

/* Only a journal begun before this table has changesets without a filter. Then, and not otherwise,
 * they are looked for: the two numbers of rows tell (both come from an index or a small table). */
static enum err add_unfiltered(struct store *s, struct touch_found *f)
{
    struct query q = DB_QUERY(s, "SELECT (SELECT count(*) FROM tonle_journal WHERE kind = 1)"
                                 " > (SELECT count(*) FROM tonle_touch)");
    bool some = query_next(&q) && query_i64(&q, 0) != 0;
    enum err e = query_end(&q);
    if (e != ERR_OK || !some)
        return e;
    q = DB_QUERY(s, "SELECT pos FROM tonle_journal WHERE kind = 1"
                    " AND pos NOT IN (SELECT pos FROM tonle_touch)");
    while (query_next(&q))
        add_pos(f, query_u64(&q, 0));
    return query_end(&q);
}

static int by_pos(const void *x, const void *y)
{
    uint64_t p = *(const uint64_t *)x, q = *(const uint64_t *)y;
    return (p > q) - (p < q);
}

enum err touch_find(struct store *s, struct arena *a, const char *table, struct bytes key,
                    uint64_t **pos, size_t *n)
{
    struct touch_found f = {.a = a};
    uint64_t hash = bytes_hash(table_seed(table), key.p, key.len), after = 0;
    bool end = false;
    enum err e = ERR_OK;
    while (e == ERR_OK && !end)
        e = read_filters(s, &f, hash, &after, &end);
    if (e == ERR_OK)
        e = add_unfiltered(s, &f);
    if (f.n > 1)
        qsort(f.pos, f.n, sizeof *f.pos, by_pos);
    *pos = f.pos;
    *n = f.n;
    return e;
}
