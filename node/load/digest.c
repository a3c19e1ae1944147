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
 * has it. */
#include "node/load/slice.h"

#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/load/load.h"
#include "node/record/table.h"
#include "protocol/seal.h"

#include <string.h>

#define SLICE_ROWS 500
#define SLICE_BYTES ((size_t)1 << 20)

static uint64_t get_le(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
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
    for (int i = 0; i < HASH_BYTES; i += 8) {
        uint64_t sum = get_le(digest + i) + get_le(hash + i);
        for (int j = 0; j < 8; j++)
            digest[i + j] = (uint8_t)(sum >> (8 * j));
    }
}

/* Unless it stays here. */
static enum err digest_row(struct store *s, struct row_key k, const struct value *values,
                           struct table_digest *d)
{
    bool alone;
    enum err e = limit_alone(s, k, &alone);
    if (e != ERR_OK || alone)
        return e;
    digest_add(d->digest, k.t, DIGEST_STANDS, values);
    d->rows++;
    return ERR_OK;
}

static enum err digest_rows(struct store *s, const struct table_schema *t, struct table_digest *d)
{
    struct arena scratch = {0};
    struct buf last = {0};
    struct slice_rows rows = {0};
    bool limits;
    enum err e = limit_any(s, &limits);
    while (e == ERR_OK && !rows.end) {
        arena_reset(&scratch);
        struct key_range want = {t, {last.data, last.len}, {0}, SLICE_ROWS, SLICE_BYTES};
        e = part_slice(s, &scratch, &want, &rows);
        for (uint32_t i = 0; e == ERR_OK && i < rows.n; i++) {
            struct row_key k = {t, rows.key[i].p, rows.key[i].len};
            if (limits)
                e = digest_row(s, k, rows.row[i], d);
            else
                digest_add(d->digest, t, DIGEST_STANDS, rows.row[i]);
        }
        if (e != ERR_OK || rows.n == 0)
            break;
        d->rows += limits ? 0 : rows.n;
        buf_reset(&last);
        buf_put(&last, rows.key[rows.n - 1].p, rows.key[rows.n - 1].len);
    }
    buf_fini(&last);
    arena_fini(&scratch);
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

static enum err digest_held(struct store *s, const struct table_schema *t, struct table_digest *d)
{
    struct arena a = {0};
    struct bytes *key = NULL;
    size_t n = 0, cap = 0;
    struct query q =
        DB_QUERY(s, "SELECT DISTINCT k FROM tonle_held WHERE t = ?1", value_integer(t->t));
    while (query_next(&q)) {
        key = arena_grow(&a, key, n, &cap, sizeof *key);
        key[n++] = query_bytes(&q, &a, 0);
    }
    enum err e = query_end(&q);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        struct row r;
        e = row_load(s, &a, (struct row_key){t, key[i].p, key[i].len}, &r, NULL);
        if (e == ERR_OK)
            digest_births(&a, t, &r, d);
    }
    arena_fini(&a);
    return e;
}

static enum err count_open(struct store *s, const struct table_schema *t, uint64_t *n)
{
    struct query q =
        DB_QUERY(s, "SELECT count(*) FROM tonle_conflict WHERE t = ?1 AND state = 'open'",
                 value_integer(t->t));
    if (query_next(&q))
        *n = query_u64(&q, 0);
    return query_end(&q);
}

enum err store_digest(struct store *s, struct arena *a, struct table_digest **out, uint32_t *n)
{
    enum err e = schema_load(s);
    if (e != ERR_OK)
        return e;
    struct table_digest *d = arena_alloc(a, s->schema->n_tables * sizeof *d);
    uint32_t count = 0;
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        const struct table_schema *t = &s->schema->tables[i];
        if (!t->exists)
            continue;
        d[count].table = arena_strdup(a, t->name);
        e = digest_rows(s, t, &d[count]);
        if (e == ERR_OK)
            e = digest_held(s, t, &d[count]);
        if (e == ERR_OK)
            e = count_open(s, t, &d[count].conflicts);
        count++;
    }
    *out = d;
    *n = count;
    return e;
}
