/* What people decided: rows of tonle_decision, and what became of them. */
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/desk/review.h"

#define DECISIONS                                                                                  \
    "SELECT id, conflict, choice, operator, office, reason, at_ms FROM main.tonle_decision"        \
    " WHERE table_name = ?1 AND key = ?2"

enum err decisions_about(struct store *s, struct arena *a, const struct subject *about,
                         struct decision_record **out, size_t *n)
{
    struct query q = DB_QUERY(s,
                              about->cell ? DECISIONS
                                  " AND cell = ?3 AND subject = 'conflict' ORDER BY at_ms, id"
                                          : DECISIONS " ORDER BY at_ms, id",
                              value_text(about->table), value_text(about->key_json));
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    if (about->cell)
        query_bind(&q, 3, value_text(about->cell));
    while (query_next(&q)) {
        *out = arena_grow(a, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = (struct decision_record){.id = query_text(&q, a, 0),
                                                  .conflict = query_text(&q, a, 1),
                                                  .choice = query_text(&q, a, 2),
                                                  .by = query_text(&q, a, 3),
                                                  .office = query_text(&q, a, 4),
                                                  .reason = query_text(&q, a, 5),
                                                  .at_ms = query_u64(&q, 6)};
    }
    return query_end(&q);
}

static enum err decision_key(struct store *s, struct arena *a, const char *id, struct row_key *k)
{
    enum err e = schema_load(s);
    struct value v = value_text(id);
    struct buf b = {0};
    key_encode(&b, &v, 1);
    *k = (struct row_key){e == ERR_OK ? schema_table(s, "tonle_decision") : NULL,
                          arena_copy(a, b.data, b.len), b.len};
    buf_fini(&b);
    return e;
}

enum err decision_dot(struct store *s, struct arena *a, const char *id, struct dot *dot)
{
    struct row_key k;
    struct row row;
    *dot = (struct dot){0, 0};
    enum err e = decision_key(s, a, id, &k);
    if (e != ERR_OK || !k.t)
        return e;
    e = row_load(s, a, k, &row, NULL);
    if (e == ERR_OK && row.n_births > 0)
        *dot = row.births[0].name;
    return e;
}

enum err store_decision_dot(struct store *s, struct arena *a, const char *decision, struct dot *dot)
{
    struct row_key k;
    bool captured = false;
    *dot = (struct dot){0, 0};
    enum err e = decision_key(s, a, decision, &k);
    if (e == ERR_OK && k.t)
        e = capture_has(s, k, &captured);
    return e == ERR_OK && !captured ? decision_dot(s, a, decision, dot) : e;
}

enum err store_decision_held(struct store *s, struct arena *a, const char *decision,
                             const char **id, const char **why)
{
    struct query q = DB_QUERY(s,
                              "SELECT h.id, h.message FROM tonle_decision d JOIN tonle_held h"
                              " ON h.table_name = d.table_name AND h.key = d.key"
                              " WHERE d.id = ?1 LIMIT 1",
                              value_text(decision));
    *id = NULL;
    if (query_next(&q)) {
        *id = query_text(&q, a, 0);
        *why = query_text(&q, a, 1);
    }
    return query_end(&q);
}
