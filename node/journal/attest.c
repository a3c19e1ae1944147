#include "node/journal/attest.h"

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
