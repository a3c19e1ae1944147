/* What is signed of a request to be enrolled, in the domain "tonle-enrol":
 *
 *   federation, node    varint length, bytes
 *   incarnation         8 bytes, big-endian
 *   curve_key, sign_key 32 bytes each
 *   listen, software    varint length, bytes
 */
#include "protocol/seal_enrol.h"

#include "protocol/seal.h"

#include <sodium.h>
#include <string.h>

static const char domain_enrol[] = "tonle-enrol";

static void put_text(struct buf *b, const char *text)
{
    buf_put_varint(b, strlen(text));
    buf_put(b, text, strlen(text));
}

static struct buf signed_bytes(const struct enrol *m)
{
    struct buf b = {0};
    put_text(&b, m->federation);
    put_text(&b, m->node);
    buf_put_u64(&b, m->incarnation);
    buf_put(&b, m->curve_key, CURVE_KEY_BYTES);
    buf_put(&b, m->sign_key, SIGN_PUBLIC_BYTES);
    put_text(&b, m->listen);
    put_text(&b, m->software);
    return b;
}

void seal_invite_keypair(const uint8_t secret[INVITE_SECRET_BYTES], uint8_t key[CURVE_KEY_BYTES],
                         uint8_t curve_secret[CURVE_KEY_BYTES])
{
    uint8_t sign_key[SIGN_PUBLIC_BYTES], sign_secret[SIGN_SECRET_BYTES];
    seal_keypair(secret, sign_key, sign_secret);
    (void)crypto_sign_ed25519_sk_to_curve25519(curve_secret, sign_secret); /* it cannot fail */
    crypto_scalarmult_base(key, curve_secret);
    sodium_memzero(sign_secret, sizeof sign_secret);
}

void seal_enrol(struct enrol *m, const uint8_t secret[INVITE_SECRET_BYTES])
{
    uint8_t sign_secret[SIGN_SECRET_BYTES];
    struct buf b = signed_bytes(m);
    seal_keypair(secret, m->invite_key, sign_secret);
    seal_sign(domain_enrol, b.data, b.len, sign_secret, m->proof);
    sodium_memzero(sign_secret, sizeof sign_secret);
    buf_fini(&b);
}

enum err seal_enrol_verify(const struct enrol *m, const uint8_t key[CURVE_KEY_BYTES])
{
    uint8_t invite[CURVE_KEY_BYTES];
    if (crypto_sign_ed25519_pk_to_curve25519(invite, m->invite_key) != 0 ||
        memcmp(invite, key, CURVE_KEY_BYTES) != 0)
        return ERR_SIGNATURE;
    struct buf b = signed_bytes(m);
    enum err e = seal_verify(domain_enrol, b.data, b.len, m->invite_key, m->proof);
    buf_fini(&b);
    return e;
}
