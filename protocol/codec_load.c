/* Requests for rows and digests, and what answers them.
 *
 * The row states of a chunk are written column by column (RowStates in tonle.proto) and compressed:
 * a first load is the longest thing that crosses a mobile line.
 */
#include "protocol/codec_internal.h"

#include "protocol/seal.h"

#include <assert.h>

void codec_load_request_put(struct arena *a, const struct load_request *r, Tonle__Envelope *e)
{
    Tonle__LoadRequest *m = e->load_request = arena_alloc(a, sizeof *m);
    tonle__load_request__init(m);
    m->request = r->request;
    m->table = (char *)r->table;
    m->after = codec_binary(r->after.p, r->after.len);
    m->upto = codec_binary(r->upto.p, r->upto.len);
    m->max_rows = r->max_rows;
    m->digest_only = r->digest_only;
}

enum err codec_load_request_get(const Tonle__LoadRequest *m, struct load_request *r)
{
    if (m->after.len > LIMIT_KEY_BYTES || m->upto.len > LIMIT_KEY_BYTES)
        return ERR_LIMIT;
    *r = (struct load_request){.request = m->request,
                               .table = m->table,
                               .after = codec_bytes(m->after),
                               .upto = codec_bytes(m->upto),
                               .max_rows = m->max_rows,
                               .digest_only = m->digest_only};
    return codec_name_ok(m->table) ? ERR_OK : ERR_MALFORMED;
}

static void states_values_put(struct arena *a, const struct load_chunk *c, Tonle__RowStates *m)
{
    const struct value **column = arena_alloc(a, c->n_states * sizeof *column);
    Tonle__Column *columns = arena_alloc(a, c->n_columns * sizeof *columns);
    m->n_values = c->n_columns;
    m->values = arena_alloc(a, c->n_columns * sizeof *m->values);
    for (uint32_t k = 0; k < c->n_columns; k++) {
        size_t n = 0;
        for (uint32_t i = 0; i < c->n_states; i++)
            if (c->states[i].stands)
                column[n++] = &c->states[i].values[k];
        m->values[k] = &columns[k];
        column_put(a, column, n, m->values[k]);
    }
}

static void states_put(const struct load_chunk *c, struct buf *out)
{
    struct arena a = {0};
    struct buf keys = {0};
    struct buf records = {0};
    Tonle__RowStates m = TONLE__ROW_STATES__INIT;
    m.n_key_len = m.n_record_len = c->n_states;
    m.key_len = arena_alloc(&a, c->n_states * sizeof *m.key_len);
    m.record_len = arena_alloc(&a, c->n_states * sizeof *m.record_len);
    m.stands = codec_binary(arena_alloc(&a, c->n_states), c->n_states);
    for (uint32_t i = 0; i < c->n_states; i++) {
        const struct row_state *s = &c->states[i];
        assert(s->n_values == (s->stands ? c->n_columns : 0));
        m.key_len[i] = (uint32_t)s->key.len;
        m.record_len[i] = (uint32_t)s->record.len;
        m.stands.data[i] = s->stands;
        buf_put(&keys, s->key.p, s->key.len);
        buf_put(&records, s->record.p, s->record.len);
    }
    m.keys = codec_binary(keys.data, keys.len);
    m.records = codec_binary(records.data, records.len);
    states_values_put(&a, c, &m);
    codec_pack(&m.base, out);
    buf_fini(&keys);
    buf_fini(&records);
    arena_fini(&a);
}

void codec_load_chunk_put(struct arena *a, const struct load_chunk *c, Tonle__Envelope *e)
{
    Tonle__LoadChunk *m = e->load_chunk = arena_alloc(a, sizeof *m);
    tonle__load_chunk__init(m);
    m->request = c->request;
    m->table = (char *)c->table;
    m->n_column = c->n_columns;
    m->column = (char **)c->columns;
    m->last_key = codec_binary(c->last_key.p, c->last_key.len);
    m->end = c->end;
    m->rows = c->rows;
    m->digest = codec_binary(c->digest, HASH_BYTES);
    m->clock = codec_clock_put(a, &c->clock);
    m->stable = codec_clock_put(a, &c->stable);
    m->pos = c->pos;
    m->hlc = c->hlc;
    m->keep = codec_keep_put(a, c->keep, c->n_keep, &m->n_keep);
    m->has_capture_gap = c->capture_gap != 0;
    m->capture_gap = c->capture_gap;
    if (c->n_states == 0)
        return;
    struct buf raw = {0};
    struct buf packed = {0};
    states_put(c, &raw);
    seal_compress(raw.data, raw.len, &packed);
    m->has_states_raw_len = m->has_states = 1;
    m->states_raw_len = (uint32_t)raw.len;
    m->states = codec_binary(arena_copy(a, packed.data, packed.len), packed.len);
    buf_fini(&raw);
    buf_fini(&packed);
}

static enum err states_keys_get(const Tonle__RowStates *m, struct row_state *s)
{
    struct cursor keys = cursor_of(m->keys.data, m->keys.len);
    struct cursor records = cursor_of(m->records.data, m->records.len);
    for (size_t i = 0; i < m->n_key_len; i++) {
        if (m->key_len[i] > LIMIT_KEY_BYTES)
            return ERR_LIMIT;
        s[i].key = (struct bytes){cursor_bytes(&keys, m->key_len[i]), m->key_len[i]};
        s[i].record = (struct bytes){cursor_bytes(&records, m->record_len[i]), m->record_len[i]};
        s[i].stands = m->stands.data[i];
        if (keys.failed || records.failed || !s[i].key.len || m->stands.data[i] > 1)
            return ERR_MALFORMED;
    }
    return keys.left || records.left ? ERR_MALFORMED : ERR_OK;
}

static enum err states_values_get(struct arena *a, const Tonle__RowStates *m, struct load_chunk *c)
{
    size_t standing = 0;
    for (uint32_t i = 0; i < c->n_states; i++)
        standing += c->states[i].stands;
    struct value *v = arena_alloc(a, standing * c->n_columns * sizeof *v);
    for (uint32_t i = 0; i < c->n_states; i++) {
        if (!c->states[i].stands)
            continue;
        c->states[i].n_values = c->n_columns;
        c->states[i].values = v;
        v += c->n_columns;
    }
    for (uint32_t k = 0; k < c->n_columns; k++) {
        struct column_reader in;
        enum err e = column_open(&in, m->values[k], standing, VALUE_BLOB);
        if (e)
            return e;
        for (uint32_t i = 0; i < c->n_states; i++)
            if (c->states[i].stands)
                c->states[i].values[k] = column_next(&in);
    }
    return ERR_OK;
}

static enum err states_get(struct arena *a, struct bytes raw, struct load_chunk *c)
{
    Tonle__RowStates *m;
    enum err e = codec_unpack(a, &tonle__row_states__descriptor, raw, CODEC_MESSAGE_MEMORY, &m);
    if (e)
        return e;
    size_t n = m->n_key_len;
    if (n > LIMIT_CHUNK_ROWS)
        return ERR_LIMIT;
    if (n == 0 || m->n_record_len != n || m->stands.len != n || m->n_values != c->n_columns)
        return ERR_MALFORMED;
    c->n_states = (uint32_t)n;
    c->states = arena_alloc(a, n * sizeof *c->states);
    e = states_keys_get(m, c->states);
    return e ? e : states_values_get(a, m, c);
}

static enum err states_open(struct arena *a, const Tonle__LoadChunk *m, struct load_chunk *c)
{
    struct buf raw = {0};
    if (!m->has_states && !m->has_states_raw_len)
        return ERR_OK;
    if (m->has_states != m->has_states_raw_len)
        return ERR_MALFORMED;
    if (m->states_raw_len > LIMIT_MESSAGE_BYTES)
        return ERR_LIMIT;
    enum err e = seal_decompress(m->states.data, m->states.len, m->states_raw_len, &raw);
    if (!e)
        e = states_get(a, (struct bytes){raw.data, raw.len}, c);
    buf_fini(&raw);
    return e;
}

enum err codec_load_chunk_get(struct arena *a, const Tonle__LoadChunk *m, struct load_chunk *c)
{
    if (m->n_column > LIMIT_COLUMNS || m->last_key.len > LIMIT_KEY_BYTES)
        return ERR_LIMIT;
    *c = (struct load_chunk){.request = m->request,
                             .table = m->table,
                             .n_columns = (uint32_t)m->n_column,
                             .columns = (const char **)m->column,
                             .last_key = codec_bytes(m->last_key),
                             .end = m->end,
                             .rows = m->rows,
                             .pos = m->pos,
                             .hlc = m->hlc,
                             .capture_gap = m->capture_gap};
    bool ok = m->capture_gap <= 2 && codec_name_ok(m->table) &&
              codec_digest_get(m->digest, c->digest, HASH_BYTES);
    for (size_t i = 0; ok && i < m->n_column; i++)
        ok = codec_name_ok(m->column[i]);
    if (!ok)
        return ERR_MALFORMED;
    enum err e = codec_clock_get(a, m->clock, &c->clock);
    if (!e)
        e = codec_clock_get(a, m->stable, &c->stable);
    if (!e)
        e = codec_keep_get(a, m->keep, m->n_keep, &c->keep, &c->n_keep);
    return e ? e : states_open(a, m, c);
}

static bool position_get(uint32_t part, ProtobufCBinaryData key, struct digest_position *p)
{
    *p = (struct digest_position){(enum digest_part)part, codec_bytes(key)};
    return part >= DIGEST_AT_ROWS && part <= DIGEST_AT_END &&
           (part != DIGEST_AT_END || key.len == 0);
}

static void leave_put(struct arena *a, const struct digest_leave *leave, uint32_t n,
                      ProtobufCBinaryData **key, char ***column)
{
    *key = arena_alloc(a, n * sizeof **key);
    *column = arena_alloc(a, n * sizeof **column);
    for (uint32_t i = 0; i < n; i++) {
        (*key)[i] = codec_binary(leave[i].key.p, leave[i].key.len);
        (*column)[i] = (char *)leave[i].column;
    }
}

/* Two columns of the message, of n_key and n_column entries. */
static enum err leave_get(struct arena *a, size_t n_key, const ProtobufCBinaryData *key,
                          size_t n_column, char *const *column, const struct digest_leave **out,
                          uint32_t *n)
{
    if (n_key > 2 * LIMIT_DIGEST_LEAVE)
        return ERR_LIMIT;
    struct digest_leave *leave = arena_alloc(a, n_key * sizeof *leave);
    bool ok = n_key == n_column;
    for (size_t i = 0; ok && i < n_key; i++) {
        if (key[i].len > LIMIT_KEY_BYTES)
            return ERR_LIMIT;
        leave[i] = (struct digest_leave){codec_bytes(key[i]), column[i]};
        ok = codec_name_ok(column[i]);
    }
    *out = leave;
    *n = (uint32_t)n_key;
    return ok ? ERR_OK : ERR_MALFORMED;
}

void codec_digest_request_put(struct arena *a, const struct digest_request *r, Tonle__Envelope *e)
{
    Tonle__DigestRequest *m = e->digest_request = arena_alloc(a, sizeof *m);
    tonle__digest_request__init(m);
    m->request = r->request;
    m->table = (char *)r->table;
    m->max_rows = r->max_rows;
    m->after_part = (Tonle__DigestPart)r->after.part;
    m->after_key = codec_binary(r->after.key.p, r->after.key.len);
    m->upto_part = (Tonle__DigestPart)r->upto.part;
    m->upto_key = codec_binary(r->upto.key.p, r->upto.key.len);
    m->n_leave_key = m->n_leave_column = r->n_leave;
    leave_put(a, r->leave, r->n_leave, &m->leave_key, &m->leave_column);
}

enum err codec_digest_request_get(struct arena *a, const Tonle__DigestRequest *m,
                                  struct digest_request *r)
{
    if (m->after_key.len > LIMIT_KEY_BYTES || m->upto_key.len > LIMIT_KEY_BYTES)
        return ERR_LIMIT;
    *r = (struct digest_request){.request = m->request, .table = m->table, .max_rows = m->max_rows};
    bool ok = codec_name_ok(m->table) && position_get(m->after_part, m->after_key, &r->after) &&
              position_get(m->upto_part, m->upto_key, &r->upto);
    return ok ? leave_get(a, m->n_leave_key, m->leave_key, m->n_leave_column, m->leave_column,
                          &r->leave, &r->n_leave)
              : ERR_MALFORMED;
}

void codec_digest_reply_put(struct arena *a, const struct digest_reply *r, Tonle__Envelope *e)
{
    Tonle__DigestReply *m = e->digest_reply = arena_alloc(a, sizeof *m);
    tonle__digest_reply__init(m);
    m->request = r->request;
    m->table = (char *)r->sum.table;
    m->exists = r->exists;
    m->clock = codec_clock_put(a, &r->clock);
    m->last_part = (Tonle__DigestPart)r->last.part;
    m->last_key = codec_binary(r->last.key.p, r->last.key.len);
    m->rows = r->sum.rows;
    m->held = r->sum.held;
    m->conflicts = r->sum.conflicts;
    m->digest = codec_binary(r->sum.digest, HASH_BYTES);
    m->n_leave_key = m->n_leave_column = r->n_leave;
    leave_put(a, r->leave, r->n_leave, &m->leave_key, &m->leave_column);
}

enum err codec_digest_reply_get(struct arena *a, const Tonle__DigestReply *m,
                                struct digest_reply *r)
{
    if (m->last_key.len > LIMIT_KEY_BYTES)
        return ERR_LIMIT;
    *r = (struct digest_reply){
        .request = m->request,
        .exists = m->exists,
        .sum = {.table = m->table, .rows = m->rows, .held = m->held, .conflicts = m->conflicts}};
    if (!codec_name_ok(m->table) || !position_get(m->last_part, m->last_key, &r->last) ||
        !codec_digest_get(m->digest, r->sum.digest, HASH_BYTES))
        return ERR_MALFORMED;
    enum err e = leave_get(a, m->n_leave_key, m->leave_key, m->n_leave_column, m->leave_column,
                           &r->leave, &r->n_leave);
    return e ? e : codec_clock_get(a, m->clock, &r->clock);
}
