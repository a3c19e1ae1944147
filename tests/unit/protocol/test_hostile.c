/* Bytes that were right and are not any more: cut anywhere, or with bits turned over. Each decoder
 * must answer with an error or a message within limits, and within the memory stated here. */
#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/seal.h"
#include "tests/lib/check.h"
#include "tests/unit/protocol/sample.h"
#include "tests/unit/protocol/wire.h"

#include <string.h>

/* Of small messages: nothing that was not in the bytes may be taken in earnest. A segment may say
 * "20,000 rows of NULLs" in a few bytes: its bound is rows, columns and keys at their limits. */
#define MESSAGE_BOUND ((size_t)1 << 20)
#define SEGMENT_BOUND                                                                              \
    (MESSAGE_BOUND +                                                                               \
     (size_t)LIMIT_ROWS * (LIMIT_COLUMNS + LIMIT_KEY_COLUMNS) * sizeof(struct value) +             \
     (size_t)LIMIT_ROWS * sizeof(struct row_change))
#define SEEDS 6
#define FLIPS 1200

typedef enum err decode_fn(struct arena *a, struct bytes b, struct buf *image);

static enum err decode_message(struct arena *a, struct bytes b, struct buf *image)
{
    struct message m;
    struct bytes body, signature;
    enum err e = codec_decode(a, b.p, b.len, &m, &body, &signature);
    if (!e)
        image_message(image, &m);
    return e;
}

static enum err decode_items(struct arena *a, struct bytes b, struct buf *image)
{
    struct sample_pair k = sample_keys(1);
    struct mark mark;
    struct answer answer;
    struct stable stable;
    uint64_t site;
    enum err e = codec_item_site(b, ITEM_MARK, &site);
    (void)!codec_item_site(b, ITEM_ANSWER, &site);
    (void)!codec_item_site(b, ITEM_STABLE, &site);
    if (!codec_mark_open(a, b, k.key, &mark))
        image_mark(image, &mark);
    if (!codec_answer_open(a, b, k.key, &answer))
        image_answer(image, &answer);
    if (!codec_stable_open(a, b, k.key, &stable))
        image_stable(image, &stable);
    return e;
}

static enum err decode_sealed(struct arena *a, struct bytes b, struct buf *image)
{
    struct sample_pair k = sample_keys(1);
    struct changeset cs;
    uint8_t hash[HASH_BYTES];
    (void)!seal_peek(a, b.p, b.len, &cs);
    enum err e = seal_open(a, b.p, b.len, k.key, &cs, hash);
    if (!e)
        image_changeset(image, &cs);
    return e;
}

static enum err decode_header(struct arena *a, struct bytes b, struct buf *image)
{
    struct changeset cs;
    struct segment_info *info;
    enum err e = codec_header_decode(a, b.p, b.len, &cs, &info);
    if (!e) {
        cs.n_segments = 0;
        image_changeset(image, &cs);
    }
    return e;
}

static enum err decode_segment(struct arena *a, struct bytes b, struct buf *image)
{
    struct segment s;
    enum err e = codec_segment_decode(a, b.p, b.len, (struct dot){1, 1}, &s);
    if (!e)
        image_segment(image, &s);
    return e;
}

static void attempt(decode_fn *decode, struct bytes b, size_t bound)
{
    struct arena a = {0};
    struct buf image = {0};
    enum err e = decode(&a, b, &image);
    assert_true(e == ERR_OK || e == ERR_MALFORMED || e == ERR_LIMIT || e == ERR_SIGNATURE);
    assert_in_range(a.used_bytes, 0, bound);
    buf_fini(&image);
    arena_fini(&a);
}

/* Each piece has memory of its own size, so that a sanitizer sees the first byte read beyond it. */
static void attempt_all(decode_fn *decode, struct bytes b, size_t bound, uint64_t seed)
{
    for (size_t len = 0; len < b.len; len++) {
        uint8_t *cut = mem_copy(b.p, len);
        attempt(decode, (struct bytes){cut, len}, bound);
        mem_free(cut);
    }
    uint8_t *flipped = mem_copy(b.p, b.len);
    for (int i = 0; i < FLIPS && b.len; i++) {
        uint32_t flips = 1 + sample_below(&seed, 3);
        memcpy(flipped, b.p, b.len);
        for (uint32_t k = 0; k < flips; k++)
            flipped[sample_below(&seed, (uint32_t)b.len)] ^=
                (uint8_t)(1u << sample_below(&seed, 8));
        attempt(decode, (struct bytes){flipped, b.len}, bound);
    }
    mem_free(flipped);
}

/* Every message type, cut at every place and with bits turned over. */
static void broken_messages_are_refused_or_harmless(void **state)
{
    struct sample_pair k = sample_keys(1);
    for (unsigned type = MESSAGE_HELLO; type <= MESSAGE_DIGEST_REPLY; type++) {
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct arena a = {0};
            struct buf b = {0};
            struct message m;
            sample_message(&a, seed, (enum message_type)type, &m);
            codec_encode(&m, k.secret, &b);
            attempt_all(decode_message, (struct bytes){b.data, b.len}, MESSAGE_BOUND, seed);
            buf_fini(&b);
            arena_fini(&a);
        }
    }
}

static enum err decode_states(struct arena *a, struct bytes raw, struct buf *image)
{
    struct buf chunk = {0}, envelope = {0}, packed = {0};
    wire_fixed(&chunk, 1, 1);
    wire_string(&chunk, 2, "t");
    wire_string(&chunk, 3, "x");
    wire_string(&chunk, 3, "y");
    wire_string(&chunk, 4, "");
    wire_varint(&chunk, 5, 0);
    wire_varint(&chunk, 6, 0);
    wire_bytes(&chunk, 7, "0123456789abcdef0123456789abcdef", 32);
    wire_string(&chunk, 8, "");
    wire_string(&chunk, 9, "");
    wire_varint(&chunk, 10, 0);
    wire_fixed(&chunk, 11, 1);
    wire_varint(&chunk, 13, raw.len);
    seal_compress(raw.p, raw.len, &packed);
    wire_bytes(&chunk, 14, packed.data, packed.len);
    wire_bytes(&envelope, 10, chunk.data, chunk.len);
    enum err e = decode_message(a, (struct bytes){envelope.data, envelope.len}, image);
    buf_fini(&chunk), buf_fini(&envelope), buf_fini(&packed);
    return e;
}

/* Row states inside the compression of a chunk. */
static void broken_row_states_are_refused_or_harmless(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct arena a = {0};
        struct buf b = {0}, raw = {0}, image = {0};
        struct message m = {.type = MESSAGE_LOAD_CHUNK};
        struct bytes chunk, packed;
        uint64_t raw_len, none;
        uint64_t wanted = seed;
        do
            sample_message(&a, wanted += SEEDS, MESSAGE_LOAD_CHUNK, &m);
        while (m.u.load_chunk.n_columns != 2 || m.u.load_chunk.n_states < 3);
        codec_encode(&m, NULL, &b);
        assert_true(wire_find((struct bytes){b.data, b.len}, 10, &chunk, &none));
        assert_true(wire_find(chunk, 13, &packed, &raw_len));
        assert_true(wire_find(chunk, 14, &packed, &none));
        assert_ok(seal_decompress(packed.p, packed.len, raw_len, &raw));
        assert_ok(decode_states(&a, (struct bytes){raw.data, raw.len}, &image));
        attempt_all(decode_states, (struct bytes){raw.data, raw.len}, MESSAGE_BOUND, seed);
        buf_fini(&b), buf_fini(&raw), buf_fini(&image);
        arena_fini(&a);
    }
}

/* Marks, answers and stable messages. */
static void broken_items_are_refused_or_harmless(void **state)
{
    struct sample_pair k = sample_keys(1);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct arena a = {0};
        struct buf b = {0};
        struct mark mark;
        struct answer answer;
        struct stable stable;
        sample_mark(&a, seed, &mark);
        codec_mark_encode(&mark, k.secret, &b);
        attempt_all(decode_items, (struct bytes){b.data, b.len}, MESSAGE_BOUND, seed);
        buf_reset(&b);
        sample_answer(&a, seed, &answer);
        codec_answer_encode(&answer, k.secret, &b);
        attempt_all(decode_items, (struct bytes){b.data, b.len}, MESSAGE_BOUND, seed);
        buf_reset(&b);
        sample_stable(&a, seed, &stable);
        codec_stable_encode(&stable, k.secret, &b);
        attempt_all(decode_items, (struct bytes){b.data, b.len}, MESSAGE_BOUND, seed);
        buf_fini(&b);
        arena_fini(&a);
    }
}

/* Headers and segments without the signature and the hash that shield them, and sealed whole. */
static void broken_changesets_are_refused_or_harmless(void **state)
{
    struct sample_pair k = sample_keys(1);
    struct buf b = {0};
    struct changeset cs;
    struct segment_info info[3] = {{"", 1, 10, {1}}, {"120104", 6, 1000, {2}}, {"13", 0, 2, {3}}};
    uint8_t hash[HASH_BYTES];
    fixed_changeset(&cs);
    codec_header_encode(&cs, info, &b);
    attempt_all(decode_header, (struct bytes){b.data, b.len}, MESSAGE_BOUND, 1);
    for (uint32_t i = 0; i < cs.n_segments; i++) {
        buf_reset(&b);
        assert_ok(codec_segment_encode(&cs.segments[i], cs.dot, &b));
        attempt_all(decode_segment, (struct bytes){b.data, b.len}, SEGMENT_BOUND, i);
    }
    struct segment deltas;
    fixed_deltas(&deltas);
    buf_reset(&b);
    assert_ok(codec_segment_encode(&deltas, fixed_dot, &b));
    attempt_all(decode_segment, (struct bytes){b.data, b.len}, SEGMENT_BOUND, 7);
    struct segment references;
    fixed_references(&references);
    buf_reset(&b);
    assert_ok(codec_segment_encode(&references, fixed_dot, &b));
    attempt_all(decode_segment, (struct bytes){b.data, b.len}, SEGMENT_BOUND, 8);
    buf_reset(&b);
    assert_ok(seal_changeset(&cs, k.secret, &b, hash));
    attempt_all(decode_sealed, (struct bytes){b.data, b.len}, MESSAGE_BOUND, 2);
    buf_fini(&b);
}

/* Every bit of a sealed changeset is vouched for: with any one of them turned over it does not
 * open. */
static void no_bit_of_a_sealed_changeset_can_change(void **state)
{
    struct sample_pair k = sample_keys(1);
    struct buf b = {0}, image = {0};
    struct changeset cs;
    uint8_t hash[HASH_BYTES];
    fixed_changeset(&cs);
    assert_ok(seal_changeset(&cs, k.secret, &b, hash));
    for (size_t i = 0; i < b.len * 8; i++) {
        struct arena a = {0};
        b.data[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_not_equal(decode_sealed(&a, (struct bytes){b.data, b.len}, &image), ERR_OK);
        b.data[i / 8] ^= (uint8_t)(1u << i % 8);
        arena_fini(&a);
    }
    buf_fini(&b), buf_fini(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_messages_are_refused_or_harmless),
        cmocka_unit_test(broken_row_states_are_refused_or_harmless),
        cmocka_unit_test(broken_items_are_refused_or_harmless),
        cmocka_unit_test(broken_changesets_are_refused_or_harmless),
        cmocka_unit_test(no_bit_of_a_sealed_changeset_can_change),
    };
    return check_run_after(sample_set_up, tests);
}
