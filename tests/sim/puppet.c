#include "tests/sim/puppet.h"

#include "conflict/hlc.h"
#include "conflict/value.h"
#include "node/capture/capture.h"
#include "node/store/store.h"
#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/seal.h"

#include <stdio.h>
#include <string.h>

#define FEDERATION "00112233445566778899aabbccddeeff"
#define OLD_CLOCKS 4

uint64_t puppet_time(const struct puppet *p)
{
    return 1700000000000ULL + p->w->now;
}

struct dot puppet_next(const struct puppet *p)
{
    return (struct dot){p->m->o.site, p->now.seq + 1};
}

/* ---- what it says */

static void say(struct puppet *p, const struct message *msg, bool is_signed)
{
    struct buf b = {0};
    codec_encode(msg, is_signed ? p->m->o.secret : NULL, &b);
    struct action a = {.kind = ACTION_SEND, .bytes = {b.data, b.len}};
    if (p->m->link != 0)
        world_send(p->w, p->m, &a);
    buf_fini(&b);
}

static void say_hello(struct puppet *p)
{
    struct message msg = {.type = MESSAGE_HELLO};
    struct hello *h = &msg.u.hello;
    struct puppet_state s = p->n_items ? p->item[0].before : p->now;
    p->session = ++p->run;
    p->open = false;
    h->protocol = PROTOCOL_VERSION;
    h->session = p->session;
    h->run = 1;
    h->federation = FEDERATION;
    h->node = p->m->o.name;
    h->site = p->m->o.site;
    h->seq = p->n_items ? p->now.seq : s.seq;
    memcpy(h->chain, p->now.chain, HASH_BYTES);
    h->received_pos = p->received_pos;
    h->journal_pos = p->pos;
    h->clock = p->clock;
    h->charter_version = h->schema_version = 1;
    h->software = "puppet";
    h->time_ms = h->wall_ms = puppet_time(p);
    h->latest_ms = puppet_time(p) + 1000000;
    h->credit_bytes = CREDIT_BYTES;
    h->heartbeat_ms = 500;
    say(p, &msg, true);
}

static void say_heartbeat(struct puppet *p)
{
    struct message msg = {.type = MESSAGE_HEARTBEAT};
    struct heartbeat *h = &msg.u.heartbeat;
    bool lies = draw_chance(&p->draw, 300) && !p->w->healing;
    *h = (struct heartbeat){.session = p->session,
                            .time_ms = puppet_time(p),
                            .wall_ms = puppet_time(p),
                            .latest_ms = puppet_time(p) + 1000000,
                            .site = p->m->o.site,
                            .tail_pos = p->sent_pos,
                            .clock = p->clock};
    struct clock_off off = {"hub", INT64_MIN};
    if (lies) {
        h->time_ms = h->wall_ms = UINT64_MAX >> draw_below(&p->draw, 64);
        h->latest_ms = UINT64_MAX >> draw_below(&p->draw, 64);
        h->ahead_ms = UINT64_MAX >> draw_below(&p->draw, 64);
        h->time_sure = true;
        h->capture_pending = true;
        h->held = h->conflicts_open = UINT64_MAX >> 1;
        h->n_off = 1;
        h->off = &off;
    }
    say(p, &msg, true);
}

static void pump(struct puppet *p)
{
    for (size_t i = 0; p->open && i < p->n_items; i++) {
        const struct puppet_item *x = &p->item[i];
        struct message msg = {.type = MESSAGE_ITEM};
        if (x->pos <= p->sent_pos)
            continue;
        msg.u.item = (struct item_message){p->session, x->pos, p->sent_pos, x->kind, x->bytes};
        say(p, &msg, false);
        p->sent_pos = x->pos;
    }
}

/* ---- its own items */

void puppet_add(struct puppet *p, enum item_kind kind, const struct buf *bytes, const char *wrong)
{
    p->item = mem_grow(p->item, p->n_items, &p->cap_items, sizeof *p->item);
    p->item[p->n_items++] =
        (struct puppet_item){.pos = ++p->pos,
                             .kind = kind,
                             .bytes = {mem_copy(bytes->data, bytes->len), bytes->len},
                             .wrong = wrong,
                             .before = p->now};
    if (wrong)
        p->w->attacks++;
}

void puppet_seal(struct puppet *p, struct changeset *cs, const char *wrong)
{
    struct buf b = {0};
    uint8_t hash[HASH_BYTES];
    cs->federation = FEDERATION;
    cs->charter_version = cs->schema_version = 1;
    memcpy(cs->previous, p->now.chain, HASH_BYTES);
    if (seal_changeset(cs, p->m->o.secret, &b, hash) != ERR_OK) {
        world_break(p->w, "hostile", "a forged changeset cannot be sealed");
        return;
    }
    puppet_add(p, ITEM_CHANGESET, &b, wrong);
    const struct table_changes *tc = &cs->segments[0].tables[0];
    for (uint32_t i = 0; i < tc->rows[0].n_cells; i++)
        wrote_note(p->w, p->w->n, tc->table, tc->columns[tc->rows[0].column[i]], tc->rows[0].key,
                   tc->n_key, &tc->rows[0].value[i]);
    if (dot_equal(cs->dot, puppet_next(p))) {
        p->now.seq++;
        p->now.hlc = cs->hlc > p->now.hlc ? cs->hlc : p->now.hlc;
        memcpy(p->now.chain, hash, HASH_BYTES);
    }
    buf_fini(&b);
}

static void drop_items(struct puppet *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mem_free((void *)p->item[i].bytes.p);
    p->n_items -= n;
    memmove(p->item, p->item + n, p->n_items * sizeof *p->item);
}

/* ---- what it hears */

static struct puppet_row *row_of(struct puppet *p, const char *table, const struct row_change *rc,
                                 uint32_t n_key, struct dot birth)
{
    for (size_t i = p->n_rows; i > 0; i--) {
        struct puppet_row *r = &p->row[i - 1];
        bool same = strcmp(r->tc.table, table) == 0 && dot_equal(r->born.birth, birth);
        for (uint32_t k = 0; same && k < n_key; k++)
            same = value_equal(&r->born.key[k], &rc->key[k]);
        if (same)
            return r;
    }
    return NULL;
}

static void note_born(struct puppet *p, const struct table_changes *tc, const struct row_change *rc,
                      struct dot dot)
{
    struct arena *a = &p->arena;
    p->row = mem_grow(p->row, p->n_rows, &p->cap_rows, sizeof *p->row);
    struct puppet_row *r = &p->row[p->n_rows++];
    *r = (struct puppet_row){.tc = *tc, .born = *rc};
    const char **columns = arena_alloc(a, tc->n_columns * sizeof *columns);
    struct value *value = arena_alloc(a, (rc->n_cells + 1) * sizeof *value);
    struct value *key = arena_alloc(a, tc->n_key * sizeof *key);
    for (uint32_t i = 0; i < tc->n_columns; i++)
        columns[i] = arena_strdup(a, tc->columns[i]);
    for (uint32_t i = 0; i < rc->n_cells; i++)
        value[i] = value_copy(a, &rc->value[i]);
    for (uint32_t i = 0; i < tc->n_key; i++)
        key[i] = value_copy(a, &rc->key[i]);
    r->tc.table = arena_strdup(a, tc->table);
    r->tc.columns = columns;
    r->tc.key = arena_copy(a, tc->key, tc->n_key * sizeof *tc->key);
    r->tc.n_rows = 0;
    r->born.birth = dot;
    r->born.key = key;
    r->born.column = arena_copy(a, rc->column, rc->n_cells * sizeof *rc->column);
    r->born.value = value;
    r->born.n_references = 0;
}

static void note_row(struct puppet *p, const struct table_changes *tc, const struct row_change *rc,
                     struct dot dot)
{
    if (rc->kind == CHANGE_BORN) {
        note_born(p, tc, rc, dot);
        return;
    }
    struct puppet_row *r = row_of(p, tc->table, rc, tc->n_key, rc->birth);
    if (r)
        r->dead = r->dead || rc->kind == CHANGE_DELETE;
    for (size_t i = 0; !r && i < p->n_rows; i++) {
        struct puppet_row *x = &p->row[i];
        bool same = strcmp(x->tc.table, tc->table) == 0;
        for (uint32_t k = 0; same && k < tc->n_key; k++)
            same = value_equal(&x->born.key[k], &rc->key[k]);
        x->unsure = x->unsure || same;
    }
}

void puppet_note(struct puppet *p, const struct changeset *cs)
{
    for (uint32_t g = 0; g < cs->n_segments; g++)
        for (uint32_t i = 0; i < cs->segments[g].n_tables; i++) {
            const struct table_changes *tc = &cs->segments[g].tables[i];
            for (uint32_t j = 0; strncmp(tc->table, "tonle_", 6) != 0 && j < tc->n_rows; j++)
                note_row(p, tc, &tc->rows[j], cs->dot);
        }
}

static void answer_mark(struct puppet *p, uint64_t mark)
{
    struct buf b = {0};
    struct answer a = {
        .mark_id = mark, .node = p->m->o.name, .site = p->m->o.site, .hlc = p->now.hlc};
    codec_answer_encode(&a, p->m->o.secret, &b);
    puppet_add(p, ITEM_ANSWER, &b, NULL);
    p->now.answered = mark;
    buf_fini(&b);
}

static void hear_changeset(struct puppet *p, struct arena *a, struct bytes b)
{
    struct changeset cs;
    uint8_t hash[HASH_BYTES];
    int office = seal_peek(a, b.p, b.len, &cs) == ERR_OK ? world_office_of(p->w, cs.dot.site) : -1;
    if (office < 0 || seal_open(a, b.p, b.len, p->w->m[office].o.key, &cs, hash) != ERR_OK) {
        world_break(p->w, "9", "%s is sent a changeset that cannot be opened", p->m->o.name);
        return;
    }
    if (p->clock.n > 0 && draw_chance(&p->draw, 200))
        clock_copy(&p->old[draw_below(&p->draw, OLD_CLOCKS)], &p->clock);
    clock_raise(&p->clock, cs.dot.site, cs.dot.seq);
    p->now.hlc = cs.hlc > p->now.hlc ? cs.hlc : p->now.hlc;
    for (size_t i = 0; i < p->n_items; i++) /* it has been here, whatever comes of those */
        p->item[i].before.hlc = cs.hlc > p->item[i].before.hlc ? cs.hlc : p->item[i].before.hlc;
    puppet_note(p, &cs);
    p->heard.at = mem_grow(p->heard.at, p->heard.n, &p->heard.cap, sizeof *p->heard.at);
    p->heard.at[p->heard.n++] = (struct bytes){mem_copy(b.p, b.len), b.len};
}

static void hear_mark(struct puppet *p, struct arena *a, struct bytes b)
{
    struct mark m;
    if (codec_mark_open(a, b, p->w->m[0].o.key, &m) != ERR_OK)
        return;
    p->mark = mem_grow(p->mark, p->n_marks, &p->cap_marks, sizeof *p->mark);
    p->mark[p->n_marks] = (struct puppet_mark){.id = m.id};
    clock_copy(&p->mark[p->n_marks++].clock, &m.clock);
    p->now.hlc = m.hlc > p->now.hlc ? m.hlc : p->now.hlc;
    answer_mark(p, m.id);
}

static void hear_stable(struct puppet *p, struct arena *a, struct bytes b)
{
    struct stable s;
    if (codec_stable_open(a, b, p->w->m[0].o.key, &s) == ERR_OK)
        clock_join(&p->stable, &s.clock);
}

static void hear_item(struct puppet *p, const struct item_message *x)
{
    struct arena a = {0};
    struct message msg = {.type = MESSAGE_ACK};
    if (x->pos > p->received_pos && x->previous != p->received_pos) {
        p->session = 0; /* lost on the way: hello again */
        p->open = false;
        return;
    }
    if (x->pos > p->received_pos) {
        p->received_pos = x->pos;
        if (x->kind == ITEM_CHANGESET)
            hear_changeset(p, &a, x->bytes);
        else if (x->kind == ITEM_MARK)
            hear_mark(p, &a, x->bytes);
        else if (x->kind == ITEM_STABLE)
            hear_stable(p, &a, x->bytes);
    }
    msg.u.ack = (struct ack){p->session, p->received_pos, UINT64_MAX};
    say(p, &msg, false);
    arena_fini(&a);
}

/* All of its items up to this position are durable at the parent. */
static void taken(struct puppet *p, uint64_t pos)
{
    size_t n = 0;
    while (n < p->n_items && p->item[n].pos <= pos) {
        const struct puppet_item *x = &p->item[n];
        struct arena a = {0};
        struct changeset cs;
        uint8_t hash[HASH_BYTES];
        if (x->wrong)
            world_break(p->w, "9", "%s has taken what no honest office sends: %s",
                        p->w->m[p->m->parent].o.name, x->wrong);
        if (x->kind == ITEM_CHANGESET &&
            seal_open(&a, x->bytes.p, x->bytes.len, p->m->o.key, &cs, hash) == ERR_OK &&
            cs.dot.seq > clock_get(&p->clock, cs.dot.site)) {
            clock_raise(&p->clock, cs.dot.site, cs.dot.seq);
            puppet_note(p, &cs);
        }
        arena_fini(&a);
        n++;
    }
    drop_items(p, n);
}

static void hear_welcome(struct puppet *p, const struct hello *h)
{
    if (h->session != p->session)
        return;
    taken(p, h->received_pos);
    if (p->refused && p->n_items > 0) {
        p->now = p->item[0].before;
        drop_items(p, p->n_items);
        p->w->attacks_refused++;
    }
    p->refused = false;
    p->open = true;
    p->sent_pos = h->received_pos;
    if (p->n_marks > 0 && p->now.answered < p->mark[p->n_marks - 1].id)
        answer_mark(p, p->mark[p->n_marks - 1].id);
    pump(p);
}

/* A negative control: the parent takes it all the same. */
static void take_anyway(struct puppet *p)
{
    struct arena a = {0};
    struct store *s = p->w->m[p->m->parent].o.store;
    for (size_t i = 0; i < p->n_items && !store_capture_pending(s); i++) {
        const struct puppet_item *x = &p->item[i];
        struct changeset cs;
        struct apply_report report;
        uint8_t hash[HASH_BYTES];
        if (x->kind != ITEM_CHANGESET || store_begin(s) != ERR_OK)
            break;
        struct apply_input in = {.cs = &cs,
                                 .bytes = x->bytes,
                                 .hash = hash,
                                 .source = p->m->o.name,
                                 .link_pos = x->pos,
                                 .now_ms = puppet_time(p)};
        enum err e = seal_open(&a, x->bytes.p, x->bytes.len, p->m->o.key, &cs, hash);
        if (e == ERR_OK)
            e = store_apply(s, &a, &in, &report);
        if (e != ERR_OK || store_commit(s) != ERR_OK)
            store_rollback(s);
        if (e != ERR_OK)
            break;
    }
    arena_fini(&a);
}

/* Whoever is refused is named: it takes back what it sent. */
static void hear_refusal(struct puppet *p, const struct refusal *r)
{
    if (r->session != p->session)
        return;
    if (p->open && r->code != REFUSAL_GAP)
        p->refused = true;
    if (p->refused && p->w->breach == BREACH_TRUST && p->w->m[p->m->parent].alive)
        take_anyway(p);
    if (p->w->verbose)
        printf("%8llu %s: refused: %s\n", (unsigned long long)p->w->now, p->m->o.name, r->reason);
    p->open = false;
    p->session = 0;
}

static void hear(struct puppet *p, const struct event *ev)
{
    struct arena a = {0};
    struct message msg;
    struct bytes body, signature;
    if (codec_decode(&a, ev->bytes, ev->len, &msg, &body, &signature) != ERR_OK)
        world_break(p->w, "8", "%s is sent a message that cannot be read", p->m->o.name);
    else if (msg.type == MESSAGE_WELCOME)
        hear_welcome(p, &msg.u.hello);
    else if (msg.type == MESSAGE_REFUSAL)
        hear_refusal(p, &msg.u.refusal);
    else if (msg.type == MESSAGE_ITEM && p->open && msg.u.item.session == p->session)
        hear_item(p, &msg.u.item);
    else if (msg.type == MESSAGE_ACK && p->open && msg.u.ack.session == p->session)
        taken(p, msg.u.ack.pos);
    arena_fini(&a);
}

/* ---- its life */

void puppet_event(struct world *w, const struct event *ev)
{
    struct puppet *p = w->puppet;
    if (ev->kind == EVENT_RECEIVE)
        hear(p, ev);
    else if (ev->kind == EVENT_DIALLED)
        say_hello(p);
    else if (ev->kind == EVENT_LOST)
        p->open = false;
    pump(p);
}

void puppet_turn(struct world *w)
{
    struct puppet *p = w->puppet;
    world_later(w, WHAT_PUPPET, w->n, 100 + draw_below(&p->draw, 300), 0);
    if (p->m->link == 0)
        return;
    if (!p->open) {
        if (draw_chance(&p->draw, 300))
            say_hello(p);
        return;
    }
    if (!w->healing && draw_chance(&p->draw, 500))
        puppet_attack(p);
    say_heartbeat(p);
    pump(p);
}

void puppet_start(struct world *w)
{
    struct puppet *p = mem_alloc(sizeof *p);
    *p = (struct puppet){.w = w, .m = &w->m[w->n], .draw = {(w->seed + 7) * 0x9e3779b97f4a7c15ULL}};
    w->puppet = p;
    p->m->alive = true;
    world_later(w, WHAT_DIAL, w->n, 200, 0);
    world_later(w, WHAT_PUPPET, w->n, 300, 0);
}

void puppet_healed(struct world *w)
{
    const struct machine *puppet = &w->m[w->n];
    for (int i = 0; i < w->n; i++) {
        struct query q = DB_QUERY(w->m[i].watch,
                                  "SELECT id FROM tonle_decision WHERE reason = 'forged' AND"
                                  " (office <> ?1 OR substr(id, 1, 16) <> printf('%016x', ?2) OR"
                                  " at_ms < 1600000000000)",
                                  value_text(puppet->o.name), value_u64(puppet->o.site));
        if (query_next(&q))
            world_break(w, "9", "%s: decision %s is not its signer's", w->m[i].o.name,
                        query_borrow_text(&q, 0));
        oracle_end(w, &w->m[i], &q);
    }
}

void puppet_fini(struct world *w)
{
    struct puppet *p = w->puppet;
    if (!p)
        return;
    drop_items(p, p->n_items);
    for (size_t i = 0; i < p->n_marks; i++)
        clock_fini(&p->mark[i].clock);
    for (size_t i = 0; i < p->heard.n; i++)
        mem_free((void *)p->heard.at[i].p);
    for (int i = 0; i < OLD_CLOCKS; i++)
        clock_fini(&p->old[i]);
    clock_fini(&p->clock);
    clock_fini(&p->stable);
    arena_fini(&p->arena);
    mem_free(p->item);
    mem_free(p->mark);
    mem_free(p->heard.at);
    mem_free(p->row);
    mem_free(p);
}
