/* The walk over received bytes before protobuf-c sees them.
 *
 * protobuf-c 1.4.1 keeps unknown fields on the heap, has no limit on depth or size, takes a
 * repeated singular field as the last one and reads over-long varints. Here the bytes are walked
 * along the message's descriptor: fields must come in ascending order, each as its descriptor says,
 * and the memory that unpacking would take is added up and held against a budget first. The
 * recursion is as deep as the types in tonle.proto are nested, which is three.
 */
#include "protocol/codec_internal.h"

#include <assert.h>
#include <string.h>

/* For each field protobuf-c keeps a record of 40 bytes, in slabs that double. */
#define FIELD_MEMORY 96
#define ALLOCATION_MEMORY 32 /* NUL, rounding, the element of a repeated field */

struct memory_walk {
    size_t memory; /* left */
};

static enum err spend(struct memory_walk *w, size_t bytes)
{
    if (bytes > w->memory)
        return ERR_LIMIT;
    w->memory -= bytes;
    return ERR_OK;
}

/* RFC 3629: shortest form, no surrogates, at most U+10FFFF; and no NUL, as C strings end there. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
    static const struct {
        uint8_t mask, lead, len;
        uint32_t least;
    } form[] = {
        {0x80, 0, 1, 1}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
    for (size_t f = 0; f < 4; f++) {
        if ((p[0] & form[f].mask) != form[f].lead)
            continue;
        if (form[f].len > left)
            return 0;
        uint32_t c = p[0] & (uint8_t)~form[f].mask;
        for (size_t i = 1; i < form[f].len; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            c = c << 6 | (p[i] & 0x3f);
        }
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        return c < form[f].least || c > 0x10ffff || surrogate ? 0 : form[f].len;
    }
    return 0;
}

static enum err check_string(const uint8_t *p, size_t len)
{
    if (len > LIMIT_TEXT_BYTES)
        return ERR_LIMIT;
    for (size_t i = 0, n; i < len; i += n) {
        n = utf8_len(p + i, len - i);
        if (n == 0)
            return ERR_MALFORMED;
    }
    return ERR_OK;
}

/* One number of the given type, alone or in a packed field. */
static bool walk_number(struct cursor *c, const ProtobufCFieldDescriptor *f)
{
    uint64_t v;
    switch (f->type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return cursor_bytes(c, 8);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SINT64:
        cursor_varint(c);
        return !c->failed;
    case PROTOBUF_C_TYPE_UINT32:
        v = cursor_varint(c);
        return !c->failed && v <= UINT32_MAX;
    case PROTOBUF_C_TYPE_BOOL:
        v = cursor_varint(c);
        return !c->failed && v <= 1;
    case PROTOBUF_C_TYPE_ENUM:
        v = cursor_varint(c);
        return !c->failed && v <= INT32_MAX &&
               protobuf_c_enum_descriptor_get_value(f->descriptor, (int)v);
    default:
        return false; /* a type that tonle.proto does not use */
    }
}

static enum err walk_packed(struct memory_walk *w, const ProtobufCFieldDescriptor *f,
                            struct bytes b)
{
    struct cursor c = cursor_of(b.p, b.len);
    size_t n = 0;
    for (; c.left; n++)
        if (!walk_number(&c, f))
            return ERR_MALFORMED;
    return n ? spend(w, n * 8 + ALLOCATION_MEMORY) : ERR_MALFORMED;
}

static enum err walk_message(struct memory_walk *w, const ProtobufCMessageDescriptor *d,
                             struct bytes b);

static enum err walk_length_prefixed(struct memory_walk *w, const ProtobufCFieldDescriptor *f,
                                     struct bytes b)
{
    enum err e;
    if (f->flags & PROTOBUF_C_FIELD_FLAG_PACKED)
        return walk_packed(w, f, b);
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return walk_message(w, f->descriptor, b);
    if (f->type == PROTOBUF_C_TYPE_STRING && (e = check_string(b.p, b.len)))
        return e;
    return spend(w, b.len + ALLOCATION_MEMORY);
}

static unsigned wire_type_of(const ProtobufCFieldDescriptor *f)
{
    if (f->flags & PROTOBUF_C_FIELD_FLAG_PACKED)
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

static enum err walk_field(struct memory_walk *w, const ProtobufCFieldDescriptor *f, unsigned wire,
                           struct cursor *c)
{
    if (wire != wire_type_of(f))
        return ERR_MALFORMED;
    enum err e = spend(w, FIELD_MEMORY);
    if (e)
        return e;
    if (wire != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        return walk_number(c, f) ? ERR_OK : ERR_MALFORMED;
    uint64_t len = cursor_varint(c);
    if (c->failed || len > c->left)
        return ERR_MALFORMED;
    return walk_length_prefixed(w, f, (struct bytes){cursor_bytes(c, (size_t)len), (size_t)len});
}

/* True when one of the fields passed over had to be there. */
static bool skips_required(const ProtobufCMessageDescriptor *d, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        if (d->fields[i].label == PROTOBUF_C_LABEL_REQUIRED)
            return true;
    return false;
}

static bool may_repeat(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_REPEATED && !(f->flags & PROTOBUF_C_FIELD_FLAG_PACKED);
}

static enum err walk_message(struct memory_walk *w, const ProtobufCMessageDescriptor *d,
                             struct bytes b)
{
    struct cursor c = cursor_of(b.p, b.len);
    unsigned next = 0; /* the first field that may come; protobuf-c sorts them by number */
    enum err e = spend(w, d->sizeof_message + ALLOCATION_MEMORY);
    while (!e && c.left) {
        uint64_t tag = cursor_varint(&c);
        unsigned i = next;
        while (i < d->n_fields && d->fields[i].id < tag >> 3)
            i++;
        bool known = !c.failed && i < d->n_fields && d->fields[i].id == tag >> 3;
        if (!known || skips_required(d, next, i))
            return ERR_MALFORMED;
        e = walk_field(w, &d->fields[i], tag & 7, &c);
        next = may_repeat(&d->fields[i]) ? i : i + 1;
    }
    if (e)
        return e;
    return skips_required(d, next, d->n_fields) ? ERR_MALFORMED : ERR_OK;
}

enum err codec_check(const ProtobufCMessageDescriptor *d, struct bytes b, size_t memory)
{
    struct memory_walk w = {memory};
    return walk_message(&w, d, b);
}

static void *take(void *arena, size_t bytes)
{
    return arena_alloc(arena, bytes);
}

static void give_back(void *arena, void *p)
{
    (void)arena;
    (void)p; /* the arena's owner frees all at once */
}

enum err codec_unpack(struct arena *a, const ProtobufCMessageDescriptor *d, struct bytes b,
                      size_t memory, void *m)
{
    ProtobufCAllocator allocator = {take, give_back, a};
    enum err e = codec_check(d, b, memory);
    if (e)
        return e;
    ProtobufCMessage *got = protobuf_c_message_unpack(d, &allocator, b.len, b.p);
    if (!got)
        return ERR_MALFORMED;
    memcpy(m, &got, sizeof got);
    return ERR_OK;
}

void codec_pack(const ProtobufCMessage *m, struct buf *out)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    out->data = mem_grow(out->data, out->len + n, &out->cap, 1);
    size_t wrote = protobuf_c_message_pack(m, out->data + out->len);
    assert(wrote == n);
    out->len += n;
}

bool codec_label_ok(const char *s)
{
    return strlen(s) <= LIMIT_NAME_BYTES;
}

bool codec_name_ok(const char *s)
{
    return s[0] && codec_label_ok(s);
}

bool codec_digest_get(ProtobufCBinaryData b, uint8_t *to, size_t len)
{
    if (b.len != len)
        return false;
    memcpy(to, b.data, len);
    return true;
}

ProtobufCBinaryData codec_binary(const void *p, size_t len)
{
    return (ProtobufCBinaryData){len, (uint8_t *)p};
}

struct bytes codec_bytes(ProtobufCBinaryData b)
{
    return (struct bytes){b.data, b.len};
}
