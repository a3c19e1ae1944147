/* codec_internal.h - what the codec's files share; seen by codec*.c only.
 *
 * Invariant: protobuf-c unpacks nothing that codec_check has not walked first, and takes no memory
 * but the caller's arena and no more than the budget that codec_check held.
 */
#ifndef PROTOCOL_CODEC_INTERNAL_H
#define PROTOCOL_CODEC_INTERNAL_H

#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/tonle.pb-c.h"

/* What unpacking one message may take, all of protobuf-c's own records included. */
#define CODEC_MESSAGE_MEMORY                                                                       \
    ((size_t)64 << 20) /* an envelope, a signed body, an item, row states */
#define CODEC_HEADER_MEMORY ((size_t)8 << 20)
#define CODEC_SEGMENT_MEMORY ((size_t)160 << 20)

/* codec_check.c */
enum err codec_check(const ProtobufCMessageDescriptor *d, struct bytes b, size_t memory);
/* Checks, then unpacks into the arena; *m is the generated struct. */
enum err codec_unpack(struct arena *a, const ProtobufCMessageDescriptor *d, struct bytes b,
                      size_t memory, void *m);
void codec_pack(const ProtobufCMessage *m, struct buf *out);
bool codec_name_ok(const char *s);  /* 1..LIMIT_NAME_BYTES; UTF-8 without NUL is codec_check's */
bool codec_label_ok(const char *s); /* the same, or empty */
bool codec_digest_get(ProtobufCBinaryData b, uint8_t *to, size_t len); /* exactly len bytes */
ProtobufCBinaryData codec_binary(const void *p, size_t len);           /* borrows */
struct bytes codec_bytes(ProtobufCBinaryData b);

/* codec_clock.c */
Tonle__Clock *codec_clock_put(struct arena *a, const struct clock *c);
enum err codec_clock_get(struct arena *a, const Tonle__Clock *m, struct clock *c);

/* codec_item.c */
Tonle__KeptBirths **codec_keep_put(struct arena *a, const struct kept_birth *k, uint32_t n,
                                   size_t *groups);
enum err codec_keep_get(struct arena *a, Tonle__KeptBirths *const *g, size_t groups,
                        struct kept_birth **k, uint32_t *n);

/* codec_load.c: bodies of messages about rows */
void codec_load_request_put(struct arena *a, const struct load_request *r, Tonle__Envelope *e);
enum err codec_load_request_get(const Tonle__LoadRequest *m, struct load_request *r);
void codec_load_chunk_put(struct arena *a, const struct load_chunk *c, Tonle__Envelope *e);
enum err codec_load_chunk_get(struct arena *a, const Tonle__LoadChunk *m, struct load_chunk *c);
void codec_digest_request_put(struct arena *a, const struct digest_request *r, Tonle__Envelope *e);
enum err codec_digest_request_get(struct arena *a, const Tonle__DigestRequest *m,
                                  struct digest_request *r);
void codec_digest_reply_put(struct arena *a, const struct digest_reply *r, Tonle__Envelope *e);
enum err codec_digest_reply_get(struct arena *a, const Tonle__DigestReply *m,
                                struct digest_reply *r);

/* codec_changeset.c */
#define MASK_WORDS(columns) (((columns) + 63) / 64)
enum err table_names_fit(const struct table_changes *t);
enum err table_rows_fit(const struct table_changes *t);

#define WIDE_BYTES 16 /* of a VALUE_WIDE */

/* codec_column.c: n values of one column. The reader checks everything when it is opened. */
struct column_reader {
    const Tonle__Column *column;
    size_t at;      /* of types */
    size_t integer; /* next of each stream */
    size_t real;
    size_t len;
    size_t data;
    size_t wide;
    uint64_t last; /* integers are differences */
};
void column_put(struct arena *a, const struct value *const *v, size_t n, Tonle__Column *m);
/* Types beyond `most` (VALUE_BLOB, or VALUE_WIDE) are malformed. */
enum err column_open(struct column_reader *r, const Tonle__Column *m, size_t n,
                     enum value_type most);
struct value column_next(struct column_reader *r); /* borrows the message's data */

#endif
