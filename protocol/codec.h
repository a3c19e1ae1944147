/* codec.h - messages and their protobuf bytes. Only codec*.c sees the generated header.
 *
 * Invariant: received bytes are hostile. Before protobuf-c unpacks anything, codec_check walks the
 * raw bytes along the message's descriptor and refuses unknown fields, repeated singular fields,
 * wrong wire types, trailing bytes, counts and lengths over the limits (protobuf-c 1.4.1 has no
 * depth limit, and 2 MB of unknown fields become 56 MB of heap). There are no recursive message
 * types.
 */
#ifndef PROTOCOL_CODEC_H
#define PROTOCOL_CODEC_H

#include "protocol/message.h"

/* Appends the envelope's bytes to `out`. HELLO, WELCOME and HEARTBEAT are signed with `secret`
 * (domain "tonle-link"), the others take NULL. */
void codec_encode(const struct message *m, const uint8_t *secret, struct buf *out);

/* The message, in the arena. For signed types the signature is not verified here: `*body` and
 * `*signature` borrow what codec_verify needs; empty for the unsigned ones.
 *
 * However the bytes are made, a message takes at most 160 MB of the arena: 64 MB (codec_check's
 * budget) for the envelope, as much for a signed body or the row states, and the values of
 * LIMIT_CHUNK_ROWS rows. A segment takes at most 160 MB and 110 MB for LIMIT_ROWS rows, and
 * 64 MB where those name the parents they refer to. Row states
 * are at most LIMIT_MESSAGE_BYTES before compression: who makes a chunk keeps it below. */
enum err codec_decode(struct arena *a, const void *p, size_t len, struct message *m,
                      struct bytes *body, struct bytes *signature);
enum err codec_verify(struct bytes body, struct bytes signature,
                      const uint8_t key[SIGN_PUBLIC_BYTES]);

/* Items other than changesets: encoded, signed ("tonle-mark", "tonle-answer", "tonle-stable") and
 * opened. codec_item_site tells the signer's site without verifying. */
void codec_mark_encode(const struct mark *m, const uint8_t *secret, struct buf *out);
enum err codec_mark_open(struct arena *a, struct bytes b, const uint8_t *key, struct mark *m);
void codec_answer_encode(const struct answer *m, const uint8_t *secret, struct buf *out);
enum err codec_answer_open(struct arena *a, struct bytes b, const uint8_t *key, struct answer *m);
void codec_stable_encode(const struct stable *m, const uint8_t *secret, struct buf *out);
enum err codec_stable_open(struct arena *a, struct bytes b, const uint8_t *key, struct stable *m);
enum err codec_item_site(struct bytes b, enum item_kind kind, uint64_t *site);

/* The one segment's bytes before compression: columns of a table stored together (format on top of
 * codec_changeset.c). */
enum err codec_segment_encode(const struct segment *s, struct dot dot, struct buf *out);
enum err codec_segment_decode(struct arena *a, const void *p, size_t len, struct dot dot,
                              struct segment *s);

/* The signed header of a changeset: everything but the rows, and each segment's info. */
struct segment_info {
    const char *scope;
    uint32_t rows;
    uint64_t raw_len;
    uint8_t hash[HASH_BYTES]; /* BLAKE2b-256 of the compressed bytes */
};
void codec_header_encode(const struct changeset *cs, const struct segment_info *info,
                         struct buf *out);
enum err codec_header_decode(struct arena *a, const void *p, size_t len, struct changeset *cs,
                             struct segment_info **info);
/* header bytes, signature, segments, as one message; decode borrows `p`. */
void codec_sealed_encode(struct bytes header, struct bytes signature, const struct bytes *segment,
                         size_t n, struct buf *out);
enum err codec_sealed_decode(struct arena *a, const void *p, size_t len, struct bytes *header,
                             struct bytes *signature, struct bytes **segment, size_t *n);

#endif
