/* Chunks of a table for a first load or a comparison of rows, read in one short transaction.
 *
 * A table is read in two parts. First its rows in key order. Then every record in the order of its
 * key bytes, with the row where one stands: not only those without a row, because a key that had no
 * row when its place among the rows was read may have one by now. The position among them is
 * PART_RECORDS before the key bytes, which no key begins with. A row state of the second part
 * replaces that of the first, and a key that has no record now has not changed since its row was
 * read (nothing becomes stable while somebody loads; what came in meanwhile though all of it was
 * stable is noted, tonle_came, and read with the records): so the clock of its page in the second
 * part tells what a key's state holds, whichever part brought it (apply/catchup.c). Mostly there
 * are few records, and they fit behind the last rows in one chunk.
 *
 *   after                       reads
 *   empty, or a key             rows behind it, then records as far as there is room
 *   PART_RECORDS + key bytes    records behind it
 *
 * Who compares asks with a bound (`upto`, for the last chunk PART_RECORDS), and gets all of a range
 * at once: its rows, and the rows that are held in it. The digest of a range is of both. A range
 * ends where there is no room for more of either, also at the key of a row that is held. Behind the
 * last chunk come the records of what neither stands nor is held.
 *
 * The registry and the charter go without records: their rows are what the hub signed
 * (journal/attest.h), and what nobody signed of them is nothing that a parent may say. Of these the
 * page that brought a row tells what it holds. */
#include "node/load/load.h"

#include "node/capture/capture.h"
#include "node/capture/gap.h"
#include "node/db/query.h"
#include "node/journal/journal.h"
#include "node/load/slice.h"
#include "node/record/deferral.h"
#include "node/record/table.h"
#include "node/state/state.h"
#include "node/store/store.h"
#include "protocol/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)4 << 20)
#define HELD_ROWS 4u

static int compare_bytes(struct bytes a, struct bytes b)
{
    int order = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_bytes(const void *a, const void *b)
{
    return compare_bytes(*(const struct bytes *)a, *(const struct bytes *)b);
}

struct found_record {
    struct bytes key, record;
};

struct chunk_read {
    struct store *s; /* for whom: */
    bool compares;
    struct arena *a;
    const struct table_schema *t;
    const struct load_request *request;
    uint32_t max_rows;
    bool limits; /* some rows here are nobody else's */
    struct load_chunk *out;
    struct kept_birth *keep;
    size_t n_keep, cap_keep;
    struct found_record *held; /* of the range, where no row stands */
    size_t n_held, cap_held;
    struct bytes cut;     /* the range ends here: there was no room for what is held behind it */
    struct bytes *sorted; /* keys of the rows in this chunk, by their bytes */
    size_t n_sorted;
};

static enum err read_record(struct chunk_read *c, struct bytes key, struct bytes *record)
{
    struct query q =
        DB_QUERY(c->s, "SELECT rec FROM tonle_row WHERE swept IN (0, 1) AND t = ?1 AND k = ?2",
                 value_integer(c->t->t), value_blob(key.p, key.len));
    if (query_next(&q))
        *record = query_bytes(&q, c->a, 0);
    return query_end(&q);
}

static enum err read_keep(struct chunk_read *c, struct bytes key)
{
    struct dot *names;
    size_t n;
    enum err e = record_keep_names(c->s, c->a, (struct row_key){c->t, key.p, key.len}, &names, &n);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        c->keep = arena_grow(c->a, c->keep, c->n_keep, &c->cap_keep, sizeof *c->keep);
        c->keep[c->n_keep++] = (struct kept_birth){c->out->table, key, names[i]};
    }
    return e;
}

static enum err add_state(struct chunk_read *c, struct bytes key, struct bytes record,
                          struct value *values)
{
    struct row_state *st = &c->out->states[c->out->n_states++];
    *st = (struct row_state){.key = key,
                             .record = record,
                             .stands = values,
                             .n_values = values ? c->t->n_columns : 0,
                             .values = values};
    return record.len > 0 ? read_keep(c, key) : ERR_OK;
}

/* Too large to be sent: nobody else has the row, and what others have under its key is in the
 * record. */
static enum err is_alone(struct chunk_read *c, struct bytes key, bool *yes)
{
    return c->limits ? limit_alone(c->s, (struct row_key){c->t, key.p, key.len}, yes) : ERR_OK;
}

static void digest_told(struct chunk_read *c, struct arena *a, const struct row *r)
{
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        bool told = b->held != HOLD_NONE && b->held != HOLD_TWIN && b->held != HOLD_LOCAL;
        if (told && birth_alive(b, &c->t->rules))
            digest_add(c->out->digest, c->t, DIGEST_HELD, part_birth_values(a, c->t, b));
    }
}

/* A row of the range that is held: where a row stands under the key, it comes with it. */
static enum err find_held(struct chunk_read *c, struct arena *scratch, struct bytes key)
{
    struct row r;
    struct value *stands = NULL;
    struct bytes record = {0};
    struct row_key k = {c->t, key.p, key.len};
    enum err e = ERR_OK;
    if (c->request->digest_only) {
        e = row_load(c->s, scratch, k, &r, NULL);
        if (e == ERR_OK)
            digest_told(c, scratch, &r);
        return e;
    }
    e = row_read(c->s, scratch, k, &stands);
    if (e == ERR_OK && !stands)
        e = read_record(c, key, &record);
    if (e != ERR_OK || record.len == 0)
        return e;
    c->held = arena_grow(c->a, c->held, c->n_held, &c->cap_held, sizeof *c->held);
    c->held[c->n_held++] = (struct found_record){key, record};
    return ERR_OK;
}

/* Keys of one place ('a' and 'A' where the key is NOCASE) go together. */
static bool is_apart(struct chunk_read *c, const struct held_keys *held, size_t i)
{
    return part_is_behind(c->a, c->t, held->key[i], held->key[i - 1]);
}

/* What is held up to this key of the table (empty: its end), as far as there is room: reading a
 * record costs what several rows do. */
static enum err read_held(struct chunk_read *c, uint32_t room, struct bytes upto)
{
    struct key_range range = {
        .t = c->t, .after = c->request->after, .upto = upto, .max_rows = room / HELD_ROWS + 1};
    struct arena scratch = {0};
    struct held_keys held;
    enum err e = part_held(c->s, c->a, &range, &held);
    size_t i = 0, used = 0;
    for (; e == ERR_OK && i < held.n; i++) {
        if (used > CHUNK_BYTES && is_apart(c, &held, i))
            break;
        size_t before = c->a->used_bytes;
        e = find_held(c, &scratch, held.key[i]);
        used += c->a->used_bytes - before + scratch.used_bytes;
        arena_reset(&scratch);
    }
    if (e == ERR_OK && (i < held.n || held.full))
        c->cut = held.key[i - 1];
    arena_fini(&scratch);
    return e;
}

static enum err add_rows(struct chunk_read *c, const struct slice_rows *rows, uint32_t n)
{
    enum err e = ERR_OK;
    if (n + c->n_held > LIMIT_CHUNK_ROWS)
        return store_fail(
            c->s, ERR_LIMIT,
            "more rows of %s are held under keys that are one to the table than can be"
            " compared",
            c->t->name);
    for (uint32_t i = 0; e == ERR_OK && i < n; i++) {
        struct bytes record = {0};
        bool alone = false;
        digest_add(c->out->digest, c->t, DIGEST_STANDS, rows->row[i]);
        if (c->request->digest_only)
            continue;
        e = is_alone(c, rows->key[i], &alone);
        if (e == ERR_OK && !c->t->hub_only)
            e = read_record(c, rows->key[i], &record);
        if (e == ERR_OK && (!alone || record.len > 0))
            e = add_state(c, rows->key[i], record, alone ? NULL : rows->row[i]);
    }
    c->sorted = arena_alloc(c->a, (n + c->n_held + 1) * sizeof *c->sorted);
    for (uint32_t i = 0; i < n; i++)
        c->sorted[c->n_sorted++] = rows->key[i];
    for (size_t i = 0; e == ERR_OK && i < c->n_held; i++) {
        c->sorted[c->n_sorted++] = c->held[i].key;
        e = add_state(c, c->held[i].key, c->held[i].record, NULL);
    }
    qsort(c->sorted, c->n_sorted, sizeof *c->sorted, by_bytes);
    return e;
}

static enum err read_rows(struct chunk_read *c, bool *end)
{
    uint32_t room =
        c->compares && c->max_rows > LIMIT_CHUNK_ROWS / 2 ? LIMIT_CHUNK_ROWS / 2 : c->max_rows;
    struct key_range want = {c->t, c->request->after, c->request->upto, room, CHUNK_BYTES};
    struct slice_rows rows;
    enum err e = part_slice(c->s, c->a, &want, &rows);
    if (e == ERR_OK && c->compares && !c->t->hub_only)
        e = read_held(c, room, rows.end ? c->request->upto : rows.key[rows.n - 1]);
    uint32_t n = rows.n;
    while (c->cut.len > 0 && n > 0 && part_is_behind(c->a, c->t, rows.key[n - 1], c->cut))
        n--;
    c->out->rows = n;
    c->out->last_key = n > 0 ? rows.key[n - 1] : c->request->after;
    if (c->cut.len > 0)
        c->out->last_key = c->cut;
    *end = rows.end && c->cut.len == 0;
    return e == ERR_OK ? add_rows(c, &rows, n) : e;
}

static struct bytes records_key(struct arena *a, struct bytes key)
{
    uint8_t *p = arena_alloc(a, key.len + 1);
    p[0] = PART_RECORDS;
    if (key.len > 0)
        memcpy(p + 1, key.p, key.len);
    return (struct bytes){p, key.len + 1};
}

/* One page of records behind `after`, in the order of key bytes. */
static enum err record_page(struct chunk_read *c, struct bytes after, struct found_record *found,
                            uint32_t max, uint32_t *n)
{
    *n = 0;
    struct query q =
        DB_QUERY(c->s,
                 "SELECT k, rec FROM tonle_row WHERE swept = 0 AND t = ?1 AND k > ?2 UNION ALL"
                 " SELECT k, rec FROM tonle_row WHERE swept = 1 AND t = ?1 AND k > ?2 UNION ALL"
                 " SELECT c.k, NULL FROM tonle_came c WHERE c.t = ?1 AND c.k > ?2 AND NOT EXISTS"
                 " (SELECT 1 FROM tonle_row r WHERE r.swept IN (0, 1) AND r.t = ?1 AND r.k = c.k)"
                 " ORDER BY k LIMIT ?3",
                 value_integer(c->t->t), value_blob(after.p, after.len), value_integer(max));
    while (query_next(&q)) {
        assert(*n < max);
        found[(*n)++] = (struct found_record){query_bytes(&q, c->a, 0), query_bytes(&q, c->a, 1)};
    }
    return query_end(&q);
}

#define PAGE 200

/* Who compares has been told of it with the rows of its range. */
static enum err is_told(struct chunk_read *c, struct bytes key, bool *yes)
{
    *yes = false;
    if (!c->compares)
        return ERR_OK;
    struct query q = DB_QUERY(c->s, "SELECT 1 FROM tonle_held WHERE t = ?1 AND k = ?2",
                              value_integer(c->t->t), value_blob(key.p, key.len));
    *yes = query_next(&q);
    return query_end(&q);
}

/* The rows of the first part that this very chunk brings have their records with them. */
static bool in_this_chunk(const struct chunk_read *c, struct bytes key)
{
    size_t lo = 0, hi = c->n_sorted;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = compare_bytes(c->sorted[mid], key);
        if (order == 0)
            return true;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

static enum err read_records(struct chunk_read *c, bool *end)
{
    struct bytes at = {0};
    if (c->request->after.len > 0 && c->request->after.p[0] == PART_RECORDS)
        at = (struct bytes){c->request->after.p + 1, c->request->after.len - 1};
    size_t start = c->a->used_bytes;
    enum err e = ERR_OK;
    *end = false;
    while (e == ERR_OK && !*end) {
        struct found_record found[PAGE];
        uint32_t n;
        e = record_page(c, at, found, PAGE, &n);
        for (uint32_t i = 0; e == ERR_OK && i < n; i++) {
            if (c->out->n_states >= c->max_rows || c->a->used_bytes - start > CHUNK_BYTES) {
                c->out->last_key = records_key(c->a, at);
                return ERR_OK;
            }
            struct value *values = NULL;
            at = found[i].key;
            bool alone = false, told = false;
            e = is_told(c, at, &told);
            if (e != ERR_OK || told)
                continue;
            e = row_read(c->s, c->a, (struct row_key){c->t, at.p, at.len}, &values);
            if (e == ERR_OK)
                e = is_alone(c, at, &alone);
            if (alone)
                values = NULL;
            bool gone = found[i].record.len == 0 && !values;
            if (e == ERR_OK && !gone && !in_this_chunk(c, at))
                e = add_state(c, at, found[i].record, values);
        }
        *end = n < PAGE;
    }
    return e;
}

static struct clock copy_clock(struct arena *a, const struct clock *c)
{
    return (struct clock){arena_copy(a, c->entry, c->n * sizeof *c->entry), c->n, c->n};
}

static enum err read_all(struct chunk_read *c, const char *peer)
{
    struct load_chunk *out = c->out;
    bool end, bounded = c->request->upto.len > 0 && !part_is_records_key(c->request->upto);
    uint32_t room = c->compares ? LIMIT_CHUNK_ROWS : c->max_rows;
    out->states = arena_alloc(c->a, room * sizeof *out->states);
    enum err e = read_rows(c, &end);
    if (e == ERR_OK && end && bounded) {
        out->last_key = c->request->upto; /* the range ends, not the table */
        end = false;
    } else if (e == ERR_OK && end && !c->request->digest_only && !c->t->hub_only) {
        e = read_records(c, &end);
    }
    struct backlog tail = {0};
    if (e == ERR_OK) /* UINT64_MAX >> 1: only the tail is wanted */
        e = store_journal_backlog(c->s, LINK_DOWN, peer, UINT64_MAX >> 1, &tail);
    out->end = end;
    out->pos = tail.tail_pos;
    out->clock = copy_clock(c->a, &state_of(c->s)->clock);
    out->stable = copy_clock(c->a, &state_of(c->s)->stable);
    out->hlc = state_of(c->s)->hlc;
    out->keep = c->keep;
    out->n_keep = (uint32_t)c->n_keep;
    return e;
}

static enum err read_chunk(struct store *s, struct arena *a, const struct load_request *request,
                           const char *peer, struct load_chunk *out)
{
    enum err e = schema_load(s);
    const struct table_schema *t = e == ERR_OK ? schema_table(s, request->table) : NULL;
    if (e == ERR_OK && (!t || !t->exists))
        return store_fail(s, ERR_NOT_FOUND, "table %.64s is not published here", request->table);
    if (e != ERR_OK)
        return e;
    struct deferral *waits;
    e = deferral_find(s, t->name, &waits);
    /* its rows are not those of the clock, and come in without a change */
    if (e == ERR_OK && waits)
        e = store_fail(s, ERR_BUSY, "earlier changes of table %s are still being merged", t->name);
    if (e != ERR_OK)
        return e;
    struct chunk_read c = {.s = s, .a = a, .t = t, .request = request, .out = out};
    c.compares = request->digest_only || request->upto.len > 0;
    c.max_rows = request->max_rows > 0 && request->max_rows < LIMIT_CHUNK_ROWS ? request->max_rows
                                                                               : LIMIT_CHUNK_ROWS;
    *out = (struct load_chunk){
        .request = request->request, .table = arena_strdup(a, t->name), .n_columns = t->n_columns};
    out->columns = arena_alloc(a, t->n_columns * sizeof *out->columns);
    for (uint32_t i = 0; i < t->n_columns; i++)
        out->columns[i] = arena_strdup(a, t->column[i]);
    e = limit_any(s, &c.limits);
    enum gap_state gap = GAP_NONE;
    if (e == ERR_OK)
        e = gap_state_of(s, t->t, &gap);
    out->capture_gap = gap;
    return e == ERR_OK ? read_all(&c, peer) : e;
}

enum err store_chunk_read(struct store *s, struct arena *a, const struct load_request *request,
                          const char *peer, struct load_chunk *out)
{
    bool own = !s->in_read && !s->in_write;
    enum err e = own ? store_begin_read(s) : ERR_OK;
    if (e == ERR_OK)
        e = read_chunk(s, a, request, peer, out);
    if (!own || !s->in_read)
        return e;
    enum err ended = store_commit(s);
    return e != ERR_OK ? e : ended;
}
