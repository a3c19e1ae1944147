/* seal_enrol.h - an invitation's one secret, and what its holder signs with it.
 *
 * The secret is the seed of an Ed25519 pair; the CURVE25519 pair that opens the line is the same
 * one in the other form (libsodium's conversion). So the registry holds one public key for both,
 * and whoever has the registry can check a request; who passes one on sees nothing that helps to
 * make another.
 *
 * Invariant: all of a request is signed, so an office between the newcomer and the hub can drop it,
 * and no more.
 */
#ifndef PROTOCOL_SEAL_ENROL_H
#define PROTOCOL_SEAL_ENROL_H

#include "protocol/message.h"

#define INVITE_SECRET_BYTES 32

/* The line's pair, of 32 random bytes; `key` is what the registry holds. */
void seal_invite_keypair(const uint8_t secret[INVITE_SECRET_BYTES], uint8_t key[CURVE_KEY_BYTES],
                         uint8_t curve_secret[CURVE_KEY_BYTES]);
/* Fills invite_key and proof; the rest of it is signed as it stands. */
void seal_enrol(struct enrol *m, const uint8_t secret[INVITE_SECRET_BYTES]);
/* ERR_SIGNATURE: not what the holder of the invitation with this key in the registry has signed. */
enum err seal_enrol_verify(const struct enrol *m, const uint8_t key[CURVE_KEY_BYTES]);

#endif
