#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/seal.h"
#include "protocol/seal_enrol.h"
#include "tests/lib/check.h"
#include "tests/unit/protocol/sample.h"

#define SEEDS 300

static void assert_same_bytes(const struct buf *a, const struct buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

/* What is decoded is what was encoded, and is encoded to the same bytes again; a signature is
 * verified for the signed types and there is none for the others. */
static void every_message_comes_back(void **state)
{
    struct sample_pair k = sample_keys(1);
    for (unsigned type = MESSAGE_HELLO; type <= MESSAGE_DIGEST_REPLY; type++) {
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct arena a = {0};
            struct buf bytes = {0}, again = {0}, before = {0}, after = {0};
            struct message m, got;
            struct bytes body, signature;
            sample_message(&a, seed, (enum message_type)type, &m);
            codec_encode(&m, k.secret, &bytes);
            assert_ok(codec_decode(&a, bytes.data, bytes.len, &got, &body, &signature));
            assert_string_equal(image_message(&before, &m), image_message(&after, &got));
            codec_encode(&got, k.secret, &again);
            assert_same_bytes(&bytes, &again);
            bool is_signed =
                type == MESSAGE_HELLO || type == MESSAGE_WELCOME || type == MESSAGE_HEARTBEAT;
            assert_int_equal(signature.len, is_signed ? SIGNATURE_BYTES : 0);
            assert_int_equal(codec_verify(body, signature, k.key),
                             is_signed ? ERR_OK : ERR_SIGNATURE);
            buf_fini(&bytes), buf_fini(&again), buf_fini(&before), buf_fini(&after);
            arena_fini(&a);
        }
    }
}

/* Marks, answers and stable messages come back under their signer's key, under no other, and tell
 * their signer's site without a key. */
static void every_item_comes_back(void **state)
{
    struct sample_pair k = sample_keys(1), other = sample_keys(2);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct arena a = {0};
        struct buf bytes = {0}, before = {0}, after = {0};
        struct mark mark, mark_got;
        struct answer answer, answer_got;
        struct stable stable, stable_got;
        struct bytes b;
        uint64_t site;

        sample_mark(&a, seed, &mark);
        codec_mark_encode(&mark, k.secret, &bytes);
        b = (struct bytes){bytes.data, bytes.len};
        assert_ok(codec_mark_open(&a, b, k.key, &mark_got));
        assert_string_equal(image_mark(&before, &mark), image_mark(&after, &mark_got));
        assert_err(codec_mark_open(&a, b, other.key, &mark_got), ERR_SIGNATURE);
        assert_ok(codec_item_site(b, ITEM_MARK, &site));
        assert_true(site == mark.site);

        sample_answer(&a, seed, &answer);
        buf_reset(&bytes);
        codec_answer_encode(&answer, k.secret, &bytes);
        b = (struct bytes){bytes.data, bytes.len};
        assert_ok(codec_answer_open(&a, b, k.key, &answer_got));
        assert_string_equal(image_answer(&before, &answer), image_answer(&after, &answer_got));
        assert_err(codec_answer_open(&a, b, other.key, &answer_got), ERR_SIGNATURE);
        assert_ok(codec_item_site(b, ITEM_ANSWER, &site));
        assert_true(site == answer.site);

        sample_stable(&a, seed, &stable);
        buf_reset(&bytes);
        codec_stable_encode(&stable, k.secret, &bytes);
        b = (struct bytes){bytes.data, bytes.len};
        assert_ok(codec_stable_open(&a, b, k.key, &stable_got));
        assert_string_equal(image_stable(&before, &stable), image_stable(&after, &stable_got));
        assert_err(codec_stable_open(&a, b, other.key, &stable_got), ERR_SIGNATURE);
        assert_ok(codec_item_site(b, ITEM_STABLE, &site));
        assert_true(site == stable.site);

        buf_fini(&bytes), buf_fini(&before), buf_fini(&after);
        arena_fini(&a);
    }
}

/* A sealed changeset opens to the same rows in every detail; sealing it again gives the same bytes
 * and chain hash; its header is read without the key. */
static void every_changeset_comes_back(void **state)
{
    struct sample_pair k = sample_keys(1);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct arena a = {0};
        struct buf sealed = {0}, again = {0}, before = {0}, after = {0};
        struct changeset cs, got;
        uint8_t hash[HASH_BYTES], hash_got[HASH_BYTES];
        uint64_t site;
        sample_changeset(&a, seed, &cs);
        assert_ok(seal_changeset(&cs, k.secret, &sealed, hash));
        assert_ok(seal_open(&a, sealed.data, sealed.len, k.key, &got, hash_got));
        assert_string_equal(image_changeset(&before, &cs), image_changeset(&after, &got));
        assert_memory_equal(hash, hash_got, HASH_BYTES);
        assert_ok(seal_changeset(&got, k.secret, &again, hash_got));
        assert_same_bytes(&sealed, &again);
        assert_ok(codec_item_site((struct bytes){sealed.data, sealed.len}, ITEM_CHANGESET, &site));
        assert_true(site == cs.dot.site);
        assert_ok(seal_peek(&a, sealed.data, sealed.len, &got));
        cs.n_segments = 0;
        assert_string_equal(image_changeset(&before, &cs), image_changeset(&after, &got));
        buf_fini(&sealed), buf_fini(&again), buf_fini(&before), buf_fini(&after);
        arena_fini(&a);
    }
}

/* A bulk insert of consecutive keys costs its values and almost nothing beside them. */
static void a_bulk_insert_costs_only_its_values(void **state)
{
    enum { ROWS = 1000 };
    static struct row_change rows[ROWS];
    static struct value values[ROWS][2];
    static const uint32_t column[] = {0, 1};
    const char *names[] = {"id", "name"};
    uint32_t key = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        values[i][0] = value_integer(1000000000000 + i);
        values[i][1] = value_text("abcdef");
        rows[i] =
            (struct row_change){CHANGE_BORN, {1, 1}, &values[i][0], 2, column, values[i], 0, NULL};
    }
    struct table_changes t = {"t", 2, names, 1, &key, ROWS, rows};
    struct segment s = {"", 1, &t};
    struct buf out = {0};
    assert_ok(codec_segment_encode(&s, (struct dot){1, 1}, &out));
    assert_in_range(out.len, ROWS * 8,
                    ROWS * 8 + 100); /* a difference, a length and six letters each */
    buf_fini(&out);
}

/* Encoding refuses what decoding would refuse: rows, row bytes, keys and values over their limits;
 * and leaves the output as it was. */
static void encoding_stops_at_the_limits(void **state)
{
    struct sample_pair k = sample_keys(1);
    static uint8_t big[LIMIT_VALUE_BYTES + 1];
    static const uint32_t column[] = {0, 1, 2};
    const char *names[] = {"id", "a", "b"};
    uint32_t key = 0;
    struct value v[3] = {value_integer(1), value_null(), value_null()};
    struct row_change row = {CHANGE_BORN, {1, 1}, v, 3, column, v, 0, NULL};
    struct table_changes t = {"t", 3, names, 1, &key, 1, &row};
    struct segment s[2] = {{"", 1, &t}, {"12", 1, &t}};
    struct changeset cs = {.federation = "f", .dot = {1, 1}, .n_segments = 1, .segments = s};
    uint8_t hash[HASH_BYTES];
    struct buf out = {0}, some = {0};
    buf_put_u8(&out, 7);
    assert_ok(seal_changeset(&cs, k.secret, &out, hash));
    size_t fine = out.len;

    v[1] = value_bytes(VALUE_BLOB, big, sizeof big);
    assert_err(seal_changeset(&cs, k.secret, &out, hash), ERR_LIMIT);
    v[1] = v[2] = value_bytes(VALUE_BLOB, big, LIMIT_ROW_BYTES / 2);
    assert_err(seal_changeset(&cs, k.secret, &out, hash), ERR_LIMIT);
    v[1] = v[2] = value_null();
    v[0] = value_bytes(VALUE_TEXT, big, LIMIT_KEY_BYTES);
    assert_err(seal_changeset(&cs, k.secret, &out, hash), ERR_LIMIT);
    v[0] = value_integer(1);

    struct row_change *many = mem_alloc((LIMIT_ROWS + 1) * sizeof *many);
    struct value *ids = mem_alloc((LIMIT_ROWS + 1) * 3 * sizeof *ids);
    for (uint32_t i = 0; i <= LIMIT_ROWS; i++) {
        ids[3 * i] = value_integer(i);
        many[i] = row;
        many[i].key = many[i].value = &ids[3 * i];
    }
    t.rows = many;
    t.n_rows = LIMIT_ROWS + 1;
    assert_err(seal_changeset(&cs, k.secret, &out, hash), ERR_LIMIT);
    t.n_rows = LIMIT_ROWS / 2 + 1;
    cs.n_segments = 2;
    assert_err(seal_changeset(&cs, k.secret, &out, hash), ERR_LIMIT);
    t.n_rows = LIMIT_ROWS / 2;
    assert_ok(codec_segment_encode(&s[0], cs.dot, &some)); /* the rows themselves are fine */
    mem_free(many);
    mem_free(ids);
    buf_fini(&some);

    assert_int_equal(out.len, fine);
    assert_int_equal(out.data[0], 7);
    buf_fini(&out);
}

/* A site is the key's and the incarnation's, and never 0; a curve key pair is libzmq's. */
static void keys_and_sites_are_reproducible(void **state)
{
    struct sample_pair k = sample_keys(1), other = sample_keys(2);
    assert_true(seal_site(k.key, 1) == seal_site(k.key, 1));
    assert_true(seal_site(k.key, 1) != seal_site(k.key, 2));
    assert_true(seal_site(k.key, 1) != seal_site(other.key, 1));
    assert_true(seal_site(k.key, 1) != 0);
    /* RFC 7748, section 6.1: Alice's private and public key */
    static const uint8_t alice[32] = {0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d,
                                      0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
                                      0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a,
                                      0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a};
    static const uint8_t expected[32] = {0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54,
                                         0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a,
                                         0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4,
                                         0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a};
    uint8_t key[CURVE_KEY_BYTES], secret[CURVE_KEY_BYTES];
    seal_curve_keypair(alice, key, secret);
    assert_memory_equal(key, expected, sizeof key);
    assert_memory_equal(secret, alice, sizeof secret);
}

static void assert_unsigned(const struct enrol *m, const uint8_t key[CURVE_KEY_BYTES])
{
    assert_err(seal_enrol_verify(m, key), ERR_SIGNATURE);
}

/* A request to be enrolled is one for the key that the registry holds, word for word. */
static void a_request_to_be_enrolled_is_its_holders(void **state)
{
    static const uint8_t secret[INVITE_SECRET_BYTES] = {7}, others[INVITE_SECRET_BYTES] = {8};
    uint8_t key[CURVE_KEY_BYTES], other_key[CURVE_KEY_BYTES], curve_secret[CURVE_KEY_BYTES];
    const struct enrol said = {.federation = "ab", .node = "c", .listen = "l", .software = "s"};
    seal_invite_keypair(others, other_key, curve_secret);
    seal_invite_keypair(secret, key, curve_secret);
    struct enrol m = said;
    seal_enrol(&m, secret);
    assert_ok(seal_enrol_verify(&m, key));
    assert_unsigned(&m, other_key);
    struct enrol lies[10];
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        lies[i] = m;
    lies[0].federation = "a", lies[0].node = "bc"; /* no word runs into the next */
    lies[1].listen = "", lies[1].software = "ls";
    lies[2].node = "d";
    lies[3].incarnation = 1;
    lies[4].curve_key[31] ^= 1;
    lies[5].sign_key[0] ^= 1;
    lies[6].invite_key[31] ^= 0x80; /* the other Ed25519 key that has the same CURVE25519 one */
    lies[7].proof[0] ^= 1;
    seal_enrol(&lies[8], others);
    memcpy(lies[8].invite_key, m.invite_key, sizeof m.invite_key);
    memset(lies[9].invite_key, 0, sizeof lies[9].invite_key);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        assert_unsigned(&lies[i], key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back),
        cmocka_unit_test(every_item_comes_back),
        cmocka_unit_test(every_changeset_comes_back),
        cmocka_unit_test(a_bulk_insert_costs_only_its_values),
        cmocka_unit_test(encoding_stops_at_the_limits),
        cmocka_unit_test(keys_and_sites_are_reproducible),
        cmocka_unit_test(a_request_to_be_enrolled_is_its_holders),
    };
    return check_run_after(sample_set_up, tests);
}
