#include "tests/unit/protocol/sample.h"

static void put_hex(struct buf *b, const void *p, size_t len)
{
    const uint8_t *byte = p;
    buf_printf(b, "%zu:", len);
    for (size_t i = 0; i < len; i++)
        buf_printf(b, "%02x", byte[i]);
    buf_printf(b, " ");
}

static void put_number(struct buf *b, uint64_t v)
{
    buf_printf(b, "%llx ", (unsigned long long)v);
}

static void put_dot(struct buf *b, struct dot d)
{
    put_number(b, d.site);
    put_number(b, d.seq);
}

static void put_clock(struct buf *b, const struct clock *c)
{
    buf_printf(b, "clock %zu ", c->n);
    for (size_t i = 0; i < c->n; i++)
        put_dot(b, (struct dot){c->entry[i].site, c->entry[i].seq});
}

static void put_value(struct buf *b, const struct value *v)
{
    struct buf bytes = {0};
    value_encode(&bytes, v);
    put_hex(b, bytes.data, bytes.len);
    buf_fini(&bytes);
}

static void put_row(struct buf *b, const struct table_changes *t, const struct row_change *r)
{
    buf_printf(b, "\n  row %d ", (int)r->kind);
    put_dot(b, r->birth);
    for (uint32_t i = 0; i < t->n_key; i++)
        put_value(b, &r->key[i]);
    buf_printf(b, "cells %u ", r->n_cells);
    for (uint32_t i = 0; i < r->n_cells; i++) {
        put_number(b, r->column[i]);
        put_value(b, &r->value[i]);
    }
    for (uint32_t i = 0; i < r->n_references; i++) {
        buf_printf(b, "refers %u ", r->references[i].column);
        put_dot(b, r->references[i].birth);
    }
}

static void put_segment(struct buf *b, const struct segment *s)
{
    buf_printf(b, "\nsegment '%s' ", s->scope);
    for (uint32_t i = 0; i < s->n_tables; i++) {
        const struct table_changes *t = &s->tables[i];
        buf_printf(b, "\n table %s (", t->table);
        for (uint32_t c = 0; c < t->n_columns; c++)
            buf_printf(b, "%s,", t->columns[c]);
        for (uint32_t k = 0; k < t->n_key; k++)
            put_number(b, t->key[k]);
        buf_printf(b, ") rows %u", t->n_rows);
        for (uint32_t k = 0; k < t->n_rows; k++)
            put_row(b, t, &t->rows[k]);
    }
}

const char *image_segment(struct buf *b, const struct segment *s)
{
    buf_reset(b);
    put_segment(b, s);
    return buf_str(b);
}

const char *image_changeset(struct buf *b, const struct changeset *cs)
{
    buf_reset(b);
    buf_printf(b, "%s ", cs->federation);
    put_dot(b, cs->dot);
    put_clock(b, &cs->context);
    put_number(b, cs->hlc);
    put_number(b, cs->charter_version);
    put_number(b, cs->schema_version);
    put_hex(b, cs->previous, HASH_BYTES);
    put_number(b, cs->cut);
    for (uint32_t i = 0; i < cs->n_segments; i++)
        put_segment(b, &cs->segments[i]);
    return buf_str(b);
}

static void put_keep(struct buf *b, const struct kept_birth *k, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(b, "\n keep %s ", k[i].table);
        put_hex(b, k[i].key.p, k[i].key.len);
        put_dot(b, k[i].birth);
    }
}

const char *image_mark(struct buf *b, const struct mark *m)
{
    buf_reset(b);
    put_number(b, m->id);
    put_number(b, m->site);
    put_clock(b, &m->clock);
    put_number(b, m->hlc);
    return buf_str(b);
}

const char *image_answer(struct buf *b, const struct answer *m)
{
    buf_reset(b);
    put_number(b, m->mark_id);
    buf_printf(b, "%s ", m->node);
    put_number(b, m->site);
    put_number(b, m->hlc);
    return buf_str(b);
}

const char *image_stable(struct buf *b, const struct stable *m)
{
    buf_reset(b);
    put_number(b, m->mark_id);
    put_number(b, m->site);
    put_clock(b, &m->clock);
    put_number(b, m->hlc);
    put_keep(b, m->keep, m->n_keep);
    return buf_str(b);
}

static void put_hello(struct buf *b, const struct hello *h)
{
    put_number(b, h->protocol);
    put_number(b, h->session);
    put_number(b, h->run);
    buf_printf(b, "%s|%s|%s ", h->federation, h->node, h->software);
    put_number(b, h->site);
    put_number(b, h->seq);
    put_hex(b, h->chain, HASH_BYTES);
    put_number(b, h->received_pos);
    put_number(b, h->journal_pos);
    put_clock(b, &h->clock);
    put_number(b, h->charter_version);
    put_number(b, h->schema_version);
    put_number(b, h->time_ms);
    put_number(b, h->credit_bytes);
    put_number(b, h->heartbeat_ms);
    put_number(b, h->wall_ms);
    put_number(b, h->latest_ms);
    put_number(b, h->time_sure);
}

static void put_heartbeat(struct buf *b, const struct heartbeat *h)
{
    put_number(b, h->session);
    put_number(b, h->time_ms);
    put_number(b, h->site);
    put_number(b, h->tail_pos);
    put_clock(b, &h->clock);
    put_number(b, h->held);
    put_number(b, h->conflicts_open);
    put_number(b, h->capture_pending);
    put_number(b, h->wall_ms);
    put_number(b, h->latest_ms);
    put_number(b, h->ahead_ms);
    put_number(b, h->time_sure);
    for (uint32_t i = 0; i < h->n_off; i++)
        buf_printf(b, "%s=%lld ", h->off[i].node, (long long)h->off[i].ms);
}

static void put_item(struct buf *b, const struct item_message *i)
{
    put_number(b, i->session);
    put_number(b, i->pos);
    put_number(b, i->previous);
    put_number(b, i->kind);
    put_hex(b, i->bytes.p, i->bytes.len);
}

static void put_enrol(struct buf *b, const struct enrol *n)
{
    buf_printf(b, "%s|%s|%s|%s ", n->federation, n->node, n->listen, n->software);
    put_hex(b, n->curve_key, CURVE_KEY_BYTES);
    put_hex(b, n->sign_key, SIGN_PUBLIC_BYTES);
    put_number(b, n->incarnation);
    put_hex(b, n->invite_key, SIGN_PUBLIC_BYTES);
    put_hex(b, n->proof, SIGNATURE_BYTES);
}

static void put_enrolled(struct buf *b, const struct enrolled *n)
{
    put_number(b, n->state);
    buf_printf(b, "%s|%s ", n->reason, n->hub_node);
    put_number(b, n->hub_site);
    put_hex(b, n->hub_sign_key, SIGN_PUBLIC_BYTES);
    buf_printf(b, "%s ", n->node);
    put_hex(b, n->sign_key, SIGN_PUBLIC_BYTES);
}

static void put_load_request(struct buf *b, const struct load_request *r)
{
    put_number(b, r->request);
    buf_printf(b, "%s ", r->table);
    put_hex(b, r->after.p, r->after.len);
    put_hex(b, r->upto.p, r->upto.len);
    put_number(b, r->max_rows);
    put_number(b, r->digest_only);
}

static void put_load_chunk(struct buf *b, const struct load_chunk *c)
{
    put_number(b, c->request);
    buf_printf(b, "%s (", c->table);
    for (uint32_t i = 0; i < c->n_columns; i++)
        buf_printf(b, "%s,", c->columns[i]);
    put_hex(b, c->last_key.p, c->last_key.len);
    put_number(b, c->end);
    put_number(b, c->rows);
    put_hex(b, c->digest, HASH_BYTES);
    put_clock(b, &c->clock);
    put_clock(b, &c->stable);
    put_number(b, c->pos);
    put_number(b, c->hlc);
    put_keep(b, c->keep, c->n_keep);
    put_number(b, c->capture_gap);
    for (uint32_t i = 0; i < c->n_states; i++) {
        const struct row_state *s = &c->states[i];
        buf_printf(b, "\n state %d ", s->stands);
        put_hex(b, s->key.p, s->key.len);
        put_hex(b, s->record.p, s->record.len);
        for (uint32_t k = 0; k < s->n_values; k++)
            put_value(b, &s->values[k]);
    }
}

static void put_position(struct buf *b, const struct digest_position *p)
{
    put_number(b, p->part);
    put_hex(b, p->key.p, p->key.len);
}

static void put_leave(struct buf *b, const struct digest_leave *leave, uint32_t n)
{
    put_number(b, n);
    for (uint32_t i = 0; i < n; i++) {
        put_hex(b, leave[i].key.p, leave[i].key.len);
        buf_printf(b, "%s ", leave[i].column);
    }
}

static void put_digest_request(struct buf *b, const struct digest_request *r)
{
    put_number(b, r->request);
    buf_printf(b, "%s ", r->table);
    put_number(b, r->max_rows);
    put_position(b, &r->after);
    put_position(b, &r->upto);
    put_leave(b, r->leave, r->n_leave);
}

static void put_digest_reply(struct buf *b, const struct digest_reply *r)
{
    put_number(b, r->request);
    put_number(b, r->exists);
    put_clock(b, &r->clock);
    put_position(b, &r->last);
    buf_printf(b, "%s ", r->sum.table);
    put_number(b, r->sum.rows);
    put_number(b, r->sum.held);
    put_number(b, r->sum.conflicts);
    put_hex(b, r->sum.digest, HASH_BYTES);
    put_leave(b, r->leave, r->n_leave);
}

const char *image_message(struct buf *b, const struct message *m)
{
    buf_reset(b);
    buf_printf(b, "message %d ", (int)m->type);
    switch (m->type) {
    case MESSAGE_HELLO:
    case MESSAGE_WELCOME:
        put_hello(b, &m->u.hello);
        break;
    case MESSAGE_REFUSAL:
        put_number(b, m->u.refusal.session);
        buf_printf(b, "%d %s ", (int)m->u.refusal.code, m->u.refusal.reason);
        put_number(b, m->u.refusal.retry_ms);
        break;
    case MESSAGE_ITEM:
        put_item(b, &m->u.item);
        break;
    case MESSAGE_ACK:
        put_number(b, m->u.ack.session);
        put_number(b, m->u.ack.pos);
        put_number(b, m->u.ack.credit_bytes);
        break;
    case MESSAGE_HEARTBEAT:
        put_heartbeat(b, &m->u.heartbeat);
        break;
    case MESSAGE_ENROL:
        put_enrol(b, &m->u.enrol);
        break;
    case MESSAGE_ENROLLED:
        put_enrolled(b, &m->u.enrolled);
        break;
    case MESSAGE_LOAD_REQUEST:
        put_load_request(b, &m->u.load_request);
        break;
    case MESSAGE_LOAD_CHUNK:
        put_load_chunk(b, &m->u.load_chunk);
        break;
    case MESSAGE_DIGEST_REQUEST:
        put_digest_request(b, &m->u.digest_request);
        break;
    case MESSAGE_DIGEST_REPLY:
        put_digest_reply(b, &m->u.digest_reply);
        break;
    }
    return buf_str(b);
}
