#include "tests/lib/office.h"
#include "tests/lib/rooms.h"

#include "conflict/hlc.h"
#include "node/charter/charter.h"
#include "protocol/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(x)                                                                                    \
    do {                                                                                           \
        enum err must_e = (x);                                                                     \
        if (must_e != ERR_OK) {                                                                    \
            fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #x, err_name(must_e),       \
                    o->store ? store_message(o->store) : "");                                      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int office_try(struct office *o, const char *sql)
{
    return sqlite3_exec(o->app, sql, NULL, NULL, NULL);
}

void office_sql(struct office *o, const char *sql)
{
    if (office_try(o, sql) != SQLITE_OK) {
        fprintf(stderr, "%s: %s: %s\n", o->name, sql, sqlite3_errmsg(o->app));
        abort();
    }
}

const char *office_one(struct office *o, const char *sql)
{
    static char out[8][4096];
    static int turn;
    char *p = out[turn++ % 8];
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(o->app, sql, -1, &q, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s: %s\n", o->name, sql, sqlite3_errmsg(o->app));
        abort();
    }
    p[0] = '\0';
    if (sqlite3_step(q) == SQLITE_ROW)
        snprintf(p, sizeof out[0], "%s",
                 sqlite3_column_text(q, 0) ? (const char *)sqlite3_column_text(q, 0) : "NULL");
    sqlite3_finalize(q);
    return p;
}

static void hex(char *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

void office_enrol_key(const struct office *o, uint8_t key[CURVE_KEY_BYTES])
{
    memcpy(key, o->key, CURVE_KEY_BYTES);
    key[0] ^= 0xff;
}

static void registry(struct office *o, const struct office *all, int n)
{
    for (int i = 0; i < n; i++) {
        const struct office *x = &all[i];
        char sql[1024], key[65];
        uint8_t invite[CURVE_KEY_BYTES];
        hex(key, x->key, 32);
        if (x->late) {
            office_enrol_key(x, invite);
            hex(key, invite, 32);
            snprintf(sql, sizeof sql,
                     "INSERT INTO tonle_node VALUES('%s','%s','%s','','invited','','','%s',"
                     "4000000000000000000,'',0);",
                     x->name, x->unit, x->parent, key);
            office_sql(o, sql);
            continue;
        }
        snprintf(sql, sizeof sql,
                 "INSERT INTO tonle_node VALUES('%s','%s','%s','','active','%016llx','','',0,'',0);"
                 "INSERT INTO tonle_site VALUES('%016llx',%lld,'%s','%s');",
                 x->name, x->unit, x->parent, (unsigned long long)x->site,
                 (unsigned long long)x->site, (long long)x->site, x->name, key);
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
    if (sqlite3_open_v2(o->path, &o->app, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, o->vfs) !=
        SQLITE_OK)
        abort();
    sqlite3_busy_timeout(o->app, o->vfs ? 0 : 2000);
    office_sql(o, o->vfs ? "PRAGMA synchronous=EXTRA" : "PRAGMA synchronous=OFF");
}

void office_open_store(struct office *o, bool wal_guard)
{
    char msg[256];
    struct store_options options = {
        .path = o->path, .vfs = o->vfs, .busy_ms = o->vfs ? 0 : 2000, .wal_guard = wal_guard};
    if (store_open(&o->store, &options, msg) != ERR_OK) {
        fprintf(stderr, "%s: %s\n", o->name, msg);
        abort();
    }
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
    MUST(store_begin(o->store));
    MUST(store_create(o->store, &id));
    MUST(charter_read(&o->arena, compiled, strlen(compiled), &charter, why));
    bool complete = charter.tables[0].complete;
    MUST(store_schema_complete(o->store, &o->arena, &charter, &charter, &finding, &n_findings));
    if (!complete)
        MUST(charter_write(&o->arena, &charter, &completed));
    MUST(store_commit(o->store));
    sqlite3_stmt *q;
    sqlite3_prepare_v2(o->app, "INSERT INTO tonle_charter VALUES('0000000001', 1, '', ?1, 0)", -1,
                       &q, NULL);
    sqlite3_bind_text(q, 1, completed, -1, SQLITE_TRANSIENT);
    if (sqlite3_step(q) != SQLITE_DONE)
        abort();
    sqlite3_finalize(q);
    registry(o, all, n);
    MUST(store_begin(o->store));
    MUST(store_capture_install(o->store));
    MUST(store_commit(o->store));
}

void federation_start(struct federation *f, int n, const char *schema, const char *compiled,
                      bool wal)
{
    memset(f, 0, sizeof *f);
    f->n = n;
    snprintf(f->dir, sizeof f->dir, "%s/tonle-test-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    struct office *o = &f->office[0];
    if (!mkdtemp(f->dir))
        abort();
    MUST(seal_start());
    char dir[sizeof f->dir];
    memcpy(dir, f->dir, sizeof dir);
    for (int i = 0; i < n; i++) {
        office_identity(&f->office[i], i, i ? "hub" : "", i ? "12" : "");
        snprintf(f->office[i].path, sizeof f->office[i].path, "%s/office%d.db", dir, i);
    }
    for (int i = 0; i < n; i++)
        office_found(&f->office[i], f->office, n, schema, compiled, wal);
}

void federation_stop(struct federation *f)
{
    for (int i = 0; i < f->n; i++) {
        struct office *o = &f->office[i];
        char name[600];
        store_close(o->store);
        sqlite3_close(o->app);
        arena_fini(&o->arena);
        const char *ending[] = {"", "-wal", "-shm", "-journal"};
        for (int e = 0; e < 4; e++) {
            snprintf(name, sizeof name, "%s%s", o->path, ending[e]);
            unlink(name);
        }
    }
    rmdir(f->dir);
}

bool office_seal(struct office *o)
{
    return office_seal_part(o, 5000);
}

bool office_seal_part(struct office *o, uint32_t max_rows)
{
    struct changeset cs = {0};
    struct collected *c;
    MUST(store_begin(o->store));
    enum err e =
        store_collect(o->store, &o->arena, (struct collect_most){max_rows, 4u << 20}, &cs, &c);
    if (e == ERR_NOT_FOUND) {
        MUST(store_collect_done(o->store, c, o->now_ms));
        MUST(store_commit(o->store));
        collected_free(c);
        return false;
    }
    MUST(e);
    const struct store_state *st = store_state_get(o->store);
    cs.federation = "00112233445566778899aabbccddeeff";
    cs.dot = (struct dot){o->site, st->seq + 1};
    cs.context = st->clock;
    cs.hlc = hlc_tick(st->hlc, ++o->now_ms);
    cs.charter_version = cs.schema_version = 1;
    memcpy(cs.previous, st->chain, HASH_BYTES);
    for (uint32_t i = 0; i < cs.segments[0].n_tables; i++) {
        for (uint32_t j = 0; j < cs.segments[0].tables[i].n_rows; j++) {
            if (cs.segments[0].tables[i].rows[j].kind == CHANGE_BORN)
                cs.segments[0].tables[i].rows[j].birth = cs.dot;
        }
    }
    MUST(store_name_births(o->store, &o->arena, &cs, c));
    struct clock context = {0};
    clock_copy(&context, &st->clock);
    cs.context = context;
    struct buf out = {0};
    uint8_t hash[HASH_BYTES];
    MUST(seal_changeset(&cs, o->secret, &out, hash));
    struct apply_report report;
    struct apply_input in = {.cs = &cs,
                             .bytes = {out.data, out.len},
                             .hash = hash,
                             .own = true,
                             .collected = c,
                             .now_ms = o->now_ms};
    MUST(store_apply(o->store, &o->arena, &in, &report));
    MUST(store_collect_done(o->store, c, o->now_ms));
    MUST(store_commit(o->store));
    collected_free(c);
    buf_fini(&out);
    clock_fini(&context);
    arena_reset(&o->arena);
    return true;
}

enum err office_take(struct office *to, struct office *from, struct dot dot,
                     struct apply_report *report)
{
    struct office *o = from;
    struct item item;
    struct changeset cs = {0};
    uint8_t hash[HASH_BYTES];
    struct site_record site;
    MUST(store_journal_find(from->store, &to->arena, dot, &item));
    MUST(store_site_get(from->store, &to->arena, dot.site, &site));
    MUST(seal_open(&to->arena, item.bytes.p, item.bytes.len, site.sign_key, &cs, hash));
    struct apply_input in = {.cs = &cs,
                             .bytes = item.bytes,
                             .hash = hash,
                             .source = from->name,
                             .link_pos = item.pos,
                             .now_ms = to->now_ms};
    o = to;
    MUST(store_begin(to->store));
    enum err e = store_apply(to->store, &to->arena, &in, report);
    if (e == ERR_OK)
        MUST(store_commit(to->store));
    else
        store_rollback(to->store);
    arena_reset(&to->arena);
    return e;
}

void office_pull(struct office *to, struct office *from)
{
    struct office *o = to;
    bool moved = true;
    while (moved) {
        moved = false;
        const struct clock *theirs = &store_state_get(from->store)->clock;
        for (size_t i = 0; i < theirs->n; i++) {
            uint64_t have = clock_get(&store_state_get(to->store)->clock, theirs->entry[i].site);
            struct apply_report report;
            if (have >= theirs->entry[i].seq)
                continue;
            enum err e =
                office_take(to, from, (struct dot){theirs->entry[i].site, have + 1}, &report);
            if (e == ERR_CAUSAL)
                continue; /* another site's first */
            MUST(e);
            moved = true;
        }
    }
}

void federation_settle(struct federation *f)
{
    for (int i = 0; i < f->n; i++) {
        struct office *o = &f->office[i];
        struct stable st = {.mark_id = 1, .hlc = 1};
        bool more = true;
        MUST(store_begin(o->store));
        clock_copy(&st.clock, &store_state_get(o->store)->clock);
        MUST(store_set_stable(o->store, &o->arena, &st));
        while (more) {
            MUST(store_sweep(o->store, &o->arena, 5000, &more));
            arena_reset(&o->arena);
        }
        MUST(store_commit(o->store));
        clock_fini(&st.clock);
    }
}

void federation_sync(struct federation *f)
{
    for (int i = 0; i < f->n; i++)
        while (office_seal(&f->office[i]))
            ;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < f->n; i++)
            for (int j = 0; j < f->n; j++)
                if (i != j)
                    office_pull(&f->office[i], &f->office[j]);
    }
}

static char *dump(struct office *o, const char *sql)
{
    struct buf b = {0};
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(o->app, sql, -1, &q, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(o->app));
        abort();
    }
    while (sqlite3_step(q) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(q); i++)
            buf_printf(&b, "%d:%s|", sqlite3_column_type(q, i),
                       sqlite3_column_text(q, i) ? (const char *)sqlite3_column_text(q, i)
                                                 : "NULL");
        buf_printf(&b, "\n");
    }
    sqlite3_finalize(q);
    char *out = mem_strdup(buf_str(&b));
    buf_fini(&b);
    return out;
}

static void same(struct federation *f, const char *sql)
{
    char *first = dump(&f->office[0], sql);
    for (int i = 1; i < f->n; i++) {
        char *other = dump(&f->office[i], sql);
        if (strcmp(first, other) != 0) {
            fprintf(stderr, "offices differ: %s\n-- %s\n%s-- %s\n%s", sql, f->office[0].name, first,
                    f->office[i].name, other);
            abort();
        }
        mem_free(other);
    }
    mem_free(first);
}

void federation_assert_equal(struct federation *f, const char *tables)
{
    char list[1024], *save = NULL;
    snprintf(list, sizeof list, "%s", tables);
    for (char *t = strtok_r(list, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
        char sql[1200];
        snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY 1, 2", t);
        same(f, sql);
    }
    same(f,
         "SELECT table_name, key, reason FROM tonle_held WHERE reason <> 'local' ORDER BY 1, 2, 3");
    same(f, "SELECT id, cell, policy FROM tonle_conflict WHERE state = 'open' ORDER BY 1");
}
