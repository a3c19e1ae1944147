/* The header of a changeset, and header, signature and segments as one message. */
#include "protocol/codec_internal.h"

#define HEADER_FORMAT 1
#define TAG(id) ((id) << 3 | PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
#define MAX_HEADER_BYTES (2u << 20) /* a full clock and all segments take 1.4 MB */

static void infos_put(struct arena *a, const struct segment_info *info, Tonle__Header *m)
{
    Tonle__SegmentInfo *s = arena_alloc(a, m->n_segment * sizeof *s);
    m->segment = arena_alloc(a, m->n_segment * sizeof *m->segment);
    for (size_t i = 0; i < m->n_segment; i++) {
        m->segment[i] = &s[i];
        tonle__segment_info__init(&s[i]);
        s[i].scope = (char *)info[i].scope;
        s[i].rows = info[i].rows;
        s[i].raw_len = info[i].raw_len;
        s[i].hash = codec_binary(info[i].hash, HASH_BYTES);
    }
}

void codec_header_encode(const struct changeset *cs, const struct segment_info *info,
                         struct buf *out)
{
    struct arena a = {0};
    Tonle__Header m = TONLE__HEADER__INIT;
    m.format = HEADER_FORMAT;
    m.federation = (char *)cs->federation;
    m.site = cs->dot.site;
    m.seq = cs->dot.seq;
    m.context = codec_clock_put(&a, &cs->context);
    m.hlc = cs->hlc;
    m.charter_version = cs->charter_version;
    m.schema_version = cs->schema_version;
    m.previous = codec_binary(cs->previous, HASH_BYTES);
    m.cut = cs->cut;
    m.n_segment = cs->n_segments;
    infos_put(&a, info, &m);
    codec_pack(&m.base, out);
    arena_fini(&a);
}

static enum err infos_get(struct arena *a, const Tonle__Header *m, struct segment_info **info)
{
    uint64_t rows = 0;
    uint64_t raw = 0;
    if (m->n_segment > LIMIT_SEGMENTS)
        return ERR_LIMIT;
    struct segment_info *s = arena_alloc(a, m->n_segment * sizeof *s);
    *info = s;
    for (size_t i = 0; i < m->n_segment; i++, s++) {
        const Tonle__SegmentInfo *in = m->segment[i];
        if (!codec_digest_get(in->hash, s->hash, HASH_BYTES) || !codec_label_ok(in->scope))
            return ERR_MALFORMED;
        s->scope = in->scope;
        s->rows = in->rows;
        s->raw_len = in->raw_len;
        rows += in->rows;
        if (in->raw_len > LIMIT_SEGMENT_RAW_BYTES)
            return ERR_LIMIT;
        raw += in->raw_len;
    }
    return rows > LIMIT_ROWS || raw > LIMIT_CHANGESET_RAW_BYTES ? ERR_LIMIT : ERR_OK;
}

enum err codec_header_decode(struct arena *a, const void *p, size_t len, struct changeset *cs,
                             struct segment_info **info)
{
    Tonle__Header *m;
    if (len > MAX_HEADER_BYTES)
        return ERR_LIMIT;
    enum err e = codec_unpack(a, &tonle__header__descriptor, (struct bytes){p, len},
                              CODEC_HEADER_MEMORY, &m);
    if (e)
        return e;
    *cs = (struct changeset){.federation = m->federation,
                             .dot = {m->site, m->seq},
                             .hlc = m->hlc,
                             .charter_version = m->charter_version,
                             .schema_version = m->schema_version,
                             .cut = m->cut,
                             .n_segments = (uint32_t)m->n_segment};
    if (m->format != HEADER_FORMAT || !m->site || !m->seq || !codec_name_ok(m->federation))
        return ERR_MALFORMED;
    if (!codec_digest_get(m->previous, cs->previous, HASH_BYTES))
        return ERR_MALFORMED;
    e = codec_clock_get(a, m->context, &cs->context);
    return e ? e : infos_get(a, m, info);
}

static void put_field(struct buf *out, unsigned id, struct bytes b)
{
    buf_put_varint(out, TAG(id));
    buf_put_varint(out, b.len);
    buf_put(out, b.p, b.len);
}

/* Written and read by hand: protobuf-c would copy up to 16 MB. */
void codec_sealed_encode(struct bytes header, struct bytes signature, const struct bytes *segment,
                         size_t n, struct buf *out)
{
    put_field(out, 1, header);
    put_field(out, 2, signature);
    for (size_t i = 0; i < n; i++)
        put_field(out, 3, segment[i]);
}

static struct bytes get_field(struct cursor *c)
{
    cursor_u8(c); /* the tag: codec_check has seen that it is the next one */
    size_t len = (size_t)cursor_varint(c);
    return (struct bytes){cursor_bytes(c, len), len};
}

static size_t count_segments(struct cursor c)
{
    size_t n = 0;
    for (; c.left; n++)
        get_field(&c);
    return n;
}

enum err codec_sealed_decode(struct arena *a, const void *p, size_t len, struct bytes *header,
                             struct bytes *signature, struct bytes **segment, size_t *n)
{
    struct cursor c = cursor_of(p, len);
    if (len > LIMIT_CHANGESET_BYTES)
        return ERR_LIMIT;
    enum err e =
        codec_check(&tonle__sealed__descriptor, (struct bytes){p, len}, CODEC_MESSAGE_MEMORY);
    if (e)
        return e;
    *header = get_field(&c);
    *signature = get_field(&c);
    *n = count_segments(c);
    if (signature->len != SIGNATURE_BYTES)
        return ERR_MALFORMED;
    if (*n > LIMIT_SEGMENTS)
        return ERR_LIMIT;
    *segment = arena_alloc(a, *n * sizeof **segment);
    for (size_t i = 0; i < *n; i++)
        (*segment)[i] = get_field(&c);
    return ERR_OK;
}
