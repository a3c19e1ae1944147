/* The capture logs as a whole: which there are, whether one holds anything, what the room keeps in
 * memory. */
#include "node/capture/log.h"

#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdio.h>

void capture_open(struct store *s)
{
    assert(!s->capture);
    s->capture = mem_alloc(sizeof *s->capture);
    s->capture->checked = s->capture->installed = -1;
    s->capture->temp_cookie = s->capture->log_cookie = -1;
}

void capture_close(struct store *s)
{
    struct capture *c = s->capture;
    if (!c)
        return;
    arena_fini(&c->log_arena);
    mem_free(c);
    s->capture = NULL;
}

static enum err find_logs(struct store *s, struct capture *c)
{
    struct buf b = {0};
    buf_printf(&b, "SELECT EXISTS(SELECT 1 FROM tonle_todo)");
    arena_reset(&c->log_arena);
    c->has_log = arena_alloc(&c->log_arena, s->schema->n_tables);
    struct query q = DB_QUERY(s, "SELECT substr(name, 11) FROM main.sqlite_schema"
                                 " WHERE type = 'table' AND name GLOB 'tonle_log_[0-9]*'");
    while (query_next(&q)) {
        struct table_schema *t = schema_by_number(s, (uint32_t)query_i64(&q, 0));
        if (!t || !t->exists)
            continue;
        c->has_log[t - s->schema->tables] = true;
        buf_printf(&b, " OR EXISTS(SELECT 1 FROM tonle_log_%u)", t->t);
    }
    c->pending_sql = arena_strdup(&c->log_arena, buf_str(&b));
    buf_fini(&b);
    return query_end(&q);
}

enum err capture_logs(struct store *s, struct capture **out)
{
    struct capture *c = s->capture;
    *out = c;
    enum err e = schema_load(s);
    if (e != ERR_OK || c->log_cookie == schema_cookie(s))
        return e;
    c->log_cookie = -1;
    e = find_logs(s, c);
    if (e == ERR_OK)
        c->log_cookie = schema_cookie(s);
    return e;
}

bool store_capture_pending(struct store *s)
{
    struct capture *c;
    int64_t any;
    if (!store_is_ready(s))
        return false;
    enum err e = capture_logs(s, &c);
    if (e == ERR_OK)
        e = db_number(s, c->pending_sql, &any);
    return e != ERR_OK || any;
}

enum err capture_has(struct store *s, struct row_key k, bool *yes)
{
    struct arena a = {0};
    struct buf b = {0};
    *yes = false;
    buf_printf(&b, "SELECT 1 FROM main.tonle_log_%u WHERE 1", k.t->t);
    for (uint32_t i = 0; i < k.t->n_key; i++)
        buf_printf(&b, " AND %s = ?%u", capture_name(&a, "k_", k.t->column[k.t->key[i]]), i + 1);
    buf_printf(&b, " LIMIT 1");
    struct value *v = arena_alloc(&a, k.t->n_key * sizeof *v);
    enum err e = key_decode(k.key, k.len, v, k.t->n_key);
    if (e == ERR_OK) {
        struct query q = query_of(s, buf_str(&b), k.t->n_key, v);
        *yes = query_next(&q);
        e = query_end(&q);
    }
    buf_fini(&b);
    arena_fini(&a);
    return e;
}

enum err capture_discard(struct store *s, const struct table_schema *t)
{
    char name[32], sql[64];
    assert(s->in_write);
    snprintf(name, sizeof name, "tonle_log_%u", t->t);
    snprintf(sql, sizeof sql, "DELETE FROM tonle_log_%u", t->t);
    struct query q = DB_QUERY(s, "SELECT 1 FROM sqlite_schema WHERE name = ?1 AND type = 'table'",
                              value_text(name));
    bool stands = query_next(&q);
    enum err e = query_end(&q);
    return e == ERR_OK && stands ? store_exec(s, sql) : e;
}
