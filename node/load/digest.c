/* The digest of a table: an order-independent sum over its merged rows, so that two offices that
 * hold the same rows have the same digest whatever the order they came in, and a part can be summed
 * on its own.
 *
 *   row      BLAKE2b-256 of: u8 tag, varint length and bytes of the table's name, every replicated
 *            column (value_encode, charter order)
 *   digest   the rows' 32 bytes as four little-endian 64-bit numbers, each summed modulo 2^64
 *
 * Births that are held everywhere count with their own tag; twins (conflict/twin.h) do not count,
 * because offices let them go at different times. A birth that only this office's schema
 * or trigger refuses ('local') counts as standing, because elsewhere it stands: outside promise 3,
 * and no reason for an alarm. A row that stands only here for its size does not count: nobody else
 * has it; a value that stays here for its size counts as NULL at both sides, which say so to each
 * other.
 *
 * It is read in slices (enum digest_part: rows, held births, open conflicts), each bounded in rows
 * and bytes: in rollback-journal mode a read keeps the application from committing, so none may be
 * longer than the lock budget (DESIGN 10). What two offices have in the same range, read at equal
 * clocks, has equal sums, but for a birth that is 'local' at one of them: that one counts among
 * the held here and among the rows there, so only the sums of the whole table are equal. */
#include "node/load/slice.h"

#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/load/load.h"
#include "node/record/table.h"
#include "protocol/limits.h"
#include "protocol/seal.h"

#include <assert.h>
#include <string.h>

#define SLICE_BYTES ((size_t)1 << 20)
#define HELD_ROWS 8u /* what reading a record costs, in rows */

static uint64_t get_le(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static void hash_sum(uint8_t to[HASH_BYTES], const uint8_t hash[HASH_BYTES])
{
    for (int i = 0; i < HASH_BYTES; i += 8) {
        uint64_t sum = get_le(to + i) + get_le(hash + i);
        for (int j = 0; j < 8; j++)
            to[i + j] = (uint8_t)(sum >> (8 * j));
    }
}

void digest_add(uint8_t digest[HASH_BYTES], const struct table_schema *t, enum digest_tag tag,
                const struct value *values)
{
    struct buf b = {0};
    buf_put_u8(&b, (uint8_t)tag);
    buf_put_varint(&b, strlen(t->name));
    buf_put(&b, t->name, strlen(t->name));
    for (uint32_t c = 0; c < t->n_columns; c++)
        value_encode(&b, &values[c]);
    uint8_t hash[HASH_BYTES];
    seal_hash(b.data, b.len, hash);
    buf_fini(&b);
    hash_sum(digest, hash);
}

static void leave_out(const struct digest_request *r, struct row_key k, struct value *values)
{
    for (uint32_t i = 0; i < r->n_leave; i++) {
        const struct digest_leave *l = &r->leave[i];
        uint32_t c = l->key.len == k.len && memcmp(l->key.p, k.key, k.len) == 0
                         ? schema_column(k.t, l->column)
                         : UINT32_MAX;
        if (c != UINT32_MAX)
            values[c] = value_null();
    }
}

/* Unless it stays here. */
static enum err digest_row(struct store *s, const struct digest_request *r, struct row_key k,
                           bool limits, struct value *values, struct table_digest *d)
{
    bool alone = false;
    enum err e = limits ? limit_alone(s, k, &alone) : ERR_OK;
    if (e != ERR_OK || alone)
        return e;
    leave_out(r, k, values);
    digest_add(d->digest, k.t, DIGEST_STANDS, values);
    d->rows++;
    return ERR_OK;
}

/* One slice, as far as its bounds go. */
struct digest_read {
    struct store *s;
    struct arena scratch;
    const struct table_schema *t;
    const struct digest_request *request;
    uint32_t room; /* rows that it may still read */
    struct table_digest *sum;
    struct digest_position last;
};

/* The keys that a part is asked for, and whether none is left of them behind what was read. */
struct digest_range {
    struct bytes after, upto; /* upto: inclusive; empty: no bound */
    bool end;
};

static enum err digest_rows(struct digest_read *d, struct digest_range *range)
{
    struct key_range want = {d->t, range->after, range->upto, d->room, SLICE_BYTES};
    struct slice_rows rows = {0};
    bool limits;
    enum err e = limit_any(d->s, &limits);
    if (e == ERR_OK)
        e = part_slice(d->s, &d->scratch, &want, &rows);
    for (uint32_t i = 0; e == ERR_OK && i < rows.n; i++) {
        struct row_key k = {d->t, rows.key[i].p, rows.key[i].len};
        e = digest_row(d->s, d->request, k, limits, rows.row[i], d->sum);
    }
    d->room -= rows.n;
    range->end = rows.end;
    if (rows.n > 0)
        d->last.key = rows.key[rows.n - 1];
    return e;
}

static void digest_births(struct arena *a, const struct table_schema *t, const struct row *r,
                          struct table_digest *d)
{
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        if (b->held == HOLD_NONE || b->held == HOLD_TWIN || !birth_alive(b, &t->rules))
            continue;
        bool local = b->held == HOLD_LOCAL;
        digest_add(d->digest, t, local ? DIGEST_STANDS : DIGEST_HELD, part_birth_values(a, t, b));
        d->rows += local;
        d->held += !local;
    }
}

/* Keys in the order of their bytes, at most `max`, and how much of something each has. */
struct counted_key {
    struct bytes key;
    uint64_t n;
};

static enum err counted_keys(struct digest_read *d, const char *sql,
                             const struct digest_range *range, struct counted_key *out,
                             uint32_t max, uint32_t *n)
{
    static const uint8_t behind_all[] = {PART_RECORDS};
    struct bytes upto = range->upto;
    if (upto.len == 0)
        upto = (struct bytes){behind_all, sizeof behind_all};
    *n = 0;
    struct query q =
        query_of(d->s, sql,
                 DB_VALUES(value_integer(d->t->t), value_blob(range->after.p, range->after.len),
                           value_blob(upto.p, upto.len), value_integer(max)));
    while (query_next(&q)) {
        assert(*n < max);
        out[(*n)++] = (struct counted_key){query_bytes(&q, &d->scratch, 0), query_u64(&q, 1)};
    }
    return query_end(&q);
}

static enum err digest_held(struct digest_read *d, struct digest_range *range)
{
    uint32_t n, i = 0, max = (d->room + HELD_ROWS - 1) / HELD_ROWS;
    struct counted_key *key = arena_alloc(&d->scratch, max * sizeof *key);
    enum err e = counted_keys(d,
                              "SELECT DISTINCT k, 1 FROM tonle_held WHERE t = ?1 AND k > ?2"
                              " AND k <= ?3 ORDER BY k LIMIT ?4",
                              range, key, max, &n);
    size_t start = d->scratch.used_bytes;
    for (; e == ERR_OK && i < n && d->scratch.used_bytes - start <= SLICE_BYTES; i++) {
        struct row r;
        struct row_key k = {d->t, key[i].key.p, key[i].key.len};
        e = row_load(d->s, &d->scratch, k, &r, NULL);
        if (e == ERR_OK)
            digest_births(&d->scratch, d->t, &r, d->sum);
        d->last.key = key[i].key;
    }
    range->end = i == n && n < max;
    d->room -= i * HELD_ROWS < d->room ? i * HELD_ROWS : d->room;
    return e;
}

static enum err digest_conflicts(struct digest_read *d, struct digest_range *range)
{
    uint32_t n, max = d->room;
    struct counted_key *key = arena_alloc(&d->scratch, max * sizeof *key);
    enum err e = counted_keys(d,
                              "SELECT k, count(*) FROM tonle_conflict WHERE t = ?1 AND"
                              " state = 'open' AND k > ?2 AND k <= ?3 GROUP BY k ORDER BY k"
                              " LIMIT ?4",
                              range, key, max, &n);
    for (uint32_t i = 0; i < n; i++)
        d->sum->conflicts += key[i].n;
    if (n > 0)
        d->last.key = key[n - 1].key;
    range->end = n < max;
    d->room -= n;
    return e;
}

/* Part after part while there is room; d->last tells how far it came. */
static enum err digest_parts(struct digest_read *d)
{
    static enum err (*const read_part[])(struct digest_read *, struct digest_range *) = {
        [DIGEST_AT_ROWS] = digest_rows,
        [DIGEST_AT_HELD] = digest_held,
        [DIGEST_AT_CONFLICTS] = digest_conflicts};
    const struct digest_position *after = &d->request->after, *upto = &d->request->upto;
    d->last = *after;
    for (unsigned part = after->part; part < DIGEST_AT_END && part <= upto->part; part++) {
        struct digest_range range = {.end = true};
        if (part > after->part)
            d->last = (struct digest_position){.part = (enum digest_part)part};
        range.after = d->last.key;
        if (part == upto->part)
            range.upto = upto->key;
        bool none = part == upto->part && upto->key.len == 0;
        if (!none && d->room == 0)
            return ERR_OK;
        enum err e = none ? ERR_OK : read_part[part](d, &range);
        if (e != ERR_OK || !range.end)
            return e;
    }
    d->last = *upto;
    return ERR_OK;
}

static enum err leave_row(struct store *s, struct arena *a, struct row_key k,
                          struct digest_leave *leave, size_t room, size_t *n)
{
    bool alone, *left;
    *n = 0;
    enum err e = limit_stays(s, a, k, &alone, &left);
    for (uint32_t c = 0; e == ERR_OK && left && c < k.t->n_columns && *n < room; c++)
        if (left[c])
            leave[(*n)++] = (struct digest_leave){{k.key, k.len}, k.t->column[c]};
    return e;
}

/* Of the rows that one slice reads, as far as there is room; the request then goes no further. */
static enum err leave_rows(struct store *s, struct arena *a, const struct table_schema *t,
                           struct digest_request *r, struct digest_leave *leave)
{
    bool bounded = r->upto.part == DIGEST_AT_ROWS;
    struct key_range want = {t, r->after.key, bounded ? r->upto.key : (struct bytes){0},
                             LIMIT_DIGEST_ROWS, SLICE_BYTES};
    struct slice_rows rows;
    size_t used = 0, n = 0;
    uint32_t i = 0;
    enum err e = part_slice(s, a, &want, &rows);
    for (; e == ERR_OK && i < rows.n; i++, used += n) {
        struct row_key k = {t, rows.key[i].p, rows.key[i].len};
        e = leave_row(s, a, k, leave + used, LIMIT_DIGEST_LEAVE - used, &n);
        if (used > 0 && used + n == LIMIT_DIGEST_LEAVE)
            break; /* perhaps not all of it: the next slice begins with this row */
    }
    if (e == ERR_OK && i > 0 && !(i == rows.n && rows.end))
        r->upto = (struct digest_position){DIGEST_AT_ROWS, rows.key[i - 1]};
    r->n_leave += (uint32_t)used;
    return e;
}

enum err store_digest_leave(struct store *s, struct arena *a, struct digest_request *request)
{
    bool any = false;
    enum err e = schema_load(s);
    const struct table_schema *t = e == ERR_OK ? schema_table(s, request->table) : NULL;
    if (t && t->exists && request->after.part == DIGEST_AT_ROWS)
        e = limit_columns(s, t, &any);
    bool none = request->upto.part == DIGEST_AT_ROWS && request->upto.key.len == 0;
    if (e != ERR_OK || !any || none)
        return e;
    struct digest_leave *all =
        arena_alloc(a, (request->n_leave + LIMIT_DIGEST_LEAVE) * sizeof *all);
    if (request->n_leave > 0)
        memcpy(all, request->leave, request->n_leave * sizeof *all);
    request->leave = all;
    return leave_rows(s, a, t, request, all + request->n_leave);
}

enum err store_digest_slice(struct store *s, struct arena *a, const struct digest_request *request,
                            struct digest_reply *out)
{
    enum err e = schema_load(s);
    if (e != ERR_OK)
        return e;
    const struct table_schema *t = schema_table(s, request->table);
    *out = (struct digest_reply){.request = request->request,
                                 .exists = t && t->exists,
                                 .last = request->upto,
                                 .leave = request->leave,
                                 .n_leave = request->n_leave};
    out->sum.table = arena_strdup(a, t ? t->name : request->table);
    if (!out->exists)
        return ERR_OK;
    struct digest_read d = {.s = s, .t = t, .request = request, .sum = &out->sum};
    bool bounded = request->max_rows > 0 && request->max_rows < LIMIT_DIGEST_ROWS;
    d.room = bounded ? request->max_rows : LIMIT_DIGEST_ROWS;
    e = digest_parts(&d);
    out->last.part = d.last.part;
    out->last.key = (struct bytes){arena_copy(a, d.last.key.p, d.last.key.len), d.last.key.len};
    arena_fini(&d.scratch);
    return e;
}

void digest_sum(struct table_digest *to, const struct table_digest *d)
{
    to->rows += d->rows;
    to->held += d->held;
    to->conflicts += d->conflicts;
    hash_sum(to->digest, d->digest);
}

static enum err digest_table(struct store *s, struct arena *a, const char *table,
                             struct table_digest *sum)
{
    struct digest_request r = {
        .table = table, .after = {.part = DIGEST_AT_ROWS}, .upto = {.part = DIGEST_AT_END}};
    enum err e = ERR_OK;
    while (e == ERR_OK && r.after.part != DIGEST_AT_END) {
        struct digest_reply slice;
        e = store_digest_slice(s, a, &r, &slice);
        if (e == ERR_OK)
            digest_sum(sum, &slice.sum);
        r.after = slice.last;
    }
    return e;
}

enum err store_digest(struct store *s, struct arena *a, struct table_digest **out, uint32_t *n)
{
    enum err e = schema_load(s);
    if (e != ERR_OK)
        return e;
    struct table_digest *d = arena_alloc(a, s->schema->n_tables * sizeof *d);
    uint32_t count = 0;
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        if (!s->schema->tables[i].exists)
            continue;
        d[count].table = arena_strdup(a, s->schema->tables[i].name);
        e = digest_table(s, a, d[count].table, &d[count]);
        count++;
    }
    *out = d;
    *n = count;
    return e;
}
