/* What protobuf would take and we do not, and what a signer who is hostile himself could write. */
#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/seal.h"
#include "tests/lib/check.h"
#include "tests/unit/protocol/sample.h"
#include "tests/unit/protocol/wire.h"

#include <string.h>
#include <zstd.h>

/* Consumes b. The memory taken is never more than `bound`. */
static enum err decode(struct buf *b, size_t bound)
{
    struct arena a = {0};
    struct message m;
    struct bytes body, signature;
    enum err e = codec_decode(&a, b->data, b->len, &m, &body, &signature);
    assert_in_range(a.used_bytes, 0, bound);
    arena_fini(&a);
    buf_fini(b);
    return e;
}

static enum err decode_in_envelope(unsigned field, struct buf *inner)
{
    struct buf b = {0};
    wire_bytes(&b, field, inner->data, inner->len);
    buf_fini(inner);
    return decode(&b, 1 << 20);
}

#define ACK 5
#define DIGEST_REPLY 12
#define LOAD_REQUEST 9
#define LOAD_CHUNK 10
#define DIGEST_REQUEST 11

/* A DigestReply with this clock, up to a part and a key. */
static struct buf reply_of(const struct buf *clock, unsigned part, const char *key)
{
    struct buf b = {0};
    wire_fixed(&b, 1, 1);
    wire_string(&b, 2, "t");
    wire_varint(&b, 3, 1);
    wire_bytes(&b, 4, clock->data, clock->len);
    wire_varint(&b, 5, part);
    wire_string(&b, 6, key);
    for (unsigned id = 7; id <= 9; id++)
        wire_varint(&b, id, 0);
    wire_bytes(&b, 10, "0123456789abcdef0123456789abcdef", HASH_BYTES);
    return b;
}

static struct buf good_ack(void)
{
    struct buf b = {0};
    wire_fixed(&b, 1, 1);
    wire_varint(&b, 2, 5);
    wire_varint(&b, 3, 6);
    return b;
}

/* The control: the hand-written message that the others are varied from is taken. */
static void the_hand_written_message_is_taken(void **state)
{
    struct buf b = good_ack();
    assert_ok(decode_in_envelope(ACK, &b));
}

/* Refused by the walk over the bytes: protobuf-c has taken no memory. */
static void refuse_unread(unsigned field, struct buf *inner)
{
    struct buf b = {0};
    wire_bytes(&b, field, inner->data, inner->len);
    buf_fini(inner);
    assert_err(decode(&b, 0), ERR_MALFORMED);
}

/* A singular field that comes twice, out of order, of another wire type, or not at all. */
static void fields_come_once_and_in_order(void **state)
{
    struct buf b = good_ack();
    wire_varint(&b, 3, 6);
    refuse_unread(ACK, &b);

    wire_varint(&b, 2, 5);
    wire_fixed(&b, 1, 1);
    wire_varint(&b, 3, 6);
    refuse_unread(ACK, &b);

    wire_varint(&b, 1, 1);
    wire_varint(&b, 2, 5);
    wire_varint(&b, 3, 6);
    refuse_unread(ACK, &b);

    wire_fixed(&b, 1, 1);
    wire_varint(&b, 3, 6);
    refuse_unread(ACK, &b);

    wire_fixed(&b, 1, 1);
    wire_varint(&b, 2, 5);
    refuse_unread(ACK, &b);
}

/* A varint that is longer than it must be, or beyond 64 bits, or beyond what its type holds. */
static void numbers_have_one_form(void **state)
{
    static const uint8_t padded[] = {0x85, 0x00};
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    static const uint8_t endless[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                      0x80, 0x80, 0x80, 0x80, 0x01};
    const struct bytes bad[] = {
        {padded, sizeof padded}, {huge, sizeof huge}, {endless, sizeof endless}};
    for (size_t i = 0; i < 3; i++) {
        struct buf b = {0};
        wire_fixed(&b, 1, 1);
        wire_varint(&b, 2, 5);
        buf_put_u8(&b, 3 << 3);
        buf_put(&b, bad[i].p, bad[i].len);
        assert_err(decode_in_envelope(ACK, &b), ERR_MALFORMED);
    }
    for (uint64_t v = 0; v < 3; v++) { /* a bool */
        struct buf b = {0};
        wire_fixed(&b, 1, 1);
        wire_string(&b, 2, "t");
        wire_string(&b, 3, "");
        wire_string(&b, 4, "");
        wire_varint(&b, 5, v == 1 ? UINT32_MAX : 1);
        wire_varint(&b, 6, v);
        assert_int_equal(decode_in_envelope(LOAD_REQUEST, &b), v < 2 ? ERR_OK : ERR_MALFORMED);
    }
    struct buf b = {0};
    wire_fixed(&b, 1, 1);
    wire_string(&b, 2, "t");
    wire_string(&b, 3, "");
    wire_string(&b, 4, "");
    wire_varint(&b, 5, (uint64_t)UINT32_MAX + 1);
    wire_varint(&b, 6, 0);
    assert_err(decode_in_envelope(LOAD_REQUEST, &b), ERR_MALFORMED);
}

/* An enum value that is not in tonle.proto. */
static void unknown_codes_are_refused(void **state)
{
    for (uint64_t code = 0; code < 10; code++) {
        struct buf b = {0};
        wire_fixed(&b, 1, 1);
        wire_varint(&b, 2, code);
        wire_string(&b, 3, "");
        wire_varint(&b, 4, 0);
        bool known = code >= REFUSAL_OTHER && code <= REFUSAL_CLOCK;
        assert_int_equal(decode_in_envelope(3, &b), known ? ERR_OK : ERR_MALFORMED);
    }
}

/* No message, two messages, something behind the message. */
static void an_envelope_holds_exactly_one_message(void **state)
{
    struct buf b = {0}, ack = good_ack();
    assert_err(decode(&b, 1 << 20), ERR_MALFORMED);
    wire_bytes(&b, ACK, ack.data, ack.len);
    wire_bytes(&b, ACK, ack.data, ack.len);
    assert_err(decode(&b, 1 << 20), ERR_MALFORMED);
    wire_bytes(&b, ACK, ack.data, ack.len);
    wire_bytes(&b, 11,
               "\x09"
               "12345678",
               9);
    assert_err(decode(&b, 1 << 20), ERR_MALFORMED);
    wire_bytes(&b, ACK, ack.data, ack.len);
    buf_put_u8(&b, 0);
    assert_err(decode(&b, 1 << 20), ERR_MALFORMED);
    buf_fini(&ack);
}

/* A name with a NUL, broken or overlong UTF-8, a surrogate, nothing in it, or too much. */
static void names_are_text(void **state)
{
    char longest[LIMIT_NAME_BYTES + 1];
    memset(longest, 'x', sizeof longest);
    const struct {
        const char *p;
        size_t len;
        enum err e;
    } name[] = {
        {"ok", 2, ERR_OK},
        {"\xf0\x9f\x98\x80\xe1\x9e\x88\xc3\xa9", 9, ERR_OK},
        {longest, LIMIT_NAME_BYTES, ERR_OK},
        {longest, LIMIT_NAME_BYTES + 1, ERR_MALFORMED},
        {"", 0, ERR_MALFORMED},
        {"a\0b", 3, ERR_MALFORMED},
        {"\xc3\x28", 2, ERR_MALFORMED},
        {"\xc0\x80", 2, ERR_MALFORMED},
        {"\xed\xa0\x80", 3, ERR_MALFORMED},
        {"\xf4\x90\x80\x80", 4, ERR_MALFORMED},
        {"\xe1\x9e", 2, ERR_MALFORMED},
        {"\x80", 1, ERR_MALFORMED},
        {"\xff", 1, ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        struct buf b = {0};
        wire_fixed(&b, 1, 1);
        wire_bytes(&b, 2, name[i].p, name[i].len);
        wire_string(&b, 3, "");
        wire_string(&b, 4, "");
        wire_varint(&b, 5, 1);
        wire_varint(&b, 6, 0);
        assert_int_equal(decode_in_envelope(LOAD_REQUEST, &b), name[i].e);
    }
}

/* A clock whose sites do not ascend, that counts 0, or whose two columns differ in length. */
static void clocks_are_sorted(void **state)
{
    const struct {
        uint64_t site[3];
        size_t sites;
        const char *seq;
        size_t seqs;
        enum err e;
    } clock[] = {
        {{1, 2, 3}, 3, "\x01\x02\x03", 3, ERR_OK},
        {{0}, 0, "", 0, ERR_OK},
        {{1, 3, 2}, 3, "\x01\x02\x03", 3, ERR_MALFORMED},
        {{1, 2, 2}, 3, "\x01\x02\x03", 3, ERR_MALFORMED},
        {{0, 2, 3}, 3, "\x01\x02\x03", 3, ERR_MALFORMED},
        {{1, 2, 3}, 3, "\x01\x00\x03", 3, ERR_MALFORMED},
        {{1, 2, 3}, 3, "\x01\x02", 2, ERR_MALFORMED},
        {{1, 2}, 2, "\x01\x02\x03", 3, ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof clock / sizeof *clock; i++) {
        struct buf c = {0};
        if (clock[i].sites)
            wire_bytes(&c, 1, clock[i].site, clock[i].sites * 8);
        if (clock[i].seqs)
            wire_bytes(&c, 2, clock[i].seq, clock[i].seqs);
        struct buf b = reply_of(&c, DIGEST_AT_END, "");
        buf_fini(&c);
        assert_int_equal(decode_in_envelope(DIGEST_REPLY, &b), clock[i].e);
    }
}

/* 34 kB of nesting, which crashes protobuf-c 1.4.1 where a type is recursive; 2 MB of unknown
 * fields, which become 56 MB there; a repeated number written one by one; an empty packed field. */
static void protobuf_is_not_reached(void **state)
{
    struct buf b = {0};
    for (int i = 0; i < 17000; i++)
        buf_put(&b, i % 2 ? "\x12\x7f" : "\x0a\x7f", 2);
    assert_err(decode(&b, 4096), ERR_MALFORMED);

    struct buf nested = {0};
    for (int i = 0; i < 2000; i++) {
        struct buf outer = {0};
        wire_bytes(&outer, 1, nested.data, nested.len);
        buf_fini(&nested);
        nested = outer;
    }
    assert_err(decode(&nested, 4096), ERR_MALFORMED);

    while (b.len < 2u << 20)
        wire_varint(&b, 15, 1);
    assert_err(decode(&b, 4096), ERR_MALFORMED);

    for (int packed = 0; packed < 2; packed++) {
        struct buf clock = {0};
        if (packed)
            wire_bytes(&clock, 1, "", 0);
        else
            wire_fixed(&clock, 1, 1), wire_varint(&clock, 2, 1);
        b = reply_of(&clock, DIGEST_AT_END, "");
        buf_fini(&clock);
        assert_err(decode_in_envelope(DIGEST_REPLY, &b), ERR_MALFORMED);
    }
}

/* A LoadChunk with as many columns, of the same name. */
static struct buf chunk_of_columns(size_t n)
{
    struct buf b = {0};
    wire_fixed(&b, 1, 1);
    wire_string(&b, 2, "t");
    for (size_t i = 0; i < n; i++)
        wire_string(&b, 3, "c");
    wire_bytes(&b, 4, "", 0);
    wire_varint(&b, 5, 1);
    wire_varint(&b, 6, 0);
    wire_bytes(&b, 7, "0123456789abcdef0123456789abcdef", HASH_BYTES);
    wire_bytes(&b, 8, "", 0);
    wire_bytes(&b, 9, "", 0);
    wire_varint(&b, 10, 0);
    wire_fixed(&b, 11, 1);
    return b;
}

/* Counts and sizes over their limits stop before memory is taken for them. */
static void too_much_is_refused_before_memory_is_taken(void **state)
{
    struct buf b = chunk_of_columns(LIMIT_COLUMNS);
    assert_ok(decode_in_envelope(LOAD_CHUNK, &b));
    b = chunk_of_columns(LIMIT_COLUMNS + 1);
    assert_err(decode_in_envelope(LOAD_CHUNK, &b), ERR_LIMIT);

    struct buf many = chunk_of_columns(6u << 20); /* 18 MB would be 150 MB of strings */
    wire_bytes(&b, LOAD_CHUNK, many.data, many.len);
    assert_err(decode(&b, 0), ERR_LIMIT);

    while (b.len <= LIMIT_MESSAGE_BYTES)
        buf_put(&b, many.data, many.len);
    assert_err(decode(&b, 0), ERR_LIMIT);
    buf_fini(&many);
}

/* A position in a digest is one of its parts and a key; the end of the table has none. */
static void positions_are_of_a_part(void **state)
{
    static const struct buf none;
    for (unsigned part = 0; part <= 5; part++) {
        bool known = part >= DIGEST_AT_ROWS && part <= DIGEST_AT_END;
        struct buf b = reply_of(&none, part, "");
        assert_int_equal(decode_in_envelope(DIGEST_REPLY, &b), known ? ERR_OK : ERR_MALFORMED);
        b = reply_of(&none, part, "k");
        known = known && part != DIGEST_AT_END;
        assert_int_equal(decode_in_envelope(DIGEST_REPLY, &b), known ? ERR_OK : ERR_MALFORMED);
    }
    static char key[LIMIT_KEY_BYTES + 2];
    memset(key, 'k', LIMIT_KEY_BYTES + 1);
    for (unsigned field = 5; field <= 7; field += 2) {
        struct buf b = {0};
        wire_fixed(&b, 1, 1);
        wire_string(&b, 2, "t");
        wire_varint(&b, 3, 100);
        wire_varint(&b, 4, DIGEST_AT_ROWS);
        wire_string(&b, 5, field == 5 ? key : "");
        wire_varint(&b, 6, DIGEST_AT_ROWS);
        wire_string(&b, 7, field == 7 ? key : "");
        assert_err(decode_in_envelope(DIGEST_REQUEST, &b), ERR_LIMIT);
    }
}

static enum err leave(unsigned keys, unsigned columns, const char *key)
{
    struct buf b = {0};
    wire_fixed(&b, 1, 1);
    wire_string(&b, 2, "t");
    wire_varint(&b, 3, 100);
    wire_varint(&b, 4, DIGEST_AT_ROWS);
    wire_string(&b, 5, "");
    wire_varint(&b, 6, DIGEST_AT_END);
    wire_string(&b, 7, "");
    for (unsigned i = 0; i < keys; i++)
        wire_string(&b, 8, key);
    for (unsigned i = 0; i < columns; i++)
        wire_string(&b, 9, "c");
    return decode_in_envelope(DIGEST_REQUEST, &b);
}

/* What a digest is to leave out is a key and a column each, and not without end. */
static void a_digest_leaves_out_few_values(void **state)
{
    static char key[LIMIT_KEY_BYTES + 2];
    memset(key, 'k', LIMIT_KEY_BYTES + 1);
    assert_ok(leave(0, 0, "k"));
    assert_ok(leave(2 * LIMIT_DIGEST_LEAVE, 2 * LIMIT_DIGEST_LEAVE, "k"));
    assert_err(leave(2 * LIMIT_DIGEST_LEAVE + 1, 2 * LIMIT_DIGEST_LEAVE + 1, "k"), ERR_LIMIT);
    assert_err(leave(1, 1, key), ERR_LIMIT);
    assert_err(leave(1, 2, "k"), ERR_MALFORMED);
    assert_err(leave(2, 1, "k"), ERR_MALFORMED);
}

/* A hello is signed as a hello: sent back, it is not taken for a welcome. */
static void a_hello_sent_back_is_no_welcome(void **state)
{
    struct sample_pair k = sample_keys(1);
    struct buf b = {0};
    struct message m;
    fixed_message(MESSAGE_HELLO, &m);
    codec_encode(&m, k.secret, &b);
    assert_int_equal(b.data[0], 1 << 3 | 2);
    b.data[0] = 2 << 3 | 2;
    assert_err(decode(&b, 1 << 20), ERR_MALFORMED);
}

/* A signature for one purpose does not fit another, nor another key's, nor other bytes. */
static void signatures_keep_to_their_purpose(void **state)
{
    struct sample_pair k = sample_keys(1), other = sample_keys(2);
    uint8_t s[SIGNATURE_BYTES];
    seal_sign("tonle-a", "bytes", 5, k.secret, s);
    assert_ok(seal_verify("tonle-a", "bytes", 5, k.key, s));
    assert_err(seal_verify("tonle-b", "bytes", 5, k.key, s), ERR_SIGNATURE);
    assert_err(seal_verify("tonle-ab", "ytes", 4, k.key, s), ERR_SIGNATURE);
    assert_err(seal_verify("tonle-a", "bytez", 5, k.key, s), ERR_SIGNATURE);
    assert_err(seal_verify("tonle-a", "bytes", 5, other.key, s), ERR_SIGNATURE);
}

/* Seals by hand what seal_changeset would not: one segment, its raw bytes given, with a header that
 * may lie about them. */
struct forgery {
    struct bytes raw;
    uint32_t rows;
    int64_t raw_len_off;
    bool wrong_hash;
    bool wrong_key;
    bool no_segment;
    const char *scope;
};

/* As small as it gets, whatever a sender of ours would do. */
static void squeeze(struct bytes raw, struct buf *packed)
{
    size_t bound = ZSTD_compressBound(raw.len);
    void *out = mem_alloc(bound);
    size_t n = ZSTD_compress(out, bound, raw.p, raw.len, 3);
    assert_false(ZSTD_isError(n));
    buf_put(packed, out, n);
    mem_free(out);
}

static enum err open_forged(const struct forgery *f, size_t bound)
{
    struct sample_pair k = sample_keys(1), other = sample_keys(2);
    struct arena a = {0};
    struct buf packed = {0}, header = {0}, sealed = {0};
    struct changeset cs = {.federation = "f", .dot = {1, 1}, .n_segments = 1};
    struct segment_info info = {.scope = f->scope ? f->scope : "", .rows = f->rows};
    uint8_t signature[SIGNATURE_BYTES], hash[HASH_BYTES];
    squeeze(f->raw, &packed);
    info.raw_len = f->raw.len + (uint64_t)f->raw_len_off;
    seal_hash(packed.data, packed.len, info.hash);
    info.hash[3] ^= f->wrong_hash;
    codec_header_encode(&cs, &info, &header);
    seal_sign("tonle-changeset", header.data, header.len, f->wrong_key ? other.secret : k.secret,
              signature);
    struct bytes segment = {packed.data, packed.len};
    codec_sealed_encode((struct bytes){header.data, header.len},
                        (struct bytes){signature, sizeof signature}, &segment,
                        f->no_segment ? 0 : 1, &sealed);
    enum err e = seal_open(&a, sealed.data, sealed.len, k.key, &cs, hash);
    assert_in_range(a.used_bytes, 0, bound);
    buf_fini(&packed), buf_fini(&header), buf_fini(&sealed);
    arena_fini(&a);
    return e;
}

/* A wrong key, hash, length, row count or scope, or a segment left out. */
static void a_changeset_is_what_its_header_says(void **state)
{
    const struct bytes empty = {(const uint8_t *)"\x0a\x00", 2}; /* scope "", no tables */
    const struct {
        struct forgery f;
        enum err e;
    } forged[] = {
        {{.raw = empty}, ERR_OK},
        {{.raw = empty, .wrong_key = true}, ERR_SIGNATURE},
        {{.raw = empty, .wrong_hash = true}, ERR_SIGNATURE},
        {{.raw = empty, .raw_len_off = 1}, ERR_MALFORMED},
        {{.raw = empty, .raw_len_off = -1}, ERR_MALFORMED},
        {{.raw = empty, .raw_len_off = LIMIT_SEGMENT_RAW_BYTES}, ERR_LIMIT},
        {{.raw = empty, .rows = 1}, ERR_MALFORMED},
        {{.raw = empty, .rows = LIMIT_ROWS + 1}, ERR_LIMIT},
        {{.raw = empty, .scope = "12"}, ERR_MALFORMED},
        {{.raw = empty, .no_segment = true}, ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++)
        assert_int_equal(open_forged(&forged[i].f, 1 << 16), forged[i].e);
}

/* 25 MB of zeros in 2 kB: refused by the declared size; declared smaller, by the frame's; and where
 * both lie within the limit, by how little was sent for it. */
static void decompression_is_bounded(void **state)
{
    size_t len = (size_t)LIMIT_SEGMENT_RAW_BYTES + (1 << 20);
    uint8_t *zeros = mem_alloc(len);
    struct forgery f = {.raw = {zeros, len}};
    assert_err(open_forged(&f, 1 << 16), ERR_LIMIT);
    f.raw_len_off = -(int64_t)len + 100;
    assert_err(open_forged(&f, 1 << 16), ERR_MALFORMED);
    f = (struct forgery){.raw = {zeros, LIMIT_SEGMENT_RAW_BYTES}};
    assert_err(open_forged(&f, 1 << 16), ERR_LIMIT);
    f.raw.len = LIMIT_RATIO_FREE_BYTES + 2000;
    assert_err(open_forged(&f, 1 << 16), ERR_LIMIT);
    f.raw.len = LIMIT_RATIO_FREE_BYTES; /* not much: unpacked, and no segment */
    assert_err(open_forged(&f, 1 << 16), ERR_MALFORMED);
    mem_free(zeros);
}

/* What an honest office sends is taken, of any size and however well it compresses. */
static void whatever_is_sent_is_taken(void **state)
{
    const size_t most = (size_t)5 * LIMIT_RATIO_FREE_BYTES;
    const size_t len[] = {0, 1, LIMIT_RATIO_FREE_BYTES, LIMIT_RATIO_FREE_BYTES + 1, most};
    uint8_t *raw = mem_alloc(most);
    uint64_t seed = 7;
    for (int drawn = 0; drawn < 2; drawn++) {
        for (size_t i = 0; i < sizeof len / sizeof len[0]; i++) {
            struct buf packed = {0}, out = {0};
            seal_compress(raw, len[i], &packed);
            assert_ok(seal_decompress(packed.data, packed.len, len[i], &out));
            assert_int_equal(out.len, len[i]);
            assert_true(len[i] == 0 || memcmp(out.data, raw, len[i]) == 0);
            buf_fini(&packed), buf_fini(&out);
        }
        for (size_t i = 0; i < most; i++)
            raw[i] = (uint8_t)((seed = seed * 6364136223846793005u + 1) >> 56);
    }
    mem_free(raw);
}

/* A frame with something behind it, and two frames, are not what was declared. */
static void compressed_bytes_are_one_frame(void **state)
{
    struct buf packed = {0}, raw = {0};
    seal_compress("abcdef", 6, &packed);
    assert_ok(seal_decompress(packed.data, packed.len, 6, &raw));
    assert_int_equal(raw.len, 6);
    assert_err(seal_decompress(packed.data, packed.len, 5, &raw), ERR_MALFORMED);
    assert_err(seal_decompress(packed.data, packed.len - 1, 6, &raw), ERR_MALFORMED);
    size_t one = packed.len;
    seal_compress("", 0, &packed);
    assert_err(seal_decompress(packed.data, packed.len, 6, &raw), ERR_MALFORMED);
    packed.len = one;
    buf_put_u8(&packed, 0);
    assert_err(seal_decompress(packed.data, packed.len, 6, &raw), ERR_MALFORMED);
    assert_int_equal(raw.len, 6);
    buf_fini(&packed), buf_fini(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hand_written_message_is_taken),
        cmocka_unit_test(fields_come_once_and_in_order),
        cmocka_unit_test(numbers_have_one_form),
        cmocka_unit_test(unknown_codes_are_refused),
        cmocka_unit_test(an_envelope_holds_exactly_one_message),
        cmocka_unit_test(names_are_text),
        cmocka_unit_test(clocks_are_sorted),
        cmocka_unit_test(protobuf_is_not_reached),
        cmocka_unit_test(too_much_is_refused_before_memory_is_taken),
        cmocka_unit_test(positions_are_of_a_part),
        cmocka_unit_test(a_digest_leaves_out_few_values),
        cmocka_unit_test(a_hello_sent_back_is_no_welcome),
        cmocka_unit_test(signatures_keep_to_their_purpose),
        cmocka_unit_test(a_changeset_is_what_its_header_says),
        cmocka_unit_test(decompression_is_bounded),
        cmocka_unit_test(whatever_is_sent_is_taken),
        cmocka_unit_test(compressed_bytes_are_one_frame),
    };
    return check_run_after(sample_set_up, tests);
}
