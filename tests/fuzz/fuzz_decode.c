/* Everything that reads hostile bytes. The first byte chooses the decoder, the rest is its input.
 *
 * Beyond "does not crash": what a decoder takes, the encoder writes again, and where the form is
 * said to be the only one (unsigned messages, headers) the bytes are the same.
 */
#include "fuzz_decode.h"

#include "conflict/row.h"
#include "protocol/codec.h"
#include "protocol/seal.h"
#include "tests/unit/protocol/sample.h"

#include <stdlib.h>
#include <string.h>

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void require_same(const struct buf *got, const void *p, size_t len)
{
    require(got->len == len && memcmp(got->data, p, len) == 0);
}

static void fuzz_message(struct arena *a, const uint8_t *p, size_t len)
{
    struct sample_pair k = sample_keys(1);
    struct message m, again;
    struct bytes body, signature;
    struct buf b = {0}, first = {0}, second = {0};
    if (codec_decode(a, p, len, &m, &body, &signature))
        return;
    codec_encode(&m, k.secret, &b);
    if (signature.len == 0 && m.type != MESSAGE_LOAD_CHUNK)
        require_same(&b, p, len);
    require(codec_decode(a, b.data, b.len, &again, &body, &signature) == ERR_OK);
    require(strcmp(image_message(&first, &m), image_message(&second, &again)) == 0);
    buf_fini(&b);
    buf_fini(&first);
    buf_fini(&second);
}

static void fuzz_sealed(struct arena *a, const uint8_t *p, size_t len)
{
    struct sample_pair k = sample_keys(1);
    struct changeset cs;
    uint8_t hash[HASH_BYTES];
    uint64_t site;
    enum err peeked = seal_peek(a, p, len, &cs);
    require(codec_item_site((struct bytes){p, len}, ITEM_CHANGESET, &site) == peeked);
    if (!seal_open(a, p, len, k.key, &cs, hash))
        require(peeked == ERR_OK);
}

static void fuzz_header(struct arena *a, const uint8_t *p, size_t len)
{
    struct changeset cs;
    struct segment_info *info;
    struct buf b = {0};
    if (codec_header_decode(a, p, len, &cs, &info))
        return;
    codec_header_encode(&cs, info, &b);
    require_same(&b, p, len);
    buf_fini(&b);
}

static void fuzz_segment(struct arena *a, const uint8_t *p, size_t len)
{
    struct segment s, again;
    struct dot dot = {1, 1};
    struct buf b = {0}, first = {0}, second = {0};
    if (codec_segment_decode(a, p, len, dot, &s))
        return;
    require(codec_segment_encode(&s, dot, &b) == ERR_OK);
    require(codec_segment_decode(a, b.data, b.len, dot, &again) == ERR_OK);
    require(strcmp(image_segment(&first, &s), image_segment(&second, &again)) == 0);
    buf_fini(&b);
    buf_fini(&first);
    buf_fini(&second);
}

static void fuzz_item(struct arena *a, const uint8_t *p, size_t len)
{
    struct sample_pair k = sample_keys(1);
    struct bytes b = {p, len};
    struct mark mark;
    struct answer answer;
    struct stable stable;
    uint64_t site;
    if (!codec_mark_open(a, b, k.key, &mark))
        require(!codec_item_site(b, ITEM_MARK, &site) && site == mark.site);
    if (!codec_answer_open(a, b, k.key, &answer))
        require(!codec_item_site(b, ITEM_ANSWER, &site) && site == answer.site);
    if (!codec_stable_open(a, b, k.key, &stable))
        require(!codec_item_site(b, ITEM_STABLE, &site) && site == stable.site);
}

const struct table_rules *fuzz_rules(void)
{
    static const uint8_t policy[] = {POLICY_LATEST, POLICY_EARLIEST, POLICY_MAX,   POLICY_MIN,
                                     POLICY_SUM,    POLICY_REVIEW,   POLICY_REVIEW};
    static const uint8_t fallback[] = {0, 0, 0, 0, 0, POLICY_MIN, POLICY_MIN};
    static const uint32_t column[] = {6, 5};
    static const struct cell_group name = {"name", 2, column};
    static const struct cell_group *const group[] = {NULL, NULL, NULL, NULL, NULL, &name, &name};
    static const struct table_rules rules = {
        .n_columns = sizeof policy, .policy = policy, .fallback = fallback, .group = group};
    return &rules;
}

static void fuzz_row(struct arena *a, const uint8_t *p, size_t len)
{
    const struct table_rules *rules = fuzz_rules();
    struct row r;
    struct buf b = {0}, again = {0};
    if (row_decode(a, &r, rules, p, len))
        return;
    row_encode(&b, &r, rules); /* not p: a record of an older schema has fewer columns */
    require(row_decode(a, &r, rules, b.data, b.len) == ERR_OK);
    row_encode(&again, &r, rules);
    require_same(&again, b.data, b.len);
    buf_fini(&b);
    buf_fini(&again);
}

void fuzz_decode(const uint8_t *p, size_t len)
{
    static void (*const decoder[FUZZ_DECODERS])(struct arena *, const uint8_t *, size_t) = {
        fuzz_message, fuzz_sealed, fuzz_header, fuzz_segment, fuzz_item, fuzz_row,
    };
    struct arena a = {0};
    if (len == 0)
        return;
    decoder[p[0] % FUZZ_DECODERS](&a, p + 1, len - 1);
    arena_fini(&a);
}
