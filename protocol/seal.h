/* seal.h - compress, hash, sign; verify, check, decompress.
 *
 * Bytes of a sealed changeset: format on top of seal.c. Invariant: seal_open returns a changeset
 * only if the signature over the header is the public key's, every segment's hash and length is the
 * header's, and every limit of limits.h held before the memory was taken.
 */
#ifndef PROTOCOL_SEAL_H
#define PROTOCOL_SEAL_H

#include "protocol/changeset.h"

enum err seal_start(void); /* once per process: initialises the crypto library */

/* Encodes, compresses and signs; appends to `out`. `hash` is the chain hash: BLAKE2b-256 of the
 * header bytes. ERR_LIMIT when it would be over a limit of limits.h. */
enum err seal_changeset(const struct changeset *cs, const uint8_t secret[SIGN_SECRET_BYTES],
                        struct buf *out, uint8_t hash[HASH_BYTES]);

/* Decodes the header only (no segments), without verifying: to learn whose key to look up. */
enum err seal_peek(struct arena *a, const void *p, size_t len, struct changeset *cs);

/* Verifies and decodes all. Strings and values live in the arena. ERR_SIGNATURE, ERR_MALFORMED,
 * ERR_LIMIT. */
enum err seal_open(struct arena *a, const void *p, size_t len, const uint8_t key[SIGN_PUBLIC_BYTES],
                   struct changeset *cs, uint8_t hash[HASH_BYTES]);

/* Ed25519 key pair from 32 random bytes given by the caller. */
void seal_keypair(const uint8_t seed[32], uint8_t key[SIGN_PUBLIC_BYTES],
                  uint8_t secret[SIGN_SECRET_BYTES]);
/* `domain` is a short constant string, so that a signature for one purpose never fits another. */
void seal_sign(const char *domain, const void *p, size_t len,
               const uint8_t secret[SIGN_SECRET_BYTES], uint8_t signature[SIGNATURE_BYTES]);
enum err seal_verify(const char *domain, const void *p, size_t len,
                     const uint8_t key[SIGN_PUBLIC_BYTES],
                     const uint8_t signature[SIGNATURE_BYTES]);
void seal_hash(const void *p, size_t len, uint8_t hash[HASH_BYTES]); /* BLAKE2b-256 */
/* One zstd frame that states its content size, appended to `out`; bytes that would be smaller than
 * LIMIT_RATIO allows are appended as they are, so that whoever sends little cannot make a receiver
 * do much. _decompress requires that the frame is all of `p` and holds exactly raw_len bytes
 * (limited by the caller first), else ERR_MALFORMED; ERR_LIMIT for an absurd ratio. */
void seal_compress(const void *p, size_t len, struct buf *out);
enum err seal_decompress(const void *p, size_t len, size_t raw_len, struct buf *out);
/* A site is 64 bits of BLAKE2b over the signing key and a random incarnation number; never 0. */
uint64_t seal_site(const uint8_t key[SIGN_PUBLIC_BYTES], uint64_t incarnation);
/* The CURVE25519 (ZeroMQ CURVE) key pair of 32 secret bytes: key = X25519(secret, base point). */
void seal_curve_keypair(const uint8_t seed[32], uint8_t key[CURVE_KEY_BYTES],
                        uint8_t secret[CURVE_KEY_BYTES]);

#endif
