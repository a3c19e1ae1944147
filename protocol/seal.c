/* The sealed changeset (message Sealed in tonle.proto):
 *
 *   header     the bytes of a Header: federation, dot, context, hybrid time, charter and schema
 *              version, chain hash of the changeset before it, and for each segment its scope, row
 *              count, length before compression and the BLAKE2b-256 of its compressed bytes
 *   signature  Ed25519 over "tonle-changeset", a NUL and the header bytes
 *   segment    for each segment one zstd frame that states its content size; what it holds is on
 *              top of codec_changeset.c
 *
 * The signature reaches the rows through the hashes. The chain hash of a changeset is the
 * BLAKE2b-256 of its header bytes. It is opened from the outside in: signature, limits, hash,
 * declared and actual size, and only then the content.
 */
#include "protocol/seal.h"

#include "protocol/codec.h"
#include "protocol/limits.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>
#include <zstd.h>

#define COMPRESSION_LEVEL 3

static const char domain_changeset[] = "tonle-changeset";

enum err seal_start(void)
{
    return sodium_init() < 0 ? ERR_STATE : ERR_OK;
}

void seal_hash(const void *p, size_t len, uint8_t hash[HASH_BYTES])
{
    crypto_generichash(hash, HASH_BYTES, p, len, NULL, 0);
}

uint64_t seal_site(const uint8_t key[SIGN_PUBLIC_BYTES], uint64_t incarnation)
{
    uint8_t hash[HASH_BYTES];
    uint64_t site = 0;
    struct buf b = {0};
    buf_put(&b, key, SIGN_PUBLIC_BYTES);
    buf_put_u64(&b, incarnation);
    seal_hash(b.data, b.len, hash);
    buf_fini(&b);
    for (int i = 0; i < 8; i++)
        site = site << 8 | hash[i];
    return site ? site : 1; /* 0 is no site */
}

void seal_keypair(const uint8_t seed[32], uint8_t key[SIGN_PUBLIC_BYTES],
                  uint8_t secret[SIGN_SECRET_BYTES])
{
    crypto_sign_seed_keypair(key, secret, seed);
}

void seal_curve_keypair(const uint8_t seed[32], uint8_t key[CURVE_KEY_BYTES],
                        uint8_t secret[CURVE_KEY_BYTES])
{
    memcpy(secret, seed, CURVE_KEY_BYTES);
    crypto_scalarmult_base(key, secret);
}

/* The domain is part of what is signed; its NUL keeps "a" + "bc" from being "ab" + "c". */
static struct buf in_domain(const char *domain, const void *p, size_t len)
{
    struct buf b = {0};
    buf_put(&b, domain, strlen(domain) + 1);
    buf_put(&b, p, len);
    return b;
}

void seal_sign(const char *domain, const void *p, size_t len,
               const uint8_t secret[SIGN_SECRET_BYTES], uint8_t signature[SIGNATURE_BYTES])
{
    struct buf b = in_domain(domain, p, len);
    crypto_sign_detached(signature, NULL, b.data, b.len, secret);
    buf_fini(&b);
}

enum err seal_verify(const char *domain, const void *p, size_t len,
                     const uint8_t key[SIGN_PUBLIC_BYTES], const uint8_t signature[SIGNATURE_BYTES])
{
    struct buf b = in_domain(domain, p, len);
    int bad = crypto_sign_verify_detached(signature, b.data, b.len, key);
    buf_fini(&b);
    return bad ? ERR_SIGNATURE : ERR_OK;
}

static bool is_absurd(size_t len, size_t raw_len)
{
    return raw_len > LIMIT_RATIO_FREE_BYTES && raw_len / LIMIT_RATIO > len;
}

/* A frame of exactly the size of its content is not told from the content: that is not sent. */
static bool is_plain(size_t len, size_t raw_len)
{
    return raw_len > LIMIT_RATIO_FREE_BYTES && raw_len == len;
}

void seal_compress(const void *p, size_t len, struct buf *out)
{
    size_t bound = ZSTD_compressBound(len);
    out->data = mem_grow(out->data, out->len + bound, &out->cap, 1);
    size_t n = ZSTD_compress(out->data + out->len, bound, p, len, COMPRESSION_LEVEL);
    assert(!ZSTD_isError(n));
    if (is_absurd(n, len) || is_plain(n, len))
        buf_put(out, p, len);
    else
        out->len += n;
}

enum err seal_decompress(const void *p, size_t len, size_t raw_len, struct buf *out)
{
    if (is_plain(len, raw_len)) {
        buf_put(out, p, len);
        return ERR_OK;
    }
    if (is_absurd(len, raw_len))
        return ERR_LIMIT;
    if (ZSTD_getFrameContentSize(p, len) != raw_len || ZSTD_findFrameCompressedSize(p, len) != len)
        return ERR_MALFORMED;
    out->data = mem_grow(out->data, out->len + raw_len, &out->cap, 1);
    if (ZSTD_decompress(out->data + out->len, raw_len, p, len) != raw_len)
        return ERR_MALFORMED;
    out->len += raw_len;
    return ERR_OK;
}

static enum err pack_segment(const struct segment *s, struct dot dot, struct buf *packed,
                             struct segment_info *info)
{
    struct buf raw = {0};
    enum err e = codec_segment_encode(s, dot, &raw);
    if (!e) {
        seal_compress(raw.data, raw.len, packed);
        info->scope = s->scope;
        info->raw_len = raw.len;
        for (uint32_t i = 0; i < s->n_tables; i++)
            info->rows += s->tables[i].n_rows;
        seal_hash(packed->data, packed->len, info->hash);
    }
    buf_fini(&raw);
    return e;
}

static enum err pack_segments(const struct changeset *cs, struct buf *packed,
                              struct segment_info *info)
{
    uint64_t rows = 0;
    uint64_t raw = 0;
    enum err e = ERR_OK;
    for (uint32_t i = 0; !e && i < cs->n_segments; i++) {
        e = pack_segment(&cs->segments[i], cs->dot, &packed[i], &info[i]);
        rows += info[i].rows;
        raw += info[i].raw_len;
        if (rows > LIMIT_ROWS || raw > LIMIT_CHANGESET_RAW_BYTES)
            e = ERR_LIMIT;
    }
    return e;
}

static void sign_and_put(const struct changeset *cs, const struct segment_info *info,
                         const struct buf *packed, const uint8_t *secret, struct buf *out,
                         uint8_t hash[HASH_BYTES])
{
    struct arena a = {0};
    struct buf header = {0};
    uint8_t signature[SIGNATURE_BYTES];
    struct bytes *segment = arena_alloc(&a, cs->n_segments * sizeof *segment);
    for (uint32_t i = 0; i < cs->n_segments; i++)
        segment[i] = (struct bytes){packed[i].data, packed[i].len};
    codec_header_encode(cs, info, &header);
    seal_sign(domain_changeset, header.data, header.len, secret, signature);
    seal_hash(header.data, header.len, hash);
    codec_sealed_encode((struct bytes){header.data, header.len},
                        (struct bytes){signature, sizeof signature}, segment, cs->n_segments, out);
    buf_fini(&header);
    arena_fini(&a);
}

enum err seal_changeset(const struct changeset *cs, const uint8_t secret[SIGN_SECRET_BYTES],
                        struct buf *out, uint8_t hash[HASH_BYTES])
{
    if (cs->n_segments > LIMIT_SEGMENTS || cs->context.n > LIMIT_CLOCK_ENTRIES)
        return ERR_LIMIT;
    size_t before = out->len;
    struct arena a = {0};
    struct buf *packed = arena_alloc(&a, cs->n_segments * sizeof *packed);
    struct segment_info *info = arena_alloc(&a, cs->n_segments * sizeof *info);
    enum err e = pack_segments(cs, packed, info);
    if (!e)
        sign_and_put(cs, info, packed, secret, out, hash);
    if (!e && out->len - before > LIMIT_CHANGESET_BYTES) {
        out->len = before;
        e = ERR_LIMIT;
    }
    for (uint32_t i = 0; i < cs->n_segments; i++)
        buf_fini(&packed[i]);
    arena_fini(&a);
    return e;
}

struct parts { /* borrowed from the sealed bytes */
    struct bytes header;
    struct bytes signature;
    struct bytes *segment;
    size_t n_segments;
    struct segment_info *info;
};

enum err seal_peek(struct arena *a, const void *p, size_t len, struct changeset *cs)
{
    struct parts s;
    enum err e = codec_sealed_decode(a, p, len, &s.header, &s.signature, &s.segment, &s.n_segments);
    if (!e)
        e = codec_header_decode(a, s.header.p, s.header.len, cs, &s.info);
    if (!e && s.n_segments != cs->n_segments)
        e = ERR_MALFORMED;
    if (!e)
        cs->n_segments = 0;
    return e;
}

static bool segment_is(const struct segment *s, const struct segment_info *info)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < s->n_tables; i++)
        rows += s->tables[i].n_rows;
    return rows == info->rows && strcmp(s->scope, info->scope) == 0;
}

static enum err open_segment(struct arena *a, struct bytes b, const struct segment_info *info,
                             struct dot dot, struct segment *s)
{
    uint8_t hash[HASH_BYTES];
    struct buf raw = {0};
    seal_hash(b.p, b.len, hash);
    if (memcmp(hash, info->hash, HASH_BYTES) != 0)
        return ERR_SIGNATURE;
    enum err e = seal_decompress(b.p, b.len, (size_t)info->raw_len, &raw);
    if (!e)
        e = codec_segment_decode(a, raw.data, raw.len, dot, s);
    if (!e && !segment_is(s, info))
        e = ERR_MALFORMED;
    buf_fini(&raw);
    return e;
}

enum err seal_open(struct arena *a, const void *p, size_t len, const uint8_t key[SIGN_PUBLIC_BYTES],
                   struct changeset *cs, uint8_t hash[HASH_BYTES])
{
    struct parts s;
    enum err e = codec_sealed_decode(a, p, len, &s.header, &s.signature, &s.segment, &s.n_segments);
    if (!e)
        e = seal_verify(domain_changeset, s.header.p, s.header.len, key, s.signature.p);
    if (!e)
        e = codec_header_decode(a, s.header.p, s.header.len, cs, &s.info);
    if (e)
        return e;
    if (s.n_segments != cs->n_segments)
        return ERR_MALFORMED;
    cs->segments = arena_alloc(a, s.n_segments * sizeof *cs->segments);
    for (size_t i = 0; !e && i < s.n_segments; i++)
        e = open_segment(a, s.segment[i], &s.info[i], cs->dot, &cs->segments[i]);
    seal_hash(s.header.p, s.header.len, hash);
    return e;
}
