#include "node/capture/gap.h"

#include "node/db/query.h"
#include "node/schema/schema.h"
#include "node/state/state.h"

#include <assert.h>
#include <string.h>

#define LET_GO_MS 3600000u

enum err gap_open(struct store *s, uint32_t t, const char *table)
{
    const struct store_state *st = state_of(s);
    struct buf clock = {0};
    assert(s->in_write);
    clock_encode(&clock, &st->clock);
    enum err e = DB_RUN(s,
                        "INSERT INTO tonle_gap(t, table_name, state, clock, from_ms, found_ms)"
                        " VALUES(?1, ?2, 1, ?3, ?4, ?4) ON CONFLICT(t) DO UPDATE SET"
                        " table_name = ?2, state = 1, clock = ?3, from_ms = ?4,"
                        " found_ms = excluded.found_ms WHERE state <> 1",
                        value_integer(t), value_text(table), value_blob(clock.data, clock.len),
                        value_u64(st->hlc >> 16));
    buf_fini(&clock);
    return e;
}

enum err gap_suspect(struct store *s, uint32_t t, const char *table)
{
    assert(s->in_write);
    return DB_RUN(s,
                  "INSERT INTO tonle_gap(t, table_name, state, clock, from_ms, found_ms)"
                  " VALUES(?1, ?2, 1, x'', ?3, ?3) ON CONFLICT(t) DO NOTHING",
                  value_integer(t), value_text(table), value_u64(state_of(s)->hlc >> 16));
}

enum err gap_list(struct store *s, struct arena *a, struct gap **out, size_t *n)
{
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    struct query q = DB_QUERY(s, "SELECT t, table_name, state, clock, from_ms, found_ms, changed,"
                                 " born, deleted, differs_from FROM tonle_gap ORDER BY table_name");
    while (query_next(&q)) {
        *out = arena_grow(a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = (struct gap){.t = (uint32_t)query_i64(&q, 0),
                                      .table = query_text(&q, a, 1),
                                      .state = (enum gap_state)query_i64(&q, 2),
                                      .clock = query_bytes(&q, a, 3),
                                      .from_ms = query_u64(&q, 4),
                                      .found_ms = query_u64(&q, 5),
                                      .changed = query_u64(&q, 6),
                                      .born = query_u64(&q, 7),
                                      .deleted = query_u64(&q, 8),
                                      .differs_from = query_text(&q, a, 9)};
    }
    return query_end(&q);
}

enum err gap_state_of(struct store *s, uint32_t t, enum gap_state *state)
{
    struct query q = DB_QUERY(s, "SELECT state FROM tonle_gap WHERE t = ?1", value_integer(t));
    *state = query_next(&q) ? (enum gap_state)query_i64(&q, 0) : GAP_NONE;
    return query_end(&q);
}

enum err gap_doubts(struct store *s, struct arena *a, struct row_key k, const struct row *r,
                    bool *yes)
{
    enum gap_state gap = GAP_NONE;
    struct forget f;
    *yes = false;
    if (r->n_births < 2 || !row_find_birth(r, (struct dot){0}))
        return ERR_OK;
    enum err e = gap_state_of(s, k.t->t, &gap);
    if (e == ERR_OK)
        e = row_forgetting(s, a, k, &f);
    *yes = e == ERR_OK && row_is_doubtful(r, &f, gap != GAP_NONE);
    return e;
}

bool gap_any_open(struct store *s, bool *keeps)
{
    int64_t open = 1, known = 1;
    enum err e = db_number(s, "SELECT EXISTS(SELECT 1 FROM tonle_gap WHERE state = 1)", &open);
    *keeps = e != ERR_OK || open != 0;
    if (*keeps && e == ERR_OK)
        e = db_number(s, "SELECT EXISTS(SELECT 1 FROM tonle_gap WHERE state = 1 AND clock <> x'')",
                      &known);
    *keeps = *keeps && (e != ERR_OK || known != 0);
    return e != ERR_OK || open != 0;
}

enum err gap_found(struct store *s, uint64_t now_ms)
{
    assert(s->in_write);
    return DB_RUN(s,
                  "UPDATE tonle_gap SET found_ms = ?1"
                  " WHERE state = 1 AND found_ms = from_ms AND from_ms < ?1",
                  value_u64(now_ms));
}

enum err gap_let_go(struct store *s, uint64_t now_ms)
{
    struct arena a = {0};
    struct gap *gap;
    size_t n;
    assert(s->in_write);
    enum err e = schema_load(s);
    if (e == ERR_OK)
        e = gap_list(s, &a, &gap, &n);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        const struct table_schema *t = schema_table(s, gap[i].table);
        if (gap[i].state != GAP_OPEN || (t && t->exists))
            continue;
        e = DB_RUN(s,
                   "UPDATE tonle_gap SET clock = x'' WHERE t = ?1"
                   " AND found_ms <= ?2",
                   value_integer(gap[i].t), value_u64(now_ms - LET_GO_MS));
    }
    arena_fini(&a);
    return e;
}

/* Another of whom it is known that it differs keeps the table in that state. */
static enum err compared_alike(struct store *s, uint32_t t, const char *with)
{
    enum err e = DB_RUN(s,
                        "UPDATE tonle_gap SET state = 2, clock = x'',"
                        " differs_from = replace(differs_from, ?2, '/') WHERE t = ?1",
                        value_integer(t), value_text(with));
    return e == ERR_OK ? DB_RUN(s, "DELETE FROM tonle_gap WHERE t = ?1 AND differs_from = '/'",
                                value_integer(t))
                       : e;
}

static enum err compared_differs(struct store *s, const struct gap *g, const char *with,
                                 uint64_t now_ms)
{
    return DB_RUN(s,
                  "INSERT INTO tonle_gap(t, table_name, state, clock, from_ms, found_ms, changed,"
                  " born, deleted, differs_from) VALUES(?1, ?2, 2, x'', 0, ?6, ?3, ?4, ?5, ?7)"
                  " ON CONFLICT(t) DO UPDATE SET state = 2, changed = ?3, born = ?4, deleted = ?5,"
                  " differs_from = replace(differs_from, ?7, '/') || substr(?7, 2)",
                  value_integer(g->t), value_text(g->table), value_u64(g->changed),
                  value_u64(g->born), value_u64(g->deleted), value_u64(now_ms), value_text(with));
}

enum err gap_compared(struct store *s, const struct gap *g, const char *neighbour, uint64_t now_ms)
{
    struct buf with = {0};
    assert(s->in_write);
    buf_printf(&with, "/%s/", neighbour);
    enum err e = g->changed + g->born + g->deleted == 0
                     ? compared_alike(s, g->t, buf_str(&with))
                     : compared_differs(s, g, buf_str(&with), now_ms);
    buf_fini(&with);
    return e;
}

enum err gap_asks(struct store *s, uint32_t t, const char *neighbour)
{
    struct buf with = {0};
    assert(s->in_write);
    buf_printf(&with, "/%s/", neighbour);
    enum err e = DB_RUN(s,
                        "UPDATE tonle_gap SET changed = 0, born = 0, deleted = 0,"
                        " differs_from = replace(differs_from, ?2, '/') || substr(?2, 2)"
                        " WHERE t = ?1",
                        value_integer(t), value_text(buf_str(&with)));
    buf_fini(&with);
    return e;
}

enum err gap_asks_any(struct store *s, bool *any)
{
    int64_t found = 0;
    enum err e =
        db_number(s, "SELECT EXISTS(SELECT 1 FROM tonle_gap WHERE differs_from <> '/')", &found);
    *any = found != 0;
    return e;
}

static bool is_listed(struct bytes name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(list[i]) == name.len && memcmp(list[i], name.p, name.len) == 0)
            return true;
    }
    return false;
}

/* Rows that are known to differ may be wrong here: they are looked at with the others. Marks were
 * answered while they waited, so nothing may be sealed as of the gap's beginning any more. */
static enum err nobody_is_left(struct store *s, const struct gap *g, bool others)
{
    const char *sql = g->changed + g->born + g->deleted > 0 && others
                          ? "UPDATE tonle_gap SET state = 1, clock = x'', changed = 0, born = 0,"
                            " deleted = 0 WHERE t = ?1 AND state = 2"
                          : "DELETE FROM tonle_gap WHERE t = ?1 AND state = 2";
    return DB_RUN(s, sql, value_integer(g->t));
}

enum err gap_ask_only(struct store *s, struct arena *a, const char *const *neighbour, size_t n)
{
    struct gap *gap;
    size_t n_gaps;
    assert(s->in_write);
    enum err e = gap_list(s, a, &gap, &n_gaps);
    for (size_t i = 0; e == ERR_OK && i < n_gaps; i++) {
        struct buf kept = {0};
        buf_printf(&kept, "/");
        for (const char *at = gap[i].differs_from + 1, *end; (end = strchr(at, '/'));
             at = end + 1) {
            struct bytes name = {(const uint8_t *)at, (size_t)(end - at)};
            if (is_listed(name, neighbour, n))
                buf_printf(&kept, "%.*s/", (int)name.len, at);
        }
        if (strcmp(buf_str(&kept), gap[i].differs_from) != 0)
            e = DB_RUN(s, "UPDATE tonle_gap SET differs_from = ?2 WHERE t = ?1",
                       value_integer(gap[i].t), value_text(buf_str(&kept)));
        if (e == ERR_OK && gap[i].differs_from[1] != '\0' && kept.len == 1)
            e = nobody_is_left(s, &gap[i], n > 0);
        buf_fini(&kept);
    }
    return e;
}

enum err gap_forget(struct store *s, uint32_t t)
{
    assert(s->in_write);
    return DB_RUN(s, "DELETE FROM tonle_gap WHERE t = ?1", value_integer(t));
}
