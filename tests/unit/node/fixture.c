#include "tests/unit/node/fixture.h"

#include "node/state/state.h"
#include "protocol/seal.h"

#include <string.h>

static struct net net;

int net_set_up_two(void **state)
{
    net_start(&net);
    net_grow(&net, "province", "12", "hub");
    *state = &net;
    return net_settle(&net, 20000) ? 0 : -1;
}

int net_set_up_three(void **state)
{
    net_three(&net);
    *state = &net;
    return 0;
}

int net_tear_down(void **state)
{
    net_stop(*state);
    return 0;
}

void net_slip_in(struct net *t, struct net_office *o, enum item_kind kind, const struct buf *b)
{
    sqlite3_stmt *q = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(o->app,
                           "INSERT INTO tonle_journal(kind, source, site, seq, hlc, bytes)"
                           " VALUES(?1, '', 0, 0, 0, ?2)",
                           -1, &q, NULL),
        SQLITE_OK);
    sqlite3_bind_int(q, 1, (int)kind);
    sqlite3_bind_blob(q, 2, b->data, (int)b->len, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(q), SQLITE_DONE);
    sqlite3_finalize(q);
    net_sql(t, o,
            "UPDATE tonle_meta SET v = v + 1 WHERE k = 'rev'"); /* as every commit of a node */
}

void net_forge(struct net *t, struct net_office *o, const struct clock *context, uint64_t hlc,
               const char *id)
{
    struct dot dot = {o->site, store_state_get(o->store)->seq + 1};
    net_forge_change(t, o, context, hlc, CHANGE_BORN, dot, id);
}

void net_forge_change(struct net *t, struct net_office *o, const struct clock *context,
                      uint64_t hlc, enum change_kind kind, struct dot birth, const char *id)
{
    net_forge_changes(t, o, context, hlc, &(struct forged_change){kind, birth, id}, 1);
}

static struct row_change forged_row(struct arena *a, const struct forged_change *c)
{
    static const uint32_t both[] = {0, 1};
    struct value v[] = {value_text(c->id), value_text("forged")};
    uint32_t first = c->kind == CHANGE_BORN ? 0 : 1;
    struct value *values = arena_copy(a, v, sizeof v);
    return (struct row_change){.kind = c->kind,
                               .birth = c->birth,
                               .key = values,
                               .n_cells = c->kind == CHANGE_DELETE ? 0 : 2 - first,
                               .column = both + first,
                               .value = values + first};
}

void net_forge_changes(struct net *t, struct net_office *o, const struct clock *context,
                       uint64_t hlc, const struct forged_change *change, uint32_t n)
{
    static const char *columns[] = {"id", "text"};
    static const uint32_t key = 0;
    const struct store_state *st = store_state_get(o->store);
    struct arena a = {0};
    struct row_change *row = arena_alloc(&a, n * sizeof *row);
    for (uint32_t i = 0; i < n; i++)
        row[i] = forged_row(&a, &change[i]);
    struct table_changes note = {"note", 2, columns, 1, &key, n, row};
    struct segment segment = {"", 1, &note};
    struct changeset cs = {.federation = t->federation,
                           .dot = {o->site, st->seq + 1},
                           .context = context ? *context : st->clock,
                           .hlc = hlc,
                           .charter_version = st->charter_version,
                           .schema_version = st->schema_version,
                           .n_segments = 1,
                           .segments = &segment};
    struct buf b = {0};
    uint8_t hash[HASH_BYTES];
    memcpy(cs.previous, st->chain, HASH_BYTES);
    assert_ok(seal_changeset(&cs, o->keys.sign_secret, &b, hash));
    net_slip_in(t, o, ITEM_CHANGESET, &b);
    buf_fini(&b);
    arena_fini(&a);
}
