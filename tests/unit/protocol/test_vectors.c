/* The bytes of fixed messages, pinned: a change of the format that was not meant shows here. What
 * zstd compresses may differ between its versions, so there the bytes before compression are
 * pinned, and one compressed form is kept that must open for ever. */
#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/seal.h"
#include "tests/lib/check.h"
#include "tests/unit/protocol/sample.h"
#include "tests/unit/protocol/vectors.h"

#include <stdio.h>
#include <string.h>

static const char *vector_of(const char *name)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        if (strcmp(vectors[i].name, name) == 0)
            return vectors[i].hex;
    return "";
}

static void assert_vector(const char *name, const struct buf *bytes)
{
    struct buf hex = {0};
    for (size_t i = 0; i < bytes->len; i++)
        buf_printf(&hex, "%02x", bytes->data[i]);
    if (strcmp(buf_str(&hex), vector_of(name)) != 0)
        print_message("{\"%s\", \"%s\"},\n", name, buf_str(&hex));
    assert_string_equal(buf_str(&hex), vector_of(name));
    buf_fini(&hex);
}

static void put_vector(const char *name, struct buf *out)
{
    const char *hex = vector_of(name);
    for (; hex[0] && hex[1]; hex += 2) {
        char byte[3] = {hex[0], hex[1], 0};
        buf_put_u8(out, (uint8_t)strtoul(byte, NULL, 16));
    }
}

/* Each message type has the bytes it always had, signature included. */
static void messages_keep_their_bytes(void **state)
{
    struct sample_pair k = sample_keys(1);
    for (unsigned type = MESSAGE_HELLO; type <= MESSAGE_DIGEST_REPLY; type++) {
        char name[32];
        struct buf bytes = {0};
        struct message m;
        if (type == MESSAGE_LOAD_CHUNK)
            continue; /* compressed: see below */
        fixed_message((enum message_type)type, &m);
        codec_encode(&m, k.secret, &bytes);
        snprintf(name, sizeof name, "message %u", type);
        assert_vector(name, &bytes);
        buf_fini(&bytes);
    }
}

/* Marks, answers and stable messages have the bytes they always had. */
static void items_keep_their_bytes(void **state)
{
    struct sample_pair k = sample_keys(1);
    struct buf bytes = {0};
    struct mark mark;
    struct answer answer;
    struct stable stable;
    fixed_mark(&mark);
    codec_mark_encode(&mark, k.secret, &bytes);
    assert_vector("mark", &bytes);
    buf_reset(&bytes);
    fixed_answer(&answer);
    codec_answer_encode(&answer, k.secret, &bytes);
    assert_vector("answer", &bytes);
    buf_reset(&bytes);
    fixed_stable(&stable);
    codec_stable_encode(&stable, k.secret, &bytes);
    assert_vector("stable", &bytes);
    buf_fini(&bytes);
}

/* The segments of the fixed changeset have, before compression, the bytes they always had, and so
 * has its header over fixed segment infos. */
static void changesets_keep_their_bytes(void **state)
{
    struct changeset cs;
    struct segment_info info[3] = {{"", 1, 10, {1}}, {"120104", 6, 1000, {2}}, {"13", 0, 2, {3}}};
    struct buf bytes = {0};
    fixed_changeset(&cs);
    for (uint32_t i = 0; i < cs.n_segments; i++) {
        char name[32];
        buf_reset(&bytes);
        assert_ok(codec_segment_encode(&cs.segments[i], cs.dot, &bytes));
        snprintf(name, sizeof name, "segment %u", i);
        assert_vector(name, &bytes);
    }
    buf_reset(&bytes);
    codec_header_encode(&cs, info, &bytes);
    assert_vector("header", &bytes);
    buf_fini(&bytes);
}

/* So has a segment with deltas. */
static void deltas_keep_their_bytes(void **state)
{
    struct segment s;
    struct buf bytes = {0};
    fixed_deltas(&s);
    assert_ok(codec_segment_encode(&s, fixed_dot, &bytes));
    assert_vector("deltas", &bytes);
    buf_fini(&bytes);
}

/* And one whose rows name the births they refer to. */
static void references_keep_their_bytes(void **state)
{
    struct segment s;
    struct buf bytes = {0};
    fixed_references(&s);
    assert_ok(codec_segment_encode(&s, fixed_dot, &bytes));
    assert_vector("references", &bytes);
    buf_fini(&bytes);
}

/* A changeset that was sealed once opens for ever, to the same rows, and keeps its chain hash. */
static void a_sealed_changeset_opens_for_ever(void **state)
{
    struct sample_pair k = sample_keys(1);
    struct arena a = {0};
    struct buf sealed = {0}, chain = {0}, before = {0}, after = {0};
    struct changeset cs, got;
    uint8_t hash[HASH_BYTES];
    put_vector("sealed", &sealed);
    assert_ok(seal_open(&a, sealed.data, sealed.len, k.key, &got, hash));
    fixed_changeset(&cs);
    assert_string_equal(image_changeset(&before, &cs), image_changeset(&after, &got));
    buf_put(&chain, hash, sizeof hash);
    assert_vector("chain hash", &chain);
    buf_fini(&sealed), buf_fini(&chain), buf_fini(&before), buf_fini(&after);
    arena_fini(&a);
}

/* So does a chunk of a first load. */
static void a_load_chunk_opens_for_ever(void **state)
{
    struct arena a = {0};
    struct buf bytes = {0}, before = {0}, after = {0};
    struct message m, got;
    struct bytes body, signature;
    put_vector("load chunk", &bytes);
    assert_ok(codec_decode(&a, bytes.data, bytes.len, &got, &body, &signature));
    fixed_message(MESSAGE_LOAD_CHUNK, &m);
    assert_string_equal(image_message(&before, &m), image_message(&after, &got));
    buf_fini(&bytes), buf_fini(&before), buf_fini(&after);
    arena_fini(&a);
}

/* Keys and sites are derived as they always were: a node's identity must survive an upgrade. */
static void identities_keep_their_bytes(void **state)
{
    struct sample_pair k = sample_keys(1);
    struct buf bytes = {0};
    buf_put(&bytes, k.key, sizeof k.key);
    buf_put_u64(&bytes, seal_site(k.key, 0x0123456789abcdef));
    assert_vector("key and site", &bytes);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_keep_their_bytes),
        cmocka_unit_test(items_keep_their_bytes),
        cmocka_unit_test(changesets_keep_their_bytes),
        cmocka_unit_test(deltas_keep_their_bytes),
        cmocka_unit_test(references_keep_their_bytes),
        cmocka_unit_test(a_sealed_changeset_opens_for_ever),
        cmocka_unit_test(a_load_chunk_opens_for_ever),
        cmocka_unit_test(identities_keep_their_bytes),
    };
    return check_run_after(sample_set_up, tests);
}
