#include "tests/lib/office.h"
#include "tests/lib/rooms.h"

#include "conflict/hlc.h"
#include "node/charter/charter.h"
#include "protocol/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_hex(char *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

void office_invite_secret(const struct office *o, uint8_t secret[INVITE_SECRET_BYTES])
{
    memcpy(secret, o->secret, INVITE_SECRET_BYTES);
    secret[0] ^= 0xff;
}

void office_enrol_key(const struct office *o, uint8_t key[CURVE_KEY_BYTES])
{
    uint8_t secret[INVITE_SECRET_BYTES], curve_secret[CURVE_KEY_BYTES];
    office_invite_secret(o, secret);
    seal_invite_keypair(secret, key, curve_secret);
}

static void registry(struct office *o, const struct office *all, int n)
{
    for (int i = 0; i < n; i++) {
        const struct office *x = &all[i];
        char sql[1024], key[65];
        uint8_t invite[CURVE_KEY_BYTES];
        print_hex(key, x->key, 32);
        if (x->late) {
            office_enrol_key(x, invite);
            print_hex(key, invite, 32);
            snprintf(sql, sizeof sql,
                     "INSERT INTO tonle_node VALUES('%s','%s','%s','','invited','','','%s',"
                     "4000000000000000000,'',0);",
                     x->name, x->unit, x->parent, key);
            office_sql(o, sql);
            continue;
        }
        snprintf(sql, sizeof sql,
                 "INSERT INTO tonle_node VALUES('%s','%s','%s','','active','%016llx','','',0,'',0);"
                 "INSERT INTO tonle_site VALUES('%016llx',%lld,'%s','%s',%d);",
                 x->name, x->unit, x->parent, (unsigned long long)x->site,
                 (unsigned long long)x->site, (long long)x->site, x->name, key, i);
        office_sql(o, sql);
    }
}

void office_identity(struct office *o, int i, const char *parent, const char *unit)
{
    uint8_t seed[32] = {(uint8_t)(i + 1)};
    snprintf(o->name, sizeof o->name, i ? "office%d" : "hub", i);
    snprintf(o->parent, sizeof o->parent, "%s", parent);
    snprintf(o->unit, sizeof o->unit, "%s", unit);
    seal_keypair(seed, o->key, o->secret);
    o->site = seal_site(o->key, OFFICE_INCARNATION);
    o->now_ms = 1700000000000ULL;
}

void office_open_app(struct office *o)
{
    o->app = database_app(o->path, o->vfs, o->vfs ? 0 : 2000);
    office_sql(o, o->vfs ? "PRAGMA synchronous=EXTRA" : "PRAGMA synchronous=OFF");
}

void office_open_store(struct office *o, bool wal_guard)
{
    o->store = database_store(&(struct store_options){
        .path = o->path, .vfs = o->vfs, .busy_ms = o->vfs ? 0 : 2000, .wal_guard = wal_guard});
}

void office_sql(struct office *o, const char *sql)
{
    database_sql(o->app, sql);
}

void office_behind(struct office *o, const char *sql)
{
    int on = 0;
    sqlite3_db_config(o->app, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &on);
    office_sql(o, sql);
    sqlite3_db_config(o->app, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, &on);
}

int office_try(struct office *o, const char *sql)
{
    return sqlite3_exec(o->app, sql, NULL, NULL, NULL);
}

const char *office_one(struct office *o, const char *sql)
{
    return database_text(o->app, sql);
}

struct store_identity office_store_identity(const struct office *o, const struct office *hub)
{
    struct store_identity id = {.federation = "00112233445566778899aabbccddeeff",
                                .federation_name = "test",
                                .node = o->name,
                                .unit = o->unit,
                                .parent = o->parent,
                                .hub = "hub",
                                .hub_site = hub->site,
                                .site = o->site};
    memcpy(id.hub_sign_key, hub->key, 32);
    return id;
}

void office_found(struct office *o, const struct office *all, int n, const char *schema,
                  const char *compiled, bool wal)
{
    const struct office *hub = &all[0];
    office_open_app(o);
    if (wal)
        office_sql(o, "PRAGMA journal_mode=WAL");
    office_sql(o, schema);
    office_open_store(o, false);
    struct store_identity id = office_store_identity(o, hub);
    struct charter charter;
    struct finding *finding;
    size_t n_findings;
    const char *completed = compiled;
    char why[CHARTER_MSG_BYTES];
    MUST(o->store, store_begin(o->store));
    MUST(o->store, store_create(o->store, &id));
    MUST(o->store, charter_read(&o->arena, compiled, strlen(compiled), &charter, why));
    bool complete = charter.tables[0].complete;
    MUST(o->store,
         store_schema_complete(o->store, &o->arena, &charter, &charter, &finding, &n_findings));
    if (!complete)
        MUST(o->store, charter_write(&o->arena, &charter, &completed));
    MUST(o->store, store_commit(o->store));
    sqlite3_stmt *q;
    sqlite3_prepare_v2(o->app, "INSERT INTO tonle_charter VALUES('0000000001',1,'',?1,0,0)", -1, &q,
                       NULL);
    sqlite3_bind_text(q, 1, completed, -1, SQLITE_TRANSIENT);
    if (sqlite3_step(q) != SQLITE_DONE)
        abort();
    sqlite3_finalize(q);
    registry(o, all, n);
    MUST(o->store, store_begin(o->store));
    MUST(o->store, schema_charter_passed(o->store)); /* as a seal or a load that brings it does */
    MUST(o->store, store_capture_install(o->store));
    MUST(o->store, store_commit(o->store));
}

bool office_seal(struct office *o)
{
    return office_seal_part(o, 5000);
}

bool office_seal_part(struct office *o, uint32_t max_rows)
{
    struct changeset cs = {0};
    struct collected *c;
    MUST(o->store, store_begin(o->store));
    enum err e = store_collect(o->store, &o->arena,
                               (struct collect_most){.rows = max_rows, .bytes = 4u << 20}, &cs, &c);
    if (e == ERR_NOT_FOUND) {
        MUST(o->store, store_collect_done(o->store, c, o->now_ms));
        MUST(o->store, store_commit(o->store));
        collected_free(c);
        return false;
    }
    MUST(o->store, e);
    const struct store_state *st = store_state_get(o->store);
    cs.federation = "00112233445566778899aabbccddeeff";
    cs.dot = (struct dot){o->site, st->seq + 1};
    cs.context = st->clock;
    cs.hlc = hlc_tick(st->hlc, ++o->now_ms);
    cs.charter_version = st->charter_version;
    cs.schema_version = st->schema_version;
    memcpy(cs.previous, st->chain, HASH_BYTES);
    for (uint32_t i = 0; i < cs.segments[0].n_tables; i++) {
        for (uint32_t j = 0; j < cs.segments[0].tables[i].n_rows; j++) {
            if (cs.segments[0].tables[i].rows[j].kind == CHANGE_BORN)
                cs.segments[0].tables[i].rows[j].birth = cs.dot;
        }
    }
    MUST(o->store, store_name_births(o->store, &o->arena, &cs, c));
    struct clock context = {0};
    clock_copy(&context, &st->clock);
    if (st->loading)
        MUST(o->store, store_seal_context(o->store, &o->arena, &cs, &context));
    cs.context = context;
    struct buf out = {0};
    uint8_t hash[HASH_BYTES];
    MUST(o->store, seal_changeset(&cs, o->secret, &out, hash));
    struct apply_report report;
    struct apply_input in = {.cs = &cs,
                             .bytes = {out.data, out.len},
                             .hash = hash,
                             .own = true,
                             .collected = c,
                             .now_ms = o->now_ms};
    MUST(o->store, store_apply(o->store, &o->arena, &in, &report));
    MUST(o->store, store_collect_done(o->store, c, o->now_ms));
    MUST(o->store, store_commit(o->store));
    collected_free(c);
    buf_fini(&out);
    clock_fini(&context);
    arena_reset(&o->arena);
    return true;
}

enum err office_end(struct office *o, enum err e)
{
    if (e == ERR_OK)
        MUST(o->store, store_commit(o->store));
    else
        store_rollback(o->store);
    return e;
}

enum err office_take(struct office *to, struct office *from, struct dot dot,
                     struct apply_report *report)
{
    struct item item;
    struct changeset cs = {0};
    uint8_t hash[HASH_BYTES];
    struct site_record site;
    MUST(from->store, store_journal_find(from->store, &to->arena, dot, &item));
    MUST(from->store, store_site_get(from->store, &to->arena, dot.site, &site));
    MUST(from->store,
         seal_open(&to->arena, item.bytes.p, item.bytes.len, site.sign_key, &cs, hash));
    struct apply_input in = {.cs = &cs,
                             .bytes = item.bytes,
                             .hash = hash,
                             .source = from->name,
                             .link_pos = item.pos,
                             .now_ms = to->now_ms};
    MUST(to->store, store_begin(to->store));
    enum err e = store_apply(to->store, &to->arena, &in, report);
    e = office_end(to, e);
    arena_reset(&to->arena);
    return e;
}

void office_pull(struct office *to, struct office *from)
{
    office_pull_upto(to, from, &store_state_get(from->store)->clock);
}

void office_pull_upto(struct office *to, struct office *from, const struct clock *limit)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (size_t i = 0; i < limit->n; i++) {
            uint64_t have = clock_get(&store_state_get(to->store)->clock, limit->entry[i].site);
            struct apply_report report;
            if (have >= limit->entry[i].seq)
                continue;
            enum err e =
                office_take(to, from, (struct dot){limit->entry[i].site, have + 1}, &report);
            if (e == ERR_CAUSAL)
                continue; /* another site's first */
            MUST(to->store, e);
            moved = true;
        }
    }
}

void office_pass_stable(struct office *o, const struct clock *clock, uint32_t slice)
{
    struct stable st = {.mark_id = 1, .hlc = 1, .clock = *clock};
    bool more = true;
    MUST(o->store, store_begin(o->store));
    MUST(o->store, store_set_stable(o->store, &o->arena, &st));
    while (more) {
        MUST(o->store, store_sweep(o->store, &o->arena, slice, &more));
        arena_reset(&o->arena);
    }
    MUST(o->store, store_commit(o->store));
}
