#include "tests/unit/protocol/sample.h"

#include "protocol/limits.h"
#include "protocol/seal.h"

#include <stdio.h>
#include <string.h>

int sample_set_up(void **state)
{
    (void)state;
    return seal_start();
}

/* Steele et al. 2014, "Fast splittable pseudorandom number generators". */
uint64_t sample_next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

uint32_t sample_below(uint64_t *seed, uint32_t n)
{
    return n ? (uint32_t)(sample_next(seed) % n) : 0;
}

struct sample_pair sample_keys(uint8_t first)
{
    struct sample_pair k;
    uint8_t seed[32];
    for (uint8_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(first + i);
    seal_keypair(seed, k.key, k.secret);
    return k;
}

/* A number of any size: 1 to 64 bits. */
static uint64_t any_number(uint64_t *seed)
{
    return sample_next(seed) >> sample_below(seed, 64);
}

static struct bytes any_bytes(struct arena *a, uint64_t *seed, uint32_t least, uint32_t most)
{
    size_t len = least + sample_below(seed, most - least + 1);
    uint8_t *p = arena_alloc(a, len);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)sample_next(seed);
    return (struct bytes){p, len};
}

static void fill(uint64_t *seed, uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)sample_next(seed);
}

static const char *any_name(struct arena *a, uint64_t *seed)
{
    static const char *const some[] = {"resident", "household", "commune_code",
                                       "ឈ្មោះ",     "x",         "a b'c\"d"};
    char name[64];
    if (sample_below(seed, 3) == 0)
        return some[sample_below(seed, 6)];
    snprintf(name, sizeof name, "name_%x", sample_below(seed, 1000));
    return arena_strdup(a, name);
}

static struct value any_value(struct arena *a, uint64_t *seed)
{
    static const int64_t integers[] = {0, 1, -1, INT64_MAX, INT64_MIN, 120104};
    struct bytes b;
    switch (sample_below(seed, 7)) {
    case 0:
        return value_null();
    case 1:
        return value_integer(integers[sample_below(seed, 6)]);
    case 2:
        return value_integer((int64_t)any_number(seed));
    case 3:
        return value_real((double)(int64_t)any_number(seed) / 3);
    case 4:
        b = any_bytes(a, seed, 0, 40);
        return value_bytes(VALUE_TEXT, b.p, b.len);
    case 5:
        return value_text(any_name(a, seed));
    default:
        b = any_bytes(a, seed, 0, 20);
        return value_bytes(VALUE_BLOB, b.p, b.len);
    }
}

static struct clock any_clock(struct arena *a, uint64_t *seed)
{
    struct clock c = {.n = sample_below(seed, 6)};
    uint64_t site = 0;
    c.entry = arena_alloc(a, c.n * sizeof *c.entry);
    for (size_t i = 0; i < c.n; i++) {
        site += 1 + (sample_next(seed) >> 4);
        c.entry[i] = (struct clock_entry){site, 1 + (any_number(seed) >> 1)};
    }
    return c;
}

static struct dot any_dot(uint64_t *seed)
{
    return (struct dot){1 + (sample_next(seed) >> 1), 1 + (any_number(seed) >> 1)};
}

static bool is_key(const struct table_changes *t, uint32_t column)
{
    return column == t->key[0] || (t->n_key > 1 && column == t->key[1]);
}

static struct value any_wide(struct arena *a, uint64_t *seed)
{
    __int128 n = (__int128)sample_next(seed) << 36 | sample_next(seed) >> 28;
    n >>= sample_below(seed, 100);
    return value_wide(a, sample_below(seed, 2) ? n : -n);
}

static bool same_identity(const struct table_changes *t, const struct row_change *x,
                          const struct row_change *y)
{
    struct buf kx = {0}, ky = {0};
    key_encode(&kx, x->key, t->n_key);
    key_encode(&ky, y->key, t->n_key);
    bool same =
        dot_equal(x->birth, y->birth) && kx.len == ky.len && memcmp(kx.data, ky.data, kx.len) == 0;
    buf_fini(&kx), buf_fini(&ky);
    return same;
}

static bool known_row(const struct table_changes *t, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (same_identity(t, &t->rows[i], &t->rows[n]))
            return true;
    return false;
}

/* Often those of the row before, as a bulk insert has them; columns beyond the limit never. */
static void any_references(struct arena *a, uint64_t *seed, struct dot dot, struct row_change *r)
{
    struct reference *list = arena_alloc(a, LIMIT_REFERENCES * sizeof *list);
    bool own = sample_below(seed, 2);
    for (uint32_t i = 0; i < r->n_cells && r->column[i] < LIMIT_REFERENCES; i++) {
        if (sample_below(seed, 4) == 0)
            continue;
        struct dot birth = own || sample_below(seed, 2) ? dot : any_dot(seed);
        list[r->n_references++] = (struct reference){.column = r->column[i], .birth = birth};
    }
    r->references = list;
}

static void any_row(struct arena *a, uint64_t *seed, const struct table_changes *t, struct dot dot,
                    struct row_change *r)
{
    uint32_t *column = arena_alloc(a, t->n_columns * sizeof *column);
    struct value *value = arena_alloc(a, t->n_columns * sizeof *value);
    struct value *key = arena_alloc(a, t->n_key * sizeof *key);
    r->kind = (enum change_kind)(1 + sample_below(seed, 3));
    for (uint32_t c = 0; c < t->n_columns; c++) {
        if (r->kind != CHANGE_BORN && sample_below(seed, 3))
            continue;
        column[r->n_cells] = c;
        value[r->n_cells++] = r->kind != CHANGE_BORN && !is_key(t, c) && sample_below(seed, 6) == 0
                                  ? any_wide(a, seed)
                                  : any_value(a, seed);
    }
    for (uint32_t k = 0; k < t->n_key; k++)
        key[k] = r->kind == CHANGE_BORN ? value[t->key[k]] : any_value(a, seed);
    r->column = column;
    r->value = value;
    r->key = key;
    if (r->kind == CHANGE_BORN)
        r->birth = dot;
    else if (sample_below(seed, 4) == 0)
        r->birth = any_dot(seed);
    if (sample_below(seed, 2))
        any_references(a, seed, dot, r);
}

static void any_table(struct arena *a, uint64_t *seed, struct dot dot, struct table_changes *t)
{
    char name[32];
    uint32_t wide = sample_below(seed, 4) == 0 ? 200 : 8;
    *t = (struct table_changes){.table = any_name(a, seed),
                                .n_columns = 1 + sample_below(seed, wide)};
    t->columns = arena_alloc(a, t->n_columns * sizeof *t->columns);
    for (uint32_t c = 0; c < t->n_columns; c++) {
        snprintf(name, sizeof name, "column_%u", c);
        t->columns[c] = arena_strdup(a, name);
    }
    uint32_t *key = arena_alloc(a, 2 * sizeof *key);
    t->n_key = t->n_columns > 1 ? 1 + sample_below(seed, 2) : 1;
    key[0] = sample_below(seed, t->n_columns);
    key[1] = (key[0] + 1) % t->n_columns;
    t->key = key;
    t->n_rows = sample_below(seed, wide == 8 ? 40 : 6);
    t->rows = arena_alloc(a, t->n_rows * sizeof *t->rows);
    for (uint32_t i = 0; i < t->n_rows; i++) {
        do {
            t->rows[i] = (struct row_change){0};
            any_row(a, seed, t, dot, &t->rows[i]);
        } while (known_row(t, i));
    }
}

void sample_changeset(struct arena *a, uint64_t seed, struct changeset *cs)
{
    static const char *const scope[] = {"", "12", "1201", "120104"};
    *cs = (struct changeset){.federation = "0123456789abcdef0123456789abcdef",
                             .dot = any_dot(&seed),
                             .context = any_clock(a, &seed),
                             .hlc = sample_next(&seed),
                             .charter_version = any_number(&seed),
                             .schema_version = any_number(&seed),
                             .cut = sample_below(&seed, 2),
                             .n_segments = sample_below(&seed, 4)};
    fill(&seed, cs->previous, HASH_BYTES);
    cs->segments = arena_alloc(a, cs->n_segments * sizeof *cs->segments);
    for (uint32_t i = 0; i < cs->n_segments; i++) {
        struct segment *s = &cs->segments[i];
        s->scope = scope[sample_below(&seed, 4)];
        s->n_tables = sample_below(&seed, 3);
        s->tables = arena_alloc(a, s->n_tables * sizeof *s->tables);
        for (uint32_t k = 0; k < s->n_tables; k++)
            any_table(a, &seed, cs->dot, &s->tables[k]);
    }
}

static void any_keep(struct arena *a, uint64_t *seed, struct kept_birth **keep, uint32_t *n)
{
    static const char *const table[] = {"household", "resident", "card"};
    *n = sample_below(seed, 8);
    *keep = arena_alloc(a, *n * sizeof **keep);
    for (uint32_t i = 0; i < *n; i++)
        (*keep)[i] = (struct kept_birth){table[sample_below(seed, 3)], any_bytes(a, seed, 1, 30),
                                         any_dot(seed)};
}

void sample_mark(struct arena *a, uint64_t seed, struct mark *m)
{
    *m = (struct mark){sample_next(&seed), sample_next(&seed), any_clock(a, &seed),
                       sample_next(&seed)};
}

void sample_answer(struct arena *a, uint64_t seed, struct answer *m)
{
    *m = (struct answer){sample_next(&seed), any_name(a, &seed), sample_next(&seed),
                         sample_next(&seed)};
}

void sample_stable(struct arena *a, uint64_t seed, struct stable *m)
{
    *m = (struct stable){.mark_id = sample_next(&seed),
                         .site = sample_next(&seed),
                         .clock = any_clock(a, &seed),
                         .hlc = sample_next(&seed)};
    any_keep(a, &seed, &m->keep, &m->n_keep);
}

static void any_hello(struct arena *a, uint64_t *seed, struct hello *h)
{
    *h = (struct hello){.protocol = PROTOCOL_VERSION,
                        .session = sample_next(seed),
                        .run = sample_next(seed),
                        .federation = "0123456789abcdef0123456789abcdef",
                        .node = any_name(a, seed),
                        .site = sample_next(seed),
                        .seq = any_number(seed),
                        .received_pos = any_number(seed),
                        .journal_pos = any_number(seed),
                        .clock = any_clock(a, seed),
                        .charter_version = any_number(seed),
                        .schema_version = any_number(seed),
                        .software = sample_below(seed, 2) ? "tonle 0.1.0" : "",
                        .time_ms = any_number(seed),
                        .credit_bytes = any_number(seed),
                        .heartbeat_ms = (uint32_t)any_number(seed),
                        .wall_ms = any_number(seed),
                        .latest_ms = any_number(seed),
                        .time_sure = sample_below(seed, 2)};
    fill(seed, h->chain, HASH_BYTES);
}

static void any_heartbeat(struct arena *a, uint64_t *seed, struct heartbeat *h)
{
    *h = (struct heartbeat){.session = sample_next(seed),
                            .time_ms = any_number(seed),
                            .site = sample_next(seed),
                            .tail_pos = any_number(seed),
                            .clock = any_clock(a, seed),
                            .held = any_number(seed),
                            .conflicts_open = any_number(seed),
                            .capture_pending = sample_below(seed, 2),
                            .wall_ms = any_number(seed),
                            .latest_ms = any_number(seed),
                            .ahead_ms = any_number(seed),
                            .time_sure = sample_below(seed, 2),
                            .n_off = sample_below(seed, 4)};
    h->off = arena_alloc(a, h->n_off * sizeof *h->off);
    for (uint32_t i = 0; i < h->n_off; i++)
        h->off[i] = (struct clock_off){any_name(a, seed), (int64_t)sample_next(seed)};
}

static void any_enrol(struct arena *a, uint64_t *seed, struct enrol *n)
{
    *n = (struct enrol){.federation = "0123456789abcdef0123456789abcdef",
                        .node = any_name(a, seed),
                        .incarnation = sample_next(seed),
                        .listen = sample_below(seed, 2) ? "tcp://192.0.2.7:7411" : "",
                        .software = "tonle 0.1.0"};
    fill(seed, n->curve_key, CURVE_KEY_BYTES);
    fill(seed, n->sign_key, SIGN_PUBLIC_BYTES);
    fill(seed, n->invite_key, SIGN_PUBLIC_BYTES);
    fill(seed, n->proof, SIGNATURE_BYTES);
}

static void any_states(struct arena *a, uint64_t *seed, struct load_chunk *c)
{
    c->n_states = sample_below(seed, 12);
    c->states = arena_alloc(a, c->n_states * sizeof *c->states);
    for (uint32_t i = 0; i < c->n_states; i++) {
        struct row_state *s = &c->states[i];
        s->key = any_bytes(a, seed, 1, 20);
        s->record = any_bytes(a, seed, 0, 60);
        s->stands = sample_below(seed, 4);
        s->n_values = s->stands ? c->n_columns : 0;
        s->values = arena_alloc(a, s->n_values * sizeof *s->values);
        for (uint32_t k = 0; k < s->n_values; k++)
            s->values[k] = any_value(a, seed);
    }
}

static void any_load_chunk(struct arena *a, uint64_t *seed, struct load_chunk *c)
{
    *c = (struct load_chunk){.request = sample_next(seed),
                             .table = any_name(a, seed),
                             .n_columns = sample_below(seed, 6),
                             .last_key = any_bytes(a, seed, 0, 20),
                             .end = sample_below(seed, 2),
                             .rows = any_number(seed),
                             .clock = any_clock(a, seed),
                             .stable = any_clock(a, seed),
                             .pos = any_number(seed),
                             .hlc = sample_next(seed),
                             .capture_gap = sample_below(seed, 3)};
    fill(seed, c->digest, HASH_BYTES);
    c->columns = arena_alloc(a, c->n_columns * sizeof *c->columns);
    for (uint32_t i = 0; i < c->n_columns; i++)
        c->columns[i] = any_name(a, seed);
    any_keep(a, seed, &c->keep, &c->n_keep);
    any_states(a, seed, c);
}

static struct digest_leave *any_leave(struct arena *a, uint64_t *seed, uint32_t n)
{
    struct digest_leave *leave = arena_alloc(a, n * sizeof *leave);
    for (uint32_t i = 0; i < n; i++) {
        leave[i].key = any_bytes(a, seed, 1, 20);
        leave[i].column = any_name(a, seed);
    }
    return leave;
}

static struct digest_position any_position(struct arena *a, uint64_t *seed)
{
    enum digest_part part = (enum digest_part)(1 + sample_below(seed, 4));
    return (struct digest_position){part, any_bytes(a, seed, 0, part == DIGEST_AT_END ? 0 : 20)};
}

static void any_digest_reply(struct arena *a, uint64_t *seed, struct digest_reply *r)
{
    *r = (struct digest_reply){.request = sample_next(seed),
                               .exists = sample_below(seed, 2),
                               .clock = any_clock(a, seed),
                               .last = any_position(a, seed),
                               .sum = {.table = any_name(a, seed),
                                       .rows = any_number(seed),
                                       .held = any_number(seed),
                                       .conflicts = any_number(seed)}};
    fill(seed, r->sum.digest, HASH_BYTES);
}

void sample_message(struct arena *a, uint64_t seed, enum message_type type, struct message *m)
{
    *m = (struct message){.type = type};
    switch (type) {
    case MESSAGE_HELLO:
    case MESSAGE_WELCOME:
        any_hello(a, &seed, &m->u.hello);
        break;
    case MESSAGE_REFUSAL:
        m->u.refusal =
            (struct refusal){sample_next(&seed), (enum refusal_code)(1 + sample_below(&seed, 8)),
                             any_name(a, &seed), any_number(&seed)};
        break;
    case MESSAGE_ITEM:
        m->u.item = (struct item_message){sample_next(&seed), any_number(&seed), any_number(&seed),
                                          (enum item_kind)(1 + sample_below(&seed, 4)),
                                          any_bytes(a, &seed, 0, 300)};
        break;
    case MESSAGE_ACK:
        m->u.ack = (struct ack){sample_next(&seed), any_number(&seed), any_number(&seed)};
        break;
    case MESSAGE_HEARTBEAT:
        any_heartbeat(a, &seed, &m->u.heartbeat);
        break;
    case MESSAGE_ENROL:
        any_enrol(a, &seed, &m->u.enrol);
        break;
    case MESSAGE_ENROLLED:
        m->u.enrolled = (struct enrolled){.state = (enum enrol_state)(1 + sample_below(&seed, 3)),
                                          .reason = any_name(a, &seed),
                                          .hub_node = any_name(a, &seed),
                                          .hub_site = sample_next(&seed),
                                          .node = any_name(a, &seed)};
        fill(&seed, m->u.enrolled.hub_sign_key, SIGN_PUBLIC_BYTES);
        fill(&seed, m->u.enrolled.sign_key, SIGN_PUBLIC_BYTES);
        break;
    case MESSAGE_LOAD_REQUEST:
        m->u.load_request = (struct load_request){
            sample_next(&seed),         any_name(a, &seed),          any_bytes(a, &seed, 0, 20),
            any_bytes(a, &seed, 0, 20), (uint32_t)any_number(&seed), sample_below(&seed, 2)};
        break;
    case MESSAGE_LOAD_CHUNK:
        any_load_chunk(a, &seed, &m->u.load_chunk);
        break;
    case MESSAGE_DIGEST_REQUEST:
        m->u.digest_request = (struct digest_request){.request = sample_next(&seed),
                                                      .table = any_name(a, &seed),
                                                      .max_rows = (uint32_t)any_number(&seed),
                                                      .after = any_position(a, &seed),
                                                      .upto = any_position(a, &seed),
                                                      .n_leave = sample_below(&seed, 3)};
        m->u.digest_request.leave = any_leave(a, &seed, m->u.digest_request.n_leave);
        break;
    case MESSAGE_DIGEST_REPLY:
        any_digest_reply(a, &seed, &m->u.digest_reply);
        m->u.digest_reply.n_leave = sample_below(&seed, 3);
        m->u.digest_reply.leave = any_leave(a, &seed, m->u.digest_reply.n_leave);
        break;
    }
}
