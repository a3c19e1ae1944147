/* Marks, answers and stable messages, and what these share with chunks: kept births. */
#include "protocol/codec_internal.h"

#include "protocol/seal.h"

#include <string.h>

static const char domain_mark[] = "tonle-mark";
static const char domain_answer[] = "tonle-answer";
static const char domain_stable[] = "tonle-stable";

static Tonle__KeptBirths *keep_group_put(struct arena *a, const struct kept_birth *k, uint32_t n)
{
    struct buf keys = {0};
    Tonle__KeptBirths *m = arena_alloc(a, sizeof *m);
    tonle__kept_births__init(m);
    m->table = (char *)k[0].table;
    m->n_key_len = m->n_site = m->n_seq = n;
    m->key_len = arena_alloc(a, n * sizeof *m->key_len);
    m->site = arena_alloc(a, n * sizeof *m->site);
    m->seq = arena_alloc(a, n * sizeof *m->seq);
    for (uint32_t i = 0; i < n; i++) {
        m->key_len[i] = (uint32_t)k[i].key.len;
        m->site[i] = k[i].birth.site;
        m->seq[i] = k[i].birth.seq;
        buf_put(&keys, k[i].key.p, k[i].key.len);
    }
    m->keys = codec_binary(arena_copy(a, keys.data, keys.len), keys.len);
    buf_fini(&keys);
    return m;
}

Tonle__KeptBirths **codec_keep_put(struct arena *a, const struct kept_birth *k, uint32_t n,
                                   size_t *groups)
{
    Tonle__KeptBirths **g = NULL;
    size_t cap = 0;
    *groups = 0;
    for (uint32_t i = 0, same; i < n; i += same) {
        for (same = 1; i + same < n && strcmp(k[i].table, k[i + same].table) == 0;)
            same++;
        g = mem_grow(g, *groups, &cap, sizeof(Tonle__KeptBirths *));
        g[(*groups)++] = keep_group_put(a, k + i, same);
    }
    Tonle__KeptBirths **kept = arena_copy(a, g, *groups * sizeof(Tonle__KeptBirths *));
    mem_free(g);
    return kept;
}

static enum err keep_group_get(const Tonle__KeptBirths *m, struct kept_birth *k)
{
    struct cursor keys = cursor_of(m->keys.data, m->keys.len);
    if (m->n_site != m->n_key_len || m->n_seq != m->n_key_len || !m->n_site)
        return ERR_MALFORMED;
    if (!codec_name_ok(m->table))
        return ERR_MALFORMED;
    for (size_t i = 0; i < m->n_site; i++) {
        uint32_t len = m->key_len[i];
        if (len > LIMIT_KEY_BYTES)
            return ERR_LIMIT;
        const uint8_t *p = cursor_bytes(&keys, len);
        if (!p || !len || !m->site[i] || !m->seq[i])
            return ERR_MALFORMED;
        k[i] = (struct kept_birth){m->table, {p, len}, {m->site[i], m->seq[i]}};
    }
    return keys.left ? ERR_MALFORMED : ERR_OK;
}

enum err codec_keep_get(struct arena *a, Tonle__KeptBirths *const *g, size_t groups,
                        struct kept_birth **k, uint32_t *n)
{
    size_t total = 0;
    for (size_t i = 0; i < groups; i++)
        total += g[i]->n_key_len;
    if (total > LIMIT_KEEP_BIRTHS)
        return ERR_LIMIT;
    *k = arena_alloc(a, total * sizeof **k);
    *n = 0;
    for (size_t i = 0; i < groups; i++) {
        bool joins = i && strcmp(g[i]->table, g[i - 1]->table) == 0;
        enum err e = joins ? ERR_MALFORMED : keep_group_get(g[i], *k + *n);
        if (e)
            return e;
        *n += (uint32_t)g[i]->n_key_len;
    }
    return ERR_OK;
}

static void sign_and_put(const char *domain, const ProtobufCMessage *body, const uint8_t *secret,
                         struct buf *out)
{
    struct buf b = {0};
    uint8_t signature[SIGNATURE_BYTES];
    codec_pack(body, &b);
    seal_sign(domain, b.data, b.len, secret, signature);
    Tonle__Signed m = TONLE__SIGNED__INIT;
    m.body = codec_binary(b.data, b.len);
    m.signature = codec_binary(signature, sizeof signature);
    codec_pack(&m.base, out);
    buf_fini(&b);
}

static enum err signed_get(struct arena *a, struct bytes b, Tonle__Signed **m)
{
    if (b.len > LIMIT_MESSAGE_BYTES)
        return ERR_LIMIT;
    return codec_unpack(a, &tonle__signed__descriptor, b, CODEC_MESSAGE_MEMORY, m);
}

/* The body of a signed item, its signature verified. */
static enum err open_body(struct arena *a, struct bytes b, const char *domain, const uint8_t *key,
                          struct bytes *body)
{
    Tonle__Signed *m;
    enum err e = signed_get(a, b, &m);
    if (e)
        return e;
    *body = codec_bytes(m->body);
    if (m->signature.len != SIGNATURE_BYTES)
        return ERR_MALFORMED;
    return seal_verify(domain, body->p, body->len, key, m->signature.data);
}

void codec_mark_encode(const struct mark *m, const uint8_t *secret, struct buf *out)
{
    struct arena a = {0};
    Tonle__Mark body = TONLE__MARK__INIT;
    body.id = m->id;
    body.site = m->site;
    body.hlc = m->hlc;
    body.clock = codec_clock_put(&a, &m->clock);
    sign_and_put(domain_mark, &body.base, secret, out);
    arena_fini(&a);
}

enum err codec_mark_open(struct arena *a, struct bytes b, const uint8_t *key, struct mark *m)
{
    struct bytes body;
    Tonle__Mark *in;
    enum err e = open_body(a, b, domain_mark, key, &body);
    if (!e)
        e = codec_unpack(a, &tonle__mark__descriptor, body, CODEC_MESSAGE_MEMORY, &in);
    if (e)
        return e;
    *m = (struct mark){.id = in->id, .site = in->site, .hlc = in->hlc};
    return codec_clock_get(a, in->clock, &m->clock);
}

void codec_answer_encode(const struct answer *m, const uint8_t *secret, struct buf *out)
{
    Tonle__Answer body = TONLE__ANSWER__INIT;
    body.mark_id = m->mark_id;
    body.site = m->site;
    body.hlc = m->hlc;
    body.node = (char *)m->node;
    sign_and_put(domain_answer, &body.base, secret, out);
}

enum err codec_answer_open(struct arena *a, struct bytes b, const uint8_t *key, struct answer *m)
{
    struct bytes body;
    Tonle__Answer *in;
    enum err e = open_body(a, b, domain_answer, key, &body);
    if (!e)
        e = codec_unpack(a, &tonle__answer__descriptor, body, CODEC_MESSAGE_MEMORY, &in);
    if (e)
        return e;
    *m =
        (struct answer){.mark_id = in->mark_id, .site = in->site, .hlc = in->hlc, .node = in->node};
    return codec_name_ok(in->node) ? ERR_OK : ERR_MALFORMED;
}

void codec_stable_encode(const struct stable *m, const uint8_t *secret, struct buf *out)
{
    struct arena a = {0};
    Tonle__Stable body = TONLE__STABLE__INIT;
    body.mark_id = m->mark_id;
    body.site = m->site;
    body.hlc = m->hlc;
    body.clock = codec_clock_put(&a, &m->clock);
    body.keep = codec_keep_put(&a, m->keep, m->n_keep, &body.n_keep);
    sign_and_put(domain_stable, &body.base, secret, out);
    arena_fini(&a);
}

enum err codec_stable_open(struct arena *a, struct bytes b, const uint8_t *key, struct stable *m)
{
    struct bytes body;
    Tonle__Stable *in;
    enum err e = open_body(a, b, domain_stable, key, &body);
    if (!e)
        e = codec_unpack(a, &tonle__stable__descriptor, body, CODEC_MESSAGE_MEMORY, &in);
    if (e)
        return e;
    *m = (struct stable){.mark_id = in->mark_id, .site = in->site, .hlc = in->hlc};
    e = codec_clock_get(a, in->clock, &m->clock);
    return e ? e : codec_keep_get(a, in->keep, in->n_keep, &m->keep, &m->n_keep);
}

static enum err changeset_site(struct arena *a, struct bytes b, uint64_t *site)
{
    struct changeset cs;
    enum err e = seal_peek(a, b.p, b.len, &cs);
    if (!e)
        *site = cs.dot.site;
    return e;
}

/* Not verified: whose key to look up. */
static enum err body_site(struct arena *a, struct bytes b, enum item_kind kind, uint64_t *site)
{
    Tonle__Signed *m;
    union {
        Tonle__Mark *mark;
        Tonle__Answer *answer;
        Tonle__Stable *stable;
    } in;
    const ProtobufCMessageDescriptor *d = kind == ITEM_MARK     ? &tonle__mark__descriptor
                                          : kind == ITEM_ANSWER ? &tonle__answer__descriptor
                                                                : &tonle__stable__descriptor;
    enum err e = signed_get(a, b, &m);
    if (!e)
        e = codec_unpack(a, d, codec_bytes(m->body), CODEC_MESSAGE_MEMORY, &in);
    if (e)
        return e;
    *site = kind == ITEM_MARK     ? in.mark->site
            : kind == ITEM_ANSWER ? in.answer->site
                                  : in.stable->site;
    return ERR_OK;
}

enum err codec_item_site(struct bytes b, enum item_kind kind, uint64_t *site)
{
    struct arena a = {0};
    enum err e = ERR_MALFORMED;
    if (kind == ITEM_CHANGESET)
        e = changeset_site(&a, b, site);
    else if (kind == ITEM_MARK || kind == ITEM_ANSWER || kind == ITEM_STABLE)
        e = body_site(&a, b, kind, site);
    arena_fini(&a);
    return e;
}
