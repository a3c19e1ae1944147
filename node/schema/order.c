/* The place of a key in the order of its table, as bytes that compare so.
 *
 *   number   1, then 0 for one below all integers of 64 bits, 1 among them, 2 above; among them
 *            the largest integer that is not greater (sign bit turned round, big-endian)
 *            and 0 for that integer itself; else its bits as a real, turned round where it is
 *            negative
 *   text     2, as its collation sees it, 0 written as 0 255, to its end: 0 0
 *   blob     3, the same
 *
 * NOCASE sees ASCII in one case, RTRIM no spaces at the end; what an application's own collation
 * sees is not known here: a table that has one cannot be written by the node. */
#include "node/schema/schema.h"

#include "node/db/query.h"
#include "protocol/limits.h"

#include <string.h>

#define TWO_63 9223372036854775808.0

static void put_u64(struct buf *b, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_put_u8(b, (uint8_t)(v >> shift));
}

static void put_real(struct buf *b, double r)
{
    uint64_t bits;
    memcpy(&bits, &r, sizeof bits);
    put_u64(b, bits >> 63 ? ~bits : bits | (uint64_t)1 << 63);
}

static void put_integer(struct buf *b, int64_t i)
{
    buf_put_u8(b, 1);
    put_u64(b, (uint64_t)i ^ (uint64_t)1 << 63);
}

static void put_number(struct buf *b, const struct value *v)
{
    buf_put_u8(b, 1);
    if (v->type == VALUE_INTEGER) {
        put_integer(b, v->u.i);
        buf_put_u8(b, 0);
        return;
    }
    bool among = v->u.r >= -TWO_63 && v->u.r < TWO_63;
    int64_t whole = among ? (int64_t)v->u.r : 0;
    if (among)
        put_integer(b, whole - ((double)whole > v->u.r));
    else
        buf_put_u8(b, v->u.r < 0 ? 0 : 2);
    put_real(b, v->u.r);
}

static void put_bytes(struct buf *b, const struct value *v, const char *collation)
{
    const uint8_t *p = v->u.p;
    size_t n = v->len;
    bool nocase = db_same_name(collation, "NOCASE");
    bool trim = db_same_name(collation, "RTRIM");
    while (trim && n > 0 && p[n - 1] == ' ')
        n--;
    for (size_t i = 0; i < n && !(nocase && p[i] == 0); i++) {
        buf_put_u8(b, nocase && p[i] >= 'A' && p[i] <= 'Z' ? (uint8_t)(p[i] - 'A' + 'a') : p[i]);
        if (p[i] == 0)
            buf_put_u8(b, 255);
    }
    buf_put_u8(b, 0);
    buf_put_u8(b, 0);
    for (int shift = 56; nocase && shift >= 0; shift -= 8) /* behind its first NUL: the longer */
        buf_put_u8(b, (uint8_t)((uint64_t)n >> shift));
}

bool schema_key_order(const struct table_schema *t, struct bytes key, struct buf *out)
{
    struct value v[LIMIT_KEY_COLUMNS];
    buf_reset(out);
    if (key_decode(key.p, key.len, v, t->n_key) != ERR_OK)
        return false;
    for (uint32_t i = 0; i < t->n_key; i++) {
        if (v[i].type == VALUE_NULL) {
            buf_reset(out);
            return false;
        }
        if (v[i].type == VALUE_INTEGER || v[i].type == VALUE_REAL) {
            put_number(out, &v[i]);
            continue;
        }
        buf_put_u8(out, v[i].type == VALUE_TEXT ? 2 : 3);
        put_bytes(out, &v[i], v[i].type == VALUE_TEXT ? t->key_collation[i] : "BINARY");
    }
    return true;
}
