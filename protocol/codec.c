/* The envelope: one message, exactly one field present (tonle.proto).
 *
 * hello, welcome and heartbeat are Signed: the signature is over "tonle-link", a NUL and the body's
 * bytes, and is verified over these bytes as they were received (codec_verify). The body names the
 * field it was signed for. Everything else is trusted as far as the CURVE connection is.
 */
#include "protocol/codec.h"

#include "protocol/codec_internal.h"
#include "protocol/seal.h"

#include <assert.h>

static const char domain_link[] = "tonle-link";

static Tonle__Hello hello_body(struct arena *a, const struct hello *h, bool welcome)
{
    Tonle__Hello m = TONLE__HELLO__INIT;
    m.signed_for = welcome ? TONLE__SIGNED_FOR__FOR_WELCOME : TONLE__SIGNED_FOR__FOR_HELLO;
    m.protocol = h->protocol;
    m.session = h->session;
    m.run = h->run;
    m.federation = (char *)h->federation;
    m.node = (char *)h->node;
    m.site = h->site;
    m.seq = h->seq;
    m.chain = codec_binary(h->chain, HASH_BYTES);
    m.received_pos = h->received_pos;
    m.journal_pos = h->journal_pos;
    m.clock = codec_clock_put(a, &h->clock);
    m.charter_version = h->charter_version;
    m.schema_version = h->schema_version;
    m.software = (char *)h->software;
    m.time_ms = h->time_ms;
    m.credit_bytes = h->credit_bytes;
    m.heartbeat_ms = h->heartbeat_ms;
    m.wall_ms = h->wall_ms;
    m.latest_ms = h->latest_ms;
    m.time_sure = h->time_sure;
    return m;
}

static enum err hello_get(struct arena *a, struct bytes body, bool welcome, struct hello *h)
{
    Tonle__Hello *m;
    enum err e = codec_unpack(a, &tonle__hello__descriptor, body, CODEC_MESSAGE_MEMORY, &m);
    if (e)
        return e;
    *h = (struct hello){.protocol = m->protocol,
                        .session = m->session,
                        .run = m->run,
                        .federation = m->federation,
                        .node = m->node,
                        .site = m->site,
                        .seq = m->seq,
                        .received_pos = m->received_pos,
                        .journal_pos = m->journal_pos,
                        .charter_version = m->charter_version,
                        .schema_version = m->schema_version,
                        .software = m->software,
                        .time_ms = m->time_ms,
                        .credit_bytes = m->credit_bytes,
                        .heartbeat_ms = m->heartbeat_ms,
                        .wall_ms = m->wall_ms,
                        .latest_ms = m->latest_ms,
                        .time_sure = m->time_sure};
    Tonle__SignedFor field =
        welcome ? TONLE__SIGNED_FOR__FOR_WELCOME : TONLE__SIGNED_FOR__FOR_HELLO;
    bool names =
        codec_name_ok(m->federation) && codec_name_ok(m->node) && codec_label_ok(m->software);
    if (m->signed_for != field || !names || !codec_digest_get(m->chain, h->chain, HASH_BYTES))
        return ERR_MALFORMED;
    return codec_clock_get(a, m->clock, &h->clock);
}

static Tonle__Heartbeat heartbeat_body(struct arena *a, const struct heartbeat *h)
{
    Tonle__Heartbeat m = TONLE__HEARTBEAT__INIT;
    m.signed_for = TONLE__SIGNED_FOR__FOR_HEARTBEAT;
    m.session = h->session;
    m.time_ms = h->time_ms;
    m.site = h->site;
    m.tail_pos = h->tail_pos;
    m.clock = codec_clock_put(a, &h->clock);
    m.held = h->held;
    m.conflicts_open = h->conflicts_open;
    m.capture_pending = h->capture_pending;
    m.wall_ms = h->wall_ms;
    m.latest_ms = h->latest_ms;
    m.ahead_ms = h->ahead_ms;
    m.time_sure = h->time_sure;
    m.n_off_node = m.n_off_ms = h->n_off;
    m.off_node = arena_alloc(a, h->n_off * sizeof *m.off_node);
    m.off_ms = arena_alloc(a, h->n_off * sizeof *m.off_ms);
    for (uint32_t i = 0; i < h->n_off; i++) {
        m.off_node[i] = (char *)h->off[i].node;
        m.off_ms[i] = h->off[i].ms;
    }
    return m;
}

static enum err clocks_off_get(struct arena *a, const Tonle__Heartbeat *m, struct heartbeat *h)
{
    if (m->n_off_node != m->n_off_ms)
        return ERR_MALFORMED;
    if (m->n_off_node > LIMIT_CLOCKS_OFF)
        return ERR_LIMIT;
    h->n_off = (uint32_t)m->n_off_node;
    h->off = arena_alloc(a, h->n_off * sizeof *h->off);
    for (uint32_t i = 0; i < h->n_off; i++) {
        if (!codec_name_ok(m->off_node[i]))
            return ERR_MALFORMED;
        h->off[i] = (struct clock_off){m->off_node[i], m->off_ms[i]};
    }
    return ERR_OK;
}

static enum err heartbeat_get(struct arena *a, struct bytes body, struct heartbeat *h)
{
    Tonle__Heartbeat *m;
    enum err e = codec_unpack(a, &tonle__heartbeat__descriptor, body, CODEC_MESSAGE_MEMORY, &m);
    if (e)
        return e;
    *h = (struct heartbeat){.session = m->session,
                            .time_ms = m->time_ms,
                            .site = m->site,
                            .tail_pos = m->tail_pos,
                            .held = m->held,
                            .conflicts_open = m->conflicts_open,
                            .capture_pending = m->capture_pending,
                            .wall_ms = m->wall_ms,
                            .latest_ms = m->latest_ms,
                            .ahead_ms = m->ahead_ms,
                            .time_sure = m->time_sure};
    if (m->signed_for != TONLE__SIGNED_FOR__FOR_HEARTBEAT)
        return ERR_MALFORMED;
    e = clocks_off_get(a, m, h);
    return e == ERR_OK ? codec_clock_get(a, m->clock, &h->clock) : e;
}

static Tonle__Signed *sign_body(struct arena *a, const ProtobufCMessage *body,
                                const uint8_t *secret)
{
    struct buf b = {0};
    Tonle__Signed *m = arena_alloc(a, sizeof *m);
    uint8_t *signature = arena_alloc(a, SIGNATURE_BYTES);
    tonle__signed__init(m);
    codec_pack(body, &b);
    seal_sign(domain_link, b.data, b.len, secret, signature);
    m->body = codec_binary(arena_copy(a, b.data, b.len), b.len);
    m->signature = codec_binary(signature, SIGNATURE_BYTES);
    buf_fini(&b);
    return m;
}

static void signed_put(struct arena *a, const struct message *m, const uint8_t *secret,
                       Tonle__Envelope *e)
{
    if (m->type == MESSAGE_HEARTBEAT) {
        Tonle__Heartbeat heartbeat = heartbeat_body(a, &m->u.heartbeat);
        e->heartbeat = sign_body(a, &heartbeat.base, secret);
        return;
    }
    bool welcome = m->type == MESSAGE_WELCOME;
    Tonle__Hello hello = hello_body(a, &m->u.hello, welcome);
    *(welcome ? &e->welcome : &e->hello) = sign_body(a, &hello.base, secret);
}

static void refusal_put(struct arena *a, const struct refusal *r, Tonle__Envelope *e)
{
    Tonle__Refusal *m = e->refusal = arena_alloc(a, sizeof *m);
    tonle__refusal__init(m);
    m->session = r->session;
    m->code = (Tonle__RefusalCode)r->code;
    m->reason = (char *)r->reason;
    m->retry_ms = r->retry_ms;
}

static void item_put(struct arena *a, const struct item_message *i, Tonle__Envelope *e)
{
    Tonle__Item *m = e->item = arena_alloc(a, sizeof *m);
    tonle__item__init(m);
    m->session = i->session;
    m->pos = i->pos;
    m->previous = i->previous;
    m->kind = (Tonle__ItemKind)i->kind;
    m->bytes = codec_binary(i->bytes.p, i->bytes.len);
}

static void ack_put(struct arena *a, const struct ack *k, Tonle__Envelope *e)
{
    Tonle__Ack *m = e->ack = arena_alloc(a, sizeof *m);
    tonle__ack__init(m);
    m->session = k->session;
    m->pos = k->pos;
    m->credit_bytes = k->credit_bytes;
}

static void enrol_put(struct arena *a, const struct enrol *n, Tonle__Envelope *e)
{
    Tonle__Enrol *m = e->enrol = arena_alloc(a, sizeof *m);
    tonle__enrol__init(m);
    m->federation = (char *)n->federation;
    m->node = (char *)n->node;
    m->curve_key = codec_binary(n->curve_key, CURVE_KEY_BYTES);
    m->sign_key = codec_binary(n->sign_key, SIGN_PUBLIC_BYTES);
    m->incarnation = n->incarnation;
    m->listen = (char *)n->listen;
    m->software = (char *)n->software;
    m->invite_key = codec_binary(n->invite_key, SIGN_PUBLIC_BYTES);
    m->proof = codec_binary(n->proof, SIGNATURE_BYTES);
}

static enum err enrol_get(const Tonle__Enrol *m, struct enrol *n)
{
    *n = (struct enrol){.federation = m->federation,
                        .node = m->node,
                        .incarnation = m->incarnation,
                        .listen = m->listen,
                        .software = m->software};
    bool names =
        codec_name_ok(m->federation) && codec_name_ok(m->node) && codec_label_ok(m->software);
    bool keys = codec_digest_get(m->curve_key, n->curve_key, CURVE_KEY_BYTES) &&
                codec_digest_get(m->sign_key, n->sign_key, SIGN_PUBLIC_BYTES) &&
                codec_digest_get(m->invite_key, n->invite_key, SIGN_PUBLIC_BYTES) &&
                codec_digest_get(m->proof, n->proof, SIGNATURE_BYTES);
    return names && keys ? ERR_OK : ERR_MALFORMED;
}

static void enrolled_put(struct arena *a, const struct enrolled *n, Tonle__Envelope *e)
{
    Tonle__Enrolled *m = e->enrolled = arena_alloc(a, sizeof *m);
    tonle__enrolled__init(m);
    m->state = (Tonle__EnrolState)n->state;
    m->reason = (char *)n->reason;
    m->hub_node = (char *)n->hub_node;
    m->hub_site = n->hub_site;
    m->hub_sign_key = codec_binary(n->hub_sign_key, SIGN_PUBLIC_BYTES);
    m->node = (char *)n->node;
    m->sign_key = codec_binary(n->sign_key, SIGN_PUBLIC_BYTES);
}

static enum err enrolled_get(const Tonle__Enrolled *m, struct enrolled *n)
{
    *n = (struct enrolled){.state = (enum enrol_state)m->state,
                           .reason = m->reason,
                           .hub_node = m->hub_node,
                           .hub_site = m->hub_site,
                           .node = m->node};
    bool ok = codec_label_ok(m->hub_node) && codec_label_ok(m->node) &&
              codec_digest_get(m->hub_sign_key, n->hub_sign_key, SIGN_PUBLIC_BYTES) &&
              codec_digest_get(m->sign_key, n->sign_key, SIGN_PUBLIC_BYTES);
    return ok ? ERR_OK : ERR_MALFORMED;
}

static void envelope_put(struct arena *a, const struct message *m, const uint8_t *secret,
                         Tonle__Envelope *e)
{
    switch (m->type) {
    case MESSAGE_HELLO:
    case MESSAGE_WELCOME:
    case MESSAGE_HEARTBEAT:
        signed_put(a, m, secret, e);
        break;
    case MESSAGE_REFUSAL:
        refusal_put(a, &m->u.refusal, e);
        break;
    case MESSAGE_ITEM:
        item_put(a, &m->u.item, e);
        break;
    case MESSAGE_ACK:
        ack_put(a, &m->u.ack, e);
        break;
    case MESSAGE_ENROL:
        enrol_put(a, &m->u.enrol, e);
        break;
    case MESSAGE_ENROLLED:
        enrolled_put(a, &m->u.enrolled, e);
        break;
    case MESSAGE_LOAD_REQUEST:
        codec_load_request_put(a, &m->u.load_request, e);
        break;
    case MESSAGE_LOAD_CHUNK:
        codec_load_chunk_put(a, &m->u.load_chunk, e);
        break;
    case MESSAGE_DIGEST_REQUEST:
        codec_digest_request_put(a, &m->u.digest_request, e);
        break;
    case MESSAGE_DIGEST_REPLY:
        codec_digest_reply_put(a, &m->u.digest_reply, e);
        break;
    }
}

void codec_encode(const struct message *m, const uint8_t *secret, struct buf *out)
{
    struct arena a = {0};
    Tonle__Envelope e = TONLE__ENVELOPE__INIT;
    assert(m->type >= MESSAGE_HELLO && m->type <= MESSAGE_DIGEST_REPLY);
    envelope_put(&a, m, secret, &e);
    codec_pack(&e.base, out);
    arena_fini(&a);
}

/* The message type of the one field that is present; 0 when there is not exactly one. */
static unsigned envelope_type(const Tonle__Envelope *e)
{
    const struct {
        bool present;
        enum message_type type;
    } field[] = {
        {e->hello, MESSAGE_HELLO},
        {e->welcome, MESSAGE_WELCOME},
        {e->refusal, MESSAGE_REFUSAL},
        {e->item, MESSAGE_ITEM},
        {e->ack, MESSAGE_ACK},
        {e->heartbeat, MESSAGE_HEARTBEAT},
        {e->enrol, MESSAGE_ENROL},
        {e->enrolled, MESSAGE_ENROLLED},
        {e->load_request, MESSAGE_LOAD_REQUEST},
        {e->load_chunk, MESSAGE_LOAD_CHUNK},
        {e->digest_request, MESSAGE_DIGEST_REQUEST},
        {e->digest_reply, MESSAGE_DIGEST_REPLY},
    };
    unsigned type = 0;
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        if (field[i].present && type)
            return 0;
        if (field[i].present)
            type = field[i].type;
    }
    return type;
}

static enum err signed_get(struct arena *a, const Tonle__Signed *s, struct message *m,
                           struct bytes *body, struct bytes *signature)
{
    *body = codec_bytes(s->body);
    *signature = codec_bytes(s->signature);
    if (signature->len != SIGNATURE_BYTES)
        return ERR_MALFORMED;
    if (m->type == MESSAGE_HEARTBEAT)
        return heartbeat_get(a, *body, &m->u.heartbeat);
    return hello_get(a, *body, m->type == MESSAGE_WELCOME, &m->u.hello);
}

static enum err envelope_get(struct arena *a, const Tonle__Envelope *e, struct message *m,
                             struct bytes *body, struct bytes *signature)
{
    switch (m->type) {
    case MESSAGE_HELLO:
        return signed_get(a, e->hello, m, body, signature);
    case MESSAGE_WELCOME:
        return signed_get(a, e->welcome, m, body, signature);
    case MESSAGE_HEARTBEAT:
        return signed_get(a, e->heartbeat, m, body, signature);
    case MESSAGE_REFUSAL:
        m->u.refusal = (struct refusal){e->refusal->session, (enum refusal_code)e->refusal->code,
                                        e->refusal->reason, e->refusal->retry_ms};
        return ERR_OK;
    case MESSAGE_ITEM:
        m->u.item =
            (struct item_message){e->item->session, e->item->pos, e->item->previous,
                                  (enum item_kind)e->item->kind, codec_bytes(e->item->bytes)};
        return ERR_OK;
    case MESSAGE_ACK:
        m->u.ack = (struct ack){e->ack->session, e->ack->pos, e->ack->credit_bytes};
        return ERR_OK;
    case MESSAGE_ENROL:
        return enrol_get(e->enrol, &m->u.enrol);
    case MESSAGE_ENROLLED:
        return enrolled_get(e->enrolled, &m->u.enrolled);
    case MESSAGE_LOAD_REQUEST:
        return codec_load_request_get(e->load_request, &m->u.load_request);
    case MESSAGE_LOAD_CHUNK:
        return codec_load_chunk_get(a, e->load_chunk, &m->u.load_chunk);
    case MESSAGE_DIGEST_REQUEST:
        return codec_digest_request_get(a, e->digest_request, &m->u.digest_request);
    case MESSAGE_DIGEST_REPLY:
        return codec_digest_reply_get(a, e->digest_reply, &m->u.digest_reply);
    }
    return ERR_MALFORMED;
}

enum err codec_decode(struct arena *a, const void *p, size_t len, struct message *m,
                      struct bytes *body, struct bytes *signature)
{
    Tonle__Envelope *e;
    *body = *signature = (struct bytes){0};
    if (len > LIMIT_MESSAGE_BYTES)
        return ERR_LIMIT;
    enum err err = codec_unpack(a, &tonle__envelope__descriptor, (struct bytes){p, len},
                                CODEC_MESSAGE_MEMORY, &e);
    if (err)
        return err;
    unsigned type = envelope_type(e);
    if (type == 0)
        return ERR_MALFORMED;
    m->type = (enum message_type)type;
    return envelope_get(a, e, m, body, signature);
}

enum err codec_verify(struct bytes body, struct bytes signature,
                      const uint8_t key[SIGN_PUBLIC_BYTES])
{
    if (signature.len != SIGNATURE_BYTES)
        return ERR_SIGNATURE;
    return seal_verify(domain_link, body.p, body.len, key, signature.p);
}
