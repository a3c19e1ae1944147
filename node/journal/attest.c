#include "node/journal/attest.h"

#include "node/db/query.h"
#include "node/file/hex.h"
#include "node/schema/schema.h"
#include "node/state/state.h"
#include "protocol/seal.h"

#include <stdlib.h>
#include <string.h>

const char *const attest_table[ATTEST_SUMS] = {"tonle_node", "tonle_site", "tonle_charter"};
const char *const attest_sum[ATTEST_SUMS] = {"nodes", "sites", "charters"};

static int by_key(const void *x, const void *y)
{
    const struct value *a = *(const struct value *const *)x, *b = *(const struct value *const *)y;
    uint32_t a_len = a->type >= VALUE_TEXT ? a->len : 0, b_len = b->type >= VALUE_TEXT ? b->len : 0;
    uint32_t len = a_len < b_len ? a_len : b_len;
    int order = len > 0 ? memcmp(a->u.p, b->u.p, len) : 0;
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static void put_text(struct buf *b, const char *text)
{
    buf_put_varint(b, strlen(text));
    buf_put(b, text, strlen(text));
}

void attest_sum_of(const char *table, struct attest_rows *rows, uint8_t sum[HASH_BYTES])
{
    struct buf b = {0};
    put_text(&b, table);
    buf_put_varint(&b, rows->n_columns);
    for (uint32_t c = 0; c < rows->n_columns; c++)
        put_text(&b, rows->column[c]);
    if (rows->n > 0)
        qsort(rows->row, rows->n, sizeof *rows->row, by_key);
    for (size_t i = 0; i < rows->n; i++)
        for (uint32_t c = 0; c < rows->n_columns; c++)
            value_encode(&b, &rows->row[i][c]);
    seal_hash(b.data, b.len, sum);
    buf_fini(&b);
}

static const char domain_registry[] = "tonle-registry";

static struct buf signed_bytes(const struct attest *at, const char *federation)
{
    struct buf b = {0};
    put_text(&b, federation);
    buf_put_u64(&b, at->number);
    buf_put(&b, at->sum, sizeof at->sum);
    return b;
}

void attest_sign(struct attest *at, const char *federation, const uint8_t secret[SIGN_SECRET_BYTES])
{
    struct buf b = signed_bytes(at, federation);
    seal_sign(domain_registry, b.data, b.len, secret, at->signature);
    buf_fini(&b);
}

enum err attest_verify(const struct attest *at, const char *federation,
                       const uint8_t key[SIGN_PUBLIC_BYTES])
{
    struct buf b = signed_bytes(at, federation);
    enum err e = seal_verify(domain_registry, b.data, b.len, key, at->signature);
    buf_fini(&b);
    return e;
}

/* ---- in this database */

enum err attest_sum_here(struct store *s, struct arena *a, const char *table,
                         uint8_t sum[HASH_BYTES])
{
    const struct table_schema *t = schema_table(s, table);
    if (!t)
        return store_fail(s, ERR_SCHEMA, "table %s is missing", table);
    struct attest_rows rows = {.n_columns = t->n_columns, .column = (const char **)t->column};
    struct buf sql = {0};
    size_t cap = 0;
    buf_printf(&sql, "SELECT %s FROM %s", t->column_list, t->qname);
    struct query q = DB_QUERY(s, buf_str(&sql));
    buf_fini(&sql);
    while (query_next(&q)) {
        rows.row = arena_grow(a, rows.row, rows.n, &cap, sizeof *rows.row);
        rows.row[rows.n++] = query_values(&q, a, 0, t->n_columns);
    }
    attest_sum_of(table, &rows, sum);
    return query_end(&q);
}

enum err attest_read(struct store *s, struct arena *a, struct attest *out)
{
    *out = (struct attest){0};
    struct query q = DB_QUERY(s, "SELECT number, signature, nodes, sites, charters FROM"
                                 " main." ATTEST_TABLE);
    bool any = query_next(&q), good = any;
    if (any) {
        out->number = query_u64(&q, 0);
        good = hex_bytes(query_text(&q, a, 1), out->signature, SIGNATURE_BYTES);
        for (int i = 0; good && i < ATTEST_SUMS; i++)
            good = hex_bytes(query_text(&q, a, 2 + i), out->sum[i], HASH_BYTES);
    }
    enum err e = query_end(&q);
    if (e == ERR_OK && !any)
        return ERR_NOT_FOUND;
    return e == ERR_OK && !good ? store_fail(s, ERR_CORRUPT, ATTEST_TABLE " holds no signature")
                                : e;
}

enum err attest_look(struct store *s, struct arena *a, const char **table)
{
    const struct store_identity *id = identity_of(s);
    struct attest at;
    *table = NULL;
    enum err e = attest_read(s, a, &at);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_CORRUPT ||
        (e == ERR_OK && attest_verify(&at, id->federation, id->hub_sign_key) != ERR_OK)) {
        *table = ATTEST_TABLE;
        return ERR_OK;
    }
    for (int i = 0; e == ERR_OK && !*table && i < ATTEST_SUMS; i++) {
        uint8_t sum[HASH_BYTES];
        e = attest_sum_here(s, a, attest_table[i], sum);
        if (e == ERR_OK && memcmp(sum, at.sum[i], HASH_BYTES) != 0)
            *table = attest_table[i];
    }
    return e;
}
