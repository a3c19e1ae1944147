/* The database: first a look, in a transaction that is rolled back, whether the tables that the
 * charter names hold rows already; then the load, all of it in one transaction. Both make the
 * office's own tables, take the chunks in the order they came, and give the published tables their
 * capture (which also numbers them) when the internal ones are there. */
#include "node/core/joining.h"

#include "node/check/autoincrement.h"
#include "node/check/check.h"
#include "node/db/copy.h"
#include "node/schema/rules.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RAISED_MOST 100u

static void begin_chunks(struct node *n, enum join_state state, enum load_mode mode);

/* A trigger of the office's own has ended the whole transaction: its row is known now
 * (raised_remember), and is left out when all is done again. Not for ever: each begins anew. */
static bool was_rolled_back(struct joining *j, enum err e)
{
    return e == ERR_BUSY && j->state == JOIN_LOAD && store_standing(j->store) != ERR_OK &&
           j->raised++ < RAISED_MOST;
}

static void fail(struct node *n, enum err e)
{
    struct joining *j = n->join;
    char text[sizeof j->store->message];
    snprintf(text, sizeof text, "%s", store_message(j->store));
    if (was_rolled_back(j, e)) {
        store_rollback(j->store);
        begin_chunks(n, JOIN_LOAD, j->report.mode);
        return;
    }
    join_end(n, j->state == JOIN_LOOK ? JOIN_LOOK_FAILED : JOIN_LOAD_FAILED, e, text);
}

static void recall_next(struct node *n)
{
    struct joining *j = n->join;
    const struct kept_chunk *k = &j->fetch.kept[j->recalled];
    struct action *a = join_ask_driver(n, ACTION_RECALL);
    a->offset = k->offset;
    a->len = k->len;
}

/* False: it cannot be opened, and the join is over. */
static bool open_database(struct node *n, bool create)
{
    struct joining *j = n->join;
    struct store_options so = j->o.store;
    char msg[256] = "";
    so.create = create;
    enum err e = store_open(&j->store, &so, msg);
    if (e == ERR_OK || (e == ERR_NOT_FOUND && !create))
        return true;
    join_end(n, JOIN_NO_DATABASE, e, msg);
    return false;
}

struct store_identity join_identity(const struct invitation *inv, uint64_t site)
{
    struct store_identity id = {.federation = inv->federation,
                                .federation_name = inv->federation_name,
                                .node = inv->node,
                                .unit = inv->unit,
                                .parent = inv->parent,
                                .hub = inv->hub_node,
                                .hub_site = inv->hub_site,
                                .site = site};
    memcpy(id.hub_sign_key, inv->hub_sign_key, SIGN_PUBLIC_BYTES);
    return id;
}

static enum err begin(struct joining *j, enum load_mode mode)
{
    struct store_identity id = join_identity(j->o.invitation, j->registry.site);
    enum err e = store_begin(j->store);
    if (e == ERR_OK)
        e = store_create(j->store, &id);
    return e == ERR_OK ? store_load_begin(j->store, mode) : e;
}

static void begin_chunks(struct node *n, enum join_state state, enum load_mode mode)
{
    struct joining *j = n->join;
    if (j->state != state)
        join_move(j, state);
    j->recalled = 0;
    enum err e = begin(j, mode);
    if (e != ERR_OK)
        fail(n, e);
    else
        recall_next(n);
}

void join_load_look(struct node *n)
{
    struct joining *j = n->join;
    if (!open_database(n, false))
        return;
    if (j->store)
        begin_chunks(n, JOIN_LOOK, LOAD_EMPTY);
    else
        join_fetch_published(n);
}

static bool keep_copy(struct node *n)
{
    struct joining *j = n->join;
    char stamp[32] = "";
    struct buf path = {0};
    time_t now = (time_t)(n->wall_ms / 1000);
    struct tm tm;
    if (gmtime_r(&now, &tm))
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    buf_printf(&path, "%s.before-join-%s", j->o.store.path, stamp);
    enum err e = store_copy(j->store, buf_str(&path));
    if (e == ERR_OK)
        j->report.copy = arena_strdup(&j->arena, buf_str(&path));
    buf_fini(&path);
    if (e != ERR_OK) {
        join_end(n, JOIN_COPY_FAILED, e, store_message(j->store));
        return false;
    }
    node_action(n, ACTION_PROGRESS);
    return true;
}

void join_load_begin(struct node *n)
{
    struct joining *j = n->join;
    bool changes = j->report.mode == LOAD_REPLACE || j->report.made_anew > 0 ||
                   (j->o.renumber && j->report.mode == LOAD_ADOPT);
    changes = changes && !j->o.dry_run;
    if (!open_database(n, true) || (changes && !keep_copy(n)))
        return;
    begin_chunks(n, JOIN_LOAD, j->report.mode);
}

/* The hub has published that this office's numbers are steered: a table where they cannot be is
 * made anew, or the join ends here, because it would give out other offices' numbers. */
static enum err fit_keys(struct joining *j, struct arena *a)
{
    const struct charter *charter = NULL;
    struct plain_key *table = NULL;
    enum err e = schema_charter(j->store, a, &charter);
    if (e == ERR_OK && charter)
        e = store_plain_keys(j->store, a, charter, &table, &j->report.made_anew);
    if (e != ERR_OK || j->report.made_anew == 0)
        return e;
    if (!j->o.make_autoincrement)
        return store_fail(j->store, ERR_SCHEMA,
                          "%zu tables here have an INTEGER PRIMARY KEY without AUTOINCREMENT, the "
                          "first is %s (%llu rows), and would give out other offices' numbers: run "
                          "the same command with --make-autoincrement, which makes them anew and "
                          "keeps the old file",
                          j->report.made_anew, table[0].table, (unsigned long long)table[0].rows);
    return store_make_autoincrement(j->store, table, j->report.made_anew);
}

static enum err make_tables(struct joining *j, struct arena *a)
{
    uint32_t created = 0;
    enum err e = store_schema_create_missing(j->store, &created);
    if (e == ERR_OK)
        e = fit_keys(j, a);
    return e == ERR_OK ? store_capture_install(j->store) : e;
}

static enum err count_rows(struct node *n, uint64_t *rows)
{
    struct joining *j = n->join;
    const struct schema *schema = j->store->schema;
    enum err e = schema_load(j->store);
    for (uint32_t i = 0; e == ERR_OK && i < schema->n_tables; i++) {
        const struct table_schema *t = &schema->tables[i];
        uint64_t here = 0;
        if (t->exists && !t->internal)
            e = store_load_rows(j->store, t, &here);
        if (e != ERR_OK || here == 0)
            continue;
        *rows += here;
        j->report.present = arena_grow(&j->arena, j->report.present, j->report.n_present,
                                       &j->report.cap_present, sizeof *j->report.present);
        j->report.present[j->report.n_present++] =
            (struct rows_present){arena_strdup(&j->arena, t->name), here};
    }
    return e;
}

static void looked(struct node *n)
{
    struct joining *j = n->join;
    uint64_t rows = 0;
    enum err e = count_rows(n, &rows);
    if (e != ERR_OK) {
        fail(n, e);
        return;
    }
    if (rows > 0 && j->report.mode == LOAD_EMPTY) {
        join_end(n, JOIN_ROWS_HERE, ERR_USAGE, NULL);
        return;
    }
    if (rows == 0)
        j->report.mode = LOAD_EMPTY;
    store_close(j->store); /* which rolls back */
    j->store = NULL;
    join_move(j, JOIN_FETCH);
    join_fetch_published(n);
}

static void loaded(struct node *n)
{
    struct joining *j = n->join;
    enum err e = ERR_OK;
    if (j->o.renumber && j->report.mode == LOAD_ADOPT)
        e = store_renumber(j->store, &j->report.renumbered);
    if (e == ERR_OK)
        e = store_load_end(j->store, &n->arena, &j->report.loaded);
    if (e == ERR_OK)
        e = store_peer_received(j->store, j->o.invitation->parent, j->fetch.pos);
    if (e != ERR_OK) {
        fail(n, e);
        return;
    }
    if (j->o.dry_run) {
        join_end(n, JOIN_DRY_RUN, ERR_OK, NULL);
        return;
    }
    join_move(j, JOIN_SETTLE);
    join_ask_driver(n, ACTION_SETTLE);
}

static enum err take_chunk(struct node *n, const struct event *ev)
{
    struct joining *j = n->join;
    struct message m;
    struct bytes body, signature;
    enum err e = ev->error;
    if (e == ERR_OK)
        e = codec_decode(&n->arena, ev->bytes, ev->len, &m, &body, &signature);
    if (e == ERR_OK && m.type != MESSAGE_LOAD_CHUNK)
        e = ERR_MALFORMED;
    if (e == ERR_OK)
        e = store_load_chunk(j->store, &n->arena, &m.u.load_chunk);
    if (e == ERR_OK && ++j->recalled == j->fetch.n_internal)
        e = make_tables(j, &n->arena);
    return e;
}

void join_load_recalled(struct node *n, const struct event *ev)
{
    struct joining *j = n->join;
    assert(j->state == JOIN_LOOK || j->state == JOIN_LOAD);
    enum err e = take_chunk(n, ev);
    if (e != ERR_OK)
        fail(n, e);
    else if (j->recalled < (j->state == JOIN_LOOK ? j->fetch.n_internal : j->fetch.n_kept))
        recall_next(n);
    else if (j->state == JOIN_LOOK)
        looked(n);
    else
        loaded(n);
}

void join_load_settled(struct node *n, enum err error)
{
    struct joining *j = n->join;
    if (error != ERR_OK) {
        join_end(n, JOIN_NOT_SETTLED, error, NULL);
        return;
    }
    enum err e = store_commit(j->store);
    if (e != ERR_OK)
        fail(n, e);
    else
        join_end(n, JOIN_DONE, ERR_OK, NULL);
}
